/* SPDX-License-Identifier: MIT
 *
 * Content types of files in packs, by name. Existing Nodes expect every text file under wiki/ as
 * text/markdown (contract), whatever its name; binary files have their own types.
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *type;
    gboolean compressible; /* worth a gzip variant */
    gboolean active;       /* a browser could run script in it: served in a sandbox */
} ContentType;

/* `name` as in CatalogFile: "wiki/…", "manifest.yaml" or "manifest.sig". */
ContentType content_type_of(const char *name);
