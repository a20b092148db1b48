/* SPDX-License-Identifier: MIT */
#include "broker/serve/admin_tokens.h"

#include <string.h>

#include "signing/hash.h"

#define ENVIRONMENT_NAME "OCC_REINDEX_TOKEN"

static void token_free(gpointer data)
{
    char *token = data;
    explicit_bzero(token, strlen(token));
    g_free(token);
}

static void add_token(GPtrArray *tokens, const char *text)
{
    g_autofree char *token = g_strstrip(g_strdup(text));
    if (*token != '\0')
        g_ptr_array_add(tokens, g_steal_pointer(&token));
}

static gboolean add_file(GPtrArray *tokens, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize len = 0;
    if (!g_file_get_contents(path, &text, &len, &cause)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "admin_tokens_file: %s", cause->message);
        return FALSE;
    }
    if (len > ADMIN_TOKENS_FILE_BYTES_MAX) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "admin_tokens_file %s: larger than %d bytes",
                    path, ADMIN_TOKENS_FILE_BYTES_MAX);
        return FALSE;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (g_strchug(*line)[0] != '#')
            add_token(tokens, *line);
        explicit_bzero(*line, strlen(*line));
    }
    explicit_bzero(text, len);
    return TRUE;
}

GPtrArray *admin_tokens_load(const Config *config, GError **error)
{
    g_autoptr(GPtrArray) tokens = g_ptr_array_new_with_free_func(token_free);
    const char *environment = g_getenv(ENVIRONMENT_NAME);
    if (environment != NULL)
        add_token(tokens, environment);
    if (config->admin_tokens_file != NULL && !add_file(tokens, config->admin_tokens_file, error))
        return NULL;
    return g_steal_pointer(&tokens);
}

gboolean admin_tokens_match(const GPtrArray *tokens, HttpSlice candidate)
{
    g_autofree char *text = g_strndup(candidate.text != NULL ? candidate.text : "", candidate.len);
    gboolean found = FALSE;
    for (guint i = 0; i < tokens->len; i++)
        found |= texts_equal_constant_time(g_ptr_array_index(tokens, i), text);
    explicit_bzero(text, strlen(text));
    return found;
}
