/* SPDX-License-Identifier: MIT
 *
 * What the mirror thread does: looks who is due, gives the agent one job at a time, hears what it says, and
 * ends it when it says nothing any more.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "broker/mirrors/mirrors_internal.h"
#include "schema/limits.h"

#define SECOND G_TIME_SPAN_SECOND

MirrorSource *mirrors_find_source(const Config *config, const char *name)
{
    for (guint i = 0; i < config->sources->len; i++) {
        MirrorSource *source = g_ptr_array_index(config->sources, i);
        if (strcmp(source->name, name) == 0)
            return source;
    }
    return NULL;
}

/* --- What others see --- */

static void view_free(gpointer data)
{
    SourceView *view = data;
    g_free(view->name);
    g_free(view->detail);
    g_free(view);
}

static char *detail_of(const Mirrors *mirrors, const ScheduleView *schedule)
{
    if (mirrors->space.is_full)
        return g_strdup(mirrors->space.reason);
    if (schedule->cut)
        return g_strdup("has more to do than its turn allows; goes on soon");
    return g_strdup("");
}

static SourceView *view_new(Mirrors *mirrors, const MirrorSource *source, gint64 now_us)
{
    SourceView *view = g_new0(SourceView, 1);
    view->name = g_strdup(source->name);
    schedule_view(mirrors->schedule, source->name, &view->schedule);
    view->due_s = (g_get_real_time() + view->schedule.due_us - now_us) / G_USEC_PER_SEC;
    view->detail = detail_of(mirrors, &view->schedule);
    view->syncing = mirrors->turn.id != 0 && strcmp(mirrors->turn.source->name, source->name) == 0;
    if (view->syncing)
        view->progress = mirrors->turn.progress;
    return view;
}

static guint count_open_wishes(const Mirrors *mirrors)
{
    guint open = schedule_wishes(mirrors->schedule);
    open += mirrors->turn.id != 0 && mirrors->turn.wished ? 1 : 0;
    for (const GList *at = mirrors->endings.head; at != NULL; at = at->next)
        open += ((const MirrorEnding *)at->data)->end.wished ? 1 : 0;
    return open;
}

void mirrors_show(Mirrors *mirrors)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&mirrors->lock);
    g_ptr_array_unref(mirrors->views);
    mirrors->views = g_ptr_array_new_with_free_func(view_free);
    for (guint i = 0; i < mirrors->config->sources->len; i++)
        g_ptr_array_add(mirrors->views,
                        view_new(mirrors, g_ptr_array_index(mirrors->config->sources, i), now_us));
    mirrors->agent_pid = mirrors->link != NULL ? agent_link_pid(mirrors->link) : 0;
    mirrors->wishes_open = count_open_wishes(mirrors);
    g_mutex_unlock(&mirrors->lock);
}

static void show_progress(Mirrors *mirrors)
{
    g_mutex_lock(&mirrors->lock);
    for (guint i = 0; i < mirrors->views->len; i++) {
        SourceView *view = g_ptr_array_index(mirrors->views, i);
        if (strcmp(view->name, mirrors->turn.source->name) == 0)
            view->progress = mirrors->turn.progress;
    }
    g_mutex_unlock(&mirrors->lock);
}

/* --- Configuration --- */

static gboolean tell_db(Mirrors *mirrors, const Config *config, GPtrArray **ret_changes, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GPtrArray) origins = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        g_ptr_array_add(names, source->name);
        g_ptr_array_add(origins, source_origin(source));
    }
    g_ptr_array_add(names, NULL);
    g_ptr_array_add(origins, NULL);
    return mirror_db_set_sources(mirrors->db, (const char *const *)names->pdata,
                                 (const char *const *)origins->pdata, ret_changes, error);
}

static gboolean wants(const char *path, gpointer user)
{
    return source_wants(user, path);
}

/* TRUE when both want and accept the same, whoever is trusted. */
static gboolean same_rules(const MirrorSource *a, const MirrorSource *b)
{
    g_autoptr(TrustList) nobody = trust_list_new_empty();
    g_autofree char *of_a = source_policy_hash(a, nobody), *of_b = source_policy_hash(b, nobody);
    return g_str_equal(of_a, of_b);
}

/* What the operator no longer wants does not wait for the next sync, which may fail for a long time. */
static gboolean tighten(Mirrors *mirrors, const Config *config, GPtrArray *changes, GError **error)
{
    for (guint i = 0; i < config->sources->len; i++) {
        MirrorSource *source = g_ptr_array_index(config->sources, i);
        const MirrorSource *before =
            mirrors->config != NULL ? mirrors_find_source(mirrors->config, source->name) : NULL;
        GPtrArray *further = NULL;
        if (before != NULL && same_rules(before, source))
            continue;
        if (!mirror_db_tighten(mirrors->db, source->name, source->policy, wants, source, &further, error))
            return FALSE;
        g_ptr_array_extend_and_steal(changes, further);
    }
    return TRUE;
}

static void tell_schedule(Mirrors *mirrors, const Config *config, gint64 now_us)
{
    g_autofree ScheduleSource *sources = g_new0(ScheduleSource, config->sources->len + 1);
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        sources[i] = (ScheduleSource){source->name, source->interval_s, source->time_max_s,
                                      source->paused || mirrors->only_wishes};
    }
    schedule_set_sources(mirrors->schedule, sources, config->sources->len, now_us);
}

/* Who restarts a broker does not want every source to be asked at once, nor failures to be forgotten. One
 * whose state is not known (cut short, or forgotten after damage) is due. */
static gboolean restore_schedule(Mirrors *mirrors, const Config *config, gint64 now_us, GError **error)
{
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        g_auto(SourceRecord) record = {0};
        if (!mirror_db_source_state(mirrors->db, source->name, &record, error))
            return FALSE;
        if (record.last_try_s > 0 && (record.failures > 0 || *record.state != '\0'))
            schedule_restore(mirrors->schedule, source->name, (now_s - record.last_try_s) * SECOND,
                             record.failures, now_us);
    }
    return TRUE;
}

/* What is under way is for a source that is not there any more, or that is another one. */
static gboolean turn_is_outdated(const Mirrors *mirrors, const Config *config)
{
    if (mirrors->turn.id == 0)
        return FALSE;
    const MirrorSource *source = mirrors_find_source(config, mirrors->turn.source->name);
    return source == NULL || !source_same_origin(source, mirrors->turn.source) ||
           !same_rules(source, mirrors->turn.source);
}

static char *source_text(const MirrorSource *source)
{
    GString *text = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, text, JSON_STYLE_CANONICAL);
        source_write(source, &writer);
    }
    return g_string_free(text, FALSE);
}

static gboolean is_as_before(const MirrorSource *source, const MirrorSource *before)
{
    if (before == NULL)
        return FALSE;
    g_autofree char *now = source_text(source), *then = source_text(before);
    return strcmp(now, then) == 0;
}

/* A new trust list, or a new description, may let in what was refused. A source that fails and is described
 * as before would only fail again, and be thought to fail for longer than it does. */
static void look_again(Mirrors *mirrors, const Config *before, const Config *config, gint64 now_us)
{
    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        ScheduleView view = {0};
        if (!schedule_view(mirrors->schedule, source->name, &view) || view.failures == 0 ||
            !is_as_before(source, mirrors_find_source(before, source->name)))
            schedule_soon(mirrors->schedule, source->name, now_us);
    }
}

gboolean mirrors_use_config(Mirrors *mirrors, Config *config, gboolean at_start, GError **error)
{
    gint64 now_us = g_get_monotonic_time();
    g_autoptr(GPtrArray) changes = NULL;
    if (turn_is_outdated(mirrors, config))
        mirrors_abort(mirrors, SCHEDULE_CANCELLED, KONTOR_ERROR_CANCELLED, "the source was changed");
    if (!tell_db(mirrors, config, &changes, error))
        return FALSE;
    /* What is in mirror.db already is not told of again. */
    if (!tighten(mirrors, config, changes, error)) {
        if (!at_start)
            mirrors_publish(mirrors, g_steal_pointer(&changes));
        return FALSE;
    }
    tell_schedule(mirrors, config, now_us);
    if (at_start && !restore_schedule(mirrors, config, now_us, error))
        return FALSE;
    g_mutex_lock(&mirrors->lock);
    g_autoptr(Config) before = g_steal_pointer(&mirrors->config);
    mirrors->config = mirrors->shown_config = config_ref(config);
    g_mutex_unlock(&mirrors->lock);
    if (!at_start) {
        mirrors_publish(mirrors, g_steal_pointer(&changes));
        mirrors->garbage = TRUE;
        look_again(mirrors, before, config, now_us);
    }
    mirrors_show(mirrors);
    return TRUE;
}

/* Until it is taken, what it takes away is still served, and nothing is fetched by the old one. */
void mirrors_take_reload(Mirrors *mirrors, Config *config, guint64 number)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) taken = config_ref(config);
    g_clear_pointer(&mirrors->late_config, config_unref);
    if (mirrors_use_config(mirrors, config, /* at_start= */ FALSE, &error)) {
        mirrors->reload = number;
        mirrors->reload_change = mirrors->change;
        mirrors_tell_reloaded(mirrors);
        return;
    }
    mirrors_log(mirrors, TRUE, "mirror-reload", NULL, error->message);
    mirrors->late_config = g_steal_pointer(&taken);
    mirrors->late_number = number;
    mirrors->late_after_us = g_get_monotonic_time() + MIRRORS_RELOAD_WAIT_S * SECOND;
}

/* Returns how long there is nothing to try again. */
static gint64 retry_reload(Mirrors *mirrors, gint64 now_us)
{
    if (mirrors->late_config == NULL)
        return G_MAXINT64;
    if (now_us < mirrors->late_after_us)
        return mirrors->late_after_us - now_us;
    g_autoptr(Config) config = config_ref(mirrors->late_config);
    mirrors_take_reload(mirrors, config, mirrors->late_number);
    return 0;
}

/* --- The end of a turn --- */

static void turn_clear(MirrorTurn *turn)
{
    g_clear_pointer(&turn->source, source_unref);
    *turn = (MirrorTurn){0};
}

/* A sync that was cut before its source had all of its time is not the source's failure. */
static gboolean record_end(Mirrors *mirrors, const AgentEvent *event, ScheduleEnd how)
{
    const MirrorTurn *turn = &mirrors->turn;
    g_autoptr(GError) error = NULL;
    if (how == SCHEDULE_OUT_OF_TIME && turn->seconds < turn->source->time_max_s)
        return TRUE;
    gboolean whole = event->ok && !event->partial;
    SyncEnd end = {.ok = event->ok,
                   .error = event->error,
                   .state = whole ? event->state : NULL,
                   .policy_hash = whole ? event->policy_hash : NULL,
                   .packs_seen = event->packs_seen,
                   .epoch = turn->epoch,
                   .now_s = g_get_real_time() / G_USEC_PER_SEC};
    if (mirror_db_end(mirrors->db, turn->source->name, &end, &error))
        return TRUE;
    mirrors_log(mirrors, TRUE, "mirror-database", turn->source->name, error->message);
    return FALSE;
}

static void count_end(Mirrors *mirrors, const AgentEvent *event, ScheduleEnd how)
{
    if (mirrors->turn.source->is_private)
        return;
    g_mutex_lock(&mirrors->lock);
    mirrors->counters.syncs++;
    mirrors->counters.failures += how == SCHEDULE_FAILED ? 1 : 0;
    mirrors->counters.bytes += event->bytes;
    g_mutex_unlock(&mirrors->lock);
}

/* An alarm that a good sync did not raise again stands no more. */
static void clear_alarm(Mirrors *mirrors)
{
    const char *source = mirrors->turn.source->name;
    g_auto(SourceRecord) record = {0};
    if (mirrors->turn.has_alarm || !mirror_db_source_state(mirrors->db, source, &record, NULL) ||
        *record.alarm == '\0')
        return;
    mirror_db_set_alarm(mirrors->db, source, "", "", g_get_real_time() / G_USEC_PER_SEC, NULL);
    mirror_events_alarm(mirrors->events, source, "", "");
    mirrors_log(mirrors, FALSE, "mirror-recovered", source, record.alarm);
}

static void end_turn(Mirrors *mirrors, AgentEvent *event, ScheduleEnd how)
{
    MirrorTurn *turn = &mirrors->turn;
    gint64 now_us = g_get_monotonic_time();
    /* Nothing that was reported may be lost by how the sync went on. */
    g_autoptr(GError) error = NULL;
    if (!mirrors_apply(mirrors, &error)) {
        event->ok = FALSE;
        event->code = (KontorErrorCode)error->code;
        g_free(event->error);
        event->error = g_strdup(error->message);
        how = SCHEDULE_FAILED;
    }
    if (how != SCHEDULE_CANCELLED && !record_end(mirrors, event, how))
        how = SCHEDULE_FAILED;
    if (event->ok && !event->partial)
        clear_alarm(mirrors);
    if (!event->ok)
        mirrors_log(mirrors, TRUE, "mirror-failed", turn->source->name, event->error);
    count_end(mirrors, event, how);
    MirrorEventEnd end = {.ok = event->ok,
                          .partial = event->partial,
                          .code = event->code,
                          .error = event->error,
                          .packs_seen = event->packs_seen,
                          .installed = turn->installed,
                          .refused = turn->refused,
                          .requests = event->requests,
                          .bytes = event->bytes,
                          .elapsed_us = now_us - turn->start_us};
    mirrors_tell_end(mirrors, turn->source->name, &end, turn->wished);
    schedule_ended(mirrors->schedule, turn->source->name, how, now_us);
    turn_clear(turn);
    mirrors_show(mirrors);
}

static gboolean was_on_its_way(const MirrorTurn *turn)
{
    return turn->progress.bytes > 0 || turn->progress.objects > 0 || turn->progress.packs > 0;
}

static ScheduleEnd judge_end(const MirrorTurn *turn, const AgentEvent *event)
{
    if (event->ok)
        return event->partial ? SCHEDULE_PARTIAL : SCHEDULE_GOOD;
    gint64 elapsed_us = g_get_monotonic_time() - turn->start_us;
    if (event->code == KONTOR_ERROR_BUSY && elapsed_us >= turn->seconds * SECOND && was_on_its_way(turn))
        return SCHEDULE_OUT_OF_TIME;
    return SCHEDULE_FAILED;
}

void mirrors_abort(Mirrors *mirrors, ScheduleEnd how, KontorErrorCode code, const char *reason)
{
    g_clear_pointer(&mirrors->link, agent_link_free);
    if (mirrors->turn.id == 0)
        return;
    g_auto(AgentEvent) event = {
        .kind = AGENT_DONE, .code = code, .error = g_strdup(reason), .bytes = mirrors->turn.progress.bytes};
    end_turn(mirrors, &event, how);
}

/* --- Hearing the agent --- */

static void on_alarm(Mirrors *mirrors, const AgentEvent *event)
{
    const MirrorSource *source = mirrors->turn.source;
    g_autoptr(GError) error = NULL;
    g_auto(SourceRecord) record = {0};
    gboolean is_new = *event->alarm != '\0' &&
                      mirror_db_source_state(mirrors->db, source->name, &record, NULL) &&
                      strcmp(record.alarm, event->alarm) != 0;
    mirrors->turn.has_alarm = *event->alarm != '\0';
    if (!mirror_db_set_alarm(mirrors->db, source->name, event->alarm, event->reason,
                             g_get_real_time() / G_USEC_PER_SEC, &error))
        mirrors_log(mirrors, TRUE, "mirror-database", source->name, error->message);
    mirror_events_alarm(mirrors->events, source->name, event->alarm, event->reason);
    if (!is_new)
        return;
    mirrors_log(mirrors, TRUE, "mirror-alarm", source->name, event->reason);
    if (source->is_private)
        return;
    g_mutex_lock(&mirrors->lock);
    mirrors->counters.alarms++;
    g_mutex_unlock(&mirrors->lock);
}

/* What the source is, its configuration says, not the agent. */
static void on_result(Mirrors *mirrors, AgentEvent *event)
{
    const MirrorSource *source = mirrors->turn.source;
    MirroredPack *pack = event->result->pack;
    g_free(pack->source);
    pack->source = g_strdup(source->name);
    pack->is_private = source->is_private;
    pack->policy = source->policy;
    g_ptr_array_add(mirrors->results, g_steal_pointer(&event->result));
}

static void on_event(AgentEvent *event, gpointer user)
{
    Mirrors *mirrors = user;
    if (event->kind == AGENT_HELLO || mirrors->turn.id == 0 || event->job != mirrors->turn.id)
        return;
    switch (event->kind) {
    case AGENT_HELLO:
        return;
    case AGENT_PROGRESS:
        mirrors->turn.progress = event->progress;
        show_progress(mirrors);
        mirror_events_progress(mirrors->events, mirrors->turn.source->name, &event->progress);
        return;
    case AGENT_RESULT:
        on_result(mirrors, event);
        return;
    case AGENT_ALARM:
        on_alarm(mirrors, event);
        return;
    case AGENT_DONE:
        mirrors->agent_wait_s = 0;
        end_turn(mirrors, event, judge_end(&mirrors->turn, event));
        return;
    }
    g_assert_not_reached();
}

static void apply_or_abort(Mirrors *mirrors)
{
    g_autoptr(GError) error = NULL;
    if (!mirrors_apply(mirrors, &error)) {
        mirrors_abort(mirrors, SCHEDULE_FAILED, (KontorErrorCode)error->code, error->message);
        return;
    }
    if (mirrors->turn.id != 0 && mirrors->results->len == 0 && !mirrors_has_room(mirrors)) {
        g_autofree char *reason = g_strdup(mirrors->space.reason);
        g_autofree char *name = g_strdup(mirrors->turn.source->name);
        mirrors_abort(mirrors, SCHEDULE_CANCELLED, KONTOR_ERROR_LIMIT, reason);
        schedule_postpone(mirrors->schedule, name, MIRRORS_FULL_WAIT_S * SECOND, g_get_monotonic_time());
    }
}

static void agent_is_gone(Mirrors *mirrors, const GError *error)
{
    mirrors->agent_wait_s = CLAMP(mirrors->agent_wait_s * 2, 1, MIRRORS_AGENT_WAIT_MAX_S);
    mirrors->agent_after_us = g_get_monotonic_time() + mirrors->agent_wait_s * SECOND;
    mirrors_log(mirrors, TRUE, "mirror-agent-gone", NULL, error->message);
    gboolean hung = error->code == KONTOR_ERROR_BUSY && was_on_its_way(&mirrors->turn);
    mirrors_abort(mirrors, hung ? SCHEDULE_OUT_OF_TIME : SCHEDULE_FAILED, (KontorErrorCode)error->code,
                  error->message);
    mirrors_show(mirrors);
}

static void hear_agent(Mirrors *mirrors)
{
    g_autoptr(GError) error = NULL;
    if (!agent_link_read(mirrors->link, on_event, mirrors, &error))
        agent_is_gone(mirrors, error);
    else if (mirrors->results->len > 0)
        apply_or_abort(mirrors);
}

static void end_overdue(Mirrors *mirrors, gint64 now_us)
{
    const MirrorTurn *turn = &mirrors->turn;
    if (turn->id == 0 || now_us < turn->start_us + (turn->seconds + MIRRORS_OVERTIME_S) * SECOND)
        return;
    g_autoptr(GError) error =
        g_error_new(KONTOR_ERROR, KONTOR_ERROR_BUSY, "mirror agent hung: it was killed %u s after the start",
                    turn->seconds + MIRRORS_OVERTIME_S);
    agent_is_gone(mirrors, error);
}

/* --- The beginning of a turn --- */

static gboolean start_agent(Mirrors *mirrors, GError **error)
{
    if (mirrors->link != NULL)
        return TRUE;
    /* What the one before was staging when it died. */
    if (!release_store_clean(mirrors->store, error))
        return FALSE;
    mirrors->link = mirrors->program != NULL
                        ? agent_link_start_program(mirrors->program, mirrors->store_dir, error)
                        : agent_link_start(mirrors->store_dir, error);
    if (mirrors->link == NULL)
        return FALSE;
    mirrors->agent_starts++;
    g_mutex_lock(&mirrors->lock);
    mirrors->counters.agent_restarts = mirrors->agent_starts - 1;
    g_mutex_unlock(&mirrors->lock);
    return TRUE;
}

/* The source has nothing to do with it. */
static void refuse_turn(Mirrors *mirrors, const ScheduleTurn *due, gint64 now_us, KontorErrorCode code,
                        const char *reason)
{
    if (due->wished)
        mirrors_tell_end(mirrors, due->name, &(MirrorEventEnd){.code = code, .error = reason}, TRUE);
    schedule_postpone(mirrors->schedule, due->name, MIRRORS_FULL_WAIT_S * SECOND, now_us);
}

static void fill_job(const MirrorTurn *turn, const Config *config, SourceRecord *record, AgentJob *ret)
{
    *ret = (AgentJob){.id = turn->id,
                      .source = source_ref(turn->source),
                      .trust_file = g_strdup(config->trust_file),
                      .state = g_steal_pointer(&record->state),
                      .known_policy_hash = g_steal_pointer(&record->policy_hash),
                      .prune = turn->wish.prune,
                      .full = turn->wish.full,
                      .reset = turn->wish.reset,
                      .seconds = turn->seconds};
}

static gboolean begin_turn(Mirrors *mirrors, const ScheduleTurn *due, gint64 now_us, GError **error)
{
    g_auto(SourceRecord) record = {0};
    g_auto(AgentJob) job = {0};
    if (!mirror_db_source_state(mirrors->db, due->name, &record, error) || !start_agent(mirrors, error))
        return FALSE;
    mirrors->turn = (MirrorTurn){.id = ++mirrors->jobs,
                                 .source = source_ref(mirrors_find_source(mirrors->config, due->name)),
                                 .start_us = now_us,
                                 .start_wall_us = g_get_real_time(),
                                 .seconds = due->seconds,
                                 .wish = due->wish,
                                 .wished = due->wished,
                                 .epoch = record.epoch};
    fill_job(&mirrors->turn, mirrors->config, &record, &job);
    mirror_events_started(mirrors->events, due->name);
    if (agent_link_send(mirrors->link, &job, error))
        return TRUE;
    turn_clear(&mirrors->turn);
    g_clear_pointer(&mirrors->link, agent_link_free);
    return FALSE;
}

/* Begins the next turn if one is due. Returns how long nothing will be. */
static gint64 look_who_is_due(Mirrors *mirrors, gint64 now_us)
{
    ScheduleTurn due;
    gint64 wait_us = G_MAXINT64;
    g_autoptr(GError) error = NULL;
    if (mirrors->turn.id != 0)
        return mirrors->turn.start_us + (mirrors->turn.seconds + MIRRORS_OVERTIME_S) * SECOND - now_us;
    if (mirrors->link == NULL && now_us < mirrors->agent_after_us)
        return mirrors->agent_after_us - now_us;
    if (!schedule_next(mirrors->schedule, now_us, &due, &wait_us))
        return wait_us;
    if (!mirrors_has_room(mirrors)) {
        refuse_turn(mirrors, &due, now_us, KONTOR_ERROR_LIMIT, mirrors->space.reason);
    } else if (!begin_turn(mirrors, &due, now_us, &error)) {
        mirrors_log(mirrors, TRUE, "mirror-agent", due.name, error->message);
        refuse_turn(mirrors, &due, now_us, (KontorErrorCode)error->code, error->message);
    }
    mirrors_show(mirrors);
    return 0;
}

/* --- The loop --- */

void mirrors_step(Mirrors *mirrors)
{
    gint64 now_us = g_get_monotonic_time();
    end_overdue(mirrors, now_us);
    gint64 late_us = retry_reload(mirrors, now_us);
    gint64 wait_us = mirrors->late_config == NULL ? look_who_is_due(mirrors, now_us) : G_MAXINT64;
    wait_us = MIN(wait_us, late_us);
    mirrors_collect_sometimes(mirrors, now_us);
    struct pollfd wait[2] = {
        {.fd = mailbox_fd(mirrors->mailbox), .events = POLLIN},
        {.fd = mirrors->link != NULL ? agent_link_fd(mirrors->link) : -1, .events = POLLIN}};
    gint64 wait_ms = CLAMP(wait_us / 1000 + (wait_us % 1000 != 0 ? 1 : 0), 0, 60 * 1000);
    if (poll(wait, G_N_ELEMENTS(wait), (int)wait_ms) < 0 && errno != EINTR)
        g_error("mirrors: poll: %s", g_strerror(errno));
    if (wait[1].fd >= 0 && wait[1].revents != 0)
        hear_agent(mirrors);
    mailbox_drain(mirrors->mailbox);
}
