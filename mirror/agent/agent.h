/* SPDX-License-Identifier: MIT
 *
 * The agent process: reads jobs from its socket, runs each, reports. It has no key, no listening socket and
 * no write access to any database of the broker's; it writes below <store>/{tmp,releases,git,peers,evidence}
 * only. When the socket is closed it ends.
 */
#pragma once

#include "schema/error.h"

/* Runs until the socket `fd` is closed by the other side; the exit code for main. `store_dir` absolute. */
int agent_run(int fd, const char *store_dir);
