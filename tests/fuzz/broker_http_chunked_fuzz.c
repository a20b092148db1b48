/* SPDX-License-Identifier: MIT
 *
 * Chunked bodies: decoding at once and byte by byte must agree.
 */
#include "broker/net/http_chunked.h"

#include <string.h>

enum { OUT_MAX = 4096 };

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static char whole[OUT_MAX], pieces[OUT_MAX];
    HttpChunked a = {0}, b = {0};
    gsize used = 0, whole_len = 0, pieces_len = 0;
    HttpChunkedResult result =
        http_chunked_decode(&a, (const char *)data, size, &used, whole, &whole_len, OUT_MAX);
    HttpChunkedResult last = HTTP_CHUNKED_MORE;
    for (gsize i = 0; i < size && last == HTTP_CHUNKED_MORE; i++) {
        gsize one = 0;
        last = http_chunked_decode(&b, (const char *)data + i, 1, &one, pieces, &pieces_len, OUT_MAX);
    }
    g_assert(result == last);
    if (result == HTTP_CHUNKED_DONE)
        g_assert(whole_len == pieces_len && memcmp(whole, pieces, whole_len) == 0 && used <= size);
    return 0;
}
