/* SPDX-License-Identifier: MIT
 *
 * Table `items` is the catalog that was published last, `changes` the steps of its journal (item NULL:
 * removed), `present` its one generation with the root, which is compared with the items when they are read.
 */
#include "mirror/catalog/journal_store.h"

#include <string.h>

#include "mirror/store/db.h"
#include "schema/limits.h"

#define ITEM_BYTES_MAX (64 * 1024) /* the longest item, escaped */

static const char *const migrations[] = {
    "CREATE TABLE present ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  generation INTEGER NOT NULL,"
    "  floor INTEGER NOT NULL,"
    "  root BLOB NOT NULL CHECK (length(root) = 32)"
    ") STRICT;"
    "CREATE TABLE items ("
    "  path TEXT PRIMARY KEY,"
    "  item TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE changes ("
    "  generation INTEGER NOT NULL,"
    "  path TEXT NOT NULL,"
    "  item TEXT,"
    "  PRIMARY KEY (generation, path)"
    ") STRICT, WITHOUT ROWID;",
    NULL,
};

static const DbSchema schema = {.application_id = 0x4b4f4341, .migrations = migrations};

struct JournalStore {
    Db *db;
};

/* --- Reading --- */

static CatalogItem *item_of_column(DbStatement *statement, int column, GError **error)
{
    gsize len = 0;
    const char *text = db_column_text_len(statement, column, &len);
    g_autoptr(JsonDoc) doc = json_doc_parse(text, len, ITEM_BYTES_MAX, error);
    return doc != NULL ? catalog_item_read(json_doc_root(doc), error) : NULL;
}

static DigestTrie *read_items(Db *db, GError **error)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    g_autoptr(DbStatement) statement = db_prepare(db, "SELECT item FROM items", error);
    gboolean row = TRUE;
    while (statement != NULL && row) {
        if (!db_step(statement, &row, error))
            return NULL;
        CatalogItem *item = row ? item_of_column(statement, 0, error) : NULL;
        if (row && item == NULL)
            return NULL;
        if (item != NULL)
            g_ptr_array_add(items, item);
    }
    if (statement == NULL)
        return NULL;
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    return digest_trie_with_changes(empty, items, NULL);
}

/* Gives the journal the step that was collected and begins the next one. */
static void end_step(Journal *journal, guint64 floor, guint64 generation, GPtrArray **changes)
{
    if ((*changes)->len > 0)
        journal_restore(journal, floor, generation, *changes);
    g_ptr_array_unref(*changes);
    *changes = g_ptr_array_new_with_free_func((GDestroyNotify)journal_change_free);
}

static gboolean read_change(DbStatement *statement, GPtrArray *changes, GError **error)
{
    gboolean removed = db_column_is_null(statement, 2);
    g_autoptr(CatalogItem) item = removed ? NULL : item_of_column(statement, 2, error);
    if (!removed && item == NULL)
        return FALSE;
    g_ptr_array_add(changes, journal_change_new(db_column_text(statement, 1), item));
    return TRUE;
}

static gboolean read_changes(Db *db, Journal *journal, guint64 floor, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(db, "SELECT generation, path, item FROM changes ORDER BY generation, path", error);
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func((GDestroyNotify)journal_change_free);
    guint64 generation = 0;
    gboolean row = TRUE;
    if (statement == NULL)
        return FALSE;
    while (row) {
        if (!db_step(statement, &row, error))
            return FALSE;
        guint64 current = row ? (guint64)db_column_integer(statement, 0) : 0;
        if (current != generation)
            end_step(journal, floor, generation, &changes);
        generation = current;
        if (row && !read_change(statement, changes, error))
            return FALSE;
    }
    return TRUE;
}

/* Generation, floor and root; generation 0 when nothing was ever published. */
static gboolean read_present(Db *db, guint64 *ret_generation, guint64 *ret_floor,
                             guint8 ret_root[SHA256_BYTES], GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(db, "SELECT generation, floor, root FROM present", error);
    gboolean row = FALSE;
    gsize len = 0;
    *ret_generation = *ret_floor = 0;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    if (!row)
        return TRUE;
    const void *root = db_column_blob(statement, 2, &len);
    if (len == SHA256_BYTES)
        memcpy(ret_root, root, SHA256_BYTES);
    *ret_generation = (guint64)db_column_integer(statement, 0);
    *ret_floor = (guint64)db_column_integer(statement, 1);
    return TRUE;
}

static Journal *read_journal(Db *db, GError **error)
{
    guint64 generation, floor;
    guint8 root[SHA256_BYTES] = {0};
    if (!read_present(db, &generation, &floor, root, error))
        return NULL;
    g_autoptr(DigestTrie) trie = read_items(db, error);
    if (trie == NULL)
        return NULL;
    if (generation > 0 && memcmp(root, digest_trie_digest(trie), SHA256_BYTES) != 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT,
                    "catalog.db: the root does not follow from the items");
        return NULL;
    }
    g_autoptr(Journal) journal = journal_new(trie, generation);
    return read_changes(db, journal, floor, error) ? g_steal_pointer(&journal) : NULL;
}

/* --- Life cycle --- */

static JournalStore *open_once(const char *path, Journal **ret_journal, GError **error)
{
    g_autoptr(JournalStore) store = g_new0(JournalStore, 1);
    store->db = db_open(path, DB_WRITE, &schema, error);
    if (store->db == NULL)
        return NULL;
    *ret_journal = read_journal(store->db, error);
    return *ret_journal != NULL ? g_steal_pointer(&store) : NULL;
}

/* What can be read, but is not what we wrote, is damage too. */
static gboolean is_damage(const GError *error)
{
    return g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT) ||
           g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

JournalStore *journal_store_open(const char *path, Journal **ret_journal, char **ret_rebuilt, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (ret_rebuilt != NULL)
        *ret_rebuilt = NULL;
    JournalStore *store = open_once(path, ret_journal, &cause);
    if (store != NULL)
        return store;
    if (!is_damage(cause)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (ret_rebuilt != NULL)
        *ret_rebuilt = g_strdup(cause->message);
    return db_delete(path, error) ? open_once(path, ret_journal, error) : NULL;
}

void journal_store_free(JournalStore *store)
{
    if (store == NULL)
        return;
    db_close(store->db);
    g_free(store);
}

/* --- Writing --- */

typedef struct {
    DbStatement *set, *remove, *note;
    guint64 generation;
    gboolean failed;
    GError *error;
} Writing;

static char *item_text(const CatalogItem *item)
{
    GString *text = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, text, JSON_STYLE_CANONICAL);
        catalog_item_write(item, &writer);
    }
    return g_string_free(text, FALSE);
}

static void write_difference(CatalogItem *before, CatalogItem *after, gpointer user)
{
    Writing *writing = user;
    const char *path = after != NULL ? after->path : before->path;
    g_autofree char *text = after != NULL ? item_text(after) : NULL;
    DbStatement *change = after != NULL ? writing->set : writing->remove;
    if (writing->failed)
        return;
    db_bind_text(change, 1, path);
    if (after != NULL)
        db_bind_text(change, 2, text);
    db_bind_integer(writing->note, 1, (gint64)writing->generation);
    db_bind_text(writing->note, 2, path);
    db_bind_text(writing->note, 3, text);
    writing->failed = !db_run(change, &writing->error) || !db_run(writing->note, &writing->error);
}

static gboolean write_items(Db *db, const Journal *base, const Journal *next, GError **error)
{
    g_autoptr(DbStatement) set =
        db_prepare(db, "INSERT OR REPLACE INTO items (path, item) VALUES (?, ?)", error);
    g_autoptr(DbStatement) remove =
        set != NULL ? db_prepare(db, "DELETE FROM items WHERE path = ?", error) : NULL;
    g_autoptr(DbStatement) note =
        remove != NULL
            ? db_prepare(db, "INSERT INTO changes (generation, path, item) VALUES (?, ?, ?)", error)
            : NULL;
    if (note == NULL)
        return FALSE;
    Writing writing = {.set = set, .remove = remove, .note = note, .generation = journal_generation(next)};
    digest_trie_diff(journal_trie(base), journal_trie(next), write_difference, &writing);
    if (writing.failed)
        g_propagate_error(error, writing.error);
    return !writing.failed;
}

/* Also forgets the steps that the journal has forgotten. */
static gboolean write_present(Db *db, const Journal *journal, GError **error)
{
    g_autoptr(DbStatement) forget = db_prepare(db, "DELETE FROM changes WHERE generation <= ?", error);
    if (forget == NULL)
        return FALSE;
    db_bind_integer(forget, 1, (gint64)journal_floor(journal));
    g_autoptr(DbStatement) present =
        db_run(forget, error)
            ? db_prepare(db,
                         "INSERT OR REPLACE INTO present (id, generation, floor, root) VALUES (1, ?, ?, ?)",
                         error)
            : NULL;
    if (present == NULL)
        return FALSE;
    db_bind_integer(present, 1, (gint64)journal_generation(journal));
    db_bind_integer(present, 2, (gint64)journal_floor(journal));
    db_bind_blob(present, 3, digest_trie_digest(journal_trie(journal)), SHA256_BYTES);
    return db_run(present, error);
}

static gboolean save(Db *db, const Journal *base, const Journal *next, GError **error)
{
    if (!db_begin(db, error))
        return FALSE;
    if (!write_items(db, base, next, error) || !write_present(db, next, error)) {
        db_rollback(db);
        return FALSE;
    }
    return db_commit(db, error);
}

Journal *journal_store_advance(JournalStore *store, Journal *base, DigestTrie *trie, gint64 now_s,
                               GError **error)
{
    g_autoptr(Journal) next = journal_advance(base, trie, now_s);
    if (journal_generation(next) == 0) {
        journal_unref(next);
        next = journal_new(trie, (guint64)MAX(now_s, 1));
    }
    if (next == base)
        return g_steal_pointer(&next);
    return save(store->db, base, next, error) ? g_steal_pointer(&next) : NULL;
}
