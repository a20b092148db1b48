/* SPDX-License-Identifier: MIT
 *
 * Telling the broker that runs on a data directory to read its configuration and lists again.
 */
#pragma once

#include "schema/error.h"

/* TRUE when a broker, or another command that works on the store, holds the data directory. */
gboolean broker_is_running(const char *data_dir);

/* Sends SIGHUP to the broker and returns its process id. 0 with NOT_FOUND when none runs there: an
 * endpoints.json that a killed broker left behind does not count, because its process id may be somebody
 * else's by now. DENIED when it belongs to another user. */
gint64 broker_reload(const char *data_dir, GError **error);
