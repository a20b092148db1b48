/* SPDX-License-Identifier: MIT
 *
 * One queue under one lock: jobs take milliseconds, so the lock is never what is waited for. Locks here and
 * in the other modules that threads share are those of POSIX, because ThreadSanitizer does not see into
 * GLib's.
 */
#include "broker/net/workers.h"

#include <pthread.h>

typedef struct Job Job;
struct Job {
    Job *next;
    WorkFunc work;
    gpointer job;
    Mailbox *reply_to;
    MailFunc done;
};

struct Workers {
    pthread_mutex_t lock;
    pthread_cond_t more; /* a job was queued, or the pool is stopping */
    Job *first;          /* oldest first; all below guarded by the lock */
    Job **tail;
    guint queued;
    guint queue_max;
    gboolean stopping;
    guint thread_count;
    GThread **threads;
};

/* Waits for a job; NULL when the pool is stopping. */
static Job *next_job(Workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (workers->first == NULL && !workers->stopping)
        pthread_cond_wait(&workers->more, &workers->lock);
    Job *job = NULL;
    if (!workers->stopping) {
        job = workers->first;
        workers->first = job->next;
        if (workers->first == NULL)
            workers->tail = &workers->first;
        workers->queued--;
    }
    pthread_mutex_unlock(&workers->lock);
    return job;
}

static gpointer worker_main(gpointer data)
{
    Workers *workers = data;
    for (Job *job; (job = next_job(workers)) != NULL;) {
        job->work(job->job);
        mailbox_post(job->reply_to, job->done, job->job);
        g_free(job);
    }
    return NULL;
}

Workers *workers_new(guint threads, guint queue_max)
{
    g_assert(threads > 0);
    Workers *workers = g_new0(Workers, 1);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->more, NULL);
    workers->tail = &workers->first;
    workers->queue_max = queue_max;
    workers->thread_count = threads;
    workers->threads = g_new0(GThread *, threads);
    for (guint i = 0; i < threads; i++)
        workers->threads[i] = g_thread_new("worker", worker_main, workers);
    return workers;
}

/* Runs on the receiver's thread: tells it that the job was never run. */
static void report_cancelled(gpointer data, gboolean cancelled G_GNUC_UNUSED)
{
    Job *job = data;
    job->done(job->job, /* cancelled= */ TRUE);
    g_free(job);
}

void workers_free(Workers *workers)
{
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = TRUE;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    for (guint i = 0; i < workers->thread_count; i++)
        g_thread_join(workers->threads[i]);
    for (Job *job = workers->first, *next; job != NULL; job = next) {
        next = job->next;
        mailbox_post(job->reply_to, report_cancelled, job);
    }
    g_free(workers->threads);
    pthread_cond_destroy(&workers->more);
    pthread_mutex_destroy(&workers->lock);
    g_free(workers);
}

gboolean workers_submit(Workers *workers, WorkFunc work, gpointer job, Mailbox *reply_to, MailFunc done)
{
    Job *entry = g_new(Job, 1);
    *entry = (Job){.work = work, .job = job, .reply_to = reply_to, .done = done};
    pthread_mutex_lock(&workers->lock);
    gboolean accepted = workers->queued < workers->queue_max && !workers->stopping;
    if (accepted) {
        *workers->tail = entry;
        workers->tail = &entry->next;
        workers->queued++;
        pthread_cond_signal(&workers->more);
    }
    pthread_mutex_unlock(&workers->lock);
    if (!accepted)
        g_free(entry);
    return accepted;
}

guint workers_queued(const Workers *workers)
{
    /* The lock is not part of what `const` promises. */
    pthread_mutex_t *lock = (pthread_mutex_t *)(gsize)&workers->lock;
    pthread_mutex_lock(lock);
    guint queued = workers->queued;
    pthread_mutex_unlock(lock);
    return queued;
}
