/* SPDX-License-Identifier: MIT
 *
 * What an intake makes of a staged pack: the acceptance rules (signing/release.h) with what is held at its
 * path, then the policy of the source as pack_judge.h has it, then who may replace whom. Pure: no I/O, no
 * clock.
 *
 *   what is held            what may replace it
 *   ----------------------  --------------------------------------------------------------------------
 *   nothing                 whatever policy serves
 *   signed, by a key that   newer releases of the same key; another trusted key, when its trust entry
 *   the operator trusts     names the path
 *   signed, by a key that   newer releases of the same key; every trusted key
 *   was only tolerated
 *   unsigned                whatever is signed by a trusted key; what else policy serves only from the
 *                           source that brought it
 *
 * A path whose source was removed is held by nobody in the sense of the last line. What has the digest of
 * what is held is accepted from anywhere: it replaces nothing.
 */
#pragma once

#include "mirror/agent/source.h"
#include "mirror/store/mirror_db.h"

typedef struct {
    const MirrorSource *source;
    const TrustList *trust;
    const char *path;
    const PackContent *content;    /* NULL: only what the signature and what is held say is judged; then
                                      `expected_digest` is given, and believed of what is unsigned */
    GBytes *sig;                   /* manifest.sig; NULL: there is none */
    const guint8 *expected_digest; /* that was promised; NULL: none */
    const MirroredPack *held;      /* at the path, in the name space of the source; NULL: nothing */
    gboolean held_is_orphan;       /* its source is not there any more */
    gint64 now;                    /* Unix seconds */
} IntakeCase;

/* Fills `ret`, which the caller clears. ACCEPT_OK: to be installed under ret->digest; ACCEPT_WITHDRAWN: a
 * tombstone to be remembered; everything else: refused because of ret->reason. When it is accepted,
 * ret->fingerprint is "" for what counts as unsigned. */
void intake_judge(const IntakeCase *pack, AcceptVerdict *ret);
