/* SPDX-License-Identifier: MIT
 *
 * A TCP server on loopback for tests: one thread accepts, and each connection is served by a thread of its
 * own, which is joined at the end. Plain sockets, so that a sanitizer sees everything there is to see.
 */
#pragma once

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct SocketThreads SocketThreads;
struct SocketThreads {
    int fd;
    guint16 port;
    void (*serve)(int fd, gpointer user); /* until the connection ends; closes nothing */
    gpointer user;
    GThread *acceptor;
    GPtrArray *threads; /* of GThread *; the acceptor's until it has ended */
};

typedef struct {
    SocketThreads *server;
    int fd;
} SocketConnection;

static inline gpointer socket_connection_run(gpointer data)
{
    SocketConnection *connection = data;
    connection->server->serve(connection->fd, connection->server->user);
    close(connection->fd);
    g_free(connection);
    return NULL;
}

static inline gpointer socket_threads_accept(gpointer data)
{
    SocketThreads *server = data;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            return NULL; /* socket_threads_stop */
        SocketConnection *connection = g_new0(SocketConnection, 1);
        *connection = (SocketConnection){server, fd};
        g_ptr_array_add(server->threads, g_thread_new("connection", socket_connection_run, connection));
    }
}

static inline void socket_threads_start(SocketThreads *server, void (*serve)(int fd, gpointer user),
                                        gpointer user)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *server = (SocketThreads){.serve = serve, .user = user, .threads = g_ptr_array_new()};
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(server->fd, >=, 0);
    g_assert_cmpint(bind(server->fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(listen(server->fd, 256), ==, 0);
    g_assert_cmpint(getsockname(server->fd, (struct sockaddr *)&address, &len), ==, 0);
    server->port = ntohs(address.sin_port);
    server->acceptor = g_thread_new("acceptor", socket_threads_accept, server);
}

/* Whoever is connected must have hung up, or be about to. */
static inline void socket_threads_stop(SocketThreads *server)
{
    shutdown(server->fd, SHUT_RDWR);
    g_thread_join(server->acceptor);
    close(server->fd);
    for (guint i = 0; i < server->threads->len; i++)
        g_thread_join(g_ptr_array_index(server->threads, i));
    g_ptr_array_unref(server->threads);
}

/* FALSE when the other side has gone. */
static inline gboolean socket_send_all(int fd, const void *data, gsize len)
{
    for (gsize sent = 0; sent < len;) {
        gssize n = send(fd, (const guint8 *)data + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return FALSE;
        sent += (gsize)n;
    }
    return TRUE;
}

/* The head of the next request, a new string; what comes behind it stays in `buffer`. NULL at the end. */
static inline char *socket_read_head(int fd, GString *buffer)
{
    char chunk[4096];
    for (;;) {
        const char *end = strstr(buffer->str, "\r\n\r\n");
        if (end != NULL) {
            gsize len = (gsize)(end - buffer->str) + 4;
            char *head = g_strndup(buffer->str, len);
            g_string_erase(buffer, 0, (gssize)len);
            return head;
        }
        gssize got = recv(fd, chunk, sizeof chunk, 0);
        if (got <= 0)
            return NULL;
        g_string_append_len(buffer, chunk, got);
    }
}
