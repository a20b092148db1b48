/* SPDX-License-Identifier: MIT
 *
 * The files of one pack as they stand in git: listed and judged by names, modes and sizes first, then read.
 * What breaks a rule refuses the whole pack with a reason that names the file: a symbolic link, a submodule,
 * a name that no pack path may have (".git…" too), two names that are one where case does not count, an entry
 * that stands twice, anything too large, too deep or too many. Other names that begin with a dot are not part
 * of a pack and are passed over in silence, as in a directory.
 *
 * A GitPack belongs to one thread at a time and holds no reference to the repository.
 */
#pragma once

#include "mirror/agent/git_walk.h"

typedef struct {
    char *name; /* relative to the pack */
    GitId id;
    guint64 size;
    GBytes *bytes; /* after git_pack_read */
} GitPackFile;

typedef struct {
    GArray *files; /* of GitPackFile */
    guint64 bytes; /* of all files */
    char *refused; /* one line; NULL: nothing is wrong so far */
} GitPack;

void git_pack_free(GitPack *pack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitPack, git_pack_free)

/* Lists what is to be mirrored of a place. NULL only when the repository is damaged (CORRUPT). */
GitPack *git_pack_list(GitObjects *objects, const GitPlace *place, GError **error);
/* Reads all files of a pack that is not refused. CORRUPT when the repository is damaged. */
gboolean git_pack_read(GitObjects *objects, GitPack *pack, GError **error);
