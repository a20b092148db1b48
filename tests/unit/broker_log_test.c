/* SPDX-License-Identifier: MIT
 *
 * The log is state of the process, so each case runs in a child whose standard error is read back.
 */
#include "broker/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/json_reader.h"

/* Runs the function of one case and gives what it wrote on standard error. */
static char *output_of(void (*run)(void))
{
    int ends[2];
    g_autoptr(GString) text = g_string_new(NULL);
    char chunk[4096];
    gssize got;

    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        run();
        exit(0); /* with its exit handlers: they report what was held back */
    }
    close(ends[1]);
    while ((got = read(ends[0], chunk, sizeof chunk)) > 0) {
        g_string_append_len(text, chunk, got);
    }
    close(ends[0]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static guint count_lines(const char *text, const char *with)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint count = 0;

    for (guint i = 0; lines[i] != NULL; i++) {
        count += strstr(lines[i], with) != NULL;
    }
    return count;
}

static void run_text(void)
{
    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    log_event(LOG_INFO, "started", "address", "127.0.0.1:8000", "name", NULL, "quoted", "a b", NULL);
}

static void test_text(void)
{
    g_autofree char *text = output_of(run_text);

    g_assert_true(g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z info    started "
                                       "address=127\\.0\\.0\\.1:8000 quoted=\"a b\"\n$",
                                       text, 0, 0));
}

static void run_hostile(gboolean json)
{
    log_init(json ? CONFIG_LOG_JSON : CONFIG_LOG_TEXT, LOG_INFO);
    log_event(LOG_WARNING, "peer", "line", "x\ninjected level=error", "colour", "\033[31m", "bytes",
              "\xff\xfe", "quote", "a\"b\\c", "bidi", "\xe2\x80\xae", "letters", "caffè", "empty", "", NULL);
}

static void run_hostile_text(void)
{
    run_hostile(FALSE);
}

static void run_hostile_json(void)
{
    run_hostile(TRUE);
}

static void test_hostile_text(void)
{
    g_autofree char *text = output_of(run_hostile_text);

    g_assert_cmpuint(count_lines(text, ""), ==, 2); /* one line and what follows its line feed */
    g_assert_nonnull(strstr(text,
                            "line=\"x\\ninjected level=error\" colour=\"\\u001b[31m\" bytes=\"\\xff\\xfe\" "
                            "quote=\"a\\\"b\\\\c\" bidi=\"\\u202e\" letters=\"caffè\" empty=\"\"\n"));
}

static void test_hostile_json(void)
{
    g_autofree char *text = output_of(run_hostile_json);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(text, strlen(text), 65536, &error);
    const char *value = NULL;

    g_assert_no_error(error);
    g_assert_cmpuint(count_lines(text, ""), ==, 2);
    g_assert_true(json_get_string(json_doc_root(doc), "line", JSON_REQUIRED, 100, &value, NULL));
    g_assert_cmpstr(value, ==, "x\ninjected level=error");
    g_assert_true(json_get_string(json_doc_root(doc), "level", JSON_REQUIRED, 100, &value, NULL));
    g_assert_cmpstr(value, ==, "warning");
    g_assert_true(json_get_string(json_doc_root(doc), "bytes", JSON_REQUIRED, 100, &value, NULL));
    g_assert_cmpstr(value, ==, "\xef\xbf\xbd\xef\xbf\xbd");
}

static void run_error(void)
{
    g_autoptr(GError) error = g_error_new(KONTOR_ERROR, KONTOR_ERROR_LIMIT, "too big");

    log_init(CONFIG_LOG_JSON, LOG_WARNING);
    log_event(LOG_INFO, "below-the-minimum", NULL);
    log_error_event(LOG_ERROR, "refused", error, "pack", "a/b", NULL);
    log_error_event(LOG_ERROR, "refused", NULL, NULL);
}

static void test_error(void)
{
    g_autofree char *text = output_of(run_error);

    g_assert_null(strstr(text, "below-the-minimum"));
    g_assert_nonnull(
        strstr(text, "\"event\":\"refused\",\"error\":\"too big\",\"code\":\"limit\",\"pack\":\"a/b\"}\n"));
    g_assert_true(g_str_has_suffix(text, "\"event\":\"refused\"}\n"));
}

static void run_flood(void)
{
    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    for (guint i = 0; i < 100; i++) {
        log_event(LOG_WARNING, "flood", NULL);
        log_event(LOG_ERROR, "grave", NULL);
    }
    log_event(LOG_INFO, "other", NULL);
}

static void test_repeats(void)
{
    g_autofree char *text = output_of(run_flood);

    g_assert_cmpuint(count_lines(text, "warning flood"), ==, 20);
    g_assert_cmpuint(count_lines(text, "error   grave"), ==, 100);
    g_assert_cmpuint(count_lines(text, "info    other"), ==, 1);
    g_assert_cmpuint(count_lines(text, "log-repeats-held-back of=flood count=80"), ==, 1);
}

static void run_long(void)
{
    g_autofree char *value = g_strnfill(1024 * 1024, 'a');
    g_autoptr(GString) wide = g_string_new("a"); /* so that no 3-byte character ends on the limit */

    for (guint i = 0; i < 5000; i++) {
        g_string_append(wide, "€");
    }
    log_init(CONFIG_LOG_JSON, LOG_INFO);
    log_event(LOG_INFO, "long", "value", value, "wide", wide->str, NULL);
}

static void test_long_values(void)
{
    g_autofree char *text = output_of(run_long);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonDoc) doc = json_doc_parse(text, strlen(text), 65536, &error);
    const char *value = NULL;

    g_assert_no_error(error);
    g_assert_true(json_get_string(json_doc_root(doc), "value", JSON_REQUIRED, 65536, &value, NULL));
    g_assert_cmpuint(strlen(value), ==, 2048);
    g_assert_true(json_get_string(json_doc_root(doc), "wide", JSON_REQUIRED, 65536, &value, NULL));
    g_assert_cmpuint(strlen(value), ==, 1 + 682 * 3);
    g_assert_null(strstr(value, "\xef\xbf\xbd"));
}

static gpointer write_many(gpointer user)
{
    for (guint i = 0; i < 200; i++) {
        log_event(LOG_ERROR, "thread", "name", (const char *)user, NULL);
    }
    return NULL;
}

static void run_threads(void)
{
    GThread *threads[4];
    g_autofree char *name = g_strnfill(1500, 'x');

    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new(NULL, write_many, name);
    }
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
}

static void test_threads_write_whole_lines(void)
{
    g_autofree char *text = output_of(run_threads);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_assert_cmpuint(g_strv_length(lines), ==, 801);
    for (guint i = 0; i < 800; i++) {
        g_assert_cmpuint(strlen(lines[i]), ==, strlen(lines[0]));
    }
}

static gpointer log_many(gpointer unused G_GNUC_UNUSED)
{
    for (guint i = 0; i < 2000; i++) {
        log_error_event(LOG_ERROR, "busy", NULL, "a", "1", "b", "2", "c", "3", NULL);
    }
    return NULL;
}

static void run_format_switches(void)
{
    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    GThread *writer = g_thread_new("writer", log_many, NULL);
    for (guint i = 0; i < 20000; i++) {
        log_set_format(i % 2 == 0 ? CONFIG_LOG_JSON : CONFIG_LOG_TEXT);
    }
    g_thread_join(writer);
    log_set_format(CONFIG_LOG_JSON);
    log_event(LOG_INFO, "end", NULL);
}

/* A line is in one format from end to end, whenever the format is changed. */
static void test_format_switches(void)
{
    g_autofree char *text = output_of(run_format_switches);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_assert_cmpuint(g_strv_length(lines), ==, 2002);
    for (guint i = 0; i < 2000; i++) {
        gboolean json = g_str_has_prefix(lines[i], "{\"time\":");
        g_assert_true(
            g_str_has_suffix(lines[i], json ? ",\"event\":\"busy\",\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}"
                                            : "Z error   busy a=1 b=2 c=3"));
    }
    g_assert_true(g_str_has_suffix(lines[2000], "\"event\":\"end\"}"));
}

static void test_append_pair(void)
{
    g_autoptr(GString) line = g_string_new("x");

    log_init(CONFIG_LOG_TEXT, LOG_INFO);
    g_assert_false(log_is_json());
    log_append_pair(line, log_is_json(), "k", "v=1");
    g_assert_cmpstr(line->str, ==, "x k=\"v=1\"");
    log_init(CONFIG_LOG_JSON, LOG_INFO);
    g_assert_true(log_is_json());
    g_string_assign(line, "{\"a\":1");
    log_append_pair(line, log_is_json(), "k", "v=1");
    g_assert_cmpstr(line->str, ==, "{\"a\":1,\"k\":\"v=1\"");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/text", test_text);
    g_test_add_func("/log/hostile-text", test_hostile_text);
    g_test_add_func("/log/hostile-json", test_hostile_json);
    g_test_add_func("/log/error", test_error);
    g_test_add_func("/log/repeats", test_repeats);
    g_test_add_func("/log/long-values", test_long_values);
    g_test_add_func("/log/threads", test_threads_write_whole_lines);
    g_test_add_func("/log/format-switches", test_format_switches);
    g_test_add_func("/log/append-pair", test_append_pair);
    return g_test_run();
}
