/* SPDX-License-Identifier: MIT
 *
 * All three walks are recursive and hold one descriptor for every level. A tree deeper than DEPTH_MAX was not
 * made by us; it is refused, or not counted.
 */
#include "mirror/store/dir_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 128 };

static DIR *open_stream(int at_fd, const char *name)
{
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream == NULL && fd >= 0)
        close(fd);
    return stream;
}

/* The next name; NULL with errno 0 at the end, or with what went wrong. */
static const char *next_name(DIR *stream)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL)
            return NULL;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    }
}

gboolean dir_tree_each(int fd, DirTreeFunc func, gpointer user, GError **error)
{
    DIR *stream = open_stream(fd, ".");
    if (stream == NULL)
        return kontor_error_set_errno(error, errno, "directory");
    const char *name = NULL;
    gboolean good = TRUE;
    while (good && (name = next_name(stream)) != NULL)
        good = func(name, user, error);
    if (good && errno != 0)
        good = kontor_error_set_errno(error, errno, "directory");
    closedir(stream);
    return good;
}

/* --- Size --- */

static guint64 bytes_of(int at_fd, const char *name, guint depth)
{
    struct stat status;
    if (fstatat(at_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    guint64 bytes = (guint64)status.st_blocks * 512;
    if (!S_ISDIR(status.st_mode))
        return bytes / MAX(status.st_nlink, 1);
    DIR *stream = depth < DEPTH_MAX ? open_stream(at_fd, name) : NULL;
    if (stream == NULL)
        return bytes;
    const char *child = NULL;
    while ((child = next_name(stream)) != NULL)
        bytes += bytes_of(dirfd(stream), child, depth + 1);
    closedir(stream);
    return bytes;
}

guint64 dir_tree_bytes(int at_fd, const char *name)
{
    return bytes_of(at_fd, name, 0);
}

/* --- Removing --- */

static gboolean is_gone(int errno_value)
{
    return errno_value == ENOENT;
}

static gboolean remove_at(int at_fd, const char *name, guint depth, GError **error);

static gboolean remove_children(int at_fd, const char *name, guint depth, GError **error)
{
    DIR *stream = open_stream(at_fd, name);
    if (stream == NULL)
        return is_gone(errno) || kontor_error_set_errno(error, errno, "%s", name);
    const char *child = NULL;
    gboolean good = TRUE;
    while (good && (child = next_name(stream)) != NULL)
        good = remove_at(dirfd(stream), child, depth + 1, error);
    if (good && errno != 0)
        good = kontor_error_set_errno(error, errno, "%s", name);
    closedir(stream);
    return good;
}

static gboolean remove_at(int at_fd, const char *name, guint depth, GError **error)
{
    if (unlinkat(at_fd, name, 0) == 0 || is_gone(errno))
        return TRUE;
    /* Linux says EISDIR for a directory, POSIX EPERM. */
    if (errno != EISDIR && errno != EPERM)
        return kontor_error_set_errno(error, errno, "%s", name);
    if (depth >= DEPTH_MAX) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: more than %d directories deep", name,
                    DEPTH_MAX);
        return FALSE;
    }
    if (!remove_children(at_fd, name, depth, error))
        return FALSE;
    return unlinkat(at_fd, name, AT_REMOVEDIR) == 0 || is_gone(errno) ||
           kontor_error_set_errno(error, errno, "%s", name);
}

gboolean dir_tree_remove(int at_fd, const char *name, GError **error)
{
    return remove_at(at_fd, name, 0, error);
}

/* --- Flushing --- */

static gboolean flush_fd(int fd, const char *name, GError **error)
{
    return fsync(fd) == 0 || kontor_error_set_errno(error, errno, "%s", name);
}

static gboolean flush_at(int at_fd, const char *name, guint depth, GError **error)
{
    int fd = openat(at_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = NULL;
    if (fd < 0)
        return kontor_error_set_errno(error, errno, "%s", name);
    gboolean good = flush_fd(fd, name, error);
    if (good && depth < DEPTH_MAX)
        stream = open_stream(at_fd, name);
    const char *child = NULL;
    while (good && stream != NULL && (child = next_name(stream)) != NULL)
        good = flush_at(dirfd(stream), child, depth + 1, error);
    if (stream != NULL)
        closedir(stream);
    close(fd);
    return good;
}

gboolean dir_tree_flush(int at_fd, const char *name, GError **error)
{
    return flush_at(at_fd, name, 0, error);
}
