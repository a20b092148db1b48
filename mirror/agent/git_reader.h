/* SPDX-License-Identifier: MIT
 *
 * Reads packs out of a repository ahead of the one who stages them, in their order: unpacking objects and
 * writing files then take place at the same time. What waits to be taken is at most LIMIT_GIT_READ_BYTES and
 * one pack more.
 *
 * A GitReader belongs to one thread; its own threads end with it.
 */
#pragma once

#include "mirror/agent/git_pack.h"

typedef struct GitReader GitReader;

/* `places` (of GitPlace *) must outlive the reader. `threads` ≥ 1. */
GitReader *git_reader_new(const char *repository, GPtrArray *places, guint threads);
/* Waits for the threads, which finish the file that they are at. NULL is fine. */
void git_reader_free(GitReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitReader, git_reader_free)

/* The next pack, for the place of the next index, with its files read unless it is refused. To be called once
 * for every place. NULL with the errors of git_pack.h: about this pack, the next one may be asked for. */
GitPack *git_reader_next(GitReader *reader, GError **error);
