/* SPDX-License-Identifier: MIT
 *
 * git over http and https ("smart HTTP", gitprotocol-http(5)) on libcurl: a GET for the references, then a
 * POST for every step of the negotiation, the last of which is answered with the pack. libgit2 pulls: each
 * read runs libcurl until there is something to hand over. Nothing is followed, nothing is retried, and the
 * login, which goes to the URL's own host only, is the only kind of authentication.
 */
#include <curl/curl.h>
#include <string.h>

#include "mirror/agent/git_transfer.h"
#include "schema/limits.h"
#include "schema/text.h"

enum { POLL_MS = 250 };

typedef struct {
    git_smart_subtransport base;
    GitTransfer *transfer;
    CURLM *multi; /* keeps the connection between requests */
    GitLogin login;
} HttpSubtransport;

typedef struct {
    git_smart_subtransport_stream base;
    HttpSubtransport *owner;
    gboolean is_post;
    char *url;
    GByteArray *request, *answer;
    gsize answer_taken;
    CURL *easy; /* NULL before the request is sent */
    struct curl_slist *headers;
    gboolean head_checked, finished;
    gint64 latest_us; /* when something came last */
} HttpStream;

/* --- Errors --- */

static int fail_curl(HttpStream *stream, CURLcode code)
{
    GitTransfer *transfer = stream->owner->transfer;
    KontorErrorCode kind = KONTOR_ERROR_IO;
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return git_transfer_fail(
            transfer, KONTOR_ERROR_UNTRUSTED,
            "the server's certificate is not trusted; name a file with who issued it by ca");
    if (code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CONNECT_ERROR)
        kind = KONTOR_ERROR_UNTRUSTED;
    else if (code == CURLE_OPERATION_TIMEDOUT)
        kind = KONTOR_ERROR_BUSY;
    gboolean no_http = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY;
    return git_transfer_fail(transfer, kind, "%s",
                             no_http ? "the answer is not HTTP" : curl_easy_strerror(code));
}

/* Where a redirect leads, without what may be secret in it. */
static char *shown_location(CURL *easy)
{
    const char *location = NULL;
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
    g_autoptr(GUri) uri =
        location != NULL ? g_uri_parse(location, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL) : NULL;
    if (uri == NULL || !g_str_has_prefix(g_uri_get_scheme(uri), "http"))
        return g_strdup("something that is not on the web");
    g_autofree char *plain =
        g_uri_to_string_partial(uri, G_URI_HIDE_USERINFO | G_URI_HIDE_QUERY | G_URI_HIDE_FRAGMENT);
    g_autofree char *shown = g_str_has_suffix(plain, "/info/refs")
                                 ? g_strndup(plain, strlen(plain) - strlen("/info/refs"))
                                 : g_strdup(plain);
    return text_for_message(shown, strlen(shown));
}

static int fail_status(HttpStream *stream, long status)
{
    GitTransfer *transfer = stream->owner->transfer;
    if (status >= 300 && status < 400) {
        g_autofree char *location = shown_location(stream->easy);
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED,
                                 "redirects to %s, which is not followed; name that URL if it is trusted",
                                 location);
    }
    if (status == 401 || status == 403)
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED,
                                 stream->owner->login.password != NULL
                                     ? "the server refuses the credentials (HTTP status %ld)"
                                     : "the server wants credentials (HTTP status %ld); name a file with "
                                       "them by token_file or netrc",
                                 status);
    if (status == 404 || status == 410)
        return git_transfer_fail(transfer, KONTOR_ERROR_NOT_FOUND, "no such repository (HTTP status %ld)",
                                 status);
    return git_transfer_fail(transfer, status == 429 || status == 503 ? KONTOR_ERROR_BUSY : KONTOR_ERROR_IO,
                             "the server answers with HTTP status %ld", status);
}

/* --- Requests --- */

static int check_head(HttpStream *stream)
{
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return fail_status(stream, status);
    curl_easy_getinfo(stream->easy, CURLINFO_CONTENT_TYPE, &type);
    const char *expected = stream->is_post ? "application/x-git-upload-pack-result"
                                           : "application/x-git-upload-pack-advertisement";
    if (g_strcmp0(type, expected) == 0)
        return 0;
    g_autofree char *shown = text_for_message(type != NULL ? type : "", type != NULL ? strlen(type) : 0);
    return git_transfer_fail(stream->owner->transfer, KONTOR_ERROR_NOT_FOUND,
                             "answers, but not as a git server does (content type '%s')", shown);
}

/* Before the first byte of a body the head is judged, so that nobody parses an error page. */
static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    HttpStream *stream = user;
    size_t len = size * count;
    if (!stream->head_checked && check_head(stream) != 0)
        return 0;
    stream->head_checked = TRUE;
    stream->latest_us = g_get_monotonic_time();
    if (!git_transfer_count(stream->owner->transfer, len))
        return 0;
    g_byte_array_append(stream->answer, (const guint8 *)data, (guint)len);
    return len;
}

static void set_common_options(HttpStream *stream)
{
    const MirrorSource *source = stream->owner->transfer->source;
    CURL *easy = stream->easy;
    curl_easy_setopt(easy, CURLOPT_URL, stream->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)LIMIT_GIT_CONNECT_SECONDS);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    /* Some servers answer only to what calls itself git. */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "git/2.0 (kontor " KONTOR_VERSION ")");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, stream);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, stream->headers);
    /* What is for this machine, a login perhaps, passes no proxy. */
    if (source_host_is_local(stream->owner->transfer->host))
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    if (source->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, source->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (stream->owner->login.password != NULL) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, stream->owner->login.user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, stream->owner->login.password);
    }
}

static void add_header(HttpStream *stream, const char *line)
{
    stream->headers = curl_slist_append(stream->headers, line);
    g_assert(stream->headers != NULL);
}

static int send_request(HttpStream *stream)
{
    stream->easy = curl_easy_init();
    g_assert(stream->easy != NULL);
    if (stream->is_post) {
        add_header(stream, "Content-Type: application/x-git-upload-pack-request");
        add_header(stream, "Accept: application/x-git-upload-pack-result");
        add_header(stream, "Expect:");
        curl_easy_setopt(stream->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(stream->easy, CURLOPT_POSTFIELDS, stream->request->data);
        curl_easy_setopt(stream->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)stream->request->len);
    }
    set_common_options(stream);
    stream->latest_us = g_get_monotonic_time();
    if (curl_multi_add_handle(stream->owner->multi, stream->easy) == CURLM_OK)
        return 0;
    return git_transfer_fail(stream->owner->transfer, KONTOR_ERROR_IO, "libcurl cannot begin a request");
}

/* Looks whether the request is over. */
static int hear_end(HttpStream *stream)
{
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(stream->owner->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE || message->easy_handle != stream->easy)
            continue;
        stream->finished = TRUE;
        if (stream->owner->transfer->error != NULL)
            return -1;
        if (message->data.result != CURLE_OK)
            return fail_curl(stream, message->data.result);
        if (!stream->head_checked)
            return check_head(stream); /* an answer without a body */
    }
    return 0;
}

static int check_patience(HttpStream *stream)
{
    GitTransfer *transfer = stream->owner->transfer;
    if (!git_transfer_in_time(transfer))
        return -1;
    if (g_get_monotonic_time() - stream->latest_us < LIMIT_GIT_STALL_SECONDS * G_USEC_PER_SEC)
        return 0;
    return git_transfer_fail(transfer, KONTOR_ERROR_BUSY, "the server says nothing for %d seconds",
                             LIMIT_GIT_STALL_SECONDS);
}

/* Runs until something is in the answer or the request is over. */
static int wait_for_answer(HttpStream *stream)
{
    CURLM *multi = stream->owner->multi;
    while (stream->answer->len == stream->answer_taken && !stream->finished) {
        int running = 0;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return git_transfer_fail(stream->owner->transfer, KONTOR_ERROR_IO, "libcurl failed");
        if (hear_end(stream) != 0 || check_patience(stream) != 0)
            return -1;
        if (stream->answer->len == stream->answer_taken && !stream->finished)
            curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
    }
    return 0;
}

/* --- Streams --- */

static int stream_read(git_smart_subtransport_stream *base, char *buffer, size_t size, size_t *ret_len)
{
    HttpStream *stream = (HttpStream *)base;
    *ret_len = 0;
    if (stream->easy == NULL && send_request(stream) != 0)
        return -1;
    if (wait_for_answer(stream) != 0)
        return -1;
    gsize len = MIN(size, stream->answer->len - stream->answer_taken);
    if (len > 0)
        memcpy(buffer, stream->answer->data + stream->answer_taken, len);
    stream->answer_taken += len;
    if (stream->answer_taken == stream->answer->len) {
        g_byte_array_set_size(stream->answer, 0);
        stream->answer_taken = 0;
    }
    *ret_len = len;
    return 0;
}

static int stream_write(git_smart_subtransport_stream *base, const char *buffer, size_t len)
{
    HttpStream *stream = (HttpStream *)base;
    if (stream->easy != NULL || len > G_MAXINT32 - stream->request->len)
        return git_transfer_fail(stream->owner->transfer, KONTOR_ERROR_UNSUPPORTED,
                                 "a request that goes on after its answer");
    g_byte_array_append(stream->request, (const guint8 *)buffer, (guint)len);
    return 0;
}

static void stream_free(git_smart_subtransport_stream *base)
{
    HttpStream *stream = (HttpStream *)base;
    if (stream->easy != NULL) {
        curl_multi_remove_handle(stream->owner->multi, stream->easy);
        curl_easy_cleanup(stream->easy);
    }
    curl_slist_free_all(stream->headers);
    g_byte_array_unref(stream->request);
    g_byte_array_unref(stream->answer);
    g_free(stream->url);
    g_free(stream);
}

/* "<url><end>", with a query of the URL kept behind it. */
static char *request_url(const char *url, const char *end)
{
    const char *query = strchr(url, '?');
    gsize path_len = query != NULL ? (gsize)(query - url) : strlen(url);
    while (path_len > 0 && url[path_len - 1] == '/')
        path_len--;
    const char *joint = query == NULL ? "" : strchr(end, '?') != NULL ? "&" : "?";
    return g_strdup_printf("%.*s%s%s%s", (int)path_len, url, end, joint, query != NULL ? query + 1 : "");
}

/* Here and not when the subtransport is made: libgit2 1.5 leaks when that fails. */
static int take_login(HttpSubtransport *owner)
{
    GitTransfer *transfer = owner->transfer;
    g_autoptr(GError) cause = NULL;
    if (owner->login.password != NULL)
        return 0;
    if (!git_secret_login(transfer->source, transfer->host, &owner->login, &cause))
        return git_transfer_fail(transfer, KONTOR_ERROR_DENIED, "%s", cause->message);
    if (owner->login.password == NULL || transfer->over == SOURCE_OVER_HTTPS ||
        source_host_is_local(transfer->host))
        return 0;
    return git_transfer_fail(transfer, KONTOR_ERROR_DENIED,
                             "credentials are not sent over http, where everybody can read them; use https");
}

static int open_stream(git_smart_subtransport_stream **ret, git_smart_subtransport *base, const char *url,
                       git_smart_service_t action)
{
    (void)url; /* libgit2's; the source's is the one that was checked */
    HttpSubtransport *owner = (HttpSubtransport *)base;
    if (action != GIT_SERVICE_UPLOADPACK_LS && action != GIT_SERVICE_UPLOADPACK)
        return git_transfer_fail(owner->transfer, KONTOR_ERROR_UNSUPPORTED, "only fetching is supported");
    if (take_login(owner) != 0)
        return -1;
    HttpStream *stream = g_new0(HttpStream, 1);
    stream->base = (git_smart_subtransport_stream){base, stream_read, stream_write, stream_free};
    stream->owner = owner;
    stream->is_post = action == GIT_SERVICE_UPLOADPACK;
    stream->url = request_url(owner->transfer->source->url,
                              stream->is_post ? "/git-upload-pack" : "/info/refs?service=git-upload-pack");
    stream->request = g_byte_array_new();
    stream->answer = g_byte_array_new();
    *ret = &stream->base;
    return 0;
}

/* --- Subtransport --- */

static int subtransport_close(git_smart_subtransport *base)
{
    (void)base;
    return 0;
}

static void subtransport_free(git_smart_subtransport *base)
{
    HttpSubtransport *subtransport = (HttpSubtransport *)base;
    curl_multi_cleanup(subtransport->multi);
    git_login_clear(&subtransport->login);
    g_free(subtransport);
}

int git_http_subtransport(git_smart_subtransport **ret, git_transport *owner, void *param)
{
    (void)owner;
    HttpSubtransport *subtransport = g_new0(HttpSubtransport, 1);
    subtransport->base = (git_smart_subtransport){open_stream, subtransport_close, subtransport_free};
    subtransport->transfer = param;
    subtransport->multi = curl_multi_init();
    g_assert(subtransport->multi != NULL);
    *ret = &subtransport->base;
    return 0;
}
