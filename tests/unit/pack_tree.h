/* SPDX-License-Identifier: MIT
 *
 * For tests of the pack scan: a packs directory of its own for each test, with something beside it that must
 * never be reached, and short words for filling it, scanning it and asking what was found.
 */
#pragma once

#include "mirror/store/pack_scan.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror/store/pack_dir.h"
#include "schema/limits.h"

#define INDEX_TWO_ROWS                                                                                       \
    "# Wiki Index\n\n| File | Title | Summary |\n|---|---|---|\n| a.md | A | first |\n| b.md | B | second "  \
    "|\n"
#define MANIFEST "name: n\nversion: 1.2.3\nsummary: A summary\nlanguage: it\n"

/* --- A packs directory per test, with something beside it that must not be reached --- */

typedef struct {
    char *top;
    char *packs;
    char *outside;
    PackRoot *root;
    Catalog *catalog; /* after the latest scan() */
} Fixture;

/* In place, so that the inode stays. (g_file_set_contents_full would do so without truncating.) */
static inline void write_file(const char *path, const char *text, gsize len)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, len), ==, (gssize)len);
    close(fd);
}

static inline void put(const Fixture *fixture, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename(fixture->packs, path, NULL);
    write_file(full, text, strlen(text));
}

static inline void put_pack(const Fixture *fixture, const char *path)
{
    g_autofree char *manifest = g_strconcat(path, "/manifest.yaml", NULL);
    g_autofree char *index = g_strconcat(path, "/wiki/index.md", NULL);
    g_autofree char *page = g_strconcat(path, "/wiki/a.md", NULL);
    put(fixture, manifest, MANIFEST);
    put(fixture, index, INDEX_TWO_ROWS);
    put(fixture, page, "page\n");
}

static inline void make_directory(const Fixture *fixture, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->packs, path, NULL);
    g_assert_cmpint(g_mkdir_with_parents(full, 0755), ==, 0);
}

static inline void make_link(const Fixture *fixture, const char *target, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->packs, path, NULL);
    g_assert_cmpint(symlink(target, full), ==, 0);
}

/* A file of that size that takes no room on disk. */
static inline void put_sparse(const Fixture *fixture, const char *path, gint64 size)
{
    put(fixture, path, "");
    g_autofree char *full = g_build_filename(fixture->packs, path, NULL);
    g_assert_cmpint(truncate(full, size), ==, 0);
}

static inline void delete_tree(const char *path)
{
    g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        delete_tree(child);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

static inline void discard(const Fixture *fixture, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->packs, path, NULL);
    delete_tree(full);
}

static inline void set_up(Fixture *fixture, gconstpointer walk)
{
    pack_dir_force_walk(walk != NULL);
    fixture->top = g_dir_make_tmp("kontor-scan-XXXXXX", NULL);
    fixture->packs = g_build_filename(fixture->top, "packs", NULL);
    fixture->outside = g_build_filename(fixture->top, "outside", NULL);
    g_assert_cmpint(g_mkdir(fixture->packs, 0755), ==, 0);
    g_autofree char *secret = g_build_filename(fixture->outside, "wiki", "index.md", NULL);
    write_file(secret, INDEX_TWO_ROWS, strlen(INDEX_TWO_ROWS));
    fixture->root = pack_root_open(fixture->packs, NULL);
    g_assert_nonnull(fixture->root);
    fixture->catalog = catalog_new_empty();
}

static inline void tear_down(Fixture *fixture, gconstpointer walk)
{
    (void)walk;
    pack_dir_force_walk(FALSE);
    pack_root_unref(fixture->root);
    catalog_unref(fixture->catalog);
    delete_tree(fixture->top);
    g_free(fixture->top);
    g_free(fixture->packs);
    g_free(fixture->outside);
}

/* --- Scanning and asking --- */

static inline PackScan *scan(Fixture *fixture, const char *prefix)
{
    GError *error = NULL;
    PackScan *result = pack_scan(fixture->root, prefix, fixture->catalog, 2, &error);
    g_assert_no_error(error);
    Catalog *next =
        catalog_with_changes(fixture->catalog, result->upserts, result->removals, result->directories);
    catalog_unref(fixture->catalog);
    fixture->catalog = next;
    return result;
}

static inline void rescan(Fixture *fixture)
{
    pack_scan_free(scan(fixture, ""));
}

static inline const CatalogPack *place(const Fixture *fixture, const char *path)
{
    return catalog_place(fixture->catalog, path, strlen(path));
}

static inline gboolean has_line(GPtrArray *lines, const char *text)
{
    for (guint i = 0; i < lines->len; i++)
        if (strstr(g_ptr_array_index(lines, i), text) != NULL)
            return TRUE;
    return FALSE;
}

static inline void assert_one_line_each(GPtrArray *lines)
{
    for (guint i = 0; i < lines->len; i++) {
        const char *line = g_ptr_array_index(lines, i);
        g_assert_true(g_utf8_validate(line, -1, NULL));
        for (const char *c = line; *c != '\0'; c++)
            g_assert_cmpuint((guchar)*c, >=, 0x20);
    }
}

static inline char *children_of(const Fixture *fixture, const char *path)
{
    g_autoptr(GPtrArray) children = NULL;
    if (!catalog_children(fixture->catalog, path, strlen(path), &children, NULL))
        return g_strdup("(none)");
    g_ptr_array_add(children, NULL);
    return g_strjoinv(" ", (char **)children->pdata);
}

static inline void assert_children(const Fixture *fixture, const char *path, const char *expected)
{
    g_autofree char *children = children_of(fixture, path);
    g_assert_cmpstr(children, ==, expected);
}

static inline const CatalogFile *file_of(const CatalogPack *pack, const char *name)
{
    return catalog_pack_file(pack, name, strlen(name));
}

static inline void assert_warning(const Fixture *fixture, const char *path, const char *text)
{
    const CatalogPack *pack = place(fixture, path);
    g_assert_nonnull(pack);
    g_assert_true(pack->is_pack);
    g_assert_null(pack->problem);
    assert_one_line_each(pack->warnings);
    if (!has_line(pack->warnings, text))
        g_error("no warning has \"%s\"; the first of %u is: %s", text, pack->warnings->len,
                pack->warnings->len > 0 ? (const char *)g_ptr_array_index(pack->warnings, 0) : "");
}

static inline void describe(const Catalog *catalog, const char *path, GString *out)
{
    g_autoptr(GPtrArray) children = NULL;
    gboolean has_pack = FALSE;
    g_assert_true(catalog_children(catalog, path, strlen(path), &children, &has_pack));
    g_string_append_printf(out, "%s %d\n", path, has_pack);
    const CatalogPack *pack = catalog_place(catalog, path, strlen(path));
    for (guint i = 0; pack != NULL && i < pack->file_count; i++)
        g_string_append_printf(out, " %s %" G_GUINT64_FORMAT "\n", pack->files[i].name,
                               pack->files[i].identity.inode);
    for (guint i = 0; pack != NULL && i < pack->warnings->len; i++)
        g_string_append_printf(out, " ! %s\n", (const char *)g_ptr_array_index(pack->warnings, i));
    for (guint i = 0; i < children->len; i++) {
        g_autofree char *child =
            g_strconcat(path, path[0] != '\0' ? "/" : "", g_ptr_array_index(children, i), NULL);
        describe(catalog, child, out);
    }
}

static inline char *description(const Catalog *catalog)
{
    GString *out = g_string_new(NULL);
    describe(catalog, "", out);
    return g_string_free(out, FALSE);
}

static inline void remove_if_there(const Fixture *fixture, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->packs, path, NULL);
    if (g_file_test(full, G_FILE_TEST_EXISTS))
        delete_tree(full);
}

static inline void add(const char *group, const char *name, void (*function)(Fixture *, gconstpointer))
{
    g_autofree char *path = g_strconcat(group, name, NULL);
    g_test_add(path, Fixture, NULL, set_up, function, tear_down);
}

/* Once with openat2 and once with the walk that stands in for it. */
static inline void add_both(const char *group, const char *name, void (*function)(Fixture *, gconstpointer))
{
    add(group, name, function);
    g_autofree char *path = g_strconcat(group, "walk/", name, NULL);
    g_test_add(path, Fixture, GINT_TO_POINTER(TRUE), set_up, function, tear_down);
}
