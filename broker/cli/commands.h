/* SPDX-License-Identifier: MIT
 *
 * The tables of commands, one per file cmd_<noun>.c, each ended by an entry without a name. A new one is
 * declared here and named in commands.c; help, completion tests and suggestions follow.
 */
#pragma once

#include "broker/cli/cli.h"

typedef struct {
    const char *title;          /* heading in the overview; NULL: under the heading before */
    const CliCommand *commands; /* NULL ends the list of groups */
} CliGroup;

extern const CliGroup cli_groups[];

extern const CliCommand cmd_serve_commands[];  /* serve */
extern const CliCommand cmd_init_commands[];   /* init */
extern const CliCommand cmd_config_commands[]; /* config check, config show */
extern const CliCommand cmd_status_commands[]; /* status */
extern const CliCommand cmd_read_commands[];   /* search, tree, get */
extern const CliCommand cmd_key_commands[];    /* key new, show, fingerprint, import, export */
extern const CliCommand cmd_trust_commands[];  /* trust list, add, remove, revoke */
extern const CliCommand cmd_token_commands[];  /* token new, list, revoke */
extern const CliCommand cmd_pack_commands[];   /* pack init, lint, sign, verify, digest, diff */
extern const CliCommand cmd_verify_commands[]; /* verify */
extern const CliCommand cmd_peers_commands[];  /* peers */
extern const CliCommand cmd_mirror_commands[]; /* mirror add, list, remove, pause, resume */
extern const CliCommand cmd_store_commands[];  /* store du, gc, check */
extern const CliCommand cmd_diff_commands[];   /* diff */
extern const CliCommand cmd_help_commands[];   /* help, version */

/* The command whose name is the beginning of `words` (NULL-terminated); *ret_used says how many words its
 * name has. NULL with MALFORMED, naming what was probably meant. */
const CliCommand *cli_command_find(const char *const *words, guint *ret_used, GError **error);
/* TRUE when some command's first word is `word` and it has a second one. */
gboolean cli_command_is_group(const char *word);
