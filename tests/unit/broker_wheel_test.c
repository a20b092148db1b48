/* SPDX-License-Identifier: MIT
 *
 * The wheel against a slow list: entries expire after their deadline, within a second of it, and never
 * before.
 */
#include "broker/net/wheel.h"

enum { ENTRIES = 200, STEPS = 20000 };

typedef struct {
    WheelEntry entry;
    gboolean armed;
} Item;

static void check_expired(Item *items, gint64 now_us)
{
    for (guint i = 0; i < ENTRIES; i++)
        g_assert_false(items[i].armed && items[i].entry.deadline_us + 2 * G_USEC_PER_SEC <= now_us);
}

static void test_random(void)
{
    g_autoptr(GRand) rng = g_rand_new_with_seed(7);
    g_autofree Item *items = g_new0(Item, ENTRIES);
    gint64 now_us = 5 * G_USEC_PER_SEC + 123;
    Wheel wheel;
    wheel_init(&wheel, now_us);
    for (guint step = 0; step < STEPS; step++) {
        Item *item = &items[g_rand_int_range(rng, 0, ENTRIES)];
        if (g_rand_int_range(rng, 0, 10) == 0) {
            wheel_cancel(&item->entry);
            item->armed = FALSE;
        } else {
            wheel_set(&wheel, &item->entry, now_us + g_rand_int_range(rng, 0, 200 * G_USEC_PER_SEC));
            item->armed = TRUE;
        }
        now_us += g_rand_int_range(rng, 0, G_USEC_PER_SEC / 4);
        for (WheelEntry *entry; (entry = wheel_expire(&wheel, now_us)) != NULL;) {
            Item *expired = (Item *)entry;
            g_assert_true(expired->armed);
            g_assert_cmpint(entry->deadline_us, <=, now_us);
            expired->armed = FALSE;
        }
        check_expired(items, now_us);
    }
}

/* A deadline that keeps moving later does not expire and does not move in the ring each time. */
static void test_lazy(void)
{
    Wheel wheel;
    gint64 now_us = 0;
    wheel_init(&wheel, now_us);
    WheelEntry entry = {0};
    wheel_set(&wheel, &entry, 10 * G_USEC_PER_SEC);
    gint64 slot = entry.slot_second;
    wheel_set(&wheel, &entry, 20 * G_USEC_PER_SEC);
    g_assert_cmpint(entry.slot_second, ==, slot);
    g_assert_null(wheel_expire(&wheel, 15 * G_USEC_PER_SEC));
    g_assert_nonnull(entry.link);
    g_assert_true(wheel_expire(&wheel, 22 * G_USEC_PER_SEC) == &entry);
    wheel_set(&wheel, &entry, 100 * G_USEC_PER_SEC);
    wheel_set(&wheel, &entry, 30 * G_USEC_PER_SEC);
    g_assert_true(wheel_expire(&wheel, 32 * G_USEC_PER_SEC) == &entry);
}

/* A process that stood still for minutes wakes up with a clock far ahead of the ring. */
static void test_after_a_long_stop(void)
{
    Wheel wheel;
    wheel_init(&wheel, 0);
    WheelEntry old = {0}, fresh = {0};
    wheel_set(&wheel, &old, 20 * G_USEC_PER_SEC);
    gint64 now_us = (gint64)3000 * G_USEC_PER_SEC;
    wheel_set(&wheel, &fresh, now_us + 15 * G_USEC_PER_SEC);
    g_assert_true(wheel_expire(&wheel, now_us) == &old);
    g_assert_null(wheel_expire(&wheel, now_us));
    g_assert_null(wheel_expire(&wheel, now_us + 14 * G_USEC_PER_SEC));
    g_assert_true(wheel_expire(&wheel, now_us + 17 * G_USEC_PER_SEC) == &fresh);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wheel/random", test_random);
    g_test_add_func("/wheel/lazy", test_lazy);
    g_test_add_func("/wheel/long-stop", test_after_a_long_stop);
    return g_test_run();
}
