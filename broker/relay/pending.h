/* SPDX-License-Identifier: MIT
 *
 * The queries that wait for an answer, as one shard knows them. An entry is made where the query was asked
 * and where its target is: two entries on two shards, or one when both are the same. Each shard's thread has
 * its own table and nobody else touches it.
 *
 * An entry stands in the queue of its asker, of its target (each only when that connection is of this shard),
 * and in the order of deadlines; removing it takes it out of all of them.
 */
#pragma once

#include "broker/relay/node_record.h"

typedef struct {
    guint hash;
    guint len;
    const char *text;
} PendingKey;

typedef struct {
    PendingKey key; /* points to `id` */
    ConnRef asker;
    ConnRef target;
    GQueue *asked;     /* of the asking connection; NULL when it is of another shard */
    GQueue *addressed; /* of the target; NULL when it is of another shard */
    gint64 deadline_us;
    GList asked_link;
    GList addressed_link;
    GList deadline_link;
    char id[]; /* query_id, NUL-terminated */
} Pending;

typedef struct {
    GHashTable *by_id;
    GQueue by_deadline;
} PendingTable;

void pending_table_init(PendingTable *table);
void pending_table_clear(PendingTable *table); /* all entries must be gone */

/* Who waits for whom. */
typedef struct {
    ConnRef asker;
    ConnRef target;
    GQueue *asked;     /* NULL: of another shard */
    GQueue *addressed; /* NULL: of another shard */
    gint64 deadline_us;
} PendingParties;

/* The id must not be in the table. */
Pending *pending_add(PendingTable *table, const char *id, gsize id_len, const PendingParties *parties);
/* NULL when there is none. */
Pending *pending_find(const PendingTable *table, const char *id, gsize id_len);
void pending_remove(PendingTable *table, Pending *pending);
/* The entry with the earliest deadline when that has passed, else NULL. */
Pending *pending_first_expired(const PendingTable *table, gint64 now_us);
