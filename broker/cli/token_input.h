/* SPDX-License-Identifier: MIT
 *
 * --token-file: read tokens for brokers that a command asks. A token is a secret between its holder and one
 * broker, so it is sent only to the broker that the user has named it for.
 *
 *   --token-file FILE        for the one broker that the command asks
 *   --token-file URL=FILE    for the broker at URL, of several
 */
#pragma once

#include "broker/cli/cli.h"

#define CLI_OPTION_TOKEN_FILE                                                                                \
    {                                                                                                        \
        "token-file", 0, "[URL=]FILE",                                                                       \
            "read token for private packs; with several brokers say for which, repeat it for each", TRUE     \
    }

/* The tokens for the brokers `urls` (as endpoints_url gives them), in their order, in a new array with one
 * element for each: char *, owned, or NULL. A FILE without URL is for the first one when `lone`. MALFORMED
 * when it is not known for which broker a token is, when there are two for one, and for a file that has not
 * exactly one line with a token; NOT_FOUND, DENIED and IO name the file. */
GPtrArray *cli_token_files(const CliArgs *args, const char *const *urls, gboolean lone, GError **error);
