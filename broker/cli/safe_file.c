/* SPDX-License-Identifier: MIT
 *
 * A new file is written under a name of its own, made durable, and only then gets the name it is for; then
 * the directory is made durable as well.
 */
#include "broker/cli/safe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "mirror/store/durable_file.h"

static gboolean read_all(int fd, gsize bytes_max, char *buffer, gsize *ret_len)
{
    gsize len = 0;

    while (len <= bytes_max) {
        ssize_t n = read(fd, buffer + len, bytes_max + 1 - len);

        if (n == 0) {
            break;
        }
        if (n > 0) {
            len += (gsize)n;
        } else if (errno != EINTR) {
            return FALSE;
        }
    }
    *ret_len = len;
    return TRUE;
}

gboolean safe_file_read(const char *path, gsize bytes_max, char *buffer, gsize *ret_len, mode_t *ret_mode,
                        GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    gboolean good;

    if (fd < 0) {
        return kontor_error_set_errno(error, errno, "%s", path);
    }
    good = fstat(fd, &status) == 0 && read_all(fd, bytes_max, buffer, ret_len);
    if (!good) {
        kontor_error_set_errno(error, errno, "%s", path);
    }
    close(fd);
    if (!good) {
        return FALSE;
    }
    if (*ret_len > bytes_max) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: larger than %zu bytes", path, bytes_max);
        return FALSE;
    }
    buffer[*ret_len] = '\0';
    if (ret_mode != NULL) {
        *ret_mode = status.st_mode;
    }
    return TRUE;
}

/* A durable file beside `path`, whose name is returned; NULL with an error. `like` (may be NULL) is whose
 * mode and owner it gets; a foreign owner may not be permitted and is then left. */
static char *write_beside(const char *path, const char *bytes, gsize len, mode_t mode,
                          const struct stat *like, GError **error)
{
    g_autofree char *name = g_strconcat(path, ".XXXXXX", NULL);
    int fd = g_mkstemp_full(name, O_WRONLY | O_CLOEXEC, 0600);
    gboolean good;

    if (fd < 0) {
        kontor_error_set_errno(error, errno, "%s", path);
        return NULL;
    }
    if (like != NULL && fchown(fd, like->st_uid, like->st_gid) != 0) {
        g_debug("%s: owner not kept", path);
    }
    good = fchmod(fd, mode) == 0 && durable_file_write(fd, bytes, len) && fsync(fd) == 0;
    if (!good) {
        kontor_error_set_errno(error, errno, "%s", path);
        unlink(name);
    }
    close(fd);
    return good ? g_steal_pointer(&name) : NULL;
}

static gboolean sync_directory(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = fd >= 0 && fsync(fd) == 0;

    if (!good) {
        kontor_error_set_errno(error, errno, "%s", dir);
    }
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* Gives the file its name unless that is taken; some file systems know only one of both ways. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    return link(from, to) == 0 ? unlink(from) : -1;
}

gboolean safe_file_create(const char *path, const char *bytes, gsize len, mode_t mode, GError **error)
{
    g_autofree char *name = write_beside(path, bytes, len, mode, NULL, error);

    if (name == NULL) {
        return FALSE;
    }
    if (rename_new(name, path) == 0) {
        return sync_directory(path, error);
    }
    if (errno == EEXIST) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "%s: exists already and is not overwritten",
                    path);
    } else {
        kontor_error_set_errno(error, errno, "%s", path);
    }
    unlink(name);
    return FALSE;
}

gboolean safe_file_replace(const char *path, const char *bytes, gsize len, GError **error)
{
    char *resolved = realpath(path, NULL);
    g_autofree char *target = g_strdup(resolved != NULL ? resolved : path);
    g_autofree char *name = NULL;
    struct stat old;
    gboolean exists = stat(target, &old) == 0;

    free(resolved);
    name = write_beside(target, bytes, len, exists ? old.st_mode & 07777 : 0644, exists ? &old : NULL, error);
    if (name == NULL) {
        return FALSE;
    }
    if (rename(name, target) != 0) {
        kontor_error_set_errno(error, errno, "%s", path);
        unlink(name);
        return FALSE;
    }
    return sync_directory(target, error);
}

int safe_file_lock(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX) == 0) {
        return fd;
    }
    kontor_error_set_errno(error, errno, errno == ENOENT ? "%s ('kontor init' makes a data directory)" : "%s",
                           dir);
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}
