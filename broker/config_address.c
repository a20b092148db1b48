/* SPDX-License-Identifier: MIT
 *
 * Addresses and address ranges as text: strict literals, no names, because a name could mean another machine
 * tomorrow and would make start-up wait for a resolver.
 */
#include "broker/config_address.h"

#include "schema/scalar.h"
#include "schema/text.h"

#include <arpa/inet.h>
#include <string.h>

enum { IPV4_IN_IPV6_BITS = 96 };
static const guint8 ipv4_in_ipv6[12] = {[10] = 0xff, [11] = 0xff};

static gboolean refuse(GError **error, const char *text, const char *why)
{
    g_autofree char *shown = text_for_message(text, strlen(text));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "'%s': %s", shown, why);
    return FALSE;
}

/* An IPv4 or IPv6 literal as 16 bytes; *ret_ipv4 tells which. */
static gboolean parse_literal(const char *text, guint8 ret_bytes[16], gboolean *ret_ipv4)
{
    *ret_ipv4 = inet_pton(AF_INET, text, ret_bytes + 12) == 1;
    if (*ret_ipv4)
        memcpy(ret_bytes, ipv4_in_ipv6, sizeof ipv4_in_ipv6);
    return *ret_ipv4 || inet_pton(AF_INET6, text, ret_bytes) == 1;
}

static char *format_literal(const guint8 bytes[16], gboolean ipv4)
{
    char text[INET6_ADDRSTRLEN];
    const char *done = ipv4 ? inet_ntop(AF_INET, bytes + 12, text, sizeof text)
                            : inet_ntop(AF_INET6, bytes, text, sizeof text);
    g_assert(done != NULL);
    return g_strdup(text);
}

/* --- Addresses to listen on --- */

void config_address_clear(ConfigAddress *address)
{
    g_clear_pointer(&address->host, g_free);
    address->port = 0;
}

/* Splits text into host (without brackets) and port; *ret_brackets tells whether there were brackets. */
static gboolean split_address(const char *text, char **ret_host, const char **ret_port,
                              gboolean *ret_brackets, GError **error)
{
    const char *colon = strrchr(text, ':');
    *ret_brackets = text[0] == '[';
    if (*ret_brackets) {
        const char *close = strchr(text, ']');
        if (close == NULL || close[1] != ':')
            return refuse(error, text, "expected [ADDRESS]:PORT");
        *ret_host = g_strndup(text + 1, (gsize)(close - text) - 1);
        *ret_port = close + 2;
        return TRUE;
    }
    if (colon == NULL && strspn(text, "0123456789") != strlen(text))
        return refuse(error, text, "expected ADDRESS:PORT");
    if (colon != NULL && memchr(text, ':', (gsize)(colon - text)) != NULL)
        return refuse(error, text, "an IPv6 address needs brackets, as in [::1]:8000");
    *ret_host = colon != NULL ? g_strndup(text, (gsize)(colon - text)) : g_strdup("");
    *ret_port = colon != NULL ? colon + 1 : text;
    return TRUE;
}

gboolean config_address_parse(const char *text, ConfigAddress *ret, GError **error)
{
    g_autofree char *host = NULL;
    const char *port_text = NULL;
    gboolean brackets = FALSE;
    if (!split_address(text, &host, &port_text, &brackets, error))
        return FALSE;
    gint64 port = 0;
    if (!scalar_parse_integer(port_text, 0, G_MAXUINT16, &port, error)) {
        g_prefix_error(error, "port: ");
        return FALSE;
    }
    guint8 bytes[16];
    gboolean ipv4 = FALSE;
    if (*host == '\0' && !brackets) {
        *ret = (ConfigAddress){.host = g_steal_pointer(&host), .port = (guint16)port};
        return TRUE;
    }
    if (!parse_literal(host, bytes, &ipv4) || ipv4 == brackets)
        return refuse(error, text, "expected an IPv4 address or an IPv6 address in brackets, not a name");
    *ret = (ConfigAddress){.host = format_literal(bytes, ipv4), .port = (guint16)port};
    return TRUE;
}

char *config_address_format(const ConfigAddress *address)
{
    gboolean brackets = strchr(address->host, ':') != NULL;
    return g_strdup_printf("%s%s%s:%u", brackets ? "[" : "", address->host, brackets ? "]" : "",
                           address->port);
}

gboolean config_address_is_loopback(const ConfigAddress *address)
{
    guint8 bytes[16];
    gboolean ipv4 = FALSE;
    if (!parse_literal(address->host, bytes, &ipv4))
        return FALSE;
    if (memcmp(bytes, ipv4_in_ipv6, sizeof ipv4_in_ipv6) == 0)
        return bytes[12] == 127;
    return memcmp(bytes, &in6addr_loopback, sizeof bytes) == 0;
}

/* --- Ranges --- */

static gboolean host_bits_are_zero(const guint8 bytes[16], guint prefix_bits)
{
    for (guint bit = prefix_bits; bit < 128; bit++) {
        if (bytes[bit / 8] & (0x80 >> (bit % 8)))
            return FALSE;
    }
    return TRUE;
}

gboolean config_network_parse(const char *text, ConfigNetwork *ret, GError **error)
{
    const char *slash = strchr(text, '/');
    g_autofree char *address = slash != NULL ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);
    ConfigNetwork network = {{0}, 128};
    gboolean ipv4 = FALSE;
    if (!parse_literal(address, network.bytes, &ipv4))
        return refuse(error, text, "expected an address or a range such as 10.0.0.0/8 or fd00::/8");
    gint64 bits = ipv4 ? 32 : 128;
    if (slash != NULL && !scalar_parse_integer(slash + 1, 0, bits, &bits, error)) {
        g_prefix_error(error, "prefix length: ");
        return FALSE;
    }
    network.prefix_bits = (guint)bits + (ipv4 ? IPV4_IN_IPV6_BITS : 0);
    if (!host_bits_are_zero(network.bytes, network.prefix_bits))
        return refuse(error, text, "address bits are set beyond the prefix length");
    *ret = network;
    return TRUE;
}

char *config_network_format(const ConfigNetwork *network)
{
    gboolean ipv4 = network->prefix_bits >= IPV4_IN_IPV6_BITS &&
                    memcmp(network->bytes, ipv4_in_ipv6, sizeof ipv4_in_ipv6) == 0;
    g_autofree char *address = format_literal(network->bytes, ipv4);
    return g_strdup_printf("%s/%u", address, network->prefix_bits - (ipv4 ? IPV4_IN_IPV6_BITS : 0));
}

gboolean config_network_contains(const ConfigNetwork *network, const guint8 address[16])
{
    guint whole = network->prefix_bits / 8, rest = network->prefix_bits % 8;
    if (memcmp(network->bytes, address, whole) != 0)
        return FALSE;
    guint8 mask = (guint8)(0xff00 >> rest);
    return rest == 0 || ((network->bytes[whole] ^ address[whole]) & mask) == 0;
}
