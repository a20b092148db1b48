/* SPDX-License-Identifier: MIT
 *
 * An entry is read completely or skipped: what an operator wrote to narrow trust (until, revoked, paths) must
 * never be lost while the rest of the entry counts.
 */
#include "signing/trust_list.h"

#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/scalar.h"
#include "schema/text.h"
#include "schema/yaml_str.h"
#include "schema/yamldoc.h"

#include <string.h>

#define DAY_SECONDS (24 * 3600)

struct TrustList {
    gatomicrefcount refs;
    GPtrArray *entries;         /* of TrustEntry *, in the order of the file */
    GHashTable *by_fingerprint; /* fingerprint → TrustEntry *, both of `entries` */
    GPtrArray *warnings;        /* of char * */
    guint8 hash[SHA256_BYTES];
};

/* --- Life cycle --- */

static void entry_free(TrustEntry *entry)
{
    g_free(entry->name);
    g_free(entry->since);
    g_free(entry->note);
    g_ptr_array_unref(entry->paths);
    g_free(entry);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrustEntry, entry_free)

static TrustEntry *entry_new(void)
{
    TrustEntry *entry = g_new0(TrustEntry, 1);
    entry->until = G_MAXINT64;
    entry->paths = g_ptr_array_new_with_free_func(g_free);
    return entry;
}

static TrustList *list_new(void)
{
    TrustList *list = g_new0(TrustList, 1);
    g_atomic_ref_count_init(&list->refs);
    list->entries = g_ptr_array_new_with_free_func((GDestroyNotify)entry_free);
    list->by_fingerprint = g_hash_table_new(g_str_hash, g_str_equal);
    list->warnings = g_ptr_array_new_with_free_func(g_free);
    return list;
}

TrustList *trust_list_ref(TrustList *list)
{
    g_atomic_ref_count_inc(&list->refs);
    return list;
}

void trust_list_unref(TrustList *list)
{
    if (list == NULL || !g_atomic_ref_count_dec(&list->refs))
        return;
    g_hash_table_unref(list->by_fingerprint);
    g_ptr_array_unref(list->entries);
    g_ptr_array_unref(list->warnings);
    g_free(list);
}

/* --- Parts of an entry --- */

gboolean trust_fingerprint_parse(const char *text, char ret[FINGERPRINT_CHARS + 1])
{
    TextSpan span = text_trim(text, strlen(text));
    if (span.len != FINGERPRINT_CHARS)
        return FALSE;
    char lower[FINGERPRINT_CHARS + 1] = "";
    for (guint i = 0; i < FINGERPRINT_CHARS; i++) {
        lower[i] = g_ascii_tolower(span.text[i]);
        if (!g_ascii_islower(lower[i]) && (lower[i] < '2' || lower[i] > '7'))
            return FALSE;
    }
    memcpy(ret, lower, sizeof lower);
    return TRUE;
}

/* TRUE when every "d" of the form is a digit and everything else stands in the text as it is. */
static gboolean has_form(const char *text, const char *form)
{
    if (strlen(text) != strlen(form))
        return FALSE;
    for (guint i = 0; form[i] != '\0'; i++) {
        if (form[i] == 'd' ? !g_ascii_isdigit(text[i]) : text[i] != form[i])
            return FALSE;
    }
    return TRUE;
}

gboolean trust_until_parse(const char *text, gint64 *ret, GError **error)
{
    gboolean day = has_form(text, "dddd-dd-dd");
    g_autofree char *iso = day ? g_strconcat(text, "T00:00:00Z", NULL) : g_strdup(text);
    g_autoptr(GDateTime) time =
        has_form(iso, "dddd-dd-ddTdd:dd:ddZ") ? g_date_time_new_from_iso8601(iso, NULL) : NULL;
    if (time == NULL) {
        g_autofree char *shown = text_for_message(text, strlen(text));
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "\"%s\" is not a date that exists, written YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ", shown);
        return FALSE;
    }
    *ret = g_date_time_to_unix(time) + (day ? DAY_SECONDS : 0);
    return TRUE;
}

char *trust_until_print(gint64 until)
{
    if (until == G_MAXINT64)
        return NULL;
    gboolean day = until % DAY_SECONDS == 0;
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(day ? until - DAY_SECONDS : until);
    g_assert(time != NULL);
    return g_date_time_format(time, day ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ");
}

static const char *glob_fault(const char *glob)
{
    if (*glob == '\0')
        return "is empty";
    for (const char *c = glob; *c != '\0'; c++) {
        if (g_ascii_iscntrl(*c))
            return "has a control character";
    }
    if (*glob == '/' || g_str_has_suffix(glob, "/") || strstr(glob, "//") != NULL)
        return "has an empty segment, which no path has";
    if (strstr(glob, "***") != NULL)
        return "has more than two stars in a row";
    g_auto(GStrv) segments = g_strsplit(glob, "/", -1);
    for (guint i = 0; segments[i] != NULL; i++) {
        if (strcmp(segments[i], ".") == 0 || strcmp(segments[i], "..") == 0)
            return "has a segment . or .., which no path has";
    }
    return text_is_utf8(glob, strlen(glob), NULL) ? NULL : "is not UTF-8";
}

gboolean trust_glob_check(const char *glob, GError **error)
{
    g_autofree char *shown = text_for_message(glob, strlen(glob));
    if (strlen(glob) > LIMIT_PACK_PATH_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "glob \"%s\" has more than %d bytes", shown,
                    LIMIT_PACK_PATH_BYTES);
        return FALSE;
    }
    const char *fault = glob_fault(glob);
    if (fault != NULL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "glob \"%s\" %s", shown, fault);
    return fault == NULL;
}

/* --- Globs ---
 *
 * `reached` holds, for each place in the glob, whether the path read so far can stand there. That is
 * proportional to glob × path whatever the glob is; going back and trying again would not be. */

static gboolean is_deep_star(const char *glob, gsize at)
{
    return glob[at] == '*' && glob[at + 1] == '*';
}

/* A star may stand for nothing, so whoever reached it has reached what follows it. */
static void pass_stars(const char *glob, gsize glob_len, guint8 *reached)
{
    for (gsize i = 0; i < glob_len; i++) {
        if (reached[i] && glob[i] == '*')
            reached[i + (is_deep_star(glob, i) ? 2 : 1)] = 1;
    }
}

/* From all places reached over one character of the path. */
static void step(const char *glob, gsize glob_len, const guint8 *from, guint8 *to, const char *c, gsize c_len)
{
    memset(to, 0, glob_len + 1);
    for (gsize i = 0; i < glob_len; i++) {
        if (!from[i])
            continue;
        if (glob[i] == '*') {
            to[i] |= is_deep_star(glob, i) || *c != '/';
        } else if (glob[i] == '?') {
            to[i + 1] |= *c != '/';
        } else if (glob_len - i >= c_len && memcmp(glob + i, c, c_len) == 0) {
            to[i + c_len] = 1;
        }
    }
    pass_stars(glob, glob_len, to);
}

gboolean trust_glob_matches(const char *glob, const char *path)
{
    gsize glob_len = strlen(glob), path_len = strlen(path);
    g_autofree guint8 *reached = g_new0(guint8, glob_len + 1);
    g_autofree guint8 *next = g_new0(guint8, glob_len + 1);
    reached[0] = 1;
    pass_stars(glob, glob_len, reached);
    for (gsize at = 0; at < path_len;) {
        gsize c_len = MAX(1, text_char_length(path + at, path_len - at));
        step(glob, glob_len, reached, next, path + at, c_len);
        guint8 *swap = reached;
        reached = next;
        next = swap;
        at += c_len;
    }
    return reached[glob_len];
}

gboolean trust_entry_allows_path(const TrustEntry *entry, const char *path)
{
    for (guint i = 0; i < entry->paths->len; i++) {
        if (trust_glob_matches(g_ptr_array_index(entry->paths, i), path))
            return TRUE;
    }
    return entry->paths->len == 0;
}

/* --- Reading --- */

/* Text of an informative member as OCC software shows it, cut; "" when absent or no scalar. */
static char *read_text(const YamlNode *item, const char *key)
{
    const YamlNode *node = yamlnode_get(item, key);
    char *text = node != NULL && yamlnode_kind(node) == YAMLDOC_SCALAR ? yaml_str_scalar(node) : NULL;
    if (text == NULL)
        return g_strdup("");
    text[text_cut_bytes(text, strlen(text), LIMIT_TRUST_TEXT_BYTES)] = '\0';
    return text;
}

static gboolean read_fingerprint(const YamlNode *item, TrustEntry *entry, GError **error)
{
    if (yamlnode_kind(item) != YAMLDOC_MAPPING)
        return yamlnode_error(item, KONTOR_ERROR_MALFORMED, error, "not a mapping");
    g_autofree char *text = read_text(item, "fingerprint");
    TextSpan span = text_trim(text, strlen(text));
    if (span.len == 0)
        return yamlnode_error(item, KONTOR_ERROR_MALFORMED, error, "no fingerprint");
    if (g_ascii_strncasecmp(span.text, "placeholder", strlen("placeholder")) == 0)
        return yamlnode_error(item, KONTOR_ERROR_MALFORMED, error, "the fingerprint is a placeholder");
    if (trust_fingerprint_parse(text, entry->fingerprint))
        return TRUE;
    g_autofree char *shown = text_for_message(span.text, span.len);
    return yamlnode_error(item, KONTOR_ERROR_MALFORMED, error,
                          "\"%s\" is not a fingerprint (%d characters of a-z and 2-7)", shown,
                          FINGERPRINT_CHARS);
}

static gboolean read_public_key(const YamlNode *node, TrustEntry *entry, GError **error)
{
    const char *text = NULL;
    char fingerprint[FINGERPRINT_CHARS + 1];
    if (!yamlnode_get_text(node, LIMIT_TRUST_TEXT_BYTES, &text, error))
        return FALSE;
    if (!base64_decode_exact(text, entry->public_key.bytes, sizeof entry->public_key.bytes))
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error, "not the base64 of a 32-byte key");
    public_key_fingerprint(&entry->public_key, fingerprint);
    if (strcmp(fingerprint, entry->fingerprint) != 0)
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error,
                              "the key has the fingerprint %s, not %s as its entry says", fingerprint,
                              entry->fingerprint);
    entry->has_key = TRUE;
    return TRUE;
}

static gboolean read_until(const YamlNode *node, TrustEntry *entry, GError **error)
{
    const char *text = NULL;
    return yamlnode_get_text(node, LIMIT_TRUST_TEXT_BYTES, &text, error) &&
           (trust_until_parse(text, &entry->until, error) || yamlnode_prefix_error(node, error));
}

static gboolean read_revoked(const YamlNode *node, TrustEntry *entry, GError **error)
{
    return yamlnode_get_boolean(node, &entry->revoked, error);
}

static gboolean read_paths(const YamlNode *node, TrustEntry *entry, GError **error)
{
    if (yamlnode_kind(node) != YAMLDOC_SEQUENCE || yamlnode_count(node) == 0)
        return yamlnode_error(node, KONTOR_ERROR_MALFORMED, error,
                              "not a list of globs; leave it out to allow every path");
    if (yamlnode_count(node) > LIMIT_TRUST_PATHS)
        return yamlnode_error(node, KONTOR_ERROR_LIMIT, error, "more than %d globs", LIMIT_TRUST_PATHS);
    for (const YamlNode *item = yamlnode_first(node); item != NULL; item = yamlnode_next(item)) {
        const char *glob = NULL;
        if (!yamlnode_get_text(item, LIMIT_TRUST_TEXT_BYTES, &glob, error))
            return FALSE;
        if (!trust_glob_check(glob, error))
            return yamlnode_prefix_error(item, error);
        g_ptr_array_add(entry->paths, g_strdup(glob));
    }
    return TRUE;
}

/* "revokd: true" must not count as an entry without revocation. */
static gboolean check_unknown(const YamlNode *member, GError **error)
{
    static const char *const narrowing[] = {"public_key", "until", "revoked", "paths", NULL};
    const char *near = scalar_nearest(yamlnode_key(member), narrowing);
    return near == NULL || yamlnode_error(member, KONTOR_ERROR_MALFORMED, error,
                                          "unknown member, probably %s is meant", near);
}

static gboolean read_member(const YamlNode *member, TrustEntry *entry, GError **error)
{
    static const struct {
        const char *key;
        gboolean (*read)(const YamlNode *node, TrustEntry *entry, GError **error); /* NULL: read elsewhere */
    } members[] = {
        {"fingerprint", NULL},
        {"name", NULL},
        {"since", NULL},
        {"note", NULL},
        {"public_key", read_public_key},
        {"until", read_until},
        {"revoked", read_revoked},
        {"paths", read_paths},
    };
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        if (strcmp(members[i].key, yamlnode_key(member)) == 0)
            return members[i].read == NULL || members[i].read(member, entry, error);
    }
    return check_unknown(member, error);
}

static TrustEntry *read_entry(const YamlNode *item, GError **error)
{
    g_autoptr(TrustEntry) entry = entry_new();
    if (!read_fingerprint(item, entry, error))
        return NULL;
    entry->name = read_text(item, "name");
    entry->since = read_text(item, "since");
    entry->note = read_text(item, "note");
    entry->line = yamlnode_line(item);
    for (const YamlNode *m = yamlnode_first(item); m != NULL; m = yamlnode_next(m)) {
        if (!read_member(m, entry, error))
            return NULL;
    }
    return g_steal_pointer(&entry);
}

/* Takes the entry over, or refuses it because its fingerprint is there already. */
static gboolean add_entry(TrustList *list, const YamlNode *item, TrustEntry *entry, GError **error)
{
    TrustEntry *earlier = g_hash_table_lookup(list->by_fingerprint, entry->fingerprint);
    if (earlier == NULL) {
        g_ptr_array_add(list->entries, entry);
        g_hash_table_insert(list->by_fingerprint, entry->fingerprint, entry);
        return TRUE;
    }
    yamlnode_error(item, KONTOR_ERROR_CONFLICT, error, "fingerprint %s stands in line %u already%s",
                   entry->fingerprint, earlier->line,
                   entry->revoked && !earlier->revoked ? ", which is revoked by this entry" : "");
    earlier->revoked |= entry->revoked;
    entry_free(entry);
    return FALSE;
}

static gboolean read_publishers(TrustList *list, const YamlNode *publishers, GError **error)
{
    if (!yamlnode_check_kind(publishers, YAMLDOC_SEQUENCE, error))
        return FALSE;
    if (yamlnode_count(publishers) > LIMIT_TRUST_ENTRIES)
        return yamlnode_error(publishers, KONTOR_ERROR_LIMIT, error, "more than %d entries",
                              LIMIT_TRUST_ENTRIES);
    for (const YamlNode *item = yamlnode_first(publishers); item != NULL; item = yamlnode_next(item)) {
        g_autoptr(GError) reason = NULL;
        TrustEntry *entry = read_entry(item, &reason);
        if (entry == NULL || !add_entry(list, item, entry, &reason))
            g_ptr_array_add(list->warnings, g_strconcat(reason->message, "; entry skipped", NULL));
    }
    return TRUE;
}

/* --- Hash of the meaning --- */

static gint compare_fingerprints(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const TrustEntry *const *)a)->fingerprint, (*(const TrustEntry *const *)b)->fingerprint);
}

static void write_entry(JsonWriter *w, const TrustEntry *entry)
{
    json_write_object_begin(w);
    json_write_member_string(w, "fingerprint", entry->fingerprint);
    json_write_member_boolean(w, "has_key", entry->has_key);
    json_write_member_string(w, "name", entry->name);
    json_write_key(w, "paths");
    json_write_array_begin(w);
    for (guint i = 0; i < entry->paths->len; i++)
        json_write_string(w, g_ptr_array_index(entry->paths, i));
    json_write_array_end(w);
    json_write_member_boolean(w, "revoked", entry->revoked);
    if (entry->until != G_MAXINT64)
        json_write_member_integer(w, "until", entry->until);
    json_write_object_end(w);
}

static void hash_entries(TrustList *list)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_copy(list->entries, NULL, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(JsonWriter) w;
    g_ptr_array_set_free_func(sorted, NULL);
    g_ptr_array_sort(sorted, compare_fingerprints);
    json_writer_init(&w, text, JSON_STYLE_CANONICAL);
    json_write_array_begin(&w);
    for (guint i = 0; i < sorted->len; i++)
        write_entry(&w, g_ptr_array_index(sorted, i));
    json_write_array_end(&w);
    sha256(text->str, text->len, list->hash);
}

TrustList *trust_list_new_empty(void)
{
    TrustList *list = list_new();
    hash_entries(list);
    return list;
}

TrustList *trust_list_parse(const char *source, const void *data, gsize len, GError **error)
{
    g_autoptr(YamlDoc) doc = yamldoc_parse(source, data, len, LIMIT_TRUST_BYTES, error);
    if (doc == NULL)
        return NULL;
    const YamlNode *root = yamldoc_root(doc);
    if (!yamlnode_check_kind(root, YAMLDOC_MAPPING, error))
        return NULL;
    const YamlNode *publishers =
        yamlnode_kind(root) == YAMLDOC_MAPPING ? yamlnode_get(root, "publishers") : NULL;
    g_autoptr(TrustList) list = list_new();
    if (publishers != NULL && !read_publishers(list, publishers, error))
        return NULL;
    hash_entries(list);
    return g_steal_pointer(&list);
}

/* --- Queries --- */

const TrustEntry *trust_list_find(const TrustList *list, const char *fingerprint)
{
    return g_hash_table_lookup(list->by_fingerprint, fingerprint);
}

guint trust_list_count(const TrustList *list)
{
    return list->entries->len;
}

const TrustEntry *trust_list_nth(const TrustList *list, guint index)
{
    return g_ptr_array_index(list->entries, index);
}

const GPtrArray *trust_list_warnings(const TrustList *list)
{
    return list->warnings;
}

void trust_list_hash(const TrustList *list, guint8 ret[SHA256_BYTES])
{
    memcpy(ret, list->hash, SHA256_BYTES);
}
