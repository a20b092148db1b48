/* SPDX-License-Identifier: MIT */
#include "mirror/store/pack_root.h"

#include "mirror/store/pack_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct PackRoot {
    gatomicrefcount refs;
    int fds[PACK_ROOT_DIRECTORIES];     /* -1: missing */
    char *paths[PACK_ROOT_DIRECTORIES]; /* absolute */
};

static const char *const names[] = {
    [PACK_ROOT_PACKS] = "packs directory",
    [PACK_ROOT_RELEASES] = "release store",
};

/* --- Life cycle --- */

static PackRoot *root_new(void)
{
    PackRoot *root = g_new0(PackRoot, 1);
    g_atomic_ref_count_init(&root->refs);
    for (guint i = 0; i < PACK_ROOT_DIRECTORIES; i++)
        root->fds[i] = -1;
    return root;
}

static gboolean root_add(PackRoot *root, PackRootDirectory directory, const char *path, GError **error)
{
    root->paths[directory] = g_canonicalize_filename(path, NULL);
    root->fds[directory] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root->fds[directory] >= 0 ||
           kontor_error_set_errno(error, errno, "%s '%s'", names[directory], path);
}

/* A missing directory is none. */
static gboolean root_try(PackRoot *root, PackRootDirectory directory, const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (root_add(root, directory, path, &cause) ||
        g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

PackRoot *pack_root_open(const char *path, GError **error)
{
    g_autoptr(PackRoot) root = root_new();
    return root_add(root, PACK_ROOT_PACKS, path, error) ? g_steal_pointer(&root) : NULL;
}

PackRoot *pack_root_open_both(const char *packs, const char *releases, GError **error)
{
    g_autoptr(PackRoot) root = root_new();
    const char *const paths[] = {[PACK_ROOT_PACKS] = packs, [PACK_ROOT_RELEASES] = releases};
    for (guint i = 0; i < PACK_ROOT_DIRECTORIES; i++)
        if (!root_try(root, i, paths[i], error))
            return NULL;
    return g_steal_pointer(&root);
}

static gboolean root_share_packs(PackRoot *root, const PackRoot *from, GError **error)
{
    if (from == NULL)
        return TRUE;
    root->paths[PACK_ROOT_PACKS] = g_strdup(from->paths[PACK_ROOT_PACKS]);
    if (!pack_root_has(from, PACK_ROOT_PACKS))
        return TRUE;
    root->fds[PACK_ROOT_PACKS] = fcntl(from->fds[PACK_ROOT_PACKS], F_DUPFD_CLOEXEC, 0);
    return root->fds[PACK_ROOT_PACKS] >= 0 ||
           kontor_error_set_errno(error, errno, "%s", names[PACK_ROOT_PACKS]);
}

PackRoot *pack_root_with_releases(const PackRoot *root, const char *releases, GError **error)
{
    g_autoptr(PackRoot) both = root_new();
    if (!root_try(both, PACK_ROOT_RELEASES, releases, error) || !root_share_packs(both, root, error))
        return NULL;
    return g_steal_pointer(&both);
}

PackRoot *pack_root_ref(PackRoot *root)
{
    g_atomic_int_inc(&root->refs);
    return root;
}

void pack_root_unref(PackRoot *root)
{
    if (root == NULL || !g_atomic_int_dec_and_test(&root->refs))
        return;
    for (guint i = 0; i < PACK_ROOT_DIRECTORIES; i++) {
        if (root->fds[i] >= 0)
            close(root->fds[i]);
        g_free(root->paths[i]);
    }
    g_free(root);
}

/* --- Operations --- */

GBytes *pack_root_read(PackRoot *root, const CatalogPack *place, const CatalogFile *file, GError **error)
{
    PackRootDirectory directory = place->is_mirrored ? PACK_ROOT_RELEASES : PACK_ROOT_PACKS;
    if (root->fds[directory] < 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "%s: was missing", names[directory]);
        return NULL;
    }
    g_autofree char *path = g_strconcat(place->disk, "/", file->name, NULL);
    return pack_dir_read_file(root->fds[directory], path, &file->identity, error);
}

/* --- Queries --- */

gboolean pack_root_has(const PackRoot *root, PackRootDirectory directory)
{
    return root->fds[directory] >= 0;
}

int pack_root_fd(const PackRoot *root, PackRootDirectory directory)
{
    return root->fds[directory];
}

const char *pack_root_path(const PackRoot *root, PackRootDirectory directory)
{
    return root->paths[directory];
}
