/* SPDX-License-Identifier: MIT
 *
 * Key files: both readers agree on the public key, and what is accepted is printed and read back to the same.
 * Damage would hide everything behind the checksum, so the lines are also tried with the checksum that they
 * should have. Seals are only opened when that is cheap.
 */
#include "schema/limits.h"
#include "signing/key_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_printed(const KeyFile *file)
{
    g_autofree char *public_text = key_file_print_public(&file->public_key, file->name, file->number);
    g_autofree char *minisign = key_file_print_minisign(&file->public_key, file->number);
    g_autofree char *signify = key_file_print_signify(&file->public_key, file->name, file->number);
    const char *const texts[] = {public_text, minisign, signify};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(KeyFile) again = key_file_parse(texts[i], strlen(texts[i]), FALSE, NULL, &error);
        g_assert_no_error(error);
        g_assert(public_key_equal(&again->public_key, &file->public_key));
        g_assert(memcmp(again->number, file->number, sizeof file->number) == 0);
    }
    if (file->secret != NULL) {
        char *text = key_file_print_secret(file->secret, file->name, NULL, NULL);
        g_autoptr(KeyFile) again = key_file_parse(text, strlen(text), FALSE, NULL, NULL);
        g_assert(again != NULL && strcmp(again->name, file->name) == 0);
        key_text_free(text);
    }
}

static void try_file(const void *data, gsize size, gboolean raw_is_secret)
{
    gboolean cheap = size > 0 && memmem(data, size, "passes=1 memory=8192 ", 21) != NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) public_error = NULL;
    g_autoptr(KeyFile) file = key_file_parse(data, size, raw_is_secret, cheap ? "sesame" : NULL, &error);
    g_autoptr(KeyFile) public = key_file_parse_public(data, size, raw_is_secret, &public_error);
    g_assert((file == NULL) == (error != NULL));
    g_assert((public == NULL) == (public_error != NULL));
    g_assert(error == NULL || strchr(error->message, '\n') == NULL);
    /* The public part may be readable where the secret is not, never the other way round. */
    g_assert(file == NULL || public_key_equal(&file->public_key, &public->public_key));
    if (file != NULL)
        check_printed(file);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    signing_init();
    try_file(data, size, FALSE);
    try_file(data, size, TRUE);
    const char *check = size > 0 && size <= LIMIT_KEY_FILE_BYTES ? memmem(data, size, "check: ", 7) : NULL;
    if (check == NULL)
        return 0;
    gsize lines_len = (gsize)(check - (const char *)data);
    g_autofree char *hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, lines_len);
    g_autoptr(GString) mended = g_string_new_len((const char *)data, (gssize)lines_len);
    g_string_append_printf(mended, "check: %.16s\n", hex);
    try_file(mended->str, mended->len, FALSE);
    return 0;
}
