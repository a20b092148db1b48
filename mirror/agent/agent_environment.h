/* SPDX-License-Identifier: MIT
 *
 * What an agent process gets from the world of the process that starts it. Nothing else: no token, no
 * configuration of other programs, no search path.
 */
#pragma once

#include <glib.h>

/* A program with a sanitizer needs more address space, and its options. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define AGENT_UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define AGENT_UNDER_SANITIZER 1
#endif
#endif
#ifndef AGENT_UNDER_SANITIZER
#define AGENT_UNDER_SANITIZER 0
#endif

/* What an agent may keep of the calling process's environment: proxies, TZ, SSL_CERT_FILE and SSL_CERT_DIR. A
 * new vector, for execve. */
char **agent_environment(void);
