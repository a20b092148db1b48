/* SPDX-License-Identifier: MIT */
#include "mirror/agent/peer_plan.h"

#include <string.h>

#include "schema/limits.h"

void peer_plan_clear(PeerPlan *plan)
{
    g_clear_pointer(&plan->pending, g_ptr_array_unref);
    g_clear_pointer(&plan->gone, g_ptr_array_unref);
}

void peer_decision_clear(PeerDecision *decision)
{
    g_clear_pointer(&decision->reason, g_free);
}

gboolean peer_plan_shrinks(const PeerPlan *plan, guint withdrawn)
{
    g_assert(withdrawn <= plan->gone->len);
    return (guint64)(plan->gone->len - withdrawn) * 100 > plan->held * LIMIT_SHRINK_PERCENT;
}

/* --- After a change --- */

typedef struct {
    const SyncJob *job;
    Intake *intake; /* for everything only */
    PeerPlan *plan;
    const DigestTrie *catalog; /* for everything only */
    gboolean failed;
    GError *error;
} Planning;

/* What is known of the source's pack at a path in mirror.db: FALSE for nothing, or that it is gone. */
static gboolean is_known(const SyncJob *job, const char *path, SyncOutcome *ret_outcome, gboolean *ret,
                         GError **error)
{
    g_autofree char *identity = NULL;
    AcceptRule rule = ACCEPT_OK;
    *ret_outcome = OUTCOME_GONE;
    *ret = FALSE;
    if (!mirror_db_known(job->db, job->source->name, path, &identity, ret_outcome, &rule, error))
        return FALSE;
    *ret = identity != NULL && *ret_outcome != OUTCOME_GONE;
    return TRUE;
}

/* A pack that the peer has no more counts as gone when it was brought from here. */
static gboolean count_gone(Planning *planning, const char *path)
{
    SyncOutcome outcome;
    gboolean known = FALSE;
    if (!is_known(planning->job, path, &outcome, &known, &planning->error))
        return FALSE;
    if (known && outcome == OUTCOME_INSTALLED)
        g_ptr_array_add(planning->plan->gone, g_strdup(path));
    return TRUE;
}

static void plan_difference(CatalogItem *before, CatalogItem *after, gpointer user)
{
    Planning *planning = user;
    const char *path = after != NULL ? after->path : before->path;
    if (planning->failed || !source_wants(planning->job->source, path))
        return;
    g_ptr_array_add(planning->plan->pending, g_strdup(path));
    planning->plan->wanted += (after != NULL) - (before != NULL);
    if (after == NULL)
        planning->failed = !count_gone(planning, path);
}

static gboolean planned(const Planning *planning, GError **error)
{
    if (planning->failed)
        g_propagate_error(error, planning->error);
    return !planning->failed;
}

gboolean peer_plan_change(const SyncJob *job, const DigestTrie *before, const DigestTrie *after,
                          guint64 wanted_before, PeerPlan *ret, GError **error)
{
    *ret = (PeerPlan){.pending = g_ptr_array_new_with_free_func(g_free),
                      .gone = g_ptr_array_new_with_free_func(g_free),
                      .wanted = wanted_before,
                      .held = wanted_before};
    Planning planning = {.job = job, .plan = ret};
    digest_trie_diff(before, after, plan_difference, &planning);
    return planned(&planning, error);
}

/* --- Of everything --- */

static void plan_item(CatalogItem *nothing G_GNUC_UNUSED, CatalogItem *item, gpointer user)
{
    Planning *planning = user;
    char identity[SHA256_HEX_CHARS + 1];
    if (!source_wants(planning->job->source, item->path))
        return;
    planning->plan->wanted++;
    hex_encode(item->digest, SHA256_BYTES, identity);
    if (!intake_knows(planning->intake, item->path, identity))
        g_ptr_array_add(planning->plan->pending, g_strdup(item->path));
}

/* For MirrorDbPackFunc: what was brought from here and is not there, or not wanted, any more. */
static gboolean plan_known(const char *path, const char *identity G_GNUC_UNUSED, SyncOutcome outcome,
                           AcceptRule rule G_GNUC_UNUSED, const char *reason G_GNUC_UNUSED,
                           gint64 time_s G_GNUC_UNUSED, gpointer user)
{
    Planning *planning = user;
    guint8 key[SHA256_BYTES];
    gboolean wanted = source_wants(planning->job->source, path);
    catalog_item_key(path, key);
    gboolean there = digest_trie_find(planning->catalog, key) != NULL;
    if (outcome == OUTCOME_GONE || (there && wanted))
        return TRUE;
    g_ptr_array_add(planning->plan->pending, g_strdup(path));
    if (wanted && outcome == OUTCOME_INSTALLED)
        g_ptr_array_add(planning->plan->gone, g_strdup(path));
    return TRUE;
}

/* For MirrorDbPackFunc. */
static gboolean count_held(const char *path, const char *identity G_GNUC_UNUSED, SyncOutcome outcome,
                           AcceptRule rule G_GNUC_UNUSED, const char *reason G_GNUC_UNUSED,
                           gint64 time_s G_GNUC_UNUSED, gpointer user)
{
    Planning *planning = user;
    planning->plan->held += outcome == OUTCOME_INSTALLED && source_wants(planning->job->source, path);
    return TRUE;
}

gboolean peer_plan_everything(const SyncJob *job, Intake *intake, const DigestTrie *catalog, PeerPlan *ret,
                              GError **error)
{
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    *ret = (PeerPlan){.pending = g_ptr_array_new_with_free_func(g_free),
                      .gone = g_ptr_array_new_with_free_func(g_free)};
    Planning planning = {.job = job, .intake = intake, .plan = ret, .catalog = catalog};
    digest_trie_diff(empty, catalog, plan_item, &planning);
    return mirror_db_each(job->db, job->source->name, count_held, &planning, error) &&
           mirror_db_each(job->db, job->source->name, plan_known, &planning, error);
}

/* --- One pack --- */

gint64 peer_plan_retry_s(guint attempts, gint64 now_s)
{
    gint64 wait_s = LIMIT_PEER_RETRY_SECONDS;
    for (guint i = 1; i < attempts && wait_s < LIMIT_SOURCE_BACKOFF_SECONDS; i++)
        wait_s *= 2;
    return now_s + MIN(wait_s, LIMIT_SOURCE_BACKOFF_SECONDS);
}

static void refuse(PeerDecision *decision, AcceptRule rule, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void refuse(PeerDecision *decision, AcceptRule rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    decision->step = PEER_STEP_REFUSE;
    decision->rule = rule;
    decision->reason = g_strdup_vprintf(format, args);
    va_end(args);
}

/* What the item says of its publisher, when policy asks for trust. TRUE when it is refused for it. */
static gboolean refuse_publisher(const SyncJob *job, const CatalogItem *item, PeerDecision *ret)
{
    if (job->source->policy != PACK_POLICY_REQUIRED)
        return FALSE;
    const TrustEntry *entry = trust_list_find(job->trust, item->publisher);
    if (*item->publisher == '\0')
        refuse(ret, ACCEPT_UNSIGNED, "the catalog has it without a publisher");
    else if (entry == NULL)
        refuse(ret, ACCEPT_UNTRUSTED, "key %s is in no trust list", item->publisher);
    else if (entry->revoked)
        refuse(ret, ACCEPT_REVOKED, "key %s is revoked", item->publisher);
    else if (!trust_entry_allows_path(entry, item->path))
        refuse(ret, ACCEPT_NOT_FOR_PATH, "key %s is trusted for other paths", item->publisher);
    return ret->step == PEER_STEP_REFUSE;
}

static gboolean refuse_older(const SyncJob *job, const CatalogItem *item, const MirroredPack *held,
                             PeerDecision *ret)
{
    if (held == NULL || job->source->policy == PACK_POLICY_OFF || *item->publisher == '\0' ||
        strcmp(held->fingerprint, item->publisher) != 0 ||
        release_compare_versions(item->version, held->version) >= 0)
        return FALSE;
    refuse(ret, ACCEPT_ROLLBACK, "version %s is older than %s, which is held", item->version, held->version);
    return TRUE;
}

/* Another source has the path: a git repository most often, which costs the peer nothing. What it is about
 * to bring is waited for, for as long as this source waits between two syncs. */
static gboolean waits_for_other(const SyncJob *job, const PeerPending *pending, const MirroredPack *held,
                                gint64 now_s)
{
    gboolean there = FALSE;
    return held != NULL && !job->full && strcmp(held->source, job->source->name) != 0 &&
           memcmp(held->digest, pending->item->digest, SHA256_BYTES) != 0 &&
           now_s < pending->since_s + job->source->interval_s &&
           mirror_db_has_source(job->db, held->source, &there, NULL) && there;
}

static gboolean decide_gone(const SyncJob *job, const char *path, PeerDecision *ret, GError **error)
{
    SyncOutcome outcome;
    gboolean known = FALSE;
    if (!is_known(job, path, &outcome, &known, error))
        return FALSE;
    gboolean wanted = source_wants(job->source, path);
    if (!known || (wanted && outcome == OUTCOME_WITHDRAWN))
        ret->step = PEER_STEP_NOTHING;
    else
        ret->step = wanted && outcome == OUTCOME_INSTALLED ? PEER_STEP_ASK : PEER_STEP_GONE;
    return TRUE;
}

gboolean peer_plan_decide(const SyncJob *job, Intake *intake, const PeerPending *pending, gint64 now_s,
                          PeerDecision *ret, GError **error)
{
    char identity[SHA256_HEX_CHARS + 1];
    g_autoptr(MirroredPack) held = NULL;
    const CatalogItem *item = pending->item;
    *ret = (PeerDecision){.step = PEER_STEP_NOTHING};
    if (item == NULL || !source_wants(job->source, pending->path))
        return decide_gone(job, pending->path, ret, error);
    hex_encode(item->digest, SHA256_BYTES, identity);
    if (intake_knows(intake, item->path, identity))
        return TRUE;
    if (!mirror_db_held(job->db, item->path, job->source->is_private, &held, error))
        return FALSE;
    if (refuse_publisher(job, item, ret) || refuse_older(job, item, held, ret))
        return TRUE;
    gboolean waits = pending->due_s > now_s || waits_for_other(job, pending, held, now_s);
    ret->step = waits ? PEER_STEP_WAIT : PEER_STEP_FETCH;
    return TRUE;
}
