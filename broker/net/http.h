/* SPDX-License-Identifier: MIT
 *
 * Requests and answers as the rest of the broker sees them, whatever carries them (the plain HTTP/1.1 loop of
 * http1.c, or TLS with HTTP/1.1 and HTTP/2 through libwebsockets).
 *
 * An HttpExchange is one request that waits for its answer. It belongs to one I/O thread. The service's
 * `request` is called with the whole request (body included); it answers by http_exchange_reply() at once or
 * later, on the same thread, exactly once. Until then the request stays readable, also when the client has
 * gone (then the answer is dropped). After the reply the exchange must not be touched.
 *
 * An HttpReply is an immutable, atomically reference-counted answer. The same reply may be sent any number of
 * times by any thread: caches keep whole replies, with their head already laid out.
 */
#pragma once

#include "broker/net/mailbox.h"

typedef enum {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_OTHER, /* any other token */
} HttpMethod;

/* A piece of foreign text, not NUL-terminated. */
typedef struct {
    const char *text;
    gsize len;
} HttpSlice;

typedef struct {
    HttpSlice name;  /* as sent */
    HttpSlice value; /* without surrounding blanks */
} HttpHeader;

typedef struct {
    HttpMethod method;
    HttpSlice target; /* as sent, in origin form: begins with "/" */
    HttpSlice path;   /* target up to "?" */
    HttpSlice query;  /* after "?", or empty */
    guint header_count;
    const HttpHeader *headers;
    const guint8 *body; /* NULL when there is none */
    gsize body_len;
    guint8 client[16]; /* whose request it is: the socket's peer, or what a configured proxy says; IPv4 as
                          ::ffff:a.b.c.d */
    gboolean tls;
    gint64 started_us; /* monotonic: when its first byte was seen */
} HttpRequest;

typedef struct HttpExchange HttpExchange;
typedef struct HttpReply HttpReply;

/* What became of a request; for metrics and the access log. Called on the I/O thread after the answer was
 * handed to the kernel or dropped. */
typedef struct {
    HttpMethod method;
    guint route;        /* as set by http_exchange_set_route; 0 when the request never reached the service */
    guint status;       /* 0 when the client went away before an answer */
    guint64 body_bytes; /* of the answer */
    gint64 elapsed_us;
    const guint8 *client; /* 16 bytes */
} HttpDone;

/* Implemented by broker/serve; every function runs on the I/O thread whose `thread_user` it gets. */
typedef struct {
    void (*request)(HttpExchange *exchange, gpointer thread_user);
    void (*done)(const HttpDone *done, gpointer thread_user);
} HttpService;

/* --- Requests --- */
const HttpRequest *http_exchange_request(const HttpExchange *exchange);
/* The value of the first header of that name (compared without regard to case); FALSE if there is none. */
gboolean http_request_header(const HttpRequest *request, const char *name, HttpSlice *ret);
/* Remembers the route for HttpDone. */
void http_exchange_set_route(HttpExchange *exchange, guint route);
/* Answers; the reply is not consumed (the exchange takes its own reference while it needs one). HEAD gets the
 * head alone. */
void http_exchange_reply(HttpExchange *exchange, HttpReply *reply);

/* --- Replies --- */

/* A reply with a body (may be NULL: empty). `content_type` NULL: none is sent. Date, Content-Length, Server
 * and Connection are added when it is sent. */
HttpReply *http_reply_new(guint status, const char *content_type, GBytes *body);
/* Adds a header; before the reply is sent or shared for the first time. Values are ours, never a client's
 * bytes. */
void http_reply_add_header(HttpReply *reply, const char *name, const char *value);
/* Lets the connection close after this answer. Before the first send. */
void http_reply_set_close(HttpReply *reply);
HttpReply *http_reply_ref(HttpReply *reply);
void http_reply_unref(HttpReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpReply, http_reply_unref)
guint http_reply_status(const HttpReply *reply);
GBytes *http_reply_body(const HttpReply *reply); /* borrowed; NULL when empty */
/* Memory that a cache should count for it, in bytes. */
gsize http_reply_cost(const HttpReply *reply);

/* Reason phrase of a status, such as "Not Found". */
const char *http_status_text(guint status);
