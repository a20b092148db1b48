/* SPDX-License-Identifier: MIT
 *
 * Releases of the release store as places at other paths, and roots with two directories.
 */
#include "mirror/store/release_take.h"

#include "mirror/store/pack_content.h"
#include "tests/unit/pack_tree.h"

/* The packs directory of the fixture plays the release store: names in it are digests. */
#define DIGEST "00ff000000000000000000000000000000000000000000000000000000000001"
#define OTHER "00ff000000000000000000000000000000000000000000000000000000000002"

static MirroredPack *record_of(const char *path, const char *hex, gboolean is_private)
{
    MirroredPack *record = g_new0(MirroredPack, 1);
    record->path = g_strdup(path);
    g_assert_true(hex_decode(hex, record->digest, sizeof record->digest));
    record->source = g_strdup("commons");
    record->is_private = is_private;
    return record;
}

static PackRoot *store_root(const Fixture *fixture)
{
    g_autofree char *nowhere = g_build_filename(fixture->top, "nowhere", NULL);
    GError *error = NULL;
    PackRoot *root = pack_root_open_both(nowhere, fixture->packs, &error);
    g_assert_no_error(error);
    return root;
}

static CatalogPack *take(PackRoot *root, const char *path, const char *hex, const HashStore *known)
{
    g_autoptr(MirroredPack) record = record_of(path, hex, FALSE);
    g_autoptr(GPtrArray) records = g_ptr_array_new();
    g_ptr_array_add(records, record);
    g_autoptr(GPtrArray) taken =
        release_take_all(root, records, &(ReleaseTakeOptions){.threads = 2, .known = known});
    g_assert_cmpuint(taken->len, ==, 1);
    return catalog_pack_ref(taken->pdata[0]);
}

/* --- Places --- */

static void test_place(Fixture *fixture, gconstpointer data)
{
    (void)data;
    put_pack(fixture, DIGEST);
    g_autoptr(PackRoot) root = store_root(fixture);
    g_autoptr(CatalogPack) pack = take(root, "history/rome", DIGEST, NULL);
    g_assert_cmpstr(pack->path, ==, "history/rome");
    g_assert_cmpstr(pack->disk, ==, DIGEST);
    g_assert_true(g_str_has_suffix(pack->directory, "/packs/" DIGEST));
    g_assert_true(pack->is_mirrored && pack->is_pack && !pack->is_private);
    g_assert_cmpstr(pack->source, ==, "commons");
    g_assert_null(pack->problem);
    for (guint i = 0; i < pack->file_count; i++)
        g_assert_true(pack->files[i].has_sha256);
    GError *error = NULL;
    g_autoptr(GBytes) page = pack_root_read(root, pack, file_of(pack, "wiki/a.md"), &error);
    g_assert_no_error(error);
    g_assert_cmpmem(g_bytes_get_data(page, NULL), g_bytes_get_size(page), "page\n", 5);
    g_autoptr(PackContent) content = pack_content_of_place(root, pack, /* threads= */ 2, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(content->pages->len, ==, 2);
}

/* One release may stand at several paths, and public and private at one. */
static void test_many(Fixture *fixture, gconstpointer data)
{
    (void)data;
    put_pack(fixture, DIGEST);
    g_autoptr(PackRoot) root = store_root(fixture);
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    for (guint i = 0; i < 20; i++) {
        g_autofree char *path = g_strdup_printf("p/%u", i / 2);
        g_ptr_array_add(records, record_of(path, i % 5 == 0 ? OTHER : DIGEST, i % 2 == 1));
    }
    g_autoptr(GPtrArray) taken = release_take_all(root, records, &(ReleaseTakeOptions){.threads = 4});
    g_assert_cmpuint(taken->len, ==, 20);
    for (guint i = 0; i < taken->len; i++) {
        const CatalogPack *pack = taken->pdata[i];
        const MirroredPack *record = records->pdata[i];
        g_assert_cmpstr(pack->path, ==, record->path);
        g_assert_cmpint(pack->is_private, ==, record->is_private);
        g_assert_cmpint(pack->problem == NULL, ==, i % 5 != 0);
    }
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GPtrArray) nothing = release_take_all(root, none, &(ReleaseTakeOptions){.threads = 4});
    g_assert_cmpuint(nothing->len, ==, 0);
}

static void test_missing(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(PackRoot) root = store_root(fixture);
    g_autoptr(CatalogPack) pack = take(root, "a", DIGEST, NULL);
    g_assert_cmpstr(pack->problem, ==, "is not in the release store");
    g_assert_cmpuint(pack->file_count, ==, 0);
    g_assert_true(pack->is_mirrored);
    put(fixture, DIGEST "/notes.txt", "neither manifest nor pages");
    g_autoptr(CatalogPack) no_place = take(root, "a", DIGEST, NULL);
    g_assert_nonnull(no_place->problem);
    g_assert_cmpuint(no_place->serial, !=, pack->serial);
    make_link(fixture, "../outside", OTHER);
    g_autoptr(CatalogPack) link = take(root, "a", OTHER, NULL);
    g_assert_nonnull(link->problem);
    g_assert_cmpuint(link->file_count, ==, 0);
    /* No store at all. */
    g_autoptr(CatalogPack) none = take(fixture->root, "a", DIGEST, NULL);
    g_assert_cmpstr(none->problem, ==, "is not in the release store");
}

/* A link to a file moves its change time; the content is what it was. Another file under the name is not. */
static void test_links(Fixture *fixture, gconstpointer data)
{
    (void)data;
    put_pack(fixture, DIGEST);
    make_directory(fixture, OTHER);
    g_autoptr(PackRoot) root = store_root(fixture);
    g_autoptr(CatalogPack) before = take(root, "a", DIGEST, NULL);
    g_usleep(20 * 1000);
    g_autofree char *page = g_build_filename(fixture->packs, DIGEST, "wiki", "a.md", NULL);
    g_autofree char *shared = g_build_filename(fixture->packs, OTHER, "a.md", NULL);
    g_assert_cmpint(link(page, shared), ==, 0);
    g_autoptr(CatalogPack) after = take(root, "a", DIGEST, NULL);
    g_assert_cmpmem(before->fingerprint, 32, after->fingerprint, 32);
    g_autoptr(GBytes) bytes = pack_root_read(root, before, file_of(before, "wiki/a.md"), NULL);
    g_assert_nonnull(bytes);
    g_assert_cmpint(g_unlink(page), ==, 0);
    put(fixture, DIGEST "/wiki/a.md", "page\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(pack_root_read(root, before, file_of(before, "wiki/a.md"), &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
    g_autoptr(CatalogPack) other = take(root, "a", DIGEST, NULL);
    g_assert_true(memcmp(before->fingerprint, other->fingerprint, 32) != 0);
}

/* Hashes are kept under the name of the release, whatever path it stands at. */
static void test_known_hashes(Fixture *fixture, gconstpointer data)
{
    (void)data;
    put_pack(fixture, DIGEST);
    g_autoptr(PackRoot) root = store_root(fixture);
    g_autofree char *file = g_build_filename(fixture->top, "hashes.db", NULL);
    g_autoptr(CatalogPack) pack = take(root, "a", DIGEST, NULL);
    memset(pack->files[0].sha256, 7, 32); /* to see that it is what is used */
    g_autoptr(GPtrArray) upserts = g_ptr_array_new(), none = g_ptr_array_new();
    g_ptr_array_add(upserts, pack);
    HashStore *store = hash_store_open(file, NULL, NULL);
    g_assert_true(hash_store_save(store, upserts, none, NULL, NULL));
    hash_store_free(store);
    store = hash_store_open(file, NULL, NULL);
    g_autoptr(CatalogPack) again = take(root, "b", DIGEST, store);
    g_assert_cmpmem(again->files[0].sha256, 32, pack->files[0].sha256, 32);
    /* Once everything was taken, what is not there any more goes. */
    g_autoptr(GHashTable) whole = g_hash_table_new(g_str_hash, g_str_equal);
    g_assert_true(hash_store_save(store, none, none, whole, NULL));
    hash_store_free(store);
    store = hash_store_open(file, NULL, NULL);
    g_autoptr(CatalogPack) unknown = take(root, "a", DIGEST, store);
    g_assert_true(memcmp(unknown->files[0].sha256, pack->files[0].sha256, 32) != 0);
    hash_store_free(store);
}

/* --- Roots --- */

static void test_roots(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *store = g_build_filename(fixture->top, "outside", NULL);
    g_autofree char *nowhere = g_build_filename(fixture->top, "nowhere", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(PackRoot) both = pack_root_open_both(fixture->packs, store, &error);
    g_assert_no_error(error);
    g_assert_true(pack_root_has(both, PACK_ROOT_PACKS) && pack_root_has(both, PACK_ROOT_RELEASES));
    g_autoptr(PackRoot) neither = pack_root_open_both(nowhere, nowhere, &error);
    g_assert_no_error(error);
    g_assert_false(pack_root_has(neither, PACK_ROOT_PACKS) || pack_root_has(neither, PACK_ROOT_RELEASES));
    g_autoptr(PackRoot) shared = pack_root_with_releases(fixture->root, store, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(pack_root_path(shared, PACK_ROOT_PACKS), ==, pack_root_path(both, PACK_ROOT_PACKS));
    g_assert_true(pack_root_has(shared, PACK_ROOT_PACKS) && pack_root_has(shared, PACK_ROOT_RELEASES));
    g_autoptr(PackRoot) alone = pack_root_with_releases(NULL, store, &error);
    g_assert_no_error(error);
    g_assert_cmpint(pack_root_fd(alone, PACK_ROOT_PACKS), ==, -1);
    make_link(fixture, "loop", "loop");
    g_autofree char *loop = g_build_filename(fixture->packs, "loop", NULL);
    g_assert_null(pack_root_open_both(loop, store, &error));
    g_assert_nonnull(error);
    /* The same place in a root that lacks its directory reads as one that is gone. */
    put_pack(fixture, "a");
    rescan(fixture);
    g_clear_error(&error);
    g_assert_null(
        pack_root_read(alone, place(fixture, "a"), file_of(place(fixture, "a"), "wiki/a.md"), &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
    g_autoptr(GBytes) page =
        pack_root_read(shared, place(fixture, "a"), file_of(place(fixture, "a"), "wiki/a.md"), NULL);
    g_assert_nonnull(page);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_both("/release_take/", "place", test_place);
    add("/release_take/", "many", test_many);
    add_both("/release_take/", "missing", test_missing);
    add_both("/release_take/", "links", test_links);
    add("/release_take/", "known-hashes", test_known_hashes);
    add("/release_take/", "roots", test_roots);
    return g_test_run();
}
