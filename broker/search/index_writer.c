/* SPDX-License-Identifier: MIT
 *
 * Order matters for speed: FTS5 collects a transaction's words in memory and has to write them out as a
 * segment whenever a page number is not greater than the one before. So a change first takes out all old
 * pages in ascending order, then puts in all new ones in ascending order.
 */
#include "broker/search/index_writer.h"

#include "broker/search/row_feed.h"
#include "broker/search/search_text.h"

#include <string.h>

enum { TEXT_COLUMNS = 6 };

/* The six texts of a page, as they are bound to the full-text tables. */
typedef struct {
    TextSpan columns[TEXT_COLUMNS];
} PageText;

typedef struct {
    Db *db;
    PackRoot *root;
    const IndexChange *change;
    IndexTotals totals;    /* before, and in the end afterwards */
    gboolean counts_words; /* keep `words` current page by page; otherwise it is made anew at the end */
    GString *scratch[TEXT_COLUMNS];
    GArray *ids; /* of gint64: the numbers of the upserts */
} Writing;

/* --- What is there --- */

static void indexed_pack_free(gpointer data)
{
    IndexedPack *pack = data;
    g_free(pack->path);
    g_bytes_unref(pack->fingerprint);
    g_free(pack);
}

static IndexedPack *indexed_pack_of_row(DbStatement *statement)
{
    IndexedPack *pack = g_new0(IndexedPack, 1);
    gsize size = 0;
    pack->id = db_column_integer(statement, 0);
    pack->path = g_strdup(db_column_text(statement, 1));
    const void *fingerprint = db_column_blob(statement, 2, &size);
    pack->fingerprint = g_bytes_new(fingerprint, size);
    pack->rows = (guint64)db_column_integer(statement, 3);
    return pack;
}

static GHashTable *packs_table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, indexed_pack_free);
}

static gboolean add_rows(GHashTable *packs, DbStatement *statement, GError **error)
{
    gboolean row = FALSE;
    do {
        if (!db_step(statement, &row, error))
            return FALSE;
        if (row) {
            IndexedPack *pack = indexed_pack_of_row(statement);
            g_hash_table_replace(packs, pack->path, pack);
        }
    } while (row);
    return TRUE;
}

GHashTable *index_writer_packs(Db *db, GError **error)
{
    g_autoptr(GHashTable) packs = packs_table_new();
    g_autoptr(DbStatement) statement = db_prepare(db, "SELECT id, path, fingerprint, rows FROM packs", error);
    if (statement == NULL || !add_rows(packs, statement, error))
        return NULL;
    return g_steal_pointer(&packs);
}

GHashTable *index_writer_packs_at(Db *db, GHashTable *paths, GError **error)
{
    g_autoptr(GHashTable) packs = packs_table_new();
    g_autoptr(DbStatement) statement =
        db_prepare(db, "SELECT id, path, fingerprint, rows FROM packs WHERE path = ?", error);
    if (statement == NULL)
        return NULL;
    GHashTableIter iter;
    gpointer path = NULL;
    g_hash_table_iter_init(&iter, paths);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        db_bind_text(statement, 1, path);
        if (!add_rows(packs, statement, error))
            return NULL;
    }
    return g_steal_pointer(&packs);
}

gboolean index_writer_totals(Db *db, IndexTotals *ret, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(db,
                   "SELECT (SELECT coalesce(max(id), 0) FROM packs), coalesce((SELECT packs FROM totals), 0),"
                   " coalesce((SELECT rows FROM totals), 0)",
                   error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    g_assert(row);
    ret->last_id = db_column_integer(statement, 0);
    ret->packs = (guint)CLAMP(db_column_integer(statement, 1), 0, G_MAXUINT);
    ret->rows = (guint64)MAX(db_column_integer(statement, 2), 0);
    return TRUE;
}

/* --- Pages in the full-text tables --- */

/* Runs a statement whose parameters are a page's number and its texts. */
static gboolean run_with_page(Writing *writing, const char *sql, gint64 id, const PageText *page,
                              GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(writing->db, sql, error);
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, id);
    for (int i = 0; i < TEXT_COLUMNS; i++)
        db_bind_text_len(statement, i + 2, page->columns[i].text, page->columns[i].len);
    return db_run(statement, error);
}

static void split_columns(Writing *writing, PageText *page)
{
    for (guint i = 0; i < TEXT_COLUMNS; i++)
        page->columns[i] = search_text_split(page->columns[i].text, page->columns[i].len, SEARCH_TEXT_PAGE,
                                             writing->scratch[i]);
}

static gboolean count_words_of(Writing *writing, gint64 id, const PageText *page, GError **error)
{
    return !writing->counts_words ||
           run_with_page(writing,
                         "INSERT INTO temp.delta_text(rowid, pack_path, page_file, title, summary, "
                         "pack_summary, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                         id, page, error);
}

static gboolean text_insert(Writing *writing, gint64 id, PageText *page, GError **error)
{
    split_columns(writing, page);
    return run_with_page(writing,
                         "INSERT INTO page_text(rowid, pack_path, page_file, title, summary, pack_summary, "
                         "body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                         id, page, error) &&
           count_words_of(writing, id, page, error);
}

/* A contentless table forgets a page when it is told its number and its texts once more. */
static gboolean text_delete(Writing *writing, gint64 id, PageText *page, GError **error)
{
    split_columns(writing, page);
    return run_with_page(writing,
                         "INSERT INTO page_text(page_text, rowid, pack_path, page_file, title, summary, "
                         "pack_summary, body) VALUES ('delete', ?, ?, ?, ?, ?, ?, ?)",
                         id, page, error) &&
           count_words_of(writing, id, page, error);
}

/* --- Words --- */

/* Adds the page counts of delta_text to `words`, or takes them off, and empties it. */
static gboolean words_settle(Writing *writing, gboolean added, GError **error)
{
    if (!writing->counts_words)
        return TRUE;
    const char *sql =
        added ? "INSERT INTO words(word, rows) SELECT term, doc FROM temp.delta_words WHERE true "
                "ON CONFLICT(word) DO UPDATE SET rows = rows + excluded.rows"
              : "INSERT INTO words(word, rows) SELECT term, -doc FROM temp.delta_words WHERE true "
                "ON CONFLICT(word) DO UPDATE SET rows = rows + excluded.rows";
    return db_exec(writing->db, sql, error) &&
           (added ||
            db_exec(writing->db,
                    "DELETE FROM words WHERE rows <= 0 AND word IN (SELECT term FROM temp.delta_words)",
                    error)) &&
           db_exec(writing->db, "INSERT INTO temp.delta_text(delta_text) VALUES ('delete-all')", error);
}

/* After a large change: one segment, moved out of the way of the small ones that later changes add, which
 * would otherwise drag it through their merges; and all words read off it. */
static gboolean finish_large(Writing *writing, GError **error)
{
    return writing->counts_words ||
           db_exec(writing->db,
                   "INSERT INTO page_text(page_text) VALUES ('optimize'); DELETE FROM words;"
                   "INSERT INTO words(word, rows) SELECT term, doc FROM page_words",
                   error);
}

/* --- Scopes --- */

/* The path lower-cased in the way of pack_scope_normalize, which itself refuses some characters that paths
 * may have. */
static char *lower_path(const char *path)
{
    gsize len = strlen(path);
    GString *lower = g_string_sized_new(len);
    for (gsize pos = 0; pos < len;) {
        gunichar c = 0;
        guint length = text_char_decode(path + pos, len - pos, &c);
        if (length == 0)
            g_string_append_c(lower, path[pos]);
        else
            g_string_append_unichar(lower, g_unichar_tolower(c));
        pos += MAX(length, 1);
    }
    return g_string_free(lower, FALSE);
}

/* Runs a statement with every scope that contains the pack. */
static gboolean run_with_scopes(Writing *writing, const char *sql, const char *path, gint64 id,
                                GError **error)
{
    g_autofree char *lower = lower_path(path);
    g_autoptr(DbStatement) statement = db_prepare(writing->db, sql, error);
    if (statement == NULL)
        return FALSE;
    for (gsize len = strlen(lower); len > 0; len--) {
        if (lower[len] != '\0' && lower[len] != '/')
            continue;
        db_bind_text_len(statement, 1, lower, len);
        db_bind_integer(statement, 2, id);
        if (!db_run(statement, error))
            return FALSE;
    }
    return TRUE;
}

/* --- Taking packs out --- */

static gboolean run_with_id(Writing *writing, const char *sql, gint64 id, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(writing->db, sql, error);
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, id);
    return db_run(statement, error);
}

static gboolean run_with_range(Writing *writing, const char *sql, gint64 pack, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(writing->db, sql, error);
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, pack << SEARCH_PACK_SHIFT);
    db_bind_integer(statement, 2, (pack + 1) << SEARCH_PACK_SHIFT);
    return db_run(statement, error);
}

static TextSpan column_span(DbStatement *statement, int column)
{
    TextSpan span = {0};
    span.text = db_column_text_len(statement, column, &span.len);
    return span;
}

static gboolean texts_delete_pack(Writing *writing, gint64 pack, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        writing->db,
        "SELECT packs.path, pages.file, pages.title, pages.summary, packs.summary, pages.body, pages.id "
        "FROM pages, packs WHERE packs.id = ?1 AND pages.id >= ?2 AND pages.id < ?3 ORDER BY pages.id",
        error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, pack);
    db_bind_integer(statement, 2, pack << SEARCH_PACK_SHIFT);
    db_bind_integer(statement, 3, (pack + 1) << SEARCH_PACK_SHIFT);
    do {
        if (!db_step(statement, &row, error))
            return FALSE;
        PageText page;
        for (int i = 0; i < TEXT_COLUMNS && row; i++)
            page.columns[i] = column_span(statement, i);
        if (row && !text_delete(writing, db_column_integer(statement, TEXT_COLUMNS), &page, error))
            return FALSE;
    } while (row);
    return TRUE;
}

static gboolean pack_delete(Writing *writing, const IndexedPack *pack, GError **error)
{
    return texts_delete_pack(writing, pack->id, error) &&
           run_with_range(writing, "DELETE FROM pages WHERE id >= ? AND id < ?", pack->id, error) &&
           run_with_scopes(writing, "DELETE FROM scopes WHERE scope = ? AND pack = ?", pack->path, pack->id,
                           error) &&
           run_with_id(writing, "DELETE FROM packs WHERE id = ?", pack->id, error);
}

static int compare_by_id(gconstpointer a, gconstpointer b)
{
    const IndexedPack *pack_a = *(IndexedPack *const *)a, *pack_b = *(IndexedPack *const *)b;
    return (pack_a->id > pack_b->id) - (pack_a->id < pack_b->id);
}

/* Every pack whose present pages go: those removed and those that are put in anew. */
static GPtrArray *packs_going(const IndexChange *change)
{
    GPtrArray *going = g_ptr_array_new();
    for (guint i = 0; i < change->removals->len; i++)
        g_ptr_array_add(going, change->removals->pdata[i]);
    for (guint i = 0; i < change->upserts->len; i++) {
        CatalogPack *pack = change->upserts->pdata[i];
        IndexedPack *old = g_hash_table_lookup(change->packs, pack->path);
        if (old != NULL)
            g_ptr_array_add(going, old);
    }
    g_ptr_array_sort(going, compare_by_id);
    return going;
}

static gboolean delete_everything(Writing *writing, GError **error)
{
    return db_exec(writing->db,
                   "DELETE FROM packs; DELETE FROM scopes; DELETE FROM pages; DELETE FROM words;"
                   "INSERT INTO page_text(page_text) VALUES ('delete-all')",
                   error);
}

static gboolean packs_delete(Writing *writing, GPtrArray *going, GError **error)
{
    if (going->len > 0 && going->len == writing->totals.packs && !writing->counts_words)
        return delete_everything(writing, error);
    for (guint i = 0; i < going->len; i++)
        if (!pack_delete(writing, going->pdata[i], error))
            return FALSE;
    return words_settle(writing, /* added= */ FALSE, error);
}

/* --- Putting packs in --- */

static gboolean pack_insert(Writing *writing, gint64 id, const CatalogPack *pack, guint64 rows,
                            gboolean complete, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        writing->db, "INSERT INTO packs(id, path, fingerprint, summary, rows) VALUES (?, ?, ?, ?, ?)", error);
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, id);
    db_bind_text(statement, 2, pack->path);
    db_bind_blob(statement, 3, pack->fingerprint, complete ? sizeof pack->fingerprint : 0);
    db_bind_text(statement, 4, pack->summary != NULL ? pack->summary : "");
    db_bind_integer(statement, 5, (gint64)rows);
    return db_run(statement, error) &&
           run_with_scopes(writing, "INSERT OR IGNORE INTO scopes(scope, pack) VALUES (?, ?)", pack->path, id,
                           error);
}

static TextSpan span_of(const char *text)
{
    return (TextSpan){text != NULL ? text : "", text != NULL ? strlen(text) : 0};
}

static gboolean page_insert(Writing *writing, gint64 id, const CatalogPack *pack, const FeedRow *row,
                            GError **error)
{
    PageText page = {{span_of(pack->path),
                      span_of(row->file),
                      span_of(row->title),
                      span_of(row->summary),
                      span_of(pack->summary),
                      {row->body, row->body_len}}};
    g_autoptr(DbStatement) statement = db_prepare(
        writing->db, "INSERT INTO pages(id, file, title, summary, body) VALUES (?, ?, ?, ?, ?)", error);
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, id);
    db_bind_text_len(statement, 2, page.columns[1].text, page.columns[1].len);
    db_bind_text_len(statement, 3, page.columns[2].text, page.columns[2].len);
    db_bind_text_len(statement, 4, page.columns[3].text, page.columns[3].len);
    db_bind_text_len(statement, 5, page.columns[5].text, page.columns[5].len);
    return db_run(statement, error) && text_insert(writing, id, &page, error);
}

static gboolean pack_write(Writing *writing, RowFeed *feed, guint index, GError **error)
{
    const CatalogPack *pack = writing->change->upserts->pdata[index];
    gint64 id = g_array_index(writing->ids, gint64, index);
    guint64 rows = 0;
    for (gboolean complete = FALSE;;) {
        g_autoptr(GArray) batch = row_feed_next(feed, index, &complete);
        if (batch == NULL) {
            writing->totals.rows += rows;
            return pack_insert(writing, id, pack, rows, complete, error);
        }
        for (guint i = 0; i < batch->len; i++, rows++)
            if (!page_insert(writing, (id << SEARCH_PACK_SHIFT) + (gint64)rows, pack,
                             &g_array_index(batch, FeedRow, i), error))
                return FALSE;
    }
}

static gboolean packs_write(Writing *writing, GError **error)
{
    g_autoptr(RowFeed) feed = row_feed_new(writing->root, writing->change->upserts, writing->change->threads);
    for (guint i = 0; i < writing->change->upserts->len; i++)
        if (!pack_write(writing, feed, i, error))
            return FALSE;
    return words_settle(writing, /* added= */ TRUE, error);
}

/* --- The whole change --- */

typedef struct {
    gint64 id;
    CatalogPack *pack;
} Numbered;

static int compare_numbered(gconstpointer a, gconstpointer b)
{
    const Numbered *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

/* A pack keeps its number for as long as it is in the index; new ones follow the greatest. Sorts the upserts
 * by number. */
static GArray *number_upserts(const IndexChange *change, IndexTotals *totals)
{
    g_autoptr(GArray) numbered = g_array_new(FALSE, FALSE, sizeof(Numbered));
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (guint i = 0; i < change->upserts->len; i++) {
        CatalogPack *pack = change->upserts->pdata[i];
        const IndexedPack *old = g_hash_table_lookup(change->packs, pack->path);
        Numbered item = {.id = old != NULL ? old->id : ++totals->last_id, .pack = pack};
        g_array_append_val(numbered, item);
    }
    g_array_sort(numbered, compare_numbered);
    for (guint i = 0; i < numbered->len; i++) {
        const Numbered *item = &g_array_index(numbered, Numbered, i);
        g_array_append_val(ids, item->id);
        change->upserts->pdata[i] = item->pack;
    }
    return ids;
}

/* Counting words page by page costs about as much as indexing the page; reading all of them off the index
 * costs a tenth of making it. */
static gboolean is_small(const IndexChange *change, guint64 kept, guint64 gone)
{
    guint64 touched = gone;
    for (guint i = 0; i < change->upserts->len; i++)
        touched += ((CatalogPack *)change->upserts->pdata[i])->rows_indexed;
    return touched < kept / 8;
}

static gboolean apply_in_transaction(Writing *writing, GError **error)
{
    const IndexChange *change = writing->change;
    IndexTotals *totals = &writing->totals;
    g_autoptr(GPtrArray) going = packs_going(change);
    guint64 gone = 0;
    for (guint i = 0; i < going->len; i++)
        gone += ((IndexedPack *)going->pdata[i])->rows;
    writing->counts_words = is_small(change, totals->rows - MIN(gone, totals->rows), gone);
    if (!packs_delete(writing, going, error))
        return FALSE;
    totals->packs += change->upserts->len - going->len;
    totals->rows -= MIN(gone, totals->rows);
    return packs_write(writing, error) && finish_large(writing, error);
}

gboolean index_writer_apply(Db *db, PackRoot *root, const IndexChange *change, IndexTotals *totals,
                            GError **error)
{
    Writing writing = {.db = db, .root = root, .change = change, .totals = *totals};
    writing.ids = number_upserts(change, &writing.totals);
    for (guint i = 0; i < TEXT_COLUMNS; i++)
        writing.scratch[i] = g_string_new(NULL);
    gboolean done = db_begin(db, error);
    if (done) {
        done = apply_in_transaction(&writing, error) && db_commit(db, error);
        db_rollback(db);
    }
    for (guint i = 0; i < TEXT_COLUMNS; i++)
        g_string_free(writing.scratch[i], TRUE);
    g_array_unref(writing.ids);
    if (done)
        *totals = writing.totals;
    return done;
}
