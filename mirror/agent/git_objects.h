/* SPDX-License-Identifier: MIT
 *
 * Reading the objects of a repository on this machine: commits, listings and files by id, nothing else: no
 * index, no working tree, no attributes, no filters. Sizes are looked up before anything is unpacked, so that
 * a few bytes cannot make us unpack gigabytes.
 *
 * The repository is either our own bare copy of a remote one, or the origin itself when that is on this
 * machine. Blocking; a GitObjects belongs to one thread, any number may be open on the same repository.
 *
 * Errors: CORRUPT for objects that are missing, damaged or of another kind than they should be; LIMIT for
 * what is too large; NOT_FOUND, DENIED and IO as the system says.
 */
#pragma once

#include "mirror/agent/git_listing.h"

typedef struct GitObjects GitObjects;

/* `path`: a bare repository, or a working tree with its .git. NOT_FOUND when there is none. */
GitObjects *git_objects_open(const char *path, GError **error);
void git_objects_close(GitObjects *objects); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitObjects, git_objects_close)

gboolean git_objects_has(GitObjects *objects, const GitId *id);
/* What a reference names ("refs/heads/main", "HEAD"), followed to a commit. NOT_FOUND when there is no such
 * reference, MALFORMED when it does not lead to a commit. */
gboolean git_objects_resolve(GitObjects *objects, const char *reference, GitId *ret_commit, GError **error);
/* Names of branches, or of tags, without "refs/heads/" or "refs/tags/": at most `count_max`, then *ret_more
 * is TRUE when there are others. Of char *. */
GPtrArray *git_objects_names(GitObjects *objects, gboolean tags, guint count_max, gboolean *ret_more);

/* The root of a commit. */
gboolean git_objects_root(GitObjects *objects, const GitId *commit, GitId *ret_tree, GError **error);
GitListing *git_objects_listing(GitObjects *objects, const GitId *tree, GError **error);
gboolean git_objects_size(GitObjects *objects, const GitId *file, guint64 *ret_bytes, GError **error);
/* The bytes of a file; LIMIT when they are more than `bytes_max`. */
GBytes *git_objects_file(GitObjects *objects, const GitId *file, guint64 bytes_max, GError **error);

/* Sets *error to `what` and what libgit2 says about its latest failure on this thread, on one line. */
void git_objects_set_error(GError **error, KontorErrorCode code, const char *what);
