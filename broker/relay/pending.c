/* SPDX-License-Identifier: MIT */
#include "broker/relay/pending.h"

#include "broker/relay/text_hash.h"

#include <string.h>

/* The table's keys are entries; they are compared by their PendingKey, which is their first member. */
static guint entry_hash(gconstpointer entry)
{
    return ((const PendingKey *)entry)->hash;
}

static gboolean entry_equal(gconstpointer a, gconstpointer b)
{
    const PendingKey *ka = a, *kb = b;
    return ka->len == kb->len && memcmp(ka->text, kb->text, ka->len) == 0;
}

static PendingKey make_key(const char *id, gsize id_len)
{
    return (PendingKey){text_hash_bytes(id, id_len), (guint)id_len, id};
}

void pending_table_init(PendingTable *table)
{
    table->by_id = g_hash_table_new(entry_hash, entry_equal);
    g_queue_init(&table->by_deadline);
}

void pending_table_clear(PendingTable *table)
{
    g_assert(g_hash_table_size(table->by_id) == 0);
    g_hash_table_destroy(table->by_id);
    table->by_id = NULL;
}

Pending *pending_add(PendingTable *table, const char *id, gsize id_len, const PendingParties *parties)
{
    Pending *pending = g_malloc0(sizeof *pending + id_len + 1);
    memcpy(pending->id, id, id_len);
    pending->key = make_key(pending->id, id_len);
    pending->asker = parties->asker;
    pending->target = parties->target;
    pending->asked = parties->asked;
    pending->addressed = parties->addressed;
    pending->deadline_us = parties->deadline_us;
    pending->asked_link.data = pending->addressed_link.data = pending->deadline_link.data = pending;
    if (pending->asked != NULL)
        g_queue_push_tail_link(pending->asked, &pending->asked_link);
    if (pending->addressed != NULL)
        g_queue_push_tail_link(pending->addressed, &pending->addressed_link);
    /* All queries live equally long, so this order is that of the deadlines but for the microseconds that a
     * query takes from one shard to another. */
    g_queue_push_tail_link(&table->by_deadline, &pending->deadline_link);
    gboolean added = g_hash_table_add(table->by_id, pending);
    g_assert(added);
    return pending;
}

Pending *pending_find(const PendingTable *table, const char *id, gsize id_len)
{
    PendingKey key = make_key(id, id_len);
    return g_hash_table_lookup(table->by_id, &key);
}

void pending_remove(PendingTable *table, Pending *pending)
{
    if (pending->asked != NULL)
        g_queue_unlink(pending->asked, &pending->asked_link);
    if (pending->addressed != NULL)
        g_queue_unlink(pending->addressed, &pending->addressed_link);
    g_queue_unlink(&table->by_deadline, &pending->deadline_link);
    g_hash_table_remove(table->by_id, pending);
    g_free(pending);
}

Pending *pending_first_expired(const PendingTable *table, gint64 now_us)
{
    Pending *pending = table->by_deadline.head == NULL ? NULL : table->by_deadline.head->data;
    return pending != NULL && pending->deadline_us <= now_us ? pending : NULL;
}
