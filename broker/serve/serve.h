/* SPDX-License-Identifier: MIT
 *
 * The HTTP side of the broker: everything between a parsed request (broker/net/http.h) and the modules that
 * know the answers (catalog, search, relay, configuration).
 *
 * One Serve per broker, shared by all threads; one ServeThread per I/O thread, with that thread's page cache,
 * counters and access log. A request is answered from the ServeThread's own memory when it is hot; disk,
 * search and everything else that may take long runs on workers; scans and index changes run one after
 * another on the indexer actor, which publishes a new immutable snapshot in one step. I/O threads look at the
 * published pointer once per request and take a lock only when it has changed.
 *
 * Order of life, as main does it:
 *   serve_new → serve_start → (per I/O thread, anywhere) serve_thread_new … → loops run → loops stop →
 *   serve_thread_free each → serve_close → workers_free, actor_free(indexer) → mailboxes freed → serve_free.
 *
 * The thread_user of both services is the ServeThread.
 */
#pragma once

#include "broker/config.h"
#include "broker/net/actor.h"
#include "broker/net/http.h"
#include "broker/net/workers.h"
#include "broker/relay/relay.h"
#include "broker/serve/rate_limit.h"

typedef struct Mirrors Mirrors;     /* broker/mirrors/mirrors.h */
typedef struct Publisher Publisher; /* publisher.h */
typedef struct Serve Serve;
typedef struct ServeThread ServeThread;

typedef struct {
    Config *config;          /* a reference is taken */
    Workers *workers;        /* borrowed; freed before the Serve */
    Actor *indexer;          /* borrowed; scans and index changes run there; freed before the Serve */
    Relay *relay;            /* borrowed; NULL when there is none (no Nodes are counted then) */
    RateLimit *search_limit; /* borrowed; searches and look-ups together */
    guint threads;           /* I/O threads there will be */
    /* Called once on the indexer's thread when the first scan is published and the index is up to date (or
     * has failed for good: then /readyz stays 503 and the log says why). May be NULL. */
    void (*ready)(gpointer user);
    gpointer ready_user;
} ServeOptions;

/* --- Life cycle (main thread) --- */

/* Reads the admin tokens, the read tokens, the trust list, the API token (made in <data>/daemon.json, 0600,
 * when there is none) and the broker's key (made in <data>/keys/broker.key). NULL with IO, DENIED or
 * MALFORMED naming the file. A trust file that cannot be understood is one of them: starting without it would
 * forget who was revoked; so is a file of read tokens. */
Serve *serve_new(const ServeOptions *options, GError **error);
/* Scans and reloads that wait for the indexer are dropped, so that it ends with the one it is at. */
void serve_close(Serve *serve);
void serve_free(Serve *serve); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Serve, serve_free)

/* Who publishes; lives as long as the Serve. */
Publisher *serve_publisher(const Serve *serve);
/* Whom the loopback routes, metrics and the home page ask; borrowed, and alive as long as anything asks. */
void serve_set_mirrors(Serve *serve, Mirrors *mirrors);
/* Opens <data>/index.db and <data>/hashes.db and starts the first scan on the indexer; returns at once. Until
 * it is published, routes that need the catalog answer 503. A packs directory that does not exist is an empty
 * catalog and a warning. */
gboolean serve_start(Serve *serve, GError **error);

/* --- Operations (any thread) --- */

/* SIGHUP: takes over the new configuration (a reference is taken): admin tokens, trust list, rate limit of
 * searches, log and cache settings, packs directory; then scans all packs. Returns at once; failures are
 * logged. */
void serve_reload(Serve *serve, Config *config);
/* What GET /v1/broker/status reports as addresses: "host:port" each, NULL-terminated; copied. Call when
 * everything listens. */
void serve_set_addresses(Serve *serve, const char *const *public_addresses, const char *api_address);

/* --- I/O threads --- */

/* `index` 0..threads-1. `mailbox` is that of the I/O thread, `shard` its shard of the relay (NULL: none);
 * both borrowed and alive until serve_thread_free. May be called on any thread before the loop runs. */
ServeThread *serve_thread_new(Serve *serve, guint index, Mailbox *mailbox, RelayShard *shard);
/* After the loop has stopped. Requests still waiting for a worker are forgotten: their exchanges belong to
 * net. */
void serve_thread_free(ServeThread *thread);
/* About four times a second on the thread: writes the access log out. */
void serve_thread_tick(ServeThread *thread, gint64 now_us);

/* The public listeners' routes. */
const HttpService *serve_public_service(void);
/* The loopback listener's routes (/v1). */
const HttpService *serve_api_service(void);
