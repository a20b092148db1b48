/* SPDX-License-Identifier: MIT
 *
 * As in signing/trust_text.c: the tree says where things stand, whole lines or bracketed pieces are inserted
 * or cut, and the result is read again and compared. A few layouts are tried one after the other; the first
 * that comes out right is taken, and when none does, the file is left to its owner.
 */
#include "broker/config_edit.h"

#include "schema/limits.h"
#include "schema/yaml_place.h"

#include <string.h>

/* A parsed text. */
typedef struct {
    const char *source, *text; /* borrowed */
    const char *eol;
    YamlDoc *doc;
    const YamlNode *root; /* a mapping, or null */
    const char *key;      /* of the list; borrowed */
    const YamlNode *list; /* a sequence or null; NULL when the key is not there */
} Sheet;

static void sheet_clear(Sheet *sheet)
{
    yamldoc_free(sheet->doc);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sheet, sheet_clear)

static gboolean sheet_init(Sheet *sheet, const char *source, const char *text, const char *key,
                           GError **error)
{
    *sheet = (Sheet){.source = source, .text = text, .key = key, .eol = yaml_place_eol(text)};
    sheet->doc = yamldoc_parse(source, text, strlen(text), LIMIT_CONFIG_BYTES, error);
    if (sheet->doc == NULL)
        return FALSE;
    sheet->root = yamldoc_root(sheet->doc);
    if (!yamlnode_check_kind(sheet->root, YAMLDOC_MAPPING, error))
        return FALSE;
    sheet->list = yamlnode_kind(sheet->root) == YAMLDOC_MAPPING ? yamlnode_get(sheet->root, key) : NULL;
    if (sheet->list == NULL)
        return TRUE;
    if (!yamlnode_check_kind(sheet->list, YAMLDOC_SEQUENCE, error))
        return FALSE;
    for (const YamlNode *item = yamlnode_first(sheet->list); item != NULL; item = yamlnode_next(item)) {
        if (yamlnode_kind(item) != YAMLDOC_MAPPING)
            return yamlnode_error(item, KONTOR_ERROR_MALFORMED, error, "expected a mapping");
    }
    return TRUE;
}

/* --- Items --- */

static gboolean has_name(const YamlNode *item, const char *name)
{
    const YamlNode *node = yamlnode_get(item, "name");
    return node != NULL && yamlnode_kind(node) == YAMLDOC_SCALAR && strcmp(yamlnode_text(node), name) == 0;
}

/* The first item of that name, or NULL. */
static const YamlNode *find_item(const Sheet *sheet, const char *name)
{
    const YamlNode *item = sheet->list != NULL ? yamlnode_first(sheet->list) : NULL;
    while (item != NULL && !has_name(item, name))
        item = yamlnode_next(item);
    return item;
}

static const YamlNode *find_or_error(const Sheet *sheet, const char *name, GError **error)
{
    const YamlNode *item = find_item(sheet, name);
    if (item == NULL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "%s: %s has no item named '%s'",
                    sheet->source, sheet->key, name);
    return item;
}

static const YamlNode *last_item(const Sheet *sheet)
{
    const YamlNode *last = NULL;
    const YamlNode *item = sheet->list != NULL ? yamlnode_first(sheet->list) : NULL;
    for (; item != NULL; item = yamlnode_next(item))
        last = item;
    return last;
}

static char at_node(const Sheet *sheet, const YamlNode *node)
{
    return sheet->text[yaml_place_node(sheet->text, node)];
}

/* --- Comparing trees --- */

static gboolean trees_equal(const YamlNode *a, const YamlNode *b)
{
    if (yamlnode_kind(a) != yamlnode_kind(b) || yamlnode_count(a) != yamlnode_count(b))
        return FALSE;
    if (yamlnode_kind(a) == YAMLDOC_SCALAR)
        return yamlnode_is_plain(a) == yamlnode_is_plain(b) &&
               strcmp(yamlnode_text(a), yamlnode_text(b)) == 0;
    const YamlNode *i = yamlnode_first(a), *j = yamlnode_first(b);
    for (; i != NULL; i = yamlnode_next(i), j = yamlnode_next(j)) {
        if (g_strcmp0(yamlnode_key(i), yamlnode_key(j)) != 0 || !trees_equal(i, j))
            return FALSE;
    }
    return TRUE;
}

/* TRUE when every member of `a` but that of `key` stands in `b`, unchanged, and `b` has `more` than `a`. */
static gboolean same_but_key(const YamlNode *a, const YamlNode *b, const char *key, guint more)
{
    if (yamlnode_count(b) != yamlnode_count(a) + more)
        return FALSE;
    for (const YamlNode *i = yamlnode_first(a); i != NULL; i = yamlnode_next(i)) {
        const YamlNode *j = yamlnode_get(b, yamlnode_key(i));
        if (j == NULL || (strcmp(yamlnode_key(i), key) != 0 && !trees_equal(i, j)))
            return FALSE;
    }
    return TRUE;
}

/* TRUE when the roots differ in nothing but the list, which both have afterwards. */
static gboolean roots_fit(const Sheet *before, const Sheet *after)
{
    if (after->list == NULL || yamlnode_kind(after->root) != YAMLDOC_MAPPING)
        return FALSE;
    return same_but_key(before->root, after->root, before->key, before->list == NULL ? 1 : 0);
}

/* What is to come out. */
typedef struct {
    enum { ADDED, REMOVED, CHANGED } what;
    const YamlNode *item;            /* of the text before; NULL for ADDED */
    const YamlNode *wanted;          /* mapping: the item to be added, or the one member to be set */
    const ConfigEditMember *members; /* the same, as it was given */
    guint count;
    const char *flow; /* the same as text: "{…}" */
} Change;

static gboolean changed_as_wanted(const YamlNode *old, const YamlNode *now, const YamlNode *wanted)
{
    const YamlNode *value = yamlnode_first(wanted);
    const char *key = yamlnode_key(value);
    const YamlNode *set = yamlnode_get(now, key);
    return set != NULL && trees_equal(set, value) &&
           same_but_key(old, now, key, yamlnode_get(old, key) == NULL ? 1 : 0);
}

static gboolean lists_fit(const Sheet *before, const Sheet *after, const Change *change)
{
    const YamlNode *i = before->list != NULL ? yamlnode_first(before->list) : NULL;
    const YamlNode *j = yamlnode_first(after->list);
    for (; i != NULL; i = yamlnode_next(i)) {
        if (i == change->item && change->what == REMOVED)
            continue;
        gboolean fits =
            j != NULL && (i == change->item ? changed_as_wanted(i, j, change->wanted) : trees_equal(i, j));
        if (!fits)
            return FALSE;
        j = yamlnode_next(j);
    }
    if (change->what != ADDED)
        return j == NULL;
    return j != NULL && trees_equal(j, change->wanted) && yamlnode_next(j) == NULL;
}

/* TRUE when the new text (NULL: there is none) reads back to just that change. */
static gboolean came_out(const Sheet *before, const char *text, const Change *change)
{
    g_auto(Sheet) after = {0};
    return text != NULL && strlen(text) <= LIMIT_CONFIG_BYTES &&
           sheet_init(&after, before->source, text, before->key, NULL) && roots_fit(before, &after) &&
           lists_fit(before, &after, change);
}

/* A way of writing the change; NULL when the layout is not made for it. */
typedef char *(*Way)(const Sheet *sheet, const Change *change);

static char *try_ways(const Sheet *sheet, const Change *change, const Way *ways)
{
    for (; *ways != NULL; ways++) {
        g_autofree char *text = (*ways)(sheet, change);
        if (came_out(sheet, text, change))
            return g_steal_pointer(&text);
    }
    return NULL;
}

/* --- Refusing --- */

/* The last line that belongs to a node, as far as its children tell. */
static guint last_line(const YamlNode *node)
{
    guint line = yamlnode_line(node);
    for (const YamlNode *i = yamlnode_first(node); i != NULL; i = yamlnode_next(i))
        line = MAX(line, last_line(i));
    return line;
}

static char *refuse(const Sheet *sheet, const YamlNode *where, const char *what, const char *flow,
                    GError **error)
{
    guint first = where != NULL ? yamlnode_line(where) : 1, last = where != NULL ? last_line(where) : 1;
    g_autofree char *lines =
        first == last ? g_strdup_printf("line %u", first) : g_strdup_printf("lines %u to %u", first, last);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                "%s:%u: %s: written in a way that cannot be edited safely; %s by hand (%s)%s%s",
                sheet->source, first, sheet->key, what, lines, flow != NULL ? ": " : "",
                flow != NULL ? flow : "");
    return NULL;
}

/* --- Adding --- */

static char *flow_item(const ConfigEditMember *members, guint count)
{
    GString *out = g_string_new("{");
    for (guint i = 0; i < count; i++)
        g_string_append_printf(out, "%s%s: %s", i > 0 ? ", " : "", members[i].key, members[i].yaml);
    g_string_append_c(out, '}');
    return g_string_free(out, FALSE);
}

static char *block_item(const ConfigEditMember *members, guint count, gsize depth, const char *eol)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < count; i++)
        g_string_append_printf(out, "%*s%s%s: %s%s", (int)depth, "", i == 0 ? "- " : "  ", members[i].key,
                               members[i].yaml, eol);
    return g_string_free(out, FALSE);
}

/* The list is not there: at the end of the text. */
static char *add_with_key(const Sheet *sheet, const Change *change)
{
    if (sheet->list != NULL || (yamlnode_count(sheet->root) > 0 && at_node(sheet, sheet->root) == '{'))
        return NULL;
    gsize depth = yamlnode_count(sheet->root) > 0 ? yamlnode_column(sheet->root) - 1 : 0;
    g_autofree char *item = block_item(change->members, change->count, depth + 2, sheet->eol);
    g_autofree char *lines = g_strdup_printf("%*s%s:%s%s", (int)depth, "", sheet->key, sheet->eol, item);
    return yaml_place_insert_lines(sheet->text, strlen(sheet->text), lines);
}

static char *add_to_empty(const Sheet *sheet, const Change *change)
{
    if (sheet->list == NULL || yamlnode_count(sheet->list) > 0)
        return NULL;
    gsize depth =
        yaml_place_indent(sheet->text + yaml_place_line(sheet->text, yamlnode_key_line(sheet->list)));
    g_autofree char *lines = block_item(change->members, change->count, depth + 2, sheet->eol);
    return yaml_place_fill_empty(sheet->text, sheet->list, lines);
}

/* `- {…}` after `- {…}`, members on lines of their own after such. */
static char *add_to_block(const Sheet *sheet, const Change *change)
{
    const YamlNode *last = last_item(sheet);
    if (last == NULL || at_node(sheet, sheet->list) == '[')
        return NULL;
    guint dash = yaml_place_dash(sheet->text, last);
    gsize depth = yaml_place_indent(sheet->text + yaml_place_line(sheet->text, dash));
    g_autofree char *lines = at_node(sheet, last) == '{'
                                 ? g_strdup_printf("%*s- %s%s", (int)depth, "", change->flow, sheet->eol)
                                 : block_item(change->members, change->count, depth, sheet->eol);
    return yaml_place_insert_lines(sheet->text, yaml_place_item_end(sheet->text, dash), lines);
}

static char *add_to_flow(const Sheet *sheet, const Change *change)
{
    const YamlNode *last = last_item(sheet);
    if (last == NULL || at_node(sheet, sheet->list) != '[')
        return NULL;
    gsize end = yaml_place_flow_end(sheet->text, yaml_place_node(sheet->text, last));
    g_autofree char *more = g_strconcat(", ", change->flow, NULL);
    return end > 0 ? yaml_place_splice(sheet->text, end, 0, more) : NULL;
}

char *config_edit_add(const char *source, const char *text, const char *list, const ConfigEditMember *members,
                      guint count, GError **error)
{
    static const Way ways[] = {add_with_key, add_to_empty, add_to_block, add_to_flow, NULL};
    g_auto(Sheet) sheet = {0};
    if (!sheet_init(&sheet, source, text, list, error))
        return NULL;
    g_autofree char *flow = flow_item(members, count);
    g_autoptr(YamlDoc) wanted = yamldoc_parse("item", flow, strlen(flow), LIMIT_CONFIG_BYTES, error);
    if (wanted == NULL)
        return NULL;
    Change change = {
        .what = ADDED, .wanted = yamldoc_root(wanted), .members = members, .count = count, .flow = flow};
    const char *name = yamlnode_text(yamlnode_first(change.wanted));
    if (find_item(&sheet, name) != NULL) {
        yamlnode_error(find_item(&sheet, name), KONTOR_ERROR_CONFLICT, error,
                       "there is an item named '%s' already", name);
        return NULL;
    }
    if (strlen(text) + strlen(flow) * 2 > LIMIT_CONFIG_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: would become larger than %d bytes", source,
                    LIMIT_CONFIG_BYTES);
        return NULL;
    }
    char *result = try_ways(&sheet, &change, ways);
    return result != NULL ? result : refuse(&sheet, sheet.list, "add the item", flow, error);
}

/* --- Removing --- */

static char *remove_from_block(const Sheet *sheet, const Change *change)
{
    if (at_node(sheet, sheet->list) == '[')
        return NULL;
    return yaml_place_cut_item(sheet->text, sheet->list, change->item);
}

/* With the comma behind it, or the one before it when it is the last. */
static char *remove_from_flow(const Sheet *sheet, const Change *change)
{
    gsize from = yaml_place_node(sheet->text, change->item);
    gsize end = yaml_place_flow_end(sheet->text, from);
    if (end == 0 || at_node(sheet, sheet->list) != '[')
        return NULL;
    gsize comma = end + strspn(sheet->text + end, " \t\r\n");
    if (sheet->text[comma] == ',') {
        gsize blanks = strspn(sheet->text + comma + 1, " \t");
        return yaml_place_splice(sheet->text, from, comma + 1 + blanks - from, "");
    }
    gsize before = from;
    while (before > 0 && strchr(" \t\r\n", sheet->text[before - 1]) != NULL)
        before--;
    if (before > 0 && sheet->text[before - 1] == ',')
        from = before - 1;
    return yaml_place_splice(sheet->text, from, end - from, "");
}

char *config_edit_remove(const char *source, const char *text, const char *list, const char *name,
                         GError **error)
{
    static const Way ways[] = {remove_from_block, remove_from_flow, NULL};
    g_auto(Sheet) sheet = {0};
    if (!sheet_init(&sheet, source, text, list, error))
        return NULL;
    Change change = {.what = REMOVED, .item = find_or_error(&sheet, name, error)};
    if (change.item == NULL)
        return NULL;
    char *result = try_ways(&sheet, &change, ways);
    return result != NULL ? result : refuse(&sheet, change.item, "remove the item", NULL, error);
}

/* --- Setting a member --- */

/* Length of a scalar in the text, 0 when it is empty or is none that can be replaced in place. */
static gsize scalar_length(const char *text, gsize at, const YamlNode *scalar)
{
    if (text[at] == '"' || text[at] == '\'')
        return MAX(yaml_place_flow_end(text, at), at) - at;
    gsize len = strlen(yamlnode_text(scalar));
    return yamlnode_is_plain(scalar) && strncmp(text + at, yamlnode_text(scalar), len) == 0 ? len : 0;
}

static char *set_in_place(const Sheet *sheet, const Change *change)
{
    const YamlNode *value = yamlnode_get(change->item, change->members->key);
    if (value == NULL || yamlnode_kind(value) != YAMLDOC_SCALAR)
        return NULL;
    gsize at = yaml_place_node(sheet->text, value);
    gsize len = scalar_length(sheet->text, at, value);
    g_autofree char *insert = g_strconcat(len > 0 ? "" : " ", change->members->yaml, NULL);
    return yaml_place_splice(sheet->text, at, len, insert);
}

/* "{…, key: value}", or with the new member at the head when a comment stands at the end. */
static char *set_in_flow_tail(const Sheet *sheet, const Change *change)
{
    gsize at = yaml_place_node(sheet->text, change->item);
    gsize end = sheet->text[at] == '{' ? yaml_place_flow_end(sheet->text, at) : 0;
    if (end == 0)
        return NULL;
    gsize last = end - 1;
    while (last > at + 1 && strchr(" \t\r\n", sheet->text[last - 1]) != NULL)
        last--;
    const char *comma = sheet->text[last - 1] == ',' ? " " : ", ";
    g_autofree char *insert = g_strconcat(comma, change->members->key, ": ", change->members->yaml, NULL);
    return yaml_place_splice(sheet->text, last, 0, insert);
}

static char *set_in_flow_head(const Sheet *sheet, const Change *change)
{
    gsize at = yaml_place_node(sheet->text, change->item);
    g_autofree char *insert = g_strconcat(change->members->key, ": ", change->members->yaml, ", ", NULL);
    return sheet->text[at] == '{' ? yaml_place_splice(sheet->text, at + 1, 0, insert) : NULL;
}

/* On a line of its own below everything of the item. */
static char *set_in_block(const Sheet *sheet, const Change *change)
{
    if (at_node(sheet, change->item) == '{')
        return NULL;
    gsize end = yaml_place_item_end(sheet->text, yaml_place_dash(sheet->text, change->item));
    g_autofree char *line = g_strdup_printf("%*s%s: %s%s", (int)yamlnode_column(change->item) - 1, "",
                                            change->members->key, change->members->yaml, sheet->eol);
    return yaml_place_insert_lines(sheet->text, end, line);
}

char *config_edit_set(const char *source, const char *text, const char *list, const char *name,
                      const ConfigEditMember *member, GError **error)
{
    static const Way ways[] = {set_in_place, set_in_flow_tail, set_in_flow_head, set_in_block, NULL};
    g_auto(Sheet) sheet = {0};
    if (!sheet_init(&sheet, source, text, list, error))
        return NULL;
    g_autofree char *flow = flow_item(member, 1);
    g_autoptr(YamlDoc) wanted = yamldoc_parse("member", flow, strlen(flow), LIMIT_CONFIG_BYTES, error);
    if (wanted == NULL)
        return NULL;
    Change change = {.what = CHANGED, .item = find_or_error(&sheet, name, error)};
    if (change.item == NULL)
        return NULL;
    change.wanted = yamldoc_root(wanted);
    change.members = member;
    const YamlNode *there = yamlnode_get(change.item, member->key);
    /* Where nothing changes, the comparison could not tell a right edit from one inside a comment. */
    if (there != NULL && trees_equal(there, yamlnode_first(change.wanted)))
        return g_strdup(text);
    char *result = try_ways(&sheet, &change, ways);
    g_autofree char *what = g_strdup_printf("give the item '%s: %s'", member->key, member->yaml);
    return result != NULL ? result : refuse(&sheet, change.item, what, NULL, error);
}
