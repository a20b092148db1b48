/* SPDX-License-Identifier: MIT
 *
 *   post ─ small body ─ parse ─ admit ─┬─ cached → answer
 *        └ large body ─────────────────┴─ worker: (parse, admit,) query, lay out → done → answer, keep
 */
#include "broker/serve/search_call.h"

#include <string.h>

#include "broker/serve/status.h"
#include "broker/web/home.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

/* Parsing more than this may take longer than an I/O thread should spend on one request. */
#define INLINE_BODY_BYTES_MAX (16 * 1024)
/* Longer texts are unlikely to be asked twice. */
#define KEPT_TEXT_BYTES_MAX 1024

typedef struct {
    /* Of the I/O thread */
    ServeThread *thread;
    HttpExchange *exchange;
    GString *key;       /* of the search cache; NULL: not kept */
    guint64 generation; /* of the index before the query */
    /* Of whoever works on it */
    SearchIndex *index;
    RateLimit *limit;
    guint8 client[16];
    GBytes *body;       /* of a large request, to be parsed by the worker: a copy */
    char *content_type; /* the same; NULL: none was sent */
    gboolean parsed;    /* `search` is filled in and was admitted */
    gboolean html;
    SearchRequest search;
    char *scope;         /* normalized */
    HomeFigures figures; /* of HTML; `name` is owned by the snapshot */
    Snapshot *snapshot;
    gint64 deadline_us;
    /* Result */
    HttpReply *reply;
    gboolean good;    /* the reply is results, worth keeping */
    gboolean refused; /* `reason` is to be counted */
    StatsRejection reason;
} SearchCall;

static void call_free(SearchCall *call)
{
    search_request_clear(&call->search);
    g_free(call->scope);
    g_free(call->content_type);
    g_clear_pointer(&call->body, g_bytes_unref);
    if (call->key != NULL)
        g_string_free(call->key, TRUE);
    snapshot_unref(call->snapshot);
    g_clear_pointer(&call->reply, http_reply_unref);
    g_free(call);
}

static void refuse(SearchCall *call, HttpReply *reply, StatsRejection reason)
{
    call->reply = reply;
    call->refused = TRUE;
    call->reason = reason;
}

/* --- Checks: on the I/O thread or a worker --- */

/* A refusal that a person sees becomes a page. */
static void refuse_as_page(SearchCall *call, guint status, const char *message, guint retry_after_s)
{
    HttpReply *page =
        home_results_reply(&call->figures, status, call->search.text, call->search.scope, NULL, message);
    if (retry_after_s > 0) {
        char seconds[16];
        g_snprintf(seconds, sizeof seconds, "%u", retry_after_s);
        http_reply_add_header(page, "Retry-After", seconds);
    }
    http_reply_unref(call->reply);
    call->reply = page;
}

/* Rate limit, then scope. FALSE with the refusal in the call. */
static gboolean admit(SearchCall *call)
{
    guint retry_after_s = 0;
    if (!rate_limit_admit(call->limit, call->client, g_get_monotonic_time(), &retry_after_s)) {
        refuse(call, status_reply_rate_limited(retry_after_s), STATS_RATE_LIMITED);
        if (call->html)
            refuse_as_page(call, 429, "Too many searches from your address. Please try again in a minute.",
                           retry_after_s);
        return FALSE;
    }
    call->scope = pack_scope_normalize(call->search.scope, NULL);
    if (call->scope == NULL) {
        refuse(call, status_reply_detail(400, "invalid scope"), STATS_INVALID_SCOPE);
        if (call->html)
            refuse_as_page(call, 400, "That scope is not valid: use the path of a pack or of a category.", 0);
        return FALSE;
    }
    call->parsed = TRUE;
    return TRUE;
}

static gboolean parse_and_admit(SearchCall *call, HttpSlice content_type, const guint8 *data, gsize len)
{
    HttpReply *refusal = search_request_parse(call->search.kind, content_type, data, len, &call->search);
    if (refusal != NULL) {
        refuse(call, refusal, STATS_INVALID_BODY);
        return FALSE;
    }
    return admit(call);
}

static gboolean parse_copy(SearchCall *call)
{
    gsize len;
    const guint8 *data = g_bytes_get_data(call->body, &len);
    HttpSlice content_type = {call->content_type,
                              call->content_type != NULL ? strlen(call->content_type) : 0};
    return parse_and_admit(call, content_type, data, len);
}

/* --- The query: on a worker --- */

static gboolean is_served(const SearchCall *call, const char *pack_path)
{
    const CatalogPack *place = catalog_place(call->snapshot->catalog, pack_path, strlen(pack_path));
    return place != NULL && place->is_pack;
}

/* The catalog decides what is served, not the index: that is changed after it when a pack is refused, and
 * cannot be changed at all while the disk is full or the file damaged. */
static void withhold_hits(const SearchCall *call, GPtrArray *hits)
{
    for (guint i = hits->len; i-- > 0;)
        if (!is_served(call, ((const SearchHit *)g_ptr_array_index(hits, i))->pack_path))
            g_ptr_array_remove_index(hits, i);
}

static void withhold_entities(const SearchCall *call, GPtrArray *entities)
{
    for (guint i = entities->len; i-- > 0;)
        if (!is_served(call, ((const SearchEntity *)g_ptr_array_index(entities, i))->pack_path))
            g_ptr_array_remove_index(entities, i);
}

static void fail(SearchCall *call, const GError *error)
{
    gboolean busy = g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    refuse(call, busy ? status_reply_busy("the search took too long") : status_reply(status_of_error(error)),
           busy ? STATS_DEADLINE : STATS_NOT_READY);
    if (call->html)
        refuse_as_page(call, 503, "The search took too long. Please try fewer or other words.", 1);
}

static void run_text(SearchCall *call)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) hits = search_index_query(call->index, call->search.text, call->search.count,
                                                   call->scope, call->deadline_us, &error);
    if (hits != NULL)
        withhold_hits(call, hits);
    if (hits == NULL)
        fail(call, error);
    else if (call->html)
        call->reply =
            home_results_reply(&call->figures, 200, call->search.text, call->search.scope, hits, NULL);
    else
        call->reply = search_hits_reply(hits);
}

static void run_lookup(SearchCall *call)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entities =
        search_index_lookup(call->index, call->search.text, call->search.count, call->deadline_us, &error);
    if (entities != NULL)
        withhold_entities(call, entities);
    if (entities == NULL)
        fail(call, error);
    else
        call->reply = search_entities_reply(entities);
}

static void work(gpointer data)
{
    SearchCall *call = data;
    if (!call->parsed && !parse_copy(call))
        return;
    if (call->search.kind == SEARCH_LOOKUP)
        run_lookup(call);
    else
        run_text(call);
    call->good = !call->refused;
}

/* --- Answers: on the I/O thread --- */

static void keep(SearchCall *call)
{
    ServeThread *thread = call->thread;
    if (!call->good || call->key == NULL || thread->search_generation != call->generation ||
        thread->search_snapshot != call->snapshot->number ||
        search_index_generation(call->index) != call->generation)
        return;
    PageCacheEntry entry = {.resource = resource_new_plain(http_reply_ref(call->reply))};
    page_cache_put(thread->searches, call->key->str, call->key->len, &entry);
}

static void answer(SearchCall *call)
{
    if (call->refused)
        stats_add(&call->thread->stats->rejections[call->reason], 1);
    keep(call);
    http_exchange_reply(call->exchange, call->reply);
    call_free(call);
}

static void done(gpointer data, gboolean cancelled)
{
    SearchCall *call = data;
    if (cancelled)
        call_free(call);
    else
        answer(call);
}

/* Answers of an older index or catalog are of no use any more. */
static void refresh_cache(SearchCall *call)
{
    ServeThread *thread = call->thread;
    call->generation = search_index_generation(call->index);
    if (thread->search_generation != call->generation || thread->search_snapshot != call->snapshot->number) {
        page_cache_clear(thread->searches);
        thread->search_generation = call->generation;
        thread->search_snapshot = call->snapshot->number;
    }
}

/* Everything that the answer depends on; FALSE when it is not kept. */
static gboolean make_key(SearchCall *call)
{
    if (!call->parsed || strlen(call->search.text) > KEPT_TEXT_BYTES_MAX)
        return FALSE;
    call->key = g_string_new(NULL);
    /* HTML shows the scope as it was typed. */
    g_string_append_printf(call->key, "%d %d %u ", call->search.kind, call->html, call->search.count);
    g_string_append(call->key, call->html ? call->search.scope : call->scope);
    g_string_append_c(call->key, '\0');
    g_string_append(call->key, call->search.text);
    return TRUE;
}

static gboolean answer_cached(SearchCall *call)
{
    if (!make_key(call))
        return FALSE;
    PageCacheEntry *entry = page_cache_find(call->thread->searches, call->key->str, call->key->len);
    if (entry == NULL)
        return FALSE;
    stats_add(&call->thread->stats->search_cache_hits, 1);
    call->reply = resource_answer(entry->resource, http_exchange_request(call->exchange));
    answer(call);
    return TRUE;
}

static void submit(SearchCall *call)
{
    refresh_cache(call);
    if (answer_cached(call))
        return;
    if (workers_submit(call->thread->serve->workers, work, call, call->thread->mailbox, done))
        return;
    refuse(call, status_reply_busy("too many requests are waiting"), STATS_QUEUE_FULL);
    answer(call);
}

static SearchCall *call_new(ServeThread *thread, HttpExchange *exchange, SearchKind kind)
{
    SearchCall *call = g_new0(SearchCall, 1);
    call->thread = thread;
    call->exchange = exchange;
    memcpy(call->client, http_exchange_request(exchange)->client, sizeof call->client);
    call->index = publisher_index(thread->serve->publisher);
    call->limit = thread->serve->search_limit;
    call->snapshot = snapshot_ref(thread->snapshot);
    call->search.kind = kind;
    call->deadline_us = g_get_monotonic_time() + LIMIT_SEARCH_DEADLINE_MS * G_TIME_SPAN_MILLISECOND;
    return call;
}

/* Before the index was ready once, an empty result would be a lie. */
static gboolean index_is_ready(const ServeThread *thread)
{
    return publisher_is_ready(thread->serve->publisher);
}

void search_call_post(ServeThread *thread, HttpExchange *exchange, SearchKind kind)
{
    if (!index_is_ready(thread)) {
        serve_refuse(thread, exchange, status_reply_busy("the search index is not ready"), STATS_NOT_READY);
        return;
    }
    SearchCall *call = call_new(thread, exchange, kind);
    const HttpRequest *request = http_exchange_request(exchange);
    HttpSlice content_type = {NULL, 0};
    http_request_header(request, "Content-Type", &content_type);
    if (request->body_len > INLINE_BODY_BYTES_MAX) {
        call->body = g_bytes_new(request->body, request->body_len);
        call->content_type =
            content_type.text != NULL ? g_strndup(content_type.text, content_type.len) : NULL;
    } else if (!parse_and_admit(call, content_type, request->body, request->body_len)) {
        answer(call);
        return;
    }
    submit(call);
}

void search_call_home(ServeThread *thread, HttpExchange *exchange, const char *text, const char *scope)
{
    if (!index_is_ready(thread)) {
        serve_refuse(thread, exchange, status_reply_busy("the search index is not ready"), STATS_NOT_READY);
        return;
    }
    SearchCall *call = call_new(thread, exchange, SEARCH_TEXT);
    call->html = TRUE;
    call->search.text = g_strdup(text);
    call->search.scope = g_strdup(scope);
    call->search.count = HOME_RESULTS;
    call->figures = home_figures(call->snapshot->config->name, call->snapshot->catalog, thread->serve->relay);
    if (!admit(call))
        answer(call);
    else
        submit(call);
}
