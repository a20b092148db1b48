/* SPDX-License-Identifier: MIT
 *
 * Each address has a ring of the times of its admitted calls within the window. Addresses are spread over
 * stripes, each with its lock, a table and a queue in the order of the latest call: its head is the first
 * that may be forgotten. Only when the table is full are other stripes looked at for such heads.
 */
#include "broker/serve/rate_limit.h"

#include "broker/net/address_key.h"

#include <pthread.h>
#include <string.h>

enum { STRIPES = 16, RING_CALLS_MIN = 4 };

typedef struct {
    guint8 key[ADDRESS_KEY_BYTES];
    GList link;    /* in Stripe.by_latest */
    gint64 latest; /* time of the latest admitted call, as in the ring */
    gint64 *ring;
    guint capacity;
    guint first; /* index of the oldest call */
    guint count;
} Caller;

typedef struct {
    pthread_mutex_t lock;
    GHashTable *callers;
    GQueue by_latest;
} Stripe;

struct RateLimit {
    guint per_window; /* atomic */
    gint64 window_us;
    guint addresses_max;
    guint addresses; /* atomic; callers in all stripes */
    Stripe stripes[STRIPES];
};

static void caller_free(gpointer data)
{
    Caller *caller = data;
    g_free(caller->ring);
    g_free(caller);
}

RateLimit *rate_limit_new(guint per_window, guint window_seconds, guint addresses_max)
{
    g_assert(window_seconds > 0 && addresses_max > 0);
    RateLimit *limit = g_new0(RateLimit, 1);
    limit->per_window = per_window;
    limit->window_us = (gint64)window_seconds * G_USEC_PER_SEC;
    limit->addresses_max = addresses_max;
    for (guint i = 0; i < STRIPES; i++) {
        Stripe *stripe = &limit->stripes[i];
        pthread_mutex_init(&stripe->lock, NULL);
        g_queue_init(&stripe->by_latest);
        stripe->callers = g_hash_table_new_full(address_key_hash, address_key_equal, NULL, caller_free);
    }
    return limit;
}

void rate_limit_free(RateLimit *limit)
{
    if (limit == NULL)
        return;
    for (guint i = 0; i < STRIPES; i++) {
        g_hash_table_destroy(limit->stripes[i].callers);
        pthread_mutex_destroy(&limit->stripes[i].lock);
    }
    g_free(limit);
}

void rate_limit_set(RateLimit *limit, guint per_window)
{
    __atomic_store_n(&limit->per_window, per_window, __ATOMIC_RELAXED);
}

static gint64 ring_at(const Caller *caller, guint index)
{
    return caller->ring[(caller->first + index) % caller->capacity];
}

static void ring_append(Caller *caller, gint64 now_us)
{
    if (caller->count == caller->capacity) {
        guint capacity = MAX(caller->capacity * 2, (guint)RING_CALLS_MIN);
        gint64 *ring = g_new(gint64, capacity);
        for (guint i = 0; i < caller->count; i++)
            ring[i] = ring_at(caller, i);
        g_free(caller->ring);
        caller->ring = ring;
        caller->capacity = capacity;
        caller->first = 0;
    }
    caller->ring[(caller->first + caller->count++) % caller->capacity] = now_us;
}

static void ring_expire(Caller *caller, gint64 before_us)
{
    while (caller->count > 0 && ring_at(caller, 0) <= before_us) {
        caller->first = (caller->first + 1) % caller->capacity;
        caller->count--;
    }
}

/* Forgets callers whose latest call has left the window; with the stripe's lock held. */
static void stripe_expire(RateLimit *limit, Stripe *stripe, gint64 before_us)
{
    for (GList *link; (link = g_queue_peek_head_link(&stripe->by_latest)) != NULL;) {
        Caller *caller = link->data;
        if (caller->latest > before_us)
            return;
        g_queue_unlink(&stripe->by_latest, link);
        g_hash_table_remove(stripe->callers, caller->key);
        __atomic_fetch_sub(&limit->addresses, 1, __ATOMIC_RELAXED);
    }
}

/* Makes room in a full table; no lock may be held. */
static void expire_everywhere(RateLimit *limit, gint64 before_us)
{
    for (guint i = 0; i < STRIPES; i++) {
        Stripe *stripe = &limit->stripes[i];
        pthread_mutex_lock(&stripe->lock);
        stripe_expire(limit, stripe, before_us);
        pthread_mutex_unlock(&stripe->lock);
    }
}

/* Finds or makes the record of an address; NULL when the table is full. With the stripe's lock held. */
static Caller *stripe_caller(RateLimit *limit, Stripe *stripe, const guint8 key[ADDRESS_KEY_BYTES])
{
    Caller *caller = g_hash_table_lookup(stripe->callers, key);
    if (caller != NULL)
        return caller;
    if (__atomic_fetch_add(&limit->addresses, 1, __ATOMIC_RELAXED) >= limit->addresses_max) {
        __atomic_fetch_sub(&limit->addresses, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    caller = g_new0(Caller, 1);
    memcpy(caller->key, key, sizeof caller->key);
    caller->link.data = caller;
    g_hash_table_insert(stripe->callers, caller->key, caller);
    g_queue_push_tail_link(&stripe->by_latest, &caller->link);
    return caller;
}

static gboolean caller_admit(RateLimit *limit, Stripe *stripe, Caller *caller, guint per_window,
                             gint64 now_us, guint *ret_retry_after_s)
{
    ring_expire(caller, now_us - limit->window_us);
    if (caller->count >= per_window) {
        /* After a lowering of the limit more calls than it allows may be remembered. */
        gint64 wait_us = ring_at(caller, caller->count - per_window) + limit->window_us - now_us;
        *ret_retry_after_s = (guint)MAX((wait_us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC, 1);
        return FALSE;
    }
    ring_append(caller, now_us);
    caller->latest = now_us;
    g_queue_unlink(&stripe->by_latest, &caller->link);
    g_queue_push_tail_link(&stripe->by_latest, &caller->link);
    return TRUE;
}

gboolean rate_limit_admit(RateLimit *limit, const guint8 address[16], gint64 now_us, guint *ret_retry_after_s)
{
    guint per_window = __atomic_load_n(&limit->per_window, __ATOMIC_RELAXED);
    if (per_window == 0)
        return TRUE;
    guint8 key[ADDRESS_KEY_BYTES];
    address_key(address, key);
    Stripe *stripe = &limit->stripes[address_key_hash(key) % STRIPES];
    gint64 before_us = now_us - limit->window_us;
    if (__atomic_load_n(&limit->addresses, __ATOMIC_RELAXED) >= limit->addresses_max)
        expire_everywhere(limit, before_us);
    pthread_mutex_lock(&stripe->lock);
    stripe_expire(limit, stripe, before_us);
    Caller *caller = stripe_caller(limit, stripe, key);
    gboolean admitted =
        caller == NULL || caller_admit(limit, stripe, caller, per_window, now_us, ret_retry_after_s);
    pthread_mutex_unlock(&stripe->lock);
    return admitted;
}
