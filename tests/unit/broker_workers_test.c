/* SPDX-License-Identifier: MIT */
#include "broker/net/workers.h"

#include <poll.h>

typedef struct {
    GThread *ran_on;
    gint *gate; /* not NULL: waits until this is set */
    gint *started;
    guint *done;
    guint *cancelled;
} Task;

static void run_task(gpointer job)
{
    Task *task = job;
    task->ran_on = g_thread_self();
    if (task->started != NULL)
        g_atomic_int_inc(task->started);
    while (task->gate != NULL && g_atomic_int_get(task->gate) == 0)
        g_usleep(1000);
}

static void task_done(gpointer data, gboolean cancelled)
{
    Task *task = data;
    if (cancelled) {
        g_assert_null(task->ran_on);
        (*task->cancelled)++;
    } else {
        g_assert_nonnull(task->ran_on);
        g_assert_true(task->ran_on != g_thread_self());
        (*task->done)++;
    }
}

static void wait_for_mail(Mailbox *mailbox)
{
    struct pollfd wait = {.fd = mailbox_fd(mailbox), .events = POLLIN};
    g_assert_cmpint(poll(&wait, 1, 20000), ==, 1);
    mailbox_drain(mailbox);
}

static void test_jobs_come_back(void)
{
    guint done = 0;
    Task tasks[200];
    Mailbox *mailbox = mailbox_new();
    Workers *workers = workers_new(3, G_N_ELEMENTS(tasks));
    for (guint i = 0; i < G_N_ELEMENTS(tasks); i++) {
        tasks[i] = (Task){.done = &done};
        g_assert_true(workers_submit(workers, run_task, &tasks[i], mailbox, task_done));
    }
    while (done < G_N_ELEMENTS(tasks))
        wait_for_mail(mailbox);
    g_assert_cmpuint(workers_queued(workers), ==, 0);
    workers_free(workers);
    mailbox_free(mailbox);
}

static void test_full_queue_and_stop(void)
{
    guint done = 0, cancelled = 0;
    gint gate = 0, started = 0;
    Task running = {.gate = &gate, .started = &started, .done = &done};
    Task queued[2] = {{.done = &done, .cancelled = &cancelled}, {.done = &done, .cancelled = &cancelled}};
    Task refused = {.done = &done, .cancelled = &cancelled};
    Mailbox *mailbox = mailbox_new();
    Workers *workers = workers_new(1, 2);
    g_assert_true(workers_submit(workers, run_task, &running, mailbox, task_done));
    while (g_atomic_int_get(&started) == 0)
        g_usleep(1000);
    g_assert_true(workers_submit(workers, run_task, &queued[0], mailbox, task_done));
    g_assert_true(workers_submit(workers, run_task, &queued[1], mailbox, task_done));
    g_assert_false(workers_submit(workers, run_task, &refused, mailbox, task_done));
    g_assert_cmpuint(workers_queued(workers), ==, 2);
    g_atomic_int_set(&gate, 1);
    workers_free(workers);
    mailbox_drain(mailbox);
    /* The running one was waited for; how many of the others ran is a matter of luck. */
    g_assert_cmpuint(done, >=, 1);
    g_assert_cmpuint(done + cancelled, ==, 3);
    mailbox_free(mailbox);
    workers_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workers/jobs-come-back", test_jobs_come_back);
    g_test_add_func("/workers/full-queue-and-stop", test_full_queue_and_stop);
    return g_test_run();
}
