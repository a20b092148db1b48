/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_origin.h"

#include <curl/curl.h>
#include <git2.h>
#include <string.h>

#include "mirror/agent/git_copy.h"
#include "mirror/agent/git_memory.h"
#include "mirror/agent/source_check.h"
#include "schema/limits.h"
#include "schema/text.h"
#include "signing/hash.h"

enum { NAMES_SHOWN = 5, COPY_NAME_BYTES = 16 };

/* --- libgit2 --- */

/* These fail only when we ask for what the library does not know. */
static void must(int code)
{
    g_assert(code >= 0);
}

/* Nobody's configuration but that of the repositories themselves, of which nothing is executed, is read. The
 * owner of a repository on this machine does not matter, for the same reason. */
static void isolate(void)
{
    static const int levels[] = {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL,
                                 GIT_CONFIG_LEVEL_PROGRAMDATA};
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++)
        must(git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], ""));
    must(git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, ""));
    must(git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0));
}

static void harden(void)
{
    must(git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)LIMIT_GIT_OBJECTS));
#ifdef KONTOR_GIT_LIMITS_OBJECTS
    must(git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, (size_t)LIMIT_GIT_OBJECT_BYTES));
#endif
    /* Pack files are mapped into memory piece by piece: else a large one alone takes all addresses that the
     * agent may have. */
    must(git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)LIMIT_GIT_WINDOW_BYTES));
    must(git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)LIMIT_GIT_MAPPED_BYTES));
    must(git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1));
    must(git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1));
}

void git_origin_init(void)
{
    static gsize once;
    if (!g_once_init_enter(&once))
        return;
    git_memory_init(LIMIT_GIT_MEMORY_BYTES);
    must(git_libgit2_init());
    isolate();
    harden();
    must(-(int)curl_global_init(CURL_GLOBAL_DEFAULT));
    g_once_init_leave(&once, 1);
}

/* --- Life cycle --- */

void git_origin_clear(GitOrigin *origin)
{
    g_clear_pointer(&origin->repository, g_free);
}

/* --- Repositories on this machine --- */

static char *local_path(const char *url, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (*url == '/')
        return g_strdup(url);
    char *path = g_filename_from_uri(url, NULL, &cause);
    if (path == NULL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the URL names no file: %s", cause->message);
    return path;
}

static gboolean fail_local_reference(GitObjects *objects, const MirrorSource *source, GError **error)
{
    gboolean more = FALSE;
    gboolean tags = source->ref != NULL && source->ref_is_tag;
    g_autoptr(GPtrArray) names = git_objects_names(objects, tags, NAMES_SHOWN, &more);
    return git_origin_fail_reference(source, names, more, error);
}

static gboolean open_local(const MirrorSource *source, GitOrigin *ret, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *path = local_path(source->url, error);
    if (path == NULL)
        return FALSE;
    g_autoptr(GitObjects) objects = git_objects_open(path, error);
    if (objects == NULL)
        return FALSE;
    g_autofree char *reference = git_origin_reference(source);
    if (!git_objects_resolve(objects, reference, &ret->commit, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return fail_local_reference(objects, source, error);
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    ret->repository = g_steal_pointer(&path);
    return TRUE;
}

/* --- References --- */

char *git_origin_reference(const MirrorSource *source)
{
    if (source->ref == NULL)
        return g_strdup("HEAD");
    return g_strconcat(source->ref_is_tag ? "refs/tags/" : "refs/heads/", source->ref, NULL);
}

gboolean git_origin_fail_reference(const MirrorSource *source, GPtrArray *names, gboolean more,
                                   GError **error)
{
    gboolean tag = source->ref != NULL && source->ref_is_tag;
    g_autoptr(GString) known = g_string_new(NULL);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *shown = text_for_message(name, strlen(name));
        g_string_append_printf(known, "%s%s", i > 0 ? ", " : "", shown);
    }
    if (more)
        g_string_append(known, " and others");
    if (names->len == 0 && !tag)
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                            "the repository is empty: it has no branch");
    else if (source->ref == NULL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "its HEAD names a branch that does not exist; name one of: %s", known->str);
    else
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "no %s '%s'; there %s%s",
                    tag ? "tag" : "branch", source->ref, names->len > 0 ? "are: " : "is none", known->str);
    return FALSE;
}

/* --- Either --- */

static gboolean is_local(const MirrorSource *source)
{
    SourceTransport over = SOURCE_OVER_FILE;
    return source_check_git_url(source->url, &over, NULL) && over == SOURCE_OVER_FILE;
}

/* Everything that decides what a server would send us: who asks, too, and whether others may see it. */
char *git_origin_copy_name(const MirrorSource *source)
{
    guint8 digest[SHA256_BYTES];
    char hex[2 * COPY_NAME_BYTES + 1];
    if (source->kind != SOURCE_GIT || is_local(source))
        return NULL;
    g_autofree char *text = g_strdup_printf("%s\n%s\n%d", source->url,
                                            source->user != NULL ? source->user : "", source->is_private);
    sha256(text, strlen(text), digest);
    hex_encode(digest, COPY_NAME_BYTES, hex);
    return g_strconcat(hex, ".git", NULL);
}

static GitCopy *copy_of(const GitOriginOptions *options)
{
    g_autofree char *name = git_origin_copy_name(options->source);
    return git_copy_new(options, name);
}

gboolean git_origin_open(const GitOriginOptions *options, GitOrigin *ret, GError **error)
{
    *ret = (GitOrigin){0};
    if (!source_check_git_url(options->source->url, NULL, error))
        return FALSE;
    if (is_local(options->source))
        return open_local(options->source, ret, error);
    g_autoptr(GitCopy) copy = copy_of(options);
    if (!git_copy_fetch(copy, &ret->commit, &ret->received, error))
        return FALSE;
    ret->repository = g_strdup(git_copy_path(copy));
    ret->is_copy = TRUE;
    return TRUE;
}

gboolean git_origin_discard(const GitOriginOptions *options, GError **error)
{
    if (is_local(options->source))
        return TRUE;
    g_autoptr(GitCopy) copy = copy_of(options);
    return git_copy_discard(copy, error);
}
