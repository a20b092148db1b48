/* SPDX-License-Identifier: MIT
 *
 * What one address may hold at once: connections and pending queries. A record is made when an address opens
 * its first connection, lives while it holds anything, and is shared by all I/O threads; its counters are
 * atomic, so that taking and refunding on the hot path needs no lock. IPv6 addresses are counted by /64,
 * since one host commands at least that many.
 */
#pragma once

#include <glib.h>

typedef struct IpQuotaTable IpQuotaTable;
typedef struct IpQuota IpQuota;

typedef enum { IP_QUOTA_CONNECTIONS, IP_QUOTA_PENDING, IP_QUOTA_KINDS } IpQuotaKind;

IpQuotaTable *ip_quota_table_new(const guint max[IP_QUOTA_KINDS]); /* 0 = unlimited */
void ip_quota_table_free(IpQuotaTable *table);
void ip_quota_table_set_max(IpQuotaTable *table, const guint max[IP_QUOTA_KINDS]);

/* The record of an address, with a reference. Takes a short lock: call once per connection. Any thread. */
IpQuota *ip_quota_acquire(IpQuotaTable *table, const guint8 address[16]);
void ip_quota_release(IpQuota *quota);

/* Takes one unit; FALSE when the address already holds its maximum. Any thread, no lock. */
gboolean ip_quota_take(IpQuota *quota, IpQuotaKind kind);
void ip_quota_refund(IpQuota *quota, IpQuotaKind kind);
