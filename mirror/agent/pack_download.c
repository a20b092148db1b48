/* SPDX-License-Identifier: MIT */
#include "mirror/agent/pack_download.h"

#include <string.h>

#include "schema/index_rows.h"
#include "schema/limits.h"
#include "schema/manifest.h"
#include "schema/pack_path.h"
#include "schema/text.h"

#define WIKI "wiki/"

/* A download under way. */
typedef struct {
    Fetch *fetch;
    const PackDownloadOptions *options;
    PackDownload *result;
    gint64 deadline_us; /* of the monotonic clock */
    guint answers;
    guint64 bytes; /* of all answers; those of the files that count are in the content */
} Download;

void pack_download_free(PackDownload *download)
{
    if (download == NULL) {
        return;
    }
    pack_content_free(download->content);
    g_clear_pointer(&download->sig, g_bytes_unref);
    g_ptr_array_unref(download->not_a_name);
    g_free(download);
}

/* --- Text as a Node reads it --- */

/* The charset of a Content-Type, lower-case, or NULL. */
static char *charset_of(const char *content_type)
{
    g_autofree char *lower = g_ascii_strdown(content_type != NULL ? content_type : "", -1);
    const char *at = strstr(lower, "charset=");

    if (at == NULL) {
        return NULL;
    }
    at += strlen("charset=");
    at += *at == '"' ? 1 : 0;
    return g_strndup(at, strcspn(at, "\"; \t"));
}

/* The answer's text, encoded as UTF-8. An unknown charset counts as UTF-8. */
static GBytes *text_of(const FetchAnswer *answer, gboolean strict)
{
    g_autofree char *charset = charset_of(answer->content_type);
    gsize len = 0, converted_len = 0;
    const char *data = g_bytes_get_data(answer->body, &len);
    gboolean is_utf8 =
        strict || charset == NULL || strcmp(charset, "utf-8") == 0 || strcmp(charset, "utf8") == 0;

    if (!is_utf8 && len > 0) {
        char *converted = g_convert(data, (gssize)len, "UTF-8", charset, NULL, &converted_len, NULL);

        if (converted != NULL) {
            return g_bytes_new_take(converted, converted_len);
        }
    }
    if (text_is_utf8(data, len, NULL)) {
        return g_bytes_ref(answer->body);
    }
    char *replaced = g_utf8_make_valid(data, (gssize)len);

    return g_bytes_new_take(replaced, strlen(replaced));
}

/* --- One file --- */

static gboolean prefix_error(const Download *download, const char *name, GError **error)
{
    g_prefix_error(error, "pack '%s': %s: ", download->options->path, name);
    return FALSE;
}

/* Only seen where redirects are not followed. */
static gboolean is_redirect(guint status)
{
    return status >= 300 && status < 400;
}

static gboolean is_passing_failure(guint status)
{
    return status == 429 || status >= 500;
}

static void set_status_error(GError **error, guint status)
{
    KontorErrorCode code = is_passing_failure(status)       ? KONTOR_ERROR_BUSY
                           : status == 401 || status == 403 ? KONTOR_ERROR_DENIED
                           : is_redirect(status)            ? KONTOR_ERROR_MALFORMED
                                                            : KONTOR_ERROR_NOT_FOUND;
    g_set_error(error, KONTOR_ERROR, code, "answered %u", status);
}

static gboolean set_out_of_time(GError **error)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_BUSY, "out of time before the pack was whole");
    return FALSE;
}

/* For one file, of what is left for the pack; 0: nothing is. */
static guint time_left_ms(const Download *download)
{
    gint64 left_ms = (download->deadline_us - g_get_monotonic_time()) / 1000;

    return (guint)CLAMP(left_ms, 0, LIMIT_DOWNLOAD_FILE_MS);
}

static gboolean check_budget(Download *download, gsize bytes, GError **error)
{
    /* Neither manifest is among the files that a pack may have, and manifest.sig not among its bytes. */
    download->bytes += bytes;
    if (download->bytes > (guint64)LIMIT_PACK_BYTES + LIMIT_MANIFEST_SIG_BYTES ||
        ++download->answers > LIMIT_PACK_FILES + 2) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "pack has more than %d files or %d bytes",
                    LIMIT_PACK_FILES, LIMIT_PACK_BYTES);
        return FALSE;
    }
    if (g_get_monotonic_time() > download->deadline_us) {
        return set_out_of_time(error);
    }
    return download->options->charge == NULL ||
           download->options->charge(bytes, download->options->user, error);
}

/* The answer to a GET of the file `name` of the pack, whatever its status below 500. */
static FetchAnswer *ask(Download *download, const char *name, gsize bytes_max, GError **error)
{
    const PackDownloadOptions *options = download->options;
    g_autofree char *path = g_uri_escape_string(options->path, "/", /* allow_utf8= */ FALSE);
    g_autofree char *file = g_uri_escape_string(name, "/", /* allow_utf8= */ FALSE);
    g_autofree char *url = g_strconcat(options->broker_url, "/packs/", path, "/", file, NULL);
    FetchOptions fetch_options = {
        .body_bytes_max = bytes_max,
        .total_timeout_ms = time_left_ms(download),
        .redirects_max = options->strict ? 0 : LIMIT_DOWNLOAD_REDIRECTS,
        .direct = options->direct,
        .bearer = options->bearer,
        .ca_file = options->ca_file,
    };
    g_autoptr(FetchAnswer) answer = NULL;

    if (fetch_options.total_timeout_ms == 0) {
        set_out_of_time(error);
    } else {
        answer = fetch_get(download->fetch, url, &fetch_options, error);
    }
    gboolean good = answer != NULL && check_budget(download, g_bytes_get_size(answer->body), error);

    if (good && (is_passing_failure(answer->status) || is_redirect(answer->status))) {
        set_status_error(error, answer->status);
        good = FALSE;
    }
    return good || prefix_error(download, name, error) ? g_steal_pointer(&answer) : NULL;
}

static gboolean deliver(Download *download, const char *name, GBytes *bytes, guint8 ret_sha256[SHA256_BYTES],
                        GError **error)
{
    const PackDownloadOptions *options = download->options;
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);

    sha256(data, len, ret_sha256);
    if (strcmp(name, "manifest.sig") != 0) {
        download->result->content->bytes += len;
    }
    return options->receive == NULL || options->receive(name, bytes, options->user, error);
}

/* A file that must be there: its text, delivered. */
static GBytes *take_required(Download *download, const char *name, gsize bytes_max,
                             guint8 ret_sha256[SHA256_BYTES], GError **error)
{
    g_autoptr(FetchAnswer) answer = ask(download, name, bytes_max, error);
    g_autoptr(GBytes) text = NULL;

    if (answer == NULL) {
        return NULL;
    }
    if (answer->status != 200) {
        set_status_error(error, answer->status);
        prefix_error(download, name, error);
        return NULL;
    }
    text = text_of(answer, download->options->strict);
    return deliver(download, name, text, ret_sha256, error) ? g_steal_pointer(&text) : NULL;
}

/* A file that may be absent goes into the table when it is there. `as_text` like a Node, else as bytes. */
static gboolean take_optional(Download *download, const char *name, gboolean as_text, GArray *table,
                              const char *table_name, GError **error)
{
    g_autoptr(FetchAnswer) answer = ask(download, name, LIMIT_PACK_FILE_BYTES, error);
    g_autoptr(GBytes) bytes = NULL;
    guint8 hash[SHA256_BYTES];

    if (answer == NULL) {
        return FALSE;
    }
    if (answer->status != 200) {
        return TRUE;
    }
    bytes = as_text ? text_of(answer, download->options->strict) : g_bytes_ref(answer->body);
    if (!deliver(download, name, bytes, hash, error)) {
        return FALSE;
    }
    manifest_sig_table_add(table, table_name, hash);
    return TRUE;
}

/* --- The whole pack --- */

static gboolean take_page(Download *download, const char *file, GHashTable *seen, GError **error)
{
    PackDownload *result = download->result;
    g_autofree char *name = g_strconcat(WIKI, file, NULL);

    if (!g_hash_table_add(seen, g_strdup(file))) {
        return TRUE;
    }
    if (!index_name_is_downloadable(file)) {
        g_ptr_array_add(result->not_a_name, g_strdup(file));
        return TRUE;
    }
    /* Such a name would be refused when the content is judged; asking for it would only be a detour. */
    if (!pack_path_check(name, NULL)) {
        return TRUE;
    }
    return take_optional(download, name, /* as_text= */ TRUE, result->content->pages, file, error);
}

static gboolean take_pages(Download *download, GError **error)
{
    guint8 hash[SHA256_BYTES];
    g_autoptr(GBytes) index = take_required(download, WIKI "index.md", LIMIT_INDEX_BYTES, hash, error);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) rows = NULL;
    gsize len = 0;

    if (index == NULL) {
        return FALSE;
    }
    manifest_sig_table_add(download->result->content->pages, "index.md", hash);
    g_hash_table_add(seen, g_strdup("index.md"));
    const char *text = g_bytes_get_data(index, &len);

    rows = index_rows_parse(text, len, error);
    if (rows == NULL) {
        return prefix_error(download, WIKI "index.md", error);
    }
    for (guint i = 0; i < rows->len; i++) {
        const IndexRow *row = g_ptr_array_index(rows, i);

        if (row->listed && !take_page(download, row->file, seen, error)) {
            return FALSE;
        }
    }
    manifest_sig_table_sort(download->result->content->pages);
    return TRUE;
}

static gboolean take_manifest(Download *download, GError **error)
{
    PackContent *content = download->result->content;
    g_autoptr(GBytes) text =
        take_required(download, "manifest.yaml", LIMIT_MANIFEST_BYTES, content->manifest_sha256, error);
    gsize len = 0;

    if (text == NULL) {
        return FALSE;
    }
    const char *data = g_bytes_get_data(text, &len);
    g_autoptr(Manifest) manifest = manifest_parse(data, len);

    content->has_manifest = TRUE;
    g_free(content->version);
    content->version = g_steal_pointer(&manifest->version);
    return TRUE;
}

static gboolean take_sig(Download *download, GError **error)
{
    g_autoptr(FetchAnswer) answer = ask(download, "manifest.sig", LIMIT_MANIFEST_SIG_BYTES, error);
    guint8 hash[SHA256_BYTES];

    if (answer == NULL) {
        return FALSE;
    }
    if (answer->status != 200) {
        return TRUE;
    }
    download->result->sig = g_bytes_ref(answer->body);
    return deliver(download, "manifest.sig", answer->body, hash, error);
}

/* Only what lies below wiki/ has a route; anything else that a release lists stays missing. */
static gboolean take_listed_files(Download *download, GError **error)
{
    PackContent *content = download->result->content;
    g_autoptr(ManifestSig) sig = NULL;
    gsize len = 0;

    if (download->result->sig == NULL) {
        return TRUE;
    }
    const void *data = g_bytes_get_data(download->result->sig, &len);

    sig = manifest_sig_parse(data, len, NULL);
    for (guint i = 0; sig != NULL && sig->release != NULL && i < sig->release->files->len; i++) {
        const char *name = g_array_index(sig->release->files, ManifestSigEntry, i).name;

        if (g_str_has_prefix(name, WIKI) &&
            !take_optional(download, name, /* as_text= */ FALSE, content->files, name, error)) {
            return FALSE;
        }
    }
    manifest_sig_table_sort(content->files);
    return TRUE;
}

PackDownload *pack_download(Fetch *fetch, const PackDownloadOptions *options, GError **error)
{
    g_autoptr(PackDownload) result = g_new0(PackDownload, 1);
    Download download = {
        .fetch = fetch,
        .options = options,
        .result = result,
        .deadline_us = options->deadline_us != 0
                           ? options->deadline_us
                           : g_get_monotonic_time() + (gint64)LIMIT_DOWNLOAD_SECONDS * G_USEC_PER_SEC,
    };

    result->content = pack_content_new();
    result->not_a_name = g_ptr_array_new_with_free_func(g_free);
    if (!pack_path_check(options->path, error) || !take_pages(&download, error) ||
        !take_manifest(&download, error) || !take_sig(&download, error) ||
        !take_listed_files(&download, error)) {
        return NULL;
    }
    return g_steal_pointer(&result);
}
