/* SPDX-License-Identifier: MIT
 *
 * Cutting runs of Chinese, Japanese and Korean into pairs.
 */
#include "broker/search/search_text.h"

#include <string.h>

/* The lowest first byte of a character that is cut: U+1100 is E1 84 80. */
#define FIRST_BYTE_MIN 0xe1

static gboolean is_cut(gunichar c)
{
    static const struct {
        gunichar first, last;
    } ranges[] = {
        {0x1100, 0x11ff},   /* Hangul Jamo */
        {0x2e80, 0x2fdf},   /* radicals */
        {0x3005, 0x3007},   /* iteration mark, zero */
        {0x3031, 0x318f},   /* Hiragana, Katakana, Bopomofo, Hangul compatibility Jamo */
        {0x31a0, 0x31ff},   /* extensions of Bopomofo and Katakana */
        {0x3400, 0x4dbf},   /* Han, extension A */
        {0x4e00, 0x9fff},   /* Han */
        {0xa960, 0xa97f},   /* Hangul Jamo, extension A */
        {0xac00, 0xd7ff},   /* Hangul */
        {0xf900, 0xfaff},   /* Han, compatibility */
        {0xff66, 0xffdc},   /* half-width Katakana and Hangul */
        {0x20000, 0x3ffff}, /* Han, further extensions */
    };
    for (guint i = 0; i < G_N_ELEMENTS(ranges) && c >= ranges[i].first; i++)
        if (c <= ranges[i].last)
            return g_unichar_isalnum(c);
    return FALSE;
}

/* Length of the character at `text` when it is one to be cut, otherwise 0. */
static guint cut_length(const char *text, gsize len)
{
    gunichar c = 0;
    if (len == 0 || (guchar)*text < FIRST_BYTE_MIN)
        return 0;
    guint length = text_char_decode(text, len, &c);
    return length > 0 && is_cut(c) ? length : 0;
}

/* Offset of the first character to be cut, or len. */
static gsize find_cut(const char *text, gsize len)
{
    gsize pos = 0;
    while (pos < len && ((guchar)text[pos] < FIRST_BYTE_MIN || cut_length(text + pos, len - pos) == 0))
        pos++;
    return pos;
}

/* Appends the run at the beginning of the text as pairs; returns its length in bytes. */
static gsize append_run(GString *out, const char *text, gsize len, SearchTextKind kind)
{
    gsize pos = 0;
    guint length = cut_length(text, len), count = 0;
    g_string_append_c(out, ' ');
    while (length > 0) {
        guint next = cut_length(text + pos + length, len - pos - length);
        if (next > 0 || kind == SEARCH_TEXT_PAGE || count == 0) {
            g_string_append_len(out, text + pos, (gssize)(length + next));
            g_string_append_c(out, ' ');
        }
        pos += length;
        length = next;
        count++;
    }
    return pos;
}

TextSpan search_text_split(const char *text, gsize len, SearchTextKind kind, GString *scratch)
{
    gsize plain = find_cut(text, len);
    if (plain == len)
        return (TextSpan){text, len};
    g_string_truncate(scratch, 0);
    for (gsize pos = 0; pos < len;) {
        g_string_append_len(scratch, text + pos, (gssize)plain);
        pos += plain;
        if (pos < len)
            pos += append_run(scratch, text + pos, len - pos, kind);
        plain = find_cut(text + pos, len - pos);
    }
    return (TextSpan){scratch->str, scratch->len};
}

gboolean search_text_is_single(const char *word)
{
    gsize len = strlen(word);
    return len > 0 && cut_length(word, len) == len;
}
