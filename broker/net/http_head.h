/* SPDX-License-Identifier: MIT
 *
 * The head of an HTTP/1.x request (RFC 9112), parsed strictly and without copying.
 *
 * What is ambiguous is refused rather than guessed, because somebody in front of us may guess differently
 * (request smuggling): bare LF, obsolete line folding, blanks before a colon, repeated or malformed
 * Content-Length, Content-Length beside Transfer-Encoding, control characters, a missing or repeated Host in
 * HTTP/1.1. Pure function of its bytes; the result points into them.
 */
#pragma once

#include "broker/net/http.h"
#include "schema/limits.h"

typedef struct {
    HttpRequest request; /* method, target, path, query and headers; the rest is left zero */
    guint minor;         /* HTTP/1.minor */
    gboolean keep_alive; /* what version and Connection say */
    gboolean chunked;    /* the body comes in chunks */
    gboolean has_length; /* Content-Length was given */
    guint64 content_length;
    gboolean expect_continue;
    gboolean
        wants_websocket; /* a complete opening handshake of RFC 6455, 4.2.1: the library would accept less */
    gsize head_bytes;    /* including the empty line */
} HttpHead;

/* Looks for the end of a head in `len` bytes, of which the first `*scanned` are known not to complete one.
 * TRUE when it is there. `*scanned` is updated, so that a head which arrives byte by byte costs linear time.
 */
gboolean http_head_is_complete(const char *data, gsize len, gsize *scanned);

/* Parses a complete head at the start of `len` bytes; `headers` has room for LIMIT_HTTP_HEADERS. Returns 0,
 * or the status to refuse it with: 400, 414, 431, 501 (unknown transfer coding) or 505. On refusal
 * `ret->request.method` may still be meaningful, the rest is not. */
guint http_head_parse(const char *data, gsize len, HttpHeader *headers, HttpHead *ret);

/* TRUE when a partial head of `len` bytes can only end in a refusal already (too long, or no request line in
 * sight); `*ret_status` is 414 or 431. */
gboolean http_head_is_hopeless(const char *data, gsize len, guint *ret_status);

/* Method for its name (case-sensitive) and back; HTTP_OTHER has no name. */
HttpMethod http_method_parse(const char *name, gsize len);
const char *http_method_name(HttpMethod method);
