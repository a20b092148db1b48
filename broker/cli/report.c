/* SPDX-License-Identifier: MIT */
#include "broker/cli/report.h"

#include <string.h>

#include "broker/cli/terminal.h"

#define COLUMNS_MAX 8 /* of a table; members beyond them are left out */
#define ROWS_MAX 20   /* of a table that is not about problems; how many more there are is said */

static gboolean is_container(const JsonValue *value)
{
    return json_value_kind(value) == JSON_ARRAY || json_value_kind(value) == JSON_OBJECT;
}

static gboolean is_problems(const JsonValue *member)
{
    const char *key = json_value_key(member);

    return key != NULL && strcmp(key, "problems") == 0 && json_value_kind(member) == JSON_ARRAY;
}

/* --- Single values --- */

static char *duration_text(gint64 seconds)
{
    if (seconds < 120) {
        return g_strdup_printf("%" G_GINT64_FORMAT " s", seconds);
    }
    if (seconds < 2 * 3600) {
        return g_strdup_printf("%" G_GINT64_FORMAT " min", seconds / 60);
    }
    if (seconds < 2 * 86400) {
        return g_strdup_printf("%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", seconds / 3600,
                               seconds % 3600 / 60);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT " d %" G_GINT64_FORMAT " h", seconds / 86400,
                           seconds % 86400 / 3600);
}

static char *number_text(const char *key, const JsonValue *value)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    gint64 integer = 0;

    if (!json_value_integer(value, &integer)) {
        return g_strdup(g_ascii_formatd(digits, sizeof digits, "%.6g", json_value_number(value)));
    }
    if (integer >= 0 && key != NULL && g_str_has_suffix(key, "_seconds")) {
        return duration_text(integer);
    }
    if (integer >= 0 && key != NULL && g_str_has_suffix(key, "bytes")) {
        return g_format_size_full((guint64)integer, G_FORMAT_SIZE_IEC_UNITS);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, integer);
}

static char *value_text(const char *key, const JsonValue *value);

/* The elements of a list, or the members of an object in a table cell, on one line. */
static char *joined_text(const JsonValue *container)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (const JsonValue *v = json_value_first(container); v != NULL; v = json_value_next(v)) {
        g_autofree char *one = value_text(json_value_key(v), v);

        g_string_append_printf(text, "%s%s%s%s", text->len > 0 ? ", " : "",
                               json_value_key(v) != NULL ? json_value_key(v) : "",
                               json_value_key(v) != NULL ? " " : "", one);
    }
    return g_string_free(g_steal_pointer(&text), /* free_segment= */ FALSE);
}

/* Recursion ends with the depth that the JSON reader admits. */
static char *value_text(const char *key, const JsonValue *value)
{
    switch (json_value_kind(value)) {
    case JSON_NULL:
        return g_strdup("–");
    case JSON_BOOLEAN:
        return g_strdup(json_value_boolean(value) ? "yes" : "no");
    case JSON_NUMBER:
        return number_text(key, value);
    case JSON_STRING:
        return g_strdup(json_value_string(value));
    case JSON_ARRAY:
    case JSON_OBJECT:
    default:
        return joined_text(value);
    }
}

/* "uptime_seconds" → "uptime", "index_build_ms" → "index build ms". */
static char *label_text(const char *key)
{
    gsize len = strlen(key);
    char *label;

    if (g_str_has_suffix(key, "_seconds")) {
        len -= strlen("_seconds");
    } else if (g_str_has_suffix(key, "_bytes")) {
        len -= strlen("_bytes");
    }
    label = g_strndup(key, len);
    return g_strdelimit(label, "_", ' ');
}

/* --- Tables and sections --- */

/* The keys of the first element are the columns; an element without one of them has an empty cell there. */
static guint table_columns(const JsonValue *list, const char *columns[COLUMNS_MAX])
{
    const JsonValue *first = json_value_first(list);
    guint count = 0;

    for (const JsonValue *m = json_value_first(first); m != NULL && count < COLUMNS_MAX;
         m = json_value_next(m)) {
        columns[count++] = json_value_key(m);
    }
    return count;
}

static void add_row(TerminalTable *table, TerminalStyle style, char *const cells[COLUMNS_MAX])
{
    terminal_table_add(table, style, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6],
                       cells[7]);
}

static void print_table(FILE *stream, const JsonValue *list, TerminalStyle style, guint rows_max,
                        guint indent)
{
    const char *columns[COLUMNS_MAX] = {NULL};
    guint count = table_columns(list, columns);
    g_autoptr(TerminalTable) table = terminal_table_new(MAX(count, 1));
    char *cells[COLUMNS_MAX] = {NULL};
    guint rows = 0;

    for (guint i = 0; i < count; i++) {
        cells[i] = label_text(columns[i]);
    }
    add_row(table, TERMINAL_DIM, cells);
    for (const JsonValue *row = json_value_first(list); row != NULL && rows < rows_max;
         row = json_value_next(row)) {
        rows++;
        for (guint i = 0; i < count; i++) {
            const JsonValue *cell =
                json_value_kind(row) == JSON_OBJECT ? json_object_get(row, columns[i]) : NULL;

            g_free(cells[i]);
            cells[i] = cell != NULL ? value_text(columns[i], cell) : NULL;
        }
        add_row(table, style, cells);
    }
    for (guint i = 0; i < count; i++) {
        g_free(cells[i]);
    }
    terminal_table_print(table, stream, indent);
    if (rows < json_value_count(list)) {
        fprintf(stream, "%*s… and %u more; --json prints all\n", (int)indent, "",
                json_value_count(list) - rows);
    }
}

static gboolean is_table(const JsonValue *value)
{
    return json_value_kind(value) == JSON_ARRAY && json_value_first(value) != NULL &&
           json_value_kind(json_value_first(value)) == JSON_OBJECT;
}

static void print_heading(FILE *stream, const JsonValue *member, TerminalStyle style, guint indent)
{
    g_autofree char *label = label_text(json_value_key(member));

    fprintf(stream, "%*s", (int)indent, "");
    terminal_print(stream, style, label);
    if (json_value_kind(member) == JSON_ARRAY) {
        fprintf(stream, " (%u)", json_value_count(member));
    }
    fputs(":\n", stream);
}

static void print_list(FILE *stream, const JsonValue *list, TerminalStyle style, guint indent)
{
    if (is_table(list)) {
        print_table(stream, list, style, G_MAXUINT, indent);
        return;
    }
    for (const JsonValue *v = json_value_first(list); v != NULL; v = json_value_next(v)) {
        g_autofree char *text = value_text(NULL, v);

        fprintf(stream, "%*s", (int)indent, "");
        terminal_print(stream, style, text);
        fputc('\n', stream);
    }
}

static void print_problems(FILE *stream, const JsonValue *object)
{
    for (const JsonValue *m = json_value_first(object); m != NULL; m = json_value_next(m)) {
        if (is_problems(m) && json_value_first(m) != NULL) {
            print_heading(stream, m, TERMINAL_BAD, 0);
            print_list(stream, m, TERMINAL_BAD, 2);
            fputc('\n', stream);
        } else if (json_value_kind(m) == JSON_OBJECT) {
            print_problems(stream, m);
        }
    }
}

static void print_object(FILE *stream, const JsonValue *object, guint indent)
{
    g_autoptr(TerminalTable) table = terminal_table_new(2);

    for (const JsonValue *m = json_value_first(object); m != NULL; m = json_value_next(m)) {
        if (json_value_kind(m) != JSON_OBJECT && !is_table(m) && !is_problems(m)) {
            g_autofree char *label = label_text(json_value_key(m));
            g_autofree char *text = value_text(json_value_key(m), m);

            terminal_table_add(table, TERMINAL_PLAIN, label, text);
        }
    }
    terminal_table_print(table, stream, indent);
    for (const JsonValue *m = json_value_first(object); m != NULL; m = json_value_next(m)) {
        if (!is_container(m) || is_problems(m) || json_value_first(m) == NULL) {
            continue;
        }
        if (json_value_kind(m) == JSON_OBJECT) {
            print_heading(stream, m, TERMINAL_BOLD, indent);
            print_object(stream, m, indent + 2);
        } else if (is_table(m)) {
            print_heading(stream, m, TERMINAL_BOLD, indent);
            print_table(stream, m, TERMINAL_PLAIN, ROWS_MAX, indent + 2);
        }
    }
}

/* --- Operations --- */

void report_print(FILE *stream, const JsonValue *root)
{
    g_assert(json_value_kind(root) == JSON_OBJECT);
    print_problems(stream, root);
    print_object(stream, root, 0);
}
