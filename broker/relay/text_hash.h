/* SPDX-License-Identifier: MIT
 *
 * A fast hash of texts that strangers choose (query ids, node ids). It is seeded anew in every process and
 * multiplies 64 by 64 bits to 128 per word, so that nobody can prepare texts that collide.
 */
#pragma once

#include <glib.h>

/* Any thread. */
guint text_hash_bytes(const void *text, gsize len);
/* For GHashTable with NUL-terminated keys; goes with g_str_equal. */
guint text_hash(gconstpointer text);
