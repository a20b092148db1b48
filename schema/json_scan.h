/* SPDX-License-Identifier: MIT
 *
 * The strict pass over JSON bytes that comes before any tree is built; part of json_reader and used by
 * nothing else. It accepts exactly RFC 8259 in UTF-8 without a byte order mark, minus what the tree builder
 * would read wrongly or at too high a price: U+0000 in strings, lone surrogates, numbers longer than
 * LIMIT_JSON_NUMBER_BYTES, more levels than LIMIT_JSON_DEPTH, more values than LIMIT_JSON_VALUES.
 *
 * It uses no heap and no recursion and looks at each byte once. Duplicate keys are not its business: they
 * show only when escapes are decoded. Pure function.
 */
#pragma once

#include "schema/error.h"

/* TRUE when the bytes are one JSON value with nothing but white space around it. Otherwise FALSE with
 * MALFORMED or LIMIT, "at byte N: …" with the 0-based offset of the offending byte. */
gboolean json_scan_check(const char *data, gsize len, GError **error);
