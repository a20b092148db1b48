/* SPDX-License-Identifier: MIT
 *
 * kontor.yaml: defaults, every key, each bad value with its exact line and reason, the command line's
 * overrides, TLS, and that the printed configuration reads back to itself.
 */
#include "broker/config.h"

#include "broker/config_address.h"
#include "broker/config_keys.h"
#include "schema/limits.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>

/* A data directory of its own for each test. */
typedef struct {
    char *dir, *file;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("kontor-config-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    f->file = g_build_filename(f->dir, "kontor.yaml", NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_unlink(f->file);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->dir);
    g_free(f->file);
}

static void write_file(const Fixture *f, const char *text)
{
    g_assert_true(g_file_set_contents(f->file, text, -1, NULL));
}

static Config *load(const Fixture *f, GError **error)
{
    ConfigOverrides overrides = {.data_dir = f->dir};
    return config_load(&overrides, error);
}

static Config *load_ok(const Fixture *f, const char *text)
{
    GError *error = NULL;
    write_file(f, text);
    Config *config = load(f, &error);
    g_assert_no_error(error);
    return config;
}

/* `message` is what follows "FILE:". */
static void assert_refused(const Fixture *f, const char *text, KontorErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    write_file(f, text);
    g_assert_null(load(f, &error));
    g_assert_error(error, KONTOR_ERROR, (int)code);
    g_autofree char *expected = g_strdup_printf("%s:%s", f->file, message);
    g_assert_cmpstr(error->message, ==, expected);
}

static void assert_malformed(const Fixture *f, const char *text, const char *message)
{
    assert_refused(f, text, KONTOR_ERROR_MALFORMED, message);
}

static void assert_addresses(const GArray *addresses, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *one = config_address_format(&g_array_index(addresses, ConfigAddress, i));
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", one);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

static void assert_below(const Fixture *f, const char *path, const char *relative)
{
    g_autofree char *expected = g_build_filename(f->dir, relative, NULL);
    g_assert_cmpstr(path, ==, expected);
}

/* --- Reading --- */

static void test_defaults(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) c = load(f, NULL);
    g_assert_nonnull(c);
    g_assert_false(c->file_exists);
    g_assert_cmpstr(c->data_dir, ==, f->dir);
    g_assert_cmpstr(c->file, ==, f->file);
    g_assert_cmpuint(strlen(c->name), >, 0);
    assert_addresses(c->listen, "0.0.0.0:8000");
    assert_addresses(c->listen_tls, "");
    g_assert_true(c->api_enabled);
    g_assert_cmpstr(c->api.host, ==, "127.0.0.1");
    g_assert_cmpuint(c->api.port, ==, 7666);
    g_assert_null(c->tls_cert);
    assert_below(f, c->packs_dir, "packs");
    assert_below(f, c->trust_file, "trusted_publishers.yaml");
    g_assert_cmpint(c->signed_local, ==, CONFIG_SIGNED_PREFERRED);
    g_assert_cmpint(c->signed_mirrors, ==, CONFIG_SIGNED_REQUIRED);
    g_assert_null(c->admin_tokens_file);
    g_assert_cmpuint(c->proxies->len, ==, 2);
    g_assert_cmpuint(c->threads, >=, 1);
    g_assert_cmpuint(c->threads, <=, 8);
    g_assert_cmpuint(c->workers, >=, 2);
    g_assert_cmpuint(c->workers, <=, 16);
    g_assert_cmpint(c->log_format, ==, CONFIG_LOG_AUTO);
    g_assert_cmpint(c->log_address, ==, CONFIG_IP_TRUNCATED);
    g_assert_true(c->log_access);
    g_assert_cmpuint(c->page_cache_bytes, ==, LIMIT_PAGE_CACHE_BYTES);
    g_assert_cmpuint(c->limits.search_per_minute, ==, 60);
    g_assert_cmpuint(c->limits.register_per_minute, ==, 60);
    g_assert_cmpuint(c->limits.nodes, ==, LIMIT_NODES);
    g_assert_cmpuint(c->limits.store_bytes, ==, LIMIT_STORE_BYTES);
}

static const char every_key[] = "name: library.example\n"
                                "listen: [127.0.0.1:8001, '[::1]:8001', ':8002']\n"
                                "listen_tls: 0.0.0.0:8443\n"
                                "api: '[::1]:0'\n"
                                "tls: {cert: tls/fullchain.pem, key: /etc/kontor/privkey.pem}\n"
                                "packs: ../packs\n"
                                "trust: trust.yaml\n"
                                "signed: {local: required, mirrors: off}\n"
                                "admin_tokens_file: admin.tokens\n"
                                "proxies: [10.0.0.0/8, \"fd00::/8\", 192.0.2.1]\n"
                                "threads: 3\n"
                                "workers: 5\n"
                                "log: {format: json, address: none, access: no}\n"
                                "page_cache: 8MiB\n"
                                "limits:\n"
                                "  search_per_minute: 0\n"
                                "  register_per_minute: 1\n"
                                "  nodes: 2\n"
                                "  connections: 3\n"
                                "  connections_per_ip: 4\n"
                                "  pending_queries: 5\n"
                                "  pending_per_ip: 6\n"
                                "  node_messages_per_second: 7\n"
                                "  store: 1TiB\n"
                                "  releases: 8\n"
                                "mirrors: []\n"
                                "peers:\n";

static void test_every_key(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) c = load_ok(f, every_key);
    g_assert_true(c->file_exists);
    g_assert_cmpstr(c->name, ==, "library.example");
    assert_addresses(c->listen, "127.0.0.1:8001 [::1]:8001 :8002");
    assert_addresses(c->listen_tls, "0.0.0.0:8443");
    g_assert_cmpstr(c->api.host, ==, "::1");
    assert_below(f, c->tls_cert, "tls/fullchain.pem");
    g_assert_cmpstr(c->tls_key, ==, "/etc/kontor/privkey.pem");
    g_autofree char *parent = g_path_get_dirname(f->dir);
    g_autofree char *packs = g_build_filename(parent, "packs", NULL);
    g_assert_cmpstr(c->packs_dir, ==, packs);
    assert_below(f, c->trust_file, "trust.yaml");
    g_assert_cmpint(c->signed_local, ==, CONFIG_SIGNED_REQUIRED);
    g_assert_cmpint(c->signed_mirrors, ==, CONFIG_SIGNED_OFF);
    assert_below(f, c->admin_tokens_file, "admin.tokens");
    g_assert_cmpuint(c->proxies->len, ==, 3);
    g_assert_cmpuint(g_array_index(c->proxies, ConfigNetwork, 0).prefix_bits, ==, 104);
    g_assert_cmpuint(g_array_index(c->proxies, ConfigNetwork, 1).prefix_bits, ==, 8);
    g_assert_cmpuint(g_array_index(c->proxies, ConfigNetwork, 2).prefix_bits, ==, 128);
    g_assert_cmpuint(c->threads, ==, 3);
    g_assert_cmpuint(c->workers, ==, 5);
    g_assert_cmpint(c->log_format, ==, CONFIG_LOG_JSON);
    g_assert_cmpint(c->log_address, ==, CONFIG_IP_NONE);
    g_assert_false(c->log_access);
    g_assert_cmpuint(c->page_cache_bytes, ==, 8 << 20);
    g_assert_cmpuint(c->limits.search_per_minute, ==, 0);
    g_assert_cmpuint(c->limits.register_per_minute, ==, 1);
    g_assert_cmpuint(c->limits.nodes, ==, 2);
    g_assert_cmpuint(c->limits.connections, ==, 3);
    g_assert_cmpuint(c->limits.connections_per_ip, ==, 4);
    g_assert_cmpuint(c->limits.pending_queries, ==, 5);
    g_assert_cmpuint(c->limits.pending_per_ip, ==, 6);
    g_assert_cmpuint(c->limits.node_messages_per_second, ==, 7);
    g_assert_cmpuint(c->limits.store_bytes, ==, G_GUINT64_CONSTANT(1) << 40);
    g_assert_cmpuint(c->releases_kept, ==, 8);
    g_assert_cmpuint(c->sources->len, ==, 0);
}

/* --- Refusals --- */

typedef struct {
    const char *text, *message;
} Bad;

static const Bad malformed[] = {
    {"listem: 1\n", "1: listem: unknown key, did you mean 'listen'?"},
    {"name: x\nlimits:\n  nodes: 1\n  node: 1\n", "4: limits.node: unknown key, did you mean 'nodes'?"},
    {"colour: red\n", "1: colour: unknown key"},
    {"- a\n", "1: expected a mapping, found a list"},
    {"text\n", "1: expected a mapping, found a value"},
    {"name: a\nname: b\n", "2: key 'name' is given twice, first in line 1"},
    {"a: [\n", "2: not valid YAML: did not find expected node content"},
    {"name: a b\n", "1: name: expected a name without blanks, '+' and '/', such as library.example"},
    {"name: a/b\n", "1: name: expected a name without blanks, '+' and '/', such as library.example"},
    {"name: a+b\n", "1: name: expected a name without blanks, '+' and '/', such as library.example"},
    {"name: ''\n", "1: name: expected a name without blanks, '+' and '/', such as library.example"},
    {"name:\n", "1: name: expected text, found nothing"},
    {"name: [a]\n", "1: name: expected text, found a list"},
    {"\nlisten: localhost:80\n",
     "2: listen: 'localhost:80': expected an IPv4 address or an IPv6 address in brackets, not a name"},
    {"listen:\n  - :80\n  - ::1:80\n",
     "3: listen[1]: '::1:80': an IPv6 address needs brackets, as in [::1]:8000"},
    {"listen: '[::1]'\n", "1: listen: '[::1]': expected [ADDRESS]:PORT"},
    {"listen: 127.0.0.1\n", "1: listen: '127.0.0.1': expected ADDRESS:PORT"},
    {"listen: '127.0.0.1:'\n", "1: listen: port: expected a whole number, found ''"},
    {"listen: '[127.0.0.1]:80'\n",
     "1: listen: '[127.0.0.1]:80': expected an IPv4 address or an IPv6 address in brackets, not a name"},
    {"listen: '[]:80'\n",
     "1: listen: '[]:80': expected an IPv4 address or an IPv6 address in brackets, not a name"},
    {"listen: {a: b}\n", "1: listen: expected a list, found a mapping"},
    {"listen: []\n", "1: listen: no address to serve on"},
    {"listen: [':80', ':81', ':80']\n", "1: listen: :80 is given twice"},
    {"listen: 127.0.0.1:7666\n", "1: listen: 127.0.0.1:7666 is given twice"},
    {"api: 0.0.0.0:7666\n",
     "1: api: 0.0.0.0:7666 is not a loopback address; this interface gives full control, "
     "so only 127.0.0.0/8 and [::1] are accepted"},
    {"api: 7666\n", "1: api: :7666 is not a loopback address; this interface gives full control, so only "
                    "127.0.0.0/8 and [::1] are accepted"},
    {"api: '[::]:7666'\n",
     "1: api: [::]:7666 is not a loopback address; this interface gives full control, so "
     "only 127.0.0.0/8 and [::1] are accepted"},
    {"api: '[::ffff:10.0.0.1]:7666'\n",
     "1: api: [::ffff:10.0.0.1]:7666 is not a loopback address; this interface gives full control, so only "
     "127.0.0.0/8 and [::1] are accepted"},
    {"tls: {cert: a.pem}\n", "1: tls: cert and key are needed together"},
    {"name: x\ntls:\n  key: a.pem\n", "2: tls: cert and key are needed together"},
    {"tls: {cert: '', key: k}\n", "1: tls.cert: expected a path, found nothing"},
    {"tls: {cert: c, key: k, ca: x}\n", "1: tls.ca: unknown key"},
    {"tls: on\n", "1: tls: expected a mapping, found a value"},
    {"name: x\nlisten_tls: [':443']\n", "2: listen_tls: needs tls.cert and tls.key"},
    {"packs: \"a\\nb\"\n", "1: packs: control characters are not allowed"},
    {"signed: {local: always}\n", "1: signed.local: expected one of off, preferred, required"},
    {"signed:\n  mirrors: [off]\n", "2: signed.mirrors: expected text, found a list"},
    {"proxies: [10.0.0.1/8]\n", "1: proxies[0]: '10.0.0.1/8': address bits are set beyond the prefix length"},
    {"proxies: [proxy.example]\n",
     "1: proxies[0]: 'proxy.example': expected an address or a range such as 10.0.0.0/8 or fd00::/8"},
    {"proxies: [10.0.0.0/x]\n", "1: proxies[0]: prefix length: expected a whole number, found 'x'"},
    {"threads: '4'\n", "1: threads: expected a whole number, found quoted text"},
    {"threads: 4.0\n", "1: threads: expected a whole number, found '4.0'"},
    {"threads: 010\n", "1: threads: expected a whole number without leading zeros, found '010'"},
    {"log: {format: xml}\n", "1: log.format: expected one of auto, text, json"},
    {"log: {address: some}\n", "1: log.address: expected one of truncated, full, none"},
    {"log: {access: 1}\n", "1: log.access: expected true or false, found '1'"},
    {"page_cache: 8MB\n", "1: page_cache: expected a size such as 512KiB, 8MiB or 50GiB, found '8MB'"},
    {"limits: [1]\n", "1: limits: expected a mapping, found a list"},
    {"mirrors: {a: b}\n", "1: mirrors: expected a list, found a mapping"},
};

static void test_malformed(Fixture *f, gconstpointer data)
{
    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(malformed); i++)
        assert_malformed(f, malformed[i].text, malformed[i].message);
}

static const Bad beyond_limits[] = {
    {"listen: :65536\n", "1: listen: port: '65536' is not between 0 and 65535"},
    {"listen: ':-1'\n", "1: listen: port: '-1' is not between 0 and 65535"},
    {"proxies: [10.0.0.0/33]\n", "1: proxies[0]: prefix length: '33' is not between 0 and 32"},
    {"proxies: ['::/129']\n", "1: proxies[0]: prefix length: '129' is not between 0 and 128"},
    {"threads: 0\n", "1: threads: '0' is not between 1 and 64"},
    {"threads: 65\n", "1: threads: '65' is not between 1 and 64"},
    {"workers: 0\n", "1: workers: '0' is not between 1 and 64"},
    {"page_cache: 65GiB\n", "1: page_cache: '65GiB' is not between 0B and 64GiB"},
    {"limits: {search_per_minute: 1000001}\n",
     "1: limits.search_per_minute: '1000001' is not between 0 and 1000000"},
    {"limits: {nodes: 0}\n", "1: limits.nodes: '0' is not between 1 and 1000000"},
    {"limits:\n  connections: 0\n", "2: limits.connections: '0' is not between 1 and 1000000"},
    {"limits: {store: 9999TiB}\n", "1: limits.store: '9999TiB' is not between 0B and 1024TiB"},
};

static void test_beyond_limits(Fixture *f, gconstpointer data)
{
    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(beyond_limits); i++)
        assert_refused(f, beyond_limits[i].text, KONTOR_ERROR_LIMIT, beyond_limits[i].message);
    g_autoptr(GString) many = g_string_new("listen:\n");
    for (guint i = 0; i < 65; i++)
        g_string_append_printf(many, "  - :%u\n", 1000 + i);
    assert_refused(f, many->str, KONTOR_ERROR_LIMIT, "1: listen: more than 64 items");
    g_autofree char *name = g_strnfill(129, 'n');
    g_autofree char *long_name = g_strdup_printf("name: %s\n", name);
    assert_refused(f, long_name, KONTOR_ERROR_LIMIT, "1: name: longer than 128 bytes");
    g_autofree char *blanks = g_strnfill(LIMIT_CONFIG_BYTES + 1, '\n');
    assert_refused(f, blanks, KONTOR_ERROR_LIMIT, " larger than 1048576 bytes");
}

static void test_not_supported(Fixture *f, gconstpointer data)
{
    (void)data;
    assert_refused(f, "name: &x y\n", KONTOR_ERROR_UNSUPPORTED, "1: anchors are not supported");
}

static void test_unreadable(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) e1 = NULL, e2 = NULL, e3 = NULL;
    ConfigOverrides named = {.data_dir = f->dir, .file = f->file};
    g_assert_null(config_load(&named, &e1));
    g_assert_error(e1, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    g_autofree char *expected = g_strdup_printf("%s: No such file or directory", f->file);
    g_assert_cmpstr(e1->message, ==, expected);
    named.file = f->dir;
    g_assert_null(config_load(&named, &e2));
    g_assert_error(e2, KONTOR_ERROR, KONTOR_ERROR_IO);
    g_assert_true(g_str_has_suffix(e2->message, ": not a regular file"));
    named.file = "bad\xff.yaml";
    g_assert_null(config_load(&named, &e3));
    g_assert_error(e3, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    g_assert_cmpstr(e3->message, ==, "--config: 'bad\\xff.yaml': not a UTF-8 path");
}

/* --- Combination --- */

static void test_tls(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) same = load_ok(f, "tls: {cert: c, key: k}\n");
    assert_addresses(same->listen, "");
    assert_addresses(same->listen_tls, "0.0.0.0:8000");
    g_autoptr(Config) both = load_ok(f, "tls: {cert: c, key: k}\nlisten_tls: ':8443'\n");
    assert_addresses(both->listen, "0.0.0.0:8000");
    assert_addresses(both->listen_tls, ":8443");
    g_autoptr(Config) only = load_ok(f, "tls: {cert: c, key: k}\nlisten: []\nlisten_tls: ':8443'\n");
    assert_addresses(only->listen, "");
    assert_malformed(f, "tls: {cert: c, key: k}\nlisten: ':1'\nlisten_tls: ':1'\n",
                     "3: listen_tls: :1 is given twice");
}

static void test_api_off(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(Config) off = load_ok(f, "api: off\nlisten: 127.0.0.1:7666\n");
    g_assert_false(off->api_enabled);
    g_autofree char *yaml = config_to_yaml(off);
    g_autoptr(Config) again = load_ok(f, yaml);
    g_assert_false(again->api_enabled);
    g_autoptr(Config) mapped = load_ok(f, "api: '[::ffff:127.0.0.1]:0'\n");
    g_assert_true(mapped->api_enabled);
}

static void test_overrides(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "listen: ':1'\napi: 127.0.0.1:2\nthreads: 3\npacks: elsewhere\n");
    char first[] = "127.0.0.1:0", second[] = "[::1]:0";
    char *listen[] = {first, second, NULL};
    ConfigOverrides o = {
        .data_dir = f->dir, .listen = listen, .api = "127.0.0.2:0", .packs_dir = "/p/../q", .threads = 4};
    g_autoptr(Config) c = config_load(&o, NULL);
    g_assert_nonnull(c);
    assert_addresses(c->listen, "127.0.0.1:0 [::1]:0");
    g_assert_cmpstr(c->api.host, ==, "127.0.0.2");
    g_assert_cmpuint(c->threads, ==, 4);
    g_assert_cmpstr(c->packs_dir, ==, "/q");
    g_autoptr(GError) e1 = NULL, e2 = NULL, e3 = NULL;
    o.threads = 65;
    g_assert_null(config_load(&o, &e1));
    g_assert_cmpstr(e1->message, ==, "--threads: '65' is not between 1 and 64");
    o.threads = 0;
    o.api = "10.0.0.1:1";
    g_assert_null(config_load(&o, &e2));
    g_assert_true(g_str_has_prefix(e2->message, "--api: 10.0.0.1:1 is not a loopback address"));
    o.api = NULL;
    second[0] = 'x';
    g_assert_null(config_load(&o, &e3));
    g_assert_true(g_str_has_prefix(e3->message, "--listen: 'x::1]:0': "));
}

static void test_data_dir(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *before = g_strdup(g_getenv("KONTOR_DATA"));
    g_setenv("KONTOR_DATA", f->dir, TRUE);
    g_autoptr(Config) from_environment = config_load(NULL, NULL);
    g_assert_cmpstr(from_environment->data_dir, ==, f->dir);
    ConfigOverrides o = {.data_dir = "/else/where/.."};
    g_autoptr(Config) from_option = config_load(&o, NULL);
    g_assert_cmpstr(from_option->data_dir, ==, "/else");
    g_unsetenv("KONTOR_DATA");
    ConfigOverrides elsewhere = {.file = f->file};
    write_file(f, "");
    g_autoptr(Config) from_home = config_load(&elsewhere, NULL);
    g_autofree char *expected = g_build_filename(g_get_home_dir(), ".kontor", NULL);
    g_assert_cmpstr(from_home->data_dir, ==, expected);
    if (before != NULL)
        g_setenv("KONTOR_DATA", before, TRUE);
}

/* --- Printing --- */

static void assert_round_trip(const Fixture *f, const char *text)
{
    g_autoptr(Config) once = load_ok(f, text);
    g_autofree char *yaml = config_to_yaml(once);
    g_autoptr(Config) twice = load_ok(f, yaml);
    g_autofree char *again = config_to_yaml(twice);
    g_assert_cmpstr(yaml, ==, again);
    g_assert_cmpstr(once->trust_file, ==, twice->trust_file);
    g_assert_cmpmem(&once->limits, sizeof once->limits, &twice->limits, sizeof twice->limits);
}

static void test_round_trip(Fixture *f, gconstpointer data)
{
    (void)data;
    assert_round_trip(f, "");
    assert_round_trip(f, every_key);
    assert_round_trip(f, "tls: {cert: 'a \"b\" \\', key: \"\\u00e9 # \\u2028\"}\n");
    assert_round_trip(f, "proxies: ['::/0', 0.0.0.0/0, '::1']\npage_cache: 0\n");
}

/* A new key without its section in both documents fails here. */
static void test_every_key_is_documented(void)
{
    g_autofree char *guide = NULL, *manual = NULL;
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/../docs/configuration.md", &guide, NULL, NULL));
    g_assert_true(g_file_get_contents(KONTOR_TEST_DIR "/../deploy/man/kontor.yaml.5", &manual, NULL, NULL));
    g_auto(GStrv) keys = config_keys_list();
    g_assert_cmpuint(g_strv_length(keys), >, 30);
    for (guint i = 0; keys[i] != NULL; i++) {
        g_autofree char *heading = g_strdup_printf("### `%s`\n", keys[i]);
        g_autofree char *item = g_strdup_printf(".It Cm %s", keys[i]);
        g_test_message("%s", keys[i]);
        g_assert_nonnull(strstr(guide, heading));
        g_assert_nonnull(strstr(manual, item));
    }
}

/* --- Ranges --- */

static void assert_contains(const char *network, const char *address, gboolean expected)
{
    ConfigNetwork n;
    guint8 bytes[16] = {[10] = 0xff, [11] = 0xff};
    g_assert_true(config_network_parse(network, &n, NULL));
    g_assert_true(inet_pton(AF_INET, address, bytes + 12) == 1 || inet_pton(AF_INET6, address, bytes) == 1);
    g_assert_cmpint(config_network_contains(&n, bytes), ==, expected);
}

static void test_networks(void)
{
    assert_contains("127.0.0.0/8", "127.255.0.1", TRUE);
    assert_contains("127.0.0.0/8", "128.0.0.1", FALSE);
    assert_contains("10.32.0.0/11", "10.63.255.255", TRUE);
    assert_contains("10.32.0.0/11", "10.64.0.0", FALSE);
    assert_contains("10.0.0.1", "10.0.0.1", TRUE);
    assert_contains("10.0.0.1", "10.0.0.0", FALSE);
    assert_contains("0.0.0.0/0", "203.0.113.9", TRUE);
    assert_contains("0.0.0.0/0", "2001:db8::1", FALSE);
    assert_contains("::/0", "203.0.113.9", TRUE);
    assert_contains("fd00::/8", "fdff::1", TRUE);
    assert_contains("fd00::/8", "fe00::1", FALSE);
    assert_contains("::1", "::1", TRUE);
    assert_contains("::1/128", "127.0.0.1", FALSE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/config/" path, Fixture, NULL, set_up, function, tear_down)
    ADD("defaults", test_defaults);
    ADD("every-key", test_every_key);
    ADD("malformed", test_malformed);
    ADD("beyond-limits", test_beyond_limits);
    ADD("not-supported", test_not_supported);
    ADD("unreadable", test_unreadable);
    ADD("tls", test_tls);
    ADD("api-off", test_api_off);
    ADD("overrides", test_overrides);
    ADD("data-dir", test_data_dir);
    ADD("round-trip", test_round_trip);
    g_test_add_func("/config/every-key-is-documented", test_every_key_is_documented);
    g_test_add_func("/config/networks", test_networks);
    return g_test_run();
}
