/* SPDX-License-Identifier: MIT
 *
 * The SQLite wrapper: what it does to files that are missing, old, new, foreign or damaged, and what it
 * promises about statements, transactions, deadlines and readers.
 */
#include "mirror/store/db.h"

#include <glib/gstdio.h>
#include <string.h>

enum { APPLICATION_ID = 0x4b540001 };

static const char *const migrations_one[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BLOB, score REAL) STRICT;",
    NULL};
static const char *const migrations_two[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BLOB, score REAL) STRICT;",
    "CREATE TABLE tag (item INTEGER NOT NULL REFERENCES item (id), word TEXT NOT NULL) STRICT;"
    "INSERT INTO item (id, name) VALUES (1000, 'made by migration 2');",
    NULL};
static const char *const migrations_broken[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BLOB, score REAL) STRICT;",
    "CREATE TABLE half (id INTEGER) STRICT; INSERT INTO nowhere VALUES (1);", NULL};
static const DbSchema schema_one = {APPLICATION_ID, migrations_one};
static const DbSchema schema_two = {APPLICATION_ID, migrations_two};
static const DbSchema schema_broken = {APPLICATION_ID, migrations_broken};
static const DbSchema schema_foreign = {0x12345678, migrations_one};

static const char INSERT[] = "INSERT INTO item (name, data, score) VALUES (?1, ?2, ?3)";

/* --- A directory per test --- */

typedef struct {
    char *directory;
    char *path;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->directory = g_dir_make_tmp("kontor-db-XXXXXX", NULL);
    g_assert_nonnull(fixture->directory);
    fixture->path = g_build_filename(fixture->directory, "test.db", NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_true(db_delete(fixture->path, NULL));
    g_assert_cmpint(g_rmdir(fixture->directory), ==, 0); /* nothing else was left there */
    g_free(fixture->path);
    g_free(fixture->directory);
}

static Db *open_ok(const Fixture *fixture, DbMode mode, const DbSchema *schema)
{
    GError *error = NULL;
    Db *db = db_open(fixture->path, mode, schema, &error);
    g_assert_no_error(error);
    g_assert_nonnull(db);
    return db;
}

static void open_fails(const Fixture *fixture, DbMode mode, const DbSchema *schema, KontorErrorCode code,
                       const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(db_open(fixture->path, mode, schema, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, fixture->path));
    g_assert_nonnull(strstr(error->message, text));
    g_assert_null(strchr(error->message, '\n'));
}

static void insert(Db *db, const char *name)
{
    GError *error = NULL;
    g_autoptr(DbStatement) statement = db_prepare(db, INSERT, &error);
    g_assert_no_error(error);
    db_bind_text(statement, 1, name);
    g_assert_true(db_run(statement, &error));
    g_assert_no_error(error);
}

static gint64 integer(Db *db, const char *sql)
{
    GError *error = NULL;
    g_autoptr(DbStatement) statement = db_prepare(db, sql, &error);
    g_assert_no_error(error);
    gboolean row = FALSE;
    g_assert_true(db_step(statement, &row, &error));
    g_assert_no_error(error);
    g_assert_true(row);
    return db_column_integer(statement, 0);
}

/* --- Opening --- */

static void test_new_file(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_cmpint(integer(db, "PRAGMA application_id"), ==, APPLICATION_ID);
    g_assert_cmpint(integer(db, "PRAGMA user_version"), ==, 1);
    g_assert_cmpint(integer(db, "PRAGMA foreign_keys"), ==, 1);
    g_assert_cmpint(integer(db, "PRAGMA trusted_schema"), ==, 0);
    g_assert_cmpint(integer(db, "PRAGMA synchronous"), ==, 2);
    g_autoptr(DbStatement) statement = db_prepare(db, "PRAGMA journal_mode", NULL);
    gboolean row = FALSE;
    g_assert_true(db_step(statement, &row, NULL));
    g_assert_cmpstr(db_column_text(statement, 0), ==, "wal");
    GStatBuf status;
    g_assert_cmpint(g_stat(fixture->path, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 0777, ==, 0600);
}

static void test_throwaway_does_not_sync(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE_THROWAWAY, &schema_one);
    g_assert_cmpint(integer(db, "PRAGMA synchronous"), ==, 0);
}

static void test_defensive(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_true(db_exec(db, "PRAGMA writable_schema = ON", NULL)); /* accepted and without effect */
    g_autoptr(GError) error = NULL;
    g_assert_false(db_exec(db, "UPDATE sqlite_schema SET sql = ''", &error));
    g_assert_nonnull(error);
    /* A misspelled column in double quotes is an error and not a string. */
    g_clear_error(&error);
    g_assert_null(db_prepare(db, "SELECT \"nmae\" FROM item", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
}

static void test_migrations(Fixture *fixture, gconstpointer data)
{
    (void)data;
    Db *db = open_ok(fixture, DB_WRITE, &schema_one);
    insert(db, "kept");
    db_close(db);
    db = open_ok(fixture, DB_WRITE, &schema_two);
    g_assert_cmpint(integer(db, "PRAGMA user_version"), ==, 2);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item WHERE name = 'kept'"), ==, 1);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM tag"), ==, 0);
    db_close(db);
    /* Opening again runs nothing twice: migration 2 would collide with its own row. */
    db = open_ok(fixture, DB_WRITE, &schema_two);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 2);
    db_close(db);
}

static void test_reopening_writes_nothing(Fixture *fixture, gconstpointer data)
{
    (void)data;
    db_close(open_ok(fixture, DB_WRITE, &schema_one));
    g_autofree char *before = NULL, *after = NULL;
    gsize before_len = 0, after_len = 0;
    g_assert_true(g_file_get_contents(fixture->path, &before, &before_len, NULL));
    db_close(open_ok(fixture, DB_WRITE, &schema_one));
    g_assert_true(g_file_get_contents(fixture->path, &after, &after_len, NULL));
    g_assert_cmpmem(before, before_len, after, after_len);
}

static void test_broken_migration_is_undone(Fixture *fixture, gconstpointer data)
{
    (void)data;
    Db *db = open_ok(fixture, DB_WRITE, &schema_one);
    insert(db, "kept");
    db_close(db);
    open_fails(fixture, DB_WRITE, &schema_broken, KONTOR_ERROR_CORRUPT, "schema 1 to 2: ");
    db = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_cmpint(integer(db, "PRAGMA user_version"), ==, 1);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), ==, 0);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 1);
    db_close(db);
}

static void test_foreign_file(Fixture *fixture, gconstpointer data)
{
    (void)data;
    db_close(open_ok(fixture, DB_WRITE, &schema_foreign));
    open_fails(fixture, DB_WRITE, &schema_one, KONTOR_ERROR_CORRUPT, "application_id 0x12345678");
    open_fails(fixture, DB_READ, &schema_one, KONTOR_ERROR_CORRUPT, "0x4b540001");
    db_close(open_ok(fixture, DB_WRITE, &schema_foreign)); /* and was not harmed */
}

static void test_newer_file(Fixture *fixture, gconstpointer data)
{
    (void)data;
    db_close(open_ok(fixture, DB_WRITE, &schema_two));
    open_fails(fixture, DB_WRITE, &schema_one, KONTOR_ERROR_UNSUPPORTED,
               "install that version again, or move");
    open_fails(fixture, DB_READ, &schema_one, KONTOR_ERROR_UNSUPPORTED, "schema 2, this one knows 1");
}

static void test_older_file_for_reading(Fixture *fixture, gconstpointer data)
{
    (void)data;
    db_close(open_ok(fixture, DB_WRITE, &schema_one));
    open_fails(fixture, DB_READ, &schema_two, KONTOR_ERROR_UNSUPPORTED, "schema 1 instead of 2");
}

static void test_missing_file(Fixture *fixture, gconstpointer data)
{
    (void)data;
    open_fails(fixture, DB_READ, &schema_one, KONTOR_ERROR_NOT_FOUND, "No such file");
    g_assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    Fixture elsewhere = {NULL, g_build_filename(fixture->directory, "no", "such", "test.db", NULL)};
    open_fails(&elsewhere, DB_WRITE, &schema_one, KONTOR_ERROR_NOT_FOUND, "No such file");
    g_free(elsewhere.path);
}

static void test_directory_instead_of_file(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(g_mkdir(fixture->path, 0700), ==, 0);
    open_fails(fixture, DB_WRITE, &schema_one, KONTOR_ERROR_IO, "directory");
    g_assert_cmpint(g_rmdir(fixture->path), ==, 0);
}

static void test_not_a_database(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *text = g_strnfill(8192, 'x');
    g_assert_true(g_file_set_contents(fixture->path, text, 8192, NULL));
    open_fails(fixture, DB_WRITE, &schema_one, KONTOR_ERROR_CORRUPT, "not a database");
    open_fails(fixture, DB_READ, &schema_one, KONTOR_ERROR_CORRUPT, "not a database");
}

/* Everything behind the first page is overwritten: opening may still work, the check must not. */
static void test_damaged_pages(Fixture *fixture, gconstpointer data)
{
    (void)data;
    Db *db = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_true(db_begin(db, NULL));
    for (int i = 0; i < 2000; i++) {
        g_autofree char *name = g_strdup_printf("name number %d", i);
        insert(db, name);
    }
    g_assert_true(db_commit(db, NULL));
    g_assert_true(db_check(db, NULL));
    db_close(db);
    g_autofree char *bytes = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(fixture->path, &bytes, &len, NULL));
    g_assert_cmpuint(len, >, 16384);
    memset(bytes + 4096, 0xa5, len - 4096);
    g_assert_true(g_file_set_contents(fixture->path, bytes, (gssize)len, NULL));
    db = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(GError) error = NULL;
    g_assert_false(db_check(db, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    g_assert_null(strchr(error->message, '\n'));
    g_clear_error(&error);
    {
        g_autoptr(DbStatement) statement = db_prepare(db, "SELECT name FROM item WHERE id = 7", &error);
        gboolean row = FALSE;
        g_assert_no_error(error);
        g_assert_false(db_step(statement, &row, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    }
    db_close(db);
}

static void test_delete_removes_companions(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *wal = g_strconcat(fixture->path, "-wal", NULL);
    g_autofree char *shm = g_strconcat(fixture->path, "-shm", NULL);
    db_close(open_ok(fixture, DB_WRITE, &schema_one));
    g_assert_true(g_file_set_contents(wal, "stale", -1, NULL));
    g_assert_true(g_file_set_contents(shm, "stale", -1, NULL));
    g_assert_true(db_delete(fixture->path, NULL));
    g_assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(wal, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(shm, G_FILE_TEST_EXISTS));
    g_assert_true(db_delete(fixture->path, NULL));
}

/* --- Statements and values --- */

static void test_statement_lending(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    DbStatement *first = db_prepare(db, INSERT, NULL);
    db_bind_text(first, 1, "a");
    g_assert_true(db_run(first, NULL));
    db_statement_done(first);
    /* The same text at another address is the same statement, unbound again: NOT NULL must object. */
    g_autofree char *copy = g_strdup(INSERT);
    DbStatement *second = db_prepare(db, copy, NULL);
    g_assert_true(second == first);
    g_autoptr(GError) error = NULL;
    g_assert_false(db_run(second, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
    db_statement_done(second);
    /* An address whose text has changed is not taken for the old text. */
    memcpy(copy, "SELECT 5 --", 11);
    g_assert_cmpint(integer(db, copy), ==, 5);
}

static void test_statement_lent_twice(Fixture *fixture, gconstpointer data)
{
    (void)data;
    if (g_test_subprocess()) {
        Db *db = open_ok(fixture, DB_WRITE, &schema_one);
        db_prepare(db, INSERT, NULL);
        db_prepare(db, INSERT, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*lent*");
}

static void test_values(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    static const char text[] = "before\0after";
    static const guint8 blob[] = {0, 1, 0, 255};
    {
        g_autoptr(DbStatement) statement = db_prepare(db, INSERT, NULL);
        db_bind_text_len(statement, 1, text, sizeof text - 1);
        db_bind_blob(statement, 2, blob, sizeof blob);
        db_bind_double(statement, 3, -1.5);
        g_assert_true(db_run(statement, NULL));
        g_assert_cmpint(db_last_rowid(db), ==, 1);
        db_bind_text_len(statement, 1, NULL, 0);
        db_bind_blob(statement, 2, NULL, 0);
        db_bind_null(statement, 3);
        g_assert_true(db_run(statement, NULL));
    }
    g_autoptr(DbStatement) select = db_prepare(db, "SELECT name, data, score FROM item ORDER BY id", NULL);
    gboolean row = FALSE;
    gsize len = 0;
    g_assert_true(db_step(select, &row, NULL) && row);
    const char *read_text = db_column_text_len(select, 0, &len);
    g_assert_cmpmem(read_text, len, text, sizeof text - 1);
    const void *read_blob = db_column_blob(select, 1, &len);
    g_assert_cmpmem(read_blob, len, blob, sizeof blob);
    g_assert_cmpfloat(db_column_double(select, 2), ==, -1.5);
    g_assert_true(db_step(select, &row, NULL) && row);
    g_assert_cmpstr(db_column_text(select, 0), ==, "");
    g_assert_false(db_column_is_null(select, 1)); /* an empty blob, not NULL */
    db_column_blob(select, 1, &len);
    g_assert_cmpuint(len, ==, 0);
    g_assert_true(db_column_is_null(select, 2));
    g_assert_cmpstr(db_column_text(select, 2), ==, "");
    g_assert_true(db_step(select, &row, NULL));
    g_assert_false(row);
}

static void test_value_too_large(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(GError) error = NULL;
    g_autoptr(DbStatement) statement = db_prepare(db, INSERT, NULL);
    /* SQLite refuses the length before it looks at the bytes. */
    db_bind_text_len(statement, 1, "x", G_MAXINT32);
    g_assert_false(db_run(statement, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    db_bind_text(statement, 1, "x");
    g_assert_true(db_run(statement, NULL)); /* the statement recovered */
}

static void test_constraints(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_two);
    g_autoptr(GError) error = NULL;
    g_assert_false(db_exec(db, "INSERT INTO tag VALUES (77, 'orphan')", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(db_exec(db, "INSERT INTO item (id, name) VALUES ('text', 'n')", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT); /* STRICT: datatype mismatch on the rowid */
}

/* --- Transactions --- */

static void test_rollback(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    db_rollback(db); /* no-op outside */
    g_assert_true(db_begin(db, NULL));
    insert(db, "a");
    db_rollback(db);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 0);
    g_assert_true(db_begin(db, NULL));
    insert(db, "a");
    g_assert_true(db_commit(db, NULL));
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 1);
}

static void test_close_rolls_back(Fixture *fixture, gconstpointer data)
{
    (void)data;
    Db *db = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_true(db_begin(db, NULL));
    insert(db, "a");
    db_close(db);
    db = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 0);
    db_close(db);
}

static void test_error_names_transaction(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(GError) error = NULL;
    g_assert_true(db_begin(db, NULL));
    g_assert_false(db_exec(db, "INSERT INTO item (name) VALUES (NULL)", &error));
    g_assert_nonnull(strstr(error->message, "mirror_db_test.c"));
    db_rollback(db);
}

static void test_nested_begin_is_our_bug(Fixture *fixture, gconstpointer data)
{
    (void)data;
    if (g_test_subprocess()) {
        Db *db = open_ok(fixture, DB_WRITE, &schema_one);
        g_assert_true(db_begin(db, NULL));
        db_begin(db, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*inside the one begun at*");
}

static void test_second_writer_is_busy(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) first = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(Db) second = open_ok(fixture, DB_WRITE, &schema_one);
    g_assert_true(db_begin(first, NULL));
    g_autoptr(GError) error = NULL;
    gint64 start = g_get_monotonic_time();
    db_set_deadline(second, start + 100 * 1000); /* a deadline shortens the wait */
    g_assert_false(db_begin(second, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 90 * 1000);
    g_assert_cmpint(g_get_monotonic_time() - start, <, DB_BUSY_TIMEOUT_MS * 1000);
    g_clear_error(&error);
    db_set_deadline(second, 0);
    start = g_get_monotonic_time();
    g_assert_false(db_begin(second, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, DB_BUSY_TIMEOUT_MS * 1000);
    db_rollback(first);
    g_assert_true(db_begin(second, NULL));
    g_assert_true(db_commit(second, NULL));
}

static void test_readers_see_committed_state(Fixture *fixture, gconstpointer data)
{
    (void)data;
    static const char COUNT[] = "SELECT count(*) FROM item";
    g_autoptr(Db) writer = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(Db) reader = open_ok(fixture, DB_READ, &schema_one);
    g_assert_true(db_begin(writer, NULL));
    insert(writer, "a");
    g_assert_cmpint(integer(reader, COUNT), ==, 0);
    g_assert_true(db_commit(writer, NULL));
    g_assert_cmpint(integer(reader, COUNT), ==, 1);
    /* A statement in the middle of its rows keeps its snapshot; at its end the next one sees everything. */
    g_autoptr(DbStatement) rows = db_prepare(reader, "SELECT name FROM item", NULL);
    gboolean row = FALSE;
    g_assert_true(db_step(rows, &row, NULL) && row);
    insert(writer, "b");
    g_assert_cmpint(integer(reader, COUNT), ==, 1);
    g_assert_true(db_step(rows, &row, NULL));
    g_assert_false(row);
    g_assert_cmpint(integer(reader, COUNT), ==, 2);
    g_autoptr(GError) error = NULL;
    g_assert_false(db_exec(reader, "DELETE FROM item", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_DENIED);
}

/* --- Deadlines --- */

static const char ENDLESS[] =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

static void test_deadline(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(GError) error = NULL;
    gboolean row = FALSE;
    gint64 start = g_get_monotonic_time();
    db_set_deadline(db, start + 50 * 1000);
    {
        g_autoptr(DbStatement) statement = db_prepare(db, ENDLESS, NULL);
        g_assert_false(db_step(statement, &row, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
        g_assert_nonnull(strstr(error->message, "deadline"));
        g_assert_cmpint(g_get_monotonic_time() - start, >=, 50 * 1000);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
    }
    g_clear_error(&error);
    /* Beyond the deadline even the shortest statement is refused. */
    g_assert_false(db_exec(db, "SELECT 1", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    db_set_deadline(db, 0);
    insert(db, "a");
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 1);
}

static void test_deadline_undoes_transaction(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE, &schema_one);
    g_autoptr(GError) error = NULL;
    g_assert_true(db_begin(db, NULL));
    insert(db, "a");
    db_set_deadline(db, g_get_monotonic_time() + 20 * 1000);
    g_assert_false(db_exec(db,
                           "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                           "INSERT INTO item (name) SELECT 'n' || i FROM n",
                           &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_clear_error(&error);
    db_set_deadline(db, 0);
    g_assert_false(db_commit(db, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CANCELLED);
    g_assert_nonnull(strstr(error->message, "undone by an earlier failure"));
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 0);
    g_assert_true(db_begin(db, NULL));
    insert(db, "b");
    db_set_deadline(db, 1); /* long past: rolling back must work all the same */
    db_rollback(db);
    db_set_deadline(db, 0);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM item"), ==, 0);
}

/* --- FTS5 under the hardened connection --- */

static void test_fts5(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Db) db = open_ok(fixture, DB_WRITE_THROWAWAY, &schema_one);
    GError *error = NULL;
    g_assert_true(db_exec(db,
                          "CREATE VIRTUAL TABLE page USING fts5 (title, body);"
                          "INSERT INTO page VALUES ('one', 'the quick fox'), ('two', 'the slow fox')",
                          &error));
    g_assert_no_error(error);
    g_assert_cmpint(integer(db, "SELECT count(*) FROM page WHERE page MATCH '\"fox\"'"), ==, 2);
    g_autoptr(GError) denied = NULL;
    g_assert_false(db_exec(db, "DELETE FROM page_data", &denied)); /* shadow tables are closed to plain SQL */
    g_assert_nonnull(denied);
}

#define ADD(name, function) g_test_add("/mirror/db/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("new-file", test_new_file);
    ADD("throwaway", test_throwaway_does_not_sync);
    ADD("defensive", test_defensive);
    ADD("migrations", test_migrations);
    ADD("reopening-writes-nothing", test_reopening_writes_nothing);
    ADD("broken-migration", test_broken_migration_is_undone);
    ADD("foreign-file", test_foreign_file);
    ADD("newer-file", test_newer_file);
    ADD("older-file", test_older_file_for_reading);
    ADD("missing-file", test_missing_file);
    ADD("directory", test_directory_instead_of_file);
    ADD("not-a-database", test_not_a_database);
    ADD("damaged-pages", test_damaged_pages);
    ADD("delete", test_delete_removes_companions);
    ADD("lending", test_statement_lending);
    ADD("lent-twice", test_statement_lent_twice);
    ADD("values", test_values);
    ADD("value-too-large", test_value_too_large);
    ADD("constraints", test_constraints);
    ADD("rollback", test_rollback);
    ADD("close-rolls-back", test_close_rolls_back);
    ADD("error-names-transaction", test_error_names_transaction);
    ADD("nested-begin", test_nested_begin_is_our_bug);
    ADD("second-writer", test_second_writer_is_busy);
    ADD("readers", test_readers_see_committed_state);
    ADD("deadline", test_deadline);
    ADD("deadline-in-transaction", test_deadline_undoes_transaction);
    ADD("fts5", test_fts5);
    return g_test_run();
}
