/* SPDX-License-Identifier: MIT */
#include "broker/cli/cmd_agent.h"

#include <string.h>

#include "mirror/agent/agent.h"

enum { ARG_FD = 3, ARG_STORE = 5, ARG_COUNT = 6, FD_MIN = 3, FD_MAX = 65535 };

static gboolean read_fd(const char *text, guint64 *ret)
{
    return g_ascii_string_to_unsigned(text, 10, FD_MIN, FD_MAX, ret, NULL);
}

gboolean cmd_agent_is_meant(int argc, char **argv)
{
    guint64 fd = 0;
    return argc == ARG_COUNT && strcmp(argv[1], "agent") == 0 && strcmp(argv[ARG_FD - 1], "--fd") == 0 &&
           strcmp(argv[ARG_STORE - 1], "--store") == 0 && read_fd(argv[ARG_FD], &fd) &&
           g_path_is_absolute(argv[ARG_STORE]);
}

int cmd_agent_run(char **argv)
{
    guint64 fd = 0;
    gboolean good = read_fd(argv[ARG_FD], &fd);
    g_assert(good);
    return agent_run((int)fd, argv[ARG_STORE]);
}
