/* SPDX-License-Identifier: MIT
 *
 * Room for releases: the operator's quota and the disk. The sum of all releases is counted once at the start
 * and then kept, because walking the whole store for each sync would cost more than the sync.
 */
#include <fcntl.h>
#include <unistd.h>

#include "broker/mirrors/mirrors_internal.h"
#include "mirror/store/dir_tree.h"
#include "schema/limits.h"

#define DISK_FREE_MIN_BYTES (256ULL * 1024 * 1024)
#define DISK_FREE_MIN_PERCENT 5

/* --- Counting --- */

void mirrors_count_release(Mirrors *mirrors, const guint8 *digest)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, hex);
    int fd = open(release_store_releases_dir(mirrors->store), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    guint64 bytes = fd >= 0 ? dir_tree_bytes(fd, hex) : 0;
    if (fd >= 0)
        close(fd);
    g_mutex_lock(&mirrors->lock);
    mirrors->space.release_bytes += bytes;
    g_mutex_unlock(&mirrors->lock);
}

static gboolean count_all(Mirrors *mirrors, GError **error)
{
    StoreUsage usage = {0};
    if (mirrors->space.is_known)
        return TRUE;
    if (!release_store_usage(mirrors->store, &usage, error))
        return FALSE;
    g_mutex_lock(&mirrors->lock);
    mirrors->space.release_bytes = usage.release_bytes;
    mirrors->space.is_known = TRUE;
    g_mutex_unlock(&mirrors->lock);
    return TRUE;
}

/* --- Judging --- */

/* Why there is no room; a new string, or NULL. */
static char *find_reason(Mirrors *mirrors)
{
    g_autoptr(GError) error = NULL;
    StoreUsage usage = {0};
    if (!count_all(mirrors, &error) || !release_store_space(mirrors->store, &usage, &error))
        return g_strdup_printf("store full: cannot look at it: %s", error->message);
    guint64 quota = mirrors->config->limits.store_bytes;
    if (mirrors->space.release_bytes >= quota) {
        g_autofree char *used = g_format_size_full(mirrors->space.release_bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *limit = g_format_size_full(quota, G_FORMAT_SIZE_IEC_UNITS);
        return g_strdup_printf("store full: releases take %s of %s (limits.store)", used, limit);
    }
    if (usage.disk_free_bytes < DISK_FREE_MIN_BYTES ||
        usage.disk_free_bytes < usage.disk_total_bytes / 100 * DISK_FREE_MIN_PERCENT) {
        g_autofree char *left = g_format_size_full(usage.disk_free_bytes, G_FORMAT_SIZE_IEC_UNITS);
        return g_strdup_printf("store full: %s left on the disk", left);
    }
    return NULL;
}

static void set_reason(Mirrors *mirrors, char *reason)
{
    gboolean was_full = mirrors->space.is_full, is_full = reason != NULL;
    g_mutex_lock(&mirrors->lock);
    g_free(mirrors->space.reason);
    mirrors->space.reason = reason;
    mirrors->space.is_full = mirrors->counters.store_full = is_full;
    mirrors->counters.alarms += is_full && !was_full ? 1 : 0;
    g_mutex_unlock(&mirrors->lock);
    if (is_full == was_full)
        return;
    mirror_events_alarm(mirrors->events, "", is_full ? "store-full" : "", is_full ? reason : "");
    mirrors_log(mirrors, is_full, is_full ? "mirror-store-full" : "mirror-store-has-room", NULL, reason);
}

static gboolean may_collect(const Mirrors *mirrors)
{
    return mirrors->garbage && mirrors->turn.id == 0 && !mirrors->publishing && mirrors->changes->len == 0;
}

/* Before giving up: what can go goes, and the sum, which files shared by releases make inexact, is counted
 * anew. */
static char *find_reason_again(Mirrors *mirrors, char *reason)
{
    MirrorsCollection report = {0};
    if (may_collect(mirrors))
        mirrors_collect_now(mirrors, /* dry_run= */ FALSE, &report, NULL);
    else if (mirrors->space.is_full)
        return reason;
    mirrors->space.is_known = FALSE;
    g_free(reason);
    return find_reason(mirrors);
}

gboolean mirrors_has_room(Mirrors *mirrors)
{
    char *reason = find_reason(mirrors);
    if (reason != NULL)
        reason = find_reason_again(mirrors, reason);
    set_reason(mirrors, reason);
    return reason == NULL;
}

/* --- Collecting --- */

/* What the sync that is under way has just installed may not be in mirror.db yet. Times of releases are those
 * of the wall clock, which may have been set since the sync began. */
static gint64 grace_s(const MirrorTurn *turn)
{
    if (turn->id == 0)
        return 0;
    gint64 by_wall_us = g_get_real_time() - turn->start_wall_us;
    gint64 elapsed_us = g_get_monotonic_time() - turn->start_us;
    return MAX(by_wall_us, elapsed_us) / G_USEC_PER_SEC + MIRRORS_COLLECT_SLACK_S;
}

/* While a change has not reached the publisher, what it serves was served before the latest change. */
static guint releases_kept(const Mirrors *mirrors)
{
    gboolean settled = !mirrors->publishing && mirrors->changes->len == 0;
    return settled ? MIN(mirrors->config->releases_kept, MIRROR_KEEP_MAX) : MIRROR_KEEP_MAX;
}

/* The agent is at work for the source of the turn as it was at the start, which the configuration may
 * describe otherwise by now. */
static void collect_files(const Mirrors *mirrors, gboolean dry_run, SourceFiles *ret)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new();
    g_ptr_array_extend(sources, mirrors->config->sources, NULL, NULL);
    if (mirrors->turn.id != 0)
        g_ptr_array_add(sources, mirrors->turn.source);
    source_files_collect(mirrors->store_dir, sources, dry_run, ret);
}

gboolean mirrors_collect_now(Mirrors *mirrors, gboolean dry_run, MirrorsCollection *ret, GError **error)
{
    guint keep = releases_kept(mirrors);
    g_autoptr(GHashTable) reachable = mirror_db_reachable(mirrors->db, keep, error);
    if (reachable == NULL || !release_store_collect(mirrors->store, reachable, grace_s(&mirrors->turn),
                                                    dry_run, NULL, NULL, &ret->releases, error))
        return FALSE;
    collect_files(mirrors, dry_run, &ret->files);
    if (dry_run)
        return TRUE;
    mirrors->garbage = FALSE;
    mirrors->collect_after_us = g_get_monotonic_time() + MIRRORS_COLLECT_WAIT_S * G_TIME_SPAN_SECOND;
    g_mutex_lock(&mirrors->lock);
    mirrors->space.release_bytes -= MIN(ret->releases.removed_bytes, mirrors->space.release_bytes);
    g_mutex_unlock(&mirrors->lock);
    return TRUE;
}

void mirrors_collect_sometimes(Mirrors *mirrors, gint64 now_us)
{
    g_autoptr(GError) error = NULL;
    MirrorsCollection report = {0};
    if (!may_collect(mirrors) || now_us < mirrors->collect_after_us)
        return;
    if (!mirrors_collect_now(mirrors, /* dry_run= */ FALSE, &report, &error)) {
        mirrors_log(mirrors, TRUE, "mirror-collect", NULL, error->message);
        mirrors->collect_after_us = now_us + MIRRORS_COLLECT_WAIT_S * G_TIME_SPAN_SECOND;
    }
}
