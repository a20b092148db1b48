/* SPDX-License-Identifier: MIT
 *
 * A digest view: what stands in the digest trie at one prefix, as brokers send it to each other over HTTP.
 *
 *   {"count":…,"digest":"…","children":[{"count":…,"digest":"…"} × 16]}      more than 32 items
 *   {"count":…,"digest":"…","items":[item, …]}                               at most 32, in the order of keys
 *   {"nodes":[view, …]}                                                      several prefixes asked at once
 *
 * A view that was read has been recomputed: its digest follows from its children or items, counts add up,
 * keys are in order and begin with the prefix. So a reader compares one digest with the one it expects and
 * may then rely on everything but the counts of children, which no digest covers.
 *
 * A DigestView is embedded, belongs to one thread and owns references to its items.
 */
#pragma once

#include "mirror/catalog/digest_trie.h"

typedef struct {
    guint64 count;
    guint8 digest[SHA256_BYTES]; /* 32 zero bytes for a child without items */
} DigestChild;

typedef struct {
    guint64 count;
    guint8 digest[SHA256_BYTES];
    GPtrArray *items;                     /* of CatalogItem *, owned; NULL: an inner node */
    DigestChild children[DIGEST_FAN_OUT]; /* of an inner node */
} DigestView;

/* --- Life cycle --- */

/* The view of `trie` at a valid prefix. Where nothing is, a bucket without items. */
void digest_view_init(DigestView *view, const DigestTrie *trie, const char *prefix);
/* The view of those of `count` ≤ DIGEST_BUCKET_MAX items, in the order of their keys, that have the prefix.
 */
void digest_view_init_items(DigestView *view, CatalogItem *const *items, guint count, const char *prefix);
/* A view of zero bytes may be cleared as well. */
void digest_view_clear(DigestView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DigestView, digest_view_clear)

/* --- Encoding --- */

void digest_view_write(const DigestView *view, JsonWriter *writer);
/* Reads the view of a prefix. FALSE with MALFORMED, LIMIT, or SIGNATURE when a digest or count does not
 * follow from what is below it; `ret` is untouched then. */
gboolean digest_view_read(const JsonValue *value, const char *prefix, DigestView *ret, GError **error);
/* Reads a whole answer: one view for one prefix, else "nodes" with as many views as prefixes, in their order.
 * `ret_views` has room for `count` zeroed views, which the caller clears in any case. */
gboolean digest_views_parse(const void *data, gsize len, const char *const *prefixes, guint count,
                            DigestView *ret_views, GError **error);
