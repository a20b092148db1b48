/* SPDX-License-Identifier: MIT */
#include "mirror/catalog/pack_judge.h"

#include <string.h>

/* --- Content --- */

/* What a Node can get of the place: files without a hash could not be read and count as missing. */
static PackContent *content_of(const CatalogPack *place)
{
    PackContent *content = pack_content_new();
    g_free(content->version);
    content->version = g_strdup(place->version);
    content->refused = g_strdup(place->problem);
    for (guint i = 0; i < place->file_count; i++) {
        const CatalogFile *file = &place->files[i];
        if (!file->has_sha256 || strcmp(file->name, "manifest.sig") == 0)
            continue;
        content->bytes += file->served_size;
        if (strcmp(file->name, "manifest.yaml") == 0) {
            content->has_manifest = TRUE;
            memcpy(content->manifest_sha256, file->sha256, SHA256_BYTES);
        } else if (file->is_listed) {
            manifest_sig_table_add(content->pages, file->name + strlen("wiki/"), file->sha256);
        } else {
            manifest_sig_table_add(content->files, file->name, file->sha256);
        }
    }
    manifest_sig_table_sort(content->pages);
    manifest_sig_table_sort(content->files);
    return content;
}

/* Without a release nothing vouches for files that are no pages, so they do not count. */
static guint64 bytes_covered(const CatalogPack *place, gboolean has_release)
{
    guint64 bytes = 0;
    for (guint i = 0; i < place->file_count; i++) {
        const CatalogFile *file = &place->files[i];
        if (strcmp(file->name, "manifest.sig") == 0)
            continue;
        if (has_release || file->is_listed || strcmp(file->name, "manifest.yaml") == 0)
            bytes += file->served_size;
    }
    return bytes;
}

static void set_content(CatalogRelease *release, const CatalogPack *place, const PackContent *content)
{
    release->has_digest = place->is_pack && content->has_manifest;
    if (!release->has_digest)
        return;
    pack_content_sha256(content, release->content_sha256);
    memcpy(release->digest, release->content_sha256, SHA256_BYTES);
    release->bytes = bytes_covered(place, FALSE);
}

/* --- Verdict --- */

static void accept_input(const CatalogPack *place, const PackContent *content,
                         const PackJudgeOptions *options, AcceptInput *ret)
{
    *ret =
        (AcceptInput){.path = place->path, .content = content, .trust = options->trust, .now = options->now};
    if (place->signature != NULL)
        accept_input_set_sig(ret, place->signature);
}

gboolean pack_judge_tolerates(AcceptRule rule)
{
    return rule == ACCEPT_UNTRUSTED || rule == ACCEPT_EXPIRED || rule == ACCEPT_NOT_FOR_PATH;
}

/* A list that trusts this key for everything. */
static TrustList *list_of_one(const char *fingerprint)
{
    g_autofree char *text = g_strdup_printf("publishers:\n- fingerprint: '%s'\n", fingerprint);
    TrustList *list = trust_list_parse("key", text, strlen(text), NULL);
    g_assert(list != NULL);
    return list;
}

void pack_judge_accept(const AcceptInput *input, AcceptVerdict *ret)
{
    if (release_accept(input, ret) || !pack_judge_tolerates(ret->rule))
        return;
    g_autoptr(TrustList) trusting = list_of_one(ret->fingerprint);
    AcceptInput again = *input;
    g_auto(AcceptVerdict) second = {0};
    again.trust = trusting;
    if (release_accept(&again, &second))
        return;
    accept_verdict_clear(ret);
    *ret = second;
    second = (AcceptVerdict){0};
}

static void take_verdict(CatalogRelease *release, const CatalogPack *place, AcceptVerdict *verdict)
{
    release->is_checked = TRUE;
    release->rule = verdict->rule;
    release->reason = g_steal_pointer(&verdict->reason);
    /* Whose signature does not fit has signed nothing here. */
    if (verdict->rule != ACCEPT_OK && !pack_judge_tolerates(verdict->rule))
        return;
    g_strlcpy(release->fingerprint, verdict->fingerprint, sizeof release->fingerprint);
    g_free(release->publisher);
    release->publisher = g_steal_pointer(&verdict->signer_name);
    if (!verdict->has_release || !release->has_digest)
        return;
    memcpy(release->digest, verdict->digest, SHA256_BYTES);
    release->bytes = bytes_covered(place, TRUE);
    g_free(release->version);
    g_free(release->published_at);
    release->version = g_steal_pointer(&verdict->version);
    release->published_at = g_steal_pointer(&verdict->published_at);
}

static gboolean is_refused(const CatalogRelease *release, PackPolicy policy)
{
    switch (policy) {
    case PACK_POLICY_OFF:
        return FALSE;
    case PACK_POLICY_PREFERRED:
        return release->rule != ACCEPT_OK && release->rule != ACCEPT_UNSIGNED &&
               !pack_judge_tolerates(release->rule);
    case PACK_POLICY_REQUIRED:
        return release->rule != ACCEPT_OK;
    }
    g_assert_not_reached();
}

CatalogPack *pack_judge(CatalogPack *scanned, const PackJudgeOptions *options)
{
    CatalogRelease release = {
        .publisher = g_strdup(""), .version = g_strdup(scanned->version), .published_at = g_strdup("")};
    /* What the scan found wrong stands; there is nothing to be served. */
    if (scanned->problem != NULL)
        return catalog_pack_judged(scanned, &release, NULL);
    g_autoptr(PackContent) content = content_of(scanned);
    set_content(&release, scanned, content);
    g_autofree char *refused = NULL;
    if (options->policy != PACK_POLICY_OFF) {
        AcceptInput input;
        g_auto(AcceptVerdict) verdict = {0};
        accept_input(scanned, content, options, &input);
        pack_judge_accept(&input, &verdict);
        take_verdict(&release, scanned, &verdict);
        if (is_refused(&release, options->policy))
            refused = g_strdup_printf("not served: %s", release.reason);
    }
    return catalog_pack_judged(scanned, &release, refused);
}

/* --- Many --- */

typedef struct {
    GPtrArray *scanned;
    const PackJudgeOptions *options;
    CatalogPack **judged;
    gint next; /* atomic */
} Session;

static gpointer judge_some(gpointer data)
{
    Session *session = data;
    for (;;) {
        guint i = (guint)g_atomic_int_add(&session->next, 1);
        if (i >= session->scanned->len)
            return NULL;
        session->judged[i] = pack_judge(g_ptr_array_index(session->scanned, i), session->options);
    }
}

GPtrArray *pack_judge_all(GPtrArray *scanned, const PackJudgeOptions *options, guint threads)
{
    Session session = {scanned, options, g_new0(CatalogPack *, scanned->len + 1), 0};
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();
    for (guint i = 1; i < MIN(threads, scanned->len); i++) {
        GThread *helper = g_thread_try_new("judge", judge_some, &session, NULL);
        if (helper != NULL)
            g_ptr_array_add(helpers, helper);
    }
    judge_some(&session);
    for (guint i = 0; i < helpers->len; i++)
        g_thread_join(g_ptr_array_index(helpers, i));
    GPtrArray *judged = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    for (guint i = 0; i < scanned->len; i++)
        g_ptr_array_add(judged, session.judged[i]);
    g_free(session.judged);
    return judged;
}

/* --- Queries --- */

gboolean pack_judge_same(const CatalogPack *a, const CatalogPack *b)
{
    const CatalogRelease *left = &a->release, *right = &b->release;
    return a->origin == b->origin && a->refused == b->refused && left->is_checked == right->is_checked &&
           left->rule == right->rule && g_strcmp0(left->reason, right->reason) == 0 &&
           strcmp(left->fingerprint, right->fingerprint) == 0 &&
           g_strcmp0(left->publisher, right->publisher) == 0 &&
           memcmp(left->digest, right->digest, SHA256_BYTES) == 0;
}

gint64 pack_judge_until(const TrustList *trust, gint64 now)
{
    gint64 earliest = G_MAXINT64;
    for (guint i = 0; i < trust_list_count(trust); i++) {
        gint64 until = trust_list_nth(trust, i)->until;
        if (until > now)
            earliest = MIN(earliest, until);
    }
    return earliest;
}
