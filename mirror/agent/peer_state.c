/* SPDX-License-Identifier: MIT
 *
 * One row in `peer`, one per item and one per pending path. The record is kept in memory, too, and read again
 * after each change, so that both always say the same.
 */
#include "mirror/agent/peer_state.h"

#include <string.h>

#include "mirror/store/db.h"

static const char *const migrations[] = {
    "CREATE TABLE peer ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  origin TEXT NOT NULL,"
    "  name TEXT NOT NULL DEFAULT '',"
    "  seen_generation INTEGER," /* NULL: nothing was seen */
    "  seen_root BLOB CHECK (length(seen_root) = 32),"
    "  seen_view TEXT NOT NULL DEFAULT '',"
    "  note BLOB,"
    "  etag TEXT NOT NULL DEFAULT '',"
    "  forked INTEGER NOT NULL DEFAULT 0,"
    "  generation INTEGER NOT NULL DEFAULT 0,"
    "  root BLOB NOT NULL CHECK (length(root) = 32),"
    "  wanted INTEGER NOT NULL DEFAULT 0,"
    "  plan TEXT NOT NULL DEFAULT '',"
    "  finished INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE items ("
    "  path TEXT PRIMARY KEY,"
    "  version TEXT NOT NULL,"
    "  publisher TEXT NOT NULL,"
    "  published_at TEXT NOT NULL,"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  content_sha256 BLOB NOT NULL CHECK (length(content_sha256) = 32),"
    "  pages INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE pending ("
    "  path TEXT PRIMARY KEY,"
    "  attempts INTEGER NOT NULL DEFAULT 0,"
    "  due INTEGER NOT NULL DEFAULT 0,"
    "  since INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;",
    NULL,
};

static const DbSchema schema = {.application_id = 0x4b4f5045, .migrations = migrations};

struct PeerState {
    Db *db;
    PeerRecord record;
};

/* --- The record --- */

static void record_clear(PeerRecord *record)
{
    g_free(record->name);
    g_free(record->etag);
    g_free(record->plan);
    g_clear_pointer(&record->note, g_bytes_unref);
    *record = (PeerRecord){0};
}

static void copy_hash(DbStatement *statement, int column, guint8 ret[SHA256_BYTES])
{
    gsize len = 0;
    const void *bytes = db_column_blob(statement, column, &len);
    if (len == SHA256_BYTES)
        memcpy(ret, bytes, SHA256_BYTES);
}

static void take_record(DbStatement *statement, PeerRecord *record)
{
    gsize len = 0;
    record_clear(record);
    record->name = g_strdup(db_column_text(statement, 0));
    record->has_seen = !db_column_is_null(statement, 1);
    record->seen_generation = (guint64)db_column_integer(statement, 1);
    copy_hash(statement, 2, record->seen_root);
    g_strlcpy(record->seen_view, db_column_text(statement, 3), sizeof record->seen_view);
    const void *note = db_column_blob(statement, 4, &len);
    record->note = len > 0 ? g_bytes_new(note, len) : NULL;
    record->etag = g_strdup(db_column_text(statement, 5));
    record->forked = db_column_integer(statement, 6) != 0;
    record->generation = (guint64)db_column_integer(statement, 7);
    copy_hash(statement, 8, record->root);
    record->wanted = (guint64)db_column_integer(statement, 9);
    record->plan = g_strdup(db_column_text(statement, 10));
    record->finished = db_column_integer(statement, 11) != 0;
}

/* *ret_origin (may be NULL) NULL when there is no row. */
static gboolean read_record(PeerState *state, char **ret_origin, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(state->db,
                   "SELECT name, seen_generation, seen_root, seen_view, note, etag, forked, generation, root,"
                   " wanted, plan, finished, origin FROM peer",
                   error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    if (row)
        take_record(statement, &state->record);
    if (ret_origin != NULL)
        *ret_origin = row ? g_strdup(db_column_text(statement, 12)) : NULL;
    return TRUE;
}

const PeerRecord *peer_state_record(const PeerState *state)
{
    return &state->record;
}

/* --- Life cycle --- */

static gboolean begin_anew(PeerState *state, const char *origin, GError **error)
{
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    if (!db_begin(state->db, error))
        return FALSE;
    g_autoptr(DbStatement) insert =
        db_exec(state->db, "DELETE FROM pending; DELETE FROM items; DELETE FROM peer", error)
            ? db_prepare(state->db, "INSERT INTO peer (id, origin, root) VALUES (1, ?, ?)", error)
            : NULL;
    if (insert != NULL) {
        db_bind_text(insert, 1, origin);
        db_bind_blob(insert, 2, digest_trie_digest(empty), SHA256_BYTES);
    }
    if (insert == NULL || !db_run(insert, error)) {
        db_rollback(state->db);
        return FALSE;
    }
    return db_commit(state->db, error) && read_record(state, NULL, error);
}

static PeerState *open_once(const char *path, const char *origin, GError **error)
{
    g_autoptr(PeerState) state = g_new0(PeerState, 1);
    g_autofree char *known_origin = NULL;
    state->db = db_open(path, DB_WRITE, &schema, error);
    if (state->db == NULL || !read_record(state, &known_origin, error))
        return NULL;
    if (g_strcmp0(known_origin, origin) != 0 && !begin_anew(state, origin, error))
        return NULL;
    return g_steal_pointer(&state);
}

PeerState *peer_state_open(const char *path, const char *origin, GError **error)
{
    g_autoptr(GError) cause = NULL;
    PeerState *state = open_once(path, origin, &cause);
    if (state != NULL)
        return state;
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CORRUPT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    return db_delete(path, error) ? open_once(path, origin, error) : NULL;
}

void peer_state_free(PeerState *state)
{
    if (state == NULL)
        return;
    db_close(state->db);
    record_clear(&state->record);
    g_free(state);
}

/* --- What was seen --- */

/* Runs a statement that changes the one row; it is a transaction by itself. */
static gboolean change_record(PeerState *state, DbStatement *statement, GError **error)
{
    return statement != NULL && db_run(statement, error) && read_record(state, NULL, error);
}

gboolean peer_state_see(PeerState *state, const CatalogCheckpoint *checkpoint, const char *name, GBytes *note,
                        const char *etag, GError **error)
{
    gsize len = 0;
    g_autoptr(DbStatement) statement = db_prepare(
        state->db,
        "UPDATE peer SET name = ?, seen_generation = ?, seen_root = ?, seen_view = ?, note = ?, etag = ?",
        error);
    if (statement == NULL)
        return FALSE;
    const void *bytes = g_bytes_get_data(note, &len);
    db_bind_text(statement, 1, name);
    db_bind_integer(statement, 2, (gint64)checkpoint->generation);
    db_bind_blob(statement, 3, checkpoint->root, SHA256_BYTES);
    db_bind_text(statement, 4, checkpoint->view);
    db_bind_blob(statement, 5, bytes, len);
    db_bind_text(statement, 6, etag);
    return change_record(state, statement, error);
}

gboolean peer_state_set_forked(PeerState *state, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(state->db, "UPDATE peer SET forked = 1", error);
    return change_record(state, statement, error);
}

gboolean peer_state_forget(PeerState *state, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(state->db,
                   "UPDATE peer SET seen_generation = NULL, seen_root = NULL, seen_view = '', note = NULL,"
                   " etag = '', forked = 0, generation = 0",
                   error);
    return change_record(state, statement, error);
}

gboolean peer_state_set_finished(PeerState *state, GError **error)
{
    if (state->record.finished)
        return TRUE;
    g_autoptr(DbStatement) statement = db_prepare(state->db, "UPDATE peer SET finished = 1", error);
    return change_record(state, statement, error);
}

/* --- Items --- */

/* From eight columns, of which the first is `first`. NULL when there is none there: only with LEFT JOIN. */
static CatalogItem *item_of_columns(DbStatement *statement, int first, GError **error)
{
    gsize digest_len = 0, content_len = 0;
    CatalogItemInfo info = {
        .path = db_column_text(statement, first),
        .version = db_column_text(statement, first + 1),
        .publisher = db_column_text(statement, first + 2),
        .published_at = db_column_text(statement, first + 3),
        .digest = db_column_blob(statement, first + 4, &digest_len),
        .content_sha256 = db_column_blob(statement, first + 5, &content_len),
        .pages = (guint64)db_column_integer(statement, first + 6),
        .bytes = (guint64)db_column_integer(statement, first + 7),
    };
    g_assert(digest_len == SHA256_BYTES && content_len == SHA256_BYTES); /* the schema says so */
    return catalog_item_new(&info, error);
}

/* What it takes of memory, roughly. */
static guint64 bytes_of_item(const CatalogItem *item)
{
    return sizeof *item + strlen(item->path) + strlen(item->version);
}

static gboolean read_items(PeerState *state, guint64 bytes_max, GPtrArray *items, GError **error)
{
    guint64 bytes = 0;
    g_autoptr(DbStatement) statement = db_prepare(
        state->db,
        "SELECT path, version, publisher, published_at, digest, content_sha256, pages, bytes FROM items",
        error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    while (row) {
        CatalogItem *item = item_of_columns(statement, 0, error);
        if (item == NULL)
            return FALSE;
        g_ptr_array_add(items, item);
        bytes += bytes_of_item(item);
        if (bytes > bytes_max) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT,
                        "what is known of the peer takes more than %" G_GUINT64_FORMAT " bytes", bytes_max);
            return FALSE;
        }
        if (!db_step(statement, &row, error))
            return FALSE;
    }
    return TRUE;
}

DigestTrie *peer_state_load(PeerState *state, guint64 bytes_max, GError **error)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    g_autoptr(GError) cause = NULL;
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    if (!read_items(state, bytes_max, items, &cause)) {
        /* What we wrote ourselves can be read. */
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_MALFORMED))
            cause->code = KONTOR_ERROR_CORRUPT;
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    g_autoptr(DigestTrie) trie = digest_trie_with_changes(empty, items, NULL);
    if (memcmp(digest_trie_digest(trie), state->record.root, SHA256_BYTES) != 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT,
                    "what is known of the peer is damaged: the root does not follow from the items");
        return NULL;
    }
    return g_steal_pointer(&trie);
}

typedef struct {
    DbStatement *set, *remove;
    gboolean failed;
    GError *error;
} Writing;

static void write_difference(CatalogItem *before, CatalogItem *after, gpointer user)
{
    Writing *writing = user;
    if (writing->failed)
        return;
    if (after == NULL) {
        db_bind_text(writing->remove, 1, before->path);
        writing->failed = !db_run(writing->remove, &writing->error);
        return;
    }
    db_bind_text(writing->set, 1, after->path);
    db_bind_text(writing->set, 2, after->version);
    db_bind_text(writing->set, 3, after->publisher);
    db_bind_text(writing->set, 4, after->published_at);
    db_bind_blob(writing->set, 5, after->digest, SHA256_BYTES);
    db_bind_blob(writing->set, 6, after->content_sha256, SHA256_BYTES);
    db_bind_integer(writing->set, 7, (gint64)after->pages);
    db_bind_integer(writing->set, 8, (gint64)after->bytes);
    writing->failed = !db_run(writing->set, &writing->error);
}

static gboolean write_items(Db *db, const PeerChange *change, GError **error)
{
    g_autoptr(DbStatement) set =
        db_prepare(db,
                   "INSERT OR REPLACE INTO items (path, version, publisher, published_at, digest,"
                   " content_sha256, pages, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   error);
    g_autoptr(DbStatement) remove =
        set != NULL ? db_prepare(db, "DELETE FROM items WHERE path = ?", error) : NULL;
    if (remove == NULL)
        return FALSE;
    Writing writing = {.set = set, .remove = remove};
    digest_trie_diff(change->before, change->after, write_difference, &writing);
    if (writing.failed)
        g_propagate_error(error, writing.error);
    return !writing.failed;
}

static gboolean write_pending(Db *db, const PeerChange *change, GError **error)
{
    g_autoptr(DbStatement) insert =
        db_prepare(db, "INSERT OR REPLACE INTO pending (path, since) VALUES (?, ?)", error);
    if (insert == NULL)
        return FALSE;
    for (guint i = 0; i < change->pending->len; i++) {
        db_bind_text(insert, 1, g_ptr_array_index(change->pending, i));
        db_bind_integer(insert, 2, change->now_s);
        if (!db_run(insert, error))
            return FALSE;
    }
    return TRUE;
}

/* A new plan has not been carried out to its end. */
static gboolean write_present(Db *db, const PeerChange *change, GError **error)
{
    g_autoptr(DbStatement) update = db_prepare(
        db,
        "UPDATE peer SET generation = ?1, root = ?2, wanted = ?3, finished = finished AND plan = ?4,"
        " plan = ?4",
        error);
    if (update == NULL)
        return FALSE;
    db_bind_integer(update, 1, (gint64)change->generation);
    db_bind_blob(update, 2, digest_trie_digest(change->after), SHA256_BYTES);
    db_bind_integer(update, 3, (gint64)change->wanted);
    db_bind_text(update, 4, change->plan);
    return db_run(update, error);
}

gboolean peer_state_apply(PeerState *state, const PeerChange *change, GError **error)
{
    if (!db_begin(state->db, error))
        return FALSE;
    if (!write_items(state->db, change, error) || !write_pending(state->db, change, error) ||
        !write_present(state->db, change, error)) {
        db_rollback(state->db);
        return FALSE;
    }
    return db_commit(state->db, error) && read_record(state, NULL, error);
}

gboolean peer_state_set_generation(PeerState *state, guint64 generation, GError **error)
{
    if (state->record.generation == generation)
        return TRUE;
    g_autoptr(DbStatement) statement = db_prepare(state->db, "UPDATE peer SET generation = ?", error);
    if (statement != NULL)
        db_bind_integer(statement, 1, (gint64)generation);
    return change_record(state, statement, error);
}

/* --- Pending --- */

void peer_pending_free(PeerPending *pending)
{
    if (pending == NULL)
        return;
    g_free(pending->path);
    catalog_item_unref(pending->item);
    g_free(pending);
}

gboolean peer_state_count_pending(PeerState *state, guint64 *ret, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(state->db, "SELECT count(*) FROM pending", error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    *ret = (guint64)db_column_integer(statement, 0);
    return TRUE;
}

static PeerPending *pending_of_row(DbStatement *statement, GError **error)
{
    g_autoptr(PeerPending) pending = g_new0(PeerPending, 1);
    pending->path = g_strdup(db_column_text(statement, 0));
    pending->attempts = (guint)MIN(db_column_integer(statement, 1), G_MAXINT);
    pending->due_s = db_column_integer(statement, 2);
    pending->since_s = db_column_integer(statement, 3);
    if (!db_column_is_null(statement, 4)) {
        pending->item = item_of_columns(statement, 4, error);
        if (pending->item == NULL)
            return NULL;
    }
    return g_steal_pointer(&pending);
}

GPtrArray *peer_state_pending(PeerState *state, const char *after, guint limit, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)peer_pending_free);
    g_autoptr(DbStatement) statement = db_prepare(
        state->db,
        "SELECT p.path, p.attempts, p.due, p.since, i.path, i.version, i.publisher, i.published_at,"
        " i.digest, i.content_sha256, i.pages, i.bytes"
        " FROM pending p LEFT JOIN items i ON i.path = p.path WHERE p.path > ? ORDER BY p.path"
        " LIMIT ?",
        error);
    gboolean row = FALSE;
    if (statement == NULL)
        return NULL;
    db_bind_text(statement, 1, after);
    db_bind_integer(statement, 2, limit);
    if (!db_step(statement, &row, error))
        return NULL;
    while (row) {
        PeerPending *pending = pending_of_row(statement, error);
        if (pending == NULL)
            return NULL;
        g_ptr_array_add(list, pending);
        if (!db_step(statement, &row, error))
            return NULL;
    }
    return g_steal_pointer(&list);
}

static gboolean write_settled(Db *db, const GPtrArray *changed, const GPtrArray *settled, GError **error)
{
    g_autoptr(DbStatement) update =
        db_prepare(db, "UPDATE pending SET attempts = ?, due = ? WHERE path = ?", error);
    g_autoptr(DbStatement) remove =
        update != NULL ? db_prepare(db, "DELETE FROM pending WHERE path = ?", error) : NULL;
    if (remove == NULL)
        return FALSE;
    for (guint i = 0; changed != NULL && i < changed->len; i++) {
        const PeerPending *pending = g_ptr_array_index(changed, i);
        db_bind_integer(update, 1, pending->attempts);
        db_bind_integer(update, 2, pending->due_s);
        db_bind_text(update, 3, pending->path);
        if (!db_run(update, error))
            return FALSE;
    }
    for (guint i = 0; settled != NULL && i < settled->len; i++) {
        db_bind_text(remove, 1, g_ptr_array_index(settled, i));
        if (!db_run(remove, error))
            return FALSE;
    }
    return TRUE;
}

gboolean peer_state_settle(PeerState *state, const GPtrArray *changed, const GPtrArray *settled,
                           GError **error)
{
    if ((changed == NULL || changed->len == 0) && (settled == NULL || settled->len == 0))
        return TRUE;
    if (!db_begin(state->db, error))
        return FALSE;
    if (!write_settled(state->db, changed, settled, error)) {
        db_rollback(state->db);
        return FALSE;
    }
    return db_commit(state->db, error);
}
