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

/* --- Notes --- */

/* Reads `len` bytes. MALFORMED when it is not a note: no empty line, no signature, control characters, not
 * UTF-8, a malformed signature line; LIMIT above LIMIT_NOTE_BYTES or LIMIT_NOTE_SIGNATURES. */
Note *note_parse(const void *data, gsize len, GError **error);
/* The note for `text` (UTF-8, ends with LF, no control characters: else MALFORMED) signed by one key. LIMIT
 * when it would be too long. */
char *note_sign(const char *text, const char *key_name, const SecretKey *key, GError **error);
/* Adds a cosignature line to an existing note, which need not be signed by anybody known; the same note when
 * the key has signed it already. Errors of note_parse; SIGNATURE when a line of that key is wrong. */
char *note_cosign(const char *note_text, const char *key_name, const SecretKey *key, GError **error);
/* TRUE when there are signatures of this name and key and all of them verify. FALSE with NOT_FOUND (no line
 * of that name and key id) or SIGNATURE (a line that does not verify). */
gboolean note_verify(const Note *note, const char *key_name, const PublicKey *key, GError **error);

void note_key_id(const char *key_name, const PublicKey *key, guint8 ret[4]);
/* TRUE for a name that may stand in a note: not empty, no white space, no control character, no "+", UTF-8,
 * at most LIMIT_KEY_NAME_BYTES. */
gboolean note_name_is_valid(const char *key_name);
char *note_verifier_key_print(const char *key_name, const PublicKey *key);
/* MALFORMED, also when the key id is not that of name and key; UNSUPPORTED for another algorithm. */
gboolean note_verifier_key_parse(const char *text, char **ret_name, PublicKey *ret_key, GError **error);

/* --- Checkpoint bodies --- */

typedef struct {
    char *origin; /* not empty, without LF */
    guint64 size;
    guint8 root[SHA256_BYTES];
    GPtrArray *extensions; /* of char *, whole lines without LF, not empty */
} Checkpoint;

void checkpoint_free(Checkpoint *checkpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Checkpoint, checkpoint_free)
/* Reads the text of a note. MALFORMED names the line. */
Checkpoint *checkpoint_parse(const char *text, GError **error);
/* What checkpoint_parse reads back to the same; the texts are asserted to be lines. */
char *checkpoint_print(const Checkpoint *checkpoint);
/* The rest of the first extension line "<key> <rest>", or NULL. */
const char *checkpoint_extension(const Checkpoint *checkpoint, const char *key);
