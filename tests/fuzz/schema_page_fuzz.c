/* SPDX-License-Identifier: MIT
 *
 * Pages as they come from a disk: line ends folded, front matter split off, the searched part cut; and the
 * text functions that every page passes through.
 */
#include "schema/limits.h"
#include "schema/page.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_inside(TextSpan span, const char *text, gsize len)
{
    g_assert(span.text >= text && span.text + span.len <= text + len);
}

static void check_lines(const char *text, gsize len)
{
    TextSpan line;
    gsize pos = 0, last = 0;
    while (text_next_line(text, len, &pos, &line)) {
        check_inside(line, text, len);
        g_assert(pos > last && memchr(line.text, '\n', line.len) == NULL);
        check_inside(text_trim(line.text, line.len), line.text, line.len);
        last = pos;
    }
    g_assert(last == len);
}

static void check_page(const char *text, gsize len)
{
    PageParts parts = page_split(text, len);
    check_inside(parts.body, text, len);
    g_assert(parts.body.text + parts.body.len == text + len);
    if (parts.front.text != NULL) {
        check_inside(parts.front, text, len);
        g_assert(parts.front.text + parts.front.len + strlen("---\n") == parts.body.text);
    }
    TextSpan searched = page_search_body(text, len);
    g_assert(searched.text == parts.body.text && searched.len <= parts.body.len);
    g_assert(text_count_chars(searched.text, searched.len) <= LIMIT_BODY_CHARS);
    gboolean good = text_is_utf8(text, len, NULL);
    g_assert(!good || text_is_utf8(searched.text, searched.len, NULL));
    g_assert(!good || text_is_utf8(text, text_cut_bytes(text, len, len / 2), NULL));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GBytes) raw = g_bytes_new(data, size);
    g_autoptr(GBytes) folded = text_fold_lines(raw);
    gsize len = 0;
    const char *text = g_bytes_get_data(folded, &len);
    g_assert(len <= size && (len == 0 || memchr(text, '\r', len) == NULL));
    if (len == 0)
        return 0;
    check_page(text, len);
    check_lines(text, len);
    g_autofree char *shown = text_for_message(text, len);
    g_assert(g_utf8_validate(shown, -1, NULL) && strchr(shown, '\n') == NULL);
    return 0;
}
