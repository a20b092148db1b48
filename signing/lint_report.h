/* SPDX-License-Identifier: MIT
 *
 * Where the parts of lint (lint.c, lint_text.c, lint_index.c) meet; used by nothing else. A LintRule is what
 * is the same for every finding of a kind; parts report against a Lint, which owns all findings.
 */
#pragma once

#include "signing/lint.h"

typedef struct {
    const char *name;
    LintSeverity severity;
    gboolean fixable;
    const char *fix;
} LintRule;

/* `format` makes the message; `file` may be any bytes. */
void lint_report(Lint *lint, const LintRule *rule, const char *file, guint line, const char *format, ...)
    G_GNUC_PRINTF(5, 6);

/* Line ends, byte order mark, UTF-8. FALSE when the text cannot be looked at further. */
gboolean lint_text_check(Lint *lint, const char *file, const char *text, gsize len);
/* Paths of the author's own computer in `len` bytes that begin at line `first_line` of the file. */
void lint_text_check_private(Lint *lint, const char *file, guint first_line, const char *text, gsize len);

/* What lint has to remember of wiki/index.md until all files are known. */
typedef struct {
    GHashTable *lines; /* name relative to wiki/ → line of its first row (GUINT_TO_POINTER) */
} LintIndex;

/* Looks at each row by itself and fills `index`, whose `lines` is an empty table that frees its keys. */
void lint_index_check(Lint *lint, LintIndex *index, const char *text, gsize len);
