/* SPDX-License-Identifier: MIT
 *
 * Finding out where two catalogs differ by walking their digest tries side by side: only
 * prefixes whose digests differ are asked for, many of them in one request.
 *
 * Both sides may lie. Every view has been recomputed when it was read (digest_view.h), and here it must have
 * the digest and the count that its parent, and in the end a checkpoint, promised. What a side can still do
 * is to send much or little, slowly: requests, items and differences have limits, time is the source's
 * business.
 *
 * Blocking, as far as the sources are.
 */
#pragma once

#include "mirror/catalog/digest_view.h"

/* Where the views of one side come from. */
typedef struct {
    guint8 root[SHA256_BYTES]; /* the digest that the whole must have */
    guint64 count;             /* and its items */
    /* Fills `count` ≤ LIMIT_DIGEST_PREFIXES zeroed views; those filled before a failure are cleared by the
     * caller. */
    gboolean (*views)(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                      GError **error);
    gpointer user;
} TrieSource;

typedef struct {
    guint requests[2]; /* calls of each source */
    guint64 differences;
} TrieWalkReport;

/* Calls `func` for every difference. FALSE with the errors of the sources and of digest_view_read; CONFLICT
 * when a view is not the one that was promised (the catalog has changed meanwhile, or the side lies: ask for
 * a new checkpoint and begin again); LIMIT. `report` is filled in any case. */
gboolean trie_walk(const TrieSource *a, const TrieSource *b, DigestDiffFunc func, gpointer user,
                   TrieWalkReport *report, GError **error);
