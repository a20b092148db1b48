/* SPDX-License-Identifier: MIT
 *
 * Types and queries. What changes the tables is in mirror_db_apply.c (results of syncs), mirror_sources.c
 * (sources) and mirror_history.c.
 */
#include "mirror/store/mirror_db.h"

#include <string.h>

#include "mirror/store/mirror_rows.h"
#include "mirror/store/mirror_schema.h"

/* --- Life cycle --- */

MirrorDb *mirror_db_open(const char *path, DbMode mode, GError **error)
{
    g_assert(mode != DB_WRITE_THROWAWAY);
    Db *db = db_open(path, mode, &mirror_schema, error);
    if (db == NULL)
        return NULL;
    MirrorDb *mirror = g_new0(MirrorDb, 1);
    mirror->db = db;
    return mirror;
}

void mirror_db_close(MirrorDb *mirror)
{
    if (mirror == NULL)
        return;
    db_close(mirror->db);
    g_free(mirror);
}

/* --- Types --- */

void mirrored_pack_free(MirroredPack *pack)
{
    if (pack == NULL)
        return;
    g_free(pack->path);
    g_free(pack->source);
    g_free(pack->fingerprint);
    g_free(pack->publisher);
    g_free(pack->version);
    g_free(pack->published_at);
    g_free(pack->origin);
    g_free(pack);
}

MirroredPack *mirrored_pack_copy(const MirroredPack *pack)
{
    MirroredPack *copy = g_memdup2(pack, sizeof *pack);
    copy->path = g_strdup(pack->path);
    copy->source = g_strdup(pack->source);
    copy->fingerprint = g_strdup(pack->fingerprint);
    copy->publisher = g_strdup(pack->publisher);
    copy->version = g_strdup(pack->version);
    copy->published_at = g_strdup(pack->published_at);
    copy->origin = g_strdup(pack->origin);
    return copy;
}

void sync_result_free(SyncResult *result)
{
    if (result == NULL)
        return;
    g_free(result->identity);
    mirrored_pack_free(result->pack);
    g_free(result->reason);
    g_free(result);
}

/* --- What is served --- */

static void copy_hash(DbStatement *statement, int column, guint8 ret[SHA256_BYTES])
{
    gsize len = 0;
    const void *data = db_column_blob(statement, column, &len);
    if (len == SHA256_BYTES)
        memcpy(ret, data, SHA256_BYTES);
}

MirroredPack *mirror_held_of_row(DbStatement *statement)
{
    MirroredPack *pack = g_new0(MirroredPack, 1);
    pack->path = g_strdup(db_column_text(statement, 0));
    pack->is_private = db_column_integer(statement, 1) != 0;
    pack->withdrawn = db_column_integer(statement, 2) == 0;
    pack->source = g_strdup(db_column_text(statement, 3));
    pack->installed_s = db_column_integer(statement, 4);
    copy_hash(statement, 5, pack->digest);
    copy_hash(statement, 6, pack->content_sha256);
    pack->policy = (PackPolicy)db_column_integer(statement, 7);
    pack->fingerprint = g_strdup(db_column_text(statement, 8));
    pack->publisher = g_strdup(db_column_text(statement, 9));
    pack->version = g_strdup(db_column_text(statement, 10));
    pack->published_at = g_strdup(db_column_text(statement, 11));
    pack->origin = g_strdup(db_column_text(statement, 12));
    return pack;
}

gboolean mirror_db_held(MirrorDb *mirror, const char *path, gboolean is_private, MirroredPack **ret,
                        GError **error)
{
    *ret = NULL;
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db, "SELECT " MIRROR_HELD_COLUMNS " FROM held WHERE path = ? AND is_private = ?", error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, path);
    db_bind_integer(statement, 2, is_private ? 1 : 0);
    if (!db_step(statement, &row, error))
        return FALSE;
    *ret = row ? mirror_held_of_row(statement) : NULL;
    return TRUE;
}

static GPtrArray *packs_of_rows(DbStatement *statement, GError **error)
{
    g_autoptr(GPtrArray) packs = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row)
            g_ptr_array_add(packs, mirror_held_of_row(statement));
    }
    return g_steal_pointer(&packs);
}

GPtrArray *mirror_db_served(MirrorDb *mirror, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db, "SELECT " MIRROR_HELD_COLUMNS " FROM held WHERE served = 1 ORDER BY path, is_private",
        error);
    return statement != NULL ? packs_of_rows(statement, error) : NULL;
}

/* What was ever served at a path is among its releases, and a tombstone is not. */
#define IS_TOMBSTONE                                                                                         \
    "served = 0 AND fingerprint <> '' AND NOT EXISTS"                                                        \
    " (SELECT 1 FROM releases WHERE releases.digest = held.digest)"

GPtrArray *mirror_db_tombstones(MirrorDb *mirror, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db,
        "SELECT " MIRROR_HELD_COLUMNS " FROM held WHERE is_private = 0 AND " IS_TOMBSTONE " ORDER BY path",
        error);
    return statement != NULL ? packs_of_rows(statement, error) : NULL;
}

GPtrArray *mirror_db_former(MirrorDb *mirror, guint keep, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT path, 0, 1, source, installed, digest, zeroblob(32), policy, '', '', '', '', ''"
                   " FROM (SELECT releases.path, held.source, releases.installed, releases.digest,"
                   "   held.policy, held.digest AS present, releases.number,"
                   "   row_number() OVER (PARTITION BY releases.path ORDER BY releases.number DESC) AS age"
                   "  FROM releases JOIN held ON held.path = releases.path AND held.is_private = 0"
                   "  WHERE releases.is_private = 0 AND held.served = 1)"
                   " WHERE age <= ? AND digest <> present ORDER BY path, number DESC",
                   error);
    if (statement == NULL)
        return NULL;
    db_bind_integer(statement, 1, keep);
    return packs_of_rows(statement, error);
}

GPtrArray *mirror_served_by(MirrorDb *mirror, const char *source, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db, "SELECT " MIRROR_HELD_COLUMNS " FROM held WHERE source = ? AND served = 1", error);
    if (statement == NULL)
        return NULL;
    db_bind_text(statement, 1, source);
    return packs_of_rows(statement, error);
}

/* --- What sources have --- */

gboolean mirror_db_known(MirrorDb *mirror, const char *source, const char *path, char **ret_identity,
                         SyncOutcome *ret_outcome, AcceptRule *ret_rule, GError **error)
{
    g_auto(MirrorPackRow) row = {0};
    *ret_identity = NULL;
    if (!mirror_pack_row_read(mirror, source, path, &row, error))
        return FALSE;
    *ret_identity = g_steal_pointer(&row.identity);
    *ret_outcome = row.outcome;
    *ret_rule = row.rule;
    return TRUE;
}

gboolean mirror_db_each(MirrorDb *mirror, const char *source, MirrorDbPackFunc func, gpointer user,
                        GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db,
        "SELECT path, identity, outcome, rule, reason, time FROM packs WHERE source = ? ORDER BY path",
        error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return FALSE;
        if (row && !func(db_column_text(statement, 0), db_column_text(statement, 1),
                         (SyncOutcome)db_column_integer(statement, 2),
                         mirror_rule_of_name(db_column_text(statement, 3)), db_column_text(statement, 4),
                         db_column_integer(statement, 5), user))
            break;
    }
    return TRUE;
}

/* --- Reachability --- */

static void add_digest(DbStatement *statement, int column, GHashTable *digests)
{
    gsize len = 0;
    const void *data = db_column_blob(statement, column, &len);
    g_hash_table_add(digests, g_bytes_new(data, len));
}

static gboolean add_present(MirrorDb *mirror, GHashTable *digests, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT digest FROM held WHERE served = 1 OR (" IS_TOMBSTONE ")"
                   " UNION ALL SELECT digest FROM packs WHERE outcome = 0",
                   error);
    if (statement == NULL)
        return FALSE;
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return FALSE;
        if (row)
            add_digest(statement, 0, digests);
    }
    return TRUE;
}

/* Rows come by path and name space, the newest first, so that counting them is enough. */
static gboolean add_former(MirrorDb *mirror, guint keep, GHashTable *digests, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT releases.path, releases.is_private, releases.digest FROM releases"
                   " JOIN held ON held.path = releases.path AND held.is_private = releases.is_private"
                   " WHERE held.served = 1"
                   " ORDER BY releases.path DESC, releases.is_private DESC, releases.number DESC",
                   error);
    g_autofree char *path = g_strdup("");
    gint64 is_private = -1;
    guint count = 0;
    if (statement == NULL)
        return FALSE;
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return FALSE;
        if (!row)
            break;
        if (strcmp(path, db_column_text(statement, 0)) != 0 ||
            is_private != db_column_integer(statement, 1)) {
            g_free(path);
            path = g_strdup(db_column_text(statement, 0));
            is_private = db_column_integer(statement, 1);
            count = 0;
        }
        if (count++ < keep)
            add_digest(statement, 2, digests);
    }
    return TRUE;
}

GHashTable *mirror_db_reachable(MirrorDb *mirror, guint keep, GError **error)
{
    g_assert(keep >= 1 && keep <= MIRROR_KEEP_MAX);
    g_autoptr(GHashTable) digests =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    if (!add_present(mirror, digests, error) || !add_former(mirror, keep, digests, error))
        return NULL;
    return g_steal_pointer(&digests);
}

GPtrArray *mirror_db_paths_of(MirrorDb *mirror, const guint8 digest[SHA256_BYTES], GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db, "SELECT DISTINCT path FROM releases WHERE digest = ? ORDER BY path", error);
    if (statement == NULL)
        return NULL;
    db_bind_blob(statement, 1, digest, SHA256_BYTES);
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row)
            g_ptr_array_add(paths, g_strdup(db_column_text(statement, 0)));
    }
    return g_steal_pointer(&paths);
}
