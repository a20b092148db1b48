/* SPDX-License-Identifier: MIT
 *
 * The file of read tokens: what is written is read back, and whatever could make a token show more, or last
 * longer, than was meant is refused.
 */
#include "schema/error.h"
#include "schema/limits.h"
#include "signing/read_tokens.h"

#include <string.h>

#define HASH_A "0102030405060708091011121314151617181920212223242526272829303132"
#define HASH_B "f102030405060708091011121314151617181920212223242526272829303132"
#define TOKEN(name, hash, paths, expires)                                                                    \
    "{\"name\":\"" name "\",\"sha256\":\"" hash "\",\"paths\":" paths                                        \
    ",\"created\":\"2026-11-21T01:41:48Z\",\"expires\":" expires "}"

static ReadTokens *parse(const char *text, GError **error)
{
    return read_tokens_parse(text, strlen(text), error);
}

static GPtrArray *paths_of(const char *const *texts)
{
    GPtrArray *paths = g_ptr_array_new();
    for (; *texts != NULL; texts++)
        g_ptr_array_add(paths, g_strdup(*texts));
    return paths;
}

static void test_read_and_write(void)
{
    static const char text[] = "{\"tokens\":[" TOKEN(
        "north", HASH_A, "[\"b/**\",\"a\",\"b/**\"]",
        "\"2027-01-01T00:00:00Z\"") "," TOKEN("x-1.y_Z", HASH_B, "[\"**\"]", "null") "]}";
    g_autoptr(GError) error = NULL;
    g_autoptr(ReadTokens) tokens = parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(read_tokens_count(tokens), ==, 2);
    const ReadToken *north = read_tokens_nth(tokens, 0);
    g_assert_cmpstr(north->name, ==, "north");
    g_assert_cmpuint(north->paths->len, ==, 2);
    g_assert_cmpstr(north->paths->pdata[0], ==, "a");
    g_assert_cmpint(north->expires, ==, 1798761600);
    g_assert_cmpint(read_tokens_nth(tokens, 1)->expires, ==, G_MAXINT64);
    g_assert_true(read_token_allows(north, "a") && read_token_allows(north, "b/c/d"));
    g_assert_false(read_token_allows(north, "b") || read_token_allows(north, "a/b"));
    g_autofree char *once = read_tokens_print(tokens);
    g_autoptr(ReadTokens) again = parse(once, &error);
    g_assert_no_error(error);
    g_autofree char *twice = read_tokens_print(again);
    g_assert_cmpstr(once, ==, twice);
    g_assert_true(g_str_has_suffix(once, "\"expires\":null}]}\n"));
}

static void test_draw(void)
{
    g_autoptr(ReadToken) token = read_token_new("a", NULL, 0, G_MAXINT64);
    g_autofree char *text = read_token_draw(token), *other = NULL;
    guint8 hash[SHA256_BYTES], expected[SHA256_BYTES];
    g_assert_cmpuint(strlen(text), ==, READ_TOKEN_CHARS);
    g_assert_true(g_str_has_prefix(text, READ_TOKEN_PREFIX));
    sha256(text, strlen(text), expected);
    g_assert_cmpmem(token->sha256, SHA256_BYTES, expected, SHA256_BYTES);
    g_assert_true(read_token_hash(text, strlen(text), hash));
    g_assert_cmpmem(hash, SHA256_BYTES, expected, SHA256_BYTES);
    g_assert_false(read_token_hash(text, strlen(text) - 1, hash));
    other = read_token_draw(token);
    g_assert_cmpstr(other, !=, text);
    static const char bad[] = {' ', '+', '/', '=', '\n', '\0', (char)0xe4};
    for (guint i = 0; i < sizeof bad; i++) {
        text[20] = bad[i];
        g_assert_false(read_token_hash(text, READ_TOKEN_CHARS, hash));
    }
    g_assert_false(read_token_hash("", 0, hash));
}

static void test_grants(void)
{
    static const char *const one[] = {"b", "a", NULL}, *const same[] = {"a", "b", "b", NULL};
    static const char *const none[] = {NULL}, *const all[] = {"**", NULL};
    g_autoptr(ReadToken) a = read_token_new("a", paths_of(one), 0, G_MAXINT64);
    g_autoptr(ReadToken) b = read_token_new("b", paths_of(same), 1, 2);
    g_autoptr(ReadToken) c = read_token_new("c", paths_of(none), 0, 0);
    g_autoptr(ReadToken) d = read_token_new("d", paths_of(all), 0, 0);
    guint8 hash_a[SHA256_BYTES], hash_b[SHA256_BYTES];
    read_token_grants_hash(a, hash_a);
    read_token_grants_hash(b, hash_b);
    g_assert_cmpmem(hash_a, SHA256_BYTES, hash_b, SHA256_BYTES);
    read_token_grants_hash(c, hash_b);
    g_assert_true(memcmp(hash_a, hash_b, SHA256_BYTES) != 0);
    read_token_grants_hash(d, hash_a);
    g_assert_cmpmem(hash_a, SHA256_BYTES, hash_b, SHA256_BYTES);
}

static void test_change(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ReadTokens) none = read_tokens_new_empty();
    g_autoptr(ReadToken) token = read_token_new("north", NULL, 5, 6);
    g_free(read_token_draw(token));
    g_autoptr(ReadTokens) one = read_tokens_with(none, token, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(read_tokens_count(none), ==, 0);
    g_assert_null(read_tokens_with(one, token, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_null(read_tokens_without(one, "n\nx", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    g_assert_null(strchr(error->message, '\n'));
    g_clear_error(&error);
    g_autoptr(ReadTokens) again = read_tokens_without(one, "north", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(read_tokens_count(again), ==, 0);
    g_assert_cmpuint(read_tokens_count(one), ==, 1);
}

static void assert_refused(const char *text, KontorErrorCode code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(parse(text, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, KONTOR_ERROR, (gint)code);
    g_assert_null(strchr(error->message, '\n'));
}

static void test_refusals(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"tokens\":{}}",
        "{\"tokens\":[],\"more\":1}",
        "{\"tokens\":[[]]}",
        "{\"tokens\":[{}]}",
        "{\"tokens\":[" TOKEN("", HASH_A, "[\"**\"]", "null") "]}",
        "{\"tokens\":[" TOKEN("a b", HASH_A, "[\"**\"]", "null") "]}",
        "{\"tokens\":[" TOKEN("a\\n", HASH_A, "[\"**\"]", "null") "]}",
        "{\"tokens\":[" TOKEN("a", "01", "[\"**\"]", "null") "]}",
        "{\"tokens\":[" TOKEN("a", "F102030405060708091011121314151617181920212223242526272829303132",
                              "[\"**\"]", "null") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[]", "null") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "null", "null") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[1]", "null") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[\"/a\"]", "null") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[\"**\"]", "0") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[\"**\"]", "\"2027-01-01\"") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[\"**\"]", "\"2027-02-30T00:00:00Z\"") "]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[\"**\"]", "null,\"expire\":null") "]}",
        "{\"tokens\":[{\"name\":\"a\",\"sha256\":\"" HASH_A
        "\",\"paths\":[\"**\"],\"created\":\"2026-11-21T01:41:48Z\"}]}",
        "{\"tokens\":[" TOKEN("a", HASH_A, "[\"**\"]", "null") "," TOKEN("b", HASH_A, "[\"**\"]",
                                                                         "null") "]}",
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_refused(bad[i], KONTOR_ERROR_MALFORMED);
    assert_refused("{\"tokens\":[" TOKEN("a", HASH_A, "[\"**\"]", "null") "," TOKEN("a", HASH_B, "[\"**\"]",
                                                                                    "null") "]}",
                   KONTOR_ERROR_CONFLICT);
}

/* Each different set of globs costs, each further token of a set hardly does. */
static void test_limits(void)
{
    g_autoptr(ReadTokens) tokens = read_tokens_new_empty();
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < LIMIT_READ_TOKENS; i++) {
        g_autofree char *name = g_strdup_printf("t%u", i), *glob = g_strdup_printf("p%u/**", i % LIMIT_VIEWS);
        const char *const globs[] = {glob, NULL};
        g_autoptr(ReadToken) token = read_token_new(name, paths_of(globs), 0, G_MAXINT64);
        memcpy(token->sha256, &i, sizeof i);
        ReadTokens *next = read_tokens_with(tokens, token, &error);
        g_assert_no_error(error);
        read_tokens_free(tokens);
        tokens = next;
    }
    g_autoptr(ReadToken) more = read_token_new("more", NULL, 0, G_MAXINT64);
    memset(more->sha256, 0xff, sizeof more->sha256);
    g_assert_null(read_tokens_with(tokens, more, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);
    g_autoptr(ReadTokens) fewer = read_tokens_without(tokens, "t7", &error);
    g_assert_null(read_tokens_with(fewer, more, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_nonnull(strstr(error->message, "different sets"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/read-tokens/read-and-write", test_read_and_write);
    g_test_add_func("/read-tokens/draw", test_draw);
    g_test_add_func("/read-tokens/grants", test_grants);
    g_test_add_func("/read-tokens/change", test_change);
    g_test_add_func("/read-tokens/refusals", test_refusals);
    g_test_add_func("/read-tokens/limits", test_limits);
    return g_test_run();
}
