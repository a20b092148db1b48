/* SPDX-License-Identifier: MIT
 *
 * What the mirrors say about themselves: status, events, history, and the reports of collecting and
 * repairing. mirrors.h has the forms.
 */
#include <string.h>

#include "broker/mirrors/mirrors_internal.h"
#include "schema/limits.h"

enum { CHECK_THREADS = 2 };

/* --- States --- */

/* Kinds of alarms that wait for the operator's word. */
static gboolean is_held(const SourceRecord *record)
{
    return strcmp(record->alarm, "shrink") == 0;
}

static const char *state_of(const MirrorSource *source, const SourceView *view, const SourceRecord *record)
{
    if (view->syncing)
        return "syncing";
    if (source->paused)
        return "paused";
    if (*record->alarm != '\0')
        return is_held(record) ? "held" : "alarm";
    if (view->schedule.failing)
        return "failing";
    if (view->schedule.failures > 0 || view->schedule.cut || record->last_ok_s == 0)
        return "waiting";
    return "ok";
}

/* What is wrong, or what is being waited for, in one line. */
static const char *detail_of(const SourceView *view, const SourceRecord *record)
{
    if (*view->detail != '\0')
        return view->detail;
    if (*record->alarm != '\0')
        return record->alarm_reason;
    return record->last_error;
}

/* Under the lock. NULL for a source that the thread has not heard of yet. */
static const SourceView *find_view(const Mirrors *mirrors, const char *name)
{
    for (guint i = 0; i < mirrors->views->len; i++) {
        const SourceView *view = g_ptr_array_index(mirrors->views, i);
        if (strcmp(view->name, name) == 0)
            return view;
    }
    return NULL;
}

/* A copy of what is shown of the source; its texts are the caller's. */
static void copy_view(Mirrors *mirrors, const char *name, SourceView *ret)
{
    g_mutex_lock(&mirrors->lock);
    const SourceView *view = find_view(mirrors, name);
    *ret = view != NULL ? *view : (SourceView){0};
    ret->name = NULL;
    ret->detail = g_strdup(view != NULL ? view->detail : "");
    g_mutex_unlock(&mirrors->lock);
}

/* In doubt nothing is known of it. */
static void read_record(Mirrors *mirrors, const char *name, SourceRecord *ret)
{
    g_autoptr(GError) error = NULL;
    g_mutex_lock(&mirrors->reader_lock);
    if (!mirror_db_source(mirrors->reader, name, ret, &error))
        *ret = (SourceRecord){.name = g_strdup(name),
                              .state = g_strdup(""),
                              .policy_hash = g_strdup(""),
                              .last_error = g_strdup(error->message),
                              .alarm = g_strdup(""),
                              .alarm_reason = g_strdup("")};
    g_mutex_unlock(&mirrors->reader_lock);
}

static Config *take_config(Mirrors *mirrors)
{
    g_mutex_lock(&mirrors->lock);
    Config *config = config_ref(mirrors->shown_config);
    g_mutex_unlock(&mirrors->lock);
    return config;
}

/* --- Status --- */

static void write_member(JsonWriter *writer, const char *key, const char *text)
{
    json_write_key(writer, key);
    if (text != NULL)
        json_write_string(writer, text);
    else
        json_write_null(writer);
}

static void write_counts(JsonWriter *writer, const SourceRecord *record)
{
    json_write_key(writer, "packs");
    json_write_object_begin(writer);
    json_write_member_integer(writer, "seen", record->packs_seen);
    json_write_member_integer(writer, "served", record->packs_served);
    json_write_member_integer(writer, "refused", record->packs_refused);
    json_write_member_integer(writer, "gone", record->packs_gone);
    json_write_object_end(writer);
}

static void write_place(JsonWriter *writer, const MirrorSource *source)
{
    g_autofree char *url = source_shown_url(source);
    json_write_member_string(writer, "name", source->name);
    json_write_member_string(writer, "kind", source_kind_name(source->kind));
    json_write_member_string(writer, "url", url);
    write_member(writer, "ref", source->ref);
    json_write_member_string(writer, "path", source->path);
    json_write_member_string(writer, "visibility", source->is_private ? "private" : "public");
    json_write_member_string(writer, "signed", source_policy_names[source->policy]);
}

static void write_source(Mirrors *mirrors, const MirrorSource *source, JsonWriter *writer)
{
    SourceView view;
    g_auto(SourceRecord) record = {0};
    copy_view(mirrors, source->name, &view);
    read_record(mirrors, source->name, &record);
    json_write_object_begin(writer);
    write_place(writer, source);
    json_write_member_string(writer, "state", state_of(source, &view, &record));
    json_write_member_string(writer, "detail", detail_of(&view, &record));
    json_write_member_string(writer, "alarm", record.alarm);
    json_write_member_string(writer, "alarm_reason", record.alarm_reason);
    mirror_time_write(writer, "last_try", record.last_try_s);
    mirror_time_write(writer, "last_ok", record.last_ok_s);
    mirror_time_write(writer, "next", source->paused || view.syncing ? 0 : view.due_s);
    json_write_member_integer(writer, "interval_seconds", source->interval_s);
    json_write_member_integer(writer, "failures", view.schedule.failures);
    json_write_member_boolean(writer, "paused", source->paused);
    write_counts(writer, &record);
    if (view.syncing) {
        json_write_key(writer, "progress");
        json_write_object_begin(writer);
        mirror_progress_write(writer, &view.progress);
        json_write_object_end(writer);
    }
    json_write_object_end(writer);
    g_free(view.detail);
}

/* Members of the objects "store" and "agent"; under the lock. */
static void write_store(Mirrors *mirrors, JsonWriter *writer)
{
    json_write_key(writer, "store");
    json_write_object_begin(writer);
    json_write_member_string(writer, "path", mirrors->store_dir);
    json_write_key(writer, "release_bytes");
    if (mirrors->space.is_known)
        json_write_integer(writer, (gint64)mirrors->space.release_bytes);
    else
        json_write_null(writer);
    json_write_member_integer(writer, "quota_bytes", (gint64)mirrors->shown_config->limits.store_bytes);
    json_write_member_boolean(writer, "full", mirrors->space.is_full);
    json_write_member_string(writer, "reason", mirrors->space.is_full ? mirrors->space.reason : "");
    json_write_object_end(writer);
}

static void write_agent(const Mirrors *mirrors, JsonWriter *writer)
{
    json_write_key(writer, "agent");
    json_write_object_begin(writer);
    json_write_member_boolean(writer, "running", mirrors->agent_pid != 0);
    json_write_key(writer, "pid");
    if (mirrors->agent_pid != 0)
        json_write_integer(writer, mirrors->agent_pid);
    else
        json_write_null(writer);
    json_write_member_integer(writer, "restarts", (gint64)mirrors->counters.agent_restarts);
    json_write_object_end(writer);
}

GBytes *mirrors_status_json(Mirrors *mirrors)
{
    g_autoptr(Config) config = take_config(mirrors);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        g_mutex_lock(&mirrors->lock);
        write_store(mirrors, &writer);
        write_agent(mirrors, &writer);
        g_mutex_unlock(&mirrors->lock);
        json_write_key(&writer, "sources");
        json_write_array_begin(&writer);
        for (guint i = 0; i < config->sources->len; i++)
            write_source(mirrors, g_ptr_array_index(config->sources, i), &writer);
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return g_string_free_to_bytes(json);
}

/* --- Events --- */

GBytes *mirrors_events_json(Mirrors *mirrors, guint64 after, guint limit)
{
    GString *json = g_string_new(NULL);
    /* Asked before the events are: who sees that nothing runs has seen all of it. */
    g_mutex_lock(&mirrors->lock);
    gboolean running = mirrors->wishes_sent > 0 || mirrors->wishes_open > 0;
    g_mutex_unlock(&mirrors->lock);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "events");
        guint64 next = mirror_events_write(mirrors->events, after, limit, &writer);
        json_write_member_integer(&writer, "next", (gint64)next);
        json_write_member_boolean(&writer, "running", running || next < mirror_events_last(mirrors->events));
        json_write_object_end(&writer);
    }
    return g_string_free_to_bytes(json);
}

/* --- History --- */

static void write_row(JsonWriter *writer, const HistoryRow *row)
{
    json_write_object_begin(writer);
    json_write_member_integer(writer, "id", row->id);
    mirror_time_write(writer, "time", row->time_s);
    json_write_member_string(writer, "source", row->source);
    json_write_member_string(writer, "path", row->path);
    json_write_member_string(writer, "event", row->event);
    json_write_member_string(writer, "rule", row->rule);
    json_write_member_string(writer, "version", row->version);
    json_write_member_string(writer, "digest", row->digest);
    json_write_member_string(writer, "reason", row->reason);
    json_write_object_end(writer);
}

GBytes *mirrors_history_json(Mirrors *mirrors, const char *source, const char *path, gint64 before,
                             guint limit, GError **error)
{
    g_mutex_lock(&mirrors->reader_lock);
    g_autoptr(GPtrArray) rows = mirror_db_history(mirrors->reader, source, path, before, limit, error);
    g_mutex_unlock(&mirrors->reader_lock);
    if (rows == NULL)
        return NULL;
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        gint64 next = rows->len == limit ? ((const HistoryRow *)g_ptr_array_index(rows, limit - 1))->id : 0;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "history");
        json_write_array_begin(&writer);
        for (guint i = 0; i < rows->len; i++)
            write_row(&writer, g_ptr_array_index(rows, i));
        json_write_array_end(&writer);
        json_write_key(&writer, "next");
        if (next > 0)
            json_write_integer(&writer, next);
        else
            json_write_null(&writer);
        json_write_object_end(&writer);
    }
    return g_string_free_to_bytes(json);
}

/* --- Collecting --- */

static void write_collection(const MirrorsCollection *report, JsonWriter *writer)
{
    json_write_member_integer(writer, "kept", report->releases.kept);
    json_write_member_integer(writer, "removed", report->releases.removed);
    json_write_member_integer(writer, "removed_bytes", (gint64)report->releases.removed_bytes);
    json_write_member_integer(writer, "failed", report->releases.failed);
    json_write_member_integer(writer, "copies_removed", report->files.removed);
    json_write_member_integer(writer, "copies_removed_bytes", (gint64)report->files.removed_bytes);
    json_write_member_integer(writer, "copies_failed", report->files.failed);
}

typedef struct {
    gboolean dry_run;
    MirrorsCollection report;
    gboolean good;
    GError *error;
} Collecting;

static void collect_on_thread(Mirrors *mirrors, gpointer data)
{
    Collecting *collecting = data;
    collecting->good =
        mirrors_collect_now(mirrors, collecting->dry_run, &collecting->report, &collecting->error);
}

GBytes *mirrors_collect(Mirrors *mirrors, gboolean dry_run, GError **error)
{
    Collecting collecting = {.dry_run = dry_run};
    if (!mirrors_call(mirrors, collect_on_thread, &collecting, error))
        return NULL;
    if (!collecting.good) {
        g_propagate_error(error, collecting.error);
        return NULL;
    }
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_boolean(&writer, "dry_run", dry_run);
        write_collection(&collecting.report, &writer);
        json_write_object_end(&writer);
    }
    return g_string_free_to_bytes(json);
}

/* --- Repairing --- */

typedef struct {
    guint8 digest[SHA256_BYTES];
    char *problem;
    GPtrArray *paths; /* of char *; where it is or was served */
} Damage;

static void damage_free(gpointer data)
{
    Damage *damage = data;
    g_free(damage->problem);
    g_clear_pointer(&damage->paths, g_ptr_array_unref);
    g_free(damage);
}

/* The operator asks: what was tried before is tried again. */
static void repair_on_thread(Mirrors *mirrors, gpointer data)
{
    const GPtrArray *found = data;
    g_hash_table_remove_all(mirrors->damaged);
    for (guint i = 0; i < found->len; i++) {
        Damage *damage = g_ptr_array_index(found, i);
        damage->paths = mirror_db_paths_of(mirrors->db, damage->digest, NULL);
        const char *path =
            damage->paths != NULL && damage->paths->len > 0 ? g_ptr_array_index(damage->paths, 0) : "";
        mirrors_drop_damaged(mirrors, path, damage->digest, damage->problem);
    }
}

/* Reads one release on the caller's thread, which may take long. What is not there at all is damaged, too. */
static gboolean check_one(ReleaseStore *store, const char *hex, GPtrArray *found, GError **error)
{
    g_autofree Damage *damage = g_new0(Damage, 1);
    if (!hex_decode(hex, damage->digest, SHA256_BYTES)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "a digest is not 64 lower-case hexadecimal digits");
        return FALSE;
    }
    if (!release_store_has(store, damage->digest))
        damage->problem = g_strdup("is not in the store");
    else if (!release_store_check(store, damage->digest, CHECK_THREADS, &damage->problem, error))
        return FALSE;
    if (damage->problem != NULL)
        g_ptr_array_add(found, g_steal_pointer(&damage));
    return TRUE;
}

static void write_damage(JsonWriter *writer, const Damage *damage)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(damage->digest, SHA256_BYTES, hex);
    json_write_object_begin(writer);
    json_write_member_string(writer, "digest", hex);
    json_write_member_string(writer, "problem", damage->problem);
    json_write_key(writer, "paths");
    json_write_array_begin(writer);
    for (guint i = 0; damage->paths != NULL && i < damage->paths->len; i++)
        json_write_string(writer, g_ptr_array_index(damage->paths, i));
    json_write_array_end(writer);
    json_write_object_end(writer);
}

GBytes *mirrors_repair(Mirrors *mirrors, const char *const *digests, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(damage_free);
    g_autoptr(ReleaseStore) store = release_store_open(mirrors->store_dir, /* clean= */ FALSE, error);
    guint checked = 0;
    for (; store != NULL && digests[checked] != NULL; checked++)
        if (!check_one(store, digests[checked], found, error))
            return NULL;
    if (store == NULL || !mirrors_call(mirrors, repair_on_thread, found, error))
        return NULL;
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_integer(&writer, "checked", checked);
        json_write_key(&writer, "damaged");
        json_write_array_begin(&writer);
        for (guint i = 0; i < found->len; i++)
            write_damage(&writer, g_ptr_array_index(found, i));
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return g_string_free_to_bytes(json);
}

/* --- What everybody may see --- */

static void source_free(gpointer data)
{
    MirrorsSource *source = data;
    g_free(source->name);
    g_free(source->kind);
    g_free(source->url);
    g_free(source->state);
    g_free(source->detail);
    g_free(source);
}

GPtrArray *mirrors_public_sources(Mirrors *mirrors)
{
    g_autoptr(Config) config = take_config(mirrors);
    GPtrArray *sources = g_ptr_array_new_with_free_func(source_free);
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        SourceView view;
        g_auto(SourceRecord) record = {0};
        if (source->is_private)
            continue;
        copy_view(mirrors, source->name, &view);
        read_record(mirrors, source->name, &record);
        MirrorsSource *shown = g_new0(MirrorsSource, 1);
        shown->name = g_strdup(source->name);
        shown->kind = g_strdup(source_kind_name(source->kind));
        shown->url = source_shown_url(source);
        shown->state = g_strdup(state_of(source, &view, &record));
        shown->detail = g_strdup(detail_of(&view, &record));
        shown->last_ok_s = record.last_ok_s;
        shown->packs = record.packs_served;
        shown->refused = record.packs_refused;
        g_free(view.detail);
        g_ptr_array_add(sources, shown);
    }
    return sources;
}

void mirrors_counters(Mirrors *mirrors, MirrorsCounters *ret)
{
    g_mutex_lock(&mirrors->lock);
    *ret = mirrors->counters;
    g_mutex_unlock(&mirrors->lock);
}
