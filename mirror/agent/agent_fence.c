/* SPDX-License-Identifier: MIT
 *
 * The kernel's interface is described in landlock(7). It grows by versions; Debian's header knows the second
 * one, so what came later stands here.
 */
#include "mirror/agent/agent_fence.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without it (version 1) nothing can be moved from tmp/ to releases/. */
#define VERSION_WITH_REFER 2
#define VERSION_WITH_TRUNCATE 3
#define VERSION_WITH_TCP 4
#define VERSION_WITH_SCOPES 6

#define ACCESS_TRUNCATE (1ULL << 14)
#define ACCESS_BIND_TCP (1ULL << 0)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS (1ULL << 1)

/* What is granted below the five directories … */
#define MAY_WRITE                                                                                            \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |        \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
/* … and what nowhere. */
#define NEVER                                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |              \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* struct landlock_ruleset_attr as of version 6. Older kernels take it as long as what they do not know is 0.
 */
typedef struct {
    guint64 handled_access_fs, handled_access_net, scoped;
} Ruleset;

static guint64 may_write(long version)
{
    return MAY_WRITE | (version >= VERSION_WITH_TRUNCATE ? ACCESS_TRUNCATE : 0);
}

/* -1 when there is none. */
static int make_ruleset(long version)
{
    const Ruleset ruleset = {
        .handled_access_fs = may_write(version) | NEVER,
        .handled_access_net = version >= VERSION_WITH_TCP ? ACCESS_BIND_TCP : 0,
        .scoped = version >= VERSION_WITH_SCOPES ? SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS : 0,
    };
    return (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
}

static gboolean grant(int ruleset, long version, const char *store_dir, const char *name)
{
    g_autofree char *path = g_build_filename(store_dir, name, NULL);
    mkdir(path, 0700); /* else opening it says what is wrong */
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const struct landlock_path_beneath_attr rule = {.allowed_access = may_write(version), .parent_fd = fd};
    gboolean granted =
        fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    if (fd >= 0)
        close(fd);
    return granted;
}

gboolean agent_fence(const char *store_dir)
{
    static const char *const names[] = {"tmp", "releases", "git", "peers", "evidence"};
    long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset = version >= VERSION_WITH_REFER ? make_ruleset(version) : -1;
    gboolean done = ruleset >= 0;
    for (guint i = 0; i < G_N_ELEMENTS(names) && done; i++)
        done = grant(ruleset, version, store_dir, names[i]);
    done = done && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    if (ruleset >= 0)
        close(ruleset);
    return done;
}
