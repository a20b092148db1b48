/* SPDX-License-Identifier: MIT */
#include "broker/net/in_buffer.h"

enum { BUFFERS_KEPT = 256 /* free ones */ };

void in_buffer_pool_clear(InBufferPool *pool)
{
    for (InBuffer *in = pool->free_buffers, *next; in != NULL; in = next) {
        next = in->next_free;
        g_free(in);
    }
    *pool = (InBufferPool){0};
}

InBuffer *in_buffer_take(InBufferPool *pool)
{
    InBuffer *in = pool->free_buffers;
    if (in != NULL) {
        pool->free_buffers = in->next_free;
        pool->free_count--;
    } else {
        in = g_malloc(sizeof(InBuffer) + IN_BUFFER_BYTES);
        in->capacity = IN_BUFFER_BYTES;
    }
    in->len = 0;
    return in;
}

void in_buffer_give_back(InBufferPool *pool, InBuffer *in)
{
    if (in == NULL)
        return;
    pool->held_bytes -= in->capacity - IN_BUFFER_BYTES;
    if (in->capacity == IN_BUFFER_BYTES && pool->free_count < BUFFERS_KEPT) {
        in->next_free = pool->free_buffers;
        pool->free_buffers = in;
        pool->free_count++;
    } else {
        g_free(in);
    }
}

gboolean in_buffer_reserve(InBufferPool *pool, InBuffer **in)
{
    gsize capacity = (*in)->capacity;
    if ((*in)->len < capacity)
        return TRUE;
    g_assert(capacity <= 2 * (LIMIT_HTTP_HEAD_BYTES + LIMIT_HTTP_BODY_BYTES));
    if (pool->held_bytes + capacity > LIMIT_HTTP_HELD_BYTES)
        return FALSE;
    pool->held_bytes += capacity;
    *in = g_realloc(*in, sizeof(InBuffer) + 2 * capacity);
    (*in)->capacity = 2 * capacity;
    return TRUE;
}
