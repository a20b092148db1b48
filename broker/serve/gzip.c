/* SPDX-License-Identifier: MIT */
#include "broker/serve/gzip.h"

#include <zlib.h>

/* 15 bits of window, 16 asks zlib for the gzip frame. */
#define GZIP_WINDOW_BITS (15 + 16)
#define GZIP_MEM_LEVEL 8

static GBytes *compress_with(GBytes *bytes, int strategy)
{
    gsize len = g_bytes_get_size(bytes);
    gsize out_max = len - len / 10;
    if (len == 0 || len > G_MAXUINT / 2)
        return NULL;
    z_stream stream = {0};
    int code =
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEM_LEVEL, strategy);
    g_assert(code == Z_OK);
    g_autofree guint8 *out = g_malloc(out_max);
    stream.next_in = (z_const Bytef *)(gsize)g_bytes_get_data(bytes, NULL);
    stream.avail_in = (uInt)len;
    stream.next_out = out;
    stream.avail_out = (uInt)out_max;
    code = deflate(&stream, Z_FINISH);
    gsize out_len = stream.total_out;
    deflateEnd(&stream);
    if (code != Z_STREAM_END)
        return NULL;
    return g_bytes_new_take(g_realloc(g_steal_pointer(&out), out_len), out_len);
}

GBytes *gzip_compress(GBytes *bytes)
{
    return compress_with(bytes, Z_DEFAULT_STRATEGY);
}

GBytes *gzip_compress_hashes(GBytes *bytes)
{
    return compress_with(bytes, Z_FILTERED);
}
