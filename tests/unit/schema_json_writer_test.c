/* SPDX-License-Identifier: MIT
 *
 * The JSON writer: the signed form byte for byte against a frozen vector and a slow model, the plain form by
 * reading it back, numbers by reading them back, and the asserts that guard its users.
 */
#include "schema/json_writer.h"

#include "schema/json_reader.h"
#include "tests/unit/random_text.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 20000 };

static const RandomPiece pieces[] = {
    RANDOM_PIECE("a"),    RANDOM_PIECE("plain text of some length"),
    RANDOM_PIECE("\""),   RANDOM_PIECE("\\"),
    RANDOM_PIECE("/"),    RANDOM_PIECE("\b\f\n\r\t"),
    RANDOM_PIECE("\x01"), RANDOM_PIECE("\x1f"),
    RANDOM_PIECE("\x7f"), RANDOM_PIECE("\xc2\x80"),
    RANDOM_PIECE("é"),    RANDOM_PIECE("\xe2\x80\xa8"),
    RANDOM_PIECE("日"),   RANDOM_PIECE("\xef\xbf\xbf"),
    RANDOM_PIECE("😀"),    RANDOM_PIECE("\xf4\x8f\xbf\xbf"),
};
static const RandomPiece broken[] = {
    RANDOM_PIECE("a"),        RANDOM_PIECE("\xff"), RANDOM_PIECE("\xc3"),         RANDOM_PIECE("é"),
    RANDOM_PIECE("\xe2\x80"), RANDOM_PIECE("\x80"), RANDOM_PIECE("\xed\xa0\x80"), RANDOM_PIECE("\n"),
};

/* --- The signed form --- */

/* One character at a time, as the format describes it. */
static void model_canonical_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text != '\0'; text += g_utf8_skip[(guint8)*text]) {
        gunichar c = g_utf8_get_char(text);
        static const char special[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        gboolean done = FALSE;
        for (guint i = 0; i < sizeof special - 1 && !done; i += 2) {
            done = c == (guint8)special[i];
            if (done)
                g_string_append_printf(out, "\\%c", special[i + 1]);
        }
        if (done)
            continue;
        if (c >= 0x20 && c <= 0x7e)
            g_string_append_c(out, (char)c);
        else if (c <= 0xffff)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_printf(out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
    }
    g_string_append_c(out, '"');
}

static int compare_code_points(gconstpointer a, gconstpointer b)
{
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    for (;; left += g_utf8_skip[(guint8)*left], right += g_utf8_skip[(guint8)*right]) {
        gunichar x = g_utf8_get_char(left), y = g_utf8_get_char(right);
        if (x != y || x == 0)
            return x < y ? -1 : x > y;
    }
}

static char *sha256_of_hex(const char *hex)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    for (; *hex != '\0'; hex += 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
        g_checksum_update(checksum, &byte, 1);
    }
    return g_strdup(g_checksum_get_string(checksum));
}

static void write_pages(JsonWriter *w, const JsonValue *pages)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const JsonValue *page = json_value_first(pages); page != NULL; page = json_value_next(page))
        g_ptr_array_add(names, g_strdup(json_value_key(page)));
    g_ptr_array_set_free_func(names, g_free);
    g_ptr_array_sort(names, compare_code_points);
    json_write_object_begin(w);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *hash = sha256_of_hex(json_value_string(json_object_get(pages, name)));
        json_write_member_string(w, name, hash);
    }
    json_write_object_end(w);
}

static void test_frozen_canonical(void)
{
    gsize len = 0;
    g_autofree char *data = vector_read("occ.json", &len);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, len, &error);
    g_assert_no_error(error);
    const JsonValue *root = json_doc_root(doc);
    g_autofree char *manifest = sha256_of_hex(json_value_string(json_object_get(root, "manifest_bytes_hex")));

    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_CANONICAL);
    json_write_object_begin(&w);
    json_write_member_string(&w, "manifest_sha256", manifest);
    json_write_key(&w, "pages");
    write_pages(&w, json_object_get(root, "pages_hex"));
    json_write_object_end(&w);

    g_assert_cmpstr(out->str, ==, json_value_string(json_object_get(root, "canonical_ascii")));
    g_autoptr(GString) hex = g_string_new(NULL);
    for (gsize i = 0; i < out->len; i++)
        g_string_append_printf(hex, "%02x", (guint8)out->str[i]);
    g_assert_cmpstr(hex->str, ==, json_value_string(json_object_get(root, "canonical_hex")));
}

static void test_canonical_like_model(void)
{
    g_autoptr(GRand) rng = random_new(21);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) text = random_text(rng, pieces, G_N_ELEMENTS(pieces), 10);
        g_autofree char *exact = random_exact(text);
        g_autoptr(GString) out = g_string_new(NULL);
        g_autoptr(GString) want = g_string_new(NULL);
        model_canonical_string(want, text->str);
        g_auto(JsonWriter) w;
        json_writer_init(&w, out, JSON_STYLE_CANONICAL);
        json_write_string_len(&w, exact, text->len);
        g_assert_cmpstr(out->str, ==, want->str);
    }
}

/* Keys of several levels, checked against text joined by hand. */
static void test_canonical_nesting(void)
{
    g_autoptr(GString) out = g_string_new("x");
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_CANONICAL);
    json_write_object_begin(&w);
    json_write_key(&w, "");
    json_write_object_begin(&w);
    json_write_member_integer(&w, "z", 1);
    json_write_object_end(&w);
    json_write_key(&w, "B");
    json_write_array_begin(&w);
    json_write_object_begin(&w);
    json_write_member_boolean(&w, "a", FALSE);
    json_write_object_end(&w);
    json_write_object_begin(&w);
    json_write_member_boolean(&w, "a", TRUE);
    json_write_member_string(&w, "a1", "/");
    json_write_object_end(&w);
    json_write_null(&w);
    json_write_array_end(&w);
    json_write_member_integer(&w, "Ba", -5);
    json_write_member_integer(&w, "a", 0);
    json_write_member_integer(&w, "\xef\xbf\xbf", 1);
    json_write_member_integer(&w, "😀", 2);
    json_write_object_end(&w);
    g_assert_cmpstr(out->str, ==,
                    "x{\"\":{\"z\":1},\"B\":[{\"a\":false},{\"a\":true,\"a1\":\"/\"},null],\"Ba\":-5,\"a\":0,"
                    "\"\\uffff\":1,\"\\ud83d\\ude00\":2}");
}

/* --- The plain form --- */

static char *plain_string(const char *text, gsize len)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_string_len(&w, text, len);
    return g_strdup(out->str);
}

static void test_plain_reads_back(void)
{
    g_autoptr(GRand) rng = random_new(22);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) text = random_text(rng, pieces, G_N_ELEMENTS(pieces), 10);
        g_autofree char *exact = random_exact(text);
        g_autofree char *written = plain_string(exact, text->len);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonDoc) doc = json_doc_parse(written, strlen(written), G_MAXSIZE, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(json_value_string(json_doc_root(doc)), ==, text->str);
        for (const char *p = written; *p != '\0'; p++)
            g_assert_false(g_ascii_iscntrl(*p));
    }
}

static void test_plain_replaces_bad_bytes(void)
{
    g_autofree char *written = plain_string("a\xff\xc3(\xed\xa0\x80é\xf0\x9f\x98", 12);
    g_assert_cmpstr(written, ==, "\"a��(���é���\"");
    g_autofree char *nul = plain_string("a\0b", 3);
    g_assert_cmpstr(nul, ==, "\"a\\u0000b\"");

    g_autoptr(GRand) rng = random_new(23);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) text = random_text(rng, broken, G_N_ELEMENTS(broken), 6);
        g_autofree char *exact = random_exact(text);
        g_autofree char *got = plain_string(exact, text->len);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonDoc) doc = json_doc_parse(got, strlen(got), G_MAXSIZE, &error);
        g_assert_no_error(error);
        if (g_utf8_validate(text->str, (gssize)text->len, NULL))
            g_assert_cmpstr(json_value_string(json_doc_root(doc)), ==, text->str);
        else
            g_assert_nonnull(strstr(got, "\xef\xbf\xbd"));
    }
}

static void test_plain_document(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_array_begin(&w);
    json_write_object_begin(&w);
    json_write_member_string(&w, "z", "é");
    json_write_member_string(&w, "a", "keys in any order");
    json_write_key(&w, "raw");
    json_write_raw(&w, "[1,2]", 5);
    json_write_key(&w, "empty");
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_object_end(&w);
    json_write_raw(&w, "null", 4);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_array_end(&w);
    g_assert_cmpstr(out->str, ==,
                    "[{\"z\":\"é\",\"a\":\"keys in any order\",\"raw\":[1,2],\"empty\":{}},null,[]]");
}

/* --- Numbers --- */

static void test_integers(void)
{
    static const gint64 edges[] = {0, -1, 9, 10, G_MAXINT64, G_MININT64, G_MININT64 + 1};
    g_autoptr(GRand) rng = random_new(24);
    for (guint round = 0; round < ROUNDS; round++) {
        guint64 bits = (guint64)g_rand_int(rng) << 32 | g_rand_int(rng);
        gint64 value = round < G_N_ELEMENTS(edges) ? edges[round] : (gint64)bits >> random_below(rng, 64);
        g_autoptr(GString) out = g_string_new(NULL);
        g_autofree char *want = g_strdup_printf("%" G_GINT64_FORMAT, value);
        g_auto(JsonWriter) w;
        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_integer(&w, value);
        g_assert_cmpstr(out->str, ==, want);
    }
}

static guint digits_of(const char *number)
{
    /* Zeros at both ends of the mantissa carry no information. */
    g_autoptr(GString) digits = g_string_new(NULL);
    for (; *number != '\0' && *number != 'e'; number++) {
        if (g_ascii_isdigit(*number) && (digits->len > 0 || *number != '0'))
            g_string_append_c(digits, *number);
    }
    while (digits->len > 1 && digits->str[digits->len - 1] == '0')
        g_string_truncate(digits, digits->len - 1);
    return (guint)digits->len;
}

static void check_double(double value)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_double(&w, value);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(out->str, out->len, G_MAXSIZE, &error);
    g_assert_no_error(error);
    double back = json_value_number(json_doc_root(doc));
    g_assert_cmpmem(&back, sizeof back, &value, sizeof value);
    for (guint digits = 1; digits < digits_of(out->str); digits++) {
        g_autofree char *shorter = g_strdup_printf("%.*e", (int)digits - 1, value);
        g_assert_cmpfloat(strtod(shorter, NULL), !=, value);
    }
}

static void test_hex(void)
{
    static const guint8 bytes[] = {0x00, 0x7f, 0x80, 0xff, 0x0a};
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;
        json_writer_init(&w, out, JSON_STYLE_CANONICAL);
        json_write_object_begin(&w);
        json_write_member_hex(&w, "all", bytes, sizeof bytes);
        json_write_member_hex(&w, "none", bytes, 0);
        json_write_object_end(&w);
    }
    g_assert_cmpstr(out->str, ==, "{\"all\":\"007f80ff0a\",\"none\":\"\"}");
}

static void test_doubles(void)
{
    static const double edges[] = {0.0,
                                   -0.0,
                                   0.1,
                                   1.0 / 3,
                                   1e15,
                                   1e16,
                                   1e22,
                                   1e23,
                                   123456789,
                                   -0.625,
                                   5e-324,
                                   1.5e-315,
                                   2.2250738585072014e-308,
                                   1.7976931348623157e308};
    for (guint i = 0; i < G_N_ELEMENTS(edges); i++)
        check_double(edges[i]);
    g_autoptr(GRand) rng = random_new(25);
    for (guint round = 0; round < 5000;) {
        guint64 bits = (guint64)g_rand_int(rng) << 32 | g_rand_int(rng);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        check_double(value);
        check_double(-g_rand_double(rng) * 30); /* what search scores look like */
        round++;
    }
}

/* --- Asserts --- */

static void misuse_unsorted(JsonWriter *w)
{
    json_write_object_begin(w);
    json_write_member_integer(w, "b", 1);
    json_write_member_integer(w, "a", 1);
}

static void misuse_equal_keys(JsonWriter *w)
{
    json_write_object_begin(w);
    json_write_member_integer(w, "a", 1);
    json_write_member_integer(w, "a", 1);
}

static void misuse_bad_utf8(JsonWriter *w)
{
    json_write_string(w, "\xff");
}

static void misuse_double(JsonWriter *w)
{
    json_write_double(w, 1.5);
}

static void misuse_value_without_key(JsonWriter *w)
{
    json_write_object_begin(w);
    json_write_null(w);
}

static void misuse_key_in_array(JsonWriter *w)
{
    json_write_array_begin(w);
    json_write_key(w, "a");
}

static void misuse_wrong_bracket(JsonWriter *w)
{
    json_write_array_begin(w);
    json_write_object_end(w);
}

static void misuse_left_open(JsonWriter *w)
{
    json_write_array_begin(w);
    json_writer_clear(w);
}

static void misuse_too_deep(JsonWriter *w)
{
    for (guint i = 0; i <= JSON_WRITER_DEPTH_MAX; i++)
        json_write_array_begin(w);
}

static void test_misuse(gconstpointer data)
{
    void (*misuse)(JsonWriter *) = *(void (*const *)(JsonWriter *))data;
    if (g_test_subprocess()) {
        g_autoptr(GString) out = g_string_new(NULL);
        JsonWriter w;
        json_writer_init(&w, out, JSON_STYLE_CANONICAL);
        misuse(&w);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assertion failed*");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*misuse)(JsonWriter *);
    } misuses[] = {
        {"/schema/json-writer/misuse/unsorted", misuse_unsorted},
        {"/schema/json-writer/misuse/equal-keys", misuse_equal_keys},
        {"/schema/json-writer/misuse/bad-utf8", misuse_bad_utf8},
        {"/schema/json-writer/misuse/double", misuse_double},
        {"/schema/json-writer/misuse/value-without-key", misuse_value_without_key},
        {"/schema/json-writer/misuse/key-in-array", misuse_key_in_array},
        {"/schema/json-writer/misuse/wrong-bracket", misuse_wrong_bracket},
        {"/schema/json-writer/misuse/left-open", misuse_left_open},
        {"/schema/json-writer/misuse/too-deep", misuse_too_deep},
    };
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/json-writer/frozen-canonical", test_frozen_canonical);
    g_test_add_func("/schema/json-writer/canonical-like-model", test_canonical_like_model);
    g_test_add_func("/schema/json-writer/canonical-nesting", test_canonical_nesting);
    g_test_add_func("/schema/json-writer/plain-reads-back", test_plain_reads_back);
    g_test_add_func("/schema/json-writer/plain-replaces-bad-bytes", test_plain_replaces_bad_bytes);
    g_test_add_func("/schema/json-writer/plain-document", test_plain_document);
    g_test_add_func("/schema/json-writer/integers", test_integers);
    g_test_add_func("/schema/json-writer/hex", test_hex);
    g_test_add_func("/schema/json-writer/doubles", test_doubles);
    for (guint i = 0; i < G_N_ELEMENTS(misuses); i++)
        g_test_add_data_func(misuses[i].path, &misuses[i].misuse, test_misuse);
    return g_test_run();
}
