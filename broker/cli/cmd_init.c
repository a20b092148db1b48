/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "broker/cli/commands.h"
#include "broker/cli/skeleton.h"

static void report(const char *path, gboolean created, gpointer user)
{
    (void)user;
    printf("%s %s\n", created ? "created" : "kept   ", path);
}

static CliExit run_init(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = cli_data_dir(args);

    if (!skeleton_make(dir, cli_args_value(args, "sample"), report, NULL, &error)) {
        cli_fail(error);
        return CLI_FAILURE; /* also when a directory above does not exist: NOT_FOUND is about packs */
    }
    return CLI_OK;
}

static const CliOption init_options[] = {
    CLI_OPTION_DATA,
    {"sample", 0, "PACKSDIR", "copy the packs of this directory into packs/", FALSE},
    CLI_OPTION_END,
};

const CliCommand cmd_init_commands[] = {
    {
        .name = "init",
        .summary = "Make a data directory with a commented kontor.yaml and packs/",
        .details = "What exists already is kept as it is, so the command can be repeated.\n",
        .examples = "  kontor init\n"
                    "  kontor init --data /var/lib/kontor --sample /usr/share/doc/kontor/samples\n",
        .options = init_options,
        .run = run_init,
    },
    {.name = NULL},
};
