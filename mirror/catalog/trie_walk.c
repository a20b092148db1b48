/* SPDX-License-Identifier: MIT
 *
 * A place is a prefix at which both sides differ. Places wait on a stack, so that few of them wait at a time
 * however much differs. A batch of them is taken from its top; what is not known of them yet is asked for;
 * then each place is either reported (both sides are buckets) or replaced by those of its 16 children that
 * differ. A bucket facing an inner node is taken apart here, without asking again.
 */
#include "mirror/catalog/trie_walk.h"

#include <string.h>

#include "schema/limits.h"

/* One side of a place. */
typedef struct {
    guint64 count;               /* promised */
    guint8 digest[SHA256_BYTES]; /* promised; of no importance without items */
    gboolean known;              /* `view` is there */
    DigestView view;
} Half;

typedef struct {
    char prefix[DIGEST_PREFIX_MAX + 1];
    Half halves[2];
} Place;

typedef struct {
    const TrieSource *sources[2];
    GQueue queue; /* a stack of Place *, owned */
    DigestDiffFunc func;
    gpointer user;
    TrieWalkReport *report;
} Walk;

static void place_free(gpointer data)
{
    Place *place = data;
    digest_view_clear(&place->halves[0].view);
    digest_view_clear(&place->halves[1].view);
    g_free(place);
}

/* --- Asking --- */

static gboolean check_view(const Half *half, const DigestView *view, const char *prefix, GError **error)
{
    if (view->count == half->count && memcmp(view->digest, half->digest, SHA256_BYTES) == 0)
        return TRUE;
    g_set_error(
        error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
        "digest of '%s' is not the one that was promised: the catalog has changed, or the broker lies",
        prefix);
    return FALSE;
}

/* Takes the views over into the halves that asked for them. */
static gboolean take_views(Place *const *asked, guint count, guint side, DigestView *views, GError **error)
{
    for (guint i = 0; i < count; i++) {
        Half *half = &asked[i]->halves[side];
        if (!check_view(half, &views[i], asked[i]->prefix, error))
            return FALSE;
        half->view = views[i];
        half->known = TRUE;
        views[i].items = NULL;
    }
    return TRUE;
}

/* Completes one side of a batch. */
static gboolean ask(Walk *walk, GPtrArray *batch, guint side, GError **error)
{
    const char *prefixes[LIMIT_DIGEST_PREFIXES];
    Place *asked[LIMIT_DIGEST_PREFIXES];
    guint count = 0;
    for (guint i = 0; i < batch->len; i++) {
        Place *place = g_ptr_array_index(batch, i);
        if (place->halves[side].known)
            continue;
        prefixes[count] = place->prefix;
        asked[count++] = place;
    }
    if (count == 0)
        return TRUE;
    if (++walk->report->requests[side] > LIMIT_DIGEST_REQUESTS) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d requests for digests",
                    LIMIT_DIGEST_REQUESTS);
        return FALSE;
    }
    const TrieSource *source = walk->sources[side];
    g_autofree DigestView *views = g_new0(DigestView, count);
    gboolean taken = source->views(source->user, prefixes, count, views, error) &&
                     take_views(asked, count, side, views, error);
    for (guint i = 0; i < count; i++)
        digest_view_clear(&views[i]);
    return taken;
}

/* --- Comparing --- */

/* What a known side says about its child `nibble`, whose prefix is `prefix`. */
static void init_child(Half *child, const Half *parent, guint nibble, const char *prefix)
{
    const DigestView *view = &parent->view;
    *child = (Half){0};
    if (view->items != NULL) {
        digest_view_init_items(&child->view, (CatalogItem *const *)view->items->pdata, view->items->len,
                               prefix);
        child->known = TRUE;
        child->count = child->view.count;
        if (child->count > 0)
            memcpy(child->digest, child->view.digest, SHA256_BYTES);
        return;
    }
    child->count = view->children[nibble].count;
    memcpy(child->digest, view->children[nibble].digest, SHA256_BYTES);
    if (child->count == 0) {
        digest_view_init_items(&child->view, NULL, 0, prefix);
        child->known = TRUE;
    }
}

static void descend(Walk *walk, const Place *place)
{
    static const char digits[] = "0123456789abcdef";
    gsize depth = strlen(place->prefix);
    for (guint i = 0; i < DIGEST_FAN_OUT; i++) {
        Place *child = g_new0(Place, 1);
        memcpy(child->prefix, place->prefix, depth);
        child->prefix[depth] = digits[i];
        init_child(&child->halves[0], &place->halves[0], i, child->prefix);
        init_child(&child->halves[1], &place->halves[1], i, child->prefix);
        if (memcmp(child->halves[0].digest, child->halves[1].digest, SHA256_BYTES) == 0)
            place_free(child);
        else
            g_queue_push_tail(&walk->queue, child);
    }
}

static void report_difference(CatalogItem *a, CatalogItem *b, gpointer user)
{
    Walk *walk = user;
    walk->report->differences++;
    walk->func(a, b, walk->user);
}

static void compare(Walk *walk, const Place *place)
{
    const GPtrArray *a = place->halves[0].view.items, *b = place->halves[1].view.items;
    if (a == NULL || b == NULL)
        descend(walk, place);
    else
        digest_diff_items((CatalogItem *const *)a->pdata, a->len, (CatalogItem *const *)b->pdata, b->len,
                          report_difference, walk);
}

/* --- The walk --- */

static GPtrArray *take_batch(Walk *walk)
{
    GPtrArray *batch = g_ptr_array_new_with_free_func(place_free);
    while (batch->len < LIMIT_DIGEST_PREFIXES && !g_queue_is_empty(&walk->queue))
        g_ptr_array_add(batch, g_queue_pop_tail(&walk->queue));
    return batch;
}

static gboolean run(Walk *walk, GError **error)
{
    while (!g_queue_is_empty(&walk->queue)) {
        g_autoptr(GPtrArray) batch = take_batch(walk);
        if (!ask(walk, batch, 0, error) || !ask(walk, batch, 1, error))
            return FALSE;
        for (guint i = 0; i < batch->len; i++)
            compare(walk, g_ptr_array_index(batch, i));
        if (walk->report->differences > LIMIT_CATALOG_ITEMS) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d differences",
                        LIMIT_CATALOG_ITEMS);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean trie_walk(const TrieSource *a, const TrieSource *b, DigestDiffFunc func, gpointer user,
                   TrieWalkReport *report, GError **error)
{
    Walk walk = {.sources = {a, b}, .queue = G_QUEUE_INIT, .func = func, .user = user, .report = report};
    *report = (TrieWalkReport){0};
    if (memcmp(a->root, b->root, SHA256_BYTES) == 0)
        return TRUE;
    Place *whole = g_new0(Place, 1);
    for (guint side = 0; side < 2; side++) {
        whole->halves[side].count = walk.sources[side]->count;
        memcpy(whole->halves[side].digest, walk.sources[side]->root, SHA256_BYTES);
    }
    g_queue_push_tail(&walk.queue, whole);
    gboolean done = run(&walk, error);
    g_queue_clear_full(&walk.queue, place_free);
    return done;
}
