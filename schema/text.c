/* SPDX-License-Identifier: MIT
 *
 * UTF-8 text as existing OCC software sees it. Most text is ASCII, so every loop has a short path for it and
 * decodes only when a byte of 0x80 or more turns up.
 */
#include "schema/text.h"

#include <string.h>

enum { MESSAGE_BYTES = 80 };

char *text_span_dup(TextSpan span)
{
    char *copy = g_malloc(span.len + 1);
    if (span.len > 0)
        memcpy(copy, span.text, span.len);
    copy[span.len] = '\0';
    return copy;
}

/* --- Characters --- */

static gboolean is_continuation(guint8 byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The allowed range of the second byte depends on the first; it is what excludes overlong forms, surrogates
 * and values beyond U+10FFFF. */
static gboolean second_byte_fits(guint8 first, guint8 second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_continuation(second);
    }
}

guint text_char_length(const char *text, gsize len)
{
    const guint8 *p = (const guint8 *)text;
    if (len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    guint want = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (want == 0 || want > len || !second_byte_fits(p[0], p[1]))
        return 0;
    for (guint i = 2; i < want; i++) {
        if (!is_continuation(p[i]))
            return 0;
    }
    return want;
}

guint text_char_decode(const char *text, gsize len, gunichar *ret)
{
    guint length = text_char_length(text, len);
    if (length == 0)
        return 0;
    static const guint8 first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const guint8 *p = (const guint8 *)text;
    gunichar c = p[0] & first_mask[length];
    for (guint i = 1; i < length; i++)
        c = c << 6 | (p[i] & 0x3f);
    *ret = c;
    return length;
}

/* --- Runs: eight bytes at a time, as one word --- */

#define EVERY_BYTE(byte) (G_GUINT64_CONSTANT(0x0101010101010101) * (byte))
#define HIGH_BITS EVERY_BYTE(0x80)

static inline guint64 load_word(const char *text)
{
    guint64 word;
    memcpy(&word, text, sizeof word);
    return word;
}

/* Not 0 when some byte of the word is less than `limit` (1..128). Borrows make it inexact about which byte,
 * never about whether there is one. */
static inline guint64 any_below(guint64 word, guint64 limit)
{
    return (word - EVERY_BYTE(limit)) & ~word & HIGH_BITS;
}

static inline guint64 any_equal(guint64 word, guint64 byte)
{
    return any_below(word ^ EVERY_BYTE(byte), 1);
}

static gsize ascii_prefix(const char *text, gsize len)
{
    gsize i = 0;
    while (i + 8 <= len && (load_word(text + i) & HIGH_BITS) == 0)
        i += 8;
    while (i < len && (guint8)text[i] < 0x80)
        i++;
    return i;
}

static inline gboolean is_plain(guint8 byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

gsize text_plain_prefix(const char *text, gsize len)
{
    gsize i = 0;
    for (; i + 8 <= len; i += 8) {
        guint64 word = load_word(text + i);
        if ((word & HIGH_BITS) != 0 || any_below(word, 0x20) != 0 || any_equal(word, '"') != 0 ||
            any_equal(word, '\\') != 0 || any_equal(word, 0x7f) != 0)
            break;
    }
    while (i < len && is_plain((guint8)text[i]))
        i++;
    return i;
}

gboolean text_is_utf8(const char *text, gsize len, gsize *ret_bad)
{
    gsize pos = 0;
    while (pos < len) {
        pos += ascii_prefix(text + pos, len - pos);
        while (pos < len && (guint8)text[pos] >= 0x80) {
            guint length = text_char_length(text + pos, len - pos);
            if (length == 0) {
                if (ret_bad != NULL)
                    *ret_bad = pos;
                return FALSE;
            }
            pos += length;
        }
    }
    return TRUE;
}

gsize text_cut_chars(const char *text, gsize len, gsize chars_max)
{
    gsize pos = 0;
    for (gsize chars = 0; chars < chars_max && pos < len; chars++)
        pos += MAX(text_char_length(text + pos, len - pos), 1);
    return pos;
}

gsize text_count_chars(const char *text, gsize len)
{
    gsize count = 0;
    for (gsize pos = 0; pos < len; count++)
        pos += MAX(text_char_length(text + pos, len - pos), 1);
    return count;
}

gsize text_cut_bytes(const char *text, gsize len, gsize bytes_max)
{
    if (len <= bytes_max)
        return len;
    /* A character that the limit would cut begins at most three bytes before it. */
    for (gsize back = 1; back <= 3 && back <= bytes_max; back++) {
        gsize start = bytes_max - back;
        guint length = text_char_length(text + start, len - start);
        if (length > 0)
            return length > back ? start : bytes_max;
    }
    return bytes_max;
}

/* --- White space and lines --- */

gboolean text_is_space(gunichar c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Bytes of white space at the beginning of the text; 0 when it begins with something else. */
static guint space_at_start(const char *text, gsize len)
{
    gunichar c;
    guint length = text_char_decode(text, len, &c);
    return length > 0 && text_is_space(c) ? length : 0;
}

/* Bytes of the white space character at the end of the text; 0 when there is none. */
static guint space_at_end(const char *text, gsize len)
{
    for (guint back = 1; back <= 3 && back <= len; back++) {
        gunichar c;
        if (is_continuation((guint8)text[len - back]))
            continue;
        guint length = text_char_decode(text + len - back, back, &c);
        return length == back && text_is_space(c) ? length : 0;
    }
    return 0;
}

TextSpan text_trim_right(const char *text, gsize len)
{
    for (guint drop; (drop = space_at_end(text, len)) > 0;)
        len -= drop;
    return (TextSpan){text, len};
}

TextSpan text_trim(const char *text, gsize len)
{
    TextSpan span = text_trim_right(text, len);
    for (guint drop; (drop = space_at_start(span.text, span.len)) > 0;) {
        span.text += drop;
        span.len -= drop;
    }
    return span;
}

/* Bytes of the line end that begins the text; 0 when it begins with another character. NEL is C2 85, U+2028
 * and U+2029 are E2 80 A8 and A9. */
static guint line_end_length(const char *text, gsize len)
{
    const guint8 *p = (const guint8 *)text;
    switch (p[0]) {
    case '\n':
    case '\v':
    case '\f':
    case 0x1c:
    case 0x1d:
    case 0x1e:
        return 1;
    case '\r':
        return len > 1 && p[1] == '\n' ? 2 : 1;
    case 0xc2:
        return len > 1 && p[1] == 0x85 ? 2 : 0;
    case 0xe2:
        return len > 2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9) ? 3 : 0;
    default:
        return 0;
    }
}

/* Moves `at` over bytes that neither are controls nor begin a multi-byte character. */
static gsize skip_printable(const char *text, gsize len, gsize at)
{
    while (at + 8 <= len) {
        guint64 word = load_word(text + at);
        if ((word & HIGH_BITS) != 0 || any_below(word, 0x20) != 0)
            break;
        at += 8;
    }
    while (at < len && (guint8)text[at] >= 0x20 && (guint8)text[at] < 0x80)
        at++;
    return at;
}

gboolean text_next_line(const char *text, gsize len, gsize *pos, TextSpan *ret_line)
{
    gsize start = *pos;
    if (start >= len)
        return FALSE;
    gsize at = skip_printable(text, len, start);
    guint end_bytes = 0;
    while (at < len && (end_bytes = line_end_length(text + at, len - at)) == 0)
        at = skip_printable(text, len, at + 1);
    *ret_line = (TextSpan){text + start, at - start};
    *pos = at + end_bytes;
    return TRUE;
}

/* --- Whole texts --- */

GBytes *text_fold_lines(GBytes *raw)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(raw, &len);
    const char *cr = len > 0 ? memchr(text, '\r', len) : NULL;
    if (cr == NULL)
        return g_bytes_ref(raw);
    /* Folding never lengthens, so that one buffer of the old size is enough. */
    char *folded = g_malloc(len);
    char *to = folded;
    const char *from = text, *end = text + len;
    while (cr != NULL) {
        to = mempcpy(to, from, (gsize)(cr - from));
        *to++ = '\n';
        from = cr + 1;
        if (from < end && *from == '\n')
            from++;
        cr = from < end ? memchr(from, '\r', (gsize)(end - from)) : NULL;
    }
    to = mempcpy(to, from, (gsize)(end - from));
    return g_bytes_new_take(folded, (gsize)(to - folded));
}

static gboolean is_printable(gunichar c)
{
    return c >= 0x20 && !(c >= 0x7f && c <= 0x9f) && c != 0x2028 && c != 0x2029 &&
           /* Marks that reorder a terminal's line could disguise a message. */
           !(c >= 0x200e && c <= 0x200f) && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

char *text_for_message(const char *text, gsize len)
{
    GString *out = g_string_new(NULL);
    for (gsize pos = 0; pos < len;) {
        if (out->len >= MESSAGE_BYTES) {
            g_string_append(out, "…");
            break;
        }
        gunichar c = 0;
        guint length = text_char_decode(text + pos, len - pos, &c);
        if (length > 0 && is_printable(c)) {
            if (c == '"' || c == '\'' || c == '\\')
                g_string_append_c(out, '\\');
            g_string_append_len(out, text + pos, length);
        } else {
            length = MAX(length, 1);
            for (guint i = 0; i < length; i++)
                g_string_append_printf(out, "\\x%02x", (guint8)text[pos + i]);
        }
        pos += length;
    }
    return g_string_free(out, FALSE);
}
