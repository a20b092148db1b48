/* SPDX-License-Identifier: MIT
 *
 * What 'kontor mirror sync' prints of events, in each mode, and the exit code that comes out.
 */
#include "broker/cli/sync_view.h"

#include <stdlib.h>
#include <string.h>

/* A view that writes into memory. */
typedef struct {
    SyncView view;
    FILE *stream;
    char *text;
    size_t len;
} Screen;

static void screen_init(Screen *screen, SyncViewMode mode)
{
    screen->stream = open_memstream(&screen->text, &screen->len);
    g_assert_nonnull(screen->stream);
    sync_view_init(&screen->view, screen->stream, mode);
}

static void tell(Screen *screen, const char *event)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(sync_view_event(&screen->view, event, strlen(event), &error));
    g_assert_no_error(error);
}

/* Compares everything that was printed, and clears. */
static void assert_screen(Screen *screen, CliExit code, const char *expected)
{
    g_assert_cmpint(sync_view_finish(&screen->view), ==, code);
    sync_view_clear(&screen->view);
    fclose(screen->stream);
    g_assert_cmpstr(screen->text, ==, expected);
    free(screen->text);
}

#define STARTED "{\"source\":\"a\",\"event\":\"started\"}"
#define PROGRESS                                                                                             \
    "{\"source\":\"a\",\"event\":\"progress\",\"phase\":\"fetch\",\"objects\":5,\"objects_total\":9,"        \
    "\"bytes\":2048,\"packs\":1,\"packs_total\":3,\"installed\":1,\"refused\":0}"
#define INSTALLED "{\"source\":\"a\",\"event\":\"installed\",\"path\":\"x/y\",\"version\":\"1.2.0\"}"
#define REFUSED                                                                                              \
    "{\"source\":\"a\",\"event\":\"refused\",\"path\":\"x/"                                                  \
    "z\",\"rule\":\"hash\",\"reason\":\"p\\u001b[2J.md\"}"
#define GOOD                                                                                                 \
    "{\"source\":\"a\",\"event\":\"ended\",\"ok\":true,\"partial\":false,\"packs_seen\":3,\"installed\":1,"  \
    "\"refused\":0,\"bytes\":2048,\"elapsed_ms\":1250}"
#define FAILED                                                                                               \
    "{\"source\":\"a\",\"event\":\"ended\",\"ok\":false,\"partial\":false,\"error\":\"no such host\","       \
    "\"code\":\"io\",\"bytes\":0}"

static void test_plain(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_PLAIN);
    tell(&screen, STARTED);
    tell(&screen, PROGRESS);
    tell(&screen, INSTALLED);
    tell(&screen, GOOD);
    assert_screen(&screen, CLI_OK,
                  "a: installed x/y 1.2.0\n"
                  "a: good: 3 packs there, 1 installed, 0 refused, 2.0 KiB in 1.2 s\n");
}

static void test_refused(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_PLAIN);
    tell(&screen, REFUSED);
    tell(&screen, "{\"source\":\"a\",\"event\":\"gone\",\"path\":\"x/g\"}");
    tell(&screen, "{\"source\":\"a\",\"event\":\"alarm\",\"kind\":\"stale\",\"reason\":\"old\"}");
    tell(&screen, "{\"source\":\"a\",\"event\":\"alarm\",\"kind\":\"\",\"reason\":\"\"}");
    tell(&screen, GOOD);
    assert_screen(
        &screen, CLI_REFUSED,
        "a: alarm stale: old\n"
        "a:   what helps: its operator has to look: a broker that runs signs anew; what is mirrored stays "
        "served\n"
        "a: the alarm stands no more\n"
        "a: refused x/z: hash: p\\u001b[2J.md\n"
        "a:   what helps: it was changed after it was signed; its publisher has to sign it again "
        "('kontor pack sign')\n"
        "a: x/g is no longer there\n"
        "a: good: 3 packs there, 1 installed, 0 refused, 2.0 KiB in 1.2 s\n");
}

/* Who asks for one source neither sees the others nor fails with them. */
static void test_only(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_PLAIN);
    screen.view.only = "b";
    tell(&screen, FAILED);
    tell(&screen, REFUSED);
    tell(&screen, "{\"source\":\"b\",\"event\":\"gone\",\"path\":\"x\"}");
    tell(&screen, "{\"source\":\"\",\"event\":\"alarm\",\"kind\":\"full\",\"reason\":\"r\"}");
    assert_screen(&screen, CLI_OK, "the store: alarm full: r\nb: x is no longer there\n");
}

/* Many packs are told together unless each is wanted; what a sync brought is told also when its end is not
 * seen. */
static void test_many(void)
{
    for (guint all = 0; all < 2; all++) {
        Screen screen;
        screen_init(&screen, SYNC_VIEW_PLAIN);
        screen.view.all = all == 1;
        for (guint i = 0; i < 30; i++)
            tell(&screen, INSTALLED);
        tell(&screen, "{\"source\":\"b\",\"event\":\"withdrawn\",\"path\":\"w\",\"version\":\"2.0.0\"}");
        if (all == 0) {
            tell(&screen, GOOD);
            assert_screen(
                &screen, CLI_OK,
                "a: installed 30 packs\n"
                "a:   x/y, x/y, x/y and 27 more; 'kontor mirror history a --limit 10000' shows each\n"
                "a: good: 3 packs there, 1 installed, 0 refused, 2.0 KiB in 1.2 s\n"
                "b: withdrawn w 2.0.0\n");
            continue;
        }
        g_assert_cmpint(sync_view_finish(&screen.view), ==, CLI_OK);
        sync_view_clear(&screen.view);
        fclose(screen.stream);
        g_auto(GStrv) lines = g_strsplit(screen.text, "\n", -1);
        g_assert_cmpuint(g_strv_length(lines), ==, 30 + 1 + 1);
        free(screen.text);
    }
}

/* A failure outweighs what was refused; the latest sync of a source counts. */
static void test_failed(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_PLAIN);
    tell(&screen, FAILED);
    tell(&screen, GOOD);
    tell(&screen, "{\"source\":\"b\",\"event\":\"ended\",\"ok\":false,\"error\":\"late\"}");
    assert_screen(&screen, CLI_FAILURE,
                  "a: failed: no such host\n"
                  "a: good: 3 packs there, 1 installed, 0 refused, 2.0 KiB in 1.2 s\n"
                  "b: failed: late\n"
                  "2 sources: 1 good, 1 failed; 0 packs installed, 0 withdrawn, 0 refused; 2.0 KiB\n");
}

static void test_json(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_JSON);
    tell(&screen, STARTED);
    tell(&screen, REFUSED);
    assert_screen(&screen, CLI_REFUSED, STARTED "\n" REFUSED "\n");
}

/* Rows are erased before something else is printed, drawn again below it, and never wider than the terminal.
 */
static void test_terminal(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_TERMINAL);
    screen.view.columns = 30;
    tell(&screen, STARTED);
    tell(&screen, PROGRESS);
    tell(&screen, PROGRESS);
    tell(&screen, INSTALLED);
    tell(&screen, GOOD);
    assert_screen(&screen, CLI_OK,
                  "a: connect\n"
                  "\033[1F\033[Ja: fetch, 5 of 9 objects, 2.0\n"
                  "\033[1F\033[Ja: fetch, 5 of 9 objects, 2.0\n"
                  "\033[1F\033[Ja: installed x/y 1.2.0\n"
                  "a: good: 3 packs there, 1 installed, 0 refused, 2.0 KiB in 1.2 s\n");
}

static void test_malformed(void)
{
    Screen screen;
    screen_init(&screen, SYNC_VIEW_PLAIN);
    g_assert_false(sync_view_event(&screen.view, "[]", 2, NULL));
    g_assert_false(sync_view_event(&screen.view, "{", 1, NULL));
    /* What a later broker may say is not in the way. */
    tell(&screen, "{\"source\":\"a\",\"event\":\"started\",\"new\":[1,{}]}");
    assert_screen(&screen, CLI_OK, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sync-view/plain", test_plain);
    g_test_add_func("/sync-view/refused", test_refused);
    g_test_add_func("/sync-view/only", test_only);
    g_test_add_func("/sync-view/many", test_many);
    g_test_add_func("/sync-view/failed", test_failed);
    g_test_add_func("/sync-view/json", test_json);
    g_test_add_func("/sync-view/terminal", test_terminal);
    g_test_add_func("/sync-view/malformed", test_malformed);
    return g_test_run();
}
