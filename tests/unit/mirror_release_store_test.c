/* SPDX-License-Identifier: MIT
 *
 * Collecting garbage, finding damage and measuring the release store.
 */
#include "store_world.h"

#include <unistd.h>

/* --- Signed packs --- */

static SecretKey *key_of(guint8 number)
{
    guint8 seed[32];
    memset(seed, number, sizeof seed);
    return secret_key_from_seed(seed);
}

/* Signs what is staged; its digest becomes that of the release, or of the content without `with_release`. */
static void sign_staged(Staging *staging, gboolean with_release, guint8 ret_digest[SHA256_BYTES])
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SecretKey) key = key_of(7);
    g_autoptr(PackContent) content = staging_content(staging, 1, NULL, &error);
    g_assert_no_error(error);
    ReleaseOptions options = {
        .path = "history/rome", .signer_name = "Anna", .published_at = "2026-05-01T12:00:00Z"};
    g_autofree char *signature = release_sign(content, &options, key, &error);
    g_assert_no_error(error);
    if (!with_release) {
        const char *from = strstr(signature, "  \"release\": "),
                   *to = strstr(signature, "  \"signature_b64\": ");
        g_assert_true(from != NULL && to != NULL && from < to);
        char *stripped = g_strdup_printf("%.*s%s", (int)(from - signature), signature, to);
        g_free(signature);
        signature = stripped;
    }
    store_world_add(staging, "manifest.sig", signature);
    g_autoptr(ManifestSig) parsed = manifest_sig_parse(signature, strlen(signature), &error);
    g_assert_no_error(error);
    release_digest(parsed, ret_digest);
    staging_set_digest(staging, ret_digest);
}

static void install_signed(StoreWorld *world, gboolean with_release, guint8 ret_digest[SHA256_BYTES])
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) batch = g_ptr_array_new_with_free_func((GDestroyNotify)staging_free);
    Staging *staging = store_world_stage(world);
    g_ptr_array_add(batch, staging);
    store_world_fill(staging, "signed");
    sign_staged(staging, with_release, ret_digest);
    g_assert_true(release_store_install(world->store, batch, &error));
    g_assert_no_error(error);
}

/* --- Damage --- */

static char *problem_of(const StoreWorld *world, const guint8 digest[SHA256_BYTES])
{
    g_autoptr(GError) error = NULL;
    char *problem = NULL;
    g_assert_true(release_store_check(world->store, digest, 2, &problem, &error));
    g_assert_no_error(error);
    return problem;
}

static void assert_whole(const StoreWorld *world, const guint8 digest[SHA256_BYTES])
{
    g_autofree char *problem = problem_of(world, digest);
    g_assert_cmpstr(problem, ==, NULL);
}

static void assert_damaged(const StoreWorld *world, const guint8 digest[SHA256_BYTES], const char *part)
{
    g_autofree char *problem = problem_of(world, digest);
    g_assert_nonnull(problem);
    g_assert_null(strchr(problem, '\n'));
    if (strstr(problem, part) == NULL)
        g_error("'%s' does not say '%s'", problem, part);
}

static void put(const StoreWorld *world, const guint8 digest[SHA256_BYTES], const char *name,
                const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = store_world_release_dir(world, digest);
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_unlink(path);
    g_assert_true(text == NULL || g_file_set_contents(path, text, -1, &error));
    g_assert_no_error(error);
}

static void test_whole(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    guint8 unsigned_one[SHA256_BYTES], legacy[SHA256_BYTES], release[SHA256_BYTES];
    store_world_install(&world, "one", unsigned_one);
    install_signed(&world, FALSE, legacy);
    install_signed(&world, TRUE, release);
    assert_whole(&world, unsigned_one);
    assert_whole(&world, legacy);
    assert_whole(&world, release);
    g_assert_cmpuint(store_world_count(&world, "releases"), ==, 3);
}

static void test_damaged_release(void)
{
    static const struct {
        const char *name, *text, *says;
    } cases[] = {
        {"wiki/concepts/a.md", "another page\n", "wiki/concepts/a.md: hash differs"},
        {"wiki/concepts/a.md", NULL, "wiki/concepts/a.md: listed in manifest.sig and missing"},
        {"wiki/log.md", "another log\n", "wiki/log.md: hash differs"},
        {"wiki/new.md", "new\n", "wiki/new.md: not listed"},
        {"manifest.yaml", "name: other\n", "manifest.yaml: hash differs"},
        {"manifest.yaml", NULL, "manifest.yaml: missing"},
        {"manifest.sig", "{}", "manifest.sig: "},
        {"manifest.sig", NULL, "manifest.sig: missing"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(StoreWorld) world = {0};
        guint8 digest[SHA256_BYTES];
        store_world_init(&world);
        install_signed(&world, TRUE, digest);
        put(&world, digest, cases[i].name, cases[i].text);
        assert_damaged(&world, digest, cases[i].says);
    }
}

/* One wrong character in the release signature: no hash tells of it. */
static void test_damaged_signature(void)
{
    g_auto(StoreWorld) world = {0};
    guint8 digest[SHA256_BYTES];
    store_world_init(&world);
    install_signed(&world, TRUE, digest);
    g_autofree char *directory = store_world_release_dir(&world, digest);
    g_autofree char *path = g_build_filename(directory, "manifest.sig", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    char *at = strstr(text, "\"release_signature_b64\": \"");
    g_assert_nonnull(at);
    at += strlen("\"release_signature_b64\": \"") + 3;
    *at = *at == 'A' ? 'B' : 'A';
    put(&world, digest, "manifest.sig", text);
    assert_damaged(&world, digest, "release signature does not fit");
}

static void test_damaged_unsigned(void)
{
    g_auto(StoreWorld) world = {0};
    guint8 digest[SHA256_BYTES], other[SHA256_BYTES] = {9};
    store_world_init(&world);
    store_world_install(&world, "one", digest);
    put(&world, digest, "wiki/log.md", "not covered\n");
    assert_whole(&world, digest);
    put(&world, digest, "wiki/concepts/a.md", "other\n");
    assert_damaged(&world, digest, "");
    assert_damaged(&world, other, "");
}

static void test_quarantine(void)
{
    g_auto(StoreWorld) world = {0};
    guint8 digest[SHA256_BYTES];
    g_autoptr(GError) error = NULL;
    store_world_init(&world);
    for (guint i = 1; i <= 3; i++) {
        store_world_install(&world, "one", digest);
        g_assert_true(release_store_quarantine(world.store, digest, &error));
        g_assert_no_error(error);
        g_assert_false(release_store_has(world.store, digest));
        g_assert_cmpuint(store_world_count(&world, "quarantine"), ==, i);
    }
    g_assert_false(release_store_quarantine(world.store, digest, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

/* --- Collecting --- */

static GHashTable *set_of(const guint8 digest[SHA256_BYTES])
{
    GHashTable *set = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    g_hash_table_add(set, g_bytes_new(digest, SHA256_BYTES));
    return set;
}

static void note_removed(const char *digest, guint64 bytes, gpointer user)
{
    g_assert_cmpuint(strlen(digest), ==, SHA256_HEX_CHARS);
    g_assert_cmpuint(bytes, >, 0);
    g_string_append_printf(user, "%s\n", digest);
}

static void test_collect(void)
{
    g_auto(StoreWorld) world = {0};
    guint8 kept[SHA256_BYTES], old[SHA256_BYTES], young[SHA256_BYTES];
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) heard = g_string_new(NULL);
    StoreCollection counts;
    store_world_init(&world);
    store_world_install(&world, "kept", kept);
    store_world_install(&world, "old", old);
    store_world_install(&world, "young", young);
    store_world_make_old(&world, kept, 7200);
    store_world_make_old(&world, old, 7200);
    g_autoptr(GHashTable) reachable = set_of(kept);

    g_assert_true(
        release_store_collect(world.store, reachable, 3600, TRUE, note_removed, heard, &counts, &error));
    g_assert_cmpuint(counts.removed, ==, 1);
    g_assert_cmpuint(counts.kept, ==, 2);
    g_assert_cmpuint(counts.removed_bytes, >, 0);
    g_assert_true(release_store_has(world.store, old));

    guint64 would = counts.removed_bytes;
    g_assert_true(
        release_store_collect(world.store, reachable, 3600, FALSE, note_removed, heard, &counts, &error));
    g_assert_cmpuint(counts.removed, ==, 1);
    g_assert_cmpuint(counts.failed, ==, 0);
    g_assert_cmpuint(counts.removed_bytes, ==, would);
    g_assert_false(release_store_has(world.store, old));
    g_assert_true(release_store_has(world.store, young));
    g_assert_true(release_store_has(world.store, kept));
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);

    char name[SHA256_HEX_CHARS + 1];
    hex_encode(old, SHA256_BYTES, name);
    g_autofree char *expected = g_strdup_printf("%s\n%s\n", name, name);
    g_assert_cmpstr(heard->str, ==, expected);
}

/* What is not ours is nobody's garbage. */
static void test_collect_leaves_strangers(void)
{
    g_auto(StoreWorld) world = {0};
    g_autoptr(GError) error = NULL;
    StoreCollection counts;
    store_world_init(&world);
    g_autofree char *stranger = g_build_filename(world.top, "releases", "notes", NULL);
    g_assert_cmpint(g_mkdir(stranger, 0755), ==, 0);
    g_autoptr(GHashTable) reachable = g_hash_table_new(g_bytes_hash, g_bytes_equal);
    g_assert_true(release_store_collect(world.store, reachable, -10, FALSE, NULL, NULL, &counts, &error));
    g_assert_cmpuint(counts.removed + counts.kept + counts.failed, ==, 0);
    g_assert_cmpuint(store_world_count(&world, "releases"), ==, 1);
}

/* Removing a tree never follows a link out of it. */
static void test_remove_follows_no_link(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autofree char *victim = g_build_filename(world.top, "victim", NULL);
    g_autofree char *file = g_build_filename(victim, "file", NULL);
    g_autofree char *link = g_build_filename(world.top, "tmp", "link", NULL);
    g_assert_cmpint(g_mkdir(victim, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_cmpint(symlink("../victim", link), ==, 0);
    store_world_reopen(&world);
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
    g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
}

/* --- Usage --- */

static void test_usage(void)
{
    g_auto(StoreWorld) world = {0};
    guint8 one[SHA256_BYTES], two[SHA256_BYTES];
    g_autoptr(GError) error = NULL;
    StoreUsage usage;
    store_world_init(&world);
    store_world_install(&world, "one", one);
    store_world_install(&world, "two", two);
    g_assert_true(release_store_usage(world.store, &usage, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(usage.releases, ==, 2);
    g_assert_cmpuint(usage.quarantined, ==, 0);
    g_assert_cmpuint(usage.release_bytes, >, 0);
    g_assert_cmpuint(usage.git_bytes, ==, 0);
    g_assert_cmpuint(usage.disk_total_bytes, >=, usage.disk_free_bytes);
    guint64 releases = usage.release_bytes;
    g_assert_true(release_store_quarantine(world.store, one, &error));
    g_assert_true(release_store_usage(world.store, &usage, &error));
    g_assert_cmpuint(usage.releases, ==, 1);
    g_assert_cmpuint(usage.quarantined, ==, 1);
    g_assert_cmpuint(usage.release_bytes, <, releases);
    g_assert_cmpuint(usage.other_bytes, >, 0);
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/release-store/whole", test_whole);
    g_test_add_func("/release-store/damaged-release", test_damaged_release);
    g_test_add_func("/release-store/damaged-signature", test_damaged_signature);
    g_test_add_func("/release-store/damaged-unsigned", test_damaged_unsigned);
    g_test_add_func("/release-store/quarantine", test_quarantine);
    g_test_add_func("/release-store/collect", test_collect);
    g_test_add_func("/release-store/collect-leaves-strangers", test_collect_leaves_strangers);
    g_test_add_func("/release-store/remove-follows-no-link", test_remove_follows_no_link);
    g_test_add_func("/release-store/usage", test_usage);
    return g_test_run();
}
