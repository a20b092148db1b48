/* SPDX-License-Identifier: MIT
 *
 * Which catalog does the peer have now? Checkpoint, then changes or digests, until a catalog is known whole
 * that has the root which the peer's key has signed. docs/formats.md, "Catalog exchange".
 *
 * Raises the alarms of the peer itself (peer_sync.h) and keeps the evidence. What is asked for follows from
 * what this peer has shown before and from nothing else, so that no peer learns what another one has.
 */
#pragma once

#include "mirror/agent/intake.h"
#include "mirror/agent/peer_client.h"
#include "mirror/agent/peer_state.h"

typedef struct {
    const SyncJob *job;
    Intake *intake; /* for alarms and time */
    PeerClient *client;
    PeerState *state;
    DigestTrie **known; /* the items of `state` when they are loaded, else NULL; loaded when needed */
} PeerCompare;

typedef struct {
    DigestTrie *trie; /* what the peer has; NULL: what is known */
    guint64 generation;
} PeerCatalog;
void peer_catalog_clear(PeerCatalog *catalog);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerCatalog, peer_catalog_clear)

/* Errors as peer_sync.h has them. Changes nothing of the items in `state`. */
gboolean peer_compare(const PeerCompare *compare, PeerCatalog *ret, GError **error);
/* *compare->known, loaded; borrowed. */
DigestTrie *peer_compare_known(const PeerCompare *compare, GError **error);
/* Raises an alarm about the peer: sets CONFLICT with the same reason, and returns FALSE. */
gboolean peer_compare_alarm(const PeerCompare *compare, const char *kind, GError **error, const char *format,
                            ...) G_GNUC_PRINTF(4, 5);
