/* SPDX-License-Identifier: MIT
 *
 * Confined access to directories that strangers write to: nothing opened here lies outside the directory
 * whose descriptor was given, and no symbolic link is ever followed, whatever happens to the tree meanwhile.
 *
 * Paths are relative, slash-separated and have passed pack_path_check (or are "": the directory itself). They
 * are opened in one system call with openat2 (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
 * where the kernel or a sandbox does not have it, component by component with O_NOFOLLOW.
 *
 * Errors besides those of kontor_error_set_errno: DENIED for a symbolic link in the path, CONFLICT where
 * said. Messages begin with the path. Blocking. A PackDir belongs to one thread, the functions on descriptors
 * to any.
 */
#pragma once

#include "mirror/catalog/catalog.h"

typedef enum {
    PACK_DIR_FILE, /* regular */
    PACK_DIR_DIRECTORY,
    PACK_DIR_SYMLINK,
    PACK_DIR_SPECIAL, /* device, socket, pipe */
} PackDirKind;

typedef struct PackDir PackDir;

/* --- Life cycle --- */

/* Opens a directory for reading its names. */
PackDir *pack_dir_open(int root_fd, const char *path, GError **error);
/* The sub-directory `name` (one segment); `path` is only for messages. */
PackDir *pack_dir_open_child(PackDir *parent, const char *name, const char *path, GError **error);
void pack_dir_close(PackDir *dir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PackDir, pack_dir_close)

/* --- Operations --- */

/* The next name, in no order, without "." and "..": any bytes, valid until the next call. TRUE with *ret_name
 * NULL at the end; FALSE on error. Names that vanish while they are looked at are passed over. */
gboolean pack_dir_next(PackDir *dir, const char **ret_name, PackDirKind *ret_kind, GError **error);

/* What `name` (one segment) is, without following it. NOT_FOUND if there is nothing. */
gboolean pack_dir_stat(PackDir *dir, const char *name, PackDirKind *ret_kind, FileIdentity *ret_identity,
                       GError **error);

/* The whole content of the regular file `path`, if it is `expected` before and after reading; CONFLICT when
 * it is another file by now, or none. */
GBytes *pack_dir_read_file(int root_fd, const char *path, const FileIdentity *expected, GError **error);

/* TRUE: never use openat2, as on kernels without it. For tests; affects the whole process. */
void pack_dir_force_walk(gboolean walk);
