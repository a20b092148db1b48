/* SPDX-License-Identifier: MIT
 *
 * Catalog checkpoints: the same bytes as an independent implementation makes, and nothing else is accepted.
 */
#include "random_text.h"

#include "mirror/catalog/checkpoint.h"
#include "schema/json_reader.h"

typedef struct {
    JsonDoc *doc;
    const JsonValue *row;
    SecretKey *key;
    PublicKey public;
    const char *note;
} Vector;

static void vector_init(Vector *vector)
{
    gsize len = 0;
    guint8 seed[32];
    g_autofree char *data = vector_read("catalog-digest.json", &len);
    vector->doc = json_doc_parse(data, len, len, NULL);
    g_assert_nonnull(vector->doc);
    vector->row = json_object_get(json_doc_root(vector->doc), "checkpoint");
    g_assert_true(hex_decode(json_value_string(json_object_get(vector->row, "seed")), seed, sizeof seed));
    vector->key = secret_key_from_seed(seed);
    secret_key_public(vector->key, &vector->public);
    vector->note = json_value_string(json_object_get(vector->row, "note"));
}

static void vector_clear(Vector *vector)
{
    secret_key_free(vector->key);
    json_doc_free(vector->doc);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Vector, vector_clear)

static void test_vector(void)
{
    g_auto(Vector) vector;
    vector_init(&vector);
    CatalogCheckpoint checkpoint = {0};
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(catalog_checkpoint_open(vector.note, strlen(vector.note), &vector.public, &checkpoint,
                                          &name, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(name, ==, "library.example");
    g_assert_cmpuint(checkpoint.count, ==, 100);
    g_assert_cmpuint(checkpoint.generation, ==, 1767323045);
    g_assert_cmpint(checkpoint.time_s, ==, 1767323045);
    g_assert_cmpint(checkpoint.expires_s, ==, 1767323045 + CATALOG_CHECKPOINT_SECONDS);
    checkpoint.expires_s = 0;
    g_autofree char *again = catalog_checkpoint_sign(&checkpoint, "library.example", vector.key, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again, ==, vector.note);
}

static void assert_refused(const char *note, const PublicKey *key, KontorErrorCode code)
{
    CatalogCheckpoint checkpoint = {.count = 42};
    g_autoptr(GError) error = NULL;
    g_assert_false(catalog_checkpoint_open(note, strlen(note), key, &checkpoint, NULL, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, KONTOR_ERROR, (gint)code);
    g_assert_cmpuint(checkpoint.count, ==, 42);
}

static void test_other_keys(void)
{
    g_auto(Vector) vector;
    vector_init(&vector);
    static const guint8 seed[32] = {9};
    g_autoptr(SecretKey) other = secret_key_from_seed(seed);
    PublicKey public;
    secret_key_public(other, &public);
    assert_refused(vector.note, &public, KONTOR_ERROR_NOT_FOUND);
    CatalogCheckpoint checkpoint;
    g_assert_true(catalog_checkpoint_open(vector.note, strlen(vector.note), NULL, &checkpoint, NULL, NULL));
}

/* Every single changed byte of the text is noticed. */
static void test_every_byte_counts(void)
{
    g_auto(Vector) vector;
    vector_init(&vector);
    gsize text_len = (gsize)(strstr(vector.note, "\n\n") - vector.note);
    for (gsize i = 0; i < text_len; i++) {
        g_autofree char *note = g_strdup(vector.note);
        CatalogCheckpoint checkpoint;
        g_autoptr(GError) error = NULL;
        note[i] ^= 1;
        g_assert_false(
            catalog_checkpoint_open(note, strlen(note), &vector.public, &checkpoint, NULL, &error));
        g_assert_nonnull(error);
    }
}

static void test_bad_texts(void)
{
    static const char *const bad[][2] = {
        {"library.example/catalog\n100", "library.example/pact\n100"},
        {"library.example/catalog\n100", "/catalog\n100"},
        {"\n100\n", "\n2000001\n"},
        {"\n100\n", "\n0100\n"},
        {"generation 1767323045", "generation 01"},
        {"generation 1767323045", "generation 0"},
        {"generation 1767323045", "generation -1"},
        {"generation 1767323045", "generation 9007199254740992"},
        {"generation 1767323045\n", ""},
        {"time 2026-01-02T03:04:05Z", "time 2026-01-02 03:04:05Z"},
        {"time 2026-01-02T03:04:05Z", "time 2026-02-30T03:04:05Z"},
        {"expires 2026-01-04T03:04:05Z", "expires 2026-01-01T03:04:05Z"},
        {"expires 2026-01-04T03:04:05Z\n", ""},
        {"05Z\n\n", "05Z\nview \n\n"},
        {"05Z\n\n", "05Z\nview 0123456789abcde\n\n"},
        {"05Z\n\n", "05Z\nview 0123456789abcdef0\n\n"},
        {"05Z\n\n", "05Z\nview 0123456789ABCDEF\n\n"},
        {"05Z\n\n", "05Z\nview  123456789abcdef\n\n"},
    };
    g_auto(Vector) vector;
    vector_init(&vector);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GString) note = g_string_new(vector.note);
        g_assert_cmpuint(g_string_replace(note, bad[i][0], bad[i][1], 1), ==, 1);
        assert_refused(note->str, NULL, KONTOR_ERROR_MALFORMED);
    }
    assert_refused("", NULL, KONTOR_ERROR_MALFORMED);
}

/* A view says which one it is, after all the lines that every checkpoint has. */
static void test_view(void)
{
    g_auto(Vector) vector;
    vector_init(&vector);
    CatalogCheckpoint checkpoint = {.generation = 7, .time_s = 1767323045, .view = "0123456789abcdef"};
    CatalogCheckpoint read = {0};
    g_autofree char *note = catalog_checkpoint_sign(&checkpoint, "library.example", vector.key, NULL);
    g_assert_nonnull(strstr(note, "\nexpires 2026-01-04T03:04:05Z\nview 0123456789abcdef\n\n"));
    g_assert_true(catalog_checkpoint_open(note, strlen(note), &vector.public, &read, NULL, NULL));
    g_assert_cmpstr(read.view, ==, "0123456789abcdef");
    g_assert_true(
        catalog_checkpoint_open(vector.note, strlen(vector.note), &vector.public, &read, NULL, NULL));
    g_assert_cmpstr(read.view, ==, "");
}

static void test_bad_names(void)
{
    g_auto(Vector) vector;
    vector_init(&vector);
    static const char *const names[] = {"two words", "a+b", "line\nbreak"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        CatalogCheckpoint checkpoint = {.generation = 1, .time_s = 1};
        g_autoptr(GError) error = NULL;
        g_assert_null(catalog_checkpoint_sign(&checkpoint, names[i], vector.key, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/catalog-checkpoint/vector", test_vector);
    g_test_add_func("/catalog-checkpoint/other-keys", test_other_keys);
    g_test_add_func("/catalog-checkpoint/every-byte", test_every_byte_counts);
    g_test_add_func("/catalog-checkpoint/bad-texts", test_bad_texts);
    g_test_add_func("/catalog-checkpoint/view", test_view);
    g_test_add_func("/catalog-checkpoint/bad-names", test_bad_names);
    return g_test_run();
}
