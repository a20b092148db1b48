/* SPDX-License-Identifier: MIT
 *
 * What this broker tells others about its catalog: the journal (with its digest trie and generation), and the
 * signed checkpoint over it. docs/formats.md, "Catalog exchange".
 *
 * An Exchange goes with a snapshot and is shared by successive snapshots while the exchanged catalog stays
 * the same. It does not change, but for the checkpoint, which is signed when it is first asked for and again
 * once it is EXCHANGE_RESIGN_SECONDS old, so that a broker at rest serves the same bytes, which can be
 * answered by "not modified". Any thread; atomically reference counted.
 */
#pragma once

#include "mirror/catalog/checkpoint.h"
#include "mirror/catalog/journal.h"

#define EXCHANGE_RESIGN_SECONDS (CATALOG_CHECKPOINT_SECONDS / 2)

typedef struct Exchange Exchange;

/* Takes a reference to the journal, copies the name; the key is borrowed and must outlive every call of
 * exchange_checkpoint. */
Exchange *exchange_new(Journal *journal, const char *broker_name, const SecretKey *key);
/* Makes it that of a view, which its checkpoints then name (CatalogCheckpoint.view). Before it is shared. */
void exchange_set_view(Exchange *exchange, const char *view);
Exchange *exchange_ref(Exchange *exchange);
void exchange_unref(Exchange *exchange); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Exchange, exchange_unref)

Journal *exchange_journal(const Exchange *exchange); /* borrowed */
/* TRUE when it is about this journal under this name. */
gboolean exchange_is(const Exchange *exchange, const Journal *journal, const char *broker_name);
/* The signed note, good at `now_s` (Unix time); a new reference. */
GBytes *exchange_checkpoint(Exchange *exchange, gint64 now_s, GError **error);
