/* SPDX-License-Identifier: MIT */
#include "broker/serve/reindex.h"

#include <string.h>

#include "broker/serve/admin_tokens.h"
#include "broker/serve/request_body.h"
#include "broker/serve/status.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

/* Longer paths than a pack can have are read, so that they get the answer of an unknown pack. */
#define PATH_BYTES_MAX (4 * LIMIT_PACK_PATH_BYTES)

typedef struct {
    HttpExchange *exchange;
} Waiting;

static HttpReply *counts_reply(guint packs, guint64 pages)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_boolean(&writer, "ok", TRUE);
        json_write_member_integer(&writer, "packs_indexed", packs);
        json_write_member_integer(&writer, "pages_indexed", (gint64)pages);
        json_write_object_end(&writer);
    }
    return status_reply_json(200, json);
}

static void scanned(gpointer data, gboolean cancelled)
{
    g_autoptr(ScanJob) job = data;
    g_autofree Waiting *waiting = job->user;
    if (cancelled)
        return;
    serve_finish(waiting->exchange, job->error != NULL ? status_reply_detail(500, job->error->message)
                                                       : counts_reply(job->packs, job->pages));
}

static void start_scan(ServeThread *thread, HttpExchange *exchange, char *path)
{
    Waiting *waiting = g_new(Waiting, 1);
    waiting->exchange = exchange;
    ScanJob *job = g_new0(ScanJob, 1);
    job->path = path;
    job->reply_to = thread->mailbox;
    job->done = scanned;
    job->user = waiting;
    publisher_scan(thread->serve->publisher, job);
}

/* Without surrounding slashes; a new string, or NULL for everything. */
static char *normalize(const char *path)
{
    if (path == NULL || *path == '\0')
        return NULL;
    while (*path == '/')
        path++;
    gsize len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    return g_strndup(path, len);
}

void reindex_post(ServeThread *thread, HttpExchange *exchange)
{
    const HttpRequest *request = http_exchange_request(exchange);
    HttpSlice content_type = {NULL, 0}, token = {NULL, 0};
    http_request_header(request, "Content-Type", &content_type);
    http_request_header(request, "X-OCC-Token", &token);
    g_auto(RequestBody) body;
    request_body_init(&body, content_type, request->body, request->body_len);
    g_autofree char *path = normalize(request_body_string_or_null(&body, "pack_path", PATH_BYTES_MAX));
    if (!request_body_is_valid(&body))
        serve_refuse(thread, exchange, request_body_refusal(&body), STATS_INVALID_BODY);
    else if (!admin_tokens_match(thread->snapshot->tokens, token))
        serve_refuse(thread, exchange, status_reply_detail(401, "invalid token"), STATS_BAD_TOKEN);
    else if (path != NULL && !pack_path_check(path, NULL))
        serve_finish(exchange, counts_reply(0, 0));
    else
        start_scan(thread, exchange, g_steal_pointer(&path));
}
