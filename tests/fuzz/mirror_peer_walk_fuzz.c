/* SPDX-License-Identifier: MIT
 *
 * A peer that answers every question about its digests with the next line of the input, whatever was asked.
 * The first line is what its checkpoint has signed: if that is a view, the walk begins with its digest. The
 * comparison comes to an end, and when it succeeds, the known catalog with the differences has that digest.
 */
#include "mirror/catalog/trie_walk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct {
    const char *at, *end;
    GPtrArray *upserts, *removals;
} Peer;

static const char *next_line(Peer *peer, gsize *ret_len)
{
    const char *line = peer->at;
    const char *newline = memchr(line, '\n', (gsize)(peer->end - line));
    *ret_len = (gsize)((newline != NULL ? newline : peer->end) - line);
    peer->at = newline != NULL ? newline + 1 : peer->end;
    return line;
}

static gboolean peer_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                           GError **error)
{
    gsize len;
    const char *line = next_line(user, &len);
    return digest_views_parse(line, len, prefixes, count, ret_views, error);
}

static gboolean known_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                            GError **error)
{
    (void)error;
    for (guint i = 0; i < count; i++)
        digest_view_init(&ret_views[i], user, prefixes[i]);
    return TRUE;
}

static DigestTrie *known_catalog(void)
{
    static const guint8 digest[SHA256_BYTES] = {1};
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    for (guint i = 0; i < 40; i++) {
        g_autofree char *path = g_strdup_printf("pack-%u", i);
        CatalogItemInfo info = {.path = path,
                                .version = "1.0.0",
                                .publisher = "",
                                .published_at = "",
                                .digest = digest,
                                .content_sha256 = digest};
        g_ptr_array_add(items, catalog_item_new(&info, NULL));
    }
    return digest_trie_with_changes(empty, items, NULL);
}

static void take(CatalogItem *known, CatalogItem *there, gpointer user)
{
    Peer *peer = user;
    if (there != NULL)
        g_ptr_array_add(peer->upserts, catalog_item_ref(there));
    else
        g_ptr_array_add(peer->removals, g_strdup(known->path));
}

static void walk(Peer *peer, DigestTrie *known, const DigestView *promised)
{
    TrieSource here = {.count = digest_trie_count(known), .views = known_views, .user = known};
    TrieSource there = {.count = promised->count, .views = peer_views, .user = peer};
    TrieWalkReport report;
    g_autoptr(GError) error = NULL;
    memcpy(here.root, digest_trie_digest(known), SHA256_BYTES);
    memcpy(there.root, promised->digest, SHA256_BYTES);
    if (!trie_walk(&here, &there, take, peer, &report, &error)) {
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
        return;
    }
    g_autoptr(DigestTrie) after = digest_trie_with_changes(known, peer->upserts, peer->removals);
    g_assert_cmpmem(digest_trie_digest(after), SHA256_BYTES, promised->digest, SHA256_BYTES);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const char *const whole[] = {""};
    g_auto(DigestView) promised = {0};
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(g_free);
    Peer peer = {(const char *)data, (const char *)data + size, upserts, removals};
    gsize len;
    signing_init();
    const char *line = next_line(&peer, &len);
    if (!digest_views_parse(line, len, whole, 1, &promised, NULL))
        return 0;
    g_autoptr(DigestTrie) known = known_catalog();
    walk(&peer, known, &promised);
    return 0;
}
