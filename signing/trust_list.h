/* SPDX-License-Identifier: MIT
 *
 * Whom an operator trusts: trusted_publishers.yaml in OCC's format ("publishers:" list of {fingerprint, name,
 * since, note}) with optional members of our own: public_key (base64), until (a day or time after which new
 * signatures of the key are not accepted), revoked (true), paths (globs of pack paths the publisher may
 * sign).
 *
 * As OCC does, entries that are no mappings, have no fingerprint, or whose fingerprint begins with
 * "placeholder" are skipped; so are entries of ours that are wrong (a public key that does not have the
 * fingerprint, a bad date, a bad glob, the same fingerprint again, a member that looks like one of ours
 * misspelt). Each skipped entry is named with its line in `warnings`; the file still loads. Doubt never
 * widens trust: a second entry of a fingerprint that says `revoked: true` revokes the first. Only a file
 * that is no YAML mapping, whose `publishers` is no list, or that exceeds a limit is refused whole. Other
 * unknown members are ignored.
 *
 * docs/formats.md has the format. Immutable after parsing, atomically reference counted.
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

/* --- Life cycle --- */

/* Reads `len` bytes (≤ LIMIT_TRUST_BYTES); `source` names them in messages. Nothing at all, or no
 * `publishers`, is an empty list. MALFORMED, LIMIT or UNSUPPORTED (anchors, aliases, tags) say why the whole
 * file is refused, with its line. */
TrustList *trust_list_parse(const char *source, const void *data, gsize len, GError **error);
TrustList *trust_list_new_empty(void);
TrustList *trust_list_ref(TrustList *list);
void trust_list_unref(TrustList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrustList, trust_list_unref)

/* --- Queries --- */

/* The entry of a lower-case fingerprint, revoked or not, or NULL. */
const TrustEntry *trust_list_find(const TrustList *list, const char *fingerprint);
guint trust_list_count(const TrustList *list);
/* In the order of the file. */
const TrustEntry *trust_list_nth(const TrustList *list, guint index);
/* "FILE:LINE: …" per skipped entry. */
const GPtrArray *trust_list_warnings(const TrustList *list);
/* SHA-256 over what decides verdicts and stands in them (not since, note, order and lines): cached verdicts
 * are valid while it stays the same. */
void trust_list_hash(const TrustList *list, guint8 ret[SHA256_BYTES]);

/* TRUE when the entry has no globs or one of them matches the pack path. */
gboolean trust_entry_allows_path(const TrustEntry *entry, const char *path);
/* TRUE when the glob of pack paths matches the whole path: "*" is any characters within a segment, "**" any
 * characters across segments, "?" one character but "/", everything else itself. "history/" followed by "**"
 * does not match "history". */
gboolean trust_glob_matches(const char *glob, const char *path);

/* --- Parts of an entry, for those who make one --- */

/* Trimmed and in lower case; FALSE when that is no fingerprint. */
gboolean trust_fingerprint_parse(const char *text, char ret[FINGERPRINT_CHARS + 1]);
/* A glob that can match a pack path; otherwise MALFORMED or LIMIT. */
gboolean trust_glob_check(const char *glob, GError **error);
/* "YYYY-MM-DD", which lasts until that day (UTC) is over, or "YYYY-MM-DDTHH:MM:SSZ". */
gboolean trust_until_parse(const char *text, gint64 *ret, GError **error);
/* The shorter of both forms; NULL for G_MAXINT64. */
char *trust_until_print(gint64 until);

/* --- Editing the text of a trust file: everything else, comments included, stays as it is ---
 *
 * Texts are bytes of at most LIMIT_TRUST_BYTES, NUL-terminated. Every result has been read back: it differs
 * in the one entry and in nothing else. UNSUPPORTED when the text is written in a way that cannot be edited
 * safely; errors of trust_list_parse when the text itself is refused. Fingerprints are in lower case. */

/* The text with the entry added at the end; CONFLICT when the fingerprint is there already. An empty text
 * becomes a new file. `line` of the entry is not used. */
char *trust_text_add(const char *text, const TrustEntry *entry, GError **error);
/* Without the entry, wrong ones and repetitions of the fingerprint included; NOT_FOUND. */
char *trust_text_remove(const char *text, const char *fingerprint, GError **error);
/* With `revoked: true` in the entry and its repetitions; NOT_FOUND. */
char *trust_text_revoke(const char *text, const char *fingerprint, GError **error);
