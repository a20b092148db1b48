/* SPDX-License-Identifier: MIT */
#include "broker/cli/commands.h"
#include "broker/server.h"
#include "schema/limits.h"

static CliExit run_serve(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    gint64 threads = 0;

    if (!cli_args_integer(args, "threads", 1, LIMIT_IO_THREADS, &threads, &error)) {
        return cli_fail_usage(error);
    }
    ConfigOverrides overrides = {
        .data_dir = cli_args_value(args, "data"),
        .file = cli_args_value(args, "config"),
        .listen = cli_args_values(args, "listen"),
        .api = cli_args_value(args, "api"),
        .packs_dir = cli_args_value(args, "packs"),
        .threads = (guint)threads,
    };

    return (CliExit)server_run(&overrides);
}

static const CliOption serve_options[] = {
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    {"listen", 'l', "ADDR:PORT", "public address, repeatable (default: 0.0.0.0:8000; port 0: any free one)",
     TRUE},
    {"api", 0, "ADDR:PORT", "loopback address for agents and this command line (default: 127.0.0.1:7666)",
     FALSE},
    {"packs", 0, "DIR", "local packs (default: packs in the data directory)", FALSE},
    {"threads", 0, "N", "I/O threads, 1 to 64 (default: number of cores, at most 8)", FALSE},
    CLI_OPTION_END,
};

const CliCommand cmd_serve_commands[] = {
    {
        .name = "serve",
        .summary = "Run a broker in the foreground",
        .details =
            "Options override kontor.yaml. The addresses that were bound stand in endpoints.json in the "
            "data\n"
            "directory from the moment on at which the broker listens. SIGTERM and SIGINT end it after\n"
            "requests in flight; SIGHUP makes it read configuration, certificates and packs again.\n"
            "Exit code 2 means that the configuration is wrong.\n",
        .examples = "  kontor serve\n"
                    "  kontor serve --data /var/lib/kontor --listen 127.0.0.1:8000 --listen '[::1]:8000'\n"
                    "  kontor serve --listen 127.0.0.1:0 --packs ./packs\n",
        .options = serve_options,
        .run = run_serve,
    },
    {.name = NULL},
};
