/* SPDX-License-Identifier: MIT
 *
 * Every scan opens the packs directory anew: an operator may replace it whole (mv, a remount), and the old
 * descriptor would show the old one for ever. Files of packs that were not scanned again keep the identity
 * they had, so reading them through the new descriptor either finds the same file or reports a conflict.
 */
#include "broker/serve/publisher.h"

#include <string.h>

#include "broker/log.h"
#include "broker/serve/admin_tokens.h"
#include "broker/serve/trust_file.h"
#include "mirror/catalog/pack_judge.h"

#define SCAN_THREADS_MAX 8

struct Publisher {
    GMutex lock;
    Snapshot *current;  /* read without the lock by publisher_is_current; replaced under it */
    PublisherInfo info; /* guarded by the lock */
    gint ready;         /* atomic */
    gint reloads;       /* atomic; ordered and not yet begun */
    gint closing;       /* atomic */
    gint64 judge_at;    /* atomic; Unix seconds at which a verdict may change by itself */
    Actor *indexer;
    SearchIndex *index;
    Holdings *holdings;
    /* Indexer only: */
    guint64 numbers;   /* given out */
    TrustList *trust;  /* for the next snapshot */
    HashStore *hashes; /* NULL: there is none, everything is hashed at every start */
    ExchangeWriter *exchange;
    /* What the places were judged by; the catalog has no others. */
    PackPolicy judged_policy;
    guint8 judged_trust[SHA256_BYTES];
    PublisherReady ready_func;
    gpointer ready_user;
};

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
    g_clear_pointer(&snapshot->root, pack_root_unref);
    g_ptr_array_unref(snapshot->tokens);
    trust_list_unref(snapshot->trust);
    exchange_unref(snapshot->exchange);
    g_free(snapshot);
}

/* A copy with everything referenced once more and a number of its own, to be changed before publication. */
static Snapshot *snapshot_derive(Publisher *publisher, const Snapshot *from)
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
    return snapshot;
}

static void publish(Publisher *publisher, Snapshot *snapshot)
{
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

/* --- Scanning (indexer) --- */

/* What is to become of the catalog. */
typedef struct {
    PackRoot *root; /* NULL: no packs directory */
    Catalog *catalog;
    PackScan *scan;      /* NULL without a packs directory, and when only verdicts change */
    GPtrArray *upserts;  /* of CatalogPack *, judged: what catalog has new */
    GPtrArray *removals; /* of char * */
    gboolean full;
} Scan;

static void scan_clear(Scan *scan)
{
    g_clear_pointer(&scan->root, pack_root_unref);
    g_clear_pointer(&scan->catalog, catalog_unref);
    g_clear_pointer(&scan->scan, pack_scan_free);
    g_clear_pointer(&scan->upserts, g_ptr_array_unref);
    g_clear_pointer(&scan->removals, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scan, scan_clear)

static guint scan_threads(const Config *config)
{
    return CLAMP(config->workers, 1, SCAN_THREADS_MAX);
}

static void note_scan(Publisher *publisher, const Scan *scan, gint64 elapsed_us)
{
    g_mutex_lock(&publisher->lock);
    PublisherInfo *info = &publisher->info;
    info->scans++;
    info->scanned_at_us = g_get_real_time();
    info->scan_elapsed_us = elapsed_us;
    info->places = scan->scan != NULL ? scan->scan->places : 0;
    info->unchanged = scan->scan != NULL ? scan->scan->unchanged : 0;
    if (scan->full) {
        g_clear_pointer(&info->problems, g_ptr_array_unref);
        info->problems = scan->scan != NULL ? g_ptr_array_ref(scan->scan->problems) : NULL;
    }
    g_mutex_unlock(&publisher->lock);
}

/* --- Judging (indexer) --- */

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

/* When some places were judged only, the others may have to be looked at earlier. */
static void note_time(Publisher *publisher, gint64 until, gboolean all)
{
    gint64 due = __atomic_load_n(&publisher->judge_at, __ATOMIC_RELAXED);
    if (all || until < due)
        __atomic_store_n(&publisher->judge_at, until, __ATOMIC_RELAXED);
}

/* Judges scanned places (`all`: of the whole catalog) by the present trust list and policy; a new array. */
static GPtrArray *judge_places(Publisher *publisher, GPtrArray *scanned, gboolean all)
{
    const Config *config = publisher->current->config;
    gint64 began_us = g_get_monotonic_time();
    PackJudgeOptions options = {policy_of(config->signed_local), publisher->trust,
                                g_get_real_time() / G_USEC_PER_SEC};
    note_time(publisher, pack_judge_until(options.trust, options.now), all);
    GPtrArray *judged = pack_judge_all(scanned, &options, scan_threads(config));
    publisher->judged_policy = options.policy;
    trust_list_hash(options.trust, publisher->judged_trust);
    g_mutex_lock(&publisher->lock);
    publisher->info.judge_elapsed_us = g_get_monotonic_time() - began_us;
    g_mutex_unlock(&publisher->lock);
    return judged;
}

/* FALSE when trust list and policy are those that all places were judged by. */
static gboolean judgement_is_stale(const Publisher *publisher)
{
    guint8 trust[SHA256_BYTES];
    trust_list_hash(publisher->trust, trust);
    return policy_of(publisher->current->config->signed_local) != publisher->judged_policy ||
           memcmp(trust, publisher->judged_trust, sizeof trust) != 0;
}

/* Judges all places of the catalog anew; those with another verdict become the upserts. */
static void take_verdicts(Publisher *publisher, Scan *ret)
{
    const Snapshot *now = publisher->current;
    g_autoptr(GPtrArray) places = catalog_places_below(now->catalog, "", 0);
    g_autoptr(GPtrArray) scanned = g_ptr_array_new();
    for (guint i = 0; i < places->len; i++)
        g_ptr_array_add(scanned, ((CatalogPack *)g_ptr_array_index(places, i))->origin);
    g_autoptr(GPtrArray) judged = judge_places(publisher, scanned, TRUE);
    ret->full = TRUE;
    ret->root = now->root != NULL ? pack_root_ref(now->root) : NULL;
    ret->upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    ret->removals = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < judged->len; i++) {
        CatalogPack *pack = g_ptr_array_index(judged, i);
        if (!pack_judge_same(pack, g_ptr_array_index(places, i)))
            g_ptr_array_add(ret->upserts, catalog_pack_ref(pack));
    }
    ret->catalog = catalog_with_changes(now->catalog, ret->upserts, ret->removals, NULL);
}

/* --- Taking (indexer) --- */

/* Looks at the disk. */
static PackScan *scan_disk(Publisher *publisher, PackRoot *root, const ScanJob *wish, gboolean full,
                           GError **error)
{
    const Snapshot *now = publisher->current;
    PackScanOptions options = {
        .prefix = full ? "" : wish->path,
        .base = now->catalog,
        .threads = scan_threads(now->config),
        .hash = TRUE,
        .known = publisher->hashes,
        .distrusted = wish != NULL && wish->distrust ? wish->path : NULL,
    };
    return pack_scan_with(root, &options, error);
}

/* A broken store costs time at the next start and nothing else. */
static void save_hashes(Publisher *publisher, const Scan *scan)
{
    g_autoptr(GError) error = NULL;
    if (publisher->hashes == NULL || scan->scan == NULL)
        return;
    if (!hash_store_save(publisher->hashes, scan->scan->upserts, scan->removals,
                         scan->full ? scan->catalog : NULL, &error)) {
        log_error_event(LOG_WARNING, "hashes-not-kept", error, NULL);
        g_clear_pointer(&publisher->hashes, hash_store_free);
    }
}

/* Opens the packs directory. A missing one is an empty catalog (contract: an empty tree): success with
 * `ret->root` NULL. */
static gboolean open_root(Publisher *publisher, Scan *ret, GError **error)
{
    g_autoptr(GError) cause = NULL;
    ret->root = pack_root_open(publisher->current->config->packs_dir, &cause);
    if (ret->root == NULL && !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (ret->root == NULL)
        log_error_event(LOG_WARNING, "packs-directory-missing", cause, NULL);
    return TRUE;
}

static void take_empty(Publisher *publisher, Scan *ret)
{
    g_autoptr(GPtrArray) places = catalog_places_below(publisher->current->catalog, "", 0);
    ret->full = TRUE;
    ret->upserts = g_ptr_array_new();
    ret->removals = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < places->len; i++)
        g_ptr_array_add(ret->removals, g_strdup(((CatalogPack *)g_ptr_array_index(places, i))->path));
    ret->catalog = catalog_new_empty();
}

/* `wish` NULL: everything. */
static gboolean take_scan(Publisher *publisher, const ScanJob *wish, Scan *ret, GError **error)
{
    const Snapshot *now = publisher->current;
    gint64 began_us = g_get_monotonic_time();
    ret->full = wish == NULL || wish->path == NULL || *wish->path == '\0';
    if (!open_root(publisher, ret, error))
        return FALSE;
    if (ret->root == NULL) {
        take_empty(publisher, ret);
    } else {
        ret->scan = scan_disk(publisher, ret->root, wish, ret->full, error);
        if (ret->scan == NULL)
            return FALSE;
        ret->upserts = judge_places(publisher, ret->scan->upserts, FALSE);
        ret->removals = g_ptr_array_ref(ret->scan->removals);
        ret->catalog =
            catalog_with_changes(now->catalog, ret->upserts, ret->removals, ret->scan->directories);
    }
    note_scan(publisher, ret, g_get_monotonic_time() - began_us);
    save_hashes(publisher, ret);
    return TRUE;
}

static void log_problems(const Scan *scan)
{
    if (scan->scan == NULL)
        return;
    for (guint i = 0; i < scan->upserts->len; i++) {
        const CatalogPack *place = g_ptr_array_index(scan->upserts, i);
        if (place->problem != NULL && !place->refused)
            log_event(LOG_WARNING, "pack-problem", "pack", place->path, "reason", place->problem, NULL);
    }
    for (guint i = 0; i < scan->scan->problems->len; i++)
        log_event(LOG_WARNING, "scan-problem", "reason", g_ptr_array_index(scan->scan->problems, i), NULL);
}

static const CatalogPack *known_place(const Publisher *publisher, const char *path)
{
    return catalog_place(publisher->current->catalog, path, strlen(path));
}

/* Once per change: a refusal that stands is not repeated at every scan. */
static void log_verdicts(const Publisher *publisher, const Scan *scan)
{
    for (guint i = 0; i < scan->upserts->len; i++) {
        const CatalogPack *place = g_ptr_array_index(scan->upserts, i);
        const CatalogPack *old = known_place(publisher, place->path);
        gboolean was_refused = old != NULL && old->refused;
        if (place->refused && !(was_refused && strcmp(old->problem, place->problem) == 0))
            log_event(LOG_WARNING, "pack-refused", "pack", place->path, "rule",
                      accept_rule_name(place->release.rule), "reason", place->release.reason, NULL);
        else if (was_refused && !place->refused)
            log_event(LOG_INFO, "pack-served-again", "pack", place->path, NULL);
    }
}

/* What the old catalog had of the changed places and the new one has not. */
static void forget_holdings(Publisher *publisher, const Catalog *old, const Scan *scan)
{
    for (guint i = 0; i < scan->upserts->len + scan->removals->len; i++) {
        const char *path = i < scan->upserts->len ? ((CatalogPack *)g_ptr_array_index(scan->upserts, i))->path
                                                  : g_ptr_array_index(scan->removals, i - scan->upserts->len);
        const CatalogPack *pack = catalog_place(old, path, strlen(path));
        if (pack != NULL && catalog_place(scan->catalog, path, strlen(path)) != pack)
            holdings_remove(publisher->holdings, pack);
    }
}

static void publish_scan(Publisher *publisher, const Scan *scan)
{
    g_autoptr(Catalog) old = catalog_ref(publisher->current->catalog);
    Snapshot *next = snapshot_derive(publisher, publisher->current);
    catalog_unref(next->catalog);
    next->catalog = catalog_ref(scan->catalog);
    g_clear_pointer(&next->root, pack_root_unref);
    next->root = scan->root != NULL ? pack_root_ref(scan->root) : NULL;
    trust_list_unref(next->trust);
    next->trust = trust_list_ref(publisher->trust);
    Exchange *before = next->exchange;
    next->exchange = exchange_writer_advance(publisher->exchange, before, scan->upserts, scan->removals,
                                             next->config->name);
    exchange_unref(before);
    next->scanned = TRUE;
    for (guint i = 0; i < scan->upserts->len; i++)
        holdings_add(publisher->holdings, g_ptr_array_index(scan->upserts, i));
    publish(publisher, next);
    forget_holdings(publisher, old, scan);
}

/* --- Index (indexer) --- */

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

/* Brings the index to the catalog of the scan. After a failure the next scan, whatever it is of, compares
 * everything again. */
static gboolean apply_index(Publisher *publisher, const Scan *scan, GError **error)
{
    SearchApplyReport report = {0};
    g_autoptr(GError) failure = NULL;
    gboolean whole = scan->full || index_state(publisher) != INDEX_READY;
    if (whole)
        search_index_apply(publisher->index, scan->root, scan->catalog,
                           scan_threads(publisher->current->config), &report, &failure);
    else if (scan->upserts->len + scan->removals->len > 0)
        search_index_apply_changes(publisher->index, scan->root, scan->upserts, scan->removals, &report,
                                   &failure);
    else
        return TRUE;
    note_index(publisher, &report, failure);
    if (failure == NULL)
        return TRUE;
    log_error_event(LOG_ERROR, "index-failed", failure, NULL);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* Pages never wait for a broken index: the catalog is published in any case, and `at_once` before the index
 * is touched, which may have to wait for locks and disks. */
static gboolean index_and_publish(Publisher *publisher, const Scan *scan, gboolean at_once, GError **error)
{
    log_verdicts(publisher, scan);
    if (at_once)
        publish_scan(publisher, scan);
    gboolean indexed = apply_index(publisher, scan, error);
    if (!at_once)
        publish_scan(publisher, scan);
    return indexed;
}

static gboolean scan_and_publish(Publisher *publisher, const ScanJob *wish, GError **error)
{
    g_auto(Scan) scan = {0};
    if (!take_scan(publisher, wish, &scan, error))
        return FALSE;
    log_problems(&scan);
    return index_and_publish(publisher, &scan, /* at_once= */ !publisher->current->scanned, error);
}

static gboolean any_refused(const GPtrArray *places)
{
    for (guint i = 0; i < places->len; i++)
        if (((const CatalogPack *)g_ptr_array_index(places, i))->refused)
            return TRUE;
    return FALSE;
}

/* Nothing is read from disk, so that a revocation takes effect whatever state the disk is in. */
static void judge_and_publish(Publisher *publisher)
{
    g_auto(Scan) scan = {0};
    g_autoptr(GError) error = NULL;
    take_verdicts(publisher, &scan);
    index_and_publish(publisher, &scan, any_refused(scan.upserts), &error);
}

/* --- Messages of the indexer --- */

typedef struct {
    Publisher *publisher;
    ScanJob *job;   /* of a scan */
    Config *config; /* of a reload */
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

static void run_first(gpointer data, gboolean cancelled)
{
    Publisher *publisher = data;
    if (cancelled)
        return;
    g_autoptr(GError) error = NULL;
    if (scan_and_publish(publisher, NULL, &error))
        log_counts(publisher, "packs-scanned");
    else
        log_error_event(LOG_ERROR, "first-scan-failed", error, NULL);
    if (publisher->ready_func != NULL)
        publisher->ready_func(publisher->ready_user);
}

/* TRUE when somebody else has scanned the place since the asker looked. */
static gboolean already_scanned(const Publisher *publisher, const ScanJob *job)
{
    if (job->stale_serial == 0 || job->path == NULL)
        return FALSE;
    const CatalogPack *place = catalog_place(publisher->current->catalog, job->path, strlen(job->path));
    return place == NULL || place->serial != job->stale_serial;
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
    if (wanted && !already_scanned(order->publisher, job)) {
        if (!scan_and_publish(order->publisher, job, &job->error))
            log_error_event(LOG_WARNING, "scan-failed", job->error, "path", job->path, NULL);
    }
    if (job->reply_to == NULL) {
        scan_job_free(job);
        return;
    }
    fill_result(order->publisher, job);
    mailbox_post(job->reply_to, job->done, job);
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
    Snapshot *next = snapshot_derive(publisher, publisher->current);
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
    publish(publisher, next);
    TrustList *trust = trust_file_load(next->config->trust_file, &error);
    if (trust != NULL) {
        trust_list_unref(publisher->trust);
        publisher->trust = trust;
    } else {
        log_error_event(LOG_ERROR, "trust-list-kept", error, NULL);
        g_clear_error(&error);
    }
    if (publisher->current->scanned && judgement_is_stale(publisher))
        judge_and_publish(publisher);
    if (scan_and_publish(publisher, NULL, &error))
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
        judge_and_publish(publisher);
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
    publisher->holdings = holdings_new();
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
    exchange_writer_free(publisher->exchange);
    holdings_free(publisher->holdings);
    trust_list_unref(publisher->trust);
    g_mutex_clear(&publisher->lock);
    g_free(publisher);
}

/* A store that cannot be opened is done without. */
static void open_hashes(Publisher *publisher, const char *path)
{
    g_autofree char *rebuilt = NULL;
    g_autoptr(GError) error = NULL;
    publisher->hashes = hash_store_open(path, &rebuilt, &error);
    if (publisher->hashes == NULL)
        log_error_event(LOG_WARNING, "hashes-not-kept", error, NULL);
    else if (rebuilt != NULL)
        log_event(LOG_WARNING, "hashes-rebuilt", "reason", rebuilt, NULL);
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
    open_hashes(publisher, stores->hashes_path);
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
