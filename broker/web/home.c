/* SPDX-License-Identifier: MIT */
#include "broker/web/home.h"

#include <string.h>

#include "broker/search/search.h"
#include "broker/web/html.h"
#include "signing/hash.h"

#define SUMMARY_CHARS 300

#define SECURITY_POLICY                                                                                      \
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "                   \
    "frame-ancestors 'none'"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d2733;--soft:#5b6774;--line:#d8dee4;--edge:#868f99;--paper:#fff;"
    "--link:#0a5a9c;"
    "--mark:#eef3f8}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b1;--line:#333c46;--edge:#6f7b88;--"
    "paper:#14181d;"
    "--link:#7db8ee;--mark:#1e252d}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}"
    "header,main,footer{max-width:48rem;margin:0 auto;padding:0 1rem;overflow-wrap:anywhere}"
    "header{padding-top:1.5rem}footer{margin-top:2rem;padding-bottom:2rem;font-size:.9rem}"
    "h1{font-size:1.8rem;line-height:1.2;margin:0 0 .5rem}h1 a{color:inherit;text-decoration:none}"
    "h2{font-size:1.15rem;margin:2rem 0 .6rem}"
    "p{margin:.3rem 0}a{color:var(--link);text-underline-offset:.15em}li>a{font-weight:600}"
    ".soft{color:var(--soft)}"
    "form{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0 0}"
    "label{flex:2 1 16rem;font-size:.85rem;color:var(--soft)}label+label{flex:1 1 11rem}"
    "input{display:block;width:100%;font:inherit;font-size:1rem;margin-top:.15rem;padding:.5rem .7rem;"
    "border:1px solid var(--edge);border-radius:.3rem;background:var(--paper);color:var(--ink)}"
    "button{align-self:end;font:inherit;padding:.5rem 1.3rem;border:1px solid var(--link);"
    "border-radius:.3rem;background:var(--link);color:var(--paper);cursor:pointer}"
    "ol,ul{list-style:none;margin:0;padding:0}li{padding:.8rem 0;border-top:1px solid var(--line)}"
    "code{font:.9em ui-monospace,monospace;background:var(--mark);padding:.1rem .3rem;border-radius:.2rem}"
    "nav{display:flex;justify-content:space-between;padding:.8rem 0}"
    "a:focus-visible,input:focus-visible,button:focus-visible{outline:3px solid var(--link);"
    "outline-offset:2px}";

HomeFigures home_figures(const char *name, const Catalog *catalog, Relay *relay)
{
    return (HomeFigures){
        .name = name,
        .packs = catalog_pack_count(catalog),
        .pages = catalog_page_count(catalog),
        .has_nodes = relay != NULL,
        .nodes = relay != NULL ? relay_node_count(relay) : 0,
    };
}

/* "1 page", "2 pages". */
static void append_count(GString *html, guint64 count, const char *noun)
{
    g_string_append_printf(html, "%" G_GUINT64_FORMAT " %s%s", count, noun, count == 1 ? "" : "s");
}

static void append_head(GString *html, const HomeFigures *figures)
{
    g_string_append(html, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    html_append_text(html, figures->name);
    g_string_append(html, " – knowledge packs</title>\n<style>");
    g_string_append(html, style);
    g_string_append(html, "</style>\n</head>\n<body>\n<header>\n<h1><a href=\"/\">");
    html_append_text(html, figures->name);
    g_string_append(html, "</a></h1>\n<p>A broker for knowledge packs: small wikis that programs and people "
                          "can read, search and mirror.</p>\n");
    g_string_append(html, "<p class=\"soft\">");
    append_count(html, figures->packs, "pack");
    g_string_append(html, " · ");
    append_count(html, figures->pages, "page");
    if (figures->has_nodes) {
        g_string_append(html, " · ");
        append_count(html, figures->nodes, "connected Node");
    }
    if (figures->fingerprint != NULL)
        g_string_append_printf(html, " · key <code>%s</code>", figures->fingerprint);
    g_string_append(html, "</p>\n");
}

static void append_form(GString *html, const char *text, const char *scope)
{
    g_string_append(html, "<form action=\"/\" method=\"get\" role=\"search\">\n"
                          "<label>Search all pages<input type=\"search\" name=\"q\" required value=\"");
    html_append_text(html, text);
    g_string_append(html, "\"></label>\n<label>Only in (path of a pack or category)"
                          "<input name=\"scope\" value=\"");
    html_append_text(html, scope);
    g_string_append(html, "\"></label>\n<button>Search</button>\n</form>\n</header>\n<main>\n");
}

static void append_foot(GString *html)
{
    g_string_append(html,
                    "</main>\n<footer class=\"soft\"><p>For programs: <a href=\"/tree\">/tree</a> · "
                    "<a href=\"/packs\">/packs</a> · <a href=\"/packs/summaries\">/packs/summaries</a> · "
                    "<a href=\"/catalog\">/catalog</a> · <a href=\"/publishers\">/publishers</a> · "
                    "<a href=\"/nodes\">/nodes</a> · <a href=\"/version\">/version</a></p>"
                    "<p>Kontor " KONTOR_VERSION ". Searches are not recorded.</p></footer>\n"
                    "</body>\n</html>\n");
}

static void append_page_link(GString *html, const char *pack_path, const char *file)
{
    g_string_append(html, "<a href=\"/packs/");
    html_append_path(html, pack_path);
    g_string_append(html, "/wiki/");
    html_append_path(html, file);
    g_string_append(html, "\">");
}

/* Says in words whose the pack is; nothing when signatures are not looked at. A name comes from the trust
 * list only: what an unknown key calls itself proves nothing. */
static void append_signature(GString *html, const CatalogRelease *release)
{
    if (!release->is_checked)
        return;
    if (release->rule == ACCEPT_UNSIGNED) {
        g_string_append(html, ", not signed");
        return;
    }
    gboolean named = release->rule == ACCEPT_OK && *release->publisher != '\0';
    g_string_append(html,
                    release->rule == ACCEPT_OK ? ", signed by " : ", signed by a key not trusted here: ");
    if (named)
        html_append_excerpt(html, release->publisher, 64);
    if (named)
        g_string_append_c(html, ' ');
    g_string_append_printf(html, "<code>%s</code>", release->fingerprint);
}

static void append_pack(GString *html, const CatalogPack *pack)
{
    g_string_append(html, "<li>");
    append_page_link(html, pack->path, "index.md");
    html_append_text(html, pack->path);
    g_string_append(html, "</a> <span class=\"soft\">");
    append_count(html, pack->rows_indexed, "page");
    if (*pack->version != '\0') {
        g_string_append(html, ", version ");
        html_append_excerpt(html, pack->version, 32);
    }
    append_signature(html, &pack->release);
    g_string_append(html, "</span>");
    if (*pack->summary != '\0') {
        g_string_append(html, "<p>");
        html_append_excerpt(html, pack->summary, SUMMARY_CHARS);
        g_string_append(html, "</p>");
    }
    g_string_append(html, "</li>\n");
}

static void append_pager(GString *html, guint page, guint pages)
{
    if (pages < 2)
        return;
    g_string_append(html, "<nav aria-label=\"Pages of the list\"><span>");
    if (page > 1)
        g_string_append_printf(html, "<a rel=\"prev\" href=\"/?page=%u\">Previous</a>", page - 1);
    g_string_append_printf(html, "</span><span>Page %u of %u</span><span>", page, pages);
    if (page < pages)
        g_string_append_printf(html, "<a rel=\"next\" href=\"/?page=%u\">Next</a>", page + 1);
    g_string_append(html, "</span></nav>\n");
}

static void append_packs(GString *html, const GPtrArray *places, const GPtrArray *sources, guint page)
{
    g_autoptr(GPtrArray) packs = g_ptr_array_new();
    for (guint i = 0; i < places->len; i++) {
        CatalogPack *place = g_ptr_array_index(places, i);
        if (place->is_pack)
            g_ptr_array_add(packs, place);
    }
    guint pages = MAX((packs->len + HOME_PACKS - 1) / HOME_PACKS, 1);
    page = CLAMP(page, 1, pages);
    g_string_append(html, "<h2>Packs</h2>\n");
    if (packs->len == 0)
        g_string_append(html,
                        "<p>There are no packs here yet. Whoever runs this broker lays them down in its "
                        "packs directory, or mirrors those of others.</p>\n");
    if (sources != NULL && sources->len > 0) {
        g_string_append(html, "<p class=\"soft\">Mirrored packs come from <a href=\"#sources\">");
        append_count(html, sources->len, "source");
        g_string_append(html, "</a>, listed below.</p>\n");
    }
    g_string_append(html, "<ul>\n");
    for (guint i = (page - 1) * HOME_PACKS; i < MIN(page * HOME_PACKS, packs->len); i++)
        append_pack(html, g_ptr_array_index(packs, i));
    g_string_append(html, "</ul>\n");
    append_pager(html, page, pages);
}

/* --- Sources --- */

/* In words for visitors. That a source is fetched from right now is nothing to them. */
static const char *source_state(const MirrorsSource *source)
{
    static const struct {
        const char *state, *words;
    } states[] = {
        {"waiting", "could not be reached lately"},
        {"failing", "cannot be reached"},
        {"paused", "paused"},
        {"held", "held until its packs are looked at"},
        {"alarm", "not trusted at present"},
    };
    if (source->last_ok_s == 0)
        return "not fetched yet";
    for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
        if (g_str_equal(source->state, states[i].state))
            return states[i].words;
    }
    return "up to date";
}

/* Roughly, so that the page stays the same for a while. */
static void append_age(GString *html, gint64 last_ok_s)
{
    gint64 hours = (g_get_real_time() / G_USEC_PER_SEC - last_ok_s) / 3600;
    if (last_ok_s == 0)
        return;
    g_string_append(html, ", fetched ");
    if (hours < 1) {
        g_string_append(html, "within the hour");
        return;
    }
    append_count(html, (guint64)(hours < 48 ? hours : hours / 24), hours < 48 ? "hour" : "day");
    g_string_append(html, " ago");
}

/* A link where a browser can follow one. Where on this host a repository lies is nobody's business. */
static void append_source_url(GString *html, const char *url)
{
    if (g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://")) {
        g_string_append(html, "<a rel=\"nofollow\" href=\"");
        html_append_text(html, url);
        g_string_append(html, "\">");
        html_append_text(html, url);
        g_string_append(html, "</a>");
    } else if (*url == '/' || g_str_has_prefix(url, "file:")) {
        g_string_append(html, "a repository on this host");
    } else {
        html_append_text(html, url);
    }
}

static void append_source(GString *html, const MirrorsSource *source)
{
    g_string_append(html, "<li><strong>");
    html_append_text(html, source->name);
    g_string_append_printf(html, "</strong> <span class=\"soft\">%s, ",
                           g_str_equal(source->kind, "peer") ? "a broker" : "a git repository");
    append_count(html, source->packs, "pack");
    if (source->refused > 0)
        g_string_append_printf(html, ", %u refused", source->refused);
    g_string_append_printf(html, ", %s", source_state(source));
    append_age(html, source->last_ok_s);
    g_string_append(html, "</span><p>");
    append_source_url(html, source->url);
    g_string_append(html, "</p></li>\n");
}

static void append_sources(GString *html, const GPtrArray *sources)
{
    if (sources == NULL || sources->len == 0)
        return;
    g_string_append(html, "<h2 id=\"sources\">Sources</h2>\n<p class=\"soft\">Packs are mirrored from these "
                          "places. Each pack says "
                          "who signed it.</p>\n<ul>\n");
    for (guint i = 0; i < MIN(sources->len, HOME_SOURCES); i++)
        append_source(html, g_ptr_array_index(sources, i));
    g_string_append(html, "</ul>\n");
    if (sources->len > HOME_SOURCES)
        g_string_append_printf(html, "<p class=\"soft\">And %u more.</p>\n", sources->len - HOME_SOURCES);
}

/* --- Pages --- */

Resource *home_page(const HomeFigures *figures, const GPtrArray *places, const GPtrArray *sources, guint page)
{
    GString *html = g_string_sized_new(16 * 1024);
    append_head(html, figures);
    append_form(html, "", "");
    append_packs(html, places, page <= 1 ? sources : NULL, page);
    if (page <= 1)
        append_sources(html, sources);
    append_foot(html);
    guint8 digest[SHA256_BYTES];
    sha256(html->str, html->len, digest);
    g_autoptr(GBytes) body = g_string_free_to_bytes(html);
    ResourceOptions options = {
        .content_type = "text/html; charset=utf-8", .compress = TRUE, .security_policy = SECURITY_POLICY};
    return resource_new(&options, body, digest);
}

static void append_hit(GString *html, const SearchHit *hit)
{
    g_string_append(html, "<li>");
    append_page_link(html, hit->pack_path, hit->page_file);
    html_append_text(html, hit->title);
    g_string_append(html, "</a> <span class=\"soft\">");
    html_append_text(html, hit->pack_path);
    g_string_append(html, "</span>");
    if (*hit->summary != '\0') {
        g_string_append(html, "<p>");
        html_append_excerpt(html, hit->summary, SUMMARY_CHARS);
        g_string_append(html, "</p>");
    }
    g_string_append(html, "</li>\n");
}

HttpReply *home_results_reply(const HomeFigures *figures, guint status, const char *text, const char *scope,
                              const GPtrArray *hits, const char *problem)
{
    GString *html = g_string_sized_new(16 * 1024);
    append_head(html, figures);
    append_form(html, text, scope);
    g_string_append(html, "<h2>Results</h2>\n");
    if (problem != NULL) {
        g_string_append(html, "<p role=\"alert\">");
        html_append_text(html, problem);
        g_string_append(html, "</p>\n");
    } else if (hits->len == 0) {
        g_string_append(html,
                        "<p>Nothing was found. Fewer or other words may help; <a href=\"/\">all packs</a> "
                        "are listed on the start page.</p>\n");
    }
    g_string_append(html, "<ol>\n");
    for (guint i = 0; hits != NULL && i < hits->len; i++)
        append_hit(html, g_ptr_array_index(hits, i));
    g_string_append(html, "</ol>\n");
    append_foot(html);
    g_autoptr(GBytes) body = g_string_free_to_bytes(html);
    HttpReply *reply = http_reply_new(status, "text/html; charset=utf-8", body);
    http_reply_add_header(reply, "Content-Security-Policy", SECURITY_POLICY);
    http_reply_add_header(reply, "X-Content-Type-Options", "nosniff");
    http_reply_add_header(reply, "Cache-Control", "private, no-store");
    http_reply_add_header(reply, "Referrer-Policy", "no-referrer");
    return reply;
}
