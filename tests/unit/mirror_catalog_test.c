/* SPDX-License-Identifier: MIT
 *
 * The catalog against a slow obvious model: a table from path to place and a set of listed directories, in
 * which every question is answered by looking at everything.
 */
#include "mirror/catalog/catalog.h"

#include <pthread.h>
#include <string.h>

enum { ROUNDS = 2000, SNAPSHOTS = 12, PATHS_MAX_DEPTH = 3 };

static const char *const segments[] = {"a", "b", "a-b", "a.b", "wiki", "raw", ".x", "caf\xc3\xa9", "B", "ab"};
static const char *const file_names[] = {"manifest.yaml",  "manifest.sig", "wiki/index.md",
                                         "wiki/log.md",    "wiki/a/x.md",  "wiki/concepts.md",
                                         "wiki/wiki/x.md", "wiki/a-b.md"};

/* --- The model --- */

typedef struct {
    GHashTable *places; /* path -> CatalogPack, both owned */
    GHashTable *listed; /* set of paths, owned */
} Model;

static Model *model_new(void)
{
    Model *model = g_new0(Model, 1);
    model->places =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)catalog_pack_unref);
    model->listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return model;
}

static void model_free(Model *model)
{
    g_hash_table_unref(model->places);
    g_hash_table_unref(model->listed);
    g_free(model);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Model, model_free)

static Model *model_copy(const Model *model)
{
    Model *copy = model_new();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, model->places);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(copy->places, g_strdup(key), catalog_pack_ref(value));
    g_hash_table_iter_init(&iter, model->listed);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_hash_table_add(copy->listed, g_strdup(key));
    return copy;
}

static void add_names_below(GHashTable *paths, const char *directory, GHashTable *names, gboolean *exists)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, paths);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const char *path = key;
        gsize len = strlen(directory);
        if (strcmp(path, directory) == 0)
            *exists = TRUE;
        if (len > 0 && (!g_str_has_prefix(path, directory) || path[len] != '/'))
            continue;
        *exists = TRUE;
        const char *rest = path + (len > 0 ? len + 1 : 0);
        g_autofree char *name = g_strndup(rest, strcspn(rest, "/"));
        if (name[0] != '.' && strcmp(name, "wiki") != 0 && strcmp(name, "raw") != 0)
            g_hash_table_add(names, g_steal_pointer(&name));
    }
}

static gint compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a set, sorted, borrowed. */
static GPtrArray *sorted_keys(GHashTable *table)
{
    GPtrArray *keys = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(keys, key);
    g_ptr_array_sort(keys, compare_strings);
    return keys;
}

static void assert_same_strings(GPtrArray *a, GPtrArray *b)
{
    g_assert_cmpuint(a->len, ==, b->len);
    for (guint i = 0; i < a->len; i++)
        g_assert_cmpstr(g_ptr_array_index(a, i), ==, g_ptr_array_index(b, i));
}

/* --- Comparing --- */

static void check_directory(const Catalog *catalog, const Model *model, const char *directory)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gboolean exists = directory[0] == '\0';
    add_names_below(model->places, directory, names, &exists);
    add_names_below(model->listed, directory, names, &exists);
    g_autoptr(GPtrArray) children = NULL;
    gboolean has_pack = FALSE;
    g_assert_cmpint(catalog_children(catalog, directory, strlen(directory), &children, &has_pack), ==,
                    exists);
    if (!exists)
        return;
    g_autoptr(GPtrArray) expected = sorted_keys(names);
    assert_same_strings(children, expected);
    const CatalogPack *place = g_hash_table_lookup(model->places, directory);
    g_assert_cmpint(has_pack, ==, place != NULL && place->is_pack);
    g_assert_true(catalog_place(catalog, directory, strlen(directory)) == place);
}

static void check_resolve(const Catalog *catalog, const Model *model, const char *path)
{
    const CatalogPack *expected = NULL;
    for (gsize len = strlen(path); len > 0 && expected == NULL; len--) {
        if (path[len] != '/')
            continue;
        g_autofree char *directory = g_strndup(path, len);
        const CatalogPack *place = g_hash_table_lookup(model->places, directory);
        for (guint i = 0; place != NULL && i < place->file_count; i++)
            if (strcmp(place->files[i].name, path + len + 1) == 0)
                expected = place;
    }
    const CatalogPack *place = NULL;
    const CatalogFile *file = NULL;
    g_assert_cmpint(catalog_resolve(catalog, path, strlen(path), &place, &file), ==, expected != NULL);
    g_assert_true(place == expected);
    if (file != NULL)
        g_assert_true(g_str_has_suffix(path, file->name));
}

static void check_totals(const Catalog *catalog, const Model *model)
{
    guint packs = 0, problems = 0;
    guint64 pages = 0, bytes = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, model->places);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const CatalogPack *place = value;
        problems += place->problem != NULL;
        packs += place->is_pack ? 1 : 0;
        pages += place->is_pack ? place->rows_indexed : 0;
        bytes += place->is_pack ? place->bytes : 0;
    }
    g_assert_cmpuint(catalog_pack_count(catalog), ==, packs);
    g_assert_cmpuint(catalog_page_count(catalog), ==, pages);
    g_assert_cmpuint(catalog_byte_count(catalog), ==, bytes);
    g_assert_cmpuint(catalog_problem_count(catalog), ==, problems);
}

static void check_lists(const Catalog *catalog, const Model *model)
{
    g_autoptr(GPtrArray) places = catalog_places_sorted(catalog);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (guint i = 0; i < places->len; i++)
        g_ptr_array_add(paths, ((CatalogPack *)g_ptr_array_index(places, i))->path);
    g_autoptr(GPtrArray) expected = sorted_keys(model->places);
    assert_same_strings(paths, expected);
    g_autoptr(GPtrArray) listed = catalog_empty_directories(catalog);
    g_ptr_array_sort(listed, compare_strings);
    g_autoptr(GPtrArray) expected_listed = sorted_keys(model->listed);
    assert_same_strings(listed, expected_listed);
}

static void check_below(const Catalog *catalog, const Model *model, const char *directory)
{
    g_autoptr(GPtrArray) places = catalog_places_below(catalog, directory, strlen(directory));
    g_autofree char *prefix = g_strconcat(directory, "/", NULL);
    guint expected = 0;
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, model->places);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        expected += strcmp(key, directory) == 0 || g_str_has_prefix(key, prefix);
    g_assert_cmpuint(places->len, ==, expected);
}

static void check_same(const Catalog *catalog, const Model *model)
{
    check_totals(catalog, model);
    check_lists(catalog, model);
    check_directory(catalog, model, "");
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, model->places);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        for (char *path = g_strdup(key), *slash = path; slash != NULL;) {
            check_directory(catalog, model, path);
            slash = strrchr(path, '/');
            if (slash != NULL)
                *slash = '\0';
            else
                g_free(path);
        }
    }
}

/* --- Random changes --- */

static guint below(GRand *rng, guint end)
{
    return (guint)g_rand_int_range(rng, 0, (gint32)end);
}

static char *random_path(GRand *rng)
{
    GString *path = g_string_new(NULL);
    for (guint depth = 1 + below(rng, PATHS_MAX_DEPTH); depth > 0; depth--)
        g_string_append_printf(path, "%s%s", path->len > 0 ? "/" : "",
                               segments[below(rng, G_N_ELEMENTS(segments))]);
    return g_string_free(path, FALSE);
}

static CatalogPack *random_pack(GRand *rng, const char *path)
{
    g_autoptr(GArray) files = g_array_new(FALSE, TRUE, sizeof(CatalogFile));
    for (guint i = 0; i < G_N_ELEMENTS(file_names); i++) {
        CatalogFile file = {.name = file_names[i], .identity.size = below(rng, 1000)};
        if (g_rand_boolean(rng))
            g_array_append_val(files, file);
    }
    CatalogPack *pack = catalog_pack_new(path, "/nowhere");
    catalog_pack_set_files(pack, files);
    pack->is_pack = g_rand_boolean(rng);
    pack->rows_indexed = below(rng, 50);
    if (!pack->is_pack && g_rand_boolean(rng))
        pack->problem = g_strdup("broken");
    return pack;
}

typedef struct {
    GPtrArray *upserts;
    GPtrArray *removals;
    GPtrArray *directories; /* NULL: unchanged */
} Batch;

static void batch_clear(Batch *batch)
{
    g_ptr_array_unref(batch->upserts);
    g_ptr_array_unref(batch->removals);
    g_clear_pointer(&batch->directories, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

static void batch_init(Batch *batch, GRand *rng)
{
    batch->upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    batch->removals = g_ptr_array_new_with_free_func(g_free);
    batch->directories = below(rng, 4) == 0 ? g_ptr_array_new_with_free_func(g_free) : NULL;
    for (guint i = below(rng, 6); i > 0; i--) {
        g_autofree char *path = random_path(rng);
        g_ptr_array_add(batch->upserts, random_pack(rng, path));
    }
    for (guint i = below(rng, 6); i > 0; i--)
        g_ptr_array_add(batch->removals, random_path(rng));
    for (guint i = below(rng, 5); batch->directories != NULL && i > 0; i--)
        g_ptr_array_add(batch->directories, random_path(rng));
}

static void model_apply(Model *model, const Batch *batch)
{
    for (guint i = 0; i < batch->removals->len; i++)
        g_hash_table_remove(model->places, g_ptr_array_index(batch->removals, i));
    for (guint i = 0; i < batch->upserts->len; i++) {
        CatalogPack *pack = g_ptr_array_index(batch->upserts, i);
        g_hash_table_replace(model->places, g_strdup(pack->path), catalog_pack_ref(pack));
    }
    if (batch->directories == NULL)
        return;
    g_hash_table_remove_all(model->listed);
    for (guint i = 0; i < batch->directories->len; i++)
        g_hash_table_add(model->listed, g_strdup(g_ptr_array_index(batch->directories, i)));
}

/* What catalog_compare says, applied to the older one, gives the newer one, and names nothing that is the
 * same object in both. */
static void check_compare(const Model *before, Catalog *from, Catalog *to)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new(), removals = g_ptr_array_new();
    gboolean directories = FALSE;
    catalog_compare(from, to, upserts, removals, &directories);
    for (guint i = 0; i < upserts->len; i++) {
        CatalogPack *pack = g_ptr_array_index(upserts, i);
        g_assert_true(g_hash_table_lookup(before->places, pack->path) != pack);
        g_assert_true(catalog_place(to, pack->path, strlen(pack->path)) == pack);
    }
    for (guint i = 0; i < removals->len; i++)
        g_assert_true(g_hash_table_contains(before->places, g_ptr_array_index(removals, i)));
    g_autoptr(GPtrArray) listed = catalog_empty_directories(to);
    g_autoptr(Catalog) again = catalog_with_changes(from, upserts, removals, directories ? listed : NULL);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    gboolean differ = TRUE;
    catalog_compare(to, again, none, none, &differ);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_false(differ);
    g_assert_true(catalog_is_same(to, to));
}

static void test_random_changes(void)
{
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)g_test_rand_int());
    g_autoptr(Catalog) catalog = catalog_new_empty();
    g_autoptr(Model) model = model_new();
    Catalog *snapshots[SNAPSHOTS] = {0};
    Model *snapshot_models[SNAPSHOTS] = {0};
    for (guint round = 1; round <= ROUNDS; round++) {
        g_auto(Batch) batch = {0};
        batch_init(&batch, rng);
        Catalog *next = catalog_with_changes(catalog, batch.upserts, batch.removals, batch.directories);
        catalog_unref(catalog);
        catalog = next;
        model_apply(model, &batch);
        check_totals(catalog, model);
        if (round % 100 == 0)
            check_same(catalog, model);
        for (guint i = 0; i < 4; i++) {
            g_autofree char *directory = random_path(rng);
            g_autofree char *file =
                g_strconcat(directory, "/", file_names[below(rng, G_N_ELEMENTS(file_names))], NULL);
            check_directory(catalog, model, directory);
            check_below(catalog, model, directory);
            check_resolve(catalog, model, file);
            check_resolve(catalog, model, directory);
        }
        if (below(rng, ROUNDS / SNAPSHOTS) == 0) { /* an old snapshot must stay what it was */
            guint slot = below(rng, SNAPSHOTS);
            if (snapshots[slot] != NULL)
                check_compare(snapshot_models[slot], snapshots[slot], catalog);
            g_clear_pointer(&snapshots[slot], catalog_unref);
            g_clear_pointer(&snapshot_models[slot], model_free);
            snapshots[slot] = catalog_ref(catalog);
            snapshot_models[slot] = model_copy(model);
        }
    }
    for (guint i = 0; i < SNAPSHOTS; i++) {
        if (snapshots[i] != NULL)
            check_same(snapshots[i], snapshot_models[i]);
        g_clear_pointer(&snapshots[i], catalog_unref);
        g_clear_pointer(&snapshot_models[i], model_free);
    }
    /* The model's reference is the last one: nothing was counted twice or forgotten. */
    g_clear_pointer(&catalog, catalog_unref);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, model->places);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_assert_cmpint(g_atomic_int_get(&((CatalogPack *)value)->refs), ==, 1);
    catalog = catalog_new_empty(); /* for the autoptr */
}

/* --- Order does not matter --- */

static void describe(const Catalog *catalog, const char *path, GString *out)
{
    g_autoptr(GPtrArray) children = NULL;
    gboolean has_pack = FALSE;
    g_assert_true(catalog_children(catalog, path, strlen(path), &children, &has_pack));
    const CatalogPack *place = catalog_place(catalog, path, strlen(path));
    g_string_append_printf(out, "%s %d %p\n", path, has_pack, (const void *)place);
    for (guint i = 0; i < children->len; i++) {
        g_autofree char *child =
            g_strconcat(path, path[0] != '\0' ? "/" : "", g_ptr_array_index(children, i), NULL);
        describe(catalog, child, out);
    }
}

static void shuffle(GPtrArray *array, GRand *rng)
{
    for (guint i = array->len; i > 1; i--) {
        guint j = below(rng, i);
        gpointer other = array->pdata[j];
        array->pdata[j] = array->pdata[i - 1];
        array->pdata[i - 1] = other;
    }
}

static GPtrArray *distinct_packs(GRand *rng, guint count)
{
    GPtrArray *packs = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while (packs->len < count) {
        char *path = random_path(rng);
        if (g_hash_table_add(seen, path))
            g_ptr_array_add(packs, random_pack(rng, path));
    }
    return packs;
}

static Catalog *build_in_batches(GPtrArray *packs, GRand *rng, guint batch_max)
{
    Catalog *catalog = catalog_new_empty();
    for (guint at = 0; at < packs->len;) {
        g_autoptr(GPtrArray) some = g_ptr_array_new();
        for (guint n = 1 + below(rng, batch_max); n > 0 && at < packs->len; n--)
            g_ptr_array_add(some, g_ptr_array_index(packs, at++));
        Catalog *next = catalog_with_changes(catalog, some, NULL, NULL);
        catalog_unref(catalog);
        catalog = next;
    }
    return catalog;
}

static void test_order_does_not_matter(void)
{
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)g_test_rand_int());
    g_autoptr(GPtrArray) packs = distinct_packs(rng, 250);
    g_autoptr(Catalog) reference = build_in_batches(packs, rng, 1);
    g_autoptr(GString) expected = g_string_new(NULL);
    describe(reference, "", expected);
    for (guint round = 0; round < 20; round++) {
        shuffle(packs, rng);
        g_autoptr(Catalog) catalog = build_in_batches(packs, rng, 1 + round * 20);
        g_autoptr(GString) got = g_string_new(NULL);
        describe(catalog, "", got);
        g_assert_cmpstr(got->str, ==, expected->str);
        g_assert_cmpuint(catalog_page_count(catalog), ==, catalog_page_count(reference));
    }
    /* Removing everything again, in any order, leaves nothing. */
    g_autoptr(GPtrArray) removals = g_ptr_array_new();
    for (guint i = 0; i < packs->len; i++)
        g_ptr_array_add(removals, ((CatalogPack *)g_ptr_array_index(packs, i))->path);
    g_autoptr(Catalog) empty = catalog_with_changes(reference, NULL, removals, NULL);
    g_autoptr(GPtrArray) children = NULL;
    g_assert_true(catalog_children(empty, "", 0, &children, NULL));
    g_assert_cmpuint(children->len, ==, 0);
    g_assert_cmpuint(catalog_pack_count(empty), ==, 0);
}

/* --- Particular cases --- */

static CatalogPack *plain_pack(const char *path)
{
    CatalogPack *pack = catalog_pack_new(path, "/nowhere");
    pack->is_pack = TRUE;
    pack->rows_indexed = 3;
    return pack;
}

static Catalog *with_packs(Catalog *base, const char *const *paths)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    for (guint i = 0; paths[i] != NULL; i++)
        g_ptr_array_add(upserts, plain_pack(paths[i]));
    return catalog_with_changes(base, upserts, NULL, NULL);
}

static void test_places_sorted_by_whole_path(void)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    static const char *const paths[] = {"a/x", "a-b", "a", "a.b", "a/\xc3\xa9", "a0", NULL};
    static const char *const sorted[] = {"a", "a-b", "a.b", "a/x", "a/\xc3\xa9", "a0"};
    g_autoptr(Catalog) catalog = with_packs(empty, paths);
    g_autoptr(GPtrArray) places = catalog_places_sorted(catalog);
    g_assert_cmpuint(places->len, ==, G_N_ELEMENTS(sorted));
    for (guint i = 0; i < places->len; i++)
        g_assert_cmpstr(((CatalogPack *)g_ptr_array_index(places, i))->path, ==, sorted[i]);
}

static void test_odd_paths_find_nothing(void)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    static const char *const paths[] = {"a/b", NULL};
    g_autoptr(Catalog) catalog = with_packs(empty, paths);
    static const char *const odd[] = {"/",     "//",       "/a", "a/", "a//b", "a/b/",
                                      "a/b/c", "a/b/wiki", "A",  ".",  "..",   "a/.."};
    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(GPtrArray) children = NULL;
        const CatalogPack *place = NULL;
        const CatalogFile *file = NULL;
        g_assert_false(catalog_children(catalog, odd[i], strlen(odd[i]), &children, NULL));
        g_assert_null(children);
        g_assert_null(catalog_place(catalog, odd[i], strlen(odd[i])));
        g_assert_false(catalog_resolve(catalog, odd[i], strlen(odd[i]), &place, &file));
    }
    g_assert_nonnull(catalog_place(catalog, "a/b/tail", 3)); /* by length, not to the NUL */
}

static void test_removals_of_odd_paths(void)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    static const char *const paths[] = {"a/b", NULL};
    g_autoptr(Catalog) catalog = with_packs(empty, paths);
    g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(g_free);
    static const char *const odd[] = {"", "/", "a/", "a//b", "a/b/", "//a/b", "a", "a/b/c/d/e", "z/z"};
    for (guint i = 0; i < G_N_ELEMENTS(odd); i++)
        g_ptr_array_add(removals, g_strdup(odd[i]));
    GString *deep = g_string_new("a");
    for (guint i = 0; i < 100000; i++)
        g_string_append(deep, "/a");
    g_ptr_array_add(removals, g_string_free(deep, FALSE));
    g_autoptr(Catalog) after = catalog_with_changes(catalog, NULL, removals, NULL);
    g_assert_cmpuint(catalog_pack_count(after), ==, 1);
    g_assert_nonnull(catalog_place(after, "a/b", 3));
}

static void test_sharing(void)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    static const char *const first[] = {"a/x", "b/y", NULL}, *const second[] = {"a/z", NULL};
    g_autoptr(Catalog) before = with_packs(empty, first);
    g_autoptr(Catalog) after = with_packs(before, second);
    g_autoptr(GPtrArray) old_names = NULL;
    g_autoptr(GPtrArray) new_names = NULL;
    g_assert_true(catalog_children(before, "b", 1, &old_names, NULL));
    g_assert_true(catalog_children(after, "b", 1, &new_names, NULL));
    /* Names are borrowed from nodes: the same address is the same node. */
    g_assert_true(g_ptr_array_index(old_names, 0) == g_ptr_array_index(new_names, 0));
    g_clear_pointer(&new_names, g_ptr_array_unref);
    g_assert_null(catalog_place(before, "a/z", 3));
    g_assert_nonnull(catalog_place(after, "a/z", 3));
    g_clear_pointer(&before, catalog_unref);
    g_assert_nonnull(catalog_place(after, "b/y", 3)); /* what was shared outlives its first owner */
}

static void test_resolve_takes_deepest_place(void)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    g_autoptr(GArray) files = g_array_new(FALSE, TRUE, sizeof(CatalogFile));
    CatalogFile outer_files[] = {{.name = "wiki/b/wiki/x.md"}, {.name = "wiki/only.md"}};
    g_array_append_vals(files, outer_files, 2);
    CatalogPack *outer = plain_pack("a");
    catalog_pack_set_files(outer, files);
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    g_ptr_array_add(upserts, outer);
    CatalogPack *inner = plain_pack("a/wiki/b");
    g_array_set_size(files, 0);
    CatalogFile inner_file = {.name = "wiki/x.md", .identity.size = 7};
    g_array_append_val(files, inner_file);
    catalog_pack_set_files(inner, files);
    g_ptr_array_add(upserts, inner);
    g_autoptr(Catalog) catalog = catalog_with_changes(empty, upserts, NULL, NULL);
    const CatalogPack *place = NULL;
    const CatalogFile *file = NULL;
    g_assert_true(catalog_resolve(catalog, "a/wiki/b/wiki/x.md", 18, &place, &file));
    g_assert_true(place == inner);
    g_assert_cmpuint(file->identity.size, ==, 7);
    g_assert_true(catalog_resolve(catalog, "a/wiki/only.md", 14, &place, &file));
    g_assert_true(place == outer);
    g_assert_cmpuint(inner->bytes, ==, 7);
}

/* A change must not cost more than its directory, and a batch must not copy a directory once per change: with
 * 30,000 children the quadratic way would take minutes. */
static void test_wide_root(void)
{
    enum { WIDTH = 30000, SINGLE_CHANGES = 200 };
    g_autoptr(Catalog) empty = catalog_new_empty();
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    for (guint i = 0; i < WIDTH; i++) {
        g_autofree char *path = g_strdup_printf("pack-%u", i);
        g_ptr_array_add(upserts, plain_pack(path));
    }
    gint64 start = g_get_monotonic_time();
    g_autoptr(Catalog) catalog = catalog_with_changes(empty, upserts, NULL, NULL);
    gint64 batch_us = g_get_monotonic_time() - start;
    g_assert_cmpuint(catalog_pack_count(catalog), ==, WIDTH);
    start = g_get_monotonic_time();
    for (guint i = 0; i < SINGLE_CHANGES; i++) {
        static const char *const one[] = {"pack-17", NULL};
        Catalog *next = with_packs(catalog, one);
        catalog_unref(catalog);
        catalog = next;
    }
    gint64 single_us = (g_get_monotonic_time() - start) / SINGLE_CHANGES;
    g_test_message("batch of %d: %" G_GINT64_FORMAT " us, one of them: %" G_GINT64_FORMAT " us", WIDTH,
                   batch_us, single_us);
    g_assert_cmpint(batch_us, <, 5 * G_USEC_PER_SEC);
    g_assert_cmpint(single_us, <, 100 * 1000);
    g_assert_cmpuint(catalog_page_count(catalog), ==, (guint64)3 * WIDTH);
}

/* --- Readers while snapshots change --- */

/* pthread's lock and not GLib's: ThreadSanitizer knows only the former. */
static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;
static Catalog *current;
static int readers_stop;

static Catalog *take_current(void)
{
    pthread_mutex_lock(&current_lock);
    Catalog *catalog = catalog_ref(current);
    pthread_mutex_unlock(&current_lock);
    return catalog;
}

static gpointer read_snapshots(gpointer data)
{
    (void)data;
    guint64 reads = 0;
    while (!g_atomic_int_get(&readers_stop)) {
        g_autoptr(Catalog) catalog = take_current();
        g_autoptr(GPtrArray) places = catalog_places_sorted(catalog);
        guint packs = 0;
        for (guint i = 0; i < places->len; i++) {
            const CatalogPack *place = g_ptr_array_index(places, i);
            g_assert_true(catalog_place(catalog, place->path, strlen(place->path)) == place);
            packs += place->is_pack ? 1 : 0;
        }
        g_assert_cmpuint(packs, ==, catalog_pack_count(catalog)); /* never a mixture of two states */
        reads++;
    }
    return GUINT_TO_POINTER((guint)reads);
}

static void test_concurrent_readers(void)
{
    enum { READERS = 3, CHANGES = 400 };
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)g_test_rand_int());
    current = catalog_new_empty();
    g_atomic_int_set(&readers_stop, FALSE);
    GThread *threads[READERS];
    for (guint i = 0; i < READERS; i++)
        threads[i] = g_thread_new("reader", read_snapshots, NULL);
    for (guint i = 0; i < CHANGES; i++) {
        g_auto(Batch) batch = {0};
        batch_init(&batch, rng);
        Catalog *next = catalog_with_changes(current, batch.upserts, batch.removals, batch.directories);
        pthread_mutex_lock(&current_lock);
        Catalog *old = current;
        current = next;
        pthread_mutex_unlock(&current_lock);
        catalog_unref(old);
    }
    g_atomic_int_set(&readers_stop, TRUE);
    for (guint i = 0; i < READERS; i++)
        g_thread_join(threads[i]);
    g_clear_pointer(&current, catalog_unref);
}

/* --- Page by page --- */

/* A slash counts as lower than every other byte. */
static gint compare_by_tree(gconstpointer a, gconstpointer b)
{
    const char *left = (*(const CatalogPack *const *)a)->path,
               *right = (*(const CatalogPack *const *)b)->path;
    while (*left != '\0' && *left == *right) {
        left++;
        right++;
    }
    int l = *left == '/' ? 1 : *left == '\0' ? 0 : (guchar)*left + 1;
    int r = *right == '/' ? 1 : *right == '\0' ? 0 : (guchar)*right + 1;
    return l - r;
}

static GPtrArray *packs_by_tree(const Catalog *catalog)
{
    GPtrArray *packs = catalog_places_sorted(catalog);
    for (guint i = packs->len; i-- > 0;)
        if (!((const CatalogPack *)packs->pdata[i])->is_pack)
            g_ptr_array_remove_index(packs, i);
    g_ptr_array_sort(packs, compare_by_tree);
    return packs;
}

/* What follows any path, there or not, against a plain search of the sorted list. */
static void check_after(const Catalog *catalog, const GPtrArray *packs, const char *after, guint limit)
{
    CatalogPack probe = {.path = (char *)(guintptr)after};
    const CatalogPack *key = &probe;
    guint first = 0;
    while (after != NULL && first < packs->len && compare_by_tree(&packs->pdata[first], &key) <= 0)
        first++;
    g_autoptr(GPtrArray) page = catalog_packs_after(catalog, after, limit);
    g_assert_cmpuint(page->len, ==, MIN(limit, packs->len - first));
    for (guint i = 0; i < page->len; i++)
        g_assert_true(page->pdata[i] == packs->pdata[first + i]);
}

static void test_pages_of_packs(void)
{
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)g_test_rand_int());
    g_autoptr(Catalog) catalog = catalog_new_empty();
    for (guint round = 0; round < 60; round++) {
        g_auto(Batch) batch = {0};
        batch_init(&batch, rng);
        Catalog *next = catalog_with_changes(catalog, batch.upserts, batch.removals, batch.directories);
        catalog_unref(catalog);
        catalog = next;
        g_autoptr(GPtrArray) packs = packs_by_tree(catalog);
        check_after(catalog, packs, NULL, below(rng, packs->len + 2));
        for (guint i = 0; i < 20; i++) {
            g_autofree char *after = random_path(rng);
            check_after(catalog, packs, after, 1 + below(rng, packs->len + 2));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mirror/catalog/random-changes", test_random_changes);
    g_test_add_func("/mirror/catalog/order-does-not-matter", test_order_does_not_matter);
    g_test_add_func("/mirror/catalog/sorted-by-whole-path", test_places_sorted_by_whole_path);
    g_test_add_func("/mirror/catalog/odd-paths", test_odd_paths_find_nothing);
    g_test_add_func("/mirror/catalog/odd-removals", test_removals_of_odd_paths);
    g_test_add_func("/mirror/catalog/sharing", test_sharing);
    g_test_add_func("/mirror/catalog/resolve-deepest", test_resolve_takes_deepest_place);
    g_test_add_func("/mirror/catalog/wide-root", test_wide_root);
    g_test_add_func("/mirror/catalog/pages-of-packs", test_pages_of_packs);
    g_test_add_func("/mirror/catalog/concurrent-readers", test_concurrent_readers);
    return g_test_run();
}
