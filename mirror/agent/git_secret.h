/* SPDX-License-Identifier: MIT
 *
 * Credentials of git sources, read from the files that the configuration names, and what those files look
 * like: a token is the first line of its file; netrc and known_hosts have the forms of their well-known
 * programs. What is read is wiped when it is no longer needed and stands in no message.
 *
 * The parsers are pure functions of bytes; the readers block.
 */
#pragma once

#include "mirror/agent/source.h"

/* A user name and a password for one host. */
typedef struct {
    char *user, *password; /* both NULL: there are none */
} GitLogin;

/* Wipes them. */
void git_login_clear(GitLogin *login);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GitLogin, git_login_clear)

/* --- Files --- */

/* What the source's token_file or else its netrc_file has for `host` (without port, in lower case). Success
 * with NULLs when neither is named, or netrc has nothing for the host. DENIED when a file cannot be read or
 * is not usable; the message names the file and never what is in it. */
gboolean git_secret_login(const MirrorSource *source, const char *host, GitLogin *ret, GError **error);

typedef enum {
    HOST_KEY_KNOWN,
    HOST_KEY_UNKNOWN, /* no line for this host */
    HOST_KEY_OTHER,   /* there are lines for this host, but with other keys */
    HOST_KEY_REVOKED,
} HostKeyVerdict;

/* What the source's known_hosts_file says about a key. FALSE with DENIED when it cannot be read. */
gboolean git_secret_host_key(const MirrorSource *source, const char *host, guint port, const void *key,
                             gsize key_len, HostKeyVerdict *ret, GError **error);

/* The lines of the known_hosts_file that are about the host, as git_known_hosts_of writes them. NULL with
 * DENIED when it cannot be read. */
char *git_secret_host_lines(const MirrorSource *source, const char *host, guint port, GError **error);

/* --- Formats --- */

/* The first line without blanks around it. DENIED when it is empty, longer than LIMIT_SECRET_BYTES, or has
 * control characters in it. A new string. */
char *git_token_parse(const char *text, gsize len, GError **error);

/* netrc as of the inetutils and curl: words "machine NAME", "default", "login NAME", "password TEXT",
 * "account TEXT", "macdef NAME" up to an empty line; words may stand in double quotes with backslash. The
 * first entry of the host counts, else the first "default". TRUE when there is one with a password. */
gboolean git_netrc_find(const char *text, gsize len, const char *host, GitLogin *ret);

/* known_hosts as of sshd(8): patterns with * ? !, hashed names, [host]:port, @revoked; lines of certificate
 * authorities and lines that make no sense are passed over. `key` is the raw public key. */
HostKeyVerdict git_known_hosts_find(const char *text, gsize len, const char *host, guint port,
                                    const void *key, gsize key_len);
/* The plain lines about a host ("name kind key"), with the host's own name in place of patterns and hashes:
 * what less clever readers understand. A new string. */
char *git_known_hosts_of(const char *text, gsize len, const char *host, guint port);
