/* SPDX-License-Identifier: MIT
 *
 * Any bytes as manifest.yaml: a manifest comes back whatever they are, every text is there, is UTF-8 and
 * within its limit.
 */
#include "schema/manifest.h"

#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_text(const char *text, gsize bytes_max)
{
    g_assert_true(text != NULL && strlen(text) <= bytes_max && g_utf8_validate(text, -1, NULL));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(Manifest) m = manifest_parse(data, size);
    const char *const short_texts[] = {m->name, m->version, m->scope, m->language, m->min_node_version};
    const char *const long_texts[] = {m->summary, m->description, m->brief};
    for (guint i = 0; i < G_N_ELEMENTS(short_texts); i++)
        check_text(short_texts[i], LIMIT_MANIFEST_TEXT_BYTES);
    for (guint i = 0; i < G_N_ELEMENTS(long_texts); i++)
        check_text(long_texts[i], LIMIT_SUMMARY_BYTES);
    for (guint i = 0; m->domains[i] != NULL; i++)
        check_text(m->domains[i], LIMIT_MANIFEST_TEXT_BYTES);
    for (guint i = 0; i < m->sources->len; i++) {
        const ManifestSource *source = g_ptr_array_index(m->sources, i);
        check_text(source->url, LIMIT_MANIFEST_TEXT_BYTES);
        check_text(source->fetched, LIMIT_MANIFEST_TEXT_BYTES);
        check_text(source->hash, LIMIT_MANIFEST_TEXT_BYTES);
    }
    g_assert_true(m->warning == NULL || strchr(m->warning, '\n') == NULL);
    return 0;
}
