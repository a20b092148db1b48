/* SPDX-License-Identifier: MIT */
#include "schema/pack_path.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

/* --- Paths --- */

/* Sets *error to "<what>: '<shown>'" and returns FALSE. */
static gboolean refuse(GError **error, KontorErrorCode code, const char *what, const char *text, gsize len)
{
    g_autofree char *shown = text_for_message(text, len);
    g_set_error(error, KONTOR_ERROR, code, "%s: '%s'", what, shown);
    return FALSE;
}

static gboolean has_control_character(const char *text, gsize len)
{
    for (gsize pos = 0; pos < len;) {
        gunichar c = 0;
        guint length = text_char_decode(text + pos, len - pos, &c);
        g_assert(length > 0);
        if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
            return TRUE;
        pos += length;
    }
    return FALSE;
}

/* One segment of a text that is already known to be UTF-8. */
static gboolean check_segment(const char *segment, gsize len, GError **error)
{
    if (len == 0)
        return refuse(error, KONTOR_ERROR_MALFORMED, "empty path segment", segment, len);
    if (segment[0] == '.' && (len == 1 || (len == 2 && segment[1] == '.')))
        return refuse(error, KONTOR_ERROR_MALFORMED, "path segment '.' or '..'", segment, len);
    if (len > LIMIT_PATH_SEGMENT_BYTES)
        return refuse(error, KONTOR_ERROR_LIMIT, "path segment too long", segment, len);
    if (len >= 4 && g_ascii_strncasecmp(segment, ".git", 4) == 0)
        return refuse(error, KONTOR_ERROR_MALFORMED, "path segment begins with .git", segment, len);
    if (has_control_character(segment, len))
        return refuse(error, KONTOR_ERROR_MALFORMED, "control character in path segment", segment, len);
    return TRUE;
}

gboolean pack_path_segment_check(const char *segment, GError **error)
{
    gsize len = strlen(segment);
    if (!text_is_utf8(segment, len, NULL))
        return refuse(error, KONTOR_ERROR_MALFORMED, "path segment is not UTF-8", segment, len);
    if (memchr(segment, '/', len) != NULL)
        return refuse(error, KONTOR_ERROR_MALFORMED, "slash in path segment", segment, len);
    return check_segment(segment, len, error);
}

gboolean pack_path_check(const char *path, GError **error)
{
    gsize len = strlen(path);
    if (len == 0)
        return refuse(error, KONTOR_ERROR_MALFORMED, "empty path", path, len);
    if (len > LIMIT_PACK_PATH_BYTES)
        return refuse(error, KONTOR_ERROR_LIMIT, "path too long", path, len);
    if (!text_is_utf8(path, len, NULL))
        return refuse(error, KONTOR_ERROR_MALFORMED, "path is not UTF-8", path, len);
    guint depth = 0;
    for (const char *segment = path, *slash; segment != NULL; segment = slash != NULL ? slash + 1 : NULL) {
        slash = strchr(segment, '/');
        if (++depth > LIMIT_PATH_DEPTH)
            return refuse(error, KONTOR_ERROR_LIMIT, "path too deep", path, len);
        if (!check_segment(segment, slash != NULL ? (gsize)(slash - segment) : strlen(segment), error)) {
            g_autofree char *shown = text_for_message(path, len);
            g_prefix_error(error, "path '%s': ", shown);
            return FALSE;
        }
    }
    return TRUE;
}

char *pack_path_percent_decode(const char *text, gsize len)
{
    g_autofree char *decoded = g_malloc(len + 1);
    gsize out = 0;
    for (gsize pos = 0; pos < len; pos++) {
        char c = text[pos];
        if (c == '%') {
            int high = pos + 2 < len ? g_ascii_xdigit_value(text[pos + 1]) : -1;
            int low = pos + 2 < len ? g_ascii_xdigit_value(text[pos + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            pos += 2;
        }
        if (c == '\0')
            return NULL;
        decoded[out++] = c;
    }
    decoded[out] = '\0';
    return text_is_utf8(decoded, out, NULL) ? g_steal_pointer(&decoded) : NULL;
}

/* --- Scopes --- */

static gboolean scope_is_allowed(const char *scope, gsize len)
{
    return text_is_utf8(scope, len, NULL) && strpbrk(scope, "%_\\") == NULL && strstr(scope, "..") == NULL;
}

char *pack_scope_normalize(const char *scope, GError **error)
{
    gsize scope_len = strlen(scope);
    if (!scope_is_allowed(scope, scope_len)) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "invalid scope");
        return NULL;
    }
    TextSpan span = text_trim(scope, scope_len);
    while (span.len > 0 && span.text[span.len - 1] == '/')
        span.len--;
    while (span.len > 0 && span.text[0] == '/') {
        span.text++;
        span.len--;
    }
    GString *lower = g_string_sized_new(span.len);
    for (gsize pos = 0; pos < span.len;) {
        gunichar c = 0;
        pos += text_char_decode(span.text + pos, span.len - pos, &c);
        g_string_append_unichar(lower, g_unichar_tolower(c));
    }
    return g_string_free(lower, FALSE);
}

/* Reads one code point of *text, lower-cased, and moves behind it. FALSE at the end and at bytes that are not
 * UTF-8, which no scope can name. */
static gboolean take_lower(const char **text, const char *end, gunichar *ret)
{
    guint length = text_char_decode(*text, (gsize)(end - *text), ret);
    if (length == 0)
        return FALSE;
    *text += length;
    *ret = *ret < 0x80 ? (guchar)g_ascii_tolower((char)*ret) : g_unichar_tolower(*ret);
    return TRUE;
}

gboolean pack_scope_contains(const char *scope, const char *pack_path)
{
    if (*scope == '\0')
        return TRUE;
    const char *scope_end = scope + strlen(scope), *path_end = pack_path + strlen(pack_path);
    while (scope < scope_end) {
        gunichar want = 0, got = 0;
        if (!take_lower(&scope, scope_end, &want) || !take_lower(&pack_path, path_end, &got) || want != got)
            return FALSE;
    }
    return *pack_path == '\0' || *pack_path == '/';
}
