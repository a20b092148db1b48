/* SPDX-License-Identifier: MIT
 *
 * Request paths and scopes: decode, check, normalize. What passes the check must not be able to leave a
 * directory.
 */
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_accepted_path(const char *path)
{
    g_auto(GStrv) segments = g_strsplit(path, "/", -1);
    g_assert(strlen(path) <= LIMIT_PACK_PATH_BYTES && segments[0] != NULL);
    for (guint i = 0; segments[i] != NULL; i++) {
        g_assert(segments[i][0] != '\0' && strcmp(segments[i], ".") != 0 && strcmp(segments[i], "..") != 0);
        g_assert(pack_path_segment_check(segments[i], NULL));
    }
}

static void check_scope(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *scope = pack_scope_normalize(text, &error);
    g_assert((scope == NULL) == (error != NULL));
    if (scope == NULL)
        return;
    g_assert(strpbrk(scope, "%_\\") == NULL && strstr(scope, "..") == NULL);
    g_autofree char *below = g_strconcat(scope, "/x", NULL);
    g_autofree char *beside = g_strconcat(scope, "x", NULL);
    g_assert(pack_scope_contains(scope, scope) && pack_scope_contains(scope, below));
    g_assert(*scope == '\0' || !pack_scope_contains(scope, beside));
    pack_scope_contains(scope, text);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autofree char *decoded = pack_path_percent_decode((const char *)data, size);
    if (decoded == NULL)
        return 0;
    g_assert(strlen(decoded) <= size && text_is_utf8(decoded, strlen(decoded), NULL));
    g_autoptr(GError) error = NULL;
    gboolean good = pack_path_check(decoded, &error);
    g_assert(good == (error == NULL));
    if (good)
        check_accepted_path(decoded);
    check_scope(decoded);
    return 0;
}
