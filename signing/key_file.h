/* SPDX-License-Identifier: MIT
 *
 * Keys as files: Kontor's own text format, and what other tools write. Pure functions of bytes (but for the
 * randomness of a seal); who opens files, asks for passphrases and sets mode 0600 is broker/cli.
 *
 * Kontor's secret key file (docs/formats.md) is a few lines of text: a first line with format, version and
 * algorithm, "name:", "public:" (base64), and either "seed:" (base64) or, with a passphrase, "kdf:" argon2id
 * with its parameters and salt, and "sealed:" the seed in crypto_secretbox; at the end "check:", so that
 * damage is not taken for a wrong passphrase. A public key file is the same without the secret. Also read:
 * OCC's raw 32-byte files, public keys of minisign and signify. Also written: public keys of minisign and
 * signify; a raw file is the 32 bytes as they are.
 *
 * minisign and signify give each key a random number of 8 bytes and refuse signatures that carry another one.
 * It is kept in Kontor's public key file when it came from there; a key made by Kontor has the first 8 bytes
 * of SHA-256 over the public key.
 *
 * Errors, each distinct: MALFORMED (not a key file, damaged, or a public key that does not belong to the
 * seed), UNSUPPORTED (unknown version, algorithm or key derivation, or derivation parameters above our
 * limits), DENIED (a passphrase is needed and none was given, or it is wrong), LIMIT (larger than
 * LIMIT_KEY_FILE_BYTES, or not enough memory for the key derivation).
 */
#pragma once

#include "signing/key.h"

#define KEY_NUMBER_BYTES 8

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
    SecretKey *secret;               /* NULL in a public key file */
    guint8 number[KEY_NUMBER_BYTES]; /* minisign's and signify's, as read or as described above */
} KeyFile;

/* --- Life cycle --- */

void key_file_free(KeyFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyFile, key_file_free)

/* --- Reading --- */

/* What the bytes look like, without checking further. */
KeyFileKind key_file_kind(const void *data, gsize len);
/* Short stable name of a kind: "kontor-secret", "kontor-sealed", "kontor-public", "raw", "minisign",
 * "signify", "unknown". */
const char *key_file_kind_name(KeyFileKind kind);
/* Reads any of the kinds. `raw_is_secret` says what a raw file is. `passphrase` is only used for sealed
 * files; NULL = none at hand. */
KeyFile *key_file_parse(const void *data, gsize len, gboolean raw_is_secret, const char *passphrase,
                        GError **error);
/* The public part alone: opens no seal, so it needs no passphrase; `secret` is NULL. What a sealed file says
 * of its public key is only as true as its checksum. */
KeyFile *key_file_parse_public(const void *data, gsize len, gboolean raw_is_secret, GError **error);

/* --- Writing: new texts --- */

/* TRUE for a name that may stand in a key file: UTF-8 without control characters, at most
 * LIMIT_KEY_NAME_BYTES, no white space at its ends. "" is none. The printing functions assert it. */
gboolean key_file_name_check(const char *name, GError **error);

/* The text of Kontor's secret key file, sealed when `passphrase` is not NULL (takes a good tenth of a second
 * and 64 MiB then). To be freed, which wipes it, with key_text_free. NULL with MALFORMED for an empty
 * passphrase, LIMIT when the memory is not there. */
char *key_file_print_secret(const SecretKey *secret, const char *name, const char *passphrase,
                            GError **error);
void key_text_free(char *text);
/* `number` NULL: the one that follows from the key. Only another one is written down. */
char *key_file_print_public(const PublicKey *key, const char *name, const guint8 *number);
/* Public keys for `minisign -p` and `signify -p`. */
char *key_file_print_minisign(const PublicKey *key, const guint8 *number);
char *key_file_print_signify(const PublicKey *key, const char *name, const guint8 *number);
