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

Resource *content_file(const FetchInput *input, GError **error)
{
    g_autoptr(GBytes) raw = pack_root_read(input->snapshot->root, input->place, input->file, error);
    if (raw == NULL)
        return NULL;
    guint8 digest[SHA256_BYTES];
    g_autoptr(GBytes) served = pack_file_served_form(input->file, raw, digest, input->ret_mismatch);
    /* A page is a page whatever its name: only the two files beside wiki/ have types of their own. */
    gboolean is_page = input->route == ROUTE_PAGE || input->route == ROUTE_PACK_INDEX;
    ContentType type = content_type_of(is_page ? input->path : input->file->name);
    ResourceOptions options = {
        .content_type = type.type, .compress = type.compressible, .sandbox = type.active};
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
    if (!catalog_children(input->snapshot->catalog, "", 0, &names, NULL))
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
    if (!catalog_children(input->snapshot->catalog, input->path, strlen(input->path), &names, &has_pack)) {
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
    g_autoptr(GPtrArray) places = catalog_places_sorted(input->snapshot->catalog);
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
    g_autoptr(GPtrArray) places = catalog_places_sorted(input->snapshot->catalog);
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

Resource *content_publishers(const FetchInput *input G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "publishers");
        json_write_array_begin(&writer);
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return content_json(json);
}
