/* SPDX-License-Identifier: MIT
 *
 * catalog_compare ITEMS DIFFERENCES: two synthetic catalogs that differ in so many items, compared by their
 * digest tries as `kontor diff` does it, with answers written, compressed and read as between two brokers,
 * but without a network. Prints one JSON object: requests, bytes of request targets and of answers, and
 * processor time of building, of changing and of comparing (both sides together).
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/serve/gzip.h"
#include "mirror/catalog/trie_walk.h"
#include "schema/json_writer.h"

/* The side that is asked over HTTP. */
typedef struct {
    DigestTrie *trie;
    gsize target_bytes, answer_bytes, plain_bytes;
} Remote;

static CatalogItem *synthetic_item(guint number, guint edition)
{
    guint8 digest[SHA256_BYTES], content[SHA256_BYTES];
    g_autofree char *path = g_strdup_printf("subject-%u/pack-%u", number % 97, number);
    g_autofree char *version = g_strdup_printf("1.%u.%u", number % 13, edition);
    g_autofree char *published = g_strdup_printf("2026-%02u-%02uT%02u:%02u:%02uZ", number % 12 + 1,
                                                 number % 28 + 1, number % 24, number % 60, number % 59);
    g_autofree char *seed = g_strdup_printf("%u %u", number, edition);
    sha256(seed, strlen(seed), digest);
    sha256(digest, sizeof digest, content);
    CatalogItemInfo info = {.path = path,
                            .version = version,
                            .publisher = number % 3 == 0 ? "abcdefghijklmnop" : "bcdefghijklmnopq",
                            .published_at = published,
                            .digest = digest,
                            .content_sha256 = content,
                            .pages = number % 200,
                            .bytes = (guint64)number % 1000 * 1000};
    return catalog_item_new(&info, NULL);
}

/* --- Sources --- */

static gboolean local_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                            GError **error G_GNUC_UNUSED)
{
    for (guint i = 0; i < count; i++)
        digest_view_init(&ret_views[i], user, prefixes[i]);
    return TRUE;
}

static GBytes *answer(const Remote *remote, const char *const *prefixes, guint count)
{
    GString *json = g_string_new(NULL);
    g_auto(JsonWriter) writer;
    json_writer_init(&writer, json, JSON_STYLE_PLAIN);
    if (count > 1) {
        json_write_object_begin(&writer);
        json_write_key(&writer, "nodes");
        json_write_array_begin(&writer);
    }
    for (guint i = 0; i < count; i++) {
        g_auto(DigestView) view;
        digest_view_init(&view, remote->trie, prefixes[i]);
        digest_view_write(&view, &writer);
    }
    if (count > 1) {
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return g_string_free_to_bytes(json);
}

static gboolean remote_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                             GError **error)
{
    Remote *remote = user;
    g_autoptr(GBytes) plain = answer(remote, prefixes, count);
    g_autoptr(GBytes) packed = gzip_compress_hashes(plain);
    for (guint i = 0; i < count; i++)
        remote->target_bytes += strlen(prefixes[i]) + 1;
    remote->plain_bytes += g_bytes_get_size(plain);
    remote->answer_bytes += g_bytes_get_size(packed != NULL ? packed : plain);
    return digest_views_parse(g_bytes_get_data(plain, NULL), g_bytes_get_size(plain), prefixes, count,
                              ret_views, error);
}

static TrieSource source_of(const DigestTrie *trie)
{
    TrieSource source = {.count = digest_trie_count(trie)};
    memcpy(source.root, digest_trie_digest(trie), SHA256_BYTES);
    return source;
}

/* --- Measuring --- */

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void ignore_difference(CatalogItem *a G_GNUC_UNUSED, CatalogItem *b G_GNUC_UNUSED,
                              gpointer user G_GNUC_UNUSED)
{
}

static GPtrArray *make_items(guint items, guint stride, guint edition)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    for (guint i = 0; i < items; i += stride)
        g_ptr_array_add(list, synthetic_item(i, edition));
    return list;
}

static gboolean compare(guint items, guint differences, GError **error)
{
    TrieWalkReport report;
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(GPtrArray) all = make_items(items, 1, 0);
    g_autoptr(GPtrArray) changed =
        differences > 0 ? make_items(items, items / differences, 1) : make_items(0, 1, 1);
    g_ptr_array_set_size(changed, (gint)differences);
    double start_ms = cpu_ms();
    g_autoptr(DigestTrie) here = digest_trie_with_changes(empty, all, NULL);
    double built_ms = cpu_ms();
    g_autoptr(DigestTrie) there = digest_trie_with_changes(here, changed, NULL);
    double changed_ms = cpu_ms();
    Remote remote = {.trie = there};
    TrieSource a = source_of(here), b = source_of(there);
    a.views = local_views;
    a.user = here;
    b.views = remote_views;
    b.user = &remote;
    if (!trie_walk(&a, &b, ignore_difference, NULL, &report, error))
        return FALSE;
    double walked_ms = cpu_ms();
    g_assert(report.differences == differences);
    printf("{\"items\":%u,\"differences\":%u,\"requests\":%u,\"target_bytes\":%" G_GSIZE_FORMAT
           ",\"answer_bytes\":%" G_GSIZE_FORMAT ",\"plain_bytes\":%" G_GSIZE_FORMAT
           ",\"build_ms\":%.1f,\"change_ms\":%.2f,\"compare_ms\":%.2f}\n",
           items, differences, report.requests[1], remote.target_bytes, remote.answer_bytes,
           remote.plain_bytes, built_ms - start_ms, changed_ms - built_ms, walked_ms - changed_ms);
    return TRUE;
}

int main(int argc, char **argv)
{
    guint64 items = 0, differences = 0;
    g_autoptr(GError) error = NULL;
    signing_init();
    if (argc != 3 || !g_ascii_string_to_unsigned(argv[1], 10, 1, 10000000, &items, NULL) ||
        !g_ascii_string_to_unsigned(argv[2], 10, 0, items, &differences, NULL)) {
        fputs("usage: catalog_compare ITEMS DIFFERENCES\n", stderr);
        return 2;
    }
    if (!compare((guint)items, (guint)differences, &error)) {
        fprintf(stderr, "catalog_compare: %s\n", error->message);
        return 1;
    }
    return 0;
}
