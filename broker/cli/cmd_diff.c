/* SPDX-License-Identifier: MIT
 *
 * kontor diff: which packs two brokers serve differently, and what changed at one of them. Nobody is
 * believed: digests are recomputed from what comes back, up to the root in the checkpoint. When a catalog
 * changes while it is compared, the comparison begins again.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/catalog_client.h"
#include "broker/cli/commands.h"
#include "broker/cli/terminal.h"
#include "broker/cli/token_input.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

#define ATTEMPTS 3
#define GENERATION_MAX ((G_GINT64_CONSTANT(1) << 53) - 1)

/* One of the two. */
typedef struct {
    CliClient *client;
    CatalogCheckpoint checkpoint;
    char *name;
    guint requests;
} Side;

/* A pack that they serve differently; one may be NULL. */
typedef struct {
    CatalogItem *here, *there;
} Pair;

typedef struct {
    Side here, there;
    CatalogSigner *signer; /* of `there`, or NULL */
    GPtrArray *pairs;      /* of Pair * */
} Diff;

static void pair_free(gpointer data)
{
    Pair *pair = data;

    catalog_item_unref(pair->here);
    catalog_item_unref(pair->there);
    g_free(pair);
}

static void signer_free(CatalogSigner *signer)
{
    if (signer == NULL) {
        return;
    }
    g_free(signer->name);
    g_free(signer);
}

static void side_clear(Side *side)
{
    cli_client_free(side->client);
    g_free(side->name);
}

static void diff_clear(Diff *diff)
{
    side_clear(&diff->here);
    side_clear(&diff->there);
    signer_free(diff->signer);
    g_clear_pointer(&diff->pairs, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Diff, diff_clear)

/* --- Asking --- */

static gboolean take_checkpoint(Side *side, const CatalogSigner *signer, GError **error)
{
    g_clear_pointer(&side->name, g_free);
    side->requests++;
    return catalog_client_checkpoint(side->client, signer, &side->checkpoint, &side->name, error);
}

static void warn_if_stale(const Side *side)
{
    if (side->checkpoint.expires_s < g_get_real_time() / G_USEC_PER_SEC) {
        fprintf(stderr, "kontor: %s: the checkpoint has expired; this may be an old state\n",
                cli_client_url(side->client));
    }
}

static void add_pair(CatalogItem *here, CatalogItem *there, gpointer user)
{
    Pair *pair = g_new0(Pair, 1);

    pair->here = here != NULL ? catalog_item_ref(here) : NULL;
    pair->there = there != NULL ? catalog_item_ref(there) : NULL;
    g_ptr_array_add(user, pair);
}

/* CONFLICT when a catalog changed meanwhile. */
static gboolean compare_once(Diff *diff, GError **error)
{
    TrieWalkReport report;

    g_ptr_array_set_size(diff->pairs, 0);
    if (!take_checkpoint(&diff->here, NULL, error) || !take_checkpoint(&diff->there, diff->signer, error)) {
        return FALSE;
    }
    TrieSource here = catalog_client_source(diff->here.client, &diff->here.checkpoint);
    TrieSource there = catalog_client_source(diff->there.client, &diff->there.checkpoint);
    gboolean done = trie_walk(&here, &there, add_pair, diff->pairs, &report, error);

    diff->here.requests += report.requests[0];
    diff->there.requests += report.requests[1];
    return done;
}

static const char *pair_path(const Pair *pair)
{
    return pair->here != NULL ? pair->here->path : pair->there->path;
}

static gint compare_pairs(gconstpointer a, gconstpointer b)
{
    return strcmp(pair_path(*(const Pair *const *)a), pair_path(*(const Pair *const *)b));
}

static gboolean compare(Diff *diff, GError **error)
{
    for (guint attempt = 1;; attempt++) {
        g_autoptr(GError) cause = NULL;

        if (compare_once(diff, &cause)) {
            g_ptr_array_sort(diff->pairs, compare_pairs);
            return TRUE;
        }
        if (attempt == ATTEMPTS || !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CONFLICT)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
    }
}

/* --- Output of a comparison --- */

static const char *pair_state(const Pair *pair)
{
    return pair->there == NULL ? "only here" : pair->here == NULL ? "only there" : "differs";
}

/* The version, and with equal versions the beginning of what tells them apart. */
static char *pair_cell(const Pair *pair, const CatalogItem *item)
{
    char hex[SHA256_HEX_CHARS + 1];

    if (item == NULL) {
        return g_strdup("-");
    }
    if (pair->here == NULL || pair->there == NULL || strcmp(pair->here->version, pair->there->version) != 0) {
        return g_strdup(item->version);
    }
    hex_encode(item->digest, SHA256_BYTES, hex);
    return g_strdup_printf("%s (%.8s)", item->version, hex);
}

static void print_table(const Diff *diff)
{
    g_autoptr(TerminalTable) table = terminal_table_new(4);

    for (guint i = 0; i < diff->pairs->len; i++) {
        const Pair *pair = g_ptr_array_index(diff->pairs, i);
        g_autofree char *here = pair_cell(pair, pair->here);
        g_autofree char *there = pair_cell(pair, pair->there);

        terminal_table_add(table, TERMINAL_PLAIN, pair_state(pair), pair_path(pair), here, there);
    }
    terminal_table_print(table, stdout, 0);
    fprintf(stderr, "%u %s; %" G_GUINT64_FORMAT " here, %" G_GUINT64_FORMAT " there, %u %s\n",
            diff->pairs->len, diff->pairs->len == 1 ? "difference" : "differences",
            diff->here.checkpoint.count, diff->there.checkpoint.count, diff->there.requests,
            diff->there.requests == 1 ? "request" : "requests");
}

static void write_side(JsonWriter *w, const char *key, const Side *side)
{
    char root[SHA256_HEX_CHARS + 1];

    hex_encode(side->checkpoint.root, SHA256_BYTES, root);
    json_write_key(w, key);
    json_write_object_begin(w);
    json_write_member_string(w, "url", cli_client_url(side->client));
    json_write_member_string(w, "name", side->name);
    json_write_member_integer(w, "generation", (gint64)side->checkpoint.generation);
    json_write_member_integer(w, "count", (gint64)side->checkpoint.count);
    json_write_member_string(w, "root", root);
    json_write_member_integer(w, "requests", side->requests);
    json_write_object_end(w);
}

static void write_item(JsonWriter *w, const char *key, const CatalogItem *item)
{
    json_write_key(w, key);
    if (item != NULL) {
        catalog_item_write(item, w);
    } else {
        json_write_null(w);
    }
}

static void print_json(const Diff *diff)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    write_side(&w, "here", &diff->here);
    write_side(&w, "there", &diff->there);
    json_write_key(&w, "differences");
    json_write_array_begin(&w);
    for (guint i = 0; i < diff->pairs->len; i++) {
        const Pair *pair = g_ptr_array_index(diff->pairs, i);

        json_write_object_begin(&w);
        json_write_member_string(&w, "path", pair_path(pair));
        write_item(&w, "here", pair->here);
        write_item(&w, "there", pair->there);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    puts(out->str);
}

/* --- Changes since a generation --- */

/* Answers until the present are put together; what changed twice is there twice, in order. */
static gboolean take_changes(Side *there, guint64 since, JournalAnswer *ret, GError **error)
{
    *ret = (JournalAnswer){.changes = g_ptr_array_new_with_free_func((GDestroyNotify)journal_change_free)};
    do {
        g_auto(JournalAnswer) answer = {0};

        there->requests++;
        if (ret->changes->len > LIMIT_CATALOG_ITEMS) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: more than %d changes",
                        cli_client_url(there->client), LIMIT_CATALOG_ITEMS);
            return FALSE;
        }
        if (!catalog_client_changes(there->client, since, &answer, error)) {
            return FALSE;
        }
        since = answer.next;
        ret->next = answer.next;
        ret->generation = answer.generation;
        g_ptr_array_extend_and_steal(ret->changes, g_steal_pointer(&answer.changes));
    } while (ret->next != ret->generation);
    return TRUE;
}

static void print_changes(const JournalAnswer *changes, gboolean json)
{
    g_autoptr(TerminalTable) table = terminal_table_new(4);

    if (json) {
        g_autoptr(GString) out = g_string_new(NULL);
        {
            g_auto(JsonWriter) w;

            json_writer_init(&w, out, JSON_STYLE_PLAIN);
            journal_answer_write(changes, &w);
        }
        puts(out->str);
        return;
    }
    for (guint i = 0; i < changes->changes->len; i++) {
        const JournalChange *change = g_ptr_array_index(changes->changes, i);
        const CatalogItem *item = change->item;

        terminal_table_add(table, TERMINAL_PLAIN, item != NULL ? "set" : "removed", change->path,
                           item != NULL ? item->version : "-", item != NULL ? item->publisher : "");
    }
    terminal_table_print(table, stdout, 0);
    fprintf(stderr, "generation %" G_GUINT64_FORMAT "\n", changes->generation);
}

/* --- The command --- */

static CliExit fail(const GError *error)
{
    CliExit result = cli_client_fail(error);

    return g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE) ? CLI_BAD_SIGNATURE : result;
}

/* FALSE with a wrong command line. */
static gboolean read_signer(const CliArgs *args, CatalogSigner **ret, GError **error)
{
    const char *text = cli_args_value(args, "signer");
    g_autofree CatalogSigner *signer = g_new0(CatalogSigner, 1);

    if (text == NULL) {
        return TRUE;
    }
    if (!note_verifier_key_parse(text, &signer->name, &signer->key, error)) {
        g_prefix_error(error, "--signer: ");
        return FALSE;
    }
    *ret = g_steal_pointer(&signer);
    return TRUE;
}

static CliExit run_since(Diff *diff, guint64 since, gboolean json)
{
    g_autoptr(GError) error = NULL;
    g_auto(JournalAnswer) changes = {0};

    if (!take_checkpoint(&diff->there, diff->signer, &error) ||
        !take_changes(&diff->there, since, &changes, &error)) {
        return fail(error);
    }
    warn_if_stale(&diff->there);
    print_changes(&changes, json);
    return changes.changes->len > 0 ? CLI_MISMATCH : CLI_OK;
}

static CliExit run_compare(Diff *diff, const CliArgs *args)
{
    g_autoptr(GError) error = NULL;

    if (!compare(diff, &error)) {
        return fail(error);
    }
    warn_if_stale(&diff->here);
    warn_if_stale(&diff->there);
    if (cli_args_flag(args, "json")) {
        print_json(diff);
    } else {
        print_table(diff);
    }
    return diff->pairs->len > 0 ? CLI_MISMATCH : CLI_OK;
}

/* A file without URL is for the broker that the operand names; `here` may need another. */
static gboolean take_tokens(const CliArgs *args, Diff *diff, GError **error)
{
    const char *urls[] = {cli_client_url(diff->there.client),
                          diff->here.client != NULL ? cli_client_url(diff->here.client) : NULL, NULL};
    g_autoptr(GPtrArray) tokens = cli_token_files(args, urls, /* lone= */ TRUE, error);

    if (tokens == NULL) {
        return FALSE;
    }
    cli_client_set_bearer(diff->there.client, g_ptr_array_index(tokens, 0));
    if (diff->here.client != NULL) {
        cli_client_set_bearer(diff->here.client, g_ptr_array_index(tokens, 1));
    }
    return TRUE;
}

static CliExit run_diff(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_auto(Diff) diff = {.pairs = g_ptr_array_new_with_free_func(pair_free)};
    gint64 since = -1;

    signing_init();
    if (!cli_args_integer(args, "since", 0, GENERATION_MAX, &since, &error) ||
        !read_signer(args, &diff.signer, &error)) {
        return cli_fail_usage(error);
    }
    diff.there.client = cli_client_new_at(cli_args_operand(args, 0));
    diff.here.client = since < 0 ? cli_client_new(args, &error) : NULL;
    if (since < 0 && diff.here.client == NULL) {
        return fail(error);
    }
    if (!take_tokens(args, &diff, &error)) {
        return cli_fail_usage(error);
    }
    return since >= 0 ? run_since(&diff, (guint64)since, cli_args_flag(args, "json"))
                      : run_compare(&diff, args);
}

static const CliOption diff_options[] = {
    CLI_OPTION_AT,
    {"signer", 0, "KEY", "verifier key that must have signed URL's checkpoint, as its /version shows it",
     FALSE},
    {"since", 0, "GENERATION", "only show what changed at URL after this generation", FALSE},
    CLI_OPTION_TOKEN_FILE,
    CLI_OPTION_DATA,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const CliCommand cmd_diff_commands[] = {
    {
        .name = "diff",
        .arguments = "URL",
        .args_min = 1,
        .args_max = 1,
        .summary = "Show which packs another broker serves differently",
        .details =
            "Compares the catalogs of this broker (or that of --at) and of URL by their checkpoints and\n"
            "digests, in a few small requests however many packs there are. With equal versions the\n"
            "beginning of the digests is shown. A broker changes while it is compared: the comparison\n"
            "begins again, three times at most. Exit codes: 0 the same, 8 not the same, 7 a digest or the\n"
            "signature of the checkpoint is wrong, 3 no such catalog, or a generation that URL does not\n"
            "know any more, 4 unreachable. With a read token for a broker, its private packs that the token\n"
            "shows are compared as well.\n",
        .examples = "  kontor diff https://north.example\n"
                    "  kontor diff https://north.example --at https://south.example --json\n"
                    "  kontor diff https://north.example --since 1795225306\n",
        .options = diff_options,
        .run = run_diff,
    },
    {.name = NULL},
};
