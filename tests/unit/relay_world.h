/* SPDX-License-Identifier: MIT
 *
 * A relay with two shards, real state actor and identity.db, and sockets that only remember what was sent to
 * them. Shards and clock stand still unless a test moves them, so that every order of events can be made.
 */
#pragma once

#include "broker/net/actor.h"
#include "broker/relay/node_message.h"
#include "broker/relay/relay.h"
#include "schema/limits.h"
#include "signing/hash.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

enum { WORLD_SHARDS = 2, WORLD_ROUNDS = 6 };

typedef struct {
    RelayConn *conn;
    GQueue sent; /* of char *: texts not yet looked at */
    guint8 nonce[32];
    IpQuota *quota;
    guint shard;
    guint16 close_code; /* 0: open */
    char *close_reason;
    gboolean paused;
    gboolean full;   /* refuses messages */
    GPtrArray *kept; /* of GBytes: what a slow reader has not read; NULL: reads at once */
} Socket;

typedef struct {
    char *dir;
    char *identity_path;
    RelayOptions options;
    Relay *relay;
    RelayShard *shards[WORLD_SHARDS];
    Mailbox *mailboxes[WORLD_SHARDS];
    IpQuotaTable *quotas;
    gint64 now_us;
} World;

/* --- The transport --- */

static inline gboolean world_send(gpointer data, GBytes *text)
{
    Socket *socket = data;
    gsize len;
    const char *bytes = g_bytes_get_data(text, &len);
    if (socket->full)
        return FALSE;
    g_assert_cmpuint(len, <=, LIMIT_WS_MESSAGE_BYTES);
    g_assert_cmpuint(socket->close_code, ==, 0);
    g_queue_push_tail(&socket->sent, g_strndup(bytes, len));
    if (socket->kept != NULL)
        g_ptr_array_add(socket->kept, g_bytes_ref(text));
    return TRUE;
}

static inline void world_close(gpointer data, guint16 code, const char *reason)
{
    Socket *socket = data;
    g_assert_cmpuint(socket->close_code, ==, 0);
    socket->close_code = code;
    socket->close_reason = g_strdup(reason);
}

static inline void world_pause(gpointer data, gboolean paused)
{
    Socket *socket = data;
    g_assert_cmpint(socket->paused, !=, paused);
    socket->paused = paused;
}

static const RelayTransport world_transport = {world_send, world_close, world_pause};

/* --- Life cycle --- */

static inline void world_start(World *world)
{
    g_autoptr(GError) error = NULL;
    world->options.state = actor_new("state");
    world->relay = relay_new(&world->options, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < WORLD_SHARDS; i++) {
        world->mailboxes[i] = mailbox_new();
        world->shards[i] = relay_shard_new(world->relay, i, world->mailboxes[i], &world_transport);
    }
}

static inline void world_stop(World *world)
{
    for (guint i = 0; i < WORLD_SHARDS; i++)
        relay_shard_free(world->shards[i]);
    relay_free(world->relay);
    actor_free(world->options.state);
    for (guint i = 0; i < WORLD_SHARDS; i++)
        mailbox_free(world->mailboxes[i]);
}

/* Everything unlimited but for the relay's own limits; a test may change the options before world_start. */
static inline World *world_prepare(void)
{
    static const guint unlimited[IP_QUOTA_KINDS] = {0};
    World *world = g_new0(World, 1);
    signing_init();
    world->dir = g_dir_make_tmp("kontor-relay-XXXXXX", NULL);
    world->identity_path = g_build_filename(world->dir, "identity.db", NULL);
    world->quotas = ip_quota_table_new(unlimited);
    world->now_us = g_get_monotonic_time();
    world->options = (RelayOptions){
        .identity_path = world->identity_path,
        .shards = WORLD_SHARDS,
        .nodes_max = 1000,
        .identities_max = 1000,
        .pending_max = 1000,
        .register_limit = rate_limit_new(0, 60, 100),
    };
    return world;
}

static inline World *world_new(void)
{
    World *world = world_prepare();
    world_start(world);
    return world;
}

/* Frees everything but the relay, which was stopped or never started. */
static inline void world_discard(World *world)
{
    rate_limit_free(world->options.register_limit);
    ip_quota_table_free(world->quotas);
    g_autoptr(GDir) dir = g_dir_open(world->dir, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(world->dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(world->dir);
    g_free(world->identity_path);
    g_free(world->dir);
    g_free(world);
}

static inline void world_free(World *world)
{
    world_stop(world);
    world_discard(world);
}

/* --- Letting things happen --- */

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    gboolean reached;
} Barrier;

static inline void barrier_reached(gpointer data, gboolean cancelled G_GNUC_UNUSED)
{
    Barrier *barrier = data;
    pthread_mutex_lock(&barrier->lock);
    barrier->reached = TRUE;
    pthread_cond_signal(&barrier->change);
    pthread_mutex_unlock(&barrier->lock);
}

/* Waits until the state actor has done what was posted before. */
static inline void world_sync_state(World *world)
{
    Barrier barrier = {.reached = FALSE};
    pthread_mutex_init(&barrier.lock, NULL);
    pthread_cond_init(&barrier.change, NULL);
    actor_post(world->options.state, barrier_reached, &barrier);
    pthread_mutex_lock(&barrier.lock);
    while (!barrier.reached)
        pthread_cond_wait(&barrier.change, &barrier.lock);
    pthread_mutex_unlock(&barrier.lock);
    pthread_cond_destroy(&barrier.change);
    pthread_mutex_destroy(&barrier.lock);
}

static inline void wait_for_barrier(gpointer data, gboolean cancelled G_GNUC_UNUSED)
{
    Barrier *barrier = data;
    pthread_mutex_lock(&barrier->lock);
    while (!barrier->reached)
        pthread_cond_wait(&barrier->change, &barrier->lock);
    pthread_mutex_unlock(&barrier->lock);
    pthread_cond_destroy(&barrier->change);
    pthread_mutex_destroy(&barrier->lock);
    g_free(barrier);
}

/* Stops the state actor until barrier_reached is called with what this returns, which is then gone. */
static inline Barrier *world_stop_state(World *world)
{
    Barrier *barrier = g_new0(Barrier, 1);
    pthread_mutex_init(&barrier->lock, NULL);
    pthread_cond_init(&barrier->change, NULL);
    actor_post(world->options.state, wait_for_barrier, barrier);
    return barrier;
}

/* Lets the registrar commit what it was asked, without any shard reading its mail. */
static inline void world_commit(World *world)
{
    for (guint round = 0; round < WORLD_ROUNDS; round++)
        world_sync_state(world);
}

/* Until nothing moves any more. */
static inline void world_settle(World *world)
{
    for (guint round = 0; round < WORLD_ROUNDS; round++) {
        world_sync_state(world);
        for (guint i = 0; i < WORLD_SHARDS; i++)
            mailbox_drain(world->mailboxes[i]);
    }
}

static inline void world_advance(World *world, double seconds)
{
    world->now_us += (gint64)(seconds * G_USEC_PER_SEC);
    for (guint i = 0; i < WORLD_SHARDS; i++)
        relay_shard_tick(world->shards[i], world->now_us);
    world_settle(world);
}

/* --- Sockets --- */

/* The next text that was sent; "" when there is none. */
static inline char *socket_next(Socket *socket)
{
    char *text = g_queue_pop_head(&socket->sent);
    return text != NULL ? text : g_strdup("");
}

#define assert_next(socket, expected)                                                                        \
    do {                                                                                                     \
        g_autofree char *next_text = socket_next(socket);                                                    \
        g_assert_cmpstr(next_text, ==, (expected));                                                          \
    } while (0)
#define assert_error(socket, name) assert_next((socket), "{\"type\":\"error\",\"error\":\"" name "\"}")
#define assert_query_error(socket, name, id)                                                                 \
    assert_next((socket), "{\"type\":\"error\",\"error\":\"" name "\",\"query_id\":\"" id "\"}")
#define assert_nothing(socket) g_assert_cmpuint((socket)->sent.length, ==, 0)

static inline Socket *socket_open_from(World *world, guint shard, const guint8 client[16])
{
    Socket *socket = g_new0(Socket, 1);
    g_queue_init(&socket->sent);
    socket->shard = shard;
    socket->quota = ip_quota_acquire(world->quotas, client);
    socket->conn = relay_conn_open(world->shards[shard], socket, client, socket->quota, world->now_us);
    g_autofree char *challenge = socket_next(socket);
    static const char before[] = "{\"type\":\"challenge\",\"nonce\":\"";
    g_assert_true(g_str_has_prefix(challenge, before));
    g_assert_true(g_str_has_suffix(challenge, "\"}"));
    challenge[strlen(challenge) - 2] = '\0';
    g_assert_true(base64_decode_exact(challenge + sizeof before - 1, socket->nonce, sizeof socket->nonce));
    return socket;
}

static inline Socket *socket_open(World *world, guint shard)
{
    static const guint8 loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    return socket_open_from(world, shard, loopback);
}

static inline void socket_free(Socket *socket)
{
    relay_conn_closed(socket->conn);
    ip_quota_release(socket->quota);
    g_queue_clear_full(&socket->sent, g_free);
    g_clear_pointer(&socket->kept, g_ptr_array_unref);
    g_free(socket->close_reason);
    g_free(socket);
}

static inline void socket_write(World *world, Socket *socket, const char *text)
{
    relay_conn_message(socket->conn, text, strlen(text), world->now_us);
}

/* A register message signed with the key of that number, with further members (", …" or ""). */
static inline char *register_message(const Socket *socket, const char *node_id, guint8 key_number,
                                     const char *further)
{
    guint8 seed[crypto_sign_SEEDBYTES], public_key[32], secret_key[crypto_sign_SECRETKEYBYTES];
    guint8 signature[64];
    memset(seed, key_number, sizeof seed);
    crypto_sign_seed_keypair(public_key, secret_key, seed);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_byte_array_append(bytes, socket->nonce, sizeof socket->nonce);
    g_byte_array_append(bytes, (const guint8 *)node_id, (guint)strlen(node_id));
    crypto_sign_detached(signature, NULL, bytes->data, bytes->len, secret_key);
    g_autofree char *key_text = base64_encode(public_key, sizeof public_key);
    g_autofree char *signature_text = base64_encode(signature, sizeof signature);
    g_autofree char *id_json = node_message_quote(node_id);
    return g_strdup_printf("{\"type\": \"register\", \"node_id\": %s, \"signing_pubkey\": \"%s\", "
                           "\"signature\": \"%s\"%s}",
                           id_json, key_text, signature_text, further);
}

static inline void socket_register(World *world, Socket *socket, const char *node_id, guint8 key_number)
{
    g_autofree char *text = register_message(socket, node_id, key_number, "");
    socket_write(world, socket, text);
}

/* A new socket that has registered and read the answer. */
static inline Socket *socket_open_node(World *world, guint shard, const char *node_id, guint8 key_number)
{
    Socket *socket = socket_open(world, shard);
    socket_register(world, socket, node_id, key_number);
    world_settle(world);
    g_autofree char *id_json = node_message_quote(node_id);
    g_autofree char *expected = g_strdup_printf("{\"type\":\"registered\",\"node_id\":%s}", id_json);
    assert_next(socket, expected);
    return socket;
}

static inline guint64 world_counter(World *world, RelayCounter counter)
{
    guint64 counters[RELAY_COUNTERS];
    relay_counters(world->relay, counters);
    return counters[counter];
}
