/* SPDX-License-Identifier: MIT
 *
 * Everything is made relative to the descriptor of the staging directory, and the directory of the latest
 * file stays open, because files come in the order of a tree. Nobody else writes there, and every name is new
 * (NameSet), so that O_EXCL and O_NOFOLLOW only guard against our own mistakes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror/store/dir_tree.h"
#include "mirror/store/durable_file.h"
#include "mirror/store/pack_content.h"
#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_place.h"
#include "mirror/store/release_store_private.h"
#include "schema/limits.h"
#include "schema/name_fold.h"
#include "schema/pack_path.h"
#include "schema/text.h"

struct Staging {
    ReleaseStore *store;
    char *label;   /* for messages */
    char *name;    /* in tmp/ */
    int fd;        /* the staging directory */
    int folder_fd; /* directory of the latest file; -1: none yet */
    char *folder;  /* its name, with a slash at the end; "" is the staging directory itself */
    NameSet *names;
    guint files;
    guint64 bytes;
    gboolean has_digest, is_replacing, is_installed;
    guint8 digest[SHA256_BYTES];
};

/* --- Life cycle --- */

static void close_folder(Staging *staging)
{
    if (staging->folder_fd >= 0)
        close(staging->folder_fd);
    staging->folder_fd = -1;
    g_clear_pointer(&staging->folder, g_free);
}

Staging *staging_new(ReleaseStore *store, const char *path, GError **error)
{
    g_autofree char *name = release_store_new_name("pack");
    int fd = mkdirat(store->tmp_fd, name, 0755) == 0
                 ? openat(store->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                 : -1;
    if (fd < 0) {
        kontor_error_set_errno(error, errno, "%s/%s", store->tmp_dir, name);
        return NULL;
    }
    g_autofree char *shown = text_for_message(path, strlen(path));
    Staging *staging = g_new0(Staging, 1);
    staging->store = store;
    staging->label = g_strdup_printf("pack '%s'", shown);
    staging->name = g_steal_pointer(&name);
    staging->fd = fd;
    staging->folder_fd = -1;
    staging->names = name_set_new();
    return staging;
}

void staging_free(Staging *staging)
{
    if (staging == NULL)
        return;
    close_folder(staging);
    close(staging->fd);
    if (!staging->is_installed)
        dir_tree_remove(staging->store->tmp_fd, staging->name, NULL); /* else the next start does it */
    name_set_free(staging->names);
    g_free(staging->label);
    g_free(staging->name);
    g_free(staging);
}

/* --- What may be staged --- */

static gboolean refuse(const Staging *staging, const char *name, KontorErrorCode code, GError **error,
                       const char *format, ...) G_GNUC_PRINTF(5, 6);
static gboolean refuse(const Staging *staging, const char *name, KontorErrorCode code, GError **error,
                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *rule = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *shown = text_for_message(name, strlen(name));
    g_set_error(error, KONTOR_ERROR, code, "%s: %s: %s", staging->label, shown, rule);
    return FALSE;
}

static gboolean is_of_pack(const char *name)
{
    return strcmp(name, "manifest.yaml") == 0 || strcmp(name, "manifest.sig") == 0 ||
           g_str_has_prefix(name, "wiki/");
}

static gboolean check_name(const Staging *staging, const char *name, GError **error)
{
    if (!pack_path_check(name, error)) {
        g_prefix_error(error, "%s: ", staging->label);
        return FALSE;
    }
    if (!is_of_pack(name))
        return refuse(staging, name, KONTOR_ERROR_MALFORMED, error, "is no file of a pack");
    if (strstr(name, "/.") != NULL)
        return refuse(staging, name, KONTOR_ERROR_MALFORMED, error, "a name may not begin with a dot");
    return TRUE;
}

static gboolean check_size(const Staging *staging, const char *name, guint64 len, GError **error)
{
    guint64 bytes_max = pack_place_file_bytes_max(name);
    if (staging->files >= LIMIT_PACK_FILES)
        return refuse(staging, name, KONTOR_ERROR_LIMIT, error, "a pack may have at most %d files",
                      LIMIT_PACK_FILES);
    if (len > bytes_max)
        return refuse(staging, name, KONTOR_ERROR_LIMIT, error,
                      "%" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT " are allowed", len,
                      bytes_max);
    return staging->bytes + len <= LIMIT_PACK_BYTES ||
           refuse(staging, name, KONTOR_ERROR_LIMIT, error, "with this file the pack is larger than %d bytes",
                  LIMIT_PACK_BYTES);
}

static gboolean add_name(Staging *staging, const char *name, GError **error)
{
    const char *other = name_set_add(staging->names, name);
    if (other == NULL)
        return TRUE;
    if (strcmp(other, name) == 0)
        return refuse(staging, name, KONTOR_ERROR_MALFORMED, error, "is there twice");
    g_autofree char *shown = text_for_message(other, strlen(other));
    return refuse(staging, name, KONTOR_ERROR_MALFORMED, error, "collides with %s", shown);
}

/* --- Directories --- */

/* FALSE with errno set. */
static gboolean enter(int *at_fd, int root_fd, const char *segment)
{
    gboolean made = mkdirat(*at_fd, segment, 0755) == 0 || errno == EEXIST;
    int next = made ? openat(*at_fd, segment, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    int saved = errno;
    if (*at_fd != root_fd)
        close(*at_fd);
    errno = saved;
    *at_fd = next;
    return next >= 0;
}

static int make_folder(int root_fd, const char *folder)
{
    g_auto(GStrv) segments = g_strsplit(folder, "/", -1);
    int fd = root_fd;
    for (guint i = 0; segments[i] != NULL && segments[i][0] != '\0'; i++)
        if (!enter(&fd, root_fd, segments[i]))
            return -1;
    return fd;
}

/* The descriptor of the directory that the file belongs into, and its name there; -1 with errno set. */
static int folder_of(Staging *staging, const char *name, const char **ret_base)
{
    const char *slash = strrchr(name, '/');
    gsize len = slash != NULL ? (gsize)(slash - name) + 1 : 0;
    *ret_base = name + len;
    if (len == 0)
        return staging->fd;
    if (staging->folder != NULL && strlen(staging->folder) == len && strncmp(staging->folder, name, len) == 0)
        return staging->folder_fd;
    close_folder(staging);
    g_autofree char *folder = g_strndup(name, len);
    staging->folder_fd = make_folder(staging->fd, folder);
    if (staging->folder_fd >= 0)
        staging->folder = g_steal_pointer(&folder);
    return staging->folder_fd;
}

/* --- Files --- */

static gboolean write_file(int folder_fd, const char *base, const void *data, gsize len)
{
    int fd = openat(folder_fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (fd < 0)
        return FALSE;
    gboolean good = durable_file_write(fd, data, len);
    int saved = errno;
    if (close(fd) != 0 && good) {
        saved = errno;
        good = FALSE;
    }
    errno = saved;
    return good;
}

static gboolean set_file_error(const Staging *staging, const char *name, int errno_value, GError **error)
{
    g_autofree char *shown = text_for_message(name, strlen(name));
    return kontor_error_set_errno(error, errno_value, "%s: %s", staging->label, shown);
}

/* Looks now and then only; a file takes more than its bytes, at least a block or two. */
static gboolean check_disk(Staging *staging, gsize len, GError **error)
{
    enum { FILE_OVERHEAD_BYTES = 8192 };
    ReleaseStore *store = staging->store;
    StoreUsage usage = {0};
    store->unchecked_bytes += len + FILE_OVERHEAD_BYTES;
    if (store->unchecked_bytes < LIMIT_STORE_DISK_CHECK_BYTES)
        return TRUE;
    if (!release_store_space(store, &usage, error))
        return FALSE;
    if (usage.disk_free_bytes >= store->disk_free_min_bytes) {
        store->unchecked_bytes = 0;
        return TRUE;
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                "store full: %" G_GUINT64_FORMAT " bytes left on the disk", usage.disk_free_bytes);
    return FALSE;
}

gboolean staging_add(Staging *staging, const char *name, const void *data, gsize len, GError **error)
{
    const char *base = NULL;
    if (!check_name(staging, name, error) || !check_size(staging, name, len, error) ||
        !check_disk(staging, len, error) || !add_name(staging, name, error))
        return FALSE;
    int folder_fd = folder_of(staging, name, &base);
    if (folder_fd < 0 || !write_file(folder_fd, base, data, len))
        return set_file_error(staging, name, errno, error);
    staging->files++;
    staging->bytes += len;
    return TRUE;
}

/* --- Links --- */

/* The size of a file of an installed release, whose bytes have the hash. */
static gboolean check_installed(const Staging *staging, const char *source, const char *name,
                                const guint8 hash[SHA256_BYTES], guint64 *ret_size, GError **error)
{
    guint8 is[SHA256_BYTES];
    PackDirKind kind = PACK_DIR_SPECIAL;
    FileIdentity identity = {0};
    int releases_fd = staging->store->releases_fd;
    g_autofree char *folder = g_path_get_dirname(source);
    g_autoptr(PackDir) dir = pack_dir_open(releases_fd, folder, error);
    if (dir == NULL || !pack_dir_stat(dir, strrchr(source, '/') + 1, &kind, &identity, error)) {
        g_prefix_error(error, "%s: ", staging->label);
        return FALSE;
    }
    if (kind != PACK_DIR_FILE)
        return refuse(staging, name, KONTOR_ERROR_NOT_FOUND, error, "is no file of the installed release");
    if (!check_size(staging, name, identity.size, error))
        return FALSE;
    g_autoptr(GBytes) bytes = pack_dir_read_file(releases_fd, source, &identity, error);
    if (bytes == NULL)
        return FALSE;
    *ret_size = g_bytes_get_size(bytes);
    sha256(g_bytes_get_data(bytes, NULL), *ret_size, is);
    return memcmp(is, hash, SHA256_BYTES) == 0 ||
           refuse(staging, name, KONTOR_ERROR_CORRUPT, error, "has other bytes in the installed release");
}

gboolean staging_link(Staging *staging, const char *name, const guint8 digest[SHA256_BYTES],
                      const char *from_name, const guint8 hash[SHA256_BYTES], GError **error)
{
    const char *base = NULL;
    char release[SHA256_HEX_CHARS + 1];
    guint64 size = 0;
    if (!check_name(staging, name, error) || !check_name(staging, from_name, error))
        return FALSE;
    release_store_name_of(digest, release);
    g_autofree char *source = g_strconcat(release, "/", from_name, NULL);
    if (!check_installed(staging, source, name, hash, &size, error))
        return FALSE;
    int folder_fd = folder_of(staging, name, &base);
    if (folder_fd < 0)
        return set_file_error(staging, name, errno, error);
    /* The name is taken only when the link is there, so that the caller may add the file instead. */
    if (linkat(staging->store->releases_fd, source, folder_fd, base, 0) != 0)
        return errno == EEXIST ? refuse(staging, name, KONTOR_ERROR_MALFORMED, error, "is there twice")
                               : set_file_error(staging, name, errno, error);
    if (!add_name(staging, name, error)) {
        unlinkat(folder_fd, base, 0);
        return FALSE;
    }
    staging->files++;
    staging->bytes += size;
    return TRUE;
}

/* --- Content --- */

PackContent *staging_content(Staging *staging, guint threads, GBytes **ret_sig, GError **error)
{
    g_autoptr(GError) cause = NULL;
    PackContent *content = pack_content_of_settled(staging->store->tmp_fd, staging->store->tmp_dir,
                                                   staging->name, threads, ret_sig, &cause);
    if (content != NULL)
        return content;
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND) && staging->files == 0) {
        if (ret_sig != NULL)
            *ret_sig = NULL;
        return pack_content_new();
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", staging->label);
    return NULL;
}

/* --- For the installer --- */

void staging_set_digest(Staging *staging, const guint8 digest[SHA256_BYTES])
{
    memcpy(staging->digest, digest, SHA256_BYTES);
    staging->has_digest = TRUE;
}

void staging_set_replacing(Staging *staging)
{
    staging->is_replacing = TRUE;
}

gboolean staging_is_replacing(const Staging *staging)
{
    return staging->is_replacing;
}

const char *staging_name(const Staging *staging)
{
    return staging->name;
}

guint staging_files(const Staging *staging)
{
    return staging->files;
}

const guint8 *staging_digest(const Staging *staging)
{
    return staging->has_digest ? staging->digest : NULL;
}

const char *staging_label(const Staging *staging)
{
    return staging->label;
}

gboolean staging_stamp(Staging *staging, GError **error)
{
    return futimens(staging->fd, NULL) == 0 || kontor_error_set_errno(error, errno, "%s", staging->label);
}

void staging_set_installed(Staging *staging)
{
    staging->is_installed = TRUE;
}
