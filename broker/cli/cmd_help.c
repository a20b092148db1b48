/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/help.h"
#include "schema/json_writer.h"

static CliExit run_help(const CliArgs *args)
{
    const char *words[] = {cli_args_operand(args, 0), cli_args_operand(args, 1), NULL};
    g_autoptr(GError) error = NULL;
    const CliCommand *command;
    guint used = 0;

    if (words[0] == NULL) {
        cli_help_overview(stdout);
        return CLI_OK;
    }
    if (words[1] == NULL && cli_command_is_group(words[0])) {
        cli_help_group(stdout, words[0]);
        return CLI_OK;
    }
    command = cli_command_find(words, &used, &error);
    if (command == NULL) {
        return cli_fail_usage(error);
    }
    cli_help_command(stdout, command);
    return CLI_OK;
}

static CliExit run_version(const CliArgs *args)
{
    if (cli_args_flag(args, "json")) {
        g_autoptr(GString) out = g_string_new(NULL);
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_member_string(&w, "name", "kontor");
        json_write_member_string(&w, "version", KONTOR_VERSION);
        json_write_object_end(&w);
        puts(out->str);
    } else {
        puts("kontor " KONTOR_VERSION);
    }
    return CLI_OK;
}

static const CliOption version_options[] = {CLI_OPTION_JSON, CLI_OPTION_END};

const CliCommand cmd_help_commands[] = {
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .args_max = 2,
        .summary = "Explain a command, or list all",
        .examples = "  kontor help\n  kontor help config check\n",
        .run = run_help,
    },
    {
        .name = "version",
        .summary = "Print the version of this program",
        .options = version_options,
        .run = run_version,
    },
    {.name = NULL},
};
