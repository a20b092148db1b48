/* SPDX-License-Identifier: MIT
 *
 * index.md: rows must be whole, trimmed, in order and consistent, whatever the bytes.
 */
#include "schema/index_rows.h"
#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_trimmed(const char *cell, gboolean may_be_empty)
{
    gsize len = strlen(cell);
    g_assert(may_be_empty || len > 0);
    g_assert(text_is_utf8(cell, len, NULL));
    /* A cell that was cut may end in white space that stood inside it. */
    g_assert(len >= LIMIT_SUMMARY_BYTES - 4 || text_trim(cell, len).len == len);
}

static void check_row(const IndexRow *row, guint previous_line)
{
    check_trimmed(row->file, FALSE);
    check_trimmed(row->title, FALSE);
    g_assert(row->line > previous_line);
    g_assert(row->listed);
    g_assert(row->indexed == (row->summary != NULL));
    g_assert(row->file[0] != '-' && g_ascii_strcasecmp(row->file, "file") != 0);
    g_assert(strchr(row->file, '|') == NULL && strchr(row->title, '|') == NULL);
    if (row->indexed)
        check_trimmed(row->summary, TRUE);
    if (index_name_is_downloadable(row->file))
        g_assert(strstr(row->file, "..") == NULL && row->file[0] != '/');
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = index_rows_parse((const char *)data, size, &error);
    g_assert((rows == NULL) == (error != NULL));
    guint line = 0;
    for (guint i = 0; rows != NULL && i < rows->len; i++) {
        const IndexRow *row = rows->pdata[i];
        check_row(row, line);
        line = row->line;
    }
    return 0;
}
