/* SPDX-License-Identifier: MIT
 *
 * Sources: how their syncs end, which there are, and what becomes of their packs when they go. A forgotten
 * state makes the next sync look at everything; whether it then reads a pack again is decided by the identity
 * in table packs, so what must be read again has its identity cleared.
 */
#include <string.h>

#include "mirror/store/mirror_rows.h"

/* --- Records --- */

void source_record_clear(SourceRecord *record)
{
    g_clear_pointer(&record->name, g_free);
    g_clear_pointer(&record->state, g_free);
    g_clear_pointer(&record->policy_hash, g_free);
    g_clear_pointer(&record->last_error, g_free);
    g_clear_pointer(&record->alarm, g_free);
    g_clear_pointer(&record->alarm_reason, g_free);
}

/* `statement` at a row or, for a source that nobody knows, at its end, where every column is "" or 0. */
static void record_of_row(DbStatement *statement, const char *source, SourceRecord *ret)
{
    *ret = (SourceRecord){
        .name = g_strdup(source),
        .state = g_strdup(db_column_text(statement, 0)),
        .policy_hash = g_strdup(db_column_text(statement, 1)),
        .last_try_s = db_column_integer(statement, 2),
        .last_ok_s = db_column_integer(statement, 3),
        .failures = (guint)db_column_integer(statement, 4),
        .last_error = g_strdup(db_column_text(statement, 5)),
        .alarm = g_strdup(db_column_text(statement, 6)),
        .alarm_reason = g_strdup(db_column_text(statement, 7)),
        .epoch = (guint)MAX(db_column_integer(statement, 8), 1),
        .packs_seen = (guint)db_column_integer(statement, 9),
        .unsettled = db_column_integer(statement, 10) != 0,
    };
}

gboolean mirror_db_source_state(MirrorDb *mirror, const char *source, SourceRecord *ret, GError **error)
{
    *ret = (SourceRecord){0};
    g_autoptr(DbStatement) statement = db_prepare(
        mirror->db,
        "SELECT state, policy_hash, last_try, last_ok, failures, last_error, alarm, alarm_reason, epoch,"
        " packs_seen, unsettled FROM sources WHERE name = ?1",
        error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    if (!db_step(statement, &row, error))
        return FALSE;
    record_of_row(statement, source, ret);
    return TRUE;
}

/* Without a hint SQLite, which knows no statistics, looks at all packs of the source. */
static gboolean count_packs(MirrorDb *mirror, const char *source, SourceRecord *ret, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT (SELECT count(*) FROM held WHERE source = ?1 AND served = 1),"
                   " (SELECT count(*) FROM packs INDEXED BY packs_refused"
                   "  WHERE source = ?1 AND outcome = 2),"
                   " (SELECT count(*) FROM packs INDEXED BY packs_gone CROSS JOIN held"
                   "  ON held.path = packs.path AND held.is_private = packs.is_private"
                   "  AND held.source = ?1 AND held.served = 1"
                   "  WHERE packs.source = ?1 AND packs.outcome = 3)",
                   error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    if (!db_step(statement, &row, error))
        return FALSE;
    ret->packs_served = (guint)db_column_integer(statement, 0);
    ret->packs_refused = (guint)db_column_integer(statement, 1);
    ret->packs_gone = (guint)db_column_integer(statement, 2);
    return TRUE;
}

gboolean mirror_db_source(MirrorDb *mirror, const char *source, SourceRecord *ret, GError **error)
{
    g_auto(SourceRecord) record = {0};
    *ret = (SourceRecord){0};
    if (!mirror_db_source_state(mirror, source, &record, error) ||
        !count_packs(mirror, source, &record, error))
        return FALSE;
    *ret = record;
    record = (SourceRecord){0};
    return TRUE;
}

gboolean mirror_db_has_source(MirrorDb *mirror, const char *name, gboolean *ret, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(mirror->db, "SELECT 1 FROM sources WHERE name = ?", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, name);
    return db_step(statement, ret, error);
}

/* --- Ends of syncs --- */

static gboolean record_end(MirrorDb *mirror, const SourceRecord *before, const SyncEnd *end,
                           const char *problem, GError **error)
{
    gboolean recovered = end->ok && before->failures > 0;
    gboolean failed = !end->ok && (before->failures == 0 || strcmp(before->last_error, problem) != 0);
    MirrorEvent event = {
        .time_s = end->now_s,
        .source = before->name,
        .event = end->ok ? "recovered" : "failed",
        .reason = end->ok ? before->last_error : problem,
    };
    if (!recovered && !failed)
        return TRUE;
    return mirror_history_add(mirror, &event, error);
}

static gboolean put_end(MirrorDb *mirror, const char *source, const SyncEnd *end, const char *problem,
                        GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "UPDATE sources SET last_try = ?2, last_ok = iif(?3, ?2, last_ok),"
                   " failures = iif(?3, 0, failures + 1), last_error = ?4 WHERE name = ?1",
                   error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    db_bind_integer(statement, 2, end->now_s);
    db_bind_integer(statement, 3, end->ok ? 1 : 0);
    db_bind_text(statement, 4, problem);
    return db_run(statement, error);
}

static gboolean put_state(MirrorDb *mirror, const char *source, const SyncEnd *end, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "UPDATE sources SET state = ?2, policy_hash = ?3, packs_seen = ?4, unsettled = 0"
                   " WHERE name = ?1 AND ?5 IN (0, epoch)",
                   error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    db_bind_text(statement, 2, end->state);
    db_bind_text(statement, 3, end->policy_hash != NULL ? end->policy_hash : "");
    db_bind_integer(statement, 4, end->packs_seen);
    db_bind_integer(statement, 5, end->epoch);
    return db_run(statement, error);
}

static gboolean end_in_transaction(MirrorDb *mirror, const char *source, const SyncEnd *end, GError **error)
{
    g_auto(SourceRecord) before = {0};
    g_autofree char *problem = mirror_one_line(end->ok ? "" : end->error, MIRROR_REASON_BYTES);
    return mirror_source_require(mirror, source, error) &&
           mirror_db_source_state(mirror, source, &before, error) &&
           record_end(mirror, &before, end, problem, error) && put_end(mirror, source, end, problem, error) &&
           (end->state == NULL || put_state(mirror, source, end, error));
}

gboolean mirror_db_end(MirrorDb *mirror, const char *source, const SyncEnd *end, GError **error)
{
    return mirror_db_begin(mirror, error) &&
           mirror_db_finish(mirror, end_in_transaction(mirror, source, end, error), error);
}

/* --- Alarms and wishes --- */

static gboolean put_alarm(MirrorDb *mirror, const char *source, const char *kind, const char *reason,
                          GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db, "UPDATE sources SET alarm = ?2, alarm_reason = ?3 WHERE name = ?1", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, source);
    db_bind_text(statement, 2, kind);
    db_bind_text(statement, 3, reason);
    return db_run(statement, error);
}

/* The reason may change with every sync; only another kind is news. */
static gboolean record_alarm(MirrorDb *mirror, const SourceRecord *before, const char *kind,
                             const char *reason, gint64 now_s, GError **error)
{
    gboolean over = kind[0] == '\0';
    g_autofree char *text = over ? g_strdup_printf("the alarm '%s' is over", before->alarm)
                                 : g_strdup_printf("%s: %s", kind, reason);
    MirrorEvent event = {
        .time_s = now_s,
        .source = before->name,
        .event = over ? "recovered" : "alarm",
        .reason = text,
    };
    if (strcmp(before->alarm, kind) == 0)
        return TRUE;
    return mirror_history_add(mirror, &event, error);
}

gboolean mirror_db_set_alarm(MirrorDb *mirror, const char *source, const char *kind, const char *reason,
                             gint64 now_s, GError **error)
{
    g_auto(SourceRecord) before = {0};
    g_autofree char *line = mirror_one_line(kind[0] != '\0' ? reason : "", MIRROR_REASON_BYTES);
    if (!mirror_source_require(mirror, source, error) ||
        !mirror_db_source_state(mirror, source, &before, error))
        return FALSE;
    if (strcmp(before.alarm, kind) == 0 && strcmp(before.alarm_reason, line) == 0)
        return TRUE;
    return mirror_db_begin(mirror, error) &&
           mirror_db_finish(mirror,
                            record_alarm(mirror, &before, kind, line, now_s, error) &&
                                put_alarm(mirror, source, kind, line, error),
                            error);
}

/* --- Which sources there are --- */

typedef struct {
    char *name;
    const char *origin; /* the new one; NULL: the source is gone */
} Departure;

static void departure_free(gpointer data)
{
    Departure *departure = data;
    g_free(departure->name);
    g_free(departure);
}

static const char *origin_of(const char *const *names, const char *const *origins, const char *name)
{
    for (guint i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return origins[i];
    return NULL;
}

/* Who is gone or fetches from elsewhere now (of Departure *), and the names of those that stay. */
static GPtrArray *find_departures(MirrorDb *mirror, const char *const *names, const char *const *origins,
                                  GHashTable *ret_known, GError **error)
{
    g_autoptr(GPtrArray) departures = g_ptr_array_new_with_free_func(departure_free);
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db, "SELECT name, origin FROM sources ORDER BY name", error);
    if (statement == NULL)
        return NULL;
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return NULL;
        if (!row)
            break;
        const char *origin = origin_of(names, origins, db_column_text(statement, 0));
        g_hash_table_add(ret_known, g_strdup(db_column_text(statement, 0)));
        if (origin != NULL && strcmp(origin, db_column_text(statement, 1)) == 0)
            continue;
        Departure *departure = g_new0(Departure, 1);
        departure->name = g_strdup(db_column_text(statement, 0));
        departure->origin = origin;
        g_ptr_array_add(departures, departure);
    }
    return g_steal_pointer(&departures);
}

static gboolean run_for_source(MirrorDb *mirror, const char *sql, const char *name, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(mirror->db, sql, error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, name);
    return db_run(statement, error);
}

static gboolean insert_source(MirrorDb *mirror, const char *name, const char *origin, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db, "INSERT INTO sources(name, origin) VALUES (?, ?)", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, name);
    db_bind_text(statement, 2, origin);
    return db_run(statement, error);
}

/* What it had goes with its row. A sync that is under way must not store its state with the new row, so the
 * epoch goes on. */
static gboolean begin_anew(MirrorDb *mirror, const Departure *departure, GError **error)
{
    g_auto(SourceRecord) before = {0};
    if (!mirror_db_source(mirror, departure->name, &before, error) ||
        !run_for_source(mirror, "DELETE FROM sources WHERE name = ?", departure->name, error))
        return FALSE;
    if (departure->origin == NULL)
        return TRUE;
    if (!insert_source(mirror, departure->name, departure->origin, error))
        return FALSE;
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db, "UPDATE sources SET epoch = ?2 WHERE name = ?1", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, departure->name);
    db_bind_integer(statement, 2, (gint64)before.epoch + 1);
    return db_run(statement, error);
}

static gboolean record_departure(MirrorDb *mirror, const Departure *departure, guint served, GError **error)
{
    g_autofree char *reason =
        g_strdup_printf("%s; it served %u packs",
                        departure->origin == NULL ? "the source was removed from the configuration"
                                                  : "the source fetches from elsewhere now",
                        served);
    MirrorEvent event = {
        .time_s = mirror_now_s(),
        .source = departure->name,
        .event = "removed",
        .reason = reason,
    };
    return mirror_history_add(mirror, &event, error);
}

/* All that leave are gone before the first pack looks for another source. */
static gboolean let_go(MirrorDb *mirror, GPtrArray *departures, MirrorChanges *changes, GError **error)
{
    g_autoptr(GPtrArray) left = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    for (guint i = 0; i < departures->len; i++) {
        const Departure *departure = g_ptr_array_index(departures, i);
        GPtrArray *served = mirror_served_by(mirror, departure->name, error);
        if (served == NULL)
            return FALSE;
        guint count = served->len;
        g_ptr_array_extend_and_steal(left, served);
        if (!begin_anew(mirror, departure, error) || !record_departure(mirror, departure, count, error))
            return FALSE;
    }
    for (guint i = 0; i < left->len; i++)
        if (!mirror_held_drop(mirror, g_ptr_array_index(left, i), changes, error))
            return FALSE;
    return TRUE;
}

static gboolean add_new(MirrorDb *mirror, const char *const *names, const char *const *origins,
                        GHashTable *known, GError **error)
{
    for (guint i = 0; names[i] != NULL; i++)
        if (!g_hash_table_contains(known, names[i]) && !insert_source(mirror, names[i], origins[i], error))
            return FALSE;
    return TRUE;
}

static gboolean are_all_known(const char *const *names, GHashTable *known)
{
    for (guint i = 0; names[i] != NULL; i++)
        if (!g_hash_table_contains(known, names[i]))
            return FALSE;
    return TRUE;
}

gboolean mirror_db_set_sources(MirrorDb *mirror, const char *const *names, const char *const *origins,
                               GPtrArray **ret_changes, GError **error)
{
    g_autoptr(MirrorChanges) changes = mirror_changes_new();
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    *ret_changes = NULL;
    g_autoptr(GPtrArray) departures = find_departures(mirror, names, origins, known, error);
    if (departures == NULL)
        return FALSE;
    if (departures->len > 0 || !are_all_known(names, known)) {
        if (!mirror_db_begin(mirror, error) ||
            !mirror_db_finish(mirror,
                              let_go(mirror, departures, changes, error) &&
                                  add_new(mirror, names, origins, known, error),
                              error))
            return FALSE;
    }
    *ret_changes = mirror_changes_take(changes);
    return TRUE;
}

/* --- Damaged releases --- */

/* Where the release is or was: `path` and `is_private` of MirroredPack *, nothing else. */
static GPtrArray *places_of(MirrorDb *mirror, const guint8 digest[SHA256_BYTES], GError **error)
{
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db, "SELECT path, is_private FROM releases WHERE digest = ?", error);
    if (statement == NULL)
        return NULL;
    db_bind_blob(statement, 1, digest, SHA256_BYTES);
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return NULL;
        if (!row)
            break;
        MirroredPack *place = g_new0(MirroredPack, 1);
        place->path = g_strdup(db_column_text(statement, 0));
        place->is_private = db_column_integer(statement, 1) != 0;
        g_ptr_array_add(places, place);
    }
    return g_steal_pointer(&places);
}

static gboolean record_damage(MirrorDb *mirror, const MirroredPack *held, GError **error)
{
    MirrorEvent event = {
        .time_s = mirror_now_s(),
        .source = held->source,
        .path = held->path,
        .event = "damaged",
        .version = held->version,
        .reason = "the release in the store is not whole; it is fetched again",
        .digest = held->digest,
    };
    return mirror_history_add(mirror, &event, error);
}

static gboolean damage_place(MirrorDb *mirror, const MirroredPack *place, const guint8 digest[SHA256_BYTES],
                             MirrorChanges *changes, GError **error)
{
    g_autoptr(MirroredPack) held = NULL;
    if (!mirror_db_held(mirror, place->path, place->is_private, &held, error))
        return FALSE;
    if (held != NULL && !held->withdrawn && memcmp(held->digest, digest, SHA256_BYTES) == 0) {
        g_autoptr(MirroredPack) remembered = mirrored_pack_copy(held);
        remembered->withdrawn = TRUE;
        mirror_changes_note(changes, held, remembered);
        if (!record_damage(mirror, held, error) || !mirror_held_put(mirror, remembered, error))
            return FALSE;
    }
    return mirror_ask_again(mirror, place->path, place->is_private, error);
}

static gboolean damage_everywhere(MirrorDb *mirror, GPtrArray *places, const guint8 digest[SHA256_BYTES],
                                  MirrorChanges *changes, GError **error)
{
    for (guint i = 0; i < places->len; i++)
        if (!damage_place(mirror, g_ptr_array_index(places, i), digest, changes, error))
            return FALSE;
    return TRUE;
}

gboolean mirror_db_damaged(MirrorDb *mirror, const guint8 digest[SHA256_BYTES], GPtrArray **ret_changes,
                           GError **error)
{
    g_autoptr(MirrorChanges) changes = mirror_changes_new();
    *ret_changes = NULL;
    g_autoptr(GPtrArray) places = places_of(mirror, digest, error);
    if (places == NULL || !mirror_db_begin(mirror, error) ||
        !mirror_db_finish(mirror, damage_everywhere(mirror, places, digest, changes, error), error))
        return FALSE;
    *ret_changes = mirror_changes_take(changes);
    return TRUE;
}
