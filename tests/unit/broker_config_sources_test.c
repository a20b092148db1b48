/* SPDX-License-Identifier: MIT
 *
 * `mirrors:` and `peers:` of kontor.yaml: every key, the defaults, each bad value with its exact line and
 * reason, and that what is printed reads back to the same sources.
 */
#include "broker/config_sources.h"

#include "schema/limits.h"
#include "signing/note.h"

#include <glib/gstdio.h>
#include <string.h>

#define KEY_TEXT "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

/* A data directory of its own for each test. */
typedef struct {
    char *dir, *file;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("kontor-sources-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    f->file = g_build_filename(f->dir, "kontor.yaml", NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_unlink(f->file);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->dir);
    g_free(f->file);
}

static Config *load(const Fixture *f, const char *text, GError **error)
{
    ConfigOverrides overrides = {.data_dir = f->dir};
    g_assert_true(g_file_set_contents(f->file, text, -1, NULL));
    return config_load(&overrides, error);
}

static Config *load_ok(const Fixture *f, const char *text)
{
    GError *error = NULL;
    Config *config = load(f, text, &error);
    g_assert_no_error(error);
    return config;
}

/* `message` is what follows "FILE:". */
static void assert_refused(const Fixture *f, const char *text, KontorErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = g_strdup_printf("%s:%s", f->file, message);
    g_assert_null(load(f, text, &error));
    g_assert_cmpstr(error->message, ==, expected);
    g_assert_error(error, KONTOR_ERROR, (int)code);
}

static const MirrorSource *nth(const Config *config, guint index)
{
    g_assert_cmpuint(index, <, config->sources->len);
    return g_ptr_array_index(config->sources, index);
}

static void assert_below(const Fixture *f, const char *path, const char *relative)
{
    g_autofree char *expected = g_build_filename(f->dir, relative, NULL);
    g_assert_cmpstr(path, ==, expected);
}

/* --- Reading --- */

static void test_defaults(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) c =
        load_ok(f, "mirrors:\n  - {name: commons, git: 'https://git.example/packs.git'}\n"
                   "peers:\n  - {name: north, url: 'https://north.example', key: " KEY_TEXT "}\n");
    g_assert_cmpuint(c->sources->len, ==, 2);
    const MirrorSource *git = nth(c, 0), *peer = nth(c, 1);
    g_assert_cmpint(git->kind, ==, SOURCE_GIT);
    g_assert_cmpstr(git->name, ==, "commons");
    g_assert_cmpstr(git->url, ==, "https://git.example/packs.git");
    g_assert_null(git->ref);
    g_assert_cmpstr(git->path, ==, "");
    g_assert_cmpuint(git->include->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(git->include, 0), ==, "**");
    g_assert_cmpuint(git->exclude->len, ==, 0);
    g_assert_false(git->is_private || git->require_release || git->follow_removals || git->paused);
    g_assert_cmpint(git->policy, ==, PACK_POLICY_REQUIRED);
    g_assert_cmpuint(git->interval_s, ==, LIMIT_SOURCE_INTERVAL_SECONDS);
    g_assert_cmpuint(git->bytes_max, ==, LIMIT_SOURCE_BYTES);
    g_assert_cmpuint(git->time_max_s, ==, LIMIT_SOURCE_SECONDS);
    g_assert_cmpint(peer->kind, ==, SOURCE_PEER);
    g_assert_cmpstr(peer->url, ==, "https://north.example");
    g_autofree char *key = base64_encode(peer->key.bytes, sizeof peer->key.bytes);
    g_assert_cmpstr(key, ==, KEY_TEXT);
    g_assert_null(peer->key_name);
    g_assert_cmpuint(c->warnings->len, ==, 0);
}

static const char every_key[] =
    "signed: {mirrors: preferred}\n"
    "mirrors:\n"
    "  - name: commons\n"
    "    git: https://git.example/packs.git\n"
    "    branch: release/2\n"
    "    path: data/packs\n"
    "    pack: history/rome\n"
    "    include: [history/**, 'arts/*']\n"
    "    exclude: history/drafts/**\n"
    "    visibility: private\n"
    "    interval: 5m\n"
    "    signed: off\n"
    "    require_release: true\n"
    "    removals: follow\n"
    "    max_bytes: 5GiB\n"
    "    max_time: 1h\n"
    "    paused: yes\n"
    "    token_file: commons.token\n"
    "    user: bot\n"
    "    ca: /etc/ssl/own.pem\n"
    "  - {name: Two_2.x, git: 'git@git.example:packs.git', tag: v1.0, ssh_key: keys/id, known_hosts: hosts}\n"
    "  - {name: three, git: 'https://git.example/c.git', netrc: netrc}\n"
    "  - {name: four, git: /srv/git/packs.git}\n"
    "peers:\n"
    "  - {name: north, url: 'http://127.0.0.1:8000/kontor', key: " KEY_TEXT ", token_file: north.token, "
    "interval: 1500ms}\n";

static void test_every_key(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) c = load_ok(f, every_key);
    g_assert_cmpuint(c->sources->len, ==, 5);
    const MirrorSource *one = nth(c, 0), *two = nth(c, 1), *north = nth(c, 4);
    g_assert_cmpstr(one->ref, ==, "release/2");
    g_assert_false(one->ref_is_tag);
    g_assert_cmpstr(one->path, ==, "data/packs");
    g_assert_cmpstr(one->pack, ==, "history/rome");
    g_assert_cmpuint(one->include->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(one->exclude, 0), ==, "history/drafts/**");
    g_assert_true(one->is_private && one->require_release && one->follow_removals && one->paused);
    g_assert_cmpuint(one->interval_s, ==, 300);
    g_assert_cmpint(one->policy, ==, PACK_POLICY_OFF);
    g_assert_cmpuint(one->bytes_max, ==, G_GUINT64_CONSTANT(5) << 30);
    g_assert_cmpuint(one->time_max_s, ==, 3600);
    assert_below(f, one->token_file, "commons.token");
    g_assert_cmpstr(one->user, ==, "bot");
    g_assert_cmpstr(one->ca_file, ==, "/etc/ssl/own.pem");
    g_assert_cmpstr(two->ref, ==, "v1.0");
    g_assert_true(two->ref_is_tag);
    g_assert_cmpint(two->policy, ==, PACK_POLICY_PREFERRED);
    assert_below(f, two->ssh_key_file, "keys/id");
    assert_below(f, two->known_hosts_file, "hosts");
    assert_below(f, nth(c, 2)->netrc_file, "netrc");
    assert_below(f, north->token_file, "north.token");
    g_assert_true(north->is_private);
    g_assert_cmpuint(north->interval_s, ==, 2);
}

static void test_verifier_key(Fixture *f, gconstpointer data)
{
    (void)data;
    PublicKey key;
    g_assert_true(base64_decode_exact(KEY_TEXT, key.bytes, sizeof key.bytes));
    g_autofree char *text = note_verifier_key_print("north.example/catalog", &key);
    g_autofree char *yaml =
        g_strdup_printf("peers:\n  - {name: north, url: 'https://north.example', key: '%s'}\n", text);
    g_autoptr(Config) c = load_ok(f, yaml);
    g_assert_true(public_key_equal(&nth(c, 0)->key, &key));
    g_assert_cmpstr(nth(c, 0)->key_name, ==, "north.example/catalog");
}

static void test_same_place_warns(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) c = load_ok(f, "mirrors:\n  - {name: a, git: /srv/p}\n  - {name: b, git: /srv/p}\n"
                                     "  - {name: c, git: /srv/p, branch: x}\n");
    g_autofree char *expected = g_strdup_printf("%s:3: 'a' and 'b' fetch from the same place", f->file);
    g_assert_cmpuint(c->warnings->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(c->warnings, 0), ==, expected);
}

/* --- Refusals --- */

typedef struct {
    const char *text, *message;
} Bad;

#define GIT "mirrors:\n  - {name: a, git: "
#define PEER "peers:\n  - {name: a, key: " KEY_TEXT ", url: "
#define SSH "mirrors:\n  - {name: a, git: 'ssh://git.example/p'"

static const Bad malformed[] = {
    {"mirrors: {a: b}\n", "1: mirrors: expected a list, found a mapping"},
    {"mirrors:\n  - commons\n", "2: mirrors[0]: expected a mapping, found a value"},
    {"mirrors:\n  -\n", "2: mirrors[0]: expected a mapping, found nothing"},
    {"mirrors:\n  - {git: /srv/p}\n", "2: mirrors[0]: has no 'name': a name of your choice"},
    {"mirrors:\n  - {name: a}\n", "2: mirrors[0]: has no 'git': the URL of the repository"},
    {"peers:\n  - {name: a, url: 'https://n.example'}\n",
     "2: peers[0]: has no 'key': the broker's public key, which its /version shows"},
    {"mirrors:\n  - {name: a, git: /p}\n  - {name: b, git: /q, brunch: x}\n",
     "3: mirrors[1].brunch: unknown key, did you mean 'branch'?"},
    {"mirrors:\n  - {name: a, git: /p, url: x}\n", "2: mirrors[0].url: unknown key"},
    {"peers:\n  - {name: a, branch: x}\n", "2: peers[0].branch: unknown key"},
    {"mirrors:\n  - {name: a, git: /p}\n  - {name: a, git: /q}\n",
     "3: mirrors[1].name: another source has this name; mirrors and peers need different ones"},
    {"mirrors:\n  - {name: a, git: /p}\npeers:\n  - name: a\n    url: http://n\n    key: " KEY_TEXT "\n",
     "4: peers[0].name: another source has this name; mirrors and peers need different ones"},
    {"mirrors:\n  - {name: .a, git: /p}\n",
     "2: mirrors[0].name: expected a name of at most 64 letters, digits, '.', '_' and '-' that begins with a "
     "letter or digit, such as commons"},
    {"mirrors:\n  - name: a\n    git: /p\n    branch: x\n    tag: y\n",
     "5: mirrors[0].tag: given together with branch; keep one of them"},
    {GIT "/p, branch: 'a b'}\n",
     "2: mirrors[0].branch: git allows no such name of a branch or tag; write it as 'git branch' shows it"},
    {GIT "/p, tag: '-x'}\n",
     "2: mirrors[0].tag: git allows no such name of a branch or tag; write it as 'git branch' shows it"},
    {GIT "packs.git}\n", "2: mirrors[0].git: a path of this host must be absolute, such as "
                         "/srv/git/packs.git; for another host write a URL"},
    {GIT "./a:b}\n", "2: mirrors[0].git: a path of this host must be absolute, such as "
                     "/srv/git/packs.git; for another host write a URL"},
    {GIT "'file:packs'}\n", "2: mirrors[0].git: ssh needs a private key; name its file by ssh_key"},
    {GIT "'file://packs'}\n",
     "2: mirrors[0].git: a file URL names an absolute path: file:///srv/git/packs.git"},
    {GIT "'https://bot:secret@git.example/p'}\n",
     "2: mirrors[0].git: there is a password in the URL; put it into a file named by token_file"},
    {GIT "'bot:secret@git.example:p'}\n",
     "2: mirrors[0].git: there is a password in the URL; put it into a file named by token_file"},
    {GIT "'https://git.example/p#x'}\n",
     "2: mirrors[0].git: a URL here has no '?' and no '#'; a token belongs into a file named by token_file"},
    {GIT "'https:///p'}\n", "2: mirrors[0].git: the URL names no host"},
    {GIT "'https://-oProxy/p'}\n", "2: mirrors[0].git: the URL names no host"},
    {GIT "'git://h:99999/p'}\n", "2: mirrors[0].git: the port of the URL is not a number from 1 to 65535"},
    {GIT "'https://h/a b'}\n", "2: mirrors[0].git: expected a URL without blanks and control characters"},
    {GIT "''}\n", "2: mirrors[0].git: expected a URL without blanks and control characters"},
    {SSH "}\n", "2: mirrors[0].git: ssh needs a private key; name its file by ssh_key"},
    {SSH ", ssh_key: k}\n",
     "2: mirrors[0].git: ssh needs the host's key; name a file by known_hosts (ssh-keyscan HOST makes one; "
     "compare it with what the host's owner says)"},
    {SSH ", ssh_key: k, known_hosts: h, token_file: t}\n",
     "2: mirrors[0].token_file: only a repository over https can be given a token"},
    {GIT "/p, ssh_key: k}\n", "2: mirrors[0].ssh_key: only a repository over ssh uses a key"},
    {GIT "/p, ca: k}\n", "2: mirrors[0].ca: only a URL with https has certificates"},
    {GIT "'https://h/p', token_file: t, netrc: n}\n",
     "2: mirrors[0].netrc: given together with token_file; keep one of them"},
    {GIT "/p, token_file: ''}\n", "2: mirrors[0].token_file: expected the name of a file, found nothing"},
    {GIT "/p, user: 'a:b'}\n", "2: mirrors[0].user: expected a user name without blanks, ':', '@' and '/'"},
    {GIT "/p, visibility: hidden}\n", "2: mirrors[0].visibility: expected one of public, private"},
    {GIT "/p, signed: yes}\n", "2: mirrors[0].signed: expected one of off, preferred, required"},
    {GIT "/p, removals: now}\n", "2: mirrors[0].removals: expected one of keep, follow"},
    {GIT "/p, include: []}\n",
     "2: mirrors[0].include: an empty list would bring nothing; leave it out for everything"},
    {GIT "/p, include: {}}\n", "2: mirrors[0].include: expected a list, found a mapping"},
    {GIT "/p, interval: 60}\n",
     "2: mirrors[0].interval: expected a duration such as 500ms, 30s, 5m, 12h or 7d, found '60'"},
    {PEER "'https://n.example/'}\n", "2: peers[0].url: a peer's URL ends without a slash"},
    {PEER "'https://n.example?token=x'}\n",
     "2: peers[0].url: a URL here has no '?' and no '#'; a token belongs into a file named by token_file"},
    {PEER "'https://bot@n.example'}\n", "2: peers[0].url: there is a user in the URL; take it out, and put a "
                                        "token into a file named by token_file"},
    {PEER "'http://n.example', token_file: t}\n",
     "2: peers[0].token_file: over http everybody on the way could read the token; use https"},
    {PEER "'https://n.example', token_file: t, visibility: public}\n",
     "2: peers[0].visibility: what a peer shows to a token is private; take out 'visibility: public', or "
     "token_file"},
    {"peers:\n  - {name: a, url: 'http://n', key: abc}\n",
     "2: peers[0].key: expected the peer's public key: base64 of 32 bytes, or the verifier key that its "
     "/version shows (name+hash+base64)"},
};

static void test_malformed(Fixture *f, gconstpointer data)
{
    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(malformed); i++)
        assert_refused(f, malformed[i].text, KONTOR_ERROR_MALFORMED, malformed[i].message);
}

static void test_beyond_limits(Fixture *f, gconstpointer data)
{
    (void)data;
    static const Bad bad[] = {
        {GIT "/p, interval: 500ms}\n", "2: mirrors[0].interval: '500ms' is not between 1s and 365d"},
        {GIT "/p, max_time: 2d}\n", "2: mirrors[0].max_time: '2d' is not between 1s and 1d"},
        {GIT "/p, max_bytes: 0}\n", "2: mirrors[0].max_bytes: '0' is not between 1B and 1024TiB"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_refused(f, bad[i].text, KONTOR_ERROR_LIMIT, bad[i].message);
    g_autoptr(GString) many = g_string_new("mirrors:\n");
    for (guint i = 0; i <= LIMIT_SOURCES; i++)
        g_string_append_printf(many, "  - {name: n%u, git: /p%u}\n", i, i);
    assert_refused(f, many->str, KONTOR_ERROR_LIMIT, "1: mirrors: more than 1000 sources");
}

static void test_unsupported(Fixture *f, gconstpointer data)
{
    (void)data;
    assert_refused(
        f, GIT "'ftp://h/p'}\n", KONTOR_ERROR_UNSUPPORTED,
        "2: mirrors[0].git: the scheme of the URL is not supported; use https, http, ssh, git or file");
    assert_refused(f, GIT "'ext::sh -c x'}\n", KONTOR_ERROR_MALFORMED,
                   "2: mirrors[0].git: expected a URL without blanks and control characters");
    assert_refused(f, PEER "'north.example'}\n", KONTOR_ERROR_UNSUPPORTED,
                   "2: peers[0].url: expected the URL of a broker, such as https://north.example");
}

/* --- Printing --- */

static void test_round_trip(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) once = load_ok(f, every_key);
    g_autofree char *yaml = config_to_yaml(once);
    g_autoptr(Config) twice = load_ok(f, yaml);
    g_autofree char *again = config_to_yaml(twice);
    g_assert_cmpstr(yaml, ==, again);
    g_assert_cmpuint(twice->sources->len, ==, once->sources->len);
    for (guint i = 0; i < once->sources->len; i++) {
        g_autoptr(GString) a = g_string_new(NULL), b = g_string_new(NULL);
        g_auto(JsonWriter) wa, wb;
        json_writer_init(&wa, a, JSON_STYLE_CANONICAL);
        json_writer_init(&wb, b, JSON_STYLE_CANONICAL);
        source_write(nth(once, i), &wa);
        source_write(nth(twice, i), &wb);
        g_assert_cmpstr(a->str, ==, b->str);
    }
}

/* A new key without its row in both documents fails here. */
static void test_every_key_is_documented(void)
{
    g_autofree char *guide = NULL, *manual = NULL;
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/../docs/configuration.md", &guide, NULL, NULL));
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/../deploy/man/kontor.yaml.5", &manual, NULL, NULL));
    for (guint kind = SOURCE_GIT; kind <= SOURCE_PEER; kind++) {
        g_autofree const char **keys = config_sources_keys((SourceKind)kind);
        for (guint i = 0; keys[i] != NULL; i++) {
            g_autofree char *row = g_strdup_printf("\n| `%s` |", keys[i]);
            g_autofree char *item = g_strdup_printf(".It Cm %s\n", keys[i]);
            g_test_message("%s", keys[i]);
            g_assert_nonnull(strstr(guide, row));
            g_assert_nonnull(strstr(manual, item));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
#define ADD(path, function) g_test_add("/config-sources/" path, Fixture, NULL, set_up, function, tear_down)
    ADD("defaults", test_defaults);
    ADD("every-key", test_every_key);
    ADD("verifier-key", test_verifier_key);
    ADD("same-place-warns", test_same_place_warns);
    ADD("malformed", test_malformed);
    ADD("beyond-limits", test_beyond_limits);
    ADD("unsupported", test_unsupported);
    ADD("round-trip", test_round_trip);
    g_test_add_func("/config-sources/every-key-is-documented", test_every_key_is_documented);
    return g_test_run();
}
