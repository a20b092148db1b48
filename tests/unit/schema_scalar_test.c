/* SPDX-License-Identifier: MIT
 *
 * Numbers, switches, durations and sizes: forms, ranges, and that what is printed reads back.
 */
#include "schema/scalar.h"

#include "tests/unit/random_text.h"

enum { ROUNDS = 5000 };

static void assert_error(GError **error, KontorErrorCode code, const char *message)
{
    g_assert_error(*error, KONTOR_ERROR, (int)code);
    g_assert_cmpstr((*error)->message, ==, message);
    g_clear_error(error);
}

static void test_integer(void)
{
    gint64 value = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(scalar_parse_integer("9223372036854775807", 0, G_MAXINT64, &value, NULL));
    g_assert_cmpint(value, ==, G_MAXINT64);
    g_assert_true(scalar_parse_integer("-5", -5, 5, &value, NULL));
    g_assert_cmpint(value, ==, -5);
    const char *const bad[] = {"", "-", "+1", " 1", "1 ", "0x10", "1_000", "1.0", "1e3", "١"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(scalar_parse_integer(bad[i], -10, 10, &value, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_clear_error(&error);
    }
    g_assert_false(scalar_parse_integer("010", 0, 100, &value, &error));
    assert_error(&error, KONTOR_ERROR_MALFORMED,
                 "expected a whole number without leading zeros, found '010'");
    g_assert_false(scalar_parse_integer("101", 0, 100, &value, &error));
    assert_error(&error, KONTOR_ERROR_LIMIT, "'101' is not between 0 and 100");
    g_assert_false(scalar_parse_integer("9223372036854775808", 0, G_MAXINT64, &value, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_cmpint(value, ==, -5);
}

static void test_boolean(void)
{
    const char *const yes[] = {"true", "True", "TRUE", "yes", "YES", "on", "On"};
    const char *const no[] = {"false", "False", "no", "No", "off", "OFF"};
    gboolean value = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(yes); i++)
        g_assert_true(scalar_parse_boolean(yes[i], &value, NULL) && value);
    for (guint i = 0; i < G_N_ELEMENTS(no); i++)
        g_assert_true(scalar_parse_boolean(no[i], &value, NULL) && !value);
    const char *const bad[] = {"", "1", "y", "tRUE", "true ", "enabled"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(scalar_parse_boolean(bad[i], &value, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_false(scalar_parse_boolean("maybe", &value, &error));
    assert_error(&error, KONTOR_ERROR_MALFORMED, "expected true or false, found 'maybe'");
}

static void test_duration(void)
{
    const struct {
        const char *text;
        gint64 ms;
    } good[] = {{"0", 0},       {"0s", 0},         {"250ms", 250},   {"30s", 30000},
                {"5m", 300000}, {"12h", 43200000}, {"7d", 604800000}};
    gint64 ms = 0;
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(scalar_parse_duration(good[i].text, 0, G_MAXINT64, &ms, NULL));
        g_assert_cmpint(ms, ==, good[i].ms);
    }
    const char *const bad[] = {"", "s", "5", "5 s", "5S", "-5s", "1.5h", "05s", "5m30s", "5min", "5s "};
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(scalar_parse_duration(bad[i], 0, G_MAXINT64, &ms, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_clear_error(&error);
    }
    g_assert_false(scalar_parse_duration("2h", 1000, 3600000, &ms, &error));
    assert_error(&error, KONTOR_ERROR_LIMIT, "'2h' is not between 1s and 1h");
    g_assert_false(scalar_parse_duration("99999999999999999999d", 0, G_MAXINT64, &ms, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);
    g_assert_false(scalar_parse_duration("213503982335d", 0, G_MAXINT64, &ms, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

static void test_size(void)
{
    const struct {
        const char *text;
        guint64 bytes;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"7B", 7},
                {"512KiB", 524288},
                {"8MiB", 8 << 20},
                {"50GiB", 53687091200},
                {"1TiB", 1099511627776}};
    guint64 bytes = 0;
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(scalar_parse_size(good[i].text, 0, G_MAXUINT64, &bytes, NULL));
        g_assert_cmpuint(bytes, ==, good[i].bytes);
    }
    const char *const bad[] = {"", "MiB", "8MB", "8M", "8 MiB", "8mib", "-1", "1.5GiB", "08MiB"};
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(scalar_parse_size(bad[i], 0, G_MAXUINT64, &bytes, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_clear_error(&error);
    }
    g_assert_false(scalar_parse_size("2GiB", 0, 1 << 30, &bytes, &error));
    assert_error(&error, KONTOR_ERROR_LIMIT, "'2GiB' is not between 0B and 1GiB");
    g_assert_false(scalar_parse_size("16777216TiB", 0, G_MAXUINT64, &bytes, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

static void test_printing_reads_back(void)
{
    g_autoptr(GRand) rng = random_new(20262);
    for (guint round = 0; round < ROUNDS; round++) {
        guint shift = (guint)g_rand_int_range(rng, 1, 64);
        guint64 value = ((guint64)g_rand_int(rng) << 32 | g_rand_int(rng)) >> shift;
        value <<= (guint)g_rand_int_range(rng, 0, (gint32)shift);
        g_autofree char *size = scalar_format_size(value);
        g_autofree char *duration = scalar_format_duration((gint64)value);
        guint64 bytes = 0;
        gint64 ms = 0;
        g_assert_true(scalar_parse_size(size, value, value, &bytes, NULL));
        g_assert_true(scalar_parse_duration(duration, (gint64)value, (gint64)value, &ms, NULL));
    }
    g_autofree char *largest_unit = scalar_format_size(G_GUINT64_CONSTANT(3) << 30);
    g_assert_cmpstr(largest_unit, ==, "3GiB");
    g_autofree char *uneven = scalar_format_duration(90000);
    g_assert_cmpstr(uneven, ==, "90s");
}

static void test_time(void)
{
    static const struct {
        gint64 unix_s;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1777636800, "2026-05-01T12:00:00Z"},
        {1709251199, "2024-02-29T23:59:59Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {G_GINT64_CONSTANT(253402300799), "9999-12-31T23:59:59Z"},
        {G_GINT64_CONSTANT(253402300800), NULL},
        {G_MAXINT64, NULL},
        {G_MININT64, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = scalar_format_time(cases[i].unix_s);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void test_nearest(void)
{
    static const char *const candidates[] = {"listen", "listen_tls", "limits", "log", "api", NULL};
    g_assert_cmpstr(scalar_nearest("lisetn", candidates), ==, "listen");
    g_assert_cmpstr(scalar_nearest("Limit", candidates), ==, "limits");
    g_assert_cmpstr(scalar_nearest("listen-tls", candidates), ==, "listen_tls");
    g_assert_cmpstr(scalar_nearest("apis", candidates), ==, "api");
    g_assert_null(scalar_nearest("x", candidates));
    g_assert_null(scalar_nearest("a", candidates));
    g_assert_null(scalar_nearest("", candidates));
    g_assert_null(scalar_nearest("0123456789012345678901234567890123456789listen", candidates));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scalar/integer", test_integer);
    g_test_add_func("/scalar/boolean", test_boolean);
    g_test_add_func("/scalar/duration", test_duration);
    g_test_add_func("/scalar/size", test_size);
    g_test_add_func("/scalar/printing-reads-back", test_printing_reads_back);
    g_test_add_func("/scalar/time", test_time);
    g_test_add_func("/scalar/nearest", test_nearest);
    return g_test_run();
}
