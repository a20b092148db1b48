/* SPDX-License-Identifier: MIT
 *
 * What the modules behind mirror_db.h share: rows as structures, the collection of changes, and the steps of
 * a transaction that more than one of them needs. Nobody else includes this. All functions that write run
 * inside a transaction of their caller.
 */
#pragma once

#include "mirror/store/mirror_db.h"

struct MirrorDb {
    Db *db;
};

/* Begins a transaction; mirror_db_finish commits it when `good`, else undoes it and returns FALSE. */
#define mirror_db_begin(mirror, error) db_begin((mirror)->db, error)
gboolean mirror_db_finish(MirrorDb *mirror, gboolean good, GError **error);

/* --- Changes of what is served: for each path and name space from what was to what is, whatever was between
 * --- */

typedef struct MirrorChanges MirrorChanges;
MirrorChanges *mirror_changes_new(void);
void mirror_changes_free(MirrorChanges *changes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MirrorChanges, mirror_changes_free)
/* What is held at a path changed from `before` (NULL: nothing was) to `after`. Both are copied. */
void mirror_changes_note(MirrorChanges *changes, const MirroredPack *before, const MirroredPack *after);
/* What whoever serves has to know, as an array of MirroredPack * that owns them, in no order; the collection
 * is empty then. */
GPtrArray *mirror_changes_take(MirrorChanges *changes);
/* TRUE when both are the same to whoever serves them. */
gboolean mirror_packs_same(const MirroredPack *a, const MirroredPack *b);

/* --- Table held --- */

#define MIRROR_HELD_COLUMNS                                                                                  \
    "path, is_private, served, source, installed, digest, content_sha256, policy, fingerprint, publisher,"   \
    " version, published_at, origin"
/* Of a statement at a row of these columns. */
MirroredPack *mirror_held_of_row(DbStatement *statement);

/* Stores the pack as what is held at its path; `withdrawn` means that it is not served. */
gboolean mirror_held_put(MirrorDb *mirror, const MirroredPack *pack, GError **error);
/* What `held` says is served is no longer brought by its source: another one that has the very same release
 * takes its place, else it is only remembered, and those who have something else there are asked again. */
gboolean mirror_held_drop(MirrorDb *mirror, const MirroredPack *held, MirrorChanges *changes, GError **error);

/* What a source serves now, of MirroredPack *, owned; in no order. */
GPtrArray *mirror_served_by(MirrorDb *mirror, const char *source, GError **error);
/* Sources whose content at the path may be wanted now, though it was not before, have to offer it again. */
gboolean mirror_ask_again(MirrorDb *mirror, const char *path, gboolean is_private, GError **error);

/* --- Table packs --- */

typedef struct {
    char *identity; /* NULL: there is no such row */
    SyncOutcome outcome;
    AcceptRule rule;
    char *reason;
    gboolean is_private;
    guint8 digest[SHA256_BYTES];
} MirrorPackRow;
void mirror_pack_row_clear(MirrorPackRow *row);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MirrorPackRow, mirror_pack_row_clear)

gboolean mirror_pack_row_read(MirrorDb *mirror, const char *source, const char *path, MirrorPackRow *ret,
                              GError **error);
/* A new or changed row from a result. */
gboolean mirror_pack_row_put(MirrorDb *mirror, const char *source, const SyncResult *result, gint64 now_s,
                             GError **error);

/* --- Tables releases, sources --- */

gboolean mirror_release_add(MirrorDb *mirror, const MirroredPack *pack, GError **error);
/* NOT_FOUND when it is not there. */
gboolean mirror_source_require(MirrorDb *mirror, const char *source, GError **error);

/* --- History --- */

/* `source` and `event` always; other members that are NULL are stored as "". */
typedef struct {
    gint64 time_s;
    const char *source, *path, *event, *version, *reason;
    AcceptRule rule;      /* ACCEPT_OK: none */
    const guint8 *digest; /* or NULL */
} MirrorEvent;
/* Also drops the oldest rows beyond the limits. */
gboolean mirror_history_add(MirrorDb *mirror, const MirrorEvent *event, GError **error);

/* --- Small things --- */

AcceptRule mirror_rule_of_name(const char *name);
/* The text as one line of at most `bytes_max` bytes, a new string; NULL is "". */
char *mirror_one_line(const char *text, gsize bytes_max);
#define MIRROR_REASON_BYTES 1024
gint64 mirror_now_s(void);
