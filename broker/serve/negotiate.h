/* SPDX-License-Identifier: MIT
 *
 * What request headers say about the form of an answer: compression, conditions and ranges (RFC 9110). Pure
 * functions over header values as they were sent; what does not follow its grammar is treated as absent,
 * which is what the RFC asks of a server.
 */
#pragma once

#include "broker/net/http.h"

/* The headers that may change an answer, picked out in one pass. A slice with `text` NULL was not sent. */
typedef struct {
    HttpSlice accept_encoding;
    HttpSlice if_none_match;
    HttpSlice if_range;
    HttpSlice range;
} NegotiateHeaders;

/* The first header of each name counts. */
void negotiate_collect(const HttpRequest *request, NegotiateHeaders *ret);

/* Accept-Encoding: TRUE when gzip (or x-gzip, or "*") is acceptable with a weight above 0. */
gboolean negotiate_gzip(HttpSlice accept_encoding);
/* If-None-Match: TRUE when the list is "*" or holds the tag (quoted, as in our ETag) in weak comparison. */
gboolean negotiate_tag_listed(HttpSlice list, const char *etag);
/* If-Range: TRUE when it is exactly this strong tag. A date never is: we send no Last-Modified. */
gboolean negotiate_tag_is(HttpSlice value, const char *etag);

typedef enum {
    RANGE_WHOLE,         /* none, malformed, another unit or several ranges: the whole representation */
    RANGE_PART,          /* 206: bytes *ret_first..*ret_last, both within the size */
    RANGE_UNSATISFIABLE, /* 416 */
} RangeKind;

RangeKind negotiate_range(HttpSlice range, guint64 size, guint64 *ret_first, guint64 *ret_last);
