/* SPDX-License-Identifier: MIT
 *
 * UTF-8 text as existing OCC software sees it: what counts as a character, as white space and as the end of a
 * line. The OCC programs are written in Python, and their index grammar depends on what str.strip and
 * str.splitlines do with characters outside ASCII; these functions give the same answers.
 *
 * Everything works on pointer + length and never reads beyond it. Bytes that are not UTF-8 are safe input
 * everywhere: where a function has no error to report them with, each such byte is one character of its own
 * that is neither white space nor the end of a line. Pure functions, usable from every thread.
 *
 * Not here: case mapping, normalization, display width.
 */
#pragma once

#include "schema/error.h"

/* A borrowed piece of text. */
typedef struct {
    const char *text; /* not NUL-terminated; may be NULL when len is 0 */
    gsize len;        /* in bytes */
} TextSpan;

/* A NUL-terminated copy, owned by the caller. A NUL inside the span ends it early for readers of C strings.
 */
char *text_span_dup(TextSpan span);

/* --- Characters --- */

/* Length (1..4) of the well-formed UTF-8 sequence at the beginning of `len` bytes; 0 when there is none:
 * overlong forms, surrogates, values above U+10FFFF, stray and missing continuation bytes (Unicode 15, table
 * 3-7), or len 0. NUL is a character of length 1. */
guint text_char_length(const char *text, gsize len);
/* The same, and the code point in *ret. */
guint text_char_decode(const char *text, gsize len, gunichar *ret);
/* TRUE when all bytes are UTF-8; otherwise *ret_bad (may be NULL) is the offset of the first bad byte. */
gboolean text_is_utf8(const char *text, gsize len, gsize *ret_bad);
/* Length of the longest prefix of printable ASCII (U+0020..007E) without quote and backslash: what JSON
 * strings and messages hold as it is. */
gsize text_plain_prefix(const char *text, gsize len);
/* Number of code points. */
gsize text_count_chars(const char *text, gsize len);
/* Length in bytes of the first `chars_max` code points, or len when there are fewer. */
gsize text_cut_chars(const char *text, gsize len, gsize chars_max);
/* The largest length ≤ `bytes_max` (and ≤ len) that does not cut a character. */
gsize text_cut_bytes(const char *text, gsize len, gsize bytes_max);

/* --- White space and lines --- */

/* White space as Python's str.isspace has it: U+0009..000D, U+001C..0020, U+0085, U+00A0, U+1680,
 * U+2000..200A, U+2028, U+2029, U+202F, U+205F, U+3000. */
gboolean text_is_space(gunichar c);
/* Without white space at both ends, or at the right end only. */
TextSpan text_trim(const char *text, gsize len);
TextSpan text_trim_right(const char *text, gsize len);

/* Steps through lines as Python's str.splitlines does: LF, CR, CRLF, VT, FF, FS, GS, RS, NEL, U+2028 and
 * U+2029 end a line and do not belong to it; the end of the text ends the last line if it has a character.
 * *pos is 0 at first and is moved behind the line. FALSE at the end. */
gboolean text_next_line(const char *text, gsize len, gsize *pos, TextSpan *ret_line);

/* --- Whole texts --- */

/* Universal newlines, on bytes: CRLF and a CR without LF become LF, everything else stays, UTF-8 or not. With
 * no CR inside it is the same object with one more reference. The caller owns the result. */
GBytes *text_fold_lines(GBytes *raw);

/* A piece of foreign text for use in a one-line message: control characters, line ends and bytes that are not
 * UTF-8 as \xNN, quotes and backslashes with a backslash, cut with "…" after about 80 bytes. The caller owns
 * the result. */
char *text_for_message(const char *text, gsize len);
