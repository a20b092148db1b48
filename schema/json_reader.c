/* SPDX-License-Identifier: MIT
 *
 * Strict reading of JSON. json_scan has judged every byte before cJSON sees the first one, so that cJSON's
 * leniencies (control bytes as white space, a byte order mark, strings cut at U+0000, numbers cut at 63
 * bytes, trailing bytes, deep recursion) cannot be reached. What can only be seen in the tree, duplicate keys
 * and numbers beyond the range of a double, is checked in one walk after it is built.
 *
 * cJSON's look-ups by name ignore case and its values do not know their parents; neither look-up nor pointers
 * in messages use it. The walk stores each container's parent in `valuedouble`, which cJSON leaves unused in
 * containers. cJSON keeps one process-wide error position, which is never read here.
 */
#include "schema/json_reader.h"

#include "schema/json_scan.h"
#include "schema/limits.h"
#include "schema/text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest integer that a double and every other JSON implementation holds exactly. */
#define INTEGER_MAX ((gint64)9007199254740991)

enum { PAIRWISE_MEMBERS_MAX = 16 }; /* objects up to this size are searched for duplicates pair by pair */

struct JsonDoc {
    cJSON *root;
};

static const cJSON *node_of(const JsonValue *value)
{
    return (const cJSON *)value;
}

static const JsonValue *value_of(const cJSON *node)
{
    return (const JsonValue *)node;
}

static gboolean is_container(const cJSON *node)
{
    return cJSON_IsObject(node) || cJSON_IsArray(node);
}

/* --- Parents and pointers --- */

G_STATIC_ASSERT(sizeof(cJSON *) <= sizeof(double));

static void set_parent(cJSON *container, const cJSON *parent)
{
    memcpy(&container->valuedouble, &parent, sizeof parent);
}

static const cJSON *parent_of(const cJSON *container)
{
    const cJSON *parent;
    memcpy(&parent, &container->valuedouble, sizeof parent);
    return parent;
}

/* One reference token of RFC 6901, with "~" and "/" escaped and fit for a message. */
static void prepend_token(GString *pointer, const char *key)
{
    g_autofree char *shown = text_for_message(key, strlen(key));
    GString *token = g_string_new(shown);
    g_string_replace(token, "~", "~0", 0);
    g_string_replace(token, "/", "~1", 0);
    g_string_prepend(pointer, token->str);
    g_string_prepend_c(pointer, '/');
    g_string_free(token, TRUE);
}

static void prepend_index(GString *pointer, const cJSON *array, const cJSON *item)
{
    guint index = 0;
    for (const cJSON *at = array->child; at != item; at = at->next)
        index++;
    g_autofree char *token = g_strdup_printf("/%u", index);
    g_string_prepend(pointer, token);
}

/* The JSON pointer of the member `key` of a container (of an element when `key` is NULL, of the container
 * itself when `item` is NULL as well). "" is the root. */
static char *pointer_of(const cJSON *container, const char *key, const cJSON *item)
{
    GString *pointer = g_string_new(NULL);
    if (key != NULL)
        prepend_token(pointer, key);
    else if (item != NULL)
        prepend_index(pointer, container, item);
    for (const cJSON *parent; container != NULL && (parent = parent_of(container)) != NULL;
         container = parent) {
        if (container->string != NULL)
            prepend_token(pointer, container->string);
        else
            prepend_index(pointer, parent, container);
    }
    return g_string_free(pointer, FALSE);
}

/* --- The walk after parsing --- */

static const char *duplicate_pairwise(const cJSON *object)
{
    for (const cJSON *a = object->child; a != NULL; a = a->next) {
        for (const cJSON *b = a->next; b != NULL; b = b->next) {
            if (strcmp(a->string, b->string) == 0)
                return a->string;
        }
    }
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorting, not hashing: chosen keys cannot make it slow. */
static const char *duplicate_sorted(const cJSON *object, guint count)
{
    g_autofree const char **keys = g_new(const char *, count);
    guint i = 0;
    for (const cJSON *member = object->child; member != NULL; member = member->next)
        keys[i++] = member->string;
    qsort(keys, count, sizeof *keys, compare_keys);
    for (i = 1; i < count; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return keys[i];
    }
    return NULL;
}

static gboolean check_keys(const cJSON *object, guint count, GError **error)
{
    const char *key =
        count <= PAIRWISE_MEMBERS_MAX ? duplicate_pairwise(object) : duplicate_sorted(object, count);
    if (key == NULL)
        return TRUE;
    g_autofree char *pointer = pointer_of(object, key, NULL);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: duplicate key", pointer);
    return FALSE;
}

static gboolean check_number(const cJSON *container, const cJSON *item, GError **error)
{
    if (isfinite(item->valuedouble))
        return TRUE;
    g_autofree char *pointer =
        container != NULL ? pointer_of(container, item->string, item) : g_strdup("the document");
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: number out of range", pointer);
    return FALSE;
}

/* Recursion is bounded by LIMIT_JSON_DEPTH, which the scan enforced. */
static gboolean check_container(cJSON *container, const cJSON *parent, GError **error)
{
    set_parent(container, parent);
    guint count = 0;
    for (cJSON *item = container->child; item != NULL; item = item->next, count++) {
        if (is_container(item) ? !check_container(item, container, error)
                               : cJSON_IsNumber(item) && !check_number(container, item, error))
            return FALSE;
    }
    return !cJSON_IsObject(container) || check_keys(container, count, error);
}

static gboolean check_tree(cJSON *root, GError **error)
{
    if (is_container(root))
        return check_container(root, NULL, error);
    return !cJSON_IsNumber(root) || check_number(NULL, root, error);
}

/* --- Life cycle --- */

JsonDoc *json_doc_parse(const void *data, gsize len, gsize bytes_max, GError **error)
{
    if (len > bytes_max) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "JSON of %" G_GSIZE_FORMAT " bytes, more than %" G_GSIZE_FORMAT " are not read", len,
                    bytes_max);
        return NULL;
    }
    if (!json_scan_check(data, len, error))
        return NULL;
    g_autoptr(JsonDoc) doc = g_new0(JsonDoc, 1);
    doc->root = cJSON_ParseWithLengthOpts(data, len, NULL, /* require_null_terminated= */ FALSE);
    if (doc->root == NULL) {
        /* The scan accepts nothing that cJSON refuses, so this is a process locale that strtod and localeconv
         * disagree about, or memory at its end. */
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "JSON could not be read");
        return NULL;
    }
    return check_tree(doc->root, error) ? g_steal_pointer(&doc) : NULL;
}

void json_doc_free(JsonDoc *doc)
{
    if (doc == NULL)
        return;
    cJSON_Delete(doc->root);
    g_free(doc);
}

/* --- Queries --- */

const JsonValue *json_doc_root(const JsonDoc *doc)
{
    return value_of(doc->root);
}

JsonKind json_value_kind(const JsonValue *value)
{
    switch (node_of(value)->type & 0xff) {
    case cJSON_NULL:
        return JSON_NULL;
    case cJSON_False:
    case cJSON_True:
        return JSON_BOOLEAN;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        g_assert_not_reached();
    }
}

const char *json_kind_name(JsonKind kind)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOLEAN] = "boolean", [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array",     [JSON_OBJECT] = "object",
    };
    g_assert((guint)kind < G_N_ELEMENTS(names));
    return names[kind];
}

const JsonValue *json_object_get(const JsonValue *object, const char *key)
{
    g_assert(json_value_kind(object) == JSON_OBJECT);
    for (const cJSON *member = node_of(object)->child; member != NULL; member = member->next) {
        if (strcmp(member->string, key) == 0)
            return value_of(member);
    }
    return NULL;
}

const JsonValue *json_value_first(const JsonValue *container)
{
    g_assert(is_container(node_of(container)));
    return value_of(node_of(container)->child);
}

const JsonValue *json_value_next(const JsonValue *item)
{
    return value_of(node_of(item)->next);
}

guint json_value_count(const JsonValue *container)
{
    guint count = 0;
    for (const JsonValue *item = json_value_first(container); item != NULL; item = json_value_next(item))
        count++;
    return count;
}

const char *json_value_key(const JsonValue *item)
{
    return node_of(item)->string;
}

const char *json_value_string(const JsonValue *value)
{
    g_assert(json_value_kind(value) == JSON_STRING);
    return node_of(value)->valuestring;
}

gboolean json_value_boolean(const JsonValue *value)
{
    g_assert(json_value_kind(value) == JSON_BOOLEAN);
    return cJSON_IsTrue(node_of(value));
}

double json_value_number(const JsonValue *value)
{
    g_assert(json_value_kind(value) == JSON_NUMBER);
    return node_of(value)->valuedouble;
}

gboolean json_value_integer(const JsonValue *value, gint64 *ret)
{
    double number = json_value_number(value);
    if (fabs(number) > (double)INTEGER_MAX || number != trunc(number))
        return FALSE;
    *ret = (gint64)number;
    return TRUE;
}

/* --- Checked getters --- */

static gboolean refuse(GError **error, KontorErrorCode code, const JsonValue *object, const char *key,
                       const char *format, ...) G_GNUC_PRINTF(5, 6);

/* Sets *error to "<JSON pointer>: <what is wrong>" and returns FALSE. */
static gboolean refuse(GError **error, KontorErrorCode code, const JsonValue *object, const char *key,
                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *pointer = pointer_of(node_of(object), key, NULL);
    g_set_error(error, KONTOR_ERROR, code, "%s: %s", pointer, what);
    return FALSE;
}

/* Looks the key up and applies `presence`. FALSE with an error, or TRUE with *ret NULL for a permitted
 * absence, or TRUE with a value of the right kind. */
static gboolean get_member(const JsonValue *object, const char *key, JsonPresence presence, JsonKind kind,
                           const JsonValue **ret, GError **error)
{
    const JsonValue *value = json_object_get(object, key);
    *ret = NULL;
    if (value == NULL) {
        if (presence != JSON_REQUIRED)
            return TRUE;
        return refuse(error, KONTOR_ERROR_MALFORMED, object, key, "missing");
    }
    JsonKind got = json_value_kind(value);
    if (got == JSON_NULL && presence == JSON_OPTIONAL_NULL)
        return TRUE;
    if (got != kind)
        return refuse(error, KONTOR_ERROR_MALFORMED, object, key, "is %s, not %s", json_kind_name(got),
                      json_kind_name(kind));
    *ret = value;
    return TRUE;
}

gboolean json_get_string(const JsonValue *object, const char *key, JsonPresence presence, gsize bytes_max,
                         const char **ret, GError **error)
{
    const JsonValue *value;
    if (!get_member(object, key, presence, JSON_STRING, &value, error))
        return FALSE;
    if (value == NULL)
        return TRUE;
    const char *string = json_value_string(value);
    gsize len = strlen(string);
    if (len > bytes_max)
        return refuse(error, KONTOR_ERROR_LIMIT, object, key,
                      "%" G_GSIZE_FORMAT " bytes, at most %" G_GSIZE_FORMAT " are allowed", len, bytes_max);
    *ret = string;
    return TRUE;
}

gboolean json_get_integer(const JsonValue *object, const char *key, JsonPresence presence, gint64 min,
                          gint64 max, gint64 *ret, GError **error)
{
    const JsonValue *value;
    gint64 integer = 0;
    if (!get_member(object, key, presence, JSON_NUMBER, &value, error))
        return FALSE;
    if (value == NULL)
        return TRUE;
    if (!json_value_integer(value, &integer))
        return refuse(error, KONTOR_ERROR_MALFORMED, object, key, "is not an integer within 2^53");
    if (integer < min || integer > max)
        return refuse(error, KONTOR_ERROR_MALFORMED, object, key,
                      "%" G_GINT64_FORMAT " is not between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT,
                      integer, min, max);
    *ret = integer;
    return TRUE;
}

gboolean json_get_boolean(const JsonValue *object, const char *key, JsonPresence presence, gboolean *ret,
                          GError **error)
{
    const JsonValue *value;
    if (!get_member(object, key, presence, JSON_BOOLEAN, &value, error))
        return FALSE;
    if (value != NULL)
        *ret = json_value_boolean(value);
    return TRUE;
}

gboolean json_get_object(const JsonValue *object, const char *key, JsonPresence presence,
                         const JsonValue **ret, GError **error)
{
    const JsonValue *value;
    if (!get_member(object, key, presence, JSON_OBJECT, &value, error))
        return FALSE;
    if (value != NULL)
        *ret = value;
    return TRUE;
}

gboolean json_get_array(const JsonValue *object, const char *key, JsonPresence presence, guint count_max,
                        const JsonValue **ret, GError **error)
{
    const JsonValue *value;
    if (!get_member(object, key, presence, JSON_ARRAY, &value, error))
        return FALSE;
    if (value == NULL)
        return TRUE;
    guint count = json_value_count(value);
    if (count > count_max)
        return refuse(error, KONTOR_ERROR_LIMIT, object, key, "%u elements, at most %u are allowed", count,
                      count_max);
    *ret = value;
    return TRUE;
}
