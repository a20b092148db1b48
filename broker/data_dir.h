/* SPDX-License-Identifier: MIT
 *
 * The data directory as a whole: one broker at a time owns it, and tells other programs of this host where it
 * listens.
 */
#pragma once

#include "broker/config.h"

typedef struct DataDir DataDir;

/* Makes the directory if needed (0700) and takes it: a lock on <data>/pid, which also holds our process id.
 * CONFLICT when another broker has it. */
DataDir *data_dir_take(const char *path, GError **error);
/* Removes endpoints.json and gives the directory up. NULL is fine. */
void data_dir_release(DataDir *dir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DataDir, data_dir_release)

/* Writes <data>/endpoints.json in one step: {"public": first address, "api": address or null, "pid",
 * "started_at", "listen": [all public], "tls": [all TLS]}. The arrays are NULL-terminated. */
gboolean data_dir_write_endpoints(DataDir *dir, const char *const *listen, const char *const *tls,
                                  const char *api, GError **error);
