/* SPDX-License-Identifier: MIT */
#include "broker/serve/exchange_query.h"

#include "broker/serve/query_string.h"
#include "mirror/catalog/digest_trie.h"
#include "schema/limits.h"

#define GENERATION_MAX ((G_GUINT64_CONSTANT(1) << 53) - 1)

char **exchange_query_prefixes(const char *text)
{
    g_auto(GStrv) prefixes = g_strsplit(text, ",", LIMIT_DIGEST_PREFIXES + 1);
    guint count = g_strv_length(prefixes);
    if (count == 0) {
        /* g_strsplit makes nothing of an empty text, which is the whole catalog. */
        static const char *const whole[] = {"", NULL};
        return g_strdupv((char **)(gsize)whole);
    }
    for (guint i = 0; i < count; i++) {
        if (*prefixes[i] == '\0' || !digest_prefix_is_valid(prefixes[i]))
            return NULL;
    }
    return count <= LIMIT_DIGEST_PREFIXES ? g_steal_pointer(&prefixes) : NULL;
}

gboolean exchange_query_changes(HttpSlice query, ChangesQuery *ret)
{
    g_autofree char *since_text = NULL, *limit_text = NULL;
    guint64 since = 0, limit = LIMIT_JOURNAL_STEP_CHANGES;
    if (!query_string_get(query, "since", &since_text) || !query_string_get(query, "limit", &limit_text))
        return FALSE;
    if (since_text == NULL || !g_ascii_string_to_unsigned(since_text, 10, 0, GENERATION_MAX, &since, NULL))
        return FALSE;
    if (limit_text != NULL &&
        !g_ascii_string_to_unsigned(limit_text, 10, 1, LIMIT_JOURNAL_STEP_CHANGES, &limit, NULL))
        return FALSE;
    *ret = (ChangesQuery){since, (guint)limit};
    return TRUE;
}
