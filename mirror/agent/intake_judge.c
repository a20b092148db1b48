/* SPDX-License-Identifier: MIT */
#include "mirror/agent/intake_judge.h"

#include <string.h>

static void refuse(AcceptVerdict *verdict, AcceptRule rule, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void refuse(AcceptVerdict *verdict, AcceptRule rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(verdict->reason);
    verdict->reason = g_strdup_vprintf(format, args);
    verdict->rule = rule;
    va_end(args);
}

/* --- Where packs may stand --- */

/* What no scan of a directory or repository looks into: a pack there would stand among the files of another
 * one. */
static gboolean stands_inside_a_pack(const char *path)
{
    g_auto(GStrv) segments = g_strsplit(path, "/", -1);
    for (guint i = 0; segments[i] != NULL; i++)
        if (segments[i][0] == '.' || strcmp(segments[i], "wiki") == 0 || strcmp(segments[i], "raw") == 0)
            return TRUE;
    return FALSE;
}

/* --- What is held --- */

static gboolean held_is_signed(const IntakeCase *pack)
{
    return pack->held != NULL && *pack->held->fingerprint != '\0';
}

/* Nobody in the trust list stands behind it: policy let it pass because the signature fits. */
static gboolean held_is_tolerated(const IntakeCase *pack)
{
    return held_is_signed(pack) && pack->held->policy != PACK_POLICY_REQUIRED &&
           trust_list_find(pack->trust, pack->held->fingerprint) == NULL;
}

static gboolean held_by_same_key(const IntakeCase *pack, const AcceptVerdict *verdict)
{
    return held_is_signed(pack) && strcmp(pack->held->fingerprint, verdict->fingerprint) == 0;
}

static gboolean held_has_digest(const IntakeCase *pack, const guint8 *digest)
{
    return pack->held != NULL && !pack->held->withdrawn &&
           memcmp(pack->held->digest, digest, SHA256_BYTES) == 0;
}

/* --- The rules of signing/release.h --- */

static AcceptInput accept_input(const IntakeCase *pack, HeldRelease *held)
{
    AcceptInput input = {.path = pack->path,
                         .content = pack->content,
                         .trust = pack->trust,
                         .now = pack->now,
                         .require_release = pack->source->require_release};
    if (pack->sig != NULL)
        accept_input_set_sig(&input, pack->sig);
    if (!held_is_signed(pack))
        return input;
    *held = (HeldRelease){.fingerprint = pack->held->fingerprint,
                          .version = pack->held->version,
                          .published_at = pack->held->published_at};
    memcpy(held->digest, pack->held->digest, SHA256_BYTES);
    input.held = held;
    return input;
}

/* Whoever is trusted need not respect what was only tolerated. */
static void take_from_tolerated(const AcceptInput *input, AcceptVerdict *verdict)
{
    AcceptInput free_path = *input;
    g_auto(AcceptVerdict) second = {0};
    free_path.held = NULL;
    if (!release_accept(&free_path, &second))
        return;
    accept_verdict_clear(verdict);
    *verdict = second;
    second = (AcceptVerdict){0};
}

/* --- What policy tolerates --- */

/* Neither an unsigned pack nor one by a key that nobody trusts may take a path from another source. */
static gboolean may_have_path(const IntakeCase *pack, AcceptVerdict *verdict)
{
    const MirroredPack *held = pack->held;
    if (held == NULL || held->withdrawn || pack->held_is_orphan || held_by_same_key(pack, verdict) ||
        held_has_digest(pack, verdict->digest) || strcmp(held->source, pack->source->name) == 0)
        return TRUE;
    refuse(verdict, ACCEPT_HIJACK, "the path is held from source '%s', and only a trusted key can take it",
           held->source);
    return FALSE;
}

/* Without a signature nobody has looked at what is there yet. */
static gboolean content_is_pack(const IntakeCase *pack, AcceptVerdict *verdict)
{
    g_autoptr(GError) error = NULL;
    if (!pack_content_check(pack->content, &error))
        refuse(verdict, ACCEPT_LIMITS, "%s", error->message);
    else if (!pack->content->has_manifest)
        refuse(verdict, ACCEPT_FORM, "manifest.yaml: missing");
    else if (manifest_sig_table_find(pack->content->pages, "index.md") == NULL)
        refuse(verdict, ACCEPT_FORM, "wiki/index.md: missing");
    else
        return TRUE;
    return FALSE;
}

/* What counts as unsigned claims nothing: no publisher, no version. */
static void judge_unsigned(const IntakeCase *pack, AcceptVerdict *verdict)
{
    accept_verdict_clear(verdict);
    *verdict =
        (AcceptVerdict){.signer_name = g_strdup(""), .version = g_strdup(""), .published_at = g_strdup("")};
    if (pack->content != NULL && !content_is_pack(pack, verdict))
        return;
    if (pack->content != NULL)
        pack_content_sha256(pack->content, verdict->content_sha256);
    else
        memcpy(verdict->content_sha256, pack->expected_digest, SHA256_BYTES);
    memcpy(verdict->digest, verdict->content_sha256, SHA256_BYTES);
    if (held_is_signed(pack))
        refuse(verdict, ACCEPT_HIJACK, "the path belongs to publisher %s, and the pack is not signed",
               pack->held->fingerprint);
    else
        may_have_path(pack, verdict);
}

static void judge_tolerated(const IntakeCase *pack, AcceptVerdict *verdict)
{
    if (!may_have_path(pack, verdict))
        return;
    verdict->rule = ACCEPT_OK;
    g_clear_pointer(&verdict->reason, g_free);
}

static void judge_preferred(const IntakeCase *pack, const AcceptInput *input, AcceptVerdict *ret)
{
    pack_judge_accept(input, ret);
    if (ret->rule == ACCEPT_UNSIGNED)
        judge_unsigned(pack, ret);
    else if (pack_judge_tolerates(ret->rule))
        judge_tolerated(pack, ret);
    else if (ret->rule == ACCEPT_WITHDRAWN && !held_by_same_key(pack, ret)) {
        /* A tombstone takes away: whoever is merely tolerated may do so with what is his own. */
        accept_verdict_clear(ret);
        release_accept(input, ret);
    } else if (ret->rule == ACCEPT_HIJACK && held_is_tolerated(pack)) {
        take_from_tolerated(input, ret);
    }
}

static void judge_required(const IntakeCase *pack, const AcceptInput *input, AcceptVerdict *ret)
{
    release_accept(input, ret);
    if (ret->rule == ACCEPT_HIJACK && held_is_tolerated(pack))
        take_from_tolerated(input, ret);
}

/* --- Promises --- */

/* Where policy looks at no signature, the digest that was promised may still be that of a release of this
 * very content. */
static gboolean is_claimed_release(const AcceptInput *input, const guint8 *content_sha256,
                                   const guint8 *expected)
{
    g_auto(AcceptVerdict) claim = {0};
    release_accept(input, &claim);
    return claim.has_release && memcmp(claim.digest, expected, SHA256_BYTES) == 0 &&
           memcmp(claim.content_sha256, content_sha256, SHA256_BYTES) == 0;
}

static void keep_promise(const IntakeCase *pack, const AcceptInput *input, AcceptVerdict *verdict)
{
    if (pack->expected_digest == NULL || memcmp(verdict->digest, pack->expected_digest, SHA256_BYTES) == 0)
        return;
    if (pack->source->policy == PACK_POLICY_OFF &&
        is_claimed_release(input, verdict->content_sha256, pack->expected_digest))
        return;
    char is[SHA256_HEX_CHARS + 1], promised[SHA256_HEX_CHARS + 1];
    hex_encode(verdict->digest, SHA256_BYTES, is);
    hex_encode(pack->expected_digest, SHA256_BYTES, promised);
    refuse(verdict, ACCEPT_HASH, "its digest is %.12s…, but %.12s… was promised", is, promised);
}

void intake_judge(const IntakeCase *pack, AcceptVerdict *ret)
{
    HeldRelease held;
    AcceptInput input = accept_input(pack, &held);
    *ret = (AcceptVerdict){0};
    switch (pack->source->policy) {
    case PACK_POLICY_OFF:
        judge_unsigned(pack, ret);
        break;
    case PACK_POLICY_PREFERRED:
        judge_preferred(pack, &input, ret);
        break;
    case PACK_POLICY_REQUIRED:
        judge_required(pack, &input, ret);
        break;
    }
    if (ret->rule == ACCEPT_OK && stands_inside_a_pack(pack->path))
        refuse(ret, ACCEPT_LIMITS, "a pack stands below no 'wiki', 'raw' or name that begins with a dot");
    if (ret->rule == ACCEPT_OK || ret->rule == ACCEPT_WITHDRAWN)
        keep_promise(pack, &input, ret);
}
