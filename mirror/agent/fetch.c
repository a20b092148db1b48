/* SPDX-License-Identifier: MIT
 *
 * One libcurl easy handle per Fetch: reset before each request, so that nothing of one request reaches the
 * next but the pool of open connections.
 */
#include "mirror/agent/fetch.h"

#include <string.h>

#include "mirror/agent/fetch_transfer.h"

struct Fetch {
    CURL *easy;
};

/* --- Life cycle --- */

Fetch *fetch_new(void)
{
    Fetch *fetch = g_new0(Fetch, 1);

    fetch_transfer_start_library();
    fetch->easy = curl_easy_init();
    g_assert(fetch->easy != NULL);
    return fetch;
}

void fetch_free(Fetch *fetch)
{
    if (fetch == NULL) {
        return;
    }
    curl_easy_cleanup(fetch->easy);
    g_free(fetch);
}

void fetch_answer_free(FetchAnswer *answer)
{
    if (answer == NULL) {
        return;
    }
    g_free(answer->content_type);
    g_bytes_unref(answer->body);
    g_clear_pointer(&answer->headers, g_hash_table_unref);
    g_free(answer);
}

const char *fetch_answer_header(const FetchAnswer *answer, const char *name)
{
    return answer->headers != NULL ? g_hash_table_lookup(answer->headers, name) : NULL;
}

/* --- Operations --- */

static const FetchOptions defaults;

/* A POST when `data` is given, else a GET. Forgets every pointer into this call's memory afterwards. */
static FetchAnswer *request(Fetch *fetch, const char *url, const char *content_type, GBytes *data,
                            const FetchOptions *options, GError **error)
{
    FetchTransfer transfer = {0};
    FetchAnswer *answer = NULL;

    curl_easy_reset(fetch->easy);
    if (fetch_transfer_begin(&transfer, fetch->easy, url, options != NULL ? options : &defaults, error)) {
        if (data != NULL) {
            fetch_transfer_set_post(&transfer, fetch->easy, content_type, data);
        }
        answer = fetch_transfer_end(&transfer, fetch->easy, curl_easy_perform(fetch->easy), error);
    }
    curl_easy_reset(fetch->easy);
    fetch_transfer_clear(&transfer);
    return answer;
}

FetchAnswer *fetch_get(Fetch *fetch, const char *url, const FetchOptions *options, GError **error)
{
    return request(fetch, url, NULL, NULL, options, error);
}

FetchAnswer *fetch_post(Fetch *fetch, const char *url, const char *content_type, const void *data, gsize len,
                        const FetchOptions *options, GError **error)
{
    g_autoptr(GBytes) body = g_bytes_new_static(len > 0 ? data : "", len);

    g_assert(strpbrk(content_type, "\r\n") == NULL);
    return request(fetch, url, content_type, body, options, error);
}
