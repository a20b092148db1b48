/* SPDX-License-Identifier: MIT
 *
 *   sig        asked for, or read from the store when this very release is there
 *   files      those that the held release does not have; at most LIMIT_PEER_PACK_REQUESTS of a pack are
 * asked for at once, so that one that fails is given up soon and a large one is no flood offered    to the
 * intake
 *
 * Everything happens in the functions that the fetch pool calls. What ends the whole sync is kept in `fatal`
 * and comes out of add and finish.
 */
#include "mirror/agent/peer_releases.h"

#include <string.h>

#include "mirror/agent/intake_judge.h"
#include "mirror/agent/pack_download.h"
#include "mirror/agent/source_check.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

#define SIG "manifest.sig"
#define MANIFEST "manifest.yaml"
#define DISK_FULL_BYTES (2 * LIMIT_STORE_DISK_FREE_BYTES) /* other packs may have gone since */

struct PeerReleases {
    PeerReleasesOptions options;
    GHashTable *active; /* of Release *, owned */
    Fetch *fetch;       /* for packs without a signature; NULL until there is one */
    GError *fatal;
};

/* A pack under way. */
typedef struct {
    PeerReleases *owner;
    CatalogItem *item;
    char identity[SHA256_HEX_CHARS + 1];
    Staging *staging;
    GPtrArray *files;   /* of File *: still to be had; NULL before manifest.sig is there */
    guint next;         /* of `files` to be asked for */
    guint asked;        /* under way */
    gboolean sig_again; /* manifest.sig was asked for twice */
    guint64 staged_bytes;
    GError *failure; /* why it cannot be fetched */
    gboolean refused;
} Release;

/* Content that the pack needs, under one name or several. */
typedef struct {
    Release *release;
    guint8 hash[SHA256_BYTES];
    GPtrArray *names; /* of char *, relative to the pack */
    gboolean again;   /* asked for by hash twice */
    gboolean by_name; /* asked for where Nodes find it */
} File;

/* --- Life cycle --- */

static void file_free(gpointer data)
{
    File *file = data;
    g_ptr_array_unref(file->names);
    g_free(file);
}

static void release_free(gpointer data)
{
    Release *release = data;
    catalog_item_unref(release->item);
    staging_free(release->staging);
    g_clear_pointer(&release->files, g_ptr_array_unref);
    g_clear_error(&release->failure);
    g_free(release);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Release, release_free)

PeerReleases *peer_releases_new(const PeerReleasesOptions *options)
{
    PeerReleases *releases = g_new0(PeerReleases, 1);
    releases->options = *options;
    releases->active = g_hash_table_new_full(NULL, NULL, release_free, NULL);
    return releases;
}

void peer_releases_free(PeerReleases *releases)
{
    if (releases == NULL)
        return;
    fetch_pool_cancel(peer_client_pool(releases->options.client));
    g_hash_table_unref(releases->active);
    fetch_free(releases->fetch);
    g_clear_error(&releases->fatal);
    g_free(releases);
}

/* --- The end of a pack --- */

static void fail_all(PeerReleases *releases, GError *error)
{
    if (releases->fatal == NULL)
        releases->fatal = error;
    else
        g_error_free(error);
}

/* The first reason counts. */
static void fail(Release *release, GError *error)
{
    if (release->failure == NULL)
        release->failure = error;
    else
        g_error_free(error);
}

static void refuse(Release *release, AcceptRule rule, const char *reason)
{
    if (!release->refused && release->failure == NULL)
        intake_refuse(release->owner->options.intake, release->item->path, release->identity, rule, reason);
    release->refused = TRUE;
}

static void offer(Release *release)
{
    PeerReleases *owner = release->owner;
    const PeerReleasesOptions *options = &owner->options;
    GError *error = NULL;
    g_autofree char *origin = g_strdup_printf("generation %" G_GUINT64_FORMAT, options->generation);
    if (!intake_offer(options->intake, release->item->path, release->identity, origin,
                      g_steal_pointer(&release->staging), release->item->digest, &error))
        fail_all(owner, error);
}

/* Takes the pack off the list; afterwards it is gone. */
static void conclude(Release *release)
{
    PeerReleases *owner = release->owner;
    if (release->failure == NULL && !release->refused && owner->fatal == NULL)
        offer(release);
    if (release->failure != NULL)
        g_prefix_error(&release->failure, "pack '%s': ", release->item->path);
    if (owner->fatal == NULL)
        owner->options.done(release->item, release->failure, owner->options.user);
    intake_progress_of(owner->options.intake)->packs++;
    g_hash_table_remove(owner->active, release);
}

static gboolean is_over(const Release *release)
{
    return release->failure != NULL || release->refused || release->owner->fatal != NULL;
}

/* --- Staging --- */

/* LIMIT may be the pack's fault or the disk's. */
static gboolean disk_is_full(const Release *release)
{
    StoreUsage usage = {0};
    return release_store_space(release->owner->options.job->store, &usage, NULL) &&
           usage.disk_free_bytes < DISK_FULL_BYTES;
}

static void staging_failed(Release *release, GError *error)
{
    gboolean is_pack = g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED) ||
                       (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT) && !disk_is_full(release));
    if (!is_pack) {
        fail_all(release->owner, error);
        return;
    }
    refuse(release, ACCEPT_LIMITS, error->message);
    g_error_free(error);
}

static gboolean stage(Release *release, const char *name, GBytes *bytes)
{
    GError *error = NULL;
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    release->staged_bytes += len;
    if (staging_add(release->staging, name, data, len, &error))
        return TRUE;
    staging_failed(release, error);
    return FALSE;
}

/* --- What the store has already --- */

/* manifest.sig of an installed release; NULL when it cannot be read. */
static GBytes *read_installed_sig(const SyncJob *job, const guint8 digest[SHA256_BYTES])
{
    char hex[SHA256_HEX_CHARS + 1];
    char *text = NULL;
    gsize len = 0;
    if (!release_store_has(job->store, digest))
        return NULL;
    hex_encode(digest, SHA256_BYTES, hex);
    g_autofree char *path = g_build_filename(release_store_releases_dir(job->store), hex, SIG, NULL);
    if (!g_file_get_contents(path, &text, &len, NULL))
        return NULL;
    return g_bytes_new_take(text, len);
}

static ManifestSig *parse_sig(GBytes *sig, GError **error)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(sig, &len);
    return manifest_sig_parse(data, len, error);
}

/* Calls `func` with every file that a manifest.sig lists, by its name in the pack. */
typedef void (*ListedFunc)(const char *name, const guint8 *hash, gpointer user);
static void each_listed(const ManifestSig *sig, ListedFunc func, gpointer user)
{
    func(MANIFEST, sig->manifest_sha256, user);
    for (guint i = 0; i < sig->pages->len; i++) {
        const ManifestSigEntry *entry = &g_array_index(sig->pages, ManifestSigEntry, i);
        g_autofree char *name = g_strconcat("wiki/", entry->name, NULL);
        func(name, entry->sha256, user);
    }
    for (guint i = 0; sig->release != NULL && i < sig->release->files->len; i++) {
        const ManifestSigEntry *entry = &g_array_index(sig->release->files, ManifestSigEntry, i);
        func(entry->name, entry->sha256, user);
    }
}

static guint hash_of_hash(gconstpointer key)
{
    guint value;
    memcpy(&value, key, sizeof value);
    return value;
}

static gboolean hashes_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, SHA256_BYTES) == 0;
}

/* Of GBytes-like keys: 32 bytes on the heap → something. */
static GHashTable *hash_table_new(GDestroyNotify free_value)
{
    return g_hash_table_new_full(hash_of_hash, hashes_equal, g_free, free_value);
}

/* An installed release from which files can be linked. */
typedef struct {
    guint8 digest[SHA256_BYTES];
    GHashTable *names; /* hash → char *; NULL: there is none */
} Base;

static void base_clear(Base *base)
{
    g_clear_pointer(&base->names, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Base, base_clear)

static void add_to_base(const char *name, const guint8 *hash, gpointer user)
{
    Base *base = user;
    g_hash_table_replace(base->names, g_memdup2(hash, SHA256_BYTES), g_strdup(name));
}

static void base_init(Base *base, const SyncJob *job, const guint8 digest[SHA256_BYTES])
{
    g_autoptr(GBytes) bytes = read_installed_sig(job, digest);
    g_autoptr(ManifestSig) sig = bytes != NULL ? parse_sig(bytes, NULL) : NULL;
    if (sig == NULL)
        return;
    memcpy(base->digest, digest, SHA256_BYTES);
    base->names = hash_table_new(g_free);
    each_listed(sig, add_to_base, base);
}

/* The release itself when it is there (another source may have brought it), else what is held at the path. */
static void find_base(const Release *release, Base *ret)
{
    const SyncJob *job = release->owner->options.job;
    g_autoptr(MirroredPack) held = NULL;
    *ret = (Base){0};
    if (release_store_has(job->store, release->item->digest))
        base_init(ret, job, release->item->digest);
    else if (mirror_db_held(job->db, release->item->path, job->source->is_private, &held, NULL) &&
             held != NULL)
        base_init(ret, job, held->digest);
}

/* --- Files from the peer --- */

static void take_file(FetchAnswer *answer, const GError *error, gpointer user);

static gsize bytes_left(const Release *release)
{
    gsize left = (gsize)LIMIT_PACK_BYTES + LIMIT_MANIFEST_BYTES;
    return release->staged_bytes < left ? MAX(left - release->staged_bytes, 1) : 1;
}

static void ask_file(File *file)
{
    Release *release = file->release;
    PeerClient *client = release->owner->options.client;
    gsize bytes_max = MIN((gsize)LIMIT_PACK_FILE_BYTES, bytes_left(release));
    release->asked++;
    if (file->by_name)
        peer_client_add_file(client, release->item->path, g_ptr_array_index(file->names, 0), bytes_max,
                             take_file, file);
    else
        peer_client_add_blob(client, file->hash, bytes_max, take_file, file);
}

/* Asks for more of the pack's files, or concludes it when none is left. */
static void advance(Release *release)
{
    while (!is_over(release) && release->next < release->files->len &&
           release->asked < LIMIT_PEER_PACK_REQUESTS)
        ask_file(g_ptr_array_index(release->files, release->next++));
    if (release->asked == 0)
        conclude(release);
}

static void stage_file(File *file, GBytes *bytes)
{
    for (guint i = 0; i < file->names->len && !is_over(file->release); i++)
        stage(file->release, g_ptr_array_index(file->names, i), bytes);
    intake_progress_of(file->release->owner->options.intake)->objects++;
}

static gboolean has_hash(GBytes *bytes, const guint8 hash[SHA256_BYTES])
{
    guint8 is[SHA256_BYTES];
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    sha256(data, len, is);
    return memcmp(is, hash, SHA256_BYTES) == 0;
}

/* NULL when the answer is the file. */
static GError *judge_file(const File *file, const FetchAnswer *answer)
{
    const char *name = g_ptr_array_index(file->names, 0);
    GError *problem = peer_client_status_error(answer, name);
    if (problem == NULL && !has_hash(answer->body, file->hash))
        problem = g_error_new(KONTOR_ERROR, KONTOR_ERROR_SIGNATURE, "%s: the peer sent other bytes", name);
    return problem;
}

/* A failure that may pass at once, such as a connection that the server closed. */
static gboolean may_pass(const GError *error)
{
    return g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_IO);
}

/* Asks for it another time or in another way; FALSE when there is none. */
static gboolean ask_again(File *file, const GError *problem)
{
    if (is_over(file->release))
        return FALSE;
    if (may_pass(problem) && !file->again)
        file->again = TRUE;
    else if (g_error_matches(problem, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND) && !file->by_name)
        file->by_name = TRUE;
    else
        return FALSE;
    ask_file(file);
    return TRUE;
}

static void show_progress(PeerReleases *owner, const FetchAnswer *answer)
{
    if (answer != NULL)
        intake_progress_of(owner->options.intake)->bytes += g_bytes_get_size(answer->body);
    intake_progress(owner->options.intake);
}

/* For FetchDoneFunc. */
static void take_file(FetchAnswer *taken, const GError *error, gpointer user)
{
    File *file = user;
    Release *release = file->release;
    g_autoptr(FetchAnswer) answer = taken;
    GError *problem = error != NULL ? g_error_copy(error) : judge_file(file, answer);
    show_progress(release->owner, answer);
    release->asked--;
    if (problem == NULL)
        stage_file(file, answer->body);
    else if (!ask_again(file, problem))
        fail(release, g_steal_pointer(&problem));
    g_clear_error(&problem);
    advance(release);
}

/* --- From manifest.sig to the list of files --- */

typedef struct {
    Release *release;
    Base *base;
    GHashTable *files; /* hash → File * of release->files */
} Listing;

/* One name of the pack: linked when the base has the content, else put on the list. */
static void list_file(const char *name, const guint8 *hash, gpointer user)
{
    Listing *listing = user;
    Release *release = listing->release;
    g_autoptr(GError) error = NULL;
    if (!is_over(release) && !pack_path_check(name, &error))
        refuse(release, ACCEPT_LIMITS, error->message);
    const char *from = listing->base->names != NULL ? g_hash_table_lookup(listing->base->names, hash) : NULL;
    if (is_over(release) ||
        (from != NULL && staging_link(release->staging, name, listing->base->digest, from, hash, NULL)))
        return;
    File *file = g_hash_table_lookup(listing->files, hash);
    if (file == NULL) {
        file = g_new0(File, 1);
        file->release = release;
        memcpy(file->hash, hash, SHA256_BYTES);
        file->names = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(release->files, file);
        g_hash_table_insert(listing->files, g_memdup2(hash, SHA256_BYTES), file);
    }
    g_ptr_array_add(file->names, g_strdup(name));
}

/* What the signature alone tells. */
static gboolean may_be_accepted(Release *release, GBytes *sig)
{
    const SyncJob *job = release->owner->options.job;
    g_auto(AcceptVerdict) verdict = {0};
    g_autoptr(MirroredPack) held = NULL;
    GError *error = NULL;
    if (job->source->policy == PACK_POLICY_OFF)
        return TRUE;
    if (!mirror_db_held(job->db, release->item->path, job->source->is_private, &held, &error)) {
        fail_all(release->owner, error);
        return FALSE;
    }
    IntakeCase pack = {.source = job->source,
                       .trust = job->trust,
                       .path = release->item->path,
                       .sig = sig,
                       .expected_digest = release->item->digest,
                       .held = held,
                       .held_is_orphan = TRUE, /* the intake looks at that once more */
                       .now = g_get_real_time() / G_USEC_PER_SEC};
    intake_judge(&pack, &verdict);
    if (verdict.rule == ACCEPT_OK || verdict.rule == ACCEPT_WITHDRAWN)
        return TRUE;
    refuse(release, verdict.rule, verdict.reason);
    return FALSE;
}

/* The list of a release that may be accepted. */
static void list_files(Release *release, const ManifestSig *sig)
{
    g_auto(Base) base = {0};
    g_autoptr(GHashTable) files = hash_table_new(NULL);
    Listing listing = {release, &base, files};
    find_base(release, &base);
    each_listed(sig, list_file, &listing);
    SyncProgress *progress = intake_progress_of(release->owner->options.intake);
    progress->objects_total += release->files->len;
}

static void take_sig(Release *release, GBytes *bytes)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ManifestSig) sig = parse_sig(bytes, &error);
    guint8 digest[SHA256_BYTES];
    if (sig == NULL) {
        fail(release, g_error_new(KONTOR_ERROR, KONTOR_ERROR_MALFORMED, SIG ": %s", error->message));
        return;
    }
    release_digest(sig, digest);
    if (memcmp(digest, release->item->digest, SHA256_BYTES) != 0) {
        fail(release, g_error_new(KONTOR_ERROR, KONTOR_ERROR_SIGNATURE,
                                  SIG ": the peer sent that of another release"));
        return;
    }
    if (!may_be_accepted(release, bytes))
        return;
    release->staging = intake_stage(release->owner->options.intake, release->item->path, &error);
    if (release->staging == NULL) {
        fail_all(release->owner, g_steal_pointer(&error));
        return;
    }
    if (stage(release, SIG, bytes))
        list_files(release, sig);
}

/* For FetchDoneFunc. */
static void take_sig_answer(FetchAnswer *taken, const GError *error, gpointer user)
{
    Release *release = user;
    g_autoptr(FetchAnswer) answer = taken;
    GError *problem = error != NULL ? g_error_copy(error) : peer_client_status_error(answer, SIG);
    show_progress(release->owner, answer);
    release->asked--;
    if (problem == NULL) {
        take_sig(release, answer->body);
    } else if (may_pass(problem) && !release->sig_again) {
        g_error_free(problem);
        release->sig_again = TRUE;
        release->asked++;
        peer_client_add_release(release->owner->options.client, release->item->digest, take_sig_answer,
                                release);
        return;
    } else {
        fail(release, problem);
    }
    advance(release);
}

/* --- Packs without a signature --- */

/* For PackDownloadOptions: what is not received costs, too. */
static gboolean charge(gsize bytes, gpointer user, GError **error)
{
    Release *release = user;
    const PeerReleasesOptions *options = &release->owner->options;
    if (!intake_in_time(options->intake, error) ||
        !fetch_pool_charge(peer_client_pool(options->client), bytes, error)) {
        fail_all(release->owner, g_error_copy(*error));
        return FALSE;
    }
    intake_progress_of(options->intake)->bytes += bytes;
    intake_progress(options->intake);
    return TRUE;
}

/* For PackDownloadOptions. */
static gboolean receive(const char *name, GBytes *bytes, gpointer user, GError **error)
{
    Release *release = user;
    if (stage(release, name, bytes))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: cannot be staged", name);
    return FALSE;
}

static void download(Release *release)
{
    PeerReleases *owner = release->owner;
    const SyncJob *job = owner->options.job;
    guint8 content[SHA256_BYTES];
    GError *error = NULL;
    release->staging = intake_stage(owner->options.intake, release->item->path, &error);
    if (release->staging == NULL) {
        fail_all(owner, error);
        return;
    }
    if (owner->fetch == NULL)
        owner->fetch = fetch_new();
    PackDownloadOptions options = {.broker_url = job->source->url,
                                   .path = release->item->path,
                                   .ca_file = job->source->ca_file,
                                   .bearer = peer_client_token(owner->options.client),
                                   .direct = source_url_is_local(job->source->url),
                                   .strict = TRUE,
                                   .deadline_us = job->deadline_us,
                                   .charge = charge,
                                   .receive = receive,
                                   .user = release};
    g_autoptr(PackDownload) result = pack_download(owner->fetch, &options, &error);
    if (result == NULL) {
        fail(release, error);
        return;
    }
    pack_content_sha256(result->content, content);
    if (memcmp(content, release->item->content_sha256, SHA256_BYTES) != 0)
        fail(release, g_error_new(KONTOR_ERROR, KONTOR_ERROR_SIGNATURE,
                                  "the peer sent another content than its catalog promises"));
}

/* --- All of them --- */

static void begin(Release *release)
{
    const PeerReleasesOptions *options = &release->owner->options;
    if (*release->item->publisher == '\0') {
        download(release);
        conclude(release);
        return;
    }
    /* A digest that is only that of the content does not say whose signature it is. */
    gboolean has_release = memcmp(release->item->digest, release->item->content_sha256, SHA256_BYTES) != 0;
    g_autoptr(GBytes) sig = has_release ? read_installed_sig(options->job, release->item->digest) : NULL;
    if (sig != NULL) {
        take_sig(release, sig);
        advance(release);
        return;
    }
    release->asked++;
    peer_client_add_release(options->client, release->item->digest, take_sig_answer, release);
}

/* Works until at most so many packs are under way. */
static gboolean work(PeerReleases *releases, guint packs_left, GError **error)
{
    FetchPool *pool = peer_client_pool(releases->options.client);
    while (releases->fatal == NULL && g_hash_table_size(releases->active) > packs_left) {
        guint unfinished = fetch_pool_unfinished(pool);
        g_assert(unfinished > 0);
        if (!fetch_pool_run(pool, unfinished - 1, error))
            return FALSE;
    }
    if (releases->fatal == NULL)
        return TRUE;
    g_propagate_error(error, g_error_copy(releases->fatal));
    return FALSE;
}

gboolean peer_releases_add(PeerReleases *releases, CatalogItem *item, GError **error)
{
    Release *release = g_new0(Release, 1);
    release->owner = releases;
    release->item = catalog_item_ref(item);
    release->files = g_ptr_array_new_with_free_func(file_free);
    hex_encode(item->digest, SHA256_BYTES, release->identity);
    g_hash_table_add(releases->active, release);
    begin(release);
    return work(releases, LIMIT_PEER_PACKS - 1, error);
}

gboolean peer_releases_finish(PeerReleases *releases, GError **error)
{
    return work(releases, 0, error);
}
