/* SPDX-License-Identifier: MIT
 *
 * The lock guards the table and the reference counts, which move once per connection. The counters of a
 * record are atomic.
 */
#include "broker/net/ip_quota.h"

#include "broker/net/address_key.h"

#include <pthread.h>
#include <string.h>

struct IpQuota {
    guint8 key[ADDRESS_KEY_BYTES];
    IpQuotaTable *table;
    guint refs;                 /* guarded by the table's lock */
    guint held[IP_QUOTA_KINDS]; /* atomic */
};

struct IpQuotaTable {
    pthread_mutex_t lock;
    GHashTable *records;       /* key → IpQuota */
    guint max[IP_QUOTA_KINDS]; /* atomic; 0 = unlimited */
};

IpQuotaTable *ip_quota_table_new(const guint max[IP_QUOTA_KINDS])
{
    IpQuotaTable *table = g_new0(IpQuotaTable, 1);
    pthread_mutex_init(&table->lock, NULL);
    table->records = g_hash_table_new(address_key_hash, address_key_equal);
    ip_quota_table_set_max(table, max);
    return table;
}

void ip_quota_table_free(IpQuotaTable *table)
{
    if (table == NULL)
        return;
    g_assert(g_hash_table_size(table->records) == 0);
    g_hash_table_destroy(table->records);
    pthread_mutex_destroy(&table->lock);
    g_free(table);
}

void ip_quota_table_set_max(IpQuotaTable *table, const guint max[IP_QUOTA_KINDS])
{
    for (guint kind = 0; kind < IP_QUOTA_KINDS; kind++)
        __atomic_store_n(&table->max[kind], max[kind], __ATOMIC_RELAXED);
}

IpQuota *ip_quota_acquire(IpQuotaTable *table, const guint8 address[16])
{
    guint8 key[ADDRESS_KEY_BYTES];
    address_key(address, key);
    pthread_mutex_lock(&table->lock);
    IpQuota *quota = g_hash_table_lookup(table->records, key);
    if (quota == NULL) {
        quota = g_new0(IpQuota, 1);
        memcpy(quota->key, key, sizeof key);
        quota->table = table;
        g_hash_table_insert(table->records, quota->key, quota);
    }
    quota->refs++;
    pthread_mutex_unlock(&table->lock);
    return quota;
}

void ip_quota_release(IpQuota *quota)
{
    IpQuotaTable *table = quota->table;
    pthread_mutex_lock(&table->lock);
    gboolean last = --quota->refs == 0;
    if (last)
        g_hash_table_remove(table->records, quota->key);
    pthread_mutex_unlock(&table->lock);
    if (!last)
        return;
    for (guint kind = 0; kind < IP_QUOTA_KINDS; kind++)
        g_assert(__atomic_load_n(&quota->held[kind], __ATOMIC_RELAXED) == 0);
    g_free(quota);
}

gboolean ip_quota_take(IpQuota *quota, IpQuotaKind kind)
{
    guint max = __atomic_load_n(&quota->table->max[kind], __ATOMIC_RELAXED);
    guint held = __atomic_load_n(&quota->held[kind], __ATOMIC_RELAXED);
    do {
        if (max != 0 && held >= max)
            return FALSE;
    } while (!__atomic_compare_exchange_n(&quota->held[kind], &held, held + 1, /* weak= */ TRUE,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return TRUE;
}

void ip_quota_refund(IpQuota *quota, IpQuotaKind kind)
{
    guint before = __atomic_fetch_sub(&quota->held[kind], 1, __ATOMIC_RELAXED);
    g_assert(before > 0);
}
