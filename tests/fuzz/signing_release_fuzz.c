/* SPDX-License-Identifier: MIT
 *
 * Any bytes as manifest.sig, trust list and content, in three parts with a NUL between them. A part that is
 * missing is the good one: the trust list that trusts the key, the content that was signed. A content is
 * lines "<table> <name>", the hash of each file being that of its name.
 *
 * Whatever comes, there is a verdict with a reason, and it is the same twice. Since nobody but the corpus
 * has signatures of the key (its secret is in no input), anything accepted is what was signed: the good
 * content, and the good release when there is one.
 */
#include "signing/release.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static const char good_trust[] = "publishers:\n- {fingerprint: kzdvvj2umnduyauf, name: Fuzz}\n";
static const char good_content[] = "m manifest.yaml\np concepts/a.md\np index.md\nf wiki/log.md\n";
/* SHA-256 of the content and of the release that the corpus was signed with. */
static const char good_content_sha256[] = "32612c2d02ffc7a7df5671a3348877a79811bd4330a8f365310889105622016d";
static const char good_digest[] = "22565966940e6dfb9b010b0eb7c1ebb7b2f27179176dc183ae2e6c62f2fdcdaa";

static void add_line(PackContent *content, const char *line)
{
    guint8 hash[SHA256_BYTES];
    if (strlen(line) < 3 || !g_utf8_validate(line, -1, NULL))
        return;
    const char *name = line + 2;
    sha256(name, strlen(name), hash);
    GArray *table = line[0] == 'p' ? content->pages : content->files;
    if (line[0] == 'm') {
        content->has_manifest = TRUE;
        memcpy(content->manifest_sha256, hash, sizeof hash);
    } else if (manifest_sig_table_find(table, name) == NULL) {
        manifest_sig_table_add(table, name, hash);
        manifest_sig_table_sort(table);
    }
}

static PackContent *content_of(const char *text)
{
    PackContent *content = pack_content_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", 256);
    for (guint i = 0; lines[i] != NULL; i++)
        add_line(content, lines[i]);
    return content;
}

/* The next part and, behind its NUL, the rest; `otherwise` when there is none. */
static char *take_part(const guint8 **data, gsize *size, const char *otherwise)
{
    if (*data == NULL)
        return g_strdup(otherwise);
    const guint8 *nul = *size > 0 ? memchr(*data, '\0', *size) : NULL;
    gsize len = nul != NULL ? (gsize)(nul - *data) : *size;
    char *part = g_strndup(*size > 0 ? (const char *)*data : "", len);
    *size -= nul != NULL ? len + 1 : len;
    *data = nul != NULL ? nul + 1 : NULL;
    return part;
}

static void check_accepted(const AcceptVerdict *verdict)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(verdict->content_sha256, SHA256_BYTES, hex);
    g_assert_cmpstr(hex, ==, good_content_sha256);
    if (!verdict->has_release)
        return;
    hex_encode(verdict->digest, SHA256_BYTES, hex);
    g_assert_cmpstr(hex, ==, good_digest);
}

static void check_verdicts(const AcceptInput *input)
{
    g_auto(AcceptVerdict) verdict, again;
    gboolean accepted = release_accept(input, &verdict);
    g_assert_cmpint(release_accept(input, &again), ==, accepted);
    g_assert_cmpstr(verdict.reason, ==, again.reason);
    g_assert_cmpint(accepted, ==, verdict.reason == NULL);
    g_assert_true(accepted || strpbrk(verdict.reason, "\n\r\x1b") == NULL);
    g_assert_true(verdict.rule < ACCEPT_RULES);
    if (accepted)
        check_accepted(&verdict);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const HeldRelease held = {
        .fingerprint = "kzdvvj2umnduyauf", .version = "1.0.0", .published_at = ""};
    const guint8 *rest = data != NULL ? data : (const guint8 *)"";
    signing_init();
    g_autofree char *sig = take_part(&rest, &size, "");
    g_autofree char *trust_text = take_part(&rest, &size, good_trust);
    g_autofree char *content_text = take_part(&rest, &size, good_content);
    g_autoptr(TrustList) trust = trust_list_parse("trust", trust_text, strlen(trust_text), NULL);
    g_autoptr(PackContent) content = content_of(content_text);
    if (trust == NULL)
        trust = trust_list_new_empty();
    AcceptInput input = {
        .path = "history/rome",
        .sig = sig,
        .sig_len = strlen(sig),
        .content = content,
        .trust = trust,
        .now = 1780000000,
    };
    check_verdicts(&input);
    input.held = &held;
    input.require_release = TRUE;
    check_verdicts(&input);
    input.path = NULL;
    input.content = NULL;
    input.held = NULL;
    check_verdicts(&input);
    return 0;
}
