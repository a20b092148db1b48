/* SPDX-License-Identifier: MIT
 *
 * Strict JSON: what is refused and where, what getters say, and agreement with a slow recursive model on
 * random documents, whole and damaged.
 */
#include "schema/json_reader.h"

#include "schema/limits.h"
#include "tests/unit/random_text.h"

#include <math.h>

enum { ROUNDS = 20000, BYTES_MAX = 1024 * 1024 };

static JsonDoc *parse(const char *text, GError **error)
{
    return json_doc_parse(text, strlen(text), BYTES_MAX, error);
}

static JsonDoc *parse_ok(const char *text)
{
    GError *error = NULL;
    JsonDoc *doc = parse(text, &error);
    g_assert_no_error(error);
    return doc;
}

/* --- A slow model: recursive descent that writes a normal form of what it reads --- */

typedef struct {
    const char *at, *end;
    guint depth;
} Model;

static gboolean model_value(Model *m, GString *out);

static void model_space(Model *m)
{
    while (m->at < m->end && strchr(" \t\n\r", *m->at) != NULL && *m->at != '\0')
        m->at++;
}

static gboolean model_take(Model *m, const char *literal)
{
    gsize len = strlen(literal);
    if ((gsize)(m->end - m->at) < len || memcmp(m->at, literal, len) != 0)
        return FALSE;
    m->at += len;
    return TRUE;
}

static gboolean model_unit(Model *m, guint *ret)
{
    if (!model_take(m, "\\u") || m->end - m->at < 4)
        return FALSE;
    g_autofree char *digits = g_strndup(m->at, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return FALSE;
    *ret = (guint)g_ascii_strtoull(digits, NULL, 16);
    m->at += 4;
    return TRUE;
}

static gboolean model_escape(Model *m, GString *out)
{
    static const char *const simple[][2] = {{"\\\"", "\""}, {"\\\\", "\\"}, {"\\/", "/"},  {"\\b", "\b"},
                                            {"\\f", "\f"},  {"\\n", "\n"},  {"\\r", "\r"}, {"\\t", "\t"}};
    for (guint i = 0; i < G_N_ELEMENTS(simple); i++) {
        if (model_take(m, simple[i][0])) {
            g_string_append(out, simple[i][1]);
            return TRUE;
        }
    }
    guint high = 0, low = 0;
    if (!model_unit(m, &high) || high == 0 || (high >= 0xdc00 && high < 0xe000))
        return FALSE;
    if (high >= 0xd800 && high < 0xdc00) {
        if (!model_unit(m, &low) || low < 0xdc00 || low > 0xdfff)
            return FALSE;
        high = 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
    }
    g_string_append_unichar(out, high);
    return TRUE;
}

static gboolean model_string(Model *m, GString *out)
{
    if (!model_take(m, "\""))
        return FALSE;
    while (m->at < m->end && *m->at != '"') {
        if (*m->at == '\\') {
            if (!model_escape(m, out))
                return FALSE;
        } else if ((guint8)*m->at < 0x20) {
            return FALSE;
        } else {
            g_string_append_c(out, *m->at++);
        }
    }
    return model_take(m, "\"") && g_utf8_validate(out->str, (gssize)out->len, NULL);
}

static gboolean model_number(Model *m, GString *out)
{
    static GRegex *grammar;
    if (grammar == NULL)
        grammar =
            g_regex_new("^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$", G_REGEX_DOLLAR_ENDONLY, 0, NULL);
    const char *start = m->at;
    while (m->at < m->end && *m->at != '\0' && strchr("+-.0123456789eE", *m->at) != NULL)
        m->at++;
    g_autofree char *number = g_strndup(start, (gsize)(m->at - start));
    double value = g_ascii_strtod(number, NULL);
    if (!g_regex_match(grammar, number, 0, NULL) || strlen(number) > LIMIT_JSON_NUMBER_BYTES ||
        !isfinite(value))
        return FALSE;
    g_string_append_printf(out, "number %.17g\n", value);
    return TRUE;
}

static gboolean model_member(Model *m, GHashTable *seen, GString *out)
{
    g_autoptr(GString) key = g_string_new(NULL);
    if (!model_string(m, key) || !g_hash_table_add(seen, g_strdup(key->str)))
        return FALSE;
    g_string_append_printf(out, "key %s\n", key->str);
    model_space(m);
    if (!model_take(m, ":"))
        return FALSE;
    model_space(m);
    return model_value(m, out);
}

static gboolean model_container(Model *m, gboolean object, GString *out)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const char *close = object ? "}" : "]";
    g_string_append(out, object ? "object\n" : "array\n");
    model_space(m);
    for (gboolean first = TRUE; !model_take(m, close); first = FALSE) {
        if (!first && !model_take(m, ","))
            return FALSE;
        model_space(m);
        if (!(object ? model_member(m, seen, out) : model_value(m, out)))
            return FALSE;
        model_space(m);
    }
    g_string_append(out, "end\n");
    return TRUE;
}

static gboolean model_value(Model *m, GString *out)
{
    gboolean object = model_take(m, "{");
    if (object || model_take(m, "[")) {
        gboolean good = ++m->depth <= LIMIT_JSON_DEPTH && model_container(m, object, out);
        m->depth--;
        return good;
    }
    if (m->at < m->end && *m->at == '"') {
        g_autoptr(GString) string = g_string_new(NULL);
        gboolean good = model_string(m, string);
        g_string_append_printf(out, "string %s\n", string->str);
        return good;
    }
    static const char *const words[] = {"true", "false", "null"};
    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        if (model_take(m, words[i])) {
            g_string_append_printf(out, "%s\n", words[i]);
            return TRUE;
        }
    }
    return model_number(m, out);
}

/* The normal form, or NULL when the model refuses the text. */
static char *model_read(const char *text, gsize len)
{
    Model m = {text, text + len, 0};
    g_autoptr(GString) out = g_string_new(NULL);
    model_space(&m);
    if (!model_value(&m, out))
        return NULL;
    model_space(&m);
    return m.at == m.end ? g_strdup(out->str) : NULL;
}

/* The same normal form through the interface under test. */
static void describe(const JsonValue *value, GString *out)
{
    switch (json_value_kind(value)) {
    case JSON_NULL:
        g_string_append(out, "null\n");
        break;
    case JSON_BOOLEAN:
        g_string_append(out, json_value_boolean(value) ? "true\n" : "false\n");
        break;
    case JSON_NUMBER:
        g_string_append_printf(out, "number %.17g\n", json_value_number(value));
        break;
    case JSON_STRING:
        g_string_append_printf(out, "string %s\n", json_value_string(value));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        g_string_append(out, json_value_kind(value) == JSON_OBJECT ? "object\n" : "array\n");
        for (const JsonValue *item = json_value_first(value); item != NULL; item = json_value_next(item)) {
            if (json_value_key(item) != NULL)
                g_string_append_printf(out, "key %s\n", json_value_key(item));
            describe(item, out);
        }
        g_string_append(out, "end\n");
        break;
    }
}

/* --- Random documents --- */

static const RandomPiece keys_and_strings[] = {
    RANDOM_PIECE("\"a\""),     RANDOM_PIECE("\"A\""),         RANDOM_PIECE("\"\\u0061\""),
    RANDOM_PIECE("\"b\\nc\""), RANDOM_PIECE("\"\""),          RANDOM_PIECE("\"\\ud83d\\ude00\""),
    RANDOM_PIECE("\"é😀\""),    RANDOM_PIECE("\"~/\\/\\\"\""), RANDOM_PIECE("\"d\""),
    RANDOM_PIECE("\"e\""),     RANDOM_PIECE("\"f\""),         RANDOM_PIECE("\"long enough for words\x7f\""),
};
static const RandomPiece scalars[] = {
    RANDOM_PIECE("0"),    RANDOM_PIECE("-0"),   RANDOM_PIECE("1.50"), RANDOM_PIECE("-12e3"),
    RANDOM_PIECE("1E-2"), RANDOM_PIECE("true"), RANDOM_PIECE("null"), RANDOM_PIECE("9007199254740993"),
};
static const RandomPiece nasty[] = {
    RANDOM_PIECE("{"),
    RANDOM_PIECE("}"),
    RANDOM_PIECE("["),
    RANDOM_PIECE("]"),
    RANDOM_PIECE(","),
    RANDOM_PIECE(":"),
    RANDOM_PIECE("\""),
    RANDOM_PIECE("\\"),
    RANDOM_PIECE("\\u"),
    RANDOM_PIECE("\\u0000"),
    RANDOM_PIECE("\\ud800"),
    RANDOM_PIECE("\\udc00"),
    RANDOM_PIECE("0"),
    RANDOM_PIECE("-"),
    RANDOM_PIECE("."),
    RANDOM_PIECE("e"),
    RANDOM_PIECE("\xff"),
    RANDOM_PIECE("\xed\xa0\x80"),
    RANDOM_PIECE("\xef\xbb\xbf"),
    RANDOM_PIECE("\0"),
    RANDOM_PIECE("\n"),
    RANDOM_PIECE("\x0b"),
    RANDOM_PIECE("tru"),
    RANDOM_PIECE("1e999"),
    RANDOM_PIECE("/**/"),
    RANDOM_PIECE("NaN"),
    RANDOM_PIECE("[[[[[[[[["),
    RANDOM_PIECE("\"a\":1,"),
};

static void append_piece(GRand *rng, GString *out, const RandomPiece *pieces, guint count)
{
    const RandomPiece *piece = &pieces[random_below(rng, count)];
    g_string_append_len(out, piece->bytes, (gssize)piece->len);
    if (random_below(rng, 4) == 0)
        g_string_append_c(out, " \t\n\r"[random_below(rng, 4)]);
}

static void append_value(GRand *rng, GString *out, guint depth)
{
    guint choice = random_below(rng, depth > 0 ? 4 : 2);
    if (choice == 0) {
        append_piece(rng, out, scalars, G_N_ELEMENTS(scalars));
    } else if (choice == 1) {
        append_piece(rng, out, keys_and_strings, G_N_ELEMENTS(keys_and_strings));
    } else {
        g_string_append_c(out, choice == 2 ? '[' : '{');
        guint count = random_below(rng, 5);
        for (guint i = 0; i < count; i++) {
            g_string_append(out, i > 0 ? "," : " ");
            if (choice == 3) {
                append_piece(rng, out, keys_and_strings, G_N_ELEMENTS(keys_and_strings));
                g_string_append_c(out, ':');
            }
            append_value(rng, out, depth - 1);
        }
        g_string_append_c(out, choice == 2 ? ']' : '}');
    }
}

static void damage(GRand *rng, GString *text)
{
    gsize at = random_below(rng, (guint)text->len + 1);
    gsize erased = random_below(rng, 4);
    g_string_erase(text, (gssize)at, (gssize)MIN(text->len - at, erased));
    if (erased == 0) {
        const RandomPiece *piece = &nasty[random_below(rng, G_N_ELEMENTS(nasty))];
        g_string_insert_len(text, (gssize)at, piece->bytes, (gssize)piece->len);
    }
}

/* Returns whether the text was accepted. */
static gboolean check_like_model(const GString *made)
{
    g_autofree char *text = random_exact(made);
    g_autofree char *want = model_read(text, made->len);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(text, made->len, BYTES_MAX, &error);
    if (want == NULL) {
        g_assert_null(doc);
        g_assert_true(error != NULL && error->domain == KONTOR_ERROR);
        g_assert_null(strchr(error->message, '\n'));
        return FALSE;
    }
    g_assert_no_error(error);
    g_autoptr(GString) got = g_string_new(NULL);
    describe(json_doc_root(doc), got);
    g_assert_cmpstr(got->str, ==, want);
    return TRUE;
}

static void test_random_like_model(void)
{
    g_autoptr(GRand) rng = random_new(11);
    guint accepted = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = g_string_new(NULL);
        append_value(rng, made, 4);
        for (guint left = random_below(rng, 4); left > 0; left--)
            damage(rng, made);
        accepted += check_like_model(made);
    }
    /* The comparison says something only if both outcomes are frequent. */
    g_assert_cmpuint(accepted, >, ROUNDS / 10);
    g_assert_cmpuint(accepted, <, ROUNDS * 9 / 10);
}

static void test_soup_like_model(void)
{
    g_autoptr(GRand) rng = random_new(12);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, nasty, G_N_ELEMENTS(nasty), 8);
        check_like_model(made);
    }
}

static void test_many_keys_like_model(void)
{
    g_autoptr(GRand) rng = random_new(13);
    guint accepted = 0;
    for (guint round = 0; round < 400; round++) {
        g_autoptr(GString) made = g_string_new("{");
        guint count = 1 + random_below(rng, 60);
        for (guint i = 0; i < count; i++)
            g_string_append_printf(made, "%s\"k%u\":%u", i > 0 ? "," : "", random_below(rng, 3000), i);
        g_string_append_c(made, '}');
        accepted += check_like_model(made);
    }
    g_assert_cmpuint(accepted, >, 40);
    g_assert_cmpuint(accepted, <, 390);
}

/* --- Refusals by example --- */

typedef struct {
    const char *text;
    KontorErrorCode code;
    const char *message;
} Refusal;

static void test_refusals(void)
{
    static const Refusal refusals[] = {
        {"", KONTOR_ERROR_MALFORMED, "at byte 0: ends too early"},
        {"  ", KONTOR_ERROR_MALFORMED, "at byte 2: ends too early"},
        {"tru", KONTOR_ERROR_MALFORMED, "at byte 3: ends too early"},
        {"trUe", KONTOR_ERROR_MALFORMED, "at byte 2: value expected"},
        {"[1,]", KONTOR_ERROR_MALFORMED, "at byte 3: value expected"},
        {"[1}", KONTOR_ERROR_MALFORMED, "at byte 2: ',' or closing bracket expected"},
        {"{\"a\":1,}", KONTOR_ERROR_MALFORMED, "at byte 7: key expected"},
        {"{\"a\" 1}", KONTOR_ERROR_MALFORMED, "at byte 5: ':' expected"},
        {"{a:1}", KONTOR_ERROR_MALFORMED, "at byte 1: key expected"},
        {"[] []", KONTOR_ERROR_MALFORMED, "at byte 3: something follows the value"},
        {"\xef\xbb\xbf[]", KONTOR_ERROR_MALFORMED, "at byte 0: value expected"},
        {"\x0b[]", KONTOR_ERROR_MALFORMED, "at byte 0: value expected"},
        {"'a'", KONTOR_ERROR_MALFORMED, "at byte 0: value expected"},
        {"\"\t\"", KONTOR_ERROR_MALFORMED, "at byte 1: control character in a string"},
        {"\"a\xff\"", KONTOR_ERROR_MALFORMED, "at byte 2: not UTF-8"},
        {"\"\xed\xa0\x80\"", KONTOR_ERROR_MALFORMED, "at byte 1: not UTF-8"},
        {"\"a\\u0000b\"", KONTOR_ERROR_MALFORMED, "at byte 2: \\u0000 in a string"},
        {"\"\\ud800x\"", KONTOR_ERROR_MALFORMED, "at byte 1: lone surrogate"},
        {"\"\\ud800\\ud800\"", KONTOR_ERROR_MALFORMED, "at byte 1: lone surrogate"},
        {"\"\\ude00\"", KONTOR_ERROR_MALFORMED, "at byte 1: lone surrogate"},
        {"\"\\u12g4\"", KONTOR_ERROR_MALFORMED, "at byte 1: \\u without four hexadecimal digits"},
        {"\"\\x41\"", KONTOR_ERROR_MALFORMED, "at byte 1: unknown escape"},
        {"01", KONTOR_ERROR_MALFORMED, "at byte 1: leading zero"},
        {"-x", KONTOR_ERROR_MALFORMED, "at byte 1: digit expected"},
        {"1.e5", KONTOR_ERROR_MALFORMED, "at byte 2: digit expected"},
        {"+1", KONTOR_ERROR_MALFORMED, "at byte 0: value expected"},
        {"[0x10]", KONTOR_ERROR_MALFORMED, "at byte 2: ',' or closing bracket expected"},
        {"1e999", KONTOR_ERROR_MALFORMED, "the document: number out of range"},
        {"[0,{\"x\":[-1e999]}]", KONTOR_ERROR_MALFORMED, "/1/x/0: number out of range"},
        {"{\"a\":1,\"b\":2,\"\\u0061\":3}", KONTOR_ERROR_MALFORMED, "/a: duplicate key"},
        {"[{},{\"q/~\":{\"\":0,\"\":1}}]", KONTOR_ERROR_MALFORMED, "/1/q~1~0/: duplicate key"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(refusals[i].text, &error));
        g_assert_error(error, KONTOR_ERROR, (int)refusals[i].code);
        g_assert_cmpstr(error->message, ==, refusals[i].message);
    }
}

static void test_nul_byte(void)
{
    static const char after[] = "[]\0", inside[] = "\"a\0b\"";
    g_autoptr(GError) error = NULL;
    g_assert_null(json_doc_parse(after, 3, BYTES_MAX, &error));
    g_assert_cmpstr(error->message, ==, "at byte 2: something follows the value");
    g_clear_error(&error);
    g_assert_null(json_doc_parse(inside, 5, BYTES_MAX, &error));
    g_assert_cmpstr(error->message, ==, "at byte 2: control character in a string");
}

static char *repeated(const char *open, guint count, const char *middle, const char *close)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < count; i++)
        g_string_append(text, open);
    g_string_append(text, middle);
    for (guint i = 0; i < count; i++)
        g_string_append(text, close);
    return g_string_free(text, FALSE);
}

static void test_limits(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *deep = repeated("[", LIMIT_JSON_DEPTH, "", "]");
    g_autofree char *deeper = repeated("{\"a\":", LIMIT_JSON_DEPTH, "[]", "}");
    g_autoptr(JsonDoc) doc = parse_ok(deep);
    g_assert_cmpint(json_value_kind(json_doc_root(doc)), ==, JSON_ARRAY);
    g_assert_null(parse(deeper, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);

    g_autofree char *number = repeated("1", LIMIT_JSON_NUMBER_BYTES, "", "");
    g_autofree char *longer = g_strconcat("[", number, "1]", NULL);
    g_autoptr(JsonDoc) number_doc = parse_ok(number);
    g_assert_cmpfloat(json_value_number(json_doc_root(number_doc)), ==, g_ascii_strtod(number, NULL));
    g_assert_null(parse(longer, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);

    g_assert_null(json_doc_parse("[10]", 4, 3, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);
    g_autoptr(JsonDoc) fits = json_doc_parse("[10]", 4, 4, &error);
    g_assert_no_error(error);
    g_assert_nonnull(fits);
}

static void test_value_limit(void)
{
    /* The array itself is a value too. */
    g_autofree char *elements = repeated("1,", LIMIT_JSON_VALUES - 2, "1", "");
    g_autofree char *most = g_strconcat("[", elements, "]", NULL);
    g_autofree char *more = g_strconcat("[1,", elements, "]", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(most, strlen(most), G_MAXSIZE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_value_count(json_doc_root(doc)), ==, LIMIT_JSON_VALUES - 1);
    g_assert_null(json_doc_parse(more, strlen(more), G_MAXSIZE, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

/* --- Look-up and getters --- */

static void test_lookup_is_case_sensitive(void)
{
    g_autoptr(JsonDoc) doc = parse_ok("{\"Key\":1,\"key\":2,\"KEY\":3}");
    const JsonValue *root = json_doc_root(doc);
    g_assert_cmpuint(json_value_count(root), ==, 3);
    g_assert_cmpfloat(json_value_number(json_object_get(root, "key")), ==, 2);
    g_assert_cmpfloat(json_value_number(json_object_get(root, "KEY")), ==, 3);
    g_assert_null(json_object_get(root, "kEY"));
    g_assert_cmpstr(json_value_key(json_value_first(root)), ==, "Key");
    g_assert_null(json_value_key(root));
}

static void test_integers(void)
{
    static const struct {
        const char *text;
        gboolean good;
        gint64 value;
    } cases[] = {
        {"0", TRUE, 0},
        {"-0", TRUE, 0},
        {"1.0", TRUE, 1},
        {"12e2", TRUE, 1200},
        {"9007199254740991", TRUE, 9007199254740991},
        {"-9007199254740991", TRUE, -9007199254740991},
        {"9007199254740992", FALSE, 0},
        {"9007199254740993", FALSE, 0},
        {"-9007199254740992", FALSE, 0},
        {"1.5", FALSE, 0},
        {"1e300", FALSE, 0},
        {"5e-324", FALSE, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonDoc) doc = parse_ok(cases[i].text);
        gint64 value = 77;
        g_assert_cmpint(json_value_integer(json_doc_root(doc), &value), ==, cases[i].good);
        g_assert_cmpint(value, ==, cases[i].good ? cases[i].value : 77);
    }
}

#define ASSERT_REFUSED(call, expected_code, expected_message)                                                \
    do {                                                                                                     \
        g_autoptr(GError) refused = NULL;                                                                    \
        GError **error = &refused;                                                                           \
        g_assert_false(call);                                                                                \
        g_assert_error(refused, KONTOR_ERROR, expected_code);                                                \
        g_assert_cmpstr(refused->message, ==, expected_message);                                             \
    } while (0)

static void test_getters_accept(void)
{
    g_autoptr(JsonDoc) doc = parse_ok("{\"s\":\"text\",\"i\":-7,\"b\":true,\"n\":null,\"o\":{},\"a\":[1,2]}");
    const JsonValue *root = json_doc_root(doc), *object = NULL, *array = NULL;
    const char *string = "preset";
    gint64 integer = 1;
    gboolean boolean = FALSE;
    g_assert_true(json_get_string(root, "s", JSON_REQUIRED, 4, &string, NULL));
    g_assert_true(json_get_integer(root, "i", JSON_REQUIRED, -7, -7, &integer, NULL));
    g_assert_true(json_get_boolean(root, "b", JSON_REQUIRED, &boolean, NULL));
    g_assert_true(json_get_object(root, "o", JSON_REQUIRED, &object, NULL));
    g_assert_true(json_get_array(root, "a", JSON_REQUIRED, 2, &array, NULL));
    g_assert_cmpstr(string, ==, "text");
    g_assert_cmpint(integer, ==, -7);
    g_assert_true(boolean);
    g_assert_true(object == json_object_get(root, "o") && array == json_object_get(root, "a"));

    /* Permitted absence leaves what was preset. */
    g_assert_true(json_get_string(root, "x", JSON_OPTIONAL, 4, &string, NULL));
    g_assert_true(json_get_integer(root, "n", JSON_OPTIONAL_NULL, 0, 0, &integer, NULL));
    g_assert_true(json_get_boolean(root, "x", JSON_OPTIONAL_NULL, &boolean, NULL));
    g_assert_true(json_get_object(root, "n", JSON_OPTIONAL_NULL, &object, NULL));
    g_assert_true(json_get_array(root, "x", JSON_OPTIONAL, 0, &array, NULL));
    g_assert_cmpstr(string, ==, "text");
    g_assert_cmpint(integer, ==, -7);
    g_assert_true(boolean && object != NULL && array != NULL);
}

static void test_getters_refuse(void)
{
    g_autoptr(JsonDoc) doc =
        parse_ok("{\"p\":[0,{\"s\":\"text\",\"i\":7,\"f\":1.5,\"n\":null,\"a\":[1,2]}]}");
    const JsonValue *item = json_value_next(json_value_first(json_object_get(json_doc_root(doc), "p")));
    const JsonValue *value = NULL;
    const char *string = NULL;
    gint64 integer = 5;
    gboolean boolean = TRUE;
    ASSERT_REFUSED(json_get_string(item, "x", JSON_REQUIRED, 9, &string, error), KONTOR_ERROR_MALFORMED,
                   "/p/1/x: missing");
    ASSERT_REFUSED(json_get_string(item, "n", JSON_OPTIONAL, 9, &string, error), KONTOR_ERROR_MALFORMED,
                   "/p/1/n: is null, not string");
    ASSERT_REFUSED(json_get_string(item, "s", JSON_REQUIRED, 3, &string, error), KONTOR_ERROR_LIMIT,
                   "/p/1/s: 4 bytes, at most 3 are allowed");
    ASSERT_REFUSED(json_get_integer(item, "s", JSON_OPTIONAL_NULL, 0, 9, &integer, error),
                   KONTOR_ERROR_MALFORMED, "/p/1/s: is string, not number");
    ASSERT_REFUSED(json_get_integer(item, "f", JSON_REQUIRED, 0, 9, &integer, error), KONTOR_ERROR_MALFORMED,
                   "/p/1/f: is not an integer within 2^53");
    ASSERT_REFUSED(json_get_integer(item, "i", JSON_REQUIRED, 8, 9, &integer, error), KONTOR_ERROR_MALFORMED,
                   "/p/1/i: 7 is not between 8 and 9");
    ASSERT_REFUSED(json_get_boolean(item, "i", JSON_REQUIRED, &boolean, error), KONTOR_ERROR_MALFORMED,
                   "/p/1/i: is number, not boolean");
    ASSERT_REFUSED(json_get_object(item, "a", JSON_REQUIRED, &value, error), KONTOR_ERROR_MALFORMED,
                   "/p/1/a: is array, not object");
    ASSERT_REFUSED(json_get_array(item, "a", JSON_REQUIRED, 1, &value, error), KONTOR_ERROR_LIMIT,
                   "/p/1/a: 2 elements, at most 1 are allowed");
    g_assert_true(string == NULL && value == NULL && integer == 5 && boolean);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/json-reader/refusals", test_refusals);
    g_test_add_func("/schema/json-reader/nul-byte", test_nul_byte);
    g_test_add_func("/schema/json-reader/limits", test_limits);
    g_test_add_func("/schema/json-reader/value-limit", test_value_limit);
    g_test_add_func("/schema/json-reader/lookup-is-case-sensitive", test_lookup_is_case_sensitive);
    g_test_add_func("/schema/json-reader/integers", test_integers);
    g_test_add_func("/schema/json-reader/getters-accept", test_getters_accept);
    g_test_add_func("/schema/json-reader/getters-refuse", test_getters_refuse);
    g_test_add_func("/schema/json-reader/random-like-model", test_random_like_model);
    g_test_add_func("/schema/json-reader/soup-like-model", test_soup_like_model);
    g_test_add_func("/schema/json-reader/many-keys-like-model", test_many_keys_like_model);
    return g_test_run();
}
