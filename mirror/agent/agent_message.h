/* SPDX-License-Identifier: MIT
 *
 * What the broker and its agent process say to each other over a socket pair: one JSON object per line in
 * both directions, canonical, of at most LIMIT_AGENT_LINE_BYTES. The broker does not believe the agent more
 * than it must: what the agent parses comes from strangers, so everything it says passes the same checks as
 * their own data would, and releases it names are read and judged again before they are served.
 */
#pragma once

#include "mirror/agent/intake.h"

/* Of a source's state; a line has room for it, whatever must be escaped in it. */
#define AGENT_STATE_BYTES (128 * 1024)

/* Broker → agent: one job at a time. Strings owned. */
typedef struct {
    guint64 id;
    MirrorSource *source;
    char *trust_file; /* absolute */
    char *state, *known_policy_hash;
    gboolean prune, full, reset; /* as in SyncJob */
    guint seconds;               /* the deadline, from now */
} AgentJob;
void agent_job_clear(AgentJob *job);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AgentJob, agent_job_clear)

typedef enum { AGENT_HELLO, AGENT_PROGRESS, AGENT_RESULT, AGENT_ALARM, AGENT_DONE } AgentEventKind;

/* Agent → broker. Only the members of its kind are set. */
typedef struct {
    AgentEventKind kind;
    guint64 job; /* 0 for AGENT_HELLO */
    SyncProgress progress;
    SyncResult *result;
    char *alarm, *reason;
    /* AGENT_DONE */
    gboolean ok, partial;
    KontorErrorCode code; /* when not ok */
    char *error;          /* when not ok */
    char *state, *policy_hash;
    guint packs_seen;
    guint requests;
    guint64 bytes;
} AgentEvent;
void agent_event_clear(AgentEvent *event);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AgentEvent, agent_event_clear)

/* "connect", "fetch", "compare", "read", "install". */
const char *sync_phase_name(SyncPhase phase);

/* Each appends one line with its LF. Texts for people (reasons, errors, origins, names of publishers) are
 * made one line of UTF-8 and cut; everything else is as it must be. */
void agent_job_write(const AgentJob *job, GString *line);
void agent_event_write(const AgentEvent *event, GString *line);
/* One line without its LF. FALSE with MALFORMED or LIMIT. */
gboolean agent_job_parse(const char *line, gsize len, AgentJob *ret, GError **error);
gboolean agent_event_parse(const char *line, gsize len, AgentEvent *ret, GError **error);
