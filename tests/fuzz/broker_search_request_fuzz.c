/* SPDX-License-Identifier: MIT
 *
 * Bodies of POST /search and /lookup_entity: either a request within its limits or a 422, for any bytes.
 */
#include <string.h>

#include "broker/serve/search_request.h"
#include "schema/json_reader.h"
#include "schema/limits.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check(SearchKind kind, guint count_max, const guint8 *data, gsize size)
{
    HttpSlice type = {"application/json", strlen("application/json")};
    SearchRequest request = {0};
    g_autoptr(HttpReply) refusal = search_request_parse(kind, type, data, size, &request);
    if (refusal != NULL) {
        g_assert_cmpuint(http_reply_status(refusal), ==, 422);
        g_assert_null(request.text);
        gsize len;
        const char *json = g_bytes_get_data(http_reply_body(refusal), &len);
        g_autoptr(JsonDoc) doc = json_doc_parse(json, len, len, NULL);
        g_assert_nonnull(doc);
        return;
    }
    g_assert_true(g_utf8_validate(request.text, -1, NULL));
    g_assert_cmpuint(strlen(request.text), <=, LIMIT_SEARCH_QUERY_BYTES);
    g_assert_cmpuint(request.count, >=, 1);
    g_assert_cmpuint(request.count, <=, count_max);
    g_assert_nonnull(request.scope);
    search_request_clear(&request);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    check(SEARCH_TEXT, LIMIT_SEARCH_K, data, size);
    check(SEARCH_LOOKUP, LIMIT_LOOKUP_LIMIT, data, size);
    return 0;
}
