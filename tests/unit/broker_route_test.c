/* SPDX-License-Identifier: MIT
 *
 * The route table: every route, the order of the rules, the greedy "/wiki/", slashes, methods and paths that
 * lead outside.
 */
#include <string.h>

#include "broker/serve/route.h"

typedef struct {
    const char *path;
    Route route;
    const char *rest; /* NULL: empty */
} Case;

static const Case public_cases[] = {
    {"/", ROUTE_HOME, NULL},
    {"//", ROUTE_UNKNOWN, NULL},
    {"/tree", ROUTE_TREE_ROOT, NULL},
    {"/tree/", ROUTE_TREE, ""},
    {"/tree/a", ROUTE_TREE, "a"},
    {"/tree/a/", ROUTE_TREE, "a"},
    {"/tree/a/b/c", ROUTE_TREE, "a/b/c"},
    {"/tree//a", ROUTE_TREE, "/a"},
    {"/treex", ROUTE_UNKNOWN, NULL},
    {"/Tree", ROUTE_UNKNOWN, NULL},
    {"/packs", ROUTE_PACKS, NULL},
    {"/packs/", ROUTE_PACKS, NULL},
    {"/packs//", ROUTE_UNKNOWN, NULL},
    {"/packs/summaries", ROUTE_SUMMARIES, NULL},
    {"/packs/summaries/", ROUTE_SUMMARIES, NULL},
    {"/packs/summaries/index.md", ROUTE_PACK_INDEX, "summaries"},
    {"/packs/docker/index.md", ROUTE_PACK_INDEX, "docker"},
    {"/packs/a/b/index.md", ROUTE_UNKNOWN, NULL},
    {"/packs//index.md", ROUTE_UNKNOWN, NULL},
    {"/packs/index.md", ROUTE_UNKNOWN, NULL},
    {"/packs/wiki/index.md", ROUTE_PACK_INDEX, "wiki"},
    {"/packs/a/wiki/index.md", ROUTE_PAGE, "a/wiki/index.md"},
    {"/packs/a/b/wiki/concepts/x.md", ROUTE_PAGE, "a/b/wiki/concepts/x.md"},
    {"/packs/a/wiki/b/wiki/c.md", ROUTE_PAGE, "a/wiki/b/wiki/c.md"},
    {"/packs/a/wiki/", ROUTE_PAGE, "a/wiki/"},
    {"/packs/a/wiki", ROUTE_UNKNOWN, NULL},
    {"/packs/a/wiki/manifest.yaml", ROUTE_PAGE, "a/wiki/manifest.yaml"},
    {"/packs/a/wiki/manifest.sig", ROUTE_PAGE, "a/wiki/manifest.sig"},
    {"/packs/a/manifest.yaml", ROUTE_MANIFEST, "a/manifest.yaml"},
    {"/packs/a/b/manifest.yaml", ROUTE_MANIFEST, "a/b/manifest.yaml"},
    {"/packs/manifest.yaml", ROUTE_UNKNOWN, NULL},
    {"/packs/a/manifest.sig", ROUTE_SIGNATURE, "a/manifest.sig"},
    {"/packs/a/manifest.yaml/", ROUTE_UNKNOWN, NULL},
    {"/packs/a", ROUTE_UNKNOWN, NULL},
    {"/packs/a/raw/x.md", ROUTE_UNKNOWN, NULL},
    {"/publishers", ROUTE_PUBLISHERS, NULL},
    {"/nodes", ROUTE_NODES, NULL},
    {"/nodes/", ROUTE_NODES, NULL},
    {"/search", ROUTE_SEARCH, NULL},
    {"/search/", ROUTE_SEARCH, NULL},
    {"/lookup_entity", ROUTE_LOOKUP, NULL},
    {"/admin/reindex", ROUTE_REINDEX, NULL},
    {"/admin", ROUTE_UNKNOWN, NULL},
    {"/ws", ROUTE_WS, NULL},
    {"/ws/", ROUTE_UNKNOWN, NULL},
    {"/healthz", ROUTE_HEALTHZ, NULL},
    {"/readyz", ROUTE_READYZ, NULL},
    {"/metrics", ROUTE_METRICS, NULL},
    {"/version", ROUTE_VERSION, NULL},
    {"/v1/ping", ROUTE_UNKNOWN, NULL},
    {"", ROUTE_UNKNOWN, NULL},
};

static void check_case(const Case *expected, RouteMatch match)
{
    g_test_message("%s", expected->path);
    g_assert_cmpint(match.route, ==, expected->route);
    g_autofree char *rest = g_strndup(match.rest, match.rest_len);
    if (match.route != ROUTE_UNKNOWN)
        g_assert_cmpstr(rest, ==, expected->rest != NULL ? expected->rest : "");
}

static void test_public(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(public_cases); i++)
        check_case(&public_cases[i], route_match_public(public_cases[i].path, strlen(public_cases[i].path)));
}

static void test_api(void)
{
    static const Case cases[] = {
        {"/v1/ping", ROUTE_API_PING, NULL},
        {"/v1/ping/", ROUTE_UNKNOWN, NULL},
        {"/v1/healthz", ROUTE_API_HEALTHZ, NULL},
        {"/v1/readyz", ROUTE_API_READYZ, NULL},
        {"/v1/broker/status", ROUTE_API_STATUS, NULL},
        {"/v1/broker", ROUTE_UNKNOWN, NULL},
        {"/tree", ROUTE_UNKNOWN, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        check_case(&cases[i], route_match_api(cases[i].path, strlen(cases[i].path)));
}

/* What stands behind the path in memory must not matter. */
static void test_length_counts(void)
{
    const char *path = "/packs/a/wiki/x.md";
    g_assert_cmpint(route_match_public(path, strlen("/packs")).route, ==, ROUTE_PACKS);
    g_assert_cmpint(route_match_public(path, strlen("/packs/a/wiki")).route, ==, ROUTE_UNKNOWN);
    g_assert_cmpint(route_match_public(path, 1).route, ==, ROUTE_HOME);
}

static void test_methods(void)
{
    static const struct {
        HttpMethod method;
        gboolean read, post;
    } cases[] = {
        {HTTP_GET, TRUE, FALSE},      {HTTP_HEAD, TRUE, FALSE},    {HTTP_POST, FALSE, TRUE},
        {HTTP_PUT, FALSE, FALSE},     {HTTP_DELETE, FALSE, FALSE}, {HTTP_PATCH, FALSE, FALSE},
        {HTTP_OPTIONS, FALSE, FALSE}, {HTTP_OTHER, FALSE, FALSE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(route_allows(ROUTE_METHODS_READ, cases[i].method), ==, cases[i].read);
        g_assert_cmpint(route_allows(ROUTE_METHODS_POST, cases[i].method), ==, cases[i].post);
        g_assert_false(route_allows(ROUTE_METHODS_NONE, cases[i].method));
    }
    g_assert_cmpstr(route_allow_header(route_match_public("/search", 7).methods), ==, "POST");
    g_assert_cmpstr(route_allow_header(route_match_public("/tree", 5).methods), ==, "GET, HEAD");
}

static void check_decoded(const char *text, const char *expected)
{
    g_autofree char *path = route_decode((HttpSlice){text, strlen(text)});
    g_assert_cmpstr(path, ==, expected);
}

static void test_decode(void)
{
    check_decoded("/packs/a%2Fb/wiki/x.md", "/packs/a/b/wiki/x.md");
    check_decoded("/packs/a%2fb", "/packs/a/b");
    check_decoded("/caf%C3%A9", "/café");
    check_decoded("/a+b", "/a+b");
    check_decoded("/100%25", "/100%");
    check_decoded("/a%2541", "/a%41");
    check_decoded("/%00", NULL);
    check_decoded("/%", NULL);
    check_decoded("/%4", NULL);
    check_decoded("/%zz", NULL);
    check_decoded("/%ff", NULL);
    check_decoded("/%C0%AF", NULL);
    check_decoded("/%ED%A0%80", NULL);
    g_autofree char *large = g_strnfill(100000, 'a');
    check_decoded(large, NULL);
}

static void check_disk_path(const char *path, const char *expected)
{
    RouteMatch match = route_match_public(path, strlen(path));
    g_autofree char *disk = route_disk_path(&match);
    g_assert_cmpstr(disk, ==, expected);
}

static void test_disk_path(void)
{
    check_disk_path("/packs/docker/index.md", "docker/wiki/index.md");
    check_disk_path("/packs/a/b/wiki/c/d.md", "a/b/wiki/c/d.md");
    check_disk_path("/packs/a/manifest.yaml", "a/manifest.yaml");
    check_disk_path("/packs/a/b/manifest.sig", "a/b/manifest.sig");
}

static void test_escapes(void)
{
    static const struct {
        const char *path;
        gboolean escapes;
    } cases[] = {
        {"", FALSE},        {"a", FALSE},           {"..", TRUE},           {"a/..", FALSE},
        {"a/../..", TRUE},  {"../a", TRUE},         {"a/b/../../..", TRUE}, {"a/./..", FALSE},
        {"./..", TRUE},     {"a//..", FALSE},       {"//..", TRUE},         {"...", FALSE},
        {"..a/..b", FALSE}, {"a/../b/../..", TRUE}, {"a/b/../c", FALSE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].path);
        g_assert_cmpint(route_path_escapes(cases[i].path, strlen(cases[i].path)), ==, cases[i].escapes);
    }
}

static void test_names(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint r = 0; r < ROUTE_COUNT; r++) {
        g_assert_nonnull(route_name(r));
        g_assert_true(g_hash_table_add(seen, (gpointer)(gsize)route_name(r)));
    }
    g_assert_cmpstr(route_name(ROUTE_COUNT), ==, "none");
}

/* The last "/wiki/" splits: whatever stands before and behind it, the path on disk is the same text, so the
 * greedy rule cannot be told from any other as long as routing finds a page at all. Compared with a search
 * from the end. */
static void test_page_property(void)
{
    static const char *const pieces[] = {"/packs/",       "a",  "/", "wiki", "/wiki/", "index.md",
                                         "manifest.yaml", "..", "é"};
    for (guint run = 0; run < 20000; run++) {
        g_autoptr(GString) path = g_string_new(g_test_rand_int_range(0, 4) > 0 ? "/packs/" : "/");
        guint count = (guint)g_test_rand_int_range(0, 8);
        for (guint i = 0; i < count; i++)
            g_string_append(path, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        RouteMatch match = route_match_public(path->str, path->len);
        gboolean below = g_str_has_prefix(path->str, "/packs/");
        const char *rest = below ? path->str + strlen("/packs/") : "";
        const char *wiki = g_strrstr(rest, "/wiki/");
        const char *slash = strchr(rest, '/');
        gboolean one_segment = slash != NULL && slash > rest && strcmp(slash, "/index.md") == 0;
        if (below && wiki != NULL) {
            g_assert_cmpint(match.route, ==, ROUTE_PAGE);
            g_assert_true(match.rest == rest);
        } else {
            g_assert_cmpint(match.route, !=, ROUTE_PAGE);
        }
        g_assert_cmpint(match.route == ROUTE_PACK_INDEX, ==, below && one_segment);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/broker/route/public", test_public);
    g_test_add_func("/broker/route/api", test_api);
    g_test_add_func("/broker/route/length-counts", test_length_counts);
    g_test_add_func("/broker/route/methods", test_methods);
    g_test_add_func("/broker/route/decode", test_decode);
    g_test_add_func("/broker/route/disk-path", test_disk_path);
    g_test_add_func("/broker/route/escapes", test_escapes);
    g_test_add_func("/broker/route/names", test_names);
    g_test_add_func("/broker/route/page-property", test_page_property);
    return g_test_run();
}
