/* SPDX-License-Identifier: MIT
 *
 * kontor mirror history: what mirror.db remembers, read beside a running broker. The newest comes last, as in
 * a log.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/mirror.h"
#include "broker/cli/terminal.h"
#include "schema/limits.h"
#include "schema/scalar.h"

#define ROWS_DEFAULT 100

static void print_json(const GPtrArray *rows)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_key(&w, "history");
    json_write_array_begin(&w);
    for (guint i = rows->len; i > 0; i--) {
        const HistoryRow *row = g_ptr_array_index(rows, i - 1);
        g_autofree char *time = scalar_format_time(row->time_s);

        json_write_object_begin(&w);
        json_write_member_integer(&w, "id", row->id);
        json_write_member_string(&w, "time", time);
        json_write_member_string(&w, "source", row->source);
        json_write_member_string(&w, "path", row->path);
        json_write_member_string(&w, "event", row->event);
        json_write_member_string(&w, "rule", row->rule);
        json_write_member_string(&w, "version", row->version);
        json_write_member_string(&w, "digest", row->digest);
        json_write_member_string(&w, "reason", row->reason);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    puts(out->str);
}

/* What there is to say of an event, in one cell. */
static char *about(const HistoryRow *row)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (*row->version != '\0') {
        g_string_append_printf(out, "version %s ", row->version);
    }
    if (*row->rule != '\0') {
        g_string_append_printf(out, "%s: ", row->rule);
    }
    g_string_append(out, *row->reason != '\0' ? row->reason : "");
    if (*row->reason == '\0' && *row->digest != '\0') {
        g_string_append_printf(out, "(%.12s)", row->digest);
    }
    return g_strchomp(g_string_free(g_steal_pointer(&out), /* free_segment= */ FALSE));
}

static void print_rows(const GPtrArray *rows)
{
    g_autoptr(TerminalTable) table = terminal_table_new(5);

    for (guint i = rows->len; i > 0; i--) {
        const HistoryRow *row = g_ptr_array_index(rows, i - 1);
        g_autofree char *time = scalar_format_time(row->time_s);
        g_autofree char *text = about(row);
        gboolean bad = strcmp(row->event, "refused") == 0 || strcmp(row->event, "failed") == 0 ||
                       strcmp(row->event, "alarm") == 0;

        terminal_table_add(table, bad ? TERMINAL_BAD : TERMINAL_PLAIN, time, row->source, row->event,
                           row->path, text);
    }
    terminal_table_print(table, stdout, /* indent= */ 0);
    if (rows->len == 0) {
        fprintf(stderr, "nothing has happened yet\n");
    }
}

CliExit mirror_history_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = mirror_config_load(args, &error);
    g_autoptr(MirrorDb) db = NULL;
    g_autoptr(GPtrArray) rows = NULL;
    gint64 limit = ROWS_DEFAULT;

    /* A source that is gone from the configuration still has its history, so its name is not looked up. */
    if (config == NULL || !cli_args_integer(args, "limit", 1, LIMIT_MIRROR_HISTORY, &limit, &error)) {
        return cli_fail_usage(error);
    }
    if (!mirror_db_peek(config, &db, &error)) {
        return cli_fail(error);
    }
    rows = db != NULL ? mirror_db_history(db, cli_args_operand(args, 0), cli_args_value(args, "path"),
                                          /* before= */ 0, (guint)limit, &error)
                      : g_ptr_array_new();
    if (rows == NULL) {
        return cli_fail(error);
    }
    (cli_args_flag(args, "json") ? print_json : print_rows)(rows);
    return CLI_OK;
}
