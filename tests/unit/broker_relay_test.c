/* SPDX-License-Identifier: MIT */
#include "broker/relay/identity.h"
#include "broker/relay/node_record.h"
#include "relay_world.h"
#include "schema/json_reader.h"

#include <signal.h>
#include <sys/resource.h>

#define QUERY(id, to)                                                                                        \
    "{\"type\": \"query\", \"query_id\": \"" id "\", \"to\": \"" to "\", \"from_node\": \"me\", "            \
    "\"requester_pubkey\": \"rk\", \"payload\": \"p\"}"
#define RESPONSE(id) "{\"type\": \"response\", \"query_id\": \"" id "\", \"to\": \"x\", \"payload\": \"a\"}"
#define GOOD_KEY "V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE="

static char *nodes_text(World *world, guint shard)
{
    g_autoptr(GBytes) json = relay_shard_nodes_json(world->shards[shard], world->now_us);
    return g_strndup(g_bytes_get_data(json, NULL), g_bytes_get_size(json));
}

/* The ids in GET /nodes, in order, joined by blanks. */
static char *nodes_ids(World *world, guint shard)
{
    g_autofree char *text = nodes_text(world, shard);
    g_autoptr(JsonDoc) doc = json_doc_parse(text, strlen(text), strlen(text), NULL);
    g_assert_nonnull(doc);
    GString *ids = g_string_new(NULL);
    for (const JsonValue *node = json_value_first(json_doc_root(doc)); node != NULL;
         node = json_value_next(node))
        g_string_append_printf(ids, "%s%s", ids->len > 0 ? " " : "", json_value_key(node));
    return g_string_free(ids, FALSE);
}

#define assert_nodes(world, expected)                                                                        \
    for (guint shard_ = 0; shard_ < WORLD_SHARDS; shard_++) {                                                \
        g_autofree char *ids_ = nodes_ids((world), shard_);                                                  \
        g_assert_cmpstr(ids_, ==, (expected));                                                               \
    }

/* --- Registration --- */

static void test_challenges_differ(void)
{
    World *world = world_new();
    Socket *a = socket_open(world, 0), *b = socket_open(world, 0);
    g_assert_cmpint(memcmp(a->nonce, b->nonce, sizeof a->nonce), !=, 0);
    g_assert_cmpuint(relay_connection_count(world->relay), ==, 2);
    socket_free(a);
    socket_free(b);
    g_assert_cmpuint(relay_connection_count(world->relay), ==, 0);
    world_free(world);
}

static void test_register_and_list(void)
{
    World *world = world_new();
    assert_nodes(world, "");
    Socket *a = socket_open(world, 0);
    g_autofree char *text = register_message(
        a, "höst-1", 1,
        ", \"tier_name\": \"server-s\", \"vram_used_mb\": 8192, \"public_key\": \"" GOOD_KEY "\"");
    socket_write(world, a, text);
    g_assert_true(a->paused);
    assert_nothing(a);
    world_settle(world);
    assert_next(a, "{\"type\":\"registered\",\"node_id\":\"höst-1\"}");
    g_assert_false(a->paused);
    Socket *b = socket_open_node(world, 1, "b\\\"", 2);
    g_assert_cmpuint(relay_node_count(world->relay), ==, 2);
    g_autofree char *nodes = nodes_text(world, 1);
    g_autoptr(GRegex) shape =
        g_regex_new("^{\"höst-1\":{\"tier_name\":\"server-s\",\"vram_used_mb\":8192,"
                    "\"public_key\":\"V9tL[^\"]*\",\"last_seen\":"
                    "\"20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}\\+00:00\"},"
                    "\"b[\\\\\"]{4}\":{\"tier_name\":\"micro\",\"vram_used_mb\":0,\"public_"
                    "key\":\"\",\"last_seen\":\"[^\"]*\"}}$",
                    0, 0, NULL);
    g_assert_true(g_regex_match(shape, nodes, 0, NULL));
    socket_free(a);
    world_settle(world);
    g_assert_cmpuint(relay_node_count(world->relay), ==, 1);
    socket_free(b);
    world_free(world);
}

/* The time is laid out by hand: compared with GLib's on times around all borders. */
static void test_last_seen(void)
{
    const guint8 key[ED25519_PUBLIC_BYTES] = {0};
    const NodeFields fields = {.node_id = "n", .tier_name = "t", .public_key = "", .signing_key = key};
    const gint64 day = 24 * 3600 * (gint64)G_USEC_PER_SEC;
    NodeRecord *record = node_record_new(&fields, (ConnRef){0}, 0);
    for (guint i = 0; i < 20000; i++) {
        gint64 wall_us = i < 10000 ? g_test_rand_int_range(0, 80000) * day + g_test_rand_int_range(-2, 3)
                                   : (gint64)(g_test_rand_double() * 4e9 * G_USEC_PER_SEC);
        if (wall_us < 0)
            continue;
        g_autoptr(GString) out = g_string_new(NULL);
        node_record_append_json(record, wall_us, out);
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(wall_us / G_USEC_PER_SEC);
        g_autofree char *seconds = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
        g_autofree char *expected =
            g_strdup_printf("\"n\":{\"tier_name\":\"t\",\"vram_used_mb\":0,\"public_key\":\"\","
                            "\"last_seen\":\"%s.%06d+00:00\"}",
                            seconds, (int)(wall_us % G_USEC_PER_SEC));
        g_assert_cmpstr(out->str, ==, expected);
    }
    node_record_unref(record);
}

static void test_order_is_kept(void)
{
    World *world = world_new();
    Socket *a = socket_open_node(world, 0, "a", 1), *b = socket_open_node(world, 1, "b", 2);
    socket_register(world, a, "a", 1);
    world_settle(world);
    assert_next(a, "{\"type\":\"registered\",\"node_id\":\"a\"}");
    assert_nodes(world, "a b");
    socket_free(a);
    a = socket_open_node(world, 0, "a", 1);
    assert_nodes(world, "b a");
    socket_free(a);
    socket_free(b);
    world_free(world);
}

static void check_refused(World *world, const char *message, const char *expected_error)
{
    Socket *socket = socket_open(world, 0);
    socket_write(world, socket, message);
    g_autofree char *expected = g_strdup_printf("{\"type\":\"error\",\"error\":\"%s\"}", expected_error);
    assert_next(socket, expected);
    g_assert_cmpuint(socket->close_code, ==, 0);
    g_assert_false(socket->paused);
    socket_free(socket);
}

static void test_identity_checks(void)
{
    World *world = world_new();
    static const struct {
        const char *message;
        const char *error;
    } cases[] = {
        {"{\"type\":\"register\"}", "missing_node_id"},
        {"{\"type\":\"register\",\"node_id\":\"\"}", "missing_node_id"},
        {"{\"type\":\"register\",\"node_id\":7}", "missing_node_id"},
        {"{\"type\":\"register\",\"node_id\":\"a\"}", "signature_required"},
        {"{\"type\":\"register\",\"node_id\":\"a\",\"signing_pubkey\":\"\",\"signature\":\"x\"}",
         "signature_required"},
        {"{\"type\":\"register\",\"node_id\":\"a\",\"signing_pubkey\":\"x\",\"signature\":null}",
         "signature_required"},
        {"{\"type\":\"register\",\"node_id\":\"a\",\"signing_pubkey\":\"x\",\"signature\":\"y\"}",
         "invalid_signature"},
        {"{\"type\":\"register\",\"node_id\":\"a\",\"signing_pubkey\":5,\"signature\":[]}",
         "invalid_signature"},
        /* The neutral element as key, with a signature that satisfies the equation for any message. */
        {"{\"type\":\"register\",\"node_id\":\"a\",\"signing_pubkey\":"
         "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
         "\"signature\":"
         "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"}",
         "invalid_signature"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        check_refused(world, cases[i].message, cases[i].error);
    g_assert_cmpuint(world_counter(world, RELAY_REGISTER_REFUSED), ==, G_N_ELEMENTS(cases));
    Socket *a = socket_open(world, 0), *b = socket_open(world, 0);
    g_autofree char *text = register_message(a, "a", 1, "");
    socket_write(world, b, text); /* signed for another connection */
    assert_error(b, "invalid_signature");
    /* The same attempt again, as it should be: the socket has stayed open. */
    socket_register(world, b, "a", 1);
    world_settle(world);
    assert_next(b, "{\"type\":\"registered\",\"node_id\":\"a\"}");
    socket_free(a);
    socket_free(b);
    world_free(world);
}

static void test_field_checks(void)
{
    World *world = world_new();
    g_autofree char *long_id = g_strnfill(LIMIT_NODE_ID_BYTES + 1, 'n');
    const struct {
        const char *node_id;
        const char *further;
        const char *error;
    } cases[] = {
        {"a\tb", "", "invalid_node_id"},
        {long_id, "", "invalid_node_id"},
        {" ", "", "invalid_node_id"},
        {"a ", "", "invalid_node_id"},
        {"a\xe2\x80\xae"
         "b",
         "", "invalid_node_id"}, /* a direction override */
        {"a", ", \"vram_used_mb\": \"8192\"", "invalid_vram_used_mb"},
        {"a", ", \"vram_used_mb\": -1", "invalid_vram_used_mb"},
        {"a", ", \"vram_used_mb\": 1.5", "invalid_vram_used_mb"},
        {"a", ", \"vram_used_mb\": 1e300", "invalid_vram_used_mb"},
        {"a", ", \"vram_used_mb\": true", "invalid_vram_used_mb"},
        {"a", ", \"tier_name\": \"\"", "invalid_tier_name"},
        {"a", ", \"tier_name\": \"<b>\"", "invalid_tier_name"},
        {"a", ", \"tier_name\": 4", "invalid_tier_name"},
        {"a", ", \"tier_name\": \"ttttttttttttttttttttttttttttttttt\"", "invalid_tier_name"},
        {"a", ", \"public_key\": \"AAAA\"", "invalid_public_key"},
        {"a", ", \"public_key\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", "invalid_public_key"},
        {"a", ", \"public_key\": \"4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=\"", "invalid_public_key"},
        {"a", ", \"public_key\": 0", "invalid_public_key"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Socket *socket = socket_open(world, 1);
        g_autofree char *text = register_message(socket, cases[i].node_id, 1, cases[i].further);
        socket_write(world, socket, text);
        g_autofree char *expected = g_strdup_printf("{\"type\":\"error\",\"error\":\"%s\"}", cases[i].error);
        assert_next(socket, expected);
        socket_free(socket);
    }
    assert_nodes(world, "");
    world_free(world);
}

static void test_rate_limit_comes_first(void)
{
    World *world = world_prepare();
    rate_limit_set(world->options.register_limit, 2);
    world_start(world);
    check_refused(world, "{\"type\":\"register\"}", "missing_node_id");
    check_refused(world, "{\"type\":\"register\"}", "missing_node_id");
    check_refused(world, "{\"type\":\"register\"}", "register_rate_limit");
    world->now_us += 61 * G_USEC_PER_SEC;
    check_refused(world, "{\"type\":\"register\"}", "missing_node_id");
    world_free(world);
}

static void test_first_key_owns_the_id(void)
{
    World *world = world_new();
    socket_free(socket_open_node(world, 0, "a", 1));
    world_settle(world);
    world_stop(world);
    world_start(world); /* as after a restart */
    Socket *other = socket_open(world, 0);
    socket_register(world, other, "a", 2);
    world_settle(world);
    assert_error(other, "node_id_owned_by_another_key");
    assert_nodes(world, "");
    Socket *owner = socket_open_node(world, 1, "a", 1);
    socket_free(owner);
    socket_free(other);
    world_free(world);
}

static void test_tables_are_bounded(void)
{
    World *world = world_prepare();
    world->options.identities_max = 2;
    world->options.nodes_max = 1;
    world_start(world);
    Socket *a = socket_open_node(world, 0, "a", 1), *b = socket_open(world, 1), *c = socket_open(world, 1);
    socket_register(world, b, "b", 2);
    world_settle(world);
    assert_error(b, "broker_at_capacity");
    socket_register(world, c, "c", 3);
    world_settle(world);
    assert_error(c, "identity_table_full");
    /* Who is registered may register again in a full house. */
    socket_register(world, a, "a", 1);
    world_settle(world);
    assert_next(a, "{\"type\":\"registered\",\"node_id\":\"a\"}");
    socket_free(a);
    socket_register(world, b, "b", 2);
    world_settle(world);
    assert_next(b, "{\"type\":\"registered\",\"node_id\":\"b\"}");
    socket_free(b);
    socket_free(c);
    world_free(world);
}

static void check_takeover(guint old_shard, guint new_shard)
{
    World *world = world_new();
    Socket *old = socket_open_node(world, old_shard, "a", 1);
    Socket *new = socket_open_node(world, new_shard, "a", 1);
    g_assert_cmpuint(old->close_code, ==, 4001);
    g_assert_cmpstr(old->close_reason, ==, "replaced by a newer connection");
    g_assert_cmpuint(world_counter(world, RELAY_TAKEOVER), ==, 1);
    /* What the old socket still says is not heard, and its end takes nothing away from the new one. */
    socket_write(world, old, "{\"type\":\"ping\"}");
    socket_free(old);
    world_settle(world);
    assert_nodes(world, "a");
    Socket *asker = socket_open(world, old_shard);
    socket_write(world, asker, QUERY("q", "a"));
    world_settle(world);
    g_assert_cmpuint(new->sent.length, ==, 1);
    socket_free(asker);
    socket_free(new);
    world_free(world);
}

static void test_takeover(void)
{
    check_takeover(0, 0);
    check_takeover(0, 1);
    check_takeover(1, 0);
}

static void test_second_id_releases_the_first(void)
{
    World *world = world_new();
    Socket *a = socket_open_node(world, 0, "a", 1);
    socket_register(world, a, "b", 1);
    world_settle(world);
    assert_next(a, "{\"type\":\"registered\",\"node_id\":\"b\"}");
    assert_nodes(world, "b");
    g_assert_cmpuint(a->close_code, ==, 0);
    /* A refused attempt keeps what there was. */
    Socket *c = socket_open_node(world, 1, "c", 3);
    socket_register(world, a, "c", 1);
    world_settle(world);
    assert_error(a, "node_id_owned_by_another_key");
    assert_nodes(world, "b c");
    socket_free(a);
    world_settle(world);
    assert_nodes(world, "c");
    socket_free(c);
    world_free(world);
}

static void test_nothing_before_the_answer(void)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, 1, "t", 2), *a = socket_open_node(world, 0, "a", 1);
    Socket *asker = socket_open(world, 0);
    Barrier *barrier = world_stop_state(world);
    socket_register(world, a, "a", 1);
    socket_write(world, a, "{\"type\":\"ping\"}");
    socket_write(world, a, QUERY("q1", "t"));
    socket_write(world, a, "{\"type\":\"query\",\"query_id\":\"q2\",\"to\":\"nobody\"}");
    /* A query to it must wait, too: it stood in the registry all the time. */
    socket_write(world, asker, QUERY("q3", "a"));
    assert_nothing(a);
    assert_nothing(target);
    barrier_reached(barrier, FALSE);
    world_settle(world);
    assert_next(a, "{\"type\":\"registered\",\"node_id\":\"a\"}");
    assert_next(a, "{\"type\":\"query\",\"query_id\":\"q3\",\"from_node\":\"me\",\"requester_pubkey\":\"rk\","
                   "\"payload\":\"p\"}");
    assert_next(a, "{\"type\":\"pong\"}");
    assert_query_error(a, "no_target", "q2");
    assert_next(target, "{\"type\":\"query\",\"query_id\":\"q1\",\"from_node\":\"a\",\"requester_pubkey\":"
                        "\"rk\",\"payload\":\"p\"}");
    g_assert_false(a->paused);
    socket_free(a);
    socket_free(asker);
    socket_free(target);
    world_free(world);
}

static void test_flood_before_the_answer(void)
{
    World *world = world_new();
    Socket *a = socket_open(world, 0);
    socket_register(world, a, "a", 1);
    for (guint i = 0; i < LIMIT_WS_HELD_BYTES / 64 && a->close_code == 0; i++)
        socket_write(world, a, "{\"type\":\"ping\"}");
    g_assert_cmpuint(a->close_code, ==, 1008);
    socket_free(a);
    world_settle(world);
    assert_nodes(world, "");
    world_free(world);
}

static void test_close_while_registering(void)
{
    World *world = world_new();
    Socket *a = socket_open(world, 0);
    socket_register(world, a, "a", 1);
    socket_free(a);
    world_settle(world);
    assert_nodes(world, "");
    g_assert_cmpuint(relay_node_count(world->relay), ==, 0);
    world_free(world);
}

static void test_two_at_once(void)
{
    World *world = world_new();
    Socket *a = socket_open(world, 0), *b = socket_open(world, 1);
    socket_register(world, a, "a", 1);
    socket_register(world, b, "a", 1);
    world_settle(world);
    assert_next(a, "{\"type\":\"registered\",\"node_id\":\"a\"}");
    g_assert_cmpuint(a->close_code, ==, 4001);
    assert_next(b, "{\"type\":\"registered\",\"node_id\":\"a\"}");
    socket_free(a);
    world_settle(world);
    assert_nodes(world, "a");
    socket_free(b);
    world_free(world);
}

/* --- Liveness --- */

static void test_ping_keeps_alive(void)
{
    World *world = world_new();
    Socket *a = socket_open_node(world, 0, "a", 1), *b = socket_open_node(world, 1, "b", 2);
    Socket *guest = socket_open(world, 0);
    world_advance(world, 60);
    socket_write(world, a, "{\"type\": \"ping\"}");
    socket_write(world, guest, "{\"type\": \"ping\"}");
    assert_next(a, "{\"type\":\"pong\"}");
    assert_next(guest, "{\"type\":\"pong\"}");
    world_advance(world, 29);
    assert_nodes(world, "a b");
    world_advance(world, 1);
    assert_nodes(world, "a");
    g_assert_cmpuint(b->close_code, ==, 4002);
    g_assert_cmpuint(a->close_code, ==, 0);
    g_assert_cmpuint(guest->close_code, ==, 0);
    g_assert_cmpuint(world_counter(world, RELAY_NODE_DEAD), ==, 1);
    socket_free(guest);
    socket_free(a);
    socket_free(b);
    world_free(world);
}

static void test_noise_is_ignored(void)
{
    static const char *const noise[] = {"",
                                        "x",
                                        "[]",
                                        "\"ping\"",
                                        "{\"type\":\"hello\"}",
                                        "{}",
                                        "{\"type\":5}",
                                        "null",
                                        "{\"type\":\"ping\"",
                                        "{\"type\":\"ping\"}}"};
    World *world = world_new();
    Socket *a = socket_open(world, 0);
    for (guint i = 0; i < G_N_ELEMENTS(noise); i++)
        socket_write(world, a, noise[i]);
    assert_nothing(a);
    g_assert_cmpuint(a->close_code, ==, 0);
    g_assert_cmpuint(world_counter(world, RELAY_MESSAGE_IGNORED), ==, G_N_ELEMENTS(noise));
    socket_free(a);
    world_free(world);
}

/* --- Queries --- */

static void check_round_trip(guint asker_shard, guint target_shard)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, target_shard, "t", 1), *asker = socket_open(world, asker_shard);
    socket_write(world, asker, QUERY("q\\u0041", "t"));
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 1);
    world_settle(world);
    assert_next(target, "{\"type\":\"query\",\"query_id\":\"q\\u0041\",\"from_node\":\"me\",\"requester_"
                        "pubkey\":\"rk\",\"payload\":\"p\"}");
    socket_write(world, target, RESPONSE("qA"));
    world_settle(world);
    assert_next(asker, "{\"type\":\"response\",\"query_id\":\"qA\",\"from_node\":\"t\",\"payload\":\"a\"}");
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    /* The id can be used again at once; a second answer finds nothing. */
    socket_write(world, target, RESPONSE("qA"));
    socket_write(world, asker, QUERY("qA", "t"));
    world_settle(world);
    g_assert_cmpuint(target->sent.length, ==, 1);
    assert_nothing(asker);
    g_assert_cmpuint(world_counter(world, RELAY_RESPONSE_DROPPED), ==, 1);
    g_assert_cmpuint(world_counter(world, RELAY_QUERY_ROUTED), ==, 2);
    g_assert_cmpuint(world_counter(world, RELAY_QUERY_ANSWERED), ==, 1);
    socket_free(asker);
    world_settle(world);
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    socket_write(world, target, RESPONSE("qA"));
    g_assert_cmpuint(world_counter(world, RELAY_RESPONSE_DROPPED), ==, 2);
    socket_free(target);
    world_free(world);
}

static void test_round_trip(void)
{
    check_round_trip(0, 0);
    check_round_trip(0, 1);
    check_round_trip(1, 0);
}

static void test_from_node_of_a_registered_socket(void)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *asker = socket_open_node(world, 0, "a", 2);
    socket_write(world, asker, QUERY("q", "t"));
    assert_next(target, "{\"type\":\"query\",\"query_id\":\"q\",\"from_node\":\"a\",\"requester_pubkey\":"
                        "\"rk\",\"payload\":\"p\"}");
    /* A Node may ask itself. */
    socket_write(world, asker, QUERY("r", "a"));
    socket_write(world, asker, RESPONSE("r"));
    g_assert_cmpuint(asker->sent.length, ==, 2);
    socket_free(asker);
    socket_free(target);
    world_free(world);
}

static void test_query_checks(void)
{
    static const struct {
        const char *message;
        const char *answer;
    } cases[] = {
        {"{\"type\":\"query\"}", "{\"type\":\"error\",\"error\":\"missing_query_id\"}"},
        {"{\"type\":\"query\",\"query_id\":\"\"}", "{\"type\":\"error\",\"error\":\"missing_query_id\"}"},
        {"{\"type\":\"query\",\"query_id\":null}", "{\"type\":\"error\",\"error\":\"missing_query_id\"}"},
        {"{\"type\":\"query\",\"query_id\":5}", "{\"type\":\"error\",\"error\":\"invalid_query_id\"}"},
        {"{\"type\":\"query\",\"query_id\":\"a\\u0000b\"}",
         "{\"type\":\"error\",\"error\":\"invalid_query_id\"}"},
        {"{\"type\":\"query\",\"query_id\":\"q\"}",
         "{\"type\":\"error\",\"error\":\"no_target\",\"query_id\":\"q\"}"},
        {"{\"type\":\"query\",\"query_id\":\"\\\"q\",\"to\":\"x\"}",
         "{\"type\":\"error\",\"error\":\"no_target\",\"query_id\":\"\\\"q\"}"},
        {"{\"type\":\"query\",\"query_id\":\"q\",\"to\":[\"t\"]}",
         "{\"type\":\"error\",\"error\":\"invalid_to\",\"query_id\":\"q\"}"},
        {"{\"type\":\"query\",\"query_id\":\"q\",\"to\":\"t\",\"from_node\":1}",
         "{\"type\":\"error\",\"error\":\"invalid_from_node\",\"query_id\":\"q\"}"},
        {"{\"type\":\"query\",\"query_id\":\"q\",\"to\":\"t\",\"from_node\":\"\\n\"}",
         "{\"type\":\"error\",\"error\":\"invalid_from_node\",\"query_id\":\"q\"}"},
        {"{\"type\":\"query\",\"query_id\":\"q\",\"to\":\"t\",\"requester_pubkey\":{}}",
         "{\"type\":\"error\",\"error\":\"invalid_requester_pubkey\",\"query_id\":\"q\"}"},
        {"{\"type\":\"query\",\"query_id\":\"q\",\"to\":\"t\",\"payload\":[1]}",
         "{\"type\":\"error\",\"error\":\"invalid_payload\",\"query_id\":\"q\"}"},
    };
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *asker = socket_open(world, 0);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        socket_write(world, asker, cases[i].message);
        assert_next(asker, cases[i].answer);
    }
    assert_nothing(target);
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    /* Absent and null become "". */
    socket_write(world, asker, "{\"type\":\"query\",\"query_id\":\"q\",\"to\":\"t\",\"from_node\":null}");
    assert_next(target, "{\"type\":\"query\",\"query_id\":\"q\",\"from_node\":\"\",\"requester_pubkey\":\"\","
                        "\"payload\":\"\"}");
    socket_free(asker);
    socket_free(target);
    world_free(world);
}

static void test_only_the_target_answers(void)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *thief = socket_open_node(world, 0, "x", 2);
    Socket *far_thief = socket_open_node(world, 1, "y", 3), *asker = socket_open(world, 1);
    socket_write(world, asker, QUERY("q", "t"));
    world_settle(world);
    socket_write(world, thief, RESPONSE("q"));
    socket_write(world, far_thief, RESPONSE("q"));
    socket_write(world, asker, RESPONSE("q"));
    world_settle(world);
    assert_nothing(asker);
    g_assert_cmpuint(world_counter(world, RELAY_RESPONSE_DROPPED), ==, 3);
    socket_write(world, target, "{\"type\":\"response\",\"query_id\":\"q\",\"payload\":7}");
    g_free(g_queue_pop_head(&target->sent)); /* the query */
    assert_query_error(target, "invalid_payload", "q");
    socket_write(world, target, RESPONSE("q"));
    world_settle(world);
    assert_next(asker, "{\"type\":\"response\",\"query_id\":\"q\",\"from_node\":\"t\",\"payload\":\"a\"}");
    socket_free(asker);
    socket_free(thief);
    socket_free(far_thief);
    socket_free(target);
    world_free(world);
}

static void test_duplicate_ids(void)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *a = socket_open(world, 0),
           *b = socket_open(world, 1);
    socket_write(world, a, QUERY("q", "t"));
    socket_write(world, a, QUERY("q", "nobody"));
    assert_query_error(a, "duplicate_query_id", "q");
    socket_write(world, b, QUERY("q", "t")); /* known to the other shard only */
    world_settle(world);
    assert_query_error(b, "duplicate_query_id", "q");
    g_assert_cmpuint(target->sent.length, ==, 1);
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 1);
    socket_write(world, target, RESPONSE("q"));
    world_settle(world);
    g_assert_cmpuint(a->sent.length, ==, 1);
    assert_nothing(b);
    socket_free(a);
    socket_free(b);
    socket_free(target);
    world_free(world);
}

static void test_pending_is_bounded(void)
{
    World *world = world_prepare();
    world->options.pending_max = 2;
    world_start(world);
    Socket *target = socket_open_node(world, 0, "t", 1), *a = socket_open(world, 0),
           *b = socket_open(world, 1);
    socket_write(world, a, QUERY("q1", "t"));
    socket_write(world, b, QUERY("q2", "t"));
    socket_write(world, a, QUERY("q3", "t"));
    assert_query_error(a, "broker_busy", "q3");
    socket_write(world, b, QUERY("q4", "nobody")); /* the order of checks: busy comes before the target */
    assert_query_error(b, "broker_busy", "q4");
    socket_free(a);
    world_settle(world);
    socket_write(world, b, QUERY("q5", "t"));
    world_settle(world);
    assert_nothing(b);
    socket_free(b);
    socket_free(target);
    world_free(world);
}

static void ask_many(World *world, Socket *asker, guint from, guint count)
{
    for (guint i = from; i < from + count; i++) {
        g_autofree char *text = g_strdup_printf("{\"type\":\"query\",\"query_id\":\"%u\",\"to\":\"t\"}", i);
        socket_write(world, asker, text);
    }
}

static void test_pending_per_party(void)
{
    static const guint per_address[IP_QUOTA_KINDS] = {[IP_QUOTA_PENDING] = LIMIT_PENDING_PER_CONNECTION + 1};
    World *world = world_prepare();
    world->options.pending_max = 100000;
    world_start(world);
    Socket *t = socket_open_node(world, 0, "t", 1), *a = socket_open(world, 0), *b = socket_open(world, 0);
    ask_many(world, a, 0, LIMIT_PENDING_PER_CONNECTION);
    assert_nothing(a);
    ask_many(world, a, 5000, 1);
    assert_query_error(a, "broker_busy", "5000"); /* of its connection */
    ask_many(world, b, 6000, 1);
    assert_query_error(b, "broker_busy", "6000"); /* of the target */
    Socket *u = socket_open_node(world, 1, "u", 2);
    ip_quota_table_set_max(world->quotas, per_address);
    socket_write(world, b, QUERY("7000", "u"));
    assert_nothing(b);
    socket_write(world, b, QUERY("7001", "u"));
    assert_query_error(b, "broker_busy", "7001"); /* of the address */
    socket_free(t);
    g_assert_cmpuint(a->sent.length, ==, LIMIT_PENDING_PER_CONNECTION); /* errors */
    socket_write(world, b, QUERY("7002", "u"));
    world_settle(world);
    assert_nothing(b);
    socket_free(a);
    socket_free(b);
    socket_free(u);
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    world_free(world);
}

static void check_target_gone(guint asker_shard, guint target_shard)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, target_shard, "t", 1), *asker = socket_open(world, asker_shard);
    socket_write(world, asker, QUERY("q1", "t"));
    world_settle(world);
    Barrier *barrier = world_stop_state(world);
    socket_free(target);
    /* Asked before the registry knows that it is gone. */
    socket_write(world, asker, QUERY("q2", "t"));
    barrier_reached(barrier, FALSE);
    world_settle(world);
    socket_write(world, asker, QUERY("q3", "t"));
    assert_query_error(asker, "target_unreachable", "q1");
    assert_query_error(asker, "target_unreachable", "q2");
    assert_query_error(asker, "no_target", "q3");
    g_assert_cmpuint(world_counter(world, RELAY_QUERY_TARGET_GONE), ==, 1);
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    socket_free(asker);
    world_free(world);
}

static void test_target_gone(void)
{
    check_target_gone(0, 0);
    check_target_gone(0, 1);
}

static void check_full_target(guint asker_shard)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *asker = socket_open(world, asker_shard);
    target->full = TRUE;
    socket_write(world, asker, QUERY("q", "t"));
    world_settle(world);
    assert_query_error(asker, "target_unreachable", "q");
    g_assert_cmpuint(world_counter(world, RELAY_QUERY_REFUSED_UNREACHABLE), ==, 1);
    socket_free(asker);
    socket_free(target);
    world_free(world);
}

static void test_full_target(void)
{
    check_full_target(0);
    check_full_target(1);
}

static void check_expiry(guint asker_shard, guint target_shard)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, target_shard, "t", 1), *asker = socket_open(world, asker_shard);
    socket_write(world, asker, QUERY("q", "t"));
    world_settle(world);
    world_advance(world, 59.9);
    assert_nothing(asker);
    socket_write(world, target, "{\"type\":\"ping\"}");
    world_advance(world, 0.2);
    assert_query_error(asker, "query_expired", "q");
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    socket_write(world, target, RESPONSE("q"));
    world_settle(world);
    assert_nothing(asker);
    g_assert_cmpuint(world_counter(world, RELAY_QUERY_EXPIRED), ==, 1);
    socket_free(asker);
    socket_free(target);
    world_free(world);
}

static void test_expiry(void)
{
    check_expiry(0, 0);
    check_expiry(1, 0);
}

static void test_answer_meets_cancel(void)
{
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *asker = socket_open(world, 1);
    socket_write(world, asker, QUERY("q", "t"));
    world_settle(world);
    /* The answer is on its way when the time is up, and the id is used again before it arrives. */
    socket_write(world, target, RESPONSE("q"));
    world->now_us += 61 * G_USEC_PER_SEC;
    relay_shard_tick(world->shards[1], world->now_us);
    assert_query_error(asker, "query_expired", "q");
    Socket *other = socket_open_node(world, 1, "o", 2);
    g_free(g_queue_pop_head(&target->sent));
    socket_write(world, asker, QUERY("q", "o"));
    world_settle(world);
    assert_nothing(asker);
    socket_write(world, other, RESPONSE("q"));
    assert_next(asker, "{\"type\":\"response\",\"query_id\":\"q\",\"from_node\":\"o\",\"payload\":\"a\"}");
    socket_free(asker);
    socket_free(target);
    socket_free(other);
    world_free(world);
}

static void test_look_up_reads_mail_first(void)
{
    World *world = world_new();
    Socket *target = socket_open(world, 1), *asker = socket_open(world, 0);
    socket_register(world, target, "t", 1);
    world_commit(world);
    mailbox_drain(world->mailboxes[1]); /* "registered" has been sent; shard 0 has read nothing */
    assert_next(target, "{\"type\":\"registered\",\"node_id\":\"t\"}");
    g_autofree char *ids = nodes_ids(world, 0);
    g_assert_cmpstr(ids, ==, "t");
    Socket *moved = socket_open(world, 0);
    socket_register(world, moved, "t", 1);
    world_commit(world);
    socket_write(world, asker, QUERY("q", "t"));
    world_settle(world);
    assert_next(moved, "{\"type\":\"registered\",\"node_id\":\"t\"}");
    g_assert_cmpuint(moved->sent.length, ==, 1);
    assert_nothing(target);
    assert_nothing(asker);
    socket_free(asker);
    socket_free(target);
    socket_free(moved);
    world_free(world);
}

/* --- Sizes and speed --- */

static void test_oversize(void)
{
    static const char start[] =
        "{\"type\": \"query\", \"to\": \"t\", \"query_id\": \"q\", \"payload\": \"aaaa";
    static const char answer[] = "{\"type\": \"response\", \"query_id\": \"r\", \"payload\": \"aaaa";
    World *world = world_new();
    Socket *target = socket_open_node(world, 0, "t", 1), *asker = socket_open(world, 1);
    relay_conn_oversize(asker->conn, start, sizeof start - 1, world->now_us);
    assert_query_error(asker, "frame_too_large", "q");
    relay_conn_oversize(asker->conn, "xxxx", 4, world->now_us);
    assert_error(asker, "frame_too_large");
    g_assert_cmpuint(asker->close_code, ==, 0);
    /* An answer that is too long ends the waiting. */
    socket_write(world, asker, QUERY("r", "t"));
    world_settle(world);
    g_free(g_queue_pop_head(&target->sent));
    relay_conn_oversize(target->conn, answer, sizeof answer - 1, world->now_us);
    world_settle(world);
    assert_query_error(target, "frame_too_large", "r");
    assert_query_error(asker, "response_too_large", "r");
    g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
    socket_free(asker);
    socket_free(target);
    world_free(world);
}

static void test_forwarded_frame_is_bounded(void)
{
    g_autofree char *long_id = g_strnfill(LIMIT_NODE_ID_BYTES, 'n');
    World *world = world_new();
    Socket *node = socket_open_node(world, 0, long_id, 1);
    /* Within the limit as received; above it with the Node's own id. */
    g_autoptr(GString) text = g_string_new("{\"type\":\"query\",\"query_id\":\"q\",\"to\":\"");
    g_string_append_printf(text, "%s\",\"payload\":\"", long_id);
    gsize head = text->len;
    g_string_set_size(text, LIMIT_WS_MESSAGE_BYTES - 2);
    memset(text->str + head, 'p', text->len - head);
    g_string_append(text, "\"}");
    socket_write(world, node, text->str);
    assert_query_error(node, "frame_too_large", "q");
    Socket *guest = socket_open(world, 1);
    socket_write(world, guest, text->str);
    world_settle(world);
    g_assert_cmpuint(node->sent.length, ==, 1);
    socket_free(guest);
    socket_free(node);
    world_free(world);
}

static void test_flood_is_slowed(void)
{
    World *world = world_prepare();
    world->options.messages_per_second = 100;
    world_start(world);
    Socket *a = socket_open(world, 0), *b = socket_open(world, 0);
    for (guint i = 0; i < 100; i++)
        socket_write(world, a, "{\"type\":\"ping\"}");
    g_assert_false(a->paused);
    socket_write(world, a, "{\"type\":\"ping\"}");
    g_assert_true(a->paused);
    g_assert_cmpuint(a->sent.length, ==, 101); /* what was read already is served */
    g_assert_cmpuint(world_counter(world, RELAY_CONN_THROTTLED), ==, 1);
    world_advance(world, 0.2);
    g_assert_true(a->paused);
    world_advance(world, 0.1);
    g_assert_false(a->paused);
    socket_write(world, b, "{\"type\":\"ping\"}");
    g_assert_false(b->paused);
    socket_free(a);
    socket_free(b);
    world_free(world);
}

/* --- identity.db --- */

static void test_damaged_identities(void)
{
    World *world = world_prepare();
    g_autoptr(GError) error = NULL;
    g_autofree char *garbage = g_strnfill(8192, 'x');
    g_assert_true(g_file_set_contents(world->identity_path, garbage, 8192, NULL));
    world->options.state = actor_new("state");
    g_assert_null(relay_new(&world->options, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT);
    g_assert_nonnull(strstr(error->message, "restore the file from a backup"));
    g_assert_nonnull(strstr(error->message, "identity.db"));
    actor_free(world->options.state);
    world_discard(world);
}

static gboolean only_live(gpointer user G_GNUC_UNUSED, const char *node_id)
{
    return g_str_equal(node_id, "live");
}

static IdentityClaim claim(Identity *identity, const char *node_id, guint8 key_number, gint64 now_s)
{
    g_autoptr(GError) error = NULL;
    guint8 key[ED25519_PUBLIC_BYTES];
    IdentityClaim ret = IDENTITY_FULL;
    memset(key, key_number, sizeof key);
    g_assert_true(identity_begin(identity, &error));
    g_assert_true(identity_claim(identity, node_id, key, now_s, only_live, NULL, &ret, &error));
    g_assert_true(identity_commit(identity, &error));
    g_assert_no_error(error);
    return ret;
}

static void test_full_table_recycles(void)
{
    World *world = world_prepare();
    g_autoptr(GError) error = NULL;
    const gint64 day = 24 * 3600, start = 1700000000;
    Identity *identity = identity_open(world->identity_path, 3, &error);
    g_assert_no_error(error);
    g_assert_cmpint(claim(identity, "live", 1, start), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "steady", 2, start), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "fleeting", 3, start + 1), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "steady", 2, start + 2 * day), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "new", 4, start + 7 * day), ==, IDENTITY_FULL);
    g_assert_cmpint(claim(identity, "fleeting", 9, start + 7 * day), ==, IDENTITY_OTHER_KEY);
    /* Not the one that is connected, nor the one that came back: the third. */
    g_assert_cmpint(claim(identity, "new", 4, start + 7 * day + 1), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "live", 9, start + 90 * day), ==, IDENTITY_OTHER_KEY);
    g_assert_cmpint(claim(identity, "steady", 9, start + 90 * day), ==, IDENTITY_OTHER_KEY);
    g_assert_cmpint(claim(identity, "fleeting", 9, start + 8 * day), ==, IDENTITY_FULL);
    identity_close(identity);
    world_discard(world);
}

/* Sockets that do not read cost memory: all together no more than a limit, whoever they are. */
static void test_unread_bytes_are_bounded(void)
{
    World *world = world_prepare();
    world->options.frame_bytes_max = 5000;
    world_start(world);
    g_autofree char *payload = g_strnfill(2000, 'p');
    for (guint shard = 0; shard < WORLD_SHARDS; shard++) {
        Socket *asker = socket_open(world, 0), *node = socket_open_node(world, shard, "slow", 1);
        node->kept = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        for (guint i = 1; i <= 3; i++) {
            g_autofree char *query = g_strdup_printf(
                "{\"type\":\"query\",\"query_id\":\"q%u\",\"to\":\"slow\",\"payload\":\"%s\"}", i, payload);
            socket_write(world, asker, query);
            world_settle(world);
        }
        g_assert_cmpuint(node->sent.length, ==, 2);
        assert_query_error(asker, "broker_busy", "q3");
        g_autofree char *answer =
            g_strdup_printf("{\"type\":\"response\",\"query_id\":\"q1\",\"payload\":\"%s\"}", payload);
        socket_write(world, node, answer);
        world_settle(world);
        assert_query_error(asker, "broker_busy", "q1");
        g_ptr_array_set_size(node->kept, 0);
        g_autofree char *second =
            g_strdup_printf("{\"type\":\"response\",\"query_id\":\"q2\",\"payload\":\"%s\"}", payload);
        socket_write(world, node, second);
        world_settle(world);
        g_autofree char *got = socket_next(asker);
        g_assert_nonnull(strstr(got, payload));
        g_assert_cmpuint(relay_pending_count(world->relay), ==, 0);
        socket_free(asker);
        socket_free(node);
        world_settle(world);
    }
    world_free(world);
}

/* A Node that was connected while the broker crashed was not noted as seen: it has time to come back. */
static void test_no_recycling_after_a_crash(void)
{
    World *world = world_prepare();
    g_autoptr(GError) error = NULL;
    const gint64 day = 24 * 3600, start = 1700000000, crash = start + 8 * day;
    Identity *identity = identity_open(world->identity_path, 2, &error);
    g_assert_cmpint(claim(identity, "connected", 1, start), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "fleeting", 2, start + 1), ==, IDENTITY_OWNED);
    identity_close(identity);
    identity = identity_open(world->identity_path, 2, &error);
    g_assert_cmpint(claim(identity, "new", 3, crash), ==, IDENTITY_FULL);
    g_assert_cmpint(claim(identity, "connected", 1, crash + 5), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "new", 3, crash + LIMIT_IDENTITY_GRACE_SECONDS - 1), ==, IDENTITY_FULL);
    g_assert_cmpint(claim(identity, "new", 3, crash + LIMIT_IDENTITY_GRACE_SECONDS), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "connected", 9, crash + 9 * day), ==, IDENTITY_OTHER_KEY);
    g_assert_cmpint(claim(identity, "newer", 4, crash + 6 * day), ==, IDENTITY_FULL);
    identity_close(identity);
    world_discard(world);
}

/* While the disk is full, those whose identity is on it already can register. */
static void test_full_disk(void)
{
    World *world = world_new();
    Socket *before = socket_open_node(world, 0, "known", 1);
    socket_free(before);
    world_settle(world);
    struct rlimit limit, none;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    none = limit;
    none.rlim_cur = 0;
    signal(SIGXFSZ, SIG_IGN);
    Socket *known = socket_open(world, 0), *thief = socket_open(world, 1), *stranger = socket_open(world, 0);
    Barrier *barrier = world_stop_state(world);
    socket_register(world, known, "known", 1);
    socket_register(world, thief, "known", 2);
    socket_register(world, stranger, "stranger", 3);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    barrier_reached(barrier, FALSE);
    world_settle(world);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_next(known, "{\"type\":\"registered\",\"node_id\":\"known\"}");
    assert_error(thief, "node_id_owned_by_another_key");
    assert_error(stranger, "registration_unavailable");
    socket_register(world, stranger, "stranger", 3);
    world_settle(world);
    assert_next(stranger, "{\"type\":\"registered\",\"node_id\":\"stranger\"}");
    socket_free(known);
    socket_free(thief);
    socket_free(stranger);
    world_free(world);
}

static void test_rollback_keeps_the_count(void)
{
    World *world = world_prepare();
    g_autoptr(GError) error = NULL;
    const guint8 key[ED25519_PUBLIC_BYTES] = {1};
    IdentityClaim ret;
    Identity *identity = identity_open(world->identity_path, 1, &error);
    g_assert_true(identity_begin(identity, &error));
    g_assert_true(identity_claim(identity, "a", key, 1, only_live, NULL, &ret, &error));
    identity_rollback(identity);
    g_assert_cmpint(claim(identity, "b", 2, 1), ==, IDENTITY_OWNED);
    g_assert_cmpint(claim(identity, "c", 2, 1), ==, IDENTITY_FULL);
    identity_close(identity);
    world_discard(world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/register/challenges-differ", test_challenges_differ);
    g_test_add_func("/relay/register/list", test_register_and_list);
    g_test_add_func("/relay/register/last-seen", test_last_seen);
    g_test_add_func("/relay/register/order", test_order_is_kept);
    g_test_add_func("/relay/register/identity-checks", test_identity_checks);
    g_test_add_func("/relay/register/field-checks", test_field_checks);
    g_test_add_func("/relay/register/rate-limit", test_rate_limit_comes_first);
    g_test_add_func("/relay/register/first-key", test_first_key_owns_the_id);
    g_test_add_func("/relay/register/bounds", test_tables_are_bounded);
    g_test_add_func("/relay/register/takeover", test_takeover);
    g_test_add_func("/relay/register/second-id", test_second_id_releases_the_first);
    g_test_add_func("/relay/register/nothing-before-answer", test_nothing_before_the_answer);
    g_test_add_func("/relay/register/flood-before-answer", test_flood_before_the_answer);
    g_test_add_func("/relay/register/close-while-deciding", test_close_while_registering);
    g_test_add_func("/relay/register/two-at-once", test_two_at_once);
    g_test_add_func("/relay/liveness", test_ping_keeps_alive);
    g_test_add_func("/relay/noise", test_noise_is_ignored);
    g_test_add_func("/relay/query/round-trip", test_round_trip);
    g_test_add_func("/relay/query/from-node", test_from_node_of_a_registered_socket);
    g_test_add_func("/relay/query/checks", test_query_checks);
    g_test_add_func("/relay/query/only-target-answers", test_only_the_target_answers);
    g_test_add_func("/relay/query/duplicate", test_duplicate_ids);
    g_test_add_func("/relay/query/bounds", test_pending_is_bounded);
    g_test_add_func("/relay/query/bounds-per-party", test_pending_per_party);
    g_test_add_func("/relay/query/target-gone", test_target_gone);
    g_test_add_func("/relay/query/full-target", test_full_target);
    g_test_add_func("/relay/query/expiry", test_expiry);
    g_test_add_func("/relay/query/answer-meets-cancel", test_answer_meets_cancel);
    g_test_add_func("/relay/query/catch-up", test_look_up_reads_mail_first);
    g_test_add_func("/relay/size/oversize", test_oversize);
    g_test_add_func("/relay/size/forwarded", test_forwarded_frame_is_bounded);
    g_test_add_func("/relay/size/unread", test_unread_bytes_are_bounded);
    g_test_add_func("/relay/flood", test_flood_is_slowed);
    g_test_add_func("/relay/identity/damaged", test_damaged_identities);
    g_test_add_func("/relay/identity/recycle", test_full_table_recycles);
    g_test_add_func("/relay/identity/crash", test_no_recycling_after_a_crash);
    g_test_add_func("/relay/identity/full-disk", test_full_disk);
    g_test_add_func("/relay/identity/rollback", test_rollback_keeps_the_count);
    return g_test_run();
}
