/* SPDX-License-Identifier: MIT
 *
 * The inside of the relay, for the files of this folder alone: what a Relay, a shard and a connection are.
 *
 *   shard.c         life cycle of shards and connections, sending, quotas, time, mail
 *   registration.c  register messages, and what becomes of them
 *   routing.c       queries, answers, and their ways between shards
 *
 * All functions run on the shard's thread.
 */
#pragma once

#include "broker/relay/node_list.h"
#include "broker/relay/node_message.h"
#include "broker/relay/pending.h"
#include "broker/relay/registrar.h"
#include "broker/relay/relay.h"
#include "broker/relay/shard_port.h"

/* WebSocket close codes of ours (RFC 6455: 4000..4999 are free for use). */
enum {
    RELAY_CLOSE_POLICY = 1008,   /* more messages than may wait */
    RELAY_CLOSE_REPLACED = 4001, /* the same Node registered on a newer connection */
    RELAY_CLOSE_SILENT = 4002,   /* no register or ping for LIMIT_NODE_ALIVE_SECONDS */
};

/* What a shard counts. Written by its thread, read by any. Own cache lines, so that threads do not slow each
 * other by counting. */
typedef struct {
    _Alignas(64) guint64 counters[RELAY_COUNTERS];
    guint connections;
} ShardCounters;

struct Relay {
    guint shard_count;
    ShardPort **ports;
    ShardCounters *counters; /* one per shard */
    Registrar *registrar;
    RateLimit *register_limit;
    guint pending_max;         /* atomic */
    guint messages_per_second; /* atomic */
    guint pending;             /* atomic: queries that wait for an answer */
    gsize frame_bytes; /* atomic: of forwarded queries and answers, until the last reference is gone */
    gsize frame_bytes_max;
};

typedef enum {
    PAUSE_REGISTERING = 1 << 0, /* the registrar decides */
    PAUSE_QUOTA = 1 << 1,       /* too many messages */
} PauseReason;

/* What waits while a registration is decided: nothing may come between a register message and its answer, in
 * either direction. What was received waits a little longer, until all mail is read. */
typedef struct {
    GQueue in;  /* of GBytes: messages received */
    GQueue out; /* of GBytes: messages to send */
    gsize in_bytes;
    gsize out_bytes;
} HeldMessages;

struct RelayConn {
    RelayShard *shard;
    gpointer socket;
    ConnRef ref;
    IpQuota *quota;
    guint8 client[16];
    guint8 nonce[32];
    NodeRecord *record;      /* what it has registered; NULL: nothing */
    NodeRecord *registering; /* what the registrar is deciding about, or NULL */
    HeldMessages *held;      /* from a register message until what came after it was acted upon, else NULL */
    gboolean closing;        /* close was called: it neither sends nor receives any more */
    guint pauses;            /* of PauseReason */
    gint64 quota_spent_us;   /* the time until which it has spent its messages */
    GQueue asked;            /* pending queries of this connection */
    GQueue addressed;        /* pending queries to this connection */
    GList alive_link;        /* in RelayShard.alive, while registered */
    GList paused_link;       /* in RelayShard.paused, while PAUSE_QUOTA */
    GList replay_link;       /* in RelayShard.replays, while replay_due */
    gboolean replay_due;     /* the registration is decided, what was held must be acted upon */
};

typedef struct {
    RelayConn *conn; /* NULL: free */
    guint32 generation;
} ConnSlot;

struct RelayShard {
    Relay *relay;
    guint index;
    ShardPort *port;
    const RelayTransport *transport;
    ShardCounters *counters;
    GArray *slots;      /* of ConnSlot */
    GArray *free_slots; /* of guint32 */
    NodeList nodes;
    guint64 nodes_version; /* of the registry, as far as mail was read */
    PendingTable pending;
    GQueue alive;   /* registered connections, longest silent first */
    GQueue paused;  /* by their quota */
    GQueue replays; /* connections with replay_due */
    gboolean replaying;
    GBytes *pong;
};

/* --- shard.c --- */

void shard_count(RelayShard *shard, RelayCounter counter);
/* The connection of that name if it is still open, else NULL. */
RelayConn *shard_conn(RelayShard *shard, ConnRef ref);
/* Reads the port when the registry has changed since. Any connection may be closing afterwards. */
void shard_catch_up(RelayShard *shard);

/* Queues a message; FALSE when the connection cannot take it. The caller keeps its reference. */
gboolean conn_send(RelayConn *conn, GBytes *text);
/* Sends an error; `query_id` may be NULL. */
void conn_send_error(RelayConn *conn, const char *name, const char *query_id);
/* Gives up everything the connection holds and closes its socket. */
void conn_close(RelayConn *conn, guint16 code, const char *reason);
void conn_pause(RelayConn *conn, PauseReason reason, gboolean paused);
/* Acts on one message. */
void conn_dispatch(RelayConn *conn, const char *text, gsize len, gint64 now_us);

/* --- registration.c --- */

void registration_request(RelayConn *conn, const NodeMessage *message, gint64 now_us);
/* Keeps a message that came while a registration is decided. */
void registration_hold(RelayConn *conn, const char *text, gsize len);
/* MAIL_REGISTER_DONE, MAIL_NODE_ADDED, MAIL_NODE_REMOVED. */
void registration_done(RelayShard *shard, ShardMail *mail);
void registration_node_added(RelayShard *shard, ShardMail *mail);
void registration_node_removed(RelayShard *shard, ShardMail *mail);
/* The connection ends: gives up its registration and one that is being decided. */
void registration_release(RelayConn *conn);
/* Acts on what was held for connections whose registration is decided. */
void registration_replay(RelayShard *shard);

/* --- routing.c --- */

void routing_query(RelayConn *conn, const NodeMessage *message, gint64 now_us);
void routing_response(RelayConn *conn, const NodeMessage *message);
/* A message that was too long; `start` is how it began. */
void routing_oversize(RelayConn *conn, const char *start, gsize len);
/* The MAIL_QUERY… kinds and MAIL_ANSWER. */
void routing_mail(RelayShard *shard, ShardMail *mail);
/* The connection ends: its queries are forgotten, those who asked it are told. */
void routing_release(RelayConn *conn);
void routing_expire(RelayShard *shard, gint64 now_us);
