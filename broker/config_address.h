/* SPDX-License-Identifier: MIT
 *
 * Text forms of the addresses and ranges in a configuration, beyond what broker/config.h offers to everybody.
 * Only literals: names are refused. What the printers write, the parsers read back to the same value. Pure
 * functions.
 */
#pragma once

#include "broker/config.h"

/* "127.0.0.1:80", "[::1]:80" or ":80"; a new string. */
char *config_address_format(const ConfigAddress *address);
/* TRUE for 127.0.0.0/8, also written as ::ffff:127.x.y.z, and ::1. FALSE for all addresses (""). */
gboolean config_address_is_loopback(const ConfigAddress *address);

/* "10.0.0.0/8", "::1/128", or an address alone. MALFORMED also when bits beyond the prefix are set, because
 * then the writer meant something else; LIMIT for a prefix that is too long. */
gboolean config_network_parse(const char *text, ConfigNetwork *ret, GError **error);
/* With its prefix length, IPv4 as such; a new string. */
char *config_network_format(const ConfigNetwork *network);
