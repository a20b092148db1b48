/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mirror/store/dir_tree.h"
#include "mirror/store/pack_dir.h"
#include "mirror/store/release_store_private.h"
#include "schema/limits.h"

enum {
    /* So many files are flushed one by one; beyond that the whole file system is, which costs one journal
     * commit, but also waits for what others have written. */
    FLUSHED_SINGLY_MAX = 32,
    RENAME_TRIES = 3,
    READ_TRIES = 3,
};

/* --- Life cycle --- */

static int open_subdirectory(const ReleaseStore *store, const char *name, GError **error)
{
    gboolean there = mkdirat(store->fd, name, 0700) == 0 || errno == EEXIST;
    int fd = there ? openat(store->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0)
        kontor_error_set_errno(error, errno, "%s/%s", store->directory, name);
    return fd;
}

static gboolean open_all(ReleaseStore *store, GError **error)
{
    if (g_mkdir_with_parents(store->directory, 0700) != 0)
        return kontor_error_set_errno(error, errno, "%s", store->directory);
    store->fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->fd < 0)
        return kontor_error_set_errno(error, errno, "%s", store->directory);
    store->releases_fd = open_subdirectory(store, "releases", error);
    if (store->releases_fd < 0)
        return FALSE;
    store->tmp_fd = open_subdirectory(store, "tmp", error);
    return store->tmp_fd >= 0;
}

static gboolean remove_entry(const char *name, gpointer user, GError **error)
{
    const ReleaseStore *store = user;
    return dir_tree_remove(store->tmp_fd, name, error);
}

gboolean release_store_clean(ReleaseStore *store, GError **error)
{
    if (dir_tree_each(store->tmp_fd, remove_entry, store, error))
        return TRUE;
    g_prefix_error(error, "%s: ", store->tmp_dir);
    return FALSE;
}

ReleaseStore *release_store_open(const char *directory, gboolean clean, GError **error)
{
    g_autoptr(ReleaseStore) store = g_new0(ReleaseStore, 1);
    store->directory = g_strdup(directory);
    store->releases_dir = g_build_filename(directory, "releases", NULL);
    store->tmp_dir = g_build_filename(directory, "tmp", NULL);
    store->fd = store->releases_fd = store->tmp_fd = -1;
    store->disk_free_min_bytes = LIMIT_STORE_DISK_FREE_BYTES;
    store->unchecked_bytes = LIMIT_STORE_DISK_CHECK_BYTES;
    if (!open_all(store, error) || (clean && !release_store_clean(store, error)))
        return NULL;
    return g_steal_pointer(&store);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void release_store_set_disk_free_min(ReleaseStore *store, guint64 bytes)
{
    store->disk_free_min_bytes = bytes;
    store->unchecked_bytes = LIMIT_STORE_DISK_CHECK_BYTES;
}

void release_store_free(ReleaseStore *store)
{
    if (store == NULL)
        return;
    close_fd(store->fd);
    close_fd(store->releases_fd);
    close_fd(store->tmp_fd);
    g_free(store->directory);
    g_free(store->releases_dir);
    g_free(store->tmp_dir);
    g_free(store);
}

const char *release_store_releases_dir(const ReleaseStore *store)
{
    return store->releases_dir;
}

char *release_store_new_name(const char *prefix)
{
    guint8 random[8];
    char hex[2 * sizeof random + 1];
    random_fill(random, sizeof random);
    hex_encode(random, sizeof random, hex);
    return g_strconcat(prefix, "-", hex, NULL);
}

void release_store_name_of(const guint8 digest[SHA256_BYTES], char ret[SHA256_HEX_CHARS + 1])
{
    hex_encode(digest, SHA256_BYTES, ret);
}

/* --- Installing --- */

static gboolean flush_all(ReleaseStore *store, GPtrArray *stagings, GError **error)
{
    guint files = 0;
    for (guint i = 0; i < stagings->len; i++)
        files += staging_files(g_ptr_array_index(stagings, i));
    if (files > FLUSHED_SINGLY_MAX)
        return syncfs(store->tmp_fd) == 0 || kontor_error_set_errno(error, errno, "%s", store->tmp_dir);
    for (guint i = 0; i < stagings->len; i++) {
        const Staging *staging = g_ptr_array_index(stagings, i);
        if (!dir_tree_flush(store->tmp_fd, staging_name(staging), error)) {
            g_prefix_error(error, "%s: ", staging_label(staging));
            return FALSE;
        }
    }
    return TRUE;
}

/* A directory cannot be renamed over one that has something in it, so what is there stays. Its time says that
 * it is wanted now; when it was collected just before that, there is room for ours. */
static gboolean put_in_place(ReleaseStore *store, Staging *staging, GError **error)
{
    char name[SHA256_HEX_CHARS + 1];
    release_store_name_of(staging_digest(staging), name);
    for (guint i = 0; i < RENAME_TRIES; i++) {
        if (renameat(store->tmp_fd, staging_name(staging), store->releases_fd, name) == 0) {
            staging_set_installed(staging);
            return TRUE;
        }
        if (errno != ENOTEMPTY && errno != EEXIST)
            break;
        /* What was there is then in tmp/ under the name of what was staged, and goes with it. */
        if (staging_is_replacing(staging) &&
            renameat2(store->tmp_fd, staging_name(staging), store->releases_fd, name, RENAME_EXCHANGE) == 0)
            return TRUE;
        if (utimensat(store->releases_fd, name, NULL, AT_SYMLINK_NOFOLLOW) == 0)
            return TRUE;
        if (errno != ENOENT)
            break;
    }
    return kontor_error_set_errno(error, errno, "%s: release %s", staging_label(staging), name);
}

gboolean release_store_install(ReleaseStore *store, GPtrArray *stagings, GError **error)
{
    for (guint i = 0; i < stagings->len; i++) {
        Staging *staging = g_ptr_array_index(stagings, i);
        g_assert(staging_digest(staging) != NULL);
        if (!staging_stamp(staging, error))
            return FALSE;
    }
    if (!flush_all(store, stagings, error))
        return FALSE;
    for (guint i = 0; i < stagings->len; i++)
        if (!put_in_place(store, g_ptr_array_index(stagings, i), error))
            return FALSE;
    return fsync(store->releases_fd) == 0 || kontor_error_set_errno(error, errno, "%s", store->releases_dir);
}

/* --- Queries --- */

gboolean release_store_has(ReleaseStore *store, const guint8 digest[SHA256_BYTES])
{
    char name[SHA256_HEX_CHARS + 1];
    struct stat status;
    release_store_name_of(digest, name);
    return fstatat(store->releases_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static gboolean read_sig(PackDir *dir, int releases_fd, const char *release, GBytes **ret, GError **error)
{
    g_autoptr(GError) cause = NULL;
    PackDirKind kind = PACK_DIR_FILE;
    FileIdentity identity = {0};
    g_autofree char *path = g_strconcat(release, "/manifest.sig", NULL);
    if (!pack_dir_stat(dir, "manifest.sig", &kind, &identity, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (kind != PACK_DIR_FILE || identity.size > LIMIT_MANIFEST_SIG_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: not a file, or larger than %d bytes", path,
                    LIMIT_MANIFEST_SIG_BYTES);
        return FALSE;
    }
    *ret = pack_dir_read_file(releases_fd, path, &identity, error);
    return *ret != NULL;
}

gboolean release_store_read_sig_at(int releases_fd, const guint8 digest[SHA256_BYTES], GBytes **ret,
                                   GError **error)
{
    char name[SHA256_HEX_CHARS + 1];
    release_store_name_of(digest, name);
    *ret = NULL;
    for (guint i = 1;; i++) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(PackDir) dir = pack_dir_open(releases_fd, name, &cause);
        if (dir != NULL && read_sig(dir, releases_fd, name, ret, &cause))
            return TRUE;
        /* What is linked from, or replaced, while it is read looks changed. */
        if (i == READ_TRIES || !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CONFLICT)) {
            g_propagate_prefixed_error(error, g_steal_pointer(&cause), "release store: ");
            return FALSE;
        }
    }
}

gboolean release_store_read_sig(ReleaseStore *store, const guint8 digest[SHA256_BYTES], GBytes **ret,
                                GError **error)
{
    return release_store_read_sig_at(store->releases_fd, digest, ret, error);
}

static gboolean add_digest(const char *name, gpointer user, GError **error G_GNUC_UNUSED)
{
    GPtrArray *digests = user;
    guint8 digest[SHA256_BYTES];
    if (hex_decode(name, digest, SHA256_BYTES))
        g_ptr_array_add(digests, g_bytes_new(digest, SHA256_BYTES));
    return TRUE;
}

static gint compare_digests(gconstpointer a, gconstpointer b)
{
    return g_bytes_compare(*(GBytes *const *)a, *(GBytes *const *)b);
}

GPtrArray *release_store_list(ReleaseStore *store, GError **error)
{
    g_autoptr(GPtrArray) digests = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    if (!dir_tree_each(store->releases_fd, add_digest, digests, error)) {
        g_prefix_error(error, "%s: ", store->releases_dir);
        return NULL;
    }
    g_ptr_array_sort(digests, compare_digests);
    return g_steal_pointer(&digests);
}

gboolean release_store_space(ReleaseStore *store, StoreUsage *ret, GError **error)
{
    struct statvfs status;
    if (fstatvfs(store->fd, &status) != 0)
        return kontor_error_set_errno(error, errno, "%s", store->directory);
    ret->disk_free_bytes = (guint64)status.f_bavail * status.f_frsize;
    ret->disk_total_bytes = (guint64)status.f_blocks * status.f_frsize;
    return TRUE;
}
