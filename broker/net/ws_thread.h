/* SPDX-License-Identifier: MIT
 *
 * The inside of a thread's libwebsockets context, shared by ws.c (context, WebSockets) and tls_http.c (HTTP
 * on TLS connections). The only header that shows libwebsockets and libuv types.
 *
 * libwebsockets runs on an embedded libuv loop: its poll() loop is linear in connections. We give it no
 * timers per message either: 4.1.6 keeps them in a sorted list whose insertion is linear, too
 * (tests/bench/README.md has the measurements); pings and time-outs of WebSockets are on our own wheel.
 */
#pragma once

#include <libwebsockets.h>
#include <uv.h>

#include "broker/net/io_thread.h"

typedef struct WsConn WsConn;
typedef struct TlsExchange TlsExchange;

/* What libwebsockets keeps for us per connection or HTTP/2 stream. Zeroed by it. */
typedef struct {
    WsConn *ws;            /* after a WebSocket was established */
    TlsExchange *exchange; /* the HTTP request in flight */
    guint8 client[16];     /* set before the WebSocket is established */
} WsSession;

struct WsThread {
    IoThread *thread;
    uv_loop_t loop;
    GPtrArray *contexts; /* of struct lws_context *: the plain one, then one per certificate there has been */
    struct lws_vhost *plain; /* adopted upgrades */
    struct lws_vhost *tls; /* newest certificate; NULL without one. Each has a context of its own: within one,
                              the library chooses vhosts by server name */
    Wheel wheel;           /* pings and closing deadlines */
    WsConn *conns;         /* all WebSockets */
    guint ws_count, socket_count; /* WebSockets; all sockets incl. TLS handshakes */
    guint exchange_count;         /* TLS requests that are being read, answered or written */
    gint64 flush_us;              /* while stopping: the library may hold the end of an answer until then */
    gsize rx_bytes;               /* of unfinished messages of all WebSockets */
    SSL_CTX *no_client;           /* see context_new */
    IpQuota *adopting;            /* belongs to the socket that is being adopted just now */
    GPtrArray *orphans; /* of TlsExchange *: the client is gone, the service still owes the answer */
    guint8 *scratch;    /* LWS_PRE + one message */
    gboolean stopping;
};

/* tls_http.c: the callbacks that concern HTTP; the value is libwebsockets' return value. */
int tls_http_request(WsThread *ws, struct lws *wsi, WsSession *session);
int tls_http_body(struct lws *wsi, WsSession *session, const char *data, gsize len);
int tls_http_body_complete(struct lws *wsi, WsSession *session);
int tls_http_writeable(struct lws *wsi, WsSession *session);
/* The connection or stream is gone. */
void tls_http_closed(WsThread *ws, WsSession *session);
/* Element free function of `orphans`. */
void tls_exchange_free(gpointer exchange);

/* ws.c: whose connection it is, from the socket and X-Forwarded-For. */
void ws_client_address(WsThread *ws, struct lws *wsi, guint8 ret[16]);
