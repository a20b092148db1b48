/* SPDX-License-Identifier: MIT
 *
 * Exact sliding-window limits per client address, in bounded memory. An address may make `per_window` calls
 * in any window of the given length; refused calls are not counted. At most `addresses_max` addresses are
 * watched; when that many are active at once, further ones are let through (contract: the limit protects a
 * shared service and must not become a way to lock others out). IPv6 addresses count by /64.
 *
 * Shared by all threads; guarded by striped locks, because search and registration are not hot paths.
 */
#pragma once

#include <glib.h>

typedef struct RateLimit RateLimit;

/* `per_window` 0 = unlimited. */
RateLimit *rate_limit_new(guint per_window, guint window_seconds, guint addresses_max);
void rate_limit_free(RateLimit *limit);
void rate_limit_set(RateLimit *limit, guint per_window);
/* TRUE and counted, or FALSE and the whole seconds (≥ 1) after which a call would be admitted. */
gboolean rate_limit_admit(RateLimit *limit, const guint8 address[16], gint64 now_us,
                          guint *ret_retry_after_s);
