/* SPDX-License-Identifier: MIT
 *
 * Sample packs are copied into a hidden sibling and renamed when complete, so that a broker that runs
 * meanwhile, or an interrupted run, never leaves half a pack behind.
 */
#include "broker/cli/skeleton.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror/store/durable_file.h"
#include "schema/limits.h"

static const char configuration[] =
    "# Configuration of this broker; see kontor.yaml(5). Every key may be left out: the lines below show "
    "the\n"
    "# defaults. 'kontor config check' validates this file, 'kontor config show' prints what is in effect, "
    "and\n"
    "# SIGHUP ('systemctl reload kontor') makes a running broker read it again.\n"
    "\n"
    "# How this broker calls itself; the host name by default.\n"
    "# name: library.example\n"
    "\n"
    "# Where Nodes, browsers and other brokers reach it. [\"::\"]-style addresses stand in brackets: "
    "\"[::]:8000\".\n"
    "# listen: [0.0.0.0:8000]\n"
    "\n"
    "# Where agents and the command line on this host reach it: loopback only, or off.\n"
    "# api: 127.0.0.1:7666\n"
    "\n"
    "# Certificate chain and key (PEM) and where to serve them; relative paths are relative to this "
    "directory.\n"
    "# tls: {cert: fullchain.pem, key: privkey.pem}\n"
    "# listen_tls: [0.0.0.0:8443]\n"
    "\n"
    "# Local packs: one directory per pack, nested as you like.\n"
    "# packs: packs\n"
    "\n"
    "# Whose signatures count, and where they are demanded: required, preferred or off.\n"
    "# trust: trusted_publishers.yaml\n"
    "# signed: {local: preferred, mirrors: required}\n"
    "\n"
    "# Tokens for POST /admin/reindex, one per line.\n"
    "# admin_tokens_file: admin.tokens\n"
    "\n"
    "# Proxies whose X-Forwarded-For is believed.\n"
    "# proxies: [127.0.0.0/8, \"::1\"]\n"
    "\n"
    "# One line per request: format is text, json or auto (text on a terminal); address is truncated, full "
    "or none.\n"
    "# log: {format: auto, address: truncated, access: true}\n"
    "\n"
    "# What strangers may ask for; 0 per minute means no limit. See kontor.yaml(5) for the others.\n"
    "# limits: {search_per_minute: 60, register_per_minute: 60, nodes: 20000}\n"
    "\n"
    "# Git repositories and other brokers that packs are mirrored from; 'kontor mirror add' writes these "
    "lists.\n"
    "# mirrors: []\n"
    "# peers: []\n";

/* --- Files --- */

/* Writes a new file; *ret_created is FALSE when one of that name existed. */
static gboolean create_file(const char *path, const char *data, gsize len, gboolean *ret_created,
                            GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    gboolean good;

    *ret_created = fd >= 0;
    if (fd < 0 && errno == EEXIST) {
        return TRUE;
    }
    if (fd < 0) {
        return kontor_error_set_errno(error, errno, "%s", path);
    }
    good = durable_file_write(fd, data, len);
    if (!good) {
        kontor_error_set_errno(error, errno, "%s", path);
        unlink(path);
    }
    close(fd);
    return good;
}

static gboolean make_directory(const char *path, mode_t mode, gboolean *ret_created, GError **error)
{
    *ret_created = g_mkdir(path, mode) == 0;
    if (!*ret_created && errno != EEXIST) {
        return kontor_error_set_errno(error, errno, "%s", path);
    }
    if (!*ret_created && !g_file_test(path, G_FILE_TEST_IS_DIR)) {
        return kontor_error_set_errno(error, ENOTDIR, "%s", path);
    }
    return TRUE;
}

static gboolean copy_file(const char *from, const char *to, gsize size, GError **error)
{
    g_autofree char *data = NULL;
    gboolean created;
    gsize len = 0;

    if (size > LIMIT_PACK_FILE_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: larger than %d bytes", from,
                    LIMIT_PACK_FILE_BYTES);
        return FALSE;
    }
    errno = 0;
    if (!g_file_get_contents(from, &data, &len, NULL)) {
        return kontor_error_set_errno(error, errno != 0 ? errno : EIO, "%s", from);
    }
    return create_file(to, data, len, &created, error);
}

/* --- Trees --- */

/* Deletes what an interrupted copy left; best effort, because what matters fails afterwards with a message.
 */
static void remove_tree(const char *path, guint depth)
{
    g_autoptr(GDir) dir = depth < LIMIT_PATH_DEPTH ? g_dir_open(path, 0, NULL) : NULL;
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        struct stat info;

        if (lstat(child, &info) == 0 && S_ISDIR(info.st_mode)) {
            remove_tree(child, depth + 1);
        } else {
            unlink(child);
        }
    }
    rmdir(path);
}

static gboolean copy_tree(const char *from, const char *to, guint depth, GError **error);

static gboolean copy_entry(const char *from, const char *to, guint depth, GError **error)
{
    struct stat info;

    if (lstat(from, &info) != 0) {
        return kontor_error_set_errno(error, errno, "%s", from);
    }
    if (S_ISDIR(info.st_mode)) {
        return copy_tree(from, to, depth, error);
    }
    return !S_ISREG(info.st_mode) || copy_file(from, to, (gsize)info.st_size, error);
}

static gboolean copy_tree(const char *from, const char *to, guint depth, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
    gboolean created;
    const char *name;

    if (dir == NULL) {
        return kontor_error_set_errno(error, errno, "%s", from);
    }
    if (depth >= LIMIT_PATH_DEPTH) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: more than %d levels deep", from,
                    LIMIT_PATH_DEPTH);
        return FALSE;
    }
    if (!make_directory(to, 0755, &created, error)) {
        return FALSE;
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(from, name, NULL);
        g_autofree char *copy = g_build_filename(to, name, NULL);

        if (!copy_entry(child, copy, depth + 1, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Copies one sample into packs/ unless its name is taken. */
static gboolean copy_sample(const char *samples, const char *packs, const char *name, gboolean *ret_created,
                            GError **error)
{
    g_autofree char *from = g_build_filename(samples, name, NULL);
    g_autofree char *to = g_build_filename(packs, name, NULL);
    g_autofree char *hidden = g_strconcat(".incoming-", name, NULL);
    g_autofree char *staging = g_build_filename(packs, hidden, NULL);

    *ret_created = !g_file_test(to, G_FILE_TEST_EXISTS);
    if (!*ret_created) {
        return TRUE;
    }
    remove_tree(staging, 0);
    if (!copy_tree(from, staging, 0, error)) {
        remove_tree(staging, 0);
        return FALSE;
    }
    if (rename(staging, to) != 0) {
        return kontor_error_set_errno(error, errno, "%s", to);
    }
    return TRUE;
}

static gboolean copy_samples(const char *samples, const char *packs, SkeletonReport report, gpointer user,
                             GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(samples, 0, NULL);
    const char *name;

    if (dir == NULL) {
        return kontor_error_set_errno(error, errno, "%s", samples);
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *from = g_build_filename(samples, name, NULL);
        g_autofree char *to = g_build_filename(packs, name, NULL);
        gboolean created;

        if (name[0] == '.' || !g_file_test(from, G_FILE_TEST_IS_DIR)) {
            continue;
        }
        if (!copy_sample(samples, packs, name, &created, error)) {
            return FALSE;
        }
        report(to, created, user);
    }
    return TRUE;
}

gboolean skeleton_make(const char *dir, const char *samples, SkeletonReport report, gpointer user,
                       GError **error)
{
    g_autofree char *packs = g_build_filename(dir, "packs", NULL);
    g_autofree char *file = g_build_filename(dir, "kontor.yaml", NULL);
    gboolean existed = g_file_test(dir, G_FILE_TEST_IS_DIR);
    gboolean created;

    if (g_mkdir_with_parents(dir, 0700) != 0) {
        return kontor_error_set_errno(error, errno, "%s", dir);
    }
    report(dir, !existed, user);
    if (!make_directory(packs, 0755, &created, error)) {
        return FALSE;
    }
    report(packs, created, user);
    if (!create_file(file, configuration, strlen(configuration), &created, error)) {
        return FALSE;
    }
    report(file, created, user);
    return samples == NULL || copy_samples(samples, packs, report, user, error);
}
