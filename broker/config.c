/* SPDX-License-Identifier: MIT
 *
 * Loading goes in one direction: defaults, then the file, then the command line, then what follows from the
 * combination (TLS), then the checks that need more than one value. Each step only changes a Config that
 * nobody else has seen yet.
 */
#include "broker/config.h"

#include "broker/config_address.h"
#include "broker/config_keys.h"
#include "schema/limits.h"
#include "schema/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS_DEFAULT_MAX = 8, WORKERS_DEFAULT_MIN = 2, WORKERS_DEFAULT_MAX = 16 };

static const char default_listen[] = "0.0.0.0:8000";
static const char default_api[] = "127.0.0.1:7666";

/* --- Life cycle --- */

Config *config_ref(Config *config)
{
    g_atomic_ref_count_inc(&config->refs);
    return config;
}

void config_unref(Config *config)
{
    if (config == NULL || !g_atomic_ref_count_dec(&config->refs))
        return;
    g_free(config->data_dir);
    g_free(config->file);
    g_free(config->name);
    g_clear_pointer(&config->listen, g_array_unref);
    g_clear_pointer(&config->listen_tls, g_array_unref);
    config_address_clear(&config->api);
    g_free(config->tls_cert);
    g_free(config->tls_key);
    g_free(config->packs_dir);
    g_free(config->trust_file);
    g_free(config->admin_tokens_file);
    g_clear_pointer(&config->proxies, g_array_unref);
    g_free(config->store_dir);
    g_free(config->read_tokens_file);
    g_clear_pointer(&config->sources, g_ptr_array_unref);
    g_clear_pointer(&config->warnings, g_ptr_array_unref);
    g_free(config);
}

/* --- Defaults --- */

static void set_default_networks(Config *config)
{
    static const char *const trusted[] = {"127.0.0.0/8", "::1/128"};
    config->proxies = g_array_new(FALSE, FALSE, sizeof(ConfigNetwork));
    for (guint i = 0; i < G_N_ELEMENTS(trusted); i++) {
        ConfigNetwork network;
        gboolean parsed = config_network_parse(trusted[i], &network, NULL);
        g_assert(parsed);
        g_array_append_val(config->proxies, network);
    }
}

static void set_default_limits(Config *config)
{
    config->page_cache_bytes = LIMIT_PAGE_CACHE_BYTES;
    config->limits.search_per_minute = LIMIT_SEARCH_PER_MINUTE;
    config->limits.register_per_minute = LIMIT_REGISTER_PER_MINUTE;
    config->limits.nodes = LIMIT_NODES;
    config->limits.connections = LIMIT_HTTP_CONNECTIONS;
    config->limits.connections_per_ip = LIMIT_HTTP_CONNECTIONS_PER_IP;
    config->limits.pending_queries = LIMIT_PENDING_QUERIES;
    config->limits.pending_per_ip = LIMIT_PENDING_PER_IP;
    config->limits.node_messages_per_second = LIMIT_WS_MESSAGES_PER_SECOND;
    config->limits.store_bytes = LIMIT_STORE_BYTES;
}

/* `data_dir` is absolute. */
static Config *config_new_default(const char *data_dir)
{
    Config *config = g_new0(Config, 1);
    g_atomic_ref_count_init(&config->refs);
    config->data_dir = g_strdup(data_dir);
    config->name = g_strdup(config_name_is_valid(g_get_host_name()) ? g_get_host_name() : "kontor");
    config->listen = config_addresses_new();
    config->listen_tls = config_addresses_new();
    ConfigAddress listen = {0};
    gboolean parsed =
        config_address_parse(default_listen, &listen, NULL) && config_api_parse(config, default_api, NULL);
    g_assert(parsed);
    g_array_append_val(config->listen, listen);
    config->packs_dir = g_build_filename(data_dir, "packs", NULL);
    config->trust_file = g_build_filename(data_dir, "trusted_publishers.yaml", NULL);
    config->store_dir = g_build_filename(data_dir, "store", NULL);
    config->read_tokens_file = g_build_filename(data_dir, "read_tokens.json", NULL);
    config->sources = g_ptr_array_new_with_free_func((GDestroyNotify)source_unref);
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    config->releases_kept = LIMIT_RELEASES_KEPT;
    config->signed_local = CONFIG_SIGNED_PREFERRED;
    config->signed_mirrors = CONFIG_SIGNED_REQUIRED;
    config->threads = CLAMP(g_get_num_processors(), 1, THREADS_DEFAULT_MAX);
    config->workers = CLAMP(g_get_num_processors(), WORKERS_DEFAULT_MIN, WORKERS_DEFAULT_MAX);
    config->log_format = CONFIG_LOG_AUTO;
    config->log_address = CONFIG_IP_TRUNCATED;
    config->log_access = TRUE;
    set_default_networks(config);
    set_default_limits(config);
    return config;
}

/* --- The file --- */

/* The bytes of a regular file of at most LIMIT_CONFIG_BYTES. */
static GBytes *read_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        kontor_error_set_errno(error, errno, "%s", path);
        return NULL;
    }
    struct stat st;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gssize got = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "%s: not a regular file", path);
        close(fd);
        return NULL;
    }
    do {
        guint8 chunk[8192];
        got = read(fd, chunk, sizeof chunk);
        if (got > 0)
            g_byte_array_append(bytes, chunk, (guint)got);
    } while ((got > 0 && bytes->len <= LIMIT_CONFIG_BYTES) || (got < 0 && errno == EINTR));
    if (got < 0)
        kontor_error_set_errno(error, errno, "%s", path);
    close(fd);
    return got < 0 ? NULL : g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
}

/* *ret_doc stays NULL when there is no file and none was asked for by name. */
static gboolean parse_file(Config *config, const ConfigOverrides *overrides, YamlDoc **ret_doc,
                           GError **error)
{
    g_autoptr(GError) local = NULL;
    const char *text = overrides->text;
    g_autoptr(GBytes) bytes =
        text != NULL ? g_bytes_new_static(text, strlen(text)) : read_file(config->file, &local);
    config->file_exists = bytes != NULL;
    if (bytes == NULL && overrides->file == NULL &&
        g_error_matches(local, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
        return TRUE;
    if (bytes == NULL) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    *ret_doc = yamldoc_parse(config->file, data, len, LIMIT_CONFIG_BYTES, error);
    return *ret_doc != NULL;
}

/* --- The command line --- */

static gboolean override_listen(Config *config, char *const *listen, GError **error)
{
    g_array_set_size(config->listen, 0);
    for (guint i = 0; listen[i] != NULL; i++) {
        ConfigAddress address = {0};
        if (!config_address_parse(listen[i], &address, error)) {
            g_prefix_error(error, "--listen: ");
            return FALSE;
        }
        g_array_append_val(config->listen, address);
    }
    return TRUE;
}

static gboolean apply_overrides(Config *config, const ConfigOverrides *overrides, GError **error)
{
    if (overrides->listen != NULL && overrides->listen[0] != NULL &&
        !override_listen(config, overrides->listen, error))
        return FALSE;
    if (overrides->api != NULL && !config_api_parse(config, overrides->api, error)) {
        g_prefix_error(error, "--api: ");
        return FALSE;
    }
    if (overrides->packs_dir != NULL) {
        g_free(config->packs_dir);
        config->packs_dir = g_canonicalize_filename(overrides->packs_dir, NULL);
    }
    if (overrides->threads > LIMIT_IO_THREADS) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "--threads: '%u' is not between 1 and %u",
                    overrides->threads, LIMIT_IO_THREADS);
        return FALSE;
    }
    if (overrides->threads > 0)
        config->threads = overrides->threads;
    return TRUE;
}

/* --- What follows from the combination --- */

/* Sets "FILE:LINE: key: message" for a key of the file, or "FILE: key: message" when it is not there. */
static gboolean refuse_key(const Config *config, const YamlNode *root, const char *key, GError **error,
                           const char *message)
{
    const YamlNode *node =
        root != NULL && yamlnode_kind(root) == YAMLDOC_MAPPING ? yamlnode_get(root, key) : NULL;
    if (node != NULL)
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "%s", message);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: %s: %s", config->file, key, message);
    return FALSE;
}

static gboolean has_key(const YamlNode *root, const char *key)
{
    return root != NULL && yamlnode_kind(root) == YAMLDOC_MAPPING && yamlnode_get(root, key) != NULL;
}

/* With a certificate and no `listen_tls`, the public addresses speak TLS. */
static gboolean settle_tls(Config *config, const YamlNode *root, GError **error)
{
    if ((config->tls_cert == NULL) != (config->tls_key == NULL))
        return refuse_key(config, root, "tls", error, "cert and key are needed together");
    if (config->tls_cert == NULL && config->listen_tls->len > 0)
        return refuse_key(config, root, "listen_tls", error, "needs tls.cert and tls.key");
    if (config->tls_cert != NULL && !has_key(root, "listen_tls")) {
        g_array_unref(config->listen_tls);
        config->listen_tls = g_steal_pointer(&config->listen);
        config->listen = config_addresses_new();
    }
    if (config->listen->len + config->listen_tls->len == 0)
        return refuse_key(config, root, "listen", error, "no address to serve on");
    return TRUE;
}

/* The same address and port twice would fail when binding, with a message that helps less. */
static gboolean check_addresses_differ(const Config *config, const YamlNode *root, GError **error)
{
    const struct {
        const char *key;
        const GArray *addresses;
    } lists[] = {{"listen", config->listen}, {"listen_tls", config->listen_tls}};
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (config->api_enabled && config->api.port != 0)
        g_hash_table_add(seen, config_address_format(&config->api));
    for (guint i = 0; i < G_N_ELEMENTS(lists); i++) {
        for (guint j = 0; j < lists[i].addresses->len; j++) {
            const ConfigAddress *address = &g_array_index(lists[i].addresses, ConfigAddress, j);
            if (address->port == 0 || g_hash_table_add(seen, config_address_format(address)))
                continue;
            g_autofree char *shown = config_address_format(address);
            g_autofree char *message = g_strdup_printf("%s is given twice", shown);
            return refuse_key(config, root, lists[i].key, error, message);
        }
    }
    return TRUE;
}

/* --- Loading --- */

static char *resolve_data_dir(const ConfigOverrides *overrides)
{
    const char *given = overrides->data_dir;
    if (given == NULL || *given == '\0')
        given = g_getenv("KONTOR_DATA");
    if (given != NULL && *given != '\0')
        return g_canonicalize_filename(given, NULL);
    return g_build_filename(g_get_home_dir(), ".kontor", NULL);
}

/* Paths are printed as YAML and JSON later, so they must be text. */
static gboolean check_path_text(const char *option, const char *path, GError **error)
{
    if (path == NULL || g_utf8_validate(path, -1, NULL))
        return TRUE;
    g_autofree char *shown = text_for_message(path, strlen(path));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: '%s': not a UTF-8 path", option, shown);
    return FALSE;
}

Config *config_load(const ConfigOverrides *overrides, GError **error)
{
    static const ConfigOverrides none;
    if (overrides == NULL)
        overrides = &none;
    g_autofree char *data_dir = resolve_data_dir(overrides);
    if (!check_path_text("--data", data_dir, error) || !check_path_text("--config", overrides->file, error) ||
        !check_path_text("--packs", overrides->packs_dir, error))
        return NULL;
    g_autoptr(Config) config = config_new_default(data_dir);
    config->file = overrides->file != NULL ? g_canonicalize_filename(overrides->file, NULL)
                                           : g_build_filename(data_dir, "kontor.yaml", NULL);
    g_autoptr(YamlDoc) doc = NULL;
    if (!parse_file(config, overrides, &doc, error))
        return NULL;
    const YamlNode *root = doc != NULL ? yamldoc_root(doc) : NULL;
    if (root != NULL && !config_keys_read(config, root, error))
        return NULL;
    if (!apply_overrides(config, overrides, error) || !settle_tls(config, root, error) ||
        !check_addresses_differ(config, root, error))
        return NULL;
    return g_steal_pointer(&config);
}

char *config_to_yaml(const Config *config)
{
    return config_keys_write(config);
}
