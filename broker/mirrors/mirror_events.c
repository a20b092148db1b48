/* SPDX-License-Identifier: MIT */
#include "broker/mirrors/mirror_events.h"

#include <string.h>

#include "schema/scalar.h"

typedef struct {
    guint64 number;
    char *json;
    char *progress_of; /* the source, when it is progress; else NULL */
} Event;

struct MirrorEvents {
    GMutex lock;
    GQueue ring; /* of Event *, oldest first */
    guint capacity;
    guint64 last;
    MirrorEventFunc func;
    gpointer user;
};

/* --- Life cycle --- */

static void event_free(gpointer data)
{
    Event *event = data;
    if (event == NULL)
        return;
    g_free(event->json);
    g_free(event->progress_of);
    g_free(event);
}

MirrorEvents *mirror_events_new(guint capacity, MirrorEventFunc func, gpointer user)
{
    MirrorEvents *events = g_new0(MirrorEvents, 1);
    g_mutex_init(&events->lock);
    g_queue_init(&events->ring);
    events->capacity = capacity;
    events->func = func;
    events->user = user;
    return events;
}

void mirror_events_free(MirrorEvents *events)
{
    if (events == NULL)
        return;
    g_queue_clear_full(&events->ring, event_free);
    g_mutex_clear(&events->lock);
    g_free(events);
}

/* --- Pieces --- */

void mirror_time_write(JsonWriter *writer, const char *key, gint64 time_s)
{
    g_autofree char *text = time_s > 0 ? scalar_format_time(time_s) : NULL;
    json_write_key(writer, key);
    if (text != NULL)
        json_write_string(writer, text);
    else
        json_write_null(writer);
}

void mirror_progress_write(JsonWriter *writer, const SyncProgress *progress)
{
    json_write_member_string(writer, "phase", sync_phase_name(progress->phase));
    json_write_member_integer(writer, "objects", (gint64)progress->objects);
    json_write_member_integer(writer, "objects_total", (gint64)progress->objects_total);
    json_write_member_integer(writer, "bytes", (gint64)progress->bytes);
    json_write_member_integer(writer, "packs", progress->packs);
    json_write_member_integer(writer, "packs_total", progress->packs_total);
    json_write_member_integer(writer, "installed", progress->installed);
    json_write_member_integer(writer, "refused", progress->refused);
}

/* --- Adding --- */

/* An event that is being written; the lock is held from begin to end. */
typedef struct {
    MirrorEvents *events;
    GString *json;
    JsonWriter writer;
} Draft;

static JsonWriter *begin(Draft *draft, MirrorEvents *events, const char *source, const char *event)
{
    g_mutex_lock(&events->lock);
    draft->events = events;
    draft->json = g_string_new(NULL);
    json_writer_init(&draft->writer, draft->json, JSON_STYLE_PLAIN);
    json_write_object_begin(&draft->writer);
    json_write_member_integer(&draft->writer, "n", (gint64)++events->last);
    mirror_time_write(&draft->writer, "time", g_get_real_time() / G_USEC_PER_SEC);
    json_write_member_string(&draft->writer, "source", source);
    json_write_member_string(&draft->writer, "event", event);
    return &draft->writer;
}

static void end(Draft *draft, const char *progress_of)
{
    MirrorEvents *events = draft->events;
    Event *event = g_new0(Event, 1);
    json_write_object_end(&draft->writer);
    json_writer_clear(&draft->writer);
    event->number = events->last;
    event->json = g_string_free(draft->json, FALSE);
    event->progress_of = g_strdup(progress_of);
    const Event *latest = g_queue_peek_tail(&events->ring);
    if (latest != NULL && progress_of != NULL && g_strcmp0(latest->progress_of, progress_of) == 0)
        event_free(g_queue_pop_tail(&events->ring));
    g_queue_push_tail(&events->ring, event);
    if (g_queue_get_length(&events->ring) > events->capacity)
        event_free(g_queue_pop_head(&events->ring));
    if (events->func != NULL)
        events->func(event->json, events->user);
    g_mutex_unlock(&events->lock);
}

void mirror_events_started(MirrorEvents *events, const char *source)
{
    Draft draft;
    begin(&draft, events, source, "started");
    end(&draft, NULL);
}

void mirror_events_progress(MirrorEvents *events, const char *source, const SyncProgress *progress)
{
    Draft draft;
    mirror_progress_write(begin(&draft, events, source, "progress"), progress);
    end(&draft, source);
}

static void write_digest(JsonWriter *writer, const guint8 *digest)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, hex);
    json_write_member_string(writer, "digest", hex);
}

void mirror_events_result(MirrorEvents *events, const char *source, const SyncResult *result)
{
    static const char *const names[] = {
        [OUTCOME_INSTALLED] = "installed",
        [OUTCOME_WITHDRAWN] = "withdrawn",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_GONE] = "gone",
    };
    Draft draft;
    JsonWriter *writer = begin(&draft, events, source, names[result->outcome]);
    json_write_member_string(writer, "path", result->pack->path);
    if (result->outcome == OUTCOME_REFUSED) {
        json_write_member_string(writer, "rule", accept_rule_name(result->rule));
        json_write_member_string(writer, "reason", result->reason);
    } else if (result->outcome != OUTCOME_GONE) {
        json_write_member_string(writer, "version", result->pack->version);
        write_digest(writer, result->pack->digest);
    }
    end(&draft, NULL);
}

void mirror_events_alarm(MirrorEvents *events, const char *source, const char *kind, const char *reason)
{
    Draft draft;
    JsonWriter *writer = begin(&draft, events, source, "alarm");
    json_write_member_string(writer, "kind", kind);
    json_write_member_string(writer, "reason", reason);
    end(&draft, NULL);
}

void mirror_events_damaged(MirrorEvents *events, const char *source, const char *path, const guint8 *digest,
                           const char *reason)
{
    Draft draft;
    JsonWriter *writer = begin(&draft, events, source, "damaged");
    json_write_member_string(writer, "path", path);
    write_digest(writer, digest);
    json_write_member_string(writer, "reason", reason);
    end(&draft, NULL);
}

void mirror_events_ended(MirrorEvents *events, const char *source, const MirrorEventEnd *how)
{
    Draft draft;
    JsonWriter *writer = begin(&draft, events, source, "ended");
    json_write_member_boolean(writer, "ok", how->ok);
    json_write_member_boolean(writer, "partial", how->partial);
    json_write_member_boolean(writer, "wished", how->wished);
    if (!how->ok) {
        json_write_member_string(writer, "error", how->error);
        json_write_member_string(writer, "code", kontor_error_name(how->code));
    }
    json_write_member_integer(writer, "packs_seen", how->packs_seen);
    json_write_member_integer(writer, "installed", how->installed);
    json_write_member_integer(writer, "refused", how->refused);
    json_write_member_integer(writer, "bytes", (gint64)how->bytes);
    json_write_member_integer(writer, "requests", how->requests);
    json_write_member_integer(writer, "elapsed_ms", how->elapsed_us / 1000);
    end(&draft, NULL);
}

/* --- Queries --- */

guint64 mirror_events_last(MirrorEvents *events)
{
    g_mutex_lock(&events->lock);
    guint64 last = events->last;
    g_mutex_unlock(&events->lock);
    return last;
}

guint64 mirror_events_write(MirrorEvents *events, guint64 after, guint limit, JsonWriter *writer)
{
    guint written = 0;
    g_mutex_lock(&events->lock);
    /* Who watches asks for the newest ones: look from the end. */
    const GList *at = events->ring.tail;
    while (at != NULL && ((const Event *)at->data)->number > after)
        at = at->prev;
    json_write_array_begin(writer);
    for (at = at != NULL ? at->next : events->ring.head; at != NULL && written < limit; at = at->next) {
        const Event *event = at->data;
        json_write_raw(writer, event->json, strlen(event->json));
        after = event->number;
        written++;
    }
    json_write_array_end(writer);
    g_mutex_unlock(&events->lock);
    return after;
}
