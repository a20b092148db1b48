/* SPDX-License-Identifier: MIT */
#include "broker/relay/node_record.h"

#include "broker/relay/node_message.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

#include <string.h>

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

/* GET /nodes lays out 20,000 times on an I/O thread: strftime and printf would take most of its time. */
static char *put_digits(char *at, guint value, guint count)
{
    for (guint i = count; i > 0; i--, value /= 10)
        at[i - 1] = (char)('0' + value % 10);
    return at + count;
}

/* "YYYY-MM-DD" of a day since 1970, by the 400 years (146,097 days) after which the calendar repeats; years
 * are counted from March, so that the leap day is a year's last. */
static char *put_date(char *at, guint day)
{
    guint since_0000 = day + 719468; /* days from 0000-03-01 to 1970-01-01 */
    guint era = since_0000 / 146097, of_era = since_0000 % 146097;
    guint year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    guint of_year = of_era - (365 * year + year / 4 - year / 100);
    guint march_month = (5 * of_year + 2) / 153;
    guint month = march_month < 10 ? march_month + 3 : march_month - 9;
    at = put_digits(at, era * 400 + year + (month <= 2), 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    return put_digits(at, of_year - (153 * march_month + 2) / 5 + 1, 2);
}

static char *put_time(char *at, gint64 wall_us)
{
    gint64 wall_s = wall_us / G_USEC_PER_SEC;
    guint second = (guint)(wall_s % 86400);
    at = put_date(at, (guint)(wall_s / 86400));
    *at++ = 'T';
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    *at++ = '.';
    return put_digits(at, (guint)(wall_us % G_USEC_PER_SEC), 6);
}

gsize node_record_json_bytes(const NodeRecord *record)
{
    return record->list_json_len + sizeof "2000-01-01T00:00:00.000000+00:00\"}" - 1;
}

void node_record_append_json(const NodeRecord *record, gint64 wall_offset_us, GString *out)
{
    static const char zone[] = "+00:00\"}";
    char text[64];
    char *end = put_time(text, MAX(node_record_last_seen(record) + wall_offset_us, 0));
    memcpy(end, zone, sizeof zone - 1);
    g_string_append_len(out, record->list_json, (gssize)record->list_json_len);
    g_string_append_len(out, text, end - text + (gssize)sizeof zone - 1);
}
