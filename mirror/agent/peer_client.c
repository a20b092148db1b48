/* SPDX-License-Identifier: MIT */
#include "mirror/agent/peer_client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mirror/agent/source_check.h"
#include "schema/limits.h"

#define GENERATION_GONE 410

struct PeerClient {
    FetchPool *pool;
    const MirrorSource *source;
    char *token;          /* from secret_alloc; NULL: none */
    guint64 catalog_left; /* bytes of it that may still come */
};

/* --- Life cycle --- */

PeerClient *peer_client_new(void)
{
    PeerClient *client = g_new0(PeerClient, 1);
    client->pool = fetch_pool_new(LIMIT_FETCH_PARALLEL);
    return client;
}

void peer_client_free(PeerClient *client)
{
    if (client == NULL)
        return;
    fetch_pool_free(client->pool);
    secret_free(client->token);
    g_free(client);
}

/* --- Token --- */

/* The first line of the file, into `buffer`, which has room for one byte more than a token may have. */
static gboolean read_line(const char *path, char *buffer, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return kontor_error_set_errno(error, errno, "token file '%s'", path);
    gssize len = TEMP_FAILURE_RETRY(read(fd, buffer, LIMIT_TOKEN_BYTES + 1));
    int problem = errno;
    close(fd);
    if (len < 0)
        return kontor_error_set_errno(error, problem, "token file '%s'", path);
    gsize token_len = strcspn(buffer, "\r\n");
    if (token_len == 0 || token_len > LIMIT_TOKEN_BYTES ||
        buffer[token_len + strspn(buffer + token_len, "\r\n")] != '\0') {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "token file '%s': expected one line with a token", path);
        return FALSE;
    }
    buffer[token_len] = '\0';
    for (const char *c = buffer; *c != '\0'; c++) {
        if (!g_ascii_isgraph(*c)) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                        "token file '%s': a token has neither blanks nor characters beyond ASCII", path);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean peer_client_begin(PeerClient *client, const MirrorSource *source, gint64 deadline_us, GError **error)
{
    client->source = source;
    secret_free(g_steal_pointer(&client->token));
    fetch_pool_cancel(client->pool);
    fetch_pool_set_budget(client->pool, deadline_us, source->bytes_max);
    client->catalog_left = LIMIT_PEER_CATALOG_BYTES;
    if (source->token_file == NULL)
        return TRUE;
    client->token = secret_alloc(LIMIT_TOKEN_BYTES + 2);
    return read_line(source->token_file, client->token, error);
}

void peer_client_set_catalog_max(PeerClient *client, guint64 bytes)
{
    client->catalog_left = bytes;
}

/* --- Asking --- */

/* curl's "Accept" of everything says nothing. */
static const char *const plain_lines[] = {"Accept:", NULL};

static FetchOptions options_of(const PeerClient *client)
{
    return (FetchOptions){
        .bearer = client->token,
        .ca_file = client->source->ca_file,
        .headers = plain_lines,
        .direct = source_url_is_local(client->source->url),
        .total_timeout_ms = LIMIT_PEER_ANSWER_MS,
        .bytes_per_second_min = LIMIT_FETCH_SLOW_BYTES,
    };
}

GError *peer_client_status_error(const FetchAnswer *answer, const char *what)
{
    guint status = answer->status;
    KontorErrorCode code = status == 404 || status == GENERATION_GONE ? KONTOR_ERROR_NOT_FOUND
                           : status == 401 || status == 403           ? KONTOR_ERROR_DENIED
                           : status == 429 || status >= 500           ? KONTOR_ERROR_BUSY
                                                                      : KONTOR_ERROR_MALFORMED;
    return status == 200 ? NULL : g_error_new(KONTOR_ERROR, (gint)code, "%s: answered %u", what, status);
}

/* All that comes is in memory in the end; a source's bytes may be more than that is good for. */
static gboolean take_from_catalog(PeerClient *client, gsize bytes, GError **error)
{
    gboolean fits = bytes <= client->catalog_left;
    client->catalog_left -= MIN(bytes, client->catalog_left);
    if (!fits)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: its catalog is larger than can be read",
                    client->source->url);
    return fits;
}

/* The body of a 200. `target` is the path below the peer's URL. */
static GBytes *get(PeerClient *client, const char *target, gsize bytes_max, GError **error)
{
    g_autofree char *url = g_strconcat(client->source->url, target, NULL);
    FetchOptions options = options_of(client);
    options.body_bytes_max = bytes_max;
    options.compressed = TRUE;
    g_autoptr(FetchAnswer) answer = fetch_pool_get(client->pool, url, &options, error);
    if (answer == NULL)
        return NULL;
    g_autofree char *path = g_strndup(target, strcspn(target, "?"));
    g_autofree char *what = g_strdup_printf("%s: %.40s", client->source->url, path);
    GError *problem = peer_client_status_error(answer, what);
    if (problem == NULL)
        return take_from_catalog(client, g_bytes_get_size(answer->body), error) ? g_bytes_ref(answer->body)
                                                                                : NULL;
    g_propagate_error(error, problem);
    return NULL;
}

static gboolean prefix_url(const PeerClient *client, GError **error)
{
    g_prefix_error(error, "%s: ", client->source->url);
    return FALSE;
}

/* --- The catalog --- */

void peer_note_clear(PeerNote *note)
{
    g_clear_pointer(&note->note, g_bytes_unref);
    g_clear_pointer(&note->etag, g_free);
}

/* A tag that may be sent back as it is. */
static char *etag_of(const FetchAnswer *answer)
{
    const char *etag = fetch_answer_header(answer, "etag");
    gsize len = etag != NULL ? strlen(etag) : 0;
    gboolean usable = len > 0 && len <= LIMIT_PEER_ETAG_BYTES;
    for (gsize i = 0; usable && i < len; i++)
        usable = g_ascii_isgraph(etag[i]);
    return g_strdup(usable ? etag : "");
}

gboolean peer_client_checkpoint(PeerClient *client, const char *etag, PeerNote *ret, GError **error)
{
    g_autofree char *url = g_strconcat(client->source->url, "/catalog/checkpoint", NULL);
    g_autofree char *condition = g_strconcat("If-None-Match: ", etag, NULL);
    const char *const lines[] = {plain_lines[0], *etag != '\0' ? condition : NULL, NULL};
    FetchOptions options = options_of(client);
    options.body_bytes_max = LIMIT_NOTE_BYTES;
    options.keep_headers = TRUE;
    options.headers = lines;
    g_autoptr(FetchAnswer) answer = fetch_pool_get(client->pool, url, &options, error);
    if (answer == NULL)
        return FALSE;
    *ret = (PeerNote){0};
    if (answer->status == 304 && *etag != '\0')
        return TRUE;
    GError *problem = peer_client_status_error(answer, url);
    if (problem != NULL) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    ret->note = g_bytes_ref(answer->body);
    ret->etag = etag_of(answer);
    return TRUE;
}

gboolean peer_client_changes(PeerClient *client, guint64 since, JournalAnswer *ret, GError **error)
{
    g_autofree char *target = g_strdup_printf("/catalog/changes?since=%" G_GUINT64_FORMAT, since);
    g_autoptr(GBytes) answer = get(client, target, LIMIT_DIGEST_ANSWER_BYTES, error);
    if (answer == NULL)
        return FALSE;
    return journal_answer_parse(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), since, ret,
                                error) ||
           prefix_url(client, error);
}

/* For TrieSource. */
static gboolean ask_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                          GError **error)
{
    PeerClient *client = user;
    g_autoptr(GString) target = g_string_new("/catalog/digest");
    for (guint i = 0; i < count; i++) {
        g_assert(*prefixes[i] != '\0' || count == 1);
        g_string_append_printf(target, "%s%s", *prefixes[i] == '\0' ? "" : i == 0 ? "/" : ",", prefixes[i]);
    }
    g_autoptr(GBytes) answer = get(client, target->str, LIMIT_DIGEST_ANSWER_BYTES, error);
    if (answer == NULL)
        return FALSE;
    return digest_views_parse(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), prefixes, count,
                              ret_views, error) ||
           prefix_url(client, error);
}

TrieSource peer_client_trie(PeerClient *client, const CatalogCheckpoint *checkpoint)
{
    TrieSource source = {.count = checkpoint->count, .views = ask_views, .user = client};
    memcpy(source.root, checkpoint->root, SHA256_BYTES);
    return source;
}

/* --- Files --- */

static void add(PeerClient *client, const char *route, const char *rest, gsize bytes_max, FetchDoneFunc done,
                gpointer user)
{
    g_autofree char *url = g_strconcat(client->source->url, route, rest, NULL);
    FetchOptions options = options_of(client);
    options.body_bytes_max = bytes_max;
    fetch_pool_add(client->pool, url, &options, done, user);
}

void peer_client_add_release(PeerClient *client, const guint8 digest[SHA256_BYTES], FetchDoneFunc done,
                             gpointer user)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(digest, SHA256_BYTES, hex);
    add(client, "/catalog/releases/", hex, LIMIT_MANIFEST_SIG_BYTES, done, user);
}

void peer_client_add_tombstone(PeerClient *client, const char *pack_path, FetchDoneFunc done, gpointer user)
{
    g_autofree char *pack = g_uri_escape_string(pack_path, "/", /* allow_utf8= */ FALSE);
    add(client, "/catalog/tombstones/", pack, LIMIT_MANIFEST_SIG_BYTES, done, user);
}

void peer_client_add_blob(PeerClient *client, const guint8 hash[SHA256_BYTES], gsize bytes_max,
                          FetchDoneFunc done, gpointer user)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(hash, SHA256_BYTES, hex);
    add(client, "/blobs/sha256/", hex, bytes_max, done, user);
}

void peer_client_add_file(PeerClient *client, const char *pack_path, const char *name, gsize bytes_max,
                          FetchDoneFunc done, gpointer user)
{
    g_autofree char *pack = g_uri_escape_string(pack_path, "/", /* allow_utf8= */ FALSE);
    g_autofree char *file = g_uri_escape_string(name, "/", /* allow_utf8= */ FALSE);
    g_autofree char *rest = g_strconcat(pack, "/", file, NULL);
    add(client, "/packs/", rest, bytes_max, done, user);
}

/* --- Queries --- */

FetchPool *peer_client_pool(PeerClient *client)
{
    return client->pool;
}

const char *peer_client_token(const PeerClient *client)
{
    return client->token;
}
