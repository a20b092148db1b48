/* SPDX-License-Identifier: MIT
 *
 * What sources leave in the store: exactly what no source uses goes, and nothing but that.
 */
#include "mirror/agent/source_files.h"

#include <fcntl.h>
#include <glib/gstdio.h>

#include "mirror/agent/git_sync.h"
#include "mirror/agent/peer_sync.h"
#include "mirror/store/dir_tree.h"

enum { FILE_BYTES = 50000 };

typedef struct {
    char *store;
    GPtrArray *sources;
} World;

static void world_init(World *world)
{
    world->store = g_dir_make_tmp("kontor-files-XXXXXX", NULL);
    world->sources = g_ptr_array_new_with_free_func((GDestroyNotify)source_unref);
    g_autofree char *tmp = g_build_filename(world->store, "tmp", NULL);
    g_assert_cmpint(g_mkdir(tmp, 0700), ==, 0);
}

static void world_clear(World *world)
{
    g_assert_true(dir_tree_remove(AT_FDCWD, world->store, NULL));
    g_ptr_array_unref(world->sources);
    g_free(world->store);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static MirrorSource *add_source(World *world, SourceKind kind, const char *name, const char *url)
{
    MirrorSource *source = source_new(kind, name);
    source->url = g_strdup(url);
    g_ptr_array_add(world->sources, source);
    return source;
}

/* A file of FILE_BYTES, with the directories that it lies in. */
static void put(const World *world, const char *name)
{
    g_autofree char *path = g_build_filename(world->store, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *text = g_strnfill(FILE_BYTES, 'x');
    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static gboolean has(const World *world, const char *name)
{
    g_autofree char *path = g_build_filename(world->store, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static SourceFiles collect(const World *world, gboolean dry_run)
{
    SourceFiles files;
    source_files_collect(world->store, world->sources, dry_run, &files);
    g_assert_cmpuint(files.failed, ==, 0);
    return files;
}

static void test_nothing(void)
{
    g_auto(World) world = {0};
    world_init(&world);
    SourceFiles files = collect(&world, FALSE);
    g_assert_cmpuint(files.removed, ==, 0);
    g_assert_cmpuint(files.removed_bytes, ==, 0);
}

static void test_collect(void)
{
    g_auto(World) world = {0};
    world_init(&world);
    const MirrorSource *remote = add_source(&world, SOURCE_GIT, "remote", "https://example.org/packs");
    const MirrorSource *peer = add_source(&world, SOURCE_PEER, "south", "https://south.example");
    g_assert_null(git_sync_copy_name(add_source(&world, SOURCE_GIT, "local", "/srv/packs")));
    g_autofree char *copy = git_sync_copy_name(remote);
    g_autofree char *state = peer_sync_state_name(peer);
    g_autofree char *used_copy = g_build_filename("git", copy, "objects/pack/pack-1.pack", NULL);
    g_autofree char *used_state = g_build_filename("peers", state, NULL);
    const char *const unused[] = {"git/0123.git/objects/pack/pack-2.pack", "peers/gone.db",
                                  "peers/gone.db-wal"};
    const char *const kept[] = {
        used_copy,         used_state,        "peers/south.db-wal", "evidence/gone.note",
        "git/README.text", "releases/a/b.db", "mirror.db"};
    for (guint i = 0; i < G_N_ELEMENTS(unused); i++)
        put(&world, unused[i]);
    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        put(&world, kept[i]);
    SourceFiles would = collect(&world, TRUE);
    g_assert_cmpuint(would.removed, ==, 2);
    g_assert_cmpuint(would.removed_bytes, >=, 2 * FILE_BYTES);
    for (guint i = 0; i < G_N_ELEMENTS(unused); i++)
        g_assert_true(has(&world, unused[i]));
    SourceFiles did = collect(&world, FALSE);
    g_assert_cmpmem(&did, sizeof did, &would, sizeof would);
    for (guint i = 0; i < G_N_ELEMENTS(unused); i++)
        g_assert_false(has(&world, unused[i]));
    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        g_assert_true(has(&world, kept[i]));
    g_assert_cmpuint(collect(&world, FALSE).removed, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/source-files/nothing", test_nothing);
    g_test_add_func("/source-files/collect", test_collect);
    return g_test_run();
}
