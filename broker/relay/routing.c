/* SPDX-License-Identifier: MIT
 *
 * The way of a query, between connection A on shard a and its target T on shard t (MAIL only when a ≠ t):
 *
 *   A ─ query ─► checks, entry in a's table ── MAIL_QUERY ──► entry in t's table ─ query ─► T
 *   A ◄ response ─ entry removed ◄──────────── MAIL_ANSWER ── entry removed ◄─── response ─ T
 *
 *   t refuses, or T goes away     MAIL_QUERY_FAILED: A gets an error with the query's id
 *   A goes away, or time is up    MAIL_QUERY_CANCELED: t forgets the query; a late answer finds no entry
 *
 * Only the shard that holds A's connection counts the query against the limits of A, of A's address and of
 * the broker; only the shard that holds T's connection counts it against T. Mail of one shard to another
 * keeps its order, so a query id can be used again as soon as its asker has heard the outcome.
 */
#include "broker/relay/shard.h"

#include "schema/limits.h"

/* Why a query ends without an answer. */
typedef struct {
    const char *error;
    RelayCounter counter;
} Failure;

static const Failure failure_malformed = {NULL, RELAY_QUERY_REFUSED_MALFORMED};
static const Failure failure_duplicate = {"duplicate_query_id", RELAY_QUERY_REFUSED_DUPLICATE};
static const Failure failure_busy = {"broker_busy", RELAY_QUERY_REFUSED_BUSY};
static const Failure failure_no_target = {"no_target", RELAY_QUERY_REFUSED_NO_TARGET};
static const Failure failure_unreachable = {"target_unreachable", RELAY_QUERY_REFUSED_UNREACHABLE};
static const Failure failure_target_gone = {"target_unreachable", RELAY_QUERY_TARGET_GONE};
static const Failure failure_too_large = {"frame_too_large", RELAY_MESSAGE_OVERSIZE};
static const Failure failure_answer_too_large = {"response_too_large", RELAY_RESPONSE_DROPPED};
static const Failure failure_expired = {"query_expired", RELAY_QUERY_EXPIRED};

/* What is decoded of a query; everything else is forwarded as it came. */
typedef struct {
    char id[LIMIT_QUERY_ID_BYTES + 1];
    gsize id_len;
    char to[LIMIT_NODE_ID_BYTES + 1]; /* "" when it cannot be anybody's id */
} QueryTexts;

/* --- Checks of the message --- */

/* NULL, or the name of the error. */
static const char *read_query_id(const NodeMessage *message, char *ret, gsize size, gsize *ret_len)
{
    const MessageField *id = &message->fields[MESSAGE_KEY_QUERY_ID];
    if (id->kind == MESSAGE_FIELD_ABSENT || (id->kind == MESSAGE_FIELD_STRING && id->len == 0))
        return "missing_query_id";
    if (id->kind != MESSAGE_FIELD_STRING || !message_field_decode(id, ret, size, ret_len) ||
        !message_text_is_printable(ret, *ret_len))
        return "invalid_query_id";
    return NULL;
}

static gboolean is_text_or_absent(const MessageField *field)
{
    return field->kind == MESSAGE_FIELD_STRING || field->kind == MESSAGE_FIELD_ABSENT;
}

static gboolean is_short_text(const MessageField *field, char *buffer, gsize size, gsize *ret_len)
{
    buffer[0] = '\0';
    *ret_len = 0;
    return field->kind == MESSAGE_FIELD_ABSENT ||
           (field->kind == MESSAGE_FIELD_STRING && message_field_decode(field, buffer, size, ret_len));
}

static const char *check_query_fields(const NodeMessage *query, QueryTexts *ret)
{
    char from_node[LIMIT_FROM_NODE_BYTES + 1], key[LIMIT_REQUESTER_PUBKEY_BYTES + 1];
    gsize len;
    if (!is_text_or_absent(&query->fields[MESSAGE_KEY_TO]))
        return "invalid_to";
    /* Longer than any id: nobody's. */
    if (!is_short_text(&query->fields[MESSAGE_KEY_TO], ret->to, sizeof ret->to, &len))
        ret->to[0] = '\0';
    if (!is_short_text(&query->fields[MESSAGE_KEY_FROM_NODE], from_node, sizeof from_node, &len) ||
        !message_text_is_printable(from_node, len))
        return "invalid_from_node";
    if (!is_short_text(&query->fields[MESSAGE_KEY_REQUESTER_PUBKEY], key, sizeof key, &len))
        return "invalid_requester_pubkey";
    if (!is_text_or_absent(&query->fields[MESSAGE_KEY_PAYLOAD]))
        return "invalid_payload";
    return NULL;
}

/* --- Limits of the asking side --- */

static gboolean admit(RelayConn *conn)
{
    Relay *relay = conn->shard->relay;
    if (conn->asked.length >= LIMIT_PENDING_PER_CONNECTION)
        return FALSE;
    guint max = __atomic_load_n(&relay->pending_max, __ATOMIC_RELAXED);
    gboolean room = __atomic_fetch_add(&relay->pending, 1, __ATOMIC_RELAXED) < max;
    if (room && ip_quota_take(conn->quota, IP_QUOTA_PENDING))
        return TRUE;
    __atomic_fetch_sub(&relay->pending, 1, __ATOMIC_RELAXED);
    return FALSE;
}

static void give_back(RelayConn *conn)
{
    ip_quota_refund(conn->quota, IP_QUOTA_PENDING);
    __atomic_fetch_sub(&conn->shard->relay->pending, 1, __ATOMIC_RELAXED);
}

/* --- Bytes on their way --- */

/* A frame that counts against the bytes of the relay for as long as anybody has a reference, be it a mail, a
 * connection that registers, or the queue of a socket that is not read. */
typedef struct {
    Relay *relay;
    GBytes *frame;
} Charge;

static void discharge(gpointer data)
{
    Charge *charge = data;
    __atomic_fetch_sub(&charge->relay->frame_bytes, g_bytes_get_size(charge->frame), __ATOMIC_RELAXED);
    g_bytes_unref(charge->frame);
    g_free(charge);
}

/* Takes over `frame`; NULL when too many bytes are on their way already. */
static GBytes *charge_frame(Relay *relay, GBytes *frame)
{
    gsize len;
    const void *data = g_bytes_get_data(frame, &len);
    if (__atomic_add_fetch(&relay->frame_bytes, len, __ATOMIC_RELAXED) > relay->frame_bytes_max) {
        __atomic_fetch_sub(&relay->frame_bytes, len, __ATOMIC_RELAXED);
        g_bytes_unref(frame);
        return NULL;
    }
    Charge *charge = g_new(Charge, 1);
    *charge = (Charge){relay, frame};
    return g_bytes_new_with_free_func(data, len, discharge, charge);
}

/* --- Between shards --- */

/* Takes over `frame`: the other thread is the only one that has it then. */
static void send_mail(RelayShard *shard, MailKind kind, const Pending *pending, const Failure *failure,
                      GBytes *frame)
{
    ShardMail *mail = shard_mail_new(kind, pending->id, pending->key.len);
    mail->asker = pending->asker;
    mail->target = pending->target;
    mail->deadline_us = pending->deadline_us;
    mail->frame = frame;
    if (failure != NULL) {
        mail->error = failure->error;
        mail->counter = failure->counter;
    }
    gboolean to_target = kind == MAIL_QUERY || kind == MAIL_QUERY_CANCELED;
    guint32 to = to_target ? pending->target.shard : pending->asker.shard;
    shard_port_send(shard->relay->ports[to], mail);
}

/* --- The end of a query --- */

/* Tells the asker the outcome: a frame for it, or a failure. The entry is gone afterwards. For the shard of
 * the asker. */
static void finish_asked(RelayShard *shard, Pending *pending, GBytes *frame, const char *error,
                         RelayCounter counter)
{
    RelayConn *asker = shard_conn(shard, pending->asker);
    g_assert(asker != NULL); /* its entries go when it goes */
    shard_count(shard, counter);
    give_back(asker);
    if (frame != NULL)
        conn_send(asker, frame);
    else
        conn_send_error(asker, error, pending->id);
    pending_remove(&shard->pending, pending);
}

/* The same for the shard of the target, wherever the asker is. Takes over `frame`. */
static void finish_addressed(RelayShard *shard, Pending *pending, GBytes *frame, const Failure *failure)
{
    if (pending->asked != NULL) {
        finish_asked(shard, pending, frame, failure == NULL ? NULL : failure->error,
                     failure == NULL ? RELAY_QUERY_ANSWERED : failure->counter);
        g_clear_pointer(&frame, g_bytes_unref);
        return;
    }
    send_mail(shard, frame != NULL ? MAIL_ANSWER : MAIL_QUERY_FAILED, pending, failure, frame);
    pending_remove(&shard->pending, pending);
}

/* --- Queries --- */

/* Hands a query to a connection of this shard; NULL, or why not. */
static const Failure *deliver(RelayShard *shard, RelayConn *target, GBytes *frame)
{
    /* A connection whose registration everybody but itself knows of will send this after its answer. */
    if (target == NULL || (target->record == NULL && target->registering == NULL))
        return &failure_unreachable;
    if (target->addressed.length >= LIMIT_PENDING_PER_TARGET)
        return &failure_busy;
    if (!conn_send(target, frame))
        return &failure_unreachable;
    shard_count(shard, RELAY_QUERY_ROUTED);
    return NULL;
}

/* The query was admitted; NULL, or why it goes no further. */
static const Failure *forward(RelayConn *conn, const NodeMessage *message, const QueryTexts *texts,
                              gint64 now_us)
{
    RelayShard *shard = conn->shard;
    const NodeRecord *record = node_list_find(&shard->nodes, texts->to);
    if (record == NULL || !node_record_is_alive(record, now_us))
        return &failure_no_target;
    g_autoptr(GBytes) frame =
        node_message_query(message, conn->record == NULL ? NULL : conn->record->id_json);
    if (g_bytes_get_size(frame) > LIMIT_WS_MESSAGE_BYTES)
        return &failure_too_large;
    frame = charge_frame(shard->relay, g_steal_pointer(&frame));
    if (frame == NULL)
        return &failure_busy;
    PendingParties parties = {
        .asker = conn->ref,
        .target = record->conn,
        .asked = &conn->asked,
        .deadline_us = now_us + (gint64)LIMIT_PENDING_SECONDS * G_USEC_PER_SEC,
    };
    if (record->conn.shard != shard->index) {
        const Pending *pending = pending_add(&shard->pending, texts->id, texts->id_len, &parties);
        send_mail(shard, MAIL_QUERY, pending, NULL, g_steal_pointer(&frame));
        return NULL;
    }
    RelayConn *target = shard_conn(shard, record->conn);
    const Failure *failure = deliver(shard, target, frame);
    if (failure == NULL) {
        parties.addressed = &target->addressed;
        pending_add(&shard->pending, texts->id, texts->id_len, &parties);
    }
    return failure;
}

static void refuse(RelayConn *conn, const Failure *failure, const char *error, const char *query_id)
{
    shard_count(conn->shard, failure->counter);
    conn_send_error(conn, error, query_id);
}

void routing_query(RelayConn *conn, const NodeMessage *message, gint64 now_us)
{
    RelayShard *shard = conn->shard;
    QueryTexts texts;
    const char *error = read_query_id(message, texts.id, sizeof texts.id, &texts.id_len);
    if (error != NULL) {
        refuse(conn, &failure_malformed, error, NULL);
        return;
    }
    error = check_query_fields(message, &texts);
    if (error != NULL) {
        refuse(conn, &failure_malformed, error, texts.id);
        return;
    }
    shard_catch_up(shard);
    if (conn->closing)
        return;
    const Failure *failure = NULL;
    if (pending_find(&shard->pending, texts.id, texts.id_len) != NULL) {
        failure = &failure_duplicate;
    } else if (!admit(conn)) {
        failure = &failure_busy;
    } else {
        failure = forward(conn, message, &texts, now_us);
        if (failure != NULL)
            give_back(conn);
    }
    if (failure != NULL)
        refuse(conn, failure, failure->error, texts.id);
}

/* --- Answers --- */

/* The query that this connection was asked under that id, or NULL. */
static Pending *find_addressed(RelayConn *conn, const char *id, gsize id_len)
{
    Pending *pending = pending_find(&conn->shard->pending, id, id_len);
    return pending != NULL && pending->addressed == &conn->addressed ? pending : NULL;
}

void routing_response(RelayConn *conn, const NodeMessage *message)
{
    RelayShard *shard = conn->shard;
    char id[LIMIT_QUERY_ID_BYTES + 1];
    gsize id_len;
    Pending *pending = NULL;
    if (read_query_id(message, id, sizeof id, &id_len) == NULL)
        pending = find_addressed(conn, id, id_len);
    if (pending == NULL) {
        shard_count(shard, RELAY_RESPONSE_DROPPED);
        return;
    }
    if (!is_text_or_absent(&message->fields[MESSAGE_KEY_PAYLOAD])) {
        refuse(conn, &failure_malformed, "invalid_payload", id);
        return;
    }
    g_autoptr(GBytes) frame =
        node_message_response(message, conn->record == NULL ? NULL : conn->record->id_json);
    if (g_bytes_get_size(frame) > LIMIT_WS_MESSAGE_BYTES) {
        finish_addressed(shard, pending, NULL, &failure_answer_too_large);
        return;
    }
    GBytes *charged = charge_frame(shard->relay, g_steal_pointer(&frame));
    finish_addressed(shard, pending, charged, charged == NULL ? &failure_busy : NULL);
}

void routing_oversize(RelayConn *conn, const char *start, gsize len)
{
    NodeMessage message;
    char id[LIMIT_QUERY_ID_BYTES + 1];
    gsize id_len;
    node_message_scan(&message, start, len); /* never whole: what was complete is enough */
    gboolean has_id = read_query_id(&message, id, sizeof id, &id_len) == NULL;
    if (has_id && node_message_type(&message) == MESSAGE_RESPONSE) {
        Pending *pending = find_addressed(conn, id, id_len);
        if (pending != NULL)
            finish_addressed(conn->shard, pending, NULL, &failure_answer_too_large);
    }
    refuse(conn, &failure_too_large, failure_too_large.error, has_id ? id : NULL);
}

/* --- Mail --- */

static void receive_query(RelayShard *shard, const ShardMail *mail)
{
    RelayConn *target = shard_conn(shard, mail->target);
    gboolean duplicate = pending_find(&shard->pending, mail->query_id, mail->query_id_len) != NULL;
    const Failure *failure = duplicate ? &failure_duplicate : deliver(shard, target, mail->frame);
    if (failure == NULL) {
        const PendingParties parties = {
            .asker = mail->asker,
            .target = mail->target,
            .addressed = &target->addressed,
            .deadline_us = mail->deadline_us,
        };
        pending_add(&shard->pending, mail->query_id, mail->query_id_len, &parties);
        return;
    }
    ShardMail *reply = shard_mail_new(MAIL_QUERY_FAILED, mail->query_id, mail->query_id_len);
    reply->asker = mail->asker;
    reply->target = mail->target;
    reply->error = failure->error;
    reply->counter = failure->counter;
    shard_port_send(shard->relay->ports[mail->asker.shard], reply);
}

void routing_mail(RelayShard *shard, ShardMail *mail)
{
    if (mail->kind == MAIL_QUERY) {
        receive_query(shard, mail);
        return;
    }
    /* The entry may be gone, or be that of another query which uses the same id by now. */
    Pending *pending = pending_find(&shard->pending, mail->query_id, mail->query_id_len);
    if (pending == NULL || !conn_ref_equal(pending->asker, mail->asker) ||
        !conn_ref_equal(pending->target, mail->target))
        return;
    if (mail->kind == MAIL_QUERY_CANCELED)
        pending_remove(&shard->pending, pending);
    else
        finish_asked(shard, pending, mail->frame, mail->error,
                     mail->kind == MAIL_ANSWER ? RELAY_QUERY_ANSWERED : (RelayCounter)mail->counter);
}

/* --- Going away, and time --- */

/* Forgets a query of an asker that is here, also at its target. */
static void cancel(RelayShard *shard, Pending *pending)
{
    if (pending->addressed == NULL)
        send_mail(shard, MAIL_QUERY_CANCELED, pending, NULL, NULL);
}

void routing_release(RelayConn *conn)
{
    RelayShard *shard = conn->shard;
    for (GList *link; (link = conn->asked.head) != NULL;) {
        Pending *pending = link->data;
        cancel(shard, pending);
        give_back(conn);
        pending_remove(&shard->pending, pending);
    }
    for (GList *link; (link = conn->addressed.head) != NULL;)
        finish_addressed(shard, link->data, NULL, &failure_target_gone);
}

void routing_expire(RelayShard *shard, gint64 now_us)
{
    for (Pending *pending; (pending = pending_first_expired(&shard->pending, now_us)) != NULL;) {
        if (pending->asked == NULL) {
            /* The asker's shard tells it. */
            pending_remove(&shard->pending, pending);
            continue;
        }
        cancel(shard, pending);
        finish_asked(shard, pending, NULL, failure_expired.error, failure_expired.counter);
    }
}
