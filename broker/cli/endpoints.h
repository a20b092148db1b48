/* SPDX-License-Identifier: MIT
 *
 * Finding the broker that runs on a data directory: <data>/endpoints.json, which a broker writes when it
 * listens and removes when it ends, and <data>/daemon.json, which holds the token of its loopback interface.
 */
#pragma once

#include "schema/error.h"

typedef struct {
    char *public_url; /* "http://127.0.0.1:8000": wildcard addresses replaced by loopback; or NULL */
    char *api_url;    /* "http://127.0.0.1:7666", or NULL when that interface is off */
    gint64 pid;       /* 0 when not given */
} Endpoints;

/* NOT_FOUND when no broker runs there (or has not finished starting), MALFORMED or LIMIT when the file is not
 * what a broker writes. */
Endpoints *endpoints_load(const char *data_dir, GError **error);
void endpoints_free(Endpoints *endpoints);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Endpoints, endpoints_free)

/* "host:port" or a URL, as a URL without a slash at its end; a wildcard host becomes loopback. A new string.
 */
char *endpoints_url(const char *address);

/* The token of the loopback interface, a new string. NOT_FOUND or DENIED when daemon.json cannot be read,
 * MALFORMED when it holds no token of 64 hexadecimal digits. */
char *endpoints_api_token(const char *data_dir, GError **error);
