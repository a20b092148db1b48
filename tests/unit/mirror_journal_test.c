/* SPDX-License-Identifier: MIT
 *
 * The journal and its store: who applies what the journal answers to an old catalog arrives at the present
 * one; restarts, lost files and clocks that go backwards never make a generation go backwards.
 */
#include "catalog_items.h"
#include "random_text.h"

#include "mirror/catalog/journal_store.h"
#include "schema/limits.h"

#include <glib/gstdio.h>

static DigestTrie *changed(DigestTrie *base, guint from, guint count, guint edition)
{
    g_autoptr(GPtrArray) upserts = items_new();
    for (guint i = from; i < from + count; i++)
        g_ptr_array_add(upserts, item_edition(i, edition));
    return digest_trie_with_changes(base, upserts, NULL);
}

static Journal *journal_empty(void)
{
    g_autoptr(DigestTrie) trie = digest_trie_new_empty();
    return journal_new(trie, 10);
}

/* Replaces *journal by its successor and gives the generation. */
static guint64 advance(Journal **journal, DigestTrie *trie, gint64 now_s)
{
    Journal *next = journal_advance(*journal, trie, now_s);
    journal_unref(*journal);
    *journal = next;
    return journal_generation(next);
}

static guint64 advance_by(Journal **journal, guint from, guint count, guint edition, gint64 now_s)
{
    g_autoptr(DigestTrie) trie = changed(journal_trie(*journal), from, count, edition);
    return advance(journal, trie, now_s);
}

/* --- Generations --- */

static void test_generations(void)
{
    g_autoptr(Journal) journal = journal_empty();
    g_assert_cmpuint(advance(&journal, journal_trie(journal), 5000), ==, 10);
    g_assert_cmpuint(advance_by(&journal, 0, 5, 0, 5000), ==, 5000);
    g_assert_cmpuint(advance_by(&journal, 0, 5, 0, 6000), ==, 5000);
    g_assert_cmpuint(advance_by(&journal, 5, 1, 0, 5000), ==, 5001);
    g_assert_cmpuint(advance_by(&journal, 6, 1, 0, 100), ==, 5002);
    g_assert_cmpuint(advance_by(&journal, 7, 1, 0, -100), ==, 5003);
    g_assert_cmpuint(advance_by(&journal, 8, 1, 0, 9000), ==, 9000);
    g_assert_cmpuint(journal_floor(journal), ==, 10);
}

/* --- Changes --- */

/* Sends an answer over JSON and applies it. */
static DigestTrie *apply_answer(DigestTrie *base, const JournalAnswer *answer, guint64 since)
{
    g_autoptr(GString) json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        journal_answer_write(answer, &writer);
    }
    g_auto(JournalAnswer) read = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(journal_answer_parse(json->str, json->len, since, &read, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(read.next, ==, answer->next);
    g_autoptr(GPtrArray) upserts = g_ptr_array_new();
    g_autoptr(GPtrArray) removals = g_ptr_array_new();
    g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < read.changes->len; i++) {
        JournalChange *change = g_ptr_array_index(read.changes, i);
        g_assert_true(g_hash_table_add(paths, change->path));
        if (change->item != NULL)
            g_ptr_array_add(upserts, change->item);
        else
            g_ptr_array_add(removals, change->path);
    }
    return digest_trie_with_changes(base, upserts, removals);
}

/* Asks until the end. */
static void check_catching_up(const Journal *journal, DigestTrie *known, guint64 since, guint limit)
{
    g_autoptr(DigestTrie) trie = digest_trie_ref(known);
    for (;;) {
        g_auto(JournalAnswer) answer = {0};
        g_autoptr(GError) error = NULL;
        g_assert_true(journal_changes(journal, since, limit, &answer, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(answer.changes->len, <=, LIMIT_JOURNAL_STEP_CHANGES);
        DigestTrie *next = apply_answer(trie, &answer, since);
        digest_trie_unref(trie);
        trie = next;
        since = answer.next;
        if (answer.next == answer.generation)
            break;
    }
    g_assert_cmpuint(since, ==, journal_generation(journal));
    g_assert_cmpmem(digest_trie_digest(trie), SHA256_BYTES, digest_trie_digest(journal_trie(journal)),
                    SHA256_BYTES);
}

static void test_catching_up(void)
{
    GRand *rng = random_new(8);
    g_autoptr(GPtrArray) tries = g_ptr_array_new_with_free_func((GDestroyNotify)digest_trie_unref);
    g_autoptr(GArray) generations = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(Journal) journal = journal_empty();
    for (guint i = 0; i < 60; i++) {
        g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(g_free);
        for (guint k = random_below(rng, 6); k > 0; k--) {
            g_autoptr(CatalogItem) item = item_edition(random_below(rng, 60), 0);
            g_ptr_array_add(removals, g_strdup(item->path));
        }
        guint count = random_below(rng, 12), edition = random_below(rng, 3);
        g_autoptr(DigestTrie) more = changed(journal_trie(journal), random_below(rng, 50), count, edition);
        g_autoptr(DigestTrie) trie = digest_trie_with_changes(more, NULL, removals);
        guint64 generation = advance(&journal, trie, 1000);
        g_ptr_array_add(tries, digest_trie_ref(trie));
        g_array_append_val(generations, generation);
        for (guint k = 0; k < tries->len; k++)
            check_catching_up(journal, g_ptr_array_index(tries, k), g_array_index(generations, guint64, k),
                              1 + random_below(rng, 30));
    }
    g_rand_free(rng);
}

static void test_whole_generations(void)
{
    g_autoptr(Journal) journal = journal_empty();
    guint64 first = advance_by(&journal, 0, 10, 0, 0);
    advance_by(&journal, 10, 10, 0, 0);
    guint64 last = advance_by(&journal, 20, 1, 0, 0);
    g_auto(JournalAnswer) one = {0}, all = {0}, none = {0};
    g_assert_true(journal_changes(journal, 10, 1, &one, NULL));
    g_assert_cmpuint(one.changes->len, ==, 10);
    g_assert_cmpuint(one.next, ==, first);
    g_assert_true(journal_changes(journal, 10, 21, &all, NULL));
    g_assert_cmpuint(all.changes->len, ==, 21);
    g_assert_cmpuint(all.next, ==, last);
    g_assert_true(journal_changes(journal, last, 1, &none, NULL));
    g_assert_cmpuint(none.changes->len, ==, 0);
    g_assert_cmpuint(none.next, ==, last);
}

static void assert_unknown(const Journal *journal, guint64 since)
{
    g_auto(JournalAnswer) answer = {0};
    g_autoptr(GError) error = NULL;
    g_assert_false(journal_changes(journal, since, 1000, &answer, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

static void test_unknown_generations(void)
{
    g_autoptr(Journal) journal = journal_empty();
    advance_by(&journal, 0, 1, 0, 100);
    advance_by(&journal, 1, 1, 0, 200);
    static const guint64 unknown[] = {0, 9, 11, 99, 101, 201, G_MAXUINT64};
    for (guint i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_unknown(journal, unknown[i]);
}

static void test_limits(void)
{
    g_autoptr(Journal) journal = journal_empty();
    advance_by(&journal, 0, 3, 0, 100);
    guint64 large = advance_by(&journal, 0, LIMIT_JOURNAL_STEP_CHANGES + 1, 1, 200);
    g_assert_cmpuint(journal_floor(journal), ==, large);
    assert_unknown(journal, 100);
    for (guint i = 0; i < LIMIT_JOURNAL_CHANGES / LIMIT_JOURNAL_STEP_CHANGES; i++)
        advance_by(&journal, 0, LIMIT_JOURNAL_STEP_CHANGES, 2 + i, 0);
    g_assert_cmpuint(journal_floor(journal), ==, large);
    guint64 next = advance_by(&journal, 0, 1, 99, 0);
    g_assert_cmpuint(journal_floor(journal), ==, large + 1);
    assert_unknown(journal, large);
    for (guint i = 0; i < LIMIT_JOURNAL_STEPS; i++)
        advance_by(&journal, 0, 1, 100 + i, 0);
    g_assert_cmpuint(journal_floor(journal), ==, next);
}

/* --- Answers that are none --- */

static void test_bad_answers(void)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"changes\":[],\"generation\":5,\"next\":6}",
        "{\"changes\":[],\"generation\":9,\"next\":5}",
        "{\"changes\":[],\"generation\":4,\"next\":4}",
        "{\"changes\":[{}],\"generation\":6,\"next\":6}",
        "{\"changes\":[{\"removed\":\"../x\"}],\"generation\":6,\"next\":6}",
        "{\"changes\":[{\"removed\":\"a\",\"item\":{}}],\"generation\":6,\"next\":6}",
        "{\"changes\":[{\"item\":{\"path\":\"a\"}}],\"generation\":6,\"next\":6}",
        "{\"changes\":{},\"generation\":6,\"next\":6}",
        "{\"changes\":[],\"generation\":-6,\"next\":-6}",
    };
    static const char good[] = "{\"changes\":[{\"removed\":\"a\"}],\"generation\":6,\"next\":6}";
    g_auto(JournalAnswer) answer = {0};
    g_assert_true(journal_answer_parse(good, sizeof good - 1, 5, &answer, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(JournalAnswer) none = {0};
        g_autoptr(GError) error = NULL;
        g_test_message("%s", bad[i]);
        g_assert_false(journal_answer_parse(bad[i], strlen(bad[i]), 5, &none, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
}

/* --- The store --- */

typedef struct {
    char *dir, *path;
} Disk;

static void disk_init(Disk *disk)
{
    disk->dir = g_dir_make_tmp("kontor-journal-XXXXXX", NULL);
    g_assert_nonnull(disk->dir);
    disk->path = g_build_filename(disk->dir, "catalog.db", NULL);
}

static void disk_clear(Disk *disk)
{
    for (guint i = 0; i < 3; i++) {
        static const char *const tails[] = {"", "-wal", "-shm"};
        g_autofree char *name = g_strconcat(disk->path, tails[i], NULL);
        g_unlink(name);
    }
    g_rmdir(disk->dir);
    g_free(disk->path);
    g_free(disk->dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Disk, disk_clear)

static JournalStore *open_store(const Disk *disk, Journal **ret_journal, gboolean expect_rebuilt)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *rebuilt = NULL;
    JournalStore *store = journal_store_open(disk->path, ret_journal, &rebuilt, &error);
    g_assert_no_error(error);
    g_assert_true((rebuilt != NULL) == expect_rebuilt);
    return store;
}

static void store_step(JournalStore *store, Journal **journal, DigestTrie *trie, gint64 now_s)
{
    g_autoptr(GError) error = NULL;
    Journal *next = journal_store_advance(store, *journal, trie, now_s, &error);
    g_assert_no_error(error);
    journal_unref(*journal);
    *journal = next;
}

static void test_restart(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    GRand *rng = random_new(5);
    g_autoptr(Journal) model = NULL;
    for (guint run = 0; run < 12; run++) {
        g_autoptr(Journal) journal = NULL;
        g_autoptr(JournalStore) store = open_store(&disk, &journal, FALSE);
        g_assert_cmpuint(journal_generation(journal), ==, model != NULL ? journal_generation(model) : 0);
        if (model != NULL) {
            g_assert_cmpuint(journal_floor(journal), ==, journal_floor(model));
            g_assert_cmpmem(digest_trie_digest(journal_trie(journal)), SHA256_BYTES,
                            digest_trie_digest(journal_trie(model)), SHA256_BYTES);
            g_autoptr(DigestTrie) empty = digest_trie_new_empty();
            check_catching_up(journal, empty, 0, 50);
        }
        for (guint i = 0; i < 5; i++) {
            g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(g_free);
            g_ptr_array_add(removals, g_strdup_printf("set/%u/pack-%u", i % 7, i));
            guint from = random_below(rng, 40);
            g_autoptr(DigestTrie) more = changed(journal_trie(journal), from, 10, run);
            g_autoptr(DigestTrie) trie = digest_trie_with_changes(more, NULL, removals);
            store_step(store, &journal, trie, 1000 - (gint64)run * 10);
        }
        journal_unref(model);
        model = g_steal_pointer(&journal);
    }
    g_rand_free(rng);
}

static void test_empty_catalog_has_a_generation(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    for (guint run = 0; run < 2; run++) {
        g_autoptr(Journal) journal = NULL;
        g_autoptr(JournalStore) store = open_store(&disk, &journal, FALSE);
        store_step(store, &journal, empty, 1234 + run);
        g_assert_cmpuint(journal_generation(journal), ==, 1234);
    }
}

static void test_large_step_is_stored(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    g_autoptr(GPtrArray) items = items_numbered(LIMIT_JOURNAL_STEP_CHANGES + 500);
    g_autoptr(DigestTrie) trie = trie_of(items);
    for (guint run = 0; run < 2; run++) {
        g_autoptr(Journal) journal = NULL;
        g_autoptr(JournalStore) store = open_store(&disk, &journal, FALSE);
        store_step(store, &journal, trie, 77);
        g_assert_cmpuint(journal_generation(journal), ==, 77);
        g_assert_cmpuint(journal_floor(journal), ==, 77);
    }
}

static void test_damage_begins_anew(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    g_autoptr(GPtrArray) items = items_numbered(40);
    g_autoptr(DigestTrie) trie = trie_of(items);
    {
        g_autoptr(Journal) journal = NULL;
        g_autoptr(JournalStore) store = open_store(&disk, &journal, FALSE);
        store_step(store, &journal, trie, 100);
    }
    g_assert_true(
        g_file_set_contents(disk.path, "this is no database, but long enough to look at", -1, NULL));
    g_autoptr(Journal) journal = NULL;
    g_autoptr(JournalStore) store = open_store(&disk, &journal, TRUE);
    g_assert_cmpuint(journal_generation(journal), ==, 0);
    store_step(store, &journal, trie, 200);
    g_assert_cmpuint(journal_generation(journal), ==, 200);
}

/* What the file says must follow from what is in it. */
static void test_changed_rows_are_damage(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    g_autoptr(GPtrArray) items = items_numbered(40);
    g_autoptr(DigestTrie) trie = trie_of(items);
    {
        g_autoptr(Journal) journal = NULL;
        g_autoptr(JournalStore) store = open_store(&disk, &journal, FALSE);
        store_step(store, &journal, trie, 100);
    }
    char *data = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(disk.path, &data, &len, NULL));
    guint replaced = 0;
    for (gsize i = 0; i + 6 < len; i++) {
        if (memcmp(data + i, "\"1.5.0", 6) == 0) {
            data[i + 5] = '9';
            replaced++;
        }
    }
    g_assert_cmpuint(replaced, >, 0);
    g_assert_true(g_file_set_contents(disk.path, data, (gssize)len, NULL));
    g_free(data);
    g_autoptr(Journal) journal = NULL;
    g_autoptr(JournalStore) store = open_store(&disk, &journal, TRUE);
    g_assert_nonnull(store);
    g_assert_cmpuint(digest_trie_count(journal_trie(journal)), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/journal/generations", test_generations);
    g_test_add_func("/journal/catching-up", test_catching_up);
    g_test_add_func("/journal/whole-generations", test_whole_generations);
    g_test_add_func("/journal/unknown-generations", test_unknown_generations);
    g_test_add_func("/journal/limits", test_limits);
    g_test_add_func("/journal/bad-answers", test_bad_answers);
    g_test_add_func("/journal/restart", test_restart);
    g_test_add_func("/journal/empty-catalog", test_empty_catalog_has_a_generation);
    g_test_add_func("/journal/large-step", test_large_step_is_stored);
    g_test_add_func("/journal/damage", test_damage_begins_anew);
    g_test_add_func("/journal/changed-rows", test_changed_rows_are_damage);
    return g_test_run();
}
