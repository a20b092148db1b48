/* SPDX-License-Identifier: MIT
 *
 * What a pack on disk is hashed to: which files belong to it, which of them are pages, in which form they
 * count, and that what changed since the scan is noticed.
 */
#include "mirror/store/pack_content.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *root, *pack; /* absolute */
} Disk;

static void disk_write(const Disk *disk, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(disk->pack, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void disk_init(Disk *disk)
{
    disk->root = g_dir_make_tmp("kontor-content-XXXXXX", NULL);
    disk->pack = g_build_filename(disk->root, "rome", NULL);
    disk_write(disk, "manifest.yaml", "name: rome\nversion: 1.2.3\n");
    disk_write(disk, "wiki/index.md",
               "| File | T | S |\n| a.md | A | s |\n| b.md | B |\n| gone.md | G | s |\n| ../x | X | s |\n");
    disk_write(disk, "wiki/a.md", "A\n");
    disk_write(disk, "wiki/b.md", "B\r\n");
    disk_write(disk, "wiki/log.md", "log\n");
    disk_write(disk, "wiki/x.png", "\r\n");
    disk_write(disk, "wiki/.hidden.md", "h");
    disk_write(disk, "raw/source.md", "r");
    disk_write(disk, "x", "x");
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

static void disk_clear(Disk *disk)
{
    remove_tree(disk->root);
    g_free(disk->root);
    g_free(disk->pack);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Disk, disk_clear)

static void assert_hash(const GArray *table, guint i, const char *name, const char *text)
{
    guint8 hash[SHA256_BYTES];
    const ManifestSigEntry *entry = &g_array_index(table, ManifestSigEntry, i);
    sha256(text, strlen(text), hash);
    g_assert_cmpstr(entry->name, ==, name);
    g_assert_cmpmem(entry->sha256, SHA256_BYTES, hash, SHA256_BYTES);
}

static void test_directory(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    for (guint threads = 1; threads <= 8; threads += 7) {
        g_autoptr(GBytes) sig = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(PackContent) content = pack_content_of_directory(disk.pack, threads, &sig, &error);
        g_assert_no_error(error);
        g_assert_null(sig);
        g_assert_null(content->refused);
        g_assert_cmpstr(content->version, ==, "1.2.3");
        g_assert_true(content->has_manifest);
        g_assert_cmpuint(content->pages->len, ==, 3);
        assert_hash(content->pages, 0, "a.md", "A\n");
        assert_hash(content->pages, 1, "b.md", "B\n"); /* as it is served */
        g_assert_cmpuint(content->files->len, ==, 2);
        assert_hash(content->files, 0, "wiki/log.md", "log\n");
        assert_hash(content->files, 1, "wiki/x.png", "\r\n"); /* no text */
    }
}

/* manifest.sig says in which form b.md was signed. */
static void test_signed_form(void)
{
    g_auto(Disk) disk;
    guint8 hash[SHA256_BYTES];
    char hex[SHA256_HEX_CHARS + 1];
    disk_init(&disk);
    sha256("B\r\n", 3, hash);
    hex_encode(hash, sizeof hash, hex);
    g_autofree char *text = g_strdup_printf(
        "{\"alg\":\"ed25519\",\"signer_pubkey_b64\":\"\",\"signer_fingerprint\":\"\",\"signature_b64\":\"\","
        "\"manifest_sha256\":\"%s\",\"pages\":{\"b.md\":\"%s\"}}",
        hex, hex);
    disk_write(&disk, "manifest.sig", text);
    g_autoptr(GBytes) sig = NULL;
    g_autoptr(PackContent) content = pack_content_of_directory(disk.pack, 1, &sig, NULL);
    assert_hash(content->pages, 1, "b.md", "B\r\n");
    g_assert_cmpuint(g_bytes_get_size(sig), ==, strlen(text));
}

static void test_links(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    g_autofree char *link = g_build_filename(disk.pack, "wiki", "gone.md", NULL);
    g_autofree char *alias = g_build_filename(disk.root, "alias", NULL);
    g_assert_cmpint(symlink("a.md", link), ==, 0);
    g_assert_cmpint(symlink("rome", alias), ==, 0);
    g_autoptr(PackContent) content = pack_content_of_directory(alias, 1, NULL, NULL);
    g_assert_nonnull(content);
    g_assert_null(manifest_sig_table_find(content->pages, "gone.md"));
}

static void test_not_a_pack(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    g_autofree char *raw = g_build_filename(disk.pack, "raw", NULL);
    g_autofree char *nothing = g_build_filename(disk.pack, "nothing", NULL);
    const char *const bad[] = {raw, nothing};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(pack_content_of_directory(bad[i], 1, NULL, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    }
}

static void test_refused_place(void)
{
    g_auto(Disk) disk;
    disk_init(&disk);
    disk_write(&disk, "wiki/index.md", "\xff\n");
    g_autoptr(PackContent) content = pack_content_of_directory(disk.pack, 1, NULL, NULL);
    g_assert_nonnull(content->refused);
    g_assert_false(pack_content_check(content, NULL));
}

static void test_changed_since_the_scan(void)
{
    g_auto(Disk) disk;
    g_autoptr(GError) error = NULL;
    disk_init(&disk);
    g_autoptr(PackRoot) root = pack_root_open(disk.root, NULL);
    PackScan *scan = pack_scan(root, "", NULL, 1, NULL);
    g_assert_cmpuint(scan->upserts->len, ==, 1);
    const CatalogPack *place = g_ptr_array_index(scan->upserts, 0);
    g_autoptr(PackContent) before = pack_content_of_place(root, place, 2, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(PackContent) directly = pack_content_of_directory(disk.pack, 1, NULL, NULL);
    guint8 a[SHA256_BYTES], b[SHA256_BYTES];
    pack_content_sha256(before, a);
    pack_content_sha256(directly, b);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);
    disk_write(&disk, "wiki/log.md", "another text\n");
    g_assert_null(pack_content_of_place(root, place, 2, NULL, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "rome/wiki/log.md"));
    pack_scan_free(scan);
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pack-content/directory", test_directory);
    g_test_add_func("/pack-content/signed-form", test_signed_form);
    g_test_add_func("/pack-content/links", test_links);
    g_test_add_func("/pack-content/not-a-pack", test_not_a_pack);
    g_test_add_func("/pack-content/refused", test_refused_place);
    g_test_add_func("/pack-content/changed", test_changed_since_the_scan);
    return g_test_run();
}
