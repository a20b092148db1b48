/* SPDX-License-Identifier: MIT
 *
 * Query strings: whatever they are, a value is found or refused within the text, is UTF-8 without U+0000, and
 * a name that does not stand in the text has no value.
 */
#include "broker/serve/query_string.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char *const names[] = {"cursor", "limit", "q", "scope", "page"};
    HttpSlice query = {(const char *)data, size};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *value = NULL;
        gboolean ok = query_string_get(query, names[i], &value);
        g_assert_true(ok || value == NULL);
        if (value == NULL)
            continue;
        g_assert_true(g_utf8_validate(value, -1, NULL));
        g_assert_cmpuint(strlen(value), <=, size);
        g_assert_nonnull(memmem(data, size, names[i], strlen(names[i])));
    }
    return 0;
}
