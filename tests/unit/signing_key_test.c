/* SPDX-License-Identifier: MIT
 *
 * Keys against the vectors of RFC 8032 section 7.1 and of OCC, and what a label does to a signature.
 */
#include "signing/key.h"

#include "schema/json_reader.h"

#include <string.h>

enum { VECTORS_BYTES_MAX = 1024 * 1024, MESSAGE_BYTES_MAX = 64 };

static const struct {
    const char *seed, *public_key, *message, *signature;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
     "0"
     "595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
     "e"
     "b4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e"
     "9"
     "716ed28dc027beceea1ec40a"},
};

static void test_rfc8032(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(rfc8032); i++) {
        guint8 seed[32], back[32], expected[ED25519_SIGNATURE_BYTES], signature[ED25519_SIGNATURE_BYTES];
        guint8 message[MESSAGE_BYTES_MAX];
        gsize len = strlen(rfc8032[i].message) / 2;
        PublicKey public_key, expected_key;
        g_assert_true(hex_decode(rfc8032[i].seed, seed, sizeof seed));
        g_assert_true(hex_decode(rfc8032[i].public_key, expected_key.bytes, sizeof expected_key.bytes));
        g_assert_true(hex_decode(rfc8032[i].signature, expected, sizeof expected));
        g_assert_true(hex_decode(rfc8032[i].message, message, len));
        g_autoptr(SecretKey) key = secret_key_from_seed(seed);
        secret_key_public(key, &public_key);
        g_assert_true(public_key_equal(&public_key, &expected_key));
        secret_key_seed(key, back);
        g_assert_cmpmem(back, sizeof back, seed, sizeof seed);
        secret_key_sign(key, message, len, signature);
        g_assert_cmpmem(signature, sizeof signature, expected, sizeof expected);
        g_assert_true(public_key_verify(&public_key, message, len, signature));
        g_assert_false(public_key_verify(&public_key, "x", 1, signature));
    }
}

static JsonDoc *load_vectors(void)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/vectors/occ.json", &text, &len, &error));
    JsonDoc *doc = json_doc_parse(text, len, VECTORS_BYTES_MAX, &error);
    g_assert_no_error(error);
    return doc;
}

static const char *vector(const JsonDoc *doc, const char *key)
{
    return json_value_string(json_object_get(json_doc_root(doc), key));
}

static void test_occ_vectors(void)
{
    g_autoptr(JsonDoc) doc = load_vectors();
    guint8 seed[32], signature[ED25519_SIGNATURE_BYTES];
    PublicKey public_key;
    char fingerprint[FINGERPRINT_CHARS + 1];
    g_assert_true(hex_decode(vector(doc, "ed25519_seed_hex"), seed, sizeof seed));
    g_autoptr(SecretKey) key = secret_key_from_seed(seed);
    secret_key_public(key, &public_key);
    g_autofree char *public_text = base64_encode(public_key.bytes, sizeof public_key.bytes);
    g_assert_cmpstr(public_text, ==, vector(doc, "ed25519_pub_b64"));
    public_key_fingerprint(&public_key, fingerprint);
    g_assert_cmpstr(fingerprint, ==, vector(doc, "fingerprint"));
    const char *canonical = vector(doc, "canonical_ascii");
    secret_key_sign(key, canonical, strlen(canonical), signature);
    g_autofree char *signature_text = base64_encode(signature, sizeof signature);
    g_assert_cmpstr(signature_text, ==, vector(doc, "manifest_signature_b64"));
}

/* The fingerprint as the specification words it, bit by bit: base32 of the whole hash, cut. */
static void slow_fingerprint(const PublicKey *key, char ret[FINGERPRINT_CHARS + 1])
{
    g_autofree char *hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, key->bytes, sizeof key->bytes);
    guint value = 0, bits = 0, out = 0;
    for (const char *c = hex; out < FINGERPRINT_CHARS; c++) {
        for (int bit = 3; bit >= 0 && out < FINGERPRINT_CHARS; bit--) {
            value = value << 1 | (guint)(g_ascii_xdigit_value(*c) >> bit & 1);
            if (++bits % 5 == 0) {
                ret[out++] = (char)((value & 31) < 26 ? 'a' + (value & 31) : '2' + (value & 31) - 26);
            }
        }
    }
    ret[out] = '\0';
}

static void test_fingerprint_model(void)
{
    for (guint i = 0; i < 500; i++) {
        PublicKey key;
        char fast[FINGERPRINT_CHARS + 1], slow[FINGERPRINT_CHARS + 1];
        for (guint k = 0; k < sizeof key.bytes; k++)
            key.bytes[k] = (guint8)g_test_rand_int();
        public_key_fingerprint(&key, fast);
        slow_fingerprint(&key, slow);
        g_assert_cmpstr(fast, ==, slow);
    }
}

static void test_labels(void)
{
    static const char message[] = "the same bytes";
    g_autoptr(SecretKey) key = secret_key_generate();
    guint8 plain[ED25519_SIGNATURE_BYTES], release[ED25519_SIGNATURE_BYTES], by_hand[ED25519_SIGNATURE_BYTES];
    PublicKey public_key;
    secret_key_public(key, &public_key);
    secret_key_sign(key, message, strlen(message), plain);
    secret_key_sign_labelled(key, "kontor/release/v1", message, strlen(message), release);
    secret_key_sign(key, "kontor/release/v1\0the same bytes", 18 + strlen(message), by_hand);
    g_assert_cmpmem(release, sizeof release, by_hand, sizeof by_hand);
    g_assert_true(
        public_key_verify_labelled(&public_key, "kontor/release/v1", message, strlen(message), release));
    g_assert_false(
        public_key_verify_labelled(&public_key, "kontor/release/v2", message, strlen(message), release));
    g_assert_false(
        public_key_verify_labelled(&public_key, "kontor/release/v1", message, strlen(message), plain));
    g_assert_false(public_key_verify(&public_key, message, strlen(message), release));
    secret_key_sign_labelled(key, "kontor/empty/v1", NULL, 0, release);
    g_assert_true(public_key_verify_labelled(&public_key, "kontor/empty/v1", "", 0, release));
}

static void test_generated_keys_differ(void)
{
    g_autoptr(SecretKey) a = secret_key_generate();
    g_autoptr(SecretKey) b = secret_key_generate();
    PublicKey a_public, b_public;
    secret_key_public(a, &a_public);
    secret_key_public(b, &b_public);
    g_assert_false(public_key_equal(&a_public, &b_public));
}

static void test_secret_memory(void)
{
    static const char zero[64];
    char *buffer = secret_alloc(sizeof zero);
    g_assert_cmpmem(buffer, sizeof zero, zero, sizeof zero);
    memset(buffer, 'x', sizeof zero);
    secret_wipe(buffer, sizeof zero);
    g_assert_cmpmem(buffer, sizeof zero, zero, sizeof zero);
    secret_free(buffer);
    secret_free(NULL);
    secret_key_free(NULL);
}

static gpointer sign_many(gpointer data)
{
    const SecretKey *key = data;
    PublicKey public_key;
    secret_key_public(key, &public_key);
    for (guint i = 0; i < 200; i++) {
        guint8 signature[ED25519_SIGNATURE_BYTES];
        secret_key_sign_labelled(key, "kontor/test/v1", &i, sizeof i, signature);
        g_assert_true(public_key_verify_labelled(&public_key, "kontor/test/v1", &i, sizeof i, signature));
    }
    return NULL;
}

static void test_threads_share_a_key(void)
{
    g_autoptr(SecretKey) key = secret_key_generate();
    GThread *threads[4];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("signer", sign_many, key);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/key/rfc8032", test_rfc8032);
    g_test_add_func("/key/occ-vectors", test_occ_vectors);
    g_test_add_func("/key/fingerprint-model", test_fingerprint_model);
    g_test_add_func("/key/labels", test_labels);
    g_test_add_func("/key/generated-keys-differ", test_generated_keys_differ);
    g_test_add_func("/key/secret-memory", test_secret_memory);
    g_test_add_func("/key/threads-share-a-key", test_threads_share_a_key);
    return g_test_run();
}
