/* SPDX-License-Identifier: MIT */
#include "broker/cli/cli.h"

#include <errno.h>
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/help.h"
#include "broker/cli/terminal.h"

static void print_error(const char *message)
{
    terminal_print(stderr, TERMINAL_BAD, "kontor:");
    fputc(' ', stderr);
    terminal_print(stderr, TERMINAL_PLAIN, message);
    fputc('\n', stderr);
}

CliExit cli_fail(const GError *error)
{
    print_error(error->message);
    return error->domain == KONTOR_ERROR && error->code == KONTOR_ERROR_NOT_FOUND ? CLI_NOT_FOUND
                                                                                  : CLI_FAILURE;
}

CliExit cli_fail_usage(const GError *error)
{
    print_error(error->message);
    return CLI_USAGE;
}

char *cli_data_dir(const CliArgs *args)
{
    const char *dir = cli_args_value(args, "data");

    if (dir == NULL) {
        dir = g_getenv("KONTOR_DATA");
    }
    if (dir == NULL || *dir == '\0') {
        g_autofree char *home = g_build_filename(g_get_home_dir(), ".kontor", NULL);

        return g_canonicalize_filename(home, NULL);
    }
    return g_canonicalize_filename(dir, NULL);
}

/* FALSE with MALFORMED when there are fewer or more operands than the command takes. */
static gboolean check_operands(const CliCommand *command, const CliArgs *args, GError **error)
{
    guint count = cli_args_count(args);

    if (count < command->args_min) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "operand missing: %s", command->arguments);
        return FALSE;
    }
    if (count > command->args_max) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "unexpected operand '%s'",
                    cli_args_operand(args, command->args_max));
        return FALSE;
    }
    return TRUE;
}

static CliExit run_command(const CliCommand *command, const char *const *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CliArgs) args = cli_args_parse(command->options, words, &error);

    if (args != NULL && cli_args_flag(args, "help")) {
        cli_help_command(stdout, command);
        return CLI_OK;
    }
    if (args == NULL || !check_operands(command, args, &error)) {
        g_autofree char *message =
            g_strdup_printf("%s: %s (see 'kontor help %s')", command->name, error->message, command->name);

        print_error(message);
        return CLI_USAGE;
    }
    return command->run(args);
}

static gboolean is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static CliExit dispatch(const char *const *words)
{
    g_autoptr(GError) error = NULL;
    const CliCommand *command;
    guint used = 0;

    if (words[0] == NULL) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    if (is_one_of(words[0], "--help", "-h")) {
        cli_help_overview(stdout);
        return CLI_OK;
    }
    if (is_one_of(words[0], "--version", "-V")) {
        static const char *const version[] = {"version", NULL};

        return dispatch(version);
    }
    if (words[0][0] == '-') {
        print_error("options stand behind the command: kontor COMMAND [OPTION…]");
        return CLI_USAGE;
    }
    if (cli_command_is_group(words[0]) && (words[1] == NULL || is_one_of(words[1], "--help", "-h"))) {
        cli_help_group(words[1] == NULL ? stderr : stdout, words[0]);
        return words[1] == NULL ? CLI_USAGE : CLI_OK;
    }
    command = cli_command_find(words, &used, &error);
    return command != NULL ? run_command(command, words + used) : cli_fail_usage(error);
}

/* What could not be written (disk full, reader gone) must not look like success. */
static CliExit finish_output(CliExit result)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return result;
    }
    g_autofree char *message = g_strdup_printf("cannot write to standard output: %s", g_strerror(errno));

    print_error(message);
    return result == CLI_OK ? CLI_FAILURE : result;
}

int cli_main(int argc, char **argv)
{
    g_assert(argc > 0 && argv[argc] == NULL);
    return (int)finish_output(dispatch((const char *const *)argv + 1));
}
