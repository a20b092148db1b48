/* SPDX-License-Identifier: MIT
 *
 * Changes to index.db: what is in it, and one transaction that takes packs out and puts packs in.
 *
 * Words and their numbers of pages are kept exact: a small change counts the words of the pages it takes out
 * and puts in, a large one reads them off the finished index. Runs on the thread that owns the connection.
 */
#pragma once

#include "broker/search/search_schema.h"
#include "mirror/store/pack_scan.h"

/* What the index knows of a pack. */
typedef struct {
    char *path;
    gint64 id;
    guint64 rows;
    GBytes *fingerprint; /* empty: has to be read again */
} IndexedPack;

/* The index as a whole. */
typedef struct {
    gint64 last_id; /* greatest number of a pack */
    guint packs;
    guint64 rows;
} IndexTotals;

/* All packs of the index, as a new table path -> IndexedPack * (owned by the table). */
GHashTable *index_writer_packs(Db *db, GError **error);
/* The same of those whose paths are in the set `paths` (of char *): costs these, not the index. */
GHashTable *index_writer_packs_at(Db *db, GHashTable *paths, GError **error);
/* Costs the number of packs. */
gboolean index_writer_totals(Db *db, IndexTotals *ret, GError **error);

typedef struct {
    GHashTable *packs;   /* what the index has, now, of at least all packs that the change is about */
    GPtrArray *upserts;  /* of CatalogPack *, in the order in which new ones are numbered */
    GPtrArray *removals; /* of IndexedPack * */
    guint threads;       /* ≥ 1, that read */
} IndexChange;

/* Does it all or nothing. Upserts that are not packs must be removals instead. `totals` are those of the
 * index before, and on success those afterwards. Costs the change and not the index, unless the change is
 * large. */
gboolean index_writer_apply(Db *db, PackRoot *root, const IndexChange *change, IndexTotals *totals,
                            GError **error);
