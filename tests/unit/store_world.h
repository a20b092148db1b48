/* SPDX-License-Identifier: MIT
 *
 * A release store in a directory of its own, and small unsigned packs to put into it: their digest is their
 * content_sha256.
 */
#pragma once

#include "mirror/store/dir_tree.h"
#include "mirror/store/pack_content.h"
#include "mirror/store/release_store.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct {
    char *top;
    ReleaseStore *store;
} StoreWorld;

static inline void store_world_reopen(StoreWorld *world)
{
    g_autoptr(GError) error = NULL;
    release_store_free(world->store);
    world->store = release_store_open(world->top, /* clean= */ TRUE, &error);
    g_assert_no_error(error);
}

static inline void store_world_init(StoreWorld *world)
{
    g_autoptr(GError) error = NULL;
    world->top = g_dir_make_tmp("kontor-store-XXXXXX", &error);
    g_assert_no_error(error);
    store_world_reopen(world);
}

static inline void store_world_clear(StoreWorld *world)
{
    g_autoptr(GError) error = NULL;
    release_store_free(world->store);
    g_assert_true(dir_tree_remove(AT_FDCWD, world->top, &error));
    g_assert_no_error(error);
    g_free(world->top);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StoreWorld, store_world_clear)

/* --- Filling it --- */

static inline Staging *store_world_stage(StoreWorld *world)
{
    g_autoptr(GError) error = NULL;
    Staging *staging = staging_new(world->store, "history/rome", &error);
    g_assert_no_error(error);
    return staging;
}

static inline void store_world_add(Staging *staging, const char *name, const char *text)
{
    g_autoptr(GError) error = NULL;
    gboolean added = staging_add(staging, name, text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_true(added);
}

/* A pack with a page that says "page <text>". */
static inline void store_world_fill(Staging *staging, const char *text)
{
    g_autofree char *page = g_strdup_printf("page %s\n", text);
    store_world_add(staging, "manifest.yaml", "name: rome\nversion: 1.2.0\n");
    store_world_add(staging, "wiki/index.md",
                    "# Wiki\n\n| File | Title | Summary |\n|---|---|---|\n"
                    "| concepts/a.md | A | first |\n");
    store_world_add(staging, "wiki/concepts/a.md", page);
    store_world_add(staging, "wiki/log.md", "log\n");
}

/* Gives it the digest of what is in it. */
static inline void store_world_settle(Staging *staging)
{
    g_autoptr(GError) error = NULL;
    guint8 digest[SHA256_BYTES];
    g_autoptr(PackContent) content = staging_content(staging, 1, NULL, &error);
    g_assert_no_error(error);
    pack_content_sha256(content, digest);
    staging_set_digest(staging, digest);
}

static inline void store_world_install(StoreWorld *world, const char *text, guint8 ret_digest[SHA256_BYTES])
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) batch = g_ptr_array_new_with_free_func((GDestroyNotify)staging_free);
    Staging *staging = store_world_stage(world);
    g_ptr_array_add(batch, staging);
    store_world_fill(staging, text);
    g_autoptr(PackContent) content = staging_content(staging, 1, NULL, &error);
    g_assert_no_error(error);
    pack_content_sha256(content, ret_digest);
    staging_set_digest(staging, ret_digest);
    g_assert_true(release_store_install(world->store, batch, &error));
    g_assert_no_error(error);
}

/* --- Looking at it --- */

static inline char *store_world_release_dir(const StoreWorld *world, const guint8 digest[SHA256_BYTES])
{
    char name[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, name);
    return g_build_filename(release_store_releases_dir(world->store), name, NULL);
}

static inline void store_world_digest_on_disk(const StoreWorld *world, const guint8 name[SHA256_BYTES],
                                              guint8 ret[SHA256_BYTES])
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = store_world_release_dir(world, name);
    g_autoptr(PackContent) content = pack_content_of_directory(directory, 1, NULL, &error);
    g_assert_no_error(error);
    pack_content_sha256(content, ret);
}

/* As if it had been installed `seconds` ago. */
static inline void store_world_make_old(const StoreWorld *world, const guint8 digest[SHA256_BYTES],
                                        gint64 seconds)
{
    g_autofree char *directory = store_world_release_dir(world, digest);
    struct timespec times[2] = {{.tv_sec = (time_t)(g_get_real_time() / G_USEC_PER_SEC - seconds)}};
    times[1] = times[0];
    g_assert_cmpint(utimensat(AT_FDCWD, directory, times, 0), ==, 0);
}

/* How many names a directory of the store holds. */
static inline guint store_world_count(const StoreWorld *world, const char *name)
{
    g_autofree char *path = g_build_filename(world->top, name, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;
    while (dir != NULL && g_dir_read_name(dir) != NULL)
        count++;
    return count;
}
