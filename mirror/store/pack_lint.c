/* SPDX-License-Identifier: MIT */
#include "mirror/store/pack_lint.h"

#include "mirror/store/durable_file.h"
#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_scan.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is done with each file; FALSE with `error` ends the walk. */
typedef gboolean (*Visit)(const LintFile *file, gpointer user, GError **error);

typedef struct {
    int root_fd;
    Visit visit;
    gpointer user;
    guint entries; /* seen so far */
} Walk;

static gboolean visit_unread(Walk *walk, const char *name, LintKind kind, GError **error)
{
    LintFile file = {.name = name, .kind = kind};
    return walk->visit(&file, walk->user, error);
}

/* Files too large are shown without their bytes. */
static gboolean visit_file(Walk *walk, const char *name, const FileIdentity *identity, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GBytes) bytes = NULL;
    if (identity->size <= lint_size_limit(name)) {
        bytes = pack_dir_read_file(walk->root_fd, name, identity, &cause);
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_DENIED))
            return visit_unread(walk, name, LINT_UNREADABLE, error);
        if (bytes == NULL) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
    }
    LintFile file = {
        .name = name,
        .kind = LINT_FILE,
        .is_text = pack_file_is_text(name),
        .size = identity->size,
        .bytes = bytes,
    };
    return walk->visit(&file, walk->user, error);
}

static gboolean walk_directory(Walk *walk, PackDir *dir, GString *name, GError **error);

static gboolean walk_child(Walk *walk, PackDir *parent, const char *segment, GString *name, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(PackDir) dir = pack_dir_open_child(parent, segment, name->str, &cause);
    if (dir != NULL)
        return walk_directory(walk, dir, name, error);
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_DENIED))
        return visit_unread(walk, name->str, LINT_UNREADABLE, error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean walk_entry(Walk *walk, PackDir *dir, const char *segment, PackDirKind kind, GString *name,
                           GError **error)
{
    FileIdentity identity;
    /* Names that are none are shown for their names and not looked into. */
    if (segment[0] == '.' || !pack_path_check(name->str, NULL))
        return visit_unread(walk, name->str, LINT_SPECIAL, error);
    switch (kind) {
    case PACK_DIR_DIRECTORY:
        return walk_child(walk, dir, segment, name, error);
    case PACK_DIR_SYMLINK:
        return visit_unread(walk, name->str, LINT_SYMLINK, error);
    case PACK_DIR_SPECIAL:
        return visit_unread(walk, name->str, LINT_SPECIAL, error);
    case PACK_DIR_FILE:
        return pack_dir_stat(dir, segment, &kind, &identity, error) &&
               (kind != PACK_DIR_FILE || visit_file(walk, name->str, &identity, error));
    }
    g_assert_not_reached();
}

/* Recursion ends at LIMIT_PATH_DEPTH, because longer names are not looked into. */
static gboolean walk_directory(Walk *walk, PackDir *dir, GString *name, GError **error)
{
    gsize len = name->len;
    const char *segment = NULL;
    PackDirKind kind;
    /* One more than allowed, so that the limit is seen to be exceeded. */
    while (walk->entries <= LIMIT_PACK_FILES + 1) {
        if (!pack_dir_next(dir, &segment, &kind, error))
            return FALSE;
        if (segment == NULL)
            break;
        walk->entries++;
        g_string_append_printf(name, "/%s", segment);
        gboolean good = walk_entry(walk, dir, segment, kind, name, error);
        g_string_truncate(name, len);
        if (!good)
            return FALSE;
    }
    return TRUE;
}

/* manifest.yaml, manifest.sig or wiki at the top, if there is one. */
static gboolean walk_top(Walk *walk, PackDir *top, const char *name, GError **error)
{
    PackDirKind kind;
    FileIdentity identity;
    g_autoptr(GError) cause = NULL;
    if (!pack_dir_stat(top, name, &kind, &identity, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_autoptr(GString) path = g_string_new(name);
    return walk_entry(walk, top, name, kind, path, error);
}

static gboolean walk_pack(const char *directory, Visit visit, gpointer user, GError **error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return kontor_error_set_errno(error, errno, "%s", directory);
    Walk walk = {.root_fd = fd, .visit = visit, .user = user};
    g_autoptr(PackDir) top = pack_dir_open(fd, "", error);
    gboolean good = top != NULL && walk_top(&walk, top, "manifest.yaml", error) &&
                    walk_top(&walk, top, "manifest.sig", error) && walk_top(&walk, top, "wiki", error);
    close(fd);
    return good;
}

static gboolean show_to_lint(const LintFile *file, gpointer user, GError **error)
{
    (void)error;
    lint_add(user, file);
    return TRUE;
}

Lint *pack_lint_directory(const char *directory, const char *path, GError **error)
{
    g_autoptr(Lint) lint = lint_new(path);
    if (!walk_pack(directory, show_to_lint, lint, error))
        return NULL;
    lint_finish(lint);
    return g_steal_pointer(&lint);
}

/* --- Repairing --- */

typedef struct {
    const char *directory;
    PackLintFixed fixed;
    gpointer user;
} Repair;

static gboolean repair_file(const LintFile *file, gpointer user, GError **error)
{
    Repair *repair = user;
    if (file->kind != LINT_FILE || !file->is_text || file->bytes == NULL ||
        strcmp(file->name, "manifest.sig") == 0)
        return TRUE;
    g_autoptr(GBytes) fixed = lint_fix_text(file->name, file->bytes);
    if (fixed == file->bytes)
        return TRUE;
    g_autofree char *path = g_build_filename(repair->directory, file->name, NULL);
    struct stat status;
    gsize len = 0;
    const void *data = g_bytes_get_data(fixed, &len);
    if (lstat(path, &status) != 0)
        return kontor_error_set_errno(error, errno, "%s", path);
    if (!durable_file_replace(path, data, len, status.st_mode & 0777, error))
        return FALSE;
    repair->fixed(file->name, repair->user);
    return TRUE;
}

gboolean pack_lint_fix(const char *directory, PackLintFixed fixed, gpointer user, GError **error)
{
    Repair repair = {.directory = directory, .fixed = fixed, .user = user};
    return walk_pack(directory, repair_file, &repair, error);
}
