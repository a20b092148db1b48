/* SPDX-License-Identifier: MIT
 *
 * One HTTP exchange on a libcurl handle: what fetch.c (one after another) and fetch_pool.c (many at once)
 * have in common. For these two only; everybody else uses their headers, which hide libcurl.
 *
 * The write and header callbacks refuse bytes beyond their ceilings and leave the reason here, because
 * libcurl itself can only say that writing failed. A FetchTransfer is embedded, and must stay where it is
 * between begin and end.
 */
#pragma once

#include "mirror/agent/fetch.h"

#include <curl/curl.h>

typedef struct FetchTransfer FetchTransfer;
struct FetchTransfer {
    char *origin; /* scheme, host and port, for messages */
    GByteArray *body;
    gsize body_bytes_max;
    gsize head_bytes;
    GHashTable *headers; /* NULL unless asked for */
    gboolean body_too_large, head_too_large;
    struct curl_slist *lines; /* of the request */
    char detail[CURL_ERROR_SIZE];
    /* Asked before bytes are taken, when not NULL; what it answers instead of `len` goes to libcurl. */
    gsize (*admit)(FetchTransfer *transfer, gsize len);
    gpointer owner; /* for `admit` */
};

/* Starts libcurl, once. */
void fetch_transfer_start_library(void);
/* Checks and sets up a GET; `transfer` is zero but for `admit` and `owner`, and is cleared by the caller in
 * any case. Errors of fetch_get that come before anything is sent. */
gboolean fetch_transfer_begin(FetchTransfer *transfer, CURL *easy, const char *url,
                              const FetchOptions *options, GError **error);
/* Makes it a POST; `data` must outlive the exchange. */
void fetch_transfer_set_post(FetchTransfer *transfer, CURL *easy, const char *content_type, GBytes *data);
/* What came of it: the answer, or NULL. */
FetchAnswer *fetch_transfer_end(FetchTransfer *transfer, CURL *easy, CURLcode code, GError **error);
void fetch_transfer_clear(FetchTransfer *transfer);
