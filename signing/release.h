/* SPDX-License-Identifier: MIT
 *
 * Releases: what a publisher signs and what everybody checks. docs/formats.md, "Packs and releases". Pure
 * functions of bytes, a trust list and a time: no I/O, no clock, so that the broker's scan, the mirror, the
 * command line and the fuzzers run the same code.
 *
 * PackContent is what somebody found in a pack: names and hashes. It comes from a directory, a download or a
 * git tree. A verdict says what the signature is worth.
 *
 * What belongs to a pack is what brokers serve of it: manifest.yaml, manifest.sig and every file below wiki/
 * whose name has no segment beginning with a dot. Other files beside them (raw/, packs in sub-directories)
 * are neither signed nor checked.
 */
#pragma once

#include "schema/manifest_sig.h"
#include "signing/trust_list.h"

/* What is in a pack. Tables as in manifest_sig.h, sorted. */
typedef struct {
    gboolean has_manifest;
    guint8 manifest_sha256[SHA256_BYTES]; /* of the bytes to be signed or checked */
    GArray *pages; /* ManifestSigEntry: index.md and every existing page that index.md lists (grammar b),
                      relative to wiki/ */
    GArray *files; /* ManifestSigEntry: every other file of the pack but manifest.yaml and manifest.sig,
                      relative to the pack */
    char *version; /* of manifest.yaml; may be "" */
    guint64 bytes; /* all files together; 0 when not known */
    char *refused; /* whoever collected this met something that a limit or rule forbids (a file too large, a
                      submodule): one line naming file and rule; NULL when not */
} PackContent;

PackContent *pack_content_new(void);
void pack_content_free(PackContent *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PackContent, pack_content_free)
/* SHA-256 of the bytes that OCC's signature covers: two packs with equal content_sha256 are bit-identical for
 * a Node. */
void pack_content_sha256(const PackContent *content, guint8 ret[SHA256_BYTES]);
/* TRUE when the content keeps the limits and rules for names: `refused` is NULL, at most LIMIT_PACK_FILES
 * files and LIMIT_PACK_BYTES, every name passes pack_path_check, and no two names would be one where case
 * does not count. Otherwise LIMIT or MALFORMED, naming the file. The tables are sorted. */
gboolean pack_content_check(const PackContent *content, GError **error);

/* --- Signing --- */

typedef struct {
    const char *path; /* slash path under which the pack is published */
    const char *signer_name;
    const char *published_at; /* YYYY-MM-DDTHH:MM:SSZ; also signed_at */
    gboolean withdrawn;       /* make a tombstone */
} ReleaseOptions;

/* The bytes of a manifest.sig for the content: indented, ASCII, ending with LF; the same inputs give the same
 * bytes. MALFORMED or LIMIT when something cannot be signed (no manifest, no index.md, a version that is no
 * semantic version, a bad path, name or date, what pack_content_check refuses). */
char *release_sign(const PackContent *content, const ReleaseOptions *options, const SecretKey *key,
                   GError **error);
/* Digest of the release in a parsed manifest.sig: SHA-256 of the canonical release, or the content_sha256
 * when it has none. */
void release_digest(const ManifestSig *sig, guint8 ret[SHA256_BYTES]);

/* --- Verifying --- */

/* Why a release is not accepted; in the order in which the rules are applied. The names (accept_rule_name)
 * are stable: metrics and JSON show them. */
typedef enum {
    ACCEPT_OK,
    ACCEPT_UNSIGNED,          /* no manifest.sig */
    ACCEPT_LIMITS,            /* a limit or a forbidden name */
    ACCEPT_FORM,              /* manifest.sig is malformed, or its algorithm is unknown */
    ACCEPT_FINGERPRINT,       /* signer_fingerprint is not that of signer_pubkey_b64 */
    ACCEPT_UNTRUSTED,         /* the key is in no trust list */
    ACCEPT_REVOKED,           /* trusted once, revoked now */
    ACCEPT_EXPIRED,           /* signed after, or checked after, the entry's `until` */
    ACCEPT_NOT_FOR_PATH,      /* trusted, but not for this path */
    ACCEPT_SIGNATURE,         /* OCC's signature does not fit */
    ACCEPT_NO_RELEASE,        /* policy requires a release and there is none */
    ACCEPT_RELEASE_SIGNATURE, /* the release signature does not fit, or content_sha256 is not that of the
                                 signed content */
    ACCEPT_HASH,              /* a listed file is missing or has another hash */
    ACCEPT_UNLISTED,   /* a page that is not listed; with a release, any file that is not listed (OCC's part
                          does not list everything) */
    ACCEPT_WRONG_PATH, /* the release names another path */
    ACCEPT_ROLLBACK,   /* older than what is held */
    ACCEPT_CONFLICT,   /* the held version with another digest */
    ACCEPT_HIJACK,     /* the path is held from another publisher */
    ACCEPT_WITHDRAWN, /* nothing is wrong, but it is a tombstone: accepted as news, nothing to serve. Last, so
                         that old or foreign tombstones cannot withdraw anything */
    ACCEPT_RULES
} AcceptRule;

const char *accept_rule_name(AcceptRule rule);

/* What is held of the same path already. */
typedef struct {
    const char *fingerprint; /* of its publisher */
    const char *version;
    const char *published_at;
    guint8 digest[SHA256_BYTES];
} HeldRelease;

typedef struct {
    const char *path; /* where the pack stands; NULL: nobody knows, what the release says is believed */
    const void *sig;  /* bytes of manifest.sig, see accept_input_set_sig; NULL = there is none */
    gsize sig_len;
    const PackContent *content; /* NULL: only what the signature alone tells is checked */
    const TrustList *trust;
    gint64 now; /* Unix seconds */
    gboolean require_release;
    const HeldRelease *held; /* NULL: nothing; then rollback, conflict and hijack do not apply */
} AcceptInput;

typedef struct {
    AcceptRule rule;     /* ACCEPT_OK, or the first rule that failed */
    char *reason;        /* one line naming file and rule; NULL when OK */
    gboolean has_signer; /* manifest.sig could be read and holds a key: the next members are set, whatever
                            they are worth */
    PublicKey signer;
    char fingerprint[FINGERPRINT_CHARS + 1];
    char *signer_name;            /* the trust list's name for the key, else what the signature claims */
    gboolean has_release;         /* signed by Kontor's signer */
    char *version, *published_at; /* of the release; "" without one */
    guint8 content_sha256[SHA256_BYTES]; /* of the signed content */
    guint8 digest[SHA256_BYTES];
} AcceptVerdict;

/* Sets `sig` and `sig_len` to borrowed bytes; NULL = there is no manifest.sig. An empty file is one, although
 * the data of empty GBytes are NULL. */
void accept_input_set_sig(AcceptInput *input, GBytes *sig);

/* Applies the rules in order; the first failure decides. Always fills `ret`, which the caller clears. TRUE
 * when accepted (ACCEPT_OK).
 *
 * Held releases: the order is (version by semver, published_at). A release that claims no version is older
 * than any that does, so that nobody can roll back by taking the release part out of a file. A tombstone may
 * have the version of what it withdraws. Another publisher may take over a path only when its trust entry
 * has that very path, without wildcards, among its paths. */
gboolean release_accept(const AcceptInput *input, AcceptVerdict *ret);
/* The order of versions by which it judges: < 0, 0 or > 0. A text that is no semantic version comes before
 * all that are; two such are equal. */
int release_compare_versions(const char *a, const char *b);
void accept_verdict_clear(AcceptVerdict *verdict);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AcceptVerdict, accept_verdict_clear)
