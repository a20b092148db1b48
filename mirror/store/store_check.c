/* SPDX-License-Identifier: MIT
 *
 * The judge is release_accept, with a trust list that holds the very key of the signature: what is asked here
 * is whether the bytes are still those that were installed, and their name answers for whom they were.
 */
#include <string.h>

#include "mirror/store/pack_content.h"
#include "mirror/store/release_store_private.h"

enum { READ_TRIES = 3 };

/* A release that gets linked from while it is read looks changed. */
static PackContent *read_content(const char *directory, guint threads, GBytes **ret_sig, GError **error)
{
    for (guint i = 1;; i++) {
        g_autoptr(GError) cause = NULL;
        PackContent *content = pack_content_of_directory(directory, threads, ret_sig, &cause);
        if (content != NULL)
            return content;
        if (i == READ_TRIES || !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CONFLICT)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
    }
}

/* Bytes that the disk does not give are damage; what the system lacks for the moment is not. */
static gboolean is_damage(const GError *error)
{
    return g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_IO) ||
           g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

static void judge_by(const TrustList *trust, const PackContent *content, GBytes *sig, AcceptVerdict *ret)
{
    AcceptInput input = {.content = content, .trust = trust};
    accept_input_set_sig(&input, sig);
    release_accept(&input, ret);
}

/* The verdict of somebody who trusts whoever signed. */
static gboolean judge(const PackContent *content, GBytes *sig, AcceptVerdict *ret, GError **error)
{
    g_autoptr(TrustList) nobody = trust_list_new_empty();
    g_auto(AcceptVerdict) first = {0};
    judge_by(nobody, content, sig, &first);
    g_autofree char *text = g_strdup_printf("publishers:\n- fingerprint: %s\n", first.fingerprint);
    g_autoptr(TrustList) signer =
        first.has_signer ? trust_list_parse("signer", text, strlen(text), error) : trust_list_ref(nobody);
    if (signer == NULL)
        return FALSE;
    judge_by(signer, content, sig, ret);
    return TRUE;
}

static char *problem_of(const PackContent *content, const AcceptVerdict *verdict,
                        const guint8 digest[SHA256_BYTES])
{
    guint8 content_sha256[SHA256_BYTES];
    char hex[SHA256_HEX_CHARS + 1];
    if (content->refused != NULL)
        return g_strdup(content->refused);
    gboolean is_good = verdict->rule == ACCEPT_OK || verdict->rule == ACCEPT_WITHDRAWN;
    if (is_good && memcmp(verdict->digest, digest, SHA256_BYTES) == 0)
        return NULL;
    pack_content_sha256(content, content_sha256);
    if (memcmp(content_sha256, digest, SHA256_BYTES) == 0)
        return NULL;
    if (verdict->reason != NULL)
        return g_strdup(verdict->reason);
    hex_encode(verdict->digest, SHA256_BYTES, hex);
    return g_strdup_printf("is the release %s", hex);
}

/* Of a tombstone only its signature is kept. */
static gboolean is_tombstone(ReleaseStore *store, const guint8 digest[SHA256_BYTES])
{
    g_autoptr(GBytes) sig = NULL;
    g_auto(AcceptVerdict) verdict = {0};
    return release_store_read_sig(store, digest, &sig, NULL) && sig != NULL &&
           judge(/* content= */ NULL, sig, &verdict, NULL) && verdict.rule == ACCEPT_WITHDRAWN &&
           memcmp(verdict.digest, digest, SHA256_BYTES) == 0;
}

gboolean release_store_check(ReleaseStore *store, const guint8 digest[SHA256_BYTES], guint threads,
                             char **ret_problem, GError **error)
{
    char name[SHA256_HEX_CHARS + 1];
    g_autoptr(GBytes) sig = NULL;
    g_autoptr(GError) cause = NULL;
    g_auto(AcceptVerdict) verdict = {0};
    *ret_problem = NULL;
    release_store_name_of(digest, name);
    g_autofree char *directory = g_build_filename(store->releases_dir, name, NULL);
    g_autoptr(PackContent) content = read_content(directory, threads, &sig, &cause);
    if (content == NULL && is_damage(cause)) {
        *ret_problem = is_tombstone(store, digest) ? NULL : g_strdup(cause->message);
        return TRUE;
    }
    if (content == NULL) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!judge(content, sig, &verdict, error))
        return FALSE;
    *ret_problem = problem_of(content, &verdict, digest);
    return TRUE;
}
