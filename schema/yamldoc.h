/* SPDX-License-Identifier: MIT
 *
 * Strict reading of YAML (1.1, as libyaml has it) that people or strangers wrote: kontor.yaml, manifest.yaml,
 * trust lists.
 *
 * A YamlDoc owns a tree of mappings, sequences and scalars; YamlNode pointers and every text reached through
 * them live as long as the document. Refused, each with its line: more bytes, nodes or depth than allowed
 * (schema/limits.h), bytes that are not UTF-8, NUL, a second document, anchors, aliases and tags, keys that
 * are not scalars, and the same key twice in one mapping. A document without content is a plain empty scalar,
 * which counts as null.
 *
 * A scalar keeps its text and whether it was plain or quoted, because only a plain one may mean null, a
 * switch or a number: `off` is a switch, `"off"` is text. Nothing is resolved behind the caller's back; the
 * getters resolve what was asked for.
 *
 * Errors of this module and of yamlnode_error() read "SOURCE:LINE: path.to.key: what is wrong", without the
 * path when the whole document is meant. A document may be read from any thread.
 */
#pragma once

#include "schema/error.h"

typedef struct YamlDoc YamlDoc;
typedef struct YamlNode YamlNode; /* borrowed from a YamlDoc */

typedef enum {
    YAMLDOC_SCALAR,
    YAMLDOC_SEQUENCE,
    YAMLDOC_MAPPING,
} YamlKind;

/* --- Life cycle --- */

/* Parses `len` bytes (≤ `bytes_max`), which need not be NUL-terminated and are not kept. `source` names them
 * in messages, such as a file name. NULL with MALFORMED, LIMIT, or UNSUPPORTED for anchors, aliases and tags.
 */
YamlDoc *yamldoc_parse(const char *source, const void *data, gsize len, gsize bytes_max, GError **error);
void yamldoc_free(YamlDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YamlDoc, yamldoc_free)

/* --- Queries --- */

const YamlNode *yamldoc_root(const YamlDoc *doc);
YamlKind yamlnode_kind(const YamlNode *node);
/* 1-based position of the first character. */
guint yamlnode_line(const YamlNode *node);
guint yamlnode_column(const YamlNode *node);

/* The value of `key` in a mapping, or NULL. */
const YamlNode *yamlnode_get(const YamlNode *mapping, const char *key);
/* Items of a sequence or values of a mapping, in document order: first, then next until NULL. A scalar has
 * none. */
const YamlNode *yamlnode_first(const YamlNode *node);
const YamlNode *yamlnode_next(const YamlNode *item);
guint yamlnode_count(const YamlNode *node);
/* The key under which a value stands in its mapping; NULL for items of sequences and the root. */
const char *yamlnode_key(const YamlNode *value);
/* The line of that key (asserts that there is one): what messages about the key itself should name. */
guint yamlnode_key_line(const YamlNode *value);

/* The text of a scalar (asserted) after unquoting and unfolding; without NUL, possibly "". */
const char *yamlnode_text(const YamlNode *scalar);
/* TRUE for a scalar written without quotes and not as a block. */
gboolean yamlnode_is_plain(const YamlNode *node);
/* TRUE for a plain scalar that is empty or ~, null, Null, NULL. */
gboolean yamlnode_is_null(const YamlNode *node);

/* --- Checked getters: FALSE with MALFORMED (wrong kind or form) or LIMIT (range, length); the output is
 *     untouched then --- */

/* Any scalar except null, quoted or not, without control characters and of at most `bytes_max` bytes. */
gboolean yamlnode_get_text(const YamlNode *node, gsize bytes_max, const char **ret, GError **error);
/* Plain scalars in the forms of schema/scalar.h. */
gboolean yamlnode_get_integer(const YamlNode *node, gint64 min, gint64 max, gint64 *ret, GError **error);
gboolean yamlnode_get_boolean(const YamlNode *node, gboolean *ret, GError **error);
gboolean yamlnode_get_duration(const YamlNode *node, gint64 min_ms, gint64 max_ms, gint64 *ret_ms,
                               GError **error);
gboolean yamlnode_get_size(const YamlNode *node, guint64 min, guint64 max, guint64 *ret_bytes,
                           GError **error);
/* TRUE when the node is of that kind; null counts as an empty mapping or sequence. */
gboolean yamlnode_check_kind(const YamlNode *node, YamlKind kind, GError **error);
/* TRUE when every key of the mapping is in the NULL-terminated list; otherwise MALFORMED for the first that
 * is not, with a hint at the nearest known key. Null counts as an empty mapping. */
gboolean yamlnode_check_keys(const YamlNode *mapping, const char *const *known, GError **error);

/* --- Messages --- */

/* Sets *error to "SOURCE:LINE: path.to.key: <message>" and returns FALSE always. */
gboolean yamlnode_error(const YamlNode *node, KontorErrorCode code, GError **error, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Puts the same prefix before the message of an error that a lower function set. Returns FALSE always. */
gboolean yamlnode_prefix_error(const YamlNode *node, GError **error);

/* --- Writing --- */

/* The text (UTF-8, asserted) as a double-quoted scalar on one line, which any YAML reader reads back to the
 * same text. A new string. */
char *yamldoc_quote(const char *text);
