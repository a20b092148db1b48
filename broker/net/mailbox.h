/* SPDX-License-Identifier: MIT
 *
 * How threads talk: a queue of closures with many senders and one receiver. Sending takes no lock (one atomic
 * compare-and-exchange per message) and wakes the receiver through an eventfd only when the queue was empty.
 * Messages of one sender arrive in the order of sending.
 *
 * The receiver owns the mailbox and frees it after all senders are gone. Messages still queued at that time
 * are run with `cancelled` TRUE, so that they can free what they carry.
 */
#pragma once

#include <glib.h>

typedef struct Mailbox Mailbox;
/* Runs on the receiver's thread, exactly once per message. When `cancelled`, only release resources. */
typedef void (*MailFunc)(gpointer data, gboolean cancelled);

Mailbox *mailbox_new(void);
void mailbox_free(Mailbox *mailbox);

/* Any thread. */
void mailbox_post(Mailbox *mailbox, MailFunc func, gpointer data);
/* Receiver: the descriptor that becomes readable when there is something to do. */
int mailbox_fd(const Mailbox *mailbox);
/* Receiver: runs everything that was posted before the call; returns how many messages that were. Cheap when
 * empty (one atomic load). */
guint mailbox_drain(Mailbox *mailbox);
