/* SPDX-License-Identifier: MIT
 *
 * Names, sizes, manifest and pages, and what only the whole pack can tell. Rows and texts have files of their
 * own (lint_index.c, lint_text.c).
 */
#include "signing/lint.h"

#include "schema/limits.h"
#include "schema/manifest.h"
#include "schema/name_fold.h"
#include "schema/pack_path.h"
#include "schema/page.h"
#include "schema/semver.h"
#include "schema/text.h"
#include "schema/yamldoc.h"
#include "signing/lint_report.h"

#include <string.h>

#define MANIFEST "manifest.yaml"
#define INDEX "wiki/index.md"
#define WIKI "wiki/"

static const LintRule rule_path = {"path", LINT_ERROR, FALSE, "use a-z 0-9 first, then A-Z a-z 0-9 / _ -"};
static const LintRule rule_name = {"name", LINT_ERROR, FALSE, "rename the file"};
static const LintRule rule_hidden = {"name-hidden", LINT_WARNING, FALSE, "remove it, or rename it"};
static const LintRule rule_collision = {"name-collision", LINT_ERROR, FALSE, "rename one of them"};
static const LintRule rule_kind = {"not-a-file", LINT_ERROR, FALSE,
                                   "replace it by a regular file, or remove it"};
static const LintRule rule_unreadable = {"unreadable", LINT_ERROR, FALSE, "give read permission"};
static const LintRule rule_size = {"size", LINT_ERROR, FALSE, "split the file, or leave it out"};
static const LintRule rule_pack_size = {"pack-size", LINT_ERROR, FALSE, "split the pack"};
static const LintRule rule_missing_manifest = {"manifest-missing", LINT_ERROR, FALSE,
                                               "write one; 'kontor pack init' shows how"};
static const LintRule rule_missing_index = {"index-missing", LINT_ERROR, FALSE,
                                            "write one; 'kontor pack init' shows how"};
static const LintRule rule_manifest = {"manifest-form", LINT_WARNING, FALSE, "repair the file"};
static const LintRule rule_version = {"version", LINT_ERROR, FALSE, "write a version such as 1.0.0"};
static const LintRule rule_empty_name = {"manifest-name", LINT_WARNING, FALSE, "add name: NAME"};
static const LintRule rule_summary = {"manifest-summary", LINT_WARNING, FALSE,
                                      "add summary: TEXT, by which Nodes choose packs"};
static const LintRule rule_page_missing = {"page-missing", LINT_ERROR, FALSE,
                                           "add the page, or remove its row"};
static const LintRule rule_page_unlisted = {"page-unlisted", LINT_WARNING, FALSE,
                                            "add a row for it, or remove the page"};
static const LintRule rule_page_empty = {"page-empty", LINT_WARNING, FALSE, "write the page, or remove it"};
static const LintRule rule_front_matter = {"front-matter", LINT_WARNING, FALSE, "end it with a line ---"};
static const LintRule rule_local_file = {"local-file", LINT_WARNING, FALSE, "remove the file"};

struct Lint {
    char *path;          /* or NULL */
    GPtrArray *findings; /* of LintFinding * */
    guint errors, warnings;
    GPtrArray *names; /* of char *: files that brokers would serve, without manifest.sig */
    guint64 bytes;
    gboolean has_manifest;
    gboolean has_index;
    LintIndex index;
};

/* --- Life cycle --- */

static void finding_free(gpointer data)
{
    LintFinding *finding = data;
    g_free(finding->file);
    g_free(finding->message);
    g_free(finding);
}

Lint *lint_new(const char *path)
{
    Lint *lint = g_new0(Lint, 1);
    lint->path = g_strdup(path);
    lint->findings = g_ptr_array_new_with_free_func(finding_free);
    lint->names = g_ptr_array_new_with_free_func(g_free);
    lint->index.lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return lint;
}

void lint_free(Lint *lint)
{
    if (lint == NULL)
        return;
    g_free(lint->path);
    g_ptr_array_unref(lint->findings);
    g_ptr_array_unref(lint->names);
    g_hash_table_unref(lint->index.lines);
    g_free(lint);
}

/* --- Findings --- */

void lint_report(Lint *lint, const LintRule *rule, const char *file, guint line, const char *format, ...)
{
    if (rule->severity == LINT_ERROR)
        lint->errors++;
    else
        lint->warnings++;
    if (lint->findings->len >= LIMIT_LINT_FINDINGS)
        return;
    LintFinding *finding = g_new0(LintFinding, 1);
    va_list args;
    va_start(args, format);
    finding->message = g_strdup_vprintf(format, args);
    va_end(args);
    finding->file = text_for_message(file, strlen(file));
    finding->line = line;
    finding->severity = rule->severity;
    finding->rule = rule->name;
    finding->fix = rule->fix;
    finding->fixable = rule->fixable;
    g_ptr_array_add(lint->findings, finding);
}

static gint compare_findings(gconstpointer a, gconstpointer b)
{
    const LintFinding *left = *(const LintFinding *const *)a, *right = *(const LintFinding *const *)b;
    int order = strcmp(left->file, right->file);
    if (order == 0)
        order = left->line < right->line ? -1 : left->line > right->line ? 1 : 0;
    return order != 0 ? order : strcmp(left->rule, right->rule);
}

const GPtrArray *lint_findings(const Lint *lint)
{
    return lint->findings;
}

guint lint_error_count(const Lint *lint)
{
    return lint->errors;
}

guint lint_warning_count(const Lint *lint)
{
    return lint->warnings;
}

/* --- Names and sizes --- */

guint64 lint_size_limit(const char *name)
{
    if (strcmp(name, MANIFEST) == 0)
        return LIMIT_MANIFEST_BYTES;
    if (strcmp(name, "manifest.sig") == 0)
        return LIMIT_MANIFEST_SIG_BYTES;
    return strcmp(name, INDEX) == 0 ? LIMIT_INDEX_BYTES : LIMIT_PACK_FILE_BYTES;
}

gboolean lint_path_is_downloadable(const char *path)
{
    if (!g_ascii_islower(path[0]) && !g_ascii_isdigit(path[0]))
        return FALSE;
    for (const char *p = path; *p != '\0'; p++) {
        if (!g_ascii_isalnum(*p) && *p != '/' && *p != '_' && *p != '-')
            return FALSE;
    }
    return TRUE;
}

/* A part of the name that begins with a dot. */
static gboolean is_hidden(const char *name)
{
    return name[0] == '.' || strstr(name, "/.") != NULL;
}

/* FALSE when the file cannot belong to a pack, which is reported. */
static gboolean check_entry(Lint *lint, const LintFile *file)
{
    g_autoptr(GError) error = NULL;
    if (is_hidden(file->name)) {
        lint_report(lint, &rule_hidden, file->name, 0, "brokers do not serve names that begin with a dot");
        return FALSE;
    }
    if (!pack_path_check(file->name, &error)) {
        lint_report(lint, &rule_name, file->name, 0, "%s", error->message);
        return FALSE;
    }
    if (file->kind == LINT_UNREADABLE) {
        lint_report(lint, &rule_unreadable, file->name, 0, "may not be read");
        return FALSE;
    }
    if (file->kind != LINT_FILE) {
        lint_report(lint, &rule_kind, file->name, 0, "%s; brokers leave it out",
                    file->kind == LINT_SYMLINK ? "symbolic link" : "neither file nor directory");
        return FALSE;
    }
    if (file->size > lint_size_limit(file->name)) {
        lint_report(lint, &rule_size, file->name, 0,
                    "%" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT " are allowed", file->size,
                    lint_size_limit(file->name));
        return FALSE;
    }
    return TRUE;
}

/* --- manifest.yaml --- */

/* The line of a member of the manifest, 0 when it has none. */
static guint line_of_member(const char *text, gsize len, const char *key)
{
    g_autoptr(YamlDoc) doc = yamldoc_parse(MANIFEST, text, len, LIMIT_MANIFEST_BYTES, NULL);
    const YamlNode *root = doc != NULL ? yamldoc_root(doc) : NULL;
    const YamlNode *node =
        root != NULL && yamlnode_kind(root) == YAMLDOC_MAPPING ? yamlnode_get(root, key) : NULL;
    return node != NULL ? yamlnode_line(node) : 0;
}

/* Warnings of the manifest begin with "manifest.yaml:LINE: ". */
static void report_manifest_warning(Lint *lint, const char *warning)
{
    guint64 line = 0;
    const char *message = warning;
    if (g_str_has_prefix(warning, MANIFEST ":")) {
        char *end = NULL;
        line = g_ascii_strtoull(warning + strlen(MANIFEST ":"), &end, 10);
        message = g_str_has_prefix(end, ": ") ? end + 2 : end;
    }
    lint_report(lint, &rule_manifest, MANIFEST, (guint)MIN(line, G_MAXUINT), "%s", message);
}

static void check_manifest(Lint *lint, const char *text, gsize len)
{
    g_autoptr(Manifest) manifest = manifest_parse(text, len);
    g_autoptr(GError) error = NULL;
    Semver version;
    if (manifest->warning != NULL)
        report_manifest_warning(lint, manifest->warning);
    if (!semver_parse(manifest->version, &version, &error))
        lint_report(lint, &rule_version, MANIFEST, line_of_member(text, len, "version"), "version: %s",
                    error->message);
    if (manifest->name[0] == '\0')
        lint_report(lint, &rule_empty_name, MANIFEST, line_of_member(text, len, "name"), "has no name");
    if (manifest->summary[0] == '\0')
        lint_report(lint, &rule_summary, MANIFEST, line_of_member(text, len, "summary"), "has no summary");
    lint_text_check_private(lint, MANIFEST, 1, text, len);
}

/* --- Pages --- */

static gboolean opens_front_matter(const char *text, gsize len)
{
    return len >= 4 && memcmp(text, "---\n", 4) == 0;
}

static void check_page(Lint *lint, const char *name, const char *text, gsize len)
{
    if (len == 0)
        lint_report(lint, &rule_page_empty, name, 0, "is empty");
    PageParts parts = page_split(text, len);
    if (parts.front.text != NULL)
        lint_text_check_private(lint, name, 2, parts.front.text, parts.front.len);
    else if (opens_front_matter(text, len))
        lint_report(lint, &rule_front_matter, name, 1,
                    "front matter has no end, so that all of it counts as text of the page");
}

static void check_text_file(Lint *lint, const char *name, GBytes *bytes)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    if (!lint_text_check(lint, name, text, len))
        return;
    if (strcmp(name, MANIFEST) == 0)
        check_manifest(lint, text, len);
    else if (strcmp(name, INDEX) == 0)
        lint_index_check(lint, &lint->index, text, len);
    else if (strcmp(name, WIKI "log.md") == 0)
        lint_text_check_private(lint, name, 1, text, len);
    else if (g_str_has_suffix(name, ".md"))
        check_page(lint, name, text, len);
}

/* --- Operations --- */

void lint_add(Lint *lint, const LintFile *file)
{
    gboolean is_manifest = strcmp(file->name, MANIFEST) == 0, is_index = strcmp(file->name, INDEX) == 0;
    lint->has_manifest = lint->has_manifest || is_manifest;
    lint->has_index = lint->has_index || is_index;
    if (!check_entry(lint, file))
        return;
    if (strcmp(file->name, "manifest.sig") == 0)
        return;
    g_ptr_array_add(lint->names, g_strdup(file->name));
    lint->bytes += file->size;
    if (strcmp(file->name, WIKI "embeddings.json") == 0)
        lint_report(lint, &rule_local_file, file->name, 0, "is a cache that every Node makes for itself");
    if (file->is_text && file->bytes != NULL)
        check_text_file(lint, file->name, file->bytes);
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_collisions(Lint *lint)
{
    g_autoptr(NameSet) set = name_set_new();
    for (guint i = 0; i < lint->names->len; i++) {
        const char *name = g_ptr_array_index(lint->names, i);
        const char *other = name_set_add(set, name);
        if (other != NULL)
            lint_report(lint, &rule_collision, name, 0,
                        "is the same name as %s where case or the form of accents does not count", other);
    }
}

static void check_missing_pages(Lint *lint)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < lint->names->len; i++)
        g_hash_table_add(names, g_ptr_array_index(lint->names, i));
    GHashTableIter iter;
    gpointer file, line;
    g_hash_table_iter_init(&iter, lint->index.lines);
    while (g_hash_table_iter_next(&iter, &file, &line)) {
        g_autofree char *name = g_strconcat(WIKI, (const char *)file, NULL);
        g_autofree char *shown = text_for_message(file, strlen(file));
        if (!g_hash_table_contains(names, name))
            lint_report(lint, &rule_page_missing, INDEX, GPOINTER_TO_UINT(line),
                        "'%s': there is no such file in wiki/", shown);
    }
}

/* Files of the layout that are no pages. */
static gboolean is_furniture(const char *name)
{
    static const char *const names[] = {INDEX, WIKI "log.md", WIKI "schema.md"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return TRUE;
    }
    return g_str_has_suffix(name, "/_index.md") || !g_str_has_suffix(name, ".md");
}

static void check_unlisted_pages(Lint *lint)
{
    for (guint i = 0; i < lint->names->len; i++) {
        const char *name = g_ptr_array_index(lint->names, i);
        if (g_str_has_prefix(name, WIKI) && !is_furniture(name) &&
            !g_hash_table_contains(lint->index.lines, name + strlen(WIKI)))
            lint_report(lint, &rule_page_unlisted, name, 0,
                        "not listed in wiki/index.md: neither searched nor downloaded");
    }
}

static void check_path(Lint *lint)
{
    g_autoptr(GError) error = NULL;
    if (lint->path == NULL || (pack_path_check(lint->path, &error) && lint_path_is_downloadable(lint->path)))
        return;
    g_autofree char *shown = text_for_message(lint->path, strlen(lint->path));
    lint_report(lint, &rule_path, "", 0, "path '%s': %s", shown,
                error != NULL ? error->message : "no Node downloads a pack of this path");
}

static void check_whole(Lint *lint)
{
    check_path(lint);
    if (!lint->has_manifest)
        lint_report(lint, &rule_missing_manifest, MANIFEST, 0, "is missing: Nodes refuse the pack");
    if (!lint->has_index)
        lint_report(lint, &rule_missing_index, INDEX, 0, "is missing: without it this is no pack");
    if (lint->bytes > LIMIT_PACK_BYTES || lint->names->len > LIMIT_PACK_FILES)
        lint_report(lint, &rule_pack_size, "", 0,
                    "%u files of %" G_GUINT64_FORMAT " bytes; at most %d files and %d bytes are allowed",
                    lint->names->len, lint->bytes, LIMIT_PACK_FILES, LIMIT_PACK_BYTES);
}

void lint_finish(Lint *lint)
{
    /* Which file was added first is chance; which of two colliding names is blamed is not. */
    g_ptr_array_sort(lint->names, compare_texts);
    check_whole(lint);
    check_collisions(lint);
    check_missing_pages(lint);
    if (lint->has_index)
        check_unlisted_pages(lint);
    g_ptr_array_sort(lint->findings, compare_findings);
}
