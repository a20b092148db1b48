/* SPDX-License-Identifier: MIT
 *
 * Keys as files: Kontor's own text format, and what other tools write. Pure functions of bytes; who opens
 * files, asks for passphrases and sets mode 0600 is broker/cli.
 *
 * Kontor's secret key file (docs/formats.md) is a few lines of text: a first line with format and version,
 * "name:", "public:" (base64), and either "seed:" (base64) or, with a passphrase, "kdf:" argon2id with its
 * parameters and salt, and "sealed:" the seed in crypto_secretbox. A public key file has the same first lines
 * without the secret. Also read: OCC's raw 32-byte files, public keys of minisign and signify. Also written:
 * OCC's raw files, public keys of minisign and signify.
 *
 * Errors, each distinct: MALFORMED (not a key file, damaged: checksum or base64; public key does not belong
 * to the seed), UNSUPPORTED (unknown version, algorithm or key derivation, or derivation parameters above our
 * limits), DENIED (a passphrase is needed and none was given, or it is wrong).
 */
#pragma once

#include "signing/key.h"

typedef enum {
    KEY_FILE_SECRET,        /* Kontor's, plain */
    KEY_FILE_SECRET_SEALED, /* Kontor's, with a passphrase */
    KEY_FILE_PUBLIC,        /* Kontor's */
    KEY_FILE_RAW, /* 32 bytes: OCC's signing.key or signing.pub; which of them only the caller can know */
    KEY_FILE_MINISIGN_PUBLIC,
    KEY_FILE_SIGNIFY_PUBLIC,
    KEY_FILE_UNKNOWN,
} KeyFileKind;

typedef struct {
    char *name; /* of the owner; may be "" */
    PublicKey public_key;
    SecretKey *secret; /* NULL in a public key file */
} KeyFile;

void key_file_free(KeyFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyFile, key_file_free)

/* What the bytes look like, without checking further. */
KeyFileKind key_file_kind(const void *data, gsize len);
/* Reads any of the kinds. `raw_is_secret` says what a raw file is. `passphrase` is only used for sealed
 * files; NULL = none at hand. */
KeyFile *key_file_parse(const void *data, gsize len, gboolean raw_is_secret, const char *passphrase,
                        GError **error);

/* The text of Kontor's secret key file, sealed when `passphrase` is not NULL (takes about half a second and
 * 64 MiB then). The result is wiped by the caller with key_text_free. */
char *key_file_print_secret(const SecretKey *secret, const char *name, const char *passphrase,
                            GError **error);
void key_text_free(char *text);
char *key_file_print_public(const PublicKey *key, const char *name);
/* Public keys for `minisign -p` and `signify -p`. */
char *key_file_print_minisign(const PublicKey *key, const char *comment);
char *key_file_print_signify(const PublicKey *key, const char *comment);
