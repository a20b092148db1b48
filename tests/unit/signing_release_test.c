/* SPDX-License-Identifier: MIT
 *
 * Signing and accepting releases. Every rule has a world in which it alone is broken, so that the world would
 * be accepted if the rule were gone; all rules broken from one on show the order; and every byte of
 * manifest.sig is changed.
 */
#include "release_world.h"

#include "random_text.h"
#include "schema/json_reader.h"
#include "schema/name_fold.h"
#include "signing/content_diff.h"

/* --- Frozen vectors --- */

static const char *vector_text(const JsonDoc *doc, const char *key)
{
    const char *text = NULL;
    g_assert_true(json_get_string(json_doc_root(doc), key, JSON_REQUIRED, 65536, &text, NULL));
    return text;
}

static GBytes *vector_bytes(const char *hex)
{
    gsize len = strlen(hex) / 2;
    guint8 *bytes = g_malloc(len + 1);
    g_assert_true(hex_decode(hex, bytes, len));
    return g_bytes_new_take(bytes, len);
}

static JsonDoc *vectors_load(void)
{
    gsize len = 0;
    g_autofree char *data = vector_read("occ.json", &len);
    JsonDoc *doc = json_doc_parse(data, len, 1024 * 1024, NULL);
    g_assert_nonnull(doc);
    return doc;
}

static PackContent *vector_content(const JsonDoc *doc)
{
    PackContent *content = pack_content_new();
    const JsonValue *pages = NULL;
    guint8 hash[SHA256_BYTES];
    g_autoptr(GBytes) manifest = vector_bytes(vector_text(doc, "manifest_bytes_hex"));
    g_assert_true(json_get_object(json_doc_root(doc), "pages_hex", JSON_REQUIRED, &pages, NULL));
    for (const JsonValue *page = json_value_first(pages); page != NULL; page = json_value_next(page)) {
        g_autoptr(GBytes) bytes = vector_bytes(json_value_string(page));
        sha256(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), hash);
        manifest_sig_table_add(content->pages, json_value_key(page), hash);
    }
    manifest_sig_table_sort(content->pages);
    content->has_manifest = TRUE;
    sha256(g_bytes_get_data(manifest, NULL), g_bytes_get_size(manifest), content->manifest_sha256);
    return content;
}

static char *vector_sig(const JsonDoc *doc)
{
    const char *canonical = vector_text(doc, "canonical_ascii");
    return g_strdup_printf("{\"alg\":\"ed25519\",\"signer_name\":\"v\",\"signer_pubkey_b64\":\"%s\","
                           "\"signer_fingerprint\":\"%s\",\"signed_at\":\"2026-01-01T00:00:00Z\","
                           "\"signature_b64\":\"%s\",%s",
                           vector_text(doc, "ed25519_pub_b64"), vector_text(doc, "fingerprint"),
                           vector_text(doc, "manifest_signature_b64"), canonical + 1);
}

/* The signature file of the vectors, which no program of ours has made. Its names are awkward on purpose: the
 * signature is good, and the content is not to be laid down. */
static void test_vectors(void)
{
    g_autoptr(JsonDoc) doc = vectors_load();
    g_autoptr(PackContent) content = vector_content(doc);
    g_auto(World) world;
    guint8 digest[SHA256_BYTES], expected[SHA256_BYTES];

    world_init(&world);
    g_free(world.sig);
    world.sig = vector_sig(doc);
    g_free(world.trust);
    world.trust = g_strdup_printf("publishers:\n- fingerprint: %s\n", vector_text(doc, "fingerprint"));
    world.without_content = TRUE;
    world_assert(&world, ACCEPT_OK);
    g_assert_cmpstr(world.verdict.fingerprint, ==, vector_text(doc, "fingerprint"));

    const char *canonical = vector_text(doc, "canonical_ascii");
    sha256(canonical, strlen(canonical), expected);
    pack_content_sha256(content, digest);
    g_assert_cmpmem(digest, sizeof digest, expected, sizeof expected);
    g_assert_cmpmem(world.verdict.content_sha256, SHA256_BYTES, expected, sizeof expected);
    g_assert_cmpmem(world.verdict.digest, SHA256_BYTES, expected, sizeof expected);

    world.without_content = FALSE;
    pack_content_free(world.content);
    world.content = g_steal_pointer(&content);
    world_assert(&world, ACCEPT_LIMITS);
}

/* Our own signature over the same content is the same bytes. */
static void test_vector_signature(void)
{
    g_autoptr(JsonDoc) doc = vectors_load();
    g_autoptr(PackContent) content = vector_content(doc);
    g_autoptr(GBytes) seed = vector_bytes(vector_text(doc, "ed25519_seed_hex"));
    g_autoptr(SecretKey) key = secret_key_from_seed(g_bytes_get_data(seed, NULL));
    g_autoptr(GBytes) bytes = manifest_sig_content_bytes(content->manifest_sha256, content->pages);
    guint8 signature[ED25519_SIGNATURE_BYTES];

    secret_key_sign(key, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), signature);
    g_autofree char *text = base64_encode(signature, sizeof signature);
    g_assert_cmpstr(text, ==, vector_text(doc, "manifest_signature_b64"));
}

/* --- Signing --- */

static void test_sign(void)
{
    g_auto(World) world, again;
    world_init(&world);
    world_init(&again);
    g_assert_cmpstr(world.sig, ==, again.sig);
    g_assert_true(g_str_is_ascii(world.sig) && g_str_has_suffix(world.sig, "}\n"));
    g_assert_nonnull(strstr(world.sig, "\n  \"alg\": \"ed25519\",\n"));
    g_assert_nonnull(strstr(world.sig, "\n    \"concepts/a.md\": \""));
    g_assert_nonnull(strstr(world.sig, "\n      \"wiki/assets/x.png\": \""));
    world_assert(&world, ACCEPT_OK);
    g_assert_cmpstr(world.verdict.signer_name, ==, "Anna"); /* the trust list knows better than the file */
    g_assert_cmpstr(world.verdict.version, ==, "1.2.0");
    g_assert_cmpstr(world.verdict.published_at, ==, WORLD_DATE);
    g_assert_true(world.verdict.has_release && world.verdict.has_signer);
}

static void test_sign_without_other_files(void)
{
    g_auto(World) world;
    world_init(&world);
    g_array_set_size(world.content->files, 0);
    world_sign(&world);
    g_assert_nonnull(strstr(world.sig, "\"files\": {},\n"));
    world_assert(&world, ACCEPT_OK);
}

static void assert_not_signable(World *world, KontorErrorCode code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(release_sign(world->content, &world->options, world->key, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_null(strchr(error->message, '\n'));
}

static void test_sign_refuses_options(void)
{
    const char *const bad_paths[] = {"", "/a", "a/", "../a", "a//b", "a\nb", ".git/x", "\xff"};
    const char *const bad_dates[] = {"", "2026-05-01", "2026-05-01 12:00:00Z", "2026-02-30T12:00:00Z",
                                     "2026-05-01T12:00:00+00:00"};
    const char *const bad_names[] = {"a\nb", "\xff", "\x7f"};
    for (guint i = 0; i < G_N_ELEMENTS(bad_paths); i++) {
        g_auto(World) world;
        world_init(&world);
        world.options.path = bad_paths[i];
        assert_not_signable(&world, KONTOR_ERROR_MALFORMED);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad_dates); i++) {
        g_auto(World) world;
        world_init(&world);
        world.options.published_at = bad_dates[i];
        assert_not_signable(&world, KONTOR_ERROR_MALFORMED);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad_names); i++) {
        g_auto(World) world;
        world_init(&world);
        world.options.signer_name = bad_names[i];
        assert_not_signable(&world, KONTOR_ERROR_MALFORMED);
    }
}

static void test_sign_refuses_content(void)
{
    const char *const bad_versions[] = {"", "1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0"};
    for (guint i = 0; i < G_N_ELEMENTS(bad_versions); i++) {
        g_auto(World) world;
        world_init(&world);
        g_free(world.content->version);
        world.content->version = g_strdup(bad_versions[i]);
        assert_not_signable(&world, KONTOR_ERROR_MALFORMED);
    }
    g_auto(World) world;
    world_init(&world);
    world.content->has_manifest = FALSE;
    assert_not_signable(&world, KONTOR_ERROR_MALFORMED);
    world.content->has_manifest = TRUE;
    g_array_set_size(world.content->pages, 0);
    assert_not_signable(&world, KONTOR_ERROR_MALFORMED);
}

/* --- Every rule by itself --- */

static void break_unsigned(World *world)
{
    g_clear_pointer(&world->sig, g_free);
}

static void break_limits(World *world)
{
    world->content->refused = g_strdup("wiki/x: too large");
}

static void break_form(World *world)
{
    world_edit(world, "\"alg\": \"ed25519\"", "\"alg\": \"ed448\"");
}

static void break_fingerprint(World *world)
{
    gsize at = world_value_at(world, "signer_fingerprint", 0);
    world->sig[at] = world->sig[at] == 'a' ? 'b' : 'a';
}

static void break_trust(World *world)
{
    g_free(world->trust);
    world->trust = g_strdup("publishers: []\n");
}

static void break_revoked(World *world)
{
    world_trust(world, "  revoked: true\n");
}

static void break_expired(World *world)
{
    world_trust(world, "  until: 2026-05-02\n");
}

static void break_for_path(World *world)
{
    world_trust(world, "  paths: [\"science/**\"]\n");
}

static void break_signature(World *world)
{
    gsize at = world_value_at(world, "signature_b64", 0);
    world->sig[at] = world->sig[at] == 'A' ? 'B' : 'A';
}

static void break_no_release(World *world)
{
    world_strip_release(world);
    world->require_release = TRUE;
}

static void break_release_signature(World *world)
{
    world_edit(world, "\"published_at\": \"2026-05-01T12:00:00Z\"",
               "\"published_at\": \"2026-05-01T12:00:01Z\"");
}

static void break_hash(World *world)
{
    g_array_index(world->content->pages, ManifestSigEntry, 1).sha256[31] ^= 1;
}

static void break_unlisted(World *world)
{
    world_add(world->content->files, "wiki/extra.md", "x");
}

static void break_path(World *world)
{
    world->path = "history/carthage";
}

static void hold(World *world, const char *version, const char *published_at)
{
    static char own[FINGERPRINT_CHARS + 1];
    g_autofree char *fingerprint = world_fingerprint(world->key);
    g_strlcpy(own, fingerprint, sizeof own);
    world->has_held = TRUE;
    world->held = (HeldRelease){.fingerprint = own, .version = version, .published_at = published_at};
    memset(world->held.digest, 0xee, SHA256_BYTES);
}

static void break_rollback(World *world)
{
    hold(world, "1.10.0", "2026-04-01T00:00:00Z");
}

static void break_conflict(World *world)
{
    hold(world, "1.2.0", "2026-04-01T00:00:00Z");
}

static void break_hijack(World *world)
{
    hold(world, "1.0.0", "2026-04-01T00:00:00Z");
    world->held.fingerprint = "aaaaaaaaaaaaaaaa";
}

static void break_withdrawn(World *world)
{
    world->options.withdrawn = TRUE;
    world_sign(world);
}

/* In the order of the rules. */
static const struct {
    AcceptRule rule;
    void (*break_rule)(World *world);
    const char *reason; /* a part of it */
} breakers[] = {
    {ACCEPT_UNSIGNED, break_unsigned, "manifest.sig: missing"},
    {ACCEPT_LIMITS, break_limits, "wiki/x: too large"},
    {ACCEPT_FORM, break_form, "unknown algorithm"},
    {ACCEPT_FINGERPRINT, break_fingerprint, "signer_fingerprint"},
    {ACCEPT_UNTRUSTED, break_trust, "not in the trust list"},
    {ACCEPT_REVOKED, break_revoked, "revoked"},
    {ACCEPT_EXPIRED, break_expired, "until 2026-05-02"},
    {ACCEPT_NOT_FOR_PATH, break_for_path, "not trusted for this path"},
    {ACCEPT_SIGNATURE, break_signature, "signature does not fit the listed hashes"},
    {ACCEPT_NO_RELEASE, break_no_release, "has no release"},
    {ACCEPT_RELEASE_SIGNATURE, break_release_signature, "release signature"},
    {ACCEPT_HASH, break_hash, "wiki/concepts/b.md: hash differs"},
    {ACCEPT_UNLISTED, break_unlisted, "wiki/extra.md: not listed"},
    {ACCEPT_WRONG_PATH, break_path, "stands elsewhere"},
    {ACCEPT_ROLLBACK, break_rollback, "older than 1.10.0"},
    {ACCEPT_CONFLICT, break_conflict, "version 1.2.0 is held"},
    {ACCEPT_HIJACK, break_hijack, "belongs to publisher aaaaaaaaaaaaaaaa"},
    {ACCEPT_WITHDRAWN, break_withdrawn, "withdrawn"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(breakers) == ACCEPT_RULES - 1);

/* The breaker breaks its rule and no other one: without the rule the world would be accepted. */
static void test_each_rule(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(breakers); i++) {
        g_auto(World) world;
        world_init(&world);
        world_assert(&world, ACCEPT_OK);
        breakers[i].break_rule(&world);
        world_assert(&world, breakers[i].rule);
        g_assert_nonnull(strstr(world.verdict.reason, breakers[i].reason));
    }
}

/* Which later rules may be broken at the same time: some need what an earlier one takes away. */
static gboolean can_be_combined(AcceptRule earlier, AcceptRule later)
{
    if (earlier == ACCEPT_HASH || earlier == ACCEPT_UNLISTED || earlier == ACCEPT_CONFLICT)
        return later != ACCEPT_WITHDRAWN;
    return TRUE;
}

/* For each pair the earlier rule is the one that is named. */
static void test_order_of_rules(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(breakers); i++) {
        for (guint j = i + 1; j < G_N_ELEMENTS(breakers); j++) {
            if (!can_be_combined(breakers[i].rule, breakers[j].rule))
                continue;
            g_auto(World) world;
            world_init(&world);
            breakers[j].break_rule(&world);
            breakers[i].break_rule(&world);
            world_assert(&world, breakers[i].rule);
        }
    }
}

static void test_rule_names(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint rule = ACCEPT_OK; rule < ACCEPT_RULES; rule++)
        g_assert_true(g_hash_table_add(seen, (gpointer)(guintptr)accept_rule_name((AcceptRule)rule)));
    g_assert_cmpstr(accept_rule_name(ACCEPT_OK), ==, "ok");
    g_assert_cmpstr(accept_rule_name(ACCEPT_NOT_FOR_PATH), ==, "not-for-path");
}

/* --- Limits --- */

static void assert_name_refused(const char *name)
{
    g_auto(World) world;
    world_init(&world);
    world_add(world.content->pages, name, "x");
    world_assert(&world, ACCEPT_LIMITS);
    g_autoptr(GError) error = NULL;
    g_assert_null(release_sign(world.content, &world.options, world.key, &error));
}

static void test_limits_of_names(void)
{
    g_autofree char *long_segment = g_strnfill(256, 'x');
    g_autofree char *long_path = g_strnfill(600, 'x');
    for (guint i = 100; i < 600; i += 100)
        long_path[i] = '/';
    const char *const bad[] = {"../a.md",      "a/../b.md",     "/a.md",      "a//b.md",
                               ".git/config",  "x/.gitmodules", "a\x7f.md",   "a\nb.md",
                               "a\xc2\x85.md", "\xff.md",       long_segment, long_path,
                               "INDEX.md",     "Concepts/z",    "concepts",   "index.md/x"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_name_refused(bad[i]);
}

static void test_limits_of_numbers(void)
{
    g_auto(World) world;
    world_init(&world);
    world.content->bytes = G_GUINT64_CONSTANT(256) * 1024 * 1024;
    world_assert(&world, ACCEPT_OK);
    world.content->bytes++;
    world_assert(&world, ACCEPT_LIMITS);
    world.content->bytes = 0;
    guint8 hash[SHA256_BYTES] = {0};
    for (guint i = 0; i < 100000; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "wiki/p/%u", i);
        manifest_sig_table_add(world.content->files, name, hash);
    }
    manifest_sig_table_sort(world.content->files);
    world_assert(&world, ACCEPT_LIMITS);
    g_assert_nonnull(strstr(world.verdict.reason, "100000 files"));
}

static void test_limits_of_place_and_size(void)
{
    g_auto(World) world;
    world_init(&world);
    world.path = "a/../b";
    world_assert(&world, ACCEPT_LIMITS);
    world.path = WORLD_PATH;
    g_autofree char *blanks = g_strnfill(33 * 1024 * 1024, ' ');
    char *huge = g_strconcat(world.sig, blanks, NULL);
    g_free(world.sig);
    world.sig = huge;
    world_assert(&world, ACCEPT_LIMITS);
}

/* --- Form --- */

static void test_form(void)
{
    static const struct {
        const char *from, *to;
    } edits[] = {
        {"{\n  \"alg\"", "[\n  \"alg\""},
        {"\"alg\": \"ed25519\"", "\"alg\": \"Ed25519\""},
        {"\"alg\": \"ed25519\"", "\"alg\": 1"},
        {"\"alg\": \"ed25519\",", ""},
        {"\"signer_pubkey_b64\": \"", "\"signer_pubkey_b64\": \" "},
        {"\n  \"signature_b64\": \"", "\n  \"signature_b64\": \"A"},
        {"\"release_signature_b64\": \"", "\"release_signature_b64\": \"-"},
        {"\"version\": \"1.2.0\"", "\"version\": \"1.2\""},
        {"\"version\": \"1.2.0\"", "\"version\": \"1.2.0\", \"surprise\": true"},
        {"\"path\": \"history/rome\"", "\"path\": \"../rome\""},
        {"\"index.md\": \"", "\"Index.md\": \""},
        {"\"pages\": {", "\"pages\": {\"index.md\": \"\", "},
    };
    for (guint i = 0; i < G_N_ELEMENTS(edits); i++) {
        g_auto(World) world;
        world_init(&world);
        world_edit(&world, edits[i].from, edits[i].to);
        world_assert(&world, ACCEPT_FORM);
    }
}

static void test_form_garbage(void)
{
    const char *const garbage[] = {"",        "null", "{}", "[]", "{\"alg\":\"ed25519\"}", "\xef\xbb\xbf{}",
                                   "not json"};
    for (guint i = 0; i < G_N_ELEMENTS(garbage); i++) {
        g_auto(World) world;
        world_init(&world);
        g_free(world.sig);
        world.sig = g_strdup(garbage[i]);
        world_assert(&world, ACCEPT_FORM);
        g_assert_false(world.verdict.has_signer);
    }
}

/* An empty file is a bad signature, not an absent one. */
static void test_empty_file(void)
{
    g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
    AcceptInput input = {.sig = "x", .sig_len = 1};
    accept_input_set_sig(&input, empty);
    g_assert_nonnull(input.sig);
    g_assert_cmpuint(input.sig_len, ==, 0);
    accept_input_set_sig(&input, NULL);
    g_assert_null(input.sig);
}

/* --- Trust --- */

static void test_trust(void)
{
    g_auto(World) world;
    PublicKey public_key;
    world_init(&world);
    secret_key_public(world.key, &public_key);
    g_autofree char *key = base64_encode(public_key.bytes, sizeof public_key.bytes);
    g_autofree char *line = g_strdup_printf("  public_key: \"%s\"\n", key);
    world_trust(&world, line);
    world_assert(&world, ACCEPT_OK);
    world_trust(&world, "  paths: [\"history/*\"]\n");
    world_assert(&world, ACCEPT_OK);
    world_trust(&world, "  paths: [\"history\", \"*\"]\n");
    world_assert(&world, ACCEPT_NOT_FOR_PATH);
}

static void test_until(void)
{
    g_auto(World) world;
    world_init(&world);
    world_trust(&world, "  until: 2026-05-29\n"); /* the day after */
    world_assert(&world, ACCEPT_OK);
    world.now = G_GINT64_CONSTANT(1780099200); /* 2026-05-30 00:00 */
    world_assert(&world, ACCEPT_EXPIRED);
    world.now--;
    world_assert(&world, ACCEPT_OK);
    /* Checked in time, and signed later than the trust lasts. */
    world.options.published_at = "2026-05-30T00:00:00Z";
    world_sign(&world);
    world_assert(&world, ACCEPT_EXPIRED);
}

/* Without a release only the unsigned date can speak, and it may also be missing. */
static void test_until_without_release(void)
{
    g_auto(World) world;
    world_init(&world);
    world_strip_release(&world);
    world_trust(&world, "  until: 2026-05-29\n");
    world_assert(&world, ACCEPT_OK);
    world_edit(&world, "\"signed_at\": \"2026-05-01T12:00:00Z\"", "\"signed_at\": \"2026-07-01T12:00:00Z\"");
    world_assert(&world, ACCEPT_EXPIRED);
    world_edit(&world, "\"signed_at\": \"2026-07-01T12:00:00Z\"", "\"signed_at\": \"soon\"");
    world_assert(&world, ACCEPT_OK);
}

static void test_unknown_path(void)
{
    g_auto(World) world;
    world_init(&world);
    world.path = NULL;
    world_assert(&world, ACCEPT_OK);
    world_trust(&world, "  paths: [\"history/*\"]\n");
    world_assert(&world, ACCEPT_OK);
    world_trust(&world, "  paths: [\"science/*\"]\n");
    world_assert(&world, ACCEPT_NOT_FOR_PATH);
    world_strip_release(&world);
    world_trust(&world, "");
    world_assert(&world, ACCEPT_OK);
    world_trust(&world, "  paths: [\"**\"]\n");
    world_assert(&world, ACCEPT_NOT_FOR_PATH);
}

/* --- Content --- */

/* One bit of every hash that is in the pack. */
static void test_every_file(void)
{
    for (guint i = 0; i < 6; i++) {
        g_auto(World) world;
        world_init(&world);
        PackContent *content = world.content;
        ManifestSigEntry *entry = i < 3   ? &g_array_index(content->pages, ManifestSigEntry, i)
                                  : i < 5 ? &g_array_index(content->files, ManifestSigEntry, i - 3)
                                          : NULL;
        guint8 *hash = entry != NULL ? entry->sha256 : content->manifest_sha256;
        for (guint bit = 0; bit < 256; bit += 37) {
            hash[bit / 8] ^= (guint8)(1 << bit % 8);
            world_assert(&world, ACCEPT_HASH);
            g_assert_nonnull(strstr(world.verdict.reason, entry != NULL ? entry->name : "manifest.yaml"));
            hash[bit / 8] ^= (guint8)(1 << bit % 8);
        }
        world_assert(&world, ACCEPT_OK);
    }
}

static void test_missing_files(void)
{
    g_auto(World) world;
    world_init(&world);
    g_array_remove_index(world.content->pages, 0);
    world_assert(&world, ACCEPT_HASH);
    g_assert_nonnull(strstr(world.verdict.reason, "wiki/concepts/a.md: listed in manifest.sig and missing"));
    g_auto(World) other;
    world_init(&other);
    g_array_remove_index(other.content->files, 1);
    world_assert(&other, ACCEPT_HASH);
    g_auto(World) third;
    world_init(&third);
    third.content->has_manifest = FALSE;
    world_assert(&third, ACCEPT_HASH);
}

/* Without a release only pages must be listed, as on a Node. */
static void test_unlisted(void)
{
    g_auto(World) world;
    world_init(&world);
    world_add(world.content->pages, "concepts/c.md", "C");
    world_assert(&world, ACCEPT_UNLISTED);
    world_strip_release(&world);
    world_assert(&world, ACCEPT_UNLISTED);
    g_auto(World) other;
    world_init(&other);
    world_strip_release(&other);
    break_unlisted(&other);
    world_assert(&other, ACCEPT_OK);
}

/* A release signature over another content, by the right key: parts of two files put together. */
static void test_mixed_release(void)
{
    g_auto(World) world, other;
    world_init(&world);
    world_init(&other);
    world_add(other.content->pages, "concepts/new.md", "N");
    world_sign(&other);
    const char *from = strstr(other.sig, "  \"release\": "), *to = strstr(other.sig, "  \"signature_b64\": ");
    g_autofree char *foreign = g_strndup(from, (gsize)(to - from));
    char *head_end = strstr(world.sig, "  \"release\": "), *tail = strstr(world.sig, "  \"signature_b64\": ");
    char *mixed = g_strdup_printf("%.*s%s%s", (int)(head_end - world.sig), world.sig, foreign, tail);
    g_free(world.sig);
    world.sig = mixed;
    world_assert(&world, ACCEPT_RELEASE_SIGNATURE);
    g_assert_nonnull(strstr(world.verdict.reason, "another content"));
}

/* --- What is held --- */

static void test_held(void)
{
    static const struct {
        const char *version, *published_at;
        AcceptRule rule;
    } cases[] = {
        {"1.1.9", "2026-04-01T00:00:00Z", ACCEPT_OK},
        {"1.1.9", "2026-09-01T00:00:00Z", ACCEPT_OK}, /* the version decides first */
        {"1.2.0-rc.1", "2026-04-01T00:00:00Z", ACCEPT_OK},
        {"1.2.0", "2026-04-30T00:00:00Z", ACCEPT_CONFLICT},
        {"1.2.0+build", "2026-04-30T00:00:00Z", ACCEPT_CONFLICT},
        {"1.2.0", WORLD_DATE, ACCEPT_CONFLICT},
        {"1.2.0", "2026-05-01T12:00:01Z", ACCEPT_ROLLBACK},
        {"1.2.1", "2026-04-01T00:00:00Z", ACCEPT_ROLLBACK},
        {"1.10.0", "2026-04-01T00:00:00Z", ACCEPT_ROLLBACK},
        {"2.0.0-alpha", "2026-04-01T00:00:00Z", ACCEPT_ROLLBACK},
        {"", "", ACCEPT_OK}, /* held without a release */
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(World) world;
        world_init(&world);
        hold(&world, cases[i].version, cases[i].published_at);
        world_assert(&world, cases[i].rule);
    }
}

static void test_held_is_the_same(void)
{
    g_auto(World) world;
    world_init(&world);
    world_assert(&world, ACCEPT_OK);
    hold(&world, "1.2.0", WORLD_DATE);
    memcpy(world.held.digest, world.verdict.digest, SHA256_BYTES);
    world_assert(&world, ACCEPT_OK);
}

/* Taking the release out must not make an old pack acceptable. */
static void test_stripped_release_is_older(void)
{
    g_auto(World) world;
    world_init(&world);
    world_strip_release(&world);
    world_assert(&world, ACCEPT_OK);
    g_assert_false(world.verdict.has_release);
    hold(&world, "0.0.1", "2020-01-01T00:00:00Z");
    world_assert(&world, ACCEPT_ROLLBACK);
    hold(&world, "", "");
    world_assert(&world, ACCEPT_OK);
}

static void test_hijack(void)
{
    g_auto(World) world;
    world_init(&world);
    break_hijack(&world);
    world_trust(&world, "  paths: [\"**\"]\n");
    world_assert(&world, ACCEPT_HIJACK); /* a wildcard names nothing */
    world_trust(&world, "  paths: [\"history/*\"]\n");
    world_assert(&world, ACCEPT_HIJACK);
    world_trust(&world, "  paths: [\"x/**\", \"history/rome\"]\n");
    world_assert(&world, ACCEPT_OK);
    hold(&world, "9.0.0", "2030-01-01T00:00:00Z"); /* versions of another publisher do not count */
    world.held.fingerprint = "aaaaaaaaaaaaaaaa";
    world_assert(&world, ACCEPT_OK);
}

static void test_tombstones(void)
{
    g_auto(World) world;
    world_init(&world);
    break_withdrawn(&world);
    g_assert_nonnull(strstr(world.sig, "\"withdrawn\": true"));
    /* Of the same version as what it withdraws; nothing of the content needs to be there. */
    hold(&world, "1.2.0", "2026-04-01T00:00:00Z");
    g_array_set_size(world.content->pages, 0);
    g_array_set_size(world.content->files, 0);
    world.content->has_manifest = FALSE;
    world_assert(&world, ACCEPT_WITHDRAWN);
    hold(&world, "1.3.0", "2026-04-01T00:00:00Z");
    world_assert(&world, ACCEPT_ROLLBACK);
    break_hijack(&world);
    world_assert(&world, ACCEPT_HIJACK);
    world.has_held = FALSE;
    world_edit(&world, ",\n    \"withdrawn\": true", "");
    world_assert(&world, ACCEPT_RELEASE_SIGNATURE);
}

/* --- Every byte of the file --- */

static gboolean is_outside_signatures(const ManifestSig *a, const ManifestSig *b)
{
    g_autoptr(GBytes) content_a = manifest_sig_content_bytes(a->manifest_sha256, a->pages);
    g_autoptr(GBytes) content_b = manifest_sig_content_bytes(b->manifest_sha256, b->pages);
    g_autoptr(GBytes) release_a = manifest_sig_release_bytes(a->release);
    g_autoptr(GBytes) release_b = b->release != NULL ? manifest_sig_release_bytes(b->release) : NULL;
    return g_bytes_equal(content_a, content_b) && release_b != NULL && g_bytes_equal(release_a, release_b) &&
           strcmp(a->signature_b64, b->signature_b64) == 0 &&
           strcmp(a->release_signature_b64, b->release_signature_b64) == 0 &&
           strcmp(a->signer_pubkey_b64, b->signer_pubkey_b64) == 0 && strcmp(a->alg, b->alg) == 0;
}

/* Whatever byte is changed to whatever: accepted only when all that counts is as it was. */
static void test_every_byte(void)
{
    g_auto(World) world;
    world_init(&world);
    world.require_release = TRUE;
    gsize len = strlen(world.sig);
    g_autoptr(ManifestSig) original = manifest_sig_parse(world.sig, len, NULL);
    guint accepted = 0;
    for (gsize i = 0; i < len; i++) {
        const char was = world.sig[i];
        const char changes[] = {(char)(was ^ 1), (char)(was ^ 0x20), '0', '"', ' ', '\\'};
        for (guint k = 0; k < G_N_ELEMENTS(changes); k++) {
            world.sig[i] = changes[k] != '\0' ? changes[k] : '\x01';
            if (world.sig[i] != was && world_judge(&world) == ACCEPT_OK) {
                g_autoptr(ManifestSig) changed = manifest_sig_parse(world.sig, len, NULL);
                g_assert_true(is_outside_signatures(original, changed));
                accepted++;
            }
        }
        world.sig[i] = was;
    }
    world_assert(&world, ACCEPT_OK);
    g_assert_cmpuint(accepted, >, 0); /* white space, the claimed name and date */
}

static char other_hex(char c)
{
    return c == '0' ? '1' : '0';
}

static char other_base64(char c)
{
    return c == 'A' ? 'B' : 'A';
}

static char other_letter(char c)
{
    return c == 'x' ? 'y' : 'x';
}

static char other_digit(char c)
{
    return c == '9' ? '8' : (char)(c + 1);
}

/* The value of each field with one character changed to another that keeps the form: the reason is the one of
 * that field. */
static void test_every_field(void)
{
    static const struct {
        const char *key;
        guint skip;
        guint at, len; /* characters of the value that are changed */
        char (*other)(char c);
        AcceptRule rule;
    } fields[] = {
        {"manifest_sha256", 0, 0, 64, other_hex, ACCEPT_SIGNATURE},
        {"index.md", 0, 0, 64, other_hex, ACCEPT_SIGNATURE},
        {"concepts/a.md", 0, 0, 64, other_hex, ACCEPT_SIGNATURE},
        {"concepts/b.md", 0, 0, 64, other_hex, ACCEPT_SIGNATURE},
        {"wiki/log.md", 0, 0, 64, other_hex, ACCEPT_RELEASE_SIGNATURE},
        {"wiki/assets/x.png", 0, 0, 64, other_hex, ACCEPT_RELEASE_SIGNATURE},
        {"content_sha256", 0, 0, 64, other_hex, ACCEPT_RELEASE_SIGNATURE},
        {"path", 0, 0, 12, other_letter, ACCEPT_RELEASE_SIGNATURE},
        {"version", 0, 0, 1, other_digit, ACCEPT_RELEASE_SIGNATURE},
        {"version", 0, 4, 1, other_digit, ACCEPT_RELEASE_SIGNATURE},
        {"published_at", 0, 3, 1, other_digit, ACCEPT_RELEASE_SIGNATURE},
        {"signer_fingerprint", 0, 0, 16, other_letter, ACCEPT_FINGERPRINT},
        {"signer_pubkey_b64", 0, 0, 42, other_base64, ACCEPT_FINGERPRINT},
        {"signature_b64", 0, 0, 85, other_base64, ACCEPT_SIGNATURE},
        {"release_signature_b64", 0, 0, 85, other_base64, ACCEPT_RELEASE_SIGNATURE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_auto(World) world;
        world_init(&world);
        gsize from = world_value_at(&world, fields[i].key, fields[i].skip) + fields[i].at;
        for (gsize at = from; at < from + fields[i].len; at++) {
            const char was = world.sig[at];
            world.sig[at] = fields[i].other(was);
            if (was != '/') /* of a path */
                world_assert(&world, fields[i].rule);
            world.sig[at] = was;
        }
        world_assert(&world, ACCEPT_OK);
    }
}

/* Names of files in the tables. */
static void test_every_name(void)
{
    static const struct {
        const char *from, *to;
        AcceptRule rule;
    } renames[] = {
        {"\"concepts/a.md\"", "\"concepts/c.md\"", ACCEPT_SIGNATURE},
        {"\"wiki/log.md\"", "\"wiki/lag.md\"", ACCEPT_RELEASE_SIGNATURE},
        {"\"index.md\"", "\"indey.md\"", ACCEPT_FORM},
    };
    for (guint i = 0; i < G_N_ELEMENTS(renames); i++) {
        g_auto(World) world;
        world_init(&world);
        world_edit(&world, renames[i].from, renames[i].to);
        world_assert(&world, renames[i].rule);
    }
}

/* Random packs with awkward names: what is signed is accepted, and any other content is not. */
static void test_random_contents(void)
{
    static const RandomPiece pieces[] = {
        RANDOM_PIECE("a"),        RANDOM_PIECE("\""),        RANDOM_PIECE("\\"),
        RANDOM_PIECE("\xc3\xa9"), RANDOM_PIECE("e\xcc\x81"), RANDOM_PIECE("\xf0\x9f\x98\x80"),
        RANDOM_PIECE("-"),        RANDOM_PIECE(" "),         RANDOM_PIECE("\xe2\x80\xa8"),
        RANDOM_PIECE("'"),
    };
    g_autoptr(GRand) rng = random_new(20260501);
    for (guint round = 0; round < 300; round++) {
        g_auto(World) world;
        world_init(&world);
        g_autoptr(NameSet) names = name_set_new();
        for (guint i = random_below(rng, 12); i > 0; i--) {
            g_autoptr(GString) name = random_text(rng, pieces, G_N_ELEMENTS(pieces), 5);
            g_string_prepend(name, "p/x");
            if (name_set_add(names, name->str) == NULL)
                world_add(world.content->pages, name->str, name->str);
        }
        world_sign(&world);
        world_assert(&world, ACCEPT_OK);
        guint victim = random_below(rng, world.content->pages->len);
        g_array_index(world.content->pages, ManifestSigEntry, victim).sha256[random_below(rng, 32)] ^=
            (guint8)(1 << random_below(rng, 8));
        world_assert(&world, ACCEPT_HASH);
    }
}

/* --- Differences --- */

static void test_content_diff(void)
{
    g_autoptr(PackContent) a = world_content();
    g_autoptr(PackContent) b = world_content();
    g_autoptr(GPtrArray) none = content_diff(a, b, FALSE);
    g_assert_cmpuint(none->len, ==, 0);
    g_array_index(b->pages, ManifestSigEntry, 0).sha256[0] ^= 1;
    g_array_remove_index(b->files, 1);
    world_add(b->files, "wiki/z.md", "z");
    b->manifest_sha256[3] ^= 1;
    g_autoptr(GPtrArray) differences = content_diff(a, b, FALSE);
    const char *const files[] = {"manifest.yaml", "wiki/concepts/a.md", "wiki/log.md", "wiki/z.md"};
    g_assert_cmpuint(differences->len, ==, G_N_ELEMENTS(files));
    for (guint i = 0; i < differences->len; i++) {
        const ContentDifference *difference = g_ptr_array_index(differences, i);
        g_assert_cmpstr(difference->file, ==, files[i]);
        g_assert_cmpint(difference->in_a, ==, i != 3);
        g_assert_cmpint(difference->in_b, ==, i != 2);
    }
    g_autoptr(GPtrArray) of_nodes = content_diff(a, b, TRUE);
    g_assert_cmpuint(of_nodes->len, ==, 2);
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/release/vectors", test_vectors);
    g_test_add_func("/release/vectors/signature", test_vector_signature);
    g_test_add_func("/release/sign", test_sign);
    g_test_add_func("/release/sign/no-other-files", test_sign_without_other_files);
    g_test_add_func("/release/sign/options", test_sign_refuses_options);
    g_test_add_func("/release/sign/content", test_sign_refuses_content);
    g_test_add_func("/release/rules/each", test_each_rule);
    g_test_add_func("/release/rules/order", test_order_of_rules);
    g_test_add_func("/release/rules/names", test_rule_names);
    g_test_add_func("/release/limits/names", test_limits_of_names);
    g_test_add_func("/release/limits/numbers", test_limits_of_numbers);
    g_test_add_func("/release/limits/place", test_limits_of_place_and_size);
    g_test_add_func("/release/form", test_form);
    g_test_add_func("/release/form/garbage", test_form_garbage);
    g_test_add_func("/release/form/empty-file", test_empty_file);
    g_test_add_func("/release/trust", test_trust);
    g_test_add_func("/release/trust/until", test_until);
    g_test_add_func("/release/trust/until-without-release", test_until_without_release);
    g_test_add_func("/release/trust/unknown-path", test_unknown_path);
    g_test_add_func("/release/content/every-file", test_every_file);
    g_test_add_func("/release/content/missing", test_missing_files);
    g_test_add_func("/release/content/unlisted", test_unlisted);
    g_test_add_func("/release/content/mixed", test_mixed_release);
    g_test_add_func("/release/held", test_held);
    g_test_add_func("/release/held/same", test_held_is_the_same);
    g_test_add_func("/release/held/stripped", test_stripped_release_is_older);
    g_test_add_func("/release/held/hijack", test_hijack);
    g_test_add_func("/release/held/tombstones", test_tombstones);
    g_test_add_func("/release/mutation/every-byte", test_every_byte);
    g_test_add_func("/release/mutation/every-field", test_every_field);
    g_test_add_func("/release/mutation/every-name", test_every_name);
    g_test_add_func("/release/random", test_random_contents);
    g_test_add_func("/release/diff", test_content_diff);
    return g_test_run();
}
