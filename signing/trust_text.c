/* SPDX-License-Identifier: MIT
 *
 * Editing trust files as text. libyaml could print the tree again, but would lose comments, quoting and
 * layout, so the tree only says where things stand and whole lines are inserted or cut out.
 *
 * What the lines mean is not argued about: every result is read again and compared with the list before.
 * Where an unusual layout makes the cut wrong, the comparison fails and the file is left to its owner.
 *
 * Lines count as libyaml counts them for files made of LF or CRLF; all else ends in that comparison.
 */
#include "signing/trust_list.h"

#include "schema/limits.h"
#include "schema/yaml_place.h"
#include "schema/yaml_str.h"
#include "schema/yamldoc.h"

#include <string.h>

#define SOURCE "trust list"

typedef struct {
    const char *text; /* borrowed */
    const char *eol;  /* "\n" or "\r\n", as the first line has it */
    YamlDoc *doc;
    const YamlNode *publishers; /* NULL when there is no such key */
    TrustList *list;            /* what the text means */
} Sheet;

static void sheet_clear(Sheet *sheet)
{
    yamldoc_free(sheet->doc);
    trust_list_unref(sheet->list);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sheet, sheet_clear)

static gboolean sheet_init(Sheet *sheet, const char *text, GError **error)
{
    gsize len = strlen(text);
    *sheet = (Sheet){.text = text};
    sheet->eol = yaml_place_eol(text);
    sheet->list = trust_list_parse(SOURCE, text, len, error);
    if (sheet->list == NULL)
        return FALSE;
    sheet->doc = yamldoc_parse(SOURCE, text, len, LIMIT_TRUST_BYTES, error);
    g_assert(sheet->doc != NULL);
    const YamlNode *root = yamldoc_root(sheet->doc);
    if (yamlnode_kind(root) == YAMLDOC_MAPPING)
        sheet->publishers = yamlnode_get(root, "publishers");
    return TRUE;
}

/* --- Making the new text --- */

static void append_member(GString *out, gsize depth, const char *eol, const char *key, const char *value)
{
    g_string_append_printf(out, "%*s%s: %s%s", (int)depth, "", key, value, eol);
}

static void append_quoted(GString *out, gsize depth, const char *eol, const char *key, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    g_autofree char *quoted = yamldoc_quote(text);
    append_member(out, depth, eol, key, quoted);
}

static void append_paths(GString *out, gsize depth, const char *eol, const GPtrArray *paths)
{
    g_string_append_printf(out, "%*spaths:%s", (int)depth, "", eol);
    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *quoted = yamldoc_quote(g_ptr_array_index(paths, i));
        g_string_append_printf(out, "%*s- %s%s", (int)depth + 2, "", quoted, eol);
    }
}

/* The entry as a block whose dash stands at column `depth`. */
static char *entry_lines(const TrustEntry *entry, gsize depth, const char *eol)
{
    gsize inner = depth + 2;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *until = trust_until_print(entry->until);
    /* Digits alone would be a number to other readers. */
    gboolean digits = strspn(entry->fingerprint, "0123456789") == FINGERPRINT_CHARS;
    g_autofree char *fingerprint = digits ? yamldoc_quote(entry->fingerprint) : g_strdup(entry->fingerprint);
    g_string_append_printf(out, "%*s- fingerprint: %s%s", (int)depth, "", fingerprint, eol);
    append_quoted(out, inner, eol, "name", entry->name);
    append_quoted(out, inner, eol, "since", entry->since);
    append_quoted(out, inner, eol, "note", entry->note);
    if (entry->has_key) {
        g_autofree char *key = base64_encode(entry->public_key.bytes, sizeof entry->public_key.bytes);
        append_quoted(out, inner, eol, "public_key", key);
    }
    append_quoted(out, inner, eol, "until", until);
    if (entry->revoked)
        append_member(out, inner, eol, "revoked", "true");
    if (entry->paths->len > 0)
        append_paths(out, inner, eol, entry->paths);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* --- Entries of one fingerprint, right or wrong --- */

static gboolean has_fingerprint(const YamlNode *item, const char *fingerprint)
{
    char found[FINGERPRINT_CHARS + 1];
    const YamlNode *node = yamlnode_kind(item) == YAMLDOC_MAPPING ? yamlnode_get(item, "fingerprint") : NULL;
    if (node == NULL || yamlnode_kind(node) != YAMLDOC_SCALAR)
        return FALSE;
    g_autofree char *text = yaml_str_scalar(node);
    return text != NULL && trust_fingerprint_parse(text, found) && strcmp(found, fingerprint) == 0;
}

static gboolean is_revoked(const YamlNode *item)
{
    const YamlNode *node = yamlnode_get(item, "revoked");
    gboolean revoked = FALSE;
    return node != NULL && yamlnode_get_boolean(node, &revoked, NULL) && revoked;
}

/* How many items have the fingerprint, or only those that do not say by themselves that they are revoked;
 * *ret_first (may be NULL) is the first of them, or NULL. */
static guint count_items(const Sheet *sheet, const char *fingerprint, gboolean unrevoked,
                         const YamlNode **ret_first)
{
    guint count = 0;
    const YamlNode *first = NULL;
    const YamlNode *item = sheet->publishers != NULL ? yamlnode_first(sheet->publishers) : NULL;
    for (; item != NULL; item = yamlnode_next(item)) {
        if (!has_fingerprint(item, fingerprint) || (unrevoked && is_revoked(item)))
            continue;
        first = count++ == 0 ? item : first;
    }
    if (ret_first != NULL)
        *ret_first = first;
    return count;
}

static guint publisher_count(const Sheet *sheet)
{
    return sheet->publishers != NULL ? yamlnode_count(sheet->publishers) : 0;
}

static gboolean set_not_found(GError **error, const char *fingerprint)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "no entry has the fingerprint %s", fingerprint);
    return FALSE;
}

/* --- Checking the result --- */

static gboolean paths_equal(const GPtrArray *a, const GPtrArray *b)
{
    if (a->len != b->len)
        return FALSE;
    for (guint i = 0; i < a->len; i++) {
        if (strcmp(g_ptr_array_index(a, i), g_ptr_array_index(b, i)) != 0)
            return FALSE;
    }
    return TRUE;
}

static gboolean texts_equal(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* Equal but for line and revocation. */
static gboolean entries_equal(const TrustEntry *a, const TrustEntry *b)
{
    return texts_equal(a->fingerprint, b->fingerprint) && texts_equal(a->name, b->name) &&
           texts_equal(a->since, b->since) && texts_equal(a->note, b->note) && a->has_key == b->has_key &&
           a->until == b->until && paths_equal(a->paths, b->paths);
}

/* TRUE when every entry of `all` but that of `fingerprint` is in `list`, unchanged. */
static gboolean has_all(const TrustList *list, const TrustList *all, const char *fingerprint)
{
    for (guint i = 0; i < trust_list_count(all); i++) {
        const TrustEntry *entry = trust_list_nth(all, i);
        const TrustEntry *same = trust_list_find(list, entry->fingerprint);
        if (strcmp(entry->fingerprint, fingerprint) != 0 &&
            (same == NULL || !entries_equal(entry, same) || entry->revoked != same->revoked))
            return FALSE;
    }
    return TRUE;
}

static gboolean refuse_result(GError **error, const char *fingerprint)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                "the entry of %s cannot be edited in place; edit the trust list by hand", fingerprint);
    return FALSE;
}

/* Reads the new text into `after` (cleared by the caller in any case). FALSE with UNSUPPORTED unless it has
 * so many publishers more, as many other keys, and the same entries but for one fingerprint. */
static gboolean read_back(const Sheet *before, Sheet *after, const char *text, const char *fingerprint,
                          int more, GError **error)
{
    if (strlen(text) > LIMIT_TRUST_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "the trust list would exceed %d bytes",
                    LIMIT_TRUST_BYTES);
        return FALSE;
    }
    if (!sheet_init(after, text, NULL))
        return refuse_result(error, fingerprint);
    guint keys = yamlnode_count(yamldoc_root(before->doc)) + (before->publishers == NULL ? 1 : 0);
    if (yamlnode_count(yamldoc_root(after->doc)) != keys ||
        (gint64)publisher_count(after) != (gint64)publisher_count(before) + more ||
        !has_all(after->list, before->list, fingerprint) || !has_all(before->list, after->list, fingerprint))
        return refuse_result(error, fingerprint);
    return TRUE;
}

/* --- Adding --- */

static char *append_entry(const Sheet *sheet, const TrustEntry *entry)
{
    if (publisher_count(sheet) == 0) {
        g_autofree char *lines = entry_lines(entry, 2, sheet->eol);
        if (sheet->publishers != NULL)
            return yaml_place_fill_empty(sheet->text, sheet->publishers, lines);
        g_autofree char *all = g_strconcat("publishers:", sheet->eol, lines, NULL);
        return yaml_place_insert_lines(sheet->text, strlen(sheet->text), all);
    }
    const YamlNode *last = NULL;
    for (const YamlNode *i = yamlnode_first(sheet->publishers); i != NULL; i = yamlnode_next(i))
        last = i;
    guint dash = yaml_place_dash(sheet->text, last);
    g_autofree char *lines =
        entry_lines(entry, yaml_place_indent(sheet->text + yaml_place_line(sheet->text, dash)), sheet->eol);
    return yaml_place_insert_lines(sheet->text, yaml_place_item_end(sheet->text, dash), lines);
}

char *trust_text_add(const char *text, const TrustEntry *entry, GError **error)
{
    g_auto(Sheet) sheet = {0};
    g_auto(Sheet) after = {0};
    if (!sheet_init(&sheet, text, error))
        return NULL;
    if (count_items(&sheet, entry->fingerprint, FALSE, NULL) > 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "the fingerprint %s is in the list already",
                    entry->fingerprint);
        return NULL;
    }
    g_autofree char *result = append_entry(&sheet, entry);
    if (!read_back(&sheet, &after, result, entry->fingerprint, 1, error))
        return NULL;
    const TrustEntry *added = trust_list_find(after.list, entry->fingerprint);
    if (added != NULL && entries_equal(added, entry) && added->revoked == entry->revoked)
        return g_steal_pointer(&result);
    refuse_result(error, entry->fingerprint);
    return NULL;
}

/* --- Removing --- */

/* One item less, or NULL with an error. */
static char *remove_one(const char *text, const char *fingerprint, guint *ret_left, GError **error)
{
    g_auto(Sheet) sheet = {0};
    g_auto(Sheet) after = {0};
    const YamlNode *item = NULL;
    if (!sheet_init(&sheet, text, error))
        return NULL;
    guint count = count_items(&sheet, fingerprint, FALSE, &item);
    if (item == NULL) {
        set_not_found(error, fingerprint);
        return NULL;
    }
    g_autofree char *result = yaml_place_cut_item(sheet.text, sheet.publishers, item);
    if (!read_back(&sheet, &after, result, fingerprint, -1, error))
        return NULL;
    *ret_left = count_items(&after, fingerprint, FALSE, NULL);
    if (*ret_left + 1 == count)
        return g_steal_pointer(&result);
    refuse_result(error, fingerprint);
    return NULL;
}

char *trust_text_remove(const char *text, const char *fingerprint, GError **error)
{
    g_autofree char *result = g_strdup(text);
    guint left = 1;
    /* Repetitions too: one that stayed would be trusted from now on. */
    while (left > 0) {
        g_autofree char *next = remove_one(result, fingerprint, &left, error);
        if (next == NULL)
            return NULL;
        g_free(result);
        result = g_steal_pointer(&next);
    }
    return g_steal_pointer(&result);
}

/* --- Revoking --- */

/* Sets `revoked: true` in one item: in place of the plain value that is there, at the head of "{…}", or as a
 * line of its own below the fingerprint. */
static char *mark_item(const Sheet *sheet, const YamlNode *item)
{
    const YamlNode *value = yamlnode_get(item, "revoked");
    gsize at = yaml_place_node(sheet->text, value != NULL ? value : item);
    if (value != NULL) {
        gboolean plain = yamlnode_kind(value) == YAMLDOC_SCALAR && yamlnode_is_plain(value);
        gsize len = plain ? strlen(yamlnode_text(value)) : 0;
        return yaml_place_splice(sheet->text, at, len, len > 0 ? "true" : " true");
    }
    if (sheet->text[at] == '{')
        return yaml_place_splice(sheet->text, at + 1, 0, "revoked: true, ");
    const YamlNode *fingerprint = yamlnode_get(item, "fingerprint");
    g_autofree char *line =
        g_strdup_printf("%*srevoked: true%s", (int)yamlnode_column(item) - 1, "", sheet->eol);
    return yaml_place_insert_lines(sheet->text, yaml_place_line(sheet->text, yamlnode_line(fingerprint) + 1),
                                   line);
}

/* TRUE when the entry is revoked now and otherwise as it was. A wrong entry is in neither list. */
static gboolean only_revoked(const Sheet *before, const Sheet *after, const char *fingerprint)
{
    const TrustEntry *old = trust_list_find(before->list, fingerprint);
    const TrustEntry *now = trust_list_find(after->list, fingerprint);
    return old == NULL || (now != NULL && now->revoked && entries_equal(old, now));
}

/* Marks one item that is not revoked yet, if there is one; NULL with an error. */
static char *revoke_one(const char *text, const char *fingerprint, guint *ret_left, GError **error)
{
    g_auto(Sheet) sheet = {0};
    g_auto(Sheet) after = {0};
    const YamlNode *item = NULL;
    if (!sheet_init(&sheet, text, error))
        return NULL;
    guint count = count_items(&sheet, fingerprint, TRUE, &item);
    if (item == NULL) {
        *ret_left = 0;
        gboolean any = count_items(&sheet, fingerprint, FALSE, NULL) > 0;
        return any || set_not_found(error, fingerprint) ? g_strdup(text) : NULL;
    }
    g_autofree char *result = mark_item(&sheet, item);
    if (!read_back(&sheet, &after, result, fingerprint, 0, error))
        return NULL;
    *ret_left = count_items(&after, fingerprint, TRUE, NULL);
    if (*ret_left + 1 == count && only_revoked(&sheet, &after, fingerprint))
        return g_steal_pointer(&result);
    refuse_result(error, fingerprint);
    return NULL;
}

char *trust_text_revoke(const char *text, const char *fingerprint, GError **error)
{
    g_autofree char *result = g_strdup(text);
    guint left = 1;
    while (left > 0) {
        g_autofree char *next = revoke_one(result, fingerprint, &left, error);
        if (next == NULL)
            return NULL;
        g_free(result);
        result = g_steal_pointer(&next);
    }
    return g_steal_pointer(&result);
}
