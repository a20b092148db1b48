/* SPDX-License-Identifier: MIT
 *
 * Views against a slow obvious model: at every step each view is what one gets by laying the granted private
 * packs over the public ones from scratch; its journal tells exactly that; and it says that it has changed
 * exactly when it has. Then what is kept on disk, and what goes.
 */
#include "broker/serve/views.h"
#include "mirror/catalog/pack_item.h"
#include "signing/trust_list.h"

#include <glib/gstdio.h>
#include <string.h>

enum { ROUNDS = 300, PATHS = 40, TOKENS = 5, NOW = 1000 };

static const char *const names[] = {"a", "b", "law", "eu", "x-y"};

/* --- A world: two catalogs, tokens, a keeper --- */

typedef struct {
    char *directory;
    SecretKey *key;
    ViewKeeper *keeper;
    GRand *rng;
    GPtrArray *paths;
    Catalog *packs, *hidden;
    DigestTrie *trie; /* of the public packs */
    ReadTokens *tokens;
    Views *views;
    guint64 number, public_number;
    guint8 content;
} World;

static void world_set_up(World *world, gconstpointer data G_GNUC_UNUSED)
{
    *world = (World){.directory = g_dir_make_tmp("kontor-views-XXXXXX", NULL)};
    world->key = secret_key_generate();
    world->keeper = view_keeper_new(world->directory, world->key);
    world->rng = g_rand_new_with_seed((guint32)g_test_rand_int());
    world->packs = catalog_new_empty();
    world->hidden = catalog_new_empty();
    world->trie = digest_trie_new_empty();
    world->tokens = read_tokens_new_empty();
    world->paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < PATHS; i++) {
        GString *path = g_string_new(names[g_rand_int_range(world->rng, 0, G_N_ELEMENTS(names))]);
        for (gint more = g_rand_int_range(world->rng, 0, 3); more > 0; more--)
            g_string_append_printf(path, "/%s", names[g_rand_int_range(world->rng, 0, G_N_ELEMENTS(names))]);
        g_ptr_array_add(world->paths, g_string_free(path, FALSE));
    }
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

static void world_tear_down(World *world, gconstpointer data G_GNUC_UNUSED)
{
    views_unref(world->views);
    view_keeper_free(world->keeper);
    read_tokens_free(world->tokens);
    catalog_unref(world->packs);
    catalog_unref(world->hidden);
    digest_trie_unref(world->trie);
    g_ptr_array_unref(world->paths);
    g_rand_free(world->rng);
    secret_key_free(world->key);
    remove_tree(world->directory);
    g_free(world->directory);
}

static CatalogPack *pack_new(World *world, const char *path)
{
    CatalogPack *pack = catalog_pack_new(path, "nowhere");
    pack->is_pack = g_rand_int_range(world->rng, 0, 8) > 0;
    pack->rows_indexed = 3;
    pack->release.version = g_strdup("1.2.3");
    pack->release.published_at = g_strdup("2026-01-02T03:04:05Z");
    pack->release.has_digest = TRUE;
    memset(pack->release.digest, ++world->content, SHA256_BYTES);
    return pack;
}

/* Changes some places of a catalog; sometimes none. */
static void change(World *world, Catalog **catalog, gboolean directories)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    g_autoptr(GPtrArray) removals = g_ptr_array_new(), listed = g_ptr_array_new();
    for (gint i = g_rand_int_range(world->rng, 0, 5); i > 0; i--) {
        char *path = world->paths->pdata[g_rand_int_range(world->rng, 0, PATHS)];
        if (g_rand_boolean(world->rng))
            g_ptr_array_add(upserts, pack_new(world, path));
        else if (catalog_place(*catalog, path, strlen(path)) != NULL)
            g_ptr_array_add(removals, path);
    }
    gboolean list = directories && g_rand_int_range(world->rng, 0, 4) == 0;
    for (gint i = g_rand_int_range(world->rng, 0, 3); list && i > 0; i--)
        g_ptr_array_add(listed, world->paths->pdata[g_rand_int_range(world->rng, 0, PATHS)]);
    Catalog *next = catalog_with_changes(*catalog, upserts, removals, list ? listed : NULL);
    catalog_unref(*catalog);
    *catalog = next;
}

static void add_token(World *world, const char *name, gint64 expires, const char *glob, const char *other)
{
    GPtrArray *paths = g_ptr_array_new();
    g_ptr_array_add(paths, g_strdup(glob));
    if (other != NULL)
        g_ptr_array_add(paths, g_strdup(other));
    g_autoptr(ReadToken) token = read_token_new(name, paths, 0, expires);
    /* The hash of a token that nobody has, so that tests can find it by its name. */
    sha256(name, strlen(name), token->sha256);
    ReadTokens *next = read_tokens_with(world->tokens, token, NULL);
    g_assert_nonnull(next);
    read_tokens_free(world->tokens);
    world->tokens = next;
}

static void remove_token(World *world, const char *name)
{
    ReadTokens *next = read_tokens_without(world->tokens, name, NULL);
    g_assert_nonnull(next);
    read_tokens_free(world->tokens);
    world->tokens = next;
}

static DigestTrie *trie_of(const Catalog *catalog)
{
    g_autoptr(GPtrArray) places = catalog_places_below(catalog, "", 0);
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    g_autoptr(GPtrArray) without = g_ptr_array_new();
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    pack_item_sort(places, items, without);
    return digest_trie_with_changes(empty, items, NULL);
}

static void advance(World *world)
{
    digest_trie_unref(world->trie);
    world->trie = trie_of(world->packs);
    ViewInput input = {.packs = world->packs,
                       .trie = world->trie,
                       .hidden = world->hidden,
                       .tokens = world->tokens,
                       .broker_name = "library.example",
                       .number = ++world->number,
                       .public_number = world->public_number,
                       .now = NOW};
    Views *next = view_keeper_advance(world->keeper, &input);
    views_unref(world->views);
    world->views = next;
}

static const View *view_of(const World *world, const char *token)
{
    guint8 hash[SHA256_BYTES];
    sha256(token, strlen(token), hash);
    return views_find(world->views, hash, NOW);
}

/* --- The model --- */

static const CatalogPack *expected_place(const World *world, const ReadToken *token, const char *path)
{
    const CatalogPack *hidden = catalog_place(world->hidden, path, strlen(path));
    gboolean granted = FALSE;
    for (guint i = 0; hidden != NULL && hidden->is_pack && i < token->paths->len; i++)
        granted = granted || trust_glob_matches(token->paths->pdata[i], path);
    return granted ? hidden : catalog_place(world->packs, path, strlen(path));
}

static void add_expected(const World *world, const ReadToken *token, const Catalog *catalog,
                         GPtrArray *places)
{
    g_autoptr(GPtrArray) all = catalog_places_below(catalog, "", 0);
    for (guint i = 0; i < all->len; i++) {
        const CatalogPack *place = expected_place(world, token, ((CatalogPack *)all->pdata[i])->path);
        if (place != NULL)
            g_ptr_array_add(places, (gpointer)(gsize)place);
    }
}

/* The whole catalog, made from nothing. */
static Catalog *expected_catalog(const World *world, const ReadToken *token)
{
    g_autoptr(Catalog) empty = catalog_new_empty();
    g_autoptr(GPtrArray) places = g_ptr_array_new();
    g_autoptr(GPtrArray) directories = catalog_empty_directories(world->packs);
    add_expected(world, token, world->packs, places);
    add_expected(world, token, world->hidden, places);
    return catalog_with_changes(empty, places, NULL, directories);
}

static void assert_same_catalog(const Catalog *a, const Catalog *b)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new(), removals = g_ptr_array_new();
    gboolean directories = TRUE;
    catalog_compare(a, b, upserts, removals, &directories);
    g_assert_cmpuint(upserts->len, ==, 0);
    g_assert_cmpuint(removals->len, ==, 0);
    g_assert_false(directories);
    g_assert_cmpuint(catalog_pack_count(a), ==, catalog_pack_count(b));
}

static void assert_root(const View *view)
{
    g_autoptr(DigestTrie) trie = trie_of(view->catalog);
    const DigestTrie *told = journal_trie(exchange_journal(view->exchange));
    g_assert_cmpmem(digest_trie_digest(told), SHA256_BYTES, digest_trie_digest(trie), SHA256_BYTES);
}

static void check(const World *world)
{
    for (guint i = 0; i < read_tokens_count(world->tokens); i++) {
        const ReadToken *token = read_tokens_nth(world->tokens, i);
        const View *view = view_of(world, token->name);
        g_assert_nonnull(view);
        g_autoptr(Catalog) expected = expected_catalog(world, token);
        assert_same_catalog(view->catalog, expected);
        assert_root(view);
        g_assert_true(views_by_id(world->views, view->id) == view);
    }
}

static void test_model(World *world, gconstpointer data G_GNUC_UNUSED)
{
    add_token(world, "all", G_MAXINT64, "**", NULL);
    add_token(world, "a", G_MAXINT64, "a/**", "a");
    add_token(world, "same", G_MAXINT64, "a", "a/**");
    add_token(world, "law", G_MAXINT64, "law/*", NULL);
    add_token(world, "none", G_MAXINT64, "nothing/here", NULL);
    for (guint round = 0; round < ROUNDS; round++) {
        if (g_rand_boolean(world->rng)) {
            change(world, &world->packs, TRUE);
            world->public_number = world->number + 1;
        }
        if (g_rand_boolean(world->rng))
            change(world, &world->hidden, FALSE);
        if (round % 50 == 20)
            remove_token(world, "law");
        if (round % 50 == 30)
            add_token(world, "law", G_MAXINT64, "law/*", NULL);
        advance(world);
        check(world);
        g_assert_true(view_of(world, "a") == view_of(world, "same"));
    }
    g_assert_cmpuint(views_count(world->views), ==, 4);
}

/* --- What changes, and what does not --- */

static void put(World *world, Catalog **catalog, const char *path)
{
    g_autoptr(CatalogPack) pack = pack_new(world, path);
    pack->is_pack = TRUE;
    g_autoptr(GPtrArray) upserts = g_ptr_array_new();
    g_ptr_array_add(upserts, pack);
    Catalog *next = catalog_with_changes(*catalog, upserts, NULL, NULL);
    catalog_unref(*catalog);
    *catalog = next;
}

static guint64 generation(const World *world, const char *token)
{
    return journal_generation(exchange_journal(view_of(world, token)->exchange));
}

/* A view's number is the key of all that is cached of it: it moves when, and only when, something does. */
static void test_numbers(World *world, gconstpointer data G_GNUC_UNUSED)
{
    add_token(world, "a", G_MAXINT64, "a/**", NULL);
    add_token(world, "b", G_MAXINT64, "b/**", NULL);
    put(world, &world->packs, "a/x");
    put(world, &world->hidden, "a/x");
    advance(world);
    guint64 a = view_of(world, "a")->number, b = view_of(world, "b")->number;
    guint64 generation_a = generation(world, "a"), generation_b = generation(world, "b");
    advance(world);
    g_assert_cmpuint(view_of(world, "a")->number, ==, a);
    put(world, &world->hidden, "a/y");
    advance(world);
    g_assert_cmpuint(view_of(world, "a")->number, >, a);
    g_assert_cmpuint(view_of(world, "b")->number, ==, b);
    g_assert_cmpuint(generation(world, "a"), >, generation_a);
    g_assert_cmpuint(generation(world, "b"), ==, generation_b);
    a = view_of(world, "a")->number;
    put(world, &world->packs, "a/x"); /* stands behind the private one */
    advance(world);
    g_assert_cmpuint(view_of(world, "a")->number, ==, a);
    g_assert_cmpuint(view_of(world, "b")->number, >, b);
    world->public_number++;
    advance(world);
    g_assert_cmpuint(view_of(world, "a")->number, >, a);
}

static void test_expiry(World *world, gconstpointer data G_GNUC_UNUSED)
{
    guint8 hash[SHA256_BYTES];
    add_token(world, "soon", NOW + 10, "**", NULL);
    add_token(world, "over", NOW, "a", NULL);
    advance(world);
    sha256("soon", 4, hash);
    g_assert_nonnull(views_find(world->views, hash, NOW + 9));
    g_assert_null(views_find(world->views, hash, NOW + 10));
    g_assert_null(view_of(world, "over"));
    g_assert_cmpuint(views_count(world->views), ==, 1);
    hash[31] ^= 1;
    g_assert_null(views_find(world->views, hash, NOW));
    g_assert_null(views_find(NULL, hash, NOW));
    g_assert_false(views_any(NULL));
    g_assert_true(views_any(world->views));
}

static void test_checkpoint(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;
    PublicKey public;
    secret_key_public(world->key, &public);
    add_token(world, "a", G_MAXINT64, "a/**", NULL);
    advance(world);
    const View *view = view_of(world, "a");
    g_autoptr(GBytes) note = exchange_checkpoint(view->exchange, 2000000000, &error);
    g_assert_no_error(error);
    CatalogCheckpoint checkpoint;
    g_assert_true(catalog_checkpoint_open(g_bytes_get_data(note, NULL), g_bytes_get_size(note), &public,
                                          &checkpoint, &name, &error));
    g_assert_cmpstr(checkpoint.view, ==, view->id);
    g_assert_cmpstr(name, ==, "library.example");
}

/* --- On disk --- */

static gboolean is_kept(const World *world, const char *id)
{
    g_autofree char *path = g_build_filename(world->directory, id, "catalog.db", NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void restart(World *world)
{
    g_clear_pointer(&world->views, views_unref);
    view_keeper_free(world->keeper);
    world->keeper = view_keeper_new(world->directory, world->key);
}

/* Generations go on after a restart, and the files of a view go when its last token has, now or at the next
 * start. What is none of a view's files stays. */
static void test_files(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *strange = g_build_filename(world->directory, "notes.txt", NULL);
    g_assert_true(g_file_set_contents(strange, "mine", -1, NULL));
    add_token(world, "a", G_MAXINT64, "a/**", NULL);
    add_token(world, "b", G_MAXINT64, "b/**", NULL);
    put(world, &world->hidden, "a/x");
    advance(world);
    g_autofree char *a = g_strdup(view_of(world, "a")->id), *b = g_strdup(view_of(world, "b")->id);
    guint64 before = generation(world, "a");
    restart(world);
    advance(world);
    g_assert_cmpuint(generation(world, "a"), ==, before);
    g_assert_true(is_kept(world, a) && is_kept(world, b));
    remove_token(world, "a");
    g_autoptr(Views) held = views_ref(world->views);
    advance(world);
    g_assert_true(is_kept(world, a)); /* somebody still answers from it */
    g_clear_pointer(&held, views_unref);
    advance(world);
    g_assert_false(is_kept(world, a));
    remove_token(world, "b");
    restart(world);
    g_assert_true(is_kept(world, b));
    advance(world);
    g_assert_false(is_kept(world, b));
    g_assert_true(g_file_test(strange, G_FILE_TEST_EXISTS));
}

/* A token that comes back while its view is still in use goes on with the same files. */
static void test_revival(World *world, gconstpointer data G_GNUC_UNUSED)
{
    add_token(world, "a", G_MAXINT64, "a/**", NULL);
    put(world, &world->hidden, "a/x");
    advance(world);
    guint64 before = generation(world, "a");
    Views *held = views_ref(world->views);
    remove_token(world, "a");
    advance(world);
    put(world, &world->hidden, "a/y");
    put(world, &world->packs, "b");
    advance(world);
    add_token(world, "again", G_MAXINT64, "a/**", NULL);
    advance(world);
    check(world);
    g_assert_cmpuint(generation(world, "again"), >, before);
    views_unref(held);
}

/* A disk that takes nothing must not make a stranger of a token holder. */
static void test_broken_disk(World *world, gconstpointer data G_GNUC_UNUSED)
{
    view_keeper_free(world->keeper);
    g_autofree char *file = g_build_filename(world->directory, "file", NULL);
    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    world->keeper = view_keeper_new(file, world->key);
    add_token(world, "a", G_MAXINT64, "a", NULL);
    put(world, &world->hidden, "a");
    advance(world);
    const View *view = view_of(world, "a");
    g_assert_nonnull(catalog_place(view->catalog, "a", 1));
    g_assert_null(view->exchange);
    g_assert_null(view_index(view));
    g_assert_cmpint(g_remove(file), ==, 0);
    advance(world);
    view = view_of(world, "a");
    g_assert_nonnull(view->exchange);
    assert_root(view);
}

/* --- Search --- */

static void write_pack(const char *root, const char *pack, const char *word)
{
    g_autofree char *directory = g_build_filename(root, pack, "wiki", NULL);
    g_autofree char *index = g_build_filename(directory, "index.md", NULL);
    g_autofree char *page = g_build_filename(directory, "page.md", NULL);
    g_autofree char *body = g_strdup_printf("%s\n", word);
    g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
    g_assert_true(g_file_set_contents(
        index, "# Index\n\n| File | Title | Summary |\n|---|---|---|\n| page.md | T | S |\n", -1, NULL));
    g_assert_true(g_file_set_contents(page, body, -1, NULL));
}

static guint found(const View *view, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) hits = search_index_query(view_index(view), word, 10, "", 0, &error);
    g_assert_no_error(error);
    return hits->len;
}

/* Each view's index has the private packs of the view and no others. */
static void test_search(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *packs = g_build_filename(world->directory, "packs", NULL);
    write_pack(packs, "a/x", "orchid");
    write_pack(packs, "b/x", "quartz");
    g_autoptr(PackRoot) root = pack_root_open(packs, &error);
    g_assert_no_error(error);
    g_autoptr(PackScan) scan = pack_scan(root, "", NULL, 1, &error);
    g_assert_no_error(error);
    g_autoptr(Catalog) all = catalog_with_changes(world->hidden, scan->upserts, NULL, NULL);
    g_autoptr(Catalog) none = catalog_ref(world->hidden);
    add_token(world, "a", G_MAXINT64, "a/*", NULL);
    add_token(world, "all", G_MAXINT64, "**", NULL);
    catalog_unref(world->hidden);
    world->hidden = catalog_ref(all);
    advance(world);
    g_assert_null(view_index(view_of(world, "a")));
    view_keeper_index(world->keeper, root, 1);
    g_assert_cmpuint(found(view_of(world, "a"), "orchid"), ==, 1);
    g_assert_cmpuint(found(view_of(world, "a"), "quartz"), ==, 0);
    g_assert_cmpuint(found(view_of(world, "all"), "orchid"), ==, 1);
    g_assert_cmpuint(found(view_of(world, "all"), "quartz"), ==, 1);
    guint64 before = search_index_generation(view_index(view_of(world, "a")));
    advance(world);
    view_keeper_index(world->keeper, root, 1);
    g_assert_cmpuint(search_index_generation(view_index(view_of(world, "a"))), ==, before);
    catalog_unref(world->hidden);
    world->hidden = catalog_ref(none);
    advance(world);
    view_keeper_index(world->keeper, root, 1);
    g_assert_cmpuint(found(view_of(world, "all"), "orchid"), ==, 0);
}

/* --- Threads --- */

typedef struct {
    World *world;
    GMutex lock;
    Views *shared; /* guarded by the lock */
    gint stop;     /* atomic */
} Race;

static gpointer read_all_the_time(gpointer data)
{
    Race *race = data;
    guint8 hash[SHA256_BYTES];
    sha256("all", 3, hash);
    while (!g_atomic_int_get(&race->stop)) {
        g_mutex_lock(&race->lock);
        g_autoptr(Views) views = views_ref(race->shared);
        g_mutex_unlock(&race->lock);
        const View *view = views_find(views, hash, NOW);
        if (view == NULL)
            continue;
        g_autoptr(GPtrArray) places = catalog_places_sorted(view->catalog);
        g_assert_cmpuint(places->len, >=, catalog_pack_count(view->catalog));
        g_autoptr(GBytes) note = exchange_checkpoint(view->exchange, 2000000000, NULL);
        g_assert_nonnull(note);
        SearchIndex *index = view_index(view);
        if (index != NULL)
            g_assert_cmpuint(search_index_rows(index), ==, 0);
    }
    return NULL;
}

/* Readers hold on to what was, while tokens and packs come and go. */
static void test_threads(World *world, gconstpointer data G_GNUC_UNUSED)
{
    Race race = {.world = world};
    GThread *threads[3];
    g_mutex_init(&race.lock);
    advance(world);
    race.shared = views_ref(world->views);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("reader", read_all_the_time, &race);
    for (guint round = 0; round < 60; round++) {
        change(world, &world->packs, TRUE);
        if (round % 10 == 0)
            add_token(world, "all", G_MAXINT64, "**", NULL);
        if (round % 10 == 7)
            remove_token(world, "all");
        advance(world);
        g_mutex_lock(&race.lock);
        Views *old = race.shared;
        race.shared = views_ref(world->views);
        g_mutex_unlock(&race.lock);
        views_unref(old);
        view_keeper_index(world->keeper, NULL, 1);
    }
    g_atomic_int_set(&race.stop, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    views_unref(race.shared);
    g_mutex_clear(&race.lock);
}

static void add(const char *name, void (*function)(World *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/views/", name, NULL);
    g_test_add(path, World, NULL, world_set_up, function, world_tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    add("model", test_model);
    add("numbers", test_numbers);
    add("expiry", test_expiry);
    add("checkpoint", test_checkpoint);
    add("files", test_files);
    add("revival", test_revival);
    add("broken-disk", test_broken_disk);
    add("search", test_search);
    add("threads", test_threads);
    return g_test_run();
}
