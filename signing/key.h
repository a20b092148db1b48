/* SPDX-License-Identifier: MIT
 *
 * Ed25519 keys (RFC 8032) of publishers and brokers, by libsodium.
 *
 * A SecretKey lives in memory that is locked, guarded and wiped when it is freed; nothing prints or copies it
 * but key_file.h. It may be used for signing by any number of threads at once. A PublicKey is 32 bytes that
 * may be copied.
 *
 * Two kinds of signature exist. OCC's contracts (manifest.sig, challenges) sign bytes as they are. Everything
 * of Kontor's own is signed with a label, over "kontor/<what>/v1" ‖ NUL ‖ bytes, so that a signature made for
 * one purpose is worthless for another.
 */
#pragma once

#include "signing/hash.h"

#define FINGERPRINT_CHARS 16
#define ED25519_SEED_BYTES 32

typedef struct {
    guint8 bytes[ED25519_PUBLIC_BYTES];
} PublicKey;

typedef struct SecretKey SecretKey;

/* --- Life cycle --- */

SecretKey *secret_key_generate(void);
/* From the 32-byte seed, which is what OCC's signing.key holds. */
SecretKey *secret_key_from_seed(const guint8 seed[ED25519_SEED_BYTES]);
void secret_key_free(SecretKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SecretKey, secret_key_free)

/* --- Operations --- */

void secret_key_sign(const SecretKey *key, const void *message, gsize len,
                     guint8 ret_signature[ED25519_SIGNATURE_BYTES]);
/* `label` such as "kontor/release/v1". */
void secret_key_sign_labelled(const SecretKey *key, const char *label, const void *message, gsize len,
                              guint8 ret_signature[ED25519_SIGNATURE_BYTES]);

/* --- Memory for secrets that are no keys: passphrases, texts of key files --- */

/* `len` zero bytes that are locked, guarded and wiped when freed. Never NULL. */
void *secret_alloc(gsize len);
void secret_free(void *buffer);
void secret_wipe(void *buffer, gsize len);

/* --- Queries --- */

void secret_key_public(const SecretKey *key, PublicKey *ret);
/* The seed, for writing key files; the caller wipes it (secret_wipe). */
void secret_key_seed(const SecretKey *key, guint8 ret_seed[ED25519_SEED_BYTES]);

gboolean public_key_equal(const PublicKey *a, const PublicKey *b);
gboolean public_key_verify(const PublicKey *key, const void *message, gsize len,
                           const guint8 signature[ED25519_SIGNATURE_BYTES]);
gboolean public_key_verify_labelled(const PublicKey *key, const char *label, const void *message, gsize len,
                                    const guint8 signature[ED25519_SIGNATURE_BYTES]);
/* First 16 characters of the lower-case RFC 4648 base32 of SHA-256 over the key (OCC's fingerprint),
 * NUL-terminated. */
void public_key_fingerprint(const PublicKey *key, char ret[FINGERPRINT_CHARS + 1]);
