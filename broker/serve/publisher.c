/* SPDX-License-Identifier: MIT */
#include "broker/serve/publisher_internal.h"

#include <string.h>

#include "broker/log.h"
#include "broker/serve/admin_tokens.h"
#include "broker/serve/read_token_file.h"
#include "broker/serve/trust_file.h"

#define SCAN_THREADS_MAX 8

/* --- Snapshots --- */

Snapshot *snapshot_ref(Snapshot *snapshot)
{
    g_atomic_ref_count_inc(&snapshot->refs);
    return snapshot;
}

void snapshot_unref(Snapshot *snapshot)
{
    if (!g_atomic_ref_count_dec(&snapshot->refs))
        return;
    config_unref(snapshot->config);
    catalog_unref(snapshot->catalog);
    catalog_unref(snapshot->hidden);
    pack_root_unref(snapshot->root);
    g_ptr_array_unref(snapshot->tokens);
    trust_list_unref(snapshot->trust);
    exchange_unref(snapshot->exchange);
    views_unref(snapshot->views);
    g_free(snapshot);
}

Snapshot *publisher_derive(Publisher *publisher, const Snapshot *from)
{
    Snapshot *snapshot = g_new(Snapshot, 1);
    *snapshot = *from;
    g_atomic_ref_count_init(&snapshot->refs);
    snapshot->number = ++publisher->numbers;
    config_ref(snapshot->config);
    catalog_ref(snapshot->catalog);
    catalog_ref(snapshot->hidden);
    if (snapshot->root != NULL)
        pack_root_ref(snapshot->root);
    g_ptr_array_ref(snapshot->tokens);
    trust_list_ref(snapshot->trust);
    if (snapshot->exchange != NULL)
        exchange_ref(snapshot->exchange);
    if (snapshot->views != NULL)
        views_ref(snapshot->views);
    return snapshot;
}

/* TRUE when strangers are answered the same from both. */
static gboolean same_for_strangers(const Snapshot *a, const Snapshot *b)
{
    return a->scanned == b->scanned && a->config == b->config && a->trust == b->trust &&
           a->exchange == b->exchange && catalog_is_same(a->catalog, b->catalog);
}

static void advance_views(Publisher *publisher, Snapshot *snapshot)
{
    const Snapshot *before = publisher->current;
    snapshot->public_number = before->public_number + !same_for_strangers(before, snapshot);
    if (publisher->views == NULL || !snapshot->scanned)
        return;
    ViewInput input = {
        .packs = snapshot->catalog,
        .hidden = snapshot->hidden,
        .trie = exchange_writer_trie(publisher->exchange),
        .tokens = publisher->read_tokens,
        .broker_name = snapshot->config->name,
        .number = snapshot->number,
        .public_number = snapshot->public_number,
        .now = g_get_real_time() / G_USEC_PER_SEC,
    };
    views_unref(snapshot->views);
    snapshot->views = view_keeper_advance(publisher->views, &input);
}

void publisher_publish(Publisher *publisher, Snapshot *snapshot)
{
    advance_views(publisher, snapshot);
    g_mutex_lock(&publisher->lock);
    Snapshot *old = publisher->current;
    __atomic_store_n(&publisher->current, snapshot, __ATOMIC_RELEASE);
    g_mutex_unlock(&publisher->lock);
    snapshot_unref(old);
}

void scan_job_free(ScanJob *job)
{
    if (job == NULL)
        return;
    g_free(job->path);
    g_clear_error(&job->error);
    g_free(job);
}

void publisher_info_clear(PublisherInfo *info)
{
    g_clear_pointer(&info->problems, g_ptr_array_unref);
    g_clear_pointer(&info->index_error, g_free);
}

/* --- What the parts share --- */

guint publisher_threads(const Publisher *publisher)
{
    return CLAMP(publisher->current->config->workers, 1, SCAN_THREADS_MAX);
}

void publisher_note_time(Publisher *publisher, gint64 until, gboolean all)
{
    gint64 due = __atomic_load_n(&publisher->judge_at, __ATOMIC_RELAXED);
    if (all || until < due)
        __atomic_store_n(&publisher->judge_at, until, __ATOMIC_RELAXED);
}

HashStore *publisher_open_hashes(const char *path)
{
    g_autofree char *rebuilt = NULL;
    g_autoptr(GError) error = NULL;
    HashStore *store = hash_store_open(path, &rebuilt, &error);
    if (store == NULL)
        log_error_event(LOG_WARNING, "hashes-not-kept", error, NULL);
    else if (rebuilt != NULL)
        log_event(LOG_WARNING, "hashes-rebuilt", "reason", rebuilt, NULL);
    return store;
}

void publisher_save_hashes(HashStore **store, GPtrArray *upserts, GPtrArray *removals, GHashTable *whole)
{
    g_autoptr(GError) error = NULL;
    if (*store == NULL || hash_store_save(*store, upserts, removals, whole, &error))
        return;
    log_error_event(LOG_WARNING, "hashes-not-kept", error, NULL);
    g_clear_pointer(store, hash_store_free);
}

/* --- Messages of the indexer --- */

typedef struct {
    Publisher *publisher;
    ScanJob *job;      /* of a scan */
    MirrorJob *mirror; /* of a change of what is mirrored */
    Config *config;    /* of a reload */
} Order;

static void log_counts(const Publisher *publisher, const char *event)
{
    char packs[16], pages[24], problems[16], scan_ms[24], index_ms[24];
    const Catalog *catalog = publisher->current->catalog;
    g_snprintf(packs, sizeof packs, "%u", catalog_pack_count(catalog));
    g_snprintf(pages, sizeof pages, "%" G_GUINT64_FORMAT, catalog_page_count(catalog));
    g_snprintf(problems, sizeof problems, "%u", catalog_problem_count(catalog));
    g_snprintf(scan_ms, sizeof scan_ms, "%" G_GINT64_FORMAT, publisher->info.scan_elapsed_us / 1000);
    g_snprintf(index_ms, sizeof index_ms, "%" G_GINT64_FORMAT, publisher->info.report.elapsed_us / 1000);
    log_event(LOG_INFO, event, "packs", packs, "pages", pages, "problems", problems, "scan_ms", scan_ms,
              "index_ms", index_ms, NULL);
}

/* A few at a time, so that other orders need not wait for all of them. */
static void run_former(gpointer data, gboolean cancelled)
{
    Publisher *publisher = data;
    if (!cancelled && !g_atomic_int_get(&publisher->closing) && publisher_take_former(publisher))
        actor_post(publisher->indexer, run_former, publisher);
}

static void run_first(gpointer data, gboolean cancelled)
{
    Publisher *publisher = data;
    if (cancelled)
        return;
    g_autoptr(GError) error = NULL;
    if (publisher_scan_and_publish(publisher, NULL, &error))
        log_counts(publisher, "packs-scanned");
    else
        log_error_event(LOG_ERROR, "first-scan-failed", error, NULL);
    if (publisher->ready_func != NULL)
        publisher->ready_func(publisher->ready_user);
    actor_post(publisher->indexer, run_former, publisher);
}

static gboolean has_serial(const Catalog *catalog, const ScanJob *job)
{
    const CatalogPack *place = catalog_place(catalog, job->path, strlen(job->path));
    return place != NULL && place->serial == job->stale_serial;
}

/* TRUE when somebody else has scanned the place since the asker looked. */
static gboolean already_scanned(const Publisher *publisher, const ScanJob *job)
{
    if (job->stale_serial == 0 || job->path == NULL)
        return FALSE;
    return !has_serial(publisher->current->catalog, job) && !has_serial(publisher->current->hidden, job);
}

static gboolean carry_out_scan(Publisher *publisher, ScanJob *job)
{
    if (job->stale_serial != 0 && job->path != NULL &&
        publisher_mirror_again(publisher, job->path, job->stale_serial, &job->error))
        return job->error == NULL;
    return publisher_scan_and_publish(publisher, job, &job->error);
}

static void fill_result(const Publisher *publisher, ScanJob *job)
{
    const Catalog *catalog = publisher->current->catalog;
    if (job->path == NULL || *job->path == '\0') {
        job->packs = catalog_pack_count(catalog);
        job->pages = catalog_page_count(catalog);
        return;
    }
    const CatalogPack *place = catalog_place(catalog, job->path, strlen(job->path));
    job->packs = place != NULL && place->is_pack ? 1 : 0;
    job->pages = job->packs > 0 ? place->rows_indexed : 0;
}

static void run_scan(gpointer data, gboolean cancelled)
{
    g_autofree Order *order = data;
    ScanJob *job = order->job;
    gboolean wanted = !cancelled && !g_atomic_int_get(&order->publisher->closing);
    if (wanted && job->stale_serial != 0 && job->path != NULL)
        former_drop(order->publisher->former, job->path, job->stale_serial);
    if (wanted && !already_scanned(order->publisher, job)) {
        if (!carry_out_scan(order->publisher, job))
            log_error_event(LOG_WARNING, "scan-failed", job->error, "path", job->path, NULL);
    }
    if (job->reply_to == NULL) {
        scan_job_free(job);
        return;
    }
    fill_result(order->publisher, job);
    mailbox_post(job->reply_to, job->done, job);
}

static void run_mirror(gpointer data, gboolean cancelled)
{
    g_autofree Order *order = data;
    MirrorJob *job = order->mirror;
    if (!cancelled && !g_atomic_int_get(&order->publisher->closing))
        publisher_run_mirror(order->publisher, job);
    if (job->reply_to == NULL)
        mirror_job_free(job);
    else
        mailbox_post(job->reply_to, job->done, job);
}

static void reload_read_tokens(Publisher *publisher)
{
    g_autoptr(GError) error = NULL;
    if (publisher->views == NULL)
        return;
    ReadTokens *tokens = read_token_file_load(publisher->read_tokens_path, &error);
    if (tokens == NULL) {
        log_error_event(LOG_ERROR, "read-tokens-kept", error, NULL);
        return;
    }
    read_tokens_free(publisher->read_tokens);
    publisher->read_tokens = tokens;
}

static void run_reload(gpointer data, gboolean cancelled)
{
    g_autofree Order *order = data;
    g_autoptr(Config) config = order->config;
    Publisher *publisher = order->publisher;
    /* A later order has a newer configuration and reads tokens, trust list and packs all the same. */
    gboolean is_last = g_atomic_int_dec_and_test(&publisher->reloads);
    if (cancelled || !is_last || g_atomic_int_get(&publisher->closing))
        return;
    g_autoptr(GError) error = NULL;
    Snapshot *next = publisher_derive(publisher, publisher->current);
    config_unref(next->config);
    next->config = g_steal_pointer(&config);
    GPtrArray *tokens = admin_tokens_load(next->config, &error);
    if (tokens != NULL) {
        g_ptr_array_unref(next->tokens);
        next->tokens = tokens;
    } else {
        log_error_event(LOG_ERROR, "admin-tokens-kept", error, NULL);
        g_clear_error(&error);
    }
    reload_read_tokens(publisher);
    publisher_publish(publisher, next);
    TrustList *trust = trust_file_load(next->config->trust_file, &error);
    if (trust != NULL) {
        trust_list_unref(publisher->trust);
        publisher->trust = trust;
    } else {
        log_error_event(LOG_ERROR, "trust-list-kept", error, NULL);
        g_clear_error(&error);
    }
    if (publisher->current->scanned && publisher_judgement_is_stale(publisher))
        publisher_judge_and_publish(publisher);
    if (publisher_scan_and_publish(publisher, NULL, &error))
        log_counts(publisher, "packs-rescanned");
    else
        log_error_event(LOG_ERROR, "rescan-failed", error, NULL);
}

/* A query met damage in index.db: the next scan of everything makes it anew. */
static void on_index_damage(gpointer user, const char *message)
{
    log_event(LOG_ERROR, "index-damaged", "reason", message, NULL);
    publisher_scan(user, g_new0(ScanJob, 1));
}

static void run_judge(gpointer data, gboolean cancelled)
{
    Publisher *publisher = data;
    if (!cancelled && publisher->current->scanned)
        publisher_judge_and_publish(publisher);
}

/* --- Life cycle --- */

Publisher *publisher_new(Config *config, GPtrArray *tokens, TrustList *trust, Actor *indexer,
                         PublisherReady ready, gpointer ready_user)
{
    Publisher *publisher = g_new0(Publisher, 1);
    g_mutex_init(&publisher->lock);
    publisher->indexer = indexer;
    publisher->ready_func = ready;
    publisher->ready_user = ready_user;
    publisher->current = g_new0(Snapshot, 1);
    g_atomic_ref_count_init(&publisher->current->refs);
    publisher->current->config = config_ref(config);
    publisher->current->catalog = catalog_new_empty();
    publisher->current->hidden = catalog_new_empty();
    publisher->current->tokens = tokens;
    publisher->current->trust = trust_list_ref(trust);
    publisher->trust = trust;
    publisher->judge_at = G_MAXINT64;
    publisher->local = catalog_new_empty();
    publisher->mirrored = mirrored_new();
    publisher->holdings = holdings_new();
    publisher->former = former_new();
    publisher->tombstones = tombstones_new();
    return publisher;
}

void publisher_close(Publisher *publisher)
{
    g_atomic_int_set(&publisher->closing, TRUE);
}

void publisher_free(Publisher *publisher)
{
    if (publisher == NULL)
        return;
    snapshot_unref(publisher->current);
    publisher_info_clear(&publisher->info);
    search_index_free(publisher->index);
    hash_store_free(publisher->hashes);
    hash_store_free(publisher->release_hashes);
    catalog_unref(publisher->local);
    mirrored_free(publisher->mirrored);
    g_clear_pointer(&publisher->waiting, g_ptr_array_unref);
    exchange_writer_free(publisher->exchange);
    view_keeper_free(publisher->views);
    read_tokens_free(publisher->read_tokens);
    g_free(publisher->read_tokens_path);
    holdings_free(publisher->holdings);
    former_free(publisher->former);
    tombstones_free(publisher->tombstones);
    g_clear_pointer(&publisher->waiting_former, g_ptr_array_unref);
    trust_list_unref(publisher->trust);
    g_mutex_clear(&publisher->lock);
    g_free(publisher);
}

gboolean publisher_start(Publisher *publisher, const PublisherStores *stores, GError **error)
{
    g_autofree char *rebuilt = NULL;
    publisher->index = search_index_open(stores->index_path, &rebuilt, error);
    if (publisher->index == NULL)
        return FALSE;
    if (rebuilt != NULL)
        log_event(LOG_WARNING, "index-rebuilt", "reason", rebuilt, NULL);
    search_index_set_damage_func(publisher->index, on_index_damage, publisher);
    publisher->hashes = publisher_open_hashes(stores->hashes_path);
    publisher->exchange = exchange_writer_open(stores->catalog_path, stores->key, error);
    if (publisher->exchange == NULL)
        return FALSE;
    actor_post(publisher->indexer, run_first, publisher);
    return TRUE;
}

/* --- Operations and queries --- */

void publisher_scan(Publisher *publisher, ScanJob *job)
{
    Order *order = g_new(Order, 1);
    *order = (Order){.publisher = publisher, .job = job};
    actor_post(publisher->indexer, run_scan, order);
}

void publisher_set_views(Publisher *publisher, ViewKeeper *keeper, ReadTokens *tokens,
                         const char *tokens_path)
{
    g_assert(publisher->index == NULL && publisher->views == NULL);
    publisher->views = keeper;
    publisher->read_tokens = tokens;
    publisher->read_tokens_path = g_strdup(tokens_path);
    view_keeper_set_damage_func(keeper, on_index_damage, publisher);
}

void publisher_set_mirrored(Publisher *publisher, GPtrArray *packs)
{
    g_assert(publisher->index == NULL && publisher->waiting == NULL);
    publisher->waiting = packs;
}

void publisher_set_former(Publisher *publisher, GPtrArray *packs)
{
    g_assert(publisher->index == NULL && publisher->waiting_former == NULL);
    publisher->waiting_former = packs;
}

void publisher_set_tombstones(Publisher *publisher, const GPtrArray *packs)
{
    for (guint i = 0; i < packs->len; i++)
        tombstones_note(publisher->tombstones, g_ptr_array_index(packs, i));
}

void publisher_set_damage_func(Publisher *publisher, PublisherDamageFunc func, gpointer user)
{
    g_assert(publisher->index == NULL);
    publisher->damage_func = func;
    publisher->damage_user = user;
}

void publisher_mirror(Publisher *publisher, MirrorJob *job)
{
    Order *order = g_new(Order, 1);
    *order = (Order){.publisher = publisher, .mirror = job};
    actor_post(publisher->indexer, run_mirror, order);
}

void publisher_reload(Publisher *publisher, Config *config)
{
    Order *order = g_new(Order, 1);
    *order = (Order){.publisher = publisher, .config = config_ref(config)};
    g_atomic_int_inc(&publisher->reloads);
    actor_post(publisher->indexer, run_reload, order);
}

void publisher_tick(Publisher *publisher, gint64 now)
{
    gint64 due = __atomic_load_n(&publisher->judge_at, __ATOMIC_RELAXED);
    /* Of all threads that notice, one posts. */
    if (now >= due && __atomic_compare_exchange_n(&publisher->judge_at, &due, G_MAXINT64, FALSE,
                                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        actor_post(publisher->indexer, run_judge, publisher);
}

Snapshot *publisher_acquire(Publisher *publisher)
{
    g_mutex_lock(&publisher->lock);
    Snapshot *snapshot = snapshot_ref(publisher->current);
    g_mutex_unlock(&publisher->lock);
    return snapshot;
}

gboolean publisher_is_current(const Publisher *publisher, const Snapshot *held)
{
    return __atomic_load_n(&publisher->current, __ATOMIC_ACQUIRE) == held;
}

gboolean publisher_is_ready(const Publisher *publisher)
{
    return __atomic_load_n(&publisher->ready, __ATOMIC_ACQUIRE);
}

SearchIndex *publisher_index(const Publisher *publisher)
{
    return publisher->index;
}

void publisher_info(Publisher *publisher, PublisherInfo *ret)
{
    g_mutex_lock(&publisher->lock);
    *ret = publisher->info;
    ret->index_error = g_strdup(publisher->info.index_error);
    if (ret->problems != NULL)
        g_ptr_array_ref(ret->problems);
    g_mutex_unlock(&publisher->lock);
}

Holdings *publisher_holdings(const Publisher *publisher)
{
    return publisher->holdings;
}

Former *publisher_former(const Publisher *publisher)
{
    return publisher->former;
}

Tombstones *publisher_tombstones(const Publisher *publisher)
{
    return publisher->tombstones;
}
