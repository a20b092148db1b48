/* SPDX-License-Identifier: MIT
 *
 * Which packs a commit has, and which of them differ from an older commit. Both trees are walked side by
 * side; where their ids are the same nothing below is read, so the cost follows the change.
 *
 * A pack is a directory with manifest.yaml and wiki/index.md. A directory with one of both is none; it is
 * only counted. Looked into are all directories but hidden ones, wiki/ and raw/, as in pack_scan.h. A
 * directory whose name cannot be part of a pack's path, or that stands twice in its listing, is not looked
 * into; when it is a pack itself, that pack is refused under a name that can be shown.
 *
 * A GitWalk is a result without references to the repository; the walk itself belongs to one thread.
 */
#pragma once

#include "mirror/agent/git_objects.h"
#include "mirror/agent/source.h"
#include "signing/hash.h"

/* A pack as it stands in a tree; what is in it has not been looked at. */
typedef struct {
    char *path;
    char identity[SHA256_HEX_CHARS + 1]; /* of the three things that are mirrored of it; the same content has
                                            the same identity */
    gboolean has_sig;
    GitEntryKind manifest_kind, sig_kind, wiki_kind;
    GitId manifest, sig, wiki;
    char *refused; /* why it cannot even be staged; NULL: it may be tried */
} GitPlace;

void git_place_free(GitPlace *place);

typedef struct {
    GPtrArray *places; /* of GitPlace *: new ones and changed ones that the source wants; all, without an
                          older tree. In the order of the walk */
    GPtrArray *gone;   /* of char *: paths that the older tree has, we want, and the new tree has not */
    guint appeared;    /* of `places`, those that the older tree does not have; without those that are refused
                          for a name */
    guint unwanted;    /* packs that the source does not want, where it was looked */
    guint directories; /* looked into */
    guint halves;      /* directories with manifest.yaml or wiki/index.md, but not both */
    guint unusable;    /* directories not looked into for their names */
} GitWalk;

void git_walk_free(GitWalk *walk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitWalk, git_walk_free)

typedef struct {
    GitObjects *objects;
    const MirrorSource *source; /* what it wants */
    const GitId *older;         /* directory to compare with; NULL: none */
    const GitId *newer;         /* directory to look into */
    const char *prefix;         /* path of that directory: "", or that of the pack that it is */
    gint64 deadline_us;         /* monotonic */
} GitWalkOptions;

/* NULL with NOT_FOUND when the older tree cannot be read any more (walk without it), LIMIT (more than
 * LIMIT_SCAN_DIRECTORIES directories or LIMIT_PACKS packs), BUSY when time is up, or CORRUPT as
 * git_objects.h has it. */
GitWalk *git_walk(const GitWalkOptions *options, GError **error);

/* Whether a directory is a pack. */
gboolean git_walk_is_pack(GitObjects *objects, const GitId *directory, gboolean *ret, GError **error);
/* Goes down from a root by a slash path ("" is the root itself). NOT_FOUND when there is no such directory,
 * saying how far it goes; FALSE, too, when it is something else. */
gboolean git_walk_descend(GitObjects *objects, const GitId *root, const char *path, GitId *ret,
                          GError **error);
