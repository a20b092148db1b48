/* SPDX-License-Identifier: MIT
 *
 * The rows of wiki/index.md. One look at each line: cells 1 and 2 are cut out at the first three pipes, which
 * makes it a listed row; what follows the third pipe decides whether it is an indexed row as well. Every
 * indexed row is thus a listed one.
 */
#include "schema/index_rows.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

void index_row_free(IndexRow *row)
{
    if (row == NULL)
        return;
    g_free(row->file);
    g_free(row->title);
    g_free(row->summary);
    g_free(row);
}

/* The cell that begins at the start of *rest and ends before the next pipe, not trimmed. Moves *rest behind
 * the pipe. FALSE when there is no pipe or nothing before it. */
static gboolean take_cell(TextSpan *rest, TextSpan *ret_cell)
{
    const char *pipe = rest->len > 0 ? memchr(rest->text, '|', rest->len) : NULL;
    if (pipe == NULL || pipe == rest->text)
        return FALSE;
    gsize len = (gsize)(pipe - rest->text);
    *ret_cell = (TextSpan){rest->text, len};
    rest->text += len + 1;
    rest->len -= len + 1;
    return TRUE;
}

static gboolean is_header_or_rule(TextSpan file)
{
    return file.text[0] == '-' || (file.len == 4 && g_ascii_strncasecmp(file.text, "file", 4) == 0);
}

/* The summary of an indexed row, from what follows the third pipe: at least one character and a final pipe,
 * after white space at the end of the line is gone. */
static gboolean take_summary(TextSpan rest, TextSpan *ret_summary)
{
    TextSpan trimmed = text_trim_right(rest.text, rest.len);
    if (trimmed.len < 2 || trimmed.text[trimmed.len - 1] != '|')
        return FALSE;
    *ret_summary = text_trim(trimmed.text, trimmed.len - 1);
    return TRUE;
}

static char *dup_limited(TextSpan span)
{
    span.len = text_cut_bytes(span.text, span.len, LIMIT_SUMMARY_BYTES);
    return text_span_dup(span);
}

/* The row in a line, or NULL when the line holds none. */
static IndexRow *row_of_line(TextSpan line, guint number)
{
    if (line.len == 0 || line.text[0] != '|')
        return NULL;
    TextSpan rest = {line.text + 1, line.len - 1};
    TextSpan file, title, summary;
    if (!take_cell(&rest, &file) || !take_cell(&rest, &title))
        return NULL;
    file = text_trim(file.text, file.len);
    title = text_trim(title.text, title.len);
    if (file.len == 0 || title.len == 0 || is_header_or_rule(file))
        return NULL;
    IndexRow *row = g_new0(IndexRow, 1);
    row->file = text_span_dup(file);
    row->title = dup_limited(title);
    row->line = number;
    row->listed = TRUE;
    row->indexed = take_summary(rest, &summary);
    if (row->indexed)
        row->summary = dup_limited(summary);
    return row;
}

static gboolean check_text(const char *text, gsize len, GError **error)
{
    if (len > LIMIT_INDEX_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "index: %" G_GSIZE_FORMAT " bytes, more than %d are not read", len, LIMIT_INDEX_BYTES);
        return FALSE;
    }
    gsize bad = 0;
    if (!text_is_utf8(text, len, &bad)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "index: not UTF-8 at byte %" G_GSIZE_FORMAT,
                    bad);
        return FALSE;
    }
    /* A NUL would end the cells early, so that a name could look like another. */
    const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
    if (nul != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "index: NUL character at byte %" G_GSIZE_FORMAT, (gsize)(nul - text));
        return FALSE;
    }
    return TRUE;
}

GPtrArray *index_rows_parse(const char *text, gsize len, GError **error)
{
    if (!check_text(text, len, error))
        return NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)index_row_free);
    TextSpan line;
    gsize pos = 0;
    for (guint number = 1; text_next_line(text, len, &pos, &line); number++) {
        IndexRow *row = row_of_line(line, number);
        if (row == NULL)
            continue;
        g_ptr_array_add(rows, row);
        if (rows->len > LIMIT_INDEX_ROWS) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "index: more than %d rows at line %u",
                        LIMIT_INDEX_ROWS, number);
            return NULL;
        }
    }
    return g_steal_pointer(&rows);
}

static gboolean is_name_byte(char c)
{
    return g_ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
}

gboolean index_name_is_downloadable(const char *file)
{
    if (!g_str_has_suffix(file, ".md") || strstr(file, "..") != NULL)
        return FALSE;
    gboolean at_segment_start = TRUE;
    for (const char *p = file; *p != '\0'; p++) {
        if (*p == '/' ? at_segment_start : !is_name_byte(*p))
            return FALSE;
        at_segment_start = *p == '/';
    }
    return TRUE;
}
