/* SPDX-License-Identifier: MIT
 *
 * Many releases of the release store as places, with the hashes of all their files, read by several threads.
 * What they are worth is judged afterwards.
 */
#pragma once

#include "mirror/store/hash_store.h"
#include "mirror/store/mirror_db.h"
#include "mirror/store/pack_root.h"

typedef struct {
    guint threads;          /* ≥ 1 */
    const HashStore *known; /* hashes that it has are not worked out again; may be NULL */
    gboolean as_signed;     /* as in PackPlaceRelease */
} ReleaseTakeOptions;

/* The place of each record (of MirroredPack *), in the same order, in a new array that owns them. A release
 * that is not there, or cannot be read, is a place with that as its problem. */
GPtrArray *release_take_all(PackRoot *root, GPtrArray *records, const ReleaseTakeOptions *options);
