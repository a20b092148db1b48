/* SPDX-License-Identifier: MIT
 *
 * The publisher keeps the one snapshot that everybody answers from, and replaces it.
 *
 * A Snapshot is immutable and atomically reference counted: configuration, catalogs, the opened directories
 * of packs and the admin tokens that belong together. An I/O thread holds one and compares it with the
 * published pointer once per request (publisher_is_current: one atomic load); only when it differs does it
 * take the short lock of publisher_acquire.
 *
 * All changes run on the indexer actor, one after another: scan the disk or take what the mirrors have
 * installed, bring the search index up to date, publish, answer whoever asked. Only the very first scan is
 * published before its index is ready, so that pages are served while the index is being built.
 *
 * Each snapshot also carries what other brokers are told about it (exchange.h), which is on disk before the
 * snapshot is published.
 *
 * Packs lie in the packs directory (local) and in the release store (mirrored). The catalog is made of both,
 * local ones first (mirrored.h); private ones are in a catalog of their own and in no index.
 *
 * A scan hashes what is new; every new place is then judged by the trust list and the policy, and what policy
 * refuses stands in the catalog without files. When trust list or policy change, or an entry of the list
 * ends, all places are judged anew from what is in memory, before the disk is looked at.
 */
#pragma once

#include "broker/config.h"
#include "broker/net/actor.h"
#include "broker/search/search.h"
#include "broker/serve/exchange_writer.h"
#include "broker/serve/former.h"
#include "broker/serve/tombstones.h"
#include "broker/serve/views.h"
#include "mirror/catalog/holdings.h"
#include "mirror/store/mirror_db.h"

typedef struct {
    gatomicrefcount refs;
    guint64 number;        /* grows with every publication */
    guint64 public_number; /* grows only when something is another for strangers; key of what is derived for
                              them, so that not even the fate of their caches tells of a private change */
    Config *config;
    Catalog *catalog;   /* what everybody may see */
    Catalog *hidden;    /* private packs, at their own paths, refused ones too; never NULL */
    PackRoot *root;     /* of both; NULL before the first scan */
    GPtrArray *tokens;  /* of char *: admin tokens */
    TrustList *trust;   /* by which the catalog was judged */
    Exchange *exchange; /* what others are told; NULL before the first scan, or when it could not be kept */
    Views *views;       /* what holders of read tokens are shown instead; NULL before the first scan */
    gboolean scanned;   /* FALSE only for the empty one before the first scan */
} Snapshot;

void snapshot_unref(Snapshot *snapshot);
Snapshot *snapshot_ref(Snapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Snapshot, snapshot_unref)

typedef struct Publisher Publisher;

/* One wish for a scan. Filled in by the asker; the results by the indexer before `done` is posted. */
typedef struct {
    char *path;           /* the place to scan with all below it; NULL or "": everything; owned */
    guint64 stale_serial; /* not 0: only when the place still has this serial */
    gboolean distrust;    /* the place at `path` is read anew even if it looks unchanged */
    Mailbox *reply_to;    /* NULL: nobody waits, the job is freed */
    MailFunc done;        /* gets the job and frees it */
    gpointer user;        /* the asker's */
    /* Results */
    guint packs; /* packs at `path` (0 or 1), or all packs */
    guint64 pages;
    GError *error; /* NULL on success */
} ScanJob;

void scan_job_free(ScanJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ScanJob, scan_job_free)

typedef enum { INDEX_STARTING, INDEX_READY, INDEX_FAILED } IndexState;

/* What is known about the latest scan and index change; for status and metrics. */
typedef struct {
    gint64 scanned_at_us; /* wall clock; 0: never */
    gint64 scan_elapsed_us;
    guint places, unchanged;
    GPtrArray *problems; /* of char *; of the latest full scan; may be NULL; a reference */
    IndexState index;
    char *index_error; /* of INDEX_FAILED; a copy */
    SearchApplyReport report;
    guint64 scans, index_failures; /* since the start */
    gint64 judge_elapsed_us;       /* of the latest judging */
    gint64 mirror_elapsed_us;      /* of the latest mirror job, until it was published; 0: there was none */
    guint mirrored, mirrored_private; /* places, also those that local ones shadow */
} PublisherInfo;

void publisher_info_clear(PublisherInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PublisherInfo, publisher_info_clear)

typedef void (*PublisherReady)(gpointer user);

/* --- Life cycle (main thread) --- */

/* `tokens` and `trust` are taken over. `ready` as in ServeOptions. */
Publisher *publisher_new(Config *config, GPtrArray *tokens, TrustList *trust, Actor *indexer,
                         PublisherReady ready, gpointer ready_user);
/* Orders that the indexer has not begun are not carried out any more; who waits for one is told, and gets a
 * result that says nothing. Before the indexer is freed, while the mailboxes are there. */
void publisher_close(Publisher *publisher);
/* After the indexer is gone. */
void publisher_free(Publisher *publisher);
/* What the publisher keeps on disk, and with what it signs; borrowed for the call, the key until
 * publisher_free. */
typedef struct {
    const char *index_path, *hashes_path, *catalog_path;
    const SecretKey *key;
} PublisherStores;

/* Opens the index, the hash store and the journal and starts the first scan. */
gboolean publisher_start(Publisher *publisher, const PublisherStores *stores, GError **error);

/* --- Operations (any thread) --- */

/* Who may see which private packs: the keeper and the tokens are taken over; at each reload the tokens are
 * read from `tokens_path` again. Before publisher_start; without it nobody sees any. */
void publisher_set_views(Publisher *publisher, ViewKeeper *keeper, ReadTokens *tokens,
                         const char *tokens_path);
/* Takes the job over. */
void publisher_scan(Publisher *publisher, ScanJob *job);
/* What is mirrored at the start, of MirroredPack * (taken over). Before publisher_start. */
void publisher_set_mirrored(Publisher *publisher, GPtrArray *packs);
/* What was served before at public paths and is still in the store (of MirroredPack *, newest first of each
 * path; taken over). Once the broker is ready they can be had by hash; what is replaced later is added by
 * itself. Before publisher_start. */
void publisher_set_former(Publisher *publisher, GPtrArray *packs);
/* What was withdrawn from public paths (of MirroredPack *); what is withdrawn later is added by itself.
 * Before publisher_start. */
void publisher_set_tombstones(Publisher *publisher, const GPtrArray *packs);

/* A change of what is mirrored. */
typedef struct {
    GPtrArray *packs;  /* of MirroredPack *: to be served, or (`withdrawn`) no longer; owned */
    Mailbox *reply_to; /* NULL: nobody waits, the job is freed */
    MailFunc done;     /* gets the job and frees it, once the packs are served and searched */
    gpointer user;
    GPtrArray *problems; /* result, of MirrorProblem *: releases that are not as they should be; owned */
} MirrorJob;
typedef struct {
    char *path;
    guint8 digest[SHA256_BYTES];
    gboolean is_private;
    AcceptRule rule; /* ACCEPT_HASH: it is damaged or missing; others: the trust list is another one by now */
    char *reason;    /* one line */
} MirrorProblem;
/* Who hears of releases that are damaged or missing (ACCEPT_HASH) and were noticed otherwise than by a job:
 * at the start, or when a file was asked for. Called by the indexer; `problem` is borrowed. Before
 * publisher_start; `user` must outlive the indexer. */
typedef void (*PublisherDamageFunc)(const MirrorProblem *problem, gpointer user);
void publisher_set_damage_func(Publisher *publisher, PublisherDamageFunc func, gpointer user);
void mirror_job_free(MirrorJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MirrorJob, mirror_job_free)
/* Takes the job over. Each release is read from the release store, hashed and judged again; what is not as it
 * was when it was installed is not served. Of several records of one path and visibility the last counts.
 * Before the first scan is published the job only changes what that scan will publish. */
void publisher_mirror(Publisher *publisher, MirrorJob *job);

/* New configuration (a reference is taken), tokens and trust list read again, everything judged anew if that
 * may change a verdict, then a full scan. Of several that wait for the indexer the last is carried out. */
void publisher_reload(Publisher *publisher, Config *config);
/* Judges anew when the time of `now` (Unix seconds) calls for it. To be called now and then; costs one atomic
 * load. */
void publisher_tick(Publisher *publisher, gint64 now);

/* --- Queries (any thread) --- */

/* A new reference to the published snapshot. Takes a short lock. */
Snapshot *publisher_acquire(Publisher *publisher);
/* TRUE while `held`, to which the caller has a reference, is the published one. One atomic load. */
gboolean publisher_is_current(const Publisher *publisher, const Snapshot *held);
/* Catalog published and index up to date, at least once. */
gboolean publisher_is_ready(const Publisher *publisher);
/* NULL before publisher_start; lives as long as the publisher. */
SearchIndex *publisher_index(const Publisher *publisher);
void publisher_info(Publisher *publisher, PublisherInfo *ret);
/* What can be asked for by hash; lives as long as the publisher. */
Holdings *publisher_holdings(const Publisher *publisher);
Former *publisher_former(const Publisher *publisher);
/* What was withdrawn; the same way. */
Tombstones *publisher_tombstones(const Publisher *publisher);
