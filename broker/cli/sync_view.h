/* SPDX-License-Identifier: MIT
 *
 * What 'kontor mirror sync' shows while it goes on, from the events of broker/mirrors/mirrors.h:
 *   SYNC_VIEW_JSON      each event as it is, one per line
 *   SYNC_VIEW_PLAIN     a line for each thing that happened; progress is left out. What happened to packs is
 *                       told when the sync of their source ends, many packs of one cause together
 *                       (pack_groups.h)
 *   SYNC_VIEW_TERMINAL  the same lines, and below them one line per source that is under way, updated in
 *                       place; then a summary
 * Also counts what happened, for the exit code. Embedded, one thread.
 */
#pragma once

#include <stdio.h>

#include "broker/cli/cli.h"

typedef enum { SYNC_VIEW_JSON, SYNC_VIEW_PLAIN, SYNC_VIEW_TERMINAL } SyncViewMode;

typedef struct {
    SyncViewMode mode;
    FILE *stream;         /* borrowed */
    guint columns;        /* of the terminal; no line is longer */
    GPtrArray *rows;      /* of what is under way, in the order in which it began; internal */
    guint drawn;          /* rows on the terminal now */
    const char *only;     /* events of other sources are passed over; NULL: there are none. Borrowed */
    gboolean all;         /* a line for every pack, however many there are */
    GHashTable *packs;    /* name of a source → PackGroups of its sync; internal */
    GHashTable *outcomes; /* name of a source → whether its latest sync was good; internal */
    guint64 installed, withdrawn, refused, bytes;
} SyncView;

/* The mode for a stream: a terminal that can be written in place, or not. */
SyncViewMode sync_view_mode(FILE *stream, gboolean json);
void sync_view_init(SyncView *view, FILE *stream, SyncViewMode mode);
void sync_view_clear(SyncView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncView, sync_view_clear)

/* One event, a JSON object of `len` bytes. MALFORMED when it is none. */
gboolean sync_view_event(SyncView *view, const char *json, gsize len, GError **error);
/* Prints what is left to tell and the summary. CLI_OK; FAILURE when a source failed; else REFUSED when
 * releases were refused. */
CliExit sync_view_finish(SyncView *view);
