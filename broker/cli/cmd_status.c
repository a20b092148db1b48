/* SPDX-License-Identifier: MIT
 *
 * status asks the loopback interface of the broker that runs on the data directory, so it needs to be run by
 * a user who may read <data>/daemon.json.
 */
#include <stdio.h>

#include "broker/cli/client.h"
#include "broker/cli/commands.h"
#include "broker/cli/report.h"

static CliExit print_status(CliClient *client, gboolean json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = cli_client_get(client, "/v1/broker/status", &error);
    g_autoptr(JsonDoc) doc = answer != NULL ? cli_client_parse(client, answer, &error) : NULL;

    if (doc == NULL) {
        return cli_client_fail(error);
    }
    if (json || json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        fwrite(g_bytes_get_data(answer, NULL), 1, g_bytes_get_size(answer), stdout);
        fputc('\n', stdout);
    } else {
        report_print(stdout, json_doc_root(doc));
    }
    return CLI_OK;
}

static CliExit run_status(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data_dir = cli_data_dir(args);
    g_autoptr(CliClient) client = cli_client_new_api(data_dir, &error);

    if (client != NULL) {
        return print_status(client, cli_args_flag(args, "json"));
    }
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        fprintf(stderr, "kontor: no broker runs on %s (%s)\n", data_dir, error->message);
        return CLI_UNREACHABLE;
    }
    return cli_fail(error);
}

static const CliOption status_options[] = {CLI_OPTION_DATA, CLI_OPTION_JSON, CLI_OPTION_END};

const CliCommand cmd_status_commands[] = {
    {
        .name = "status",
        .summary = "Show the state of the broker that runs on the data directory",
        .details =
            "Packs that have problems come first, each with its reason. Exit code 4 when no broker runs.\n",
        .examples = "  kontor status\n  kontor status --data /var/lib/kontor --json\n",
        .options = status_options,
        .run = run_status,
    },
    {.name = NULL},
};
