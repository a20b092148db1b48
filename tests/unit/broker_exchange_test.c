/* SPDX-License-Identifier: MIT
 *
 * What a broker tells others about its catalog: from judged packs to items, from changes to generations, from
 * generations to checkpoints; and how it reads what others ask.
 */
#include "broker/serve/exchange_query.h"
#include "broker/serve/exchange_writer.h"
#include "mirror/catalog/pack_item.h"
#include "schema/limits.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- Packs --- */

static CatalogPack *pack_new(const char *path, guint8 content)
{
    CatalogPack *pack = catalog_pack_new(path, "nowhere");
    pack->is_pack = TRUE;
    pack->rows_indexed = 3;
    pack->release.version = g_strdup("1.2.3");
    pack->release.published_at = g_strdup("2026-01-02T03:04:05Z");
    g_strlcpy(pack->release.fingerprint, "abcdefghijklmnop", sizeof pack->release.fingerprint);
    pack->release.has_digest = TRUE;
    pack->release.bytes = 1000;
    memset(pack->release.digest, content, SHA256_BYTES);
    memset(pack->release.content_sha256, content + 1, SHA256_BYTES);
    return pack;
}

static void test_items(void)
{
    g_autoptr(CatalogPack) pack = pack_new("a/b", 1);
    g_autoptr(CatalogItem) item = pack_item_new(pack);
    g_assert_cmpstr(item->path, ==, "a/b");
    g_assert_cmpstr(item->version, ==, "1.2.3");
    g_assert_cmpstr(item->publisher, ==, "abcdefghijklmnop");
    g_assert_cmpstr(item->published_at, ==, "2026-01-02T03:04:05Z");
    g_assert_cmpuint(item->pages, ==, 3);
    g_assert_cmpuint(item->bytes, ==, 1000);
    g_assert_cmpuint(item->digest[0], ==, 1);
    g_assert_cmpuint(item->content_sha256[0], ==, 2);
    pack->refused = TRUE;
    g_assert_null(pack_item_new(pack));
    pack->refused = FALSE;
    pack->is_pack = FALSE;
    g_assert_null(pack_item_new(pack));
    pack->is_pack = TRUE;
    pack->release.has_digest = FALSE;
    g_assert_null(pack_item_new(pack));
}

/* --- The writer --- */

typedef struct {
    char *dir, *path;
    SecretKey *key;
    PublicKey public;
    ExchangeWriter *writer;
    Exchange *exchange;
} World;

static void open_writer(World *world)
{
    g_autoptr(GError) error = NULL;
    world->writer = exchange_writer_open(world->path, world->key, &error);
    g_assert_no_error(error);
}

static void setup(World *world, gconstpointer data G_GNUC_UNUSED)
{
    world->dir = g_dir_make_tmp("kontor-exchange-XXXXXX", NULL);
    world->path = g_build_filename(world->dir, "catalog.db", NULL);
    world->key = secret_key_generate();
    secret_key_public(world->key, &world->public);
    open_writer(world);
}

static void teardown(World *world, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    exchange_unref(world->exchange);
    exchange_writer_free(world->writer);
    for (guint i = 0; i < G_N_ELEMENTS(tails); i++) {
        g_autofree char *name = g_strconcat(world->path, tails[i], NULL);
        g_unlink(name);
    }
    g_rmdir(world->dir);
    g_free(world->path);
    g_free(world->dir);
    secret_key_free(world->key);
}

/* Sets one pack, or removes it when `content` is 0. */
static void change(World *world, const char *path, guint8 content, const char *name)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    g_autoptr(GPtrArray) removals = g_ptr_array_new();
    if (content > 0)
        g_ptr_array_add(upserts, pack_new(path, content));
    else
        g_ptr_array_add(removals, (gpointer)(gsize)path);
    Exchange *next = exchange_writer_advance(world->writer, world->exchange, upserts, removals, name);
    exchange_unref(world->exchange);
    world->exchange = next;
}

static guint64 generation(const World *world)
{
    return journal_generation(exchange_journal(world->exchange));
}

static void read_checkpoint(World *world, gint64 now_s, const char *name, CatalogCheckpoint *ret)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) note = exchange_checkpoint(world->exchange, now_s, &error);
    g_assert_no_error(error);
    g_autofree char *signer = NULL;
    g_assert_true(catalog_checkpoint_open(g_bytes_get_data(note, NULL), g_bytes_get_size(note),
                                          &world->public, ret, &signer, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(signer, ==, name);
}

static void test_generations(World *world, gconstpointer data G_GNUC_UNUSED)
{
    change(world, "a", 1, "one");
    guint64 first = generation(world);
    Exchange *before = world->exchange;
    change(world, "a", 1, "one");
    g_assert_true(world->exchange == before);
    change(world, "b", 1, "one");
    guint64 second = generation(world);
    g_assert_cmpuint(second, >, first);
    exchange_writer_free(world->writer);
    open_writer(world);
    g_autoptr(GPtrArray) both = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_ptr_array_add(both, pack_new("b", 1));
    g_ptr_array_add(both, pack_new("a", 1));
    exchange_unref(world->exchange);
    world->exchange = exchange_writer_advance(world->writer, NULL, both, none, "one");
    g_assert_cmpuint(generation(world), ==, second);
    change(world, "a", 0, "one");
    g_assert_cmpuint(generation(world), >, second);
    g_auto(JournalAnswer) answer = {0};
    g_assert_true(journal_changes(exchange_journal(world->exchange), first, 100, &answer, NULL));
    g_assert_cmpuint(answer.changes->len, ==, 2);
}

static void test_checkpoints(World *world, gconstpointer data G_GNUC_UNUSED)
{
    CatalogCheckpoint checkpoint;
    change(world, "a", 1, "library.example");
    read_checkpoint(world, 1000000, "library.example", &checkpoint);
    g_assert_cmpint(checkpoint.time_s, ==, 1000000);
    g_assert_cmpuint(checkpoint.count, ==, 1);
    g_assert_cmpuint(checkpoint.generation, ==, generation(world));
    read_checkpoint(world, 1000000 + EXCHANGE_RESIGN_SECONDS - 1, "library.example", &checkpoint);
    g_assert_cmpint(checkpoint.time_s, ==, 1000000);
    read_checkpoint(world, 1000000 + EXCHANGE_RESIGN_SECONDS, "library.example", &checkpoint);
    g_assert_cmpint(checkpoint.time_s, ==, 1000000 + EXCHANGE_RESIGN_SECONDS);
    read_checkpoint(world, 999, "library.example", &checkpoint);
    g_assert_cmpint(checkpoint.time_s, ==, 999);
    guint64 before = generation(world);
    change(world, "a", 1, "another.example");
    read_checkpoint(world, 1000, "another.example", &checkpoint);
    g_assert_cmpuint(checkpoint.generation, ==, before);
}

/* --- Questions --- */

static void test_prefixes(void)
{
    static const char *const bad[] = {",", "a,", ",a", "a,,b", "A", "g", "a b", "0x1", "a/b"};
    g_autofree char *longest = g_strnfill(DIGEST_PREFIX_MAX, 'f');
    g_autofree char *too_long = g_strconcat(longest, "f", NULL);
    g_autoptr(GString) most = g_string_new("a");
    for (guint i = 1; i < LIMIT_DIGEST_PREFIXES; i++)
        g_string_append(most, ",a");
    g_autofree char *too_many = g_strconcat(most->str, ",a", NULL);
    g_auto(GStrv) whole = exchange_query_prefixes(""), one = exchange_query_prefixes(longest);
    g_auto(GStrv) all = exchange_query_prefixes(most->str);
    g_assert_cmpuint(g_strv_length(whole), ==, 1);
    g_assert_cmpstr(whole[0], ==, "");
    g_assert_cmpstr(one[0], ==, longest);
    g_assert_cmpuint(g_strv_length(all), ==, LIMIT_DIGEST_PREFIXES);
    g_assert_null(exchange_query_prefixes(too_long));
    g_assert_null(exchange_query_prefixes(too_many));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_null(exchange_query_prefixes(bad[i]));
}

static gboolean changes_query(const char *text, ChangesQuery *ret)
{
    return exchange_query_changes((HttpSlice){text, strlen(text)}, ret);
}

static void test_changes_query(void)
{
    static const char *const bad[] = {"",
                                      "since=",
                                      "since=x",
                                      "since=-1",
                                      "limit=5",
                                      "since=1&limit=0",
                                      "since=1&limit=x",
                                      "since=1&limit=1001",
                                      "since=%zz",
                                      "since=9007199254740992"};
    ChangesQuery query;
    g_assert_true(changes_query("since=7", &query));
    g_assert_cmpuint(query.since, ==, 7);
    g_assert_cmpuint(query.limit, ==, LIMIT_JOURNAL_STEP_CHANGES);
    g_assert_true(changes_query("limit=10&x=y&since=0", &query));
    g_assert_cmpuint(query.since, ==, 0);
    g_assert_cmpuint(query.limit, ==, 10);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(changes_query(bad[i], &query));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/exchange/items", test_items);
    g_test_add("/exchange/generations", World, NULL, setup, test_generations, teardown);
    g_test_add("/exchange/checkpoints", World, NULL, setup, test_checkpoints, teardown);
    g_test_add_func("/exchange/prefixes", test_prefixes);
    g_test_add_func("/exchange/changes-query", test_changes_query);
    return g_test_run();
}
