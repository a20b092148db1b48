/* SPDX-License-Identifier: MIT
 *
 * The intake with a real store and a real mirror.db: who may replace whom under each policy, what is
 * installed and reported when, and what is known afterwards.
 */
#include "store_world.h"

#include "mirror/agent/intake.h"
#include "schema/limits.h"

#include <unistd.h>

#define PATH "history/rome"

/* --- People --- */

typedef enum { NOBODY, ANNA, BOB, CARLA, DORA, EVE } Person;

static SecretKey *key_of(Person person)
{
    guint8 seed[32];
    memset(seed, person, sizeof seed);
    return secret_key_from_seed(seed);
}

static void fingerprint_of(Person person, char ret[FINGERPRINT_CHARS + 1])
{
    g_autoptr(SecretKey) key = key_of(person);
    PublicKey public_key;
    secret_key_public(key, &public_key);
    public_key_fingerprint(&public_key, ret);
}

/* Anna and Bob are trusted, Carla for this very path, Eve no more, and nobody knows Dora. */
static TrustList *trust_list(void)
{
    static const char *const more[] = {
        [ANNA] = "", [BOB] = "", [CARLA] = "  paths: [history/rome]\n", [EVE] = "  revoked: true\n"};
    g_autoptr(GString) text = g_string_new("publishers:\n");
    for (Person person = ANNA; person <= EVE; person++) {
        char fingerprint[FINGERPRINT_CHARS + 1];
        fingerprint_of(person, fingerprint);
        if (more[person] != NULL)
            g_string_append_printf(text, "- fingerprint: '%s'\n  name: N%d\n%s", fingerprint, (int)person,
                                   more[person]);
    }
    return trust_list_parse("trust", text->str, text->len, NULL);
}

/* --- The world --- */

typedef struct {
    StoreWorld store;
    MirrorDb *db;
    TrustList *trust;
    MirrorSource *sources[2];
    char *policy_hash;
    GPtrArray *results; /* of SyncResult *: of the latest sync */
    SyncProgress progress;
    guint told; /* progress reports */
} World;

static void tell_sources(World *world, gboolean both)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    const char *const names[] = {"one", both ? "two" : NULL, NULL};
    const char *const origins[] = {"origin one", both ? "origin two" : NULL, NULL};
    g_assert_true(mirror_db_set_sources(world->db, names, origins, &changes, &error));
    g_assert_no_error(error);
}

static void world_init(World *world)
{
    g_autoptr(GError) error = NULL;
    *world = (World){0};
    store_world_init(&world->store);
    g_autofree char *path = g_build_filename(world->store.top, "mirror.db", NULL);
    world->db = mirror_db_open(path, DB_WRITE, &error);
    g_assert_no_error(error);
    world->trust = trust_list();
    world->sources[0] = source_new(SOURCE_GIT, "one");
    world->sources[1] = source_new(SOURCE_GIT, "two");
    world->policy_hash = g_strdup("0123456789abcdef0123456789abcdef");
    world->results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    tell_sources(world, TRUE);
}

static void world_clear(World *world)
{
    g_ptr_array_unref(world->results);
    g_free(world->policy_hash);
    source_unref(world->sources[0]);
    source_unref(world->sources[1]);
    trust_list_unref(world->trust);
    mirror_db_close(world->db);
    store_world_clear(&world->store);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static void on_progress(const SyncProgress *progress, gpointer user)
{
    World *world = user;
    world->progress = *progress;
    world->told++;
}

static void on_result(SyncResult *result, gpointer user)
{
    g_ptr_array_add(((World *)user)->results, result);
}

static void on_alarm(const char *kind G_GNUC_UNUSED, const char *reason G_GNUC_UNUSED,
                     gpointer user G_GNUC_UNUSED)
{
    g_assert_not_reached();
}

static SyncJob job_of(World *world, guint source)
{
    return (SyncJob){.source = world->sources[source],
                     .store = world->store.store,
                     .db = world->db,
                     .trust = world->trust,
                     .policy_hash = world->policy_hash,
                     .state = "",
                     .known_policy_hash = "",
                     .store_dir = world->store.top,
                     .deadline_us = G_MAXINT64,
                     .threads = 1,
                     .hooks = {on_progress, on_result, on_alarm, world}};
}

/* --- Packs --- */

typedef struct {
    Person signer;
    const char *version;
    const char *text;    /* of its page */
    gboolean no_release; /* only what existing software signs */
    gboolean withdrawn, forged;
    const char *picture; /* a file that only a release covers; NULL: none */
    const char *path;    /* in the release; NULL: PATH */
} Offer;

static char *sign(const PackContent *content, const Offer *offer)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SecretKey) key = key_of(offer->signer);
    ReleaseOptions options = {.path = offer->path != NULL ? offer->path : PATH,
                              .signer_name = "Somebody",
                              .published_at = "2026-05-01T12:00:00Z",
                              .withdrawn = offer->withdrawn};
    char *sig = release_sign(content, &options, key, &error);
    g_assert_no_error(error);
    if (!offer->no_release)
        return sig;
    const char *from = strstr(sig, "  \"release\": "), *to = strstr(sig, "  \"signature_b64\": ");
    char *stripped = g_strdup_printf("%.*s%s", (int)(from - sig), sig, to);
    g_free(sig);
    return stripped;
}

static Staging *stage(Intake *intake, const Offer *offer)
{
    g_autoptr(GError) error = NULL;
    Staging *staging = intake_stage(intake, PATH, &error);
    g_assert_no_error(error);
    g_autofree char *manifest = g_strdup_printf("name: rome\nversion: %s\n", offer->version);
    store_world_add(staging, "manifest.yaml", manifest);
    store_world_add(staging, "wiki/index.md",
                    "| File | Title | Summary |\n|---|---|---|\n| concepts/a.md | A | first |\n");
    store_world_add(staging, "wiki/concepts/a.md", offer->text != NULL ? offer->text : "page\n");
    if (offer->picture != NULL)
        store_world_add(staging, "wiki/picture.svg", offer->picture);
    if (offer->signer == NOBODY)
        return staging;
    g_autoptr(PackContent) content = staging_content(staging, 1, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *sig = sign(content, offer);
    store_world_add(staging, "manifest.sig", sig);
    if (offer->forged)
        store_world_add(staging, "wiki/forged.md", "not signed\n");
    return staging;
}

/* One sync of one source that offers one pack, to the end. Returns its only result, borrowed. */
static const SyncResult *offer(World *world, guint source, const Offer *what, const char *identity,
                               const guint8 *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    SyncJob job = job_of(world, source);
    g_autoptr(Intake) intake = intake_new(&job);
    g_ptr_array_set_size(world->results, 0);
    g_assert_true(intake_offer(intake, PATH, identity, "origin", stage(intake, what), expected, &error));
    g_assert_no_error(error);
    g_assert_true(intake_flush(intake, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(world->results->len, ==, 1);
    const SyncResult *result = g_ptr_array_index(world->results, 0);
    g_assert_cmpint(result->outcome == OUTCOME_REFUSED, ==, result->reason != NULL);
    g_assert_true(
        mirror_db_apply(world->db, world->sources[source]->name, world->results, FALSE, 1, &changes, &error));
    g_assert_no_error(error);
    return result;
}

static void assert_outcome(World *world, guint source, const Offer *what, AcceptRule expected)
{
    static guint counter;
    g_autofree char *identity = g_strdup_printf("id%u", counter++);
    const SyncResult *result = offer(world, source, what, identity, NULL);
    AcceptRule rule = result->outcome == OUTCOME_REFUSED     ? result->rule
                      : result->outcome == OUTCOME_WITHDRAWN ? ACCEPT_WITHDRAWN
                                                             : ACCEPT_OK;
    g_assert_cmpstr(accept_rule_name(rule), ==, accept_rule_name(expected));
}

static void set_policy(World *world, PackPolicy policy)
{
    world->sources[0]->policy = world->sources[1]->policy = policy;
}

/* --- Policies --- */

static void test_required(void)
{
    g_auto(World) world;
    world_init(&world);
    assert_outcome(&world, 0, &(Offer){NOBODY, "1.0.0"}, ACCEPT_UNSIGNED);
    assert_outcome(&world, 0, &(Offer){DORA, "1.0.0"}, ACCEPT_UNTRUSTED);
    assert_outcome(&world, 0, &(Offer){EVE, "1.0.0"}, ACCEPT_REVOKED);
    assert_outcome(&world, 0, &(Offer){ANNA, "1.0.0", .forged = TRUE}, ACCEPT_UNLISTED);
    assert_outcome(&world, 0, &(Offer){ANNA, "1.0.0", .path = "history/venice"}, ACCEPT_WRONG_PATH);
    g_assert_cmpuint(store_world_count(&world.store, "releases"), ==, 0);
    assert_outcome(&world, 0, &(Offer){ANNA, "2.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){ANNA, "1.9.0"}, ACCEPT_ROLLBACK);
    assert_outcome(&world, 1, &(Offer){ANNA, "2.0.0", "other\n"}, ACCEPT_CONFLICT);
    assert_outcome(&world, 1, &(Offer){ANNA, "2.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 1, &(Offer){BOB, "9.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){ANNA, "2.0.0", .no_release = TRUE}, ACCEPT_ROLLBACK);
    assert_outcome(&world, 0, &(Offer){ANNA, "2.1.0"}, ACCEPT_OK);
    assert_outcome(&world, 1, &(Offer){CARLA, "0.1.0"}, ACCEPT_OK);
    g_assert_cmpuint(store_world_count(&world.store, "tmp"), ==, 0);
}

static void test_preferred(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    assert_outcome(&world, 0, &(Offer){EVE, "1.0.0"}, ACCEPT_REVOKED);
    assert_outcome(&world, 0, &(Offer){NOBODY, "1.0.0"}, ACCEPT_OK);
    /* The same content from elsewhere replaces nothing; other content may not. */
    assert_outcome(&world, 1, &(Offer){NOBODY, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 1, &(Offer){NOBODY, "2.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 1, &(Offer){DORA, "3.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){NOBODY, "0.1.0"}, ACCEPT_OK);
    /* Signing is a step up, … */
    assert_outcome(&world, 0, &(Offer){DORA, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){DORA, "0.9.0"}, ACCEPT_ROLLBACK);
    /* … and there is none down again. */
    assert_outcome(&world, 0, &(Offer){NOBODY, "5.0.0"}, ACCEPT_HIJACK);
    /* Who is trusted need not wait for who was tolerated. */
    assert_outcome(&world, 1, &(Offer){ANNA, "0.1.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){DORA, "7.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){NOBODY, "7.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){BOB, "7.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){DORA, "7.0.0", .forged = TRUE}, ACCEPT_UNLISTED);
}

static void test_off(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_OFF);
    /* Nobody looks at signatures, so nobody's is counted. */
    assert_outcome(&world, 0, &(Offer){EVE, "1.0.0", .forged = TRUE}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){NOBODY, "0.5.0"}, ACCEPT_OK);
    assert_outcome(&world, 1, &(Offer){ANNA, "2.0.0"}, ACCEPT_HIJACK);
    world.sources[1]->policy = PACK_POLICY_REQUIRED;
    assert_outcome(&world, 1, &(Offer){ANNA, "2.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){NOBODY, "3.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){ANNA, "3.0.0"}, ACCEPT_HIJACK);
}

static void test_off_keeps_promises(void)
{
    g_auto(World) world;
    guint8 release[SHA256_BYTES];
    world_init(&world);
    const Offer what = {ANNA, "1.0.0"};
    memcpy(release, offer(&world, 0, &what, "a", NULL)->pack->digest, sizeof release);
    g_auto(World) other;
    world_init(&other);
    set_policy(&other, PACK_POLICY_OFF);
    /* A peer promises the digest of the release; here the content counts. */
    const SyncResult *result = offer(&other, 0, &what, "a", release);
    g_assert_cmpint(result->outcome, ==, OUTCOME_INSTALLED);
    g_assert_cmpmem(result->pack->digest, SHA256_BYTES, result->pack->content_sha256, SHA256_BYTES);
    const Offer changed = {ANNA, "1.0.0", .text = "changed\n"};
    g_assert_cmpint(offer(&other, 0, &changed, "b", release)->rule, ==, ACCEPT_HASH);
}

/* --- Tombstones --- */

/* Of what is withdrawn the store keeps the signature alone, and that counts as whole. */
static void assert_bare(World *world, const SyncResult *result)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) sig = NULL;
    g_autofree char *problem = NULL;
    char hex[SHA256_HEX_CHARS + 1];
    g_assert_cmpint(result->outcome, ==, OUTCOME_WITHDRAWN);
    hex_encode(result->pack->digest, SHA256_BYTES, hex);
    ReleaseStore *store = job_of(world, 0).store;
    g_autofree char *manifest =
        g_build_filename(release_store_releases_dir(store), hex, "manifest.yaml", NULL);
    g_assert_false(g_file_test(manifest, G_FILE_TEST_EXISTS));
    g_assert_true(release_store_read_sig(store, result->pack->digest, &sig, &error));
    g_assert_nonnull(sig);
    g_assert_true(release_store_check(store, result->pack->digest, 1, &problem, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(problem, ==, NULL);
}

static void test_tombstones(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    /* Who is merely tolerated may take nothing away from others, nor claim an empty path. */
    assert_outcome(&world, 0, &(Offer){DORA, "1.0.0", .withdrawn = TRUE}, ACCEPT_UNTRUSTED);
    assert_outcome(&world, 0, &(Offer){ANNA, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){DORA, "2.0.0", .withdrawn = TRUE}, ACCEPT_HIJACK);
    assert_outcome(&world, 0, &(Offer){ANNA, "1.0.0", .withdrawn = TRUE}, ACCEPT_WITHDRAWN);
    assert_bare(&world, g_ptr_array_index(world.results, 0));
    /* What was withdrawn does not come back by itself, nor from others. */
    assert_outcome(&world, 1, &(Offer){ANNA, "0.9.0"}, ACCEPT_ROLLBACK);
    assert_outcome(&world, 1, &(Offer){NOBODY, "9.0.0"}, ACCEPT_HIJACK);
    assert_outcome(&world, 1, &(Offer){ANNA, "1.0.1"}, ACCEPT_OK);
}

static void test_own_tombstone_of_the_tolerated(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    assert_outcome(&world, 0, &(Offer){DORA, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){DORA, "1.0.0", .withdrawn = TRUE}, ACCEPT_WITHDRAWN);
}

/* A tombstone without its pack, as a peer hands it on; what it says has a result of its own. */
static gboolean withdraw(World *world, guint source, const Offer *what)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    gboolean accepted = FALSE;
    SyncJob job = job_of(world, source);
    g_autoptr(Intake) intake = intake_new(&job);
    g_autoptr(Staging) staging = stage(intake, what);
    g_autoptr(GBytes) sig = NULL;
    g_autoptr(PackContent) content = staging_content(staging, 1, &sig, &error);
    g_assert_no_error(error);
    g_assert_nonnull(content);
    g_ptr_array_set_size(world->results, 0);
    g_assert_true(intake_withdraw(intake, PATH, "tombstone", sig, &accepted, &error));
    g_assert_true(intake_flush(intake, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(world->results->len, ==, accepted ? 1 : 0);
    g_assert_true(
        mirror_db_apply(world->db, world->sources[source]->name, world->results, FALSE, 1, &changes, &error));
    g_assert_no_error(error);
    return accepted;
}

static void test_tombstone_alone(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_REQUIRED);
    assert_outcome(&world, 0, &(Offer){ANNA, "2.0.0"}, ACCEPT_OK);
    g_assert_false(withdraw(&world, 0, &(Offer){DORA, "3.0.0", .withdrawn = TRUE}));
    g_assert_false(withdraw(&world, 0, &(Offer){ANNA, "1.0.0", .withdrawn = TRUE}));
    g_assert_false(withdraw(&world, 0, &(Offer){ANNA, "3.0.0", .withdrawn = TRUE, .path = "science/other"}));
    g_assert_false(withdraw(&world, 0, &(Offer){ANNA, "3.0.0"}));
    g_assert_false(withdraw(&world, 0, &(Offer){ANNA, "3.0.0", .no_release = TRUE}));
    set_policy(&world, PACK_POLICY_OFF);
    g_assert_false(withdraw(&world, 0, &(Offer){ANNA, "2.0.0", .withdrawn = TRUE}));
    set_policy(&world, PACK_POLICY_PREFERRED);
    g_assert_true(withdraw(&world, 0, &(Offer){ANNA, "2.0.0", .withdrawn = TRUE}));
    assert_bare(&world, g_ptr_array_index(world.results, 0));
    assert_outcome(&world, 1, &(Offer){ANNA, "1.0.0"}, ACCEPT_ROLLBACK);
    assert_outcome(&world, 1, &(Offer){ANNA, "2.0.1"}, ACCEPT_OK);
}

/* --- Sources --- */

static void test_removed_source_holds_nothing(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    assert_outcome(&world, 1, &(Offer){NOBODY, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){NOBODY, "2.0.0"}, ACCEPT_HIJACK);
    tell_sources(&world, FALSE);
    assert_outcome(&world, 0, &(Offer){NOBODY, "2.0.0"}, ACCEPT_OK);
}

/* Two keys may sign the very same release, whose digest is then the same: what lies in the store is what was
 * accepted last. */
static void test_another_key_signs_the_same(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) sig = NULL;
    char carla[FINGERPRINT_CHARS + 1];
    world_init(&world);
    fingerprint_of(CARLA, carla);
    const SyncResult *result = offer(&world, 0, &(Offer){ANNA, "1.0.0"}, "a", NULL);
    g_assert_cmpint(result->outcome, ==, OUTCOME_INSTALLED);
    result = offer(&world, 0, &(Offer){CARLA, "1.0.0"}, "b", NULL);
    g_assert_cmpint(result->outcome, ==, OUTCOME_INSTALLED);
    g_assert_cmpstr(result->pack->fingerprint, ==, carla);
    g_assert_true(release_store_read_sig(world.store.store, result->pack->digest, &sig, &error));
    g_assert_nonnull(g_strstr_len(g_bytes_get_data(sig, NULL), (gssize)g_bytes_get_size(sig), carla));
}

/* A private path is another path. */
static void test_private_is_apart(void)
{
    g_auto(World) world;
    world_init(&world);
    assert_outcome(&world, 0, &(Offer){ANNA, "2.0.0"}, ACCEPT_OK);
    world.sources[1]->is_private = TRUE;
    world.sources[1]->policy = PACK_POLICY_PREFERRED;
    assert_outcome(&world, 1, &(Offer){NOBODY, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 1, &(Offer){ANNA, "1.0.0"}, ACCEPT_OK);
    assert_outcome(&world, 0, &(Offer){ANNA, "1.5.0"}, ACCEPT_ROLLBACK);
}

/* --- What is reported --- */

static void test_report(void)
{
    g_auto(World) world;
    world_init(&world);
    const Offer what = {ANNA, "1.2.3"};
    const SyncResult *result = offer(&world, 0, &what, "identity", NULL);
    char fingerprint[FINGERPRINT_CHARS + 1];
    fingerprint_of(ANNA, fingerprint);
    g_assert_cmpint(result->outcome, ==, OUTCOME_INSTALLED);
    g_assert_true(result->is_new);
    g_assert_cmpstr(result->pack->path, ==, PATH);
    g_assert_cmpstr(result->pack->source, ==, "one");
    g_assert_cmpstr(result->pack->fingerprint, ==, fingerprint);
    g_assert_cmpstr(result->pack->publisher, ==, "N1");
    g_assert_cmpstr(result->pack->version, ==, "1.2.3");
    g_assert_cmpstr(result->pack->published_at, ==, "2026-05-01T12:00:00Z");
    g_assert_cmpstr(result->pack->origin, ==, "origin");
    g_assert_cmpint(result->pack->policy, ==, PACK_POLICY_REQUIRED);
    g_assert_true(release_store_has(world.store.store, result->pack->digest));
    g_autofree char *directory = store_world_release_dir(&world.store, result->pack->digest);
    g_autofree char *page = g_build_filename(directory, "wiki/concepts/a.md", NULL);
    g_assert_true(g_file_test(page, G_FILE_TEST_IS_REGULAR));
    g_assert_false(offer(&world, 0, &what, "identity again", NULL)->is_new);
}

static void test_promise(void)
{
    g_auto(World) world;
    world_init(&world);
    guint8 promised[SHA256_BYTES] = {1};
    const Offer what = {ANNA, "1.0.0"};
    const SyncResult *result = offer(&world, 0, &what, "a", promised);
    g_assert_cmpint(result->rule, ==, ACCEPT_HASH);
    g_assert_nonnull(strstr(result->reason, "010000000000"));
    g_assert_cmpuint(store_world_count(&world.store, "releases"), ==, 0);
}

static void test_not_a_pack(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world);
    set_policy(&world, PACK_POLICY_OFF);
    SyncJob job = job_of(&world, 0);
    g_autoptr(Intake) intake = intake_new(&job);
    static const char *const names[] = {"manifest.yaml", "wiki/index.md"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        Staging *staging = intake_stage(intake, PATH, &error);
        g_assert_no_error(error);
        store_world_add(staging, names[i], "x: y\n");
        g_assert_true(intake_offer(intake, PATH, "a", "", staging, NULL, &error));
        const SyncResult *result = g_ptr_array_index(world.results, i);
        g_assert_cmpint(result->rule, ==, ACCEPT_FORM);
        g_assert_nonnull(strstr(result->reason, names[1 - i]));
    }
}

/* --- Digests that do not cover everything --- */

static char *installed_file(const World *world, const SyncResult *result, const char *name)
{
    g_autofree char *directory = store_world_release_dir(&world->store, result->pack->digest);
    g_autofree char *path = g_build_filename(directory, name, NULL);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* The key was changed, the pages are the same: the new signature must get there. */
static void test_signed_anew(void)
{
    g_auto(World) world;
    world_init(&world);
    guint8 digest[SHA256_BYTES];
    const Offer before = {ANNA, "1.0.0", .no_release = TRUE}, after = {CARLA, "1.0.0", .no_release = TRUE};
    const SyncResult *result = offer(&world, 0, &before, "a", NULL);
    memcpy(digest, result->pack->digest, sizeof digest);
    g_autofree char *old_sig = installed_file(&world, result, "manifest.sig");
    result = offer(&world, 0, &after, "b", NULL);
    g_assert_cmpint(result->outcome, ==, OUTCOME_INSTALLED);
    g_assert_cmpmem(result->pack->digest, SHA256_BYTES, digest, SHA256_BYTES);
    g_autofree char *new_sig = installed_file(&world, result, "manifest.sig");
    g_assert_cmpstr(new_sig, !=, old_sig);
    g_assert_cmpuint(store_world_count(&world.store, "tmp"), ==, 0);
    g_assert_cmpuint(store_world_count(&world.store, "releases"), ==, 1);
}

static void test_picture_changes(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    const Offer before = {NOBODY, "1.0.0", .picture = "old"}, after = {NOBODY, "1.0.0", .picture = "new"};
    offer(&world, 0, &before, "a", NULL);
    const SyncResult *result = offer(&world, 0, &after, "b", NULL);
    g_autofree char *picture = installed_file(&world, result, "wiki/picture.svg");
    g_assert_cmpstr(picture, ==, "new");
}

/* A private pack with the same pages must not lend its pictures to the public one, nor the other way round.
 */
static void test_private_picture_stays_private(void)
{
    g_auto(World) world;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    world.sources[1]->is_private = TRUE;
    const Offer secret = {NOBODY, "1.0.0", .picture = "secret"}, open = {NOBODY, "1.0.0", .picture = "open"};
    const SyncResult *result = offer(&world, 1, &secret, "a", NULL);
    g_assert_cmpint(result->outcome, ==, OUTCOME_INSTALLED);
    result = offer(&world, 0, &open, "b", NULL);
    g_assert_cmpint(result->outcome, ==, OUTCOME_REFUSED);
    g_assert_cmpint(result->rule, ==, ACCEPT_CONFLICT);
    /* What is the same to the last byte may share. */
    g_assert_cmpint(offer(&world, 0, &secret, "c", NULL)->outcome, ==, OUTCOME_INSTALLED);
}

static void test_same_pages_twice_in_a_sync(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    SyncJob job = job_of(&world, 0);
    g_autoptr(Intake) intake = intake_new(&job);
    const Offer one = {NOBODY, "1.0.0", .picture = "one"}, two = {NOBODY, "1.0.0", .picture = "two"};
    g_assert_true(intake_offer(intake, "a", "1", "", stage(intake, &one), NULL, &error));
    g_assert_true(intake_offer(intake, "b", "1", "", stage(intake, &two), NULL, &error));
    g_assert_true(intake_offer(intake, "c", "1", "", stage(intake, &one), NULL, &error));
    g_assert_true(intake_flush(intake, &error));
    const SyncOutcome expected[] = {OUTCOME_INSTALLED, OUTCOME_REFUSED, OUTCOME_INSTALLED};
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpint(((SyncResult *)g_ptr_array_index(world.results, i))->outcome, ==, expected[i]);
}

/* --- Batches and time --- */

static void test_batches(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world);
    set_policy(&world, PACK_POLICY_PREFERRED);
    SyncJob job = job_of(&world, 0);
    g_autoptr(Intake) intake = intake_new(&job);
    const Offer what = {NOBODY, "1.0.0"};
    g_assert_true(intake_offer(intake, "a", "1", "", stage(intake, &what), NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(world.results->len, ==, 0);
    g_assert_cmpuint(store_world_count(&world.store, "releases"), ==, 0);
    /* What waits does not wait for long. */
    g_usleep((INTAKE_BATCH_MS + 20) * 1000);
    staging_free(stage(intake, &what));
    g_assert_cmpuint(world.results->len, ==, 1);
    g_assert_cmpuint(store_world_count(&world.store, "releases"), ==, 1);
    g_assert_cmpuint(intake_progress_of(intake)->installed, ==, 1);
    g_assert_cmpuint(world.told, >, 0);
    /* Nor is there ever more than a batch. */
    for (guint i = 0; i < 2 * INTAKE_BATCH_PACKS; i++) {
        g_autofree char *path = g_strdup_printf("p%u", i);
        g_assert_true(intake_offer(intake, path, "1", "", stage(intake, &what), NULL, &error));
        g_assert_cmpuint(i + 2 - world.results->len, <=, INTAKE_BATCH_PACKS);
    }
    g_assert_true(intake_flush(intake, &error));
    g_assert_cmpuint(world.results->len, ==, 2 * INTAKE_BATCH_PACKS + 1);
}

static void test_thrown_away(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world);
    SyncJob job = job_of(&world, 0);
    Intake *intake = intake_new(&job);
    const Offer what = {ANNA, "1.0.0"};
    g_assert_true(intake_offer(intake, PATH, "1", "", stage(intake, &what), NULL, &error));
    intake_free(intake);
    g_assert_cmpuint(world.results->len, ==, 0);
    g_assert_cmpuint(store_world_count(&world.store, "releases"), ==, 0);
    g_assert_cmpuint(store_world_count(&world.store, "tmp"), ==, 0);
}

static void test_out_of_time(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world);
    SyncJob job = job_of(&world, 0);
    g_autoptr(Intake) intake = intake_new(&job);
    const Offer what = {ANNA, "1.0.0"};
    Staging *staging = stage(intake, &what);
    job.deadline_us = g_get_monotonic_time() - 1;
    g_assert_false(intake_offer(intake, PATH, "1", "", staging, NULL, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_null(intake_stage(intake, PATH, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(intake_in_time(intake, &error));
    g_assert_cmpuint(store_world_count(&world.store, "tmp"), ==, 0);
}

/* --- What is known --- */

static gboolean knows(World *world, const char *identity, gboolean full)
{
    SyncJob job = job_of(world, 0);
    job.full = full;
    g_autoptr(Intake) intake = intake_new(&job);
    return intake_knows(intake, PATH, identity);
}

static void test_known(void)
{
    g_auto(World) world;
    world_init(&world);
    g_assert_false(knows(&world, "a", FALSE));
    const Offer bad = {NOBODY, "1.0.0"}, good = {ANNA, "1.0.0"};
    offer(&world, 0, &bad, "a", NULL);
    g_assert_true(knows(&world, "a", FALSE));
    g_assert_false(knows(&world, "b", FALSE));
    g_assert_false(knows(&world, "a", TRUE));
    const SyncResult *result = offer(&world, 0, &good, "b", NULL);
    g_assert_true(knows(&world, "b", FALSE));
    g_assert_false(knows(&world, "a", FALSE));
    /* Another policy: everything is looked at again. */
    g_autofree char *before = world.policy_hash;
    world.policy_hash = g_strdup("fedcba9876543210");
    g_assert_false(knows(&world, "b", FALSE));
    g_free(world.policy_hash);
    world.policy_hash = g_steal_pointer(&before);
    g_assert_true(knows(&world, "b", FALSE));
    /* What is not in the store any more is not known. */
    g_autoptr(GError) error = NULL;
    g_assert_true(release_store_quarantine(world.store.store, result->pack->digest, &error));
    g_assert_false(knows(&world, "b", FALSE));
}

static void test_gone_and_refused_early(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    world_init(&world);
    SyncJob job = job_of(&world, 0);
    g_autoptr(Intake) intake = intake_new(&job);
    intake_refuse(intake, PATH, "x", ACCEPT_LIMITS, "a symbolic link");
    g_assert_cmpuint(intake_progress_of(intake)->refused, ==, 1);
    g_assert_true(mirror_db_apply(world.db, "one", world.results, FALSE, 1, &changes, &error));
    g_assert_true(knows(&world, "x", FALSE));
    g_ptr_array_set_size(world.results, 0);
    g_clear_pointer(&changes, g_ptr_array_unref);
    intake_gone(intake, PATH);
    g_assert_cmpint(((SyncResult *)g_ptr_array_index(world.results, 0))->outcome, ==, OUTCOME_GONE);
    g_assert_true(mirror_db_apply(world.db, "one", world.results, FALSE, 1, &changes, &error));
    g_assert_false(knows(&world, "x", FALSE));
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/intake/required", test_required);
    g_test_add_func("/intake/preferred", test_preferred);
    g_test_add_func("/intake/off", test_off);
    g_test_add_func("/intake/off-keeps-promises", test_off_keeps_promises);
    g_test_add_func("/intake/tombstones", test_tombstones);
    g_test_add_func("/intake/tombstone-alone", test_tombstone_alone);
    g_test_add_func("/intake/own-tombstone-of-the-tolerated", test_own_tombstone_of_the_tolerated);
    g_test_add_func("/intake/removed-source", test_removed_source_holds_nothing);
    g_test_add_func("/intake/another-key-signs-the-same", test_another_key_signs_the_same);
    g_test_add_func("/intake/private-is-apart", test_private_is_apart);
    g_test_add_func("/intake/report", test_report);
    g_test_add_func("/intake/promise", test_promise);
    g_test_add_func("/intake/not-a-pack", test_not_a_pack);
    g_test_add_func("/intake/signed-anew", test_signed_anew);
    g_test_add_func("/intake/picture-changes", test_picture_changes);
    g_test_add_func("/intake/private-picture", test_private_picture_stays_private);
    g_test_add_func("/intake/same-pages-twice", test_same_pages_twice_in_a_sync);
    g_test_add_func("/intake/batches", test_batches);
    g_test_add_func("/intake/thrown-away", test_thrown_away);
    g_test_add_func("/intake/out-of-time", test_out_of_time);
    g_test_add_func("/intake/known", test_known);
    g_test_add_func("/intake/gone-and-refused-early", test_gone_and_refused_early);
    return g_test_run();
}
