/* SPDX-License-Identifier: MIT
 *
 * The hashes of files that were read before, so that a start does not read them all again: <data>/hashes.db
 * for the packs directory and <data>/store/hashes.db for the release store, which may be deleted at any time
 * while the program is stopped.
 *
 * A place is known by its path on disk (CatalogPack.disk) and by its fingerprint (names, inodes, sizes and
 * time stamps of all its files, see CatalogPack): one changed file makes it unknown, and all of its files are
 * hashed anew. The store is no authority: whoever serves a file compares the hash with the bytes that were
 * read (broker/serve/content.c), so a wrong row costs a scan and never a wrong answer. Verdicts are not kept
 * here, because judging hashes that are known costs next to nothing.
 *
 * What the file held is read when it is opened and answers hash_store_fill, from any number of threads at
 * once, until everything has been scanned. Everything else is for one thread.
 */
#pragma once

#include "mirror/catalog/catalog.h"

typedef struct HashStore HashStore;

/* --- Life cycle --- */

/* Opens or makes the file and reads it. A damaged file, or one of another version, is made anew;
 * `ret_rebuilt` (may be NULL) receives why (a new string), or NULL. */
HashStore *hash_store_open(const char *path, char **ret_rebuilt, GError **error);
void hash_store_free(HashStore *store); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HashStore, hash_store_free)

/* --- Operations --- */

/* Gives the files of a place their hashes if they are known. TRUE when all of them have got one. */
gboolean hash_store_fill(const HashStore *store, CatalogPack *place);
/* Remembers the places of `upserts` (of CatalogPack * from a scan) whose files all have hashes, and forgets
 * the paths of `removals` (of char *), in one transaction. After everything was taken, `whole` is the set of
 * all paths there are (else NULL): what the file held of others goes, too, and the memory of what it held is
 * given back, since the catalog now knows. */
gboolean hash_store_save(HashStore *store, GPtrArray *upserts, GPtrArray *removals, GHashTable *whole,
                         GError **error);

/* --- Queries --- */

/* TRUE until everything was taken: then `whole` is worth making. */
gboolean hash_store_is_loaded(const HashStore *store);
