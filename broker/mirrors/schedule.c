/* SPDX-License-Identifier: MIT */
#include "broker/mirrors/schedule.h"

#include <string.h>

#include "schema/limits.h"

#define JITTER 0.1
#define SECOND G_TIME_SPAN_SECOND

typedef struct {
    char *name;
    guint interval_s, time_max_s;
    gboolean paused;
    gint64 due_us;
    guint failures; /* in a row */
    guint turn_s;   /* what it gets when others are there; 0: the usual turn */
    gboolean cut;
    gboolean wished, by_name;
    gint64 wished_us;
    ScheduleWish wish;
    gboolean running;
    gint64 start_us;
    guint seconds; /* of the turn that runs */
} Entry;

struct Schedule {
    GRand *random;
    GPtrArray *entries; /* of Entry *, in the order of the configuration */
    guint64 wishes;     /* so far, to keep them in order */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;
    g_free(entry->name);
    g_free(entry);
}

Schedule *schedule_new(guint32 seed)
{
    Schedule *schedule = g_new0(Schedule, 1);
    schedule->random = g_rand_new_with_seed(seed);
    schedule->entries = g_ptr_array_new_with_free_func(entry_free);
    return schedule;
}

void schedule_free(Schedule *schedule)
{
    if (schedule == NULL)
        return;
    g_rand_free(schedule->random);
    g_ptr_array_unref(schedule->entries);
    g_free(schedule);
}

static Entry *find(const Schedule *schedule, const char *name)
{
    for (guint i = 0; i < schedule->entries->len; i++) {
        Entry *entry = g_ptr_array_index(schedule->entries, i);
        if (strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

/* --- Waiting --- */

static gint64 with_jitter(Schedule *schedule, gint64 us)
{
    return us + (gint64)((double)us * g_rand_double_range(schedule->random, -JITTER, JITTER));
}

static gboolean is_failing(const Entry *entry)
{
    return entry->failures >= LIMIT_SOURCE_FAILURES;
}

/* From the start of one sync to the start of the next. */
static gint64 cycle_us(Schedule *schedule, const Entry *entry)
{
    guint64 seconds = entry->interval_s;
    if (is_failing(entry))
        seconds = MAX(seconds, LIMIT_SOURCE_BACKOFF_SECONDS);
    else if (entry->failures > 1)
        seconds = MAX(seconds, MIN(seconds << (entry->failures - 1), SCHEDULE_BACKOFF_SECONDS));
    return with_jitter(schedule, (gint64)seconds * SECOND);
}

/* --- Sources --- */

static Entry *entry_new(const char *name, gint64 now_us)
{
    Entry *entry = g_new0(Entry, 1);
    entry->name = g_strdup(name);
    entry->due_us = now_us;
    return entry;
}

static void entry_configure(Entry *entry, const ScheduleSource *source, gint64 now_us)
{
    gboolean resumed = entry->paused && !source->paused;
    gint64 interval_us = source->interval_s * SECOND;
    entry->paused = source->paused;
    if (resumed)
        entry->due_us = MIN(entry->due_us, now_us);
    /* A shorter interval counts at once. */
    if (source->interval_s < entry->interval_s && entry->failures == 0)
        entry->due_us = MIN(entry->due_us, now_us + interval_us);
    entry->interval_s = source->interval_s;
    entry->time_max_s = source->time_max_s;
}

void schedule_set_sources(Schedule *schedule, const ScheduleSource *sources, guint count, gint64 now_us)
{
    g_autoptr(GPtrArray) before = g_steal_pointer(&schedule->entries);
    schedule->entries = g_ptr_array_new_with_free_func(entry_free);
    for (guint i = 0; i < count; i++) {
        Entry *entry = NULL;
        for (guint k = 0; k < before->len && entry == NULL; k++) {
            Entry *old = g_ptr_array_index(before, k);
            if (strcmp(old->name, sources[i].name) == 0)
                entry = g_ptr_array_steal_index_fast(before, k);
        }
        if (entry == NULL)
            entry = entry_new(sources[i].name, now_us);
        entry_configure(entry, &sources[i], now_us);
        g_ptr_array_add(schedule->entries, entry);
    }
}

void schedule_restore(Schedule *schedule, const char *name, gint64 ago_us, guint failures, gint64 now_us)
{
    Entry *entry = find(schedule, name);
    if (entry == NULL)
        return;
    entry->failures = failures;
    entry->due_us = MAX(now_us, now_us - MAX(ago_us, 0) + cycle_us(schedule, entry));
}

/* --- Wishes --- */

static void wish_entry(Schedule *schedule, Entry *entry, const ScheduleWish *wish, gboolean by_name)
{
    if (!entry->wished)
        entry->wished_us = (gint64)++schedule->wishes;
    entry->wished = TRUE;
    entry->by_name |= by_name;
    entry->wish.prune |= wish->prune;
    entry->wish.full |= wish->full;
    entry->wish.reset |= wish->reset;
}

gboolean schedule_wish(Schedule *schedule, const char *name, const ScheduleWish *wish,
                       gint64 now_us G_GNUC_UNUSED)
{
    if (name != NULL) {
        Entry *entry = find(schedule, name);
        if (entry != NULL)
            wish_entry(schedule, entry, wish, TRUE);
        return entry != NULL;
    }
    for (guint i = 0; i < schedule->entries->len; i++) {
        Entry *entry = g_ptr_array_index(schedule->entries, i);
        if (!entry->paused)
            wish_entry(schedule, entry, wish, FALSE);
    }
    return TRUE;
}

void schedule_soon(Schedule *schedule, const char *name, gint64 now_us)
{
    Entry *entry = find(schedule, name);
    if (entry != NULL)
        entry->due_us = MIN(entry->due_us, now_us);
}

guint schedule_wishes(const Schedule *schedule)
{
    guint count = 0;
    for (guint i = 0; i < schedule->entries->len; i++)
        count += ((Entry *)g_ptr_array_index(schedule->entries, i))->wished ? 1 : 0;
    return count;
}

/* --- Turns --- */

/* TRUE when `a` comes before `b`; both may be taken now. */
static gboolean comes_before(const Entry *a, const Entry *b)
{
    if (a->wished != b->wished)
        return a->wished;
    return a->wished ? a->wished_us < b->wished_us : a->due_us < b->due_us;
}

static gboolean may_be_taken(const Entry *entry, gint64 now_us)
{
    return entry->wished || (!entry->paused && entry->due_us <= now_us);
}

/* What the other sources that are not paused want: FALSE when there is none. */
static gboolean look_at_others(const Schedule *schedule, const Entry *me, guint *ret_shortest_s,
                               gint64 *ret_due_us)
{
    *ret_shortest_s = G_MAXUINT;
    *ret_due_us = G_MAXINT64;
    for (guint i = 0; i < schedule->entries->len; i++) {
        const Entry *other = g_ptr_array_index(schedule->entries, i);
        if (other == me || other->paused)
            continue;
        *ret_shortest_s = MIN(*ret_shortest_s, other->interval_s);
        *ret_due_us = MIN(*ret_due_us, other->due_us);
    }
    return *ret_shortest_s != G_MAXUINT;
}

static guint turn_seconds(const Schedule *schedule, const Entry *entry, gint64 now_us)
{
    guint shortest_s = 0;
    gint64 others_due_us = 0;
    if (!look_at_others(schedule, entry, &shortest_s, &others_due_us) || (entry->wished && entry->by_name))
        return entry->time_max_s;
    guint usual = MAX(SCHEDULE_TURN_SECONDS, shortest_s / 4);
    gint64 gap_s = MAX(others_due_us - now_us, 0) / SECOND;
    guint seconds = MAX(usual, entry->turn_s);
    return (guint)MIN(MAX((gint64)seconds, gap_s), (gint64)entry->time_max_s);
}

static void begin(const Schedule *schedule, Entry *entry, gint64 now_us, ScheduleTurn *ret)
{
    entry->seconds = turn_seconds(schedule, entry, now_us);
    entry->running = TRUE;
    entry->start_us = now_us;
    *ret = (ScheduleTurn){entry->name, entry->seconds, entry->wish, entry->wished};
    entry->wished = entry->by_name = FALSE;
    entry->wish = (ScheduleWish){0};
}

gboolean schedule_next(Schedule *schedule, gint64 now_us, ScheduleTurn *ret, gint64 *ret_wait_us)
{
    Entry *first = NULL;
    *ret_wait_us = G_MAXINT64;
    for (guint i = 0; i < schedule->entries->len; i++) {
        Entry *entry = g_ptr_array_index(schedule->entries, i);
        if (entry->running) {
            *ret_wait_us = G_MAXINT64;
            return FALSE;
        }
        if (may_be_taken(entry, now_us) && (first == NULL || comes_before(entry, first)))
            first = entry;
        else if (!entry->paused)
            *ret_wait_us = MIN(*ret_wait_us, MAX(entry->due_us - now_us, 0));
    }
    if (first != NULL)
        begin(schedule, first, now_us, ret);
    return first != NULL;
}

static void set_due_after_cut(Schedule *schedule, Entry *entry, gint64 now_us)
{
    guint shortest_s = 0;
    gint64 others_due_us = 0;
    gint64 took_us = now_us - entry->start_us;
    gboolean alone = !look_at_others(schedule, entry, &shortest_s, &others_due_us);
    entry->cut = TRUE;
    entry->due_us = alone ? now_us : now_us + SCHEDULE_CUT_WAIT * took_us;
}

void schedule_ended(Schedule *schedule, const char *name, ScheduleEnd end, gint64 now_us)
{
    Entry *entry = find(schedule, name);
    if (entry == NULL || !entry->running)
        return;
    entry->running = FALSE;
    if (end == SCHEDULE_CANCELLED) {
        entry->due_us = now_us;
        return;
    }
    if (end == SCHEDULE_OUT_OF_TIME && entry->seconds >= entry->time_max_s)
        end = SCHEDULE_FAILED;
    entry->cut = FALSE;
    if (end == SCHEDULE_OUT_OF_TIME) {
        entry->turn_s = MIN(2 * entry->seconds, entry->time_max_s);
        set_due_after_cut(schedule, entry, now_us);
        return;
    }
    entry->failures = end == SCHEDULE_FAILED ? entry->failures + 1 : 0;
    if (end == SCHEDULE_PARTIAL) {
        set_due_after_cut(schedule, entry, now_us);
        return;
    }
    if (end == SCHEDULE_GOOD)
        entry->turn_s = 0;
    entry->due_us = MAX(now_us, entry->start_us + cycle_us(schedule, entry));
}

void schedule_postpone(Schedule *schedule, const char *name, gint64 wait_us, gint64 now_us)
{
    Entry *entry = find(schedule, name);
    if (entry == NULL)
        return;
    entry->running = FALSE;
    entry->due_us = now_us + wait_us;
}

/* --- Queries --- */

gboolean schedule_view(const Schedule *schedule, const char *name, ScheduleView *ret)
{
    const Entry *entry = find(schedule, name);
    if (entry == NULL)
        return FALSE;
    *ret = (ScheduleView){entry->due_us,  entry->failures, is_failing(entry),
                          entry->running, entry->wished,   entry->cut};
    return TRUE;
}
