/* SPDX-License-Identifier: MIT
 *
 * A new key is written aside and linked into place, so that no start ever finds half a key and none replaces
 * a key that is there.
 */
#include "broker/serve/broker_key.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/log.h"
#include "schema/limits.h"
#include "signing/key_file.h"

/* --- Reading --- */

static gboolean check_mode(int fd, const char *path, GError **error)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return kontor_error_set_errno(error, errno, "%s", path);
    if (!S_ISREG(info.st_mode)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: not a regular file", path);
        return FALSE;
    }
    if ((info.st_mode & 077) == 0)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_DENIED,
                "%s: may be read by others (mode %04o); if nobody has, chmod 600 it, else replace it", path,
                (unsigned)(info.st_mode & 07777));
    return FALSE;
}

static gboolean read_bytes(int fd, const char *path, char *buffer, gsize size, gsize *ret_len, GError **error)
{
    *ret_len = 0;
    while (*ret_len < size) {
        ssize_t n = read(fd, buffer + *ret_len, size - *ret_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kontor_error_set_errno(error, errno, "%s", path);
        if (n == 0)
            break;
        *ret_len += (gsize)n;
    }
    return TRUE;
}

static gboolean parse(const char *path, const char *text, gsize len, SecretKey **ret, GError **error)
{
    g_autoptr(KeyFile) file = key_file_parse(text, len, /* raw_is_secret= */ TRUE, NULL, error);
    if (file == NULL) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    if (file->secret == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: a public key, not a secret one", path);
        return FALSE;
    }
    *ret = g_steal_pointer(&file->secret);
    return TRUE;
}

/* NOT_FOUND when there is none. */
static gboolean read_key(const char *path, SecretKey **ret, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return kontor_error_set_errno(error, errno, "%s", path);
    /* One byte more than allowed, so that the parser sees what is too long. */
    char *text = secret_alloc(LIMIT_KEY_FILE_BYTES + 1);
    gsize len = 0;
    gboolean ok = check_mode(fd, path, error) &&
                  read_bytes(fd, path, text, LIMIT_KEY_FILE_BYTES + 1, &len, error) &&
                  parse(path, text, len, ret, error);
    close(fd);
    secret_free(text);
    return ok;
}

/* --- Making --- */

static gboolean sync_directory(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        kontor_error_set_errno(error, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

static gboolean write_new(const char *path, const char *text, GError **error)
{
    gsize len = strlen(text);
    g_unlink(path); /* left over from a start that was cut short */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return kontor_error_set_errno(error, errno, "%s", path);
    gboolean ok = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    int cause = errno;
    close(fd);
    return ok || kontor_error_set_errno(error, cause, "%s", path);
}

static gboolean store(const char *directory, const char *path, const char *text, GError **error)
{
    g_autofree char *aside = g_strconcat(path, ".new", NULL);
    if (!write_new(aside, text, error))
        return FALSE;
    gboolean ok = link(aside, path) == 0 || kontor_error_set_errno(error, errno, "%s", path);
    g_unlink(aside);
    return ok && sync_directory(directory, error);
}

static gboolean make_key(const char *data_dir, const char *directory, const char *path, const char *name,
                         SecretKey **ret, GError **error)
{
    if (g_mkdir(directory, 0700) != 0 && errno != EEXIST)
        return kontor_error_set_errno(error, errno, "%s", directory);
    g_autoptr(SecretKey) secret = secret_key_generate();
    char *text = key_file_print_secret(secret, name, NULL, error);
    if (text == NULL)
        return FALSE;
    gboolean ok = store(directory, path, text, error) && sync_directory(data_dir, error);
    key_text_free(text);
    if (!ok)
        return FALSE;
    char fingerprint[FINGERPRINT_CHARS + 1];
    PublicKey public_key;
    secret_key_public(secret, &public_key);
    public_key_fingerprint(&public_key, fingerprint);
    log_event(LOG_INFO, "broker-key-made", "file", path, "fingerprint", fingerprint, NULL);
    *ret = g_steal_pointer(&secret);
    return TRUE;
}

SecretKey *broker_key_load(const char *data_dir, const char *name, GError **error)
{
    g_autofree char *directory = g_build_filename(data_dir, "keys", NULL);
    g_autofree char *path = g_build_filename(directory, "broker.key", NULL);
    g_autoptr(GError) cause = NULL;
    SecretKey *key = NULL;
    if (read_key(path, &key, &cause))
        return key;
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
        return make_key(data_dir, directory, path, name, &key, error) ? key : NULL;
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}
