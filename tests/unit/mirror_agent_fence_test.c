/* SPDX-License-Identifier: MIT
 *
 * The fence around the agent, from the inside: each case is a process of its own that puts it up and then
 * tries to get out. The last one asks whether the agent itself stands behind it.
 */
#include "mirror/agent/agent.h"
#include "mirror/agent/agent_fence.h"
#include "mirror/store/dir_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELD = 0, NO_LANDLOCK = 77 };

/* --- What is tried; each returns 0 or an errno --- */

static int write_to(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int problem = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return problem;
}

static int result(int code)
{
    return code == 0 ? 0 : errno;
}

static char *below(const char *store, const char *name)
{
    return g_build_filename(store, name, NULL);
}

/* The line of the case that fails is its exit code, so that the parent can name it. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            _exit(__LINE__ % 200 + 1 == NO_LANDLOCK ? 201 : __LINE__ % 200 + 1);                             \
    } while (0)

static void try_inside(const char *store)
{
    static const char *const names[] = {"tmp/a", "releases/a", "git/a", "peers/a", "evidence/a"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = below(store, names[i]);
        REQUIRE(write_to(path) == 0);
        REQUIRE(result(truncate(path, 0)) == 0);
    }
    g_autofree char *staged = below(store, "tmp/pack"), *release = below(store, "releases/pack");
    g_autofree char *file = below(store, "tmp/pack/file"), *link_from = below(store, "releases/pack/file");
    g_autofree char *link_to = below(store, "tmp/linked");
    REQUIRE(result(mkdir(staged, 0700)) == 0 && write_to(file) == 0);
    REQUIRE(result(rename(staged, release)) == 0);
    REQUIRE(result(link(link_from, link_to)) == 0);
    REQUIRE(result(unlink(link_from)) == 0 && result(rmdir(release)) == 0);
}

static void try_outside(const char *store)
{
    g_autofree char *db = below(store, "mirror.db"), *other = below(store, "other");
    g_autofree char *inside = below(store, "tmp/a"), *symlinked = below(store, "tmp/symlink");
    g_autofree char *pipe_path = below(store, "tmp/pipe"), *text = NULL;
    REQUIRE(write_to(db) == EACCES && write_to(other) == EACCES);
    REQUIRE(g_file_get_contents(db, &text, NULL, NULL) && strcmp(text, "kept") == 0);
    REQUIRE(result(unlink(db)) == EACCES && result(mkdir(other, 0700)) == EACCES);
    REQUIRE(result(rename(inside, other)) != 0 && result(rename(inside, db)) != 0);
    REQUIRE(result(symlink(db, symlinked)) == EACCES && result(mkfifo(pipe_path, 0600)) == EACCES);
}

static void try_processes(void)
{
    char name[] = "true";
    char *const argv[] = {name, NULL};
    pid_t pid = 0;
    REQUIRE(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) == EACCES);
    REQUIRE(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == -1 && errno == EPERM);
}

static void inside(const char *store)
{
    if (!agent_fence(store))
        _exit(NO_LANDLOCK);
    try_inside(store);
    try_outside(store);
    try_processes();
    _exit(HELD);
}

/* --- From the outside --- */

typedef struct {
    char *store;
} World;

static void world_init(World *world)
{
    world->store = g_dir_make_tmp("kontor-fence-XXXXXX", NULL);
    g_autofree char *db = below(world->store, "mirror.db");
    g_assert_true(g_file_set_contents(db, "kept", -1, NULL));
}

static void world_clear(World *world)
{
    g_assert_true(dir_tree_remove(AT_FDCWD, world->store, NULL));
    g_free(world->store);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static int end_of(pid_t pid)
{
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_holds(void)
{
    g_auto(World) world = {0};
    world_init(&world);
    pid_t pid = fork();
    if (pid == 0)
        inside(world.store);
    int code = end_of(pid);
    if (code == NO_LANDLOCK)
        g_test_skip("this kernel has no Landlock");
    else
        g_assert_cmpint(code, ==, HELD);
}

/* Without its directories there is no fence, and nothing is forbidden. */
static void test_no_store(void)
{
    g_auto(World) world = {0};
    world_init(&world);
    g_autofree char *nowhere = below(world.store, "no/such"), *other = below(world.store, "other");
    pid_t pid = fork();
    if (pid == 0)
        _exit(!agent_fence(nowhere) && write_to(other) == 0 ? HELD : 1);
    g_assert_cmpint(end_of(pid), ==, HELD);
}

static void be_agent(const char *store, int fd)
{
    g_autofree char *other = below(store, "other");
    if (agent_run(fd, store) != 0)
        _exit(1);
    _exit(write_to(other) == EACCES ? HELD : agent_fence(store) ? 2 : NO_LANDLOCK);
}

static void test_agent(void)
{
    g_auto(World) world = {0};
    int pair[2];
    world_init(&world);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    pid_t pid = fork();
    if (pid == 0)
        be_agent(world.store, pair[1]);
    close(pair[1]);
    close(pair[0]);
    int code = end_of(pid);
    if (code == NO_LANDLOCK)
        g_test_skip("this kernel has no Landlock");
    else
        g_assert_cmpint(code, ==, HELD);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent-fence/holds", test_holds);
    g_test_add_func("/agent-fence/no-store", test_no_store);
    g_test_add_func("/agent-fence/agent", test_agent);
    return g_test_run();
}
