/* SPDX-License-Identifier: MIT
 *
 * Request heads. What was accepted must lie within the input, and must not depend on how the bytes were found
 * complete.
 */
#include "broker/net/http_head.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_slice(HttpSlice slice, const guint8 *data, gsize size)
{
    const char *begin = (const char *)data;
    g_assert(slice.text >= begin && slice.len <= size && slice.text + slice.len <= begin + size);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const char *text = (const char *)data;
    HttpHeader headers[LIMIT_HTTP_HEADERS];
    HttpHead head;
    gsize scanned = 0;
    guint status;
    (void)http_head_is_hopeless(text, size, &status);
    gboolean complete = http_head_is_complete(text, size, &scanned);
    status = http_head_parse(text, size, headers, &head);
    if (status != 0)
        return 0;
    g_assert(complete && head.head_bytes <= size && head.head_bytes <= LIMIT_HTTP_HEAD_BYTES);
    check_slice(head.request.target, data, size);
    check_slice(head.request.path, data, size);
    check_slice(head.request.query, data, size);
    g_assert(head.request.target.text[0] == '/');
    for (guint i = 0; i < head.request.header_count; i++) {
        check_slice(headers[i].name, data, size);
        check_slice(headers[i].value, data, size);
    }
    g_assert(!(head.chunked && head.has_length));
    return 0;
}
