/* SPDX-License-Identifier: MIT
 *
 * Two hash tables by path, one per name space. A touched path is answered by two look-ups, one in the tree of
 * local places and one in a table; only when the winner is another object than the one that the catalog has
 * is there something to do.
 */
#include "broker/serve/mirrored.h"

#include <string.h>

#define POLICIES (PACK_POLICY_REQUIRED + 1)

typedef struct {
    CatalogPack *place;
    MirroredPack *record;
} Entry;

struct Mirrored {
    GHashTable *spaces[2]; /* by is_private: path (of the record) → Entry */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;
    catalog_pack_unref(entry->place);
    mirrored_pack_free(entry->record);
    g_free(entry);
}

static void unref_pack(gpointer data)
{
    catalog_pack_unref(data);
}

/* --- Life cycle --- */

Mirrored *mirrored_new(void)
{
    Mirrored *mirrored = g_new0(Mirrored, 1);
    for (guint i = 0; i < G_N_ELEMENTS(mirrored->spaces); i++)
        mirrored->spaces[i] = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
    return mirrored;
}

void mirrored_free(Mirrored *mirrored)
{
    if (mirrored == NULL)
        return;
    for (guint i = 0; i < G_N_ELEMENTS(mirrored->spaces); i++)
        g_hash_table_unref(mirrored->spaces[i]);
    g_free(mirrored);
}

static GHashTable *space(const Mirrored *mirrored, gboolean is_private)
{
    return mirrored->spaces[is_private ? 1 : 0];
}

/* --- Touching --- */

void mirrored_touch_init(MirroredTouch *touch)
{
    touch->public_paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    touch->private_paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void mirrored_touch_clear(MirroredTouch *touch)
{
    g_clear_pointer(&touch->public_paths, g_hash_table_unref);
    g_clear_pointer(&touch->private_paths, g_hash_table_unref);
}

static void touch_path(MirroredTouch *touch, const char *path, gboolean is_private)
{
    g_hash_table_add(is_private ? touch->private_paths : touch->public_paths, g_strdup(path));
}

void mirrored_touch_all(const Mirrored *mirrored, MirroredTouch *touch)
{
    for (guint i = 0; i < G_N_ELEMENTS(mirrored->spaces); i++) {
        GHashTableIter iter;
        gpointer path = NULL;
        g_hash_table_iter_init(&iter, mirrored->spaces[i]);
        while (g_hash_table_iter_next(&iter, &path, NULL))
            touch_path(touch, path, i == 1);
    }
}

/* --- Operations --- */

void mirrored_put(Mirrored *mirrored, CatalogPack *place, MirroredPack *record, MirroredTouch *touch)
{
    g_assert(strcmp(place->path, record->path) == 0 && place->is_private == record->is_private);
    Entry *entry = g_new(Entry, 1);
    *entry = (Entry){catalog_pack_ref(place), record};
    g_hash_table_replace(space(mirrored, record->is_private), record->path, entry);
    touch_path(touch, record->path, record->is_private);
}

void mirrored_remove(Mirrored *mirrored, const char *path, gboolean is_private, MirroredTouch *touch)
{
    /* The path may be that of the entry itself. */
    touch_path(touch, path, is_private);
    g_hash_table_remove(space(mirrored, is_private), path);
}

/* --- Judging --- */

/* A release that is not what its name says, or that nobody can read, has nothing to serve. */
static CatalogPack *refuse(CatalogPack *judged, const char *reason)
{
    CatalogRelease release = {.is_checked = TRUE,
                              .rule = ACCEPT_HASH,
                              .reason = g_strdup(reason),
                              .publisher = g_strdup(""),
                              .version = g_strdup(judged->version),
                              .published_at = g_strdup("")};
    g_autofree char *problem = g_strconcat("not served: ", reason, NULL);
    CatalogPack *refused = catalog_pack_judged(judged->origin, &release, problem);
    catalog_pack_unref(judged);
    return refused;
}

/* A release is filed under the digest of what was signed; or, when nobody looks at its signature, under that
 * of its content. The verdict itself tells whether files and signature fit. */
static gboolean has_digest(const CatalogPack *judged, const MirroredPack *record)
{
    const CatalogRelease *release = &judged->release;
    return release->has_digest && (memcmp(release->digest, record->digest, SHA256_BYTES) == 0 ||
                                   memcmp(release->content_sha256, record->digest, SHA256_BYTES) == 0);
}

/* Takes over and returns a reference. */
static CatalogPack *hold_to_record(CatalogPack *judged, const MirroredPack *record)
{
    if (judged->refused)
        return judged;
    g_autofree char *reason = NULL;
    if (judged->problem != NULL)
        reason = g_strdup_printf("release %.12s: %s", judged->disk, judged->problem);
    else if (!has_digest(judged, record))
        reason = g_strdup_printf("release %.12s: its files are not those of that digest", judged->disk);
    return reason != NULL ? refuse(judged, reason) : judged;
}

/* Judges those of one policy; `judged` has a slot for each of all. */
static void judge_those_of(PackPolicy policy, GPtrArray *taken, GPtrArray *records,
                           const PackJudgeOptions *options, guint threads, CatalogPack **judged)
{
    g_autoptr(GPtrArray) of_policy = g_ptr_array_new();
    g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < taken->len; i++) {
        if (((const MirroredPack *)g_ptr_array_index(records, i))->policy != policy)
            continue;
        g_ptr_array_add(of_policy, g_ptr_array_index(taken, i));
        g_array_append_val(slots, i);
    }
    g_autoptr(GPtrArray) verdicts = pack_judge_all(of_policy, options, threads);
    for (guint i = 0; i < verdicts->len; i++) {
        guint slot = g_array_index(slots, guint, i);
        judged[slot] = hold_to_record(catalog_pack_ref(g_ptr_array_index(verdicts, i)),
                                      g_ptr_array_index(records, slot));
    }
}

GPtrArray *mirrored_verdicts(GPtrArray *taken, GPtrArray *records, const TrustList *trust, gint64 now,
                             guint threads)
{
    g_assert(taken->len == records->len);
    g_autofree CatalogPack **judged = g_new0(CatalogPack *, taken->len + 1);
    for (guint policy = 0; policy < POLICIES; policy++) {
        PackJudgeOptions options = {policy, trust, now};
        judge_those_of(policy, taken, records, &options, threads, judged);
    }
    GPtrArray *verdicts = g_ptr_array_new_full(taken->len, unref_pack);
    for (guint i = 0; i < taken->len; i++)
        g_ptr_array_add(verdicts, judged[i]);
    return verdicts;
}

void mirrored_judge(Mirrored *mirrored, const TrustList *trust, gint64 now, guint threads,
                    MirroredTouch *touch)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new(), taken = g_ptr_array_new(), records = g_ptr_array_new();
    for (guint i = 0; i < G_N_ELEMENTS(mirrored->spaces); i++) {
        GHashTableIter iter;
        gpointer entry = NULL;
        g_hash_table_iter_init(&iter, mirrored->spaces[i]);
        while (g_hash_table_iter_next(&iter, NULL, &entry)) {
            g_ptr_array_add(entries, entry);
            g_ptr_array_add(taken, ((Entry *)entry)->place->origin);
            g_ptr_array_add(records, ((Entry *)entry)->record);
        }
    }
    g_autoptr(GPtrArray) verdicts = mirrored_verdicts(taken, records, trust, now, threads);
    for (guint i = 0; i < entries->len; i++) {
        Entry *entry = g_ptr_array_index(entries, i);
        CatalogPack *verdict = g_ptr_array_index(verdicts, i);
        if (pack_judge_same(entry->place, verdict))
            continue;
        catalog_pack_unref(entry->place);
        entry->place = catalog_pack_ref(verdict);
        touch_path(touch, entry->record->path, entry->record->is_private);
    }
}

/* --- Queries --- */

static const Entry *find(const Mirrored *mirrored, const char *path, gboolean is_private)
{
    return g_hash_table_lookup(space(mirrored, is_private), path);
}

CatalogPack *mirrored_place(const Mirrored *mirrored, const char *path, gboolean is_private)
{
    const Entry *entry = find(mirrored, path, is_private);
    return entry != NULL ? entry->place : NULL;
}

const MirroredPack *mirrored_record(const Mirrored *mirrored, const char *path, gboolean is_private)
{
    const Entry *entry = find(mirrored, path, is_private);
    return entry != NULL ? entry->record : NULL;
}

guint mirrored_count(const Mirrored *mirrored, gboolean is_private)
{
    return g_hash_table_size(space(mirrored, is_private));
}

GHashTable *mirrored_disks(const Mirrored *mirrored)
{
    GHashTable *disks = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < G_N_ELEMENTS(mirrored->spaces); i++) {
        GHashTableIter iter;
        gpointer entry = NULL;
        g_hash_table_iter_init(&iter, mirrored->spaces[i]);
        while (g_hash_table_iter_next(&iter, NULL, &entry))
            g_hash_table_add(disks, ((Entry *)entry)->place->disk);
    }
    return disks;
}

/* --- Merging --- */

void catalog_change_init(CatalogChange *change)
{
    change->upserts = g_ptr_array_new_with_free_func(unref_pack);
    change->removals = g_ptr_array_new_with_free_func(g_free);
}

void catalog_change_clear(CatalogChange *change)
{
    g_clear_pointer(&change->upserts, g_ptr_array_unref);
    g_clear_pointer(&change->removals, g_ptr_array_unref);
}

static gint compare_places(gconstpointer a, gconstpointer b)
{
    const CatalogPack *const *left = a, *const *right = b;
    return strcmp((*left)->path, (*right)->path);
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The order of a hash table is chance; the index numbers new packs in this one. */
static void put_in_order(CatalogChange *change)
{
    g_ptr_array_sort(change->upserts, compare_places);
    g_ptr_array_sort(change->removals, compare_texts);
}

static void settle(const Catalog *catalog, const char *path, const CatalogPack *winner, CatalogChange *change)
{
    const CatalogPack *present = catalog_place(catalog, path, strlen(path));
    if (winner == present)
        return;
    if (winner != NULL)
        g_ptr_array_add(change->upserts, catalog_pack_ref((CatalogPack *)(guintptr)winner));
    else
        g_ptr_array_add(change->removals, g_strdup(path));
}

void mirrored_merge(const Mirrored *mirrored, const Catalog *local, const Catalog *catalog,
                    const MirroredTouch *touch, CatalogChange *ret)
{
    GHashTableIter iter;
    gpointer path = NULL;
    g_hash_table_iter_init(&iter, touch->public_paths);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const CatalogPack *winner = catalog_place(local, path, strlen(path));
        if (winner == NULL)
            winner = mirrored_place(mirrored, path, /* is_private= */ FALSE);
        settle(catalog, path, winner, ret);
    }
    put_in_order(ret);
}

void mirrored_merge_private(const Mirrored *mirrored, const Catalog *hidden, const MirroredTouch *touch,
                            CatalogChange *ret)
{
    GHashTableIter iter;
    gpointer path = NULL;
    g_hash_table_iter_init(&iter, touch->private_paths);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        settle(hidden, path, mirrored_place(mirrored, path, /* is_private= */ TRUE), ret);
    put_in_order(ret);
}
