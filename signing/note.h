/* SPDX-License-Identifier: MIT
 *
 * Signed notes as C2SP specifies them (c2sp.org/signed-note): a text, an empty line, and one signature line
 * "— <key name> <base64>" per signer, where the base64 holds a 4-byte key id and an Ed25519 signature over
 * the text. The key id is the first 4 bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ public key). Outside tools for
 * transparency logs read and write the same.
 *
 * Also the verifier key of that specification, "<name>+<8 hex key id>+<base64 of 0x01 ‖ public key>", and the
 * checkpoint body of C2SP tlog-checkpoint: origin, size, root, and extension lines. Pure functions.
 */
#pragma once

#include "signing/key.h"

/* A signature line; what it signs is the note's text. */
typedef struct {
    char *name; /* key name as written */
    guint8 key_id[4];
    guint8 signature[ED25519_SIGNATURE_BYTES];
    gboolean is_ed25519; /* FALSE for other lengths: kept by other software, ignored by us */
} NoteSignature;

typedef struct {
    char *text; /* ends with LF; without the empty line and the signatures */
    gsize text_len;
    GPtrArray *signatures; /* of NoteSignature *, in order */
} Note;

void note_free(Note *note);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Note, note_free)

/* Reads `len` bytes (≤ LIMIT_NOTE_BYTES). MALFORMED when it is not a note: no empty line, text without final
 * LF, control characters, not UTF-8, a malformed signature line, more than LIMIT_NOTE_SIGNATURES. */
Note *note_parse(const void *data, gsize len, GError **error);
/* The note for `text` (UTF-8, ends with LF, no control characters: else MALFORMED) signed by one key. */
char *note_sign(const char *text, const char *key_name, const SecretKey *key, GError **error);
/* Adds a cosignature line to an existing note. */
char *note_cosign(const char *note_text, const char *key_name, const SecretKey *key, GError **error);
/* TRUE when a signature of this name and key verifies. FALSE with NOT_FOUND (no line of that name and key id)
 * or SIGNATURE (a line that does not verify). */
gboolean note_verify(const Note *note, const char *key_name, const PublicKey *key, GError **error);

void note_key_id(const char *key_name, const PublicKey *key, guint8 ret[4]);
/* TRUE for a name that may stand in a note: not empty, no white space, no "+", UTF-8. */
gboolean note_name_is_valid(const char *key_name);
char *note_verifier_key_print(const char *key_name, const PublicKey *key);
gboolean note_verifier_key_parse(const char *text, char **ret_name, PublicKey *ret_key, GError **error);

/* --- Checkpoint bodies --- */

typedef struct {
    char *origin;
    guint64 size;
    guint8 root[SHA256_BYTES];
    GPtrArray *extensions; /* of char *, whole lines without LF */
} Checkpoint;

void checkpoint_free(Checkpoint *checkpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Checkpoint, checkpoint_free)
Checkpoint *checkpoint_parse(const char *text, GError **error);
char *checkpoint_print(const Checkpoint *checkpoint);
/* The rest of the extension line "<key> <rest>", or NULL. */
const char *checkpoint_extension(const Checkpoint *checkpoint, const char *key);
