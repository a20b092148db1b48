/* SPDX-License-Identifier: MIT
 *
 * What is kept of a peer on disk: that it is there after reopening, that another origin begins anew, that
 * damage is noticed, and that pending paths come and go.
 */
#include "mirror/agent/peer_state.h"

#include <glib/gstdio.h>
#include <string.h>

#include "catalog_items.h"
#include "mirror/store/db.h"

typedef struct {
    char *directory, *path;
    PeerState *state;
} Fixture;

static void reopen(Fixture *fixture, const char *origin)
{
    g_autoptr(GError) error = NULL;
    peer_state_free(fixture->state);
    fixture->state = peer_state_open(fixture->path, origin, &error);
    g_assert_no_error(error);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->directory = g_dir_make_tmp("kontor-peer-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->directory, "north.db", NULL);
    reopen(fixture, "here");
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    peer_state_free(fixture->state);
    g_assert_true(db_delete(fixture->path, NULL));
    g_assert_cmpint(g_rmdir(fixture->directory), ==, 0);
    g_free(fixture->path);
    g_free(fixture->directory);
}

/* Of one edition. */
static DigestTrie *catalog_of(guint count, guint edition)
{
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(items, item_edition(i, edition));
    return digest_trie_with_changes(empty, items, NULL);
}

static void apply(Fixture *fixture, const DigestTrie *before, const DigestTrie *after, guint64 generation,
                  const char *const *pending)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; pending[i] != NULL; i++)
        g_ptr_array_add(paths, g_strdup(pending[i]));
    PeerChange change = {.before = before,
                         .after = after,
                         .generation = generation,
                         .wanted = 2,
                         .plan = "policy",
                         .pending = paths,
                         .now_s = 77};
    g_assert_true(peer_state_apply(fixture->state, &change, &error));
    g_assert_no_error(error);
}

static void see(Fixture *fixture, guint64 generation)
{
    CatalogCheckpoint checkpoint = {.generation = generation, .view = "0123456789abcdef"};
    memset(checkpoint.root, 5, SHA256_BYTES);
    g_autoptr(GBytes) note = g_bytes_new("note", 4);
    g_assert_true(peer_state_see(fixture->state, &checkpoint, "north", note, "\"tag\"", NULL));
}

static void test_reopened(Fixture *fixture, gconstpointer data)
{
    static const char *const two[] = {"set/0/pack-0", "set/1/pack-1", NULL};
    (void)data;
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(DigestTrie) first = catalog_of(100, 1);
    const PeerRecord *record = peer_state_record(fixture->state);
    g_assert_false(record->has_seen);
    g_assert_cmpuint(record->generation, ==, 0);
    see(fixture, 9);
    apply(fixture, empty, first, 9, two);
    g_assert_true(peer_state_set_finished(fixture->state, NULL));
    for (guint i = 0; i < 2; i++) {
        record = peer_state_record(fixture->state);
        g_assert_true(record->has_seen && record->finished && !record->forked);
        g_assert_cmpuint(record->seen_generation, ==, 9);
        g_assert_cmpuint(record->seen_root[31], ==, 5);
        g_assert_cmpstr(record->seen_view, ==, "0123456789abcdef");
        g_assert_cmpstr(record->name, ==, "north");
        g_assert_cmpstr(record->etag, ==, "\"tag\"");
        g_assert_cmpuint(g_bytes_get_size(record->note), ==, 4);
        g_assert_cmpuint(record->generation, ==, 9);
        g_assert_cmpuint(record->wanted, ==, 2);
        g_assert_cmpstr(record->plan, ==, "policy");
        g_assert_cmpmem(record->root, SHA256_BYTES, digest_trie_digest(first), SHA256_BYTES);
        g_autoptr(DigestTrie) loaded = peer_state_load(fixture->state, G_MAXUINT64, NULL);
        g_assert_cmpmem(digest_trie_digest(loaded), SHA256_BYTES, digest_trie_digest(first), SHA256_BYTES);
        reopen(fixture, "here");
    }
    /* Forgotten on the operator's word: what was seen, not what there is. */
    g_assert_true(peer_state_set_forked(fixture->state, NULL));
    g_assert_true(peer_state_forget(fixture->state, NULL));
    record = peer_state_record(fixture->state);
    g_assert_true(!record->has_seen && !record->forked && record->note == NULL);
    g_assert_cmpuint(record->generation, ==, 0);
    g_assert_cmpstr(record->name, ==, "north");
    g_autoptr(DigestTrie) kept = peer_state_load(fixture->state, G_MAXUINT64, NULL);
    g_assert_cmpuint(digest_trie_count(kept), ==, 100);
    g_autoptr(GError) error = NULL;
    g_assert_null(peer_state_load(fixture->state, 100 * 100, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);

    reopen(fixture, "elsewhere");
    record = peer_state_record(fixture->state);
    g_assert_cmpstr(record->name, ==, "");
    g_autoptr(DigestTrie) nothing = peer_state_load(fixture->state, G_MAXUINT64, NULL);
    g_assert_cmpuint(digest_trie_count(nothing), ==, 0);
}

static void test_pending(Fixture *fixture, gconstpointer data)
{
    static const char *const three[] = {"set/0/pack-0", "set/2/pack-2", "set/3/pack-3", NULL};
    static const char *const again[] = {"set/2/pack-2", NULL};
    (void)data;
    guint64 count = 0;
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(DigestTrie) first = catalog_of(5, 1);
    g_autoptr(DigestTrie) second = catalog_of(3, 1);
    apply(fixture, empty, first, 9, three);
    apply(fixture, first, second, 10, again); /* p3 has gone */
    g_autoptr(GPtrArray) list = peer_state_pending(fixture->state, "", 10, NULL);
    g_assert_cmpuint(list->len, ==, 3);
    PeerPending *p0 = g_ptr_array_index(list, 0), *p3 = g_ptr_array_index(list, 2);
    g_assert_cmpstr(p0->path, ==, "set/0/pack-0");
    g_assert_cmpstr(p0->item->path, ==, "set/0/pack-0");
    g_assert_cmpint(p0->since_s, ==, 77);
    g_assert_null(p3->item);
    p0->attempts = 4;
    p0->due_s = 1234;
    g_autoptr(GPtrArray) changed = g_ptr_array_new();
    g_autoptr(GPtrArray) settled = g_ptr_array_new();
    g_ptr_array_add(changed, p0);
    g_ptr_array_add(settled, p3->path);
    g_assert_true(peer_state_settle(fixture->state, changed, settled, NULL));
    reopen(fixture, "here");
    g_assert_true(peer_state_count_pending(fixture->state, &count, NULL));
    g_assert_cmpuint(count, ==, 2);
    g_autoptr(GPtrArray) one = peer_state_pending(fixture->state, "", 1, NULL);
    const PeerPending *kept = g_ptr_array_index(one, 0);
    g_assert_cmpuint(kept->attempts, ==, 4);
    g_assert_cmpint(kept->due_s, ==, 1234);
    g_autoptr(GPtrArray) rest = peer_state_pending(fixture->state, "set/0/pack-0", 10, NULL);
    g_assert_cmpuint(rest->len, ==, 1);
    /* Another change of it begins anew. */
    static const char *const first_again[] = {"set/0/pack-0", NULL};
    g_autoptr(DigestTrie) third = catalog_of(3, 2);
    apply(fixture, second, third, 11, first_again);
    g_autoptr(GPtrArray) fresh = peer_state_pending(fixture->state, "", 1, NULL);
    g_assert_cmpuint(((PeerPending *)g_ptr_array_index(fresh, 0))->attempts, ==, 0);
}

static void test_damage(Fixture *fixture, gconstpointer data)
{
    static const char *const none[] = {NULL};
    static const char *const one[] = {"", NULL};
    static const DbSchema any = {.application_id = 0x4b4f5045, .migrations = one};
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(DigestTrie) first = catalog_of(5, 1);
    apply(fixture, empty, first, 9, none);
    {
        g_autoptr(Db) db = db_open(fixture->path, DB_WRITE, &any, &error);
        g_assert_no_error(error);
        g_assert_true(db_exec(db, "UPDATE items SET version = '6.6.6' WHERE path = 'set/1/pack-1'", &error));
    }
    g_assert_null(peer_state_load(fixture->state, G_MAXUINT64, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    g_clear_pointer(&fixture->state, peer_state_free);
    g_assert_true(
        g_file_set_contents(fixture->path, "no database, and long enough to be sure of it ......", -1, NULL));
    reopen(fixture, "here");
    g_assert_cmpuint(peer_state_record(fixture->state)->generation, ==, 0);
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add("/peer-state/reopened", Fixture, NULL, set_up, test_reopened, tear_down);
    g_test_add("/peer-state/pending", Fixture, NULL, set_up, test_pending, tear_down);
    g_test_add("/peer-state/damage", Fixture, NULL, set_up, test_damage, tear_down);
    return g_test_run();
}
