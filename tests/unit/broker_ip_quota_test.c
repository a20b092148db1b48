/* SPDX-License-Identifier: MIT */
#include "broker/net/ip_quota.h"

#include <string.h>

enum { THREADS = 4, ROUNDS = 20000, SHARED_MAX = 3 };

static const guint8 ipv4_a[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
static const guint8 ipv4_b[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 2};
static const guint8 ipv6_a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const guint8 ipv6_same_net[16] = {0x20, 0x01, 0x0d, 0xb8, [8] = 0xff, [15] = 2};
static const guint8 ipv6_other_net[16] = {0x20, 0x01, 0x0d, 0xb8, [7] = 1, [15] = 1};

static void test_limits(void)
{
    const guint max[IP_QUOTA_KINDS] = {[IP_QUOTA_CONNECTIONS] = 2, [IP_QUOTA_PENDING] = 0};
    IpQuotaTable *table = ip_quota_table_new(max);
    IpQuota *quota = ip_quota_acquire(table, ipv4_a);
    g_assert_true(ip_quota_take(quota, IP_QUOTA_CONNECTIONS));
    g_assert_true(ip_quota_take(quota, IP_QUOTA_CONNECTIONS));
    g_assert_false(ip_quota_take(quota, IP_QUOTA_CONNECTIONS));
    for (guint i = 0; i < 1000; i++)
        g_assert_true(ip_quota_take(quota, IP_QUOTA_PENDING)); /* unlimited */
    ip_quota_refund(quota, IP_QUOTA_CONNECTIONS);
    g_assert_true(ip_quota_take(quota, IP_QUOTA_CONNECTIONS));
    const guint lower[IP_QUOTA_KINDS] = {1, 1};
    ip_quota_table_set_max(table, lower);
    ip_quota_refund(quota, IP_QUOTA_CONNECTIONS);
    g_assert_false(ip_quota_take(quota, IP_QUOTA_CONNECTIONS));
    ip_quota_refund(quota, IP_QUOTA_CONNECTIONS);
    for (guint i = 0; i < 1000; i++)
        ip_quota_refund(quota, IP_QUOTA_PENDING);
    ip_quota_release(quota);
    ip_quota_table_free(table);
}

static void test_addresses(void)
{
    const guint max[IP_QUOTA_KINDS] = {1, 1};
    IpQuotaTable *table = ip_quota_table_new(max);
    IpQuota *a = ip_quota_acquire(table, ipv4_a), *again = ip_quota_acquire(table, ipv4_a);
    IpQuota *b = ip_quota_acquire(table, ipv4_b), *net = ip_quota_acquire(table, ipv6_a);
    IpQuota *same = ip_quota_acquire(table, ipv6_same_net), *other = ip_quota_acquire(table, ipv6_other_net);
    g_assert_true(a == again);
    g_assert_true(a != b);
    g_assert_true(net == same);
    g_assert_true(net != other);
    g_assert_true(ip_quota_take(a, IP_QUOTA_CONNECTIONS));
    ip_quota_release(a);
    g_assert_false(ip_quota_take(again, IP_QUOTA_CONNECTIONS));
    ip_quota_refund(again, IP_QUOTA_CONNECTIONS);
    IpQuota *const rest[] = {again, b, net, same, other};
    for (guint i = 0; i < G_N_ELEMENTS(rest); i++)
        ip_quota_release(rest[i]);
    ip_quota_table_free(table); /* asserts that nothing is left */
}

typedef struct {
    IpQuotaTable *table;
    gint *held; /* atomic: units that the threads believe to hold */
} Shared;

static gpointer take_and_refund(gpointer data)
{
    const Shared *shared = data;
    guint taken = 0;
    for (guint i = 0; i < ROUNDS; i++) {
        IpQuota *quota = ip_quota_acquire(shared->table, ipv4_a);
        if (ip_quota_take(quota, IP_QUOTA_PENDING)) {
            taken++;
            g_assert_cmpint(g_atomic_int_add(shared->held, 1), <, SHARED_MAX);
            g_atomic_int_add(shared->held, -1);
            ip_quota_refund(quota, IP_QUOTA_PENDING);
        }
        ip_quota_release(quota);
    }
    return GUINT_TO_POINTER(taken);
}

static void test_threads(void)
{
    const guint max[IP_QUOTA_KINDS] = {SHARED_MAX, SHARED_MAX};
    gint held = 0;
    Shared shared = {ip_quota_table_new(max), &held};
    GThread *threads[THREADS];
    guint taken = 0;
    for (guint i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("taker", take_and_refund, &shared);
    for (guint i = 0; i < THREADS; i++)
        taken += GPOINTER_TO_UINT(g_thread_join(threads[i]));
    g_assert_cmpuint(taken, >=, ROUNDS);
    ip_quota_table_free(shared.table);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ip-quota/limits", test_limits);
    g_test_add_func("/ip-quota/addresses", test_addresses);
    g_test_add_func("/ip-quota/threads", test_threads);
    return g_test_run();
}
