/* SPDX-License-Identifier: MIT */
#include "broker/serve/content.h"

#include <string.h>

#include "broker/serve/content_type.h"
#include "schema/json_writer.h"
#include "signing/hash.h"

Resource *content_json(GString *json)
{
    ResourceOptions options = {.content_type = "application/json", .compress = TRUE};
    guint8 digest[SHA256_BYTES];
    sha256(json->str, json->len, digest);
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    return resource_new(&options, body, digest);
}

/* Whatever the file's identity says: the bytes decide. */
static gboolean is_what_was_scanned(const FetchInput *input, const guint8 digest[SHA256_BYTES],
                                    GError **error)
{
    const CatalogFile *file = input->file;
    if (!file->has_sha256 || memcmp(digest, file->sha256, SHA256_BYTES) == 0)
        return TRUE;
    *input->ret_distrust = TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
                "pack '%s': %s: looks unchanged, has another hash", input->place->path, file->name);
    return FALSE;
}

/* A page is a page whatever its name, and a blob has no name: only what stands beside wiki/ has a type of its
 * own. */
static void file_options(const FetchInput *input, ResourceOptions *ret)
{
    gboolean is_page = input->route == ROUTE_PAGE || input->route == ROUTE_PACK_INDEX;
    ContentType type = content_type_of(is_page ? input->path : input->file->name);
    /* A peer that fetches whole packs wants nothing compressed, and compressing takes longer than all the
     * rest. */
    *ret = (ResourceOptions){.content_type = type.type,
                             .compress = type.compressible,
                             .later = !input->takes_gzip,
                             .sandbox = type.active};
    if (input->route != ROUTE_BLOB)
        return;
    ret->content_type = "application/octet-stream";
    ret->sandbox = FALSE;
    ret->cache_control = "public, max-age=31536000, immutable";
}

Resource *content_file(const FetchInput *input, GError **error)
{
    g_autoptr(GBytes) raw = pack_root_read(input->snapshot->root, input->place, input->file, error);
    if (raw == NULL)
        return NULL;
    guint8 digest[SHA256_BYTES];
    g_autoptr(GBytes) served = pack_file_served_form(input->file, raw, digest, input->ret_mismatch);
    if (!is_what_was_scanned(input, digest, error))
        return NULL;
    ResourceOptions options;
    file_options(input, &options);
    return resource_new(&options, served, digest);
}

static void write_names(JsonWriter *writer, GPtrArray *names)
{
    json_write_array_begin(writer);
    for (guint i = 0; i < names->len; i++)
        json_write_string(writer, g_ptr_array_index(names, i));
    json_write_array_end(writer);
}

Resource *content_tree_root(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    g_autoptr(GPtrArray) names = NULL;
    if (!catalog_children(input->catalog, "", 0, &names, NULL))
        names = g_ptr_array_new();
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        write_names(&writer, names);
    }
    return content_json(json);
}

Resource *content_tree(const FetchInput *input, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    gboolean has_pack = FALSE;
    if (!catalog_children(input->catalog, input->path, strlen(input->path), &names, &has_pack)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "no such directory in the tree");
        return NULL;
    }
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "children");
        write_names(&writer, names);
        json_write_member_boolean(&writer, "has_pack", has_pack);
        json_write_object_end(&writer);
    }
    return content_json(json);
}

Resource *content_packs(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    g_autoptr(GPtrArray) places = catalog_places_sorted(input->catalog);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_array_begin(&writer);
        for (guint i = 0; i < places->len; i++) {
            const CatalogPack *place = g_ptr_array_index(places, i);
            if (place->is_pack)
                json_write_string(&writer, place->path);
        }
        json_write_array_end(&writer);
    }
    return content_json(json);
}

Resource *content_summaries(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    g_autoptr(GPtrArray) places = catalog_places_sorted(input->catalog);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "summaries");
        json_write_object_begin(&writer);
        for (guint i = 0; i < places->len; i++) {
            const CatalogPack *place = g_ptr_array_index(places, i);
            if (place->is_pack && place->rows_indexed > 0)
                json_write_member_string(&writer, place->path, place->summary);
        }
        json_write_object_end(&writer);
        json_write_object_end(&writer);
    }
    return content_json(json);
}

/* Members without a value are left out, as in the trust file. */
static void write_publisher(JsonWriter *writer, const TrustEntry *entry)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "fingerprint", entry->fingerprint);
    json_write_member_string(writer, "name", entry->name != NULL ? entry->name : "");
    json_write_member_string(writer, "since", entry->since != NULL ? entry->since : "");
    json_write_member_string(writer, "note", entry->note != NULL ? entry->note : "");
    if (entry->has_key) {
        g_autofree char *key = base64_encode(entry->public_key.bytes, sizeof entry->public_key.bytes);
        json_write_member_string(writer, "public_key", key);
    }
    g_autofree char *until = trust_until_print(entry->until);
    if (until != NULL)
        json_write_member_string(writer, "until", until);
    if (entry->revoked)
        json_write_member_boolean(writer, "revoked", TRUE);
    if (entry->paths->len > 0) {
        json_write_key(writer, "paths");
        write_names(writer, entry->paths);
    }
    json_write_object_end(writer);
}

Resource *content_publishers(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    const TrustList *trust = input->snapshot->trust;
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "publishers");
        json_write_array_begin(&writer);
        for (guint i = 0; i < trust_list_count(trust); i++)
            write_publisher(&writer, trust_list_nth(trust, i));
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return content_json(json);
}

Resource *content_tombstone(const FetchInput *input, GError **error)
{
    static const ResourceOptions options = {
        .content_type = "application/json", .compress = TRUE, .hashes = TRUE};
    guint8 hash[SHA256_BYTES];
    g_autoptr(GBytes) sig =
        tombstones_find(publisher_tombstones(input->serve->publisher), input->snapshot->catalog,
                        input->snapshot->root, input->path, error);
    if (sig == NULL)
        return NULL;
    sha256(g_bytes_get_data(sig, NULL), g_bytes_get_size(sig), hash);
    return resource_new(&options, sig, hash);
}
