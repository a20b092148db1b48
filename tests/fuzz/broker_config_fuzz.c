/* SPDX-License-Identifier: MIT
 *
 * Any bytes as kontor.yaml: what loads is within its ranges, and its printed form loads to the same
 * configuration; what does not load is named with the file.
 */
#include "broker/config.h"

#include "broker/config_address.h"
#include "mirror/agent/source_check.h"
#include "schema/limits.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static char *path;

static void remove_file(void)
{
    g_unlink(path);
}

/* The loader reads files, so one file is written over and over, and removed at exit. */
static Config *load(const void *data, gsize size, GError **error)
{
    if (path == NULL) {
        int fd = g_file_open_tmp("kontor-fuzz-XXXXXX.yaml", &path, NULL);
        g_assert_cmpint(fd, >=, 0);
        close(fd);
        atexit(remove_file);
    }
    FILE *file = fopen(path, "we");
    g_assert_nonnull(file);
    g_assert_true(size == 0 || fwrite(data, 1, size, file) == size);
    g_assert_cmpint(fclose(file), ==, 0);
    ConfigOverrides overrides = {.data_dir = "/data", .file = path};
    return config_load(&overrides, error);
}

/* Every source passes the checks of its own module, is named once, and shows no user. */
static void check_sources(const Config *config)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        const char *member = NULL;
        g_assert_true(source_check(source, &member, NULL));
        g_assert_true(g_hash_table_add(names, source->name));
        g_autofree char *shown = source_shown_url(source);
        g_assert_true(source->url[0] == '/' || !g_str_has_prefix(source->url, "https://") ||
                      memchr(shown, '@', 8 + strcspn(shown + 8, "/")) == NULL);
        g_assert_true(source_same_origin(source, source));
    }
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load(data, size, &error);
    if (config == NULL) {
        g_assert_true(g_str_has_prefix(error->message, path) && strchr(error->message, '\n') == NULL);
        return 0;
    }
    g_assert_true(config->threads >= 1 && config->threads <= LIMIT_IO_THREADS);
    g_assert_true(!config->api_enabled || config_address_is_loopback(&config->api));
    g_assert_true(g_path_is_absolute(config->packs_dir) && g_path_is_absolute(config->trust_file));
    g_assert_cmpuint(config->listen->len + config->listen_tls->len, >, 0);
    check_sources(config);
    g_autofree char *yaml = config_to_yaml(config);
    g_autoptr(Config) again = load(yaml, strlen(yaml), &error);
    g_assert_no_error(error);
    g_autofree char *yaml_again = config_to_yaml(again);
    g_assert_cmpstr(yaml, ==, yaml_again);
    return 0;
}
