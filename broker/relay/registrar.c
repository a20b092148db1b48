/* SPDX-License-Identifier: MIT */
#include "broker/relay/registrar.h"

#include "broker/log.h"
#include "broker/relay/identity.h"
#include "broker/relay/text_hash.h"
#include "schema/limits.h"

#include <pthread.h>

/* A request that waits for the commit. */
typedef struct {
    Registrar *registrar;
    GList link;
    NodeRecord *record; /* to register; NULL: release `node_id` */
    NodeRecord *held;
    ConnRef conn;
    char *node_id;
    const char *error; /* what the identity table says against it; a literal */
} Request;

struct Registrar {
    Actor *state;
    ShardPort *const *ports;
    guint port_count;
    guint nodes_max;           /* atomic */
    guint64 version;           /* atomic; written on the state actor */
    guint node_count;          /* atomic; written on the state actor */
    pthread_mutex_t idle_lock; /* for registrar_free alone */
    pthread_cond_t idle_change;
    gboolean idle;
    /* The rest is the state actor's. */
    Identity *identity;
    GHashTable *nodes; /* node id → NodeRecord, owned */
    GQueue waiting;    /* of Request */
    gboolean commit_posted;
};

static void request_free(Request *request)
{
    node_record_unref(request->record);
    node_record_unref(request->held);
    g_free(request->node_id);
    g_free(request);
}

/* --- The registry and its replicas --- */

static void broadcast(Registrar *registrar, MailKind kind, NodeRecord *record)
{
    guint64 version = registrar->version + 1;
    for (guint i = 0; i < registrar->port_count; i++) {
        ShardMail *mail = shard_mail_new(kind, "", 0);
        mail->record = node_record_ref(record);
        mail->version = version;
        shard_port_send(registrar->ports[i], mail);
    }
    __atomic_store_n(&registrar->version, version, __ATOMIC_RELEASE);
    __atomic_store_n(&registrar->node_count, g_hash_table_size(registrar->nodes), __ATOMIC_RELAXED);
}

static void add_node(Registrar *registrar, NodeRecord *record)
{
    /* Replaces the key, too: it belongs to the record. */
    g_hash_table_replace(registrar->nodes, record->node_id, node_record_ref(record));
    broadcast(registrar, MAIL_NODE_ADDED, record);
}

/* Ends the registration of an id, provided that this connection still has it. */
static void remove_node(Registrar *registrar, ConnRef conn, const char *node_id)
{
    NodeRecord *found = g_hash_table_lookup(registrar->nodes, node_id);
    if (found == NULL || !conn_ref_equal(found->conn, conn))
        return;
    g_autoptr(NodeRecord) record = node_record_ref(found);
    g_hash_table_remove(registrar->nodes, record->node_id);
    broadcast(registrar, MAIL_NODE_REMOVED, record);
}

static void answer(Registrar *registrar, NodeRecord *record, const char *error)
{
    ShardMail *mail = shard_mail_new(MAIL_REGISTER_DONE, "", 0);
    mail->asker = record->conn;
    mail->record = node_record_ref(record);
    mail->error = error;
    shard_port_send(registrar->ports[record->conn.shard], mail);
}

static void apply(Registrar *registrar, Request *request)
{
    NodeRecord *record = request->record;
    if (record == NULL) {
        remove_node(registrar, request->conn, request->node_id);
        return;
    }
    guint nodes_max = __atomic_load_n(&registrar->nodes_max, __ATOMIC_RELAXED);
    gboolean known = g_hash_table_contains(registrar->nodes, record->node_id);
    if (request->error == NULL && !known && g_hash_table_size(registrar->nodes) >= nodes_max)
        request->error = "broker_at_capacity";
    if (request->error == NULL) {
        if (request->held != NULL && !g_str_equal(request->held->node_id, record->node_id))
            remove_node(registrar, record->conn, request->held->node_id);
        add_node(registrar, record);
    }
    answer(registrar, record, request->error);
}

/* --- The identity table --- */

static gboolean is_registered(gpointer user, const char *node_id)
{
    const Registrar *registrar = user;
    return g_hash_table_contains(registrar->nodes, node_id);
}

static gboolean claim(Registrar *registrar, Request *request, gint64 now_s, GError **error)
{
    if (request->record == NULL)
        return identity_touch(registrar->identity, request->node_id, now_s, error);
    IdentityClaim claim = IDENTITY_FULL;
    if (!identity_claim(registrar->identity, request->record->node_id, request->record->signing_key, now_s,
                        is_registered, registrar, &claim, error))
        return FALSE;
    if (claim == IDENTITY_OTHER_KEY)
        request->error = "node_id_owned_by_another_key";
    else if (claim == IDENTITY_FULL)
        request->error = "identity_table_full";
    return TRUE;
}

static gboolean claim_all(Registrar *registrar, const GQueue *requests, GError **error)
{
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
    if (!identity_begin(registrar->identity, error))
        return FALSE;
    for (const GList *link = requests->head; link != NULL; link = link->next) {
        if (!claim(registrar, link->data, now_s, error)) {
            identity_rollback(registrar->identity);
            return FALSE;
        }
    }
    if (!identity_commit(registrar->identity, error)) {
        identity_rollback(registrar->identity);
        return FALSE;
    }
    return TRUE;
}

/* The table cannot be written, most likely because the disk is full: whoever's identity is on it already need
 * not suffer. What the failed transaction found out may be about rows that it lost again. */
static void judge_unstored(Registrar *registrar, Request *request)
{
    gboolean found = FALSE, same = FALSE;
    if (request->record == NULL)
        return;
    if (!identity_look_up(registrar->identity, request->record->node_id, request->record->signing_key, &found,
                          &same, NULL) ||
        !found)
        request->error = "registration_unavailable";
    else
        request->error = same ? NULL : "node_id_owned_by_another_key";
}

/* --- On the state actor --- */

static void commit(gpointer data, gboolean cancelled);

static void post_commit(Registrar *registrar)
{
    if (registrar->commit_posted)
        return;
    registrar->commit_posted = TRUE;
    actor_post(registrar->state, commit, registrar);
}

static void commit(gpointer data, gboolean cancelled)
{
    Registrar *registrar = data;
    registrar->commit_posted = FALSE;
    if (cancelled)
        return;
    GQueue batch = G_QUEUE_INIT;
    for (GList *link; batch.length < LIMIT_REGISTRATION_BATCH &&
                      (link = g_queue_pop_head_link(&registrar->waiting)) != NULL;)
        g_queue_push_tail_link(&batch, link);
    g_autoptr(GError) error = NULL;
    gboolean stored = claim_all(registrar, &batch, &error);
    if (!stored)
        log_error_event(LOG_ERROR, "node_identities_not_stored", error, NULL);
    for (GList *link; (link = g_queue_pop_head_link(&batch)) != NULL;) {
        Request *request = link->data;
        if (!stored)
            judge_unstored(registrar, request);
        apply(registrar, request);
        request_free(request);
    }
    if (registrar->waiting.length > 0)
        post_commit(registrar);
}

static void receive(gpointer data, gboolean cancelled)
{
    Request *request = data;
    Registrar *registrar = request->registrar;
    if (cancelled) {
        request_free(request);
        return;
    }
    /* Whatever stands in the actor's mailbox before this commit goes with it. */
    g_queue_push_tail_link(&registrar->waiting, &request->link);
    post_commit(registrar);
}

/* Posted again until nothing is left to commit. */
static void report_idle(gpointer data, gboolean cancelled)
{
    Registrar *registrar = data;
    if (!cancelled && registrar->commit_posted) {
        actor_post(registrar->state, report_idle, registrar);
        return;
    }
    pthread_mutex_lock(&registrar->idle_lock);
    registrar->idle = TRUE;
    pthread_cond_signal(&registrar->idle_change);
    pthread_mutex_unlock(&registrar->idle_lock);
}

/* --- Any thread --- */

static Request *request_new(Registrar *registrar)
{
    Request *request = g_new0(Request, 1);
    request->registrar = registrar;
    request->link.data = request;
    return request;
}

void registrar_register(Registrar *registrar, NodeRecord *record, NodeRecord *held)
{
    Request *request = request_new(registrar);
    request->record = node_record_ref(record);
    request->held = held == NULL ? NULL : node_record_ref(held);
    actor_post(registrar->state, receive, request);
}

void registrar_release(Registrar *registrar, ConnRef conn, const char *node_id)
{
    Request *request = request_new(registrar);
    request->conn = conn;
    request->node_id = g_strdup(node_id);
    actor_post(registrar->state, receive, request);
}

void registrar_set_nodes_max(Registrar *registrar, guint nodes_max)
{
    __atomic_store_n(&registrar->nodes_max, nodes_max, __ATOMIC_RELAXED);
}

guint64 registrar_version(const Registrar *registrar)
{
    return __atomic_load_n(&registrar->version, __ATOMIC_ACQUIRE);
}

guint registrar_node_count(const Registrar *registrar)
{
    return __atomic_load_n(&registrar->node_count, __ATOMIC_RELAXED);
}

/* --- Life cycle --- */

static void unref_record(gpointer data)
{
    node_record_unref(data);
}

Registrar *registrar_new(const RegistrarOptions *options, GError **error)
{
    Identity *identity = identity_open(options->identity_path, options->identities_max, error);
    if (identity == NULL)
        return NULL;
    Registrar *registrar = g_new0(Registrar, 1);
    registrar->identity = identity;
    registrar->state = options->state;
    registrar->ports = options->ports;
    registrar->port_count = options->port_count;
    registrar->nodes_max = options->nodes_max;
    registrar->nodes = g_hash_table_new_full(text_hash, g_str_equal, NULL, unref_record);
    g_queue_init(&registrar->waiting);
    pthread_mutex_init(&registrar->idle_lock, NULL);
    pthread_cond_init(&registrar->idle_change, NULL);
    return registrar;
}

void registrar_free(Registrar *registrar)
{
    actor_post(registrar->state, report_idle, registrar);
    pthread_mutex_lock(&registrar->idle_lock);
    while (!registrar->idle)
        pthread_cond_wait(&registrar->idle_change, &registrar->idle_lock);
    pthread_mutex_unlock(&registrar->idle_lock);
    g_hash_table_destroy(registrar->nodes);
    identity_close(registrar->identity);
    pthread_cond_destroy(&registrar->idle_change);
    pthread_mutex_destroy(&registrar->idle_lock);
    g_free(registrar);
}
