/* SPDX-License-Identifier: MIT
 *
 * What the broker hands back as the state of a peer: what is accepted is written as the same again.
 */
#include "mirror/agent/peer_memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    PublicKey key;
    g_auto(PeerMemory) memory = {0}, again = {0};
    signing_init();
    memset(key.bytes, 0, sizeof key.bytes);
    if (!peer_memory_read((const char *)data, size, &key, &memory)) {
        g_assert_null(memory.name);
        return 0;
    }
    g_autofree char *text = peer_memory_write(&memory, &key);
    g_assert_true(peer_memory_read(text, strlen(text), &key, &again));
    g_assert_cmpstr(again.name, ==, memory.name);
    g_assert_cmpstr(again.view, ==, memory.view);
    g_assert_cmpuint(again.generation, ==, memory.generation);
    g_assert_cmpmem(again.root, SHA256_BYTES, memory.root, SHA256_BYTES);
    return 0;
}
