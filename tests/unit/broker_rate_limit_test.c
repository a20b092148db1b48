/* SPDX-License-Identifier: MIT */
#include "broker/serve/rate_limit.h"

#include <string.h>

enum { SECOND = G_USEC_PER_SEC, MODEL_STEPS = 20000, MODEL_ADDRESSES = 5 };

static void make_address(guint number, guint8 ret[16])
{
    memset(ret, 0, 16);
    ret[10] = ret[11] = 0xff;
    ret[12] = 10;
    ret[13] = (guint8)(number >> 16);
    ret[14] = (guint8)(number >> 8);
    ret[15] = (guint8)number;
}

static gboolean admit(RateLimit *limit, guint number, gint64 now_us)
{
    guint8 address[16];
    guint retry_after_s = 0;
    make_address(number, address);
    gboolean admitted = rate_limit_admit(limit, address, now_us, &retry_after_s);
    g_assert_true(admitted || retry_after_s >= 1);
    return admitted;
}

static guint retry_after(RateLimit *limit, guint number, gint64 now_us)
{
    guint8 address[16];
    guint retry_after_s = 0;
    make_address(number, address);
    g_assert_false(rate_limit_admit(limit, address, now_us, &retry_after_s));
    return retry_after_s;
}

static void test_window_slides(void)
{
    RateLimit *limit = rate_limit_new(2, 60, 100);
    const gint64 start = 5 * SECOND;
    g_assert_true(admit(limit, 1, start));
    g_assert_true(admit(limit, 1, start + 30 * SECOND));
    g_assert_cmpuint(retry_after(limit, 1, start + 30 * SECOND), ==, 30);
    g_assert_cmpuint(retry_after(limit, 1, start + 60 * SECOND - 1), ==, 1);
    g_assert_true(admit(limit, 2, start + 30 * SECOND));
    /* The first call leaves the window; refused ones were never in it. */
    g_assert_true(admit(limit, 1, start + 60 * SECOND));
    g_assert_cmpuint(retry_after(limit, 1, start + 60 * SECOND), ==, 30);
    rate_limit_free(limit);
}

static void test_change_of_limit(void)
{
    RateLimit *limit = rate_limit_new(0, 60, 100);
    for (guint i = 0; i < 1000; i++)
        g_assert_true(admit(limit, 1, SECOND));
    rate_limit_set(limit, 3);
    for (guint i = 1; i <= 3; i++)
        g_assert_true(admit(limit, 1, i * SECOND));
    rate_limit_set(limit, 1);
    /* Until only the latest call would be left. */
    g_assert_cmpuint(retry_after(limit, 1, 3 * SECOND), ==, 60);
    g_assert_true(admit(limit, 1, 63 * SECOND));
    rate_limit_free(limit);
}

static void test_ipv6_by_network(void)
{
    RateLimit *limit = rate_limit_new(1, 60, 100);
    guint8 a[16] = {0x20, 0x01, [15] = 1}, b[16] = {0x20, 0x01, [8] = 7}, c[16] = {0x20, 0x01, [7] = 7};
    guint retry_after_s;
    g_assert_true(rate_limit_admit(limit, a, SECOND, &retry_after_s));
    g_assert_false(rate_limit_admit(limit, b, SECOND, &retry_after_s));
    g_assert_true(rate_limit_admit(limit, c, SECOND, &retry_after_s));
    rate_limit_free(limit);
}

static void test_full_table(void)
{
    RateLimit *limit = rate_limit_new(1, 60, 10);
    for (guint i = 0; i < 10; i++)
        g_assert_true(admit(limit, i, SECOND));
    /* All ten are active: others are let through, the ten are still held to the limit. */
    g_assert_true(admit(limit, 100, 2 * SECOND));
    g_assert_true(admit(limit, 100, 2 * SECOND));
    g_assert_false(admit(limit, 3, 2 * SECOND));
    /* A minute later there is room again, in whichever stripe the new address falls. */
    for (guint i = 200; i < 210; i++) {
        g_assert_true(admit(limit, i, 62 * SECOND));
        g_assert_false(admit(limit, i, 62 * SECOND));
    }
    rate_limit_free(limit);
}

/* The same decisions as a list of all admitted calls. */
static void test_against_model(void)
{
    const guint per_window = 7;
    RateLimit *limit = rate_limit_new(per_window, 10, 100);
    GArray *calls[MODEL_ADDRESSES];
    gint64 now_us = SECOND;
    for (guint i = 0; i < MODEL_ADDRESSES; i++)
        calls[i] = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (guint step = 0; step < MODEL_STEPS; step++) {
        guint who = (guint)g_test_rand_int_range(0, MODEL_ADDRESSES);
        now_us += g_test_rand_int_range(0, SECOND / 2);
        guint inside = 0;
        for (guint i = 0; i < calls[who]->len; i++)
            inside += g_array_index(calls[who], gint64, i) > now_us - 10 * SECOND;
        gboolean expected = inside < per_window;
        g_assert_cmpint(admit(limit, who, now_us), ==, expected);
        if (expected)
            g_array_append_val(calls[who], now_us);
    }
    for (guint i = 0; i < MODEL_ADDRESSES; i++)
        g_array_unref(calls[i]);
    rate_limit_free(limit);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate-limit/window", test_window_slides);
    g_test_add_func("/rate-limit/change", test_change_of_limit);
    g_test_add_func("/rate-limit/ipv6", test_ipv6_by_network);
    g_test_add_func("/rate-limit/full-table", test_full_table);
    g_test_add_func("/rate-limit/model", test_against_model);
    return g_test_run();
}
