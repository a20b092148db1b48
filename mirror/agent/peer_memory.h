/* SPDX-License-Identifier: MIT
 *
 * The state of a peer source that the broker keeps for the agent (SyncDone.state): what was seen of the peer
 * last, so that a peer cannot go back to an older catalog because its file below <store>/peers/ was lost.
 *
 *   {"generation":…,"key":"<base64>","name":"…","root":"<hex>","view":"…"}      canonical JSON
 *
 * Pure.
 */
#pragma once

#include "mirror/catalog/checkpoint.h"

typedef struct {
    char *name; /* of the broker */
    guint64 generation;
    guint8 root[SHA256_BYTES];
    char view[CATALOG_VIEW_CHARS + 1];
} PeerMemory;

void peer_memory_clear(PeerMemory *memory);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerMemory, peer_memory_clear)

/* A new text. */
char *peer_memory_write(const PeerMemory *memory, const PublicKey *key);
/* FALSE for a text that is none, or that is about a peer with another key: then nothing is remembered. */
gboolean peer_memory_read(const char *text, gsize len, const PublicKey *key, PeerMemory *ret);
