/* SPDX-License-Identifier: MIT
 *
 * What sources keep in the store beside releases: bare copies of repositories (<store>/git/<id>.git) and what
 * is known of the catalogs of peers (<store>/peers/<source>.db). Both only save work and are made anew when
 * they are missing, so they go when no source uses them any more. Evidence against a peer stays until the
 * operator removes it.
 *
 * Blocking. For whoever decides which sources there are; the agent may be at work for one of `sources`.
 */
#pragma once

#include "mirror/agent/source.h"

typedef struct {
    guint removed, failed;
    guint64 removed_bytes;
} SourceFiles;

/* Removes what none of `sources` (of MirrorSource *) uses; `dry_run` only counts. A copy is moved to tmp/
 * first, so that a crash leaves no half of it. What cannot be removed is counted and stays. */
void source_files_collect(const char *store_dir, const GPtrArray *sources, gboolean dry_run,
                          SourceFiles *ret);
