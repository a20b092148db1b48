/* SPDX-License-Identifier: MIT
 *
 * Values that people write as text, in kontor.yaml and on the command line: whole numbers, switches,
 * durations and sizes. Each has one parser and one printer, and what the printer writes the parser reads back
 * to the same value.
 *
 *   whole number  decimal digits, "-" in front allowed, no leading zeros (YAML 1.1 would read 010 as octal)
 *   switch        true, yes, on, false, no, off; also capitalised or in capitals (the set of YAML 1.1)
 *   duration      whole number and unit without a blank: ms s m h d. "0" needs no unit
 *   size          whole number and unit: B KiB MiB GiB TiB. A bare number counts bytes
 *
 * Parsers take untrusted text, check the range and leave the output untouched on failure: MALFORMED for a
 * form that is none, LIMIT for a value outside the range. Messages say what was expected and quote the text
 * escaped and shortened. Pure functions, callable from any thread.
 */
#pragma once

#include "schema/error.h"

/* --- Parsing --- */

gboolean scalar_parse_integer(const char *text, gint64 min, gint64 max, gint64 *ret, GError **error);
gboolean scalar_parse_boolean(const char *text, gboolean *ret, GError **error);
/* 0 ≤ `min_ms` ≤ result ≤ `max_ms`, in milliseconds. */
gboolean scalar_parse_duration(const char *text, gint64 min_ms, gint64 max_ms, gint64 *ret_ms,
                               GError **error);
/* `min` ≤ result ≤ `max`, in bytes. */
gboolean scalar_parse_size(const char *text, guint64 min, guint64 max, guint64 *ret_bytes, GError **error);

/* --- Printing: new strings, quantities in the largest unit that divides the value --- */

char *scalar_format_duration(gint64 ms);
char *scalar_format_size(guint64 bytes);
/* Unix seconds as "2026-05-01T12:00:00Z" (RFC 3339), a new string; NULL outside the years 1 to 9999. */
char *scalar_format_time(gint64 unix_s);

/* --- For messages --- */

/* The candidate (NULL-terminated list) that `text` was probably meant to be: at most two letters added, lost,
 * replaced or exchanged and fewer than half of them, without regard to case; NULL when none is that near. */
const char *scalar_nearest(const char *text, const char *const *candidates);
