/* SPDX-License-Identifier: MIT
 *
 * What strangers write behind /catalog/digest/ and /catalog/changes?: prefixes that are accepted can be
 * looked up and are few, numbers are within their limits.
 */
#include "broker/serve/exchange_query.h"
#include "mirror/catalog/digest_view.h"
#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    signing_init();
    g_autofree char *text = g_strndup(size > 0 ? (const char *)data : "", size);
    g_auto(GStrv) prefixes = exchange_query_prefixes(text);
    if (prefixes != NULL) {
        g_autoptr(DigestTrie) trie = digest_trie_new_empty();
        guint count = g_strv_length(prefixes);
        g_assert_cmpuint(count, >=, 1);
        g_assert_cmpuint(count, <=, LIMIT_DIGEST_PREFIXES);
        g_autofree char *again = g_strjoinv(",", prefixes);
        g_assert_cmpstr(again, ==, text);
        for (guint i = 0; i < count; i++) {
            g_auto(DigestView) view;
            digest_view_init(&view, trie, prefixes[i]);
            g_assert_cmpuint(view.count, ==, 0);
        }
    }
    ChangesQuery query;
    if (exchange_query_changes((HttpSlice){text, strlen(text)}, &query)) {
        g_assert_cmpuint(query.limit, >=, 1);
        g_assert_cmpuint(query.limit, <=, LIMIT_JOURNAL_STEP_CHANGES);
        g_assert_cmpuint(query.since, <, G_GUINT64_CONSTANT(1) << 53);
    }
    return 0;
}
