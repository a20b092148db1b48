/* SPDX-License-Identifier: MIT
 *
 * Mirroring a peer that lies, replays, contradicts itself, or does not serve what its catalog says: each is
 * told apart, nothing of it is applied, and what was taken before stays.
 */
#include "peer_world.h"

#include "schema/limits.h"

static void world_with_packs(PeerWorld *world, guint count)
{
    peer_world_init(world);
    peer_put_many(world, count, "1.0.0", 1);
}

static void assert_untouched(PeerWorld *world)
{
    g_assert_cmpuint(world->results->len, ==, 0);
    peer_world_assert_version(world, "set/0", "1.0.0");
}

static GBytes *bytes_of(const char *text)
{
    return g_bytes_new(text, strlen(text));
}

/* --- The checkpoint --- */

static void test_wrong_key_and_name(void)
{
    g_auto(PeerWorld) world;
    g_autoptr(SecretKey) other = world_key(8);
    world_with_packs(&world, 3);
    g_autoptr(SecretKey) right = world.broker;
    world.broker = g_steal_pointer(&other);
    peer_world_sync_fails(&world, KONTOR_ERROR_SIGNATURE, "pinned key");
    g_assert_cmpuint(world.alarms->len, ==, 0);
    other = world.broker;
    world.broker = g_steal_pointer(&right);
    g_clear_pointer(&world.note, g_free);
    peer_world_sync_ok(&world);
    world.name = "south.example";
    g_clear_pointer(&world.note, g_free);
    peer_put(&world, "new", "1.0.0", "x\n");
    peer_world_sync_fails(&world, KONTOR_ERROR_SIGNATURE, "until now it was 'north.example'");
    assert_untouched(&world);
    world.source->key_name = g_strdup("south.example");
    peer_world_sync_ok(&world);
}

static gboolean answer_html(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    (void)target;
    peer_answer_text(answer, "<html><body>It works!</body></html>\n");
    return TRUE;
}

static gboolean answer_redirect(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    (void)target;
    answer->raw =
        bytes_of("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    return TRUE;
}

static gboolean answer_nothing(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    (void)target;
    answer->raw = bytes_of("");
    return TRUE;
}

static gboolean answer_unwanted_304(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    (void)target;
    answer->raw = bytes_of("HTTP/1.1 304 Not Modified\r\n\r\n");
    return TRUE;
}

static gboolean answer_large_note(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    (void)target;
    g_autofree char *text = g_strnfill(LIMIT_NOTE_BYTES + 1, 'x');
    peer_answer_text(answer, text);
    return TRUE;
}

static void test_no_checkpoint(void)
{
    static const struct {
        PeerBend bend;
        KontorErrorCode code;
        const char *text;
    } cases[] = {
        {answer_html, KONTOR_ERROR_MALFORMED, ""},
        {answer_redirect, KONTOR_ERROR_MALFORMED, "answered 302"},
        {answer_nothing, KONTOR_ERROR_IO, ""},
        {answer_unwanted_304, KONTOR_ERROR_MALFORMED, "answered 304"},
        {answer_large_note, KONTOR_ERROR_LIMIT, "larger than"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(PeerWorld) world;
        world_with_packs(&world, 1);
        peer_bend(&world, cases[i].bend);
        peer_world_sync_fails(&world, cases[i].code, cases[i].text);
        g_assert_cmpuint(world.alarms->len, ==, 0);
        g_assert_cmpuint(world.results->len, ==, 0);
    }
}

static void test_rollback(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 3);
    g_autofree char *old = NULL;
    peer_world_sync_ok(&world);
    old = g_strdup(world.note);
    peer_put(&world, "set/0", "1.0.1", "x\n");
    peer_world_sync_ok(&world);
    for (guint i = 0; i < 3; i++) {
        g_mutex_lock(&world.lock);
        g_free(world.note);
        world.note = g_strdup(old);
        g_mutex_unlock(&world.lock);
        if (i == 1)
            peer_world_restart(&world);
        if (i == 2) {
            /* What the broker keeps for us remembers it, too. */
            g_autofree char *path = g_build_filename(world.here.top, "peers", "north.db", NULL);
            peer_world_restart(&world);
            g_assert_true(db_delete(path, NULL));
        }
        peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "goes back to generation");
        peer_world_assert_alarm(&world, "rollback");
        g_assert_cmpuint(world.results->len, ==, 0);
    }
    world.reset = TRUE;
    peer_publish(&world); /* nothing changed: the same generation, honestly */
    peer_world_sync_ok(&world);
    peer_world_assert_version(&world, "set/0", "1.0.1");
}

static void test_fork(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 3);
    peer_world_sync_ok(&world);
    g_mutex_lock(&world.lock);
    CatalogCheckpoint other = peer_checkpoint(&world);
    other.root[0] ^= 1;
    g_autofree char *first = world.note;
    world.note = peer_sign_note(&world, &other);
    g_autofree char *second = g_strdup(world.note);
    g_mutex_unlock(&world.lock);
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "two different catalogs");
    peer_world_assert_alarm(&world, "fork");
    for (guint i = 0; i < 2; i++) {
        g_autofree char *kept = NULL;
        g_autofree char *name =
            g_strdup_printf("north-%" G_GUINT64_FORMAT "-%s.note", other.generation, i == 0 ? "a" : "b");
        g_autofree char *path = g_build_filename(world.here.top, "evidence", name, NULL);
        g_assert_true(g_file_get_contents(path, &kept, NULL, NULL));
        g_assert_cmpstr(kept, ==, i == 0 ? first : second);
    }
    /* Nothing is asked of it any more, whatever it says now. */
    peer_put(&world, "new", "1.0.0", "x\n");
    peer_world_restart(&world);
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "--reset");
    peer_world_assert_alarm(&world, "fork");
    g_assert_cmpuint(world.targets->len, ==, 0);
    world.reset = TRUE;
    peer_world_sync_ok(&world);
    peer_world_assert_version(&world, "new", "1.0.0");
    world.reset = FALSE;
    peer_world_sync_ok(&world);
}

static void test_stale(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 3);
    world.expires_in_s = 1;
    g_clear_pointer(&world.note, g_free);
    peer_world_sync_ok(&world);
    g_usleep(2100 * 1000);
    /* It has not changed, which is just what is wrong with it. */
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "expired");
    peer_world_assert_alarm(&world, "stale");
    g_assert_cmpuint(world.targets->len, ==, 1);
    world.expires_in_s = -100;
    peer_put(&world, "set/0", "1.0.1", "x\n");
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "expired");
    assert_untouched(&world);
    world.expires_in_s = 1000;
    g_clear_pointer(&world.note, g_free);
    peer_world_sync_ok(&world);
    g_assert_cmpstr(g_ptr_array_index(world.alarms, 0), ==, ": ");
    peer_world_assert_version(&world, "set/0", "1.0.1");
}

/* --- The catalog --- */

/* A signed root that nothing leads to. */
static void test_wrong_root(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 3);
    peer_world_sync_ok(&world);
    g_mutex_lock(&world.lock);
    CatalogCheckpoint wrong = peer_checkpoint(&world);
    wrong.generation += 5;
    wrong.root[0] ^= 1;
    g_free(world.note);
    world.note = peer_sign_note(&world, &wrong);
    g_mutex_unlock(&world.lock);
    for (guint i = 0; i < 2; i++) {
        peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "does not fit to the checkpoint");
        peer_world_assert_alarm(&world, "mismatch");
        g_assert_cmpuint(world.targets->len, <, 10);
        assert_untouched(&world);
    }
    /* The root is right, but not the number of items. */
    peer_put(&world, "new", "1.0.0", "x\n");
    g_mutex_lock(&world.lock);
    world.now_s += 10;
    wrong = peer_checkpoint(&world);
    wrong.count++;
    wrong.generation += 10;
    g_free(world.note);
    world.note = peer_sign_note(&world, &wrong);
    g_mutex_unlock(&world.lock);
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "does not fit to the checkpoint");
    assert_untouched(&world);
}

static gboolean garbage_catalog(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    static const char *const texts[] = {"{\"count\":", "[]", "\xff\xfe", "{}", "null"};
    if (!g_str_has_prefix(target, "/catalog/digest") && !g_str_has_prefix(target, "/catalog/changes"))
        return FALSE;
    peer_answer_text(answer, texts[world->bent % G_N_ELEMENTS(texts)]);
    return TRUE;
}

/* Items that stand twice, and counts beyond all measure. */
static gboolean nonsense_catalog(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    if (!g_str_has_prefix(target, "/catalog/digest"))
        return FALSE;
    PeerAnswer honest = {0};
    peer_answer_digest(world, "", &honest);
    g_autofree char *text = g_strndup(g_bytes_get_data(honest.body, NULL), g_bytes_get_size(honest.body));
    g_clear_pointer(&honest.body, g_bytes_unref);
    GString *bent = g_string_new(text);
    if (world->bent == 0)
        g_string_replace(bent, "\"count\":3", "\"count\":9007199254740991", 1);
    const char *items = strchr(bent->str, '[');
    const char *end = strchr(bent->str, '}');
    if (world->bent == 1) {
        g_autofree char *item = g_strndup(items + 1, (gsize)(end - items));
        g_string_insert_c(bent, end - bent->str + 1, ',');
        g_string_insert(bent, items + 1 - bent->str + (gssize)strlen(item) + 1, item);
    }
    answer->status = 200;
    answer->body = g_string_free_to_bytes(bent);
    return TRUE;
}

static void test_garbage(void)
{
    for (guint i = 0; i < 7; i++) {
        g_auto(PeerWorld) world;
        world_with_packs(&world, 3);
        world.bent = i < 5 ? i : i - 5;
        peer_bend(&world, i < 5 ? garbage_catalog : nonsense_catalog);
        g_assert_false(peer_world_sync(&world));
        g_assert_true(world.error->code == KONTOR_ERROR_MALFORMED || world.error->code == KONTOR_ERROR_LIMIT);
        g_assert_cmpuint(world.results->len, ==, 0);
        g_assert_cmpuint(world.targets->len, <, 5);
    }
}

/* Changes that lead to something that nobody has signed: the digests tell the truth. */
static gboolean lying_changes(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    if (!g_str_has_prefix(target, "/catalog/changes"))
        return FALSE;
    guint64 generation = journal_generation(world->journal);
    g_autofree char *text =
        g_strdup_printf("{\"changes\":[{\"removed\":\"set/1\"}],\"generation\":%" G_GUINT64_FORMAT
                        ",\"next\":%" G_GUINT64_FORMAT "}",
                        generation, generation);
    peer_answer_text(answer, text);
    return TRUE;
}

/* Changes that never come to an end. */
static gboolean endless_changes(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    if (!g_str_has_prefix(target, "/catalog/changes?since="))
        return FALSE;
    guint64 since = g_ascii_strtoull(target + strlen("/catalog/changes?since="), NULL, 10);
    g_autofree char *text = g_strdup_printf(
        "{\"changes\":[],\"generation\":9007199254740991,\"next\":%" G_GUINT64_FORMAT "}", since + 1);
    world->bent++;
    peer_answer_text(answer, text);
    return TRUE;
}

static void test_lying_changes(void)
{
    static const PeerBend bends[] = {lying_changes, endless_changes};
    for (guint i = 0; i < G_N_ELEMENTS(bends); i++) {
        g_auto(PeerWorld) world;
        world_with_packs(&world, 5);
        peer_world_sync_ok(&world);
        peer_bend(&world, bends[i]);
        peer_put(&world, "set/0", "1.0.1", "x\n");
        peer_world_sync_ok(&world);
        g_assert_cmpuint(world.results->len, ==, 1);
        g_assert_cmpuint(world.bent, <=, LIMIT_JOURNAL_STEPS);
        peer_world_assert_version(&world, "set/0", "1.0.1");
    }
}

/* A catalog that changes whenever its digests are asked for. */
static gboolean restless(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)answer;
    if (!g_str_has_prefix(target, "/catalog/digest"))
        return FALSE;
    g_autofree char *path = g_strdup_printf("restless/%u", world->bent++);
    PeerPackSpec spec = {.path = path, .version = "1.0.0", .text = "x\n"};
    g_hash_table_replace(world->packs, g_strdup(path), peer_pack_new(world, &spec));
    peer_publish(world);
    return FALSE;
}

static void test_restless(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 5);
    peer_bend(&world, restless);
    peer_world_sync_fails(&world, KONTOR_ERROR_CONFLICT, "kept changing");
    g_assert_cmpuint(world.alarms->len, ==, 0);
    peer_bend(&world, NULL);
    peer_world_sync_ok(&world);
}

/* --- Packs --- */

static gboolean no_files(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    (void)answer;
    return !g_str_has_prefix(target, "/catalog/c") && !g_str_has_prefix(target, "/catalog/digest");
}

static void test_storm_of_404(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 300);
    peer_bend(&world, no_files);
    peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "gave up after 64 packs");
    guint asked = peer_world_requests(&world, "/catalog/releases/");
    g_assert_cmpuint(asked, <, 64 + 64);
    /* Those are not asked for again at once. */
    peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "gave up");
    peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "gave up");
    peer_bend(&world, NULL);
    peer_world_sync_ok(&world);
    guint installed = peer_world_count(&world, OUTCOME_INSTALLED);
    g_assert_cmpuint(installed, >, 0);
    g_assert_cmpuint(installed, <=, 300 - 3 * 64);
    /* The operator need not wait. */
    world.full = TRUE;
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 300);
}

/* Of pack set/2 only: by hash its own page cannot be had, in different ways. */
static gboolean bad_page(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    const PeerPack *pack = g_hash_table_lookup(world->packs, "set/2");
    g_autofree char *hash = g_compute_checksum_for_bytes(
        G_CHECKSUM_SHA256, g_hash_table_lookup(pack->files, "wiki/concepts/p0.md"));
    gboolean by_hash = g_str_has_suffix(target, hash);
    gboolean by_name = strcmp(target, "/packs/set/2/wiki/concepts/p0.md") == 0;
    if (!by_hash && !by_name)
        return FALSE;
    if (by_name && world->bent == 3)
        return FALSE;
    if (world->bent == 0 || world->bent == 3)
        return TRUE; /* 404 */
    if (world->bent == 1)
        peer_answer_text(answer, "other bytes\n");
    else
        answer->raw = bytes_of("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
    return TRUE;
}

static void test_one_bad_pack(void)
{
    static const char *const texts[] = {"answered 404", "other bytes", "larger than", NULL};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(PeerWorld) world;
        world_with_packs(&world, 5);
        peer_bend(&world, bad_page);
        world.bent = i;
        if (texts[i] == NULL) {
            peer_world_sync_ok(&world);
            g_assert_cmpuint(peer_world_requests(&world, "/packs/"), ==, 1);
            continue;
        }
        peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "1 pack could not be fetched");
        g_assert_nonnull(strstr(world.error->message, "pack 'set/2': "));
        g_assert_nonnull(strstr(world.error->message, texts[i]));
        g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 4);
        peer_world_assert_version(&world, "set/2", NULL);
        /* It waits; the peer is well otherwise. */
        peer_world_sync_ok(&world);
        g_assert_cmpuint(world.targets->len, ==, 1);
    }
}

/* What is asked for is answered with the signature of another pack. */
static gboolean other_sig(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    const PeerPack *pack = g_hash_table_lookup(world->packs, "set/1");
    if (!g_str_has_prefix(target, "/catalog/releases/"))
        return FALSE;
    answer->status = 200;
    answer->body = g_bytes_ref(pack->sig);
    return TRUE;
}

static void test_other_signature(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 3);
    peer_bend(&world, other_sig);
    peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "2 packs could not be fetched");
    g_assert_nonnull(strstr(world.error->message, "another release"));
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
}

/* The catalog has a signed release of one path at another. */
static void test_path_swapped(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 2);
    g_mutex_lock(&world.lock);
    PeerPack *from = g_hash_table_lookup(world.packs, "set/1");
    PeerPack *copy = g_new0(PeerPack, 1);
    CatalogItemInfo info = {.path = "elsewhere",
                            .version = "1.0.0",
                            .publisher = from->item->publisher,
                            .published_at = from->item->published_at,
                            .digest = from->item->digest,
                            .content_sha256 = from->item->content_sha256};
    copy->item = catalog_item_new(&info, NULL);
    copy->sig = g_bytes_ref(from->sig);
    copy->files = g_hash_table_ref(from->files);
    g_hash_table_replace(world.packs, g_strdup("elsewhere"), copy);
    peer_publish(&world);
    g_mutex_unlock(&world.lock);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 1);
    for (guint i = 0; i < world.results->len; i++) {
        const SyncResult *result = g_ptr_array_index(world.results, i);
        if (result->outcome == OUTCOME_REFUSED)
            g_assert_cmpint(result->rule, ==, ACCEPT_WRONG_PATH);
    }
}

static void test_budgets(void)
{
    g_auto(PeerWorld) world;
    world_with_packs(&world, 100);
    world.source->bytes_max = 200;
    peer_world_sync_fails(&world, KONTOR_ERROR_LIMIT, "as many bytes as one sync may bring");
    world.source->bytes_max = 150 * 1000;
    guint rounds = 0, installed = 0;
    for (; rounds < 20; rounds++) {
        g_assert_true(peer_world_sync(&world));
        installed += peer_world_count(&world, OUTCOME_INSTALLED);
        if (!world.done.partial)
            break;
        g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), >, 0);
        g_assert_cmpstr(world.done.state, ==, "");
    }
    g_assert_cmpuint(rounds, >, 0);
    /* Packs that were under way at the end of a budget wait for a minute. */
    g_assert_cmpuint(installed, >=, 100 - rounds * LIMIT_PEER_PACKS);
    world.source->bytes_max = LIMIT_SOURCE_BYTES;
    world.full = TRUE;
    peer_world_sync_ok(&world);
    peer_world_assert_version(&world, "set/99", "1.0.0");
    world.seconds = 0;
    peer_world_sync_fails(&world, KONTOR_ERROR_BUSY, "time is up");
}

int main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/wrong-key-and-name", test_wrong_key_and_name);
    g_test_add_func("/peer/no-checkpoint", test_no_checkpoint);
    g_test_add_func("/peer/rollback", test_rollback);
    g_test_add_func("/peer/fork", test_fork);
    g_test_add_func("/peer/stale", test_stale);
    g_test_add_func("/peer/wrong-root", test_wrong_root);
    g_test_add_func("/peer/garbage", test_garbage);
    g_test_add_func("/peer/lying-changes", test_lying_changes);
    g_test_add_func("/peer/restless", test_restless);
    g_test_add_func("/peer/storm-of-404", test_storm_of_404);
    g_test_add_func("/peer/one-bad-pack", test_one_bad_pack);
    g_test_add_func("/peer/other-signature", test_other_signature);
    g_test_add_func("/peer/path-swapped", test_path_swapped);
    g_test_add_func("/peer/budgets", test_budgets);
    return g_test_run();
}
