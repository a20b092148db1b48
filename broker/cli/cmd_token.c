/* SPDX-License-Identifier: MIT
 *
 * token new, list, revoke: <data>/read_tokens.json. A running broker is told when it changed.
 *
 * A new token goes to standard output and nothing else does, so that it can be redirected into a file; it is
 * shown this once, since only its hash is kept.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/commands.h"
#include "broker/cli/reload.h"
#include "broker/cli/safe_file.h"
#include "broker/cli/terminal.h"
#include "broker/serve/read_token_file.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/scalar.h"
#include "signing/trust_list.h"

#define DURATION_MAX_MS (G_GINT64_CONSTANT(100) * 366 * 24 * 3600 * 1000)

static gint64 now_s(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* --- Changing the file --- */

/* What becomes of the tokens. `user` is the token to add, or the name of the one to take out. */
typedef ReadTokens *(*Edit)(const ReadTokens *tokens, gconstpointer user, GError **error);

static ReadTokens *edit_add(const ReadTokens *tokens, gconstpointer user, GError **error)
{
    return read_tokens_with(tokens, user, error);
}

static ReadTokens *edit_remove(const ReadTokens *tokens, gconstpointer user, GError **error)
{
    return read_tokens_without(tokens, user, error);
}

/* Reads, edits and replaces while nobody else does. */
static gboolean change_file(const char *data_dir, Edit edit, gconstpointer user, GError **error)
{
    g_autofree char *path = read_token_file_path(data_dir);
    int lock = safe_file_lock(path, error);

    if (lock < 0) {
        return FALSE;
    }
    g_autoptr(ReadTokens) tokens = read_token_file_load(path, error);
    g_autoptr(ReadTokens) edited = tokens != NULL ? edit(tokens, user, error) : NULL;
    gboolean good = edited != NULL && read_token_file_save(path, edited, error);

    close(lock);
    return good;
}

/* Tells the broker; that none runs is no failure. */
static CliExit tell_broker(const char *data_dir, gboolean *ret_told)
{
    g_autoptr(GError) error = NULL;

    *ret_told = broker_reload(data_dir, &error) > 0;
    if (error == NULL || g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        return CLI_OK;
    }
    cli_fail(error);
    return CLI_UNREACHABLE;
}

/* --- token new --- */

/* A date, or how long from now. */
static gboolean parse_expires(const char *text, gint64 *ret, GError **error)
{
    gint64 ms = 0;

    if (scalar_parse_duration(text, 1000, DURATION_MAX_MS, &ms, NULL)) {
        *ret = now_s() + ms / 1000;
        return TRUE;
    }
    if (!trust_until_parse(text, ret, NULL)) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                            "--expires: expected a duration such as 90d, or a date written YYYY-MM-DD or "
                            "YYYY-MM-DDTHH:MM:SSZ");
        return FALSE;
    }
    if (*ret <= now_s()) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--expires: this time is over");
        return FALSE;
    }
    return TRUE;
}

/* What the command line says, checked. */
static ReadToken *token_from(const CliArgs *args, GError **error)
{
    const char *expires_text = cli_args_value(args, "expires");
    char **globs = cli_args_values(args, "path");
    gint64 expires = G_MAXINT64;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    if (expires_text != NULL && !parse_expires(expires_text, &expires, error)) {
        return NULL;
    }
    for (; globs != NULL && *globs != NULL; globs++) {
        if (!trust_glob_check(*globs, error)) {
            g_prefix_error(error, "--path: ");
            return NULL;
        }
        g_ptr_array_add(paths, g_strdup(*globs));
    }
    g_autoptr(ReadToken) token =
        read_token_new(cli_args_operand(args, 0), g_steal_pointer(&paths), now_s(), expires);
    g_autoptr(ReadTokens) none = read_tokens_new_empty();
    g_autoptr(ReadTokens) one = read_tokens_with(none, token, error);

    return one != NULL ? g_steal_pointer(&token) : NULL;
}

static void write_paths(JsonWriter *w, const ReadToken *token)
{
    json_write_key(w, "paths");
    json_write_array_begin(w);
    for (guint i = 0; i < token->paths->len; i++) {
        json_write_string(w, g_ptr_array_index(token->paths, i));
    }
    json_write_array_end(w);
}

static void write_times(JsonWriter *w, const ReadToken *token)
{
    g_autofree char *created = read_tokens_time_print(token->created);
    g_autofree char *expires = read_tokens_time_print(token->expires);

    json_write_member_string(w, "created", created);
    json_write_key(w, "expires");
    if (expires != NULL) {
        json_write_string(w, expires);
    } else {
        json_write_null(w);
    }
}

static void print_new_json(const ReadToken *token, const char *text, gboolean told)
{
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_member_string(&w, "name", token->name);
        json_write_member_string(&w, "token", text);
        write_paths(&w, token);
        write_times(&w, token);
        json_write_member_boolean(&w, "reloaded", told);
        json_write_object_end(&w);
    }
    puts(out->str);
    explicit_bzero(out->str, out->len);
}

static char *paths_text(const ReadToken *token)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < token->paths->len; i++) {
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               (const char *)g_ptr_array_index(token->paths, i));
    }
    return g_string_free(text, FALSE);
}

static void print_new(const ReadToken *token, const char *text, gboolean told)
{
    g_autofree char *paths = paths_text(token);
    g_autofree char *expires = read_tokens_time_print(token->expires);
    g_autofree char *hint =
        g_strdup_printf("read token %s for %s, %s%s; it is shown this once%s", token->name, paths,
                        expires != NULL ? "until " : "without end", expires != NULL ? expires : "",
                        told ? "; the broker knows it now" : "");

    puts(text);
    terminal_print(stderr, TERMINAL_DIM, hint);
    fputc('\n', stderr);
}

/* What can be done goes behind what is wrong. */
static CliExit fail_with_advice(GError *error, KontorErrorCode code, const char *advice)
{
    if (g_error_matches(error, KONTOR_ERROR, code)) {
        g_autofree char *said = error->message;

        error->message = g_strconcat(said, advice, NULL);
    }
    return cli_fail(error);
}

static CliExit run_new(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data_dir = cli_data_dir(args);
    gboolean told = FALSE;

    signing_init();
    g_autoptr(ReadToken) token = token_from(args, &error);
    if (token == NULL) {
        return cli_fail_usage(error);
    }
    char *text = read_token_draw(token);
    CliExit result = CLI_OK;

    if (!change_file(data_dir, edit_add, token, &error)) {
        result = fail_with_advice(error, KONTOR_ERROR_CONFLICT,
                                  "; 'kontor token revoke' it first, or take another name");
    } else {
        result = tell_broker(data_dir, &told);
        (cli_args_flag(args, "json") ? print_new_json : print_new)(token, text, told);
    }
    explicit_bzero(text, strlen(text));
    g_free(text);
    return result;
}

/* --- token list --- */

static gboolean is_over(const ReadToken *token)
{
    return token->expires <= now_s();
}

static void print_list_json(const ReadTokens *tokens)
{
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_key(&w, "tokens");
        json_write_array_begin(&w);
        for (guint i = 0; i < read_tokens_count(tokens); i++) {
            const ReadToken *token = read_tokens_nth(tokens, i);

            json_write_object_begin(&w);
            json_write_member_string(&w, "name", token->name);
            write_paths(&w, token);
            write_times(&w, token);
            json_write_member_boolean(&w, "expired", is_over(token));
            json_write_object_end(&w);
        }
        json_write_array_end(&w);
        json_write_object_end(&w);
    }
    puts(out->str);
}

static void print_list(const ReadTokens *tokens)
{
    g_autoptr(TerminalTable) table = terminal_table_new(4);

    if (read_tokens_count(tokens) == 0) {
        fputs("no read tokens\n", stderr);
        return;
    }
    terminal_table_add(table, TERMINAL_DIM, "NAME", "CREATED", "EXPIRES", "PATHS");
    for (guint i = 0; i < read_tokens_count(tokens); i++) {
        const ReadToken *token = read_tokens_nth(tokens, i);
        g_autofree char *created = read_tokens_time_print(token->created);
        g_autofree char *expires = read_tokens_time_print(token->expires);
        g_autofree char *paths = paths_text(token);
        g_autofree char *state = is_over(token) ? g_strconcat("expired ", expires, NULL)
                                                : g_strdup(expires != NULL ? expires : "never");

        terminal_table_add(table, is_over(token) ? TERMINAL_BAD : TERMINAL_PLAIN, token->name, created, state,
                           paths);
    }
    terminal_table_print(table, stdout, /* indent= */ 0);
}

static CliExit run_list(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data_dir = cli_data_dir(args);
    g_autofree char *path = read_token_file_path(data_dir);
    g_autoptr(ReadTokens) tokens = NULL;

    signing_init();
    tokens = read_token_file_load(path, &error);
    if (tokens == NULL) {
        return cli_fail(error);
    }
    (cli_args_flag(args, "json") ? print_list_json : print_list)(tokens);
    return CLI_OK;
}

/* --- token revoke --- */

static CliExit run_revoke(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data_dir = cli_data_dir(args);
    const char *name = cli_args_operand(args, 0);
    gboolean told = FALSE;

    signing_init();
    if (!change_file(data_dir, edit_remove, name, &error)) {
        return fail_with_advice(error, KONTOR_ERROR_NOT_FOUND, "; 'kontor token list' shows them");
    }
    CliExit result = tell_broker(data_dir, &told);

    if (cli_args_flag(args, "json")) {
        g_autoptr(GString) out = g_string_new(NULL);
        {
            g_auto(JsonWriter) w;

            json_writer_init(&w, out, JSON_STYLE_PLAIN);
            json_write_object_begin(&w);
            json_write_member_string(&w, "name", name);
            json_write_member_boolean(&w, "reloaded", told);
            json_write_object_end(&w);
        }
        puts(out->str);
    } else {
        printf("revoked %s%s\n", name, told ? "; the broker knows it now" : "");
    }
    return result;
}

/* --- Table --- */

static const CliOption new_options[] = {
    {"path", 0, "GLOB", "private packs that it shows, * ** ? allowed (default: all)", TRUE},
    {"expires", 0, "WHEN", "a duration such as 90d, or a date (default: never)", FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption other_options[] = {CLI_OPTION_DATA, CLI_OPTION_JSON, CLI_OPTION_END};

const CliCommand cmd_token_commands[] = {
    {
        .name = "token new",
        .arguments = "NAME",
        .args_min = 1,
        .args_max = 1,
        .summary = "Make a read token for private packs",
        .details =
            "Prints the token, which is kept nowhere: the data directory knows its hash only. Whoever sends\n"
            "it sees the private packs that its globs name, besides all public ones. A running broker takes\n"
            "it at once.\n",
        .examples =
            "  (umask 077; kontor token new north --path 'medicine/**' --expires 365d > north.token)\n"
            "  kontor token new anna --expires 2027-12-31 --json\n",
        .options = new_options,
        .run = run_new,
    },
    {
        .name = "token list",
        .summary = "Show the names, paths and times of read tokens",
        .examples = "  kontor token list\n  kontor token list --json\n",
        .options = other_options,
        .run = run_list,
    },
    {
        .name = "token revoke",
        .arguments = "NAME",
        .args_min = 1,
        .args_max = 1,
        .summary = "Make a read token worth nothing",
        .details = "Whoever sends it is a stranger from then on.\n",
        .examples = "  kontor token revoke north\n",
        .options = other_options,
        .run = run_revoke,
    },
    {.name = NULL},
};
