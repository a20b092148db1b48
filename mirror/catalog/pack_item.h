/* SPDX-License-Identifier: MIT
 *
 * The catalog item of a pack that this broker serves. Pure.
 */
#pragma once

#include "mirror/catalog/catalog.h"
#include "mirror/catalog/item.h"

/* A new item, or NULL for a place about which nothing can be said to others: no pack, refused by policy,
 * without manifest.yaml, or with files that could not be hashed. */
CatalogItem *pack_item_new(const CatalogPack *pack);

/* Sorts judged places (of CatalogPack *) into new items and the paths of places without one (borrowed), which
 * are added to the arrays. */
void pack_item_sort(const GPtrArray *places, GPtrArray *ret_items, GPtrArray *ret_without);
