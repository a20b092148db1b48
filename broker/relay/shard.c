/* SPDX-License-Identifier: MIT
 *
 * A connection's quota is a time, not a count: each message moves the time until which the connection has
 * spent its messages by 1 s / messages_per_second. When that lies more than a second ahead, the connection
 * has used up a second's burst and is not read until the clock has caught up.
 */
#include "broker/relay/shard.h"

#include "schema/limits.h"

#include <string.h>

enum {
    QUOTA_BURST_US = G_USEC_PER_SEC,
    QUOTA_RESUME_US = QUOTA_BURST_US * 3 / 4,
    /* Large messages cost more: one unit and another per so many bytes. */
    QUOTA_BYTES_PER_UNIT = 16 * 1024,
};

void shard_count(RelayShard *shard, RelayCounter counter)
{
    guint64 *cell = &shard->counters->counters[counter];
    __atomic_store_n(cell, *cell + 1, __ATOMIC_RELAXED);
}

static void count_connections(RelayShard *shard, gint change)
{
    guint *cell = &shard->counters->connections;
    __atomic_store_n(cell, *cell + (guint)change, __ATOMIC_RELAXED);
}

/* --- Slots --- */

static void take_slot(RelayShard *shard, RelayConn *conn)
{
    guint32 index = shard->slots->len;
    if (shard->free_slots->len > 0) {
        index = g_array_index(shard->free_slots, guint32, shard->free_slots->len - 1);
        g_array_set_size(shard->free_slots, shard->free_slots->len - 1);
    } else {
        const ConnSlot fresh = {0};
        g_array_append_val(shard->slots, fresh);
    }
    ConnSlot *slot = &g_array_index(shard->slots, ConnSlot, index);
    slot->conn = conn;
    slot->generation++;
    conn->ref = (ConnRef){.slot = index, .generation = slot->generation, .shard = shard->index};
}

static void give_slot_back(RelayShard *shard, const RelayConn *conn)
{
    g_array_index(shard->slots, ConnSlot, conn->ref.slot).conn = NULL;
    g_array_append_val(shard->free_slots, conn->ref.slot);
}

RelayConn *shard_conn(RelayShard *shard, ConnRef ref)
{
    if (ref.shard != shard->index || ref.slot >= shard->slots->len)
        return NULL;
    const ConnSlot *slot = &g_array_index(shard->slots, ConnSlot, ref.slot);
    return slot->generation == ref.generation && slot->conn != NULL && !slot->conn->closing ? slot->conn
                                                                                            : NULL;
}

/* --- Sending, pausing, closing --- */

/* While a registration is decided, messages wait; as many as the transport would queue. */
static gboolean hold_outgoing(HeldMessages *held, GBytes *text)
{
    gsize len = g_bytes_get_size(text);
    if (held->out.length >= LIMIT_WS_OUT_MESSAGES || held->out_bytes + len > LIMIT_WS_OUT_BYTES)
        return FALSE;
    g_queue_push_tail(&held->out, g_bytes_ref(text));
    held->out_bytes += len;
    return TRUE;
}

gboolean conn_send(RelayConn *conn, GBytes *text)
{
    if (conn->closing)
        return FALSE;
    if (conn->registering != NULL)
        return hold_outgoing(conn->held, text);
    return conn->shard->transport->send(conn->socket, text);
}

void conn_send_error(RelayConn *conn, const char *name, const char *query_id)
{
    g_autoptr(GBytes) text = node_message_error(name, query_id);
    conn_send(conn, text);
}

void conn_pause(RelayConn *conn, PauseReason reason, gboolean paused)
{
    guint before = conn->pauses;
    conn->pauses = paused ? before | reason : before & ~(guint)reason;
    if ((before != 0) != (conn->pauses != 0) && !conn->closing)
        conn->shard->transport->pause(conn->socket, conn->pauses != 0);
}

/* Gives up everything the connection holds here and elsewhere. */
static void detach(RelayConn *conn)
{
    RelayShard *shard = conn->shard;
    conn->closing = TRUE;
    registration_release(conn);
    routing_release(conn);
    if (conn->pauses & PAUSE_QUOTA)
        g_queue_unlink(&shard->paused, &conn->paused_link);
    conn->pauses = 0;
}

void conn_close(RelayConn *conn, guint16 code, const char *reason)
{
    if (conn->closing)
        return;
    detach(conn);
    conn->shard->transport->close(conn->socket, code, reason);
}

/* --- Mail --- */

static void handle_mail(RelayShard *shard, ShardMail *mail)
{
    switch (mail->kind) {
    case MAIL_NODE_ADDED:
        registration_node_added(shard, mail);
        break;
    case MAIL_NODE_REMOVED:
        registration_node_removed(shard, mail);
        break;
    case MAIL_REGISTER_DONE:
        registration_done(shard, mail);
        break;
    case MAIL_QUERY:
    case MAIL_QUERY_FAILED:
    case MAIL_QUERY_CANCELED:
    case MAIL_ANSWER:
        routing_mail(shard, mail);
        break;
    }
}

static void read_mail(gpointer data)
{
    RelayShard *shard = data;
    for (ShardMail *mail; (mail = shard_port_receive(shard->port)) != NULL;) {
        handle_mail(shard, mail);
        shard_mail_free(mail);
    }
    registration_replay(shard);
}

void shard_catch_up(RelayShard *shard)
{
    if (registrar_version(shard->relay->registrar) > shard->nodes_version)
        read_mail(shard);
}

/* --- Life cycle of a shard --- */

RelayShard *relay_shard_new(Relay *relay, guint index, Mailbox *mailbox, const RelayTransport *transport)
{
    static const char pong[] = "{\"type\":\"pong\"}";
    g_assert(index < relay->shard_count);
    RelayShard *shard = g_new0(RelayShard, 1);
    shard->relay = relay;
    shard->index = index;
    shard->port = relay->ports[index];
    shard->transport = transport;
    shard->counters = &relay->counters[index];
    shard->slots = g_array_new(FALSE, FALSE, sizeof(ConnSlot));
    shard->free_slots = g_array_new(FALSE, FALSE, sizeof(guint32));
    node_list_init(&shard->nodes);
    pending_table_init(&shard->pending);
    g_queue_init(&shard->alive);
    g_queue_init(&shard->paused);
    g_queue_init(&shard->replays);
    shard->pong = g_bytes_new_static(pong, sizeof pong - 1);
    shard_port_open(shard->port, mailbox, read_mail, shard);
    return shard;
}

void relay_shard_free(RelayShard *shard)
{
    if (shard == NULL)
        return;
    g_assert(shard->free_slots->len == shard->slots->len);
    shard_port_close(shard->port);
    /* Queries from other shards have gone with the connections they were for. */
    pending_table_clear(&shard->pending);
    node_list_clear(&shard->nodes);
    g_array_free(shard->slots, TRUE);
    g_array_free(shard->free_slots, TRUE);
    g_bytes_unref(shard->pong);
    g_free(shard);
}

/* --- Connections --- */

RelayConn *relay_conn_open(RelayShard *shard, gpointer socket, const guint8 client[16], IpQuota *quota,
                           gint64 now_us)
{
    RelayConn *conn = g_new0(RelayConn, 1);
    conn->shard = shard;
    conn->socket = socket;
    conn->quota = quota;
    conn->quota_spent_us = now_us;
    memcpy(conn->client, client, sizeof conn->client);
    g_queue_init(&conn->asked);
    g_queue_init(&conn->addressed);
    conn->alive_link.data = conn->paused_link.data = conn->replay_link.data = conn;
    take_slot(shard, conn);
    count_connections(shard, 1);
    random_fill(conn->nonce, sizeof conn->nonce);
    g_autofree char *nonce = base64_encode(conn->nonce, sizeof conn->nonce);
    g_autoptr(GBytes) challenge = node_message_challenge(nonce);
    conn_send(conn, challenge);
    return conn;
}

void relay_conn_closed(RelayConn *conn)
{
    RelayShard *shard = conn->shard;
    if (!conn->closing)
        detach(conn);
    give_slot_back(shard, conn);
    count_connections(shard, -1);
    g_free(conn);
}

static void answer_ping(RelayConn *conn, gint64 now_us)
{
    RelayShard *shard = conn->shard;
    if (conn->record != NULL) {
        node_record_seen(conn->record, now_us);
        g_queue_unlink(&shard->alive, &conn->alive_link);
        g_queue_push_tail_link(&shard->alive, &conn->alive_link);
    }
    conn_send(conn, shard->pong);
}

void conn_dispatch(RelayConn *conn, const char *text, gsize len, gint64 now_us)
{
    NodeMessage message;
    MessageType type = node_message_scan(&message, text, len) ? node_message_type(&message) : MESSAGE_UNKNOWN;
    switch (type) {
    case MESSAGE_QUERY:
        routing_query(conn, &message, now_us);
        break;
    case MESSAGE_RESPONSE:
        routing_response(conn, &message);
        break;
    case MESSAGE_PING:
        answer_ping(conn, now_us);
        break;
    case MESSAGE_REGISTER:
        registration_request(conn, &message, now_us);
        break;
    case MESSAGE_UNKNOWN:
        shard_count(conn->shard, RELAY_MESSAGE_IGNORED);
        break;
    }
}

static void charge_quota(RelayConn *conn, gsize len, gint64 now_us)
{
    RelayShard *shard = conn->shard;
    guint per_second = __atomic_load_n(&shard->relay->messages_per_second, __ATOMIC_RELAXED);
    if (per_second == 0)
        return;
    gint64 units = 1 + (gint64)(len / QUOTA_BYTES_PER_UNIT);
    gint64 cost_us = MAX(units * G_USEC_PER_SEC / per_second, 1);
    conn->quota_spent_us = MAX(conn->quota_spent_us, now_us) + cost_us;
    if (conn->quota_spent_us - now_us <= QUOTA_BURST_US || conn->pauses & PAUSE_QUOTA)
        return;
    shard_count(shard, RELAY_CONN_THROTTLED);
    g_queue_push_tail_link(&shard->paused, &conn->paused_link);
    conn_pause(conn, PAUSE_QUOTA, TRUE);
}

void relay_conn_message(RelayConn *conn, const char *text, gsize len, gint64 now_us)
{
    if (conn->closing)
        return;
    charge_quota(conn, len, now_us);
    if (conn->held != NULL)
        registration_hold(conn, text, len);
    else
        conn_dispatch(conn, text, len, now_us);
}

void relay_conn_oversize(RelayConn *conn, const char *start, gsize len, gint64 now_us)
{
    if (conn->closing)
        return;
    charge_quota(conn, LIMIT_WS_MESSAGE_BYTES, now_us);
    routing_oversize(conn, start, len);
}

/* --- Time --- */

static void close_silent(RelayShard *shard, gint64 now_us)
{
    for (GList *link; (link = shard->alive.head) != NULL;) {
        RelayConn *conn = link->data;
        if (node_record_is_alive(conn->record, now_us))
            return;
        shard_count(shard, RELAY_NODE_DEAD);
        conn_close(conn, RELAY_CLOSE_SILENT, "no ping for too long");
    }
}

static void resume_paused(RelayShard *shard, gint64 now_us)
{
    for (GList *link = shard->paused.head, *next; link != NULL; link = next) {
        RelayConn *conn = link->data;
        next = link->next;
        if (conn->quota_spent_us - now_us > QUOTA_RESUME_US)
            continue;
        g_queue_unlink(&shard->paused, link);
        conn_pause(conn, PAUSE_QUOTA, FALSE);
    }
}

void relay_shard_tick(RelayShard *shard, gint64 now_us)
{
    routing_expire(shard, now_us);
    close_silent(shard, now_us);
    resume_paused(shard, now_us);
}

GBytes *relay_shard_nodes_json(RelayShard *shard, gint64 now_us)
{
    shard_catch_up(shard);
    return node_list_json(&shard->nodes, now_us);
}
