/* SPDX-License-Identifier: MIT
 *
 * Editing kontor.yaml in place: exact texts for the layouts that people write, refusals for those that cannot
 * be edited safely, and random edits of random files against a model.
 */
#include "broker/config_edit.h"

#include "schema/limits.h"
#include "schema/yamldoc.h"

#include <string.h>

static const ConfigEditMember north[] = {{"name", "north"}, {"git", "\"https://n.example/p\""}};

static void assert_edited(char *result, GError *error, const char *expected)
{
    g_assert_no_error(error);
    g_assert_cmpstr(result, ==, expected);
    g_free(result);
}

static void assert_added(const char *text, const char *expected)
{
    GError *error = NULL;
    assert_edited(config_edit_add("k", text, "mirrors", north, 2, &error), error, expected);
}

static void assert_removed(const char *text, const char *expected)
{
    GError *error = NULL;
    assert_edited(config_edit_remove("k", text, "mirrors", "a", &error), error, expected);
}

static void assert_paused(const char *text, const char *expected)
{
    static const ConfigEditMember member = {"paused", "true"};
    GError *error = NULL;
    assert_edited(config_edit_set("k", text, "mirrors", "a", &member, &error), error, expected);
}

#define BLOCK "  - name: north\n    git: \"https://n.example/p\"\n"
#define FLOW "{name: north, git: \"https://n.example/p\"}"

static void test_add(void)
{
    assert_added("", "mirrors:\n" BLOCK);
    assert_added("# mine\n\n", "# mine\n\nmirrors:\n" BLOCK);
    assert_added("name: x", "name: x\nmirrors:\n" BLOCK);
    assert_added("mirrors: []  # none\nname: x\n", "mirrors:   # none\n" BLOCK "name: x\n");
    assert_added("mirrors:\nname: x\n", "mirrors:\n" BLOCK "name: x\n");
    assert_added("mirrors: ~\n", "mirrors: \n" BLOCK);
    assert_added("mirrors:\n  # first\n  - name: a\n    git: /a # here\n\n# then\npeers: []\n",
                 "mirrors:\n  # first\n  - name: a\n    git: /a # here\n" BLOCK "\n# then\npeers: []\n");
    assert_added("mirrors:\n- name: a\n  git: /a\n",
                 "mirrors:\n- name: a\n  git: /a\n- name: north\n  git: \"https://n.example/p\"\n");
    assert_added("mirrors:\n  - {name: a, git: /a}  # x\nname: y\n",
                 "mirrors:\n  - {name: a, git: /a}  # x\n  - " FLOW "\nname: y\n");
    assert_added("mirrors: [{name: a, git: \"/}],\"}] # c\n",
                 "mirrors: [{name: a, git: \"/}],\"}, " FLOW "] # c\n");
    assert_added("mirrors: [\n  {name: a, git: it's}, # }\n]\n",
                 "mirrors: [\n  {name: a, git: it's}, " FLOW ", # }\n]\n");
    assert_added(
        "name: x\r\nmirrors:\r\n  - name: a\r\n",
        "name: x\r\nmirrors:\r\n  - name: a\r\n  - name: north\r\n    git: \"https://n.example/p\"\r\n");
    assert_added("\xef\xbb\xbfmirrors: []\n", "\xef\xbb\xbfmirrors: \n" BLOCK);
}

static void test_remove(void)
{
    assert_removed("mirrors:\n  - name: a\n    git: /a\n  # b\n  - name: b\n",
                   "mirrors:\n  # b\n  - name: b\n");
    assert_removed("x: 1\nmirrors: # ours\n  # only\n  - name: a\n    include:\n      - x\n\n      # and\n   "
                   "   - y\n# end\n",
                   "x: 1\nmirrors: [] # ours\n  # only\n# end\n");
    assert_removed("mirrors:\n  -\n    name: a\n  - name: b\n", "mirrors:\n  - name: b\n");
    assert_removed("mirrors: [{name: a}]\n", "mirrors: []\n");
    assert_removed("mirrors: [{name: a}, {name: b}]\n", "mirrors: [{name: b}]\n");
    assert_removed("mirrors: [{name: b}, {name: 'a', git: '}'}]\n", "mirrors: [{name: b}]\n");
    assert_removed("mirrors: [\n  {name: b},\n  {name: a},\n]\n", "mirrors: [\n  {name: b},\n  \n]\n");
    assert_removed("mirrors:\n  - {name: a, git: /a} # x\n  - {name: b}\n", "mirrors:\n  - {name: b}\n");
}

static void test_set(void)
{
    assert_paused("mirrors:\n  - name: a\n    git: /a # x\n\n# y\n",
                  "mirrors:\n  - name: a\n    git: /a # x\n    paused: true\n\n# y\n");
    assert_paused("mirrors:\n  - name: a\n    paused: no # later\n    git: /a\n",
                  "mirrors:\n  - name: a\n    paused: true # later\n    git: /a\n");
    assert_paused("mirrors:\n  - name: a\n    paused:\n    git: /a\n",
                  "mirrors:\n  - name: a\n    paused: true\n    git: /a\n");
    assert_paused("mirrors:\n  - name: a\n    paused: 'f''x'\n", "mirrors:\n  - name: a\n    paused: true\n");
    assert_paused("mirrors:\n  - {name: a, git: /a}\n", "mirrors:\n  - {name: a, git: /a, paused: true}\n");
    assert_paused("mirrors:\n  - {name: a, }\n", "mirrors:\n  - {name: a, paused: true }\n");
    assert_paused("mirrors:\n  - {name: a # x\n    }\n", "mirrors:\n  - {paused: true, name: a # x\n    }\n");
    assert_paused("mirrors: [{name: b}, {paused: \"x\\\"}\", name: a}]\n",
                  "mirrors: [{name: b}, {paused: true, name: a}]\n");
    assert_paused("mirrors:\n  - name: a", "mirrors:\n  - name: a\n    paused: true\n");
}

static void assert_refused(char *result, GError *error, KontorErrorCode code, const char *message)
{
    g_assert_null(result);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_error_free(error);
}

static void test_refusals(void)
{
    GError *e = NULL;
    char *result = NULL;
    const ConfigEditMember paused = {"paused", "true"};
    result = config_edit_add("k", "mirrors:\n - name: north\n", "mirrors", north, 2, &e);
    assert_refused(result, e, KONTOR_ERROR_CONFLICT,
                   "k:2: mirrors[0]: there is an item named 'north' already");
    e = NULL;
    result = config_edit_remove("k", "mirrors: []\n", "mirrors", "a", &e);
    assert_refused(result, e, KONTOR_ERROR_NOT_FOUND, "k: mirrors has no item named 'a'");
    e = NULL;
    result = config_edit_set("k", "", "peers", "a", &paused, &e);
    assert_refused(result, e, KONTOR_ERROR_NOT_FOUND, "k: peers has no item named 'a'");
    e = NULL;
    result = config_edit_add("k", "- a\n", "mirrors", north, 2, &e);
    assert_refused(result, e, KONTOR_ERROR_MALFORMED, "k:1: expected a mapping, found a list");
    e = NULL;
    result = config_edit_add("k", "mirrors: [x]\n", "mirrors", north, 2, &e);
    assert_refused(result, e, KONTOR_ERROR_MALFORMED, "k:1: mirrors[0]: expected a mapping");
    e = NULL;
    result = config_edit_add("k", "a: [\n", "mirrors", north, 2, &e);
    assert_refused(result, e, KONTOR_ERROR_MALFORMED,
                   "k:2: not valid YAML: did not find expected node content");
    e = NULL;
    result = config_edit_add("k", "{name: x}\n", "mirrors", north, 2, &e);
    assert_refused(
        result, e, KONTOR_ERROR_UNSUPPORTED,
        "k:1: mirrors: written in a way that cannot be edited safely; add the item by hand (line 1): "
        "{name: north, git: \"https://n.example/p\"}");
    e = NULL;
    result = config_edit_remove("k", "x: 1\nmirrors: [name: a,\n  name: b]\n", "mirrors", "a", &e);
    assert_refused(
        result, e, KONTOR_ERROR_UNSUPPORTED,
        "k:2: mirrors: written in a way that cannot be edited safely; remove the item by hand (line 2)");
    e = NULL;
    result =
        config_edit_set("k", "mirrors:\n  - name: a\n    paused: |\n      x\n", "mirrors", "a", &paused, &e);
    assert_refused(
        result, e, KONTOR_ERROR_UNSUPPORTED,
        "k:2: mirrors: written in a way that cannot be edited safely; give the item 'paused: true' by "
        "hand (lines 2 to 3)");
    e = NULL;
    result = config_edit_add("k", "name: x\n...\n", "mirrors", north, 2, &e);
    assert_refused(
        result, e, KONTOR_ERROR_UNSUPPORTED,
        "k:1: mirrors: written in a way that cannot be edited safely; add the item by hand (line 1): "
        "{name: north, git: \"https://n.example/p\"}");
}

/* --- Random files against a model --- */

/* The model: names in order, and which are paused. */
typedef struct {
    GPtrArray *names; /* of char * */
    GHashTable *paused;
} Model;

static void append_random_item(GString *out, GRand *rand, const char *name, gboolean flow, int depth)
{
    static const char *const comments[] = {"", " # why", "  # {[\"'", "\t# tab"};
    const char *comment = comments[g_rand_int_range(rand, 0, G_N_ELEMENTS(comments))];
    if (g_rand_int_range(rand, 0, 3) == 0)
        g_string_append_printf(out, "%*s# about %s\n", (int)g_rand_int_range(rand, 0, 6), "", name);
    if (flow) {
        g_string_append_printf(out, "%*s- {name: %s, git: '/it''s/%s'}%s\n", depth, "", name, name, comment);
        return;
    }
    g_string_append_printf(out, "%*s- name: '%s'%s\n", depth, "", name, comment);
    if (g_rand_boolean(rand))
        g_string_append_printf(out, "%*s  include:\n%*s  - \"x: y\"\n\n%*s  - z\n", depth, "", depth, "",
                               depth, "");
    if (g_rand_boolean(rand))
        g_string_append_printf(out, "%*s  note: >\n%*s     - folded\n\n%*s     text\n", depth, "", depth, "",
                               depth, "");
    g_string_append_printf(out, "%*s  git: /p%s\n%s", depth, "", comment, g_rand_boolean(rand) ? "\n" : "");
}

static char *random_file(GRand *rand, Model *model)
{
    GString *out = g_string_new(g_rand_boolean(rand) ? "# my broker\nname: x # y\n\n" : "");
    guint count = (guint)g_rand_int_range(rand, 0, 4);
    gboolean flow = g_rand_boolean(rand);
    int depth = (int)g_rand_int_range(rand, 0, 4);
    if (count > 0)
        g_string_append(out, "mirrors:\n");
    for (guint i = 0; i < count; i++) {
        char *name = g_strdup_printf("s%u", i);
        append_random_item(out, rand, name, flow, depth);
        g_ptr_array_add(model->names, name);
    }
    if (g_rand_boolean(rand))
        g_string_append(out, "# between\n\nlimits:\n  nodes: 5 # few\n# the end\n");
    return g_string_free(out, FALSE);
}

static void assert_model(const char *text, const Model *model)
{
    g_autoptr(YamlDoc) doc = yamldoc_parse("k", text, strlen(text), LIMIT_CONFIG_BYTES, NULL);
    g_assert_nonnull(doc);
    const YamlNode *root = yamldoc_root(doc);
    const YamlNode *list = yamlnode_kind(root) == YAMLDOC_MAPPING ? yamlnode_get(root, "mirrors") : NULL;
    const YamlNode *item = list != NULL ? yamlnode_first(list) : NULL;
    for (guint i = 0; i < model->names->len; i++, item = yamlnode_next(item)) {
        const char *name = g_ptr_array_index(model->names, i);
        g_assert_nonnull(item);
        g_assert_cmpstr(yamlnode_text(yamlnode_get(item, "name")), ==, name);
        const YamlNode *paused = yamlnode_get(item, "paused");
        g_assert_cmpint(paused != NULL, ==, g_hash_table_contains(model->paused, name));
    }
    g_assert_null(item);
}

static guint count_char(const char *text, char c)
{
    guint count = 0;
    for (; *text != '\0'; text++)
        count += *text == c ? 1 : 0;
    return count;
}

static char *random_edit(GRand *rand, const char *text, Model *model, guint step)
{
    GError *error = NULL;
    char *result = NULL;
    guint op = (guint)g_rand_int_range(rand, 0, 3);
    if (op == 0 || model->names->len == 0) {
        char *name = g_strdup_printf("n%u", step);
        const ConfigEditMember members[] = {{"name", name}, {"git", "/n"}};
        result = config_edit_add("k", text, "mirrors", members, 2, &error);
        g_ptr_array_add(model->names, name);
    } else {
        guint at = (guint)g_rand_int_range(rand, 0, (gint32)model->names->len);
        const char *name = g_ptr_array_index(model->names, at);
        const ConfigEditMember member = {"paused", g_rand_boolean(rand) ? "true" : "false"};
        result = op == 1 ? config_edit_remove("k", text, "mirrors", name, &error)
                         : config_edit_set("k", text, "mirrors", name, &member, &error);
        if (op == 2)
            g_hash_table_add(model->paused, g_strdup(name));
        else
            g_ptr_array_remove_index(model->names, at);
    }
    g_assert_no_error(error);
    /* A removed item takes the comments inside it along; nothing else takes any. */
    g_assert_true(op == 1 || count_char(result, '#') == count_char(text, '#'));
    return result;
}

static void test_model(void)
{
    for (guint32 seed = 1; seed <= 400; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        Model model = {g_ptr_array_new_with_free_func(g_free),
                       g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
        g_autofree char *text = random_file(rand, &model);
        g_test_message("seed %u", seed);
        assert_model(text, &model);
        for (guint step = 0; step < 12; step++) {
            char *next = random_edit(rand, text, &model, step);
            assert_model(next, &model);
            g_free(text);
            text = next;
        }
        g_ptr_array_unref(model.names);
        g_hash_table_unref(model.paused);
    }
}

/* What was added and removed again leaves no trace, when the list had items before. */
static void test_add_and_remove_is_nothing(void)
{
    for (guint32 seed = 1; seed <= 200; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        Model model = {g_ptr_array_new_with_free_func(g_free),
                       g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
        g_autofree char *text = random_file(rand, &model);
        if (model.names->len > 0) {
            g_autofree char *more = config_edit_add("k", text, "mirrors", north, 2, NULL);
            g_autofree char *same = config_edit_remove("k", more, "mirrors", "north", NULL);
            g_test_message("seed %u", seed);
            g_assert_cmpstr(same, ==, text);
        }
        g_ptr_array_unref(model.names);
        g_hash_table_unref(model.paused);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config-edit/add", test_add);
    g_test_add_func("/config-edit/remove", test_remove);
    g_test_add_func("/config-edit/set", test_set);
    g_test_add_func("/config-edit/refusals", test_refusals);
    g_test_add_func("/config-edit/model", test_model);
    g_test_add_func("/config-edit/add-and-remove-is-nothing", test_add_and_remove_is_nothing);
    return g_test_run();
}
