/* SPDX-License-Identifier: MIT */
#include "broker/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "schema/json_writer.h"
#include "schema/scalar.h"

struct DataDir {
    char *path;
    char *endpoints;
    int lock_fd;
};

static gboolean take_lock(DataDir *dir, GError **error)
{
    g_autofree char *file = g_build_filename(dir->path, "pid", NULL);
    dir->lock_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (dir->lock_fd < 0)
        return kontor_error_set_errno(error, errno, "%s", file);
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char owner[24] = "";
        ssize_t n = pread(dir->lock_fd, owner, sizeof owner - 1, 0);
        owner[n > 0 ? n : 0] = '\0';
        g_strstrip(owner);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
                    "data directory %s is in use by another kontor (process %s); stop it, or give this one "
                    "its own with --data",
                    dir->path, owner[0] != '\0' ? owner : "unknown");
        return FALSE;
    }
    g_autofree char *pid = g_strdup_printf("%d\n", (int)getpid());
    gsize len = strlen(pid);
    if (ftruncate(dir->lock_fd, 0) != 0 || pwrite(dir->lock_fd, pid, len, 0) != (ssize_t)len)
        return kontor_error_set_errno(error, errno, "%s", file);
    return TRUE;
}

DataDir *data_dir_take(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0700) != 0) {
        kontor_error_set_errno(error, errno, "data directory %s", path);
        return NULL;
    }
    g_autoptr(DataDir) dir = g_new0(DataDir, 1);
    dir->path = g_strdup(path);
    dir->endpoints = g_build_filename(path, "endpoints.json", NULL);
    dir->lock_fd = -1;
    if (!take_lock(dir, error)) {
        /* It is the other broker's file. */
        g_clear_pointer(&dir->endpoints, g_free);
        return NULL;
    }
    /* Left over from a broker that was killed. */
    g_unlink(dir->endpoints);
    return g_steal_pointer(&dir);
}

void data_dir_release(DataDir *dir)
{
    if (dir == NULL)
        return;
    if (dir->endpoints != NULL)
        g_unlink(dir->endpoints);
    if (dir->lock_fd >= 0) {
        /* Emptied, not deleted: a file deleted under a lock lets two hold "the" lock. Best effort, so that no
         * script signals whatever process has this number by then. */
        if (dir->endpoints != NULL)
            (void)!ftruncate(dir->lock_fd, 0);
        close(dir->lock_fd);
    }
    g_free(dir->endpoints);
    g_free(dir->path);
    g_free(dir);
}

static void write_addresses(JsonWriter *w, const char *key, const char *const *addresses)
{
    json_write_key(w, key);
    json_write_array_begin(w);
    for (guint i = 0; addresses[i] != NULL; i++)
        json_write_string(w, addresses[i]);
    json_write_array_end(w);
}

static void write_address(JsonWriter *w, const char *key, const char *address)
{
    json_write_key(w, key);
    if (address != NULL)
        json_write_string(w, address);
    else
        json_write_null(w);
}

gboolean data_dir_write_endpoints(DataDir *dir, const char *const *listen, const char *const *tls,
                                  const char *api, GError **error)
{
    g_autofree char *started_at = scalar_format_time(g_get_real_time() / G_USEC_PER_SEC);
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, text, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    write_address(&w, "public", listen[0] != NULL ? listen[0] : tls[0]);
    write_address(&w, "api", api);
    json_write_member_integer(&w, "pid", getpid());
    json_write_member_string(&w, "started_at", started_at);
    write_addresses(&w, "listen", listen);
    write_addresses(&w, "tls", tls);
    json_write_object_end(&w);
    g_string_append_c(text, '\n');
    g_autoptr(GError) io_error = NULL;
    if (!g_file_set_contents_full(dir->endpoints, text->str, (gssize)text->len,
                                  G_FILE_SET_CONTENTS_CONSISTENT, 0644, &io_error)) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_IO, io_error->message);
        return FALSE;
    }
    return TRUE;
}
