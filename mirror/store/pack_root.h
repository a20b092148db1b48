/* SPDX-License-Identifier: MIT
 *
 * The directories that packs lie in, opened once: the packs directory (local places, at their own paths) and
 * the releases of the release store (mirrored places, one directory per release). A CatalogPack says by
 * `is_mirrored` and `disk` in which of them and where it lies, so that whoever reads files need not care.
 *
 * All access goes through the descriptors and never leaves these directories: every component is opened
 * without following symbolic links (pack_dir.h).
 *
 * Blocking: call from workers or the indexer, never from an I/O thread. A PackRoot may be used by many
 * threads at once; atomically reference counted.
 */
#pragma once

#include "mirror/catalog/catalog.h"

typedef struct PackRoot PackRoot;

/* --- Life cycle --- */

/* Opens the packs directory `path`, without a release store; NOT_FOUND when it does not exist. */
PackRoot *pack_root_open(const char *path, GError **error);
/* Opens both; either may be missing, which pack_root_has tells. Fails when one is there and cannot be opened.
 */
PackRoot *pack_root_open_both(const char *packs, const char *releases, GError **error);
/* A new root with the packs directory of `root` (NULL: none) and these releases, which may be missing. */
PackRoot *pack_root_with_releases(const PackRoot *root, const char *releases, GError **error);
PackRoot *pack_root_ref(PackRoot *root);
void pack_root_unref(PackRoot *root); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PackRoot, pack_root_unref)

/* --- Operations --- */

/* Reads one file of a place, whole. CONFLICT when the file is no longer the one that was scanned (identity
 * differs before or after reading), or its directory was missing when the root was opened: the caller rescans
 * the place. The bytes are as on disk. */
GBytes *pack_root_read(PackRoot *root, const CatalogPack *place, const CatalogFile *file, GError **error);

/* --- Queries --- */

typedef enum { PACK_ROOT_PACKS, PACK_ROOT_RELEASES, PACK_ROOT_DIRECTORIES } PackRootDirectory;

gboolean pack_root_has(const PackRoot *root, PackRootDirectory directory);
/* The descriptor, -1 when the directory is missing, and the absolute path; both borrowed. */
int pack_root_fd(const PackRoot *root, PackRootDirectory directory);
const char *pack_root_path(const PackRoot *root, PackRootDirectory directory);
