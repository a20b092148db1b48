/* SPDX-License-Identifier: MIT
 *
 * One libcurl easy handle per Fetch: reset before each request, so that nothing of one request reaches the
 * next but the pool of open connections. The write and header callbacks refuse bytes beyond their ceilings
 * and leave the reason in the Transfer, because libcurl itself can only say that writing failed.
 */
#include "mirror/agent/fetch.h"

#include <curl/curl.h>
#include <string.h>

#include "schema/limits.h"

struct Fetch {
    CURL *easy;
};

/* What the callbacks of one request share. */
typedef struct {
    GByteArray *body;
    gsize body_bytes_max;
    gsize head_bytes;
    GHashTable *headers; /* NULL unless asked for */
    gboolean body_too_large, head_too_large;
} Transfer;

/* --- Life cycle --- */

Fetch *fetch_new(void)
{
    static gsize once;
    Fetch *fetch = g_new0(Fetch, 1);

    if (g_once_init_enter(&once)) {
        gboolean ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;

        g_assert(ready);
        g_once_init_leave(&once, 1);
    }
    fetch->easy = curl_easy_init();
    g_assert(fetch->easy != NULL);
    return fetch;
}

void fetch_free(Fetch *fetch)
{
    if (fetch == NULL) {
        return;
    }
    curl_easy_cleanup(fetch->easy);
    g_free(fetch);
}

void fetch_answer_free(FetchAnswer *answer)
{
    if (answer == NULL) {
        return;
    }
    g_free(answer->content_type);
    g_bytes_unref(answer->body);
    g_clear_pointer(&answer->headers, g_hash_table_unref);
    g_free(answer);
}

const char *fetch_answer_header(const FetchAnswer *answer, const char *name)
{
    return answer->headers != NULL ? g_hash_table_lookup(answer->headers, name) : NULL;
}

/* --- Callbacks of libcurl --- */

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    Transfer *transfer = user;
    gsize len = size * count; /* size is always 1 */

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
    Transfer *transfer = user;
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

static void set_transfer(CURL *easy, const char *url, Transfer *transfer, const FetchOptions *options)
{
    guint connect_ms = options->connect_timeout_ms;
    guint total_ms = options->total_timeout_ms;

    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* what "..", asked for, means is the server's to say */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kontor/" KONTOR_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(connect_ms ? connect_ms : LIMIT_FETCH_CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(total_ms ? total_ms : LIMIT_FETCH_TOTAL_MS));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
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
                      const Transfer *transfer)
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

static FetchAnswer *answer_new(CURL *easy, Transfer *transfer)
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

/* Runs what was set up and forgets every pointer into this call's memory afterwards. */
static FetchAnswer *perform(Fetch *fetch, const char *origin, Transfer *transfer, struct curl_slist *headers,
                            GError **error)
{
    char detail[CURL_ERROR_SIZE] = "";
    FetchAnswer *answer = NULL;
    CURLcode code;

    curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(fetch->easy, CURLOPT_ERRORBUFFER, detail);
    code = curl_easy_perform(fetch->easy);
    if (code == CURLE_OK) {
        answer = answer_new(fetch->easy, transfer);
    } else {
        set_error(error, origin, code, detail, transfer);
    }
    curl_easy_reset(fetch->easy);
    return answer;
}

/* Adds a POST's body and its headers; libcurl keeps pointing at the bytes of `data` until the reset. */
static void set_post(CURL *easy, struct curl_slist **headers, const char *content_type, GBytes *data)
{
    g_autofree char *line = g_strdup_printf("Content-Type: %s", content_type);

    *headers = curl_slist_append(*headers, line);
    *headers = curl_slist_append(*headers, "Expect:"); /* no round trip before the body */
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)g_bytes_get_size(data));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, g_bytes_get_data(data, NULL));
}

/* A POST when `data` is given, else a GET. */
static FetchAnswer *request(Fetch *fetch, const char *url, const char *content_type, GBytes *data,
                            const FetchOptions *options, GError **error)
{
    g_autofree char *origin = url_origin(url, error);
    struct curl_slist *headers = NULL;
    FetchAnswer *answer = NULL;
    Transfer transfer = {
        .body_bytes_max = options->body_bytes_max != 0 ? options->body_bytes_max : LIMIT_HTTP_BODY_BYTES,
    };

    if (origin == NULL || !append_headers(&headers, options, error)) {
        curl_slist_free_all(headers);
        return NULL;
    }
    transfer.body = g_byte_array_new();
    if (options->keep_headers) {
        transfer.headers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    }
    set_transfer(fetch->easy, url, &transfer, options);
    if (data != NULL) {
        set_post(fetch->easy, &headers, content_type, data);
    } else {
        set_redirects(fetch->easy, origin, options->redirects_max);
    }
    answer = perform(fetch, origin, &transfer, headers, error);
    curl_slist_free_all(headers);
    g_clear_pointer(&transfer.body, g_byte_array_unref);
    g_clear_pointer(&transfer.headers, g_hash_table_unref);
    return answer;
}

static const FetchOptions defaults;

/* --- Operations --- */

FetchAnswer *fetch_get(Fetch *fetch, const char *url, const FetchOptions *options, GError **error)
{
    return request(fetch, url, NULL, NULL, options != NULL ? options : &defaults, error);
}

FetchAnswer *fetch_post(Fetch *fetch, const char *url, const char *content_type, const void *data, gsize len,
                        const FetchOptions *options, GError **error)
{
    g_autoptr(GBytes) body = g_bytes_new_static(len > 0 ? data : "", len);

    g_assert(is_one_line(content_type));
    return request(fetch, url, content_type, body, options != NULL ? options : &defaults, error);
}
