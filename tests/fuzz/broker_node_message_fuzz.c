/* SPDX-License-Identifier: MIT
 *
 * WebSocket messages. The scanner is compared with the strict JSON reader: what that accepts as an object the
 * scanner accepts, too, with the same texts; and every frame that is built from scanned pieces is JSON again
 * that says the same.
 */
#include "broker/relay/node_message.h"

#include "schema/json_reader.h"
#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static const struct {
    MessageKey key;
    const char *name;
} texts[] = {
    {MESSAGE_KEY_QUERY_ID, "query_id"},
    {MESSAGE_KEY_FROM_NODE, "from_node"},
    {MESSAGE_KEY_REQUESTER_PUBKEY, "requester_pubkey"},
    {MESSAGE_KEY_PAYLOAD, "payload"},
};

static void compare_text(const NodeMessage *message, MessageKey key, const JsonValue *value)
{
    const MessageField *field = &message->fields[key];
    gboolean is_text = value != NULL && json_value_kind(value) == JSON_STRING;
    g_assert((field->kind == MESSAGE_FIELD_STRING) == is_text);
    if (!is_text)
        return;
    gsize len;
    g_autofree char *buffer = g_malloc(field->len + 1);
    g_assert(message_field_decode(field, buffer, field->len + 1, &len));
    g_assert_cmpstr(buffer, ==, json_value_string(value));
}

/* FALSE when the reader refuses the bytes: it is stricter in what does not matter here. */
static gboolean compare_with_reader(const NodeMessage *message, gboolean scanned, const void *data,
                                    gsize size)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(data, size, LIMIT_WS_MESSAGE_BYTES, NULL);
    if (doc == NULL || json_value_kind(json_doc_root(doc)) != JSON_OBJECT)
        return FALSE;
    g_assert(scanned);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        compare_text(message, texts[i].key, json_object_get(json_doc_root(doc), texts[i].name));
    return TRUE;
}

static void check_frame(GBytes *frame, gboolean readable)
{
    gsize len;
    const void *data = g_bytes_get_data(frame, &len);
    NodeMessage again;
    gboolean scanned = node_message_scan(&again, data, len);
    g_assert(scanned);
    g_assert(node_message_type(&again) == MESSAGE_QUERY || node_message_type(&again) == MESSAGE_RESPONSE);
    g_assert(!readable || compare_with_reader(&again, scanned, data, len));
    g_bytes_unref(frame);
}

static void check_numbers(const NodeMessage *message)
{
    gint64 number;
    if (message_field_integer(&message->fields[MESSAGE_KEY_VRAM_USED_MB], 0, LIMIT_VRAM_MB, &number))
        g_assert(number >= 0 && number <= LIMIT_VRAM_MB);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    NodeMessage message;
    gboolean scanned = node_message_scan(&message, (const char *)data, size);
    node_message_type(&message);
    check_numbers(&message);
    gboolean readable = compare_with_reader(&message, scanned, data, size);
    if (scanned && size <= LIMIT_WS_MESSAGE_BYTES / 2) {
        check_frame(node_message_query(&message, NULL), readable);
        check_frame(node_message_query(&message, "\"id\""), readable);
        check_frame(node_message_response(&message, NULL), readable);
    }
    return 0;
}
