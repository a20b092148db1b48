/* SPDX-License-Identifier: MIT */
#include "mirror/store/pack_survey.h"

#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_place.h"
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"
#include "signing/hash.h"

#include <string.h>

#define INDEX_NAME "wiki/index.md"

static PackSurvey *survey_new(gboolean is_release)
{
    PackSurvey *survey = g_new0(PackSurvey, 1);
    survey->is_release = is_release;
    survey->files = g_array_new(FALSE, FALSE, sizeof(CatalogFile));
    survey->names = g_string_chunk_new(4096);
    survey->warnings = g_ptr_array_new_with_free_func(g_free);
    return survey;
}

void pack_survey_free(PackSurvey *survey)
{
    g_array_unref(survey->files);
    g_string_chunk_free(survey->names);
    g_ptr_array_unref(survey->warnings);
    g_free(survey->problem);
    g_free(survey);
}

void pack_survey_warn(PackSurvey *survey, const char *name, const char *what)
{
    if (survey->warnings->len >= LIMIT_PACK_WARNINGS) {
        survey->warnings_left_out++;
        return;
    }
    g_autofree char *shown = text_for_message(name, strlen(name));
    g_ptr_array_add(survey->warnings, g_strdup_printf("%s: %s", shown, what));
}

void pack_survey_fail(PackSurvey *survey, const char *name, const char *what)
{
    if (survey->problem == NULL)
        survey->problem = g_strdup_printf("%s: %s", name, what);
}

void pack_survey_leave_out(PackSurvey *survey, const char *name, const char *what)
{
    if (strcmp(name, INDEX_NAME) == 0)
        pack_survey_fail(survey, name, what);
    else
        pack_survey_warn(survey, name, what);
}

/* --- Taking --- */

static void survey_add_file(PackSurvey *survey, const char *name, const FileIdentity *identity)
{
    if (identity->size > pack_place_file_bytes_max(name)) {
        g_autofree char *what =
            g_strdup_printf("%" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT " are allowed",
                            identity->size, pack_place_file_bytes_max(name));
        pack_survey_leave_out(survey, name, what);
        return;
    }
    CatalogFile file = {.name = g_string_chunk_insert(survey->names, name), .identity = *identity};
    if (survey->is_release)
        file.identity.ctime_ns = FILE_CTIME_ANY;
    else
        survey->newest_us = MAX(survey->newest_us, identity->ctime_ns / 1000);
    g_array_append_val(survey->files, file);
    survey->bytes += identity->size;
    if (survey->bytes > LIMIT_PACK_BYTES) {
        g_autofree char *what =
            g_strdup_printf("with this file the pack is larger than %d bytes", LIMIT_PACK_BYTES);
        pack_survey_fail(survey, name, what);
    }
}

static gboolean survey_directory(PackSurvey *survey, PackDir *dir, GString *name, GError **error);

static gboolean survey_subdirectory(PackSurvey *survey, PackDir *parent, const char *segment, GString *name,
                                    GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(PackDir) dir = pack_dir_open_child(parent, segment, name->str, &cause);
    if (dir != NULL)
        return survey_directory(survey, dir, name, error);
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_DENIED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    pack_survey_warn(survey, name->str, "directory may not be read, left out");
    return TRUE;
}

/* `name` is the name of the entry relative to the place. FALSE when the place must be taken again or given
 * up. */
static gboolean survey_entry(PackSurvey *survey, PackDir *dir, const char *segment, PackDirKind kind,
                             GString *name, GError **error)
{
    g_autoptr(GError) refused = NULL;
    if (!pack_path_check(name->str, &refused)) {
        pack_survey_warn(survey, name->str, refused->message);
        return TRUE;
    }
    FileIdentity identity;
    switch (kind) {
    case PACK_DIR_DIRECTORY:
        return survey_subdirectory(survey, dir, segment, name, error);
    case PACK_DIR_FILE:
        if (!pack_dir_stat(dir, segment, &kind, &identity, error))
            return FALSE;
        if (kind == PACK_DIR_FILE)
            survey_add_file(survey, name->str, &identity);
        return TRUE;
    case PACK_DIR_SYMLINK:
        pack_survey_leave_out(survey, name->str, "symbolic link, left out");
        return TRUE;
    case PACK_DIR_SPECIAL:
        pack_survey_leave_out(survey, name->str, "neither file nor directory, left out");
        return TRUE;
    }
    g_assert_not_reached();
}

/* Recursion ends at LIMIT_PATH_DEPTH, because longer names are refused before their directory is opened. */
static gboolean survey_directory(PackSurvey *survey, PackDir *dir, GString *name, GError **error)
{
    gsize len = name->len;
    const char *segment = NULL;
    PackDirKind kind;
    while (survey->entries <= LIMIT_PACK_FILES) {
        if (!pack_dir_next(dir, &segment, &kind, error))
            return FALSE;
        if (segment == NULL)
            break;
        if (segment[0] == '.')
            continue;
        if (++survey->entries > LIMIT_PACK_FILES) {
            g_autofree char *what = g_strdup_printf("more than %d names", LIMIT_PACK_FILES);
            pack_survey_fail(survey, "wiki/", what);
            break;
        }
        g_string_append_printf(name, "/%s", segment);
        gboolean ok = survey_entry(survey, dir, segment, kind, name, error);
        g_string_truncate(name, len);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

static gboolean survey_top_file(PackSurvey *survey, PackDir *dir, const char *name, GError **error)
{
    PackDirKind kind;
    FileIdentity identity;
    g_autoptr(GError) cause = NULL;
    if (!pack_dir_stat(dir, name, &kind, &identity, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (kind != PACK_DIR_FILE) {
        pack_survey_warn(survey, name, "not a regular file, left out");
        return TRUE;
    }
    survey->is_place = survey->is_place || strcmp(name, "manifest.yaml") == 0;
    survey_add_file(survey, name, &identity);
    return TRUE;
}

static gboolean survey_wiki(PackSurvey *survey, PackDir *dir, GError **error)
{
    PackDirKind kind;
    FileIdentity identity;
    g_autoptr(GError) cause = NULL;
    if (!pack_dir_stat(dir, "wiki", &kind, &identity, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (kind != PACK_DIR_DIRECTORY) {
        pack_survey_warn(survey, "wiki", "not a directory, left out");
        return TRUE;
    }
    survey->is_place = TRUE;
    g_autoptr(GString) name = g_string_new("wiki");
    return survey_subdirectory(survey, dir, "wiki", name, error);
}

static gint compare_files(gconstpointer a, gconstpointer b)
{
    return strcmp(((const CatalogFile *)a)->name, ((const CatalogFile *)b)->name);
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

PackSurvey *pack_survey_take(int root_fd, const char *disk, gboolean is_release, GError **error)
{
    g_autoptr(PackDir) dir = pack_dir_open(root_fd, disk, error);
    if (dir == NULL)
        return NULL;
    g_autoptr(PackSurvey) survey = survey_new(is_release);
    if (!survey_top_file(survey, dir, "manifest.yaml", error) ||
        !survey_top_file(survey, dir, "manifest.sig", error) || !survey_wiki(survey, dir, error))
        return NULL;
    /* Directory order is chance. */
    g_array_sort(survey->files, compare_files);
    g_ptr_array_sort(survey->warnings, compare_texts);
    if (survey->warnings_left_out > 0)
        g_ptr_array_add(survey->warnings, g_strdup_printf("%u further warnings", survey->warnings_left_out));
    return g_steal_pointer(&survey);
}

CatalogFile *pack_survey_find(const PackSurvey *survey, const char *name)
{
    const CatalogFile key = {.name = name};
    guint at = 0;
    return g_array_binary_search(survey->files, &key, compare_files, &at)
               ? &g_array_index(survey->files, CatalogFile, at)
               : NULL;
}

static void append_number(GByteArray *out, guint64 value)
{
    guint64 little_endian = GUINT64_TO_LE(value);
    g_byte_array_append(out, (const guint8 *)&little_endian, sizeof little_endian);
}

static void append_text(GByteArray *out, const char *text)
{
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text) + 1);
}

void pack_survey_fingerprint(const PackSurvey *survey, guint8 ret[SHA256_BYTES])
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    for (guint i = 0; i < survey->files->len; i++) {
        const CatalogFile *file = &g_array_index(survey->files, CatalogFile, i);
        append_text(out, file->name);
        append_number(out, file->identity.inode);
        append_number(out, file->identity.size);
        append_number(out, (guint64)file->identity.mtime_ns);
        append_number(out, (guint64)file->identity.ctime_ns);
    }
    append_text(out, ""); /* no file has this name */
    for (guint i = 0; i < survey->warnings->len; i++)
        append_text(out, g_ptr_array_index(survey->warnings, i));
    append_text(out, survey->problem != NULL ? survey->problem : "");
    sha256(out->data, out->len, ret);
}
