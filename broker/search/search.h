/* SPDX-License-Identifier: MIT
 *
 * Full-text search over the indexed rows of all packs. This header is the whole surface: the inside (SQLite
 * FTS5 in index.db today) may be replaced.
 *
 * A SearchIndex is shared by all threads. search_index_apply() is called by one thread at a time (the
 * indexer); queries may run on any number of worker threads at once and see the state after the last finished
 * apply. Nothing here runs on an I/O thread. The file can be deleted at any time while the program is
 * stopped; a damaged or older one is made anew.
 *
 * Contract (facts section 4, docs/search.md): scores are finite, negative, lower is better, ascending;
 * statistics are global, whatever the scope; ties keep index order.
 */
#pragma once

#include "mirror/store/pack_scan.h"

typedef struct SearchIndex SearchIndex;

/* --- Life cycle --- */

/* Opens or creates the file. `ret_rebuilt` (may be NULL) receives why an existing file was thrown away (a new
 * string), or NULL. */
SearchIndex *search_index_open(const char *path, char **ret_rebuilt, GError **error);
void search_index_free(SearchIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SearchIndex, search_index_free)

/* --- Operations --- */

/* `func` is called when somebody meets damage in the file, once until it is made anew, with a message, on the
 * thread that met it. search_index_apply should then be called soon. Set it before the first query. */
typedef void (*SearchDamageFunc)(gpointer user, const char *message);
void search_index_set_damage_func(SearchIndex *index, SearchDamageFunc func, gpointer user);

typedef struct {
    guint packs_read; /* packs whose pages were read, because they are new or their fingerprint changed */
    guint packs_kept; /* packs that were up to date */
    guint packs_removed;
    guint rows; /* rows in the index afterwards */
    gint64 elapsed_us;
    gboolean rebuilt; /* the file turned out to be damaged while in use and was made anew */
} SearchApplyReport;

/* Makes the index describe exactly the packs of `catalog`; packs with an unchanged fingerprint are not read.
 * Pages are read through `root`; a page that cannot be read has an empty body. One transaction: queries see
 * the old state or the new one. `threads` ≥ 1 readers. */
gboolean search_index_apply(SearchIndex *index, PackRoot *root, const Catalog *catalog, guint threads,
                            SearchApplyReport *ret_report, GError **error);
/* The same for the packs of `upserts` (of CatalogPack *) and `removals` (of char *) only: costs what changed.
 * CORRUPT when the file is known to be damaged or turns out to be: search_index_apply makes it anew. */
gboolean search_index_apply_changes(SearchIndex *index, PackRoot *root, GPtrArray *upserts,
                                    GPtrArray *removals, SearchApplyReport *ret_report, GError **error);

/* --- Queries --- */

typedef struct {
    char *pack_path;
    char *page_file;
    char *title;
    char *summary;
    char *pack_summary;
    double score; /* finite, < 0, lower is better */
} SearchHit;

typedef struct {
    char *pack_path;
    guint match_count;
} SearchEntity;

/* The best `k` (1..LIMIT_SEARCH_CANDIDATES) rows for free text `query` within `scope` (normalized; "" =
 * everywhere), as a new array of SearchHit * (element free function set). An empty array when the text has no
 * searchable word. BUSY when `deadline_us` (monotonic) passed. */
GPtrArray *search_index_query(SearchIndex *index, const char *query, guint k, const char *scope,
                              gint64 deadline_us, GError **error);
/* The packs with most rows matching `term`, best first, as a new array of SearchEntity *. */
GPtrArray *search_index_lookup(SearchIndex *index, const char *term, guint limit, gint64 deadline_us,
                               GError **error);
/* Grows with every finished apply that changed something; key for caches. Any thread. */
guint64 search_index_generation(const SearchIndex *index);
guint64 search_index_rows(const SearchIndex *index);
