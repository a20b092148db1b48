/* SPDX-License-Identifier: MIT
 *
 * kontor peers: the other brokers, by whom they are known and how far their catalog was followed. What the
 * agent found out of a peer's catalog stands in its state in mirror.db.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/client.h"
#include "broker/cli/commands.h"
#include "broker/cli/mirror.h"
#include "broker/cli/terminal.h"
#include "broker/config_sources.h"

#define STATE_BYTES_MAX 65536

/* The generation of the peer's catalog that was dealt with last; -1: none yet. */
static gboolean read_generation(MirrorDb *db, const char *name, gint64 *ret, GError **error)
{
    g_auto(SourceRecord) record = {0};
    g_autoptr(GError) local = NULL;
    g_autoptr(JsonDoc) doc = NULL;

    *ret = -1;
    if (db == NULL) {
        return TRUE;
    }
    if (!mirror_db_source(db, name, &record, &local)) {
        if (g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
            return TRUE;
        }
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    doc = json_doc_parse(record.state, strlen(record.state), STATE_BYTES_MAX, NULL);
    if (doc != NULL && json_value_kind(json_doc_root(doc)) == JSON_OBJECT &&
        json_object_get(json_doc_root(doc), "generation") != NULL) {
        *ret = mirror_integer(json_doc_root(doc), "generation");
    }
    return TRUE;
}

static const JsonValue *find_status(const JsonValue *root, const char *name)
{
    const JsonValue *sources = json_object_get(root, "sources");
    const JsonValue *i =
        sources != NULL && json_value_kind(sources) == JSON_ARRAY ? json_value_first(sources) : NULL;

    while (i != NULL && (json_value_kind(i) != JSON_OBJECT || strcmp(mirror_text(i, "name"), name) != 0)) {
        i = json_value_next(i);
    }
    return i;
}

/* One peer, all of it borrowed. */
typedef struct {
    const MirrorSource *source;
    const JsonValue *status; /* NULL: the broker does not know it yet */
    gint64 generation;
    char fingerprint[FINGERPRINT_CHARS + 1];
} Peer;

static const char *state_text(const Peer *peer)
{
    return peer->status != NULL ? mirror_text(peer->status, "state") : "waiting";
}

/* --- Output --- */

static void write_or_null(JsonWriter *w, const char *key, const char *text)
{
    json_write_key(w, key);
    if (*text != '\0') {
        json_write_string(w, text);
    } else {
        json_write_null(w);
    }
}

static void write_peer(JsonWriter *w, const Peer *peer)
{
    g_autofree char *url = source_shown_url(peer->source);
    g_autofree char *key = config_peer_key_print(&peer->source->key, peer->source->key_name);
    const JsonValue *status = peer->status;

    json_write_object_begin(w);
    json_write_member_string(w, "name", peer->source->name);
    json_write_member_string(w, "url", url);
    json_write_member_string(w, "key", key);
    json_write_member_string(w, "fingerprint", peer->fingerprint);
    json_write_member_string(w, "visibility", peer->source->is_private ? "private" : "public");
    json_write_member_string(w, "state", state_text(peer));
    json_write_member_string(w, "detail", status != NULL ? mirror_text(status, "detail") : "");
    json_write_member_string(w, "alarm", status != NULL ? mirror_text(status, "alarm") : "");
    json_write_member_string(w, "alarm_reason", status != NULL ? mirror_text(status, "alarm_reason") : "");
    json_write_key(w, "generation");
    if (peer->generation >= 0) {
        json_write_integer(w, peer->generation);
    } else {
        json_write_null(w);
    }
    write_or_null(w, "last_try", status != NULL ? mirror_text(status, "last_try") : "");
    write_or_null(w, "last_ok", status != NULL ? mirror_text(status, "last_ok") : "");
    json_write_object_end(w);
}

static void print_json(const GArray *peers)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_key(&w, "peers");
    json_write_array_begin(&w);
    for (guint i = 0; i < peers->len; i++) {
        write_peer(&w, &g_array_index(peers, Peer, i));
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    puts(out->str);
}

static char *contact_text(const Peer *peer)
{
    gint64 last = peer->status != NULL ? mirror_time(peer->status, "last_ok") : 0;
    g_autofree char *ago = mirror_span(MAX(g_get_real_time() / G_USEC_PER_SEC - last, 0));

    return last > 0 ? g_strconcat(ago, " ago", NULL) : g_strdup("never reached");
}

static void print_peers(const GArray *peers)
{
    g_autoptr(TerminalTable) table = terminal_table_new(7);

    for (guint i = 0; i < peers->len; i++) {
        const Peer *peer = &g_array_index(peers, Peer, i);
        g_autofree char *url = source_shown_url(peer->source);
        g_autofree char *contact = contact_text(peer);
        g_autofree char *generation = peer->generation >= 0
                                          ? g_strdup_printf("generation %" G_GINT64_FORMAT, peer->generation)
                                          : g_strdup("no catalog yet");
        gboolean alarm = peer->status != NULL && *mirror_text(peer->status, "alarm") != '\0';

        terminal_table_add(table, alarm ? TERMINAL_BAD : TERMINAL_PLAIN, peer->source->name,
                           peer->fingerprint, state_text(peer), generation, contact,
                           peer->source->is_private ? "private" : "public", url);
    }
    terminal_table_print(table, stdout, /* indent= */ 0);
    for (guint i = 0; i < peers->len; i++) {
        if (g_array_index(peers, Peer, i).status != NULL) {
            mirror_print_troubles(g_array_index(peers, Peer, i).status);
        }
    }
    if (peers->len == 0) {
        fprintf(stderr, "no peers; 'kontor mirror add NAME URL --peer' adds one\n");
    }
}

static gboolean gather(const Config *config, const JsonValue *root, GArray *peers, GError **error)
{
    g_autoptr(MirrorDb) db = NULL;

    if (!mirror_db_peek(config, &db, error)) {
        return FALSE;
    }
    for (guint i = 0; i < config->sources->len; i++) {
        Peer peer = {.source = g_ptr_array_index(config->sources, i)};

        if (peer.source->kind != SOURCE_PEER) {
            continue;
        }
        if (!read_generation(db, peer.source->name, &peer.generation, error)) {
            return FALSE;
        }
        peer.status = find_status(root, peer.source->name);
        public_key_fingerprint(&peer.source->key, peer.fingerprint);
        g_array_append_val(peers, peer);
    }
    return TRUE;
}

static CliExit run_peers(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = mirror_config_load(args, &error);
    g_autoptr(GArray) peers = g_array_new(FALSE, FALSE, sizeof(Peer));
    g_autoptr(JsonDoc) doc = NULL;
    gboolean live = FALSE;

    signing_init();
    if (config == NULL) {
        return cli_fail_usage(error);
    }
    doc = mirror_status_ask(config, &live, &error);
    if (doc == NULL || !gather(config, json_doc_root(doc), peers, &error)) {
        return cli_client_fail(error);
    }
    (cli_args_flag(args, "json") ? print_json : print_peers)(peers);
    return CLI_OK;
}

static const CliOption peers_options[] = {CLI_OPTION_DATA, CLI_OPTION_CONFIG, CLI_OPTION_JSON,
                                          CLI_OPTION_END};

const CliCommand cmd_peers_commands[] = {
    {
        .name = "peers",
        .summary = "Show the brokers whose catalogs are mirrored",
        .details = "With the fingerprint of the key that is pinned, the generation of the catalog that was "
                   "dealt with\n"
                   "last, and alarms: what a peer signed does not fit what it signed before.\n",
        .examples = "  kontor peers\n  kontor peers --json\n",
        .options = peers_options,
        .run = run_peers,
    },
    {.name = NULL},
};
