/* SPDX-License-Identifier: MIT
 *
 * What broker and agent say to each other: everything that is written is read back the same, texts are made
 * harmless on the way, and what no agent of ours would say is refused.
 */
#include "mirror/agent/agent_message.h"
#include "schema/limits.h"

#include <string.h>

static MirroredPack *sample_pack(void)
{
    MirroredPack *pack = g_new0(MirroredPack, 1);
    pack->path = g_strdup("history/rome");
    memset(pack->digest, 0xab, SHA256_BYTES);
    memset(pack->content_sha256, 0xcd, SHA256_BYTES);
    pack->source = g_strdup("commons");
    pack->is_private = TRUE;
    pack->policy = PACK_POLICY_PREFERRED;
    pack->fingerprint = g_strdup("abcdefghijklmnop");
    pack->publisher = g_strdup("Änna \"the\" first");
    pack->version = g_strdup("1.2.3-rc.1");
    pack->published_at = g_strdup("2026-05-01T12:00:00Z");
    pack->origin = g_strdup("commit 0123");
    pack->installed_s = 1780000000;
    return pack;
}

static SyncResult *sample_result(SyncOutcome outcome)
{
    SyncResult *result = g_new0(SyncResult, 1);
    result->outcome = outcome;
    result->identity = g_strdup(outcome == OUTCOME_GONE ? "" : "deadbeef.00");
    result->pack = sample_pack();
    result->is_new = outcome == OUTCOME_INSTALLED;
    if (outcome == OUTCOME_REFUSED) {
        result->rule = ACCEPT_HIJACK;
        result->reason = g_strdup("the path belongs to somebody else");
    }
    return result;
}

/* Writes the event and reads it again. */
static void pass(const AgentEvent *event, AgentEvent *ret)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    agent_event_write(event, line);
    g_assert_cmpint(line->str[line->len - 1], ==, '\n');
    g_assert_null(memchr(line->str, '\n', line->len - 1));
    *ret = (AgentEvent){0};
    gboolean read = agent_event_parse(line->str, line->len - 1, ret, &error);
    g_assert_no_error(error);
    g_assert_true(read);
    g_assert_cmpint(ret->kind, ==, event->kind);
    g_assert_cmpuint(ret->job, ==, event->job);
}

static void test_progress(void)
{
    AgentEvent event = {.kind = AGENT_PROGRESS, .job = 7, .progress = {SYNC_PHASE_READ, 1, 2, 3, 4, 5, 6, 7}};
    g_auto(AgentEvent) again = {0};
    pass(&event, &again);
    g_assert_cmpmem(&again.progress, sizeof again.progress, &event.progress, sizeof event.progress);
}

static void assert_same_pack(const MirroredPack *a, const MirroredPack *b)
{
    g_assert_cmpstr(a->path, ==, b->path);
    g_assert_cmpmem(a->digest, SHA256_BYTES, b->digest, SHA256_BYTES);
    g_assert_cmpmem(a->content_sha256, SHA256_BYTES, b->content_sha256, SHA256_BYTES);
    g_assert_cmpstr(a->source, ==, b->source);
    g_assert_cmpint(a->is_private, ==, b->is_private);
    g_assert_cmpint(a->policy, ==, b->policy);
    g_assert_cmpstr(a->fingerprint, ==, b->fingerprint);
    g_assert_cmpstr(a->publisher, ==, b->publisher);
    g_assert_cmpstr(a->version, ==, b->version);
    g_assert_cmpstr(a->published_at, ==, b->published_at);
    g_assert_cmpstr(a->origin, ==, b->origin);
    g_assert_cmpint(a->installed_s, ==, b->installed_s);
}

static void test_result(void)
{
    for (SyncOutcome outcome = OUTCOME_INSTALLED; outcome <= OUTCOME_GONE; outcome++) {
        g_auto(AgentEvent) event = {.kind = AGENT_RESULT, .job = 8, .result = sample_result(outcome)};
        g_auto(AgentEvent) again = {0};
        pass(&event, &again);
        g_assert_cmpint(again.result->outcome, ==, outcome);
        g_assert_cmpstr(again.result->identity, ==, event.result->identity);
        g_assert_cmpint(again.result->rule, ==, event.result->rule);
        g_assert_cmpint(again.result->is_new, ==, event.result->is_new);
        g_assert_cmpstr(again.result->reason, ==, event.result->reason);
        g_assert_cmpstr(again.result->pack->path, ==, event.result->pack->path);
        if (outcome == OUTCOME_INSTALLED || outcome == OUTCOME_WITHDRAWN)
            assert_same_pack(again.result->pack, event.result->pack);
        g_assert_cmpint(again.result->pack->withdrawn, ==, outcome == OUTCOME_WITHDRAWN);
    }
}

static void test_alarm_and_hello(void)
{
    g_auto(AgentEvent)
        event = {.kind = AGENT_ALARM, .job = 9, .alarm = g_strdup("fork"), .reason = g_strdup("two roots")};
    AgentEvent hello = {.kind = AGENT_HELLO};
    g_auto(AgentEvent) again = {0};
    pass(&event, &again);
    g_assert_cmpstr(again.alarm, ==, "fork");
    g_assert_cmpstr(again.reason, ==, "two roots");
    agent_event_clear(&again);
    pass(&hello, &again);
}

static void test_done(void)
{
    g_auto(AgentEvent) good = {.kind = AGENT_DONE,
                               .job = 10,
                               .ok = TRUE,
                               .partial = TRUE,
                               .state = g_strdup("{\"commit\":\"12\"}"),
                               .policy_hash = g_strdup("00ff"),
                               .packs_seen = 608,
                               .requests = 3,
                               .bytes = G_GUINT64_CONSTANT(5000000000)};
    g_auto(AgentEvent) again = {0};
    pass(&good, &again);
    g_assert_true(again.ok && again.partial);
    g_assert_cmpstr(again.state, ==, good.state);
    g_assert_cmpstr(again.policy_hash, ==, good.policy_hash);
    g_assert_cmpuint(again.packs_seen, ==, 608);
    g_assert_cmpuint(again.requests, ==, 3);
    g_assert_cmpuint(again.bytes, ==, good.bytes);
    agent_event_clear(&again);
    good.ok = FALSE;
    good.code = KONTOR_ERROR_CANCELLED;
    good.error = g_strdup("no more");
    pass(&good, &again);
    g_assert_false(again.ok);
    g_assert_cmpint(again.code, ==, KONTOR_ERROR_CANCELLED);
    g_assert_cmpstr(again.error, ==, "no more");
}

/* What a remote server said may stand in an error. */
static void test_texts_are_made_harmless(void)
{
    g_autofree char *endless = g_strnfill(100000, 'x');
    static const char *const texts[][2] = {
        {"two\nlines\r\n", "two lines  "},
        {"\x1b[31mred\x7f", " [31mred "},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"c1 \xc2\x9b control", "c1 \xc2\xa0 control"},
        {"", ""},
    };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(AgentEvent)
            event = {.kind = AGENT_ALARM, .alarm = g_strdup("fork"), .reason = g_strdup(texts[i][0])};
        g_auto(AgentEvent) again = {0};
        pass(&event, &again);
        g_assert_cmpstr(again.reason, ==, texts[i][1]);
    }
    g_auto(AgentEvent)
        event = {.kind = AGENT_ALARM, .alarm = g_strdup("fork"), .reason = g_steal_pointer(&endless)};
    g_auto(AgentEvent) again = {0};
    pass(&event, &again);
    g_assert_cmpuint(strlen(again.reason), ==, 2000);
}

static void test_job(void)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_auto(AgentJob) job = {.id = 3,
                            .source = source_new(SOURCE_GIT, "commons"),
                            .trust_file = g_strdup("/srv/kontor/trusted_publishers.yaml"),
                            .state = g_strdup("{}"),
                            .known_policy_hash = g_strdup("aa"),
                            .full = TRUE,
                            .reset = TRUE,
                            .seconds = 900};
    job.source->url = g_strdup("https://git.example/packs.git");
    agent_job_write(&job, line);
    g_auto(AgentJob) again = {0};
    agent_job_parse(line->str, line->len - 1, &again, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again.id, ==, 3);
    g_assert_cmpuint(again.seconds, ==, 900);
    g_assert_true(again.full && again.reset && !again.prune);
    g_assert_cmpstr(again.state, ==, "{}");
    g_assert_cmpstr(again.known_policy_hash, ==, "aa");
    g_assert_cmpstr(again.trust_file, ==, job.trust_file);
    g_assert_cmpstr(again.source->name, ==, "commons");
    g_assert_true(source_same_origin(again.source, job.source));
}

static void assert_refused(const char *line)
{
    g_autoptr(GError) error = NULL;
    AgentEvent event = {0};
    AgentJob job = {0};
    g_assert_false(agent_event_parse(line, strlen(line), &event, &error));
    g_assert_true(g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED) ||
                  g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT));
    g_assert_null(strchr(error->message, '\n'));
    g_clear_error(&error);
    g_assert_false(agent_job_parse(line, strlen(line), &job, &error));
    g_assert_nonnull(error);
}

#define RESULT(path, identity, rest)                                                                         \
    "{\"job\":1,\"result\":{\"identity\":\"" identity "\",\"new\":false,\"path\":\"" path "\"" rest "}}"
#define LONG_32 "0123456789abcdef0123456789abcdef"

static void test_refused(void)
{
    static const char *const lines[] = {
        "",
        "[]",
        "{}",
        "{\"job\":1}",
        "{\"job\":-1,\"hello\":true}",
        "{\"hello\":true}",
        "{\"job\":1,\"result\":[]}",
        "{\"job\":1,\"unheard\":{}}",
        "{\"job\":1,\"alarm\":{\"kind\":\"a b\",\"reason\":\"\"}}",
        "{\"job\":1,\"alarm\":{\"kind\":\"fork\",\"reason\":\"two\\nlines\"}}",
        "{\"job\":1,\"alarm\":{\"kind\":\"fork\",\"reason\":\"\\u009b\"}}",
        "{\"job\":1,\"done\":{\"ok\":true}}",
        RESULT("../etc", "a", ",\"outcome\":\"gone\""),
        RESULT("a//b", "a", ",\"outcome\":\"gone\""),
        RESULT(".git/x", "a", ",\"outcome\":\"gone\""),
        RESULT("a", "a", ",\"outcome\":\"stolen\""),
        RESULT("a", "a", ",\"outcome\":\"installed\""),
        RESULT("a", "a", ",\"outcome\":\"refused\",\"rule\":\"ok\",\"reason\":\"\""),
        RESULT("a", "a", ",\"outcome\":\"refused\",\"rule\":\"whim\",\"reason\":\"\""),
        RESULT("a", LONG_32 LONG_32 LONG_32 LONG_32 "0", ",\"outcome\":\"gone\""),
    };
    for (guint i = 0; i < G_N_ELEMENTS(lines); i++)
        assert_refused(lines[i]);
}

/* One member of a good result at a time is made bad. */
static void test_refused_members(void)
{
    static const char *const edits[][2] = {
        {"\"version\":\"1.2.3-rc.1\"", "\"version\":\"latest\""},
        {"\"published_at\":\"2026-05-01T12:00:00Z\"", "\"published_at\":\"2026-05-01\""},
        {"\"fingerprint\":\"abcdefghijklmnop\"", "\"fingerprint\":\"ABCDEFGHIJKLMNOP\""},
        {"\"fingerprint\":\"abcdefghijklmnop\"", "\"fingerprint\":\"../../../../../.\""},
        {"\"digest\":\"abab", "\"digest\":\"ABAB"},
        {"\"policy\":\"preferred\"", "\"policy\":\"whatever\""},
        {"\"private\":true", "\"private\":1"},
        {"\"installed_s\":1780000000", "\"installed_s\":-1"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(edits); i++) {
        g_autoptr(GString) line = g_string_new(NULL);
        g_auto(AgentEvent) event = {.kind = AGENT_RESULT, .result = sample_result(OUTCOME_INSTALLED)};
        agent_event_write(&event, line);
        g_string_truncate(line, line->len - 1);
        g_assert_cmpuint(g_string_replace(line, edits[i][0], edits[i][1], 0), ==, 1);
        assert_refused(line->str);
    }
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent_message/progress", test_progress);
    g_test_add_func("/agent_message/result", test_result);
    g_test_add_func("/agent_message/alarm-and-hello", test_alarm_and_hello);
    g_test_add_func("/agent_message/done", test_done);
    g_test_add_func("/agent_message/harmless-texts", test_texts_are_made_harmless);
    g_test_add_func("/agent_message/job", test_job);
    g_test_add_func("/agent_message/refused", test_refused);
    g_test_add_func("/agent_message/refused-members", test_refused_members);
    return g_test_run();
}
