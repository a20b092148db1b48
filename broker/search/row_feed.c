/* SPDX-License-Identifier: MIT
 *
 * Each pack is a job with a short queue of batches. Threads take jobs in order and never start one more than
 * AHEAD jobs beyond the consumer's; a thread whose queue is full waits. The job the consumer waits for has
 * always been started first, so somebody always makes progress.
 */
#include "broker/search/row_feed.h"

#include "schema/index_rows.h"
#include "schema/page.h"

#include <string.h>

enum {
    BATCH_ROWS = 64,
    BATCHES_MAX = 4, /* waiting in one job */
};

typedef struct {
    GQueue batches; /* of GArray * */
    gboolean done;
    gboolean complete;
} Job;

struct RowFeed {
    PackRoot *root;
    GPtrArray *packs;
    GPtrArray *threads; /* of GThread * */
    GMutex lock;        /* guards everything below */
    GCond changed;
    Job *jobs; /* one per pack */
    guint next_job;
    guint consumed; /* the job that the consumer reads */
    guint ahead;    /* jobs that may be started beyond it */
    gboolean cancelled;
};

static void row_clear(gpointer data)
{
    FeedRow *row = data;
    g_free(row->file);
    g_free(row->title);
    g_free(row->summary);
    g_free(row->body);
}

static GArray *batch_new(void)
{
    GArray *batch = g_array_sized_new(FALSE, FALSE, sizeof(FeedRow), BATCH_ROWS);
    g_array_set_clear_func(batch, row_clear);
    return batch;
}

/* --- The threads --- */

/* Takes the batch. FALSE when nobody wants more. */
static gboolean job_push(RowFeed *feed, Job *job, GArray *batch)
{
    g_mutex_lock(&feed->lock);
    while (job->batches.length >= BATCHES_MAX && !feed->cancelled)
        g_cond_wait(&feed->changed, &feed->lock);
    gboolean wanted = !feed->cancelled;
    g_queue_push_tail(&job->batches, batch);
    g_cond_broadcast(&feed->changed);
    g_mutex_unlock(&feed->lock);
    return wanted;
}

static void job_finish(RowFeed *feed, Job *job, gboolean complete)
{
    g_mutex_lock(&feed->lock);
    job->done = TRUE;
    job->complete = complete;
    g_cond_broadcast(&feed->changed);
    g_mutex_unlock(&feed->lock);
}

/* The folded text of a file of the pack, or NULL when there is none or it cannot be read: the scanner has
 * named the reason already, and a file that changed since will be scanned again. */
static GBytes *read_text(RowFeed *feed, const CatalogPack *pack, const char *name)
{
    const CatalogFile *file = catalog_pack_file(pack, name, strlen(name));
    g_autoptr(GBytes) raw = file != NULL ? pack_root_read(feed->root, pack, file, NULL) : NULL;
    return raw != NULL ? text_fold_lines(raw) : NULL;
}

/* A cell is any text. It is looked up among the names the scanner found in the pack, never opened as a path,
 * so that no row reaches outside its pack. */
static void row_read_body(RowFeed *feed, const CatalogPack *pack, FeedRow *row)
{
    g_autofree char *name = g_strconcat("wiki/", row->file, NULL);
    g_autoptr(GBytes) text = read_text(feed, pack, name);
    if (text == NULL)
        return;
    gsize size = 0;
    const char *data = g_bytes_get_data(text, &size);
    TextSpan body = page_search_body(data, size);
    row->body = g_memdup2(body.text, body.len);
    row->body_len = row->body != NULL ? body.len : 0;
}

static GPtrArray *read_rows(RowFeed *feed, const CatalogPack *pack)
{
    g_autoptr(GBytes) index = read_text(feed, pack, "wiki/index.md");
    if (index == NULL)
        return NULL;
    gsize size = 0;
    const char *text = g_bytes_get_data(index, &size);
    return index_rows_parse(text, size, NULL);
}

static void job_run(RowFeed *feed, Job *job, const CatalogPack *pack)
{
    g_autoptr(GPtrArray) rows = read_rows(feed, pack);
    GArray *batch = batch_new();
    gboolean wanted = TRUE;
    for (guint i = 0; rows != NULL && i < rows->len && wanted; i++) {
        IndexRow *source = rows->pdata[i];
        if (!source->indexed)
            continue;
        FeedRow row = {.file = g_steal_pointer(&source->file),
                       .title = g_steal_pointer(&source->title),
                       .summary = g_steal_pointer(&source->summary)};
        row_read_body(feed, pack, &row);
        g_array_append_val(batch, row);
        if (batch->len == BATCH_ROWS) {
            wanted = job_push(feed, job, batch);
            batch = batch_new();
        }
    }
    job_push(feed, job, batch);
    job_finish(feed, job, rows != NULL);
}

/* Number of the next job, waiting until the consumer is near; packs->len when there is none. */
static guint take_job(RowFeed *feed)
{
    g_mutex_lock(&feed->lock);
    guint taken = feed->packs->len;
    if (feed->next_job < feed->packs->len && !feed->cancelled)
        taken = feed->next_job++;
    while (taken < feed->packs->len && taken > feed->consumed + feed->ahead && !feed->cancelled)
        g_cond_wait(&feed->changed, &feed->lock);
    g_mutex_unlock(&feed->lock);
    return taken;
}

static gpointer thread_main(gpointer data)
{
    RowFeed *feed = data;
    for (guint i = take_job(feed); i < feed->packs->len; i = take_job(feed))
        job_run(feed, &feed->jobs[i], feed->packs->pdata[i]);
    return NULL;
}

/* --- Life cycle --- */

RowFeed *row_feed_new(PackRoot *root, GPtrArray *packs, guint threads)
{
    RowFeed *feed = g_new0(RowFeed, 1);
    feed->root = root;
    feed->packs = packs;
    feed->threads = g_ptr_array_new();
    g_mutex_init(&feed->lock);
    g_cond_init(&feed->changed);
    feed->jobs = g_new0(Job, MAX(packs->len, 1));
    for (guint i = 0; i < packs->len; i++)
        g_queue_init(&feed->jobs[i].batches);
    guint started = MIN(MAX(threads, 1), packs->len);
    feed->ahead = 2 * started;
    for (guint i = 0; i < started; i++)
        g_ptr_array_add(feed->threads, g_thread_new("search-read", thread_main, feed));
    return feed;
}

void row_feed_free(RowFeed *feed)
{
    if (feed == NULL)
        return;
    g_mutex_lock(&feed->lock);
    feed->cancelled = TRUE;
    g_cond_broadcast(&feed->changed);
    g_mutex_unlock(&feed->lock);
    for (guint i = 0; i < feed->threads->len; i++)
        g_thread_join(feed->threads->pdata[i]);
    for (guint i = 0; i < feed->packs->len; i++)
        g_queue_clear_full(&feed->jobs[i].batches, (GDestroyNotify)g_array_unref);
    g_free(feed->jobs);
    g_ptr_array_unref(feed->threads);
    g_mutex_clear(&feed->lock);
    g_cond_clear(&feed->changed);
    g_free(feed);
}

/* --- The consumer --- */

GArray *row_feed_next(RowFeed *feed, guint pack, gboolean *ret_complete)
{
    g_assert(pack < feed->packs->len);
    Job *job = &feed->jobs[pack];
    g_mutex_lock(&feed->lock);
    if (feed->consumed < pack) {
        feed->consumed = pack;
        g_cond_broadcast(&feed->changed);
    }
    while (g_queue_is_empty(&job->batches) && !job->done)
        g_cond_wait(&feed->changed, &feed->lock);
    GArray *batch = g_queue_pop_head(&job->batches);
    *ret_complete = job->complete;
    g_cond_broadcast(&feed->changed);
    g_mutex_unlock(&feed->lock);
    return batch;
}
