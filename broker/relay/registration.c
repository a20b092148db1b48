/* SPDX-License-Identifier: MIT
 *
 * A register message is checked here as far as no shared state is needed, and then decided by the registrar.
 *
 *   register ──► checks ──► registrar ──► MAIL_REGISTER_DONE ──► answer, then what was held back meanwhile
 *                   └─ error, at once        (MAIL_NODE_ADDED comes before it, to every shard)
 *
 * Checks in the order of the contract, which existing clients see: rate, missing id, missing signature, wrong
 * signature. The checks of the other fields are ours and come after them, so that nobody can have a field
 * judged that he did not sign for.
 */
#include "broker/relay/shard.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

enum {
    KEY_TEXT_BYTES = 128, /* base64 of a key or a signature, with room to see that it is too long */
    /* A held message costs at least this much: many small ones must not count as nothing. */
    HELD_MESSAGE_OVERHEAD = 64,
};

/* The texts of a register message, decoded. */
typedef struct {
    char node_id[LIMIT_NODE_ID_BYTES + 1];
    char tier_name[LIMIT_TIER_NAME_BYTES + 1];
    char public_key[KEY_TEXT_BYTES];
    guint8 signing_key[ED25519_PUBLIC_BYTES];
    gsize node_id_len;
    gint64 vram_used_mb;
} Registration;

/* --- Checks: NULL, or the name of the error --- */

static gboolean is_empty(const MessageField *field)
{
    return field->kind == MESSAGE_FIELD_ABSENT || (field->kind == MESSAGE_FIELD_STRING && field->len == 0);
}

/* Text that decodes to exactly `len` bytes. */
static gboolean read_base64(const MessageField *field, guint8 *ret, gsize len)
{
    char text[KEY_TEXT_BYTES];
    gsize text_len;
    return field->kind == MESSAGE_FIELD_STRING && message_field_decode(field, text, sizeof text, &text_len) &&
           base64_decode_exact(text, ret, len);
}

/* Two ids that look the same on a screen should be the same: so no blanks around one. */
static gboolean is_good_node_id(const char *id, gsize len)
{
    return message_text_is_printable(id, len) && text_trim(id, len).len == len;
}

static const char *check_identity(const RelayConn *conn, const NodeMessage *message, Registration *ret)
{
    const MessageField *id = &message->fields[MESSAGE_KEY_NODE_ID];
    const MessageField *key = &message->fields[MESSAGE_KEY_SIGNING_PUBKEY];
    const MessageField *signature = &message->fields[MESSAGE_KEY_SIGNATURE];
    if (id->kind != MESSAGE_FIELD_STRING || id->len == 0)
        return "missing_node_id";
    if (is_empty(key) || is_empty(signature))
        return "signature_required";
    if (!message_field_decode(id, ret->node_id, sizeof ret->node_id, &ret->node_id_len))
        return "invalid_node_id";
    guint8 signature_bytes[ED25519_SIGNATURE_BYTES];
    guint8 signed_bytes[sizeof conn->nonce + LIMIT_NODE_ID_BYTES];
    memcpy(signed_bytes, conn->nonce, sizeof conn->nonce);
    memcpy(signed_bytes + sizeof conn->nonce, ret->node_id, ret->node_id_len);
    if (!read_base64(key, ret->signing_key, sizeof ret->signing_key) ||
        !read_base64(signature, signature_bytes, sizeof signature_bytes) ||
        !ed25519_verify(ret->signing_key, signed_bytes, sizeof conn->nonce + ret->node_id_len,
                        signature_bytes))
        return "invalid_signature";
    return is_good_node_id(ret->node_id, ret->node_id_len) ? NULL : "invalid_node_id";
}

/* A word such as "mid" or "server-s". */
static gboolean read_tier_name(const MessageField *field, char *ret, gsize size)
{
    gsize len;
    if (field->kind == MESSAGE_FIELD_ABSENT) {
        g_strlcpy(ret, "micro", size);
        return TRUE;
    }
    if (field->kind != MESSAGE_FIELD_STRING || !message_field_decode(field, ret, size, &len) || len == 0)
        return FALSE;
    for (const char *at = ret; *at != '\0'; at++)
        if (!g_ascii_isalnum(*at) && strchr("-_.+", *at) == NULL)
            return FALSE;
    return TRUE;
}

/* "" or an X25519 key with which a secret can be shared: other Nodes fail on anything else. */
static gboolean read_public_key(const MessageField *field, char *ret, gsize size)
{
    gsize len = 0;
    guint8 key[X25519_PUBLIC_BYTES];
    ret[0] = '\0';
    if (is_empty(field))
        return TRUE;
    return field->kind == MESSAGE_FIELD_STRING && message_field_decode(field, ret, size, &len) &&
           base64_decode_exact(ret, key, sizeof key) && x25519_public_is_usable(key);
}

static const char *check_fields(const NodeMessage *message, Registration *ret)
{
    const MessageField *vram = &message->fields[MESSAGE_KEY_VRAM_USED_MB];
    if (!read_tier_name(&message->fields[MESSAGE_KEY_TIER_NAME], ret->tier_name, sizeof ret->tier_name))
        return "invalid_tier_name";
    ret->vram_used_mb = 0;
    if (vram->kind != MESSAGE_FIELD_ABSENT &&
        !message_field_integer(vram, 0, LIMIT_VRAM_MB, &ret->vram_used_mb))
        return "invalid_vram_used_mb";
    if (!read_public_key(&message->fields[MESSAGE_KEY_PUBLIC_KEY], ret->public_key, sizeof ret->public_key))
        return "invalid_public_key";
    return NULL;
}

static const char *check(RelayConn *conn, const NodeMessage *message, gint64 now_us, Registration *ret)
{
    guint retry_after_s;
    if (!rate_limit_admit(conn->shard->relay->register_limit, conn->client, now_us, &retry_after_s))
        return "register_rate_limit";
    const char *error = check_identity(conn, message, ret);
    return error != NULL ? error : check_fields(message, ret);
}

/* --- Asking and holding --- */

void registration_request(RelayConn *conn, const NodeMessage *message, gint64 now_us)
{
    Registration registration;
    const char *error = check(conn, message, now_us, &registration);
    if (error != NULL) {
        shard_count(conn->shard, RELAY_REGISTER_REFUSED);
        conn_send_error(conn, error, NULL);
        return;
    }
    const NodeFields fields = {
        .node_id = registration.node_id,
        .tier_name = registration.tier_name,
        .vram_used_mb = registration.vram_used_mb,
        .public_key = registration.public_key,
        .signing_key = registration.signing_key,
    };
    conn->registering = node_record_new(&fields, conn->ref, now_us);
    if (conn->held == NULL)
        conn->held = g_new0(HeldMessages, 1);
    conn_pause(conn, PAUSE_REGISTERING, TRUE);
    registrar_register(conn->shard->relay->registrar, conn->registering, conn->record);
}

void registration_hold(RelayConn *conn, const char *text, gsize len)
{
    HeldMessages *held = conn->held;
    held->in_bytes += len + HELD_MESSAGE_OVERHEAD;
    if (held->in_bytes > LIMIT_WS_HELD_BYTES) {
        conn_close(conn, RELAY_CLOSE_POLICY, "too many messages before the answer to register");
        return;
    }
    g_queue_push_tail(&held->in, g_bytes_new(text, len));
}

static void unref_bytes(gpointer data)
{
    g_bytes_unref(data);
}

static void free_held(RelayConn *conn)
{
    if (conn->held == NULL)
        return;
    g_queue_clear_full(&conn->held->in, unref_bytes);
    g_queue_clear_full(&conn->held->out, unref_bytes);
    g_clear_pointer(&conn->held, g_free);
}

/* --- The decision --- */

static void set_record(RelayConn *conn, NodeRecord *record)
{
    if (conn->record != NULL) {
        g_queue_unlink(&conn->shard->alive, &conn->alive_link);
        node_record_unref(conn->record);
    }
    conn->record = record == NULL ? NULL : node_record_ref(record);
    if (record != NULL)
        g_queue_push_tail_link(&conn->shard->alive, &conn->alive_link);
}

static void send_held(RelayConn *conn)
{
    for (GBytes *text; (text = g_queue_pop_head(&conn->held->out)) != NULL;) {
        conn_send(conn, text);
        g_bytes_unref(text);
    }
    conn->held->out_bytes = 0;
}

void registration_done(RelayShard *shard, ShardMail *mail)
{
    RelayConn *conn = shard_conn(shard, mail->asker);
    /* A connection that was closed meanwhile has released what it got. */
    if (conn == NULL || conn->registering != mail->record)
        return;
    g_clear_pointer(&conn->registering, node_record_unref);
    if (mail->error != NULL) {
        shard_count(shard, RELAY_REGISTER_REFUSED);
        conn_send_error(conn, mail->error, NULL);
    } else {
        shard_count(shard, RELAY_REGISTERED);
        set_record(conn, mail->record);
        g_autoptr(GBytes) text = node_message_registered(mail->record->node_id);
        conn_send(conn, text);
    }
    send_held(conn);
    conn->replay_due = TRUE;
    g_queue_push_tail_link(&shard->replays, &conn->replay_link);
}

/* Acts on held messages until there are none or one of them registers again. */
static void replay(RelayConn *conn)
{
    gint64 now_us = g_get_monotonic_time();
    conn->replay_due = FALSE;
    while (!conn->closing && conn->registering == NULL) {
        g_autoptr(GBytes) text = g_queue_pop_head(&conn->held->in);
        if (text == NULL) {
            free_held(conn);
            conn_pause(conn, PAUSE_REGISTERING, FALSE);
            return;
        }
        gsize len;
        const char *data = g_bytes_get_data(text, &len);
        conn->held->in_bytes -= len + HELD_MESSAGE_OVERHEAD;
        conn_dispatch(conn, data, len, now_us);
    }
}

void registration_replay(RelayShard *shard)
{
    /* A replayed query may read mail; what that adds is done by the outer call, not on top of it. */
    if (shard->replaying)
        return;
    shard->replaying = TRUE;
    for (GList *link; (link = g_queue_pop_head_link(&shard->replays)) != NULL;)
        replay(link->data);
    shard->replaying = FALSE;
}

/* --- Changes of the registry --- */

/* Somebody with the same key has registered the id on a newer connection. */
static void close_replaced(RelayShard *shard, const NodeRecord *old, const NodeRecord *new)
{
    RelayConn *conn = shard_conn(shard, old->conn);
    if (conn == NULL || conn->record != old || conn_ref_equal(old->conn, new->conn))
        return;
    shard_count(shard, RELAY_TAKEOVER);
    conn_close(conn, RELAY_CLOSE_REPLACED, "replaced by a newer connection");
}

void registration_node_added(RelayShard *shard, ShardMail *mail)
{
    shard->nodes_version = mail->version;
    g_autoptr(NodeRecord) old = node_list_put(&shard->nodes, mail->record);
    if (old != NULL)
        close_replaced(shard, old, mail->record);
}

void registration_node_removed(RelayShard *shard, ShardMail *mail)
{
    shard->nodes_version = mail->version;
    node_list_remove(&shard->nodes, mail->record);
}

void registration_release(RelayConn *conn)
{
    RelayShard *shard = conn->shard;
    Registrar *registrar = shard->relay->registrar;
    if (conn->record != NULL)
        registrar_release(registrar, conn->ref, conn->record->node_id);
    /* Stands behind the request itself in the actor's mailbox. */
    if (conn->registering != NULL)
        registrar_release(registrar, conn->ref, conn->registering->node_id);
    if (conn->replay_due)
        g_queue_unlink(&shard->replays, &conn->replay_link);
    set_record(conn, NULL);
    g_clear_pointer(&conn->registering, node_record_unref);
    free_held(conn);
}
