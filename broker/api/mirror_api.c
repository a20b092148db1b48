/* SPDX-License-Identifier: MIT
 *
 * A request is read into an Ask on the I/O thread, carried out on a worker and answered on the I/O thread.
 */
#include "broker/api/mirror_api.h"

#include <string.h>

#include "broker/serve/query_string.h"
#include "broker/serve/status.h"
#include "schema/limits.h"

enum {
    EVENTS_MAX = 1000,
    HISTORY_MAX = 1000,
    HISTORY_USUAL = 100,
    DIGESTS_MAX = 10000,
    NAME_BYTES = 64,
};

typedef struct {
    Mirrors *mirrors;
    HttpExchange *exchange;
    Route route;
    /* What is asked; each route uses its own. */
    char *source, *path;
    gint64 number; /* "after" or "before" */
    gint64 limit;
    gboolean dry_run;
    MirrorsWish wish;
    GPtrArray *digests; /* of char *, NULL-terminated */
    /* Result */
    guint status;
    GBytes *body;
    GError *error;
} Ask;

static void ask_free(Ask *ask)
{
    g_free(ask->source);
    g_free(ask->path);
    g_clear_pointer(&ask->digests, g_ptr_array_unref);
    g_clear_pointer(&ask->body, g_bytes_unref);
    g_clear_error(&ask->error);
    g_free(ask);
}

/* --- Reading the request --- */

static gboolean malformed(GError **error, const char *what)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s", what);
    return FALSE;
}

static gboolean read_number(HttpSlice query, const char *name, gint64 max, gint64 *ret, GError **error)
{
    g_autofree char *text = NULL;
    if (!query_string_get(query, name, &text))
        return malformed(error, "the query string is malformed");
    if (text == NULL || g_ascii_string_to_signed(text, 10, 0, max, ret, NULL))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                "%s is not a number between 0 and %" G_GINT64_FORMAT, name, max);
    return FALSE;
}

static gboolean read_text(HttpSlice query, const char *name, char **ret, GError **error)
{
    if (!query_string_get(query, name, ret))
        return malformed(error, "the query string is malformed");
    if (*ret != NULL && **ret == '\0')
        g_clear_pointer(ret, g_free);
    return TRUE;
}

static gboolean read_events(Ask *ask, const HttpRequest *request, GError **error)
{
    ask->limit = EVENTS_MAX;
    return read_number(request->query, "after", G_MAXINT64, &ask->number, error) &&
           read_number(request->query, "limit", EVENTS_MAX, &ask->limit, error);
}

static gboolean read_history(Ask *ask, const HttpRequest *request, GError **error)
{
    ask->limit = HISTORY_USUAL;
    return read_text(request->query, "source", &ask->source, error) &&
           read_text(request->query, "path", &ask->path, error) &&
           read_number(request->query, "before", G_MAXINT64, &ask->number, error) &&
           read_number(request->query, "limit", HISTORY_MAX, &ask->limit, error);
}

static gboolean read_gc(Ask *ask, const HttpRequest *request, GError **error)
{
    gint64 dry_run = 0;
    if (!read_number(request->query, "dry_run", 1, &dry_run, error))
        return FALSE;
    ask->dry_run = dry_run == 1;
    return TRUE;
}

/* FALSE for a body with a member that is none of `names`: a misspelt wish must not be carried out in part. */
static gboolean members_are_known(const JsonValue *root, const char *const *names, GError **error)
{
    for (const JsonValue *at = json_value_first(root); at != NULL; at = json_value_next(at)) {
        if (!g_strv_contains(names, json_value_key(at)))
            return malformed(error, "the body has a member that this route does not know");
    }
    return TRUE;
}

/* The object in the body; *ret_root NULL when there is none. */
static gboolean read_body(const HttpRequest *request, const char *const *names, JsonDoc **ret_doc,
                          const JsonValue **ret_root, GError **error)
{
    *ret_root = NULL;
    if (request->body_len == 0)
        return TRUE;
    *ret_doc = json_doc_parse(request->body, request->body_len, LIMIT_HTTP_BODY_BYTES, error);
    if (*ret_doc == NULL)
        return FALSE;
    *ret_root = json_doc_root(*ret_doc);
    if (json_value_kind(*ret_root) != JSON_OBJECT)
        return malformed(error, "the body is no JSON object");
    return members_are_known(*ret_root, names, error);
}

static gboolean read_sync(Ask *ask, const HttpRequest *request, GError **error)
{
    static const char *const names[] = {"source", "prune", "full", "reset", NULL};
    g_autoptr(JsonDoc) doc = NULL;
    const JsonValue *root = NULL;
    const char *source = NULL;
    if (!read_body(request, names, &doc, &root, error))
        return FALSE;
    if (root != NULL && (!json_get_string(root, "source", JSON_OPTIONAL_NULL, NAME_BYTES, &source, error) ||
                         !json_get_boolean(root, "prune", JSON_OPTIONAL, &ask->wish.prune, error) ||
                         !json_get_boolean(root, "full", JSON_OPTIONAL, &ask->wish.full, error) ||
                         !json_get_boolean(root, "reset", JSON_OPTIONAL, &ask->wish.reset, error)))
        return FALSE;
    ask->source = g_strdup(source);
    ask->wish.source = ask->source;
    /* What confirms a loss is said of one source at a time. */
    if (ask->source == NULL && (ask->wish.prune || ask->wish.reset))
        return malformed(error, "prune and reset need a source");
    return TRUE;
}

static gboolean read_repair(Ask *ask, const HttpRequest *request, GError **error)
{
    static const char *const names[] = {"digests", NULL};
    g_autoptr(JsonDoc) doc = NULL;
    const JsonValue *root = NULL, *list = NULL;
    if (!read_body(request, names, &doc, &root, error))
        return FALSE;
    if (root == NULL)
        return malformed(error, "the body is missing");
    if (!json_get_array(root, "digests", JSON_REQUIRED, DIGESTS_MAX, &list, error))
        return FALSE;
    ask->digests = g_ptr_array_new_with_free_func(g_free);
    for (const JsonValue *at = json_value_first(list); at != NULL; at = json_value_next(at)) {
        if (json_value_kind(at) != JSON_STRING)
            return malformed(error, "/digests: a digest is no string");
        g_ptr_array_add(ask->digests, g_strdup(json_value_string(at)));
    }
    g_ptr_array_add(ask->digests, NULL);
    return TRUE;
}

/* --- Carrying it out --- */

static GBytes *sync_ticket(Ask *ask)
{
    guint64 ticket = 0;
    if (!mirrors_sync(ask->mirrors, &ask->wish, &ticket, &ask->error))
        return NULL;
    GString *json = g_string_new(NULL);
    g_string_append_printf(json, "{\"ticket\":%" G_GUINT64_FORMAT "}", ticket);
    ask->status = 202;
    return g_string_free_to_bytes(json);
}

static void carry_out(gpointer data)
{
    Ask *ask = data;
    ask->status = 200;
    switch ((guint)ask->route) {
    case ROUTE_API_MIRROR_STATUS:
        ask->body = mirrors_status_json(ask->mirrors);
        break;
    case ROUTE_API_MIRROR_EVENTS:
        ask->body = mirrors_events_json(ask->mirrors, (guint64)ask->number, (guint)ask->limit);
        break;
    case ROUTE_API_MIRROR_HISTORY:
        ask->body = mirrors_history_json(ask->mirrors, ask->source, ask->path, ask->number,
                                         (guint)MAX(ask->limit, 1), &ask->error);
        break;
    case ROUTE_API_MIRROR_SYNC:
        ask->body = sync_ticket(ask);
        break;
    case ROUTE_API_STORE_GC:
        ask->body = mirrors_collect(ask->mirrors, ask->dry_run, &ask->error);
        break;
    case ROUTE_API_STORE_REPAIR:
        ask->body = mirrors_repair(ask->mirrors, (const char *const *)ask->digests->pdata, &ask->error);
        break;
    default:
        g_assert_not_reached();
    }
}

/* --- Answering --- */

static HttpReply *refusal(const GError *error)
{
    switch (error->domain == KONTOR_ERROR ? error->code : (int)KONTOR_ERROR_IO) {
    case KONTOR_ERROR_NOT_FOUND:
        return status_reply_api(404, "NOT_FOUND", error->message);
    case KONTOR_ERROR_MALFORMED:
    case KONTOR_ERROR_LIMIT:
        return status_reply_api(400, "BAD_REQUEST", error->message);
    case KONTOR_ERROR_BUSY:
    case KONTOR_ERROR_CANCELLED:
        return status_reply_api(503, "BUSY", error->message);
    default:
        return status_reply_api(500, "INTERNAL", error->message);
    }
}

static void answer(gpointer data, gboolean cancelled)
{
    Ask *ask = data;
    if (!cancelled)
        serve_finish(ask->exchange,
                     ask->body != NULL
                         ? http_reply_new(ask->status, "application/json; charset=utf-8", ask->body)
                         : refusal(ask->error));
    ask_free(ask);
}

gboolean mirror_api_answer(ServeThread *thread, HttpExchange *exchange, Route route)
{
    static gboolean (*const readers[ROUTE_COUNT])(Ask *, const HttpRequest *, GError **) = {
        [ROUTE_API_MIRROR_EVENTS] = read_events, [ROUTE_API_MIRROR_HISTORY] = read_history,
        [ROUTE_API_MIRROR_SYNC] = read_sync,     [ROUTE_API_STORE_GC] = read_gc,
        [ROUTE_API_STORE_REPAIR] = read_repair,
    };
    if (readers[route] == NULL && route != ROUTE_API_MIRROR_STATUS)
        return FALSE;
    Ask *ask = g_new0(Ask, 1);
    ask->mirrors = thread->serve->mirrors;
    ask->exchange = exchange;
    ask->route = route;
    if (readers[route] != NULL && !readers[route](ask, http_exchange_request(exchange), &ask->error)) {
        answer(ask, FALSE);
    } else if (!workers_submit(thread->serve->workers, carry_out, ask, thread->mailbox, answer)) {
        ask_free(ask);
        serve_refuse(thread, exchange, status_reply_api(503, "BUSY", "too many requests are waiting"),
                     STATS_QUEUE_FULL);
    }
    return TRUE;
}
