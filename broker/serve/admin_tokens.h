/* SPDX-License-Identifier: MIT
 *
 * Who may ask for a reindex: the tokens of OCC_REINDEX_TOKEN (contract) and of admin_tokens_file, one per
 * line, "#" begins a comment line. Several are valid at once, so that they can be rotated. An array of char *
 * (shared, immutable once loaded); tokens reach neither logs nor answers.
 */
#pragma once

#include "broker/config.h"
#include "broker/net/http.h"

#define ADMIN_TOKENS_FILE_BYTES_MAX (64 * 1024)

/* NULL with the file's name in the message when it cannot be read or is too large. Empty: nobody may. */
GPtrArray *admin_tokens_load(const Config *config, GError **error);
/* Takes a time that does not tell which token was nearly right, or where. */
gboolean admin_tokens_match(const GPtrArray *tokens, HttpSlice candidate);
