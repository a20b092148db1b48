/* SPDX-License-Identifier: MIT */
#include "broker/serve/read_token_file.h"

#include <string.h>

#include "mirror/store/durable_file.h"
#include "schema/error.h"

char *read_token_file_path(const char *data_dir)
{
    return g_build_filename(data_dir, "read_tokens.json", NULL);
}

ReadTokens *read_token_file_load(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize len = 0;
    if (!g_file_get_contents(path, &text, &len, &cause)) {
        if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return read_tokens_new_empty();
        gboolean denied = g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_ACCES);
        g_set_error(error, KONTOR_ERROR, denied ? KONTOR_ERROR_DENIED : KONTOR_ERROR_IO, "%s",
                    cause->message);
        return NULL;
    }
    ReadTokens *tokens = read_tokens_parse(text, len, error);
    if (tokens == NULL)
        g_prefix_error(error, "%s: ", path);
    return tokens;
}

gboolean read_token_file_save(const char *path, const ReadTokens *tokens, GError **error)
{
    g_autofree char *text = read_tokens_print(tokens);
    g_autoptr(ReadTokens) again = read_tokens_parse(text, strlen(text), error);
    if (again == NULL) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    return durable_file_replace(path, text, strlen(text), 0600, error);
}
