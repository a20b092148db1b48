/* SPDX-License-Identifier: MIT */
#include "broker/serve/former.h"

#include <string.h>

#include "broker/serve/mirrored.h"
#include "mirror/catalog/holdings.h"

typedef struct {
    CatalogPack *place;
    MirroredPack *record;
} Entry;

struct Former {
    Holdings *holdings;
    GHashTable *paths; /* path → GPtrArray of Entry *, newest first; indexer only */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;
    catalog_pack_unref(entry->place);
    mirrored_pack_free(entry->record);
    g_free(entry);
}

/* --- Life cycle --- */

Former *former_new(void)
{
    Former *former = g_new0(Former, 1);
    former->holdings = holdings_new();
    former->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    return former;
}

void former_free(Former *former)
{
    if (former == NULL)
        return;
    holdings_free(former->holdings);
    g_hash_table_unref(former->paths);
    g_free(former);
}

/* --- Operations --- */

static GPtrArray *entries_at(Former *former, const char *path)
{
    return g_hash_table_lookup(former->paths, path);
}

static GPtrArray *entries_made_at(Former *former, const char *path)
{
    GPtrArray *entries = entries_at(former, path);
    if (entries != NULL)
        return entries;
    entries = g_ptr_array_new_with_free_func(entry_free);
    g_hash_table_insert(former->paths, g_strdup(path), entries);
    return entries;
}

static void remove_at(Former *former, GPtrArray *entries, guint index)
{
    holdings_remove(former->holdings, ((const Entry *)g_ptr_array_index(entries, index))->place);
    g_ptr_array_remove_index(entries, index);
}

static gboolean can_be_found(const CatalogPack *place)
{
    return place->is_pack && place->signature != NULL && place->release.is_checked &&
           place->release.has_digest;
}

static void remove_digest(Former *former, GPtrArray *entries, const guint8 *digest)
{
    for (guint i = entries->len; i-- > 0;)
        if (memcmp(((const Entry *)g_ptr_array_index(entries, i))->record->digest, digest, SHA256_BYTES) == 0)
            remove_at(former, entries, i);
}

static void put(Former *former, CatalogPack *place, const MirroredPack *record, gboolean older, guint keep)
{
    g_assert(!place->is_private && !record->is_private);
    if (keep == 0 || !can_be_found(place))
        return;
    GPtrArray *entries = entries_made_at(former, record->path);
    remove_digest(former, entries, record->digest);
    Entry *entry = g_new(Entry, 1);
    *entry = (Entry){catalog_pack_ref(place), mirrored_pack_copy(record)};
    holdings_add(former->holdings, place);
    g_ptr_array_insert(entries, older ? -1 : 0, entry);
    while (entries->len > keep)
        remove_at(former, entries, entries->len - 1);
}

void former_put(Former *former, CatalogPack *place, const MirroredPack *record, guint keep)
{
    put(former, place, record, /* older= */ FALSE, keep);
}

void former_put_older(Former *former, CatalogPack *place, const MirroredPack *record, guint keep)
{
    put(former, place, record, /* older= */ TRUE, keep);
}

void former_forget(Former *former, const char *path)
{
    GPtrArray *entries = entries_at(former, path);
    if (entries == NULL)
        return;
    while (entries->len > 0)
        remove_at(former, entries, entries->len - 1);
    g_hash_table_remove(former->paths, path);
}

void former_drop(Former *former, const char *path, guint64 serial)
{
    GPtrArray *entries = entries_at(former, path);
    for (guint i = entries != NULL ? entries->len : 0; i-- > 0;)
        if (((const Entry *)g_ptr_array_index(entries, i))->place->serial == serial)
            remove_at(former, entries, i);
}

/* --- Judging --- */

static void take_verdict(Former *former, Entry *entry, CatalogPack *verdict)
{
    if (verdict->refused) {
        former_drop(former, entry->record->path, verdict->serial);
        return;
    }
    holdings_add(former->holdings, verdict);
    holdings_remove(former->holdings, entry->place);
    catalog_pack_unref(entry->place);
    entry->place = catalog_pack_ref(verdict);
}

void former_judge(Former *former, const TrustList *trust, gint64 now, guint threads)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new(), taken = g_ptr_array_new(), records = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value = NULL;
    g_hash_table_iter_init(&iter, former->paths);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *entries = value;
        for (guint i = 0; i < entries->len; i++) {
            Entry *entry = g_ptr_array_index(entries, i);
            g_ptr_array_add(all, entry);
            g_ptr_array_add(taken, entry->place->origin);
            g_ptr_array_add(records, entry->record);
        }
    }
    g_autoptr(GPtrArray) verdicts = mirrored_verdicts(taken, records, trust, now, threads);
    for (guint i = 0; i < all->len; i++)
        take_verdict(former, g_ptr_array_index(all, i), g_ptr_array_index(verdicts, i));
}

/* --- Queries --- */

CatalogPack *former_find_file(Former *former, const guint8 sha256[SHA256_BYTES], const CatalogFile **ret_file)
{
    return holdings_take_file(former->holdings, sha256, ret_file);
}

CatalogPack *former_find_release(Former *former, const guint8 digest[SHA256_BYTES],
                                 const CatalogFile **ret_file)
{
    return holdings_take_release(former->holdings, digest, ret_file);
}
