/* SPDX-License-Identifier: MIT
 *
 * Nodes and requesters for the bench, many of them, in one thread on epoll: it shares the machine with the
 * broker and so must cost little. It speaks just enough WebSocket for that (client frames are masked with the
 * key 0, which leaves the bytes as they are) and trusts the broker; the integration tests are where answers
 * are judged.
 *
 *   node_load pairs PORT PAIRS SECONDS BYTES   round trips between PAIRS registered Nodes and as many
 * requesters, each with one query of BYTES under way; prints JSON with rate and latencies node_load idle PORT
 * COUNT                  registers COUNT Nodes, prints "ready", keeps them alive (WebSocket pongs, one ping
 *                                              message per 30 s each) until standard input ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_BYTES_MAX (256 * 1024)
#define SAMPLES_MAX (16 * 1000 * 1000)
#define PING_PERIOD_US (30 * G_USEC_PER_SEC)
#define CONNECTING_MAX 256 /* handshakes under way at once, so that the listen queue is not overrun */

typedef enum { ROLE_NODE, ROLE_REQUESTER } Role;
typedef enum { STATE_UPGRADING, STATE_CHALLENGED, STATE_REGISTERING, STATE_READY } State;

typedef struct {
    int fd;
    Role role;
    State state;
    guint number; /* the Node's number; a requester asks the Node of its own number */
    guint64 turn; /* queries sent so far */
    gint64 sent_us;
    GByteArray *in;
} Conn;

typedef struct {
    int epoll;
    guint16 port;
    guint ready, target;
    gboolean measuring;
    char *payload;
    guint32 *samples; /* latencies in µs */
    gsize sample_count;
    guint64 errors;
} Load;

G_NORETURN static void die(const char *what)
{
    fprintf(stderr, "node_load: %s: %s\n", what, g_strerror(errno));
    _exit(1);
}

/* --- Frames --- */

/* Sends one frame masked with the key 0. Sockets block on writing only if the broker stops reading, which
 * would be a finding. */
static void send_frame(Conn *conn, guint8 opcode, const char *payload, gsize len)
{
    guint8 head[14] = {(guint8)(0x80 | opcode)};
    gsize head_len;
    struct iovec parts[2] = {{head, 0}, {(gpointer)(gsize)payload, len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (len < 126) {
        head[1] = (guint8)(0x80 | len);
        head_len = 2;
    } else if (len < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (guint8)(len >> 8);
        head[3] = (guint8)len;
        head_len = 4;
    } else {
        head[1] = 0x80 | 127;
        for (guint i = 0; i < 8; i++)
            head[2 + i] = (guint8)((guint64)len >> (56 - 8 * i));
        head_len = 10;
    }
    memset(head + head_len, 0, 4);
    parts[0].iov_len = head_len + 4;
    if (sendmsg(conn->fd, &message, MSG_NOSIGNAL) != (gssize)(head_len + 4 + len))
        die("send");
}

/* The next whole frame in `in`: its bytes, or FALSE when more must be read. */
static gboolean next_frame(const Conn *conn, gsize offset, guint8 *ret_opcode, gsize *ret_start,
                           gsize *ret_len)
{
    const guint8 *p = conn->in->data + offset;
    gsize have = conn->in->len - offset, head = 2;
    guint64 len;

    if (have < 2)
        return FALSE;
    len = p[1] & 0x7f;
    if (len == 126) {
        if (have < 4)
            return FALSE;
        len = (guint64)p[2] << 8 | p[3];
        head = 4;
    } else if (len == 127) {
        if (have < 10)
            return FALSE;
        len = 0;
        for (guint i = 0; i < 8; i++)
            len = len << 8 | p[2 + i];
        head = 10;
    }
    if (len > FRAME_BYTES_MAX)
        die("frame too long");
    if (have < head + len)
        return FALSE;
    *ret_opcode = p[0] & 0x0f;
    *ret_start = offset + head;
    *ret_len = (gsize)len;
    return TRUE;
}

/* The string value of a member of a flat JSON object, without undoing escapes. */
static gboolean find_string(const char *text, gsize len, const char *key, const char **ret_value,
                            gsize *ret_len)
{
    const char *at = memmem(text, len, key, strlen(key));
    const char *end = text + len, *stop;

    if (at == NULL)
        return FALSE;
    at += strlen(key);
    while (at < end && (*at == ':' || *at == ' '))
        at++;
    if (at >= end || *at != '"')
        return FALSE;
    at++;
    stop = memchr(at, '"', (gsize)(end - at));
    if (stop == NULL)
        return FALSE;
    *ret_value = at;
    *ret_len = (gsize)(stop - at);
    return TRUE;
}

/* --- What Nodes and requesters say --- */

static void send_register(Conn *conn, const char *nonce64, gsize nonce64_len)
{
    g_autofree char *encoded = g_strndup(nonce64, nonce64_len);
    gsize nonce_len = 0;
    g_autofree guchar *nonce = g_base64_decode(encoded, &nonce_len);
    g_autofree char *node_id = g_strdup_printf("bench-%08x", conn->number);
    g_autoptr(GByteArray) signed_bytes = g_byte_array_new();
    guint8 seed[crypto_sign_SEEDBYTES] = {0}, public_key[crypto_sign_PUBLICKEYBYTES],
           secret_key[crypto_sign_SECRETKEYBYTES];
    guint8 signature[crypto_sign_BYTES];

    memcpy(seed, &conn->number, sizeof(conn->number));
    crypto_sign_seed_keypair(public_key, secret_key, seed);
    g_byte_array_append(signed_bytes, nonce, (guint)nonce_len);
    g_byte_array_append(signed_bytes, (const guint8 *)node_id, (guint)strlen(node_id));
    crypto_sign_detached(signature, NULL, signed_bytes->data, signed_bytes->len, secret_key);
    g_autofree char *public64 = g_base64_encode(public_key, sizeof(public_key));
    g_autofree char *signature64 = g_base64_encode(signature, sizeof(signature));
    g_autofree char *text = g_strdup_printf(
        "{\"type\": \"register\", \"node_id\": \"%s\", \"tier_name\": \"small\", \"vram_used_mb\": 4096, "
        "\"public_key\": \"\", \"signing_pubkey\": \"%s\", \"signature\": \"%s\"}",
        node_id, public64, signature64);
    send_frame(conn, 1, text, strlen(text));
    conn->state = STATE_REGISTERING;
}

static void send_query(Load *load, Conn *conn)
{
    g_autofree char *text =
        g_strdup_printf("{\"type\": \"query\", \"query_id\": \"%08x-%016" G_GINT64_MODIFIER
                        "x\", \"to\": \"bench-%08x\", \"from_node\": "
                        "\"bench\", \"requester_pubkey\": \"\", \"payload\": \"%s\"}",
                        conn->number, conn->turn++, conn->number, load->payload);

    conn->sent_us = g_get_monotonic_time();
    send_frame(conn, 1, text, strlen(text));
}

static void send_answer(Load *load, Conn *conn, const char *query_id, gsize query_id_len)
{
    g_autofree char *text = g_strdup_printf(
        "{\"type\": \"response\", \"query_id\": \"%.*s\", \"to\": \"bench\", \"payload\": \"%s\"}",
        (int)query_id_len, query_id, load->payload);

    send_frame(conn, 1, text, strlen(text));
}

static void become_ready(Load *load, Conn *conn)
{
    conn->state = STATE_READY;
    load->ready++;
}

/* A message from the broker; what is expected depends on the state. */
static void on_message(Load *load, Conn *conn, const char *text, gsize len)
{
    const char *value;
    gsize value_len;

    if (conn->state == STATE_CHALLENGED) {
        if (!find_string(text, len, "\"nonce\"", &value, &value_len))
            die("no challenge");
        if (conn->role == ROLE_NODE)
            send_register(conn, value, value_len);
        else
            become_ready(load, conn);
    } else if (conn->state == STATE_REGISTERING) {
        if (memmem(text, len, "registered", 10) == NULL) {
            fprintf(stderr, "node_load: register was answered by %.*s\n", (int)MIN(len, 200), text);
            _exit(1);
        }
        become_ready(load, conn);
    } else if (conn->role == ROLE_NODE) {
        /* Pongs of the protocol's own kind have no query_id. */
        if (find_string(text, len, "\"query_id\"", &value, &value_len))
            send_answer(load, conn, value, value_len);
    } else {
        if (memmem(text, MIN(len, 64), "\"error\"", 7) != NULL)
            load->errors++;
        else if (load->measuring && load->sample_count < SAMPLES_MAX)
            load->samples[load->sample_count++] =
                (guint32)MIN(g_get_monotonic_time() - conn->sent_us, G_MAXUINT32);
        if (load->measuring)
            send_query(load, conn);
    }
}

/* Handles every whole frame that has arrived. */
static void on_frames(Load *load, Conn *conn)
{
    gsize offset = 0, start, len;
    guint8 opcode;

    while (next_frame(conn, offset, &opcode, &start, &len)) {
        const char *data = (const char *)conn->in->data + start;

        if (opcode == 1)
            on_message(load, conn, data, len);
        else if (opcode == 9)
            send_frame(conn, 10, data, len);
        else if (opcode == 8)
            die("closed by the broker");
        offset = start + len;
    }
    if (offset > 0)
        g_byte_array_remove_range(conn->in, 0, (guint)offset);
}

/* --- Connections --- */

static Conn *open_conn(Load *load, Role role, guint number)
{
    static const char request[] =
        "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN};
    Conn *conn = g_new0(Conn, 1);
    int on = 1;

    conn->role = role;
    conn->number = number;
    conn->in = g_byte_array_new();
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (send(conn->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (gssize)sizeof(request) - 1)
        die("send");
    event.data.ptr = conn;
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        die("epoll_ctl");
    return conn;
}

static void on_readable(Load *load, Conn *conn)
{
    static guint8 buffer[128 * 1024];
    gssize got = recv(conn->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("connection lost");
    g_byte_array_append(conn->in, buffer, (guint)got);
    if (conn->state == STATE_UPGRADING) {
        const char *end = memmem(conn->in->data, conn->in->len, "\r\n\r\n", 4);

        if (end == NULL)
            return;
        if (memcmp(conn->in->data, "HTTP/1.1 101", 12) != 0)
            die("upgrade refused");
        g_byte_array_remove_range(conn->in, 0, (guint)(end + 4 - (const char *)conn->in->data));
        conn->state = STATE_CHALLENGED;
    }
    on_frames(load, conn);
}

static void turn(Load *load, int timeout_ms)
{
    struct epoll_event events[512];
    int count = epoll_wait(load->epoll, events, G_N_ELEMENTS(events), timeout_ms);

    if (count < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < count; i++)
        on_readable(load, events[i].data.ptr);
}

static Conn **open_all(Load *load, guint count, gboolean with_requesters)
{
    Conn **conns = g_new0(Conn *, count * 2);

    for (guint i = 0; i < count; i++) {
        conns[i] = open_conn(load, ROLE_NODE, i);
        load->target++;
        if (with_requesters) {
            conns[count + i] = open_conn(load, ROLE_REQUESTER, i);
            load->target++;
        }
        while (load->target - load->ready > CONNECTING_MAX)
            turn(load, 1000);
    }
    while (load->ready < load->target)
        turn(load, 1000);
    return conns;
}

/* --- The two programs --- */

static int compare_samples(const void *a, const void *b)
{
    guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;

    return (x > y) - (x < y);
}

static void run_until(Load *load, gint64 deadline_us)
{
    while (g_get_monotonic_time() < deadline_us)
        turn(load, 10);
}

static void run_pairs(Load *load, guint pairs, guint seconds)
{
    g_autofree Conn **conns = open_all(load, pairs, /* with_requesters= */ TRUE);
    gint64 start;

    load->samples = g_new(guint32, SAMPLES_MAX);
    load->measuring = TRUE;
    for (guint i = 0; i < pairs; i++)
        send_query(load, conns[pairs + i]);
    run_until(load, g_get_monotonic_time() + G_USEC_PER_SEC / 2);
    load->sample_count = 0;
    start = g_get_monotonic_time();
    run_until(load, start + (gint64)seconds * G_USEC_PER_SEC);

    double elapsed = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
    gsize n = load->sample_count;

    if (n == 0)
        die("no answer");
    qsort(load->samples, n, sizeof(guint32), compare_samples);
    printf("{\"pairs\":%u,\"per_second\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"errors\":"
           "%" G_GUINT64_FORMAT "}\n",
           pairs, (double)n / elapsed, load->samples[n / 2], load->samples[n * 99 / 100],
           load->samples[n - 1], load->errors);
}

static void run_idle(Load *load, guint count)
{
    g_autofree Conn **conns = open_all(load, count, /* with_requesters= */ FALSE);
    gint64 start = g_get_monotonic_time();
    guint64 pinged = 0;
    char byte;

    puts("ready");
    fflush(stdout);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    /* Pings are spread over the period, as those of Nodes that started at different times. */
    while (read(STDIN_FILENO, &byte, 1) != 0) {
        guint64 due = (guint64)(g_get_monotonic_time() - start) * count / PING_PERIOD_US;

        for (; pinged < due; pinged++)
            send_frame(conns[pinged % count], 1, "{\"type\": \"ping\"}", 16);
        turn(load, 50);
    }
}

static guint number_argument(const char *text)
{
    guint64 value = 0;

    if (!g_ascii_string_to_unsigned(text, 10, 1, 1000000, &value, NULL)) {
        fprintf(stderr, "node_load: not a number: %s\n", text);
        _exit(2);
    }
    return (guint)value;
}

int main(int argc, char **argv)
{
    Load load = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct rlimit limit;

    if (load.epoll < 0 || sodium_init() < 0)
        die("start");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (argc == 6 && strcmp(argv[1], "pairs") == 0) {
        load.port = (guint16)number_argument(argv[2]);
        load.payload = g_strnfill(number_argument(argv[5]), 'x');
        run_pairs(&load, number_argument(argv[3]), number_argument(argv[4]));
    } else if (argc == 4 && strcmp(argv[1], "idle") == 0) {
        load.port = (guint16)number_argument(argv[2]);
        load.payload = g_strdup("");
        run_idle(&load, number_argument(argv[3]));
    } else {
        fputs("usage: node_load pairs PORT PAIRS SECONDS BYTES\n       node_load idle PORT COUNT\n", stderr);
        return 2;
    }
    return 0;
}
