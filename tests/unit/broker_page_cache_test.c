/* SPDX-License-Identifier: MIT
 *
 * The page cache against a plain hash table, its bound, and the order of eviction.
 */
#include <string.h>

#include "broker/serve/page_cache.h"

/* A resource whose body is `text`. */
static Resource *resource_of(const char *text)
{
    g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));
    return resource_new_plain(http_reply_new(200, "text/plain", body));
}

static PageCacheEntry entry_of(const char *text, guint64 serial)
{
    return (PageCacheEntry){.resource = resource_of(text), .serial = serial};
}

static gboolean body_is(PageCacheEntry *entry, const char *text)
{
    HttpRequest request = {.method = HTTP_GET};
    g_autoptr(HttpReply) reply = resource_answer(entry->resource, &request);
    gsize len;
    const char *data = g_bytes_get_data(http_reply_body(reply), &len);
    return len == strlen(text) && memcmp(data, text, len) == 0;
}

static void test_put_find_remove(void)
{
    g_autoptr(PageCache) cache = page_cache_new(1 << 20);
    PageCacheEntry entry = entry_of("one", 7);
    g_assert_null(page_cache_find(cache, "/a", 2));
    g_assert_nonnull(page_cache_put(cache, "/a", 2, &entry));
    PageCacheEntry *found = page_cache_find(cache, "/a", 2);
    g_assert_nonnull(found);
    g_assert_cmpuint(found->serial, ==, 7);
    g_assert_true(body_is(found, "one"));
    g_assert_null(page_cache_find(cache, "/ab", 3));
    g_assert_null(page_cache_find(cache, "/", 1));
    entry = entry_of("two", 8);
    page_cache_put(cache, "/a", 2, &entry);
    g_assert_cmpuint(page_cache_count(cache), ==, 1);
    g_assert_true(body_is(page_cache_find(cache, "/a", 2), "two"));
    page_cache_remove(cache, "/a", 2);
    page_cache_remove(cache, "/a", 2);
    g_assert_null(page_cache_find(cache, "/a", 2));
    g_assert_cmpuint(page_cache_bytes(cache), ==, 0);
}

/* Keys may hold any bytes: searches separate their parts with NUL. */
static void test_keys_with_nul(void)
{
    g_autoptr(PageCache) cache = page_cache_new(1 << 20);
    PageCacheEntry one = entry_of("one", 1), two = entry_of("two", 2);
    page_cache_put(cache, "a\0b", 3, &one);
    page_cache_put(cache, "a\0c", 3, &two);
    g_assert_true(body_is(page_cache_find(cache, "a\0b", 3), "one"));
    g_assert_true(body_is(page_cache_find(cache, "a\0c", 3), "two"));
    g_assert_null(page_cache_find(cache, "a", 1));
}

static void test_too_large(void)
{
    g_autoptr(PageCache) cache = page_cache_new(16 * 1024);
    g_autofree char *large = g_strnfill(4096, 'x');
    PageCacheEntry entry = entry_of(large, 1), small = entry_of("small", 1);
    page_cache_put(cache, "/small", 6, &small);
    g_assert_false(page_cache_admits(cache, 4096));
    g_assert_null(page_cache_put(cache, "/large", 6, &entry));
    g_assert_null(page_cache_find(cache, "/large", 6));
    g_assert_nonnull(page_cache_find(cache, "/small", 6));
}

static void put_number(PageCache *cache, guint number)
{
    char key[16];
    g_snprintf(key, sizeof key, "/%u", number);
    PageCacheEntry entry = entry_of(key, number);
    page_cache_put(cache, key, strlen(key), &entry);
}

static PageCacheEntry *find_number(PageCache *cache, guint number)
{
    char key[16];
    g_snprintf(key, sizeof key, "/%u", number);
    return page_cache_find(cache, key, strlen(key));
}

static void test_bound(void)
{
    const gsize bound = 64 * 1024;
    g_autoptr(PageCache) cache = page_cache_new(bound);
    for (guint i = 0; i < 5000; i++) {
        put_number(cache, i);
        g_assert_cmpuint(page_cache_bytes(cache), <=, bound);
        g_assert_nonnull(find_number(cache, i));
    }
    g_assert_cmpuint(page_cache_count(cache), >, 10);
    g_assert_cmpuint(page_cache_count(cache), <, 5000);
}

/* What is asked for between two insertions survives; what nobody asked for goes. */
static void test_used_survives(void)
{
    g_autoptr(PageCache) cache = page_cache_new(64 * 1024);
    put_number(cache, 0);
    for (guint i = 1; i < 5000; i++) {
        put_number(cache, i);
        g_assert_nonnull(find_number(cache, 0));
    }
    g_assert_null(find_number(cache, 1));
}

static void test_set_max(void)
{
    g_autoptr(PageCache) cache = page_cache_new(1 << 20);
    for (guint i = 0; i < 500; i++)
        put_number(cache, i);
    page_cache_set_max(cache, 32 * 1024);
    g_assert_cmpuint(page_cache_bytes(cache), <=, 32 * 1024);
    g_assert_cmpuint(page_cache_count(cache), >, 0);
    page_cache_set_max(cache, 0);
    g_assert_cmpuint(page_cache_count(cache), ==, 0);
    put_number(cache, 1);
    g_assert_cmpuint(page_cache_count(cache), ==, 0);
    page_cache_set_max(cache, 1 << 20);
    put_number(cache, 1);
    g_assert_nonnull(find_number(cache, 1));
    page_cache_clear(cache);
    g_assert_cmpuint(page_cache_bytes(cache), ==, 0);
    g_assert_null(find_number(cache, 1));
}

/* Random operations, compared with a GHashTable; the bound is out of reach. */
static void test_property(void)
{
    g_autoptr(PageCache) cache = page_cache_new(64 * 1024 * 1024);
    g_autoptr(GHashTable) model = g_hash_table_new(NULL, NULL);
    for (guint run = 0; run < 30000; run++) {
        guint number = (guint)g_test_rand_int_range(1, 600);
        char key[16];
        g_snprintf(key, sizeof key, "/%u", number);
        switch (g_test_rand_int_range(0, 3)) {
        case 0:
            put_number(cache, number);
            g_hash_table_add(model, GUINT_TO_POINTER(number));
            break;
        case 1:
            page_cache_remove(cache, key, strlen(key));
            g_hash_table_remove(model, GUINT_TO_POINTER(number));
            break;
        default: {
            PageCacheEntry *found = page_cache_find(cache, key, strlen(key));
            g_assert_cmpint(found != NULL, ==, g_hash_table_contains(model, GUINT_TO_POINTER(number)));
            g_assert_true(found == NULL || (found->serial == number && body_is(found, key)));
            break;
        }
        }
        g_assert_cmpuint(page_cache_count(cache), ==, g_hash_table_size(model));
    }
    for (guint number = 1; number < 600; number++)
        g_assert_cmpint(find_number(cache, number) != NULL, ==,
                        g_hash_table_contains(model, GUINT_TO_POINTER(number)));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/broker/page-cache/put-find-remove", test_put_find_remove);
    g_test_add_func("/broker/page-cache/keys-with-nul", test_keys_with_nul);
    g_test_add_func("/broker/page-cache/too-large", test_too_large);
    g_test_add_func("/broker/page-cache/bound", test_bound);
    g_test_add_func("/broker/page-cache/used-survives", test_used_survives);
    g_test_add_func("/broker/page-cache/set-max", test_set_max);
    g_test_add_func("/broker/page-cache/property", test_property);
    return g_test_run();
}
