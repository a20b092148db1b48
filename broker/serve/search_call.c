/* SPDX-License-Identifier: MIT
 *
 *   post ─ small body ─ parse ─ admit ─┬─ cached → answer
 *        └ large body ─────────────────┴─ worker: (parse, admit,) query, lay out → done → answer, keep
 */
#include "broker/serve/search_call.h"

#include <string.h>

#include "broker/serve/status.h"
#include "broker/serve/view_request.h"
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
    guint64 view_generation;
    /* Of whoever works on it */
    SearchIndex *index;
    const View *view;        /* borrowed from the snapshot; NULL: a stranger */
    SearchIndex *view_index; /* of the view's private packs; NULL for a stranger */
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

static gboolean is_pack_of(const Catalog *catalog, const char *path)
{
    const CatalogPack *place = catalog_place(catalog, path, strlen(path));
    return place != NULL && place->is_pack;
}

/* The catalog decides what is served, not the index: that is changed after it when a pack is refused, and
 * cannot be changed at all while the disk is full or the file damaged. What the view's own index found must
 * be one of its private packs, and what the public one found must not have one of these in front of it. */
static gboolean is_served(const SearchCall *call, const SearchIndex *index, const char *pack_path)
{
    if (call->view == NULL)
        return is_pack_of(call->snapshot->catalog, pack_path);
    gboolean is_private = is_pack_of(call->view->granted, pack_path);
    return index == call->view_index ? is_private : !is_private && is_pack_of(call->view->catalog, pack_path);
}

/* The path of a hit or entity. */
static const char *found_path(const SearchCall *call, gconstpointer found)
{
    return call->search.kind == SEARCH_LOOKUP ? ((const SearchEntity *)found)->pack_path
                                              : ((const SearchHit *)found)->pack_path;
}

static void withhold(const SearchCall *call, const SearchIndex *index, GPtrArray *results)
{
    for (guint i = results->len; i-- > 0;)
        if (!is_served(call, index, found_path(call, g_ptr_array_index(results, i))))
            g_ptr_array_remove_index(results, i);
}

static void fail(SearchCall *call, const GError *error)
{
    gboolean busy = g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    refuse(call, busy ? status_reply_busy("the search took too long") : status_reply(status_of_error(error)),
           busy ? STATS_DEADLINE : STATS_NOT_READY);
    if (call->html)
        refuse_as_page(call, 503, "The search took too long. Please try fewer or other words.", 1);
}

/* Asks one index for the best `count`. */
static GPtrArray *ask_once(const SearchCall *call, SearchIndex *index, guint count, GError **error)
{
    if (call->search.kind == SEARCH_LOOKUP)
        return search_index_lookup(index, call->search.text, count, call->deadline_us, error);
    return search_index_query(index, call->search.text, count, call->scope, call->deadline_us, error);
}

/* Private packs may stand in front of public ones for good: then it takes more hits to have enough left. A
 * stranger's hits are withheld only until the index has caught up. */
static GPtrArray *ask(const SearchCall *call, SearchIndex *index, GError **error)
{
    guint wanted = call->search.count;
    for (guint count = wanted;; count = MIN(4 * count, LIMIT_SEARCH_CANDIDATES)) {
        GPtrArray *results = ask_once(call, index, count, error);
        if (results == NULL)
            return NULL;
        gboolean all = results->len < count || count == LIMIT_SEARCH_CANDIDATES;
        withhold(call, index, results);
        if (results->len >= wanted || all || call->view == NULL)
            return results;
        g_ptr_array_unref(results);
    }
}

/* Best first. The sort is stable, so that equal scores keep index order, public ones first. */
static gint compare_hits(gconstpointer a, gconstpointer b)
{
    double left = (*(const SearchHit *const *)a)->score, right = (*(const SearchHit *const *)b)->score;
    return (left > right) - (left < right);
}

static gint compare_entities(gconstpointer a, gconstpointer b)
{
    const SearchEntity *left = *(const SearchEntity *const *)a, *right = *(const SearchEntity *const *)b;
    if (left->match_count != right->match_count)
        return left->match_count > right->match_count ? -1 : 1;
    return strcmp(left->pack_path, right->pack_path);
}

/* What the asker may see of both indexes. */
static GPtrArray *ask_all(const SearchCall *call, GError **error)
{
    g_autoptr(GPtrArray) results = ask(call, call->index, error);
    if (results == NULL || call->view == NULL)
        return g_steal_pointer(&results);
    GPtrArray *others = ask(call, call->view_index, error);
    if (others == NULL)
        return NULL;
    g_ptr_array_extend_and_steal(results, others);
    g_ptr_array_sort(results, call->search.kind == SEARCH_LOOKUP ? compare_entities : compare_hits);
    g_ptr_array_set_size(results, (gint)MIN(results->len, call->search.count));
    return g_steal_pointer(&results);
}

static void run(SearchCall *call)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) results = ask_all(call, &error);
    if (results == NULL) {
        fail(call, error);
        return;
    }
    if (call->html) {
        /* Such a page is for one asker in any case. */
        call->reply =
            home_results_reply(&call->figures, 200, call->search.text, call->search.scope, results, NULL);
        return;
    }
    call->reply =
        call->search.kind == SEARCH_LOOKUP ? search_entities_reply(results) : search_hits_reply(results);
    view_request_mark(call->view, call->reply);
}

static void work(gpointer data)
{
    SearchCall *call = data;
    if (!call->parsed && !parse_copy(call))
        return;
    run(call);
    call->good = !call->refused;
}

/* --- Answers: on the I/O thread --- */

static void keep(SearchCall *call)
{
    ServeThread *thread = call->thread;
    if (!call->good || call->key == NULL || thread->search_generation != call->generation ||
        thread->search_snapshot != call->snapshot->public_number ||
        search_index_generation(call->index) != call->generation ||
        (call->view_index != NULL && search_index_generation(call->view_index) != call->view_generation))
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
    call->view_generation = call->view_index != NULL ? search_index_generation(call->view_index) : 0;
    guint64 snapshot = call->snapshot->public_number;
    if (thread->search_generation != call->generation || thread->search_snapshot != snapshot) {
        page_cache_clear(thread->searches);
        thread->search_generation = call->generation;
        thread->search_snapshot = snapshot;
    }
}

/* Everything that the answer depends on; FALSE when it is not kept. */
static gboolean make_key(SearchCall *call)
{
    if (!call->parsed || strlen(call->search.text) > KEPT_TEXT_BYTES_MAX)
        return FALSE;
    call->key = g_string_new(NULL);
    /* Others begin with a digit. What a view found before it changed is never asked for again. */
    if (call->view != NULL)
        g_string_append_printf(call->key, "view:%s:%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":",
                               call->view->id, call->view->number, call->view_generation);
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

static SearchCall *call_new(ServeThread *thread, HttpExchange *exchange, const View *view, SearchKind kind)
{
    SearchCall *call = g_new0(SearchCall, 1);
    call->thread = thread;
    call->exchange = exchange;
    memcpy(call->client, http_exchange_request(exchange)->client, sizeof call->client);
    call->index = publisher_index(thread->serve->publisher);
    call->view = view;
    call->view_index = view != NULL ? view_index(view) : NULL;
    call->limit = thread->serve->search_limit;
    call->snapshot = snapshot_ref(thread->snapshot);
    call->search.kind = kind;
    call->deadline_us = g_get_monotonic_time() + LIMIT_SEARCH_DEADLINE_MS * G_TIME_SPAN_MILLISECOND;
    return call;
}

/* Before the index was ready once, an empty result would be a lie. */
static gboolean index_is_ready(const ServeThread *thread, const View *view)
{
    return publisher_is_ready(thread->serve->publisher) && (view == NULL || view_index(view) != NULL);
}

void search_call_post(ServeThread *thread, HttpExchange *exchange, const View *view, SearchKind kind)
{
    if (!index_is_ready(thread, view)) {
        serve_refuse(thread, exchange, status_reply_busy("the search index is not ready"), STATS_NOT_READY);
        return;
    }
    SearchCall *call = call_new(thread, exchange, view, kind);
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

void search_call_home(ServeThread *thread, HttpExchange *exchange, const View *view, const char *text,
                      const char *scope)
{
    if (!index_is_ready(thread, view)) {
        serve_refuse(thread, exchange, status_reply_busy("the search index is not ready"), STATS_NOT_READY);
        return;
    }
    SearchCall *call = call_new(thread, exchange, view, SEARCH_TEXT);
    call->html = TRUE;
    call->search.text = g_strdup(text);
    call->search.scope = g_strdup(scope);
    call->search.count = HOME_RESULTS;
    call->figures =
        home_figures(call->snapshot->config->name, serve_catalog(call->snapshot, view), thread->serve->relay);
    if (!admit(call))
        answer(call);
    else
        submit(call);
}
