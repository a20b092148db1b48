/* SPDX-License-Identifier: MIT
 *
 * Where a page's front matter ends and how much of its body is searched.
 */
#include "schema/page.h"

#include "schema/limits.h"
#include "tests/unit/random_text.h"

enum { ROUNDS = 20000 };

static const RandomPiece pieces[] = {
    RANDOM_PIECE("---\n"),   RANDOM_PIECE("---\n"),  RANDOM_PIECE("\n"),   RANDOM_PIECE("---"),
    RANDOM_PIECE("-"),       RANDOM_PIECE("a: b"),   RANDOM_PIECE("é"),    RANDOM_PIECE("\n---\n"),
    RANDOM_PIECE("---\r\n"), RANDOM_PIECE(" ---\n"), RANDOM_PIECE("\xff"), RANDOM_PIECE("\0"),
    RANDOM_PIECE("--- \n"),  RANDOM_PIECE("----\n"),
};

typedef struct {
    const char *page;
    const char *front; /* NULL for none */
    const char *body;
} Example;

static void assert_span(TextSpan span, const char *want)
{
    g_assert_cmpmem(span.text, span.len, want, strlen(want));
}

static void test_examples(void)
{
    static const Example examples[] = {
        {"", NULL, ""},
        {"# Rome\n", NULL, "# Rome\n"},
        {"---\ntitle: Rome\n---\n# Rome\n", "title: Rome\n", "# Rome\n"},
        {"---\na: 1\n---\n", "a: 1\n", ""},
        {"---\n---\nbody", "", "body"},
        {"---\n\n---\nbody", "\n", "body"},
        {"---\na\n---\nb\n---\nc", "a\n", "b\n---\nc"},
        {"---\na\n---", NULL, "---\na\n---"},
        {"---\na: 1\n", NULL, "---\na: 1\n"},
        {"---\n", NULL, "---\n"},
        {"---", NULL, "---"},
        {" ---\na\n---\nb", NULL, " ---\na\n---\nb"},
        {"\xef\xbb\xbf---\na\n---\nb", NULL, "\xef\xbb\xbf---\na\n---\nb"},
        {"---\na\n----\nb\n --- \n---\nc", "a\n----\nb\n --- \n", "c"},
        {"text\n---\na\n---\nb", NULL, "text\n---\na\n---\nb"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(examples); i++) {
        PageParts parts = page_split(examples[i].page, strlen(examples[i].page));
        assert_span(parts.body, examples[i].body);
        g_assert_cmpint(parts.front.text != NULL, ==, examples[i].front != NULL);
        if (examples[i].front != NULL)
            assert_span(parts.front, examples[i].front);
    }
}

/* Line by line: front matter lasts from a first line "---" to the next line "---" that an LF ends. */
static gsize model_body_offset(const char *text, gsize len)
{
    gsize start = 0;
    for (gsize at = 0, line = 0; at < len; at++) {
        if (text[at] != '\n')
            continue;
        gboolean fence = at - start == 3 && memcmp(text + start, "---", 3) == 0;
        if (line == 0 && !fence)
            return 0;
        if (line > 0 && fence)
            return at + 1;
        start = at + 1;
        line++;
    }
    return 0;
}

static void test_split_like_model(void)
{
    g_autoptr(GRand) rng = random_new(51);
    guint with_front = 0;
    for (guint round = 0; round < ROUNDS; round++) {
        g_autoptr(GString) made = random_text(rng, pieces, G_N_ELEMENTS(pieces), 12);
        g_autofree char *text = random_exact(made);
        PageParts parts = page_split(text, made->len);
        gsize want = model_body_offset(text, made->len);
        g_assert_true(parts.body.text == text + want);
        g_assert_cmpuint(parts.body.len, ==, made->len - want);
        g_assert_cmpint(parts.front.text != NULL, ==, want > 0);
        if (want > 0) {
            g_assert_true(parts.front.text == text + 4);
            g_assert_cmpuint(parts.front.len, ==, want - 8);
            with_front++;
        }
    }
    g_assert_cmpuint(with_front, >, ROUNDS / 100);
}

static void test_body_is_cut_at_characters(void)
{
    g_autoptr(GString) page = g_string_new("---\nslug: x\n---\n");
    gsize front = page->len;
    for (guint i = 0; i < LIMIT_BODY_CHARS; i++)
        g_string_append(page, i % 2 ? "é" : "😀");
    gsize want = page->len - front;
    TextSpan all = page_search_body(page->str, page->len);
    g_assert_cmpuint(all.len, ==, want);
    g_string_append(page, "日 more");
    TextSpan cut = page_search_body(page->str, page->len);
    g_assert_true(cut.text == page->str + front);
    g_assert_cmpuint(cut.len, ==, want);
    TextSpan none = page_search_body(NULL, 0);
    g_assert_cmpuint(none.len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/page/examples", test_examples);
    g_test_add_func("/schema/page/split-like-model", test_split_like_model);
    g_test_add_func("/schema/page/body-is-cut-at-characters", test_body_is_cut_at_characters);
    return g_test_run();
}
