/* SPDX-License-Identifier: MIT
 *
 * From the URL of a git source to a repository on this machine that can be read, and the commit to mirror.
 *
 * A repository that is on this machine anyway (file://, an absolute path) is read where it is, which costs
 * nothing. A remote one is fetched into a bare copy below <store>/git/: exactly the one reference that the
 * source names, no tags, no configuration of system or user, no hooks. Sources of the same URL share a copy.
 * The copy can be made again at any time: it is, when it turns out to be damaged or has become larger than
 * twice what the source may send at once; its many small pack files are joined now and then.
 *
 * Blocking; one fetch at a time in one store.
 */
#pragma once

#include "mirror/agent/git_objects.h"
#include "mirror/agent/source.h"

typedef struct {
    guint64 objects, objects_total, bytes;
} GitFetchProgress;

typedef struct {
    const MirrorSource *source;
    const char
        *store_dir;     /* absolute; the copy is in git/ below it, what is thrown away passes through tmp/ */
    gint64 deadline_us; /* monotonic */
    guint threads;
    void (*progress)(const GitFetchProgress *progress, gpointer user); /* may be called very often */
    gpointer user;
} GitOriginOptions;

typedef struct {
    char *repository; /* where to read */
    GitId commit;
    gboolean is_copy; /* ours, so it can be made again */
    guint64 received; /* bytes */
} GitOrigin;

void git_origin_clear(GitOrigin *origin);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GitOrigin, git_origin_clear)

/* Once per process, before anything else of git: limits and isolation of libgit2. */
void git_origin_init(void);

/* Finds, or fetches. Errors as of git_sync.h, without the URL in front. */
gboolean git_origin_open(const GitOriginOptions *options, GitOrigin *ret, GError **error);
/* Throws the copy of the source away, if there is one, so that the next git_origin_open fetches it anew. */
gboolean git_origin_discard(const GitOriginOptions *options, GError **error);

/* Name of the source's copy in git/, a new string; NULL when it needs none. */
char *git_origin_copy_name(const MirrorSource *source);
