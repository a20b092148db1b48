/* SPDX-License-Identifier: MIT */
#include "broker/web/html.h"

#include <string.h>

static void append_char(GString *html, gunichar c)
{
    switch (c) {
    case '&':
        g_string_append(html, "&amp;");
        break;
    case '<':
        g_string_append(html, "&lt;");
        break;
    case '>':
        g_string_append(html, "&gt;");
        break;
    case '"':
        g_string_append(html, "&quot;");
        break;
    case '\'':
        g_string_append(html, "&#39;");
        break;
    default:
        if (c >= 0x20 || c == '\n' || c == '\t')
            g_string_append_unichar(html, c);
        break;
    }
}

void html_append_excerpt(GString *html, const char *text, guint chars)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    guint written = 0;
    for (char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        if (written++ == chars) {
            g_string_append(html, "…");
            return;
        }
        append_char(html, g_utf8_get_char(at));
    }
}

void html_append_text(GString *html, const char *text)
{
    html_append_excerpt(html, text, G_MAXUINT);
}

void html_append_path(GString *html, const char *path)
{
    g_string_append_uri_escaped(html, path, "/", /* allow_utf8= */ FALSE);
}

void html_append_query(GString *html, const char *value)
{
    g_string_append_uri_escaped(html, value, NULL, /* allow_utf8= */ FALSE);
}
