/* SPDX-License-Identifier: MIT
 *
 * A running broker holds a lock on <data>/pid; only while somebody holds it is the process id believed.
 */
#include "broker/cli/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/cli/endpoints.h"

gboolean broker_is_running(const char *data_dir)
{
    g_autofree char *path = g_build_filename(data_dir, "pid", NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gboolean held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;

    if (fd >= 0) {
        close(fd);
    }
    return held;
}

gint64 broker_reload(const char *data_dir, GError **error)
{
    g_autoptr(Endpoints) endpoints = endpoints_load(data_dir, error);

    if (endpoints == NULL) {
        g_prefix_error(error, "no broker runs on %s: ", data_dir);
        return 0;
    }
    if (endpoints->pid <= 1 || !broker_is_running(data_dir)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "no broker runs on %s", data_dir);
        return 0;
    }
    if (kill((pid_t)endpoints->pid, SIGHUP) != 0) {
        kontor_error_set_errno(error, errno, "broker (process %" G_GINT64_FORMAT ")", endpoints->pid);
        return 0;
    }
    return endpoints->pid;
}
