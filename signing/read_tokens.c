/* SPDX-License-Identifier: MIT */
#include "signing/read_tokens.h"

#include <string.h>

#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/scalar.h"
#include "schema/text.h"
#include "signing/trust_list.h"

#define TIME_CHARS 20
/* Beyond the year 9999 a time cannot be written any more. */
#define TIME_MAX G_GINT64_CONSTANT(253402300799)

struct ReadTokens {
    GPtrArray *tokens; /* of ReadToken *, owned */
};

/* --- One token --- */

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted and without repetitions, so that what shows the same looks the same. */
static void sort_paths(GPtrArray *paths)
{
    if (paths->len == 0)
        g_ptr_array_add(paths, g_strdup("**"));
    g_ptr_array_sort(paths, compare_texts);
    for (guint i = paths->len; i-- > 1;)
        if (strcmp(paths->pdata[i], paths->pdata[i - 1]) == 0)
            g_ptr_array_remove_index(paths, i);
}

ReadToken *read_token_new(const char *name, GPtrArray *paths, gint64 created, gint64 expires)
{
    ReadToken *token = g_new0(ReadToken, 1);
    token->name = g_strdup(name);
    token->paths = paths != NULL ? paths : g_ptr_array_new();
    g_ptr_array_set_free_func(token->paths, g_free);
    sort_paths(token->paths);
    token->created = created;
    token->expires = expires;
    return token;
}

void read_token_free(ReadToken *token)
{
    if (token == NULL)
        return;
    g_free(token->name);
    g_ptr_array_unref(token->paths);
    g_free(token);
}

static gpointer copy_text(gconstpointer text, gpointer user G_GNUC_UNUSED)
{
    return g_strdup(text);
}

static ReadToken *token_copy(const ReadToken *from)
{
    GPtrArray *paths = g_ptr_array_copy(from->paths, copy_text, NULL);
    ReadToken *token = read_token_new(from->name, paths, from->created, from->expires);
    memcpy(token->sha256, from->sha256, sizeof token->sha256);
    return token;
}

gboolean read_token_allows(const ReadToken *token, const char *path)
{
    for (guint i = 0; i < token->paths->len; i++)
        if (trust_glob_matches(g_ptr_array_index(token->paths, i), path))
            return TRUE;
    return FALSE;
}

void read_token_grants_hash(const ReadToken *token, guint8 ret[SHA256_BYTES])
{
    /* No glob has a line feed. */
    g_autoptr(GString) text = g_string_new("kontor/view/v1\n");
    for (guint i = 0; i < token->paths->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)g_ptr_array_index(token->paths, i));
    sha256(text->str, text->len, ret);
}

/* --- Texts --- */

char *read_token_draw(ReadToken *token)
{
    guint8 bytes[READ_TOKEN_BYTES];
    random_fill(bytes, sizeof bytes);
    char *base64 = base64_encode(bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
    base64[strcspn(base64, "=")] = '\0';
    g_strdelimit(g_strdelimit(base64, "+", '-'), "/", '_');
    char *text = g_strconcat(READ_TOKEN_PREFIX, base64, NULL);
    explicit_bzero(base64, strlen(base64));
    g_free(base64);
    gboolean good = read_token_hash(text, strlen(text), token->sha256);
    g_assert(good);
    return text;
}

gboolean read_token_hash(const char *text, gsize len, guint8 ret[SHA256_BYTES])
{
    static const gsize prefix_len = sizeof READ_TOKEN_PREFIX - 1;
    if (len != READ_TOKEN_CHARS || memcmp(text, READ_TOKEN_PREFIX, prefix_len) != 0)
        return FALSE;
    for (gsize i = prefix_len; i < len; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '-' && text[i] != '_')
            return FALSE;
    sha256(text, len, ret);
    return TRUE;
}

/* --- Reading --- */

static gboolean refuse(GError **error, KontorErrorCode code, const char *member, const char *rule)
{
    g_set_error(error, KONTOR_ERROR, (gint)code, "%s: %s", member, rule);
    return FALSE;
}

/* "expires" misspelt must not be passed over. */
static gboolean check_members(const JsonValue *object, const char *const *known, GError **error)
{
    if (json_value_kind(object) != JSON_OBJECT) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "not an object");
        return FALSE;
    }
    for (const JsonValue *member = json_value_first(object); member != NULL;
         member = json_value_next(member)) {
        if (!g_strv_contains(known, json_value_key(member))) {
            g_autofree char *key = text_for_message(json_value_key(member), strlen(json_value_key(member)));
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "unknown member \"%s\"", key);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean check_name(const char *name, GError **error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (*name == '\0' || strspn(name, allowed) != strlen(name))
        return refuse(error, KONTOR_ERROR_MALFORMED, "name",
                      "a token's name has letters, digits, '.', '_' and '-' only, and at least one");
    if (strlen(name) > LIMIT_READ_TOKEN_NAME_BYTES)
        return refuse(error, KONTOR_ERROR_LIMIT, "name", "a token's name is too long");
    return TRUE;
}

static gboolean check_paths(const GPtrArray *paths, GError **error)
{
    if (paths->len > LIMIT_READ_TOKEN_PATHS) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "paths: more than %d globs",
                    LIMIT_READ_TOKEN_PATHS);
        return FALSE;
    }
    for (guint i = 0; i < paths->len; i++)
        if (!trust_glob_check(g_ptr_array_index(paths, i), error))
            return FALSE;
    return TRUE;
}

static gboolean read_time(const JsonValue *object, const char *key, JsonPresence presence, gint64 *ret,
                          GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, presence, TIME_CHARS, &text, error))
        return FALSE;
    if (text == NULL)
        return TRUE;
    if (strlen(text) != TIME_CHARS)
        return refuse(error, KONTOR_ERROR_MALFORMED, key, "not a time like 2026-01-31T12:00:00Z");
    if (trust_until_parse(text, ret, error))
        return TRUE;
    g_prefix_error(error, "%s: ", key);
    return FALSE;
}

/* Every member stands there, so that none was forgotten; only a list of all packs is written out, too. */
static GPtrArray *read_paths(const JsonValue *object, GError **error)
{
    const JsonValue *list = NULL;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    if (!json_get_array(object, "paths", JSON_REQUIRED, LIMIT_READ_TOKEN_PATHS, &list, error))
        return NULL;
    for (const JsonValue *item = json_value_first(list); item != NULL; item = json_value_next(item)) {
        if (json_value_kind(item) != JSON_STRING) {
            refuse(error, KONTOR_ERROR_MALFORMED, "paths", "not a list of globs");
            return NULL;
        }
        g_ptr_array_add(paths, g_strdup(json_value_string(item)));
    }
    if (paths->len == 0) {
        refuse(error, KONTOR_ERROR_MALFORMED, "paths", "empty; \"**\" stands for all packs");
        return NULL;
    }
    return g_steal_pointer(&paths);
}

static ReadToken *read_token(const JsonValue *object, GError **error)
{
    static const char *const members[] = {"name", "sha256", "paths", "created", "expires", NULL};
    const char *name = NULL, *hex = NULL;
    gint64 created = 0, expires = G_MAXINT64;
    if (!check_members(object, members, error) ||
        !json_get_string(object, "name", JSON_REQUIRED, LIMIT_READ_TOKEN_NAME_BYTES, &name, error) ||
        !json_get_string(object, "sha256", JSON_REQUIRED, SHA256_HEX_CHARS, &hex, error) ||
        !read_time(object, "created", JSON_REQUIRED, &created, error) ||
        !read_time(object, "expires", JSON_OPTIONAL_NULL, &expires, error))
        return NULL;
    if (json_object_get(object, "expires") == NULL) {
        refuse(error, KONTOR_ERROR_MALFORMED, "expires", "missing; null stands for a token without end");
        return NULL;
    }
    GPtrArray *paths = read_paths(object, error);
    if (paths == NULL)
        return NULL;
    g_autoptr(ReadToken) token = read_token_new(name, paths, created, expires);
    if (hex_decode(hex, token->sha256, sizeof token->sha256))
        return g_steal_pointer(&token);
    refuse(error, KONTOR_ERROR_MALFORMED, "sha256", "not 64 lower-case hexadecimal digits");
    return NULL;
}

/* --- All tokens --- */

ReadTokens *read_tokens_new_empty(void)
{
    ReadTokens *tokens = g_new0(ReadTokens, 1);
    tokens->tokens = g_ptr_array_new_with_free_func((GDestroyNotify)read_token_free);
    return tokens;
}

void read_tokens_free(ReadTokens *tokens)
{
    if (tokens == NULL)
        return;
    g_ptr_array_unref(tokens->tokens);
    g_free(tokens);
}

static guint find(const ReadTokens *tokens, const char *name)
{
    guint i = 0;
    while (i < tokens->tokens->len && strcmp(read_tokens_nth(tokens, i)->name, name) != 0)
        i++;
    return i;
}

static gboolean hash_is_taken(const ReadTokens *tokens, const ReadToken *token)
{
    for (guint i = 0; i < tokens->tokens->len; i++)
        if (memcmp(read_tokens_nth(tokens, i)->sha256, token->sha256, SHA256_BYTES) == 0)
            return TRUE;
    return FALSE;
}

/* Checks and takes over. */
static gboolean add(ReadTokens *tokens, ReadToken *taken, GError **error)
{
    g_autoptr(ReadToken) token = taken;
    if (!check_name(token->name, error) || !check_paths(token->paths, error))
        return FALSE;
    if (find(tokens, token->name) < tokens->tokens->len)
        return refuse(error, KONTOR_ERROR_CONFLICT, token->name, "there is a token of this name");
    if (hash_is_taken(tokens, token))
        return refuse(error, KONTOR_ERROR_MALFORMED, token->name, "the same token stands there twice");
    if (tokens->tokens->len == LIMIT_READ_TOKENS) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d read tokens", LIMIT_READ_TOKENS);
        return FALSE;
    }
    g_ptr_array_add(tokens->tokens, g_steal_pointer(&token));
    return TRUE;
}

/* Every different set of globs costs a catalog and a search index. */
static gboolean check_views(const ReadTokens *tokens, GError **error)
{
    g_autoptr(GHashTable) grants =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    for (guint i = 0; i < tokens->tokens->len; i++) {
        guint8 hash[SHA256_BYTES];
        read_token_grants_hash(read_tokens_nth(tokens, i), hash);
        g_hash_table_add(grants, g_bytes_new(hash, sizeof hash));
    }
    if (g_hash_table_size(grants) <= LIMIT_VIEWS)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                "more than %d different sets of paths; give several tokens the same ones", LIMIT_VIEWS);
    return FALSE;
}

ReadTokens *read_tokens_parse(const void *data, gsize len, GError **error)
{
    static const char *const members[] = {"tokens", NULL};
    g_autoptr(ReadTokens) tokens = read_tokens_new_empty();
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, LIMIT_READ_TOKENS_BYTES, error);
    const JsonValue *list = NULL;
    if (doc == NULL || !check_members(json_doc_root(doc), members, error) ||
        !json_get_array(json_doc_root(doc), "tokens", JSON_REQUIRED, LIMIT_READ_TOKENS, &list, error))
        return NULL;
    guint index = 0;
    for (const JsonValue *item = json_value_first(list); item != NULL; item = json_value_next(item)) {
        ReadToken *token = read_token(item, error);
        if (token == NULL || !add(tokens, token, error)) {
            g_prefix_error(error, "/tokens/%u: ", index);
            return NULL;
        }
        index++;
    }
    return check_views(tokens, error) ? g_steal_pointer(&tokens) : NULL;
}

static ReadTokens *copy(const ReadTokens *tokens, guint without)
{
    ReadTokens *result = read_tokens_new_empty();
    for (guint i = 0; i < tokens->tokens->len; i++)
        if (i != without)
            g_ptr_array_add(result->tokens, token_copy(read_tokens_nth(tokens, i)));
    return result;
}

ReadTokens *read_tokens_with(const ReadTokens *tokens, const ReadToken *token, GError **error)
{
    g_autoptr(ReadTokens) result = copy(tokens, G_MAXUINT);
    return add(result, token_copy(token), error) && check_views(result, error) ? g_steal_pointer(&result)
                                                                               : NULL;
}

ReadTokens *read_tokens_without(const ReadTokens *tokens, const char *name, GError **error)
{
    guint index = find(tokens, name);
    if (index < tokens->tokens->len)
        return copy(tokens, index);
    g_autofree char *shown = text_for_message(name, strlen(name));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "there is no read token \"%s\"", shown);
    return NULL;
}

guint read_tokens_count(const ReadTokens *tokens)
{
    return tokens->tokens->len;
}

const ReadToken *read_tokens_nth(const ReadTokens *tokens, guint index)
{
    return g_ptr_array_index(tokens->tokens, index);
}

/* --- Writing --- */

char *read_tokens_time_print(gint64 time)
{
    return time != G_MAXINT64 ? scalar_format_time(CLAMP(time, 0, TIME_MAX)) : NULL;
}

static void write_token(JsonWriter *w, const ReadToken *token)
{
    char hex[SHA256_HEX_CHARS + 1];
    g_autofree char *created = read_tokens_time_print(token->created);
    g_autofree char *expires = read_tokens_time_print(token->expires);
    hex_encode(token->sha256, SHA256_BYTES, hex);
    json_write_object_begin(w);
    json_write_member_string(w, "name", token->name);
    json_write_member_string(w, "sha256", hex);
    json_write_key(w, "paths");
    json_write_array_begin(w);
    for (guint i = 0; i < token->paths->len; i++)
        json_write_string(w, g_ptr_array_index(token->paths, i));
    json_write_array_end(w);
    json_write_member_string(w, "created", created);
    json_write_key(w, "expires");
    if (expires != NULL)
        json_write_string(w, expires);
    else
        json_write_null(w);
    json_write_object_end(w);
}

char *read_tokens_print(const ReadTokens *tokens)
{
    GString *out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;
        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_key(&w, "tokens");
        json_write_array_begin(&w);
        for (guint i = 0; i < read_tokens_count(tokens); i++)
            write_token(&w, read_tokens_nth(tokens, i));
        json_write_array_end(&w);
        json_write_object_end(&w);
    }
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}
