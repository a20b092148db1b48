/* SPDX-License-Identifier: MIT */
#include "broker/serve/trust_file.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "broker/log.h"
#include "schema/limits.h"

/* *ret NULL on success: there is no file. */
static gboolean read_file(const char *path, char **ret, gsize *ret_len, GError **error)
{
    struct stat info = {0};
    g_autoptr(GError) cause = NULL;
    *ret = NULL;
    if (g_stat(path, &info) != 0 && errno == ENOENT)
        return TRUE;
    if (S_ISREG(info.st_mode) && info.st_size > LIMIT_TRUST_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: larger than %d bytes", path,
                    LIMIT_TRUST_BYTES);
        return FALSE;
    }
    if (g_file_get_contents(path, ret, ret_len, &cause))
        return TRUE;
    gboolean denied = g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_ACCES);
    g_set_error(error, KONTOR_ERROR, denied ? KONTOR_ERROR_DENIED : KONTOR_ERROR_IO, "%s", cause->message);
    return FALSE;
}

TrustList *trust_file_read(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    if (!read_file(path, &text, &len, error))
        return NULL;
    return text != NULL ? trust_list_parse(path, text, len, error) : trust_list_new_empty();
}

TrustList *trust_file_load(const char *path, GError **error)
{
    TrustList *list = trust_file_read(path, error);
    const GPtrArray *warnings = list != NULL ? trust_list_warnings(list) : NULL;
    for (guint i = 0; warnings != NULL && i < warnings->len; i++)
        log_event(LOG_WARNING, "trust-entry-skipped", "reason", g_ptr_array_index(warnings, i), NULL);
    return list;
}
