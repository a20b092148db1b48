/* SPDX-License-Identifier: MIT
 *
 * First what the source is known to have is held to the configuration, then what it serves, so that what
 * leaves one source does not find a place with another by a row that holds no more.
 */
#include "mirror/store/mirror_rows.h"

typedef struct {
    MirrorDb *mirror;
    const char *source;
    PackPolicy policy;
    MirrorDbWantsFunc wants;
    gpointer user;
    MirrorChanges *changes;
} Tighten;

/* --- What the source has --- */

static gboolean raise_policy(const Tighten *tighten, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(tighten->mirror->db,
                   "UPDATE packs SET policy = ?2 WHERE source = ?1 AND outcome = 0 AND policy < ?2", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, tighten->source);
    db_bind_integer(statement, 2, tighten->policy);
    return db_run(statement, error);
}

/* Paths of what it has and is not to bring (of char *, owned). */
static GPtrArray *unwanted_paths(const Tighten *tighten, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DbStatement) statement =
        db_prepare(tighten->mirror->db, "SELECT path FROM packs WHERE source = ? AND outcome = 0", error);
    if (statement == NULL)
        return NULL;
    db_bind_text(statement, 1, tighten->source);
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row && !tighten->wants(db_column_text(statement, 0), tighten->user))
            g_ptr_array_add(paths, g_strdup(db_column_text(statement, 0)));
    }
    return g_steal_pointer(&paths);
}

/* Its state was made when it had them: by that alone a sync would not bring them again, should they be wanted
 * again. */
static gboolean doubt_state(const Tighten *tighten, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(tighten->mirror->db, "UPDATE sources SET policy_hash = '' WHERE name = ?", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, tighten->source);
    return db_run(statement, error);
}

static gboolean forget_unwanted(const Tighten *tighten, GError **error)
{
    g_autoptr(GPtrArray) paths = unwanted_paths(tighten, error);
    for (guint i = 0; paths != NULL && i < paths->len; i++) {
        g_autoptr(DbStatement) statement =
            db_prepare(tighten->mirror->db,
                       "UPDATE packs SET outcome = 3, identity = '' WHERE source = ? AND path = ?", error);
        if (statement == NULL)
            return FALSE;
        db_bind_text(statement, 1, tighten->source);
        db_bind_text(statement, 2, g_ptr_array_index(paths, i));
        if (!db_run(statement, error))
            return FALSE;
    }
    return paths != NULL && (paths->len == 0 || doubt_state(tighten, error));
}

/* --- What is served of it --- */

static gboolean drop(const Tighten *tighten, const MirroredPack *held, GError **error)
{
    MirrorEvent event = {
        .time_s = mirror_now_s(),
        .source = tighten->source,
        .path = held->path,
        .event = "removed",
        .version = held->version,
        .reason = "the configuration no longer wants it",
        .digest = held->digest,
    };
    return mirror_history_add(tighten->mirror, &event, error) &&
           mirror_held_drop(tighten->mirror, held, tighten->changes, error);
}

static gboolean tighten_held(const Tighten *tighten, const MirroredPack *held, GError **error)
{
    if (!tighten->wants(held->path, tighten->user))
        return drop(tighten, held, error);
    if (held->policy >= tighten->policy)
        return TRUE;
    g_autoptr(MirroredPack) pack = mirrored_pack_copy(held);
    pack->policy = tighten->policy;
    mirror_changes_note(tighten->changes, held, pack);
    return mirror_held_put(tighten->mirror, pack, error);
}

static gboolean tighten_all(const Tighten *tighten, GError **error)
{
    if (!raise_policy(tighten, error) || !forget_unwanted(tighten, error))
        return FALSE;
    g_autoptr(GPtrArray) served = mirror_served_by(tighten->mirror, tighten->source, error);
    for (guint i = 0; served != NULL && i < served->len; i++)
        if (!tighten_held(tighten, g_ptr_array_index(served, i), error))
            return FALSE;
    return served != NULL;
}

gboolean mirror_db_tighten(MirrorDb *mirror, const char *source, PackPolicy policy, MirrorDbWantsFunc wants,
                           gpointer user, GPtrArray **ret_changes, GError **error)
{
    g_autoptr(MirrorChanges) changes = mirror_changes_new();
    const Tighten tighten = {mirror, source, policy, wants, user, changes};
    *ret_changes = NULL;
    if (!mirror_db_begin(mirror, error) || !mirror_db_finish(mirror, tighten_all(&tighten, error), error))
        return FALSE;
    *ret_changes = mirror_changes_take(changes);
    return TRUE;
}
