/* SPDX-License-Identifier: MIT */
#include "mirror/agent/peer_memory.h"

#include <string.h>

#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

#define TEXT_BYTES_MAX 4096
#define GENERATION_MAX ((G_GINT64_CONSTANT(1) << 53) - 1)

void peer_memory_clear(PeerMemory *memory)
{
    g_clear_pointer(&memory->name, g_free);
}

char *peer_memory_write(const PeerMemory *memory, const PublicKey *key)
{
    char root[SHA256_HEX_CHARS + 1];
    g_autofree char *key_text = base64_encode(key->bytes, sizeof key->bytes);
    GString *text = g_string_new(NULL);
    hex_encode(memory->root, SHA256_BYTES, root);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, text, JSON_STYLE_CANONICAL);
        json_write_object_begin(&writer);
        json_write_member_integer(&writer, "generation", (gint64)memory->generation);
        json_write_member_string(&writer, "key", key_text);
        json_write_member_string(&writer, "name", memory->name);
        json_write_member_string(&writer, "root", root);
        json_write_member_string(&writer, "view", memory->view);
        json_write_object_end(&writer);
    }
    return g_string_free(text, FALSE);
}

static gboolean read_texts(const JsonValue *top, const PublicKey *key, PeerMemory *memory)
{
    const char *key_text = NULL, *name = NULL, *root = NULL, *view = NULL;
    g_autofree char *own_key = base64_encode(key->bytes, sizeof key->bytes);
    if (!json_get_string(top, "key", JSON_REQUIRED, TEXT_BYTES_MAX, &key_text, NULL) ||
        !json_get_string(top, "name", JSON_REQUIRED, LIMIT_KEY_NAME_BYTES, &name, NULL) ||
        !json_get_string(top, "root", JSON_REQUIRED, SHA256_HEX_CHARS, &root, NULL) ||
        !json_get_string(top, "view", JSON_REQUIRED, CATALOG_VIEW_CHARS, &view, NULL) ||
        strcmp(key_text, own_key) != 0 || !note_name_is_valid(name) ||
        (*view != '\0' && !catalog_view_is_valid(view)) || !hex_decode(root, memory->root, SHA256_BYTES))
        return FALSE;
    memory->name = g_strdup(name);
    g_strlcpy(memory->view, view, sizeof memory->view);
    return TRUE;
}

gboolean peer_memory_read(const char *text, gsize len, const PublicKey *key, PeerMemory *ret)
{
    PeerMemory memory = {0};
    gint64 generation = 0;
    g_autoptr(JsonDoc) doc = json_doc_parse(text, len, TEXT_BYTES_MAX, NULL);
    const JsonValue *top = doc != NULL ? json_doc_root(doc) : NULL;
    if (top == NULL || json_value_kind(top) != JSON_OBJECT ||
        !json_get_integer(top, "generation", JSON_REQUIRED, 0, GENERATION_MAX, &generation, NULL) ||
        !read_texts(top, key, &memory))
        return FALSE;
    memory.generation = (guint64)generation;
    *ret = memory;
    return TRUE;
}
