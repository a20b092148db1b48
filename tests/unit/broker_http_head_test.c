/* SPDX-License-Identifier: MIT
 *
 * The request head: what is accepted and what it means, and the exact status of everything that is refused.
 */
#include "broker/net/http_head.h"

#include <string.h>

static guint parse(const char *text, HttpHead *ret, HttpHeader *headers)
{
    return http_head_parse(text, strlen(text), headers, ret);
}

static gboolean slice_is(HttpSlice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.text, text, slice.len) == 0;
}

static void test_plain(void)
{
    HttpHeader headers[LIMIT_HTTP_HEADERS];
    HttpHead head;
    const char *text =
        "GET /packs/a/wiki/b.md?x=1&y HTTP/1.1\r\nHost: a\r\nX-Two:  b c \t\r\nEmpty:\r\n\r\nrest";
    g_assert_cmpuint(parse(text, &head, headers), ==, 0);
    g_assert_cmpint(head.request.method, ==, HTTP_GET);
    g_assert_true(slice_is(head.request.target, "/packs/a/wiki/b.md?x=1&y"));
    g_assert_true(slice_is(head.request.path, "/packs/a/wiki/b.md"));
    g_assert_true(slice_is(head.request.query, "x=1&y"));
    g_assert_cmpuint(head.request.header_count, ==, 3);
    HttpSlice value;
    g_assert_true(http_request_header(&head.request, "x-two", &value));
    g_assert_true(slice_is(value, "b c"));
    g_assert_true(http_request_header(&head.request, "EMPTY", &value));
    g_assert_cmpuint(value.len, ==, 0);
    g_assert_false(http_request_header(&head.request, "x-tw", &value));
    g_assert_true(head.keep_alive);
    g_assert_cmpuint(head.head_bytes, ==, strlen(text) - 4);
}

/* Each line: a whole head and the status it gets. */
static const struct {
    guint status;
    const char *text;
} cases[] = {
    {0, "GET / HTTP/1.0\r\n\r\n"},
    {0, "GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n"},
    {0, "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n"},
    {0, "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {0, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
    {0, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"},
    {400, "\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
    {400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"},
    {400, "GET / http/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET x HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "G@T / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.1\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\n\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
    {505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
};

static void test_cases(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        HttpHeader headers[LIMIT_HTTP_HEADERS];
        HttpHead head;
        guint status = parse(cases[i].text, &head, headers);
        if (status != cases[i].status)
            g_error("case %u: %u instead of %u: %s", i, status, cases[i].status, cases[i].text);
    }
}

static void test_nul(void)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n";
    HttpHeader headers[LIMIT_HTTP_HEADERS];
    HttpHead head;
    g_assert_cmpuint(http_head_parse(text, sizeof text - 1, headers, &head), ==, 400);
}

static void test_absolute_form(void)
{
    HttpHeader headers[LIMIT_HTTP_HEADERS];
    HttpHead head;
    g_assert_cmpuint(parse("GET HTTP://host:80/a?b HTTP/1.1\r\nHost: h\r\n\r\n", &head, headers), ==, 0);
    g_assert_true(slice_is(head.request.target, "/a?b"));
}

static void test_limits(void)
{
    HttpHeader headers[LIMIT_HTTP_HEADERS];
    HttpHead head;
    g_autofree char *longest = g_strnfill(LIMIT_HTTP_TARGET_BYTES - 1, 'a');
    g_autofree char *fits = g_strdup_printf("GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", longest);
    g_assert_cmpuint(parse(fits, &head, headers), ==, 0);
    g_autofree char *too_long = g_strdup_printf("GET /a%s HTTP/1.1\r\nHost: h\r\n\r\n", longest);
    g_assert_cmpuint(parse(too_long, &head, headers), ==, 414);

    g_autoptr(GString) many = g_string_new("GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 1; i < LIMIT_HTTP_HEADERS; i++)
        g_string_append(many, "A: b\r\n");
    g_autofree char *exactly = g_strconcat(many->str, "\r\n", NULL);
    g_assert_cmpuint(parse(exactly, &head, headers), ==, 0);
    g_assert_cmpuint(head.request.header_count, ==, LIMIT_HTTP_HEADERS);
    g_autofree char *one_more = g_strconcat(many->str, "A: b\r\n\r\n", NULL);
    g_assert_cmpuint(parse(one_more, &head, headers), ==, 431);

    g_autofree char *big = g_strnfill(LIMIT_HTTP_HEAD_BYTES, 'v');
    g_autofree char *wide = g_strdup_printf("GET / HTTP/1.1\r\nHost: h\r\nA: %s\r\n\r\n", big);
    g_assert_cmpuint(parse(wide, &head, headers), ==, 431);
}

static void test_hopeless(void)
{
    guint status = 0;
    g_autofree char *line = g_strnfill(LIMIT_HTTP_HEAD_BYTES + 100, 'x');
    g_assert_false(http_head_is_hopeless(line, LIMIT_HTTP_TARGET_BYTES, &status));
    g_assert_true(http_head_is_hopeless(line, LIMIT_HTTP_TARGET_BYTES + 100, &status));
    g_assert_cmpuint(status, ==, 414);
    memcpy(line, "GET / HTTP/1.1\r\n", 16);
    g_assert_false(http_head_is_hopeless(line, LIMIT_HTTP_HEAD_BYTES, &status));
    g_assert_true(http_head_is_hopeless(line, LIMIT_HTTP_HEAD_BYTES + 1, &status));
    g_assert_cmpuint(status, ==, 431);
}

/* Found at whatever boundary the bytes arrive, with everything before it scanned only once. */
static void test_completeness(void)
{
    const char *text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (gsize split = 1; split < strlen(text); split++) {
        gsize scanned = 0;
        g_assert_false(http_head_is_complete(text, split, &scanned));
        g_assert_cmpuint(scanned, ==, split);
        g_assert_true(http_head_is_complete(text, strlen(text), &scanned));
    }
}

#define WS_UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define WS_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS_VERSION "Sec-WebSocket-Version: 13\r\n"

static void test_connection(void)
{
    static const struct {
        const char *text;
        gboolean keep_alive, websocket;
    } lines[] = {
        {"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" WS_KEY
             WS_VERSION "\r\n",
         TRUE, TRUE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" WS_KEY WS_VERSION "\r\n", TRUE, FALSE},
        {"POST /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE WS_KEY WS_VERSION "\r\n", TRUE, FALSE},
        {"GET /ws HTTP/1.0\r\nHost: h\r\n" WS_UPGRADE WS_KEY WS_VERSION "\r\n", FALSE, FALSE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE WS_VERSION "\r\n", TRUE, FALSE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE WS_KEY "\r\n", TRUE, FALSE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE WS_KEY WS_KEY WS_VERSION "\r\n", TRUE, FALSE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE WS_KEY "Sec-WebSocket-Version: 8\r\n\r\n", TRUE, FALSE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE "Sec-WebSocket-Key: c2hvcnQ=\r\n" WS_VERSION "\r\n",
         TRUE, FALSE},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n" WS_UPGRADE
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n" WS_VERSION "\r\n",
         TRUE, FALSE},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", FALSE, FALSE},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x ,\tCLOSE\r\n\r\n", FALSE, FALSE},
        {"GET / HTTP/1.0\r\n\r\n", FALSE, FALSE},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", TRUE, FALSE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        HttpHeader headers[LIMIT_HTTP_HEADERS];
        HttpHead head;
        g_assert_cmpuint(parse(lines[i].text, &head, headers), ==, 0);
        g_assert_cmpint(head.keep_alive, ==, lines[i].keep_alive);
        g_assert_cmpint(head.wants_websocket, ==, lines[i].websocket);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http-head/plain", test_plain);
    g_test_add_func("/http-head/cases", test_cases);
    g_test_add_func("/http-head/nul", test_nul);
    g_test_add_func("/http-head/absolute-form", test_absolute_form);
    g_test_add_func("/http-head/limits", test_limits);
    g_test_add_func("/http-head/hopeless", test_hopeless);
    g_test_add_func("/http-head/completeness", test_completeness);
    g_test_add_func("/http-head/connection", test_connection);
    return g_test_run();
}
