/* SPDX-License-Identifier: MIT
 *
 * What counts as "one address" for limits: an IPv4 address itself, an IPv6 address by its /64, since one host
 * commands at least that many. Keys are 16 bytes and serve GLib hash tables through the two functions below;
 * the hash is seeded anew in every process, so that nobody can choose addresses that collide.
 */
#pragma once

#include <glib.h>

#define ADDRESS_KEY_BYTES 16

/* `address` is an IPv6 address, or an IPv4 address as ::ffff:a.b.c.d. */
void address_key(const guint8 address[16], guint8 ret[ADDRESS_KEY_BYTES]);
guint address_key_hash(gconstpointer key);
gboolean address_key_equal(gconstpointer a, gconstpointer b);
