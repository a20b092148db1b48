/* SPDX-License-Identifier: MIT
 *
 * Values of the query string of a request target (application/x-www-form-urlencoded). Pure.
 */
#pragma once

#include "broker/net/http.h"

/* The decoded value of the first pair of that name. FALSE when it is malformed (bad escape, U+0000, not
 * UTF-8); TRUE with *ret NULL when there is none, else a new string. */
gboolean query_string_get(HttpSlice query, const char *name, char **ret);
