/* SPDX-License-Identifier: MIT
 *
 * Whose request it is. Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. A socket's peer that
 * is a configured proxy may speak for somebody else through X-Forwarded-For; nobody else may. Pure functions.
 */
#pragma once

#include "broker/config.h"

#include <sys/socket.h>

/* From what accept() gave; a Unix or unknown family gives ::. */
void client_address_of_sockaddr(const struct sockaddr *address, guint8 ret[16]);
/* The client behind a chain of proxies: walks `forwarded` ("client, proxy1, proxy2", `len` bytes) from its
 * right end while the address at hand is a configured proxy; an element that is no address ends the walk
 * there. `ret` may be `peer`. */
void client_address_resolve(const Config *config, const guint8 peer[16], const char *forwarded, gsize len,
                            guint8 ret[16]);
/* One address as text: "192.0.2.1", "2001:db8::1". `ret` has 46 bytes (INET6_ADDRSTRLEN). */
void client_address_print(const guint8 address[16], char *ret);
/* Parses an address, with or without port or brackets. */
gboolean client_address_parse(const char *text, gsize len, guint8 ret[16]);
