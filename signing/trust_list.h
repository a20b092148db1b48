/* SPDX-License-Identifier: MIT
 *
 * Whom an operator trusts: trusted_publishers.yaml in OCC's format ("publishers:" list of {fingerprint, name,
 * since, note}) with optional members of our own: public_key (base64), until (a day or time after which new
 * signatures of the key are not accepted), revoked (true), paths (globs of pack paths the publisher may
 * sign).
 *
 * As OCC does, entries that are no mappings, have no fingerprint, or whose fingerprint begins with
 * "placeholder" are skipped; so are entries of ours that are wrong (a public key that does not have the
 * fingerprint, a bad date, a bad glob, the same fingerprint again). Each skipped entry is named with its line
 * in `warnings`; the file still loads. Only a file that is no YAML mapping is refused whole.
 *
 * Immutable after parsing, atomically reference counted.
 */
#pragma once

#include "signing/key.h"

typedef struct {
    char fingerprint[FINGERPRINT_CHARS + 1]; /* lower-case */
    char *name;
    char *since; /* as written; informative */
    char *note;
    gboolean has_key;
    PublicKey public_key; /* when has_key */
    gint64 until;         /* Unix seconds, exclusive; G_MAXINT64 = no end */
    gboolean revoked;
    GPtrArray *paths; /* of char * globs; empty = every path */
    guint line;       /* in the file */
} TrustEntry;

typedef struct TrustList TrustList;

TrustList *trust_list_parse(const char *source, const void *data, gsize len, GError **error);
TrustList *trust_list_new_empty(void);
TrustList *trust_list_ref(TrustList *list);
void trust_list_unref(TrustList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrustList, trust_list_unref)

const TrustEntry *trust_list_find(const TrustList *list, const char *fingerprint);
guint trust_list_count(const TrustList *list);
const TrustEntry *trust_list_nth(const TrustList *list, guint index);
/* "FILE:LINE: …" per skipped entry. */
const GPtrArray *trust_list_warnings(const TrustList *list);
/* SHA-256 over the meaning of the list: cached verdicts are valid while it stays the same. */
void trust_list_hash(const TrustList *list, guint8 ret[SHA256_BYTES]);

/* TRUE when the glob of pack paths matches: "*" within a segment, "**" across segments, "?" one character. */
gboolean trust_glob_matches(const char *glob, const char *path);

/* --- Editing the text of a trust file: everything else, comments included, stays as it is --- */

/* A new text with the entry added at the end; CONFLICT when the fingerprint is there already. An empty text
 * becomes a new file. */
char *trust_text_add(const char *text, const TrustEntry *entry, GError **error);
/* Without the entry; NOT_FOUND. */
char *trust_text_remove(const char *text, const char *fingerprint, GError **error);
/* With `revoked: true` in the entry; NOT_FOUND. */
char *trust_text_revoke(const char *text, const char *fingerprint, GError **error);
