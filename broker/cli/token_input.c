/* SPDX-License-Identifier: MIT */
#include "broker/cli/token_input.h"

#include <string.h>

#include "broker/cli/endpoints.h"
#include "broker/cli/safe_file.h"

#define TOKEN_BYTES_MAX 4096

static void token_free(gpointer data)
{
    char *token = data;

    if (token != NULL) {
        explicit_bzero(token, strlen(token));
        g_free(token);
    }
}

/* What RFC 9110 calls token68; it cannot end a header line. */
static gboolean is_token(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";

    return *text != '\0' && strspn(text, allowed) == strlen(text);
}

static char *read_file(const char *path, GError **error)
{
    char buffer[TOKEN_BYTES_MAX + 1];
    gsize len = 0;

    if (!safe_file_read(path, TOKEN_BYTES_MAX, buffer, &len, NULL, error)) {
        return NULL;
    }
    char *token = strlen(buffer) == len && is_token(g_strstrip(buffer)) ? g_strdup(buffer) : NULL;

    explicit_bzero(buffer, sizeof buffer);
    if (token == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: not one line with a token", path);
    }
    return token;
}

/* Splits "URL=FILE"; *ret_url NULL when there is no URL. A file may have any name, so only what begins like a
 * URL is one. */
static const char *split(const char *value, char **ret_url)
{
    const char *equals = strchr(value, '=');

    *ret_url = NULL;
    if (equals == NULL || (!g_str_has_prefix(value, "http://") && !g_str_has_prefix(value, "https://"))) {
        return value;
    }
    g_autofree char *address = g_strndup(value, (gsize)(equals - value));

    *ret_url = endpoints_url(address);
    return equals + 1;
}

/* Which broker the token is for; G_MAXUINT when that is not known. */
static guint find_broker(const char *const *urls, gboolean lone, const char *url)
{
    if (url == NULL) {
        return lone ? 0 : G_MAXUINT;
    }
    for (guint i = 0; urls[i] != NULL; i++) {
        if (strcmp(urls[i], url) == 0) {
            return i;
        }
    }
    return G_MAXUINT;
}

static gboolean take(const char *value, const char *const *urls, gboolean lone, GPtrArray *tokens,
                     GError **error)
{
    g_autofree char *url = NULL;
    const char *file = split(value, &url);
    guint index = find_broker(urls, lone, url);

    if (index == G_MAXUINT) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    url != NULL ? "--token-file %s: no broker at this URL is asked"
                                : "--token-file %s: several brokers are asked; write URL=FILE",
                    url != NULL ? url : file);
        return FALSE;
    }
    if (g_ptr_array_index(tokens, index) != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--token-file: two tokens for %s",
                    urls[index]);
        return FALSE;
    }
    return (tokens->pdata[index] = read_file(file, error)) != NULL;
}

GPtrArray *cli_token_files(const CliArgs *args, const char *const *urls, gboolean lone, GError **error)
{
    g_autoptr(GPtrArray) tokens = g_ptr_array_new_with_free_func(token_free);
    char **values = cli_args_values(args, "token-file");

    g_ptr_array_set_size(tokens, (gint)g_strv_length((char **)(gsize)urls));
    for (; values != NULL && *values != NULL; values++) {
        if (!take(*values, urls, lone, tokens, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&tokens);
}
