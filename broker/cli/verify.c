/* SPDX-License-Identifier: MIT */
#include "broker/cli/verify.h"

#include <string.h>

#include "broker/cli/terminal.h"
#include "broker/config.h"
#include "mirror/agent/pack_download.h"
#include "mirror/store/pack_content.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

#define THREADS_MAX 8

guint verify_threads(void)
{
    return MIN(g_get_num_processors(), THREADS_MAX);
}

/* --- Packs --- */

void verify_source_free(VerifySource *source)
{
    if (source == NULL) {
        return;
    }
    pack_content_free(source->content);
    g_clear_pointer(&source->sig, g_bytes_unref);
    g_free(source->path);
    g_free(source);
}

VerifySource *verify_source_download(const char *broker_url, const char *path, const char *bearer,
                                     GError **error)
{
    g_autoptr(Fetch) fetch = fetch_new();
    PackDownloadOptions options = {
        .broker_url = broker_url,
        .path = path,
        .bearer = bearer,
        .ca_file = g_getenv("SSL_CERT_FILE"),
    };
    g_autoptr(PackDownload) download = pack_download(fetch, &options, error);

    if (download == NULL) {
        return NULL;
    }
    VerifySource *source = g_new0(VerifySource, 1);

    source->content = g_steal_pointer(&download->content);
    source->sig = g_steal_pointer(&download->sig);
    source->path = g_strdup(path);
    return source;
}

/* "https://host/prefix/packs/history/rome/" → "https://host/prefix" and "history/rome". */
static gboolean split_url(const char *url, char **ret_broker, char **ret_path, GError **error)
{
    static const char separator[] = "/packs/";
    const char *authority = strstr(url, "://") + strlen("://");
    const char *at = strstr(authority, separator);
    g_autofree char *path = NULL;

    if (at != NULL) {
        const char *begin = at + strlen(separator);
        gsize len = strcspn(begin, "?#");

        while (len > 0 && begin[len - 1] == '/') {
            len--;
        }
        path = pack_path_percent_decode(begin, len);
    }
    if (path == NULL || !pack_path_check(path, NULL)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "%s: not the URL of a pack, such as https://library.example/packs/history/rome", url);
        return FALSE;
    }
    *ret_broker = g_strndup(url, (gsize)(at - url));
    *ret_path = g_steal_pointer(&path);
    return TRUE;
}

static VerifySource *open_url(const char *url, GError **error)
{
    g_autofree char *broker_url = NULL, *path = NULL;

    if (!split_url(url, &broker_url, &path, error)) {
        return NULL;
    }
    VerifySource *source = verify_source_download(broker_url, path, /* bearer= */ NULL, error);

    if (source == NULL) {
        g_prefix_error(error, "%s: ", broker_url);
    }
    return source;
}

static VerifySource *open_directory(const char *directory, GError **error)
{
    g_autoptr(GBytes) sig = NULL;
    PackContent *content = pack_content_of_directory(directory, verify_threads(), &sig, error);

    if (content == NULL) {
        if (!g_str_has_prefix((*error)->message, directory)) {
            g_prefix_error(error, "%s: ", directory);
        }
        return NULL;
    }
    VerifySource *source = g_new0(VerifySource, 1);

    source->content = content;
    source->sig = g_steal_pointer(&sig);
    return source;
}

VerifySource *verify_source_open(const char *operand, GError **error)
{
    gboolean is_url = g_str_has_prefix(operand, "http://") || g_str_has_prefix(operand, "https://");

    signing_init();
    return is_url ? open_url(operand, error) : open_directory(operand, error);
}

/* --- Trust and time --- */

static GBytes *read_trust_file(const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    char *data = NULL;
    gsize len = 0;

    if (g_file_get_contents(path, &data, &len, &cause)) {
        return g_bytes_new_take(data, len);
    }
    gboolean missing = g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT);

    g_set_error(error, KONTOR_ERROR, missing ? KONTOR_ERROR_NOT_FOUND : KONTOR_ERROR_IO, "trust list: %s",
                cause->message);
    return NULL;
}

static TrustList *parse_trust_file(const char *path, GBytes *bytes, GError **error)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    TrustList *list = trust_list_parse(path, data, len, error);
    const GPtrArray *warnings = list != NULL ? trust_list_warnings(list) : NULL;

    for (guint i = 0; warnings != NULL && i < warnings->len; i++) {
        fputs("kontor: skipped: ", stderr);
        terminal_print(stderr, TERMINAL_PLAIN, g_ptr_array_index(warnings, i));
        fputc('\n', stderr);
    }
    return list;
}

/* The trust file that the configuration names. */
static char *configured_trust_file(const CliArgs *args, GError **error)
{
    ConfigOverrides overrides = {.data_dir = cli_args_value(args, "data")};
    g_autoptr(Config) config = config_load(&overrides, error);

    return config != NULL ? g_strdup(config->trust_file) : NULL;
}

TrustList *verify_trust_load(const CliArgs *args, GError **error)
{
    const char *given = cli_args_value(args, "trust");
    g_autofree char *path = given != NULL ? g_strdup(given) : configured_trust_file(args, error);
    g_autoptr(GError) cause = NULL;
    g_autoptr(GBytes) bytes = path != NULL ? read_trust_file(path, &cause) : NULL;

    if (path == NULL) {
        return NULL;
    }
    if (bytes == NULL && given == NULL && g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        return trust_list_new_empty();
    }
    if (bytes == NULL) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    return parse_trust_file(path, bytes, error);
}

gboolean verify_time(const CliArgs *args, gint64 *ret, GError **error)
{
    const char *text = cli_args_value(args, "at-time");
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autofree char *midnight =
        text != NULL && strlen(text) == strlen("2026-01-31") ? g_strconcat(text, "T00:00:00Z", NULL) : NULL;
    g_autoptr(GDateTime) time = NULL;

    if (text == NULL) {
        *ret = g_get_real_time() / G_USEC_PER_SEC;
        return TRUE;
    }
    time = g_date_time_new_from_iso8601(midnight != NULL ? midnight : text, utc);
    if (time == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "--at-time %s: not a time such as 2026-01-31T12:00:00Z", text);
        return FALSE;
    }
    *ret = g_date_time_to_unix(time);
    return TRUE;
}

/* --- Exit codes --- */

CliExit verify_exit_code(AcceptRule rule)
{
    switch (rule) {
    case ACCEPT_OK:
        return CLI_OK;
    case ACCEPT_UNSIGNED:
    case ACCEPT_NO_RELEASE:
        return CLI_UNSIGNED;
    case ACCEPT_UNTRUSTED:
    case ACCEPT_REVOKED:
    case ACCEPT_EXPIRED:
    case ACCEPT_NOT_FOR_PATH:
        return CLI_UNTRUSTED;
    case ACCEPT_WITHDRAWN:
        return CLI_NOT_FOUND;
    case ACCEPT_LIMITS:
    case ACCEPT_FORM:
    case ACCEPT_FINGERPRINT:
    case ACCEPT_SIGNATURE:
    case ACCEPT_RELEASE_SIGNATURE:
    case ACCEPT_HASH:
    case ACCEPT_UNLISTED:
    case ACCEPT_WRONG_PATH:
    case ACCEPT_ROLLBACK:
    case ACCEPT_CONFLICT:
    case ACCEPT_HIJACK:
        return CLI_BAD_SIGNATURE;
    case ACCEPT_RULES:
        break;
    }
    g_assert_not_reached();
}

CliExit verify_worse_exit(CliExit a, CliExit b)
{
    static const CliExit order[] = {CLI_BAD_SIGNATURE, CLI_UNTRUSTED, CLI_UNSIGNED,    CLI_MISMATCH,
                                    CLI_FAILURE,       CLI_NOT_FOUND, CLI_UNREACHABLE, CLI_OK};

    for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    g_assert_not_reached();
}

CliExit verify_error_exit(const GError *error)
{
    g_assert(error->domain == KONTOR_ERROR);
    switch ((KontorErrorCode)error->code) {
    case KONTOR_ERROR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case KONTOR_ERROR_IO:
    case KONTOR_ERROR_BUSY:
    case KONTOR_ERROR_UNTRUSTED: /* the certificate */
        return CLI_UNREACHABLE;
    case KONTOR_ERROR_MALFORMED:
    case KONTOR_ERROR_SIGNATURE:
    case KONTOR_ERROR_LIMIT:
    case KONTOR_ERROR_CONFLICT:
    case KONTOR_ERROR_ROLLBACK:
    case KONTOR_ERROR_DENIED:
    case KONTOR_ERROR_UNSUPPORTED:
    case KONTOR_ERROR_CORRUPT:
    case KONTOR_ERROR_CANCELLED:
        break;
    }
    return CLI_FAILURE;
}
