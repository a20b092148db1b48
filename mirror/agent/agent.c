/* SPDX-License-Identifier: MIT
 *
 * Two threads. The main one reads jobs and runs them, blocking. The other one watches: libgit2 and name
 * look-ups cannot be interrupted, so when a job is far past its deadline, or when the broker has closed the
 * socket in the midst of one, the only way out is to end the process. Nothing is lost by that: what was
 * installed was reported, or is found again by the next sync.
 */
#include "mirror/agent/agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror/agent/agent_environment.h"
#include "mirror/agent/agent_fence.h"
#include "mirror/agent/agent_message.h"
#include "mirror/agent/git_sync.h"
#include "mirror/agent/peer_sync.h"
#include "schema/limits.h"

enum {
    EXIT_BAD_START = 1,
    DESCRIPTORS_MAX = 4096,
    PROGRESS_US = 100 * 1000,
    WATCH_MS = 1000,
    NICE_BY = 10,
    THREADS_MAX = 4,
};
#define MEMORY_MAX_BYTES (4ULL * 1024 * 1024 * 1024)
#define OVERTIME_US (10 * G_TIME_SPAN_SECOND)

typedef struct {
    int fd;
    const char *store_dir;
    ReleaseStore *store;
    PeerSync *peers;
    guint threads;
    gint busy;               /* atomic: a job is running */
    volatile gint64 ends_us; /* guarded by `lock`: of the job that is running, overtime included */
    GMutex lock;
    gboolean broken; /* the broker does not hear us any more */
    /* Of the job that is running: */
    guint64 job;
    gint64 progress_us; /* when it was last told */
    SyncPhase phase;
    SyncProgress latest;
} Agent;

/* --- Isolation --- */

static void limit(int resource, rlim_t value)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0)
        return;
    now.rlim_max = MIN(now.rlim_max, value);
    now.rlim_cur = MIN(now.rlim_cur, now.rlim_max);
    setrlimit(resource, &now);
}

/* What comes from strangers is parsed here: leave nothing around that it could use. Each of these is a fence
 * of its own, so that one which the system lacks does not stop us. */
static void isolate(int fd)
{
    g_auto(GStrv) environment = agent_environment();
    clearenv();
    for (guint i = 0; environment[i] != NULL; i++) {
        g_auto(GStrv) pair = g_strsplit(environment[i], "=", 2);
        g_setenv(pair[0], pair[1], TRUE);
    }
    prctl(PR_SET_NAME, "kontor-agent", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!AGENT_UNDER_SANITIZER) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        limit(RLIMIT_AS, MEMORY_MAX_BYTES);
    }
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
    setpgid(0, 0);
    umask(022);
    errno = 0;
    if (nice(NICE_BY) == -1 && errno != 0)
        errno = 0;
    if (fd > 3)
        close_range(3, (unsigned)fd - 1, 0);
    close_range((unsigned)fd + 1, ~0U, 0);
}

/* The broker keeps its signals blocked for itself; here they have their plain meaning. */
static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

/* --- Speaking --- */

static void say(Agent *agent, const AgentEvent *event)
{
    g_autoptr(GString) line = g_string_new(NULL);
    agent_event_write(event, line);
    for (gsize sent = 0; sent < line->len && !agent->broken;) {
        ssize_t n = send(agent->fd, line->str + sent, line->len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (gsize)n;
        else if (errno != EINTR)
            agent->broken = TRUE;
    }
}

static void on_progress(const SyncProgress *progress, gpointer user)
{
    Agent *agent = user;
    gint64 now = g_get_monotonic_time();
    agent->latest = *progress;
    if (progress->phase == agent->phase && now - agent->progress_us < PROGRESS_US)
        return;
    agent->phase = progress->phase;
    agent->progress_us = now;
    say(agent, &(AgentEvent){.kind = AGENT_PROGRESS, .job = agent->job, .progress = *progress});
}

static void on_result(SyncResult *result, gpointer user)
{
    Agent *agent = user;
    g_auto(AgentEvent) event = {.kind = AGENT_RESULT, .job = agent->job, .result = result};
    say(agent, &event);
}

static void on_alarm(const char *kind, const char *reason, gpointer user)
{
    Agent *agent = user;
    g_auto(AgentEvent)
        event = {.kind = AGENT_ALARM, .job = agent->job, .alarm = g_strdup(kind), .reason = g_strdup(reason)};
    say(agent, &event);
}

/* --- Working --- */

/* Like the broker's own reading: no file is an empty list. */
static TrustList *load_trust(const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *text = NULL;
    gsize len = 0;
    struct stat info;
    if (stat(path, &info) != 0 && errno == ENOENT)
        return trust_list_new_empty();
    if (info.st_size > LIMIT_TRUST_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: larger than %d bytes", path,
                    LIMIT_TRUST_BYTES);
        return NULL;
    }
    if (g_file_get_contents(path, &text, &len, &cause))
        return trust_list_parse(path, text, len, error);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "%s", cause->message);
    return NULL;
}

static gboolean sync_source(Agent *agent, const SyncJob *job, SyncDone *done, guint *requests, GError **error)
{
    PeerSyncCost cost = {0};
    if (job->source->kind == SOURCE_GIT)
        return git_sync(job, done, error);
    gboolean good = peer_sync_run(agent->peers, job, &cost, done, error);
    *requests = cost.requests;
    agent->latest.bytes = MAX(agent->latest.bytes, cost.bytes);
    return good;
}

/* Runs the job and fills in how it ended. */
static gboolean run(Agent *agent, const AgentJob *wish, AgentEvent *end, GError **error)
{
    g_autofree char *db_path = g_build_filename(agent->store_dir, "mirror.db", NULL);
    g_autoptr(TrustList) trust = load_trust(wish->trust_file, error);
    g_autoptr(MirrorDb) db = trust != NULL ? mirror_db_open(db_path, DB_READ, error) : NULL;
    g_auto(SyncDone) done = {0};
    if (db == NULL)
        return FALSE;
    end->policy_hash = source_policy_hash(wish->source, trust);
    SyncJob job = {.source = wish->source,
                   .store = agent->store,
                   .db = db,
                   .trust = trust,
                   .policy_hash = end->policy_hash,
                   .state = wish->state,
                   .known_policy_hash = wish->known_policy_hash,
                   .store_dir = agent->store_dir,
                   .prune = wish->prune,
                   .full = wish->full,
                   .reset = wish->reset,
                   .deadline_us = g_get_monotonic_time() + wish->seconds * G_TIME_SPAN_SECOND,
                   .threads = agent->threads,
                   .hooks = {on_progress, on_result, on_alarm, agent}};
    if (!sync_source(agent, &job, &done, &end->requests, error))
        return FALSE;
    if (done.state != NULL && strlen(done.state) > AGENT_STATE_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "what is to be remembered of the source is too long");
        return FALSE;
    }
    end->partial = done.partial;
    end->packs_seen = done.packs_seen;
    end->state = g_steal_pointer(&done.state);
    return TRUE;
}

static void set_end(Agent *agent, gint64 ends_us)
{
    g_mutex_lock(&agent->lock);
    agent->ends_us = ends_us;
    g_mutex_unlock(&agent->lock);
}

static void work(Agent *agent, const AgentJob *job)
{
    g_autoptr(GError) error = NULL;
    g_auto(AgentEvent) end = {.kind = AGENT_DONE, .job = job->id};
    agent->job = job->id;
    agent->progress_us = 0;
    agent->latest = (SyncProgress){0};
    set_end(agent, g_get_monotonic_time() + job->seconds * G_TIME_SPAN_SECOND + OVERTIME_US);
    g_atomic_int_set(&agent->busy, 1);
    end.ok = run(agent, job, &end, &error);
    g_atomic_int_set(&agent->busy, 0);
    set_end(agent, 0);
    if (!end.ok) {
        end.code = error->domain == KONTOR_ERROR ? (KontorErrorCode)error->code : KONTOR_ERROR_IO;
        end.error = g_strdup(error->message);
    }
    if (end.state == NULL)
        end.state = g_strdup("");
    if (end.policy_hash == NULL)
        end.policy_hash = g_strdup("");
    end.bytes = agent->latest.bytes;
    say(agent, &(AgentEvent){.kind = AGENT_PROGRESS, .job = job->id, .progress = agent->latest});
    say(agent, &end);
}

/* --- Watching --- */

static gboolean is_overdue(Agent *agent)
{
    g_mutex_lock(&agent->lock);
    gboolean overdue = agent->ends_us != 0 && g_get_monotonic_time() > agent->ends_us;
    g_mutex_unlock(&agent->lock);
    return overdue;
}

static gpointer watch(gpointer data)
{
    Agent *agent = data;
    struct pollfd socket = {.fd = agent->fd, .events = POLLRDHUP};
    for (;;) {
        int ready = poll(&socket, 1, WATCH_MS);
        if (ready > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0) {
            /* An idle agent notices by itself and ends in order. */
            if (g_atomic_int_get(&agent->busy))
                _exit(0);
            return NULL;
        }
        if (is_overdue(agent))
            _exit(AGENT_EXIT_HUNG);
    }
}

/* --- Hearing --- */

/* One line without its LF, a new string; NULL at the end, and when the broker says what it never would. */
static char *next_line(Agent *agent, GString *heard)
{
    for (;;) {
        char *end = memchr(heard->str, '\n', heard->len);
        if (end != NULL) {
            gsize len = (gsize)(end - heard->str);
            char *line = g_strndup(heard->str, len);
            g_string_erase(heard, 0, (gssize)len + 1);
            return line;
        }
        char part[16384];
        ssize_t n = heard->len > LIMIT_AGENT_LINE_BYTES ? 0 : read(agent->fd, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        g_string_append_len(heard, part, n);
    }
}

static int serve_jobs(Agent *agent)
{
    g_autoptr(GString) heard = g_string_new(NULL);
    say(agent, &(AgentEvent){.kind = AGENT_HELLO});
    while (!agent->broken) {
        g_autofree char *line = next_line(agent, heard);
        g_auto(AgentJob) job = {0};
        g_autoptr(GError) error = NULL;
        if (line == NULL)
            break;
        if (!agent_job_parse(line, strlen(line), &job, &error)) {
            fprintf(stderr, "kontor agent: %s\n", error->message);
            return EXIT_BAD_START;
        }
        work(agent, &job);
    }
    return 0;
}

int agent_run(int fd, const char *store_dir)
{
    g_autoptr(GError) error = NULL;
    reset_signals();
    isolate(fd);
    signing_init();
    git_sync_init();
    Agent agent = {.fd = fd,
                   .store_dir = store_dir,
                   .threads = MIN(g_get_num_processors(), THREADS_MAX),
                   .store = release_store_open(store_dir, /* clean= */ FALSE, &error)};
    if (agent.store == NULL) {
        fprintf(stderr, "kontor agent: %s\n", error->message);
        return EXIT_BAD_START;
    }
    agent_fence(store_dir);
    agent.peers = peer_sync_new();
    g_mutex_init(&agent.lock);
    GThread *watcher = g_thread_new("watch", watch, &agent);
    int status = serve_jobs(&agent);
    shutdown(fd, SHUT_RDWR);
    g_thread_join(watcher);
    g_mutex_clear(&agent.lock);
    peer_sync_free(agent.peers);
    release_store_free(agent.store);
    return status;
}
