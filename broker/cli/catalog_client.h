/* SPDX-License-Identifier: MIT
 *
 * Another broker's catalog, asked from the command line: its checkpoint, its digests as a source for
 * trie_walk, and its changes. Whatever comes back is checked for what it claims to be; messages name the
 * broker.
 */
#pragma once

#include "broker/cli/client.h"
#include "mirror/catalog/checkpoint.h"
#include "mirror/catalog/journal.h"
#include "mirror/catalog/trie_walk.h"

/* Whose checkpoint is expected. */
typedef struct {
    char *name;
    PublicKey key;
} CatalogSigner;

/* Asks for the checkpoint; `signer` NULL: by anybody. `ret_name` receives the broker's name, a new string.
 * SIGNATURE when it is not signed by the signer. */
gboolean catalog_client_checkpoint(CliClient *client, const CatalogSigner *signer, CatalogCheckpoint *ret,
                                   char **ret_name, GError **error);
/* The catalog that the checkpoint is about. */
TrieSource catalog_client_source(CliClient *client, const CatalogCheckpoint *checkpoint);
/* What happened after a generation, in one answer. NOT_FOUND when the broker does not know any more. */
gboolean catalog_client_changes(CliClient *client, guint64 since, JournalAnswer *ret, GError **error);
