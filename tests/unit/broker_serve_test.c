/* SPDX-License-Identifier: MIT
 *
 * The HTTP side as a whole, over real packs in a temporary directory and the real index, with requests made
 * by hand: every route, the snapshot rules, the cache, the order of refusals, shutdown with work in flight.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "broker/log.h"
#include "broker/net/http_reply.h"
#include "broker/serve/broker_key.h"
#include "broker/serve/state.h"
#include "mirror/store/pack_content.h"
#include "signing/note.h"
#include "tests/unit/fake_http.h"

#define JSON_TYPE "Content-Type: application/json"
#define INDEX_HEAD "# Index\n\n## Pages\n\n| File | Title | Summary |\n|---|---|---|\n"

typedef struct {
    char *dir, *packs;
    Config *config;
    Workers *workers;
    Actor *indexer;
    RateLimit *limit;
    Serve *serve;
    Mailbox *mailbox;
    ServeThread *thread;
    gint ready; /* atomic */
} World;

/* --- A broker over a directory --- */

static void write_file(const World *world, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename(world->packs, path, NULL);
    g_autofree char *dir = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static void write_pack(const World *world, const char *path, const char *summary, const char *page)
{
    g_autofree char *manifest = g_strdup_printf("%s/manifest.yaml", path);
    g_autofree char *index = g_strdup_printf("%s/wiki/index.md", path);
    g_autofree char *file = g_strdup_printf("%s/wiki/concepts/one.md", path);
    g_autofree char *text = g_strdup_printf("name: x\nversion: 1.0.0\nsummary: %s\n", summary);
    write_file(world, manifest, text);
    write_file(world, index, INDEX_HEAD "| concepts/one.md | One | first |\n");
    write_file(world, file, page);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR))
            remove_tree(child);
        else
            g_unlink(child);
    }
    g_rmdir(path);
}

static void on_ready(gpointer user)
{
    g_atomic_int_set(&((World *)user)->ready, TRUE);
}

static void wait_ready(World *world)
{
    gint64 deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (!g_atomic_int_get(&world->ready)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        g_usleep(1000);
    }
}

static void start(World *world)
{
    g_assert_true(serve_start(world->serve, NULL));
    wait_ready(world);
}

static void fill_packs(const World *world)
{
    write_pack(world, "docker", "Containers", "---\ntitle: One\n---\nA whale carries boxes.\n");
    write_pack(world, "history/rome", "Old <Rome>", "Caesar crossed the Rubicon.\r\nAlea iacta est.\r\n");
    write_file(world, "docker/wiki/assets/dot.png", "\x89PNG\r\n\x1a\n\r\n");
    write_file(world, "docker/wiki/assets/draw.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    write_file(world, "docker/wiki/embeddings.json", "{}");
    write_file(world, "docker/wiki/manifest.yaml", "not: a manifest\n");
    write_file(world, "docker/raw/secret.md", "raw");
    write_file(world, "mcp/manifest.yaml", "name: mcp\n");
    write_file(world, "empty/.keep", "");
}

static void world_up(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    world->dir = g_dir_make_tmp("kontor-serve-XXXXXX", NULL);
    world->packs = g_build_filename(world->dir, "packs", NULL);
    g_assert_cmpint(g_mkdir(world->packs, 0700), ==, 0);
    fill_packs(world);
    g_setenv("OCC_REINDEX_TOKEN", "secret", TRUE);
    ConfigOverrides overrides = {.data_dir = world->dir};
    world->config = config_load(&overrides, &error);
    g_assert_no_error(error);
    world->workers = workers_new(2, 64);
    world->indexer = actor_new("indexer");
    world->limit = rate_limit_new(60, 60, 1000);
    ServeOptions options = {.config = world->config,
                            .workers = world->workers,
                            .indexer = world->indexer,
                            .search_limit = world->limit,
                            .threads = 1,
                            .ready = on_ready,
                            .ready_user = world};
    world->serve = serve_new(&options, &error);
    g_assert_no_error(error);
    world->mailbox = mailbox_new();
    world->thread = serve_thread_new(world->serve, 0, world->mailbox, NULL);
}

static void world_down(World *world, gconstpointer data G_GNUC_UNUSED)
{
    serve_thread_free(world->thread);
    workers_free(world->workers);
    actor_free(world->indexer);
    mailbox_free(world->mailbox);
    serve_free(world->serve);
    rate_limit_free(world->limit);
    config_unref(world->config);
    remove_tree(world->dir);
    g_free(world->packs);
    g_free(world->dir);
}

static HttpExchange *begin(World *world, HttpMethod method, const char *target, const char *headers,
                           const char *body)
{
    HttpExchange *exchange = fake_exchange_new(method, target, headers, body);
    serve_public_service()->request(exchange, world->thread);
    return exchange;
}

static HttpExchange *ask(World *world, HttpMethod method, const char *target, const char *headers,
                         const char *body)
{
    HttpExchange *exchange = begin(world, method, target, headers, body);
    fake_exchange_wait(exchange, world->mailbox);
    return exchange;
}

static HttpExchange *get(World *world, const char *target)
{
    return ask(world, HTTP_GET, target, "Host: x", NULL);
}

static const char *header_of(const HttpExchange *exchange, const char *name)
{
    const GPtrArray *pairs = exchange->reply->pairs;
    for (guint i = 0; i + 1 < pairs->len; i += 2) {
        if (strcmp(pairs->pdata[i], name) == 0)
            return pairs->pdata[i + 1];
    }
    return NULL;
}

/* Status and, unless NULL, the whole body. */
static void check(HttpExchange *exchange, guint status, const char *body)
{
    g_autofree char *text = fake_exchange_text(exchange);
    g_test_message("%s: %u %.120s", exchange->target, http_reply_status(exchange->reply), text);
    g_assert_cmpuint(http_reply_status(exchange->reply), ==, status);
    if (body != NULL)
        g_assert_cmpstr(text, ==, body);
}

static void check_get(World *world, const char *target, guint status, const char *body)
{
    g_autoptr(HttpExchange) exchange = get(world, target);
    check(exchange, status, body);
}

static void check_post(World *world, const char *target, const char *headers, const char *body, guint status,
                       const char *answer)
{
    g_autoptr(HttpExchange) exchange = ask(world, HTTP_POST, target, headers, body);
    check(exchange, status, answer);
}

/* --- Before the first scan --- */

static void test_not_ready(World *world, gconstpointer data G_GNUC_UNUSED)
{
    check_get(world, "/healthz", 200, NULL);
    check_get(world, "/readyz", 503, "{\"ok\":false,\"status\":\"not-ready\"}");
    check_get(world, "/version", 200, NULL);
    check_get(world, "/tree", 503, NULL);
    check_post(world, "/search", JSON_TYPE, "{\"q\":\"x\"}", 503, NULL);
    g_autoptr(HttpExchange) page = get(world, "/packs/docker/wiki/index.md");
    check(page, 503, NULL);
    g_assert_cmpstr(header_of(page, "Retry-After"), ==, "1");
    start(world);
    check_get(world, "/readyz", 200, "{\"ok\":true,\"status\":\"ready\"}");
    check_get(world, "/packs/docker/wiki/index.md", 200, NULL);
}

/* --- Reading --- */

static void test_tree(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    check_get(world, "/tree", 200, "[\"docker\",\"empty\",\"history\",\"mcp\"]");
    check_get(world, "/tree/", 200,
              "{\"children\":[\"docker\",\"empty\",\"history\",\"mcp\"],\"has_pack\":false}");
    check_get(world, "/tree/docker", 200, "{\"children\":[],\"has_pack\":true}");
    check_get(world, "/tree/history", 200, "{\"children\":[\"rome\"],\"has_pack\":false}");
    check_get(world, "/tree/history/", 200, "{\"children\":[\"rome\"],\"has_pack\":false}");
    check_get(world, "/tree/history%2Frome", 200, "{\"children\":[],\"has_pack\":true}");
    check_get(world, "/tree/nowhere", 404, "{\"detail\":\"Not Found\"}");
    check_get(world, "/tree/../..", 403, "{\"detail\":\"Forbidden\"}");
    check_get(world, "/packs", 200, "[\"docker\",\"history/rome\"]");
    check_get(world, "/packs/", 200, "[\"docker\",\"history/rome\"]");
    check_get(world, "/packs/summaries", 200,
              "{\"summaries\":{\"docker\":\"Containers\",\"history/rome\":\"Old <Rome>\"}}");
    check_get(world, "/publishers", 200, "{\"publishers\":[]}");
    check_get(world, "/nodes", 200, "{}");
}

static void check_type(World *world, const char *target, const char *type)
{
    g_autoptr(HttpExchange) exchange = get(world, target);
    check(exchange, 200, NULL);
    g_assert_cmpstr(header_of(exchange, "Content-Type"), ==, type);
}

static void test_files(World *world, gconstpointer data G_GNUC_UNUSED)
{
    const char *markdown = "text/markdown; charset=utf-8";
    start(world);
    check_type(world, "/packs/docker/index.md", markdown);
    check_type(world, "/packs/docker/wiki/index.md", markdown);
    check_type(world, "/packs/docker/wiki/concepts/one.md", markdown);
    check_type(world, "/packs/docker/wiki/embeddings.json", markdown);
    check_type(world, "/packs/docker/wiki/manifest.yaml", markdown);
    check_type(world, "/packs/docker/manifest.yaml", "text/yaml; charset=utf-8");
    check_type(world, "/packs/mcp/manifest.yaml", "text/yaml; charset=utf-8");
    check_type(world, "/packs/docker/wiki/assets/dot.png", "image/png");
    check_type(world, "/packs/docker/wiki/assets/draw.svg", "image/svg+xml");
    check_get(world, "/packs/history/rome/wiki/concepts/one.md", 200,
              "Caesar crossed the Rubicon.\nAlea iacta est.\n");
    check_get(world, "/packs/docker/wiki/assets/dot.png", 200, "\x89PNG\r\n\x1a\n\r\n");
    check_get(world, "/packs/docker/manifest.sig", 404, "{\"detail\":\"Not Found\"}");
    check_get(world, "/packs/docker/wiki/nothing.md", 404, NULL);
    check_get(world, "/packs/docker/wiki/", 404, NULL);
    check_get(world, "/packs/docker/wiki/concepts", 404, NULL);
    check_get(world, "/packs/docker/raw/secret.md", 404, NULL);
    check_get(world, "/packs/mcp/index.md", 404, NULL);
    check_get(world, "/packs/docker/wiki/../../x", 404, NULL);
    check_get(world, "/packs/docker/wiki/../../../x", 403, NULL);
    check_get(world, "/packs/%2e%2e/wiki/index.md", 403, NULL);
    check_get(world, "/packs/docker/wiki/index.md%00", 404, NULL);
    check_get(world, "/packs/docker/wiki/%ff", 404, NULL);
}

static void test_methods(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(HttpExchange) post = ask(world, HTTP_POST, "/tree", JSON_TYPE, "{}");
    check(post, 405, "{\"detail\":\"Method Not Allowed\"}");
    g_assert_cmpstr(header_of(post, "Allow"), ==, "GET, HEAD");
    g_autoptr(HttpExchange) search = get(world, "/search");
    check(search, 405, NULL);
    g_assert_cmpstr(header_of(search, "Allow"), ==, "POST");
    g_autoptr(HttpExchange) head = ask(world, HTTP_HEAD, "/packs/docker/wiki/index.md", NULL, NULL);
    check(head, 200, NULL);
    g_autoptr(HttpExchange) removal = ask(world, HTTP_DELETE, "/packs/docker/wiki/index.md", NULL, NULL);
    check(removal, 405, NULL);
    g_autoptr(HttpExchange) unknown = ask(world, HTTP_OTHER, "/nowhere", NULL, NULL);
    check(unknown, 404, "{\"detail\":\"Not Found\"}");
    g_autoptr(HttpExchange) ws = get(world, "/ws");
    check(ws, 426, NULL);
    g_assert_cmpstr(header_of(ws, "Upgrade"), ==, "websocket");
}

/* --- The cache and changes on disk --- */

static guint64 misses(const World *world)
{
    return world->thread->stats->cache_misses;
}

static void test_cache(World *world, gconstpointer data G_GNUC_UNUSED)
{
    const char *page = "/packs/docker/wiki/concepts/one.md";
    start(world);
    check_get(world, page, 200, NULL);
    guint64 cold = misses(world);
    check_get(world, page, 200, NULL);
    check_get(world, "/packs/docker/wiki/concepts/one.md?x=1", 200, NULL);
    check_get(world, "/packs/docker%2Fwiki/concepts%2Fone.md", 200, NULL);
    g_assert_cmpuint(misses(world), ==, cold);
    g_assert_cmpuint(world->thread->stats->cache_hits, ==, 3);
    /* Two at once, nobody has asked before: one of them does the work. */
    g_autoptr(HttpExchange) first = begin(world, HTTP_GET, "/packs/docker/manifest.yaml", NULL, NULL);
    g_autoptr(HttpExchange) second = begin(world, HTTP_GET, "/packs/docker/manifest.yaml", NULL, NULL);
    fake_exchange_wait(first, world->mailbox);
    fake_exchange_wait(second, world->mailbox);
    g_assert_cmpuint(misses(world), ==, cold + 1);
    g_assert_true(first->reply == second->reply);
}

static void reindex(World *world, const char *body, const char *answer)
{
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: secret", body, 200, answer);
}

/* A page that is in the cache is that of the snapshot, until somebody says that the pack has changed. */
static void test_reindex_one(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    check_get(world, "/packs/docker/wiki/concepts/one.md", 200, NULL);
    check_get(world, "/packs/history/rome/wiki/concepts/one.md", 200, NULL);
    write_pack(world, "docker", "Boxes", "changed\n");
    reindex(world, "{\"pack_path\":\"docker\"}", "{\"ok\":true,\"packs_indexed\":1,\"pages_indexed\":1}");
    guint64 before = misses(world);
    check_get(world, "/packs/history/rome/wiki/concepts/one.md", 200, NULL);
    g_assert_cmpuint(misses(world), ==, before);
    check_get(world, "/packs/docker/wiki/concepts/one.md", 200, "changed\n");
    g_assert_cmpuint(misses(world), ==, before + 1);
    check_get(world, "/packs/summaries", 200,
              "{\"summaries\":{\"docker\":\"Boxes\",\"history/rome\":\"Old <Rome>\"}}");
}

static void test_reindex_new_and_gone(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    check_get(world, "/packs/docker/wiki/concepts/one.md", 200, NULL);
    write_pack(world, "new/pack", "New", "zebra\n");
    g_autofree char *docker = g_build_filename(world->packs, "docker", NULL);
    remove_tree(docker);
    reindex(world, "{\"pack_path\":\"/new/pack/\"}", "{\"ok\":true,\"packs_indexed\":1,\"pages_indexed\":1}");
    check_get(world, "/packs/new/pack/wiki/concepts/one.md", 200, "zebra\n");
    check_get(world, "/tree", 200, "[\"docker\",\"empty\",\"history\",\"mcp\",\"new\"]");
    reindex(world, "{\"pack_path\":\"docker\"}", "{\"ok\":true,\"packs_indexed\":0,\"pages_indexed\":0}");
    check_get(world, "/packs/docker/wiki/concepts/one.md", 404, NULL);
    check_get(world, "/packs", 200, "[\"history/rome\",\"new/pack\"]");
    reindex(world, "{}", "{\"ok\":true,\"packs_indexed\":2,\"pages_indexed\":2}");
    reindex(world, "{\"pack_path\":\"\"}", "{\"ok\":true,\"packs_indexed\":2,\"pages_indexed\":2}");
    reindex(world, "{\"pack_path\":null}", "{\"ok\":true,\"packs_indexed\":2,\"pages_indexed\":2}");
    reindex(world, "{\"pack_path\":\"../etc\"}", "{\"ok\":true,\"packs_indexed\":0,\"pages_indexed\":0}");
    check_post(world, "/search", JSON_TYPE, "{\"q\":\"whale\"}", 200, "{\"results\":[]}");
}

/* Nobody said anything, but the file is not the one that was scanned. */
static void test_changed_behind(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    guint64 number = world->thread->snapshot->number;
    write_pack(world, "docker", "Boxes", "changed behind our back\n");
    check_get(world, "/packs/docker/wiki/concepts/one.md", 200, "changed behind our back\n");
    g_assert_cmpuint(world->thread->snapshot->number, >, number);
    check_get(world, "/packs/docker/manifest.yaml", 200, "name: x\nversion: 1.0.0\nsummary: Boxes\n");
    g_autofree char *page = g_build_filename(world->packs, "history/rome/wiki/concepts/one.md", NULL);
    g_assert_cmpint(g_unlink(page), ==, 0);
    check_get(world, "/packs/history/rome/wiki/concepts/one.md", 404, "{\"detail\":\"Not Found\"}");
}

static void test_reindex_refusals(World *world, gconstpointer data G_GNUC_UNUSED)
{
    const char *bad_token = "{\"detail\":\"invalid token\"}";
    start(world);
    check_post(world, "/admin/reindex", JSON_TYPE, "{}", 401, bad_token);
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: Secret", "{}", 401, bad_token);
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: secret2", "{}", 401, bad_token);
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token:", "{}", 401, bad_token);
    check_post(world, "/admin/reindex", JSON_TYPE, "", 422, NULL);
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: secret", "{\"pack_path\":5}", 422, NULL);
    check_post(world, "/admin/reindex", "X-OCC-Token: secret", "{}", 422, NULL);
}

/* --- Reload --- */

static void test_reload(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autofree char *tokens = g_build_filename(world->dir, "tokens", NULL);
    g_autofree char *file = g_build_filename(world->dir, "kontor.yaml", NULL);
    g_assert_true(g_file_set_contents(tokens, "# comment\n\nfirst\r\n  second  \n", -1, NULL));
    g_assert_true(g_file_set_contents(file, "name: renamed\nadmin_tokens_file: tokens\n", -1, NULL));
    write_pack(world, "late", "Late", "x\n");
    ConfigOverrides overrides = {.data_dir = world->dir};
    g_autoptr(Config) config = config_load(&overrides, NULL);
    g_assert_nonnull(config);
    serve_reload(world->serve, config);
    reindex(world, "{}", "{\"ok\":true,\"packs_indexed\":3,\"pages_indexed\":3}");
    g_autoptr(SecretKey) secret = broker_key_load(world->dir, "unused", NULL);
    g_assert_nonnull(secret);
    PublicKey key;
    secret_key_public(secret, &key);
    g_autofree char *verifier = note_verifier_key_print("renamed", &key);
    g_autofree char *version = g_strdup_printf("{\"name\":\"renamed\",\"software\":\"kontor\","
                                               "\"version\":\"" KONTOR_VERSION "\",\"key\":\"%s\"}",
                                               verifier);
    check_get(world, "/version", 200, version);
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: second", "{}", 200, NULL);
    check_post(world, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: # comment", "{}", 401, NULL);
}

static void test_packs_directory_missing(World *world, gconstpointer data G_GNUC_UNUSED)
{
    remove_tree(world->packs);
    start(world);
    check_get(world, "/tree", 200, "[]");
    check_get(world, "/packs/summaries", 200, "{\"summaries\":{}}");
    check_get(world, "/readyz", 200, NULL);
    g_assert_cmpint(g_mkdir(world->packs, 0700), ==, 0);
    write_pack(world, "late", "Late", "x\n");
    reindex(world, "{\"pack_path\":\"late\"}", "{\"ok\":true,\"packs_indexed\":1,\"pages_indexed\":1}");
    check_get(world, "/tree", 200, "[\"late\"]");
}

/* --- Search --- */

static void test_search(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(HttpExchange) found = ask(world, HTTP_POST, "/search", JSON_TYPE, "{\"q\":\"whale\"}");
    g_autofree char *text = fake_exchange_text(found);
    g_assert_true(
        g_str_has_prefix(text, "{\"results\":[{\"pack_path\":\"docker\",\"page_file\":\"concepts/one.md\","
                               "\"title\":\"One\",\"summary\":\"first\",\"pack_summary\":\"Containers\","
                               "\"score\":-"));
    check_post(world, "/search", JSON_TYPE, "{\"q\":\"whale\"}", 200, text);
    g_assert_cmpuint(world->thread->stats->search_cache_hits, ==, 1);
    check_post(world, "/search", JSON_TYPE, "{\"q\":\"whale\",\"scope\":\"history\"}", 200,
               "{\"results\":[]}");
    check_post(world, "/search", JSON_TYPE, "{\"q\":\"   \"}", 200, "{\"results\":[]}");
    check_post(world, "/lookup_entity", JSON_TYPE, "{\"term\":\"whale\"}", 200,
               "{\"results\":[{\"pack_path\":\"docker\",\"match_count\":1,\"pack\":\"docker\"}]}");
    check_post(world, "/search", JSON_TYPE, "{\"q\":\"x\",\"scope\":\"a_b\"}", 400,
               "{\"detail\":\"invalid scope\"}");
    /* A larger body takes the way over a worker, with the same answers. */
    g_autofree char *blanks = g_strnfill(20000, ' ');
    g_autofree char *large = g_strdup_printf("{\"q\":\"whale\"%s}", blanks);
    g_autofree char *large_bad = g_strdup_printf("{\"q\":5%s}", blanks);
    check_post(world, "/search", JSON_TYPE, large, 200, text);
    check_post(world, "/search", JSON_TYPE, large_bad, 422, NULL);
}

/* The limit is counted after the body and before the scope, and refusals do not count. */
static void test_rate_limit(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    for (guint i = 0; i < 70; i++)
        check_post(world, "/search", JSON_TYPE, "{}", 422, NULL);
    for (guint i = 0; i < 30; i++)
        check_post(world, "/search", JSON_TYPE, "{\"q\":\"x\",\"scope\":\"..\"}", 400, NULL);
    for (guint i = 0; i < 30; i++)
        check_post(world, "/lookup_entity", JSON_TYPE, "{\"term\":\"whale\"}", 200, NULL);
    g_autoptr(HttpExchange) refused =
        ask(world, HTTP_POST, "/search", JSON_TYPE, "{\"q\":\"x\",\"scope\":\"..\"}");
    check(refused, 429, "{\"detail\":\"rate limit exceeded\"}");
    gint64 wait_s = g_ascii_strtoll(header_of(refused, "Retry-After"), NULL, 10);
    g_assert_cmpint(wait_s, >=, 1);
    g_assert_cmpint(wait_s, <=, 60);
    check_post(world, "/search", JSON_TYPE, "{}", 422, NULL);
    check_get(world, "/packs/summaries", 200, NULL);
    g_autoptr(HttpExchange) page = get(world, "/?q=whale");
    check(page, 429, NULL);
    g_assert_nonnull(header_of(page, "Retry-After"));
    g_assert_cmpuint(world->thread->stats->rejections[STATS_RATE_LIMITED], ==, 2);
}

/* --- The home page --- */

static void check_contains(HttpExchange *exchange, const char *part, gboolean expected)
{
    g_autofree char *text = fake_exchange_text(exchange);
    g_test_message("%s", part);
    g_assert_cmpint(strstr(text, part) != NULL, ==, expected);
}

static void test_home(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(HttpExchange) home = get(world, "/");
    check(home, 200, NULL);
    g_assert_cmpstr(header_of(home, "Content-Type"), ==, "text/html; charset=utf-8");
    g_assert_nonnull(strstr(header_of(home, "Content-Security-Policy"), "default-src 'none'"));
    check_contains(home, "href=\"/packs/history/rome/wiki/index.md\"", TRUE);
    check_contains(home, "Old &lt;Rome&gt;", TRUE);
    check_contains(home, "<Rome>", FALSE);
    check_contains(home, "<script", FALSE);
    g_autoptr(HttpExchange) far = get(world, "/?page=99999999999");
    check(far, 200, NULL);
    g_autoptr(HttpExchange) found = get(world, "/?scope=&q=whale+boxes");
    check(found, 200, NULL);
    check_contains(found, "href=\"/packs/docker/wiki/concepts/one.md\"", TRUE);
    g_autoptr(HttpExchange) hostile = get(world, "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&scope=%22x");
    check(hostile, 200, NULL);
    check_contains(hostile, "<script", FALSE);
    check_contains(hostile, "&quot;&gt;&lt;script&gt;", TRUE);
    g_autoptr(HttpExchange) scope = get(world, "/?q=x&scope=..");
    check(scope, 400, NULL);
}

/* --- Metrics and log --- */

static void done(World *world, const HttpExchange *exchange, guint64 bytes, gint64 elapsed_us)
{
    HttpDone what = {.method = exchange->request.method,
                     .route = exchange->route,
                     .status = http_reply_status(exchange->reply),
                     .body_bytes = bytes,
                     .elapsed_us = elapsed_us,
                     .client = exchange->request.client};
    serve_public_service()->done(&what, world->thread);
}

static void test_metrics_and_log(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(HttpExchange) page = get(world, "/packs/docker/wiki/index.md?token=hidden");
    done(world, page, 123, 1234);
    const char *log = access_log_pending(world->thread->log);
    g_assert_nonnull(strstr(log, "/packs/{pack}/wiki/{file}"));
    g_assert_nonnull(strstr(log, "192.0.2.0/24"));
    g_assert_nonnull(strstr(log, "1.234"));
    g_assert_null(strstr(log, "hidden"));
    g_assert_null(strstr(log, "docker"));
    g_autoptr(HttpExchange) metrics = get(world, "/metrics");
    check(metrics, 200, NULL);
    g_assert_cmpstr(header_of(metrics, "Content-Type"), ==, "text/plain; version=0.0.4; charset=utf-8");
    check_contains(metrics, "\nkontor_packs 2\n", TRUE);
    check_contains(metrics, "\nkontor_pages 2\n", TRUE);
    check_contains(metrics, "\nkontor_ready 1\n", TRUE);
    check_contains(metrics,
                   "\nkontor_http_requests_total{route=\"/packs/{pack}/wiki/{file}\",status=\"200\"} 1\n",
                   TRUE);
    check_contains(metrics, "route=\"/packs/{pack}/wiki/{file}\",le=\"0.001\"} 0\n", TRUE);
    check_contains(metrics, "route=\"/packs/{pack}/wiki/{file}\",le=\"0.0025\"} 1\n", TRUE);
    check_contains(metrics, "\nprocess_resident_memory_bytes 0\n", FALSE);
}

/* --- Loopback --- */

static HttpExchange *ask_api(World *world, HttpMethod method, const char *target, const char *headers)
{
    HttpExchange *exchange = fake_exchange_new(method, target, headers, NULL);
    serve_api_service()->request(exchange, world->thread);
    fake_exchange_wait(exchange, world->mailbox);
    return exchange;
}

static void check_api(World *world, HttpMethod method, const char *target, const char *headers, guint status,
                      const char *part)
{
    g_autoptr(HttpExchange) exchange = ask_api(world, method, target, headers);
    check(exchange, status, NULL);
    check_contains(exchange, part, TRUE);
}

static void test_api(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    const char *addresses[] = {"127.0.0.1:8000", NULL};
    serve_set_addresses(world->serve, addresses, "127.0.0.1:7666");
    g_autofree char *good =
        g_strdup_printf("Host: localhost:7666\nAuthorization: Bearer %s", world->serve->api_token);
    g_autofree char *foreign = g_strdup_printf("%s\nOrigin: http://localhost:7667", good);
    check_api(world, HTTP_GET, "/v1/ping", NULL, 200, "{\"ok\":true}");
    check_api(world, HTTP_GET, "/v1/healthz", NULL, 200, "{\"ok\":true,\"status\":\"alive\"}");
    check_api(world, HTTP_GET, "/v1/readyz", NULL, 200, "{\"ok\":true,\"status\":\"ready\"}");
    check_api(world, HTTP_GET, "/v1/broker/status", NULL, 403, "\"error\":\"FORBIDDEN_HOST\"");
    check_api(world, HTTP_GET, "/v1/broker/status", "Host: evil.example", 403, "\"status\":403");
    check_api(world, HTTP_GET, "/v1/broker/status", foreign, 403, "\"error\":\"FORBIDDEN_ORIGIN\"");
    check_api(world, HTTP_GET, "/v1/broker/status", "Host: localhost", 401, "\"error\":\"UNAUTHORIZED\"");
    check_api(world, HTTP_GET, "/v1/nothing", "Host: localhost", 401, "\"error\":\"UNAUTHORIZED\"");
    check_api(world, HTTP_GET, "/v1/nothing", good, 404, "\"error\":\"NOT_FOUND\"");
    check_api(world, HTTP_POST, "/v1/ping", good, 404, "\"error\":\"NOT_FOUND\"");
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200,
              "\"addresses\":{\"public\":[\"127.0.0.1:8000\"],\"api\":\"127.0.0.1:7666\"}");
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200, "\"path\":\"history/rome\"");
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200, "\"state\":\"ready\"");
}

/* --- Mirrored packs --- */

/* A signed pack `m` in the release store, as the mirrors would tell of it. */
static MirroredPack *release_of(const World *world, const char *version, const char *page)
{
    static const guint8 seed[32] = {9};
    g_autoptr(SecretKey) key = secret_key_from_seed(seed);
    g_autofree char *staged = g_build_filename(world->dir, "staged", NULL);
    write_pack(world, "../staged", version, page);
    g_autoptr(PackContent) content = pack_content_of_directory(staged, /* threads= */ 1, NULL, NULL);
    ReleaseOptions options = {.path = "m", .signer_name = "Anna", .published_at = "2026-01-02T03:04:05Z"};
    g_autofree char *text = release_sign(content, &options, key, NULL);
    g_assert_nonnull(text);
    write_file(world, "../staged/manifest.sig", text);
    g_autoptr(ManifestSig) sig = manifest_sig_parse(text, strlen(text), NULL);
    MirroredPack *record = g_new0(MirroredPack, 1);
    release_digest(sig, record->digest);
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(record->digest, sizeof record->digest, hex);
    g_autofree char *releases = g_build_filename(world->dir, "store", "releases", NULL);
    g_autofree char *installed = g_build_filename(releases, hex, NULL);
    g_assert_cmpint(g_mkdir_with_parents(releases, 0700), ==, 0);
    g_assert_cmpint(g_rename(staged, installed), ==, 0);
    record->path = g_strdup("m");
    record->source = g_strdup("commons");
    record->policy = PACK_POLICY_PREFERRED;
    return record;
}

static void mirrored(gpointer data, gboolean cancelled G_GNUC_UNUSED)
{
    mirror_job_free(data);
}

/* Takes the record over; returns when it is served. */
static void mirror(World *world, MirroredPack *record)
{
    g_autoptr(Snapshot) before = publisher_acquire(world->serve->publisher);
    MirrorJob *job = g_new0(MirrorJob, 1);
    job->packs = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_ptr_array_add(job->packs, record);
    job->reply_to = world->mailbox;
    job->done = mirrored;
    publisher_mirror(world->serve->publisher, job);
    gint64 deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (publisher_is_current(world->serve->publisher, before)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        g_usleep(1000);
    }
}

static char *blob_target(const char *text)
{
    guint8 hash[SHA256_BYTES];
    char hex[SHA256_HEX_CHARS + 1];
    sha256(text, strlen(text), hash);
    hex_encode(hash, sizeof hash, hex);
    return g_strconcat("/blobs/sha256/", hex, NULL);
}

static char *release_target(const MirroredPack *record)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(record->digest, sizeof record->digest, hex);
    return g_strconcat("/catalog/releases/", hex, NULL);
}

static void test_mirrored(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) first = release_of(world, "1.0.0", "the first\n");
    g_autoptr(MirroredPack) second = release_of(world, "1.1.0", "the second\n");
    g_autofree char *first_release = release_target(first), *second_release = release_target(second);
    g_autofree char *first_page = blob_target("the first\n"), *second_page = blob_target("the second\n");
    mirror(world, mirrored_pack_copy(first));
    check_get(world, "/packs/m/wiki/concepts/one.md", 200, "the first\n");
    check_get(world, "/tree/m", 200, "{\"children\":[],\"has_pack\":true}");
    check_get(world, first_release, 200, NULL);
    check_get(world, second_release, 404, NULL);
    mirror(world, mirrored_pack_copy(second));
    check_get(world, "/packs/m/wiki/concepts/one.md", 200, "the second\n");
    check_get(world, second_release, 200, NULL);
    check_get(world, second_page, 200, "the second\n");
    /* The former release can still be had file by file. */
    check_get(world, first_release, 200, NULL);
    check_get(world, first_page, 200, "the first\n");
    second->withdrawn = TRUE;
    mirror(world, mirrored_pack_copy(second));
    check_get(world, "/packs/m/wiki/concepts/one.md", 404, NULL);
    check_get(world, first_release, 404, NULL);
    check_get(world, first_page, 404, NULL);
    check_get(world, second_page, 404, NULL);
}

/* A former release that the store has no longer, or not as it was, is no longer had; nobody waits for it. */
static void test_former_damaged(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) first = release_of(world, "1.0.0", "the first\n");
    g_autofree char *release = release_target(first), *page = blob_target("the first\n");
    const char *hex = strrchr(release, '/') + 1;
    g_autofree char *on_disk = g_strdup_printf("../store/releases/%s/wiki/concepts/one.md", hex);
    mirror(world, mirrored_pack_copy(first));
    mirror(world, release_of(world, "1.1.0", "the second\n"));
    write_file(world, on_disk, "no longer\n");
    check_get(world, page, 404, NULL);
    check_get(world, release, 404, NULL);
}

static void test_status_of_mirrored(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autofree char *good =
        g_strdup_printf("Host: localhost:7666\nAuthorization: Bearer %s", world->serve->api_token);
    MirroredPack *missing = release_of(world, "1.0.0", "the first\n");
    memset(missing->digest, 7, sizeof missing->digest);
    mirror(world, missing);
    check_api(
        world, HTTP_GET, "/v1/broker/status", good, 200,
        "pack 'm', mirrored from 'commons': not served: release 070707070707: is not in the release store");
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200, "\"source\":\"commons\"");
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200, "\"mirrored\":1,\"shadowed\":0,\"private\":0");
    MirroredPack *secret = release_of(world, "1.2.0", "the third\n");
    secret->is_private = TRUE;
    memset(secret->digest, 8, sizeof secret->digest);
    mirror(world, secret);
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200, "private pack 'm', mirrored from 'commons': ");
    check_api(world, HTTP_GET, "/v1/broker/status", good, 200, "\"mirrored\":1,\"shadowed\":0,\"private\":1");
}

/* --- Shutdown --- */

/* Work in flight is dropped without a leak or a late answer; the sanitizers watch. */
static void test_shutdown(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    HttpExchange *waiting[] = {
        begin(world, HTTP_GET, "/packs/docker/wiki/index.md", NULL, NULL),
        begin(world, HTTP_GET, "/packs", NULL, NULL),
        begin(world, HTTP_POST, "/search", JSON_TYPE, "{\"q\":\"whale\"}"),
        begin(world, HTTP_POST, "/admin/reindex", JSON_TYPE "\nX-OCC-Token: secret", "{}"),
    };
    for (guint i = 0; i < G_N_ELEMENTS(waiting); i++) {
        g_assert_null(waiting[i]->reply);
        fake_exchange_free(waiting[i]);
    }
}

static void add(const char *name, void (*test)(World *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/broker/serve/", name, NULL);
    g_test_add(path, World, NULL, world_up, test, world_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    log_init(CONFIG_LOG_TEXT, LOG_ERROR);
    add("not-ready", test_not_ready);
    add("tree", test_tree);
    add("files", test_files);
    add("methods", test_methods);
    add("cache", test_cache);
    add("reindex-one", test_reindex_one);
    add("reindex-new-and-gone", test_reindex_new_and_gone);
    add("changed-behind", test_changed_behind);
    add("reindex-refusals", test_reindex_refusals);
    add("reload", test_reload);
    add("packs-directory-missing", test_packs_directory_missing);
    add("search", test_search);
    add("rate-limit", test_rate_limit);
    add("home", test_home);
    add("metrics-and-log", test_metrics_and_log);
    add("api", test_api);
    add("mirrored", test_mirrored);
    add("former-damaged", test_former_damaged);
    add("status-of-mirrored", test_status_of_mirrored);
    add("shutdown", test_shutdown);
    return g_test_run();
}
