/* SPDX-License-Identifier: MIT
 *
 * For tests of git sources: an origin repository made object by object, so that it can hold what no git
 * program would write, and a store with everything that a sync needs. Commits are made of what was put; each
 * World has directories of its own.
 */
#pragma once

#include <fcntl.h>
#include <git2.h>
#include <glib/gstdio.h>
#include <string.h>

#include "mirror/agent/git_sync.h"
#include "mirror/store/dir_tree.h"
#include "schema/limits.h"

#define WORLD_MANIFEST "name: n\nversion: 1.2.3\nsummary: A summary\nlanguage: it\n"
#define WORLD_INDEX                                                                                          \
    "# Wiki Index\n\n| File | Title | Summary |\n|---|---|---|\n| a.md | A | first |\n| b.md | B | second "  \
    "|\n"

/* A directory being put together; entries in the order in which they were added. */
typedef struct Node Node;
typedef struct {
    char *name;
    guint mode;
    git_oid id;
    Node *child; /* a directory made of what is in it; NULL: `id` */
} NodeEntry;
struct Node {
    GArray *entries; /* of NodeEntry */
};

typedef struct {
    char *top, *origin, *store_dir;
    git_repository *repository;
    git_odb *odb;
    Node *root;
    git_oid commit; /* the latest */
    gboolean has_commit;
    /* the one who syncs */
    MirrorSource *source;
    ReleaseStore *store;
    MirrorDb *db;
    TrustList *trust;
    char *state, *known_policy;
    gboolean full, prune;
    gint64 seconds;
    /* what the latest sync said */
    GPtrArray *results; /* of SyncResult * */
    char *alarm, *alarm_reason;
    SyncDone done;
    SyncProgress progress; /* the latest */
} World;

/* --- Objects --- */

static inline git_oid world_write(World *world, const void *data, gsize len, git_object_t type)
{
    git_oid id;
    g_assert_cmpint(git_odb_write(&id, world->odb, data, len, type), ==, 0);
    return id;
}

static inline git_oid world_blob(World *world, const char *text)
{
    return world_write(world, text, strlen(text), GIT_OBJECT_BLOB);
}

static inline Node *node_new(void)
{
    Node *node = g_new0(Node, 1);
    node->entries = g_array_new(FALSE, FALSE, sizeof(NodeEntry));
    return node;
}

static inline void node_free(Node *node)
{
    for (guint i = 0; i < node->entries->len; i++) {
        NodeEntry *entry = &g_array_index(node->entries, NodeEntry, i);
        g_free(entry->name);
        if (entry->child != NULL)
            node_free(entry->child);
    }
    g_array_unref(node->entries);
    g_free(node);
}

static inline NodeEntry *node_find(Node *node, const char *name)
{
    for (guint i = 0; i < node->entries->len; i++) {
        NodeEntry *entry = &g_array_index(node->entries, NodeEntry, i);
        if (strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

static inline NodeEntry *node_add(Node *node, const char *name, guint mode)
{
    NodeEntry entry = {.name = g_strdup(name), .mode = mode};
    g_array_append_val(node->entries, entry);
    return &g_array_index(node->entries, NodeEntry, node->entries->len - 1);
}

/* The directory at a slash path, made when it is not there; the last segment is left over. */
static inline Node *world_parent(World *world, const char *path, const char **ret_last)
{
    Node *node = world->root;
    const char *slash;
    for (; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        g_autofree char *name = g_strndup(path, (gsize)(slash - path));
        NodeEntry *entry = node_find(node, name);
        if (entry == NULL) {
            entry = node_add(node, name, 040000);
            entry->child = node_new();
        }
        g_assert_nonnull(entry->child);
        node = entry->child;
    }
    *ret_last = path;
    return node;
}

/* Adds an entry, even when one of that name is there. */
static inline void world_add(World *world, const char *path, guint mode, git_oid id)
{
    const char *last = NULL;
    Node *node = world_parent(world, path, &last);
    node_add(node, last, mode)->id = id;
}

static inline void world_remove(World *world, const char *path)
{
    const char *last = NULL;
    Node *node = world_parent(world, path, &last);
    for (guint i = 0; i < node->entries->len; i++) {
        NodeEntry *entry = &g_array_index(node->entries, NodeEntry, i);
        if (strcmp(entry->name, last) != 0)
            continue;
        g_free(entry->name);
        if (entry->child != NULL)
            node_free(entry->child);
        g_array_remove_index(node->entries, i);
        return;
    }
    g_assert_not_reached();
}

/* A file in place of what was there. */
static inline void world_put(World *world, const char *path, const char *text)
{
    const char *last = NULL;
    Node *node = world_parent(world, path, &last);
    NodeEntry *entry = node_find(node, last);
    if (entry == NULL)
        entry = node_add(node, last, 0100644);
    entry->id = world_blob(world, text);
}

/* A pack whose content depends on its path and `text`. */
static inline void world_put_pack(World *world, const char *path, const char *text)
{
    g_autofree char *manifest = g_strconcat(path, "/manifest.yaml", NULL);
    g_autofree char *index = g_strconcat(path, "/wiki/index.md", NULL);
    g_autofree char *page = g_strconcat(path, "/wiki/a.md", NULL);
    g_autofree char *other = g_strconcat(path, "/wiki/b.md", NULL);
    g_autofree char *body = g_strconcat("# ", path, "\n\n", text, "\n", NULL);
    world_put(world, manifest, WORLD_MANIFEST);
    world_put(world, index, WORLD_INDEX);
    world_put(world, page, body);
    world_put(world, other, "second\n");
}

static inline gint world_compare_entries(gconstpointer a, gconstpointer b)
{
    const NodeEntry *left = a, *right = b;
    g_autofree char *one = g_strconcat(left->name, left->mode == 040000 ? "/" : "", NULL);
    g_autofree char *two = g_strconcat(right->name, right->mode == 040000 ? "/" : "", NULL);
    return strcmp(one, two);
}

static inline git_oid world_write_node(World *world, Node *node)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    g_array_sort(node->entries, world_compare_entries);
    for (guint i = 0; i < node->entries->len; i++) {
        NodeEntry *entry = &g_array_index(node->entries, NodeEntry, i);
        if (entry->child != NULL)
            entry->id = world_write_node(world, entry->child);
        g_autofree char *head = g_strdup_printf("%o %s", entry->mode, entry->name);
        g_byte_array_append(raw, (const guint8 *)head, (guint)strlen(head) + 1);
        g_byte_array_append(raw, entry->id.id, GIT_OID_RAWSZ);
    }
    return world_write(world, raw->data, raw->len, GIT_OBJECT_TREE);
}

static inline git_oid world_commit_tree(World *world, git_oid tree, gboolean rewrite)
{
    char tree_hex[GIT_OID_HEXSZ + 1], parent_hex[GIT_OID_HEXSZ + 1];
    static guint serial;
    git_oid_tostr(tree_hex, sizeof tree_hex, &tree);
    git_oid_tostr(parent_hex, sizeof parent_hex, &world->commit);
    g_autofree char *parent =
        world->has_commit && !rewrite ? g_strdup_printf("parent %s\n", parent_hex) : g_strdup("");
    g_autofree char *text =
        g_strdup_printf("tree %s\n%sauthor A <a@b> %u +0000\ncommitter A <a@b> %u +0000\n\nx\n", tree_hex,
                        parent, 1700000000 + serial, 1700000000 + serial);
    serial++;
    world->commit = world_write(world, text, strlen(text), GIT_OBJECT_COMMIT);
    world->has_commit = TRUE;
    git_reference *reference = NULL;
    g_assert_cmpint(
        git_reference_create(&reference, world->repository, "refs/heads/main", &world->commit, 1, NULL), ==,
        0);
    git_reference_free(reference);
    return world->commit;
}

/* Commits what was put to refs/heads/main. */
static inline git_oid world_commit(World *world)
{
    return world_commit_tree(world, world_write_node(world, world->root), FALSE);
}

/* --- Life cycle --- */

static inline void world_open_store(World *world)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *db = g_build_filename(world->top, "mirror.db", NULL);
    world->store = release_store_open(world->store_dir, TRUE, &error);
    g_assert_no_error(error);
    world->db = mirror_db_open(db, DB_WRITE, &error);
    g_assert_no_error(error);
    const char *names[] = {"commons", NULL};
    g_autoptr(GPtrArray) changes = NULL;
    g_autofree char *origin = source_origin(world->source);
    const char *origins[] = {origin, NULL};
    mirror_db_set_sources(world->db, names, origins, &changes, &error);
    g_assert_no_error(error);
}

static inline void world_init(World *world)
{
    g_autoptr(GError) error = NULL;
    *world = (World){.seconds = 60};
    git_sync_init();
    signing_init();
    world->top = g_dir_make_tmp("kontor-git-XXXXXX", NULL);
    world->origin = g_build_filename(world->top, "origin.git", NULL);
    world->store_dir = g_build_filename(world->top, "store", NULL);
    git_repository_init_options options;
    git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
    options.initial_head = "main";
    g_assert_cmpint(git_repository_init_ext(&world->repository, world->origin, &options), ==, 0);
    g_assert_cmpint(git_repository_odb(&world->odb, world->repository), ==, 0);
    world->root = node_new();
    world->source = source_new(SOURCE_GIT, "commons");
    world->source->url = g_strdup(world->origin);
    world->source->policy = PACK_POLICY_OFF;
    world->trust = trust_list_parse("trust.yaml", "publishers: []\n", strlen("publishers: []\n"), &error);
    g_assert_no_error(error);
    world->results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    world->state = g_strdup("");
    world->known_policy = g_strdup("");
    world_open_store(world);
}

static inline void world_clear(World *world)
{
    sync_done_clear(&world->done);
    g_ptr_array_unref(world->results);
    trust_list_unref(world->trust);
    mirror_db_close(world->db);
    release_store_free(world->store);
    source_unref(world->source);
    node_free(world->root);
    git_odb_free(world->odb);
    git_repository_free(world->repository);
    g_assert_true(dir_tree_remove(AT_FDCWD, world->top, NULL));
    g_free(world->state);
    g_free(world->known_policy);
    g_free(world->alarm);
    g_free(world->alarm_reason);
    g_free(world->top);
    g_free(world->origin);
    g_free(world->store_dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

/* --- Syncing --- */

static inline void world_hear_progress(const SyncProgress *progress, gpointer user)
{
    ((World *)user)->progress = *progress;
}

static inline void world_hear_result(SyncResult *result, gpointer user)
{
    g_ptr_array_add(((World *)user)->results, result);
}

static inline void world_hear_alarm(const char *kind, const char *reason, gpointer user)
{
    World *world = user;
    g_free(world->alarm);
    g_free(world->alarm_reason);
    world->alarm = g_strdup(kind);
    world->alarm_reason = g_strdup(reason);
}

/* As the broker does: results first, then the state. */
static inline void world_apply(World *world, gboolean done, const char *message, const char *policy_hash)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    mirror_db_apply(world->db, "commons", world->results, world->source->follow_removals, 1800000000,
                    &changes, &error);
    g_assert_no_error(error);
    gboolean complete = done && !world->done.partial;
    const SyncEnd end = {
        .ok = done,
        .error = message,
        .state = complete ? world->done.state : NULL,
        .policy_hash = complete ? policy_hash : NULL,
        .packs_seen = world->done.packs_seen,
        .now_s = 1800000000,
    };
    mirror_db_end(world->db, "commons", &end, &error);
    g_assert_no_error(error);
    if (world->alarm != NULL)
        mirror_db_set_alarm(world->db, "commons", world->alarm, world->alarm_reason, 1800000000, NULL);
}

static inline gboolean world_sync(World *world, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *policy_hash = source_policy_hash(world->source, world->trust);
    const SyncJob job = {
        .source = world->source,
        .store = world->store,
        .db = world->db,
        .trust = world->trust,
        .policy_hash = policy_hash,
        .state = world->state,
        .known_policy_hash = world->known_policy,
        .store_dir = world->store_dir,
        .prune = world->prune,
        .full = world->full,
        .deadline_us = g_get_monotonic_time() + world->seconds * G_USEC_PER_SEC,
        .threads = 2,
        .hooks = {world_hear_progress, world_hear_result, world_hear_alarm, world},
    };
    g_ptr_array_set_size(world->results, 0);
    g_clear_pointer(&world->alarm, g_free);
    g_clear_pointer(&world->alarm_reason, g_free);
    sync_done_clear(&world->done);
    gboolean done = git_sync(&job, &world->done, &cause);
    g_assert_cmpint(done, ==, cause == NULL);
    world_apply(world, done, cause != NULL ? cause->message : NULL, policy_hash);
    if (done && world->done.partial) {
        g_assert_cmpstr(world->done.state, ==, world->state);
    } else if (done) {
        g_free(world->state);
        world->state = g_strdup(world->done.state);
        g_free(world->known_policy);
        world->known_policy = g_strdup(policy_hash);
    } else {
        g_assert_null(strchr(cause->message, '\n'));
        g_assert_true(g_utf8_validate(cause->message, -1, NULL));
        g_propagate_error(error, g_steal_pointer(&cause));
    }
    return done;
}

static inline gint world_compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "<outcome letter> <path>[: reason]" of every result, sorted, joined by newlines. */
static inline char *world_said(World *world)
{
    static const char letters[] = {'+', '-', '!', '?'};
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < world->results->len; i++) {
        const SyncResult *result = g_ptr_array_index(world->results, i);
        g_ptr_array_add(lines, g_strdup_printf("%c %s%s%s", letters[result->outcome], result->pack->path,
                                               result->reason != NULL ? ": " : "",
                                               result->reason != NULL ? result->reason : ""));
    }
    g_ptr_array_sort(lines, world_compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

/* Syncs, and expects it to say exactly this. */
static inline void world_expect(World *world, const char *expected)
{
    g_autoptr(GError) error = NULL;
    world_sync(world, &error);
    g_assert_no_error(error);
    g_autofree char *said = world_said(world);
    g_assert_cmpstr(said, ==, expected);
}

/* Syncs, and expects it to fail with a message that has this in it. */
static inline void world_expect_failure(World *world, KontorErrorCode code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(world_sync(world, &error));
    if (strstr(error->message, part) == NULL || error->code != (gint)code)
        g_error("code %d, message: %s", error->code, error->message);
}
