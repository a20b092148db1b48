/* SPDX-License-Identifier: MIT */
#include "broker/serve/view_request.h"

#include <string.h>

#include "broker/serve/status.h"

/* "Bearer", without regard to case, blanks, the token (RFC 9110 section 11.4). */
static gboolean bearer_token(HttpSlice value, HttpSlice *ret)
{
    static const char scheme[] = "bearer";
    gsize at = sizeof scheme - 1;
    if (value.len <= at || g_ascii_strncasecmp(value.text, scheme, at) != 0 || value.text[at] != ' ')
        return FALSE;
    while (at < value.len && value.text[at] == ' ')
        at++;
    *ret = (HttpSlice){value.text + at, value.len - at};
    return TRUE;
}

const View *view_request_find(const Snapshot *snapshot, const HttpRequest *request)
{
    HttpSlice value, token;
    guint8 hash[SHA256_BYTES];
    if (!views_any(snapshot->views) || !http_request_header(request, "Authorization", &value) ||
        !bearer_token(value, &token) || !read_token_hash(token.text, token.len, hash))
        return NULL;
    return views_find(snapshot->views, hash, g_get_real_time() / G_USEC_PER_SEC);
}

void view_request_mark(const View *view, HttpReply *reply)
{
    if (view == NULL)
        return;
    http_reply_add_header(reply, "Vary", "Authorization");
    http_reply_add_header(reply, "Cache-Control", "private");
}

HttpReply *view_request_refusal(const View *view, guint status)
{
    if (view == NULL)
        return status_reply(status);
    HttpReply *reply = status == 503 ? status_reply_busy(http_status_text(status))
                                     : status_reply_detail(status, http_status_text(status));
    view_request_mark(view, reply);
    return reply;
}
