/* SPDX-License-Identifier: MIT
 *
 * Former releases: what was served at a public path before the release that is served there now, and is still
 * in the release store. They are found by their digest and their files by their hash, so that whoever began
 * to fetch one can end it; they stand in no catalog, index or count.
 *
 * Of each path the latest few are kept, newest first, and only while a public mirrored pack is at that path:
 * when it is withdrawn or becomes private they go at once, and so does what a new trust list refuses. What is
 * served by hash cannot be the wrong thing, so these need not go with a snapshot.
 *
 * One thread changes it (the indexer); any may ask. Its locks are held for short times only.
 */
#pragma once

#include "mirror/catalog/catalog.h"
#include "mirror/store/mirror_db.h"

typedef struct Former Former;

/* --- Life cycle --- */

Former *former_new(void);
void former_free(Former *former); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Former, former_free)

/* --- Operations (indexer) --- */

/* Takes in what has just been replaced at its path (a reference and a copy are taken). Nothing happens with
 * what cannot be found by digest: refused places and those without a signed release. At most `keep` of one
 * path are kept. */
void former_put(Former *former, CatalogPack *place, const MirroredPack *record, guint keep);
/* The same for one that is older than all of its path. */
void former_put_older(Former *former, CatalogPack *place, const MirroredPack *record, guint keep);
/* All of a path. */
void former_forget(Former *former, const char *path);
/* The one of that path and serial, which could not be read as it should be; nothing when there is none. */
void former_drop(Former *former, const char *path, guint64 serial);
/* Drops what this trust list refuses. */
void former_judge(Former *former, const TrustList *trust, gint64 now, guint threads);

/* --- Queries (any thread) --- */

/* A place that has a file of that hash, or is the release of that digest; a new reference, or NULL. The file
 * (of the latter manifest.sig) is borrowed from it. */
CatalogPack *former_find_file(Former *former, const guint8 sha256[SHA256_BYTES],
                              const CatalogFile **ret_file);
CatalogPack *former_find_release(Former *former, const guint8 digest[SHA256_BYTES],
                                 const CatalogFile **ret_file);
