/* SPDX-License-Identifier: MIT
 *
 * Decoder of the chunked transfer coding (RFC 9112 section 7.1), byte by byte, so that it works on whatever
 * arrives. Strict: CRLF only, hexadecimal sizes of at most 8 digits, bounded extensions and trailers (both
 * are read and ignored). Pure.
 */
#pragma once

#include <glib.h>

typedef enum {
    HTTP_CHUNKED_MORE,
    HTTP_CHUNKED_DONE,
    HTTP_CHUNKED_MALFORMED,
    HTTP_CHUNKED_TOO_LARGE
} HttpChunkedResult;

typedef struct {
    guint8 phase;
    guint8 digits;    /* of the size that is being read */
    guint line_bytes; /* of the extension or the trailers so far */
    guint64 left;     /* bytes of the current chunk */
} HttpChunked;        /* all zero: at the start */

/* Decodes from `in` into `out`, which may be the same memory at or before `in`. `*out_len` bytes are there
 * already and count towards `out_max`. `*ret_used` receives how many bytes of `in` were consumed: all of them
 * unless DONE. */
HttpChunkedResult http_chunked_decode(HttpChunked *state, const char *in, gsize in_len, gsize *ret_used,
                                      char *out, gsize *out_len, gsize out_max);
