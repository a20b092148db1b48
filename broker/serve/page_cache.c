/* SPDX-License-Identifier: MIT
 *
 * An open-addressing table of pointers with linear probing, at most half full; removal moves later entries of
 * the run back, so that there are no tombstones. The same entries stand in a ring, which the clock's hand
 * walks. Hashes are seeded, because some keys are a stranger's text.
 */
#include "broker/serve/page_cache.h"

#include <string.h>

#define SLOTS_MIN 64u
/* What an entry costs beside its resource and key: the structures and the allocator. */
#define ENTRY_OVERHEAD 128

typedef struct Slot Slot;
struct Slot {
    PageCacheEntry entry; /* first, so that an entry is its slot */
    guint64 hash;
    gsize cost;
    Slot *next, *previous; /* the ring */
    gboolean used;         /* since the hand came by */
    gsize key_len;
    char key[];
};

struct PageCache {
    guint64 seed;
    Slot **table;
    guint size; /* slots of the table; a power of two */
    guint count;
    gsize bytes;
    gsize bytes_max;
    Slot *hand; /* NULL when empty */
};

/* Eight bytes at a time through a 128-bit product, the two halves folded. */
static guint64 mix(guint64 a, guint64 b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (guint64)product ^ (guint64)(product >> 64);
}

static guint64 hash_key(const PageCache *cache, const char *key, gsize len)
{
    guint64 hash = cache->seed ^ (len * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15));
    for (; len >= sizeof(guint64); key += sizeof(guint64), len -= sizeof(guint64)) {
        guint64 word;
        memcpy(&word, key, sizeof word);
        hash = mix(hash ^ word, G_GUINT64_CONSTANT(0xd6e8feb86659fd93));
    }
    guint64 word = 0;
    memcpy(&word, key, len);
    return mix(hash ^ word, G_GUINT64_CONSTANT(0xa0761d6478bd642f));
}

PageCache *page_cache_new(gsize bytes_max)
{
    PageCache *cache = g_new0(PageCache, 1);
    cache->seed = ((guint64)g_random_int() << 32) | g_random_int();
    cache->size = SLOTS_MIN;
    cache->table = g_new0(Slot *, cache->size);
    cache->bytes_max = bytes_max;
    return cache;
}

void page_cache_free(PageCache *cache)
{
    if (cache == NULL)
        return;
    page_cache_clear(cache);
    g_free(cache->table);
    g_free(cache);
}

/* Where the key stands, or the free place where it would. */
static guint find_index(const PageCache *cache, guint64 hash, const char *key, gsize len)
{
    guint mask = cache->size - 1;
    guint index = (guint)hash & mask;
    for (Slot *slot; (slot = cache->table[index]) != NULL; index = (index + 1) & mask) {
        if (slot->hash == hash && slot->key_len == len && memcmp(slot->key, key, len) == 0)
            break;
    }
    return index;
}

PageCacheEntry *page_cache_find(PageCache *cache, const char *key, gsize len)
{
    Slot *slot = cache->table[find_index(cache, hash_key(cache, key, len), key, len)];
    if (slot == NULL)
        return NULL;
    slot->used = TRUE;
    return &slot->entry;
}

static void ring_insert(PageCache *cache, Slot *slot)
{
    if (cache->hand == NULL) {
        slot->next = slot->previous = slot;
        cache->hand = slot;
        return;
    }
    /* Just behind the hand: it is the last to be looked at. */
    slot->next = cache->hand;
    slot->previous = cache->hand->previous;
    slot->previous->next = slot;
    cache->hand->previous = slot;
}

static void ring_remove(PageCache *cache, Slot *slot)
{
    if (cache->hand == slot)
        cache->hand = slot->next != slot ? slot->next : NULL;
    slot->previous->next = slot->next;
    slot->next->previous = slot->previous;
}

/* Closes the gap at `index`: an entry further on in the run moves back when its home is not behind the gap.
 */
static void table_close_gap(PageCache *cache, guint gap)
{
    guint mask = cache->size - 1;
    cache->table[gap] = NULL;
    for (guint index = (gap + 1) & mask; cache->table[index] != NULL; index = (index + 1) & mask) {
        guint home = (guint)cache->table[index]->hash & mask;
        if (((index - home) & mask) >= ((index - gap) & mask)) {
            cache->table[gap] = cache->table[index];
            cache->table[index] = NULL;
            gap = index;
        }
    }
}

static void remove_at(PageCache *cache, guint index)
{
    Slot *slot = cache->table[index];
    table_close_gap(cache, index);
    ring_remove(cache, slot);
    cache->count--;
    cache->bytes -= slot->cost;
    resource_free(slot->entry.resource);
    g_free(slot);
}

void page_cache_remove(PageCache *cache, const char *key, gsize len)
{
    guint index = find_index(cache, hash_key(cache, key, len), key, len);
    if (cache->table[index] != NULL)
        remove_at(cache, index);
}

void page_cache_clear(PageCache *cache)
{
    while (cache->hand != NULL)
        remove_at(cache, find_index(cache, cache->hand->hash, cache->hand->key, cache->hand->key_len));
}

/* Terminates: every mark it meets it clears. */
static void evict_to(PageCache *cache, gsize bytes_max)
{
    while (cache->bytes > bytes_max && cache->hand != NULL) {
        Slot *slot = cache->hand;
        if (slot->used) {
            slot->used = FALSE;
            cache->hand = slot->next;
            continue;
        }
        remove_at(cache, find_index(cache, slot->hash, slot->key, slot->key_len));
    }
}

static void table_grow(PageCache *cache)
{
    guint old_size = cache->size;
    g_autofree Slot **old = cache->table;
    cache->size = old_size * 2;
    cache->table = g_new0(Slot *, cache->size);
    for (guint i = 0; i < old_size; i++) {
        if (old[i] != NULL)
            cache->table[find_index(cache, old[i]->hash, old[i]->key, old[i]->key_len)] = old[i];
    }
}

gboolean page_cache_admits(const PageCache *cache, gsize cost)
{
    return cost <= cache->bytes_max / 8;
}

PageCacheEntry *page_cache_put(PageCache *cache, const char *key, gsize len, const PageCacheEntry *entry)
{
    page_cache_remove(cache, key, len);
    gsize cost = resource_cost(entry->resource) + len + ENTRY_OVERHEAD;
    if (!page_cache_admits(cache, cost)) {
        resource_free(entry->resource);
        return NULL;
    }
    evict_to(cache, cache->bytes_max - cost);
    if (2 * (cache->count + 1) > cache->size)
        table_grow(cache);
    Slot *slot = g_malloc0(sizeof *slot + len);
    slot->entry = *entry;
    slot->hash = hash_key(cache, key, len);
    slot->cost = cost;
    slot->key_len = len;
    memcpy(slot->key, key, len);
    cache->table[find_index(cache, slot->hash, key, len)] = slot;
    ring_insert(cache, slot);
    cache->count++;
    cache->bytes += cost;
    return &slot->entry;
}

void page_cache_set_max(PageCache *cache, gsize bytes_max)
{
    cache->bytes_max = bytes_max;
    evict_to(cache, bytes_max);
}

gsize page_cache_bytes(const PageCache *cache)
{
    return cache->bytes;
}

guint page_cache_count(const PageCache *cache)
{
    return cache->count;
}
