/* SPDX-License-Identifier: MIT
 *
 * Mirroring a peer that tells the truth: first time, again, changes, removals, policies, interruptions; and
 * what it costs.
 */
#include "peer_world.h"

#include "schema/limits.h"

static void test_first_and_again(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 50, "1.0.0", 2);
    peer_put(&world, "history/rome", "1.2.0", "Caesar\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 51);
    g_assert_cmpuint(world.done.packs_seen, ==, 51);
    g_assert_cmpuint(world.alarms->len, ==, 0);
    peer_world_assert_version(&world, "history/rome", "1.2.0");
    peer_world_assert_version(&world, "set/49", "1.0.0");
    /* Every file once, and log.md, which they all share, once per pack. */
    g_assert_cmpuint(peer_world_requests(&world, "/blobs/sha256/"), ==, 50 * 6 + 4);
    g_assert_cmpuint(peer_world_requests(&world, "/packs/"), ==, 0);

    /* What was dealt with is looked up, and nothing is asked but the checkpoint. */
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.results->len, ==, 0);
    g_assert_cmpuint(world.targets->len, ==, 1);
    g_assert_cmpuint(world.cost.requests, ==, 1);
    g_assert_cmpuint(world.received + world.sent, <, 600);
    g_assert_cmpuint(world.cost.bytes, ==, world.received + world.sent);

    /* After a restart as well, without reading the items. */
    peer_world_restart(&world);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.results->len, ==, 0);
    g_assert_cmpuint(world.targets->len, ==, 1);
}

static void test_change_costs_its_files(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 100, "1.0.0", 3);
    peer_world_sync_ok(&world);
    PeerPackSpec spec = {.path = "set/7", .version = "1.1.0", .text = "new\n", .pages = 3};
    peer_set(&world, &spec);
    for (guint i = 0; i < 2; i++) {
        peer_world_sync_ok(&world);
        g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, i == 0);
        if (i > 0)
            continue;
        /* Checkpoint, changes, manifest.sig, manifest.yaml and one page; the rest is linked. */
        g_assert_cmpuint(world.targets->len, ==, 5);
        g_assert_cmpuint(peer_world_requests(&world, "/catalog/changes"), ==, 1);
        g_assert_cmpuint(peer_world_requests(&world, "/blobs/"), ==, 2);
    }
    peer_world_assert_version(&world, "set/7", "1.1.0");
    /* More changes than one answer of this peer holds. */
    for (guint i = 0; i < 25; i++) {
        g_autofree char *path = g_strdup_printf("set/%u", i);
        peer_put(&world, path, "2.0.0", "newer\n");
    }
    peer_world_restart(&world);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 25);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/changes"), ==, 3);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/digest"), ==, 0);
}

static void test_journal_gone(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 300, "1.0.0", 0);
    peer_world_sync_ok(&world);
    g_mutex_lock(&world.lock);
    g_autoptr(Journal) old = world.journal;
    world.journal = journal_new(journal_trie(old), journal_generation(old) + 5);
    g_mutex_unlock(&world.lock);
    peer_put(&world, "set/3", "1.0.1", "x\n");
    peer_put(&world, "other", "1.0.0", "x\n");
    peer_remove(&world, "set/4");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 2);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 1);
    /* Root, children, and their buckets. */
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/digest"), <=, 4);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.results->len, ==, 0);
    g_assert_cmpuint(world.targets->len, ==, 1);
}

static void test_same_catalog_of_a_new_generation(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put(&world, "a", "1.0.0", "x\n");
    peer_put(&world, "b", "1.0.0", "x\n");
    peer_world_sync_ok(&world);
    g_mutex_lock(&world.lock);
    g_autoptr(Journal) old = world.journal;
    world.journal = journal_new(journal_trie(old), journal_generation(old) + 5);
    world.now_s += 5;
    g_clear_pointer(&world.note, g_free);
    g_mutex_unlock(&world.lock);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.targets->len, ==, 1);
    peer_put(&world, "b", "1.0.1", "y\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/changes"), ==, 1);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/digest"), ==, 0);
}

static void test_globs_and_policy(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 10, "1.0.0", 0);
    peer_put(&world, "history/rome", "1.2.0", "Caesar\n");
    g_ptr_array_set_size(world.source->include, 0);
    g_ptr_array_add(world.source->include, g_strdup("history/**"));
    peer_world_trust(&world, "");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.results->len, ==, 1);
    g_assert_cmpuint(world.done.packs_seen, ==, 1);

    g_ptr_array_add(world.source->include, g_strdup("set/1"));
    peer_world_trust(&world, "");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 2); /* judged anew, too */
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/releases/"), ==, 1);
    g_assert_cmpuint(world.done.packs_seen, ==, 2);
    peer_world_assert_version(&world, "set/1", "1.0.0");

    g_ptr_array_add(world.source->exclude, g_strdup("history/rome"));
    peer_world_trust(&world, "");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 1);
    g_assert_cmpuint(world.alarms->len, ==, 0);
    g_assert_cmpuint(world.done.packs_seen, ==, 1);
}

static void test_removal_and_shrinking(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 10, "1.0.0", 0);
    peer_world_sync_ok(&world);
    peer_remove(&world, "set/1");
    peer_remove(&world, "set/2");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 2);
    g_assert_cmpuint(world.done.packs_seen, ==, 8);

    /* Two of eight at once are too many; what else is new waits, too. */
    peer_remove(&world, "set/3");
    peer_remove(&world, "set/4");
    peer_put(&world, "set/5", "2.0.0", "new\n");
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "2 of 8 packs are gone");
    peer_world_assert_alarm(&world, "shrink");
    g_assert_cmpuint(world.results->len, ==, 0);
    peer_world_assert_version(&world, "set/5", "1.0.0");
    peer_world_restart(&world);
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "--prune");

    /* They come back, or the operator agrees. */
    peer_put(&world, "set/3", "1.0.0", "1.0.0");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 1);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_cmpuint(world.alarms->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(world.alarms, 0), ==, ": ");
    peer_remove(&world, "set/5");
    peer_remove(&world, "set/6");
    world.prune = TRUE;
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 2);
}

/* --- Tombstones --- */

static void test_withdrawn(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 3, "1.0.0", 0);
    peer_world_sync_ok(&world);
    /* One of three is more than a fifth, but it is not missing. */
    peer_withdraw(&world, "set/1", NULL);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_WITHDRAWN), ==, 1);
    g_assert_cmpuint(world.results->len, ==, 1);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/tombstones/"), ==, 1);
    /* It is dealt with: nobody asks again, not even when everything is looked at. */
    peer_world_sync_ok(&world);
    world.full = TRUE;
    peer_world_sync_ok(&world);
    world.full = FALSE;
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/tombstones/"), ==, 0);
    /* The old release does not come back. */
    peer_put(&world, "set/1", "1.0.0", "1.0.0");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 1);
}

static gboolean busy_about_tombstones(PeerWorld *world G_GNUC_UNUSED, const char *target, PeerAnswer *answer)
{
    if (!g_str_has_prefix(target, "/catalog/tombstones/"))
        return FALSE;
    answer->status = 503;
    return TRUE;
}

/* What the peer cannot tell now is asked again; it is neither gone nor withdrawn meanwhile. */
static void test_tombstone_later(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 10, "1.0.0", 0);
    peer_world_sync_ok(&world);
    peer_withdraw(&world, "set/1", NULL);
    peer_bend(&world, busy_about_tombstones);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.results->len, ==, 0);
    peer_bend(&world, NULL);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_WITHDRAWN), ==, 1);
}

static void test_forged_tombstone(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    g_autoptr(SecretKey) stranger = secret_key_generate();
    peer_put_many(&world, 10, "1.0.0", 0);
    peer_world_sync_ok(&world);
    peer_withdraw(&world, "set/1", stranger);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_WITHDRAWN), ==, 0);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 1);
    peer_withdraw(&world, "set/2", stranger);
    peer_withdraw(&world, "set/3", stranger);
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "2 of 9 packs are gone");
}

/* Nothing that was removed while nobody looked is overlooked. */
static void test_lost_file(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 10, "1.0.0", 0);
    peer_world_sync_ok(&world);
    peer_remove(&world, "set/1");
    peer_put(&world, "set/2", "1.1.0", "x\n");
    g_autofree char *path = g_build_filename(world.here.top, "peers", "north.db", NULL);
    peer_world_restart(&world);
    g_assert_true(db_delete(path, NULL));
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 1);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/releases/"), ==, 1);

    /* Damage is the same, and is not the operator's business. */
    peer_world_restart(&world);
    g_autoptr(GError) error = NULL;
    g_assert_true(db_delete(path, NULL));
    g_assert_true(g_file_set_contents(path, "this is no database, but long enough to look at\n", -1, &error));
    peer_put(&world, "set/3", "1.1.0", "x\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
}

/* The broker dies before it has applied anything. */
static void test_lost_results(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 5, "1.0.0", 0);
    world.lose_results = TRUE;
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 5);
    world.lose_results = FALSE;
    world.full = TRUE; /* the attempt counts, so that without it they wait */
    peer_world_restart(&world);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 5);
    /* The releases are there already. */
    g_assert_cmpuint(world.targets->len, ==, 1);
}

static void test_other_source_first(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put(&world, "a", "1.0.0", "x\n");
    peer_world_sync_ok(&world);
    /* As if git had brought it. */
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    g_autoptr(GPtrArray) changes = NULL;
    g_autoptr(MirroredPack) held = NULL;
    g_assert_true(mirror_db_held(world.reader, "a", FALSE, &held, NULL));
    SyncResult *result = g_new0(SyncResult, 1);
    result->identity = g_strdup("commit");
    result->pack = mirrored_pack_copy(held);
    g_ptr_array_add(results, result);
    g_free(result->pack->version);
    result->pack->version = g_strdup("1.0.1");
    g_assert_true(mirror_db_apply(world.writer, "commons", results, FALSE, 1, &changes, NULL));
    peer_put(&world, "a", "1.1.0", "y\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.results->len, ==, 0);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/releases/"), ==, 0);
    world.source->interval_s = 0;
    peer_world_sync_ok(&world);
    peer_world_assert_version(&world, "a", "1.1.0");
}

static void test_unsigned(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    PeerPackSpec spec = {.path = "plain", .version = "1.0.0", .text = "x\n", .is_unsigned = TRUE, .pages = 2};
    peer_set(&world, &spec);
    peer_put(&world, "a", "1.0.0", "x\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 1);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_cmpuint(peer_world_requests(&world, "/packs/"), ==, 0);
    world.source->policy = PACK_POLICY_PREFERRED;
    peer_world_trust(&world, "");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 2);
    peer_world_assert_version(&world, "plain", "");
    world.source->policy = PACK_POLICY_OFF;
    peer_world_trust(&world, "");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 1); /* "a" is held with a signature */
    peer_world_sync_ok(&world);
    g_assert_cmpuint(world.targets->len, ==, 1);
}

static gboolean wants_nothing(const char *path, gpointer user)
{
    (void)path;
    (void)user;
    return FALSE;
}

/* Taken out of the configuration and put in again before the next sync: the state is of the same policy, but
 * no longer of what is held. */
static void test_wanted_again(void)
{
    g_auto(PeerWorld) world;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    g_auto(SourceRecord) record = {0};
    peer_world_init(&world);
    peer_put_many(&world, 3, "1.0.0", 1);
    peer_world_sync_ok(&world);
    const SyncEnd end = {
        .ok = TRUE, .state = world.state, .policy_hash = world.policy_hash, .packs_seen = 3, .now_s = 1};
    g_assert_true(mirror_db_end(world.writer, "north", &end, &error));
    g_assert_true(mirror_db_tighten(world.writer, "north", PACK_POLICY_REQUIRED, wants_nothing, NULL,
                                    &changes, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(changes->len, ==, 3);
    g_assert_true(mirror_db_source(world.reader, "north", &record, &error));
    g_free(world.known_policy_hash);
    world.known_policy_hash = g_strdup(record.policy_hash);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 3);
    peer_world_assert_version(&world, "set/0", "1.0.0");
}

/* What nobody would accept costs nothing, or one small answer. */
static void test_cheap_refusals(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    g_autoptr(SecretKey) stranger = world_key(9);
    for (guint i = 0; i < 20; i++) {
        g_autofree char *path = g_strdup_printf("stranger/%u", i);
        PeerPackSpec spec = {.path = path, .version = "1.0.0", .text = "x\n", .key = stranger, .pages = 5};
        peer_set(&world, &spec);
    }
    peer_put(&world, "a", "2.0.0", "x\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 20);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/releases/"), ==, 1);
    peer_put(&world, "a", "1.0.0", "older\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 1);
    g_assert_cmpint(((SyncResult *)world.results->pdata[0])->rule, ==, ACCEPT_ROLLBACK);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/releases/"), ==, 0);
    peer_put(&world, "a", "2.0.0", "another of the same version\n");
    peer_world_sync_ok(&world);
    g_assert_cmpint(((SyncResult *)world.results->pdata[0])->rule, ==, ACCEPT_CONFLICT);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/releases/"), ==, 1);
    g_assert_cmpuint(peer_world_requests(&world, "/blobs/"), ==, 0);
    peer_world_assert_version(&world, "a", "2.0.0");
}

static void test_token(void)
{
    g_auto(PeerWorld) world;
    g_autoptr(GError) error = NULL;
    peer_world_init(&world);
    g_autofree char *path = g_build_filename(world.here.top, "token", NULL);
    world.source->token_file = g_strdup(path);
    world.source->is_private = TRUE;
    peer_world_trust(&world, "");
    peer_put(&world, "a", "1.0.0", "x\n");
    peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "token file");
    g_assert_true(g_file_set_contents(path, "two\nlines\n", -1, &error));
    peer_world_sync_fails(&world, KONTOR_ERROR_MALFORMED, "one line");
    g_assert_true(g_file_set_contents(path, "kontor_secret\n", -1, &error));
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "does not take the token");
    peer_world_assert_alarm(&world, "token");
    g_assert_null(strstr(world.error->message, "secret"));
    world.view = "0123456789abcdef";
    g_clear_pointer(&world.note, g_free);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_true(((SyncResult *)world.results->pdata[0])->pack->is_private);

    /* Revoked: nothing counts as gone. */
    world.view = "";
    peer_remove(&world, "a");
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "does not take the token");
    g_assert_cmpuint(world.results->len, ==, 0);

    /* Another view is another catalog; its generations may be lower. */
    world.view = "fedcba9876543210";
    g_mutex_lock(&world.lock);
    g_clear_pointer(&world.journal, journal_unref);
    world.now_s = 10;
    g_mutex_unlock(&world.lock);
    peer_put(&world, "a", "1.0.0", "x\n");
    peer_put(&world, "b", "1.0.0", "x\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_cmpuint(peer_world_requests(&world, "/catalog/changes"), ==, 0);
}

int main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/first-and-again", test_first_and_again);
    g_test_add_func("/peer/change-costs-its-files", test_change_costs_its_files);
    g_test_add_func("/peer/journal-gone", test_journal_gone);
    g_test_add_func("/peer/same-catalog", test_same_catalog_of_a_new_generation);
    g_test_add_func("/peer/globs-and-policy", test_globs_and_policy);
    g_test_add_func("/peer/removal-and-shrinking", test_removal_and_shrinking);
    g_test_add_func("/peer/withdrawn", test_withdrawn);
    g_test_add_func("/peer/tombstone-later", test_tombstone_later);
    g_test_add_func("/peer/forged-tombstone", test_forged_tombstone);
    g_test_add_func("/peer/lost-file", test_lost_file);
    g_test_add_func("/peer/lost-results", test_lost_results);
    g_test_add_func("/peer/other-source-first", test_other_source_first);
    g_test_add_func("/peer/unsigned", test_unsigned);
    g_test_add_func("/peer/wanted-again", test_wanted_again);
    g_test_add_func("/peer/cheap-refusals", test_cheap_refusals);
    g_test_add_func("/peer/token", test_token);
    return g_test_run();
}
