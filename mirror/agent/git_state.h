/* SPDX-License-Identifier: MIT
 *
 * What a sync of a git source that came to its end leaves for the next one, as JSON in mirror.db. It only
 * saves work: without it, or with one that cannot be read, the next sync looks at everything. Pure functions.
 */
#pragma once

#include "mirror/agent/git_listing.h"

typedef struct {
    GitId commit; /* whose packs were dealt with */
    guint packs;  /* that the source has and we want */
    char *prefix; /* the path of the source's root when that is a pack; "" else */
} GitState;

void git_state_clear(GitState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GitState, git_state_clear)

/* A new string. */
char *git_state_write(const GitState *state);
/* MALFORMED or LIMIT; "" is MALFORMED, too. */
gboolean git_state_read(const char *text, GitState *ret, GError **error);
