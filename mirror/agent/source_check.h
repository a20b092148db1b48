/* SPDX-License-Identifier: MIT
 *
 * What may stand in a source (source.h): one check for each member, and one for all together. The
 * configuration, the command line and the agent's messages pass the same checks.
 *
 * Messages say what is wrong and what to do, without the name of the member, which the caller puts in front.
 * No message repeats a URL, because what is refused may hold a password. Pure functions.
 */
#pragma once

#include "mirror/agent/source.h"

/* How a git URL is reached. */
typedef enum {
    SOURCE_OVER_HTTPS,
    SOURCE_OVER_HTTP,
    SOURCE_OVER_SSH, /* also the scp form: user@host:path */
    SOURCE_OVER_GIT,
    SOURCE_OVER_FILE, /* also an absolute path */
} SourceTransport;

/* MALFORMED or LIMIT, each. */
gboolean source_check_name(const char *name, GError **error);
gboolean source_check_ref(const char *ref, GError **error);
gboolean source_check_user(const char *user, GError **error);
/* "" is the root. */
gboolean source_check_path(const char *path, GError **error);
/* MALFORMED, LIMIT, or UNSUPPORTED for a scheme that is not known. `ret_transport` may be NULL. */
gboolean source_check_git_url(const char *url, SourceTransport *ret_transport, GError **error);
gboolean source_check_peer_url(const char *url, GError **error);
/* TRUE when a host, without brackets and port, is this machine by its very name: "localhost" or a loopback
 * address. */
gboolean source_host_is_local(const char *host);
/* The same of the host of a URL. */
gboolean source_url_is_local(const char *url);

/* Everything about the source, the members' checks included, and that they fit together. *ret_member is then
 * the name of the member that the message is about, as kontor.yaml has it ("git", "ssh_key", …). */
gboolean source_check(const MirrorSource *source, const char **ret_member, GError **error);
