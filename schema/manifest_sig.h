/* SPDX-License-Identifier: MIT
 *
 * manifest.sig: the signature of a publisher over a pack, as a struct, and the exact bytes that are signed.
 *
 * The file is JSON. OCC's part signs the hash of manifest.yaml and of every listed page; Kontor's signer adds
 * "release" and "release_signature_b64", which OCC Nodes ignore and which bind path, version, date and all
 * other files (docs/formats.md). Unknown members at the top are ignored, as OCC software does; unknown
 * members of "release" are refused, because they would be signed and not understood.
 *
 * Reading checks form only: kinds, lengths, 64 lower-case hexadecimal digits per hash, no name twice. Whether
 * a signature, fingerprint or hash is true is for signing/ to say, which also decodes the base64 kept here as
 * text. Names of pages are any text: compare them with names that are already known to be safe, never open a
 * file by one. The path and the file names of a release have passed pack_path_check().
 *
 * A ManifestSig read from a file is not changed any more and may be used from any thread; a signer fills one
 * itself, with its tables sorted by manifest_sig_table_sort().
 */
#pragma once

#include "schema/error.h"

#define MANIFEST_SIG_HASH_BYTES 32 /* SHA-256 */

/* A file and its hash. */
typedef struct {
    char *name; /* relative: of a page to wiki/, of a release's file to the pack */
    guint8 sha256[MANIFEST_SIG_HASH_BYTES];
} ManifestSigEntry;

/* What Kontor's signer adds. */
typedef struct {
    char *path;                                     /* the pack's slash path */
    char *version;                                  /* text; its order is decided elsewhere */
    char *published_at;                             /* YYYY-MM-DDTHH:MM:SSZ, a real time */
    guint8 content_sha256[MANIFEST_SIG_HASH_BYTES]; /* of the OCC part's signed bytes, as claimed */
    GArray *files;      /* of ManifestSigEntry, sorted: every file outside OCC's part */
    gboolean withdrawn; /* a tombstone */
} ManifestSigRelease;

typedef struct {
    char *alg;                /* "ed25519"; any other text is left to the verifier to refuse */
    char *signer_name;        /* not signed; "" when absent */
    char *signer_pubkey_b64;  /* as written */
    char *signer_fingerprint; /* as written */
    char *signed_at;          /* not signed; "" when absent */
    guint8 manifest_sha256[MANIFEST_SIG_HASH_BYTES];
    GArray *pages;               /* of ManifestSigEntry, sorted by name */
    char *signature_b64;         /* as written */
    ManifestSigRelease *release; /* or NULL */
    char *release_signature_b64; /* not NULL exactly when `release` is not */
} ManifestSig;

/* --- Life cycle --- */

/* Reads `len` bytes (≤ LIMIT_MANIFEST_SIG_BYTES). NULL with MALFORMED or LIMIT; messages name the member by
 * its JSON pointer. */
ManifestSig *manifest_sig_parse(const void *data, gsize len, GError **error);
/* All texts "", no pages, no release. */
ManifestSig *manifest_sig_new(void);
void manifest_sig_free(ManifestSig *sig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ManifestSig, manifest_sig_free)

/* A new, empty table that owns its entries' names. */
GArray *manifest_sig_table_new(void);
ManifestSigRelease *manifest_sig_release_new(void);
void manifest_sig_release_free(ManifestSigRelease *release);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ManifestSigRelease, manifest_sig_release_free)

/* --- Operations --- */

void manifest_sig_table_add(GArray *table, const char *name, const guint8 sha256[MANIFEST_SIG_HASH_BYTES]);
/* Sorts by name in code point order, which look-up and signing rely on. */
void manifest_sig_table_sort(GArray *table);

/* --- Queries --- */

/* The entry of that name in a sorted table, or NULL. */
const ManifestSigEntry *manifest_sig_table_find(const GArray *table, const char *name);

/* The bytes that OCC's signature covers: canonical JSON of {"manifest_sha256","pages"}. Their SHA-256 is the
 * content_sha256 of the pack. `pages` is sorted and has no name twice (asserted); names are UTF-8. */
GBytes *manifest_sig_content_bytes(const guint8 manifest_sha256[MANIFEST_SIG_HASH_BYTES],
                                   const GArray *pages);
/* The bytes that the release signature covers, after its label: canonical JSON of "release". */
GBytes *manifest_sig_release_bytes(const ManifestSigRelease *release);
