/* SPDX-License-Identifier: MIT
 *
 * manifest.yaml: what PyYAML and str() make of values, real-looking shapes, and that no bytes at all make
 * reading fail.
 */
#include "schema/manifest.h"

#include "schema/limits.h"
#include "tests/unit/random_text.h"

#include <string.h>

enum { DAMAGE_ROUNDS = 3000 };

static Manifest *parse(const char *text)
{
    return manifest_parse(text, strlen(text));
}

/* --- Values --- */

/* Made with PyYAML 6.0 and CPython 3.11: str(yaml.safe_load("k: " + text)["k"]), "" for None. */
static const char *const python_says[][2] = {
    {"1", "1"},
    {"-1", "-1"},
    {"+1", "1"},
    {"0", "0"},
    {"-0", "0"},
    {"010", "8"},
    {"0b101", "5"},
    {"0x10", "16"},
    {"0x1F", "31"},
    {"-0x1f", "-31"},
    {"1_000", "1000"},
    {"1:30", "90"},
    {"-1:30:05", "-5405"},
    {"0o17", "0o17"},
    {"08", "08"},
    {"09", "09"},
    {"1.0", "1.0"},
    {"1.50", "1.5"},
    {"-0.0", "-0.0"},
    {".5", "0.5"},
    {"-.5", "-.5"},
    {"+.5", "+.5"},
    {"1.", "1.0"},
    {"1e3", "1e3"},
    {"1.0e3", "1.0e3"},
    {"1.0e+3", "1000.0"},
    {"1.0e+16", "1e+16"},
    {"1.0e-5", "1e-05"},
    {"0.0001", "0.0001"},
    {"123456789012345678.5", "1.2345678901234568e+17"},
    {"1.5e+300", "1.5e+300"},
    {"0.1", "0.1"},
    {"1:30.5", "90.5"},
    {".inf", "inf"},
    {"-.INF", "-inf"},
    {".nan", "nan"},
    {"1_0.5_0", "10.5"},
    {"true", "True"},
    {"Yes", "True"},
    {"off", "False"},
    {"OFF", "False"},
    {"y", "y"},
    {"n", "n"},
    {"null", ""},
    {"~", ""},
    {"Null", ""},
    {"2026-01-02", "2026-01-02"},
    {"2026-1-2", "2026-1-2"},
    {"2026-01-02T03:04:05Z", "2026-01-02 03:04:05+00:00"},
    {"2026-01-02T3:04:05.25+02:00", "2026-01-02 03:04:05.250000+02:00"},
    {"2026-01-02T03:04:05.1234567-05:30", "2026-01-02 03:04:05.123456-05:30"},
    {"2026-01-02T03:04:05-00:00", "2026-01-02 03:04:05+00:00"},
    {"18446744073709551615", "18446744073709551615"},
    {"1,5", "1,5"},
    {"v1.0", "v1.0"},
    {"1.0.0", "1.0.0"},
    {"_1", "_1"},
    {"0x", "0x"},
    {"0_", "0"},
    {"0x_ff", "255"},
    {"2026-01-02T03:04:05+5", "2026-01-02 03:04:05+05:00"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"5e-324", "5e-324"},
    {"1.7976931348623157e+308", "1.7976931348623157e+308"},
    {"9007199254740993.0", "9007199254740992.0"},
    {"123456.0", "123456.0"},
    {"1000000000000000.0", "1000000000000000.0"},
    {"10000000000000000.0", "1e+16"},
    {"2026-01-02 03:04:05", "2026-01-02 03:04:05"},
    {"2026-01-02 03:04:05 +1:00", "2026-01-02 03:04:05+01:00"},
    {"two words", "two words"},
    {"café", "café"},
};

static void assert_summary(const char *yaml_value, const char *expected)
{
    g_autofree char *text = g_strdup_printf("summary: %s\n", yaml_value);
    g_autoptr(Manifest) manifest = parse(text);
    g_assert_cmpstr(manifest->warning, ==, NULL);
    g_assert_cmpstr(manifest->summary, ==, expected);
}

static void test_values_as_python(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(python_says); i++)
        assert_summary(python_says[i][0], python_says[i][1]);
}

static void test_quoted_values_stay(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(python_says); i++) {
        g_autofree char *quoted = g_strdup_printf("'%s'", python_says[i][0]);
        assert_summary(quoted, python_says[i][0]);
    }
}

/* Python raises an exception or knows larger numbers; here the text as written stands. */
static void test_values_without_python_form(void)
{
    static const char *const as_written[] = {
        "2026-13-45", "2026-02-29T00:00:00Z", "2026-01-02T24:00:00Z",     "=",
        "0b_",        "18446744073709551616", "2026-01-02T03:04:05+24:00"};
    for (guint i = 0; i < G_N_ELEMENTS(as_written); i++)
        assert_summary(as_written[i], as_written[i]);
}

/* --- Shapes --- */

/* As Forge writes it: folded at 80 columns, null signature, a date without quotes. */
static void test_forge_manifest(void)
{
    g_autoptr(Manifest) m =
        parse("name: rome\n"
              "version: 1.0.0\n"
              "domains:\n"
              "- history\n"
              "- 2024\n"
              "summary: 'The Roman republic and empire: institutions, wars and people''s lives,\n"
              "  from the kings to the fall in the west'\n"
              "language: it\n"
              "sources:\n"
              "- url: https://example.org/rome\n"
              "  fetched: 2026-01-02\n"
              "  hash: null\n"
              "- https://example.org/bare\n"
              "signature: null\n"
              "min_node_version: 0.1.0\n"
              "unknown: {a: [1, 2]}\n");
    g_assert_cmpstr(m->warning, ==, NULL);
    g_assert_cmpstr(m->name, ==, "rome");
    g_assert_cmpstr(m->version, ==, "1.0.0");
    g_assert_cmpstr(m->summary, ==,
                    "The Roman republic and empire: institutions, wars and people's lives, from the kings to "
                    "the fall in the west");
    g_assert_cmpstr(m->language, ==, "it");
    g_assert_cmpstr(m->min_node_version, ==, "0.1.0");
    g_assert_cmpstr(m->description, ==, "");
    g_assert_cmpstr(m->domains[0], ==, "history");
    g_assert_cmpstr(m->domains[1], ==, "2024");
    g_assert_null(m->domains[2]);
    g_assert_cmpuint(m->sources->len, ==, 2);
    const ManifestSource *first = g_ptr_array_index(m->sources, 0),
                         *second = g_ptr_array_index(m->sources, 1);
    g_assert_cmpstr(first->url, ==, "https://example.org/rome");
    g_assert_cmpstr(first->fetched, ==, "2026-01-02");
    g_assert_cmpstr(first->hash, ==, "");
    g_assert_cmpstr(second->url, ==, "https://example.org/bare");
}

static void test_folding(void)
{
    assert_summary("plain text\n  over three\n  lines", "plain text over three lines");
    assert_summary("\"a\\u00e9 \\\n  b\"", "a\xc3\xa9 b");
    assert_summary(">\n  folded\n  text\n\n  para", "folded text\npara\n");
    assert_summary("|-\n  kept\n  lines", "kept\nlines");
    assert_summary("", "");
}

/* --- Tolerance --- */

static void assert_warns(const char *text, const char *warning)
{
    g_autoptr(Manifest) m = parse(text);
    g_assert_cmpstr(m->warning, ==, warning);
    g_assert_cmpstr(m->summary, ==, "");
    g_assert_nonnull(m->domains);
    g_assert_nonnull(m->sources);
}

static void test_warnings(void)
{
    assert_warns("", "manifest.yaml:1: not a mapping of keys to values");
    assert_warns("just text", "manifest.yaml:1: not a mapping of keys to values");
    assert_warns("- a\n", "manifest.yaml:1: not a mapping of keys to values");
    assert_warns("name: x\nsummary: [a\n",
                 "manifest.yaml:3: not valid YAML: did not find expected ',' or ']'");
    assert_warns("summary: \xff", "manifest.yaml:1: not UTF-8 text at byte 9");
    assert_warns("name: x\nsummary: [a, b]\n", "manifest.yaml:2: summary: expected text");
    assert_warns("summary: x\nsummary: y\n",
                 "manifest.yaml:2: key 'summary' is given twice, first in line 1");
    assert_warns("summary: &a x\n", "manifest.yaml:1: anchors are not supported");
    assert_warns("domains: {a: b}\n", "manifest.yaml:1: domains: expected a list");
    assert_warns("domains: [a, [b]]\n", "manifest.yaml:1: domains[1]: expected text");
    assert_warns("sources: x\n", "manifest.yaml:1: sources: expected a list");
    assert_warns("sources: [[x]]\n",
                 "manifest.yaml:1: sources[0]: expected a mapping with url, fetched and hash");
    assert_warns("sources:\n- url: [x]\n", "manifest.yaml:2: sources[0].url: expected text");
}

/* One bad member does not cost the others. */
static void test_rest_is_kept(void)
{
    g_autoptr(Manifest) m = parse("name: [x]\nsummary: good\ndomains: history\n");
    g_assert_cmpstr(m->warning, ==, "manifest.yaml:1: name: expected text");
    g_assert_cmpstr(m->summary, ==, "good");
    g_assert_cmpstr(m->domains[0], ==, "history");
    g_assert_null(m->domains[1]);
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new("summary: ");
    for (guint i = 0; i < LIMIT_SUMMARY_BYTES / 2; i++)
        g_string_append(text, i == 0 ? "xyz" : "\xc3\xa9");
    g_autoptr(Manifest) m = parse(text->str);
    g_assert_cmpstr(m->warning, ==, "manifest.yaml:1: summary: too long, cut");
    g_assert_cmpuint(strlen(m->summary), ==, LIMIT_SUMMARY_BYTES - 1);
    g_assert_true(g_utf8_validate(m->summary, -1, NULL));

    g_string_assign(text, "domains:\n");
    for (guint i = 0; i <= LIMIT_MANIFEST_DOMAINS; i++)
        g_string_append(text, "- d\n");
    g_autoptr(Manifest) many = parse(text->str);
    g_assert_cmpuint(g_strv_length(many->domains), ==, LIMIT_MANIFEST_DOMAINS);
    g_assert_cmpstr(many->warning, ==,
                    "manifest.yaml:1002: domains[1000]: too many domains, the rest is left out");

    g_string_assign(text, "sources:\n");
    for (guint i = 0; i <= LIMIT_MANIFEST_SOURCES; i++)
        g_string_append(text, "- u\n");
    g_autoptr(Manifest) sources = parse(text->str);
    g_assert_cmpuint(sources->sources->len, ==, LIMIT_MANIFEST_SOURCES);
    g_assert_nonnull(sources->warning);

    g_autofree char *huge = g_strnfill(LIMIT_MANIFEST_BYTES + 1, 'a');
    assert_warns(huge, "manifest.yaml: larger than 262144 bytes");
}

/* Whatever the damage: a manifest comes back, its texts are UTF-8, and empty values are explained. */
static void test_damage(void)
{
    static const char good[] =
        "name: r\nsummary: 'a: b'\ndomains: [x, y]\nsources:\n- {url: u, hash: null}\nversion: 1.0\n";
    static const char edits[] = "\t\n :-[]{}'\"&*!|>%@`#?,~0\x01\xff";
    g_autoptr(GRand) rng = random_new(20263);
    guint explained = 0;
    for (guint round = 0; round < DAMAGE_ROUNDS; round++) {
        char damaged[sizeof good];
        memcpy(damaged, good, sizeof good);
        for (gint32 i = g_rand_int_range(rng, 1, 4); i > 0; i--)
            damaged[g_rand_int_range(rng, 0, sizeof good - 1)] =
                edits[g_rand_int_range(rng, 0, sizeof edits - 1)];
        g_autoptr(Manifest) m = manifest_parse(damaged, sizeof good - 1);
        g_assert_true(g_utf8_validate(m->summary, -1, NULL) && g_utf8_validate(m->name, -1, NULL));
        if (m->warning != NULL) {
            g_assert_true(g_str_has_prefix(m->warning, "manifest.yaml:"));
            g_assert_null(strchr(m->warning, '\n'));
            explained++;
        }
    }
    g_assert_cmpuint(explained, >, DAMAGE_ROUNDS / 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manifest/values-as-python", test_values_as_python);
    g_test_add_func("/manifest/quoted-values-stay", test_quoted_values_stay);
    g_test_add_func("/manifest/values-without-python-form", test_values_without_python_form);
    g_test_add_func("/manifest/forge", test_forge_manifest);
    g_test_add_func("/manifest/folding", test_folding);
    g_test_add_func("/manifest/warnings", test_warnings);
    g_test_add_func("/manifest/rest-is-kept", test_rest_is_kept);
    g_test_add_func("/manifest/limits", test_limits);
    g_test_add_func("/manifest/damage", test_damage);
    return g_test_run();
}
