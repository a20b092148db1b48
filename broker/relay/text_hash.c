/* SPDX-License-Identifier: MIT */
#include "broker/relay/text_hash.h"

#include <pthread.h>
#include <string.h>

static guint64 seed[2];

static void make_seed(void)
{
    for (guint i = 0; i < 2; i++)
        seed[i] = (guint64)g_random_int() << 32 | g_random_int() | 1;
}

static guint64 fold(guint64 a, guint64 b)
{
    __extension__ typedef unsigned __int128 Wide;
    Wide product = (Wide)a * b;
    return (guint64)product ^ (guint64)(product >> 64);
}

guint text_hash_bytes(const void *text, gsize len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    guint64 hash = seed[0] ^ len;
    const guint8 *at = text;
    for (; len > 0;) {
        guint64 word = 0;
        gsize step = MIN(len, sizeof word);
        memcpy(&word, at, step);
        hash = fold(hash ^ word, seed[1] ^ word ^ G_GUINT64_CONSTANT(0x9e3779b97f4a7c15));
        at += step;
        len -= step;
    }
    hash = fold(hash ^ seed[1], G_GUINT64_CONSTANT(0xe7037ed1a0b428db));
    return (guint)(hash ^ hash >> 32);
}

guint text_hash(gconstpointer text)
{
    return text_hash_bytes(text, strlen(text));
}
