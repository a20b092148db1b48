/* SPDX-License-Identifier: MIT
 *
 * Which pages answer a query, and in what order. Works on one read transaction of one connection, which the
 * caller opens and ends.
 */
#pragma once

#include "broker/search/search_schema.h"
#include "broker/search/vocabulary.h"

/* One query on its way. */
typedef struct {
    Db *reader;
    VocabularyCache *vocabularies;
    guint64 generation; /* of the index, for the cache */
    const char *scope;  /* normalized; "" = everywhere */
    /* Filled by ranking_measure: */
    guint64 rows_total;
    guint64 rows_in_scope;
    gint64 first_page; /* numbers of the pages in scope lie between these two; others lie there, too */
    gint64 last_page;
} Ranking;

/* A page and its score: finite, below 0, lower is better. */
typedef struct {
    gint64 page; /* number, see search_schema.h */
    double score;
} RankedPage;

/* Finds out how much there is to search. Before anything else. */
gboolean ranking_measure(Ranking *ranking, GError **error);

/* The best `k` pages, in ascending order of score, equal ones in index order, as a new array of RankedPage.
 */
GArray *ranking_query(const Ranking *ranking, const char *query, guint k, GError **error);

/* Words that stand in for those of `terms` (of SearchTerm *) that are on no page, as a new array of
 * SearchTerm *; empty when all are known. */
GPtrArray *ranking_stand_ins(const Ranking *ranking, GPtrArray *terms, GError **error);
