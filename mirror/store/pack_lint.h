/* SPDX-License-Identifier: MIT
 *
 * Shows the files of a directory to lint (signing/lint.h), and writes what lint can repair. No symbolic link
 * below the directory is followed. Everything under wiki/ is shown, also what brokers leave out, because that
 * is what the author must hear of.
 *
 * Blocking; any thread; the directory is best not written to meanwhile.
 */
#pragma once

#include "signing/lint.h"

/* A finished Lint of the directory. `path` as in lint_new. NOT_FOUND when there is no such directory; IO and
 * CONFLICT when it cannot be read, or changes too fast. */
Lint *pack_lint_directory(const char *directory, const char *path, GError **error);

/* Called for every file that was repaired. */
typedef void (*PackLintFixed)(const char *name, gpointer user);
/* Repairs every text file that lint_fix_text changes, each replaced whole. What was done before an error
 * stays done. */
gboolean pack_lint_fix(const char *directory, PackLintFixed fixed, gpointer user, GError **error);
