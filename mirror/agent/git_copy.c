/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "mirror/agent/git_transfer.h"
#include "mirror/store/dir_tree.h"
#include "schema/limits.h"
#include "schema/text.h"
#include "signing/hash.h"

enum { NAMES_SHOWN = 5, DISK_CHECK_BYTES = 16 * 1024 * 1024, REFERENCE_HASH_BYTES = 16 };

struct GitCopy {
    const GitOriginOptions *options;
    char *path;
    char *reference; /* ours: refs/kontor/<hash> */
};

/* One fetch. The callbacks of libgit2 get the transfer, which is its first member. */
typedef struct {
    GitTransfer transfer;
    GitCopy *copy;
    git_repository *repository;
    git_remote *remote;
    GitFetchProgress progress;
    guint64 disk_checked_at; /* bytes received then */
    gboolean was_empty;      /* the copy had no object: what is wrong came from the server */
    gboolean blame_copy;     /* the failure may be that of the copy */
} Fetch;

/* --- Life cycle --- */

GitCopy *git_copy_new(const GitOriginOptions *options, const char *name)
{
    guint8 digest[SHA256_BYTES];
    char hex[2 * REFERENCE_HASH_BYTES + 1];
    GitCopy *copy = g_new0(GitCopy, 1);
    g_autofree char *wanted = git_origin_reference(options->source);
    sha256(wanted, strlen(wanted), digest);
    hex_encode(digest, REFERENCE_HASH_BYTES, hex);
    copy->options = options;
    copy->path = g_build_filename(options->store_dir, "git", name, NULL);
    copy->reference = g_strconcat("refs/kontor/", hex, NULL);
    return copy;
}

void git_copy_free(GitCopy *copy)
{
    if (copy == NULL)
        return;
    g_free(copy->path);
    g_free(copy->reference);
    g_free(copy);
}

const char *git_copy_path(const GitCopy *copy)
{
    return copy->path;
}

guint git_copy_threads(const GitCopy *copy)
{
    return copy->options->threads;
}

/* --- The directory --- */

gboolean git_copy_discard(GitCopy *copy, GError **error)
{
    g_autofree char *name = g_strdup_printf("git.%" G_GINT64_FORMAT, g_get_real_time());
    g_autofree char *trash = g_build_filename(copy->options->store_dir, "tmp", name, NULL);
    g_autofree char *parent = g_path_get_dirname(trash);
    if (g_mkdir_with_parents(parent, 0700) != 0)
        return kontor_error_set_errno(error, errno, "%s", parent);
    if (g_rename(copy->path, trash) != 0)
        return errno == ENOENT || kontor_error_set_errno(error, errno, "%s", copy->path);
    return dir_tree_remove(AT_FDCWD, trash, error);
}

static gboolean remove_unfinished(const char *directory, gboolean (*is_finished)(const char *name))
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        if (!is_finished(name))
            g_unlink(path);
    }
    return dir != NULL;
}

static gboolean is_pack_file(const char *name)
{
    return g_str_has_prefix(name, "pack-") &&
           (g_str_has_suffix(name, ".pack") || g_str_has_suffix(name, ".idx"));
}

static gboolean is_no_lock(const char *name)
{
    return !g_str_has_suffix(name, ".lock");
}

/* What a process that was killed left. */
static void clean_up(const GitCopy *copy)
{
    g_autofree char *packs = g_build_filename(copy->path, "objects", "pack", NULL);
    g_autofree char *references = g_build_filename(copy->path, "refs", "kontor", NULL);
    remove_unfinished(packs, is_pack_file);
    remove_unfinished(references, is_no_lock);
}

/* Opens the copy, or makes an empty one. */
static gboolean open_or_make(Fetch *fetch, GError **error)
{
    const char *path = fetch->copy->path;
    git_repository_init_options options;
    guint flags = GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE;
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        clean_up(fetch->copy);
        if (git_repository_open_ext(&fetch->repository, path, flags, NULL) == 0)
            return TRUE;
        fetch->blame_copy = TRUE;
        git_objects_set_error(error, KONTOR_ERROR_CORRUPT, "the bare copy cannot be opened");
        return FALSE;
    }
    git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH | GIT_REPOSITORY_INIT_NO_DOTGIT_DIR;
    options.mode = 0700;
    options.initial_head = "kontor";
    fetch->was_empty = TRUE;
    if (git_repository_init_ext(&fetch->repository, path, &options) == 0)
        return TRUE;
    git_objects_set_error(error, KONTOR_ERROR_IO, "the bare copy cannot be made");
    return FALSE;
}

/* --- Fetching --- */

static void tell(gpointer user)
{
    Fetch *fetch = user;
    const GitOriginOptions *options = fetch->copy->options;
    fetch->progress.bytes = fetch->transfer.received;
    if (options->progress != NULL)
        options->progress(&fetch->progress, options->user);
}

/* libgit2 writes pack files through a mapping, where a full disk is a fatal signal instead of an error. */
static gboolean check_disk(Fetch *fetch)
{
    struct statvfs space;
    if (fetch->transfer.received < fetch->disk_checked_at || statvfs(fetch->copy->path, &space) != 0)
        return TRUE;
    fetch->disk_checked_at = fetch->transfer.received + DISK_CHECK_BYTES;
    if ((guint64)space.f_bavail * space.f_frsize > LIMIT_GIT_DISK_FREE_BYTES)
        return TRUE;
    git_transfer_fail(&fetch->transfer, KONTOR_ERROR_LIMIT,
                      "the disk is full: fewer than %d bytes are left for a fetch",
                      LIMIT_GIT_DISK_FREE_BYTES);
    return FALSE;
}

static int hear_progress(const git_indexer_progress *stats, void *payload)
{
    Fetch *fetch = payload;
    fetch->progress.objects = stats->indexed_objects;
    fetch->progress.objects_total = stats->total_objects;
    guint64 more = stats->received_bytes > fetch->transfer.received && fetch->transfer.over == SOURCE_OVER_SSH
                       ? stats->received_bytes - fetch->transfer.received
                       : 0;
    return git_transfer_count(&fetch->transfer, more) && check_disk(fetch) ? 0 : -1;
}

/* What libgit2 says, for what the transfer does not know the reason of. */
static gboolean fail(Fetch *fetch, int code, GError **error)
{
    const git_error *last = git_error_last();
    int class = last != NULL ? last->klass : GIT_ERROR_NONE;
    const char *message = last != NULL && last->message != NULL ? last->message : "";
    if (fetch->transfer.error != NULL) {
        g_propagate_error(error, g_steal_pointer(&fetch->transfer.error));
        return FALSE;
    }
    if (g_ascii_strncasecmp(message, "remote error", strlen("remote error")) == 0) {
        git_objects_set_error(error, KONTOR_ERROR_NOT_FOUND, "the server refuses");
        return FALSE;
    }
    gboolean network = class == GIT_ERROR_NET || class == GIT_ERROR_SSH;
    fetch->blame_copy = !network && class != GIT_ERROR_NOMEMORY && class != GIT_ERROR_OS && !fetch->was_empty;
    KontorErrorCode kind = code == GIT_EAUTH || code == GIT_ECERTIFICATE ? KONTOR_ERROR_DENIED
                           : network || class == GIT_ERROR_OS            ? KONTOR_ERROR_IO
                                                                         : KONTOR_ERROR_MALFORMED;
    git_objects_set_error(error, kind, "cannot fetch");
    return FALSE;
}

static gboolean fail_missing(Fetch *fetch, const git_remote_head **heads, size_t count, GError **error)
{
    const MirrorSource *source = fetch->copy->options->source;
    gboolean tags = source->ref != NULL && source->ref_is_tag, more = FALSE;
    const char *prefix = tags ? "refs/tags/" : "refs/heads/";
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < count && !more; i++) {
        if (!g_str_has_prefix(heads[i]->name, prefix) || g_str_has_suffix(heads[i]->name, "^{}"))
            continue;
        more = names->len >= NAMES_SHOWN;
        if (!more)
            g_ptr_array_add(names, heads[i]->name + strlen(prefix));
    }
    return git_origin_fail_reference(source, names, more, error);
}

/* Connects and finds what the server's reference is. */
static gboolean find_tip(Fetch *fetch, git_oid *ret, GError **error)
{
    git_remote_connect_options options;
    git_remote_connect_options_init(&options, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    git_transfer_callbacks(&fetch->transfer, &options.callbacks);
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    const git_remote_head **heads = NULL;
    size_t count = 0;
    int code = git_remote_connect_ext(fetch->remote, GIT_DIRECTION_FETCH, &options);
    if (code == 0)
        code = git_remote_ls(&heads, &count, fetch->remote);
    if (code != 0)
        return fail(fetch, code, error);
    g_autofree char *wanted = git_origin_reference(fetch->copy->options->source);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(heads[i]->name, wanted) == 0) {
            *ret = heads[i]->oid;
            return TRUE;
        }
    }
    return fail_missing(fetch, heads, count, error);
}

static gboolean download(Fetch *fetch, GError **error)
{
    git_fetch_options options;
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    git_transfer_callbacks(&fetch->transfer, &options.callbacks);
    options.callbacks.transfer_progress = hear_progress;
    options.prune = GIT_FETCH_NO_PRUNE;
    options.update_fetchhead = 0;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    g_autofree char *wanted = git_origin_reference(fetch->copy->options->source);
    g_autofree char *spec = g_strdup_printf("+%s:%s", wanted, fetch->copy->reference);
    char *specs[] = {spec};
    git_strarray array = {specs, G_N_ELEMENTS(specs)};
    fetch->transfer.downloading = TRUE;
    if (!check_disk(fetch))
        return fail(fetch, -1, error);
    int code = git_remote_download(fetch->remote, &array, &options);
    return code == 0 || fail(fetch, code, error);
}

/* Remembers the tip, so that the next fetch can say what we have. */
static gboolean keep_tip(Fetch *fetch, const git_oid *tip, GitId *ret_commit, GError **error)
{
    git_object *object = NULL, *commit = NULL;
    git_reference *reference = NULL;
    int code = git_object_lookup(&object, fetch->repository, tip, GIT_OBJECT_ANY);
    if (code == 0)
        code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
    if (code == 0)
        code = git_reference_create(&reference, fetch->repository, fetch->copy->reference, tip,
                                    /* force= */ 1, NULL);
    if (code == 0)
        memcpy(ret_commit->bytes, git_object_id(commit)->id, GIT_ID_BYTES);
    git_reference_free(reference);
    git_object_free(commit);
    git_object_free(object);
    return code == 0 || fail(fetch, code, error);
}

/* Without a look at the configuration for other names of the URL: nobody wrote any, and libgit2 1.5 leaks
 * some memory with each. */
static gboolean make_remote(Fetch *fetch, GError **error)
{
    git_remote_create_options options;
    git_remote_create_options_init(&options, GIT_REMOTE_CREATE_OPTIONS_VERSION);
    options.repository = fetch->repository;
    options.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF;
    return git_remote_create_with_opts(&fetch->remote, fetch->transfer.source->url, &options) == 0 ||
           fail(fetch, -1, error);
}

static gboolean run_fetch(Fetch *fetch, GitId *ret_commit, GError **error)
{
    git_oid tip;
    git_odb *odb = NULL;
    if (!open_or_make(fetch, error) || !make_remote(fetch, error))
        return FALSE;
    if (!find_tip(fetch, &tip, error))
        return FALSE;
    if (git_repository_odb(&odb, fetch->repository) != 0)
        return fail(fetch, -1, error);
    gboolean here = git_odb_exists(odb, &tip) == 1;
    git_odb_free(odb);
    return (here || download(fetch, error)) && keep_tip(fetch, &tip, ret_commit, error);
}

/* *ret_blame: the copy may be the reason of the failure. */
static gboolean fetch_once(GitCopy *copy, GitId *ret_commit, guint64 *ret_received, gboolean *ret_blame,
                           GError **error)
{
    Fetch fetch = {.copy = copy};
    if (!git_transfer_init(&fetch.transfer, copy->options->source, error))
        return FALSE;
    fetch.transfer.deadline_us = copy->options->deadline_us;
    fetch.transfer.progress = tell;
    fetch.transfer.user = &fetch;
    g_autofree char *tmp = g_build_filename(copy->options->store_dir, "tmp", NULL);
    gboolean done = (fetch.transfer.over != SOURCE_OVER_SSH || git_ssh_begin(&fetch.transfer, tmp, error)) &&
                    run_fetch(&fetch, ret_commit, error);
    *ret_received += fetch.transfer.received;
    *ret_blame = fetch.blame_copy;
    if (fetch.remote != NULL)
        git_remote_disconnect(fetch.remote);
    git_remote_free(fetch.remote);
    git_repository_free(fetch.repository);
    git_ssh_end(&fetch.transfer);
    git_transfer_clear(&fetch.transfer);
    return done;
}

/* A server that rewrites its history again and again must not fill the disk. */
static gboolean is_too_large(const GitCopy *copy)
{
    guint64 allowed = copy->options->source->bytes_max;
    return dir_tree_bytes(AT_FDCWD, copy->path) / 2 > MAX(allowed, DISK_CHECK_BYTES);
}

gboolean git_copy_fetch(GitCopy *copy, GitId *ret_commit, guint64 *ret_received, GError **error)
{
    gboolean blame = FALSE;
    g_autoptr(GError) cause = NULL;
    *ret_received = 0;
    if (is_too_large(copy) && !git_copy_discard(copy, error))
        return FALSE;
    gboolean done = fetch_once(copy, ret_commit, ret_received, &blame, &cause);
    if (!done && blame) {
        g_message("bare copy %s is made again: %s", copy->path, cause->message);
        g_clear_error(&cause);
        if (!git_copy_discard(copy, error))
            return FALSE;
        done = fetch_once(copy, ret_commit, ret_received, &blame, &cause);
    }
    if (!done) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    /* Only room is lost when this fails, and the next fetch tries again. */
    if (!git_copy_join_packs(copy, LIMIT_GIT_COPY_PACKS, &cause))
        g_message("bare copy %s: %s", copy->path, cause->message);
    return TRUE;
}
