/* SPDX-License-Identifier: MIT
 *
 * The way to a shard from other threads. Mails are pushed without a lock; the first one into an empty port
 * sends a wake-up to the shard's mailbox. The port is apart from that mailbox so that a shard can read its
 * mail in the middle of a look-up without running anybody else's closures.
 *
 * A port belongs to the Relay and outlives its shard: what is sent after the shard is gone waits until the
 * relay is freed. Mails of one sender arrive in the order of sending.
 */
#pragma once

#include "broker/net/mailbox.h"
#include "broker/relay/node_record.h"

typedef enum {
    MAIL_NODE_ADDED,     /* record: new, or in place of the one with the same id */
    MAIL_NODE_REMOVED,   /* record */
    MAIL_REGISTER_DONE,  /* to the registering shard: asker; record, or error */
    MAIL_QUERY,          /* to the target's shard: asker, target, query_id, frame, deadline_us */
    MAIL_QUERY_FAILED,   /* to the asker's shard: asker, target, query_id, error, counter */
    MAIL_QUERY_CANCELED, /* to the target's shard: asker, target, query_id */
    MAIL_ANSWER,         /* to the asker's shard: asker, target, query_id, frame */
} MailKind;

typedef struct ShardMail ShardMail;
struct ShardMail {
    ShardMail *next; /* the port's */
    MailKind kind;
    ConnRef asker; /* for MAIL_REGISTER_DONE: who registered */
    ConnRef target;
    guint64 version;    /* MAIL_NODE_*: of the registry after this change */
    NodeRecord *record; /* a reference of the mail's own, or NULL */
    GBytes *frame;      /* a reference of the mail's own, or NULL */
    const char *error;  /* a literal */
    guint counter;      /* MAIL_QUERY_FAILED: the RelayCounter that the failure counts under */
    gint64 deadline_us;
    guint query_id_len;
    char query_id[]; /* NUL-terminated; "" when there is none */
};

ShardMail *shard_mail_new(MailKind kind, const char *query_id, gsize query_id_len);
void shard_mail_free(ShardMail *mail);

typedef struct ShardPort ShardPort;
/* Called on the shard's thread when mail has arrived. */
typedef void (*ShardPortFunc)(gpointer shard);

ShardPort *shard_port_new(void);
void shard_port_free(ShardPort *port); /* closed, and nobody sends any more */
/* Tells the port whom to wake. Mail sent before is delivered, too. */
void shard_port_open(ShardPort *port, Mailbox *mailbox, ShardPortFunc func, gpointer shard);
/* After this `mailbox` and `shard` are not touched any more; waiting mail is freed. */
void shard_port_close(ShardPort *port);

/* Takes over the mail. Any thread. */
void shard_port_send(ShardPort *port, ShardMail *mail);
/* The next mail, oldest first, or NULL; the caller frees it. Shard's thread. */
ShardMail *shard_port_receive(ShardPort *port);
