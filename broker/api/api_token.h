/* SPDX-License-Identifier: MIT
 *
 * The bearer token of the loopback listener. It stands in <data>/daemon.json as "apiToken": 64 lower-case
 * hexadecimal digits, readable by the owner alone, made at the first start and kept afterwards; whoever may
 * read the file may use the listener. Deleting the file (or the field) makes a new token at the next start.
 * The other fields of the file belong to the clients that share it ("port", "pacts", "currentAlias") and are
 * kept as they are.
 */
#pragma once

#include "schema/error.h"

#define API_TOKEN_HEX_CHARS 64
#define API_TOKEN_FILE_BYTES_MAX (1024 * 1024)

/* The token of the data directory, made when there is none. NULL with MALFORMED (the file is no JSON object)
 * or IO. `port` goes into a file that is made anew. */
char *api_token_load(const char *data_dir, guint16 port, GError **error);
