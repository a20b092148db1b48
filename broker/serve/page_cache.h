/* SPDX-License-Identifier: MIT
 *
 * What one I/O thread has answered before: resources by key, bounded in bytes. It belongs to its thread and
 * takes no lock.
 *
 * Every entry remembers of which snapshot it was last known to be right (`snapshot`), and of which reading of
 * a pack it was made (`serial`, 0 when it depends on the whole catalog). A new snapshot does not empty the
 * cache: the caller looks whether the pack still has that serial and then only moves `snapshot` on.
 *
 * Eviction is CLOCK: a hit sets a mark, the hand clears marks and takes the first entry without one.
 */
#pragma once

#include "broker/serve/resource.h"

typedef struct PageCache PageCache;

typedef struct {
    Resource *resource; /* owned by the cache */
    guint64 snapshot;   /* number of the snapshot for which it was last checked */
    guint64 serial;     /* of the pack; 0: any change of the catalog makes it stale */
    gint64 expires_us;  /* monotonic; 0: never */
    guint route;        /* of the request that made it */
} PageCacheEntry;

/* --- Life cycle --- */
PageCache *page_cache_new(gsize bytes_max);
void page_cache_free(PageCache *cache); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PageCache, page_cache_free)

/* --- Operations --- */

/* The entry of this key, marked as used, or NULL. Valid until the cache is changed. */
PageCacheEntry *page_cache_find(PageCache *cache, const char *key, gsize len);
/* Puts the entry in place of one of the same key; takes over its resource. Returns the entry as it stands in
 * the cache, or NULL when it is too large to be kept (then the resource is freed): see page_cache_admits. */
PageCacheEntry *page_cache_put(PageCache *cache, const char *key, gsize len, const PageCacheEntry *entry);
/* TRUE when something of that cost would be kept: a single entry may take an eighth of the cache. */
gboolean page_cache_admits(const PageCache *cache, gsize cost);
void page_cache_remove(PageCache *cache, const char *key, gsize len);
void page_cache_clear(PageCache *cache);
/* A new bound; evicts at once what no longer fits. */
void page_cache_set_max(PageCache *cache, gsize bytes_max);

/* --- Queries --- */
gsize page_cache_bytes(const PageCache *cache);
guint page_cache_count(const PageCache *cache);
