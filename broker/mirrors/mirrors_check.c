/* SPDX-License-Identifier: MIT
 *
 * The agent reads what strangers send, so its word is not enough for what outlives it: which version of a
 * path is held, from whom, and what was withdrawn. Everything that it says of an accepted release or
 * tombstone is looked up where it can be: the configuration says which paths a source may bring, the
 * manifest.sig in the store what was signed, the trust list and mirror.db who may have the path, by the rules
 * that the agent itself has (intake_judge). Whether the files are those that were signed the publisher finds
 * out, who hashes them before they are served.
 *
 * An honest agent can be overtaken: by a new trust list, or by a release that another source brought. What it
 * accepted then becomes a refusal. What cannot be explained so ends it.
 */
#include <string.h>

#include "broker/mirrors/mirrors_internal.h"
#include "broker/serve/trust_file.h"
#include "mirror/agent/intake_judge.h"
#include "schema/limits.h"

/* Returns FALSE always. */
static gboolean call_liar(const SyncResult *result, const char *what, GError **error)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "mirror agent: pack '%s': %s",
                result->pack->path, what);
    return FALSE;
}

static gboolean is_accepted(const SyncResult *result)
{
    return result->outcome == OUTCOME_INSTALLED || result->outcome == OUTCOME_WITHDRAWN;
}

static void replace_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

/* --- One release --- */

static void make_refusal(SyncResult *result, AcceptRule rule, const char *reason)
{
    result->outcome = OUTCOME_REFUSED;
    result->pack->withdrawn = FALSE;
    result->rule = rule;
    replace_text(&result->reason, reason);
}

/* Compares what was said with what was signed. */
static gboolean take_verdict(SyncResult *result, const AcceptVerdict *verdict, GError **error)
{
    MirroredPack *pack = result->pack;
    AcceptRule expected = result->outcome == OUTCOME_WITHDRAWN ? ACCEPT_WITHDRAWN : ACCEPT_OK;
    if (verdict->rule == ACCEPT_OK || verdict->rule == ACCEPT_WITHDRAWN) {
        if (verdict->rule != expected)
            return call_liar(result, "a release is no tombstone, nor the other way round", error);
    } else if (verdict->rule == ACCEPT_HASH) {
        return call_liar(result, "the release in the store has another digest", error);
    } else {
        make_refusal(result, verdict->rule, verdict->reason);
        return TRUE;
    }
    if (strcmp(pack->fingerprint, verdict->fingerprint) != 0 ||
        strcmp(pack->version, verdict->version) != 0 ||
        strcmp(pack->published_at, verdict->published_at) != 0)
        return call_liar(result, "its publisher, version or date is not that of manifest.sig", error);
    replace_text(&pack->publisher, verdict->signer_name);
    memcpy(pack->content_sha256, verdict->content_sha256, SHA256_BYTES);
    return TRUE;
}

static gboolean judge(Mirrors *mirrors, const TrustList *trust, GBytes *sig, SyncResult *result,
                      GError **error)
{
    g_autoptr(MirroredPack) held = NULL;
    g_auto(AcceptVerdict) verdict = {0};
    gboolean has_source = TRUE;
    const MirroredPack *pack = result->pack;
    if (!mirror_db_held(mirrors->db, pack->path, pack->is_private, &held, error) ||
        (held != NULL && !mirror_db_has_source(mirrors->db, held->source, &has_source, error)))
        return FALSE;
    IntakeCase offered = {.source = mirrors->turn.source,
                          .trust = trust,
                          .path = pack->path,
                          .sig = sig,
                          .expected_digest = pack->digest,
                          .held = held,
                          .held_is_orphan = !has_source,
                          .now = g_get_real_time() / G_USEC_PER_SEC};
    intake_judge(&offered, &verdict);
    return take_verdict(result, &verdict, error);
}

static gboolean check_accepted(Mirrors *mirrors, const TrustList *trust, SyncResult *result, GError **error)
{
    g_autoptr(GBytes) sig = NULL;
    g_autoptr(GError) cause = NULL;
    if (release_store_read_sig(mirrors->store, result->pack->digest, &sig, &cause))
        return judge(mirrors, trust, sig, result, error);
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
        return call_liar(result, "the release is not in the store", error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* --- All --- */

/* What is held is looked up before any of them is applied, so one path may not come from two publishers. */
static gboolean is_repeated(GHashTable *seen, const SyncResult *result)
{
    const MirroredPack *before = g_hash_table_lookup(seen, result->pack->path);
    g_hash_table_replace(seen, result->pack->path, result->pack);
    return before != NULL && strcmp(before->fingerprint, result->pack->fingerprint) != 0;
}

static gboolean check_one(Mirrors *mirrors, const TrustList *trust, GHashTable *seen, SyncResult *result,
                          GError **error)
{
    /* What the configuration excludes by now may be gone, and nothing else. */
    if (result->outcome == OUTCOME_GONE)
        return TRUE;
    if (!source_wants(mirrors->turn.source, result->pack->path))
        return call_liar(result, "the source is not to bring that path", error);
    if (++mirrors->turn.results > LIMIT_SYNC_RESULTS)
        return call_liar(result, "too many results of one sync", error);
    if (!is_accepted(result))
        return TRUE;
    if (is_repeated(seen, result))
        return call_liar(result, "comes from two publishers at once", error);
    return check_accepted(mirrors, trust, result, error);
}

gboolean mirrors_check(Mirrors *mirrors, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(TrustList) trust = trust_file_read(mirrors->config->trust_file, error);
    if (trust == NULL)
        return FALSE;
    for (guint i = 0; i < mirrors->results->len; i++)
        if (!check_one(mirrors, trust, seen, g_ptr_array_index(mirrors->results, i), error))
            return FALSE;
    return TRUE;
}
