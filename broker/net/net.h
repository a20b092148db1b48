/* SPDX-License-Identifier: MIT
 *
 * The network side of the broker: listeners and I/O threads. Everything above sees HttpExchange (http.h) and
 * RelayTransport (relay.h) and nothing of sockets.
 *
 * Each I/O thread is an epoll loop with its own connections; nothing is shared between threads but the
 * listening sockets, the configuration and atomic counters. A new connection goes to the thread that has the
 * fewest. Plain HTTP/1.1 is spoken by http1.c; a connection that asks for a WebSocket, and every TLS
 * connection, is handed to libwebsockets (ws.c, tls_http.c), which runs in the same thread on an embedded
 * libuv loop. docs/decisions.md says why.
 */
#pragma once

#include "broker/config.h"
#include "broker/net/http.h"
#include "broker/net/ip_quota.h"
#include "broker/relay/relay.h"

typedef struct Net Net;

typedef enum {
    NET_PUBLIC, /* plain HTTP/1.1 and WebSocket for everybody */
    NET_TLS,    /* the same behind TLS, with HTTP/2 */
    NET_API,    /* plain HTTP/1.1 on loopback */
} NetKind;

/* What the layer above does per I/O thread. */
typedef struct {
    /* Makes the thread's service state; `shard` is NULL without a relay. Called on the main thread before the
     * loops run. */
    gpointer (*thread_new)(gpointer user, guint index, Mailbox *mailbox, RelayShard *shard);
    void (*thread_free)(gpointer thread_user);                /* main thread, after the loop has ended */
    void (*thread_tick)(gpointer thread_user, gint64 now_us); /* the I/O thread, about four times a second */
    const HttpService *public_service;                        /* NET_PUBLIC and NET_TLS */
    const HttpService *api_service;                           /* NET_API */
    gpointer user;
} NetHooks;

/* --- Life cycle (main thread) --- */

/* Makes `config->threads` threads, not yet running. `relay` may be NULL: then /ws is an ordinary path. */
Net *net_new(Config *config, Relay *relay, const NetHooks *hooks, GError **error);
/* Binds and listens; `ret_bound` receives "host:port" with the real port, a new string. CONFLICT when the
 * port is in use, with what to do. Before net_start. */
gboolean net_listen(Net *net, NetKind kind, const ConfigAddress *address, char **ret_bound, GError **error);
/* Loads certificate and key for NET_TLS listeners; also after they changed: established connections keep what
 * they have. Any time; blocks until all threads have it. */
gboolean net_set_certificate(Net *net, const char *cert_file, const char *key_file, GError **error);
/* Starts the loops. */
void net_start(Net *net);
/* New limits, proxies and so on after a reload. */
void net_reload(Net *net, Config *config);
/* Stops accepting, lets requests in flight finish for at most `grace_ms`, closes WebSockets with 1001, then
 * ends the loops and waits for them. */
void net_stop(Net *net, guint grace_ms);
/* After net_stop: closes every connection and frees what the threads used (service state, shards). The
 * mailboxes stay, because other threads may still post to them. */
void net_close(Net *net);
/* After net_close and after everybody who posts has stopped; NULL is fine. */
void net_free(Net *net);

/* --- Queries (any thread) --- */
guint net_connection_count(const Net *net);
/* TRUE when every loop has made a turn within the last `within_us`: for the watchdog. */
gboolean net_is_alive(const Net *net, guint64 within_us);
