/* SPDX-License-Identifier: MIT
 *
 * kontor mirror status: one row per source, then what needs attention. Which releases
 * are refused, and why, stands in mirror.db, which is read beside a running broker.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/client.h"
#include "broker/cli/mirror.h"
#include "broker/cli/pack_groups.h"
#include "broker/cli/terminal.h"

/* A release that is refused. */
typedef struct {
    char *source, *path, *rule, *reason;
    gint64 time_s;
} Refused;

static void refused_free(gpointer data)
{
    Refused *refused = data;

    g_free(refused->source);
    g_free(refused->path);
    g_free(refused->rule);
    g_free(refused->reason);
    g_free(refused);
}

typedef struct {
    const char *source;
    GPtrArray *list;
} Gathering;

static gboolean gather(const char *path, const char *identity, SyncOutcome outcome, AcceptRule rule,
                       const char *reason, gint64 time_s, gpointer user)
{
    const Gathering *gathering = user;
    Refused *refused;

    (void)identity;
    if (outcome == OUTCOME_REFUSED) {
        refused = g_new0(Refused, 1);
        refused->source = g_strdup(gathering->source);
        refused->path = g_strdup(path);
        refused->rule = g_strdup(accept_rule_name(rule));
        refused->reason = g_strdup(reason != NULL ? reason : "");
        refused->time_s = time_s;
        g_ptr_array_add(gathering->list, refused);
    }
    return TRUE;
}

/* Of all sources, or of the named one; of Refused *. */
static GPtrArray *gather_refused(const Config *config, const char *name, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(refused_free);
    g_autoptr(MirrorDb) db = NULL;

    if (!mirror_db_peek(config, &db, error)) {
        return NULL;
    }
    for (guint i = 0; db != NULL && i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        Gathering gathering = {source->name, list};

        if ((name == NULL || strcmp(name, source->name) == 0) &&
            !mirror_db_each(db, source->name, gather, &gathering, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&list);
}

/* --- JSON --- */

static void write_refused(JsonWriter *w, const GPtrArray *list)
{
    json_write_key(w, "refused");
    json_write_array_begin(w);
    for (guint i = 0; i < list->len; i++) {
        const Refused *refused = g_ptr_array_index(list, i);

        json_write_object_begin(w);
        json_write_member_string(w, "source", refused->source);
        json_write_member_string(w, "path", refused->path);
        json_write_member_string(w, "rule", refused->rule);
        json_write_member_string(w, "reason", refused->reason);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static gboolean is_wanted(const JsonValue *source, const char *name)
{
    return json_value_kind(source) == JSON_OBJECT &&
           (name == NULL || strcmp(mirror_text(source, "name"), name) == 0);
}

static const JsonValue *first_source(const JsonValue *root)
{
    const JsonValue *sources = json_object_get(root, "sources");

    return sources != NULL && json_value_kind(sources) == JSON_ARRAY ? json_value_first(sources) : NULL;
}

/* What the broker says, with only the named source, and the refused releases. */
static void print_json(const JsonValue *root, const char *name, gboolean live, const GPtrArray *refused)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_boolean(&w, "live", live);
    for (const JsonValue *i = json_value_first(root); i != NULL; i = json_value_next(i)) {
        if (strcmp(json_value_key(i), "sources") != 0) {
            json_write_key(&w, json_value_key(i));
            mirror_write_value(&w, i);
        }
    }
    json_write_key(&w, "sources");
    json_write_array_begin(&w);
    for (const JsonValue *i = first_source(root); i != NULL; i = json_value_next(i)) {
        if (is_wanted(i, name)) {
            mirror_write_value(&w, i);
        }
    }
    json_write_array_end(&w);
    write_refused(&w, refused);
    json_write_object_end(&w);
    puts(out->str);
}

/* --- For people --- */

static char *packs_text(const JsonValue *source)
{
    const JsonValue *packs = mirror_object(source, "packs");
    g_autoptr(GString) out = g_string_new(NULL);

    if (packs == NULL) {
        return g_strdup("");
    }
    g_string_append_printf(out, "%" G_GINT64_FORMAT " %s", mirror_integer(packs, "served"),
                           mirror_integer(packs, "served") == 1 ? "pack" : "packs");
    if (mirror_integer(packs, "refused") > 0) {
        g_string_append_printf(out, ", %" G_GINT64_FORMAT " refused", mirror_integer(packs, "refused"));
    }
    if (mirror_integer(packs, "gone") > 0) {
        g_string_append_printf(out, ", %" G_GINT64_FORMAT " gone there", mirror_integer(packs, "gone"));
    }
    return g_string_free(g_steal_pointer(&out), /* free_segment= */ FALSE);
}

static char *when_text(const JsonValue *source, gint64 now_s)
{
    gint64 last = mirror_time(source, "last_ok"), next = mirror_time(source, "next");
    g_autofree char *ago = mirror_span(MAX(now_s - last, 0));
    g_autofree char *in = mirror_span(MAX(next - now_s, 0));
    const JsonValue *progress = mirror_object(source, "progress");

    if (progress != NULL) {
        return g_strdup_printf("%s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " packs",
                               mirror_text(progress, "phase"), mirror_integer(progress, "packs"),
                               mirror_integer(progress, "packs_total"));
    }
    return g_strdup_printf("%s%s%s%s", last > 0 ? ago : "never synced", last > 0 ? " ago" : "",
                           next > 0 ? ", next in " : "", next > 0 ? in : "");
}

static TerminalStyle state_style(const char *state)
{
    if (strcmp(state, "failing") == 0 || strcmp(state, "held") == 0 || strcmp(state, "alarm") == 0) {
        return TERMINAL_BAD;
    }
    return strcmp(state, "paused") == 0 ? TERMINAL_DIM : TERMINAL_PLAIN;
}

static void print_store(const JsonValue *root)
{
    const JsonValue *store = mirror_object(root, "store");
    const JsonValue *full = store != NULL ? json_object_get(store, "full") : NULL;

    const JsonValue *used_bytes = store != NULL ? json_object_get(store, "release_bytes") : NULL;

    if (used_bytes != NULL && json_value_kind(used_bytes) == JSON_NUMBER) {
        g_autofree char *used = mirror_bytes((guint64)mirror_integer(store, "release_bytes"));
        g_autofree char *quota = mirror_bytes((guint64)mirror_integer(store, "quota_bytes"));

        printf("store: %s of %s\n", used, quota);
    }
    if (full != NULL && json_value_kind(full) == JSON_BOOLEAN && json_value_boolean(full)) {
        mirror_line("store", TRUE, mirror_text(store, "reason"));
        mirror_line("store", FALSE,
                    "nothing is fetched until there is room: raise limits.store, free disk space, or 'kontor "
                    "store gc'");
    }
}

static void print_rows(const JsonValue *root, const char *name)
{
    g_autoptr(TerminalTable) table = terminal_table_new(7);
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;

    for (const JsonValue *i = first_source(root); i != NULL; i = json_value_next(i)) {
        if (is_wanted(i, name)) {
            g_autofree char *packs = packs_text(i);
            g_autofree char *when = when_text(i, now_s);

            terminal_table_add(table, state_style(mirror_text(i, "state")), mirror_text(i, "name"),
                               mirror_text(i, "state"), mirror_text(i, "kind"), mirror_text(i, "visibility"),
                               packs, when, mirror_text(i, "url"));
        }
    }
    terminal_table_print(table, stdout, /* indent= */ 0);
}

static void print_refused_line(const char *text, gboolean bad, gpointer user)
{
    mirror_line(user, bad, text);
}

/* Many of one cause together; of one source after another, as they come. */
static void print_refused(const GPtrArray *list, gboolean all)
{
    g_auto(PackGroups) groups = {0};

    pack_groups_init(&groups, all, "-v shows each");
    for (guint i = 0; i < list->len; i++) {
        const Refused *refused = g_ptr_array_index(list, i);
        const Refused *next = i + 1 < list->len ? g_ptr_array_index(list, i + 1) : NULL;
        PackEvent event = {"refused", refused->path, "", refused->rule, refused->reason};

        pack_groups_add(&groups, &event);
        if (next == NULL || strcmp(next->source, refused->source) != 0) {
            pack_groups_tell(&groups, print_refused_line, refused->source);
        }
    }
}

static void print_status(const JsonValue *root, const char *name, gboolean live, gboolean all,
                         const GPtrArray *refused)
{
    if (first_source(root) == NULL) {
        puts("no mirrors and no peers; 'kontor mirror add NAME URL' adds one");
        return;
    }
    if (!live) {
        puts("no broker answers here; this is what the last sync left");
    }
    print_rows(root, name);
    print_store(root);
    for (const JsonValue *i = first_source(root); i != NULL; i = json_value_next(i)) {
        if (is_wanted(i, name)) {
            mirror_print_troubles(i);
        }
    }
    print_refused(refused, all);
}

CliExit mirror_status_run(const CliArgs *args)
{
    const char *name = cli_args_operand(args, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = mirror_config_load(args, &error);
    g_autoptr(JsonDoc) doc = NULL;
    g_autoptr(GPtrArray) refused = NULL;
    gboolean live = FALSE;

    if (config == NULL) {
        return cli_fail_usage(error);
    }
    if (name != NULL && mirror_source_find(config, name, &error) == NULL) {
        return cli_fail(error);
    }
    doc = mirror_status_ask(config, &live, &error);
    refused = doc != NULL ? gather_refused(config, name, &error) : NULL;
    if (refused == NULL) {
        return cli_client_fail(error);
    }
    if (cli_args_flag(args, "json")) {
        print_json(json_doc_root(doc), name, live, refused);
    } else {
        print_status(json_doc_root(doc), name, live, cli_args_flag(args, "verbose"), refused);
    }
    return CLI_OK;
}
