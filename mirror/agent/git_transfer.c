/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_transfer.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/text.h"

/* --- Life cycle --- */

/* "[user@]host:path" */
static gboolean take_scp_host(GitTransfer *transfer, const char *url)
{
    const char *at = strchr(url, '@');
    const char *host = at != NULL ? at + 1 : url;
    const char *colon = *host == '[' ? strstr(host, "]:") : strchr(host, ':');
    if (colon == NULL)
        return FALSE;
    gboolean bracketed = *host == '[';
    g_autofree char *name =
        g_strndup(host + (bracketed ? 1 : 0), (gsize)(colon - host) - (bracketed ? 1 : 0));
    transfer->host = g_ascii_strdown(name, -1);
    return *name != '\0';
}

static gboolean take_uri_host(GitTransfer *transfer, const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    const char *host = uri != NULL ? g_uri_get_host(uri) : NULL;
    if (host == NULL || *host == '\0')
        return FALSE;
    transfer->host = g_ascii_strdown(host, -1);
    transfer->port = g_uri_get_port(uri) > 0 ? (guint)g_uri_get_port(uri) : 0;
    return TRUE;
}

gboolean git_transfer_init(GitTransfer *transfer, const MirrorSource *source, GError **error)
{
    *transfer = (GitTransfer){.source = source};
    if (!source_check_git_url(source->url, &transfer->over, error))
        return FALSE;
    if (transfer->over == SOURCE_OVER_FILE)
        return TRUE;
    gboolean scp = transfer->over == SOURCE_OVER_SSH && strstr(source->url, "://") == NULL;
    if (scp ? take_scp_host(transfer, source->url) : take_uri_host(transfer, source->url))
        return TRUE;
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the URL names no host");
    return FALSE;
}

void git_transfer_clear(GitTransfer *transfer)
{
    g_clear_pointer(&transfer->host, g_free);
    g_clear_error(&transfer->error);
}

/* --- Failures and ceilings --- */

int git_transfer_fail(GitTransfer *transfer, KontorErrorCode code, const char *format, ...)
{
    va_list arguments;
    if (transfer->error == NULL) {
        va_start(arguments, format);
        transfer->error = g_error_new_valist(KONTOR_ERROR, (gint)code, format, arguments);
        va_end(arguments);
    }
    git_error_set_str(GIT_ERROR_NET, transfer->error->message);
    return -1;
}

gboolean git_transfer_in_time(GitTransfer *transfer)
{
    if (g_get_monotonic_time() < transfer->deadline_us)
        return TRUE;
    git_transfer_fail(transfer, KONTOR_ERROR_BUSY,
                      "out of time after %" G_GUINT64_FORMAT " bytes; raise max_time to allow more",
                      transfer->received);
    return FALSE;
}

static gboolean check_received(GitTransfer *transfer)
{
    if (!transfer->downloading && transfer->received > LIMIT_GIT_REFS_BYTES) {
        git_transfer_fail(transfer, KONTOR_ERROR_LIMIT, "more than %d bytes of branches and tags",
                          LIMIT_GIT_REFS_BYTES);
        return FALSE;
    }
    if (transfer->received > transfer->source->bytes_max) {
        git_transfer_fail(transfer, KONTOR_ERROR_LIMIT,
                          "sends more than %" G_GUINT64_FORMAT " bytes; raise max_bytes to allow it",
                          transfer->source->bytes_max);
        return FALSE;
    }
    return TRUE;
}

gboolean git_transfer_count(GitTransfer *transfer, gsize bytes)
{
    transfer->received += bytes;
    if (transfer->progress != NULL)
        transfer->progress(transfer->user);
    return check_received(transfer) && git_transfer_in_time(transfer);
}

/* --- Callbacks of libgit2 --- */

static int choose_transport(git_transport **ret, git_remote *owner, void *payload)
{
    GitTransfer *transfer = payload;
    git_smart_subtransport_definition http = {git_http_subtransport, 1, transfer};
    git_smart_subtransport_definition daemon = {git_daemon_subtransport, 0, transfer};
    git_smart_subtransport_definition ssh = {git_smart_subtransport_ssh, 0, NULL};
    switch (transfer->over) {
    case SOURCE_OVER_HTTP:
    case SOURCE_OVER_HTTPS:
        return git_transport_smart(ret, owner, &http);
    case SOURCE_OVER_GIT:
        return git_transport_smart(ret, owner, &daemon);
    case SOURCE_OVER_SSH:
        return git_transport_smart(ret, owner, &ssh);
    case SOURCE_OVER_FILE:
    default:
        return git_transfer_fail(transfer, KONTOR_ERROR_UNSUPPORTED, "not a remote repository");
    }
}

static int hear_sideband(const char *text, int len, void *payload)
{
    (void)text;
    (void)len;
    return git_transfer_in_time(payload) ? 0 : -1;
}

void git_transfer_callbacks(GitTransfer *transfer, git_remote_callbacks *ret)
{
    git_remote_init_callbacks(ret, GIT_REMOTE_CALLBACKS_VERSION);
    ret->payload = transfer;
    ret->transport = choose_transport;
    ret->credentials = git_ssh_credentials;
    ret->certificate_check = git_ssh_check_host;
    ret->sideband_progress = hear_sideband;
}
