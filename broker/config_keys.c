/* SPDX-License-Identifier: MIT */
#include "broker/config_keys.h"

#include "broker/config_address.h"
#include "broker/config_sources.h"
#include "schema/limits.h"
#include "schema/scalar.h"
#include "schema/text.h"

#include <string.h>

typedef enum {
    KIND_NAME,      /* char *: how the broker signs itself */
    KIND_PATH,      /* char *: absolute path, or NULL when not given */
    KIND_ADDRESSES, /* GArray of ConfigAddress */
    KIND_API,       /* api and api_enabled */
    KIND_NETWORKS,  /* GArray of ConfigNetwork */
    KIND_COUNT,     /* guint between min and max */
    KIND_SIZE,      /* guint64 between min and max */
    KIND_SWITCH,    /* gboolean */
    KIND_CHOICE,    /* an enum, by `choices` */
    KIND_SECTION,   /* a mapping whose keys follow in the table */
    KIND_SOURCES,   /* a list of sources of the kind `min`, into the common list */
} Kind;

typedef struct {
    const char *section; /* NULL for top-level keys */
    const char *name;
    Kind kind;
    gsize offset; /* of the member of Config */
    guint64 min, max;
    const char *const *choices; /* names by enum value, NULL-terminated */
} Key;

static const char *const signed_choices[] = {[CONFIG_SIGNED_OFF] = "off",
                                             [CONFIG_SIGNED_PREFERRED] = "preferred",
                                             [CONFIG_SIGNED_REQUIRED] = "required",
                                             NULL};
static const char *const format_choices[] = {
    [CONFIG_LOG_AUTO] = "auto", [CONFIG_LOG_TEXT] = "text", [CONFIG_LOG_JSON] = "json", NULL};
static const char *const address_choices[] = {
    [CONFIG_IP_TRUNCATED] = "truncated", [CONFIG_IP_FULL] = "full", [CONFIG_IP_NONE] = "none", NULL};

G_STATIC_ASSERT(sizeof(ConfigSigned) == sizeof(guint));
G_STATIC_ASSERT(sizeof(ConfigLogFormat) == sizeof(guint));
G_STATIC_ASSERT(sizeof(ConfigLogAddress) == sizeof(guint));

enum {
    COUNT_MAX = 1000000,
    ADDRESSES_MAX = 64,
    NETWORKS_MAX = 1024,
    NAME_BYTES_MAX = 128,
    PATH_BYTES_MAX = 4095,
    RELEASES_MAX = 1000
};

#define AT(member) offsetof(Config, member)
#define GIB (G_GUINT64_CONSTANT(1) << 30)

/* Sections stand before their keys, and sources behind everything that their defaults come from. */
static const Key keys[] = {
    {NULL, "name", KIND_NAME, AT(name)},
    {NULL, "listen", KIND_ADDRESSES, AT(listen)},
    {NULL, "listen_tls", KIND_ADDRESSES, AT(listen_tls)},
    {NULL, "api", KIND_API},
    {NULL, "tls", KIND_SECTION},
    {"tls", "cert", KIND_PATH, AT(tls_cert)},
    {"tls", "key", KIND_PATH, AT(tls_key)},
    {NULL, "packs", KIND_PATH, AT(packs_dir)},
    {NULL, "trust", KIND_PATH, AT(trust_file)},
    {NULL, "signed", KIND_SECTION},
    {"signed", "local", KIND_CHOICE, AT(signed_local), .choices = signed_choices},
    {"signed", "mirrors", KIND_CHOICE, AT(signed_mirrors), .choices = signed_choices},
    {NULL, "admin_tokens_file", KIND_PATH, AT(admin_tokens_file)},
    {NULL, "proxies", KIND_NETWORKS, AT(proxies)},
    {NULL, "threads", KIND_COUNT, AT(threads), 1, LIMIT_IO_THREADS},
    {NULL, "workers", KIND_COUNT, AT(workers), 1, LIMIT_WORKERS},
    {NULL, "log", KIND_SECTION},
    {"log", "format", KIND_CHOICE, AT(log_format), .choices = format_choices},
    {"log", "address", KIND_CHOICE, AT(log_address), .choices = address_choices},
    {"log", "access", KIND_SWITCH, AT(log_access)},
    {NULL, "page_cache", KIND_SIZE, AT(page_cache_bytes), 0, 64 * GIB},
    {NULL, "limits", KIND_SECTION},
    {"limits", "search_per_minute", KIND_COUNT, AT(limits.search_per_minute), 0, COUNT_MAX},
    {"limits", "register_per_minute", KIND_COUNT, AT(limits.register_per_minute), 0, COUNT_MAX},
    {"limits", "nodes", KIND_COUNT, AT(limits.nodes), 1, COUNT_MAX},
    {"limits", "connections", KIND_COUNT, AT(limits.connections), 1, COUNT_MAX},
    {"limits", "connections_per_ip", KIND_COUNT, AT(limits.connections_per_ip), 1, COUNT_MAX},
    {"limits", "pending_queries", KIND_COUNT, AT(limits.pending_queries), 1, COUNT_MAX},
    {"limits", "pending_per_ip", KIND_COUNT, AT(limits.pending_per_ip), 1, COUNT_MAX},
    {"limits", "node_messages_per_second", KIND_COUNT, AT(limits.node_messages_per_second), 1, COUNT_MAX},
    {"limits", "store", KIND_SIZE, AT(limits.store_bytes), 0, 1024 * 1024 * GIB},
    {"limits", "releases", KIND_COUNT, AT(releases_kept), 1, RELEASES_MAX},
    {NULL, "mirrors", KIND_SOURCES, .min = SOURCE_GIT},
    {NULL, "peers", KIND_SOURCES, .min = SOURCE_PEER},
};

static gpointer member_at(Config *config, const Key *key)
{
    return (guint8 *)config + key->offset;
}

static gconstpointer const_member_at(const Config *config, const Key *key)
{
    return (const guint8 *)config + key->offset;
}

static gboolean is_in_section(const Key *key, const char *section)
{
    return g_strcmp0(key->section, section) == 0;
}

static void clear_address(gpointer address)
{
    config_address_clear(address);
}

GArray *config_addresses_new(void)
{
    GArray *addresses = g_array_new(FALSE, FALSE, sizeof(ConfigAddress));
    g_array_set_clear_func(addresses, clear_address);
    return addresses;
}

/* --- Values that the command line gives too --- */

gboolean config_name_is_valid(const char *name)
{
    gsize len = strnlen(name, NAME_BYTES_MAX + 1);
    if (len == 0 || len > NAME_BYTES_MAX || !g_utf8_validate(name, (gssize)len, NULL))
        return FALSE;
    for (gsize pos = 0; pos < len;) {
        gunichar c = 0;
        pos += text_char_decode(name + pos, len - pos, &c);
        if (c == '+' || c == '/' || text_is_space(c) || g_unichar_iscntrl(c))
            return FALSE;
    }
    return TRUE;
}

gboolean config_api_parse(Config *config, const char *text, GError **error)
{
    if (g_str_equal(text, "off")) {
        config->api_enabled = FALSE;
        return TRUE;
    }
    ConfigAddress address = {0};
    if (!config_address_parse(text, &address, error))
        return FALSE;
    if (!config_address_is_loopback(&address)) {
        g_autofree char *shown = config_address_format(&address);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "%s is not a loopback address; this interface gives full control, so only 127.0.0.0/8 "
                    "and [::1] are accepted",
                    shown);
        config_address_clear(&address);
        return FALSE;
    }
    config_address_clear(&config->api);
    config->api = address;
    config->api_enabled = TRUE;
    return TRUE;
}

/* --- Reading --- */

/* The name is the origin of signed notes and stands before "/catalog" there, so what separates the parts of a
 * note's key name is refused. */
static gboolean read_name(char **member, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, NAME_BYTES_MAX, &text, error))
        return FALSE;
    if (!config_name_is_valid(text))
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error,
                              "expected a name without blanks, '+' and '/', such as library.example");
    g_free(*member);
    *member = g_strdup(text);
    return TRUE;
}

static gboolean read_path(Config *config, char **member, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, PATH_BYTES_MAX, &text, error))
        return FALSE;
    if (*text == '\0')
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "expected a path, found nothing");
    g_free(*member);
    *member = g_canonicalize_filename(text, config->data_dir);
    return TRUE;
}

static gboolean append_address(GArray *addresses, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    ConfigAddress address = {0};
    if (!yamlnode_get_text(node, NAME_BYTES_MAX, &text, error))
        return FALSE;
    if (!config_address_parse(text, &address, error))
        return yamlnode_prefix_error(node, error);
    g_array_append_val(addresses, address);
    return TRUE;
}

static gboolean append_network(GArray *networks, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    ConfigNetwork network;
    if (!yamlnode_get_text(node, NAME_BYTES_MAX, &text, error))
        return FALSE;
    if (!config_network_parse(text, &network, error))
        return yamlnode_prefix_error(node, error);
    g_array_append_val(networks, network);
    return TRUE;
}

/* A list, or one value alone. */
static gboolean read_list(GArray *list, const YamlNode *node, guint count_max,
                          gboolean (*append)(GArray *, const YamlNode *, GError **), GError **error)
{
    g_array_set_size(list, 0);
    if (yamlnode_kind(node) == YAMLDOC_SCALAR && !yamlnode_is_null(node))
        return append(list, node, error);
    if (!yamlnode_check_kind(node, YAMLDOC_SEQUENCE, error))
        return FALSE;
    if (yamlnode_count(node) > count_max)
        return yamlnode_error(node, KONTOR_ERROR_LIMIT, error, "more than %u items", count_max);
    for (const YamlNode *item = yamlnode_first(node); item != NULL; item = yamlnode_next(item)) {
        if (!append(list, item, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_api(Config *config, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, NAME_BYTES_MAX, &text, error))
        return FALSE;
    return config_api_parse(config, text, error) || yamlnode_prefix_error(node, error);
}

static gboolean read_count(guint *member, const Key *key, const YamlNode *node, GError **error)
{
    gint64 value = 0;
    if (!yamlnode_get_integer(node, (gint64)key->min, (gint64)key->max, &value, error))
        return FALSE;
    *member = (guint)value;
    return TRUE;
}

static gboolean read_choice(guint *member, const Key *key, const YamlNode *node, GError **error)
{
    const char *text = NULL;
    if (!yamlnode_get_text(node, NAME_BYTES_MAX, &text, error))
        return FALSE;
    for (guint i = 0; key->choices[i] != NULL; i++) {
        if (g_str_equal(text, key->choices[i])) {
            *member = i;
            return TRUE;
        }
    }
    g_autoptr(GString) choices = g_string_new(key->choices[0]);
    for (guint i = 1; key->choices[i] != NULL; i++)
        g_string_append_printf(choices, ", %s", key->choices[i]);
    return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "expected one of %s", choices->str);
}

static gboolean read_section(Config *config, const char *section, const YamlNode *mapping, GError **error);

static gboolean read_value(Config *config, const Key *key, const YamlNode *node, GError **error)
{
    gpointer member = member_at(config, key);
    switch (key->kind) {
    case KIND_NAME:
        return read_name(member, node, error);
    case KIND_PATH:
        return read_path(config, member, node, error);
    case KIND_ADDRESSES:
        return read_list(*(GArray **)member, node, ADDRESSES_MAX, append_address, error);
    case KIND_API:
        return read_api(config, node, error);
    case KIND_NETWORKS:
        return read_list(*(GArray **)member, node, NETWORKS_MAX, append_network, error);
    case KIND_COUNT:
        return read_count(member, key, node, error);
    case KIND_SIZE:
        return yamlnode_get_size(node, key->min, key->max, member, error);
    case KIND_SWITCH:
        return yamlnode_get_boolean(node, member, error);
    case KIND_CHOICE:
        return read_choice(member, key, node, error);
    case KIND_SECTION:
        return read_section(config, key->name, node, error);
    case KIND_SOURCES:
        return config_sources_read(config, (SourceKind)key->min, node, error);
    }
    g_assert_not_reached();
}

static gboolean read_section(Config *config, const char *section, const YamlNode *mapping, GError **error)
{
    const char *known[G_N_ELEMENTS(keys) + 1];
    guint known_count = 0;
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (is_in_section(&keys[i], section))
            known[known_count++] = keys[i].name;
    }
    known[known_count] = NULL;
    if (!yamlnode_check_keys(mapping, known, error))
        return FALSE;
    if (yamlnode_kind(mapping) != YAMLDOC_MAPPING)
        return TRUE; /* null: nothing given */
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        const YamlNode *node = is_in_section(&keys[i], section) ? yamlnode_get(mapping, keys[i].name) : NULL;
        if (node != NULL && !read_value(config, &keys[i], node, error))
            return FALSE;
    }
    return TRUE;
}

gboolean config_keys_read(Config *config, const YamlNode *root, GError **error)
{
    return read_section(config, NULL, root, error);
}

/* --- Writing --- */

static void write_addresses(GString *out, const GArray *addresses)
{
    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *text = config_address_format(&g_array_index(addresses, ConfigAddress, i));
        g_string_append_printf(out, "%s\"%s\"", i > 0 ? ", " : "", text);
    }
}

static void write_networks(GString *out, const GArray *networks)
{
    for (guint i = 0; i < networks->len; i++) {
        g_autofree char *text = config_network_format(&g_array_index(networks, ConfigNetwork, i));
        g_string_append_printf(out, "%s\"%s\"", i > 0 ? ", " : "", text);
    }
}

static char *text_of_api(const Config *config)
{
    g_autofree char *address = config_address_format(&config->api);
    return config->api_enabled ? g_strdup_printf("\"%s\"", address) : g_strdup("off");
}

static void write_value(GString *out, const Config *config, const Key *key)
{
    gconstpointer member = const_member_at(config, key);
    g_autofree char *text = NULL;
    switch (key->kind) {
    case KIND_NAME:
    case KIND_PATH:
        text = yamldoc_quote(*(char *const *)member);
        break;
    case KIND_ADDRESSES:
    case KIND_NETWORKS:
        g_string_append_c(out, '[');
        (key->kind == KIND_ADDRESSES ? write_addresses : write_networks)(out, *(GArray *const *)member);
        g_string_append_c(out, ']');
        return;
    case KIND_API:
        text = text_of_api(config);
        break;
    case KIND_COUNT:
        text = g_strdup_printf("%u", *(const guint *)member);
        break;
    case KIND_SIZE:
        text = scalar_format_size(*(const guint64 *)member);
        break;
    case KIND_SWITCH:
        text = g_strdup(*(const gboolean *)member ? "true" : "false");
        break;
    case KIND_CHOICE:
        text = g_strdup(key->choices[*(const guint *)member]);
        break;
    case KIND_SOURCES:
        config_sources_write(config, (SourceKind)key->min, out);
        return;
    case KIND_SECTION:
        return;
    }
    g_string_append(out, text);
}

static gboolean is_given(const Config *config, const Key *key)
{
    if (key->kind == KIND_PATH)
        return *(char *const *)const_member_at(config, key) != NULL;
    return TRUE;
}

char *config_keys_write(const Config *config)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!is_given(config, &keys[i]))
            continue;
        g_string_append_printf(out, "%s%s:%s", keys[i].section != NULL ? "  " : "", keys[i].name,
                               keys[i].kind != KIND_SECTION && keys[i].kind != KIND_SOURCES ? " " : "");
        write_value(out, config, &keys[i]);
        g_string_append_c(out, '\n');
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char **config_keys_list(void)
{
    char **list = g_new0(char *, G_N_ELEMENTS(keys) + 1);
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        gboolean nested = keys[i].section != NULL;
        list[i] = g_strdup_printf("%s%s%s", nested ? keys[i].section : "", nested ? "." : "", keys[i].name);
    }
    return list;
}
