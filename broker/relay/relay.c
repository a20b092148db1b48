/* SPDX-License-Identifier: MIT */
#include "broker/relay/relay.h"

#include "broker/relay/shard.h"
#include "schema/limits.h"

Relay *relay_new(const RelayOptions *options, GError **error)
{
    g_assert(options->shards > 0 && options->register_limit != NULL && options->state != NULL);
    Relay *relay = g_new0(Relay, 1);
    relay->shard_count = options->shards;
    relay->register_limit = options->register_limit;
    relay->frame_bytes_max =
        options->frame_bytes_max != 0 ? options->frame_bytes_max : LIMIT_RELAY_FRAME_BYTES;
    relay->ports = g_new(ShardPort *, relay->shard_count);
    for (guint i = 0; i < relay->shard_count; i++)
        relay->ports[i] = shard_port_new();
    relay->counters = g_aligned_alloc0(relay->shard_count, sizeof *relay->counters, _Alignof(ShardCounters));
    const RegistrarOptions registrar = {
        .identity_path = options->identity_path,
        .identities_max = options->identities_max,
        .nodes_max = options->nodes_max,
        .ports = relay->ports,
        .port_count = relay->shard_count,
        .state = options->state,
    };
    relay->registrar = registrar_new(&registrar, error);
    if (relay->registrar == NULL) {
        relay_free(relay);
        return NULL;
    }
    relay_set_limits(relay, options->nodes_max, options->pending_max, options->messages_per_second);
    return relay;
}

void relay_free(Relay *relay)
{
    if (relay == NULL)
        return;
    /* Until this returns the registrar may still send mail. */
    if (relay->registrar != NULL)
        registrar_free(relay->registrar);
    for (guint i = 0; i < relay->shard_count; i++)
        shard_port_free(relay->ports[i]);
    g_assert(relay->frame_bytes == 0);
    g_free(relay->ports);
    g_aligned_free(relay->counters);
    g_free(relay);
}

void relay_set_limits(Relay *relay, guint nodes_max, guint pending_max, guint messages_per_second)
{
    registrar_set_nodes_max(relay->registrar, nodes_max);
    __atomic_store_n(&relay->pending_max, pending_max, __ATOMIC_RELAXED);
    __atomic_store_n(&relay->messages_per_second, messages_per_second, __ATOMIC_RELAXED);
}

const char *relay_counter_name(RelayCounter counter)
{
    static const char *const names[RELAY_COUNTERS] = {
        [RELAY_REGISTERED] = "registered",
        [RELAY_REGISTER_REFUSED] = "register_refused",
        [RELAY_TAKEOVER] = "takeover",
        [RELAY_QUERY_ROUTED] = "query_routed",
        [RELAY_QUERY_ANSWERED] = "query_answered",
        [RELAY_QUERY_EXPIRED] = "query_expired",
        [RELAY_QUERY_TARGET_GONE] = "query_target_gone",
        [RELAY_QUERY_REFUSED_NO_TARGET] = "query_no_target",
        [RELAY_QUERY_REFUSED_DUPLICATE] = "query_duplicate",
        [RELAY_QUERY_REFUSED_BUSY] = "query_busy",
        [RELAY_QUERY_REFUSED_UNREACHABLE] = "query_unreachable",
        [RELAY_QUERY_REFUSED_MALFORMED] = "query_malformed",
        [RELAY_RESPONSE_DROPPED] = "response_dropped",
        [RELAY_MESSAGE_IGNORED] = "message_ignored",
        [RELAY_MESSAGE_OVERSIZE] = "message_oversize",
        [RELAY_CONN_THROTTLED] = "connection_throttled",
        [RELAY_NODE_DEAD] = "node_dead",
    };
    g_assert((guint)counter < RELAY_COUNTERS);
    return names[counter];
}

void relay_counters(Relay *relay, guint64 ret[RELAY_COUNTERS])
{
    for (guint counter = 0; counter < RELAY_COUNTERS; counter++) {
        ret[counter] = 0;
        for (guint i = 0; i < relay->shard_count; i++)
            ret[counter] += __atomic_load_n(&relay->counters[i].counters[counter], __ATOMIC_RELAXED);
    }
}

guint relay_node_count(Relay *relay)
{
    return registrar_node_count(relay->registrar);
}

guint relay_connection_count(Relay *relay)
{
    guint count = 0;
    for (guint i = 0; i < relay->shard_count; i++)
        count += __atomic_load_n(&relay->counters[i].connections, __ATOMIC_RELAXED);
    return count;
}

guint relay_pending_count(Relay *relay)
{
    return __atomic_load_n(&relay->pending, __ATOMIC_RELAXED);
}
