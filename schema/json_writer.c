/* SPDX-License-Identifier: MIT
 *
 * The streaming JSON writer. Strings are scanned for runs of bytes that stand for themselves, and each run is
 * appended at once; a long plain string costs one quick look and one copy.
 */
#include "schema/json_writer.h"

#include "schema/text.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* --- Life cycle --- */

void json_writer_init(JsonWriter *w, GString *out, JsonStyle style)
{
    g_assert(out != NULL);
    memset(w, 0, sizeof *w);
    w->out = out;
    w->style = style;
    if (style == JSON_STYLE_CANONICAL)
        w->keys = g_string_new(NULL);
}

void json_writer_clear(JsonWriter *w)
{
    g_assert(w->depth == 0 && !w->after_key);
    if (w->keys != NULL)
        g_string_free(w->keys, TRUE);
    w->keys = NULL;
    w->out = NULL;
}

/* --- Structure --- */

/* Writes what has to stand before a value: nothing after a key, a comma between the elements of an array. */
static void begin_value(JsonWriter *w)
{
    if (w->after_key) {
        w->after_key = FALSE;
        return;
    }
    if (w->depth == 0)
        return;
    g_assert(w->kind[w->depth - 1] == '[');
    if (w->any[w->depth - 1])
        g_string_append_c(w->out, ',');
    w->any[w->depth - 1] = TRUE;
}

static void container_begin(JsonWriter *w, char bracket)
{
    begin_value(w);
    g_assert(w->depth < JSON_WRITER_DEPTH_MAX);
    w->kind[w->depth] = (guint8)bracket;
    w->any[w->depth] = FALSE;
    w->last_key[w->depth] = w->keys != NULL ? w->keys->len : 0;
    w->depth++;
    g_string_append_c(w->out, bracket);
}

static void container_end(JsonWriter *w, char begun_with, char bracket)
{
    g_assert(w->depth > 0 && !w->after_key && w->kind[w->depth - 1] == (guint8)begun_with);
    w->depth--;
    if (w->keys != NULL)
        g_string_truncate(w->keys, w->last_key[w->depth]);
    g_string_append_c(w->out, bracket);
}

void json_write_object_begin(JsonWriter *w)
{
    container_begin(w, '{');
}

void json_write_object_end(JsonWriter *w)
{
    container_end(w, '{', '}');
}

void json_write_array_begin(JsonWriter *w)
{
    container_begin(w, '[');
}

void json_write_array_end(JsonWriter *w)
{
    container_end(w, '[', ']');
}

/* --- Strings --- */

static const char HEX[] = "0123456789abcdef";

static void append_unit(GString *out, guint unit)
{
    const char escape[6] = {
        '\\', 'u', HEX[unit >> 12 & 15], HEX[unit >> 8 & 15], HEX[unit >> 4 & 15], HEX[unit & 15]};
    g_string_append_len(out, escape, sizeof escape);
}

static void append_escape(GString *out, char c)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found == NULL) {
        append_unit(out, (guint8)c);
        return;
    }
    g_string_append_c(out, '\\');
    g_string_append_c(out, to[found - from]);
}

static void append_code_point(GString *out, gunichar c)
{
    if (c < 0x10000) {
        append_unit(out, c);
        return;
    }
    append_unit(out, 0xd800 + ((c - 0x10000) >> 10));
    append_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

/* Appends the character that begins with a byte of 0x80 or more and returns its length. */
static gsize append_multibyte(JsonWriter *w, const char *text, gsize len)
{
    gunichar c = 0;
    guint length = text_char_decode(text, len, &c);
    if (w->style == JSON_STYLE_CANONICAL) {
        g_assert(length > 0);
        append_code_point(w->out, c);
    } else if (length > 0) {
        g_string_append_len(w->out, text, length);
    } else {
        g_string_append(w->out, "\xef\xbf\xbd");
        length = 1;
    }
    return length;
}

static void append_string(JsonWriter *w, const char *value, gsize len)
{
    g_string_append_c(w->out, '"');
    for (gsize pos = 0; pos < len;) {
        gsize run = text_plain_prefix(value + pos, len - pos);
        if (run > 0)
            g_string_append_len(w->out, value + pos, (gssize)run);
        pos += run;
        if (pos == len)
            break;
        if ((guint8)value[pos] >= 0x80)
            pos += append_multibyte(w, value + pos, len - pos);
        else
            append_escape(w->out, value[pos++]);
    }
    g_string_append_c(w->out, '"');
}

void json_write_string_len(JsonWriter *w, const char *value, gsize len)
{
    g_assert(value != NULL || len == 0);
    begin_value(w);
    append_string(w, value, len);
}

void json_write_string(JsonWriter *w, const char *value)
{
    json_write_string_len(w, value, strlen(value));
}

/* UTF-8 byte order is code point order, so that bytes may be compared. */
static void check_key_order(JsonWriter *w, const char *key, gsize len)
{
    gsize start = w->last_key[w->depth - 1];
    if (w->any[w->depth - 1]) {
        gsize last_len = w->keys->len - start;
        int order = memcmp(w->keys->str + start, key, MIN(last_len, len));
        g_assert(order < 0 || (order == 0 && last_len < len));
    }
    g_string_truncate(w->keys, start);
    g_string_append_len(w->keys, key, (gssize)len);
}

void json_write_key(JsonWriter *w, const char *key)
{
    g_assert(w->depth > 0 && w->kind[w->depth - 1] == '{' && !w->after_key);
    gsize len = strlen(key);
    if (w->keys != NULL)
        check_key_order(w, key, len);
    if (w->any[w->depth - 1])
        g_string_append_c(w->out, ',');
    w->any[w->depth - 1] = TRUE;
    append_string(w, key, len);
    g_string_append_c(w->out, ':');
    w->after_key = TRUE;
}

/* --- Other values --- */

void json_write_integer(JsonWriter *w, gint64 value)
{
    begin_value(w);
    char digits[24];
    char *at = digits + sizeof digits;
    guint64 rest = value < 0 ? -(guint64)value : (guint64)value;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        *--at = '-';
    g_string_append_len(w->out, at, digits + sizeof digits - at);
}

void json_write_boolean(JsonWriter *w, gboolean value)
{
    begin_value(w);
    g_string_append(w->out, value ? "true" : "false");
}

void json_write_null(JsonWriter *w)
{
    begin_value(w);
    g_string_append(w->out, "null");
}

void json_write_double(JsonWriter *w, double value)
{
    g_assert(isfinite(value) && w->style == JSON_STYLE_PLAIN);
    begin_value(w);
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    /* A normal double that has a form of at most 15 digits is printed in it by %.15g, so that shorter
     * precisions need trying only for subnormal ones. */
    int precision = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    for (; precision <= DBL_DECIMAL_DIG; precision++) {
        char format[8];
        g_snprintf(format, sizeof format, "%%.%dg", precision);
        g_ascii_formatd(digits, sizeof digits, format, value);
        if (g_ascii_strtod(digits, NULL) == value)
            break;
    }
    g_string_append(w->out, digits);
}

void json_write_raw(JsonWriter *w, const char *json, gsize len)
{
    g_assert(len > 0);
    begin_value(w);
    g_string_append_len(w->out, json, (gssize)len);
}

/* --- Members --- */

void json_write_member_string(JsonWriter *w, const char *key, const char *value)
{
    json_write_key(w, key);
    json_write_string(w, value);
}

void json_write_member_integer(JsonWriter *w, const char *key, gint64 value)
{
    json_write_key(w, key);
    json_write_integer(w, value);
}

void json_write_member_boolean(JsonWriter *w, const char *key, gboolean value)
{
    json_write_key(w, key);
    json_write_boolean(w, value);
}

void json_write_member_hex(JsonWriter *w, const char *key, const guint8 *bytes, gsize len)
{
    g_autoptr(GString) text = g_string_sized_new(2 * len);
    for (gsize i = 0; i < len; i++) {
        g_string_append_c(text, HEX[bytes[i] >> 4]);
        g_string_append_c(text, HEX[bytes[i] & 15]);
    }
    json_write_key(w, key);
    json_write_string_len(w, text->str, text->len);
}
