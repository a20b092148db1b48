/* SPDX-License-Identifier: MIT */
#include "broker/api/api.h"

#include <string.h>

#include "broker/api/broker_status.h"
#include "broker/api/mirror_api.h"
#include "broker/serve/fetch.h"
#include "broker/serve/status.h"
#include "signing/hash.h"

/* --- Checks --- */

static gboolean text_is(const char *text, gsize len, const char *word)
{
    return len == strlen(word) && g_ascii_strncasecmp(text, word, len) == 0;
}

/* ":" and one to five digits, or nothing. */
static gboolean is_port(const char *text, gsize len)
{
    if (len == 0)
        return TRUE;
    if (text[0] != ':' || len < 2 || len > 6)
        return FALSE;
    for (gsize i = 1; i < len; i++) {
        if (!g_ascii_isdigit(text[i]))
            return FALSE;
    }
    return TRUE;
}

gboolean api_host_is_loopback(HttpSlice host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]", "::1"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        gsize len = strlen(names[i]);
        if (host.len >= len && text_is(host.text, len, names[i]) && is_port(host.text + len, host.len - len))
            return TRUE;
    }
    return FALSE;
}

gboolean api_origin_is_host(HttpSlice origin, HttpSlice host)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (guint i = 0; i < G_N_ELEMENTS(schemes); i++) {
        gsize len = strlen(schemes[i]);
        if (origin.len <= len || !text_is(origin.text, len, schemes[i]))
            continue;
        HttpSlice authority = {origin.text + len, origin.len - len};
        return api_host_is_loopback(authority) && authority.len == host.len &&
               g_ascii_strncasecmp(authority.text, host.text, host.len) == 0;
    }
    return FALSE;
}

gboolean api_bearer_is(HttpSlice authorization, const char *token)
{
    static const char scheme[] = "bearer";
    gsize len = sizeof scheme - 1;
    if (authorization.len <= len || !text_is(authorization.text, len, scheme) ||
        !g_ascii_isspace(authorization.text[len]))
        return FALSE;
    g_autofree char *shown = g_strstrip(g_strndup(authorization.text + len, authorization.len - len));
    gboolean equal = texts_equal_constant_time(shown, token);
    explicit_bzero(shown, strlen(shown));
    return equal;
}

/* NULL when the caller may go on; otherwise the refusal and its reason. */
static HttpReply *guard(const Serve *serve, const HttpRequest *request, StatsRejection *ret_reason)
{
    HttpSlice host = {NULL, 0}, origin, authorization;
    *ret_reason = STATS_FOREIGN_HOST;
    if (!http_request_header(request, "Host", &host) || !api_host_is_loopback(host))
        return status_reply_api(403, "FORBIDDEN_HOST", "Host must name the loopback interface");
    *ret_reason = STATS_FOREIGN_ORIGIN;
    if (http_request_header(request, "Origin", &origin) && !api_origin_is_host(origin, host))
        return status_reply_api(403, "FORBIDDEN_ORIGIN", "Origin must be this listener");
    *ret_reason = STATS_BAD_TOKEN;
    if (!http_request_header(request, "Authorization", &authorization) ||
        !api_bearer_is(authorization, serve->api_token))
        return status_reply_api(401, "UNAUTHORIZED", "a bearer token is needed: apiToken of daemon.json");
    return NULL;
}

/* --- Routes --- */

static HttpReply *state_reply(gboolean ok, const char *status)
{
    GString *json = g_string_new(NULL);
    g_string_append_printf(json, "{\"ok\":%s", ok ? "true" : "false");
    if (status != NULL)
        g_string_append_printf(json, ",\"status\":\"%s\"", status);
    g_string_append_c(json, '}');
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    return http_reply_new(ok ? 200 : 503, "application/json; charset=utf-8", body);
}

static void answer_open_route(ServeThread *thread, HttpExchange *exchange, Route route)
{
    gboolean ready = publisher_is_ready(thread->serve->publisher);
    if (route == ROUTE_API_PING)
        serve_finish(exchange, state_reply(TRUE, NULL));
    else if (route == ROUTE_API_HEALTHZ)
        serve_finish(exchange, state_reply(TRUE, "alive"));
    else
        serve_finish(exchange, state_reply(ready, ready ? "ready" : "not-ready"));
}

static void answer_guarded(ServeThread *thread, HttpExchange *exchange, const RouteMatch *match)
{
    const HttpRequest *request = http_exchange_request(exchange);
    StatsRejection reason;
    HttpReply *refusal = guard(thread->serve, request, &reason);
    if (refusal != NULL) {
        serve_refuse(thread, exchange, refusal, reason);
        return;
    }
    if (match->route == ROUTE_API_STATUS && route_allows(match->methods, request->method)) {
        FetchSpec spec = {.route = ROUTE_API_STATUS, .make = broker_status_resource};
        fetch_run(thread, exchange, &spec);
        return;
    }
    if (thread->serve->mirrors != NULL && route_allows(match->methods, request->method) &&
        mirror_api_answer(thread, exchange, match->route))
        return;
    serve_finish(exchange, status_reply_api(404, "NOT_FOUND", "no such route"));
}

void api_request(HttpExchange *exchange, gpointer thread_user)
{
    ServeThread *thread = thread_user;
    const HttpRequest *request = http_exchange_request(exchange);
    serve_thread_refresh(thread);
    RouteMatch match = route_match_api(request->path.text, request->path.len);
    http_exchange_set_route(exchange, match.route);
    gboolean is_open =
        match.route == ROUTE_API_PING || match.route == ROUTE_API_HEALTHZ || match.route == ROUTE_API_READYZ;
    if (is_open && route_allows(match.methods, request->method))
        answer_open_route(thread, exchange, match.route);
    else
        answer_guarded(thread, exchange, &match);
}
