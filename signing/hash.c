/* SPDX-License-Identifier: MIT
 *
 * Thin, strict wrappers of libsodium, and of OpenSSL for SHA-256 of what is long. What "strict" rests on:
 *
 *   Ed25519   crypto_sign_verify_detached refuses S ≥ L, keys of small order, keys that are not the canonical
 *             encoding of their point and an R of small order, and compares R byte by byte.
 *   X25519    every scalar is clamped to a multiple of 8, the cofactor, so a point of low order (in canonical
 *             form or not, with the top bit set or not) always multiplies to zero, which crypto_scalarmult
 *             reports.
 *   base64    sodium_base642bin refuses white space, wrong padding and non-zero trailing bits. It takes some
 * bytes above 0x7f for digits where char is signed, so these are refused before.
 */
#include "signing/hash.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

G_STATIC_ASSERT(SHA256_BYTES == crypto_hash_sha256_BYTES);
G_STATIC_ASSERT(ED25519_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES);
G_STATIC_ASSERT(ED25519_SIGNATURE_BYTES == crypto_sign_BYTES);
G_STATIC_ASSERT(X25519_PUBLIC_BYTES == crypto_scalarmult_BYTES);

void signing_init(void)
{
    if (sodium_init() < 0)
        g_error("libsodium cannot start: the system provides no randomness");
}

/* Looked up once: EVP_sha256() is looked up again with every hash. */
static const EVP_MD *long_sha256(void)
{
    static gsize found;
    if (g_once_init_enter(&found)) {
        const EVP_MD *fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
        g_once_init_leave(&found, (gsize)(fetched != NULL ? fetched : EVP_sha256()));
    }
    return (const EVP_MD *)found;
}

/* From this length on OpenSSL, which uses the processor's instructions for SHA-256, is faster than
 * libsodium's portable code, although it has to make a context for every hash. */
enum { SHA256_LONG_BYTES = 256 };

void sha256(const void *data, gsize len, guint8 ret_digest[SHA256_BYTES])
{
    if (len < SHA256_LONG_BYTES || EVP_Digest(data, len, ret_digest, NULL, long_sha256(), NULL) != 1)
        crypto_hash_sha256(ret_digest, data, len);
}

void sha256_of_bytes(GBytes *bytes, guint8 ret_digest[SHA256_BYTES])
{
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    sha256(data, len, ret_digest);
}

void hex_encode(const guint8 *bytes, gsize len, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (gsize i = 0; i < len; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 0xf];
    }
    ret[2 * len] = '\0';
}

static int lower_hex_value(char c)
{
    return (c >= 'A' && c <= 'F') ? -1 : g_ascii_xdigit_value(c);
}

gboolean hex_decode(const char *text, guint8 *ret_bytes, gsize len)
{
    if (strnlen(text, 2 * len + 1) != 2 * len)
        return FALSE;
    for (gsize i = 0; i < 2 * len; i++) {
        if (lower_hex_value(text[i]) < 0)
            return FALSE;
    }
    for (gsize i = 0; i < len; i++)
        ret_bytes[i] = (guint8)(lower_hex_value(text[2 * i]) << 4 | lower_hex_value(text[2 * i + 1]));
    return TRUE;
}

char *base64_encode(const void *data, gsize len)
{
    gsize size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = g_malloc(size);
    sodium_bin2base64(text, size, data, len, sodium_base64_VARIANT_ORIGINAL);
    return text;
}

static gboolean is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((guint8)*text >= 0x80)
            return FALSE;
    }
    return TRUE;
}

gboolean base64_decode_exact(const char *text, guint8 *ret_bytes, gsize len)
{
    gsize chars = (len + 2) / 3 * 4;
    if (strnlen(text, chars + 1) != chars || !is_ascii(text))
        return FALSE;
    /* Decoded aside, so that the output is untouched when the text turns out to be wrong near its end. */
    g_autofree guint8 *bytes = g_malloc(len + 1);
    gsize decoded = 0;
    gboolean good = sodium_base642bin(bytes, len, text, chars, NULL, &decoded, NULL,
                                      sodium_base64_VARIANT_ORIGINAL) == 0 &&
                    decoded == len;
    if (good)
        memcpy(ret_bytes, bytes, len);
    sodium_memzero(bytes, len); /* may be a seed, and the most of one even when it is wrong near its end */
    return good;
}

void random_fill(void *buffer, gsize len)
{
    randombytes_buf(buffer, len);
}

gboolean texts_equal_constant_time(const char *a, const char *b)
{
    gsize len = strlen(a);
    return len == strlen(b) && sodium_memcmp(a, b, len) == 0;
}

gboolean ed25519_verify(const guint8 public_key[ED25519_PUBLIC_BYTES], const void *message, gsize len,
                        const guint8 signature[ED25519_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, message, len, public_key) == 0;
}

gboolean x25519_public_is_usable(const guint8 public_key[X25519_PUBLIC_BYTES])
{
    /* The scalar is no secret: only whether the product is zero matters, and that does not depend on it. */
    static const guint8 scalar[crypto_scalarmult_SCALARBYTES] = {1};
    guint8 product[crypto_scalarmult_BYTES];
    return crypto_scalarmult(product, scalar, public_key) == 0;
}
