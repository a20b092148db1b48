/* SPDX-License-Identifier: MIT
 *
 * Changes are sorted by key, so that those below one node stand together. One recursive descent then gives
 * each child its slice of them: a child without changes is shared, a node whose children all came back as
 * they were is shared as well, and a node that shrank to a bucket's size gathers its items. The depth of the
 * recursion is bounded by the digits of a key; in practice it is log₁₆ of the items.
 */
#include "mirror/catalog/digest_trie.h"

#include <string.h>

struct DigestTrie {
    gatomicrefcount refs;
    guint count; /* items here and below */
    gboolean inner;
    guint8 digest[SHA256_BYTES];
    /* Of a bucket: `count` CatalogItem *; of an inner node: DIGEST_FAN_OUT DigestTrie *, NULL where empty. */
    gpointer slots[];
};

/* One path that is to be set or removed. */
typedef struct {
    guint8 key[SHA256_BYTES];
    CatalogItem *item; /* borrowed; NULL: remove */
    guint order;       /* later ones win */
} Change;

/* --- Hashes and digits --- */

void digest_hash_items(CatalogItem *const *items, guint count, guint8 ret[SHA256_BYTES])
{
    guint8 bytes[1 + DIGEST_BUCKET_MAX * 2 * SHA256_BYTES] = {0x00};
    guint8 *end = bytes + 1;
    g_assert(count <= DIGEST_BUCKET_MAX);
    for (guint i = 0; i < count; i++) {
        memcpy(end, items[i]->key, SHA256_BYTES);
        memcpy(end + SHA256_BYTES, items[i]->leaf, SHA256_BYTES);
        end += 2 * SHA256_BYTES;
    }
    sha256(bytes, (gsize)(end - bytes), ret);
}

void digest_hash_children(const guint8 (*children)[SHA256_BYTES], guint8 ret[SHA256_BYTES])
{
    guint8 bytes[1 + DIGEST_FAN_OUT * SHA256_BYTES] = {0x01};
    memcpy(bytes + 1, children, DIGEST_FAN_OUT * SHA256_BYTES);
    sha256(bytes, sizeof bytes, ret);
}

guint digest_key_nibble(const guint8 key[SHA256_BYTES], guint depth)
{
    g_assert(depth < DIGEST_PREFIX_MAX);
    return depth % 2 == 0 ? key[depth / 2] >> 4 : key[depth / 2] & 0x0f;
}

gboolean digest_key_has_prefix(const guint8 key[SHA256_BYTES], const char *prefix)
{
    for (guint i = 0; prefix[i] != '\0'; i++) {
        if (digest_key_nibble(key, i) != (guint)g_ascii_xdigit_value(prefix[i]))
            return FALSE;
    }
    return TRUE;
}

gboolean digest_prefix_is_valid(const char *prefix)
{
    gsize len = strspn(prefix, "0123456789abcdef");
    return prefix[len] == '\0' && len <= DIGEST_PREFIX_MAX;
}

/* --- Nodes --- */

DigestTrie *digest_trie_ref(DigestTrie *trie)
{
    g_atomic_int_inc(&trie->refs);
    return trie;
}

void digest_trie_unref(DigestTrie *trie)
{
    if (trie == NULL || !g_atomic_int_dec_and_test(&trie->refs))
        return;
    for (guint i = 0; trie->inner && i < DIGEST_FAN_OUT; i++)
        digest_trie_unref(trie->slots[i]);
    for (guint i = 0; !trie->inner && i < trie->count; i++)
        catalog_item_unref(trie->slots[i]);
    g_free(trie);
}

/* A node that takes its slots over. */
static DigestTrie *node_new(gboolean inner, guint count, const gpointer *slots)
{
    gsize slots_bytes = (inner ? DIGEST_FAN_OUT : count) * sizeof(gpointer);
    DigestTrie *node = g_malloc(sizeof *node + slots_bytes);
    g_atomic_ref_count_init(&node->refs);
    node->count = count;
    node->inner = inner;
    if (slots_bytes > 0)
        memcpy(node->slots, slots, slots_bytes);
    return node;
}

/* A bucket with references to `items`. */
static DigestTrie *bucket_new(CatalogItem *const *items, guint count)
{
    gpointer slots[DIGEST_BUCKET_MAX];
    for (guint i = 0; i < count; i++)
        slots[i] = catalog_item_ref(items[i]);
    DigestTrie *node = node_new(/* inner= */ FALSE, count, slots);
    digest_hash_items(items, count, node->digest);
    return node;
}

/* Takes the children over. */
static DigestTrie *inner_new(DigestTrie *const children[DIGEST_FAN_OUT], guint count)
{
    guint8 digests[DIGEST_FAN_OUT][SHA256_BYTES] = {{0}};
    gpointer slots[DIGEST_FAN_OUT];
    for (guint i = 0; i < DIGEST_FAN_OUT; i++) {
        slots[i] = children[i];
        if (children[i] != NULL)
            memcpy(digests[i], children[i]->digest, SHA256_BYTES);
    }
    DigestTrie *node = node_new(/* inner= */ TRUE, count, slots);
    digest_hash_children(digests, node->digest);
    return node;
}

DigestTrie *digest_trie_new_empty(void)
{
    return bucket_new(NULL, 0);
}

/* Borrows the items below a node, in the order of their keys. */
static void collect(const DigestTrie *node, GPtrArray *items)
{
    if (node == NULL)
        return;
    for (guint i = 0; node->inner && i < DIGEST_FAN_OUT; i++)
        collect(node->slots[i], items);
    for (guint i = 0; !node->inner && i < node->count; i++)
        g_ptr_array_add(items, node->slots[i]);
}

/* The node for `count` items in the order of their keys that share their first `depth` digits; NULL for none.
 */
static DigestTrie *build(CatalogItem *const *items, guint count, guint depth)
{
    if (count == 0)
        return NULL;
    if (count <= DIGEST_BUCKET_MAX)
        return bucket_new(items, count);
    DigestTrie *children[DIGEST_FAN_OUT];
    guint from = 0;
    for (guint i = 0; i < DIGEST_FAN_OUT; i++) {
        guint to = from;
        while (to < count && digest_key_nibble(items[to]->key, depth) == i)
            to++;
        children[i] = build(items + from, to - from, depth + 1);
        from = to;
    }
    return inner_new(children, count);
}

/* --- Changing --- */

static gint compare_changes(gconstpointer a, gconstpointer b)
{
    const Change *first = a, *second = b;
    int order = memcmp(first->key, second->key, SHA256_BYTES);
    return order != 0 ? order : (first->order > second->order) - (first->order < second->order);
}

/* Sorted by key, one per key. */
static GArray *sorted_changes(const GPtrArray *upserts, const GPtrArray *removals)
{
    GArray *changes = g_array_new(FALSE, FALSE, sizeof(Change));
    for (guint i = 0; removals != NULL && i < removals->len; i++) {
        Change change = {.item = NULL, .order = changes->len};
        catalog_item_key(g_ptr_array_index(removals, i), change.key);
        g_array_append_val(changes, change);
    }
    for (guint i = 0; upserts != NULL && i < upserts->len; i++) {
        Change change = {.item = g_ptr_array_index(upserts, i), .order = changes->len};
        memcpy(change.key, change.item->key, SHA256_BYTES);
        g_array_append_val(changes, change);
    }
    g_array_sort(changes, compare_changes);
    guint kept = 0;
    for (guint i = 0; i < changes->len; i++) {
        const Change *change = &g_array_index(changes, Change, i);
        gboolean last = i + 1 == changes->len ||
                        memcmp(change->key, g_array_index(changes, Change, i + 1).key, SHA256_BYTES) != 0;
        if (last)
            g_array_index(changes, Change, kept++) = *change;
    }
    g_array_set_size(changes, kept);
    return changes;
}

/* The items of a bucket with the changes applied; TRUE when that is another set. */
static gboolean merge(const DigestTrie *bucket, const Change *changes, guint change_count,
                      GPtrArray *ret_items)
{
    guint old_count = bucket != NULL ? bucket->count : 0;
    gboolean differs = FALSE;
    guint i = 0, k = 0;
    while (i < old_count || k < change_count) {
        CatalogItem *old = i < old_count ? bucket->slots[i] : NULL;
        int order = old == NULL ? 1 : k == change_count ? -1 : memcmp(old->key, changes[k].key, SHA256_BYTES);
        CatalogItem *item = order < 0 ? old : changes[k].item;
        gboolean same = order == 0 && item != NULL && memcmp(old->leaf, item->leaf, SHA256_BYTES) == 0;
        if (item != NULL)
            g_ptr_array_add(ret_items, same ? old : item);
        differs = differs || (order > 0 ? item != NULL : order == 0 && !same);
        i += order <= 0;
        k += order >= 0;
    }
    return differs;
}

static DigestTrie *apply_to_bucket(DigestTrie *bucket, const Change *changes, guint count, guint depth)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new();
    if (!merge(bucket, changes, count, items))
        return bucket != NULL ? digest_trie_ref(bucket) : NULL;
    return build((CatalogItem *const *)items->pdata, items->len, depth);
}

/* Takes the children over and gives the node that has them. */
static DigestTrie *join(DigestTrie *const children[DIGEST_FAN_OUT])
{
    guint count = 0;
    for (guint i = 0; i < DIGEST_FAN_OUT; i++)
        count += children[i] != NULL ? children[i]->count : 0;
    if (count > DIGEST_BUCKET_MAX)
        return inner_new(children, count);
    g_autoptr(GPtrArray) items = g_ptr_array_new();
    for (guint i = 0; i < DIGEST_FAN_OUT; i++)
        collect(children[i], items);
    DigestTrie *bucket = build((CatalogItem *const *)items->pdata, items->len, 0);
    for (guint i = 0; i < DIGEST_FAN_OUT; i++)
        digest_trie_unref(children[i]);
    return bucket;
}

/* A new reference to `node` with the changes applied; NULL when nothing is left. */
static DigestTrie *apply(DigestTrie *node, const Change *changes, guint count, guint depth)
{
    if (count == 0)
        return node != NULL ? digest_trie_ref(node) : NULL;
    if (node == NULL || !node->inner)
        return apply_to_bucket(node, changes, count, depth);
    DigestTrie *children[DIGEST_FAN_OUT];
    gboolean differs = FALSE;
    guint from = 0;
    for (guint i = 0; i < DIGEST_FAN_OUT; i++) {
        guint to = from;
        while (to < count && digest_key_nibble(changes[to].key, depth) == i)
            to++;
        children[i] = apply(node->slots[i], changes + from, to - from, depth + 1);
        differs = differs || children[i] != node->slots[i];
        from = to;
    }
    if (differs)
        return join(children);
    for (guint i = 0; i < DIGEST_FAN_OUT; i++)
        digest_trie_unref(children[i]);
    return digest_trie_ref(node);
}

DigestTrie *digest_trie_with_changes(DigestTrie *base, const GPtrArray *upserts, const GPtrArray *removals)
{
    g_autoptr(GArray) changes = sorted_changes(upserts, removals);
    DigestTrie *trie =
        apply(base, (const Change *)(gconstpointer)changes->data, changes->len, /* depth= */ 0);
    if (trie == NULL && base->count == 0)
        return digest_trie_ref(base);
    return trie != NULL ? trie : digest_trie_new_empty();
}

/* --- Queries --- */

guint digest_trie_count(const DigestTrie *trie)
{
    return trie->count;
}

const guint8 *digest_trie_digest(const DigestTrie *trie)
{
    return trie->digest;
}

gboolean digest_trie_is_inner(const DigestTrie *trie)
{
    return trie->inner;
}

const DigestTrie *digest_trie_child(const DigestTrie *trie, guint nibble)
{
    g_assert(trie->inner && nibble < DIGEST_FAN_OUT);
    return trie->slots[nibble];
}

CatalogItem *const *digest_trie_items(const DigestTrie *trie)
{
    g_assert(!trie->inner);
    return (CatalogItem *const *)trie->slots;
}

CatalogItem *digest_trie_find(const DigestTrie *trie, const guint8 key[SHA256_BYTES])
{
    for (guint depth = 0; trie != NULL && trie->inner; depth++)
        trie = trie->slots[digest_key_nibble(key, depth)];
    for (guint i = 0; trie != NULL && i < trie->count; i++) {
        CatalogItem *item = trie->slots[i];
        if (memcmp(item->key, key, SHA256_BYTES) == 0)
            return item;
    }
    return NULL;
}

const DigestTrie *digest_trie_descend(const DigestTrie *trie, const char *prefix, guint *ret_depth)
{
    guint depth = 0;
    while (trie != NULL && trie->inner && prefix[depth] != '\0')
        trie = trie->slots[g_ascii_xdigit_value(prefix[depth++])];
    *ret_depth = depth;
    return trie;
}

/* --- Differences --- */

void digest_diff_items(CatalogItem *const *a, guint a_count, CatalogItem *const *b, guint b_count,
                       DigestDiffFunc func, gpointer user)
{
    guint i = 0, k = 0;
    while (i < a_count || k < b_count) {
        int order = i == a_count ? 1 : k == b_count ? -1 : catalog_item_compare(a[i], b[k]);
        CatalogItem *first = order <= 0 ? a[i++] : NULL;
        CatalogItem *second = order >= 0 ? b[k++] : NULL;
        if (order != 0 || memcmp(first->leaf, second->leaf, SHA256_BYTES) != 0)
            func(first, second, user);
    }
}

static void diff_listed(const DigestTrie *a, const DigestTrie *b, DigestDiffFunc func, gpointer user)
{
    g_autoptr(GPtrArray) first = g_ptr_array_new();
    g_autoptr(GPtrArray) second = g_ptr_array_new();
    collect(a, first);
    collect(b, second);
    digest_diff_items((CatalogItem *const *)first->pdata, first->len, (CatalogItem *const *)second->pdata,
                      second->len, func, user);
}

/* Either may be NULL. */
static void diff_nodes(const DigestTrie *a, const DigestTrie *b, DigestDiffFunc func, gpointer user)
{
    if (a == b || (a != NULL && b != NULL && memcmp(a->digest, b->digest, SHA256_BYTES) == 0))
        return;
    if (a == NULL || b == NULL || !a->inner || !b->inner) {
        diff_listed(a, b, func, user);
        return;
    }
    for (guint i = 0; i < DIGEST_FAN_OUT; i++)
        diff_nodes(a->slots[i], b->slots[i], func, user);
}

void digest_trie_diff(const DigestTrie *a, const DigestTrie *b, DigestDiffFunc func, gpointer user)
{
    diff_nodes(a, b, func, user);
}
