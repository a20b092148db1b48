/* SPDX-License-Identifier: MIT
 *
 * Trust lists: what is read, what is skipped and how it is named, globs against a slow model, and edits that
 * change one entry and nothing else.
 */
#include "signing/trust_list.h"

#include "schema/limits.h"

#include <string.h>

/* Keys whose 32 bytes are all 1, all 2, all 3. */
#define KEY_1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY_2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="

static char fingerprints[4][FINGERPRINT_CHARS + 1];

static void make_fingerprints(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(fingerprints); i++) {
        PublicKey key;
        memset(key.bytes, (int)i, sizeof key.bytes);
        public_key_fingerprint(&key, fingerprints[i]);
    }
}

/* Replaces $1, $2, $3 by fingerprints. */
static char *expand(const char *text)
{
    g_autoptr(GString) out = g_string_new(text);
    for (guint i = 1; i < G_N_ELEMENTS(fingerprints); i++) {
        char variable[] = {'$', (char)('0' + i), '\0'};
        g_string_replace(out, variable, fingerprints[i], 0);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static TrustList *parse(const char *text)
{
    g_autofree char *expanded = expand(text);
    g_autoptr(GError) error = NULL;
    TrustList *list = trust_list_parse("trust.yaml", expanded, strlen(expanded), &error);
    g_assert_no_error(error);
    return list;
}

/* --- Reading --- */

static void test_full_entry(void)
{
    g_autoptr(TrustList) list = parse("publishers:\n"
                                      "  - fingerprint: $1\n"
                                      "    name: Anna \"A\" Müller\n"
                                      "    since: 2026-01-02\n"
                                      "    note: first\n"
                                      "    public_key: " KEY_1 "\n"
                                      "    until: 2027-01-31\n"
                                      "    paths: [history/**, cucina/*]\n"
                                      "    some_member_of_a_later_version: [1, 2]\n"
                                      "  - {fingerprint: ' $2 ', revoked: yes}\n");
    g_assert_cmpuint(trust_list_count(list), ==, 2);
    g_assert_cmpuint(trust_list_warnings(list)->len, ==, 0);
    const TrustEntry *entry = trust_list_nth(list, 0);
    g_assert_true(entry == trust_list_find(list, fingerprints[1]));
    g_assert_cmpstr(entry->name, ==, "Anna \"A\" Müller");
    g_assert_cmpstr(entry->since, ==, "2026-01-02");
    g_assert_cmpstr(entry->note, ==, "first");
    g_assert_true(entry->has_key);
    g_assert_cmpuint(entry->public_key.bytes[31], ==, 1);
    g_assert_cmpint(entry->until, ==, 1801440000); /* 2027-02-01T00:00:00Z */
    g_assert_false(entry->revoked);
    g_assert_cmpuint(entry->line, ==, 2);
    g_assert_true(trust_entry_allows_path(entry, "history/rome/kings"));
    g_assert_true(trust_entry_allows_path(entry, "cucina/moka"));
    g_assert_false(trust_entry_allows_path(entry, "cucina/moka/large"));
    entry = trust_list_find(list, fingerprints[2]);
    g_assert_true(entry->revoked);
    g_assert_cmpint(entry->until, ==, G_MAXINT64);
    g_assert_true(trust_entry_allows_path(entry, "anything/at all"));
    g_assert_null(trust_list_find(list, fingerprints[3]));
}

static void test_empty(void)
{
    static const char *const empty[] = {"",           "# nobody\n", "publishers:\n", "publishers: []\n",
                                        "other: 1\n", "---\n"};
    g_autoptr(TrustList) none = trust_list_new_empty();
    guint8 hash[SHA256_BYTES], none_hash[SHA256_BYTES];
    trust_list_hash(none, none_hash);
    for (guint i = 0; i < G_N_ELEMENTS(empty); i++) {
        g_autoptr(TrustList) list = parse(empty[i]);
        g_assert_cmpuint(trust_list_count(list), ==, 0);
        trust_list_hash(list, hash);
        g_assert_cmpmem(hash, sizeof hash, none_hash, sizeof none_hash);
    }
}

static void test_case_and_trimming(void)
{
    g_autofree char *upper = g_ascii_strup(fingerprints[1], -1);
    g_autofree char *text = g_strdup_printf("publishers:\n- fingerprint: \"\\t%s \"\n", upper);
    g_autoptr(TrustList) list = parse(text);
    g_assert_nonnull(trust_list_find(list, fingerprints[1]));
}

/* One good entry beside a bad one: the bad one is skipped and named, the good one counts. */
static void test_skipped_entries(void)
{
    static const struct {
        const char *entry, *warning;
    } cases[] = {
        {"just text", "trust.yaml:4: publishers[1]: not a mapping; entry skipped"},
        {"[a, b]", "trust.yaml:4: publishers[1]: not a mapping; entry skipped"},
        {"{name: nobody}", "trust.yaml:4: publishers[1]: no fingerprint; entry skipped"},
        {"{fingerprint: }", "trust.yaml:4: publishers[1]: no fingerprint; entry skipped"},
        {"{fingerprint: [x]}", "trust.yaml:4: publishers[1]: no fingerprint; entry skipped"},
        {"{fingerprint: Placeholder-replace-me}",
         "trust.yaml:4: publishers[1]: the fingerprint is a placeholder; entry skipped"},
        {"{fingerprint: abc}",
         "trust.yaml:4: publishers[1]: \"abc\" is not a fingerprint (16 characters of a-z and 2-7); entry "
         "skipped"},
        {"{fingerprint: abcdefghijklmno1}",
         "trust.yaml:4: publishers[1]: \"abcdefghijklmno1\" is not a fingerprint (16 characters of a-z and "
         "2-7); entry skipped"},
        {"{fingerprint: $2, public_key: " KEY_1 "}",
         "trust.yaml:4: publishers[1].public_key: the key has the fingerprint $1, not $2 as its entry says; "
         "entry skipped"},
        {"{fingerprint: $2, public_key: " KEY_2 "x}",
         "trust.yaml:4: publishers[1].public_key: not the base64 of a 32-byte key; entry skipped"},
        {"{fingerprint: $2, until: 2026-02-30}",
         "trust.yaml:4: publishers[1].until: \"2026-02-30\" is not a date that exists, written YYYY-MM-DD or "
         "YYYY-MM-DDTHH:MM:SSZ; entry skipped"},
        {"{fingerprint: $2, until: next year}",
         "trust.yaml:4: publishers[1].until: \"next year\" is not a date that exists, written YYYY-MM-DD or "
         "YYYY-MM-DDTHH:MM:SSZ; entry skipped"},
        {"{fingerprint: $2, paths: history}",
         "trust.yaml:4: publishers[1].paths: not a list of globs; leave it out to allow every path; entry "
         "skipped"},
        {"{fingerprint: $2, paths: []}",
         "trust.yaml:4: publishers[1].paths: not a list of globs; leave it out to allow every path; entry "
         "skipped"},
        {"{fingerprint: $2, paths: [a, /b]}",
         "trust.yaml:4: publishers[1].paths[1]: glob \"/b\" has an empty segment, which no path has; entry "
         "skipped"},
        {"{fingerprint: $2, revokd: true}",
         "trust.yaml:4: publishers[1].revokd: unknown member, probably revoked is meant; entry skipped"},
        {"{fingerprint: $1, name: twice}",
         "trust.yaml:4: publishers[1]: fingerprint $1 stands in line 3 already; entry skipped"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("# list\npublishers:\n- fingerprint: $1\n- ", cases[i].entry,
                                            "\n", "- fingerprint: $3\n", NULL);
        g_autoptr(TrustList) list = parse(text);
        g_autofree char *warning = expand(cases[i].warning);
        g_assert_cmpuint(trust_list_warnings(list)->len, ==, 1);
        g_assert_cmpstr(g_ptr_array_index(trust_list_warnings(list), 0), ==, warning);
        g_assert_cmpuint(trust_list_count(list), ==, 2);
        g_assert_nonnull(trust_list_find(list, fingerprints[1]));
        g_assert_null(trust_list_find(list, fingerprints[2]));
        g_assert_nonnull(trust_list_find(list, fingerprints[3]));
    }
}

static void test_revoked_is_not_text(void)
{
    static const char *const values[] = {"maybe", "\"true\"", "1", "", "[true]"};
    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *text = g_strdup_printf("publishers:\n- fingerprint: $1\n  revoked: %s\n", values[i]);
        g_autoptr(TrustList) list = parse(text);
        g_assert_null(trust_list_find(list, fingerprints[1]));
        const char *warning = g_ptr_array_index(trust_list_warnings(list), 0);
        g_assert_true(g_str_has_prefix(warning, "trust.yaml:3: publishers[0].revoked: "));
    }
}

static void test_revocation_wins(void)
{
    g_autoptr(TrustList) list = parse("publishers:\n- fingerprint: $1\n- {fingerprint: $1, revoked: true}\n");
    g_assert_true(trust_list_find(list, fingerprints[1])->revoked);
    g_assert_cmpuint(trust_list_count(list), ==, 1);
    g_assert_nonnull(
        strstr(g_ptr_array_index(trust_list_warnings(list), 0), ", which is revoked by this entry"));
}

static void assert_refused(const char *text, gsize len, KontorErrorCode code, const char *prefix)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(trust_list_parse("trust.yaml", text, len, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    if (!g_str_has_prefix(error->message, prefix))
        g_error("unexpected message: %s", error->message);
    g_assert_null(strchr(error->message, '\n'));
}

static void test_refused_files(void)
{
    assert_refused("- a\n", 4, KONTOR_ERROR_MALFORMED, "trust.yaml:1: ");
    assert_refused("text\n", 5, KONTOR_ERROR_MALFORMED, "trust.yaml:1: ");
    assert_refused("publishers: {a: b}\n", 19, KONTOR_ERROR_MALFORMED, "trust.yaml:1: publishers: ");
    assert_refused("publishers: abc\n", 16, KONTOR_ERROR_MALFORMED, "trust.yaml:1: publishers: ");
    assert_refused("publishers: [\n", 14, KONTOR_ERROR_MALFORMED, "trust.yaml:2: ");
    assert_refused("publishers: [\xff]\n", 16, KONTOR_ERROR_MALFORMED, "trust.yaml:1: ");
    assert_refused("a: 1\npublishers: []\npublishers: []\n", 35, KONTOR_ERROR_MALFORMED, "trust.yaml:3: ");
    assert_refused("publishers: &a []\n", 18, KONTOR_ERROR_UNSUPPORTED, "trust.yaml:1: ");
    g_autofree char *huge = g_strnfill(LIMIT_TRUST_BYTES + 1, '#');
    assert_refused(huge, LIMIT_TRUST_BYTES + 1, KONTOR_ERROR_LIMIT, "trust.yaml");
    g_autoptr(GString) many = g_string_new("publishers:\n");
    for (guint i = 0; i <= LIMIT_TRUST_ENTRIES; i++)
        g_string_append(many, "- x\n");
    assert_refused(many->str, many->len, KONTOR_ERROR_LIMIT, "trust.yaml:1: publishers: more than 10000");
}

static void test_long_texts_are_cut(void)
{
    g_autofree char *name = g_strnfill(2 * LIMIT_TRUST_TEXT_BYTES, 'n');
    g_autofree char *text = g_strdup_printf("publishers:\n- {fingerprint: $1, name: %s}\n", name);
    g_autoptr(TrustList) list = parse(text);
    g_assert_cmpuint(strlen(trust_list_nth(list, 0)->name), ==, LIMIT_TRUST_TEXT_BYTES);
}

static void hash_of(const char *text, guint8 ret[SHA256_BYTES])
{
    g_autoptr(TrustList) list = parse(text);
    trust_list_hash(list, ret);
}

static void test_hash_is_of_the_meaning(void)
{
    static const char base[] = "publishers:\n- {fingerprint: $1, name: A}\n- {fingerprint: $2}\n";
    static const char *const same[] = {
        "# c\npublishers:\n  - {fingerprint: $2, note: n, since: 2026-01-01}\n  - {name: A, fingerprint: "
        "$1}\n",
        "publishers:\n- {fingerprint: $1, name: A, revoked: no}\n- {fingerprint: $2}\n- nonsense\n"};
    static const char *const other[] = {
        "publishers:\n- {fingerprint: $1, name: B}\n- {fingerprint: $2}\n",
        "publishers:\n- {fingerprint: $1, name: A}\n- {fingerprint: $3}\n",
        "publishers:\n- {fingerprint: $1, name: A, revoked: true}\n- {fingerprint: $2}\n",
        "publishers:\n- {fingerprint: $1, name: A, until: 2030-01-01}\n- {fingerprint: $2}\n",
        "publishers:\n- {fingerprint: $1, name: A, paths: [a]}\n- {fingerprint: $2}\n",
        "publishers:\n- {fingerprint: $1, name: A, public_key: " KEY_1 "}\n- {fingerprint: $2}\n",
        "publishers:\n- {fingerprint: $1, name: A}\n"};
    guint8 expected[SHA256_BYTES], hash[SHA256_BYTES];
    hash_of(base, expected);
    for (guint i = 0; i < G_N_ELEMENTS(same); i++) {
        hash_of(same[i], hash);
        g_assert_cmpmem(hash, sizeof hash, expected, sizeof expected);
    }
    for (guint i = 0; i < G_N_ELEMENTS(other); i++) {
        hash_of(other[i], hash);
        g_assert_cmpint(memcmp(hash, expected, sizeof hash), !=, 0);
    }
}

static void test_references(void)
{
    TrustList *list = parse("publishers:\n- fingerprint: $1\n");
    g_assert_true(trust_list_ref(list) == list);
    trust_list_unref(list);
    g_assert_cmpuint(trust_list_count(list), ==, 1);
    trust_list_unref(list);
    trust_list_unref(NULL);
}

/* --- Dates --- */

static void test_until(void)
{
    static const struct {
        const char *text, *printed;
        gint64 until;
    } good[] = {
        {"1970-01-01", "1970-01-01", 86400},
        {"2024-02-29", "2024-02-29", 1709251200},
        {"2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z", 1709210096},
        {"2024-03-01T00:00:00Z", "2024-02-29", 1709251200},
    };
    static const char *const bad[] = {"",
                                      "2024-02-30",
                                      "2023-02-29",
                                      "2024-2-1",
                                      "2024-02-29T12:34:56",
                                      "2024-02-29T12:34:56+01:00",
                                      "2024-02-29 12:34:56Z",
                                      "2024-02-29T24:34:56Z",
                                      " 2024-02-29",
                                      "0000-01-01",
                                      "never"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        gint64 until = 0;
        g_assert_true(trust_until_parse(good[i].text, &until, NULL));
        g_assert_cmpint(until, ==, good[i].until);
        g_autofree char *printed = trust_until_print(until);
        g_assert_cmpstr(printed, ==, good[i].printed);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        gint64 until = 7;
        g_autoptr(GError) error = NULL;
        g_assert_false(trust_until_parse(bad[i], &until, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_cmpint(until, ==, 7);
    }
    g_assert_null(trust_until_print(G_MAXINT64));
}

/* --- Globs --- */

static void test_globs(void)
{
    static const struct {
        const char *glob, *path;
        gboolean matches;
    } cases[] = {
        {"a", "a", TRUE},
        {"a", "b", FALSE},
        {"a", "a/b", FALSE},
        {"*", "a", TRUE},
        {"*", "a/b", FALSE},
        {"**", "a/b/c", TRUE},
        {"a/*", "a/b", TRUE},
        {"a/*", "a", FALSE},
        {"a/*", "a/b/c", FALSE},
        {"a/**", "a/b/c", TRUE},
        {"a/**", "a", FALSE},
        {"a/**", "ab/c", FALSE},
        {"a**", "ab/c", TRUE},
        {"**/c", "a/b/c", TRUE},
        {"**/c", "c", FALSE},
        {"**c", "c", TRUE},
        {"a/*/c", "a/b/c", TRUE},
        {"a/*/c", "a/b/b/c", FALSE},
        {"a/**/c", "a/b/b/c", TRUE},
        {"?", "é", TRUE},
        {"?", "/", FALSE},
        {"a?c", "aéc", TRUE},
        {"a?c", "ac", FALSE},
        {"h*y", "history", TRUE},
        {"*a*b*", "xxaxxbxx", TRUE},
        {"é*", "été", TRUE},
        {"[ab]", "a", FALSE},
        {"[ab]", "[ab]", TRUE},
        {"A", "a", FALSE},
        {"a", "", FALSE},
        {"*", "", TRUE},
        {"a*", "a", TRUE},
        {"**a", "b/a", TRUE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (trust_glob_matches(cases[i].glob, cases[i].path) != cases[i].matches)
            g_error("%s on %s", cases[i].glob, cases[i].path);
    }
}

/* The definition, by trying everything. */
static gboolean slow_matches(const char *glob, const char *path)
{
    if (*glob == '\0')
        return *path == '\0';
    if (*glob != '*')
        return *path != '\0' && (*glob == *path || (*glob == '?' && *path != '/')) &&
               slow_matches(glob + 1, path + 1);
    gboolean deep = glob[1] == '*';
    for (const char *rest = path;; rest++) {
        if (slow_matches(glob + (deep ? 2 : 1), rest))
            return TRUE;
        if (*rest == '\0' || (*rest == '/' && !deep))
            return FALSE;
    }
}

static void fill_random(char *text, guint max, const char *alphabet)
{
    guint len = (guint)g_test_rand_int_range(0, (gint32)max + 1);
    for (guint i = 0; i < len; i++)
        text[i] = alphabet[g_test_rand_int_range(0, (gint32)strlen(alphabet))];
    text[len] = '\0';
}

static void test_glob_model(void)
{
    guint matched = 0;
    for (guint i = 0; i < 40000; i++) {
        char glob[9], path[9];
        fill_random(glob, 8, "ab/*?");
        fill_random(path, 8, "ab/");
        if (strstr(glob, "***") != NULL)
            continue;
        gboolean expected = slow_matches(glob, path);
        matched += expected ? 1 : 0;
        if (trust_glob_matches(glob, path) != expected)
            g_error("'%s' on '%s'", glob, path);
    }
    g_assert_cmpuint(matched, >, 500);
}

/* Going back and trying again would take longer than the universe has. */
static void test_glob_cost(void)
{
    g_autoptr(GString) glob = g_string_new(NULL);
    for (guint i = 0; i < 250; i++)
        g_string_append(glob, "*a");
    g_autofree char *path = g_strnfill(511, 'a');
    g_assert_true(trust_glob_matches(glob->str, path));
    g_string_append_c(glob, 'b');
    g_assert_false(trust_glob_matches(glob->str, path));
}

static void test_glob_check(void)
{
    static const char *const good[] = {"a", "**", "a/**/b", "*", "été/?", "[x]"};
    static const char *const bad[] = {"", "/a", "a/", "a//b", "***", "a/../b", "./a", "..", "a\tb", "\xff"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(trust_glob_check(good[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(trust_glob_check(bad[i], &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
    g_autofree char *longest = g_strnfill(LIMIT_PACK_PATH_BYTES + 1, 'a');
    g_autoptr(GError) error = NULL;
    g_assert_false(trust_glob_check(longest, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

/* --- Editing --- */

typedef char *(*Edit)(const char *text, const char *fingerprint, GError **error);

static TrustEntry *entry_of(const char *fingerprint, const char *name)
{
    TrustEntry *entry = g_new0(TrustEntry, 1);
    g_strlcpy(entry->fingerprint, fingerprint, sizeof entry->fingerprint);
    entry->name = (char *)(gsize)name;
    entry->until = G_MAXINT64;
    entry->paths = g_ptr_array_new();
    return entry;
}

static void entry_of_free(TrustEntry *entry)
{
    g_ptr_array_unref(entry->paths);
    g_free(entry);
}

static char *add_plain(const char *text, const char *fingerprint, GError **error)
{
    TrustEntry *entry = entry_of(fingerprint, "New");
    char *result = trust_text_add(text, entry, error);
    entry_of_free(entry);
    return result;
}

static void assert_edit(Edit edit, const char *before, guint which, const char *after)
{
    g_autofree char *old = expand(before);
    g_autofree char *expected = expand(after);
    g_autoptr(GError) error = NULL;
    g_autofree char *result = edit(old, fingerprints[which], &error);
    g_assert_no_error(error);
    g_assert_cmpstr(result, ==, expected);
}

static void assert_edit_fails(Edit edit, const char *before, guint which, KontorErrorCode code)
{
    g_autofree char *old = expand(before);
    g_autoptr(GError) error = NULL;
    g_assert_null(edit(old, fingerprints[which], &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
}

static void test_text_add(void)
{
    assert_edit(add_plain, "", 1, "publishers:\n  - fingerprint: $1\n    name: \"New\"\n");
    assert_edit(add_plain, "# mine", 1, "# mine\npublishers:\n  - fingerprint: $1\n    name: \"New\"\n");
    assert_edit(add_plain, "a: 1\n", 1, "a: 1\npublishers:\n  - fingerprint: $1\n    name: \"New\"\n");
    assert_edit(add_plain, "publishers:  # [] none\nb: 2\n", 1,
                "publishers:  # [] none\n  - fingerprint: $1\n    name: \"New\"\nb: 2\n");
    assert_edit(add_plain, "publishers: []", 1, "publishers: \n  - fingerprint: $1\n    name: \"New\"\n");
    assert_edit(add_plain, "publishers: [ ]  # none\n", 1,
                "publishers:   # none\n  - fingerprint: $1\n    name: \"New\"\n");
    assert_edit(add_plain, "publishers: null\n", 1, "publishers: \n  - fingerprint: $1\n    name: \"New\"\n");
    assert_edit(add_plain, "publishers:\n- fingerprint: $2\n  note: |\n    x\n\n    y\n\n# end\nother: 1\n",
                1,
                "publishers:\n- fingerprint: $2\n  note: |\n    x\n\n    y\n"
                "- fingerprint: $1\n  name: \"New\"\n\n# end\nother: 1\n");
    assert_edit(add_plain, "publishers:\n    -   fingerprint: $2", 1,
                "publishers:\n    -   fingerprint: $2\n    - fingerprint: $1\n      name: \"New\"\n");
    assert_edit(add_plain, "publishers:\r\n- fingerprint: $2\r\n", 1,
                "publishers:\r\n- fingerprint: $2\r\n- fingerprint: $1\r\n  name: \"New\"\r\n");
    assert_edit_fails(add_plain, "publishers:\n- fingerprint: $1\n", 1, KONTOR_ERROR_CONFLICT);
    assert_edit_fails(add_plain, "publishers:\n- {fingerprint: $1, until: soon}\n", 1, KONTOR_ERROR_CONFLICT);
    assert_edit_fails(add_plain, "publishers: [{fingerprint: $2}]\n", 1, KONTOR_ERROR_UNSUPPORTED);
    assert_edit_fails(add_plain, "publishers: [{fingerprint: $2},\n  {fingerprint: $3}]\n", 1,
                      KONTOR_ERROR_UNSUPPORTED);
    assert_edit_fails(add_plain, "publishers: x\n", 1, KONTOR_ERROR_MALFORMED);
}

static void test_text_add_everything(void)
{
    TrustEntry *entry = entry_of(fingerprints[1], "\"A\": #1\n\x7f");
    g_autoptr(GError) error = NULL;
    entry->since = (char *)(gsize) "2026-01-02";
    entry->note = (char *)(gsize) "- note: {";
    entry->until = 1709210096;
    entry->has_key = TRUE;
    entry->revoked = TRUE;
    memset(entry->public_key.bytes, 1, sizeof entry->public_key.bytes);
    g_ptr_array_add(entry->paths, (gpointer)(gsize) "history/**");
    g_ptr_array_add(entry->paths, (gpointer)(gsize) "*");
    g_autofree char *text = trust_text_add("# head\n", entry, &error);
    g_assert_no_error(error);
    g_autoptr(TrustList) list = parse(text);
    const TrustEntry *read = trust_list_find(list, fingerprints[1]);
    g_assert_cmpstr(read->name, ==, entry->name);
    g_assert_cmpstr(read->since, ==, entry->since);
    g_assert_cmpstr(read->note, ==, entry->note);
    g_assert_cmpint(read->until, ==, entry->until);
    g_assert_true(read->has_key && read->revoked);
    g_assert_cmpstr(g_ptr_array_index(read->paths, 0), ==, "history/**");
    g_assert_cmpuint(read->paths->len, ==, 2);
    g_ptr_array_add(entry->paths, (gpointer)(gsize) "a//b");
    g_assert_null(trust_text_add("", entry, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED);
    entry_of_free(entry);
}

static void test_text_remove(void)
{
    assert_edit(trust_text_remove,
                "# a\npublishers:\n  # one\n  - fingerprint: $1\n    name: x # inside\n\n  # two\n  - "
                "fingerprint: $2\n# end\n",
                1, "# a\npublishers:\n  # one\n\n  # two\n  - fingerprint: $2\n# end\n");
    assert_edit(trust_text_remove, "publishers:\n- fingerprint: $1\n  name: x\nother: [1]\n", 1,
                "publishers: []\nother: [1]\n");
    assert_edit(trust_text_remove, "publishers: # ours\n- fingerprint: $1", 1, "publishers: [] # ours\n");
    assert_edit(trust_text_remove, "publishers:\n-\n  name: x\n  fingerprint: $1\n- fingerprint: $2\n", 1,
                "publishers:\n- fingerprint: $2\n");
    assert_edit(trust_text_remove, "publishers:\n- {fingerprint: $1,\n   name: x}\n- fingerprint: $2\n", 1,
                "publishers:\n- fingerprint: $2\n");
    assert_edit(trust_text_remove,
                "publishers:\n- fingerprint: $1\n- fingerprint: $2\n- {fingerprint: $1, until: soon}\n", 1,
                "publishers:\n- fingerprint: $2\n");
    assert_edit(trust_text_remove, "publishers:\n- fingerprint: $2\n- fingerprint: $1\n# left\n  name: x\n",
                1, "publishers:\n- fingerprint: $2\n");
    assert_edit(trust_text_remove, "publishers:\r\n- fingerprint: $1\r\n- fingerprint: $2\r\n", 1,
                "publishers:\r\n- fingerprint: $2\r\n");
    assert_edit_fails(trust_text_remove, "publishers:\n- fingerprint: $2\n", 1, KONTOR_ERROR_NOT_FOUND);
    assert_edit_fails(trust_text_remove, "", 1, KONTOR_ERROR_NOT_FOUND);
    assert_edit_fails(trust_text_remove, "publishers: [{fingerprint: $1}, {fingerprint: $2}]\n", 1,
                      KONTOR_ERROR_UNSUPPORTED);
    assert_edit_fails(trust_text_remove, "{publishers: [{fingerprint: $1}]}\n", 1, KONTOR_ERROR_UNSUPPORTED);
    assert_edit_fails(trust_text_remove, "- x\n", 1, KONTOR_ERROR_MALFORMED);
}

static void test_text_revoke(void)
{
    assert_edit(trust_text_revoke, "publishers:\n  # one\n  - fingerprint: $1  # a\n    name: x\n", 1,
                "publishers:\n  # one\n  - fingerprint: $1  # a\n    revoked: true\n    name: x\n");
    assert_edit(trust_text_revoke, "publishers:\n-   name: x\n    fingerprint: $1", 1,
                "publishers:\n-   name: x\n    fingerprint: $1\n    revoked: true\n");
    assert_edit(trust_text_revoke, "publishers:\n- fingerprint: $1\n  revoked: no  # yet\n", 1,
                "publishers:\n- fingerprint: $1\n  revoked: true  # yet\n");
    assert_edit(trust_text_revoke, "publishers: [{fingerprint: $2}, {fingerprint: $1}]\n", 1,
                "publishers: [{fingerprint: $2}, {revoked: true, fingerprint: $1}]\n");
    assert_edit(trust_text_revoke, "publishers:\n- {name: \"é\", fingerprint: $1, revoked: off}\n", 1,
                "publishers:\n- {name: \"é\", fingerprint: $1, revoked: true}\n");
    assert_edit(trust_text_revoke, "publishers:\n- fingerprint: $1\n- fingerprint: $1\n", 1,
                "publishers:\n- fingerprint: $1\n  revoked: true\n- fingerprint: $1\n  revoked: true\n");
    assert_edit(trust_text_revoke, "publishers:\n- {fingerprint: $1, until: soon}\n", 1,
                "publishers:\n- {revoked: true, fingerprint: $1, until: soon}\n");
    assert_edit(trust_text_revoke, "publishers:\n- {fingerprint: $1, revoked: yes}\n", 1,
                "publishers:\n- {fingerprint: $1, revoked: yes}\n");
    assert_edit(trust_text_revoke, "\xef\xbb\xbfpublishers: [{fingerprint: $1}]\n", 1,
                "\xef\xbb\xbfpublishers: [{revoked: true, fingerprint: $1}]\n");
    assert_edit_fails(trust_text_revoke, "publishers:\n- fingerprint: $2\n", 1, KONTOR_ERROR_NOT_FOUND);
    assert_edit_fails(trust_text_revoke, "publishers:\n- {fingerprint: $1, revoked: \"no\"}\n", 1,
                      KONTOR_ERROR_UNSUPPORTED);
    assert_edit_fails(trust_text_revoke, "publishers:\n- fingerprint: >\n    $1\n", 1,
                      KONTOR_ERROR_UNSUPPORTED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    make_fingerprints();
    g_test_add_func("/trust-list/full-entry", test_full_entry);
    g_test_add_func("/trust-list/empty", test_empty);
    g_test_add_func("/trust-list/case-and-trimming", test_case_and_trimming);
    g_test_add_func("/trust-list/skipped-entries", test_skipped_entries);
    g_test_add_func("/trust-list/revoked-is-not-text", test_revoked_is_not_text);
    g_test_add_func("/trust-list/revocation-wins", test_revocation_wins);
    g_test_add_func("/trust-list/refused-files", test_refused_files);
    g_test_add_func("/trust-list/long-texts-are-cut", test_long_texts_are_cut);
    g_test_add_func("/trust-list/hash-is-of-the-meaning", test_hash_is_of_the_meaning);
    g_test_add_func("/trust-list/references", test_references);
    g_test_add_func("/trust-list/until", test_until);
    g_test_add_func("/trust-list/globs", test_globs);
    g_test_add_func("/trust-list/glob-model", test_glob_model);
    g_test_add_func("/trust-list/glob-cost", test_glob_cost);
    g_test_add_func("/trust-list/glob-check", test_glob_check);
    g_test_add_func("/trust-list/text-add", test_text_add);
    g_test_add_func("/trust-list/text-add-everything", test_text_add_everything);
    g_test_add_func("/trust-list/text-remove", test_text_remove);
    g_test_add_func("/trust-list/text-revoke", test_text_revoke);
    return g_test_run();
}
