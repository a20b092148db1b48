/* SPDX-License-Identifier: MIT */
#include "mirror/store/mirror_rows.h"

#include <string.h>

#include "schema/text.h"

gboolean mirror_db_finish(MirrorDb *mirror, gboolean good, GError **error)
{
    if (good)
        return db_commit(mirror->db, error);
    db_rollback(mirror->db);
    return FALSE;
}

/* --- Small things --- */

AcceptRule mirror_rule_of_name(const char *name)
{
    for (guint rule = ACCEPT_OK + 1; rule < ACCEPT_RULES; rule++)
        if (strcmp(accept_rule_name((AcceptRule)rule), name) == 0)
            return (AcceptRule)rule;
    return ACCEPT_OK;
}

char *mirror_one_line(const char *text, gsize bytes_max)
{
    if (text == NULL)
        return g_strdup("");
    char *line = g_utf8_make_valid(text, (gssize)MIN(strlen(text), bytes_max));
    line[text_cut_bytes(line, strlen(line), bytes_max)] = '\0';
    for (char *at = line; *at != '\0'; at++)
        if ((guchar)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    return line;
}

gint64 mirror_now_s(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* --- Changes --- */

typedef struct {
    MirroredPack *before; /* what was told last; NULL: nothing was held */
    MirroredPack *after;
} Change;

struct MirrorChanges {
    GHashTable *changes; /* name space and path → Change */
};

static void change_free(gpointer data)
{
    Change *change = data;
    mirrored_pack_free(change->before);
    mirrored_pack_free(change->after);
    g_free(change);
}

MirrorChanges *mirror_changes_new(void)
{
    MirrorChanges *changes = g_new0(MirrorChanges, 1);
    changes->changes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, change_free);
    return changes;
}

void mirror_changes_free(MirrorChanges *changes)
{
    if (changes == NULL)
        return;
    g_hash_table_unref(changes->changes);
    g_free(changes);
}

void mirror_changes_note(MirrorChanges *changes, const MirroredPack *before, const MirroredPack *after)
{
    g_autofree char *key = g_strconcat(after->is_private ? "1" : "0", after->path, NULL);
    Change *change = g_hash_table_lookup(changes->changes, key);
    if (change == NULL) {
        change = g_new0(Change, 1);
        change->before = before != NULL ? mirrored_pack_copy(before) : NULL;
        g_hash_table_insert(changes->changes, g_steal_pointer(&key), change);
    }
    mirrored_pack_free(change->after);
    change->after = mirrored_pack_copy(after);
}

gboolean mirror_packs_same(const MirroredPack *a, const MirroredPack *b)
{
    return a->withdrawn == b->withdrawn && a->policy == b->policy &&
           memcmp(a->digest, b->digest, SHA256_BYTES) == 0 && strcmp(a->source, b->source) == 0 &&
           strcmp(a->fingerprint, b->fingerprint) == 0 && strcmp(a->publisher, b->publisher) == 0;
}

static gboolean is_news(const Change *change)
{
    gboolean was_served = change->before != NULL && !change->before->withdrawn;
    if (!was_served && change->after->withdrawn)
        return FALSE;
    return !was_served || !mirror_packs_same(change->before, change->after);
}

GPtrArray *mirror_changes_take(MirrorChanges *changes)
{
    GPtrArray *array = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    GHashTableIter iter;
    gpointer value = NULL;
    g_hash_table_iter_init(&iter, changes->changes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Change *change = value;
        if (is_news(change))
            g_ptr_array_add(array, g_steal_pointer(&change->after));
        g_hash_table_iter_remove(&iter);
    }
    return array;
}

/* --- Table held --- */

gboolean mirror_held_put(MirrorDb *mirror, const MirroredPack *pack, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "REPLACE INTO held(path, is_private, served, source, installed, digest, content_sha256,"
                   " policy, fingerprint, publisher, version, published_at, origin)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, pack->path);
    db_bind_integer(statement, 2, pack->is_private ? 1 : 0);
    db_bind_integer(statement, 3, pack->withdrawn ? 0 : 1);
    db_bind_text(statement, 4, pack->source);
    db_bind_integer(statement, 5, pack->installed_s);
    db_bind_blob(statement, 6, pack->digest, SHA256_BYTES);
    db_bind_blob(statement, 7, pack->content_sha256, SHA256_BYTES);
    db_bind_integer(statement, 8, pack->policy);
    db_bind_text(statement, 9, pack->fingerprint);
    db_bind_text(statement, 10, pack->publisher);
    db_bind_text(statement, 11, pack->version);
    db_bind_text(statement, 12, pack->published_at);
    db_bind_text(statement, 13, pack->origin);
    return db_run(statement, error);
}

static void replace_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

/* Changes `pack` into the same release as another source brought it. */
static gboolean find_other_source(MirrorDb *mirror, MirroredPack *pack, gboolean *ret_found, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT source, policy, fingerprint, publisher, version, published_at, origin FROM packs"
                   " WHERE path = ? AND is_private = ? AND digest = ? AND outcome = 0 AND source <> ?"
                   " ORDER BY source LIMIT 1",
                   error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, pack->path);
    db_bind_integer(statement, 2, pack->is_private ? 1 : 0);
    db_bind_blob(statement, 3, pack->digest, SHA256_BYTES);
    db_bind_text(statement, 4, pack->source);
    if (!db_step(statement, ret_found, error))
        return FALSE;
    if (!*ret_found)
        return TRUE;
    pack->policy = (PackPolicy)db_column_integer(statement, 1);
    replace_text(&pack->fingerprint, db_column_text(statement, 2));
    replace_text(&pack->publisher, db_column_text(statement, 3));
    replace_text(&pack->version, db_column_text(statement, 4));
    replace_text(&pack->published_at, db_column_text(statement, 5));
    replace_text(&pack->origin, db_column_text(statement, 6));
    char *source = g_strdup(db_column_text(statement, 0));
    db_statement_reset(statement); /* it still has the old name bound */
    g_free(pack->source);
    pack->source = source;
    return TRUE;
}

gboolean mirror_ask_again(MirrorDb *mirror, const char *path, gboolean is_private, GError **error)
{
    g_autoptr(DbStatement) sources =
        db_prepare(mirror->db,
                   "UPDATE sources SET state = '', epoch = epoch + 1 WHERE name IN"
                   " (SELECT source FROM packs WHERE path = ? AND is_private = ?"
                   "  AND (outcome = 0 OR (outcome = 2 AND rule = 'hijack')))",
                   error);
    g_autoptr(DbStatement) packs =
        db_prepare(mirror->db,
                   "UPDATE packs SET identity = '' WHERE path = ? AND is_private = ?"
                   " AND (outcome = 0 OR (outcome = 2 AND rule = 'hijack'))",
                   error);
    if (sources == NULL || packs == NULL)
        return FALSE;
    db_bind_text(sources, 1, path);
    db_bind_integer(sources, 2, is_private ? 1 : 0);
    db_bind_text(packs, 1, path);
    db_bind_integer(packs, 2, is_private ? 1 : 0);
    return db_run(sources, error) && db_run(packs, error);
}

gboolean mirror_held_drop(MirrorDb *mirror, const MirroredPack *held, MirrorChanges *changes, GError **error)
{
    g_autoptr(MirroredPack) pack = mirrored_pack_copy(held);
    gboolean found = FALSE;
    g_assert(!held->withdrawn);
    if (!find_other_source(mirror, pack, &found, error))
        return FALSE;
    pack->withdrawn = !found;
    if (!mirror_held_put(mirror, pack, error))
        return FALSE;
    mirror_changes_note(changes, held, pack);
    return found || mirror_ask_again(mirror, pack->path, pack->is_private, error);
}

/* --- Table packs --- */

void mirror_pack_row_clear(MirrorPackRow *row)
{
    g_clear_pointer(&row->identity, g_free);
    g_clear_pointer(&row->reason, g_free);
}

gboolean mirror_pack_row_read(MirrorDb *mirror, const char *source, const char *path, MirrorPackRow *ret,
                              GError **error)
{
    *ret = (MirrorPackRow){0};
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT identity, outcome, rule, reason, is_private, digest FROM packs"
                   " WHERE source = ? AND path = ?",
                   error);
    gboolean row = FALSE;
    gsize len = 0;
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    db_bind_text(statement, 2, path);
    if (!db_step(statement, &row, error))
        return FALSE;
    if (!row)
        return TRUE;
    ret->identity = g_strdup(db_column_text(statement, 0));
    ret->outcome = (SyncOutcome)db_column_integer(statement, 1);
    ret->rule = mirror_rule_of_name(db_column_text(statement, 2));
    ret->reason = g_strdup(db_column_text(statement, 3));
    ret->is_private = db_column_integer(statement, 4) != 0;
    const void *digest = db_column_blob(statement, 5, &len);
    if (len == SHA256_BYTES)
        memcpy(ret->digest, digest, SHA256_BYTES);
    return TRUE;
}

static const char *kept_identity(const SyncResult *result)
{
    return result->identity != NULL && strlen(result->identity) <= MIRROR_IDENTITY_BYTES ? result->identity
                                                                                         : "";
}

static void bind_release(DbStatement *statement, int first, const MirroredPack *pack)
{
    db_bind_blob(statement, first, pack->digest, SHA256_BYTES);
    db_bind_blob(statement, first + 1, pack->content_sha256, SHA256_BYTES);
    db_bind_integer(statement, first + 2, pack->policy);
    db_bind_text(statement, first + 3, pack->fingerprint);
    db_bind_text(statement, first + 4, pack->publisher);
    db_bind_text(statement, first + 5, pack->version);
    db_bind_text(statement, first + 6, pack->published_at);
    db_bind_text(statement, first + 7, pack->origin);
}

gboolean mirror_pack_row_put(MirrorDb *mirror, const char *source, const SyncResult *result, gint64 now_s,
                             GError **error)
{
    static char empty[] = "";
    static const MirroredPack nothing = {
        .fingerprint = empty, .publisher = empty, .version = empty, .published_at = empty, .origin = empty};
    gboolean accepted = result->outcome == OUTCOME_INSTALLED || result->outcome == OUTCOME_WITHDRAWN;
    gboolean refused = result->outcome == OUTCOME_REFUSED;
    g_autofree char *reason = mirror_one_line(refused ? result->reason : "", MIRROR_REASON_BYTES);
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db,
        "REPLACE INTO packs(source, path, is_private, identity, outcome, rule, reason, time, digest,"
        " content_sha256, policy, fingerprint, publisher, version, published_at, origin)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    db_bind_text(statement, 2, result->pack->path);
    db_bind_integer(statement, 3, result->pack->is_private ? 1 : 0);
    db_bind_text(statement, 4, kept_identity(result));
    db_bind_integer(statement, 5, result->outcome);
    db_bind_text(statement, 6, refused ? accept_rule_name(result->rule) : "");
    db_bind_text(statement, 7, reason);
    db_bind_integer(statement, 8, now_s);
    bind_release(statement, 9, accepted ? result->pack : &nothing);
    return db_run(statement, error);
}

/* --- Table releases --- */

static gboolean run_for_release(MirrorDb *mirror, const char *sql, const MirroredPack *pack, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(mirror->db, sql, error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, pack->path);
    db_bind_integer(statement, 2, pack->is_private ? 1 : 0);
    db_bind_blob(statement, 3, pack->digest, SHA256_BYTES);
    db_bind_integer(statement, 4, pack->installed_s);
    return db_run(statement, error);
}

G_STATIC_ASSERT(MIRROR_KEEP_MAX == 100); /* stands in the SQL below */

/* Every statement names all four parameters, so that one function binds them. */
gboolean mirror_release_add(MirrorDb *mirror, const MirroredPack *pack, GError **error)
{
    return run_for_release(mirror,
                           "DELETE FROM releases WHERE path = ?1 AND is_private = ?2 AND digest = ?3"
                           " AND ?4 IS NOT NULL",
                           pack, error) &&
           run_for_release(mirror,
                           "INSERT INTO releases(path, is_private, number, digest, installed)"
                           " SELECT ?1, ?2, 1 + coalesce(max(number), 0), ?3, ?4 FROM releases"
                           " WHERE path = ?1 AND is_private = ?2",
                           pack, error) &&
           run_for_release(mirror,
                           "DELETE FROM releases WHERE path = ?1 AND is_private = ?2 AND ?3 IS NOT NULL"
                           " AND ?4 IS NOT NULL AND number <= (SELECT number FROM releases WHERE path = ?1"
                           " AND is_private = ?2 ORDER BY number DESC LIMIT 1 OFFSET 100)",
                           pack, error);
}

/* --- Table sources --- */

gboolean mirror_source_require(MirrorDb *mirror, const char *source, GError **error)
{
    gboolean there = FALSE;
    if (!mirror_db_has_source(mirror, source, &there, error))
        return FALSE;
    if (!there)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "there is no source '%s'", source);
    return there;
}
