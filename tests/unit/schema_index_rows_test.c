/* SPDX-License-Identifier: MIT
 *
 * The grammars of index.md: the examples that tell them apart, frozen answers of CPython's regular
 * expressions, and a slow model that walks each line character by character.
 */
#include "schema/index_rows.h"

#include "schema/json_reader.h"
#include "schema/limits.h"
#include "schema/text.h"
#include "tests/unit/random_text.h"

enum { ROUNDS = 20000 };

static GPtrArray *parse_ok(const char *text, gsize len)
{
    GError *error = NULL;
    GPtrArray *rows = index_rows_parse(text, len, &error);
    g_assert_no_error(error);
    return rows;
}

/* --- Examples --- */

/* `summary` is NULL for a row that is only listed; `file` is NULL for a line without a row. */
typedef struct {
    const char *line, *file, *title, *summary;
} Example;

static const Example examples[] = {
    {"| concepts/a.md | A | About a. |", "concepts/a.md", "A", "About a."},
    {"|a|t|s|", "a", "t", "s"},
    {"| a | t |  |", "a", "t", ""},
    {"| a | t | |", "a", "t", ""},
    {"| a | t ||", "a", "t", NULL},
    {"| a | t |", "a", "t", NULL},
    {"| a | t | s", "a", "t", NULL},
    {"| a | t | s |   ", "a", "t", "s"},
    {"| a | t | s |\xe3\x80\x80\xc2\x85", "a", "t", "s"},
    {"| a | t | s | x", "a", "t", NULL},
    {"| a | t | s | x |", "a", "t", "s | x"},
    {"| a | t |||", "a", "t", "|"},
    {"| a | t |   ", "a", "t", NULL},
    {"| a | one | two | s |", "a", "one", "two | s"},
    {"|\xc2\xa0"
     "a\xe2\x80\x83|\x1ft\x1f|\xe3\x80\x80s\xe3\x80\x80|",
     "a", "t", "s"},
    {"| [x.md](x.md) | t | s |", "[x.md](x.md)", "t", "s"},
    {"| FiLe name | t | s |", "FiLe name", "t", "s"},
    {"| \xef\xbb\xbf"
     "a | t | s |",
     "\xef\xbb\xbf"
     "a",
     "t", "s"},
    {"|| a | t | s |", NULL, NULL, NULL},
    {"| a || s |", NULL, NULL, NULL},
    {"|  | t | s |", NULL, NULL, NULL},
    {"| a |  | s |", NULL, NULL, NULL},
    {"| File | Title | Summary |", NULL, NULL, NULL},
    {"| fILE | t | s |", NULL, NULL, NULL},
    {"|---|---|---|", NULL, NULL, NULL},
    {"| -a.md | t | s |", NULL, NULL, NULL},
    {"| a | t", NULL, NULL, NULL},
    {"| a |", NULL, NULL, NULL},
    {"|", NULL, NULL, NULL},
    {"||||", NULL, NULL, NULL},
    {" | a | t | s |", NULL, NULL, NULL},
    {"\xef\xbb\xbf| a | t | s |", NULL, NULL, NULL},
    {"a | t | s |", NULL, NULL, NULL},
    {"", NULL, NULL, NULL},
};

static void assert_row(const IndexRow *row, guint line, const char *file, const char *title,
                       const char *summary)
{
    g_assert_cmpuint(row->line, ==, line);
    g_assert_cmpstr(row->file, ==, file);
    g_assert_cmpstr(row->title, ==, title);
    g_assert_cmpstr(row->summary, ==, summary);
    g_assert_cmpint(row->indexed, ==, summary != NULL);
    g_assert_true(row->listed);
}

static void test_examples(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(examples); i++) {
        const Example *example = &examples[i];
        g_autoptr(GPtrArray) rows = parse_ok(example->line, strlen(example->line));
        g_assert_cmpuint(rows->len, ==, example->file != NULL ? 1 : 0);
        if (example->file != NULL)
            assert_row(rows->pdata[0], 1, example->file, example->title, example->summary);
    }
}

static void test_line_numbers(void)
{
    static const char text[] =
        "# Index\r\n\r\n| File | Title | Summary |\r|---|---|---|\n| a | b | c |\x0b| d | e |\xe2\x80\xa8"
        "| f | g | h |\xc2\x85\n| i | j | k |";
    g_autoptr(GPtrArray) rows = parse_ok(text, strlen(text));
    g_assert_cmpuint(rows->len, ==, 4);
    assert_row(rows->pdata[0], 5, "a", "b", "c");
    assert_row(rows->pdata[1], 6, "d", "e", NULL);
    assert_row(rows->pdata[2], 7, "f", "g", "h");
    assert_row(rows->pdata[3], 9, "i", "j", "k");
}

/* --- Frozen answers of CPython --- */

static void check_python_index(const JsonValue *vector)
{
    const char *text = json_value_string(json_object_get(vector, "text"));
    g_autoptr(GPtrArray) rows = parse_ok(text, strlen(text));
    guint i = 0;
    const JsonValue *want = json_value_first(json_object_get(vector, "rows"));
    for (; want != NULL; want = json_value_next(want), i++) {
        const JsonValue *line = json_value_first(want), *file = json_value_next(line);
        const JsonValue *title = json_value_next(file), *summary = json_value_next(title);
        g_assert_cmpuint(i, <, rows->len);
        assert_row(rows->pdata[i], (guint)json_value_number(line), json_value_string(file),
                   json_value_string(title),
                   json_value_kind(summary) == JSON_NULL ? NULL : json_value_string(summary));
    }
    g_assert_cmpuint(i, ==, rows->len);
}

static void test_python_indexes(void)
{
    gsize len = 0;
    g_autofree char *data = vector_read("python-text.json", &len);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, len, &error);
    g_assert_no_error(error);
    const JsonValue *indexes = json_object_get(json_doc_root(doc), "indexes");
    g_assert_cmpuint(json_value_count(indexes), >=, 300);
    for (const JsonValue *vector = json_value_first(indexes); vector != NULL;
         vector = json_value_next(vector))
        check_python_index(vector);
}

/* --- A slow model: lines of code points --- */

static gboolean model_is_line_end(gunichar c)
{
    static const gunichar ends[] = {'\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029};
    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        if (c == ends[i])
            return TRUE;
    }
    return FALSE;
}

/* Characters first … end − 1 of a line, trimmed, as UTF-8. */
static char *model_cell(const GArray *line, guint first, guint end)
{
    while (first < end && text_is_space(g_array_index(line, gunichar, first)))
        first++;
    while (first < end && text_is_space(g_array_index(line, gunichar, end - 1)))
        end--;
    GString *cell = g_string_new(NULL);
    for (guint i = first; i < end; i++)
        g_string_append_unichar(cell, g_array_index(line, gunichar, i));
    return g_string_free(cell, FALSE);
}

/* The places of the pipes of a line, in order. */
static GArray *model_pipes(const GArray *line)
{
    GArray *pipes = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < line->len; i++) {
        if (g_array_index(line, gunichar, i) == '|')
            g_array_append_val(pipes, i);
    }
    return pipes;
}

/* Describes the row of a line as "<number>\n<file>\n<title>\n[=<summary>\n]". */
static void model_line(const GArray *line, guint number, GString *out)
{
    g_autoptr(GArray) pipes = model_pipes(line);
    if (pipes->len < 3 || g_array_index(pipes, guint, 0) != 0)
        return;
    guint second = g_array_index(pipes, guint, 1), third = g_array_index(pipes, guint, 2);
    if (second == 1 || third == second + 1)
        return;
    g_autofree char *file = model_cell(line, 1, second);
    g_autofree char *title = model_cell(line, second + 1, third);
    g_autofree char *lower = g_utf8_strdown(file, -1);
    if (*file == '\0' || *title == '\0' || *file == '-' || strcmp(lower, "file") == 0)
        return;
    g_string_append_printf(out, "%u\n%s\n%s\n", number, file, title);
    guint last = g_array_index(pipes, guint, pipes->len - 1);
    g_autofree char *after_last = model_cell(line, last + 1, line->len);
    if (*after_last == '\0' && last > third + 1) {
        g_autofree char *summary = model_cell(line, third + 1, last);
        g_string_append_printf(out, "=%s\n", summary);
    }
}

static char *model_describe(const char *text, gsize len)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GArray) line = g_array_new(FALSE, FALSE, sizeof(gunichar));
    guint number = 1;
    gunichar previous = 0;
    for (const char *p = text; p < text + len; p += g_utf8_skip[(guint8)*p]) {
        gunichar c = g_utf8_get_char(p);
        if (!model_is_line_end(c)) {
            g_array_append_val(line, c);
        } else if (!(c == '\n' && previous == '\r')) {
            model_line(line, number++, out);
            g_array_set_size(line, 0);
        }
        previous = c;
    }
    model_line(line, number, out);
    return g_string_free(out, FALSE);
}

static char *describe(const GPtrArray *rows)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < rows->len; i++) {
        const IndexRow *row = rows->pdata[i];
        g_string_append_printf(out, "%u\n%s\n%s\n", row->line, row->file, row->title);
        if (row->indexed)
            g_string_append_printf(out, "=%s\n", row->summary);
    }
    return g_string_free(out, FALSE);
}

static const RandomPiece cell_pieces[] = {
    RANDOM_PIECE("a"),
    RANDOM_PIECE("b.md"),
    RANDOM_PIECE("é"),
    RANDOM_PIECE("日😀"),
    RANDOM_PIECE("-"),
    RANDOM_PIECE("file"),
    RANDOM_PIECE("File"),
    RANDOM_PIECE("x"),
    RANDOM_PIECE(" "),
    RANDOM_PIECE(" "),
    RANDOM_PIECE("\t"),
    RANDOM_PIECE("\x1f"),
    RANDOM_PIECE("\xc2\xa0"),
    RANDOM_PIECE("\xe2\x80\x8b"),
    RANDOM_PIECE("\xe3\x80\x80"),
    RANDOM_PIECE("\x7f"),
    RANDOM_PIECE("text"),
    RANDOM_PIECE("more text"),
    RANDOM_PIECE("y"),
    RANDOM_PIECE("z"),
};
static const RandomPiece glue_pieces[] = {
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|\n|"),
    RANDOM_PIECE("|\r\n|"),
    RANDOM_PIECE("|\r|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("\n\r"),
    RANDOM_PIECE("\xc2\x85|"),
    RANDOM_PIECE("\xe2\x80\xa8|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|"),
    RANDOM_PIECE("|\x1c"),
    RANDOM_PIECE("|\v|"),
    RANDOM_PIECE("| \xe3\x80\x80\n|"),
};

/* Cells and what may stand between them, in turns. */
static GString *random_index(GRand *rng)
{
    GString *text = g_string_new(random_below(rng, 8) > 0 ? "|" : "");
    for (guint left = random_below(rng, 16); left > 0; left--) {
        g_autoptr(GString) cell = random_text(rng, cell_pieces, G_N_ELEMENTS(cell_pieces), 3);
        const RandomPiece *glue = &glue_pieces[random_below(rng, G_N_ELEMENTS(glue_pieces))];
        g_string_append_len(text, cell->str, (gssize)cell->len);
        g_string_append_len(text, glue->bytes, (gssize)glue->len);
    }
    return text;
}

static void test_random_like_model(void)
{
    g_autoptr(GRand) rng = random_new(31);
    guint rows_seen = 0, indexed_seen = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_index(rng);
        g_autofree char *text = random_exact(made);
        g_autoptr(GPtrArray) rows = parse_ok(text, made->len);
        g_autofree char *got = describe(rows);
        g_autofree char *want = model_describe(made->str, made->len);
        g_assert_cmpstr(got, ==, want);
        rows_seen += rows->len;
        for (guint i = 0; i < rows->len; i++)
            indexed_seen += ((const IndexRow *)rows->pdata[i])->indexed;
    }
    /* Both kinds of row must be frequent for the comparison to mean something. */
    g_assert_cmpuint(indexed_seen, >, ROUNDS / 10);
    g_assert_cmpuint(rows_seen - indexed_seen, >, ROUNDS / 10);
}

/* --- Refusals and limits --- */

static void assert_refused(const char *text, gsize len, KontorErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(index_rows_parse(text, len, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_refusals(void)
{
    assert_refused("| a | b\xff | c |", 13, KONTOR_ERROR_MALFORMED, "index: not UTF-8 at byte 7");
    assert_refused("| a\0 | b | c |", 14, KONTOR_ERROR_MALFORMED, "index: NUL character at byte 3");
    g_autoptr(GPtrArray) none = parse_ok(NULL, 0);
    g_assert_cmpuint(none->len, ==, 0);
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < LIMIT_INDEX_ROWS; i++)
        g_string_append(text, "|a|b|\n");
    g_autoptr(GPtrArray) rows = parse_ok(text->str, text->len);
    g_assert_cmpuint(rows->len, ==, LIMIT_INDEX_ROWS);
    g_string_append(text, "|a|b|");
    assert_refused(text->str, text->len, KONTOR_ERROR_LIMIT, "index: more than 100000 rows at line 100001");

    g_string_set_size(text, LIMIT_INDEX_BYTES + 1);
    memset(text->str, 'x', text->len);
    g_autoptr(GPtrArray) fits = parse_ok(text->str, LIMIT_INDEX_BYTES);
    g_assert_cmpuint(fits->len, ==, 0);
    assert_refused(text->str, text->len, KONTOR_ERROR_LIMIT,
                   "index: 8388609 bytes, more than 8388608 are not read");
}

static void test_long_cells_are_cut(void)
{
    g_autoptr(GString) text = g_string_new("|a|");
    while (text->len < LIMIT_SUMMARY_BYTES + 100)
        g_string_append(text, "日");
    g_string_append(text, "|x");
    while (text->len < 3 * LIMIT_SUMMARY_BYTES)
        g_string_append(text, "é");
    g_string_append_c(text, '|');
    g_autoptr(GPtrArray) rows = parse_ok(text->str, text->len);
    const IndexRow *row = rows->pdata[0];
    g_assert_true(g_utf8_validate(row->title, -1, NULL) && g_utf8_validate(row->summary, -1, NULL));
    g_assert_cmpuint(strlen(row->title), ==, LIMIT_SUMMARY_BYTES / 3 * 3);
    g_assert_cmpuint(strlen(row->summary), ==, LIMIT_SUMMARY_BYTES - 1);
}

/* --- Names --- */

static void test_downloadable_names(void)
{
    static const char *const good[] = {"index.md", "concepts/a.md", "A-b_c.9/x.y.md",
                                       ".x/a.md",  "a/./b.md",      ".md"};
    static const char *const bad[] = {"",        "a",         "a.txt",        "a.md/",  "/a.md",  "a//b.md",
                                      "../a.md", "a/../b.md", "a..md",        "é.md",   "a b.md", "a\\b.md",
                                      "a.md\n",  "a.MD",      "[x.md](x.md)", "a%2f.md"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(index_name_is_downloadable(good[i]));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(index_name_is_downloadable(bad[i]));
}

static void test_names_like_regex(void)
{
    static const RandomPiece name_pieces[] = {
        RANDOM_PIECE("a"),  RANDOM_PIECE("Z9"), RANDOM_PIECE("/"),   RANDOM_PIECE("."),
        RANDOM_PIECE("-"),  RANDOM_PIECE("_"),  RANDOM_PIECE(".md"), RANDOM_PIECE("é"),
        RANDOM_PIECE(".."), RANDOM_PIECE(" "),  RANDOM_PIECE(".md"),
    };
    g_autoptr(GRegex) grammar = g_regex_new("^(?!.*\\.\\.)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*(?<=\\.md)$",
                                            G_REGEX_DOLLAR_ENDONLY, 0, NULL);
    g_autoptr(GRand) rng = random_new(32);
    guint good = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) name = random_text(rng, name_pieces, G_N_ELEMENTS(name_pieces), 6);
        gboolean want = g_regex_match(grammar, name->str, 0, NULL);
        g_assert_cmpint(index_name_is_downloadable(name->str), ==, want);
        good += want;
    }
    g_assert_cmpuint(good, >, ROUNDS / 50);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/index-rows/examples", test_examples);
    g_test_add_func("/schema/index-rows/line-numbers", test_line_numbers);
    g_test_add_func("/schema/index-rows/python-indexes", test_python_indexes);
    g_test_add_func("/schema/index-rows/random-like-model", test_random_like_model);
    g_test_add_func("/schema/index-rows/refusals", test_refusals);
    g_test_add_func("/schema/index-rows/limits", test_limits);
    g_test_add_func("/schema/index-rows/long-cells-are-cut", test_long_cells_are_cut);
    g_test_add_func("/schema/index-rows/downloadable-names", test_downloadable_names);
    g_test_add_func("/schema/index-rows/names-like-regex", test_names_like_regex);
    return g_test_run();
}
