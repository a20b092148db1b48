/* SPDX-License-Identifier: MIT
 *
 * Lines of the access log in both formats, truncated addresses, the hand-over to a worker, and the counters
 * that are kept beside it.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/log.h"
#include "broker/serve/access_log.h"
#include "broker/serve/route.h"
#include "broker/serve/stats.h"
#include "schema/json_reader.h"

/* 2026-11-21T00:58:32.007Z */
#define NOW_US (G_GINT64_CONSTANT(1795222712) * G_USEC_PER_SEC + 7999)

static const guint8 ipv4[16] = {[10] = 0xff, [11] = 0xff, 203, 0, 113, 250};
static const guint8 ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, 0xab, 0xcd, 0x12, 0x34, [15] = 1};

static HttpDone done_of(const guint8 *client)
{
    return (HttpDone){.method = HTTP_GET,
                      .route = ROUTE_PAGE,
                      .status = 206,
                      .body_bytes = 1234567,
                      .elapsed_us = 1005,
                      .client = client};
}

static void test_text(void)
{
    AccessLog *log = access_log_new(NULL, NULL);
    HttpDone done = done_of(ipv4);
    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    g_assert_true(access_log_add(log, &done, CONFIG_IP_TRUNCATED, NOW_US));
    done.client = ipv6;
    g_assert_true(access_log_add(log, &done, CONFIG_IP_TRUNCATED, NOW_US + G_USEC_PER_SEC));
    g_assert_true(access_log_add(log, &done, CONFIG_IP_FULL, NOW_US));
    g_assert_true(access_log_add(log, &done, CONFIG_IP_NONE, NOW_US));
    g_auto(GStrv) lines = g_strsplit(access_log_pending(log), "\n", -1);
    const char *rest =
        "info    access method=GET route=/packs/{pack}/wiki/{file} status=206 bytes=1234567 ms=1.005";
    g_autofree char *v4 = g_strdup_printf("2026-11-21T00:58:32.007Z %s client=203.0.113.0/24", rest);
    g_autofree char *v6 = g_strdup_printf("2026-11-21T00:58:33.007Z %s client=2001:db8:abcd::/48", rest);
    g_autofree char *full = g_strdup_printf("2026-11-21T00:58:32.007Z %s client=2001:db8:abcd:1234::1", rest);
    g_autofree char *none = g_strdup_printf("2026-11-21T00:58:32.007Z %s", rest);
    g_assert_cmpuint(g_strv_length(lines), ==, 5);
    g_assert_cmpstr(lines[0], ==, v4);
    g_assert_cmpstr(lines[1], ==, v6);
    g_assert_cmpstr(lines[2], ==, full);
    g_assert_cmpstr(lines[3], ==, none);
    access_log_free(log);
}

static void test_json(void)
{
    AccessLog *log = access_log_new(NULL, NULL);
    HttpDone done = done_of(ipv4);
    log_init(CONFIG_LOG_JSON, LOG_INFO);
    g_assert_true(access_log_add(log, &done, CONFIG_IP_FULL, NOW_US));
    const char *line = access_log_pending(log);
    g_autoptr(JsonDoc) doc = json_doc_parse(line, strlen(line), 4096, NULL);
    g_assert_nonnull(doc);
    const JsonValue *root = json_doc_root(doc);
    g_assert_cmpstr(json_value_string(json_object_get(root, "time")), ==, "2026-11-21T00:58:32.007Z");
    g_assert_cmpstr(json_value_string(json_object_get(root, "event")), ==, "access");
    g_assert_cmpstr(json_value_string(json_object_get(root, "client")), ==, "203.0.113.250");
    g_assert_cmpfloat(json_value_number(json_object_get(root, "ms")), ==, 1.005);
    g_assert_cmpfloat(json_value_number(json_object_get(root, "bytes")), ==, 1234567);
    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    access_log_free(log);
}

/* The largest of everything must fit into a line. */
static void test_extremes(void)
{
    AccessLog *log = access_log_new(NULL, NULL);
    HttpDone done = {.method = HTTP_OTHER,
                     .route = 99999,
                     .status = G_MAXUINT,
                     .body_bytes = G_MAXUINT64,
                     .elapsed_us = G_MAXINT64,
                     .client = ipv6};
    g_assert_true(access_log_add(log, &done, CONFIG_IP_FULL, NOW_US));
    g_assert_nonnull(strstr(access_log_pending(log), "method=OTHER route=none status=4294967295 "
                                                     "bytes=18446744073709551615 ms=9223372036854775.807"));
    done.elapsed_us = -1;
    g_assert_true(access_log_add(log, &done, CONFIG_IP_FULL, NOW_US));
    g_assert_nonnull(strstr(access_log_pending(log), " ms=0.000 "));
    access_log_free(log);
}

/* Runs messages until what collected has been handed on and reported back. */
static void drain_until_flushed(AccessLog *log, Mailbox *mailbox)
{
    gint64 deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (*access_log_pending(log) != '\0') {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        struct pollfd waiting = {.fd = mailbox_fd(mailbox), .events = POLLIN};
        poll(&waiting, 1, 10);
        mailbox_drain(mailbox);
        access_log_flush(log);
    }
}

/* While a batch is out the next one collects, up to its bound; then lines are dropped, not kept. */
static void test_flush_and_bound(void)
{
    Workers *workers = workers_new(1, 4);
    Mailbox *mailbox = mailbox_new();
    AccessLog *log = access_log_new(workers, mailbox);
    HttpDone done = done_of(ipv4);
    guint accepted = 0;
    /* The lines go where the test's own messages go; nobody wants to read them. */
    int kept = dup(STDERR_FILENO);
    g_assert_nonnull(freopen("/dev/null", "w", stderr));
    for (guint i = 0; i < 20000; i++)
        accepted += access_log_add(log, &done, CONFIG_IP_NONE, NOW_US) ? 1 : 0;
    g_assert_cmpuint(accepted, >, ACCESS_LOG_BYTES_MAX / 256);
    g_assert_cmpuint(accepted, <, 20000);
    g_assert_cmpuint(strlen(access_log_pending(log)), <, ACCESS_LOG_BYTES_MAX + 1024);
    drain_until_flushed(log, mailbox);
    g_assert_true(access_log_add(log, &done, CONFIG_IP_NONE, NOW_US));
    access_log_free(log);
    workers_free(workers);
    mailbox_free(mailbox);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
}

static void test_stats(void)
{
    g_autofree Stats *one = g_new0(Stats, 1), *two = g_new0(Stats, 1), *sum = g_new0(Stats, 1);
    HttpDone done = done_of(ipv4);
    stats_done(one, &done);
    done.elapsed_us = G_MAXINT64;
    done.status = 299;
    stats_done(two, &done);
    done.route = ROUTE_COUNT + 7;
    done.status = 0;
    done.elapsed_us = -5;
    stats_done(two, &done);
    Stats *const both[] = {one, two};
    stats_sum(both, 2, sum);
    guint64 requests = 0, latencies = 0;
    for (guint s = 0; s < STATS_STATUSES; s++)
        requests += sum->requests[ROUTE_PAGE][s];
    for (guint b = 0; b < STATS_BUCKETS; b++)
        latencies += sum->latency[ROUTE_PAGE][b];
    g_assert_cmpuint(requests, ==, 2);
    g_assert_cmpuint(latencies, ==, 2);
    g_assert_cmpuint(sum->latency[ROUTE_PAGE][STATS_BUCKETS - 1], ==, 1);
    g_assert_cmpuint(sum->requests[ROUTE_PAGE][STATS_STATUSES - 1], ==, 1);
    g_assert_cmpstr(stats_status_label(STATS_STATUSES - 1), ==, "other");
    g_assert_cmpuint(sum->latency[ROUTE_NONE][0], ==, 1);
    g_assert_cmpuint(sum->body_bytes, ==, 3 * 1234567);
    for (guint b = 1; b < STATS_BUCKETS; b++)
        g_assert_cmpint(stats_bucket_bound(b), >, stats_bucket_bound(b - 1));
    for (guint r = 0; r < STATS_REJECTIONS; r++)
        g_assert_nonnull(stats_rejection_label(r));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/broker/access-log/text", test_text);
    g_test_add_func("/broker/access-log/json", test_json);
    g_test_add_func("/broker/access-log/extremes", test_extremes);
    g_test_add_func("/broker/access-log/flush-and-bound", test_flush_and_bound);
    g_test_add_func("/broker/access-log/stats", test_stats);
    return g_test_run();
}
