/* SPDX-License-Identifier: MIT
 *
 * Writing makes everything fit for reading: texts that people see are made one line of UTF-8 and cut, numbers
 * are held below 2^53. Reading believes nothing: every text has its limit and its form.
 */
#include "mirror/agent/agent_message.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/semver.h"
#include "schema/text.h"

#define INTEGER_MAX ((G_GINT64_CONSTANT(1) << 53) - 1)
#define REASON_BYTES 2000 /* of a reason or an error; longer ones are cut */
#define NAME_BYTES 64     /* of a source */
#define ALARM_BYTES 32
#define FILE_NAME_BYTES 4096
#define SECONDS_MAX (7 * 24 * 3600)
#define COUNT_MAX G_MAXINT32

static const char *const phase_names[] = {
    [SYNC_PHASE_CONNECT] = "connect", [SYNC_PHASE_FETCH] = "fetch",     [SYNC_PHASE_COMPARE] = "compare",
    [SYNC_PHASE_READ] = "read",       [SYNC_PHASE_INSTALL] = "install",
};
static const char *const outcome_names[] = {
    [OUTCOME_INSTALLED] = "installed",
    [OUTCOME_WITHDRAWN] = "withdrawn",
    [OUTCOME_REFUSED] = "refused",
    [OUTCOME_GONE] = "gone",
};
static const char *const kind_names[] = {
    [AGENT_HELLO] = "hello", [AGENT_PROGRESS] = "progress", [AGENT_RESULT] = "result",
    [AGENT_ALARM] = "alarm", [AGENT_DONE] = "done",
};

const char *sync_phase_name(SyncPhase phase)
{
    g_assert(phase < G_N_ELEMENTS(phase_names));
    return phase_names[phase];
}

/* --- Life cycle --- */

void agent_job_clear(AgentJob *job)
{
    g_clear_pointer(&job->source, source_unref);
    g_clear_pointer(&job->trust_file, g_free);
    g_clear_pointer(&job->state, g_free);
    g_clear_pointer(&job->known_policy_hash, g_free);
}

void agent_event_clear(AgentEvent *event)
{
    g_clear_pointer(&event->result, sync_result_free);
    g_clear_pointer(&event->alarm, g_free);
    g_clear_pointer(&event->reason, g_free);
    g_clear_pointer(&event->error, g_free);
    g_clear_pointer(&event->state, g_free);
    g_clear_pointer(&event->policy_hash, g_free);
}

/* --- Writing --- */

static void write_count(JsonWriter *writer, const char *key, guint64 value)
{
    json_write_member_integer(writer, key, (gint64)MIN(value, (guint64)INTEGER_MAX));
}

/* Text for people: one line, no control characters, of bounded length. */
static void write_line(JsonWriter *writer, const char *key, const char *text)
{
    g_autofree char *line = g_utf8_make_valid(text, -1);
    line[text_cut_bytes(line, strlen(line), REASON_BYTES)] = '\0';
    for (char *at = line; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c < 0x20 || c == 0x7f)
            *at = ' ';
        else if (c >= 0x80 && c < 0xa0)
            memcpy(at, "\xc2\xa0", 2);
    }
    json_write_member_string(writer, key, line);
}

static void write_progress(JsonWriter *writer, const SyncProgress *progress)
{
    json_write_object_begin(writer);
    write_count(writer, "bytes", progress->bytes);
    write_count(writer, "installed", progress->installed);
    write_count(writer, "objects", progress->objects);
    write_count(writer, "objects_total", progress->objects_total);
    write_count(writer, "packs", progress->packs);
    write_count(writer, "packs_total", progress->packs_total);
    json_write_member_string(writer, "phase", sync_phase_name(progress->phase));
    write_count(writer, "refused", progress->refused);
    json_write_object_end(writer);
}

static void write_pack(JsonWriter *writer, const MirroredPack *pack)
{
    json_write_object_begin(writer);
    json_write_member_hex(writer, "content_sha256", pack->content_sha256, SHA256_BYTES);
    json_write_member_hex(writer, "digest", pack->digest, SHA256_BYTES);
    json_write_member_string(writer, "fingerprint", pack->fingerprint);
    write_count(writer, "installed_s", (guint64)pack->installed_s);
    write_line(writer, "origin", pack->origin);
    json_write_member_string(writer, "policy", source_policy_names[pack->policy]);
    json_write_member_boolean(writer, "private", pack->is_private);
    json_write_member_string(writer, "published_at", pack->published_at);
    write_line(writer, "publisher", pack->publisher);
    json_write_member_string(writer, "source", pack->source);
    json_write_member_string(writer, "version", pack->version);
    json_write_object_end(writer);
}

static gboolean has_pack(SyncOutcome outcome)
{
    return outcome == OUTCOME_INSTALLED || outcome == OUTCOME_WITHDRAWN;
}

static void write_result(JsonWriter *writer, const SyncResult *result)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "identity", result->identity);
    json_write_member_boolean(writer, "new", result->is_new);
    json_write_member_string(writer, "outcome", outcome_names[result->outcome]);
    if (has_pack(result->outcome)) {
        json_write_key(writer, "pack");
        write_pack(writer, result->pack);
    }
    json_write_member_string(writer, "path", result->pack->path);
    if (result->outcome == OUTCOME_REFUSED) {
        write_line(writer, "reason", result->reason);
        json_write_member_string(writer, "rule", accept_rule_name(result->rule));
    }
    json_write_object_end(writer);
}

static void write_done(JsonWriter *writer, const AgentEvent *event)
{
    json_write_object_begin(writer);
    write_count(writer, "bytes", event->bytes);
    if (!event->ok) {
        json_write_member_string(writer, "code", kontor_error_name(event->code));
        write_line(writer, "error", event->error);
    }
    json_write_member_boolean(writer, "ok", event->ok);
    write_count(writer, "packs_seen", event->packs_seen);
    json_write_member_boolean(writer, "partial", event->partial);
    json_write_member_string(writer, "policy_hash", event->policy_hash);
    write_count(writer, "requests", event->requests);
    json_write_member_string(writer, "state", event->state);
    json_write_object_end(writer);
}

static void write_alarm(JsonWriter *writer, const AgentEvent *event)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "kind", event->alarm);
    write_line(writer, "reason", event->reason);
    json_write_object_end(writer);
}

/* The member that is called like the kind. */
static void write_kind(JsonWriter *writer, const AgentEvent *event)
{
    json_write_key(writer, kind_names[event->kind]);
    switch (event->kind) {
    case AGENT_HELLO:
        json_write_boolean(writer, TRUE);
        return;
    case AGENT_PROGRESS:
        write_progress(writer, &event->progress);
        return;
    case AGENT_RESULT:
        write_result(writer, event->result);
        return;
    case AGENT_ALARM:
        write_alarm(writer, event);
        return;
    case AGENT_DONE:
        write_done(writer, event);
        return;
    }
    g_assert_not_reached();
}

void agent_event_write(const AgentEvent *event, GString *line)
{
    static const char job[] = "job";
    g_auto(JsonWriter) writer;
    json_writer_init(&writer, line, JSON_STYLE_CANONICAL);
    json_write_object_begin(&writer);
    if (strcmp(kind_names[event->kind], job) < 0)
        write_kind(&writer, event);
    write_count(&writer, job, event->job);
    if (strcmp(kind_names[event->kind], job) > 0)
        write_kind(&writer, event);
    json_write_object_end(&writer);
    g_string_append_c(line, '\n');
}

void agent_job_write(const AgentJob *job, GString *line)
{
    g_auto(JsonWriter) writer;
    json_writer_init(&writer, line, JSON_STYLE_CANONICAL);
    json_write_object_begin(&writer);
    json_write_member_boolean(&writer, "full", job->full);
    write_count(&writer, "id", job->id);
    json_write_member_string(&writer, "known_policy_hash", job->known_policy_hash);
    json_write_member_boolean(&writer, "prune", job->prune);
    json_write_member_boolean(&writer, "reset", job->reset);
    write_count(&writer, "seconds", job->seconds);
    json_write_key(&writer, "source");
    source_write(job->source, &writer);
    json_write_member_string(&writer, "state", job->state);
    json_write_member_string(&writer, "trust_file", job->trust_file);
    json_write_object_end(&writer);
    g_string_append_c(line, '\n');
}

/* --- Reading: pieces --- */

static gboolean malformed(GError **error, const char *what)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "agent message: %s", what);
    return FALSE;
}

static gboolean read_text(const JsonValue *object, const char *key, gsize bytes_max, char **ret,
                          GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, bytes_max, &text, error))
        return FALSE;
    *ret = g_strdup(text);
    return TRUE;
}

/* Text for people. */
static gboolean read_line(const JsonValue *object, const char *key, char **ret, GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, REASON_BYTES, &text, error))
        return FALSE;
    gunichar c = 0;
    for (gsize at = 0, len = strlen(text); at < len; at += text_char_decode(text + at, len - at, &c)) {
        text_char_decode(text + at, len - at, &c);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            return malformed(error, "a control character in a text");
    }
    *ret = g_strdup(text);
    return TRUE;
}

static gboolean read_count(const JsonValue *object, const char *key, guint *ret, GError **error)
{
    gint64 value = 0;
    if (!json_get_integer(object, key, JSON_REQUIRED, 0, COUNT_MAX, &value, error))
        return FALSE;
    *ret = (guint)value;
    return TRUE;
}

static gboolean read_size(const JsonValue *object, const char *key, guint64 *ret, GError **error)
{
    gint64 value = 0;
    if (!json_get_integer(object, key, JSON_REQUIRED, 0, INTEGER_MAX, &value, error))
        return FALSE;
    *ret = (guint64)value;
    return TRUE;
}

static gboolean read_hash(const JsonValue *object, const char *key, guint8 *ret, GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, SHA256_HEX_CHARS, &text, error))
        return FALSE;
    return hex_decode(text, ret, SHA256_BYTES) || malformed(error, "a hash is not 64 hexadecimal digits");
}

/* The index of a text among `count` names. */
static gboolean read_name(const JsonValue *object, const char *key, const char *const *names, guint count,
                          guint *ret, GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, NAME_BYTES, &text, error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return TRUE;
        }
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "agent message: %s is unknown", key);
    return FALSE;
}

static gboolean read_rule(const JsonValue *object, AcceptRule *ret, GError **error)
{
    const char *names[ACCEPT_RULES];
    guint rule = 0;
    for (guint i = 0; i < ACCEPT_RULES; i++)
        names[i] = accept_rule_name(i);
    if (!read_name(object, "rule", names, ACCEPT_RULES, &rule, error))
        return FALSE;
    *ret = rule;
    return rule != ACCEPT_OK || malformed(error, "refused by no rule");
}

static gboolean read_code(const JsonValue *object, KontorErrorCode *ret, GError **error)
{
    const char *names[KONTOR_ERROR_CANCELLED + 1];
    guint code = 0;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        names[i] = kontor_error_name(i);
    if (!read_name(object, "code", names, G_N_ELEMENTS(names), &code, error))
        return FALSE;
    *ret = code;
    return TRUE;
}

/* --- Reading: events --- */

static gboolean read_progress(const JsonValue *value, AgentEvent *ret, GError **error)
{
    SyncProgress *progress = &ret->progress;
    guint phase = 0;
    if (!read_name(value, "phase", phase_names, G_N_ELEMENTS(phase_names), &phase, error))
        return FALSE;
    progress->phase = phase;
    return read_size(value, "objects", &progress->objects, error) &&
           read_size(value, "objects_total", &progress->objects_total, error) &&
           read_size(value, "bytes", &progress->bytes, error) &&
           read_count(value, "packs", &progress->packs, error) &&
           read_count(value, "packs_total", &progress->packs_total, error) &&
           read_count(value, "installed", &progress->installed, error) &&
           read_count(value, "refused", &progress->refused, error);
}

static gboolean check_release(const MirroredPack *pack, GError **error)
{
    char fingerprint[FINGERPRINT_CHARS + 1];
    Semver version;
    gint64 time = 0;
    if (*pack->fingerprint != '\0' && (!trust_fingerprint_parse(pack->fingerprint, fingerprint) ||
                                       strcmp(fingerprint, pack->fingerprint) != 0))
        return malformed(error, "fingerprint is not that of a key");
    if (*pack->version != '\0' && !semver_parse(pack->version, &version, NULL))
        return malformed(error, "version is no semantic version");
    if (*pack->published_at != '\0' && (strlen(pack->published_at) != strlen("YYYY-MM-DDTHH:MM:SSZ") ||
                                        !trust_until_parse(pack->published_at, &time, NULL)))
        return malformed(error, "published_at is no time");
    return TRUE;
}

static gboolean read_pack(const JsonValue *value, MirroredPack *pack, GError **error)
{
    guint policy = 0;
    guint64 installed = 0;
    if (!read_hash(value, "content_sha256", pack->content_sha256, error) ||
        !read_hash(value, "digest", pack->digest, error) ||
        !read_text(value, "fingerprint", FINGERPRINT_CHARS, &pack->fingerprint, error) ||
        !read_line(value, "publisher", &pack->publisher, error) ||
        !read_text(value, "version", LIMIT_SEMVER_BYTES, &pack->version, error) ||
        !read_text(value, "published_at", LIMIT_SEMVER_BYTES, &pack->published_at, error) ||
        !read_line(value, "origin", &pack->origin, error) ||
        !read_text(value, "source", NAME_BYTES, &pack->source, error) ||
        !json_get_boolean(value, "private", JSON_REQUIRED, &pack->is_private, error) ||
        !read_name(value, "policy", source_policy_names, PACK_POLICY_REQUIRED + 1, &policy, error) ||
        !read_size(value, "installed_s", &installed, error))
        return FALSE;
    pack->policy = policy;
    pack->installed_s = (gint64)installed;
    return check_release(pack, error);
}

static gboolean read_outcome(const JsonValue *value, SyncResult *result, GError **error)
{
    const JsonValue *pack = NULL;
    switch (result->outcome) {
    case OUTCOME_INSTALLED:
    case OUTCOME_WITHDRAWN:
        result->pack->withdrawn = result->outcome == OUTCOME_WITHDRAWN;
        return json_get_object(value, "pack", JSON_REQUIRED, &pack, error) &&
               read_pack(pack, result->pack, error);
    case OUTCOME_REFUSED:
        return read_rule(value, &result->rule, error) && read_line(value, "reason", &result->reason, error);
    case OUTCOME_GONE:
        return TRUE;
    }
    g_assert_not_reached();
}

static gboolean read_result(const JsonValue *value, AgentEvent *ret, GError **error)
{
    guint outcome = 0;
    ret->result = g_new0(SyncResult, 1);
    ret->result->pack = g_new0(MirroredPack, 1);
    if (!read_text(value, "path", LIMIT_PACK_PATH_BYTES, &ret->result->pack->path, error) ||
        !pack_path_check(ret->result->pack->path, error) ||
        !read_text(value, "identity", MIRROR_IDENTITY_BYTES, &ret->result->identity, error) ||
        !json_get_boolean(value, "new", JSON_REQUIRED, &ret->result->is_new, error) ||
        !read_name(value, "outcome", outcome_names, G_N_ELEMENTS(outcome_names), &outcome, error))
        return FALSE;
    ret->result->outcome = outcome;
    return read_outcome(value, ret->result, error);
}

static gboolean read_alarm(const JsonValue *value, AgentEvent *ret, GError **error)
{
    if (!read_text(value, "kind", ALARM_BYTES, &ret->alarm, error) ||
        !read_line(value, "reason", &ret->reason, error))
        return FALSE;
    return strspn(ret->alarm, "abcdefghijklmnopqrstuvwxyz-") == strlen(ret->alarm) ||
           malformed(error, "the kind of an alarm is no word");
}

static gboolean read_done(const JsonValue *value, AgentEvent *ret, GError **error)
{
    if (!json_get_boolean(value, "ok", JSON_REQUIRED, &ret->ok, error) ||
        !json_get_boolean(value, "partial", JSON_REQUIRED, &ret->partial, error) ||
        !read_count(value, "packs_seen", &ret->packs_seen, error) ||
        !read_count(value, "requests", &ret->requests, error) ||
        !read_size(value, "bytes", &ret->bytes, error) ||
        !read_text(value, "policy_hash", SHA256_HEX_CHARS, &ret->policy_hash, error) ||
        !read_text(value, "state", AGENT_STATE_BYTES, &ret->state, error))
        return FALSE;
    return ret->ok || (read_code(value, &ret->code, error) && read_line(value, "error", &ret->error, error));
}

static gboolean read_kind(const JsonValue *root, AgentEvent *ret, GError **error)
{
    static gboolean (*const readers[])(const JsonValue *, AgentEvent *, GError **) = {
        [AGENT_PROGRESS] = read_progress,
        [AGENT_RESULT] = read_result,
        [AGENT_ALARM] = read_alarm,
        [AGENT_DONE] = read_done,
    };
    const JsonValue *value = NULL;
    if (json_object_get(root, kind_names[AGENT_HELLO]) != NULL) {
        ret->kind = AGENT_HELLO;
        return TRUE;
    }
    for (guint i = AGENT_PROGRESS; i <= AGENT_DONE; i++) {
        if (json_object_get(root, kind_names[i]) == NULL)
            continue;
        ret->kind = i;
        return json_get_object(root, kind_names[i], JSON_REQUIRED, &value, error) &&
               readers[i](value, ret, error);
    }
    return malformed(error, "of no known kind");
}

/* The object that a line is. */
static JsonDoc *parse_line(const char *line, gsize len, const JsonValue **ret_root, GError **error)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(line, len, LIMIT_AGENT_LINE_BYTES, error);
    if (doc == NULL)
        return NULL;
    *ret_root = json_doc_root(doc);
    if (json_value_kind(*ret_root) == JSON_OBJECT)
        return g_steal_pointer(&doc);
    malformed(error, "is no object");
    return NULL;
}

gboolean agent_event_parse(const char *line, gsize len, AgentEvent *ret, GError **error)
{
    const JsonValue *root = NULL;
    g_auto(AgentEvent) event = {0};
    g_autoptr(JsonDoc) doc = parse_line(line, len, &root, error);
    if (doc == NULL || !read_size(root, "job", &event.job, error) || !read_kind(root, &event, error))
        return FALSE;
    *ret = event;
    event = (AgentEvent){0};
    return TRUE;
}

/* --- Reading: jobs --- */

static gboolean read_job(const JsonValue *root, AgentJob *ret, GError **error)
{
    const JsonValue *source = NULL;
    if (!read_size(root, "id", &ret->id, error) || !read_count(root, "seconds", &ret->seconds, error) ||
        !json_get_boolean(root, "full", JSON_REQUIRED, &ret->full, error) ||
        !json_get_boolean(root, "prune", JSON_REQUIRED, &ret->prune, error) ||
        !json_get_boolean(root, "reset", JSON_REQUIRED, &ret->reset, error) ||
        !read_text(root, "known_policy_hash", SHA256_HEX_CHARS, &ret->known_policy_hash, error) ||
        !read_text(root, "state", AGENT_STATE_BYTES, &ret->state, error) ||
        !read_text(root, "trust_file", FILE_NAME_BYTES, &ret->trust_file, error) ||
        !json_get_object(root, "source", JSON_REQUIRED, &source, error))
        return FALSE;
    if (ret->seconds > SECONDS_MAX)
        return malformed(error, "more seconds than a week has");
    ret->source = source_read(source, error);
    return ret->source != NULL;
}

gboolean agent_job_parse(const char *line, gsize len, AgentJob *ret, GError **error)
{
    const JsonValue *root = NULL;
    g_auto(AgentJob) job = {0};
    g_autoptr(JsonDoc) doc = parse_line(line, len, &root, error);
    if (doc == NULL || !read_job(root, &job, error))
        return FALSE;
    *ret = job;
    job = (AgentJob){0};
    return TRUE;
}
