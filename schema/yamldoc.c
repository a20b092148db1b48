/* SPDX-License-Identifier: MIT
 *
 * libyaml's event stream is turned into a tree without recursion: `open` is the innermost container that has
 * not ended, and each node knows its parent. Limits are checked at each event, before anything is kept, and
 * libyaml itself looks ahead by at most a line of 1024 characters, so bad input costs little more than its
 * own length. libyaml's own document API is not used: it expands aliases, keeps the last of two equal keys
 * and knows no limits.
 */
#include "schema/yamldoc.h"

#include "schema/limits.h"
#include "schema/scalar.h"
#include "schema/text.h"

#include <string.h>
#include <yaml.h>

/* A mapping with more members than this gets a hash index; below it, a walk is as fast and costs nothing. */
enum { INDEX_FROM_MEMBERS = 16 };

struct YamlNode {
    const YamlDoc *doc;
    YamlNode *parent; /* NULL for the root */
    YamlNode *first, *last, *next;
    guint count; /* children */
    guint depth; /* of the root: 1 */
    YamlKind kind;
    gboolean plain;
    char *key;  /* of this value in its mapping, or NULL */
    char *text; /* of a scalar, else NULL */
    guint line, column, key_line;
    GHashTable *index; /* of large mappings: key (borrowed) → child */
};

struct YamlDoc {
    char *source;
    GPtrArray *nodes; /* owns every node, so that freeing needs no recursion */
    YamlNode *root;
};

typedef struct {
    yaml_parser_t parser;
    YamlDoc *doc;
    YamlNode *open; /* innermost open container, or NULL */
    char *key;      /* key read, whose value is due */
    guint key_line;
    guint key_count; /* keys count as nodes */
    gboolean document_seen;
} Builder;

static void node_free(gpointer data)
{
    YamlNode *node = data;
    g_clear_pointer(&node->index, g_hash_table_unref);
    g_free(node->key);
    g_free(node->text);
    g_free(node);
}

void yamldoc_free(YamlDoc *doc)
{
    if (doc == NULL)
        return;
    g_ptr_array_unref(doc->nodes);
    g_free(doc->source);
    g_free(doc);
}

static YamlDoc *doc_new(const char *source)
{
    YamlDoc *doc = g_new0(YamlDoc, 1);
    doc->source = g_strdup(source);
    doc->nodes = g_ptr_array_new_with_free_func(node_free);
    return doc;
}

static gboolean refuse_at(const Builder *b, const yaml_mark_t *mark, KontorErrorCode code, GError **error,
                          const char *message)
{
    g_set_error(error, KONTOR_ERROR, code, "%s:%zu: %s", b->doc->source, mark->line + 1, message);
    return FALSE;
}

/* --- Building --- */

static YamlNode *find_member(const YamlNode *mapping, const char *key)
{
    if (mapping->index != NULL)
        return g_hash_table_lookup(mapping->index, key);
    for (YamlNode *child = mapping->first; child != NULL; child = child->next) {
        if (g_str_equal(child->key, key))
            return child;
    }
    return NULL;
}

static void index_member(YamlNode *mapping, YamlNode *child)
{
    if (mapping->index == NULL && mapping->count > INDEX_FROM_MEMBERS) {
        mapping->index = g_hash_table_new(g_str_hash, g_str_equal);
        for (YamlNode *c = mapping->first; c != NULL; c = c->next)
            g_hash_table_insert(mapping->index, c->key, c);
    } else if (mapping->index != NULL) {
        g_hash_table_insert(mapping->index, child->key, child);
    }
}

/* Adds a node where the event stands. The pending key, if any, becomes the node's. */
static YamlNode *add_node(Builder *b, YamlKind kind, const yaml_mark_t *mark, GError **error)
{
    guint depth = b->open != NULL ? b->open->depth + 1 : 1;
    if (depth > LIMIT_YAML_DEPTH) {
        refuse_at(b, mark, KONTOR_ERROR_LIMIT, error,
                  "nested deeper than " G_STRINGIFY(LIMIT_YAML_DEPTH) " levels");
        return NULL;
    }
    if (b->doc->nodes->len + b->key_count >= LIMIT_YAML_NODES) {
        refuse_at(b, mark, KONTOR_ERROR_LIMIT, error,
                  "more than " G_STRINGIFY(LIMIT_YAML_NODES) " keys and values");
        return NULL;
    }
    YamlNode *node = g_new0(YamlNode, 1);
    g_ptr_array_add(b->doc->nodes, node);
    node->doc = b->doc;
    node->parent = b->open;
    node->depth = depth;
    node->kind = kind;
    node->line = (guint)mark->line + 1;
    node->column = (guint)mark->column + 1;
    node->key = g_steal_pointer(&b->key);
    node->key_line = b->key_line;
    if (b->open == NULL) {
        b->doc->root = node;
        return node;
    }
    if (b->open->last != NULL)
        b->open->last->next = node;
    else
        b->open->first = node;
    b->open->last = node;
    b->open->count++;
    if (b->open->kind == YAMLDOC_MAPPING)
        index_member(b->open, node);
    return node;
}

static gboolean key_is_due(const Builder *b)
{
    return b->open != NULL && b->open->kind == YAMLDOC_MAPPING && b->key == NULL;
}

static gboolean take_key(Builder *b, const char *text, const yaml_mark_t *mark, GError **error)
{
    const YamlNode *earlier = find_member(b->open, text);
    if (earlier != NULL) {
        g_autofree char *shown = text_for_message(text, strlen(text));
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "%s:%zu: key '%s' is given twice, first in line %u", b->doc->source, mark->line + 1,
                    shown, earlier->key_line);
        return FALSE;
    }
    b->key = g_strdup(text);
    b->key_line = (guint)mark->line + 1;
    b->key_count++;
    return TRUE;
}

static gboolean take_scalar(Builder *b, const yaml_event_t *event, GError **error)
{
    const char *text = (const char *)event->data.scalar.value;
    gsize len = event->data.scalar.length;
    if (event->data.scalar.anchor != NULL)
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_UNSUPPORTED, error, "anchors are not supported");
    if (event->data.scalar.tag != NULL)
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_UNSUPPORTED, error, "tags are not supported");
    /* Escapes can make what the bytes themselves could not hold: NUL, or a surrogate half. */
    if (memchr(text, '\0', len) != NULL || !g_utf8_validate(text, (gssize)len, NULL))
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_MALFORMED, error,
                         "text with an escaped NUL or surrogate");
    if (key_is_due(b))
        return take_key(b, text, &event->start_mark, error);
    YamlNode *node = add_node(b, YAMLDOC_SCALAR, &event->start_mark, error);
    if (node == NULL)
        return FALSE;
    node->text = g_strndup(text, len);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return TRUE;
}

static gboolean begin_container(Builder *b, YamlKind kind, const yaml_event_t *event, GError **error)
{
    gboolean is_mapping = kind == YAMLDOC_MAPPING;
    const yaml_char_t *anchor =
        is_mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = is_mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (anchor != NULL)
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_UNSUPPORTED, error, "anchors are not supported");
    if (tag != NULL)
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_UNSUPPORTED, error, "tags are not supported");
    if (key_is_due(b))
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_MALFORMED, error, "a key must be a plain text");
    YamlNode *node = add_node(b, kind, &event->start_mark, error);
    if (node == NULL)
        return FALSE;
    b->open = node;
    return TRUE;
}

static gboolean begin_document(Builder *b, const yaml_event_t *event, GError **error)
{
    if (b->document_seen)
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_MALFORMED, error,
                         "a second document in one file");
    b->document_seen = TRUE;
    return TRUE;
}

static gboolean take_event(Builder *b, const yaml_event_t *event, GError **error)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return begin_document(b, event, error);
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event, error);
    case YAML_SEQUENCE_START_EVENT:
        return begin_container(b, YAMLDOC_SEQUENCE, event, error);
    case YAML_MAPPING_START_EVENT:
        return begin_container(b, YAMLDOC_MAPPING, event, error);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->open = b->open->parent;
        return TRUE;
    case YAML_ALIAS_EVENT:
        return refuse_at(b, &event->start_mark, KONTOR_ERROR_UNSUPPORTED, error, "aliases are not supported");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return TRUE;
    }
    g_assert_not_reached();
}

/* --- Parsing --- */

static gsize line_of_offset(const char *data, gsize len, gsize offset)
{
    gsize line = 1;
    for (gsize i = 0; i < MIN(len, offset); i++)
        line += data[i] == '\n' ? 1 : 0;
    return line;
}

static gboolean refuse_syntax(const Builder *b, const char *data, gsize len, GError **error)
{
    const yaml_parser_t *p = &b->parser;
    gsize line = p->error == YAML_READER_ERROR ? line_of_offset(data, len, p->problem_offset)
                                               : p->problem_mark.line + 1;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s:%zu: not valid YAML: %s", b->doc->source,
                line, p->problem != NULL ? p->problem : "cannot be parsed");
    return FALSE;
}

static gboolean run_parser(Builder *b, const char *data, gsize len, GError **error)
{
    for (gboolean more = TRUE; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return refuse_syntax(b, data, len, error);
        gboolean taken = take_event(b, &event, error);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (!taken)
            return FALSE;
    }
    if (b->doc->root != NULL)
        return TRUE;
    YamlNode *empty = add_node(b, YAMLDOC_SCALAR, &(yaml_mark_t){0}, error);
    empty->text = g_strdup("");
    empty->plain = TRUE;
    return TRUE;
}

static gboolean check_bytes(const char *source, const char *data, gsize len, gsize bytes_max, GError **error)
{
    if (len > bytes_max) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: larger than %zu bytes", source, bytes_max);
        return FALSE;
    }
    const char *bad = NULL;
    if (len > 0 && !g_utf8_validate_len(data, len, &bad)) {
        gsize offset = (gsize)(bad - data);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s:%zu: not UTF-8 text at byte %zu", source,
                    line_of_offset(data, len, offset), offset);
        return FALSE;
    }
    return TRUE;
}

YamlDoc *yamldoc_parse(const char *source, const void *data, gsize len, gsize bytes_max, GError **error)
{
    if (!check_bytes(source, data, len, bytes_max, error))
        return NULL;
    /* libyaml would count a byte order mark as a column and then miss the indentation of the first line. */
    const char *text = data;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    g_autoptr(YamlDoc) doc = doc_new(source);
    Builder b = {.doc = doc};
    if (!yaml_parser_initialize(&b.parser))
        g_error("out of memory"); /* as GLib itself does */
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const guint8 *)(len > 0 ? text : ""), len);
    gboolean parsed = run_parser(&b, text, len, error);
    yaml_parser_delete(&b.parser);
    g_free(b.key);
    return parsed ? g_steal_pointer(&doc) : NULL;
}

/* --- Queries --- */

const YamlNode *yamldoc_root(const YamlDoc *doc)
{
    return doc->root;
}

YamlKind yamlnode_kind(const YamlNode *node)
{
    return node->kind;
}

guint yamlnode_line(const YamlNode *node)
{
    return node->line;
}

guint yamlnode_column(const YamlNode *node)
{
    return node->column;
}

const YamlNode *yamlnode_get(const YamlNode *mapping, const char *key)
{
    g_assert(mapping->kind == YAMLDOC_MAPPING);
    return find_member(mapping, key);
}

const YamlNode *yamlnode_first(const YamlNode *node)
{
    return node->first;
}

const YamlNode *yamlnode_next(const YamlNode *item)
{
    return item->next;
}

guint yamlnode_count(const YamlNode *node)
{
    return node->count;
}

const char *yamlnode_key(const YamlNode *value)
{
    return value->key;
}

guint yamlnode_key_line(const YamlNode *value)
{
    g_assert(value->key != NULL);
    return value->key_line;
}

const char *yamlnode_text(const YamlNode *scalar)
{
    g_assert(scalar->kind == YAMLDOC_SCALAR);
    return scalar->text;
}

gboolean yamlnode_is_plain(const YamlNode *node)
{
    return node->plain;
}

gboolean yamlnode_is_null(const YamlNode *node)
{
    static const char *const names[] = {"", "~", "null", "Null", "NULL", NULL};
    return node->plain && g_strv_contains(names, node->text);
}

/* --- Messages --- */

/* Appends the way from the root to the node, such as "limits.nodes" or "listen[2]". */
static void append_path(GString *out, const YamlNode *node)
{
    const YamlNode *way[LIMIT_YAML_DEPTH];
    guint steps = 0;
    for (; node->parent != NULL; node = node->parent)
        way[steps++] = node;
    while (steps-- > 0) {
        const YamlNode *step = way[steps];
        if (step->key == NULL) {
            guint position = 0;
            for (const YamlNode *n = step->parent->first; n != step; n = n->next)
                position++;
            g_string_append_printf(out, "[%u]", position);
            continue;
        }
        g_autofree char *shown = text_for_message(step->key, strlen(step->key));
        g_string_append_printf(out, "%s%s", out->len > 0 ? "." : "", shown);
    }
}

static char *prefix_of(const YamlNode *node)
{
    g_autoptr(GString) path = g_string_new(NULL);
    append_path(path, node);
    /* A list or mapping under a key begins below it; people look for the key. */
    guint line = node->key != NULL && node->kind != YAMLDOC_SCALAR ? node->key_line : node->line;
    return g_strdup_printf("%s:%u: %s%s", node->doc->source, line, path->str, path->len > 0 ? ": " : "");
}

gboolean yamlnode_error(const YamlNode *node, KontorErrorCode code, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *prefix = prefix_of(node);
    g_set_error(error, KONTOR_ERROR, code, "%s%s", prefix, message);
    return FALSE;
}

gboolean yamlnode_prefix_error(const YamlNode *node, GError **error)
{
    g_autofree char *prefix = prefix_of(node);
    g_prefix_error(error, "%s", prefix);
    return FALSE;
}

/* --- Checked getters --- */

static const char *describe(const YamlNode *node)
{
    if (node->kind == YAMLDOC_MAPPING)
        return "a mapping";
    if (node->kind == YAMLDOC_SEQUENCE)
        return "a list";
    if (yamlnode_is_null(node))
        return "nothing";
    return node->plain ? "a value" : "quoted text";
}

static gboolean refuse_kind(const YamlNode *node, const char *expected, GError **error)
{
    return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "expected %s, found %s", expected,
                          describe(node));
}

static gboolean has_control(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (g_ascii_iscntrl(*p))
            return TRUE;
    }
    return FALSE;
}

gboolean yamlnode_get_text(const YamlNode *node, gsize bytes_max, const char **ret, GError **error)
{
    if (node->kind != YAMLDOC_SCALAR || yamlnode_is_null(node))
        return refuse_kind(node, "text", error);
    if (strlen(node->text) > bytes_max)
        return yamlnode_error(node, KONTOR_ERROR_LIMIT, error, "longer than %zu bytes", bytes_max);
    if (has_control(node->text))
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "control characters are not allowed");
    *ret = node->text;
    return TRUE;
}

/* Only a plain scalar that is not null can stand for anything but text. */
static gboolean check_plain(const YamlNode *node, const char *expected, GError **error)
{
    return (node->plain && !yamlnode_is_null(node)) || refuse_kind(node, expected, error);
}

gboolean yamlnode_get_integer(const YamlNode *node, gint64 min, gint64 max, gint64 *ret, GError **error)
{
    return check_plain(node, "a whole number", error) &&
           (scalar_parse_integer(node->text, min, max, ret, error) || yamlnode_prefix_error(node, error));
}

gboolean yamlnode_get_boolean(const YamlNode *node, gboolean *ret, GError **error)
{
    return check_plain(node, "true or false", error) &&
           (scalar_parse_boolean(node->text, ret, error) || yamlnode_prefix_error(node, error));
}

gboolean yamlnode_get_duration(const YamlNode *node, gint64 min_ms, gint64 max_ms, gint64 *ret_ms,
                               GError **error)
{
    return check_plain(node, "a duration", error) &&
           (scalar_parse_duration(node->text, min_ms, max_ms, ret_ms, error) ||
            yamlnode_prefix_error(node, error));
}

gboolean yamlnode_get_size(const YamlNode *node, guint64 min, guint64 max, guint64 *ret_bytes, GError **error)
{
    return check_plain(node, "a size", error) &&
           (scalar_parse_size(node->text, min, max, ret_bytes, error) || yamlnode_prefix_error(node, error));
}

gboolean yamlnode_check_kind(const YamlNode *node, YamlKind kind, GError **error)
{
    static const char *const expected[] = {
        [YAMLDOC_SCALAR] = "a single value",
        [YAMLDOC_SEQUENCE] = "a list",
        [YAMLDOC_MAPPING] = "a mapping",
    };
    return node->kind == kind || (kind != YAMLDOC_SCALAR && yamlnode_is_null(node)) ||
           refuse_kind(node, expected[kind], error);
}

gboolean yamlnode_check_keys(const YamlNode *mapping, const char *const *known, GError **error)
{
    if (!yamlnode_check_kind(mapping, YAMLDOC_MAPPING, error))
        return FALSE;
    for (const YamlNode *child = mapping->first; child != NULL; child = child->next) {
        if (g_strv_contains(known, child->key))
            continue;
        g_autoptr(GString) path = g_string_new(NULL);
        append_path(path, child);
        const char *near = scalar_nearest(child->key, known);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s:%u: %s: unknown key%s%s%s",
                    child->doc->source, child->key_line, path->str, near != NULL ? ", did you mean '" : "",
                    near != NULL ? near : "", near != NULL ? "'?" : "");
        return FALSE;
    }
    return TRUE;
}

/* --- Writing --- */

/* What a YAML 1.1 reader may refuse or fold inside quotes, apart from the two that have short escapes. */
static gboolean needs_escape(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           (c & 0xfffe) == 0xfffe;
}

char *yamldoc_quote(const char *text)
{
    g_assert(g_utf8_validate(text, -1, NULL));
    g_autoptr(GString) out = g_string_new("\"");
    for (const guchar *p = (const guchar *)text; *p != '\0'; p += g_utf8_skip[*p]) {
        gunichar c = g_utf8_get_char((const char *)p);
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", (char)c);
        else if (needs_escape(c))
            g_string_append_printf(out, "\\U%08X", c);
        else
            g_string_append_unichar(out, c);
    }
    g_string_append_c(out, '"');
    return g_string_free(g_steal_pointer(&out), FALSE);
}
