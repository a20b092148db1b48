/* SPDX-License-Identifier: MIT
 *
 * Blocking HTTP requests to servers that may be hostile: one request at a time over connections that are kept
 * for the next one. http and https only; TLS 1.2 or newer with the system's certificates; nothing is retried.
 *
 * A Fetch belongs to one thread at a time. Every answer has a ceiling on its head and on its decoded body,
 * and a deadline; redirects are an error of the caller's making unless the caller allows them. An answer with
 * any status, 404 and 500 too, is a success here: only the caller knows what it means.
 *
 * Error messages name scheme, host and port, never the path, the query or a token. This header hides libcurl.
 */
#pragma once

#include "schema/error.h"

typedef struct Fetch Fetch;

/* All members may be zero: the defaults of schema/limits.h, no headers kept, no redirects. */
typedef struct {
    gsize body_bytes_max;     /* decoded body; 0: LIMIT_HTTP_BODY_BYTES */
    guint connect_timeout_ms; /* 0: LIMIT_FETCH_CONNECT_MS */
    guint total_timeout_ms;   /* 0: LIMIT_FETCH_TOTAL_MS */
    guint redirects_max;   /* hops followed, never from https to http; 0: a redirect is returned as it is */
    gboolean keep_headers; /* fill FetchAnswer.headers */
    gboolean compressed;   /* say that gzip is welcome; body_bytes_max still counts what comes out of it */
    gboolean direct;       /* ignore http_proxy and friends, so that a loopback token stays on this host */
    guint bytes_per_second_min; /* slower than this for LIMIT_FETCH_STALL_SECONDS is given up; 0: 1 */
    const char *bearer;         /* token for "Authorization: Bearer", or NULL; not sent to another host */
    const char *ca_file;        /* PEM certificates to trust instead of the system's, or NULL */
    const char *const *headers; /* further "Name: value" lines, NULL-terminated, or NULL */
} FetchOptions;

typedef struct {
    guint status;
    char *content_type;  /* or NULL */
    GBytes *body;        /* never NULL */
    GHashTable *headers; /* lower-case name → value, the last one of a name; NULL unless asked for */
} FetchAnswer;

/* --- Life cycle --- */
Fetch *fetch_new(void);
void fetch_free(Fetch *fetch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fetch, fetch_free)
void fetch_answer_free(FetchAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FetchAnswer, fetch_answer_free)

/* --- Operations --- */

/* GET. `options` may be NULL. NULL with
 *   MALFORMED  not an http or https URL, a user or password in it, an answer that is not HTTP, a header line
 * of the caller with a line break LIMIT      URL, head or body beyond its ceiling, too many redirects
 *   UNTRUSTED  the server's certificate does not verify
 *   BUSY       a deadline passed
 *   IO         no such host, refused, reset */
FetchAnswer *fetch_get(Fetch *fetch, const char *url, const FetchOptions *options, GError **error);
/* POST of `len` bytes, which may be zero. The same errors. A redirect is never followed. */
FetchAnswer *fetch_post(Fetch *fetch, const char *url, const char *content_type, const void *data, gsize len,
                        const FetchOptions *options, GError **error);

/* --- Queries --- */

/* The value of a header, or NULL; `name` in lower case. Only with keep_headers. */
const char *fetch_answer_header(const FetchAnswer *answer, const char *name);
