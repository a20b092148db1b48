/* SPDX-License-Identifier: MIT */
#include "broker/cli/client.h"

#include "broker/cli/endpoints.h"
#include "broker/cli/terminal.h"
#include "mirror/agent/fetch.h"
#include "schema/limits.h"

#define ANSWER_BYTES_MAX (64 * 1024 * 1024) /* the summaries of LIMIT_PACKS packs fit */
#define DETAIL_BYTES_MAX 1024

struct CliClient {
    Fetch *fetch;
    char *base_url; /* without a slash at its end */
    char *bearer;   /* or NULL */
    gboolean direct;
};

/* --- Life cycle --- */

static CliClient *client_new(char *base_url, gboolean direct)
{
    CliClient *client = g_new0(CliClient, 1);

    client->fetch = fetch_new();
    client->base_url = base_url;
    client->direct = direct;
    return client;
}

CliClient *cli_client_new(const CliArgs *args, GError **error)
{
    const char *at = cli_args_value(args, "at");
    g_autofree char *data_dir = NULL;
    g_autoptr(Endpoints) endpoints = NULL;
    g_autoptr(GError) local_error = NULL;

    if (at != NULL) {
        return cli_client_new_at(at);
    }
    data_dir = cli_data_dir(args);
    endpoints = endpoints_load(data_dir, &local_error);
    if (endpoints == NULL && !g_error_matches(local_error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local_error));
        return NULL;
    }
    if (endpoints != NULL && endpoints->public_url != NULL) {
        return client_new(g_steal_pointer(&endpoints->public_url), /* direct= */ TRUE);
    }
    /* Who names a data directory does not want to hear from another broker. */
    if (cli_args_value(args, "data") != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_IO, "no broker runs on %s", data_dir);
        return NULL;
    }
    return client_new(g_strdup("http://127.0.0.1:8000"), /* direct= */ TRUE);
}

CliClient *cli_client_new_at(const char *address)
{
    return client_new(endpoints_url(address), /* direct= */ FALSE);
}

CliClient *cli_client_new_loopback(const char *base_url, const char *bearer)
{
    CliClient *client = client_new(g_strdup(base_url), /* direct= */ TRUE);

    client->bearer = g_strdup(bearer);
    return client;
}

CliClient *cli_client_new_api(const char *data_dir, GError **error)
{
    g_autoptr(Endpoints) endpoints = endpoints_load(data_dir, error);
    g_autofree char *token = NULL;

    if (endpoints == NULL) {
        return NULL;
    }
    if (endpoints->api_url == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                    "the broker on %s runs with its loopback interface turned off (api: off)", data_dir);
        return NULL;
    }
    token = endpoints_api_token(data_dir, error);
    return token != NULL ? cli_client_new_loopback(endpoints->api_url, token) : NULL;
}

void cli_client_set_bearer(CliClient *client, const char *bearer)
{
    g_free(client->bearer);
    client->bearer = g_strdup(bearer);
}

void cli_client_free(CliClient *client)
{
    if (client == NULL) {
        return;
    }
    fetch_free(client->fetch);
    g_free(client->base_url);
    g_free(client->bearer);
    g_free(client);
}

const char *cli_client_url(const CliClient *client)
{
    return client->base_url;
}

/* --- Answers --- */

static KontorErrorCode status_code(guint status)
{
    switch (status) {
    case 404:
    case 410:
        return KONTOR_ERROR_NOT_FOUND;
    case 401:
    case 403:
        return KONTOR_ERROR_DENIED;
    case 429:
        return KONTOR_ERROR_LIMIT;
    case 503:
        return KONTOR_ERROR_BUSY;
    case 502: /* of a front whose broker is away */
    case 504:
        return KONTOR_ERROR_IO;
    default:
        return KONTOR_ERROR_MALFORMED;
    }
}

/* The "detail" of an error answer as one clean line, or NULL. */
static char *answer_detail(const FetchAnswer *answer)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(answer->body, &len);
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, ANSWER_BYTES_MAX, NULL);
    const char *detail = NULL;

    if (doc == NULL || json_value_kind(json_doc_root(doc)) != JSON_OBJECT ||
        !json_get_string(json_doc_root(doc), "detail", JSON_REQUIRED, DETAIL_BYTES_MAX, &detail, NULL)) {
        return NULL;
    }
    return terminal_clean(detail);
}

static GBytes *take_body(CliClient *client, FetchAnswer *answer, GError **error)
{
    g_autofree char *detail = NULL;

    if (answer->status / 100 == 2) {
        return g_bytes_ref(answer->body);
    }
    detail = answer_detail(answer);
    g_set_error(error, KONTOR_ERROR, status_code(answer->status), "%s answered %u%s%s", client->base_url,
                answer->status, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    return NULL;
}

static FetchOptions fetch_options(const CliClient *client)
{
    return (FetchOptions){
        .body_bytes_max = ANSWER_BYTES_MAX,
        .direct = client->direct,
        .compressed = TRUE,
        .bearer = client->bearer,
        .ca_file = g_getenv("SSL_CERT_FILE"),
    };
}

/* --- Operations --- */

GBytes *cli_client_get(CliClient *client, const char *target, GError **error)
{
    g_autofree char *url = g_strconcat(client->base_url, target, NULL);
    FetchOptions options = fetch_options(client);
    g_autoptr(FetchAnswer) answer = fetch_get(client->fetch, url, &options, error);

    return answer != NULL ? take_body(client, answer, error) : NULL;
}

GBytes *cli_client_post(CliClient *client, const char *target, const GString *body, GError **error)
{
    g_autofree char *url = g_strconcat(client->base_url, target, NULL);
    FetchOptions options = fetch_options(client);
    g_autoptr(FetchAnswer) answer =
        fetch_post(client->fetch, url, "application/json", body->str, body->len, &options, error);

    return answer != NULL ? take_body(client, answer, error) : NULL;
}

JsonDoc *cli_client_parse(CliClient *client, GBytes *answer, GError **error)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(answer, &len);
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, ANSWER_BYTES_MAX, error);

    if (doc == NULL) {
        g_prefix_error(error, "%s: answer is not JSON: ", client->base_url);
    }
    return g_steal_pointer(&doc);
}

char *cli_client_target(const char *prefix, const char *path, const char *suffix)
{
    g_autofree char *escaped = g_uri_escape_string(path, "/", /* allow_utf8= */ FALSE);

    return g_strconcat(prefix, escaped, suffix, NULL);
}

CliExit cli_client_fail(const GError *error)
{
    CliExit result = cli_fail(error);

    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_IO) ||
        g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_BUSY) ||
        g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNTRUSTED)) {
        return CLI_UNREACHABLE;
    }
    return result;
}
