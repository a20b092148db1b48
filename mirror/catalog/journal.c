/* SPDX-License-Identifier: MIT
 *
 * A journal is a list of steps, one per generation, shared between successive journals: a new one copies the
 * pointers of at most LIMIT_JOURNAL_STEPS steps, which is bounded whatever the size of the catalog.
 */
#include "mirror/catalog/journal.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/pack_path.h"

#define GENERATION_MAX ((G_GINT64_CONSTANT(1) << 53) - 1)

/* Immutable. */
typedef struct {
    gatomicrefcount refs;
    guint64 generation;
    GPtrArray *changes; /* of JournalChange * */
} Step;

struct Journal {
    gatomicrefcount refs;
    guint64 generation;
    guint64 floor; /* the generation before the first step */
    DigestTrie *trie;
    GPtrArray *steps; /* of Step *, ascending */
    guint change_count;
};

/* --- Changes and steps --- */

JournalChange *journal_change_new(const char *path, CatalogItem *item)
{
    JournalChange *change = g_new(JournalChange, 1);
    change->path = g_strdup(path);
    change->item = item != NULL ? catalog_item_ref(item) : NULL;
    return change;
}

void journal_change_free(JournalChange *change)
{
    g_free(change->path);
    catalog_item_unref(change->item);
    g_free(change);
}

static GPtrArray *changes_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)journal_change_free);
}

static Step *step_new(guint64 generation, GPtrArray *changes)
{
    Step *step = g_new(Step, 1);
    g_atomic_ref_count_init(&step->refs);
    step->generation = generation;
    step->changes = g_ptr_array_ref(changes);
    return step;
}

static Step *step_ref(Step *step)
{
    g_atomic_int_inc(&step->refs);
    return step;
}

static void step_unref(gpointer data)
{
    Step *step = data;
    if (!g_atomic_int_dec_and_test(&step->refs))
        return;
    g_ptr_array_unref(step->changes);
    g_free(step);
}

/* --- Life cycle --- */

Journal *journal_new(DigestTrie *trie, guint64 generation)
{
    g_assert(generation <= GENERATION_MAX);
    Journal *journal = g_new0(Journal, 1);
    g_atomic_ref_count_init(&journal->refs);
    journal->generation = generation;
    journal->floor = generation;
    journal->trie = digest_trie_ref(trie);
    journal->steps = g_ptr_array_new_with_free_func(step_unref);
    return journal;
}

Journal *journal_ref(Journal *journal)
{
    g_atomic_int_inc(&journal->refs);
    return journal;
}

void journal_unref(Journal *journal)
{
    if (journal == NULL || !g_atomic_int_dec_and_test(&journal->refs))
        return;
    digest_trie_unref(journal->trie);
    g_ptr_array_unref(journal->steps);
    g_free(journal);
}

/* --- Advancing --- */

static void add_change(CatalogItem *before, CatalogItem *after, gpointer user)
{
    g_ptr_array_add(user, journal_change_new(after != NULL ? after->path : before->path, after));
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
    const JournalChange *const *first = a, *const *second = b;
    return strcmp((*first)->path, (*second)->path);
}

static void add_step(Journal *journal, Step *step)
{
    g_ptr_array_add(journal->steps, step);
    journal->change_count += step->changes->len;
}

/* Drops the oldest steps until the limits are kept. */
static void trim(Journal *journal)
{
    guint dropped = 0;
    while (journal->steps->len - dropped > LIMIT_JOURNAL_STEPS ||
           journal->change_count > LIMIT_JOURNAL_CHANGES) {
        const Step *oldest = g_ptr_array_index(journal->steps, dropped++);
        journal->change_count -= oldest->changes->len;
        journal->floor = oldest->generation;
    }
    if (dropped > 0)
        g_ptr_array_remove_range(journal->steps, 0, dropped);
}

Journal *journal_advance(Journal *base, DigestTrie *trie, gint64 now_s)
{
    g_autoptr(GPtrArray) changes = changes_new();
    digest_trie_diff(base->trie, trie, add_change, changes);
    if (changes->len == 0)
        return journal_ref(base);
    guint64 now = (guint64)CLAMP(now_s, 0, GENERATION_MAX);
    Journal *next = journal_new(trie, MAX(base->generation + 1, now));
    if (changes->len > LIMIT_JOURNAL_STEP_CHANGES)
        return next;
    next->floor = base->floor;
    for (guint i = 0; i < base->steps->len; i++)
        add_step(next, step_ref(g_ptr_array_index(base->steps, i)));
    g_ptr_array_sort(changes, compare_paths);
    add_step(next, step_new(next->generation, changes));
    trim(next);
    return next;
}

Journal *journal_with_trie(Journal *journal, DigestTrie *trie)
{
    g_assert(memcmp(digest_trie_digest(journal->trie), digest_trie_digest(trie), SHA256_BYTES) == 0);
    Journal *same = journal_new(trie, journal->generation);
    same->floor = journal->floor;
    for (guint i = 0; i < journal->steps->len; i++)
        add_step(same, step_ref(g_ptr_array_index(journal->steps, i)));
    return same;
}

void journal_restore(Journal *journal, guint64 floor, guint64 generation, GPtrArray *changes)
{
    if (journal->steps->len == 0)
        journal->floor = floor;
    add_step(journal, step_new(generation, changes));
}

/* --- Queries --- */

guint64 journal_generation(const Journal *journal)
{
    return journal->generation;
}

guint64 journal_floor(const Journal *journal)
{
    return journal->floor;
}

DigestTrie *journal_trie(const Journal *journal)
{
    return journal->trie;
}

/* Index of the first step after `since`; FALSE when `since` is not a generation that was. */
static gboolean find_step(const Journal *journal, guint64 since, guint *ret)
{
    guint low = 0, high = journal->steps->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Step *step = g_ptr_array_index(journal->steps, middle);
        if (step->generation <= since)
            low = middle + 1;
        else
            high = middle;
    }
    const Step *before = low > 0 ? g_ptr_array_index(journal->steps, low - 1) : NULL;
    *ret = low;
    return since == (before != NULL ? before->generation : journal->floor);
}

gboolean journal_knows(const Journal *journal, guint64 since)
{
    guint step;
    return find_step(journal, since, &step);
}

/* Copies the changes that no later one of the same path replaces. */
static GPtrArray *latest_changes(const GPtrArray *all)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) backwards = g_ptr_array_new();
    for (guint i = all->len; i > 0; i--) {
        JournalChange *change = g_ptr_array_index(all, i - 1);
        if (g_hash_table_add(seen, change->path))
            g_ptr_array_add(backwards, change);
    }
    GPtrArray *changes = changes_new();
    for (guint i = backwards->len; i > 0; i--) {
        const JournalChange *change = g_ptr_array_index(backwards, i - 1);
        g_ptr_array_add(changes, journal_change_new(change->path, change->item));
    }
    return changes;
}

gboolean journal_changes(const Journal *journal, guint64 since, guint limit, JournalAnswer *ret,
                         GError **error)
{
    guint first;
    if (!find_step(journal, since, &first)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "the journal does not know generation %" G_GUINT64_FORMAT, since);
        return FALSE;
    }
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    guint64 next = journal->generation;
    for (guint i = first; i < journal->steps->len; i++) {
        const Step *step = g_ptr_array_index(journal->steps, i);
        if (i > first && all->len + step->changes->len > limit)
            break;
        for (guint k = 0; k < step->changes->len; k++)
            g_ptr_array_add(all, g_ptr_array_index(step->changes, k));
        next = step->generation;
    }
    *ret = (JournalAnswer){journal->generation, next, latest_changes(all)};
    return TRUE;
}

/* --- Answers --- */

void journal_answer_clear(JournalAnswer *answer)
{
    g_clear_pointer(&answer->changes, g_ptr_array_unref);
}

void journal_answer_write(const JournalAnswer *answer, JsonWriter *writer)
{
    json_write_object_begin(writer);
    json_write_key(writer, "changes");
    json_write_array_begin(writer);
    for (guint i = 0; i < answer->changes->len; i++) {
        const JournalChange *change = g_ptr_array_index(answer->changes, i);
        json_write_object_begin(writer);
        if (change->item != NULL) {
            json_write_key(writer, "item");
            catalog_item_write(change->item, writer);
        } else {
            json_write_member_string(writer, "removed", change->path);
        }
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
    json_write_member_integer(writer, "generation", (gint64)answer->generation);
    json_write_member_integer(writer, "next", (gint64)answer->next);
    json_write_object_end(writer);
}

static gboolean refuse(GError **error, const char *rule)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "changes: %s", rule);
    return FALSE;
}

static gboolean read_change(const JsonValue *value, GPtrArray *changes, GError **error)
{
    const char *removed = NULL;
    if (json_value_kind(value) != JSON_OBJECT || json_value_count(value) != 1)
        return refuse(error, "a change is an object with either \"item\" or \"removed\"");
    const JsonValue *object = json_object_get(value, "item");
    if (object != NULL) {
        g_autoptr(CatalogItem) item = catalog_item_read(object, error);
        if (item == NULL)
            return FALSE;
        g_ptr_array_add(changes, journal_change_new(item->path, item));
        return TRUE;
    }
    if (!json_get_string(value, "removed", JSON_REQUIRED, LIMIT_PACK_PATH_BYTES, &removed, error) ||
        !pack_path_check(removed, error))
        return FALSE;
    g_ptr_array_add(changes, journal_change_new(removed, NULL));
    return TRUE;
}

static gboolean read_answer(const JsonValue *root, guint64 since, JournalAnswer *answer, GError **error)
{
    const JsonValue *list = NULL;
    gint64 generation = 0, next = 0;
    if (json_value_kind(root) != JSON_OBJECT)
        return refuse(error, "the answer is not an object");
    if (!json_get_integer(root, "generation", JSON_REQUIRED, 0, GENERATION_MAX, &generation, error) ||
        !json_get_integer(root, "next", JSON_REQUIRED, 0, GENERATION_MAX, &next, error) ||
        !json_get_array(root, "changes", JSON_REQUIRED, LIMIT_JOURNAL_STEP_CHANGES, &list, error))
        return FALSE;
    if (next > generation || ((guint64)next <= since && next != generation) || (guint64)next < since)
        return refuse(error, "\"next\" leads nowhere");
    for (const JsonValue *value = json_value_first(list); value != NULL; value = json_value_next(value)) {
        if (!read_change(value, answer->changes, error))
            return FALSE;
    }
    answer->generation = (guint64)generation;
    answer->next = (guint64)next;
    return TRUE;
}

gboolean journal_answer_parse(const void *data, gsize len, guint64 since, JournalAnswer *ret, GError **error)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, LIMIT_DIGEST_ANSWER_BYTES, error);
    if (doc == NULL)
        return FALSE;
    g_auto(JournalAnswer) answer = {.changes = changes_new()};
    if (!read_answer(json_doc_root(doc), since, &answer, error))
        return FALSE;
    *ret = answer;
    answer.changes = NULL;
    return TRUE;
}
