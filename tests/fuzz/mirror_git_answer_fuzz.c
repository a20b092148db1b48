/* SPDX-License-Identifier: MIT
 *
 * What a git server answers, from the first byte on: packet lines, references, side bands and pack files, as
 * our transports hand them to libgit2. The server is a thread of this process. The first byte of the input
 * chooses the transport; the rest is the two answers (references, pack), with a line "--" between them.
 */
#include "mirror/agent/git_origin.h"
#include "mirror/store/dir_tree.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

#define ADVERTISEMENT "application/x-git-upload-pack-advertisement"
#define RESULT "application/x-git-upload-pack-result"

/* The input that is being played; the fetch and the server take turns, so that a lock is enough. */
static struct {
    GMutex lock;
    char *data; /* a copy: the server may still be at it when the fetch has given up */
    gsize size;
    gboolean http;
    guint connections; /* of this input */
    int fd;
    guint16 port;
    char *store_dir;
} stage;

static void send_all(int fd, const char *data, gsize len)
{
    for (ssize_t n; len > 0 && (n = send(fd, data, len, MSG_NOSIGNAL)) > 0; data += n)
        len -= (gsize)n;
}

/* Where the first answer ends and the second one begins. */
static gsize split(gsize *ret_second)
{
    static const char mark[] = "\n--\n";
    const char *mid = memmem(stage.data, stage.size, mark, sizeof mark - 1);
    gsize first = mid != NULL ? (gsize)(mid - stage.data) : stage.size;
    *ret_second = mid != NULL ? first + sizeof mark - 1 : stage.size;
    return first;
}

/* The answer to a request; the connection is closed behind it. */
static void play_http(int fd, gboolean is_first)
{
    gsize second = 0, first = split(&second);
    g_autofree char *head =
        g_strdup_printf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %s\r\n\r\n",
                        is_first ? ADVERTISEMENT : RESULT);
    send_all(fd, head, strlen(head));
    if (is_first)
        send_all(fd, stage.data, first);
    else
        send_all(fd, stage.data + second, stage.size - second);
}

/* Both on one connection. */
static void play_git(int fd)
{
    char request[4096];
    gsize second = 0, first = split(&second);
    send_all(fd, stage.data, first);
    if (second < stage.size && recv(fd, request, sizeof request, 0) > 0)
        send_all(fd, stage.data + second, stage.size - second);
}

static void play(int fd)
{
    char request[4096];
    ssize_t n = recv(fd, request, sizeof request, 0);
    g_mutex_lock(&stage.lock);
    if (n > 0 && stage.http)
        play_http(fd, stage.connections++ == 0);
    else if (n > 0)
        play_git(fd);
    g_mutex_unlock(&stage.lock);
    shutdown(fd, SHUT_WR);
    while (recv(fd, request, sizeof request, 0) > 0)
        continue;
    close(fd);
}

static gpointer serve(gpointer data)
{
    (void)data;
    for (;;) {
        int fd = accept(stage.fd, NULL, NULL);
        struct timeval patience = {.tv_usec = 50 * 1000}; /* both may wait for each other */
        if (fd < 0)
            return NULL;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        play(fd);
    }
}

static void remove_store(void)
{
    dir_tree_remove(AT_FDCWD, stage.store_dir, NULL);
}

static void begin(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    git_origin_init();
    stage.store_dir = g_dir_make_tmp("kontor-fuzz-XXXXXX", NULL);
    stage.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert(bind(stage.fd, (struct sockaddr *)&address, len) == 0 && listen(stage.fd, 8) == 0);
    g_assert(getsockname(stage.fd, (struct sockaddr *)&address, &len) == 0);
    stage.port = ntohs(address.sin_port);
    g_thread_unref(g_thread_new("server", serve, NULL));
    atexit(remove_store);
}

static void fetch(gboolean http)
{
    g_autoptr(MirrorSource) source = source_new(SOURCE_GIT, "fuzz");
    g_autoptr(GError) error = NULL;
    g_auto(GitOrigin) origin = {0};
    source->url = g_strdup_printf("%s://127.0.0.1:%u/p", http ? "http" : "git", stage.port);
    const GitOriginOptions options = {.source = source,
                                      .store_dir = stage.store_dir,
                                      .deadline_us = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND,
                                      .threads = 1};
    gboolean opened = git_origin_open(&options, &origin, &error);
    g_assert(opened == (error == NULL));
    g_assert(opened || (*error->message != '\0' && strchr(error->message, '\n') == NULL));
    git_origin_discard(&options, NULL);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        begin();
        g_once_init_leave(&once, 1);
    }
    if (size < 2)
        return 0;
    g_mutex_lock(&stage.lock);
    g_free(stage.data);
    stage.data = g_memdup2(data + 1, size - 1);
    stage.size = size - 1;
    stage.http = data[0] == 'h';
    stage.connections = 0;
    g_mutex_unlock(&stage.lock);
    fetch(data[0] == 'h');
    return 0;
}
