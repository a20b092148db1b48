/* SPDX-License-Identifier: MIT */
#include "mirror/catalog/digest_view.h"

#include <string.h>

#include "schema/limits.h"

static const guint8 no_items[SHA256_BYTES];

/* --- Life cycle --- */

void digest_view_init_items(DigestView *view, CatalogItem *const *items, guint count, const char *prefix)
{
    *view = (DigestView){.items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref)};
    for (guint i = 0; i < count; i++) {
        if (digest_key_has_prefix(items[i]->key, prefix))
            g_ptr_array_add(view->items, catalog_item_ref(items[i]));
    }
    view->count = view->items->len;
    digest_hash_items((CatalogItem *const *)view->items->pdata, view->items->len, view->digest);
}

static void init_inner(DigestView *view, const DigestTrie *node)
{
    *view = (DigestView){.count = digest_trie_count(node)};
    memcpy(view->digest, digest_trie_digest(node), SHA256_BYTES);
    for (guint i = 0; i < DIGEST_FAN_OUT; i++) {
        const DigestTrie *child = digest_trie_child(node, i);
        if (child == NULL)
            continue;
        view->children[i].count = digest_trie_count(child);
        memcpy(view->children[i].digest, digest_trie_digest(child), SHA256_BYTES);
    }
}

void digest_view_init(DigestView *view, const DigestTrie *trie, const char *prefix)
{
    g_assert(digest_prefix_is_valid(prefix));
    guint depth;
    const DigestTrie *node = digest_trie_descend(trie, prefix, &depth);
    if (node == NULL)
        digest_view_init_items(view, NULL, 0, prefix);
    else if (digest_trie_is_inner(node))
        init_inner(view, node);
    else
        digest_view_init_items(view, digest_trie_items(node), digest_trie_count(node), prefix);
}

void digest_view_clear(DigestView *view)
{
    g_clear_pointer(&view->items, g_ptr_array_unref);
}

/* --- Writing --- */

static void write_count_and_digest(JsonWriter *writer, guint64 count, const guint8 digest[SHA256_BYTES])
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, hex);
    json_write_member_integer(writer, "count", (gint64)count);
    json_write_member_string(writer, "digest", hex);
}

static void write_child(JsonWriter *writer, const DigestChild *child)
{
    json_write_object_begin(writer);
    write_count_and_digest(writer, child->count, child->digest);
    json_write_object_end(writer);
}

void digest_view_write(const DigestView *view, JsonWriter *writer)
{
    json_write_object_begin(writer);
    write_count_and_digest(writer, view->count, view->digest);
    json_write_key(writer, view->items != NULL ? "items" : "children");
    json_write_array_begin(writer);
    for (guint i = 0; view->items != NULL && i < view->items->len; i++)
        catalog_item_write(g_ptr_array_index(view->items, i), writer);
    for (guint i = 0; view->items == NULL && i < DIGEST_FAN_OUT; i++)
        write_child(writer, &view->children[i]);
    json_write_array_end(writer);
    json_write_object_end(writer);
}

/* --- Reading --- */

static gboolean refuse(GError **error, KontorErrorCode code, const char *prefix, const char *rule)
{
    g_set_error(error, KONTOR_ERROR, code, "digest of '%s': %s", prefix, rule);
    return FALSE;
}

static gboolean read_count_and_digest(const JsonValue *object, const char *prefix, guint64 *ret_count,
                                      guint8 ret_digest[SHA256_BYTES], GError **error)
{
    const char *hex = NULL;
    gint64 count = 0;
    if (json_value_kind(object) != JSON_OBJECT)
        return refuse(error, KONTOR_ERROR_MALFORMED, prefix, "expected an object");
    if (!json_get_integer(object, "count", JSON_REQUIRED, 0, LIMIT_CATALOG_ITEMS, &count, error) ||
        !json_get_string(object, "digest", JSON_REQUIRED, SHA256_HEX_CHARS, &hex, error))
        return FALSE;
    if (!hex_decode(hex, ret_digest, SHA256_BYTES))
        return refuse(error, KONTOR_ERROR_MALFORMED, prefix,
                      "digest is not a SHA-256 in lower-case hexadecimal");
    *ret_count = (guint64)count;
    return TRUE;
}

/* Children and what follows from them. */
static gboolean read_children(const JsonValue *list, const char *prefix, DigestView *view, GError **error)
{
    guint8 digests[DIGEST_FAN_OUT][SHA256_BYTES];
    guint8 digest[SHA256_BYTES];
    guint64 sum = 0;
    guint i = 0;
    if (json_value_count(list) != DIGEST_FAN_OUT || strlen(prefix) >= DIGEST_PREFIX_MAX)
        return refuse(error, KONTOR_ERROR_MALFORMED, prefix, "expected 16 children, above the last digit");
    for (const JsonValue *value = json_value_first(list); value != NULL;
         value = json_value_next(value), i++) {
        DigestChild *child = &view->children[i];
        if (!read_count_and_digest(value, prefix, &child->count, child->digest, error))
            return FALSE;
        if ((child->count == 0) != (memcmp(child->digest, no_items, SHA256_BYTES) == 0))
            return refuse(error, KONTOR_ERROR_MALFORMED, prefix,
                          "a child has items or a digest, but not both");
        memcpy(digests[i], child->digest, SHA256_BYTES);
        sum += child->count;
    }
    digest_hash_children(digests, digest);
    if (view->count <= DIGEST_BUCKET_MAX || sum != view->count)
        return refuse(error, KONTOR_ERROR_SIGNATURE, prefix, "the counts of the children do not add up");
    return memcmp(digest, view->digest, SHA256_BYTES) == 0 ||
           refuse(error, KONTOR_ERROR_SIGNATURE, prefix, "it does not follow from the children");
}

/* Items and what follows from them. */
static gboolean read_items(const JsonValue *list, const char *prefix, DigestView *view, GError **error)
{
    guint8 digest[SHA256_BYTES];
    view->items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    for (const JsonValue *value = json_value_first(list); value != NULL; value = json_value_next(value)) {
        CatalogItem *item = catalog_item_read(value, error);
        if (item == NULL)
            return FALSE;
        guint before = view->items->len;
        g_ptr_array_add(view->items, item);
        if (!digest_key_has_prefix(item->key, prefix) ||
            (before > 0 && catalog_item_compare(g_ptr_array_index(view->items, before - 1), item) >= 0))
            return refuse(error, KONTOR_ERROR_MALFORMED, prefix, "an item is at the wrong place");
    }
    digest_hash_items((CatalogItem *const *)view->items->pdata, view->items->len, digest);
    if (view->items->len != view->count)
        return refuse(error, KONTOR_ERROR_SIGNATURE, prefix, "the count is not that of the items");
    return memcmp(digest, view->digest, SHA256_BYTES) == 0 ||
           refuse(error, KONTOR_ERROR_SIGNATURE, prefix, "it does not follow from the items");
}

gboolean digest_view_read(const JsonValue *value, const char *prefix, DigestView *ret, GError **error)
{
    g_auto(DigestView) view = {0};
    const JsonValue *children = NULL, *items = NULL;
    if (!read_count_and_digest(value, prefix, &view.count, view.digest, error) ||
        !json_get_array(value, "children", JSON_OPTIONAL, DIGEST_FAN_OUT, &children, error) ||
        !json_get_array(value, "items", JSON_OPTIONAL, DIGEST_BUCKET_MAX, &items, error))
        return FALSE;
    if ((children == NULL) == (items == NULL))
        return refuse(error, KONTOR_ERROR_MALFORMED, prefix, "expected either children or items");
    if (children != NULL ? !read_children(children, prefix, &view, error)
                         : !read_items(items, prefix, &view, error))
        return FALSE;
    *ret = view;
    view.items = NULL;
    return TRUE;
}

gboolean digest_views_parse(const void *data, gsize len, const char *const *prefixes, guint count,
                            DigestView *ret_views, GError **error)
{
    const JsonValue *nodes = NULL;
    guint i = 0;
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, LIMIT_DIGEST_ANSWER_BYTES, error);
    if (doc == NULL)
        return FALSE;
    if (count == 1)
        return digest_view_read(json_doc_root(doc), prefixes[0], &ret_views[0], error);
    if (json_value_kind(json_doc_root(doc)) != JSON_OBJECT)
        return refuse(error, KONTOR_ERROR_MALFORMED, "", "expected an object");
    if (!json_get_array(json_doc_root(doc), "nodes", JSON_REQUIRED, count, &nodes, error))
        return FALSE;
    if (json_value_count(nodes) != count)
        return refuse(error, KONTOR_ERROR_MALFORMED, "", "expected one node per prefix");
    for (const JsonValue *node = json_value_first(nodes); node != NULL; node = json_value_next(node), i++) {
        if (!digest_view_read(node, prefixes[i], &ret_views[i], error))
            return FALSE;
    }
    return TRUE;
}
