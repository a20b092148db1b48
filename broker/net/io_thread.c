/* SPDX-License-Identifier: MIT
 *
 * One turn of an I/O thread's loop:
 *
 *   - wait (epoll) until something is ready, at most until the next tick or what libuv wants
 *   - mailbox: what other threads said; before sockets, so that what a client was told elsewhere is seen here
 *   - sources: accept, plain HTTP; libuv's own descriptor is one source and stands for all of libwebsockets
 *   - plain connections that used up their last turn
 *   - tick, four times a second: deadlines, relay, service
 */
#include "broker/net/io_thread.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/net/client_address.h"
#include "broker/net/http_reply.h"
#include "schema/limits.h"

enum { EVENTS_PER_WAIT = 256, ACCEPTS_PER_TURN = 32, TICK_US = 250 * 1000, DATE_US = 200 * 1000 };

/* --- Small services for the other files --- */

gboolean io_thread_add(IoThread *thread, int fd, guint32 events, IoSource *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void io_thread_remove(IoThread *thread, int fd)
{
    epoll_ctl(thread->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void io_thread_request_done(IoThread *thread, const HttpExchange *exchange, guint status, guint64 body_bytes)
{
    HttpDone done = {
        .method = exchange->request.method,
        .route = exchange->route,
        .status = status,
        .body_bytes = body_bytes,
        .elapsed_us = g_get_monotonic_time() - exchange->request.started_us,
        .client = exchange->request.client,
    };
    exchange->service->done(&done, thread->thread_user);
}

void io_thread_connection_opened(IoThread *thread)
{
    g_atomic_int_inc(&thread->connections);
}

void io_thread_connection_closed(IoThread *thread)
{
    g_atomic_int_add(&thread->connections, -1);
}

const HttpRequest *http_exchange_request(const HttpExchange *exchange)
{
    return &exchange->request;
}

void http_exchange_set_route(HttpExchange *exchange, guint route)
{
    exchange->route = route;
}

void http_exchange_reply(HttpExchange *exchange, HttpReply *reply)
{
    exchange->send(exchange, reply);
}

/* --- Accepting --- */

typedef struct {
    IoThread *thread;
    NetKind kind;
    int fd;
    guint8 peer[16];
} NewConnection;

static void refuse(IoThread *thread, int fd)
{
    g_autoptr(HttpReply) reply = http_reply_refusal(503);
    gsize len = 0;
    const char *body = g_bytes_get_data(reply->body, &len);
    g_autofree char *text = g_strdup_printf("%sRetry-After: 5\r\nConnection: close\r\n\r\n%.*s",
                                            reply->head->str, (int)len, body);
    /* A new socket's buffer takes this whole; when it does not, the peer sees the close, which says the same.
     */
    if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        shutdown(fd, SHUT_WR);
    close(fd);
    io_thread_connection_closed(thread);
}

static void adopt(NewConnection *new)
{
    IoThread *thread = new->thread;
    if (new->kind != NET_TLS) {
        http1_adopt(thread->http1, new->kind, new->fd, new->peer);
        return;
    }
    IpQuota *quota = ip_quota_acquire(thread->net->quotas, new->peer);
    if (!ip_quota_take(quota, IP_QUOTA_CONNECTIONS)) {
        ip_quota_release(quota);
        close(new->fd);
        io_thread_connection_closed(thread);
        return;
    }
    ws_thread_adopt_tls(thread->ws, new->fd, quota);
}

static void adopt_mail(gpointer data, gboolean cancelled)
{
    g_autofree NewConnection *new = data;
    if (cancelled) {
        close(new->fd);
        return;
    }
    adopt(new);
}

static IoThread *least_busy(Net *net)
{
    IoThread *best = &net->threads[0];
    for (guint i = 1; i < net->thread_count; i++)
        if (g_atomic_int_get(&net->threads[i].connections) < g_atomic_int_get(&best->connections))
            best = &net->threads[i];
    return best;
}

static void disarm(IoListener *listener)
{
    io_thread_remove(listener->thread, listener->fd);
    listener->armed = FALSE;
}

static void place(IoThread *self, NetKind kind, int fd, const struct sockaddr *address)
{
    Net *net = self->net;
    NewConnection new = {.thread = least_busy(net), .kind = kind, .fd = fd};
    client_address_of_sockaddr(address, new.peer);
    io_thread_connection_opened(new.thread);
    if (kind != NET_API && net_connection_count(net) > (guint)g_atomic_int_get(&net->connections_max))
        refuse(new.thread, fd);
    else if (new.thread == self)
        adopt(&new);
    else
        mailbox_post(new.thread->mailbox, adopt_mail, g_memdup2(&new, sizeof new));
}

static void listener_ready(IoSource *source, guint32 events G_GNUC_UNUSED)
{
    IoListener *listener = (IoListener *)source;
    for (guint i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof address;
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            place(listener->thread, listener->kind, fd, (struct sockaddr *)&address);
            continue;
        }
        /* Out of descriptors: a level-triggered listener would spin, so it rests until the next tick. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            disarm(listener);
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

void io_thread_listen(IoThread *thread, NetKind kind, int fd)
{
    IoListener *listener = g_new0(IoListener, 1);
    *listener = (IoListener){.source = {listener_ready}, .thread = thread, .kind = kind, .fd = fd};
    g_ptr_array_add(thread->listeners, listener);
}

static void arm_listeners(IoThread *thread)
{
    for (guint i = 0; i < thread->listeners->len; i++) {
        IoListener *listener = g_ptr_array_index(thread->listeners, i);
        if (!listener->armed)
            listener->armed =
                io_thread_add(thread, listener->fd, EPOLLIN | EPOLLEXCLUSIVE, &listener->source);
    }
}

static void disarm_listeners(IoThread *thread)
{
    for (guint i = 0; i < thread->listeners->len; i++) {
        IoListener *listener = g_ptr_array_index(thread->listeners, i);
        if (listener->armed)
            disarm(listener);
    }
}

/* --- The loop --- */

typedef struct {
    IoSource source;
    IoThread *thread;
} InternalSource;

static void mailbox_ready(IoSource *source G_GNUC_UNUSED, guint32 events G_GNUC_UNUSED)
{
    /* Drained at every turn anyway; being awake is all that was needed. */
}

static void uv_ready(IoSource *source, guint32 events G_GNUC_UNUSED)
{
    ws_thread_run(((InternalSource *)source)->thread->ws);
}

static void update_date(IoThread *thread)
{
    if (thread->now_us < thread->date_due_us)
        return;
    /* IMF-fixdate (RFC 9110 section 5.6.7) is English whatever the locale, hence no strftime. */
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    int len =
        g_snprintf(thread->date_line, sizeof thread->date_line,
                   "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
                   months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    thread->date_len = (guint)len;
    thread->date_due_us = thread->now_us + DATE_US;
}

static void tick(IoThread *thread)
{
    if (thread->now_us < thread->tick_due_us)
        return;
    thread->tick_due_us = thread->now_us + TICK_US;
    __atomic_store_n(&thread->turned_us, thread->now_us, __ATOMIC_RELAXED);
    if (!thread->stopping)
        arm_listeners(thread);
    http1_expire(thread->http1);
    ws_thread_tick(thread->ws);
    if (thread->shard != NULL)
        relay_shard_tick(thread->shard, thread->now_us);
    thread->net->hooks.thread_tick(thread->thread_user, thread->now_us);
}

static int wait_ms(const IoThread *thread, gboolean more)
{
    int uv = ws_thread_timeout_ms(thread->ws);
    if (more || uv == 0)
        return 0;
    gint64 until_tick = (thread->tick_due_us - g_get_monotonic_time() + 999) / 1000;
    int ms = (int)CLAMP(until_tick, 0, TICK_US / 1000);
    return uv > 0 ? MIN(ms, uv) : ms;
}

static gboolean is_finished(IoThread *thread)
{
    return thread->stopping && (thread->now_us >= thread->stop_us ||
                                (http1_count(thread->http1) == 0 && ws_thread_count(thread->ws) == 0));
}

static gpointer run(gpointer data)
{
    IoThread *thread = data;
    InternalSource mail = {{mailbox_ready}, thread}, uv = {{uv_ready}, thread};
    gboolean added = io_thread_add(thread, mailbox_fd(thread->mailbox), EPOLLIN, &mail.source) &&
                     io_thread_add(thread, ws_thread_fd(thread->ws), EPOLLIN, &uv.source);
    g_assert(added);
    arm_listeners(thread);
    gboolean more = FALSE;
    for (;;) {
        struct epoll_event events[EVENTS_PER_WAIT];
        int n = epoll_wait(thread->epoll_fd, events, EVENTS_PER_WAIT, wait_ms(thread, more));
        thread->now_us = g_get_monotonic_time();
        update_date(thread);
        mailbox_drain(thread->mailbox);
        for (int i = 0; i < n; i++) {
            IoSource *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        more = http1_continue(thread->http1);
        if (ws_thread_timeout_ms(thread->ws) == 0)
            ws_thread_run(thread->ws);
        tick(thread);
        if (is_finished(thread))
            break;
    }
    thread->net->hooks.thread_tick(thread->thread_user, thread->now_us);
    return NULL;
}

/* --- Messages from the main thread --- */

typedef struct {
    IoThread *thread;
    Config *config;
    gint64 stop_us;
} ThreadOrder;

static void reload_mail(gpointer data, gboolean cancelled)
{
    g_autofree ThreadOrder *order = data;
    if (cancelled) {
        config_unref(order->config);
        return;
    }
    config_unref(order->thread->config);
    order->thread->config = order->config;
}

static void stop_mail(gpointer data, gboolean cancelled)
{
    g_autofree ThreadOrder *order = data;
    IoThread *thread = order->thread;
    if (cancelled)
        return;
    thread->stopping = TRUE;
    thread->stop_us = order->stop_us;
    disarm_listeners(thread);
    http1_stop(thread->http1);
    ws_thread_stop(thread->ws);
}

/* --- Life cycle --- */

gboolean io_thread_init(IoThread *thread, Net *net, guint index, const RelayTransport *transport,
                        GError **error)
{
    thread->net = net;
    thread->index = index;
    thread->now_us = g_get_monotonic_time();
    thread->config = config_ref(net->config);
    thread->listeners = g_ptr_array_new_with_free_func(g_free);
    thread->mailbox = mailbox_new();
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (thread->epoll_fd < 0)
        return kontor_error_set_errno(error, errno, "epoll");
    wheel_init(&thread->wheel, thread->now_us);
    update_date(thread);
    thread->http1 = http1_new(thread);
    if (net->relay != NULL)
        thread->shard = relay_shard_new(net->relay, index, thread->mailbox, transport);
    thread->ws = ws_thread_new(thread, error);
    if (thread->ws == NULL)
        return FALSE;
    thread->thread_user = net->hooks.thread_new(net->hooks.user, index, thread->mailbox, thread->shard);
    return TRUE;
}

void io_thread_start(IoThread *thread)
{
    g_autofree char *name = g_strdup_printf("io-%u", thread->index);
    thread->gthread = g_thread_new(name, run, thread);
}

void io_thread_reload(IoThread *thread, Config *config)
{
    ThreadOrder order = {.thread = thread, .config = config_ref(config)};
    mailbox_post(thread->mailbox, reload_mail, g_memdup2(&order, sizeof order));
}

void io_thread_stop(IoThread *thread, gint64 stop_us)
{
    ThreadOrder order = {.thread = thread, .stop_us = stop_us};
    mailbox_post(thread->mailbox, stop_mail, g_memdup2(&order, sizeof order));
}

void io_thread_close(IoThread *thread)
{
    g_clear_pointer(&thread->ws, ws_thread_free);
    g_clear_pointer(&thread->http1, http1_free);
    g_clear_pointer(&thread->shard, relay_shard_free);
    if (thread->thread_user != NULL)
        thread->net->hooks.thread_free(g_steal_pointer(&thread->thread_user));
}

void io_thread_clear(IoThread *thread)
{
    g_clear_pointer(&thread->mailbox, mailbox_free);
    g_clear_pointer(&thread->listeners, g_ptr_array_unref);
    g_clear_pointer(&thread->config, config_unref);
    if (thread->epoll_fd >= 0)
        close(thread->epoll_fd);
}
