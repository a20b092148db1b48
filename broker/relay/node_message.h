/* SPDX-License-Identifier: MIT
 *
 * The messages of /ws: reading those of strangers and building ours. Pure functions over bytes.
 *
 * A message is one flat JSON object. It is scanned once, in place: no tree is built and no string is decoded
 * that nobody needs, because a query's payload (up to 1 MiB) is forwarded as it was received. A field is
 * therefore a piece of the caller's buffer, between the quotes and with its escapes, and lives as long as
 * that buffer. The scan accepts exactly RFC 8259 in UTF-8, minus lone surrogates, repeated known members and
 * more than LIMIT_JSON_DEPTH levels; what it has accepted may stand in a frame of ours without another check.
 *
 * docs/nodes.md describes the messages.
 */
#pragma once

#include <glib.h>

typedef enum {
    MESSAGE_KEY_TYPE,
    MESSAGE_KEY_QUERY_ID,
    MESSAGE_KEY_TO,
    MESSAGE_KEY_FROM_NODE,
    MESSAGE_KEY_REQUESTER_PUBKEY,
    MESSAGE_KEY_PAYLOAD,
    MESSAGE_KEY_NODE_ID,
    MESSAGE_KEY_TIER_NAME,
    MESSAGE_KEY_VRAM_USED_MB,
    MESSAGE_KEY_PUBLIC_KEY,
    MESSAGE_KEY_SIGNING_PUBKEY,
    MESSAGE_KEY_SIGNATURE,
    MESSAGE_KEYS
} MessageKey;

typedef enum {
    MESSAGE_FIELD_ABSENT, /* or null, which existing clients use for "none" */
    MESSAGE_FIELD_STRING,
    MESSAGE_FIELD_NUMBER,
    MESSAGE_FIELD_OTHER, /* boolean, array or object */
} MessageFieldKind;

typedef struct {
    MessageFieldKind kind;
    gboolean escaped; /* a string with at least one backslash */
    const char *raw;  /* a string without its quotes; a number as written; NULL otherwise */
    gsize len;
} MessageField;

typedef struct {
    MessageField fields[MESSAGE_KEYS];
} NodeMessage;

typedef enum {
    MESSAGE_UNKNOWN, /* any other type, or none: ignored */
    MESSAGE_REGISTER,
    MESSAGE_PING,
    MESSAGE_QUERY,
    MESSAGE_RESPONSE,
} MessageType;

/* --- Reading --- */

/* Scans `len` bytes. FALSE when they are not one JSON object; the members that were complete before the
 * offending byte stand in *ret all the same, which is how a query_id is found in the beginning of a message
 * that was too long. */
gboolean node_message_scan(NodeMessage *ret, const char *text, gsize len);
MessageType node_message_type(const NodeMessage *message);

/* Decodes a string field into `buffer` and terminates it with NUL. FALSE when the text has more than
 * `buffer_size` − 1 bytes or contains U+0000. */
gboolean message_field_decode(const MessageField *field, char *buffer, gsize buffer_size, gsize *ret_len);
/* The value of a number field when it is integral and within [min, max]. */
gboolean message_field_integer(const MessageField *field, gint64 min, gint64 max, gint64 *ret);
/* TRUE when every character of a decoded text can be shown: no controls, formats (such as direction marks),
 * unassigned code points or line ends. */
gboolean message_text_is_printable(const char *text, gsize len);

/* --- Building: one allocation for the text; `raw` parameters are pieces that were scanned --- */

GBytes *node_message_challenge(const char *nonce_base64);
GBytes *node_message_registered(const char *node_id);
/* `query_id` (decoded) may be NULL: the member is left out. */
GBytes *node_message_error(const char *name, const char *query_id);
/* What the target gets; absent fields become "". `from_node_json` (a quoted JSON string) stands in for
 * `from_node` unless it is NULL. */
GBytes *node_message_query(const NodeMessage *query, const char *from_node_json);
/* What the asker gets; `from_node_json` NULL becomes null. */
GBytes *node_message_response(const NodeMessage *response, const char *from_node_json);
/* A text as a quoted JSON string; the caller owns it. */
char *node_message_quote(const char *text);
