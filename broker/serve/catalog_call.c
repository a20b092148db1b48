/* SPDX-License-Identifier: MIT */
#include "broker/serve/catalog_call.h"

#include <string.h>

#include "broker/serve/content.h"
#include "broker/serve/query_string.h"
#include "broker/serve/status.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "signing/hash.h"

/* --- Cursors --- */

static char *cursor_print(const char *path)
{
    gsize len = strlen(path);
    char *hex = g_malloc(2 * len + 1);
    hex_encode((const guint8 *)path, len, hex);
    return hex;
}

/* The path, or NULL. */
static char *cursor_parse(const char *cursor)
{
    gsize len = strlen(cursor) / 2;
    if (len > LIMIT_PACK_PATH_BYTES)
        return NULL;
    g_autofree char *path = g_malloc0(len + 1);
    if (!hex_decode(cursor, (guint8 *)path, len) || strlen(path) != len || !pack_path_check(path, NULL))
        return NULL;
    return g_steal_pointer(&path);
}

/* --- The document --- */

static void write_hash(JsonWriter *writer, const char *key, const guint8 *hash)
{
    if (hash != NULL) {
        json_write_member_hex(writer, key, hash, SHA256_BYTES);
        return;
    }
    json_write_key(writer, key);
    json_write_null(writer);
}

static void write_item(JsonWriter *writer, const CatalogPack *pack)
{
    const CatalogRelease *release = &pack->release;
    json_write_object_begin(writer);
    json_write_member_string(writer, "path", pack->path);
    json_write_member_string(writer, "version", release->version);
    write_hash(writer, "digest", release->has_digest ? release->digest : NULL);
    write_hash(writer, "content_sha256", release->has_digest ? release->content_sha256 : NULL);
    json_write_member_string(writer, "publisher", release->fingerprint);
    json_write_member_string(writer, "published_at", release->published_at);
    json_write_member_integer(writer, "pages", pack->rows_indexed);
    json_write_member_integer(writer, "bytes", (gint64)release->bytes);
    json_write_member_string(writer, "signature",
                             release->is_checked ? accept_rule_name(release->rule) : "unchecked");
    json_write_object_end(writer);
}

static void write_next(JsonWriter *writer, const GPtrArray *packs, guint limit)
{
    json_write_key(writer, "next");
    if (packs->len <= limit) {
        json_write_null(writer);
        return;
    }
    g_autofree char *cursor = cursor_print(((const CatalogPack *)g_ptr_array_index(packs, limit - 1))->path);
    json_write_string(writer, cursor);
}

static Resource *make_page(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    const Catalog *catalog = input->catalog;
    guint limit = input->page;
    /* One more, to know whether there is more. */
    g_autoptr(GPtrArray) packs =
        catalog_packs_after(catalog, *input->path != '\0' ? input->path : NULL, limit + 1);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_integer(&writer, "count", catalog_pack_count(catalog));
        json_write_key(&writer, "items");
        json_write_array_begin(&writer);
        for (guint i = 0; i < MIN(packs->len, limit); i++)
            write_item(&writer, g_ptr_array_index(packs, i));
        json_write_array_end(&writer);
        write_next(&writer, packs, limit);
        json_write_object_end(&writer);
    }
    return content_json(json);
}

/* --- The request --- */

/* FALSE when one of them is none. */
static gboolean read_query(HttpSlice query, char **ret_path, guint *ret_limit)
{
    g_autofree char *cursor = NULL, *limit_text = NULL;
    guint64 limit = LIMIT_CATALOG_PAGE_DEFAULT;
    if (!query_string_get(query, "cursor", &cursor) || !query_string_get(query, "limit", &limit_text))
        return FALSE;
    if (limit_text != NULL &&
        !g_ascii_string_to_unsigned(limit_text, 10, 1, LIMIT_CATALOG_PAGE, &limit, NULL))
        return FALSE;
    *ret_limit = (guint)limit;
    *ret_path = cursor == NULL || *cursor == '\0' ? g_strdup("") : cursor_parse(cursor);
    return *ret_path != NULL;
}

void catalog_call(ServeThread *thread, HttpExchange *exchange, const View *view)
{
    g_autofree char *path = NULL;
    guint limit = 0;
    if (!read_query(http_exchange_request(exchange)->query, &path, &limit)) {
        g_autofree char *detail =
            g_strdup_printf("invalid cursor, or a limit that is not 1 to %d", LIMIT_CATALOG_PAGE);
        serve_finish(exchange, status_reply_detail(400, detail));
        return;
    }
    /* Keys of paths begin with a slash, so this one is nobody else's. */
    g_autofree char *key = g_strdup_printf("catalog:%u:%s", limit, path);
    FetchSpec spec = {
        .route = ROUTE_CATALOG, .make = make_page, .view = view, .key = key, .path = path, .page = limit};
    fetch_run(thread, exchange, &spec);
}
