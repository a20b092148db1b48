/* SPDX-License-Identifier: MIT
 *
 * Who a request is from: parsing, and X-Forwarded-For only from configured proxies.
 */
#include "broker/net/client_address.h"

#include <netinet/in.h>
#include <string.h>

static void expect(const Config *config, const char *peer, const char *forwarded, const char *client)
{
    guint8 address[16];
    char text[INET6_ADDRSTRLEN];
    g_assert_true(client_address_parse(peer, strlen(peer), address));
    client_address_resolve(config, address, forwarded, strlen(forwarded), address);
    client_address_print(address, text);
    g_assert_cmpstr(text, ==, client);
}

static void test_resolve(void)
{
    /* 127.0.0.0/8 and 10.1.0.0/16, as the configuration keeps them. */
    ConfigNetwork loopback = {.prefix_bits = 104}, inner = {.prefix_bits = 112};
    g_assert_true(client_address_parse("127.0.0.0", 9, loopback.bytes));
    g_assert_true(client_address_parse("10.1.0.0", 8, inner.bytes));
    Config config = {.proxies = g_array_new(FALSE, FALSE, sizeof(ConfigNetwork))};
    g_array_append_val(config.proxies, loopback);
    g_array_append_val(config.proxies, inner);

    expect(&config, "127.0.0.1", "192.0.2.7", "192.0.2.7");
    expect(&config, "127.0.0.1", "", "127.0.0.1");
    expect(&config, "192.0.2.9", "192.0.2.7", "192.0.2.9");
    expect(&config, "127.0.0.1", "6.6.6.6, 192.0.2.7", "192.0.2.7");
    expect(&config, "127.0.0.1", "6.6.6.6, 192.0.2.7, 10.1.2.3", "192.0.2.7");
    expect(&config, "127.0.0.1", "10.1.2.3,127.0.0.2", "10.1.2.3");
    expect(&config, "127.0.0.1", "6.6.6.6, garbage, 10.1.2.3", "10.1.2.3");
    expect(&config, "127.0.0.1", "2001:db8::5", "2001:db8::5");
    expect(&config, "127.0.0.1", "[2001:db8::5]:443", "2001:db8::5");
    expect(&config, "127.0.0.1", "192.0.2.7:5000", "192.0.2.7");
    expect(&config, "127.0.0.1", ",,,", "127.0.0.1");
    g_array_unref(config.proxies);
}

static void test_parse(void)
{
    static const char *const bad[] = {"",     " ",      "x",        "1.2.3", "1.2.3.4.5",
                                      "[::1", "[::1]x", "1.2.3.4,", "::1::", "999.1.1.1"};
    guint8 address[16];
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(client_address_parse(bad[i], strlen(bad[i]), address));
    g_autofree char *longer = g_strnfill(200, '1');
    g_assert_false(client_address_parse(longer, 200, address));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client-address/resolve", test_resolve);
    g_test_add_func("/client-address/parse", test_parse);
    return g_test_run();
}
