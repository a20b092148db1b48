/* SPDX-License-Identifier: MIT
 *
 * Signed notes against vectors made by another program, everything that is no note, and checkpoints.
 */
#include "signing/note.h"

#include "schema/json_reader.h"
#include "schema/limits.h"

#include <string.h>

enum { VECTORS_BYTES_MAX = 1024 * 1024 };

static JsonDoc *vectors;

static void load_vectors(void)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/vectors/signed-note.json", &text, &len, &error));
    vectors = json_doc_parse(text, len, VECTORS_BYTES_MAX, &error);
    g_assert_no_error(error);
}

static const JsonValue *vector_list(const char *key)
{
    const JsonValue *list = json_object_get(json_doc_root(vectors), key);
    g_assert_cmpuint(json_value_count(list), >, 0);
    return json_value_first(list);
}

static const char *text_of(const JsonValue *object, const char *key)
{
    return json_value_string(json_object_get(object, key));
}

static SecretKey *key_of(const char *name, PublicKey *ret_public)
{
    for (const JsonValue *k = vector_list("keys"); k != NULL; k = json_value_next(k)) {
        guint8 seed[32];
        if (strcmp(text_of(k, "name"), name) != 0)
            continue;
        g_assert_true(hex_decode(text_of(k, "seed_hex"), seed, sizeof seed));
        SecretKey *key = secret_key_from_seed(seed);
        secret_key_public(key, ret_public);
        return key;
    }
    g_error("no key %s", name);
}

static Note *parse_ok(const char *text)
{
    g_autoptr(GError) error = NULL;
    Note *note = note_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    return note;
}

static void test_keys(void)
{
    for (const JsonValue *k = vector_list("keys"); k != NULL; k = json_value_next(k)) {
        const char *name = text_of(k, "name");
        PublicKey public_key, parsed;
        guint8 key_id[4];
        char hex[9];
        g_autofree char *parsed_name = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(SecretKey) key = key_of(name, &public_key);
        g_assert_nonnull(key);
        note_key_id(name, &public_key, key_id);
        hex_encode(key_id, sizeof key_id, hex);
        g_assert_cmpstr(hex, ==, text_of(k, "key_id_hex"));
        g_autofree char *verifier = note_verifier_key_print(name, &public_key);
        g_assert_cmpstr(verifier, ==, text_of(k, "verifier"));
        g_assert_true(note_verifier_key_parse(verifier, &parsed_name, &parsed, &error));
        g_assert_cmpstr(parsed_name, ==, name);
        g_assert_true(public_key_equal(&parsed, &public_key));
    }
}

static void test_verifier_refused(void)
{
    static const struct {
        const char *text;
        KontorErrorCode code;
    } cases[] = {
        {"", KONTOR_ERROR_MALFORMED},
        {"name", KONTOR_ERROR_MALFORMED},
        {"name+0011223", KONTOR_ERROR_MALFORMED},
        {"name+00112233+", KONTOR_ERROR_MALFORMED},
        {"+00112233+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAGTXSpb", KONTOR_ERROR_MALFORMED},
        {"na me+00112233+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAGTXSpb", KONTOR_ERROR_MALFORMED},
        {"name+00112233+AYqI4910CfGV", KONTOR_ERROR_MALFORMED},
        {"name+00112233+AooI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAGTXSpb", KONTOR_ERROR_UNSUPPORTED},
        {"name+00112233+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAGTXSpb", KONTOR_ERROR_MALFORMED},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        char *name = NULL;
        PublicKey key;
        g_assert_false(note_verifier_key_parse(cases[i].text, &name, &key, &error));
        g_assert_error(error, KONTOR_ERROR, (int)cases[i].code);
        g_assert_null(name);
    }
}

static void check_vector(const JsonValue *vector)
{
    const JsonValue *signer = json_value_first(json_object_get(vector, "signers"));
    g_autofree char *made = NULL;
    g_autoptr(Note) note = parse_ok(text_of(vector, "note"));
    g_assert_cmpstr(note->text, ==, text_of(vector, "text"));
    g_assert_cmpuint(note->text_len, ==, strlen(note->text));
    for (guint i = 0; signer != NULL; signer = json_value_next(signer), i++) {
        const char *name = json_value_string(signer);
        g_autoptr(GError) error = NULL;
        PublicKey public_key;
        g_autoptr(SecretKey) key = key_of(name, &public_key);
        const NoteSignature *signature = g_ptr_array_index(note->signatures, i);
        g_assert_cmpstr(signature->name, ==, name);
        g_assert_true(note_verify(note, name, &public_key, &error));
        char *next =
            made == NULL ? note_sign(note->text, name, key, &error) : note_cosign(made, name, key, &error);
        g_assert_no_error(error);
        g_free(made);
        made = next;
    }
    g_assert_cmpstr(made, ==, text_of(vector, "note"));
}

static void test_vectors(void)
{
    for (const JsonValue *v = vector_list("notes"); v != NULL; v = json_value_next(v)) {
        g_test_message("%s", text_of(v, "title"));
        check_vector(v);
    }
}

static void test_foreign_lines(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Note) note = parse_ok(text_of(json_doc_root(vectors), "foreign_lines"));
    PublicKey public_key;
    g_autoptr(SecretKey) key = key_of("witness.example", &public_key);
    g_assert_nonnull(key);
    g_assert_cmpuint(note->signatures->len, ==, 3);
    g_assert_false(((const NoteSignature *)g_ptr_array_index(note->signatures, 0))->is_ed25519);
    g_assert_true(((const NoteSignature *)g_ptr_array_index(note->signatures, 1))->is_ed25519);
    g_assert_true(note_verify(note, "witness.example", &public_key, &error));
    g_assert_false(note_verify(note, "hybrid.example", &public_key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

/* --- Verifying --- */

static void test_every_byte_counts(void)
{
    PublicKey public_key;
    g_autoptr(SecretKey) key = key_of("witness.example", &public_key);
    g_autofree char *note_text = note_sign("text\nof a note\n", "witness.example", key, NULL);
    for (gsize i = 0; note_text[i] != '\0'; i++) {
        g_autofree char *changed = g_strdup(note_text);
        changed[i] ^= 1;
        g_autoptr(Note) note = note_parse(changed, strlen(changed), NULL);
        g_assert_true(note == NULL || !note_verify(note, "witness.example", &public_key, NULL));
    }
}

static void test_wrong_signature(void)
{
    PublicKey public_key, other_key;
    g_autoptr(GError) error = NULL;
    g_autoptr(SecretKey) key = key_of("witness.example", &public_key);
    g_autoptr(SecretKey) other = key_of("Köln", &other_key);
    g_assert_nonnull(other);
    g_autofree char *good = note_sign("a\n", "witness.example", key, NULL);
    g_autofree char *swapped = g_strdup(good);
    swapped[0] = 'b';
    g_autoptr(Note) note = parse_ok(swapped);
    g_assert_false(note_verify(note, "witness.example", &public_key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE);
    g_clear_error(&error);
    g_assert_null(note_cosign(swapped, "witness.example", key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE);
    g_clear_error(&error);
    g_assert_false(note_verify(note, "witness.example", &other_key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    g_clear_error(&error);
    /* A good line does not excuse a wrong one of the same key. */
    const char *line = strstr(swapped, "\n\n") + 2;
    g_autofree char *right = note_sign("b\n", "witness.example", key, NULL);
    g_autofree char *both = g_strconcat(right, line, NULL);
    g_autoptr(Note) both_note = parse_ok(both);
    g_assert_false(note_verify(both_note, "witness.example", &public_key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE);
}

static void test_cosign_is_idempotent(void)
{
    PublicKey public_key;
    g_autoptr(SecretKey) key = key_of("witness.example", &public_key);
    g_autofree char *once = note_sign("a\n", "witness.example", key, NULL);
    g_autofree char *twice = note_cosign(once, "witness.example", key, NULL);
    g_assert_cmpstr(once, ==, twice);
}

/* --- What is no note --- */

#define LINE "\xe2\x80\x94 a AAAAAAA=\n"

static void assert_refused(const char *data, gsize len, KontorErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(note_parse(data, len, &error));
    g_assert_cmpstr(error->message, ==, message);
    g_assert_error(error, KONTOR_ERROR, (int)code);
}

static void test_refused(void)
{
    static const struct {
        const char *data, *message;
    } cases[] = {
        {"", "a signed note ends with a line feed"},
        {"a", "a signed note ends with a line feed"},
        {"a\n", "the signed note has no empty line before its signatures"},
        {"a\n" LINE, "the signed note has no empty line before its signatures"},
        {"a\n\n", "the signed note has no signature"},
        {"a\r\n\r\n" LINE, "control character 13 in a signed note"},
        {"a\tb\n\n" LINE, "control character 9 in a signed note"},
        {"\xff\n\n" LINE, "the signed note is not UTF-8"},
        {"a\n\n" LINE "x\n", "signature line 2 of the signed note is malformed"},
        {"a\n\n- a AAAAAAA=\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94  AAAAAAA=\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a+b AAAAAAA=\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a AAAAAAA=\x20\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a AAAAAA==\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a AAAAAAA\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a AAAAAAB=\n", "signature line 1 of the signed note is malformed"},
        {"a\n\n\xe2\x80\x94 a\xc2\xa0 AAAAAAA=\n", "signature line 1 of the signed note is malformed"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_refused(cases[i].data, strlen(cases[i].data), KONTOR_ERROR_MALFORMED, cases[i].message);
    assert_refused("a\0b\n\n" LINE, 6 + strlen(LINE), KONTOR_ERROR_MALFORMED,
                   "control character 0 in a signed note");
    g_autofree char *huge = g_strnfill(LIMIT_NOTE_BYTES + 1, '\n');
    assert_refused(huge, LIMIT_NOTE_BYTES + 1, KONTOR_ERROR_LIMIT, "a signed note has at most 65536 bytes");
    g_autoptr(GString) many = g_string_new("a\n\n");
    for (guint i = 0; i < LIMIT_NOTE_SIGNATURES; i++)
        g_string_append(many, LINE);
    g_autoptr(Note) most = parse_ok(many->str);
    g_assert_cmpuint(most->signatures->len, ==, LIMIT_NOTE_SIGNATURES);
    g_string_append(many, LINE);
    assert_refused(many->str, many->len, KONTOR_ERROR_LIMIT, "the signed note has more than 64 signatures");
}

static void test_cannot_be_signed(void)
{
    static const char *const texts[] = {"", "a", "a\tb\n", "\xff\n"};
    static const char *const names[] = {"", "a b", "a+b", "a\nb", "\xff", "a\xe2\x80\x83"};
    PublicKey public_key;
    g_autoptr(SecretKey) key = key_of("Köln", &public_key);
    g_autofree char *longest = g_strnfill(LIMIT_KEY_NAME_BYTES + 1, 'a');
    g_autofree char *long_text = g_strnfill(LIMIT_NOTE_BYTES, '\n');
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(note_sign(texts[i], "a", key, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(note_name_is_valid(names[i]));
        g_assert_null(note_sign("a\n", names[i], key, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(note_name_is_valid(longest));
    g_assert_null(note_sign(long_text, "a", key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);
    g_assert_null(note_cosign("no note", "a", key, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

/* --- Checkpoints --- */

#define ROOT "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void test_checkpoint(void)
{
    static const char text[] = "library.example/catalog\n42\n" ROOT "\ngeneration 7\ntime T\ntime U\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(Checkpoint) checkpoint = checkpoint_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(checkpoint->origin, ==, "library.example/catalog");
    g_assert_cmpuint(checkpoint->size, ==, 42);
    g_assert_cmpuint(checkpoint->root[31], ==, 31);
    g_assert_cmpuint(checkpoint->extensions->len, ==, 3);
    g_assert_cmpstr(checkpoint_extension(checkpoint, "generation"), ==, "7");
    g_assert_cmpstr(checkpoint_extension(checkpoint, "time"), ==, "T");
    g_assert_null(checkpoint_extension(checkpoint, "gen"));
    g_assert_null(checkpoint_extension(checkpoint, "expires"));
    g_autofree char *printed = checkpoint_print(checkpoint);
    g_assert_cmpstr(printed, ==, text);
}

static void test_checkpoint_refused(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "a checkpoint is UTF-8 and ends with a line feed"},
        {"a\n1\n" ROOT, "a checkpoint is UTF-8 and ends with a line feed"},
        {"\xff\n1\n" ROOT "\n", "a checkpoint is UTF-8 and ends with a line feed"},
        {"a\n1\n", "the checkpoint has less than three lines"},
        {"\n1\n" ROOT "\n", "line 1 of the checkpoint is empty"},
        {"a\n01\n" ROOT "\n", "line 2 of the checkpoint is not a size in decimal digits"},
        {"a\n-1\n" ROOT "\n", "line 2 of the checkpoint is not a size in decimal digits"},
        {"a\n+1\n" ROOT "\n", "line 2 of the checkpoint is not a size in decimal digits"},
        {"a\n18446744073709551616\n" ROOT "\n", "line 2 of the checkpoint is not a size in decimal digits"},
        {"a\n1 \n" ROOT "\n", "line 2 of the checkpoint is not a size in decimal digits"},
        {"a\n1\nAAEC\n", "line 3 of the checkpoint is not the base64 of a 32-byte root"},
        {"a\n1\n" ROOT "\n\n", "line 4 of the checkpoint is empty"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(checkpoint_parse(cases[i].text, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
    g_autoptr(Checkpoint) largest = checkpoint_parse("a\n18446744073709551615\n" ROOT "\n", NULL);
    g_assert_cmpuint(largest->size, ==, G_MAXUINT64);
    g_autoptr(Checkpoint) empty = checkpoint_parse("a\n0\n" ROOT "\n", NULL);
    g_assert_cmpuint(empty->size, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    load_vectors();
    g_test_add_func("/note/keys", test_keys);
    g_test_add_func("/note/verifier-refused", test_verifier_refused);
    g_test_add_func("/note/vectors", test_vectors);
    g_test_add_func("/note/foreign-lines", test_foreign_lines);
    g_test_add_func("/note/every-byte-counts", test_every_byte_counts);
    g_test_add_func("/note/wrong-signature", test_wrong_signature);
    g_test_add_func("/note/cosign-is-idempotent", test_cosign_is_idempotent);
    g_test_add_func("/note/refused", test_refused);
    g_test_add_func("/note/cannot-be-signed", test_cannot_be_signed);
    g_test_add_func("/note/checkpoint", test_checkpoint);
    g_test_add_func("/note/checkpoint-refused", test_checkpoint_refused);
    int failed = g_test_run();
    json_doc_free(vectors);
    return failed;
}
