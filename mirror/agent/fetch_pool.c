/* SPDX-License-Identifier: MIT
 *
 * One libcurl multi handle. Easy handles are reset and used again.
 *
 * What is held: bodies under way, all together at most LIMIT_FETCH_HELD_BYTES and one answer more. A transfer
 * that would go beyond it is paused, unless it is the oldest: so one always gets on, and others go on when
 * something has ended. A paused server feels a closed TCP window, nothing else.
 */
#include "mirror/agent/fetch_pool.h"

#include <string.h>

#include "mirror/agent/fetch_transfer.h"
#include "schema/limits.h"

#define POLL_MS 250 /* libcurl knows its own timers; this is for the deadline */

typedef struct {
    FetchTransfer transfer; /* first: `admit` comes back with it */
    FetchPool *pool;
    char *url;
    FetchOptions options;
    FetchDoneFunc done;
    gpointer user;
    CURL *easy; /* while under way */
    GList link; /* in `waiting` or `active` */
    gboolean paused;
} Request;

struct FetchPool {
    CURLM *multi;
    guint parallel;
    GPtrArray *idle; /* of CURL * */
    GQueue waiting;  /* of Request *, owned, in the order in which they were added */
    GQueue active;   /* of Request *, owned, the oldest first */
    gint64 deadline_us;
    guint64 bytes_left;
    gboolean spent; /* somebody wanted more than bytes_left */
    gsize held_bytes;
    guint64 requests, wire_bytes;
};

/* --- Life cycle --- */

FetchPool *fetch_pool_new(guint parallel)
{
    FetchPool *pool = g_new0(FetchPool, 1);
    g_assert(parallel > 0 && parallel <= LIMIT_FETCH_PARALLEL);
    fetch_transfer_start_library();
    pool->multi = curl_multi_init();
    g_assert(pool->multi != NULL);
    curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)parallel);
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)parallel);
    pool->parallel = parallel;
    pool->idle = g_ptr_array_new_with_free_func(curl_easy_cleanup);
    pool->deadline_us = G_MAXINT64;
    pool->bytes_left = G_MAXUINT64;
    return pool;
}

/* Gives the handle of a request back. */
static void release_easy(Request *request)
{
    if (request->easy == NULL)
        return;
    curl_multi_remove_handle(request->pool->multi, request->easy);
    curl_easy_reset(request->easy);
    g_ptr_array_add(request->pool->idle, g_steal_pointer(&request->easy));
}

static void request_free(Request *request)
{
    if (request->transfer.body != NULL)
        request->pool->held_bytes -= request->transfer.body->len;
    release_easy(request);
    fetch_transfer_clear(&request->transfer);
    g_free(request->url);
    g_free(request);
}

void fetch_pool_cancel(FetchPool *pool)
{
    GQueue *const queues[] = {&pool->active, &pool->waiting};
    for (guint i = 0; i < G_N_ELEMENTS(queues); i++) {
        while (!g_queue_is_empty(queues[i])) {
            GList *link = g_queue_peek_head_link(queues[i]);
            g_queue_unlink(queues[i], link);
            request_free(link->data);
        }
    }
}

void fetch_pool_free(FetchPool *pool)
{
    if (pool == NULL)
        return;
    fetch_pool_cancel(pool);
    g_ptr_array_unref(pool->idle);
    curl_multi_cleanup(pool->multi);
    g_free(pool);
}

/* --- Budget --- */

void fetch_pool_set_budget(FetchPool *pool, gint64 deadline_us, guint64 bytes_max)
{
    pool->deadline_us = deadline_us;
    pool->bytes_left = bytes_max;
    pool->spent = FALSE;
}

static gboolean check_budget(const FetchPool *pool, GError **error)
{
    if (pool->spent) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "received as many bytes as one sync may bring");
        return FALSE;
    }
    if (g_get_monotonic_time() >= pool->deadline_us) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY, "time is up");
        return FALSE;
    }
    return TRUE;
}

gboolean fetch_pool_charge(FetchPool *pool, guint64 bytes, GError **error)
{
    pool->spent = pool->spent || bytes > pool->bytes_left;
    pool->bytes_left -= MIN(bytes, pool->bytes_left);
    return check_budget(pool, error);
}

/* For FetchTransfer. */
static gsize admit(FetchTransfer *transfer, gsize len)
{
    Request *request = transfer->owner;
    FetchPool *pool = request->pool;
    if (pool->held_bytes + len > LIMIT_FETCH_HELD_BYTES && &request->link != pool->active.head) {
        request->paused = TRUE;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (len > pool->bytes_left) {
        pool->spent = TRUE;
        return 0;
    }
    if (len > transfer->body_bytes_max - transfer->body->len)
        return len; /* will be refused */
    pool->bytes_left -= len;
    pool->held_bytes += len;
    return len;
}

static void resume_paused(FetchPool *pool)
{
    for (GList *link = pool->active.head; link != NULL; link = link->next) {
        Request *request = link->data;
        if (!request->paused)
            continue;
        request->paused = FALSE;
        curl_easy_pause(request->easy, CURLPAUSE_CONT);
    }
}

/* --- Requests --- */

void fetch_pool_add(FetchPool *pool, const char *url, const FetchOptions *options, FetchDoneFunc done,
                    gpointer user)
{
    Request *request = g_new0(Request, 1);
    request->pool = pool;
    request->url = g_strdup(url);
    request->options = options != NULL ? *options : (FetchOptions){0};
    request->done = done;
    request->user = user;
    request->transfer.admit = admit;
    request->transfer.owner = request;
    request->link.data = request;
    g_queue_push_tail_link(&pool->waiting, &request->link);
}

/* Takes it out of its queue, tells whoever waits for it, and frees it. */
static void finish(GQueue *queue, Request *request, FetchAnswer *answer, const GError *error)
{
    FetchDoneFunc done = request->done;
    gpointer user = request->user;
    g_queue_unlink(queue, &request->link);
    request_free(request);
    done(answer, error, user);
}

static CURL *take_easy(FetchPool *pool)
{
    if (pool->idle->len > 0)
        return g_ptr_array_steal_index_fast(pool->idle, pool->idle->len - 1);
    CURL *easy = curl_easy_init();
    g_assert(easy != NULL);
    return easy;
}

static void begin(FetchPool *pool, Request *request)
{
    g_autoptr(GError) error = NULL;
    CURL *easy = take_easy(pool);
    if (!fetch_transfer_begin(&request->transfer, easy, request->url, &request->options, &error)) {
        curl_easy_reset(easy);
        g_ptr_array_add(pool->idle, easy);
        finish(&pool->waiting, request, NULL, error);
        return;
    }
    /* Requests wait for the first TLS handshake to tell whether they can share the connection. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (long)g_str_has_prefix(request->url, "https:"));
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    request->easy = easy;
    g_queue_unlink(&pool->waiting, &request->link);
    g_queue_push_tail_link(&pool->active, &request->link);
    CURLMcode added = curl_multi_add_handle(pool->multi, easy);
    g_assert(added == CURLM_OK);
    pool->requests++;
}

static void begin_waiting(FetchPool *pool)
{
    while (pool->active.length < pool->parallel && !g_queue_is_empty(&pool->waiting))
        begin(pool, g_queue_peek_head(&pool->waiting));
}

static void count_wire_bytes(FetchPool *pool, CURL *easy)
{
    curl_off_t body = 0;
    long heads[2] = {0, 0};
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &body);
    curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &heads[0]);
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &heads[1]);
    pool->wire_bytes += (guint64)body + (guint64)heads[0] + (guint64)heads[1];
}

static void end(FetchPool *pool, CURL *easy, CURLcode code)
{
    char *private = NULL;
    g_autoptr(GError) error = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    Request *request = (Request *)(gpointer) private;
    count_wire_bytes(pool, easy);
    if (request->transfer.body != NULL)
        pool->held_bytes -= request->transfer.body->len;
    FetchAnswer *answer = fetch_transfer_end(&request->transfer, easy, code, &error);
    g_clear_pointer(&request->transfer.body, g_byte_array_unref);
    finish(&pool->active, request, answer, error);
}

/* TRUE when something has ended. */
static gboolean end_finished(FetchPool *pool)
{
    gboolean any = FALSE;
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(pool->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        /* It may have ended because of that. */
        if (pool->spent)
            return FALSE;
        end(pool, message->easy_handle, code);
        any = TRUE;
    }
    if (any)
        resume_paused(pool);
    return any;
}

gboolean fetch_pool_run(FetchPool *pool, guint left, GError **error)
{
    while (fetch_pool_unfinished(pool) > left) {
        int running = 0;
        if (!check_budget(pool, error)) {
            fetch_pool_cancel(pool);
            return FALSE;
        }
        begin_waiting(pool);
        curl_multi_perform(pool->multi, &running);
        if (end_finished(pool) || pool->spent)
            continue;
        gint64 rest_ms = (pool->deadline_us - g_get_monotonic_time()) / 1000;
        curl_multi_poll(pool->multi, NULL, 0, (int)CLAMP(rest_ms, 1, POLL_MS), NULL);
    }
    return TRUE;
}

/* --- One --- */

typedef struct {
    FetchAnswer *answer;
    GError *error;
} Single;

static void take_single(FetchAnswer *answer, const GError *error, gpointer user)
{
    Single *single = user;
    single->answer = answer;
    single->error = error != NULL ? g_error_copy(error) : NULL;
}

FetchAnswer *fetch_pool_get(FetchPool *pool, const char *url, const FetchOptions *options, GError **error)
{
    Single single = {0};
    g_assert(fetch_pool_unfinished(pool) == 0);
    fetch_pool_add(pool, url, options, take_single, &single);
    if (!fetch_pool_run(pool, 0, error))
        return NULL;
    if (single.error != NULL)
        g_propagate_error(error, single.error);
    return single.answer;
}

/* --- Queries --- */

guint fetch_pool_unfinished(const FetchPool *pool)
{
    return pool->waiting.length + pool->active.length;
}

gboolean fetch_pool_is_spent(const FetchPool *pool)
{
    return pool->spent;
}

guint64 fetch_pool_requests(const FetchPool *pool)
{
    return pool->requests;
}

guint64 fetch_pool_wire_bytes(const FetchPool *pool)
{
    return pool->wire_bytes;
}
