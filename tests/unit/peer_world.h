/* SPDX-License-Identifier: MIT
 *
 * A peer broker in a thread of this process, and somebody who mirrors it: a release store, a mirror.db with a
 * broker's half of the work (results are applied when a sync has ended), and a PeerSync.
 *
 * The peer tells the truth, with a real journal and real signatures, until a test bends one of its answers.
 */
#pragma once

#include "mirror/agent/peer_sync.h"
#include "mirror/catalog/checkpoint.h"
#include "mirror/catalog/journal.h"
#include "mirror/catalog/trie_walk.h"

#include <string.h>

#include "release_world.h"
#include "socket_threads.h"
#include "store_world.h"

#define PEER_NAME "north.example"

/* What is at one path. */
typedef struct {
    CatalogItem *item;
    GBytes *sig;       /* NULL: unsigned */
    GHashTable *files; /* name in the pack → GBytes */
} PeerPack;

typedef struct PeerWorld PeerWorld;

typedef struct {
    guint status;
    GBytes *body;
    const char *headers; /* further lines with their ends; NULL: none */
    GBytes *raw;         /* instead of all that: bytes to be sent, then the connection is closed */
} PeerAnswer;

/* Called (on a thread of the server, with the lock held) before the peer answers; TRUE when it has set
 * *answer. */
typedef gboolean (*PeerBend)(PeerWorld *world, const char *target, PeerAnswer *answer);

struct PeerWorld {
    StoreWorld here;
    char *db_path;
    MirrorDb *writer, *reader;
    MirrorSource *source;
    TrustList *trust;
    char *policy_hash, *state, *known_policy_hash;
    PeerSync *sync;
    SecretKey *publisher, *broker;
    /* Of the latest sync. */
    GPtrArray *results; /* of SyncResult * */
    GPtrArray *alarms;  /* of char *, "kind: reason" */
    PeerSyncCost cost;
    SyncDone done;
    GError *error;
    gboolean prune, full, reset, lose_results;
    gint64 seconds; /* of a sync */
    /* The peer. */
    GMutex lock;
    SocketThreads server;
    GHashTable *packs;      /* path → PeerPack */
    GHashTable *tombstones; /* path → GBytes */
    Journal *journal;
    gint64 now_s;
    guint changes_max;   /* of one answer, but at least one generation */
    gint64 expires_in_s; /* of new checkpoints, from now */
    const char *view;    /* of every checkpoint; "" none */
    const char *name;
    char *note; /* the latest, as long as it fits; NULL: sign anew */
    PeerBend bend;
    guint bent;         /* for the bend */
    GPtrArray *targets; /* of char *: every request of the latest sync */
    gsize received, sent;
};

/* --- The peer's packs --- */

static inline void peer_pack_free(gpointer data)
{
    PeerPack *pack = data;
    catalog_item_unref(pack->item);
    g_clear_pointer(&pack->sig, g_bytes_unref);
    g_hash_table_unref(pack->files);
    g_free(pack);
}

static inline void peer_pack_put(PeerPack *pack, const char *name, const char *text)
{
    g_hash_table_replace(pack->files, g_strdup(name), g_bytes_new(text, strlen(text)));
}

typedef struct {
    const char *path, *version;
    const char *text; /* of one of its pages */
    gboolean withdrawn;
    SecretKey *key;       /* NULL: the world's publisher */
    gboolean is_unsigned; /* no manifest.sig */
    guint pages;          /* further ones, the same in every version */
} PeerPackSpec;

static inline PackContent *peer_pack_fill(PeerPack *pack, const PeerPackSpec *spec)
{
    PackContent *content = pack_content_new();
    g_autofree char *manifest = g_strdup_printf("name: %s\nversion: %s\n", spec->path, spec->version);
    g_autoptr(GString) index =
        g_string_new("# Wiki\n\n| File | Title | Summary |\n|---|---|---|\n| concepts/a.md | A | first |\n");
    for (guint i = 0; i < spec->pages; i++) {
        g_autofree char *name = g_strdup_printf("concepts/p%u.md", i);
        g_autofree char *full = g_strconcat("wiki/", name, NULL);
        g_autofree char *text = g_strdup_printf("%s page %u\n", spec->path, i);
        g_string_append_printf(index, "| %s | P%u | more |\n", name, i);
        peer_pack_put(pack, full, text);
        world_add(content->pages, name, text);
    }
    peer_pack_put(pack, "manifest.yaml", manifest);
    peer_pack_put(pack, "wiki/index.md", index->str);
    peer_pack_put(pack, "wiki/concepts/a.md", spec->text);
    world_add(content->pages, "index.md", index->str);
    world_add(content->pages, "concepts/a.md", spec->text);
    if (!spec->is_unsigned) {
        peer_pack_put(pack, "wiki/log.md", "log\n");
        world_add(content->files, "wiki/log.md", "log\n");
    }
    sha256(manifest, strlen(manifest), content->manifest_sha256);
    content->has_manifest = TRUE;
    g_free(content->version);
    content->version = g_strdup(spec->version);
    return content;
}

static inline PeerPack *peer_pack_new(PeerWorld *world, const PeerPackSpec *spec)
{
    PeerPack *pack = g_new0(PeerPack, 1);
    g_autoptr(GError) error = NULL;
    guint8 content_sha256[SHA256_BYTES], digest[SHA256_BYTES];
    SecretKey *key = spec->key != NULL ? spec->key : world->publisher;
    g_autofree char *fingerprint = world_fingerprint(key);
    pack->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_autoptr(PackContent) content = peer_pack_fill(pack, spec);
    pack_content_sha256(content, content_sha256);
    memcpy(digest, content_sha256, SHA256_BYTES);
    if (!spec->is_unsigned) {
        ReleaseOptions options = {.path = spec->path,
                                  .signer_name = "Anna",
                                  .published_at = "2026-05-01T12:00:00Z",
                                  .withdrawn = spec->withdrawn};
        char *sig = release_sign(content, &options, key, &error);
        g_assert_no_error(error);
        pack->sig = g_bytes_new_take(sig, strlen(sig));
        g_autoptr(ManifestSig) parsed = manifest_sig_parse(sig, strlen(sig), NULL);
        release_digest(parsed, digest);
    }
    CatalogItemInfo info = {.path = spec->path,
                            .version = spec->version,
                            .publisher = spec->is_unsigned ? "" : fingerprint,
                            .published_at = spec->is_unsigned ? "" : "2026-05-01T12:00:00Z",
                            .digest = digest,
                            .content_sha256 = content_sha256,
                            .pages = spec->pages + 1,
                            .bytes = 1000};
    pack->item = catalog_item_new(&info, &error);
    g_assert_no_error(error);
    return pack;
}

/* Publishes what `packs` has now. */
static inline void peer_publish(PeerWorld *world)
{
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(GPtrArray) items = g_ptr_array_new();
    GHashTableIter iter;
    gpointer pack;
    g_hash_table_iter_init(&iter, world->packs);
    while (g_hash_table_iter_next(&iter, NULL, &pack))
        g_ptr_array_add(items, ((PeerPack *)pack)->item);
    g_autoptr(DigestTrie) trie = digest_trie_with_changes(empty, items, NULL);
    g_autoptr(Journal) before = world->journal;
    world->journal = before != NULL ? journal_advance(before, trie, ++world->now_s)
                                    : journal_new(trie, (guint64)++world->now_s);
    g_clear_pointer(&world->note, g_free);
}

static inline void peer_set(PeerWorld *world, const PeerPackSpec *spec)
{
    g_mutex_lock(&world->lock);
    g_hash_table_replace(world->packs, g_strdup(spec->path), peer_pack_new(world, spec));
    peer_publish(world);
    g_mutex_unlock(&world->lock);
}

static inline void peer_put(PeerWorld *world, const char *path, const char *version, const char *text)
{
    PeerPackSpec spec = {.path = path, .version = version, .text = text};
    peer_set(world, &spec);
}

/* So many packs "set/<i>" at once. */
static inline void peer_put_many(PeerWorld *world, guint count, const char *version, guint pages)
{
    g_mutex_lock(&world->lock);
    for (guint i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("set/%u", i);
        PeerPackSpec spec = {.path = path, .version = version, .text = version, .pages = pages};
        g_hash_table_replace(world->packs, g_strdup(path), peer_pack_new(world, &spec));
    }
    peer_publish(world);
    g_mutex_unlock(&world->lock);
}

static inline void peer_remove(PeerWorld *world, const char *path)
{
    g_mutex_lock(&world->lock);
    g_assert_true(g_hash_table_remove(world->packs, path));
    peer_publish(world);
    g_mutex_unlock(&world->lock);
}

/* Takes a pack away by a tombstone. */
static inline void peer_withdraw(PeerWorld *world, const char *path, SecretKey *key)
{
    PeerPackSpec spec = {.path = path, .version = "1.0.0", .text = "1.0.0", .key = key, .withdrawn = TRUE};
    PeerPack *pack = peer_pack_new(world, &spec);
    g_mutex_lock(&world->lock);
    g_hash_table_replace(world->tombstones, g_strdup(path), g_bytes_ref(pack->sig));
    g_mutex_unlock(&world->lock);
    peer_pack_free(pack);
    peer_remove(world, path);
}

/* From now on it lies in this way; NULL: it tells the truth. */
static inline void peer_bend(PeerWorld *world, PeerBend bend)
{
    g_mutex_lock(&world->lock);
    world->bend = bend;
    g_mutex_unlock(&world->lock);
}

/* --- The peer's answers; with the lock held --- */

static inline char *peer_sign_note(PeerWorld *world, const CatalogCheckpoint *like)
{
    g_autoptr(GError) error = NULL;
    CatalogCheckpoint checkpoint = *like;
    char *note = catalog_checkpoint_sign(&checkpoint, world->name, world->broker, &error);
    g_assert_no_error(error);
    return note;
}

static inline CatalogCheckpoint peer_checkpoint(PeerWorld *world)
{
    DigestTrie *trie = journal_trie(world->journal);
    CatalogCheckpoint checkpoint = {.count = digest_trie_count(trie),
                                    .generation = journal_generation(world->journal),
                                    .time_s = g_get_real_time() / G_USEC_PER_SEC + world->expires_in_s -
                                              CATALOG_CHECKPOINT_SECONDS};
    memcpy(checkpoint.root, digest_trie_digest(trie), SHA256_BYTES);
    g_strlcpy(checkpoint.view, world->view, sizeof checkpoint.view);
    return checkpoint;
}

static inline void peer_answer_text(PeerAnswer *answer, const char *text)
{
    answer->status = 200;
    answer->body = g_bytes_new(text, strlen(text));
}

static inline void peer_answer_note(PeerWorld *world, PeerAnswer *answer)
{
    if (world->note == NULL) {
        CatalogCheckpoint checkpoint = peer_checkpoint(world);
        world->note = peer_sign_note(world, &checkpoint);
    }
    peer_answer_text(answer, world->note);
}

static inline void peer_answer_digest(PeerWorld *world, const char *prefixes, PeerAnswer *answer)
{
    g_auto(GStrv) list = g_strsplit(prefixes, ",", -1);
    guint count = MAX(g_strv_length(list), 1);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        if (count > 1) {
            json_write_object_begin(&writer);
            json_write_key(&writer, "nodes");
            json_write_array_begin(&writer);
        }
        for (guint i = 0; i < count; i++) {
            g_auto(DigestView) view;
            digest_view_init(&view, journal_trie(world->journal), list[i] != NULL ? list[i] : "");
            digest_view_write(&view, &writer);
        }
        if (count > 1) {
            json_write_array_end(&writer);
            json_write_object_end(&writer);
        }
    }
    answer->status = 200;
    answer->body = g_string_free_to_bytes(json);
}

static inline void peer_answer_changes(PeerWorld *world, const char *since, PeerAnswer *answer)
{
    g_auto(JournalAnswer) changes = {0};
    guint64 generation = g_ascii_strtoull(since, NULL, 10);
    if (!journal_changes(world->journal, generation, world->changes_max, &changes, NULL)) {
        answer->status = 410;
        return;
    }
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        journal_answer_write(&changes, &writer);
    }
    answer->status = 200;
    answer->body = g_string_free_to_bytes(json);
}

static inline void peer_answer_release(PeerWorld *world, const char *hex, PeerAnswer *answer)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, world->packs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PeerPack *pack = value;
        char digest[SHA256_HEX_CHARS + 1];
        hex_encode(pack->item->digest, SHA256_BYTES, digest);
        if (pack->sig != NULL && strcmp(digest, hex) == 0) {
            answer->status = 200;
            answer->body = g_bytes_ref(pack->sig);
            return;
        }
    }
}

static inline void peer_answer_tombstone(PeerWorld *world, const char *path, PeerAnswer *answer)
{
    GBytes *sig = g_hash_table_lookup(world->tombstones, path);
    if (sig == NULL)
        return;
    answer->status = 200;
    answer->body = g_bytes_ref(sig);
}

static inline void peer_answer_blob(PeerWorld *world, const char *hex, PeerAnswer *answer)
{
    GHashTableIter iter, files;
    gpointer value, bytes;
    g_hash_table_iter_init(&iter, world->packs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_hash_table_iter_init(&files, ((PeerPack *)value)->files);
        while (g_hash_table_iter_next(&files, NULL, &bytes)) {
            guint8 hash[SHA256_BYTES];
            char is[SHA256_HEX_CHARS + 1];
            sha256(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), hash);
            hex_encode(hash, SHA256_BYTES, is);
            if (strcmp(is, hex) == 0) {
                answer->status = 200;
                answer->body = g_bytes_ref(bytes);
                return;
            }
        }
    }
}

static inline void peer_answer_file(PeerWorld *world, const char *rest, PeerAnswer *answer)
{
    GHashTableIter iter;
    gpointer path, value;
    g_hash_table_iter_init(&iter, world->packs);
    while (g_hash_table_iter_next(&iter, &path, &value)) {
        const PeerPack *pack = value;
        gsize len = strlen(path);
        if (strncmp(rest, path, len) != 0 || rest[len] != '/')
            continue;
        gboolean is_sig = strcmp(rest + len + 1, "manifest.sig") == 0;
        GBytes *bytes = is_sig ? pack->sig : g_hash_table_lookup(pack->files, rest + len + 1);
        if (bytes != NULL) {
            answer->status = 200;
            answer->body = g_bytes_ref(bytes);
        }
    }
}

static inline void peer_answer(PeerWorld *world, const char *target, PeerAnswer *answer)
{
    *answer = (PeerAnswer){.status = 404};
    if (world->bend != NULL && world->bend(world, target, answer))
        return;
    if (strcmp(target, "/catalog/checkpoint") == 0)
        peer_answer_note(world, answer);
    else if (strcmp(target, "/catalog/digest") == 0)
        peer_answer_digest(world, "", answer);
    else if (g_str_has_prefix(target, "/catalog/digest/"))
        peer_answer_digest(world, target + strlen("/catalog/digest/"), answer);
    else if (g_str_has_prefix(target, "/catalog/changes?since="))
        peer_answer_changes(world, target + strlen("/catalog/changes?since="), answer);
    else if (g_str_has_prefix(target, "/catalog/tombstones/"))
        peer_answer_tombstone(world, target + strlen("/catalog/tombstones/"), answer);
    else if (g_str_has_prefix(target, "/catalog/releases/"))
        peer_answer_release(world, target + strlen("/catalog/releases/"), answer);
    else if (g_str_has_prefix(target, "/blobs/sha256/"))
        peer_answer_blob(world, target + strlen("/blobs/sha256/"), answer);
    else if (g_str_has_prefix(target, "/packs/"))
        peer_answer_file(world, target + strlen("/packs/"), answer);
}

/* --- HTTP --- */

/* Status line, headers and body; a 304 when the caller has it already. */
static inline GBytes *peer_render(const PeerAnswer *answer, const char *head)
{
    g_autofree char *tag = NULL;
    GByteArray *out = g_byte_array_new();
    gsize len = answer->body != NULL ? g_bytes_get_size(answer->body) : 0;
    if (answer->body != NULL) {
        g_autofree char *hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, answer->body);
        tag = g_strdup_printf("\"%s\"", hash);
    }
    gboolean same = tag != NULL && strstr(head, tag) != NULL;
    g_autofree char *lines = g_strdup_printf(
        "HTTP/1.1 %u X\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n%s%s%s%s\r\n", same ? 304 : answer->status,
        same ? 0 : len, tag != NULL ? "ETag: " : "", tag != NULL ? tag : "", tag != NULL ? "\r\n" : "",
        answer->headers != NULL ? answer->headers : "");
    g_byte_array_append(out, (const guint8 *)lines, (guint)strlen(lines));
    if (!same && len > 0)
        g_byte_array_append(out, g_bytes_get_data(answer->body, NULL), (guint)len);
    return g_byte_array_free_to_bytes(out);
}

/* For SocketThreads. */
static inline void peer_serve(int fd, gpointer user)
{
    PeerWorld *world = user;
    g_autoptr(GString) buffer = g_string_new(NULL);
    for (;;) {
        g_autofree char *head = socket_read_head(fd, buffer);
        if (head == NULL)
            return;
        g_auto(GStrv) words = g_strsplit(head, " ", 3);
        PeerAnswer answer;
        g_mutex_lock(&world->lock);
        g_ptr_array_add(world->targets, g_strdup(words[1]));
        peer_answer(world, words[1], &answer);
        g_autoptr(GBytes) bytes = answer.raw != NULL ? g_bytes_ref(answer.raw) : peer_render(&answer, head);
        world->received += strlen(head);
        world->sent += g_bytes_get_size(bytes);
        gboolean ends = answer.raw != NULL;
        g_clear_pointer(&answer.body, g_bytes_unref);
        g_clear_pointer(&answer.raw, g_bytes_unref);
        g_mutex_unlock(&world->lock);
        if (!socket_send_all(fd, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) || ends)
            return;
    }
}

/* --- Life cycle --- */

static inline void peer_world_set_sources(PeerWorld *world, const char *const *names,
                                          const char *const *origins)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    g_assert_true(mirror_db_set_sources(world->writer, names, origins, &changes, &error));
    g_assert_no_error(error);
}

static inline void peer_world_trust(PeerWorld *world, const char *further)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *fingerprint = world_fingerprint(world->publisher);
    g_autofree char *text =
        g_strdup_printf("publishers:\n- fingerprint: %s\n  name: Anna\n%s", fingerprint, further);
    trust_list_unref(world->trust);
    world->trust = trust_list_parse("trust", text, strlen(text), &error);
    g_assert_no_error(error);
    g_free(world->policy_hash);
    world->policy_hash = source_policy_hash(world->source, world->trust);
}

static inline void peer_world_open_db(PeerWorld *world)
{
    g_autoptr(GError) error = NULL;
    world->db_path = g_build_filename(world->here.top, "mirror.db", NULL);
    world->writer = mirror_db_open(world->db_path, DB_WRITE, &error);
    g_assert_no_error(error);
    world->reader = mirror_db_open(world->db_path, DB_READ, &error);
    g_assert_no_error(error);
}

static inline void peer_world_init(PeerWorld *world)
{
    *world = (PeerWorld){.seconds = 30, .now_s = 1000, .view = "", .name = PEER_NAME, .changes_max = 10};
    const char *const names[] = {"north", "commons", NULL};
    world->expires_in_s = CATALOG_CHECKPOINT_SECONDS;
    g_mutex_init(&world->lock);
    store_world_init(&world->here);
    world->publisher = world_key(1);
    world->broker = world_key(7);
    world->tombstones = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    world->packs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, peer_pack_free);
    world->targets = g_ptr_array_new_with_free_func(g_free);
    world->results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    world->alarms = g_ptr_array_new_with_free_func(g_free);
    world->source = source_new(SOURCE_PEER, "north");
    world->state = g_strdup("");
    world->known_policy_hash = g_strdup("");
    secret_key_public(world->broker, &world->source->key);
    socket_threads_start(&world->server, peer_serve, world);
    world->source->url = g_strdup_printf("http://127.0.0.1:%u", world->server.port);
    peer_world_trust(world, "");
    peer_world_open_db(world);
    const char *const origins[] = {world->source->url, "git", NULL};
    peer_world_set_sources(world, names, origins);
    peer_publish(world);
    world->sync = peer_sync_new();
}

static inline void peer_world_clear(PeerWorld *world)
{
    peer_sync_free(world->sync);
    socket_threads_stop(&world->server);
    mirror_db_close(world->reader);
    mirror_db_close(world->writer);
    store_world_clear(&world->here);
    source_unref(world->source);
    trust_list_unref(world->trust);
    secret_key_free(world->publisher);
    secret_key_free(world->broker);
    g_hash_table_unref(world->packs);
    g_hash_table_unref(world->tombstones);
    g_clear_pointer(&world->journal, journal_unref);
    g_ptr_array_unref(world->targets);
    g_ptr_array_unref(world->results);
    g_ptr_array_unref(world->alarms);
    sync_done_clear(&world->done);
    g_clear_error(&world->error);
    g_free(world->note);
    g_free(world->db_path);
    g_free(world->state);
    g_free(world->policy_hash);
    g_free(world->known_policy_hash);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerWorld, peer_world_clear)

/* As if the agent had been started anew. */
static inline void peer_world_restart(PeerWorld *world)
{
    peer_sync_free(world->sync);
    world->sync = peer_sync_new();
}

/* --- Syncing --- */

static inline void peer_hook_progress(const SyncProgress *progress, gpointer user)
{
    (void)progress;
    (void)user;
}

static inline void peer_hook_result(SyncResult *result, gpointer user)
{
    g_ptr_array_add(((PeerWorld *)user)->results, result);
}

static inline void peer_hook_alarm(const char *kind, const char *reason, gpointer user)
{
    PeerWorld *world = user;
    g_autoptr(GError) error = NULL;
    g_assert_null(strchr(reason, '\n'));
    g_ptr_array_add(world->alarms, g_strdup_printf("%s: %s", kind, reason));
    g_assert_true(mirror_db_set_alarm(world->writer, "north", kind, reason, 1, &error));
    g_assert_no_error(error);
}

static inline void peer_world_apply(PeerWorld *world, gboolean ok)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    g_assert_true(mirror_db_apply(world->writer, "north", world->results, FALSE, 1, &changes, &error));
    g_assert_no_error(error);
    if (!ok || world->done.partial)
        return;
    g_free(world->state);
    g_free(world->known_policy_hash);
    world->state = g_strdup(world->done.state);
    world->known_policy_hash = g_strdup(world->policy_hash);
}

/* One sync, and what the broker does with its results (unless it loses them). */
static inline gboolean peer_world_sync(PeerWorld *world)
{
    g_ptr_array_set_size(world->results, 0);
    g_ptr_array_set_size(world->alarms, 0);
    g_mutex_lock(&world->lock);
    g_ptr_array_set_size(world->targets, 0);
    world->received = world->sent = 0;
    g_mutex_unlock(&world->lock);
    sync_done_clear(&world->done);
    g_clear_error(&world->error);
    SyncJob job = {.source = world->source,
                   .store = world->here.store,
                   .db = world->reader,
                   .trust = world->trust,
                   .policy_hash = world->policy_hash,
                   .state = world->state,
                   .known_policy_hash = world->known_policy_hash,
                   .store_dir = world->here.top,
                   .prune = world->prune,
                   .full = world->full,
                   .reset = world->reset,
                   .deadline_us = g_get_monotonic_time() + world->seconds * G_USEC_PER_SEC,
                   .threads = 1,
                   .hooks = {.progress = peer_hook_progress,
                             .result = peer_hook_result,
                             .alarm = peer_hook_alarm,
                             .user = world}};
    gboolean ok = peer_sync_run(world->sync, &job, &world->cost, &world->done, &world->error);
    g_assert_cmpint(ok, ==, world->error == NULL);
    if (!ok) {
        g_assert_null(strchr(world->error->message, '\n'));
        if (!g_str_has_prefix(world->error->message, world->source->url))
            g_error("no URL in front: %s", world->error->message);
    }
    if (!world->lose_results)
        peer_world_apply(world, ok);
    return ok;
}

static inline void peer_world_sync_ok(PeerWorld *world)
{
    peer_world_sync(world);
    g_assert_no_error(world->error);
    g_assert_false(world->done.partial);
}

static inline void peer_world_sync_fails(PeerWorld *world, KontorErrorCode code, const char *text)
{
    g_assert_false(peer_world_sync(world));
    if (world->error->code != (int)code || strstr(world->error->message, text) == NULL)
        g_error("expected %s with \"%s\": %s", kontor_error_name(code), text, world->error->message);
}

/* --- Looking at it --- */

static inline guint peer_world_count(const PeerWorld *world, SyncOutcome outcome)
{
    guint count = 0;
    for (guint i = 0; i < world->results->len; i++)
        count += ((SyncResult *)g_ptr_array_index(world->results, i))->outcome == outcome;
    return count;
}

static inline guint peer_world_requests(PeerWorld *world, const char *prefix)
{
    guint count = 0;
    g_mutex_lock(&world->lock);
    for (guint i = 0; i < world->targets->len; i++)
        count += g_str_has_prefix(g_ptr_array_index(world->targets, i), prefix);
    g_mutex_unlock(&world->lock);
    return count;
}

/* The version that is held at a path, a new string; NULL when nothing is. */
static inline char *peer_world_version(PeerWorld *world, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MirroredPack) held = NULL;
    g_assert_true(mirror_db_held(world->reader, path, FALSE, &held, &error));
    g_assert_no_error(error);
    g_assert_true(held == NULL || held->withdrawn || release_store_has(world->here.store, held->digest));
    return held != NULL ? g_strdup(held->version) : NULL;
}

#define peer_world_assert_version(world, path, expected)                                                     \
    G_STMT_START                                                                                             \
    {                                                                                                        \
        g_autofree char *version_ = peer_world_version(world, path);                                         \
        g_assert_cmpstr(version_, ==, expected);                                                             \
    }                                                                                                        \
    G_STMT_END

#define peer_world_assert_alarm(world, kind)                                                                 \
    G_STMT_START                                                                                             \
    {                                                                                                        \
        g_assert_cmpuint((world)->alarms->len, ==, 1);                                                       \
        g_assert_true(g_str_has_prefix(g_ptr_array_index((world)->alarms, 0), kind ": "));                   \
    }                                                                                                        \
    G_STMT_END
