/* SPDX-License-Identifier: MIT
 *
 * Doing the same with every pack below a directory, on several threads, with progress on a terminal.
 */
#pragma once

#include "mirror/store/pack_scan.h"

/* Called once per pack, from any thread; what it leaves in *ret_result is the caller's. `path` is relative to
 * the root, `directory` absolute. */
typedef void (*PackTreeWork)(PackRoot *root, const CatalogPack *place, gpointer user, gpointer *ret_result);

typedef struct {
    GPtrArray *places;   /* of CatalogPack *, in the order of paths, with references */
    gpointer *results;   /* one per place */
    GPtrArray *problems; /* of char *: directories that could not be read */
} PackTree;

/* Looks for packs (directories with wiki/index.md) below `directory` and works on them with
 * `threads` (≥ 1) threads. `verb` is what a progress line on standard error says, such as "signing"; it is
 * shown on a terminal only. Fails only when `directory` cannot be read. */
PackTree *pack_tree_run(const char *directory, guint threads, const char *verb, PackTreeWork work,
                        gpointer user, GError **error);
/* Frees the tree, and each result with `free_result`. */
void pack_tree_free(PackTree *tree, GDestroyNotify free_result);
