/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_pack.h"

#include <string.h>

#include "mirror/store/pack_place.h"
#include "schema/limits.h"
#include "schema/name_fold.h"
#include "schema/pack_path.h"
#include "schema/text.h"

/* A pack being listed. */
typedef struct {
    GitObjects *objects;
    GitPack *pack;
    NameSet *names;
    guint entries;       /* so far, of any kind: a directory takes time, too */
    gsize listing_bytes; /* of all its directories */
} Lister;

static void clear_file(gpointer data)
{
    GitPackFile *file = data;
    g_free(file->name);
    g_clear_pointer(&file->bytes, g_bytes_unref);
}

void git_pack_free(GitPack *pack)
{
    if (pack == NULL)
        return;
    g_array_unref(pack->files);
    g_free(pack->refused);
    g_free(pack);
}

/* The first reason stands. Always TRUE: a refused pack is no error. */
static gboolean refuse(Lister *lister, const char *name, const char *what)
{
    g_autofree char *shown = text_for_message(name, strlen(name));
    if (lister->pack->refused == NULL)
        lister->pack->refused = g_strdup_printf("%s: %s", shown, what);
    return TRUE;
}

static gboolean add_file(Lister *lister, const char *name, const GitId *id, GError **error)
{
    guint64 size = 0;
    if (!git_objects_size(lister->objects, id, &size, error)) {
        g_prefix_error(error, "%s: ", name);
        return FALSE;
    }
    guint64 bytes_max = pack_place_file_bytes_max(name);
    if (size > bytes_max) {
        g_autofree char *what = g_strdup_printf(
            "%" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT " are allowed", size, bytes_max);
        return refuse(lister, name, what);
    }
    const char *other = name_set_add(lister->names, name);
    if (other != NULL) {
        g_autofree char *what = g_strdup_printf("collides with %s where case does not count", other);
        return refuse(lister, name, what);
    }
    lister->pack->bytes += size;
    if (lister->pack->bytes > LIMIT_PACK_BYTES) {
        g_autofree char *what =
            g_strdup_printf("with this file the pack is larger than %d bytes", LIMIT_PACK_BYTES);
        return refuse(lister, name, what);
    }
    GitPackFile file = {.name = g_strdup(name), .id = *id, .size = size};
    g_array_append_val(lister->pack->files, file);
    return TRUE;
}

/* Names that are not part of a pack, whatever they are; ".git…" is somebody's attempt or accident. */
static gboolean is_passed_over(const char *name)
{
    return name[0] == '.' && g_ascii_strncasecmp(name, ".git", 4) != 0 && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 && strchr(name, '/') == NULL;
}

/* The rule that the entry breaks, or NULL. */
static char *entry_problem(const GitEntry *entry, const char *name)
{
    g_autoptr(GError) cause = NULL;
    if (entry->kind != GIT_ENTRY_FILE && entry->kind != GIT_ENTRY_DIRECTORY)
        return g_strdup_printf("is %s", git_entry_kind_name(entry->kind));
    if (entry->repeated)
        return g_strdup("stands twice in its directory");
    if (!pack_path_segment_check(entry->name, &cause) || !pack_path_check(name, &cause))
        return g_strdup(cause->message);
    return NULL;
}

static gboolean list_directory(Lister *lister, const char *name, const GitId *id, GError **error);

static gboolean list_entry(Lister *lister, const char *parent, const GitEntry *entry, GError **error)
{
    g_autofree char *name = g_strconcat(parent, "/", entry->name, NULL);
    if (++lister->entries > LIMIT_PACK_FILES) {
        g_autofree char *what = g_strdup_printf("more than %d files and directories", LIMIT_PACK_FILES);
        return refuse(lister, name, what);
    }
    if (is_passed_over(entry->name))
        return TRUE;
    g_autofree char *problem = entry_problem(entry, name);
    if (problem != NULL)
        return refuse(lister, name, problem);
    if (entry->kind == GIT_ENTRY_DIRECTORY)
        return list_directory(lister, name, &entry->id, error);
    return add_file(lister, name, &entry->id, error);
}

/* The depth is bounded by that of a path, which entry_problem checks. */
static gboolean list_directory(Lister *lister, const char *name, const GitId *id, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GitListing) listing = git_objects_listing(lister->objects, id, &cause);
    if (listing == NULL && g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_LIMIT))
        return refuse(lister, name, cause->message);
    if (listing == NULL) {
        g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", name);
        return FALSE;
    }
    lister->listing_bytes += git_listing_bytes(listing);
    if (lister->listing_bytes > LIMIT_GIT_LISTINGS_BYTES) {
        g_autofree char *what = g_strdup_printf(
            "listing the directories of the pack takes more than %d bytes", LIMIT_GIT_LISTINGS_BYTES);
        return refuse(lister, name, what);
    }
    for (guint i = 0; i < git_listing_count(listing) && lister->pack->refused == NULL; i++)
        if (!list_entry(lister, name, git_listing_at(listing, i), error))
            return FALSE;
    return TRUE;
}

GitPack *git_pack_list(GitObjects *objects, const GitPlace *place, GError **error)
{
    g_autoptr(GitPack) pack = g_new0(GitPack, 1);
    g_autoptr(NameSet) names = name_set_new();
    Lister lister = {.objects = objects, .pack = pack, .names = names, .entries = place->has_sig ? 2 : 1};
    pack->files = g_array_new(FALSE, FALSE, sizeof(GitPackFile));
    g_array_set_clear_func(pack->files, clear_file);
    pack->refused = g_strdup(place->refused);
    if (pack->refused != NULL)
        return g_steal_pointer(&pack);
    if (!add_file(&lister, "manifest.yaml", &place->manifest, error) ||
        (place->has_sig && !add_file(&lister, "manifest.sig", &place->sig, error)) ||
        !list_directory(&lister, "wiki", &place->wiki, error)) {
        g_prefix_error(error, "pack '%s': ", place->path);
        return NULL;
    }
    return g_steal_pointer(&pack);
}

gboolean git_pack_read(GitObjects *objects, GitPack *pack, GError **error)
{
    for (guint i = 0; i < pack->files->len; i++) {
        GitPackFile *file = &g_array_index(pack->files, GitPackFile, i);
        file->bytes = git_objects_file(objects, &file->id, file->size, error);
        if (file->bytes == NULL) {
            g_prefix_error(error, "%s: ", file->name);
            return FALSE;
        }
    }
    return TRUE;
}
