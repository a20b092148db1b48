/* SPDX-License-Identifier: MIT
 *
 * Every scan opens the directories of packs anew: an operator may replace the packs directory whole (mv, a
 * remount), and the old descriptor would show the old one for ever. Files of packs that were not scanned
 * again keep the identity they had, so reading them through the new descriptor either finds the same file or
 * reports a conflict.
 */
#include "broker/serve/publisher_internal.h"

#include <string.h>

#include "broker/log.h"

static gboolean is_whole(const ScanJob *wish)
{
    return wish == NULL || wish->path == NULL || *wish->path == '\0';
}

/* --- Judging --- */

static PackPolicy policy_of(ConfigSigned setting)
{
    switch (setting) {
    case CONFIG_SIGNED_OFF:
        return PACK_POLICY_OFF;
    case CONFIG_SIGNED_REQUIRED:
        return PACK_POLICY_REQUIRED;
    case CONFIG_SIGNED_PREFERRED:
    default:
        return PACK_POLICY_PREFERRED;
    }
}

/* Judges scanned local places by the present trust list and policy; a new array. */
static GPtrArray *judge_places(Publisher *publisher, GPtrArray *scanned)
{
    PackJudgeOptions options = {policy_of(publisher->current->config->signed_local), publisher->trust,
                                g_get_real_time() / G_USEC_PER_SEC};
    return pack_judge_all(scanned, &options, publisher_threads(publisher));
}

static void note_judging(Publisher *publisher, gint64 began_us, gboolean all)
{
    gint64 until = pack_judge_until(publisher->trust, g_get_real_time() / G_USEC_PER_SEC);
    publisher_note_time(publisher, until, all);
    publisher->judged_policy = policy_of(publisher->current->config->signed_local);
    trust_list_hash(publisher->trust, publisher->judged_trust);
    g_mutex_lock(&publisher->lock);
    publisher->info.judge_elapsed_us = g_get_monotonic_time() - began_us;
    g_mutex_unlock(&publisher->lock);
}

gboolean publisher_judgement_is_stale(const Publisher *publisher)
{
    guint8 trust[SHA256_BYTES];
    trust_list_hash(publisher->trust, trust);
    return policy_of(publisher->current->config->signed_local) != publisher->judged_policy ||
           memcmp(trust, publisher->judged_trust, sizeof trust) != 0;
}

/* Local places with another verdict than before become changes. */
static void judge_local(Publisher *publisher, Change *change)
{
    g_autoptr(GPtrArray) places = catalog_places_below(publisher->local, "", 0);
    g_autoptr(GPtrArray) scanned = g_ptr_array_new(), upserts = g_ptr_array_new(), none = g_ptr_array_new();
    for (guint i = 0; i < places->len; i++)
        g_ptr_array_add(scanned, ((CatalogPack *)g_ptr_array_index(places, i))->origin);
    g_autoptr(GPtrArray) judged = judge_places(publisher, scanned);
    for (guint i = 0; i < judged->len; i++) {
        CatalogPack *pack = g_ptr_array_index(judged, i);
        if (!pack_judge_same(pack, g_ptr_array_index(places, i)))
            g_ptr_array_add(upserts, pack);
    }
    change_local(change, upserts, none);
}

void publisher_judge_and_publish(Publisher *publisher)
{
    g_auto(Change) change;
    g_autoptr(GError) error = NULL;
    gint64 began_us = g_get_monotonic_time();
    change_init(&change, publisher);
    change.full = TRUE;
    judge_local(publisher, &change);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    mirrored_judge(publisher->mirrored, publisher->trust, now, publisher_threads(publisher), &change.touch);
    former_judge(publisher->former, publisher->trust, now, publisher_threads(publisher));
    note_judging(publisher, began_us, TRUE);
    change_merge(&change, publisher);
    change_publish(&change, publisher, &error);
}

/* --- Scanning --- */

static void note_scan(Publisher *publisher, const PackScan *scan, gboolean full, gint64 elapsed_us)
{
    g_mutex_lock(&publisher->lock);
    PublisherInfo *info = &publisher->info;
    info->scans++;
    info->scanned_at_us = g_get_real_time();
    info->scan_elapsed_us = elapsed_us;
    info->places = scan != NULL ? scan->places : 0;
    info->unchanged = scan != NULL ? scan->unchanged : 0;
    if (full) {
        g_clear_pointer(&info->problems, g_ptr_array_unref);
        info->problems = scan != NULL ? g_ptr_array_ref(scan->problems) : NULL;
    }
    g_mutex_unlock(&publisher->lock);
}

static PackScan *scan_disk(Publisher *publisher, PackRoot *root, const ScanJob *wish, GError **error)
{
    PackScanOptions options = {
        .prefix = is_whole(wish) ? "" : wish->path,
        .base = publisher->local,
        .threads = publisher_threads(publisher),
        .hash = TRUE,
        .known = publisher->hashes,
        .distrusted = wish != NULL && wish->distrust ? wish->path : NULL,
    };
    return pack_scan_with(root, &options, error);
}

/* The paths of all local places, borrowed; NULL when the store of hashes does not ask for them. */
static GHashTable *whole_of(const Publisher *publisher, const Change *change)
{
    if (!change->full || publisher->hashes == NULL || !hash_store_is_loaded(publisher->hashes))
        return NULL;
    GHashTable *whole = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) places = catalog_places_below(change->local, "", 0);
    for (guint i = 0; i < places->len; i++)
        g_hash_table_add(whole, ((CatalogPack *)g_ptr_array_index(places, i))->path);
    return whole;
}

static void take_scan(Publisher *publisher, Change *change, PackScan *scan)
{
    gint64 began_us = g_get_monotonic_time();
    g_autoptr(GPtrArray) judged = judge_places(publisher, scan->upserts);
    note_judging(publisher, began_us, FALSE);
    change->directories = scan->directories;
    change_local(change, judged, scan->removals);
    g_autoptr(GHashTable) whole = whole_of(publisher, change);
    publisher_save_hashes(&publisher->hashes, scan->upserts, scan->removals, whole);
    for (guint i = 0; i < scan->problems->len; i++)
        log_event(LOG_WARNING, "scan-problem", "reason", g_ptr_array_index(scan->problems, i), NULL);
}

/* Without a packs directory there are no local places (contract: an empty tree), which is as it should be on
 * a broker that only mirrors. */
static void take_nothing(Publisher *publisher, Change *change)
{
    const Config *config = publisher->current->config;
    if (config->sources->len == 0)
        log_event(LOG_WARNING, "packs-directory-missing", "path", config->packs_dir, NULL);
    g_autoptr(GPtrArray) places = catalog_places_below(publisher->local, "", 0);
    g_autoptr(GPtrArray) none = g_ptr_array_new(), gone = g_ptr_array_new();
    for (guint i = 0; i < places->len; i++)
        g_ptr_array_add(gone, ((CatalogPack *)g_ptr_array_index(places, i))->path);
    change->full = TRUE;
    change->directories = none;
    change_local(change, none, gone);
    change->directories = NULL;
}

/* Until something is published for the first time, the mirrored places have not been settled. */
static void take_mirrored(Publisher *publisher, Change *change)
{
    publisher_take_waiting(publisher, change);
    if (!publisher->current->scanned)
        mirrored_touch_all(publisher->mirrored, &change->touch);
}

gboolean publisher_scan_and_publish(Publisher *publisher, const ScanJob *wish, GError **error)
{
    gint64 began_us = g_get_monotonic_time();
    g_autoptr(PackScan) scan = NULL;
    g_auto(Change) change;
    change_init(&change, publisher);
    change.full = is_whole(wish);
    if (!change_open_root(&change, publisher, error))
        return FALSE;
    take_mirrored(publisher, &change);
    if (!pack_root_has(change.root, PACK_ROOT_PACKS)) {
        take_nothing(publisher, &change);
    } else {
        scan = scan_disk(publisher, change.root, wish, error);
        if (scan == NULL)
            return FALSE;
        take_scan(publisher, &change, scan);
    }
    change_merge(&change, publisher);
    note_scan(publisher, scan, change.full, g_get_monotonic_time() - began_us);
    return change_publish(&change, publisher, error);
}
