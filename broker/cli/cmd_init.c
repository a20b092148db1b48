/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/skeleton.h"

static void report(const char *path, gboolean created, gpointer user)
{
    (void)user;
    printf("%s %s\n", created ? "created" : "kept   ", path);
}

/* The command that serves the directory, ready to be pasted. */
static void print_next_step(const CliArgs *args, const char *dir)
{
    g_autofree char *quoted = g_shell_quote(dir);
    gboolean is_plain = strspn(dir, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "/._-") == strlen(dir);

    if (cli_args_value(args, "data") != NULL) {
        printf("next: kontor serve --data %s\n", is_plain ? dir : quoted);
    } else {
        puts("next: kontor serve");
    }
}

static CliExit run_init(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = cli_data_dir(args);

    if (!skeleton_make(dir, cli_args_value(args, "sample"), report, NULL, &error)) {
        cli_fail(error);
        return CLI_FAILURE; /* also when a directory above does not exist: NOT_FOUND is about packs */
    }
    print_next_step(args, dir);
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
