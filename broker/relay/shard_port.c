/* SPDX-License-Identifier: MIT
 *
 * As in broker/net/mailbox.c: a stack that is pushed to with compare-and-exchange and taken as a whole. The
 * lock guards only the wake-up against the closing of the port; it is taken once per batch of mail.
 */
#include "broker/relay/shard_port.h"

#include <pthread.h>
#include <string.h>

struct ShardPort {
    ShardMail *posted; /* atomic; newest first */
    ShardMail *batch;  /* the receiver's own: taken, oldest first */
    pthread_mutex_t lock;
    Mailbox *mailbox; /* guarded; NULL while closed */
    ShardPortFunc func;
    gpointer shard; /* written while no wake-up can run */
};

ShardMail *shard_mail_new(MailKind kind, const char *query_id, gsize query_id_len)
{
    ShardMail *mail = g_malloc(sizeof *mail + query_id_len + 1);
    *mail = (ShardMail){.kind = kind, .query_id_len = (guint)query_id_len};
    memcpy(mail->query_id, query_id, query_id_len);
    mail->query_id[query_id_len] = '\0';
    return mail;
}

void shard_mail_free(ShardMail *mail)
{
    node_record_unref(mail->record);
    if (mail->frame != NULL)
        g_bytes_unref(mail->frame);
    g_free(mail);
}

ShardPort *shard_port_new(void)
{
    ShardPort *port = g_new0(ShardPort, 1);
    pthread_mutex_init(&port->lock, NULL);
    return port;
}

static void discard_all(ShardPort *port)
{
    for (ShardMail *mail; (mail = shard_port_receive(port)) != NULL;)
        shard_mail_free(mail);
}

void shard_port_free(ShardPort *port)
{
    g_assert(port->mailbox == NULL);
    discard_all(port);
    pthread_mutex_destroy(&port->lock);
    g_free(port);
}

static void deliver(gpointer data, gboolean cancelled)
{
    ShardPort *port = data;
    /* A cancelled wake-up may arrive when the port itself is gone. */
    if (!cancelled && port->shard != NULL)
        port->func(port->shard);
}

static void wake(ShardPort *port)
{
    pthread_mutex_lock(&port->lock);
    if (port->mailbox != NULL)
        mailbox_post(port->mailbox, deliver, port);
    pthread_mutex_unlock(&port->lock);
}

void shard_port_open(ShardPort *port, Mailbox *mailbox, ShardPortFunc func, gpointer shard)
{
    pthread_mutex_lock(&port->lock);
    g_assert(port->mailbox == NULL);
    port->mailbox = mailbox;
    port->func = func;
    port->shard = shard;
    pthread_mutex_unlock(&port->lock);
    wake(port);
}

void shard_port_close(ShardPort *port)
{
    pthread_mutex_lock(&port->lock);
    port->mailbox = NULL;
    port->shard = NULL;
    pthread_mutex_unlock(&port->lock);
    discard_all(port);
}

void shard_port_send(ShardPort *port, ShardMail *mail)
{
    ShardMail *head = __atomic_load_n(&port->posted, __ATOMIC_RELAXED);
    do
        mail->next = head;
    while (!__atomic_compare_exchange_n(&port->posted, &head, mail, /* weak= */ TRUE, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    if (head == NULL)
        wake(port);
}

ShardMail *shard_port_receive(ShardPort *port)
{
    if (port->batch == NULL && __atomic_load_n(&port->posted, __ATOMIC_RELAXED) != NULL) {
        ShardMail *newest = __atomic_exchange_n(&port->posted, NULL, __ATOMIC_ACQUIRE);
        while (newest != NULL) {
            ShardMail *older = newest->next;
            newest->next = port->batch;
            port->batch = newest;
            newest = older;
        }
    }
    ShardMail *mail = port->batch;
    if (mail != NULL)
        port->batch = mail->next;
    return mail;
}
