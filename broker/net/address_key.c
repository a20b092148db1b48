/* SPDX-License-Identifier: MIT */
#include "broker/net/address_key.h"

#include <pthread.h>
#include <string.h>

void address_key(const guint8 address[16], guint8 ret[ADDRESS_KEY_BYTES])
{
    static const guint8 mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(ret, address, ADDRESS_KEY_BYTES);
    if (memcmp(address, mapped_prefix, sizeof mapped_prefix) != 0)
        memset(ret + 8, 0, ADDRESS_KEY_BYTES - 8);
}

static guint seed;

static void make_seed(void)
{
    seed = g_random_int();
}

/* Two multiplications per word (the finalizer of MurmurHash3), chained. */
guint address_key_hash(gconstpointer key)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    guint hash = seed;
    for (guint i = 0; i < ADDRESS_KEY_BYTES; i += 4) {
        guint32 word;
        memcpy(&word, (const guint8 *)key + i, sizeof word);
        hash ^= word;
        hash = (hash ^ (hash >> 16)) * 0x85ebca6bu;
        hash = (hash ^ (hash >> 13)) * 0xc2b2ae35u;
    }
    return hash ^ (hash >> 16);
}

gboolean address_key_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, ADDRESS_KEY_BYTES) == 0;
}
