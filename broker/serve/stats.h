/* SPDX-License-Identifier: MIT
 *
 * The counters behind /metrics. Each I/O thread counts in a Stats of its own, with plain (relaxed) loads and
 * stores, so that counting costs no lock and no shared cache line; /metrics adds them up. The Serve owns them
 * all, so that they can be read when a thread has gone.
 */
#pragma once

#include "broker/net/http.h"
#include "broker/serve/route.h"

/* Why a request was refused; labels of kontor_rejections_total. */
typedef enum {
    STATS_RATE_LIMITED,      /* 429 */
    STATS_BAD_TOKEN,         /* 401 */
    STATS_INVALID_BODY,      /* 422 */
    STATS_INVALID_SCOPE,     /* 400 */
    STATS_QUEUE_FULL,        /* 503: no worker took it */
    STATS_DEADLINE,          /* 503: a search took too long */
    STATS_NOT_READY,         /* 503: before the first scan or index */
    STATS_CHANGING,          /* 503: a pack changed again and again while it was read */
    STATS_PATH_ESCAPE,       /* 403: ".." out of the packs directory */
    STATS_PATH_MALFORMED,    /* 404: bad escape, NUL, not UTF-8 */
    STATS_HASH_MISMATCH,     /* served although neither form fits manifest.sig (policy off) */
    STATS_CHANGED_UNSEEN,    /* not served: a file looked unchanged and had other bytes */
    STATS_FOREIGN_HOST,      /* 403 on the loopback listener: Host is not loopback */
    STATS_FOREIGN_ORIGIN,    /* 403 on the loopback listener: Origin is not this listener */
    STATS_LOG_LINES_DROPPED, /* access log lines that could not be written in time */
    STATS_REJECTIONS
} StatsRejection;

enum {
    STATS_STATUSES = 24, /* distinct statuses, the last one for all others */
    STATS_BUCKETS = 15,  /* of the latency histogram, the last one without bound */
};

typedef struct {
    guint64 requests[ROUTE_COUNT][STATS_STATUSES];
    guint64 latency[ROUTE_COUNT][STATS_BUCKETS];
    guint64 latency_sum_us[ROUTE_COUNT];
    guint64 body_bytes;
    guint64 rejections[STATS_REJECTIONS];
    guint64 cache_hits, cache_misses;
    guint64 search_cache_hits;
    guint64 cache_bytes, cache_entries; /* gauges */
} Stats;

/* Counts a finished request. */
void stats_done(Stats *stats, const HttpDone *done);

/* Adds to a counter that only this thread writes and any thread may read. */
static inline void stats_add(guint64 *counter, guint64 amount)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

static inline void stats_set(guint64 *gauge, guint64 value)
{
    __atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

/* The sum over `count` threads. */
void stats_sum(Stats *const *stats, guint count, Stats *ret);

/* Label of a status slot: "200", or "other". */
const char *stats_status_label(guint slot);
/* Upper bound of a latency bucket in µs; G_MAXINT64 for the last. */
gint64 stats_bucket_bound(guint bucket);
const char *stats_rejection_label(StatsRejection reason);
