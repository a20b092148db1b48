/* SPDX-License-Identifier: MIT
 *
 * identity.db: which key may use a node id. The first key that registers an id owns it; nobody else can
 * register that id again. The one exception keeps strangers from filling the table for ever: when it is full,
 * the id that was not seen for the longest time, and at least LIMIT_IDENTITY_RECYCLE_SECONDS, is forgotten,
 * provided that it never came back later than LIMIT_IDENTITY_FLEETING_SECONDS after its first registration,
 * and not before LIMIT_IDENTITY_GRACE_SECONDS after the first claim since the file was opened.
 *
 * Claims run inside a transaction that the caller begins and commits; what is committed survives a power cut.
 * One thread at a time.
 */
#pragma once

#include "signing/hash.h"

typedef struct Identity Identity;

typedef enum {
    IDENTITY_OWNED,     /* the key owns the id, since now or before */
    IDENTITY_OTHER_KEY, /* another key does */
    IDENTITY_FULL,
} IdentityClaim;

/* Whether a Node of this id is connected: such an id is never forgotten. */
typedef gboolean (*IdentityLiveFunc)(gpointer user, const char *node_id);

/* Creates the file when it is missing. CORRUPT with the way out in the message when it is damaged. */
Identity *identity_open(const char *path, guint identities_max, GError **error);
void identity_close(Identity *identity);

gboolean identity_begin(Identity *identity, GError **error);
gboolean identity_commit(Identity *identity, GError **error);
void identity_rollback(Identity *identity);

/* Times are seconds of real time. FALSE when the file could not be read or written. */
gboolean identity_claim(Identity *identity, const char *node_id, const guint8 key[ED25519_PUBLIC_BYTES],
                        gint64 now_s, IdentityLiveFunc live, gpointer user, IdentityClaim *ret,
                        GError **error);
/* Whose id it is, without writing: *ret_found FALSE when it is nobody's; else *ret_same tells whether it is
 * the key's. Outside a transaction, what is on disk. */
gboolean identity_look_up(Identity *identity, const char *node_id, const guint8 key[ED25519_PUBLIC_BYTES],
                          gboolean *ret_found, gboolean *ret_same, GError **error);
/* Notes that the id was seen; written only once an hour. */
gboolean identity_touch(Identity *identity, const char *node_id, gint64 now_s, GError **error);
