/* SPDX-License-Identifier: MIT
 *
 * <data>/read_tokens.json (signing/read_tokens.h): reading it whole, replacing it durably with 0600. The
 * command line changes it, under safe_file_lock; the broker only reads it.
 */
#pragma once

#include "signing/read_tokens.h"

char *read_token_file_path(const char *data_dir);
/* Empty when there is no file. IO, DENIED, LIMIT or MALFORMED name the file. */
ReadTokens *read_token_file_load(const char *path, GError **error);
/* LIMIT when it would be too large to be read back. */
gboolean read_token_file_save(const char *path, const ReadTokens *tokens, GError **error);
