/* SPDX-License-Identifier: MIT
 *
 * What the kernel forbids an agent that has been taken over: Landlock (Linux 5.19 or newer; Debian 12 has
 * 6.1). From then on the process writes, makes and removes files below <store>/{tmp,releases,git,peers,
 * evidence} only; it executes nothing, makes no links by name, devices, pipes or sockets, and cannot look
 * into or change other processes of its user. Newer kernels also keep it from listening on TCP ports and from
 * sending signals to others.
 *
 * Reading is not limited: the credentials and repositories that jobs name may lie anywhere, and which they
 * are is not known when the agent starts.
 */
#pragma once

#include <glib.h>

/* Makes the five directories if need be, and puts the fence around the calling thread and whatever it starts
 * later; it cannot be taken down again. FALSE when there is none, because the kernel has no Landlock or a
 * directory cannot be had: the agent works without, too. */
gboolean agent_fence(const char *store_dir);
