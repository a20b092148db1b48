/* SPDX-License-Identifier: MIT
 *
 * The chunked decoder: every split of the input gives the same result, and malformed coding is refused.
 */
#include "broker/net/http_chunked.h"

#include <string.h>

enum { OUT_MAX = 64 };

typedef struct {
    HttpChunkedResult result;
    gsize used, len;
    char out[OUT_MAX];
} Outcome;

/* Feeds `text` in pieces of `piece` bytes. */
static Outcome decode(const char *text, gsize piece)
{
    Outcome o = {.result = HTTP_CHUNKED_MORE};
    HttpChunked state = {0};
    gsize total = strlen(text);
    for (gsize at = 0; at < total && o.result == HTTP_CHUNKED_MORE;) {
        gsize n = MIN(piece, total - at), used = 0;
        o.result = http_chunked_decode(&state, text + at, n, &used, o.out, &o.len, OUT_MAX);
        if (o.result == HTTP_CHUNKED_MORE)
            g_assert_cmpuint(used, ==, n);
        at += used;
        o.used = at;
    }
    return o;
}

static const struct {
    const char *text;
    HttpChunkedResult result;
    const char *body;
    gsize rest; /* bytes behind the end */
} cases[] = {
    {"0\r\n\r\n", HTTP_CHUNKED_DONE, "", 0},
    {"5\r\nhello\r\n0\r\n\r\nGET", HTTP_CHUNKED_DONE, "hello", 3},
    {"3\r\nabc\r\n2;x=y\r\nde\r\n000\r\n\r\n", HTTP_CHUNKED_DONE, "abcde", 0},
    {"A \r\n0123456789\r\n0\r\nT: v\r\nU: w\r\n\r\n", HTTP_CHUNKED_DONE, "0123456789", 0},
    {"5\r\nhel", HTTP_CHUNKED_MORE, "hel", 0},
    {"\r\n", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"g\r\n", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"-1\r\n", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"0x5\r\n", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"5\nhello", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"5\r\nhelloX", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"000000005\r\nhello\r\n", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"0\r\n\rX", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"0\r\nT\x01\r\n\r\n", HTTP_CHUNKED_MALFORMED, NULL, 0},
    {"41\r\n01234567890123456789012345678901234567890123456789012345678901234", HTTP_CHUNKED_TOO_LARGE, NULL,
     0},
};

static void test_cases(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (gsize piece = 1; piece <= strlen(cases[i].text); piece++) {
            Outcome o = decode(cases[i].text, piece);
            /* A limit shows at the byte that exceeds it, so the split matters only for the other results. */
            g_assert_cmpint(o.result, ==, cases[i].result);
            if (cases[i].body != NULL) {
                g_assert_cmpmem(o.out, o.len, cases[i].body, strlen(cases[i].body));
                g_assert_cmpuint(strlen(cases[i].text) - o.used, ==, cases[i].rest);
            }
        }
    }
}

static void test_long_lines(void)
{
    g_autofree char *extension = g_strnfill(5000, 'e');
    g_autofree char *text = g_strdup_printf("1;%s\r\na\r\n0\r\n\r\n", extension);
    g_assert_cmpint(decode(text, 1000).result, ==, HTTP_CHUNKED_MALFORMED);
    g_autofree char *trailer = g_strdup_printf("0\r\nT: %s\r\n\r\n", extension);
    g_assert_cmpint(decode(trailer, 1000).result, ==, HTTP_CHUNKED_MALFORMED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http-chunked/cases", test_cases);
    g_test_add_func("/http-chunked/long-lines", test_long_lines);
    return g_test_run();
}
