/* SPDX-License-Identifier: MIT
 *
 * A pool of threads for work that may block or take long: disk, SQLite, hashing. A job runs on some worker,
 * then its `done` runs on the thread that owns the given mailbox. The queue is bounded: when it is full,
 * workers_submit refuses and the caller answers 503.
 */
#pragma once

#include "broker/net/mailbox.h"

typedef struct Workers Workers;
typedef void (*WorkFunc)(gpointer job);

Workers *workers_new(guint threads, guint queue_max);
/* Waits for running jobs; jobs still queued are not run, their `done` is posted as cancelled. NULL is fine.
 */
void workers_free(Workers *workers);

/* Any thread. FALSE when the queue is full (nothing was called, the caller keeps `job`). */
gboolean workers_submit(Workers *workers, WorkFunc work, gpointer job, Mailbox *reply_to, MailFunc done);
guint workers_queued(const Workers *workers);
