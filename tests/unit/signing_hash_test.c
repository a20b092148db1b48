/* SPDX-License-Identifier: MIT
 *
 * Published vectors (FIPS 180-4, RFC 8032, RFC 4648, RFC 7748) and the frozen OCC vectors, and everything
 * that the strict checks must refuse.
 */
#include "signing/hash.h"

#include "schema/json_reader.h"

#include <string.h>

enum { VECTORS_BYTES_MAX = 1024 * 1024 };

static GByteArray *unhex(const char *hex)
{
    gsize len = strlen(hex) / 2;
    GByteArray *bytes = g_byte_array_new();
    g_byte_array_set_size(bytes, (guint)len);
    g_assert_true(hex_decode(hex, bytes->data, len));
    return bytes;
}

static void assert_sha256(const void *data, gsize len, const char *expected)
{
    guint8 digest[SHA256_BYTES];
    char hex[SHA256_HEX_CHARS + 1];
    sha256(data, len, digest);
    hex_encode(digest, sizeof digest, hex);
    g_assert_cmpstr(hex, ==, expected);
}

static void test_sha256(void)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256(two_blocks, strlen(two_blocks),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    g_autofree char *million = g_strnfill(1000000, 'a');
    assert_sha256(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the ends of blocks, and around that from which another library hashes, at every
 * alignment, beside GLib's. */
static void test_sha256_lengths(void)
{
    enum { LENGTHS = 330, ALIGNMENTS = 16 };
    guint8 data[LENGTHS + ALIGNMENTS];
    for (guint i = 0; i < sizeof data; i++)
        data[i] = (guint8)(i * 167 + i / 256 * 13 + 5);
    for (guint len = 0; len < LENGTHS; len++) {
        for (guint at = 0; at < ALIGNMENTS; at++) {
            g_autofree char *expected = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data + at, len);
            assert_sha256(data + at, len, expected);
        }
    }
}

static void test_hex(void)
{
    const guint8 bytes[] = {0x00, 0x7f, 0x80, 0xff};
    char text[9];
    hex_encode(bytes, sizeof bytes, text);
    g_assert_cmpstr(text, ==, "007f80ff");
    guint8 back[4] = {1, 2, 3, 4};
    g_assert_true(hex_decode(text, back, sizeof back));
    g_assert_cmpmem(back, sizeof back, bytes, sizeof bytes);
    const char *const bad[] = {"",         "007f80f",  "007f80ff0", "007f80ff00",
                               "007F80ff", "007f80fg", " 07f80ff",  "0x7f80ff"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(hex_decode(bad[i], back, sizeof back));
    g_assert_cmpmem(back, sizeof back, bytes, sizeof bytes);
    g_assert_true(hex_decode("", back, 0));
}

static void test_base64(void)
{
    static const char *const rfc4648[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (gsize len = 0; len < G_N_ELEMENTS(rfc4648); len++) {
        g_autofree char *text = base64_encode("foobar", len);
        g_assert_cmpstr(text, ==, rfc4648[len]);
        guint8 back[6];
        g_assert_true(base64_decode_exact(text, back, len));
        g_assert_cmpmem(back, len, "foobar", len);
    }
    guint8 out[5] = "kept";
    const char *const bad[] = {"Zm9vYg",     "Zm9vYg=",  "Zm9vYg===",  "Zm9vYg= =", "Zm9vYh==",
                               "Zm9v\nYg==", "Zm9vYmE=", "Zm9vYg==\n", " Zm9vYg==", "Zm9v",
                               "Zm-vYg==",   "Zm_vYg==", "Zm9v=g==",   ""};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(base64_decode_exact(bad[i], out, 4));
    g_assert_cmpstr((const char *)out, ==, "kept");
}

/* A byte is a digit exactly when the alphabet has it, wherever it stands. */
static void test_base64_alphabet(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (guint value = 1; value < 256; value++) {
        for (guint at = 0; at < 4; at++) {
            char text[] = "Zm9v";
            guint8 out[3];
            text[at] = (char)value;
            g_assert_cmpint(base64_decode_exact(text, out, 3), ==, strchr(alphabet, (int)value) != NULL);
        }
    }
}

static void test_random(void)
{
    guint8 a[64] = {0}, b[64] = {0};
    random_fill(a, sizeof a);
    random_fill(b, sizeof b);
    g_assert_cmpint(memcmp(a, b, sizeof a), !=, 0);
}

static void test_constant_time(void)
{
    g_assert_true(texts_equal_constant_time("", ""));
    g_assert_true(texts_equal_constant_time("token", "token"));
    g_assert_false(texts_equal_constant_time("token", "tokem"));
    g_assert_false(texts_equal_constant_time("token", "Token"));
    g_assert_false(texts_equal_constant_time("token", "tokens"));
    g_assert_false(texts_equal_constant_time("", "t"));
}

/* --- Ed25519 --- */

typedef struct {
    const char *public_key, *message, *signature;
} Rfc8032;

/* RFC 8032, 7.1: tests 1, 2, 3 and SHA(abc). */
static const Rfc8032 rfc8032[] = {
    {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
     "0595"
     "bbe24655141438e7a100b"},
    {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
     "eb43"
     "02aeeb00d291612bb0c00"},
    {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e"
     "9716"
     "ed28dc027beceea1ec40a"},
    {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d442"
     "3643"
     "ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179"
     "c138"
     "ac17ad9bef1177331a704"},
};

static void test_ed25519_vectors(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(rfc8032); i++) {
        g_autoptr(GByteArray) key = unhex(rfc8032[i].public_key);
        g_autoptr(GByteArray) message = unhex(rfc8032[i].message);
        g_autoptr(GByteArray) signature = unhex(rfc8032[i].signature);
        g_assert_true(ed25519_verify(key->data, message->data, message->len, signature->data));
        g_autoptr(GByteArray) longer = g_byte_array_append(unhex(rfc8032[i].message), (const guint8 *)"", 1);
        g_assert_false(ed25519_verify(key->data, longer->data, longer->len, signature->data));
    }
}

/* Every single bit of key and signature matters. */
static void test_ed25519_every_bit(void)
{
    g_autoptr(GByteArray) key = unhex(rfc8032[1].public_key);
    g_autoptr(GByteArray) message = unhex(rfc8032[1].message);
    g_autoptr(GByteArray) signature = unhex(rfc8032[1].signature);
    for (guint bit = 0; bit < 8 * ED25519_PUBLIC_BYTES; bit++) {
        key->data[bit / 8] ^= (guint8)(1 << (bit % 8));
        g_assert_false(ed25519_verify(key->data, message->data, message->len, signature->data));
        key->data[bit / 8] ^= (guint8)(1 << (bit % 8));
    }
    for (guint bit = 0; bit < 8 * ED25519_SIGNATURE_BYTES; bit++) {
        signature->data[bit / 8] ^= (guint8)(1 << (bit % 8));
        g_assert_false(ed25519_verify(key->data, message->data, message->len, signature->data));
        signature->data[bit / 8] ^= (guint8)(1 << (bit % 8));
    }
    g_assert_true(ed25519_verify(key->data, message->data, message->len, signature->data));
}

/* S + L is the same number modulo the group order: a second signature that a lax verifier takes. */
static void test_ed25519_malleable(void)
{
    g_autoptr(GByteArray) key = unhex(rfc8032[0].public_key);
    g_autoptr(GByteArray) signature = unhex(rfc8032[0].signature);
    g_autoptr(GByteArray) order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    guint carry = 0;
    for (guint i = 0; i < 32; i++) {
        carry += signature->data[32 + i] + order->data[i];
        signature->data[32 + i] = (guint8)carry;
        carry >>= 8;
    }
    g_assert_cmpuint(carry, ==, 0);
    g_assert_false(ed25519_verify(key->data, "", 0, signature->data));
}

/* With the key of order 1 (the point y = 1), R = that point and S = 0 fit every message by the bare equation.
 */
static void test_ed25519_small_order(void)
{
    static const char *const keys[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    };
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autoptr(GByteArray) key = unhex(keys[i]);
        guint8 signature[ED25519_SIGNATURE_BYTES] = {1};
        g_assert_false(ed25519_verify(key->data, "any", 3, signature));
        memcpy(signature, key->data, 32);
        g_assert_false(ed25519_verify(key->data, "any", 3, signature));
    }
}

/* --- X25519 --- */

/* Points of low order, canonical or not (RFC 7748 6.1; u = 0, 1, the two of order 8, p−1, p, p+1), each with
 * the ignored top bit clear and set. */
static void test_x25519_low_order(void)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    for (guint i = 0; i < G_N_ELEMENTS(points); i++) {
        g_autoptr(GByteArray) point = unhex(points[i]);
        g_assert_false(x25519_public_is_usable(point->data));
        point->data[31] |= 0x80;
        g_assert_false(x25519_public_is_usable(point->data));
    }
}

static void test_x25519_usable(void)
{
    static const char *const points[] = {
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", /* RFC 7748 6.1, Alice */
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", /* Bob */
        "0900000000000000000000000000000000000000000000000000000000000000", /* the base point */
    };
    for (guint i = 0; i < G_N_ELEMENTS(points); i++) {
        g_autoptr(GByteArray) point = unhex(points[i]);
        g_assert_true(x25519_public_is_usable(point->data));
    }
}

/* --- The frozen OCC vectors --- */

static JsonDoc *load_vectors(void)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    GError *error = NULL;
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/vectors/occ.json", &text, &len, &error));
    JsonDoc *doc = json_doc_parse(text, len, VECTORS_BYTES_MAX, &error);
    g_assert_no_error(error);
    return doc;
}

static const char *vector(const JsonDoc *doc, const char *key)
{
    const char *text = NULL;
    g_assert_true(json_get_string(json_doc_root(doc), key, JSON_REQUIRED, VECTORS_BYTES_MAX, &text, NULL));
    return text;
}

static void vector_base64(const JsonDoc *doc, const char *key, guint8 *ret, gsize len)
{
    g_assert_true(base64_decode_exact(vector(doc, key), ret, len));
}

static void test_occ_signatures(void)
{
    g_autoptr(JsonDoc) doc = load_vectors();
    guint8 key[ED25519_PUBLIC_BYTES], manifest[ED25519_SIGNATURE_BYTES],
        registration[ED25519_SIGNATURE_BYTES];
    guint8 nonce[32], recipient[X25519_PUBLIC_BYTES];
    vector_base64(doc, "ed25519_pub_b64", key, sizeof key);
    vector_base64(doc, "manifest_signature_b64", manifest, sizeof manifest);
    vector_base64(doc, "register_signature_b64", registration, sizeof registration);
    vector_base64(doc, "challenge_nonce_b64", nonce, sizeof nonce);
    vector_base64(doc, "recipient_pub_b64", recipient, sizeof recipient);
    g_autoptr(GByteArray) canonical = unhex(vector(doc, "canonical_hex"));
    g_assert_true(ed25519_verify(key, canonical->data, canonical->len, manifest));
    const char *node_id = vector(doc, "node_id");
    g_autoptr(GByteArray) challenge = g_byte_array_append(g_byte_array_new(), nonce, sizeof nonce);
    g_byte_array_append(challenge, (const guint8 *)node_id, (guint)strlen(node_id));
    g_assert_true(ed25519_verify(key, challenge->data, challenge->len, registration));
    challenge->data[0] ^= 1;
    g_assert_false(ed25519_verify(key, challenge->data, challenge->len, registration));
    g_assert_true(x25519_public_is_usable(recipient));
}

/* The fingerprint is the beginning of the base32 form of this hash; 16 characters hold 10 bytes. */
static void test_occ_fingerprint_data(void)
{
    g_autoptr(JsonDoc) doc = load_vectors();
    guint8 key[ED25519_PUBLIC_BYTES], digest[SHA256_BYTES];
    vector_base64(doc, "ed25519_pub_b64", key, sizeof key);
    sha256(key, sizeof key, digest);
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    const char *fingerprint = vector(doc, "fingerprint");
    g_assert_cmpuint(strlen(fingerprint), ==, 16);
    for (guint i = 0; i < 16; i++) {
        guint bit = 5 * i;
        guint window = (guint)digest[bit / 8] << 8 | digest[bit / 8 + 1];
        g_assert_cmpint(fingerprint[i], ==, alphabet[(window >> (11 - bit % 8)) & 31]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/hash/sha256", test_sha256);
    g_test_add_func("/hash/sha256-lengths", test_sha256_lengths);
    g_test_add_func("/hash/hex", test_hex);
    g_test_add_func("/hash/base64", test_base64);
    g_test_add_func("/hash/base64-alphabet", test_base64_alphabet);
    g_test_add_func("/hash/random", test_random);
    g_test_add_func("/hash/constant-time", test_constant_time);
    g_test_add_func("/hash/ed25519-vectors", test_ed25519_vectors);
    g_test_add_func("/hash/ed25519-every-bit", test_ed25519_every_bit);
    g_test_add_func("/hash/ed25519-malleable", test_ed25519_malleable);
    g_test_add_func("/hash/ed25519-small-order", test_ed25519_small_order);
    g_test_add_func("/hash/x25519-low-order", test_x25519_low_order);
    g_test_add_func("/hash/x25519-usable", test_x25519_usable);
    g_test_add_func("/hash/occ-signatures", test_occ_signatures);
    g_test_add_func("/hash/occ-fingerprint-data", test_occ_fingerprint_data);
    return g_test_run();
}
