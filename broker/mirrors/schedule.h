/* SPDX-License-Identifier: MIT
 *
 * Which source is synced next, and for how long. Pure: time comes in with every call, randomness from a seed.
 * Belongs to one thread.
 *
 * One sync runs at a time. A source is due again
 *   after a good sync     one interval after its start
 *   after a failure       one interval, doubled with each failure in a row, one hour at most; from the
 *                         LIMIT_SOURCE_FAILURES-th on it is marked as failing and tried once a day
 *   after it was cut      after three times as long as it took (at once when there is no other source), so
 *                         that a large source takes a quarter of the time and no more
 * each with ±10 %, so that brokers do not ask in step. Of several that are due the one that has been so for
 * longest comes first; what an operator wishes comes before all, also of a paused or failing source.
 *
 * The time of a turn. A source that is the only one, or wished for by name, has all of its time_max. Else a
 * turn lasts SCHEDULE_TURN_SECONDS, or a quarter of the shortest interval among the others, whichever is
 * longer; or until the next other source is due, because nobody waits for so long. Who does not finish in it
 * and has nothing to show gets twice as much next time, up to time_max: then running out of it is a failure.
 * So a source that hangs delays the others by one turn at a time and costs them a quarter of the whole, and a
 * large one gets as much time in one piece as it needs.
 */
#pragma once

#include <glib.h>

#define SCHEDULE_TURN_SECONDS 15
#define SCHEDULE_BACKOFF_SECONDS 3600 /* the longest wait of a source that is not marked */
#define SCHEDULE_CUT_WAIT 3           /* times what a turn took */

typedef struct Schedule Schedule;

/* --- Life cycle --- */

Schedule *schedule_new(guint32 seed);
void schedule_free(Schedule *schedule); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Schedule, schedule_free)

/* --- Operations. Times are monotonic, in microseconds. --- */

typedef struct {
    const char *name;
    guint interval_s, time_max_s;
    gboolean paused;
} ScheduleSource;
/* Which sources there are. New ones are due at once; what is known of those that stay is kept. */
void schedule_set_sources(Schedule *schedule, const ScheduleSource *sources, guint count, gint64 now_us);
/* What an earlier process knew: tried `ago_us` ago, with so many failures in a row. */
void schedule_restore(Schedule *schedule, const char *name, gint64 ago_us, guint failures, gint64 now_us);

typedef struct {
    gboolean prune, full, reset; /* as in SyncJob */
} ScheduleWish;
/* `name` NULL: all that are not paused. FALSE when there is no such source. */
gboolean schedule_wish(Schedule *schedule, const char *name, const ScheduleWish *wish, gint64 now_us);
/* Due at once, without any precedence. */
void schedule_soon(Schedule *schedule, const char *name, gint64 now_us);

typedef struct {
    const char *name; /* valid until the sources change */
    guint seconds;
    ScheduleWish wish;
    gboolean wished;
} ScheduleTurn;
/* TRUE and the turn that begins now; FALSE and how long nobody will be due (G_MAXINT64: ever), also while one
 * runs. */
gboolean schedule_next(Schedule *schedule, gint64 now_us, ScheduleTurn *ret, gint64 *ret_wait_us);

typedef enum {
    SCHEDULE_GOOD,
    SCHEDULE_PARTIAL,     /* did something and has more to do */
    SCHEDULE_OUT_OF_TIME, /* was on its way */
    SCHEDULE_FAILED,
    SCHEDULE_CANCELLED, /* by us, for reasons that are not the source's: due again at once */
} ScheduleEnd;
/* The turn has ended. Passed over for a source that is gone meanwhile. */
void schedule_ended(Schedule *schedule, const char *name, ScheduleEnd end, gint64 now_us);
/* The turn could not be taken for reasons that are not the source's (no agent, store full): it is due again
 * after `wait_us`, nothing else changes; a wish is forgotten. */
void schedule_postpone(Schedule *schedule, const char *name, gint64 wait_us, gint64 now_us);

/* --- Queries --- */

typedef struct {
    gint64 due_us;
    guint failures;
    gboolean failing, running, wished, cut; /* cut: its latest turn was too short */
} ScheduleView;
gboolean schedule_view(const Schedule *schedule, const char *name, ScheduleView *ret);
/* Syncs that somebody wishes for and that have not begun. */
guint schedule_wishes(const Schedule *schedule);
