/* SPDX-License-Identifier: MIT
 *
 * The other end of an agent process: starts it, gives it jobs, hears its events, ends it when it says nothing
 * any more. Used by the broker's mirror thread and, while no broker runs, by the command line.
 *
 * An AgentLink belongs to one thread, which must outlive it: the system ends the agent with the thread that
 * started it.
 */
#pragma once

#include "mirror/agent/agent_message.h"

typedef struct AgentLink AgentLink;

/* Starts "kontor agent" (the running program itself, /proc/self/exe) on the store with a socket pair, an
 * empty environment but for what reaching sources needs (proxies, TZ), no other descriptors, and limits of
 * its own. */
AgentLink *agent_link_start(const char *store_dir, GError **error);
/* The same with another program, which is called as "kontor agent --fd N --store DIR". */
AgentLink *agent_link_start_program(const char *program, const char *store_dir, GError **error);
/* Kills the process if it still runs, and waits for it. NULL is fine. */
void agent_link_free(AgentLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentLink, agent_link_free)

int agent_link_fd(const AgentLink *link); /* readable: call agent_link_read */
gint64 agent_link_pid(const AgentLink *link);
/* Does not wait: a job is larger than what an idle agent's socket takes only when something is wrong. FALSE
 * with IO when the agent is gone or does not listen. */
gboolean agent_link_send(AgentLink *link, const AgentJob *job, GError **error);
/* Reads what is there without waiting, up to some 100 events, and calls `func` for each; what it leaves in
 * the event is freed. FALSE when the process has ended (IO, saying how) or has said what it must not say
 * (MALFORMED): free the link. */
typedef void (*AgentEventFunc)(AgentEvent *event, gpointer user);
gboolean agent_link_read(AgentLink *link, AgentEventFunc func, gpointer user, GError **error);
