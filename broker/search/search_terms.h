/* SPDX-License-Identifier: MIT
 *
 * From what a user typed to what FTS5 is asked.
 *
 * The text is never part of a MATCH expression. It is tokenized like a page, and the words that come out are
 * quoted one by one, so that nothing in it can be an operator. Words the index does not have are replaced by
 * the nearest ones it has (vocabulary.h).
 */
#pragma once

#include "broker/search/vocabulary.h"

/* One word of a query, or one that stands in for it. */
typedef struct {
    char *word;      /* folded */
    guint64 rows;    /* pages that contain it; 0 = none */
    gboolean prefix; /* means all words that begin with it */
} SearchTerm;

/* Words that get stand-ins in one query; the first ones are taken. */
#define SEARCH_UNKNOWN_MAX 8

/* --- Life cycle --- */

/* The distinct words of `query`, LIMIT_SEARCH_TERMS at most and the first ones, with the pages they stand on:
 * a new array of SearchTerm * (with element free function). `reader` has its temporary tables. Must run in a
 * transaction of the caller. */
GPtrArray *search_terms_read(Db *reader, const char *query, GError **error);

/* --- Operations --- */

/* Words that stand in for those of `terms` that are on no page, as a new array like it. */
GPtrArray *search_terms_stand_ins(GPtrArray *terms, const Vocabulary *vocabulary);
/* TRUE when some word is on no page. */
gboolean search_terms_have_unknown(GPtrArray *terms);

/* How much a MATCH expression leaves out. Ranking by BM25 costs time for every page that matches, and in a
 * long query nearly every page has some word. Words on more than half of all pages weigh nothing in BM25
 * (their idf is not positive). The rare words decide which pages come first, so that asking for a rare word
 * AND any of the others yields the same first pages: docs/search.md has the measurements. */
typedef enum {
    SEARCH_MATCH_RARE,     /* (rare words by OR) AND (other words by OR), without those on most pages */
    SEARCH_MATCH_SPECIFIC, /* all words by OR, without those on most pages */
    SEARCH_MATCH_ALL,      /* all words by OR */
    SEARCH_MATCH_FORMS
} SearchMatchForm;

/* The expression over the words that are on some page, or NULL when there is none or when the form leaves out
 * nothing that the next one has. `rows_total` is the number of pages in the index. */
char *search_terms_match(GPtrArray *terms, guint64 rows_total, SearchMatchForm form);
