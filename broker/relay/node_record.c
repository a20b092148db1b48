/* SPDX-License-Identifier: MIT */
#include "broker/relay/node_record.h"

#include "broker/relay/node_message.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

#include <string.h>
#include <time.h>

gboolean conn_ref_equal(ConnRef a, ConnRef b)
{
    return a.slot == b.slot && a.generation == b.generation && a.shard == b.shard;
}

/* `"id":{"tier_name":"mid","vram_used_mb":8192,"public_key":"…","last_seen":"`: all that does not change. */
static char *make_list_json(const NodeFields *fields, const char *id_json, gsize *ret_len)
{
    g_autofree char *tier_json = node_message_quote(fields->tier_name);
    g_autofree char *key_json = node_message_quote(fields->public_key);
    char *text = g_strdup_printf("%s:{\"tier_name\":%s,\"vram_used_mb\":%" G_GINT64_FORMAT
                                 ",\"public_key\":%s,\"last_seen\":\"",
                                 id_json, tier_json, fields->vram_used_mb, key_json);
    *ret_len = strlen(text);
    return text;
}

NodeRecord *node_record_new(const NodeFields *fields, ConnRef conn, gint64 now_us)
{
    NodeRecord *record = g_new0(NodeRecord, 1);
    record->refs = 1;
    record->conn = conn;
    record->last_seen_us = now_us;
    memcpy(record->signing_key, fields->signing_key, sizeof record->signing_key);
    record->node_id = g_strdup(fields->node_id);
    record->id_json = node_message_quote(fields->node_id);
    record->list_json = make_list_json(fields, record->id_json, &record->list_json_len);
    return record;
}

NodeRecord *node_record_ref(NodeRecord *record)
{
    g_atomic_int_inc(&record->refs);
    return record;
}

void node_record_unref(NodeRecord *record)
{
    if (record == NULL || !g_atomic_int_dec_and_test(&record->refs))
        return;
    g_free(record->node_id);
    g_free(record->id_json);
    g_free(record->list_json);
    g_free(record);
}

void node_record_seen(NodeRecord *record, gint64 now_us)
{
    __atomic_store_n(&record->last_seen_us, now_us, __ATOMIC_RELAXED);
}

gint64 node_record_last_seen(const NodeRecord *record)
{
    return __atomic_load_n(&record->last_seen_us, __ATOMIC_RELAXED);
}

gboolean node_record_is_alive(const NodeRecord *record, gint64 now_us)
{
    return now_us - node_record_last_seen(record) < (gint64)LIMIT_NODE_ALIVE_SECONDS * G_USEC_PER_SEC;
}

void node_record_append_json(const NodeRecord *record, gint64 wall_offset_us, GString *out)
{
    gint64 wall_us = node_record_last_seen(record) + wall_offset_us;
    time_t seconds = (time_t)(wall_us / G_USEC_PER_SEC);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char text[64];
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)g_snprintf(text + len, (gulong)(sizeof text - len), ".%06d+00:00\"}",
                              (int)(wall_us % G_USEC_PER_SEC));
    g_string_append_len(out, record->list_json, (gssize)record->list_json_len);
    g_string_append_len(out, text, (gssize)len);
}
