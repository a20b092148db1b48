/* SPDX-License-Identifier: MIT
 *
 * What is wrong with a text as such.
 */
#include "schema/text.h"
#include "signing/lint_report.h"

#include <string.h>

static const LintRule rule_utf8 = {"utf8", LINT_ERROR, FALSE, "save the file as UTF-8"};
static const LintRule rule_crlf = {"crlf", LINT_ERROR, TRUE, "end lines with LF"};
static const LintRule rule_bom = {"bom", LINT_ERROR, TRUE, "remove the byte order mark"};
static const LintRule rule_nul = {"nul", LINT_WARNING, FALSE, "remove the NUL byte"};
static const LintRule rule_private = {"private-path", LINT_ERROR, FALSE,
                                      "name a public source, or remove the path"};

static guint line_of(const char *text, gsize offset)
{
    guint line = 1;
    for (gsize i = 0; i < offset; i++)
        line += text[i] == '\n' ? 1 : 0;
    return line;
}

gboolean lint_text_check(Lint *lint, const char *file, const char *text, gsize len)
{
    gsize bad = 0;
    if (!text_is_utf8(text, len, &bad)) {
        lint_report(lint, &rule_utf8, file, line_of(text, bad),
                    "not UTF-8: Nodes would store other bytes than were signed");
        return FALSE;
    }
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        lint_report(lint, &rule_bom, file, 1,
                    "begins with a byte order mark, which hides what stands on the first line");
    const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
    if (nul != NULL)
        lint_report(lint, &rule_nul, file, line_of(text, (gsize)(nul - text)),
                    "NUL byte, where much software takes a text to end");
    const char *cr = len > 0 ? memchr(text, '\r', len) : NULL;
    if (cr != NULL)
        lint_report(lint, &rule_crlf, file, line_of(text, (gsize)(cr - text)),
                    "line ends with CR: brokers serve LF, and a signature over these bytes would not fit");
    return TRUE;
}

/* --- Private paths --- */

static gboolean begins(const char *text, gsize len, const char *prefix)
{
    gsize prefix_len = strlen(prefix);
    return len >= prefix_len && g_ascii_strncasecmp(text, prefix, prefix_len) == 0;
}

/* A home directory with a name behind it, at the beginning of a path. `before` is the character in front of
 * it. */
static gboolean is_home(const char *text, gsize len, char before)
{
    static const char *const homes[] = {"/home/", "/Users/", ":\\Users\\", ":/Users/", ":\\Documents and"};
    for (guint i = 0; i < G_N_ELEMENTS(homes); i++) {
        gsize home_len = strlen(homes[i]);
        gboolean drive = homes[i][0] == ':';
        gboolean at_beginning =
            drive ? g_ascii_isalpha(before) : !g_ascii_isalnum(before) && strchr("._~/-:", before) == NULL;
        if (at_beginning && begins(text, len, homes[i]) && len > home_len && g_ascii_isalnum(text[home_len]))
            return TRUE;
    }
    return FALSE;
}

static gboolean holds_private_path(TextSpan line)
{
    for (gsize i = 0; i < line.len; i++) {
        const char *at = line.text + i;
        char before = i > 0 ? at[-1] : ' ';
        if ((*at == 'f' || *at == 'F') && !g_ascii_isalnum(before) && begins(at, line.len - i, "file:/"))
            return TRUE;
        /* A NUL before the path ends strchr's list, which counts as a separator here. */
        if ((*at == '/' || *at == ':') && is_home(at, line.len - i, before != '\0' ? before : ' '))
            return TRUE;
    }
    return FALSE;
}

void lint_text_check_private(Lint *lint, const char *file, guint first_line, const char *text, gsize len)
{
    TextSpan line;
    gsize pos = 0;
    for (guint number = first_line; text_next_line(text, len, &pos, &line); number++) {
        if (!holds_private_path(line))
            continue;
        g_autofree char *shown = text_for_message(line.text, line.len);
        lint_report(lint, &rule_private, file, number, "a path of the author's own computer: %s", shown);
    }
}
