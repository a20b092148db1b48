/* SPDX-License-Identifier: MIT */
#include "broker/cli/terminal.h"

#include <string.h>
#include <unistd.h>

static const char *const style_codes[] = {
    [TERMINAL_PLAIN] = "",        [TERMINAL_BOLD] = "\033[1m", [TERMINAL_DIM] = "\033[2m",
    [TERMINAL_GOOD] = "\033[32m", [TERMINAL_BAD] = "\033[31m",
};

/* --- Text --- */

gboolean terminal_has_colour(FILE *stream)
{
    const char *no_colour = g_getenv("NO_COLOR");
    const char *term = g_getenv("TERM");

    return isatty(fileno(stream)) != 0 && (no_colour == NULL || *no_colour == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

static void print_cleaned(FILE *stream, TerminalStyle style, const char *cleaned)
{
    if (style != TERMINAL_PLAIN && terminal_has_colour(stream)) {
        fprintf(stream, "%s%s\033[0m", style_codes[style], cleaned);
    } else {
        fputs(cleaned, stream);
    }
}

void terminal_print(FILE *stream, TerminalStyle style, const char *text)
{
    g_autofree char *cleaned = terminal_clean(text);

    print_cleaned(stream, style, cleaned);
}

static char *clean(const char *text, gsize len, const char *allowed)
{
    g_autoptr(GString) out = g_string_sized_new(len + 16);
    const char *end = text + len;

    while (text < end) {
        gunichar c = g_utf8_get_char_validated(text, end - text);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (guchar)*text++);
            continue;
        }
        if (g_unichar_isprint(c) || (c != 0 && c < 0x80 && strchr(allowed, (int)c) != NULL)) {
            g_string_append_unichar(out, c);
        } else {
            g_string_append_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        }
        text += g_utf8_skip[(guchar)*text];
    }
    return g_string_free(g_steal_pointer(&out), /* free_segment= */ FALSE);
}

char *terminal_clean(const char *text)
{
    return clean(text, strlen(text), "");
}

char *terminal_clean_prose(const char *text, gsize len)
{
    return clean(text, len, "\n\t");
}

guint terminal_width(const char *text)
{
    guint width = 0;

    for (const char *p = text; *p != '\0'; p += g_utf8_skip[(guchar)*p]) {
        gunichar c = g_utf8_get_char(p);

        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

/* --- Tables --- */

struct TerminalTable {
    guint columns;
    GPtrArray *cells; /* of char*, row by row */
    GArray *styles;   /* of TerminalStyle, one per row */
    guint *widths;    /* per column */
};

TerminalTable *terminal_table_new(guint columns)
{
    TerminalTable *table = g_new0(TerminalTable, 1);

    table->columns = columns;
    table->cells = g_ptr_array_new_with_free_func(g_free);
    table->styles = g_array_new(FALSE, FALSE, sizeof(TerminalStyle));
    table->widths = g_new0(guint, columns);
    return table;
}

void terminal_table_free(TerminalTable *table)
{
    if (table == NULL) {
        return;
    }
    g_ptr_array_unref(table->cells);
    g_array_unref(table->styles);
    g_free(table->widths);
    g_free(table);
}

void terminal_table_add(TerminalTable *table, TerminalStyle style, ...)
{
    va_list cells;

    g_array_append_val(table->styles, style);
    va_start(cells, style);
    for (guint i = 0; i < table->columns; i++) {
        const char *cell = va_arg(cells, const char *);
        char *cleaned = terminal_clean(cell != NULL ? cell : "");

        table->widths[i] = MAX(table->widths[i], terminal_width(cleaned));
        g_ptr_array_add(table->cells, cleaned);
    }
    va_end(cells);
}

void terminal_table_print(const TerminalTable *table, FILE *stream, guint indent)
{
    for (guint row = 0; row < table->styles->len; row++) {
        fprintf(stream, "%*s", (int)indent, "");
        for (guint i = 0; i < table->columns; i++) {
            const char *cell = g_ptr_array_index(table->cells, row * table->columns + i);
            guint padding = table->widths[i] + 2 - terminal_width(cell);

            print_cleaned(stream, g_array_index(table->styles, TerminalStyle, row), cell);
            if (i + 1 < table->columns) {
                fprintf(stream, "%*s", (int)padding, "");
            }
        }
        fputc('\n', stream);
    }
}
