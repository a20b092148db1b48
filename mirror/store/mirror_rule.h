/* SPDX-License-Identifier: MIT
 *
 * What an accepted release does to the path that it is for, when the path is held already. Pure.
 *
 * The agent has judged the release by what it could read of mirror.db; this is decided by what is held when
 * its report arrives, and between sources. First line that fits:
 *
 *   offered      held                               becomes
 *   anything     nothing                            served (a tombstone: remembered)
 *   unsigned     signed                             refused, hijack; a tombstone: unsigned
 *   unsigned     unsigned, served, another source   kept
 *   unsigned     unsigned, else                     served
 *   signed       unsigned                           served
 *   signed       another publisher                  served: whoever judged it says that it may take over
 *   older        same publisher                     refused, rollback
 *   tombstone    same publisher                     remembered; nothing is served
 *   newer        same publisher                     served
 *   same version, same digest, served by another source                          kept
 *   same version, same digest, else                                              served
 *   same version, another digest, with a version                                 refused, conflict
 *   no version, another digest                      as two unsigned ones
 *
 * Older and newer: by version, then by published_at.
 */
#pragma once

#include "mirror/store/mirror_db.h"

typedef enum {
    MIRROR_RULE_TAKE,   /* becomes what is held */
    MIRROR_RULE_KEEP,   /* nothing is wrong with it, but what is held stays */
    MIRROR_RULE_REFUSE, /* rule and reason are set */
} MirrorRule;

/* `held` may be NULL; its `withdrawn` says that nothing is served. `offered` by `source`; `withdraws`: it is
 * a tombstone. *ret_reason is a new string. */
MirrorRule mirror_rule(const MirroredPack *held, const MirroredPack *offered, const char *source,
                       gboolean withdraws, AcceptRule *ret_rule, char **ret_reason);
