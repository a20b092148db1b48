/* SPDX-License-Identifier: MIT
 *
 * Sources as JSON, on their way from the broker to the agent. One table says which members of which kind
 * there are, in the order of their keys.
 */
#include "mirror/agent/source_check.h"

#include "schema/limits.h"

#include <string.h>

typedef enum { TEXT, GLOBS, SWITCH, COUNT, SIZE, POLICY, KIND, KEY } MemberKind;

typedef struct {
    const char *key;
    MemberKind kind;
    gsize offset;
} Member;

#define AT(member) offsetof(MirrorSource, member)

static const Member members[] = {
    {"bytes_max", SIZE, AT(bytes_max)},
    {"ca_file", TEXT, AT(ca_file)},
    {"exclude", GLOBS, AT(exclude)},
    {"follow_removals", SWITCH, AT(follow_removals)},
    {"include", GLOBS, AT(include)},
    {"interval_s", COUNT, AT(interval_s)},
    {"is_private", SWITCH, AT(is_private)},
    {"key", KEY, AT(key)},
    {"key_name", TEXT, AT(key_name)},
    {"kind", KIND, AT(kind)},
    {"known_hosts_file", TEXT, AT(known_hosts_file)},
    {"name", TEXT, AT(name)},
    {"netrc_file", TEXT, AT(netrc_file)},
    {"pack", TEXT, AT(pack)},
    {"path", TEXT, AT(path)},
    {"paused", SWITCH, AT(paused)},
    {"policy", POLICY, AT(policy)},
    {"ref", TEXT, AT(ref)},
    {"ref_is_tag", SWITCH, AT(ref_is_tag)},
    {"require_release", SWITCH, AT(require_release)},
    {"ssh_key_file", TEXT, AT(ssh_key_file)},
    {"time_max_s", COUNT, AT(time_max_s)},
    {"token_file", TEXT, AT(token_file)},
    {"url", TEXT, AT(url)},
    {"user", TEXT, AT(user)},
};

static const char *const kind_names[] = {[SOURCE_GIT] = "git", [SOURCE_PEER] = "peer", NULL};

const char *const source_policy_names[] = {[PACK_POLICY_OFF] = "off",
                                           [PACK_POLICY_PREFERRED] = "preferred",
                                           [PACK_POLICY_REQUIRED] = "required",
                                           NULL};

const char *source_kind_name(SourceKind kind)
{
    return kind_names[kind];
}

/* --- Writing --- */

static void write_globs(JsonWriter *w, const char *key, const GPtrArray *globs)
{
    json_write_key(w, key);
    json_write_array_begin(w);
    for (guint i = 0; i < globs->len; i++)
        json_write_string(w, g_ptr_array_index(globs, i));
    json_write_array_end(w);
}

static void write_key(JsonWriter *w, const char *key, const MirrorSource *source)
{
    if (source->kind != SOURCE_PEER)
        return;
    g_autofree char *text = base64_encode(source->key.bytes, sizeof source->key.bytes);
    json_write_member_string(w, key, text);
}

static void write_member(JsonWriter *w, const Member *member, const MirrorSource *source)
{
    const guint8 *at = (const guint8 *)source + member->offset;
    const char *text = NULL;
    switch (member->kind) {
    case TEXT:
        text = *(char *const *)(gconstpointer)at;
        break;
    case GLOBS:
        write_globs(w, member->key, *(GPtrArray *const *)(gconstpointer)at);
        break;
    case SWITCH:
        json_write_member_boolean(w, member->key, *(const gboolean *)(gconstpointer)at);
        break;
    case COUNT:
        json_write_member_integer(w, member->key, *(const guint *)(gconstpointer)at);
        break;
    case SIZE:
        json_write_member_integer(w, member->key, (gint64) * (const guint64 *)(gconstpointer)at);
        break;
    case POLICY:
        text = source_policy_names[source->policy];
        break;
    case KIND:
        text = kind_names[source->kind];
        break;
    case KEY:
        write_key(w, member->key, source);
        break;
    }
    if (text != NULL)
        json_write_member_string(w, member->key, text);
}

void source_write(const MirrorSource *source, JsonWriter *writer)
{
    json_write_object_begin(writer);
    for (guint i = 0; i < G_N_ELEMENTS(members); i++)
        write_member(writer, &members[i], source);
    json_write_object_end(writer);
}

/* --- Reading --- */

static gboolean set_malformed(GError **error, const char *key, const char *message)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "source: %s: %s", key, message);
    return FALSE;
}

static gboolean read_text(const JsonValue *object, const char *key, char **ret, GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_OPTIONAL, LIMIT_FETCH_URL_BYTES, &text, error))
        return FALSE;
    if (text != NULL) {
        g_free(*ret);
        *ret = g_strdup(text);
    }
    return TRUE;
}

static gboolean read_globs(const JsonValue *object, const char *key, GPtrArray *globs, GError **error)
{
    const JsonValue *array = NULL;
    if (!json_get_array(object, key, JSON_REQUIRED, LIMIT_SOURCE_GLOBS, &array, error))
        return FALSE;
    g_ptr_array_set_size(globs, 0);
    for (const JsonValue *item = json_value_first(array); item != NULL; item = json_value_next(item)) {
        if (json_value_kind(item) != JSON_STRING)
            return set_malformed(error, key, "not a list of texts");
        g_ptr_array_add(globs, g_strdup(json_value_string(item)));
    }
    return TRUE;
}

static gboolean read_name(const JsonValue *object, const char *key, const char *const *names, guint *ret,
                          GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, LIMIT_SOURCE_NAME_BYTES, &text, error))
        return FALSE;
    for (guint i = 0; names[i] != NULL; i++) {
        if (g_str_equal(names[i], text)) {
            *ret = i;
            return TRUE;
        }
    }
    return set_malformed(error, key, "not one of those that are known");
}

static gboolean read_number(const JsonValue *object, const char *key, gint64 max, gint64 *ret, GError **error)
{
    return json_get_integer(object, key, JSON_REQUIRED, 0, max, ret, error);
}

static gboolean read_key(const JsonValue *object, const char *key, MirrorSource *source, GError **error)
{
    const char *text = NULL;
    if (source->kind != SOURCE_PEER)
        return TRUE;
    if (!json_get_string(object, key, JSON_REQUIRED, LIMIT_SOURCE_NAME_BYTES, &text, error))
        return FALSE;
    return base64_decode_exact(text, source->key.bytes, sizeof source->key.bytes) ||
           set_malformed(error, key, "not base64 of a public key");
}

static gboolean read_member(const JsonValue *object, const Member *member, MirrorSource *source,
                            GError **error)
{
    gpointer at = (guint8 *)source + member->offset;
    gint64 number = 0;
    guint index = 0;
    switch (member->kind) {
    case TEXT:
        return read_text(object, member->key, at, error);
    case GLOBS:
        return read_globs(object, member->key, *(GPtrArray **)at, error);
    case SWITCH:
        return json_get_boolean(object, member->key, JSON_REQUIRED, at, error);
    case COUNT:
        if (!read_number(object, member->key, G_MAXINT, &number, error))
            return FALSE;
        *(guint *)at = (guint)number;
        return TRUE;
    case SIZE:
        if (!read_number(object, member->key, G_MAXINT64, &number, error))
            return FALSE;
        *(guint64 *)at = (guint64)number;
        return TRUE;
    case POLICY:
        if (!read_name(object, member->key, source_policy_names, &index, error))
            return FALSE;
        source->policy = index;
        return TRUE;
    case KIND:
        return TRUE; /* read before everything else */
    case KEY:
        return read_key(object, member->key, source, error);
    }
    g_assert_not_reached();
}

MirrorSource *source_read(const JsonValue *value, GError **error)
{
    guint kind = 0;
    const char *name = NULL, *wrong = NULL;
    if (json_value_kind(value) != JSON_OBJECT) {
        set_malformed(error, json_kind_name(json_value_kind(value)), "expected an object");
        return NULL;
    }
    if (!read_name(value, "kind", kind_names, &kind, error) ||
        !json_get_string(value, "name", JSON_REQUIRED, LIMIT_SOURCE_NAME_BYTES, &name, error) ||
        !json_get_string(value, "url", JSON_REQUIRED, LIMIT_FETCH_URL_BYTES, &wrong, error))
        return NULL;
    g_autoptr(MirrorSource) source = source_new((SourceKind)kind, name);
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        if (!read_member(value, &members[i], source, error))
            return NULL;
    }
    if (!source_check(source, &wrong, error)) {
        g_prefix_error(error, "source: %s: ", wrong);
        return NULL;
    }
    return g_steal_pointer(&source);
}
