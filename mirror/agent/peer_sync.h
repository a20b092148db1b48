/* SPDX-License-Identifier: MIT
 *
 * Mirroring a peer broker: checkpoint → journal or trie → which items are new to us → fetch their files →
 * intake. docs/formats.md, "Catalog exchange".
 *
 * What is known of the peer's catalog is kept in <store>/peers/<id>.db (peer_state.h), and its trie in memory
 * between syncs of one process, so that a sync costs what changed at the peer, whatever the size of its
 * catalog. The file may be deleted; then the next sync walks the whole trie.
 *
 * A peer that goes back to an older generation (alarm "rollback"), signs two catalogs of one generation
 * ("fork": both notes are kept below <store>/evidence/ and the peer is asked nothing more until the operator
 * resets it), is out of date ("stale"), sends what does not have the digests it promised ("mismatch"), no
 * longer takes our token ("token"), or lacks very much at once ("shrink") is told apart. Nothing of it is
 * applied then; what was taken before is served on.
 *
 * What is gone from its catalog the peer is asked about: when it has the publisher's tombstone, the pack is
 * withdrawn here, too; else it is gone, which the operator decides about.
 *
 * A pack that the peer lists but does not serve is tried again after a while, which doubles each time, and
 * holds up nothing else. A path that another source holds is left to that source for one interval.
 */
#pragma once

#include "mirror/agent/fetch.h"
#include "mirror/agent/intake.h"

typedef struct PeerSync PeerSync;

/* What is shared by the syncs of one process: connections and tries. */
PeerSync *peer_sync_new(void);
void peer_sync_free(PeerSync *sync); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PeerSync, peer_sync_free)

/* So much may the process have in memory after a sync; above it all tries are dropped, and are read again
 * from disk when they are needed. At first LIMIT_PEER_MEMORY_BYTES. */
void peer_sync_set_memory_max(PeerSync *sync, guint64 bytes);

/* What it took, for benchmarks and progress. */
typedef struct {
    guint requests;
    guint64 bytes; /* of heads and bodies in both directions; not those of packs without a signature */
} PeerSyncCost;

/* Errors, of one line that begins with the peer's URL:
 *   SIGNATURE  the checkpoint is not signed by the pinned key
 *   CONFLICT   an alarm was raised, or the catalog kept changing while it was read
 *   NOT_FOUND  also when packs could not be fetched; everything else was taken
 *   DENIED, NOT_FOUND, MALFORMED, LIMIT, UNTRUSTED, BUSY, IO   as fetch.h and intake.h say */
gboolean peer_sync_run(PeerSync *sync, const SyncJob *job, PeerSyncCost *ret_cost, SyncDone *ret,
                       GError **error);

/* Name of the file in <store>/peers/ that belongs to the source, a new string. What no source needs may be
 * removed, also while another source is synced. */
char *peer_sync_state_name(const MirrorSource *source);
