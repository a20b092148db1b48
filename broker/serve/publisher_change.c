/* SPDX-License-Identifier: MIT
 *
 * One way from a change to what everybody sees. Local and mirrored places were brought up to date by whoever
 * began the change; here the touched paths are settled, and what follows from that goes where it belongs:
 * public places into the catalog, the search index and what other brokers are told, private ones into the
 * hidden catalog and the views of those who may see them, and nowhere else.
 */
#include "broker/serve/publisher_internal.h"

#include <string.h>

#include "broker/log.h"

/* --- Life cycle --- */

void change_init(Change *change, const Publisher *publisher)
{
    const Snapshot *now = publisher->current;
    *change = (Change){.root = now->root != NULL ? pack_root_ref(now->root) : NULL,
                       .local = catalog_ref(publisher->local)};
    mirrored_touch_init(&change->touch);
    catalog_change_init(&change->open);
    catalog_change_init(&change->closed);
}

void change_clear(Change *change)
{
    g_clear_pointer(&change->root, pack_root_unref);
    g_clear_pointer(&change->local, catalog_unref);
    g_clear_pointer(&change->catalog, catalog_unref);
    g_clear_pointer(&change->hidden, catalog_unref);
    mirrored_touch_clear(&change->touch);
    catalog_change_clear(&change->open);
    catalog_change_clear(&change->closed);
}

/* --- Making --- */

gboolean change_open_root(Change *change, const Publisher *publisher, GError **error)
{
    const Config *config = publisher->current->config;
    g_autofree char *releases = g_build_filename(config->store_dir, "releases", NULL);
    PackRoot *root = pack_root_open_both(config->packs_dir, releases, error);
    if (root == NULL)
        return FALSE;
    pack_root_unref(change->root);
    change->root = root;
    return TRUE;
}

void change_local(Change *change, GPtrArray *upserts, GPtrArray *removals)
{
    for (guint i = 0; i < upserts->len; i++) {
        const CatalogPack *place = g_ptr_array_index(upserts, i);
        g_hash_table_add(change->touch.public_paths, g_strdup(place->path));
    }
    for (guint i = 0; i < removals->len; i++)
        g_hash_table_add(change->touch.public_paths, g_strdup(g_ptr_array_index(removals, i)));
    Catalog *local = catalog_with_changes(change->local, upserts, removals, change->directories);
    catalog_unref(change->local);
    change->local = local;
}

void change_merge(Change *change, const Publisher *publisher)
{
    const Snapshot *now = publisher->current;
    mirrored_merge(publisher->mirrored, change->local, now->catalog, &change->touch, &change->open);
    mirrored_merge_private(publisher->mirrored, now->hidden, &change->touch, &change->closed);
    change->catalog =
        catalog_with_changes(now->catalog, change->open.upserts, change->open.removals, change->directories);
    change->hidden = catalog_with_changes(now->hidden, change->closed.upserts, change->closed.removals, NULL);
}

/* --- Telling --- */

static void log_problem(const CatalogPack *place)
{
    log_event(LOG_WARNING, "pack-problem", "pack", place->path, "reason", place->problem, NULL);
}

static void log_refusal(const CatalogPack *place)
{
    log_event(LOG_WARNING, "pack-refused", "pack", place->path, "source",
              place->source != NULL ? place->source : "local", "rule", accept_rule_name(place->release.rule),
              "reason", place->release.reason, NULL);
}

/* Once per change: a refusal that stands is not repeated at every scan. */
static void log_verdicts(const CatalogChange *change, const Catalog *before)
{
    for (guint i = 0; i < change->upserts->len; i++) {
        const CatalogPack *place = g_ptr_array_index(change->upserts, i);
        const CatalogPack *old = catalog_place(before, place->path, strlen(place->path));
        gboolean was_refused = old != NULL && old->refused;
        if (place->refused && !(was_refused && strcmp(old->problem, place->problem) == 0))
            log_refusal(place);
        else if (place->problem != NULL && !place->refused && (old == NULL || old->origin != place->origin))
            log_problem(place);
        else if (was_refused && !place->refused)
            log_event(LOG_INFO, "pack-served-again", "pack", place->path, NULL);
    }
}

/* --- Holdings --- */

static void forget_pack(Publisher *publisher, const Catalog *before, const Catalog *after, const char *path)
{
    const CatalogPack *pack = catalog_place(before, path, strlen(path));
    if (pack != NULL && catalog_place(after, path, strlen(path)) != pack)
        holdings_remove(publisher->holdings, pack);
}

/* What the old catalog had of the changed places and the new one has not. */
static void forget_holdings(Publisher *publisher, const Catalog *before, const Catalog *after,
                            const CatalogChange *change)
{
    for (guint i = 0; i < change->upserts->len; i++)
        forget_pack(publisher, before, after, ((CatalogPack *)g_ptr_array_index(change->upserts, i))->path);
    for (guint i = 0; i < change->removals->len; i++)
        forget_pack(publisher, before, after, g_ptr_array_index(change->removals, i));
}

static void remember_holdings(Publisher *publisher, const CatalogChange *change)
{
    for (guint i = 0; i < change->upserts->len; i++)
        holdings_add(publisher->holdings, g_ptr_array_index(change->upserts, i));
}

/* --- Publishing --- */

static Snapshot *make_snapshot(const Change *change, Publisher *publisher)
{
    Snapshot *next = publisher_derive(publisher, publisher->current);
    catalog_unref(next->catalog);
    next->catalog = catalog_ref(change->catalog);
    catalog_unref(next->hidden);
    next->hidden = catalog_ref(change->hidden);
    pack_root_unref(next->root);
    next->root = change->root != NULL ? pack_root_ref(change->root) : NULL;
    trust_list_unref(next->trust);
    next->trust = trust_list_ref(publisher->trust);
    Exchange *before = next->exchange;
    next->exchange = exchange_writer_advance(publisher->exchange, before, change->open.upserts,
                                             change->open.removals, next->config->name);
    exchange_unref(before);
    next->scanned = TRUE;
    return next;
}

static void note_mirrored(Publisher *publisher)
{
    g_mutex_lock(&publisher->lock);
    publisher->info.mirrored = mirrored_count(publisher->mirrored, /* is_private= */ FALSE);
    publisher->info.mirrored_private = mirrored_count(publisher->mirrored, /* is_private= */ TRUE);
    g_mutex_unlock(&publisher->lock);
}

static void publish(const Change *change, Publisher *publisher)
{
    g_autoptr(Snapshot) before = snapshot_ref(publisher->current);
    remember_holdings(publisher, &change->open);
    remember_holdings(publisher, &change->closed);
    publisher_publish(publisher, make_snapshot(change, publisher));
    forget_holdings(publisher, before->catalog, change->catalog, &change->open);
    forget_holdings(publisher, before->hidden, change->hidden, &change->closed);
    catalog_unref(publisher->local);
    publisher->local = catalog_ref(change->local);
    note_mirrored(publisher);
}

/* --- Index --- */

static IndexState index_state(Publisher *publisher)
{
    g_mutex_lock(&publisher->lock);
    IndexState state = publisher->info.index;
    g_mutex_unlock(&publisher->lock);
    return state;
}

static void note_index(Publisher *publisher, const SearchApplyReport *report, const GError *failure)
{
    g_mutex_lock(&publisher->lock);
    PublisherInfo *info = &publisher->info;
    g_clear_pointer(&info->index_error, g_free);
    info->index = failure == NULL ? INDEX_READY : INDEX_FAILED;
    if (failure == NULL) {
        info->report = *report;
    } else {
        info->index_error = g_strdup(failure->message);
        info->index_failures++;
    }
    g_mutex_unlock(&publisher->lock);
    if (failure == NULL)
        g_atomic_int_set(&publisher->ready, TRUE);
}

/* Brings the index to the catalog. After a failure the next change, whatever it is of, compares everything
 * again. */
static gboolean apply_index(const Change *change, Publisher *publisher, GError **error)
{
    SearchApplyReport report = {0};
    g_autoptr(GError) failure = NULL;
    gboolean whole = change->full || index_state(publisher) != INDEX_READY;
    if (whole)
        search_index_apply(publisher->index, change->root, change->catalog, publisher_threads(publisher),
                           &report, &failure);
    else if (change->open.upserts->len + change->open.removals->len > 0)
        search_index_apply_changes(publisher->index, change->root, change->open.upserts,
                                   change->open.removals, &report, &failure);
    else
        return TRUE;
    note_index(publisher, &report, failure);
    if (failure == NULL)
        return TRUE;
    log_error_event(LOG_ERROR, "index-failed", failure, NULL);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean any_refused(const CatalogChange *change)
{
    for (guint i = 0; i < change->upserts->len; i++)
        if (((const CatalogPack *)g_ptr_array_index(change->upserts, i))->refused)
            return TRUE;
    return FALSE;
}

/* Something must not be served any more: it was refused, or became private. */
static gboolean is_urgent(const Change *change)
{
    return any_refused(&change->open) || any_refused(&change->closed) ||
           (change->open.removals->len > 0 && change->closed.upserts->len > 0);
}

/* Pages never wait for a broken index: the catalog is published in any case, and before the index is touched,
 * which may have to wait for locks and disks, when it is the first one or urgent. */
gboolean change_publish(Change *change, Publisher *publisher, GError **error)
{
    gboolean at_once = !publisher->current->scanned || is_urgent(change);
    log_verdicts(&change->open, publisher->current->catalog);
    log_verdicts(&change->closed, publisher->current->hidden);
    if (at_once)
        publish(change, publisher);
    gboolean indexed = apply_index(change, publisher, error);
    if (!at_once)
        publish(change, publisher);
    if (publisher->views != NULL)
        view_keeper_index(publisher->views, change->root, publisher_threads(publisher));
    return indexed;
}
