/* SPDX-License-Identifier: MIT */
#include "mirror/agent/source_files.h"

#include <fcntl.h>
#include <glib/gstdio.h>

#include "mirror/agent/git_sync.h"
#include "mirror/agent/peer_sync.h"
#include "mirror/store/db.h"
#include "mirror/store/dir_tree.h"

typedef struct {
    const char *store_dir;
    GHashTable *used; /* of char *: names of files */
    gboolean dry_run;
    SourceFiles *counts;
} Collector;

/* FALSE when it is still there. */
typedef gboolean (*RemoveFunc)(const Collector *collector, const char *path);

static gboolean remove_copy(const Collector *collector, const char *path)
{
    g_autofree char *name = g_strdup_printf("unused.%" G_GINT64_FORMAT, g_get_real_time());
    g_autofree char *trash = g_build_filename(collector->store_dir, "tmp", name, NULL);
    if (g_rename(path, trash) != 0)
        return FALSE;
    dir_tree_remove(AT_FDCWD, trash, NULL); /* else whoever cleans tmp/ does it */
    return TRUE;
}

static gboolean remove_peer(const Collector *collector G_GNUC_UNUSED, const char *path)
{
    return db_delete(path, NULL);
}

static void collect(const Collector *collector, const char *directory, const char *suffix, RemoveFunc remove)
{
    g_autofree char *parent = g_build_filename(collector->store_dir, directory, NULL);
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        if (!g_str_has_suffix(name, suffix) || g_hash_table_contains(collector->used, name))
            continue;
        g_autofree char *path = g_build_filename(parent, name, NULL);
        guint64 bytes = dir_tree_bytes(AT_FDCWD, path);
        if (!collector->dry_run && !remove(collector, path)) {
            collector->counts->failed++;
            continue;
        }
        collector->counts->removed++;
        collector->counts->removed_bytes += bytes;
    }
}

static char *name_of(const MirrorSource *source)
{
    return source->kind == SOURCE_PEER ? peer_sync_state_name(source) : git_sync_copy_name(source);
}

void source_files_collect(const char *store_dir, const GPtrArray *sources, gboolean dry_run, SourceFiles *ret)
{
    *ret = (SourceFiles){0};
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < sources->len; i++) {
        char *name = name_of(g_ptr_array_index(sources, i));
        if (name != NULL)
            g_hash_table_add(used, name);
    }
    const Collector collector = {store_dir, used, dry_run, ret};
    collect(&collector, "git", ".git", remove_copy);
    collect(&collector, "peers", ".db", remove_peer);
}
