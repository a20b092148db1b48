/* SPDX-License-Identifier: MIT
 *
 *   compare    peer_compare: which catalog the peer has; nothing is applied unless its root is signed
 *   plan       peer_plan: what is new, changed or gone becomes pending, in one transaction with the items
 *   work       every pending path: nothing to do, withdrawn or gone (peer_tombstones), refused, or fetched by
 *              peer_releases
 *
 * A path stays pending until mirror.db shows that it was dealt with, which is looked up by the next sync:
 * what was reported, but never became durable, is done again. That a pack is about to be fetched is written
 * before it is, so that one which ends the process, or takes all of its time, does not come first again and
 * again.
 */
#include "mirror/agent/peer_sync.h"

#include <glib/gstdio.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "mirror/agent/peer_compare.h"
#include "mirror/agent/peer_memory.h"
#include "mirror/agent/peer_plan.h"
#include "mirror/agent/peer_releases.h"
#include "mirror/agent/peer_tombstones.h"
#include "mirror/store/db.h"
#include "schema/limits.h"

/* One peer, between syncs. */
typedef struct {
    char *origin;
    PeerState *state;
    PeerClient *client;
    DigestTrie *known; /* NULL: not loaded */
} Peer;

struct PeerSync {
    GHashTable *peers; /* name of the source → Peer */
    guint64 memory_max;
};

/* One sync. */
typedef struct {
    const SyncJob *job;
    Peer *peer;
    Intake *intake;
    PeerReleases *releases;
    PeerTombstones tombstones;
    gint64 now_s;
    GPtrArray *settled;   /* of char *: pending no more */
    GPtrArray *missing;   /* of char *: gone from the catalog, and not asked about yet */
    GPtrArray *chosen;    /* of PeerPending *: to be fetched, their attempts counted … */
    guint begun;          /* … and so many of them begun */
    guint failed, in_row; /* packs that could not be fetched; the latest of them in a row */
    char *failure;        /* why the first of them could not */
} Sync;

/* --- Life cycle --- */

static void peer_free(gpointer data)
{
    Peer *peer = data;
    g_free(peer->origin);
    peer_state_free(peer->state);
    peer_client_free(peer->client);
    digest_trie_unref(peer->known);
    g_free(peer);
}

PeerSync *peer_sync_new(void)
{
    PeerSync *sync = g_new0(PeerSync, 1);
    sync->peers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, peer_free);
    sync->memory_max = LIMIT_PEER_MEMORY_BYTES;
    return sync;
}

void peer_sync_free(PeerSync *sync)
{
    if (sync == NULL)
        return;
    g_hash_table_unref(sync->peers);
    g_free(sync);
}

static void sync_clear(Sync *sync)
{
    g_clear_pointer(&sync->releases, peer_releases_free);
    peer_tombstones_clear(&sync->tombstones);
    g_clear_pointer(&sync->intake, intake_free);
    g_ptr_array_unref(sync->settled);
    g_ptr_array_unref(sync->missing);
    g_ptr_array_unref(sync->chosen);
    g_free(sync->failure);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sync, sync_clear)

/* --- What the broker remembers for us --- */

static char *state_text(const SyncJob *job, PeerState *state)
{
    const PeerRecord *record = peer_state_record(state);
    PeerMemory memory = {.name = record->name, .generation = record->seen_generation};
    memcpy(memory.root, record->seen_root, SHA256_BYTES);
    g_strlcpy(memory.view, record->seen_view, sizeof memory.view);
    return peer_memory_write(&memory, &job->source->key);
}

/* A file that is new, though the source is not: it was lost. What was seen must not be. */
static gboolean remember_seen(PeerState *state, const SyncJob *job, GError **error)
{
    g_auto(PeerMemory) memory = {0};
    g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
    if (peer_state_record(state)->has_seen ||
        !peer_memory_read(job->state, strlen(job->state), &job->source->key, &memory))
        return TRUE;
    CatalogCheckpoint seen = {.generation = memory.generation};
    memcpy(seen.root, memory.root, SHA256_BYTES);
    g_strlcpy(seen.view, memory.view, sizeof seen.view);
    return peer_state_see(state, &seen, memory.name, nothing, "", error);
}

/* --- The peer --- */

/* Whose catalog it is, and what we see of it. */
static char *origin_of(const SyncJob *job)
{
    g_autofree char *key = base64_encode(job->source->key.bytes, sizeof job->source->key.bytes);
    g_autofree char *place = source_origin(job->source);
    return g_strdup_printf("%s\n%s", place, key);
}

char *peer_sync_state_name(const MirrorSource *source)
{
    return g_strconcat(source->name, ".db", NULL);
}

static char *state_path(const SyncJob *job)
{
    g_autofree char *name = peer_sync_state_name(job->source);
    return g_build_filename(job->store_dir, "peers", name, NULL);
}

static Peer *open_peer(const SyncJob *job, GError **error)
{
    g_autofree char *directory = g_build_filename(job->store_dir, "peers", NULL);
    g_autofree char *path = state_path(job);
    g_autofree char *origin = origin_of(job);
    g_mkdir_with_parents(directory, 0700); /* what goes wrong comes out below */
    g_autoptr(PeerState) state = peer_state_open(path, origin, error);
    if (state == NULL || (!job->reset && !remember_seen(state, job, error)))
        return NULL;
    Peer *peer = g_new0(Peer, 1);
    peer->origin = g_steal_pointer(&origin);
    peer->state = g_steal_pointer(&state);
    peer->client = peer_client_new();
    return peer;
}

/* The one of the last sync, if it is still the same and its file is still there. */
static Peer *find_peer(PeerSync *sync, const SyncJob *job, GError **error)
{
    Peer *peer = g_hash_table_lookup(sync->peers, job->source->name);
    g_autofree char *path = state_path(job);
    g_autofree char *origin = origin_of(job);
    if (peer != NULL && strcmp(peer->origin, origin) == 0 && g_file_test(path, G_FILE_TEST_EXISTS))
        return peer;
    g_hash_table_remove(sync->peers, job->source->name);
    peer = open_peer(job, error);
    if (peer != NULL)
        g_hash_table_replace(sync->peers, g_strdup(job->source->name), peer);
    return peer;
}

/* --- Plan --- */

static gboolean looks_at_everything(const SyncJob *job, const PeerRecord *record)
{
    /* mirror.db knows less than our own file: it is new, or was held to another configuration since. */
    gboolean forgotten =
        (*job->state == '\0' || g_strcmp0(job->known_policy_hash, job->policy_hash) != 0) && record->finished;
    return job->full || forgotten || strcmp(record->plan, job->policy_hash) != 0;
}

static PeerCompare compare_of(Sync *sync)
{
    return (PeerCompare){.job = sync->job,
                         .intake = sync->intake,
                         .client = sync->peer->client,
                         .state = sync->peer->state,
                         .known = &sync->peer->known};
}

static gboolean refuse_shrinking(Sync *sync, const PeerPlan *plan, GError **error)
{
    PeerCompare compare = compare_of(sync);
    guint withdrawn = 0;
    if (sync->job->prune || !peer_plan_shrinks(plan, 0))
        return TRUE;
    /* What its publisher has withdrawn is not missing. */
    if (plan->gone->len <= LIMIT_PEER_ASK_SHRUNK) {
        if (!peer_tombstones_ask(&sync->tombstones, plan->gone, error))
            return FALSE;
        for (guint i = 0; i < plan->gone->len; i++)
            withdrawn += peer_tombstones_of(&sync->tombstones, g_ptr_array_index(plan->gone, i)) ==
                         PEER_TOMBSTONE_ACCEPTED;
    }
    if (!peer_plan_shrinks(plan, withdrawn))
        return TRUE;
    return peer_compare_alarm(&compare, "shrink", error,
                              "%u of %" G_GUINT64_FORMAT
                              " packs are gone at once; nothing is taken until they are back, or until "
                              "'kontor mirror sync %s --prune'",
                              plan->gone->len - withdrawn, plan->held, sync->job->source->name);
}

/* Makes what changed pending. */
static gboolean plan(Sync *sync, const PeerCatalog *catalog, GError **error)
{
    const SyncJob *job = sync->job;
    const PeerRecord *record = peer_state_record(sync->peer->state);
    PeerCompare compare = compare_of(sync);
    g_auto(PeerPlan) made = {0};
    gboolean everything = looks_at_everything(job, record);
    if (catalog->trie == NULL && !everything)
        return peer_state_set_generation(sync->peer->state, catalog->generation, error);
    DigestTrie *known = peer_compare_known(&compare, error);
    if (known == NULL)
        return FALSE;
    DigestTrie *after = catalog->trie != NULL ? catalog->trie : known;
    if (everything ? !peer_plan_everything(job, sync->intake, after, &made, error)
                   : !peer_plan_change(job, known, after, record->wanted, &made, error))
        return FALSE;
    if (!refuse_shrinking(sync, &made, error))
        return FALSE;
    PeerChange change = {.before = known,
                         .after = after,
                         .generation = catalog->generation,
                         .wanted = made.wanted,
                         .plan = job->policy_hash,
                         .pending = made.pending,
                         .now_s = sync->now_s};
    if (!peer_state_apply(sync->peer->state, &change, error))
        return FALSE;
    sync->peer->known = digest_trie_ref(after);
    digest_trie_unref(known);
    return TRUE;
}

/* --- Work --- */

/* For PeerReleaseFunc. */
static void note_release(const CatalogItem *item G_GNUC_UNUSED, const GError *why, gpointer user)
{
    Sync *sync = user;
    sync->in_row = why != NULL ? sync->in_row + 1 : 0;
    if (why == NULL)
        return;
    sync->failed++;
    if (sync->failure == NULL)
        sync->failure = g_strdup(why->message);
}

/* Sorts one pending path, which it takes over. FALSE when mirror.db cannot be read. */
static gboolean sort_pending(Sync *sync, PeerPending *taken, GError **error)
{
    g_autoptr(PeerPending) pending = taken;
    g_auto(PeerDecision) decision = {0};
    char identity[SHA256_HEX_CHARS + 1];
    if (!peer_plan_decide(sync->job, sync->intake, pending, sync->now_s, &decision, error))
        return FALSE;
    intake_progress_of(sync->intake)->packs += decision.step != PEER_STEP_FETCH;
    switch (decision.step) {
    case PEER_STEP_NOTHING:
        g_ptr_array_add(sync->settled, g_strdup(pending->path));
        break;
    case PEER_STEP_WAIT:
        break;
    case PEER_STEP_ASK:
        g_ptr_array_add(sync->missing, g_strdup(pending->path));
        break;
    case PEER_STEP_GONE:
        intake_gone(sync->intake, pending->path);
        break;
    case PEER_STEP_REFUSE:
        hex_encode(pending->item->digest, SHA256_BYTES, identity);
        intake_refuse(sync->intake, pending->path, identity, decision.rule, decision.reason);
        break;
    case PEER_STEP_FETCH:
        pending->attempts++;
        pending->due_s = peer_plan_retry_s(pending->attempts, sync->now_s);
        g_ptr_array_add(sync->chosen, g_steal_pointer(&pending));
        break;
    }
    return TRUE;
}

/* FALSE when the peer does not serve what its catalog has. */
static gboolean check_failures(const Sync *sync, GError **error)
{
    if (sync->in_row < LIMIT_PEER_FAILURES)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                "%s: gave up after %d packs in a row that could not be fetched; the first failure: %s",
                sync->job->source->url, LIMIT_PEER_FAILURES, sync->failure);
    return FALSE;
}

static gboolean fetch_chosen(Sync *sync, GError **error)
{
    if (!peer_state_settle(sync->peer->state, sync->chosen, sync->settled, error))
        return FALSE;
    g_ptr_array_set_size(sync->settled, 0);
    while (sync->begun < sync->chosen->len) {
        if (!check_failures(sync, error))
            return FALSE;
        const PeerPending *pending = g_ptr_array_index(sync->chosen, sync->begun++);
        if (!peer_releases_add(sync->releases, pending->item, error))
            return FALSE;
    }
    g_ptr_array_set_size(sync->chosen, 0);
    sync->begun = 0;
    return TRUE;
}

/* Tells what was withdrawn from what is merely gone. Whatever the peer does not tell now it is asked again.
 */
static gboolean report_missing(Sync *sync, GError **error)
{
    if (!peer_tombstones_ask(&sync->tombstones, sync->missing, error))
        return FALSE;
    for (guint i = 0; i < sync->missing->len; i++) {
        const char *path = g_ptr_array_index(sync->missing, i);
        if (peer_tombstones_of(&sync->tombstones, path) == PEER_TOMBSTONE_NONE)
            intake_gone(sync->intake, path);
    }
    g_ptr_array_set_size(sync->missing, 0);
    return TRUE;
}

/* Sorts a list of pending paths, which it empties. */
static gboolean sort_all(Sync *sync, GPtrArray *list, GError **error)
{
    for (guint i = 0; i < list->len; i++) {
        PeerPending *pending = g_steal_pointer(&g_ptr_array_index(list, i));
        if (!sort_pending(sync, pending, error))
            return FALSE;
    }
    return report_missing(sync, error);
}

static gboolean work(Sync *sync, GError **error)
{
    g_autofree char *after = g_strdup("");
    guint64 pending = 0;
    if (!peer_state_count_pending(sync->peer->state, &pending, error))
        return FALSE;
    intake_progress_of(sync->intake)->packs_total = (guint)pending;
    for (;;) {
        g_autoptr(GPtrArray) list = peer_state_pending(sync->peer->state, after, LIMIT_PEER_PACKS, error);
        if (list == NULL)
            return FALSE;
        if (list->len == 0)
            return peer_releases_finish(sync->releases, error) && check_failures(sync, error);
        const PeerPending *last = g_ptr_array_index(list, list->len - 1);
        g_free(after);
        after = g_strdup(last->path);
        if (!intake_in_time(sync->intake, error) || !sort_all(sync, list, error) ||
            !fetch_chosen(sync, error))
            return FALSE;
    }
}

/* What was never begun does not count as an attempt. */
static void take_back_attempts(Sync *sync)
{
    g_autoptr(GPtrArray) unbegun = g_ptr_array_new();
    for (guint i = sync->begun; i < sync->chosen->len; i++) {
        PeerPending *pending = g_ptr_array_index(sync->chosen, i);
        pending->attempts--;
        pending->due_s = 0;
        g_ptr_array_add(unbegun, pending);
    }
    /* Should this fail, they wait. */
    peer_state_settle(sync->peer->state, unbegun, sync->settled, NULL);
}

/* --- All of it --- */

static void set_phase(Sync *sync, SyncPhase phase)
{
    intake_progress_of(sync->intake)->phase = phase;
    intake_progress(sync->intake);
}

/* What stood against the peer does not any more. */
static gboolean clear_alarm(const Sync *sync, GError **error)
{
    g_auto(SourceRecord) record = {0};
    if (!mirror_db_source_state(sync->job->db, sync->job->source->name, &record, error))
        return FALSE;
    if (*record.alarm != '\0')
        intake_alarm(sync->intake, "", "");
    return TRUE;
}

static gboolean prepare(Sync *sync, GError **error)
{
    PeerCompare compare = compare_of(sync);
    g_auto(PeerCatalog) catalog = {0};
    const SyncJob *job = sync->job;
    if (!peer_client_begin(sync->peer->client, job->source, job->deadline_us, error) ||
        (job->reset && !peer_state_forget(sync->peer->state, error)))
        return FALSE;
    set_phase(sync, SYNC_PHASE_COMPARE);
    if (!peer_compare(&compare, &catalog, error) || !plan(sync, &catalog, error) || !clear_alarm(sync, error))
        return FALSE;
    PeerReleasesOptions options = {.job = job,
                                   .intake = sync->intake,
                                   .client = sync->peer->client,
                                   .generation = catalog.generation,
                                   .done = note_release,
                                   .user = sync};
    sync->releases = peer_releases_new(&options);
    set_phase(sync, SYNC_PHASE_FETCH);
    return TRUE;
}

/* TRUE when `cause` is only the end of the budget, and the time was not for nothing. */
static gboolean is_partial(const Sync *sync, const GError *cause)
{
    const SyncProgress *progress = intake_progress_of(sync->intake);
    gboolean in_time = intake_in_time(sync->intake, NULL);
    gboolean spent = fetch_pool_is_spent(peer_client_pool(sync->peer->client));
    return cause != NULL && (spent || !in_time) && progress->installed + progress->refused > 0;
}

static gboolean end_partial(const Sync *sync, SyncDone *ret)
{
    ret->partial = TRUE;
    ret->state = g_strdup(sync->job->state);
    ret->packs_seen = (guint)peer_state_record(sync->peer->state)->wanted;
    return TRUE;
}

static gboolean end_well(const Sync *sync, SyncDone *ret, GError **error)
{
    PeerState *state = sync->peer->state;
    if (sync->failed > 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "%s: %u %s could not be fetched and will be tried again; the first: %s",
                    sync->job->source->url, sync->failed, sync->failed == 1 ? "pack" : "packs",
                    sync->failure);
        return FALSE;
    }
    if (!peer_state_set_finished(state, error))
        return FALSE;
    ret->state = state_text(sync->job, state);
    ret->packs_seen = (guint)peer_state_record(state)->wanted;
    return TRUE;
}

/* After the peer is known. */
static gboolean run(Sync *sync, SyncDone *ret, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (!prepare(sync, error))
        return FALSE;
    gboolean worked = work(sync, &cause);
    g_clear_pointer(&sync->releases, peer_releases_free);
    take_back_attempts(sync);
    /* What is whole is kept, whatever went wrong with the rest. */
    if (!intake_flush(sync->intake, error))
        return FALSE;
    if (worked)
        return end_well(sync, ret, error);
    if (is_partial(sync, cause))
        return end_partial(sync, ret);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean run_once(PeerSync *peers, const SyncJob *job, PeerSyncCost *ret_cost, SyncDone *ret,
                         GError **error)
{
    g_auto(Sync) sync = {.job = job,
                         .intake = intake_new(job),
                         .now_s = g_get_real_time() / G_USEC_PER_SEC,
                         .settled = g_ptr_array_new_with_free_func(g_free),
                         .missing = g_ptr_array_new_with_free_func(g_free),
                         .chosen = g_ptr_array_new_with_free_func((GDestroyNotify)peer_pending_free)};
    sync.peer = find_peer(peers, job, error);
    if (sync.peer == NULL)
        return FALSE;
    peer_tombstones_init(&sync.tombstones, sync.intake, sync.peer->client);
    FetchPool *pool = peer_client_pool(sync.peer->client);
    guint64 requests = fetch_pool_requests(pool), bytes = fetch_pool_wire_bytes(pool);
    gboolean done = run(&sync, ret, error);
    ret_cost->requests += (guint)(fetch_pool_requests(pool) - requests);
    ret_cost->bytes += fetch_pool_wire_bytes(pool) - bytes;
    return done;
}

/* Messages of other modules do not know whom this is about. */
static void name_peer(const SyncJob *job, GError **error)
{
    if (error != NULL && *error != NULL && !g_str_has_prefix((*error)->message, job->source->url))
        g_prefix_error(error, "%s: ", job->source->url);
}

/* When what is known of the peer is damaged, it costs no more than reading its catalog again. */
static gboolean run_anyhow(PeerSync *sync, const SyncJob *job, PeerSyncCost *ret_cost, SyncDone *ret,
                           GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *path = state_path(job);
    if (run_once(sync, job, ret_cost, ret, &cause))
        return TRUE;
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CORRUPT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_hash_table_remove(sync->peers, job->source->name);
    return db_delete(path, error) && run_once(sync, job, ret_cost, ret, error);
}

static guint64 resident_bytes(void)
{
    g_autofree char *text = NULL;
    guint64 pages = 0;
    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
        return 0;
    g_auto(GStrv) words = g_strsplit(text, " ", 3);
    if (words[0] == NULL || !g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXUINT32, &pages, NULL))
        return 0;
    return pages * (guint64)sysconf(_SC_PAGESIZE);
}

/* Every catalog in memory makes the next comparison cheap; too many large ones would end the process, and
 * with it the syncs of others. */
static void forget_catalogs(PeerSync *sync)
{
    GHashTableIter iter;
    gpointer value;
    if (resident_bytes() <= sync->memory_max)
        return;
    g_hash_table_iter_init(&iter, sync->peers);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_clear_pointer(&((Peer *)value)->known, digest_trie_unref);
    malloc_trim(0);
}

void peer_sync_set_memory_max(PeerSync *sync, guint64 bytes)
{
    sync->memory_max = bytes;
}

gboolean peer_sync_run(PeerSync *sync, const SyncJob *job, PeerSyncCost *ret_cost, SyncDone *ret,
                       GError **error)
{
    *ret_cost = (PeerSyncCost){0};
    *ret = (SyncDone){0};
    gboolean done = run_anyhow(sync, job, ret_cost, ret, error);
    if (!done)
        name_peer(job, error);
    forget_catalogs(sync);
    return done;
}
