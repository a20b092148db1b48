/* SPDX-License-Identifier: MIT
 *
 * Semantic versions: the grammar against a regular expression, precedence against a sorted list and the laws
 * of an order.
 */
#include "schema/semver.h"

#include "tests/unit/random_text.h"

enum { ROUNDS = 20000 };

static const RandomPiece pieces[] = {
    RANDOM_PIECE("0"),     RANDOM_PIECE("1"),        RANDOM_PIECE("10"),        RANDOM_PIECE("."),
    RANDOM_PIECE("."),     RANDOM_PIECE("-"),        RANDOM_PIECE("+"),         RANDOM_PIECE("rc"),
    RANDOM_PIECE("01"),    RANDOM_PIECE("a-"),       RANDOM_PIECE("v"),         RANDOM_PIECE(" "),
    RANDOM_PIECE("é"),     RANDOM_PIECE("_"),        RANDOM_PIECE("0.1.2"),     RANDOM_PIECE("1.0.0-"),
    RANDOM_PIECE("3.0.1"), RANDOM_PIECE("-alpha.1"), RANDOM_PIECE("+build.01"),
};

static void test_grammar_like_regex(void)
{
    /* The parts of the specification's grammar, spelled out. */
    static const char number[] = "(0|[1-9][0-9]*)";
    static const char before[] = "(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)";
    g_autofree char *pattern =
        g_strdup_printf("^%s\\.%s\\.%s(-%s(\\.%s)*)?(\\+[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*)?$", number, number,
                        number, before, before);
    g_autoptr(GRegex) grammar = g_regex_new(pattern, G_REGEX_DOLLAR_ENDONLY, 0, NULL);
    g_autoptr(GRand) rng = random_new(61);
    guint good = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) text = random_text(rng, pieces, G_N_ELEMENTS(pieces), 6);
        Semver version;
        g_autoptr(GError) error = NULL;
        gboolean want = g_regex_match(grammar, text->str, 0, NULL);
        g_assert_cmpint(semver_parse(text->str, &version, &error), ==, want);
        g_assert_cmpint(error == NULL, ==, want);
        good += want;
    }
    g_assert_cmpuint(good, >, ROUNDS / 100);
}

static void test_fields(void)
{
    Semver version;
    g_assert_true(semver_parse("12.0.9223372036854775807-rc.1.x-y+linux.007", &version, NULL));
    g_assert_cmpuint(version.major, ==, 12);
    g_assert_cmpuint(version.minor, ==, 0);
    g_assert_cmpuint(version.patch, ==, G_MAXINT64);
    g_assert_cmpstr(version.prerelease, ==, "rc.1.x-y");
    g_assert_true(semver_parse("1.2.3+b", &version, NULL));
    g_assert_cmpstr(version.prerelease, ==, "");
}

static void assert_refused(const char *text, KontorErrorCode code, const char *message)
{
    Semver version = {.major = 77};
    g_autoptr(GError) error = NULL;
    g_assert_false(semver_parse(text, &version, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpuint(version.major, ==, 77);
}

static void test_refusals(void)
{
    assert_refused("", KONTOR_ERROR_MALFORMED, "version '': three numbers joined by dots expected");
    assert_refused("1.2", KONTOR_ERROR_MALFORMED, "version '1.2': three numbers joined by dots expected");
    assert_refused("v1.2.3", KONTOR_ERROR_MALFORMED,
                   "version 'v1.2.3': three numbers joined by dots expected");
    assert_refused("1.02.3", KONTOR_ERROR_MALFORMED, "version '1.02.3': leading zero");
    assert_refused("1.2.3-a..b", KONTOR_ERROR_MALFORMED, "version '1.2.3-a..b': empty identifier");
    assert_refused("1.2.3-01", KONTOR_ERROR_MALFORMED, "version '1.2.3-01': leading zero");
    assert_refused("1.2.3\n", KONTOR_ERROR_MALFORMED, "version '1.2.3\\x0a': unexpected character");
    assert_refused("1.2.3.4", KONTOR_ERROR_MALFORMED, "version '1.2.3.4': unexpected character");
    assert_refused("1.2.9223372036854775808", KONTOR_ERROR_LIMIT,
                   "version '1.2.9223372036854775808': number too large");
    g_autofree char *tail = g_strnfill(LIMIT_SEMVER_BYTES - strlen("1.2.3-"), 'x');
    g_autofree char *longest = g_strconcat("1.2.3-", tail, NULL);
    g_autofree char *longer = g_strconcat(longest, "x", NULL);
    Semver version;
    g_autoptr(GError) error = NULL;
    g_assert_true(semver_parse(longest, &version, NULL));
    g_assert_false(semver_parse(longer, &version, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static int compare_texts(const char *a, const char *b)
{
    Semver left, right;
    g_assert_true(semver_parse(a, &left, NULL) && semver_parse(b, &right, NULL));
    return sign(semver_compare(&left, &right));
}

static void test_precedence(void)
{
    static const char *const ascending[] = {
        "0.0.1-0",
        "0.0.1",
        "0.1.0",
        "1.0.0-0",
        "1.0.0-1",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-99999999999999999999",
        "1.0.0-100000000000000000000",
        "1.0.0--",
        "1.0.0-10a",
        "1.0.0-A",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.1.0",
        "1.0.0-alpha.beta",
        "1.0.0-alpha-",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.9.0",
        "1.10.0",
        "2.0.0-a",
        "2.0.0",
        "10.0.0",
    };
    for (guint i = 0; i < G_N_ELEMENTS(ascending); i++) {
        for (guint j = 0; j < G_N_ELEMENTS(ascending); j++)
            g_assert_cmpint(compare_texts(ascending[i], ascending[j]), ==, sign((int)i - (int)j));
    }
    g_assert_cmpint(compare_texts("1.0.0-a+x", "1.0.0-a+y.2"), ==, 0);
}

/* Antisymmetry and transitivity on random versions. */
static void test_order_laws(void)
{
    static const RandomPiece identifiers[] = {
        RANDOM_PIECE("0"), RANDOM_PIECE("2"),  RANDOM_PIECE("10"),
        RANDOM_PIECE("a"), RANDOM_PIECE("a1"), RANDOM_PIECE("-"),
    };
    g_autoptr(GRand) rng = random_new(62);
    for (guint round = 0; round < ROUNDS; round++) {
        Semver versions[3];
        for (guint i = 0; i < G_N_ELEMENTS(versions); i++) {
            g_autoptr(GString) text = g_string_new("1.0.0");
            for (guint left = random_below(rng, 4), first = left; left > 0; left--)
                g_string_append_printf(text, "%c%s", left == first ? '-' : '.',
                                       identifiers[random_below(rng, G_N_ELEMENTS(identifiers))].bytes);
            g_assert_true(semver_parse(text->str, &versions[i], NULL));
        }
        int ab = sign(semver_compare(&versions[0], &versions[1])),
            bc = sign(semver_compare(&versions[1], &versions[2]));
        int ac = sign(semver_compare(&versions[0], &versions[2]));
        g_assert_cmpint(sign(semver_compare(&versions[1], &versions[0])), ==, -ab);
        g_assert_cmpint(ab == 0, ==, strcmp(versions[0].prerelease, versions[1].prerelease) == 0);
        if (ab == bc)
            g_assert_cmpint(ac, ==, ab);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/semver/grammar-like-regex", test_grammar_like_regex);
    g_test_add_func("/schema/semver/fields", test_fields);
    g_test_add_func("/schema/semver/refusals", test_refusals);
    g_test_add_func("/schema/semver/precedence", test_precedence);
    g_test_add_func("/schema/semver/order-laws", test_order_laws);
    return g_test_run();
}
