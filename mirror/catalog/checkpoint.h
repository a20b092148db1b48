/* SPDX-License-Identifier: MIT
 *
 * The checkpoint of a catalog: a C2SP signed note (signing/note.h) by which a broker stands up for the digest
 * of its whole catalog. docs/formats.md, "Catalog exchange".
 *
 *   library.example/catalog           origin: the name of the broker, which is also that of its key, and this
 *   608                               items
 *   <base64 of the root digest>
 *   generation 1795223482
 *   time 2026-11-21T01:11:22Z
 *   expires 2026-11-23T01:11:22Z      48 hours later
 *   view 1f0c5a7be2d94836             only for a view: which one (docs/formats.md, "Visibility")
 *
 *   — library.example <key id and signature>
 *
 * Pure functions; times are Unix seconds.
 */
#pragma once

#include "signing/note.h"

#define CATALOG_CHECKPOINT_SECONDS (48 * 3600) /* how long one is good for */
#define CATALOG_VIEW_CHARS 16                  /* lower-case hexadecimal digits that name a view */

typedef struct {
    guint64 count;
    guint8 root[SHA256_BYTES];
    guint64 generation;
    gint64 time_s, expires_s;
    char view[CATALOG_VIEW_CHARS + 1]; /* "": the public catalog, which has no such line */
} CatalogCheckpoint;

/* TRUE for the name of a view: CATALOG_VIEW_CHARS lower-case hexadecimal digits. */
gboolean catalog_view_is_valid(const char *view);
/* The note; expires_s is set to its right value first. The view is "" or valid. MALFORMED when the name
 * cannot stand in a note. */
char *catalog_checkpoint_sign(CatalogCheckpoint *checkpoint, const char *broker_name, const SecretKey *key,
                              GError **error);
/* Reads a note whose bytes come from anywhere. With a key, it must be signed by it under the name of the
 * broker: SIGNATURE or NOT_FOUND otherwise. MALFORMED for everything else that is wrong, LIMIT. `ret_name`
 * (may be NULL) receives the broker's name, a new string. Whether it has expired is for the caller to judge.
 */
gboolean catalog_checkpoint_open(const void *data, gsize len, const PublicKey *key, CatalogCheckpoint *ret,
                                 char **ret_name, GError **error);
