/* SPDX-License-Identifier: MIT */
#include "broker/server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/data_dir.h"
#include "broker/log.h"
#include "broker/mirrors/mirrors.h"
#include "broker/net/net.h"
#include "broker/serve/serve.h"
#include "broker/systemd.h"
#include "schema/limits.h"
#include "signing/hash.h"

enum { STOP_GRACE_MS = 5000, RELOAD_WAIT_MS = 5000, EXIT_STARTED_BADLY = 1, EXIT_BAD_CONFIGURATION = 2 };

/* Everything the broker consists of, in the order of making. */
typedef struct {
    const ConfigOverrides *overrides;
    Config *config;
    DataDir *data_dir;
    Workers *workers;
    Actor *state, *indexer;
    RateLimit *search_limit, *register_limit;
    Relay *relay;
    Serve *serve;
    Mirrors *mirrors;
    Net *net;
    GPtrArray *listen, *tls; /* of char *, bound addresses, NULL-terminated when complete */
    char *api;
    guint8 certificate[SHA256_BYTES]; /* certificate_hash of the one in use; zeros: none yet */
} Server;

/* --- Hooks of the network side --- */

static gpointer hook_thread_new(gpointer user, guint index, Mailbox *mailbox, RelayShard *shard)
{
    Server *s = user;
    return serve_thread_new(s->serve, index, mailbox, shard);
}

static void hook_thread_free(gpointer thread_user)
{
    serve_thread_free(thread_user);
}

static void hook_thread_tick(gpointer thread_user, gint64 now_us)
{
    serve_thread_tick(thread_user, now_us);
}

static void on_ready(gpointer user G_GNUC_UNUSED)
{
    log_event(LOG_INFO, "ready", NULL);
}

/* --- Making --- */

static gboolean make_parts(Server *s, GError **error)
{
    const Config *c = s->config;
    s->workers = workers_new(c->workers, LIMIT_WORKER_QUEUE);
    s->state = actor_new("state");
    s->indexer = actor_new("indexer");
    s->search_limit =
        rate_limit_new(c->limits.search_per_minute, LIMIT_RATE_WINDOW_SECONDS, LIMIT_RATE_ADDRESSES);
    s->register_limit =
        rate_limit_new(c->limits.register_per_minute, LIMIT_RATE_WINDOW_SECONDS, LIMIT_RATE_ADDRESSES);
    g_autofree char *identity = g_build_filename(c->data_dir, "identity.db", NULL);
    s->relay = relay_new(&(RelayOptions){.identity_path = identity,
                                         .shards = c->threads,
                                         .nodes_max = c->limits.nodes,
                                         .identities_max = LIMIT_IDENTITIES,
                                         .pending_max = c->limits.pending_queries,
                                         .messages_per_second = c->limits.node_messages_per_second,
                                         .register_limit = s->register_limit,
                                         .state = s->state},
                         error);
    if (s->relay == NULL)
        return FALSE;
    s->serve = serve_new(&(ServeOptions){.config = s->config,
                                         .workers = s->workers,
                                         .indexer = s->indexer,
                                         .relay = s->relay,
                                         .search_limit = s->search_limit,
                                         .threads = c->threads,
                                         .ready = on_ready,
                                         .ready_user = s},
                         error);
    if (s->serve == NULL)
        return FALSE;
    s->mirrors = mirrors_new(s->config, serve_publisher(s->serve), error);
    if (s->mirrors == NULL)
        return FALSE;
    serve_set_mirrors(s->serve, s->mirrors);
    const NetHooks hooks = {.thread_new = hook_thread_new,
                            .thread_free = hook_thread_free,
                            .thread_tick = hook_thread_tick,
                            .public_service = serve_public_service(),
                            .api_service = serve_api_service(),
                            .user = s};
    s->net = net_new(s->config, s->relay, &hooks, error);
    return s->net != NULL;
}

/* Hash of the hashes of both files. */
static gboolean certificate_hash(const Config *config, guint8 ret[SHA256_BYTES], GError **error)
{
    guint8 hashes[2 * SHA256_BYTES];
    const char *files[] = {config->tls_cert, config->tls_key};
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = NULL;
        gsize len = 0;
        if (!g_file_get_contents(files[i], &text, &len, NULL)) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "tls: cannot read %s and %s",
                        config->tls_cert, config->tls_key);
            return FALSE;
        }
        sha256(text, len, hashes + i * SHA256_BYTES);
        explicit_bzero(text, len);
    }
    sha256(hashes, sizeof hashes, ret);
    return TRUE;
}

/* Every certificate that is taken into use costs a library context until the end, because connections may
 * still use the old one. So only other contents count, not files that were merely written again. */
static gboolean use_certificate(Server *s, const Config *config, GError **error)
{
    guint8 hash[SHA256_BYTES];
    if (!certificate_hash(config, hash, error))
        return FALSE;
    if (memcmp(hash, s->certificate, sizeof hash) == 0)
        return TRUE;
    if (!net_set_certificate(s->net, config->tls_cert, config->tls_key, error))
        return FALSE;
    memcpy(s->certificate, hash, sizeof hash);
    return TRUE;
}

static gboolean listen_all(Net *net, NetKind kind, const GArray *addresses, GPtrArray *bound, GError **error)
{
    for (guint i = 0; i < addresses->len; i++) {
        char *name = NULL;
        if (!net_listen(net, kind, &g_array_index(addresses, ConfigAddress, i), &name, error))
            return FALSE;
        g_ptr_array_add(bound, name);
    }
    return TRUE;
}

static gboolean start_listening(Server *s, GError **error)
{
    const Config *c = s->config;
    if (!listen_all(s->net, NET_PUBLIC, c->listen, s->listen, error) ||
        !listen_all(s->net, NET_TLS, c->listen_tls, s->tls, error))
        return FALSE;
    if (c->listen_tls->len > 0 && !use_certificate(s, c, error))
        return FALSE;
    if (c->api_enabled && !net_listen(s->net, NET_API, &c->api, &s->api, error))
        return FALSE;
    g_ptr_array_add(s->listen, NULL);
    g_ptr_array_add(s->tls, NULL);
    g_autoptr(GPtrArray) public = g_ptr_array_new();
    for (guint i = 0; g_ptr_array_index(s->listen, i) != NULL; i++)
        g_ptr_array_add(public, g_ptr_array_index(s->listen, i));
    for (guint i = 0; g_ptr_array_index(s->tls, i) != NULL; i++)
        g_ptr_array_add(public, g_ptr_array_index(s->tls, i));
    g_ptr_array_add(public, NULL);
    serve_set_addresses(s->serve, (const char *const *)public->pdata, s->api);
    return TRUE;
}

static void log_listening(const Server *s)
{
    for (guint i = 0; g_ptr_array_index(s->listen, i) != NULL; i++)
        log_event(LOG_INFO, "listening", "http", g_ptr_array_index(s->listen, i), NULL);
    for (guint i = 0; g_ptr_array_index(s->tls, i) != NULL; i++)
        log_event(LOG_INFO, "listening", "https", g_ptr_array_index(s->tls, i), NULL);
    if (s->api != NULL)
        log_event(LOG_INFO, "listening", "api", s->api, NULL);
}

static gboolean start(Server *s, GError **error)
{
    s->data_dir = data_dir_take(s->config->data_dir, error);
    if (s->data_dir == NULL || !make_parts(s, error) || !start_listening(s, error) ||
        !serve_start(s->serve, error))
        return FALSE;
    mirrors_start(s->mirrors);
    net_start(s->net);
    if (!data_dir_write_endpoints(s->data_dir, (const char *const *)s->listen->pdata,
                                  (const char *const *)s->tls->pdata, s->api, error))
        return FALSE;
    log_listening(s);
    return TRUE;
}

/* Threads first, then what they used; mailboxes last, because everybody posts to them. */
static void take_down(Server *s)
{
    if (s->net != NULL) {
        net_stop(s->net, STOP_GRACE_MS);
        net_close(s->net);
    }
    if (s->mirrors != NULL)
        mirrors_stop(s->mirrors);
    if (s->serve != NULL)
        serve_close(s->serve);
    g_clear_pointer(&s->workers, workers_free);
    g_clear_pointer(&s->indexer, actor_free);
    g_clear_pointer(&s->mirrors, mirrors_free);
    g_clear_pointer(&s->relay, relay_free);
    g_clear_pointer(&s->state, actor_free);
    g_clear_pointer(&s->net, net_free);
    g_clear_pointer(&s->serve, serve_free);
    g_clear_pointer(&s->search_limit, rate_limit_free);
    g_clear_pointer(&s->register_limit, rate_limit_free);
    g_clear_pointer(&s->data_dir, data_dir_release);
    g_ptr_array_unref(s->listen);
    g_ptr_array_unref(s->tls);
    g_free(s->api);
    g_clear_pointer(&s->config, config_unref);
}

/* --- Running --- */

static void log_odd_configuration(const Config *config)
{
    for (guint i = 0; i < config->warnings->len; i++)
        log_event(LOG_WARNING, "config-odd", "reason", g_ptr_array_index(config->warnings, i), NULL);
}

static void reload(Server *s)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) fresh = config_load(s->overrides, &error);
    if (fresh == NULL) {
        log_error_event(LOG_ERROR, "reload-refused", error, NULL);
        return;
    }
    if (s->config->listen_tls->len > 0 && fresh->tls_cert != NULL && !use_certificate(s, fresh, &error)) {
        log_error_event(LOG_ERROR, "reload-certificate", error, NULL);
        g_clear_error(&error);
    }
    log_set_format(fresh->log_format);
    log_odd_configuration(fresh);
    rate_limit_set(s->search_limit, fresh->limits.search_per_minute);
    rate_limit_set(s->register_limit, fresh->limits.register_per_minute);
    relay_set_limits(s->relay, fresh->limits.nodes, fresh->limits.pending_queries,
                     fresh->limits.node_messages_per_second);
    net_reload(s->net, fresh);
    mirrors_reload(s->mirrors, fresh);
    serve_reload(s->serve, fresh);
    /* Whoever is told that it is done relies on it, above all when a source has become private. */
    if (!mirrors_wait_reloaded(s->mirrors, RELOAD_WAIT_MS))
        log_event(LOG_WARNING, "reload-mirrors-late", NULL);
    config_unref(s->config);
    s->config = g_steal_pointer(&fresh);
    log_event(LOG_INFO, "reloaded", NULL);
}

/* With the time, as Type=notify-reload wants it; Type=notify passes over it. */
static void notify_reloading(void)
{
    g_autofree char *message =
        g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());
    systemd_notify(message);
}

/* Waits for signals until one of them means the end. */
static void wait_for_end(Server *s, const sigset_t *signals)
{
    guint64 watchdog_us = systemd_watchdog_us() / 2;
    struct timespec patience = {(time_t)(watchdog_us / G_USEC_PER_SEC),
                                (long)(watchdog_us % G_USEC_PER_SEC) * 1000};
    for (;;) {
        int signal = sigtimedwait(signals, NULL, watchdog_us > 0 ? &patience : NULL);
        /* The watchdog is only fed while the I/O threads still turn. */
        if (watchdog_us > 0 && net_is_alive(s->net, watchdog_us))
            systemd_notify("WATCHDOG=1");
        if (signal == SIGHUP) {
            notify_reloading();
            reload(s);
            systemd_notify("READY=1");
        } else if (signal == SIGTERM || signal == SIGINT) {
            log_event(LOG_INFO, "stopping", "signal", signal == SIGTERM ? "SIGTERM" : "SIGINT", NULL);
            return;
        }
    }
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int server_run(const ConfigOverrides *overrides)
{
    g_autoptr(GError) error = NULL;
    Server s = {.overrides = overrides};
    s.config = config_load(overrides, &error);
    if (s.config == NULL) {
        fprintf(stderr, "kontor: %s\n", error->message);
        return EXIT_BAD_CONFIGURATION;
    }
    sigset_t signals;
    block_signals(&signals);
    raise_descriptor_limit();
    signing_init();
    log_init(s.config->log_format, LOG_INFO);
    log_odd_configuration(s.config);
    s.listen = g_ptr_array_new_with_free_func(g_free);
    s.tls = g_ptr_array_new_with_free_func(g_free);
    int status = 0;
    if (start(&s, &error)) {
        systemd_notify("READY=1");
        wait_for_end(&s, &signals);
        systemd_notify("STOPPING=1");
    } else {
        fprintf(stderr, "kontor: %s\n", error->message);
        status = EXIT_STARTED_BADLY;
    }
    take_down(&s);
    if (status == 0)
        log_event(LOG_INFO, "stopped", NULL);
    return status;
}
