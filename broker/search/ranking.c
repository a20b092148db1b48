/* SPDX-License-Identifier: MIT
 *
 * Which pages answer a query, and in what order.
 *
 * FTS5 is asked for the best pages up to three times, each time leaving out less (SearchMatchForm), until
 * there are enough. When some words of the query are on no page, words that stand in for them are asked for
 * by themselves, and their scores are added with a discount. docs/search.md has the measurements behind it.
 */
#include "broker/search/ranking.h"

#include "broker/search/search_terms.h"

/* Weights of the columns pack_path, page_file, title, summary, pack_summary, body in BM25; docs/search.md
 * says how they were chosen. None is 0, so that every match has a score below 0. */
#define RANK "bm25(page_text, 0.5, 4.0, 24.0, 12.0, 0.01, 1.0)"
/* What a match of a stand-in counts, compared with one of a word that was typed. */
#define STAND_IN_DISCOUNT 0.4
/* Pages taken from each side when scores of two rankings are added. */
#define MERGE_ROWS 200
/* In a scope of no more pages than this, only they are ranked, and the rare form saves nothing. */
#define NARROW_SCOPE_ROWS 2000

/* --- Before --- */

static gboolean measure_scope(Ranking *ranking, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        ranking->reader,
        "SELECT coalesce(sum(rows), 0), coalesce(min(id), 0) << 20, ((coalesce(max(id), 0) + 1) << 20) - 1 "
        "FROM scopes JOIN packs ON packs.id = scopes.pack WHERE scope = ?",
        error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_text(statement, 1, ranking->scope);
    if (!db_step(statement, &row, error))
        return FALSE;
    ranking->rows_in_scope = row ? (guint64)MAX(db_column_integer(statement, 0), 0) : 0;
    ranking->first_page = row ? db_column_integer(statement, 1) : 0;
    ranking->last_page = row ? db_column_integer(statement, 2) : 0;
    return TRUE;
}

gboolean ranking_measure(Ranking *ranking, GError **error)
{
    if (!search_schema_count_rows(ranking->reader, &ranking->rows_total, error))
        return FALSE;
    ranking->rows_in_scope = ranking->rows_total;
    return *ranking->scope == '\0' || measure_scope(ranking, error);
}

/* --- Pages for some words --- */

/* Statements differ in shape, not in text that a user gave. */
static const char *ranking_sql(const Ranking *ranking)
{
    return *ranking->scope == '\0'
               ? "SELECT rowid, " RANK " AS score FROM page_text WHERE page_text MATCH ?1 "
                 "ORDER BY score, rowid LIMIT ?2"
               : "SELECT rowid, " RANK " AS score FROM page_text WHERE page_text MATCH ?1 "
                 "AND rowid BETWEEN ?4 AND ?5 AND (rowid >> 20) IN (SELECT pack FROM "
                 "scopes WHERE scope = ?3) "
                 "ORDER BY score, rowid LIMIT ?2";
}
G_STATIC_ASSERT(SEARCH_PACK_SHIFT == 20);

static GArray *rank_match(const Ranking *ranking, const char *match, guint limit, GError **error)
{
    g_autoptr(GArray) ranked = g_array_new(FALSE, FALSE, sizeof(RankedPage));
    g_autoptr(DbStatement) statement = db_prepare(ranking->reader, ranking_sql(ranking), error);
    gboolean row = FALSE;
    if (statement == NULL)
        return NULL;
    db_bind_text(statement, 1, match);
    db_bind_integer(statement, 2, limit);
    if (*ranking->scope != '\0') {
        db_bind_text(statement, 3, ranking->scope);
        db_bind_integer(statement, 4, ranking->first_page);
        db_bind_integer(statement, 5, ranking->last_page);
    }
    do {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row) {
            RankedPage item = {db_column_integer(statement, 0), db_column_double(statement, 1)};
            g_array_append_val(ranked, item);
        }
    } while (row);
    return g_steal_pointer(&ranked);
}

/* The best `limit` pages for the words, asking for more only as long as there are fewer than `wanted`; pages
 * that have nothing but words on most pages are wanted only when there is nothing else. When the deadline
 * passes on the way, what is there already is the answer. */
static GArray *rank_terms(const Ranking *ranking, GPtrArray *terms, guint wanted, guint limit, GError **error)
{
    gboolean narrow = *ranking->scope != '\0' && ranking->rows_in_scope <= NARROW_SCOPE_ROWS;
    g_autoptr(GArray) best = g_array_new(FALSE, FALSE, sizeof(RankedPage));
    wanted = (guint)MIN(wanted, ranking->rows_in_scope);
    for (guint form = narrow ? SEARCH_MATCH_SPECIFIC : 0; form < SEARCH_MATCH_FORMS; form++) {
        g_autofree char *match = search_terms_match(terms, ranking->rows_total, form);
        if (match == NULL)
            continue;
        g_autoptr(GError) problem = NULL;
        GArray *ranked = rank_match(ranking, match, limit, &problem);
        if (ranked == NULL && best->len > 0 && g_error_matches(problem, KONTOR_ERROR, KONTOR_ERROR_BUSY))
            break;
        if (ranked == NULL) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
        g_array_unref(best);
        best = ranked;
        if (best->len >= wanted || (form == SEARCH_MATCH_SPECIFIC && best->len > 0))
            break;
    }
    return g_steal_pointer(&best);
}

static int compare_ranked(gconstpointer a, gconstpointer b)
{
    const RankedPage *left = a, *right = b;
    if (left->score != right->score)
        return left->score < right->score ? -1 : 1;
    return (left->page > right->page) - (left->page < right->page);
}

/* Adds the discounted scores of the stand-ins to those of the words that were typed. */
static void merge_ranked(GArray *ranked, GArray *stand_ins)
{
    g_autoptr(GHashTable) places = g_hash_table_new(g_int64_hash, g_int64_equal);
    guint typed = ranked->len;
    g_array_set_size(ranked, typed + stand_ins->len); /* so that no pointer into it moves */
    g_array_set_size(ranked, typed);
    for (guint i = 0; i < typed; i++)
        g_hash_table_add(places, &g_array_index(ranked, RankedPage, i));
    for (guint i = 0; i < stand_ins->len; i++) {
        RankedPage item = g_array_index(stand_ins, RankedPage, i);
        item.score *= STAND_IN_DISCOUNT;
        RankedPage *same = g_hash_table_lookup(places, &item);
        if (same != NULL)
            same->score += item.score;
        else
            g_array_append_val(ranked, item);
    }
    g_array_sort(ranked, compare_ranked);
}

/* --- Whole queries --- */

GPtrArray *ranking_stand_ins(const Ranking *ranking, GPtrArray *terms, GError **error)
{
    if (!search_terms_have_unknown(terms))
        return g_ptr_array_new();
    g_autoptr(Vocabulary) vocabulary =
        vocabulary_cache_get(ranking->vocabularies, ranking->generation, ranking->reader, error);
    return vocabulary != NULL ? search_terms_stand_ins(terms, vocabulary) : NULL;
}

GArray *ranking_query(const Ranking *ranking, const char *query, guint k, GError **error)
{
    g_autoptr(GPtrArray) terms = search_terms_read(ranking->reader, query, error);
    g_autoptr(GPtrArray) stand_ins = terms != NULL ? ranking_stand_ins(ranking, terms, error) : NULL;
    if (stand_ins == NULL)
        return NULL;
    guint limit = stand_ins->len > 0 ? MERGE_ROWS : k;
    g_autoptr(GArray) ranked = rank_terms(ranking, terms, k, limit, error);
    if (ranked == NULL || stand_ins->len == 0)
        return g_steal_pointer(&ranked);
    g_autoptr(GArray) others = rank_terms(ranking, stand_ins, k, limit, error);
    if (others == NULL)
        return NULL;
    merge_ranked(ranked, others);
    if (ranked->len > k)
        g_array_set_size(ranked, k);
    return g_steal_pointer(&ranked);
}
