/* SPDX-License-Identifier: MIT */
#include "broker/net/net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/net/client_address.h"
#include "broker/net/io_thread.h"

enum {
    LISTEN_BACKLOG = 4096,
    /* A socket counts as writable again when less than half of this is unsent. Without it the kernel keeps
     * megabytes for a slow reader, and half a minute may pass between two signs of progress. */
    UNSENT_BYTES = 128 * 1024
};

static void set_limits(Net *net, const Config *config)
{
    const guint max[IP_QUOTA_KINDS] = {
        [IP_QUOTA_CONNECTIONS] = config->limits.connections_per_ip,
        [IP_QUOTA_PENDING] = config->limits.pending_per_ip,
    };
    ip_quota_table_set_max(net->quotas, max);
    g_atomic_int_set(&net->connections_max, (gint)config->limits.connections);
}

Net *net_new(Config *config, Relay *relay, const NetHooks *hooks, GError **error)
{
    const guint unlimited[IP_QUOTA_KINDS] = {0};
    Net *net = g_new0(Net, 1);
    net->config = config_ref(config);
    net->relay = relay;
    net->hooks = *hooks;
    net->listen_fds = g_array_new(FALSE, FALSE, sizeof(int));
    net->quotas = ip_quota_table_new(unlimited);
    set_limits(net, config);
    net->thread_count = config->threads;
    net->threads = g_new0(IoThread, config->threads);
    for (guint i = 0; i < config->threads; i++)
        net->threads[i].epoll_fd = -1;
    for (guint i = 0; i < config->threads; i++) {
        if (!io_thread_init(&net->threads[i], net, i, ws_relay_transport(), error)) {
            net_free(net);
            return NULL;
        }
    }
    return net;
}

void net_close(Net *net)
{
    g_assert(!net->started);
    for (guint i = 0; i < net->thread_count; i++)
        io_thread_close(&net->threads[i]);
}

void net_free(Net *net)
{
    if (net == NULL)
        return;
    net_close(net);
    for (guint i = 0; i < net->thread_count; i++)
        io_thread_clear(&net->threads[i]);
    g_free(net->threads);
    for (guint i = 0; i < net->listen_fds->len; i++)
        close(g_array_index(net->listen_fds, int, i));
    g_array_unref(net->listen_fds);
    ip_quota_table_free(net->quotas);
    config_unref(net->config);
    g_free(net);
}

/* --- Listening --- */

static void fill_sockaddr(const ConfigAddress *address, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    guint8 ip[16] = {0};
    gboolean any = address->host[0] == '\0';
    gboolean parsed = any || client_address_parse(address->host, strlen(address->host), ip);
    g_assert(parsed); /* config_address_parse accepts literals only */
    memset(ret, 0, sizeof *ret);
    if (!any && strchr(address->host, ':') == NULL) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        memcpy(&v4->sin_addr, ip + 12, 4);
        *ret_len = sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        memcpy(&v6->sin6_addr, ip, 16);
        *ret_len = sizeof *v6;
    }
}

static char *bound_name(int fd)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0 ||
        getnameinfo((struct sockaddr *)&storage, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return g_strdup("?");
    return storage.ss_family == AF_INET6 ? g_strdup_printf("[%s]:%s", host, port)
                                         : g_strdup_printf("%s:%s", host, port);
}

static int open_listener(NetKind kind, const ConfigAddress *address, GError **error)
{
    struct sockaddr_storage storage;
    socklen_t len;
    fill_sockaddr(address, &storage, &len);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        kontor_error_set_errno(error, errno, "socket");
        return -1;
    }
    int one = 1, only_v6 = address->host[0] != '\0', unsent = UNSENT_BYTES;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* Accepted sockets inherit both, which saves calls per connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    if (storage.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    if (bind(fd, (struct sockaddr *)&storage, len) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    if (saved == EADDRINUSE)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
                    "port %u on %s is in use by another program; stop it or listen elsewhere (%s, or "
                    "port 0 for any free one)",
                    address->port, address->host[0] != '\0' ? address->host : "all addresses",
                    kind == NET_API   ? "--api"
                    : kind == NET_TLS ? "listen_tls"
                                      : "--listen");
    else
        kontor_error_set_errno(error, saved, "listen on %s port %u", address->host, address->port);
    return -1;
}

gboolean net_listen(Net *net, NetKind kind, const ConfigAddress *address, char **ret_bound, GError **error)
{
    g_assert(!net->started);
    int fd = open_listener(kind, address, error);
    if (fd < 0)
        return FALSE;
    g_array_append_val(net->listen_fds, fd);
    *ret_bound = bound_name(fd);
    for (guint i = 0; i < net->thread_count; i++)
        io_thread_listen(&net->threads[i], kind, fd);
    return TRUE;
}

/* --- Running --- */

void net_start(Net *net)
{
    net->started = TRUE;
    for (guint i = 0; i < net->thread_count; i++)
        io_thread_start(&net->threads[i]);
}

typedef struct {
    IoThread *thread;
    const char *cert_file, *key_file;
    GError *error;
    gboolean done;
    GMutex *lock;
    GCond *changed;
} CertificateOrder;

static void certificate_mail(gpointer data, gboolean cancelled)
{
    CertificateOrder *order = data;
    GError *error = NULL;
    if (!cancelled)
        ws_thread_set_certificate(order->thread->ws, order->cert_file, order->key_file, &error);
    g_mutex_lock(order->lock);
    order->error = error;
    order->done = TRUE;
    g_cond_signal(order->changed);
    g_mutex_unlock(order->lock);
}

/* On a running thread, and waits for it: a libwebsockets context may only be touched by its own thread. */
static gboolean set_certificate_on(IoThread *thread, const char *cert_file, const char *key_file,
                                   GError **error)
{
    if (!thread->net->started)
        return ws_thread_set_certificate(thread->ws, cert_file, key_file, error);
    GMutex lock;
    GCond changed;
    g_mutex_init(&lock);
    g_cond_init(&changed);
    CertificateOrder order = {thread, cert_file, key_file, NULL, FALSE, &lock, &changed};
    mailbox_post(thread->mailbox, certificate_mail, &order);
    g_mutex_lock(&lock);
    while (!order.done)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
    g_mutex_clear(&lock);
    g_cond_clear(&changed);
    if (order.error != NULL)
        g_propagate_error(error, order.error);
    return order.error == NULL;
}

static int no_passphrase(char *buffer G_GNUC_UNUSED, int size G_GNUC_UNUSED, int writing G_GNUC_UNUSED,
                         void *user G_GNUC_UNUSED)
{
    return 0; /* rather than asking on the terminal */
}

/* Tries the pair before any thread gets it, so that a mistake leaves all of them with what they had. */
static gboolean check_certificate(const char *cert_file, const char *key_file, GError **error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    const char *wrong = NULL;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        wrong = "holds no certificate in PEM form";
    else if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        wrong = "comes with a key that cannot be used";
    else if (SSL_CTX_check_private_key(context) != 1)
        wrong = "belongs to another key";
    ERR_clear_error();
    SSL_CTX_free(context);
    if (wrong != NULL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "tls: certificate %s with key %s: the file %s", cert_file, key_file, wrong);
    return wrong == NULL;
}

gboolean net_set_certificate(Net *net, const char *cert_file, const char *key_file, GError **error)
{
    if (!check_certificate(cert_file, key_file, error))
        return FALSE;
    for (guint i = 0; i < net->thread_count; i++)
        if (!set_certificate_on(&net->threads[i], cert_file, key_file, error))
            return FALSE;
    return TRUE;
}

void net_reload(Net *net, Config *config)
{
    set_limits(net, config);
    for (guint i = 0; i < net->thread_count; i++)
        io_thread_reload(&net->threads[i], config);
}

void net_stop(Net *net, guint grace_ms)
{
    if (!net->started)
        return;
    gint64 stop_us = g_get_monotonic_time() + (gint64)grace_ms * 1000;
    for (guint i = 0; i < net->thread_count; i++)
        io_thread_stop(&net->threads[i], stop_us);
    for (guint i = 0; i < net->thread_count; i++)
        g_thread_join(net->threads[i].gthread);
    net->started = FALSE;
}

guint net_connection_count(const Net *net)
{
    gint sum = 0;
    for (guint i = 0; i < net->thread_count; i++)
        sum += g_atomic_int_get(&net->threads[i].connections);
    return (guint)MAX(sum, 0);
}

gboolean net_is_alive(const Net *net, guint64 within_us)
{
    gint64 since_us = g_get_monotonic_time() - (gint64)within_us;
    for (guint i = 0; i < net->thread_count; i++)
        if (__atomic_load_n(&net->threads[i].turned_us, __ATOMIC_RELAXED) < since_us)
            return FALSE;
    return TRUE;
}
