/* SPDX-License-Identifier: MIT */
#include "broker/net/actor.h"

#include <errno.h>
#include <poll.h>

struct Actor {
    Mailbox *mailbox;
    GThread *thread;
    gboolean stopping; /* the actor's thread only */
};

static _Thread_local const Actor *current_actor;

static gpointer actor_main(gpointer data)
{
    Actor *actor = data;
    current_actor = actor;
    struct pollfd wait = {.fd = mailbox_fd(actor->mailbox), .events = POLLIN};
    while (!actor->stopping) {
        if (poll(&wait, 1, /* timeout= */ -1) < 0 && errno != EINTR)
            g_error("actor: poll: %s", g_strerror(errno));
        mailbox_drain(actor->mailbox);
    }
    return NULL;
}

Actor *actor_new(const char *name)
{
    Actor *actor = g_new0(Actor, 1);
    actor->mailbox = mailbox_new();
    actor->thread = g_thread_new(name, actor_main, actor);
    return actor;
}

static void stop(gpointer data, gboolean cancelled G_GNUC_UNUSED)
{
    Actor *actor = data;
    actor->stopping = TRUE;
}

void actor_free(Actor *actor)
{
    if (actor == NULL)
        return;
    g_assert(!actor_is_current(actor));
    mailbox_post(actor->mailbox, stop, actor);
    g_thread_join(actor->thread);
    mailbox_free(actor->mailbox);
    g_free(actor);
}

void actor_post(Actor *actor, MailFunc func, gpointer data)
{
    mailbox_post(actor->mailbox, func, data);
}

gboolean actor_is_current(const Actor *actor)
{
    return current_actor == actor;
}
