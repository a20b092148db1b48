/* SPDX-License-Identifier: MIT
 *
 * The schedule of syncs in simulated time: when sources are due, what failing, hanging and being large does
 * to them, and above all what it does to the others.
 */
#include "broker/mirrors/schedule.h"
#include "schema/limits.h"

#include <string.h>

#define SECOND G_TIME_SPAN_SECOND
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define BEGIN (1000 * HOUR)

static const ScheduleWish plain = {0};

static Schedule *schedule_of(const ScheduleSource *sources, guint count)
{
    Schedule *schedule = schedule_new(7);
    schedule_set_sources(schedule, sources, count, BEGIN);
    return schedule;
}

static void take(Schedule *schedule, gint64 now, const char *name, ScheduleTurn *ret)
{
    gint64 wait = 0;
    g_assert_true(schedule_next(schedule, now, ret, &wait));
    g_assert_cmpstr(ret->name, ==, name);
}

/* Nobody is due before `wait` from now on. */
static gint64 assert_idle(Schedule *schedule, gint64 now)
{
    ScheduleTurn turn;
    gint64 wait = 0;
    g_assert_false(schedule_next(schedule, now, &turn, &wait));
    g_assert_cmpint(wait, >, 0);
    return wait;
}

static void assert_about(gint64 value, gint64 expected)
{
    g_assert_cmpint(value, >=, expected - expected / 10 - 1);
    g_assert_cmpint(value, <=, expected + expected / 10 + 1);
}

/* --- Due times --- */

static void test_interval(void)
{
    const ScheduleSource sources[] = {{"a", 60, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 1);
    gint64 now = BEGIN;
    for (guint i = 0; i < 50; i++) {
        ScheduleTurn turn;
        take(schedule, now, "a", &turn);
        g_assert_cmpuint(turn.seconds, ==, 900);
        g_assert_false(turn.wished);
        gint64 start = now;
        assert_idle(schedule, now);
        now += 5 * SECOND;
        schedule_ended(schedule, "a", SCHEDULE_GOOD, now);
        now += assert_idle(schedule, now);
        assert_about(now - start, MINUTE);
    }
}

/* A sync that takes longer than the interval is due again at once, never in the past. */
static void test_longer_than_interval(void)
{
    const ScheduleSource sources[] = {{"a", 10, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 1);
    ScheduleTurn turn;
    ScheduleView view;
    take(schedule, BEGIN, "a", &turn);
    schedule_ended(schedule, "a", SCHEDULE_GOOD, BEGIN + MINUTE);
    g_assert_true(schedule_view(schedule, "a", &view));
    g_assert_cmpint(view.due_us, ==, BEGIN + MINUTE);
}

static void test_jitter_spreads(void)
{
    const ScheduleSource sources[] = {{"a", 1000, 900, FALSE}};
    gint64 least = G_MAXINT64, most = 0;
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(Schedule) schedule = schedule_new(seed);
        ScheduleTurn turn;
        schedule_set_sources(schedule, sources, 1, BEGIN);
        take(schedule, BEGIN, "a", &turn);
        schedule_ended(schedule, "a", SCHEDULE_GOOD, BEGIN);
        gint64 wait = assert_idle(schedule, BEGIN);
        least = MIN(least, wait);
        most = MAX(most, wait);
    }
    g_assert_cmpint(least, >=, 900 * SECOND);
    g_assert_cmpint(least, <, 920 * SECOND);
    g_assert_cmpint(most, <=, 1100 * SECOND);
    g_assert_cmpint(most, >, 1080 * SECOND);
}

/* --- Failures --- */

static void test_failures(void)
{
    const ScheduleSource sources[] = {{"a", 60, 900, FALSE}};
    const gint64 expected[] = {MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 24 * HOUR, 24 * HOUR};
    g_autoptr(Schedule) schedule = schedule_of(sources, 1);
    ScheduleView view;
    ScheduleTurn turn;
    gint64 now = BEGIN;
    G_STATIC_ASSERT(LIMIT_SOURCE_FAILURES == 5);
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        take(schedule, now, "a", &turn);
        schedule_ended(schedule, "a", SCHEDULE_FAILED, now);
        g_assert_true(schedule_view(schedule, "a", &view));
        g_assert_cmpuint(view.failures, ==, i + 1);
        g_assert_cmpint(view.failing, ==, i + 1 >= 5);
        gint64 wait = assert_idle(schedule, now);
        assert_about(wait, expected[i]);
        now += wait;
    }
    take(schedule, now, "a", &turn);
    schedule_ended(schedule, "a", SCHEDULE_GOOD, now);
    g_assert_true(schedule_view(schedule, "a", &view));
    g_assert_true(view.failures == 0 && !view.failing);
    assert_about(assert_idle(schedule, now), MINUTE);
}

/* One hour is the longest wait of a source that is not marked, unless its interval is longer. */
static void test_failures_of_slow_sources(void)
{
    const ScheduleSource sources[] = {{"a", 1800, 900, FALSE}, {"b", 7 * 24 * 3600, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    ScheduleView view;
    ScheduleTurn turn;
    for (guint i = 0; i < 3; i++) {
        for (guint k = 0; k < 2; k++) {
            schedule_wish(schedule, sources[k].name, &plain, BEGIN);
            take(schedule, BEGIN, sources[k].name, &turn);
            schedule_ended(schedule, turn.name, SCHEDULE_FAILED, BEGIN);
        }
    }
    g_assert_true(schedule_view(schedule, "a", &view));
    assert_about(view.due_us - BEGIN, HOUR);
    g_assert_true(schedule_view(schedule, "b", &view));
    assert_about(view.due_us - BEGIN, 7 * 24 * HOUR);
}

/* --- Several --- */

static void test_oldest_first(void)
{
    const ScheduleSource sources[] = {{"a", 60, 5, FALSE}, {"b", 60, 5, FALSE}, {"c", 60, 5, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 3);
    guint turns[3] = {0};
    gint64 now = BEGIN;
    /* Each takes longer than there is time for all: they still get the same. */
    for (guint i = 0; i < 300; i++) {
        ScheduleTurn turn;
        gint64 wait = 0;
        g_assert_true(schedule_next(schedule, now, &turn, &wait));
        turns[turn.name[0] - 'a']++;
        now += 60 * SECOND;
        schedule_ended(schedule, turn.name, SCHEDULE_GOOD, now);
    }
    for (guint i = 0; i < 3; i++)
        g_assert_cmpuint(turns[i], ==, 100);
}

static void test_one_at_a_time(void)
{
    const ScheduleSource sources[] = {{"a", 60, 5, FALSE}, {"b", 60, 5, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    ScheduleTurn turn;
    take(schedule, BEGIN, "a", &turn);
    assert_idle(schedule, BEGIN);
    schedule_wish(schedule, "b", &plain, BEGIN);
    assert_idle(schedule, BEGIN);
    schedule_ended(schedule, "a", SCHEDULE_GOOD, BEGIN);
    take(schedule, BEGIN, "b", &turn);
}

/* The promise: a source that hangs, whatever it does, costs the others a quarter of the time at most in the
 * long run, and one turn at a time: 15 seconds at first. Each of them keeps being synced. */
static void test_hanging_source(void)
{
    const ScheduleSource sources[] = {
        {"good", 60, 900, FALSE}, {"hangs", 60, 900, FALSE}, {"fine", 60, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 3);
    gint64 now = BEGIN, hung = 0, late_max = 0, first_hang = 0;
    guint good = 0;
    while (now < BEGIN + 24 * HOUR) {
        ScheduleTurn turn;
        gint64 wait = 0;
        ScheduleView view;
        if (!schedule_next(schedule, now, &turn, &wait)) {
            now += wait;
            continue;
        }
        g_assert_true(schedule_view(schedule, turn.name, &view));
        if (strcmp(turn.name, "hangs") == 0) {
            gint64 took = turn.seconds * SECOND;
            hung += took;
            if (first_hang == 0)
                first_hang = took;
            now += took;
            schedule_ended(schedule, "hangs", SCHEDULE_OUT_OF_TIME, now);
        } else {
            good += strcmp(turn.name, "good") == 0 ? 1 : 0;
            late_max = MAX(late_max, now - view.due_us);
            now += SECOND;
            schedule_ended(schedule, turn.name, SCHEDULE_GOOD, now);
        }
    }
    g_assert_cmpint(first_hang, ==, 15 * SECOND);
    /* Never later than the longest turn and one short sync of the other. */
    g_assert_cmpint(late_max, <=, 900 * SECOND + SECOND);
    g_assert_cmpint(hung, <=, 6 * HOUR);
    /* Three quarters of what it would be without the other. */
    g_assert_cmpuint(good, >=, 24 * 60 * 3 / 4);
}

/* The same source, which shows no sign of life at all, is marked, and then costs next to nothing. */
static void test_dead_source(void)
{
    const ScheduleSource sources[] = {{"good", 60, 900, FALSE}, {"dead", 60, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    gint64 now = BEGIN, late_max = 0;
    guint dead = 0;
    while (now < BEGIN + 24 * HOUR) {
        ScheduleTurn turn;
        gint64 wait = 0;
        ScheduleView view;
        if (!schedule_next(schedule, now, &turn, &wait)) {
            now += wait;
            continue;
        }
        g_assert_true(schedule_view(schedule, turn.name, &view));
        if (strcmp(turn.name, "dead") == 0) {
            dead++;
            now += turn.seconds * SECOND;
            schedule_ended(schedule, "dead", SCHEDULE_FAILED, now);
        } else {
            late_max = MAX(late_max, now - view.due_us);
            now += SECOND;
            schedule_ended(schedule, turn.name, SCHEDULE_GOOD, now);
        }
    }
    g_assert_cmpuint(dead, >=, 5);
    g_assert_cmpuint(dead, <=, 6);
    /* A turn that begins while nobody waits may last until somebody does, so a minute at most. */
    g_assert_cmpint(late_max, <=, 61 * SECOND);
}

/* --- Turns --- */

static void test_turn_grows(void)
{
    const ScheduleSource sources[] = {{"a", 60, 100, FALSE}, {"b", 60, 900, FALSE}};
    const guint expected[] = {15, 30, 60, 100};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    gint64 now = BEGIN;
    ScheduleView view;
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        ScheduleTurn turn;
        /* b is due, too, so that nothing is free. */
        const ScheduleSource fresh[] = {{"a", 60, 100, FALSE}, {"b", 60, 900, FALSE}};
        schedule_set_sources(schedule, fresh, 1, now);
        schedule_set_sources(schedule, fresh, 2, now);
        schedule_soon(schedule, "a", now - 1);
        take(schedule, now, "a", &turn);
        g_assert_cmpuint(turn.seconds, ==, expected[i]);
        now += turn.seconds * SECOND;
        schedule_ended(schedule, "a", SCHEDULE_OUT_OF_TIME, now);
        g_assert_true(schedule_view(schedule, "a", &view));
        g_assert_cmpuint(view.failures, ==, i == 3 ? 1 : 0);
        g_assert_cmpint(view.cut, ==, i != 3);
        if (i != 3)
            g_assert_cmpint(view.due_us, ==, now + 3 * expected[i] * SECOND);
    }
}

/* Nobody waits for so long: the time can be used. */
static void test_free_time(void)
{
    const ScheduleSource sources[] = {{"a", 60, 900, FALSE}, {"b", 600, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    ScheduleTurn turn;
    take(schedule, BEGIN, "a", &turn);
    g_assert_cmpuint(turn.seconds, ==, 150); /* a quarter of b's interval */
    schedule_ended(schedule, "a", SCHEDULE_GOOD, BEGIN);
    take(schedule, BEGIN, "b", &turn);
    g_assert_cmpuint(turn.seconds, >=, 53); /* until a is due */
    g_assert_cmpuint(turn.seconds, <=, 66);
}

static void test_partial(void)
{
    const ScheduleSource sources[] = {{"a", 3600, 900, FALSE}, {"b", 3600, 900, TRUE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    ScheduleTurn turn;
    ScheduleView view;
    gint64 now = BEGIN;
    /* Alone, because the other one is paused. */
    take(schedule, now, "a", &turn);
    schedule_ended(schedule, "a", SCHEDULE_PARTIAL, now + SECOND);
    take(schedule, now + SECOND, "a", &turn);
    schedule_ended(schedule, "a", SCHEDULE_FAILED, now + 2 * SECOND);
    g_assert_true(schedule_view(schedule, "a", &view));
    g_assert_cmpuint(view.failures, ==, 1);
}

/* --- Wishes --- */

static void test_wishes(void)
{
    const ScheduleSource sources[] = {{"a", 60, 900, FALSE}, {"b", 60, 900, TRUE}, {"c", 60, 900, FALSE}};
    const ScheduleWish prune = {.prune = TRUE}, full = {.full = TRUE};
    g_autoptr(Schedule) schedule = schedule_of(sources, 3);
    ScheduleTurn turn;
    g_assert_false(schedule_wish(schedule, "d", &plain, BEGIN));
    g_assert_true(schedule_wish(schedule, "c", &prune, BEGIN));
    g_assert_true(schedule_wish(schedule, "b", &plain, BEGIN));
    g_assert_true(schedule_wish(schedule, "c", &full, BEGIN));
    g_assert_cmpuint(schedule_wishes(schedule), ==, 2);
    take(schedule, BEGIN, "c", &turn);
    g_assert_true(turn.wished && turn.wish.prune && turn.wish.full && !turn.wish.reset);
    g_assert_cmpuint(turn.seconds, ==, 900);
    /* A wish that comes while it runs is for the next one. */
    schedule_wish(schedule, "c", &plain, BEGIN);
    schedule_ended(schedule, "c", SCHEDULE_GOOD, BEGIN);
    take(schedule, BEGIN, "b", &turn);
    g_assert_true(turn.wished);
    schedule_ended(schedule, "b", SCHEDULE_GOOD, BEGIN);
    take(schedule, BEGIN, "c", &turn);
    g_assert_true(turn.wished && !turn.wish.prune && !turn.wish.full);
    schedule_ended(schedule, "c", SCHEDULE_GOOD, BEGIN);
    g_assert_cmpuint(schedule_wishes(schedule), ==, 0);
    take(schedule, BEGIN, "a", &turn);
    g_assert_false(turn.wished);
}

static void test_wish_for_all(void)
{
    const ScheduleSource sources[] = {{"a", 60, 900, FALSE}, {"b", 60, 900, TRUE}, {"c", 60, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 3);
    ScheduleTurn turn;
    gint64 now = BEGIN;
    for (guint i = 0; i < 2; i++) {
        gint64 wait = 0;
        g_assert_true(schedule_next(schedule, now, &turn, &wait));
        schedule_ended(schedule, turn.name, SCHEDULE_GOOD, now);
    }
    assert_idle(schedule, now);
    g_assert_true(schedule_wish(schedule, NULL, &plain, now));
    g_assert_cmpuint(schedule_wishes(schedule), ==, 2);
    take(schedule, now, "a", &turn);
    /* All are not a reason to let one hang for a quarter of an hour. */
    g_assert_cmpuint(turn.seconds, <, 100);
    schedule_ended(schedule, "a", SCHEDULE_GOOD, now);
    take(schedule, now, "c", &turn);
    schedule_ended(schedule, "c", SCHEDULE_GOOD, now);
    assert_idle(schedule, now);
}

/* A source that is marked is tried at once when somebody asks. */
static void test_wish_for_failing(void)
{
    const ScheduleSource sources[] = {{"a", 60, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 1);
    ScheduleTurn turn;
    schedule_restore(schedule, "a", SECOND, 7, BEGIN);
    assert_about(assert_idle(schedule, BEGIN), 24 * HOUR);
    schedule_wish(schedule, "a", &plain, BEGIN);
    take(schedule, BEGIN, "a", &turn);
}

/* --- Changes --- */

static void test_restore(void)
{
    const ScheduleSource sources[] = {{"a", 600, 900, FALSE}, {"b", 600, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 2);
    ScheduleTurn turn;
    schedule_restore(schedule, "a", 300 * SECOND, 0, BEGIN);
    schedule_restore(schedule, "b", 3000 * SECOND, 0, BEGIN);
    take(schedule, BEGIN, "b", &turn);
    schedule_ended(schedule, "b", SCHEDULE_GOOD, BEGIN);
    gint64 wait = assert_idle(schedule, BEGIN);
    g_assert_cmpint(wait, >=, 240 * SECOND);
    g_assert_cmpint(wait, <=, 360 * SECOND);
}

/* A clock that was set back must not make a source wait for years. */
static void test_restore_from_the_future(void)
{
    const ScheduleSource sources[] = {{"a", 600, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 1);
    schedule_restore(schedule, "a", -1000 * HOUR, 0, BEGIN);
    assert_about(assert_idle(schedule, BEGIN), 600 * SECOND);
}

static void test_sources_change(void)
{
    const ScheduleSource before[] = {{"a", 600, 900, FALSE}, {"b", 600, 900, FALSE}};
    const ScheduleSource after[] = {{"c", 600, 900, FALSE}, {"b", 10, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(before, 2);
    ScheduleTurn turn;
    ScheduleView view;
    take(schedule, BEGIN, "a", &turn);
    schedule_ended(schedule, "a", SCHEDULE_GOOD, BEGIN);
    take(schedule, BEGIN, "b", &turn);
    schedule_set_sources(schedule, after, 2, BEGIN);
    /* b runs on; a is gone, and its end, if it came, would be nobody's. */
    schedule_ended(schedule, "a", SCHEDULE_FAILED, BEGIN);
    g_assert_false(schedule_view(schedule, "a", &view));
    assert_idle(schedule, BEGIN);
    schedule_ended(schedule, "b", SCHEDULE_GOOD, BEGIN);
    g_assert_true(schedule_view(schedule, "b", &view));
    assert_about(view.due_us - BEGIN, 10 * SECOND);
    take(schedule, BEGIN, "c", &turn);
}

static void test_paused(void)
{
    const ScheduleSource paused[] = {{"a", 600, 900, TRUE}};
    const ScheduleSource resumed[] = {{"a", 600, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(paused, 1);
    ScheduleTurn turn;
    g_assert_cmpint(assert_idle(schedule, BEGIN + 1000 * HOUR), ==, G_MAXINT64);
    schedule_set_sources(schedule, resumed, 1, BEGIN);
    take(schedule, BEGIN, "a", &turn);
}

static void test_postponed_and_cancelled(void)
{
    const ScheduleSource sources[] = {{"a", 600, 900, FALSE}};
    g_autoptr(Schedule) schedule = schedule_of(sources, 1);
    ScheduleTurn turn;
    take(schedule, BEGIN, "a", &turn);
    schedule_postpone(schedule, "a", 10 * SECOND, BEGIN);
    g_assert_cmpint(assert_idle(schedule, BEGIN), ==, 10 * SECOND);
    take(schedule, BEGIN + 10 * SECOND, "a", &turn);
    schedule_ended(schedule, "a", SCHEDULE_CANCELLED, BEGIN + 11 * SECOND);
    take(schedule, BEGIN + 11 * SECOND, "a", &turn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schedule/interval", test_interval);
    g_test_add_func("/schedule/longer-than-interval", test_longer_than_interval);
    g_test_add_func("/schedule/jitter", test_jitter_spreads);
    g_test_add_func("/schedule/failures", test_failures);
    g_test_add_func("/schedule/failures-of-slow-sources", test_failures_of_slow_sources);
    g_test_add_func("/schedule/oldest-first", test_oldest_first);
    g_test_add_func("/schedule/one-at-a-time", test_one_at_a_time);
    g_test_add_func("/schedule/hanging-source", test_hanging_source);
    g_test_add_func("/schedule/dead-source", test_dead_source);
    g_test_add_func("/schedule/turn-grows", test_turn_grows);
    g_test_add_func("/schedule/free-time", test_free_time);
    g_test_add_func("/schedule/partial", test_partial);
    g_test_add_func("/schedule/wishes", test_wishes);
    g_test_add_func("/schedule/wish-for-all", test_wish_for_all);
    g_test_add_func("/schedule/wish-for-failing", test_wish_for_failing);
    g_test_add_func("/schedule/restore", test_restore);
    g_test_add_func("/schedule/restore-from-the-future", test_restore_from_the_future);
    g_test_add_func("/schedule/sources-change", test_sources_change);
    g_test_add_func("/schedule/paused", test_paused);
    g_test_add_func("/schedule/postponed-and-cancelled", test_postponed_and_cancelled);
    return g_test_run();
}
