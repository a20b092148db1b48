/* SPDX-License-Identifier: MIT */
#include "broker/cli/key_input.h"

#include <string.h>
#include <unistd.h>

#include "broker/cli/passphrase.h"
#include "broker/cli/safe_file.h"
#include "schema/limits.h"

typedef struct {
    char *bytes; /* guarded */
    gsize len;
    mode_t mode;
    KeyFileKind kind;
    gboolean raw_is_secret;
} KeyBytes;

static void key_bytes_clear(KeyBytes *bytes)
{
    secret_free(bytes->bytes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KeyBytes, key_bytes_clear)

/* What --raw says; only a raw file needs it. */
static gboolean parse_raw(const CliArgs *args, KeyBytes *bytes, GError **error)
{
    const char *raw = cli_args_value(args, "raw");

    bytes->raw_is_secret = g_strcmp0(raw, "secret") == 0;
    if (raw != NULL && !bytes->raw_is_secret && strcmp(raw, "public") != 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--raw is secret or public, not '%s'", raw);
        return FALSE;
    }
    if (raw == NULL && bytes->kind == KEY_FILE_RAW) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "32 raw bytes: say with --raw whether they are a secret or a public key");
        return FALSE;
    }
    return TRUE;
}

static gboolean read_bytes(const CliArgs *args, const char *path, KeyBytes *ret, GError **error)
{
    ret->bytes = secret_alloc(LIMIT_KEY_FILE_BYTES + 1);
    if (!safe_file_read(path, LIMIT_KEY_FILE_BYTES, ret->bytes, &ret->len, &ret->mode, error)) {
        return FALSE;
    }
    ret->kind = key_file_kind(ret->bytes, ret->len);
    if (!parse_raw(args, ret, error)) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_mode(const KeyBytes *bytes, GError **error)
{
    if (bytes->kind == KEY_FILE_SECRET_SEALED || !S_ISREG(bytes->mode) || (bytes->mode & 077) == 0) {
        return TRUE;
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_DENIED,
                "other users may read this secret key (mode %04o); protect it with chmod 600",
                bytes->mode & 07777);
    return FALSE;
}

static gboolean check_is_secret(const KeyBytes *bytes, GError **error)
{
    if (bytes->kind == KEY_FILE_SECRET || bytes->kind == KEY_FILE_SECRET_SEALED ||
        (bytes->kind == KEY_FILE_RAW && bytes->raw_is_secret)) {
        return TRUE;
    }
    if (bytes->kind == KEY_FILE_UNKNOWN) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "not a key file");
    } else {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "a public key, but the secret key is needed here");
    }
    return FALSE;
}

/* The passphrase from --passphrase-fd; NULL without an error when that was not given. */
static char *passphrase_of_fd(const CliArgs *args, GError **error)
{
    gint64 fd = -1;

    if (!cli_args_integer(args, "passphrase-fd", 0, G_MAXINT32, &fd, error) || fd < 0) {
        return NULL;
    }
    return passphrase_read((int)fd, error);
}

static KeyFile *open_key(const CliArgs *args, const KeyBytes *bytes, GError **error)
{
    g_autoptr(GError) reason = NULL;
    char *passphrase = NULL;
    KeyFile *file;

    if (bytes->kind == KEY_FILE_SECRET_SEALED) {
        passphrase = passphrase_of_fd(args, &reason);
        if (passphrase == NULL && reason == NULL) {
            passphrase = passphrase_ask("Passphrase of the key", /* twice= */ FALSE, &reason);
        }
        if (passphrase == NULL) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return NULL;
        }
    }
    file = key_file_parse(bytes->bytes, bytes->len, bytes->raw_is_secret, passphrase, error);
    secret_free(passphrase);
    return file;
}

KeyFile *cli_key_secret(const CliArgs *args, const char *path, GError **error)
{
    g_auto(KeyBytes) bytes = {0};
    KeyFile *file;

    if (!read_bytes(args, path, &bytes, error)) {
        return NULL;
    }
    file = check_is_secret(&bytes, error) && check_mode(&bytes, error) ? open_key(args, &bytes, error) : NULL;
    if (file == NULL) {
        g_prefix_error(error, "%s: ", path);
    }
    return file;
}

KeyFile *cli_key_public(const CliArgs *args, const char *path_or_key, KeyFileKind *ret_kind, GError **error)
{
    g_auto(KeyBytes) bytes = {0};
    PublicKey key;
    KeyFile *file;

    if (base64_decode_exact(path_or_key, key.bytes, sizeof key.bytes) && access(path_or_key, F_OK) != 0) {
        *ret_kind = KEY_FILE_RAW;
        return key_file_parse_public(key.bytes, sizeof key.bytes, FALSE, error);
    }
    if (!read_bytes(args, path_or_key, &bytes, error)) {
        return NULL;
    }
    *ret_kind = bytes.kind;
    file = key_file_parse_public(bytes.bytes, bytes.len, bytes.raw_is_secret, error);
    if (file == NULL) {
        g_prefix_error(error, "%s: ", path_or_key);
    }
    return file;
}

gboolean cli_key_new_passphrase(const CliArgs *args, char **ret, GError **error)
{
    g_autoptr(GError) reason = NULL;

    *ret = passphrase_of_fd(args, &reason);
    if (*ret == NULL && reason == NULL && cli_args_flag(args, "passphrase")) {
        *ret = passphrase_ask("Passphrase for the new key", /* twice= */ TRUE, &reason);
    }
    if (reason != NULL) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return FALSE;
    }
    return TRUE;
}
