/* SPDX-License-Identifier: MIT */
#include "broker/relay/node_list.h"

#include "broker/relay/text_hash.h"

typedef struct {
    NodeRecord *record;
    GList link;
} Entry;

static void entry_free(gpointer data)
{
    Entry *entry = data;
    node_record_unref(entry->record);
    g_free(entry);
}

void node_list_init(NodeList *list)
{
    *list = (NodeList){.by_id = g_hash_table_new_full(text_hash, g_str_equal, NULL, entry_free)};
    g_queue_init(&list->order);
}

static void changed(NodeList *list)
{
    g_clear_pointer(&list->json, g_bytes_unref);
}

void node_list_clear(NodeList *list)
{
    changed(list);
    g_hash_table_destroy(list->by_id);
    list->by_id = NULL;
}

/* With the comma behind it. */
static gsize member_bytes(const NodeRecord *record)
{
    return node_record_json_bytes(record) + 1;
}

NodeRecord *node_list_put(NodeList *list, NodeRecord *record)
{
    changed(list);
    list->json_bytes += member_bytes(record);
    Entry *entry = g_hash_table_lookup(list->by_id, record->node_id);
    if (entry == NULL) {
        entry = g_new0(Entry, 1);
        entry->record = node_record_ref(record);
        entry->link.data = entry;
        g_queue_push_tail_link(&list->order, &entry->link);
        g_hash_table_insert(list->by_id, record->node_id, entry);
        return NULL;
    }
    NodeRecord *old = entry->record;
    list->json_bytes -= member_bytes(old);
    /* The key belongs to the old record. */
    g_hash_table_steal(list->by_id, old->node_id);
    entry->record = node_record_ref(record);
    g_hash_table_insert(list->by_id, record->node_id, entry);
    return old;
}

void node_list_remove(NodeList *list, const NodeRecord *record)
{
    Entry *entry = g_hash_table_lookup(list->by_id, record->node_id);
    if (entry == NULL || entry->record != record)
        return;
    changed(list);
    list->json_bytes -= member_bytes(record);
    g_queue_unlink(&list->order, &entry->link);
    g_hash_table_remove(list->by_id, record->node_id);
}

NodeRecord *node_list_find(const NodeList *list, const char *node_id)
{
    const Entry *entry = g_hash_table_lookup(list->by_id, node_id);
    return entry == NULL ? NULL : entry->record;
}

GBytes *node_list_json(NodeList *list, gint64 now_us)
{
    if (list->json != NULL && now_us - list->json_us < G_USEC_PER_SEC)
        return g_bytes_ref(list->json);
    changed(list);
    gint64 wall_offset_us = g_get_real_time() - now_us;
    GString *out = g_string_sized_new(list->json_bytes + 2);
    g_string_append_c(out, '{');
    for (const GList *link = list->order.head; link != NULL; link = link->next) {
        const Entry *entry = link->data;
        if (!node_record_is_alive(entry->record, now_us))
            continue;
        if (out->len > 1)
            g_string_append_c(out, ',');
        node_record_append_json(entry->record, wall_offset_us, out);
    }
    g_string_append_c(out, '}');
    list->json = g_string_free_to_bytes(out);
    list->json_us = now_us;
    return g_bytes_ref(list->json);
}
