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
 * not start anything yet. Before publisher_start. The caller holds the data directory; `publisher` NULL: no
 * broker runs, what changes is served by the next one. */
Mirrors *mirrors_new(Config *config, Publisher *publisher, GError **error);
/* Starts the thread: syncs begin. */
void mirrors_start(Mirrors *mirrors);
/* Ends the agent and the thread. Before publisher_close. */
void mirrors_stop(Mirrors *mirrors);
void mirrors_free(Mirrors *mirrors); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mirrors, mirrors_free)

/* What somebody wants to be synced. */
typedef struct {
    const char *source; /* NULL: all that are not paused */
    gboolean prune, full;
    gboolean
        reset; /* the operator has looked at a fork or rollback: trust the peer's present checkpoint again */
} MirrorsWish;

/* One event, as in the "events" of mirrors_events_json: a JSON object without line break.
 *
 *   {"n":17,"time":"2026-05-01T12:00:00Z","source":"commons","event":EVENT, …}
 *
 *   EVENT        further members
 *   "started"    -
 *   "progress"   phase (connect, fetch, compare, read, install), objects, objects_total (0: not known),
 *                bytes, packs, packs_total, installed, refused
 *   "installed"  path, version, digest            "withdrawn"  the same
 *   "refused"    path, rule, reason               "gone"       path
 *   "damaged"    path, digest, reason: not served, to be fetched again
 *   "alarm"      kind, reason; kind "": what stood stands no more
 *   "ended"      ok, partial, wished (somebody asked), error and code (when not ok), packs_seen,
 *                installed, refused, bytes, requests, elapsed_ms; comes when what it brought is served
 *
 * "n" grows by one or more from event to event; of several "progress" in a row only the last is kept. */
typedef void (*MirrorsEventFunc)(const char *json, gpointer user);
/* For the command line while no broker runs (the caller holds the data directory): opens the store, runs the
 * wished syncs once, one after another, by the same rules, and closes everything. `func` hears of everything
 * on the calling thread. That a source fails is an event; FALSE only when nothing could be tried: NOT_FOUND
 * for a source that does not exist, and the errors of mirrors_new. */
gboolean mirrors_run_once(Config *config, const MirrorsWish *wish, MirrorsEventFunc func, gpointer user,
                          GError **error);

/* --- Any thread. Before mirrors_start they do their work at once, on the caller's thread. --- */

void mirrors_reload(Mirrors *mirrors, Config *config);
/* Waits until what the latest reload takes away is no longer served, at most `wait_ms`. FALSE: not yet. */
gboolean mirrors_wait_reloaded(Mirrors *mirrors, guint wait_ms);

/* Syncs soon, paused sources too when they are named. NOT_FOUND when there is no such source. *ret_ticket:
 * the number after which events of these syncs come (see mirrors_events_json). */
gboolean mirrors_sync(Mirrors *mirrors, const MirrorsWish *wish, guint64 *ret_ticket, GError **error);
/* JSON for the loopback interface; complete (private sources too). Times like 2026-05-01T12:00:00Z, or null.
 *
 *   {"store":{"path":…,"release_bytes":…,"quota_bytes":…,"full":bool,"reason":…},
 *    "agent":{"running":bool,"pid":…,"restarts":…},
 *    "sources":[{"name","kind","url","ref","path","visibility","signed","state","detail","alarm",
 *      "alarm_reason","last_try","last_ok","next","interval_seconds","failures","paused",
 *      "packs":{"seen","served","refused","gone"},
 *      "progress":{as in the event} only while it is synced}]}
 *
 * state: "ok"; "syncing"; "waiting" (failed and tried again, cut short, or never tried); "failing" (too often
 * in a row: once a day); "paused"; "held" (too much is gone at once: the operator must confirm); "alarm". */
GBytes *mirrors_status_json(Mirrors *mirrors);
/* Events after number `after`, at most `limit`, oldest first: {"events":[…],"next":N,"running":bool}; `next`
 * is what to ask for next, `running` is TRUE while a sync that somebody wished for has not ended, or there
 * are more events. Waits for nothing. */
GBytes *mirrors_events_json(Mirrors *mirrors, guint64 after, guint limit);
GBytes *mirrors_history_json(Mirrors *mirrors, const char *source, const char *path, gint64 before,
                             guint limit, GError **error);
/* Collects garbage in the store: releases, and what sources that are gone have left (source_files.h).
 *
 *   {"dry_run":bool,"kept":…,"removed":…,"removed_bytes":…,"failed":…,
 *    "copies_removed":…,"copies_removed_bytes":…,"copies_failed":…}
 *
 * The first five are about releases. */
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
