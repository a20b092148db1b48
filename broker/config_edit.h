/* SPDX-License-Identifier: MIT
 *
 * Editing the lists `mirrors:` and `peers:` in the text of kontor.yaml, keeping comments, blank lines,
 * quoting and everything else byte for byte.
 *
 * Texts are bytes of at most LIMIT_CONFIG_BYTES, NUL-terminated. Every result has been read back and compared
 * with the text before as trees: it differs in what was asked for and in nothing else. What an item means is
 * none of this module's business (config_load says that); it sees mappings with a `name`.
 *
 * Errors: those of yamldoc_parse when the text is no YAML; MALFORMED when it is no mapping or the list no
 * list of mappings; NOT_FOUND and CONFLICT as said below; LIMIT when it would become too long; UNSUPPORTED
 * when it is written in a way that cannot be edited safely, saying in which lines to do what by hand.
 *
 * `source` names the text in messages. Pure functions.
 */
#pragma once

#include "schema/error.h"

/* One member of an item. */
typedef struct {
    const char *key;  /* a plain word */
    const char *yaml; /* the value as YAML on one line, in flow style where it is a list */
} ConfigEditMember;

/* The text with an item of these members at the end of the list, which is made when there is none, in the
 * style of the item before it. The first of `count` ≥ 1 members is its name. CONFLICT when the list has an
 * item of that name. "" becomes a new file. A new string. */
char *config_edit_add(const char *source, const char *text, const char *list, const ConfigEditMember *members,
                      guint count, GError **error);
/* Without the item of that name. NOT_FOUND. */
char *config_edit_remove(const char *source, const char *text, const char *list, const char *name,
                         GError **error);
/* With one member of the item of that name set to a scalar, replaced or added. NOT_FOUND. */
char *config_edit_set(const char *source, const char *text, const char *list, const char *name,
                      const ConfigEditMember *member, GError **error);
