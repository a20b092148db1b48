/* SPDX-License-Identifier: MIT
 *
 * Fetching releases from a peer, many at a time: manifest.sig, which must have the promised digest; then
 * every file that it lists, by its hash, from the release of the same path that is held already, else from
 * the peer; then the intake. What a signature alone tells is judged before the files are asked for, so that a
 * catalog full of what nobody would accept costs one small answer per pack.
 *
 * Packs without a signature have no list: they are fetched as a Node does it (pack_download.h), one by one.
 *
 * Belongs to one thread and one sync.
 */
#pragma once

#include "mirror/agent/intake.h"
#include "mirror/agent/peer_client.h"

typedef struct PeerReleases PeerReleases;

/* A pack was handed to the intake or refused (`why` NULL), or could not be fetched: try again later. */
typedef void (*PeerReleaseFunc)(const CatalogItem *item, const GError *why, gpointer user);

typedef struct {
    const SyncJob *job;
    Intake *intake;
    PeerClient *client;
    guint64 generation; /* of the catalog that led to them: where packs are said to be from */
    PeerReleaseFunc done;
    gpointer user;
} PeerReleasesOptions;

/* Everything in `options` is borrowed. */
PeerReleases *peer_releases_new(const PeerReleasesOptions *options);
/* What is under way is given up. NULL is fine. */
void peer_releases_free(PeerReleases *releases);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PeerReleases, peer_releases_free)

/* Begins with a pack, and works until there is room for another one. FALSE when the sync cannot go on: BUSY
 * (time), LIMIT (bytes; disk full), IO and the like of the store. */
gboolean peer_releases_add(PeerReleases *releases, CatalogItem *item, GError **error);
/* Works until nothing is under way. The same errors. */
gboolean peer_releases_finish(PeerReleases *releases, GError **error);
