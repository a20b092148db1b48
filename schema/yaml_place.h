/* SPDX-License-Identifier: MIT
 *
 * Where the nodes of a parsed YAML document stand in its text, and cutting and inserting there. For editing
 * files that people wrote: printing the tree again would lose comments, quoting and layout.
 *
 * Nothing here argues about what an unusual layout means. A caller reads the result again, compares it with
 * what was to change, and leaves the file to its owner when that is not what came out. Offsets are therefore
 * within the text always, and right for what people usually write.
 *
 * Texts are NUL-terminated UTF-8 without NUL inside, from which the nodes were parsed; lines are counted as
 * libyaml counts them for files made of LF or CRLF. Pure functions.
 */
#pragma once

#include "schema/yamldoc.h"

/* --- Places --- */

/* "\n" or "\r\n", as the first line has it. */
const char *yaml_place_eol(const char *text);
/* Offset of the 1-based line; the length of the text behind its last line. */
gsize yaml_place_line(const char *text, guint line);
/* Offset of a node's first character. */
gsize yaml_place_node(const char *text, const YamlNode *node);
/* Blanks at the beginning of a line. */
gsize yaml_place_indent(const char *line);
/* The line of the dash of an item of a block sequence, which may stand above the item's first key. */
guint yaml_place_dash(const char *text, const YamlNode *item);
/* Offset behind the item whose dash is in that line: everything deeper than the dash belongs to it; blank
 * lines and comments further left do so only when more of it follows. */
gsize yaml_place_item_end(const char *text, guint dash_line);
/* Offset behind the bracket that closes the "[" or "{" at `at`, or behind the quote that closes the quoted
 * scalar there; 0 when there is none, or when something else stands there. */
gsize yaml_place_flow_end(const char *text, gsize at);

/* --- New texts, owned by the caller --- */

/* The text with `remove_len` bytes at an offset replaced. */
char *yaml_place_splice(const char *text, gsize at, gsize remove_len, const char *insert);
/* With whole lines inserted where a line begins; the line above gets its end when it is the last and lacks
 * it. */
char *yaml_place_insert_lines(const char *text, gsize at, const char *lines);
/* With lines put below `key: []`, `key:` or `key: null` instead of that nothing; `value` stands there. */
char *yaml_place_fill_empty(const char *text, const YamlNode *value, const char *lines);
/* Without an item of a block sequence. A list that becomes empty says so ("key: []"), because a bare "key:"
 * is no list; `list` is the sequence, which stands under a key. */
char *yaml_place_cut_item(const char *text, const YamlNode *list, const YamlNode *item);
