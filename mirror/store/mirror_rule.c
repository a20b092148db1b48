/* SPDX-License-Identifier: MIT */
#include "mirror/store/mirror_rule.h"

#include <string.h>

static gboolean is_signed(const MirroredPack *pack)
{
    return pack->fingerprint[0] != '\0';
}

static gboolean same_digest(const MirroredPack *a, const MirroredPack *b)
{
    return memcmp(a->digest, b->digest, SHA256_BYTES) == 0;
}

static MirrorRule refuse(AcceptRule rule, char *reason, AcceptRule *ret_rule, char **ret_reason)
{
    *ret_rule = rule;
    *ret_reason = reason;
    return MIRROR_RULE_REFUSE;
}

/* Nothing says which is newer: what a source brought it may replace, and what nobody brings any more may be
 * replaced by anybody. */
static MirrorRule unless_served_by_another(const MirroredPack *held, const char *source)
{
    return held->withdrawn || strcmp(held->source, source) == 0 ? MIRROR_RULE_TAKE : MIRROR_RULE_KEEP;
}

static MirrorRule rule_for_unsigned(const MirroredPack *held, const char *source, gboolean withdraws,
                                    AcceptRule *ret_rule, char **ret_reason)
{
    if (withdraws)
        return refuse(ACCEPT_UNSIGNED, g_strdup("manifest.sig: missing, so it withdraws nothing"), ret_rule,
                      ret_reason);
    if (held == NULL)
        return MIRROR_RULE_TAKE;
    if (is_signed(held))
        return refuse(ACCEPT_HIJACK,
                      g_strdup_printf("the path belongs to publisher %s, and the pack is not signed",
                                      held->fingerprint),
                      ret_rule, ret_reason);
    return unless_served_by_another(held, source);
}

static MirrorRule refuse_older(const MirroredPack *held, const MirroredPack *offered, AcceptRule *ret_rule,
                               char **ret_reason)
{
    char *reason =
        release_compare_versions(offered->version, held->version) < 0
            ? g_strdup_printf("manifest.sig: version '%s' is older than %s, which is held", offered->version,
                              held->version)
            : g_strdup_printf("manifest.sig: published at %s, before the release of %s that is held",
                              offered->published_at, held->published_at);
    return refuse(ACCEPT_ROLLBACK, reason, ret_rule, ret_reason);
}

static MirrorRule rule_for_same_version(const MirroredPack *held, const MirroredPack *offered,
                                        const char *source, AcceptRule *ret_rule, char **ret_reason)
{
    if (same_digest(held, offered) || offered->version[0] == '\0')
        return unless_served_by_another(held, source);
    return refuse(
        ACCEPT_CONFLICT,
        g_strdup_printf("manifest.sig: version %s is held with another content or date", offered->version),
        ret_rule, ret_reason);
}

MirrorRule mirror_rule(const MirroredPack *held, const MirroredPack *offered, const char *source,
                       gboolean withdraws, AcceptRule *ret_rule, char **ret_reason)
{
    *ret_rule = ACCEPT_OK;
    *ret_reason = NULL;
    if (!is_signed(offered))
        return rule_for_unsigned(held, source, withdraws, ret_rule, ret_reason);
    if (held == NULL || strcmp(held->fingerprint, offered->fingerprint) != 0)
        return MIRROR_RULE_TAKE;
    int order = release_compare_versions(offered->version, held->version);
    if (order < 0 || (order == 0 && strcmp(offered->published_at, held->published_at) < 0))
        return refuse_older(held, offered, ret_rule, ret_reason);
    if (order > 0 || withdraws)
        return MIRROR_RULE_TAKE;
    return rule_for_same_version(held, offered, source, ret_rule, ret_reason);
}
