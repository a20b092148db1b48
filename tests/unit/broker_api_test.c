/* SPDX-License-Identifier: MIT
 *
 * The loopback listener's guards and its token file.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "broker/api/api.h"
#include "broker/api/api_token.h"
#include "schema/json_reader.h"
#include "signing/hash.h"

static HttpSlice slice(const char *text)
{
    return (HttpSlice){text, strlen(text)};
}

static void test_host(void)
{
    static const char *const good[] = {"localhost", "LOCALHOST:7666", "127.0.0.1", "127.0.0.1:1",
                                       "[::1]",     "[::1]:65535",    "::1"};
    static const char *const bad[] = {"",
                                      "localhost:",
                                      "localhost:123456",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "evil.example",
                                      "127.0.0.2",
                                      "localhost:80a",
                                      "[::1",
                                      "localhost :80",
                                      "0.0.0.0"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(api_host_is_loopback(slice(good[i])));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(api_host_is_loopback(slice(bad[i])));
    }
}

static void test_origin(void)
{
    HttpSlice host = slice("127.0.0.1:7666");
    g_assert_true(api_origin_is_host(slice("http://127.0.0.1:7666"), host));
    g_assert_true(api_origin_is_host(slice("HTTP://127.0.0.1:7666"), host));
    g_assert_false(api_origin_is_host(slice("http://127.0.0.1:7667"), host));
    g_assert_false(api_origin_is_host(slice("http://localhost:7666"), host));
    g_assert_false(api_origin_is_host(slice("http://127.0.0.1"), host));
    g_assert_false(api_origin_is_host(slice("http://127.0.0.1:7666/"), host));
    g_assert_false(api_origin_is_host(slice("null"), host));
    g_assert_false(api_origin_is_host(slice(""), host));
    g_assert_false(api_origin_is_host(slice("http://"), host));
    g_assert_false(api_origin_is_host(slice("http://evil.example"), slice("evil.example")));
}

static void test_bearer(void)
{
    g_assert_true(api_bearer_is(slice("Bearer abc"), "abc"));
    g_assert_true(api_bearer_is(slice("bearer   abc  "), "abc"));
    g_assert_false(api_bearer_is(slice("Bearer abd"), "abc"));
    g_assert_false(api_bearer_is(slice("Bearer abcd"), "abc"));
    g_assert_false(api_bearer_is(slice("Bearer"), "abc"));
    g_assert_false(api_bearer_is(slice("Bearer "), "abc"));
    g_assert_false(api_bearer_is(slice("Bearerabc"), "abc"));
    g_assert_false(api_bearer_is(slice("Basic abc"), "abc"));
    g_assert_false(api_bearer_is(slice(""), "abc"));
}

typedef struct {
    char *dir, *file;
} Fixture;

static void fixture_up(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
    f->dir = g_dir_make_tmp("kontor-api-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    f->file = g_build_filename(f->dir, "daemon.json", NULL);
}

static void fixture_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
    g_unlink(f->file);
    g_rmdir(f->dir);
    g_free(f->file);
    g_free(f->dir);
}

static JsonDoc *load(const Fixture *f)
{
    g_autofree char *text = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(f->file, &text, &len, NULL));
    return json_doc_parse(text, len, len, NULL);
}

static void check_mode(const Fixture *f)
{
    GStatBuf info;
    g_assert_cmpint(g_stat(f->file, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 07777, ==, 0600);
}

static void test_token_made(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *token = api_token_load(f->dir, 7666, NULL);
    g_assert_nonnull(token);
    g_assert_cmpuint(strspn(token, "0123456789abcdef"), ==, 64);
    g_assert_cmpuint(strlen(token), ==, 64);
    check_mode(f);
    g_autoptr(JsonDoc) doc = load(f);
    const JsonValue *root = json_doc_root(doc);
    gint64 port = 0;
    g_assert_true(json_get_integer(root, "port", JSON_REQUIRED, 0, 65535, &port, NULL));
    g_assert_cmpint(port, ==, 7666);
    g_assert_cmpstr(json_value_string(json_object_get(root, "apiToken")), ==, token);
    g_assert_cmpint(json_value_kind(json_object_get(root, "currentAlias")), ==, JSON_NULL);
    g_assert_cmpuint(json_value_count(json_object_get(root, "pacts")), ==, 0);
    g_autofree char *again = api_token_load(f->dir, 1, NULL);
    g_assert_cmpstr(again, ==, token);
}

static void test_token_replaced(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
    const char *old =
        "{\"port\":99,\"apiToken\":\"ABC\",\"pacts\":[{\"alias\":\"a\",\"n\":[1.5,true,null]}]}";
    g_assert_true(g_file_set_contents(f->file, old, -1, NULL));
    g_autofree char *token = api_token_load(f->dir, 7666, NULL);
    g_assert_nonnull(token);
    check_mode(f);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(f->file, &text, NULL, NULL));
    g_autofree char *expected = g_strdup_printf(
        "{\"port\":99,\"pacts\":[{\"alias\":\"a\",\"n\":[1.5,true,null]}],\"apiToken\":\"%s\"}\n", token);
    g_assert_cmpstr(text, ==, expected);
}

static void test_token_kept(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *hex = g_strnfill(64, 'a');
    g_autofree char *old = g_strdup_printf("{ \"apiToken\": \"%s\" }", hex);
    g_assert_true(g_file_set_contents(f->file, old, -1, NULL));
    g_assert_cmpint(g_chmod(f->file, 0644), ==, 0);
    g_autofree char *token = api_token_load(f->dir, 7666, NULL);
    g_assert_cmpstr(token, ==, hex);
    check_mode(f);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(f->file, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, old);
}

static void test_token_damaged(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const damaged[] = {"{", "", "[]", "\"x\""};
    for (guint i = 0; i < G_N_ELEMENTS(damaged); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(g_file_set_contents(f->file, damaged[i], -1, NULL));
        g_assert_null(api_token_load(f->dir, 7666, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_nonnull(strstr(error->message, f->file));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/broker/api/host", test_host);
    g_test_add_func("/broker/api/origin", test_origin);
    g_test_add_func("/broker/api/bearer", test_bearer);
    g_test_add("/broker/api/token-made", Fixture, NULL, fixture_up, test_token_made, fixture_down);
    g_test_add("/broker/api/token-replaced", Fixture, NULL, fixture_up, test_token_replaced, fixture_down);
    g_test_add("/broker/api/token-kept", Fixture, NULL, fixture_up, test_token_kept, fixture_down);
    g_test_add("/broker/api/token-damaged", Fixture, NULL, fixture_up, test_token_damaged, fixture_down);
    return g_test_run();
}
