/* SPDX-License-Identifier: MIT
 *
 * What is known of the sources, from the broker or, while none runs, from mirror.db: one form for both, so
 * that there is one way of showing it.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/client.h"
#include "broker/cli/mirror.h"
#include "broker/cli/reload.h"
#include "broker/cli/terminal.h"
#include "broker/mirrors/mirror_events.h"
#include "schema/limits.h"

/* --- Reading JSON of a broker --- */

const char *mirror_text(const JsonValue *object, const char *key)
{
    const JsonValue *value = json_object_get(object, key);

    return value != NULL && json_value_kind(value) == JSON_STRING ? json_value_string(value) : "";
}

gint64 mirror_integer(const JsonValue *object, const char *key)
{
    const JsonValue *value = json_object_get(object, key);
    gint64 number = 0;

    return value != NULL && json_value_kind(value) == JSON_NUMBER && json_value_integer(value, &number)
               ? number
               : 0;
}

const JsonValue *mirror_object(const JsonValue *object, const char *key)
{
    const JsonValue *value = json_object_get(object, key);

    return value != NULL && json_value_kind(value) == JSON_OBJECT ? value : NULL;
}

gint64 mirror_time(const JsonValue *object, const char *key)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(mirror_text(object, key), utc);

    return time != NULL ? g_date_time_to_unix(time) : 0;
}

void mirror_write_value(JsonWriter *w, const JsonValue *value)
{
    gint64 integer = 0;

    switch (json_value_kind(value)) {
    case JSON_NULL:
        json_write_null(w);
        return;
    case JSON_BOOLEAN:
        json_write_boolean(w, json_value_boolean(value));
        return;
    case JSON_NUMBER:
        if (json_value_integer(value, &integer)) {
            json_write_integer(w, integer);
        } else {
            json_write_double(w, json_value_number(value));
        }
        return;
    case JSON_STRING:
        json_write_string(w, json_value_string(value));
        return;
    case JSON_ARRAY:
        json_write_array_begin(w);
        for (const JsonValue *i = json_value_first(value); i != NULL; i = json_value_next(i)) {
            mirror_write_value(w, i);
        }
        json_write_array_end(w);
        return;
    case JSON_OBJECT:
        json_write_object_begin(w);
        for (const JsonValue *i = json_value_first(value); i != NULL; i = json_value_next(i)) {
            json_write_key(w, json_value_key(i));
            mirror_write_value(w, i);
        }
        json_write_object_end(w);
        return;
    }
}

/* --- From mirror.db --- */

gboolean mirror_db_peek(const Config *config, MirrorDb **ret, GError **error)
{
    g_autofree char *path = g_build_filename(config->store_dir, "mirror.db", NULL);
    g_autoptr(GError) local = NULL;

    *ret = mirror_db_open(path, DB_READ, &local);
    if (*ret == NULL && !g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return TRUE;
}

/* The words of broker/mirrors/mirrors.h. */
static const char *state_of(const MirrorSource *source, const SourceRecord *record)
{
    if (source->paused) {
        return "paused";
    }
    if (strcmp(record->alarm, "shrink") == 0) {
        return "held";
    }
    if (*record->alarm != '\0') {
        return "alarm";
    }
    if (record->failures >= LIMIT_SOURCE_FAILURES) {
        return "failing";
    }
    return record->failures > 0 || record->last_ok_s == 0 ? "waiting" : "ok";
}

static void write_packs(JsonWriter *w, const SourceRecord *record)
{
    json_write_key(w, "packs");
    json_write_object_begin(w);
    json_write_member_integer(w, "seen", record->packs_seen);
    json_write_member_integer(w, "served", record->packs_served);
    json_write_member_integer(w, "refused", record->packs_refused);
    json_write_member_integer(w, "gone", record->packs_gone);
    json_write_object_end(w);
}

static void write_source(JsonWriter *w, const MirrorSource *source, const SourceRecord *record)
{
    g_autofree char *url = source_shown_url(source);

    json_write_object_begin(w);
    json_write_member_string(w, "name", source->name);
    json_write_member_string(w, "kind", source_kind_name(source->kind));
    json_write_member_string(w, "url", url);
    json_write_key(w, "ref");
    if (source->ref != NULL) {
        json_write_string(w, source->ref);
    } else {
        json_write_null(w);
    }
    json_write_member_string(w, "path", source->path);
    json_write_member_string(w, "visibility", source->is_private ? "private" : "public");
    json_write_member_string(w, "signed", source_policy_names[source->policy]);
    json_write_member_string(w, "state", state_of(source, record));
    json_write_member_string(w, "detail", *record->alarm != '\0' ? record->alarm_reason : record->last_error);
    json_write_member_string(w, "alarm", record->alarm);
    json_write_member_string(w, "alarm_reason", record->alarm_reason);
    mirror_time_write(w, "last_try", record->last_try_s);
    mirror_time_write(w, "last_ok", record->last_ok_s);
    mirror_time_write(w, "next", 0);
    json_write_member_integer(w, "interval_seconds", source->interval_s);
    json_write_member_integer(w, "failures", record->failures);
    json_write_member_boolean(w, "paused", source->paused);
    write_packs(w, record);
    json_write_object_end(w);
}

/* A source that was never synced has no record. */
static gboolean read_record(MirrorDb *db, const char *name, SourceRecord *ret, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (db != NULL && mirror_db_source(db, name, ret, &local)) {
        return TRUE;
    }
    if (local != NULL && !g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    source_record_clear(ret);
    *ret = (SourceRecord){
        .name = g_strdup(name),
        .state = g_strdup(""),
        .policy_hash = g_strdup(""),
        .last_error = g_strdup(""),
        .alarm = g_strdup(""),
        .alarm_reason = g_strdup(""),
    };
    return TRUE;
}

static gboolean write_sources(JsonWriter *w, const Config *config, MirrorDb *db, GError **error)
{
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        g_auto(SourceRecord) record = {0};

        if (!read_record(db, source->name, &record, error)) {
            return FALSE;
        }
        write_source(w, source, &record);
    }
    return TRUE;
}

static JsonDoc *status_of_store(const Config *config, GError **error)
{
    g_autoptr(MirrorDb) db = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    JsonWriter w;
    gboolean good;

    if (!mirror_db_peek(config, &db, error)) {
        return NULL;
    }
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_key(&w, "store");
    json_write_object_begin(&w);
    json_write_member_string(&w, "path", config->store_dir);
    json_write_key(&w, "release_bytes");
    json_write_null(&w);
    json_write_member_integer(&w, "quota_bytes", (gint64)config->limits.store_bytes);
    json_write_member_boolean(&w, "full", FALSE);
    json_write_member_string(&w, "reason", "");
    json_write_object_end(&w);
    json_write_key(&w, "agent");
    json_write_object_begin(&w);
    json_write_member_boolean(&w, "running", FALSE);
    json_write_key(&w, "pid");
    json_write_null(&w);
    json_write_member_integer(&w, "restarts", 0);
    json_write_object_end(&w);
    json_write_key(&w, "sources");
    json_write_array_begin(&w);
    good = write_sources(&w, config, db, error);
    json_write_array_end(&w);
    json_write_object_end(&w);
    json_writer_clear(&w);
    return good ? json_doc_parse(out->str, out->len, out->len, error) : NULL;
}

/* --- From either --- */

JsonDoc *mirror_status_ask(const Config *config, gboolean *ret_live, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(CliClient) client =
        broker_is_running(config->data_dir) ? cli_client_new_api(config->data_dir, &local) : NULL;
    g_autoptr(GBytes) answer = NULL;
    g_autoptr(JsonDoc) doc = NULL;

    *ret_live = client != NULL;
    if (client == NULL && local != NULL && !g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND) &&
        !g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    /* None runs, it is not ready yet, or nobody may ask it: the store tells nearly as much. */
    if (client == NULL) {
        return status_of_store(config, error);
    }
    answer = cli_client_get(client, "/v1/mirror/status", error);
    doc = answer != NULL ? cli_client_parse(client, answer, error) : NULL;
    if (doc != NULL && json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: the status is no object",
                    cli_client_url(client));
        return NULL;
    }
    return g_steal_pointer(&doc);
}

/* --- Showing --- */

void mirror_line(const char *name, gboolean bad, const char *text)
{
    fputs("  ", stdout);
    terminal_print(stdout, TERMINAL_PLAIN, name);
    fputs(": ", stdout);
    terminal_print(stdout, bad ? TERMINAL_BAD : TERMINAL_PLAIN, text);
    fputc('\n', stdout);
}

#define DISTRUST "ask its operator what happened; after that 'kontor mirror sync %s --reset' trusts it again"

/* What the operator can do about an alarm; "%s" stands for the source. */
static const struct {
    const char *alarm, *remedy;
} remedies[] = {
    {"shrink",
     "if that is meant, 'kontor mirror sync %s --prune'; until then its packs stay served as they are"},
    {"fork", DISTRUST},
    {"rollback", DISTRUST},
    {"token", "ask its operator for a new token, put it into the file, then 'kontor mirror sync %s'"},
    {"stale", "its operator has to look: a broker that runs signs anew; what is mirrored stays served"},
    {"mismatch", "its operator has to look; what is mirrored stays served, and it is asked again"},
};

char *mirror_alarm_remedy(const char *name, const char *alarm, const char *reason)
{
    for (guint i = 0; i < G_N_ELEMENTS(remedies) && strstr(reason, "kontor mirror sync") == NULL; i++) {
        if (strcmp(remedies[i].alarm, alarm) == 0) {
            GString *text = g_string_new(remedies[i].remedy);

            g_string_replace(text, "%s", name, /* limit= */ 1);
            return g_string_free(text, /* free_segment= */ FALSE);
        }
    }
    return NULL;
}

void mirror_print_troubles(const JsonValue *source)
{
    const char *name = mirror_text(source, "name"), *alarm = mirror_text(source, "alarm");
    const char *detail = mirror_text(source, "detail"), *state = mirror_text(source, "state");
    gboolean failed = strcmp(state, "failing") == 0 || mirror_integer(source, "failures") > 0;

    if (*alarm != '\0') {
        g_autofree char *text = g_strdup_printf("alarm %s: %s", alarm, mirror_text(source, "alarm_reason"));
        g_autofree char *what = mirror_alarm_remedy(name, alarm, mirror_text(source, "alarm_reason"));
        g_autofree char *helps = g_strconcat("  what helps: ", what, NULL);

        mirror_line(name, TRUE, text);
        if (what != NULL) {
            mirror_line(name, FALSE, helps);
        }
    }
    /* A held sync fails with what its alarm says already. */
    if (*detail != '\0' && (*alarm == '\0' || strstr(detail, mirror_text(source, "alarm_reason")) == NULL)) {
        mirror_line(name, failed, detail);
    }
    if (strcmp(state, "failing") == 0) {
        g_autofree char *text =
            g_strdup_printf("failed %" G_GINT64_FORMAT " times in a row, so it is tried once a day; "
                            "'kontor mirror sync %s' tries now",
                            mirror_integer(source, "failures"), name);

        mirror_line(name, FALSE, text);
    }
}
