/* SPDX-License-Identifier: MIT
 *
 * kontor verify: one pack at several brokers. Each broker is asked by a thread of its own, so that a slow one
 * costs its own time only; judging and comparing happen afterwards.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/endpoints.h"
#include "broker/cli/terminal.h"
#include "broker/cli/token_input.h"
#include "broker/cli/verify.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "signing/content_diff.h"

#define DIGEST_CHARS_SHOWN 16

/* A pack at one broker. */
typedef struct {
    char *url;
    const char *path;
    const char *bearer;   /* a read token, or NULL */
    VerifySource *source; /* NULL with `error` */
    GError *error;
    AcceptVerdict verdict; /* when there is a source */
} Holding;

static void holding_free(gpointer data)
{
    Holding *holding = data;

    g_free(holding->url);
    verify_source_free(holding->source);
    g_clear_error(&holding->error);
    accept_verdict_clear(&holding->verdict);
    g_free(holding);
}

/* --- Asking --- */

static gpointer download_holding(gpointer data)
{
    Holding *holding = data;

    holding->source = verify_source_download(holding->url, holding->path, holding->bearer, &holding->error);
    return NULL;
}

static void download_all(GPtrArray *holdings)
{
    g_autoptr(GPtrArray) threads = g_ptr_array_new();

    for (guint i = 0; i < holdings->len; i++) {
        GThread *thread = g_thread_try_new("verify", download_holding, g_ptr_array_index(holdings, i), NULL);

        if (thread != NULL) {
            g_ptr_array_add(threads, thread);
        } else {
            download_holding(g_ptr_array_index(holdings, i));
        }
    }
    for (guint i = 0; i < threads->len; i++) {
        g_thread_join(g_ptr_array_index(threads, i));
    }
}

static void judge(Holding *holding, const TrustList *trust, gint64 now)
{
    if (holding->source == NULL) {
        return;
    }
    AcceptInput input = {
        .path = holding->path,
        .content = holding->source->content,
        .trust = trust,
        .now = now,
    };

    accept_input_set_sig(&input, holding->source->sig);
    release_accept(&input, &holding->verdict);
}

static CliExit holding_exit(const Holding *holding)
{
    return holding->source != NULL ? verify_exit_code(holding->verdict.rule)
                                   : verify_error_exit(holding->error);
}

/* --- Comparing --- */

/* What differs between the brokers. `a` is the first that has the pack; `b` the first that has it otherwise.
 */
typedef struct {
    const Holding *a, *b;
    ContentDifference *difference; /* the first file; NULL when only the signatures differ */
} Mismatch;

static gboolean same_digest(const Holding *a, const Holding *b)
{
    return memcmp(a->verdict.digest, b->verdict.digest, SHA256_BYTES) == 0;
}

/* The content is what the broker serves, whatever its signature says; only what both name is compared. */
static ContentDifference *first_difference(const Holding *a, const Holding *b)
{
    gboolean all_known = a->verdict.has_release && b->verdict.has_release;
    g_autoptr(GPtrArray) differences = content_diff(a->source->content, b->source->content, !all_known);

    return differences->len > 0 ? g_ptr_array_steal_index(differences, 0) : NULL;
}

/* TRUE when all brokers that have the pack have the same. */
static gboolean all_agree(const GPtrArray *holdings, Mismatch *ret)
{
    *ret = (Mismatch){0};
    for (guint i = 0; i < holdings->len; i++) {
        const Holding *holding = g_ptr_array_index(holdings, i);

        if (holding->source == NULL) {
            continue;
        }
        if (ret->a == NULL) {
            ret->a = holding;
            continue;
        }
        ret->difference = first_difference(ret->a, holding);
        if (ret->difference != NULL || !same_digest(ret->a, holding)) {
            ret->b = holding;
            return FALSE;
        }
    }
    return TRUE;
}

/* --- Output --- */

static const char *verdict_name(const Holding *holding)
{
    if (holding->source != NULL) {
        return holding->verdict.rule == ACCEPT_OK ? "good" : accept_rule_name(holding->verdict.rule);
    }
    switch (verify_error_exit(holding->error)) {
    case CLI_NOT_FOUND:
        return "not-found";
    case CLI_UNREACHABLE:
        return "unreachable";
    case CLI_OK:
    case CLI_FAILURE:
    case CLI_USAGE:
    case CLI_UNSIGNED:
    case CLI_UNTRUSTED:
    case CLI_BAD_SIGNATURE:
    case CLI_MISMATCH:
    case CLI_REFUSED:
        break;
    }
    return "failed";
}

static const char *holding_reason(const Holding *holding)
{
    return holding->source != NULL ? holding->verdict.reason : holding->error->message;
}

static void add_row(TerminalTable *table, const Holding *holding)
{
    const AcceptVerdict *verdict = &holding->verdict;
    char digest[SHA256_HEX_CHARS + 1] = "";
    gboolean good = holding->source != NULL && verdict->rule == ACCEPT_OK;
    const char *publisher = !verdict->has_signer              ? ""
                            : verdict->signer_name[0] != '\0' ? verdict->signer_name
                                                              : verdict->fingerprint;

    if (verdict->has_signer) {
        hex_encode(verdict->digest, SHA256_BYTES, digest);
        digest[DIGEST_CHARS_SHOWN] = '\0';
    }
    terminal_table_add(table, good ? TERMINAL_GOOD : TERMINAL_BAD, holding->url,
                       holding->source != NULL ? holding->source->content->version : "", publisher, digest,
                       verdict_name(holding));
}

static void print_line(const char *what, const char *text)
{
    terminal_print(stdout, TERMINAL_PLAIN, what);
    fputs(": ", stdout);
    terminal_print(stdout, TERMINAL_PLAIN, text);
    fputc('\n', stdout);
}

/* Broker, pack, and what is wrong; errors of a download name the pack themselves. */
static void print_reason(const Holding *holding)
{
    g_autofree char *reason = holding->source != NULL
                                  ? g_strdup_printf("pack '%s': %s: %s", holding->path, verdict_name(holding),
                                                    holding_reason(holding))
                                  : g_strdup(holding_reason(holding));

    print_line(holding->url, reason);
}

static char *mismatch_text(const Mismatch *mismatch)
{
    const ContentDifference *difference = mismatch->difference;

    if (difference == NULL) {
        return g_strdup_printf("%s and %s serve the same files under different releases", mismatch->a->url,
                               mismatch->b->url);
    }
    if (difference->in_a && difference->in_b) {
        return g_strdup_printf("%s differs between %s and %s", difference->file, mismatch->a->url,
                               mismatch->b->url);
    }
    return g_strdup_printf("%s is at %s and not at %s", difference->file,
                           (difference->in_a ? mismatch->a : mismatch->b)->url,
                           (difference->in_a ? mismatch->b : mismatch->a)->url);
}

static void print_table(const GPtrArray *holdings, const Mismatch *mismatch)
{
    g_autoptr(TerminalTable) table = terminal_table_new(5);

    terminal_table_add(table, TERMINAL_DIM, "BROKER", "VERSION", "PUBLISHER", "DIGEST", "VERDICT");
    for (guint i = 0; i < holdings->len; i++) {
        add_row(table, g_ptr_array_index(holdings, i));
    }
    terminal_table_print(table, stdout, 0);
    for (guint i = 0; i < holdings->len; i++) {
        const Holding *holding = g_ptr_array_index(holdings, i);

        if (holding_reason(holding) != NULL) {
            print_reason(holding);
        }
    }
    if (mismatch->b != NULL) {
        g_autofree char *text = mismatch_text(mismatch);

        print_line("not the same", text);
    }
}

static void write_source(JsonWriter *w, const Holding *holding)
{
    const PackContent *content = holding->source->content;
    const AcceptVerdict *verdict = &holding->verdict;
    guint8 hash[SHA256_BYTES];

    json_write_member_string(w, "version", content->version);
    json_write_member_integer(w, "pages", content->pages->len);
    json_write_member_integer(w, "bytes", (gint64)content->bytes);
    if (pack_content_check(content, NULL)) {
        pack_content_sha256(content, hash);
        json_write_member_hex(w, "served_content_sha256", hash, SHA256_BYTES);
    }
    if (!verdict->has_signer) {
        return;
    }
    json_write_member_string(w, "publisher", verdict->signer_name);
    json_write_member_string(w, "fingerprint", verdict->fingerprint);
    json_write_member_string(w, "published_at", verdict->published_at);
    json_write_member_hex(w, "content_sha256", verdict->content_sha256, SHA256_BYTES);
    json_write_member_hex(w, "digest", verdict->digest, SHA256_BYTES);
}

static void write_holding(JsonWriter *w, const Holding *holding)
{
    json_write_object_begin(w);
    json_write_member_string(w, "broker", holding->url);
    json_write_member_string(w, "verdict", verdict_name(holding));
    if (holding_reason(holding) != NULL) {
        json_write_member_string(w, "reason", holding_reason(holding));
    }
    if (holding->source != NULL) {
        write_source(w, holding);
    }
    json_write_object_end(w);
}

static void write_mismatch(JsonWriter *w, const Mismatch *mismatch)
{
    g_autofree char *text = mismatch_text(mismatch);

    json_write_key(w, "mismatch");
    json_write_object_begin(w);
    json_write_member_string(w, "a", mismatch->a->url);
    json_write_member_string(w, "b", mismatch->b->url);
    if (mismatch->difference != NULL) {
        json_write_member_string(w, "first_file", mismatch->difference->file);
    }
    json_write_member_string(w, "reason", text);
    json_write_object_end(w);
}

static void print_json(const char *path, const GPtrArray *holdings, const Mismatch *mismatch, CliExit result)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "pack", path);
    json_write_member_boolean(&w, "good", result == CLI_OK);
    json_write_key(&w, "brokers");
    json_write_array_begin(&w);
    for (guint i = 0; i < holdings->len; i++) {
        write_holding(&w, g_ptr_array_index(holdings, i));
    }
    json_write_array_end(&w);
    if (mismatch->b != NULL) {
        write_mismatch(&w, mismatch);
    }
    json_write_object_end(&w);
    puts(out->str);
}

/* --- The command --- */

static void add_holding(GPtrArray *holdings, char *url, const char *path)
{
    Holding *holding = g_new0(Holding, 1);

    holding->url = url;
    holding->path = path;
    g_ptr_array_add(holdings, holding);
}

/* The brokers of --at; without any, the one that runs on the data directory. */
static gboolean choose_brokers(const CliArgs *args, const char *path, GPtrArray *holdings, GError **error)
{
    char **urls = cli_args_values(args, "at");

    if (urls == NULL) {
        g_autofree char *data_dir = cli_data_dir(args);
        g_autoptr(Endpoints) endpoints = endpoints_load(data_dir, NULL);

        if (endpoints == NULL || endpoints->public_url == NULL) {
            g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                                "verify: name a broker with --at URL, since none runs on the data directory");
            return FALSE;
        }
        add_holding(holdings, g_steal_pointer(&endpoints->public_url), path);
        return TRUE;
    }
    if (g_strv_length(urls) > LIMIT_VERIFY_BROKERS) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "verify: more than %d brokers",
                    LIMIT_VERIFY_BROKERS);
        return FALSE;
    }
    for (guint i = 0; urls[i] != NULL; i++) {
        add_holding(holdings, endpoints_url(urls[i]), path);
    }
    return TRUE;
}

/* Gives each broker its token; the array owns them. */
static GPtrArray *choose_tokens(const CliArgs *args, const GPtrArray *holdings, GError **error)
{
    g_autoptr(GPtrArray) urls = g_ptr_array_new();

    for (guint i = 0; i < holdings->len; i++) {
        g_ptr_array_add(urls, ((const Holding *)g_ptr_array_index(holdings, i))->url);
    }
    g_ptr_array_add(urls, NULL);
    GPtrArray *tokens =
        cli_token_files(args, (const char *const *)urls->pdata, /* lone= */ holdings->len == 1, error);

    for (guint i = 0; tokens != NULL && i < holdings->len; i++) {
        ((Holding *)g_ptr_array_index(holdings, i))->bearer = g_ptr_array_index(tokens, i);
    }
    return tokens;
}

static CliExit verify_at(const GPtrArray *holdings, const char *path, gboolean json)
{
    Mismatch mismatch;
    CliExit result = all_agree(holdings, &mismatch) ? CLI_OK : CLI_MISMATCH;

    for (guint i = 0; i < holdings->len; i++) {
        result = verify_worse_exit(result, holding_exit(g_ptr_array_index(holdings, i)));
    }
    if (json) {
        print_json(path, holdings, &mismatch, result);
    } else {
        print_table(holdings, &mismatch);
    }
    content_difference_free(mismatch.difference);
    return result;
}

static CliExit run_verify(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) holdings = g_ptr_array_new_with_free_func(holding_free);
    g_autoptr(TrustList) trust = NULL;
    g_autoptr(GPtrArray) tokens = NULL;
    g_autofree char *path = g_strdup(cli_args_operand(args, 0));
    gint64 now = 0;

    signing_init();
    while (g_str_has_suffix(path, "/")) {
        path[strlen(path) - 1] = '\0';
    }
    if (!verify_time(args, &now, &error) || !pack_path_check(path, &error) ||
        !choose_brokers(args, path, holdings, &error)) {
        return cli_fail_usage(error);
    }
    tokens = choose_tokens(args, holdings, &error);
    trust = tokens != NULL ? verify_trust_load(args, &error) : NULL;
    if (trust == NULL) {
        return cli_fail_usage(error);
    }
    download_all(holdings);
    for (guint i = 0; i < holdings->len; i++) {
        judge(g_ptr_array_index(holdings, i), trust, now);
    }
    return verify_at(holdings, path, cli_args_flag(args, "json"));
}

static const CliOption verify_options[] = {
    {"at", 0, "URL", "broker to ask; repeat it to compare (default: the one that runs on the data directory)",
     TRUE},
    CLI_OPTION_TRUST,
    CLI_OPTION_AT_TIME,
    CLI_OPTION_TOKEN_FILE,
    CLI_OPTION_DATA,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const CliCommand cmd_verify_commands[] = {
    {
        .name = "verify",
        .arguments = "PACK",
        .args_min = 1,
        .args_max = 1,
        .summary = "Verify that brokers serve a pack as it was signed, and the same one",
        .details =
            "Downloads the pack from each broker as a Node would, verifies it against the trust list, and\n"
            "compares the brokers with each other. Exit codes, the worst of all brokers: 0 all good and the\n"
            "same, 3 no such pack, 4 unreachable, 5 unsigned, 6 untrusted, 7 bad signature (the content is\n"
            "not what was signed), 8 not the same; 7 is worse than 6, 5, 8, 1, 3, 4.\n",
        .examples = "  kontor verify history/rome --at https://north.example --at https://south.example\n"
                    "  kontor verify history/rome --trust trusted_publishers.yaml --json\n",
        .options = verify_options,
        .run = run_verify,
    },
    {.name = NULL},
};
