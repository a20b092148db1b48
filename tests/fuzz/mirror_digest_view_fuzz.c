/* SPDX-License-Identifier: MIT
 *
 * Answers about the digest trie, as another broker sends them. The input is a line of prefixes with commas
 * between them, and the JSON. What is accepted is written back to something that is accepted and says the
 * same.
 */
#include "mirror/catalog/digest_view.h"
#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_view(const DigestView *view, const char *prefix)
{
    g_autoptr(GString) json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        digest_view_write(view, &writer);
    }
    g_auto(DigestView) again = {0};
    g_autoptr(GError) error = NULL;
    digest_views_parse(json->str, json->len, &prefix, 1, &again, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again.count, ==, view->count);
    g_assert_cmpmem(again.digest, SHA256_BYTES, view->digest, SHA256_BYTES);
    for (guint i = 0; view->items != NULL && i < view->items->len; i++) {
        const CatalogItem *item = g_ptr_array_index(view->items, i);
        const CatalogItem *other = g_ptr_array_index(again.items, i);
        g_assert_true(digest_key_has_prefix(item->key, prefix));
        g_assert_cmpmem(item->leaf, SHA256_BYTES, other->leaf, SHA256_BYTES);
    }
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const guint8 *line_end = size > 0 ? memchr(data, '\n', size) : NULL;
    if (line_end == NULL)
        return 0;
    signing_init();
    g_autofree char *line = g_strndup((const char *)data, (gsize)(line_end - data));
    g_auto(GStrv) prefixes = g_strsplit(line, ",", LIMIT_DIGEST_PREFIXES);
    guint count = g_strv_length(prefixes);
    for (guint i = 0; i < count; i++) {
        if (!digest_prefix_is_valid(prefixes[i]))
            return 0;
    }
    count = MAX(count, 1);
    const char *const whole[] = {""};
    const char *const *asked = prefixes[0] != NULL ? (const char *const *)prefixes : whole;
    g_autofree DigestView *views = g_new0(DigestView, count);
    g_autoptr(GError) error = NULL;
    gsize head = (gsize)(line_end - data) + 1;
    gboolean accepted = digest_views_parse(data + head, size - head, asked, count, views, &error);
    g_assert_true(accepted == (error == NULL));
    g_assert_true(error == NULL || strchr(error->message, '\n') == NULL);
    for (guint i = 0; i < count; i++) {
        if (accepted)
            check_view(&views[i], asked[i]);
        digest_view_clear(&views[i]);
    }
    return 0;
}
