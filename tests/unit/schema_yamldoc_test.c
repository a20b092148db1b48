/* SPDX-License-Identifier: MIT
 *
 * Strict YAML: trees with positions, every refusal with its exact line, getters and quoting.
 */
#include "schema/yamldoc.h"

#include "schema/limits.h"
#include "tests/unit/random_text.h"

#include <string.h>

enum { BYTES_MAX = 4 * 1024 * 1024, QUOTE_ROUNDS = 3000 };

static YamlDoc *parse_ok(const char *text)
{
    GError *error = NULL;
    YamlDoc *doc = yamldoc_parse("f", text, strlen(text), BYTES_MAX, &error);
    g_assert_no_error(error);
    return doc;
}

static void assert_refused_len(const char *data, gsize len, KontorErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    YamlDoc *doc = yamldoc_parse("f", data, len, BYTES_MAX, &error);
    g_assert_null(doc);
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void assert_refused(const char *text, KontorErrorCode code, const char *message)
{
    assert_refused_len(text, strlen(text), code, message);
}

static const char *text_at(const YamlNode *mapping, const char *key)
{
    const YamlNode *node = yamlnode_get(mapping, key);
    g_assert_nonnull(node);
    return yamlnode_text(node);
}

/* --- Trees --- */

static void test_tree(void)
{
    g_autoptr(YamlDoc) doc = parse_ok("a: 1\n"
                                      "b:\n"
                                      "  - x\n"
                                      "  - {c: 'y', d: \"z\"}\n"
                                      "e: >\n"
                                      "  folded\n"
                                      "  text\n");
    const YamlNode *root = yamldoc_root(doc);
    g_assert_cmpint(yamlnode_kind(root), ==, YAMLDOC_MAPPING);
    g_assert_cmpuint(yamlnode_count(root), ==, 3);
    g_assert_cmpstr(text_at(root, "a"), ==, "1");
    g_assert_cmpstr(text_at(root, "e"), ==, "folded text\n");
    g_assert_false(yamlnode_is_plain(yamlnode_get(root, "e")));
    const YamlNode *list = yamlnode_get(root, "b");
    g_assert_cmpint(yamlnode_kind(list), ==, YAMLDOC_SEQUENCE);
    g_assert_cmpuint(yamlnode_key_line(list), ==, 2);
    g_assert_cmpuint(yamlnode_line(list), ==, 3);
    g_assert_cmpuint(yamlnode_column(list), ==, 3);
    const YamlNode *item = yamlnode_first(list);
    g_assert_cmpstr(yamlnode_text(item), ==, "x");
    g_assert_null(yamlnode_key(item));
    g_assert_true(yamlnode_is_plain(item));
    item = yamlnode_next(item);
    g_assert_cmpstr(text_at(item, "c"), ==, "y");
    g_assert_cmpuint(yamlnode_column(yamlnode_get(item, "d")), ==, 17);
    g_assert_false(yamlnode_is_plain(yamlnode_get(item, "d")));
    g_assert_null(yamlnode_next(item));
    g_assert_null(yamlnode_get(root, "A"));
    g_assert_null(yamlnode_first(yamlnode_get(root, "a")));
}

static void test_empty(void)
{
    const char *const texts[] = {"",  "\n",   "# only a comment\n", "---\n", "---\n...\n",
                                 "~", "null", "\xef\xbb\xbf"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(YamlDoc) doc = parse_ok(texts[i]);
        g_assert_true(yamlnode_is_null(yamldoc_root(doc)));
    }
    g_autoptr(YamlDoc) none = yamldoc_parse("f", NULL, 0, 0, NULL);
    g_assert_nonnull(none);
}

/* A byte order mark is not a column: the second line stands as far left as the first. */
static void test_byte_order_mark(void)
{
    g_autoptr(YamlDoc) doc = parse_ok("\xef\xbb\xbf"
                                      "a: 1\nb: 2\n");
    g_assert_cmpstr(text_at(yamldoc_root(doc), "b"), ==, "2");
}

/* Large mappings switch to a hash index; both ways must find the same. */
static void test_large_mapping(void)
{
    enum { MEMBERS = 2000 };
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < MEMBERS; i++)
        g_string_append_printf(text, "k%u: v%u\n", i, i);
    g_autoptr(YamlDoc) doc = parse_ok(text->str);
    for (guint i = 0; i < MEMBERS; i++) {
        g_autofree char *key = g_strdup_printf("k%u", i);
        g_autofree char *value = g_strdup_printf("v%u", i);
        g_assert_cmpstr(text_at(yamldoc_root(doc), key), ==, value);
    }
    g_assert_null(yamlnode_get(yamldoc_root(doc), "k2000"));
    g_string_append(text, "k1999: again\n");
    assert_refused(text->str, KONTOR_ERROR_MALFORMED,
                   "f:2001: key 'k1999' is given twice, first in line 2000");
}

/* --- Refusals --- */

static void test_refusals(void)
{
    assert_refused("a: 1\nb: 2\na: 3\n", KONTOR_ERROR_MALFORMED,
                   "f:3: key 'a' is given twice, first in line 1");
    assert_refused("x:\n  a: 1\n  'a': 3\n", KONTOR_ERROR_MALFORMED,
                   "f:3: key 'a' is given twice, first in line 2");
    assert_refused("a: &x 1\n", KONTOR_ERROR_UNSUPPORTED, "f:1: anchors are not supported");
    assert_refused("a: 1\nb: &x [1]\n", KONTOR_ERROR_UNSUPPORTED, "f:2: anchors are not supported");
    assert_refused("b: *x\n", KONTOR_ERROR_UNSUPPORTED, "f:1: aliases are not supported");
    assert_refused("a: !!str 1\n", KONTOR_ERROR_UNSUPPORTED, "f:1: tags are not supported");
    assert_refused("a: !!python/object:os.system {}\n", KONTOR_ERROR_UNSUPPORTED,
                   "f:1: tags are not supported");
    assert_refused("a: 1\n---\nb: 2\n", KONTOR_ERROR_MALFORMED, "f:2: a second document in one file");
    assert_refused("? [a]\n: 1\n", KONTOR_ERROR_MALFORMED, "f:1: a key must be a plain text");
    assert_refused("a: 1\nb: [1, 2\nc: 3\n", KONTOR_ERROR_MALFORMED,
                   "f:3: not valid YAML: did not find expected ',' or ']'");
    assert_refused("a: \"x\\0y\"\n", KONTOR_ERROR_MALFORMED, "f:1: text with an escaped NUL or surrogate");
    assert_refused("a: 1\nb: \x01\n", KONTOR_ERROR_MALFORMED,
                   "f:2: not valid YAML: control characters are not allowed");
    assert_refused("a: 1\nb: \xff\n", KONTOR_ERROR_MALFORMED, "f:2: not UTF-8 text at byte 8");
    assert_refused_len("a: \0", 4, KONTOR_ERROR_MALFORMED, "f:1: not UTF-8 text at byte 3");
    assert_refused("a: \xed\xa0\x80", KONTOR_ERROR_MALFORMED, "f:1: not UTF-8 text at byte 3");
    assert_refused_len("\xff\xfe"
                       "a\0",
                       4, KONTOR_ERROR_MALFORMED, "f:1: not UTF-8 text at byte 0");
}

static char *nested(guint levels)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < levels; i++)
        g_string_append_c(text, '[');
    for (guint i = 0; i < levels; i++)
        g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static void test_depth(void)
{
    g_autofree char *most = nested(LIMIT_YAML_DEPTH);
    g_autoptr(YamlDoc) doc = parse_ok(most);
    g_assert_cmpuint(yamlnode_count(yamldoc_root(doc)), ==, 1);
    g_autofree char *more = nested(LIMIT_YAML_DEPTH + 1);
    assert_refused(more, KONTOR_ERROR_LIMIT, "f:1: nested deeper than 32 levels");
    g_autofree char *many = nested(200000);
    assert_refused(many, KONTOR_ERROR_LIMIT, "f:1: nested deeper than 32 levels");
}

/* The list itself is a node; keys count too. */
static void test_node_count(void)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < LIMIT_YAML_NODES - 1; i++)
        g_string_append(list, "- a\n");
    g_autoptr(YamlDoc) doc = parse_ok(list->str);
    g_assert_cmpuint(yamlnode_count(yamldoc_root(doc)), ==, LIMIT_YAML_NODES - 1);
    g_string_append(list, "- a\n");
    assert_refused(list->str, KONTOR_ERROR_LIMIT, "f:100000: more than 100000 keys and values");
    g_autoptr(GString) mapping = g_string_new(NULL);
    for (guint i = 0; i < LIMIT_YAML_NODES / 2; i++)
        g_string_append_printf(mapping, "%u:\n", i);
    assert_refused(mapping->str, KONTOR_ERROR_LIMIT, "f:50000: more than 100000 keys and values");
}

static void test_size(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(yamldoc_parse("f", "abcd", 4, 3, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_cmpstr(error->message, ==, "f: larger than 3 bytes");
}

/* --- Getters --- */

static void assert_getter_error(const GError *error, KontorErrorCode code, const char *message)
{
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_null_is_plain(void)
{
    g_autoptr(YamlDoc) doc = parse_ok("[~, null, Null, NULL, '', '~', \"null\", nULL]");
    guint position = 0;
    for (const YamlNode *n = yamlnode_first(yamldoc_root(doc)); n != NULL; n = yamlnode_next(n))
        g_assert_true(yamlnode_is_null(n) == (position++ < 4));
}

static void test_getters(void)
{
    g_autoptr(YamlDoc) doc = parse_ok("t: some text\ni: 42\nb: off\nd: 5m\ns: 8MiB\n");
    const YamlNode *root = yamldoc_root(doc);
    const char *text = NULL;
    gint64 integer = 0, ms = 0;
    guint64 size = 0;
    gboolean truth = TRUE;
    g_assert_true(yamlnode_get_text(yamlnode_get(root, "t"), 9, &text, NULL));
    g_assert_cmpstr(text, ==, "some text");
    g_assert_true(yamlnode_get_integer(yamlnode_get(root, "i"), 42, 42, &integer, NULL));
    g_assert_cmpint(integer, ==, 42);
    g_assert_true(yamlnode_get_boolean(yamlnode_get(root, "b"), &truth, NULL));
    g_assert_false(truth);
    g_assert_true(yamlnode_get_duration(yamlnode_get(root, "d"), 0, G_MAXINT64, &ms, NULL));
    g_assert_cmpint(ms, ==, 300000);
    g_assert_true(yamlnode_get_size(yamlnode_get(root, "s"), 0, G_MAXUINT64, &size, NULL));
    g_assert_cmpuint(size, ==, 8 << 20);
}

static void test_getter_refusals(void)
{
    g_autoptr(YamlDoc) doc =
        parse_ok("a:\n  - '42'\n  - 43\n  - \"off\"\n  - ~\n  - {x: 1}\n  - \"a\\tb\"\n");
    const YamlNode *n = yamlnode_first(yamlnode_get(yamldoc_root(doc), "a"));
    g_autoptr(GError) e1 = NULL, e2 = NULL, e3 = NULL, e4 = NULL, e5 = NULL, e6 = NULL, e7 = NULL;
    gint64 integer = 7;
    gboolean truth = TRUE;
    const char *text = "kept";
    g_assert_false(yamlnode_get_integer(n, 0, 100, &integer, &e1));
    assert_getter_error(e1, KONTOR_ERROR_MALFORMED, "f:2: a[0]: expected a whole number, found quoted text");
    n = yamlnode_next(n);
    g_assert_false(yamlnode_get_integer(n, 0, 42, &integer, &e2));
    assert_getter_error(e2, KONTOR_ERROR_LIMIT, "f:3: a[1]: '43' is not between 0 and 42");
    g_assert_false(yamlnode_get_text(n, 1, &text, &e3));
    assert_getter_error(e3, KONTOR_ERROR_LIMIT, "f:3: a[1]: longer than 1 bytes");
    n = yamlnode_next(n);
    g_assert_false(yamlnode_get_boolean(n, &truth, &e4));
    assert_getter_error(e4, KONTOR_ERROR_MALFORMED, "f:4: a[2]: expected true or false, found quoted text");
    n = yamlnode_next(n);
    g_assert_false(yamlnode_get_text(n, 100, &text, &e5));
    assert_getter_error(e5, KONTOR_ERROR_MALFORMED, "f:5: a[3]: expected text, found nothing");
    n = yamlnode_next(n);
    g_assert_false(yamlnode_get_text(n, 100, &text, &e6));
    assert_getter_error(e6, KONTOR_ERROR_MALFORMED, "f:6: a[4]: expected text, found a mapping");
    n = yamlnode_next(n);
    g_assert_false(yamlnode_get_text(n, 100, &text, &e7));
    assert_getter_error(e7, KONTOR_ERROR_MALFORMED, "f:7: a[5]: control characters are not allowed");
    g_assert_cmpint(integer, ==, 7);
    g_assert_true(truth);
    g_assert_cmpstr(text, ==, "kept");
}

static void test_check_keys(void)
{
    static const char *const known[] = {"listen", "limits", NULL};
    g_autoptr(YamlDoc) good = parse_ok("limits: 1\nlisten: 2\n");
    g_assert_true(yamlnode_check_keys(yamldoc_root(good), known, NULL));
    g_autoptr(YamlDoc) null = parse_ok("");
    g_assert_true(yamlnode_check_keys(yamldoc_root(null), known, NULL));
    g_autoptr(YamlDoc) near = parse_ok("listen: 1\nlimit: 2\n");
    g_autoptr(GError) e1 = NULL, e2 = NULL, e3 = NULL;
    g_assert_false(yamlnode_check_keys(yamldoc_root(near), known, &e1));
    assert_getter_error(e1, KONTOR_ERROR_MALFORMED, "f:2: limit: unknown key, did you mean 'limits'?");
    g_autoptr(YamlDoc) far = parse_ok("wholly other: 1\n");
    g_assert_false(yamlnode_check_keys(yamldoc_root(far), known, &e2));
    assert_getter_error(e2, KONTOR_ERROR_MALFORMED, "f:1: wholly other: unknown key");
    g_autoptr(YamlDoc) list = parse_ok("- 1\n");
    g_assert_false(yamlnode_check_keys(yamldoc_root(list), known, &e3));
    assert_getter_error(e3, KONTOR_ERROR_MALFORMED, "f:1: expected a mapping, found a list");
}

/* --- Quoting --- */

static void assert_quotes(const char *text)
{
    g_autofree char *quoted = yamldoc_quote(text);
    g_assert_null(strchr(quoted, '\n'));
    g_autofree char *line = g_strdup_printf("k: %s # end\n", quoted);
    g_autoptr(YamlDoc) doc = parse_ok(line);
    g_assert_cmpstr(text_at(yamldoc_root(doc), "k"), ==, text);
    g_assert_false(yamlnode_is_plain(yamlnode_get(yamldoc_root(doc), "k")));
}

static void test_quote(void)
{
    const char *const pieces[] = {"a",
                                  " ",
                                  "\"",
                                  "\\",
                                  "'",
                                  "\n",
                                  "\r",
                                  "\t",
                                  "\x01",
                                  "\x7f",
                                  "\xc2\x85",
                                  ": ",
                                  "# ",
                                  "\xe2\x80\xa8",
                                  "\xef\xbb\xbf",
                                  "\xef\xbf\xbf",
                                  "é",
                                  "\xf0\x9f\x98\x80",
                                  "\xf0\x9f\xbf\xbf",
                                  "%"};
    g_autoptr(GRand) rng = random_new(20261);
    assert_quotes("");
    for (guint round = 0; round < QUOTE_ROUNDS; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (gint32 i = g_rand_int_range(rng, 1, 12); i > 0; i--)
            g_string_append(text, pieces[g_rand_int_range(rng, 0, G_N_ELEMENTS(pieces))]);
        assert_quotes(text->str);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yamldoc/tree", test_tree);
    g_test_add_func("/yamldoc/empty", test_empty);
    g_test_add_func("/yamldoc/byte-order-mark", test_byte_order_mark);
    g_test_add_func("/yamldoc/large-mapping", test_large_mapping);
    g_test_add_func("/yamldoc/refusals", test_refusals);
    g_test_add_func("/yamldoc/depth", test_depth);
    g_test_add_func("/yamldoc/node-count", test_node_count);
    g_test_add_func("/yamldoc/size", test_size);
    g_test_add_func("/yamldoc/null-is-plain", test_null_is_plain);
    g_test_add_func("/yamldoc/getters", test_getters);
    g_test_add_func("/yamldoc/getter-refusals", test_getter_refusals);
    g_test_add_func("/yamldoc/check-keys", test_check_keys);
    g_test_add_func("/yamldoc/quote", test_quote);
    return g_test_run();
}
