/* SPDX-License-Identifier: MIT */
#include "broker/net/actor.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { SENDERS = 4, MAILS_PER_SENDER = 20000 };

typedef struct {
    Mailbox *mailbox;
    GString *log;
    guint cancelled;
} Receiver;

typedef struct {
    Receiver *receiver;
    char letter;
    gboolean drains; /* drains the mailbox again before it writes */
} Letter;

static Letter *letter_new(Receiver *receiver, char letter)
{
    Letter *mail = g_new0(Letter, 1);
    mail->receiver = receiver;
    mail->letter = letter;
    return mail;
}

static void write_letter(gpointer data, gboolean cancelled)
{
    Letter *mail = data;
    if (mail->drains)
        mailbox_drain(mail->receiver->mailbox);
    if (cancelled)
        mail->receiver->cancelled++;
    else
        g_string_append_c(mail->receiver->log, mail->letter);
    g_free(mail);
}

static void post(Receiver *receiver, const char *letters)
{
    for (; *letters != '\0'; letters++)
        mailbox_post(receiver->mailbox, write_letter, letter_new(receiver, *letters));
}

static gboolean is_readable(const Mailbox *mailbox)
{
    struct pollfd wait = {.fd = mailbox_fd(mailbox), .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void test_order(void)
{
    Receiver receiver = {.mailbox = mailbox_new(), .log = g_string_new(NULL)};
    g_assert_cmpuint(mailbox_drain(receiver.mailbox), ==, 0);
    g_assert_false(is_readable(receiver.mailbox));
    post(&receiver, "abc");
    g_assert_true(is_readable(receiver.mailbox));
    g_assert_cmpuint(mailbox_drain(receiver.mailbox), ==, 3);
    g_assert_false(is_readable(receiver.mailbox));
    post(&receiver, "de");
    mailbox_drain(receiver.mailbox);
    g_assert_cmpstr(receiver.log->str, ==, "abcde");
    mailbox_free(receiver.mailbox);
    g_string_free(receiver.log, TRUE);
}

static void post_more(gpointer data, gboolean cancelled)
{
    g_assert_false(cancelled);
    post(data, "yz");
}

static void test_posting_while_draining(void)
{
    Receiver receiver = {.mailbox = mailbox_new(), .log = g_string_new(NULL)};
    mailbox_post(receiver.mailbox, post_more, &receiver);
    post(&receiver, "a");
    /* Only what was posted before; the rest has woken the receiver again. */
    g_assert_cmpuint(mailbox_drain(receiver.mailbox), ==, 2);
    g_assert_cmpstr(receiver.log->str, ==, "a");
    g_assert_true(is_readable(receiver.mailbox));
    g_assert_cmpuint(mailbox_drain(receiver.mailbox), ==, 2);
    g_assert_cmpstr(receiver.log->str, ==, "ayz");
    mailbox_free(receiver.mailbox);
    g_string_free(receiver.log, TRUE);
}

static void test_draining_while_draining(void)
{
    Receiver receiver = {.mailbox = mailbox_new(), .log = g_string_new(NULL)};
    Letter *outer = letter_new(&receiver, '!');
    outer->drains = TRUE;
    mailbox_post(receiver.mailbox, post_more, &receiver);
    mailbox_post(receiver.mailbox, write_letter, outer);
    post(&receiver, "ab");
    mailbox_drain(receiver.mailbox);
    /* The inner drain ran the rest of the outer batch first, then what was new. */
    g_assert_cmpstr(receiver.log->str, ==, "abyz!");
    g_assert_false(is_readable(receiver.mailbox));
    mailbox_free(receiver.mailbox);
    g_string_free(receiver.log, TRUE);
}

static void test_free_cancels(void)
{
    Receiver receiver = {.mailbox = mailbox_new(), .log = g_string_new(NULL)};
    post(&receiver, "abc");
    mailbox_free(receiver.mailbox);
    g_assert_cmpuint(receiver.cancelled, ==, 3);
    g_assert_cmpstr(receiver.log->str, ==, "");
    g_string_free(receiver.log, TRUE);
}

/* --- Many senders --- */

typedef struct {
    Mailbox *mailbox;
    guint received;
    guint next[SENDERS]; /* number expected of each sender */
} Counter;

typedef struct {
    Counter *counter;
    guint sender;
    guint number;
} Numbered;

static void check_number(gpointer data, gboolean cancelled)
{
    Numbered *mail = data;
    g_assert_false(cancelled);
    g_assert_cmpuint(mail->number, ==, mail->counter->next[mail->sender]);
    mail->counter->next[mail->sender]++;
    mail->counter->received++;
    g_free(mail);
}

typedef struct {
    Counter *counter;
    guint sender;
} Sender;

static gpointer send_numbers(gpointer data)
{
    const Sender *sender = data;
    for (guint i = 0; i < MAILS_PER_SENDER; i++) {
        Numbered *mail = g_new(Numbered, 1);
        *mail = (Numbered){sender->counter, sender->sender, i};
        mailbox_post(sender->counter->mailbox, check_number, mail);
    }
    return NULL;
}

/* The receiver sleeps whenever it has nothing to do: a lost wake-up would make this hang. */
static void test_many_senders(void)
{
    Counter counter = {.mailbox = mailbox_new()};
    Sender senders[SENDERS];
    GThread *threads[SENDERS];
    struct pollfd wait = {.fd = mailbox_fd(counter.mailbox), .events = POLLIN};
    for (guint i = 0; i < SENDERS; i++) {
        senders[i] = (Sender){&counter, i};
        threads[i] = g_thread_new("sender", send_numbers, &senders[i]);
    }
    while (counter.received < SENDERS * MAILS_PER_SENDER) {
        g_assert_cmpint(poll(&wait, 1, 20000), ==, 1);
        /* Sometimes twice, as look-ups do. */
        mailbox_drain(counter.mailbox);
        if (counter.received % 3 == 0)
            mailbox_drain(counter.mailbox);
    }
    for (guint i = 0; i < SENDERS; i++)
        g_thread_join(threads[i]);
    mailbox_drain(counter.mailbox);
    g_assert_false(is_readable(counter.mailbox));
    mailbox_free(counter.mailbox);
}

/* --- Actors --- */

typedef struct {
    Actor *actor;
    guint runs;
} Work;

static void count_run(gpointer data, gboolean cancelled)
{
    Work *work = data;
    g_assert_false(cancelled);
    g_assert_true(actor_is_current(work->actor));
    work->runs++;
}

static void test_actor(void)
{
    Work work = {.actor = actor_new("test")};
    g_assert_false(actor_is_current(work.actor));
    for (guint i = 0; i < 1000; i++)
        actor_post(work.actor, count_run, &work);
    actor_free(work.actor); /* runs what is queued */
    g_assert_cmpuint(work.runs, ==, 1000);
    actor_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mailbox/order", test_order);
    g_test_add_func("/mailbox/post-while-draining", test_posting_while_draining);
    g_test_add_func("/mailbox/drain-while-draining", test_draining_while_draining);
    g_test_add_func("/mailbox/free-cancels", test_free_cancels);
    g_test_add_func("/mailbox/many-senders", test_many_senders);
    g_test_add_func("/actor", test_actor);
    return g_test_run();
}
