/* SPDX-License-Identifier: MIT
 *
 * An actor: one thread that owns some state and does nothing but run the messages of its mailbox, in order.
 * The state thread of the broker is one; the indexer is another. Work that would block an I/O thread and need
 * not keep an order goes to workers (workers.h) instead.
 */
#pragma once

#include "broker/net/mailbox.h"

typedef struct Actor Actor;

/* Starts the thread; `name` (≤ 15 characters) shows in ps and gdb. */
Actor *actor_new(const char *name);
/* Runs what is queued, then stops and joins the thread and frees the mailbox. Nobody may post any more. NULL
 * is fine. */
void actor_free(Actor *actor);

/* Any thread. */
void actor_post(Actor *actor, MailFunc func, gpointer data);
/* TRUE on the actor's own thread: for asserts. */
gboolean actor_is_current(const Actor *actor);
