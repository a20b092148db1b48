/* SPDX-License-Identifier: MIT
 *
 * A server thread that answers every connection with prepared bytes and keeps what it was sent.
 */
#include "mirror/agent/fetch.h"

#include <gio/gio.h>
#include <string.h>

#include "schema/limits.h"

typedef struct {
    GSocketListener *listener;
    guint16 port;
    char *url; /* "http://127.0.0.1:PORT/x" */
    GThread *thread;
    GCancellable *stop;
    const char *const *answers; /* one per connection, the last one for all further ones; "" hangs */
    GString *seen;              /* all requests, in order; read after server_stop */
} Server;

static void read_request(GInputStream *in, GString *seen)
{
    char chunk[4096];
    gsize start = seen->len;
    gssize got;
    const char *length;
    gsize body = 0;

    while ((got = g_input_stream_read(in, chunk, sizeof chunk, NULL, NULL)) > 0) {
        g_string_append_len(seen, chunk, got);
        const char *end = strstr(seen->str + start, "\r\n\r\n");

        if (end == NULL) {
            continue;
        }
        length = strstr(seen->str + start, "Content-Length: ");
        body = length != NULL ? (gsize)g_ascii_strtoull(length + 16, NULL, 10) : 0;
        if (strlen(end + 4) >= body) {
            return;
        }
    }
}

static gpointer serve(gpointer user)
{
    Server *server = user;
    guint n = 0;

    for (;;) {
        g_autoptr(GSocketConnection) connection =
            g_socket_listener_accept(server->listener, NULL, server->stop, NULL);
        const char *answer = server->answers[n];

        if (connection == NULL) {
            return NULL;
        }
        read_request(g_io_stream_get_input_stream(G_IO_STREAM(connection)), server->seen);
        if (*answer == '\0') {
            char nothing;

            g_input_stream_read(g_io_stream_get_input_stream(G_IO_STREAM(connection)), &nothing, 1,
                                server->stop, NULL);
        } else {
            g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)), answer,
                                      strlen(answer), NULL, NULL, NULL);
        }
        n += server->answers[n + 1] != NULL;
    }
}

static void server_start(Server *server, const char *const *answers)
{
    server->listener = g_socket_listener_new();
    g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new(loopback, 0);
    g_autoptr(GSocketAddress) bound = NULL;

    g_assert_true(g_socket_listener_add_address(server->listener, any, G_SOCKET_TYPE_STREAM,
                                                G_SOCKET_PROTOCOL_TCP, NULL, &bound, NULL));
    server->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    server->url = g_strdup_printf("http://127.0.0.1:%u/secret/path", server->port);
    server->answers = answers;
    server->seen = g_string_new(NULL);
    server->stop = g_cancellable_new();
    server->thread = g_thread_new("server", serve, server);
}

static void server_stop(Server *server)
{
    g_cancellable_cancel(server->stop);
    g_thread_join(server->thread);
    g_socket_listener_close(server->listener);
    g_object_unref(server->listener);
    g_object_unref(server->stop);
    g_free(server->url);
}

#define OK_HELLO                                                                                             \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-Thing:  a \r\nConnection: "       \
    "close\r\n\r\nhello"

static void assert_body(const FetchAnswer *answer, const char *text)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(answer->body, &len);

    g_assert_cmpmem(data, len, text, strlen(text));
}

static void test_get(void)
{
    static const char *const answers[] = {
        OK_HELLO, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", NULL};
    const char *const headers[] = {"If-None-Match: \"x\"", NULL};
    FetchOptions options = {.keep_headers = TRUE, .bearer = "t0ken", .headers = headers};
    g_autoptr(Fetch) fetch = fetch_new();
    g_autoptr(GError) error = NULL;
    Server server = {0};

    server_start(&server, answers);
    g_autoptr(FetchAnswer) answer = fetch_get(fetch, server.url, &options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(answer->status, ==, 200);
    g_assert_cmpstr(answer->content_type, ==, "text/plain");
    g_assert_cmpstr(fetch_answer_header(answer, "x-thing"), ==, "a");
    g_assert_null(fetch_answer_header(answer, "x-other"));
    assert_body(answer, "hello");

    g_autoptr(FetchAnswer) second = fetch_get(fetch, server.url, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(second->status, ==, 404);
    g_assert_null(second->content_type);
    g_assert_null(fetch_answer_header(second, "content-length"));
    server_stop(&server);

    g_auto(GStrv) requests = g_strsplit(server.seen->str, "GET ", -1);
    g_assert_cmpuint(g_strv_length(requests), ==, 3);
    g_assert_nonnull(strstr(requests[1], "/secret/path HTTP/1.1\r\n"));
    g_assert_nonnull(strstr(requests[1], "User-Agent: kontor/" KONTOR_VERSION "\r\n"));
    g_assert_nonnull(strstr(requests[1], "Authorization: Bearer t0ken\r\n"));
    g_assert_nonnull(strstr(requests[1], "If-None-Match: \"x\"\r\n"));
    g_assert_null(strstr(requests[2], "t0ken"));
    g_assert_null(strstr(requests[2], "If-None-Match"));
    g_string_free(server.seen, TRUE);
}

static void test_post(void)
{
    static const char *const answers[] = {OK_HELLO, NULL};
    g_autoptr(Fetch) fetch = fetch_new();
    g_autoptr(GError) error = NULL;
    Server server = {0};

    server_start(&server, answers);
    g_autoptr(FetchAnswer) answer =
        fetch_post(fetch, server.url, "application/json", "{\"q\":1}", 7, NULL, &error);
    g_assert_no_error(error);
    assert_body(answer, "hello");
    server_stop(&server);
    g_assert_true(g_str_has_prefix(server.seen->str, "POST /secret/path HTTP/1.1\r\n"));
    g_assert_nonnull(strstr(server.seen->str, "Content-Type: application/json\r\n"));
    g_assert_null(strstr(server.seen->str, "Expect:"));
    g_assert_true(g_str_has_suffix(server.seen->str, "\r\n\r\n{\"q\":1}"));
    g_string_free(server.seen, TRUE);
}

/* One answer, and the error that reading it must end in; no message may show the path or the token. */
static void assert_refused(const char *bytes, const FetchOptions *options, KontorErrorCode code)
{
    const char *const answers[] = {bytes, NULL};
    g_autoptr(Fetch) fetch = fetch_new();
    g_autoptr(GError) error = NULL;
    Server server = {0};

    server_start(&server, answers);
    g_autoptr(FetchAnswer) answer = fetch_get(fetch, server.url, options, &error);
    g_assert_null(answer);
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_assert_null(strstr(error->message, "secret"));
    g_assert_nonnull(strstr(error->message, "http://127.0.0.1:"));
    server_stop(&server);
    g_string_free(server.seen, TRUE);
}

static void test_ceilings(void)
{
    FetchOptions small = {.body_bytes_max = 4, .bearer = "secret"};
    FetchOptions exact = {.body_bytes_max = 5};
    static const char *const answers[] = {OK_HELLO, NULL};
    g_autoptr(GString) head = g_string_new("HTTP/1.1 200 OK\r\n");
    g_autoptr(Fetch) fetch = fetch_new();
    Server server = {0};

    assert_refused(OK_HELLO, &small, KONTOR_ERROR_LIMIT);
    assert_refused("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", &small, KONTOR_ERROR_LIMIT);
    assert_refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
                   &small, KONTOR_ERROR_LIMIT);
    while (head->len <= LIMIT_FETCH_HEAD_BYTES) {
        g_string_append_printf(head, "X-%" G_GSIZE_FORMAT ": %0200d\r\n", head->len, 0);
    }
    g_string_append(head, "\r\n");
    assert_refused(head->str, NULL, KONTOR_ERROR_LIMIT);

    server_start(&server, answers);
    g_autoptr(FetchAnswer) answer = fetch_get(fetch, server.url, &exact, NULL);
    g_assert_nonnull(answer);
    assert_body(answer, "hello");
    server_stop(&server);
    g_string_free(server.seen, TRUE);
}

static void test_broken_answers(void)
{
    assert_refused("220 ftp.example ready\r\n\r\n", NULL, KONTOR_ERROR_MALFORMED);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhello", NULL,
                   KONTOR_ERROR_IO);
}

static void test_deadline(void)
{
    FetchOptions options = {.total_timeout_ms = 200};
    gint64 before_us = g_get_monotonic_time();

    assert_refused("", &options, KONTOR_ERROR_BUSY);
    g_assert_cmpint(g_get_monotonic_time() - before_us, <, 5 * G_USEC_PER_SEC);
}

static void test_redirects(void)
{
    static const char *const once[] = {"HTTP/1.1 302 Found\r\nLocation: /secret/next\r\nX-Old: "
                                       "1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                                       OK_HELLO, NULL};
    static const char *const to_file[] = {
        "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\nConnection: "
        "close\r\n\r\n",
        NULL};
    FetchOptions follow = {.redirects_max = 2, .keep_headers = TRUE};
    g_autoptr(Fetch) fetch = fetch_new();
    Server server = {0};

    server_start(&server, once);
    g_autoptr(FetchAnswer) stopped = fetch_get(fetch, server.url, NULL, NULL);
    g_assert_nonnull(stopped);
    g_assert_cmpuint(stopped->status, ==, 302);
    server_stop(&server);
    g_string_free(server.seen, TRUE);

    server_start(&server, once);
    g_autoptr(FetchAnswer) followed = fetch_get(fetch, server.url, &follow, NULL);
    g_assert_nonnull(followed);
    assert_body(followed, "hello");
    g_assert_null(fetch_answer_header(followed, "x-old"));
    server_stop(&server);
    g_string_free(server.seen, TRUE);

    assert_refused(once[0], &follow, KONTOR_ERROR_LIMIT);
    assert_refused(to_file[0], &follow, KONTOR_ERROR_MALFORMED);
}

static void test_refused_before_sending(void)
{
    static const char *const urls[] = {
        "",        "127.0.0.1:1",        "file:///etc/passwd",       "ftp://127.0.0.1/",
        "http://", "gopher://127.0.0.1", "http://user:pw@127.0.0.1/"};
    const char *const split[] = {"X: a\r\nY: b", NULL};
    FetchOptions bad_header = {.headers = split};
    FetchOptions bad_token = {.bearer = "a\r\nX: b"};
    g_autofree char *path = g_strnfill(LIMIT_FETCH_URL_BYTES, 'a');
    g_autofree char *long_url = g_strconcat("http://127.0.0.1:1/", path, NULL);
    g_autoptr(Fetch) fetch = fetch_new();

    for (guint i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(fetch_get(fetch, urls[i], NULL, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_null(strstr(error->message, "pw"));
    }
    g_autoptr(GError) too_long = NULL;
    g_assert_null(fetch_get(fetch, long_url, NULL, &too_long));
    g_assert_error(too_long, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_autoptr(GError) header = NULL;
    g_assert_null(fetch_get(fetch, "http://127.0.0.1:1/", &bad_header, &header));
    g_assert_error(header, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    g_autoptr(GError) token = NULL;
    g_assert_null(fetch_get(fetch, "http://127.0.0.1:1/", &bad_token, &token));
    g_assert_error(token, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

static void test_nobody_listens(void)
{
    static const char *const answers[] = {OK_HELLO, NULL};
    g_autoptr(Fetch) fetch = fetch_new();
    g_autoptr(GError) error = NULL;
    Server server = {0};

    server_start(&server, answers);
    g_autofree char *url = g_strdup(server.url);
    server_stop(&server);
    g_string_free(server.seen, TRUE);
    g_assert_null(fetch_get(fetch, url, NULL, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_IO);
}

int main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fetch/get", test_get);
    g_test_add_func("/fetch/post", test_post);
    g_test_add_func("/fetch/ceilings", test_ceilings);
    g_test_add_func("/fetch/broken-answers", test_broken_answers);
    g_test_add_func("/fetch/deadline", test_deadline);
    g_test_add_func("/fetch/redirects", test_redirects);
    g_test_add_func("/fetch/refused-before-sending", test_refused_before_sending);
    g_test_add_func("/fetch/nobody-listens", test_nobody_listens);
    return g_test_run();
}
