/* SPDX-License-Identifier: MIT */
#include "broker/net/http_chunked.h"

#include <string.h>

enum { EXTENSION_BYTES_MAX = 256, TRAILER_BYTES_MAX = 4096, SIZE_DIGITS_MAX = 8 };

enum {
    PHASE_SIZE,      /* hexadecimal digits */
    PHASE_EXTENSION, /* up to CR */
    PHASE_SIZE_LF,   /* LF after the size line */
    PHASE_DATA,
    PHASE_DATA_CR,
    PHASE_DATA_LF,
    PHASE_TRAILER,      /* at the start of a trailer line, or the final CR */
    PHASE_TRAILER_LINE, /* inside a trailer line */
    PHASE_TRAILER_LF,   /* LF after a trailer line */
    PHASE_FINAL_LF,
};

static gboolean size_digit(HttpChunked *s, char c)
{
    int digit = g_ascii_xdigit_value(c);
    if (digit >= 0 && s->digits < SIZE_DIGITS_MAX) {
        s->left = s->left * 16 + (guint64)digit;
        s->digits++;
        return TRUE;
    }
    if (s->digits == 0)
        return FALSE;
    s->phase = c == '\r' ? PHASE_SIZE_LF : PHASE_EXTENSION;
    s->line_bytes = 0;
    return c == '\r' || c == ';' || c == ' ' || c == '\t';
}

/* Bytes of extensions and trailers: bounded, no controls. */
static gboolean line_byte(HttpChunked *s, char c, guint max, guint8 after_cr)
{
    if (c == '\r') {
        s->phase = after_cr;
        return TRUE;
    }
    return ++s->line_bytes <= max && ((guint8)c >= 0x20 || c == '\t') && c != 0x7f;
}

/* One byte outside chunk data; FALSE when it may not stand there. */
static gboolean framing_byte(HttpChunked *s, char c)
{
    switch (s->phase) {
    case PHASE_SIZE:
        return size_digit(s, c);
    case PHASE_EXTENSION:
        return line_byte(s, c, EXTENSION_BYTES_MAX, PHASE_SIZE_LF);
    case PHASE_SIZE_LF:
        s->phase = s->left > 0 ? PHASE_DATA : PHASE_TRAILER;
        s->line_bytes = 0;
        return c == '\n';
    case PHASE_DATA_CR:
        s->phase = PHASE_DATA_LF;
        return c == '\r';
    case PHASE_DATA_LF:
        s->phase = PHASE_SIZE;
        s->digits = 0;
        return c == '\n';
    case PHASE_TRAILER:
        if (c == '\r') {
            s->phase = PHASE_FINAL_LF;
            return TRUE;
        }
        s->phase = PHASE_TRAILER_LINE;
        return line_byte(s, c, TRAILER_BYTES_MAX, PHASE_TRAILER_LF);
    case PHASE_TRAILER_LINE:
        return line_byte(s, c, TRAILER_BYTES_MAX, PHASE_TRAILER_LF);
    case PHASE_TRAILER_LF:
        s->phase = PHASE_TRAILER;
        return c == '\n';
    default:
        g_assert_not_reached();
    }
}

HttpChunkedResult http_chunked_decode(HttpChunked *s, const char *in, gsize in_len, gsize *ret_used,
                                      char *out, gsize *out_len, gsize out_max)
{
    gsize at = 0;
    while (at < in_len) {
        if (s->phase == PHASE_DATA) {
            gsize n = (gsize)MIN((guint64)(in_len - at), s->left);
            if (n > out_max - *out_len)
                return HTTP_CHUNKED_TOO_LARGE;
            memmove(out + *out_len, in + at, n);
            *out_len += n;
            at += n;
            s->left -= n;
            if (s->left == 0)
                s->phase = PHASE_DATA_CR;
        } else if (s->phase == PHASE_FINAL_LF) {
            *ret_used = at + 1;
            return in[at] == '\n' ? HTTP_CHUNKED_DONE : HTTP_CHUNKED_MALFORMED;
        } else if (!framing_byte(s, in[at++])) {
            return HTTP_CHUNKED_MALFORMED;
        }
    }
    *ret_used = at;
    return HTTP_CHUNKED_MORE;
}
