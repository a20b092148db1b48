/* SPDX-License-Identifier: MIT
 *
 * trust list, add, remove, revoke: trusted_publishers.yaml, edited in place. The broker that the list belongs
 * to is told when it changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/commands.h"
#include "broker/cli/key_input.h"
#include "broker/cli/reload.h"
#include "broker/cli/safe_file.h"
#include "broker/cli/terminal.h"
#include "broker/config.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "signing/trust_list.h"

/* Which file, and whose. */
typedef struct {
    char *path;
    char *data_dir;
    gboolean of_broker; /* the list that the broker of this data directory reads */
} TrustFile;

static void trust_file_clear(TrustFile *file)
{
    g_free(file->path);
    g_free(file->data_dir);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TrustFile, trust_file_clear)

static gboolean same_file(const char *a, const char *b)
{
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    gboolean same = real_a != NULL && real_b != NULL && strcmp(real_a, real_b) == 0;

    free(real_a);
    free(real_b);
    return same;
}

/* With --file the configuration only says whether it is the broker's own, so it may be wrong then. */
static gboolean trust_file_init(TrustFile *file, const CliArgs *args, GError **error)
{
    const char *path = cli_args_value(args, "file");
    ConfigOverrides overrides = {
        .data_dir = cli_args_value(args, "data"),
        .file = cli_args_value(args, "config"),
    };
    g_autoptr(Config) config = config_load(&overrides, path == NULL ? error : NULL);

    if (config == NULL && path == NULL) {
        return FALSE;
    }
    file->path = g_strdup(path != NULL ? path : config->trust_file);
    file->data_dir = config != NULL ? g_strdup(config->data_dir) : cli_data_dir(args);
    file->of_broker = config != NULL && (path == NULL || same_file(path, config->trust_file));
    return TRUE;
}

/* The text of the list, "" when `may_be_absent` and there is none. */
static char *read_text(const TrustFile *file, gboolean may_be_absent, GError **error)
{
    g_autofree char *text = g_malloc(LIMIT_TRUST_BYTES + 1);
    g_autoptr(GError) reason = NULL;
    gsize len = 0;

    if (!safe_file_read(file->path, LIMIT_TRUST_BYTES, text, &len, NULL, &reason)) {
        if (may_be_absent && g_error_matches(reason, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
            return g_strdup("");
        }
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    if (strlen(text) != len) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: has a NUL byte", file->path);
        return NULL;
    }
    return g_strdup(text);
}

/* --- Listing --- */

static void write_entry(JsonWriter *w, const TrustEntry *entry)
{
    g_autofree char *until = trust_until_print(entry->until);

    json_write_object_begin(w);
    json_write_member_string(w, "fingerprint", entry->fingerprint);
    json_write_member_string(w, "name", entry->name);
    json_write_member_string(w, "since", entry->since);
    json_write_member_string(w, "note", entry->note);
    if (entry->has_key) {
        g_autofree char *key = base64_encode(entry->public_key.bytes, sizeof entry->public_key.bytes);

        json_write_member_string(w, "public_key", key);
    }
    if (until != NULL) {
        json_write_member_string(w, "until", until);
    }
    json_write_member_boolean(w, "revoked", entry->revoked);
    json_write_key(w, "paths");
    json_write_array_begin(w);
    for (guint i = 0; i < entry->paths->len; i++) {
        json_write_string(w, g_ptr_array_index(entry->paths, i));
    }
    json_write_array_end(w);
    json_write_member_integer(w, "line", entry->line);
    json_write_object_end(w);
}

static void print_list_json(const TrustFile *file, const TrustList *list)
{
    const GPtrArray *warnings = trust_list_warnings(list);
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "file", file->path);
    json_write_key(&w, "publishers");
    json_write_array_begin(&w);
    for (guint i = 0; i < trust_list_count(list); i++) {
        write_entry(&w, trust_list_nth(list, i));
    }
    json_write_array_end(&w);
    json_write_key(&w, "warnings");
    json_write_array_begin(&w);
    for (guint i = 0; i < warnings->len; i++) {
        json_write_string(&w, g_ptr_array_index(warnings, i));
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    puts(out->str);
}

static void add_entry_row(TerminalTable *table, const TrustEntry *entry)
{
    g_autofree char *until = trust_until_print(entry->until);
    g_autofree char *state = entry->revoked  ? g_strdup("revoked")
                             : until != NULL ? g_strconcat("until ", until, NULL)
                                             : g_strdup("trusted");
    g_autoptr(GString) paths = g_string_new(entry->paths->len == 0 ? "all paths" : NULL);

    for (guint i = 0; i < entry->paths->len; i++) {
        g_string_append_printf(paths, "%s%s", i > 0 ? ", " : "",
                               (const char *)g_ptr_array_index(entry->paths, i));
    }
    terminal_table_add(table, entry->revoked ? TERMINAL_BAD : TERMINAL_PLAIN, entry->fingerprint, state,
                       entry->name, paths->str);
}

static void print_list(const TrustList *list)
{
    g_autoptr(TerminalTable) table = terminal_table_new(4);
    const GPtrArray *warnings = trust_list_warnings(list);

    for (guint i = 0; i < trust_list_count(list); i++) {
        add_entry_row(table, trust_list_nth(list, i));
    }
    terminal_table_print(table, stdout, /* indent= */ 0);
    for (guint i = 0; i < warnings->len; i++) {
        terminal_print(stderr, TERMINAL_PLAIN, g_ptr_array_index(warnings, i));
        fputc('\n', stderr);
    }
}

static CliExit run_list(const CliArgs *args)
{
    g_auto(TrustFile) file = {0};
    g_autoptr(GError) error = NULL;

    signing_init();
    if (!trust_file_init(&file, args, &error)) {
        return cli_fail_usage(error);
    }
    g_autofree char *text = read_text(&file, /* may_be_absent= */ FALSE, &error);
    g_autoptr(TrustList) list = text != NULL ? trust_list_parse(file.path, text, strlen(text), &error) : NULL;
    if (list == NULL) {
        return cli_fail(error);
    }
    if (cli_args_flag(args, "json")) {
        print_list_json(&file, list);
    } else {
        print_list(list);
    }
    return CLI_OK;
}

/* --- Changing --- */

/* The fingerprint that the operand is or, as a public key or key file, has. */
static gboolean resolve(const CliArgs *args, TrustEntry *entry, GError **error)
{
    const char *operand = cli_args_operand(args, 0);
    KeyFileKind kind = KEY_FILE_UNKNOWN;

    if (trust_fingerprint_parse(operand, entry->fingerprint) && access(operand, F_OK) != 0) {
        return TRUE;
    }
    g_autoptr(KeyFile) key = cli_key_public(args, operand, &kind, error);
    if (key == NULL) {
        g_prefix_error(error, "neither a fingerprint nor a key: ");
        return FALSE;
    }
    public_key_fingerprint(&key->public_key, entry->fingerprint);
    entry->public_key = key->public_key;
    entry->has_key = TRUE;
    entry->name = g_strdup(key->name);
    return TRUE;
}

typedef char *(*Edit)(const char *text, const TrustEntry *entry, GError **error);

static char *edit_remove(const char *text, const TrustEntry *entry, GError **error)
{
    return trust_text_remove(text, entry->fingerprint, error);
}

static char *edit_revoke(const char *text, const TrustEntry *entry, GError **error)
{
    return trust_text_revoke(text, entry->fingerprint, error);
}

/* Reads, edits and replaces while nobody else does. */
static gboolean change_file(const TrustFile *file, Edit edit, const TrustEntry *entry, gboolean *ret_changed,
                            GError **error)
{
    int lock = safe_file_lock(file->path, error);
    gboolean good = FALSE;

    if (lock < 0) {
        return FALSE;
    }
    g_autofree char *text = read_text(file, /* may_be_absent= */ edit == trust_text_add, error);
    if (text != NULL) {
        g_autofree char *edited = edit(text, entry, error);

        *ret_changed = edited != NULL && strcmp(edited, text) != 0;
        good =
            edited != NULL && (!*ret_changed || safe_file_replace(file->path, edited, strlen(edited), error));
        if (edited == NULL) {
            g_prefix_error(error, "%s: ", file->path);
        }
        if (edited == NULL && g_error_matches(*error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT)) {
            g_autofree char *said = (*error)->message;

            (*error)->message =
                g_strconcat(said, "; edit its entry there, or 'kontor trust remove' it first", NULL);
        }
    }
    close(lock);
    return good;
}

static void print_change(const TrustFile *file, const TrustEntry *entry, const char *verb, gboolean changed,
                         gint64 reloaded)
{
    printf("%s %s in ", changed ? verb : "nothing to change for", entry->fingerprint);
    terminal_print(stdout, TERMINAL_PLAIN, file->path);
    fputc('\n', stdout);
    if (reloaded > 0) {
        printf("told the broker (process %" G_GINT64_FORMAT ") to read it again\n", reloaded);
    }
}

static void print_change_json(const TrustFile *file, const TrustEntry *entry, const char *verb,
                              gboolean changed, gint64 reloaded)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "file", file->path);
    json_write_member_string(&w, "fingerprint", entry->fingerprint);
    json_write_member_string(&w, "action", verb);
    json_write_member_boolean(&w, "changed", changed);
    json_write_member_boolean(&w, "reloaded", reloaded > 0);
    json_write_object_end(&w);
    puts(out->str);
}

static CliExit change(const CliArgs *args, Edit edit, const TrustEntry *entry, const char *verb)
{
    g_auto(TrustFile) file = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) reload_error = NULL;
    gboolean changed = FALSE, asked = cli_args_flag(args, "reload");
    gint64 reloaded = 0;

    if (!trust_file_init(&file, args, &error)) {
        return cli_fail_usage(error);
    }
    if (!change_file(&file, edit, entry, &changed, &error)) {
        return cli_fail(error);
    }
    if (asked || (changed && file.of_broker)) {
        reloaded = broker_reload(file.data_dir, &reload_error);
    }
    (cli_args_flag(args, "json") ? print_change_json : print_change)(&file, entry, verb, changed, reloaded);
    /* That no broker runs is only worth a word when it was asked for; that it cannot be told always is. */
    if (reload_error != NULL &&
        (asked || !g_error_matches(reload_error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))) {
        cli_fail(reload_error);
        return CLI_UNREACHABLE;
    }
    return CLI_OK;
}

static void entry_clear(TrustEntry *entry)
{
    g_free(entry->name);
    g_free(entry->since);
    g_free(entry->note);
    g_ptr_array_unref(entry->paths);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TrustEntry, entry_clear)

/* Replaces a text by an option's value, which must not be longer than what is read back. */
static gboolean take_text(const CliArgs *args, const char *option, char **text, GError **error)
{
    const char *value = cli_args_value(args, option);

    if (value == NULL) {
        return TRUE;
    }
    if (strlen(value) > LIMIT_TRUST_TEXT_BYTES || !g_utf8_validate(value, -1, NULL)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--%s is not UTF-8 of at most %d bytes",
                    option, LIMIT_TRUST_TEXT_BYTES);
        return FALSE;
    }
    g_free(*text);
    *text = g_strdup(value);
    return TRUE;
}

static gboolean take_options(const CliArgs *args, TrustEntry *entry, GError **error)
{
    const char *until = cli_args_value(args, "until");
    char **paths = cli_args_values(args, "path");

    if (!take_text(args, "name", &entry->name, error) || !take_text(args, "note", &entry->note, error) ||
        !take_text(args, "since", &entry->since, error)) {
        return FALSE;
    }
    if (until != NULL && !trust_until_parse(until, &entry->until, error)) {
        g_prefix_error(error, "--until: ");
        return FALSE;
    }
    for (; paths != NULL && *paths != NULL; paths++) {
        if (!trust_glob_check(*paths, error)) {
            g_prefix_error(error, "--path: ");
            return FALSE;
        }
        g_ptr_array_add(entry->paths, g_strdup(*paths));
    }
    return TRUE;
}

static CliExit run_add(const CliArgs *args)
{
    g_auto(TrustEntry) entry = {.until = G_MAXINT64, .paths = g_ptr_array_new_with_free_func(g_free)};
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autoptr(GError) error = NULL;

    signing_init();
    entry.since = g_date_time_format(now, "%Y-%m-%d");
    if (!resolve(args, &entry, &error)) {
        return cli_fail(error);
    }
    if (!take_options(args, &entry, &error)) {
        return cli_fail_usage(error);
    }
    return change(args, trust_text_add, &entry, "added");
}

static CliExit run_with_fingerprint(const CliArgs *args, Edit edit, const char *verb)
{
    g_auto(TrustEntry) entry = {.until = G_MAXINT64, .paths = g_ptr_array_new_with_free_func(g_free)};
    g_autoptr(GError) error = NULL;

    signing_init();
    if (!resolve(args, &entry, &error)) {
        return cli_fail(error);
    }
    return change(args, edit, &entry, verb);
}

static CliExit run_remove(const CliArgs *args)
{
    return run_with_fingerprint(args, edit_remove, "removed");
}

static CliExit run_revoke(const CliArgs *args)
{
    return run_with_fingerprint(args, edit_revoke, "revoked");
}

/* --- Table --- */

#define OPTION_FILE                                                                                          \
    {                                                                                                        \
        "file", 0, "FILE", "trust list (default: that of the broker's configuration)", FALSE                 \
    }
#define OPTION_RELOAD                                                                                        \
    {                                                                                                        \
        "reload", 0, NULL, "tell the running broker even when this is not its list", FALSE                   \
    }

static const CliOption list_options[] = {OPTION_FILE, CLI_OPTION_DATA, CLI_OPTION_CONFIG, CLI_OPTION_JSON,
                                         CLI_OPTION_END};
static const CliOption add_options[] = {
    {"name", 0, "NAME", "name of the publisher (default: that of the key file)", FALSE},
    {"note", 0, "TEXT", "a note for people", FALSE},
    {"since", 0, "DATE", "informative (default: today)", FALSE},
    {"until", 0, "DATE", "signatures made later are refused: YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ", FALSE},
    {"path", 0, "GLOB", "packs that the publisher may sign, * ** ? allowed (default: all)", TRUE},
    OPTION_FILE,
    OPTION_RELOAD,
    CLI_OPTION_RAW,
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption change_options[] = {OPTION_FILE,     OPTION_RELOAD,     CLI_OPTION_RAW,
                                           CLI_OPTION_DATA, CLI_OPTION_CONFIG, CLI_OPTION_JSON,
                                           CLI_OPTION_END};

const CliCommand cmd_trust_commands[] = {
    {
        .name = "trust list",
        .summary = "Show whose signatures are trusted",
        .details = "Entries that are wrong are skipped, and named with their line.\n",
        .examples = "  kontor trust list\n  kontor trust list --file trusted_publishers.yaml --json\n",
        .options = list_options,
        .run = run_list,
    },
    {
        .name = "trust add",
        .arguments = "FINGERPRINT|KEY",
        .args_min = 1,
        .args_max = 1,
        .summary = "Trust a publisher",
        .details =
            "KEY is a key file or a public key in base64. The list is edited in place: comments and layout\n"
            "stay. A running broker whose list it is reads it again.\n",
        .examples = "  kontor trust add anna.pub --path 'history/**'\n"
                    "  kontor trust add fuao4jleholdet6v --name Anna --until 2027-12-31\n",
        .options = add_options,
        .run = run_add,
    },
    {
        .name = "trust remove",
        .arguments = "FINGERPRINT|KEY",
        .args_min = 1,
        .args_max = 1,
        .summary = "Take a publisher off the list",
        .details = "To refuse a key for good, revoke it: a removed entry can come back from another list.\n",
        .examples = "  kontor trust remove fuao4jleholdet6v\n",
        .options = change_options,
        .run = run_remove,
    },
    {
        .name = "trust revoke",
        .arguments = "FINGERPRINT|KEY",
        .args_min = 1,
        .args_max = 1,
        .summary = "Refuse a key whatever other lists say",
        .details = "Marks the entry, which stays in the list. Revoking twice changes nothing.\n",
        .examples = "  kontor trust revoke fuao4jleholdet6v\n",
        .options = change_options,
        .run = run_revoke,
    },
    {.name = NULL},
};
