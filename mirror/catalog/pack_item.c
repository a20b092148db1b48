/* SPDX-License-Identifier: MIT */
#include "mirror/catalog/pack_item.h"

CatalogItem *pack_item_new(const CatalogPack *pack)
{
    const CatalogRelease *release = &pack->release;
    if (!pack->is_pack || pack->refused || !release->has_digest)
        return NULL;
    CatalogItemInfo info = {
        .path = pack->path,
        .version = release->version,
        .publisher = release->fingerprint,
        .published_at = release->published_at,
        .digest = release->digest,
        .content_sha256 = release->content_sha256,
        .pages = pack->rows_indexed,
        .bytes = release->bytes,
    };
    return catalog_item_new(&info, NULL);
}

void pack_item_sort(const GPtrArray *places, GPtrArray *ret_items, GPtrArray *ret_without)
{
    for (guint i = 0; i < places->len; i++) {
        const CatalogPack *pack = g_ptr_array_index(places, i);
        CatalogItem *item = pack_item_new(pack);
        if (item != NULL)
            g_ptr_array_add(ret_items, item);
        else
            g_ptr_array_add(ret_without, pack->path);
    }
}
