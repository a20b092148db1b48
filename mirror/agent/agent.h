/* SPDX-License-Identifier: MIT
 *
 * The agent process: reads jobs from its socket, runs each, reports. It has no key, no listening socket and
 * no write access to any database of the broker's; it writes below <store>/{tmp,releases,git,peers,evidence}
 * only, which the kernel enforces where it can (agent_fence.h). It can gain no privileges, dumps no core, has
 * bounded memory and descriptors, and a process group of its own. When the socket is closed it ends, in the
 * midst of a job, too; a job that is 10 seconds past its deadline ends it with status 70.
 */
#pragma once

#include "schema/error.h"

#define AGENT_EXIT_HUNG 70 /* exit status of an agent that is far past a job's deadline */

/* Isolates the process, closes all descriptors but 0..2 and `fd`, and runs until the socket `fd` is closed by
 * the other side; the exit code for main. `store_dir` absolute. */
int agent_run(int fd, const char *store_dir);
