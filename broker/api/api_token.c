/* SPDX-License-Identifier: MIT */
#include "broker/api/api_token.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "signing/hash.h"

#define TOKEN_KEY "apiToken"

static gboolean is_token(const JsonValue *value)
{
    if (value == NULL || json_value_kind(value) != JSON_STRING)
        return FALSE;
    guint8 bytes[API_TOKEN_HEX_CHARS / 2];
    return hex_decode(json_value_string(value), bytes, sizeof bytes);
}

static void copy_value(JsonWriter *writer, const JsonValue *value);

static void copy_members(JsonWriter *writer, const JsonValue *container)
{
    for (const JsonValue *item = json_value_first(container); item != NULL; item = json_value_next(item)) {
        if (json_value_key(item) != NULL)
            json_write_key(writer, json_value_key(item));
        copy_value(writer, item);
    }
}

static void copy_number(JsonWriter *writer, const JsonValue *value)
{
    gint64 integer;
    if (json_value_integer(value, &integer))
        json_write_integer(writer, integer);
    else
        json_write_double(writer, json_value_number(value));
}

/* Depth is bounded by the reader (LIMIT_JSON_DEPTH). */
static void copy_value(JsonWriter *writer, const JsonValue *value)
{
    switch (json_value_kind(value)) {
    case JSON_NULL:
        json_write_null(writer);
        break;
    case JSON_BOOLEAN:
        json_write_boolean(writer, json_value_boolean(value));
        break;
    case JSON_NUMBER:
        copy_number(writer, value);
        break;
    case JSON_STRING:
        json_write_string(writer, json_value_string(value));
        break;
    case JSON_ARRAY:
        json_write_array_begin(writer);
        copy_members(writer, value);
        json_write_array_end(writer);
        break;
    case JSON_OBJECT:
    default:
        json_write_object_begin(writer);
        copy_members(writer, value);
        json_write_object_end(writer);
        break;
    }
}

static void write_defaults(JsonWriter *writer, guint16 port)
{
    json_write_member_integer(writer, "port", port);
    json_write_key(writer, "pacts");
    json_write_array_begin(writer);
    json_write_array_end(writer);
    json_write_key(writer, "currentAlias");
    json_write_null(writer);
}

/* The file with `token` in place of whatever token it had. */
static GString *layout(const JsonDoc *old, guint16 port, const char *token)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        if (old == NULL)
            write_defaults(&writer, port);
        const JsonValue *first = old != NULL ? json_value_first(json_doc_root(old)) : NULL;
        for (const JsonValue *item = first; item != NULL; item = json_value_next(item)) {
            if (strcmp(json_value_key(item), TOKEN_KEY) == 0)
                continue;
            json_write_key(&writer, json_value_key(item));
            copy_value(&writer, item);
        }
        json_write_member_string(&writer, TOKEN_KEY, token);
        json_write_object_end(&writer);
    }
    g_string_append_c(json, '\n');
    return json;
}

/* Absent: success with *ret NULL. */
static gboolean load_file(const char *path, JsonDoc **ret, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize len;
    *ret = NULL;
    if (!g_file_get_contents(path, &text, &len, &cause)) {
        if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return TRUE;
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "%s", cause->message);
        return FALSE;
    }
    g_autoptr(JsonDoc) doc = json_doc_parse(text, len, API_TOKEN_FILE_BYTES_MAX, error);
    if (doc == NULL) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    if (json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: not a JSON object", path);
        return FALSE;
    }
    *ret = g_steal_pointer(&doc);
    return TRUE;
}

static gboolean store(const char *path, const GString *json, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (g_file_set_contents_full(path, json->str, (gssize)json->len,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "%s", cause->message);
    return FALSE;
}

char *api_token_load(const char *data_dir, guint16 port, GError **error)
{
    g_autofree char *path = g_build_filename(data_dir, "daemon.json", NULL);
    g_autoptr(JsonDoc) doc = NULL;
    if (!load_file(path, &doc, error))
        return NULL;
    const JsonValue *held = doc != NULL ? json_object_get(json_doc_root(doc), TOKEN_KEY) : NULL;
    if (is_token(held)) {
        /* Somebody may have copied it with wider permissions. */
        if (chmod(path, 0600) != 0) {
            kontor_error_set_errno(error, errno, "%s", path);
            return NULL;
        }
        return g_strdup(json_value_string(held));
    }
    guint8 secret[API_TOKEN_HEX_CHARS / 2];
    g_autofree char *token = g_malloc(API_TOKEN_HEX_CHARS + 1);
    random_fill(secret, sizeof secret);
    hex_encode(secret, sizeof secret, token);
    explicit_bzero(secret, sizeof secret);
    g_autoptr(GString) json = layout(doc, port, token);
    gboolean stored = store(path, json, error);
    explicit_bzero(json->str, json->len);
    return stored ? g_steal_pointer(&token) : NULL;
}
