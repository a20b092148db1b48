/* SPDX-License-Identifier: MIT
 *
 * Bodies of POST /search and /lookup_entity: what is coerced, what is clamped, and which `detail` a bad one
 * gets.
 */
#include <string.h>

#include "broker/serve/search_request.h"
#include "broker/serve/status.h"
#include "schema/json_reader.h"

static HttpSlice slice(const char *text)
{
    return (HttpSlice){text, text != NULL ? strlen(text) : 0};
}

static HttpReply *parse(SearchKind kind, const char *type, const char *body, SearchRequest *ret)
{
    return search_request_parse(kind, slice(type), (const guint8 *)body, strlen(body), ret);
}

static void check_good(SearchKind kind, const char *body, const char *text, guint count, const char *scope)
{
    SearchRequest request = {0};
    g_test_message("%s", body);
    g_assert_null(parse(kind, "application/json", body, &request));
    g_assert_cmpstr(request.text, ==, text);
    g_assert_cmpuint(request.count, ==, count);
    g_assert_cmpstr(request.scope, ==, scope);
    search_request_clear(&request);
}

static void test_good(void)
{
    check_good(SEARCH_TEXT, "{\"q\":\"caesar\"}", "caesar", 10, "");
    check_good(SEARCH_TEXT, "{\"q\":\"\",\"k\":8,\"scope\":\"history\"}", "", 8, "history");
    check_good(SEARCH_TEXT, "{\"q\":\"x\",\"unknown\":[1,{}],\"term\":5}", "x", 10, "");
    check_good(SEARCH_TEXT, "{\"q\":\"caff\\u00e8\"}", "caffè", 10, "");
    check_good(SEARCH_TEXT, "{\"q\":\"a\\u0000b\"}", "a      b", 10, "");
    check_good(SEARCH_TEXT, "{\"q\":\"a\\\\u0000b\"}", "a\\u0000b", 10, "");
    check_good(SEARCH_TEXT, "{\"q\":\"\\\\\\u0000\"}", "\\      ", 10, "");
    check_good(SEARCH_LOOKUP, "{\"term\":\"caesar\"}", "caesar", 5, "");
    check_good(SEARCH_LOOKUP, "{\"term\":\"c\",\"limit\":\"3\",\"scope\":7}", "c", 3, "");
}

static void test_counts(void)
{
    static const struct {
        const char *k;
        guint expected;
    } cases[] = {
        {"1", 1},       {"50", 50},    {"51", 50},     {"0", 1},
        {"-7", 1},      {"\"7\"", 7},  {"\" 7 \"", 7}, {"\"+7\"", 7},
        {"\"7.0\"", 7}, {"\"-7\"", 1}, {"7.0", 7},     {"1e3", 50},
        {"1e300", 50},  {"true", 1},   {"false", 1},   {"\"99999999999999999999999\"", 50},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *body = g_strdup_printf("{\"q\":\"x\",\"k\":%s}", cases[i].k);
        check_good(SEARCH_TEXT, body, "x", cases[i].expected, "");
    }
    check_good(SEARCH_LOOKUP, "{\"term\":\"x\",\"limit\":99}", "x", 20, "");
}

/* The one problem of a 422: its type and the key below "body". */
static void check_bad(const char *type, const char *body, const char *problem, const char *loc)
{
    SearchRequest request = {0};
    g_test_message("%s", body);
    g_autoptr(HttpReply) reply = parse(SEARCH_TEXT, type, body, &request);
    g_assert_nonnull(reply);
    g_assert_null(request.text);
    g_assert_cmpuint(http_reply_status(reply), ==, 422);
    gsize len;
    const char *json = g_bytes_get_data(http_reply_body(reply), &len);
    g_autoptr(JsonDoc) doc = json_doc_parse(json, len, len, NULL);
    const JsonValue *list = json_object_get(json_doc_root(doc), "detail");
    g_assert_cmpuint(json_value_count(list), ==, 1);
    const JsonValue *first = json_value_first(list);
    g_assert_cmpstr(json_value_string(json_object_get(first, "type")), ==, problem);
    g_assert_nonnull(json_object_get(first, "msg"));
    const JsonValue *place = json_value_first(json_object_get(first, "loc"));
    g_assert_cmpstr(json_value_string(place), ==, "body");
    place = json_value_next(place);
    g_assert_cmpstr(place != NULL ? json_value_string(place) : NULL, ==, loc);
}

static void test_bad(void)
{
    const char *json = "application/json";
    check_bad(json, "", "missing", NULL);
    check_bad(json, "{}", "missing", "q");
    check_bad(json, "{\"q\":null}", "string_type", "q");
    check_bad(json, "{\"q\":5}", "string_type", "q");
    check_bad(json, "{\"q\":[\"x\"]}", "string_type", "q");
    check_bad(json, "{\"q\":\"x\",\"k\":\"abc\"}", "int_parsing", "k");
    check_bad(json, "{\"q\":\"x\",\"k\":\"\"}", "int_parsing", "k");
    check_bad(json, "{\"q\":\"x\",\"k\":\"7.5\"}", "int_parsing", "k");
    check_bad(json, "{\"q\":\"x\",\"k\":\"0x7\"}", "int_parsing", "k");
    check_bad(json, "{\"q\":\"x\",\"k\":7.5}", "int_from_float", "k");
    check_bad(json, "{\"q\":\"x\",\"k\":null}", "int_type", "k");
    check_bad(json, "{\"q\":\"x\",\"k\":[1]}", "int_type", "k");
    check_bad(json, "{\"q\":\"x\",\"scope\":null}", "string_type", "scope");
    check_bad(json, "[]", "model_attributes_type", NULL);
    check_bad(json, "\"q\"", "model_attributes_type", NULL);
    check_bad(json, "{\"q\":\"x\"", "json_invalid", NULL);
    check_bad(json, "{\"q\":\"x\"} x", "json_invalid", NULL);
    check_bad(json, "\xff", "json_invalid", NULL);
    check_bad("text/plain", "{\"q\":\"x\"}", "model_attributes_type", NULL);
    check_bad("application/x-www-form-urlencoded", "q=x", "model_attributes_type", NULL);
    check_bad("application/jsonx", "{\"q\":\"x\"}", "model_attributes_type", NULL);
    check_bad(NULL, "{\"q\":\"x\"}", "model_attributes_type", NULL);
}

static void test_two_problems(void)
{
    SearchRequest request = {0};
    g_autoptr(HttpReply) reply = parse(SEARCH_TEXT, "application/json", "{\"q\":1,\"k\":\"x\"}", &request);
    gsize len;
    const char *json = g_bytes_get_data(http_reply_body(reply), &len);
    g_autoptr(JsonDoc) doc = json_doc_parse(json, len, len, NULL);
    g_assert_cmpuint(json_value_count(json_object_get(json_doc_root(doc), "detail")), ==, 2);
}

static void test_content_types(void)
{
    static const char *const types[] = {"application/json", "APPLICATION/JSON; charset=utf-8",
                                        "application/json ;x=y", "application/vnd.api+json"};
    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        SearchRequest request = {0};
        g_assert_null(parse(SEARCH_TEXT, types[i], "{\"q\":\"x\"}", &request));
        search_request_clear(&request);
    }
}

static void test_too_long(void)
{
    g_autofree char *word = g_strnfill(600 * 1024, 'a');
    g_autofree char *body = g_strdup_printf("{\"q\":\"%s\"}", word);
    check_bad("application/json", body, "string_too_long", "q");
}

static void test_hits_reply(void)
{
    char pack[] = "p", file[] = "f.md", title[] = "t \"x\"", summary[] = "s", pack_summary[] = "ps";
    SearchHit hit = {pack, file, title, summary, pack_summary, -1.5};
    g_autoptr(GPtrArray) hits = g_ptr_array_new();
    g_ptr_array_add(hits, &hit);
    g_autoptr(HttpReply) reply = search_hits_reply(hits);
    gsize len;
    const char *json = g_bytes_get_data(http_reply_body(reply), &len);
    const char *expected =
        "{\"results\":[{\"pack_path\":\"p\",\"page_file\":\"f.md\",\"title\":\"t \\\"x\\\"\","
        "\"summary\":\"s\",\"pack_summary\":\"ps\",\"score\":-1.5,\"pack\":\"p\",\"file\":\"f.md\"}]}";
    g_assert_cmpmem(json, len, expected, strlen(expected));
}

/* A plain reply of every status has the reason as its detail. */
static void test_status_replies(void)
{
    static const guint statuses[] = {400, 401, 403, 404, 405, 413, 414, 416, 422, 431, 500, 503};
    for (guint i = 0; i < G_N_ELEMENTS(statuses); i++) {
        g_autoptr(HttpReply) reply = status_reply(statuses[i]);
        g_autofree char *expected = g_strdup_printf("{\"detail\":\"%s\"}", http_status_text(statuses[i]));
        gsize len;
        const char *json = g_bytes_get_data(http_reply_body(reply), &len);
        g_assert_cmpuint(http_reply_status(reply), ==, statuses[i]);
        g_assert_cmpmem(json, len, expected, strlen(expected));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/broker/search-request/good", test_good);
    g_test_add_func("/broker/search-request/counts", test_counts);
    g_test_add_func("/broker/search-request/bad", test_bad);
    g_test_add_func("/broker/search-request/two-problems", test_two_problems);
    g_test_add_func("/broker/search-request/content-types", test_content_types);
    g_test_add_func("/broker/search-request/too-long", test_too_long);
    g_test_add_func("/broker/search-request/hits-reply", test_hits_reply);
    g_test_add_func("/broker/search-request/status-replies", test_status_replies);
    return g_test_run();
}
