/* SPDX-License-Identifier: MIT
 *
 * Ranges, tags and Accept-Encoding: tables of known cases, and random input compared with slow models.
 */
#include <string.h>

#include "broker/serve/negotiate.h"

static HttpSlice slice(const char *text)
{
    return (HttpSlice){text, strlen(text)};
}

/* --- Accept-Encoding --- */

static void test_gzip(void)
{
    static const struct {
        const char *value;
        gboolean gzip;
    } cases[] = {
        {"gzip", TRUE},
        {"gzip, deflate", TRUE},
        {"gzip, deflate, br, zstd", TRUE},
        {"deflate,GZIP", TRUE},
        {"x-gzip", TRUE},
        {"br", FALSE},
        {"", FALSE},
        {"identity", FALSE},
        {"*", TRUE},
        {"*;q=0", FALSE},
        {"br, *;q=0.1", TRUE},
        {"gzip;q=0", FALSE},
        {"gzip;q=0.0", FALSE},
        {"gzip;q=0.000", FALSE},
        {"gzip;q=0.001", TRUE},
        {"gzip; q=1", TRUE},
        {"gzip ; Q=0", FALSE},
        {"gzip;q=0, *", FALSE},
        {"*, gzip;q=0", FALSE},
        {"gzip;level=9", TRUE},
        {"gzip;q=", TRUE},
        {"gzipx", FALSE},
        {"xgzip", FALSE},
        {",,, gzip ,,", TRUE},
        {";q=0", FALSE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].value);
        g_assert_cmpint(negotiate_gzip(slice(cases[i].value)), ==, cases[i].gzip);
    }
    g_assert_false(negotiate_gzip((HttpSlice){NULL, 0}));
}

/* The same by splitting into lists. */
static gboolean gzip_model(const char *value)
{
    g_auto(GStrv) items = g_strsplit(value, ",", -1);
    gboolean any = FALSE;
    for (char **item = items; *item != NULL; item++) {
        g_auto(GStrv) parts = g_strsplit(*item, ";", -1);
        if (parts[0] == NULL)
            continue;
        gboolean positive = TRUE;
        for (char **part = parts + 1; *part != NULL; part++) {
            const char *text = g_strstrip(*part);
            if (g_ascii_strncasecmp(text, "q=", 2) == 0) {
                positive = text[2] == '\0' || strspn(text + 2, "0.") != strlen(text + 2);
                break;
            }
        }
        const char *coding = g_strstrip(parts[0]);
        if (g_ascii_strcasecmp(coding, "gzip") == 0 || g_ascii_strcasecmp(coding, "x-gzip") == 0)
            return positive;
        if (strcmp(coding, "*") == 0)
            any = positive;
    }
    return any;
}

static char *random_text(const char *const *pieces, guint piece_count, guint count_max)
{
    GString *text = g_string_new(NULL);
    guint count = (guint)g_test_rand_int_range(0, (gint32)count_max);
    for (guint i = 0; i < count; i++)
        g_string_append(text, pieces[g_test_rand_int_range(0, (gint32)piece_count)]);
    return g_string_free(text, FALSE);
}

static void test_gzip_property(void)
{
    static const char *const pieces[] = {"gzip", "x-gzip", "br", "*", ",", ", ", ";",
                                         "; ",   "q=",     "Q=", "0", ".", "1",  " "};
    for (guint run = 0; run < 50000; run++) {
        g_autofree char *value = random_text(pieces, G_N_ELEMENTS(pieces), 12);
        g_test_message("%s", value);
        g_assert_cmpint(negotiate_gzip(slice(value)), ==, gzip_model(value));
    }
}

/* --- Tags --- */

static void test_tags(void)
{
    static const struct {
        const char *list;
        gboolean listed;
    } cases[] = {
        {"\"abc\"", TRUE},   {"W/\"abc\"", TRUE},      {"*", TRUE},
        {" * ", TRUE},       {"\"x\", \"abc\"", TRUE}, {"\"x\",W/\"abc\",\"y\"", TRUE},
        {"abc", FALSE},      {"\"ab\"", FALSE},        {"\"abcd\"", FALSE},
        {"", FALSE},         {"w/\"abc\"", FALSE},     {"\"abc", FALSE},
        {",,\"abc\"", TRUE}, {"\"x\"", FALSE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].list);
        g_assert_cmpint(negotiate_tag_listed(slice(cases[i].list), "\"abc\""), ==, cases[i].listed);
    }
    g_assert_true(negotiate_tag_is(slice("\"abc\""), "\"abc\""));
    g_assert_false(negotiate_tag_is(slice("W/\"abc\""), "\"abc\""));
    g_assert_false(negotiate_tag_is(slice("Wed, 21 Oct 2015 07:28:00 GMT"), "\"abc\""));
}

/* --- Ranges --- */

static void test_ranges(void)
{
    static const struct {
        const char *range;
        guint64 size;
        RangeKind kind;
        guint64 first, last;
    } cases[] = {
        {"bytes=0-0", 10, RANGE_PART, 0, 0},
        {"bytes=0-9", 10, RANGE_PART, 0, 9},
        {"bytes=0-99", 10, RANGE_PART, 0, 9},
        {"bytes=9-", 10, RANGE_PART, 9, 9},
        {"bytes=0-", 10, RANGE_PART, 0, 9},
        {"bytes=-3", 10, RANGE_PART, 7, 9},
        {"bytes=-99", 10, RANGE_PART, 0, 9},
        {"BYTES = 2 - 4", 10, RANGE_PART, 2, 4},
        {"bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-12", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=18446744073709551616-", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-99999999999999999999999", 10, RANGE_PART, 0, 9},
        {"bytes=4-2", 10, RANGE_WHOLE, 0, 0},
        {"bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 0},
        {"bytes=", 10, RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, RANGE_WHOLE, 0, 0},
        {"bytes=1", 10, RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", 10, RANGE_WHOLE, 0, 0},
        {"bytes=1-2-3", 10, RANGE_WHOLE, 0, 0},
        {"lines=0-1", 10, RANGE_WHOLE, 0, 0},
        {"bytes", 10, RANGE_WHOLE, 0, 0},
        {"", 10, RANGE_WHOLE, 0, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint64 first = 0, last = 0;
        g_test_message("%s of %" G_GUINT64_FORMAT, cases[i].range, cases[i].size);
        g_assert_cmpint(negotiate_range(slice(cases[i].range), cases[i].size, &first, &last), ==,
                        cases[i].kind);
        g_assert_cmpuint(first, ==, cases[i].first);
        g_assert_cmpuint(last, ==, cases[i].last);
    }
}

/* The model marks the wanted bytes one by one, then looks at what was marked. */
static RangeKind range_model(int first, int last, int suffix, guint size, guint64 *ret_first,
                             guint64 *ret_last)
{
    gboolean wanted[64] = {FALSE}, any = FALSE;
    if (suffix < 0 && last >= 0 && last < first)
        return RANGE_WHOLE;
    for (int i = 0; i < (int)size; i++) {
        if (suffix >= 0)
            wanted[i] = i >= (int)size - suffix;
        else
            wanted[i] = i >= first && (last < 0 || i <= last);
        if (wanted[i] && !any)
            *ret_first = (guint64)i;
        if (wanted[i])
            *ret_last = (guint64)i;
        any = any || wanted[i];
    }
    return any ? RANGE_PART : RANGE_UNSATISFIABLE;
}

static void test_range_property(void)
{
    for (guint run = 0; run < 50000; run++) {
        guint size = (guint)g_test_rand_int_range(0, 40);
        int first = g_test_rand_int_range(0, 45), last = g_test_rand_int_range(-1, 45), suffix = -1;
        g_autofree char *text = NULL;
        if (g_test_rand_bit()) {
            suffix = first;
            text = g_strdup_printf("bytes=-%d", suffix);
        } else if (last < 0) {
            text = g_strdup_printf("bytes=%d-", first);
        } else {
            text = g_strdup_printf("bytes=%d-%d", first, last);
        }
        guint64 got[2] = {0}, expected[2] = {0};
        RangeKind kind = negotiate_range(slice(text), size, &got[0], &got[1]);
        g_test_message("%s of %u", text, size);
        g_assert_cmpint(kind, ==, range_model(first, last, suffix, size, &expected[0], &expected[1]));
        if (kind == RANGE_PART)
            g_assert_cmpmem(got, sizeof got, expected, sizeof expected);
    }
}

/* Whatever the bytes are, a part lies within the representation. */
static void test_range_noise(void)
{
    static const char *const pieces[] = {"bytes", "=", "-", "0", "9", "18446744073709551615",
                                         ",",     " ", "x", "\t"};
    for (guint run = 0; run < 50000; run++) {
        g_autofree char *text = random_text(pieces, G_N_ELEMENTS(pieces), 10);
        guint64 size = (guint64)g_test_rand_int_range(0, 20), first = 1, last = 0;
        if (negotiate_range(slice(text), size, &first, &last) == RANGE_PART) {
            g_assert_cmpuint(first, <=, last);
            g_assert_cmpuint(last, <, size);
        }
    }
}

static void test_collect(void)
{
    const HttpHeader headers[] = {
        {slice("Host"), slice("x")},          {slice("RANGE"), slice("bytes=0-1")},
        {slice("range"), slice("bytes=2-3")}, {slice("if-none-match"), slice("*")},
        {slice("If-Range"), slice("\"a\"")},  {slice("accept-Encoding"), slice("gzip")},
        {slice("Xange"), slice("no")},
    };
    HttpRequest request = {.headers = headers, .header_count = G_N_ELEMENTS(headers)};
    NegotiateHeaders got;
    negotiate_collect(&request, &got);
    g_assert_cmpmem(got.range.text, got.range.len, "bytes=0-1", 9);
    g_assert_cmpmem(got.if_none_match.text, got.if_none_match.len, "*", 1);
    g_assert_cmpmem(got.if_range.text, got.if_range.len, "\"a\"", 3);
    g_assert_cmpmem(got.accept_encoding.text, got.accept_encoding.len, "gzip", 4);
    request.header_count = 1;
    negotiate_collect(&request, &got);
    g_assert_null(got.range.text);
    g_assert_null(got.accept_encoding.text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/broker/negotiate/gzip", test_gzip);
    g_test_add_func("/broker/negotiate/gzip-property", test_gzip_property);
    g_test_add_func("/broker/negotiate/tags", test_tags);
    g_test_add_func("/broker/negotiate/ranges", test_ranges);
    g_test_add_func("/broker/negotiate/range-property", test_range_property);
    g_test_add_func("/broker/negotiate/range-noise", test_range_noise);
    g_test_add_func("/broker/negotiate/collect", test_collect);
    return g_test_run();
}
