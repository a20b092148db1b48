/* SPDX-License-Identifier: MIT
 *
 * pack verify: one pack from a directory or a URL, or all packs below a directory.
 */
#include <stdio.h>

#include "broker/cli/pack.h"
#include "broker/cli/pack_tree.h"
#include "broker/cli/terminal.h"
#include "broker/cli/verify.h"
#include "mirror/store/pack_content.h"

static gboolean judge(const VerifySource *source, const char *path, const TrustList *trust, gint64 now,
                      AcceptVerdict *ret)
{
    AcceptInput input = {
        .path = path,
        .content = source->content,
        .trust = trust,
        .now = now,
    };

    accept_input_set_sig(&input, source->sig);
    return release_accept(&input, ret);
}

static void print_refusal(const char *what, const AcceptVerdict *verdict)
{
    g_autofree char *line =
        g_strdup_printf("%s: %s: %s", what, accept_rule_name(verdict->rule), verdict->reason);

    terminal_print(stdout, TERMINAL_BAD, line);
    fputc('\n', stdout);
}

static void print_verdict(const AcceptVerdict *verdict)
{
    g_autoptr(TerminalTable) table = terminal_table_new(2);
    char hex[SHA256_HEX_CHARS + 1];
    g_autofree char *publisher = g_strdup_printf("%s (%s)", verdict->signer_name, verdict->fingerprint);

    hex_encode(verdict->content_sha256, SHA256_BYTES, hex);
    terminal_table_add(table, TERMINAL_GOOD, "verdict", "good");
    terminal_table_add(table, TERMINAL_PLAIN, "publisher", publisher);
    terminal_table_add(table, TERMINAL_PLAIN, "version",
                       verdict->has_release ? verdict->version : "no release");
    terminal_table_add(table, TERMINAL_PLAIN, "published", verdict->published_at);
    terminal_table_add(table, TERMINAL_PLAIN, "content_sha256", hex);
    hex_encode(verdict->digest, SHA256_BYTES, hex);
    terminal_table_add(table, TERMINAL_PLAIN, "digest", hex);
    terminal_table_print(table, stdout, 0);
}

static CliExit verify_one(const CliArgs *args, const TrustList *trust, gint64 now)
{
    g_autoptr(GError) error = NULL;
    const char *operand = cli_args_operand(args, 0);
    g_autoptr(VerifySource) source = verify_source_open(operand, &error);
    g_auto(AcceptVerdict) verdict = {0};
    const char *path = cli_args_value(args, "path");

    if (source == NULL) {
        return pack_fail(operand, error);
    }
    if (judge(source, path != NULL ? path : source->path, trust, now, &verdict)) {
        print_verdict(&verdict);
    } else {
        print_refusal(operand, &verdict);
    }
    return verify_exit_code(verdict.rule);
}

/* --- All packs below a directory --- */

typedef struct {
    const TrustList *trust;
    gint64 now;
} Judging;

/* A result: the verdict, or why there is none. */
typedef struct {
    AcceptVerdict verdict;
    GError *error;
} Judged;

static void judged_free(gpointer data)
{
    Judged *judged = data;

    accept_verdict_clear(&judged->verdict);
    g_clear_error(&judged->error);
    g_free(judged);
}

static void judge_place(PackRoot *root, const CatalogPack *place, gpointer user, gpointer *ret_result)
{
    const Judging *judging = user;
    Judged *judged = g_new0(Judged, 1);
    VerifySource source = {0};

    *ret_result = judged;
    source.content = pack_content_of_place(root, place, /* threads= */ 1, &source.sig, &judged->error);
    if (source.content != NULL) {
        judge(&source, place->path, judging->trust, judging->now, &judged->verdict);
    }
    pack_content_free(source.content);
    g_clear_pointer(&source.sig, g_bytes_unref);
}

/* Prints what is not good; the worst exit code of all. */
static CliExit report_tree(const PackTree *tree, guint *ret_good)
{
    CliExit worst = CLI_OK;

    *ret_good = 0;
    for (guint i = 0; i < tree->places->len; i++) {
        const char *path = ((const CatalogPack *)g_ptr_array_index(tree->places, i))->path;
        Judged *judged = tree->results[i];

        if (judged->error != NULL) {
            g_prefix_error(&judged->error, "%s: ", path);
            cli_fail(judged->error);
            worst = verify_worse_exit(worst, CLI_FAILURE);
        } else if (judged->verdict.rule != ACCEPT_OK) {
            print_refusal(path, &judged->verdict);
            worst = verify_worse_exit(worst, verify_exit_code(judged->verdict.rule));
        } else {
            ++*ret_good;
        }
    }
    return worst;
}

static CliExit verify_all(const CliArgs *args, const TrustList *trust, gint64 now)
{
    g_autoptr(GError) error = NULL;
    Judging judging = {.trust = trust, .now = now};
    PackTree *tree = pack_tree_run(cli_args_operand(args, 0), verify_threads(), "verifying", judge_place,
                                   &judging, &error);
    guint good = 0;

    if (tree == NULL) {
        return cli_fail(error);
    }
    CliExit worst = report_tree(tree, &good);

    printf("%u of %u packs are good\n", good, tree->places->len);
    pack_tree_free(tree, judged_free);
    return worst;
}

CliExit pack_verify_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    gint64 now = 0;

    signing_init();
    if (!verify_time(args, &now, &error)) {
        return cli_fail_usage(error);
    }
    g_autoptr(TrustList) trust = verify_trust_load(args, &error);

    if (trust == NULL) {
        return cli_fail_usage(error);
    }
    return cli_args_flag(args, "all") ? verify_all(args, trust, now) : verify_one(args, trust, now);
}
