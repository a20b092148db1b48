/* SPDX-License-Identifier: MIT
 *
 * Syncs of git repositories that behave: what is new, changed and gone, what is not looked at again, and what
 * is said when there is nothing to mirror.
 */
#include "git_world.h"

static void three_packs(World *world)
{
    world_put_pack(world, "history/rome", "one");
    world_put_pack(world, "history/rome/food", "below another pack");
    world_put_pack(world, "bread", "two");
    world_put(world, "README.md", "not a pack\n");
    world_commit(world);
}

static void test_first(void)
{
    g_auto(World) world;
    world_init(&world);
    three_packs(&world);
    world_expect(&world, "+ bread\n+ history/rome\n+ history/rome/food");
    g_assert_cmpuint(world.done.packs_seen, ==, 3);
    g_assert_false(world.done.partial);
    const SyncResult *result = g_ptr_array_index(world.results, 0);
    char commit[GIT_OID_HEXSZ + 1];
    git_oid_tostr(commit, sizeof commit, &world.commit);
    g_assert_cmpstr(result->pack->origin, ==, commit);
    g_assert_true(release_store_has(world.store, result->pack->digest));
    g_assert_cmpuint(world.progress.packs, ==, 3);
    g_assert_cmpuint(world.progress.packs_total, ==, 3);
    g_assert_cmpuint(world.progress.objects, ==, 12);
}

/* The bytes that are installed are those of the repository. */
static void test_bytes(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bread", "crust");
    world_put(&world, "bread/wiki/assets/x.txt", "asset\n");
    world_put(&world, "bread/raw/source.txt", "not mirrored");
    world_put(&world, "bread/notes.txt", "not mirrored");
    world_put(&world, "bread/wiki/.hidden/x.md", "not mirrored");
    world_commit(&world);
    world_expect(&world, "+ bread");
    const SyncResult *result = g_ptr_array_index(world.results, 0);
    char digest[SHA256_HEX_CHARS + 1];
    hex_encode(result->pack->digest, SHA256_BYTES, digest);
    const char *releases = release_store_releases_dir(world.store);
    static const struct {
        const char *name, *text;
    } files[] = {{"manifest.yaml", WORLD_MANIFEST},
                 {"wiki/index.md", WORLD_INDEX},
                 {"wiki/a.md", "# bread\n\ncrust\n"},
                 {"wiki/assets/x.txt", "asset\n"},
                 {"raw", NULL},
                 {"notes.txt", NULL},
                 {"wiki/.hidden", NULL}};
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(releases, digest, files[i].name, NULL);
        g_autofree char *text = NULL;
        g_file_get_contents(path, &text, NULL, NULL);
        g_assert_cmpstr(text, ==, files[i].text);
        g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, files[i].text != NULL);
    }
}

static void test_nothing_new(void)
{
    g_auto(World) world;
    world_init(&world);
    three_packs(&world);
    world_expect(&world, "+ bread\n+ history/rome\n+ history/rome/food");
    world_expect(&world, "");
    g_assert_cmpuint(world.done.packs_seen, ==, 3);
    world_put(&world, "README.md", "another text\n");
    world_commit(&world);
    world_expect(&world, "");
    g_assert_cmpuint(world.done.packs_seen, ==, 3);
}

static void test_changes(void)
{
    g_auto(World) world;
    world_init(&world);
    three_packs(&world);
    for (guint i = 0; i < 8; i++) {
        g_autofree char *path = g_strdup_printf("many/p%u", i);
        world_put_pack(&world, path, "x");
    }
    world_commit(&world);
    g_assert_true(world_sync(&world, NULL));
    g_assert_cmpuint(world.done.packs_seen, ==, 11);
    world_put(&world, "history/rome/wiki/a.md", "changed\n");
    world_put_pack(&world, "new", "new");
    world_remove(&world, "bread");
    world_commit(&world);
    world_expect(&world, "+ history/rome\n+ new\n? bread");
    g_assert_cmpuint(world.done.packs_seen, ==, 11);
    /* A directory that is no pack any more, but still holds one. */
    world_remove(&world, "history/rome/manifest.yaml");
    world_commit(&world);
    world_expect(&world, "? history/rome");
    g_assert_cmpuint(world.done.packs_seen, ==, 10);
}

static void test_moved_pack(void)
{
    g_auto(World) world;
    world_init(&world);
    for (guint i = 0; i < 8; i++) {
        g_autofree char *path = g_strdup_printf("p%u", i);
        world_put_pack(&world, path, "x");
    }
    world_commit(&world);
    g_assert_true(world_sync(&world, NULL));
    world_remove(&world, "p3");
    world_put_pack(&world, "q/p3", "x");
    world_commit(&world);
    world_expect(&world, "+ q/p3\n? p3");
    g_assert_cmpuint(world.done.packs_seen, ==, 8);
}

static void many_packs(World *world, guint count)
{
    for (guint i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("p%02u", i);
        world_put_pack(world, path, "x");
    }
    world_commit(world);
    g_assert_true(world_sync(world, NULL));
    g_assert_cmpuint(world->results->len, ==, count);
}

static void remove_packs(World *world, guint from, guint to)
{
    for (guint i = from; i < to; i++) {
        g_autofree char *path = g_strdup_printf("p%02u", i);
        world_remove(world, path);
    }
    world_commit(world);
}

static void test_shrink(void)
{
    g_auto(World) world;
    world_init(&world);
    many_packs(&world, 10);
    remove_packs(&world, 0, 3);
    for (guint i = 0; i < 2; i++) {
        world_expect_failure(&world, KONTOR_ERROR_CONFLICT, "3 of 10 packs are gone at once");
        g_assert_cmpuint(world.results->len, ==, 0);
        g_assert_cmpstr(world.alarm, ==, "shrink");
        g_assert_nonnull(strstr(world.alarm_reason, "kontor mirror sync commons --prune"));
    }
    world.prune = TRUE;
    world_expect(&world, "? p00\n? p01\n? p02");
    g_assert_cmpstr(world.alarm, ==, "");
    g_assert_cmpuint(world.done.packs_seen, ==, 7);
    world.prune = FALSE;
    remove_packs(&world, 3, 4);
    world_expect(&world, "? p03");
    g_assert_null(world.alarm);
}

static void test_exactly_a_fifth(void)
{
    g_auto(World) world;
    world_init(&world);
    many_packs(&world, 10);
    remove_packs(&world, 0, 2);
    world_expect(&world, "? p00\n? p01");
}

/* The same without a state: mirror.db knows what the source had. */
static void test_shrink_full(void)
{
    g_auto(World) world;
    world_init(&world);
    many_packs(&world, 10);
    remove_packs(&world, 0, 10);
    world.full = TRUE;
    world_expect_failure(&world, KONTOR_ERROR_CONFLICT, "10 of 10 packs are gone at once");
    world.prune = TRUE;
    g_assert_true(world_sync(&world, NULL));
    g_assert_cmpuint(world.results->len, ==, 10);
    g_assert_cmpuint(world.done.packs_seen, ==, 0);
}

/* What we no longer want is not what the source has lost. */
static void test_other_globs(void)
{
    g_auto(World) world;
    world_init(&world);
    many_packs(&world, 10);
    g_ptr_array_set_size(world.source->include, 0);
    g_ptr_array_add(world.source->include, g_strdup("p00"));
    world_expect(&world, "+ p00\n? p01\n? p02\n? p03\n? p04\n? p05\n? p06\n? p07\n? p08\n? p09");
    g_assert_cmpuint(world.done.packs_seen, ==, 1);
    remove_packs(&world, 1, 10);
    world_expect(&world, "");
}

static void test_rewritten_history(void)
{
    g_auto(World) world;
    world_init(&world);
    many_packs(&world, 6);
    git_oid old = world.commit;
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, &old);
    world_put(&world, "p01/wiki/a.md", "rewritten\n");
    world_remove(&world, "p05");
    world_commit_tree(&world, world_write_node(&world, world.root), TRUE);
    g_autofree char *object = g_strdup_printf("%s/objects/%.2s/%s", world.origin, hex, hex + 2);
    g_assert_cmpint(g_unlink(object), ==, 0);
    world_expect(&world, "+ p01\n? p05");
    g_assert_cmpuint(world.done.packs_seen, ==, 5);
}

/* An older tree of which a part was collected. */
static void test_holes_in_history(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "a/x", "one");
    world_put_pack(&world, "b/x", "two");
    world_commit(&world);
    g_assert_true(world_sync(&world, NULL));
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, &node_find(world.root, "a")->id);
    world_put_pack(&world, "a/x", "changed");
    world_commit_tree(&world, world_write_node(&world, world.root), TRUE);
    g_autofree char *object = g_strdup_printf("%s/objects/%.2s/%s", world.origin, hex, hex + 2);
    g_assert_cmpint(g_unlink(object), ==, 0);
    world_expect(&world, "+ a/x");
    g_assert_cmpuint(world.done.packs_seen, ==, 2);
}

static void test_damaged_object(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bread", "one");
    world_commit(&world);
    char hex[GIT_OID_HEXSZ + 1];
    git_oid blob = world_blob(&world, WORLD_INDEX);
    git_oid_tostr(hex, sizeof hex, &blob);
    g_autofree char *object = g_strdup_printf("%s/objects/%.2s/%s", world.origin, hex, hex + 2);
    g_assert_cmpint(g_unlink(object), ==, 0);
    world_expect_failure(&world, KONTOR_ERROR_CORRUPT, "pack 'bread': wiki/index.md: file ");
}

static void test_one_pack(void)
{
    static const struct {
        const char *at, *path, *pack, *expected;
    } cases[] = {
        {"x/manifest.yaml", "x", NULL, "+ x"},
        {"x/manifest.yaml", "x", "history/rome", "+ history/rome"},
        {"y/x/manifest.yaml", "y/x", NULL, "+ x"},
        {"manifest.yaml", "", NULL, "+ commons"},
        {"manifest.yaml", "", "history/rome", "+ history/rome"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(World) world;
        world_init(&world);
        g_autofree char *directory = g_path_get_dirname(cases[i].at);
        g_autofree char *index = strcmp(directory, ".") == 0 ? g_strdup("wiki/index.md")
                                                             : g_strconcat(directory, "/wiki/index.md", NULL);
        world_put(&world, cases[i].at, WORLD_MANIFEST);
        world_put(&world, index, WORLD_INDEX);
        world_commit(&world);
        g_free(world.source->path);
        world.source->path = g_strdup(cases[i].path);
        world.source->pack = g_strdup(cases[i].pack);
        world_expect(&world, cases[i].expected);
        world_expect(&world, "");
    }
}

/* A repository whose root becomes a pack: all paths are others. */
static void test_root_becomes_pack(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "a", "one");
    world_commit(&world);
    world_expect(&world, "+ a");
    world_put(&world, "manifest.yaml", WORLD_MANIFEST);
    world_put(&world, "wiki/index.md", WORLD_INDEX);
    world_commit(&world);
    world.prune = TRUE;
    world_expect(&world, "+ commons\n+ commons/a\n? a");
    g_assert_cmpuint(world.done.packs_seen, ==, 2);
    world_expect(&world, "");
}

static void test_path(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "packs/deep/a", "one");
    world_put_pack(&world, "elsewhere/b", "two");
    world_put(&world, "packs/file", "x");
    world_commit(&world);
    g_free(world.source->path);
    world.source->path = g_strdup("packs/deep");
    world_expect(&world, "+ a");
    g_free(world.source->path);
    world.source->path = g_strdup("packs/shallow");
    world.full = TRUE;
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND,
                         "no directory 'packs/shallow' in the repository: does not exist");
    g_free(world.source->path);
    world.source->path = g_strdup("packs/file/x");
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND,
                         "no directory 'packs/file' in the repository: it is a file");
}

static void test_references(void)
{
    g_auto(World) world;
    world_init(&world);
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "the repository is empty");
    world_put_pack(&world, "a", "one");
    git_oid first = world_commit(&world);
    world_put_pack(&world, "b", "two");
    world_commit(&world);
    git_reference *reference = NULL;
    git_object *object = NULL;
    git_oid tag;
    git_signature *tagger = NULL;
    g_assert_cmpint(git_signature_new(&tagger, "A", "a@b", 1, 0), ==, 0);
    g_assert_cmpint(git_object_lookup(&object, world.repository, &first, GIT_OBJECT_ANY), ==, 0);
    g_assert_cmpint(git_tag_create(&tag, world.repository, "v1", object, tagger, "annotated", 0), ==, 0);
    g_assert_cmpint(git_reference_create(&reference, world.repository, "refs/heads/dev", &first, 0, NULL), ==,
                    0);
    git_reference_free(reference);
    git_signature_free(tagger);
    git_object_free(object);
    world.source->ref = g_strdup("main");
    world_expect(&world, "+ a\n+ b");
    world.source->ref_is_tag = TRUE;
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "no tag 'main'; there are: v1");
    g_free(world.source->ref);
    world.source->ref = g_strdup("v1");
    world.full = world.prune = TRUE;
    world_expect(&world, "+ a\n? b");
    world.source->ref_is_tag = FALSE;
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "no branch 'v1'; there are: dev, main");
    g_clear_pointer(&world.source->ref, g_free);
    g_assert_cmpint(git_repository_set_head(world.repository, "refs/heads/gone"), ==, 0);
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "name one of: dev, main");
}

/* A tag of something that is no commit. */
static void test_tag_of_blob(void)
{
    g_auto(World) world;
    world_init(&world);
    git_oid blob = world_blob(&world, "x");
    git_reference *reference = NULL;
    g_assert_cmpint(git_reference_create(&reference, world.repository, "refs/tags/v1", &blob, 0, NULL), ==,
                    0);
    git_reference_free(reference);
    world.source->ref = g_strdup("v1");
    world.source->ref_is_tag = TRUE;
    world_expect_failure(&world, KONTOR_ERROR_MALFORMED, "refs/tags/v1 does not name a commit");
}

static void test_no_packs(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put(&world, "README.md", "x");
    world_put(&world, "half/manifest.yaml", WORLD_MANIFEST);
    world_put(&world, "other/wiki/index.md", WORLD_INDEX);
    world_put(&world, ".hidden/manifest.yaml", WORLD_MANIFEST);
    world_put(&world, ".hidden/wiki/index.md", WORLD_INDEX);
    world_put_pack(&world, "raw/a", "x");
    world_put_pack(&world, "wiki/a", "x");
    world_commit(&world);
    world_expect_failure(
        &world, KONTOR_ERROR_NOT_FOUND,
        "origin.git: is no pack repository: no directory below its root has manifest.yaml and "
        "wiki/index.md");
    world_put_pack(&world, "a", "x");
    world_commit(&world);
    g_ptr_array_add(world.source->exclude, g_strdup("**"));
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "'include' and 'exclude' leave none");
}

static void test_no_repository(void)
{
    g_auto(World) world;
    world_init(&world);
    g_free(world.source->url);
    world.source->url = g_build_filename(world.top, "nothing", NULL);
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "nothing: is no git repository");
    g_free(world.source->url);
    world.source->url = g_strdup("ext::sh -c true");
    g_assert_false(world_sync(&world, NULL));
    g_free(world.source->url);
    world.source->url = g_strconcat("file://", world.origin, NULL);
    world_put_pack(&world, "a", "x");
    world_commit(&world);
    world_expect(&world, "+ a");
}

/* The configuration of the repository, of the user and of the system changes nothing. */
static void test_isolation(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autofree char *evidence = g_build_filename(world.top, "evidence", NULL);
    g_autofree char *hook = g_build_filename(world.origin, "hooks", "post-checkout", NULL);
    g_autofree char *hooks = g_path_get_dirname(hook);
    g_autofree char *script = g_strdup_printf("#!/bin/sh\ntouch %s\n", evidence);
    g_mkdir_with_parents(hooks, 0755);
    g_assert_true(g_file_set_contents_full(hook, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    git_config *config = NULL;
    g_assert_cmpint(git_repository_config(&config, world.repository), ==, 0);
    g_assert_cmpint(git_config_set_string(config, "core.fsmonitor", hook), ==, 0);
    g_assert_cmpint(git_config_set_string(config, "core.autocrlf", "true"), ==, 0);
    g_assert_cmpint(git_config_set_string(config, "filter.x.smudge", hook), ==, 0);
    git_config_free(config);
    world_put(&world, ".gitattributes", "* filter=x text eol=crlf\n");
    world_put_pack(&world, "a", "x");
    world_commit(&world);
    world_expect(&world, "+ a");
    g_assert_false(g_file_test(evidence, G_FILE_TEST_EXISTS));
    const SyncResult *result = g_ptr_array_index(world.results, 0);
    char digest[SHA256_HEX_CHARS + 1];
    hex_encode(result->pack->digest, SHA256_BYTES, digest);
    g_autofree char *page =
        g_build_filename(release_store_releases_dir(world.store), digest, "wiki/a.md", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(page, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "# a\n\nx\n");
}

/* Out of bytes: what was done stays, the next sync goes on. */
static void test_budget_of_bytes(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autofree char *large = g_strnfill(100000, 'x');
    for (guint i = 0; i < 6; i++) {
        g_autofree char *path = g_strdup_printf("p%u", i);
        world_put_pack(&world, path, large);
    }
    world_commit(&world);
    world.source->bytes_max = 250000;
    guint installed = 0;
    for (guint round = 0; round < 3; round++) {
        g_assert_true(world_sync(&world, NULL));
        installed += world.results->len;
        g_assert_cmpuint(world.results->len, ==, 2);
        g_assert_cmpint(world.done.partial, ==, round < 2);
    }
    g_assert_cmpuint(installed, ==, 6);
    world_expect(&world, "");
    world.source->bytes_max = 50000;
    world_put_pack(&world, "p0", g_strreverse(large));
    world_put(&world, "p0/wiki/b.md", "changed\n");
    world_commit(&world);
    world_expect_failure(&world, KONTOR_ERROR_BUSY, "raise max_bytes");
}

static void test_budget_of_time(void)
{
    g_auto(World) world;
    world_init(&world);
    three_packs(&world);
    world.seconds = 0;
    world_expect_failure(&world, KONTOR_ERROR_BUSY, "out of time");
    g_assert_cmpuint(world.results->len, ==, 0);
    world.seconds = 60;
    world_expect(&world, "+ bread\n+ history/rome\n+ history/rome/food");
}

/* A sync that was cut short reported a pack that is gone again when the next one comes. */
static void test_unsettled(void)
{
    g_auto(World) world;
    world_init(&world);
    many_packs(&world, 10);
    g_autofree char *large = g_strnfill(100000, 'x');
    world_put_pack(&world, "a0", large);
    world_put_pack(&world, "a1", large);
    world_commit(&world);
    world.source->bytes_max = 150000;
    world_expect(&world, "+ a0");
    g_assert_true(world.done.partial);
    world_remove(&world, "a0");
    world_commit(&world);
    world_expect(&world, "+ a1\n? a0");
    g_assert_false(world.done.partial);
    g_assert_cmpuint(world.done.packs_seen, ==, 11);
    world_expect(&world, "");
}

/* Deeper than a path may be: not looked into, and nothing else suffers. */
static void test_deep(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autoptr(GString) path = g_string_new("d");
    for (guint i = 1; i < 64; i++)
        g_string_append(path, "/d");
    world_put_pack(&world, path->str, "too deep");
    g_autoptr(GString) page = g_string_new("a/wiki");
    for (guint i = 0; i < 64; i++)
        g_string_append(page, "/d");
    world_put_pack(&world, "a", "x");
    world_put(&world, page->str, "too deep");
    world_put_pack(&world, "b", "x");
    world_commit(&world);
    g_assert_true(world_sync(&world, NULL));
    g_assert_cmpuint(world.results->len, ==, 2);
    g_autofree char *said = world_said(&world);
    g_assert_nonnull(strstr(said, "path too deep"));
    g_assert_true(g_str_has_prefix(said, "! a: wiki/d/d/d"));
    g_assert_true(g_str_has_suffix(said, "\n+ b") || strstr(said, "+ b\n") != NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git-sync/first", test_first);
    g_test_add_func("/git-sync/bytes", test_bytes);
    g_test_add_func("/git-sync/nothing-new", test_nothing_new);
    g_test_add_func("/git-sync/changes", test_changes);
    g_test_add_func("/git-sync/moved-pack", test_moved_pack);
    g_test_add_func("/git-sync/shrink", test_shrink);
    g_test_add_func("/git-sync/exactly-a-fifth", test_exactly_a_fifth);
    g_test_add_func("/git-sync/shrink-full", test_shrink_full);
    g_test_add_func("/git-sync/other-globs", test_other_globs);
    g_test_add_func("/git-sync/rewritten-history", test_rewritten_history);
    g_test_add_func("/git-sync/holes-in-history", test_holes_in_history);
    g_test_add_func("/git-sync/damaged-object", test_damaged_object);
    g_test_add_func("/git-sync/one-pack", test_one_pack);
    g_test_add_func("/git-sync/root-becomes-pack", test_root_becomes_pack);
    g_test_add_func("/git-sync/path", test_path);
    g_test_add_func("/git-sync/references", test_references);
    g_test_add_func("/git-sync/tag-of-blob", test_tag_of_blob);
    g_test_add_func("/git-sync/no-packs", test_no_packs);
    g_test_add_func("/git-sync/no-repository", test_no_repository);
    g_test_add_func("/git-sync/isolation", test_isolation);
    g_test_add_func("/git-sync/budget-of-bytes", test_budget_of_bytes);
    g_test_add_func("/git-sync/budget-of-time", test_budget_of_time);
    g_test_add_func("/git-sync/unsettled", test_unsettled);
    g_test_add_func("/git-sync/deep", test_deep);
    return g_test_run();
}
