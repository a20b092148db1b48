/* SPDX-License-Identifier: MIT
 *
 * A server on a port of its own for tests of fetching: each connection is either handed to `git daemon`, or
 * answered with bytes that a test has thought up. One thread per connection; stopped by server_clear.
 */
#pragma once

#include <gio/gio.h>
#include <string.h>

typedef struct {
    GSocketListener *listener;
    GCancellable *stop;
    GThread *accepting;
    guint16 port;
    const char *directory; /* served by git daemon; NULL: canned */
    /* Canned: */
    const char *answer;
    gsize answer_len;
    gboolean endless; /* repeats the last `tail` bytes of the answer for ever */
    gsize tail;
    guint piece;      /* bytes at once; 0: everything */
    guint pause_ms;   /* between pieces */
    gboolean silent;  /* stays connected after the answer, and says nothing more */
    gint connections; /* atomic */
    GMutex lock;
    GString *heard; /* all that clients sent; with `lock` */
} Server;

static inline void server_hear(Server *server, const char *data, gsize len)
{
    g_mutex_lock(&server->lock);
    g_string_append_len(server->heard, data, (gssize)len);
    g_mutex_unlock(&server->lock);
}

/* What was heard so far; a new string. */
static inline char *server_heard(Server *server)
{
    g_mutex_lock(&server->lock);
    char *copy = g_strndup(server->heard->str, server->heard->len);
    g_mutex_unlock(&server->lock);
    return copy;
}

static inline void server_run_daemon(Server *server, GSocketConnection *connection)
{
    g_autoptr(GError) error = NULL;
    int fd = g_socket_get_fd(g_socket_connection_get_socket(connection));
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_SILENCE);
    g_autofree char *base = g_strconcat("--base-path=", server->directory, NULL);
    g_subprocess_launcher_take_stdin_fd(launcher, dup(fd));
    g_subprocess_launcher_take_stdout_fd(launcher, dup(fd));
    /* Owners differ in sandboxes. */
    g_subprocess_launcher_setenv(launcher, "GIT_CONFIG_COUNT", "1", TRUE);
    g_subprocess_launcher_setenv(launcher, "GIT_CONFIG_KEY_0", "safe.directory", TRUE);
    g_subprocess_launcher_setenv(launcher, "GIT_CONFIG_VALUE_0", "*", TRUE);
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawn(
        launcher, &error, "git", "daemon", "--inetd", "--export-all", "--informative-errors", base, NULL);
    g_assert_no_error(error);
    g_subprocess_wait(process, NULL, NULL);
}

/* Returns FALSE when the other side has gone. */
static inline gboolean server_send(Server *server, GSocketConnection *connection, const char *data, gsize len)
{
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
    for (gsize done = 0; done < len;) {
        gsize part = server->piece > 0 ? MIN(server->piece, len - done) : len - done;
        if (!g_output_stream_write_all(out, data + done, part, NULL, NULL, NULL))
            return FALSE;
        done += part;
        if (server->pause_ms > 0)
            g_usleep(server->pause_ms * 1000UL);
    }
    return TRUE;
}

static inline void server_play(Server *server, GSocketConnection *connection)
{
    char buffer[65536];
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(connection));
    gssize len = g_input_stream_read(in, buffer, sizeof buffer, NULL, NULL);
    if (len > 0)
        server_hear(server, buffer, (gsize)len);
    gboolean here = server_send(server, connection, server->answer, server->answer_len);
    while (here && server->endless)
        here =
            server_send(server, connection, server->answer + server->answer_len - server->tail, server->tail);
    while (here && server->silent && (len = g_input_stream_read(in, buffer, sizeof buffer, NULL, NULL)) > 0)
        server_hear(server, buffer, (gsize)len);
}

typedef struct {
    Server *server;
    GSocketConnection *connection;
} ServerClient;

static inline gpointer server_run_client(gpointer data)
{
    ServerClient *client = data;
    if (client->server->directory != NULL)
        server_run_daemon(client->server, client->connection);
    else
        server_play(client->server, client->connection);
    g_object_unref(client->connection);
    g_free(client);
    return NULL;
}

static inline gpointer server_accept(gpointer data)
{
    Server *server = data;
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    GSocketConnection *connection;
    while ((connection = g_socket_listener_accept(server->listener, NULL, server->stop, NULL)) != NULL) {
        ServerClient *client = g_new0(ServerClient, 1);
        *client = (ServerClient){server, connection};
        g_atomic_int_inc(&server->connections);
        g_ptr_array_add(threads, g_thread_new("client", server_run_client, client));
    }
    for (guint i = 0; i < threads->len; i++)
        g_thread_join(g_ptr_array_index(threads, i));
    return NULL;
}

/* The other members are set before; `server` stays where it is. */
static inline void server_start(Server *server)
{
    g_autoptr(GError) error = NULL;
    g_mutex_init(&server->lock);
    server->heard = g_string_new(NULL);
    server->stop = g_cancellable_new();
    server->listener = g_socket_listener_new();
    g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    g_autoptr(GSocketAddress) wanted = g_inet_socket_address_new(loopback, 0);
    g_autoptr(GSocketAddress) bound = NULL;
    g_socket_listener_add_address(server->listener, wanted, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL,
                                  &bound, &error);
    g_assert_no_error(error);
    server->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    server->accepting = g_thread_new("server", server_accept, server);
}

/* Clients must have gone, or be about to go. */
static inline void server_clear(Server *server)
{
    g_cancellable_cancel(server->stop);
    g_thread_join(server->accepting);
    g_socket_listener_close(server->listener);
    g_clear_object(&server->listener);
    g_clear_object(&server->stop);
    g_string_free(server->heard, TRUE);
    g_mutex_clear(&server->lock);
}
