/* SPDX-License-Identifier: MIT
 *
 * What happened to many packs, told in a few lines: equal events are gathered by cause, each cause is
 * printed once with how many packs it concerns and the first of them, and a refusal says what can be done.
 *
 * One cause is the event, the rule and the reason, in which the pack's own path counts as the same
 * everywhere. A rule with more than PACK_GROUPS_CAUSES reasons (each page has a hash of its own) has the
 * others in one further group. Up to so many packs of one cause are printed one by one: PACK_GROUPS_REFUSED
 * of what was refused or is damaged, PACK_GROUPS_GOOD of everything else.
 *
 * Embedded, one thread; keeps what it prints, so it is bounded unless everything is wanted.
 */
#pragma once

#include <glib.h>

#define PACK_GROUPS_CAUSES 8
#define PACK_GROUPS_REFUSED 3
#define PACK_GROUPS_GOOD 20

typedef struct {
    gboolean all;      /* one line for every pack */
    char *more;        /* how to see them all: half a sentence; internal */
    GPtrArray *groups; /* in the order in which they began; internal */
    GHashTable *index; /* cause → group; internal */
    GHashTable *rules; /* event and rule → how many causes there are; internal */
} PackGroups;

/* `more` is copied. */
void pack_groups_init(PackGroups *groups, gboolean all, const char *more);
void pack_groups_clear(PackGroups *groups);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PackGroups, pack_groups_clear)

/* An event of broker/mirrors/mirrors.h: "installed", "withdrawn", "gone", "refused", "damaged". `rule`,
 * `reason` and `version` may be "". All of it is foreign text. */
typedef struct {
    const char *event, *path, *version, *rule, *reason;
} PackEvent;
void pack_groups_add(PackGroups *groups, const PackEvent *event);

/* Called for each line; the text is not cleaned. `bad`: about something that is not as it should be. */
typedef void (*PackGroupsLine)(const char *text, gboolean bad, gpointer user);
/* Tells everything that was added, and forgets it. */
void pack_groups_tell(PackGroups *groups, PackGroupsLine line, gpointer user);

/* What can be done about a refusal: half a sentence. A new string. */
char *pack_groups_remedy(const char *rule, const char *reason);
