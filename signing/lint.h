/* SPDX-License-Identifier: MIT
 *
 * Everything about a pack that would make a Node or a broker refuse it, lose pages of it or index it wrongly,
 * found before it is signed. A pure core: it is shown one file after another and keeps what it needs (names
 * and the rows of the index), never the texts, so that a pack of any size can be looked at.
 *
 *   Lint *lint = lint_new("history/rome");
 *   lint_add(lint, &(LintFile){.name = "wiki/index.md", .kind = LINT_FILE, .size = …, .bytes = …});
 *   …
 *   lint_finish(lint);   → lint_findings
 *
 * ERROR: a Node or broker refuses the pack or loses something of it; such a pack is not signed. WARNING: it
 * works, but not as its author probably meant. Rules have stable names, which docs/formats.md explains.
 *
 * lint_fix_text repairs what can be repaired without knowing what the author meant. One thread.
 */
#pragma once

#include "schema/error.h"

typedef enum { LINT_ERROR, LINT_WARNING } LintSeverity;

typedef struct {
    char *file; /* relative to the pack; "" for the pack itself */
    guint line; /* 0: the file as a whole */
    LintSeverity severity;
    const char *rule; /* stable name, such as "crlf" */
    char *message;    /* what is wrong; one line */
    const char *fix;  /* what to do about it; one line */
    gboolean fixable; /* lint_fix_text does it */
} LintFinding;

typedef enum {
    LINT_FILE,
    LINT_SYMLINK,
    LINT_SPECIAL,    /* device, socket, pipe */
    LINT_UNREADABLE, /* file or directory that may not be read */
} LintKind;

typedef struct {
    const char *name; /* relative to the pack, any bytes: "manifest.yaml", "wiki/…" */
    LintKind kind;
    gboolean is_text; /* by its name: brokers serve it with LF */
    guint64 size;
    GBytes *bytes; /* content of a file; may be NULL when `size` is beyond lint_size_limit(name) */
} LintFile;

typedef struct Lint Lint;

/* --- Life cycle --- */

/* `path` is the slash path under which the pack is published; NULL when it is not known yet. */
Lint *lint_new(const char *path);
void lint_free(Lint *lint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lint, lint_free)

/* --- Operations --- */

/* Looks at manifest.yaml or a file below wiki/; each once, in any order. */
void lint_add(Lint *lint, const LintFile *file);
/* Looks at the pack as a whole; call once, after all files. */
void lint_finish(Lint *lint);

/* The text with everything mechanical repaired: line ends become LF, a byte order mark goes; in index.md rows
 * that search would not see get the cell they lack, and rows that repeat another one exactly go. The same
 * object with one more reference when there is nothing to repair. Only for text files. */
GBytes *lint_fix_text(const char *name, GBytes *text);

/* --- Queries --- */

/* Of LintFinding *, sorted by file, line and rule after lint_finish(); at most LIMIT_LINT_FINDINGS. */
const GPtrArray *lint_findings(const Lint *lint);
/* Also counts findings beyond that limit. */
guint lint_error_count(const Lint *lint);
guint lint_warning_count(const Lint *lint);
/* The most bytes that a file of this name may have. */
guint64 lint_size_limit(const char *name);
/* TRUE when a Node can be told to download a pack of this path: a lower-case letter or digit, then letters,
 * digits, "/", "_" and "-". */
gboolean lint_path_is_downloadable(const char *path);
