/* SPDX-License-Identifier: MIT
 *
 * The tables of index.db and the temporary tables of its connections.
 */
#include "broker/search/search_schema.h"

/* "KSI" and the number of this layout. */
#define APPLICATION_ID 0x4b534902

#define TOKENIZER "tokenize = 'unicode61 remove_diacritics 2'"

/* page_text is contentless: FTS5 keeps words and positions, and the texts stand in packs and pages, from
 * where they are read again to take a page out of the index (FTS5 wants to be told the old text). hashsize
 * lets a whole build stay in memory until one or two large segments are written: fewer merges now, faster
 * queries later. */
static const char TABLES[] =
    /* A pack that is searched. */
    "CREATE TABLE packs ("
    "  id INTEGER PRIMARY KEY,"    /* never more than a few times the number of packs; see search_schema.h */
    "  path TEXT NOT NULL UNIQUE," /* slash path */
    "  fingerprint BLOB NOT NULL," /* CatalogPack.fingerprint when it was read; empty: has to be read again */
    "  summary TEXT NOT NULL,"     /* of its manifest, as it was indexed */
    "  rows INTEGER NOT NULL"      /* its pages in the index */
    ") STRICT;"
    /* Sums over all packs, whose rows are only put in and taken out: neither a query nor a small change looks
     * at all of them. */
    "CREATE TABLE totals (packs INTEGER NOT NULL, rows INTEGER NOT NULL) STRICT;"
    "INSERT INTO totals VALUES (0, 0);"
    "CREATE TRIGGER pack_added AFTER INSERT ON packs BEGIN"
    "  UPDATE totals SET packs = packs + 1, rows = rows + new.rows;"
    "END;"
    "CREATE TRIGGER pack_removed AFTER DELETE ON packs BEGIN"
    "  UPDATE totals SET packs = packs - 1, rows = rows - old.rows;"
    "END;"
    /* The pack itself and every directory above it, lower-cased as scopes are: a scope is one look-up. */
    "CREATE TABLE scopes ("
    "  scope TEXT NOT NULL,"
    "  pack INTEGER NOT NULL,"
    "  PRIMARY KEY (scope, pack)"
    ") STRICT, WITHOUT ROWID;"
    /* One row of a pack's wiki/index.md. */
    "CREATE TABLE pages ("
    "  id INTEGER PRIMARY KEY,"
    "  file TEXT NOT NULL,"
    "  title TEXT NOT NULL,"
    "  summary TEXT NOT NULL,"
    "  body TEXT NOT NULL" /* page_search_body of the file; empty when it could not be read */
    ") STRICT;"
    /* Every word of page_text, folded as the tokenizer folds it. */
    "CREATE TABLE words ("
    "  word TEXT PRIMARY KEY,"
    "  rows INTEGER NOT NULL" /* pages that contain it */
    ") STRICT, WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE page_text USING fts5("
    "  pack_path, page_file, title, summary, pack_summary, body, content = '', " TOKENIZER ");"
    "INSERT INTO page_text(page_text, rank) VALUES ('hashsize', 8388608);"
    "CREATE VIRTUAL TABLE page_words USING fts5vocab(page_text, 'row');";

static const char *const LAYOUT[] = {TABLES, NULL};
const DbSchema search_schema = {.application_id = APPLICATION_ID, .migrations = LAYOUT};

/* delta_text holds the pages that a change takes out or puts in, for as long as their words are counted. */
static const char WRITER_TABLES[] =
    "PRAGMA cache_size = -65536;"
    "CREATE VIRTUAL TABLE temp.delta_text USING fts5("
    "  pack_path, page_file, title, summary, pack_summary, body, content = '', detail = none, columnsize = "
    "0, " TOKENIZER ");"
    "CREATE VIRTUAL TABLE temp.delta_words USING fts5vocab(temp, delta_text, 'row');";

/* query_text holds one query at a time: the tokenizer that folded the pages folds it, too. */
static const char READER_TABLES[] =
    "PRAGMA cache_size = -16384;"
    "CREATE VIRTUAL TABLE temp.query_text USING fts5(query, content = '', columnsize = 0, " TOKENIZER ");"
    "CREATE VIRTUAL TABLE temp.query_words USING fts5vocab(temp, query_text, 'instance');";

static Db *open_with(const char *path, DbMode mode, const char *tables, GError **error)
{
    g_autoptr(Db) db = db_open(path, mode, &search_schema, error);
    if (db == NULL || !db_exec(db, tables, error))
        return NULL;
    return g_steal_pointer(&db);
}

Db *search_schema_open_writer(const char *path, GError **error)
{
    return open_with(path, DB_WRITE_THROWAWAY, WRITER_TABLES, error);
}

Db *search_schema_open_reader(const char *path, GError **error)
{
    return open_with(path, DB_READ, READER_TABLES, error);
}

gboolean search_schema_count_rows(Db *db, guint64 *ret_rows, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(db, "SELECT rows FROM totals", error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    *ret_rows = row ? (guint64)MAX(db_column_integer(statement, 0), 0) : 0;
    return TRUE;
}
