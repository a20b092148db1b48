/* SPDX-License-Identifier: MIT
 *
 * Key files: what is written is read back, every kind of damage has an error of its own, and nothing is taken
 * for something else.
 */
#include "signing/key_file.h"

#include "schema/limits.h"

#include <string.h>

/* The key of RFC 8032 section 7.1, test 1. */
#define SEED_HEX "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define SEED "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PUBLIC "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define OTHER_PUBLIC "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="
#define PLAIN "kontor-secret-key v1 ed25519\nname: Anna\npublic: " PUBLIC "\nseed: " SEED "\n"

static SecretKey *rfc_key(void)
{
    guint8 seed[32];
    g_assert_true(hex_decode(SEED_HEX, seed, sizeof seed));
    return secret_key_from_seed(seed);
}

/* The lines with the checksum that belongs to them. */
static char *with_check(const char *lines)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lines, -1);
    hex[16] = '\0';
    return g_strdup_printf("%scheck: %s\n", lines, hex);
}

static KeyFile *parse_ok(const char *text, const char *passphrase)
{
    g_autoptr(GError) error = NULL;
    KeyFile *file = key_file_parse(text, strlen(text), FALSE, passphrase, &error);
    g_assert_no_error(error);
    return file;
}

static void assert_refused(const void *data, gsize len, const char *passphrase, KontorErrorCode code,
                           const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(key_file_parse(data, len, FALSE, passphrase, &error));
    g_assert_cmpstr(error->message, ==, message);
    g_assert_error(error, KONTOR_ERROR, (int)code);
}

static void assert_lines_refused(const char *lines, KontorErrorCode code, const char *message)
{
    g_autofree char *text = with_check(lines);
    assert_refused(text, strlen(text), NULL, code, message);
}

static void assert_is_rfc_key(const KeyFile *file)
{
    guint8 seed[32], expected[32];
    g_assert_true(hex_decode(SEED_HEX, expected, sizeof expected));
    g_assert_nonnull(file->secret);
    secret_key_seed(file->secret, seed);
    g_assert_cmpmem(seed, sizeof seed, expected, sizeof expected);
    g_autofree char *public_text = base64_encode(file->public_key.bytes, sizeof file->public_key.bytes);
    g_assert_cmpstr(public_text, ==, PUBLIC);
}

static void test_plain(void)
{
    g_autoptr(SecretKey) key = rfc_key();
    g_autoptr(GError) error = NULL;
    char *text = key_file_print_secret(key, "Anna", NULL, &error);
    g_assert_no_error(error);
    g_autofree char *expected = with_check(PLAIN);
    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpint(key_file_kind(text, strlen(text)), ==, KEY_FILE_SECRET);
    g_autoptr(KeyFile) file = parse_ok(text, NULL);
    g_assert_cmpstr(file->name, ==, "Anna");
    assert_is_rfc_key(file);
    g_autoptr(KeyFile) public = key_file_parse_public(text, strlen(text), FALSE, NULL);
    g_assert_null(public->secret);
    g_assert_true(public_key_equal(&public->public_key, &file->public_key));
    key_text_free(text);
}

static void test_sealed(void)
{
    g_autoptr(SecretKey) key = rfc_key();
    g_autoptr(GError) error = NULL;
    char *text = key_file_print_secret(key, "", "sesame öffne dich", &error);
    g_assert_no_error(error);
    gsize len = strlen(text);
    g_assert_null(strstr(text, "seed:"));
    g_assert_null(strstr(text, SEED));
    g_assert_nonnull(strstr(text, "kdf: argon2id passes=4 memory=67108864 salt="));
    g_assert_cmpint(key_file_kind(text, len), ==, KEY_FILE_SECRET_SEALED);
    g_autoptr(KeyFile) file = parse_ok(text, "sesame öffne dich");
    assert_is_rfc_key(file);
    assert_refused(text, len, "sesame", KONTOR_ERROR_DENIED, "wrong passphrase");
    assert_refused(text, len, NULL, KONTOR_ERROR_DENIED, "the key is sealed and needs its passphrase");
    g_autoptr(KeyFile) public = key_file_parse_public(text, len, FALSE, NULL);
    g_assert_true(public_key_equal(&public->public_key, &file->public_key));
    char *again = key_file_print_secret(key, "", "sesame öffne dich", NULL);
    g_assert_cmpstr(again, !=, text);
    key_text_free(again);
    key_text_free(text);
    g_assert_null(key_file_print_secret(key, "", "", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

/* Every changed byte of a sealed file is damage, never a wrong passphrase. */
static void test_sealed_damage(void)
{
    g_autofree char *text =
        with_check("kontor-secret-key v1 ed25519\nname: A\npublic: " PUBLIC
                   "\nkdf: argon2id passes=1 memory=8192 salt=AQEBAQEBAQEBAQEBAQEBAQ==\n"
                   "sealed: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    gsize len = strlen(text);
    assert_refused(text, len, "x", KONTOR_ERROR_DENIED, "wrong passphrase");
    for (gsize i = 0; i < len; i++) {
        g_autofree char *damaged = g_strdup(text);
        g_autoptr(GError) error = NULL;
        damaged[i] ^= 1;
        g_assert_null(key_file_parse(damaged, len, FALSE, "x", &error));
        g_assert_true(g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED) ||
                      (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED) && i < 29));
    }
    for (gsize i = 0; i < len; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(key_file_parse(text, i, FALSE, "x", &error));
        g_assert_true(g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED) ||
                      (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED) && i < 29));
    }
}

static void test_damage(void)
{
    static const char damaged[] = "the key file is damaged: its checksum does not fit";
    g_autofree char *text = with_check(PLAIN);
    g_autofree char *shouting = g_strdup(text);
    shouting[strlen("kontor-secret-key v1 ed25519\nname: ")] = 'H';
    assert_refused(shouting, strlen(text), NULL, KONTOR_ERROR_MALFORMED, damaged);
    assert_refused(text, strlen(text) - 1, NULL, KONTOR_ERROR_MALFORMED,
                   "the key file is damaged: it does not end with its line \"check:\"");
    assert_refused(PLAIN, strlen(PLAIN), NULL, KONTOR_ERROR_MALFORMED,
                   "the key file is damaged: it does not end with its line \"check:\"");
    g_autofree char *more = g_strconcat(text, "\n", NULL);
    assert_refused(more, strlen(more), NULL, KONTOR_ERROR_MALFORMED,
                   "the key file is damaged: it does not end with its line \"check:\"");
    /* Other line ends would make one line of everything, which must not stand in a message. */
    assert_refused("kontor-secret-key v1 ed25519\r\nname: \r\n", 38, NULL, KONTOR_ERROR_MALFORMED,
                   "the key file is damaged: its first line does not end behind the algorithm");
    assert_refused("kontor-secret-key v1 ed25519 seed: " SEED "\n",
                   strlen("kontor-secret-key v1 ed25519 seed: " SEED) + 1, NULL, KONTOR_ERROR_MALFORMED,
                   "the key file is damaged: its first line does not end behind the algorithm");
    assert_refused("kontor-secret-key " SEED " ed25519\n", strlen("kontor-secret-key " SEED " ed25519\n"),
                   NULL, KONTOR_ERROR_MALFORMED,
                   "the key file is damaged: its first line does not end behind the algorithm");
    assert_refused("kontor-secret-key v1 ed25519\nna\0me", 34, NULL, KONTOR_ERROR_MALFORMED,
                   "the key file has a NUL byte");
    assert_lines_refused("kontor-secret-key v1 ed25519\nname: A\npublic: " OTHER_PUBLIC "\nseed: " SEED "\n",
                         KONTOR_ERROR_MALFORMED, "the public key does not belong to the seed");
    assert_lines_refused("kontor-secret-key v1 ed25519\nname: A\npublic: " PUBLIC "\n",
                         KONTOR_ERROR_MALFORMED, "the key file lacks its line \"seed:\"");
    assert_lines_refused("kontor-secret-key v1 ed25519\npublic: " PUBLIC "\n", KONTOR_ERROR_MALFORMED,
                         "the key file lacks its line \"name:\"");
    assert_lines_refused("kontor-public-key v1 ed25519\nname: A\npublic: AAAA\n", KONTOR_ERROR_MALFORMED,
                         "line \"public:\" of the key file is not the base64 of 32 bytes");
    assert_lines_refused("kontor-public-key v1 ed25519\nname: A\npublic: " PUBLIC "\nseed: " SEED "\n",
                         KONTOR_ERROR_MALFORMED, "the key file has more lines than it should");
    assert_lines_refused("kontor-public-key v1 ed25519\nname: A\npublic: " PUBLIC "\nnumber: 12\n",
                         KONTOR_ERROR_MALFORMED,
                         "line \"number:\" of the key file is not 16 hexadecimal digits");
    assert_lines_refused("kontor-public-key v1 ed25519\nname: A\npublic: "
                         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                         KONTOR_ERROR_MALFORMED, "the public key is no point that Ed25519 may use");
    assert_lines_refused("kontor-public-key v1 ed25519\nname: A \npublic: " PUBLIC "\n",
                         KONTOR_ERROR_MALFORMED,
                         "control characters, white space at an end or no UTF-8 in the name \"A \"");
}

static void test_unsupported(void)
{
    static const struct {
        const char *kdf, *message;
        KontorErrorCode code;
    } kdfs[] = {
        {"scrypt n=1", "unknown key derivation \"scrypt n=1\"", KONTOR_ERROR_UNSUPPORTED},
        {"argon2id passes=17 memory=8192 salt=AQEBAQEBAQEBAQEBAQEBAQ==",
         "the key derivation asks for more or less passes or memory than is allowed",
         KONTOR_ERROR_UNSUPPORTED},
        {"argon2id passes=1 memory=268435457 salt=AQEBAQEBAQEBAQEBAQEBAQ==",
         "the key derivation asks for more or less passes or memory than is allowed",
         KONTOR_ERROR_UNSUPPORTED},
        {"argon2id passes=0 memory=8192 salt=AQEBAQEBAQEBAQEBAQEBAQ==",
         "the key derivation asks for more or less passes or memory than is allowed",
         KONTOR_ERROR_UNSUPPORTED},
        {"argon2id passes=1 memory=8191 salt=AQEBAQEBAQEBAQEBAQEBAQ==",
         "the key derivation asks for more or less passes or memory than is allowed",
         KONTOR_ERROR_UNSUPPORTED},
        {"argon2id passes=1 memory=-8192 salt=AQEBAQEBAQEBAQEBAQEBAQ==",
         "line \"kdf:\" of the key file has not the form passes=N memory=BYTES salt=BASE64",
         KONTOR_ERROR_MALFORMED},
        {"argon2id passes=1 memory=8192 salt=AQ==",
         "line \"kdf:\" of the key file has not the form passes=N memory=BYTES salt=BASE64",
         KONTOR_ERROR_MALFORMED},
    };
    assert_lines_refused("kontor-secret-key v2 ed25519\n", KONTOR_ERROR_UNSUPPORTED,
                         "unknown version of the key file \"v2\"");
    assert_lines_refused("kontor-public-key v1 ed448\nname: A\n", KONTOR_ERROR_UNSUPPORTED,
                         "unknown key algorithm \"ed448\"");
    assert_lines_refused("kontor-secret-key v1\nname: A\n", KONTOR_ERROR_MALFORMED,
                         "the first line of the key file does not name version and algorithm");
    for (guint i = 0; i < G_N_ELEMENTS(kdfs); i++) {
        g_autofree char *lines = g_strdup_printf("kontor-secret-key v1 ed25519\nname: A\npublic: " PUBLIC
                                                 "\nkdf: %s\nsealed: AAAA\n",
                                                 kdfs[i].kdf);
        assert_lines_refused(lines, kdfs[i].code, kdfs[i].message);
    }
}

static void test_public(void)
{
    static const guint8 number[KEY_NUMBER_BYTES] = {1, 2, 3, 4, 5, 6, 7, 0xff};
    g_autoptr(SecretKey) key = rfc_key();
    PublicKey public_key;
    secret_key_public(key, &public_key);
    g_autofree char *text = key_file_print_public(&public_key, "Änne & Co", NULL);
    g_assert_cmpint(key_file_kind(text, strlen(text)), ==, KEY_FILE_PUBLIC);
    g_assert_null(strstr(text, "number:"));
    g_autoptr(KeyFile) file = parse_ok(text, NULL);
    g_assert_cmpstr(file->name, ==, "Änne & Co");
    g_assert_null(file->secret);
    g_assert_true(public_key_equal(&file->public_key, &public_key));
    guint8 digest[SHA256_BYTES];
    sha256(public_key.bytes, sizeof public_key.bytes, digest);
    g_assert_cmpmem(file->number, sizeof file->number, digest, KEY_NUMBER_BYTES);
    g_autofree char *numbered = key_file_print_public(&public_key, "", number);
    g_assert_nonnull(strstr(numbered, "\nnumber: 01020304050607ff\n"));
    g_autoptr(KeyFile) numbered_file = parse_ok(numbered, NULL);
    g_assert_cmpmem(numbered_file->number, sizeof number, number, sizeof number);
}

static void test_raw(void)
{
    guint8 seed[32];
    g_autoptr(GError) error = NULL;
    g_assert_true(hex_decode(SEED_HEX, seed, sizeof seed));
    g_assert_cmpint(key_file_kind(seed, sizeof seed), ==, KEY_FILE_RAW);
    g_autoptr(KeyFile) secret = key_file_parse(seed, sizeof seed, TRUE, NULL, &error);
    g_assert_no_error(error);
    assert_is_rfc_key(secret);
    g_autoptr(KeyFile) shown = key_file_parse_public(seed, sizeof seed, TRUE, &error);
    g_assert_null(shown->secret);
    g_assert_true(public_key_equal(&shown->public_key, &secret->public_key));
    g_autoptr(KeyFile) public = key_file_parse(secret->public_key.bytes, 32, FALSE, NULL, &error);
    g_assert_no_error(error);
    g_assert_null(public->secret);
    g_assert_true(public_key_equal(&public->public_key, &secret->public_key));
    static const guint8 zero[32];
    assert_refused(zero, sizeof zero, NULL, KONTOR_ERROR_MALFORMED,
                   "the public key is no point that Ed25519 may use");
}

/* Exactly what the tools write, see tests/integration/key_interop_test.py for the tools themselves. */
static void test_minisign_and_signify(void)
{
    static const guint8 number[KEY_NUMBER_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
    g_autoptr(SecretKey) key = rfc_key();
    PublicKey public_key;
    secret_key_public(key, &public_key);
    g_autofree char *minisign = key_file_print_minisign(&public_key, number);
    g_assert_cmpstr(minisign, ==,
                    "untrusted comment: minisign public key 807060504030201\n"
                    "RWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\n");
    g_assert_cmpint(key_file_kind(minisign, strlen(minisign)), ==, KEY_FILE_MINISIGN_PUBLIC);
    g_autoptr(KeyFile) file = parse_ok(minisign, NULL);
    g_assert_cmpstr(file->name, ==, "");
    g_assert_true(public_key_equal(&file->public_key, &public_key));
    g_assert_cmpmem(file->number, sizeof number, number, sizeof number);
    g_autofree char *signify = key_file_print_signify(&public_key, "anna", number);
    g_assert_cmpstr(signify, ==,
                    "untrusted comment: anna public key\n"
                    "RWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\n");
    g_assert_cmpint(key_file_kind(signify, strlen(signify)), ==, KEY_FILE_SIGNIFY_PUBLIC);
    g_autoptr(KeyFile) signify_file = parse_ok(signify, NULL);
    g_assert_cmpstr(signify_file->name, ==, "anna");
    g_autofree char *unnamed = key_file_print_signify(&public_key, "", NULL);
    g_assert_true(g_str_has_prefix(unnamed, "untrusted comment: kontor public key\n"));
    g_autoptr(KeyFile) crlf = parse_ok("untrusted comment: x\r\n"
                                       "RWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\r\n",
                                       NULL);
    g_assert_cmpstr(crlf->name, ==, "x");
}

static void test_foreign_refused(void)
{
    static const char message[] =
        "not a public key of minisign or signify: a comment and the base64 of 42 bytes are expected";
    static const char *const bad[] = {
        "untrusted comment: x\n",
        "untrusted comment: x",
        "untrusted comment: x\nRWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1E=\n",
        "untrusted comment: x\nRWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\nmore\n",
        "untrusted comment: x\nRWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1EaRWQB\n",
        "untrusted comment: x\nnot base64 at all\n"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_refused(bad[i], strlen(bad[i]), NULL, KONTOR_ERROR_MALFORMED, message);
    assert_refused("untrusted comment: x\nRUQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\n", 79 - 1,
                   NULL, KONTOR_ERROR_UNSUPPORTED, "unknown key algorithm \"ED\"");
    assert_refused("-----BEGIN OPENSSH PRIVATE KEY-----\n", 36, NULL, KONTOR_ERROR_MALFORMED,
                   "not a key file of Kontor, OCC, minisign or signify");
    assert_refused("", 0, NULL, KONTOR_ERROR_MALFORMED, "not a key file of Kontor, OCC, minisign or signify");
    g_autofree char *huge = g_strnfill(LIMIT_KEY_FILE_BYTES + 1, 'x');
    assert_refused(huge, LIMIT_KEY_FILE_BYTES + 1, NULL, KONTOR_ERROR_LIMIT,
                   "a key file has at most 4096 bytes");
}

static void test_names(void)
{
    static const char *const good[] = {"", "Anna", "Änne", "a b", "library.example"};
    static const char *const bad[] = {"a\nseed: x", " a",    "a ",       "a\tb",
                                      "\xff",       "a\x7f", "\xc2\x85", "a\xe2\x80\xa8z"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(key_file_name_check(good[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(key_file_name_check(bad[i], &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_null(strchr(error->message, '\n'));
    }
    g_autofree char *longest = g_strnfill(LIMIT_KEY_NAME_BYTES, 'n');
    g_autofree char *longer = g_strnfill(LIMIT_KEY_NAME_BYTES + 1, 'n');
    g_autoptr(SecretKey) key = rfc_key();
    g_assert_true(key_file_name_check(longest, NULL));
    g_assert_false(key_file_name_check(longer, NULL));
    char *text = key_file_print_secret(key, longest, NULL, NULL);
    g_autoptr(KeyFile) file = parse_ok(text, NULL);
    g_assert_cmpstr(file->name, ==, longest);
    key_text_free(text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/key-file/plain", test_plain);
    g_test_add_func("/key-file/sealed", test_sealed);
    g_test_add_func("/key-file/sealed-damage", test_sealed_damage);
    g_test_add_func("/key-file/damage", test_damage);
    g_test_add_func("/key-file/unsupported", test_unsupported);
    g_test_add_func("/key-file/public", test_public);
    g_test_add_func("/key-file/raw", test_raw);
    g_test_add_func("/key-file/minisign-and-signify", test_minisign_and_signify);
    g_test_add_func("/key-file/foreign-refused", test_foreign_refused);
    g_test_add_func("/key-file/names", test_names);
    return g_test_run();
}
