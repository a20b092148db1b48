/* SPDX-License-Identifier: MIT
 *
 * What has to be done about a peer's catalog: which packs are to be dealt with when the catalog has changed
 * (or is looked at anew, because the policy or the operator asks for it), and what to do about each.
 *
 * Reads mirror.db and the items; asks nobody and changes nothing.
 */
#pragma once

#include "mirror/agent/intake.h"
#include "mirror/agent/peer_state.h"

/* --- The whole --- */

typedef struct {
    GPtrArray *pending; /* of char *, owned: paths to be dealt with */
    guint64 wanted;     /* packs of the catalog that the source wants */
    guint64 held;       /* what `gone` is a part of */
    GPtrArray *gone;    /* of char *, owned: wanted packs that were brought from here and are not there any
                           more */
} PeerPlan;
void peer_plan_clear(PeerPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerPlan, peer_plan_clear)

/* After a change from `before` to `after`; costs what differs. `wanted_before`: of `before`. */
gboolean peer_plan_change(const SyncJob *job, const DigestTrie *before, const DigestTrie *after,
                          guint64 wanted_before, PeerPlan *ret, GError **error);
/* Of everything; costs the catalog. */
gboolean peer_plan_everything(const SyncJob *job, Intake *intake, const DigestTrie *catalog, PeerPlan *ret,
                              GError **error);
/* TRUE when so much is gone, but for `withdrawn` packs, that the operator has to confirm it
 * (LIMIT_SHRINK_PERCENT). */
gboolean peer_plan_shrinks(const PeerPlan *plan, guint withdrawn);

/* --- One pack --- */

typedef enum {
    PEER_STEP_NOTHING, /* it is dealt with */
    PEER_STEP_WAIT,    /* not yet: it failed not long ago, or another source may bring it first */
    PEER_STEP_ASK,     /* it is gone: report it as withdrawn when the peer proves that it was, else as gone */
    PEER_STEP_GONE,    /* report it as gone */
    PEER_STEP_REFUSE,  /* report it as refused; nothing needs to be fetched for that */
    PEER_STEP_FETCH,
} PeerStep;

typedef struct {
    PeerStep step;
    AcceptRule rule; /* of PEER_STEP_REFUSE */
    char *reason;    /* of PEER_STEP_REFUSE */
} PeerDecision;
void peer_decision_clear(PeerDecision *decision);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerDecision, peer_decision_clear)

/* FALSE when mirror.db cannot be read. */
gboolean peer_plan_decide(const SyncJob *job, Intake *intake, const PeerPending *pending, gint64 now_s,
                          PeerDecision *ret, GError **error);
/* When a pack is tried again that has failed `attempts` times. */
gint64 peer_plan_retry_s(guint attempts, gint64 now_s);
