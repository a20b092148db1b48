/* SPDX-License-Identifier: MIT
 *
 * What happened lately in the mirrors, for those who watch: a ring of JSON objects (mirrors.h has their
 * form), numbered from 1. When it is full the oldest are forgotten; mirror.db has the history that lasts.
 *
 * Any thread may add and read; a lock is held for short times.
 */
#pragma once

#include "mirror/agent/agent_message.h"
#include "schema/json_writer.h"

typedef struct MirrorEvents MirrorEvents;

/* --- Life cycle --- */

/* Keeps `capacity` ≥ 1 events. `func` (may be NULL) hears of each as it is added, under the lock. */
typedef void (*MirrorEventFunc)(const char *json, gpointer user);
MirrorEvents *mirror_events_new(guint capacity, MirrorEventFunc func, gpointer user);
void mirror_events_free(MirrorEvents *events); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MirrorEvents, mirror_events_free)

/* --- Operations --- */

void mirror_events_started(MirrorEvents *events, const char *source);
/* Replaces the latest event when that is progress of the same source. */
void mirror_events_progress(MirrorEvents *events, const char *source, const SyncProgress *progress);
void mirror_events_result(MirrorEvents *events, const char *source, const SyncResult *result);
void mirror_events_alarm(MirrorEvents *events, const char *source, const char *kind, const char *reason);
void mirror_events_damaged(MirrorEvents *events, const char *source, const char *path, const guint8 *digest,
                           const char *reason);

typedef struct {
    gboolean ok, partial, wished;
    KontorErrorCode code; /* when not ok */
    const char *error;    /* when not ok */
    guint packs_seen, installed, refused, requests;
    guint64 bytes;
    gint64 elapsed_us;
} MirrorEventEnd;
void mirror_events_ended(MirrorEvents *events, const char *source, const MirrorEventEnd *end);

/* --- Queries --- */

/* The number of the latest event; 0: there is none. */
guint64 mirror_events_last(MirrorEvents *events);
/* Writes events after number `after`, at most `limit`, as an array. Returns the number of the last one, or
 * `after`. */
guint64 mirror_events_write(MirrorEvents *events, guint64 after, guint limit, JsonWriter *writer);

/* Members of an object that is open: used here and in the status. */
void mirror_progress_write(JsonWriter *writer, const SyncProgress *progress);
/* "2026-05-01T12:00:00Z"; null for 0. */
void mirror_time_write(JsonWriter *writer, const char *key, gint64 time_s);
