/* SPDX-License-Identifier: MIT */
#include "broker/relay/identity.h"

#include "mirror/store/db.h"
#include "schema/limits.h"

#include <string.h>

enum {
    TOUCH_SECONDS = 3600,
    /* Connected Nodes at the front of the queue of the forgettable are looked at, a few per claim. */
    RECYCLE_LOOKS_MAX = 64,
};

/* The index holds the ids that may be forgotten, longest unseen first. */
static const char *const migrations[] = {
    "CREATE TABLE node_identity ("
    "  node_id TEXT PRIMARY KEY,"
    "  signing_pubkey BLOB NOT NULL CHECK (length (signing_pubkey) = 32),"
    "  first_seen INTEGER NOT NULL,"
    "  last_seen INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX node_identity_fleeting ON node_identity (last_seen)"
    "  WHERE last_seen - first_seen < 86400;",
    NULL,
};
G_STATIC_ASSERT(LIMIT_IDENTITY_FLEETING_SECONDS == 86400);

struct Identity {
    Db *db;
    gint64 count;           /* rows, including those of the open transaction */
    gint64 count_committed; /* rows before it */
    gint64 count_max;
    gint64 used_since_s; /* real time of the first claim; 0: none yet */
};

static gboolean read_count(Identity *identity, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(identity->db, "SELECT count(*) FROM node_identity", error);
    gboolean row = FALSE;
    if (statement == NULL || !db_step(statement, &row, error))
        return FALSE;
    identity->count = identity->count_committed = db_column_integer(statement, 0);
    return TRUE;
}

static void explain_corruption(GError **error)
{
    if (error == NULL || !g_error_matches(*error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT))
        return;
    g_autofree char *found = g_strdup((*error)->message);
    g_clear_error(error);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT,
                "%s; restore the file from a backup, or move it away (with its -wal and -shm) and accept "
                "that every node id can then be claimed anew by any key",
                found);
}

Identity *identity_open(const char *path, guint identities_max, GError **error)
{
    /* "KIDN" */
    const DbSchema schema = {.application_id = 0x4b49444e, .migrations = migrations};
    Identity *identity = g_new0(Identity, 1);
    identity->count_max = identities_max;
    identity->db = db_open(path, DB_WRITE, &schema, error);
    if (identity->db == NULL || !db_check(identity->db, error) || !read_count(identity, error)) {
        explain_corruption(error);
        identity_close(identity);
        return NULL;
    }
    return identity;
}

void identity_close(Identity *identity)
{
    if (identity->db != NULL)
        db_close(identity->db);
    g_free(identity);
}

gboolean identity_begin(Identity *identity, GError **error)
{
    return db_begin(identity->db, error);
}

gboolean identity_commit(Identity *identity, GError **error)
{
    if (!db_commit(identity->db, error))
        return FALSE;
    identity->count_committed = identity->count;
    return TRUE;
}

void identity_rollback(Identity *identity)
{
    db_rollback(identity->db);
    identity->count = identity->count_committed;
}

gboolean identity_touch(Identity *identity, const char *node_id, gint64 now_s, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(identity->db,
                   "UPDATE node_identity SET last_seen = ?2 WHERE node_id = ?1 AND last_seen <= ?3", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, node_id);
    db_bind_integer(statement, 2, now_s);
    db_bind_integer(statement, 3, now_s - TOUCH_SECONDS);
    return db_run(statement, error);
}

gboolean identity_look_up(Identity *identity, const char *node_id, const guint8 key[ED25519_PUBLIC_BYTES],
                          gboolean *ret_found, gboolean *ret_same, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(identity->db, "SELECT signing_pubkey FROM node_identity WHERE node_id = ?1", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, node_id);
    if (!db_step(statement, ret_found, error))
        return FALSE;
    if (*ret_found) {
        gsize len;
        const void *owner = db_column_blob(statement, 0, &len);
        *ret_same = len == ED25519_PUBLIC_BYTES && memcmp(owner, key, len) == 0;
    }
    return TRUE;
}

static gboolean insert(Identity *identity, const char *node_id, const guint8 key[ED25519_PUBLIC_BYTES],
                       gint64 now_s, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(identity->db, "INSERT INTO node_identity VALUES (?1, ?2, ?3, ?3)", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, node_id);
    db_bind_blob(statement, 2, key, ED25519_PUBLIC_BYTES);
    db_bind_integer(statement, 3, now_s);
    if (!db_run(statement, error))
        return FALSE;
    identity->count++;
    return TRUE;
}

/* The id that was unseen for the longest time and may be forgotten; NULL in *ret when there is none. */
static gboolean find_forgettable(Identity *identity, gint64 now_s, char **ret, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(identity->db,
                   "SELECT node_id FROM node_identity"
                   " WHERE last_seen - first_seen < 86400 AND last_seen <= ?1 ORDER BY last_seen LIMIT 1",
                   error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, now_s - LIMIT_IDENTITY_RECYCLE_SECONDS);
    if (!db_step(statement, &row, error))
        return FALSE;
    *ret = row ? g_strdup(db_column_text(statement, 0)) : NULL;
    return TRUE;
}

static gboolean forget(Identity *identity, const char *node_id, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(identity->db, "DELETE FROM node_identity WHERE node_id = ?1", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, node_id);
    if (!db_run(statement, error))
        return FALSE;
    identity->count--;
    return TRUE;
}

/* Makes room in a full table; *ret_room tells whether there is any. */
static gboolean recycle(Identity *identity, gint64 now_s, IdentityLiveFunc live, gpointer user,
                        gboolean *ret_room, GError **error)
{
    *ret_room = FALSE;
    /* After a crash, ids that were connected until then look like ids that were not seen for long. */
    if (now_s - identity->used_since_s < LIMIT_IDENTITY_GRACE_SECONDS)
        return TRUE;
    for (guint looks = 0; looks < RECYCLE_LOOKS_MAX; looks++) {
        g_autofree char *node_id = NULL;
        if (!find_forgettable(identity, now_s, &node_id, error))
            return FALSE;
        if (node_id == NULL)
            return TRUE;
        if (!live(user, node_id)) {
            *ret_room = TRUE;
            return forget(identity, node_id, error);
        }
        /* A Node that has been connected all the time: note it, and it is no longer forgettable. */
        if (!identity_touch(identity, node_id, now_s, error))
            return FALSE;
    }
    return TRUE;
}

gboolean identity_claim(Identity *identity, const char *node_id, const guint8 key[ED25519_PUBLIC_BYTES],
                        gint64 now_s, IdentityLiveFunc live, gpointer user, IdentityClaim *ret,
                        GError **error)
{
    gboolean found = FALSE, same = FALSE, room = TRUE;
    if (identity->used_since_s == 0)
        identity->used_since_s = now_s;
    if (!identity_look_up(identity, node_id, key, &found, &same, error))
        return FALSE;
    if (found) {
        *ret = same ? IDENTITY_OWNED : IDENTITY_OTHER_KEY;
        return !same || identity_touch(identity, node_id, now_s, error);
    }
    if (identity->count >= identity->count_max && !recycle(identity, now_s, live, user, &room, error))
        return FALSE;
    *ret = room ? IDENTITY_OWNED : IDENTITY_FULL;
    return !room || insert(identity, node_id, key, now_s, error);
}
