/* SPDX-License-Identifier: MIT
 *
 * Text as Python sees it: against frozen answers of CPython, and against slow models on random bytes.
 */
#include "schema/text.h"

#include "schema/json_reader.h"
#include "tests/unit/random_text.h"

enum { ROUNDS = 20000 };

static const RandomPiece pieces[] = {
    RANDOM_PIECE("a"),
    RANDOM_PIECE("plain ascii text"),
    RANDOM_PIECE(" "),
    RANDOM_PIECE("\t"),
    RANDOM_PIECE("\r"),
    RANDOM_PIECE("\n"),
    RANDOM_PIECE("\r\n"),
    RANDOM_PIECE("\v"),
    RANDOM_PIECE("\x1c"),
    RANDOM_PIECE("\x1f"),
    RANDOM_PIECE("\0"),
    RANDOM_PIECE("\x7f"),
    RANDOM_PIECE("\xc2\x85"),
    RANDOM_PIECE("\xc2\xa0"),
    RANDOM_PIECE("\xc2"),
    RANDOM_PIECE("é"),
    RANDOM_PIECE("日"),
    RANDOM_PIECE("😀"),
    RANDOM_PIECE("\xe2\x80"),
    RANDOM_PIECE("\xe2\x80\xa8"),
    RANDOM_PIECE("\xe2\x80\xa9"),
    RANDOM_PIECE("\xe3\x80"),
    RANDOM_PIECE("\xe3\x80\x80"),
    RANDOM_PIECE("\xc0\xaf"),
    RANDOM_PIECE("\x80"),
    RANDOM_PIECE("\xed\xa0\x80"),
    RANDOM_PIECE("\xf4\x90\x80\x80"),
    RANDOM_PIECE("\xff"),
    RANDOM_PIECE("\xf0\x9f\x98"),
    RANDOM_PIECE("\xe0\x80\xa0"),
    RANDOM_PIECE("\""),
    RANDOM_PIECE("\\"),
    RANDOM_PIECE("0123456789abcdef"),
};

/* --- Slow models --- */

/* Decodes by the arithmetic of RFC 3629 and then asks whether the value needed that many bytes. */
static guint model_char_length(const guint8 *p, gsize len)
{
    static const struct {
        guint8 mask, lead;
        gunichar min, max;
    } forms[] = {{0x80, 0x00, 0, 0x7f},
                 {0xe0, 0xc0, 0x80, 0x7ff},
                 {0xf0, 0xe0, 0x800, 0xffff},
                 {0xf8, 0xf0, 0x10000, 0x10ffff}};
    for (guint form = 0; form < G_N_ELEMENTS(forms) && form < len; form++) {
        if ((p[0] & forms[form].mask) != forms[form].lead)
            continue;
        gunichar c = (gunichar)(p[0] & ~forms[form].mask);
        for (guint i = 1; i <= form; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = c * 64 + (p[i] & 0x3f);
        }
        gboolean surrogate = c >= 0xd800 && c <= 0xdfff;
        return c >= forms[form].min && c <= forms[form].max && !surrogate ? form + 1 : 0;
    }
    return 0;
}

/* Offsets of the beginnings of all characters, and the end. */
static GArray *model_boundaries(const char *text, gsize len)
{
    GArray *boundaries = g_array_new(FALSE, FALSE, sizeof(gsize));
    gsize pos = 0;
    while (pos < len) {
        g_array_append_val(boundaries, pos);
        pos += MAX(model_char_length((const guint8 *)text + pos, len - pos), 1);
    }
    g_array_append_val(boundaries, len);
    return boundaries;
}

static GString *model_fold(const char *text, gsize len)
{
    GString *folded = g_string_new(NULL);
    for (gsize i = 0; i < len; i++) {
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
            continue;
        g_string_append_c(folded, text[i] == '\r' ? '\n' : text[i]);
    }
    return folded;
}

/* --- Properties --- */

static void check_characters(const char *text, gsize len)
{
    g_autoptr(GArray) boundaries = model_boundaries(text, len);
    gsize bad = len;
    gboolean good = TRUE;
    for (guint i = 0; i + 1 < boundaries->len; i++) {
        gsize at = g_array_index(boundaries, gsize, i);
        guint want = model_char_length((const guint8 *)text + at, len - at);
        g_assert_cmpuint(text_char_length(text + at, len - at), ==, want);
        gunichar c = 0;
        if (text_char_decode(text + at, len - at, &c) > 0)
            g_assert_cmpuint(c, ==, g_utf8_get_char(text + at));
        if (want == 0 && good) {
            good = FALSE;
            bad = at;
        }
        g_assert_cmpuint(text_cut_chars(text, len, i), ==, at);
    }
    gsize got = len;
    g_assert_cmpint(text_is_utf8(text, len, &got), ==, good);
    g_assert_cmpuint(got, ==, bad);
    g_assert_cmpuint(text_count_chars(text, len), ==, boundaries->len - 1);
    g_assert_cmpuint(text_cut_chars(text, len, boundaries->len + 5), ==, len);
}

static void test_characters_like_model(void)
{
    g_autoptr(GRand) rng = random_new(1);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, pieces, G_N_ELEMENTS(pieces), 12);
        g_autofree char *text = random_exact(made);
        check_characters(text, made->len);
    }
}

static void test_every_code_point(void)
{
    for (gunichar c = 0; c <= 0x110000; c++) {
        char bytes[6];
        guint len = (guint)g_unichar_to_utf8(c, bytes);
        gboolean surrogate = c >= 0xd800 && c <= 0xdfff;
        gunichar got = 0;
        guint want = surrogate || c > 0x10ffff ? 0 : len;
        g_assert_cmpuint(text_char_decode(bytes, len, &got), ==, want);
        g_assert_cmpuint(got, ==, want > 0 ? c : 0);
        g_assert_cmpuint(text_char_length(bytes, len - 1), ==, 0);
    }
}

/* Every pair of first bytes, followed by continuation bytes: all boundaries of the allowed ranges. */
static void test_every_lead(void)
{
    for (guint pair = 0; pair < 0x10000; pair++) {
        const guint8 bytes[] = {(guint8)(pair >> 8), (guint8)pair, 0x80, 0xbf};
        for (gsize len = 1; len <= sizeof bytes; len++)
            g_assert_cmpuint(text_char_length((const char *)bytes, len), ==, model_char_length(bytes, len));
    }
}

static void test_cut_bytes_like_model(void)
{
    g_autoptr(GRand) rng = random_new(2);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, pieces, G_N_ELEMENTS(pieces), 8);
        g_autofree char *text = random_exact(made);
        gsize bytes_max = random_below(rng, 40);
        gsize cut = text_cut_bytes(text, made->len, bytes_max);
        g_assert_cmpuint(cut, <=, MIN(made->len, bytes_max));
        if (!text_is_utf8(text, made->len, NULL))
            continue;
        g_autoptr(GArray) boundaries = model_boundaries(text, made->len);
        gsize want = 0;
        for (guint i = 0; i < boundaries->len; i++) {
            gsize at = g_array_index(boundaries, gsize, i);
            want = at <= bytes_max ? at : want;
        }
        g_assert_cmpuint(cut, ==, want);
    }
}

static void test_plain_prefix_like_model(void)
{
    g_autoptr(GRand) rng = random_new(3);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, pieces, G_N_ELEMENTS(pieces), 5);
        g_autofree char *text = random_exact(made);
        gsize want = 0;
        while (want < made->len && g_ascii_isprint(text[want]) && text[want] != '"' && text[want] != '\\')
            want++;
        g_assert_cmpuint(text_plain_prefix(text, made->len), ==, want);
    }
    /* Every byte at every place of a word. */
    for (guint byte = 0; byte < 256; byte++) {
        for (guint place = 0; place < 17; place++) {
            char text[17];
            memset(text, 'x', sizeof text);
            text[place] = (char)byte;
            gboolean plain = byte >= 0x20 && byte <= 0x7e && byte != '"' && byte != '\\';
            g_assert_cmpuint(text_plain_prefix(text, sizeof text), ==, plain ? sizeof text : place);
        }
    }
}

static void test_fold_like_model(void)
{
    g_autoptr(GRand) rng = random_new(4);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, pieces, G_N_ELEMENTS(pieces), 12);
        g_autoptr(GBytes) raw = g_bytes_new(made->str, made->len);
        g_autoptr(GBytes) folded = text_fold_lines(raw);
        g_autoptr(GString) want = model_fold(made->str, made->len);
        gsize len = 0;
        const char *got = g_bytes_get_data(folded, &len);
        g_assert_cmpmem(got, len, want->str, want->len);
        gboolean has_cr = memchr(made->str, '\r', made->len) != NULL;
        g_assert_true((folded == raw) == !has_cr);
    }
}

static void test_message_is_one_line(void)
{
    g_autoptr(GRand) rng = random_new(5);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, pieces, G_N_ELEMENTS(pieces), 20);
        g_autofree char *text = random_exact(made);
        g_autofree char *shown = text_for_message(text, made->len);
        g_assert_true(g_utf8_validate(shown, -1, NULL));
        g_assert_cmpuint(strlen(shown), <, 110);
        for (char *p = shown; *p != '\0'; p = g_utf8_next_char(p)) {
            gunichar c = g_utf8_get_char(p);
            g_assert_true(!g_unichar_iscntrl(c) && c != 0x2028 && c != 0x2029);
        }
    }
    static const char sample[] = "it's\n\xff \"é\" \\ \xe2\x80\xae";
    g_autofree char *shown = text_for_message(sample, strlen(sample));
    g_assert_cmpstr(shown, ==, "it\\'s\\x0a\\xff \\\"é\\\" \\\\ \\xe2\\x80\\xae");
}

static void test_span_dup(void)
{
    g_autofree char *copy = text_span_dup((TextSpan){"abcdef", 3});
    g_autofree char *empty = text_span_dup((TextSpan){NULL, 0});
    g_assert_cmpstr(copy, ==, "abc");
    g_assert_cmpstr(empty, ==, "");
}

/* --- Frozen answers of CPython --- */

static JsonDoc *load_vectors(void)
{
    gsize len = 0;
    g_autofree char *data = vector_read("python-text.json", &len);
    g_autoptr(GError) error = NULL;
    JsonDoc *doc = json_doc_parse(data, len, len, &error);
    g_assert_no_error(error);
    return doc;
}

static GHashTable *code_points_of(const JsonDoc *doc, const char *key)
{
    GHashTable *set = g_hash_table_new(NULL, NULL);
    const JsonValue *list = json_object_get(json_doc_root(doc), key);
    for (const JsonValue *item = json_value_first(list); item != NULL; item = json_value_next(item))
        g_hash_table_add(set, GUINT_TO_POINTER((guint)json_value_number(item)));
    g_assert_cmpuint(g_hash_table_size(set), >, 5);
    return set;
}

static void test_python_characters(void)
{
    g_autoptr(JsonDoc) doc = load_vectors();
    g_autoptr(GHashTable) spaces = code_points_of(doc, "space");
    g_autoptr(GHashTable) line_ends = code_points_of(doc, "line_end");
    for (gunichar c = 1; c <= 0x10ffff; c++) {
        g_assert_cmpint(text_is_space(c), ==, g_hash_table_contains(spaces, GUINT_TO_POINTER(c)));
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        char text[10] = "a";
        guint len = 1 + (guint)g_unichar_to_utf8(c, text + 1);
        text[len++] = 'a';
        guint lines = 0;
        TextSpan line;
        for (gsize pos = 0; text_next_line(text, len, &pos, &line);)
            lines++;
        g_assert_cmpuint(lines, ==, g_hash_table_contains(line_ends, GUINT_TO_POINTER(c)) ? 2 : 1);
    }
}

static void assert_span(TextSpan span, const JsonValue *want)
{
    const char *string = json_value_string(want);
    g_assert_cmpmem(span.text, span.len, string, strlen(string));
}

static void check_python_text(const JsonValue *vector)
{
    const char *text = json_value_string(json_object_get(vector, "text"));
    gsize len = strlen(text), pos = 0;
    TextSpan line;
    const JsonValue *want = json_value_first(json_object_get(vector, "lines"));
    for (; text_next_line(text, len, &pos, &line); want = json_value_next(want)) {
        g_assert_nonnull(want);
        assert_span(line, want);
    }
    g_assert_null(want);
    assert_span(text_trim(text, len), json_object_get(vector, "strip"));
    assert_span(text_trim_right(text, len), json_object_get(vector, "rstrip"));
    g_assert_cmpuint(text_count_chars(text, len), ==,
                     (gsize)json_value_number(json_object_get(vector, "chars")));
    g_autoptr(GBytes) raw = g_bytes_new(text, len);
    g_autoptr(GBytes) folded = text_fold_lines(raw);
    assert_span((TextSpan){g_bytes_get_data(folded, NULL), g_bytes_get_size(folded)},
                json_object_get(vector, "folded"));
}

static void test_python_texts(void)
{
    g_autoptr(JsonDoc) doc = load_vectors();
    const JsonValue *texts = json_object_get(json_doc_root(doc), "texts");
    g_assert_cmpuint(json_value_count(texts), >=, 300);
    for (const JsonValue *vector = json_value_first(texts); vector != NULL; vector = json_value_next(vector))
        check_python_text(vector);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/text/characters-like-model", test_characters_like_model);
    g_test_add_func("/schema/text/every-code-point", test_every_code_point);
    g_test_add_func("/schema/text/every-lead", test_every_lead);
    g_test_add_func("/schema/text/cut-bytes-like-model", test_cut_bytes_like_model);
    g_test_add_func("/schema/text/plain-prefix-like-model", test_plain_prefix_like_model);
    g_test_add_func("/schema/text/fold-like-model", test_fold_like_model);
    g_test_add_func("/schema/text/message-is-one-line", test_message_is_one_line);
    g_test_add_func("/schema/text/span-dup", test_span_dup);
    g_test_add_func("/schema/text/python-characters", test_python_characters);
    g_test_add_func("/schema/text/python-texts", test_python_texts);
    return g_test_run();
}
