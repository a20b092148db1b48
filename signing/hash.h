/* SPDX-License-Identifier: MIT
 *
 * Hashes, base64 and checks of public keys: the small pure pieces that everything signed stands on. All
 * functions may be called from any thread after signing_init().
 */
#pragma once

#include "schema/error.h"

#define SHA256_BYTES 32
#define SHA256_HEX_CHARS 64
#define ED25519_PUBLIC_BYTES 32
#define ED25519_SIGNATURE_BYTES 64
#define X25519_PUBLIC_BYTES 32

/* Starts libsodium; call once before anything else of this layer. Aborts when the system has no randomness.
 */
void signing_init(void);

/* SHA-256 (FIPS 180-4) of `len` bytes. */
void sha256(const void *data, gsize len, guint8 ret_digest[SHA256_BYTES]);
void sha256_of_bytes(GBytes *bytes, guint8 ret_digest[SHA256_BYTES]);
/* Lower-case hexadecimal, NUL-terminated: `ret` has 2·len + 1 bytes. */
void hex_encode(const guint8 *bytes, gsize len, char *ret);
/* Exactly `len` bytes from 2·len lower-case hexadecimal digits followed by NUL; FALSE otherwise. */
gboolean hex_decode(const char *text, guint8 *ret_bytes, gsize len);

/* Standard base64 (RFC 4648 section 4) with padding. */
char *base64_encode(const void *data, gsize len);
/* Exactly `len` bytes from canonical padded standard base64; FALSE for anything else (white space, URL
 * alphabet, non-zero trailing bits, other length). */
gboolean base64_decode_exact(const char *text, guint8 *ret_bytes, gsize len);

/* Cryptographically secure random bytes. */
void random_fill(void *buffer, gsize len);
/* Compares two texts in a time that does not depend on where they differ (it may depend on their lengths). */
gboolean texts_equal_constant_time(const char *a, const char *b);

/* Ed25519 (RFC 8032), strict: refuses small-order keys and non-canonical encodings. */
gboolean ed25519_verify(const guint8 public_key[ED25519_PUBLIC_BYTES], const void *message, gsize len,
                        const guint8 signature[ED25519_SIGNATURE_BYTES]);
/* FALSE for all-zero and other low-order X25519 points: with these a shared secret is known to everyone (RFC
 * 7748 section 6.1). */
gboolean x25519_public_is_usable(const guint8 public_key[X25519_PUBLIC_BYTES]);
