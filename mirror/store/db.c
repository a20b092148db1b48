/* SPDX-License-Identifier: MIT
 *
 * Opening goes in this order, so that a file that is not ours is never written to: open, harden the
 * connection, read application_id, user_version and the number of schema objects, judge them, then (writers
 * only) switch to WAL and run the missing migrations, each in a transaction of its own that also stores the
 * new user_version.
 *
 * Statements are kept in a table by text for the life of the connection; a second table by address of the
 * literal spares hashing the text on the usual path.
 */
#include "mirror/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum {
    PROGRESS_INTERVAL_OPS = 1000, /* virtual machine steps between looks at the clock: some tens of µs */
    BUSY_SLEEP_US_MAX = 20000,
};

struct Db {
    sqlite3 *handle;
    char *path;             /* for messages */
    const char *began_at;   /* source location of the open transaction; NULL outside */
    gint64 deadline_us;     /* 0 = none */
    gint64 busy_since_us;   /* when the present wait for a lock began */
    GHashTable *by_text;    /* char * of the statement -> DbStatement *, owned */
    GHashTable *by_address; /* literal -> DbStatement *, borrowed */
    guint lent;             /* statements out at the moment */
};

struct DbStatement {
    Db *db;
    sqlite3_stmt *stmt;
    char *sql;
    gboolean lent;
    int bind_result; /* first failed bind since the last reset; reported by the next step */
};

/* --- Errors --- */

static KontorErrorCode code_of_result(int result)
{
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT: /* by on_progress */
        return KONTOR_ERROR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: /* our SQL is constant: if it does not fit, the file's tables are not what they should
                          be */
    case SQLITE_MISMATCH:
        return KONTOR_ERROR_CORRUPT;
    case SQLITE_CONSTRAINT:
        return KONTOR_ERROR_CONFLICT;
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
        return KONTOR_ERROR_LIMIT;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return KONTOR_ERROR_DENIED;
    default:
        return KONTOR_ERROR_IO;
    }
}

/* Returns FALSE always. Must run before anything else touches the connection: the text is that of its last
 * failure. */
static gboolean fail(Db *db, int result, GError **error)
{
    const char *text =
        (result & 0xff) == SQLITE_INTERRUPT ? "the deadline passed" : sqlite3_errmsg(db->handle);
    g_set_error(error, KONTOR_ERROR, code_of_result(result), "database '%s': %s%s%s", db->path, text,
                db->began_at != NULL ? ", in the transaction begun at " : "",
                db->began_at != NULL ? db->began_at : "");
    return FALSE;
}

/* --- Waiting and deadlines --- */

static gboolean deadline_passed(const Db *db)
{
    return db->deadline_us != 0 && g_get_monotonic_time() >= db->deadline_us;
}

static int on_progress(void *data)
{
    return deadline_passed(data);
}

/* SQLite's own time-out knows nothing of our deadline, so the waiting is done here. */
static int on_busy(void *data, int attempt)
{
    Db *db = data;
    gint64 now = g_get_monotonic_time();
    if (attempt == 0)
        db->busy_since_us = now;
    if (now - db->busy_since_us >= DB_BUSY_TIMEOUT_MS * 1000 || deadline_passed(db))
        return 0;
    g_usleep(MIN(1000u * (guint)(attempt + 1), (guint)BUSY_SLEEP_US_MAX));
    return 1;
}

void db_set_deadline(Db *db, gint64 deadline_us)
{
    db->deadline_us = deadline_us;
    if (deadline_us != 0)
        sqlite3_progress_handler(db->handle, PROGRESS_INTERVAL_OPS, on_progress, db);
    else
        sqlite3_progress_handler(db->handle, 0, NULL, NULL);
}

static gboolean check_deadline(Db *db, GError **error)
{
    if (!deadline_passed(db))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY, "database '%s': the deadline passed", db->path);
    return FALSE;
}

/* --- Statements --- */

static void statement_free(gpointer data)
{
    DbStatement *statement = data;
    sqlite3_finalize(statement->stmt);
    g_free(statement->sql);
    g_free(statement);
}

gboolean db_exec(Db *db, const char *sql, GError **error)
{
    if (!check_deadline(db, error))
        return FALSE;
    int result = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return result == SQLITE_OK || fail(db, result, error);
}

static DbStatement *statement_find(Db *db, const char *sql)
{
    DbStatement *statement = g_hash_table_lookup(db->by_address, sql);
    if (statement != NULL && strcmp(statement->sql, sql) == 0)
        return statement;
    statement = g_hash_table_lookup(db->by_text, sql);
    if (statement != NULL)
        g_hash_table_insert(db->by_address, (gpointer)(guintptr)sql, statement);
    return statement;
}

static DbStatement *statement_compile(Db *db, const char *sql, GError **error)
{
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    int result = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
    if (result != SQLITE_OK) {
        fail(db, result, error);
        return NULL;
    }
    g_assert(stmt != NULL && tail[strspn(tail, " \t\r\n;")] == '\0'); /* exactly one statement */
    DbStatement *statement = g_new0(DbStatement, 1);
    statement->db = db;
    statement->stmt = stmt;
    statement->sql = g_strdup(sql);
    g_hash_table_insert(db->by_text, statement->sql, statement);
    g_hash_table_insert(db->by_address, (gpointer)(guintptr)sql, statement);
    return statement;
}

DbStatement *db_prepare(Db *db, const char *sql, GError **error)
{
    DbStatement *statement = statement_find(db, sql);
    if (statement == NULL)
        statement = statement_compile(db, sql, error);
    if (statement == NULL)
        return NULL;
    g_assert(!statement->lent);
    statement->lent = TRUE;
    db->lent++;
    return statement;
}

void db_statement_reset(DbStatement *statement)
{
    sqlite3_reset(statement->stmt);
    statement->bind_result = SQLITE_OK;
}

void db_statement_done(DbStatement *statement)
{
    if (statement == NULL)
        return;
    g_assert(statement->lent);
    db_statement_reset(statement);
    sqlite3_clear_bindings(statement->stmt);
    statement->lent = FALSE;
    statement->db->lent--;
}

/* A wrong parameter number and binding to a statement that still runs are our bugs; a value beyond SQLite's
 * length limit is the world's doing and is reported by the step that follows. */
static void note_bind(DbStatement *statement, int result)
{
    g_assert(result != SQLITE_RANGE && result != SQLITE_MISUSE);
    if (statement->bind_result == SQLITE_OK)
        statement->bind_result = result;
}

void db_bind_integer(DbStatement *statement, int index, gint64 value)
{
    note_bind(statement, sqlite3_bind_int64(statement->stmt, index, value));
}

void db_bind_double(DbStatement *statement, int index, double value)
{
    note_bind(statement, sqlite3_bind_double(statement->stmt, index, value));
}

void db_bind_null(DbStatement *statement, int index)
{
    note_bind(statement, sqlite3_bind_null(statement->stmt, index));
}

void db_bind_text(DbStatement *statement, int index, const char *text)
{
    if (text == NULL)
        db_bind_null(statement, index);
    else
        db_bind_text_len(statement, index, text, strlen(text));
}

void db_bind_text_len(DbStatement *statement, int index, const char *text, gsize len)
{
    g_assert(text != NULL || len == 0);
    note_bind(statement, sqlite3_bind_text64(statement->stmt, index, text != NULL ? text : "", len,
                                             SQLITE_STATIC, SQLITE_UTF8));
}

void db_bind_blob(DbStatement *statement, int index, const void *data, gsize len)
{
    g_assert(data != NULL || len == 0);
    /* SQLite would take a NULL pointer for the value NULL. */
    note_bind(statement,
              sqlite3_bind_blob64(statement->stmt, index, data != NULL ? data : "", len, SQLITE_STATIC));
}

static gboolean step_failed(DbStatement *statement, int result, GError **error)
{
    fail(statement->db, result, error);
    db_statement_reset(statement);
    return FALSE;
}

gboolean db_step(DbStatement *statement, gboolean *ret_row, GError **error)
{
    Db *db = statement->db;
    g_assert(statement->lent);
    if (statement->bind_result != SQLITE_OK)
        return step_failed(statement, statement->bind_result, error);
    if (!check_deadline(db, error)) {
        db_statement_reset(statement);
        return FALSE;
    }
    int result = sqlite3_step(statement->stmt);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return step_failed(statement, result, error);
    *ret_row = result == SQLITE_ROW;
    if (result == SQLITE_DONE) /* gives the read snapshot back at once */
        db_statement_reset(statement);
    return TRUE;
}

gboolean db_run(DbStatement *statement, GError **error)
{
    gboolean row = FALSE;
    if (!db_step(statement, &row, error))
        return FALSE;
    g_assert(!row);
    return TRUE;
}

gint64 db_column_integer(DbStatement *statement, int column)
{
    return sqlite3_column_int64(statement->stmt, column);
}

double db_column_double(DbStatement *statement, int column)
{
    return sqlite3_column_double(statement->stmt, column);
}

const char *db_column_text(DbStatement *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement->stmt, column);
    return text != NULL ? text : "";
}

const char *db_column_text_len(DbStatement *statement, int column, gsize *ret_len)
{
    const char *text = db_column_text(statement, column);
    *ret_len = (gsize)sqlite3_column_bytes(statement->stmt, column);
    return text;
}

const void *db_column_blob(DbStatement *statement, int column, gsize *ret_len)
{
    const void *data = sqlite3_column_blob(statement->stmt, column);
    *ret_len = (gsize)sqlite3_column_bytes(statement->stmt, column);
    return data;
}

gboolean db_column_is_null(DbStatement *statement, int column)
{
    return sqlite3_column_type(statement->stmt, column) == SQLITE_NULL;
}

gint64 db_last_rowid(Db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

/* --- Transactions --- */

gboolean db_begin_at(Db *db, const char *where, GError **error)
{
    if (db->began_at != NULL)
        g_error("database '%s': transaction at %s inside the one begun at %s", db->path, where, db->began_at);
    if (!db_exec(db, "BEGIN IMMEDIATE", error)) {
        g_prefix_error(error, "%s: ", where);
        return FALSE;
    }
    db->began_at = where;
    return TRUE;
}

gboolean db_commit(Db *db, GError **error)
{
    g_assert(db->began_at != NULL);
    /* After disk-full, I/O errors and interruptions SQLite rolls back by itself; COMMIT would then say
     * something about no transaction being active. */
    if (sqlite3_get_autocommit(db->handle)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CANCELLED,
                    "database '%s': the transaction begun at %s was undone by an earlier failure", db->path,
                    db->began_at);
        db->began_at = NULL;
        return FALSE;
    }
    if (!db_exec(db, "COMMIT", error)) {
        db_rollback(db);
        return FALSE;
    }
    db->began_at = NULL;
    return TRUE;
}

void db_rollback(Db *db)
{
    if (db->began_at == NULL)
        return;
    db->began_at = NULL;
    if (sqlite3_get_autocommit(db->handle))
        return;
    /* Undoing must not be stopped by the deadline that made it necessary. */
    gint64 deadline_us = db->deadline_us;
    db_set_deadline(db, 0);
    sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    db_set_deadline(db, deadline_us);
}

/* --- Opening --- */

/* SQLite counts every allocation under one global lock by default; search workers would queue there. */
static gpointer configure_once(gpointer data)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    g_assert(sqlite3_initialize() == SQLITE_OK);
    return data;
}

static gboolean query_integer(Db *db, const char *sql, gint64 *ret, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(db, sql, error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    *ret = row ? db_column_integer(statement, 0) : 0;
    return TRUE;
}

static guint schema_version_target(const DbSchema *schema)
{
    guint count = 0;
    while (schema->migrations[count] != NULL)
        count++;
    return count;
}

/* PRAGMA takes no parameters; the only thing pasted into SQL anywhere is this number of ours. */
static gboolean set_number(Db *db, const char *pragma, guint32 value, GError **error)
{
    g_autofree char *sql = g_strdup_printf("PRAGMA %s = %d", pragma, (gint32)value);
    return db_exec(db, sql, error);
}

/* Runs with the write lock held: another process may have migrated since we looked. */
static gboolean migrate_in_transaction(Db *db, const DbSchema *schema, guint target, gboolean *ret_done,
                                       GError **error)
{
    gint64 version = 0;
    if (!query_integer(db, "PRAGMA user_version", &version, error))
        return FALSE;
    *ret_done = version < 0 || (guint64)version >= target;
    if (*ret_done)
        return set_number(db, "application_id", schema->application_id, error);
    if (!db_exec(db, schema->migrations[version], error)) {
        g_prefix_error(error, "schema %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ": ", version, version + 1);
        return FALSE;
    }
    return set_number(db, "application_id", schema->application_id, error) &&
           set_number(db, "user_version", (guint32)(version + 1), error);
}

static gboolean migrate(Db *db, const DbSchema *schema, GError **error)
{
    for (gboolean done = FALSE; !done;) {
        if (!db_begin(db, error))
            return FALSE;
        if (!migrate_in_transaction(db, schema, schema_version_target(schema), &done, error)) {
            db_rollback(db);
            return FALSE;
        }
        if (!db_commit(db, error))
            return FALSE;
    }
    return TRUE;
}

/* What stands in the header of the file. */
typedef struct {
    gint64 application_id;
    gint64 version;
    gint64 objects; /* tables, indexes, … */
} FileHeader;

static gboolean read_header(Db *db, FileHeader *ret, GError **error)
{
    return query_integer(db, "PRAGMA application_id", &ret->application_id, error) &&
           query_integer(db, "PRAGMA user_version", &ret->version, error) &&
           query_integer(db, "SELECT count(*) FROM sqlite_schema", &ret->objects, error);
}

static gboolean judge_header(Db *db, DbMode mode, const DbSchema *schema, const FileHeader *header,
                             GError **error)
{
    guint target = schema_version_target(schema);
    gboolean fresh = header->application_id == 0 && header->version == 0 && header->objects == 0;
    if (fresh && mode != DB_READ)
        return TRUE;
    if ((guint32)header->application_id != schema->application_id) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT,
                    "database '%s': not the file that belongs here (application_id 0x%08x instead of 0x%08x)",
                    db->path, (guint32)header->application_id, schema->application_id);
        return FALSE;
    }
    if (header->version > target) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                    "database '%s': written by a newer kontor (schema %" G_GINT64_FORMAT
                    ", this one knows %u): "
                    "install that version again, or move the file away",
                    db->path, header->version, target);
        return FALSE;
    }
    if (header->version < 0 || (header->version < target && mode == DB_READ)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                    "database '%s': schema %" G_GINT64_FORMAT
                    " instead of %u: kontor serve must open it first",
                    db->path, header->version, target);
        return FALSE;
    }
    return TRUE;
}

static gboolean enter_wal(Db *db, DbMode mode, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(db, "PRAGMA journal_mode = WAL", error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    if (!row || strcmp(db_column_text(statement, 0), "wal") != 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO,
                    "database '%s': this file system does not allow write-ahead logging", db->path);
        return FALSE;
    }
    db_statement_reset(statement);
    return db_exec(db,
                   mode == DB_WRITE ? "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864"
                                    : "PRAGMA synchronous = OFF; PRAGMA journal_size_limit = 67108864",
                   error);
}

/* None of these can fail on a connection that was just opened. */
static void harden(Db *db)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1}, {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        {SQLITE_DBCONFIG_DQS_DML, 0},   {SQLITE_DBCONFIG_DQS_DDL, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        int result = sqlite3_db_config(db->handle, options[i].option, options[i].value, NULL);
        g_assert(result == SQLITE_OK);
    }
    sqlite3_busy_handler(db->handle, on_busy, db);
}

/* Opening the file ourselves first gives it private permissions and errors that name their cause. */
static gboolean touch_file(const char *path, DbMode mode, GError **error)
{
    int flags = mode == DB_READ ? O_RDONLY : O_RDWR | O_CREAT;
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return kontor_error_set_errno(error, errno, "database '%s'", path);
    close(fd);
    return TRUE;
}

static gboolean set_up(Db *db, DbMode mode, const DbSchema *schema, GError **error)
{
    int flags = mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int result =
        sqlite3_open_v2(db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (result != SQLITE_OK)
        return fail(db, result, error);
    harden(db);
    FileHeader header = {0};
    if (!db_exec(db, "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", error) ||
        !read_header(db, &header, error) || !judge_header(db, mode, schema, &header, error))
        return FALSE;
    if (mode == DB_READ)
        return TRUE;
    gboolean current = (guint32)header.application_id == schema->application_id &&
                       header.version == schema_version_target(schema);
    return enter_wal(db, mode, error) && (current || migrate(db, schema, error));
}

Db *db_open(const char *path, DbMode mode, const DbSchema *schema, GError **error)
{
    static GOnce once = G_ONCE_INIT;
    g_once(&once, configure_once, NULL);
    if (!touch_file(path, mode, error))
        return NULL;
    g_autoptr(Db) db = g_new0(Db, 1);
    db->path = g_strdup(path);
    db->by_text = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, statement_free);
    db->by_address = g_hash_table_new(NULL, NULL);
    return set_up(db, mode, schema, error) ? g_steal_pointer(&db) : NULL;
}

void db_close(Db *db)
{
    if (db == NULL)
        return;
    g_assert(db->lent == 0);
    if (db->handle != NULL)
        db_rollback(db);
    g_hash_table_unref(db->by_address);
    g_hash_table_unref(db->by_text);
    int result = sqlite3_close(db->handle);
    g_assert(result == SQLITE_OK);
    g_free(db->path);
    g_free(db);
}

gboolean db_delete(const char *path, GError **error)
{
    /* The main file goes first: SQLite drops companions of an empty file, but a main file that lost its log
     * may be half of a transaction. */
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *name = g_strconcat(path, suffixes[i], NULL);
        if (g_unlink(name) != 0 && errno != ENOENT)
            return kontor_error_set_errno(error, errno, "database '%s': cannot be removed", name);
    }
    return TRUE;
}

/* --- Checking --- */

gboolean db_check(Db *db, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(db, "PRAGMA integrity_check(1)", error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    const char *finding = row ? db_column_text(statement, 0) : "no result";
    if (strcmp(finding, "ok") == 0)
        return TRUE;
    g_autofree char *line = g_strdelimit(g_strdup(finding), "\r\n", ' ');
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT, "database '%s': %s", db->path, line);
    return FALSE;
}
