/* SPDX-License-Identifier: MIT
 *
 * The bare copy of a remote repository, below <store>/git/, and fetching into it (git_origin.h says why and
 * when). What a crash may leave in it (locks, unfinished pack files) is removed before each fetch; a copy
 * that cannot be used is moved to <store>/tmp/ and made again.
 *
 *   <name>/refs/kontor/<hash of the reference>   what was fetched last; the only references
 *   <name>/objects/pack/pack-….{pack,idx}        one pair per fetch that brought something, joined when there
 *                                                are more than LIMIT_GIT_COPY_PACKS
 *
 * Used by git_origin.c only; one thread.
 */
#pragma once

#include "mirror/agent/git_origin.h"

typedef struct GitCopy GitCopy;

/* `options` must outlive the copy. Touches nothing yet. */
GitCopy *git_copy_new(const GitOriginOptions *options, const char *name);
void git_copy_free(GitCopy *copy); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitCopy, git_copy_free)
const char *git_copy_path(const GitCopy *copy);
guint git_copy_threads(const GitCopy *copy);

/* Fetches the source's reference; nothing is received when it has not moved. Errors as of git_sync.h. */
gboolean git_copy_fetch(GitCopy *copy, GitId *ret_commit, guint64 *ret_received, GError **error);
/* Success, too, when there is none. */
gboolean git_copy_discard(GitCopy *copy, GError **error);
/* Joins all pack files but the largest when there are more than `packs_max`. The copy is whole, whenever this
 * is interrupted. */
gboolean git_copy_join_packs(GitCopy *copy, guint packs_max, GError **error);

/* --- Of git_origin.c, for both kinds of repository --- */

/* Full name of the reference that the source wants; "HEAD" when it names none. A new string. */
char *git_origin_reference(const MirrorSource *source);
/* NOT_FOUND: the reference is not there; `names` of char * are those that are. Returns FALSE. */
gboolean git_origin_fail_reference(const MirrorSource *source, GPtrArray *names, gboolean more,
                                   GError **error);
