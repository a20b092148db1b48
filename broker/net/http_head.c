/* SPDX-License-Identifier: MIT */
#include "broker/net/http_head.h"

#include <string.h>

/* tchar of RFC 9110 section 5.6.2. */
static const guint8 token_chars[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static const char *const method_names[] = {
    [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",
    [HTTP_DELETE] = "DELETE", [HTTP_PATCH] = "PATCH", [HTTP_OPTIONS] = "OPTIONS",
};

HttpMethod http_method_parse(const char *name, gsize len)
{
    for (guint i = 0; i < G_N_ELEMENTS(method_names); i++)
        if (strlen(method_names[i]) == len && memcmp(method_names[i], name, len) == 0)
            return (HttpMethod)i;
    return HTTP_OTHER;
}

const char *http_method_name(HttpMethod method)
{
    return method < G_N_ELEMENTS(method_names) ? method_names[method] : "OTHER";
}

gboolean http_head_is_complete(const char *data, gsize len, gsize *scanned)
{
    gsize from = *scanned > 3 ? *scanned - 3 : 0;
    *scanned = len;
    return len - from >= 4 && memmem(data + from, len - from, "\r\n\r\n", 4) != NULL;
}

gboolean http_head_is_hopeless(const char *data, gsize len, guint *ret_status)
{
    if (len <= LIMIT_HTTP_TARGET_BYTES + 32)
        return FALSE;
    if (memchr(data, '\n', LIMIT_HTTP_TARGET_BYTES + 32) == NULL) {
        *ret_status = 414;
        return TRUE;
    }
    *ret_status = 431;
    return len > LIMIT_HTTP_HEAD_BYTES;
}

static gboolean slice_equals_nocase(HttpSlice slice, const char *text)
{
    return slice.len == strlen(text) && g_ascii_strncasecmp(slice.text, text, slice.len) == 0;
}

/* TRUE when the comma-separated list holds the token. */
static gboolean list_has_token(HttpSlice list, const char *token)
{
    gsize token_len = strlen(token);
    for (gsize at = 0; at < list.len;) {
        const char *comma = memchr(list.text + at, ',', list.len - at);
        gsize end = comma != NULL ? (gsize)(comma - list.text) : list.len;
        gsize from = at, to = end;
        while (from < to && (list.text[from] == ' ' || list.text[from] == '\t'))
            from++;
        while (to > from && (list.text[to - 1] == ' ' || list.text[to - 1] == '\t'))
            to--;
        if (to - from == token_len && g_ascii_strncasecmp(list.text + from, token, token_len) == 0)
            return TRUE;
        at = end + 1;
    }
    return FALSE;
}

/* Splits off scheme and authority of an absolute-form target; FALSE when the target is in neither origin nor
 * absolute form. */
static gboolean target_to_origin_form(HttpSlice *target)
{
    if (target->len > 0 && target->text[0] == '/')
        return TRUE;
    gsize skip = 0;
    if (target->len > 7 && g_ascii_strncasecmp(target->text, "http://", 7) == 0)
        skip = 7;
    else if (target->len > 8 && g_ascii_strncasecmp(target->text, "https://", 8) == 0)
        skip = 8;
    else
        return FALSE;
    const char *slash = memchr(target->text + skip, '/', target->len - skip);
    if (slash == NULL)
        return FALSE;
    target->len -= (gsize)(slash - target->text);
    target->text = slash;
    return TRUE;
}

/* The request line at `at`, up to `end` (exclusive, before CRLF). */
static guint parse_request_line(const char *at, const char *end, HttpHead *ret)
{
    HttpRequest *r = &ret->request;
    const char *method = at;
    while (at < end && token_chars[(guint8)*at])
        at++;
    if (at == method || at == end || *at != ' ')
        return 400;
    r->method = http_method_parse(method, (gsize)(at - method));
    const char *target = ++at;
    while (at < end && (guint8)*at > 0x20 && *at != 0x7f && *at != '#')
        at++;
    r->target = (HttpSlice){target, (gsize)(at - target)};
    if (end - at != 9 || memcmp(at, " HTTP/", 6) != 0 || !g_ascii_isdigit(at[6]) || at[7] != '.' ||
        !g_ascii_isdigit(at[8]))
        return 400;
    if (at[6] != '1')
        return 505;
    if (r->target.len > LIMIT_HTTP_TARGET_BYTES)
        return 414;
    ret->minor = (guint)(at[8] - '0');
    if (!target_to_origin_form(&r->target))
        return 400;
    const char *question = memchr(r->target.text, '?', r->target.len);
    r->path = r->target;
    r->query = (HttpSlice){r->target.text + r->target.len, 0};
    if (question != NULL) {
        r->path.len = (gsize)(question - r->target.text);
        r->query = (HttpSlice){question + 1, r->target.len - r->path.len - 1};
    }
    return 0;
}

static guint parse_header_line(const char *at, const char *end, HttpHeader *ret)
{
    const char *name = at;
    while (at < end && token_chars[(guint8)*at])
        at++;
    if (at == name || at == end || *at != ':')
        return 400;
    ret->name = (HttpSlice){name, (gsize)(at - name)};
    at++;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    for (const char *p = at; p < end; p++)
        if (((guint8)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return 400;
    ret->value = (HttpSlice){at, (gsize)(end - at)};
    return 0;
}

static guint parse_content_length(HttpSlice value, HttpHead *ret)
{
    if (ret->has_length || value.len == 0 || value.len > 18)
        return 400;
    guint64 length = 0;
    for (gsize i = 0; i < value.len; i++) {
        if (!g_ascii_isdigit(value.text[i]))
            return 400;
        length = length * 10 + (guint64)(value.text[i] - '0');
    }
    ret->has_length = TRUE;
    ret->content_length = length;
    return 0;
}

/* What a Connection, Upgrade or similar header said; combined after all were read. */
typedef struct {
    guint hosts;
    gboolean close, keep_alive, upgrade, websocket, coded;
    guint ws_keys, ws_versions; /* good ones; what else of these headers there is, is counted in ws_refused */
    guint ws_refused;
} Framing;

/* RFC 6455, 4.2.1: base64 of 16 bytes. */
static gboolean is_websocket_key(HttpSlice value)
{
    if (value.len != 24 || value.text[22] != '=' || value.text[23] != '=')
        return FALSE;
    for (gsize i = 0; i < 22; i++)
        if (!g_ascii_isalnum(value.text[i]) && value.text[i] != '+' && value.text[i] != '/')
            return FALSE;
    return TRUE;
}

static void note_websocket_header(const HttpHeader *h, Framing *f)
{
    if (slice_equals_nocase(h->name, "sec-websocket-key")) {
        if (is_websocket_key(h->value))
            f->ws_keys++;
        else
            f->ws_refused++;
    } else if (slice_equals_nocase(h->name, "sec-websocket-version")) {
        if (slice_equals_nocase(h->value, "13"))
            f->ws_versions++;
        else
            f->ws_refused++;
    }
}

/* Only the few headers that matter for framing; found by first letter and length, since most requests have
 * none of them. */
static guint note_framing_header(const HttpHeader *h, HttpHead *ret, Framing *f)
{
    switch (h->name.text[0] | 0x20) {
    case 'h':
        f->hosts += slice_equals_nocase(h->name, "host");
        return 0;
    case 'c':
        if (slice_equals_nocase(h->name, "content-length"))
            return parse_content_length(h->value, ret);
        if (slice_equals_nocase(h->name, "connection")) {
            f->close |= list_has_token(h->value, "close");
            f->keep_alive |= list_has_token(h->value, "keep-alive");
            f->upgrade |= list_has_token(h->value, "upgrade");
        }
        return 0;
    case 't':
        if (!slice_equals_nocase(h->name, "transfer-encoding"))
            return 0;
        if (f->coded)
            return 400;
        f->coded = TRUE;
        ret->chunked = slice_equals_nocase(h->value, "chunked");
        return ret->chunked ? 0 : 501;
    case 'e':
        if (slice_equals_nocase(h->name, "expect"))
            ret->expect_continue = slice_equals_nocase(h->value, "100-continue");
        return 0;
    case 'u':
        if (slice_equals_nocase(h->name, "upgrade"))
            f->websocket = slice_equals_nocase(h->value, "websocket");
        return 0;
    case 's':
        note_websocket_header(h, f);
        return 0;
    default:
        return 0;
    }
}

static guint conclude_framing(HttpHead *ret, const Framing *f)
{
    if (f->hosts > 1 || (f->hosts == 0 && ret->minor >= 1))
        return 400;
    if (f->coded && (ret->has_length || ret->minor == 0))
        return 400;
    ret->keep_alive = ret->minor >= 1 ? !f->close : f->keep_alive && !f->close;
    ret->wants_websocket = f->upgrade && f->websocket && ret->request.method == HTTP_GET && ret->minor >= 1 &&
                           f->ws_keys == 1 && f->ws_versions == 1 && f->ws_refused == 0;
    return 0;
}

guint http_head_parse(const char *data, gsize len, HttpHeader *headers, HttpHead *ret)
{
    *ret = (HttpHead){0};
    ret->request.method = HTTP_OTHER;
    const char *end = data + len;
    const char *at = data;
    Framing framing = {0};
    guint count = 0;
    gboolean first = TRUE;

    for (;;) {
        const char *newline = memchr(at, '\n', (gsize)(end - at));
        if (newline == NULL || newline == at || newline[-1] != '\r')
            return 400;
        const char *line_end = newline - 1;
        if (line_end == at)
            break;
        guint status;
        if (first) {
            status = parse_request_line(at, line_end, ret);
            first = FALSE;
        } else if (count == LIMIT_HTTP_HEADERS) {
            status = 431;
        } else {
            status = parse_header_line(at, line_end, &headers[count]);
            if (status == 0)
                status = note_framing_header(&headers[count++], ret, &framing);
        }
        if (status != 0)
            return status;
        at = newline + 1;
    }
    if (first)
        return 400;
    ret->head_bytes = (gsize)(at + 2 - data);
    if (ret->head_bytes > LIMIT_HTTP_HEAD_BYTES)
        return 431;
    ret->request.headers = headers;
    ret->request.header_count = count;
    return conclude_framing(ret, &framing);
}

gboolean http_request_header(const HttpRequest *request, const char *name, HttpSlice *ret)
{
    gsize len = strlen(name);
    for (guint i = 0; i < request->header_count; i++) {
        const HttpHeader *h = &request->headers[i];
        if (h->name.len == len && g_ascii_strncasecmp(h->name.text, name, len) == 0) {
            *ret = h->value;
            return TRUE;
        }
    }
    return FALSE;
}
