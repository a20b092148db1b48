/* SPDX-License-Identifier: MIT */
#include "mirror/agent/fetch_transfer.h"

#include <string.h>

#include "schema/limits.h"

void fetch_transfer_start_library(void)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        gboolean ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;

        g_assert(ready);
        g_once_init_leave(&once, 1);
    }
}

/* --- Callbacks of libcurl --- */

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    FetchTransfer *transfer = user;
    gsize len = size * count; /* size is always 1 */
    gsize admitted = transfer->admit != NULL ? transfer->admit(transfer, len) : len;

    if (admitted != len) {
        return admitted;
    }
    if (len > transfer->body_bytes_max - transfer->body->len) {
        transfer->body_too_large = TRUE;
        return 0;
    }
    g_byte_array_append(transfer->body, (const guint8 *)data, (guint)len);
    return len;
}

/* Stores "Name: value" under its lower-case name. A status line begins the head of a further answer (after
 * "100 Continue" or a redirect), so what was kept until then is forgotten. */
static void keep_header(GHashTable *headers, const char *line, gsize len)
{
    const char *colon = memchr(line, ':', len);

    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        g_hash_table_remove_all(headers);
    } else if (colon != NULL) {
        g_autofree char *name = g_ascii_strdown(line, colon - line);
        char *value = g_strndup(colon + 1, (gsize)(line + len - colon - 1));

        g_hash_table_replace(headers, g_steal_pointer(&name), g_strstrip(value));
    }
}

static size_t take_header(char *line, size_t size, size_t count, void *user)
{
    FetchTransfer *transfer = user;
    gsize len = size * count;

    transfer->head_bytes += len;
    if (transfer->head_bytes > LIMIT_FETCH_HEAD_BYTES) {
        transfer->head_too_large = TRUE;
        return 0;
    }
    if (transfer->headers != NULL) {
        keep_header(transfer->headers, line, len);
    }
    return len;
}

/* --- Before the request --- */

/* Checks the URL and gives the part of it that messages may show: scheme, host and port. */
static char *url_origin(const char *url, GError **error)
{
    g_autofree char *origin = NULL;
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;

    g_assert(parsed != NULL);
    if (strlen(url) > LIMIT_FETCH_URL_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "URL is longer than %d bytes",
                    LIMIT_FETCH_URL_BYTES);
    } else if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
               curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
               curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
               (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "'%s' is not a URL of the form http://host[:port]/… or https://host[:port]/…", url);
    } else if (curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK ||
               curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "%s://%s: user names and passwords do not belong in URLs", scheme, host);
    } else if (curl_url_get(parsed, CURLUPART_PORT, &port, 0) == CURLUE_OK) {
        origin = g_strdup_printf("%s://%s:%s", scheme, host, port);
    } else {
        origin = g_strdup_printf("%s://%s", scheme, host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    curl_url_cleanup(parsed);
    return g_steal_pointer(&origin);
}

static gboolean is_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

/* Appends the caller's lines; FALSE when one of them would smuggle in another. */
static gboolean append_headers(struct curl_slist **list, const FetchOptions *options, GError **error)
{
    if (options->bearer != NULL && !is_one_line(options->bearer)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "token contains a line break");
        return FALSE;
    }
    for (gsize i = 0; options->headers != NULL && options->headers[i] != NULL; i++) {
        if (!is_one_line(options->headers[i])) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "header contains a line break");
            return FALSE;
        }
        *list = curl_slist_append(*list, options->headers[i]);
    }
    return TRUE;
}

static void set_transfer(CURL *easy, const char *url, FetchTransfer *transfer, const FetchOptions *options)
{
    guint connect_ms = options->connect_timeout_ms;
    guint total_ms = options->total_timeout_ms;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* what "..", asked for, means is the server's to say */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kontor/" KONTOR_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(connect_ms ? connect_ms : LIMIT_FETCH_CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(total_ms ? total_ms : LIMIT_FETCH_TOTAL_MS));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)MAX(options->bytes_per_second_min, 1));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)LIMIT_FETCH_STALL_SECONDS);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)transfer->body_bytes_max);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    if (options->compressed) {
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    }
    if (options->direct) {
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
    if (options->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    }
    if (options->bearer != NULL) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, options->bearer);
    }
}

static void set_redirects(CURL *easy, const char *origin, guint redirects_max)
{
    if (redirects_max == 0) {
        return;
    }
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)redirects_max);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                     g_str_has_prefix(origin, "https:") ? "https" : "http,https");
}

/* --- After the request --- */

static KontorErrorCode error_code(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return KONTOR_ERROR_BUSY;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return KONTOR_ERROR_UNTRUSTED;
    }
    if (code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_FILESIZE_EXCEEDED) {
        return KONTOR_ERROR_LIMIT;
    }
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
        code == CURLE_BAD_CONTENT_ENCODING || code == CURLE_HTTP2) {
        return KONTOR_ERROR_MALFORMED;
    }
    return KONTOR_ERROR_IO;
}

static void set_error(GError **error, const char *origin, CURLcode code, const char *detail,
                      const FetchTransfer *transfer)
{
    if (transfer->head_too_large) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: answer's head is larger than %d bytes",
                    origin, LIMIT_FETCH_HEAD_BYTES);
    } else if (transfer->body_too_large || code == CURLE_FILESIZE_EXCEEDED) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "%s: answer is larger than %" G_GSIZE_FORMAT " bytes", origin, transfer->body_bytes_max);
    } else {
        g_set_error(error, KONTOR_ERROR, error_code(code), "%s: %s", origin,
                    *detail != '\0' ? detail : curl_easy_strerror(code));
    }
}

static FetchAnswer *answer_new(CURL *easy, FetchTransfer *transfer)
{
    FetchAnswer *answer = g_new0(FetchAnswer, 1);
    const char *content_type = NULL;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &content_type);
    answer->status = (guint)status;
    answer->content_type = g_strdup(content_type);
    answer->body = g_byte_array_free_to_bytes(g_steal_pointer(&transfer->body));
    answer->headers = g_steal_pointer(&transfer->headers);
    return answer;
}

/* --- Operations --- */

gboolean fetch_transfer_begin(FetchTransfer *transfer, CURL *easy, const char *url,
                              const FetchOptions *options, GError **error)
{
    transfer->origin = url_origin(url, error);
    if (transfer->origin == NULL || !append_headers(&transfer->lines, options, error)) {
        return FALSE;
    }
    transfer->body_bytes_max = options->body_bytes_max != 0 ? options->body_bytes_max : LIMIT_HTTP_BODY_BYTES;
    transfer->body = g_byte_array_new();
    if (options->keep_headers) {
        transfer->headers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    }
    set_transfer(easy, url, transfer, options);
    set_redirects(easy, transfer->origin, options->redirects_max);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->lines);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    return TRUE;
}

void fetch_transfer_set_post(FetchTransfer *transfer, CURL *easy, const char *content_type, GBytes *data)
{
    g_autofree char *line = g_strdup_printf("Content-Type: %s", content_type);

    transfer->lines = curl_slist_append(transfer->lines, line);
    transfer->lines = curl_slist_append(transfer->lines, "Expect:"); /* no round trip before the body */
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->lines);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)g_bytes_get_size(data));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, g_bytes_get_data(data, NULL));
}

FetchAnswer *fetch_transfer_end(FetchTransfer *transfer, CURL *easy, CURLcode code, GError **error)
{
    if (code == CURLE_OK) {
        return answer_new(easy, transfer);
    }
    set_error(error, transfer->origin, code, transfer->detail, transfer);
    return NULL;
}

void fetch_transfer_clear(FetchTransfer *transfer)
{
    g_clear_pointer(&transfer->origin, g_free);
    g_clear_pointer(&transfer->body, g_byte_array_unref);
    g_clear_pointer(&transfer->headers, g_hash_table_unref);
    g_clear_pointer(&transfer->lines, curl_slist_free_all);
}
