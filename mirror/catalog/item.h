/* SPDX-License-Identifier: MIT
 *
 * A catalog item: what brokers tell each other about one served pack, and the two hashes under which the
 * digest trie holds it. docs/formats.md, "Catalog exchange".
 *
 *   key  = SHA-256(path)
 *   leaf = SHA-256("kontor/leaf/v1" ‖ NUL ‖ canonical JSON of the item)
 *
 * An item is one block of memory, immutable and atomically reference counted; any thread may hold and read
 * it. Items that come from other brokers pass the same checks as our own, so that whoever holds a CatalogItem
 * may rely on its form: a path that pack_path_check accepts, texts in UTF-8 and within their limits.
 */
#pragma once

#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "signing/hash.h"

/* What an item says; the texts are borrowed. */
typedef struct {
    const char *path;         /* slash path of the pack */
    const char *version;      /* may be "" */
    const char *publisher;    /* fingerprint of the signing key; "" for an unsigned pack */
    const char *published_at; /* YYYY-MM-DDTHH:MM:SSZ; "" without a release */
    const guint8 *digest;     /* of the release: SHA256_BYTES */
    const guint8 *content_sha256;
    guint64 pages, bytes; /* ≤ 2^53 − 1 */
} CatalogItemInfo;

typedef struct {
    gatomicrefcount refs;
    guint8 key[SHA256_BYTES];
    guint8 leaf[SHA256_BYTES];
    guint8 digest[SHA256_BYTES];
    guint8 content_sha256[SHA256_BYTES];
    guint64 pages, bytes;
    const char *path, *version, *publisher, *published_at; /* in `texts` */
    char texts[];
} CatalogItem;

/* --- Life cycle --- */

/* A new item. MALFORMED or LIMIT when `info` breaks a rule; the message names the member. */
CatalogItem *catalog_item_new(const CatalogItemInfo *info, GError **error);
CatalogItem *catalog_item_ref(CatalogItem *item);
void catalog_item_unref(CatalogItem *item); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CatalogItem, catalog_item_unref)

/* --- Encoding --- */

/* Writes the item as an object with its keys in canonical order. */
void catalog_item_write(const CatalogItem *item, JsonWriter *writer);
/* Reads what catalog_item_write wrote: an object with exactly these members. NULL with MALFORMED or LIMIT. */
CatalogItem *catalog_item_read(const JsonValue *value, GError **error);

/* --- Queries --- */

void catalog_item_key(const char *path, guint8 ret_key[SHA256_BYTES]);
/* Order of keys, for items. */
int catalog_item_compare(const CatalogItem *a, const CatalogItem *b);
