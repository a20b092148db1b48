/* SPDX-License-Identifier: MIT
 *
 * Decides who is registered: the one writer of identity.db and of the registry. It runs on the state actor.
 *
 * Requests are gathered until the actor comes to its commit: all registrations that wait by then share one
 * transaction and one fsync. After the commit, in the order of arrival, every change goes to all shards, and
 * only then the answer to the shard that asked; so whoever was told "registered" is known everywhere or will
 * be as soon as a shard reads its port. registrar_version tells a shard whether it must.
 *
 * A registration of an id that is registered on another socket takes its place: only the owner of the id's
 * key gets this far, and its old socket is most likely dead. The old socket's shard closes it.
 */
#pragma once

#include "broker/net/actor.h"
#include "broker/relay/shard_port.h"

typedef struct Registrar Registrar;

typedef struct {
    const char *identity_path;
    guint identities_max;
    guint nodes_max;
    ShardPort *const *ports; /* one per shard; they outlive the registrar */
    guint port_count;
    Actor *state; /* borrowed */
} RegistrarOptions;

/* --- Life cycle (main thread) --- */
Registrar *registrar_new(const RegistrarOptions *options, GError **error);
/* Waits until the state actor has done everything that was asked. */
void registrar_free(Registrar *registrar);

/* --- Any thread --- */

/* Asks for the registration of `record`, whose fields and signature were checked; answered by
 * MAIL_REGISTER_DONE to its shard. `held` is the record that the same connection has registered before, or
 * NULL: it is released when its id is another. */
void registrar_register(Registrar *registrar, NodeRecord *record, NodeRecord *held);
/* The connection is gone: ends its registration of that id, if it still has one. */
void registrar_release(Registrar *registrar, ConnRef conn, const char *node_id);
void registrar_set_nodes_max(Registrar *registrar, guint nodes_max);
/* Version of the registry: mails up to it have been sent to all shards. */
guint64 registrar_version(const Registrar *registrar);
guint registrar_node_count(const Registrar *registrar);
