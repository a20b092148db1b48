/* SPDX-License-Identifier: MIT */
#include "mirror/store/pack_lint.h"

#include <string.h>

#include "broker/cli/pack.h"
#include "broker/cli/terminal.h"

static void print_finding(FILE *stream, const char *directory, const LintFinding *finding)
{
    gboolean is_error = finding->severity == LINT_ERROR;
    g_autofree char *place = g_build_filename(directory, finding->file, NULL);
    g_autofree char *line = finding->line > 0 ? g_strdup_printf(":%u", finding->line) : g_strdup("");
    g_autofree char *rest = g_strdup_printf("%s: %s: %s (%s)", finding->rule, finding->message, finding->fix,
                                            finding->fixable ? "--fix does it" : "by hand");

    terminal_print(stream, TERMINAL_BOLD, place);
    terminal_print(stream, TERMINAL_BOLD, line);
    fputs(": ", stream);
    terminal_print(stream, is_error ? TERMINAL_BAD : TERMINAL_PLAIN, is_error ? "error" : "warning");
    fputs(": ", stream);
    terminal_print(stream, TERMINAL_PLAIN, rest);
    fputc('\n', stream);
}

void pack_lint_print(FILE *stream, const char *directory, const Lint *lint, gboolean errors_only)
{
    const GPtrArray *findings = lint_findings(lint);
    guint left_out = lint_error_count(lint) + lint_warning_count(lint) - findings->len;

    for (guint i = 0; i < findings->len; i++) {
        const LintFinding *finding = g_ptr_array_index(findings, i);

        if (!errors_only || finding->severity == LINT_ERROR) {
            print_finding(stream, directory, finding);
        }
    }
    if (left_out > 0) {
        fprintf(stream, "… and %u more\n", left_out);
    }
}

static void print_fixed(const char *name, gpointer user)
{
    const char *directory = user;
    g_autofree char *path = g_build_filename(directory, name, NULL);

    fputs("fixed ", stdout);
    terminal_print(stdout, TERMINAL_PLAIN, path);
    fputc('\n', stdout);
}

CliExit pack_lint_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    const char *directory = cli_args_operand(args, 0);

    if (cli_args_flag(args, "fix") &&
        !pack_lint_fix(directory, print_fixed, (gpointer)(guintptr)directory, &error)) {
        return pack_fail(directory, error);
    }
    g_autoptr(Lint) lint = pack_lint_directory(directory, cli_args_value(args, "path"), &error);

    if (lint == NULL) {
        return pack_fail(directory, error);
    }
    pack_lint_print(stdout, directory, lint, /* errors_only= */ FALSE);
    if (lint_error_count(lint) + lint_warning_count(lint) > 0) {
        printf("%u errors, %u warnings\n", lint_error_count(lint), lint_warning_count(lint));
    }
    return lint_error_count(lint) > 0 ? CLI_FAILURE : CLI_OK;
}
