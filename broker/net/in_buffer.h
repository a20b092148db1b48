/* SPDX-License-Identifier: MIT
 *
 * Input buffers of the HTTP/1.1 connections of one I/O thread. A buffer is taken from a free list when the
 * first byte arrives and given back when the connection is idle, so that an idle connection costs a few
 * hundred bytes. One that has grown is not kept, and all that have grown are bounded together.
 *
 * Belongs to one thread; the pool outlives its buffers.
 */
#pragma once

#include "broker/net/http.h"
#include "schema/limits.h"

#define IN_BUFFER_BYTES 4096 /* first size */

typedef struct InBuffer InBuffer;
struct InBuffer {
    InBuffer *next_free;
    gsize capacity, len;
    HttpHeader headers[LIMIT_HTTP_HEADERS]; /* of the request at hand; they point into `data` */
    char data[];
};

/* All zero is an empty one. */
typedef struct {
    InBuffer *free_buffers;
    guint free_count;
    gsize held_bytes; /* in buffers that have grown, beyond their first size */
} InBufferPool;

void in_buffer_pool_clear(InBufferPool *pool);

/* An empty buffer. */
InBuffer *in_buffer_take(InBufferPool *pool);
void in_buffer_give_back(InBufferPool *pool, InBuffer *in); /* NULL is fine */
/* Makes room for at least one more byte in *in, which may move. Growth is by doubling, and what a connection
 * reads in one state is bounded, so this is too. FALSE when all buffers of the thread together hold more than
 * LIMIT_HTTP_HELD_BYTES. */
gboolean in_buffer_reserve(InBufferPool *pool, InBuffer **in);
