/* SPDX-License-Identifier: MIT
 *
 * An offered pack is hashed and judged at once, because its verdict needs nothing but itself and what is
 * held. What is accepted waits in the batch as staged files and as the result that will be reported; both are
 * in step. Flushing installs the files with one flush of the disk for all, then reports.
 */
#include "mirror/agent/intake.h"

#include <string.h>

#include "mirror/agent/intake_judge.h"
#include "mirror/store/pack_content.h"
#include "schema/limits.h"

#define POLICY_TAG_CHARS 16 /* of the policy's hash, in the identities that mirror.db keeps */

struct Intake {
    const SyncJob *job;
    SyncProgress progress;
    GPtrArray *stagings;    /* of Staging * */
    GPtrArray *results;     /* of SyncResult *, of the same index */
    GHashTable *unreleased; /* hex digest → path: what this sync brought without a signed release */
    guint64 batch_bytes;
    gint64 batch_began_us; /* of its first pack */
};

void sync_done_clear(SyncDone *done)
{
    g_clear_pointer(&done->state, g_free);
}

/* --- Life cycle --- */

Intake *intake_new(const SyncJob *job)
{
    Intake *intake = g_new0(Intake, 1);
    intake->job = job;
    intake->stagings = g_ptr_array_new_with_free_func((GDestroyNotify)staging_free);
    intake->results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    intake->unreleased = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return intake;
}

void intake_free(Intake *intake)
{
    if (intake == NULL)
        return;
    g_ptr_array_unref(intake->stagings);
    g_ptr_array_unref(intake->results);
    g_hash_table_unref(intake->unreleased);
    g_free(intake);
}

/* --- Reporting --- */

static void report(Intake *intake, SyncResult *result)
{
    intake->job->hooks.result(result, intake->job->hooks.user);
}

/* The policy is part of what is known, so that a pack is looked at again when another one applies. */
static char *tagged_identity(const Intake *intake, const char *identity)
{
    g_assert(strlen(identity) <= INTAKE_IDENTITY_BYTES);
    return g_strdup_printf("%s.%.*s", identity, POLICY_TAG_CHARS, intake->job->policy_hash);
}

/* `identity` is taken over. */
static SyncResult *result_new(const Intake *intake, SyncOutcome outcome, const char *path, char *identity)
{
    SyncResult *result = g_new0(SyncResult, 1);
    MirroredPack *pack = g_new0(MirroredPack, 1);
    pack->path = g_strdup(path);
    pack->source = g_strdup(intake->job->source->name);
    pack->is_private = intake->job->source->is_private;
    pack->policy = intake->job->source->policy;
    pack->fingerprint = g_strdup("");
    pack->publisher = g_strdup("");
    pack->version = g_strdup("");
    pack->published_at = g_strdup("");
    pack->origin = g_strdup("");
    result->outcome = outcome;
    result->identity = identity;
    result->pack = pack;
    return result;
}

void intake_refuse(Intake *intake, const char *path, const char *identity, AcceptRule rule,
                   const char *reason)
{
    SyncResult *result = result_new(intake, OUTCOME_REFUSED, path, tagged_identity(intake, identity));
    result->rule = rule;
    result->reason = g_strdup(reason);
    intake->progress.refused++;
    report(intake, result);
}

void intake_gone(Intake *intake, const char *path)
{
    report(intake, result_new(intake, OUTCOME_GONE, path, g_strdup("")));
}

SyncProgress *intake_progress_of(Intake *intake)
{
    return &intake->progress;
}

void intake_progress(Intake *intake)
{
    intake->job->hooks.progress(&intake->progress, intake->job->hooks.user);
}

void intake_alarm(Intake *intake, const char *kind, const char *reason)
{
    intake->job->hooks.alarm(kind, reason, intake->job->hooks.user);
}

/* --- The batch --- */

static void report_batch(Intake *intake)
{
    for (guint i = 0; i < intake->results->len; i++) {
        const SyncResult *result = g_ptr_array_index(intake->results, i);
        intake->progress.installed += result->outcome == OUTCOME_INSTALLED ? 1 : 0;
        report(intake, g_steal_pointer(&g_ptr_array_index(intake->results, i)));
    }
}

static void mark_new(Intake *intake)
{
    for (guint i = 0; i < intake->results->len; i++) {
        SyncResult *result = g_ptr_array_index(intake->results, i);
        result->is_new = !release_store_has(intake->job->store, result->pack->digest);
    }
}

gboolean intake_flush(Intake *intake, GError **error)
{
    if (intake->stagings->len == 0)
        return TRUE;
    SyncPhase before = intake->progress.phase;
    intake->progress.phase = SYNC_PHASE_INSTALL;
    intake_progress(intake);
    mark_new(intake);
    gboolean installed = release_store_install(intake->job->store, intake->stagings, error);
    if (installed)
        report_batch(intake);
    g_ptr_array_set_size(intake->stagings, 0);
    g_ptr_array_set_size(intake->results, 0);
    intake->batch_bytes = 0;
    intake->progress.phase = before;
    intake_progress(intake);
    return installed;
}

static gboolean batch_is_due(const Intake *intake)
{
    return intake->stagings->len > 0 &&
           (intake->stagings->len >= INTAKE_BATCH_PACKS || intake->batch_bytes >= INTAKE_BATCH_BYTES ||
            g_get_monotonic_time() - intake->batch_began_us >= INTAKE_BATCH_MS * G_TIME_SPAN_MILLISECOND);
}

static gboolean flush_if_due(Intake *intake, GError **error)
{
    return !batch_is_due(intake) || intake_flush(intake, error);
}

static void batch_add(Intake *intake, Staging *staging, SyncResult *result, guint64 bytes)
{
    if (intake->stagings->len == 0)
        intake->batch_began_us = g_get_monotonic_time();
    g_ptr_array_add(intake->stagings, staging);
    g_ptr_array_add(intake->results, result);
    intake->batch_bytes += bytes;
}

/* --- Judging --- */

/* FALSE when what is held cannot be read. */
static gboolean judge(const Intake *intake, IntakeCase *pack, AcceptVerdict *ret, GError **error)
{
    const SyncJob *job = intake->job;
    g_autoptr(MirroredPack) held = NULL;
    gboolean has_source = TRUE;
    if (!mirror_db_held(job->db, pack->path, job->source->is_private, &held, error) ||
        (held != NULL && !mirror_db_has_source(job->db, held->source, &has_source, error)))
        return FALSE;
    pack->source = job->source;
    pack->trust = job->trust;
    pack->held = held;
    pack->held_is_orphan = !has_source;
    pack->now = g_get_real_time() / G_USEC_PER_SEC;
    intake_judge(pack, ret);
    return TRUE;
}

/* --- Digests that do not cover everything --- */

static gboolean tables_are_equal(const GArray *a, const GArray *b)
{
    for (guint i = 0; a->len == b->len && i < a->len; i++) {
        const ManifestSigEntry *left = &g_array_index(a, ManifestSigEntry, i);
        const ManifestSigEntry *right = &g_array_index(b, ManifestSigEntry, i);
        if (strcmp(left->name, right->name) != 0 || memcmp(left->sha256, right->sha256, SHA256_BYTES) != 0)
            return FALSE;
    }
    return a->len == b->len;
}

/* What is installed under the digest is this very pack, with the same signature and further files. */
static gboolean is_installed_so(const Intake *intake, const char *hex, const IntakeCase *pack)
{
    g_autoptr(GBytes) sig = NULL;
    g_autofree char *path = g_build_filename(release_store_releases_dir(intake->job->store), hex, NULL);
    g_autoptr(PackContent) content = pack_content_of_directory(path, intake->job->threads, &sig, NULL);
    gboolean same_sig = sig != NULL && pack->sig != NULL ? g_bytes_equal(sig, pack->sig) : sig == pack->sig;
    return content != NULL && same_sig && tables_are_equal(content->files, pack->content->files);
}

static gboolean is_held_with(MirrorDb *db, const char *path, gboolean is_private, const guint8 *digest)
{
    g_autoptr(MirroredPack) held = NULL;
    return mirror_db_held(db, path, is_private, &held, NULL) && held != NULL && !held->withdrawn &&
           memcmp(held->digest, digest, SHA256_BYTES) == 0;
}

/* Another pack, or the private one of the same path, is served from what is installed under the digest. */
static gboolean is_of_others(const Intake *intake, const char *hex, const char *path, const guint8 *digest)
{
    MirrorDb *db = intake->job->db;
    gboolean is_private = intake->job->source->is_private;
    const char *here = g_hash_table_lookup(intake->unreleased, hex);
    g_autoptr(GPtrArray) paths = mirror_db_paths_of(db, digest, NULL);
    if (paths == NULL || (here != NULL && strcmp(here, path) != 0))
        return TRUE;
    for (guint i = 0; i < paths->len; i++) {
        const char *other = g_ptr_array_index(paths, i);
        if (is_held_with(db, other, !is_private, digest) ||
            (strcmp(other, path) != 0 && is_held_with(db, other, is_private, digest)))
            return TRUE;
    }
    return FALSE;
}

static gboolean is_accepted(const AcceptVerdict *verdict)
{
    return verdict->rule == ACCEPT_OK || verdict->rule == ACCEPT_WITHDRAWN;
}

/* The digest of a release covers everything but who signed it. */
static gboolean is_installed_with_sig(const Intake *intake, const AcceptVerdict *verdict, GBytes *sig)
{
    g_autoptr(GBytes) installed = NULL;
    return release_store_read_sig(intake->job->store, verdict->digest, &installed, NULL) &&
           installed != NULL && g_bytes_equal(installed, sig);
}

/* Without a signed release the digest covers manifest and pages, with one everything but the key; packs of
 * one digest share a directory. So what else is in it (the signature of a new key, a picture) is replaced
 * with the pack that it belongs to, and never under another one, least of all a private one under a public
 * one. FALSE when the store fails. */
static gboolean settle_installed(Intake *intake, const IntakeCase *pack, Staging *staging,
                                 AcceptVerdict *verdict, GError **error)
{
    char hex[SHA256_HEX_CHARS + 1];
    if (!is_accepted(verdict))
        return TRUE;
    hex_encode(verdict->digest, SHA256_BYTES, hex);
    if (!verdict->has_release && g_hash_table_contains(intake->unreleased, hex) &&
        !intake_flush(intake, error))
        return FALSE;
    if (release_store_has(intake->job->store, verdict->digest) &&
        !(verdict->has_release ? is_installed_with_sig(intake, verdict, pack->sig)
                               : is_installed_so(intake, hex, pack))) {
        if (is_of_others(intake, hex, pack->path, verdict->digest)) {
            verdict->rule = ACCEPT_CONFLICT;
            g_free(verdict->reason);
            verdict->reason =
                g_strdup("another pack has the same pages with another signature or other files "
                         "beside them; sign both as releases");
            return TRUE;
        }
        staging_set_replacing(staging);
    }
    if (!verdict->has_release)
        g_hash_table_replace(intake->unreleased, g_strdup(hex), g_strdup(pack->path));
    return TRUE;
}

static void take_verdict(MirroredPack *pack, AcceptVerdict *verdict, const char *origin)
{
    memcpy(pack->digest, verdict->digest, SHA256_BYTES);
    memcpy(pack->content_sha256, verdict->content_sha256, SHA256_BYTES);
    g_free(pack->fingerprint);
    g_free(pack->publisher);
    g_free(pack->version);
    g_free(pack->published_at);
    g_free(pack->origin);
    pack->fingerprint = g_strdup(verdict->fingerprint);
    pack->publisher = g_steal_pointer(&verdict->signer_name);
    pack->version = g_steal_pointer(&verdict->version);
    pack->published_at = g_steal_pointer(&verdict->published_at);
    pack->origin = g_strdup(origin);
    pack->installed_s = g_get_real_time() / G_USEC_PER_SEC;
}

static SyncResult *accepted_result(const Intake *intake, const char *path, const char *identity,
                                   const char *origin, AcceptVerdict *verdict)
{
    gboolean withdrawn = verdict->rule == ACCEPT_WITHDRAWN;
    SyncResult *result = result_new(intake, withdrawn ? OUTCOME_WITHDRAWN : OUTCOME_INSTALLED, path,
                                    tagged_identity(intake, identity));
    take_verdict(result->pack, verdict, origin);
    result->pack->withdrawn = withdrawn;
    return result;
}

/* Of a tombstone nothing is kept but what proves it: what a publisher withdraws should be gone, and whoever
 * mirrors us asks for the signature alone. */
static Staging *stage_tombstone(const Intake *intake, const char *path, GBytes *sig, GError **error)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(sig, &len);
    g_autoptr(Staging) staging = staging_new(intake->job->store, path, error);
    if (staging == NULL || !staging_add(staging, "manifest.sig", data, len, error))
        return NULL;
    return g_steal_pointer(&staging);
}

gboolean intake_withdraw(Intake *intake, const char *path, const char *origin, GBytes *sig, gboolean *ret,
                         GError **error)
{
    g_auto(AcceptVerdict) verdict = {0};
    IntakeCase pack = {.path = path, .sig = sig};
    char identity[SHA256_HEX_CHARS + 1];
    *ret = FALSE;
    if (!intake_in_time(intake, error))
        return FALSE;
    /* Without a look at signatures there are no tombstones. */
    if (intake->job->source->policy == PACK_POLICY_OFF)
        return TRUE;
    if (!judge(intake, &pack, &verdict, error))
        return FALSE;
    if (verdict.rule != ACCEPT_WITHDRAWN)
        return TRUE;
    g_autoptr(Staging) staging = stage_tombstone(intake, path, sig, error);
    if (staging == NULL || !settle_installed(intake, &pack, staging, &verdict, error))
        return FALSE;
    *ret = verdict.rule == ACCEPT_WITHDRAWN;
    if (!*ret)
        return TRUE;
    hex_encode(verdict.digest, SHA256_BYTES, identity);
    staging_set_digest(staging, verdict.digest);
    batch_add(intake, g_steal_pointer(&staging), accepted_result(intake, path, identity, origin, &verdict),
              g_bytes_get_size(sig));
    return flush_if_due(intake, error);
}

gboolean intake_offer(Intake *intake, const char *path, const char *identity, const char *origin,
                      Staging *staging, const guint8 *expected_digest, GError **error)
{
    g_autoptr(Staging) owned = staging;
    g_autoptr(GBytes) sig = NULL;
    g_auto(AcceptVerdict) verdict = {0};
    if (!intake_in_time(intake, error))
        return FALSE;
    g_autoptr(PackContent) content = staging_content(staging, intake->job->threads, &sig, error);
    IntakeCase pack = {.path = path, .content = content, .sig = sig, .expected_digest = expected_digest};
    if (content == NULL || !judge(intake, &pack, &verdict, error))
        return FALSE;
    if (verdict.rule == ACCEPT_WITHDRAWN) {
        staging_free(owned);
        staging = owned = stage_tombstone(intake, path, sig, error);
    }
    if (owned == NULL || !settle_installed(intake, &pack, owned, &verdict, error))
        return FALSE;
    if (is_accepted(&verdict)) {
        staging_set_digest(staging, verdict.digest);
        SyncResult *result = accepted_result(intake, path, identity, origin, &verdict);
        batch_add(intake, g_steal_pointer(&owned), result, content->bytes);
    } else {
        intake_refuse(intake, path, identity, verdict.rule, verdict.reason);
    }
    return flush_if_due(intake, error);
}

Staging *intake_stage(Intake *intake, const char *path, GError **error)
{
    if (!intake_in_time(intake, error) || !flush_if_due(intake, error))
        return NULL;
    return staging_new(intake->job->store, path, error);
}

/* --- Queries --- */

/* What is held at the path, whoever brought it, is in the store or needs not be. */
static gboolean held_is_there(const Intake *intake, const char *path)
{
    const SyncJob *job = intake->job;
    g_autoptr(MirroredPack) held = NULL;
    return mirror_db_held(job->db, path, job->source->is_private, &held, NULL) && held != NULL &&
           (held->withdrawn || release_store_has(job->store, held->digest));
}

gboolean intake_knows(Intake *intake, const char *path, const char *identity)
{
    const SyncJob *job = intake->job;
    g_autofree char *known = NULL;
    g_autofree char *tagged = tagged_identity(intake, identity);
    SyncOutcome outcome = OUTCOME_GONE;
    AcceptRule rule = ACCEPT_OK;
    if (job->full || !mirror_db_known(job->db, job->source->name, path, &known, &outcome, &rule, NULL) ||
        g_strcmp0(known, tagged) != 0 || outcome == OUTCOME_GONE)
        return FALSE;
    return outcome != OUTCOME_INSTALLED || held_is_there(intake, path);
}

gboolean intake_in_time(const Intake *intake, GError **error)
{
    if (g_get_monotonic_time() < intake->job->deadline_us)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY, "out of time; it goes on with the next sync");
    return FALSE;
}
