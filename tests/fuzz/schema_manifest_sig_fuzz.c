/* SPDX-License-Identifier: MIT
 *
 * Any bytes as manifest.sig: what parses has sorted tables that find their own entries, and its signed bytes
 * are stable: put into a file again and read, they come out the same.
 */
#include "schema/manifest_sig.h"

#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_table(const GArray *table)
{
    for (guint i = 0; i < table->len; i++) {
        const ManifestSigEntry *entry = &g_array_index(table, ManifestSigEntry, i);
        g_assert_true(manifest_sig_table_find(table, entry->name) == entry);
        g_assert_true(i == 0 || strcmp(entry[-1].name, entry->name) < 0);
    }
}

/* A file with the given content and release as signed. */
static char *file_around(GBytes *content, GBytes *release)
{
    gsize content_len = 0, release_len = 0;
    const char *c = g_bytes_get_data(content, &content_len);
    const char *r = release != NULL ? g_bytes_get_data(release, &release_len) : NULL;
    return g_strdup_printf("{\"alg\":\"\",\"signer_pubkey_b64\":\"\",\"signer_fingerprint\":\"\",\"signature_"
                           "b64\":\"\"%s%.*s,%.*s",
                           r != NULL ? ",\"release_signature_b64\":\"\",\"release\":" : "", (int)release_len,
                           r != NULL ? r : "", (int)content_len - 1, c + 1);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ManifestSig) sig = manifest_sig_parse(data, size, &error);
    if (sig == NULL) {
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
        return 0;
    }
    g_assert_true((sig->release != NULL) == (sig->release_signature_b64 != NULL));
    check_table(sig->pages);
    g_autoptr(GBytes) content = manifest_sig_content_bytes(sig->manifest_sha256, sig->pages);
    g_autoptr(GBytes) release = NULL;
    if (sig->release != NULL) {
        check_table(sig->release->files);
        release = manifest_sig_release_bytes(sig->release);
    }
    g_autofree char *file = file_around(content, release);
    g_autoptr(ManifestSig) again = manifest_sig_parse(file, strlen(file), NULL);
    g_assert_nonnull(again);
    g_autoptr(GBytes) content_again = manifest_sig_content_bytes(again->manifest_sha256, again->pages);
    g_assert_true(g_bytes_equal(content, content_again));
    if (release != NULL) {
        g_autoptr(GBytes) release_again = manifest_sig_release_bytes(again->release);
        g_assert_true(g_bytes_equal(release, release_again));
    }
    return 0;
}
