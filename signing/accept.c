/* SPDX-License-Identifier: MIT
 *
 * Whether a release is accepted. The rules stand in one table, in the order of application; each is a
 * function that returns TRUE when its rule holds and otherwise sets the reason. What does not depend on the
 * rules (parsing, digests) happens before, so that a verdict can say who signed what even when an early rule
 * fails.
 */
#include "signing/release.h"

#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/semver.h"
#include "schema/text.h"
#include "signing/release_label.h"

#include <string.h>

typedef struct {
    const AcceptInput *input;
    AcceptVerdict *verdict;
    ManifestSig *sig; /* NULL: absent or malformed */
    GError *sig_error;
    GBytes *signed_content, *signed_release; /* what the signatures cover; NULL where there is none */
    guint8 signature[ED25519_SIGNATURE_BYTES], release_signature[ED25519_SIGNATURE_BYTES];
    const TrustEntry *entry;
    const char *path; /* where it stands or claims to; NULL: neither is known */
} Trial;

static gboolean refuse(Trial *trial, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean refuse(Trial *trial, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    trial->verdict->reason = g_strdup_vprintf(format, args);
    va_end(args);
    return FALSE;
}

static gboolean refuse_text(Trial *trial, const char *what, const char *text, const char *rule)
{
    g_autofree char *shown = text_for_message(text, strlen(text));
    return refuse(trial, "%s%s: %s", what, shown, rule);
}

/* --- The signature object --- */

static gboolean is_signed(Trial *trial)
{
    return trial->input->sig != NULL || refuse(trial, "manifest.sig: missing");
}

static gboolean keeps_limits(Trial *trial)
{
    g_autoptr(GError) error = NULL;
    if (trial->input->path != NULL && !pack_path_check(trial->input->path, &error))
        return refuse(trial, "%s", error->message);
    if (trial->input->content != NULL && !pack_content_check(trial->input->content, &error))
        return refuse(trial, "%s", error->message);
    if (g_error_matches(trial->sig_error, KONTOR_ERROR, KONTOR_ERROR_LIMIT))
        return refuse(trial, "manifest.sig: %s", trial->sig_error->message);
    return TRUE;
}

static gboolean release_is_well_formed(Trial *trial)
{
    const ManifestSigRelease *release = trial->sig->release;
    Semver version;
    if (release == NULL)
        return TRUE;
    if (!base64_decode_exact(trial->sig->release_signature_b64, trial->release_signature,
                             sizeof trial->release_signature))
        return refuse(trial, "manifest.sig: /release_signature_b64: not 64 bytes in base64");
    return semver_parse(release->version, &version, NULL) ||
           refuse_text(trial, "manifest.sig: /release/version: ", release->version, "no semantic version");
}

static gboolean is_well_formed(Trial *trial)
{
    const ManifestSig *sig = trial->sig;
    if (sig == NULL)
        return refuse(trial, "manifest.sig: %s", trial->sig_error->message);
    if (strcmp(sig->alg, "ed25519") != 0)
        return refuse_text(trial, "manifest.sig: /alg: ", sig->alg, "unknown algorithm");
    if (!trial->verdict->has_signer)
        return refuse(trial, "manifest.sig: /signer_pubkey_b64: not 32 bytes in base64");
    if (!base64_decode_exact(sig->signature_b64, trial->signature, sizeof trial->signature))
        return refuse(trial, "manifest.sig: /signature_b64: not 64 bytes in base64");
    if (manifest_sig_table_find(sig->pages, "index.md") == NULL)
        return refuse(trial, "manifest.sig: /pages: index.md is missing");
    return release_is_well_formed(trial);
}

static gboolean fingerprint_fits(Trial *trial)
{
    return strcmp(trial->sig->signer_fingerprint, trial->verdict->fingerprint) == 0 ||
           refuse_text(trial, "manifest.sig: /signer_fingerprint: ", trial->sig->signer_fingerprint,
                       "is not that of the key");
}

/* --- Trust --- */

static gboolean key_is_that_of_entry(const Trial *trial)
{
    return !trial->entry->has_key || public_key_equal(&trial->entry->public_key, &trial->verdict->signer);
}

static gboolean is_trusted(Trial *trial)
{
    const TrustEntry *entry = trial->entry;
    if (entry == NULL)
        return refuse(trial, "manifest.sig: key %s is not in the trust list", trial->verdict->fingerprint);
    return key_is_that_of_entry(trial) ||
           refuse(trial, "manifest.sig: the trust list has another key of fingerprint %s",
                  trial->verdict->fingerprint);
}

static gboolean is_not_revoked(Trial *trial)
{
    return !trial->entry->revoked ||
           refuse(trial, "manifest.sig: key %s is revoked", trial->verdict->fingerprint);
}

/* When the release says it was signed; G_MININT64 when it does not say. */
static gint64 time_of_signing(const ManifestSig *sig)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(
        sig->release != NULL ? sig->release->published_at : sig->signed_at, NULL);
    return time != NULL ? g_date_time_to_unix(time) : G_MININT64;
}

static gboolean is_not_expired(Trial *trial)
{
    gint64 until = trial->entry->until;
    if (trial->input->now < until && time_of_signing(trial->sig) < until)
        return TRUE;
    g_autofree char *shown = trust_until_print(until);
    return refuse(trial, "manifest.sig: key %s was trusted until %s", trial->verdict->fingerprint, shown);
}

static gboolean is_for_path(Trial *trial)
{
    const TrustEntry *entry = trial->entry;
    if (trial->path == NULL)
        return entry->paths->len == 0 || refuse(trial, "manifest.sig: key %s is trusted for some paths only",
                                                trial->verdict->fingerprint);
    return trust_entry_allows_path(entry, trial->path) ||
           refuse(trial, "manifest.sig: key %s is not trusted for this path", trial->verdict->fingerprint);
}

/* --- Signatures --- */

static gboolean content_signature_fits(Trial *trial)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(trial->signed_content, &len);
    return public_key_verify(&trial->verdict->signer, data, len, trial->signature) ||
           refuse(trial, "manifest.sig: signature does not fit the listed hashes");
}

static gboolean has_required_release(Trial *trial)
{
    return !trial->input->require_release || trial->sig->release != NULL ||
           refuse(trial, "manifest.sig: has no release, which the policy requires");
}

static gboolean release_signature_fits(Trial *trial)
{
    const ManifestSigRelease *release = trial->sig->release;
    if (release == NULL)
        return TRUE;
    gsize len = 0;
    const void *data = g_bytes_get_data(trial->signed_release, &len);
    if (!public_key_verify_labelled(&trial->verdict->signer, RELEASE_LABEL, data, len,
                                    trial->release_signature))
        return refuse(trial, "manifest.sig: release signature does not fit the release");
    return memcmp(release->content_sha256, trial->verdict->content_sha256, SHA256_BYTES) == 0 ||
           refuse(trial, "manifest.sig: release is of another content");
}

/* --- Content --- */

/* Of a tombstone nothing is used, so that nothing needs to be there. */
static gboolean content_matters(const Trial *trial)
{
    return trial->input->content != NULL && (trial->sig->release == NULL || !trial->sig->release->withdrawn);
}

/* Every file that is listed is there and has its hash. */
static gboolean table_fits(Trial *trial, const GArray *listed, const GArray *found, const char *prefix)
{
    for (guint i = 0; i < listed->len; i++) {
        const ManifestSigEntry *want = &g_array_index(listed, ManifestSigEntry, i);
        const ManifestSigEntry *got = manifest_sig_table_find(found, want->name);
        if (got == NULL)
            return refuse_text(trial, prefix, want->name, "listed in manifest.sig and missing");
        if (memcmp(want->sha256, got->sha256, SHA256_BYTES) != 0)
            return refuse_text(trial, prefix, want->name, "hash differs from manifest.sig");
    }
    return TRUE;
}

static gboolean hashes_fit(Trial *trial)
{
    const PackContent *content = trial->input->content;
    const ManifestSig *sig = trial->sig;
    if (!content_matters(trial))
        return TRUE;
    if (!content->has_manifest)
        return refuse(trial, "manifest.yaml: missing");
    if (memcmp(content->manifest_sha256, sig->manifest_sha256, SHA256_BYTES) != 0)
        return refuse(trial, "manifest.yaml: hash differs from manifest.sig");
    return table_fits(trial, sig->pages, content->pages, "wiki/") &&
           (sig->release == NULL || table_fits(trial, sig->release->files, content->files, ""));
}

static gboolean all_listed(Trial *trial, const GArray *found, const GArray *listed, const char *prefix)
{
    for (guint i = 0; i < found->len; i++) {
        const char *name = g_array_index(found, ManifestSigEntry, i).name;
        if (manifest_sig_table_find(listed, name) == NULL)
            return refuse_text(trial, prefix, name, "not listed in manifest.sig");
    }
    return TRUE;
}

static gboolean everything_is_listed(Trial *trial)
{
    const PackContent *content = trial->input->content;
    const ManifestSig *sig = trial->sig;
    if (!content_matters(trial))
        return TRUE;
    return all_listed(trial, content->pages, sig->pages, "wiki/") &&
           (sig->release == NULL || all_listed(trial, content->files, sig->release->files, ""));
}

/* --- Place and history --- */

static gboolean stands_in_its_place(Trial *trial)
{
    const ManifestSigRelease *release = trial->sig->release;
    return release == NULL || trial->input->path == NULL || strcmp(release->path, trial->input->path) == 0 ||
           refuse_text(trial, "manifest.sig: /release/path: ", release->path, "the pack stands elsewhere");
}

static gboolean same_publisher(const Trial *trial)
{
    const HeldRelease *held = trial->input->held;
    return held != NULL && strcmp(held->fingerprint, trial->verdict->fingerprint) == 0;
}

int release_compare_versions(const char *a, const char *b)
{
    Semver version_a, version_b;
    gboolean has_a = semver_parse(a, &version_a, NULL);
    gboolean has_b = semver_parse(b, &version_b, NULL);
    if (!has_a || !has_b)
        return (has_a ? 1 : 0) - (has_b ? 1 : 0);
    return semver_compare(&version_a, &version_b);
}

/* Precedence of the release over what is held: < 0 older, 0 the same version, > 0 newer. */
static int compare_with_held(const Trial *trial)
{
    return release_compare_versions(trial->verdict->version, trial->input->held->version);
}

static gboolean is_not_older(Trial *trial)
{
    const HeldRelease *held = trial->input->held;
    if (!same_publisher(trial))
        return TRUE;
    int order = compare_with_held(trial);
    if (order < 0)
        return refuse(trial, "manifest.sig: version '%s' is older than %s, which is held",
                      trial->verdict->version, held->version);
    return order > 0 || strcmp(trial->verdict->published_at, held->published_at) >= 0 ||
           refuse(trial, "manifest.sig: published at %s, before the release of %s that is held",
                  trial->verdict->published_at, held->published_at);
}

static gboolean contradicts_nothing(Trial *trial)
{
    const ManifestSigRelease *release = trial->sig->release;
    if (!same_publisher(trial) || release == NULL || release->withdrawn || compare_with_held(trial) != 0)
        return TRUE;
    return memcmp(trial->verdict->digest, trial->input->held->digest, SHA256_BYTES) == 0 ||
           refuse(trial, "manifest.sig: version %s is held with another content or date", release->version);
}

static gboolean takes_nothing_over(Trial *trial)
{
    if (trial->input->held == NULL || same_publisher(trial))
        return TRUE;
    for (guint i = 0; trial->path != NULL && i < trial->entry->paths->len; i++) {
        if (strcmp(g_ptr_array_index(trial->entry->paths, i), trial->path) == 0)
            return TRUE;
    }
    return refuse(trial,
                  "manifest.sig: the path belongs to publisher %s, and the trust list does not give it to %s",
                  trial->input->held->fingerprint, trial->verdict->fingerprint);
}

static gboolean is_not_withdrawn(Trial *trial)
{
    return trial->sig->release == NULL || !trial->sig->release->withdrawn ||
           refuse(trial, "withdrawn by its publisher on %s", trial->verdict->published_at);
}

/* --- Verdict --- */

static const struct {
    AcceptRule rule;
    const char *name;
    gboolean (*holds)(Trial *trial);
} rules[] = {
    {ACCEPT_UNSIGNED, "unsigned", is_signed},
    {ACCEPT_LIMITS, "limits", keeps_limits},
    {ACCEPT_FORM, "form", is_well_formed},
    {ACCEPT_FINGERPRINT, "fingerprint", fingerprint_fits},
    {ACCEPT_UNTRUSTED, "untrusted", is_trusted},
    {ACCEPT_REVOKED, "revoked", is_not_revoked},
    {ACCEPT_EXPIRED, "expired", is_not_expired},
    {ACCEPT_NOT_FOR_PATH, "not-for-path", is_for_path},
    {ACCEPT_SIGNATURE, "signature", content_signature_fits},
    {ACCEPT_NO_RELEASE, "no-release", has_required_release},
    {ACCEPT_RELEASE_SIGNATURE, "release-signature", release_signature_fits},
    {ACCEPT_HASH, "hash", hashes_fit},
    {ACCEPT_UNLISTED, "unlisted", everything_is_listed},
    {ACCEPT_WRONG_PATH, "wrong-path", stands_in_its_place},
    {ACCEPT_ROLLBACK, "rollback", is_not_older},
    {ACCEPT_CONFLICT, "conflict", contradicts_nothing},
    {ACCEPT_HIJACK, "hijack", takes_nothing_over},
    {ACCEPT_WITHDRAWN, "withdrawn", is_not_withdrawn},
};
G_STATIC_ASSERT(G_N_ELEMENTS(rules) == ACCEPT_RULES - 1);

const char *accept_rule_name(AcceptRule rule)
{
    g_assert(rule < ACCEPT_RULES);
    return rule == ACCEPT_OK ? "ok" : rules[rule - 1].name;
}

static const char *name_of_signer(const Trial *trial)
{
    gboolean known = trial->entry != NULL && key_is_that_of_entry(trial);
    return known && trial->entry->name != NULL && trial->entry->name[0] != '\0' ? trial->entry->name
                                                                                : trial->sig->signer_name;
}

static void take_signer(Trial *trial)
{
    AcceptVerdict *verdict = trial->verdict;
    verdict->has_signer = base64_decode_exact(trial->sig->signer_pubkey_b64, verdict->signer.bytes,
                                              sizeof verdict->signer.bytes);
    if (!verdict->has_signer)
        return;
    public_key_fingerprint(&verdict->signer, verdict->fingerprint);
    trial->entry = trust_list_find(trial->input->trust, verdict->fingerprint);
    g_free(verdict->signer_name);
    verdict->signer_name = g_strdup(name_of_signer(trial));
}

static void take_release(Trial *trial)
{
    AcceptVerdict *verdict = trial->verdict;
    const ManifestSigRelease *release = trial->sig->release;
    if (trial->path == NULL)
        trial->path = release->path;
    trial->signed_release = manifest_sig_release_bytes(release);
    sha256_of_bytes(trial->signed_release, verdict->digest);
    g_free(verdict->version);
    g_free(verdict->published_at);
    verdict->has_release = TRUE;
    verdict->version = g_strdup(release->version);
    verdict->published_at = g_strdup(release->published_at);
}

static void take_sig(Trial *trial)
{
    trial->path = trial->input->path;
    if (trial->input->sig == NULL)
        return;
    trial->sig = manifest_sig_parse(trial->input->sig, trial->input->sig_len, &trial->sig_error);
    if (trial->sig == NULL)
        return;
    trial->signed_content = manifest_sig_content_bytes(trial->sig->manifest_sha256, trial->sig->pages);
    sha256_of_bytes(trial->signed_content, trial->verdict->content_sha256);
    memcpy(trial->verdict->digest, trial->verdict->content_sha256, SHA256_BYTES);
    take_signer(trial);
    if (trial->sig->release != NULL)
        take_release(trial);
}

static void trial_clear(Trial *trial)
{
    manifest_sig_free(trial->sig);
    g_clear_error(&trial->sig_error);
    g_clear_pointer(&trial->signed_content, g_bytes_unref);
    g_clear_pointer(&trial->signed_release, g_bytes_unref);
}

void accept_input_set_sig(AcceptInput *input, GBytes *sig)
{
    input->sig = sig != NULL ? g_bytes_get_data(sig, &input->sig_len) : NULL;
    if (sig != NULL && input->sig_len == 0)
        input->sig = "";
}

gboolean release_accept(const AcceptInput *input, AcceptVerdict *ret)
{
    *ret =
        (AcceptVerdict){.signer_name = g_strdup(""), .version = g_strdup(""), .published_at = g_strdup("")};
    Trial trial = {.input = input, .verdict = ret};
    take_sig(&trial);
    for (guint i = 0; i < G_N_ELEMENTS(rules) && ret->rule == ACCEPT_OK; i++) {
        g_assert(rules[i].rule == i + 1);
        if (!rules[i].holds(&trial))
            ret->rule = rules[i].rule;
    }
    trial_clear(&trial);
    return ret->rule == ACCEPT_OK;
}

void accept_verdict_clear(AcceptVerdict *verdict)
{
    g_clear_pointer(&verdict->reason, g_free);
    g_clear_pointer(&verdict->signer_name, g_free);
    g_clear_pointer(&verdict->version, g_free);
    g_clear_pointer(&verdict->published_at, g_free);
}
