/* SPDX-License-Identifier: MIT
 *
 * Staging and installing: what strangers may not name, limits, what is on disk afterwards, and that nothing
 * is ever half there.
 */
#include "store_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schema/limits.h"

/* --- Names --- */

static void test_refused_names(void)
{
    static const char *const names[] = {
        "",
        "/etc/passwd",
        "../x",
        "wiki/../../x",
        "wiki//x",
        "wiki/",
        "wiki",
        "wiki/.git/config",
        "wiki/.hidden",
        "wiki/.hidden/x.md",
        "wiki/a/.GIT/x",
        "wiki/a\nb.md",
        "wiki/a\x7f.md",
        "wiki/\xff.md",
        "raw/x.md",
        "readme.md",
        "manifest.yaml/x",
        "Manifest.yaml",
        "manifest.sig.bak",
        ".manifest.yaml",
        "wikis/x.md",
        "./wiki/x.md",
    };
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(Staging) staging = store_world_stage(&world);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        gboolean added = staging_add(staging, names[i], "x", 1, &error);
        if (added)
            g_error("'%s' was taken", names[i]);
        g_assert_true(error->code == KONTOR_ERROR_MALFORMED || error->code == KONTOR_ERROR_LIMIT);
        g_assert_null(strchr(error->message, '\n'));
        g_assert_true(g_str_has_prefix(error->message, "pack 'history/rome': "));
    }
    store_world_add(staging, "wiki/index.md", "still good\n");
}

static void test_collisions(void)
{
    static const char *const pairs[][2] = {
        {"wiki/a.md", "wiki/a.md"},     {"wiki/b.md", "wiki/B.md"},
        {"wiki/c", "wiki/c/x.md"},      {"wiki/d/x.md", "wiki/d"},
        {"wiki/e/x.md", "wiki/E/y.md"}, {"wiki/caf\xc3\xa9.md", "wiki/cafe\xcc\x81.md"},
    };
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Staging) staging = store_world_stage(&world);
        store_world_add(staging, pairs[i][0], "x");
        g_assert_false(staging_add(staging, pairs[i][1], "y", 1, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
}

/* --- Limits --- */

static void test_limits_of_sizes(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autofree char *big = g_malloc0(LIMIT_PACK_FILE_BYTES + 1);
    g_autoptr(Staging) staging = store_world_stage(&world);
    g_autoptr(GError) error = NULL;
    g_assert_false(staging_add(staging, "wiki/big.bin", big, LIMIT_PACK_FILE_BYTES + 1, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_nonnull(strstr(error->message, "wiki/big.bin"));
    g_clear_error(&error);
    g_assert_false(staging_add(staging, "manifest.yaml", big, LIMIT_MANIFEST_BYTES + 1, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);
    for (guint i = 0; i < LIMIT_PACK_BYTES / LIMIT_PACK_FILE_BYTES; i++) {
        g_autofree char *name = g_strdup_printf("wiki/%u.bin", i);
        g_assert_true(staging_add(staging, name, big, LIMIT_PACK_FILE_BYTES, &error));
        g_assert_no_error(error);
    }
    g_assert_false(staging_add(staging, "wiki/one-more.bin", big, 1, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

/* Before the disk is full, staging ends: others write there, too. */
static void test_disk(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(GError) error = NULL;
    g_autoptr(Staging) staging = store_world_stage(&world);
    release_store_set_disk_free_min(world.store, G_MAXUINT64);
    for (guint i = 0; i < 2; i++) {
        g_assert_false(staging_add(staging, "wiki/a.md", "x", 1, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
        g_assert_nonnull(strstr(error->message, "left on the disk"));
        g_clear_error(&error);
    }
    release_store_set_disk_free_min(world.store, 0);
    store_world_add(staging, "wiki/a.md", "x");
}

static void test_limit_of_files(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(Staging) staging = store_world_stage(&world);
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < LIMIT_PACK_FILES; i++) {
        g_autofree char *name = g_strdup_printf("wiki/%02u/%u.md", i % 50, i);
        g_assert_true(staging_add(staging, name, "", 0, &error));
    }
    g_assert_false(staging_add(staging, "wiki/one-more.md", "", 0, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

/* A file that would be larger than the process may write stands for a disk that is full. */
static void test_write_fails(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(GError) error = NULL;
    g_autofree char *big = g_malloc0(1 << 20);
    {
        g_autoptr(Staging) staging = store_world_stage(&world);
        struct rlimit before, small = {.rlim_cur = 65536};
        g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
        small.rlim_max = before.rlim_max;
        sighandler_t handler = signal(SIGXFSZ, SIG_IGN);
        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
        gboolean added = staging_add(staging, "wiki/big.bin", big, 1 << 20, &error);
        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
        signal(SIGXFSZ, handler);
        g_assert_false(added);
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, "wiki/big.bin"));
    }
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
    g_assert_cmpuint(store_world_count(&world, "releases"), ==, 0);
}

/* --- Content and installing --- */

static void test_install(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    guint8 digest[SHA256_BYTES];
    store_world_install(&world, "one", digest);
    g_assert_true(release_store_has(world.store, digest));
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
    g_autofree char *directory = store_world_release_dir(&world, digest);
    g_autofree char *page = g_build_filename(directory, "wiki", "concepts", "a.md", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(page, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "page one\n");
    struct stat status;
    g_assert_cmpint(stat(page, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 0222, ==, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = release_store_list(world.store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_cmpmem(g_bytes_get_data(g_ptr_array_index(list, 0), NULL), SHA256_BYTES, digest, SHA256_BYTES);
}

static void test_content_is_what_lies_there(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(Staging) staging = store_world_stage(&world);
    g_autoptr(GError) error = NULL;
    g_autoptr(PackContent) empty = staging_content(staging, 1, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(empty->has_manifest);
    g_assert_cmpuint(empty->pages->len, ==, 0);
    store_world_fill(staging, "x");
    g_autoptr(PackContent) content = staging_content(staging, 2, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(content->has_manifest);
    g_assert_cmpuint(content->pages->len, ==, 2);
    g_assert_cmpuint(content->files->len, ==, 1);
    guint8 expected[SHA256_BYTES];
    sha256("page x\n", strlen("page x\n"), expected);
    const ManifestSigEntry *entry = manifest_sig_table_find(content->pages, "concepts/a.md");
    g_assert_cmpmem(entry->sha256, SHA256_BYTES, expected, SHA256_BYTES);
}

static void test_installed_twice(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    guint8 digest[SHA256_BYTES];
    store_world_install(&world, "one", digest);
    g_autofree char *directory = store_world_release_dir(&world, digest);
    store_world_make_old(&world, digest, 1000);
    struct stat before, after;
    g_assert_cmpint(stat(directory, &before), ==, 0);
    store_world_install(&world, "one", digest);
    g_assert_cmpint(stat(directory, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    g_assert_cmpint(after.st_mtim.tv_sec, >, before.st_mtim.tv_sec + 900);
    g_assert_cmpuint(store_world_count(&world, "releases"), ==, 1);
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
}

static void test_batch(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) batch = g_ptr_array_new_with_free_func((GDestroyNotify)staging_free);
    for (guint i = 0; i < 40; i++) {
        g_autofree char *text = g_strdup_printf("pack %u", i);
        Staging *staging = store_world_stage(&world);
        store_world_fill(staging, text);
        store_world_settle(staging);
        g_ptr_array_add(batch, staging);
    }
    g_assert_true(release_store_install(world.store, batch, &error));
    g_assert_no_error(error);
    g_ptr_array_set_size(batch, 0);
    g_assert_cmpuint(store_world_count(&world, "releases"), ==, 40);
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
}

/* --- Links --- */

static void hash_installed(StoreWorld *world, const guint8 *digest, const char *name, guint8 *ret)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, hex);
    g_autofree char *path = g_build_filename(release_store_releases_dir(world->store), hex, name, NULL);
    g_autofree char *text = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(path, &text, &len, NULL));
    sha256(text, len, ret);
}

static void test_link(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    g_autoptr(GError) error = NULL;
    guint8 digest[SHA256_BYTES], hash[SHA256_BYTES], unknown[SHA256_BYTES] = {1};
    store_world_install(&world, "one", digest);
    hash_installed(&world, digest, "wiki/concepts/a.md", hash);
    g_autoptr(Staging) staging = store_world_stage(&world);
    g_assert_false(
        staging_link(staging, "wiki/concepts/b.md", digest, "wiki/concepts/a.md", unknown, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    g_clear_error(&error);
    g_assert_true(staging_link(staging, "wiki/concepts/b.md", digest, "wiki/concepts/a.md", hash, &error));
    g_assert_no_error(error);
    g_assert_false(staging_link(staging, "wiki/x.md", unknown, "wiki/concepts/a.md", hash, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(staging_link(staging, "wiki/x.md", digest, "wiki/concepts", hash, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(staging_link(staging, "wiki/x.md", digest, "../../mirror.db", hash, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    g_clear_error(&error);
    g_assert_false(staging_link(staging, "wiki/concepts/B.md", digest, "wiki/concepts/a.md", hash, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    g_clear_error(&error);
    /* What could not be linked may be added. */
    store_world_add(staging, "wiki/x.md", "x\n");
    store_world_add(staging, "manifest.yaml", "name: n\n");
    store_world_add(staging, "wiki/index.md", "| concepts/b.md | B | b |\n");
    g_autoptr(PackContent) content = staging_content(staging, 1, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(manifest_sig_table_find(content->pages, "concepts/b.md"));
}

/* --- Crashes --- */

static void test_clean(void)
{
    g_auto(StoreWorld) world = {0};
    g_autoptr(GError) error = NULL;
    guint8 digest[SHA256_BYTES];
    store_world_init(&world);
    store_world_install(&world, "one", digest);
    pid_t child = fork();
    if (child == 0) {
        Staging *staging = store_world_stage(&world);
        store_world_fill(staging, "half");
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 1);
    g_assert_true(release_store_clean(world.store, &error));
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
    g_assert_true(release_store_has(world.store, digest));
}

/* A process that is killed at any instant leaves whole releases and, in tmp/, what the next start removes. */
static void test_killed_at_any_instant(void)
{
    g_auto(StoreWorld) world = {0};
    store_world_init(&world);
    for (guint round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (guint i = 0;; i++) {
                guint8 digest[SHA256_BYTES];
                g_autofree char *text = g_strdup_printf("round %u, %u", round, i);
                store_world_install(&world, text, digest);
            }
        }
        g_assert_cmpint(child, >, 0);
        g_usleep((gulong)g_test_rand_int_range(1000, 40000));
        g_assert_cmpint(kill(child, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    }
    store_world_reopen(&world);
    g_assert_cmpuint(store_world_count(&world, "tmp"), ==, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = release_store_list(world.store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, >, 0);
    g_assert_cmpuint(list->len, ==, store_world_count(&world, "releases"));
    for (guint i = 0; i < list->len; i++) {
        guint8 digest[SHA256_BYTES], name[SHA256_BYTES];
        memcpy(name, g_bytes_get_data(g_ptr_array_index(list, i), NULL), SHA256_BYTES);
        store_world_digest_on_disk(&world, name, digest);
        g_assert_cmpmem(name, SHA256_BYTES, digest, SHA256_BYTES);
    }
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/staging/refused-names", test_refused_names);
    g_test_add_func("/staging/collisions", test_collisions);
    g_test_add_func("/staging/limits-of-sizes", test_limits_of_sizes);
    g_test_add_func("/staging/disk", test_disk);
    g_test_add_func("/staging/limit-of-files", test_limit_of_files);
    g_test_add_func("/staging/write-fails", test_write_fails);
    g_test_add_func("/staging/install", test_install);
    g_test_add_func("/staging/content", test_content_is_what_lies_there);
    g_test_add_func("/staging/installed-twice", test_installed_twice);
    g_test_add_func("/staging/batch", test_batch);
    g_test_add_func("/staging/link", test_link);
    g_test_add_func("/staging/clean", test_clean);
    g_test_add_func("/staging/killed", test_killed_at_any_instant);
    return g_test_run();
}
