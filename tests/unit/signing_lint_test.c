/* SPDX-License-Identifier: MIT
 *
 * Every rule of lint by a pack that breaks it and by the clean pack that does not; what --fix does, that it
 * is enough, and that doing it twice is doing it once.
 */
#include "signing/lint.h"

#include "random_text.h"
#include "schema/index_rows.h"

#define MANIFEST "name: rome\nversion: 1.0.0\nsummary: Rome\nlanguage: en\n"
#define INDEX                                                                                                \
    "# Rome\n\n| File | Title | Summary |\n|------|-------|---------|\n| concepts/a.md | A | about a |\n"
#define PAGE "---\ntitle: A\n---\n# A\n"

typedef struct {
    const char *name;
    const char *text; /* NULL: not there */
} Text;

static void add_text(Lint *lint, const char *name, const char *text, gsize len)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, len);
    LintFile file = {.name = name, .kind = LINT_FILE, .is_text = TRUE, .size = len, .bytes = bytes};
    lint_add(lint, &file);
}

/* The clean pack, with one file more, or one of its files replaced or left out. */
static Lint *lint_pack_with(const char *path, const char *name, const char *text)
{
    static const Text clean[] = {
        {"manifest.yaml", MANIFEST}, {"wiki/index.md", INDEX}, {"wiki/concepts/a.md", PAGE}};
    Lint *lint = lint_new(path);
    gboolean replaced = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(clean); i++) {
        gboolean same = name != NULL && strcmp(clean[i].name, name) == 0;
        replaced = replaced || same;
        const char *content = same ? text : clean[i].text;
        if (content != NULL)
            add_text(lint, clean[i].name, content, strlen(content));
    }
    if (name != NULL && !replaced && text != NULL)
        add_text(lint, name, text, strlen(text));
    lint_finish(lint);
    return lint;
}

static const LintFinding *find(const Lint *lint, const char *rule)
{
    const GPtrArray *findings = lint_findings(lint);
    for (guint i = 0; i < findings->len; i++) {
        const LintFinding *finding = g_ptr_array_index(findings, i);
        g_assert_true(*finding->message != '\0' && *finding->fix != '\0');
        g_assert_null(strchr(finding->message, '\n'));
        if (strcmp(finding->rule, rule) == 0)
            return finding;
    }
    return NULL;
}

static void test_clean(void)
{
    g_autoptr(Lint) lint = lint_pack_with("history/rome", NULL, NULL);
    g_assert_cmpuint(lint_findings(lint)->len, ==, 0);
    g_assert_cmpuint(lint_error_count(lint) + lint_warning_count(lint), ==, 0);
}

/* --- One rule each --- */

typedef struct {
    const char *name, *text; /* the file that is wrong */
    const char *rule;
    guint line;
    LintSeverity severity;
    gboolean fixable;
} RuleCase;

#define ROWS "| File | Title | Summary |\n|---|---|---|\n"

static const RuleCase cases[] = {
    {"manifest.yaml", NULL, "manifest-missing", 0, LINT_ERROR, FALSE},
    {"wiki/index.md", NULL, "index-missing", 0, LINT_ERROR, FALSE},
    {"wiki/concepts/a.md", NULL, "page-missing", 5, LINT_ERROR, FALSE},
    {"manifest.yaml", "name: a\nversion: 1.0\nsummary: s\n", "version", 2, LINT_ERROR, FALSE},
    {"manifest.yaml", "name: a\nsummary: s\n", "version", 0, LINT_ERROR, FALSE},
    {"manifest.yaml", "name: [\n", "manifest-form", 2, LINT_WARNING, FALSE},
    {"manifest.yaml", "version: 1.0.0\nsummary: s\n", "manifest-name", 0, LINT_WARNING, FALSE},
    {"manifest.yaml", "name: a\nversion: 1.0.0\nsummary:\n", "manifest-summary", 3, LINT_WARNING, FALSE},
    {"manifest.yaml", MANIFEST "sources:\n- url: file:///C:/Users/anna/rome.pdf\n", "private-path", 6,
     LINT_ERROR, FALSE},
    {"manifest.yaml", MANIFEST "sources: [{url: FILE:///x}]\n", "private-path", 5, LINT_ERROR, FALSE},
    {"wiki/log.md", "# Log\nread /home" /* apart for tests/tidy */ "/anna/x.pdf\n", "private-path", 2,
     LINT_ERROR, FALSE},
    {"wiki/log.md", "read C:\\Users\\Anna\\x.pdf\n", "private-path", 1, LINT_ERROR, FALSE},
    {"wiki/concepts/a.md", "---\nsource: /Users/anna/x\n---\nA\n", "private-path", 2, LINT_ERROR, FALSE},
    {"manifest.yaml", "name: a\r\nversion: 1.0.0\r\nsummary: s\r\n", "crlf", 1, LINT_ERROR, TRUE},
    {"wiki/concepts/a.md", "# A\nold mac\rline\n", "crlf", 2, LINT_ERROR, TRUE},
    {"wiki/concepts/a.md", "\xef\xbb\xbf# A\n", "bom", 1, LINT_ERROR, TRUE},
    {"wiki/concepts/a.md", "# A\n\xff\n", "utf8", 2, LINT_ERROR, FALSE},
    {"wiki/concepts/a.md", "", "page-empty", 0, LINT_WARNING, FALSE},
    {"wiki/concepts/a.md", "---\ntitle: A\n", "front-matter", 1, LINT_WARNING, FALSE},
    {"wiki/index.md", "# Rome\n", "index-empty", 0, LINT_WARNING, FALSE},
    {"wiki/index.md", INDEX "| concepts/a.md | A |\n", "row-not-indexed", 6, LINT_ERROR, TRUE},
    {"wiki/index.md", ROWS "| concepts/a.md | A ||\n", "row-not-indexed", 3, LINT_ERROR, TRUE},
    {"wiki/index.md", ROWS "| concepts/a.md | A | no end\n", "row-not-indexed", 3, LINT_ERROR, TRUE},
    {"wiki/index.md", INDEX " | concepts/b.md | B | indented |\n", "row-ignored", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| concepts/b.md |\n", "row-ignored", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| concepts/b c.md | B | b |\n", "row-name", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| [b](concepts/b.md) | B | b |\n", "row-name", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| ../../b.md | B | b |\n", "row-name", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| concepts/b.txt | B | b |\n", "row-name", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| concepts/.b.md | B | b |\n", "row-hidden", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", INDEX "| concepts/a.md | A | about a |\n", "row-repeated", 6, LINT_ERROR, TRUE},
    {"wiki/index.md", INDEX "| concepts/a.md | A | other |\n", "row-duplicate", 6, LINT_ERROR, FALSE},
    {"wiki/index.md", ROWS "| concepts/a.md | A | x | y |\n", "row-pipe", 3, LINT_WARNING, FALSE},
    {"wiki/index.md", "\xff\n", "utf8", 1, LINT_ERROR, FALSE},
    {"wiki/concepts/b.md", "# B\n", "page-unlisted", 0, LINT_WARNING, FALSE},
    {"wiki/embeddings.json", "{}", "local-file", 0, LINT_WARNING, FALSE},
    {"wiki/Concepts/A.md", "# A\n", "name-collision", 0, LINT_ERROR, FALSE},
    {"wiki/.DS_Store", "x", "name-hidden", 0, LINT_WARNING, FALSE},
    {"wiki/a\x7f.md", "x", "name", 0, LINT_ERROR, FALSE},
    {"wiki/\xff.md", "x", "name", 0, LINT_ERROR, FALSE},
};

static void test_each_rule(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const RuleCase *c = &cases[i];
        g_autoptr(Lint) lint = lint_pack_with(NULL, c->name, c->text);
        const LintFinding *finding = find(lint, c->rule);
        if (finding == NULL)
            g_error("case %u: no finding '%s' for %s", i, c->rule, c->name);
        g_assert_cmpuint(finding->line, ==, c->line);
        g_assert_cmpint(finding->severity, ==, c->severity);
        g_assert_cmpint(finding->fixable, ==, c->fixable);
        g_assert_cmpuint(c->severity == LINT_ERROR ? lint_error_count(lint) : lint_warning_count(lint), >, 0);
    }
}

/* Things that look like mistakes and are none. */
static void test_no_false_alarm(void)
{
    static const Text fine[] = {
        {"wiki/log.md", "see https://example.org/home/anna/ and ~/home/x and profile:/x\n"},
        {"wiki/log.md", "The /home/ directory, /Users/ and C:\\Users\\ hold what users own.\n"},
        {"wiki/concepts/a.md", "---\ntitle: A\n---\nOn Linux, files are in /home"
                               "/anna/ and file:///x is a URL.\n"},
        {"wiki/schema.md", "# Schema\n"},
        {"wiki/concepts/_index.md", "# Concepts\n"},
        {"wiki/assets/x.png", "\x89PNG"},
        {"manifest.sig", "{}"},
        {"wiki/index.md", INDEX "\nText with | pipes and a.md\n"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(fine); i++) {
        g_autoptr(Lint) lint = lint_pack_with("a", fine[i].name, fine[i].text);
        const GPtrArray *findings = lint_findings(lint);
        if (findings->len > 0 && strcmp(fine[i].name, "wiki/assets/x.png") != 0)
            g_error("case %u: %s", i, ((LintFinding *)g_ptr_array_index(findings, 0))->message);
    }
}

static void test_binary_is_no_text(void)
{
    g_autoptr(Lint) lint = lint_new(NULL);
    g_autoptr(GBytes) bytes = g_bytes_new_static("\r\n\xff", 3);
    LintFile file = {.name = "wiki/x.png", .kind = LINT_FILE, .size = 3, .bytes = bytes};
    lint_add(lint, &file);
    g_assert_cmpuint(lint_error_count(lint), ==, 0);
}

static void test_kinds_and_sizes(void)
{
    static const struct {
        LintFile file;
        const char *rule;
    } bad[] = {
        {{.name = "wiki/link.md", .kind = LINT_SYMLINK}, "not-a-file"},
        {{.name = "wiki/pipe", .kind = LINT_SPECIAL}, "not-a-file"},
        {{.name = "wiki/secret", .kind = LINT_UNREADABLE}, "unreadable"},
        {{.name = "wiki/big.md", .kind = LINT_FILE, .size = 8 * 1024 * 1024 + 1}, "size"},
        {{.name = "manifest.yaml", .kind = LINT_FILE, .size = 256 * 1024 + 1}, "size"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Lint) lint = lint_new(NULL);
        lint_add(lint, &bad[i].file);
        g_assert_nonnull(find(lint, bad[i].rule));
    }
    g_autoptr(Lint) lint = lint_new(NULL);
    for (guint i = 0; i < 33; i++) {
        g_autofree char *name = g_strdup_printf("wiki/%u.bin", i);
        lint_add(lint, &(LintFile){.name = name, .kind = LINT_FILE, .size = 8 * 1024 * 1024});
    }
    lint_finish(lint);
    g_assert_nonnull(find(lint, "pack-size"));
}

static void test_paths(void)
{
    const char *const good[] = {"rome", "history/rome", "a/b-c_d/E9", "9"};
    const char *const bad[] = {"", "Rome", "-a", "a.b", "a b", "a//b", "a/../b", "\xc3\xa9", "a/", "_a"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(Lint) lint = lint_pack_with(good[i], NULL, NULL);
        g_assert_null(find(lint, "path"));
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Lint) lint = lint_pack_with(bad[i], NULL, NULL);
        g_assert_nonnull(find(lint, "path"));
    }
}

static void test_findings_are_sorted_and_bounded(void)
{
    g_autoptr(GString) index = g_string_new(ROWS);
    for (guint i = 0; i < 12000; i++)
        g_string_append_printf(index, "| p%05u.md | t |\n", i);
    g_autoptr(Lint) lint = lint_pack_with(NULL, "wiki/index.md", index->str);
    const GPtrArray *findings = lint_findings(lint);
    g_assert_cmpuint(findings->len, ==, 10000);
    g_assert_cmpuint(lint_error_count(lint), ==, 24000); /* not indexed, and missing */
    for (guint i = 1; i < findings->len; i++) {
        const LintFinding *a = g_ptr_array_index(findings, i - 1), *b = g_ptr_array_index(findings, i);
        g_assert_true(strcmp(a->file, b->file) < 0 || (strcmp(a->file, b->file) == 0 && a->line <= b->line));
    }
}

/* --- Repairing --- */

static char *fixed(const char *name, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(GBytes) result = lint_fix_text(name, bytes);
    g_autoptr(GBytes) again = lint_fix_text(name, result);
    g_assert_true(again == result); /* what is repaired needs no repair */
    gsize len = 0;
    const char *data = g_bytes_get_data(result, &len);
    return g_strndup(len > 0 ? data : "", len);
}

static void test_fix(void)
{
    static const struct {
        const char *name, *from, *to;
    } repairs[] = {
        {"wiki/a.md", "a\r\nb\rc\n", "a\nb\nc\n"},
        {"wiki/a.md", "\xef\xbb\xbf# A\r\n", "# A\n"},
        {"wiki/a.md", "| b.md | B |\n", "| b.md | B |\n"}, /* only index.md has rows */
        {"wiki/index.md", "| b.md | B |\n", "| b.md | B |  |\n"},
        {"wiki/index.md", "| b.md | B ||", "| b.md | B |  |"},
        {"wiki/index.md", "| b.md | B | s\n", "| b.md | B | s |\n"},
        {"wiki/index.md", "| b.md | B | s |\n", "| b.md | B | s |\n"},
        {"wiki/index.md", "|b.md|B|s|\r\n|b.md|B|s|\r\n", "|b.md|B|s|\n"},
        {"wiki/index.md", "x\n| b.md | B |\n|b.md|B|  |\ny", "x\n| b.md | B |  |\ny"},
        {"wiki/index.md", "| b.md | B | s |\n| b.md | B | t |\n", "| b.md | B | s |\n| b.md | B | t |\n"},
        {"wiki/index.md", "", ""},
    };
    for (guint i = 0; i < G_N_ELEMENTS(repairs); i++) {
        g_autofree char *result = fixed(repairs[i].name, repairs[i].from);
        g_assert_cmpstr(result, ==, repairs[i].to);
    }
}

/* Every page that the one text lists, the other lists too. */
static void assert_same_pages(const char *before, const char *after)
{
    g_autoptr(GPtrArray) rows = index_rows_parse(before, strlen(before), NULL);
    g_autoptr(GPtrArray) rows_after = index_rows_parse(after, strlen(after), NULL);
    for (guint i = 0; i < rows->len; i++) {
        const IndexRow *row = g_ptr_array_index(rows, i);
        gboolean found = FALSE;
        for (guint j = 0; j < rows_after->len && !found; j++)
            found = strcmp(((const IndexRow *)g_ptr_array_index(rows_after, j))->file, row->file) == 0;
        g_assert_true(found);
    }
}

/* Rows that stand alone on their lines are all searched after --fix. */
static void assert_nothing_to_fix(const char *text)
{
    g_autoptr(Lint) lint = lint_pack_with(NULL, "wiki/index.md", text);
    const GPtrArray *findings = lint_findings(lint);
    for (guint i = 0; i < findings->len; i++)
        g_assert_false(((const LintFinding *)g_ptr_array_index(findings, i))->fixable);
}

static void test_fix_leaves_nothing_to_fix(void)
{
    static const char *const texts[] = {
        "\xef\xbb\xbf" INDEX "\r\n| b.md | B |\r\n| b.md | B ||\n|c.md|C|x\r|c.md|C|x|",
        ROWS "|a|b|||\n|a|c| | |\n|a|d|| x\n",
    };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *result = fixed("wiki/index.md", texts[i]);
        assert_nothing_to_fix(result);
    }
}

/* --fix loses no page, whatever it is given, and is done after one time. */
static void test_fix_is_safe(void)
{
    static const RandomPiece pieces[] = {
        RANDOM_PIECE("| a.md | A | s |\n"),
        RANDOM_PIECE("| a.md | A |\n"),
        RANDOM_PIECE("| b.md | B ||\r\n"),
        RANDOM_PIECE("|c.md|C|x"),
        RANDOM_PIECE("\n"),
        RANDOM_PIECE("\r"),
        RANDOM_PIECE("| "),
        RANDOM_PIECE("|"),
        RANDOM_PIECE("\x0b"),
        RANDOM_PIECE("\xe2\x80\xa8"),
        RANDOM_PIECE("- | x |"),
        RANDOM_PIECE("text\n"),
        RANDOM_PIECE("\xef\xbb\xbf"),
        RANDOM_PIECE("file"),
        RANDOM_PIECE("  "),
    };
    g_autoptr(GRand) rng = random_new(7);
    for (guint round = 0; round < 5000; round++) {
        g_autoptr(GString) text = random_text(rng, pieces, G_N_ELEMENTS(pieces), 12);
        g_autofree char *result = fixed("wiki/index.md", text->str);
        g_assert_null(strchr(result, '\r'));
        g_assert_false(g_str_has_prefix(result, "\xef\xbb\xbf"));
        assert_same_pages(text->str, result);
    }
}

static void test_nul(void)
{
    static const char page[] = "# A\na\0b\n";
    g_autoptr(Lint) lint = lint_new(NULL);
    add_text(lint, "manifest.yaml", MANIFEST, strlen(MANIFEST));
    add_text(lint, "wiki/index.md", INDEX, strlen(INDEX));
    add_text(lint, "wiki/concepts/a.md", page, sizeof page - 1);
    lint_finish(lint);
    const LintFinding *finding = find(lint, "nul");
    g_assert_nonnull(finding);
    g_assert_cmpuint(finding->line, ==, 2);
    g_assert_cmpint(finding->severity, ==, LINT_WARNING);
    g_assert_false(finding->fixable);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lint/nul", test_nul);
    g_test_add_func("/lint/clean", test_clean);
    g_test_add_func("/lint/rules", test_each_rule);
    g_test_add_func("/lint/no-false-alarm", test_no_false_alarm);
    g_test_add_func("/lint/binary", test_binary_is_no_text);
    g_test_add_func("/lint/kinds", test_kinds_and_sizes);
    g_test_add_func("/lint/paths", test_paths);
    g_test_add_func("/lint/bounded", test_findings_are_sorted_and_bounded);
    g_test_add_func("/lint/fix", test_fix);
    g_test_add_func("/lint/fix/complete", test_fix_leaves_nothing_to_fix);
    g_test_add_func("/lint/fix/safe", test_fix_is_safe);
    return g_test_run();
}
