/* SPDX-License-Identifier: MIT
 *
 * What is known of one peer, in <store>/peers/<source>.db: the latest checkpoint that was seen, the items of
 * its catalog as they were last verified, and which of them still have to be dealt with.
 *
 *   seen      the latest signed note, whatever became of it: what rollback and fork are told by
 *   items     the catalog at `generation`; its root is `root`
 *   pending   paths that were new, changed or gone then, until mirror.db shows that they were dealt with;
 *             `attempts` counts how often fetching began, and the next waits until `due_s`
 *
 * Nothing here decides what is served. The file may be deleted while the program is stopped; then the next
 * sync reads the whole catalog of the peer. A damaged file, and one of another origin, is made anew.
 *
 * Every change is one transaction, durable when the function returns. A PeerState belongs to one thread;
 * the agent process is the only writer.
 */
#pragma once

#include "mirror/catalog/checkpoint.h"
#include "mirror/catalog/digest_trie.h"

typedef struct PeerState PeerState;

/* --- Life cycle --- */

/* Opens or makes the file. `origin`: a text that says whose catalog this is and for whom; of another one
 * everything is forgotten. */
PeerState *peer_state_open(const char *path, const char *origin, GError **error);
void peer_state_free(PeerState *state); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PeerState, peer_state_free)

/* --- What was seen and what is known --- */

typedef struct {
    char *name; /* of the broker, as its checkpoints have it; "" nothing was ever seen */
    gboolean has_seen;
    guint64 seen_generation;
    guint8 seen_root[SHA256_BYTES];
    char seen_view[CATALOG_VIEW_CHARS + 1];
    GBytes *note;       /* of `seen`, as received; NULL without */
    char *etag;         /* of the note; "" without */
    gboolean forked;    /* two notes of one generation were seen: nothing goes on until peer_state_forget */
    guint64 generation; /* of the items; 0: there are none yet, or nobody knows */
    guint8 root[SHA256_BYTES]; /* of the items */
    guint64 wanted;            /* of the items, those that the source wants; with `plan` */
    char *plan;                /* policy by which all items were looked at; "" never */
    gboolean finished;         /* a sync has come to its end since then */
} PeerRecord;

/* Borrowed, until the next change. */
const PeerRecord *peer_state_record(const PeerState *state);
/* A checkpoint of the broker `name` was verified. */
gboolean peer_state_see(PeerState *state, const CatalogCheckpoint *checkpoint, const char *name, GBytes *note,
                        const char *etag, GError **error);
/* A second note of one generation was seen. */
gboolean peer_state_set_forked(PeerState *state, GError **error);
/* Forgets what was seen (and a fork), and of which generation the items are, so that catalogs are compared
 * item by item. */
gboolean peer_state_forget(PeerState *state, GError **error);
gboolean peer_state_set_finished(PeerState *state, GError **error);

/* --- Items --- */

/* All items as a trie. CORRUPT when they do not have the root they should have, or more than `bytes_max`
 * bytes together: who begins anew then meets the ceiling of what one sync reads. Costs the whole catalog:
 * once per process. */
DigestTrie *peer_state_load(PeerState *state, guint64 bytes_max, GError **error);

typedef struct {
    const DigestTrie *before, *after; /* the known items, and what they become */
    guint64 generation;               /* of `after` */
    guint64 wanted;
    const char *plan;
    const GPtrArray *pending; /* of char *: paths that are to be dealt with from now on */
    gint64 now_s;
} PeerChange;
/* The items stayed the same. */
gboolean peer_state_set_generation(PeerState *state, guint64 generation, GError **error);
/* The catalog of the peer has changed, or is looked at anew. Costs what differs. A path that is pending
 * already begins anew. */
gboolean peer_state_apply(PeerState *state, const PeerChange *change, GError **error);

/* --- Pending --- */

typedef struct {
    char *path;
    CatalogItem *item; /* NULL: the peer has it no more */
    guint attempts;
    gint64 due_s, since_s; /* Unix time */
} PeerPending;
void peer_pending_free(PeerPending *pending); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PeerPending, peer_pending_free)

gboolean peer_state_count_pending(PeerState *state, guint64 *ret, GError **error);
/* At most `limit` pending paths that follow `after` ("" from the beginning), of PeerPending *, in order. */
GPtrArray *peer_state_pending(PeerState *state, const char *after, guint limit, GError **error);
/* Writes `attempts` and `due_s` of those in `changed` (of PeerPending *) and takes those in `settled` (of
 * char *) out. Either may be NULL. */
gboolean peer_state_settle(PeerState *state, const GPtrArray *changed, const GPtrArray *settled,
                           GError **error);
