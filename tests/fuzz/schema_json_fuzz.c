/* SPDX-License-Identifier: MIT
 *
 * The strict JSON reader, and the writer behind it: whatever is accepted is written out again in plain style,
 * must be accepted once more, and must then be written the same.
 */
#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void write_value(JsonWriter *w, const JsonValue *value);

static void write_container(JsonWriter *w, const JsonValue *container)
{
    gboolean object = json_value_kind(container) == JSON_OBJECT;
    object ? json_write_object_begin(w) : json_write_array_begin(w);
    guint count = 0;
    for (const JsonValue *item = json_value_first(container); item != NULL;
         item = json_value_next(item), count++) {
        g_assert((json_value_key(item) != NULL) == object);
        if (object) {
            g_assert(json_object_get(container, json_value_key(item)) == item);
            json_write_key(w, json_value_key(item));
        }
        write_value(w, item);
    }
    g_assert(json_value_count(container) == count);
    object ? json_write_object_end(w) : json_write_array_end(w);
}

static void write_value(JsonWriter *w, const JsonValue *value)
{
    switch (json_value_kind(value)) {
    case JSON_NULL:
        json_write_null(w);
        break;
    case JSON_BOOLEAN:
        json_write_boolean(w, json_value_boolean(value));
        break;
    case JSON_NUMBER:
        json_write_double(w, json_value_number(value));
        break;
    case JSON_STRING:
        json_write_string(w, json_value_string(value));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        write_container(w, value);
        break;
    }
}

static GString *write_document(const JsonDoc *doc)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    write_value(&w, json_doc_root(doc));
    return out;
}

/* Getters must refuse or answer, whatever the document holds. */
static void try_getters(const JsonValue *root)
{
    if (json_value_kind(root) != JSON_OBJECT)
        return;
    const char *string = NULL;
    gint64 integer = 0;
    const JsonValue *value = NULL;
    g_autoptr(GError) string_error = NULL;
    g_autoptr(GError) integer_error = NULL;
    g_autoptr(GError) array_error = NULL;
    g_assert(json_get_string(root, "type", JSON_REQUIRED, 16, &string, &string_error) ==
             (string_error == NULL));
    g_assert(json_get_integer(root, "k", JSON_OPTIONAL, 1, 50, &integer, &integer_error) ==
             (integer_error == NULL));
    g_assert(json_get_array(root, "packs", JSON_OPTIONAL_NULL, 4, &value, &array_error) ==
             (array_error == NULL));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(data, size, LIMIT_HTTP_BODY_BYTES, &error);
    g_assert((doc == NULL) == (error != NULL));
    if (doc == NULL)
        return 0;
    try_getters(json_doc_root(doc));
    g_autoptr(GString) once = write_document(doc);
    g_autoptr(JsonDoc) again = json_doc_parse(once->str, once->len, G_MAXSIZE, &error);
    g_assert_no_error(error);
    g_autoptr(GString) twice = write_document(again);
    g_assert(g_string_equal(once, twice));
    return 0;
}
