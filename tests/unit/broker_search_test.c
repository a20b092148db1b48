/* SPDX-License-Identifier: MIT
 *
 * The search index on small packs that the test writes: what is found, in which order, and what changes and
 * damage do to it.
 */
#include "broker/search/ranking.h"
#include "broker/search/search.h"
#include "broker/search/search_terms.h"
#include "broker/search/search_text.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- A library on disk and its index --- */

typedef struct {
    char *directory;
    char *packs_path;
    char *index_path;
    PackRoot *root;
    Catalog *catalog;
    SearchIndex *index;
} Library;

static void library_open_index(Library *library)
{
    g_autoptr(GError) error = NULL;
    library->index = search_index_open(library->index_path, NULL, &error);
    g_assert_no_error(error);
}

static void library_init(Library *library)
{
    g_autoptr(GError) error = NULL;
    library->directory = g_dir_make_tmp("kontor-search-XXXXXX", &error);
    g_assert_no_error(error);
    library->packs_path = g_build_filename(library->directory, "packs", NULL);
    library->index_path = g_build_filename(library->directory, "index.db", NULL);
    g_assert_cmpint(g_mkdir(library->packs_path, 0700), ==, 0);
    library->root = pack_root_open(library->packs_path, &error);
    g_assert_no_error(error);
    library->catalog = catalog_new_empty();
    library_open_index(library);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

static void library_clear(Library *library)
{
    search_index_free(library->index);
    catalog_unref(library->catalog);
    pack_root_unref(library->root);
    remove_tree(library->directory);
    g_free(library->directory);
    g_free(library->packs_path);
    g_free(library->index_path);
}

static void write_file(Library *library, const char *pack, const char *name, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(library->packs_path, pack, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, &error));
}

/* Writes a pack whose pages are given as file, title, summary, body, …, NULL. */
static void write_pack(Library *library, const char *pack, ...) G_GNUC_NULL_TERMINATED;
static void write_pack(Library *library, const char *pack, ...)
{
    g_autoptr(GString) index = g_string_new("# Index\n\n| File | Title | Summary |\n|---|---|---|\n");
    va_list pages;
    va_start(pages, pack);
    for (const char *file = va_arg(pages, const char *); file != NULL; file = va_arg(pages, const char *)) {
        const char *title = va_arg(pages, const char *), *summary = va_arg(pages, const char *);
        const char *body = va_arg(pages, const char *);
        g_autofree char *name = g_strconcat("wiki/", file, NULL);
        g_autofree char *page = g_strdup_printf("---\ntitle: frontmatterword\n---\n%s\n", body);
        g_string_append_printf(index, "| %s | %s | %s |\n", file, title, summary);
        write_file(library, pack, name, page);
    }
    va_end(pages);
    write_file(library, pack, "wiki/index.md", index->str);
}

/* Scans the disk and brings the catalog up to date; the changes stay in the returned scan. */
static PackScan *library_scan(Library *library)
{
    g_autoptr(GError) error = NULL;
    PackScan *scan = pack_scan(library->root, "", library->catalog, /* threads= */ 2, &error);
    g_assert_no_error(error);
    Catalog *next = catalog_with_changes(library->catalog, scan->upserts, scan->removals, scan->directories);
    catalog_unref(library->catalog);
    library->catalog = next;
    return scan;
}

static SearchApplyReport library_apply(Library *library)
{
    g_autoptr(GError) error = NULL;
    pack_scan_free(library_scan(library));
    SearchApplyReport report = {0};
    search_index_apply(library->index, library->root, library->catalog, /* threads= */ 2, &report, &error);
    g_assert_no_error(error);
    return report;
}

static SearchApplyReport library_apply_changes(Library *library)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PackScan) scan = library_scan(library);
    SearchApplyReport report = {0};
    search_index_apply_changes(library->index, library->root, scan->upserts, scan->removals, &report, &error);
    g_assert_no_error(error);
    return report;
}

static GPtrArray *find_k(Library *library, const char *query, guint k, const char *scope)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *hits = search_index_query(library->index, query, k, scope, /* deadline_us= */ 0, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < hits->len; i++) {
        const SearchHit *hit = hits->pdata[i];
        g_assert_true(isfinite(hit->score) && hit->score < 0);
        g_assert_true(i == 0 || ((SearchHit *)hits->pdata[i - 1])->score <= hit->score);
    }
    return hits;
}

/* The files found, in order, joined by blanks. */
static char *found(Library *library, const char *query, const char *scope)
{
    g_autoptr(GPtrArray) hits = find_k(library, query, LIMIT_SEARCH_K_DEFAULT, scope);
    GString *files = g_string_new(NULL);
    for (guint i = 0; i < hits->len; i++)
        g_string_append_printf(files, "%s%s", i > 0 ? " " : "", ((SearchHit *)hits->pdata[i])->page_file);
    return g_string_free(files, FALSE);
}

static void assert_found(Library *library, const char *query, const char *scope, const char *files)
{
    g_autofree char *got = found(library, query, scope);
    if (strcmp(got, files) != 0)
        g_error("query '%s' in '%s' finds '%s' instead of '%s'", query, scope, got, files);
}

static guint count_found(Library *library, const char *query)
{
    g_autoptr(GPtrArray) hits = find_k(library, query, LIMIT_SEARCH_K, "");
    return hits->len;
}

/* History and kitchen; every page has filler words, so that no word of interest is on most pages. */
static void write_library(Library *library)
{
    write_pack(library, "history/rome", "concepts/caesar.md", "Julius Caesar", "Dictator of Rome",
               "He crossed the Rubicon with one legion.", "concepts/rubicon.md", "Rubicon", "A small river",
               "Where the dictator came to a decision.", "concepts/senate.md", "The Senate",
               "Assembly of elders", "It met in the Curia. The river is far away.", NULL);
    write_pack(library, "history/greece", "concepts/athens.md", "Athens", "City of the owl",
               "A democracy by lot.", "concepts/sparta.md", "Sparta", "City without walls",
               "Two kings and no money.", NULL);
    write_pack(library, "Kitchen_1/bread", "concepts/sourdough.md",
               "Sauerteig \xc3\xbc"
               "ber Nacht",
               "Cr\xc3\xa8me fra\xc3\xae"
               "che optional",
               "Flour, water, salt and time.", "concepts/crust.md", "Crust", "Steam makes it",
               "Receive the loaf with cloth.", NULL);
    write_pack(library, "history-of-art", "concepts/fresco.md", "Fresco", "Painting on wet plaster",
               "Pigments in lime water.", NULL);
}

/* --- What is found --- */

static void test_finds_in_every_column(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    write_file(&library, "history/greece", "manifest.yaml", "name: greece\nsummary: Hellas in short\n");
    SearchApplyReport report = library_apply(&library);
    g_assert_cmpuint(report.packs_read, ==, 4);
    g_assert_cmpuint(report.rows, ==, 8);
    g_assert_cmpuint(search_index_rows(library.index), ==, 8);
    assert_found(&library, "caesar", "", "concepts/caesar.md");
    assert_found(&library, "elders", "", "concepts/senate.md");
    assert_found(&library, "curia", "", "concepts/senate.md");
    assert_found(&library, "hellas", "", "concepts/athens.md concepts/sparta.md");
    assert_found(&library, "greece", "", "concepts/athens.md concepts/sparta.md");
    assert_found(&library, "frontmatterword", "", "");
    g_autoptr(GPtrArray) hits = find_k(&library, "athens", 1, "");
    const SearchHit *hit = hits->pdata[0];
    g_assert_cmpstr(hit->pack_path, ==, "history/greece");
    g_assert_cmpstr(hit->title, ==, "Athens");
    g_assert_cmpstr(hit->summary, ==, "City of the owl");
    g_assert_cmpstr(hit->pack_summary, ==, "Hellas in short");
    library_clear(&library);
}

static void test_title_before_summary_before_body(void)
{
    Library library;
    library_init(&library);
    write_pack(&library, "p", "a.md", "one two", "three four", "five zebra seven", "b.md", "one two",
               "three zebra", "five six seven", "c.md", "one zebra", "three four", "five six seven", "d.md",
               "one two", "three four", "five six seven", "e.md", "one two", "three four", "five six seven",
               "f.md", "one two", "three four", "five six seven", "g.md", "one two", "three four",
               "five six seven", NULL);
    library_apply(&library);
    assert_found(&library, "zebra", "", "c.md b.md a.md");
    library_clear(&library);
}

static void test_ties_keep_index_order(void)
{
    Library library;
    library_init(&library);
    for (guint i = 0; i < 4; i++) {
        g_autofree char *pack = g_strdup_printf("p%u", i);
        write_pack(&library, pack, "z.md", "same", "same", "same", "a.md", "same", "same", "same", NULL);
    }
    library_apply(&library);
    g_autoptr(GPtrArray) hits = find_k(&library, "same", 8, "");
    for (guint i = 0; i < 8; i++) {
        const SearchHit *hit = hits->pdata[i];
        g_assert_cmpstr(hit->page_file, ==, i % 2 == 0 ? "z.md" : "a.md");
        g_assert_cmpint(hit->pack_path[1], ==, (char)('0' + i / 2));
    }
    library_clear(&library);
}

static void test_operators_are_words(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    const char *nasty[] = {
        "",        "   ",   "\"",           "\"\"\"",     "()",           "*",       "???",    "-",
        "^caesar", "NEAR(", "OR",           "AND AND OR", "a\"b",         "{",       ":",      "+ + +",
        "\\",      "';--",  "\x80\xff\xfe", "\xe6\x97",   "\xed\xa0\x80", "NOT NOT", "title:", "rowid"};
    for (guint i = 0; i < G_N_ELEMENTS(nasty); i++)
        g_assert_cmpuint(count_found(&library, nasty[i]), <=, 8);
    assert_found(&library, "\"\"\" ()*^:{}", "", "");
    assert_found(&library, "NOT caesar", "", "concepts/caesar.md");
    assert_found(&library, "title:caesar", "", "concepts/caesar.md");
    assert_found(&library, "{pack_path} : caesar*", "", "concepts/caesar.md");
    assert_found(&library, "athens NEAR caesar", "", "concepts/athens.md concepts/caesar.md");
    assert_found(&library, "\"sparta\"\"", "", "concepts/sparta.md");
    library_clear(&library);
}

static void test_accents_and_case(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    assert_found(&library, "CREME", "", "concepts/sourdough.md");
    assert_found(&library, "cr\xc3\xa8me", "", "concepts/sourdough.md");
    assert_found(&library, "cre\xcc\x80me", "", "concepts/sourdough.md");
    assert_found(&library,
                 "UBER \xc3\x9c"
                 "BER",
                 "", "concepts/sourdough.md");
    assert_found(&library, "kitchen_1", "", "concepts/crust.md concepts/sourdough.md");
    library_clear(&library);
}

static void test_short_words(void)
{
    Library library;
    library_init(&library);
    write_pack(&library, "p", "ls.md", "ls", "list", "x", "b.md", "other", "C compiler", "y", "c.md", "third",
               "qx1 device", "z", NULL);
    library_apply(&library);
    assert_found(&library, "ls", "", "ls.md");
    assert_found(&library, "c", "", "b.md c.md");
    assert_found(&library, "qx", "", "c.md");
    assert_found(&library, "wv", "", "");
    library_clear(&library);
}

static void test_unknown_words(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    assert_found(&library, "aesa", "", "concepts/caesar.md");
    assert_found(&library, "democ", "", "concepts/athens.md");
    assert_found(&library, "recieve", "", "concepts/crust.md");
    assert_found(&library, "sprata", "", "concepts/sparta.md");
    assert_found(&library, "democarcyy", "", "concepts/athens.md");
    assert_found(&library, "xyzzyplugh", "", "");
    library_clear(&library);
}

/* A word that was typed counts more than one that was guessed. */
static void test_stand_ins_are_discounted(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    g_autoptr(GPtrArray) exact = find_k(&library, "sparta", 1, "");
    g_autoptr(GPtrArray) guessed = find_k(&library, "sprata", 1, "");
    g_assert_cmpfloat(((SearchHit *)exact->pdata[0])->score, <, ((SearchHit *)guessed->pdata[0])->score);
    assert_found(&library, "athens sprata", "", "concepts/athens.md concepts/sparta.md");
    assert_found(&library, "atehns sparta", "", "concepts/sparta.md concepts/athens.md");
    library_clear(&library);
}

#define KODAI "\xe5\x8f\xa4\xe4\xbb\xa3"            /* 古代 */
#define ROMA "\xe3\x83\xad\xe3\x83\xbc\xe3\x83\x9e" /* ローマ */
#define TEIKOKU "\xe5\xb8\x9d\xe5\x9b\xbd"          /* 帝国 */
#define KOKU "\xe5\x9b\xbd"                         /* 国 */
#define SUSHI "\xe5\xaf\xbf\xe5\x8f\xb8"            /* 寿司 */

static void test_text_without_blanks(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    write_pack(&library, "ja", "roma.md", KODAI ROMA TEIKOKU, "x", "y", "sushi.md", SUSHI "v2", "x", "y",
               NULL);
    library_apply(&library);
    assert_found(&library, ROMA, "", "roma.md");
    assert_found(&library, TEIKOKU, "", "roma.md");
    assert_found(&library, KOKU, "", "roma.md");
    assert_found(&library, KODAI SUSHI, "", "sushi.md roma.md");
    assert_found(&library, SUSHI, "", "sushi.md");
    assert_found(&library, "v2", "", "sushi.md");
    library_clear(&library);
}

static void test_text_split(void)
{
    g_autoptr(GString) scratch = g_string_new(NULL);
    const struct {
        const char *text, *page, *query;
    } cases[] = {
        {"plain \xc3\xa9 \xe2\x80\x94 text", "plain \xc3\xa9 \xe2\x80\x94 text",
         "plain \xc3\xa9 \xe2\x80\x94 text"},
        {KOKU, " " KOKU " ", " " KOKU " "},
        {"a" TEIKOKU "b", "a " TEIKOKU " " KOKU " b", "a " TEIKOKU " b"},
        {"\xe5\x8f", "\xe5\x8f", "\xe5\x8f"},
        {KOKU "\xe5", " " KOKU " \xe5", " " KOKU " \xe5"},
        {"", "", ""},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        gsize len = strlen(cases[i].text);
        TextSpan page = search_text_split(cases[i].text, len, SEARCH_TEXT_PAGE, scratch);
        g_assert_cmpmem(page.text, page.len, cases[i].page, strlen(cases[i].page));
        TextSpan query = search_text_split(cases[i].text, len, SEARCH_TEXT_QUERY, scratch);
        g_assert_cmpmem(query.text, query.len, cases[i].query, strlen(cases[i].query));
    }
    g_assert_true(search_text_is_single(KOKU));
    g_assert_false(search_text_is_single(TEIKOKU));
    g_assert_false(search_text_is_single("a"));
    g_assert_false(search_text_is_single(""));
}

static void test_long_query(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    g_autoptr(GString) query = g_string_new("caesar ");
    for (guint i = 0; i < 5000; i++)
        g_string_append_printf(query, "word%u ", i);
    assert_found(&library, query->str, "", "concepts/caesar.md");
    /* Repetitions do not use up the words that are looked at. */
    g_string_assign(query, "");
    for (guint i = 0; i < 5000; i++)
        g_string_append(query, "the athens ");
    g_string_append(query, "curia");
    g_autofree char *files = found(&library, query->str, "");
    g_assert_nonnull(strstr(files, "senate"));
    library_clear(&library);
}

static void test_scope(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    assert_found(&library, "city fresco caesar", "history",
                 "concepts/caesar.md concepts/athens.md concepts/sparta.md");
    assert_found(&library, "city fresco caesar", "history/rome", "concepts/caesar.md");
    assert_found(&library, "city fresco caesar", "hist", "");
    assert_found(&library, "fresco", "history", "");
    assert_found(&library, "fresco", "history-of-art", "concepts/fresco.md");
    assert_found(&library, "crust", "kitchen", "");
    /* Statistics are global: the same page has the same score in every scope. */
    g_autoptr(GPtrArray) everywhere = find_k(&library, "caesar dictator", 10, "");
    g_autoptr(GPtrArray) inside = find_k(&library, "caesar dictator", 10, "history/rome");
    g_assert_cmpfloat(((SearchHit *)everywhere->pdata[0])->score, ==, ((SearchHit *)inside->pdata[0])->score);
    library_clear(&library);
}

/* The scopes table answers as pack_scope_contains does, for every directory of paths with odd letters. */
static void test_scope_agrees_with_paths(void)
{
    const char *paths[] = {"A/B", "a/bc", "\xc3\x89t\xc3\xa9/nord", "a", "x.y/\xc4\xb0", "caf\xc3\xa9"};
    const char *scopes[] = {
        "a",     "a/b",  "A",           " /a/ ", "\xc3\xa9t\xc3\xa9", "\xc3\x89T\xc3\x89/NORD", "x.y",
        "x.y/i", "cafe", "caf\xc3\xa9", "b"};
    Library library;
    library_init(&library);
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++)
        write_pack(&library, paths[i], "p.md", "needle", "s", "b", NULL);
    library_apply(&library);
    for (guint i = 0; i < G_N_ELEMENTS(scopes); i++) {
        g_autofree char *scope = pack_scope_normalize(scopes[i], NULL);
        g_autoptr(GPtrArray) hits = find_k(&library, "needle", 50, scope);
        guint expected = 0;
        for (guint j = 0; j < G_N_ELEMENTS(paths); j++)
            expected += pack_scope_contains(scope, paths[j]);
        g_assert_cmpuint(hits->len, ==, expected);
        for (guint j = 0; j < hits->len; j++)
            g_assert_true(pack_scope_contains(scope, ((SearchHit *)hits->pdata[j])->pack_path));
    }
    library_clear(&library);
}

static void test_lookup(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entities = search_index_lookup(library.index, "river city", 5, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(entities->len, ==, 2);
    const SearchEntity *first = entities->pdata[0], *second = entities->pdata[1];
    g_assert_cmpstr(first->pack_path, ==, "history/greece");
    g_assert_cmpuint(first->match_count, ==, 2);
    g_assert_cmpstr(second->pack_path, ==, "history/rome");
    g_assert_cmpuint(second->match_count, ==, 2);
    g_autoptr(GPtrArray) none = search_index_lookup(library.index, "*", 5, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(none->len, ==, 0);
    g_autoptr(GPtrArray) part = search_index_lookup(library.index, "aesa", 5, 0, &error);
    g_assert_cmpuint(part->len, ==, 1);
    library_clear(&library);
}

/* --- MATCH expressions --- */

static GPtrArray *terms_of(const char *word, ...) G_GNUC_NULL_TERMINATED;
static void term_free(gpointer data)
{
    g_free(((SearchTerm *)data)->word);
    g_free(data);
}

/* Word, number of pages, …, NULL. */
static GPtrArray *terms_of(const char *word, ...)
{
    GPtrArray *terms = g_ptr_array_new_with_free_func(term_free);
    va_list list;
    va_start(list, word);
    for (; word != NULL; word = va_arg(list, const char *)) {
        SearchTerm *term = g_new0(SearchTerm, 1);
        term->word = g_strdup(word);
        term->rows = va_arg(list, guint);
        g_ptr_array_add(terms, term);
    }
    va_end(list);
    return terms;
}

static void assert_match(GPtrArray *terms, guint64 rows, SearchMatchForm form, const char *expected)
{
    g_autofree char *match = search_terms_match(terms, rows, form);
    g_assert_cmpstr(match, ==, expected);
}

static void test_match_forms(void)
{
    g_autoptr(GPtrArray) few = terms_of("b", 20u, "a", 10u, "none", 0u, NULL);
    assert_match(few, 30, SEARCH_MATCH_RARE, NULL);
    assert_match(few, 30, SEARCH_MATCH_SPECIFIC, NULL);
    assert_match(few, 30, SEARCH_MATCH_ALL, "\"a\" OR \"b\"");
    g_autoptr(GPtrArray) many = terms_of("the", 9000u, "page", 4000u, "rare", 3u, "few", 40u, NULL);
    assert_match(many, 10000, SEARCH_MATCH_RARE, "(\"rare\" OR \"few\") AND (\"page\")");
    assert_match(many, 10000, SEARCH_MATCH_SPECIFIC, "\"rare\" OR \"few\" OR \"page\"");
    assert_match(many, 10000, SEARCH_MATCH_ALL, "\"rare\" OR \"few\" OR \"page\" OR \"the\"");
    g_autoptr(GPtrArray) common = terms_of("the", 9000u, NULL);
    assert_match(common, 10000, SEARCH_MATCH_RARE, NULL);
    assert_match(common, 10000, SEARCH_MATCH_SPECIFIC, NULL);
    assert_match(common, 10000, SEARCH_MATCH_ALL, "\"the\"");
    g_autoptr(GPtrArray) unknown = terms_of("x", 0u, NULL);
    assert_match(unknown, 10000, SEARCH_MATCH_ALL, NULL);
    g_autoptr(GPtrArray) quote = terms_of("a\"b", 1u, NULL);
    assert_match(quote, 10, SEARCH_MATCH_ALL, "\"a\"\"b\"");
}

/* --- Large enough for the rare form --- */

static void write_numbered(Library *library, guint packs, guint pages)
{
    for (guint i = 0; i < packs; i++) {
        g_autofree char *pack = g_strdup_printf("n/%03u", i);
        g_autoptr(GString) index = g_string_new(NULL);
        for (guint j = 0; j < pages; j++) {
            guint n = i * pages + j;
            g_autofree char *name = g_strdup_printf("wiki/c/p%u.md", n);
            g_autofree char *body =
                g_strdup_printf("everywhere %s third%u page%u", n % 2 == 0 ? "even" : "odd", n % 3, n);
            g_string_append_printf(index, "| c/p%u.md | title%u | on all |\n", n, n);
            write_file(library, pack, name, body);
        }
        write_file(library, pack, "wiki/index.md", index->str);
    }
}

static void test_rare_words_decide(void)
{
    Library library;
    library_init(&library);
    write_numbered(&library, 20, 100);
    SearchApplyReport report = library_apply(&library);
    g_assert_cmpuint(report.rows, ==, 2000);
    g_autoptr(GPtrArray) hits = find_k(&library, "everywhere third0 even page777 page778", 10, "");
    g_assert_cmpuint(hits->len, ==, 10);
    g_assert_cmpstr(((SearchHit *)hits->pdata[0])->page_file, ==, "c/p777.md");
    g_assert_cmpstr(((SearchHit *)hits->pdata[1])->page_file, ==, "c/p778.md");
    /* Words on most pages find something when there is nothing else, and only then. */
    g_assert_cmpuint(count_found(&library, "everywhere"), ==, LIMIT_SEARCH_K);
    g_assert_cmpuint(count_found(&library, "everywhere page5"), ==, 1);
    g_autoptr(GPtrArray) scoped = find_k(&library, "third1 page778", 10, "n/007");
    g_assert_cmpuint(scoped->len, ==, 10);
    g_assert_cmpstr(((SearchHit *)scoped->pdata[0])->page_file, ==, "c/p778.md");
    library_clear(&library);
}

static void test_deadline(void)
{
    Library library;
    library_init(&library);
    write_numbered(&library, 4, 50);
    library_apply(&library);
    g_autoptr(GError) error = NULL;
    GPtrArray *hits =
        search_index_query(library.index, "everywhere even", 10, "", g_get_monotonic_time() - 1, &error);
    g_assert_null(hits);
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_assert_cmpuint(count_found(&library, "page7"), ==, 1); /* the connection is as good as before */
    library_clear(&library);
}

/* Packs with endless words of their own must not fill the memory: what is too much gets no stand-ins. */
static void test_vocabulary_is_bounded(void)
{
    Library library;
    library_init(&library);
    g_autofree char *long_word = g_strnfill(LIMIT_VOCABULARY_WORD_BYTES + 1, 'b');
    g_autofree char *fitting = g_strnfill(LIMIT_VOCABULARY_WORD_BYTES, 'c');
    g_autofree char *body = g_strconcat("alpha ", long_word, " ", fitting, " delta", NULL);
    write_pack(&library, "p", "a.md", "alpha", "beta", body, NULL);
    library_apply(&library);
    g_autoptr(GError) error = NULL;
    g_autoptr(Db) db = search_schema_open_reader(library.index_path, &error);
    g_assert_no_error(error);
    VocabularyWord found[VOCABULARY_STANDINS_MAX];
    {
        g_autoptr(Vocabulary) all = vocabulary_load(db, LIMIT_VOCABULARY_BYTES, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(vocabulary_find(all, "bbbb", found), ==, 0);
        g_assert_cmpuint(vocabulary_find(all, "cccc", found), ==, 1);
        g_assert_cmpuint(vocabulary_find(all, "delt", found), ==, 1);
        g_assert_cmpuint(vocabulary_bytes(all), <=, LIMIT_VOCABULARY_BYTES);
    }
    {
        g_autoptr(Vocabulary) few = vocabulary_load(db, /* bytes_max= */ 20, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(vocabulary_find(few, "alph", found), ==, 1);
        g_assert_cmpuint(vocabulary_find(few, "delt", found), ==, 0);
        g_assert_cmpuint(vocabulary_bytes(few), <=, 20);
    }
    /* They are found all the same by whoever knows them. */
    g_assert_cmpuint(count_found(&library, long_word), ==, 1);
    library_clear(&library);
}

/* --- Changes --- */

static void test_changes(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    guint64 generation = search_index_generation(library.index);
    SearchApplyReport report = library_apply(&library);
    g_assert_cmpuint(report.packs_read, ==, 0);
    g_assert_cmpuint(report.packs_kept, ==, 4);
    g_assert_cmpuint(search_index_generation(library.index), ==, generation);

    write_pack(&library, "history/rome", "concepts/augustus.md", "Augustus", "First emperor", "Peace.", NULL);
    report = library_apply_changes(&library);
    g_assert_cmpuint(report.packs_read, ==, 1);
    g_assert_cmpuint(report.packs_kept, ==, 3);
    g_assert_cmpuint(report.rows, ==, 6);
    g_assert_cmpuint(search_index_generation(library.index), >, generation);
    assert_found(&library, "augustus", "", "concepts/augustus.md");
    assert_found(&library, "caesar curia rubicon", "", "");

    g_autofree char *greece = g_build_filename(library.packs_path, "history/greece", NULL);
    remove_tree(greece);
    report = library_apply_changes(&library);
    g_assert_cmpuint(report.packs_removed, ==, 1);
    g_assert_cmpuint(report.rows, ==, 4);
    assert_found(&library, "athens", "", "");
    assert_found(&library, "athens", "history/greece", "");
    library_clear(&library);
}

/* Reads the words and their numbers of pages from the file, as text. */
static char *dump_words(Library *library, const char *sql)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Db) db = search_schema_open_reader(library->index_path, &error);
    g_assert_no_error(error);
    GString *out = g_string_new(NULL);
    g_autoptr(DbStatement) statement = db_prepare(db, sql, &error);
    g_assert_no_error(error);
    for (gboolean row = TRUE; row;) {
        g_assert_true(db_step(statement, &row, &error));
        if (row)
            g_string_append_printf(out, "%s %d\n", db_column_text(statement, 0),
                                   (int)db_column_integer(statement, 1));
    }
    return g_string_free(out, FALSE);
}

/* The index counts its packs and rows along; the file has them. */
static void assert_totals(Library *library, const SearchApplyReport *report)
{
    g_autofree char *held = dump_words(library, "SELECT 'packs', count(*) FROM packs UNION ALL "
                                                "SELECT 'rows', sum(rows) FROM packs");
    g_autofree char *counted = g_strdup_printf("packs %u\nrows %u\n", report->packs_kept + report->packs_read,
                                               (guint)search_index_rows(library->index));
    g_assert_cmpstr(counted, ==, held);
}

/* After any sequence of changes, small or large, `words` is what the full-text index holds. */
static void test_words_stay_exact(void)
{
    Library library;
    library_init(&library);
    write_numbered(&library, 12, 10);
    library_apply(&library);
    for (guint round = 0; round < 12; round++) {
        guint which = (guint)g_test_rand_int_range(0, 12);
        g_autofree char *pack = g_strdup_printf("n/%03u", which);
        g_autofree char *word = g_strdup_printf("fresh%u common", round);
        if (round % 4 == 3) {
            g_autofree char *path = g_build_filename(library.packs_path, pack, NULL);
            remove_tree(path);
        } else {
            write_pack(&library, pack, "a.md", word, "even", "body", "b.md", "t", word, "even odd", NULL);
        }
        SearchApplyReport report = round % 2 == 0 ? library_apply_changes(&library) : library_apply(&library);
        assert_totals(&library, &report);
        g_autofree char *kept = dump_words(&library, "SELECT word, rows FROM words ORDER BY word");
        g_autofree char *held = dump_words(&library, "SELECT term, doc FROM page_words ORDER BY term");
        g_assert_cmpstr(kept, ==, held);
        g_autofree char *sums = dump_words(
            &library, "SELECT 'packs', packs FROM totals UNION ALL SELECT 'pages', rows FROM totals");
        g_autofree char *counts = dump_words(&library, "SELECT 'packs', count(*) FROM packs UNION ALL "
                                                       "SELECT 'pages', sum(rows) FROM packs");
        g_assert_cmpstr(sums, ==, counts);
    }
    library_clear(&library);
}

static void test_unreadable_pages(void)
{
    Library library;
    library_init(&library);
    write_file(&library, "p", "wiki/index.md",
               "| gone.md | ghost | s |\n| ../../secret.md | outside | s |\n| /etc/passwd | absolute | s |\n"
               "| a.md | real | s |\n| a.md | real | again |\n");
    write_file(&library, "p", "wiki/a.md", "---\nx: y\n---\r\nfound\r\nhere");
    write_file(&library, "", "secret.md", "topsecret");
    SearchApplyReport report = library_apply(&library);
    g_assert_cmpuint(report.rows, ==, 5);
    assert_found(&library, "ghost", "", "gone.md");
    assert_found(&library, "topsecret", "", "");
    assert_found(&library, "root", "", "");
    g_assert_cmpuint(count_found(&library, "found"), ==, 2);
    library_clear(&library);
}

static void test_body_is_cut(void)
{
    Library library;
    library_init(&library);
    g_autoptr(GString) body = g_string_new("early ");
    while (g_utf8_strlen(body->str, -1) < LIMIT_BODY_CHARS)
        g_string_append(body, "\xc3\xa9"
                              "x ");
    g_string_append(body, " latecomer");
    write_file(&library, "p", "wiki/index.md", "| a.md | t | s |\n");
    write_file(&library, "p", "wiki/a.md", body->str);
    library_apply(&library);
    assert_found(&library, "early", "", "a.md");
    assert_found(&library, "latecomer", "", "");
    library_clear(&library);
}

/* --- The file --- */

static void test_reopened(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    search_index_free(library.index);
    g_autofree char *rebuilt = NULL;
    library.index = search_index_open(library.index_path, &rebuilt, NULL);
    g_assert_null(rebuilt);
    g_assert_cmpuint(search_index_rows(library.index), ==, 8);
    assert_found(&library, "caesar", "", "concepts/caesar.md");
    SearchApplyReport report = library_apply(&library);
    g_assert_cmpuint(report.packs_read, ==, 0);
    library_clear(&library);
}

static void check_thrown_away(Library *library)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *rebuilt = NULL;
    library->index = search_index_open(library->index_path, &rebuilt, &error);
    g_assert_no_error(error);
    g_assert_nonnull(rebuilt);
    g_assert_cmpuint(search_index_rows(library->index), ==, 0);
    SearchApplyReport report = library_apply(library);
    g_assert_cmpuint(report.rows, ==, 8);
    assert_found(library, "caesar", "", "concepts/caesar.md");
}

static void test_foreign_file_is_thrown_away(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    search_index_free(library.index);
    g_assert_true(g_file_set_contents(
        library.index_path, "this is not a database, but long enough to be read as one ....", -1, NULL));
    check_thrown_away(&library);
    /* Another layout of ours. */
    search_index_free(library.index);
    DbSchema older = {.application_id = search_schema.application_id - 1,
                      .migrations = search_schema.migrations};
    g_assert_true(db_delete(library.index_path, NULL));
    db_close(db_open(library.index_path, DB_WRITE, &older, NULL));
    check_thrown_away(&library);
    library_clear(&library);
}

/* Overwrites the middle of the file with noise. */
static void damage_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    for (gsize i = 4096; i < size; i++)
        data[i] = (char)(i * 7 + 13);
    FILE *file = fopen(path, "r+b");
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(data, 1, size, file), ==, size);
    fclose(file);
}

static void test_damage_is_met_by_rebuilding(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    search_index_free(library.index);
    damage_file(library.index_path);
    g_autoptr(GError) error = NULL;
    g_autofree char *rebuilt = NULL;
    library.index = search_index_open(library.index_path, &rebuilt, &error);
    g_assert_no_error(error);
    GPtrArray *hits = search_index_query(library.index, "caesar", 10, "", 0, NULL);
    if (hits != NULL)
        g_ptr_array_unref(hits);
    write_pack(&library, "new", "n.md", "Novelty", "s", "b", NULL);
    SearchApplyReport report = library_apply(&library);
    g_assert_true(rebuilt != NULL || report.rebuilt);
    g_assert_cmpuint(report.rows, ==, 9);
    assert_found(&library, "caesar", "", "concepts/caesar.md");
    assert_found(&library, "novelty", "", "n.md");
    library_clear(&library);
}

static void count_damage(gpointer user, const char *message)
{
    g_assert_cmpstr(message, !=, "");
    ++*(guint *)user;
}

/* The file is damaged under an open index: the first query that meets it says so, once. */
static void test_damage_is_reported_once(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    guint reports = 0;
    search_index_set_damage_func(library.index, count_damage, &reports);
    g_autofree char *log = g_strconcat(library.index_path, "-wal", NULL);
    damage_file(library.index_path);
    damage_file(log);
    for (guint i = 0; i < 3; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) hits = search_index_query(library.index, "caesar", 10, "", 0, &error);
        g_assert_null(hits);
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    }
    g_assert_cmpuint(reports, ==, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_assert_false(search_index_apply_changes(library.index, library.root, none, none, NULL, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    SearchApplyReport report = library_apply(&library);
    g_assert_true(report.rebuilt);
    assert_found(&library, "caesar", "", "concepts/caesar.md");
    g_assert_cmpuint(reports, ==, 1);
    library_clear(&library);
}

/* A process that is killed in the middle of an apply leaves the state before it. */
static void test_killed_while_applying(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    library_apply(&library);
    search_index_free(library.index);
    library.index = NULL;
    write_numbered(&library, 30, 60);
    pid_t child = fork();
    if (child == 0) {
        library_open_index(&library);
        pack_scan_free(library_scan(&library));
        search_index_apply(library.index, library.root, library.catalog, 1, NULL, NULL);
        pause();
        _exit(0);
    }
    g_usleep((gulong)g_test_rand_int_range(1000, 150000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    library_open_index(&library);
    guint64 rows = search_index_rows(library.index);
    g_assert_true(rows == 8 || rows == 1808 || rows == 0);
    SearchApplyReport report = library_apply(&library);
    g_assert_cmpuint(report.rows, ==, 1808);
    assert_found(&library, "caesar", "", "concepts/caesar.md");
    g_assert_cmpuint(count_found(&library, "page1234"), ==, 1);
    library_clear(&library);
}

/* --- Threads --- */

typedef struct {
    Library *library;
    gint stop;    /* atomic */
    gint queries; /* atomic */
} Questioner;

/* A pack always has both of its pages in the same version: whoever finds one of a version finds the other. */
static gpointer question(gpointer data)
{
    Questioner *questioner = data;
    while (!g_atomic_int_get(&questioner->stop)) {
        g_autoptr(GPtrArray) hits = find_k(questioner->library, "pair", 10, "");
        g_assert_cmpuint(hits->len, ==, 2);
        g_assert_cmpstr(((SearchHit *)hits->pdata[0])->summary, ==, ((SearchHit *)hits->pdata[1])->summary);
        g_atomic_int_inc(&questioner->queries);
    }
    return NULL;
}

static void test_queries_while_applying(void)
{
    Library library;
    library_init(&library);
    write_library(&library);
    write_pack(&library, "pair", "a.md", "pair", "version 0", "", "b.md", "pair", "version 0", "", NULL);
    library_apply(&library);
    Questioner questioner = {.library = &library};
    GThread *threads[3];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("question", question, &questioner);
    for (guint i = 1; i <= 20; i++) {
        g_autofree char *version = g_strdup_printf("version %u", i);
        write_pack(&library, "pair", "a.md", "pair", version, "", "b.md", "pair", version, "", NULL);
        library_apply_changes(&library);
    }
    while (g_atomic_int_get(&questioner.queries) < 20)
        g_usleep(1000);
    g_atomic_int_set(&questioner.stop, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    library_clear(&library);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/search/find/columns", test_finds_in_every_column);
    g_test_add_func("/search/find/weights", test_title_before_summary_before_body);
    g_test_add_func("/search/find/ties", test_ties_keep_index_order);
    g_test_add_func("/search/find/operators", test_operators_are_words);
    g_test_add_func("/search/find/accents", test_accents_and_case);
    g_test_add_func("/search/find/short", test_short_words);
    g_test_add_func("/search/find/unknown", test_unknown_words);
    g_test_add_func("/search/find/discount", test_stand_ins_are_discounted);
    g_test_add_func("/search/find/cjk", test_text_without_blanks);
    g_test_add_func("/search/find/long", test_long_query);
    g_test_add_func("/search/find/rare", test_rare_words_decide);
    g_test_add_func("/search/find/deadline", test_deadline);
    g_test_add_func("/search/find/vocabulary", test_vocabulary_is_bounded);
    g_test_add_func("/search/scope/filter", test_scope);
    g_test_add_func("/search/scope/model", test_scope_agrees_with_paths);
    g_test_add_func("/search/lookup", test_lookup);
    g_test_add_func("/search/text", test_text_split);
    g_test_add_func("/search/match", test_match_forms);
    g_test_add_func("/search/apply/changes", test_changes);
    g_test_add_func("/search/apply/words", test_words_stay_exact);
    g_test_add_func("/search/apply/unreadable", test_unreadable_pages);
    g_test_add_func("/search/apply/cut", test_body_is_cut);
    g_test_add_func("/search/file/reopened", test_reopened);
    g_test_add_func("/search/file/foreign", test_foreign_file_is_thrown_away);
    g_test_add_func("/search/file/damage", test_damage_is_met_by_rebuilding);
    g_test_add_func("/search/file/damage-in-use", test_damage_is_reported_once);
    g_test_add_func("/search/file/killed", test_killed_while_applying);
    g_test_add_func("/search/threads", test_queries_while_applying);
    return g_test_run();
}
