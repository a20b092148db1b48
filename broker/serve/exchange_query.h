/* SPDX-License-Identifier: MIT
 *
 * What requests for digests and changes ask: reading of the strangers' part of /catalog/digest/… and
 * /catalog/changes?…. Pure functions.
 */
#pragma once

#include "broker/net/http.h"

/* The prefixes of "0a1,7f,…": at least one, at most LIMIT_DIGEST_PREFIXES, each of at most 64 lower-case
 * hexadecimal digits, none of them empty unless it is the only one. A new vector, or NULL. */
char **exchange_query_prefixes(const char *text);

typedef struct {
    guint64 since;
    guint limit; /* 1 … LIMIT_JOURNAL_STEP_CHANGES, which is also the default */
} ChangesQuery;

/* FALSE when "since" is missing or either of them is no number in its range. */
gboolean exchange_query_changes(HttpSlice query, ChangesQuery *ret);
