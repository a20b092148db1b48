/* SPDX-License-Identifier: MIT
 *
 * The access log of one I/O thread: one line per answered request with method, route template, status, bytes,
 * time and (as configured) the truncated address of the client. Never a target, a query or a body: what was
 * asked is nobody's business (contract: search, not logging).
 *
 * Lines collect in memory; a worker writes them, because the reader of our standard error may stall. While
 * one batch is being written the next one collects, up to ACCESS_LOG_BYTES_MAX; beyond that lines are dropped
 * and counted.
 */
#pragma once

#include "broker/config.h"
#include "broker/net/http.h"
#include "broker/net/workers.h"

#define ACCESS_LOG_FLUSH_BYTES (32 * 1024)
#define ACCESS_LOG_BYTES_MAX (1024 * 1024)

typedef struct AccessLog AccessLog;

/* Both borrowed. */
AccessLog *access_log_new(Workers *workers, Mailbox *mailbox);
/* Writes what is left, at once. A batch that is with a worker stays its own. NULL is fine. */
void access_log_free(AccessLog *log);

/* `real_us`: wall clock, since the epoch. FALSE when the line was dropped. */
gboolean access_log_add(AccessLog *log, const HttpDone *done, ConfigLogAddress address, gint64 real_us);
/* Hands what has collected to a worker unless it still has the batch before. */
void access_log_flush(AccessLog *log);
/* What has collected and was not handed on; for tests. */
const char *access_log_pending(const AccessLog *log);
