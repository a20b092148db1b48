/* SPDX-License-Identifier: MIT
 *
 * Life of a Fetch:   (made) → worker → done → freed
 *                              ↑        │ CONFLICT
 *                              └─ scan ←┘
 * It belongs to its I/O thread, but while it is with a worker or the indexer it must survive the thread (at
 * shutdown), which is why it owns copies of everything and touches the thread only when not cancelled.
 */
#include "broker/serve/fetch.h"

#include <string.h>

#include "broker/log.h"
#include "broker/serve/status.h"
#include "broker/serve/view_request.h"
#include "signing/hash.h"

typedef struct {
    ServeThread *thread; /* not to be touched on a worker: it may be gone */
    Serve *serve;
    Snapshot *snapshot;
    const View *view; /* borrowed from the snapshot; NULL: what everybody may see */
    Route route;
    FetchFunc make;
    char *key; /* with what sets the view apart; may be NULL */
    char *path;
    gboolean is_file;
    guint page;
    gboolean takes_gzip; /* the first who waits */
    gint64 keep_us;
    const CatalogPack *place; /* borrowed from the snapshot, or from `former` */
    const CatalogFile *file;
    CatalogPack *former; /* a release that the snapshot has no longer; else NULL */
    guint attempts;
    GPtrArray *waiting; /* of HttpExchange *, owned by net */
    /* Result of the worker */
    Resource *resource;
    gboolean mismatch;
    gboolean distrust;
    GError *error;
} Fetch;

static void fetch_free(Fetch *fetch)
{
    snapshot_unref(fetch->snapshot);
    g_free(fetch->key);
    g_free(fetch->path);
    catalog_pack_unref(fetch->former);
    g_ptr_array_unref(fetch->waiting);
    resource_free(fetch->resource);
    g_clear_error(&fetch->error);
    g_free(fetch);
}

/* --- Files --- */

/* What a path or hash leads to. */
typedef struct {
    const CatalogPack *place;
    const CatalogFile *file;
    CatalogPack *former; /* `place`, when it is no longer in the catalog; owned */
} Found;

static void found_clear(Found *found)
{
    g_clear_pointer(&found->former, catalog_pack_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

static gboolean find_former(Serve *serve, Route route, const guint8 *hash, Found *ret)
{
    Former *former = publisher_former(serve->publisher);
    ret->former = route == ROUTE_BLOB ? former_find_file(former, hash, &ret->file)
                                      : former_find_release(former, hash, &ret->file);
    ret->place = ret->former;
    return ret->former != NULL;
}

static gboolean find_by_hash(Serve *serve, const Catalog *catalog, Route route, const char *hex, Found *ret)
{
    guint8 hash[SHA256_BYTES];
    Holdings *holdings = publisher_holdings(serve->publisher);
    if (!hex_decode(hex, hash, sizeof hash))
        return FALSE;
    gboolean present = route == ROUTE_BLOB
                           ? holdings_find_file(holdings, catalog, hash, &ret->place, &ret->file)
                           : holdings_find_release(holdings, catalog, hash, &ret->place, &ret->file);
    return present || find_former(serve, route, hash, ret);
}

static gboolean find_file(Serve *serve, const Catalog *catalog, Route route, const char *path, Found *ret)
{
    if (route == ROUTE_BLOB || route == ROUTE_RELEASE)
        return find_by_hash(serve, catalog, route, path, ret);
    return catalog_resolve(catalog, path, strlen(path), &ret->place, &ret->file);
}

/* --- The cache --- */

/* Under which the answer of a view is kept; other keys begin with a slash or another word. */
static char *view_key(const View *view, const char *key, gsize len)
{
    return g_strdup_printf("view:%s:%.*s", view->id, (int)len, key);
}

/* TRUE when the entry is right for the thread's snapshot. A change of another pack only moves the entry on:
 * its path must still lead to a place with the same serial; a blob is what it is wherever it is found. */
static gboolean entry_is_valid(ServeThread *thread, const View *view, PageCacheEntry *entry, const char *key,
                               gsize len)
{
    guint64 number = serve_number(thread->snapshot, view);
    if (entry->expires_us != 0 && g_get_monotonic_time() >= entry->expires_us)
        return FALSE;
    if (entry->snapshot == number)
        return TRUE;
    if (entry->serial == 0)
        return FALSE;
    RouteMatch match = route_match_public(key, len);
    g_autofree char *path = route_disk_path(&match);
    g_auto(Found) found = {0};
    if (!find_file(thread->serve, serve_catalog(thread->snapshot, view), match.route, path, &found) ||
        (match.route != ROUTE_BLOB && found.place->serial != entry->serial))
        return FALSE;
    entry->snapshot = number;
    return TRUE;
}

static void note_cache(ServeThread *thread)
{
    stats_set(&thread->stats->cache_bytes, page_cache_bytes(thread->pages));
    stats_set(&thread->stats->cache_entries, page_cache_count(thread->pages));
}

gboolean fetch_cached(ServeThread *thread, HttpExchange *exchange, const View *view, const char *key,
                      gsize len)
{
    g_autofree char *own = view != NULL ? view_key(view, key, len) : NULL;
    const char *kept = own != NULL ? own : key;
    gsize kept_len = own != NULL ? strlen(own) : len;
    PageCacheEntry *entry = page_cache_find(thread->pages, kept, kept_len);
    if (entry == NULL)
        return FALSE;
    if (!entry_is_valid(thread, view, entry, key, len)) {
        page_cache_remove(thread->pages, kept, kept_len);
        return FALSE;
    }
    /* Its compressed form was not made as long as nobody wanted it. */
    if (resource_lacks(entry->resource, http_exchange_request(exchange)))
        return FALSE;
    stats_add(&thread->stats->cache_hits, 1);
    http_exchange_set_route(exchange, entry->route);
    serve_finish(exchange, resource_answer(entry->resource, http_exchange_request(exchange)));
    return TRUE;
}

static void keep(Fetch *fetch)
{
    ServeThread *thread = fetch->thread;
    if (fetch->key == NULL)
        return;
    PageCacheEntry entry = {
        .resource = g_steal_pointer(&fetch->resource),
        .snapshot = serve_number(fetch->snapshot, fetch->view),
        .serial = fetch->place != NULL ? fetch->place->serial : 0,
        .expires_us = fetch->keep_us > 0 ? g_get_monotonic_time() + fetch->keep_us : 0,
        .route = fetch->route,
    };
    page_cache_put(thread->pages, fetch->key, strlen(fetch->key), &entry);
    note_cache(thread);
}

/* --- Answers --- */

/* Nobody joins any more. */
static void unlist(Fetch *fetch)
{
    if (fetch->key != NULL && g_hash_table_lookup(fetch->thread->fetches, fetch->key) == fetch)
        g_hash_table_remove(fetch->thread->fetches, fetch->key);
}

static void refuse_all(Fetch *fetch, HttpReply *reply, const StatsRejection *reason)
{
    unlist(fetch);
    for (guint i = 0; i < fetch->waiting->len; i++) {
        if (reason != NULL)
            stats_add(&fetch->thread->stats->rejections[*reason], 1);
        http_exchange_reply(g_ptr_array_index(fetch->waiting, i), reply);
    }
    http_reply_unref(reply);
    fetch_free(fetch);
}

static void refuse_busy(Fetch *fetch, const char *detail, StatsRejection reason)
{
    HttpReply *reply = status_reply_busy(detail);
    view_request_mark(fetch->view, reply);
    refuse_all(fetch, reply, &reason);
}

static void answer_all(Fetch *fetch)
{
    unlist(fetch);
    if (fetch->mismatch)
        stats_add(&fetch->thread->stats->rejections[STATS_HASH_MISMATCH], 1);
    /* Kept before anybody is answered: an answer may let the next request of that connection in. */
    guint count = fetch->waiting->len;
    g_autofree HttpReply **replies = g_new(HttpReply *, count);
    for (guint i = 0; i < count; i++)
        replies[i] = resource_answer(fetch->resource, http_exchange_request(fetch->waiting->pdata[i]));
    keep(fetch);
    for (guint i = 0; i < count; i++)
        serve_finish(fetch->waiting->pdata[i], replies[i]);
    fetch_free(fetch);
}

/* --- Making --- */

static void submit(Fetch *fetch);

static void make_on_worker(gpointer data)
{
    Fetch *fetch = data;
    FetchInput input = {
        .serve = fetch->serve,
        .snapshot = fetch->snapshot,
        .catalog = serve_catalog(fetch->snapshot, fetch->view),
        .exchange = serve_exchange(fetch->snapshot, fetch->view),
        .route = fetch->route,
        .path = fetch->path,
        .place = fetch->place,
        .file = fetch->file,
        .page = fetch->page,
        .takes_gzip = fetch->takes_gzip,
        .ret_mismatch = &fetch->mismatch,
        .ret_distrust = &fetch->distrust,
    };
    fetch->resource = fetch->make(&input, &fetch->error);
    if (fetch->resource != NULL && fetch->view != NULL)
        resource_make_private(fetch->resource);
}

/* The file the path leads to on the fetch's snapshot. Answers 404 and frees the fetch when there is none. */
static gboolean resolve(Fetch *fetch)
{
    if (!fetch->is_file)
        return TRUE;
    g_auto(Found) found = {0};
    if (find_file(fetch->serve, serve_catalog(fetch->snapshot, fetch->view), fetch->route, fetch->path,
                  &found)) {
        catalog_pack_unref(fetch->former);
        fetch->former = g_steal_pointer(&found.former);
        fetch->place = found.place;
        fetch->file = found.file;
        return TRUE;
    }
    refuse_all(fetch, view_request_refusal(fetch->view, 404), NULL);
    return FALSE;
}

/* Goes on with another snapshot. A view that is no longer there leaves what everybody may see, which is then
 * not kept under the view's name. */
static void move_to(Fetch *fetch, Snapshot *snapshot)
{
    const View *view = fetch->view != NULL ? views_by_id(snapshot->views, fetch->view->id) : NULL;
    if (view == NULL && fetch->view != NULL)
        g_clear_pointer(&fetch->key, g_free);
    snapshot_unref(fetch->snapshot);
    fetch->snapshot = snapshot_ref(snapshot);
    fetch->view = view;
}

static void scanned(gpointer data, gboolean cancelled)
{
    g_autoptr(ScanJob) job = data;
    Fetch *fetch = job->user;
    if (cancelled) {
        fetch_free(fetch);
        return;
    }
    serve_thread_refresh(fetch->thread);
    move_to(fetch, fetch->thread->snapshot);
    if (resolve(fetch))
        submit(fetch);
}

/* The file on disk is not the one that was scanned. */
static void rescan(Fetch *fetch)
{
    /* Later requests may see a newer snapshot than the one this fetch was begun with: they start their own.
     */
    unlist(fetch);
    ScanJob *job = g_new0(ScanJob, 1);
    job->path = g_strdup(fetch->place->path);
    job->stale_serial = fetch->place->serial;
    job->distrust = fetch->distrust;
    job->reply_to = fetch->thread->mailbox;
    job->done = scanned;
    job->user = fetch;
    fetch->distrust = FALSE;
    publisher_scan(fetch->thread->serve->publisher, job);
}

static gboolean file_has_changed(const Fetch *fetch)
{
    return fetch->is_file && (g_error_matches(fetch->error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT) ||
                              g_error_matches(fetch->error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND));
}

static void made(gpointer data, gboolean cancelled)
{
    Fetch *fetch = data;
    if (cancelled) {
        fetch_free(fetch);
        return;
    }
    if (fetch->error == NULL) {
        answer_all(fetch);
    } else if (!fetch->is_file && g_error_matches(fetch->error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        refuse_all(fetch, view_request_refusal(fetch->view, 404), NULL);
    } else if (!file_has_changed(fetch)) {
        guint status = status_of_error(fetch->error) == 503 ? 503 : 500;
        log_error_event(LOG_ERROR, "read-failed", fetch->error, "route", route_name(fetch->route), NULL);
        refuse_all(fetch, view_request_refusal(fetch->view, status), NULL);
    } else if (fetch->attempts < FETCH_ATTEMPTS) {
        g_clear_error(&fetch->error);
        if (fetch->distrust)
            stats_add(&fetch->thread->stats->rejections[STATS_CHANGED_UNSEEN], 1);
        rescan(fetch);
    } else {
        refuse_busy(fetch, "the pack is being changed", STATS_CHANGING);
    }
}

static void submit(Fetch *fetch)
{
    ServeThread *thread = fetch->thread;
    fetch->attempts++;
    if (!workers_submit(thread->serve->workers, make_on_worker, fetch, thread->mailbox, made))
        refuse_busy(fetch, "too many requests are waiting", STATS_QUEUE_FULL);
}

static Fetch *fetch_new(ServeThread *thread, const FetchSpec *spec)
{
    Fetch *fetch = g_new0(Fetch, 1);
    fetch->thread = thread;
    fetch->serve = thread->serve;
    fetch->snapshot = snapshot_ref(thread->snapshot);
    fetch->view = spec->view;
    fetch->route = spec->route;
    fetch->make = spec->make;
    fetch->key = spec->view != NULL && spec->key != NULL ? view_key(spec->view, spec->key, strlen(spec->key))
                                                         : g_strdup(spec->key);
    fetch->path = g_strdup(spec->path != NULL ? spec->path : "");
    fetch->is_file = spec->is_file;
    fetch->page = spec->page;
    fetch->keep_us = spec->keep_us;
    fetch->waiting = g_ptr_array_new();
    return fetch;
}

/* TRUE when the exchange now waits for a fetch of the same thing on the same state. The key knows the view.
 */
static gboolean join(ServeThread *thread, HttpExchange *exchange, const FetchSpec *spec)
{
    g_autofree char *own = spec->view != NULL ? view_key(spec->view, spec->key, strlen(spec->key)) : NULL;
    Fetch *fetch = g_hash_table_lookup(thread->fetches, own != NULL ? own : spec->key);
    if (fetch == NULL ||
        serve_number(fetch->snapshot, fetch->view) != serve_number(thread->snapshot, spec->view))
        return FALSE;
    g_ptr_array_add(fetch->waiting, exchange);
    return TRUE;
}

void fetch_run(ServeThread *thread, HttpExchange *exchange, const FetchSpec *spec)
{
    if (spec->key != NULL && (fetch_cached(thread, exchange, spec->view, spec->key, strlen(spec->key)) ||
                              join(thread, exchange, spec)))
        return;
    Fetch *fetch = fetch_new(thread, spec);
    g_ptr_array_add(fetch->waiting, exchange);
    fetch->takes_gzip = resource_takes_gzip(http_exchange_request(exchange));
    if (!resolve(fetch))
        return;
    stats_add(&thread->stats->cache_misses, 1);
    if (fetch->key != NULL)
        g_hash_table_replace(thread->fetches, fetch->key, fetch);
    submit(fetch);
}
