/* SPDX-License-Identifier: MIT */
#include "broker/cli/endpoints.h"

#include <errno.h>
#include <string.h>

#include "schema/json_reader.h"

#define FILE_BYTES_MAX 65536
#define TOKEN_DIGITS 64

void endpoints_free(Endpoints *endpoints)
{
    if (endpoints == NULL) {
        return;
    }
    g_free(endpoints->public_url);
    g_free(endpoints->api_url);
    g_free(endpoints);
}

char *endpoints_url(const char *address)
{
    static const struct {
        const char *any, *loopback;
    } hosts[] = {{"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}, {":", "127.0.0.1:"}};
    g_autofree char *url = NULL;

    if (strstr(address, "://") != NULL) {
        url = g_strdup(address);
    }
    for (guint i = 0; url == NULL && i < G_N_ELEMENTS(hosts); i++) {
        if (g_str_has_prefix(address, hosts[i].any)) {
            url = g_strconcat("http://", hosts[i].loopback, address + strlen(hosts[i].any), NULL);
        }
    }
    if (url == NULL) {
        url = g_strconcat("http://", address, NULL);
    }
    while (g_str_has_suffix(url, "/")) {
        url[strlen(url) - 1] = '\0';
    }
    return g_steal_pointer(&url);
}

static JsonDoc *load_json(const char *data_dir, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(data_dir, name, NULL);
    g_autofree char *text = NULL;
    g_autoptr(JsonDoc) doc = NULL;
    gsize len = 0;

    errno = 0;
    if (!g_file_get_contents(path, &text, &len, NULL)) {
        kontor_error_set_errno(error, errno != 0 ? errno : EIO, "%s", path);
        return NULL;
    }
    doc = json_doc_parse(text, len, FILE_BYTES_MAX, error);
    if (doc == NULL) {
        g_prefix_error(error, "%s: ", path);
    } else if (json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: not a JSON object", path);
        return NULL;
    }
    return g_steal_pointer(&doc);
}

/* The first string of a member that is a string or a list of strings, or NULL. */
static const char *first_address(const JsonValue *root, const char *key)
{
    const JsonValue *value = json_object_get(root, key);

    if (value != NULL && json_value_kind(value) == JSON_ARRAY) {
        value = json_value_first(value);
    }
    return value != NULL && json_value_kind(value) == JSON_STRING ? json_value_string(value) : NULL;
}

/* A plain listener if there is one, because no certificate names a loopback address. */
static char *public_url(const JsonValue *root)
{
    const char *plain = first_address(root, "listen");
    const char *tls = first_address(root, "tls");

    if (plain == NULL && tls != NULL) {
        g_autofree char *url = endpoints_url(tls);

        return g_strconcat("https", url + strlen("http"), NULL);
    }
    plain = plain != NULL ? plain : first_address(root, "public");
    return plain != NULL ? endpoints_url(plain) : NULL;
}

Endpoints *endpoints_load(const char *data_dir, GError **error)
{
    g_autoptr(JsonDoc) doc = load_json(data_dir, "endpoints.json", error);
    g_autoptr(Endpoints) endpoints = NULL;
    const char *api;

    if (doc == NULL) {
        return NULL;
    }
    endpoints = g_new0(Endpoints, 1);
    if (!json_get_integer(json_doc_root(doc), "pid", JSON_OPTIONAL, 0, G_MAXINT32, &endpoints->pid, error)) {
        g_prefix_error(error, "%s/endpoints.json: ", data_dir);
        return NULL;
    }
    api = first_address(json_doc_root(doc), "api");
    endpoints->public_url = public_url(json_doc_root(doc));
    endpoints->api_url = api != NULL ? endpoints_url(api) : NULL;
    return g_steal_pointer(&endpoints);
}

static gboolean is_token(const char *text)
{
    return strlen(text) == TOKEN_DIGITS && strspn(text, "0123456789abcdefABCDEF") == TOKEN_DIGITS;
}

char *endpoints_api_token(const char *data_dir, GError **error)
{
    g_autoptr(JsonDoc) doc = load_json(data_dir, "daemon.json", error);
    const char *token = NULL;

    if (doc == NULL && error != NULL && g_error_matches(*error, KONTOR_ERROR, KONTOR_ERROR_DENIED)) {
        g_autofree char *said = (*error)->message;

        (*error)->message = g_strconcat(said, "; run this as the user of the broker", NULL);
    }
    if (doc == NULL) {
        return NULL;
    }
    if (!json_get_string(json_doc_root(doc), "apiToken", JSON_REQUIRED, TOKEN_DIGITS, &token, error)) {
        g_prefix_error(error, "%s/daemon.json: ", data_dir);
        return NULL;
    }
    if (!is_token(token)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "%s/daemon.json: apiToken is not 64 hexadecimal digits", data_dir);
        return NULL;
    }
    return g_strdup(token);
}
