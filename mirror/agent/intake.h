/* SPDX-License-Identifier: MIT
 *
 * The one way by which content of others gets into the release store: staged pack → hashes → acceptance rules
 * (signing/release.h) with what is held → policy of the source → installed, or refused with a reason. Git and
 * peer sources differ only in where the bytes come from.
 *
 * What is served is never replaced by something of less standing: neither an unsigned pack nor one by a key
 * that policy merely tolerates replaces what another publisher has signed, and neither takes over a path that
 * another source holds (ACCEPT_HIJACK). Without a signed release a digest covers manifest and pages only; the
 * pack's other files are installed with it and do not make it another release; but a pack whose other files
 * or signature differ from those of another pack of the same digest is refused (ACCEPT_CONFLICT), because
 * both would be served from one directory.
 *
 * An Intake lives for one sync and belongs to one thread. Accepted packs are gathered and installed in
 * batches; only what is durably in the store is reported. Everything else that a source does (deadline,
 * bytes, progress) goes through it, too, so that both kinds behave the same.
 */
#pragma once

#include "mirror/agent/source.h"
#include "mirror/store/mirror_db.h"
#include "mirror/store/release_store.h"

typedef enum {
    SYNC_PHASE_CONNECT,
    SYNC_PHASE_FETCH,
    SYNC_PHASE_COMPARE,
    SYNC_PHASE_READ,
    SYNC_PHASE_INSTALL
} SyncPhase;

typedef struct {
    SyncPhase phase;
    guint64 objects, objects_total; /* git objects or files; total 0: not known yet */
    guint64 bytes;                  /* received */
    guint packs, packs_total;       /* looked at; to look at */
    guint installed, refused;       /* counted by the intake; the others by the sync */
} SyncProgress;

/* Whoever runs the sync. Called on the thread that syncs. */
typedef struct {
    void (*progress)(const SyncProgress *progress, gpointer user); /* may be called very often */
    /* Installed, withdrawn, refused or gone; takes the result over. */
    void (*result)(SyncResult *result, gpointer user);
    /* Something about the source itself: kind is "rollback", "fork", "stale", "mismatch", "token", "shrink";
     * "" says that none of them stands any more. */
    void (*alarm)(const char *kind, const char *reason, gpointer user);
    gpointer user;
} SyncHooks;

typedef struct {
    const MirrorSource *source;
    ReleaseStore *store;
    MirrorDb *db; /* for reading */
    const TrustList *trust;
    const char *policy_hash;       /* source_policy_hash */
    const char *state;             /* what the last sync left; "" at the first */
    const char *known_policy_hash; /* by which `state` was judged */
    const char *store_dir;         /* absolute; git/, peers/ and evidence/ are below it */
    gboolean prune;     /* the operator confirms what would be held back because too much is gone */
    gboolean full;      /* look at everything, whatever `state` says */
    gboolean reset;     /* the operator has looked at a fork or rollback: trust the peer's present checkpoint
                           again */
    gint64 deadline_us; /* monotonic */
    guint threads;
    SyncHooks hooks;
} SyncJob;

/* What a sync leaves when it was good. */
typedef struct {
    char *state; /* for the next one */
    guint packs_seen;
    gboolean
        partial; /* ran out of time or bytes after doing something: `state` is as before, come back soon */
} SyncDone;
void sync_done_clear(SyncDone *done);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncDone, sync_done_clear)

/* A batch is installed when it has so many packs or bytes, or when its first pack has waited so long. */
#define INTAKE_BATCH_PACKS 64
#define INTAKE_BATCH_BYTES (64 * 1024 * 1024)
#define INTAKE_BATCH_MS 200

/* What a source may call its contents; in mirror.db the policy is added (see intake_knows). */
#define INTAKE_IDENTITY_BYTES (MIRROR_IDENTITY_BYTES - 17)

typedef struct Intake Intake;

Intake *intake_new(const SyncJob *job);
/* What was gathered and not flushed is thrown away. */
void intake_free(Intake *intake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Intake, intake_free)

/* TRUE when a pack of that identity needs no look: it was installed, withdrawn or refused before by the same
 * policy, and what was installed is still in the store. FALSE in doubt. The identity in mirror.db has the
 * policy added (so that syncs that end early do not begin anew after a change of it): ask here whether a pack
 * is known, do not compare it with mirror_db_known. */
gboolean intake_knows(Intake *intake, const char *path, const char *identity);
/* An empty pack to fill for intake_offer; errors of staging_new. */
Staging *intake_stage(Intake *intake, const char *path, GError **error);
/* Judges what was staged and takes it over in any case. A pack that is refused is not an error: it is
 * reported. `expected_digest` (may be NULL): the digest that was promised; another one is refused as
 * ACCEPT_HASH. FALSE only when the store fails (disk full, I/O) or when time is up. */
gboolean intake_offer(Intake *intake, const char *path, const char *identity, const char *origin,
                      Staging *staging, const guint8 *expected_digest, GError **error);
/* Reports a pack that was refused before it could be staged. Takes nothing over. */
void intake_refuse(Intake *intake, const char *path, const char *identity, AcceptRule rule,
                   const char *reason);
void intake_gone(Intake *intake, const char *path);
/* Judges a manifest.sig that came without its pack, to say that it was withdrawn. *ret TRUE when it is a
 * tombstone that is accepted: it is reported, after it was installed. Otherwise it says nothing, and nothing
 * is reported. FALSE as above. */
gboolean intake_withdraw(Intake *intake, const char *path, const char *origin, GBytes *sig, gboolean *ret,
                         GError **error);
/* Installs and reports what is gathered. To be called at the end; happens by itself when a batch is full or
 * INTAKE_BATCH_MS old. */
gboolean intake_flush(Intake *intake, GError **error);

/* FALSE with BUSY when the deadline has passed. */
gboolean intake_in_time(const Intake *intake, GError **error);
/* To be changed freely, then intake_progress. */
SyncProgress *intake_progress_of(Intake *intake);
void intake_progress(Intake *intake);
void intake_alarm(Intake *intake, const char *kind, const char *reason);
