/* SPDX-License-Identifier: MIT
 *
 * The publisher with packs in both places: a packs directory and a release store that are made here, signed
 * by a publisher of our own. What is served, hidden, searched, told to other brokers and found by hash.
 */
#include "broker/serve/publisher.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/serve/trust_file.h"
#include "mirror/store/pack_content.h"

#define INDEX "# Index\n\n| File | Title | Summary |\n|---|---|---|\n| one.md | One | first |\n"
#define WAIT_US (20 * G_USEC_PER_SEC)

typedef struct {
    char *dir, *packs, *releases, *trust_file;
    Config *config;
    SecretKey *key;
    Actor *indexer;
    Publisher *publisher;
    Mailbox *mailbox;
    gint ready; /* atomic */
    guint answers;
    GPtrArray *problems; /* of the latest mirror job; a reference */
} World;

/* --- Files --- */

static void write_file(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR))
            remove_tree(child);
        else
            g_unlink(child);
    }
    g_rmdir(path);
}

/* A pack of one page; `word` is only in it. */
static void write_pack(const char *dir, const char *version, const char *word)
{
    g_autofree char *manifest = g_strdup_printf("name: x\nversion: %s\nsummary: about\n", version);
    g_autofree char *page = g_strdup_printf("# One\n\n%s is here.\n", word);
    write_file(dir, "manifest.yaml", manifest);
    write_file(dir, "wiki/index.md", INDEX);
    write_file(dir, "wiki/one.md", page);
    write_file(dir, "wiki/same.md", "everywhere the same\n");
}

static void write_local(const World *world, const char *path, const char *word)
{
    g_autofree char *dir = g_build_filename(world->packs, path, NULL);
    write_pack(dir, "1.0.0", word);
}

/* --- Releases --- */

static void sign_pack(const World *world, const char *dir, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PackContent) content = pack_content_of_directory(dir, /* threads= */ 1, NULL, &error);
    g_assert_no_error(error);
    ReleaseOptions options = {.path = path, .signer_name = "Anna", .published_at = "2026-01-02T03:04:05Z"};
    g_autofree char *text = release_sign(content, &options, world->key, &error);
    g_assert_no_error(error);
    write_file(dir, "manifest.sig", text);
}

static MirroredPack *record_new(const char *path, gboolean is_private, const guint8 *digest)
{
    MirroredPack *record = g_new0(MirroredPack, 1);
    record->path = g_strdup(path);
    memcpy(record->digest, digest, SHA256_BYTES);
    record->source = g_strdup(is_private ? "vault" : "commons");
    record->is_private = is_private;
    record->policy = PACK_POLICY_REQUIRED;
    record->fingerprint = g_strdup("");
    record->publisher = g_strdup("");
    record->version = g_strdup("");
    record->published_at = g_strdup("");
    record->origin = g_strdup("");
    return record;
}

/* Makes a signed pack, lays it into the store under its digest, and says what the mirrors would say. */
static MirroredPack *release_of(const World *world, const char *path, gboolean is_private,
                                const char *version, const char *word)
{
    g_autofree char *staged = g_build_filename(world->dir, "store", "tmp", NULL);
    remove_tree(staged);
    write_pack(staged, version, word);
    sign_pack(world, staged, path);
    g_autofree char *name = g_build_filename(staged, "manifest.sig", NULL), *text = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(name, &text, &len, NULL));
    g_autoptr(ManifestSig) sig = manifest_sig_parse(text, len, NULL);
    guint8 digest[SHA256_BYTES];
    char hex[SHA256_HEX_CHARS + 1];
    release_digest(sig, digest);
    hex_encode(digest, sizeof digest, hex);
    g_autofree char *installed = g_build_filename(world->releases, hex, NULL);
    g_assert_cmpint(g_mkdir_with_parents(world->releases, 0700), ==, 0);
    g_assert_cmpint(g_rename(staged, installed), ==, 0);
    return record_new(path, is_private, digest);
}

static char *file_of_release(const World *world, const MirroredPack *record, const char *name)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(record->digest, sizeof record->digest, hex);
    return g_build_filename(world->releases, hex, name, NULL);
}

/* --- A publisher --- */

static void on_ready(gpointer user)
{
    g_atomic_int_set(&((World *)user)->ready, TRUE);
}

static void write_trust(const World *world, const char *more)
{
    PublicKey key;
    char fingerprint[FINGERPRINT_CHARS + 1];
    secret_key_public(world->key, &key);
    public_key_fingerprint(&key, fingerprint);
    g_autofree char *text =
        g_strdup_printf("publishers:\n- fingerprint: %s\n  name: Anna\n%s", fingerprint, more);
    g_assert_true(g_file_set_contents(world->trust_file, text, -1, NULL));
}

static void make_publisher(World *world)
{
    g_autoptr(GError) error = NULL;
    TrustList *trust = trust_file_load(world->config->trust_file, &error);
    g_assert_no_error(error);
    world->ready = FALSE;
    world->indexer = actor_new("indexer");
    world->publisher = publisher_new(world->config, g_ptr_array_new_with_free_func(g_free), trust,
                                     world->indexer, on_ready, world);
}

static void start(World *world)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *index = g_build_filename(world->dir, "index.db", NULL);
    g_autofree char *hashes = g_build_filename(world->dir, "hashes.db", NULL);
    g_autofree char *catalog = g_build_filename(world->dir, "catalog.db", NULL);
    PublisherStores stores = {
        .index_path = index, .hashes_path = hashes, .catalog_path = catalog, .key = world->key};
    g_assert_true(publisher_start(world->publisher, &stores, &error));
    g_assert_no_error(error);
    for (gint64 end_us = g_get_monotonic_time() + WAIT_US; !g_atomic_int_get(&world->ready);) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        g_usleep(1000);
    }
}

static void stop(World *world)
{
    publisher_close(world->publisher);
    actor_free(world->indexer);
    publisher_free(world->publisher);
    world->publisher = NULL;
}

static void world_up(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    guint8 seed[32] = {5};
    world->dir = g_dir_make_tmp("kontor-publisher-XXXXXX", NULL);
    world->packs = g_build_filename(world->dir, "packs", NULL);
    world->releases = g_build_filename(world->dir, "store", "releases", NULL);
    world->trust_file = g_build_filename(world->dir, "trusted_publishers.yaml", NULL);
    world->key = secret_key_from_seed(seed);
    g_assert_cmpint(g_mkdir(world->packs, 0700), ==, 0);
    write_trust(world, "");
    ConfigOverrides overrides = {.data_dir = world->dir};
    world->config = config_load(&overrides, &error);
    g_assert_no_error(error);
    world->mailbox = mailbox_new();
    make_publisher(world);
}

static void world_down(World *world, gconstpointer data G_GNUC_UNUSED)
{
    stop(world);
    mailbox_free(world->mailbox);
    g_clear_pointer(&world->problems, g_ptr_array_unref);
    config_unref(world->config);
    secret_key_free(world->key);
    remove_tree(world->dir);
    g_free(world->dir);
    g_free(world->packs);
    g_free(world->releases);
    g_free(world->trust_file);
}

/* --- Orders, waited for --- */

static void wait_answer(World *world, guint before)
{
    for (gint64 end_us = g_get_monotonic_time() + WAIT_US; world->answers == before;) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        if (mailbox_drain(world->mailbox) == 0)
            g_usleep(200);
    }
}

static void mirrored(gpointer data, gboolean cancelled)
{
    g_autoptr(MirrorJob) job = data;
    World *world = job->user;
    g_assert_false(cancelled);
    world->answers++;
    g_clear_pointer(&world->problems, g_ptr_array_unref);
    world->problems = job->problems != NULL ? g_ptr_array_ref(job->problems) : NULL;
}

/* Takes the records over; NULL ends them. */
static void mirror(World *world, MirroredPack *first, ...)
{
    MirrorJob *job = g_new0(MirrorJob, 1);
    job->packs = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    va_list records;
    va_start(records, first);
    for (MirroredPack *record = first; record != NULL; record = va_arg(records, MirroredPack *))
        g_ptr_array_add(job->packs, record);
    va_end(records);
    job->reply_to = world->mailbox;
    job->done = mirrored;
    job->user = world;
    guint before = world->answers;
    publisher_mirror(world->publisher, job);
    wait_answer(world, before);
}

static MirroredPack *withdrawal(const MirroredPack *of)
{
    MirroredPack *record = mirrored_pack_copy(of);
    record->withdrawn = TRUE;
    return record;
}

static void scanned(gpointer data, gboolean cancelled)
{
    g_autoptr(ScanJob) job = data;
    g_assert_false(cancelled);
    g_assert_no_error(job->error);
    ((World *)job->user)->answers++;
}

static void scan(World *world, const char *path, guint64 stale_serial, gboolean distrust)
{
    ScanJob *job = g_new0(ScanJob, 1);
    job->path = g_strdup(path);
    job->stale_serial = stale_serial;
    job->distrust = distrust;
    job->reply_to = world->mailbox;
    job->done = scanned;
    job->user = world;
    guint before = world->answers;
    publisher_scan(world->publisher, job);
    wait_answer(world, before);
}

/* --- What is there --- */

static const CatalogPack *place_in(const Catalog *catalog, const char *path)
{
    return catalog_place(catalog, path, strlen(path));
}

/* The page of a pack; "" when it is not served. */
static char *page_of(const Snapshot *snapshot, const Catalog *catalog, const char *path)
{
    const CatalogPack *place = place_in(catalog, path);
    const CatalogFile *file = place != NULL ? catalog_pack_file(place, "wiki/one.md", 11) : NULL;
    if (file == NULL)
        return g_strdup("");
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = pack_root_read(snapshot->root, place, file, &error);
    g_assert_no_error(error);
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    return g_strndup(text, len);
}

static gboolean finds(World *world, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) hits =
        search_index_query(publisher_index(world->publisher), word, 5, "", /* deadline_us= */ 0, &error);
    g_assert_no_error(error);
    return hits->len > 0;
}

/* `word` NULL: nothing is served there. */
static void assert_open(World *world, const char *path, const char *word)
{
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    g_autofree char *page = page_of(snapshot, snapshot->catalog, path);
    g_assert_cmpint(*page != '\0', ==, word != NULL);
    if (word == NULL)
        return;
    g_assert_nonnull(strstr(page, word));
    g_assert_true(finds(world, word));
}

static void assert_secret(World *world, const char *path, const char *word)
{
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    g_autofree char *page = page_of(snapshot, snapshot->hidden, path);
    g_assert_nonnull(strstr(page, word));
    g_assert_false(finds(world, word));
}

static guint items_told(World *world)
{
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    return digest_trie_count(journal_trie(exchange_journal(snapshot->exchange)));
}

/* --- Tests --- */

static void test_start(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GPtrArray) first = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_ptr_array_add(first, release_of(world, "history/rome", FALSE, "1.0.0", "aqueduct"));
    g_ptr_array_add(first, release_of(world, "history", TRUE, "1.0.0", "conspiracy"));
    g_ptr_array_add(first, release_of(world, "docker", FALSE, "1.0.0", "shadowedword"));
    write_local(world, "docker", "container");
    publisher_set_mirrored(world->publisher, g_steal_pointer(&first));
    start(world);
    g_assert_true(publisher_is_ready(world->publisher));
    assert_open(world, "history/rome", "aqueduct");
    assert_open(world, "docker", "container");
    assert_open(world, "history", NULL);
    assert_secret(world, "history", "conspiracy");
    g_assert_false(finds(world, "shadowedword"));
    g_assert_cmpuint(items_told(world), ==, 2);
    g_auto(PublisherInfo) info;
    publisher_info(world->publisher, &info);
    g_assert_cmpuint(info.mirrored, ==, 2);
    g_assert_cmpuint(info.mirrored_private, ==, 1);
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    const CatalogPack *rome = place_in(snapshot->catalog, "history/rome");
    g_assert_true(rome->is_mirrored && !rome->is_private);
    g_assert_cmpstr(rome->source, ==, "commons");
    g_assert_cmpint(rome->release.rule, ==, ACCEPT_OK);
    g_assert_null(place_in(snapshot->catalog, "docker")->source);
    g_assert_cmpstr(place_in(snapshot->hidden, "history")->source, ==, "vault");
}

/* A broker that only mirrors, and whose store appears after its start. */
static void test_no_packs_directory(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_cmpint(g_rmdir(world->packs), ==, 0);
    start(world);
    mirror(world, release_of(world, "a", FALSE, "1.0.0", "apple"), NULL);
    assert_open(world, "a", "apple");
    g_assert_cmpuint(world->problems->len, ==, 0);
    scan(world, NULL, 0, FALSE);
    assert_open(world, "a", "apple");
}

static void test_update_and_withdraw(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    mirror(world, release_of(world, "a", FALSE, "1.0.0", "apple"),
           release_of(world, "b", FALSE, "1.0.0", "berry"), NULL);
    g_autoptr(MirroredPack) newer = release_of(world, "a", FALSE, "1.1.0", "apricot");
    mirror(world, mirrored_pack_copy(newer), NULL);
    assert_open(world, "a", "apricot");
    assert_open(world, "b", "berry");
    g_assert_false(finds(world, "apple"));
    g_assert_cmpuint(items_told(world), ==, 2);
    mirror(world, withdrawal(newer), NULL);
    assert_open(world, "a", NULL);
    g_assert_false(finds(world, "apricot"));
    g_assert_cmpuint(items_told(world), ==, 1);
    /* Of several records of one path the last counts. */
    mirror(world, withdrawal(newer), mirrored_pack_copy(newer), NULL);
    assert_open(world, "a", "apricot");
    mirror(world, mirrored_pack_copy(newer), withdrawal(newer), NULL);
    assert_open(world, "a", NULL);
}

static void test_shadow(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *local = g_build_filename(world->packs, "a", NULL);
    start(world);
    mirror(world, release_of(world, "a", FALSE, "1.0.0", "apple"), NULL);
    write_local(world, "a", "anchor");
    write_local(world, "a/below", "basement");
    scan(world, "a", 0, FALSE);
    assert_open(world, "a", "anchor");
    assert_open(world, "a/below", "basement");
    g_assert_false(finds(world, "apple"));
    /* Changes below the shadow stay below it. */
    mirror(world, release_of(world, "a", FALSE, "2.0.0", "avocado"), NULL);
    assert_open(world, "a", "anchor");
    scan(world, NULL, 0, FALSE);
    assert_open(world, "a", "anchor");
    remove_tree(local);
    scan(world, NULL, 0, FALSE);
    assert_open(world, "a", "avocado");
    assert_open(world, "a/below", NULL);
    g_assert_false(finds(world, "anchor"));
    g_assert_cmpuint(items_told(world), ==, 1);
}

/* A source that becomes private takes its packs along in one step, and back. */
static void test_visibility(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) open = release_of(world, "a", FALSE, "1.0.0", "apple");
    mirror(world, mirrored_pack_copy(open), NULL);
    g_autoptr(MirroredPack) closed = record_new("a", TRUE, open->digest);
    mirror(world, withdrawal(open), mirrored_pack_copy(closed), NULL);
    assert_open(world, "a", NULL);
    assert_secret(world, "a", "apple");
    g_assert_cmpuint(items_told(world), ==, 0);
    /* A local pack is public and does not shadow it. */
    write_local(world, "a", "anchor");
    scan(world, NULL, 0, FALSE);
    assert_open(world, "a", "anchor");
    assert_secret(world, "a", "apple");
    mirror(world, withdrawal(closed), mirrored_pack_copy(open), NULL);
    assert_open(world, "a", "anchor");
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    g_assert_cmpuint(catalog_pack_count(snapshot->hidden), ==, 0);
}

/* A file that both have is found in the public pack by who sees only that, whichever came first. */
static void check_holdings(World *world, gboolean private_first)
{
    MirroredPack *open = release_of(world, "open", FALSE, "1.0.0", "apple");
    MirroredPack *closed = release_of(world, "closed", TRUE, "1.0.0", "conspiracy");
    start(world);
    mirror(world, private_first ? closed : open, NULL);
    mirror(world, private_first ? open : closed, NULL);
    guint8 same[SHA256_BYTES], secret[SHA256_BYTES];
    sha256("everywhere the same\n", 20, same);
    sha256("# One\n\nconspiracy is here.\n", 27, secret);
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    Holdings *holdings = publisher_holdings(world->publisher);
    const CatalogPack *pack = NULL;
    const CatalogFile *file = NULL;
    g_assert_true(holdings_find_file(holdings, snapshot->catalog, same, &pack, &file));
    g_assert_cmpstr(pack->path, ==, "open");
    g_assert_true(holdings_find_file(holdings, snapshot->hidden, same, &pack, &file));
    g_assert_cmpstr(pack->path, ==, "closed");
    g_assert_false(holdings_find_file(holdings, snapshot->catalog, secret, &pack, &file));
    g_assert_true(holdings_find_file(holdings, snapshot->hidden, secret, &pack, &file));
    const guint8 *digest = place_in(snapshot->hidden, "closed")->release.digest;
    g_assert_false(holdings_find_release(holdings, snapshot->catalog, digest, &pack, &file));
    g_assert_true(holdings_find_release(holdings, snapshot->hidden, digest, &pack, &file));
}

static void test_holdings_private_first(World *world, gconstpointer data G_GNUC_UNUSED)
{
    check_holdings(world, TRUE);
}

static void test_holdings_public_first(World *world, gconstpointer data G_GNUC_UNUSED)
{
    check_holdings(world, FALSE);
}

static void wait_refused(World *world, const char *path)
{
    for (gint64 end_us = g_get_monotonic_time() + WAIT_US;; g_usleep(1000)) {
        g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
        const CatalogPack *place = place_in(snapshot->catalog, path);
        if (place != NULL && place->refused)
            return;
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
    }
}

/* A revoked key: nothing by it is served any more, shadowed and private packs included. */
static void test_revoked(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    mirror(world, release_of(world, "a", FALSE, "1.0.0", "apple"),
           release_of(world, "b", TRUE, "1.0.0", "conspiracy"), NULL);
    write_trust(world, "  revoked: true\n");
    publisher_reload(world->publisher, world->config);
    wait_refused(world, "a");
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    g_assert_true(place_in(snapshot->hidden, "b")->refused);
    g_assert_cmpuint(place_in(snapshot->hidden, "b")->file_count, ==, 0);
    g_assert_cmpint(place_in(snapshot->catalog, "a")->release.rule, ==, ACCEPT_REVOKED);
    assert_open(world, "a", NULL);
    /* What comes now is judged by the present list, too. */
    mirror(world, release_of(world, "c", FALSE, "1.0.0", "cherry"), NULL);
    g_assert_cmpuint(world->problems->len, ==, 1);
    const MirrorProblem *problem = world->problems->pdata[0];
    g_assert_cmpstr(problem->path, ==, "c");
    g_assert_cmpint(problem->rule, ==, ACCEPT_REVOKED);
    assert_open(world, "c", NULL);
}

static void overwrite(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize)strlen(text));
    close(fd);
}

static void test_damaged(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    MirroredPack *record = release_of(world, "a", FALSE, "1.0.0", "apple");
    g_autofree char *page = file_of_release(world, record, "wiki/one.md");
    overwrite(page, "# One\n\napple is gone.\n");
    MirroredPack *missing = record_new("b", TRUE, (const guint8 *)"12345678901234567890123456789012");
    mirror(world, record, missing, release_of(world, "c", FALSE, "1.0.0", "cherry"), NULL);
    assert_open(world, "a", NULL);
    assert_open(world, "c", "cherry");
    g_assert_cmpuint(world->problems->len, ==, 2);
    for (guint i = 0; i < 2; i++) {
        const MirrorProblem *problem = world->problems->pdata[i];
        g_assert_cmpint(problem->rule, ==, ACCEPT_HASH);
        g_assert_nonnull(problem->reason);
        g_assert_cmpint(problem->is_private, ==, strcmp(problem->path, "b") == 0);
    }
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    g_assert_nonnull(strstr(place_in(snapshot->hidden, "b")->problem, "is not in the release store"));
    g_autoptr(GPtrArray) children = NULL;
    g_assert_true(catalog_children(snapshot->catalog, "", 0, &children, NULL));
    g_assert_cmpuint(children->len, ==, 1); /* nothing is shown of what is not served */
}

/* Whoever reads a file that is not what was scanned has the release read again: here it is damaged for good.
 */
static void test_damaged_later(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) record = release_of(world, "a", TRUE, "1.0.0", "apple");
    g_autofree char *page = file_of_release(world, record, "wiki/one.md");
    mirror(world, mirrored_pack_copy(record), NULL);
    g_autoptr(Snapshot) before = publisher_acquire(world->publisher);
    guint64 serial = place_in(before->hidden, "a")->serial;
    scan(world, "a", serial, FALSE);
    g_autoptr(Snapshot) again = publisher_acquire(world->publisher);
    g_assert_cmpuint(place_in(again->hidden, "a")->serial, !=, serial);
    assert_secret(world, "a", "apple");
    /* Who looked at the older reading need not wait for another. */
    scan(world, "a", serial, FALSE);
    g_autoptr(Snapshot) same = publisher_acquire(world->publisher);
    g_assert_true(same == again);
    overwrite(page, "# One\n\napple is gone.\n");
    scan(world, "a", place_in(again->hidden, "a")->serial, TRUE);
    g_autoptr(Snapshot) after = publisher_acquire(world->publisher);
    g_assert_true(place_in(after->hidden, "a")->refused);
    g_assert_null(place_in(after->catalog, "a"));
}

/* Hard links come and go with other releases; the file is still the one that was scanned. */
static void test_linked(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) record = release_of(world, "a", FALSE, "1.0.0", "apple");
    g_autofree char *page = file_of_release(world, record, "wiki/one.md");
    g_autofree char *other = g_build_filename(world->dir, "store", "linked", NULL);
    mirror(world, mirrored_pack_copy(record), NULL);
    g_usleep(20 * 1000); /* so that the change time moves */
    g_assert_cmpint(link(page, other), ==, 0);
    assert_open(world, "a", "apple");
    g_assert_cmpint(g_unlink(other), ==, 0);
    assert_open(world, "a", "apple");
}

/* A second start reads no page: the hashes are known, and the index has the packs. A file that was changed
 * without a trace in size and time shows that it was not read, and is noticed when it is served. */
static void test_warm_start(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(MirroredPack) record = release_of(world, "a", FALSE, "1.0.0", "apple");
    g_autoptr(MirroredPack) secret = release_of(world, "b", TRUE, "1.0.0", "conspiracy");
    g_autofree char *page = file_of_release(world, record, "wiki/same.md");
    start(world);
    mirror(world, mirrored_pack_copy(record), mirrored_pack_copy(secret), NULL);
    stop(world);
    struct stat info;
    g_assert_cmpint(stat(page, &info), ==, 0);
    overwrite(page, "everywhere changed!\n");
    const struct timespec times[] = {info.st_atim, info.st_mtim};
    g_assert_cmpint(utimensat(AT_FDCWD, page, times, 0), ==, 0);
    make_publisher(world);
    GPtrArray *first = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_ptr_array_add(first, mirrored_pack_copy(record));
    g_ptr_array_add(first, mirrored_pack_copy(secret));
    publisher_set_mirrored(world->publisher, first);
    start(world);
    assert_open(world, "a", "apple");
    assert_secret(world, "b", "conspiracy");
    g_auto(PublisherInfo) about;
    publisher_info(world->publisher, &about);
    g_assert_cmpuint(about.report.packs_read, ==, 0);
    g_assert_cmpuint(about.report.packs_kept, ==, 1);
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    scan(world, "a", place_in(snapshot->catalog, "a")->serial, TRUE);
    assert_open(world, "a", NULL);
}

/* What cannot be scanned at first is published once it can be, with what the mirrors said meanwhile. */
static void test_first_scan_fails(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GPtrArray) first = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_ptr_array_add(first, release_of(world, "a", FALSE, "1.0.0", "apple"));
    publisher_set_mirrored(world->publisher, g_steal_pointer(&first));
    g_assert_cmpint(g_rmdir(world->packs), ==, 0);
    g_assert_cmpint(symlink("packs", world->packs), ==, 0); /* leads nowhere, and not to "not found" */
    start(world);
    mirror(world, release_of(world, "b", TRUE, "1.0.0", "conspiracy"), NULL);
    g_autoptr(Snapshot) empty = publisher_acquire(world->publisher);
    g_assert_false(empty->scanned);
    g_assert_cmpuint(catalog_pack_count(empty->catalog) + catalog_pack_count(empty->hidden), ==, 0);
    g_assert_cmpint(g_unlink(world->packs), ==, 0);
    scan(world, NULL, 0, FALSE);
    assert_open(world, "a", "apple");
    assert_secret(world, "b", "conspiracy");
}

/* --- Former releases --- */

static gboolean has_former(World *world, const MirroredPack *record)
{
    const CatalogFile *file = NULL;
    g_autoptr(CatalogPack) pack =
        former_find_release(publisher_former(world->publisher), record->digest, &file);
    g_assert_true(pack == NULL || strcmp(file->name, "manifest.sig") == 0);
    return pack != NULL;
}

/* The file of that text, read from the store; NULL when it cannot be had. */
static char *former_page(World *world, const char *word)
{
    guint8 hash[SHA256_BYTES];
    g_autofree char *text = g_strdup_printf("# One\n\n%s is here.\n", word);
    sha256(text, strlen(text), hash);
    const CatalogFile *file = NULL;
    g_autoptr(CatalogPack) pack = former_find_file(publisher_former(world->publisher), hash, &file);
    if (pack == NULL)
        return NULL;
    g_autoptr(Snapshot) snapshot = publisher_acquire(world->publisher);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = pack_root_read(snapshot->root, pack, file, &error);
    g_assert_no_error(error);
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    return g_strndup(data, len);
}

static void test_former(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) first = release_of(world, "a", FALSE, "1.0.0", "apple");
    g_autoptr(MirroredPack) second = release_of(world, "a", FALSE, "1.1.0", "apricot");
    mirror(world, mirrored_pack_copy(first), NULL);
    g_assert_false(has_former(world, first));
    mirror(world, mirrored_pack_copy(second), NULL);
    g_assert_true(has_former(world, first));
    g_assert_false(has_former(world, second));
    g_autofree char *page = former_page(world, "apple");
    g_assert_cmpstr(page, ==, "# One\n\napple is here.\n");
    g_autofree char *shown = former_page(world, "apricot");
    g_assert_null(shown); /* that one is in the catalog */
    /* Only so many. */
    for (guint i = 0; i < world->config->releases_kept - 1; i++) {
        g_autofree char *version = g_strdup_printf("2.%u.0", i);
        mirror(world, release_of(world, "a", FALSE, version, version), NULL);
    }
    g_assert_false(has_former(world, first));
    g_assert_true(has_former(world, second));
    /* With the pack they go. */
    mirror(world, withdrawal(second), NULL);
    g_assert_false(has_former(world, second));
    /* Nothing private is ever among them. */
    g_autoptr(MirroredPack) secret = release_of(world, "s", TRUE, "1.0.0", "conspiracy");
    mirror(world, mirrored_pack_copy(secret), NULL);
    mirror(world, release_of(world, "s", TRUE, "1.1.0", "cabal"), NULL);
    g_assert_false(has_former(world, secret));
}

static void test_former_revoked(World *world, gconstpointer data G_GNUC_UNUSED)
{
    start(world);
    g_autoptr(MirroredPack) first = release_of(world, "a", FALSE, "1.0.0", "apple");
    mirror(world, mirrored_pack_copy(first), NULL);
    mirror(world, release_of(world, "a", FALSE, "1.1.0", "apricot"), NULL);
    /* Another verdict that lets it be served changes nothing. */
    write_trust(world, "  until: 2100-01-01\n");
    publisher_reload(world->publisher, world->config);
    scan(world, NULL, 0, FALSE);
    g_assert_true(has_former(world, first));
    g_autofree char *page = former_page(world, "apple");
    g_assert_nonnull(page);
    write_trust(world, "  revoked: true\n");
    publisher_reload(world->publisher, world->config);
    wait_refused(world, "a");
    g_assert_false(has_former(world, first));
    g_autofree char *gone = former_page(world, "apple");
    g_assert_null(gone);
}

/* After a start they are taken by what their manifest.sig says. */
static void test_former_at_start(World *world, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(MirroredPack) present = release_of(world, "a", FALSE, "1.2.0", "apricot");
    g_autoptr(MirroredPack) former = release_of(world, "a", FALSE, "1.1.0", "apple");
    g_autoptr(MirroredPack) elsewhere = release_of(world, "b", FALSE, "1.1.0", "berry");
    g_autoptr(MirroredPack) gone = record_new("a", FALSE, (const guint8 *)"12345678901234567890123456789012");
    GPtrArray *first = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_ptr_array_add(first, mirrored_pack_copy(present));
    publisher_set_mirrored(world->publisher, first);
    GPtrArray *kept = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_ptr_array_add(kept, mirrored_pack_copy(gone));
    for (guint i = 0; i < 100; i++) /* more than are taken at once */
        g_ptr_array_add(kept, mirrored_pack_copy(elsewhere));
    g_ptr_array_add(kept, mirrored_pack_copy(present));
    g_ptr_array_add(kept, mirrored_pack_copy(former));
    publisher_set_former(world->publisher, kept);
    start(world);
    for (gint64 end_us = g_get_monotonic_time() + WAIT_US; !has_former(world, former); g_usleep(1000))
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
    g_autofree char *page = former_page(world, "apple");
    g_assert_cmpstr(page, ==, "# One\n\napple is here.\n");
    g_assert_false(has_former(world, elsewhere));
    g_assert_false(has_former(world, gone));
    g_assert_false(has_former(world, present));
    /* Who could not read it says so. */
    const CatalogFile *file = NULL;
    g_autoptr(CatalogPack) pack =
        former_find_release(publisher_former(world->publisher), former->digest, &file);
    g_assert_true(file->has_sha256);
    scan(world, "a", pack->serial, TRUE);
    g_assert_false(has_former(world, former));
}

static void add(const char *name, void (*function)(World *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/publisher/", name, NULL);
    g_test_add(path, World, NULL, world_up, function, world_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    add("start", test_start);
    add("no-packs-directory", test_no_packs_directory);
    add("update-and-withdraw", test_update_and_withdraw);
    add("shadow", test_shadow);
    add("visibility", test_visibility);
    add("holdings-private-first", test_holdings_private_first);
    add("holdings-public-first", test_holdings_public_first);
    add("revoked", test_revoked);
    add("damaged", test_damaged);
    add("damaged-later", test_damaged_later);
    add("linked", test_linked);
    add("warm-start", test_warm_start);
    add("first-scan-fails", test_first_scan_fails);
    add("former", test_former);
    add("former-revoked", test_former_revoked);
    add("former-at-start", test_former_at_start);
    return g_test_run();
}
