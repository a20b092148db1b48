/* SPDX-License-Identifier: MIT
 *
 * mirror.db: single stories of what a sync reports, then random histories of three sources beside the model,
 * then processes that are killed while they write.
 */
#include "mirror_model.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror/store/dir_tree.h"
#include "schema/limits.h"

#define EARLY "2026-01-01T00:00:00Z"
#define LATE "2026-02-01T00:00:00Z"
#define NOW G_GINT64_CONSTANT(1780000000)

/* --- A database per test, and what others were told of it --- */

typedef struct {
    char *top, *path;
    MirrorDb *db;
    GHashTable *told; /* name space and path → digest and source in hex, as the changes said */
} Fixture;

static void reopen(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    mirror_db_close(fixture->db);
    fixture->db = mirror_db_open(fixture->path, DB_WRITE, &error);
    g_assert_no_error(error);
}

static void fixture_init(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    fixture->top = g_dir_make_tmp("kontor-mirror-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->path = g_build_filename(fixture->top, "mirror.db", NULL);
    fixture->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    reopen(fixture);
}

static void fixture_clear(Fixture *fixture)
{
    mirror_db_close(fixture->db);
    dir_tree_remove(AT_FDCWD, fixture->top, NULL);
    g_hash_table_unref(fixture->told);
    g_free(fixture->top);
    g_free(fixture->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fixture, fixture_clear)

static char *key_of(const MirroredPack *pack)
{
    return g_strdup_printf("%d %s", pack->is_private, pack->path);
}

static char *value_of(const MirroredPack *pack)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(pack->digest, SHA256_BYTES, hex);
    return g_strdup_printf("%s %s", hex, pack->source);
}

/* Whoever follows the changes must know what is served, without ever asking for all of it. */
static void follow(Fixture *fixture, GPtrArray *changes)
{
    for (guint i = 0; i < changes->len; i++) {
        const MirroredPack *pack = g_ptr_array_index(changes, i);
        g_autofree char *key = key_of(pack);
        if (pack->withdrawn)
            g_assert_true(g_hash_table_remove(fixture->told, key));
        else
            g_hash_table_replace(fixture->told, g_steal_pointer(&key), value_of(pack));
    }
    g_ptr_array_unref(changes);
}

static void assert_told(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) served = mirror_db_served(fixture->db, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(served->len, ==, g_hash_table_size(fixture->told));
    for (guint i = 0; i < served->len; i++) {
        g_autofree char *key = key_of(g_ptr_array_index(served, i));
        g_autofree char *value = value_of(g_ptr_array_index(served, i));
        g_assert_cmpstr(g_hash_table_lookup(fixture->told, key), ==, value);
    }
}

static void set_sources(Fixture *fixture, const char *const *names, const char *const *origins)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *changes = NULL;
    g_assert_true(mirror_db_set_sources(fixture->db, names, origins, &changes, &error));
    g_assert_no_error(error);
    follow(fixture, changes);
}

/* Sources with these names, each from where its name says. */
#define SOURCES(fixture, ...)                                                                                \
    set_sources(fixture, (const char *const[]){__VA_ARGS__, NULL}, (const char *const[]){__VA_ARGS__, NULL})

/* --- Results --- */

static MirroredPack *pack_new(const char *path, const char *fingerprint, const char *version,
                              const char *published_at, guint8 content)
{
    MirroredPack *pack = g_new0(MirroredPack, 1);
    pack->path = g_strdup(path);
    pack->source = g_strdup("nobody looks here");
    pack->fingerprint = g_strdup(fingerprint);
    pack->publisher = g_strdup(fingerprint[0] != '\0' ? "Anna" : "");
    pack->version = g_strdup(version);
    pack->published_at = g_strdup(published_at);
    pack->origin = g_strdup("commit");
    pack->policy = fingerprint[0] != '\0' ? PACK_POLICY_REQUIRED : PACK_POLICY_OFF;
    memset(pack->digest, content, SHA256_BYTES);
    memset(pack->content_sha256, content, SHA256_BYTES);
    return pack;
}

static SyncResult *result_new(SyncOutcome outcome, MirroredPack *pack, const char *identity)
{
    SyncResult *result = g_new0(SyncResult, 1);
    result->outcome = outcome;
    result->identity = g_strdup(identity);
    result->pack = pack;
    return result;
}

static SyncResult *installed(const char *version, guint8 content)
{
    g_autofree char *identity = g_strdup_printf("id-%s-%u", version, content);
    return result_new(OUTCOME_INSTALLED, pack_new("history/rome", "p", version, EARLY, content), identity);
}

static SyncResult *installed_unsigned(guint8 content)
{
    g_autofree char *identity = g_strdup_printf("id-unsigned-%u", content);
    return result_new(OUTCOME_INSTALLED, pack_new("history/rome", "", "", "", content), identity);
}

static SyncResult *refused(AcceptRule rule, const char *identity)
{
    MirroredPack *pack = g_new0(MirroredPack, 1);
    pack->path = g_strdup("history/rome");
    SyncResult *result = result_new(OUTCOME_REFUSED, pack, identity);
    result->rule = rule;
    result->reason = g_strdup("a reason\nof two lines");
    return result;
}

static SyncResult *gone(void)
{
    MirroredPack *pack = g_new0(MirroredPack, 1);
    pack->path = g_strdup("history/rome");
    return result_new(OUTCOME_GONE, pack, "");
}

/* Applies one result, which it takes over; how many changes it made. */
static guint apply_only(Fixture *fixture, const char *source, SyncResult *result, gboolean remove_gone)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    GPtrArray *changes = NULL;
    g_ptr_array_add(results, result);
    g_assert_true(mirror_db_apply(fixture->db, source, results, remove_gone, NOW, &changes, &error));
    g_assert_no_error(error);
    guint count = changes->len;
    follow(fixture, changes);
    return count;
}

static guint apply_with(Fixture *fixture, const char *source, SyncResult *result, gboolean remove_gone)
{
    guint count = apply_only(fixture, source, result, remove_gone);
    assert_told(fixture);
    return count;
}

static guint apply(Fixture *fixture, const char *source, SyncResult *result)
{
    return apply_with(fixture, source, result, FALSE);
}

/* "content source", "" when nothing is served, "-" before it when it is only remembered. */
static char *held_text(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MirroredPack) held = NULL;
    g_assert_true(mirror_db_held(fixture->db, "history/rome", FALSE, &held, &error));
    return held == NULL
               ? g_strdup("")
               : g_strdup_printf("%s%u %s", held->withdrawn ? "-" : "", held->digest[0], held->source);
}

#define assert_held(fixture, expected)                                                                       \
    G_STMT_START                                                                                             \
    {                                                                                                        \
        g_autofree char *held_ = held_text(fixture);                                                         \
        g_assert_cmpstr(held_, ==, expected);                                                                \
    }                                                                                                        \
    G_STMT_END

/* What is known: "identity outcome rule", or "" when nothing is. */
static char *known_text(const Fixture *fixture, const char *source)
{
    static const char *const outcomes[] = {"installed", "withdrawn", "refused", "gone"};
    g_autoptr(GError) error = NULL;
    g_autofree char *identity = NULL;
    SyncOutcome outcome;
    AcceptRule rule;
    g_assert_true(mirror_db_known(fixture->db, source, "history/rome", &identity, &outcome, &rule, &error));
    return identity == NULL
               ? g_strdup("")
               : g_strdup_printf("%s %s %s", identity, outcomes[outcome], accept_rule_name(rule));
}

#define assert_known(fixture, source, expected)                                                              \
    G_STMT_START                                                                                             \
    {                                                                                                        \
        g_autofree char *known_ = known_text(fixture, source);                                               \
        g_assert_cmpstr(known_, ==, expected);                                                               \
    }                                                                                                        \
    G_STMT_END

static void source_of(const Fixture *fixture, const char *name, SourceRecord *ret)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(mirror_db_source(fixture->db, name, ret, &error));
    g_assert_no_error(error);
}

static void end_sync(Fixture *fixture, const char *source, const char *state, guint epoch)
{
    g_autoptr(GError) error = NULL;
    SyncEnd end = {
        .ok = TRUE, .state = state, .policy_hash = "policy", .packs_seen = 1, .epoch = epoch, .now_s = NOW};
    g_assert_true(mirror_db_end(fixture->db, source, &end, &error));
    g_assert_no_error(error);
}

static char *state_of(const Fixture *fixture, const char *source)
{
    g_auto(SourceRecord) record = {0};
    source_of(fixture, source, &record);
    return g_steal_pointer(&record.state);
}

/* All events of the history, oldest first, as words. */
static char *events(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = mirror_db_history(fixture->db, NULL, NULL, 0, 1000, &error);
    g_assert_no_error(error);
    GString *text = g_string_new(NULL);
    for (guint i = rows->len; i > 0; i--) {
        const HistoryRow *row = g_ptr_array_index(rows, i - 1);
        g_assert_null(strchr(row->reason, '\n'));
        g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", row->event);
    }
    return g_string_free(text, FALSE);
}

#define assert_events(fixture, expected)                                                                     \
    G_STMT_START                                                                                             \
    {                                                                                                        \
        g_autofree char *events_ = events(fixture);                                                          \
        g_assert_cmpstr(events_, ==, expected);                                                              \
    }                                                                                                        \
    G_STMT_END

/* --- Stories --- */

static void test_one_source(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.0.0", 1)), ==, 1);
    assert_held(&fixture, "1 a");
    assert_known(&fixture, "a", "id-1.0.0-1 installed ok");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.0.0", 1)), ==, 0);
    g_assert_cmpuint(apply(&fixture, "a", refused(ACCEPT_HASH, "bad")), ==, 0);
    g_assert_cmpuint(apply(&fixture, "a", refused(ACCEPT_HASH, "bad")), ==, 0);
    assert_held(&fixture, "1 a");
    assert_known(&fixture, "a", "bad refused hash");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.1.0", 2)), ==, 1);
    g_assert_cmpuint(apply(&fixture, "a", installed("1.0.0", 1)), ==, 0);
    assert_held(&fixture, "2 a");
    assert_known(&fixture, "a", "id-1.0.0-1 refused rollback");
    reopen(&fixture);
    assert_held(&fixture, "2 a");
    assert_told(&fixture);
    assert_events(&fixture, "installed refused installed refused");
}

static void test_withdrawn(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    SyncResult *tombstone =
        result_new(OUTCOME_WITHDRAWN, pack_new("history/rome", "p", "1.0.0", LATE, 9), "grave");
    g_assert_cmpuint(apply(&fixture, "b", tombstone), ==, 1);
    assert_held(&fixture, "-9 b");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.0.0", 1)), ==, 0);
    assert_known(&fixture, "a", "id-1.0.0-1 refused rollback");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.0.1", 3)), ==, 1);
    assert_held(&fixture, "3 a");
    tombstone = result_new(OUTCOME_WITHDRAWN, pack_new("science/new", "p", "1.0.0", LATE, 9), "grave");
    g_assert_cmpuint(apply(&fixture, "b", tombstone), ==, 0);
}

static void test_two_sources(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    g_assert_cmpuint(apply(&fixture, "b", installed("1.0.0", 1)), ==, 0);
    assert_held(&fixture, "1 a");
    assert_known(&fixture, "b", "id-1.0.0-1 installed ok");
    g_assert_cmpuint(apply(&fixture, "b", installed("1.2.0", 2)), ==, 1);
    assert_held(&fixture, "2 b");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.1.0", 3)), ==, 0);
    assert_known(&fixture, "a", "id-1.1.0-3 refused rollback");
    assert_held(&fixture, "2 b");
}

static void test_private_is_another_space(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    SyncResult *private_one = installed("0.5.0", 2);
    private_one->pack->is_private = TRUE;
    g_assert_cmpuint(apply(&fixture, "b", private_one), ==, 1);
    assert_held(&fixture, "1 a");
    g_assert_cmpuint(g_hash_table_size(fixture.told), ==, 2);
    SyncResult *secret = refused(ACCEPT_HASH, "x");
    secret->pack->is_private = TRUE;
    apply(&fixture, "b", secret);
    g_auto(SourceRecord) record = {0};
    source_of(&fixture, "b", &record);
    g_assert_cmpuint(record.packs_refused, ==, 1);
    /* The source turns public: its private pack is not served any more. */
    g_assert_cmpuint(apply(&fixture, "b", installed("1.0.1", 3)), ==, 2);
    assert_held(&fixture, "3 b");
    g_assert_cmpuint(g_hash_table_size(fixture.told), ==, 1);
}

static void test_gone(void)
{
    g_auto(Fixture) fixture = {0};
    g_auto(SourceRecord) record = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    g_assert_cmpuint(apply(&fixture, "a", gone()), ==, 0);
    g_assert_cmpuint(apply(&fixture, "a", gone()), ==, 0);
    assert_held(&fixture, "1 a");
    assert_known(&fixture, "a", " gone ok");
    source_of(&fixture, "a", &record);
    g_assert_cmpuint(record.packs_gone, ==, 1);
    g_assert_cmpuint(record.packs_served, ==, 1);
    apply(&fixture, "b", installed("1.0.0", 1));
    g_assert_cmpuint(apply_with(&fixture, "a", gone(), TRUE), ==, 1);
    assert_held(&fixture, "1 b");
    g_assert_cmpuint(apply_with(&fixture, "b", gone(), TRUE), ==, 1);
    assert_held(&fixture, "-1 b");
    g_assert_cmpuint(apply_with(&fixture, "b", gone(), TRUE), ==, 0);
    g_assert_cmpuint(apply(&fixture, "a", installed("0.9.0", 4)), ==, 0);
    assert_known(&fixture, "a", "id-0.9.0-4 refused rollback");
    g_assert_cmpuint(apply(&fixture, "a", installed("1.0.0", 1)), ==, 1);
    assert_held(&fixture, "1 a");
    assert_events(&fixture, "installed gone installed removed removed refused installed");
}

static void test_source_goes(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b", "c");
    apply(&fixture, "a", installed_unsigned(1));
    apply(&fixture, "b", installed_unsigned(2));
    apply(&fixture, "c", installed_unsigned(1));
    assert_held(&fixture, "1 a");
    end_sync(&fixture, "b", "state b", 1);
    end_sync(&fixture, "c", "state c", 1);
    SOURCES(&fixture, "b", "c"); /* c has the same release */
    assert_held(&fixture, "1 c");
    assert_known(&fixture, "b", "id-unsigned-2 installed ok");
    SOURCES(&fixture, "b"); /* b has another one, and is asked for it again */
    assert_held(&fixture, "-1 c");
    assert_known(&fixture, "b", " installed ok");
    g_autofree char *state = state_of(&fixture, "b");
    g_assert_cmpstr(state, ==, "");
    apply(&fixture, "b", installed_unsigned(2));
    assert_held(&fixture, "2 b");
    assert_told(&fixture);
}

static void test_source_moves(void)
{
    g_auto(Fixture) fixture = {0};
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a");
    apply(&fixture, "a", installed("1.0.0", 1));
    end_sync(&fixture, "a", "state", 1);
    SOURCES(&fixture, "a");
    g_autofree char *kept = state_of(&fixture, "a");
    g_assert_cmpstr(kept, ==, "state");
    set_sources(&fixture, (const char *const[]){"a", NULL}, (const char *const[]){"elsewhere", NULL});
    assert_held(&fixture, "-1 a");
    assert_known(&fixture, "a", "");
    g_autofree char *state = state_of(&fixture, "a");
    g_assert_cmpstr(state, ==, "");
    /* What a sync of the former place reports when it ends is not believed. */
    end_sync(&fixture, "a", "stale", 1);
    g_autofree char *still = state_of(&fixture, "a");
    g_assert_cmpstr(still, ==, "");
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    GPtrArray *changes = NULL;
    g_assert_false(mirror_db_apply(fixture.db, "z", none, FALSE, NOW, &changes, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

static void test_damaged(void)
{
    g_auto(Fixture) fixture = {0};
    g_auto(SourceRecord) record = {0};
    g_autoptr(GError) error = NULL;
    GPtrArray *changes = NULL;
    guint8 digest[SHA256_BYTES];
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    apply(&fixture, "b", installed("1.0.0", 1));
    end_sync(&fixture, "a", "state", 1);
    memset(digest, 77, sizeof digest);
    g_assert_true(mirror_db_damaged(fixture.db, digest, &changes, &error));
    g_assert_cmpuint(changes->len, ==, 0);
    g_ptr_array_unref(changes);
    memset(digest, 1, sizeof digest);
    g_assert_true(mirror_db_damaged(fixture.db, digest, &changes, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(changes->len, ==, 1);
    follow(&fixture, changes);
    assert_told(&fixture);
    assert_held(&fixture, "-1 a");
    assert_known(&fixture, "a", " installed ok");
    assert_known(&fixture, "b", " installed ok");
    source_of(&fixture, "a", &record);
    g_assert_cmpstr(record.state, ==, "");
    g_assert_cmpuint(record.epoch, ==, 2);
    g_assert_cmpuint(apply(&fixture, "b", installed("1.0.0", 1)), ==, 1);
    assert_held(&fixture, "1 b");
    assert_events(&fixture, "installed installed damaged installed");
}

static gboolean is_unsettled(Fixture *fixture, const char *source)
{
    g_auto(SourceRecord) record = {0};
    source_of(fixture, source, &record);
    return record.unsettled;
}

/* Whatever ends a sync, and be it a crash: only a state says that what was reported is all there is. */
static void test_unsettled(void)
{
    g_auto(Fixture) fixture = {0};
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    end_sync(&fixture, "a", "first", 0);
    g_assert_false(is_unsettled(&fixture, "a"));
    apply(&fixture, "a", installed("1.0.0", 1));
    reopen(&fixture);
    g_assert_true(is_unsettled(&fixture, "a"));
    g_assert_false(is_unsettled(&fixture, "b"));
    SyncEnd cut = {.ok = TRUE, .now_s = NOW};
    g_assert_true(mirror_db_end(fixture.db, "a", &cut, &error));
    g_assert_true(is_unsettled(&fixture, "a"));
    end_sync(&fixture, "a", "late", 99);
    g_assert_true(is_unsettled(&fixture, "a"));
    end_sync(&fixture, "a", "second", 0);
    g_assert_false(is_unsettled(&fixture, "a"));
}

static void test_ends_and_alarms(void)
{
    g_auto(Fixture) fixture = {0};
    g_auto(SourceRecord) record = {0};
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a");
    SyncEnd end = {.error = "no such host", .now_s = NOW};
    for (guint i = 0; i < 3; i++)
        g_assert_true(mirror_db_end(fixture.db, "a", &end, &error));
    g_assert_true(mirror_db_set_alarm(fixture.db, "a", "stale", "two days old", NOW, &error));
    g_assert_true(mirror_db_set_alarm(fixture.db, "a", "stale", "three days old", NOW, &error));
    reopen(&fixture);
    source_of(&fixture, "a", &record);
    g_assert_cmpuint(record.failures, ==, 3);
    g_assert_cmpstr(record.last_error, ==, "no such host");
    g_assert_cmpint(record.last_ok_s, ==, 0);
    g_assert_cmpint(record.last_try_s, ==, NOW);
    g_assert_cmpstr(record.alarm, ==, "stale");
    g_assert_cmpstr(record.alarm_reason, ==, "three days old");
    end_sync(&fixture, "a", "state", 0);
    g_assert_true(mirror_db_set_alarm(fixture.db, "a", "", NULL, NOW, &error));
    source_record_clear(&record);
    source_of(&fixture, "a", &record);
    g_assert_cmpuint(record.failures, ==, 0);
    g_assert_cmpstr(record.last_error, ==, "");
    g_assert_cmpstr(record.alarm, ==, "");
    g_assert_cmpstr(record.state, ==, "state");
    g_assert_cmpstr(record.policy_hash, ==, "policy");
    g_assert_cmpint(record.last_ok_s, ==, NOW);
    assert_events(&fixture, "failed alarm recovered recovered");
    g_assert_false(mirror_db_end(fixture.db, "b", &end, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

static void test_history_pages(void)
{
    g_auto(Fixture) fixture = {0};
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    apply(&fixture, "b", result_new(OUTCOME_INSTALLED, pack_new("history", "p", "1.0.0", EARLY, 2), "x"));
    apply(&fixture, "b", result_new(OUTCOME_INSTALLED, pack_new("history2/x", "p", "1.0.0", EARLY, 3), "x"));
    g_autoptr(GPtrArray) below = mirror_db_history(fixture.db, NULL, "history", 0, 10, &error);
    g_assert_cmpuint(below->len, ==, 2);
    g_autoptr(GPtrArray) of_a = mirror_db_history(fixture.db, "a", NULL, 0, 10, &error);
    g_assert_cmpuint(of_a->len, ==, 1);
    const HistoryRow *row = g_ptr_array_index(of_a, 0);
    g_assert_cmpstr(row->version, ==, "1.0.0");
    g_assert_true(g_str_has_prefix(row->digest, "010101"));
    g_autoptr(GPtrArray) first = mirror_db_history(fixture.db, NULL, NULL, 0, 2, &error);
    g_assert_cmpuint(first->len, ==, 2);
    const HistoryRow *last = g_ptr_array_index(first, 1);
    g_autoptr(GPtrArray) second = mirror_db_history(fixture.db, NULL, NULL, last->id, 2, &error);
    g_assert_cmpuint(second->len, ==, 1);
}

/* A source that reports rubbish without end must not drive out what others did. */
static void test_history_is_bounded(void)
{
    g_auto(Fixture) fixture = {0};
    g_autoptr(GError) error = NULL;
    GPtrArray *changes = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "noisy");
    apply(&fixture, "a", installed("1.0.0", 1));
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    for (guint i = 0; i < LIMIT_MIRROR_HISTORY + 100; i++) {
        SyncResult *result = refused(ACCEPT_FORM, "x");
        g_free(result->pack->path);
        result->pack->path = g_strdup_printf("noise/%u", i);
        g_ptr_array_add(results, result);
    }
    g_assert_true(mirror_db_apply(fixture.db, "noisy", results, FALSE, NOW, &changes, &error));
    g_ptr_array_unref(changes);
    g_autoptr(GPtrArray) noisy = mirror_db_history(fixture.db, "noisy", NULL, 0, G_MAXINT32, &error);
    g_assert_cmpuint(noisy->len, <=, LIMIT_MIRROR_HISTORY / 4);
    g_assert_cmpuint(noisy->len, >, LIMIT_MIRROR_HISTORY / 8);
    g_autoptr(GPtrArray) quiet = mirror_db_history(fixture.db, "a", NULL, 0, 10, &error);
    g_assert_cmpuint(quiet->len, ==, 1);
    g_auto(SourceRecord) record = {0};
    source_of(&fixture, "noisy", &record);
    g_assert_cmpuint(record.packs_refused, ==, LIMIT_MIRROR_HISTORY + 100);
}

static gboolean reaches(Fixture *fixture, guint keep, guint8 content)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) reachable = mirror_db_reachable(fixture->db, keep, &error);
    guint8 digest[SHA256_BYTES];
    g_assert_no_error(error);
    memset(digest, content, sizeof digest);
    g_autoptr(GBytes) key = g_bytes_new(digest, sizeof digest);
    return g_hash_table_contains(reachable, key);
}

/* Paths and first digits. */
static char *tombstones(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) packs = mirror_db_tombstones(fixture->db, &error);
    g_assert_no_error(error);
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < packs->len; i++) {
        const MirroredPack *pack = g_ptr_array_index(packs, i);
        g_assert_true(pack->withdrawn && !pack->is_private);
        g_string_append_printf(text, "%s%s %u", i > 0 ? " " : "", pack->path, pack->digest[0]);
    }
    return g_string_free(text, FALSE);
}

static void assert_tombstones(Fixture *fixture, const char *expected)
{
    g_autofree char *is = tombstones(fixture);
    g_assert_cmpstr(is, ==, expected);
}

/* What was withdrawn is kept apart from what merely nobody brings any more. */
static void test_tombstones(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    apply(&fixture, "a", installed("1.0.0", 1));
    assert_tombstones(&fixture, "");
    SOURCES(&fixture, "b");
    assert_tombstones(&fixture, "");
    g_assert_false(reaches(&fixture, 3, 1));
    apply(&fixture, "b",
          result_new(OUTCOME_WITHDRAWN, pack_new("history/rome", "p", "1.0.0", LATE, 9), "grave"));
    SyncResult *secret =
        result_new(OUTCOME_WITHDRAWN, pack_new("history/secret", "p", "1.0.0", LATE, 8), "grave");
    secret->pack->is_private = TRUE;
    apply(&fixture, "b", secret);
    assert_tombstones(&fixture, "history/rome 9");
    g_assert_true(reaches(&fixture, 3, 9));
    g_assert_true(reaches(&fixture, 3, 8));
    g_assert_false(reaches(&fixture, 3, 1));
    /* For good, whatever becomes of the source. */
    SOURCES(&fixture, "c");
    assert_tombstones(&fixture, "history/rome 9");
    apply(&fixture, "c", installed("1.0.1", 3));
    assert_tombstones(&fixture, "");
    g_assert_false(reaches(&fixture, 3, 9));
}

/* Their first digits, in order. */
static char *former(Fixture *fixture, guint keep)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) packs = mirror_db_former(fixture->db, keep, &error);
    g_assert_no_error(error);
    GString *digits = g_string_new(NULL);
    for (guint i = 0; i < packs->len; i++) {
        const MirroredPack *pack = g_ptr_array_index(packs, i);
        g_assert_cmpstr(pack->path, ==, "history/rome");
        g_assert_cmpstr(pack->source, ==, "a");
        g_assert_false(pack->is_private || pack->withdrawn);
        g_string_append_printf(digits, "%u", pack->digest[0]);
    }
    return g_string_free(digits, FALSE);
}

static void test_former(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    for (guint i = 1; i <= 5; i++) {
        g_autofree char *version = g_strdup_printf("1.%u.0", i);
        apply(&fixture, "a", installed(version, (guint8)i));
    }
    SyncResult *secret = installed("9.0.0", 9);
    secret->pack->is_private = TRUE;
    apply(&fixture, "b", secret);
    g_autofree char *all = former(&fixture, 100), *three = former(&fixture, 3), *one = former(&fixture, 1);
    g_assert_cmpstr(all, ==, "4321");
    g_assert_cmpstr(three, ==, "43");
    g_assert_cmpstr(one, ==, "");
    /* Nothing of a path that is not served. */
    SOURCES(&fixture, "b");
    g_autofree char *none = former(&fixture, 100);
    g_assert_cmpstr(none, ==, "");
}

static void test_reachable(void)
{
    g_auto(Fixture) fixture = {0};
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    for (guint i = 1; i <= 5; i++) {
        g_autofree char *version = g_strdup_printf("1.%u.0", i);
        apply(&fixture, "a", installed(version, (guint8)i));
    }
    g_assert_true(reaches(&fixture, 1, 5));
    g_assert_false(reaches(&fixture, 1, 4));
    g_assert_true(reaches(&fixture, 3, 3));
    g_assert_false(reaches(&fixture, 3, 2));
    g_assert_true(reaches(&fixture, 100, 1));
    guint8 digest[SHA256_BYTES];
    memset(digest, 2, sizeof digest);
    g_autoptr(GPtrArray) paths = mirror_db_paths_of(fixture.db, digest, &error);
    g_assert_cmpuint(paths->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(paths, 0), ==, "history/rome");
    /* Of a path that is not served nothing is kept. */
    SOURCES(&fixture, "b");
    g_assert_false(reaches(&fixture, 3, 5));
    /* What a source has is kept, served or not. */
    SOURCES(&fixture, "b", "c");
    SyncResult *mine = installed_unsigned(50), *other = installed_unsigned(60);
    g_free(mine->pack->path);
    g_free(other->pack->path);
    mine->pack->path = g_strdup("x");
    other->pack->path = g_strdup("x");
    apply(&fixture, "b", mine);
    apply(&fixture, "c", other);
    g_assert_true(reaches(&fixture, 1, 50));
    g_assert_true(reaches(&fixture, 1, 60));
}

/* --- Random histories beside the model --- */

static const char *const random_names[] = {"a", "b", "c"};
static const char *const random_paths[] = {"history/rome", "history", "x", "science/moon"};

static SyncResult *random_result(void)
{
    static const char *const fingerprints[] = {"", "p", "p", "p", "q"};
    static const char *const versions[] = {"", "1.0.0", "1.1.0", "1.2.0"};
    static const char *const dates[] = {EARLY, LATE};
    static const AcceptRule rules[] = {ACCEPT_HASH, ACCEPT_HIJACK, ACCEPT_ROLLBACK, ACCEPT_UNTRUSTED};
    const char *path = random_paths[g_test_rand_int_range(0, G_N_ELEMENTS(random_paths))];
    const char *fingerprint = fingerprints[g_test_rand_int_range(0, G_N_ELEMENTS(fingerprints))];
    const char *version =
        fingerprint[0] == '\0' ? "" : versions[g_test_rand_int_range(0, G_N_ELEMENTS(versions))];
    const char *date = version[0] == '\0' ? "" : dates[g_test_rand_int_range(0, G_N_ELEMENTS(dates))];
    gint kind = g_test_rand_int_range(0, 10);
    guint8 content = (guint8)g_test_rand_int_range(1, 4);
    SyncOutcome outcome = kind < 6    ? OUTCOME_INSTALLED
                          : kind == 6 ? OUTCOME_WITHDRAWN
                          : kind == 7 ? OUTCOME_REFUSED
                                      : OUTCOME_GONE;
    SyncResult *result = result_new(outcome, pack_new(path, fingerprint, version, date, content), "identity");
    result->pack->is_private = g_test_rand_int_range(0, 6) == 0;
    /* Different texts have different digests, the same ones mostly the same. */
    result->pack->digest[1] = (guint8)(fingerprint[0] ^ (version[0] != '\0' ? version[2] : 0));
    result->pack->digest[2] = (guint8)(outcome == OUTCOME_WITHDRAWN ? 1 : 0);
    if (outcome == OUTCOME_REFUSED) {
        result->rule = rules[g_test_rand_int_range(0, G_N_ELEMENTS(rules))];
        result->reason = g_strdup("reason");
    }
    return result;
}

static void random_apply(Fixture *fixture, Model *model)
{
    g_autoptr(GError) error = NULL;
    const char *source = random_names[g_test_rand_int_range(0, G_N_ELEMENTS(random_names))];
    gboolean remove_gone = g_test_rand_bit();
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    for (gint i = g_test_rand_int_range(0, 5); i >= 0; i--)
        g_ptr_array_add(results, random_result());
    GPtrArray *changes = NULL;
    gboolean good = mirror_db_apply(fixture->db, source, results, remove_gone, NOW, &changes, &error);
    if (model_source(model, source) == NULL) {
        g_assert_false(good);
        return;
    }
    g_assert_no_error(error);
    follow(fixture, changes);
    for (guint i = 0; i < results->len; i++)
        model_apply(model, source, g_ptr_array_index(results, i), remove_gone);
}

static void random_sources(Fixture *fixture, Model *model)
{
    const char *names[G_N_ELEMENTS(random_names) + 1] = {NULL},
                                                   *origins[G_N_ELEMENTS(random_names) + 1] = {NULL};
    guint count = 0;
    for (guint i = 0; i < G_N_ELEMENTS(random_names); i++) {
        if (g_test_rand_int_range(0, 5) == 0)
            continue;
        names[count] = random_names[i];
        origins[count++] = g_test_rand_int_range(0, 4) == 0 ? "elsewhere" : "here";
    }
    set_sources(fixture, names, origins);
    model_set_sources(model, names, origins);
}

static void random_damage(Fixture *fixture, Model *model)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *changes = NULL;
    if (model->held->len == 0)
        return;
    const MirroredPack *any =
        g_ptr_array_index(model->held, g_test_rand_int_range(0, (gint32)model->held->len));
    guint8 digest[SHA256_BYTES];
    memcpy(digest, any->digest, sizeof digest);
    g_assert_true(mirror_db_damaged(fixture->db, digest, &changes, &error));
    g_assert_no_error(error);
    /* The model does not know where a release has been; it follows what the changes say and is compared. */
    for (guint i = 0; i < model->held->len; i++) {
        MirroredPack *pack = g_ptr_array_index(model->held, i);
        if (!pack->withdrawn && memcmp(pack->digest, digest, sizeof digest) == 0) {
            pack->withdrawn = TRUE;
            model_ask_again(model, pack->path, pack->is_private);
        }
    }
    follow(fixture, changes);
}

static void compare_held(const Fixture *fixture, const Model *model)
{
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < 2 * G_N_ELEMENTS(random_paths); i++) {
        g_autoptr(MirroredPack) held = NULL;
        const char *path = random_paths[i / 2];
        g_assert_true(mirror_db_held(fixture->db, path, i % 2 == 1, &held, &error));
        const MirroredPack *expected = model_held(model, path, i % 2 == 1);
        g_assert_cmpint(held != NULL, ==, expected != NULL);
        if (held == NULL)
            continue;
        g_assert_cmpint(held->withdrawn, ==, expected->withdrawn);
        g_assert_cmpstr(held->source, ==, expected->source);
        g_assert_cmpstr(held->fingerprint, ==, expected->fingerprint);
        g_assert_cmpstr(held->version, ==, expected->version);
        g_assert_cmpmem(held->digest, SHA256_BYTES, expected->digest, SHA256_BYTES);
    }
}

static void compare_rows(const Fixture *fixture, const Model *model, const char *source)
{
    g_autoptr(GError) error = NULL;
    g_auto(SourceRecord) record = {0};
    guint refused_count = 0, gone_count = 0, served_count = 0;
    for (guint i = 0; i < G_N_ELEMENTS(random_paths); i++) {
        g_autofree char *identity = NULL;
        SyncOutcome outcome;
        AcceptRule rule;
        g_assert_true(
            mirror_db_known(fixture->db, source, random_paths[i], &identity, &outcome, &rule, &error));
        const ModelRow *row = model_row(model, source, random_paths[i]);
        g_assert_cmpint(identity != NULL, ==, row != NULL);
        if (row == NULL)
            continue;
        g_assert_cmpint(outcome, ==, row->outcome);
        g_assert_cmpint(rule, ==, row->rule);
        /* What was damaged without being served is asked for again, too, which the model leaves out. */
        g_assert_true(identity[0] == '\0' || row->is_known);
        refused_count += outcome == OUTCOME_REFUSED ? 1 : 0;
        gone_count += outcome == OUTCOME_GONE &&
                              model_serves(model_held(model, random_paths[i], row->is_private), source)
                          ? 1
                          : 0;
    }
    for (guint i = 0; i < model->held->len; i++)
        served_count += model_serves(g_ptr_array_index(model->held, i), source) ? 1 : 0;
    source_of(fixture, source, &record);
    g_assert_cmpuint(record.packs_refused, ==, refused_count);
    g_assert_cmpuint(record.packs_gone, ==, gone_count);
    g_assert_cmpuint(record.packs_served, ==, served_count);
}

static void compare(const Fixture *fixture, const Model *model)
{
    g_autoptr(GError) error = NULL;
    assert_told(fixture);
    compare_held(fixture, model);
    for (guint i = 0; i < G_N_ELEMENTS(random_names); i++)
        compare_rows(fixture, model, random_names[i]);
    g_autoptr(GHashTable) reachable = mirror_db_reachable(fixture->db, 1, &error);
    for (guint i = 0; i < model->held->len; i++) {
        const MirroredPack *pack = g_ptr_array_index(model->held, i);
        g_autoptr(GBytes) key = g_bytes_new(pack->digest, SHA256_BYTES);
        g_assert_true(pack->withdrawn || g_hash_table_contains(reachable, key));
    }
}

static void test_random_histories(void)
{
    for (guint history = 0; history < 6; history++) {
        g_auto(Fixture) fixture = {0};
        g_auto(Model) model = {0};
        fixture_init(&fixture);
        model_init(&model);
        random_sources(&fixture, &model);
        for (guint step = 0; step < 120; step++) {
            gint kind = g_test_rand_int_range(0, 12);
            if (kind == 0)
                random_sources(&fixture, &model);
            else if (kind == 1)
                random_damage(&fixture, &model);
            else if (kind == 2)
                reopen(&fixture);
            else
                random_apply(&fixture, &model);
            compare(&fixture, &model);
        }
    }
}

/* --- Processes that are killed --- */

/* Each transaction of the child brings the same version to three paths: whatever instant it is killed at, all
 * three are at one version. */
static void write_until_killed(const Fixture *fixture, guint round)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MirrorDb) db = mirror_db_open(fixture->path, DB_WRITE, &error);
    g_assert_no_error(error);
    for (guint i = 0;; i++) {
        g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
        g_autofree char *version = g_strdup_printf("%u.%u.0", round + 1, i);
        GPtrArray *changes = NULL;
        for (guint p = 0; p < 3; p++)
            g_ptr_array_add(results,
                            result_new(OUTCOME_INSTALLED,
                                       pack_new(random_paths[p], "p", version, EARLY, (guint8)i), version));
        g_assert_true(mirror_db_apply(db, "a", results, FALSE, NOW, &changes, &error));
        g_ptr_array_unref(changes);
    }
}

static void test_killed(void)
{
    g_auto(Fixture) fixture = {0};
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    SOURCES(&fixture, "a");
    g_clear_pointer(&fixture.db, mirror_db_close);
    for (guint round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0)
            write_until_killed(&fixture, round);
        g_usleep((gulong)g_test_rand_int_range(5000, 60000));
        g_assert_cmpint(kill(child, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
        reopen(&fixture);
        g_autoptr(GPtrArray) served = mirror_db_served(fixture.db, &error);
        g_assert_no_error(error);
        g_assert_true(served->len == 0 || served->len == 3);
        for (guint i = 1; i < served->len; i++)
            g_assert_cmpstr(((MirroredPack *)g_ptr_array_index(served, i))->version, ==,
                            ((MirroredPack *)g_ptr_array_index(served, 0))->version);
        g_clear_pointer(&fixture.db, mirror_db_close);
    }
}

/* --- Cost --- */

static gint64 cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec * G_USEC_PER_SEC + usage.ru_utime.tv_usec;
}

/* The processor time of some reports. */
static gint64 cost_of_reports(Fixture *fixture, guint first_version)
{
    gint64 began = cpu_us();
    for (guint i = 0; i < 100; i++) {
        g_autofree char *version = g_strdup_printf("1.%u.0", first_version + i);
        apply_only(fixture, "a", installed(version, (guint8)i), FALSE);
    }
    return cpu_us() - began;
}

static void fill(Fixture *fixture, const char *source, guint count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    GPtrArray *changes = NULL;
    for (guint i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("many/%u", i);
        MirroredPack *pack = pack_new(path, "p", "1.0.0", EARLY, (guint8)i);
        SyncResult *result = result_new(OUTCOME_WITHDRAWN, pack, "x");
        g_ptr_array_add(results, result);
    }
    g_assert_true(mirror_db_apply(fixture->db, source, results, FALSE, NOW, &changes, &error));
    g_assert_no_error(error);
    g_ptr_array_unref(changes);
}

static void test_cost_is_that_of_the_results(void)
{
    g_auto(Fixture) fixture = {0};
    fixture_init(&fixture);
    SOURCES(&fixture, "a", "b");
    cost_of_reports(&fixture, 0);
    gint64 small = cost_of_reports(&fixture, 100);
    fill(&fixture, "a", 20000);
    fill(&fixture, "b", 20000);
    gint64 large = cost_of_reports(&fixture, 200);
    if (large > 8 * small + 20000)
        g_error("100 reports cost %" G_GINT64_FORMAT " µs in a small database and %" G_GINT64_FORMAT
                " µs in a large one",
                small, large);
}

int main(int argc, char **argv)
{
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mirror-db/one-source", test_one_source);
    g_test_add_func("/mirror-db/withdrawn", test_withdrawn);
    g_test_add_func("/mirror-db/two-sources", test_two_sources);
    g_test_add_func("/mirror-db/private", test_private_is_another_space);
    g_test_add_func("/mirror-db/gone", test_gone);
    g_test_add_func("/mirror-db/source-goes", test_source_goes);
    g_test_add_func("/mirror-db/source-moves", test_source_moves);
    g_test_add_func("/mirror-db/damaged", test_damaged);
    g_test_add_func("/mirror-db/unsettled", test_unsettled);
    g_test_add_func("/mirror-db/ends-and-alarms", test_ends_and_alarms);
    g_test_add_func("/mirror-db/history-pages", test_history_pages);
    g_test_add_func("/mirror-db/history-is-bounded", test_history_is_bounded);
    g_test_add_func("/mirror-db/tombstones", test_tombstones);
    g_test_add_func("/mirror-db/former", test_former);
    g_test_add_func("/mirror-db/reachable", test_reachable);
    g_test_add_func("/mirror-db/random-histories", test_random_histories);
    g_test_add_func("/mirror-db/killed", test_killed);
    g_test_add_func("/mirror-db/cost", test_cost_is_that_of_the_results);
    return g_test_run();
}
