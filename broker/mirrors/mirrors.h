/* SPDX-License-Identifier: MIT
 *
 * The mirrors of a broker: which source is due, the agent process that does the work, what becomes of its
 * reports.
 *
 * One thread ("mirror") owns <data>/store/mirror.db and the agent's link. A report becomes durable in
 * mirror.db, then goes to the publisher (publisher_mirror), which reads and judges the release again and
 * publishes it. The agent may crash, hang or be killed: its job counts as failed for that source, and it is
 * started again with back-off.
 *
 * When a source is due, and what failing does to it, is decided by schedule.h, which is pure.
 */
#pragma once

#include "broker/config.h"
#include "broker/serve/publisher.h"
#include "mirror/store/mirror_db.h"

typedef struct Mirrors Mirrors;

/* Opens <data>/store and mirror.db, gives the publisher what is mirrored (publisher_set_mirrored) and does
 * not start anything yet. Before publisher_start. */
Mirrors *mirrors_new(Config *config, Publisher *publisher, GError **error);
/* Starts the thread: syncs begin. */
void mirrors_start(Mirrors *mirrors);
/* Ends the agent and the thread. Before publisher_close. */
void mirrors_stop(Mirrors *mirrors);
void mirrors_free(Mirrors *mirrors); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mirrors, mirrors_free)

/* --- Any thread --- */

void mirrors_reload(Mirrors *mirrors, Config *config);

typedef struct {
    const char *source; /* NULL: all that are not paused */
    gboolean prune, full;
    gboolean
        reset; /* the operator has looked at a fork or rollback: trust the peer's present checkpoint again */
} MirrorsWish;
/* Syncs soon. NOT_FOUND when there is no such source. *ret_ticket: the number after which events of these
 * syncs come (see mirrors_events_json). */
gboolean mirrors_sync(Mirrors *mirrors, const MirrorsWish *wish, guint64 *ret_ticket, GError **error);
/* JSON for the loopback interface; complete (private sources too). */
GBytes *mirrors_status_json(Mirrors *mirrors);
/* Events after number `after`, at most `limit`, oldest first: {"events":[…],"next":N,"running":bool}. Waits
 * for nothing. */
GBytes *mirrors_events_json(Mirrors *mirrors, guint64 after, guint limit);
GBytes *mirrors_history_json(Mirrors *mirrors, const char *source, const char *path, gint64 before,
                             guint limit, GError **error);
/* Collects garbage in the store; JSON report. */
GBytes *mirrors_collect(Mirrors *mirrors, gboolean dry_run, GError **error);
/* Checks these releases (hex digests, NULL-terminated) again, puts damaged ones away and has them fetched
 * again. */
GBytes *mirrors_repair(Mirrors *mirrors, const char *const *digests, GError **error);

/* What everybody may see, for the web page and metrics: public sources only. */
typedef struct {
    char *name, *kind, *url, *state; /* state: ok, syncing, waiting, failing, paused, held, alarm */
    char *detail;                    /* one line, may be "" */
    gint64 last_ok_s;
    guint packs, refused;
} MirrorsSource;
GPtrArray *mirrors_public_sources(Mirrors *mirrors); /* of MirrorsSource *, owned */
typedef struct {
    guint64 syncs, failures, agent_restarts, installed, refused[ACCEPT_RULES], alarms;
    guint64 bytes; /* received */
    gboolean store_full;
} MirrorsCounters;
void mirrors_counters(Mirrors *mirrors, MirrorsCounters *ret); /* of public sources */
