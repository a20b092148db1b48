/* SPDX-License-Identifier: MIT */
#include "broker/serve/route.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/pack_path.h"

/* How a row of the table is compared. */
typedef enum {
    SHAPE_EXACT,   /* the path is `head` (or `head` and one slash, in the second pass) */
    SHAPE_BELOW,   /* begins with `head`; the rest may be anything */
    SHAPE_SEGMENT, /* `head`, one segment without slash, `tail` */
    SHAPE_LAST,    /* `head`, then anything, in which `tail` occurs; what follows its last place is a file */
    SHAPE_TAIL,    /* `head`, anything, `tail` */
} Shape;

typedef struct {
    Route route;
    RouteMethods methods;
    Shape shape;
    gboolean slash; /* SHAPE_EXACT: a trailing slash is forgiven */
    const char *head;
    const char *tail;
} RouteRule;

/* Order matters: a wiki page called manifest.yaml is a page. */
static const RouteRule public_rules[] = {
    {ROUTE_HOME, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/", NULL},
    {ROUTE_TREE_ROOT, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/tree", NULL},
    {ROUTE_TREE, ROUTE_METHODS_READ, SHAPE_BELOW, FALSE, "/tree/", NULL},
    {ROUTE_PACKS, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/packs", NULL},
    {ROUTE_SUMMARIES, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/packs/summaries", NULL},
    {ROUTE_PACK_INDEX, ROUTE_METHODS_READ, SHAPE_SEGMENT, FALSE, "/packs/", "/index.md"},
    {ROUTE_PAGE, ROUTE_METHODS_READ, SHAPE_LAST, FALSE, "/packs/", "/wiki/"},
    {ROUTE_MANIFEST, ROUTE_METHODS_READ, SHAPE_TAIL, FALSE, "/packs/", "/manifest.yaml"},
    {ROUTE_SIGNATURE, ROUTE_METHODS_READ, SHAPE_TAIL, FALSE, "/packs/", "/manifest.sig"},
    {ROUTE_PUBLISHERS, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/publishers", NULL},
    {ROUTE_CATALOG, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/catalog", NULL},
    {ROUTE_RELEASE, ROUTE_METHODS_READ, SHAPE_BELOW, FALSE, "/catalog/releases/", NULL},
    {ROUTE_TOMBSTONE, ROUTE_METHODS_READ, SHAPE_BELOW, FALSE, "/catalog/tombstones/", NULL},
    {ROUTE_CHECKPOINT, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/catalog/checkpoint", NULL},
    {ROUTE_DIGEST, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/catalog/digest", NULL},
    {ROUTE_DIGEST, ROUTE_METHODS_READ, SHAPE_BELOW, FALSE, "/catalog/digest/", NULL},
    {ROUTE_CHANGES, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/catalog/changes", NULL},
    {ROUTE_BLOB, ROUTE_METHODS_READ, SHAPE_BELOW, FALSE, "/blobs/sha256/", NULL},
    {ROUTE_NODES, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/nodes", NULL},
    {ROUTE_SEARCH, ROUTE_METHODS_POST, SHAPE_EXACT, TRUE, "/search", NULL},
    {ROUTE_LOOKUP, ROUTE_METHODS_POST, SHAPE_EXACT, TRUE, "/lookup_entity", NULL},
    {ROUTE_REINDEX, ROUTE_METHODS_POST, SHAPE_EXACT, TRUE, "/admin/reindex", NULL},
    {ROUTE_WS, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/ws", NULL},
    {ROUTE_HEALTHZ, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/healthz", NULL},
    {ROUTE_READYZ, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/readyz", NULL},
    {ROUTE_METRICS, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/metrics", NULL},
    {ROUTE_VERSION, ROUTE_METHODS_READ, SHAPE_EXACT, TRUE, "/version", NULL},
};

static const RouteRule api_rules[] = {
    {ROUTE_API_PING, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/ping", NULL},
    {ROUTE_API_HEALTHZ, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/healthz", NULL},
    {ROUTE_API_READYZ, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/readyz", NULL},
    {ROUTE_API_STATUS, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/broker/status", NULL},
    {ROUTE_API_MIRROR_STATUS, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/mirror/status", NULL},
    {ROUTE_API_MIRROR_EVENTS, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/mirror/events", NULL},
    {ROUTE_API_MIRROR_HISTORY, ROUTE_METHODS_READ, SHAPE_EXACT, FALSE, "/v1/mirror/history", NULL},
    {ROUTE_API_MIRROR_SYNC, ROUTE_METHODS_POST, SHAPE_EXACT, FALSE, "/v1/mirror/sync", NULL},
    {ROUTE_API_STORE_GC, ROUTE_METHODS_POST, SHAPE_EXACT, FALSE, "/v1/store/gc", NULL},
    {ROUTE_API_STORE_REPAIR, ROUTE_METHODS_POST, SHAPE_EXACT, FALSE, "/v1/store/repair", NULL},
};

static const char *const route_names[ROUTE_COUNT] = {
    [ROUTE_NONE] = "none",
    [ROUTE_UNKNOWN] = "unknown",
    [ROUTE_HOME] = "/",
    [ROUTE_TREE_ROOT] = "/tree",
    [ROUTE_TREE] = "/tree/{path}",
    [ROUTE_PACKS] = "/packs",
    [ROUTE_SUMMARIES] = "/packs/summaries",
    [ROUTE_PACK_INDEX] = "/packs/{name}/index.md",
    [ROUTE_PAGE] = "/packs/{pack}/wiki/{file}",
    [ROUTE_MANIFEST] = "/packs/{pack}/manifest.yaml",
    [ROUTE_SIGNATURE] = "/packs/{pack}/manifest.sig",
    [ROUTE_PUBLISHERS] = "/publishers",
    [ROUTE_CATALOG] = "/catalog",
    [ROUTE_RELEASE] = "/catalog/releases/{digest}",
    [ROUTE_TOMBSTONE] = "/catalog/tombstones/{pack}",
    [ROUTE_CHECKPOINT] = "/catalog/checkpoint",
    [ROUTE_DIGEST] = "/catalog/digest/{prefixes}",
    [ROUTE_CHANGES] = "/catalog/changes",
    [ROUTE_BLOB] = "/blobs/sha256/{hex}",
    [ROUTE_NODES] = "/nodes",
    [ROUTE_SEARCH] = "/search",
    [ROUTE_LOOKUP] = "/lookup_entity",
    [ROUTE_REINDEX] = "/admin/reindex",
    [ROUTE_WS] = "/ws",
    [ROUTE_HEALTHZ] = "/healthz",
    [ROUTE_READYZ] = "/readyz",
    [ROUTE_METRICS] = "/metrics",
    [ROUTE_VERSION] = "/version",
    [ROUTE_API_PING] = "/v1/ping",
    [ROUTE_API_HEALTHZ] = "/v1/healthz",
    [ROUTE_API_READYZ] = "/v1/readyz",
    [ROUTE_API_STATUS] = "/v1/broker/status",
    [ROUTE_API_MIRROR_STATUS] = "/v1/mirror/status",
    [ROUTE_API_MIRROR_EVENTS] = "/v1/mirror/events",
    [ROUTE_API_MIRROR_HISTORY] = "/v1/mirror/history",
    [ROUTE_API_MIRROR_SYNC] = "/v1/mirror/sync",
    [ROUTE_API_STORE_GC] = "/v1/store/gc",
    [ROUTE_API_STORE_REPAIR] = "/v1/store/repair",
};

char *route_decode(HttpSlice path)
{
    if (path.len > LIMIT_HTTP_TARGET_BYTES)
        return NULL;
    return pack_path_percent_decode(path.text, path.len);
}

static gboolean has_prefix(const char *path, gsize len, const char *prefix)
{
    gsize prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(path, prefix, prefix_len) == 0;
}

static gboolean has_suffix(const char *path, gsize len, const char *suffix)
{
    gsize suffix_len = strlen(suffix);
    return len >= suffix_len && memcmp(path + len - suffix_len, suffix, suffix_len) == 0;
}

/* Compares what follows `head` with the rest of the rule; sets the variable part on success. */
static gboolean match_rest(const RouteRule *rule, RouteMatch *match)
{
    const char *rest = match->rest;
    gsize len = match->rest_len;
    switch (rule->shape) {
    case SHAPE_EXACT:
        return len == 0;
    case SHAPE_BELOW:
        if (len > 0 && rest[len - 1] == '/')
            match->rest_len--;
        return TRUE;
    case SHAPE_SEGMENT:
        if (!has_suffix(rest, len, rule->tail))
            return FALSE;
        match->rest_len = len - strlen(rule->tail);
        return match->rest_len > 0 && memchr(rest, '/', match->rest_len) == NULL;
    case SHAPE_LAST:
        return memmem(rest, len, rule->tail, strlen(rule->tail)) != NULL;
    case SHAPE_TAIL:
        return has_suffix(rest, len, rule->tail);
    default:
        g_assert_not_reached();
    }
}

static gboolean match_rule(const RouteRule *rule, const char *path, gsize len, RouteMatch *ret)
{
    if (!has_prefix(path, len, rule->head))
        return FALSE;
    gsize head_len = strlen(rule->head);
    RouteMatch match = {rule->route, rule->methods, path + head_len, len - head_len};
    if (!match_rest(rule, &match))
        return FALSE;
    *ret = match;
    return TRUE;
}

static RouteMatch match_rules(const RouteRule *rules, guint count, const char *path, gsize len)
{
    RouteMatch match = {ROUTE_UNKNOWN, ROUTE_METHODS_NONE, path + len, 0};
    for (guint i = 0; i < count; i++) {
        if (match_rule(&rules[i], path, len, &match))
            return match;
    }
    if (len > 1 && path[len - 1] == '/') {
        for (guint i = 0; i < count; i++) {
            if (rules[i].slash && match_rule(&rules[i], path, len - 1, &match))
                return match;
        }
    }
    return match;
}

RouteMatch route_match_public(const char *path, gsize len)
{
    return match_rules(public_rules, G_N_ELEMENTS(public_rules), path, len);
}

RouteMatch route_match_api(const char *path, gsize len)
{
    return match_rules(api_rules, G_N_ELEMENTS(api_rules), path, len);
}

gboolean route_allows(RouteMethods methods, HttpMethod method)
{
    switch (methods) {
    case ROUTE_METHODS_READ:
        return method == HTTP_GET || method == HTTP_HEAD;
    case ROUTE_METHODS_POST:
        return method == HTTP_POST;
    case ROUTE_METHODS_NONE:
    default:
        return FALSE;
    }
}

const char *route_allow_header(RouteMethods methods)
{
    return methods == ROUTE_METHODS_POST ? "POST" : "GET, HEAD";
}

char *route_disk_path(const RouteMatch *match)
{
    g_autofree char *rest = g_strndup(match->rest, match->rest_len);
    if (match->route == ROUTE_PACK_INDEX)
        return g_strconcat(rest, "/wiki/index.md", NULL);
    g_assert(match->route == ROUTE_PAGE || match->route == ROUTE_MANIFEST ||
             match->route == ROUTE_SIGNATURE || match->route == ROUTE_RELEASE || match->route == ROUTE_BLOB);
    return g_steal_pointer(&rest);
}

gboolean route_path_escapes(const char *path, gsize len)
{
    const char *end = path + len;
    int depth = 0;
    while (path < end) {
        const char *slash = memchr(path, '/', (gsize)(end - path));
        const char *stop = slash != NULL ? slash : end;
        gsize segment = (gsize)(stop - path);
        if (segment == 2 && path[0] == '.' && path[1] == '.')
            depth--;
        else if (segment > 0 && !(segment == 1 && path[0] == '.'))
            depth++;
        if (depth < 0)
            return TRUE;
        path = slash != NULL ? slash + 1 : end;
    }
    return FALSE;
}

const char *route_name(Route route)
{
    return route < ROUTE_COUNT ? route_names[route] : "none";
}
