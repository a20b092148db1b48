/* SPDX-License-Identifier: MIT */
#include "broker/net/client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const guint8 v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v4(const void *four, guint8 ret[16])
{
    memcpy(ret, v4_prefix, sizeof v4_prefix);
    memcpy(ret + 12, four, 4);
}

void client_address_of_sockaddr(const struct sockaddr *address, guint8 ret[16])
{
    memset(ret, 0, 16);
    if (address->sa_family == AF_INET)
        set_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, ret);
    else if (address->sa_family == AF_INET6)
        memcpy(ret, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
}

static gboolean is_proxy(const Config *config, const guint8 address[16])
{
    for (guint i = 0; i < config->proxies->len; i++)
        if (config_network_contains(&g_array_index(config->proxies, ConfigNetwork, i), address))
            return TRUE;
    return FALSE;
}

gboolean client_address_parse(const char *text, gsize len, guint8 ret[16])
{
    char copy[64];
    while (len > 0 && (*text == ' ' || *text == '\t'))
        text++, len--;
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len == 0 || len >= sizeof copy)
        return FALSE;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *start = copy;
    if (copy[0] == '[') {
        char *bracket = strchr(copy, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return FALSE;
        *bracket = '\0';
        start = copy + 1;
    } else if (strchr(copy, ':') != NULL && strchr(copy, ':') == strrchr(copy, ':')) {
        *strchr(copy, ':') = '\0'; /* one colon: IPv4 with a port */
    }
    guint8 four[4];
    if (inet_pton(AF_INET, start, four) == 1) {
        set_v4(four, ret);
        return TRUE;
    }
    return inet_pton(AF_INET6, start, ret) == 1;
}

void client_address_resolve(const Config *config, const guint8 peer[16], const char *forwarded, gsize len,
                            guint8 ret[16])
{
    guint8 at[16];
    memcpy(at, peer, 16);
    while (len > 0 && is_proxy(config, at)) {
        const char *comma = memrchr(forwarded, ',', len);
        const char *element = comma != NULL ? comma + 1 : forwarded;
        guint8 next[16];
        if (!client_address_parse(element, (gsize)(forwarded + len - element), next))
            break;
        memcpy(at, next, 16);
        len = comma != NULL ? (gsize)(comma - forwarded) : 0;
    }
    memcpy(ret, at, 16);
}

void client_address_print(const guint8 address[16], char *ret)
{
    gboolean v4 = memcmp(address, v4_prefix, sizeof v4_prefix) == 0;
    const char *text = inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, ret, INET6_ADDRSTRLEN);
    g_assert(text != NULL);
}
