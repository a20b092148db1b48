/* SPDX-License-Identifier: MIT
 *
 *   checkpoint                         not modified: judge the note that is kept
 *     root is the known one            done
 *     changes since the known          root fits: done; the peer has moved on: next checkpoint
 *     walk from the known              every digest fits: done; otherwise: next checkpoint
 *
 * A catalog may change while it is read, so that what comes belongs to a later checkpoint. Who changes it
 * signs a new one; whose digests do not fit to a checkpoint that stays the same is not telling the truth.
 */
#include "mirror/agent/peer_compare.h"

#include <glib/gstdio.h>
#include <string.h>

#include "mirror/store/durable_file.h"
#include "schema/limits.h"
#include "schema/text.h"

/* A comparison under way. */
typedef struct {
    const PeerCompare *in;
    CatalogCheckpoint checkpoint; /* the latest */
    DigestTrie *trie;             /* known, then with the changes that came */
    guint64 generation;           /* of `trie` */
    gboolean ask_changes;         /* they may still lead to the checkpoint */
    char *misfit;                 /* what did not fit to it, for the alarm; or NULL */
} Run;

static void run_clear(Run *run)
{
    digest_trie_unref(run->trie);
    g_free(run->misfit);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

void peer_catalog_clear(PeerCatalog *catalog)
{
    digest_trie_unref(catalog->trie);
    *catalog = (PeerCatalog){0};
}

DigestTrie *peer_compare_known(const PeerCompare *compare, GError **error)
{
    if (*compare->known == NULL)
        *compare->known = peer_state_load(compare->state, LIMIT_PEER_CATALOG_BYTES, error);
    return *compare->known;
}

gboolean peer_compare_alarm(const PeerCompare *compare, const char *kind, GError **error, const char *format,
                            ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    intake_alarm(compare->intake, kind, reason);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "%s: %s", compare->job->source->url, reason);
    return FALSE;
}

/* --- The checkpoint --- */

static gboolean check_name(const PeerCompare *in, const char *name, GError **error)
{
    const char *configured = in->job->source->key_name;
    const char *expected = configured != NULL ? configured : peer_state_record(in->state)->name;
    if (*expected == '\0' || strcmp(expected, name) == 0)
        return TRUE;
    g_autofree char *shown = text_for_message(name, strlen(name));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE, "the checkpoint is that of broker '%s'%s '%s'",
                shown, configured != NULL ? ", not of" : "; until now it was", expected);
    return FALSE;
}

static gboolean open_note(const PeerCompare *in, GBytes *note, CatalogCheckpoint *ret, char **ret_name,
                          GError **error)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(note, &len);
    g_autoptr(GError) cause = NULL;
    g_autofree char *name = NULL;
    if (catalog_checkpoint_open(data, len, &in->job->source->key, ret, &name, &cause) &&
        check_name(in, name, &cause)) {
        *ret_name = g_steal_pointer(&name);
        return TRUE;
    }
    /* "Not found" is a line of the pinned key, not the peer. */
    if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE,
                    "%s: the checkpoint is not signed by the pinned key", in->job->source->url);
        return FALSE;
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", in->job->source->url);
    return FALSE;
}

/* --- Fork, rollback and the like --- */

static void keep_evidence(const PeerCompare *in, GBytes *note, guint64 generation, const char *which)
{
    if (note == NULL)
        return;
    gsize len = 0;
    const void *data = g_bytes_get_data(note, &len);
    g_autofree char *directory = g_build_filename(in->job->store_dir, "evidence", NULL);
    g_autofree char *name =
        g_strdup_printf("%s-%" G_GUINT64_FORMAT "-%s.note", in->job->source->name, generation, which);
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_mkdir_with_parents(directory, 0700);
    /* The alarm is raised whether or not there is room for the proof. */
    durable_file_replace(path, data, len, 0600, NULL);
}

/* After the first time, too: nothing is asked of a forked peer. */
static gboolean refuse_fork(const PeerCompare *in, guint64 generation, GError **error)
{
    return peer_compare_alarm(in, "fork", error,
                              "signed two different catalogs of generation %" G_GUINT64_FORMAT
                              "; both notes are in store/evidence, and nothing is taken from it until "
                              "'kontor mirror sync %s --reset'",
                              generation, in->job->source->name);
}

static gboolean check_fork(const PeerCompare *in, const CatalogCheckpoint *now, GBytes *note, GError **error)
{
    const PeerRecord *seen = peer_state_record(in->state);
    if (now->generation != seen->seen_generation || memcmp(now->root, seen->seen_root, SHA256_BYTES) == 0)
        return TRUE;
    keep_evidence(in, seen->note, now->generation, "a");
    keep_evidence(in, note, now->generation, "b");
    guint64 generation = now->generation;
    if (!peer_state_set_forked(in->state, error))
        return FALSE;
    return refuse_fork(in, generation, error);
}

/* What a new note says against what was seen before. */
static gboolean check_history(const PeerCompare *in, const CatalogCheckpoint *now, GBytes *note,
                              GError **error)
{
    const PeerRecord *seen = peer_state_record(in->state);
    if (!seen->has_seen)
        return TRUE;
    /* Another view is another catalog, with generations of its own. */
    if (strcmp(seen->seen_view, now->view) != 0)
        return peer_state_forget(in->state, error);
    if (now->generation < seen->seen_generation)
        return peer_compare_alarm(in, "rollback", error,
                                  "goes back to generation %" G_GUINT64_FORMAT " after %" G_GUINT64_FORMAT
                                  " was seen; if that is meant, 'kontor mirror sync %s --reset'",
                                  now->generation, seen->seen_generation, in->job->source->name);
    return check_fork(in, now, note, error);
}

static gboolean check_view(const PeerCompare *in, const CatalogCheckpoint *now, GError **error)
{
    if (peer_client_token(in->client) == NULL || *now->view != '\0')
        return TRUE;
    return peer_compare_alarm(in, "token", error,
                              "does not take the token in '%s': it is unknown, expired or revoked there",
                              in->job->source->token_file);
}

static gboolean check_age(const PeerCompare *in, const CatalogCheckpoint *now, GError **error)
{
    if (now->expires_s >= g_get_real_time() / G_USEC_PER_SEC)
        return TRUE;
    g_autoptr(GDateTime) expired = g_date_time_new_from_unix_utc(now->expires_s);
    g_autofree char *text = g_date_time_format(expired, "%Y-%m-%d %H:%M UTC");
    return peer_compare_alarm(in, "stale", error, "its checkpoint has expired on %s; nothing new is taken",
                              text);
}

static gboolean same_as_seen(const PeerRecord *seen, GBytes *note)
{
    return seen->note != NULL && g_bytes_equal(seen->note, note);
}

/* Asks for the checkpoint and judges it. */
static gboolean take_checkpoint(Run *run, gboolean conditional, GError **error)
{
    const PeerCompare *in = run->in;
    const PeerRecord *seen = peer_state_record(in->state);
    g_auto(PeerNote) answer = {0};
    g_autofree char *name = NULL;
    g_autofree char *etag = g_strdup(conditional && seen->note != NULL ? seen->etag : "");
    if (!peer_client_checkpoint(in->client, etag, &answer, error))
        return FALSE;
    g_autoptr(GBytes) note = g_bytes_ref(answer.note != NULL ? answer.note : seen->note);
    if (!open_note(in, note, &run->checkpoint, &name, error) || !check_view(in, &run->checkpoint, error) ||
        !check_history(in, &run->checkpoint, note, error))
        return FALSE;
    gboolean is_new = !same_as_seen(peer_state_record(in->state), note);
    if (is_new && !peer_state_see(in->state, &run->checkpoint, name, note, answer.etag, error))
        return FALSE;
    return check_age(in, &run->checkpoint, error);
}

/* --- The catalog --- */

static gboolean fits(const Run *run)
{
    return memcmp(digest_trie_digest(run->trie), run->checkpoint.root, SHA256_BYTES) == 0 &&
           digest_trie_count(run->trie) == run->checkpoint.count;
}

static void set_trie(Run *run, DigestTrie *trie)
{
    digest_trie_unref(run->trie);
    run->trie = trie;
}

static void apply_answer(Run *run, const JournalAnswer *answer)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new();
    g_autoptr(GPtrArray) removals = g_ptr_array_new();
    for (guint i = 0; i < answer->changes->len; i++) {
        JournalChange *change = g_ptr_array_index(answer->changes, i);
        g_ptr_array_add(change->item != NULL ? upserts : removals,
                        change->item != NULL ? (gpointer)change->item : change->path);
    }
    set_trie(run, digest_trie_with_changes(run->trie, upserts, removals));
    run->generation = answer->next;
}

/* Changes up to the present of the peer. FALSE without an error: they lead nowhere. */
static gboolean follow_changes(Run *run, GError **error)
{
    guint64 received = 0;
    for (guint asked = 0; asked < LIMIT_JOURNAL_STEPS; asked++) {
        g_auto(JournalAnswer) answer = {0};
        g_autoptr(GError) cause = NULL;
        if (!peer_client_changes(run->in->client, run->generation, &answer, &cause)) {
            if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
                g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        apply_answer(run, &answer);
        received += answer.changes->len;
        if (answer.next == answer.generation)
            return TRUE;
        if (received > LIMIT_JOURNAL_CHANGES)
            return FALSE;
    }
    return FALSE;
}

typedef struct {
    GPtrArray *upserts;  /* of CatalogItem *, referenced */
    GPtrArray *removals; /* of char *, copied */
} Differences;

static void take_difference(CatalogItem *known, CatalogItem *there, gpointer user)
{
    Differences *differences = user;
    if (there != NULL)
        g_ptr_array_add(differences->upserts, catalog_item_ref(there));
    else
        g_ptr_array_add(differences->removals, g_strdup(known->path));
}

/* For TrieSource. */
static gboolean known_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                            GError **error G_GNUC_UNUSED)
{
    for (guint i = 0; i < count; i++)
        digest_view_init(&ret_views[i], user, prefixes[i]);
    return TRUE;
}

static TrieSource known_source(DigestTrie *trie)
{
    TrieSource source = {.count = digest_trie_count(trie), .views = known_views, .user = trie};
    memcpy(source.root, digest_trie_digest(trie), SHA256_BYTES);
    return source;
}

/* FALSE without an error: what came does not fit to the checkpoint. */
static gboolean walk(Run *run, GError **error)
{
    TrieWalkReport report;
    g_autoptr(GError) cause = NULL;
    g_autoptr(GPtrArray) upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(g_free);
    Differences differences = {upserts, removals};
    TrieSource here = known_source(run->trie);
    TrieSource there = peer_client_trie(run->in->client, &run->checkpoint);
    if (!trie_walk(&here, &there, take_difference, &differences, &report, &cause)) {
        if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CONFLICT) &&
            !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE)) {
            g_propagate_error(error, g_steal_pointer(&cause));
        } else {
            g_free(run->misfit);
            run->misfit = g_strdup(cause->message);
        }
        return FALSE;
    }
    set_trie(run, digest_trie_with_changes(run->trie, upserts, removals));
    run->generation = run->checkpoint.generation;
    return fits(run);
}

/* --- All of it --- */

/* One try with the checkpoint that there is. FALSE without an error: try with a new one. */
static gboolean reach_checkpoint(Run *run, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (fits(run))
        return TRUE;
    if (run->ask_changes && run->checkpoint.generation > run->generation) {
        gboolean followed = follow_changes(run, &cause);
        if (cause != NULL) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        if (followed && fits(run))
            return TRUE;
        if (followed && run->generation > run->checkpoint.generation)
            return FALSE;
    }
    /* Changes have led to something that nobody has signed: they are not believed again. */
    run->ask_changes = FALSE;
    set_trie(run, digest_trie_ref(*run->in->known));
    return walk(run, error);
}

static gboolean begin(Run *run, GError **error)
{
    const PeerRecord *record = peer_state_record(run->in->state);
    DigestTrie *known = peer_compare_known(run->in, error);
    if (known == NULL)
        return FALSE;
    set_trie(run, digest_trie_ref(known));
    run->generation = record->generation;
    run->ask_changes = record->generation > 0;
    return TRUE;
}

/* Reads on until catalog and checkpoint fit to each other. */
static gboolean read_catalog(Run *run, GError **error)
{
    if (!begin(run, error))
        return FALSE;
    for (guint attempt = 1;; attempt++) {
        g_autoptr(GError) cause = NULL;
        guint64 generation = run->checkpoint.generation;
        if (reach_checkpoint(run, &cause))
            return TRUE;
        if (cause != NULL) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        if (!intake_in_time(run->in->intake, error) || !take_checkpoint(run, FALSE, error))
            return FALSE;
        gboolean unchanged = run->checkpoint.generation == generation && run->generation <= generation;
        if (attempt > 1 && unchanged)
            return peer_compare_alarm(run->in, "mismatch", error,
                                      "its catalog does not fit to the checkpoint that it has signed%s%s",
                                      run->misfit != NULL ? ": " : "",
                                      run->misfit != NULL ? run->misfit : "");
        if (attempt == LIMIT_PEER_ATTEMPTS) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
                        "%s: the catalog kept changing while it was read; the next sync tries again",
                        run->in->job->source->url);
            return FALSE;
        }
    }
}

gboolean peer_compare(const PeerCompare *compare, PeerCatalog *ret, GError **error)
{
    g_auto(Run) run = {.in = compare};
    *ret = (PeerCatalog){0};
    const PeerRecord *record = peer_state_record(compare->state);
    if (record->forked)
        return refuse_fork(compare, record->seen_generation, error);
    if (!take_checkpoint(&run, TRUE, error))
        return FALSE;
    record = peer_state_record(compare->state);
    ret->generation = run.checkpoint.generation;
    if (memcmp(record->root, run.checkpoint.root, SHA256_BYTES) == 0)
        return TRUE;
    if (!read_catalog(&run, error))
        return FALSE;
    ret->trie = g_steal_pointer(&run.trie);
    ret->generation = run.checkpoint.generation;
    return TRUE;
}
