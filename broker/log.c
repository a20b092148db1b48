/* SPDX-License-Identifier: MIT
 *
 * Lines are laid out in a private buffer without any lock and then written with one write(2) under a mutex,
 * so that a line longer than a pipe's atomic size stays whole too. The second mutex guards the table of
 * repeats: one bucket per event name, and event names are our literals, so the table is small and needs no
 * bound of its own. A bucket counts a fixed window that opens with the first event in it; what was held back
 * is reported by the first line of any event after the window has closed, or at exit.
 */
#include "broker/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/json_writer.h"

#define REPEATS_MAX 20                  /* lines of one event that a window lets through */
#define WINDOW_US (10 * G_USEC_PER_SEC) /* length of that window */
#define VALUE_BYTES_MAX 2048            /* longer values are cut: a log line is not a transport */
#define STALLED_MS 1000                 /* a reader of our standard error that stalls longer loses lines */

typedef struct {
    gint64 opened_us; /* monotonic */
    guint written;
    guint64 held_back;
} RepeatBucket;

static struct {
    gint json; /* atomic: log_set_format() may change it while other threads write */
    LogLevel minimum;
    GMutex write_lock;
    GMutex repeats_lock;
    GHashTable *repeats; /* event name → RepeatBucket; NULL until the first line */
} state = {.minimum = LOG_INFO};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

/* --- Writing --- */

/* TRUE when the descriptor takes more bytes before STALLED_MS have passed. */
static gboolean wait_writable(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    int ready;

    do {
        ready = poll(&waiting, 1, STALLED_MS);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* Nobody can be told that the log itself cannot be written, so failures end the attempt silently. */
static void write_whole(const char *lines, gsize len)
{
    while (len > 0) {
        gssize done = write(STDERR_FILENO, lines, len);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno == EAGAIN && wait_writable(STDERR_FILENO)) {
            continue;
        }
        if (done <= 0) {
            return;
        }
        lines += done;
        len -= (gsize)done;
    }
}

void log_write_lines(const char *lines, gsize len)
{
    g_mutex_lock(&state.write_lock);
    write_whole(lines, len);
    g_mutex_unlock(&state.write_lock);
}

/* --- Laying out --- */

/* TRUE when the value may stand unquoted in a text line and unescaped in a JSON string. */
static gboolean value_is_plain(const char *value, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        guchar c = (guchar)value[i];

        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return FALSE;
        }
    }
    return len > 0;
}

/* Quotes like a C string. Characters that could forge a line or move a terminal's cursor, and bytes that are
 * not UTF-8, are written as escapes. */
static void append_quoted(GString *line, const char *value, gsize len)
{
    const char *end = value + len;

    g_string_append_c(line, '"');
    while (value < end) {
        gunichar c = g_utf8_get_char_validated(value, end - value);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(line, "\\x%02x", (guchar)*value++);
            continue;
        }
        if (c == '"' || c == '\\') {
            g_string_append_c(line, '\\');
            g_string_append_unichar(line, c);
        } else if (c == '\n') {
            g_string_append(line, "\\n");
        } else if (g_unichar_isprint(c)) {
            g_string_append_unichar(line, c);
        } else {
            g_string_append_printf(line, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        }
        value += g_utf8_skip[(guchar)*value];
    }
    g_string_append_c(line, '"');
}

/* The plain writer replaces what is not UTF-8 and escapes controls, quotes and backslashes. */
static void append_json_string(GString *line, const char *value, gsize len)
{
    g_auto(JsonWriter) writer;

    json_writer_init(&writer, line, JSON_STYLE_PLAIN);
    json_write_string_len(&writer, value, len);
}

/* The length of the value as it is written: at most VALUE_BYTES_MAX, not inside a UTF-8 sequence. */
static gsize value_length(const char *value)
{
    gsize len = strnlen(value, VALUE_BYTES_MAX + 1);

    if (len <= VALUE_BYTES_MAX) {
        return len;
    }
    len = VALUE_BYTES_MAX;
    while (len > VALUE_BYTES_MAX - 4 && ((guchar)value[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

void log_append_pair(GString *line, gboolean json, const char *key, const char *value)
{
    gsize len = value_length(value);
    gboolean plain = value_is_plain(value, len);

    if (json) {
        g_string_append(line, ",\"");
        g_string_append(line, key);
        g_string_append(line, "\":");
        if (plain) {
            g_string_append_c(line, '"');
            g_string_append_len(line, value, (gssize)len);
            g_string_append_c(line, '"');
        } else {
            append_json_string(line, value, len);
        }
        return;
    }
    g_string_append_c(line, ' ');
    g_string_append(line, key);
    g_string_append_c(line, '=');
    if (plain) {
        g_string_append_len(line, value, (gssize)len);
    } else {
        append_quoted(line, value, len);
    }
}

/* "2026-01-31T12:00:00.123Z" */
static void append_time(GString *line)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *seconds = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");

    g_string_append_printf(line, "%s.%03dZ", seconds, g_date_time_get_microsecond(now) / 1000);
}

static void begin_line(GString *line, gboolean json, LogLevel level, const char *event)
{
    if (json) {
        g_string_append(line, "{\"time\":\"");
        append_time(line);
        g_string_append_printf(line, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[level], event);
    } else {
        append_time(line);
        g_string_append_printf(line, " %-7s %s", level_names[level], event);
    }
}

static void end_line(GString *line, gboolean json)
{
    g_string_append(line, json ? "}\n" : "\n");
}

static void append_pairs(GString *line, gboolean json, va_list pairs)
{
    const char *key;

    while ((key = va_arg(pairs, const char *)) != NULL) {
        const char *value = va_arg(pairs, const char *);

        if (value != NULL) {
            log_append_pair(line, json, key, value);
        }
    }
}

/* --- Repeats --- */

static void append_held_back(GString *lines, gboolean json, const char *event, RepeatBucket *bucket)
{
    g_autofree char *count = g_strdup_printf("%" G_GUINT64_FORMAT, bucket->held_back);

    begin_line(lines, json, LOG_WARNING, "log-repeats-held-back");
    log_append_pair(lines, json, "of", event);
    log_append_pair(lines, json, "count", count);
    end_line(lines, json);
    bucket->held_back = 0;
}

/* Reports every bucket that holds something back and whose window closed before `now_us`. */
static void append_due_reports(GString *lines, gboolean json, gint64 now_us)
{
    GHashTableIter iter;
    gpointer event, value;

    g_hash_table_iter_init(&iter, state.repeats);
    while (g_hash_table_iter_next(&iter, &event, &value)) {
        RepeatBucket *bucket = value;

        if (bucket->held_back > 0 && now_us - bucket->opened_us >= WINDOW_US) {
            append_held_back(lines, json, event, bucket);
        }
    }
}

/* TRUE when the window of this event has no room for another line; counts either way. */
static gboolean hold_back(LogLevel level, const char *event, gint64 now_us)
{
    RepeatBucket *bucket = g_hash_table_lookup(state.repeats, event);

    if (level == LOG_ERROR) {
        return FALSE;
    }
    if (bucket == NULL) {
        bucket = g_new0(RepeatBucket, 1);
        bucket->opened_us = now_us;
        g_hash_table_insert(state.repeats, g_strdup(event), bucket);
    } else if (now_us - bucket->opened_us >= WINDOW_US) {
        bucket->opened_us = now_us;
        bucket->written = 0;
    }
    if (bucket->written < REPEATS_MAX) {
        bucket->written++;
        return FALSE;
    }
    bucket->held_back++;
    return TRUE;
}

/* Begins the text of one event with the reports that are due. FALSE when the event itself is held back; there
 * may be reports to write even then. */
static gboolean admit(GString *lines, gboolean json, LogLevel level, const char *event)
{
    gint64 now_us = g_get_monotonic_time();
    gboolean admitted;

    g_mutex_lock(&state.repeats_lock);
    if (state.repeats == NULL) {
        state.repeats = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    }
    append_due_reports(lines, json, now_us);
    admitted = !hold_back(level, event, now_us);
    g_mutex_unlock(&state.repeats_lock);
    return admitted;
}

static void report_at_exit(void)
{
    g_autoptr(GString) lines = g_string_new(NULL);

    g_mutex_lock(&state.repeats_lock);
    if (state.repeats != NULL) {
        append_due_reports(lines, log_is_json(), G_MAXINT64);
        g_clear_pointer(&state.repeats, g_hash_table_unref);
    }
    g_mutex_unlock(&state.repeats_lock);
    log_write_lines(lines->str, lines->len);
}

/* --- Events --- */

void log_set_format(ConfigLogFormat format)
{
    gboolean json = format == CONFIG_LOG_JSON || (format == CONFIG_LOG_AUTO && isatty(STDERR_FILENO) == 0);

    g_atomic_int_set(&state.json, json);
}

void log_init(ConfigLogFormat format, LogLevel minimum)
{
    static gsize once;

    log_set_format(format);
    state.minimum = minimum;
    if (g_once_init_enter(&once)) {
        atexit(report_at_exit);
        g_once_init_leave(&once, 1);
    }
}

gboolean log_is_json(void)
{
    return g_atomic_int_get(&state.json);
}

static void write_event(LogLevel level, const char *event, const GError *error, va_list pairs)
{
    g_autoptr(GString) lines = g_string_sized_new(256);
    gboolean json = log_is_json(); /* once, so that a reload cannot change the format inside a line */

    if (level < state.minimum) {
        return;
    }
    if (admit(lines, json, level, event)) {
        begin_line(lines, json, level, event);
        if (error != NULL) {
            log_append_pair(lines, json, "error", error->message);
            if (error->domain == KONTOR_ERROR) {
                log_append_pair(lines, json, "code", kontor_error_name((KontorErrorCode)error->code));
            }
        }
        append_pairs(lines, json, pairs);
        end_line(lines, json);
    }
    log_write_lines(lines->str, lines->len);
}

void log_event(LogLevel level, const char *event, ...)
{
    va_list pairs;

    va_start(pairs, event);
    write_event(level, event, NULL, pairs);
    va_end(pairs);
}

void log_error_event(LogLevel level, const char *event, const GError *error, ...)
{
    va_list pairs;

    va_start(pairs, error);
    write_event(level, event, error, pairs);
    va_end(pairs);
}
