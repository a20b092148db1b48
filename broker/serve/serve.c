/* SPDX-License-Identifier: MIT
 *
 * The life of Serve and ServeThread, and the way of a public request to its route:
 *
 *   request ─ view ─ GET/HEAD, plain path ─ page cache ─ answer                       (hot)
 *           └ decode ─ route ─ method ─ by route: at once · fetch · search · reindex   (everything else)
 */
#include "broker/serve/serve.h"

#include <string.h>

#include "broker/api/api.h"
#include "broker/api/api_token.h"
#include "broker/log.h"
#include "broker/serve/admin_tokens.h"
#include "broker/serve/broker_key.h"
#include "broker/serve/catalog_call.h"
#include "broker/serve/content.h"
#include "broker/serve/exchange_call.h"
#include "broker/serve/metrics.h"
#include "broker/serve/query_string.h"
#include "broker/serve/read_token_file.h"
#include "broker/serve/reindex.h"
#include "broker/serve/search_call.h"
#include "broker/serve/status.h"
#include "broker/serve/trust_file.h"
#include "broker/serve/view_request.h"
#include "broker/web/home.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "signing/note.h"

/* The home page counts Nodes and may be that old. */
#define HOME_KEEP_US (5 * G_USEC_PER_SEC)
#define HOME_PAGE_MAX 1000000
#define SEARCH_CACHE_BYTES (2 * 1024 * 1024)

/* --- Life cycle --- */

Serve *serve_new(const ServeOptions *options, GError **error)
{
    g_autoptr(GPtrArray) tokens = admin_tokens_load(options->config, error);
    if (tokens == NULL)
        return NULL;
    g_autofree char *read_path = read_token_file_path(options->config->data_dir);
    g_autoptr(ReadTokens) read_tokens = read_token_file_load(read_path, error);
    if (read_tokens == NULL)
        return NULL;
    g_autoptr(TrustList) trust = trust_file_load(options->config->trust_file, error);
    g_autoptr(SecretKey) secret =
        trust != NULL ? broker_key_load(options->config->data_dir, options->config->name, error) : NULL;
    if (secret == NULL)
        return NULL;
    g_autofree char *api_token = api_token_load(options->config->data_dir, options->config->api.port, error);
    if (api_token == NULL)
        return NULL;
    Serve *serve = g_new0(Serve, 1);
    g_mutex_init(&serve->lock);
    serve->workers = options->workers;
    serve->relay = options->relay;
    serve->search_limit = options->search_limit;
    serve->api_token = g_steal_pointer(&api_token);
    serve->index_path = g_build_filename(options->config->data_dir, "index.db", NULL);
    serve->hashes_path = g_build_filename(options->config->data_dir, "hashes.db", NULL);
    serve->catalog_path = g_build_filename(options->config->data_dir, "catalog.db", NULL);
    serve->secret = g_steal_pointer(&secret);
    secret_key_public(serve->secret, &serve->key);
    public_key_fingerprint(&serve->key, serve->fingerprint);
    serve->started_us = g_get_monotonic_time();
    serve->started_real_us = g_get_real_time();
    serve->thread_count = options->threads;
    serve->stats = g_new0(Stats *, options->threads);
    for (guint i = 0; i < options->threads; i++)
        serve->stats[i] = g_new0(Stats, 1);
    serve->publisher = publisher_new(options->config, g_steal_pointer(&tokens), g_steal_pointer(&trust),
                                     options->indexer, options->ready, options->ready_user);
    g_autofree char *views = g_build_filename(options->config->data_dir, "views", NULL);
    publisher_set_views(serve->publisher, view_keeper_new(views, serve->secret),
                        g_steal_pointer(&read_tokens), read_path);
    return serve;
}

void serve_close(Serve *serve)
{
    publisher_close(serve->publisher);
}

void serve_free(Serve *serve)
{
    if (serve == NULL)
        return;
    publisher_free(serve->publisher);
    for (guint i = 0; i < serve->thread_count; i++)
        g_free(serve->stats[i]);
    g_free(serve->stats);
    explicit_bzero(serve->api_token, strlen(serve->api_token));
    g_free(serve->api_token);
    g_free(serve->index_path);
    g_free(serve->hashes_path);
    g_free(serve->catalog_path);
    secret_key_free(serve->secret);
    g_strfreev(serve->public_addresses);
    g_free(serve->api_address);
    g_mutex_clear(&serve->lock);
    g_free(serve);
}

Publisher *serve_publisher(const Serve *serve)
{
    return serve->publisher;
}

void serve_set_mirrors(Serve *serve, Mirrors *mirrors)
{
    serve->mirrors = mirrors;
}

gboolean serve_start(Serve *serve, GError **error)
{
    PublisherStores stores = {serve->index_path, serve->hashes_path, serve->catalog_path, serve->secret};
    return publisher_start(serve->publisher, &stores, error);
}

void serve_reload(Serve *serve, Config *config)
{
    rate_limit_set(serve->search_limit, config->limits.search_per_minute);
    publisher_reload(serve->publisher, config);
}

void serve_set_addresses(Serve *serve, const char *const *public_addresses, const char *api_address)
{
    g_mutex_lock(&serve->lock);
    g_strfreev(serve->public_addresses);
    g_free(serve->api_address);
    serve->public_addresses = g_strdupv((char **)(gsize)public_addresses);
    serve->api_address = g_strdup(api_address);
    g_mutex_unlock(&serve->lock);
}

ServeThread *serve_thread_new(Serve *serve, guint index, Mailbox *mailbox, RelayShard *shard)
{
    g_assert(index < serve->thread_count);
    ServeThread *thread = g_new0(ServeThread, 1);
    thread->serve = serve;
    thread->index = index;
    thread->mailbox = mailbox;
    thread->shard = shard;
    thread->snapshot = publisher_acquire(serve->publisher);
    thread->pages = page_cache_new(thread->snapshot->config->page_cache_bytes);
    thread->searches = page_cache_new(SEARCH_CACHE_BYTES);
    thread->fetches = g_hash_table_new(g_str_hash, g_str_equal);
    thread->stats = serve->stats[index];
    thread->log = access_log_new(serve->workers, mailbox);
    return thread;
}

void serve_thread_free(ServeThread *thread)
{
    if (thread == NULL)
        return;
    access_log_free(thread->log);
    g_hash_table_unref(thread->fetches);
    page_cache_free(thread->searches);
    page_cache_free(thread->pages);
    g_clear_pointer(&thread->nodes_body, g_bytes_unref);
    g_clear_pointer(&thread->nodes_reply, http_reply_unref);
    snapshot_unref(thread->snapshot);
    g_free(thread);
}

void serve_thread_tick(ServeThread *thread, gint64 now_us G_GNUC_UNUSED)
{
    publisher_tick(thread->serve->publisher, g_get_real_time() / G_USEC_PER_SEC);
    serve_thread_refresh(thread);
    access_log_flush(thread->log);
}

void serve_thread_refresh(ServeThread *thread)
{
    if (publisher_is_current(thread->serve->publisher, thread->snapshot))
        return;
    snapshot_unref(thread->snapshot);
    thread->snapshot = publisher_acquire(thread->serve->publisher);
    page_cache_set_max(thread->pages, thread->snapshot->config->page_cache_bytes);
}

/* --- Routes answered at once --- */

static void answer_version(ServeThread *thread, HttpExchange *exchange)
{
    g_autofree char *key = note_verifier_key_print(thread->snapshot->config->name, &thread->serve->key);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_string(&writer, "name", thread->snapshot->config->name);
        json_write_member_string(&writer, "software", "kontor");
        json_write_member_string(&writer, "version", KONTOR_VERSION);
        json_write_member_string(&writer, "key", key);
        json_write_object_end(&writer);
    }
    serve_finish(exchange, status_reply_json(200, json));
}

static void answer_health(HttpExchange *exchange, gboolean ok, const char *status)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_boolean(&writer, "ok", ok);
        json_write_member_string(&writer, "status", status);
        json_write_object_end(&writer);
    }
    HttpReply *reply = status_reply_json(ok ? 200 : 503, json);
    http_reply_add_header(reply, "Cache-Control", "no-store");
    serve_finish(exchange, reply);
}

/* The shard hands out the same bytes until something changes, and so do we with their reply. */
static void answer_nodes(ServeThread *thread, HttpExchange *exchange)
{
    g_autoptr(GBytes) body = thread->shard != NULL
                                 ? relay_shard_nodes_json(thread->shard, g_get_monotonic_time())
                                 : g_bytes_new_static("{}", 2);
    if (thread->nodes_reply == NULL || thread->nodes_body != body) {
        g_clear_pointer(&thread->nodes_body, g_bytes_unref);
        g_clear_pointer(&thread->nodes_reply, http_reply_unref);
        thread->nodes_body = g_bytes_ref(body);
        thread->nodes_reply = http_reply_new(200, "application/json", body);
    }
    http_exchange_reply(exchange, thread->nodes_reply);
}

static void answer_upgrade_required(HttpExchange *exchange)
{
    HttpReply *reply = status_reply_detail(426, http_status_text(426));
    http_reply_add_header(reply, "Upgrade", "websocket");
    http_reply_add_header(reply, "Sec-WebSocket-Version", "13");
    serve_finish(exchange, reply);
}

/* --- Home --- */

static Resource *make_home(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    g_autoptr(GPtrArray) places = catalog_places_sorted(input->catalog);
    HomeFigures figures = home_figures(input->snapshot->config->name, input->catalog, input->serve->relay);
    figures.fingerprint = input->serve->fingerprint;
    g_autoptr(GPtrArray) sources =
        input->serve->mirrors != NULL ? mirrors_public_sources(input->serve->mirrors) : NULL;
    return home_page(&figures, places, sources, input->page);
}

/* "" when absent or not text. */
static char *query_value(HttpSlice query, const char *name)
{
    char *value = NULL;
    query_string_get(query, name, &value);
    return value != NULL ? value : g_strdup("");
}

static void answer_home(ServeThread *thread, HttpExchange *exchange, const View *view)
{
    HttpSlice query = http_exchange_request(exchange)->query;
    g_autofree char *text = query_value(query, "q");
    g_autofree char *scope = query_value(query, "scope");
    if (*g_strstrip(text) != '\0') {
        search_call_home(thread, exchange, view, text, scope);
        return;
    }
    g_autofree char *page_text = query_value(query, "page");
    guint64 page = 1;
    if (!g_ascii_string_to_unsigned(page_text, 10, 1, HOME_PAGE_MAX, &page, NULL))
        page = 1;
    /* Keys of paths begin with a slash, so this one is nobody else's. */
    g_autofree char *key = g_strdup_printf("home:%" G_GUINT64_FORMAT, page);
    FetchSpec spec = {.route = ROUTE_HOME,
                      .make = make_home,
                      .view = view,
                      .key = key,
                      .page = (guint)page,
                      .keep_us = HOME_KEEP_US};
    fetch_run(thread, exchange, &spec);
}

/* --- Routes that read the catalog --- */

static FetchFunc maker_of(Route route)
{
    switch ((guint)route) {
    case ROUTE_TREE_ROOT:
        return content_tree_root;
    case ROUTE_TREE:
        return content_tree;
    case ROUTE_PACKS:
        return content_packs;
    case ROUTE_SUMMARIES:
        return content_summaries;
    case ROUTE_PUBLISHERS:
        return content_publishers;
    case ROUTE_TOMBSTONE:
        return content_tombstone;
    case ROUTE_PACK_INDEX:
    case ROUTE_PAGE:
    case ROUTE_MANIFEST:
    case ROUTE_SIGNATURE:
    case ROUTE_RELEASE:
    case ROUTE_BLOB:
        return content_file;
    default:
        return NULL;
    }
}

/* `path` is the decoded path: the key under which its answer is kept. */
static void answer_from_catalog(ServeThread *thread, HttpExchange *exchange, const View *view,
                                const RouteMatch *match, const char *path)
{
    if (!thread->snapshot->scanned) {
        serve_refuse(thread, exchange, status_reply_busy("the packs are being scanned"), STATS_NOT_READY);
        return;
    }
    if (match->route == ROUTE_CATALOG) {
        catalog_call(thread, exchange, view);
        return;
    }
    if (match->route == ROUTE_CHECKPOINT || match->route == ROUTE_DIGEST || match->route == ROUTE_CHANGES) {
        exchange_call(thread, exchange, view, match, path);
        return;
    }
    /* What is withdrawn may change without the catalog. */
    const char *key = match->route != ROUTE_TOMBSTONE ? path : NULL;
    FetchSpec spec = {.route = match->route, .make = maker_of(match->route), .view = view, .key = key};
    spec.is_file = spec.make == content_file;
    g_autofree char *below = spec.is_file ? route_disk_path(match) : g_strndup(match->rest, match->rest_len);
    gboolean is_path = match->route != ROUTE_BLOB && match->route != ROUTE_RELEASE;
    if (is_path && route_path_escapes(below, strlen(below))) {
        serve_refuse(thread, exchange, status_reply(403), STATS_PATH_ESCAPE);
        return;
    }
    spec.path = below;
    fetch_run(thread, exchange, &spec);
}

/* --- Dispatch --- */

static void dispatch(ServeThread *thread, HttpExchange *exchange, const View *view, const RouteMatch *match,
                     const char *path)
{
    FetchSpec metrics = {.route = ROUTE_METRICS, .make = metrics_resource};
    gboolean ready = publisher_is_ready(thread->serve->publisher);
    switch ((guint)match->route) {
    case ROUTE_HOME:
        answer_home(thread, exchange, view);
        break;
    case ROUTE_NODES:
        answer_nodes(thread, exchange);
        break;
    case ROUTE_SEARCH:
        search_call_post(thread, exchange, view, SEARCH_TEXT);
        break;
    case ROUTE_LOOKUP:
        search_call_post(thread, exchange, view, SEARCH_LOOKUP);
        break;
    case ROUTE_REINDEX:
        reindex_post(thread, exchange);
        break;
    case ROUTE_WS:
        answer_upgrade_required(exchange);
        break;
    case ROUTE_HEALTHZ:
        answer_health(exchange, TRUE, "alive");
        break;
    case ROUTE_READYZ:
        answer_health(exchange, ready, ready ? "ready" : "not-ready");
        break;
    case ROUTE_METRICS:
        fetch_run(thread, exchange, &metrics);
        break;
    case ROUTE_VERSION:
        answer_version(thread, exchange);
        break;
    default:
        answer_from_catalog(thread, exchange, view, match, path);
        break;
    }
}

static void request_slow(ServeThread *thread, HttpExchange *exchange, const View *view,
                         const HttpRequest *request)
{
    g_autofree char *path = route_decode(request->path);
    if (path == NULL) {
        http_exchange_set_route(exchange, ROUTE_UNKNOWN);
        serve_refuse(thread, exchange, status_reply(404), STATS_PATH_MALFORMED);
        return;
    }
    RouteMatch match = route_match_public(path, strlen(path));
    http_exchange_set_route(exchange, match.route);
    if (match.route == ROUTE_UNKNOWN)
        serve_finish(exchange, status_reply(404));
    else if (!route_allows(match.methods, request->method))
        serve_finish(exchange, status_reply_method(route_allow_header(match.methods)));
    else
        dispatch(thread, exchange, view, &match, path);
}

static void public_request(HttpExchange *exchange, gpointer thread_user)
{
    ServeThread *thread = thread_user;
    const HttpRequest *request = http_exchange_request(exchange);
    serve_thread_refresh(thread);
    const View *view = view_request_find(thread->snapshot, request);
    /* Keys are decoded paths: a path with an escape must not be taken for one that is spelled like it. */
    gboolean plain = (request->method == HTTP_GET || request->method == HTTP_HEAD) &&
                     memchr(request->path.text, '%', request->path.len) == NULL;
    if (plain && fetch_cached(thread, exchange, view, request->path.text, request->path.len))
        return;
    request_slow(thread, exchange, view, request);
}

static void request_done(const HttpDone *done, gpointer thread_user)
{
    ServeThread *thread = thread_user;
    const Config *config = thread->snapshot->config;
    stats_done(thread->stats, done);
    if (config->log_access && !access_log_add(thread->log, done, config->log_address, g_get_real_time()))
        stats_add(&thread->stats->rejections[STATS_LOG_LINES_DROPPED], 1);
}

const HttpService *serve_public_service(void)
{
    static const HttpService service = {.request = public_request, .done = request_done};
    return &service;
}

const HttpService *serve_api_service(void)
{
    static const HttpService service = {.request = api_request, .done = request_done};
    return &service;
}
