/* SPDX-License-Identifier: MIT
 *
 * The journal on disk: <data>/catalog.db, so that generations go on after a restart and peers need not walk
 * the trie because of it. One thread at a time owns a JournalStore and is its only writer.
 *
 * Every step is durable before anybody is told of it. The file may be deleted while the program is stopped:
 * then the journal begins anew, with a generation greater than all that were (see journal.h).
 */
#pragma once

#include "mirror/catalog/journal.h"

typedef struct JournalStore JournalStore;

/* --- Life cycle --- */

/* Opens or makes the file and reads it. `ret_journal` receives what was published last, a new reference: an
 * empty catalog of generation 0 in a new file. A damaged file is made anew; `ret_rebuilt` (may be NULL) then
 * receives why (a new string), else NULL. NULL with the errors of db_open. */
JournalStore *journal_store_open(const char *path, Journal **ret_journal, char **ret_rebuilt, GError **error);
void journal_store_free(JournalStore *store); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalStore, journal_store_free)

/* --- Operations --- */

/* The journal after `base`, which is the one that the store holds, when the catalog is `trie`: what
 * journal_advance gives, once it is durable. The first call on a new file makes a generation even of an empty
 * catalog. NULL with the errors of db.h; `base` is still what is stored then. */
Journal *journal_store_advance(JournalStore *store, Journal *base, DigestTrie *trie, gint64 now_s,
                               GError **error);
