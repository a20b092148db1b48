/* SPDX-License-Identifier: MIT */
#include "schema/manifest.h"

#include "schema/limits.h"
#include "schema/text.h"
#include "schema/yaml_str.h"

#include <string.h>

static void source_free(gpointer data)
{
    ManifestSource *source = data;
    g_free(source->url);
    g_free(source->fetched);
    g_free(source->hash);
    g_free(source);
}

void manifest_free(Manifest *manifest)
{
    if (manifest == NULL)
        return;
    g_free(manifest->name);
    g_free(manifest->version);
    g_free(manifest->summary);
    g_free(manifest->description);
    g_free(manifest->brief);
    g_free(manifest->scope);
    g_free(manifest->language);
    g_free(manifest->min_node_version);
    g_strfreev(manifest->domains);
    g_ptr_array_unref(manifest->sources);
    g_free(manifest->warning);
    g_free(manifest);
}

/* The first complaint is kept: later ones usually follow from it. */
static void warn_once(Manifest *manifest, const YamlNode *node, const char *message)
{
    if (manifest->warning != NULL)
        return;
    g_autoptr(GError) error = NULL;
    yamlnode_error(node, KONTOR_ERROR_MALFORMED, &error, "%s", message);
    manifest->warning = g_strdup(error->message);
}

static char *text_of_scalar(Manifest *manifest, const YamlNode *scalar, gsize bytes_max)
{
    char *text = yaml_str_scalar(scalar);
    if (text == NULL)
        return g_strdup("");
    gsize len = strlen(text);
    if (len > bytes_max) {
        warn_once(manifest, scalar, "too long, cut");
        text[text_cut_bytes(text, len, bytes_max)] = '\0';
    }
    return text;
}

/* The text of member `key`, "" when there is none. */
static char *text_of_member(Manifest *manifest, const YamlNode *mapping, const char *key, gsize bytes_max)
{
    const YamlNode *node = yamlnode_get(mapping, key);
    if (node == NULL)
        return g_strdup("");
    if (yamlnode_kind(node) != YAMLDOC_SCALAR) {
        warn_once(manifest, node, "expected text");
        return g_strdup("");
    }
    return text_of_scalar(manifest, node, bytes_max);
}

static char **read_domains(Manifest *manifest, const YamlNode *root)
{
    g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func(g_free);
    const YamlNode *list = yamlnode_get(root, "domains");
    if (list != NULL && yamlnode_kind(list) == YAMLDOC_SCALAR && !yamlnode_is_null(list))
        g_ptr_array_add(domains, text_of_scalar(manifest, list, LIMIT_MANIFEST_TEXT_BYTES));
    else if (list != NULL && !yamlnode_check_kind(list, YAMLDOC_SEQUENCE, NULL))
        warn_once(manifest, list, "expected a list");
    const YamlNode *item = list != NULL && domains->len == 0 ? yamlnode_first(list) : NULL;
    for (; item != NULL && domains->len < LIMIT_MANIFEST_DOMAINS; item = yamlnode_next(item)) {
        if (yamlnode_kind(item) == YAMLDOC_SCALAR)
            g_ptr_array_add(domains, text_of_scalar(manifest, item, LIMIT_MANIFEST_TEXT_BYTES));
        else
            warn_once(manifest, item, "expected text");
    }
    if (item != NULL)
        warn_once(manifest, item, "too many domains, the rest is left out");
    g_ptr_array_add(domains, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&domains), FALSE);
}

static ManifestSource *read_source(Manifest *manifest, const YamlNode *item)
{
    ManifestSource *source = g_new0(ManifestSource, 1);
    if (yamlnode_kind(item) == YAMLDOC_SCALAR) { /* a bare URL */
        source->url = text_of_scalar(manifest, item, LIMIT_MANIFEST_TEXT_BYTES);
        source->fetched = g_strdup("");
        source->hash = g_strdup("");
        return source;
    }
    source->url = text_of_member(manifest, item, "url", LIMIT_MANIFEST_TEXT_BYTES);
    source->fetched = text_of_member(manifest, item, "fetched", LIMIT_MANIFEST_TEXT_BYTES);
    source->hash = text_of_member(manifest, item, "hash", LIMIT_MANIFEST_TEXT_BYTES);
    return source;
}

static void read_sources(Manifest *manifest, const YamlNode *root)
{
    const YamlNode *list = yamlnode_get(root, "sources");
    if (list == NULL)
        return;
    if (!yamlnode_check_kind(list, YAMLDOC_SEQUENCE, NULL)) {
        warn_once(manifest, list, "expected a list");
        return;
    }
    const YamlNode *item = yamlnode_first(list);
    for (; item != NULL && manifest->sources->len < LIMIT_MANIFEST_SOURCES; item = yamlnode_next(item)) {
        if (yamlnode_kind(item) == YAMLDOC_SEQUENCE)
            warn_once(manifest, item, "expected a mapping with url, fetched and hash");
        else
            g_ptr_array_add(manifest->sources, read_source(manifest, item));
    }
    if (item != NULL)
        warn_once(manifest, item, "too many sources, the rest is left out");
}

static void read_members(Manifest *manifest, const YamlNode *root)
{
    const struct {
        const char *key;
        char **ret;
        gsize bytes_max;
    } texts[] = {
        {"name", &manifest->name, LIMIT_MANIFEST_TEXT_BYTES},
        {"version", &manifest->version, LIMIT_MANIFEST_TEXT_BYTES},
        {"summary", &manifest->summary, LIMIT_SUMMARY_BYTES},
        {"description", &manifest->description, LIMIT_SUMMARY_BYTES},
        {"brief", &manifest->brief, LIMIT_SUMMARY_BYTES},
        {"scope", &manifest->scope, LIMIT_MANIFEST_TEXT_BYTES},
        {"language", &manifest->language, LIMIT_MANIFEST_TEXT_BYTES},
        {"min_node_version", &manifest->min_node_version, LIMIT_MANIFEST_TEXT_BYTES},
    };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        *texts[i].ret =
            root == NULL ? g_strdup("") : text_of_member(manifest, root, texts[i].key, texts[i].bytes_max);
    manifest->domains = root == NULL ? g_new0(char *, 1) : read_domains(manifest, root);
    if (root != NULL)
        read_sources(manifest, root);
}

Manifest *manifest_parse(const void *data, gsize len)
{
    Manifest *manifest = g_new0(Manifest, 1);
    manifest->sources = g_ptr_array_new_with_free_func(source_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(YamlDoc) doc = yamldoc_parse("manifest.yaml", data, len, LIMIT_MANIFEST_BYTES, &error);
    const YamlNode *root = doc != NULL ? yamldoc_root(doc) : NULL;
    if (doc == NULL) {
        manifest->warning = g_strdup(error->message);
    } else if (yamlnode_kind(root) != YAMLDOC_MAPPING) {
        warn_once(manifest, root, "not a mapping of keys to values");
        root = NULL;
    }
    read_members(manifest, root);
    return manifest;
}
