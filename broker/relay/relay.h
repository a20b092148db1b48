/* SPDX-License-Identifier: MIT
 *
 * Nodes: who is connected, and the routing of their end-to-end encrypted queries and answers. It never looks
 * into a payload.
 *
 * One Relay per broker; one RelayShard per I/O thread; one RelayConn per WebSocket of /ws, owned by its
 * shard. The transport (broker/net/ws) tells the shard about connections, messages and time; the relay talks
 * back through RelayTransport. There is no I/O here but identity.db.
 *
 *   registrar   runs on the state actor: identity.db (the first key owns an id), decides registration,
 *               takeover and capacity; sends every change of the registry to all shards
 *   shard       a full replica of the registry, its own connections, and the pending queries whose target
 *               or asker is here; no locks
 *   NodeRecord  what is known of one registered Node: immutable but for the time of its last sign of life,
 *               which is atomic; shared by all
 *
 * A shard that is about to look something up first reads its mail if the registry has changed since: what
 * another client was told ("registered") is then seen here, too.
 *
 * docs/nodes.md has the messages, their order of checks and the limits.
 */
#pragma once

#include "broker/net/actor.h"
#include "broker/net/ip_quota.h"
#include "broker/serve/rate_limit.h"
#include "schema/error.h"

typedef struct Relay Relay;
typedef struct RelayShard RelayShard;
typedef struct RelayConn RelayConn;

/* How the relay talks to a socket; all on the shard's thread. `socket` is what relay_conn_open was given.
 * After `close` the transport calls relay_conn_closed once; neither from within `close` nor from within
 * `send`, which may be called for any connection of the shard while it handles a message of another. */
typedef struct {
    /* Queues one text message. The transport bounds the queue and closes a slow reader by itself; FALSE when
     * the message was not queued. */
    gboolean (*send)(gpointer socket, GBytes *text);
    /* Starts an orderly close with a WebSocket code and reason (≤ 123 bytes). */
    void (*close)(gpointer socket, guint16 code, const char *reason);
    /* Stops or resumes reading from this socket alone. */
    void (*pause)(gpointer socket, gboolean paused);
} RelayTransport;

typedef struct {
    const char *identity_path; /* identity.db */
    guint shards;
    guint nodes_max;
    guint identities_max;
    guint pending_max;
    guint messages_per_second; /* quota of one connection */
    gsize frame_bytes_max;     /* forwarded and not yet read; 0: LIMIT_RELAY_FRAME_BYTES */
    RateLimit *register_limit; /* borrowed; outlives the relay */
    Actor *state;              /* borrowed; the registrar runs there */
} RelayOptions;

/* --- Life cycle (main thread) --- */

/* Opens identity.db; CORRUPT with the way out in the message when it is damaged. */
Relay *relay_new(const RelayOptions *options, GError **error);
/* After all shards were freed and before the state actor is. */
void relay_free(Relay *relay);
/* New limits after a reload; any thread. */
void relay_set_limits(Relay *relay, guint nodes_max, guint pending_max, guint messages_per_second);

/* `index` 0..shards-1; `mailbox` is that of the I/O thread, which also owns the shard from now on. */
RelayShard *relay_shard_new(Relay *relay, guint index, Mailbox *mailbox, const RelayTransport *transport);
void relay_shard_free(RelayShard *shard); /* all its connections must be closed */

/* --- Operations (the shard's thread) --- */

/* A socket was opened; sends the challenge. `quota` is borrowed and lives as long as the connection. */
RelayConn *relay_conn_open(RelayShard *shard, gpointer socket, const guint8 client[16], IpQuota *quota,
                           gint64 now_us);
/* One complete message: text of `len` bytes. */
void relay_conn_message(RelayConn *conn, const char *text, gsize len, gint64 now_us);
/* A message above LIMIT_WS_MESSAGE_BYTES was dropped by the transport; `start` (`len` bytes) is its
 * beginning, in which a query_id may be found. */
void relay_conn_oversize(RelayConn *conn, const char *start, gsize len, gint64 now_us);
/* The socket is gone; frees the connection. */
void relay_conn_closed(RelayConn *conn);
/* Call about every 250 ms: expiry of pending queries, dead Nodes, paused readers. */
void relay_shard_tick(RelayShard *shard, gint64 now_us);

/* --- Queries --- */

/* The body of GET /nodes, in registration order; a new reference, kept by the shard until something changes
 * or a second has passed. Shard's thread. */
GBytes *relay_shard_nodes_json(RelayShard *shard, gint64 now_us);

typedef enum {
    RELAY_REGISTERED, /* registrations accepted */
    RELAY_REGISTER_REFUSED,
    RELAY_TAKEOVER, /* old sockets closed because their own key registered again */
    RELAY_QUERY_ROUTED,
    RELAY_QUERY_ANSWERED,
    RELAY_QUERY_EXPIRED,
    RELAY_QUERY_TARGET_GONE, /* target disconnected while the query was pending */
    RELAY_QUERY_REFUSED_NO_TARGET,
    RELAY_QUERY_REFUSED_DUPLICATE,
    RELAY_QUERY_REFUSED_BUSY,
    RELAY_QUERY_REFUSED_UNREACHABLE,
    RELAY_QUERY_REFUSED_MALFORMED, /* missing_query_id and wrong types */
    RELAY_RESPONSE_DROPPED,        /* unknown query or not from the addressed target */
    RELAY_MESSAGE_IGNORED,         /* not JSON, not an object, unknown type */
    RELAY_MESSAGE_OVERSIZE,
    RELAY_CONN_THROTTLED, /* times a connection was paused by its own quota */
    RELAY_NODE_DEAD,      /* closed after LIMIT_NODE_ALIVE_SECONDS of silence */
    RELAY_COUNTERS
} RelayCounter;

/* Stable name for /metrics labels. */
const char *relay_counter_name(RelayCounter counter);
/* Sums over all shards; any thread. */
void relay_counters(Relay *relay, guint64 ret[RELAY_COUNTERS]);
guint relay_node_count(Relay *relay);       /* registered and alive; any thread */
guint relay_connection_count(Relay *relay); /* open sockets; any thread */
guint relay_pending_count(Relay *relay);
