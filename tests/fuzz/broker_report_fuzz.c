/* SPDX-License-Identifier: MIT
 *
 * Any JSON object that a broker may answer is laid out for people; nothing in it reaches the terminal raw.
 */
#include <stdlib.h>

#include "broker/cli/report.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(data, size, 65536, NULL);
    char *text = NULL;
    size_t len = 0;

    if (doc == NULL || json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        return 0;
    }
    FILE *memory = open_memstream(&text, &len);
    g_assert_nonnull(memory);
    report_print(memory, json_doc_root(doc));
    fclose(memory);
    for (gsize i = 0; i < len; i++) {
        g_assert_true((guchar)text[i] >= ' ' || text[i] == '\n');
    }
    g_assert_true(g_utf8_validate_len(text, len, NULL));
    free(text);
    return 0;
}
