/* SPDX-License-Identifier: MIT
 *
 * status asks the loopback interface of the broker that runs on the data directory, so it needs to be run by
 * a user who may read <data>/daemon.json.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/client.h"
#include "broker/cli/commands.h"
#include "broker/cli/mirror.h"
#include "broker/cli/report.h"
#include "broker/cli/terminal.h"

/* States of sources that need somebody. */
static gboolean is_bad(const char *state)
{
    return strcmp(state, "failing") == 0 || strcmp(state, "held") == 0 || strcmp(state, "alarm") == 0;
}

typedef struct {
    guint count, refused;
    gint64 packs;
    gboolean bad;
    GPtrArray *states; /* of char *, the different ones */
    GArray *counts;    /* of guint, how many are in each */
} MirrorSum;

static void mirror_sum_clear(MirrorSum *sum)
{
    g_ptr_array_unref(sum->states);
    g_array_unref(sum->counts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MirrorSum, mirror_sum_clear)

static void add_source(MirrorSum *sum, const JsonValue *source)
{
    const JsonValue *packs = mirror_object(source, "packs");
    const char *state = mirror_text(source, "state");
    guint i = 0;

    while (i < sum->states->len && strcmp(g_ptr_array_index(sum->states, i), state) != 0) {
        i++;
    }
    if (i == sum->states->len) {
        guint none = 0;

        g_ptr_array_add(sum->states, g_strdup(state));
        g_array_append_val(sum->counts, none);
    }
    g_array_index(sum->counts, guint, i)++;
    sum->count++;
    sum->bad = sum->bad || is_bad(state);
    sum->packs += packs != NULL ? mirror_integer(packs, "served") : 0;
    sum->refused += packs != NULL && mirror_integer(packs, "refused") > 0 ? 1 : 0;
}

/* One line about all sources, and what is wrong with those that need somebody. */
static void print_sum(const MirrorSum *sum, const JsonValue *sources)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "mirrors and peers: %u (", sum->count);
    for (guint i = 0; i < sum->states->len; i++) {
        g_string_append_printf(text, "%s%u %s", i > 0 ? ", " : "", g_array_index(sum->counts, guint, i),
                               (char *)g_ptr_array_index(sum->states, i));
    }
    g_string_append_printf(text, "), %" G_GINT64_FORMAT " %s", sum->packs,
                           sum->packs == 1 ? "pack" : "packs");
    if (sum->refused > 0) {
        g_string_append_printf(text, ", packs refused from %u", sum->refused);
    }
    terminal_print(stdout, sum->bad ? TERMINAL_BAD : TERMINAL_PLAIN, text->str);
    puts("; 'kontor mirror status' says more");
    for (const JsonValue *i = json_value_first(sources); i != NULL; i = json_value_next(i)) {
        if (json_value_kind(i) == JSON_OBJECT && is_bad(mirror_text(i, "state"))) {
            mirror_print_troubles(i);
        }
    }
    putchar('\n');
}

static void print_mirrors(CliClient *client)
{
    g_autoptr(GBytes) answer = cli_client_get(client, "/v1/mirror/status", NULL);
    g_autoptr(JsonDoc) doc = answer != NULL ? cli_client_parse(client, answer, NULL) : NULL;
    const JsonValue *root = doc != NULL ? json_doc_root(doc) : NULL;
    const JsonValue *sources =
        root != NULL && json_value_kind(root) == JSON_OBJECT ? json_object_get(root, "sources") : NULL;
    g_auto(MirrorSum) sum = {
        .states = g_ptr_array_new_with_free_func(g_free),
        .counts = g_array_new(FALSE, FALSE, sizeof(guint)),
    };

    if (sources == NULL || json_value_kind(sources) != JSON_ARRAY) {
        return;
    }
    for (const JsonValue *i = json_value_first(sources); i != NULL; i = json_value_next(i)) {
        if (json_value_kind(i) == JSON_OBJECT) {
            add_source(&sum, i);
        }
    }
    if (sum.count > 0) {
        print_sum(&sum, sources);
    }
}

static CliExit print_status(CliClient *client, gboolean json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = cli_client_get(client, "/v1/broker/status", &error);
    g_autoptr(JsonDoc) doc = answer != NULL ? cli_client_parse(client, answer, &error) : NULL;

    if (doc == NULL) {
        return cli_client_fail(error);
    }
    if (json || json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        fwrite(g_bytes_get_data(answer, NULL), 1, g_bytes_get_size(answer), stdout);
        fputc('\n', stdout);
    } else {
        print_mirrors(client);
        report_print(stdout, json_doc_root(doc));
    }
    return CLI_OK;
}

static CliExit run_status(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data_dir = cli_data_dir(args);
    g_autoptr(CliClient) client = cli_client_new_api(data_dir, &error);

    if (client != NULL) {
        return print_status(client, cli_args_flag(args, "json"));
    }
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        fprintf(stderr, "kontor: no broker runs on %s (%s)\n", data_dir, error->message);
        return CLI_UNREACHABLE;
    }
    return cli_fail(error);
}

static const CliOption status_options[] = {CLI_OPTION_DATA, CLI_OPTION_JSON, CLI_OPTION_END};

const CliCommand cmd_status_commands[] = {
    {
        .name = "status",
        .summary = "Show the state of the broker that runs on the data directory",
        .details = "Mirrors that need somebody and packs that have problems come first, each with its "
                   "reason. Exit code 4\n"
                   "when no broker runs.\n",
        .examples = "  kontor status\n  kontor status --data /var/lib/kontor --json\n",
        .options = status_options,
        .run = run_status,
    },
    {.name = NULL},
};
