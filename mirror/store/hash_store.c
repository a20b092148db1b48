/* SPDX-License-Identifier: MIT
 *
 * One row per place. Its blob holds one record per file, in the order of their names; the fingerprint next to
 * it binds the names, so that they need not be stored:
 *
 *   bytes 0..31   SHA-256 of the served form
 *   bytes 32..35  size of the served form, little-endian
 */
#include "mirror/store/hash_store.h"

#include "mirror/store/db.h"

#include <string.h>

enum { RECORD_BYTES = 36 };

static const char *const migrations[] = {
    "CREATE TABLE places ("
    "  path TEXT PRIMARY KEY,"
    "  fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),"
    "  hashes BLOB NOT NULL CHECK (length(hashes) % 36 = 0)"
    ") STRICT, WITHOUT ROWID;",
    NULL,
};

static const DbSchema schema = {.application_id = 0x4b4f4841, .migrations = migrations};

typedef struct {
    guint8 fingerprint[SHA256_BYTES];
    guint8 *records;
    gsize bytes;
} Known;

struct HashStore {
    Db *db;
    GHashTable *known; /* path → Known, read-only after opening; NULL after a whole scan */
};

static void known_free(gpointer data)
{
    Known *known = data;
    g_free(known->records);
    g_free(known);
}

/* --- Life cycle --- */

static Known *known_of_row(DbStatement *statement)
{
    Known *known = g_new0(Known, 1);
    gsize len = 0;
    const void *fingerprint = db_column_blob(statement, 1, &len);
    if (len == SHA256_BYTES)
        memcpy(known->fingerprint, fingerprint, SHA256_BYTES);
    const void *records = db_column_blob(statement, 2, &known->bytes);
    known->records = g_memdup2(records, known->bytes);
    return known;
}

static GHashTable *read_all(Db *db, GError **error)
{
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_free);
    g_autoptr(DbStatement) statement = db_prepare(db, "SELECT path, fingerprint, hashes FROM places", error);
    gboolean row = FALSE;
    if (statement == NULL)
        return NULL;
    do {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row)
            g_hash_table_replace(all, g_strdup(db_column_text(statement, 0)), known_of_row(statement));
    } while (row);
    return g_steal_pointer(&all);
}

static HashStore *open_once(const char *path, GError **error)
{
    g_autoptr(HashStore) store = g_new0(HashStore, 1);
    store->db = db_open(path, DB_WRITE_THROWAWAY, &schema, error);
    if (store->db == NULL)
        return NULL;
    store->known = read_all(store->db, error);
    return store->known != NULL ? g_steal_pointer(&store) : NULL;
}

HashStore *hash_store_open(const char *path, char **ret_rebuilt, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (ret_rebuilt != NULL)
        *ret_rebuilt = NULL;
    HashStore *store = open_once(path, &cause);
    if (store != NULL)
        return store;
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CORRUPT) &&
        !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (ret_rebuilt != NULL)
        *ret_rebuilt = g_strdup(cause->message);
    return db_delete(path, error) ? open_once(path, error) : NULL;
}

void hash_store_free(HashStore *store)
{
    if (store == NULL)
        return;
    g_clear_pointer(&store->known, g_hash_table_unref);
    db_close(store->db);
    g_free(store);
}

/* --- Operations --- */

static const Known *look_up(const HashStore *store, const char *path)
{
    return store->known != NULL ? g_hash_table_lookup(store->known, path) : NULL;
}

gboolean hash_store_is_loaded(const HashStore *store)
{
    return store->known != NULL;
}

gboolean hash_store_fill(const HashStore *store, CatalogPack *place)
{
    const Known *known = look_up(store, place->disk);
    if (known == NULL || memcmp(known->fingerprint, place->fingerprint, SHA256_BYTES) != 0 ||
        known->bytes != (gsize)place->file_count * RECORD_BYTES)
        return FALSE;
    for (guint i = 0; i < place->file_count; i++) {
        const guint8 *record = known->records + (gsize)i * RECORD_BYTES;
        CatalogFile *file = &place->files[i];
        guint32 size = 0;
        memcpy(file->sha256, record, SHA256_BYTES);
        memcpy(&size, record + SHA256_BYTES, sizeof size);
        file->served_size = GUINT32_FROM_LE(size);
        file->has_sha256 = TRUE;
    }
    return TRUE;
}

/* NULL when a file has no hash: such a place is read again at every start. */
static GByteArray *records_of(const CatalogPack *place)
{
    g_autoptr(GByteArray) records = g_byte_array_sized_new(place->file_count * RECORD_BYTES);
    for (guint i = 0; i < place->file_count; i++) {
        const CatalogFile *file = &place->files[i];
        guint32 size = GUINT32_TO_LE(file->served_size);
        if (!file->has_sha256)
            return NULL;
        g_byte_array_append(records, file->sha256, SHA256_BYTES);
        g_byte_array_append(records, (const guint8 *)&size, sizeof size);
    }
    return g_steal_pointer(&records);
}

static gboolean delete_path(Db *db, const char *path, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(db, "DELETE FROM places WHERE path = ?", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, path);
    return db_run(statement, error);
}

/* The file has it already, which at a start is so for nearly everything. */
static gboolean is_stored(const HashStore *store, const CatalogPack *place, const GByteArray *records)
{
    const Known *known = look_up(store, place->disk);
    return known != NULL && memcmp(known->fingerprint, place->fingerprint, SHA256_BYTES) == 0 &&
           known->bytes == records->len &&
           (records->len == 0 || memcmp(known->records, records->data, records->len) == 0);
}

static gboolean put_place(HashStore *store, const CatalogPack *place, GError **error)
{
    Db *db = store->db;
    g_autoptr(GByteArray) records = records_of(place);
    if (records == NULL || place->problem != NULL)
        return delete_path(db, place->disk, error);
    if (is_stored(store, place, records))
        return TRUE;
    g_autoptr(DbStatement) statement =
        db_prepare(db, "REPLACE INTO places(path, fingerprint, hashes) VALUES (?, ?, ?)", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, place->disk);
    db_bind_blob(statement, 2, place->fingerprint, SHA256_BYTES);
    db_bind_blob(statement, 3, records->data, records->len);
    return db_run(statement, error);
}

static gboolean delete_others(HashStore *store, GHashTable *whole, GError **error)
{
    GHashTableIter iter;
    gpointer path = NULL;
    if (whole == NULL || store->known == NULL)
        return TRUE;
    g_hash_table_iter_init(&iter, store->known);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (!g_hash_table_contains(whole, path) && !delete_path(store->db, path, error))
            return FALSE;
    return TRUE;
}

static gboolean write_all(HashStore *store, GPtrArray *upserts, GPtrArray *removals, GHashTable *whole,
                          GError **error)
{
    for (guint i = 0; i < removals->len; i++)
        if (!delete_path(store->db, g_ptr_array_index(removals, i), error))
            return FALSE;
    for (guint i = 0; i < upserts->len; i++)
        if (!put_place(store, g_ptr_array_index(upserts, i), error))
            return FALSE;
    return delete_others(store, whole, error);
}

gboolean hash_store_save(HashStore *store, GPtrArray *upserts, GPtrArray *removals, GHashTable *whole,
                         GError **error)
{
    if (upserts->len + removals->len > 0 || store->known != NULL) {
        if (!db_begin(store->db, error))
            return FALSE;
        if (!write_all(store, upserts, removals, whole, error)) {
            db_rollback(store->db);
            return FALSE;
        }
        if (!db_commit(store->db, error))
            return FALSE;
    }
    if (whole != NULL)
        g_clear_pointer(&store->known, g_hash_table_unref);
    return TRUE;
}
