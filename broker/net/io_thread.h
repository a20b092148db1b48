/* SPDX-License-Identifier: MIT
 *
 * The inside of broker/net: one I/O thread and what its parts share. Only files of this folder include it.
 *
 * An IoSource is anything with a descriptor in the epoll set; `ready` is called with the events. Sources are
 * registered edge-triggered unless noted.
 */
#pragma once

#include "broker/net/net.h"
#include "broker/net/wheel.h"

typedef struct IoThread IoThread;
typedef struct IoSource IoSource;
struct IoSource {
    void (*ready)(IoSource *source, guint32 events);
};

typedef struct Http1 Http1;       /* http1.c: a thread's plain connections */
typedef struct WsThread WsThread; /* ws.c: a thread's libwebsockets context */

typedef struct {
    IoSource source;
    IoThread *thread;
    NetKind kind;
    int fd;
    gboolean armed; /* in the epoll set */
} IoListener;

struct IoThread {
    Net *net;
    guint index;
    int epoll_fd;
    Mailbox *mailbox;
    Config *config; /* a reference; replaced through the mailbox */
    gint64 now_us;  /* monotonic, taken once per turn of the loop */
    Wheel wheel;    /* deadlines of http1 connections */
    Http1 *http1;
    WsThread *ws;
    RelayShard *shard; /* NULL without a relay */
    gpointer thread_user;
    GPtrArray *listeners; /* of IoListener *, owned */
    char date_line[48];   /* "Date: …\r\n" */
    guint date_len;
    gint64 date_due_us; /* when it must be made anew */
    gint64 tick_due_us;
    gint64 turned_us;  /* atomic: now_us of the latest tick, for the watchdog */
    gboolean stopping; /* no new requests on open connections; loops end when nothing is left or at stop_us */
    gint64 stop_us;
    GThread *gthread;
    gint connections; /* atomic: what the accepting threads compare */
};

struct Net {
    Config *config;
    Relay *relay;
    NetHooks hooks;
    guint thread_count;
    IoThread *threads;
    GArray *listen_fds; /* of int, owned */
    IpQuotaTable *quotas;
    gboolean started;
    gint connections_max; /* atomic */
};

/* A request in flight, whatever carries it. Transports embed it. */
struct HttpExchange {
    HttpRequest request;
    IoThread *thread;
    const HttpService *service;
    guint route;
    void (*send)(HttpExchange *exchange, HttpReply *reply);
};

/* io_thread.c: life cycle, from the main thread. init fills a zeroed structure; close and clear follow it
 * also when it failed. close frees everything but the mailbox and may be called again. */
gboolean io_thread_init(IoThread *thread, Net *net, guint index, const RelayTransport *transport,
                        GError **error);
void io_thread_close(IoThread *thread);
void io_thread_clear(IoThread *thread);
/* Accepts from `fd` (borrowed) once the loop runs. Before io_thread_start. */
void io_thread_listen(IoThread *thread, NetKind kind, int fd);
void io_thread_start(IoThread *thread);
void io_thread_reload(IoThread *thread, Config *config);
/* Lets the loop end when nothing is left, or at `stop_us` (monotonic). */
void io_thread_stop(IoThread *thread, gint64 stop_us);

/* io_thread.c: for the other files of this folder, on the thread itself */
gboolean io_thread_add(IoThread *thread, int fd, guint32 events, IoSource *source);
void io_thread_remove(IoThread *thread, int fd);
/* Tells the service what became of a request. */
void io_thread_request_done(IoThread *thread, const HttpExchange *exchange, guint status, guint64 body_bytes);
void io_thread_connection_opened(IoThread *thread);
void io_thread_connection_closed(IoThread *thread);

/* http1.c */
Http1 *http1_new(IoThread *thread);
void http1_free(Http1 *http1);
/* Takes over a connected, non-blocking socket. */
void http1_adopt(Http1 *http1, NetKind kind, int fd, const guint8 peer[16]);
/* Connections that had more to do than their turn allowed. TRUE when some are left for the next turn. */
gboolean http1_continue(Http1 *http1);
void http1_expire(Http1 *http1);
/* Closes idle connections; the others close after their answer. */
void http1_stop(Http1 *http1);
guint http1_count(const Http1 *http1);

/* ws.c */
const RelayTransport *ws_relay_transport(void);
WsThread *ws_thread_new(IoThread *thread, GError **error);
void ws_thread_free(WsThread *ws);
int ws_thread_fd(const WsThread *ws);
/* Milliseconds until it wants to run; 0 = now, -1 = only when its descriptor is ready. */
int ws_thread_timeout_ms(const WsThread *ws);
void ws_thread_run(WsThread *ws);
void ws_thread_tick(WsThread *ws);
/* A plain connection whose first request (`len` bytes) asks for a WebSocket on /ws. Takes over the socket,
 * the quota and the connection count. */
void ws_thread_adopt_upgrade(WsThread *ws, int fd, IpQuota *quota, const char *data, gsize len);
/* A new connection to a TLS listener. Takes over the socket, the quota and the connection count. */
void ws_thread_adopt_tls(WsThread *ws, int fd, IpQuota *quota);
/* Replaces the certificate for new connections. */
gboolean ws_thread_set_certificate(WsThread *ws, const char *cert_file, const char *key_file, GError **error);
/* Closes every WebSocket with 1001; TLS connections end after their answer. */
void ws_thread_stop(WsThread *ws);
/* What still keeps a stopping loop: WebSockets, and TLS requests in flight. */
guint ws_thread_count(const WsThread *ws);
