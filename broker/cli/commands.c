/* SPDX-License-Identifier: MIT */
#include "broker/cli/commands.h"

#include <string.h>

#include "broker/cli/suggest.h"

const CliGroup cli_groups[] = {
    {"Run a broker", cmd_serve_commands},
    {NULL, cmd_init_commands},
    {"Configuration", cmd_config_commands},
    {"Look after a broker", cmd_status_commands},
    {"Read packs", cmd_read_commands},
    {"Keys and trust", cmd_key_commands},
    {NULL, cmd_trust_commands},
    {NULL, cmd_token_commands},
    {"Make and check packs", cmd_pack_commands},
    {NULL, cmd_verify_commands},
    {"Mirror packs", cmd_mirror_commands},
    {NULL, cmd_peers_commands},
    {NULL, cmd_store_commands},
    {"Compare brokers", cmd_diff_commands},
    {"Help", cmd_help_commands},
    {NULL, NULL},
};

static const CliCommand *find_exact(const char *name)
{
    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            if (strcmp(c->name, name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

gboolean cli_command_is_group(const char *word)
{
    g_autofree char *prefix = g_strconcat(word, " ", NULL);

    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            if (g_str_has_prefix(c->name, prefix)) {
                return TRUE;
            }
        }
    }
    return FALSE;
}

static void set_unknown(GError **error, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *nearest;

    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            gsize word = strcspn(c->name, " ");

            g_ptr_array_add(names, g_strdup(c->name));
            if (c->name[word] != '\0') {
                g_ptr_array_add(names, g_strndup(c->name, word));
            }
        }
    }
    g_ptr_array_add(names, NULL);
    nearest = cli_suggest(name, (const char *const *)names->pdata);
    if (nearest != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "unknown command '%s'; did you mean '%s'?",
                    name, nearest);
    } else {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "unknown command '%s'; 'kontor help' lists them all", name);
    }
}

const CliCommand *cli_command_find(const char *const *words, guint *ret_used, GError **error)
{
    gboolean has_second = words[1] != NULL && words[1][0] != '-';
    g_autofree char *both = g_strjoin(" ", words[0], has_second ? words[1] : NULL, NULL);
    const CliCommand *command = find_exact(both);

    *ret_used = has_second ? 2 : 1;
    if (command == NULL && has_second) {
        command = find_exact(words[0]);
        *ret_used = 1;
    }
    if (command == NULL) {
        set_unknown(error, cli_command_is_group(words[0]) ? both : words[0]);
    }
    return command;
}
