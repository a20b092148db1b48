/* SPDX-License-Identifier: MIT
 *
 * One shard's replica of the registry: records by node id, in the order of registration. A record that takes
 * the place of one with the same id keeps its position, as Nodes expect of GET /nodes. Shard's thread only;
 * the registrar alone decides what goes in and out.
 */
#pragma once

#include "broker/relay/node_record.h"

typedef struct {
    GHashTable *by_id; /* node id → entry */
    GQueue order;      /* of entries */
    GBytes *json;      /* body of GET /nodes, or NULL when it must be made anew */
    gint64 json_us;    /* when it was made */
    gsize json_bytes;  /* of the members of all Nodes, so that it is laid out without growing */
} NodeList;

void node_list_init(NodeList *list);
void node_list_clear(NodeList *list);

/* Takes a reference of its own. The record that had this id, with its reference, or NULL. */
NodeRecord *node_list_put(NodeList *list, NodeRecord *record);
/* Removes the record itself; nothing happens when another one has its id by now. */
void node_list_remove(NodeList *list, const NodeRecord *record);
/* Borrowed; NULL when there is none. */
NodeRecord *node_list_find(const NodeList *list, const char *node_id);
/* The Nodes that are alive, as the body of GET /nodes: a new reference; made at most once a second while
 * nothing changes. */
GBytes *node_list_json(NodeList *list, gint64 now_us);
