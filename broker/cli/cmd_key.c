/* SPDX-License-Identifier: MIT
 *
 * key new, show, fingerprint, import, export. A secret key never reaches standard output, and no file that
 * exists is overwritten.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/key_input.h"
#include "broker/cli/safe_file.h"
#include "broker/cli/terminal.h"
#include "schema/json_writer.h"

#define SECRET_MODE 0600
#define PUBLIC_MODE 0644

/* --- Output --- */

typedef struct {
    const KeyFile *key;
    const char *kind;        /* NULL: not shown */
    const char *secret_path; /* of files that were made; NULL: none */
    const char *public_path;
    gboolean sealed;
} Shown;

static void print_json(const Shown *shown, const char *public_text, const char *fingerprint)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    char number[2 * KEY_NUMBER_BYTES + 1];

    hex_encode(shown->key->number, KEY_NUMBER_BYTES, number);
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "fingerprint", fingerprint);
    json_write_member_string(&w, "public_key", public_text);
    json_write_member_string(&w, "name", shown->key->name);
    json_write_member_string(&w, "number", number);
    if (shown->kind != NULL) {
        json_write_member_string(&w, "kind", shown->kind);
    }
    json_write_member_boolean(&w, "sealed", shown->sealed);
    if (shown->secret_path != NULL) {
        json_write_member_string(&w, "secret_file", shown->secret_path);
    }
    if (shown->public_path != NULL) {
        json_write_member_string(&w, "public_file", shown->public_path);
    }
    json_write_object_end(&w);
    puts(out->str);
}

static void add_row(TerminalTable *table, const char *label, const char *value)
{
    if (value != NULL && *value != '\0') {
        terminal_table_add(table, TERMINAL_PLAIN, label, value);
    }
}

static void print_key(const Shown *shown, gboolean json)
{
    g_autofree char *public_text = base64_encode(shown->key->public_key.bytes, ED25519_PUBLIC_BYTES);
    g_autoptr(TerminalTable) table = terminal_table_new(2);
    char fingerprint[FINGERPRINT_CHARS + 1];

    public_key_fingerprint(&shown->key->public_key, fingerprint);
    if (json) {
        print_json(shown, public_text, fingerprint);
        return;
    }
    add_row(table, "secret key", shown->secret_path);
    add_row(table, "public file", shown->public_path);
    add_row(table, "kind", shown->kind);
    add_row(table, "name", shown->key->name);
    add_row(table, "public key", public_text);
    add_row(table, "fingerprint", fingerprint);
    terminal_table_print(table, stdout, /* indent= */ 0);
}

/* --- Writing key files --- */

/* "x.key" → "x.pub"; anything else gets ".pub" at its end. */
static char *public_path_of(const char *secret_path)
{
    gsize len = strlen(secret_path) - (g_str_has_suffix(secret_path, ".key") ? strlen(".key") : 0);

    return g_strdup_printf("%.*s.pub", (int)len, secret_path);
}

static gboolean check_free(const char *path, GError **error)
{
    GStatBuf status;

    if (g_lstat(path, &status) != 0) {
        return TRUE;
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "%s: exists already and is not overwritten",
                path);
    return FALSE;
}

static gboolean write_secret(const KeyFile *key, const char *path, const char *passphrase, GError **error)
{
    char *text = key_file_print_secret(key->secret, key->name, passphrase, error);
    gboolean good = text != NULL && safe_file_create(path, text, strlen(text), SECRET_MODE, error);

    key_text_free(text);
    return good;
}

static gboolean write_public(const KeyFile *key, const char *path, GError **error)
{
    g_autofree char *text = key_file_print_public(&key->public_key, key->name, key->number);

    return safe_file_create(path, text, strlen(text), PUBLIC_MODE, error);
}

/* Both files or none: half a pair would only stand in the way of the next attempt. */
static gboolean write_files(const KeyFile *key, const char *secret_path, const char *public_path,
                            const char *passphrase, GError **error)
{
    if (!write_secret(key, secret_path, passphrase, error)) {
        return FALSE;
    }
    if (write_public(key, public_path, error)) {
        return TRUE;
    }
    g_unlink(secret_path);
    return FALSE;
}

/* Both files of a secret key; nothing is asked or written when either name is taken. */
static gboolean write_pair(const CliArgs *args, const KeyFile *key, const char *path, gboolean json,
                           GError **error)
{
    g_autofree char *public_path = public_path_of(path);
    char *passphrase = NULL;
    gboolean good;

    if (!check_free(path, error) || !check_free(public_path, error) ||
        !cli_key_new_passphrase(args, &passphrase, error)) {
        return FALSE;
    }
    good = write_files(key, path, public_path, passphrase, error);
    if (good) {
        Shown shown = {
            .key = key, .secret_path = path, .public_path = public_path, .sealed = passphrase != NULL};

        print_key(&shown, json);
    }
    secret_free(passphrase);
    return good;
}

/* --- Commands --- */

/* Sets the name of --name, if given. */
static gboolean apply_name(const CliArgs *args, KeyFile *key, GError **error)
{
    const char *name = cli_args_value(args, "name");

    if (name == NULL) {
        return TRUE;
    }
    if (!key_file_name_check(name, error)) {
        g_prefix_error(error, "--name: ");
        return FALSE;
    }
    g_free(key->name);
    key->name = g_strdup(name);
    return TRUE;
}

/* A random seed, taken in as OCC's raw file would be. */
static KeyFile *new_key(GError **error)
{
    guint8 *seed = secret_alloc(ED25519_SEED_BYTES);
    KeyFile *key;

    random_fill(seed, ED25519_SEED_BYTES);
    key = key_file_parse(seed, ED25519_SEED_BYTES, /* raw_is_secret= */ TRUE, /* passphrase= */ NULL, error);
    secret_free(seed);
    return key;
}

/* --out, or the publisher's key of the data directory, whose directories are made. NULL with an error. */
static char *secret_path(const CliArgs *args, GError **error)
{
    const char *out = cli_args_value(args, "out");
    g_autofree char *data = cli_data_dir(args);
    g_autofree char *keys = g_build_filename(data, "keys", NULL);

    if (out != NULL) {
        return g_strdup(out);
    }
    if (g_mkdir_with_parents(keys, 0700) != 0) {
        kontor_error_set_errno(error, errno, "%s", keys);
        return NULL;
    }
    return g_build_filename(keys, "publisher.key", NULL);
}

static CliExit run_new(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    signing_init();
    g_autoptr(KeyFile) key = new_key(&error);
    if (key == NULL) {
        return cli_fail(error);
    }
    if (!apply_name(args, key, &error)) {
        return cli_fail_usage(error);
    }
    path = secret_path(args, &error);
    if (path == NULL || !write_pair(args, key, path, cli_args_flag(args, "json"), &error)) {
        return cli_fail(error);
    }
    return CLI_OK;
}

static CliExit run_show(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    KeyFileKind kind = KEY_FILE_UNKNOWN;

    signing_init();
    g_autoptr(KeyFile) key = cli_key_public(args, cli_args_operand(args, 0), &kind, &error);
    if (key == NULL) {
        return cli_fail(error);
    }
    Shown shown = {.key = key, .kind = key_file_kind_name(kind), .sealed = kind == KEY_FILE_SECRET_SEALED};
    print_key(&shown, cli_args_flag(args, "json"));
    return CLI_OK;
}

static CliExit run_fingerprint(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    KeyFileKind kind = KEY_FILE_UNKNOWN;
    char fingerprint[FINGERPRINT_CHARS + 1];

    signing_init();
    g_autoptr(KeyFile) key = cli_key_public(args, cli_args_operand(args, 0), &kind, &error);
    if (key == NULL) {
        return cli_fail(error);
    }
    public_key_fingerprint(&key->public_key, fingerprint);
    puts(fingerprint);
    return CLI_OK;
}

static gboolean check_is_foreign(KeyFileKind kind, const char *path, GError **error)
{
    if (kind != KEY_FILE_SECRET && kind != KEY_FILE_SECRET_SEALED && kind != KEY_FILE_PUBLIC) {
        return TRUE;
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: a key file of Kontor already", path);
    return FALSE;
}

static gboolean import_public(const KeyFile *key, const char *out, gboolean json, GError **error)
{
    Shown shown = {.key = key, .public_path = out};

    if (!write_public(key, out, error)) {
        return FALSE;
    }
    print_key(&shown, json);
    return TRUE;
}

static CliExit run_import(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    const char *path = cli_args_operand(args, 0), *out = cli_args_value(args, "out");
    gboolean secret = g_strcmp0(cli_args_value(args, "raw"), "secret") == 0;
    KeyFileKind kind = KEY_FILE_RAW;
    gboolean json = cli_args_flag(args, "json");

    if (out == NULL) {
        g_set_error(&error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "key import: --out is missing");
        return cli_fail_usage(error);
    }
    signing_init();
    g_autoptr(KeyFile) key =
        secret ? cli_key_secret(args, path, &error) : cli_key_public(args, path, &kind, &error);
    if (key == NULL || !check_is_foreign(kind, path, &error)) {
        return cli_fail(error);
    }
    if (!apply_name(args, key, &error)) {
        return cli_fail_usage(error);
    }
    if (secret ? !write_pair(args, key, out, json, &error) : !import_public(key, out, json, &error)) {
        return cli_fail(error);
    }
    return CLI_OK;
}

/* --- Export --- */

/* A format's bytes, for the public key. */
static GBytes *export_public(const KeyFile *key, const char *format)
{
    char *text = NULL;

    if (strcmp(format, "raw-public") == 0) {
        return g_bytes_new(key->public_key.bytes, sizeof key->public_key.bytes);
    }
    if (strcmp(format, "minisign") == 0) {
        text = key_file_print_minisign(&key->public_key, key->number);
    } else if (strcmp(format, "signify") == 0) {
        text = key_file_print_signify(&key->public_key, key->name, key->number);
    } else {
        text = key_file_print_public(&key->public_key, key->name, key->number);
    }
    return g_bytes_new_take(text, strlen(text));
}

static CliExit run_export_public(const CliArgs *args, const char *format)
{
    g_autoptr(GError) error = NULL;
    KeyFileKind kind = KEY_FILE_UNKNOWN;
    g_autoptr(KeyFile) key = cli_key_public(args, cli_args_operand(args, 0), &kind, &error);
    const char *out = cli_args_value(args, "out");

    if (key == NULL) {
        return cli_fail(error);
    }
    g_autoptr(GBytes) bytes = export_public(key, format);
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    if (out == NULL) {
        fwrite(data, 1, len, stdout);
        return CLI_OK;
    }
    return safe_file_create(out, data, len, PUBLIC_MODE, &error) ? CLI_OK : cli_fail(error);
}

static CliExit run_export_secret(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    const char *out = cli_args_value(args, "out");
    guint8 *seed;
    gboolean good;

    if (out == NULL) {
        g_set_error(&error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "key export: a secret key is only written to a file; --out is missing");
        return cli_fail_usage(error);
    }
    g_autoptr(KeyFile) key = cli_key_secret(args, cli_args_operand(args, 0), &error);
    if (key == NULL) {
        return cli_fail(error);
    }
    seed = secret_alloc(ED25519_SEED_BYTES);
    secret_key_seed(key->secret, seed);
    good = safe_file_create(out, (const char *)seed, ED25519_SEED_BYTES, SECRET_MODE, &error);
    secret_free(seed);
    return good ? CLI_OK : cli_fail(error);
}

static CliExit run_export(const CliArgs *args)
{
    static const char *const formats[] = {"kontor", "raw-public", "raw-secret", "minisign", "signify", NULL};
    g_autoptr(GError) error = NULL;
    const char *format = cli_args_value(args, "to");

    if (format == NULL || !g_strv_contains(formats, format)) {
        g_autofree char *list = g_strjoinv(", ", (char **)(gsize)formats);

        g_set_error(&error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "key export: --to is one of %s", list);
        return cli_fail_usage(error);
    }
    signing_init();
    return strcmp(format, "raw-secret") == 0 ? run_export_secret(args) : run_export_public(args, format);
}

/* --- Table --- */

static const CliOption new_options[] = {
    {"out", 0, "FILE", "secret key file (default: keys/publisher.key in the data directory)", FALSE},
    {"name", 0, "NAME", "name of the owner, written into the key files", FALSE},
    {"passphrase", 0, NULL, "seal the key with a passphrase, asked on the terminal", FALSE},
    CLI_OPTION_PASSPHRASE_FD,
    CLI_OPTION_DATA,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption show_options[] = {CLI_OPTION_RAW, CLI_OPTION_JSON, CLI_OPTION_END};
static const CliOption fingerprint_options[] = {CLI_OPTION_RAW, CLI_OPTION_END};
static const CliOption import_options[] = {
    {"out", 0, "FILE", "key file to make", FALSE},
    {"name", 0, "NAME", "name of the owner, written into the key files", FALSE},
    CLI_OPTION_RAW,
    {"passphrase", 0, NULL, "seal a secret key with a passphrase, asked on the terminal", FALSE},
    CLI_OPTION_PASSPHRASE_FD,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption export_options[] = {
    {"to", 0, "FORMAT", "kontor, raw-public, raw-secret, minisign or signify", FALSE},
    {"out", 0, "FILE", "file to make (default for public keys: standard output)", FALSE},
    CLI_OPTION_RAW,
    CLI_OPTION_PASSPHRASE_FD,
    CLI_OPTION_END,
};

const CliCommand cmd_key_commands[] = {
    {
        .name = "key new",
        .summary = "Make an Ed25519 key for signing packs",
        .details = "Writes the secret key with mode 0600 and the public key beside it with the ending .pub.\n"
                   "No existing file is overwritten. A passphrase is never taken from the command line.\n",
        .examples = "  kontor key new --name \"Anna Example\" --passphrase\n"
                    "  kontor key new --out anna.key --passphrase-fd 3 3<passphrase.txt\n",
        .options = new_options,
        .run = run_new,
    },
    {
        .name = "key show",
        .arguments = "FILE|PUB",
        .args_min = 1,
        .args_max = 1,
        .summary = "Show the public part of a key",
        .details =
            "Reads key files of Kontor, OCC (with --raw), minisign and signify, or a public key given as\n"
            "base64. A sealed key is not opened.\n",
        .examples =
            "  kontor key show ~/.kontor/keys/publisher.key\n  kontor key show --raw public signing.pub\n",
        .options = show_options,
        .run = run_show,
    },
    {
        .name = "key fingerprint",
        .arguments = "FILE|PUB",
        .args_min = 1,
        .args_max = 1,
        .summary = "Print the fingerprint that trust lists name",
        .details = "The first 16 characters of the base32 of SHA-256 over the public key.\n",
        .examples = "  kontor key fingerprint anna.pub\n",
        .options = fingerprint_options,
        .run = run_fingerprint,
    },
    {
        .name = "key import",
        .arguments = "FILE",
        .args_min = 1,
        .args_max = 1,
        .summary = "Make a key file from a key of OCC, minisign or signify",
        .details =
            "OCC's raw 32-byte files need --raw secret or --raw public; of minisign and signify, public\n"
            "keys are read. A secret key is written as by 'kontor key new'.\n",
        .examples = "  kontor key import signing.key --raw secret --out anna.key --name Anna\n"
                    "  kontor key import minisign.pub --out anna.pub\n",
        .options = import_options,
        .run = run_import,
    },
    {
        .name = "key export",
        .arguments = "FILE|PUB",
        .args_min = 1,
        .args_max = 1,
        .summary = "Write a key in the format of OCC, minisign or signify",
        .details = "raw-public and raw-secret are OCC's 32-byte files; a secret key needs --out.\n",
        .examples = "  kontor key export anna.pub --to minisign --out minisign.pub\n",
        .options = export_options,
        .run = run_export,
    },
    {.name = NULL},
};
