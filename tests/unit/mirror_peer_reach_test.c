/* SPDX-License-Identifier: MIT
 *
 * How far a peer can reach that is asked for packs: not to other addresses, not beyond the deadline, not into
 * the place of another pack; and that it is not believed what other sources or a bad disk have left.
 */
#include "peer_world.h"

#include "mirror/agent/peer_client.h"
#include "schema/limits.h"

#include <glib/gstdio.h>

static const PeerPackSpec plain = {
    .path = "plain", .version = "1.0.0", .text = "x\n", .is_unsigned = TRUE, .pages = 2};

/* A world that takes unsigned packs, whose peer has one. */
static void world_with_plain(PeerWorld *world, const PeerPackSpec *spec)
{
    peer_world_init(world);
    world->source->policy = PACK_POLICY_PREFERRED;
    peer_world_trust(world, "");
    peer_set(world, spec);
}

/* --- Other addresses --- */

/* One file is said to be elsewhere: here as well, so that a visit would be noticed. */
static gboolean elsewhere(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    static const char *const names[] = {"wiki/index.md", "wiki/concepts/p0.md", "manifest.yaml",
                                        "manifest.sig"};
    g_autofree char *moved = g_strconcat("/packs/plain/", names[world->bent], NULL);
    if (strcmp(target, moved) != 0)
        return FALSE;
    g_autofree char *head = g_strdup_printf(
        "HTTP/1.1 302 Found\r\nLocation: %s/elsewhere\r\nContent-Length: 0\r\n\r\n", world->source->url);
    answer->raw = g_bytes_new(head, strlen(head));
    return TRUE;
}

static void test_redirects(void)
{
    for (guint i = 0; i < 4; i++) {
        g_auto(PeerWorld) world;
        world_with_plain(&world, &plain);
        peer_bend(&world, elsewhere);
        world.bent = i;
        peer_world_sync_fails(&world, KONTOR_ERROR_NOT_FOUND, "answered 302");
        g_assert_cmpuint(peer_world_requests(&world, "/elsewhere"), ==, 0);
        peer_world_assert_version(&world, "plain", NULL);
    }
}

/* --- Charsets --- */

/* What is UTF-8 already is not read as something else because the answer says so. */
static gboolean other_charset(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)world;
    if (strcmp(target, "/packs/plain/wiki/concepts/a.md") != 0)
        return FALSE;
    const char *text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Length: "
                       "4\r\n\r\nxyz\n";
    answer->raw = g_bytes_new_static(text, strlen(text));
    return TRUE;
}

static void test_charset(void)
{
    g_auto(PeerWorld) world;
    PeerPackSpec spec = plain;
    spec.text = "xyz\n";
    world_with_plain(&world, &spec);
    peer_bend(&world, other_charset);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
}

/* --- The deadline --- */

static gboolean slow_404(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    (void)answer;
    if (!g_str_has_prefix(target, "/packs/plain/wiki/concepts/"))
        return FALSE;
    world->bent++;
    g_usleep(100 * 1000);
    return TRUE;
}

static void test_slow_404(void)
{
    g_auto(PeerWorld) world;
    PeerPackSpec many = plain;
    many.pages = 200;
    world_with_plain(&world, &many);
    peer_bend(&world, slow_404);
    world.seconds = 1;
    gint64 begin_us = g_get_monotonic_time();
    g_assert_false(peer_world_sync(&world));
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 10 * G_TIME_SPAN_SECOND);
    g_assert_cmpuint(world.bent, >, 0);
    g_assert_cmpuint(world.bent, <, many.pages / 2);
}

/* --- What is installed already --- */

/* Two pages of what is installed have other bytes than its signature says. */
static void damage(PeerWorld *world, const char *path)
{
    g_autoptr(MirroredPack) held = NULL;
    g_assert_true(mirror_db_held(world->reader, path, FALSE, &held, NULL) && held != NULL);
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(held->digest, SHA256_BYTES, hex);
    g_autofree char *page =
        g_build_filename(release_store_releases_dir(world->here.store), hex, "wiki/concepts/p0.md", NULL);
    g_assert_cmpint(g_unlink(page), ==, 0);
    g_assert_true(g_file_set_contents(page, "damaged\n", -1, NULL));
}

static void test_damaged_base(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put_many(&world, 1, "1.0.0", 3);
    peer_world_sync_ok(&world);
    damage(&world, "set/0");
    peer_put_many(&world, 1, "2.0.0", 3);
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, 0);
    peer_world_assert_version(&world, "set/0", "2.0.0");
}

/* --- The place of another pack --- */

static void test_inside_of_packs(void)
{
    static const char *const paths[] = {"a/wiki", "a/wiki/b", "wiki", "a/raw/b", ".a/b", "a/.b"};
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_put(&world, "a", "1.0.0", "x\n");
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++)
        peer_put(&world, paths[i], "1.0.0", "x\n");
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_REFUSED), ==, G_N_ELEMENTS(paths));
    g_assert_cmpuint(peer_world_requests(&world, "/blobs/"), <=, 4);
    peer_world_assert_version(&world, "a", "1.0.0");
}

/* --- Memory --- */

static void test_catalog_too_large(void)
{
    g_auto(PeerWorld) world;
    g_autoptr(GError) error = NULL;
    g_autoptr(PeerClient) client = peer_client_new();
    static const char *const prefixes[] = {""};
    g_auto(DigestView) view = {0};
    peer_world_init(&world);
    peer_put_many(&world, 20, "1.0.0", 1);
    CatalogCheckpoint checkpoint = peer_checkpoint(&world);
    g_assert_true(peer_client_begin(client, world.source, G_MAXINT64, &error));
    TrieSource there = peer_client_trie(client, &checkpoint);
    peer_client_set_catalog_max(client, 1000);
    g_assert_false(there.views(there.user, prefixes, 1, &view, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_clear_error(&error);
    g_assert_true(peer_client_begin(client, world.source, G_MAXINT64, &error));
    g_assert_true(there.views(there.user, prefixes, 1, &view, &error));
    g_assert_no_error(error);
}

/* Syncs end as they do otherwise when nothing is kept in memory between them. */
static void test_no_memory_between_syncs(void)
{
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    peer_sync_set_memory_max(world.sync, 0);
    peer_put_many(&world, 3, "1.0.0", 1);
    peer_world_sync_ok(&world);
    peer_world_sync_ok(&world);
    peer_put_many(&world, 1, "2.0.0", 1);
    peer_remove(&world, "set/2");
    world.prune = TRUE;
    peer_world_sync_ok(&world);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_INSTALLED), ==, 1);
    g_assert_cmpuint(peer_world_count(&world, OUTCOME_GONE), ==, 1);
}

int main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    signing_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer-reach/redirects", test_redirects);
    g_test_add_func("/peer-reach/charset", test_charset);
    g_test_add_func("/peer-reach/slow-404", test_slow_404);
    g_test_add_func("/peer-reach/damaged-base", test_damaged_base);
    g_test_add_func("/peer-reach/inside-of-packs", test_inside_of_packs);
    g_test_add_func("/peer-reach/catalog-too-large", test_catalog_too_large);
    g_test_add_func("/peer-reach/no-memory-between-syncs", test_no_memory_between_syncs);
    return g_test_run();
}
