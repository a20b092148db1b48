/* SPDX-License-Identifier: MIT */
#include "broker/relay/node_message.h"

#include "schema/limits.h"

#include <string.h>

static gboolean scan(NodeMessage *message, const char *text)
{
    /* An exact copy lets ASan see a read beyond the end. */
    gsize len = strlen(text);
    static char *copy;
    g_free(copy);
    copy = len == 0 ? NULL : g_memdup2(text, len);
    return node_message_scan(message, copy, len);
}

static void test_accepts(void)
{
    static const char *const texts[] = {
        "{}",
        " \t\r\n{ } \n",
        "{\"type\":\"ping\"}",
        "{\"a\":[1,2,{\"b\":null}],\"c\":{},\"d\":[ ],\"e\":-0.5e+3,\"f\":true,\"g\":false}",
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
        "{\"ключ\":\"héllo wörld, long enough for words\"}",
        "{\"unknown\":1,\"unknown\":2}",
    };
    NodeMessage message;
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        if (!scan(&message, texts[i]))
            g_error("refused: %s", texts[i]);
}

static void test_refuses(void)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "[]",
        "\"ping\"",
        "null",
        "{}x",
        "{},",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\":\"\x01\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"abcdefgh\x02zzzzzzz\"}",
        "{\"a\":\"open",
        "{\"a\":\"open\\",
        "{\"a\":\"\\u12",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":{\"b\" 1}}",
        "{\"type\":\"ping\",\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"\\u0074ype\":\"ping\"}",
        "\xef\xbb\xbf{}",
    };
    NodeMessage message;
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        if (scan(&message, texts[i]))
            g_error("accepted: %s", texts[i]);
}

static void test_depth(void)
{
    NodeMessage message;
    for (guint depth = 1; depth <= LIMIT_JSON_DEPTH + 2; depth++) {
        /* The message itself is the first level. */
        g_autofree char *open = g_strnfill(depth - 1, '['), *close = g_strnfill(depth - 1, ']');
        g_autofree char *text = g_strdup_printf("{\"a\":%s%s%s}", open, depth == 1 ? "1" : "", close);
        g_assert_cmpint(scan(&message, text), ==, depth <= LIMIT_JSON_DEPTH);
    }
    g_autofree char *abyss = g_strnfill(500000, '[');
    g_autofree char *text = g_strdup_printf("{\"a\":%s", abyss);
    g_assert_false(scan(&message, text));
}

static void test_types(void)
{
    static const struct {
        const char *text;
        MessageType type;
    } cases[] = {
        {"{\"type\":\"register\"}", MESSAGE_REGISTER}, {"{\"type\":\"ping\"}", MESSAGE_PING},
        {"{\"type\":\"query\"}", MESSAGE_QUERY},       {"{\"type\":\"response\"}", MESSAGE_RESPONSE},
        {"{\"type\":\"p\\u0069ng\"}", MESSAGE_PING},   {"{\"\\u0074ype\":\"ping\"}", MESSAGE_PING},
        {"{\"type\":\"Ping\"}", MESSAGE_UNKNOWN},      {"{\"type\":\"pings\"}", MESSAGE_UNKNOWN},
        {"{\"type\":\"\"}", MESSAGE_UNKNOWN},          {"{\"type\":1}", MESSAGE_UNKNOWN},
        {"{\"Type\":\"ping\"}", MESSAGE_UNKNOWN},      {"{}", MESSAGE_UNKNOWN},
    };
    NodeMessage message;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_true(scan(&message, cases[i].text));
        g_assert_cmpint(node_message_type(&message), ==, cases[i].type);
    }
}

static void test_decode(void)
{
    char buffer[16];
    gsize len;
    NodeMessage message;
    const MessageField *id = &message.fields[MESSAGE_KEY_QUERY_ID];
    g_assert_true(scan(&message, "{\"query_id\":\"a\\u00e9\\ud83d\\ude00\\\"\"}"));
    g_assert_true(message_field_decode(id, buffer, sizeof buffer, &len));
    g_assert_cmpstr(buffer, ==, "aé😀\"");
    g_assert_cmpuint(len, ==, 8);
    g_assert_true(message_field_decode(id, buffer, 9, &len));
    g_assert_false(message_field_decode(id, buffer, 8, &len));
    g_assert_true(scan(&message, "{\"query_id\":\"abc\"}"));
    g_assert_true(message_field_decode(id, buffer, 4, &len));
    g_assert_false(message_field_decode(id, buffer, 3, &len));
    g_assert_true(scan(&message, "{\"query_id\":\"a\\u0000b\"}"));
    g_assert_false(message_field_decode(id, buffer, sizeof buffer, &len));
}

static void check_integer(const char *number, gboolean expected, gint64 expected_value)
{
    NodeMessage message;
    gint64 value = -7;
    g_autofree char *text = g_strdup_printf("{\"vram_used_mb\":%s}", number);
    g_assert_true(scan(&message, text));
    g_assert_cmpint(message_field_integer(&message.fields[MESSAGE_KEY_VRAM_USED_MB], 0, 100, &value), ==,
                    expected);
    g_assert_cmpint(value, ==, expected ? expected_value : -7);
}

static void test_integer(void)
{
    check_integer("0", TRUE, 0);
    check_integer("-0", TRUE, 0);
    check_integer("100", TRUE, 100);
    check_integer("1e2", TRUE, 100);
    check_integer("7.0", TRUE, 7);
    check_integer("101", FALSE, 0);
    check_integer("-1", FALSE, 0);
    check_integer("0.5", FALSE, 0);
    check_integer("1e999", FALSE, 0);
    check_integer("1e-999", TRUE, 0); /* nothing else fits a double */
    check_integer("\"1\"", FALSE, 0);
    check_integer("true", FALSE, 0);
}

static void test_printable(void)
{
    static const char *const good[] = {"", "host-1234abcd", "höst 東京", "a/b\\\"<>"};
    static const char *const bad[] = {"a\nb",         "\x7f",         "\xc2\x85", "a\xe2\x80\x8f",
                                      "\xe2\x80\xa8", "\xef\xbb\xbf", "\xff"};
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(message_text_is_printable(good[i], strlen(good[i])));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(message_text_is_printable(bad[i], strlen(bad[i])));
}

/* What was complete before a message was cut stays usable. */
static void test_beginning_of_a_message(void)
{
    NodeMessage message;
    g_assert_false(scan(&message, "{\"type\":\"query\",\"query_id\":\"q\",\"payload\":\"aaaaaaaaaaaaaaaaaa"));
    g_assert_cmpint(message.fields[MESSAGE_KEY_QUERY_ID].kind, ==, MESSAGE_FIELD_STRING);
    g_assert_cmpint(message.fields[MESSAGE_KEY_PAYLOAD].kind, ==, MESSAGE_FIELD_ABSENT);
    g_assert_false(scan(&message, "{\"type\":\"query\",\"query_id\":\"q"));
    g_assert_cmpint(message.fields[MESSAGE_KEY_QUERY_ID].kind, ==, MESSAGE_FIELD_ABSENT);
}

#define assert_text(bytes, expected)                                                                         \
    do {                                                                                                     \
        g_autoptr(GBytes) bytes_ = (bytes);                                                                  \
        g_autofree char *text_ = g_strndup(g_bytes_get_data(bytes_, NULL), g_bytes_get_size(bytes_));        \
        g_assert_cmpstr(text_, ==, (expected));                                                              \
    } while (0)

static void test_build(void)
{
    NodeMessage message;
    assert_text(node_message_challenge("AAA="), "{\"type\":\"challenge\",\"nonce\":\"AAA=\"}");
    assert_text(node_message_registered("a\"b"), "{\"type\":\"registered\",\"node_id\":\"a\\\"b\"}");
    assert_text(node_message_error("x", NULL), "{\"type\":\"error\",\"error\":\"x\"}");
    assert_text(node_message_error("x", "q\\"),
                "{\"type\":\"error\",\"error\":\"x\",\"query_id\":\"q\\\\\"}");
    g_assert_true(scan(
        &message, "{\"query_id\":\"\\u0071\",\"from_node\":\"m\\n\",\"payload\":\"p\\/\",\"to\":\"t\"}"));
    assert_text(node_message_query(&message, NULL),
                "{\"type\":\"query\",\"query_id\":\"\\u0071\",\"from_node\":\"m\\n\",\"requester_pubkey\":"
                "\"\",\"payload\":\"p\\/\"}");
    assert_text(node_message_query(&message, "\"id\""),
                "{\"type\":\"query\",\"query_id\":\"\\u0071\",\"from_node\":\"id\",\"requester_pubkey\":\"\","
                "\"payload\":\"p\\/\"}");
    assert_text(node_message_response(&message, NULL),
                "{\"type\":\"response\",\"query_id\":\"\\u0071\",\"from_node\":null,\"payload\":\"p\\/\"}");
    assert_text(node_message_response(&message, "\"id\""),
                "{\"type\":\"response\",\"query_id\":\"\\u0071\",\"from_node\":\"id\",\"payload\":\"p\\/\"}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/node-message/accepts", test_accepts);
    g_test_add_func("/node-message/refuses", test_refuses);
    g_test_add_func("/node-message/depth", test_depth);
    g_test_add_func("/node-message/types", test_types);
    g_test_add_func("/node-message/decode", test_decode);
    g_test_add_func("/node-message/integer", test_integer);
    g_test_add_func("/node-message/printable", test_printable);
    g_test_add_func("/node-message/beginning", test_beginning_of_a_message);
    g_test_add_func("/node-message/build", test_build);
    return g_test_run();
}
