/* SPDX-License-Identifier: MIT
 *
 * Words of a query and MATCH expressions.
 */
#include "broker/search/search_terms.h"

#include "broker/search/search_text.h"
#include "schema/limits.h"

#include <string.h>

/* Rare words are taken while they are on no more pages than this, all together: measured to give the same
 * MRR as ranking every match, for a tenth of the time. */
#define RARE_ROWS_MAX 500

static void term_free(gpointer data)
{
    SearchTerm *term = data;
    g_free(term->word);
    g_free(term);
}

static GPtrArray *terms_new(void)
{
    return g_ptr_array_new_with_free_func(term_free);
}

/* --- Words of a query --- */

static gboolean tokenize(Db *reader, const char *query, GError **error)
{
    g_autoptr(GString) scratch = g_string_new(NULL);
    TextSpan text = search_text_split(query, strlen(query), SEARCH_TEXT_QUERY, scratch);
    g_autoptr(DbStatement) statement =
        db_prepare(reader, "INSERT INTO temp.query_text(rowid, query) VALUES (1, ?)", error);
    if (statement == NULL)
        return FALSE;
    db_bind_text_len(statement, 1, text.text, text.len);
    return db_run(statement, error);
}

static gboolean read_tokens(Db *reader, GPtrArray *terms, GError **error)
{
    g_autoptr(DbStatement) statement = db_prepare(
        reader, "SELECT term FROM temp.query_words GROUP BY term ORDER BY min(offset) LIMIT ?", error);
    gboolean row = FALSE;
    if (statement == NULL)
        return FALSE;
    db_bind_integer(statement, 1, LIMIT_SEARCH_TERMS);
    do {
        if (!db_step(statement, &row, error))
            return FALSE;
        if (row) {
            SearchTerm *term = g_new0(SearchTerm, 1);
            term->word = g_strdup(db_column_text(statement, 0));
            term->prefix = search_text_is_single(term->word);
            g_ptr_array_add(terms, term);
        }
    } while (row);
    return TRUE;
}

/* For a prefix the sum over its words: an upper bound, which is all that is needed to weigh effort. */
static gboolean term_count_rows(Db *reader, SearchTerm *term, GError **error)
{
    g_autoptr(DbStatement) statement =
        db_prepare(reader, "SELECT coalesce(sum(rows), 0) FROM words WHERE word >= ?1 AND word <= ?2", error);
    if (statement == NULL)
        return FALSE;
    g_autofree char *last = g_strconcat(term->word, term->prefix ? "\xf4\x8f\xbf\xbf" : "", NULL);
    gboolean row = FALSE;
    db_bind_text(statement, 1, term->word);
    db_bind_text(statement, 2, last);
    if (!db_step(statement, &row, error))
        return FALSE;
    term->rows = row ? (guint64)MAX(db_column_integer(statement, 0), 0) : 0;
    return TRUE;
}

GPtrArray *search_terms_read(Db *reader, const char *query, GError **error)
{
    g_autoptr(GPtrArray) terms = terms_new();
    if (!tokenize(reader, query, error) || !read_tokens(reader, terms, error))
        return NULL;
    for (guint i = 0; i < terms->len; i++)
        if (!term_count_rows(reader, terms->pdata[i], error))
            return NULL;
    return g_steal_pointer(&terms);
}

/* --- Stand-ins --- */

gboolean search_terms_have_unknown(GPtrArray *terms)
{
    for (guint i = 0; i < terms->len; i++)
        if (((SearchTerm *)terms->pdata[i])->rows == 0)
            return TRUE;
    return FALSE;
}

static gboolean has_word(GPtrArray *terms, const char *word, gsize len)
{
    for (guint i = 0; i < terms->len; i++) {
        const SearchTerm *term = terms->pdata[i];
        if (strlen(term->word) == len && memcmp(term->word, word, len) == 0)
            return TRUE;
    }
    return FALSE;
}

GPtrArray *search_terms_stand_ins(GPtrArray *terms, const Vocabulary *vocabulary)
{
    GPtrArray *stand_ins = terms_new();
    guint unknown = 0;
    for (guint i = 0; i < terms->len && unknown < SEARCH_UNKNOWN_MAX; i++) {
        const SearchTerm *term = terms->pdata[i];
        if (term->rows > 0)
            continue;
        VocabularyWord found[VOCABULARY_STANDINS_MAX];
        guint count = vocabulary_find(vocabulary, term->word, found);
        unknown++;
        for (guint j = 0; j < count; j++) {
            if (has_word(terms, found[j].word, found[j].len) ||
                has_word(stand_ins, found[j].word, found[j].len))
                continue;
            SearchTerm *stand_in = g_new0(SearchTerm, 1);
            stand_in->word = g_strndup(found[j].word, found[j].len);
            stand_in->rows = found[j].rows;
            g_ptr_array_add(stand_ins, stand_in);
        }
    }
    return stand_ins;
}

/* --- MATCH expressions --- */

static int compare_by_rows(gconstpointer a, gconstpointer b)
{
    const SearchTerm *left = *(SearchTerm *const *)a, *right = *(SearchTerm *const *)b;
    if (left->rows != right->rows)
        return left->rows < right->rows ? -1 : 1;
    return strcmp(left->word, right->word);
}

/* The words on some page, rarest first; *ret_rows is the sum of their pages. */
static GPtrArray *known_by_rows(GPtrArray *terms, guint64 *ret_rows)
{
    GPtrArray *known = g_ptr_array_new();
    *ret_rows = 0;
    for (guint i = 0; i < terms->len; i++) {
        SearchTerm *term = terms->pdata[i];
        if (term->rows == 0)
            continue;
        g_ptr_array_add(known, term);
        *ret_rows += term->rows;
    }
    g_ptr_array_sort(known, compare_by_rows);
    return known;
}

/* How many of the sorted words are on half of all pages at most; never none. */
static guint count_specific(GPtrArray *known, guint64 rows_total)
{
    guint count = 1;
    while (count < known->len && ((SearchTerm *)known->pdata[count])->rows <= rows_total / 2)
        count++;
    return count;
}

static guint count_rare(GPtrArray *known, guint specific)
{
    guint count = 1;
    guint64 rows = ((SearchTerm *)known->pdata[0])->rows;
    while (count < specific && rows + ((SearchTerm *)known->pdata[count])->rows <= RARE_ROWS_MAX)
        rows += ((SearchTerm *)known->pdata[count++])->rows;
    return count;
}

/* Appends words number first..end-1 as "one" OR "two". */
static void append_or(GString *out, GPtrArray *known, guint first, guint end)
{
    for (guint i = first; i < end; i++) {
        const SearchTerm *term = known->pdata[i];
        g_string_append(out, i > first ? " OR \"" : "\"");
        for (const char *c = term->word; *c != '\0'; c++) {
            if (*c == '"')
                g_string_append_c(out, '"');
            g_string_append_c(out, *c);
        }
        g_string_append(out, term->prefix ? "\" *" : "\"");
    }
}

char *search_terms_match(GPtrArray *terms, guint64 rows_total, SearchMatchForm form)
{
    guint64 rows = 0;
    g_autoptr(GPtrArray) known = known_by_rows(terms, &rows);
    if (known->len == 0)
        return NULL;
    guint specific = count_specific(known, rows_total), rare = count_rare(known, specific);
    gboolean affordable = rows <= RARE_ROWS_MAX;
    GString *out = g_string_new(NULL);
    if (form == SEARCH_MATCH_ALL) {
        append_or(out, known, 0, known->len);
    } else if (form == SEARCH_MATCH_SPECIFIC && specific < known->len && !affordable) {
        append_or(out, known, 0, specific);
    } else if (form == SEARCH_MATCH_RARE && rare < specific && !affordable) {
        g_string_append_c(out, '(');
        append_or(out, known, 0, rare);
        g_string_append(out, ") AND (");
        append_or(out, known, rare, specific);
        g_string_append_c(out, ')');
    }
    return g_string_free(out, out->len == 0);
}
