/* SPDX-License-Identifier: MIT
 *
 * The sub-commands of 'kontor pack', one per file pack_<noun>.c; their table is in cmd_pack.c.
 */
#pragma once

#include <stdio.h>

#include "broker/cli/cli.h"
#include "signing/lint.h"

CliExit pack_init_run(const CliArgs *args);
CliExit pack_lint_run(const CliArgs *args);
CliExit pack_sign_run(const CliArgs *args);
CliExit pack_verify_run(const CliArgs *args);
CliExit pack_digest_run(const CliArgs *args);
CliExit pack_diff_run(const CliArgs *args);

/* Prints each finding as "DIR/FILE:LINE: error: …" on `stream`; only errors when `errors_only`. */
void pack_lint_print(FILE *stream, const char *directory, const Lint *lint, gboolean errors_only);
/* Prints the error and returns the exit code that fits an operand that is a URL or a directory. */
CliExit pack_fail(const char *operand, const GError *error);
