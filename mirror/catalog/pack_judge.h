/* SPDX-License-Identifier: MIT
 *
 * What a scanned pack's signature is worth, and whether policy lets it be served. Pure: everything it needs
 * is in the CatalogPack (hashes of all files, bytes of manifest.sig), so that a new trust list is judged
 * without reading a single file again.
 *
 * Policy "preferred" asks whether a signature fits, not whose it is: an unsigned pack, and one by a key that
 * is unknown, expired or trusted for other paths only, is served with its state shown, provided that the
 * signature fits the files. Everything else that release_accept refuses (a hash or signature that does not
 * fit, a malformed manifest.sig, a revoked key, another path, a tombstone) is not served. "required" serves
 * what is accepted and nothing else. "off" looks at no signature; the digest is then the content_sha256 of
 * what is there.
 *
 * Rollbacks cannot be seen here: the operator lays local packs down and may go back to an older one.
 */
#pragma once

#include "mirror/catalog/catalog.h"

typedef enum { PACK_POLICY_OFF, PACK_POLICY_PREFERRED, PACK_POLICY_REQUIRED } PackPolicy;

typedef struct {
    PackPolicy policy;
    const TrustList *trust;
    gint64 now; /* Unix seconds */
} PackJudgeOptions;

/* The judged copy of a place from a scan with hashes. A new reference. Any thread. */
CatalogPack *pack_judge(CatalogPack *scanned, const PackJudgeOptions *options);
/* The same for an array (of CatalogPack *) with `threads` (≥ 1) threads; the new array has the same order and
 * owns its elements. */
GPtrArray *pack_judge_all(GPtrArray *scanned, const PackJudgeOptions *options, guint threads);
/* release_accept as policy "preferred" needs it. Trust is asked before the signature is checked, but what an
 * unknown key has signed must fit all the same: if it does not, that is the verdict. Fills `ret` in any case;
 * the caller clears it. */
void pack_judge_accept(const AcceptInput *input, AcceptVerdict *ret);
/* TRUE for the rules that say nothing against the signature itself, only whose it is. */
gboolean pack_judge_tolerates(AcceptRule rule);
/* TRUE when both say the same of the same scanned place. */
gboolean pack_judge_same(const CatalogPack *a, const CatalogPack *b);
/* The earliest time after `now` at which a verdict by this list can change by itself, because an entry ends;
 * G_MAXINT64: never. */
gint64 pack_judge_until(const TrustList *trust, gint64 now);
