/* SPDX-License-Identifier: MIT
 *
 * The home page: escaping of whatever packs and visitors bring along, and the pages of the list.
 */
#include <string.h>

#include "broker/search/search.h"
#include "broker/web/home.h"
#include "broker/web/html.h"

static void check_text(const char *text, guint chars, const char *expected)
{
    g_autoptr(GString) html = g_string_new(NULL);
    html_append_excerpt(html, text, chars);
    g_assert_cmpstr(html->str, ==, expected);
}

static void test_escape(void)
{
    check_text("a & b < c > d \" e ' f", 100, "a &amp; b &lt; c &gt; d &quot; e &#39; f");
    check_text("tab\tline\nbell\a\x01 end", 100, "tab\tline\nbell end");
    check_text("bad \xff byte", 100, "bad \xef\xbf\xbd byte");
    check_text("héllo", 2, "hé…");
    check_text("héllo", 5, "héllo");
    check_text("<<<", 2, "&lt;&lt;…");
    check_text("", 0, "");
}

/* No character that could end an attribute or open a tag survives, whatever goes in. */
static void test_escape_property(void)
{
    for (guint run = 0; run < 5000; run++) {
        char text[33];
        gsize len = (gsize)g_test_rand_int_range(0, 32);
        for (gsize i = 0; i < len; i++)
            text[i] = (char)g_test_rand_int_range(1, 256);
        text[len] = '\0';
        g_autoptr(GString) html = g_string_new(NULL), path = g_string_new(NULL), query = g_string_new(NULL);
        html_append_text(html, text);
        html_append_path(path, text);
        html_append_query(query, text);
        g_assert_null(strpbrk(html->str, "<>\"'"));
        g_assert_true(g_utf8_validate(html->str, -1, NULL));
        g_assert_null(strpbrk(path->str, "<>\"'&?# "));
        g_assert_null(strpbrk(query->str, "<>\"'&?#/ "));
    }
}

static const HomeFigures figures = {.name = "lib & co", .packs = 3, .pages = 7};

static GPtrArray *places_of(guint count)
{
    GPtrArray *places = g_ptr_array_new_with_free_func(g_free);
    static char path[] = "a&b/c d", text[] = "<b>x</b>";
    for (guint i = 0; i < count; i++) {
        CatalogPack *place = g_new0(CatalogPack, 1);
        place->path = path;
        place->version = text;
        place->summary = text;
        place->is_pack = i % 2 == 0;
        g_ptr_array_add(places, place);
    }
    return places;
}

static char *text_of(HttpReply *reply)
{
    gsize len;
    const char *data = g_bytes_get_data(http_reply_body(reply), &len);
    return g_strndup(data, len);
}

static char *page_text(const GPtrArray *places, guint page)
{
    HttpRequest request = {.method = HTTP_GET};
    g_autoptr(Resource) resource = home_page(&figures, places, /* sources= */ NULL, page);
    g_autoptr(HttpReply) reply = resource_answer(resource, &request);
    return text_of(reply);
}

static guint count_of(const char *text, const char *part)
{
    guint count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static void test_pages(void)
{
    g_autoptr(GPtrArray) places = places_of(2 * 120);
    g_autofree char *first = page_text(places, 1), *third = page_text(places, 3),
                    *far = page_text(places, 999);
    g_assert_cmpuint(count_of(first, "<li>"), ==, HOME_PACKS);
    g_assert_cmpuint(count_of(third, "<li>"), ==, 20);
    g_assert_cmpstr(third, ==, far);
    g_assert_nonnull(strstr(first, "href=\"/?page=2\""));
    g_assert_null(strstr(first, "rel=\"prev\""));
    g_assert_nonnull(strstr(third, "href=\"/?page=2\""));
    g_assert_null(strstr(third, "rel=\"next\""));
    g_assert_nonnull(strstr(first, "href=\"/packs/a%26b/c%20d/wiki/index.md\""));
    g_assert_nonnull(strstr(first, "lib &amp; co"));
    g_assert_null(strstr(first, "<b>"));
}

static void test_no_packs(void)
{
    g_autoptr(GPtrArray) places = places_of(0);
    g_autofree char *text = page_text(places, 1);
    g_assert_nonnull(strstr(text, "There are no packs here yet."));
    g_assert_null(strstr(text, "<nav"));
}

/* What is public about sources: escaped, without places of this host, in words for visitors. */
static void test_sources(void)
{
    HttpRequest request = {.method = HTTP_GET};
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
    char git[] = "git", peer[] = "peer", ok[] = "ok", failing[] = "failing", waiting[] = "waiting";
    char detail[] = "token_file /secret", hostile[] = "https://h/\"><script>", local[] = "file:///srv/secret";
    char ssh[] = "ssh://h/p", name[] = "commons", north[] = "north";
    MirrorsSource all[] = {
        {name, git, hostile, ok, detail, now_s - 60, 12, 1},
        {north, peer, local, failing, detail, now_s - 3 * 24 * 3600, 1, 0},
        {north, git, ssh, waiting, detail, 0, 0, 0},
    };
    g_autoptr(GPtrArray) places = places_of(2), sources = g_ptr_array_new();
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        g_ptr_array_add(sources, &all[i]);
    g_autoptr(Resource) resource = home_page(&figures, places, sources, 1);
    g_autoptr(HttpReply) reply = resource_answer(resource, &request);
    g_autofree char *text = text_of(reply);
    g_assert_null(strstr(text, "<script"));
    g_assert_null(strstr(text, "secret"));
    g_assert_nonnull(
        strstr(text, "<strong>commons</strong> <span class=\"soft\">a git repository, 12 packs, 1 refused, "
                     "up to date, fetched within the hour</span>"));
    g_assert_nonnull(
        strstr(text, "a broker, 1 pack, cannot be reached, fetched 3 days ago</span><p>a repository on this "
                     "host</p>"));
    g_assert_nonnull(strstr(text, "come from <a href=\"#sources\">3 sources</a>"));
    g_assert_nonnull(strstr(text, "<h2 id=\"sources\">"));
    g_assert_nonnull(strstr(text, "0 packs, not fetched yet</span><p>ssh://h/p</p>"));
    g_autoptr(Resource) second = home_page(&figures, places, sources, 2);
    g_autoptr(HttpReply) other = resource_answer(second, &request);
    g_autofree char *without = text_of(other);
    g_assert_null(strstr(without, "ources"));
    g_autofree char *none = page_text(places, 1);
    g_assert_null(strstr(none, "ources"));
}

static void test_results(void)
{
    char pack[] = "p/q", file[] = "concepts/x \"y\".md", hostile[] = "</li><script>";
    SearchHit hit = {pack, file, hostile, hostile, hostile, -1};
    g_autoptr(GPtrArray) hits = g_ptr_array_new();
    g_ptr_array_add(hits, &hit);
    g_autoptr(HttpReply) found = home_results_reply(&figures, 200, "\"><script>", "'x", hits, NULL);
    g_autofree char *text = text_of(found);
    g_assert_null(strstr(text, "<script"));
    g_assert_nonnull(strstr(text, "href=\"/packs/p/q/wiki/concepts/x%20%22y%22.md\""));
    g_assert_nonnull(strstr(text, "value=\"&quot;&gt;&lt;script&gt;\""));
    g_autoptr(HttpReply) refused = home_results_reply(&figures, 429, "q", "", NULL, "too <many>");
    g_autofree char *refusal = text_of(refused);
    g_assert_cmpuint(http_reply_status(refused), ==, 429);
    g_assert_nonnull(strstr(refusal, "too &lt;many&gt;"));
    g_ptr_array_set_size(hits, 0);
    g_autoptr(HttpReply) none = home_results_reply(&figures, 200, "q", "", hits, NULL);
    g_autofree char *nothing = text_of(none);
    g_assert_nonnull(strstr(nothing, "Nothing was found."));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/broker/home/escape", test_escape);
    g_test_add_func("/broker/home/escape-property", test_escape_property);
    g_test_add_func("/broker/home/pages", test_pages);
    g_test_add_func("/broker/home/no-packs", test_no_packs);
    g_test_add_func("/broker/home/sources", test_sources);
    g_test_add_func("/broker/home/results", test_results);
    return g_test_run();
}
