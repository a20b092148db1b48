/* SPDX-License-Identifier: MIT
 *
 * Plain HTTP/1.1 connections of one I/O thread.
 *
 *                 ┌────────────── answer sent, keep-alive ──────────────┐
 *                 ▼                                                     │
 *   adopt ──► IDLE ──► HEAD ──► BODY ──► PENDING ──► WRITING ───────────┤
 *                        │        │      (service)   (socket full)      │ no keep-alive
 *                        └────────┴─ refusal ──────────────────────► DRAINING ──► CLOSED
 *   any state ── error, time-out ──► CLOSED; while PENDING the connection stays as a shell until the service
 * has answered
 *
 * A descriptor is registered once, edge-triggered for both directions, so that a request costs no epoll_ctl.
 * `readable` remembers an edge until a read comes back short; a short read of a stream socket means that it
 * is empty, which saves the read that would say EAGAIN.
 *
 * The input buffer (in_buffer.h) does not move while a request is PENDING: the request's slices point into
 * it.
 *
 * One connection makes at most STEPS_PER_TURN steps (reads and requests) per turn of the loop; then it waits
 * in the `again` queue while others get theirs.
 *
 * Events of a batch and the `again` queue name connections, and the service names those it owes an answer. So
 * a closed connection is a shell until none of them does: conn_bury_if_unused is the only place that decides
 * this, and the graveyard is emptied when the batch is done.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "broker/net/client_address.h"
#include "broker/net/http_chunked.h"
#include "broker/net/http_head.h"
#include "broker/net/http_reply.h"
#include "broker/net/in_buffer.h"
#include "broker/net/io_thread.h"
#include "schema/limits.h"

enum {
    SCRATCH_BYTES = 32 * 1024,                /* answers up to this size are sent as one piece */
    CHUNKED_READ_BYTES = 64 * 1024,           /* how much of a chunked body is read at once */
    STEPS_PER_TURN = 2 * LIMIT_HTTP_PIPELINE, /* a request is a step, and so is a read */
    DRAIN_SECONDS = 2, /* after a refusal: how long the rest of the request is read and thrown away … */
    DRAIN_BYTES = 4 * 1024 * 1024, /* … and how much of it */
};

typedef enum { IDLE, HEAD, BODY, PENDING, WRITING, DRAINING, CLOSED, STATES } ConnState;

#define MAY(s) (1u << (s))
static const guint allowed[STATES] = {
    [IDLE] = MAY(HEAD) | MAY(CLOSED),
    [HEAD] = MAY(IDLE) | MAY(BODY) | MAY(PENDING) | MAY(WRITING) | MAY(CLOSED),
    [BODY] = MAY(PENDING) | MAY(WRITING) | MAY(CLOSED),
    [PENDING] = MAY(WRITING) | MAY(CLOSED),
    [WRITING] = MAY(IDLE) | MAY(HEAD) | MAY(DRAINING) | MAY(CLOSED),
    [DRAINING] = MAY(CLOSED),
    [CLOSED] = 0,
};

typedef struct Http1Conn Http1Conn;
struct Http1Conn {
    IoSource source; /* first: the epoll set points here */
    HttpExchange exchange;
    WheelEntry timer;
    Http1 *http1;
    Http1Conn *next, **link; /* in the thread's `conns`; after the end, while an answer is owed, in `lost` */
    Http1Conn *next_again;   /* in the `again` queue */
    IpQuota *quota;
    int fd;
    guint8 state, kind;
    gboolean readable, eof; /* what epoll said and reading has not used up */
    gboolean running;       /* conn_run is on the stack */
    gboolean queued_again;
    gboolean keep_alive, old_minor; /* of the current request; old_minor: HTTP/1.0 */
    gboolean answered;              /* the service has answered the current request */
    gboolean pending_lost;          /* CLOSED while the service still owes an answer */
    guint8 peer[16];
    InBuffer *in;
    gsize scanned;    /* bytes known not to complete a head */
    gsize body_at;    /* offset of the body; head bytes before it */
    gsize body_len;   /* decoded body bytes so far */
    guint64 body_due; /* Content-Length */
    gboolean chunked;
    HttpChunked chunks;
    char *out_head; /* what the socket did not take yet */
    gsize out_head_len, out_head_at;
    GBytes *out_body;
    gsize out_body_at;
    guint out_status;
    guint64 out_body_bytes;
    guint64 drained;
};

struct Http1 {
    IoThread *thread;
    Http1Conn *conns; /* open */
    Http1Conn *lost;  /* closed while the service owes an answer */
    guint count;      /* of `conns` */
    InBufferPool buffers;
    Http1Conn *again, **again_tail;
    GPtrArray
        *graveyard; /* of Http1Conn *, closed in this turn: events that name them may still be in the batch */
    char scratch[SCRATCH_BYTES];
};

static void conn_run(Http1Conn *c);
static void conn_send(HttpExchange *exchange, HttpReply *reply);

/* --- States --- */

static void enter(Http1Conn *c, ConnState state)
{
    if (c->state == state)
        return;
    g_assert((allowed[c->state] & MAY(state)) != 0);
    c->state = state;
}

static void due(Http1Conn *c, guint seconds)
{
    wheel_set(&c->http1->thread->wheel, &c->timer,
              c->http1->thread->now_us + (gint64)seconds * G_USEC_PER_SEC);
}

static void give_buffer_back(Http1Conn *c)
{
    in_buffer_give_back(&c->http1->buffers, g_steal_pointer(&c->in));
}

/* --- Life cycle --- */

static void conn_bury_if_unused(Http1Conn *c)
{
    if (c->state != CLOSED || c->running || c->pending_lost || c->queued_again)
        return;
    give_buffer_back(c);
    g_ptr_array_add(c->http1->graveyard, c);
}

static void conn_link(Http1Conn *c, Http1Conn **list)
{
    c->next = *list;
    c->link = list;
    if (*list != NULL)
        (*list)->link = &c->next;
    *list = c;
}

static void conn_unlink(Http1Conn *c)
{
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
}

static void conn_free(gpointer data)
{
    Http1Conn *c = data;
    g_free(c->out_head);
    g_clear_pointer(&c->out_body, g_bytes_unref);
    g_free(c->in);
    g_free(c);
}

/* Gives up what belongs to the descriptor, which is closed or handed on by the caller. */
static void conn_detach(Http1Conn *c)
{
    wheel_cancel(&c->timer);
    conn_unlink(c);
    c->http1->count--;
    c->fd = -1;
}

static void conn_close(Http1Conn *c)
{
    if (c->state == CLOSED)
        return;
    close(c->fd);
    conn_detach(c);
    ip_quota_refund(c->quota, IP_QUOTA_CONNECTIONS);
    ip_quota_release(c->quota);
    io_thread_connection_closed(c->http1->thread);
    if (c->state == WRITING)
        io_thread_request_done(c->http1->thread, &c->exchange, c->out_status, c->out_body_at);
    if (c->state == PENDING) {
        c->pending_lost = TRUE;
        conn_link(c, &c->http1->lost);
    }
    enter(c, CLOSED);
    conn_bury_if_unused(c);
}

/* --- Reading --- */

typedef enum { READ_GOT, READ_BLOCKED, READ_END, READ_NO_ROOM } ReadResult;

/* A large buffer is not filled with the small requests behind a body: each would move all that follow it. */
static gsize read_max(const Http1Conn *c)
{
    if (c->state != BODY)
        return IN_BUFFER_BYTES;
    gsize have = c->in->len - c->body_at;
    return IN_BUFFER_BYTES + (c->chunked ? CHUNKED_READ_BYTES : (gsize)c->body_due - have);
}

static ReadResult conn_read(Http1Conn *c)
{
    if (!c->readable)
        return READ_BLOCKED;
    if (c->in == NULL)
        c->in = in_buffer_take(&c->http1->buffers);
    if (!in_buffer_reserve(&c->http1->buffers, &c->in))
        return READ_NO_ROOM;
    gsize room = MIN(c->in->capacity - c->in->len, read_max(c));
    ssize_t n = recv(c->fd, c->in->data + c->in->len, room, 0);
    if (n > 0) {
        c->in->len += (gsize)n;
        /* After a hang-up there is no further edge, so reading goes on to the end. */
        c->readable = (gsize)n == room || c->eof;
        return READ_GOT;
    }
    if (n < 0 && errno == EINTR)
        return READ_GOT;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->readable = FALSE;
        return READ_BLOCKED;
    }
    return READ_END;
}

/* --- Writing --- */

/* Drops the request that was answered; what was pipelined behind it moves to the front. */
static void conn_next_request(Http1Conn *c)
{
    gsize used = c->body_at + (c->chunked ? c->body_len : (gsize)c->body_due);
    gsize left = c->in != NULL && c->in->len > used ? c->in->len - used : 0;
    c->scanned = 0;
    c->body_at = c->body_len = 0;
    c->body_due = 0;
    c->chunked = FALSE;
    if (left > 0) {
        memmove(c->in->data, c->in->data + used, left);
        c->in->len = left;
        enter(c, HEAD);
        due(c, LIMIT_HTTP_HEAD_SECONDS);
    } else {
        give_buffer_back(c);
        enter(c, IDLE);
        due(c, LIMIT_HTTP_IDLE_SECONDS);
    }
}

/* The whole answer is with the kernel. */
static void conn_sent(Http1Conn *c)
{
    io_thread_request_done(c->http1->thread, &c->exchange, c->out_status, c->out_body_bytes);
    if (c->keep_alive && !c->http1->thread->stopping) {
        conn_next_request(c);
        return;
    }
    enter(c, DRAINING);
    shutdown(c->fd, SHUT_WR);
    give_buffer_back(c);
    due(c, DRAIN_SECONDS);
}

/* Sends what is left; TRUE when nothing is. */
static gboolean conn_flush(Http1Conn *c)
{
    gsize body_len = 0;
    const char *body = c->out_body != NULL ? g_bytes_get_data(c->out_body, &body_len) : NULL;
    while (c->out_head_at < c->out_head_len || c->out_body_at < body_len) {
        struct iovec parts[2] = {
            {c->out_head != NULL ? c->out_head + c->out_head_at : NULL, c->out_head_len - c->out_head_at},
            {body != NULL ? (char *)(guintptr)(body + c->out_body_at) : NULL, body_len - c->out_body_at},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return FALSE;
        if (n < 0) {
            /* The peer is gone: the rest counts as sent, the close follows from keep_alive. */
            c->keep_alive = FALSE;
            break;
        }
        due(c, LIMIT_HTTP_WRITE_SECONDS);
        gsize of_head = MIN((gsize)n, c->out_head_len - c->out_head_at);
        c->out_head_at += of_head;
        c->out_body_at += (gsize)n - of_head;
    }
    g_clear_pointer(&c->out_head, g_free);
    g_clear_pointer(&c->out_body, g_bytes_unref);
    c->out_head_len = c->out_head_at = c->out_body_at = 0;
    return TRUE;
}

static gsize lay_out_head(const Http1Conn *c, const HttpReply *reply, char *at, gsize room)
{
    const IoThread *thread = c->http1->thread;
    const char *connection = !c->keep_alive ? "Connection: close\r\n"
                             : c->old_minor ? "Connection: keep-alive\r\n"
                                            : "";
    gsize connection_len = strlen(connection);
    gsize total = reply->head->len + thread->date_len + connection_len + 2;
    g_assert(total <= room);
    memcpy(at, reply->head->str, reply->head->len);
    at += reply->head->len;
    memcpy(at, thread->date_line, thread->date_len);
    at += thread->date_len;
    memcpy(at, connection, connection_len);
    memcpy(at + connection_len, "\r\n", 2);
    return total;
}

/* First attempt at an answer: small ones go out as one piece from the thread's scratch memory; only what the
 * socket refuses is kept. */
static void conn_write(Http1Conn *c, HttpReply *reply)
{
    Http1 *h = c->http1;
    gsize head_len = lay_out_head(c, reply, h->scratch, sizeof h->scratch);
    gsize body_len = 0;
    const char *body = NULL;
    if (reply->body != NULL && c->exchange.request.method != HTTP_HEAD)
        body = g_bytes_get_data(reply->body, &body_len);
    c->out_status = reply->status;
    c->out_body_bytes = body_len;
    gsize done = 0;
    if (head_len + body_len <= sizeof h->scratch) {
        if (body_len > 0)
            memcpy(h->scratch + head_len, body, body_len);
        ssize_t n = send(c->fd, h->scratch, head_len + body_len, MSG_NOSIGNAL);
        done = n > 0 ? (gsize)n : 0;
    }
    if (done < head_len + body_len) {
        if (done < head_len) {
            c->out_head_len = head_len - done;
            c->out_head = g_memdup2(h->scratch + done, c->out_head_len);
        }
        c->out_body_at = done > head_len ? done - head_len : 0;
        c->out_body = body_len > 0 ? g_bytes_ref(reply->body) : NULL;
        due(c, LIMIT_HTTP_WRITE_SECONDS);
        if (!conn_flush(c))
            return;
    }
    conn_sent(c);
}

/* The service's answer, at once or later. */
static void conn_send(HttpExchange *exchange, HttpReply *reply)
{
    Http1Conn *c = (Http1Conn *)(void *)((char *)exchange - G_STRUCT_OFFSET(Http1Conn, exchange));
    g_assert(!c->answered);
    c->answered = TRUE;
    if (c->state == CLOSED) {
        g_assert(c->pending_lost);
        c->pending_lost = FALSE;
        conn_unlink(c);
        io_thread_request_done(c->http1->thread, exchange, 0, 0);
        conn_bury_if_unused(c);
        return;
    }
    c->keep_alive &= !reply->close && !c->http1->thread->stopping;
    enter(c, WRITING);
    conn_write(c, reply);
    if (!c->running)
        conn_run(c);
}

/* --- Requests --- */

static void conn_refuse(Http1Conn *c, guint status, HttpMethod method)
{
    g_autoptr(HttpReply) reply = http_reply_refusal(status);
    c->keep_alive = FALSE;
    c->exchange.request = (HttpRequest){.method = method, .started_us = c->http1->thread->now_us};
    memcpy(c->exchange.request.client, c->peer, 16);
    c->exchange.route = 0;
    enter(c, WRITING);
    conn_write(c, reply);
}

static gboolean is_websocket_request(const Http1Conn *c, const HttpHead *head)
{
    return head->wants_websocket && c->kind == NET_PUBLIC && c->http1->thread->shard != NULL &&
           head->request.path.len == 3 && memcmp(head->request.path.text, "/ws", 3) == 0;
}

static void resolve_client(Http1Conn *c, HttpRequest *request)
{
    memcpy(request->client, c->peer, 16);
    HttpSlice forwarded;
    if (c->kind != NET_API && http_request_header(request, "x-forwarded-for", &forwarded))
        client_address_resolve(c->http1->thread->config, c->peer, forwarded.text, forwarded.len,
                               request->client);
}

/* Hands the descriptor to libwebsockets. It gets a request of our making with what it needs to know, so that
 * its own parser cannot understand something else than ours did, followed by what came behind the request. */
static void conn_upgrade(Http1Conn *c, const HttpHead *head)
{
    IoThread *thread = c->http1->thread;
    HttpSlice key;
    if (head->chunked || head->content_length > 0) {
        conn_refuse(c, 400, HTTP_GET);
        return;
    }
    gboolean has_key = http_request_header(&head->request, "sec-websocket-key", &key);
    g_assert(has_key); /* part of wants_websocket */
    HttpRequest request = head->request;
    char client[INET6_ADDRSTRLEN];
    resolve_client(c, &request);
    client_address_print(request.client, client);
    g_autoptr(GString) text = g_string_sized_new(256 + c->in->len - head->head_bytes);
    g_string_append_printf(text,
                           "GET /ws HTTP/1.1\r\nHost: kontor\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n"
                           "X-Forwarded-For: %s\r\n\r\n",
                           (int)key.len, key.text, client);
    g_string_append_len(text, c->in->data + head->head_bytes, (gssize)(c->in->len - head->head_bytes));
    int fd = c->fd;
    io_thread_remove(thread, fd);
    conn_detach(c);
    c->state = CLOSED;
    ws_thread_adopt_upgrade(thread->ws, fd, c->quota, text->str, text->len);
}

static void conn_dispatch(Http1Conn *c, const HttpHead *head)
{
    HttpRequest *request = &c->exchange.request;
    *request = head->request;
    request->started_us = c->http1->thread->now_us;
    if (request->header_count > 1)
        resolve_client(c, request);
    else
        memcpy(request->client, c->peer, 16);
    request->body_len = c->chunked ? c->body_len : (gsize)c->body_due;
    request->body = request->body_len > 0 ? (const guint8 *)c->in->data + c->body_at : NULL;
    c->exchange.route = 0;
    c->answered = FALSE;
    enter(c, PENDING);
    c->exchange.service->request(&c->exchange, c->http1->thread->thread_user);
}

/* A complete head is in the buffer and no body was looked for yet. */
static void conn_begin_request(Http1Conn *c)
{
    HttpHead head;
    guint status = http_head_parse(c->in->data, c->in->len, c->in->headers, &head);
    if (status != 0) {
        conn_refuse(c, status, head.request.method);
        return;
    }
    c->exchange.request.method = head.request.method;
    c->keep_alive = head.keep_alive;
    c->old_minor = head.minor == 0;
    if (is_websocket_request(c, &head)) {
        conn_upgrade(c, &head);
        return;
    }
    if (head.has_length && head.content_length > LIMIT_HTTP_BODY_BYTES) {
        conn_refuse(c, 413, head.request.method);
        return;
    }
    c->body_at = head.head_bytes;
    c->body_due = head.content_length;
    c->body_len = 0;
    c->chunked = head.chunked;
    c->chunks = (HttpChunked){0};
    if (!c->chunked && c->in->len - c->body_at >= c->body_due) {
        conn_dispatch(c, &head);
        return;
    }
    if (head.expect_continue && c->in->len == c->body_at)
        (void)!send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    enter(c, BODY);
    due(c, LIMIT_HTTP_BODY_SECONDS);
}

/* Decodes what arrived of a chunked body in place. TRUE when the body is complete. */
static gboolean conn_decode_chunks(Http1Conn *c)
{
    gsize from = c->body_at + c->body_len;
    gsize used = 0, len = c->body_len;
    char *data = c->in->data;
    HttpChunkedResult result = http_chunked_decode(&c->chunks, data + from, c->in->len - from, &used,
                                                   data + c->body_at, &len, LIMIT_HTTP_BODY_BYTES);
    if (result == HTTP_CHUNKED_MALFORMED || result == HTTP_CHUNKED_TOO_LARGE) {
        conn_refuse(c, result == HTTP_CHUNKED_MALFORMED ? 400 : 413, c->exchange.request.method);
        return FALSE;
    }
    /* Everything that was consumed gives way to the decoded bytes; a pipelined request may follow. */
    gsize rest = c->in->len - from - used;
    memmove(data + c->body_at + len, data + from + used, rest);
    c->body_len = len;
    c->in->len = c->body_at + len + rest;
    return result == HTTP_CHUNKED_DONE;
}

/* TRUE when something happened; FALSE when more bytes are needed. */
static gboolean conn_continue_body(Http1Conn *c)
{
    gboolean complete = c->chunked ? c->in->len > c->body_at + c->body_len && conn_decode_chunks(c)
                                   : c->in->len - c->body_at >= c->body_due;
    if (c->state != BODY)
        return TRUE;
    if (!complete)
        return FALSE;
    /* The buffer may have moved since the head was parsed; its bytes have not changed. */
    HttpHead head;
    guint status = http_head_parse(c->in->data, c->body_at, c->in->headers, &head);
    g_assert(status == 0);
    conn_dispatch(c, &head);
    return TRUE;
}

/* Empty lines before a request are skipped (RFC 9112 section 2.2). */
static void skip_empty_lines(Http1Conn *c)
{
    const char *data = c->in->data;
    gsize skip = 0;
    while (c->in->len - skip >= 2 && data[skip] == '\r' && data[skip + 1] == '\n')
        skip += 2;
    if (skip == 0)
        return;
    c->in->len -= skip;
    memmove(c->in->data, data + skip, c->in->len);
    c->scanned = 0;
}

/* Makes one step with the bytes at hand. FALSE when more are needed. */
static gboolean conn_step(Http1Conn *c)
{
    if (c->state == BODY)
        return conn_continue_body(c);
    if (c->in == NULL || c->in->len == 0)
        return FALSE;
    if (c->scanned < 2)
        skip_empty_lines(c);
    if (c->in->len == 0) {
        if (c->state == HEAD) {
            enter(c, IDLE);
            due(c, LIMIT_HTTP_IDLE_SECONDS);
        }
        return FALSE;
    }
    gboolean fresh = c->state == IDLE;
    enter(c, HEAD);
    guint status;
    if (http_head_is_complete(c->in->data, c->in->len, &c->scanned)) {
        conn_begin_request(c);
        return TRUE;
    }
    if (http_head_is_hopeless(c->in->data, c->in->len, &status)) {
        conn_refuse(c, status, HTTP_OTHER);
        return TRUE;
    }
    if (fresh)
        due(c, LIMIT_HTTP_HEAD_SECONDS);
    return FALSE;
}

static void conn_drain(Http1Conn *c)
{
    Http1 *h = c->http1;
    while (c->readable) {
        ssize_t n = recv(c->fd, h->scratch, sizeof h->scratch, 0);
        if (n > 0 && (c->drained += (guint64)n) < DRAIN_BYTES)
            continue;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        conn_close(c);
        return;
    }
    c->readable = FALSE;
}

static void queue_again(Http1Conn *c)
{
    Http1 *h = c->http1;
    if (c->queued_again)
        return;
    c->queued_again = TRUE;
    c->next_again = NULL;
    *h->again_tail = c;
    h->again_tail = &c->next_again;
}

/* Does whatever can be done now. The connection may be closed and buried afterwards. */
static void conn_run(Http1Conn *c)
{
    c->running = TRUE;
    for (guint steps = 0; c->state == IDLE || c->state == HEAD || c->state == BODY; steps++) {
        if (steps == STEPS_PER_TURN) {
            queue_again(c);
            break;
        }
        if (conn_step(c))
            continue;
        ReadResult result = conn_read(c);
        if (result == READ_BLOCKED)
            break;
        if (result == READ_END)
            conn_close(c);
        else if (result == READ_NO_ROOM)
            conn_refuse(c, 503, HTTP_OTHER);
    }
    if (c->state == DRAINING)
        conn_drain(c);
    if (c->state == IDLE)
        give_buffer_back(c);
    c->running = FALSE;
    conn_bury_if_unused(c);
}

static void conn_ready(IoSource *source, guint32 events)
{
    Http1Conn *c = (Http1Conn *)source;
    if (c->state == CLOSED)
        return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        c->readable = TRUE;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        c->eof = TRUE;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 && c->state == PENDING) {
        conn_close(c);
        return;
    }
    if (c->state == WRITING && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 && conn_flush(c))
        conn_sent(c);
    conn_run(c);
}

/* --- The thread's side --- */

Http1 *http1_new(IoThread *thread)
{
    Http1 *h = g_new0(Http1, 1);
    h->thread = thread;
    h->again_tail = &h->again;
    h->graveyard = g_ptr_array_new_with_free_func(conn_free);
    return h;
}

void http1_free(Http1 *h)
{
    for (Http1Conn *c = h->again; c != NULL; c = c->next_again) {
        c->queued_again = FALSE;
        conn_bury_if_unused(c);
    }
    while (h->conns != NULL)
        conn_close(h->conns);
    /* The service will not answer any more. */
    while (h->lost != NULL) {
        Http1Conn *c = h->lost;
        conn_unlink(c);
        c->pending_lost = FALSE;
        conn_bury_if_unused(c);
    }
    g_ptr_array_unref(h->graveyard);
    in_buffer_pool_clear(&h->buffers);
    g_free(h);
}

void http1_adopt(Http1 *h, NetKind kind, int fd, const guint8 peer[16])
{
    IoThread *thread = h->thread;
    IpQuota *quota = ip_quota_acquire(thread->net->quotas, peer);
    if (thread->stopping || !ip_quota_take(quota, IP_QUOTA_CONNECTIONS)) {
        ip_quota_release(quota);
        close(fd);
        io_thread_connection_closed(thread);
        return;
    }
    Http1Conn *c = g_new0(Http1Conn, 1);
    *c = (Http1Conn){
        .source = {conn_ready}, .http1 = h, .quota = quota, .fd = fd, .kind = (guint8)kind, .readable = TRUE};
    memcpy(c->peer, peer, 16);
    c->exchange.thread = thread;
    c->exchange.service =
        kind == NET_API ? thread->net->hooks.api_service : thread->net->hooks.public_service;
    c->exchange.send = conn_send;
    conn_link(c, &h->conns);
    h->count++;
    due(c, LIMIT_HTTP_HEAD_SECONDS);
    if (!io_thread_add(thread, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &c->source))
        conn_close(c);
    else
        conn_run(c);
}

gboolean http1_continue(Http1 *h)
{
    Http1Conn *c = h->again;
    h->again = NULL;
    h->again_tail = &h->again;
    for (Http1Conn *next; c != NULL; c = next) {
        next = c->next_again;
        c->queued_again = FALSE;
        conn_run(c);
    }
    g_ptr_array_set_size(h->graveyard, 0);
    return h->again != NULL;
}

void http1_expire(Http1 *h)
{
    WheelEntry *entry;
    while ((entry = wheel_expire(&h->thread->wheel, h->thread->now_us)) != NULL) {
        Http1Conn *c = (Http1Conn *)(void *)((char *)entry - G_STRUCT_OFFSET(Http1Conn, timer));
        if (c->state == HEAD || c->state == BODY) {
            c->running = TRUE;
            conn_refuse(c, 408, HTTP_OTHER);
            c->running = FALSE;
        } else if (c->state == PENDING) {
            /* The service's own deadlines count; the old one was left in place because moving it costs every
             * request. */
            due(c, LIMIT_HTTP_IDLE_SECONDS);
        } else {
            conn_close(c);
        }
    }
}

void http1_stop(Http1 *h)
{
    for (Http1Conn *c = h->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state == IDLE || c->state == DRAINING)
            conn_close(c);
    }
}

guint http1_count(const Http1 *h)
{
    return h->count;
}
