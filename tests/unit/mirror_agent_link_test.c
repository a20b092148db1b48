/* SPDX-License-Identifier: MIT
 *
 * The link to an agent process, with agents of every kind: this program is its own agent, and what it does
 * then stands in a file of the store directory. At the end the real agent, with a source that is not there.
 */
#include "mirror/agent/agent.h"
#include "mirror/agent/agent_link.h"
#include "mirror/store/dir_tree.h"
#include "schema/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEHAVIOUR "behaviour"
#define PATIENCE_US (20 * G_TIME_SPAN_SECOND)

/* --- The agents --- */

static void say(int fd, const AgentEvent *event)
{
    g_autoptr(GString) line = g_string_new(NULL);
    agent_event_write(event, line);
    if (send(fd, line->str, line->len, MSG_NOSIGNAL) != (ssize_t)line->len)
        _exit(9);
}

static void say_alarm(int fd, const char *reason)
{
    g_autofree char *copy = g_strdup(reason), *kind = g_strdup("test");
    say(fd, &(AgentEvent){.kind = AGENT_ALARM, .alarm = kind, .reason = copy});
}

static void hear_job(int fd, AgentJob *ret)
{
    g_autoptr(GString) heard = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    for (char c; read(fd, &c, 1) == 1 && c != '\n';)
        g_string_append_c(heard, c);
    if (!agent_job_parse(heard->str, heard->len, ret, &error))
        _exit(8);
}

static void say_environment(int fd)
{
    g_auto(GStrv) names = g_listenv();
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; names[i] != NULL; i++)
        g_string_append_printf(text, "%s=%s ", names[i], g_getenv(names[i]));
    say_alarm(fd, text->str);
}

static void say_descriptors(int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 1024; i++)
        if (fcntl(i, F_GETFD) >= 0)
            g_string_append_printf(text, "%d ", i);
    say_alarm(fd, text->str);
}

static int act(int fd, const char *store_dir)
{
    g_autofree char *path = g_build_filename(store_dir, BEHAVIOUR, NULL);
    g_autofree char *behaviour = NULL;
    g_auto(AgentJob) job = {0};
    if (!g_file_get_contents(path, &behaviour, NULL, NULL))
        return agent_run(fd, store_dir);
    say(fd, &(AgentEvent){.kind = AGENT_HELLO});
    if (strcmp(behaviour, "environment") == 0)
        say_environment(fd);
    else if (strcmp(behaviour, "descriptors") == 0)
        say_descriptors(fd);
    else if (strcmp(behaviour, "many") == 0)
        for (guint64 i = 0; i < 5000; i++)
            say(fd, &(AgentEvent){.kind = AGENT_PROGRESS, .job = i});
    if (strcmp(behaviour, "exit") == 0)
        return 3;
    if (strcmp(behaviour, "hung") == 0)
        return AGENT_EXIT_HUNG;
    if (strcmp(behaviour, "crash") == 0) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (strcmp(behaviour, "nonsense") == 0)
        return write(fd, "{\"job\":1}\n", 10) == 10 ? 0 : 1;
    g_autofree char *endless = g_strnfill(2 * LIMIT_AGENT_LINE_BYTES, ' ');
    if (strcmp(behaviour, "endless") == 0)
        send(fd, endless, strlen(endless), MSG_NOSIGNAL);
    if (strcmp(behaviour, "deaf") == 0)
        for (;;)
            pause();
    if (strcmp(behaviour, "closes") == 0) {
        close(fd);
        for (;;)
            pause();
    }
    for (;;) {
        agent_job_clear(&job);
        hear_job(fd, &job);
        say_alarm(fd, job.source->name);
    }
}

/* --- The link --- */

typedef struct {
    char *directory;
    AgentLink *link;
    guint events;
    guint64 last_job;
    GString *alarms;
    AgentEvent done; /* of the real agent */
} World;

static void world_init(World *world, const char *behaviour)
{
    g_autoptr(GError) error = NULL;
    *world = (World){.directory = g_dir_make_tmp("kontor-link-XXXXXX", NULL), .alarms = g_string_new(NULL)};
    g_autofree char *path = g_build_filename(world->directory, BEHAVIOUR, NULL);
    g_assert_true(behaviour == NULL || g_file_set_contents(path, behaviour, -1, NULL));
    world->link = agent_link_start(world->directory, &error);
    g_assert_no_error(error);
    g_assert_nonnull(world->link);
}

static void world_clear(World *world)
{
    agent_link_free(world->link);
    g_assert_true(dir_tree_remove(AT_FDCWD, world->directory, NULL));
    g_free(world->directory);
    g_string_free(world->alarms, TRUE);
    agent_event_clear(&world->done);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static void on_event(AgentEvent *event, gpointer user)
{
    World *world = user;
    world->events++;
    world->last_job = event->job;
    if (event->kind == AGENT_ALARM)
        g_string_append_printf(world->alarms, "%s;", event->reason);
    if (event->kind == AGENT_DONE) {
        world->done = *event;
        *event = (AgentEvent){0};
    }
}

/* Reads until `events` have come. FALSE, with the error, when the link ends before. */
static gboolean hear(World *world, guint events, GError **error)
{
    struct pollfd socket = {.fd = agent_link_fd(world->link), .events = POLLIN};
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    while (world->events < events) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        poll(&socket, 1, 1000);
        if (!agent_link_read(world->link, on_event, world, error))
            return FALSE;
    }
    return TRUE;
}

static void assert_ends(const char *behaviour, KontorErrorCode code, const char *says)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, behaviour);
    g_assert_false(hear(&world, 1000, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    if (strstr(error->message, says) == NULL)
        g_error("%s: '%s' does not say '%s'", behaviour, error->message, says);
    g_assert_null(strchr(error->message, '\n'));
}

static void test_ends(void)
{
    assert_ends("exit", KONTOR_ERROR_IO, "status 3");
    assert_ends("hung", KONTOR_ERROR_BUSY, "hung");
    assert_ends("crash", KONTOR_ERROR_IO, "crashed: Segmentation fault");
    assert_ends("nonsense", KONTOR_ERROR_MALFORMED, "of no known kind");
    assert_ends("endless", KONTOR_ERROR_LIMIT, "a message of more than");
    assert_ends("closes", KONTOR_ERROR_IO, "killed");
}

static void fill_job(AgentJob *job, const char *name)
{
    *job = (AgentJob){.id = 1,
                      .source = source_new(SOURCE_GIT, name),
                      .trust_file = g_strdup("/nonexistent/trust.yaml"),
                      .state = g_strdup(""),
                      .known_policy_hash = g_strdup(""),
                      .seconds = 20};
    job->source->url = g_strdup("file:///nonexistent/repository");
}

static void test_jobs(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, "echo");
    static const char *const names[] = {"one", "two", "three"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_auto(AgentJob) job;
        fill_job(&job, names[i]);
        g_assert_true(agent_link_send(world.link, &job, &error));
    }
    g_assert_true(hear(&world, 4, &error));
    g_assert_cmpstr(world.alarms->str, ==, "one;two;three;");
    g_assert_true(agent_link_pid(world.link) > 0);
}

static void test_many_events(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, "many");
    g_assert_true(hear(&world, 5001, &error));
    g_assert_cmpuint(world.last_job, ==, 4999);
}

/* Whoever does not listen is given up, and does not stop the broker's thread. */
static void test_deaf(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, "deaf");
    g_auto(AgentJob) job;
    fill_job(&job, "one");
    g_free(job.state);
    job.state = g_strnfill(AGENT_STATE_BYTES, 'x');
    gint64 begin = g_get_monotonic_time();
    guint sent = 0;
    while (sent < 1000 && agent_link_send(world.link, &job, &error))
        sent++;
    g_assert_cmpuint(sent, <, 1000);
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_IO);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 10 * G_TIME_SPAN_SECOND);
}

static void test_environment(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    g_setenv("KONTOR_DATA", "/secret", TRUE);
    g_setenv("AWS_SECRET_ACCESS_KEY", "secret", TRUE);
    g_setenv("LD_PRELOAD_X", "secret", TRUE);
    g_setenv("GIT_SSH_COMMAND", "secret", TRUE);
    g_setenv("https_proxy", "http://proxy.example:3128", TRUE);
    g_setenv("TZ", "Europe/Lübeck", TRUE);
    world_init(&world, "environment");
    g_assert_true(hear(&world, 2, &error));
    g_assert_nonnull(strstr(world.alarms->str, "https_proxy=http://proxy.example:3128"));
    g_assert_nonnull(strstr(world.alarms->str, "TZ=Europe/Lübeck"));
    g_assert_null(strstr(world.alarms->str, "secret"));
    g_assert_null(strstr(world.alarms->str, "HOME="));
    g_assert_null(strstr(world.alarms->str, "PATH="));
    g_unsetenv("https_proxy");
    g_unsetenv("TZ");
}

static void test_descriptors(void)
{
    int leaks[8];
    for (guint i = 0; i < G_N_ELEMENTS(leaks); i++)
        leaks[i] = open("/dev/null", O_RDONLY);
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, "descriptors");
    g_assert_true(hear(&world, 2, &error));
    g_assert_cmpstr(world.alarms->str, ==, "0 1 2 3 ;");
    for (guint i = 0; i < G_N_ELEMENTS(leaks); i++)
        close(leaks[i]);
}

static void test_no_program(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(agent_link_start_program("/nonexistent/kontor", "/nonexistent", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_IO);
}

static void test_free_kills(void)
{
    World world;
    world_init(&world, "deaf");
    pid_t pid = (pid_t)agent_link_pid(world.link);
    g_assert_cmpint(kill(pid, 0), ==, 0);
    world_clear(&world);
    g_assert_cmpint(kill(pid, 0), ==, -1);
    g_assert_cmpint(errno, ==, ESRCH);
}

/* --- The real agent --- */

static char *status_line(gint64 pid, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/status", pid);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *at = strstr(text, key);
    g_assert_nonnull(at);
    return g_strndup(at, strcspn(at, "\n"));
}

static void test_real_agent(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, NULL);
    g_autofree char *path = g_build_filename(world.directory, "mirror.db", NULL);
    /* As the broker has it: an agent behind its fence reads beside a writer. */
    g_autoptr(MirrorDb) writer = mirror_db_open(path, DB_WRITE, &error);
    g_assert_no_error(error);
    g_assert_nonnull(writer);
    g_auto(AgentJob) job;
    fill_job(&job, "commons");
    g_assert_true(agent_link_send(world.link, &job, &error));
    while (world.done.kind != AGENT_DONE)
        g_assert_true(hear(&world, world.events + 1, &error));
    g_assert_false(world.done.ok);
    g_assert_cmpint(world.done.code, ==, KONTOR_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(world.done.error, "file:///nonexistent/repository"));
    g_assert_cmpuint(world.done.job, ==, 1);
    gint64 pid = agent_link_pid(world.link);
    g_autofree char *privileges = status_line(pid, "NoNewPrivs:");
    g_assert_cmpstr(privileges, ==, "NoNewPrivs:\t1");
    g_assert_cmpint(getpgid((pid_t)pid), ==, (pid_t)pid);
}

/* When the broker is gone the agent ends by itself, in order. */
static void test_real_agent_ends(void)
{
    World world;
    g_autoptr(GError) error = NULL;
    world_init(&world, NULL);
    g_assert_true(hear(&world, 1, &error));
    pid_t pid = (pid_t)agent_link_pid(world.link);
    g_assert_cmpint(shutdown(agent_link_fd(world.link), SHUT_WR), ==, 0);
    int status = -1;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    world_clear(&world);
}

/* A job that never ends and cannot be interrupted: its trust list is a pipe into which nobody writes. */
static void send_endless_job(World *world)
{
    g_autoptr(GError) error = NULL;
    g_auto(AgentJob) job;
    fill_job(&job, "endless");
    g_free(job.trust_file);
    job.trust_file = g_build_filename(world->directory, "pipe", NULL);
    job.seconds = 1;
    g_assert_cmpint(mkfifo(job.trust_file, 0600), ==, 0);
    g_assert_true(hear(world, 1, &error));
    g_assert_true(agent_link_send(world->link, &job, &error));
}

static void test_real_agent_hangs(void)
{
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    world_init(&world, NULL);
    gint64 begin = g_get_monotonic_time();
    send_endless_job(&world);
    g_assert_false(hear(&world, 1000, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "hung past its deadline"));
    gint64 seconds = (g_get_monotonic_time() - begin) / G_TIME_SPAN_SECOND;
    g_assert_cmpint(seconds, >=, 10);
}

static void test_real_agent_ends_in_the_midst(void)
{
    World world;
    world_init(&world, NULL);
    pid_t pid = (pid_t)agent_link_pid(world.link);
    send_endless_job(&world);
    g_usleep(200 * 1000);
    g_assert_cmpint(shutdown(agent_link_fd(world.link), SHUT_WR), ==, 0);
    int status = -1;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    world_clear(&world);
}

int main(int argc, char **argv)
{
    signing_init();
    if (argc == 6 && strcmp(argv[1], "agent") == 0)
        return act(argv[3][0] - '0', argv[5]);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent_link/ends", test_ends);
    g_test_add_func("/agent_link/jobs", test_jobs);
    g_test_add_func("/agent_link/many-events", test_many_events);
    g_test_add_func("/agent_link/deaf", test_deaf);
    g_test_add_func("/agent_link/environment", test_environment);
    g_test_add_func("/agent_link/descriptors", test_descriptors);
    g_test_add_func("/agent_link/no-program", test_no_program);
    g_test_add_func("/agent_link/free-kills", test_free_kills);
    g_test_add_func("/agent_link/real-agent", test_real_agent);
    g_test_add_func("/agent_link/real-agent-ends", test_real_agent_ends);
    g_test_add_func("/agent_link/real-agent-hangs", test_real_agent_hangs);
    g_test_add_func("/agent_link/real-agent-ends-in-the-midst", test_real_agent_ends_in_the_midst);
    return g_test_run();
}
