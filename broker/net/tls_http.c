/* SPDX-License-Identifier: MIT
 *
 * HTTP requests on TLS connections, HTTP/1.1 and HTTP/2, carried by libwebsockets.
 *
 * The library has decoded and normalised the path by the time we see it; it is percent-encoded again, so that
 * the service finds the same target that a plain connection would show. Only the headers that some route
 * reads are copied.
 */
#include "broker/net/ws_thread.h"

#include <string.h>

#include "broker/net/http_head.h"
#include "broker/net/http_reply.h"
#include "schema/limits.h"

enum { WRITE_CHUNK_BYTES = 16 * 1024, REPLY_HEAD_BYTES = 4096, FLUSH_US = G_USEC_PER_SEC };

struct TlsExchange {
    HttpExchange exchange; /* first */
    WsThread *ws;
    struct lws *wsi; /* NULL: the client is gone */
    GString *target;
    GPtrArray *texts; /* header values, owned */
    GArray *headers;  /* of HttpHeader */
    GByteArray *body;
    guint64 body_due;
    gboolean has_length;
    gboolean must_close; /* HTTP/1 alone: the connection ends after the answer, because we stop, or refuse, or
                            do not know where a request without a length ends */
    gboolean dispatched;
    HttpReply *reply;
    gboolean head_sent;
    gsize body_sent;
    gint64 timer_us; /* when the time-out for writing was last moved */
};

static const struct {
    const char *name;
    enum lws_token_indexes token;
} copied_headers[] = {
    {"host", WSI_TOKEN_HOST},
    {"accept", WSI_TOKEN_HTTP_ACCEPT},
    {"accept-encoding", WSI_TOKEN_HTTP_ACCEPT_ENCODING},
    {"authorization", WSI_TOKEN_HTTP_AUTHORIZATION},
    {"content-type", WSI_TOKEN_HTTP_CONTENT_TYPE},
    {"if-none-match", WSI_TOKEN_HTTP_IF_NONE_MATCH},
    {"if-range", WSI_TOKEN_HTTP_IF_RANGE},
    {"range", WSI_TOKEN_HTTP_RANGE},
    {"origin", WSI_TOKEN_ORIGIN},
    {"upgrade", WSI_TOKEN_UPGRADE},
};

void tls_exchange_free(gpointer exchange)
{
    TlsExchange *x = exchange;
    g_string_free(x->target, TRUE);
    g_ptr_array_unref(x->texts);
    g_array_unref(x->headers);
    g_byte_array_unref(x->body);
    g_clear_pointer(&x->reply, http_reply_unref);
    x->ws->exchange_count--;
    /* What the library could not write at once it keeps, and does not say when it is gone. */
    if (x->ws->stopping)
        x->ws->flush_us = x->ws->thread->now_us + FLUSH_US;
    g_free(x);
}

static void add_header(TlsExchange *x, const char *name, char *value)
{
    g_ptr_array_add(x->texts, value);
    HttpHeader header = {{name, strlen(name)}, {value, strlen(value)}};
    g_array_append_val(x->headers, header);
}

static void copy_headers(TlsExchange *x)
{
    for (guint i = 0; i < G_N_ELEMENTS(copied_headers); i++) {
        int len = lws_hdr_total_length(x->wsi, copied_headers[i].token);
        if (len <= 0 || len > LIMIT_HTTP_HEAD_BYTES)
            continue;
        char *value = g_malloc0((gsize)len + 1);
        lws_hdr_copy(x->wsi, value, len + 1, copied_headers[i].token);
        add_header(x, copied_headers[i].name, value);
    }
    /* The library knows this name only as an unknown one, and keeps those for HTTP/1 alone; over HTTP/2 the
     * token goes into Authorization. */
    static const char token_name[] = "x-occ-token:";
    char token[256];
    if (lws_hdr_custom_copy(x->wsi, token, sizeof token, token_name, (int)strlen(token_name)) > 0)
        add_header(x, "x-occ-token", g_strdup(token));
}

static HttpMethod method_of(struct lws *wsi)
{
    static const struct {
        enum lws_token_indexes token;
        HttpMethod method;
    } methods[] = {
        {WSI_TOKEN_GET_URI, HTTP_GET},         {WSI_TOKEN_HEAD_URI, HTTP_HEAD},
        {WSI_TOKEN_POST_URI, HTTP_POST},       {WSI_TOKEN_PUT_URI, HTTP_PUT},
        {WSI_TOKEN_DELETE_URI, HTTP_DELETE},   {WSI_TOKEN_PATCH_URI, HTTP_PATCH},
        {WSI_TOKEN_OPTIONS_URI, HTTP_OPTIONS},
    };
    char name[16];
    int n = lws_hdr_copy(wsi, name, sizeof name, WSI_TOKEN_HTTP_COLON_METHOD);
    if (n > 0)
        return http_method_parse(name, (gsize)n);
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++)
        if (lws_hdr_total_length(wsi, methods[i].token) > 0)
            return methods[i].method;
    return HTTP_OTHER;
}

static void append_target(TlsExchange *x, const char *path, gsize len)
{
    g_autofree char *copy = g_strndup(path, len);
    g_string_append_uri_escaped(x->target, copy, "/!$&'()*+,;=:@", FALSE);
    char argument[LIMIT_HTTP_TARGET_BYTES];
    for (int i = 0;; i++) {
        int n = lws_hdr_copy_fragment(x->wsi, argument, sizeof argument, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n <= 0 || x->target->len > LIMIT_HTTP_TARGET_BYTES)
            break;
        g_string_append_c(x->target, i == 0 ? '?' : '&');
        g_string_append_len(x->target, argument, n);
    }
}

static void fill_request(TlsExchange *x)
{
    HttpRequest *r = &x->exchange.request;
    const char *text = x->target->str;
    const char *question = strchr(text, '?');
    r->target = (HttpSlice){text, x->target->len};
    r->path = (HttpSlice){text, question != NULL ? (gsize)(question - text) : x->target->len};
    r->query = question != NULL ? (HttpSlice){question + 1, x->target->len - r->path.len - 1}
                                : (HttpSlice){text + x->target->len, 0};
    r->headers = (const HttpHeader *)(const void *)x->headers->data;
    r->header_count = x->headers->len;
    r->tls = TRUE;
    r->body = x->body->len > 0 ? x->body->data : NULL;
    r->body_len = x->body->len;
}

/* --- Answering --- */

/* The answer got on. The library's time-outs are a sorted list, so ours is moved at most once a second. */
static void allow_time(TlsExchange *x)
{
    gint64 now_us = x->exchange.thread->now_us;
    if (x->timer_us != 0 && now_us - x->timer_us < G_USEC_PER_SEC)
        return;
    x->timer_us = now_us;
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, LIMIT_HTTP_WRITE_SECONDS);
}

static void send_reply(HttpExchange *exchange, HttpReply *reply)
{
    TlsExchange *x = (TlsExchange *)exchange;
    g_assert(x->reply == NULL);
    if (x->wsi == NULL) {
        io_thread_request_done(exchange->thread, exchange, 0, 0);
        g_ptr_array_remove_fast(exchange->thread->ws->orphans, x);
        return;
    }
    x->reply = http_reply_ref(reply);
    /* A connection that carries streams outlives each of them, and must not hear of "Connection". */
    if (lws_get_network_wsi(x->wsi) == x->wsi)
        x->must_close |= reply->close || exchange->thread->stopping;
    allow_time(x);
    lws_callback_on_writable(x->wsi);
}

static gsize body_size(const TlsExchange *x)
{
    if (x->reply->body == NULL || x->exchange.request.method == HTTP_HEAD)
        return 0;
    return g_bytes_get_size(x->reply->body);
}

static gboolean write_head(TlsExchange *x)
{
    guint8 buffer[LWS_PRE + REPLY_HEAD_BYTES];
    guint8 *start = buffer + LWS_PRE, *at = start, *end = buffer + sizeof buffer;
    struct lws *wsi = x->wsi;
    if (lws_add_http_header_status(wsi, x->reply->status | LWSAHH_FLAG_NO_SERVER_NAME, &at, end) != 0)
        return FALSE;
    for (guint i = 0; i < x->reply->pairs->len; i += 2) {
        const char *value = g_ptr_array_index(x->reply->pairs, i + 1);
        /* HTTP/2 names are lower-case and both end with a colon for the library. */
        g_autofree char *lower = g_ascii_strdown(g_ptr_array_index(x->reply->pairs, i), -1);
        g_autofree char *name = g_strconcat(lower, ":", NULL);
        if (lws_add_http_header_by_name(wsi, (const guint8 *)name, (const guint8 *)value, (int)strlen(value),
                                        &at, end) != 0)
            return FALSE;
    }
    if (x->must_close && lws_add_http_header_by_name(
                             wsi, (const guint8 *)"connection:", (const guint8 *)"close", 5, &at, end) != 0)
        return FALSE;
    const IoThread *thread = x->exchange.thread;
    if (lws_add_http_header_by_name(wsi, (const guint8 *)"date:", (const guint8 *)thread->date_line + 6,
                                    (int)thread->date_len - 8, &at, end) != 0)
        return FALSE;
    if (lws_finalize_http_header(wsi, &at, end) != 0)
        return FALSE;
    enum lws_write_protocol how = LWS_WRITE_HTTP_HEADERS;
    if (body_size(x) == 0)
        how |= LWS_WRITE_H2_STREAM_END;
    return lws_write(wsi, start, (gsize)(at - start), how) == (int)(at - start);
}

/* A piece of the body, as much as the peer's window allows. */
static gboolean write_body(TlsExchange *x)
{
    gsize total = body_size(x);
    gsize piece = MIN(total - x->body_sent, WRITE_CHUNK_BYTES);
    lws_fileofs_t allowance = lws_get_peer_write_allowance(x->wsi);
    if (allowance >= 0)
        piece = MIN(piece, (gsize)allowance);
    if (piece == 0)
        return TRUE;
    guint8 buffer[LWS_PRE + WRITE_CHUNK_BYTES];
    memcpy(buffer + LWS_PRE, (const guint8 *)g_bytes_get_data(x->reply->body, NULL) + x->body_sent, piece);
    gboolean last = x->body_sent + piece == total;
    if (lws_write(x->wsi, buffer + LWS_PRE, piece, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) !=
        (int)piece)
        return FALSE;
    x->body_sent += piece;
    allow_time(x);
    return TRUE;
}

int tls_http_writeable(struct lws *wsi, WsSession *session)
{
    TlsExchange *x = session != NULL ? session->exchange : NULL;
    if (x == NULL || x->reply == NULL)
        return 0;
    if (!x->head_sent) {
        if (!write_head(x))
            return -1;
        x->head_sent = TRUE;
    } else if (!write_body(x)) {
        return -1;
    }
    if (x->body_sent < body_size(x)) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    gboolean close = x->must_close;
    io_thread_request_done(x->exchange.thread, &x->exchange, x->reply->status, x->body_sent);
    session->exchange = NULL;
    tls_exchange_free(x);
    if (lws_http_transaction_completed(wsi) != 0 || close)
        return -1;
    return 0;
}

/* --- Requests --- */

static int refuse(TlsExchange *x, guint status)
{
    g_autoptr(HttpReply) reply = http_reply_refusal(status);
    x->dispatched = TRUE;
    fill_request(x);
    http_exchange_reply(&x->exchange, reply);
    return 0;
}

static void dispatch(TlsExchange *x)
{
    x->dispatched = TRUE;
    fill_request(x);
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
    x->exchange.service->request(&x->exchange, x->exchange.thread->thread_user);
}

static void read_length(TlsExchange *x)
{
    char text[32];
    int n = lws_hdr_copy(x->wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    x->has_length = n > 0 && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &x->body_due, NULL);
}

int tls_http_request(WsThread *ws, struct lws *wsi, WsSession *session)
{
    char *path = NULL;
    int len = 0;
    if (session == NULL || session->exchange != NULL || lws_http_get_uri_and_method(wsi, &path, &len) < 0)
        return -1;
    IoThread *thread = ws->thread;
    TlsExchange *x = g_new0(TlsExchange, 1);
    x->exchange =
        (HttpExchange){.thread = thread, .service = thread->net->hooks.public_service, .send = send_reply};
    x->ws = ws;
    x->wsi = wsi;
    x->target = g_string_new(NULL);
    x->texts = g_ptr_array_new_with_free_func(g_free);
    x->headers = g_array_new(FALSE, FALSE, sizeof(HttpHeader));
    x->body = g_byte_array_new();
    session->exchange = x;
    ws->exchange_count++;
    x->exchange.request.method = method_of(wsi);
    x->exchange.request.started_us = thread->now_us;
    ws_client_address(ws, wsi, x->exchange.request.client);
    append_target(x, path, (gsize)len);
    copy_headers(x);
    read_length(x);
    if (x->target->len > LIMIT_HTTP_TARGET_BYTES)
        return refuse(x, 414);
    if (x->body_due > LIMIT_HTTP_BODY_BYTES)
        return refuse(x, 413);
    if (!x->has_length && lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return refuse(x, 411); /* the library does not decode chunked requests */
    HttpMethod method = x->exchange.request.method;
    gboolean may_have_body = method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
    /* Over HTTP/2 the library tells neither that a request without a length has no body nor where such a body
     * ends; it is taken for one without. */
    x->must_close = may_have_body && !x->has_length && lws_get_network_wsi(wsi) == wsi;
    if (!may_have_body || x->body_due == 0)
        dispatch(x);
    return 0;
}

int tls_http_body(struct lws *wsi G_GNUC_UNUSED, WsSession *session, const char *data, gsize len)
{
    TlsExchange *x = session->exchange;
    if (x == NULL || x->dispatched)
        return 0;
    if (x->body->len + len > LIMIT_HTTP_BODY_BYTES)
        return refuse(x, 413);
    g_byte_array_append(x->body, (const guint8 *)data, (guint)len);
    return 0;
}

int tls_http_body_complete(struct lws *wsi G_GNUC_UNUSED, WsSession *session)
{
    TlsExchange *x = session->exchange;
    if (x != NULL && !x->dispatched)
        dispatch(x);
    return 0;
}

void tls_http_closed(WsThread *ws, WsSession *session)
{
    TlsExchange *x = g_steal_pointer(&session->exchange);
    if (x == NULL)
        return;
    x->wsi = NULL;
    if (x->dispatched && x->reply == NULL) {
        g_ptr_array_add(ws->orphans, x);
        return;
    }
    io_thread_request_done(x->exchange.thread, &x->exchange, 0, x->body_sent);
    tls_exchange_free(x);
}
