/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_walk.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"

typedef struct {
    const GitWalkOptions *options;
    GitWalk *walk;
    gsize listing_bytes; /* of the directories from the root to here */
} Walker;

/* --- Life cycle --- */

void git_place_free(GitPlace *place)
{
    if (place == NULL)
        return;
    g_free(place->path);
    g_free(place->refused);
    g_free(place);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitPlace, git_place_free)

void git_walk_free(GitWalk *walk)
{
    if (walk == NULL)
        return;
    g_ptr_array_unref(walk->places);
    g_ptr_array_unref(walk->gone);
    g_free(walk);
}

/* --- Places --- */

static void identify(GitPlace *place)
{
    guint8 text[3 * (GIT_ID_BYTES + 1)] = {0}, digest[SHA256_BYTES];
    const GitId *ids[] = {&place->manifest, &place->sig, &place->wiki};
    const GitEntryKind kinds[] = {place->manifest_kind, place->sig_kind, place->wiki_kind};
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        if (i == 1 && !place->has_sig)
            continue;
        text[i * (GIT_ID_BYTES + 1)] = (guint8)(kinds[i] + 1);
        memcpy(text + i * (GIT_ID_BYTES + 1) + 1, ids[i]->bytes, GIT_ID_BYTES);
    }
    sha256(text, sizeof text, digest);
    hex_encode(digest, sizeof digest, place->identity);
}

/* What is wrong with an entry at the top of a pack, or NULL. */
static char *top_problem(const GitEntry *entry, GitEntryKind expected)
{
    if (entry == NULL)
        return NULL;
    if (entry->repeated)
        return g_strdup_printf("%s: stands twice in its directory", entry->name);
    if (entry->kind != expected)
        return g_strdup_printf("%s: is %s", entry->name, git_entry_kind_name(entry->kind));
    return NULL;
}

static void take_top(const GitEntry *entry, GitEntryKind expected, GitEntryKind *ret_kind, GitId *ret,
                     GitPlace *place)
{
    *ret_kind = entry->kind;
    *ret = entry->id;
    char *problem = top_problem(entry, expected);
    if (place->refused == NULL)
        place->refused = problem;
    else
        g_free(problem);
}

/* A wiki/ that is no directory hides its index.md: it counts as one that has it, and is refused for what it
 * is. */
static gboolean has_index(GitObjects *objects, const GitEntry *wiki, gboolean *ret, GError **error)
{
    *ret = wiki != NULL && wiki->kind != GIT_ENTRY_FILE;
    if (wiki == NULL || wiki->kind != GIT_ENTRY_DIRECTORY)
        return TRUE;
    g_autoptr(GitListing) listing = git_objects_listing(objects, &wiki->id, error);
    if (listing == NULL)
        return FALSE;
    *ret = git_listing_find(listing, "index.md") != NULL;
    return TRUE;
}

/* *ret NULL when the directory is no pack. */
static gboolean place_of(GitObjects *objects, const GitListing *listing, const char *path, GitPlace **ret,
                         gboolean *ret_half, GError **error)
{
    *ret = NULL;
    *ret_half = FALSE;
    if (listing == NULL)
        return TRUE;
    const GitEntry *manifest = git_listing_find(listing, "manifest.yaml");
    const GitEntry *wiki = git_listing_find(listing, "wiki");
    const GitEntry *sig = git_listing_find(listing, "manifest.sig");
    gboolean indexed = FALSE;
    if (!has_index(objects, wiki, &indexed, error))
        return FALSE;
    *ret_half = (manifest != NULL) != indexed;
    if (manifest == NULL || !indexed)
        return TRUE;
    GitPlace *place = g_new0(GitPlace, 1);
    place->path = g_strdup(path);
    place->has_sig = sig != NULL;
    take_top(manifest, GIT_ENTRY_FILE, &place->manifest_kind, &place->manifest, place);
    take_top(wiki, GIT_ENTRY_DIRECTORY, &place->wiki_kind, &place->wiki, place);
    if (sig != NULL)
        take_top(sig, GIT_ENTRY_FILE, &place->sig_kind, &place->sig, place);
    identify(place);
    *ret = place;
    return TRUE;
}

gboolean git_walk_is_pack(GitObjects *objects, const GitId *directory, gboolean *ret, GError **error)
{
    gboolean half = FALSE;
    g_autoptr(GitPlace) place = NULL;
    g_autoptr(GitListing) listing = git_objects_listing(objects, directory, error);
    if (listing == NULL || !place_of(objects, listing, "", &place, &half, error))
        return FALSE;
    *ret = place != NULL;
    return TRUE;
}

/* --- Descending to the source's path --- */

static gboolean step_down(GitObjects *objects, const char *segment, const char *done, GitId *at,
                          GError **error)
{
    g_autoptr(GitListing) listing = git_objects_listing(objects, at, error);
    if (listing == NULL)
        return FALSE;
    const GitEntry *entry = git_listing_find(listing, segment);
    if (entry != NULL && entry->kind == GIT_ENTRY_DIRECTORY && !entry->repeated) {
        *at = entry->id;
        return TRUE;
    }
    const char *what = entry == NULL     ? "does not exist"
                       : entry->repeated ? "stands twice in its directory"
                                         : git_entry_kind_name(entry->kind);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "no directory '%s%s' in the repository: %s%s",
                done, segment, entry != NULL && !entry->repeated ? "it is " : "", what);
    return FALSE;
}

gboolean git_walk_descend(GitObjects *objects, const GitId *root, const char *path, GitId *ret,
                          GError **error)
{
    *ret = *root;
    g_auto(GStrv) segments = g_strsplit(path, "/", LIMIT_PATH_DEPTH + 1);
    g_autoptr(GString) done = g_string_new(NULL);
    for (guint i = 0; segments[i] != NULL; i++) {
        if (!step_down(objects, segments[i], done->str, ret, error))
            return FALSE;
        g_string_append_printf(done, "%s/", segments[i]);
    }
    return TRUE;
}

/* --- Walking --- */

static gboolean count_directory(Walker *walker, GError **error)
{
    guint directories = ++walker->walk->directories;
    if (directories > LIMIT_SCAN_DIRECTORIES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d directories; name a smaller path",
                    LIMIT_SCAN_DIRECTORIES);
        return FALSE;
    }
    /* Every time: to read and sort a single one may take a good part of a second. */
    if (g_get_monotonic_time() < walker->options->deadline_us)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY,
                "out of time after looking into %u directories; raise max_time to allow more", directories);
    return FALSE;
}

static gboolean add_place(Walker *walker, GitPlace *place, GError **error)
{
    g_ptr_array_add(walker->walk->places, place);
    if (walker->walk->places->len <= LIMIT_PACKS)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d packs; name a smaller path",
                LIMIT_PACKS);
    return FALSE;
}

/* Notes what became of the pack at `path`. Takes `newer` over. */
static gboolean compare_places(Walker *walker, const char *path, const GitPlace *older, GitPlace *newer,
                               GError **error)
{
    g_autoptr(GitPlace) owned = newer;
    if (older == NULL && newer == NULL)
        return TRUE;
    if (!source_wants(walker->options->source, path)) {
        walker->walk->unwanted += newer != NULL ? 1 : 0;
        return TRUE;
    }
    if (newer == NULL) {
        g_ptr_array_add(walker->walk->gone, g_strdup(path));
        return TRUE;
    }
    if (older == NULL)
        walker->walk->appeared++;
    else if (strcmp(older->identity, newer->identity) == 0)
        return TRUE;
    return add_place(walker, g_steal_pointer(&owned), error);
}

static char *join(const char *path, const char *name)
{
    return *path != '\0' ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
}

/* TRUE when packs are looked for below the entry. */
static gboolean is_looked_into(const GitEntry *entry)
{
    return entry->kind == GIT_ENTRY_DIRECTORY && entry->name[0] != '.' && strcmp(entry->name, "wiki") != 0 &&
           strcmp(entry->name, "raw") != 0;
}

/* The reason why packs at and below this directory cannot have a path, or NULL. */
static char *unusable_name(const char *path, const GitEntry *entry)
{
    g_autoptr(GError) cause = NULL;
    if (entry->repeated)
        return g_strdup("its directory stands twice in the directory above");
    if (!pack_path_segment_check(entry->name, &cause))
        return g_strdup(cause->message);
    g_autofree char *child = join(path, entry->name);
    return pack_path_check(child, &cause) ? NULL : g_strdup(cause->message);
}

/* A directory that cannot be looked into. If it is a pack, somebody misses it: it is refused by a name that
 * can be shown. */
static gboolean refuse_unusable(Walker *walker, const char *path, const GitEntry *entry, const char *reason,
                                GError **error)
{
    g_autofree char *shown = text_for_message(entry->name, strlen(entry->name));
    g_autofree char *child = join(path, shown);
    g_autoptr(GitPlace) place = NULL;
    gboolean half = FALSE;
    walker->walk->unusable++;
    if (!count_directory(walker, error))
        return FALSE;
    g_autoptr(GitListing) listing = git_objects_listing(walker->options->objects, &entry->id, error);
    if (listing == NULL || !place_of(walker->options->objects, listing, child, &place, &half, error))
        return FALSE;
    if (place == NULL || !pack_path_check(child, NULL) || !source_wants(walker->options->source, child))
        return TRUE;
    g_free(place->refused);
    place->refused = g_strdup(reason);
    return add_place(walker, g_steal_pointer(&place), error);
}

static gboolean walk_directory(Walker *walker, const char *path, const GitId *older, const GitId *newer,
                               GError **error);

/* One name of which at least one side has an entry. */
static gboolean walk_name(Walker *walker, const char *path, const GitEntry *older, const GitEntry *newer,
                          GError **error)
{
    g_autofree char *old_reason = older != NULL ? unusable_name(path, older) : NULL;
    g_autofree char *new_reason = newer != NULL ? unusable_name(path, newer) : NULL;
    const GitId *old_id = older != NULL && old_reason == NULL ? &older->id : NULL;
    const GitId *new_id = newer != NULL && new_reason == NULL ? &newer->id : NULL;
    if (new_reason != NULL && !refuse_unusable(walker, path, newer, new_reason, error))
        return FALSE;
    if ((old_id == NULL && new_id == NULL) ||
        (old_id != NULL && new_id != NULL && git_id_equal(old_id, new_id)))
        return TRUE;
    g_autofree char *child = join(path, (newer != NULL ? newer : older)->name);
    return walk_directory(walker, child, old_id, new_id, error);
}

/* The next entry of a listing that is looked into, from *index on. */
static const GitEntry *next_entry(const GitListing *listing, guint *index)
{
    guint count = listing != NULL ? git_listing_count(listing) : 0;
    for (; *index < count; (*index)++) {
        const GitEntry *entry = git_listing_at(listing, *index);
        if (is_looked_into(entry))
            return entry;
    }
    return NULL;
}

/* Moves *index behind all entries of this name. */
static void pass(const GitListing *listing, const GitEntry *entry, guint *index)
{
    while (*index < git_listing_count(listing) &&
           strcmp(git_listing_at(listing, *index)->name, entry->name) == 0)
        (*index)++;
}

static gboolean walk_children(Walker *walker, const char *path, const GitListing *older,
                              const GitListing *newer, GError **error)
{
    guint old_index = 0, new_index = 0;
    for (;;) {
        const GitEntry *old_entry = next_entry(older, &old_index);
        const GitEntry *new_entry = next_entry(newer, &new_index);
        if (old_entry == NULL && new_entry == NULL)
            return TRUE;
        int order = old_entry == NULL ? 1 : new_entry == NULL ? -1 : strcmp(old_entry->name, new_entry->name);
        if (!walk_name(walker, path, order <= 0 ? old_entry : NULL, order >= 0 ? new_entry : NULL, error))
            return FALSE;
        if (order <= 0)
            pass(older, old_entry, &old_index);
        if (order >= 0)
            pass(newer, new_entry, &new_index);
    }
}

/* *ret_listing and *ret_place NULL without `directory`. */
static gboolean look_at(GitObjects *objects, const char *path, const GitId *directory,
                        GitListing **ret_listing, GitPlace **ret_place, gboolean *ret_half, GError **error)
{
    if (directory != NULL && (*ret_listing = git_objects_listing(objects, directory, error)) == NULL)
        return FALSE;
    return place_of(objects, *ret_listing, path, ret_place, ret_half, error);
}

/* All listings from the root down to a directory are in memory together. */
static gboolean hold_listings(Walker *walker, const char *path, gsize bytes, GError **error)
{
    walker->listing_bytes += bytes;
    if (walker->listing_bytes <= LIMIT_GIT_LISTINGS_BYTES)
        return TRUE;
    g_autofree char *shown = text_for_message(path, strlen(path));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                "'%s' and the directories above it have so many entries that listing them takes more than %d "
                "bytes",
                shown, LIMIT_GIT_LISTINGS_BYTES);
    return FALSE;
}

static gsize bytes_of(const GitListing *listing)
{
    return listing != NULL ? git_listing_bytes(listing) : 0;
}

/* The depth is bounded by that of a path, which unusable_name checks. */
static gboolean walk_directory(Walker *walker, const char *path, const GitId *older, const GitId *newer,
                               GError **error)
{
    GitObjects *objects = walker->options->objects;
    g_autoptr(GitListing) old_listing = NULL, new_listing = NULL;
    g_autoptr(GitPlace) old_place = NULL, new_place = NULL;
    gboolean old_half = FALSE, new_half = FALSE;
    if (!count_directory(walker, error))
        return FALSE;
    if (!look_at(objects, path, older, &old_listing, &old_place, &old_half, NULL)) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                            "the older commit is no longer there as a whole");
        return FALSE;
    }
    if (!look_at(objects, path, newer, &new_listing, &new_place, &new_half, error))
        return FALSE;
    walker->walk->halves += new_half ? 1 : 0;
    gsize bytes = bytes_of(old_listing) + bytes_of(new_listing);
    if (!hold_listings(walker, path, bytes, error) ||
        !compare_places(walker, path, old_place, g_steal_pointer(&new_place), error) ||
        !walk_children(walker, path, old_listing, new_listing, error))
        return FALSE;
    walker->listing_bytes -= bytes;
    return TRUE;
}

GitWalk *git_walk(const GitWalkOptions *options, GError **error)
{
    g_autoptr(GitWalk) walk = g_new0(GitWalk, 1);
    walk->places = g_ptr_array_new_with_free_func((GDestroyNotify)git_place_free);
    walk->gone = g_ptr_array_new_with_free_func(g_free);
    Walker walker = {.options = options, .walk = walk};
    if (options->older != NULL && git_id_equal(options->older, options->newer))
        return g_steal_pointer(&walk);
    if (!walk_directory(&walker, options->prefix, options->older, options->newer, error))
        return NULL;
    return g_steal_pointer(&walk);
}
