/* SPDX-License-Identifier: MIT */
#include "broker/serve/stats.h"

static const struct {
    guint status;
    const char *label;
} statuses[STATS_STATUSES] = {
    {200, "200"}, {204, "204"}, {206, "206"}, {304, "304"}, {400, "400"}, {401, "401"},
    {403, "403"}, {404, "404"}, {405, "405"}, {408, "408"}, {411, "411"}, {413, "413"},
    {414, "414"}, {416, "416"}, {417, "417"}, {422, "422"}, {426, "426"}, {429, "429"},
    {431, "431"}, {500, "500"}, {501, "501"}, {503, "503"}, {0, "gone"},  {1, "other"},
};

static const gint64 bounds_us[STATS_BUCKETS] = {
    50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 2500000, G_MAXINT64,
};

static const char *const rejection_labels[STATS_REJECTIONS] = {
    [STATS_RATE_LIMITED] = "rate-limited",
    [STATS_BAD_TOKEN] = "bad-token",
    [STATS_INVALID_BODY] = "invalid-body",
    [STATS_INVALID_SCOPE] = "invalid-scope",
    [STATS_QUEUE_FULL] = "queue-full",
    [STATS_DEADLINE] = "deadline",
    [STATS_NOT_READY] = "not-ready",
    [STATS_CHANGING] = "changing",
    [STATS_PATH_ESCAPE] = "path-escape",
    [STATS_PATH_MALFORMED] = "path-malformed",
    [STATS_HASH_MISMATCH] = "hash-mismatch",
    [STATS_FOREIGN_HOST] = "foreign-host",
    [STATS_CHANGED_UNSEEN] = "changed-unseen",
    [STATS_FOREIGN_ORIGIN] = "foreign-origin",
    [STATS_LOG_LINES_DROPPED] = "log-lines-dropped",
};

static guint status_slot(guint status)
{
    guint slot = 0;
    while (slot < STATS_STATUSES - 1 && statuses[slot].status != status)
        slot++;
    return slot;
}

void stats_done(Stats *stats, const HttpDone *done)
{
    guint route = done->route < ROUTE_COUNT ? done->route : ROUTE_NONE;
    guint bucket = 0;
    while (done->elapsed_us > bounds_us[bucket])
        bucket++;
    stats_add(&stats->requests[route][status_slot(done->status)], 1);
    stats_add(&stats->latency[route][bucket], 1);
    stats_add(&stats->latency_sum_us[route], (guint64)MAX(done->elapsed_us, 0));
    stats_add(&stats->body_bytes, done->body_bytes);
}

void stats_sum(Stats *const *stats, guint count, Stats *ret)
{
    /* A Stats is nothing but counters: it is added up as one array. */
    G_STATIC_ASSERT(sizeof(Stats) % sizeof(guint64) == 0);
    guint64 *sums = (guint64 *)ret;
    *ret = (Stats){0};
    for (guint t = 0; t < count; t++) {
        const guint64 *counters = (const guint64 *)stats[t];
        for (gsize i = 0; i < sizeof(Stats) / sizeof(guint64); i++)
            sums[i] += __atomic_load_n(&counters[i], __ATOMIC_RELAXED);
    }
}

const char *stats_status_label(guint slot)
{
    g_assert(slot < STATS_STATUSES);
    return statuses[slot].label;
}

gint64 stats_bucket_bound(guint bucket)
{
    g_assert(bucket < STATS_BUCKETS);
    return bounds_us[bucket];
}

const char *stats_rejection_label(StatsRejection reason)
{
    return rejection_labels[reason];
}
