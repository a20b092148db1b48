/* SPDX-License-Identifier: MIT
 *
 * Results of a sync, one after another in one transaction. Each costs a few look-ups by primary key, however
 * much is mirrored. A result that says what is known already leaves no trace in the history.
 */
#include <string.h>

#include "mirror/store/mirror_rows.h"
#include "mirror/store/mirror_rule.h"

/* One result being applied. */
typedef struct {
    MirrorDb *mirror;
    const char *source;
    gboolean remove_gone;
    gint64 now_s;
    MirrorChanges *changes;
    const SyncResult *result;
    MirrorPackRow row; /* what was known */
} Apply;

static gboolean served_by(const MirroredPack *held, const char *source)
{
    return held != NULL && !held->withdrawn && strcmp(held->source, source) == 0;
}

/* --- History --- */

/* What a source was asked for again is news when it comes. */
static gboolean says_the_same(const MirrorPackRow *row, const SyncResult *result)
{
    if (row->identity == NULL || row->identity[0] == '\0' || row->outcome != result->outcome)
        return FALSE;
    if (result->outcome == OUTCOME_REFUSED)
        return row->rule == result->rule && g_strcmp0(row->identity, result->identity) == 0;
    return memcmp(row->digest, result->pack->digest, SHA256_BYTES) == 0;
}

static gboolean record(const Apply *apply, const SyncResult *result, const char *note, GError **error)
{
    static const char *const names[] = {
        [OUTCOME_INSTALLED] = "installed",
        [OUTCOME_WITHDRAWN] = "withdrawn",
        [OUTCOME_REFUSED] = "refused",
    };
    gboolean refused = result->outcome == OUTCOME_REFUSED;
    if (says_the_same(&apply->row, result))
        return TRUE;
    MirrorEvent event = {
        .time_s = apply->now_s,
        .source = apply->source,
        .path = result->pack->path,
        .event = names[result->outcome],
        .version = result->pack->version,
        .reason = refused ? result->reason : note,
        .rule = refused ? result->rule : ACCEPT_OK,
        .digest = refused ? NULL : result->pack->digest,
    };
    return mirror_history_add(apply->mirror, &event, error);
}

/* --- Accepted ones --- */

static gboolean refuse(Apply *apply, AcceptRule rule, char *reason, GError **error)
{
    SyncResult refused = *apply->result;
    refused.outcome = OUTCOME_REFUSED;
    refused.rule = rule;
    refused.reason = reason;
    return record(apply, &refused, NULL, error) &&
           mirror_pack_row_put(apply->mirror, apply->source, &refused, apply->now_s, error);
}

/* The release becomes what is held, and is served unless it is a tombstone. */
static gboolean take(Apply *apply, const MirroredPack *held, MirroredPack *pack, GError **error)
{
    if (held != NULL && mirror_packs_same(held, pack))
        pack->installed_s = held->installed_s;
    mirror_changes_note(apply->changes, held, pack);
    return mirror_held_put(apply->mirror, pack, error);
}

static gboolean note_release(Apply *apply, const MirroredPack *pack, GError **error)
{
    return pack->withdrawn || mirror_release_add(apply->mirror, pack, error);
}

static MirroredPack *offered_pack(const Apply *apply)
{
    MirroredPack *pack = mirrored_pack_copy(apply->result->pack);
    g_free(pack->source);
    pack->source = g_strdup(apply->source);
    pack->withdrawn = apply->result->outcome == OUTCOME_WITHDRAWN;
    pack->installed_s = apply->now_s;
    return pack;
}

static gboolean apply_accepted(Apply *apply, GError **error)
{
    g_autoptr(MirroredPack) pack = offered_pack(apply);
    g_autoptr(MirroredPack) held = NULL;
    g_autofree char *reason = NULL;
    g_autofree char *note = NULL;
    AcceptRule rule = ACCEPT_OK;
    if (!mirror_db_held(apply->mirror, pack->path, pack->is_private, &held, error))
        return FALSE;
    switch (mirror_rule(held, pack, apply->source, pack->withdrawn, &rule, &reason)) {
    case MIRROR_RULE_REFUSE:
        return refuse(apply, rule, reason, error);
    case MIRROR_RULE_KEEP:
        note = g_strdup_printf("the path is served from source '%s'", held->source);
        break;
    case MIRROR_RULE_TAKE:
        if (!take(apply, held, pack, error))
            return FALSE;
        break;
    }
    return note_release(apply, pack, error) && record(apply, apply->result, note, error) &&
           mirror_pack_row_put(apply->mirror, apply->source, apply->result, apply->now_s, error);
}

static gboolean apply_refused(Apply *apply, GError **error)
{
    return record(apply, apply->result, NULL, error) &&
           mirror_pack_row_put(apply->mirror, apply->source, apply->result, apply->now_s, error);
}

/* --- Gone --- */

static gboolean record_gone(const Apply *apply, const MirroredPack *held, GError **error)
{
    MirrorEvent event = {
        .time_s = apply->now_s,
        .source = apply->source,
        .path = held->path,
        .event = apply->remove_gone ? "removed" : "gone",
        .version = held->version,
        .reason = apply->remove_gone ? "the source no longer has it"
                                     : "the source no longer has it; it stays served until it is withdrawn",
        .digest = held->digest,
    };
    return mirror_history_add(apply->mirror, &event, error);
}

static gboolean apply_gone(Apply *apply, GError **error)
{
    g_autoptr(MirroredPack) held = NULL;
    gboolean known_gone = apply->row.outcome == OUTCOME_GONE;
    if (apply->row.identity == NULL)
        return TRUE;
    SyncResult gone = *apply->result;
    MirroredPack place = {.path = apply->result->pack->path, .is_private = apply->row.is_private};
    gone.pack = &place;
    gone.identity = NULL;
    if ((!known_gone && !mirror_pack_row_put(apply->mirror, apply->source, &gone, apply->now_s, error)) ||
        !mirror_db_held(apply->mirror, place.path, place.is_private, &held, error))
        return FALSE;
    if (!served_by(held, apply->source) || (known_gone && !apply->remove_gone))
        return TRUE;
    return record_gone(apply, held, error) &&
           (!apply->remove_gone || mirror_held_drop(apply->mirror, held, apply->changes, error));
}

/* --- All --- */

/* A source that changed its name space takes with it what it had in the other one. */
static gboolean leave_other_space(Apply *apply, GError **error)
{
    g_autoptr(MirroredPack) held = NULL;
    const MirroredPack *pack = apply->result->pack;
    if (apply->row.identity == NULL || apply->result->outcome == OUTCOME_GONE ||
        apply->row.is_private == pack->is_private)
        return TRUE;
    if (!mirror_db_held(apply->mirror, pack->path, apply->row.is_private, &held, error))
        return FALSE;
    return !served_by(held, apply->source) || mirror_held_drop(apply->mirror, held, apply->changes, error);
}

static gboolean apply_known(Apply *apply, GError **error)
{
    if (!leave_other_space(apply, error))
        return FALSE;
    switch (apply->result->outcome) {
    case OUTCOME_INSTALLED:
    case OUTCOME_WITHDRAWN:
        return apply_accepted(apply, error);
    case OUTCOME_REFUSED:
        return apply_refused(apply, error);
    case OUTCOME_GONE:
        return apply_gone(apply, error);
    }
    g_assert_not_reached();
}

static gboolean apply_one(Apply *apply, const SyncResult *result, GError **error)
{
    apply->result = result;
    gboolean good =
        mirror_pack_row_read(apply->mirror, apply->source, result->pack->path, &apply->row, error) &&
        apply_known(apply, error);
    mirror_pack_row_clear(&apply->row);
    return good;
}

/* Until a state is stored, nobody knows which commit or catalog these results are all of. */
static gboolean unsettle(Apply *apply, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(apply->mirror->db, "UPDATE sources SET unsettled = 1 WHERE name = ?", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, apply->source);
    return db_run(statement, error);
}

static gboolean apply_all(Apply *apply, GPtrArray *results, GError **error)
{
    if (!mirror_source_require(apply->mirror, apply->source, error) ||
        (results->len > 0 && !unsettle(apply, error)))
        return FALSE;
    for (guint i = 0; i < results->len; i++)
        if (!apply_one(apply, g_ptr_array_index(results, i), error))
            return FALSE;
    return TRUE;
}

gboolean mirror_db_apply(MirrorDb *mirror, const char *source, GPtrArray *results, gboolean remove_gone,
                         gint64 now_s, GPtrArray **ret_changes, GError **error)
{
    g_autoptr(MirrorChanges) changes = mirror_changes_new();
    Apply apply = {
        .mirror = mirror,
        .source = source,
        .remove_gone = remove_gone,
        .now_s = now_s,
        .changes = changes,
    };
    *ret_changes = NULL;
    if (!mirror_db_begin(mirror, error) ||
        !mirror_db_finish(mirror, apply_all(&apply, results, error), error))
        return FALSE;
    *ret_changes = mirror_changes_take(changes);
    return TRUE;
}
