/* SPDX-License-Identifier: MIT
 *
 * What is known of one registration: made by the shard that received it, accepted by the registrar, then
 * shared by all shards. Everything in it is immutable but `last_seen_us`, which the owning shard moves on and
 * every shard reads. Reference-counted; any thread.
 */
#pragma once

#include "signing/hash.h"

/* A connection as other threads name it: never a pointer, since it may be gone when the name arrives. */
typedef struct {
    guint32 slot;
    guint32 generation; /* of the slot: differs when another connection has it now */
    guint32 shard;
} ConnRef;

gboolean conn_ref_equal(ConnRef a, ConnRef b);

typedef struct {
    gint refs;
    ConnRef conn; /* the socket that registered */
    guint8 signing_key[ED25519_PUBLIC_BYTES];
    gint64 last_seen_us; /* atomic; monotonic time of the latest register or ping */
    char *node_id;
    char *id_json;   /* node_id as a quoted JSON string */
    char *list_json; /* its member of GET /nodes up to the quote before the time of last_seen */
    gsize list_json_len;
} NodeRecord;

/* What a register message says, checked. */
typedef struct {
    const char *node_id;
    const char *tier_name;
    gint64 vram_used_mb;
    const char *public_key; /* base64 or "" */
    const guint8 *signing_key;
} NodeFields;

NodeRecord *node_record_new(const NodeFields *fields, ConnRef conn, gint64 now_us);
NodeRecord *node_record_ref(NodeRecord *record);
void node_record_unref(NodeRecord *record); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NodeRecord, node_record_unref)

void node_record_seen(NodeRecord *record, gint64 now_us);
gint64 node_record_last_seen(const NodeRecord *record);
/* Heard of less than LIMIT_NODE_ALIVE_SECONDS ago: listed, and a target of queries. */
gboolean node_record_is_alive(const NodeRecord *record, gint64 now_us);
/* How much node_record_append_json appends. */
gsize node_record_json_bytes(const NodeRecord *record);
/* Appends its member of GET /nodes; `wall_offset_us` = real time − monotonic time. */
void node_record_append_json(const NodeRecord *record, gint64 wall_offset_us, GString *out);
