/* SPDX-License-Identifier: MIT
 *
 * The cold path of reading: what is not in the page cache is made by a worker from one snapshot, answered to
 * everybody who waits for it, and kept. Requests for the same thing on the same state of the same view while
 * it is being made join the first one.
 *
 * When a file turns out to be another one than was scanned, its place is scanned again on the indexer and the
 * request starts over with the new snapshot, FETCH_ATTEMPTS times at most; then it is answered 503. So no
 * answer ever mixes two states of a pack. "Another file" is one with another identity, and also one whose
 * bytes do not have the hash that the scan found: then the place is read anew however unchanged it looks.
 */
#pragma once

#include "broker/serve/state.h"

#define FETCH_ATTEMPTS 3 /* the first one and two after new scans */

/* What a worker gets. All borrowed, alive while it works. */
typedef struct {
    Serve *serve;
    const Snapshot *snapshot;
    const Catalog *catalog; /* that of the snapshot, or of the view that the request has a token for … */
    Exchange *exchange;     /* … and what other brokers are told about it; NULL when it could not be kept */
    Route route;
    const char *path; /* decoded: the directory of ROUTE_TREE, the file below the packs directory, the hash of
                         ROUTE_BLOB and ROUTE_RELEASE, the pack after which ROUTE_CATALOG begins ("": none) */
    const CatalogPack *place; /* of a file; else NULL */
    const CatalogFile *file;
    guint page;             /* of ROUTE_HOME; of ROUTE_CATALOG the number of items */
    gboolean takes_gzip;    /* who asked first would take it compressed */
    gboolean *ret_mismatch; /* set when neither form of a file fits manifest.sig */
    gboolean *ret_distrust; /* set with CONFLICT: the file looks unchanged and is not */
} FetchInput;

/* Runs on a worker. CONFLICT or NOT_FOUND for a file that is no longer what was scanned. */
typedef Resource *(*FetchFunc)(const FetchInput *input, GError **error);

typedef struct {
    Route route;
    FetchFunc make;
    const View *view; /* of the thread's snapshot; NULL: what everybody may see */
    const char *key;  /* of the page cache; NULL: made for this request alone and not kept */
    const char *path;
    gboolean is_file; /* `path` is resolved to a place and a file first (by hash for the routes that have
                         one); 404 when there is none */
    guint page;
    gint64 keep_us; /* how long it may be kept; 0: until the catalog says otherwise */
} FetchSpec;

/* Answers the exchange from the cache or by a worker. Texts of `spec` are copied. */
void fetch_run(ServeThread *thread, HttpExchange *exchange, const FetchSpec *spec);

/* Answers from the page cache if it can: the hot path. `key` is a decoded path; the answers of views are kept
 * apart. */
gboolean fetch_cached(ServeThread *thread, HttpExchange *exchange, const View *view, const char *key,
                      gsize len);
