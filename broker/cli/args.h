/* SPDX-License-Identifier: MIT
 *
 * Options and operands of one command, parsed against its table. Pure: no output, no files.
 *
 * Accepted forms: --name, --name VALUE, --name=VALUE, -n, -n VALUE, -nVALUE; options may stand between
 * operands; "--" ends them; a lone "-" is an operand. An option that is not repeatable may be given once.
 * CliArgs borrows all strings from argv and from the table.
 */
#pragma once

#include "schema/error.h"

typedef struct {
    const char *name;    /* long form without dashes; NULL ends a table */
    char letter;         /* short form, or 0 */
    const char *value;   /* what the value is called in help, such as "DIR"; NULL: a flag */
    const char *help;    /* one line, lower case, without full stop */
    gboolean repeatable; /* may be given more than once */
} CliOption;

typedef struct CliArgs CliArgs;

/* Parses the NULL-terminated `words` (without program and command name). "--help" and "-h" are known beside
 * `options`, which may be NULL. NULL with MALFORMED, the message naming the option and, for a near miss, what
 * was probably meant. */
CliArgs *cli_args_parse(const CliOption *options, const char *const *words, GError **error);
void cli_args_free(CliArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliArgs, cli_args_free)

/* --- Queries --- */
gboolean cli_args_flag(const CliArgs *args, const char *name);
/* The value of an option, or NULL when it was not given. */
const char *cli_args_value(const CliArgs *args, const char *name);
/* All values of a repeatable option, NULL-terminated; NULL when it was not given. */
char **cli_args_values(const CliArgs *args, const char *name);
/* A decimal value within min..max; *ret is left alone when the option was not given. */
gboolean cli_args_integer(const CliArgs *args, const char *name, gint64 min, gint64 max, gint64 *ret,
                          GError **error);
guint cli_args_count(const CliArgs *args);
/* Operand `i`, or NULL when there are fewer. */
const char *cli_args_operand(const CliArgs *args, guint i);
