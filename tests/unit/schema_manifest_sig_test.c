/* SPDX-License-Identifier: MIT
 *
 * manifest.sig: the frozen OCC vector down to its signed bytes, every member's form, order and look-up in
 * tables, and the canonical release.
 */
#include "schema/manifest_sig.h"

#include "schema/json_reader.h"
#include "schema/limits.h"

#include <string.h>

#define HASH_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HASH_B "b660a6e79dcbeeada132fd79969442e4d7773f97a8e7e2f5b59b16701742ac8f"
#define RELEASE                                                                                              \
    "{\"path\":\"history/rome\",\"version\":\"1.2.0\",\"published_at\":\"2026-01-02T03:04:05Z\","            \
    "\"content_sha256\":\"" HASH_A "\",\"files\":{\"wiki/log.md\":\"" HASH_B "\",\"a.png\":\"" HASH_A "\"}}"

/* A good file; tests replace one piece of it. */
static const char good[] =
    "{\"alg\":\"ed25519\",\"signer_name\":\"Someone\",\"signer_pubkey_b64\":\"cGs=\","
    "\"signer_fingerprint\":\"kzdvvj2umnduyauf\",\"signed_at\":\"2026-01-02T03:04:05Z\","
    "\"manifest_sha256\":\"" HASH_B "\",\"pages\":{\"index.md\":\"" HASH_A "\",\"Z.md\":\"" HASH_B
    "\"},\"signature_b64\":\"c2ln\",\"release\":" RELEASE
    ",\"release_signature_b64\":\"cmVs\",\"later\":[1]}";

static char *replaced(const char *piece, const char *by)
{
    g_auto(GStrv) parts = g_strsplit(good, piece, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    return g_strjoinv(by, parts);
}

static ManifestSig *parse_ok(const char *text)
{
    GError *error = NULL;
    ManifestSig *sig = manifest_sig_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    return sig;
}

static void assert_bytes(GBytes *bytes, const char *expected)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    g_assert_cmpmem(data, len, expected, strlen(expected));
    g_bytes_unref(bytes);
}

/* --- What is read --- */

static void test_members(void)
{
    g_autoptr(ManifestSig) sig = parse_ok(good);
    g_assert_cmpstr(sig->alg, ==, "ed25519");
    g_assert_cmpstr(sig->signer_name, ==, "Someone");
    g_assert_cmpstr(sig->signer_pubkey_b64, ==, "cGs=");
    g_assert_cmpstr(sig->signer_fingerprint, ==, "kzdvvj2umnduyauf");
    g_assert_cmpstr(sig->signed_at, ==, "2026-01-02T03:04:05Z");
    g_assert_cmpstr(sig->signature_b64, ==, "c2ln");
    g_assert_cmphex(sig->manifest_sha256[0], ==, 0xb6);
    g_assert_cmphex(sig->manifest_sha256[31], ==, 0x8f);
    g_assert_cmpuint(sig->pages->len, ==, 2);
    g_assert_cmpstr(g_array_index(sig->pages, ManifestSigEntry, 0).name, ==, "Z.md");
    g_assert_cmphex(manifest_sig_table_find(sig->pages, "index.md")->sha256[1], ==, 0x11);
    g_assert_null(manifest_sig_table_find(sig->pages, "INDEX.md"));
    g_assert_null(manifest_sig_table_find(sig->pages, ""));
    g_assert_nonnull(sig->release);
    g_assert_cmpstr(sig->release->path, ==, "history/rome");
    g_assert_cmpstr(sig->release->version, ==, "1.2.0");
    g_assert_false(sig->release->withdrawn);
    g_assert_cmpstr(sig->release_signature_b64, ==, "cmVs");
}

/* Nodes do not ask for the name and the date, so files without them must be readable. */
static void test_optional_members(void)
{
    g_autofree char *text = replaced("\"signer_name\":\"Someone\",", "");
    g_autoptr(ManifestSig) nameless = parse_ok(text);
    g_assert_cmpstr(nameless->signer_name, ==, "");
    g_autofree char *null = replaced("\"signed_at\":\"2026-01-02T03:04:05Z\"", "\"signed_at\":null");
    g_autoptr(ManifestSig) dateless = parse_ok(null);
    g_assert_cmpstr(dateless->signed_at, ==, "");
    g_autofree char *old = replaced(",\"release\":" RELEASE ",\"release_signature_b64\":\"cmVs\"", "");
    g_autoptr(ManifestSig) plain = parse_ok(old);
    g_assert_null(plain->release);
    g_assert_null(plain->release_signature_b64);
}

/* --- Refusals --- */

typedef struct {
    const char *piece, *by;
    KontorErrorCode code;
    const char *message;
} Refusal;

static void assert_refused(const Refusal *r)
{
    g_autofree char *text = replaced(r->piece, r->by);
    g_autoptr(GError) error = NULL;
    g_assert_null(manifest_sig_parse(text, strlen(text), &error));
    g_assert_error(error, KONTOR_ERROR, (int)r->code);
    g_assert_cmpstr(error->message, ==, r->message);
}

#define HEX_EXPECTED ": expected 64 lower-case hexadecimal digits"

static void test_refusals(void)
{
    const Refusal refusals[] = {
        {HASH_B, "B660A6E79DCBEEADA132FD79969442E4D7773F97A8E7E2F5B59B16701742AC8F", KONTOR_ERROR_MALFORMED,
         "/manifest_sha256" HEX_EXPECTED},
        {HASH_B, "b660", KONTOR_ERROR_MALFORMED, "/manifest_sha256" HEX_EXPECTED},
        {"index.md\":\"0", "index.md\":\"g", KONTOR_ERROR_MALFORMED, "/pages/index.md" HEX_EXPECTED},
        {"index.md\":\"" HASH_A "\"", "index.md\":5", KONTOR_ERROR_MALFORMED, "/pages/index.md" HEX_EXPECTED},
        {"\"content_sha256\":\"0", "\"content_sha256\":\"", KONTOR_ERROR_MALFORMED,
         "/release/content_sha256" HEX_EXPECTED},
        {"2026-01-02T03:04:05Z\",\"content", "2026-02-30T03:04:05Z\",\"content", KONTOR_ERROR_MALFORMED,
         "/release/published_at: expected a time like 2026-01-31T12:00:00Z"},
        {"2026-01-02T03:04:05Z\",\"content", "2026-01-02 03:04:05Z\",\"content", KONTOR_ERROR_MALFORMED,
         "/release/published_at: expected a time like 2026-01-31T12:00:00Z"},
        {"\"version\":\"1.2.0\"", "\"version\":\"\"", KONTOR_ERROR_MALFORMED, "/release/version: empty"},
        {"\"files\":", "\"notes\":1,\"files\":", KONTOR_ERROR_MALFORMED, "/release/notes: unknown member"},
        {"\"files\":", "\"withdrawn\":false,\"files\":", KONTOR_ERROR_MALFORMED,
         "/release/withdrawn: must be true or absent"},
        {"\"release\":" RELEASE ",", "", KONTOR_ERROR_MALFORMED,
         "/release_signature_b64: stands without a release"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++)
        assert_refused(&refusals[i]);
}

/* Every member that a verifier needs, left out or of another kind. */
static void test_required_members(void)
{
    static const char *const pieces[] = {"\"alg\":\"ed25519\",",
                                         "\"signer_pubkey_b64\":\"cGs=\",",
                                         "\"signer_fingerprint\":\"kzdvvj2umnduyauf\",",
                                         "\"signature_b64\":\"c2ln\",",
                                         "\"manifest_sha256\":\"" HASH_B "\",",
                                         "\"path\":\"history/rome\",",
                                         "\"version\":\"1.2.0\",",
                                         ",\"release_signature_b64\":\"cmVs\""};
    for (guint i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *without = replaced(pieces[i], "");
        g_auto(GStrv) sides = g_strsplit(pieces[i], ":", 2);
        g_autofree char *other = g_strdup_printf("%s:[]%s", sides[0], *pieces[i] == ',' ? "" : ",");
        g_autofree char *wrong = replaced(pieces[i], other);
        g_autoptr(GError) e1 = NULL, e2 = NULL;
        g_assert_null(manifest_sig_parse(without, strlen(without), &e1));
        g_assert_error(e1, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_null(manifest_sig_parse(wrong, strlen(wrong), &e2));
        g_assert_error(e2, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
}

static void test_release_paths(void)
{
    static const char *const names[] = {"../x", "/x", "a//b", "", ".", "x/../y", ".git/config", "a\\u0001"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_strdup_printf("\"%s\":", names[i]);
        g_autofree char *in_files = replaced("\"a.png\":", file);
        g_autofree char *path = g_strdup_printf("\"path\":\"%s\"", names[i]);
        g_autofree char *as_path = replaced("\"path\":\"history/rome\"", path);
        g_autoptr(GError) e1 = NULL, e2 = NULL;
        g_assert_null(manifest_sig_parse(in_files, strlen(in_files), &e1));
        g_assert_true(g_str_has_prefix(e1->message, "/release/files: "));
        g_assert_null(manifest_sig_parse(as_path, strlen(as_path), &e2));
        g_assert_true(g_str_has_prefix(e2->message, "/release/path: "));
    }
}

static void test_not_an_object(void)
{
    static const char *const texts[] = {"", "[]", "null", "\"x\"", "{", "{\"alg\":\"a\",\"alg\":\"b\"}"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(manifest_sig_parse(texts[i], strlen(texts[i]), &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
}

static void test_limits(void)
{
    g_autofree char *name = g_strnfill(LIMIT_PACK_PATH_BYTES + 1, 'n');
    g_autofree char *page = g_strdup_printf("\"%s\":", name);
    g_autofree char *long_name = replaced("\"index.md\":", page);
    g_autoptr(GError) e1 = NULL, e2 = NULL, e3 = NULL;
    g_assert_null(manifest_sig_parse(long_name, strlen(long_name), &e1));
    g_assert_error(e1, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_cmpstr(e1->message, ==, "/pages: a name longer than 512 bytes");
    g_autofree char *text = g_strnfill(LIMIT_MANIFEST_SIG_TEXT_BYTES + 1, 's');
    g_autofree char *long_text = replaced("Someone", text);
    g_assert_null(manifest_sig_parse(long_text, strlen(long_text), &e2));
    g_assert_error(e2, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_autoptr(GString) pages = g_string_new("\"pages\":{");
    for (guint i = 0; i < LIMIT_PACK_FILES; i++)
        g_string_append_printf(pages, "\"%u\":\"" HASH_A "\",", i);
    g_autofree char *many = replaced("\"pages\":{", pages->str);
    g_assert_null(manifest_sig_parse(many, strlen(many), &e3));
    g_assert_error(e3, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_cmpstr(e3->message, ==, "/pages: more than 100000 files");
}

/* --- Signed bytes --- */

static void test_release_bytes(void)
{
    g_autoptr(ManifestSig) sig = parse_ok(good);
    assert_bytes(
        manifest_sig_release_bytes(sig->release),
        "{\"content_sha256\":\"" HASH_A "\",\"files\":{\"a.png\":\"" HASH_A "\",\"wiki/log.md\":\"" HASH_B
        "\"},\"path\":\"history/rome\",\"published_at\":\"2026-01-02T03:04:05Z\",\"version\":\"1.2.0\"}");
    g_autofree char *text = replaced("\"files\":", "\"withdrawn\":true,\"files\":");
    g_autoptr(ManifestSig) gone = parse_ok(text);
    g_assert_true(gone->release->withdrawn);
    g_autoptr(GBytes) bytes = manifest_sig_release_bytes(gone->release);
    g_autofree char *canonical = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_true(g_str_has_suffix(canonical, "\"version\":\"1.2.0\",\"withdrawn\":true}"));
}

/* Tables filled in any order give the same bytes. */
static void test_sorting(void)
{
    static const char *const names[] = {"index.md", "Z\"\\.md", "concepts/a.md", "\xf0\x9f\x98\x80",
                                        "\xef\xbf\xbd"};
    const guint8 hash[MANIFEST_SIG_HASH_BYTES] = {1};
    g_autoptr(GBytes) first = NULL;
    for (guint start = 0; start < G_N_ELEMENTS(names); start++) {
        g_autoptr(GArray) table = manifest_sig_table_new();
        for (guint i = 0; i < G_N_ELEMENTS(names); i++)
            manifest_sig_table_add(table, names[(start + i) % G_N_ELEMENTS(names)], hash);
        manifest_sig_table_sort(table);
        g_autoptr(GBytes) bytes = manifest_sig_content_bytes(hash, table);
        if (first == NULL)
            first = g_bytes_ref(bytes);
        g_assert_true(g_bytes_equal(first, bytes));
        /* U+FFFD before U+1F600: code points, not UTF-16 units. */
        g_assert_cmpstr(g_array_index(table, ManifestSigEntry, 4).name, ==, "\xf0\x9f\x98\x80");
    }
}

static const char *vector(const JsonValue *root, const char *key)
{
    const char *text = NULL;
    g_assert_true(json_get_string(root, key, JSON_REQUIRED, 1 << 20, &text, NULL));
    return text;
}

/* The vector's canonical JSON is itself the core of a manifest.sig: reading it and building the signed bytes
 * must give it back. */
static void test_occ_vector(void)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/vectors/occ.json", &text, &len, NULL));
    g_autoptr(JsonDoc) doc = json_doc_parse(text, len, 1 << 20, NULL);
    g_assert_nonnull(doc);
    const JsonValue *root = json_doc_root(doc);
    const char *canonical = vector(root, "canonical_ascii");
    g_autofree char *file = g_strdup_printf(
        "{\"alg\": \"ed25519\", \"signer_pubkey_b64\": \"%s\", \"signer_fingerprint\": \"%s\",\n"
        " \"signature_b64\": \"%s\", %s\n",
        vector(root, "ed25519_pub_b64"), vector(root, "fingerprint"), vector(root, "manifest_signature_b64"),
        canonical + 1);
    g_autoptr(ManifestSig) sig = parse_ok(file);
    g_assert_cmpuint(sig->pages->len, ==, 4);
    g_assert_nonnull(manifest_sig_table_find(sig->pages, "concepts/\xc3\xa9\x7f\xf0\x9f\x98\x80.md"));
    assert_bytes(manifest_sig_content_bytes(sig->manifest_sha256, sig->pages), canonical);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manifest-sig/members", test_members);
    g_test_add_func("/manifest-sig/optional-members", test_optional_members);
    g_test_add_func("/manifest-sig/refusals", test_refusals);
    g_test_add_func("/manifest-sig/required-members", test_required_members);
    g_test_add_func("/manifest-sig/release-paths", test_release_paths);
    g_test_add_func("/manifest-sig/not-an-object", test_not_an_object);
    g_test_add_func("/manifest-sig/limits", test_limits);
    g_test_add_func("/manifest-sig/release-bytes", test_release_bytes);
    g_test_add_func("/manifest-sig/sorting", test_sorting);
    g_test_add_func("/manifest-sig/occ-vector", test_occ_vector);
    return g_test_run();
}
