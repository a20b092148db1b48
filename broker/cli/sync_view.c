/* SPDX-License-Identifier: MIT */
#include "broker/cli/sync_view.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker/cli/mirror.h"
#include "broker/cli/pack_groups.h"
#include "broker/cli/terminal.h"
#include "schema/limits.h"

enum { COLUMNS_DEFAULT = 80 };

/* A source that is under way. */
typedef struct {
    char *name, *text;
} Row;

static void packs_free(gpointer data)
{
    pack_groups_clear(data);
    g_free(data);
}

static void row_free(gpointer data)
{
    Row *row = data;

    g_free(row->name);
    g_free(row->text);
    g_free(row);
}

/* --- Life cycle --- */

SyncViewMode sync_view_mode(FILE *stream, gboolean json)
{
    const char *term = g_getenv("TERM");

    if (json) {
        return SYNC_VIEW_JSON;
    }
    return isatty(fileno(stream)) != 0 && term != NULL && strcmp(term, "dumb") != 0 ? SYNC_VIEW_TERMINAL
                                                                                    : SYNC_VIEW_PLAIN;
}

void sync_view_init(SyncView *view, FILE *stream, SyncViewMode mode)
{
    struct winsize size = {0};

    *view = (SyncView){.mode = mode, .stream = stream, .columns = COLUMNS_DEFAULT};
    view->rows = g_ptr_array_new_with_free_func(row_free);
    view->outcomes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    view->packs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, packs_free);
    if (mode == SYNC_VIEW_TERMINAL && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        view->columns = size.ws_col;
    }
}

void sync_view_clear(SyncView *view)
{
    g_clear_pointer(&view->rows, g_ptr_array_unref);
    g_clear_pointer(&view->outcomes, g_hash_table_unref);
    g_clear_pointer(&view->packs, g_hash_table_unref);
}

/* --- Rows at the bottom of the terminal --- */

/* As much of a clean text as fits into the columns. */
static char *fit(const char *clean, guint columns)
{
    gsize len = 0;

    while (clean[len] != '\0') {
        gsize next = len + (gsize)g_utf8_skip[(guchar)clean[len]];
        g_autofree char *head = g_strndup(clean, next);

        if (terminal_width(head) > columns) {
            break;
        }
        len = next;
    }
    return g_strndup(clean, len);
}

static void erase_rows(SyncView *view)
{
    if (view->drawn > 0) {
        fprintf(view->stream, "\033[%uF\033[J", view->drawn);
    }
    view->drawn = 0;
}

static void draw_rows(SyncView *view)
{
    if (view->mode != SYNC_VIEW_TERMINAL) {
        return;
    }
    for (guint i = 0; i < view->rows->len; i++) {
        const Row *row = g_ptr_array_index(view->rows, i);
        g_autofree char *both = g_strdup_printf("%s: %s", row->name, row->text);
        g_autofree char *clean = terminal_clean(both);
        g_autofree char *fitting = fit(clean, view->columns - 1);

        fprintf(view->stream, "%s\n", fitting);
    }
    view->drawn = view->rows->len;
    fflush(view->stream);
}

/* A line that stays. */
static void say(SyncView *view, const char *name, TerminalStyle style, const char *text)
{
    terminal_print(view->stream, TERMINAL_PLAIN, *name != '\0' ? name : "the store");
    fputs(": ", view->stream);
    terminal_print(view->stream, style, text);
    fputc('\n', view->stream);
}

static guint find_row(const SyncView *view, const char *name)
{
    guint i = 0;

    while (i < view->rows->len && strcmp(((const Row *)g_ptr_array_index(view->rows, i))->name, name) != 0) {
        i++;
    }
    return i;
}

/* Takes `text` over. */
static void set_row(SyncView *view, const char *name, char *text)
{
    guint i = find_row(view, name);
    Row *row = i < view->rows->len ? g_ptr_array_index(view->rows, i) : g_new0(Row, 1);

    if (i == view->rows->len) {
        row->name = g_strdup(name);
        g_ptr_array_add(view->rows, row);
    }
    g_free(row->text);
    row->text = text;
}

/* --- Events --- */

static char *progress_text(const JsonValue *event)
{
    const char *phase = mirror_text(event, "phase");
    gint64 objects = mirror_integer(event, "objects"), objects_total = mirror_integer(event, "objects_total");
    gint64 packs = mirror_integer(event, "packs"), packs_total = mirror_integer(event, "packs_total");
    g_autofree char *bytes = mirror_bytes((guint64)MAX(mirror_integer(event, "bytes"), 0));
    g_autoptr(GString) out = g_string_new(phase);

    if (objects_total > 0) {
        g_string_append_printf(out, ", %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " objects", objects,
                               objects_total);
    } else if (objects > 0) {
        g_string_append_printf(out, ", %" G_GINT64_FORMAT " objects", objects);
    }
    g_string_append_printf(out, ", %s", bytes);
    if (packs_total > 0) {
        g_string_append_printf(out, ", %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " packs", packs,
                               packs_total);
    }
    g_string_append_printf(out, ", %" G_GINT64_FORMAT " installed, %" G_GINT64_FORMAT " refused",
                           mirror_integer(event, "installed"), mirror_integer(event, "refused"));
    return g_string_free(g_steal_pointer(&out), /* free_segment= */ FALSE);
}

static gboolean is_true(const JsonValue *object, const char *key)
{
    const JsonValue *value = json_object_get(object, key);

    return value != NULL && json_value_kind(value) == JSON_BOOLEAN && json_value_boolean(value);
}

static void count_end(SyncView *view, const JsonValue *event)
{
    /* A sync that was under way when another was asked for ends as well; what counts is the last one. */
    g_hash_table_replace(view->outcomes, g_strdup(mirror_text(event, "source")),
                         GINT_TO_POINTER(is_true(event, "ok")));
    view->bytes += (guint64)MAX(mirror_integer(event, "bytes"), 0);
}

static void say_end(SyncView *view, const char *name, const JsonValue *event)
{
    g_autofree char *bytes = mirror_bytes((guint64)MAX(mirror_integer(event, "bytes"), 0));
    g_autofree char *text = NULL;

    if (!is_true(event, "ok")) {
        text = g_strconcat("failed: ", mirror_text(event, "error"), NULL);
        say(view, name, TERMINAL_BAD, text);
        return;
    }
    text = g_strdup_printf("%s: %" G_GINT64_FORMAT " %s there, %" G_GINT64_FORMAT
                           " installed, %" G_GINT64_FORMAT " refused, %s in %.1f s",
                           is_true(event, "partial") ? "not done yet, goes on soon" : "good",
                           mirror_integer(event, "packs_seen"),
                           mirror_integer(event, "packs_seen") == 1 ? "pack" : "packs",
                           mirror_integer(event, "installed"), mirror_integer(event, "refused"), bytes,
                           (double)mirror_integer(event, "elapsed_ms") / 1000);
    say(view, name, TERMINAL_GOOD, text);
}

/* What happened to one pack is told with what happened to the others. */
static void keep_pack(SyncView *view, const char *name, const char *kind, const JsonValue *event)
{
    PackGroups *packs = g_hash_table_lookup(view->packs, name);
    PackEvent what = {
        .event = kind,
        .path = mirror_text(event, "path"),
        .version = mirror_text(event, "version"),
        .rule = mirror_text(event, "rule"),
        .reason = mirror_text(event, "reason"),
    };

    if (packs == NULL) {
        g_autofree char *more =
            g_strdup_printf("'kontor mirror history %s --limit %d' shows each", name, LIMIT_MIRROR_HISTORY);

        packs = g_new0(PackGroups, 1);
        pack_groups_init(packs, view->all, more);
        g_hash_table_insert(view->packs, g_strdup(name), packs);
    }
    pack_groups_add(packs, &what);
}

typedef struct {
    SyncView *view;
    const char *name;
} Teller;

static void say_pack(const char *text, gboolean bad, gpointer user)
{
    const Teller *teller = user;

    say(teller->view, teller->name, bad ? TERMINAL_BAD : TERMINAL_PLAIN, text);
}

static void say_packs(SyncView *view, const char *name)
{
    PackGroups *packs = g_hash_table_lookup(view->packs, name);
    Teller teller = {view, name};

    if (packs != NULL) {
        pack_groups_tell(packs, say_pack, &teller);
    }
}

static void say_alarm(SyncView *view, const char *name, const JsonValue *event)
{
    const char *kind = mirror_text(event, "kind");
    g_autofree char *text = *kind != '\0'
                                ? g_strdup_printf("alarm %s: %s", kind, mirror_text(event, "reason"))
                                : g_strdup("the alarm stands no more");

    g_autofree char *what = mirror_alarm_remedy(name, kind, mirror_text(event, "reason"));
    g_autofree char *helps = g_strconcat("  what helps: ", what, NULL);

    say(view, name, *kind != '\0' ? TERMINAL_BAD : TERMINAL_GOOD, text);
    if (what != NULL) {
        say(view, name, TERMINAL_PLAIN, helps);
    }
}

static void count(SyncView *view, const char *kind, const JsonValue *event)
{
    view->installed += strcmp(kind, "installed") == 0 ? 1 : 0;
    view->withdrawn += strcmp(kind, "withdrawn") == 0 ? 1 : 0;
    view->refused += strcmp(kind, "refused") == 0 ? 1 : 0;
    if (strcmp(kind, "ended") == 0) {
        count_end(view, event);
    }
}

static void show(SyncView *view, const char *name, const char *kind, const JsonValue *event)
{
    if (strcmp(kind, "started") == 0) {
        set_row(view, name, g_strdup("connect"));
    } else if (strcmp(kind, "progress") == 0) {
        set_row(view, name, progress_text(event));
    } else if (strcmp(kind, "alarm") == 0) {
        say_alarm(view, name, event);
    } else if (strcmp(kind, "ended") == 0) {
        guint i = find_row(view, name);

        if (i < view->rows->len) {
            g_ptr_array_remove_index(view->rows, i);
        }
        say_packs(view, name);
        say_end(view, name, event);
    } else {
        keep_pack(view, name, kind, event);
    }
}

/* What is about the store, and no source, concerns everybody. */
static gboolean concerns(const SyncView *view, const char *source)
{
    return view->only == NULL || *source == '\0' || strcmp(view->only, source) == 0;
}

/* TRUE for progress that looks like what is on the terminal already: drawing it again would only flicker. */
static gboolean is_shown(const SyncView *view, const JsonValue *event)
{
    guint i = find_row(view, mirror_text(event, "source"));
    g_autofree char *text = NULL;

    if (strcmp(mirror_text(event, "event"), "progress") != 0 || i == view->rows->len) {
        return FALSE;
    }
    text = progress_text(event);
    return strcmp(((const Row *)g_ptr_array_index(view->rows, i))->text, text) == 0;
}

gboolean sync_view_event(SyncView *view, const char *json, gsize len, GError **error)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(json, len, LIMIT_AGENT_LINE_BYTES, error);
    const JsonValue *event = doc != NULL ? json_doc_root(doc) : NULL;

    if (event == NULL) {
        return FALSE;
    }
    if (json_value_kind(event) != JSON_OBJECT) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the event is no object");
        return FALSE;
    }
    if (!concerns(view, mirror_text(event, "source"))) {
        return TRUE;
    }
    count(view, mirror_text(event, "event"), event);
    if (view->mode == SYNC_VIEW_JSON) {
        fprintf(view->stream, "%.*s\n", (int)len, json);
        fflush(view->stream);
        return TRUE;
    }
    if (is_shown(view, event)) {
        return TRUE;
    }
    erase_rows(view);
    show(view, mirror_text(event, "source"), mirror_text(event, "event"), event);
    draw_rows(view);
    return TRUE;
}

static guint count_good(const SyncView *view)
{
    GHashTableIter iter;
    gpointer good = NULL;
    guint count = 0;

    g_hash_table_iter_init(&iter, view->outcomes);
    while (g_hash_table_iter_next(&iter, NULL, &good)) {
        count += GPOINTER_TO_INT(good) != 0 ? 1 : 0;
    }
    return count;
}

/* Of syncs whose end did not come. */
static void say_left(SyncView *view)
{
    GHashTableIter iter;
    gpointer name = NULL;

    g_hash_table_iter_init(&iter, view->packs);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        say_packs(view, name);
    }
}

CliExit sync_view_finish(SyncView *view)
{
    g_autofree char *bytes = mirror_bytes(view->bytes);
    guint sources = g_hash_table_size(view->outcomes), good = count_good(view);

    erase_rows(view);
    say_left(view);
    if (view->mode != SYNC_VIEW_JSON && sources > 1) {
        fprintf(view->stream,
                "%u sources: %u good, %u failed; %" G_GUINT64_FORMAT " packs installed, %" G_GUINT64_FORMAT
                " withdrawn, %" G_GUINT64_FORMAT " refused; %s\n",
                sources, good, sources - good, view->installed, view->withdrawn, view->refused, bytes);
    }
    fflush(view->stream);
    return good < sources ? CLI_FAILURE : view->refused > 0 ? CLI_REFUSED : CLI_OK;
}
