/* SPDX-License-Identifier: MIT
 *
 * A stack that senders push onto with one compare-and-exchange, and that the receiver takes as a whole and
 * reverses. Since nothing is ever popped singly, there is no ABA problem; and a message is visible to the
 * receiver at the instant of its push, which look-ups that drain on a miss rely on.
 *
 * Waking: the sender whose push finds the stack empty writes 1 to the eventfd, so that there is exactly one
 * write per non-empty stack the receiver takes. The receiver counts the writes it is still owed: a drain
 * outside the event loop may take the messages before their sender has written, and the descriptor must be
 * emptied later, although there is nothing in the stack any more. The descriptor is always read before the
 * stack is taken: the other way round, a wake-up of a later message could be swallowed.
 */
#include "broker/net/mailbox.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct Mail Mail;
struct Mail {
    Mail *next;
    MailFunc func;
    gpointer data;
};

struct Mailbox {
    Mail *posted; /* atomic; newest first */
    int fd;
    /* The rest is the receiver's own. */
    guint64 wakes_owed; /* stacks taken minus wake-ups read */
    Mail *batch;        /* taken and not yet run, oldest first */
    Mail **batch_tail;
};

Mailbox *mailbox_new(void)
{
    Mailbox *mailbox = g_new0(Mailbox, 1);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0)
        g_error("cannot create an eventfd: %s", g_strerror(errno));
    mailbox->batch_tail = &mailbox->batch;
    return mailbox;
}

static void wake(int fd)
{
    const guint64 one = 1;
    ssize_t written;
    do
        written = write(fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
    /* The counter cannot overflow: it is bounded by the number of stacks the receiver took. */
    g_assert(written == sizeof one);
}

void mailbox_post(Mailbox *mailbox, MailFunc func, gpointer data)
{
    Mail *mail = g_new(Mail, 1);
    mail->func = func;
    mail->data = data;
    int fd = mailbox->fd; /* once pushed, the mail may already have run */
    Mail *head = __atomic_load_n(&mailbox->posted, __ATOMIC_RELAXED);
    do
        mail->next = head;
    while (!__atomic_compare_exchange_n(&mailbox->posted, &head, mail, /* weak= */ TRUE, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    if (head == NULL)
        wake(fd);
}

int mailbox_fd(const Mailbox *mailbox)
{
    return mailbox->fd;
}

static void read_wakes(Mailbox *mailbox)
{
    guint64 count = 0;
    ssize_t got;
    do
        got = read(mailbox->fd, &count, sizeof count);
    while (got < 0 && errno == EINTR);
    if (got == sizeof count)
        mailbox->wakes_owed -= count;
}

/* Moves everything posted to the end of the batch, in the order of posting. */
static void take_posted(Mailbox *mailbox)
{
    Mail *mail = __atomic_exchange_n(&mailbox->posted, NULL, __ATOMIC_ACQUIRE);
    if (mail == NULL)
        return;
    mailbox->wakes_owed++;
    Mail **tail = &mail->next; /* the newest becomes the last */
    Mail *oldest_first = NULL;
    while (mail != NULL) {
        Mail *older = mail->next;
        mail->next = oldest_first;
        oldest_first = mail;
        mail = older;
    }
    *mailbox->batch_tail = oldest_first;
    mailbox->batch_tail = tail;
}

static guint run_batch(Mailbox *mailbox, gboolean cancelled)
{
    guint count = 0;
    /* A message may drain the mailbox again: the inner call then runs the rest of this batch first, so that
     * the order of posting holds. */
    for (Mail *mail; (mail = mailbox->batch) != NULL; count++) {
        mailbox->batch = mail->next;
        if (mailbox->batch == NULL)
            mailbox->batch_tail = &mailbox->batch;
        MailFunc func = mail->func;
        gpointer data = mail->data;
        g_free(mail);
        func(data, cancelled);
    }
    return count;
}

guint mailbox_drain(Mailbox *mailbox)
{
    if (__atomic_load_n(&mailbox->posted, __ATOMIC_RELAXED) != NULL || mailbox->wakes_owed != 0) {
        read_wakes(mailbox);
        take_posted(mailbox);
    }
    return run_batch(mailbox, /* cancelled= */ FALSE);
}

void mailbox_free(Mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    do
        take_posted(mailbox);
    while (run_batch(mailbox, /* cancelled= */ TRUE) > 0);
    close(mailbox->fd);
    g_free(mailbox);
}
