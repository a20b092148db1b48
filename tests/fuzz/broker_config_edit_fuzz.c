/* SPDX-License-Identifier: MIT
 *
 * Any bytes as kontor.yaml, edited: what comes out is a list with that item more, less or changed; adding and
 * removing gives the same tree again; messages are one line.
 */
#include "broker/config_edit.h"

#include "schema/limits.h"
#include "schema/yamldoc.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static const char list[] = "mirrors";

static guint count_items(const char *text)
{
    g_autoptr(YamlDoc) doc = yamldoc_parse("k", text, strlen(text), LIMIT_CONFIG_BYTES, NULL);
    g_assert_nonnull(doc);
    const YamlNode *root = yamldoc_root(doc);
    const YamlNode *node = yamlnode_kind(root) == YAMLDOC_MAPPING ? yamlnode_get(root, list) : NULL;
    return node != NULL ? yamlnode_count(node) : 0;
}

static void check_message(const char *result, const GError *error)
{
    g_assert_true((result == NULL) == (error != NULL));
    g_assert_true(error == NULL || (error->domain == KONTOR_ERROR && strchr(error->message, '\n') == NULL));
}

static void try_add(const char *text)
{
    static const ConfigEditMember members[] = {
        {"name", "fuzzed"}, {"git", "\"https://h/p\""}, {"include", "[\"a/**\", \"b\"]"}};
    g_autoptr(GError) error = NULL, back = NULL;
    g_autofree char *more = config_edit_add("k", text, list, members, G_N_ELEMENTS(members), &error);
    check_message(more, error);
    if (more == NULL)
        return;
    g_assert_cmpuint(count_items(more), ==, count_items(text) + 1);
    g_autofree char *less = config_edit_remove("k", more, list, "fuzzed", &back);
    check_message(less, back);
    if (less != NULL)
        g_assert_cmpuint(count_items(less), ==, count_items(text));
}

static void try_change(const char *text)
{
    const ConfigEditMember member = {"paused", "true"};
    g_autoptr(GError) e1 = NULL, e2 = NULL, e3 = NULL;
    g_autofree char *less = config_edit_remove("k", text, list, "a", &e1);
    check_message(less, e1);
    if (less != NULL)
        g_assert_cmpuint(count_items(less) + 1, ==, count_items(text));
    g_autofree char *set = config_edit_set("k", text, list, "a", &member, &e2);
    check_message(set, e2);
    if (set == NULL)
        return;
    g_assert_cmpuint(count_items(set), ==, count_items(text));
    /* What is there already stays. */
    g_autofree char *again = config_edit_set("k", set, list, "a", &member, &e3);
    g_assert_cmpstr(again, ==, set);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autofree char *text = size > 0 ? g_strndup((const char *)data, size) : g_strdup("");
    try_add(text);
    try_change(text);
    return 0;
}
