/* SPDX-License-Identifier: MIT
 *
 * Mirroring a git repository: fetch into a bare clone below <store>/git/, find the packs whose trees changed
 * since the commit of the last sync, stage each from its objects and offer it to the intake. No checkout, no
 * hooks, no submodules, no configuration of the system or the user; only the transports that source.h names.
 *
 * Which packs there are: git_walk.h; what is in one: git_pack.h; where the objects come from: git_origin.h.
 * When the source's directory is a pack itself, its path is the source's `pack`, and packs below it are below
 * that.
 *
 * This header hides libgit2. Blocking. libgit2 cannot be interrupted while a server says nothing at all:
 * whoever runs this in a process of its own ends that process when the deadline has passed by far
 * (agent_link.h).
 */
#pragma once

#include "mirror/agent/intake.h"

/* Once per process, before anything else here: limits and isolation of libgit2. */
void git_sync_init(void);

/* Errors, all of one line that begins with the shown URL and says what to do next where something can be
 * done: NOT_FOUND  no such repository, branch, tag or directory; or no pack in it ("is no pack repository:
 * …") DENIED     credentials missing or refused; a host key that is not known; a redirect LIMIT      more
 * bytes or objects than the source may send; disk full BUSY       out of time MALFORMED, CORRUPT   what came
 * is no valid git data CONFLICT   held back: more than LIMIT_SHRINK_PERCENT of the packs are gone (alarm
 * "shrink" is raised) IO         everything else */
gboolean git_sync(const SyncJob *job, SyncDone *ret, GError **error);

/* Name of the directory in <store>/git/ that holds the bare copy of the source, a new string; NULL when it
 * needs none, because its repository is on this machine. What no source needs may be removed, also while
 * another source is synced. */
char *git_sync_copy_name(const MirrorSource *source);
