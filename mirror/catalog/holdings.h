/* SPDX-License-Identifier: MIT
 *
 * What can be asked for by hash: every file that is served by the SHA-256 of its served form, and every
 * signed release by its digest.
 *
 * One Holdings goes with the succession of catalogs of a broker. It is brought up to date pack by pack, so
 * that a change costs what changed, however large the catalog is. (A table made anew per generation would be
 * simpler and would cost a broker whose mirror installs a pack per second its whole catalog each time.)
 * Several files may have one hash; each is in it.
 *
 * It may be ahead of or behind the catalog that a reader holds: an answer is always checked against that
 * catalog. Before a catalog is published its new packs are added, afterwards the old ones are removed, so
 * that whatever both have is found all the time. Any thread; its lock is held for short times only.
 */
#pragma once

#include "mirror/catalog/catalog.h"

typedef struct Holdings Holdings;

/* --- Life cycle --- */

Holdings *holdings_new(void);
void holdings_free(Holdings *holdings); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Holdings, holdings_free)

/* --- Operations --- */

/* Takes in the files of a judged pack and its release, when it has a signed one. A pack that shares its files
 * with one that is in already (another verdict over the same scan) takes its place. */
void holdings_add(Holdings *holdings, CatalogPack *pack);
/* Takes out what still belongs to exactly this pack. */
void holdings_remove(Holdings *holdings, const CatalogPack *pack);

/* --- Queries --- */

/* A file of that hash that `catalog` serves. Outputs are borrowed from the catalog. */
gboolean holdings_find_file(Holdings *holdings, const Catalog *catalog, const guint8 sha256[32],
                            const CatalogPack **ret_pack, const CatalogFile **ret_file);
/* manifest.sig of a release of that digest that `catalog` serves. */
gboolean holdings_find_release(Holdings *holdings, const Catalog *catalog, const guint8 digest[32],
                               const CatalogPack **ret_pack, const CatalogFile **ret_file);

/* The same of Holdings that go with no catalog: any pack that has it, a new reference, or NULL. The file is
 * borrowed from it. */
CatalogPack *holdings_take_file(Holdings *holdings, const guint8 sha256[32], const CatalogFile **ret_file);
CatalogPack *holdings_take_release(Holdings *holdings, const guint8 digest[32], const CatalogFile **ret_file);
