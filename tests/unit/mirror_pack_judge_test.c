/* SPDX-License-Identifier: MIT
 *
 * Judging scanned packs: states, policies, time, and what a verdict changes in a catalog; finding files and
 * releases by hash; the store of hashes.
 */
#include "mirror/catalog/pack_judge.h"

#include "mirror/catalog/holdings.h"
#include "mirror/store/hash_store.h"
#include "tests/unit/pack_tree.h"

/* --- Packs and keys --- */

static SecretKey *key_of(guint8 byte)
{
    guint8 seed[32];
    memset(seed, byte, sizeof seed);
    return secret_key_from_seed(seed);
}

static TrustList *trusting(guint8 byte, const char *more)
{
    g_autoptr(SecretKey) key = key_of(byte);
    PublicKey public_key;
    char fingerprint[FINGERPRINT_CHARS + 1];
    secret_key_public(key, &public_key);
    public_key_fingerprint(&public_key, fingerprint);
    g_autofree char *text =
        g_strdup_printf("publishers:\n- fingerprint: %s\n  name: Anna\n%s", fingerprint, more);
    TrustList *list = trust_list_parse("test", text, strlen(text), NULL);
    g_assert_nonnull(list);
    g_assert_cmpuint(trust_list_warnings(list)->len, ==, 0);
    return list;
}

static PackScan *scan_hashed(Fixture *fixture, const HashStore *known)
{
    PackScanOptions options = {
        .prefix = "", .base = fixture->catalog, .threads = 2, .hash = TRUE, .known = known};
    GError *error = NULL;
    PackScan *result = pack_scan_with(fixture->root, &options, &error);
    g_assert_no_error(error);
    return result;
}

static void rescan_hashed(Fixture *fixture)
{
    g_autoptr(PackScan) result = scan_hashed(fixture, NULL);
    Catalog *next =
        catalog_with_changes(fixture->catalog, result->upserts, result->removals, result->directories);
    catalog_unref(fixture->catalog);
    fixture->catalog = next;
}

static CatalogPack *scanned(Fixture *fixture, const char *path)
{
    rescan_hashed(fixture);
    return (CatalogPack *)(guintptr)place(fixture, path);
}

/* Signs the place as it stands, by the content that a scan finds. */
static void sign(Fixture *fixture, const char *path, guint8 byte)
{
    g_autoptr(SecretKey) key = key_of(byte);
    g_autoptr(PackContent) content = pack_content_new();
    const CatalogPack *pack = scanned(fixture, path);
    g_free(content->version);
    content->version = g_strdup(pack->version);
    content->has_manifest = TRUE;
    memcpy(content->manifest_sha256, file_of(pack, "manifest.yaml")->sha256, 32);
    for (guint i = 0; i < pack->file_count; i++)
        if (pack->files[i].is_listed)
            manifest_sig_table_add(content->pages, pack->files[i].name + 5, pack->files[i].sha256);
    ReleaseOptions options = {.path = path, .signer_name = "Me", .published_at = "2025-01-02T03:04:05Z"};
    GError *error = NULL;
    g_autofree char *text = release_sign(content, &options, key, &error);
    g_assert_no_error(error);
    g_autofree char *name = g_strconcat(path, "/manifest.sig", NULL);
    put(fixture, name, text);
}

static CatalogPack *judged(CatalogPack *pack, const TrustList *trust, PackPolicy policy)
{
    PackJudgeOptions options = {policy, trust, /* now= */ 1767225600};
    return pack_judge(pack, &options);
}

static void assert_verdict(CatalogPack *pack, const TrustList *trust, PackPolicy policy, AcceptRule rule,
                           gboolean refused)
{
    g_autoptr(CatalogPack) verdict = judged(pack, trust, policy);
    g_assert_cmpstr(accept_rule_name(verdict->release.rule), ==, accept_rule_name(rule));
    g_assert_cmpint(verdict->refused, ==, refused);
    g_assert_cmpint(verdict->is_pack, ==, !refused);
    g_assert_cmpint(verdict->file_count > 0, ==, !refused);
    g_assert_cmpint(verdict->problem != NULL, ==, refused);
    g_assert_true(memcmp(verdict->fingerprint, pack->fingerprint, 32) == 0);
    g_assert_cmpuint(verdict->serial, ==, pack->serial);
}

/* --- Tests --- */

static void test_hashes(Fixture *fixture, gconstpointer data)
{
    (void)data;
    put_pack(fixture, "a");
    put(fixture, "a/wiki/crlf.md", "x\r\ny\r\n");
    const CatalogPack *pack = scanned(fixture, "a");
    guint8 expected[32];
    sha256("x\ny\n", 4, expected);
    const CatalogFile *file = file_of(pack, "wiki/crlf.md");
    g_assert_true(file->has_sha256);
    g_assert_cmpmem(file->sha256, 32, expected, 32);
    g_assert_cmpuint(file->served_size, ==, 4);
    g_assert_false(file->is_listed);
    g_assert_true(file_of(pack, "wiki/a.md")->is_listed);
    g_assert_true(file_of(pack, "wiki/index.md")->is_listed);
    g_assert_false(file_of(pack, "manifest.yaml")->is_listed);
}

static void test_policies(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(TrustList) anna = trusting(1, "");
    g_autoptr(TrustList) revoked = trusting(1, "  revoked: true\n");
    g_autoptr(TrustList) expired = trusting(1, "  until: 2025-06-01\n");
    g_autoptr(TrustList) elsewhere = trusting(1, "  paths: ['b/**']\n");
    g_autoptr(TrustList) nobody = trust_list_new_empty();
    put_pack(fixture, "a");
    CatalogPack *plain = scanned(fixture, "a");
    assert_verdict(plain, anna, PACK_POLICY_PREFERRED, ACCEPT_UNSIGNED, FALSE);
    assert_verdict(plain, anna, PACK_POLICY_REQUIRED, ACCEPT_UNSIGNED, TRUE);
    assert_verdict(plain, anna, PACK_POLICY_OFF, ACCEPT_OK, FALSE);
    sign(fixture, "a", 1);
    CatalogPack *signed_pack = scanned(fixture, "a");
    const struct {
        const TrustList *trust;
        AcceptRule rule;
        gboolean preferred_refuses;
    } cases[] = {
        {anna, ACCEPT_OK, FALSE},         {nobody, ACCEPT_UNTRUSTED, FALSE},
        {expired, ACCEPT_EXPIRED, FALSE}, {elsewhere, ACCEPT_NOT_FOR_PATH, FALSE},
        {revoked, ACCEPT_REVOKED, TRUE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_verdict(signed_pack, cases[i].trust, PACK_POLICY_PREFERRED, cases[i].rule,
                       cases[i].preferred_refuses);
        assert_verdict(signed_pack, cases[i].trust, PACK_POLICY_REQUIRED, cases[i].rule,
                       cases[i].rule != ACCEPT_OK);
        assert_verdict(signed_pack, cases[i].trust, PACK_POLICY_OFF, ACCEPT_OK, FALSE);
    }
}

/* Whatever is wrong with the bytes is refused even when nobody knows the key. */
static void test_tampering(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(TrustList) anna = trusting(1, "");
    g_autoptr(TrustList) nobody = trust_list_new_empty();
    put_pack(fixture, "a");
    sign(fixture, "a", 1);
    put(fixture, "a/wiki/a.md", "PAGE\n");
    CatalogPack *tampered = scanned(fixture, "a");
    assert_verdict(tampered, anna, PACK_POLICY_PREFERRED, ACCEPT_HASH, TRUE);
    assert_verdict(tampered, nobody, PACK_POLICY_PREFERRED, ACCEPT_HASH, TRUE);
    put(fixture, "a/wiki/a.md", "page\n");
    put(fixture, "a/wiki/other.md", "x\n");
    CatalogPack *grown = scanned(fixture, "a");
    assert_verdict(grown, nobody, PACK_POLICY_PREFERRED, ACCEPT_UNLISTED, TRUE);
    discard(fixture, "a/wiki/other.md");
    assert_verdict(scanned(fixture, "a"), anna, PACK_POLICY_PREFERRED, ACCEPT_OK, FALSE);
    put(fixture, "a/manifest.sig", "{");
    assert_verdict(scanned(fixture, "a"), anna, PACK_POLICY_PREFERRED, ACCEPT_FORM, TRUE);
}

static void test_release(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(TrustList) anna = trusting(1, "");
    put_pack(fixture, "a");
    sign(fixture, "a", 1);
    CatalogPack *pack = scanned(fixture, "a");
    g_autoptr(CatalogPack) verdict = judged(pack, anna, PACK_POLICY_PREFERRED);
    g_autoptr(CatalogPack) unchecked = judged(pack, anna, PACK_POLICY_OFF);
    g_assert_cmpstr(verdict->release.publisher, ==, "Anna");
    g_assert_cmpstr(verdict->release.version, ==, "1.2.3");
    g_assert_cmpstr(verdict->release.published_at, ==, "2025-01-02T03:04:05Z");
    g_assert_true(verdict->release.has_digest && unchecked->release.has_digest);
    g_assert_cmpmem(verdict->release.content_sha256, 32, unchecked->release.content_sha256, 32);
    g_assert_cmpmem(unchecked->release.digest, 32, unchecked->release.content_sha256, 32);
    g_assert_true(memcmp(verdict->release.digest, verdict->release.content_sha256, 32) != 0);
    g_assert_cmpstr(unchecked->release.fingerprint, ==, "");
    g_autoptr(CatalogPack) again = judged(pack, anna, PACK_POLICY_PREFERRED);
    g_assert_true(pack_judge_same(verdict, again));
    g_assert_false(pack_judge_same(verdict, unchecked));
}

static void test_until(void)
{
    g_autoptr(TrustList) list = trusting(1, "  until: 2025-06-01T00:00:00Z\n");
    g_autoptr(TrustList) endless = trusting(1, "");
    gint64 until = trust_list_nth(list, 0)->until;
    g_assert_cmpint(pack_judge_until(list, until - 1), ==, until);
    g_assert_cmpint(pack_judge_until(list, until), ==, G_MAXINT64);
    g_assert_cmpint(pack_judge_until(endless, 0), ==, G_MAXINT64);
}

static Catalog *catalog_of(GPtrArray *packs)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    return catalog_with_changes(empty, packs, NULL, NULL);
}

static void test_refused_places_are_hidden(Fixture *fixture, gconstpointer data)
{
    (void)data;
    put_pack(fixture, "a/x");
    put_pack(fixture, "a/x/below");
    put_pack(fixture, "b/y");
    sign(fixture, "a/x/below", 1);
    rescan_hashed(fixture);
    g_autoptr(TrustList) anna = trusting(1, "");
    g_autoptr(GPtrArray) places = catalog_places_sorted(fixture->catalog);
    PackJudgeOptions options = {PACK_POLICY_REQUIRED, anna, 0};
    g_autoptr(GPtrArray) verdicts = pack_judge_all(places, &options, 3);
    g_autoptr(Catalog) catalog = catalog_of(verdicts);
    g_assert_cmpuint(catalog_pack_count(catalog), ==, 1);
    g_assert_cmpuint(catalog_problem_count(catalog), ==, 2);
    g_autoptr(GPtrArray) root = NULL, x = NULL, none = NULL;
    g_assert_true(catalog_children(catalog, "", 0, &root, NULL));
    g_assert_cmpuint(root->len, ==, 1);
    gboolean has_pack = TRUE;
    g_assert_true(catalog_children(catalog, "a/x", 3, &x, &has_pack));
    g_assert_false(has_pack);
    g_assert_false(catalog_children(catalog, "b/y", 3, &none, NULL));
    g_assert_true(catalog_place(catalog, "b/y", 3)->refused);
    const CatalogPack *pack = NULL;
    const CatalogFile *file = NULL;
    g_assert_false(catalog_resolve(catalog, "b/y/wiki/a.md", 13, &pack, &file));
}

/* --- By hash --- */

static gboolean finds(Holdings *holdings, const Catalog *catalog, const char *text, const char *path)
{
    guint8 hash[32];
    const CatalogPack *pack = NULL;
    const CatalogFile *file = NULL;
    sha256(text, strlen(text), hash);
    if (!holdings_find_file(holdings, catalog, hash, &pack, &file))
        return FALSE;
    g_assert_cmpmem(file->sha256, 32, hash, 32);
    g_assert_true(catalog_place(catalog, pack->path, strlen(pack->path)) == pack);
    g_assert_true(path == NULL || strcmp(path, pack->path) == 0);
    return TRUE;
}

static void test_holdings(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(Holdings) holdings = holdings_new();
    g_autoptr(TrustList) anna = trusting(1, "");
    g_autoptr(Catalog) empty = catalog_new_empty();
    put_pack(fixture, "a");
    put_pack(fixture, "b");
    put(fixture, "b/wiki/b.md", "only b\n");
    sign(fixture, "b", 1);
    rescan_hashed(fixture);
    g_autoptr(GPtrArray) places = catalog_places_sorted(fixture->catalog);
    PackJudgeOptions preferred = {PACK_POLICY_PREFERRED, anna, 0}, required = {PACK_POLICY_REQUIRED, anna, 0};
    g_autoptr(GPtrArray) first = pack_judge_all(places, &preferred, 1);
    g_autoptr(GPtrArray) second = pack_judge_all(places, &required, 2);
    g_autoptr(Catalog) both = catalog_of(first);
    g_autoptr(Catalog) only_b = catalog_of(second);
    CatalogPack *a = first->pdata[0], *b = first->pdata[1], *b_again = second->pdata[1];
    const CatalogPack *found = NULL;
    const CatalogFile *file = NULL;
    g_assert_false(finds(holdings, both, "page\n", NULL));
    holdings_add(holdings, a);
    holdings_add(holdings, b);
    g_assert_true(finds(holdings, both, "page\n", NULL) && finds(holdings, both, "only b\n", "b"));
    /* Always by the reader's catalog. */
    g_assert_false(finds(holdings, empty, "page\n", NULL));
    g_assert_true(finds(holdings, only_b, "page\n", "b"));
    g_assert_true(holdings_find_release(holdings, both, b->release.digest, &found, &file));
    g_assert_cmpstr(file->name, ==, "manifest.sig");
    g_assert_false(holdings_find_release(holdings, both, a->release.digest, &found, &file));
    /* Another verdict over the same files takes their place; removing the old one takes nothing away. */
    holdings_add(holdings, b_again);
    holdings_remove(holdings, b);
    g_assert_true(finds(holdings, only_b, "only b\n", "b"));
    g_assert_true(holdings_find_release(holdings, only_b, b->release.digest, &found, &file));
    holdings_remove(holdings, a);
    g_assert_true(finds(holdings, both, "page\n", "b"));
    holdings_remove(holdings, b_again);
    g_assert_false(finds(holdings, both, "page\n", NULL));
    g_assert_false(holdings_find_release(holdings, both, b->release.digest, &found, &file));
}

/* --- The store --- */

static void test_store(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *file = g_build_filename(fixture->top, "hashes.db", NULL);
    g_autofree char *rebuilt = NULL;
    put_pack(fixture, "a");
    put_pack(fixture, "b");
    g_autoptr(PackScan) first = scan_hashed(fixture, NULL);
    g_autoptr(Catalog) whole = catalog_of(first->upserts);
    g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_add(paths, (gpointer)(guintptr) "a");
    g_hash_table_add(paths, (gpointer)(guintptr) "b");
    HashStore *store = hash_store_open(file, &rebuilt, NULL);
    g_assert_true(hash_store_is_loaded(store));
    g_assert_true(hash_store_save(store, first->upserts, first->removals, paths, NULL));
    g_assert_false(hash_store_is_loaded(store));
    hash_store_free(store);
    /* What is written differs from disk, to see that it is what is used. */
    CatalogPack *a = first->upserts->pdata[0];
    memset(a->files[0].sha256, 7, 32);
    store = hash_store_open(file, NULL, NULL);
    g_assert_true(hash_store_save(store, first->upserts, first->removals, NULL, NULL));
    hash_store_free(store);
    put(fixture, "b/wiki/a.md", "changed\n");
    store = hash_store_open(file, NULL, NULL);
    g_autoptr(PackScan) second = scan_hashed(fixture, store);
    CatalogPack *b = second->upserts->pdata[1];
    g_assert_cmpmem(((CatalogPack *)second->upserts->pdata[0])->files[0].sha256, 32, a->files[0].sha256, 32);
    guint8 changed[32];
    sha256("changed\n", 8, changed);
    g_assert_cmpmem(file_of(b, "wiki/a.md")->sha256, 32, changed, 32);
    /* A distrusted place is read whatever the store says. */
    PackScanOptions options = {
        .prefix = "a", .base = whole, .threads = 1, .hash = TRUE, .known = store, .distrusted = "a"};
    g_autoptr(PackScan) third = pack_scan_with(fixture->root, &options, NULL);
    g_assert_cmpuint(third->upserts->len, ==, 1);
    CatalogPack *again = third->upserts->pdata[0];
    g_assert_true(memcmp(again->files[0].sha256, a->files[0].sha256, 32) != 0);
    g_assert_cmpuint(again->serial, !=, a->serial);
    hash_store_free(store);
    g_assert_null(rebuilt);
}

static void test_damaged_store(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *file = g_build_filename(fixture->top, "hashes.db", NULL);
    g_autofree char *rebuilt = NULL;
    g_autofree char *noise = g_strnfill(9000, 'x');
    write_file(file, noise, 9000);
    GError *error = NULL;
    g_autoptr(HashStore) store = hash_store_open(file, &rebuilt, &error);
    g_assert_no_error(error);
    g_assert_nonnull(store);
    g_assert_nonnull(rebuilt);
    put_pack(fixture, "a");
    g_autoptr(PackScan) result = scan_hashed(fixture, store);
    g_assert_true(hash_store_save(store, result->upserts, result->removals, NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    add("/mirror/pack_judge/", "hashes", test_hashes);
    add("/mirror/pack_judge/", "policies", test_policies);
    add("/mirror/pack_judge/", "tampering", test_tampering);
    add("/mirror/pack_judge/", "release", test_release);
    add("/mirror/pack_judge/", "refused-places-are-hidden", test_refused_places_are_hidden);
    add("/mirror/holdings/", "files-and-releases", test_holdings);
    add("/mirror/hash_store/", "keeps", test_store);
    add("/mirror/hash_store/", "damaged", test_damaged_store);
    g_test_add_func("/mirror/pack_judge/until", test_until);
    return g_test_run();
}
