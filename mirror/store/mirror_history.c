/* SPDX-License-Identifier: MIT */
#include "mirror/store/mirror_rows.h"
#include "schema/limits.h"

enum { TRIM_EVERY = 256 }; /* rows: looking for the oldest one costs as much as there are */
G_STATIC_ASSERT(LIMIT_MIRROR_HISTORY / 4 > TRIM_EVERY);

void history_row_free(HistoryRow *row)
{
    if (row == NULL)
        return;
    g_free(row->source);
    g_free(row->path);
    g_free(row->event);
    g_free(row->rule);
    g_free(row->version);
    g_free(row->digest);
    g_free(row->reason);
    g_free(row);
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Drops the oldest rows so that there is room for TRIM_EVERY more. */
static gboolean trim(MirrorDb *mirror, const char *source, GError **error)
{
    g_autoptr(DbStatement) of_source =
        db_prepare(mirror->db,
                   "DELETE FROM history WHERE source = ?1 AND id <= (SELECT id FROM history"
                   " WHERE source = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                   error);
    g_autoptr(DbStatement) of_all =
        db_prepare(mirror->db,
                   "DELETE FROM history WHERE id <= (SELECT id FROM history ORDER BY id DESC"
                   " LIMIT 1 OFFSET ?)",
                   error);
    if (of_source == NULL || of_all == NULL)
        return FALSE;
    db_bind_text(of_source, 1, source);
    db_bind_integer(of_source, 2, LIMIT_MIRROR_HISTORY / 4 - TRIM_EVERY);
    db_bind_integer(of_all, 1, LIMIT_MIRROR_HISTORY - TRIM_EVERY);
    return db_run(of_source, error) && db_run(of_all, error);
}

static gboolean insert(MirrorDb *mirror, const MirrorEvent *event, GError **error)
{
    char digest[SHA256_HEX_CHARS + 1] = "";
    g_autofree char *reason = mirror_one_line(event->reason, MIRROR_REASON_BYTES);
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "INSERT INTO history(time, source, path, event, rule, version, digest, reason)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   error);
    if (statement == NULL)
        return FALSE;
    if (event->digest != NULL)
        hex_encode(event->digest, SHA256_BYTES, digest);
    db_bind_integer(statement, 1, event->time_s);
    db_bind_text(statement, 2, event->source);
    db_bind_text(statement, 3, or_empty(event->path));
    db_bind_text(statement, 4, event->event);
    db_bind_text(statement, 5, event->rule != ACCEPT_OK ? accept_rule_name(event->rule) : "");
    db_bind_text(statement, 6, or_empty(event->version));
    db_bind_text(statement, 7, digest);
    db_bind_text(statement, 8, reason);
    return db_run(statement, error);
}

gboolean mirror_history_add(MirrorDb *mirror, const MirrorEvent *event, GError **error)
{
    if (!insert(mirror, event, error))
        return FALSE;
    return db_last_rowid(mirror->db) % TRIM_EVERY != 0 || trim(mirror, event->source, error);
}

static HistoryRow *row_of_statement(DbStatement *statement)
{
    HistoryRow *row = g_new0(HistoryRow, 1);
    row->id = db_column_integer(statement, 0);
    row->time_s = db_column_integer(statement, 1);
    row->source = g_strdup(db_column_text(statement, 2));
    row->path = g_strdup(db_column_text(statement, 3));
    row->event = g_strdup(db_column_text(statement, 4));
    row->rule = g_strdup(db_column_text(statement, 5));
    row->version = g_strdup(db_column_text(statement, 6));
    row->digest = g_strdup(db_column_text(statement, 7));
    row->reason = g_strdup(db_column_text(statement, 8));
    return row;
}

GPtrArray *mirror_db_history(MirrorDb *mirror, const char *source, const char *path, gint64 before,
                             guint limit, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)history_row_free);
    g_autoptr(DbStatement) statement =
        db_prepare(mirror->db,
                   "SELECT id, time, source, path, event, rule, version, digest, reason FROM history"
                   " WHERE id < ?1 AND (?2 IS NULL OR source = ?2)"
                   " AND (?3 IS NULL OR path = ?3 OR substr(path, 1, length(?3) + 1) = ?3 || '/')"
                   " ORDER BY id DESC LIMIT ?4",
                   error);
    if (statement == NULL)
        return NULL;
    db_bind_integer(statement, 1, before > 0 ? before : G_MAXINT64);
    db_bind_text(statement, 2, source);
    db_bind_text(statement, 3, path);
    db_bind_integer(statement, 4, limit);
    for (gboolean row = TRUE; row;) {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row)
            g_ptr_array_add(rows, row_of_statement(statement));
    }
    return g_steal_pointer(&rows);
}
