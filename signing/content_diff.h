/* SPDX-License-Identifier: MIT
 *
 * In which files two packs differ, by their hashes. Files are compared by their full names, so that a page
 * that one index lists and the other does not is the same file in both. Pure function.
 */
#pragma once

#include "signing/release.h"

typedef struct {
    char *file;          /* "manifest.yaml" or "wiki/…" */
    gboolean in_a, in_b; /* at least one; when both, the hashes differ */
    guint8 a[SHA256_BYTES], b[SHA256_BYTES];
} ContentDifference;

void content_difference_free(ContentDifference *difference);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ContentDifference, content_difference_free)

/* All differences, sorted by file, as an array of ContentDifference * that owns them; empty when there is
 * none. `only_nodes_part`: leave PackContent.files out, which is not fully known of every source. */
GPtrArray *content_diff(const PackContent *a, const PackContent *b, gboolean only_nodes_part);
