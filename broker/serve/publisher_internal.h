/* SPDX-License-Identifier: MIT
 *
 * What the parts of the publisher share; nobody else includes this.
 *
 *   publisher.c         snapshots, life cycle, the orders that the indexer carries out
 *   publisher_scan.c    what the packs directory says → a change of the local places
 *   publisher_mirror.c  what the mirrors say → a change of the mirrored places
 *   publisher_change.c  a change, whatever it came from → catalogs, index, holdings, exchange, snapshot
 *
 * Everything here runs on the indexer.
 */
#pragma once

#include "broker/serve/former.h"
#include "broker/serve/mirrored.h"
#include "broker/serve/publisher.h"

struct Publisher {
    GMutex lock;
    Snapshot *current;  /* read without the lock by publisher_is_current; replaced under it */
    PublisherInfo info; /* guarded by the lock */
    gint ready;         /* atomic */
    gint reloads;       /* atomic; ordered and not yet begun */
    gint closing;       /* atomic */
    gint64 judge_at;    /* atomic; Unix seconds at which a verdict may change by itself */
    Actor *indexer;
    SearchIndex *index;
    Holdings *holdings;
    Former *former;
    Tombstones *tombstones;
    /* Indexer only: */
    guint64 numbers;           /* given out */
    TrustList *trust;          /* for the next snapshot */
    Catalog *local;            /* the places of the packs directory, judged: what scans compare with */
    Mirrored *mirrored;        /* the others; Snapshot.catalog and .hidden are made of both */
    GPtrArray *waiting;        /* of MirroredPack *: to be taken at the next occasion; or NULL */
    GPtrArray *waiting_former; /* of MirroredPack *, newest first of each path: to be taken after the start */
    HashStore *hashes;         /* NULL: there is none, everything is hashed at every start */
    HashStore *release_hashes; /* the same for the release store; opened when there is something in it */
    gboolean release_hashes_tried;
    ExchangeWriter *exchange;
    ViewKeeper *views; /* NULL: nobody sees what is private */
    ReadTokens *read_tokens;
    char *read_tokens_path;
    /* What the places were judged by; there are no others. */
    PackPolicy judged_policy;
    guint8 judged_trust[SHA256_BYTES];
    PublisherReady ready_func;
    gpointer ready_user;
    PublisherDamageFunc damage_func; /* may be NULL */
    gpointer damage_user;
};

/* How many threads read, hash and judge. */
guint publisher_threads(const Publisher *publisher);
/* Opens a store of hashes; one that cannot be opened is done without: NULL. */
HashStore *publisher_open_hashes(const char *path);
/* Saves hashes; a store that fails is closed, and costs time at the next start and nothing else. `whole` as
 * in hash_store_save. */
void publisher_save_hashes(HashStore **store, GPtrArray *upserts, GPtrArray *removals, GHashTable *whole);
/* When a verdict may change by itself; without `all` it may only become earlier, since the other places were
 * not judged. */
void publisher_note_time(Publisher *publisher, gint64 until, gboolean all);

/* --- Snapshots (publisher.c) --- */

/* A copy with everything referenced once more and a number of its own, to be changed before publication. */
Snapshot *publisher_derive(Publisher *publisher, const Snapshot *from);
/* Takes the snapshot over and lays the views over it. */
void publisher_publish(Publisher *publisher, Snapshot *snapshot);

/* --- A change (publisher_change.c) --- */

typedef struct {
    PackRoot *root; /* afterwards; NULL only before the first scan */
    Catalog *local; /* afterwards */
    GPtrArray
        *directories; /* of char *: the empty ones that the tree shall show, borrowed; NULL: as before */
    MirroredTouch touch;
    gboolean full; /* anything may have changed: the index looks at everything */
    /* Made by change_merge: */
    Catalog *catalog, *hidden;
    CatalogChange open, closed; /* what these two have new and no longer */
} Change;

/* Begins with everything as it is. */
void change_init(Change *change, const Publisher *publisher);
void change_clear(Change *change);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)
/* Takes judged local places and removals over into `local`, and touches them. */
void change_local(Change *change, GPtrArray *upserts, GPtrArray *removals);
/* Opens both directories of packs anew. */
gboolean change_open_root(Change *change, const Publisher *publisher, GError **error);
/* Works out the catalogs from the touched paths. */
void change_merge(Change *change, const Publisher *publisher);
/* Merged changes: brings index, holdings, exchange and snapshot up to date. FALSE when the index failed; it
 * is published all the same. */
gboolean change_publish(Change *change, Publisher *publisher, GError **error);

/* --- Where changes come from --- */

/* Scans as `wish` says (NULL: everything) and publishes. */
gboolean publisher_scan_and_publish(Publisher *publisher, const ScanJob *wish, GError **error);
/* Judges everything by the present trust list and policies and publishes what is new. Nothing is read from
 * disk, so that a revocation takes effect whatever state the disk is in. */
void publisher_judge_and_publish(Publisher *publisher);
/* FALSE when trust list and policy are those that all places were judged by. */
gboolean publisher_judgement_is_stale(const Publisher *publisher);

/* Takes into the mirrored set what waits: at the start all that is mirrored, later what a job could not read.
 * Nothing is published. */
void publisher_take_waiting(Publisher *publisher, Change *change);
/* The mirrored place that was read with this serial is read again, with the hashes of all of its files, and
 * published. FALSE when there is none. */
gboolean publisher_mirror_again(Publisher *publisher, const char *path, guint64 serial, GError **error);
/* Carries a job out but for the answer. */
void publisher_run_mirror(Publisher *publisher, MirrorJob *job);
/* Takes some of the former releases that wait. FALSE when there are no more. */
gboolean publisher_take_former(Publisher *publisher);
