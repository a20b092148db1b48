/* SPDX-License-Identifier: MIT
 *
 * The ring of mirror events: numbers, what is forgotten, how progress replaces progress, and that every event
 * is JSON whatever stands in it.
 */
#include "broker/mirrors/mirror_events.h"
#include "schema/json_reader.h"

#include <string.h>

typedef struct {
    JsonDoc *doc;
    const JsonValue *array;
    guint64 next;
} Page;

static void page_read(Page *page, MirrorEvents *events, guint64 after, guint limit)
{
    g_autoptr(GString) json = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        page->next = mirror_events_write(events, after, limit, &writer);
    }
    page->doc = json_doc_parse(json->str, json->len, 10 * 1024 * 1024, &error);
    g_assert_no_error(error);
    page->array = json_doc_root(page->doc);
}

static void page_clear(Page *page)
{
    json_doc_free(page->doc);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Page, page_clear)

static const char *member(const JsonValue *object, const char *key)
{
    const char *text = NULL;
    g_assert_true(json_get_string(object, key, JSON_REQUIRED, 10000, &text, NULL));
    return text;
}

static gint64 number(const JsonValue *object, const char *key)
{
    gint64 value = -1;
    g_assert_true(json_get_integer(object, key, JSON_REQUIRED, 0, G_MAXINT32, &value, NULL));
    return value;
}

static void test_numbers(void)
{
    g_autoptr(MirrorEvents) events = mirror_events_new(100, NULL, NULL);
    g_assert_cmpuint(mirror_events_last(events), ==, 0);
    for (guint i = 0; i < 5; i++)
        mirror_events_started(events, "commons");
    g_assert_cmpuint(mirror_events_last(events), ==, 5);
    g_auto(Page) all = {0}, some = {0}, none = {0};
    page_read(&all, events, 0, 100);
    g_assert_cmpuint(json_value_count(all.array), ==, 5);
    g_assert_cmpuint(all.next, ==, 5);
    page_read(&some, events, 2, 2);
    g_assert_cmpuint(json_value_count(some.array), ==, 2);
    g_assert_cmpint(number(json_value_first(some.array), "n"), ==, 3);
    g_assert_cmpuint(some.next, ==, 4);
    page_read(&none, events, 5, 100);
    g_assert_cmpuint(json_value_count(none.array), ==, 0);
    g_assert_cmpuint(none.next, ==, 5);
}

static void test_ring(void)
{
    g_autoptr(MirrorEvents) events = mirror_events_new(3, NULL, NULL);
    for (guint i = 0; i < 10; i++)
        mirror_events_started(events, "commons");
    g_auto(Page) page = {0};
    page_read(&page, events, 0, 100);
    g_assert_cmpuint(json_value_count(page.array), ==, 3);
    g_assert_cmpint(number(json_value_first(page.array), "n"), ==, 8);
}

/* Progress never drives out what matters. */
static void test_progress_replaces_progress(void)
{
    g_autoptr(MirrorEvents) events = mirror_events_new(3, NULL, NULL);
    mirror_events_started(events, "a");
    for (guint i = 1; i <= 100; i++)
        mirror_events_progress(events, "a", &(SyncProgress){.phase = SYNC_PHASE_FETCH, .packs = i});
    g_auto(Page) page = {0}, both = {0};
    page_read(&page, events, 0, 100);
    g_assert_cmpuint(json_value_count(page.array), ==, 2);
    const JsonValue *progress = json_value_next(json_value_first(page.array));
    g_assert_cmpstr(member(progress, "phase"), ==, "fetch");
    g_assert_cmpint(number(progress, "packs"), ==, 100);
    g_assert_cmpint(number(progress, "n"), ==, 101);
    mirror_events_progress(events, "b", &(SyncProgress){.packs = 7});
    page_read(&both, events, 101, 100);
    g_assert_cmpuint(json_value_count(both.array), ==, 1);
    g_assert_cmpstr(member(json_value_first(both.array), "source"), ==, "b");
}

static void on_event(const char *json, gpointer user)
{
    g_string_append_printf(user, "%s\n", json);
}

static void test_members(void)
{
    g_autoptr(GString) heard = g_string_new(NULL);
    g_autoptr(MirrorEvents) events = mirror_events_new(100, on_event, heard);
    MirroredPack pack = {.path = (char[]){"history/\"rome\""}, .version = (char[]){"1.0.0"}};
    SyncResult installed = {.outcome = OUTCOME_INSTALLED, .pack = &pack};
    SyncResult refused = {.outcome = OUTCOME_REFUSED,
                          .pack = &pack,
                          .rule = ACCEPT_HIJACK,
                          .reason = (char[]){"somebody\xff else\n"}};
    const guint8 digest[SHA256_BYTES] = {0xab};
    mirror_events_result(events, "s", &installed);
    mirror_events_result(events, "s", &refused);
    mirror_events_alarm(events, "s", "fork", "two roots");
    mirror_events_damaged(events, "", "p", digest, "a page differs");
    mirror_events_ended(events, "s",
                        &(MirrorEventEnd){.code = KONTOR_ERROR_BUSY,
                                          .error = "out of time",
                                          .wished = TRUE,
                                          .installed = 2,
                                          .elapsed_us = 1234567});
    g_auto(Page) page = {0};
    page_read(&page, events, 0, 100);
    const JsonValue *at = json_value_first(page.array);
    g_assert_cmpstr(member(at, "event"), ==, "installed");
    g_assert_cmpstr(member(at, "path"), ==, "history/\"rome\"");
    g_assert_cmpuint(strlen(member(at, "digest")), ==, SHA256_HEX_CHARS);
    at = json_value_next(at);
    g_assert_cmpstr(member(at, "rule"), ==, "hijack");
    at = json_value_next(at);
    g_assert_cmpstr(member(at, "kind"), ==, "fork");
    at = json_value_next(at);
    g_assert_true(g_str_has_prefix(member(at, "digest"), "ab00"));
    at = json_value_next(at);
    g_assert_cmpstr(member(at, "event"), ==, "ended");
    g_assert_cmpstr(member(at, "code"), ==, "busy");
    g_assert_cmpint(number(at, "elapsed_ms"), ==, 1234);
    gboolean wished = FALSE;
    g_assert_true(json_get_boolean(at, "wished", JSON_REQUIRED, &wished, NULL) && wished);
    /* Whoever listens hears the same, one line each. */
    g_auto(GStrv) lines = g_strsplit(heard->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 6);
    for (guint i = 0; i < 5; i++) {
        g_autoptr(JsonDoc) doc = json_doc_parse(lines[i], strlen(lines[i]), 100000, NULL);
        g_assert_nonnull(doc);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mirror_events/numbers", test_numbers);
    g_test_add_func("/mirror_events/ring", test_ring);
    g_test_add_func("/mirror_events/progress", test_progress_replaces_progress);
    g_test_add_func("/mirror_events/members", test_members);
    return g_test_run();
}
