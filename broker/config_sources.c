/* SPDX-License-Identifier: MIT */
#include "broker/config_sources.h"

#include "mirror/agent/source_check.h"
#include "schema/limits.h"
#include "schema/scalar.h"
#include "signing/note.h"

#include <string.h>

typedef enum {
    MEMBER_TEXT,
    MEMBER_REF,     /* ref and ref_is_tag */
    MEMBER_FILE,    /* char *: absolute */
    MEMBER_KEY,     /* key and key_name */
    MEMBER_GLOBS,   /* GPtrArray of char * */
    MEMBER_CHOICE,  /* an enum or a gboolean, by `choices` */
    MEMBER_SWITCH,  /* gboolean */
    MEMBER_SECONDS, /* guint, written as a duration */
    MEMBER_SIZE,    /* guint64 */
} MemberKind;

typedef struct {
    const char *name;
    MemberKind kind;
    gsize offset; /* of the member of MirrorSource */
    gboolean git, peer;
    const char *const *choices; /* names by value, NULL-terminated */
    guint64 max;
} Member;

static const char *const visibility_choices[] = {[FALSE] = "public", [TRUE] = "private", NULL};
static const char *const removals_choices[] = {[FALSE] = "keep", [TRUE] = "follow", NULL};

G_STATIC_ASSERT(sizeof(PackPolicy) == sizeof(guint));
G_STATIC_ASSERT(sizeof(gboolean) == sizeof(guint));

#define AT(member) offsetof(MirrorSource, member)
#define TIB (G_GUINT64_CONSTANT(1) << 40)

/* In the order in which they are printed; read in the same. */
static const Member members[] = {
    {"name", MEMBER_TEXT, AT(name), TRUE, TRUE},
    {"git", MEMBER_TEXT, AT(url), TRUE, FALSE},
    {"url", MEMBER_TEXT, AT(url), FALSE, TRUE},
    {"key", MEMBER_KEY, AT(key), FALSE, TRUE},
    {"branch", MEMBER_REF, FALSE, TRUE, FALSE},
    {"tag", MEMBER_REF, TRUE, TRUE, FALSE},
    {"path", MEMBER_TEXT, AT(path), TRUE, FALSE},
    {"pack", MEMBER_TEXT, AT(pack), TRUE, FALSE},
    {"include", MEMBER_GLOBS, AT(include), TRUE, TRUE},
    {"exclude", MEMBER_GLOBS, AT(exclude), TRUE, TRUE},
    {"token_file", MEMBER_FILE, AT(token_file), TRUE, TRUE},
    {"user", MEMBER_TEXT, AT(user), TRUE, FALSE},
    {"ssh_key", MEMBER_FILE, AT(ssh_key_file), TRUE, FALSE},
    {"known_hosts", MEMBER_FILE, AT(known_hosts_file), TRUE, FALSE},
    {"netrc", MEMBER_FILE, AT(netrc_file), TRUE, FALSE},
    {"ca", MEMBER_FILE, AT(ca_file), TRUE, TRUE},
    {"visibility", MEMBER_CHOICE, AT(is_private), TRUE, TRUE, visibility_choices},
    {"signed", MEMBER_CHOICE, AT(policy), TRUE, TRUE, source_policy_names},
    {"require_release", MEMBER_SWITCH, AT(require_release), TRUE, TRUE},
    {"removals", MEMBER_CHOICE, AT(follow_removals), TRUE, TRUE, removals_choices},
    {"interval", MEMBER_SECONDS, AT(interval_s), TRUE, TRUE, .max = LIMIT_SOURCE_INTERVAL_MAX_SECONDS},
    {"max_time", MEMBER_SECONDS, AT(time_max_s), TRUE, TRUE, .max = LIMIT_SOURCE_SECONDS_MAX},
    {"max_bytes", MEMBER_SIZE, AT(bytes_max), TRUE, TRUE, .max = 1024 * TIB},
    {"paused", MEMBER_SWITCH, AT(paused), TRUE, TRUE},
};

static gboolean is_of(const Member *member, SourceKind kind)
{
    return kind == SOURCE_GIT ? member->git : member->peer;
}

const char *config_sources_key(SourceKind kind)
{
    return kind == SOURCE_GIT ? "mirrors" : "peers";
}

const char **config_sources_keys(SourceKind kind)
{
    const char **keys = g_new0(const char *, G_N_ELEMENTS(members) + 1);
    guint count = 0;
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        if (is_of(&members[i], kind))
            keys[count++] = members[i].name;
    }
    return keys;
}

/* --- Keys of peers --- */

gboolean config_peer_key_parse(const char *text, PublicKey *ret_key, char **ret_name, GError **error)
{
    *ret_name = NULL;
    if (base64_decode_exact(text, ret_key->bytes, sizeof ret_key->bytes))
        return TRUE;
    if (strchr(text, '+') != NULL && strlen(text) > 44)
        return note_verifier_key_parse(text, ret_name, ret_key, error);
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                        "expected the peer's public key: base64 of 32 bytes, or the verifier key that its "
                        "/version shows (name+hash+base64)");
    return FALSE;
}

char *config_peer_key_print(const PublicKey *key, const char *name)
{
    return name != NULL ? note_verifier_key_print(name, key) : base64_encode(key->bytes, sizeof key->bytes);
}

/* --- Reading values --- */

static gboolean read_text(char **ret, const YamlNode *node, gsize bytes_max, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, bytes_max, &text, error))
        return FALSE;
    g_free(*ret);
    *ret = g_strdup(text);
    return TRUE;
}

static gboolean read_ref(MirrorSource *source, gboolean is_tag, const YamlNode *node, GError **error)
{
    if (source->ref != NULL)
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error,
                              "given together with branch; keep one of them");
    source->ref_is_tag = is_tag;
    return read_text(&source->ref, node, LIMIT_SOURCE_REF_BYTES, error);
}

static gboolean read_file(const Config *config, char **ret, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, LIMIT_SOURCE_FILE_BYTES, &text, error))
        return FALSE;
    if (*text == '\0')
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error,
                              "expected the name of a file, found nothing");
    g_free(*ret);
    *ret = g_canonicalize_filename(text, config->data_dir);
    return TRUE;
}

static gboolean read_key(MirrorSource *source, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, LIMIT_KEY_NAME_BYTES + 128, &text, error))
        return FALSE;
    return config_peer_key_parse(text, &source->key, &source->key_name, error) ||
           yamlnode_prefix_error(node, error);
}

static gboolean read_glob(GPtrArray *globs, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, LIMIT_PACK_PATH_BYTES, &text, error))
        return FALSE;
    if (!trust_glob_check(text, error))
        return yamlnode_prefix_error(node, error);
    g_ptr_array_add(globs, g_strdup(text));
    return TRUE;
}

/* A list, or one glob alone. */
static gboolean read_globs(GPtrArray *globs, const YamlNode *node, GError **error)
{
    g_ptr_array_set_size(globs, 0);
    if (yamlnode_kind(node) == YAMLDOC_SCALAR && !yamlnode_is_null(node))
        return read_glob(globs, node, error);
    if (!yamlnode_check_kind(node, YAMLDOC_SEQUENCE, error))
        return FALSE;
    if (yamlnode_count(node) > LIMIT_SOURCE_GLOBS)
        return yamlnode_error(node, KONTOR_ERROR_LIMIT, error, "more than %d globs", LIMIT_SOURCE_GLOBS);
    for (const YamlNode *item = yamlnode_first(node); item != NULL; item = yamlnode_next(item)) {
        if (!read_glob(globs, item, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_choice(guint *ret, const char *const *choices, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, LIMIT_SOURCE_NAME_BYTES, &text, error))
        return FALSE;
    for (guint i = 0; choices[i] != NULL; i++) {
        if (g_str_equal(text, choices[i])) {
            *ret = i;
            return TRUE;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)(gsize)choices);
    return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "expected one of %s", all);
}

static gboolean read_seconds(guint *ret, const Member *member, const YamlNode *node, GError **error)
{
    gint64 ms = 0;
    if (!yamlnode_get_duration(node, 1000, (gint64)member->max * 1000, &ms, error))
        return FALSE;
    *ret = (guint)((ms + 999) / 1000);
    return TRUE;
}

static gboolean read_member(const Config *config, MirrorSource *source, const Member *member,
                            const YamlNode *node, GError **error)
{
    gpointer at = (guint8 *)source + member->offset;
    switch (member->kind) {
    case MEMBER_TEXT:
        return read_text(at, node, LIMIT_FETCH_URL_BYTES, error);
    case MEMBER_REF:
        return read_ref(source, member->offset == TRUE, node, error);
    case MEMBER_FILE:
        return read_file(config, at, node, error);
    case MEMBER_KEY:
        return read_key(source, node, error);
    case MEMBER_GLOBS:
        return read_globs(*(GPtrArray **)at, node, error);
    case MEMBER_CHOICE:
        return read_choice(at, member->choices, node, error);
    case MEMBER_SWITCH:
        return yamlnode_get_boolean(node, at, error);
    case MEMBER_SECONDS:
        return read_seconds(at, member, node, error);
    case MEMBER_SIZE:
        return yamlnode_get_size(node, 1, member->max, at, error);
    }
    g_assert_not_reached();
}

/* --- Reading items --- */

static const MirrorSource *find_named(const Config *config, const char *name)
{
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *other = g_ptr_array_index(config->sources, i);
        if (g_str_equal(other->name, name))
            return other;
    }
    return NULL;
}

static gboolean check_required(const YamlNode *item, SourceKind kind, GError **error)
{
    static const struct {
        const char *key, *what;
    } required[][4] = {
        [SOURCE_GIT] = {{"name", "a name of your choice"},
                        {"git", "the URL of the repository"},
                        {NULL, NULL}},
        [SOURCE_PEER] = {{"name", "a name of your choice"},
                         {"url", "the URL of the broker"},
                         {"key", "the broker's public key, which its /version shows"},
                         {NULL, NULL}},
    };
    for (guint i = 0; required[kind][i].key != NULL; i++) {
        if (yamlnode_get(item, required[kind][i].key) == NULL)
            return yamlnode_error(item, KONTOR_ERROR_MALFORMED, error, "has no '%s': %s",
                                  required[kind][i].key, required[kind][i].what);
    }
    return TRUE;
}

/* What the members say together. The complaint stands at the member it is about, or at the item when that is
 * not there. */
static gboolean check_whole(const Config *config, const MirrorSource *source, const YamlNode *item,
                            GError **error)
{
    const char *member = NULL;
    if (!source_check(source, &member, error)) {
        const YamlNode *node = yamlnode_get(item, member);
        return yamlnode_prefix_error(node != NULL ? node : item, error);
    }
    if (find_named(config, source->name) != NULL)
        return yamlnode_error(yamlnode_get(item, "name"), KONTOR_ERROR_MALFORMED, error,
                              "another source has this name; mirrors and peers need different ones");
    return TRUE;
}

static void warn_of_same(Config *config, const MirrorSource *source, const YamlNode *item)
{
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *other = g_ptr_array_index(config->sources, i);
        if (!source_same_origin(source, other))
            continue;
        g_ptr_array_add(config->warnings,
                        g_strdup_printf("%s:%u: '%s' and '%s' fetch from the same place", config->file,
                                        yamlnode_line(item), other->name, source->name));
    }
}

static MirrorSource *read_item(const Config *config, SourceKind kind, const YamlNode *item, GError **error)
{
    g_autofree const char **known = config_sources_keys(kind);
    if (yamlnode_kind(item) != YAMLDOC_MAPPING) {
        yamlnode_check_kind(item, YAMLDOC_MAPPING, error);
        if (error == NULL || *error == NULL) /* null counts as an empty mapping elsewhere */
            yamlnode_error(item, KONTOR_ERROR_MALFORMED, error, "expected a mapping, found nothing");
        return NULL;
    }
    if (!yamlnode_check_keys(item, known, error) || !check_required(item, kind, error))
        return NULL;
    g_autoptr(MirrorSource) source = source_new(kind, "");
    source->policy = (PackPolicy)config->signed_mirrors;
    source->is_private = kind == SOURCE_PEER && yamlnode_get(item, "token_file") != NULL;
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        const YamlNode *node = is_of(&members[i], kind) ? yamlnode_get(item, members[i].name) : NULL;
        if (node != NULL && !read_member(config, source, &members[i], node, error))
            return NULL;
    }
    return check_whole(config, source, item, error) ? g_steal_pointer(&source) : NULL;
}

gboolean config_sources_read(Config *config, SourceKind kind, const YamlNode *list, GError **error)
{
    if (!yamlnode_check_kind(list, YAMLDOC_SEQUENCE, error))
        return FALSE;
    if (yamlnode_count(list) + config->sources->len > LIMIT_SOURCES)
        return yamlnode_error(list, KONTOR_ERROR_LIMIT, error, "more than %d sources", LIMIT_SOURCES);
    for (const YamlNode *item = yamlnode_first(list); item != NULL; item = yamlnode_next(item)) {
        MirrorSource *source = read_item(config, kind, item, error);
        if (source == NULL)
            return FALSE;
        warn_of_same(config, source, item);
        g_ptr_array_add(config->sources, source);
    }
    return TRUE;
}

/* --- Writing --- */

/* The policies of a source and of the configuration are the same choice in two layers. */
G_STATIC_ASSERT((int)CONFIG_SIGNED_OFF == (int)PACK_POLICY_OFF);
G_STATIC_ASSERT((int)CONFIG_SIGNED_PREFERRED == (int)PACK_POLICY_PREFERRED);
G_STATIC_ASSERT((int)CONFIG_SIGNED_REQUIRED == (int)PACK_POLICY_REQUIRED);

static char *print_globs(const GPtrArray *globs)
{
    g_autoptr(GString) out = g_string_new("[");
    for (guint i = 0; i < globs->len; i++) {
        g_autofree char *quoted = yamldoc_quote(g_ptr_array_index(globs, i));
        g_string_append_printf(out, "%s%s", i > 0 ? ", " : "", quoted);
    }
    g_string_append_c(out, ']');
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *quote_or_null(const char *text)
{
    return text != NULL ? yamldoc_quote(text) : NULL;
}

/* The value as YAML, a new string; NULL when there is nothing to say. */
static char *print_member(const MirrorSource *source, const Member *member)
{
    gconstpointer at = (const guint8 *)source + member->offset;
    g_autofree char *key = NULL;
    switch (member->kind) {
    case MEMBER_TEXT:
    case MEMBER_FILE:
        return quote_or_null(*(char *const *)at);
    case MEMBER_REF:
        return source->ref_is_tag == (gboolean)member->offset ? quote_or_null(source->ref) : NULL;
    case MEMBER_KEY:
        key = config_peer_key_print(&source->key, source->key_name);
        return yamldoc_quote(key);
    case MEMBER_GLOBS:
        return print_globs(*(GPtrArray *const *)at);
    case MEMBER_CHOICE:
        return g_strdup(member->choices[*(const guint *)at]);
    case MEMBER_SWITCH:
        return g_strdup(*(const gboolean *)at ? "true" : "false");
    case MEMBER_SECONDS:
        return scalar_format_duration((gint64) * (const guint *)at * 1000);
    case MEMBER_SIZE:
        return scalar_format_size(*(const guint64 *)at);
    }
    g_assert_not_reached();
}

void config_sources_write(const Config *config, SourceKind kind, GString *out)
{
    gboolean any = FALSE;
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        if (source->kind != kind)
            continue;
        any = TRUE;
        gboolean first = TRUE;
        for (guint j = 0; j < G_N_ELEMENTS(members); j++) {
            g_autofree char *value = is_of(&members[j], kind) ? print_member(source, &members[j]) : NULL;
            if (value == NULL)
                continue;
            g_string_append_printf(out, "\n%s%s: %s", first ? "  - " : "    ", members[j].name, value);
            first = FALSE;
        }
    }
    if (!any)
        g_string_append(out, " []");
}
