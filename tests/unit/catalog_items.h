/* SPDX-License-Identifier: MIT
 *
 * Catalog items for tests, made by the rule of tests/vectors/make_catalog_digest.py, and the digest of a set
 * of them as the slow, obvious reference computes it.
 */
#pragma once

#include "mirror/catalog/digest_trie.h"

#include <string.h>

/* Item `number` in one of several editions, which differ in everything but the path; 0 is that of the
 * vectors.
 */
static inline CatalogItem *item_edition(guint number, guint edition)
{
    guint8 digest[SHA256_BYTES], content[SHA256_BYTES];
    gboolean is_signed = number % 3 != 0;
    g_autofree char *suffix = edition > 0 ? g_strdup_printf(" %u", edition) : g_strdup("");
    g_autofree char *path = g_strdup_printf("set/%u/pack-%u", number % 7, number);
    g_autofree char *version = g_strdup_printf("1.%u.%u", number, edition);
    g_autofree char *digest_text = g_strdup_printf("digest %u%s", number, suffix);
    g_autofree char *content_text = g_strdup_printf("content %u%s", number, suffix);
    g_autoptr(GError) error = NULL;
    sha256(digest_text, strlen(digest_text), digest);
    sha256(content_text, strlen(content_text), content);
    CatalogItemInfo info = {.path = path,
                            .version = version,
                            .publisher = is_signed ? "abcdefghijklmnop" : "",
                            .published_at = is_signed ? "2026-01-02T03:04:05Z" : "",
                            .digest = digest,
                            .content_sha256 = content,
                            .pages = number,
                            .bytes = (guint64)number * 1000};
    CatalogItem *item = catalog_item_new(&info, &error);
    g_assert_no_error(error);
    return item;
}

static inline GPtrArray *items_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
}

/* Items 0 … count − 1 of the vectors. */
static inline GPtrArray *items_numbered(guint count)
{
    GPtrArray *items = items_new();
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(items, item_edition(i, 0));
    return items;
}

static inline DigestTrie *trie_of(GPtrArray *items)
{
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    return digest_trie_with_changes(empty, items, NULL);
}

static inline gint items_by_key(gconstpointer a, gconstpointer b)
{
    return memcmp((*(CatalogItem *const *)a)->key, (*(CatalogItem *const *)b)->key, SHA256_BYTES);
}

/* D of those of the items, sorted by key, that begin with the prefix. */
static inline void naive_digest(GPtrArray *sorted, const char *prefix, guint8 ret[SHA256_BYTES])
{
    g_autoptr(GPtrArray) below = g_ptr_array_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (guint i = 0; i < sorted->len; i++) {
        CatalogItem *item = g_ptr_array_index(sorted, i);
        char hex[SHA256_HEX_CHARS + 1];
        hex_encode(item->key, SHA256_BYTES, hex);
        if (g_str_has_prefix(hex, prefix))
            g_ptr_array_add(below, item);
    }
    g_byte_array_append(bytes, (const guint8 *)(below->len <= 32 ? "\0" : "\1"), 1);
    for (guint i = 0; below->len <= 32 && i < below->len; i++) {
        CatalogItem *item = g_ptr_array_index(below, i);
        g_byte_array_append(bytes, item->key, SHA256_BYTES);
        g_byte_array_append(bytes, item->leaf, SHA256_BYTES);
    }
    for (guint i = 0; below->len > 32 && i < 16; i++) {
        g_autofree char *longer = g_strdup_printf("%s%x", prefix, i);
        guint8 child[SHA256_BYTES] = {0};
        gboolean any = FALSE;
        for (guint k = 0; k < below->len; k++)
            any = any || digest_key_has_prefix(((CatalogItem *)g_ptr_array_index(below, k))->key, longer);
        if (any)
            naive_digest(below, longer, child);
        g_byte_array_append(bytes, child, SHA256_BYTES);
    }
    gsize size = SHA256_BYTES;
    GChecksum *checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, bytes->data, (gssize)bytes->len);
    g_checksum_get_digest(checksum, ret, &size);
    g_checksum_free(checksum);
}
