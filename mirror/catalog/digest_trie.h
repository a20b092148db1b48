/* SPDX-License-Identifier: MIT
 *
 * The digest trie: a set of catalog items, sorted by key, with a digest of every part of it, so that two
 * brokers find out in a few small answers where they differ. docs/formats.md, "Catalog exchange".
 *
 *   D(prefix), at most 32 items: SHA-256(0x00 ‖ key₁ ‖ leaf₁ ‖ key₂ ‖ leaf₂ …)          a bucket
 *   D(prefix), more:             SHA-256(0x01 ‖ D(prefix+0) ‖ … ‖ D(prefix+f))           an inner node
 *   with 32 zero bytes in the place of a child without items.
 *
 * The digest is a function of the set alone, whatever the history that led to it. A DigestTrie is an
 * immutable node with everything below it, atomically reference counted: a change copies the nodes on the
 * paths to the changed items, hashes these again and shares all others. Any thread that holds a reference may
 * read. Prefixes are texts of lower-case hexadecimal digits.
 */
#pragma once

#include "mirror/catalog/item.h"

#define DIGEST_BUCKET_MAX 32
#define DIGEST_FAN_OUT 16
#define DIGEST_PREFIX_MAX SHA256_HEX_CHARS

typedef struct DigestTrie DigestTrie;

/* --- Life cycle --- */

DigestTrie *digest_trie_new_empty(void);
DigestTrie *digest_trie_ref(DigestTrie *trie);
void digest_trie_unref(DigestTrie *trie); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DigestTrie, digest_trie_unref)

/* A trie like `base` with the items of `upserts` (of CatalogItem *; references are taken) added or replaced
 * and the paths of `removals` (of char *) removed. A path in both is replaced; of several upserts of one path
 * the last counts. Either may be NULL. `base` itself (with one more reference) when nothing differs. Costs
 * O(changes · log items); no array is kept. */
DigestTrie *digest_trie_with_changes(DigestTrie *base, const GPtrArray *upserts, const GPtrArray *removals);

/* --- Queries --- */

guint digest_trie_count(const DigestTrie *trie);
/* D of the whole trie; borrowed. */
const guint8 *digest_trie_digest(const DigestTrie *trie);
/* The item of that key, borrowed, or NULL. */
CatalogItem *digest_trie_find(const DigestTrie *trie, const guint8 key[SHA256_BYTES]);

/* The node that holds everything below `prefix`, or the bucket above it; NULL when nothing is there. For
 * digest_view.h: `ret_depth` receives the number of digits of the prefix that lead to the node. Borrowed. */
const DigestTrie *digest_trie_descend(const DigestTrie *trie, const char *prefix, guint *ret_depth);
gboolean digest_trie_is_inner(const DigestTrie *trie);
/* Of an inner node; NULL for a child without items. */
const DigestTrie *digest_trie_child(const DigestTrie *trie, guint nibble);
/* Of a bucket: its items in the order of their keys, digest_trie_count of them; borrowed. */
CatalogItem *const *digest_trie_items(const DigestTrie *trie);

/* Receives one difference: an item that only `a` has (b NULL), only `b` has (a NULL), or that differs. All
 * are borrowed for the call. */
typedef void (*DigestDiffFunc)(CatalogItem *a, CatalogItem *b, gpointer user);
/* Reports the differences in the order of keys; costs what differs, not what is there. */
void digest_trie_diff(const DigestTrie *a, const DigestTrie *b, DigestDiffFunc func, gpointer user);

/* --- The two hashes, and digits of keys --- */

/* Of `count` ≤ DIGEST_BUCKET_MAX items in the order of their keys. */
void digest_hash_items(CatalogItem *const *items, guint count, guint8 ret[SHA256_BYTES]);
void digest_hash_children(const guint8 (*children)[SHA256_BYTES], guint8 ret[SHA256_BYTES]);
/* The hexadecimal digit of a key at `depth`, as a number. */
guint digest_key_nibble(const guint8 key[SHA256_BYTES], guint depth);
gboolean digest_key_has_prefix(const guint8 key[SHA256_BYTES], const char *prefix);
/* TRUE for at most DIGEST_PREFIX_MAX lower-case hexadecimal digits. */
gboolean digest_prefix_is_valid(const char *prefix);
/* Merges two lists of items in the order of their keys and reports what differs. */
void digest_diff_items(CatalogItem *const *a, guint a_count, CatalogItem *const *b, guint b_count,
                       DigestDiffFunc func, gpointer user);
