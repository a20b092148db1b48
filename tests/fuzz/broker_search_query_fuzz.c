/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a query against a small index: it must be answered without an error, with finite scores below
 * 0 in ascending order. Up to the first line feed the input is the scope, if it can be one; the rest is the
 * query. Text that has been cut into words must still be UTF-8 wherever it was before.
 */
#include "broker/search/search.h"
#include "broker/search/search_schema.h"
#include "broker/search/search_text.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static SearchIndex *search_index;
static char *directory;

static void remove_directory(void)
{
    search_index_free(search_index);
    g_autofree char *path = g_build_filename(directory, "index.db", NULL);
    db_delete(path, NULL);
    g_rmdir(directory);
}

/* Two packs of two pages each, written straight into the tables. */
static const char CONTENT[] =
    "INSERT INTO packs VALUES (1, 'a/b', x'', 'first', 2), (2, 'c', x'', 'second', 2);"
    "INSERT INTO scopes VALUES ('a/b', 1), ('a', 1), ('c', 2);"
    "INSERT INTO pages SELECT (column1 << 20) + column2, column3, column4, '', column5 FROM (VALUES "
    "(1, 0, 'x.md', 'Julius Caesar', 'one two three'), (1, 1, 'y.md', 'Rubicon river', 'two three four'),"
    "(2, 0, 'x.md', 'near or not', 'and 100 words'), (2, 1, 'z.md', '古代 代ロ ロー 国', 'crème'));"
    "INSERT INTO page_text(rowid, pack_path, page_file, title, summary, pack_summary, body) "
    "SELECT pages.id, path, file, title, pages.summary, packs.summary, body FROM pages JOIN packs ON "
    "packs.id = "
    "pages.id >> 20;"
    "INSERT INTO words SELECT term, doc FROM page_words;";

static void set_up(void)
{
    g_autoptr(GError) error = NULL;
    directory = g_dir_make_tmp("kontor-fuzz-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *path = g_build_filename(directory, "index.db", NULL);
    Db *db = search_schema_open_writer(path, &error);
    g_assert_no_error(error);
    db_exec(db, CONTENT, &error);
    g_assert_no_error(error);
    db_close(db);
    search_index = search_index_open(path, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(search_index_rows(search_index), ==, 4);
    atexit(remove_directory);
}

static void check_hits(GPtrArray *hits, const char *scope)
{
    for (guint i = 0; i < hits->len; i++) {
        const SearchHit *hit = hits->pdata[i];
        g_assert_true(isfinite(hit->score) && hit->score < 0);
        g_assert_true(i == 0 || ((SearchHit *)hits->pdata[i - 1])->score <= hit->score);
        g_assert_true(pack_scope_contains(scope, hit->pack_path));
    }
}

static void check_split(const char *text, gsize len)
{
    g_autoptr(GString) scratch = g_string_new(NULL);
    for (int kind = SEARCH_TEXT_PAGE; kind <= SEARCH_TEXT_QUERY; kind++) {
        TextSpan span = search_text_split(text, len, (SearchTextKind)kind, scratch);
        g_assert_true(span.len >= len);
        g_assert_true(!text_is_utf8(text, len, NULL) || text_is_utf8(span.text, span.len, NULL));
    }
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    if (search_index == NULL)
        set_up();
    check_split((const char *)data, size);
    g_autofree char *text = size > 0 ? g_strndup((const char *)data, size) : g_strdup("");
    char *query = strchr(text, '\n');
    if (query != NULL)
        *query++ = '\0';
    g_autofree char *scope = query != NULL ? pack_scope_normalize(text, NULL) : NULL;
    if (scope == NULL)
        scope = g_strdup("");
    query = query != NULL ? query : text;
    g_autoptr(GPtrArray) hits = search_index_query(search_index, query, LIMIT_SEARCH_K, scope, 0, &error);
    g_assert_no_error(error);
    check_hits(hits, scope);
    g_autoptr(GPtrArray) entities = search_index_lookup(search_index, query, LIMIT_LOOKUP_LIMIT, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(entities->len, <=, 2);
    return 0;
}
