/* SPDX-License-Identifier: MIT
 *
 * Signed notes, checkpoints and verifier keys: what is accepted can be cosigned, and what is printed is read
 * back to the same.
 */
#include "schema/limits.h"
#include "signing/note.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void try_cosign(const char *text, const Note *note)
{
    static const guint8 seed[32] = {7};
    g_autoptr(SecretKey) key = secret_key_from_seed(seed);
    g_autoptr(GError) error = NULL;
    PublicKey public_key;
    secret_key_public(key, &public_key);
    gboolean signed_already = note_verify(note, "fuzz.example", &public_key, NULL);
    g_autofree char *cosigned = note_cosign(text, "fuzz.example", key, &error);
    g_assert((cosigned == NULL) == (error != NULL));
    if (cosigned == NULL)
        return;
    g_autoptr(Note) again = note_parse(cosigned, strlen(cosigned), &error);
    g_assert_no_error(error);
    g_assert(strcmp(again->text, note->text) == 0);
    g_assert(again->signatures->len == note->signatures->len + (signed_already ? 0 : 1));
    g_assert(note_verify(again, "fuzz.example", &public_key, NULL));
}

static void try_checkpoint(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Checkpoint) checkpoint = checkpoint_parse(text, &error);
    g_assert((checkpoint == NULL) == (error != NULL));
    if (checkpoint == NULL)
        return;
    g_autofree char *printed = checkpoint_print(checkpoint);
    g_assert(strcmp(printed, text) == 0);
    checkpoint_extension(checkpoint, "generation");
}

static void try_verifier(const char *text)
{
    g_autofree char *name = NULL;
    PublicKey key;
    if (!note_verifier_key_parse(text, &name, &key, NULL))
        return;
    g_autofree char *printed = note_verifier_key_print(name, &key);
    g_assert(strcmp(printed, text) == 0);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    signing_init();
    g_autofree char *text = g_strndup(size > 0 ? (const char *)data : "", size);
    g_autoptr(GError) error = NULL;
    g_autoptr(Note) note = note_parse(data, size, &error);
    g_assert((note == NULL) == (error != NULL));
    if (note != NULL) {
        try_checkpoint(note->text);
        try_cosign(text, note);
    }
    try_checkpoint(text);
    try_verifier(text);
    return 0;
}
