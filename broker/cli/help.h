/* SPDX-License-Identifier: MIT
 *
 * Help texts, laid out from the tables of commands.
 */
#pragma once

#include <stdio.h>

#include "broker/cli/cli.h"

/* All commands by group, one line each. */
void cli_help_overview(FILE *stream);
/* Usage, details, options and examples of one command. */
void cli_help_command(FILE *stream, const CliCommand *command);
/* The commands whose first word is `word`. */
void cli_help_group(FILE *stream, const char *word);
