/* SPDX-License-Identifier: MIT
 *
 * Scanning packs that mean no harm: what is found, how broken ones are named, what is read again and what is
 * not, and in which form files are served. Hostile trees: mirror_pack_hostile_test.c.
 */
#include "signing/hash.h"
#include "tests/unit/pack_tree.h"

#define GROUP "/mirror/pack_scan/"

/* --- What is found --- */

static void test_pack(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "history/rome");
    put(fixture, "history/rome/wiki/concepts/c.md", "c");
    put(fixture, "history/rome/manifest.sig", "{}");
    put(fixture, "history/rome/README.md", "not served");
    g_autoptr(PackScan) result = scan(fixture, "");
    g_assert_cmpuint(result->places, ==, 1);
    g_assert_cmpuint(result->upserts->len, ==, 1);
    const CatalogPack *pack = place(fixture, "history/rome");
    g_assert_true(pack->is_pack);
    g_assert_null(pack->problem);
    g_assert_cmpstr(pack->name, ==, "n");
    g_assert_cmpstr(pack->version, ==, "1.2.3");
    g_assert_cmpstr(pack->summary, ==, "A summary");
    g_assert_cmpstr(pack->language, ==, "it");
    g_assert_cmpuint(pack->rows_indexed, ==, 2);
    g_assert_cmpuint(pack->file_count, ==, 5);
    static const char *const names[] = {"manifest.sig", "manifest.yaml", "wiki/a.md", "wiki/concepts/c.md",
                                        "wiki/index.md"};
    guint64 bytes = 0;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpstr(pack->files[i].name, ==, names[i]);
        bytes += pack->files[i].identity.size;
    }
    g_assert_cmpuint(pack->bytes, ==, bytes);
    g_assert_true(g_path_is_absolute(pack->directory));
    g_assert_true(g_str_has_suffix(pack->directory, "/packs/history/rome"));
    g_assert_cmpuint(pack->serial, >, 0);
}

static void test_place_without_index(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put(fixture, "mcp/manifest.yaml", MANIFEST);
    put(fixture, "mcp/raw/a.md", "x");
    put(fixture, "general/wiki/_index.md", "| a | b |\n");
    rescan(fixture);
    const CatalogPack *mcp = place(fixture, "mcp"), *general = place(fixture, "general");
    g_assert_false(mcp->is_pack);
    g_assert_null(mcp->problem);
    g_assert_nonnull(file_of(mcp, "manifest.yaml"));
    g_assert_false(general->is_pack);
    g_assert_null(general->problem);
    g_assert_cmpstr(general->summary, ==, "");
    assert_children(fixture, "", "general mcp");
    assert_children(fixture, "mcp", "");
    assert_children(fixture, "mcp/raw", "");
    g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 0);
}

static void test_tree(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "a");
    put_pack(fixture, "a/sub");
    put_pack(fixture, "a/wiki/inner");    /* pages of a, not a pack */
    put_pack(fixture, "a/raw/inner");     /* raw material, not a pack */
    put_pack(fixture, "b/.hidden/inner"); /* not looked into */
    make_directory(fixture, "a/plain/deeper");
    make_directory(fixture, "empty");
    make_directory(fixture, ".git");
    put(fixture, "queries.tsv", "a plain file in the root");
    g_autoptr(PackScan) result = scan(fixture, "");
    g_assert_cmpuint(result->problems->len, ==, 0);
    g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 2);
    assert_children(fixture, "", "a b empty");
    assert_children(fixture, "a", "plain sub");
    assert_children(fixture, "a/plain", "deeper");
    assert_children(fixture, "empty", "");
    assert_children(fixture, "b", "");
    g_assert_nonnull(file_of(place(fixture, "a"), "wiki/inner/wiki/index.md"));
    g_assert_null(file_of(place(fixture, "a"), "sub/wiki/index.md"));
}

static void test_pack_in_root(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put(fixture, "wiki/index.md", INDEX_TWO_ROWS);
    put_pack(fixture, "good");
    g_autoptr(PackScan) result = scan(fixture, "");
    g_assert_true(has_line(result->problems, "directly in the packs directory"));
    g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 1);
    assert_children(fixture, "", "good");
}

static void test_root(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    g_autoptr(GError) error = NULL;
    g_autofree char *missing = g_build_filename(fixture->top, "missing", NULL);
    g_assert_null(pack_root_open(missing, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    g_clear_error(&error);
    put(fixture, "file", "");
    g_autofree char *file = g_build_filename(fixture->packs, "file", NULL);
    g_assert_null(pack_root_open(file, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    /* The root itself may be a link: the operator put it there. */
    g_autofree char *link = g_build_filename(fixture->top, "link", NULL);
    g_assert_cmpint(symlink("packs", link), ==, 0);
    g_autoptr(PackRoot) root = pack_root_open(link, NULL);
    g_assert_nonnull(root);
    g_autoptr(PackScan) result = pack_scan(root, "", NULL, 1, NULL);
    g_assert_nonnull(result);
}

/* --- Broken packs --- */

static void assert_problem(Fixture *fixture, const char *path, const char *text)
{
    put_pack(fixture, "good");
    rescan(fixture);
    const CatalogPack *pack = place(fixture, path);
    g_assert_nonnull(pack);
    g_assert_nonnull(pack->problem);
    g_test_message("%s", pack->problem);
    g_assert_nonnull(strstr(pack->problem, text));
    g_assert_null(strchr(pack->problem, '\n'));
    g_assert_false(pack->is_pack);
    g_assert_cmpuint(pack->file_count, ==, 0); /* nothing of it is served */
    g_assert_cmpuint(catalog_problem_count(fixture->catalog), ==, 1);
    g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 1);
    g_assert_true(place(fixture, "good")->is_pack);
    /* It is not read again while nothing changes, and is well as soon as it is repaired. */
    g_autoptr(PackScan) again = scan(fixture, "");
    g_assert_cmpuint(again->unchanged, ==, again->places);
    discard(fixture, path);
    put_pack(fixture, path);
    rescan(fixture);
    g_assert_null(place(fixture, path)->problem);
    g_assert_true(place(fixture, path)->is_pack);
}

static void test_index_not_utf8(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "bad");
    put(fixture, "bad/wiki/index.md", "| a.md | caf\xe9 | s |\n");
    assert_problem(fixture, "bad", "wiki/index.md: ");
}

static void test_index_too_large(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "bad");
    put_sparse(fixture, "bad/wiki/index.md", LIMIT_INDEX_BYTES + 1);
    assert_problem(fixture, "bad", "wiki/index.md: 8388609 bytes, at most 8388608");
}

static void test_index_is_link(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "bad");
    discard(fixture, "bad/wiki/index.md");
    make_link(fixture, "../../../outside/wiki/index.md", "bad/wiki/index.md");
    assert_problem(fixture, "bad", "wiki/index.md: symbolic link");
}

static void test_pack_too_large(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "bad");
    for (int i = 0; i < LIMIT_PACK_BYTES / LIMIT_PACK_FILE_BYTES; i++) {
        g_autofree char *name = g_strdup_printf("bad/wiki/big-%d.md", i);
        put_sparse(fixture, name, LIMIT_PACK_FILE_BYTES);
    }
    assert_problem(fixture, "bad", "larger than 268435456 bytes");
}

static void test_too_many_names(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "bad");
    make_directory(fixture, "bad/wiki/many");
    g_autofree char *source = g_build_filename(fixture->packs, "bad/wiki/a.md", NULL);
    for (int i = 0; i < LIMIT_PACK_FILES / 60000 + 1; i++) { /* a file may have some 65,000 names */
        g_autofree char *kept = g_strdup_printf("%s.%d", source, i);
        write_file(kept, "x", 1);
        for (int j = 0; j < 60000; j++) {
            g_autofree char *name = g_strdup_printf("%s/bad/wiki/many/%d-%d.md", fixture->packs, i, j);
            g_assert_cmpint(link(kept, name), ==, 0);
        }
    }
    assert_problem(fixture, "bad", "more than 100000 names");
}

static void test_manifest_warnings(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "yaml");
    put(fixture, "yaml/manifest.yaml", "a: [unclosed\n");
    put_pack(fixture, "large");
    put_sparse(fixture, "large/manifest.yaml", LIMIT_MANIFEST_BYTES + 1);
    put_pack(fixture, "sig");
    put(fixture, "sig/manifest.sig", "{\"alg\":");
    put_pack(fixture, "page");
    put_sparse(fixture, "page/wiki/big.md", LIMIT_PACK_FILE_BYTES + 1);
    rescan(fixture);
    assert_warning(fixture, "yaml", "manifest.yaml: ");
    g_assert_cmpstr(place(fixture, "yaml")->summary, ==, "");
    assert_warning(fixture, "large", "manifest.yaml: 262145 bytes, at most 262144");
    g_assert_null(file_of(place(fixture, "large"), "manifest.yaml"));
    assert_warning(fixture, "sig", "manifest.sig: ");
    g_assert_nonnull(file_of(place(fixture, "sig"), "manifest.sig"));
    assert_warning(fixture, "page", "wiki/big.md: 8388609 bytes");
    g_assert_null(file_of(place(fixture, "page"), "wiki/big.md"));
}

static void test_case_collisions(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    put(fixture, "p/wiki/A.md", "other");
    put(fixture, "p/wiki/caf\xc3\xa9.md", "composed");
    put(fixture, "p/wiki/CAFE\xcc\x81.md", "decomposed, capitals");
    rescan(fixture);
    assert_warning(fixture, "p", "wiki/a.md: differs from wiki/A.md only in case");
    assert_warning(fixture, "p", "caf\xc3\xa9.md");
    g_assert_cmpuint(place(fixture, "p")->warnings->len, ==, 2);
}

static void test_warnings_are_bounded(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    for (int i = 0; i < LIMIT_PACK_WARNINGS + 7; i++) {
        g_autofree char *name = g_strdup_printf("p/wiki/link-%d.md", i);
        make_link(fixture, "a.md", name);
    }
    rescan(fixture);
    g_assert_cmpuint(place(fixture, "p")->warnings->len, ==, LIMIT_PACK_WARNINGS + 1);
    assert_warning(fixture, "p", "7 further warnings");
}

/* --- What is read again --- */

static void assert_rescan(Fixture *fixture, guint upserts, guint removals)
{
    g_autoptr(PackScan) result = scan(fixture, "");
    g_assert_cmpuint(result->upserts->len, ==, upserts);
    g_assert_cmpuint(result->removals->len, ==, removals);
    g_assert_cmpuint(result->unchanged, ==, result->places - upserts);
}

static void test_changes_are_noticed(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "a");
    put_pack(fixture, "b");
    put_pack(fixture, "c/d");
    assert_rescan(fixture, 3, 0);
    guint64 serial = place(fixture, "a")->serial;
    assert_rescan(fixture, 0, 0);
    g_assert_cmpuint(place(fixture, "a")->serial, ==, serial);
    put(fixture, "a/wiki/a.md", "PAGE\n"); /* the same size */
    assert_rescan(fixture, 1, 0);
    g_assert_cmpuint(place(fixture, "a")->serial, >, serial);
    put(fixture, "a/wiki/new.md", "");
    assert_rescan(fixture, 1, 0);
    discard(fixture, "a/wiki/new.md");
    assert_rescan(fixture, 1, 0);
    make_link(fixture, "a.md", "a/wiki/link.md"); /* no file of the pack, but a warning to show */
    assert_rescan(fixture, 1, 0);
    discard(fixture, "b/wiki/index.md");
    assert_rescan(fixture, 1, 0);
    g_assert_false(place(fixture, "b")->is_pack);
    discard(fixture, "b");
    assert_rescan(fixture, 0, 1);
    discard(fixture, "c/d/wiki");
    discard(fixture, "c/d/manifest.yaml"); /* the directory stays */
    assert_rescan(fixture, 0, 1);
    assert_children(fixture, "c", "d");
}

/* A file that is written twice within one tick of the clock, with a scan in between. */
static void test_writes_within_one_tick(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    g_autofree char *path = g_build_filename(fixture->packs, "p/wiki/index.md", NULL);
    for (int i = 0; i < 30; i++) {
        static const char *const texts[] = {"| a | t | s |\n| b | t | s |\n",
                                            "| a | t | s |\n| b | t   s |\n"};
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, texts[0], strlen(texts[0])), ==, (gssize)strlen(texts[0]));
        rescan(fixture);
        guint rows = place(fixture, "p")->rows_indexed;
        g_assert_cmpuint(rows, ==, 2);
        g_assert_cmpint(pwrite(fd, texts[1], strlen(texts[1]), 0), ==, (gssize)strlen(texts[1]));
        rescan(fixture);
        g_assert_cmpuint(place(fixture, "p")->rows_indexed, ==, 1);
        close(fd);
    }
}

static void test_reading_files(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    put(fixture, "p/wiki/empty.md", "");
    rescan(fixture);
    const CatalogPack *pack = place(fixture, "p");
    const CatalogFile *page = file_of(pack, "wiki/a.md");
    g_autoptr(GBytes) bytes = pack_root_read(fixture->root, pack, page, NULL);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "page\n", 5);
    g_autoptr(GBytes) empty = pack_root_read(fixture->root, pack, file_of(pack, "wiki/empty.md"), NULL);
    g_assert_cmpuint(g_bytes_get_size(empty), ==, 0);
    enum { REWRITTEN, GONE, LINK, PIPE, DIRECTORY, LINKED_PARENT, CASES };
    g_autofree char *path = g_build_filename(fixture->packs, "p/wiki/a.md", NULL);
    for (int i = 0; i < CASES; i++) {
        if (i != LINKED_PARENT)
            delete_tree(path);
        if (i == REWRITTEN)
            write_file(path, "PAGE\n", 5);
        if (i == LINK)
            make_link(fixture, "../../../outside/wiki/index.md", "p/wiki/a.md");
        if (i == PIPE)
            g_assert_cmpint(mkfifo(path, 0644), ==, 0);
        if (i == DIRECTORY || i == GONE)
            make_directory(fixture, i == GONE ? "p/wiki" : "p/wiki/a.md");
        if (i == LINKED_PARENT) {
            discard(fixture, "p/wiki");
            make_link(fixture, "../../outside/wiki", "p/wiki");
        }
        g_autoptr(GError) error = NULL;
        g_assert_null(pack_root_read(fixture->root, pack, page, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT);
        if (i == GONE)
            write_file(path, "", 0);
    }
}

/* --- Parts of the tree --- */

static void random_change(const Fixture *fixture, GRand *rng, const char *directory)
{
    static const char *const files[] = {"/manifest.yaml", "/wiki/index.md", "/wiki/a.md", "/raw/x.md",
                                        "/plain.txt"};
    g_autofree char *file =
        g_strconcat(directory, files[g_rand_int_range(rng, 0, G_N_ELEMENTS(files))], NULL);
    switch (g_rand_int_range(rng, 0, 5)) {
    case 0:
        remove_if_there(fixture, directory);
        break;
    case 1:
        remove_if_there(fixture, file);
        break;
    case 2:
        make_directory(fixture, directory);
        break;
    default:
        put(fixture, file, INDEX_TWO_ROWS);
        break;
    }
}

/* Whatever happens below a directory: looking at that directory alone gives the same as looking at
 * everything. */
static void test_partial_scan_equals_whole(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    static const char *const directories[] = {"a", "b", "a/x", "a/y", "b/x/z", "a/x/p", "b/x"};
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)g_test_rand_int());
    for (int round = 0; round < 120; round++) {
        const char *directory = directories[g_rand_int_range(rng, 0, G_N_ELEMENTS(directories))];
        random_change(fixture, rng, directory);
        g_autofree char *prefix = g_strdup(directory);
        char *slash = g_rand_boolean(rng) ? strrchr(prefix, '/') : NULL;
        if (slash != NULL)
            *slash = '\0';
        pack_scan_free(scan(fixture, prefix));
        g_autoptr(PackScan) whole = pack_scan(fixture->root, "", NULL, 1, NULL);
        g_autoptr(Catalog) empty = catalog_new_empty();
        g_autoptr(Catalog) fresh = catalog_with_changes(empty, whole->upserts, NULL, whole->directories);
        g_autofree char *expected = description(fresh);
        g_autofree char *got = description(fixture->catalog);
        g_assert_cmpstr(got, ==, expected);
    }
}

static void test_threads_give_the_same(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    for (int i = 0; i < 60; i++) {
        g_autofree char *path = g_strdup_printf("%d/%d/%d", i % 3, i % 7, i);
        put_pack(fixture, path);
    }
    make_link(fixture, "0", "link");
    g_autofree char *expected = NULL;
    for (guint threads = 1; threads <= 8; threads++) {
        g_autoptr(PackScan) result = pack_scan(fixture->root, "", NULL, threads, NULL);
        g_assert_cmpuint(result->upserts->len, ==, 60);
        g_assert_cmpuint(result->problems->len, ==, 1);
        g_autoptr(Catalog) empty = catalog_new_empty();
        g_autoptr(Catalog) catalog = catalog_with_changes(empty, result->upserts, NULL, result->directories);
        g_autofree char *got = description(catalog);
        if (expected == NULL)
            expected = g_strdup(got);
        g_assert_cmpstr(got, ==, expected);
    }
}

/* --- Signatures --- */

static void hash_text(const char *text, guint8 ret[SHA256_BYTES])
{
    sha256(text, strlen(text), ret);
}

static char *hex_of_text(const char *text)
{
    guint8 hash[SHA256_BYTES];
    hash_text(text, hash);
    char *hex = g_malloc(SHA256_HEX_CHARS + 1);
    hex_encode(hash, SHA256_BYTES, hex);
    return hex;
}

static void put_signature(const Fixture *fixture)
{
    g_autofree char *manifest = hex_of_text(MANIFEST);
    g_autofree char *index = hex_of_text(INDEX_TWO_ROWS);
    g_autofree char *page = hex_of_text("page\n");
    g_autofree char *log = hex_of_text("log");
    g_autofree char *text = g_strdup_printf(
        "{\"alg\":\"ed25519\",\"signer_name\":\"n\",\"signer_pubkey_b64\":\"AAAA\",\"signer_fingerprint\":"
        "\"f\","
        "\"signed_at\":\"2026-01-02T03:04:05Z\",\"manifest_sha256\":\"%s\","
        "\"pages\":{\"index.md\":\"%s\",\"a.md\":\"%s\",\"../"
        "manifest.sig\":\"%s\"},\"signature_b64\":\"AAAA\","
        "\"release\":{\"path\":\"p\",\"version\":\"1.2.3\",\"published_at\":\"2026-01-02T03:04:05Z\","
        "\"content_sha256\":\"%s\",\"files\":{\"wiki/log.md\":\"%s\"}},\"release_signature_b64\":\"AAAA\"}",
        manifest, index, page, page, page, log);
    put(fixture, "p/manifest.sig", text);
}

static void test_signed_hashes(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    put(fixture, "p/wiki/log.md", "log");
    put(fixture, "p/wiki/extra.md", "nobody signed this");
    put_signature(fixture);
    guint8 hash[SHA256_BYTES];
    rescan(fixture);
    const CatalogPack *pack = place(fixture, "p");
    g_assert_true(pack->is_pack);
    g_assert_cmpuint(pack->warnings->len, ==, 0);
    static const struct {
        const char *name, *text;
    } expected[] = {{"manifest.yaml", MANIFEST},
                    {"wiki/index.md", INDEX_TWO_ROWS},
                    {"wiki/a.md", "page\n"},
                    {"wiki/log.md", "log"}};
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        const CatalogFile *file = file_of(pack, expected[i].name);
        g_assert_true(file->has_signed_hash);
        hash_text(expected[i].text, hash);
        g_assert_cmpmem(file->signed_sha256, SHA256_BYTES, hash, SHA256_BYTES);
    }
    g_assert_false(file_of(pack, "wiki/extra.md")->has_signed_hash);
    g_assert_false(file_of(pack, "manifest.sig")->has_signed_hash);
}

static void test_served_form(Fixture *fixture, gconstpointer walk)
{
    (void)fixture;
    (void)walk;
    static const char crlf[] = "a\r\nb\rc\n", lf[] = "a\nb\nc\n";
    static const struct {
        const char *name;
        const char *signed_text; /* NULL: not signed */
        const char *served;
        gboolean mismatch;
    } cases[] = {
        {"wiki/a.md", NULL, lf, FALSE},    {"wiki/a.md", lf, lf, FALSE},
        {"wiki/a.md", crlf, crlf, FALSE},  {"wiki/a.md", "other", lf, TRUE},
        {"wiki/a.png", NULL, crlf, FALSE}, {"wiki/a.png", crlf, crlf, FALSE},
        {"wiki/a.png", lf, crlf, TRUE},    {"manifest.yaml", crlf, crlf, FALSE},
        {"manifest.sig", NULL, lf, FALSE},
    };
    g_autoptr(GBytes) raw = g_bytes_new_static(crlf, strlen(crlf));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        CatalogFile file = {.name = cases[i].name, .has_signed_hash = cases[i].signed_text != NULL};
        if (file.has_signed_hash)
            hash_text(cases[i].signed_text, file.signed_sha256);
        guint8 digest[SHA256_BYTES], expected[SHA256_BYTES];
        gboolean mismatch = !cases[i].mismatch;
        g_autoptr(GBytes) served = pack_file_served_form(&file, raw, digest, &mismatch);
        g_assert_cmpmem(g_bytes_get_data(served, NULL), g_bytes_get_size(served), cases[i].served,
                        strlen(cases[i].served));
        hash_text(cases[i].served, expected);
        g_assert_cmpmem(digest, SHA256_BYTES, expected, SHA256_BYTES);
        g_assert_cmpint(mismatch, ==, cases[i].mismatch);
        g_autoptr(GBytes) again = pack_file_served_form(&file, raw, digest, NULL);
        g_assert_true(g_bytes_equal(again, served));
    }
}

static void test_text_names(Fixture *fixture, gconstpointer walk)
{
    (void)fixture;
    (void)walk;
    static const char *const texts[] = {"a.md", "wiki/A.MD", "wiki/v1.2/LICENSE", "manifest.sig",
                                        "x.tar.json"};
    static const char *const binaries[] = {"a.png", "wiki/x.md.gz", "x.unheard-of", "wiki/.md/a.woff2",
                                           "a.svg"};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_true(pack_file_is_text(texts[i]));
    for (guint i = 0; i < G_N_ELEMENTS(binaries); i++)
        g_assert_false(pack_file_is_text(binaries[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    add_both(GROUP, "pack", test_pack);
    add(GROUP, "place-without-index", test_place_without_index);
    add_both(GROUP, "tree", test_tree);
    add(GROUP, "pack-in-root", test_pack_in_root);
    add(GROUP, "root", test_root);
    add(GROUP, "index-not-utf8", test_index_not_utf8);
    add(GROUP, "index-too-large", test_index_too_large);
    add_both(GROUP, "index-is-link", test_index_is_link);
    add(GROUP, "pack-too-large", test_pack_too_large);
    add(GROUP, "too-many-names", test_too_many_names);
    add(GROUP, "manifest-warnings", test_manifest_warnings);
    add(GROUP, "case-collisions", test_case_collisions);
    add(GROUP, "warnings-bounded", test_warnings_are_bounded);
    add(GROUP, "changes", test_changes_are_noticed);
    add(GROUP, "one-tick", test_writes_within_one_tick);
    add_both(GROUP, "reading", test_reading_files);
    add_both(GROUP, "partial", test_partial_scan_equals_whole);
    add(GROUP, "threads", test_threads_give_the_same);
    add(GROUP, "signed-hashes", test_signed_hashes);
    add(GROUP, "served-form", test_served_form);
    add(GROUP, "text-names", test_text_names);
    return g_test_run();
}
