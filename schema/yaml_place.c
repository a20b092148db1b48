/* SPDX-License-Identifier: MIT */
#include "schema/yaml_place.h"

#include "schema/text.h"

#include <string.h>

/* --- Places --- */

const char *yaml_place_eol(const char *text)
{
    const char *first_end = strchr(text, '\n');
    return first_end != NULL && first_end > text && first_end[-1] == '\r' ? "\r\n" : "\n";
}

gsize yaml_place_line(const char *text, guint line)
{
    const char *at = text;
    for (; line > 1; line--) {
        const char *end = strchr(at, '\n');
        if (end == NULL)
            return strlen(text);
        at = end + 1;
    }
    return (gsize)(at - text);
}

/* Columns count characters; the byte order mark of the first line is none. */
gsize yaml_place_node(const char *text, const YamlNode *node)
{
    gsize len = strlen(text), at = yaml_place_line(text, yamlnode_line(node));
    if (at == 0 && g_str_has_prefix(text, "\xef\xbb\xbf"))
        at = 3;
    for (guint column = yamlnode_column(node); column > 1 && at < len; column--)
        at += MAX(1, text_char_length(text + at, len - at));
    return at;
}

gsize yaml_place_indent(const char *line)
{
    return strspn(line, " ");
}

guint yaml_place_dash(const char *text, const YamlNode *item)
{
    for (guint line = yamlnode_line(item); line > 0; line--) {
        const char *start = text + yaml_place_line(text, line);
        if (start[yaml_place_indent(start)] == '-')
            return line;
    }
    return yamlnode_line(item);
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL ? end + 1 : line + strlen(line);
}

gsize yaml_place_item_end(const char *text, guint dash_line)
{
    const char *first = text + yaml_place_line(text, dash_line);
    const char *end = next_line(first);
    gsize depth = yaml_place_indent(first);
    for (const char *line = end; *line != '\0'; line = next_line(line)) {
        gsize indent = yaml_place_indent(line);
        if (indent > depth && line[indent] != '\n' && line[indent] != '\r')
            end = next_line(line);
        else if (line[indent] != '\n' && line[indent] != '\r' && line[indent] != '#')
            break;
    }
    return (gsize)(end - text);
}

/* Offset behind the closing quote, or 0. A single quote is doubled inside, a double quote escaped. */
static gsize quoted_end(const char *text, gsize at)
{
    char quote = text[at];
    for (gsize i = at + 1; text[i] != '\0'; i++) {
        if (quote == '"' && text[i] == '\\' && text[i + 1] != '\0')
            i++;
        else if (text[i] == quote && quote == '\'' && text[i + 1] == quote)
            i++;
        else if (text[i] == quote)
            return i + 1;
    }
    return 0;
}

/* TRUE where a value may begin, which is where a quote is one. */
static gboolean begins_value(char before)
{
    return before != '\0' && strchr("[{,: \t\n\r", before) != NULL;
}

gsize yaml_place_flow_end(const char *text, gsize at)
{
    guint depth = 0;
    if (text[at] == '"' || text[at] == '\'')
        return quoted_end(text, at);
    if (text[at] != '[' && text[at] != '{')
        return 0;
    for (gsize i = at; text[i] != '\0'; i++) {
        char before = i > at ? text[i - 1] : '[';
        if ((text[i] == '"' || text[i] == '\'') && begins_value(before)) {
            gsize end = quoted_end(text, i);
            if (end == 0)
                return 0;
            i = end - 1;
        } else if (text[i] == '#' && strchr(" \t\n\r", before) != NULL) {
            i += strcspn(text + i, "\n") - 1;
        } else if (text[i] == '[' || text[i] == '{') {
            depth++;
        } else if ((text[i] == ']' || text[i] == '}') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* --- New texts --- */

char *yaml_place_splice(const char *text, gsize at, gsize remove_len, const char *insert)
{
    GString *out = g_string_new_len(text, (gssize)at);
    g_string_append(out, insert);
    g_string_append(out, text + at + remove_len);
    return g_string_free(out, FALSE);
}

char *yaml_place_insert_lines(const char *text, gsize at, const char *lines)
{
    gboolean cut_off = at > 0 && text[at - 1] != '\n';
    g_autofree char *insert = g_strconcat(cut_off ? yaml_place_eol(text) : "", lines, NULL);
    return yaml_place_splice(text, at, 0, insert);
}

char *yaml_place_fill_empty(const char *text, const YamlNode *value, const char *lines)
{
    gsize at = yaml_place_node(text, value);
    gsize len = 0;
    if (yamlnode_kind(value) == YAMLDOC_SCALAR)
        len = strlen(yamlnode_text(value));
    else if (text[at] == '[')
        len = strcspn(text + at, "]") + 1;
    len = MIN(len, strlen(text + at));
    g_autofree char *bare = yaml_place_splice(text, at, len, "");
    return yaml_place_insert_lines(bare, yaml_place_line(bare, yamlnode_key_line(value) + 1), lines);
}

char *yaml_place_cut_item(const char *text, const YamlNode *list, const YamlNode *item)
{
    guint dash = yaml_place_dash(text, item);
    gsize from = yaml_place_line(text, dash);
    g_autofree char *without = yaml_place_splice(text, from, yaml_place_item_end(text, dash) - from, "");
    if (yamlnode_count(list) > 1)
        return g_steal_pointer(&without);
    gsize key = yaml_place_line(without, yamlnode_key_line(list));
    const char *colon = strchr(without + key, ':');
    return colon != NULL ? yaml_place_splice(without, (gsize)(colon - without) + 1, 0, " []")
                         : g_strdup(without);
}
