/* SPDX-License-Identifier: MIT
 *
 * Many requests at once against a server in threads of this process, which answers by what the path asks for:
 *
 *   /bytes/N     N bytes         /wait/MS     a short answer after so long
 *   /status/N    that status     /hang        nothing, until the client has gone
 */
#include "mirror/agent/fetch_pool.h"

#include <string.h>

#include "schema/limits.h"
#include "socket_threads.h"

typedef struct {
    SocketThreads threads;
    gint serving, most_serving; /* connections; atomic */
} Server;

static void answer(int fd, guint status, gsize len)
{
    g_autofree char *body = g_strnfill(len, 'x');
    g_autofree char *text =
        g_strdup_printf("HTTP/1.1 %u X\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n%s", status, len, body);
    socket_send_all(fd, text, strlen(text));
}

/* FALSE ends the connection. */
static gboolean serve_one(int fd, const char *target)
{
    char nothing;
    if (g_str_has_prefix(target, "/bytes/")) {
        answer(fd, 200, g_ascii_strtoull(target + 7, NULL, 10));
    } else if (g_str_has_prefix(target, "/status/")) {
        answer(fd, (guint)g_ascii_strtoull(target + 8, NULL, 10), 0);
    } else if (g_str_has_prefix(target, "/wait/")) {
        g_usleep(g_ascii_strtoull(target + 6, NULL, 10) * 1000);
        answer(fd, 200, 2);
    } else {
        return recv(fd, &nothing, 1, 0) > 0;
    }
    return TRUE;
}

/* For SocketThreads. */
static void serve(int fd, gpointer user)
{
    Server *server = user;
    g_autoptr(GString) buffer = g_string_new(NULL);
    gint now = g_atomic_int_add(&server->serving, 1) + 1;
    if (now > g_atomic_int_get(&server->most_serving))
        g_atomic_int_set(&server->most_serving, now);
    for (gboolean more = TRUE; more;) {
        g_autofree char *head = socket_read_head(fd, buffer);
        if (head == NULL)
            break;
        g_auto(GStrv) words = g_strsplit(head, " ", 3);
        more = serve_one(fd, words[1]);
    }
    g_atomic_int_add(&server->serving, -1);
}

static void set_up(Server *server, gconstpointer data)
{
    (void)data;
    server->serving = server->most_serving = 0;
    socket_threads_start(&server->threads, serve, server);
}

static void tear_down(Server *server, gconstpointer data)
{
    (void)data;
    socket_threads_stop(&server->threads);
}

static char *url_of(const Server *server, const char *target)
{
    return g_strdup_printf("http://127.0.0.1:%u%s", server->threads.port, target);
}

/* --- What comes back --- */

typedef struct {
    guint answers, errors;
    gsize bytes;
    guint status;  /* of the latest */
    GError *error; /* the latest */
    FetchPool *pool;
    char *next; /* asked for by the first answer */
} Taken;

static void taken_clear(Taken *taken)
{
    g_clear_error(&taken->error);
    g_free(taken->next);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Taken, taken_clear)

static void take(FetchAnswer *answered, const GError *error, gpointer user)
{
    Taken *taken = user;
    if (error != NULL) {
        g_assert_null(answered);
        taken->errors++;
        g_clear_error(&taken->error);
        taken->error = g_error_copy(error);
        return;
    }
    taken->answers++;
    taken->bytes += g_bytes_get_size(answered->body);
    taken->status = answered->status;
    fetch_answer_free(answered);
    if (taken->next != NULL) {
        g_autofree char *next = g_steal_pointer(&taken->next);
        fetch_pool_add(taken->pool, next, NULL, take, taken);
    }
}

static void add(FetchPool *pool, const Server *server, const char *target, const FetchOptions *options,
                Taken *taken)
{
    g_autofree char *url = url_of(server, target);
    fetch_pool_add(pool, url, options, take, taken);
}

static void test_many(Server *server, gconstpointer data)
{
    (void)data;
    g_autoptr(FetchPool) pool = fetch_pool_new(8);
    g_autoptr(GError) error = NULL;
    g_auto(Taken) taken = {.pool = pool, .next = url_of(server, "/bytes/5")};
    for (guint i = 0; i < 100; i++)
        add(pool, server, "/bytes/10", NULL, &taken);
    add(pool, server, "/status/404", NULL, &taken);
    g_assert_cmpuint(fetch_pool_unfinished(pool), ==, 101);
    g_assert_true(fetch_pool_run(pool, 50, &error));
    g_assert_cmpuint(fetch_pool_unfinished(pool), <=, 50);
    g_assert_true(fetch_pool_run(pool, 0, &error));
    g_assert_cmpuint(taken.answers, ==, 102);
    g_assert_cmpuint(taken.bytes, ==, 1005);
    g_assert_cmpint(g_atomic_int_get(&server->most_serving), <=, 8);
    g_assert_cmpuint(fetch_pool_requests(pool), ==, 102);
    g_assert_cmpuint(fetch_pool_wire_bytes(pool), >, 102 * 40 + 1005);
}

/* Forty waits of 50 ms, eight at a time. */
static void test_side_by_side(Server *server, gconstpointer data)
{
    (void)data;
    g_autoptr(FetchPool) pool = fetch_pool_new(8);
    g_auto(Taken) taken = {0};
    gint64 start_us = g_get_monotonic_time();
    for (guint i = 0; i < 40; i++)
        add(pool, server, "/wait/50", NULL, &taken);
    g_assert_true(fetch_pool_run(pool, 0, NULL));
    g_assert_cmpuint(taken.answers, ==, 40);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 5 * 50000);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 30 * 50000);
}

static void test_ceilings(Server *server, gconstpointer data)
{
    (void)data;
    g_autoptr(FetchPool) pool = fetch_pool_new(4);
    g_auto(Taken) small = {0}, fine = {0}, wrong = {0};
    FetchOptions four = {.body_bytes_max = 4};
    add(pool, server, "/bytes/5", &four, &small);
    add(pool, server, "/bytes/4", &four, &fine);
    fetch_pool_add(pool, "ftp://127.0.0.1/", NULL, take, &wrong);
    g_assert_true(fetch_pool_run(pool, 0, NULL));
    g_assert_error(small.error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_cmpuint(fine.answers, ==, 1);
    g_assert_error(wrong.error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

static void test_budget_of_bytes(Server *server, gconstpointer data)
{
    (void)data;
    g_autoptr(FetchPool) pool = fetch_pool_new(4);
    g_autoptr(GError) error = NULL;
    g_auto(Taken) taken = {0};
    fetch_pool_set_budget(pool, G_MAXINT64, 2500);
    for (guint i = 0; i < 10; i++)
        add(pool, server, "/bytes/1000", NULL, &taken);
    g_assert_false(fetch_pool_run(pool, 0, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_true(fetch_pool_is_spent(pool));
    g_assert_cmpuint(taken.bytes, <=, 2500);
    g_assert_cmpuint(fetch_pool_unfinished(pool), ==, 0);
    /* With a new one it goes on. */
    g_clear_error(&error);
    fetch_pool_set_budget(pool, G_MAXINT64, 2500);
    g_assert_false(fetch_pool_is_spent(pool));
    g_autofree char *url = url_of(server, "/bytes/1000");
    g_autoptr(FetchAnswer) single = fetch_pool_get(pool, url, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(single->body), ==, 1000);
    g_assert_true(fetch_pool_charge(pool, 1500, &error));
    g_assert_false(fetch_pool_charge(pool, 1, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
}

static void test_deadline(Server *server, gconstpointer data)
{
    (void)data;
    g_autoptr(FetchPool) pool = fetch_pool_new(4);
    g_autoptr(GError) error = NULL;
    g_auto(Taken) hung = {0};
    gint64 start_us = g_get_monotonic_time();
    fetch_pool_set_budget(pool, start_us + 300000, G_MAXUINT64);
    for (guint i = 0; i < 10; i++)
        add(pool, server, "/hang", NULL, &hung);
    g_assert_false(fetch_pool_run(pool, 0, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 2 * G_USEC_PER_SEC);
    g_assert_cmpuint(hung.answers + hung.errors, ==, 0);
    /* One answer may take less. */
    FetchOptions short_time = {.total_timeout_ms = 100};
    g_auto(Taken) late = {0}, fine = {0};
    fetch_pool_set_budget(pool, G_MAXINT64, G_MAXUINT64);
    add(pool, server, "/hang", &short_time, &late);
    add(pool, server, "/bytes/1", NULL, &fine);
    g_assert_true(fetch_pool_run(pool, 0, NULL));
    g_assert_error(late.error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_assert_cmpuint(fine.answers, ==, 1);
}

/* More under way than may be held: they wait for each other, and all come. */
static void test_held_bytes(Server *server, gconstpointer data)
{
    (void)data;
    enum { ANSWERS = 12 };
    const gsize each = LIMIT_FETCH_HELD_BYTES / 8;
    g_autoptr(FetchPool) pool = fetch_pool_new(ANSWERS);
    g_autoptr(GError) error = NULL;
    g_auto(Taken) taken = {0};
    g_autofree char *target = g_strdup_printf("/bytes/%" G_GSIZE_FORMAT, each);
    FetchOptions large = {.body_bytes_max = each};
    for (guint i = 0; i < ANSWERS; i++)
        add(pool, server, target, &large, &taken);
    g_assert_true(fetch_pool_run(pool, 0, &error));
    g_assert_cmpuint(taken.errors, ==, 0);
    g_assert_cmpuint(taken.bytes, ==, ANSWERS * each);
}

static void test_forgotten(Server *server, gconstpointer data)
{
    (void)data;
    g_auto(Taken) taken = {0};
    FetchPool *pool = fetch_pool_new(2);
    for (guint i = 0; i < 5; i++)
        add(pool, server, i == 0 ? "/bytes/3" : "/hang", NULL, &taken);
    g_assert_true(fetch_pool_run(pool, 4, NULL));
    fetch_pool_cancel(pool);
    g_assert_cmpuint(fetch_pool_unfinished(pool), ==, 0);
    g_assert_true(fetch_pool_run(pool, 0, NULL));
    add(pool, server, "/hang", NULL, &taken);
    fetch_pool_free(pool);
    g_assert_cmpuint(taken.answers, ==, 1);
    g_assert_cmpuint(taken.errors, ==, 0);
}

int main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    g_test_init(&argc, &argv, NULL);
    g_test_add("/fetch-pool/many", Server, NULL, set_up, test_many, tear_down);
    g_test_add("/fetch-pool/side-by-side", Server, NULL, set_up, test_side_by_side, tear_down);
    g_test_add("/fetch-pool/ceilings", Server, NULL, set_up, test_ceilings, tear_down);
    g_test_add("/fetch-pool/budget-of-bytes", Server, NULL, set_up, test_budget_of_bytes, tear_down);
    g_test_add("/fetch-pool/deadline", Server, NULL, set_up, test_deadline, tear_down);
    g_test_add("/fetch-pool/held-bytes", Server, NULL, set_up, test_held_bytes, tear_down);
    g_test_add("/fetch-pool/forgotten", Server, NULL, set_up, test_forgotten, tear_down);
    return g_test_run();
}
