/* SPDX-License-Identifier: MIT
 *
 * A line is laid out by hand in a local buffer: this runs once per request, and printf would cost more than
 * the rest of a cached answer.
 */
#include "broker/serve/access_log.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "broker/log.h"
#include "broker/net/http_head.h"
#include "broker/serve/route.h"

/* The longest line: fixed words, a route template, five numbers and an address. */
#define LINE_BYTES_MAX 512

typedef struct {
    GString *lines;
    AccessLog *log; /* NULL when the log was freed meanwhile */
} Batch;

struct AccessLog {
    Workers *workers;
    Mailbox *mailbox;
    GString *lines;
    Batch *batch;   /* with a worker; NULL when none is */
    gint64 second;  /* which the text below is for */
    char stamp[24]; /* "2026-01-31T12:00:00" */
};

typedef struct {
    char text[LINE_BYTES_MAX];
    gsize len;
    gboolean json; /* the format this line began in */
} Line;

static void line_text(Line *line, const char *text)
{
    gsize len = strlen(text);
    g_assert(line->len + len <= LINE_BYTES_MAX);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* Decimal, padded with zeros to `width` digits. */
static void line_number(Line *line, guint64 value, guint width)
{
    char digits[24];
    guint at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || sizeof digits - 1 - at < width);
    line_text(line, digits + at);
}

/* What stands before a value: `json` and `text` are the two forms of the same key. */
static void line_key(Line *line, const char *json, const char *text)
{
    line_text(line, line->json ? json : text);
}

static void line_time(AccessLog *log, Line *line, gint64 real_us)
{
    gint64 second = real_us / G_USEC_PER_SEC;
    if (second != log->second || log->stamp[0] == '\0') {
        time_t when = (time_t)second;
        struct tm parts;
        gmtime_r(&when, &parts);
        strftime(log->stamp, sizeof log->stamp, "%Y-%m-%dT%H:%M:%S", &parts);
        log->second = second;
    }
    line_text(line, log->stamp);
    line_text(line, ".");
    line_number(line, (guint64)(real_us % G_USEC_PER_SEC) / 1000, 3);
    line_text(line, "Z");
}

static gboolean is_ipv4(const guint8 client[16])
{
    static const guint8 mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(client, mapped, sizeof mapped) == 0;
}

/* Truncated to /24 or /48, so that a line does not tell one person from another. */
static void line_address(Line *line, const guint8 client[16], gboolean truncate)
{
    if (is_ipv4(client)) {
        for (guint i = 12; i < 16; i++) {
            if (i > 12)
                line_text(line, ".");
            line_number(line, truncate && i == 15 ? 0 : client[i], 1);
        }
        line_text(line, truncate ? "/24" : "");
        return;
    }
    guint8 address[16];
    char text[INET6_ADDRSTRLEN];
    memcpy(address, client, sizeof address);
    if (truncate)
        memset(address + 6, 0, sizeof address - 6);
    inet_ntop(AF_INET6, address, text, sizeof text);
    line_text(line, text);
    line_text(line, truncate ? "/48" : "");
}

AccessLog *access_log_new(Workers *workers, Mailbox *mailbox)
{
    AccessLog *log = g_new0(AccessLog, 1);
    log->workers = workers;
    log->mailbox = mailbox;
    log->lines = g_string_sized_new(ACCESS_LOG_FLUSH_BYTES + LINE_BYTES_MAX);
    return log;
}

void access_log_free(AccessLog *log)
{
    if (log == NULL)
        return;
    if (log->batch != NULL)
        log->batch->log = NULL;
    if (log->lines->len > 0)
        log_write_lines(log->lines->str, log->lines->len);
    g_string_free(log->lines, TRUE);
    g_free(log);
}

gboolean access_log_add(AccessLog *log, const HttpDone *done, ConfigLogAddress address, gint64 real_us)
{
    if (log->lines->len >= ACCESS_LOG_BYTES_MAX)
        return FALSE;
    Line line = {.json = log_is_json()};
    line_key(&line, "{\"time\":\"", "");
    line_time(log, &line, real_us);
    line_key(&line, "\",\"level\":\"info\",\"event\":\"access\",\"method\":\"", " info    access method=");
    line_text(&line, http_method_name(done->method));
    line_key(&line, "\",\"route\":\"", " route=");
    line_text(&line, route_name(done->route));
    line_key(&line, "\",\"status\":", " status=");
    line_number(&line, done->status, 1);
    line_key(&line, ",\"bytes\":", " bytes=");
    line_number(&line, done->body_bytes, 1);
    line_key(&line, ",\"ms\":", " ms=");
    line_number(&line, (guint64)MAX(done->elapsed_us, 0) / 1000, 1);
    line_text(&line, ".");
    line_number(&line, (guint64)MAX(done->elapsed_us, 0) % 1000, 3);
    if (address != CONFIG_IP_NONE) {
        line_key(&line, ",\"client\":\"", " client=");
        line_address(&line, done->client, address == CONFIG_IP_TRUNCATED);
        line_key(&line, "\"", "");
    }
    line_key(&line, "}\n", "\n");
    g_string_append_len(log->lines, line.text, (gssize)line.len);
    if (log->lines->len >= ACCESS_LOG_FLUSH_BYTES)
        access_log_flush(log);
    return TRUE;
}

static void write_batch(gpointer data)
{
    Batch *batch = data;
    log_write_lines(batch->lines->str, batch->lines->len);
    g_string_truncate(batch->lines, 0);
}

static void batch_done(gpointer data, gboolean cancelled)
{
    Batch *batch = data;
    if (!cancelled && batch->log != NULL)
        batch->log->batch = NULL;
    /* At the end of the program no worker may have come to it. */
    if (batch->lines->len > 0)
        log_write_lines(batch->lines->str, batch->lines->len);
    g_string_free(batch->lines, TRUE);
    g_free(batch);
}

void access_log_flush(AccessLog *log)
{
    if (log->batch != NULL || log->lines->len == 0)
        return;
    Batch *batch = g_new(Batch, 1);
    *batch = (Batch){.lines = log->lines, .log = log};
    if (!workers_submit(log->workers, write_batch, batch, log->mailbox, batch_done)) {
        g_free(batch);
        return;
    }
    log->batch = batch;
    log->lines = g_string_sized_new(ACCESS_LOG_FLUSH_BYTES + LINE_BYTES_MAX);
}

const char *access_log_pending(const AccessLog *log)
{
    return log->lines->str;
}
