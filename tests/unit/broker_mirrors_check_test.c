/* SPDX-License-Identifier: MIT
 *
 * The mirrors with an agent that lies. This program is its own agent: it really installs a release, and then
 * says of it what a variable of the world tells it to say. Whatever is not so must leave no trace in what is
 * held.
 */
#include "broker/mirrors/mirrors.h"

#include "mirror/agent/agent_message.h"
#include "mirror/store/dir_tree.h"
#include "mirror/store/pack_content.h"
#include "mirror/store/release_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIE "lie"
#define PATH "history/rome"
#define DATE "2026-05-01T12:00:00Z"

static void fingerprint_of(guint8 number, char ret[FINGERPRINT_CHARS + 1])
{
    guint8 seed[32];
    PublicKey key;
    memset(seed, number, sizeof seed);
    g_autoptr(SecretKey) secret = secret_key_from_seed(seed);
    secret_key_public(secret, &key);
    public_key_fingerprint(&key, ret);
}

/* --- The agent --- */

static void say(int fd, const AgentEvent *event)
{
    g_autoptr(GString) line = g_string_new(NULL);
    agent_event_write(event, line);
    if (send(fd, line->str, line->len, MSG_NOSIGNAL) != (ssize_t)line->len)
        _exit(9);
}

static gboolean hear_job(int fd, AgentJob *ret)
{
    g_autoptr(GString) heard = g_string_new(NULL);
    for (char c; read(fd, &c, 1) == 1 && c != '\n';)
        g_string_append_c(heard, c);
    return heard->len > 0 && agent_job_parse(heard->str, heard->len, ret, NULL);
}

static void add(Staging *staging, const char *name, const char *text)
{
    if (!staging_add(staging, name, text, strlen(text), NULL))
        _exit(7);
}

/* A release of `version` by the key of that number, installed. */
static void install(ReleaseStore *store, guint8 key, const char *version, gboolean withdrawn,
                    guint8 ret_digest[SHA256_BYTES])
{
    guint8 seed[32];
    memset(seed, key, sizeof seed);
    g_autoptr(SecretKey) secret = secret_key_from_seed(seed);
    g_autoptr(GPtrArray) batch = g_ptr_array_new_with_free_func((GDestroyNotify)staging_free);
    Staging *staging = staging_new(store, PATH, NULL);
    g_ptr_array_add(batch, staging);
    g_autofree char *manifest = g_strdup_printf("name: rome\nversion: %s\n", version);
    add(staging, "manifest.yaml", manifest);
    add(staging, "wiki/index.md", "| File | Title | Summary |\n|---|---|---|\n| concepts/a.md | A | a |\n");
    add(staging, "wiki/concepts/a.md", "A\n");
    ReleaseOptions options = {
        .path = PATH, .signer_name = "Somebody", .published_at = DATE, .withdrawn = withdrawn};
    g_autoptr(PackContent) content = staging_content(staging, 1, NULL, NULL);
    g_autofree char *text = release_sign(content, &options, secret, NULL);
    g_autoptr(ManifestSig) sig = text != NULL ? manifest_sig_parse(text, strlen(text), NULL) : NULL;
    if (sig == NULL)
        _exit(6);
    add(staging, "manifest.sig", text);
    release_digest(sig, ret_digest);
    staging_set_digest(staging, ret_digest);
    if (!release_store_install(store, batch, NULL))
        _exit(5);
}

static SyncResult *result_of(const char *version, guint8 key, const guint8 *digest)
{
    SyncResult *result = g_new0(SyncResult, 1);
    MirroredPack *pack = g_new0(MirroredPack, 1);
    char fingerprint[FINGERPRINT_CHARS + 1];
    fingerprint_of(key, fingerprint);
    result->identity = g_strdup("seen");
    result->pack = pack;
    pack->path = g_strdup(PATH);
    pack->source = g_strdup("library");
    pack->policy = PACK_POLICY_REQUIRED;
    pack->fingerprint = g_strdup(fingerprint);
    pack->publisher = g_strdup("Somebody else");
    pack->version = g_strdup(version);
    pack->published_at = g_strdup(DATE);
    pack->origin = g_strdup("here");
    memcpy(pack->digest, digest, SHA256_BYTES);
    return result;
}

static void replace(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

/* What is said of release 1.0.0 of key 1; `lie` "" is the truth. */
static void bend(const char *lie, ReleaseStore *store, SyncResult *result)
{
    MirroredPack *pack = result->pack;
    char other[FINGERPRINT_CHARS + 1];
    fingerprint_of(2, other);
    if (strcmp(lie, "path") == 0)
        replace(&pack->path, "secret/plan");
    else if (strcmp(lie, "wrong path") == 0)
        replace(&pack->path, "history/greece");
    else if (strcmp(lie, "version") == 0)
        replace(&pack->version, "999.0.0");
    else if (strcmp(lie, "publisher") == 0)
        replace(&pack->fingerprint, other);
    else if (strcmp(lie, "unsigned") == 0) {
        replace(&pack->fingerprint, "");
        replace(&pack->version, "");
        replace(&pack->published_at, "");
    } else if (strcmp(lie, "date") == 0)
        replace(&pack->published_at, "2026-06-01T12:00:00Z");
    else if (strcmp(lie, "digest") == 0)
        pack->digest[0] ^= 1;
    else if (strcmp(lie, "withdrawn") == 0) {
        result->outcome = OUTCOME_WITHDRAWN;
        replace(&pack->version, "1.0.0");
    } else if (strcmp(lie, "no tombstone") == 0)
        install(store, 1, "1.0.0", TRUE, pack->digest);
    else if (strcmp(lie, "hijack") == 0) {
        install(store, 2, "2.0.0", FALSE, pack->digest);
        replace(&pack->version, "2.0.0");
        replace(&pack->fingerprint, other);
    } else if (strcmp(lie, "stranger") == 0) {
        install(store, 3, "2.0.0", FALSE, pack->digest);
        replace(&pack->version, "2.0.0");
        fingerprint_of(3, other);
        replace(&pack->fingerprint, other);
    } else if (strcmp(lie, "tombstone") == 0) {
        install(store, 1, "1.0.0", TRUE, pack->digest);
        result->outcome = OUTCOME_WITHDRAWN;
    } else if (strcmp(lie, "refused elsewhere") == 0) {
        result->outcome = OUTCOME_REFUSED;
        result->rule = ACCEPT_HASH;
        result->reason = g_strdup("no");
        replace(&pack->path, "secret/plan");
    }
}

static int act(int fd, const char *store_dir)
{
    g_autofree char *path = g_build_filename(store_dir, LIE, NULL);
    g_autofree char *lie = NULL;
    g_autoptr(ReleaseStore) store = release_store_open(store_dir, /* clean= */ FALSE, NULL);
    say(fd, &(AgentEvent){.kind = AGENT_HELLO});
    for (;;) {
        g_auto(AgentJob) job = {0};
        guint8 digest[SHA256_BYTES];
        if (!hear_job(fd, &job) || !g_file_get_contents(path, &lie, NULL, NULL))
            return 0;
        install(store, 1, "1.0.0", FALSE, digest);
        g_autoptr(SyncResult) result = result_of("1.0.0", 1, digest);
        bend(lie, store, result);
        say(fd, &(AgentEvent){.kind = AGENT_RESULT, .job = job.id, .result = result});
        if (strcmp(lie, "two publishers") == 0) {
            g_autoptr(SyncResult) second = result_of("2.0.0", 2, digest);
            install(store, 2, "2.0.0", FALSE, second->pack->digest);
            say(fd, &(AgentEvent){.kind = AGENT_RESULT, .job = job.id, .result = second});
        }
        g_autofree char *state = g_strdup("told"), *policy = g_strdup("");
        say(fd, &(AgentEvent){
                    .kind = AGENT_DONE, .job = job.id, .ok = TRUE, .state = state, .policy_hash = policy});
    }
}

/* --- The world --- */

typedef struct {
    char *data;
    Config *config;
    gboolean ok;
    char *error;
} World;

static void write_file(const World *world, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(world->data, name, NULL);
    g_autofree char *directory = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void world_init(World *world)
{
    g_autoptr(GError) error = NULL;
    char one[FINGERPRINT_CHARS + 1], two[FINGERPRINT_CHARS + 1];
    *world = (World){.data = g_dir_make_tmp("kontor-mirrors-XXXXXX", NULL)};
    fingerprint_of(1, one);
    fingerprint_of(2, two);
    g_autofree char *trust =
        g_strdup_printf("publishers:\n- fingerprint: '%s'\n  name: Anna\n- fingerprint: '%s'\n", one, two);
    write_file(world, "trusted_publishers.yaml", trust);
    write_file(world, "kontor.yaml",
               "mirrors:\n  - {name: library, git: 'file:///nowhere', include: ['history/**']}\n");
    world->config = config_load(&(ConfigOverrides){.data_dir = world->data}, &error);
    g_assert_no_error(error);
}

static void world_clear(World *world)
{
    config_unref(world->config);
    g_assert_true(dir_tree_remove(AT_FDCWD, world->data, NULL));
    g_free(world->data);
    g_free(world->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static void on_event(const char *json, gpointer user)
{
    World *world = user;
    if (strstr(json, "\"event\":\"ended\"") == NULL)
        return;
    world->ok = strstr(json, "\"ok\":true") != NULL;
    g_free(world->error);
    world->error = g_strdup(json);
}

static void sync_with(World *world, const char *lie)
{
    g_autoptr(GError) error = NULL;
    write_file(world, "store/" LIE, lie);
    g_assert_true(
        mirrors_run_once(world->config, &(MirrorsWish){.source = "library"}, on_event, world, &error));
    g_assert_no_error(error);
    g_assert_nonnull(world->error);
}

/* What is held at a path; NULL: nothing. */
static MirroredPack *held_at(const World *world, const char *path)
{
    MirroredPack *held = NULL;
    g_autofree char *db_path = g_build_filename(world->data, "store", "mirror.db", NULL);
    g_autoptr(MirrorDb) db = mirror_db_open(db_path, DB_READ, NULL);
    g_assert_true(mirror_db_held(db, path, FALSE, &held, NULL));
    return held;
}

static void assert_held(const World *world, const char *version, gboolean withdrawn)
{
    g_autoptr(MirroredPack) held = held_at(world, PATH);
    char one[FINGERPRINT_CHARS + 1];
    fingerprint_of(1, one);
    g_assert_nonnull(held);
    g_assert_cmpstr(held->version, ==, version);
    g_assert_cmpstr(held->fingerprint, ==, one);
    g_assert_cmpint(held->withdrawn, ==, withdrawn);
    /* The name is the trust list's, whatever the agent says. */
    g_assert_cmpstr(held->publisher, ==, "Anna");
}

/* --- Tests --- */

static void test_truth(void)
{
    g_auto(World) world;
    world_init(&world);
    sync_with(&world, "");
    g_assert_true(world.ok);
    assert_held(&world, "1.0.0", FALSE);
    sync_with(&world, "tombstone");
    g_assert_true(world.ok);
    assert_held(&world, "1.0.0", TRUE);
    /* The same version does not come back. */
    sync_with(&world, "");
    g_assert_true(world.ok);
    assert_held(&world, "1.0.0", TRUE);
}

static void test_lies(void)
{
    static const struct {
        const char *lie, *says;
    } cases[] = {
        {"path", "not to bring that path"},       {"refused elsewhere", "not to bring that path"},
        {"version", "not that of manifest.sig"},  {"publisher", "not that of manifest.sig"},
        {"unsigned", "not that of manifest.sig"}, {"date", "not that of manifest.sig"},
        {"digest", "not in the store"},           {"withdrawn", "no tombstone"},
        {"no tombstone", "no tombstone"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(World) world;
        world_init(&world);
        sync_with(&world, cases[i].lie);
        if (world.ok)
            g_error("%s: believed", cases[i].lie);
        if (strstr(world.error, cases[i].says) == NULL)
            g_error("%s: %s", cases[i].lie, world.error);
        g_assert_null(held_at(&world, PATH));
        g_assert_null(held_at(&world, "secret/plan"));
        /* An honest one finds everything as it was. */
        sync_with(&world, "");
        g_assert_true(world.ok);
        assert_held(&world, "1.0.0", FALSE);
        sync_with(&world, cases[i].lie);
        assert_held(&world, "1.0.0", FALSE);
    }
}

/* What an honest agent with an old trust list may say, too, is refused by its rule. */
static void test_not_allowed(void)
{
    static const char *const lies[] = {"hijack", "stranger", "wrong path"};
    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_auto(World) world;
        world_init(&world);
        sync_with(&world, "");
        sync_with(&world, lies[i]);
        if (!world.ok)
            g_error("%s: %s", lies[i], world.error);
        g_assert_nonnull(strstr(world.error, "\"refused\":1"));
        assert_held(&world, "1.0.0", FALSE);
        g_assert_null(held_at(&world, "history/greece"));
    }
}

/* Whether both come together or one after the other: the second one never takes the path over. */
static void test_two_publishers(void)
{
    g_auto(World) world;
    char two[FINGERPRINT_CHARS + 1];
    world_init(&world);
    fingerprint_of(2, two);
    sync_with(&world, "two publishers");
    g_assert_true(!world.ok || strstr(world.error, "\"refused\":1") != NULL);
    g_autoptr(MirroredPack) held = held_at(&world, PATH);
    g_assert_true(held == NULL || strcmp(held->fingerprint, two) != 0);
}

int main(int argc, char **argv)
{
    signing_init();
    if (argc == 6 && strcmp(argv[1], "agent") == 0)
        return act(argv[3][0] - '0', argv[5]);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mirrors_check/truth", test_truth);
    g_test_add_func("/mirrors_check/lies", test_lies);
    g_test_add_func("/mirrors_check/not-allowed", test_not_allowed);
    g_test_add_func("/mirrors_check/two-publishers", test_two_publishers);
    return g_test_run();
}
