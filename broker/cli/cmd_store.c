/* SPDX-License-Identifier: MIT
 *
 * store du, gc, check: the release store. Looking needs no lock and does not disturb a running broker. What
 * changes the store is done by the broker while one runs, else here, with the data directory taken.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/store.h"
#include "broker/cli/terminal.h"
#include "schema/json_writer.h"

/* --- The store --- */

Config *store_config_load(const CliArgs *args, GError **error)
{
    ConfigOverrides overrides = {
        .data_dir = cli_args_value(args, "data"),
        .file = cli_args_value(args, "config"),
    };

    return config_load(&overrides, error);
}

gboolean store_open(const Config *config, ReleaseStore **ret, GError **error)
{
    *ret = NULL;
    if (!g_file_test(config->data_dir, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "there is no data directory %s",
                    config->data_dir);
        return FALSE;
    }
    if (!g_file_test(config->store_dir, G_FILE_TEST_IS_DIR)) {
        return TRUE;
    }
    *ret = release_store_open(config->store_dir, /* clean= */ FALSE, error);
    return *ret != NULL;
}

gboolean store_take(const Config *config, DataDir **ret_dir, CliClient **ret_broker, GError **error)
{
    g_autoptr(GError) cause = NULL;

    *ret_broker = NULL;
    *ret_dir = data_dir_take(config->data_dir, &cause);
    if (*ret_dir != NULL) {
        return TRUE;
    }
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CONFLICT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    *ret_broker = cli_client_new_api(config->data_dir, error);
    if (*ret_broker == NULL) {
        g_prefix_error(error, "%s; asking it is not possible: ", cause->message);
    }
    return *ret_broker != NULL;
}

MirrorDb *store_db_open(const Config *config, DbMode mode, GError **error)
{
    g_autofree char *path = g_build_filename(config->store_dir, "mirror.db", NULL);

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "%s does not exist", path);
        return NULL;
    }
    return mirror_db_open(path, mode, error);
}

void store_print_json(GString *json)
{
    puts(json->str);
}

char *store_bytes(guint64 bytes)
{
    return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

/* --- store du --- */

static void print_usage_json(const Config *config, const StoreUsage *usage)
{
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_member_string(&w, "path", config->store_dir);
        json_write_member_integer(&w, "releases", usage->releases);
        json_write_member_integer(&w, "quarantined", usage->quarantined);
        json_write_member_integer(&w, "release_bytes", (gint64)usage->release_bytes);
        json_write_member_integer(&w, "git_bytes", (gint64)usage->git_bytes);
        json_write_member_integer(&w, "other_bytes", (gint64)usage->other_bytes);
        json_write_member_integer(&w, "quota_bytes", (gint64)config->limits.store_bytes);
        json_write_member_integer(&w, "disk_free_bytes", (gint64)usage->disk_free_bytes);
        json_write_member_integer(&w, "disk_total_bytes", (gint64)usage->disk_total_bytes);
        json_write_object_end(&w);
    }
    store_print_json(out);
}

static void add_usage_row(TerminalTable *table, const char *what, guint64 bytes, const char *note)
{
    g_autofree char *size = store_bytes(bytes);

    terminal_table_add(table, TERMINAL_PLAIN, what, size, note);
}

static void print_usage(const Config *config, const StoreUsage *usage)
{
    g_autoptr(TerminalTable) table = terminal_table_new(3);
    g_autofree char *quota = store_bytes(config->limits.store_bytes);
    g_autofree char *total = store_bytes(usage->disk_total_bytes);
    g_autofree char *releases = g_strdup_printf("%u, at most %s (limits.store)", usage->releases, quota);
    g_autofree char *quarantined =
        usage->quarantined == 0
            ? NULL
            : g_strdup_printf("%u damaged releases in %s/quarantine, which may be deleted",
                              usage->quarantined, config->store_dir);
    g_autofree char *disk = g_strdup_printf("of %s", total);

    add_usage_row(table, "releases", usage->release_bytes, releases);
    add_usage_row(table, "git clones", usage->git_bytes, NULL);
    add_usage_row(table, "other", usage->other_bytes, quarantined);
    add_usage_row(table, "together", usage->release_bytes + usage->git_bytes + usage->other_bytes, NULL);
    add_usage_row(table, "disk free", usage->disk_free_bytes, disk);
    terminal_table_print(table, stdout, /* indent= */ 0);
}

static CliExit run_du(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = store_config_load(args, &error);
    g_autoptr(ReleaseStore) store = NULL;
    StoreUsage usage = {0};

    signing_init();
    if (config == NULL) {
        return cli_fail_usage(error);
    }
    if (!store_open(config, &store, &error) ||
        (store != NULL && !release_store_usage(store, &usage, &error))) {
        return cli_fail(error);
    }
    if (cli_args_flag(args, "json")) {
        print_usage_json(config, &usage);
    } else if (store == NULL) {
        puts("nothing was ever mirrored");
    } else {
        print_usage(config, &usage);
    }
    return CLI_OK;
}

/* --- Table --- */

static const CliOption du_options[] = {
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static const CliOption gc_options[] = {
    {"dry-run", 'n', NULL, "only say what would be removed", FALSE},
    {"keep", 0, "N", "releases of every pack to keep (default: limits.releases); not while a broker runs",
     FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static const CliOption check_options[] = {
    {"repair", 0, NULL, "put damaged releases away and have them fetched again", FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const CliCommand cmd_store_commands[] = {
    {
        .name = "store du",
        .summary = "Show how much disk the mirrored releases take",
        .examples = "  kontor store du\n  kontor store du --json\n",
        .options = du_options,
        .run = run_du,
    },
    {
        .name = "store gc",
        .summary = "Remove mirrored releases that nobody needs any more",
        .details = "Kept are the releases that are served, those that a source has now, and the last few of\n"
                   "every pack. A running broker also does this by itself now and then.\n",
        .examples = "  kontor store gc --dry-run\n  kontor store gc\n",
        .options = gc_options,
        .run = store_gc_run,
    },
    {
        .name = "store check",
        .summary = "Read all mirrored releases again and compare them with what was signed",
        .details =
            "Names every release that is damaged or missing, and what is wrong with it. Exit code 1 when\n"
            "there is one. With --repair damaged releases are put into the quarantine and no longer served,\n"
            "and their sources are asked for them again; exit code 0 when that was done.\n",
        .examples = "  kontor store check\n  kontor store check --repair\n",
        .options = check_options,
        .run = store_check_run,
    },
    {.name = NULL},
};
