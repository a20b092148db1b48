/* SPDX-License-Identifier: MIT
 *
 * The process is made by GLib's fork and exec without any code of ours in between, because the broker has
 * threads. What the agent says is gathered in a buffer; lines are taken from it as they are complete.
 */
#include "mirror/agent/agent_link.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror/agent/agent.h"
#include "mirror/agent/agent_environment.h"
#include "schema/limits.h"

enum {
    CHILD_FD = 3,
    EVENTS_AT_ONCE = 100,
    SEND_WAIT_MS = 2000,
    SOCKET_BYTES = 256 * 1024,
};

struct AgentLink {
    GPid pid;
    int fd;
    GString *heard;
    gsize taken; /* of `heard`, from its beginning */
};

/* --- Life cycle --- */

static gboolean spawn(AgentLink *link, const char *program, const char *store_dir, int child_fd,
                      GError **error)
{
    const int target = CHILD_FD;
    const char *argv[] = {program, "kontor", "agent", "--fd", "3", "--store", store_dir, NULL};
    g_auto(GStrv) environment = agent_environment();
    g_autoptr(GError) cause = NULL;
    GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_FILE_AND_ARGV_ZERO;
    if (g_spawn_async_with_pipes_and_fds(NULL, argv, (const char *const *)environment, flags, NULL, NULL, -1,
                                         -1, -1, &child_fd, &target, 1, &link->pid, NULL, NULL, NULL, &cause))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "mirror agent: cannot start: %s", cause->message);
    return FALSE;
}

AgentLink *agent_link_start_program(const char *program, const char *store_dir, GError **error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        kontor_error_set_errno(error, errno, "mirror agent: socketpair");
        return NULL;
    }
    const int bytes = SOCKET_BYTES;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    AgentLink *link = g_new0(AgentLink, 1);
    link->fd = pair[0];
    link->heard = g_string_new(NULL);
    gboolean started = spawn(link, program, store_dir, pair[1], error);
    close(pair[1]);
    if (!started)
        g_clear_pointer(&link, agent_link_free);
    return link;
}

AgentLink *agent_link_start(const char *store_dir, GError **error)
{
    return agent_link_start_program("/proc/self/exe", store_dir, error);
}

void agent_link_free(AgentLink *link)
{
    if (link == NULL)
        return;
    close(link->fd);
    if (link->pid > 0) {
        kill(link->pid, SIGKILL);
        while (waitpid(link->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    g_string_free(link->heard, TRUE);
    g_free(link);
}

int agent_link_fd(const AgentLink *link)
{
    return link->fd;
}

gint64 agent_link_pid(const AgentLink *link)
{
    return link->pid;
}

/* --- Speaking --- */

gboolean agent_link_send(AgentLink *link, const AgentJob *job, GError **error)
{
    g_autoptr(GString) line = g_string_new(NULL);
    struct pollfd socket = {.fd = link->fd, .events = POLLOUT};
    agent_job_write(job, line);
    for (gsize sent = 0; sent < line->len;) {
        ssize_t n = send(link->fd, line->str + sent, line->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += (gsize)n;
            continue;
        }
        if (errno == EINTR || (errno == EAGAIN && poll(&socket, 1, SEND_WAIT_MS) > 0))
            continue;
        return kontor_error_set_errno(error, errno == EAGAIN ? EPIPE : errno, "mirror agent: cannot send");
    }
    return TRUE;
}

/* --- Hearing --- */

/* How the process ended, for people; waits for it. */
static gboolean fail_with_end(AgentLink *link, GError **error)
{
    int status = 0;
    /* It has closed its end; should it live on, it is of no use to anybody. */
    kill(link->pid, SIGKILL);
    pid_t waited = 0;
    do
        waited = waitpid(link->pid, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (waited == link->pid)
        link->pid = 0;
    if (waited > 0 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "mirror agent crashed: %s",
                    g_strsignal(WTERMSIG(status)));
    else if (waited > 0 && WIFEXITED(status) && WEXITSTATUS(status) == AGENT_EXIT_HUNG)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY,
                    "mirror agent hung past its deadline and ended itself");
    else if (waited > 0 && WIFEXITED(status))
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "mirror agent ended with status %d",
                    WEXITSTATUS(status));
    else
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "mirror agent was killed");
    return FALSE;
}

/* Appends what is there. FALSE when there is no more and never will be. */
static gboolean hear(AgentLink *link, gboolean *ret_any)
{
    char part[65536];
    ssize_t n = recv(link->fd, part, sizeof part, MSG_DONTWAIT);
    *ret_any = n > 0;
    if (n > 0)
        g_string_append_len(link->heard, part, n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Handles the first complete line, if there is one. */
static gboolean take_line(AgentLink *link, AgentEventFunc func, gpointer user, gboolean *ret_taken,
                          GError **error)
{
    const char *begin = link->heard->str + link->taken;
    gsize rest = link->heard->len - link->taken;
    const char *end = memchr(begin, '\n', rest);
    *ret_taken = end != NULL;
    if (end == NULL && rest > LIMIT_AGENT_LINE_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "mirror agent: a message of more than %d bytes",
                    LIMIT_AGENT_LINE_BYTES);
        return FALSE;
    }
    if (end == NULL)
        return TRUE;
    g_auto(AgentEvent) event = {0};
    link->taken += (gsize)(end - begin) + 1;
    if (!agent_event_parse(begin, (gsize)(end - begin), &event, error))
        return FALSE;
    func(&event, user);
    return TRUE;
}

static void drop_taken(AgentLink *link)
{
    g_string_erase(link->heard, 0, (gssize)link->taken);
    link->taken = 0;
}

gboolean agent_link_read(AgentLink *link, AgentEventFunc func, gpointer user, GError **error)
{
    for (guint events = 0; events < EVENTS_AT_ONCE;) {
        gboolean taken = FALSE, any = FALSE;
        if (!take_line(link, func, user, &taken, error))
            return FALSE;
        if (taken) {
            events++;
            continue;
        }
        drop_taken(link);
        if (!hear(link, &any))
            return fail_with_end(link, error);
        if (!any)
            return TRUE;
    }
    drop_taken(link);
    return TRUE;
}
