/* SPDX-License-Identifier: MIT
 *
 * peer_catalog ITEMS: what it costs the mirror to follow a peer with so many synthetic packs, over HTTP on
 * loopback, with answers compressed as a broker does it. First everything is read; then, for 0, 1, 10 and
 * 1,000 differences, by the journal and (as if that were lost) by the digests. Nothing is fetched: the source
 * wants none of the packs. Prints one JSON object per line: requests, bytes of heads and bodies in both
 * directions, and processor time of the mirror's thread.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "broker/serve/gzip.h"
#include "tests/unit/peer_world.h"

static CatalogItem *synthetic_item(guint number, guint edition)
{
    guint8 digest[SHA256_BYTES], content[SHA256_BYTES];
    g_autofree char *path = g_strdup_printf("subject-%u/pack-%u", number % 97, number);
    g_autofree char *version = g_strdup_printf("1.%u.%u", number % 13, edition);
    g_autofree char *published = g_strdup_printf("2026-%02u-%02uT%02u:%02u:%02uZ", number % 12 + 1,
                                                 number % 28 + 1, number % 24, number % 60, number % 59);
    g_autofree char *seed = g_strdup_printf("%u %u", number, edition);
    sha256(seed, strlen(seed), digest);
    sha256(digest, sizeof digest, content);
    CatalogItemInfo info = {.path = path,
                            .version = version,
                            .publisher = number % 3 == 0 ? "abcdefghijklmnop" : "bcdefghijklmnopq",
                            .published_at = published,
                            .digest = digest,
                            .content_sha256 = content,
                            .pages = number % 200,
                            .bytes = (guint64)number % 1000 * 1000};
    return catalog_item_new(&info, NULL);
}

static GPtrArray *make_items(guint count, guint stride, guint edition)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(list, synthetic_item(i * stride, edition));
    return list;
}

/* --- The peer --- */

/* For PeerBend: compressed where a broker compresses. */
static gboolean compress(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    gboolean changes = g_str_has_prefix(target, "/catalog/changes?since=");
    gboolean digest = g_str_has_prefix(target, "/catalog/digest");
    if (!changes && !digest)
        return FALSE;
    if (changes)
        peer_answer_changes(world, target + strlen("/catalog/changes?since="), answer);
    else
        peer_answer_digest(world, target[15] == '/' ? target + 16 : "", answer);
    g_autoptr(GBytes) plain = answer->body;
    g_autoptr(GBytes) packed = plain != NULL ? gzip_compress_hashes(plain) : NULL;
    answer->body = packed != NULL ? g_bytes_ref(packed) : plain != NULL ? g_bytes_ref(plain) : NULL;
    answer->headers = packed != NULL ? "Content-Encoding: gzip\r\n" : NULL;
    return TRUE;
}

/* The next generation, which has other items; without a journal: as if it did not reach back. */
static void publish(PeerWorld *world, const GPtrArray *changed, gboolean with_journal)
{
    g_mutex_lock(&world->lock);
    g_autoptr(Journal) before = world->journal;
    g_autoptr(DigestTrie) trie = digest_trie_with_changes(journal_trie(before), changed, NULL);
    world->now_s += 10;
    world->journal =
        with_journal ? journal_advance(before, trie, world->now_s) : journal_new(trie, (guint64)world->now_s);
    g_clear_pointer(&world->note, g_free);
    g_mutex_unlock(&world->lock);
}

/* --- Measuring --- */

static double thread_cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void measure(PeerWorld *world, const char *what, guint differences)
{
    double before_ms = thread_cpu_ms();
    gint64 start_us = g_get_monotonic_time();
    peer_world_sync_ok(world);
    printf("{\"what\":\"%s\",\"differences\":%u,\"requests\":%u,\"bytes\":%" G_GSIZE_FORMAT
           ",\"cpu_ms\":%.2f,\"wall_ms\":%.2f}\n",
           what, differences, world->cost.requests, world->received + world->sent,
           thread_cpu_ms() - before_ms, (double)(g_get_monotonic_time() - start_us) / 1e3);
    fflush(stdout);
}

static void run(guint items)
{
    static const guint differences[] = {1, 10, 1000};
    g_auto(PeerWorld) world;
    peer_world_init(&world);
    world.seconds = 3600;
    world.changes_max = 1000;
    peer_bend(&world, compress);
    g_ptr_array_set_size(world.source->include, 0);
    g_ptr_array_add(world.source->include, g_strdup("nothing"));
    peer_world_trust(&world, "");
    g_autoptr(GPtrArray) all = make_items(items, 1, 0);
    publish(&world, all, /* with_journal= */ FALSE);
    measure(&world, "first", items);
    measure(&world, "in sync", 0);
    for (guint i = 0; i < G_N_ELEMENTS(differences); i++) {
        guint count = MIN(differences[i], items);
        for (guint edition = 1; edition <= 2; edition++) {
            g_autoptr(GPtrArray) changed = make_items(count, items / count, 10 * i + edition);
            publish(&world, changed, /* with_journal= */ edition == 1);
            measure(&world, edition == 1 ? "journal" : "digests", count);
        }
    }
}

int main(int argc, char **argv)
{
    guint64 items = 0;
    g_unsetenv("http_proxy");
    signing_init();
    if (argc != 2 || !g_ascii_string_to_unsigned(argv[1], 10, 1, 2000000, &items, NULL)) {
        fputs("usage: peer_catalog ITEMS\n", stderr);
        return 2;
    }
    run((guint)items);
    return 0;
}
