/* SPDX-License-Identifier: MIT
 *
 * Many HTTP GETs at once, to servers that may be hostile. The same rules as in fetch.h for every one of them;
 * besides, all of them together have a deadline, a ceiling on what they bring, and a ceiling on what they
 * hold in memory before anybody has taken it.
 *
 * Requests wait in a queue; at most `parallel` of them are under way. Over TLS they share one connection
 * where the server speaks HTTP/2; otherwise each has a connection of its own, which is kept for later ones.
 *
 * A FetchPool belongs to one thread. Nothing happens but in fetch_pool_run and fetch_pool_get.
 */
#pragma once

#include "mirror/agent/fetch.h"

typedef struct FetchPool FetchPool;

/* --- Life cycle --- */

/* `parallel`: 1 … LIMIT_FETCH_PARALLEL. */
FetchPool *fetch_pool_new(guint parallel);
/* Requests that have not ended are forgotten. NULL is fine. */
void fetch_pool_free(FetchPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FetchPool, fetch_pool_free)

/* --- Operations --- */

/* From now on: no request goes on after `deadline_us` (monotonic), and all together bring at most `bytes_max`
 * bytes of bodies. */
void fetch_pool_set_budget(FetchPool *pool, gint64 deadline_us, guint64 bytes_max);
/* Takes bytes that came another way off the budget. LIMIT when there is nothing left of it. */
gboolean fetch_pool_charge(FetchPool *pool, guint64 bytes, GError **error);

/* Called when a request has ended, with the answer, to be freed by the callee, or NULL and the error of
 * fetch_get. It may add requests, but not run the pool. */
typedef void (*FetchDoneFunc)(FetchAnswer *answer, const GError *error, gpointer user);
/* Queues a GET. The URL is copied; what `options` (NULL: defaults) points to must live until it has ended. */
void fetch_pool_add(FetchPool *pool, const char *url, const FetchOptions *options, FetchDoneFunc done,
                    gpointer user);
/* Works until at most `left` requests have not ended. BUSY when the deadline has passed, LIMIT when the bytes
 * are used up: what has not ended is forgotten then, as by fetch_pool_cancel. */
gboolean fetch_pool_run(FetchPool *pool, guint left, GError **error);
/* Forgets the requests that have not ended; their functions are not called. */
void fetch_pool_cancel(FetchPool *pool);
/* One request by itself, while there are no others. Errors of fetch_get and fetch_pool_run. */
FetchAnswer *fetch_pool_get(FetchPool *pool, const char *url, const FetchOptions *options, GError **error);

/* --- Queries --- */

guint fetch_pool_unfinished(const FetchPool *pool);
/* TRUE when somebody wanted more bytes than the budget has. */
gboolean fetch_pool_is_spent(const FetchPool *pool);
/* All that was ever asked and received: requests, and bytes of heads and bodies of both directions as they
 * were on the wire (before TLS). */
guint64 fetch_pool_requests(const FetchPool *pool);
guint64 fetch_pool_wire_bytes(const FetchPool *pool);
