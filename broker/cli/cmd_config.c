/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "broker/cli/commands.h"
#include "broker/cli/terminal.h"
#include "broker/config.h"

static Config *load(const CliArgs *args, GError **error)
{
    ConfigOverrides overrides = {
        .data_dir = cli_args_value(args, "data"),
        .file = cli_args_value(args, "config"),
    };

    return config_load(&overrides, error);
}

static CliExit run_check(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load(args, &error);

    if (config == NULL) {
        return cli_fail_usage(error);
    }
    for (guint i = 0; i < config->warnings->len; i++) {
        fprintf(stderr, "warning: ");
        terminal_print(stderr, TERMINAL_PLAIN, g_ptr_array_index(config->warnings, i));
        fputc('\n', stderr);
    }
    printf("%s: %s\n", config->file, config->file_exists ? "good" : "does not exist, so the defaults apply");
    return CLI_OK;
}

static CliExit run_show(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load(args, &error);
    g_autofree char *yaml = NULL;

    if (config == NULL) {
        return cli_fail_usage(error);
    }
    yaml = config_to_yaml(config);
    fputs(yaml, stdout);
    return CLI_OK;
}

static const CliOption config_options[] = {CLI_OPTION_DATA, CLI_OPTION_CONFIG, CLI_OPTION_END};

const CliCommand cmd_config_commands[] = {
    {
        .name = "config check",
        .summary = "Validate the configuration",
        .details =
            "Reads kontor.yaml as 'kontor serve' would. Exit code 2 with file, line and reason when it is\n"
            "wrong. Do this before 'systemctl reload kontor'.\n",
        .examples = "  kontor config check\n  kontor config check --config /etc/kontor/kontor.yaml\n",
        .options = config_options,
        .run = run_check,
    },
    {
        .name = "config show",
        .summary = "Print the effective configuration, defaults included",
        .details =
            "The output is itself a valid kontor.yaml. It names files of secrets, never their contents.\n",
        .examples = "  kontor config show --data /var/lib/kontor\n",
        .options = config_options,
        .run = run_show,
    },
    {.name = NULL},
};
