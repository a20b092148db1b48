/* SPDX-License-Identifier: MIT */
#include "mirror/store/pack_hash.h"

#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_scan.h"
#include "schema/limits.h"

static gboolean stays_unread(const GError *cause)
{
    return g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_DENIED) ||
           g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_IO);
}

/* Messages of pack_dir begin with the path below the root, of which a warning needs only the file's name. */
static void warn_unread(CatalogPack *place, const CatalogFile *file, const GError *cause)
{
    if (place->warnings->len >= LIMIT_PACK_WARNINGS)
        return;
    const char *what = cause->code == KONTOR_ERROR_DENIED ? "may not be read" : "cannot be read";
    g_ptr_array_add(place->warnings, g_strdup_printf("%s: %s", file->name, what));
}

static gboolean hash_file(int root_fd, CatalogPack *place, CatalogFile *file, GError **error)
{
    g_autofree char *path = g_strconcat(place->disk, "/", file->name, NULL);
    g_autoptr(GError) cause = NULL;
    g_autoptr(GBytes) raw = pack_dir_read_file(root_fd, path, &file->identity, &cause);
    if (raw == NULL && stays_unread(cause)) {
        warn_unread(place, file, cause);
        return TRUE;
    }
    if (raw == NULL) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_autoptr(GBytes) served = pack_file_served_form(file, raw, file->sha256, NULL);
    file->served_size = (guint32)g_bytes_get_size(served);
    file->has_sha256 = TRUE;
    return TRUE;
}

gboolean pack_hash_files(int root_fd, CatalogPack *place, GError **error)
{
    for (guint i = 0; i < place->file_count; i++)
        if (!hash_file(root_fd, place, &place->files[i], error))
            return FALSE;
    return TRUE;
}
