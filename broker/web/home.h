/* SPDX-License-Identifier: MIT
 *
 * GET / for people: what this broker is, its packs, and a search box that works without JavaScript. One
 * self-contained page without scripts and without anything from elsewhere; light and dark; readable on a
 * phone and for a screen reader. Rendering is pure and happens on workers.
 */
#pragma once

#include "broker/mirrors/mirrors.h"
#include "broker/net/http.h"
#include "broker/relay/relay.h"
#include "broker/serve/resource.h"
#include "mirror/catalog/catalog.h"

enum {
    HOME_PACKS = 50,   /* on one page */
    HOME_RESULTS = 20, /* of a search */
    HOME_SOURCES = 50, /* how many more there are is said */
};

typedef struct {
    const char *name; /* of the broker; borrowed */
    guint packs;
    guint64 pages;
    gboolean has_nodes; /* there is a relay to count them */
    guint nodes;
    const char *fingerprint; /* of the broker's key; borrowed; NULL: not shown */
} HomeFigures;

HomeFigures home_figures(const char *name, const Catalog *catalog, Relay *relay);

/* The list of packs, page `page` (from 1; beyond the end: the last). `places` are CatalogPack * in order of
 * their paths. `sources` (of MirrorsSource *, or NULL) are named on the first page: what is public about
 * them, and neither why one fails nor where on this host one lies. */
Resource *home_page(const HomeFigures *figures, const GPtrArray *places, const GPtrArray *sources,
                    guint page);
/* The results of a search: `hits` (of SearchHit *), or why there are none in `problem`. */
HttpReply *home_results_reply(const HomeFigures *figures, guint status, const char *text, const char *scope,
                              const GPtrArray *hits, const char *problem);
