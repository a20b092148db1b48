/* SPDX-License-Identifier: MIT
 *
 * The inside of Serve and ServeThread, for broker/serve, broker/web and broker/api only.
 *
 * Threads: Serve is shared; what may change in it is atomic or guarded by its lock. A ServeThread belongs to
 * its I/O thread. Workers see neither: they get what they need in the job they are given.
 */
#pragma once

#include "broker/mirrors/mirrors.h"
#include "broker/serve/access_log.h"
#include "broker/serve/page_cache.h"
#include "broker/serve/publisher.h"
#include "broker/serve/route.h"
#include "broker/serve/serve.h"
#include "broker/serve/stats.h"

struct Serve {
    Workers *workers;
    Relay *relay; /* may be NULL */
    RateLimit *search_limit;
    Publisher *publisher;
    Mirrors *mirrors; /* NULL: there are none (tests); set before the I/O threads run */
    char *index_path, *hashes_path, *catalog_path;
    SecretKey *secret; /* the broker's own key */
    PublicKey key;     /* its public half */
    char fingerprint[FINGERPRINT_CHARS + 1];
    gint64 started_us;      /* monotonic */
    gint64 started_real_us; /* wall clock */
    char *api_token;        /* 64 hexadecimal digits */
    guint thread_count;
    Stats **stats; /* one per I/O thread; they outlive the threads */
    GMutex lock;
    char **public_addresses; /* guarded by the lock; NULL until known */
    char *api_address;       /* guarded by the lock */
};

struct ServeThread {
    Serve *serve;
    guint index;
    Mailbox *mailbox;
    RelayShard *shard; /* may be NULL */
    Snapshot *snapshot;
    PageCache *pages;
    PageCache *searches;       /* by kind, number, scope and text */
    guint64 search_generation; /* of the index, and the snapshot's public number: what `searches` are of */
    guint64 search_snapshot;
    GHashTable *fetches; /* key → Fetch that others may join; neither owned */
    Stats *stats;        /* owned by serve */
    AccessLog *log;
    GBytes *nodes_body; /* what nodes_reply says */
    HttpReply *nodes_reply;
};

/* What a request is answered from: without a view what everybody may see. Borrowed from the snapshot. */
static inline Catalog *serve_catalog(const Snapshot *snapshot, const View *view)
{
    return view != NULL ? view->catalog : snapshot->catalog;
}

static inline Exchange *serve_exchange(const Snapshot *snapshot, const View *view)
{
    return view != NULL ? view->exchange : snapshot->exchange;
}

/* As long as it stays the same, so do all answers. */
static inline guint64 serve_number(const Snapshot *snapshot, const View *view)
{
    return view != NULL ? view->number : snapshot->public_number;
}

/* Answers and gives the reply up. */
static inline void serve_finish(HttpExchange *exchange, HttpReply *reply)
{
    http_exchange_reply(exchange, reply);
    http_reply_unref(reply);
}

/* Answers with the plain text of a status and counts why. */
static inline void serve_refuse(ServeThread *thread, HttpExchange *exchange, HttpReply *reply,
                                StatsRejection reason)
{
    stats_add(&thread->stats->rejections[reason], 1);
    serve_finish(exchange, reply);
}

/* Makes the thread look at the published snapshot; one atomic load when nothing has changed. */
void serve_thread_refresh(ServeThread *thread);
