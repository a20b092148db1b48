/* SPDX-License-Identifier: MIT
 *
 * A SecretKey is one guarded allocation of libsodium, made read-only once it is filled, so that a stray write
 * cannot silently change what we sign with.
 */
#include "signing/key.h"

#include <sodium.h>
#include <string.h>

#define BASE32_BITS 5

G_STATIC_ASSERT(ED25519_SEED_BYTES == crypto_sign_SEEDBYTES);
/* The fingerprint is made of whole bytes of the hash. */
G_STATIC_ASSERT(FINGERPRINT_CHARS *BASE32_BITS % 8 == 0);

struct SecretKey {
    guint8 secret[crypto_sign_SECRETKEYBYTES]; /* seed ‖ public key */
    PublicKey public_key;
};

/* --- Memory --- */

void *secret_alloc(gsize len)
{
    void *buffer = sodium_malloc(len);
    if (buffer == NULL)
        g_error("cannot allocate %zu bytes for a secret", len);
    memset(buffer, 0, len);
    return buffer;
}

void secret_free(void *buffer)
{
    sodium_free(buffer);
}

void secret_wipe(void *buffer, gsize len)
{
    sodium_memzero(buffer, len);
}

/* --- Life cycle --- */

SecretKey *secret_key_generate(void)
{
    guint8 seed[ED25519_SEED_BYTES];
    randombytes_buf(seed, sizeof seed);
    SecretKey *key = secret_key_from_seed(seed);
    sodium_memzero(seed, sizeof seed);
    return key;
}

SecretKey *secret_key_from_seed(const guint8 seed[ED25519_SEED_BYTES])
{
    SecretKey *key = secret_alloc(sizeof *key);
    crypto_sign_seed_keypair(key->public_key.bytes, key->secret, seed);
    sodium_mprotect_readonly(key);
    return key;
}

void secret_key_free(SecretKey *key)
{
    sodium_free(key);
}

/* --- Signing --- */

void secret_key_sign(const SecretKey *key, const void *message, gsize len,
                     guint8 ret_signature[ED25519_SIGNATURE_BYTES])
{
    crypto_sign_detached(ret_signature, NULL, message, len, key->secret);
}

/* The label with its NUL, then the message: Ed25519 reads what it signs twice, so it must stand in one piece.
 */
static GByteArray *labelled(const char *label, const void *message, gsize len)
{
    gsize label_len = strlen(label) + 1;
    g_assert(label_len > 1 && len <= G_MAXUINT - label_len);
    GByteArray *bytes = g_byte_array_sized_new((guint)(label_len + len));
    g_byte_array_append(bytes, (const guint8 *)label, (guint)label_len);
    if (len > 0)
        g_byte_array_append(bytes, message, (guint)len);
    return bytes;
}

void secret_key_sign_labelled(const SecretKey *key, const char *label, const void *message, gsize len,
                              guint8 ret_signature[ED25519_SIGNATURE_BYTES])
{
    g_autoptr(GByteArray) bytes = labelled(label, message, len);
    secret_key_sign(key, bytes->data, bytes->len, ret_signature);
}

/* --- Queries --- */

void secret_key_public(const SecretKey *key, PublicKey *ret)
{
    *ret = key->public_key;
}

void secret_key_seed(const SecretKey *key, guint8 ret_seed[ED25519_SEED_BYTES])
{
    crypto_sign_ed25519_sk_to_seed(ret_seed, key->secret);
}

gboolean public_key_equal(const PublicKey *a, const PublicKey *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

gboolean public_key_verify(const PublicKey *key, const void *message, gsize len,
                           const guint8 signature[ED25519_SIGNATURE_BYTES])
{
    return ed25519_verify(key->bytes, message, len, signature);
}

gboolean public_key_verify_labelled(const PublicKey *key, const char *label, const void *message, gsize len,
                                    const guint8 signature[ED25519_SIGNATURE_BYTES])
{
    g_autoptr(GByteArray) bytes = labelled(label, message, len);
    return public_key_verify(key, bytes->data, bytes->len, signature);
}

void public_key_fingerprint(const PublicKey *key, char ret[FINGERPRINT_CHARS + 1])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    guint8 digest[SHA256_BYTES];
    sha256(key->bytes, sizeof key->bytes, digest);
    for (guint i = 0; i < FINGERPRINT_CHARS; i++) {
        guint bit = i * BASE32_BITS;
        /* Five bits of a window of two bytes, the second of which may not be needed. */
        guint window = (guint)digest[bit / 8] << 8 | digest[bit / 8 + 1];
        ret[i] = alphabet[window >> (16 - BASE32_BITS - bit % 8) & 0x1f];
    }
    ret[FINGERPRINT_CHARS] = '\0';
}
