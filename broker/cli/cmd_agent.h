/* SPDX-License-Identifier: MIT
 *
 * "kontor agent": what the broker starts as its agent process (mirror/agent/agent_link.h). Not for people: it
 * stands in no table of commands, so that help, completion and suggestions do not know it, and is looked for
 * before anything else in main.
 */
#pragma once

#include <glib.h>

/* TRUE for "kontor agent --fd N --store DIR". */
gboolean cmd_agent_is_meant(int argc, char **argv);
/* Its exit status. */
int cmd_agent_run(char **argv);
