/* SPDX-License-Identifier: MIT
 *
 * <data>/store/mirror.db: what is mirrored, from where, and what was refused. It is a source of truth for
 * which release of a path is served, and for the oldest that may follow it (rollback), so every change is
 * durable when its function returns.
 *
 * One process at a time writes (the broker, or the command line while no broker runs: whoever holds the data
 * directory), on one thread; the agent process and others may open it for reading at the same time.
 *
 * Public and private packs are two name spaces: a private release never replaces, holds back or counts for a
 * public one of the same path.
 */
#pragma once

#include "mirror/catalog/pack_judge.h"
#include "mirror/store/db.h"

typedef struct MirrorDb MirrorDb;

/* DB_READ or DB_WRITE; errors of db_open. */
MirrorDb *mirror_db_open(const char *path, DbMode mode, GError **error);
/* For the writer at its start: a file that is damaged (CORRUPT) is put aside as "<path>.damaged-<random>",
 * and a new one takes its place with what can still be read of what is held and of the sources, so that
 * nothing older is let in and what verifies is still served; all the rest the sources bring again.
 * *ret_damage: what was done, one line, a new string; NULL when nothing was wrong. Reads the whole file. */
MirrorDb *mirror_db_open_or_salvage(const char *path, char **ret_damage, GError **error);
void mirror_db_close(MirrorDb *db); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MirrorDb, mirror_db_close)

/* --- What is served --- */

/* A release that is installed in the release store and to be served at a path. */
typedef struct {
    char *path;
    guint8 digest[SHA256_BYTES]; /* name of its directory in the release store */
    guint8 content_sha256[SHA256_BYTES];
    char *source; /* name of the source that brought it */
    gboolean is_private;
    PackPolicy policy;            /* by which it was accepted */
    char *fingerprint;            /* of its publisher; "" unsigned */
    char *publisher;              /* name; "" unknown */
    char *version, *published_at; /* may be "" */
    char *origin;       /* where exactly from, for people: a commit id, a peer's generation; may be "" */
    gboolean withdrawn; /* remembered, not served: by a tombstone, or because no source brings it any more */
    gint64 installed_s; /* Unix time */
} MirroredPack;

void mirrored_pack_free(MirroredPack *pack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MirroredPack, mirrored_pack_free)
MirroredPack *mirrored_pack_copy(const MirroredPack *pack);

/* What is held at a path, served or withdrawn or remembered from a source that was removed; *ret NULL when
 * nothing ever was. */
gboolean mirror_db_held(MirrorDb *db, const char *path, gboolean is_private, MirroredPack **ret,
                        GError **error);
/* All that is to be served (not withdrawn, of a source that is still there), of MirroredPack *, owned. */
GPtrArray *mirror_db_served(MirrorDb *db, GError **error);
/* The tombstones that hold paths: what is held and not served because it was withdrawn, and not only because
 * no source brings it any more. Of MirroredPack *, owned; public ones only. Their manifest.sig is in the
 * release store. */
GPtrArray *mirror_db_tombstones(MirrorDb *db, GError **error);
/* What was installed at public paths before what is served there now: of each the last `keep` releases but
 * that one, newest first, of MirroredPack *, owned. Of a record `path`, `digest`, `source` and `policy` (both
 * as of what is served) and `installed_s` are known, the rest is empty. */
GPtrArray *mirror_db_former(MirrorDb *db, guint keep, GError **error);

/* --- What a sync reports --- */

typedef enum {
    OUTCOME_INSTALLED, /* accepted, in the store: is to be served */
    OUTCOME_WITHDRAWN, /* accepted tombstone */
    OUTCOME_REFUSED,
    OUTCOME_GONE, /* the source no longer has it */
} SyncOutcome;

#define MIRROR_IDENTITY_BYTES 128

/* One pack of one source. Strings owned; the name of the source is not looked for in `pack`. */
typedef struct {
    SyncOutcome outcome;
    char *identity; /* by which the source recognizes this content without reading it (hex of an object id, of
                       a digest); "" for GONE, and taken for "" beyond MIRROR_IDENTITY_BYTES */
    MirroredPack *pack; /* `path` and `is_private` always; everything else for INSTALLED and WITHDRAWN */
    AcceptRule rule;    /* of REFUSED */
    char *reason;       /* of REFUSED: one line; else NULL */
    gboolean is_new; /* of INSTALLED: the store did not have this release yet; for whoever counts its size */
} SyncResult;

void sync_result_free(SyncResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncResult, sync_result_free)

/* Applies results (of SyncResult *) of a source in one transaction. `ret_changes` receives what changed in
 * what is served, an array of MirroredPack * (owned; `withdrawn` TRUE: no longer served). OUTCOME_GONE only
 * takes a pack out of what is served when `remove_gone`; it is remembered as gone in any case. A path that
 * two sources bring: the newer release is served, whoever brought it (the order of release_accept); of
 * unsigned ones, or of equals, the one that is held stays (mirror_rule.h has the table). What `results` says
 * about a release that is older than what is held by now is recorded as refused (ACCEPT_ROLLBACK): the agent
 * judged by what it could read then. When a pack stops being served, sources that also have something at its
 * path are asked for it again. NOT_FOUND when mirror_db_set_sources never told of the source. */
gboolean mirror_db_apply(MirrorDb *db, const char *source, GPtrArray *results, gboolean remove_gone,
                         gint64 now_s, GPtrArray **ret_changes, GError **error);

/* How a sync ended. */
typedef struct {
    gboolean ok;
    const char *error;       /* one line when not ok */
    const char *state;       /* of the source, to be handed to the next sync; NULL: leave as it is */
    const char *policy_hash; /* by which everything up to `state` was judged; with `state` */
    guint packs_seen;        /* packs that the source has and we want; with `state` */
    guint epoch; /* SourceRecord.epoch when the sync began: `state` is not stored when the state was forgotten
                    since, because what was asked for again may have been passed over; 0: not looked at */
    gint64 now_s;
} SyncEnd;
/* NOT_FOUND as above. A failure is put into the history when it is the first one or another than before. */
gboolean mirror_db_end(MirrorDb *db, const char *source, const SyncEnd *end, GError **error);

/* --- Sources --- */

/* What is known of a source. Strings owned; never NULL but where said. */
typedef struct {
    char *name;
    char *state;        /* "" before the first success */
    gboolean unsettled; /* results came since `state` was stored, by a sync that was cut short or failed: it
                           does not say all that the source was seen to have */
    char *policy_hash;  /* "" before the first success */
    gint64 last_try_s, last_ok_s; /* 0: never */
    guint failures;               /* in a row */
    char *last_error;             /* "" when the latest sync was good */
    char *alarm; /* kind of an alarm that stands ("fork", "rollback", "stale", "shrink", …); "" none */
    char *alarm_reason;
    guint epoch; /* ≥ 1, grows when the state is forgotten */
    guint packs_seen;
    guint packs_served;  /* of what is served, brought by this source */
    guint packs_refused; /* whose present content was refused */
    guint packs_gone;    /* that the source no longer has, though they are served */
} SourceRecord;

void source_record_clear(SourceRecord *record);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SourceRecord, source_record_clear)

/* A source that is not known has a record without anything but its name and epoch 1. */
gboolean mirror_db_source(MirrorDb *db, const char *source, SourceRecord *ret, GError **error);
/* The same without packs_served, packs_refused and packs_gone, which must be counted: for every sync. */
gboolean mirror_db_source_state(MirrorDb *db, const char *source, SourceRecord *ret, GError **error);
gboolean mirror_db_has_source(MirrorDb *db, const char *source, gboolean *ret, GError **error);
/* Tells which sources there are (names, NULL-terminated; `origins` are texts that identify where each fetches
 * from and for whom, so that one which becomes private begins anew). Forgets those that are gone, and what is
 * known of one whose origin changed: their packs are no longer served unless another source brought the same
 * release, but remain held against rollback. `ret_changes` as above. */
gboolean mirror_db_set_sources(MirrorDb *db, const char *const *names, const char *const *origins,
                               GPtrArray **ret_changes, GError **error);
/* Holds what the source has brought to what the configuration wants now, without waiting for its next sync,
 * which may be far away: what `wants` says FALSE to is no longer served unless another source brought the
 * same release, and what is accepted by a weaker policy than this is to be judged by this. `ret_changes` as
 * above.
 */
typedef gboolean (*MirrorDbWantsFunc)(const char *path, gpointer user);
gboolean mirror_db_tighten(MirrorDb *db, const char *source, PackPolicy policy, MirrorDbWantsFunc wants,
                           gpointer user, GPtrArray **ret_changes, GError **error);
/* kind "" clears it. */
gboolean mirror_db_set_alarm(MirrorDb *db, const char *source, const char *kind, const char *reason,
                             gint64 now_s, GError **error);
/* A release is damaged or missing in the release store: it is no longer served, and every source that brought
 * it is asked for it again. `ret_changes` as above. */
gboolean mirror_db_damaged(MirrorDb *db, const guint8 digest[SHA256_BYTES], GPtrArray **ret_changes,
                           GError **error);

/* What the source is known to have at a path: TRUE and *ret_identity (a new string) and outcome, or
 * *ret_identity NULL. */
gboolean mirror_db_known(MirrorDb *db, const char *source, const char *path, char **ret_identity,
                         SyncOutcome *ret_outcome, AcceptRule *ret_rule, GError **error);
/* Of all packs of a source, in the order of paths; `func` FALSE ends the walk, and must not begin another
 * one. For status and for plans. */
typedef gboolean (*MirrorDbPackFunc)(const char *path, const char *identity, SyncOutcome outcome,
                                     AcceptRule rule, const char *reason, gint64 time_s, gpointer user);
gboolean mirror_db_each(MirrorDb *db, const char *source, MirrorDbPackFunc func, gpointer user,
                        GError **error);

/* --- History: what happened, newest first; bounded (LIMIT_MIRROR_HISTORY rows, of one source a quarter of
 * that, so that none drives out the others) --- */

typedef struct {
    gint64 id, time_s;
    char *source, *path; /* path may be "" */
    char *event;         /* "installed", "withdrawn", "refused", "gone" (still served), "removed", "damaged",
                            "failed", "alarm", "recovered" */
    char *rule;          /* accept_rule_name of a refusal; else "" */
    char *version;       /* may be "" */
    char *digest;        /* hex; may be "" */
    char *reason;        /* may be "" */
} HistoryRow;

void history_row_free(HistoryRow *row);
/* At most `limit` rows with an id below `before` (0: from the newest), of one source, and of one path and
 * those below it (NULL: all). */
GPtrArray *mirror_db_history(MirrorDb *db, const char *source, const char *path, gint64 before, guint limit,
                             GError **error);

/* --- Reachability, for the collector of the release store --- */

#define MIRROR_KEEP_MAX 100 /* releases remembered of one path */

/* Digests (of GBytes *, 32 bytes, in a new set) of what is served, of tombstones that hold paths, of the last
 * `keep` (1..MIRROR_KEEP_MAX) releases of every path that is served, and of what the sources have now. */
GHashTable *mirror_db_reachable(MirrorDb *db, guint keep, GError **error);
/* The paths at which a release is or was, public and private (of char *, sorted, without repetition). */
GPtrArray *mirror_db_paths_of(MirrorDb *db, const guint8 digest[SHA256_BYTES], GError **error);
