/* SPDX-License-Identifier: MIT
 *
 * Views: what holders of read tokens see. docs/formats.md, "Visibility".
 *
 * A view is the public catalog with some private packs laid over it (at one path the private one wins), a
 * journal and checkpoint of its own for other brokers, and a search index of the private packs in it. All
 * tokens with the same globs share one view, whose id is the beginning of a hash of these globs. Whoever
 * shows no valid token has no view (NULL), and whatever answers him looks at the snapshot's own catalog: the
 * code that forgets about views is the code that serves strangers.
 *
 * A Views is immutable and goes with a snapshot: which token shows which view. It is found without a lock.
 *
 * The ViewKeeper makes them. It belongs to the indexer, follows every publication, and keeps what must
 * outlive a restart in <data>/views/<id>/catalog.db and index.db. A step costs what has changed since the
 * last one, per view: old and new catalogs are compared where they do not share memory. A view that no token
 * shows any more goes, with its files, once no snapshot has it.
 */
#pragma once

#include "broker/search/search.h"
#include "broker/serve/exchange.h"
#include "signing/read_tokens.h"

typedef struct ViewStore ViewStore;

typedef struct {
    gatomicrefcount refs;
    char id[CATALOG_VIEW_CHARS + 1];
    guint64 number; /* of the snapshot since which it has said the same; key of everything derived from it */
    Catalog *catalog;
    Catalog *granted;   /* the private packs in it, alone */
    Exchange *exchange; /* NULL when it could not be kept */
    ViewStore *store;
} View;

/* The index of the view's private packs; NULL as long as it is not ready. Alive as long as the view. */
SearchIndex *view_index(const View *view);

typedef struct Views Views;

Views *views_ref(Views *views);
void views_unref(Views *views); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Views, views_unref)
/* TRUE when some token shows anything. NULL is fine. */
gboolean views_any(const Views *views);
/* What the token of that hash shows at `now` (Unix seconds); NULL: there is no such token, or it has expired.
 * Borrowed. */
const View *views_find(const Views *views, const guint8 sha256[SHA256_BYTES], gint64 now);
/* The view of that id, or NULL. */
const View *views_by_id(const Views *views, const char *id);
guint views_count(const Views *views);

/* --- The keeper: one thread at a time --- */

typedef struct ViewKeeper ViewKeeper;

/* Keeps its files in `directory`, made when first needed. The key is borrowed and must outlive every
 * Exchange. */
ViewKeeper *view_keeper_new(const char *directory, const SecretKey *key);
/* As search_index_set_damage_func; view_keeper_index should then be called soon. Before the first step. */
void view_keeper_set_damage_func(ViewKeeper *keeper, SearchDamageFunc func, gpointer user);
/* After all snapshots. */
void view_keeper_free(ViewKeeper *keeper); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ViewKeeper, view_keeper_free)

/* What is about to be published. */
typedef struct {
    Catalog *packs, *hidden; /* public and private */
    DigestTrie *trie;        /* of the public packs' items */
    const ReadTokens *tokens;
    const char *broker_name;
    guint64 number;        /* of the snapshot */
    guint64 public_number; /* the snapshot's: another one when strangers are told something else */
    gint64 now;            /* Unix seconds */
} ViewInput;

/* The views to be published with it; a new reference. What cannot be kept on disk is logged, and tried again
 * next time. */
Views *view_keeper_advance(ViewKeeper *keeper, const ViewInput *input);
/* Brings the search indexes to what view_keeper_advance was told last. May take long when there are many new
 * private packs, so it comes after publication. Failures are logged, and made good next time. */
void view_keeper_index(ViewKeeper *keeper, PackRoot *root, guint threads);
