/* SPDX-License-Identifier: MIT
 *
 * Taking one place from disk: which files it has, what its manifest and index say, and what is wrong with it.
 *
 * A place has manifest.yaml, manifest.sig and the regular files under wiki/, at any depth. Names that begin
 * with a dot are passed over in silence. Symbolic links, devices, sockets, pipes, names that pack_path_check
 * refuses, directories that may not be read and files larger than their limit are left out and named in the
 * warnings.
 *
 * A place with a problem keeps no files, so that nothing of it is served; the problem is one line naming the
 * file and the rule. What makes a problem: wiki/index.md that is left out, unreadable, not UTF-8 or beyond
 * its limits; more than LIMIT_PACK_FILES names; more than LIMIT_PACK_BYTES; changing faster than it can be
 * read. A manifest that is not YAML, a manifest.sig that is malformed and names that differ only in case are
 * warnings.
 */
#pragma once

#include "mirror/store/hash_store.h"

typedef enum {
    PACK_PLACE_TAKEN,     /* *ret is a new CatalogPack */
    PACK_PLACE_UNCHANGED, /* has the fingerprint of `base` and was not read */
    PACK_PLACE_GONE,      /* no longer a directory, or no longer a place */
    PACK_PLACE_UNREAD, /* the system refused for reasons of its own (disk error, too many files open); error
                          set */
} PackPlaceOutcome;

/* The largest size of a file of that name in a place. */
guint64 pack_place_file_bytes_max(const char *name);

/* Takes the directory `path` below the directory `root_fd`, which is `root_path` on disk. `base` (may be
 * NULL) is the place as it was known so far. Any thread. */
PackPlaceOutcome pack_place_take(int root_fd, const char *root_path, const char *path,
                                 const CatalogPack *base, CatalogPack **ret, GError **error);
/* The same, and a place that is taken has the hashes of its files: those that `known` (may be NULL) has, else
 * by reading them all. A file that changes meanwhile makes the place be taken again. */
PackPlaceOutcome pack_place_take_hashed(int root_fd, const char *root_path, const char *path,
                                        const CatalogPack *base, const HashStore *known, CatalogPack **ret,
                                        GError **error);

/* The first, for a directory that nobody else writes to: what was written this very instant is taken at once.
 */
PackPlaceOutcome pack_place_take_settled(int root_fd, const char *root_path, const char *path,
                                         CatalogPack **ret, GError **error);

/* A release in the release store, and the pack that it is. */
typedef struct {
    const char *path;
    const char *directory; /* its name below the directory of releases */
    const char *source;
    gboolean is_private;
    gboolean as_signed; /* take the hashes of files from manifest.sig instead of reading them: whoever serves
                           a file compares it with its hash anyway */
} PackPlaceRelease;

/* Takes a release with the hashes of its files, as above; `root_fd` -1: there are none. Never NULL: one that
 * is not there, or cannot be read, is a place with that as its problem. Change times do not count, because
 * releases share files by hard links; nobody writes to them, and whoever serves a file compares its hash. */
CatalogPack *pack_place_take_release(int root_fd, const char *root_path, const PackPlaceRelease *release,
                                     const HashStore *known);
