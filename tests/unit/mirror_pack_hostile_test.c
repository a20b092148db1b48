/* SPDX-License-Identifier: MIT
 *
 * Scanning trees that somebody means to do harm with, or is writing to, or that the system refuses to show:
 * nothing outside the packs directory is ever touched, with openat2 and without it, and nothing that was
 * there is lost.
 */
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/resource.h>

#include "signing/hash.h"
#include "tests/unit/pack_tree.h"

#define GROUP "/mirror/pack_hostile/"

/* --- Hostile trees --- */

static void test_links_are_not_followed(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    make_link(fixture, fixture->outside, "linked-pack");
    make_link(fixture, "../outside", "linked-relative");
    make_link(fixture, "..", "p/up");
    make_link(fixture, "../../../outside", "p/wiki/outside");
    make_link(fixture, "a.md", "p/wiki/alias.md");
    make_link(fixture, "/proc/self/root/etc", "p/wiki/magic");
    put(fixture, "q/manifest.yaml", MANIFEST);
    make_link(fixture, "../../outside/wiki", "q/wiki");
    make_directory(fixture, "r/wiki");
    make_link(fixture, "../../outside/wiki/index.md", "r/manifest.yaml");
    g_autoptr(PackScan) result = scan(fixture, "");
    g_assert_cmpuint(result->places, ==, 3);
    g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 1);
    g_assert_cmpuint(place(fixture, "p")->file_count, ==, 3);
    g_assert_true(has_line(result->problems, "linked-pack: symbolic link, not followed"));
    g_assert_true(has_line(result->problems, "linked-relative: "));
    g_assert_true(has_line(result->problems, "p/up: "));
    assert_warning(fixture, "p", "wiki/outside: symbolic link");
    assert_warning(fixture, "p", "wiki/alias.md: symbolic link");
    assert_warning(fixture, "p", "wiki/magic: symbolic link");
    g_assert_true(has_line(place(fixture, "q")->warnings, "wiki: not a directory"));
    g_assert_true(has_line(place(fixture, "r")->warnings, "manifest.yaml: not a regular file"));
    assert_children(fixture, "", "p q r");
    static const char *const prefixes[] = {"linked-pack", "linked-relative", "p/up", "p/up/p"};
    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        g_autoptr(PackScan) below = scan(fixture, prefixes[i]);
        g_assert_cmpuint(below->upserts->len, ==, 0);
        assert_children(fixture, "", "p q r");
    }
}

static void test_special_files(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    g_autofree char *page = g_build_filename(fixture->packs, "p/wiki/pipe.md", NULL);
    g_assert_cmpint(mkfifo(page, 0644), ==, 0);
    make_directory(fixture, "q");
    g_autofree char *manifest = g_build_filename(fixture->packs, "q/manifest.yaml", NULL);
    g_assert_cmpint(mkfifo(manifest, 0644), ==, 0);
    rescan(fixture); /* and does not wait for somebody to write into a pipe */
    assert_warning(fixture, "p", "wiki/pipe.md: neither file nor directory");
    g_assert_null(place(fixture, "q"));
}

static void test_bad_names(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    put(fixture, "p/wiki/\xff.md", "x");
    put(fixture, "p/wiki/line\nbreak.md", "x");
    put(fixture, "p/wiki/\x1b[31m.md", "x");
    put(fixture, "p/wiki/.hidden.md", "x");
    put(fixture, "p/wiki/.obsidian/x.md", "x");
    put(fixture, "p/wiki/blank name.md", "x"); /* odd, but a name */
    put_pack(fixture, "bad\nname");
    put_pack(fixture, "bad\xfename");
    g_autoptr(PackScan) result = scan(fixture, "");
    assert_one_line_each(result->problems);
    g_assert_cmpuint(result->problems->len, ==, 2);
    g_assert_true(has_line(result->problems, "bad\\x0aname: "));
    g_assert_true(has_line(result->problems, "bad\\xfename: "));
    g_assert_cmpuint(place(fixture, "p")->file_count, ==, 4);
    g_assert_cmpuint(place(fixture, "p")->warnings->len, ==, 3);
    assert_warning(fixture, "p", "wiki/\\xff.md: ");
    assert_warning(fixture, "p", "wiki/line\\x0abreak.md: ");
    g_assert_nonnull(file_of(place(fixture, "p"), "wiki/blank name.md"));
    assert_children(fixture, "", "p");
}

static void test_depth_and_length(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    g_autoptr(GString) deep = g_string_new("d");
    g_autoptr(GString) page = g_string_new("p/wiki");
    for (int i = 0; i < LIMIT_PATH_DEPTH + 8; i++) {
        g_string_append(deep, "/d");
        g_string_append(page, "/d");
    }
    put_pack(fixture, deep->str);
    g_string_append(page, "/x.md");
    put(fixture, page->str, "x");
    g_autofree char *name = g_strnfill(200, 'n');
    g_autofree char *longest = g_strconcat("p/wiki/", name, "/", name, "/", name, "/x.md", NULL);
    put(fixture, longest, "x");
    g_autoptr(PackScan) result = scan(fixture, "");
    g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 1);
    g_assert_cmpuint(result->problems->len, ==, 1);
    g_assert_cmpuint(place(fixture, "p")->file_count, ==, 3);
    g_assert_cmpuint(place(fixture, "p")->warnings->len, ==, 2);
}

static void test_prefixes_that_are_not_looked_into(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "p");
    put_pack(fixture, "p/wiki/inner");
    put_pack(fixture, "p/raw/inner");
    put_pack(fixture, "p/.hidden");
    rescan(fixture);
    static const char *const prefixes[] = {
        "..",           "../outside",  "/",   "p/",     "p//wiki", "p/wiki", "p/raw",      "p/.hidden",
        "p/wiki/inner", "p/raw/inner", "./p", "p/../p", "p\nq",    "\xff",   "missing/a/b"};
    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        g_autoptr(PackScan) result = scan(fixture, prefixes[i]);
        g_assert_cmpuint(result->upserts->len, ==, 0);
        g_assert_cmpuint(result->removals->len, ==, 0);
        g_assert_cmpuint(result->places, ==, 0);
        g_assert_cmpuint(catalog_pack_count(fixture->catalog), ==, 1);
        assert_children(fixture, "p/raw", "");
    }
}

/* --- What the system refuses --- */

static void test_unreadable_directories(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "open");
    put_pack(fixture, "closed/p");
    put_pack(fixture, "part");
    put(fixture, "part/wiki/secret/x.md", "x");
    rescan(fixture);
    g_autofree char *closed = g_build_filename(fixture->packs, "closed", NULL);
    g_autofree char *secret = g_build_filename(fixture->packs, "part/wiki/secret", NULL);
    g_assert_cmpint(g_chmod(fixture->top, 0755), ==, 0);
    g_assert_cmpint(g_chmod(closed, 0), ==, 0);
    g_assert_cmpint(g_chmod(secret, 0), ==, 0);
    /* root may read everything, so this thread steps down; a scan with one thread runs in it. */
    int uid = setfsuid(geteuid() == 0 ? 65534 : geteuid());
    g_autoptr(PackScan) result = pack_scan(fixture->root, "", fixture->catalog, 1, NULL);
    setfsuid((uid_t)uid);
    g_assert_cmpint(g_chmod(closed, 0755), ==, 0);
    g_assert_cmpint(g_chmod(secret, 0755), ==, 0);
    g_assert_true(has_line(result->problems, "closed: Permission denied"));
    g_assert_cmpuint(result->removals->len, ==, 1); /* what is in it cannot be served */
    g_assert_cmpuint(result->upserts->len, ==, 1);
    const CatalogPack *part = g_ptr_array_index(result->upserts, 0);
    g_assert_true(part->is_pack);
    g_assert_true(has_line(part->warnings, "wiki/secret: directory may not be read"));
}

static void limit_descriptors(guint more)
{
    struct rlimit limit;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    int next = dup(0);
    g_assert_cmpint(next, >=, 0);
    close(next);
    limit.rlim_cur = more > 0 ? (rlim_t)next + more : limit.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

/* Too few descriptors for a directory or for the wiki in it: nothing that was there disappears. */
static void test_out_of_descriptors(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "a/p");
    put_pack(fixture, "b");
    make_directory(fixture, "b/empty");
    make_directory(fixture, "a/raw");
    rescan(fixture);
    g_autofree char *before = description(fixture->catalog);
    put(fixture, "b/wiki/more.md", "x");
    for (guint more = 1; more <= 3; more++) {
        limit_descriptors(more);
        g_autoptr(GError) error = NULL;
        PackScan *result = pack_scan(fixture->root, "", fixture->catalog, 1, &error);
        limit_descriptors(0);
        if (more == 3) { /* enough: top, place, wiki */
            g_assert_cmpuint(result->upserts->len, ==, 1);
            g_assert_cmpuint(result->problems->len, ==, 0);
            pack_scan_free(result);
            continue;
        }
        g_assert_nonnull(result);
        g_assert_cmpuint(result->upserts->len, ==, 0);
        g_assert_cmpuint(result->removals->len, ==, 0);
        g_assert_true(has_line(result->problems, "Too many open files"));
        g_assert_true(has_line(result->problems, "left as it was"));
        g_autoptr(Catalog) after =
            catalog_with_changes(fixture->catalog, result->upserts, result->removals, result->directories);
        g_autofree char *got = description(after);
        g_assert_cmpstr(got, ==, before);
        pack_scan_free(result);
    }
}

/* --- While somebody writes --- */

typedef struct {
    const Fixture *fixture;
    int stop;
} Writer;

/* By renaming, as careful publishers do: the file has two rows or three and nothing else. */
static gpointer keep_writing(gpointer data)
{
    Writer *writer = data;
    g_autofree char *index = g_build_filename(writer->fixture->packs, "busy/wiki/index.md", NULL);
    while (!g_atomic_int_get(&writer->stop)) {
        g_assert_true(g_file_set_contents(index, INDEX_TWO_ROWS "| c.md | C | third |\n", -1, NULL));
        g_assert_true(g_file_set_contents(index, INDEX_TWO_ROWS, -1, NULL));
        remove_if_there(writer->fixture, "comes-and-goes");
        put_pack(writer->fixture, "comes-and-goes");
    }
    return NULL;
}

static void test_scanning_while_writing(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    put_pack(fixture, "busy");
    put_pack(fixture, "quiet");
    Writer writer = {fixture, FALSE};
    GThread *thread = g_thread_new("writer", keep_writing, &writer);
    guint restless = 0;
    for (int i = 0; i < 60; i++) {
        rescan(fixture);
        const CatalogPack *busy = place(fixture, "busy");
        g_assert_nonnull(busy);
        if (busy->problem != NULL) {
            g_assert_nonnull(strstr(busy->problem, "changed on disk 3 times"));
            restless++;
        } else if (busy->is_pack) {
            g_assert_cmpuint(busy->rows_indexed, >=, 2);
            g_assert_cmpuint(busy->rows_indexed, <=, 3);
        }
        g_assert_true(place(fixture, "quiet")->is_pack);
    }
    g_atomic_int_set(&writer.stop, TRUE);
    g_thread_join(thread);
    g_test_message("%u of 60 scans found the busy pack changing", restless);
    rescan(fixture);
    g_assert_null(place(fixture, "busy")->problem); /* quiet again: well again */
    g_assert_cmpuint(place(fixture, "busy")->rows_indexed, ==, 2);
    g_assert_true(place(fixture, "comes-and-goes")->is_pack);
}

/* Swaps a directory for a link to the outside and back, in one step each time, as fast as it can. */
static gpointer keep_swapping(gpointer data)
{
    Writer *writer = data;
    const char *packs = writer->fixture->packs;
    g_autofree char *pack = g_build_filename(packs, "p", NULL);
    g_autofree char *sub = g_build_filename(packs, "s", "wiki", "sub", NULL);
    g_autofree char *pack_link = g_build_filename(packs, ".pack-link", NULL);
    g_autofree char *sub_link = g_build_filename(packs, ".sub-link", NULL);
    while (!g_atomic_int_get(&writer->stop)) {
        g_assert_cmpint(renameat2(AT_FDCWD, pack, AT_FDCWD, pack_link, RENAME_EXCHANGE), ==, 0);
        g_assert_cmpint(renameat2(AT_FDCWD, sub, AT_FDCWD, sub_link, RENAME_EXCHANGE), ==, 0);
    }
    return NULL;
}

static void test_links_swapped_in(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    enum { SCAN_US = 700 * 1000 };
    put_pack(fixture, "p");
    put_pack(fixture, "s");
    make_directory(fixture, "s/wiki/sub");
    /* Names are read many at once: with these, time passes between reading the name "sub" and opening it. */
    for (int i = 0; i < 60; i++) {
        g_autofree char *sibling = g_strdup_printf("s/wiki/sibling-%d", i);
        make_directory(fixture, sibling);
    }
    make_link(fixture, fixture->outside, ".pack-link");
    make_link(fixture, fixture->outside, ".sub-link");
    g_autofree char *secret = g_build_filename(fixture->outside, "wiki", "secret.md", NULL);
    write_file(secret, "secret", 6);
    Writer writer = {fixture, FALSE};
    GThread *thread = g_thread_new("swapper", keep_swapping, &writer);
    gint64 end_us = g_get_monotonic_time() + SCAN_US;
    for (guint i = 0; g_get_monotonic_time() < end_us; i++) {
        g_autoptr(PackScan) result =
            pack_scan(fixture->root, i % 2 == 0 ? "" : "p", NULL, /* threads= */ 1 + i % 2, NULL);
        for (guint j = 0; j < result->upserts->len; j++) {
            const CatalogPack *pack = g_ptr_array_index(result->upserts, j);
            g_assert_null(file_of(pack, "wiki/secret.md"));
            g_assert_null(file_of(pack, "wiki/sub/wiki/secret.md"));
        }
    }
    g_atomic_int_set(&writer.stop, TRUE);
    g_thread_join(thread);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    add_both(GROUP, "links", test_links_are_not_followed);
    add_both(GROUP, "special-files", test_special_files);
    add(GROUP, "bad-names", test_bad_names);
    add(GROUP, "depth-and-length", test_depth_and_length);
    add_both(GROUP, "odd-prefixes", test_prefixes_that_are_not_looked_into);
    add_both(GROUP, "unreadable", test_unreadable_directories);
    add_both(GROUP, "out-of-descriptors", test_out_of_descriptors);
    add(GROUP, "while-writing", test_scanning_while_writing);
    add_both(GROUP, "links-swapped-in", test_links_swapped_in);
    return g_test_run();
}
