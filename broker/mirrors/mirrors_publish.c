/* SPDX-License-Identifier: MIT
 *
 * From reports to what is served. Everything is in mirror.db before the publisher hears of it, so that a
 * crash at any point is made good by the next start, which publishes what mirror.db says.
 */
#include <string.h>

#include "broker/mirrors/mirrors_internal.h"

/* --- Reports --- */

static void count_results(Mirrors *mirrors, const GPtrArray *results)
{
    gboolean is_private = mirrors->turn.source->is_private;
    for (guint i = 0; i < results->len; i++) {
        const SyncResult *result = g_ptr_array_index(results, i);
        mirror_events_result(mirrors->events, mirrors->turn.source->name, result);
        if (result->outcome == OUTCOME_INSTALLED) {
            mirrors->turn.installed++;
            mirrors->garbage = TRUE;
            if (result->is_new)
                mirrors_count_release(mirrors, result->pack->digest);
        } else if (result->outcome == OUTCOME_REFUSED) {
            mirrors->turn.refused++;
        } else if (result->outcome == OUTCOME_WITHDRAWN) {
            mirrors->garbage = TRUE;
        }
        if (is_private)
            continue;
        g_mutex_lock(&mirrors->lock);
        mirrors->counters.installed += result->outcome == OUTCOME_INSTALLED ? 1 : 0;
        mirrors->counters.refused[result->rule] += result->outcome == OUTCOME_REFUSED ? 1 : 0;
        g_mutex_unlock(&mirrors->lock);
    }
}

static gboolean apply(Mirrors *mirrors, GPtrArray *results, gboolean remove_gone, GError **error)
{
    g_autoptr(GPtrArray) changes = NULL;
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
    if (results->len == 0)
        return TRUE;
    if (!mirror_db_apply(mirrors->db, mirrors->turn.source->name, results, remove_gone, now_s, &changes,
                         error))
        return FALSE;
    count_results(mirrors, results);
    mirrors_publish(mirrors, g_steal_pointer(&changes));
    return TRUE;
}

/* What the configuration no longer wants is gone because the operator said so: takes that out of the results.
 * A new array. */
static GPtrArray *take_unwanted(Mirrors *mirrors)
{
    GPtrArray *unwanted = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    for (guint i = 0; i < mirrors->results->len;) {
        const SyncResult *result = g_ptr_array_index(mirrors->results, i);
        if (result->outcome == OUTCOME_GONE && !source_wants(mirrors->turn.source, result->pack->path))
            g_ptr_array_add(unwanted, g_ptr_array_steal_index(mirrors->results, i));
        else
            i++;
    }
    return unwanted;
}

gboolean mirrors_apply(Mirrors *mirrors, GError **error)
{
    if (mirrors->results->len == 0)
        return TRUE;
    if (!mirrors_check(mirrors, error)) {
        g_ptr_array_set_size(mirrors->results, 0);
        return FALSE;
    }
    gboolean remove_gone = mirrors->turn.source->follow_removals || mirrors->turn.wish.prune;
    g_autoptr(GPtrArray) unwanted = take_unwanted(mirrors);
    gboolean applied = apply(mirrors, unwanted, /* remove_gone= */ TRUE, error) &&
                       apply(mirrors, mirrors->results, remove_gone, error);
    g_ptr_array_set_size(mirrors->results, 0);
    return applied;
}

/* --- Ends --- */

void mirror_ending_free(MirrorEnding *ending)
{
    g_free(ending->source);
    g_free(ending->error);
    g_free(ending);
}

static void tell_endings(Mirrors *mirrors)
{
    gboolean any = FALSE;
    for (;;) {
        const MirrorEnding *first = g_queue_peek_head(&mirrors->endings);
        if (first == NULL || first->change > mirrors->served)
            break;
        MirrorEnding *ending = g_queue_pop_head(&mirrors->endings);
        mirror_events_ended(mirrors->events, ending->source, &ending->end);
        mirror_ending_free(ending);
        any = TRUE;
    }
    if (any)
        mirrors_show(mirrors);
}

void mirrors_tell_end(Mirrors *mirrors, const char *source, const MirrorEventEnd *end, gboolean wished)
{
    MirrorEnding *ending = g_new0(MirrorEnding, 1);
    ending->source = g_strdup(source);
    ending->error = g_strdup(end->error);
    ending->end = *end;
    ending->end.error = ending->error;
    ending->end.wished = wished;
    ending->change = mirrors->change;
    g_queue_push_tail(&mirrors->endings, ending);
    tell_endings(mirrors);
}

void mirrors_tell_reloaded(Mirrors *mirrors)
{
    if (mirrors->served < mirrors->reload_change)
        return;
    g_mutex_lock(&mirrors->lock);
    mirrors->reloads_served = mirrors->reload;
    g_cond_broadcast(&mirrors->reloaded);
    g_mutex_unlock(&mirrors->lock);
}

/* --- Publishing --- */

static void give_changes(Mirrors *mirrors);

/* Problems of trust are no damage: the list is another one by now, and the source will be judged anew. */
static void handle_problems(Mirrors *mirrors, const GPtrArray *problems)
{
    for (guint i = 0; problems != NULL && i < problems->len; i++) {
        const MirrorProblem *problem = g_ptr_array_index(problems, i);
        mirrors_log(mirrors, TRUE, "mirror-not-served", problem->path, problem->reason);
        if (problem->rule == ACCEPT_HASH)
            mirrors_drop_damaged(mirrors, problem->path, problem->digest, problem->reason);
    }
}

static void on_published(gpointer data, gboolean cancelled)
{
    g_autoptr(MirrorJob) job = data;
    if (cancelled)
        return;
    Mirrors *mirrors = job->user;
    mirrors->publishing = FALSE;
    mirrors->served = mirrors->given;
    handle_problems(mirrors, job->problems);
    give_changes(mirrors);
    tell_endings(mirrors);
    mirrors_tell_reloaded(mirrors);
}

static void give_changes(Mirrors *mirrors)
{
    if (mirrors->publishing || mirrors->changes->len == 0)
        return;
    MirrorJob *job = g_new0(MirrorJob, 1);
    job->packs = g_steal_pointer(&mirrors->changes);
    job->reply_to = mirrors->mailbox;
    job->done = on_published;
    job->user = mirrors;
    mirrors->changes = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    mirrors->given = mirrors->change;
    mirrors->publishing = TRUE;
    publisher_mirror(mirrors->publisher, job);
}

void mirrors_publish(Mirrors *mirrors, GPtrArray *changes)
{
    if (changes != NULL && changes->len > 0) {
        mirrors->change++;
        if (mirrors->publisher != NULL) {
            g_ptr_array_extend_and_steal(mirrors->changes, changes);
            changes = NULL;
        }
    }
    if (changes != NULL)
        g_ptr_array_unref(changes);
    if (mirrors->publisher != NULL)
        give_changes(mirrors);
    else
        mirrors->served = mirrors->change;
}

/* --- Damage --- */

static void ask_all_again(Mirrors *mirrors)
{
    for (guint i = 0; i < mirrors->config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(mirrors->config->sources, i);
        schedule_soon(mirrors->schedule, source->name, g_get_monotonic_time());
    }
}

/* What is damaged again soon after it was fetched again is not worth a third try: it is the disk, or a source
 * that sends what cannot be kept. */
static gboolean was_tried(Mirrors *mirrors, const char *hex)
{
    gint64 now_us = g_get_monotonic_time();
    const gint64 *tried_us = g_hash_table_lookup(mirrors->damaged, hex);
    if (tried_us != NULL && now_us - *tried_us < MIRRORS_DAMAGE_WAIT_S * G_TIME_SPAN_SECOND)
        return TRUE;
    g_hash_table_replace(mirrors->damaged, g_strdup(hex), g_memdup2(&now_us, sizeof now_us));
    return FALSE;
}

/* Whoever noticed may have been short of something else (descriptors, memory), so it is read once more before
 * anything is done to it. A new string; NULL: it is whole, or that cannot be told. */
static char *look_again(Mirrors *mirrors, const guint8 *digest)
{
    g_autoptr(GError) error = NULL;
    char *problem = NULL;
    if (!release_store_has(mirrors->store, digest))
        return g_strdup("is not in the store");
    if (!release_store_check(mirrors->store, digest, /* threads= */ 1, &problem, &error))
        mirrors_log(mirrors, TRUE, "mirror-not-checked", NULL, error->message);
    return problem;
}

/* It is whole: the publisher may read it again. */
static void publish_again(Mirrors *mirrors, const guint8 *digest)
{
    g_autoptr(GPtrArray) paths = mirror_db_paths_of(mirrors->db, digest, NULL);
    GPtrArray *changes = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    for (guint i = 0; paths != NULL && i < 2 * paths->len; i++) {
        g_autoptr(MirroredPack) held = NULL;
        if (mirror_db_held(mirrors->db, g_ptr_array_index(paths, i / 2), i % 2 == 1, &held, NULL) &&
            held != NULL && !held->withdrawn && memcmp(held->digest, digest, SHA256_BYTES) == 0)
            g_ptr_array_add(changes, g_steal_pointer(&held));
    }
    mirrors_publish(mirrors, changes);
}

void mirrors_drop_damaged(Mirrors *mirrors, const char *path, const guint8 *digest, const char *reason)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, hex);
    mirror_events_damaged(mirrors->events, "", path, digest, reason);
    if (was_tried(mirrors, hex))
        return;
    g_autofree char *problem = look_again(mirrors, digest);
    if (problem == NULL) {
        publish_again(mirrors, digest);
        return;
    }
    if (release_store_has(mirrors->store, digest) &&
        !release_store_quarantine(mirrors->store, digest, &error)) {
        mirrors_log(mirrors, TRUE, "mirror-quarantine", path, error->message);
        return;
    }
    if (!mirror_db_damaged(mirrors->db, digest, &changes, &error)) {
        mirrors_log(mirrors, TRUE, "mirror-database", path, error->message);
        return;
    }
    mirrors_log(mirrors, TRUE, "mirror-damaged", path, problem);
    mirrors_publish(mirrors, g_steal_pointer(&changes));
    ask_all_again(mirrors);
    mirrors_show(mirrors);
}
