/* SPDX-License-Identifier: MIT */
#include "mirror/store/pack_dir.h"

#include "schema/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct PackDir {
    DIR *stream;
    char *path; /* for messages */
};

/* Once openat2 was refused it is not tried again. */
static int walk_only;
static int walk_forced;

void pack_dir_force_walk(gboolean walk)
{
    g_atomic_int_set(&walk_forced, walk);
}

/* --- Opening below a directory --- */

/* Every component but the last is opened as a directory that must not be a link, relative to the one before.
 */
static int open_by_walk(int root_fd, const char *path, int flags)
{
    int fd = -1, at_fd = root_fd;
    for (const char *rest = path;;) {
        gsize len = strcspn(rest, "/");
        char segment[LIMIT_PATH_SEGMENT_BYTES + 1];
        if (len >= sizeof segment) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(segment, rest, len);
        segment[len] = '\0';
        gboolean last = rest[len] == '\0';
        int next = openat(at_fd, segment, (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
        int saved = errno;
        if (at_fd != root_fd)
            close(at_fd);
        errno = saved;
        if (next < 0 || last) {
            fd = next;
            break;
        }
        at_fd = next;
        rest += len + 1;
    }
    return fd;
}

static int open_by_resolve(int root_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (guint64)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

static int open_below(int root_fd, const char *path, int flags)
{
    if (path[0] == '\0')
        path = ".";
    if (g_atomic_int_get(&walk_forced) || g_atomic_int_get(&walk_only))
        return open_by_walk(root_fd, path, flags);
    int fd = open_by_resolve(root_fd, path, flags);
    if (fd >= 0)
        return fd;
    if (errno == EAGAIN) /* a rename came in between; the walk does not mind */
        return open_by_walk(root_fd, path, flags);
    if (errno != ENOSYS && errno != EPERM && errno != EINVAL)
        return -1;
    /* EPERM and EINVAL come from sandboxes, or from the file: only if the walk succeeds was it the sandbox.
     */
    int refused = errno;
    fd = open_by_walk(root_fd, path, flags);
    if (fd >= 0 || refused == ENOSYS)
        g_atomic_int_set(&walk_only, TRUE);
    return fd;
}

/* A link gives ELOOP, or ENOTDIR where the walk wanted a directory: either way there is nothing here to open.
 */
static gboolean set_open_error(GError **error, int errno_value, const char *path)
{
    if (errno_value != ELOOP)
        return kontor_error_set_errno(error, errno_value, "%s", path);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "%s: symbolic link", path);
    return FALSE;
}

static PackDir *dir_of_fd(int fd, const char *path, GError **error)
{
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream == NULL) {
        set_open_error(error, errno, path[0] != '\0' ? path : "packs directory");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    PackDir *dir = g_new0(PackDir, 1);
    dir->stream = stream;
    dir->path = g_strdup(path);
    return dir;
}

PackDir *pack_dir_open(int root_fd, const char *path, GError **error)
{
    return dir_of_fd(open_below(root_fd, path, O_RDONLY | O_DIRECTORY), path, error);
}

PackDir *pack_dir_open_child(PackDir *parent, const char *name, const char *path, GError **error)
{
    int fd = openat(dirfd(parent->stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dir_of_fd(fd, path, error);
}

void pack_dir_close(PackDir *dir)
{
    if (dir == NULL)
        return;
    closedir(dir->stream);
    g_free(dir->path);
    g_free(dir);
}

/* --- Names and what they are --- */

static PackDirKind kind_of_mode(mode_t mode)
{
    return S_ISREG(mode)   ? PACK_DIR_FILE
           : S_ISDIR(mode) ? PACK_DIR_DIRECTORY
           : S_ISLNK(mode) ? PACK_DIR_SYMLINK
                           : PACK_DIR_SPECIAL;
}

static void identity_of_stat(const struct stat *status, FileIdentity *ret)
{
    ret->device = status->st_dev;
    ret->inode = status->st_ino;
    ret->size = (guint64)status->st_size;
    ret->mtime_ns = (gint64)status->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + status->st_mtim.tv_nsec;
    ret->ctime_ns = (gint64)status->st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) + status->st_ctim.tv_nsec;
}

/* 0, or the errno. */
static int kind_of_entry(PackDir *dir, const struct dirent *entry, PackDirKind *ret)
{
    struct stat status;
    switch (entry->d_type) {
    case DT_REG:
        *ret = PACK_DIR_FILE;
        return 0;
    case DT_DIR:
        *ret = PACK_DIR_DIRECTORY;
        return 0;
    case DT_LNK:
        *ret = PACK_DIR_SYMLINK;
        return 0;
    case DT_UNKNOWN: /* some file systems do not say */
        if (fstatat(dirfd(dir->stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            return errno;
        *ret = kind_of_mode(status.st_mode);
        return 0;
    default:
        *ret = PACK_DIR_SPECIAL;
        return 0;
    }
}

gboolean pack_dir_next(PackDir *dir, const char **ret_name, PackDirKind *ret_kind, GError **error)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir->stream);
        if (entry == NULL) {
            *ret_name = NULL;
            return errno == 0 || kontor_error_set_errno(error, errno, "%s", dir->path);
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int failure = kind_of_entry(dir, entry, ret_kind);
        if (failure == ENOENT)
            continue;
        *ret_name = entry->d_name;
        return failure == 0 || kontor_error_set_errno(error, failure, "%s", dir->path);
    }
}

gboolean pack_dir_stat(PackDir *dir, const char *name, PackDirKind *ret_kind, FileIdentity *ret_identity,
                       GError **error)
{
    struct stat status;
    if (fstatat(dirfd(dir->stream), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return kontor_error_set_errno(error, errno, "%s/%s", dir->path, name);
    *ret_kind = kind_of_mode(status.st_mode);
    identity_of_stat(&status, ret_identity);
    return TRUE;
}

/* --- Reading --- */

static gboolean set_changed(GError **error, const char *path)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "%s: changed on disk since it was scanned", path);
    return FALSE;
}

static gboolean check_identity(int fd, const char *path, const FileIdentity *expected, GError **error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return kontor_error_set_errno(error, errno, "%s", path);
    FileIdentity identity;
    identity_of_stat(&status, &identity);
    return (S_ISREG(status.st_mode) && file_identity_equal(&identity, expected)) || set_changed(error, path);
}

static gboolean read_fully(int fd, const char *path, char *buffer, gsize len, GError **error)
{
    for (gsize at = 0; at < len;) {
        ssize_t got = read(fd, buffer + at, len - at);
        if (got < 0 && errno != EINTR)
            return kontor_error_set_errno(error, errno, "%s", path);
        if (got == 0)
            return set_changed(error, path);
        at += got > 0 ? (gsize)got : 0;
    }
    return TRUE;
}

static GBytes *read_open_file(int fd, const char *path, const FileIdentity *expected, GError **error)
{
    if (!check_identity(fd, path, expected, error))
        return NULL;
    g_autofree char *buffer = g_malloc(expected->size);
    if (!read_fully(fd, path, buffer, expected->size, error) || !check_identity(fd, path, expected, error))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&buffer), expected->size);
}

GBytes *pack_dir_read_file(int root_fd, const char *path, const FileIdentity *expected, GError **error)
{
    /* O_NONBLOCK: somebody may have put a pipe there by now, and opening it must not wait for a writer. */
    int fd = open_below(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO)) {
        set_changed(error, path);
        return NULL;
    }
    if (fd < 0) {
        set_open_error(error, errno, path);
        return NULL;
    }
    GBytes *bytes = read_open_file(fd, path, expected, error);
    close(fd);
    return bytes;
}
