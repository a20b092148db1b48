/* SPDX-License-Identifier: MIT
 *
 * index.md is read first, because it decides which files are pages. Then threads take one file after another
 * by a shared counter, and each leaves its result in the file's own slot; the tables are made in order
 * afterwards, so that the result does not depend on who was faster.
 */
#include "mirror/store/pack_content.h"

#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_place.h"
#include "schema/index_rows.h"
#include "schema/manifest.h"
#include "schema/pack_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WIKI "wiki/"
#define INDEX_NAME "index.md"

enum { FILES_PER_THREAD = 64, BYTES_PER_THREAD = 1024 * 1024 };

/* Where the files of a place are read from: a root that was scanned, or a descriptor of the directory above.
 */
typedef struct {
    PackRoot *root; /* or NULL */
    int parent_fd;
    const CatalogPack *place;
} Source;

static GBytes *source_read(const Source *source, const CatalogFile *file, GError **error)
{
    if (source->root != NULL)
        return pack_root_read(source->root, source->place, file, error);
    g_autofree char *path = g_strconcat(source->place->disk, "/", file->name, NULL);
    return pack_dir_read_file(source->parent_fd, path, &file->identity, error);
}

/* --- Hashing --- */

/* What became of one file. */
typedef struct {
    guint8 sha256[SHA256_BYTES];
    GBytes *kept; /* the bytes, of manifest.yaml and manifest.sig */
    GError *error;
} Slot;

typedef struct {
    const Source *source;
    Slot *slots; /* one per file of the place */
    gint next;   /* index of the next file to take; atomic */
    gint failed; /* something went wrong: the others may stop; atomic */
} Hashing;

static gboolean is_kept(const char *name)
{
    return strcmp(name, "manifest.yaml") == 0 || strcmp(name, "manifest.sig") == 0;
}

static void hash_file(Hashing *hashing, guint i)
{
    const CatalogFile *file = &hashing->source->place->files[i];
    Slot *slot = &hashing->slots[i];
    g_autoptr(GBytes) raw = source_read(hashing->source, file, &slot->error);
    if (raw == NULL) {
        g_atomic_int_set(&hashing->failed, TRUE);
        return;
    }
    g_bytes_unref(pack_file_served_form(file, raw, slot->sha256, NULL)); /* only its hash is wanted */
    if (is_kept(file->name))
        slot->kept = g_steal_pointer(&raw);
}

static gpointer hash_files(gpointer data)
{
    Hashing *hashing = data;
    while (!g_atomic_int_get(&hashing->failed)) {
        guint i = (guint)g_atomic_int_add(&hashing->next, 1);
        if (i >= hashing->source->place->file_count)
            break;
        hash_file(hashing, i);
    }
    return NULL;
}

/* How many threads are worth starting: most packs are hashed before a second one has begun. */
static guint threads_for(const CatalogPack *place, guint threads_max)
{
    guint64 bytes = 0;
    for (guint i = 0; i < place->file_count; i++)
        bytes += place->files[i].identity.size;
    return (guint)MIN(threads_max, 1 + place->file_count / FILES_PER_THREAD + bytes / BYTES_PER_THREAD);
}

static void hash_all(Hashing *hashing, guint threads_max)
{
    guint threads = threads_for(hashing->source->place, threads_max);
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();
    for (guint i = 1; i < threads; i++) {
        GThread *helper = g_thread_try_new("hash", hash_files, hashing, NULL);
        if (helper != NULL)
            g_ptr_array_add(helpers, helper);
    }
    hash_files(hashing);
    for (guint i = 0; i < helpers->len; i++)
        g_thread_join(g_ptr_array_index(helpers, i));
}

static void hashing_clear(Hashing *hashing)
{
    for (guint i = 0; i < hashing->source->place->file_count; i++) {
        g_clear_pointer(&hashing->slots[i].kept, g_bytes_unref);
        g_clear_error(&hashing->slots[i].error);
    }
    g_free(hashing->slots);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Hashing, hashing_clear)

/* The first failure in the order of names, so that the message is the same every time. */
static gboolean take_failure(Hashing *hashing, GError **error)
{
    for (guint i = 0; i < hashing->source->place->file_count; i++) {
        if (hashing->slots[i].error == NULL)
            continue;
        g_propagate_error(error, g_steal_pointer(&hashing->slots[i].error));
        return FALSE;
    }
    return TRUE;
}

/* --- Pages --- */

/* The set of names (relative to wiki/) that index.md lists; "index.md" is always in it. NULL with `error`
 * when it cannot be read, and with `content->refused` set when it cannot be understood. */
static GHashTable *listed_names(const Source *source, PackContent *content, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_add(names, g_strdup(INDEX_NAME));
    const CatalogFile *file = catalog_pack_file(source->place, WIKI INDEX_NAME, strlen(WIKI INDEX_NAME));
    if (file == NULL)
        return g_steal_pointer(&names);
    g_autoptr(GBytes) raw = source_read(source, file, error);
    if (raw == NULL)
        return NULL;
    gsize len = 0;
    const char *text = g_bytes_get_data(raw, &len);
    g_autoptr(GError) refused = NULL;
    g_autoptr(GPtrArray) rows = index_rows_parse(text, len, &refused);
    if (rows == NULL) {
        content->refused = g_strdup_printf(WIKI INDEX_NAME ": %s", refused->message);
        return NULL;
    }
    for (guint i = 0; i < rows->len; i++) {
        const IndexRow *row = g_ptr_array_index(rows, i);
        if (row->listed)
            g_hash_table_add(names, g_strdup(row->file));
    }
    return g_steal_pointer(&names);
}

static void take_manifest(PackContent *content, const Slot *slot)
{
    gsize len = 0;
    const char *data = g_bytes_get_data(slot->kept, &len);
    g_autoptr(Manifest) manifest = manifest_parse(data, len);
    g_free(content->version);
    content->version = g_steal_pointer(&manifest->version);
    content->has_manifest = TRUE;
    memcpy(content->manifest_sha256, slot->sha256, SHA256_BYTES);
}

static void take_files(const Hashing *hashing, GHashTable *listed, PackContent *content, GBytes **ret_sig)
{
    const CatalogPack *place = hashing->source->place;
    for (guint i = 0; i < place->file_count; i++) {
        const CatalogFile *file = &place->files[i];
        Slot *slot = &hashing->slots[i];
        if (strcmp(file->name, "manifest.sig") == 0) {
            if (ret_sig != NULL)
                *ret_sig = g_steal_pointer(&slot->kept);
            continue;
        }
        content->bytes += file->identity.size;
        gboolean in_wiki = g_str_has_prefix(file->name, WIKI);
        if (strcmp(file->name, "manifest.yaml") == 0)
            take_manifest(content, slot);
        else if (in_wiki && g_hash_table_contains(listed, file->name + strlen(WIKI)))
            manifest_sig_table_add(content->pages, file->name + strlen(WIKI), slot->sha256);
        else
            manifest_sig_table_add(content->files, file->name, slot->sha256);
    }
    manifest_sig_table_sort(content->pages);
    manifest_sig_table_sort(content->files);
}

/* --- Operations --- */

static PackContent *content_of(const Source *source, guint threads, GBytes **ret_sig, GError **error)
{
    const CatalogPack *place = source->place;
    g_autoptr(PackContent) content = pack_content_new();
    g_assert(threads >= 1);
    if (ret_sig != NULL)
        *ret_sig = NULL;
    content->refused = g_strdup(place->problem);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GHashTable) listed = place->problem == NULL ? listed_names(source, content, &failure) : NULL;
    if (failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (content->refused != NULL)
        return g_steal_pointer(&content);
    g_auto(Hashing) hashing = {.source = source, .slots = g_new0(Slot, place->file_count)};
    hash_all(&hashing, threads);
    if (!take_failure(&hashing, error))
        return NULL;
    take_files(&hashing, listed, content, ret_sig);
    return g_steal_pointer(&content);
}

PackContent *pack_content_of_place(PackRoot *root, const CatalogPack *place, guint threads, GBytes **ret_sig,
                                   GError **error)
{
    Source source = {.root = root, .parent_fd = -1, .place = place};
    return content_of(&source, threads, ret_sig, error);
}

/* The content of what was taken at `name` below the open directory `parent_fd`. */
static PackContent *content_taken(int parent_fd, PackPlaceOutcome outcome, CatalogPack *place, guint threads,
                                  GBytes **ret_sig, GError **error)
{
    switch (outcome) {
    case PACK_PLACE_TAKEN:
        break;
    case PACK_PLACE_GONE:
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "not a pack: has neither manifest.yaml nor wiki/");
        return NULL;
    case PACK_PLACE_UNCHANGED: /* needs a place to compare with */
        g_assert_not_reached();
    case PACK_PLACE_UNREAD:
        return NULL;
    }
    Source source = {.parent_fd = parent_fd, .place = place};
    return content_of(&source, threads, ret_sig, error);
}

PackContent *pack_content_of_settled(int parent_fd, const char *parent, const char *name, guint threads,
                                     GBytes **ret_sig, GError **error)
{
    g_autoptr(CatalogPack) place = NULL;
    PackPlaceOutcome outcome = pack_place_take_settled(parent_fd, parent, name, &place, error);
    return content_taken(parent_fd, outcome, place, threads, ret_sig, error);
}

PackContent *pack_content_of_directory(const char *directory, guint threads, GBytes **ret_sig, GError **error)
{
    char *resolved = realpath(directory, NULL);
    if (resolved == NULL) {
        kontor_error_set_errno(error, errno, "%s", directory);
        return NULL;
    }
    g_autofree char *parent = g_path_get_dirname(resolved);
    g_autofree char *name = g_path_get_basename(resolved);
    free(resolved);
    if (!pack_path_check(name, error))
        return NULL;
    int parent_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0) {
        kontor_error_set_errno(error, errno, "%s", parent);
        return NULL;
    }
    g_autoptr(CatalogPack) place = NULL;
    PackPlaceOutcome outcome = pack_place_take(parent_fd, parent, name, NULL, &place, error);
    PackContent *content = content_taken(parent_fd, outcome, place, threads, ret_sig, error);
    close(parent_fd);
    return content;
}
