/* SPDX-License-Identifier: MIT */
#include "broker/serve/search_request.h"

#include "broker/serve/request_body.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

/* A scope cannot be longer than the path of a pack and what is trimmed around it. */
#define SCOPE_BYTES_MAX (4 * LIMIT_PACK_PATH_BYTES)

void search_request_clear(SearchRequest *request)
{
    g_clear_pointer(&request->text, g_free);
    g_clear_pointer(&request->scope, g_free);
}

HttpReply *search_request_parse(SearchKind kind, HttpSlice content_type, const guint8 *data, gsize len,
                                SearchRequest *ret)
{
    g_auto(RequestBody) body;
    request_body_init(&body, content_type, data, len);
    gboolean lookup = kind == SEARCH_LOOKUP;
    const char *text = request_body_string(&body, lookup ? "term" : "q", LIMIT_SEARCH_QUERY_BYTES, NULL);
    gint64 count =
        lookup ? request_body_integer(&body, "limit", 1, LIMIT_LOOKUP_LIMIT, LIMIT_LOOKUP_LIMIT_DEFAULT)
               : request_body_integer(&body, "k", 1, LIMIT_SEARCH_K, LIMIT_SEARCH_K_DEFAULT);
    const char *scope = lookup ? "" : request_body_string(&body, "scope", SCOPE_BYTES_MAX, "");
    if (!request_body_is_valid(&body))
        return request_body_refusal(&body);
    *ret = (SearchRequest){kind, g_strdup(text), (guint)count, g_strdup(scope)};
    return NULL;
}

static void write_hit(JsonWriter *writer, const SearchHit *hit)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "pack_path", hit->pack_path);
    json_write_member_string(writer, "page_file", hit->page_file);
    json_write_member_string(writer, "title", hit->title);
    json_write_member_string(writer, "summary", hit->summary);
    json_write_member_string(writer, "pack_summary", hit->pack_summary);
    json_write_key(writer, "score");
    json_write_double(writer, hit->score);
    /* The other spelling of the same two, for clients of the public documentation. */
    json_write_member_string(writer, "pack", hit->pack_path);
    json_write_member_string(writer, "file", hit->page_file);
    json_write_object_end(writer);
}

static void write_entity(JsonWriter *writer, const SearchEntity *entity)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "pack_path", entity->pack_path);
    json_write_member_integer(writer, "match_count", entity->match_count);
    json_write_member_string(writer, "pack", entity->pack_path);
    json_write_object_end(writer);
}

static HttpReply *results_reply(const GPtrArray *items, gboolean hits)
{
    GString *json = g_string_sized_new(4096);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "results");
        json_write_array_begin(&writer);
        for (guint i = 0; i < items->len; i++) {
            if (hits)
                write_hit(&writer, items->pdata[i]);
            else
                write_entity(&writer, items->pdata[i]);
        }
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return status_reply_json(200, json);
}

HttpReply *search_hits_reply(const GPtrArray *hits)
{
    return results_reply(hits, /* hits= */ TRUE);
}

HttpReply *search_entities_reply(const GPtrArray *entities)
{
    return results_reply(entities, /* hits= */ FALSE);
}
