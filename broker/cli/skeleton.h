/* SPDX-License-Identifier: MIT
 *
 * The skeleton of a data directory: kontor.yaml with every key explained, an empty packs/, and sample packs
 * if asked. What exists is never changed, so that it can be repeated.
 */
#pragma once

#include "schema/error.h"

/* What became of one thing; `created` FALSE means that it was there before and stayed as it was. */
typedef void (*SkeletonReport)(const char *path, gboolean created, gpointer user);

/* Makes `dir` (mode 0700, parents too), `dir`/packs and `dir`/kontor.yaml, and reports each. `samples` may be
 * NULL; else it names a directory whose sub-directories are copied into packs/ unless a sub-directory of that
 * name exists: regular files and directories only, at most LIMIT_PATH_DEPTH deep. IO, DENIED, LIMIT,
 * NOT_FOUND (samples) name the path. */
gboolean skeleton_make(const char *dir, const char *samples, SkeletonReport report, gpointer user,
                       GError **error);
