/* SPDX-License-Identifier: MIT
 *
 * The inside of Mirrors, for broker/mirrors only. One thread works (mirrors_work.c); it owns everything up to
 * the lock and looks at nothing else without it. Before mirrors_start the caller's thread is that thread.
 *
 *   agent says      →  results (gathered while it speaks)  →  mirror.db, one transaction
 *   mirror.db says  →  changes (what is served otherwise)  →  publisher, one job at a time
 *   a sync ended    →  endings, told when the publisher is done with everything that came before
 */
#pragma once

#include "broker/mirrors/mirror_events.h"
#include "broker/mirrors/mirrors.h"
#include "broker/mirrors/schedule.h"
#include "mirror/agent/agent_link.h"
#include "mirror/agent/source_files.h"

#define MIRRORS_EVENTS 4096        /* kept for those who watch */
#define MIRRORS_OVERTIME_S 20      /* an agent so long past its deadline is killed */
#define MIRRORS_FULL_WAIT_S 10     /* between looks at a full store */
#define MIRRORS_COLLECT_WAIT_S 300 /* between collections of garbage */
#define MIRRORS_RELOAD_WAIT_S 5    /* until a configuration that could not be taken is tried again */
#define MIRRORS_COLLECT_SLACK_S 2  /* between the clocks of a sync and of the files that it makes */
#define MIRRORS_AGENT_WAIT_MAX_S 60
#define MIRRORS_DAMAGE_WAIT_S 3600 /* until the same release is fetched again once more */

/* The sync that is under way. */
typedef struct {
    guint64 id;           /* of the job; 0: none is under way */
    MirrorSource *source; /* a reference */
    gint64 start_us;      /* monotonic */
    gint64 start_wall_us; /* the same instant by the wall clock */
    guint seconds;
    ScheduleWish wish;
    gboolean wished;
    guint epoch;        /* of the source's record at the start */
    gboolean has_alarm; /* it has raised one that stands */
    guint installed, refused;
    guint64 results; /* accepted or refused */
    SyncProgress progress;
} MirrorTurn;

/* An ended sync that waits until what it brought is served. */
typedef struct {
    char *source, *error;
    MirrorEventEnd end;
    guint64 change; /* the number of the latest change when it ended */
} MirrorEnding;

/* What others may know of a source's schedule; guarded by the lock. */
typedef struct {
    char *name;
    ScheduleView schedule;
    gint64 due_s;     /* Unix time */
    char *detail;     /* one line; "" */
    gboolean syncing; /* `progress` is set */
    SyncProgress progress;
} SourceView;

typedef struct {
    guint64 release_bytes; /* of all releases, kept as they come and go */
    gboolean is_known;     /* they were counted */
    gboolean is_full;
    char *reason; /* when full; else NULL */
} StoreState;

struct Mirrors {
    char *store_dir, *program;
    Publisher *publisher; /* NULL: no broker runs */
    GThread *thread;      /* NULL before mirrors_start */

    /* The working thread's */
    Config *config;
    MirrorDb *db;
    ReleaseStore *store;
    AgentLink *link; /* NULL: no agent runs */
    gint64 agent_after_us;
    guint agent_wait_s; /* before the next start; grows with each crash */
    guint agent_starts;
    Schedule *schedule;
    MirrorTurn turn;
    guint64 jobs;        /* so far */
    GPtrArray *results;  /* of SyncResult *: of the turn, not yet in mirror.db */
    GPtrArray *changes;  /* of MirroredPack *: not yet given to the publisher */
    guint64 change;      /* number of the latest change */
    guint64 given;       /* number of the latest one that the publisher was given … */
    guint64 served;      /* … and of the latest one that it is done with */
    gboolean publishing; /* the publisher has a job of ours */
    GQueue endings;      /* of MirrorEnding * */
    Config *late_config; /* could not be taken into use yet, because mirror.db cannot be written; or NULL */
    guint64 late_number;
    gint64 late_after_us;  /* when it is tried again */
    guint64 reload;        /* number of the latest reload that was taken into use … */
    guint64 reload_change; /* … and of the latest change then */
    GHashTable *damaged;   /* hex digests that were fetched again → gint64 *: when */
    gint64 collect_after_us;
    gboolean garbage; /* something was installed, or sources changed, since the last collection */
    gboolean stopping;
    gboolean only_wishes; /* nothing is done but what is wished for */

    Mailbox *mailbox;
    MirrorEvents *events; /* has its own lock */

    GMutex lock;
    gboolean closed; /* nobody answers any more */
    GCond reloaded;
    guint64 reloads_sent, reloads_served; /* what the latter takes away is no longer served */
    Config *shown_config;                 /* the same as `config` */
    GPtrArray *views;                     /* of SourceView * */
    StoreState space;
    gint64 agent_pid; /* 0: none runs */
    guint wishes_sent, wishes_open;
    MirrorsCounters counters;

    GMutex reader_lock;
    MirrorDb *reader; /* read-only; guarded by reader_lock */
};

/* --- mirrors_work.c --- */

/* Waits at most until something is due, handles everything that is there. */
void mirrors_step(Mirrors *mirrors);
/* Takes a configuration into use (a reference is taken). FALSE with the errors of mirror.db. */
gboolean mirrors_use_config(Mirrors *mirrors, Config *config, gboolean at_start, GError **error);
/* Takes a reload into use, or tries it again later. */
void mirrors_take_reload(Mirrors *mirrors, Config *config, guint64 number);
/* Brings what others see up to date. */
void mirrors_show(Mirrors *mirrors);
/* Ends the turn without success, for reasons that are the agent's; kills the agent. */
void mirrors_abort(Mirrors *mirrors, ScheduleEnd how, KontorErrorCode code, const char *reason);
MirrorSource *mirrors_find_source(const Config *config, const char *name); /* borrowed */

/* --- mirrors_check.c --- */

/* Holds what the agent has reported against what is so, and makes refusals of what must not be accepted.
 * MALFORMED when it has said what no agent in its senses says; the errors of mirror.db, of the trust list and
 * of the store. */
gboolean mirrors_check(Mirrors *mirrors, GError **error);

/* --- mirrors_publish.c --- */

/* Applies what the agent has reported. FALSE when mirror.db cannot be written. */
gboolean mirrors_apply(Mirrors *mirrors, GError **error);
/* Takes changes (of MirroredPack *; taken over) and gives the publisher what it has not got yet. */
void mirrors_publish(Mirrors *mirrors, GPtrArray *changes);
/* Tells who waits for a reload when what it takes away is no longer served. */
void mirrors_tell_reloaded(Mirrors *mirrors);
/* Tells of the end of a sync once everything it brought is served. */
void mirrors_tell_end(Mirrors *mirrors, const char *source, const MirrorEventEnd *end, gboolean wished);
/* A release is damaged: away with it; the sources that had it are asked again. */
void mirrors_drop_damaged(Mirrors *mirrors, const char *path, const guint8 *digest, const char *reason);
void mirror_ending_free(MirrorEnding *ending);

/* --- mirrors_space.c --- */

/* TRUE when there is room for more; otherwise the reason is in mirrors->space. */
gboolean mirrors_has_room(Mirrors *mirrors);
/* Counts a release that has just come. */
void mirrors_count_release(Mirrors *mirrors, const guint8 *digest);
/* Collects garbage, when there can be some and nothing else is going on. */
void mirrors_collect_sometimes(Mirrors *mirrors, gint64 now_us);
typedef struct {
    StoreCollection releases;
    SourceFiles files;
} MirrorsCollection;
gboolean mirrors_collect_now(Mirrors *mirrors, gboolean dry_run, MirrorsCollection *ret, GError **error);

/* --- mirrors.c --- */

typedef void (*MirrorsCall)(Mirrors *mirrors, gpointer data);
/* Has `func` called on the working thread and waits for it. FALSE with CANCELLED when that has stopped. */
gboolean mirrors_call(Mirrors *mirrors, MirrorsCall func, gpointer data, GError **error);
/* Logs, when a broker runs. */
void mirrors_log(const Mirrors *mirrors, gboolean is_warning, const char *event, const char *source,
                 const char *reason);
