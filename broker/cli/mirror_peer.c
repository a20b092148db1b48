/* SPDX-License-Identifier: MIT */
#include "broker/cli/mirror.h"
#include "mirror/agent/fetch.h"
#include "schema/json_reader.h"
#include "schema/limits.h"
#include "signing/note.h"

#define VERSION_BYTES_MAX 65536

void peer_version_clear(PeerVersion *version)
{
    g_clear_pointer(&version->name, g_free);
    g_clear_pointer(&version->verifier_key, g_free);
}

static gboolean read_version(const FetchAnswer *answer, PeerVersion *ret, GError **error)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(answer->body, &len);
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, VERSION_BYTES_MAX, error);
    const char *key = NULL;

    if (doc == NULL) {
        return FALSE;
    }
    if (json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "not an object");
        return FALSE;
    }
    if (!json_get_string(json_doc_root(doc), "key", JSON_REQUIRED, LIMIT_KEY_NAME_BYTES + 128, &key, error) ||
        !note_verifier_key_parse(key, &ret->name, &ret->key, error)) {
        return FALSE;
    }
    ret->verifier_key = g_strdup(key);
    return TRUE;
}

gboolean peer_version_fetch(const char *url, const char *ca_file, PeerVersion *ret, GError **error)
{
    g_autoptr(Fetch) fetch = fetch_new();
    g_autofree char *target = g_strconcat(url, "/version", NULL);
    FetchOptions options = {
        .body_bytes_max = VERSION_BYTES_MAX,
        .ca_file = ca_file != NULL ? ca_file : g_getenv("SSL_CERT_FILE"),
    };
    g_autoptr(FetchAnswer) answer = fetch_get(fetch, target, &options, error);

    if (answer == NULL) {
        return FALSE;
    }
    if (answer->status != 200) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s answered %u; is that a Kontor broker?",
                    target, answer->status);
        return FALSE;
    }
    if (!read_version(answer, ret, error)) {
        g_prefix_error(error, "%s: no Kontor broker answers there: ", target);
        return FALSE;
    }
    return TRUE;
}
