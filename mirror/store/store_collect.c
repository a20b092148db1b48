/* SPDX-License-Identifier: MIT
 *
 * A release is moved to tmp/ by one rename and removed there. Between the look at its time and the rename the
 * agent may have found it and counted on it, which sets its time (release_store_install); so the time is
 * looked at once more when the release is out of reach, and if it is new, the release goes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror/store/dir_tree.h"
#include "mirror/store/release_store_private.h"

typedef struct {
    ReleaseStore *store;
    gint64 installed_before_us; /* what is older may go */
    gboolean dry_run;
    StoreFunc func;
    gpointer user;
    StoreCollection *counts;
} Collector;

static gboolean is_old(const Collector *collector, int at_fd, const char *name)
{
    struct stat status;
    return fstatat(at_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_mtim.tv_sec * G_USEC_PER_SEC + status.st_mtim.tv_nsec / 1000 <
               collector->installed_before_us;
}

static void count_removed(const Collector *collector, const char *digest, guint64 bytes)
{
    collector->counts->removed++;
    collector->counts->removed_bytes += bytes;
    if (collector->func != NULL)
        collector->func(digest, bytes, collector->user);
}

static void remove_release(const Collector *collector, const char *digest)
{
    const ReleaseStore *store = collector->store;
    g_autofree char *name = release_store_new_name("old");
    guint64 bytes = dir_tree_bytes(store->releases_fd, digest);
    if (renameat(store->releases_fd, digest, store->tmp_fd, name) != 0) {
        collector->counts->failed++;
        return;
    }
    if (!is_old(collector, store->tmp_fd, name) &&
        renameat(store->tmp_fd, name, store->releases_fd, digest) == 0) {
        collector->counts->kept++;
        return;
    }
    count_removed(collector, digest, bytes);
    dir_tree_remove(store->tmp_fd, name, NULL); /* else the next start does it */
}

static void collect(const Collector *collector, const char *digest)
{
    if (!is_old(collector, collector->store->releases_fd, digest))
        collector->counts->kept++;
    else if (collector->dry_run)
        count_removed(collector, digest, dir_tree_bytes(collector->store->releases_fd, digest));
    else
        remove_release(collector, digest);
}

gboolean release_store_collect(ReleaseStore *store, GHashTable *reachable, gint64 grace_s, gboolean dry_run,
                               StoreFunc func, gpointer user, StoreCollection *ret, GError **error)
{
    *ret = (StoreCollection){0};
    Collector collector = {
        .store = store,
        .installed_before_us = g_get_real_time() - grace_s * G_USEC_PER_SEC,
        .dry_run = dry_run,
        .func = func,
        .user = user,
        .counts = ret,
    };
    g_autoptr(GPtrArray) digests = release_store_list(store, error);
    if (digests == NULL)
        return FALSE;
    for (guint i = 0; i < digests->len; i++) {
        GBytes *digest = g_ptr_array_index(digests, i);
        char name[SHA256_HEX_CHARS + 1];
        release_store_name_of(g_bytes_get_data(digest, NULL), name);
        if (g_hash_table_contains(reachable, digest))
            ret->kept++;
        else
            collect(&collector, name);
    }
    return TRUE;
}

/* --- Quarantine --- */

gboolean release_store_quarantine(ReleaseStore *store, const guint8 digest[SHA256_BYTES], GError **error)
{
    char name[SHA256_HEX_CHARS + 1];
    release_store_name_of(digest, name);
    g_autofree char *prefix =
        g_strdup_printf("quarantine/%s.%" G_GINT64_FORMAT, name, g_get_real_time() / G_USEC_PER_SEC);
    g_autofree char *to = release_store_new_name(prefix);
    if (mkdirat(store->fd, "quarantine", 0700) != 0 && errno != EEXIST)
        return kontor_error_set_errno(error, errno, "%s/quarantine", store->directory);
    if (renameat(store->releases_fd, name, store->fd, to) != 0)
        return kontor_error_set_errno(error, errno, "release %s", name);
    return fsync(store->releases_fd) == 0 || kontor_error_set_errno(error, errno, "%s", store->releases_dir);
}

/* --- Usage --- */

static gboolean count_entry(const char *name G_GNUC_UNUSED, gpointer user, GError **error G_GNUC_UNUSED)
{
    guint *count = user;
    (*count)++;
    return TRUE;
}

static guint count_entries(const ReleaseStore *store, const char *name)
{
    int fd = openat(store->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    guint count = 0;
    if (fd < 0)
        return 0;
    dir_tree_each(fd, count_entry, &count, NULL);
    close(fd);
    return count;
}

typedef struct {
    const ReleaseStore *store;
    StoreUsage *usage;
} Usage;

static gboolean add_entry(const char *name, gpointer user, GError **error G_GNUC_UNUSED)
{
    Usage *usage = user;
    guint64 bytes = dir_tree_bytes(usage->store->fd, name);
    if (strcmp(name, "releases") == 0)
        usage->usage->release_bytes += bytes;
    else if (strcmp(name, "git") == 0)
        usage->usage->git_bytes += bytes;
    else
        usage->usage->other_bytes += bytes;
    return TRUE;
}

gboolean release_store_usage(ReleaseStore *store, StoreUsage *ret, GError **error)
{
    *ret = (StoreUsage){0};
    Usage usage = {.store = store, .usage = ret};
    g_autoptr(GPtrArray) digests = release_store_list(store, error);
    if (digests == NULL || !release_store_space(store, ret, error))
        return FALSE;
    ret->releases = digests->len;
    ret->quarantined = count_entries(store, "quarantine");
    return dir_tree_each(store->fd, add_entry, &usage, error);
}
