/* SPDX-License-Identifier: MIT
 *
 * That a pack is withdrawn is also said of one that merely no source brings any more: what lies in the store
 * under its digest tells the two apart, and is read when somebody asks.
 */
#include "broker/serve/tombstones.h"

#include <string.h>

#include "mirror/store/release_store.h"
#include "schema/manifest_sig.h"

struct Tombstones {
    GMutex lock;
    GHashTable *digests; /* path → GBytes; guarded by the lock */
};

/* --- Life cycle --- */

Tombstones *tombstones_new(void)
{
    Tombstones *tombstones = g_new0(Tombstones, 1);
    g_mutex_init(&tombstones->lock);
    tombstones->digests =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    return tombstones;
}

void tombstones_free(Tombstones *tombstones)
{
    if (tombstones == NULL)
        return;
    g_hash_table_unref(tombstones->digests);
    g_mutex_clear(&tombstones->lock);
    g_free(tombstones);
}

/* --- Operations --- */

void tombstones_note(Tombstones *tombstones, const MirroredPack *record)
{
    g_assert(!record->is_private);
    g_mutex_lock(&tombstones->lock);
    if (record->withdrawn)
        g_hash_table_replace(tombstones->digests, g_strdup(record->path),
                             g_bytes_new(record->digest, SHA256_BYTES));
    else
        g_hash_table_remove(tombstones->digests, record->path);
    g_mutex_unlock(&tombstones->lock);
}

/* --- Queries --- */

/* Returns NULL always. */
static GBytes *there_is_none(const char *path, GError **error)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "pack '%s': nobody has withdrawn it", path);
    return NULL;
}

static GBytes *find_digest(Tombstones *tombstones, const char *path)
{
    g_mutex_lock(&tombstones->lock);
    GBytes *digest = g_hash_table_lookup(tombstones->digests, path);
    if (digest != NULL)
        g_bytes_ref(digest);
    g_mutex_unlock(&tombstones->lock);
    return digest;
}

static gboolean is_tombstone(GBytes *sig, const char *path)
{
    g_autoptr(ManifestSig) parsed =
        manifest_sig_parse(g_bytes_get_data(sig, NULL), g_bytes_get_size(sig), NULL);
    return parsed != NULL && parsed->release != NULL && parsed->release->withdrawn &&
           strcmp(parsed->release->path, path) == 0;
}

static GBytes *find_mirrored(Tombstones *tombstones, PackRoot *root, const char *path, GError **error)
{
    g_autoptr(GBytes) digest = find_digest(tombstones, path);
    g_autoptr(GBytes) sig = NULL;
    if (digest == NULL || root == NULL || !pack_root_has(root, PACK_ROOT_RELEASES))
        return there_is_none(path, error);
    if (!release_store_read_sig_at(pack_root_fd(root, PACK_ROOT_RELEASES), g_bytes_get_data(digest, NULL),
                                   &sig, error))
        return NULL;
    return sig != NULL && is_tombstone(sig, path) ? g_steal_pointer(&sig) : there_is_none(path, error);
}

GBytes *tombstones_find(Tombstones *tombstones, const Catalog *catalog, PackRoot *root, const char *path,
                        GError **error)
{
    const CatalogPack *place = catalog_place(catalog, path, strlen(path));
    if (place != NULL && place->is_pack && !place->refused)
        return there_is_none(path, error);
    const CatalogPack *scanned = place != NULL && place->origin != NULL ? place->origin : place;
    if (place != NULL && place->release.rule == ACCEPT_WITHDRAWN && scanned->signature != NULL)
        return g_bytes_ref(scanned->signature);
    return find_mirrored(tombstones, root, path, error);
}
