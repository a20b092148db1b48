/* SPDX-License-Identifier: MIT
 *
 * What is wrong with the rows of wiki/index.md, and repairing them. schema/index_rows.h explains why there is
 * more than one way to read a row.
 */
#include "schema/index_rows.h"
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"
#include "signing/lint_report.h"

#include <string.h>

#define INDEX "wiki/index.md"

static const LintRule rule_form = {"index-form", LINT_ERROR, FALSE, "repair the file"};
static const LintRule rule_empty = {"index-empty", LINT_WARNING, FALSE,
                                    "add a row | FILE | TITLE | SUMMARY | per page"};
static const LintRule rule_not_indexed = {"row-not-indexed", LINT_ERROR, TRUE,
                                          "write the row as | FILE | TITLE | SUMMARY |"};
static const LintRule rule_ignored = {"row-ignored", LINT_ERROR, FALSE,
                                      "begin the line with | and write | FILE | TITLE | SUMMARY |"};
static const LintRule rule_name = {"row-name", LINT_ERROR, FALSE,
                                   "rename the file and its row: A-Z a-z 0-9 . _ - and /, ending in .md"};
static const LintRule rule_hidden = {"row-hidden", LINT_ERROR, FALSE,
                                     "rename the file and its row: no part may begin with a dot"};
static const LintRule rule_repeated = {"row-repeated", LINT_ERROR, TRUE, "remove the row"};
static const LintRule rule_duplicate = {"row-duplicate", LINT_ERROR, FALSE, "keep one row per page"};
static const LintRule rule_pipe = {"row-pipe", LINT_WARNING, FALSE, "replace the | in title or summary"};

/* --- Looking --- */

static gboolean has_hidden_segment(const char *file)
{
    return file[0] == '.' || strstr(file, "/.") != NULL;
}

static void check_row_name(Lint *lint, const IndexRow *row)
{
    g_autofree char *shown = text_for_message(row->file, strlen(row->file));
    g_autofree char *path = g_strconcat("wiki/", row->file, NULL);
    if (!index_name_is_downloadable(row->file) ||
        (!has_hidden_segment(row->file) && !pack_path_check(path, NULL)))
        lint_report(lint, &rule_name, INDEX, row->line, "'%s': no Node downloads a page of this name", shown);
    else if (has_hidden_segment(row->file))
        lint_report(lint, &rule_hidden, INDEX, row->line, "'%s': no broker serves a page of this name",
                    shown);
}

static gboolean rows_are_equal(const IndexRow *a, const IndexRow *b)
{
    return g_strcmp0(a->title, b->title) == 0 && g_strcmp0(a->summary, b->summary) == 0;
}

static void check_row(Lint *lint, const IndexRow *row, const IndexRow *earlier)
{
    g_autofree char *shown = text_for_message(row->file, strlen(row->file));
    if (!row->indexed)
        lint_report(lint, &rule_not_indexed, INDEX, row->line,
                    "'%s': Nodes download this page and search does not know it", shown);
    if (row->summary != NULL && strchr(row->summary, '|') != NULL)
        lint_report(lint, &rule_pipe, INDEX, row->line, "'%s': a further | moves text between the cells",
                    shown);
    check_row_name(lint, row);
    if (earlier != NULL)
        lint_report(lint, rows_are_equal(row, earlier) ? &rule_repeated : &rule_duplicate, INDEX, row->line,
                    "'%s': has a row already, on line %u", shown, earlier->line);
}

/* Lines that a person would take for rows and no program does. `rows` is in the order of lines. */
static void check_ignored_lines(Lint *lint, const GPtrArray *rows, const char *text, gsize len)
{
    TextSpan line;
    gsize pos = 0;
    guint next = 0;
    for (guint number = 1; text_next_line(text, len, &pos, &line); number++) {
        if (next < rows->len && ((const IndexRow *)g_ptr_array_index(rows, next))->line == number) {
            next++;
            continue;
        }
        TextSpan trimmed = text_trim(line.text, line.len);
        if (trimmed.len > 0 && trimmed.text[0] == '|' && memmem(trimmed.text, trimmed.len, ".md", 3) != NULL)
            lint_report(lint, &rule_ignored, INDEX, number, "looks like a row, but nobody reads it as one");
    }
}

void lint_index_check(Lint *lint, LintIndex *index, const char *text, gsize len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = index_rows_parse(text, len, &error);
    if (rows == NULL) {
        lint_report(lint, &rule_form, INDEX, 0, "%s", error->message);
        return;
    }
    if (rows->len == 0)
        lint_report(lint, &rule_empty, INDEX, 0, "lists no page");
    g_autoptr(GHashTable) first = g_hash_table_new(g_str_hash, g_str_equal); /* name → IndexRow */
    for (guint i = 0; i < rows->len; i++) {
        IndexRow *row = g_ptr_array_index(rows, i);
        const IndexRow *earlier = g_hash_table_lookup(first, row->file);
        check_row(lint, row, earlier);
        if (earlier == NULL) {
            g_hash_table_insert(first, row->file, row);
            g_hash_table_insert(index->lines, g_strdup(row->file), GUINT_TO_POINTER(row->line));
        }
    }
    check_ignored_lines(lint, rows, text, len);
}

/* --- Repairing --- */

/* The row that the line alone is, or NULL. */
static IndexRow *row_of_line(const char *line, gsize len)
{
    g_autoptr(GPtrArray) rows = index_rows_parse(line, len, NULL);
    return rows != NULL && rows->len == 1 ? g_ptr_array_steal_index(rows, 0) : NULL;
}

/* What follows the third pipe of a listed row, trimmed, without pipes at its end. */
static TextSpan rest_of_row(const char *line, gsize len)
{
    gsize at = 0;
    for (guint pipes = 0; pipes < 3; at++)
        pipes += line[at] == '|' ? 1 : 0;
    TextSpan rest = text_trim(line + at, len - at);
    while (rest.len > 0 && rest.text[rest.len - 1] == '|')
        rest = text_trim_right(rest.text, rest.len - 1);
    return rest;
}

/* The line as a row that search reads too; NULL when that cannot be done without changing what it says. */
static char *indexed_form(const IndexRow *row, const char *line, gsize len)
{
    TextSpan rest = rest_of_row(line, len);
    g_autofree char *summary = text_span_dup(rest);
    g_autofree char *form = g_strdup_printf("| %s | %s | %s |", row->file, row->title, summary);
    g_autoptr(IndexRow) again = row_of_line(form, strlen(form));
    gboolean same = again != NULL && again->indexed && again->line == 1 &&
                    strcmp(again->file, row->file) == 0 && strcmp(again->title, row->title) == 0;
    return same ? g_steal_pointer(&form) : NULL;
}

/* Appends the line, or what it should be, or nothing. `seen` holds the rows so far as one text each. */
static void append_repaired_line(GString *out, const char *line, gsize len, GHashTable *seen)
{
    g_autoptr(IndexRow) row = row_of_line(line, len);
    if (row == NULL || row->line != 1) {
        g_string_append_len(out, line, (gssize)len);
        return;
    }
    g_autofree char *form = row->indexed ? NULL : indexed_form(row, line, len);
    g_autoptr(IndexRow) again = form != NULL ? row_of_line(form, strlen(form)) : NULL;
    const char *summary = again != NULL ? again->summary : row->summary;
    char *key = g_strdup_printf("%s|%s|%s", row->file, row->title, summary != NULL ? summary : "|");
    if (!g_hash_table_add(seen, key)) {
        /* Its line goes with it, line end and all. */
        if (out->len > 0 && out->str[out->len - 1] == '\n')
            g_string_truncate(out, out->len - 1);
        return;
    }
    if (form != NULL)
        g_string_append(out, form);
    else
        g_string_append_len(out, line, (gssize)len);
}

static GString *repair_rows(const char *text, gsize len)
{
    GString *out = g_string_sized_new(len + 64);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (gsize pos = 0; pos < len;) {
        const char *end = memchr(text + pos, '\n', len - pos);
        gsize line_len = end != NULL ? (gsize)(end - text) - pos : len - pos;
        append_repaired_line(out, text + pos, line_len, seen);
        pos += line_len;
        if (end != NULL) {
            g_string_append_c(out, '\n');
            pos++;
        }
    }
    return out;
}

GBytes *lint_fix_text(const char *name, GBytes *text)
{
    g_autoptr(GBytes) folded = text_fold_lines(text);
    gsize len = 0;
    const char *data = g_bytes_get_data(folded, &len);
    gsize bom = 0;
    while (len - bom >= 3 && memcmp(data + bom, "\xef\xbb\xbf", 3) == 0)
        bom += 3;
    g_autoptr(GBytes) fixed = bom > 0 ? g_bytes_new_from_bytes(folded, bom, len - bom) : g_bytes_ref(folded);
    if (strcmp(name, INDEX) == 0 && len <= LIMIT_INDEX_BYTES && text_is_utf8(data, len, NULL)) {
        data = g_bytes_get_data(fixed, &len);
        GBytes *repaired = g_string_free_to_bytes(repair_rows(data, len));
        g_bytes_unref(fixed);
        fixed = repaired;
    }
    return g_bytes_equal(fixed, text) ? g_bytes_ref(text) : g_steal_pointer(&fixed);
}
