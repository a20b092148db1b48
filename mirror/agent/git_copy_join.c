/* SPDX-License-Identifier: MIT
 *
 * Every fetch leaves a pack file; looking for an object means looking into all of them. All but the largest
 * are joined into one: their objects are written to a new pack file and flushed to disk, then the old ones
 * are removed, each index first, because a pack file without an index is only litter. The largest stays as it
 * is, so that the cost follows what came since.
 */
#include <git2.h>
#include <git2/sys/odb_backend.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "mirror/agent/git_copy.h"

/* A pack file, named without its extension. */
typedef struct {
    char *stem;
    gint64 bytes;
} PackFile;

static void clear_pack_file(gpointer data)
{
    g_free(((PackFile *)data)->stem);
}

static gint by_size_descending(gconstpointer a, gconstpointer b)
{
    gint64 left = ((const PackFile *)a)->bytes, right = ((const PackFile *)b)->bytes;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* All pack files with an index, the largest first. */
static GArray *list_packs(const char *directory)
{
    GArray *packs = g_array_new(FALSE, FALSE, sizeof(PackFile));
    g_array_set_clear_func(packs, clear_pack_file);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        if (!g_str_has_suffix(name, ".idx"))
            continue;
        g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".idx"));
        g_autofree char *path = g_strconcat(directory, "/", stem, ".pack", NULL);
        GStatBuf status;
        if (g_stat(path, &status) != 0)
            continue;
        PackFile pack = {g_strconcat(directory, "/", stem, NULL), status.st_size};
        g_array_append_val(packs, pack);
    }
    g_array_sort(packs, by_size_descending);
    return packs;
}

static int insert_object(const git_oid *id, void *builder)
{
    return git_packbuilder_insert(builder, id, NULL);
}

/* Puts all objects of one pack file into the builder. */
static int insert_pack(git_packbuilder *builder, const PackFile *pack)
{
    g_autofree char *index = g_strconcat(pack->stem, ".idx", NULL);
    git_odb *odb = NULL;
    git_odb_backend *backend = NULL;
    int code = git_odb_new(&odb);
    if (code == 0)
        code = git_odb_backend_one_pack(&backend, index);
    if (code == 0)
        code = git_odb_add_backend(odb, backend, 1);
    if (code == 0)
        code = git_odb_foreach(odb, insert_object, builder);
    git_odb_free(odb);
    return code;
}

static int write_joined(git_repository *repository, const char *directory, GArray *packs, guint threads,
                        char **ret_name)
{
    git_packbuilder *builder = NULL;
    int code = git_packbuilder_new(&builder, repository);
    if (code != 0)
        return code;
    git_packbuilder_set_threads(builder, threads);
    for (guint i = 1; i < packs->len && code == 0; i++)
        code = insert_pack(builder, &g_array_index(packs, PackFile, i));
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    if (code == 0)
        code = git_packbuilder_write(builder, directory, 0, NULL, NULL);
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0);
    if (code == 0)
        *ret_name = g_strdup(git_packbuilder_name(builder));
    git_packbuilder_free(builder);
    return code;
}

/* Two packs with the same objects have the same name: that one stays. */
static void remove_joined(GArray *packs, const char *name)
{
    for (guint i = 1; i < packs->len; i++) {
        const char *stem = g_array_index(packs, PackFile, i).stem;
        g_autofree char *index = g_strconcat(stem, ".idx", NULL);
        g_autofree char *pack = g_strconcat(stem, ".pack", NULL);
        if (!g_str_has_suffix(stem, name) && g_unlink(index) == 0)
            g_unlink(pack);
    }
}

gboolean git_copy_join_packs(GitCopy *copy, guint packs_max, GError **error)
{
    git_repository *repository = NULL;
    g_autofree char *name = NULL;
    g_autofree char *directory = g_build_filename(git_copy_path(copy), "objects", "pack", NULL);
    g_autoptr(GArray) packs = list_packs(directory);
    if (packs->len <= packs_max)
        return TRUE;
    int code = git_repository_open_bare(&repository, git_copy_path(copy));
    if (code == 0)
        code = write_joined(repository, directory, packs, git_copy_threads(copy), &name);
    git_repository_free(repository);
    if (code != 0) {
        git_objects_set_error(error, KONTOR_ERROR_IO, "pack files cannot be joined");
        return FALSE;
    }
    remove_joined(packs, name);
    return TRUE;
}
