/* SPDX-License-Identifier: MIT
 *
 * The relay with real threads: each shard has its own, Nodes register, ask each other, answer or keep silent,
 * and go away, all at once. Every query must have exactly one outcome, and nothing may be left at the end.
 * Meant for ThreadSanitizer as much as for its own assertions.
 */
#include "relay_world.h"

#include <poll.h>
#include <unistd.h>

enum {
    NODES_PER_SHARD = 12,
    QUERIES_PER_SHARD = 4000,
    OPEN_QUERIES_MAX = 64,
    CHURN_EVERY = 50, /* queries between two replacements of a socket */
};

typedef struct {
    RelayShard *shard;
    Mailbox *mailbox;
    IpQuotaTable *quotas;
    guint index;
    GRand *rng;
    GPtrArray *sockets; /* of Peer */
    GQueue closed;      /* of Peer: the transport was told to close */
    GHashTable *open;   /* query ids without an outcome */
    guint asked, answered, failed;
    gint *threads_busy; /* atomic: shards with something to do */
} Loop;

typedef struct {
    Loop *loop;
    RelayConn *conn;
    IpQuota *quota;
    GQueue inbox; /* of char * */
    guint node;   /* number of its id */
    guint8 nonce[32];
    gboolean closing;
} Peer;

static gboolean peer_send(gpointer data, GBytes *text)
{
    Peer *peer = data;
    g_queue_push_tail(&peer->inbox, g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text)));
    return TRUE;
}

static void peer_close(gpointer data, guint16 code G_GNUC_UNUSED, const char *reason G_GNUC_UNUSED)
{
    Peer *peer = data;
    g_assert_false(peer->closing);
    peer->closing = TRUE;
    g_queue_push_tail(&peer->loop->closed, peer);
}

static void peer_pause(gpointer data G_GNUC_UNUSED, gboolean paused G_GNUC_UNUSED)
{
}

static const RelayTransport peer_transport = {peer_send, peer_close, peer_pause};

static void peer_write(Peer *peer, const char *text)
{
    if (!peer->closing)
        relay_conn_message(peer->conn, text, strlen(text), g_get_monotonic_time());
}

static Peer *peer_open(Loop *loop, guint node)
{
    static const guint8 loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    Peer *peer = g_new0(Peer, 1);
    peer->loop = loop;
    peer->node = node;
    g_queue_init(&peer->inbox);
    peer->quota = ip_quota_acquire(loop->quotas, loopback);
    peer->conn = relay_conn_open(loop->shard, peer, loopback, peer->quota, g_get_monotonic_time());
    g_ptr_array_add(loop->sockets, peer);
    return peer;
}

static void peer_free(Peer *peer)
{
    relay_conn_closed(peer->conn);
    g_ptr_array_remove(peer->loop->sockets, peer);
    g_queue_remove(&peer->loop->closed, peer);
    ip_quota_release(peer->quota);
    g_queue_clear_full(&peer->inbox, g_free);
    g_free(peer);
}

/* The value of a string member; texts here are simple enough. */
static char *member(const char *text, const char *key)
{
    g_autofree char *start = g_strdup_printf("\"%s\":\"", key);
    const char *at = strstr(text, start);
    if (at == NULL)
        return NULL;
    at += strlen(start);
    return g_strndup(at, strcspn(at, "\""));
}

static void peer_challenged(Peer *peer, const char *text)
{
    g_autofree char *nonce = member(text, "nonce");
    g_assert_true(base64_decode_exact(nonce, peer->nonce, sizeof peer->nonce));
    Socket socket = {.conn = peer->conn};
    memcpy(socket.nonce, peer->nonce, sizeof socket.nonce);
    g_autofree char *id = g_strdup_printf("node-%u", peer->node);
    g_autofree char *message = register_message(&socket, id, (guint8)peer->node, "");
    peer_write(peer, message);
}

static void finished(Loop *loop, const char *text, guint *counter)
{
    g_autofree char *id = member(text, "query_id");
    g_assert_nonnull(id);
    /* Exactly one outcome, and only to the one who asked. */
    if (!g_hash_table_remove(loop->open, id))
        g_error("unexpected %s", text);
    (*counter)++;
}

static void peer_queried(Peer *peer, const char *text)
{
    g_autofree char *id = member(text, "query_id");
    g_autofree char *answer =
        g_strdup_printf("{\"type\":\"response\",\"query_id\":\"%s\",\"payload\":\"ok\"}", id);
    switch (g_rand_int_range(peer->loop->rng, 0, 100)) {
    case 0: /* goes away with the query unanswered */
        peer_free(peer);
        break;
    case 1: /* answers twice */
        peer_write(peer, answer);
        peer_write(peer, answer);
        break;
    default:
        peer_write(peer, answer);
        break;
    }
}

/* Acts on one text; the peer may be gone afterwards. */
static void peer_read(Peer *peer, const char *text)
{
    if (strstr(text, "\"type\":\"challenge\"") != NULL)
        peer_challenged(peer, text);
    else if (strstr(text, "\"type\":\"query\"") != NULL)
        peer_queried(peer, text);
    else if (strstr(text, "\"type\":\"response\"") != NULL)
        finished(peer->loop, text, &peer->loop->answered);
    else if (strstr(text, "\"query_id\"") != NULL)
        finished(peer->loop, text, &peer->loop->failed);
    else
        g_assert_nonnull(strstr(text, "\"type\":\"registered\""));
}

static gboolean read_all(Loop *loop)
{
    gboolean any = FALSE;
    for (guint i = 0; i < loop->sockets->len; i++) {
        Peer *peer = loop->sockets->pdata[i];
        g_autofree char *text = g_queue_pop_head(&peer->inbox);
        if (text != NULL) {
            any = TRUE;
            peer_read(peer, text);
        }
    }
    return any;
}

/* The asker has its socket for itself, so that only targets go away. */
static void ask(Loop *loop, Peer *asker)
{
    char *id = g_strdup_printf("%u-%u", loop->index, loop->asked++);
    guint node = (guint)g_rand_int_range(loop->rng, 0, NODES_PER_SHARD * WORLD_SHARDS);
    g_autofree char *text = g_strdup_printf(
        "{\"type\":\"query\",\"query_id\":\"%s\",\"to\":\"node-%u\",\"payload\":\"p\"}", id, node);
    g_hash_table_add(loop->open, id);
    peer_write(asker, text);
}

static void churn(Loop *loop)
{
    /* Any id, also one that is connected to the other shard. */
    if (loop->sockets->len < NODES_PER_SHARD * 2)
        peer_open(loop, (guint)g_rand_int_range(loop->rng, 0, NODES_PER_SHARD * WORLD_SHARDS));
}

static void turn(Loop *loop, Peer *asker)
{
    struct pollfd wait = {.fd = mailbox_fd(loop->mailbox), .events = POLLIN};
    if (!read_all(loop))
        poll(&wait, 1, 1);
    mailbox_drain(loop->mailbox);
    for (Peer *peer; (peer = g_queue_pop_head(&loop->closed)) != NULL;) {
        g_assert_true(peer != asker);
        peer_free(peer);
    }
    relay_shard_tick(loop->shard, g_get_monotonic_time());
}

static gpointer loop_main(gpointer data)
{
    Loop *loop = data;
    for (guint i = 0; i < NODES_PER_SHARD; i++)
        peer_open(loop, loop->index * NODES_PER_SHARD + i);
    Peer *asker = peer_open(loop, NODES_PER_SHARD * WORLD_SHARDS + loop->index);
    while (loop->asked < QUERIES_PER_SHARD) {
        while (g_hash_table_size(loop->open) < OPEN_QUERIES_MAX && loop->asked < QUERIES_PER_SHARD) {
            ask(loop, asker);
            if (loop->asked % CHURN_EVERY == 0)
                churn(loop);
        }
        turn(loop, asker);
        g_autoptr(GBytes) nodes = relay_shard_nodes_json(loop->shard, g_get_monotonic_time());
        g_assert_cmpuint(g_bytes_get_size(nodes), >=, 2);
    }
    while (g_hash_table_size(loop->open) > 0)
        turn(loop, asker);
    /* The other shard may still wait for answers from here. */
    g_atomic_int_add(loop->threads_busy, -1);
    while (g_atomic_int_get(loop->threads_busy) > 0)
        turn(loop, asker);
    while (loop->sockets->len > 0)
        peer_free(loop->sockets->pdata[0]);
    return NULL;
}

static void test_everything_at_once(void)
{
    World *world = world_prepare();
    gint busy = WORLD_SHARDS;
    Loop loops[WORLD_SHARDS] = {0};
    GThread *threads[WORLD_SHARDS];
    world->options.state = actor_new("state");
    world->relay = relay_new(&world->options, NULL);
    for (guint i = 0; i < WORLD_SHARDS; i++) {
        world->mailboxes[i] = mailbox_new();
        world->shards[i] = relay_shard_new(world->relay, i, world->mailboxes[i], &peer_transport);
        loops[i] = (Loop){
            .shard = world->shards[i],
            .mailbox = world->mailboxes[i],
            .quotas = world->quotas,
            .index = i,
            .rng = g_rand_new_with_seed(g_test_rand_int()),
            .sockets = g_ptr_array_new(),
            .open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
            .threads_busy = &busy,
        };
        g_queue_init(&loops[i].closed);
    }
    for (guint i = 0; i < WORLD_SHARDS; i++)
        threads[i] = g_thread_new("shard", loop_main, &loops[i]);
    for (guint i = 0; i < WORLD_SHARDS; i++)
        g_thread_join(threads[i]);
    guint answered = 0, failed = 0;
    for (guint i = 0; i < WORLD_SHARDS; i++) {
        answered += loops[i].answered;
        failed += loops[i].failed;
        g_rand_free(loops[i].rng);
        g_ptr_array_unref(loops[i].sockets);
        g_hash_table_unref(loops[i].open);
    }
    g_assert_cmpuint(answered + failed, ==, QUERIES_PER_SHARD * WORLD_SHARDS);
    g_assert_cmpuint(answered, >, 0);
    g_assert_cmpuint(world_counter(world, RELAY_QUERY_ANSWERED), ==, answered);
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    g_assert_cmpuint(relay_connection_count(world->relay), ==, 0);
    g_test_message("%u answered, %u failed, %" G_GUINT64_FORMAT " replaced", answered, failed,
                   world_counter(world, RELAY_TAKEOVER));
    world_settle(world);
    g_assert_cmpuint(relay_node_count(world->relay), ==, 0);
    world_free(world);
}

/* GLib's slice allocator hands memory from thread to thread in ways that ThreadSanitizer cannot see. */
static void use_plain_malloc(char **argv)
{
    if (g_getenv("G_SLICE") != NULL)
        return;
    g_setenv("G_SLICE", "always-malloc", TRUE);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    use_plain_malloc(argv);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/threads", test_everything_at_once);
    return g_test_run();
}
