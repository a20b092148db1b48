/* SPDX-License-Identifier: MIT
 *
 * Stands in for broker/net in unit tests: an HttpExchange that is filled in by hand and keeps its answer. The
 * functions of http.h that belong to exchanges are defined here, so that the linker takes them instead of
 * those of the event loop.
 */
#pragma once

#include <poll.h>
#include <string.h>

#include "broker/net/http.h"

enum { FAKE_HEADERS_MAX = 16 };

struct HttpExchange {
    HttpRequest request;
    HttpHeader headers[FAKE_HEADERS_MAX];
    char *target, *header_text;
    guint route;
    HttpReply *reply; /* NULL until answered */
};

const HttpRequest *http_exchange_request(const HttpExchange *exchange)
{
    return &exchange->request;
}

void http_exchange_set_route(HttpExchange *exchange, guint route)
{
    exchange->route = route;
}

void http_exchange_reply(HttpExchange *exchange, HttpReply *reply)
{
    g_assert_null(exchange->reply);
    exchange->reply = http_reply_ref(reply);
}

/* Splits "Name: value\nName: value" in place. */
static void fake_headers(HttpExchange *exchange, char *text)
{
    for (char *line = text, *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *colon = strchr(line, ':');
        g_assert_nonnull(colon);
        char *value = colon + 1 + strspn(colon + 1, " ");
        g_assert_cmpuint(exchange->request.header_count, <, FAKE_HEADERS_MAX);
        exchange->headers[exchange->request.header_count++] =
            (HttpHeader){{line, (gsize)(colon - line)}, {value, strlen(value)}};
    }
}

/* `headers` as "Name: value\n…" or NULL; `body` must outlive the exchange. */
static HttpExchange *fake_exchange_new(HttpMethod method, const char *target, const char *headers,
                                       const char *body)
{
    HttpExchange *exchange = g_new0(HttpExchange, 1);
    exchange->target = g_strdup(target);
    exchange->header_text = g_strdup(headers != NULL ? headers : "");
    exchange->request.method = method;
    exchange->request.target = (HttpSlice){exchange->target, strlen(target)};
    gsize path_len = strcspn(target, "?");
    exchange->request.path = (HttpSlice){exchange->target, path_len};
    if (target[path_len] == '?')
        exchange->request.query = (HttpSlice){exchange->target + path_len + 1, strlen(target) - path_len - 1};
    exchange->request.headers = exchange->headers;
    fake_headers(exchange, exchange->header_text);
    exchange->request.body = (const guint8 *)body;
    exchange->request.body_len = body != NULL ? strlen(body) : 0;
    exchange->request.client[10] = exchange->request.client[11] = 0xff;
    exchange->request.client[12] = 192;
    exchange->request.client[14] = 2;
    exchange->request.client[15] = 77;
    return exchange;
}

static void fake_exchange_free(HttpExchange *exchange)
{
    g_clear_pointer(&exchange->reply, http_reply_unref);
    g_free(exchange->target);
    g_free(exchange->header_text);
    g_free(exchange);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpExchange, fake_exchange_free)

/* Runs the mailbox until the exchange is answered; fails the test after ten seconds. */
static inline void fake_exchange_wait(HttpExchange *exchange, Mailbox *mailbox)
{
    gint64 deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (exchange->reply == NULL) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        struct pollfd waiting = {.fd = mailbox_fd(mailbox), .events = POLLIN};
        poll(&waiting, 1, 100);
        mailbox_drain(mailbox);
    }
}

/* The body of the answer as text; a new string. */
static inline char *fake_exchange_text(const HttpExchange *exchange)
{
    GBytes *body = http_reply_body(exchange->reply);
    gsize len = 0;
    const char *text = body != NULL ? g_bytes_get_data(body, &len) : "";
    return g_strndup(text, len);
}
