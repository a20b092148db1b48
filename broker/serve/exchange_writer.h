/* SPDX-License-Identifier: MIT
 *
 * Keeps what this broker tells others about its catalog in step with the catalog: the digest trie, and the
 * journal in catalog.db (of the data directory, or of a view). Belongs to the thread that publishes (the
 * indexer); what it makes may be read by any.
 */
#pragma once

#include "broker/serve/exchange.h"
#include "mirror/catalog/catalog.h"

typedef struct ExchangeWriter ExchangeWriter;

/* Opens or makes `catalog.db` at `path`; logs when it had to be made anew. The key is borrowed and must
 * outlive every Exchange. NULL with the errors of db_open. */
ExchangeWriter *exchange_writer_open(const char *path, const SecretKey *key, GError **error);
/* What it makes from now on is about a view (copied), not about the public catalog. */
void exchange_writer_set_view(ExchangeWriter *writer, const char *view);
/* Begins with the items of `trie` (a reference is taken) as if all their places had been told already, and
 * goes on sharing its memory. Before the first advance. */
void exchange_writer_begin(ExchangeWriter *writer, DigestTrie *trie);
void exchange_writer_free(ExchangeWriter *writer); /* NULL is fine */

/* The exchange after the places `upserts` (of CatalogPack *, judged) were added or replaced and the paths
 * `removals` (of char *) removed; the first call is told of all places there are. A new reference: `before`
 * (may be NULL) when it says the same. When the journal cannot be written, that is logged, what was told last
 * is told on, and the next call tries again; NULL when nothing was ever told. */
Exchange *exchange_writer_advance(ExchangeWriter *writer, Exchange *before, const GPtrArray *upserts,
                                  const GPtrArray *removals, const char *broker_name);

/* The items of the places that it was told, now; borrowed. */
DigestTrie *exchange_writer_trie(const ExchangeWriter *writer);
