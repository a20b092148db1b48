/* SPDX-License-Identifier: MIT
 *
 * Strict reading of JSON (RFC 8259) that strangers wrote.
 *
 * A JsonDoc owns a parsed document; JsonValue pointers and every string reached through it live as long as
 * the document. Parsing checks, in this order and before any tree is built: size, UTF-8, depth, number of
 * values. It refuses trailing bytes, duplicate keys in one object, "\u0000" in strings, lone surrogates,
 * numbers that are not finite, and numbers longer than LIMIT_JSON_NUMBER_BYTES. Look-up is case-sensitive.
 * Integers are integral and within ±(2^53 − 1).
 *
 * Getters take a key, report what is wrong with the JSON pointer of the value (RFC 6901, such as
 * "/packs/3/id"), and never change their output on failure. A document may be read from any thread, by one
 * thread at a time or by many at once.
 */
#pragma once

#include "schema/error.h"

typedef struct JsonDoc JsonDoc;
typedef struct JsonValue JsonValue; /* borrowed from a JsonDoc */

typedef enum {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
} JsonKind;

/* What a getter does about a key that is absent. */
typedef enum {
    JSON_REQUIRED, /* absent: MALFORMED */
    JSON_OPTIONAL, /* absent: success, output untouched (so that callers preset defaults); null: MALFORMED */
    JSON_OPTIONAL_NULL, /* absent or null: success, output untouched */
} JsonPresence;

/* --- Life cycle --- */

/* Parses `len` bytes (≤ `bytes_max`). NULL with MALFORMED ("at byte 17: …") or LIMIT. The bytes need not be
 * NUL-terminated and are not kept. */
JsonDoc *json_doc_parse(const void *data, gsize len, gsize bytes_max, GError **error);
void json_doc_free(JsonDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonDoc, json_doc_free)

/* --- Queries --- */

const JsonValue *json_doc_root(const JsonDoc *doc);
JsonKind json_value_kind(const JsonValue *value);
/* "null", "boolean", … for messages. */
const char *json_kind_name(JsonKind kind);

/* The member `key` of an object (O(1) for large objects is not promised), or NULL. */
const JsonValue *json_object_get(const JsonValue *object, const char *key);
/* Elements of an array or members of an object, in document order: first, then next until NULL. */
const JsonValue *json_value_first(const JsonValue *container);
const JsonValue *json_value_next(const JsonValue *item);
guint json_value_count(const JsonValue *container);
/* The key under which a member stands in its object; NULL for array elements and the root. */
const char *json_value_key(const JsonValue *item);

/* Values by themselves; the kind must fit (asserted). */
const char *json_value_string(const JsonValue *value);
gboolean json_value_boolean(const JsonValue *value);
double json_value_number(const JsonValue *value);
/* TRUE and *ret when the number is integral and within ±(2^53 − 1). */
gboolean json_value_integer(const JsonValue *value, gint64 *ret);

/* --- Checked getters: FALSE with MALFORMED for wrong kind or range, LIMIT for too long --- */

gboolean json_get_string(const JsonValue *object, const char *key, JsonPresence presence, gsize bytes_max,
                         const char **ret, GError **error);
gboolean json_get_integer(const JsonValue *object, const char *key, JsonPresence presence, gint64 min,
                          gint64 max, gint64 *ret, GError **error);
gboolean json_get_boolean(const JsonValue *object, const char *key, JsonPresence presence, gboolean *ret,
                          GError **error);
gboolean json_get_object(const JsonValue *object, const char *key, JsonPresence presence,
                         const JsonValue **ret, GError **error);
gboolean json_get_array(const JsonValue *object, const char *key, JsonPresence presence, guint count_max,
                        const JsonValue **ret, GError **error);
