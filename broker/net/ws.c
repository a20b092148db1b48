/* SPDX-License-Identifier: MIT
 *
 * libwebsockets in an I/O thread: its context, the adoption of sockets, and WebSocket connections as the
 * relay's transport.
 *
 * Data is only written from the WRITEABLE callback, one lws_write per callback. What the relay sends waits in
 * the connection's queue; a queue beyond LIMIT_WS_OUT_BYTES or LIMIT_WS_OUT_MESSAGES means that the reader is
 * too slow: the queue is dropped and the connection closed with 1008 "too slow".
 */
#include "broker/net/ws_thread.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/net/client_address.h"
#include "schema/limits.h"

enum {
    CLOSE_SECONDS = 5,
    HANDSHAKE_SECONDS = 15,
    RX_CHUNK_BYTES = 4096,
    SERVICE_BUFFER_BYTES = 16 * 1024,
    /* More than one write of ours with its framing: what the library has to put by of a write on an HTTP/2
     * connection, it sends on very slowly. */
    TX_PACKET_BYTES = 32 * 1024,
    HANDSHAKES_MAX = 1024,
    REASON_BYTES = 124
};

typedef enum { WS_OPEN, WS_CLOSING, WS_GONE } WsState;

struct WsConn {
    WsThread *ws;
    struct lws *wsi;
    RelayConn *relay;
    WsConn *next, **link;
    WheelEntry timer; /* WS_OPEN: the next ping; WS_CLOSING: when the socket is killed */
    GByteArray *rx;   /* a message of several pieces; NULL between them */
    GQueue out;       /* of GBytes * */
    gsize out_bytes;
    gint64 last_rx_us;
    gint64 moved_us; /* when the queue last became longer than nothing or shorter */
    guint8 state;
    gboolean oversize; /* the message being received is above the limit; `rx` has its beginning */
    gboolean ping_due;
    guint16 close_code;
    char close_reason[REASON_BYTES];
};

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

static const struct lws_protocols protocols[] = {
    {.name = "kontor",
     .callback = callback,
     .per_session_data_size = sizeof(WsSession),
     .rx_buffer_size = RX_CHUNK_BYTES,
     .tx_packet_size = TX_PACKET_BYTES},
    {.name = NULL},
};

/* No pings and no hang-ups by the library: see ws_thread.h. */
static const lws_retry_bo_t no_validity_checks = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

/* --- Connections --- */

/* The library sends a close frame only when its TIMER or RECEIVE callback asks to close; from WRITEABLE it
 * takes the socket for broken and drops it. */
static void arrange_close(WsConn *c)
{
    lws_set_timer_usecs(c->wsi, 1);
}

static void conn_close(WsConn *c, guint16 code, const char *reason)
{
    if (c->state != WS_OPEN)
        return;
    c->state = WS_CLOSING;
    c->close_code = code;
    g_strlcpy(c->close_reason, reason, sizeof c->close_reason);
    wheel_set(&c->ws->wheel, &c->timer, c->ws->thread->now_us + CLOSE_SECONDS * G_USEC_PER_SEC);
    lws_rx_flow_control(c->wsi, 1);
    lws_callback_on_writable(c->wsi);
}

/* What was queued before is out: now the close frame. */
static int close_now(WsConn *c)
{
    if (c == NULL || c->state != WS_CLOSING)
        return 0;
    lws_close_reason(c->wsi, (enum lws_close_status)c->close_code, (unsigned char *)c->close_reason,
                     strlen(c->close_reason));
    return -1;
}

static void queue_clear(WsConn *c)
{
    g_queue_clear_full(&c->out, (GDestroyNotify)g_bytes_unref);
    c->out_bytes = 0;
}

static void rx_clear(WsConn *c)
{
    if (c->rx == NULL)
        return;
    c->ws->rx_bytes -= c->rx->len;
    g_clear_pointer(&c->rx, g_byte_array_unref);
}

static gboolean transport_send(gpointer socket, GBytes *text)
{
    WsConn *c = socket;
    if (c->state != WS_OPEN)
        return FALSE;
    gsize len = g_bytes_get_size(text);
    if (c->out_bytes + len > LIMIT_WS_OUT_BYTES || g_queue_get_length(&c->out) >= LIMIT_WS_OUT_MESSAGES) {
        queue_clear(c);
        conn_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too slow: unread messages above the limit");
        return FALSE;
    }
    g_queue_push_tail(&c->out, g_bytes_ref(text));
    c->out_bytes += len;
    if (g_queue_get_length(&c->out) == 1) {
        c->moved_us = c->ws->thread->now_us;
        lws_callback_on_writable(c->wsi);
    }
    return TRUE;
}

static void transport_close(gpointer socket, guint16 code, const char *reason)
{
    conn_close(socket, code, reason);
}

static void transport_pause(gpointer socket, gboolean paused)
{
    WsConn *c = socket;
    if (c->state == WS_OPEN)
        lws_rx_flow_control(c->wsi, !paused);
}

const RelayTransport *ws_relay_transport(void)
{
    static const RelayTransport transport = {transport_send, transport_close, transport_pause};
    return &transport;
}

static void conn_new(WsThread *ws, struct lws *wsi, WsSession *session)
{
    IoThread *thread = ws->thread;
    WsConn *c = g_new0(WsConn, 1);
    c->ws = ws;
    c->wsi = wsi;
    g_queue_init(&c->out);
    c->last_rx_us = thread->now_us;
    c->next = ws->conns;
    c->link = &ws->conns;
    if (ws->conns != NULL)
        ws->conns->link = &c->next;
    ws->conns = c;
    ws->ws_count++;
    session->ws = c;
    wheel_set(&ws->wheel, &c->timer, thread->now_us + LIMIT_WS_PING_SECONDS * G_USEC_PER_SEC);
    c->relay =
        relay_conn_open(thread->shard, c, session->client, lws_get_opaque_user_data(wsi), thread->now_us);
    if (ws->stopping)
        conn_close(c, LWS_CLOSE_STATUS_GOINGAWAY, "broker is stopping");
}

static void conn_free(WsSession *session)
{
    WsConn *c = g_steal_pointer(&session->ws);
    if (c == NULL)
        return;
    c->state = WS_GONE;
    relay_conn_closed(c->relay);
    wheel_cancel(&c->timer);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    c->ws->ws_count--;
    queue_clear(c);
    rx_clear(c);
    g_free(c);
}

/* --- Receiving --- */

/* Keeps the unfinished messages of all sockets within their limit, at the cost of who holds most. */
static void drop_longest(WsThread *ws)
{
    WsConn *longest = ws->conns;
    for (WsConn *c = ws->conns; c != NULL; c = c->next)
        if (c->rx != NULL && (longest->rx == NULL || c->rx->len > longest->rx->len))
            longest = c;
    rx_clear(longest);
    conn_close(longest, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too many unfinished messages");
}

/* Adds a piece to the message being put together; what exceeds the limit is counted as oversize and not kept.
 * FALSE when the connection is closing because of that. */
static gboolean collect(WsConn *c, const void *data, gsize len)
{
    WsThread *ws = c->ws;
    if (c->rx == NULL)
        c->rx = g_byte_array_new();
    if (c->oversize || c->rx->len + len > LIMIT_WS_MESSAGE_BYTES) {
        c->oversize = TRUE;
        return TRUE;
    }
    g_byte_array_append(c->rx, data, (guint)len);
    ws->rx_bytes += len;
    if (ws->rx_bytes > LIMIT_WS_UNFINISHED_BYTES)
        drop_longest(ws);
    return c->state == WS_OPEN;
}

static void message_complete(WsConn *c)
{
    g_autoptr(GByteArray) rx = g_steal_pointer(&c->rx);
    c->ws->rx_bytes -= rx->len;
    gboolean oversize = c->oversize;
    c->oversize = FALSE;
    if (oversize)
        relay_conn_oversize(c->relay, (const char *)rx->data, rx->len, c->ws->thread->now_us);
    else
        relay_conn_message(c->relay, (const char *)rx->data, rx->len, c->ws->thread->now_us);
}

static void receive(WsConn *c, const void *data, gsize len)
{
    c->last_rx_us = c->ws->thread->now_us;
    if (c->state != WS_OPEN)
        return;
    if (lws_frame_is_binary(c->wsi)) {
        conn_close(c, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "text messages only");
        return;
    }
    gboolean complete = lws_is_final_fragment(c->wsi) && lws_remaining_packet_payload(c->wsi) == 0;
    if (complete && c->rx == NULL) {
        relay_conn_message(c->relay, data, len, c->last_rx_us);
        return;
    }
    if (collect(c, data, len) && complete)
        message_complete(c);
}

/* --- Sending --- */

static const char ping_payload[] = {'k', 'o', 'n', 't', 'o', 'r'};

/* One write; -1 drops the connection. */
static int write_one(WsConn *c)
{
    guint8 *at = c->ws->scratch + LWS_PRE;
    if (c->ping_due && c->state == WS_OPEN) {
        c->ping_due = FALSE;
        /* The library drops a write without bytes. */
        memcpy(at, ping_payload, sizeof ping_payload);
        if (lws_write(c->wsi, at, sizeof ping_payload, LWS_WRITE_PING) < 0)
            return -1;
    } else if (!g_queue_is_empty(&c->out)) {
        g_autoptr(GBytes) text = g_queue_pop_head(&c->out);
        gsize len = 0;
        const void *data = g_bytes_get_data(text, &len);
        c->out_bytes -= len;
        c->moved_us = c->ws->thread->now_us;
        memcpy(at, data, len);
        if (lws_write(c->wsi, at, len, LWS_WRITE_TEXT) < (int)len)
            return -1;
    }
    if (c->ping_due || !g_queue_is_empty(&c->out))
        lws_callback_on_writable(c->wsi);
    else if (c->state == WS_CLOSING)
        arrange_close(c);
    return 0;
}

/* --- Deadlines --- */

static void conn_due(WsConn *c, gint64 now_us)
{
    if (c->state != WS_OPEN) {
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
        return;
    }
    gint64 quiet_us = now_us - c->last_rx_us;
    if (quiet_us >= LIMIT_WS_PONG_SECONDS * G_USEC_PER_SEC) {
        queue_clear(c);
        conn_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "no answer to pings");
        return;
    }
    if (!g_queue_is_empty(&c->out) && now_us - c->moved_us >= LIMIT_WS_WRITE_SECONDS * G_USEC_PER_SEC) {
        queue_clear(c);
        conn_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too slow: nothing was read for too long");
        return;
    }
    c->ping_due = TRUE;
    lws_callback_on_writable(c->wsi);
    wheel_set(&c->ws->wheel, &c->timer, now_us + LIMIT_WS_PING_SECONDS * G_USEC_PER_SEC);
}

void ws_thread_tick(WsThread *ws)
{
    WheelEntry *entry;
    while ((entry = wheel_expire(&ws->wheel, ws->thread->now_us)) != NULL)
        conn_due((WsConn *)(void *)((char *)entry - G_STRUCT_OFFSET(WsConn, timer)), ws->thread->now_us);
    /* The library looks at its own time-outs only when some socket of the context was ready; this stands in
     * for one. */
    for (guint i = 0; ws->socket_count > 0 && i < ws->contexts->len; i++)
        lws_cancel_service(g_ptr_array_index(ws->contexts, i));
}

/* --- The library's callback: unpack and call --- */

void ws_client_address(WsThread *ws, struct lws *wsi, guint8 ret[16])
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof storage;
    char forwarded[512];
    getpeername(lws_get_socket_fd(lws_get_network_wsi(wsi)), (struct sockaddr *)&storage, &len);
    client_address_of_sockaddr((struct sockaddr *)&storage, ret);
    int n = lws_hdr_copy(wsi, forwarded, sizeof forwarded, WSI_TOKEN_X_FORWARDED_FOR);
    if (n > 0)
        client_address_resolve(ws->thread->config, ret, forwarded, (gsize)n, ret);
}

/* An upgrade is asked for: only /ws is a WebSocket, everything else is answered as a plain request. */
static int confirm_upgrade(WsThread *ws, struct lws *wsi)
{
    char *path = NULL;
    int len = 0;
    gboolean ours = ws->thread->shard != NULL && lws_http_get_uri_and_method(wsi, &path, &len) >= 0 &&
                    len == 3 && memcmp(path, "/ws", 3) == 0;
    if (ours)
        return 0;
    return lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL) < 0 ? -1 : 1;
}

static void socket_gone(WsThread *ws, struct lws *wsi)
{
    IpQuota *quota = lws_get_opaque_user_data(wsi);
    if (quota == NULL)
        return; /* a stream of an HTTP/2 connection, or one of the library's own */
    lws_set_opaque_user_data(wsi, NULL);
    ip_quota_refund(quota, IP_QUOTA_CONNECTIONS);
    ip_quota_release(quota);
    ws->socket_count--;
    io_thread_connection_closed(ws->thread);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    WsThread *ws = lws_context_user(lws_get_context(wsi));
    WsSession *session = user;
    switch ((int)reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        lws_set_opaque_user_data(wsi, g_steal_pointer(&ws->adopting));
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return confirm_upgrade(ws, wsi);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        ws_client_address(ws, wsi, session->client);
        return 0;
    case LWS_CALLBACK_ESTABLISHED:
        conn_new(ws, wsi, session);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        receive(session->ws, in, len);
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        session->ws->last_rx_us = ws->thread->now_us;
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_one(session->ws);
    case LWS_CALLBACK_TIMER:
        return close_now(session->ws);
    case LWS_CALLBACK_CLOSED:
        conn_free(session);
        return 0;
    case LWS_CALLBACK_HTTP:
        return tls_http_request(ws, wsi, session);
    case LWS_CALLBACK_HTTP_BODY:
        return tls_http_body(wsi, session, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return tls_http_body_complete(wsi, session);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return tls_http_writeable(wsi, session);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (session != NULL)
            tls_http_closed(ws, session);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        socket_gone(ws, wsi);
        return 0;
    default:
        return 0;
    }
}

/* --- Adoption --- */

/* The library did not take the socket: what came with it goes back. */
static void adoption_failed(WsThread *ws)
{
    IpQuota *quota = g_steal_pointer(&ws->adopting);
    if (quota == NULL)
        return; /* WSI_DESTROY has seen to it */
    ip_quota_refund(quota, IP_QUOTA_CONNECTIONS);
    ip_quota_release(quota);
    ws->socket_count--;
    io_thread_connection_closed(ws->thread);
}

void ws_thread_adopt_upgrade(WsThread *ws, int fd, IpQuota *quota, const char *data, gsize len)
{
    ws->adopting = quota;
    ws->socket_count++;
    if (lws_adopt_socket_vhost_readbuf(ws->plain, fd, data, len) == NULL)
        adoption_failed(ws);
}

void ws_thread_adopt_tls(WsThread *ws, int fd, IpQuota *quota)
{
    ws->adopting = quota;
    ws->socket_count++;
    if (ws->tls == NULL || ws->stopping) {
        close(fd);
        adoption_failed(ws);
    } else if (lws_adopt_socket_vhost(ws->tls, fd) == NULL) {
        adoption_failed(ws);
    }
}

/* --- The context --- */

/* A context with its one vhost, both for adopted sockets only. NULL when the library refuses. */
static struct lws_vhost *context_new(WsThread *ws, const char *cert_file, const char *key_file)
{
    void *loops[1] = {&ws->loop};
    const struct lws_context_creation_info context_info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_NO_LWS_SYSTEM_STATES |
                   LWS_SERVER_OPTION_VALIDATE_UTF8,
        .foreign_loops = loops,
        .user = ws,
        .max_http_header_data = 2 * LIMIT_HTTP_HEAD_BYTES,
        .max_http_header_pool = HANDSHAKES_MAX,
        .pt_serv_buf_size = SERVICE_BUFFER_BYTES,
        .retry_and_idle_policy = &no_validity_checks,
    };
    const struct lws_context_creation_info vhost_info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = "kontor",
        .protocols = protocols,
        /* We never connect to others from here: without this, every certificate costs a copy of the system's
         * certificates, more than a megabyte. */
        .options = LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS |
                   (cert_file != NULL ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .ssl_cert_filepath = cert_file,
        .ssl_private_key_filepath = key_file,
        .ssl_options_set = (long)(SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION),
        .timeout_secs = HANDSHAKE_SECONDS,
        .keepalive_timeout = LIMIT_HTTP_IDLE_SECONDS,
        .alpn = "h2,http/1.1",
        /* As the library's own, but for the streams at once: it hangs up on a client that opens more, also
         * before that client can know how many are allowed. */
        .http2_settings = {1, 65536, 0, LIMIT_HTTP2_STREAMS, 0, 16384, 4096},
        .retry_and_idle_policy = &no_validity_checks,
        /* Never used: the library makes one for every vhost otherwise, and loses it when there is more than
         * one context in the process. */
        .provided_client_ssl_ctx = ws->no_client,
    };
    struct lws_context *context = lws_create_context(&context_info);
    if (context == NULL)
        return NULL;
    g_ptr_array_add(ws->contexts, context);
    return lws_create_vhost(context, &vhost_info);
}

WsThread *ws_thread_new(IoThread *thread, GError **error)
{
    WsThread *ws = g_new0(WsThread, 1);
    ws->thread = thread;
    ws->contexts = g_ptr_array_new();
    ws->orphans = g_ptr_array_new_with_free_func(tls_exchange_free);
    ws->scratch = g_malloc(LWS_PRE + LIMIT_WS_MESSAGE_BYTES);
    wheel_init(&ws->wheel, thread->now_us);
    ws->no_client = SSL_CTX_new(TLS_client_method());
    /* Its log goes through one static buffer for all threads, and says nothing that ours does not. */
    lws_set_log_level(0, NULL);
    int failed = uv_loop_init(&ws->loop);
    g_assert(failed == 0);
    ws->plain = context_new(ws, NULL, NULL);
    if (ws->plain == NULL) {
        ws_thread_free(ws);
        g_set_error_literal(
            error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
            "libwebsockets cannot start; is its libuv plug-in installed? (package libwebsockets-evlib-uv)");
        return NULL;
    }
    return ws;
}

static void close_handle(uv_handle_t *handle, void *arg G_GNUC_UNUSED)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void ws_thread_free(WsThread *ws)
{
    /* On a loop that is not its own the library closes its handles asynchronously: the first call begins
     * that, the loop carries it out, and the second call frees what is left. */
    for (guint i = 0; i < ws->contexts->len; i++)
        lws_context_destroy(g_ptr_array_index(ws->contexts, i));
    uv_run(&ws->loop, UV_RUN_DEFAULT);
    for (guint i = 0; i < ws->contexts->len; i++)
        lws_context_destroy(g_ptr_array_index(ws->contexts, i));
    uv_run(&ws->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&ws->loop) == UV_EBUSY) {
        uv_walk(&ws->loop, close_handle, NULL);
        uv_run(&ws->loop, UV_RUN_DEFAULT);
        uv_loop_close(&ws->loop);
    }
    g_ptr_array_unref(ws->contexts);
    g_ptr_array_unref(ws->orphans);
    SSL_CTX_free(ws->no_client);
    g_free(ws->scratch);
    g_free(ws);
}

int ws_thread_fd(const WsThread *ws)
{
    return uv_backend_fd(&ws->loop);
}

int ws_thread_timeout_ms(const WsThread *ws)
{
    return uv_backend_timeout(&ws->loop);
}

void ws_thread_run(WsThread *ws)
{
    uv_run(&ws->loop, UV_RUN_NOWAIT);
}

gboolean ws_thread_set_certificate(WsThread *ws, const char *cert_file, const char *key_file, GError **error)
{
    struct lws_vhost *vhost = context_new(ws, cert_file, key_file);
    if (vhost == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "certificate %s with key %s cannot be used",
                    cert_file, key_file);
        return FALSE;
    }
    ws->tls = vhost;
    return TRUE;
}

void ws_thread_stop(WsThread *ws)
{
    ws->stopping = TRUE;
    for (WsConn *c = ws->conns; c != NULL; c = c->next)
        conn_close(c, LWS_CLOSE_STATUS_GOINGAWAY, "broker is stopping");
}

guint ws_thread_count(const WsThread *ws)
{
    return ws->ws_count + ws->exchange_count + (ws->thread->now_us < ws->flush_us);
}
