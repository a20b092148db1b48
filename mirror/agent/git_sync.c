/* SPDX-License-Identifier: MIT
 *
 *   open      find the repository and the commit (git_origin.h)
 *   compare   which packs are new, changed or gone since the state of the last sync (git_walk.h)
 *   judge     too much gone: held; no pack at all: no pack repository
 *   read      pack by pack: read ahead (git_reader.h), stage, offer to the intake
 *   settle    flush, report what is gone, leave a new state
 *
 * What was read before is skipped in two ways: equal trees are not walked, and a pack whose identity the
 * intake knows is not read. The first is lost with the state, the second is not, so a sync that was cut short
 * goes on where it stopped.
 */
#include "mirror/agent/git_sync.h"

#include <string.h>

#include "mirror/agent/git_origin.h"
#include "mirror/agent/git_reader.h"
#include "mirror/agent/git_state.h"
#include "schema/limits.h"

typedef struct {
    const SyncJob *job;
    Intake *intake;
    GitOrigin origin;
    GitObjects *objects;
    gboolean alarmed; /* the last sync was held back because too much was gone */
    gboolean has_state;
    gboolean unsettled; /* something of a newer commit than that of `state` was reported since */
    GitState state;     /* of the last sync that came to its end */
    GitId directory;    /* that holds the packs */
    char *prefix;       /* path of the pack that `directory` is; "" */
    gboolean whole;     /* everything was walked, not only what differs from `state` */
    GitWalk *walk;
    GPtrArray *gone;    /* of char *: to be reported */
    guint held_gone;    /* of them, those that the source has lost, and not we its wish for them */
    guint had;          /* packs that it had */
    guint has;          /* packs that it has */
    guint offered;      /* packs reported to the intake in this sync */
    guint64 read_bytes; /* out of a repository on this machine */
} GitSync;

void git_sync_init(void)
{
    git_origin_init();
}

char *git_sync_copy_name(const MirrorSource *source)
{
    return git_origin_copy_name(source);
}

static void sync_clear(GitSync *sync)
{
    g_clear_pointer(&sync->intake, intake_free);
    g_clear_pointer(&sync->objects, git_objects_close);
    g_clear_pointer(&sync->prefix, g_free);
    g_clear_pointer(&sync->walk, git_walk_free);
    g_clear_pointer(&sync->gone, g_ptr_array_unref);
    git_state_clear(&sync->state);
    git_origin_clear(&sync->origin);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GitSync, sync_clear)

/* --- Open --- */

static void take_progress(const GitFetchProgress *progress, gpointer user)
{
    GitSync *sync = user;
    SyncProgress *shown = intake_progress_of(sync->intake);
    shown->phase = progress->bytes > 0 ? SYNC_PHASE_FETCH : SYNC_PHASE_CONNECT;
    shown->objects = progress->objects;
    shown->objects_total = progress->objects_total;
    shown->bytes = progress->bytes;
    intake_progress(sync->intake);
}

static void begin_phase(GitSync *sync, SyncPhase phase)
{
    intake_progress_of(sync->intake)->phase = phase;
    intake_progress(sync->intake);
}

/* A state that cannot be read is none; so is one that another policy made. */
static void take_state(GitSync *sync)
{
    const SyncJob *job = sync->job;
    g_auto(SourceRecord) record = {0};
    if (!job->full && g_strcmp0(job->policy_hash, job->known_policy_hash) == 0)
        sync->has_state = git_state_read(job->state, &sync->state, NULL);
    sync->unsettled = !mirror_db_source_state(job->db, job->source->name, &record, NULL) || record.unsettled;
    sync->alarmed = g_strcmp0(record.alarm, "shrink") == 0;
}

static gboolean open_origin(GitSync *sync, const GitOriginOptions *options, GError **error)
{
    begin_phase(sync, SYNC_PHASE_CONNECT);
    if (!git_origin_open(options, &sync->origin, error))
        return FALSE;
    sync->objects = git_objects_open(sync->origin.repository, error);
    return sync->objects != NULL;
}

/* --- Compare --- */

static char *pack_name(const MirrorSource *source)
{
    if (source->pack != NULL)
        return g_strdup(source->pack);
    const char *slash = strrchr(source->path, '/');
    const char *last = slash != NULL ? slash + 1 : source->path;
    return g_strdup(*last != '\0' ? last : source->name);
}

/* The directory of the source at a commit, and the path of the pack that it is. */
static gboolean find_directory(GitSync *sync, const GitId *commit, GitId *ret, char **ret_prefix,
                               GError **error)
{
    GitId root;
    gboolean is_pack = FALSE;
    if (!git_objects_root(sync->objects, commit, &root, error) ||
        !git_walk_descend(sync->objects, &root, sync->job->source->path, ret, error) ||
        !git_walk_is_pack(sync->objects, ret, &is_pack, error))
        return FALSE;
    *ret_prefix = is_pack ? pack_name(sync->job->source) : g_strdup("");
    return TRUE;
}

/* The directory as it was at the last sync, unless that says too little: something else was reported since,
 * history was rewritten and collected, or the directory has become a pack, or ceased to be one. */
static gboolean find_older(GitSync *sync, GitId *ret)
{
    g_autofree char *prefix = NULL;
    return sync->has_state && !sync->unsettled && git_objects_has(sync->objects, &sync->state.commit) &&
           find_directory(sync, &sync->state.commit, ret, &prefix, NULL) &&
           strcmp(prefix, sync->prefix) == 0 && strcmp(prefix, sync->state.prefix) == 0;
}

static gboolean walk(GitSync *sync, const GitId *older, GError **error)
{
    const GitWalkOptions options = {
        .objects = sync->objects,
        .source = sync->job->source,
        .older = older,
        .newer = &sync->directory,
        .prefix = sync->prefix,
        .deadline_us = sync->job->deadline_us,
    };
    sync->whole = older == NULL;
    sync->walk = git_walk(&options, error);
    return sync->walk != NULL;
}

static gboolean compare(GitSync *sync, GError **error)
{
    GitId older;
    g_autoptr(GError) cause = NULL;
    begin_phase(sync, SYNC_PHASE_COMPARE);
    if (!find_directory(sync, &sync->origin.commit, &sync->directory, &sync->prefix, error))
        return FALSE;
    if (!find_older(sync, &older))
        return walk(sync, NULL, error);
    if (walk(sync, &older, &cause))
        return TRUE;
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
        return walk(sync, NULL, error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* --- Judge --- */

/* What we know of the source, against what it has. */
typedef struct {
    GitSync *sync;
    GHashTable *there; /* of char *: paths that it has */
} Reckoning;

static gboolean reckon_pack(const char *path, const char *identity, SyncOutcome outcome, AcceptRule rule,
                            const char *reason, gint64 time_s, gpointer user)
{
    (void)identity;
    (void)rule;
    (void)reason;
    (void)time_s;
    Reckoning *reckoning = user;
    GitSync *sync = reckoning->sync;
    if (outcome == OUTCOME_GONE)
        return TRUE;
    gboolean wanted = source_wants(sync->job->source, path);
    sync->had += wanted ? 1 : 0;
    if (g_hash_table_contains(reckoning->there, path))
        return TRUE;
    sync->held_gone += wanted ? 1 : 0;
    g_ptr_array_add(sync->gone, g_strdup(path));
    return TRUE;
}

/* After a walk over everything: mirror.db says what the source had. */
static gboolean reckon_whole(GitSync *sync, GError **error)
{
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < sync->walk->places->len; i++) {
        GitPlace *place = g_ptr_array_index(sync->walk->places, i);
        g_hash_table_add(there, place->path);
    }
    Reckoning reckoning = {sync, there};
    sync->has = sync->walk->appeared;
    return mirror_db_each(sync->job->db, sync->job->source->name, reckon_pack, &reckoning, error);
}

static void reckon_change(GitSync *sync)
{
    for (guint i = 0; i < sync->walk->gone->len; i++)
        g_ptr_array_add(sync->gone, g_strdup(g_ptr_array_index(sync->walk->gone, i)));
    sync->held_gone = sync->gone->len;
    sync->had = sync->state.packs;
    guint left = sync->had - MIN(sync->held_gone, sync->had);
    sync->has = left + sync->walk->appeared;
}

static gboolean check_shrink(GitSync *sync, GError **error)
{
    if (sync->job->prune || (guint64)sync->held_gone * 100 <= (guint64)sync->had * LIMIT_SHRINK_PERCENT)
        return TRUE;
    g_autofree char *reason =
        g_strdup_printf("%u of %u packs are gone at once; if that is meant, confirm it: kontor mirror sync "
                        "%s --prune",
                        sync->held_gone, sync->had, sync->job->source->name);
    intake_alarm(sync->intake, "shrink", reason);
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, reason);
    return FALSE;
}

/* A repository that never had a pack is most likely the wrong one. */
static gboolean check_any(GitSync *sync, GError **error)
{
    gboolean at_root = *sync->job->source->path == '\0';
    const char *quote = at_root ? "" : "'";
    if (sync->has > 0 || sync->had > 0 || sync->walk->places->len > 0)
        return TRUE;
    if (sync->walk->unwanted > 0)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "has packs, but 'include' and 'exclude' leave none of them");
    else
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "is no pack repository: no directory below %s%s%s has manifest.yaml and wiki/index.md",
                    quote, at_root ? "its root" : sync->job->source->path, quote);
    return FALSE;
}

static gboolean judge(GitSync *sync, GError **error)
{
    sync->gone = g_ptr_array_new_with_free_func(g_free);
    if (sync->whole && !reckon_whole(sync, error))
        return FALSE;
    if (!sync->whole)
        reckon_change(sync);
    if (!check_any(sync, error) || !check_shrink(sync, error))
        return FALSE;
    if (sync->alarmed)
        intake_alarm(sync->intake, "", "");
    return TRUE;
}

/* --- Read --- */

static gboolean stage_files(GitSync *sync, GitPack *pack, Staging *staging, GError **error)
{
    SyncProgress *shown = intake_progress_of(sync->intake);
    for (guint i = 0; i < pack->files->len; i++) {
        GitPackFile *file = &g_array_index(pack->files, GitPackFile, i);
        gsize len = 0;
        const void *data = g_bytes_get_data(file->bytes, &len);
        if (!staging_add(staging, file->name, data, len, error))
            return FALSE;
        shown->objects++;
    }
    if (!sync->origin.is_copy)
        shown->bytes += pack->bytes;
    return TRUE;
}

/* What the store refuses about names and sizes is the pack's fault; a full disk is not. */
static gboolean is_pack_fault(const GError *cause)
{
    return g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

static gboolean offer(GitSync *sync, const GitPlace *place, GitPack *pack, GError **error)
{
    char commit[GIT_ID_HEX_CHARS + 1];
    g_autoptr(GError) cause = NULL;
    g_autoptr(Staging) staging = intake_stage(sync->intake, place->path, error);
    if (staging == NULL)
        return FALSE;
    if (!stage_files(sync, pack, staging, &cause)) {
        if (!is_pack_fault(cause)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        intake_refuse(sync->intake, place->path, place->identity, ACCEPT_LIMITS, cause->message);
        return TRUE;
    }
    git_id_hex(&sync->origin.commit, commit);
    return intake_offer(sync->intake, place->path, place->identity, commit, g_steal_pointer(&staging),
                        /* expected_digest= */ NULL, error);
}

/* What a source on this machine may send at once is what is read out of it. */
static gboolean check_read_bytes(GitSync *sync, const GitPack *pack, GError **error)
{
    sync->read_bytes += pack->refused == NULL && !sync->origin.is_copy ? pack->bytes : 0;
    if (sync->read_bytes <= sync->job->source->bytes_max)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY,
                "more than %" G_GUINT64_FORMAT " bytes; raise max_bytes to allow it",
                sync->job->source->bytes_max);
    return FALSE;
}

static gboolean take_pack(GitSync *sync, const GitPlace *place, GitReader *reader, GError **error)
{
    g_autoptr(GitPack) pack = git_reader_next(reader, error);
    if (pack == NULL || !intake_in_time(sync->intake, error) || !check_read_bytes(sync, pack, error))
        return FALSE;
    if (pack->refused != NULL)
        intake_refuse(sync->intake, place->path, place->identity, ACCEPT_LIMITS, pack->refused);
    else if (!offer(sync, place, pack, error))
        return FALSE;
    sync->offered++;
    intake_progress_of(sync->intake)->packs++;
    intake_progress(sync->intake);
    return TRUE;
}

/* Packs that the intake does not know. Borrowed. */
static GPtrArray *unknown_places(GitSync *sync)
{
    GPtrArray *places = g_ptr_array_new();
    for (guint i = 0; i < sync->walk->places->len; i++) {
        GitPlace *place = g_ptr_array_index(sync->walk->places, i);
        if (!intake_knows(sync->intake, place->path, place->identity))
            g_ptr_array_add(places, place);
    }
    return places;
}

static gboolean read_packs(GitSync *sync, GError **error)
{
    g_autoptr(GPtrArray) places = unknown_places(sync);
    SyncProgress *shown = intake_progress_of(sync->intake);
    shown->packs_total = places->len;
    shown->objects = shown->objects_total = 0;
    begin_phase(sync, SYNC_PHASE_READ);
    g_autoptr(GitReader) reader = git_reader_new(sync->origin.repository, places, MAX(sync->job->threads, 1));
    for (guint i = 0; i < places->len; i++)
        if (!take_pack(sync, g_ptr_array_index(places, i), reader, error))
            return FALSE;
    return TRUE;
}

/* --- Settle --- */

/* Ends early with what was done so far; mirror.db remembers that the state does not say all of it. */
static gboolean end_early(GitSync *sync, SyncDone *ret, GError **error)
{
    if (!intake_flush(sync->intake, error))
        return FALSE;
    ret->partial = TRUE;
    ret->packs_seen = sync->has;
    ret->state = g_strdup(sync->job->state);
    return TRUE;
}

static gboolean end_well(GitSync *sync, SyncDone *ret, GError **error)
{
    if (!intake_flush(sync->intake, error))
        return FALSE;
    for (guint i = 0; i < sync->gone->len; i++)
        intake_gone(sync->intake, g_ptr_array_index(sync->gone, i));
    const GitState state = {.commit = sync->origin.commit, .packs = sync->has, .prefix = sync->prefix};
    ret->state = git_state_write(&state);
    ret->packs_seen = sync->has;
    return TRUE;
}

/* Nothing has moved, and what is known of it is complete. */
static gboolean is_settled(const GitSync *sync)
{
    return sync->has_state && !sync->unsettled && git_id_equal(&sync->state.commit, &sync->origin.commit);
}

static gboolean run(GitSync *sync, const GitOriginOptions *options, SyncDone *ret, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (!open_origin(sync, options, error))
        return FALSE;
    if (is_settled(sync)) {
        ret->state = git_state_write(&sync->state);
        ret->packs_seen = sync->state.packs;
        return TRUE;
    }
    if (!compare(sync, error) || !judge(sync, error))
        return FALSE;
    if (read_packs(sync, &cause))
        return end_well(sync, ret, error);
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_BUSY) && sync->offered > 0)
        return end_early(sync, ret, error);
    /* What was accepted before the failure stays accepted. */
    intake_flush(sync->intake, NULL);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean run_job(const SyncJob *job, gboolean *ret_is_copy, SyncDone *ret, GError **error)
{
    g_auto(GitSync) sync = {.job = job, .intake = intake_new(job)};
    const GitOriginOptions options = {
        .source = job->source,
        .store_dir = job->store_dir,
        .deadline_us = job->deadline_us,
        .threads = MAX(job->threads, 1),
        .progress = take_progress,
        .user = &sync,
    };
    take_state(&sync);
    gboolean done = run(&sync, &options, ret, error);
    *ret_is_copy = sync.origin.is_copy;
    return done;
}

static gboolean discard_copy(const SyncJob *job, GError **error)
{
    const GitOriginOptions options = {.source = job->source, .store_dir = job->store_dir};
    return git_origin_discard(&options, error);
}

gboolean git_sync(const SyncJob *job, SyncDone *ret, GError **error)
{
    gboolean is_copy = FALSE;
    g_autoptr(GError) cause = NULL;
    g_autofree char *url = source_shown_url(job->source);
    *ret = (SyncDone){0};
    gboolean done = run_job(job, &is_copy, ret, &cause);
    /* Objects of our own copy are missing or damaged: fetched anew, it may be whole. */
    if (!done && is_copy && g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CORRUPT)) {
        g_message("%s: the bare copy is damaged and made again: %s", url, cause->message);
        g_clear_error(&cause);
        done = discard_copy(job, &cause) && run_job(job, &is_copy, ret, &cause);
    }
    if (!done)
        g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", url);
    return done;
}
