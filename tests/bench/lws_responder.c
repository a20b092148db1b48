/* SPDX-License-Identifier: MIT
 *
 * A bare libwebsockets web server, to see what the library itself can do: one thread, one page in memory,
 * headers and body in one lws_write straight from the HTTP callback. The event loop is the library's own
 * poll() or its libuv plug-in.
 *
 *   lws_responder poll|uv PORT FILE
 *
 * Answers every GET with the bytes of FILE. Ends on SIGTERM or SIGINT.
 */
#include <glib.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *page;
static gsize page_len;

/* Nothing here needs an orderly end: the kernel frees it all. */
static void on_signal(int number)
{
    (void)number;
    _exit(0);
}

/* Lays the head and the page out behind LWS_PRE and hands both to the library in one write. */
static int answer(struct lws *wsi)
{
    g_autofree guint8 *buffer = g_malloc(LWS_PRE + 1024 + page_len);
    guint8 *start = buffer + LWS_PRE, *p = start, *end = start + 1024;

    if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/markdown; charset=utf-8", page_len, &p, end) !=
            0 ||
        lws_finalize_http_header(wsi, &p, end) != 0)
        return 1;
    memcpy(p, page, page_len);
    p += page_len;
    if (lws_write(wsi, start, (size_t)(p - start), LWS_WRITE_HTTP_FINAL) != (int)(p - start))
        return 1;
    return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    if (reason == LWS_CALLBACK_HTTP)
        return answer(wsi);
    return lws_callback_http_dummy(wsi, reason, user, in, len);
}

static struct lws_context *listen_on(guint16 port, gboolean uv)
{
    static const struct lws_protocols protocols[] = {{"http", on_event, 0, 0, 0, NULL, 0},
                                                     {NULL, NULL, 0, 0, 0, NULL, 0}};
    struct lws_context_creation_info info = {0};

    info.port = port;
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.options = uv ? LWS_SERVER_OPTION_LIBUV : 0;
    info.keepalive_timeout = 75;
    info.fd_limit_per_thread = 20000;
    return lws_create_context(&info);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct lws_context *context;
    guint64 port = 0;
    gboolean known = argc == 4 && (strcmp(argv[1], "poll") == 0 || strcmp(argv[1], "uv") == 0);

    if (!known || !g_ascii_string_to_unsigned(argv[2], 10, 1, 65535, &port, NULL)) {
        fputs("usage: lws_responder poll|uv PORT FILE\n", stderr);
        return 2;
    }
    if (!g_file_get_contents(argv[3], &page, &page_len, &error)) {
        fprintf(stderr, "lws_responder: %s\n", error->message);
        return 1;
    }
    lws_set_log_level(LLL_ERR, NULL);
    context = listen_on((guint16)port, strcmp(argv[1], "uv") == 0);
    if (context == NULL)
        return 1;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    while (lws_service(context, 0) >= 0)
        continue;
    return 1;
}
