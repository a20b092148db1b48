/* SPDX-License-Identifier: MIT
 *
 * git over ssh: what libgit2's own transport asks for. Which kind of host key it wants from a server it takes
 * from ~/.ssh/known_hosts, and without a home it does not even begin. So for the time of a fetch home is a
 * directory of ours which holds the lines about this one host and nothing else. Without those lines a server
 * with several keys might show one that we do not know, although we know another.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "mirror/agent/git_transfer.h"
#include "mirror/store/dir_tree.h"

enum { SSH_PORT = 22 };

static guint port_of(const GitTransfer *transfer)
{
    return transfer->port > 0 ? transfer->port : SSH_PORT;
}

static const char *ssh_user(const GitTransfer *transfer, const char *from_url)
{
    if (from_url != NULL && *from_url != '\0')
        return from_url;
    return transfer->source->user != NULL ? transfer->source->user : "git";
}

int git_ssh_credentials(git_credential **ret, const char *url, const char *user_from_url,
                        unsigned int allowed, void *payload)
{
    (void)url;
    GitTransfer *transfer = payload;
    const char *user = ssh_user(transfer, user_from_url);
    if ((allowed & GIT_CREDENTIAL_USERNAME) != 0)
        return git_credential_username_new(ret, user);
    if ((allowed & GIT_CREDENTIAL_SSH_KEY) == 0)
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED, "the server takes no ssh key");
    if (transfer->source->ssh_key_file == NULL)
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED,
                                 "the server wants an ssh key; name its file by ssh_key");
    if (transfer->offered)
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED,
                                 "the server refused the key in %s for the user '%s', or the key has a "
                                 "passphrase",
                                 transfer->source->ssh_key_file, user);
    transfer->offered = TRUE;
    return git_credential_ssh_key_new(ret, user, NULL, transfer->source->ssh_key_file, NULL);
}

static int judge_host_key(GitTransfer *transfer, const git_cert_hostkey *key)
{
    HostKeyVerdict verdict = HOST_KEY_UNKNOWN;
    g_autoptr(GError) cause = NULL;
    if ((key->type & GIT_CERT_SSH_RAW) == 0 || (key->type & GIT_CERT_SSH_SHA256) == 0)
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED, "the server shows no host key");
    if (!git_secret_host_key(transfer->source, transfer->host, port_of(transfer), key->hostkey,
                             key->hostkey_len, &verdict, &cause))
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED, "%s", cause->message);
    if (verdict == HOST_KEY_KNOWN)
        return 0;
    g_autofree char *base64 = g_base64_encode(key->hash_sha256, sizeof key->hash_sha256);
    base64[strcspn(base64, "=")] = '\0'; /* as ssh-keygen shows it */
    return git_transfer_fail(transfer, KONTOR_ERROR_DENIED, "host key SHA256:%s %s %s", base64,
                             verdict == HOST_KEY_UNKNOWN ? "is of a host that is not in"
                             : verdict == HOST_KEY_OTHER ? "is not the one, or not of the kind, in"
                                                         : "is revoked in",
                             transfer->source->known_hosts_file);
}

int git_ssh_check_host(git_cert *cert, int valid, const char *host, void *payload)
{
    (void)valid;
    (void)host;
    GitTransfer *transfer = payload;
    if (cert->cert_type != GIT_CERT_HOSTKEY_LIBSSH2)
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED, "the server shows no host key");
    return judge_host_key(transfer, (const git_cert_hostkey *)cert);
}

/* --- Home --- */

static gboolean fill_home(const char *home, const char *lines, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *directory = g_build_filename(home, ".ssh", NULL);
    g_autofree char *file = g_build_filename(directory, "known_hosts", NULL);
    if (g_mkdir(directory, 0700) != 0)
        return kontor_error_set_errno(error, errno, "%s", directory);
    if (g_file_set_contents(file, lines, -1, &cause))
        return TRUE;
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_IO, cause->message);
    return FALSE;
}

gboolean git_ssh_begin(GitTransfer *transfer, const char *tmp_dir, GError **error)
{
    g_autofree char *lines =
        git_secret_host_lines(transfer->source, transfer->host, port_of(transfer), error);
    if (lines == NULL)
        return FALSE;
    g_autofree char *home = g_build_filename(tmp_dir, "ssh.XXXXXX", NULL);
    if (g_mkdir_with_parents(tmp_dir, 0700) != 0 || g_mkdtemp(home) == NULL)
        return kontor_error_set_errno(error, errno, "%s", home);
    transfer->home_before = g_strdup(g_getenv("HOME"));
    transfer->ssh_home = g_steal_pointer(&home);
    g_setenv("HOME", transfer->ssh_home, TRUE);
    return fill_home(transfer->ssh_home, lines, error);
}

void git_ssh_end(GitTransfer *transfer)
{
    if (transfer->ssh_home == NULL)
        return;
    if (transfer->home_before != NULL)
        g_setenv("HOME", transfer->home_before, TRUE);
    else
        g_unsetenv("HOME");
    dir_tree_remove(AT_FDCWD, transfer->ssh_home, NULL); /* tmp/ is emptied at the next start, too */
    g_clear_pointer(&transfer->ssh_home, g_free);
    g_clear_pointer(&transfer->home_before, g_free);
}
