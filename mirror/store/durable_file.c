/* SPDX-License-Identifier: MIT */
#include "mirror/store/durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

gboolean durable_file_write(int fd, const void *data, gsize len)
{
    const char *at = data;
    while (len > 0) {
        gssize done = write(fd, at, len);
        if (done < 0 && errno != EINTR)
            return FALSE;
        at += done > 0 ? done : 0;
        len -= done > 0 ? (gsize)done : 0;
    }
    return TRUE;
}

/* FALSE with errno set; then nothing is left. */
static gboolean write_temporary(int dir_fd, const char *name, const void *data, gsize len, guint mode)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return FALSE;
    gboolean good = durable_file_write(fd, data, len) && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0 && good) {
        saved = errno;
        good = FALSE;
    }
    if (!good)
        unlinkat(dir_fd, name, 0);
    errno = saved;
    return good;
}

static gboolean replace_in(int dir_fd, const char *name, const void *data, gsize len, guint mode)
{
    g_autofree char *temporary = g_strdup_printf(".new-%08x%08x", g_random_int(), g_random_int());
    if (!write_temporary(dir_fd, temporary, data, len, mode))
        return FALSE;
    if (renameat(dir_fd, temporary, dir_fd, name) != 0) {
        int saved = errno;
        unlinkat(dir_fd, temporary, 0);
        errno = saved;
        return FALSE;
    }
    return fsync(dir_fd) == 0;
}

gboolean durable_file_replace(const char *path, const void *data, gsize len, guint mode, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = dir_fd >= 0 && replace_in(dir_fd, name, data, len, mode);
    int saved = errno;
    if (dir_fd >= 0)
        close(dir_fd);
    return good || kontor_error_set_errno(error, saved, "%s", path);
}
