/* SPDX-License-Identifier: MIT
 *
 * One writer connection, guarded by the apply lock, and a pool of readers, one lent to each query. A query is
 * one read transaction, so that all its statements see the same index.
 */
#include "broker/search/search.h"

#include "broker/search/index_writer.h"
#include "broker/search/ranking.h"
#include "broker/search/search_terms.h"
#include "schema/limits.h"

#include <string.h>
#include <sys/stat.h>

enum { READERS_KEPT = 16 };

struct SearchIndex {
    char *path;
    GMutex apply_lock; /* guards writer and totals */
    Db *writer;
    IndexTotals totals; /* of what the writer has written */
    GMutex lock;        /* guards what follows, down to closing */
    GCond reader_back;  /* a lent reader came back */
    GPtrArray *readers; /* of Db *, idle */
    guint readers_lent;
    gboolean closing; /* the file is being replaced: no reader is lent */
    VocabularyCache vocabularies;
    guint64 generation; /* atomic */
    guint64 rows;       /* atomic */
    gint damaged;       /* atomic; somebody met damage: the next apply makes the file anew */
    SearchDamageFunc damage_func;
    gpointer damage_user;
};

static void note_damage(SearchIndex *index, const GError *error)
{
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT) &&
        g_atomic_int_compare_and_exchange(&index->damaged, FALSE, TRUE) && index->damage_func != NULL)
        index->damage_func(index->damage_user, error->message);
}

void search_index_set_damage_func(SearchIndex *index, SearchDamageFunc func, gpointer user)
{
    index->damage_func = func;
    index->damage_user = user;
}

/* --- Opening --- */

/* The file of a program that ended in an orderly way has no log beside it. One that was killed left a good
 * one, too, unless the machine went down with it, since nothing here waits for the disk: then look closely.
 */
static gboolean was_left_open(const char *path)
{
    struct stat info;
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    return stat(log, &info) == 0 && info.st_size > 0;
}

static gboolean open_writer(SearchIndex *index, GError **error)
{
    gboolean doubtful = was_left_open(index->path);
    g_autoptr(Db) writer = search_schema_open_writer(index->path, error);
    if (writer == NULL || (doubtful && !db_check(writer, error)))
        return FALSE;
    if (!index_writer_totals(writer, &index->totals, error))
        return FALSE;
    __atomic_store_n(&index->rows, index->totals.rows, __ATOMIC_RELEASE);
    index->writer = g_steal_pointer(&writer);
    return TRUE;
}

static gboolean make_anew(SearchIndex *index, GError **error)
{
    g_clear_pointer(&index->writer, db_close);
    return db_delete(index->path, error) && open_writer(index, error);
}

/* Problems of the file itself, as opposed to those of the disk or of permissions. */
static gboolean is_about_content(const GError *error)
{
    return g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT) ||
           g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED);
}

SearchIndex *search_index_open(const char *path, char **ret_rebuilt, GError **error)
{
    g_autoptr(SearchIndex) index = g_new0(SearchIndex, 1);
    g_autoptr(GError) problem = NULL;
    index->path = g_strdup(path);
    index->generation = 1;
    index->readers = g_ptr_array_new_with_free_func((GDestroyNotify)db_close);
    g_mutex_init(&index->apply_lock);
    g_mutex_init(&index->lock);
    g_cond_init(&index->reader_back);
    vocabulary_cache_init(&index->vocabularies);
    if (ret_rebuilt != NULL)
        *ret_rebuilt = NULL;
    if (open_writer(index, &problem))
        return g_steal_pointer(&index);
    if (!is_about_content(problem)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    if (!make_anew(index, error))
        return NULL;
    if (ret_rebuilt != NULL)
        *ret_rebuilt = g_strdup(problem->message);
    return g_steal_pointer(&index);
}

void search_index_free(SearchIndex *index)
{
    if (index == NULL)
        return;
    g_assert(index->readers_lent == 0);
    g_ptr_array_unref(index->readers);
    db_close(index->writer);
    vocabulary_cache_clear(&index->vocabularies);
    g_mutex_clear(&index->apply_lock);
    g_mutex_clear(&index->lock);
    g_cond_clear(&index->reader_back);
    g_free(index->path);
    g_free(index);
}

/* --- Readers --- */

static Db *take_reader(SearchIndex *index, GError **error)
{
    Db *reader = NULL;
    g_mutex_lock(&index->lock);
    while (index->closing)
        g_cond_wait(&index->reader_back, &index->lock);
    index->readers_lent++;
    if (index->readers->len > 0)
        reader = g_ptr_array_steal_index(index->readers, index->readers->len - 1);
    g_mutex_unlock(&index->lock);
    return reader != NULL ? reader : search_schema_open_reader(index->path, error);
}

/* Whether the connection is worth keeping for the next query. */
static gboolean keep_reader(SearchIndex *index, Db *reader)
{
    g_mutex_lock(&index->lock);
    gboolean keep = reader != NULL && index->readers->len < READERS_KEPT && !index->closing;
    if (keep)
        g_ptr_array_add(index->readers, reader);
    g_mutex_unlock(&index->lock);
    return keep;
}

/* A connection that is not kept is closed before it counts as back, since the file may be waiting to be
 * replaced. */
static void give_reader(SearchIndex *index, Db *reader)
{
    if (!keep_reader(index, reader))
        db_close(reader);
    g_mutex_lock(&index->lock);
    index->readers_lent--;
    g_cond_broadcast(&index->reader_back);
    g_mutex_unlock(&index->lock);
}

/* Closes every connection and makes the file anew, while queries wait. When that fails there is no writer,
 * and the next apply tries again. */
static gboolean replace_file(SearchIndex *index, GError **error)
{
    g_mutex_lock(&index->lock);
    index->closing = TRUE;
    while (index->readers_lent > 0)
        g_cond_wait(&index->reader_back, &index->lock);
    g_ptr_array_set_size(index->readers, 0);
    gboolean done = make_anew(index, error);
    index->closing = FALSE;
    g_cond_broadcast(&index->reader_back);
    g_mutex_unlock(&index->lock);
    g_atomic_int_set(&index->damaged, !done);
    return done;
}

/* --- Applying --- */

static gboolean needs_reading(GHashTable *packs, const CatalogPack *pack)
{
    const IndexedPack *old = g_hash_table_lookup(packs, pack->path);
    gsize size = 0;
    const void *fingerprint = old != NULL ? g_bytes_get_data(old->fingerprint, &size) : NULL;
    return size != sizeof pack->fingerprint || memcmp(fingerprint, pack->fingerprint, size) != 0;
}

static void finish(SearchIndex *index, const IndexChange *change, guint kept, gint64 started_us,
                   SearchApplyReport *ret)
{
    guint64 rows = index->totals.rows;
    __atomic_store_n(&index->rows, rows, __ATOMIC_RELEASE);
    if (change->upserts->len + change->removals->len > 0)
        __atomic_add_fetch(&index->generation, 1, __ATOMIC_ACQ_REL);
    if (ret != NULL)
        *ret = (SearchApplyReport){.packs_read = change->upserts->len,
                                   .packs_kept = kept,
                                   .packs_removed = change->removals->len,
                                   .rows = (guint)MIN(rows, G_MAXUINT),
                                   .elapsed_us = g_get_monotonic_time() - started_us};
}

/* Writes a change, if it is one, and reports it. The apply lock is held. */
static gboolean write_change(SearchIndex *index, PackRoot *root, const IndexChange *change, guint kept,
                             gint64 started_us, SearchApplyReport *ret_report, GError **error)
{
    if (change->upserts->len + change->removals->len > 0 &&
        !index_writer_apply(index->writer, root, change, &index->totals, error))
        return FALSE;
    finish(index, change, kept, started_us, ret_report);
    return TRUE;
}

/* The packs of the index that are not packs of the catalog. */
static GPtrArray *find_removed(GHashTable *packs, const Catalog *catalog)
{
    GPtrArray *removals = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value = NULL;
    g_hash_table_iter_init(&iter, packs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const CatalogPack *place =
            catalog_place(catalog, ((IndexedPack *)value)->path, strlen(((IndexedPack *)value)->path));
        if (place == NULL || !place->is_pack)
            g_ptr_array_add(removals, value);
    }
    return removals;
}

static gboolean apply_catalog(SearchIndex *index, PackRoot *root, const Catalog *catalog, guint threads,
                              SearchApplyReport *ret_report, GError **error)
{
    gint64 started_us = g_get_monotonic_time();
    g_autoptr(GHashTable) packs = index_writer_packs(index->writer, error);
    if (packs == NULL)
        return FALSE;
    g_autoptr(GPtrArray) places = catalog_places_sorted(catalog);
    g_autoptr(GPtrArray) upserts = g_ptr_array_new();
    g_autoptr(GPtrArray) removals = find_removed(packs, catalog);
    guint kept = 0;
    for (guint i = 0; i < places->len; i++) {
        CatalogPack *place = places->pdata[i];
        if (place->is_pack && needs_reading(packs, place))
            g_ptr_array_add(upserts, place);
        else
            kept += place->is_pack;
    }
    IndexChange change = {.packs = packs, .upserts = upserts, .removals = removals, .threads = threads};
    return write_change(index, root, &change, kept, started_us, ret_report, error);
}

gboolean search_index_apply(SearchIndex *index, PackRoot *root, const Catalog *catalog, guint threads,
                            SearchApplyReport *ret_report, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GMutexLocker) G_GNUC_UNUSED locker = g_mutex_locker_new(&index->apply_lock);
    gboolean anew = g_atomic_int_get(&index->damaged);
    if (anew && !replace_file(index, error))
        return FALSE;
    gboolean done = apply_catalog(index, root, catalog, threads, ret_report, &problem);
    if (!done && !anew && is_about_content(problem)) {
        g_clear_error(&problem);
        anew = TRUE;
        if (!replace_file(index, error))
            return FALSE;
        done = apply_catalog(index, root, catalog, threads, ret_report, &problem);
    }
    if (ret_report != NULL && done)
        ret_report->rebuilt = anew;
    if (!done)
        g_propagate_error(error, g_steal_pointer(&problem));
    return done;
}

/* Sorts the caller's changes into those that concern the index: a place that is no pack (any more) goes, and
 * of several places with one path the last counts. */
static void sort_changes(GHashTable *packs, GPtrArray *upserts, GPtrArray *removals, IndexChange *ret)
{
    g_autoptr(GHashTable) places = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < upserts->len; i++)
        g_hash_table_replace(places, ((CatalogPack *)upserts->pdata[i])->path, upserts->pdata[i]);
    for (guint i = 0; i < upserts->len; i++) {
        CatalogPack *place = upserts->pdata[i];
        gpointer old = g_hash_table_lookup(packs, place->path);
        if (g_hash_table_lookup(places, place->path) != place)
            continue;
        if (place->is_pack)
            g_ptr_array_add(ret->upserts, place);
        else if (old != NULL)
            g_ptr_array_add(ret->removals, old);
    }
    for (guint i = 0; i < removals->len; i++) {
        gpointer old = g_hash_table_lookup(packs, removals->pdata[i]);
        if (old != NULL && g_hash_table_insert(places, removals->pdata[i], old))
            g_ptr_array_add(ret->removals, old);
    }
}

/* Borrowed, in a new set. */
static GHashTable *changed_paths(const GPtrArray *upserts, const GPtrArray *removals)
{
    GHashTable *paths = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < upserts->len; i++)
        g_hash_table_add(paths, ((CatalogPack *)upserts->pdata[i])->path);
    for (guint i = 0; i < removals->len; i++)
        g_hash_table_add(paths, removals->pdata[i]);
    return paths;
}

gboolean search_index_apply_changes(SearchIndex *index, PackRoot *root, GPtrArray *upserts,
                                    GPtrArray *removals, SearchApplyReport *ret_report, GError **error)
{
    gint64 started_us = g_get_monotonic_time();
    g_autoptr(GMutexLocker) G_GNUC_UNUSED locker = g_mutex_locker_new(&index->apply_lock);
    g_autoptr(GError) problem = NULL;
    g_autoptr(GPtrArray) put_in = g_ptr_array_new(), taken_out = g_ptr_array_new();
    IndexChange change = {.upserts = put_in, .removals = taken_out, .threads = 1};
    if (index->writer == NULL || g_atomic_int_get(&index->damaged)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT, "search index '%s': waits to be made anew",
                    index->path);
        return FALSE;
    }
    g_autoptr(GHashTable) paths = changed_paths(upserts, removals);
    g_autoptr(GHashTable) packs = index_writer_packs_at(index->writer, paths, &problem);
    change.packs = packs;
    if (packs != NULL) {
        sort_changes(packs, upserts, removals, &change);
        guint kept = index->totals.packs - taken_out->len;
        for (guint i = 0; i < put_in->len; i++)
            kept -= g_hash_table_contains(packs, ((CatalogPack *)put_in->pdata[i])->path);
        if (write_change(index, root, &change, kept, started_us, ret_report, &problem))
            return TRUE;
    }
    note_damage(index, problem);
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

/* --- Hits --- */

static void hit_free(gpointer data)
{
    SearchHit *hit = data;
    g_free(hit->pack_path);
    g_free(hit->page_file);
    g_free(hit->title);
    g_free(hit->summary);
    g_free(hit->pack_summary);
    g_free(hit);
}

static SearchHit *hit_new(DbStatement *statement, double score)
{
    SearchHit *hit = g_new0(SearchHit, 1);
    hit->pack_path = g_strdup(db_column_text(statement, 0));
    hit->page_file = g_strdup(db_column_text(statement, 1));
    hit->title = g_strdup(db_column_text(statement, 2));
    hit->summary = g_strdup(db_column_text(statement, 3));
    hit->pack_summary = g_strdup(db_column_text(statement, 4));
    hit->score = score;
    return hit;
}

static GPtrArray *read_hits(const Ranking *ranking, GArray *ranked, GError **error)
{
    g_autoptr(GPtrArray) hits = g_ptr_array_new_with_free_func(hit_free);
    g_autoptr(DbStatement) statement =
        db_prepare(ranking->reader,
                   "SELECT packs.path, pages.file, pages.title, pages.summary, packs.summary "
                   "FROM pages JOIN packs ON packs.id = ?2 WHERE pages.id = ?1",
                   error);
    if (statement == NULL)
        return NULL;
    for (guint i = 0; i < ranked->len; i++) {
        const RankedPage *item = &g_array_index(ranked, RankedPage, i);
        gboolean row = FALSE;
        db_bind_integer(statement, 1, item->page);
        db_bind_integer(statement, 2, item->page >> SEARCH_PACK_SHIFT);
        if (!db_step(statement, &row, error))
            return NULL;
        if (!row) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CORRUPT,
                        "search index: page %" G_GINT64_FORMAT " matches and does not exist", item->page);
            return NULL;
        }
        g_ptr_array_add(hits, hit_new(statement, item->score));
        db_statement_reset(statement);
    }
    return g_steal_pointer(&hits);
}

/* --- Queries --- */

static GPtrArray *run_query(Ranking *ranking, const char *query, guint k, GError **error)
{
    if (!ranking_measure(ranking, error))
        return NULL;
    g_autoptr(GArray) ranked = ranking_query(ranking, query, k, error);
    /* The texts of what was found are wanted even if ranking took all the time there was. */
    db_set_deadline(ranking->reader, 0);
    return ranked != NULL ? read_hits(ranking, ranked, error) : NULL;
}

/* Lends a reader, opens a transaction in which `work` runs, and undoes it: a query's own words are written to
 * temporary tables, nothing else is. */
static GPtrArray *with_reader(
    SearchIndex *index, const char *text, guint count, const char *scope, gint64 deadline_us,
    GPtrArray *(*work)(Ranking *ranking, const char *text, guint count, GError **error), GError **error)
{
    g_autoptr(GError) problem = NULL;
    GPtrArray *result = NULL;
    Db *reader = take_reader(index, &problem);
    if (reader != NULL) {
        Ranking ranking = {.reader = reader,
                           .vocabularies = &index->vocabularies,
                           .generation = search_index_generation(index),
                           .scope = scope};
        db_set_deadline(reader, deadline_us);
        if (db_exec(reader, "BEGIN", &problem))
            result = work(&ranking, text, count, &problem);
        db_set_deadline(reader, 0);
        if (!db_exec(reader, "ROLLBACK", problem == NULL ? &problem : NULL))
            g_clear_pointer(&reader, db_close);
    }
    give_reader(index, reader);
    if (problem != NULL) {
        note_damage(index, problem);
        g_clear_pointer(&result, g_ptr_array_unref);
        g_propagate_error(error, g_steal_pointer(&problem));
    }
    return result;
}

GPtrArray *search_index_query(SearchIndex *index, const char *query, guint k, const char *scope,
                              gint64 deadline_us, GError **error)
{
    g_assert(k >= 1 && k <= LIMIT_SEARCH_CANDIDATES);
    return with_reader(index, query, k, scope, deadline_us, run_query, error);
}

/* --- Packs by matches --- */

static void entity_free(gpointer data)
{
    SearchEntity *entity = data;
    g_free(entity->pack_path);
    g_free(entity);
}

static GPtrArray *read_entities(const Ranking *ranking, const char *match, guint limit, GError **error)
{
    g_autoptr(GPtrArray) entities = g_ptr_array_new_with_free_func(entity_free);
    g_autoptr(DbStatement) statement =
        db_prepare(ranking->reader,
                   "SELECT packs.path, matches FROM (SELECT rowid >> 20 AS pack, count(*) AS matches "
                   "FROM page_text WHERE page_text MATCH ?1 GROUP BY pack) JOIN packs ON packs.id = pack "
                   "ORDER BY matches DESC, packs.path LIMIT ?2",
                   error);
    gboolean row = FALSE;
    if (statement == NULL)
        return NULL;
    db_bind_text(statement, 1, match);
    db_bind_integer(statement, 2, limit);
    do {
        if (!db_step(statement, &row, error))
            return NULL;
        if (row) {
            SearchEntity *entity = g_new0(SearchEntity, 1);
            entity->pack_path = g_strdup(db_column_text(statement, 0));
            entity->match_count = (guint)db_column_integer(statement, 1);
            g_ptr_array_add(entities, entity);
        }
    } while (row);
    return g_steal_pointer(&entities);
}

/* Every match counts here, so nothing is left out. */
static GPtrArray *run_lookup(Ranking *ranking, const char *term, guint limit, GError **error)
{
    g_autoptr(GPtrArray) terms = search_terms_read(ranking->reader, term, error);
    g_autoptr(GPtrArray) stand_ins = terms != NULL ? ranking_stand_ins(ranking, terms, error) : NULL;
    if (stand_ins == NULL)
        return NULL;
    g_ptr_array_extend_and_steal(terms, g_steal_pointer(&stand_ins));
    g_autofree char *match = search_terms_match(terms, G_MAXUINT64, SEARCH_MATCH_ALL);
    if (match == NULL)
        return g_ptr_array_new_with_free_func(entity_free);
    return read_entities(ranking, match, limit, error);
}

GPtrArray *search_index_lookup(SearchIndex *index, const char *term, guint limit, gint64 deadline_us,
                               GError **error)
{
    g_assert(limit >= 1);
    return with_reader(index, term, limit, "", deadline_us, run_lookup, error);
}

guint64 search_index_generation(const SearchIndex *index)
{
    return __atomic_load_n(&index->generation, __ATOMIC_ACQUIRE);
}

guint64 search_index_rows(const SearchIndex *index)
{
    return __atomic_load_n(&index->rows, __ATOMIC_ACQUIRE);
}
