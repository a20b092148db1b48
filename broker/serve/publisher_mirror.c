/* SPDX-License-Identifier: MIT
 *
 * Releases are read from the store each time the mirrors name them, even when they look as before: whoever
 * installed them was another process. Their hashes are kept, so that a start needs to read none of them.
 */
#include "broker/serve/publisher_internal.h"

#include <string.h>

#include "broker/log.h"
#include "mirror/store/release_take.h"

#define FORMER_BATCH 64 /* releases that are taken between other orders */

/* --- Jobs --- */

static void mirror_problem_free(gpointer data)
{
    MirrorProblem *problem = data;
    g_free(problem->path);
    g_free(problem->reason);
    g_free(problem);
}

void mirror_job_free(MirrorJob *job)
{
    if (job == NULL)
        return;
    g_clear_pointer(&job->packs, g_ptr_array_unref);
    g_clear_pointer(&job->problems, g_ptr_array_unref);
    g_free(job);
}

static void add_problem(GPtrArray *problems, const MirroredPack *record, const CatalogPack *place)
{
    MirrorProblem *problem = g_new0(MirrorProblem, 1);
    problem->path = g_strdup(record->path);
    memcpy(problem->digest, record->digest, sizeof problem->digest);
    problem->is_private = record->is_private;
    problem->rule = place->release.rule;
    problem->reason = g_strdup(place->release.reason);
    g_ptr_array_add(problems, problem);
}

/* --- Taking --- */

/* Records of one path and visibility, of which the last counts. */
static GPtrArray *latest_of(GPtrArray *records)
{
    g_autoptr(GHashTable) seen_public = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) seen_private = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *latest = g_ptr_array_new();
    for (guint i = records->len; i-- > 0;) {
        MirroredPack *record = g_ptr_array_index(records, i);
        if (g_hash_table_add(record->is_private ? seen_private : seen_public, record->path))
            g_ptr_array_add(latest, record);
    }
    return latest;
}

/* How many former releases of a path can still be had by hash. */
static guint former_count(const Publisher *publisher)
{
    return MIN(publisher->current->config->releases_kept, MIRROR_KEEP_MAX) - 1;
}

/* What has been served at a path so far can be had by hash for a while, unless nothing public is left there.
 */
static void keep_former(Publisher *publisher, const MirroredPack *record)
{
    CatalogPack *old = mirrored_place(publisher->mirrored, record->path, /* is_private= */ FALSE);
    const MirroredPack *was = mirrored_record(publisher->mirrored, record->path, /* is_private= */ FALSE);
    if (record->withdrawn)
        former_forget(publisher->former, record->path);
    else if (old != NULL && memcmp(was->digest, record->digest, SHA256_BYTES) != 0)
        former_put(publisher->former, old, was, former_count(publisher));
}

/* Forgets where a path has been served from so far. */
static void give_up(Publisher *publisher, const MirroredPack *record, GPtrArray *gone)
{
    const CatalogPack *old = mirrored_place(publisher->mirrored, record->path, record->is_private);
    if (old != NULL)
        g_ptr_array_add(gone, g_strdup(old->disk));
    if (record->is_private)
        return;
    keep_former(publisher, record);
    /* Before the pack goes from the catalog, so that whoever sees it gone can ask why. */
    tombstones_note(publisher->tombstones, record);
}

static void note_time(Publisher *publisher)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    publisher_note_time(publisher, pack_judge_until(publisher->trust, now), FALSE);
}

/* Reads and judges the releases of the records and puts them in. */
static void put_all(Publisher *publisher, GPtrArray *records, const GPtrArray *taken, Change *change,
                    GPtrArray *problems)
{
    g_autoptr(GPtrArray) verdicts =
        mirrored_verdicts((GPtrArray *)(guintptr)taken, records, publisher->trust,
                          g_get_real_time() / G_USEC_PER_SEC, publisher_threads(publisher));
    note_time(publisher);
    for (guint i = 0; i < records->len; i++) {
        const MirroredPack *record = g_ptr_array_index(records, i);
        CatalogPack *verdict = g_ptr_array_index(verdicts, i);
        mirrored_put(publisher->mirrored, verdict, mirrored_pack_copy(record), &change->touch);
        if (verdict->refused)
            add_problem(problems, record, verdict);
    }
}

static void take_records(Publisher *publisher, GPtrArray *records, Change *change, GPtrArray *problems)
{
    g_autoptr(GPtrArray) latest = latest_of(records), present = g_ptr_array_new();
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < latest->len; i++) {
        MirroredPack *record = g_ptr_array_index(latest, i);
        give_up(publisher, record, gone);
        if (record->withdrawn)
            mirrored_remove(publisher->mirrored, record->path, record->is_private, &change->touch);
        else
            g_ptr_array_add(present, record);
    }
    ReleaseTakeOptions options = {.threads = publisher_threads(publisher),
                                  .known = publisher->release_hashes};
    g_autoptr(GPtrArray) taken = release_take_all(change->root, present, &options);
    put_all(publisher, present, taken, change, problems);
    gboolean loaded = publisher->release_hashes != NULL && hash_store_is_loaded(publisher->release_hashes);
    g_autoptr(GHashTable) whole = loaded ? mirrored_disks(publisher->mirrored) : NULL;
    publisher_save_hashes(&publisher->release_hashes, taken, gone, whole);
}

/* The same where nobody waits for an answer: who can have releases fetched again must hear of it all the
 * same. */
static void take_and_tell(Publisher *publisher, GPtrArray *records, Change *change)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(mirror_problem_free);
    take_records(publisher, records, change, problems);
    for (guint i = 0; publisher->damage_func != NULL && i < problems->len; i++) {
        const MirrorProblem *problem = g_ptr_array_index(problems, i);
        if (problem->rule == ACCEPT_HASH)
            publisher->damage_func(problem, publisher->damage_user);
    }
}

/* A broker that mirrors nothing has no store. */
static void open_release_hashes(Publisher *publisher)
{
    if (publisher->release_hashes_tried)
        return;
    g_autofree char *path = g_build_filename(publisher->current->config->store_dir, "hashes.db", NULL);
    publisher->release_hashes_tried = TRUE;
    publisher->release_hashes = publisher_open_hashes(path);
}

void publisher_take_waiting(Publisher *publisher, Change *change)
{
    g_autoptr(GPtrArray) records = g_steal_pointer(&publisher->waiting);
    if (records == NULL || records->len == 0)
        return;
    open_release_hashes(publisher);
    take_and_tell(publisher, records, change);
}

/* --- Former releases --- */

/* Those that wait, as long as another release is served at their path; at most FORMER_BATCH. Borrowed from
 * `ret_owner`. */
static GPtrArray *next_former(Publisher *publisher, GPtrArray *ret_owner)
{
    GPtrArray *records = g_ptr_array_new();
    for (guint i = 0; i < MIN(publisher->waiting_former->len, FORMER_BATCH); i++) {
        MirroredPack *record = mirrored_pack_copy(g_ptr_array_index(publisher->waiting_former, i));
        const MirroredPack *now = mirrored_record(publisher->mirrored, record->path, /* is_private= */ FALSE);
        g_ptr_array_add(ret_owner, record);
        if (!record->is_private && now != NULL && memcmp(now->digest, record->digest, SHA256_BYTES) != 0)
            g_ptr_array_add(records, record);
    }
    g_ptr_array_remove_range(publisher->waiting_former, 0, ret_owner->len);
    return records;
}

gboolean publisher_take_former(Publisher *publisher)
{
    if (publisher->waiting_former == NULL || publisher->current->root == NULL)
        return FALSE;
    g_autoptr(GPtrArray) owner = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_autoptr(GPtrArray) records = next_former(publisher, owner);
    ReleaseTakeOptions options = {.threads = publisher_threads(publisher), .as_signed = TRUE};
    g_autoptr(GPtrArray) taken = release_take_all(publisher->current->root, records, &options);
    g_autoptr(GPtrArray) verdicts = mirrored_verdicts(
        taken, records, publisher->trust, g_get_real_time() / G_USEC_PER_SEC, publisher_threads(publisher));
    for (guint i = 0; i < records->len; i++)
        former_put_older(publisher->former, g_ptr_array_index(verdicts, i), g_ptr_array_index(records, i),
                         former_count(publisher));
    if (publisher->waiting_former->len == 0)
        g_clear_pointer(&publisher->waiting_former, g_ptr_array_unref);
    return publisher->waiting_former != NULL;
}

/* --- Orders --- */

static gboolean publish(Publisher *publisher, Change *change, GError **error)
{
    change_merge(change, publisher);
    return change_publish(change, publisher, error);
}

gboolean publisher_mirror_again(Publisher *publisher, const char *path, guint64 serial, GError **error)
{
    for (guint is_private = 0; is_private < 2; is_private++) {
        const CatalogPack *place = mirrored_place(publisher->mirrored, path, is_private == 1);
        if (place == NULL || place->serial != serial)
            continue;
        g_autoptr(MirroredPack) record =
            mirrored_pack_copy(mirrored_record(publisher->mirrored, path, is_private == 1));
        g_autoptr(GPtrArray) records = g_ptr_array_new();
        g_ptr_array_add(records, record);
        g_auto(Change) change;
        change_init(&change, publisher);
        take_and_tell(publisher, records, &change);
        publish(publisher, &change, error);
        return TRUE;
    }
    return FALSE;
}

/* The store may have been made after the root was opened. */
static gboolean find_store(Publisher *publisher, Change *change, GError **error)
{
    if (change->root != NULL && pack_root_has(change->root, PACK_ROOT_RELEASES))
        return TRUE;
    g_autofree char *releases = g_build_filename(publisher->current->config->store_dir, "releases", NULL);
    PackRoot *root = pack_root_with_releases(change->root, releases, error);
    if (root == NULL)
        return FALSE;
    pack_root_unref(change->root);
    change->root = root;
    return TRUE;
}

/* The records are taken with the next job or scan. */
static void put_off(Publisher *publisher, const GPtrArray *records, const GError *cause)
{
    log_error_event(LOG_ERROR, "mirrored-not-read", cause, NULL);
    if (publisher->waiting == NULL)
        publisher->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    for (guint i = 0; i < records->len; i++)
        g_ptr_array_add(publisher->waiting, mirrored_pack_copy(g_ptr_array_index(records, i)));
}

void publisher_run_mirror(Publisher *publisher, MirrorJob *job)
{
    gint64 began_us = g_get_monotonic_time();
    g_auto(Change) change;
    g_autoptr(GError) error = NULL;
    change_init(&change, publisher);
    job->problems = g_ptr_array_new_with_free_func(mirror_problem_free);
    if (!find_store(publisher, &change, &error)) {
        put_off(publisher, job->packs, error);
        return;
    }
    publisher_take_waiting(publisher, &change);
    open_release_hashes(publisher);
    take_records(publisher, job->packs, &change, job->problems);
    if (!publisher->current->scanned)
        return;
    publish(publisher, &change, &error);
    g_mutex_lock(&publisher->lock);
    publisher->info.mirror_elapsed_us = g_get_monotonic_time() - began_us;
    g_mutex_unlock(&publisher->lock);
}
