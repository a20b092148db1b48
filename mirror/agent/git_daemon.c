/* SPDX-License-Identifier: MIT
 *
 * git:// (gitprotocol-pack(5), "Git Transport"): one TCP connection; the first line names the repository,
 * what follows is libgit2's. Nobody is authenticated; what is fetched is worth what its signatures are worth.
 */
#include <gio/gio.h>
#include <string.h>

#include "mirror/agent/git_transfer.h"
#include "schema/limits.h"

enum { GIT_PORT = 9418, POLL_SECONDS = 1 };

typedef struct {
    git_smart_subtransport base;
    GitTransfer *transfer;
    git_smart_subtransport_stream *stream; /* the one that is open, or NULL */
} DaemonSubtransport;

typedef struct {
    git_smart_subtransport_stream base;
    DaemonSubtransport *owner;
    GSocketConnection *connection;
} DaemonStream;

static GSocket *socket_of(DaemonStream *stream)
{
    return g_socket_connection_get_socket(stream->connection);
}

static int fail(DaemonStream *stream, const GError *cause)
{
    return git_transfer_fail(stream->owner->transfer, KONTOR_ERROR_IO, "%s", cause->message);
}

/* The socket gives up after POLL_SECONDS, so that the deadline is looked at while a server says nothing. */
static int stream_read(git_smart_subtransport_stream *base, char *buffer, size_t size, size_t *ret_len)
{
    DaemonStream *stream = (DaemonStream *)base;
    GitTransfer *transfer = stream->owner->transfer;
    for (guint silent = 0; silent < LIMIT_GIT_STALL_SECONDS; silent += POLL_SECONDS) {
        g_autoptr(GError) cause = NULL;
        gssize len = g_socket_receive(socket_of(stream), buffer, size, NULL, &cause);
        if (len >= 0) {
            *ret_len = (size_t)len;
            return git_transfer_count(transfer, (gsize)len) ? 0 : -1;
        }
        if (!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
            return fail(stream, cause);
        if (!git_transfer_in_time(transfer))
            return -1;
    }
    return git_transfer_fail(transfer, KONTOR_ERROR_BUSY, "the server says nothing for %d seconds",
                             LIMIT_GIT_STALL_SECONDS);
}

static int stream_write(git_smart_subtransport_stream *base, const char *buffer, size_t len)
{
    DaemonStream *stream = (DaemonStream *)base;
    for (size_t done = 0; done < len;) {
        g_autoptr(GError) cause = NULL;
        gssize sent = g_socket_send(socket_of(stream), buffer + done, len - done, NULL, &cause);
        if (sent < 0 && !g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
            return fail(stream, cause);
        done += sent > 0 ? (size_t)sent : 0;
        if (!git_transfer_in_time(stream->owner->transfer))
            return -1;
    }
    return 0;
}

static void stream_free(git_smart_subtransport_stream *base)
{
    DaemonStream *stream = (DaemonStream *)base;
    if (stream->owner->stream == base)
        stream->owner->stream = NULL;
    g_clear_object(&stream->connection);
    g_free(stream);
}

/* --- Connecting --- */

static int dial(DaemonStream *stream)
{
    GitTransfer *transfer = stream->owner->transfer;
    g_autoptr(GError) cause = NULL;
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_set_timeout(client, LIMIT_GIT_CONNECT_SECONDS);
    g_autoptr(GSocketConnectable) address =
        g_network_address_new(transfer->host, (guint16)(transfer->port > 0 ? transfer->port : GIT_PORT));
    stream->connection = g_socket_client_connect(client, address, NULL, &cause);
    if (stream->connection == NULL)
        return fail(stream, cause);
    g_socket_set_timeout(socket_of(stream), POLL_SECONDS);
    return 0;
}

/* "<length in 4 hex digits>git-upload-pack <path> NUL host=<host[:port]> NUL" */
static int ask(DaemonStream *stream)
{
    GitTransfer *transfer = stream->owner->transfer;
    g_autoptr(GUri) uri = g_uri_parse(transfer->source->url, G_URI_FLAGS_NONE, NULL);
    const char *path = uri != NULL ? g_uri_get_path(uri) : "";
    if (g_str_has_prefix(path, "/~")) /* a home directory, not a name in the root */
        path++;
    if (*path == '\0')
        return git_transfer_fail(transfer, KONTOR_ERROR_NOT_FOUND, "the URL names no repository");
    gboolean is_v6 = strchr(transfer->host, ':') != NULL;
    g_autoptr(GString) line = g_string_new("git-upload-pack ");
    g_string_append(line, path);
    g_string_append_c(line, '\0');
    g_string_append_printf(line, is_v6 ? "host=[%s]" : "host=%s", transfer->host);
    if (transfer->port > 0)
        g_string_append_printf(line, ":%u", transfer->port);
    g_string_append_c(line, '\0');
    g_autofree char *length = g_strdup_printf("%04x", (guint)line->len + 4);
    g_string_prepend(line, length);
    return stream_write(&stream->base, line->str, line->len);
}

static int open_stream(git_smart_subtransport_stream **ret, git_smart_subtransport *base, const char *url,
                       git_smart_service_t action)
{
    (void)url; /* libgit2's; the source's is the one that was checked */
    DaemonSubtransport *owner = (DaemonSubtransport *)base;
    /* The pack comes over the connection that brought the references. */
    if (action == GIT_SERVICE_UPLOADPACK && owner->stream != NULL) {
        *ret = owner->stream;
        return 0;
    }
    if (action != GIT_SERVICE_UPLOADPACK_LS)
        return git_transfer_fail(owner->transfer, KONTOR_ERROR_UNSUPPORTED, "only fetching is supported");
    DaemonStream *stream = g_new0(DaemonStream, 1);
    stream->base = (git_smart_subtransport_stream){base, stream_read, stream_write, stream_free};
    stream->owner = owner;
    if (dial(stream) != 0 || ask(stream) != 0) {
        stream_free(&stream->base);
        return -1;
    }
    owner->stream = &stream->base;
    *ret = &stream->base;
    return 0;
}

/* --- Subtransport --- */

static int subtransport_close(git_smart_subtransport *base)
{
    (void)base;
    return 0;
}

static void subtransport_free(git_smart_subtransport *base)
{
    g_free(base);
}

int git_daemon_subtransport(git_smart_subtransport **ret, git_transport *owner, void *param)
{
    (void)owner;
    DaemonSubtransport *subtransport = g_new0(DaemonSubtransport, 1);
    subtransport->base = (git_smart_subtransport){open_stream, subtransport_close, subtransport_free};
    subtransport->transfer = param;
    *ret = &subtransport->base;
    return 0;
}
