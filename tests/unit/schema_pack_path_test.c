/* SPDX-License-Identifier: MIT
 *
 * Paths, percent-decoding and scopes: by example, and against slow models on random text.
 */
#include "schema/pack_path.h"

#include "schema/limits.h"
#include "tests/unit/random_text.h"

enum { ROUNDS = 20000 };

static const RandomPiece pieces[] = {
    RANDOM_PIECE("a"),    RANDOM_PIECE("B"),     RANDOM_PIECE("é"),        RANDOM_PIECE("É"),
    RANDOM_PIECE("/"),    RANDOM_PIECE("/"),     RANDOM_PIECE("."),        RANDOM_PIECE(".."),
    RANDOM_PIECE(".git"), RANDOM_PIECE(".GiTx"), RANDOM_PIECE("\\"),       RANDOM_PIECE(" "),
    RANDOM_PIECE("\n"),   RANDOM_PIECE("\x7f"),  RANDOM_PIECE("\xc2\x85"), RANDOM_PIECE("\xff"),
    RANDOM_PIECE("%"),    RANDOM_PIECE("_"),     RANDOM_PIECE("-x"),       RANDOM_PIECE("日"),
    RANDOM_PIECE("wiki"), RANDOM_PIECE("x/yz"),  RANDOM_PIECE("\xc3\x28"), RANDOM_PIECE("q"),
};

/* --- Paths --- */

static gboolean model_segment(const char *segment)
{
    g_autofree char *lower = g_ascii_strdown(segment, -1);
    if (*segment == '\0' || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0 ||
        g_str_has_prefix(lower, ".git") || strchr(segment, '/') != NULL ||
        strlen(segment) > LIMIT_PATH_SEGMENT_BYTES || !g_utf8_validate(segment, -1, NULL))
        return FALSE;
    for (; *segment != '\0'; segment += g_utf8_skip[(guint8)*segment]) {
        if (g_unichar_type(g_utf8_get_char(segment)) == G_UNICODE_CONTROL)
            return FALSE;
    }
    return TRUE;
}

static gboolean model_path(const char *path)
{
    g_auto(GStrv) segments = g_strsplit(path, "/", -1);
    gboolean good =
        *path != '\0' && g_strv_length(segments) <= LIMIT_PATH_DEPTH && strlen(path) <= LIMIT_PACK_PATH_BYTES;
    for (guint i = 0; segments[i] != NULL; i++)
        good = good && model_segment(segments[i]);
    return good;
}

static void check_like_models(const char *text)
{
    g_autoptr(GError) path_error = NULL;
    g_autoptr(GError) segment_error = NULL;
    g_assert_cmpint(pack_path_check(text, &path_error), ==, model_path(text));
    g_assert_cmpint(pack_path_segment_check(text, &segment_error), ==, model_segment(text));
    g_assert_true((path_error == NULL) == model_path(text));
    g_assert_true((segment_error == NULL) == model_segment(text));
    if (path_error != NULL) {
        g_assert_true(path_error->domain == KONTOR_ERROR && strchr(path_error->message, '\n') == NULL);
        g_assert_true(g_utf8_validate(path_error->message, -1, NULL));
    }
}

static void test_paths_like_model(void)
{
    g_autoptr(GRand) rng = random_new(41);
    guint good = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) text = random_text(rng, pieces, G_N_ELEMENTS(pieces), 6);
        check_like_models(text->str);
        good += model_path(text->str);
    }
    g_assert_cmpuint(good, >, ROUNDS / 20);
}

static void assert_path_refused(const char *path, KontorErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(pack_path_check(path, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_path_messages(void)
{
    assert_path_refused("", KONTOR_ERROR_MALFORMED, "empty path: ''");
    assert_path_refused("/a", KONTOR_ERROR_MALFORMED, "path '/a': empty path segment: ''");
    assert_path_refused("a/", KONTOR_ERROR_MALFORMED, "path 'a/': empty path segment: ''");
    assert_path_refused("a//b", KONTOR_ERROR_MALFORMED, "path 'a//b': empty path segment: ''");
    assert_path_refused("a/../b", KONTOR_ERROR_MALFORMED, "path 'a/../b': path segment '.' or '..': '..'");
    assert_path_refused("a/.Git/config", KONTOR_ERROR_MALFORMED,
                        "path 'a/.Git/config': path segment begins with .git: '.Git'");
    assert_path_refused("a\nb", KONTOR_ERROR_MALFORMED,
                        "path 'a\\x0ab': control character in path segment: 'a\\x0ab'");
    assert_path_refused("a\xff", KONTOR_ERROR_MALFORMED, "path is not UTF-8: 'a\\xff'");
}

static char *joined(const char *segment, guint count)
{
    GString *path = g_string_new(segment);
    for (guint i = 1; i < count; i++)
        g_string_append_printf(path, "/%s", segment);
    return g_string_free(path, FALSE);
}

static void test_path_limits(void)
{
    g_autofree char *deep = joined("a", LIMIT_PATH_DEPTH);
    g_autofree char *deeper = joined("a", LIMIT_PATH_DEPTH + 1);
    g_assert_true(pack_path_check(deep, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_false(pack_path_check(deeper, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);

    g_autofree char *wide = g_strnfill(LIMIT_PATH_SEGMENT_BYTES, 'w');
    g_autofree char *wider = g_strconcat(wide, "w", NULL);
    g_assert_true(pack_path_check(wide, NULL) && pack_path_segment_check(wide, NULL));
    g_assert_false(pack_path_segment_check(wider, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);

    g_autofree char *pair = joined(wide, 2);
    g_autofree char *longest = g_strconcat(pair, "", NULL);
    g_assert_cmpuint(strlen(longest), ==, LIMIT_PACK_PATH_BYTES - 1);
    g_autofree char *longer = g_strconcat(longest, "/x", NULL);
    g_assert_true(pack_path_check(longest, NULL));
    g_assert_false(pack_path_check(longer, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

/* --- Percent-decoding --- */

static void assert_decodes(const char *text, const char *want)
{
    g_autofree char *exact = g_memdup2(text, MAX(strlen(text), 1));
    g_autofree char *got = pack_path_percent_decode(exact, strlen(text));
    g_assert_cmpstr(got, ==, want);
}

static void test_percent_decode(void)
{
    assert_decodes("", "");
    assert_decodes("/packs/a%2Fb%2fc", "/packs/a/b/c");
    assert_decodes("caf%C3%A9", "café");
    assert_decodes("a+b%20c", "a+b c");
    assert_decodes("%25%32%46", "%2F");
    assert_decodes("..%2f..", "../..");
    assert_decodes("a%", NULL);
    assert_decodes("a%4", NULL);
    assert_decodes("a%4x", NULL);
    assert_decodes("a%+1b", NULL);
    assert_decodes("a%00b", NULL);
    assert_decodes("a%ff", NULL);
    assert_decodes("a%c0%af", NULL);
    assert_decodes("a%ed%a0%80", NULL);
    g_assert_null(pack_path_percent_decode("a\0b", 3));
    /* The length ends the escape, whatever stands behind it. */
    g_assert_null(pack_path_percent_decode("a%41", 3));
    g_assert_null(pack_path_percent_decode("a%41", 2));
}

/* What is encoded here in a random mixture of raw, upper and lower-case escapes must come back. */
static void test_percent_round_trip(void)
{
    g_autoptr(GRand) rng = random_new(42);
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) text = random_text(rng, pieces, G_N_ELEMENTS(pieces), 8);
        g_autoptr(GString) encoded = g_string_new(NULL);
        for (gsize i = 0; i < text->len; i++) {
            if (text->str[i] == '%' || random_below(rng, 2) == 0)
                g_string_append_printf(encoded, random_below(rng, 2) ? "%%%02X" : "%%%02x",
                                       (guint8)text->str[i]);
            else
                g_string_append_c(encoded, text->str[i]);
        }
        g_autofree char *exact = random_exact(encoded);
        g_autofree char *got = pack_path_percent_decode(exact, encoded->len);
        g_assert_cmpstr(got, ==, g_utf8_validate(text->str, -1, NULL) ? text->str : NULL);
    }
}

/* --- Scopes --- */

static void assert_scope(const char *scope, const char *want)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *got = pack_scope_normalize(scope, &error);
    g_assert_cmpstr(got, ==, want);
    if (want == NULL) {
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_cmpstr(error->message, ==, "invalid scope");
    } else {
        g_assert_no_error(error);
    }
}

static void test_scope_normalize(void)
{
    assert_scope("", "");
    assert_scope(" \t\xc2\xa0 ", "");
    assert_scope("///", "");
    assert_scope(" /History/Rome/ ", "history/rome");
    assert_scope("/ a /", " a ");
    assert_scope("ÀÉ日/Ω", "àé日/ω");
    assert_scope("a.b", "a.b");
    assert_scope("a%b", NULL);
    assert_scope("a_b", NULL);
    assert_scope("a\\b", NULL);
    assert_scope("a..b", NULL);
    assert_scope("../a", NULL);
    assert_scope("\xff", NULL);
}

static void assert_contains(const char *scope, const char *pack_path, gboolean want)
{
    g_assert_cmpint(pack_scope_contains(scope, pack_path), ==, want);
}

static void test_scope_contains(void)
{
    assert_contains("", "anything", TRUE);
    assert_contains("history", "history", TRUE);
    assert_contains("history", "history/rome", TRUE);
    assert_contains("history", "History/Rome", TRUE);
    assert_contains("history/rome", "HISTORY/ROME", TRUE);
    assert_contains("history", "historyx", FALSE);
    assert_contains("history/rome", "history", FALSE);
    assert_contains("rome", "history/rome", FALSE);
    assert_contains("café", "CAFÉ/x", TRUE);
    assert_contains("café", "cafe", FALSE);
    assert_contains("caf", "café", FALSE);
    assert_contains("a", "a\xff", FALSE);
}

/* Lower-cases both sides whole and compares strings. */
static gboolean model_contains(const char *scope, const char *pack_path)
{
    g_autoptr(GString) lower = g_string_new(NULL);
    for (; *pack_path != '\0'; pack_path += g_utf8_skip[(guint8)*pack_path])
        g_string_append_unichar(lower, g_unichar_tolower(g_utf8_get_char(pack_path)));
    g_autofree char *below = g_strconcat(scope, "/", NULL);
    return *scope == '\0' || strcmp(scope, lower->str) == 0 || g_str_has_prefix(lower->str, below);
}

static void test_scopes_like_model(void)
{
    static const RandomPiece scope_pieces[] = {
        RANDOM_PIECE("a"),   RANDOM_PIECE("A"),
        RANDOM_PIECE("/"),   RANDOM_PIECE("é"),
        RANDOM_PIECE("É"),   RANDOM_PIECE("İ"),
        RANDOM_PIECE("i"),   RANDOM_PIECE("ß"),
        RANDOM_PIECE("ẞ"),   RANDOM_PIECE("Σ"),
        RANDOM_PIECE("a/b"), RANDOM_PIECE("K"),
        RANDOM_PIECE("k"),   RANDOM_PIECE("\xe2\x84\xaa"),
        RANDOM_PIECE("Ǆ"),
    };
    g_autoptr(GRand) rng = random_new(43);
    guint inside = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) wanted = random_text(rng, scope_pieces, G_N_ELEMENTS(scope_pieces), 2);
        g_autoptr(GString) path = random_text(rng, scope_pieces, G_N_ELEMENTS(scope_pieces), 5);
        if (random_below(rng, 2) == 0)
            g_string_prepend(path, wanted->str);
        g_autofree char *scope = pack_scope_normalize(wanted->str, NULL);
        g_assert_nonnull(scope);
        g_autofree char *again = pack_scope_normalize(scope, NULL);
        g_assert_cmpstr(again, ==, scope);
        g_assert_cmpint(pack_scope_contains(scope, path->str), ==, model_contains(scope, path->str));
        inside += pack_scope_contains(scope, path->str);
    }
    g_assert_cmpuint(inside, >, ROUNDS / 10);
    g_assert_cmpuint(inside, <, ROUNDS * 9 / 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/pack-path/paths-like-model", test_paths_like_model);
    g_test_add_func("/schema/pack-path/messages", test_path_messages);
    g_test_add_func("/schema/pack-path/limits", test_path_limits);
    g_test_add_func("/schema/pack-path/percent-decode", test_percent_decode);
    g_test_add_func("/schema/pack-path/percent-round-trip", test_percent_round_trip);
    g_test_add_func("/schema/pack-path/scope-normalize", test_scope_normalize);
    g_test_add_func("/schema/pack-path/scope-contains", test_scope_contains);
    g_test_add_func("/schema/pack-path/scopes-like-model", test_scopes_like_model);
    return g_test_run();
}
