/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_objects.h"

#include <git2.h>
#include <string.h>

#include "schema/limits.h"
#include "schema/text.h"

struct GitObjects {
    git_repository *repository;
    git_odb *odb;
};

/* --- Errors --- */

void git_objects_set_error(GError **error, KontorErrorCode code, const char *what)
{
    const git_error *last = git_error_last();
    const char *message = last != NULL && last->message != NULL ? last->message : "unknown failure";
    g_autofree char *shown = text_for_message(message, strlen(message));
    gboolean disk_full =
        strstr(message, g_strerror(ENOSPC)) != NULL || strstr(message, g_strerror(EDQUOT)) != NULL;
    if (disk_full || (last != NULL && last->klass == GIT_ERROR_NOMEMORY))
        code = KONTOR_ERROR_LIMIT;
    g_set_error(error, KONTOR_ERROR, code, "%s: %s", what, shown);
}

static gboolean fail_object(GError **error, const GitId *id, const char *kind)
{
    char hex[GIT_ID_HEX_CHARS + 1];
    git_id_hex(id, hex);
    g_autofree char *what = g_strdup_printf("%s %s cannot be read", kind, hex);
    git_objects_set_error(error, KONTOR_ERROR_CORRUPT, what);
    return FALSE;
}

/* --- Life cycle --- */

static void to_oid(const GitId *id, git_oid *ret)
{
    git_oid_fromraw(ret, id->bytes);
}

GitObjects *git_objects_open(const char *path, GError **error)
{
    g_autoptr(GitObjects) objects = g_new0(GitObjects, 1);
    int code = git_repository_open_ext(&objects->repository, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (code == 0)
        code = git_repository_odb(&objects->odb, objects->repository);
    if (code == 0)
        return g_steal_pointer(&objects);
    git_objects_set_error(error, code == GIT_ENOTFOUND ? KONTOR_ERROR_NOT_FOUND : KONTOR_ERROR_IO,
                          code == GIT_ENOTFOUND ? "is no git repository" : "git repository cannot be opened");
    return NULL;
}

void git_objects_close(GitObjects *objects)
{
    if (objects == NULL)
        return;
    git_odb_free(objects->odb);
    git_repository_free(objects->repository);
    g_free(objects);
}

gboolean git_objects_has(GitObjects *objects, const GitId *id)
{
    git_oid oid;
    to_oid(id, &oid);
    return git_odb_exists(objects->odb, &oid) == 1;
}

/* --- References --- */

static gboolean peel(GitObjects *objects, const git_oid *oid, const char *reference, GitId *ret,
                     GError **error)
{
    git_object *object = NULL, *commit = NULL;
    int code = git_object_lookup(&object, objects->repository, oid, GIT_OBJECT_ANY);
    if (code != 0) {
        git_objects_set_error(error, KONTOR_ERROR_CORRUPT, reference);
        return FALSE;
    }
    code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
    if (code == 0)
        memcpy(ret->bytes, git_object_id(commit)->id, GIT_ID_BYTES);
    else if (code == GIT_ENOTFOUND)
        git_objects_set_error(error, KONTOR_ERROR_CORRUPT, reference);
    else
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s does not name a commit", reference);
    git_object_free(commit);
    git_object_free(object);
    return code == 0;
}

gboolean git_objects_resolve(GitObjects *objects, const char *reference, GitId *ret_commit, GError **error)
{
    git_oid oid;
    int code = git_reference_name_to_id(&oid, objects->repository, reference);
    if (code == 0)
        return peel(objects, &oid, reference, ret_commit, error);
    gboolean absent = code == GIT_ENOTFOUND || code == GIT_EINVALIDSPEC || code == GIT_EUNBORNBRANCH;
    git_objects_set_error(error, absent ? KONTOR_ERROR_NOT_FOUND : KONTOR_ERROR_CORRUPT, reference);
    return FALSE;
}

GPtrArray *git_objects_names(GitObjects *objects, gboolean tags, guint count_max, gboolean *ret_more)
{
    const char *prefix = tags ? "refs/tags/" : "refs/heads/";
    g_autofree char *glob = g_strconcat(prefix, "*", NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    git_reference_iterator *iterator = NULL;
    const char *name = NULL;
    *ret_more = FALSE;
    if (git_reference_iterator_glob_new(&iterator, objects->repository, glob) != 0)
        return g_steal_pointer(&names);
    while (!*ret_more && git_reference_next_name(&name, iterator) == 0) {
        *ret_more = names->len >= count_max;
        if (!*ret_more)
            g_ptr_array_add(names, g_strdup(name + strlen(prefix)));
    }
    git_reference_iterator_free(iterator);
    return g_steal_pointer(&names);
}

/* --- Objects --- */

gboolean git_objects_root(GitObjects *objects, const GitId *commit, GitId *ret_tree, GError **error)
{
    git_oid oid;
    git_commit *found = NULL;
    to_oid(commit, &oid);
    if (git_commit_lookup(&found, objects->repository, &oid) != 0)
        return fail_object(error, commit, "commit");
    memcpy(ret_tree->bytes, git_commit_tree_id(found)->id, GIT_ID_BYTES);
    git_commit_free(found);
    return TRUE;
}

/* The object, of that type and of at most `bytes_max` bytes; NULL else. */
static git_odb_object *read_object(GitObjects *objects, const GitId *id, git_object_t type, guint64 bytes_max,
                                   GError **error)
{
    const char *kind = type == GIT_OBJECT_TREE ? "directory" : "file";
    git_oid oid;
    size_t size = 0;
    git_object_t found = GIT_OBJECT_INVALID;
    git_odb_object *object = NULL;
    char hex[GIT_ID_HEX_CHARS + 1];
    to_oid(id, &oid);
    git_id_hex(id, hex);
    if (git_odb_read_header(&size, &found, objects->odb, &oid) != 0) {
        fail_object(error, id, kind);
        return NULL;
    }
    if (found != type) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT, "object %s is no %s", hex, kind);
        return NULL;
    }
    if (size > bytes_max) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "%s %s has %" G_GSIZE_FORMAT " bytes, at most %" G_GUINT64_FORMAT " are allowed", kind,
                    hex, size, bytes_max);
        return NULL;
    }
    if (git_odb_read(&object, objects->odb, &oid) != 0) {
        fail_object(error, id, kind);
        return NULL;
    }
    if (git_odb_object_size(object) == size && git_odb_object_type(object) == type)
        return object;
    git_odb_object_free(object);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT, "%s %s is not what its header says", kind, hex);
    return NULL;
}

GitListing *git_objects_listing(GitObjects *objects, const GitId *tree, GError **error)
{
    git_odb_object *object = read_object(objects, tree, GIT_OBJECT_TREE, LIMIT_GIT_TREE_BYTES, error);
    if (object == NULL)
        return NULL;
    GitListing *listing = git_listing_read(git_odb_object_data(object), git_odb_object_size(object), error);
    git_odb_object_free(object);
    return listing;
}

gboolean git_objects_size(GitObjects *objects, const GitId *file, guint64 *ret_bytes, GError **error)
{
    git_oid oid;
    size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    to_oid(file, &oid);
    if (git_odb_read_header(&size, &type, objects->odb, &oid) != 0)
        return fail_object(error, file, "file");
    if (type != GIT_OBJECT_BLOB) {
        char hex[GIT_ID_HEX_CHARS + 1];
        git_id_hex(file, hex);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT, "object %s is no file", hex);
        return FALSE;
    }
    *ret_bytes = size;
    return TRUE;
}

static void free_object(gpointer object)
{
    git_odb_object_free(object);
}

GBytes *git_objects_file(GitObjects *objects, const GitId *file, guint64 bytes_max, GError **error)
{
    git_odb_object *object = read_object(objects, file, GIT_OBJECT_BLOB, bytes_max, error);
    if (object == NULL)
        return NULL;
    return g_bytes_new_with_free_func(git_odb_object_data(object), git_odb_object_size(object), free_object,
                                      object);
}
