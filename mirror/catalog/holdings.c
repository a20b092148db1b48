/* SPDX-License-Identifier: MIT
 *
 * Two balanced trees. The keys of the one are files themselves (hash, then address), which live as long as
 * the pack that is their value; judged copies of one scanned place share their files, so adding the newer
 * copy replaces the older. The keys of the other are packs (digest, then address). A look-up begins at the
 * lowest possible key of a hash and passes over what the reader's catalog does not have.
 *
 * Trees and not hash tables, because a thousand packs may hold the same empty file, and neither adding nor
 * removing one of them may cost the others.
 */
#include "mirror/catalog/holdings.h"

#include <pthread.h>
#include <string.h>

/* Files that are taken in or out between giving way to readers. */
#define FILES_PER_LOCK 256

struct Holdings {
    pthread_mutex_t lock;
    GTree *files;    /* const CatalogFile * → CatalogPack * (a reference) */
    GTree *releases; /* CatalogPack * → the same (a reference) */
};

/* --- Keys --- */

static gint compare_addresses(gconstpointer a, gconstpointer b)
{
    return ((guintptr)a > (guintptr)b) - ((guintptr)a < (guintptr)b);
}

/* A file without a name is the probe: before all of its hash. */
static gint compare_files(gconstpointer a, gconstpointer b, gpointer user G_GNUC_UNUSED)
{
    const CatalogFile *left = a, *right = b;
    int order = memcmp(left->sha256, right->sha256, sizeof left->sha256);
    if (order != 0)
        return order;
    if (left->name == NULL || right->name == NULL)
        return (left->name != NULL) - (right->name != NULL);
    return compare_addresses(a, b);
}

static gint compare_releases(gconstpointer a, gconstpointer b, gpointer user G_GNUC_UNUSED)
{
    const CatalogPack *left = a, *right = b;
    int order = memcmp(left->release.digest, right->release.digest, sizeof left->release.digest);
    if (order != 0)
        return order;
    if (left->path == NULL || right->path == NULL)
        return (left->path != NULL) - (right->path != NULL);
    return compare_addresses(a, b);
}

static void unref_pack(gpointer data)
{
    catalog_pack_unref(data);
}

/* --- Life cycle --- */

Holdings *holdings_new(void)
{
    Holdings *holdings = g_new0(Holdings, 1);
    pthread_mutex_init(&holdings->lock, NULL);
    holdings->files = g_tree_new_full(compare_files, NULL, NULL, unref_pack);
    holdings->releases = g_tree_new_full(compare_releases, NULL, NULL, unref_pack);
    return holdings;
}

void holdings_free(Holdings *holdings)
{
    if (holdings == NULL)
        return;
    g_tree_unref(holdings->files);
    g_tree_unref(holdings->releases);
    pthread_mutex_destroy(&holdings->lock);
    g_free(holdings);
}

/* --- Operations --- */

static void add_file(Holdings *holdings, CatalogPack *pack, CatalogFile *file)
{
    if (file->has_sha256)
        g_tree_replace(holdings->files, file, catalog_pack_ref(pack));
}

static void remove_file(Holdings *holdings, const CatalogPack *pack, const CatalogFile *file)
{
    if (file->has_sha256 && g_tree_lookup(holdings->files, file) == pack)
        g_tree_remove(holdings->files, file);
}

/* Of a signature that was not checked nobody knows which release it stands for. */
static gboolean has_release(const CatalogPack *pack)
{
    return pack->is_pack && pack->release.is_checked && pack->release.has_digest && pack->signature != NULL;
}

void holdings_add(Holdings *holdings, CatalogPack *pack)
{
    for (guint done = 0; done < pack->file_count;) {
        guint end = MIN(done + FILES_PER_LOCK, pack->file_count);
        pthread_mutex_lock(&holdings->lock);
        for (; done < end; done++)
            add_file(holdings, pack, &pack->files[done]);
        pthread_mutex_unlock(&holdings->lock);
    }
    if (!has_release(pack))
        return;
    pthread_mutex_lock(&holdings->lock);
    g_tree_replace(holdings->releases, pack, catalog_pack_ref(pack));
    pthread_mutex_unlock(&holdings->lock);
}

void holdings_remove(Holdings *holdings, const CatalogPack *pack)
{
    for (guint done = 0; done < pack->file_count;) {
        guint end = MIN(done + FILES_PER_LOCK, pack->file_count);
        pthread_mutex_lock(&holdings->lock);
        for (; done < end; done++)
            remove_file(holdings, pack, &pack->files[done]);
        pthread_mutex_unlock(&holdings->lock);
    }
    pthread_mutex_lock(&holdings->lock);
    g_tree_remove(holdings->releases, pack);
    pthread_mutex_unlock(&holdings->lock);
}

/* --- Queries --- */

/* The pack as this catalog has it, when that is the same reading of the same place and it is served. */
static const CatalogPack *as_in(const Catalog *catalog, const CatalogPack *pack)
{
    const CatalogPack *place = catalog_place(catalog, pack->path, strlen(pack->path));
    return place != NULL && place->serial == pack->serial && place->file_count > 0 ? place : NULL;
}

static const CatalogFile *signature_of(const CatalogPack *pack)
{
    return catalog_pack_file(pack, "manifest.sig", strlen("manifest.sig"));
}

gboolean holdings_find_file(Holdings *holdings, const Catalog *catalog, const guint8 sha256[32],
                            const CatalogPack **ret_pack, const CatalogFile **ret_file)
{
    CatalogFile probe = {.name = NULL};
    memcpy(probe.sha256, sha256, sizeof probe.sha256);
    const CatalogPack *found = NULL;
    pthread_mutex_lock(&holdings->lock);
    for (GTreeNode *node = g_tree_lower_bound(holdings->files, &probe); node != NULL && found == NULL;
         node = g_tree_node_next(node)) {
        const CatalogFile *file = g_tree_node_key(node);
        if (memcmp(file->sha256, sha256, sizeof file->sha256) != 0)
            break;
        found = as_in(catalog, g_tree_node_value(node));
        *ret_file = file;
    }
    pthread_mutex_unlock(&holdings->lock);
    *ret_pack = found;
    return found != NULL;
}

gboolean holdings_find_release(Holdings *holdings, const Catalog *catalog, const guint8 digest[32],
                               const CatalogPack **ret_pack, const CatalogFile **ret_file)
{
    CatalogPack probe = {.path = NULL};
    memcpy(probe.release.digest, digest, sizeof probe.release.digest);
    const CatalogPack *found = NULL;
    pthread_mutex_lock(&holdings->lock);
    for (GTreeNode *node = g_tree_lower_bound(holdings->releases, &probe); node != NULL && found == NULL;
         node = g_tree_node_next(node)) {
        const CatalogPack *pack = g_tree_node_value(node);
        if (memcmp(pack->release.digest, digest, sizeof pack->release.digest) != 0)
            break;
        found = as_in(catalog, pack);
    }
    pthread_mutex_unlock(&holdings->lock);
    *ret_pack = found;
    *ret_file = found != NULL ? signature_of(found) : NULL;
    return *ret_file != NULL;
}

CatalogPack *holdings_take_file(Holdings *holdings, const guint8 sha256[32], const CatalogFile **ret_file)
{
    CatalogFile probe = {.name = NULL};
    memcpy(probe.sha256, sha256, sizeof probe.sha256);
    CatalogPack *taken = NULL;
    pthread_mutex_lock(&holdings->lock);
    GTreeNode *node = g_tree_lower_bound(holdings->files, &probe);
    const CatalogFile *file = node != NULL ? g_tree_node_key(node) : NULL;
    if (file != NULL && memcmp(file->sha256, sha256, sizeof file->sha256) == 0) {
        taken = catalog_pack_ref(g_tree_node_value(node));
        *ret_file = file;
    }
    pthread_mutex_unlock(&holdings->lock);
    return taken;
}

CatalogPack *holdings_take_release(Holdings *holdings, const guint8 digest[32], const CatalogFile **ret_file)
{
    CatalogPack probe = {.path = NULL};
    memcpy(probe.release.digest, digest, sizeof probe.release.digest);
    g_autoptr(CatalogPack) taken = NULL;
    pthread_mutex_lock(&holdings->lock);
    GTreeNode *node = g_tree_lower_bound(holdings->releases, &probe);
    if (node != NULL)
        taken = catalog_pack_ref(g_tree_node_value(node));
    pthread_mutex_unlock(&holdings->lock);
    if (taken == NULL || memcmp(taken->release.digest, digest, sizeof taken->release.digest) != 0)
        return NULL;
    *ret_file = signature_of(taken);
    return *ret_file != NULL ? g_steal_pointer(&taken) : NULL;
}
