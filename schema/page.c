/* SPDX-License-Identifier: MIT */
#include "schema/page.h"

#include "schema/limits.h"

#include <string.h>

#define FENCE "---\n"
#define FENCE_LINE "\n---\n"

PageParts page_split(const char *text, gsize len)
{
    const gsize fence_len = strlen(FENCE), line_len = strlen(FENCE_LINE);
    PageParts whole = {.body = {text, len}};
    if (len < fence_len || memcmp(text, FENCE, fence_len) != 0)
        return whole;
    /* The LF of the opening fence may be the one before the closing fence: then the front matter is empty. */
    const char *from = text + fence_len - 1;
    const char *end = memmem(from, len - (fence_len - 1), FENCE_LINE, line_len);
    if (end == NULL)
        return whole;
    const char *front = text + fence_len, *body = end + line_len;
    return (PageParts){.front = {front, (gsize)(end + 1 - front)},
                       .body = {body, len - (gsize)(body - text)}};
}

TextSpan page_search_body(const char *text, gsize len)
{
    TextSpan body = page_split(text, len).body;
    body.len = text_cut_chars(body.text, body.len, LIMIT_BODY_CHARS);
    return body;
}
