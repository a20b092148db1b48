/* SPDX-License-Identifier: MIT
 *
 * What publishers have withdrawn, so that it can be proved to other brokers: whoever sees a pack gone from
 * our catalog asks for its tombstone, and takes the publisher's word for it and not ours. docs/formats.md,
 * "Catalog exchange".
 *
 * Of a local pack the tombstone stands in the catalog, as a place that is not served; of mirrored ones only
 * the signature is kept, in the release store, and here is where. Of private packs nothing is told.
 *
 * One thread changes the table (the indexer, and before it the start); any may ask.
 */
#pragma once

#include "mirror/catalog/catalog.h"
#include "mirror/store/mirror_db.h"
#include "mirror/store/pack_root.h"

typedef struct Tombstones Tombstones;

/* --- Life cycle --- */

Tombstones *tombstones_new(void);
void tombstones_free(Tombstones *tombstones); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tombstones, tombstones_free)

/* --- Operations (indexer) --- */

/* What became of a public mirrored pack: withdrawn (perhaps by a tombstone), or served. */
void tombstones_note(Tombstones *tombstones, const MirroredPack *record);

/* --- Queries (any thread) --- */

/* The manifest.sig of the tombstone that is in force at a path; a new reference. Blocking. `catalog` is that
 * of public packs. NOT_FOUND when there is none, or when a pack is served there; the errors of
 * release_store_read_sig. */
GBytes *tombstones_find(Tombstones *tombstones, const Catalog *catalog, PackRoot *root, const char *path,
                        GError **error);
