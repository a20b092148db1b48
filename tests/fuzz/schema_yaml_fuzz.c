/* SPDX-License-Identifier: MIT
 *
 * Any bytes as YAML: what parses is walked completely, every getter is tried on every node, and the tree
 * keeps its promises (parents before children, limits, keys found again).
 */
#include "schema/yamldoc.h"

#include "schema/limits.h"
#include "schema/yaml_str.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

enum { BYTES_MAX = 256 * 1024 };

static void try_getters(const YamlNode *node)
{
    const char *text = NULL;
    gint64 integer = 0;
    guint64 bytes = 0;
    gboolean truth = FALSE;
    g_autoptr(GError) error = NULL;
    if (!yamlnode_get_text(node, 100, &text, &error))
        g_assert_true(g_str_has_prefix(error->message, "fuzz:") && strchr(error->message, '\n') == NULL);
    if (yamlnode_get_integer(node, -5, 5, &integer, NULL))
        g_assert_true(integer >= -5 && integer <= 5);
    if (yamlnode_get_size(node, 1, 100, &bytes, NULL))
        g_assert_true(bytes >= 1 && bytes <= 100);
    yamlnode_get_boolean(node, &truth, NULL);
    yamlnode_get_duration(node, 0, 1000, &integer, NULL);
    if (yamlnode_kind(node) == YAMLDOC_SCALAR) {
        g_autofree char *python = yaml_str_scalar(node);
        g_assert_true((python == NULL) == yamlnode_is_null(node));
        g_autofree char *quoted = yamldoc_quote(yamlnode_text(node));
        g_autoptr(YamlDoc) again = yamldoc_parse("quoted", quoted, strlen(quoted), strlen(quoted), NULL);
        g_assert_nonnull(again);
        g_assert_cmpstr(yamlnode_text(yamldoc_root(again)), ==, yamlnode_text(node));
    }
}

static guint walk(const YamlNode *node, guint depth)
{
    g_assert_cmpuint(depth, <=, LIMIT_YAML_DEPTH);
    guint nodes = 1, children = 0;
    try_getters(node);
    for (const YamlNode *child = yamlnode_first(node); child != NULL; child = yamlnode_next(child)) {
        g_assert_cmpuint(yamlnode_line(child), >=, yamlnode_line(node));
        if (yamlnode_kind(node) == YAMLDOC_MAPPING)
            g_assert_true(yamlnode_get(node, yamlnode_key(child)) == child);
        nodes += walk(child, depth + 1);
        children++;
    }
    g_assert_cmpuint(children, ==, yamlnode_count(node));
    return nodes;
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(YamlDoc) doc = yamldoc_parse("fuzz", data, size, BYTES_MAX, &error);
    if (doc != NULL)
        g_assert_cmpuint(walk(yamldoc_root(doc), 1), <=, LIMIT_YAML_NODES);
    else
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
    return 0;
}
