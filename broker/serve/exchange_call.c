/* SPDX-License-Identifier: MIT
 *
 * A digest of one prefix is tagged by itself, as the format asks: whoever knows the digest knows the tag.
 * Answers for several prefixes are tagged by their bytes like everything else, and not kept, because
 * everybody asks for others.
 */
#include "broker/serve/exchange_call.h"

#include "broker/serve/exchange_query.h"
#include "broker/serve/status.h"
#include "broker/serve/view_request.h"
#include "mirror/catalog/digest_view.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

/* How long an I/O thread answers with a note before it looks whether that has to be signed anew. */
#define CHECKPOINT_KEEP_US (60 * G_USEC_PER_SEC)

static const ResourceOptions json_options = {
    .content_type = "application/json", .compress = TRUE, .hashes = TRUE};

/* Frees `json`. */
static Resource *tagged_json(GString *json)
{
    guint8 hash[SHA256_BYTES];
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    sha256_of_bytes(body, hash);
    return resource_new(&json_options, body, hash);
}

/* --- /catalog/checkpoint --- */

static Resource *make_checkpoint(const FetchInput *input, GError **error)
{
    static const ResourceOptions options = {.content_type = "text/plain; charset=utf-8"};
    guint8 hash[SHA256_BYTES];
    g_autoptr(GBytes) note = exchange_checkpoint(input->exchange, g_get_real_time() / G_USEC_PER_SEC, error);
    if (note == NULL)
        return NULL;
    sha256_of_bytes(note, hash);
    return resource_new(&options, note, hash);
}

static void call_checkpoint(ServeThread *thread, HttpExchange *exchange, const View *view)
{
    FetchSpec spec = {.route = ROUTE_CHECKPOINT,
                      .make = make_checkpoint,
                      .view = view,
                      .key = "/catalog/checkpoint",
                      .keep_us = CHECKPOINT_KEEP_US};
    fetch_run(thread, exchange, &spec);
}

/* --- /catalog/digest --- */

static Resource *one_digest(const DigestView *view)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        digest_view_write(view, &writer);
    }
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    return resource_new(&json_options, body, view->digest);
}

static Resource *several_digests(const DigestTrie *trie, char *const *prefixes)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "nodes");
        json_write_array_begin(&writer);
        for (guint i = 0; prefixes[i] != NULL; i++) {
            g_auto(DigestView) view;
            digest_view_init(&view, trie, prefixes[i]);
            digest_view_write(&view, &writer);
        }
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return tagged_json(json);
}

static Resource *make_digest(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    const DigestTrie *trie = journal_trie(exchange_journal(input->exchange));
    g_auto(GStrv) prefixes = exchange_query_prefixes(input->path);
    if (prefixes[1] != NULL)
        return several_digests(trie, prefixes);
    g_auto(DigestView) view;
    digest_view_init(&view, trie, prefixes[0]);
    return one_digest(&view);
}

static void call_digest(ServeThread *thread, HttpExchange *exchange, const View *view, const char *path,
                        const char *prefixes)
{
    g_auto(GStrv) list = exchange_query_prefixes(prefixes);
    if (list == NULL) {
        g_autofree char *detail = g_strdup_printf(
            "expected 1 to %d prefixes of up to %d lower-case hexadecimal digits, with commas between them",
            LIMIT_DIGEST_PREFIXES, DIGEST_PREFIX_MAX);
        serve_finish(exchange, status_reply_detail(400, detail));
        return;
    }
    FetchSpec spec = {.route = ROUTE_DIGEST,
                      .make = make_digest,
                      .view = view,
                      .key = list[1] == NULL ? path : NULL,
                      .path = prefixes};
    fetch_run(thread, exchange, &spec);
}

/* --- /catalog/changes --- */

/* The page is the limit, the path the generation. */
static Resource *make_changes(const FetchInput *input, GError **error)
{
    guint64 since = 0;
    g_auto(JournalAnswer) answer = {0};
    g_ascii_string_to_unsigned(input->path, 10, 0, G_MAXUINT64, &since, NULL);
    if (!journal_changes(exchange_journal(input->exchange), since, input->page, &answer, error))
        return NULL;
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        journal_answer_write(&answer, &writer);
    }
    return tagged_json(json);
}

static void call_changes(ServeThread *thread, HttpExchange *exchange, const View *view)
{
    ChangesQuery query;
    if (!exchange_query_changes(http_exchange_request(exchange)->query, &query)) {
        g_autofree char *detail =
            g_strdup_printf("expected since=GENERATION, and a limit of 1 to %d", LIMIT_JOURNAL_STEP_CHANGES);
        serve_finish(exchange, status_reply_detail(400, detail));
        return;
    }
    if (!journal_knows(exchange_journal(serve_exchange(thread->snapshot, view)), query.since)) {
        HttpReply *gone =
            status_reply_detail(410, "the journal does not know this generation: compare digests");
        view_request_mark(view, gone);
        serve_finish(exchange, gone);
        return;
    }
    g_autofree char *since = g_strdup_printf("%" G_GUINT64_FORMAT, query.since);
    /* Keys of paths begin with a slash, so this one is nobody else's. */
    g_autofree char *key = g_strdup_printf("changes:%u:%s", query.limit, since);
    FetchSpec spec = {.route = ROUTE_CHANGES,
                      .make = make_changes,
                      .view = view,
                      .key = key,
                      .path = since,
                      .page = query.limit};
    fetch_run(thread, exchange, &spec);
}

void exchange_call(ServeThread *thread, HttpExchange *exchange, const View *view, const RouteMatch *match,
                   const char *path)
{
    if (serve_exchange(thread->snapshot, view) == NULL) {
        serve_refuse(thread, exchange, status_reply_busy("the journal cannot be written"), STATS_NOT_READY);
        return;
    }
    g_autofree char *prefixes = g_strndup(match->rest, match->rest_len);
    if (match->route == ROUTE_CHECKPOINT)
        call_checkpoint(thread, exchange, view);
    else if (match->route == ROUTE_DIGEST)
        call_digest(thread, exchange, view, path, prefixes);
    else
        call_changes(thread, exchange, view);
}
