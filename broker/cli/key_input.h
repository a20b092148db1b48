/* SPDX-License-Identifier: MIT
 *
 * Reading key files for commands: permissions, passphrases, and what --raw says about OCC's raw files. Errors
 * name the file.
 */
#pragma once

#include "broker/cli/cli.h"
#include "signing/key_file.h"

/* Options that commands share; cli_key_input reads them. */
#define CLI_OPTION_PASSPHRASE_FD                                                                             \
    {                                                                                                        \
        "passphrase-fd", 0, "N", "read the key's passphrase from descriptor N (one line)", FALSE             \
    }
#define CLI_OPTION_RAW                                                                                       \
    {                                                                                                        \
        "raw", 0, "KIND", "what a raw 32-byte file is: secret or public", FALSE                              \
    }

/* The secret key file at `path`, opened with a passphrase of --passphrase-fd or of the terminal when it is
 * sealed. DENIED also when an unsealed secret may be read by other users; MALFORMED when there is no secret
 * in it, and for a raw file that --raw does not call a secret. */
KeyFile *cli_key_secret(const CliArgs *args, const char *path, GError **error);
/* The public key of any key file, or a public key that the word itself is (base64); needs no passphrase. */
KeyFile *cli_key_public(const CliArgs *args, const char *path_or_key, KeyFileKind *ret_kind, GError **error);

/* The passphrase for a new seal that --passphrase-fd or --passphrase asks for. TRUE with NULL in *ret when
 * none of them was given. Freed with secret_free. */
gboolean cli_key_new_passphrase(const CliArgs *args, char **ret, GError **error);
