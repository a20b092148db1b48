/* SPDX-License-Identifier: MIT
 *
 * Sources: which packs they want, what their policy hash and origin depend on, what people see of a URL, what
 * may stand in a URL, and that JSON gives back the same source.
 */
#include "mirror/agent/source_check.h"

#include "schema/limits.h"

#include <string.h>

static MirrorSource *git_source(const char *url)
{
    MirrorSource *source = source_new(SOURCE_GIT, "commons");
    source->url = g_strdup(url);
    return source;
}

static void set_text(char **member, const char *text)
{
    g_free(*member);
    *member = g_strdup(text);
}

static void set_globs(GPtrArray *globs, const char *one, const char *two)
{
    g_ptr_array_set_size(globs, 0);
    g_ptr_array_add(globs, g_strdup(one));
    if (two != NULL)
        g_ptr_array_add(globs, g_strdup(two));
}

static void test_wants(void)
{
    g_autoptr(MirrorSource) source = git_source("/p");
    g_assert_true(source_wants(source, "a"));
    g_assert_true(source_wants(source, "a/b/c"));
    set_globs(source->include, "history/**", "arts/*");
    set_globs(source->exclude, "history/drafts/**", NULL);
    g_assert_true(source_wants(source, "history/rome"));
    g_assert_true(source_wants(source, "arts/x"));
    g_assert_false(source_wants(source, "arts/x/y"));
    g_assert_false(source_wants(source, "history"));
    g_assert_false(source_wants(source, "history/drafts/x"));
    g_assert_true(source_wants(source, "history/drafts"));
}

/* What is wanted and accepted is in the hash; how often and how long it is fetched is not. */
static void test_policy_hash(void)
{
    static const char trusted[] = "publishers:\n  - {fingerprint: fuao4jleholdet6v}\n";
    g_autoptr(TrustList) nobody = trust_list_new_empty();
    g_autoptr(TrustList) list = trust_list_parse("t", trusted, strlen(trusted), NULL);
    g_autoptr(MirrorSource) source = git_source("/p");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    char *first = source_policy_hash(source, nobody);
    g_assert_cmpuint(strlen(first), ==, SHA256_HEX_CHARS);
    source->interval_s = 5;
    source->bytes_max = 7;
    set_text(&source->token_file, "/t");
    g_autofree char *same = source_policy_hash(source, nobody);
    g_assert_cmpstr(same, ==, first);
    g_hash_table_add(seen, first);
    g_assert_true(g_hash_table_add(seen, source_policy_hash(source, list)));
    source->require_release = TRUE;
    g_assert_true(g_hash_table_add(seen, source_policy_hash(source, nobody)));
    source->policy = PACK_POLICY_OFF;
    g_assert_true(g_hash_table_add(seen, source_policy_hash(source, nobody)));
    set_globs(source->exclude, "a", NULL);
    g_assert_true(g_hash_table_add(seen, source_policy_hash(source, nobody)));
    /* The same globs, otherwise cut into include and exclude. */
    set_globs(source->include, "**", "a");
    g_ptr_array_set_size(source->exclude, 0);
    g_assert_true(g_hash_table_add(seen, source_policy_hash(source, nobody)));
}

static void test_origin(void)
{
    g_autoptr(MirrorSource) a = git_source("/p"), b = git_source("/p");
    set_text(&b->name, "other");
    set_text(&b->token_file, "/t");
    b->paused = TRUE;
    g_assert_true(source_same_origin(a, b));
    set_text(&b->ref, "main");
    g_assert_false(source_same_origin(a, b));
    set_text(&a->ref, "main");
    g_assert_true(source_same_origin(a, b));
    b->ref_is_tag = TRUE;
    g_assert_false(source_same_origin(a, b));
    b->ref_is_tag = FALSE;
    b->is_private = TRUE;
    g_assert_false(source_same_origin(a, b));
    b->is_private = FALSE;
    set_text(&b->path, "x");
    g_assert_false(source_same_origin(a, b));
    g_autoptr(MirrorSource) peer = source_new(SOURCE_PEER, "p"), rekeyed = source_new(SOURCE_PEER, "p");
    peer->url = g_strdup("http://n");
    rekeyed->url = g_strdup("http://n");
    rekeyed->key.bytes[0] = 1;
    g_assert_true(source_same_origin(peer, rekeyed));
}

static void test_shown_url(void)
{
    static const char *const cases[][2] = {
        {"https://git.example/p.git", "https://git.example/p.git"},
        {"https://bot@git.example/p.git?token=x#y", "https://git.example/p.git"},
        {"https://a@b@git.example/u@v", "https://git.example/u@v"},
        {"ssh://git@git.example:22/p", "ssh://git.example:22/p"},
        {"git@git.example:p@q.git", "git.example:p@q.git"},
        {"/srv/p@q", "/srv/p@q"},
        {"file:///srv/p", "file:///srv/p"},
        {"http://[::1]:8000", "http://[::1]:8000"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(MirrorSource) source = git_source(cases[i][0]);
        g_autofree char *shown = source_shown_url(source);
        g_assert_cmpstr(shown, ==, cases[i][1]);
    }
}

/* Only these are never sent a login in the clear by way of others. */
static void test_local_hosts(void)
{
    static const char *const good[] = {"http://localhost/", "http://LOCALHOST:80", "http://127.0.0.1:8000/p",
                                       "http://127.8.9.10", "http://[::1]:80/p"};
    static const char *const bad[] = {"http://127.0.0.1.evil.example",
                                      "http://127.evil.example",
                                      "http://localhost.example",
                                      "http://10.0.0.1",
                                      "http://[::2]/",
                                      "http://127.1",
                                      "http://2130706433/",
                                      "http://u@evil.example",
                                      "http://evil.example/@localhost",
                                      "/127.0.0.1",
                                      ""};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(source_url_is_local(good[i]));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(source_url_is_local(bad[i]));
    }
}

static void test_git_urls(void)
{
    static const struct {
        const char *url;
        SourceTransport transport;
    } good[] = {
        {"https://git.example/p", SOURCE_OVER_HTTPS},
        {"HTTPS://git.example:8443/p", SOURCE_OVER_HTTPS},
        {"http://[::1]:80/p", SOURCE_OVER_HTTP},
        {"ssh://git@h/p", SOURCE_OVER_SSH},
        {"git@h:p/q", SOURCE_OVER_SSH},
        {"h:p", SOURCE_OVER_SSH},
        {"git://h/p", SOURCE_OVER_GIT},
        {"file:///p", SOURCE_OVER_FILE},
        {"/p:q@r", SOURCE_OVER_FILE},
    };
    static const char *const bad[] = {
        "",
        "p",
        "./p",
        "../p:q",
        "a/b:c",
        "https://",
        "https://:1",
        "ssh://@h/p",
        "https://h:0/p",
        "https://h:65536",
        "https://h:/p",
        "https://u:@h/p",
        "ssh://-x/p",
        "-x:p",
        "h:",
        "u:p@h:q",
        "file://host/p",
        "file://",
        "https://h/ ",
        "https://h/\n",
        "https://h/#f",
        "svn://h/p",
        "ext::sh",
        "https://[::1/p",
        "u@:p",
        "https://bot@h/p",
        "https://h/p?token=x",
    };
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        SourceTransport transport;
        g_autoptr(GError) error = NULL;
        g_assert_true(source_check_git_url(good[i].url, &transport, &error));
        g_assert_cmpint(transport, ==, good[i].transport);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", bad[i]);
        if (!source_check_git_url(bad[i], NULL, &error)) {
            g_assert_null(strchr(error->message, '\n'));
            continue;
        }
        /* "ext::sh" is a host named ext by its form; ssh, which needs a key, is all it can become. */
        g_assert_cmpstr(bad[i], ==, "ext::sh");
    }
}

/* What is refused may hold a password, so no message repeats it. */
static void test_messages_are_discreet(void)
{
    static const char *const urls[] = {"https://u:hunter2@h/p", "u:hunter2@h:p",       "hunter2",
                                       "x://hunter2",           "https://hunter2:x/p", "https://h/hunter2 "};
    for (guint i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autoptr(GError) git = NULL, peer = NULL;
        g_assert_false(source_check_git_url(urls[i], NULL, &git));
        g_assert_false(source_check_peer_url(urls[i], &peer));
        g_assert_null(strstr(git->message, "hunter2"));
        g_assert_null(strstr(peer->message, "hunter2"));
    }
}

static void test_names_and_refs(void)
{
    static const char *const names[] = {"a", "A.b_c-1", "9"};
    static const char *const bad_names[] = {"", ".a", "-a", "a b", "a/b", "ä"};
    static const char *const refs[] = {"main", "release/2", "v1.0", "a@b"};
    static const char *const bad_refs[] = {
        "",    "/a", "a/",  "a//b", "a..b", ".a",  "a/.b", "a.lock", "a.lock/b", "-a", "a b",
        "a~1", "a^", "a:b", "a?",   "a*",   "a[b", "a\\b", "@",      "a@{1}",    "a.", "a\x7f"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_true(source_check_name(names[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad_names); i++)
        g_assert_false(source_check_name(bad_names[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(refs); i++)
        g_assert_true(source_check_ref(refs[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad_refs); i++) {
        g_test_message("%s", bad_refs[i]);
        g_assert_false(source_check_ref(bad_refs[i], NULL));
    }
}

/* --- JSON --- */

static char *to_json(const MirrorSource *source)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_CANONICAL);
    source_write(source, &w);
    return g_string_free(out, FALSE);
}

static MirrorSource *from_json(const char *json, GError **error)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(json, strlen(json), LIMIT_AGENT_LINE_BYTES, error);
    return doc != NULL ? source_read(json_doc_root(doc), error) : NULL;
}

static void assert_round_trip(const MirrorSource *source)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json = to_json(source);
    g_autoptr(MirrorSource) again = from_json(json, &error);
    g_assert_no_error(error);
    g_autofree char *same = to_json(again);
    g_assert_cmpstr(same, ==, json);
    g_assert_true(source_same_origin(source, again));
}

static MirrorSource *full_source(void)
{
    MirrorSource *source = git_source("ssh://h/p");
    set_text(&source->ref, "v1");
    source->ref_is_tag = TRUE;
    set_text(&source->path, "a/b");
    set_text(&source->pack, "c/d");
    set_globs(source->include, "é/**", "x");
    set_globs(source->exclude, "x/y", NULL);
    source->is_private = source->require_release = source->follow_removals = source->paused = TRUE;
    source->policy = PACK_POLICY_PREFERRED;
    set_text(&source->user, "bot");
    set_text(&source->ssh_key_file, "/k");
    set_text(&source->known_hosts_file, "/h");
    return source;
}

static void test_json(void)
{
    g_autoptr(MirrorSource) plain = git_source("/p");
    g_autoptr(MirrorSource) full = full_source();
    g_autoptr(MirrorSource) peer = source_new(SOURCE_PEER, "north");
    peer->url = g_strdup("https://n.example");
    peer->key_name = g_strdup("n.example");
    peer->key.bytes[31] = 5;
    peer->is_private = TRUE;
    set_text(&peer->token_file, "/t");
    assert_round_trip(plain);
    assert_round_trip(full);
    assert_round_trip(peer);
}

/* Every member that is missing or of another kind is refused, and nothing crashes. */
static void test_json_refused(void)
{
    g_autoptr(MirrorSource) full = full_source();
    g_autofree char *json = to_json(full);
    static const char *const changes[][2] = {
        {"\"name\":\"commons\"", "\"name\":\".\""},
        {"\"url\":\"ssh://h/p\"", "\"url\":7"},
        {"\"url\":\"ssh://h/p\"", "\"url\":\"ssh://u:p@h\""},
        {"\"policy\":\"preferred\"", "\"policy\":\"any\""},
        {"\"kind\":\"git\"", "\"kind\":\"svn\""},
        {"\"kind\":\"git\"", "\"kind\":\"peer\""},
        {"\"interval_s\":60", "\"interval_s\":0"},
        {"\"interval_s\":60", "\"interval_s\":-1"},
        {"\"include\":[", "\"include\":[7,"},
        {"\"include\":[", "\"include\":[\"/\","},
        {"\"exclude\":[\"x/y\"]", "\"exclude\":\"x\""},
        {"\"ssh_key_file\":\"/k\"", "\"ssh_key_file\":\"k\""},
        {"\"ssh_key_file\":\"/k\",", ""},
        {"\"paused\":true", "\"paused\":1"},
        {"\"paused\":true,", ""},
        {"\"path\":\"a/b\"", "\"path\":\"../b\""},
        {"\"pack\":\"c/d\"", "\"pack\":\".git\""},
        {"\"ref\":\"v1\"", "\"ref\":\"-v\""},
    };
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) parts = g_strsplit(json, changes[i][0], 2);
        g_assert_cmpuint(g_strv_length(parts), ==, 2);
        g_autofree char *changed = g_strjoinv(changes[i][1], parts);
        g_test_message("%s", changes[i][1]);
        g_assert_null(from_json(changed, &error));
        g_assert_true(error->domain == KONTOR_ERROR && strchr(error->message, '\n') == NULL);
    }
    g_assert_null(from_json("[]", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/source/wants", test_wants);
    g_test_add_func("/source/policy-hash", test_policy_hash);
    g_test_add_func("/source/origin", test_origin);
    g_test_add_func("/source/shown-url", test_shown_url);
    g_test_add_func("/source/git-urls", test_git_urls);
    g_test_add_func("/source/local-hosts", test_local_hosts);
    g_test_add_func("/source/messages-are-discreet", test_messages_are_discreet);
    g_test_add_func("/source/names-and-refs", test_names_and_refs);
    g_test_add_func("/source/json", test_json);
    g_test_add_func("/source/json-refused", test_json_refused);
    return g_test_run();
}
