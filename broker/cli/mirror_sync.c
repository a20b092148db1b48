/* SPDX-License-Identifier: MIT
 *
 * kontor mirror sync: the running broker is asked to sync and its events are watched until everything that
 * was wished for has ended; without a broker the same code that a broker runs does it here.
 */
#include <string.h>
#include <unistd.h>

#include "broker/cli/client.h"
#include "broker/cli/mirror.h"
#include "broker/cli/reload.h"
#include "broker/cli/sync_view.h"
#include "broker/data_dir.h"
#include "broker/mirrors/mirrors.h"
#include "schema/limits.h"

enum {
    EVENTS_PER_ANSWER = 500,
    POLL_MS = 100,
    /* A source that was just added is known when the broker has read its configuration again. */
    UNKNOWN_TRIES = 50
};

/* --- By the broker --- */

static GString *wish_body(const MirrorsWish *wish)
{
    GString *body = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, body, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    if (wish->source != NULL) {
        json_write_member_string(&w, "source", wish->source);
    }
    json_write_member_boolean(&w, "prune", wish->prune);
    json_write_member_boolean(&w, "full", wish->full);
    json_write_member_boolean(&w, "reset", wish->reset);
    json_write_object_end(&w);
    return body;
}

/* *ret_ticket: the number after which the events of these syncs come. */
static gboolean ask_for_sync(CliClient *client, const MirrorsWish *wish, gint64 *ret_ticket, GError **error)
{
    g_autoptr(GString) body = wish_body(wish);
    g_autoptr(GBytes) answer = NULL;
    g_autoptr(JsonDoc) doc = NULL;

    for (guint tries = 0; answer == NULL; tries++) {
        g_autoptr(GError) local = NULL;

        answer = cli_client_post(client, "/v1/mirror/sync", body, &local);
        if (answer != NULL) {
            break;
        }
        if (tries == UNKNOWN_TRIES || !g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        g_usleep(POLL_MS * 1000);
    }
    doc = cli_client_parse(client, answer, error);
    return doc != NULL &&
           json_get_integer(json_doc_root(doc), "ticket", JSON_REQUIRED, 0, G_MAXINT64, ret_ticket, error);
}

/* The text of an event again, on one line. */
static char *event_text(const JsonValue *event, gsize *ret_len)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    mirror_write_value(&w, event);
    *ret_len = out->len;
    return g_string_free(out, /* free_segment= */ FALSE);
}

/* Shows what one answer brings; *next is where to go on. */
static gboolean show_answer(SyncView *view, const JsonDoc *doc, gint64 *next, gboolean *ret_running,
                            guint *ret_count, GError **error)
{
    const JsonValue *root = json_doc_root(doc), *events = NULL;

    *ret_running = FALSE;
    *ret_count = 0;
    if (json_value_kind(root) != JSON_OBJECT) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the answer is no object");
        return FALSE;
    }
    if (!json_get_boolean(root, "running", JSON_REQUIRED, ret_running, error) ||
        !json_get_integer(root, "next", JSON_REQUIRED, 0, G_MAXINT64, next, error) ||
        !json_get_array(root, "events", JSON_REQUIRED, EVENTS_PER_ANSWER, &events, error)) {
        return FALSE;
    }
    for (const JsonValue *i = json_value_first(events); i != NULL; i = json_value_next(i)) {
        gsize len = 0;
        g_autofree char *text = event_text(i, &len);

        if (!sync_view_event(view, text, len, error)) {
            return FALSE;
        }
        (*ret_count)++;
    }
    return TRUE;
}

static gboolean watch(CliClient *client, SyncView *view, gint64 next, GError **error)
{
    gboolean running = TRUE;
    guint count = 1;

    /* What came between the last look and the end is asked for once more. */
    while (running || count > 0) {
        g_autofree char *target =
            g_strdup_printf("/v1/mirror/events?after=%" G_GINT64_FORMAT "&limit=%d", next, EVENTS_PER_ANSWER);
        g_autoptr(GBytes) answer = cli_client_get(client, target, error);
        g_autoptr(JsonDoc) doc = answer != NULL ? cli_client_parse(client, answer, error) : NULL;

        if (doc == NULL) {
            return FALSE;
        }
        if (!show_answer(view, doc, &next, &running, &count, error)) {
            g_prefix_error(error, "%s: ", cli_client_url(client));
            return FALSE;
        }
        if (running && count == 0) {
            g_usleep(POLL_MS * 1000);
        }
    }
    return TRUE;
}

static CliExit sync_by_broker(const Config *config, const MirrorsWish *wish, SyncView *view)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CliClient) client = cli_client_new_api(config->data_dir, &error);
    gint64 ticket = 0;

    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        fprintf(stderr,
                "kontor: %s is in use, but no broker answers there: it is starting, or another command works "
                "on the "
                "store; try again\n",
                config->data_dir);
        return CLI_UNREACHABLE;
    }
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED)) {
        fprintf(stderr, "kontor: %s; SIGHUP ('systemctl reload kontor') makes it sync all sources now\n",
                error->message);
        return CLI_FAILURE;
    }
    if (client == NULL) {
        return cli_fail(error);
    }
    if (!ask_for_sync(client, wish, &ticket, &error) || !watch(client, view, ticket, &error)) {
        sync_view_finish(view);
        return cli_client_fail(error);
    }
    return sync_view_finish(view);
}

/* --- Without one --- */

static void hear(const char *json, gpointer user)
{
    /* Events of our own process are well-formed. */
    sync_view_event(user, json, strlen(json), NULL);
}

static CliExit sync_here(Config *config, const MirrorsWish *wish, SyncView *view)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DataDir) dir = data_dir_take(config->data_dir, &error);

    if (dir == NULL || !mirrors_run_once(config, wish, hear, view, &error)) {
        return cli_fail(error);
    }
    return sync_view_finish(view);
}

/* TRUE when there is nothing that a sync of all would touch. */
static gboolean nothing_to_do(const Config *config)
{
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);

        if (!source->paused) {
            return FALSE;
        }
    }
    return TRUE;
}

/* What was refused earlier and has not changed since is no event of this sync, and still not here. */
static void remind(const Config *config, const char *name)
{
    g_autoptr(MirrorDb) db = NULL;

    if (!mirror_db_peek(config, &db, NULL) || db == NULL) {
        return;
    }
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        g_auto(SourceRecord) record = {0};

        if ((name == NULL ? !source->paused : strcmp(name, source->name) == 0) &&
            mirror_db_source(db, source->name, &record, NULL) && record.packs_refused > 0) {
            printf("%s: %u pack%s still refused; 'kontor mirror status %s' says why\n", source->name,
                   record.packs_refused, record.packs_refused == 1 ? " is" : "s are", source->name);
        }
    }
}

CliExit mirror_sync_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = mirror_config_load(args, &error);
    g_auto(SyncView) view = {0};
    CliExit code;
    MirrorsWish wish = {
        .source = cli_args_operand(args, 0),
        .prune = cli_args_flag(args, "prune"),
        .full = cli_args_flag(args, "full"),
        .reset = cli_args_flag(args, "reset"),
    };

    signing_init();
    if (config == NULL) {
        return cli_fail_usage(error);
    }
    if (wish.source != NULL && mirror_source_find(config, wish.source, &error) == NULL) {
        return cli_fail(error);
    }
    /* What is forgiven is named: nobody means all sources at once. */
    if (wish.source == NULL && (wish.prune || wish.reset)) {
        g_set_error_literal(&error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                            "--prune and --reset need the NAME of a source");
        return cli_fail_usage(error);
    }
    sync_view_init(&view, stdout, sync_view_mode(stdout, cli_args_flag(args, "json")));
    view.only = wish.source;
    view.all = cli_args_flag(args, "verbose");
    if (wish.source == NULL && nothing_to_do(config)) {
        fprintf(stderr, "nothing to sync: %s\n",
                config->sources->len == 0
                    ? "there are no mirrors and no peers; 'kontor mirror add NAME URL' adds one"
                    : "all sources are paused");
        return CLI_OK;
    }
    code = broker_is_running(config->data_dir) ? sync_by_broker(config, &wish, &view)
                                               : sync_here(config, &wish, &view);
    if (code == CLI_OK && view.mode != SYNC_VIEW_JSON) {
        remind(config, wish.source);
    }
    return code;
}
