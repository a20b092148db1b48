/* SPDX-License-Identifier: MIT
 *
 * The one wrapper around SQLite. Nothing else in the program sees a sqlite3 type.
 *
 * A Db is one connection and belongs to one thread. Writers open with DB_WRITE; readers with DB_READ
 * (read-only connection; sees the last committed state). Every connection has WAL, foreign_keys ON,
 * trusted_schema OFF, defensive ON and a busy time-out; application_id tells our files from others,
 * user_version numbers the schema. All SQL is literal text; values are only bound. Statements are prepared
 * once per connection and lent.
 *
 * Errors: BUSY (locked beyond DB_BUSY_TIMEOUT_MS, or the deadline passed), CORRUPT (damaged, not ours, or
 * without the tables that its version promises), UNSUPPORTED (its schema is newer than this program, or older
 * and opened for reading), CONFLICT (a constraint of the schema), LIMIT (disk full, value too large),
 * CANCELLED (the transaction was undone by an earlier failure), NOT_FOUND and DENIED (the file itself), IO.
 */
#pragma once

#include "schema/error.h"

/* How long a connection waits for another process's lock; a nearer deadline shortens it. */
#define DB_BUSY_TIMEOUT_MS 2000

typedef struct Db Db;
typedef struct DbStatement DbStatement;

typedef enum {
    DB_READ,            /* must exist */
    DB_WRITE,           /* created when missing; synchronous = FULL: a commit is durable when it returns */
    DB_WRITE_THROWAWAY, /* created when missing; synchronous = OFF: for files that can be made again */
} DbMode;

/* What kind of file it is and how to bring it to the current schema. migrations[n] is the SQL text that leads
 * from user_version n to n + 1, run in one transaction; the array ends with NULL. */
typedef struct {
    guint32 application_id;
    const char *const *migrations;
} DbSchema;

/* --- Life cycle --- */
/* Opens `path`, checks that it is ours and, for writers, brings it to the current schema. New files are
 * readable by their owner only. */
Db *db_open(const char *path, DbMode mode, const DbSchema *schema, GError **error);
/* Rolls back an open transaction. No statement may be lent. NULL is allowed. */
void db_close(Db *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Db, db_close)

/* Removes a closed database with its -wal and -shm companions; success when there was none. */
gboolean db_delete(const char *path, GError **error);

/* --- Transactions: they remember where they began, for messages; they do not nest (asserted) --- */
gboolean db_begin_at(Db *db, const char *where, GError **error); /* BEGIN IMMEDIATE */
#define db_begin(db, error) db_begin_at((db), G_STRLOC, (error))
/* On failure the transaction has been rolled back. */
gboolean db_commit(Db *db, GError **error);
void db_rollback(Db *db); /* no-op outside a transaction */

/* --- Statements --- */

/* Runs SQL text without parameters or results, possibly several statements. */
gboolean db_exec(Db *db, const char *sql, GError **error);
/* Lends the statement for this literal (compared by address, then by text); it is reset and unbound. NULL on
 * error. It goes back by db_statement_done (also done by autoptr). One text may be lent once at a time. */
DbStatement *db_prepare(Db *db, const char *sql, GError **error);
void db_statement_done(DbStatement *statement);
/* Ends the current run before its last row, so that the statement can be bound and stepped again. */
void db_statement_reset(DbStatement *statement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DbStatement, db_statement_done)

/* Parameters are numbered from 1. Bound texts and blobs must live until the statement is stepped to its end
 * or reset. */
void db_bind_integer(DbStatement *statement, int index, gint64 value);
void db_bind_double(DbStatement *statement, int index, double value);
void db_bind_text(DbStatement *statement, int index, const char *text); /* NULL binds NULL */
void db_bind_text_len(DbStatement *statement, int index, const char *text, gsize len);
void db_bind_blob(DbStatement *statement, int index, const void *data, gsize len); /* len 0: an empty blob */
void db_bind_null(DbStatement *statement, int index);

/* Advances: TRUE and *ret_row TRUE when there is a row, TRUE and FALSE at the end, FALSE on error. At the end
 * and on error the statement is reset, ready to be bound again. */
gboolean db_step(DbStatement *statement, gboolean *ret_row, GError **error);
/* Runs a statement that returns no rows (asserted) and resets it. */
gboolean db_run(DbStatement *statement, GError **error);

/* Columns of the current row, numbered from 0. Pointers live until the next step or reset. */
gint64 db_column_integer(DbStatement *statement, int column);
double db_column_double(DbStatement *statement, int column);
const char *db_column_text(DbStatement *statement, int column); /* never NULL: "" for NULL */
/* The same with its length, for texts that may hold NULs. */
const char *db_column_text_len(DbStatement *statement, int column, gsize *ret_len);
const void *db_column_blob(DbStatement *statement, int column, gsize *ret_len);

gboolean db_column_is_null(DbStatement *statement, int column);

gint64 db_last_rowid(Db *db);

/* Every statement that runs beyond `deadline_us` (g_get_monotonic_time) fails with BUSY; 0 removes the
 * deadline. */
void db_set_deadline(Db *db, gint64 deadline_us);

/* Whole-file integrity check: FALSE with CORRUPT naming the first finding. */
gboolean db_check(Db *db, GError **error);
