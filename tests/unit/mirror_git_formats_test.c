/* SPDX-License-Identifier: MIT
 *
 * What is parsed by ourselves of git sources: listings of tree objects, the state between two syncs, tokens,
 * netrc and known_hosts.
 */
#include "mirror/agent/git_listing.h"
#include "mirror/agent/git_secret.h"
#include "mirror/agent/git_state.h"

#include <string.h>

#include "schema/limits.h"

/* --- Listings --- */

#define ID "0123456789abcdefghij"
#define READ(text) git_listing_read(text, sizeof text - 1, &error)

static void test_listing(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GitListing) listing = READ("100644 b\0" ID "40000 a\0" ID "120000 link\0" ID "160000 sub\0" ID
                                         "100755 run\0" ID "7 x\0" ID "100664 a.b\0" ID "040000 z\0" ID);
    g_assert_no_error(error);
    static const struct {
        const char *name;
        GitEntryKind kind;
    } expected[] = {{"a", GIT_ENTRY_DIRECTORY}, {"a.b", GIT_ENTRY_FILE},   {"b", GIT_ENTRY_FILE},
                    {"link", GIT_ENTRY_LINK},   {"run", GIT_ENTRY_FILE},   {"sub", GIT_ENTRY_SUBMODULE},
                    {"x", GIT_ENTRY_STRANGE},   {"z", GIT_ENTRY_DIRECTORY}};
    g_assert_cmpuint(git_listing_count(listing), ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        const GitEntry *entry = git_listing_at(listing, i);
        g_assert_cmpstr(entry->name, ==, expected[i].name);
        g_assert_cmpint(entry->kind, ==, expected[i].kind);
        g_assert_false(entry->repeated);
        g_assert_cmpmem(entry->id.bytes, GIT_ID_BYTES, ID, GIT_ID_BYTES);
        g_assert_true(git_listing_find(listing, expected[i].name) == entry);
    }
    g_assert_null(git_listing_find(listing, "nothing"));
}

static void test_empty_listing(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GitListing) listing = git_listing_read("", 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(git_listing_count(listing), ==, 0);
    g_assert_null(git_listing_find(listing, ""));
}

static void test_repeated(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GitListing) listing =
        READ("100644 a\0" ID "100644 b\0" ID "40000 a\0" ID "100644 c\0" ID "120000 a\0" ID);
    g_assert_no_error(error);
    for (guint i = 0; i < 5; i++)
        g_assert_cmpint(git_listing_at(listing, i)->repeated, ==, i < 3);
}

/* No prefix of a good listing but those that end with an entry is one. */
static void test_cut_listings(void)
{
    static const char good[] = "100644 name\0" ID "40000 d\0" ID;
    gsize first = sizeof "100644 name\0" ID - 1;
    for (gsize len = 0; len < sizeof good; len++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *exact = g_memdup2(good, len); /* so that a sanitizer sees what is read beyond */
        g_autoptr(GitListing) listing = git_listing_read(exact, len, &error);
        g_assert_cmpint(listing != NULL, ==, len == 0 || len == first || len == sizeof good - 1);
        g_assert_cmpint(error == NULL, ==, listing != NULL);
    }
}

static void test_bad_listings(void)
{
    static const struct {
        const char *text;
        gsize len;
        const char *message;
    } cases[] = {
        {"100648 a\0" ID, 29, "no mode at byte 0"},  {" a\0" ID, 23, "no mode at byte 0"},
        {"-1 a\0" ID, 25, "no mode at byte 0"},      {"12345671 a\0" ID, 31, "no mode at byte 0"},
        {"100644 \0" ID, 28, "no name at byte 0"},   {"100644  \0", 9, "no id at byte 0"},
        {"100644\ta\0" ID, 29, "no mode at byte 0"}, {"7 a\0" ID "7 b\0", 28, "no id at byte 24"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(git_listing_read(cases[i].text, cases[i].len, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        if (strstr(error->message, cases[i].message) == NULL)
            g_error("case %u: %s", i, error->message);
    }
}

static void test_large_listing(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *large = g_malloc0((gsize)LIMIT_GIT_TREE_BYTES + 1);
    g_assert_null(git_listing_read(large, (gsize)LIMIT_GIT_TREE_BYTES + 1, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

static void test_ids(void)
{
    GitId id, other;
    char hex[GIT_ID_HEX_CHARS + 1];
    g_assert_true(git_id_parse("0123456789abcdef0123456789abcdef01234567", &id));
    git_id_hex(&id, hex);
    g_assert_cmpstr(hex, ==, "0123456789abcdef0123456789abcdef01234567");
    g_assert_true(git_id_parse(hex, &other) && git_id_equal(&id, &other));
    static const char *const bad[] = {
        "", "0123456789abcdef0123456789abcdef0123456", "0123456789abcdef0123456789abcdef012345678",
        "0123456789ABCDEF0123456789abcdef01234567", "0123456789abcdeg0123456789abcdef01234567"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(git_id_parse(bad[i], &other));
}

/* --- State --- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void test_state(void)
{
    static const char *const texts[] = {
        "{\"commit\":\"" COMMIT "\",\"packs\":0,\"prefix\":\"\"}",
        "{\"commit\":\"" COMMIT "\",\"packs\":200000,\"prefix\":\"history/rome\"}",
        "{\"commit\":\"" COMMIT "\",\"packs\":7,\"prefix\":\"k\\u00fcche\"}",
    };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(GitState) state = {0};
        git_state_read(texts[i], &state, &error);
        g_assert_no_error(error);
        g_autofree char *again = git_state_write(&state);
        g_assert_cmpstr(again, ==, texts[i]);
    }
}

static void test_bad_states(void)
{
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"commit\":\"xyz\",\"packs\":0,\"prefix\":\"\"}",
        "{\"commit\":\"" COMMIT "0\",\"packs\":0,\"prefix\":\"\"}",
        "{\"commit\":\"" COMMIT "\",\"packs\":-1,\"prefix\":\"\"}",
        "{\"commit\":\"" COMMIT "\",\"packs\":200001,\"prefix\":\"\"}",
        "{\"commit\":\"" COMMIT "\",\"packs\":0,\"prefix\":\"../x\"}",
        "{\"commit\":\"" COMMIT "\",\"packs\":0,\"prefix\":\"\"} x",
    };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(GitState) state = {0};
        g_assert_false(git_state_read(texts[i], &state, &error));
        g_assert_nonnull(error);
        g_assert_null(state.prefix);
    }
}

/* --- netrc --- */

static void test_netrc(void)
{
    static const struct {
        const char *text, *user, *password;
    } cases[] = {
        {"machine git.example login anna password s3cret", "anna", "s3cret"},
        {"machine git.example\n\tlogin anna\n\tpassword s3cret\n", "anna", "s3cret"},
        {"MACHINE GIT.Example LOGIN anna PASSWORD s3cret", "anna", "s3cret"},
        {"machine other login x password y machine git.example login anna password s3cret", "anna", "s3cret"},
        {"machine git.example login anna password s3cret machine git.example login x password y", "anna",
         "s3cret"},
        {"default login any password thing machine git.example login anna password s3cret", "anna", "s3cret"},
        {"machine other login x password y\ndefault login any password thing", "any", "thing"},
        {"machine git.example password s3cret", NULL, "s3cret"},
        {"machine git.example login anna account a password \"two words\\\" \\n\"", "anna", "two words\" \n"},
        {"# machine git.example login x password y\nmachine git.example login anna password s3cret # end",
         "anna", "s3cret"},
        {"macdef init\nmachine git.example login x password y\n\nmachine git.example login anna password "
         "s3cret",
         "anna", "s3cret"},
        {"machine git.example login anna", NULL, NULL},
        {"machine git.example login anna default password y", NULL, NULL},
        {"machine git.example.org login anna password s3cret", NULL, NULL},
        {"machine git.exampl login anna password s3cret", NULL, NULL},
        {"login anna password s3cret", NULL, NULL},
        {"machine", NULL, NULL},
        {"machine git.example password", NULL, NULL},
        {"password", NULL, NULL},
        {"\"", NULL, NULL},
        {"\"\\", NULL, NULL},
        {"macdef", NULL, NULL},
        {"", NULL, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GitLogin) login = {0};
        gsize len = strlen(cases[i].text);
        g_autofree char *exact = g_memdup2(cases[i].text, len);
        g_test_message("case %u", i);
        g_assert_cmpint(git_netrc_find(exact, len, "git.example", &login), ==, cases[i].password != NULL);
        g_assert_cmpstr(login.user, ==, cases[i].user);
        g_assert_cmpstr(login.password, ==, cases[i].password);
    }
}

/* --- Tokens --- */

static void test_token(void)
{
    static const struct {
        const char *text, *token;
    } cases[] = {{"abc", "abc"}, {"abc\n", "abc"},  {" a b \r\nsecond", "a b"},
                 {"", NULL},     {"\nabc\n", NULL}, {"  \n", NULL},
                 {"a\tb", NULL}, {"a\x7f", NULL},   {"\xc3\xbc", "\xc3\xbc"}};
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *token = git_token_parse(cases[i].text, strlen(cases[i].text), &error);
        g_assert_cmpstr(token, ==, cases[i].token);
        g_assert_cmpint(error == NULL, ==, token != NULL);
        g_assert_true(error == NULL || strstr(error->message, "abc") == NULL);
    }
}

/* --- known_hosts --- */

/* Keys as they stand in the file are base64 of these. */
#define KEY_A "the key a"
#define KEY_B "the key b"
#define A64 "dGhlIGtleSBh"
#define B64 "dGhlIGtleSBi"
/* printf 'git.example' hashed with the salt "saltsaltsaltsaltsalt" */
#define HASHED "|1|c2FsdHNhbHRzYWx0c2FsdHNhbHQ=|"

static char *hashed_name(const char *name)
{
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA1, (const guchar *)"saltsaltsaltsaltsalt", 20);
    guint8 digest[20];
    gsize len = sizeof digest;
    g_hmac_update(hmac, (const guchar *)name, -1);
    g_hmac_get_digest(hmac, digest, &len);
    g_hmac_unref(hmac);
    g_autofree char *base64 = g_base64_encode(digest, sizeof digest);
    return g_strconcat(HASHED, base64, NULL);
}

static void test_known_hosts(void)
{
    static const struct {
        const char *text;
        guint port;
        HostKeyVerdict verdict;
    } cases[] = {
        {"git.example ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"git.example ssh-ed25519 " A64 " a comment\r\n", 22, HOST_KEY_KNOWN},
        {"GIT.Example ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"other,git.example,192.0.2.1 ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"  git.example\tssh-ed25519\t" A64, 22, HOST_KEY_KNOWN},
        {"*.example ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"gi?.example ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"*i*.*a*le* ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"*******t*****e ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"?it.exampl?? ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"*x.example ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"\xff*\xfe,*\xfe ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"*.example,!git.example ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"!git.example ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"git.example ssh-rsa " B64 "\ngit.example ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"git.example ssh-rsa " B64, 22, HOST_KEY_OTHER},
        {"git.example ssh-rsa", 22, HOST_KEY_UNKNOWN},
        {"git.example ssh-rsa !!!", 22, HOST_KEY_OTHER},
        {"other.example ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"git.example ssh-ed25519 " A64, 2222, HOST_KEY_UNKNOWN},
        {"[git.example]:2222 ssh-ed25519 " A64, 2222, HOST_KEY_KNOWN},
        {"[git.example]:2222 ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"# git.example ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"@revoked git.example ssh-ed25519 " A64 "\ngit.example ssh-ed25519 " A64, 22, HOST_KEY_REVOKED},
        {"git.example ssh-ed25519 " A64 "\n@revoked git.example ssh-ed25519 " A64, 22, HOST_KEY_REVOKED},
        {"@revoked git.example ssh-ed25519 " B64 "\ngit.example ssh-ed25519 " A64, 22, HOST_KEY_KNOWN},
        {"@revoked * ssh-ed25519 " A64, 22, HOST_KEY_REVOKED},
        {"@cert-authority git.example ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"@revoked", 22, HOST_KEY_UNKNOWN},
        {"|1||  ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"|2|x|y ssh-ed25519 " A64, 22, HOST_KEY_UNKNOWN},
        {"\n\n \n", 22, HOST_KEY_UNKNOWN},
        {"", 22, HOST_KEY_UNKNOWN},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        gsize len = strlen(cases[i].text);
        g_autofree char *exact = g_memdup2(cases[i].text, len);
        g_test_message("case %u", i);
        g_assert_cmpint(git_known_hosts_find(exact, len, "git.example", cases[i].port, KEY_A, strlen(KEY_A)),
                        ==, cases[i].verdict);
    }
    g_assert_cmpint(git_known_hosts_find("h x ", 4, "h", 22, "", 0), ==, HOST_KEY_UNKNOWN);
}

static void test_hashed_hosts(void)
{
    g_autofree char *plain = hashed_name("git.example");
    g_autofree char *with_port = hashed_name("[git.example]:2222");
    g_autofree char *text = g_strdup_printf("%s ssh-ed25519 %s\n%s ssh-rsa %s\n", plain, A64, with_port, B64);
    gsize len = strlen(text);
    g_assert_cmpint(git_known_hosts_find(text, len, "git.example", 22, KEY_A, 9), ==, HOST_KEY_KNOWN);
    g_assert_cmpint(git_known_hosts_find(text, len, "git.example", 2222, KEY_A, 9), ==, HOST_KEY_OTHER);
    g_assert_cmpint(git_known_hosts_find(text, len, "git.example", 2222, KEY_B, 9), ==, HOST_KEY_KNOWN);
    g_assert_cmpint(git_known_hosts_find(text, len, "hub.example", 22, KEY_A, 9), ==, HOST_KEY_UNKNOWN);
    g_autofree char *lines = git_known_hosts_of(text, len, "git.example", 2222);
    g_assert_cmpstr(lines, ==, "[git.example]:2222 ssh-rsa " B64 "\n");
}

static void test_lines_of_host(void)
{
    static const char text[] = "# comment\n*.example,other ssh-ed25519 " A64 " comment\n"
                               "@revoked git.example ssh-rsa " B64 "\n"
                               "git.example ssh-dss !\n"
                               "hub.example ssh-rsa " B64 "\n";
    g_autofree char *lines = git_known_hosts_of(text, sizeof text - 1, "git.example", 22);
    g_assert_cmpstr(lines, ==, "git.example ssh-ed25519 " A64 "\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git-formats/listing", test_listing);
    g_test_add_func("/git-formats/empty-listing", test_empty_listing);
    g_test_add_func("/git-formats/repeated", test_repeated);
    g_test_add_func("/git-formats/cut-listings", test_cut_listings);
    g_test_add_func("/git-formats/bad-listings", test_bad_listings);
    g_test_add_func("/git-formats/large-listing", test_large_listing);
    g_test_add_func("/git-formats/ids", test_ids);
    g_test_add_func("/git-formats/state", test_state);
    g_test_add_func("/git-formats/bad-states", test_bad_states);
    g_test_add_func("/git-formats/netrc", test_netrc);
    g_test_add_func("/git-formats/token", test_token);
    g_test_add_func("/git-formats/known-hosts", test_known_hosts);
    g_test_add_func("/git-formats/hashed-hosts", test_hashed_hosts);
    g_test_add_func("/git-formats/lines-of-host", test_lines_of_host);
    return g_test_run();
}
