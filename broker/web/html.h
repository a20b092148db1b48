/* SPDX-License-Identifier: MIT
 *
 * Writing HTML: text from packs and from requests gets into a page through these functions only.
 */
#pragma once

#include <glib.h>

/* Escapes for element content and for attribute values in double quotes. Bytes that are not UTF-8 become
 * U+FFFD; controls that HTML does not allow are left out. */
void html_append_text(GString *html, const char *text);
/* The same, cut after `chars` characters with an ellipsis. */
void html_append_excerpt(GString *html, const char *text, guint chars);
/* Percent-encodes a path for a link; slashes stay. */
void html_append_path(GString *html, const char *path);
/* Percent-encodes a value of a query string. */
void html_append_query(GString *html, const char *value);
