/* SPDX-License-Identifier: MIT
 *
 * From a request to its view: one spelling of the header is a token, everything else is a stranger.
 */
#include "broker/net/http_reply.h"
#include "broker/serve/status.h"
#include "broker/serve/view_request.h"
#include "tests/unit/fake_http.h"

typedef struct {
    char *token;
    SecretKey *key;
    ViewKeeper *keeper;
    Catalog *catalog;
    Snapshot snapshot; /* its views are all that is looked at */
} World;

static void set_up(World *world, gconstpointer data G_GNUC_UNUSED)
{
    world->key = secret_key_generate();
    /* No directory: nothing is kept on disk, which is of no importance here. */
    world->keeper = view_keeper_new("/dev/null", world->key);
    world->catalog = catalog_new_empty();
    g_autoptr(ReadToken) token = read_token_new("a", NULL, 0, G_MAXINT64);
    world->token = read_token_draw(token);
    g_autoptr(ReadTokens) none = read_tokens_new_empty();
    g_autoptr(ReadTokens) tokens = read_tokens_with(none, token, NULL);
    g_autoptr(DigestTrie) trie = digest_trie_new_empty();
    ViewInput input = {.packs = world->catalog,
                       .trie = trie,
                       .hidden = world->catalog,
                       .tokens = tokens,
                       .broker_name = "library.example",
                       .number = 1,
                       .public_number = 1,
                       .now = g_get_real_time() / G_USEC_PER_SEC};
    world->snapshot.views = view_keeper_advance(world->keeper, &input);
}

static void tear_down(World *world, gconstpointer data G_GNUC_UNUSED)
{
    views_unref(world->snapshot.views);
    view_keeper_free(world->keeper);
    catalog_unref(world->catalog);
    secret_key_free(world->key);
    g_free(world->token);
}

/* `value` with the token in place of %s. */
static gboolean is_known(const World *world, const char *value)
{
    g_autoptr(GString) headers = g_string_new("Host: x\n");
    g_string_append(headers, value);
    g_string_replace(headers, "%s", world->token, 0);
    g_autoptr(HttpExchange) exchange = fake_exchange_new(HTTP_GET, "/x", headers->str, NULL);
    return view_request_find(&world->snapshot, http_exchange_request(exchange)) != NULL;
}

static void test_spellings(World *world, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const good[] = {"Authorization: Bearer %s", "authorization: bearer %s",
                                       "AUTHORIZATION: BEARER   %s"};
    static const char *const bad[] = {
        "Accept: *",
        "Authorization: %s",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Bearer%s",
        "Authorization: Bearer\t%s",
        "Authorization: Bearer %sA",
        "Authorization: Bearer %s %s",
        "Authorization: Bearer x%s",
        "Authorization: Bearer token=%s",
        "Authorization: Basic %s",
        "X-Authorization: Bearer %s",
        "Authorization: Bearer kontor_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(is_known(world, good[i]));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(is_known(world, bad[i]));
}

static void test_no_tokens(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_clear_pointer(&world->snapshot.views, views_unref);
    g_assert_false(is_known(world, "Authorization: Bearer %s"));
}

static const char *header_of(const HttpReply *reply, const char *name)
{
    for (guint i = 0; i + 1 < reply->pairs->len; i += 2)
        if (strcmp(reply->pairs->pdata[i], name) == 0)
            return reply->pairs->pdata[i + 1];
    return NULL;
}

/* A stranger's refusal is the very reply that everybody gets; another one says the same and whom it is for.
 */
static void test_refusals(World *world, gconstpointer data G_GNUC_UNUSED)
{
    static const guint statuses[] = {404, 500, 503};
    guint8 hash[SHA256_BYTES];
    g_assert_true(read_token_hash(world->token, strlen(world->token), hash));
    const View *view = views_find(world->snapshot.views, hash, 0);
    for (guint i = 0; i < G_N_ELEMENTS(statuses); i++) {
        g_autoptr(HttpReply) usual = status_reply(statuses[i]);
        g_autoptr(HttpReply) stranger = view_request_refusal(NULL, statuses[i]);
        g_autoptr(HttpReply) holder = view_request_refusal(view, statuses[i]);
        g_assert_true(usual == stranger);
        g_assert_true(g_bytes_equal(http_reply_body(usual), http_reply_body(holder)));
        g_assert_cmpstr(header_of(usual, "Retry-After"), ==, header_of(holder, "Retry-After"));
        g_assert_cmpstr(header_of(holder, "Cache-Control"), ==, "private");
        g_assert_cmpstr(header_of(holder, "Vary"), ==, "Authorization");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add("/view-request/spellings", World, NULL, set_up, test_spellings, tear_down);
    g_test_add("/view-request/no-tokens", World, NULL, set_up, test_no_tokens, tear_down);
    g_test_add("/view-request/refusals", World, NULL, set_up, test_refusals, tear_down);
    return g_test_run();
}
