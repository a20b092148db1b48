/* SPDX-License-Identifier: MIT
 *
 * Read tokens: who may see which private packs. docs/formats.md, "Read tokens".
 *
 *   {"tokens": [{"name": "north", "sha256": "<64 hexadecimal digits>", "paths": ["medicine/?*"],
 *                "created": "2026-11-21T01:41:48Z", "expires": "2027-11-21T00:00:00Z" or null}, …]}
 *
 * A token is "kontor_" and 32 random bytes in base64url. The file knows only its SHA-256, so that whoever
 * reads the file cannot ask with it; 256 random bits need neither salt nor a slow hash.
 *
 * The reader is strict, unknown members included: a misspelt "expires" must not become a token that never
 * ends. A ReadTokens is not changed after it was read or made by read_tokens_with and read_tokens_without;
 * any thread may read it then. Pure but for randomness.
 */
#pragma once

#include "signing/hash.h"

#define READ_TOKEN_PREFIX "kontor_"
#define READ_TOKEN_BYTES 32
#define READ_TOKEN_CHARS (7 + 43) /* of the whole text */

typedef struct {
    char *name; /* of letters, digits, ".", "_" and "-" */
    guint8 sha256[SHA256_BYTES];
    GPtrArray *paths; /* of char *: globs (trust_glob_matches), sorted, distinct, at least one */
    gint64 created;   /* Unix seconds */
    gint64 expires;   /* not good from then on; G_MAXINT64: never */
} ReadToken;

/* Takes the paths over (of char *, in any order, repetitions allowed; NULL or empty: all packs). */
ReadToken *read_token_new(const char *name, GPtrArray *paths, gint64 created, gint64 expires);
void read_token_free(ReadToken *token); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReadToken, read_token_free)
/* TRUE when one of its globs matches the pack path. */
gboolean read_token_allows(const ReadToken *token, const char *path);
/* SHA-256 over its globs: equal for tokens that show the same, whatever comes and goes. */
void read_token_grants_hash(const ReadToken *token, guint8 ret[SHA256_BYTES]);

/* A new text for the token, whose hash is set. To be shown once and wiped. */
char *read_token_draw(ReadToken *token);
/* The hash of what somebody presented; FALSE for what cannot be a token. */
gboolean read_token_hash(const char *text, gsize len, guint8 ret[SHA256_BYTES]);

typedef struct ReadTokens ReadTokens;

/* --- Life cycle --- */

ReadTokens *read_tokens_new_empty(void);
/* Reads `len` bytes. MALFORMED or LIMIT naming the member; two tokens of one name or hash are MALFORMED, more
 * than LIMIT_READ_TOKENS, or more than LIMIT_VIEWS different sets of globs, LIMIT. */
ReadTokens *read_tokens_parse(const void *data, gsize len, GError **error);
/* Copies with one more, or one less. CONFLICT for a name that is taken, NOT_FOUND for one that is not; LIMIT
 * and MALFORMED as above. */
ReadTokens *read_tokens_with(const ReadTokens *tokens, const ReadToken *token, GError **error);
ReadTokens *read_tokens_without(const ReadTokens *tokens, const char *name, GError **error);
void read_tokens_free(ReadTokens *tokens); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReadTokens, read_tokens_free)

/* --- Queries --- */

guint read_tokens_count(const ReadTokens *tokens);
/* In the order of the file. */
const ReadToken *read_tokens_nth(const ReadTokens *tokens, guint index);
/* What read_tokens_parse reads; ends with LF. */
char *read_tokens_print(const ReadTokens *tokens);
/* "YYYY-MM-DDTHH:MM:SSZ"; NULL for G_MAXINT64. */
char *read_tokens_time_print(gint64 time);
