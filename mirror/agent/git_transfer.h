/* SPDX-License-Identifier: MIT
 *
 * The wire of one fetch. http, https and git are spoken here (git_http.c, git_daemon.c), so that every byte
 * is counted and every wait has an end; ssh is libgit2's. All of them obey the same transfer: the first
 * failure is kept with its reason, because libgit2 can only say that something failed.
 *
 *   what                         http, https             git                     ssh
 *   ---------------------------  ----------------------  ----------------------  ----------------------
 *   ceiling of bytes             all bytes               all bytes               bytes of the pack
 *   deadline, silent server      yes, yes                yes, yes                while bytes come, no
 *   who the server is            TLS certificate         nobody knows            known_hosts_file
 *   who we are                   basic authentication    nobody                  ssh_key_file
 *   redirects                    refused, said where to  –                       –
 *
 * A login goes to the host of the source's URL alone, over TLS or to this machine.
 *
 * Owned by the fetch; one thread.
 */
#pragma once

#include <git2.h>
#include <git2/sys/transport.h>

#include "mirror/agent/git_secret.h"
#include "mirror/agent/source_check.h"

typedef struct {
    const MirrorSource *source; /* borrowed */
    SourceTransport over;
    char *host;                      /* without brackets and port, in lower case; NULL for files */
    guint port;                      /* 0: the usual one */
    gint64 deadline_us;              /* monotonic */
    gboolean downloading;            /* the pack is being received; before that, only references are */
    gboolean offered;                /* our ssh key was offered already */
    char *ssh_home, *home_before;    /* of git_ssh.c */
    guint64 received;                /* bytes */
    GError *error;                   /* the first failure */
    void (*progress)(gpointer user); /* called when bytes came; may be NULL */
    gpointer user;
} GitTransfer;

/* Takes the source's URL apart. MALFORMED or UNSUPPORTED. */
gboolean git_transfer_init(GitTransfer *transfer, const MirrorSource *source, GError **error);
void git_transfer_clear(GitTransfer *transfer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GitTransfer, git_transfer_clear)

/* --- For the transports --- */

/* Keeps the first failure and tells libgit2 that there is one. Returns -1, so that callbacks can return it.
 */
int git_transfer_fail(GitTransfer *transfer, KontorErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* Counts bytes that came in. FALSE, with the failure kept, beyond a ceiling. */
gboolean git_transfer_count(GitTransfer *transfer, gsize bytes);
/* FALSE, with the failure kept, when the deadline has passed. */
gboolean git_transfer_in_time(GitTransfer *transfer);

/* The callbacks and limits of the transfer, for libgit2; `transfer` must outlive what uses them. */
void git_transfer_callbacks(GitTransfer *transfer, git_remote_callbacks *ret);

/* Around everything that is done over ssh, while no other thread runs (HOME is changed): `tmp_dir` gets a
 * directory for that time. */
gboolean git_ssh_begin(GitTransfer *transfer, const char *tmp_dir, GError **error);
void git_ssh_end(GitTransfer *transfer);

/* --- Its parts --- */

/* Callbacks that only ssh calls; `payload` is the GitTransfer. */
int git_ssh_credentials(git_credential **ret, const char *url, const char *user_from_url,
                        unsigned int allowed, void *payload);
int git_ssh_check_host(git_cert *cert, int valid, const char *host, void *payload);

/* Makers of subtransports; `param` is the GitTransfer. */
int git_http_subtransport(git_smart_subtransport **ret, git_transport *owner, void *param);
int git_daemon_subtransport(git_smart_subtransport **ret, git_transport *owner, void *param);
