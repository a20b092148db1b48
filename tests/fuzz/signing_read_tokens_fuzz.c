/* SPDX-License-Identifier: MIT
 *
 * The file of read tokens, as anybody may have edited it. What is accepted is written and read back to the
 * same.
 */
#include "schema/limits.h"
#include "signing/read_tokens.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    guint8 hash[SHA256_BYTES];
    signing_init();
    read_token_hash((const char *)data, size, hash);
    g_autoptr(GError) error = NULL;
    g_autoptr(ReadTokens) tokens = read_tokens_parse(data, size, &error);
    if (tokens == NULL) {
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
        return 0;
    }
    g_assert_cmpuint(read_tokens_count(tokens), <=, LIMIT_READ_TOKENS);
    g_autofree char *once = read_tokens_print(tokens);
    g_autoptr(ReadTokens) again = read_tokens_parse(once, strlen(once), &error);
    g_assert_no_error(error);
    g_autofree char *twice = read_tokens_print(again);
    g_assert_cmpstr(once, ==, twice);
    for (guint i = 0; i < read_tokens_count(tokens); i++) {
        const ReadToken *token = read_tokens_nth(tokens, i);
        g_assert_cmpuint(token->paths->len, >, 0);
        read_token_allows(token, "history/rome");
        g_autoptr(ReadTokens) fewer = read_tokens_without(tokens, token->name, NULL);
        g_assert_cmpuint(read_tokens_count(fewer), ==, read_tokens_count(tokens) - 1);
    }
    return 0;
}
