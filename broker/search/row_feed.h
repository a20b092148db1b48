/* SPDX-License-Identifier: MIT
 *
 * Reads the indexed rows of many packs with several threads and hands them to one consumer in order: pack by
 * pack, row by row. The writer of the index needs ascending numbers, and reading is the part that other
 * threads can take off its hands.
 *
 * Memory is bounded, whatever the packs hold: threads work at most a few packs ahead of the consumer and keep
 * at most a few batches of each.
 *
 * One thread creates, consumes and frees a feed.
 */
#pragma once

#include "mirror/store/pack_scan.h"

typedef struct RowFeed RowFeed;

/* One row, ready for the index. */
typedef struct {
    char *file;
    char *title;
    char *summary;
    char *body; /* the part that is searched, `body_len` bytes, not a C string */
    gsize body_len;
} FeedRow;

/* --- Life cycle --- */

/* Starts reading `packs` (of CatalogPack *, both borrowed until the feed is freed) with `threads` ≥ 1. */
RowFeed *row_feed_new(PackRoot *root, GPtrArray *packs, guint threads);
/* May be called before everything was consumed. */
void row_feed_free(RowFeed *feed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RowFeed, row_feed_free)

/* --- Operations --- */

/* The next rows of pack number `pack` (0, 1, … in the order of `packs`; each until its end) as a new array of
 * FeedRow, waiting for them if need be; NULL at the end of the pack. Then *ret_complete tells whether its
 * wiki/index.md could be read; pages that could not be read are there with an empty body. */
GArray *row_feed_next(RowFeed *feed, guint pack, gboolean *ret_complete);
