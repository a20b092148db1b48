/* SPDX-License-Identifier: MIT
 *
 * What is asked of a peer broker over HTTP: its checkpoint, its changes, its digests as a source for
 * trie_walk, and files by their hashes. docs/formats.md, "Catalog exchange". Nothing is decided here, and
 * nothing that comes back is believed but for its form.
 *
 * A PeerClient keeps connections between syncs and belongs to one thread. Messages begin with the URL of the
 * peer, or with scheme, host and port of it; none of them has the token.
 */
#pragma once

#include "mirror/agent/fetch_pool.h"
#include "mirror/agent/source.h"
#include "mirror/catalog/checkpoint.h"
#include "mirror/catalog/journal.h"
#include "mirror/catalog/trie_walk.h"

typedef struct PeerClient PeerClient;

/* --- Life cycle --- */

PeerClient *peer_client_new(void);
void peer_client_free(PeerClient *client); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PeerClient, peer_client_free)

/* Before each sync: whom to ask (borrowed until the next call), with which budget. Reads the token anew.
 * NOT_FOUND, DENIED, IO or MALFORMED when its file holds none. */
gboolean peer_client_begin(PeerClient *client, const MirrorSource *source, gint64 deadline_us,
                           GError **error);

/* How much catalog one sync reads, instead of LIMIT_PEER_CATALOG_BYTES; until the next begin. For tests. */
void peer_client_set_catalog_max(PeerClient *client, guint64 bytes);

/* --- The catalog; blocking --- */

typedef struct {
    GBytes *note; /* NULL: still the one with the ETag that was asked for */
    char *etag;   /* of `note`; "" when the peer gives none */
} PeerNote;
void peer_note_clear(PeerNote *note);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerNote, peer_note_clear)

/* Errors of all of these: NOT_FOUND (404), DENIED (401, 403), BUSY (429, 5xx, time), MALFORMED (any other
 * status, or not of its form), LIMIT (more than one sync reads), and those of fetch_pool.h. */

/* `etag`: of the note that is known, or "". */
gboolean peer_client_checkpoint(PeerClient *client, const char *etag, PeerNote *ret, GError **error);
/* One answer. NOT_FOUND also when the peer does not know the generation any more. */
gboolean peer_client_changes(PeerClient *client, guint64 since, JournalAnswer *ret, GError **error);
/* The catalog that a checkpoint is about; lives as long as the client. */
TrieSource peer_client_trie(PeerClient *client, const CatalogCheckpoint *checkpoint);

/* --- Files; queued --- */

/* manifest.sig of a release. */
void peer_client_add_release(PeerClient *client, const guint8 digest[SHA256_BYTES], FetchDoneFunc done,
                             gpointer user);
/* manifest.sig of the tombstone that is in force at a path. */
void peer_client_add_tombstone(PeerClient *client, const char *pack_path, FetchDoneFunc done, gpointer user);
/* A file of at most `bytes_max` bytes by its hash … */
void peer_client_add_blob(PeerClient *client, const guint8 hash[SHA256_BYTES], gsize bytes_max,
                          FetchDoneFunc done, gpointer user);
/* … or where Nodes find it. */
void peer_client_add_file(PeerClient *client, const char *pack_path, const char *name, gsize bytes_max,
                          FetchDoneFunc done, gpointer user);
/* NULL for 200; else what the status means. `what` names the thing. */
GError *peer_client_status_error(const FetchAnswer *answer, const char *what);

/* --- Queries --- */

FetchPool *peer_client_pool(PeerClient *client);         /* borrowed */
const char *peer_client_token(const PeerClient *client); /* borrowed; NULL: none */
