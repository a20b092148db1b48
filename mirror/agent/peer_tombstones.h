/* SPDX-License-Identifier: MIT
 *
 * Asking a peer whether what is gone from its catalog was withdrawn. The peer proves it by the tombstone that
 * the publisher signed, which is judged like every release (intake_withdraw); a peer that has none, knows no
 * such question or sends what is not accepted has merely lost the pack.
 *
 * Belongs to one thread and one sync.
 */
#pragma once

#include "mirror/agent/intake.h"
#include "mirror/agent/peer_client.h"

typedef enum {
    PEER_TOMBSTONE_UNKNOWN,  /* not asked, or the peer could not tell for the moment */
    PEER_TOMBSTONE_NONE,     /* there is none that is accepted */
    PEER_TOMBSTONE_ACCEPTED, /* it was reported to the intake */
} PeerTombstone;

typedef struct {
    Intake *intake;     /* borrowed */
    PeerClient *client; /* borrowed */
    GHashTable *found;  /* path → PeerTombstone of what was asked; owned */
} PeerTombstones;

void peer_tombstones_init(PeerTombstones *tombstones, Intake *intake, PeerClient *client);
void peer_tombstones_clear(PeerTombstones *tombstones);

/* Asks about those of the paths (of char *) about which it was not asked yet; also works off what else is
 * under way. FALSE when the sync cannot go on: the errors of fetch_pool_run and intake_withdraw. */
gboolean peer_tombstones_ask(PeerTombstones *tombstones, const GPtrArray *paths, GError **error);
PeerTombstone peer_tombstones_of(const PeerTombstones *tombstones, const char *path);
