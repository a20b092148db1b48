/* SPDX-License-Identifier: MIT
 *
 * Catalog checkpoints from anywhere. What is accepted without a key is signed anew, and that is accepted with
 * the key and says the same.
 */
#include "mirror/catalog/checkpoint.h"
#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const guint8 seed[32] = {3};
    signing_init();
    CatalogCheckpoint checkpoint, again;
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;
    if (!catalog_checkpoint_open(data, size, NULL, &checkpoint, &name, &error)) {
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
        return 0;
    }
    g_assert_cmpuint(checkpoint.count, <=, LIMIT_CATALOG_ITEMS);
    g_assert_cmpint(checkpoint.expires_s, >=, checkpoint.time_s);
    g_autoptr(SecretKey) key = secret_key_from_seed(seed);
    PublicKey public;
    secret_key_public(key, &public);
    /* A name that no key can have, or a time in the year 9999, can be read but not signed. */
    if (!note_name_is_valid(name) || checkpoint.time_s > G_GINT64_CONSTANT(253402128000))
        return 0;
    g_autofree char *note = catalog_checkpoint_sign(&checkpoint, name, key, &error);
    if (note == NULL)
        return 0;
    g_assert_true(catalog_checkpoint_open(note, strlen(note), &public, &again, NULL, &error));
    g_assert_true(again.count == checkpoint.count && again.generation == checkpoint.generation);
    g_assert_true(checkpoint.view[0] == '\0' || catalog_view_is_valid(checkpoint.view));
    g_assert_cmpstr(again.view, ==, checkpoint.view);
    g_assert_true(again.time_s == checkpoint.time_s && again.expires_s == checkpoint.expires_s);
    g_assert_cmpmem(again.root, SHA256_BYTES, checkpoint.root, SHA256_BYTES);
    return 0;
}
