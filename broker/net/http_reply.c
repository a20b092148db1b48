/* SPDX-License-Identifier: MIT */
#include "broker/net/http_reply.h"

#include <string.h>

const char *http_status_text(guint status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 416:
        return "Range Not Satisfiable";
    case 422:
        return "Unprocessable Entity";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

HttpReply *http_reply_new(guint status, const char *content_type, GBytes *body)
{
    HttpReply *reply = g_new0(HttpReply, 1);
    g_atomic_ref_count_init(&reply->refs);
    reply->status = status;
    reply->body = body != NULL && g_bytes_get_size(body) > 0 ? g_bytes_ref(body) : NULL;
    reply->head = g_string_sized_new(192);
    reply->pairs = g_ptr_array_new_with_free_func(g_free);
    g_string_append_printf(reply->head, "HTTP/1.1 %u %s\r\n", status, http_status_text(status));
    http_reply_add_header(reply, "Server", "kontor");
    if (content_type != NULL)
        http_reply_add_header(reply, "Content-Type", content_type);
    if (status != 304 && status != 204) {
        char length[24];
        g_snprintf(length, sizeof length, "%" G_GSIZE_FORMAT,
                   reply->body != NULL ? g_bytes_get_size(reply->body) : 0);
        http_reply_add_header(reply, "Content-Length", length);
    }
    return reply;
}

void http_reply_add_header(HttpReply *reply, const char *name, const char *value)
{
    g_assert(strpbrk(name, "\r\n:") == NULL && strpbrk(value, "\r\n") == NULL);
    g_string_append_printf(reply->head, "%s: %s\r\n", name, value);
    g_ptr_array_add(reply->pairs, g_strdup(name));
    g_ptr_array_add(reply->pairs, g_strdup(value));
}

void http_reply_set_close(HttpReply *reply)
{
    reply->close = TRUE;
}

HttpReply *http_reply_ref(HttpReply *reply)
{
    g_atomic_ref_count_inc(&reply->refs);
    return reply;
}

void http_reply_unref(HttpReply *reply)
{
    if (!g_atomic_ref_count_dec(&reply->refs))
        return;
    g_clear_pointer(&reply->body, g_bytes_unref);
    g_string_free(reply->head, TRUE);
    g_ptr_array_unref(reply->pairs);
    g_free(reply);
}

guint http_reply_status(const HttpReply *reply)
{
    return reply->status;
}

GBytes *http_reply_body(const HttpReply *reply)
{
    return reply->body;
}

gsize http_reply_cost(const HttpReply *reply)
{
    gsize body = reply->body != NULL ? g_bytes_get_size(reply->body) : 0;
    /* The constant stands for the structures and the allocator's overhead. */
    return body + reply->head->allocated_len + 512;
}

HttpReply *http_reply_refusal(guint status)
{
    g_autofree char *text = g_strdup_printf("{\"detail\":\"%s\"}", http_status_text(status));
    gsize len = strlen(text);
    g_autoptr(GBytes) body = g_bytes_new_take(g_steal_pointer(&text), len);
    HttpReply *reply = http_reply_new(status, "application/json", body);
    http_reply_set_close(reply);
    return reply;
}
