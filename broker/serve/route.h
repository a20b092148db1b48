/* SPDX-License-Identifier: MIT
 *
 * Which route a request is for: pure functions over the decoded path, driven by two tables (public and
 * loopback), first match wins. The order and the greedy rules are those of the contract (facts section 1):
 * a pack path may hold any number of segments, and of several "/wiki/" in a path the last one splits.
 *
 * Percent escapes are decoded before routing. A fixed path followed by one slash is answered like the path
 * itself, since Nodes do not follow redirects; "/tree/" alone means the root in its object form.
 */
#pragma once

#include "broker/net/http.h"

/* Also the index of metrics; order is of no importance, 0 is what net reports for requests that never got
 * here. */
typedef enum {
    ROUTE_NONE,
    ROUTE_UNKNOWN, /* no such path */
    ROUTE_HOME,
    ROUTE_TREE_ROOT, /* /tree: array of names */
    ROUTE_TREE,      /* /tree/{path}: object */
    ROUTE_PACKS,
    ROUTE_SUMMARIES,
    ROUTE_PACK_INDEX, /* /packs/{one segment}/index.md */
    ROUTE_PAGE,       /* /packs/{pack}/wiki/{file} */
    ROUTE_MANIFEST,
    ROUTE_SIGNATURE,
    ROUTE_PUBLISHERS,
    ROUTE_CATALOG,
    ROUTE_RELEASE,   /* /catalog/releases/{digest} */
    ROUTE_TOMBSTONE, /* /catalog/tombstones/{pack} */
    ROUTE_CHECKPOINT,
    ROUTE_DIGEST, /* /catalog/digest and /catalog/digest/{prefixes} */
    ROUTE_CHANGES,
    ROUTE_BLOB, /* /blobs/sha256/{hex} */
    ROUTE_NODES,
    ROUTE_SEARCH,
    ROUTE_LOOKUP,
    ROUTE_REINDEX,
    ROUTE_WS,
    ROUTE_HEALTHZ,
    ROUTE_READYZ,
    ROUTE_METRICS,
    ROUTE_VERSION,
    ROUTE_API_PING,
    ROUTE_API_HEALTHZ,
    ROUTE_API_READYZ,
    ROUTE_API_STATUS,
    ROUTE_API_MIRROR_STATUS,
    ROUTE_API_MIRROR_EVENTS,
    ROUTE_API_MIRROR_HISTORY,
    ROUTE_API_MIRROR_SYNC,
    ROUTE_API_STORE_GC,
    ROUTE_API_STORE_REPAIR,
    ROUTE_COUNT
} Route;

typedef enum {
    ROUTE_METHODS_NONE, /* of ROUTE_UNKNOWN */
    ROUTE_METHODS_READ, /* GET and HEAD */
    ROUTE_METHODS_POST,
} RouteMethods;

typedef struct {
    Route route;
    RouteMethods methods;
    /* ROUTE_TREE: the directory, without the slash that may follow it. ROUTE_PAGE, ROUTE_MANIFEST and
     * ROUTE_SIGNATURE: the file, as a path below the packs directory. ROUTE_PACK_INDEX: the pack's name,
     * ROUTE_TOMBSTONE: its path. ROUTE_RELEASE and ROUTE_BLOB: the hash. ROUTE_DIGEST: the prefixes. Borrowed
     * from the matched path; empty otherwise. */
    const char *rest;
    gsize rest_len;
} RouteMatch;

/* Decodes the path of a request target. NULL (answer 404) for malformed escapes, NUL and what is not UTF-8.
 */
char *route_decode(HttpSlice path);

RouteMatch route_match_public(const char *path, gsize len);
RouteMatch route_match_api(const char *path, gsize len);

/* TRUE when the route answers this method. */
gboolean route_allows(RouteMethods methods, HttpMethod method);
/* Value of the Allow header. */
const char *route_allow_header(RouteMethods methods);

/* The file that a page, manifest, signature or pack index match stands for, as a path below the packs
 * directory, or the hash of a release or blob match; a new string. */
char *route_disk_path(const RouteMatch *match);
/* TRUE when following the ".." segments of a path below the packs directory leads outside it (contract: 403
 * instead of 404). */
gboolean route_path_escapes(const char *path, gsize len);

/* Template for metrics and the access log, such as "/packs/{pack}/wiki/{file}". */
const char *route_name(Route route);
