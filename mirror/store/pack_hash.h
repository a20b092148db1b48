/* SPDX-License-Identifier: MIT
 *
 * Hashing the files of a scanned place: of each file the SHA-256 and the size of the form that is served.
 *
 * A file that may not be read, or that the disk cannot give, stays without a hash and is named in the place's
 * warnings: it counts as missing wherever hashes are compared.
 */
#pragma once

#include "mirror/catalog/catalog.h"

/* Fills in the hashes of all files of `place`, which nobody else has seen yet, below the directory `root_fd`.
 * FALSE with CONFLICT or NOT_FOUND when the place changed since it was surveyed, LIMIT when the system has no
 * more descriptors. Blocking; any thread. */
gboolean pack_hash_files(int root_fd, CatalogPack *place, GError **error);
