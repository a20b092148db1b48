/* SPDX-License-Identifier: MIT
 *
 * A streaming writer of JSON into a growing string. Two styles:
 *   JSON_STYLE_PLAIN      compact, UTF-8 as it is: what HTTP answers use. DEL and controls are escaped.
 *   JSON_STYLE_CANONICAL  the signed form of manifest.sig: compact, ASCII only, \" \\ \b \f \n \r \t,
 *                         everything else outside 0x20..0x7e as lower-case \uXXXX with surrogate pairs,
 *                         "/" not escaped, integers only, and the keys of each object in code point
 *                         order: writing a key that is not greater than the one before is our bug and
 *                         asserts.
 *
 * The writer places commas and colons; nesting is checked by asserts. Strings must be valid UTF-8 (asserted
 * in canonical style; in plain style each bad byte is replaced by U+FFFD). Embedded, not shared between
 * threads.
 */
#pragma once

#include <glib.h>

typedef enum { JSON_STYLE_PLAIN, JSON_STYLE_CANONICAL } JsonStyle;

#define JSON_WRITER_DEPTH_MAX 32

typedef struct {
    GString *out; /* borrowed; the document is appended to it */
    JsonStyle style;
    guint depth;                           /* open containers */
    gboolean after_key;                    /* a key was written, its value is due */
    guint8 kind[JSON_WRITER_DEPTH_MAX];    /* '{' or '[' per open container */
    gboolean any[JSON_WRITER_DEPTH_MAX];   /* something was already written in that container */
    gsize last_key[JSON_WRITER_DEPTH_MAX]; /* canonical style: offset in `keys` of the latest key per level */
    GString *keys;                         /* canonical style: the latest key per level, to check the order */
} JsonWriter;

/* --- Life cycle --- */
void json_writer_init(JsonWriter *w, GString *out, JsonStyle style);
/* Asserts that every container was closed. */
void json_writer_clear(JsonWriter *w);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JsonWriter, json_writer_clear)

/* --- Operations --- */
void json_write_object_begin(JsonWriter *w);
void json_write_object_end(JsonWriter *w);
void json_write_array_begin(JsonWriter *w);
void json_write_array_end(JsonWriter *w);
void json_write_key(JsonWriter *w, const char *key);
void json_write_string(JsonWriter *w, const char *value);
void json_write_string_len(JsonWriter *w, const char *value, gsize len);
void json_write_integer(JsonWriter *w, gint64 value);
void json_write_boolean(JsonWriter *w, gboolean value);
void json_write_null(JsonWriter *w);
/* Shortest decimal form that reads back as the same double, independent of the locale; the value must be
 * finite. Plain style only. */
void json_write_double(JsonWriter *w, double value);
/* A value that is already JSON in the right style, such as a cached fragment. */
void json_write_raw(JsonWriter *w, const char *json, gsize len);

/* Key and value at once. */
void json_write_member_string(JsonWriter *w, const char *key, const char *value);
void json_write_member_integer(JsonWriter *w, const char *key, gint64 value);
void json_write_member_boolean(JsonWriter *w, const char *key, gboolean value);
/* A string of lower-case hexadecimal digits. */
void json_write_member_hex(JsonWriter *w, const char *key, const guint8 *bytes, gsize len);
