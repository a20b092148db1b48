/* SPDX-License-Identifier: MIT
 *
 * The life of the mirrors, and what other threads ask of them. Questions are answered from what the mirror
 * thread shows under the lock, and from a reading connection to mirror.db; wishes go to the thread by mail.
 */
#include "broker/mirrors/mirrors_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/log.h"

void mirrors_log(const Mirrors *mirrors, gboolean is_warning, const char *event, const char *source,
                 const char *reason)
{
    if (mirrors->publisher != NULL)
        log_event(is_warning ? LOG_WARNING : LOG_INFO, event, "source", source, "reason", reason, NULL);
}

/* --- Life cycle --- */

static Mirrors *allocate(Config *config, Publisher *publisher, MirrorEventFunc func, gpointer user)
{
    Mirrors *mirrors = g_new0(Mirrors, 1);
    mirrors->store_dir = g_strdup(config->store_dir);
    mirrors->publisher = publisher;
    mirrors->schedule = schedule_new(g_random_int());
    mirrors->results = g_ptr_array_new_with_free_func((GDestroyNotify)sync_result_free);
    mirrors->changes = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    g_queue_init(&mirrors->endings);
    mirrors->damaged = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    mirrors->garbage = TRUE;
    mirrors->mailbox = mailbox_new();
    mirrors->events = mirror_events_new(MIRRORS_EVENTS, func, user);
    mirrors->views = g_ptr_array_new();
    g_mutex_init(&mirrors->lock);
    g_cond_init(&mirrors->reloaded);
    g_mutex_init(&mirrors->reader_lock);
    return mirrors;
}

static gboolean open_store(Mirrors *mirrors, GError **error)
{
    g_autofree char *path = g_build_filename(mirrors->store_dir, "mirror.db", NULL);
    mirrors->store = release_store_open(mirrors->store_dir, /* clean= */ TRUE, error);
    g_autofree char *damage = NULL;
    mirrors->db = mirrors->store != NULL ? mirror_db_open_or_salvage(path, &damage, error) : NULL;
    if (damage != NULL) {
        mirrors_log(mirrors, TRUE, "mirror-database-damaged", NULL, damage);
        mirror_events_alarm(mirrors->events, "", "database", damage);
    }
    mirrors->reader = mirrors->db != NULL ? mirror_db_open(path, DB_READ, error) : NULL;
    return mirrors->reader != NULL;
}

static gboolean load_served(Mirrors *mirrors, GError **error)
{
    if (mirrors->publisher == NULL)
        return TRUE;
    guint keep = MIN(mirrors->config->releases_kept, MIRROR_KEEP_MAX);
    g_autoptr(GPtrArray) served = mirror_db_served(mirrors->db, error);
    g_autoptr(GPtrArray) former = served != NULL ? mirror_db_former(mirrors->db, keep, error) : NULL;
    g_autoptr(GPtrArray) tombstones = former != NULL ? mirror_db_tombstones(mirrors->db, error) : NULL;
    if (tombstones == NULL)
        return FALSE;
    publisher_set_tombstones(mirrors->publisher, tombstones);
    publisher_set_mirrored(mirrors->publisher, g_steal_pointer(&served));
    publisher_set_former(mirrors->publisher, g_steal_pointer(&former));
    return TRUE;
}

/* --- What the publisher comes upon --- */

typedef struct {
    Mirrors *mirrors;
    char *path, *reason;
    guint8 digest[SHA256_BYTES];
} Finding;

static void on_finding(gpointer data, gboolean cancelled)
{
    Finding *finding = data;
    if (!cancelled)
        mirrors_drop_damaged(finding->mirrors, finding->path, finding->digest, finding->reason);
    g_free(finding->path);
    g_free(finding->reason);
    g_free(finding);
}

/* On the indexer. */
static void on_damage(const MirrorProblem *problem, gpointer user)
{
    Mirrors *mirrors = user;
    Finding *finding = g_new0(Finding, 1);
    finding->mirrors = mirrors;
    finding->path = g_strdup(problem->path);
    finding->reason = g_strdup(problem->reason);
    memcpy(finding->digest, problem->digest, sizeof finding->digest);
    mailbox_post(mirrors->mailbox, on_finding, finding);
}

static Mirrors *make(Config *config, Publisher *publisher, gboolean only_wishes, MirrorEventFunc func,
                     gpointer user, GError **error)
{
    g_autoptr(Mirrors) mirrors = allocate(config, publisher, func, user);
    mirrors->only_wishes = only_wishes;
    if (!open_store(mirrors, error) || !mirrors_use_config(mirrors, config, /* at_start= */ TRUE, error) ||
        !load_served(mirrors, error))
        return NULL;
    if (publisher != NULL)
        publisher_set_damage_func(publisher, on_damage, mirrors);
    return g_steal_pointer(&mirrors);
}

Mirrors *mirrors_new(Config *config, Publisher *publisher, GError **error)
{
    return make(config, publisher, /* only_wishes= */ FALSE, NULL, NULL, error);
}

static gpointer mirrors_main(gpointer data)
{
    Mirrors *mirrors = data;
    while (!mirrors->stopping)
        mirrors_step(mirrors);
    g_clear_pointer(&mirrors->link, agent_link_free);
    return NULL;
}

void mirrors_start(Mirrors *mirrors)
{
    g_assert(mirrors->thread == NULL);
    mirrors->thread = g_thread_new("mirror", mirrors_main, mirrors);
}

static void on_stop(gpointer data, gboolean cancelled G_GNUC_UNUSED)
{
    ((Mirrors *)data)->stopping = TRUE;
}

void mirrors_stop(Mirrors *mirrors)
{
    g_mutex_lock(&mirrors->lock);
    mirrors->closed = TRUE;
    g_mutex_unlock(&mirrors->lock);
    if (mirrors->thread == NULL)
        return;
    mailbox_post(mirrors->mailbox, on_stop, mirrors);
    g_thread_join(g_steal_pointer(&mirrors->thread));
}

void mirrors_free(Mirrors *mirrors)
{
    if (mirrors == NULL)
        return;
    mirrors_stop(mirrors);
    g_clear_pointer(&mirrors->link, agent_link_free);
    mailbox_free(mirrors->mailbox);
    g_clear_pointer(&mirrors->turn.source, source_unref);
    g_ptr_array_unref(mirrors->results);
    g_ptr_array_unref(mirrors->changes);
    g_queue_clear_full(&mirrors->endings, (GDestroyNotify)mirror_ending_free);
    g_hash_table_unref(mirrors->damaged);
    schedule_free(mirrors->schedule);
    mirror_db_close(mirrors->reader);
    mirror_db_close(mirrors->db);
    release_store_free(mirrors->store);
    mirror_events_free(mirrors->events);
    g_ptr_array_unref(mirrors->views);
    g_clear_pointer(&mirrors->config, config_unref);
    g_clear_pointer(&mirrors->late_config, config_unref);
    g_free(mirrors->space.reason);
    g_mutex_clear(&mirrors->lock);
    g_cond_clear(&mirrors->reloaded);
    g_mutex_clear(&mirrors->reader_lock);
    g_free(mirrors->program);
    g_free(mirrors->store_dir);
    g_free(mirrors);
}

/* --- Orders to the thread --- */

typedef struct {
    Mirrors *mirrors;
    Config *config; /* of a reload */
    guint64 number; /* of a reload */
    char *source;   /* of a wish; NULL: all */
    ScheduleWish wish;
} Order;

static void order_free(Order *order)
{
    g_clear_pointer(&order->config, config_unref);
    g_free(order->source);
    g_free(order);
}

static void on_reload(gpointer data, gboolean cancelled)
{
    Order *order = data;
    if (!cancelled)
        mirrors_take_reload(order->mirrors, order->config, order->number);
    order_free(order);
}

void mirrors_reload(Mirrors *mirrors, Config *config)
{
    Order *order = g_new0(Order, 1);
    order->mirrors = mirrors;
    order->config = config_ref(config);
    g_mutex_lock(&mirrors->lock);
    order->number = ++mirrors->reloads_sent;
    g_mutex_unlock(&mirrors->lock);
    if (mirrors->thread != NULL)
        mailbox_post(mirrors->mailbox, on_reload, order);
    else
        on_reload(order, FALSE);
}

gboolean mirrors_wait_reloaded(Mirrors *mirrors, guint wait_ms)
{
    gint64 end_us = g_get_monotonic_time() + wait_ms * G_TIME_SPAN_MILLISECOND;
    g_mutex_lock(&mirrors->lock);
    gboolean in_time = TRUE;
    while (mirrors->reloads_served < mirrors->reloads_sent && in_time)
        in_time = g_cond_wait_until(&mirrors->reloaded, &mirrors->lock, end_us);
    gboolean served = mirrors->reloads_served >= mirrors->reloads_sent;
    g_mutex_unlock(&mirrors->lock);
    return served;
}

static void on_wish(gpointer data, gboolean cancelled)
{
    Order *order = data;
    Mirrors *mirrors = order->mirrors;
    if (!cancelled) {
        schedule_wish(mirrors->schedule, order->source, &order->wish, g_get_monotonic_time());
        mirrors_show(mirrors);
        g_mutex_lock(&mirrors->lock);
        mirrors->wishes_sent--;
        g_mutex_unlock(&mirrors->lock);
    }
    order_free(order);
}

/* FALSE when there is no such source, or nobody listens any more. */
static gboolean take_wish(Mirrors *mirrors, const char *source, GError **error)
{
    g_mutex_lock(&mirrors->lock);
    gboolean closed = mirrors->closed;
    gboolean known = source == NULL || mirrors_find_source(mirrors->shown_config, source) != NULL;
    mirrors->wishes_sent += known && !closed ? 1 : 0;
    g_mutex_unlock(&mirrors->lock);
    if (closed)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CANCELLED, "the broker is stopping");
    else if (!known)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "no mirror or peer is called '%s'", source);
    return known && !closed;
}

gboolean mirrors_sync(Mirrors *mirrors, const MirrorsWish *wish, guint64 *ret_ticket, GError **error)
{
    if (!take_wish(mirrors, wish->source, error))
        return FALSE;
    *ret_ticket = mirror_events_last(mirrors->events);
    Order *order = g_new0(Order, 1);
    order->mirrors = mirrors;
    order->source = g_strdup(wish->source);
    order->wish = (ScheduleWish){wish->prune, wish->full, wish->reset};
    if (mirrors->thread != NULL)
        mailbox_post(mirrors->mailbox, on_wish, order);
    else
        on_wish(order, FALSE);
    return TRUE;
}

/* --- Questions that only the thread can answer --- */

typedef struct {
    Mirrors *mirrors;
    MirrorsCall func;
    gpointer data;
    GMutex lock;
    GCond done;
    gboolean is_done, was_cancelled;
} Call;

static void on_call(gpointer data, gboolean cancelled)
{
    Call *call = data;
    if (!cancelled)
        call->func(call->mirrors, call->data);
    g_mutex_lock(&call->lock);
    call->is_done = TRUE;
    call->was_cancelled = cancelled;
    g_cond_signal(&call->done);
    g_mutex_unlock(&call->lock);
}

/* Who posts holds the lock that mirrors_stop needs, so that the thread is still there to answer. */
static gboolean post_call(Mirrors *mirrors, Call *call)
{
    g_mutex_lock(&mirrors->lock);
    gboolean open = !mirrors->closed;
    if (open)
        mailbox_post(mirrors->mailbox, on_call, call);
    g_mutex_unlock(&mirrors->lock);
    return open;
}

gboolean mirrors_call(Mirrors *mirrors, MirrorsCall func, gpointer data, GError **error)
{
    if (mirrors->thread == NULL) {
        func(mirrors, data);
        return TRUE;
    }
    Call call = {.mirrors = mirrors, .func = func, .data = data};
    g_mutex_init(&call.lock);
    g_cond_init(&call.done);
    gboolean posted = post_call(mirrors, &call);
    g_mutex_lock(&call.lock);
    while (posted && !call.is_done)
        g_cond_wait(&call.done, &call.lock);
    g_mutex_unlock(&call.lock);
    g_cond_clear(&call.done);
    g_mutex_clear(&call.lock);
    if (posted && !call.was_cancelled)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CANCELLED, "the broker is stopping");
    return FALSE;
}

/* --- Once --- */

typedef struct {
    MirrorsEventFunc func;
    gpointer user;
} Hearer;

static void on_event(const char *json, gpointer user)
{
    const Hearer *hearer = user;
    if (hearer->func != NULL)
        hearer->func(json, hearer->user);
}

/* All that are not paused: in the schedule all are, so that only what is wished for is done. */
static gboolean wish_all(Mirrors *mirrors, const MirrorsWish *wish, GError **error)
{
    guint64 ticket = 0;
    MirrorsWish one = *wish;
    if (wish->source != NULL)
        return mirrors_sync(mirrors, wish, &ticket, error);
    for (guint i = 0; i < mirrors->config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(mirrors->config->sources, i);
        one.source = source->name;
        if (!source->paused && !mirrors_sync(mirrors, &one, &ticket, error))
            return FALSE;
    }
    return TRUE;
}

gboolean mirrors_run_once(Config *config, const MirrorsWish *wish, MirrorsEventFunc func, gpointer user,
                          GError **error)
{
    Hearer hearer = {func, user};
    g_autoptr(Mirrors) mirrors = make(config, NULL, /* only_wishes= */ TRUE, on_event, &hearer, error);
    if (mirrors == NULL || !wish_all(mirrors, wish, error))
        return FALSE;
    while (mirrors->wishes_open > 0)
        mirrors_step(mirrors);
    return TRUE;
}
