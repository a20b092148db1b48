/* SPDX-License-Identifier: MIT */
#include "broker/serve/metrics.h"

#include <string.h>
#include <unistd.h>

/* Places with a problem that are named; all are counted. */
#define PROBLEMS_NAMED_MAX 100

/* --- Layout --- */

static void family(GString *out, const char *name, const char *type, const char *help)
{
    g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(GString *out, const char *name, guint64 value)
{
    g_string_append_printf(out, "%s %" G_GUINT64_FORMAT "\n", name, value);
}

static void gauge(GString *out, const char *name, const char *help, guint64 value)
{
    family(out, name, "gauge", help);
    number(out, name, value);
}

static void counter(GString *out, const char *name, const char *help, guint64 value)
{
    family(out, name, "counter", help);
    number(out, name, value);
}

/* Independent of the locale. */
static void real(GString *out, const char *name, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf(out, "%s %s\n", name, g_ascii_formatd(text, sizeof text, "%.12g", value));
}

static void gauge_seconds(GString *out, const char *name, const char *help, gint64 us)
{
    family(out, name, "gauge", help);
    real(out, name, (double)us / G_USEC_PER_SEC);
}

/* A label value: backslash, quote and newline are escaped, other controls replaced. */
static void label_value(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    for (const char *at = valid; *at != '\0'; at++) {
        if (*at == '\\' || *at == '"')
            g_string_append_c(out, '\\');
        if (*at == '\n')
            g_string_append(out, "\\n");
        else
            g_string_append_c(out, (guchar)*at < 0x20 ? ' ' : *at);
    }
}

/* --- Requests --- */

static void write_requests(GString *out, const Stats *sum)
{
    family(out, "kontor_http_requests_total", "counter", "Answered requests by route and status.");
    for (guint r = 0; r < ROUTE_COUNT; r++) {
        for (guint s = 0; s < STATS_STATUSES; s++) {
            if (sum->requests[r][s] > 0)
                g_string_append_printf(out,
                                       "kontor_http_requests_total{route=\"%s\",status=\"%s\"} "
                                       "%" G_GUINT64_FORMAT "\n",
                                       route_name(r), stats_status_label(s), sum->requests[r][s]);
        }
    }
}

/* Returns how many requests the route had. */
static guint64 write_buckets(GString *out, const Stats *sum, guint route)
{
    guint64 below = 0;
    for (guint b = 0; b < STATS_BUCKETS; b++) {
        char bound[G_ASCII_DTOSTR_BUF_SIZE] = "+Inf";
        below += sum->latency[route][b];
        if (b < STATS_BUCKETS - 1)
            g_ascii_formatd(bound, sizeof bound, "%g", (double)stats_bucket_bound(b) / G_USEC_PER_SEC);
        g_string_append_printf(out,
                               "kontor_http_request_duration_seconds_bucket{route=\"%s\",le=\"%s\"} "
                               "%" G_GUINT64_FORMAT "\n",
                               route_name(route), bound, below);
    }
    return below;
}

static gboolean route_was_used(const Stats *sum, guint route)
{
    for (guint b = 0; b < STATS_BUCKETS; b++) {
        if (sum->latency[route][b] > 0)
            return TRUE;
    }
    return FALSE;
}

static void write_latency(GString *out, const Stats *sum)
{
    family(out, "kontor_http_request_duration_seconds", "histogram",
           "Time from a request's first byte to its answer in the kernel.");
    for (guint r = 0; r < ROUTE_COUNT; r++) {
        if (!route_was_used(sum, r))
            continue;
        guint64 count = write_buckets(out, sum, r);
        g_autofree char *name =
            g_strdup_printf("kontor_http_request_duration_seconds_sum{route=\"%s\"}", route_name(r));
        real(out, name, (double)sum->latency_sum_us[r] / G_USEC_PER_SEC);
        g_string_append_printf(
            out, "kontor_http_request_duration_seconds_count{route=\"%s\"} %" G_GUINT64_FORMAT "\n",
            route_name(r), count);
    }
}

static void write_rejections(GString *out, const Stats *sum)
{
    family(out, "kontor_rejections_total", "counter", "Requests and bytes that were refused, by reason.");
    for (guint r = 0; r < STATS_REJECTIONS; r++)
        g_string_append_printf(out, "kontor_rejections_total{reason=\"%s\"} %" G_GUINT64_FORMAT "\n",
                               stats_rejection_label(r), sum->rejections[r]);
}

static void write_http(GString *out, const Serve *serve)
{
    Stats sum;
    stats_sum(serve->stats, serve->thread_count, &sum);
    write_requests(out, &sum);
    write_latency(out, &sum);
    write_rejections(out, &sum);
    counter(out, "kontor_http_response_body_bytes_total", "Body bytes of answers.", sum.body_bytes);
    counter(out, "kontor_page_cache_hits_total", "Answers from the page caches.", sum.cache_hits);
    counter(out, "kontor_page_cache_misses_total", "Answers that a worker had to make.", sum.cache_misses);
    gauge(out, "kontor_page_cache_bytes", "Memory in the page caches.", sum.cache_bytes);
    gauge(out, "kontor_page_cache_entries", "Answers in the page caches.", sum.cache_entries);
    counter(out, "kontor_search_cache_hits_total", "Searches answered from memory.", sum.search_cache_hits);
    gauge(out, "kontor_workers_queued", "Jobs waiting for a worker.", workers_queued(serve->workers));
}

/* --- Packs and index --- */

static void write_problem_places(GString *out, const Catalog *catalog)
{
    family(out, "kontor_pack_problem", "gauge", "Places that look like packs and are not served as packs.");
    g_autoptr(GPtrArray) places = catalog_places_sorted(catalog);
    guint named = 0;
    for (guint i = 0; i < places->len && named < PROBLEMS_NAMED_MAX; i++) {
        const CatalogPack *place = g_ptr_array_index(places, i);
        if (place->problem == NULL)
            continue;
        g_string_append(out, "kontor_pack_problem{pack=\"");
        label_value(out, place->path);
        g_string_append(out, "\",reason=\"");
        label_value(out, place->problem);
        g_string_append(out, "\"} 1\n");
        named++;
    }
}

/* By the rule that decided; every rule is named, so that an alert has a series to watch. */
static void write_verdicts(GString *out, const Catalog *catalog)
{
    guint64 served[ACCEPT_RULES] = {0}, refused[ACCEPT_RULES] = {0}, unchecked = 0;
    g_autoptr(GPtrArray) places = catalog_places_below(catalog, "", 0);
    for (guint i = 0; i < places->len; i++) {
        const CatalogPack *place = g_ptr_array_index(places, i);
        if (place->refused)
            refused[place->release.rule]++;
        else if (place->is_pack && place->release.is_checked)
            served[place->release.rule]++;
        else if (place->is_pack)
            unchecked++;
    }
    family(out, "kontor_pack_signatures", "gauge", "Packs that are served, by the state of their signature.");
    g_string_append_printf(out, "kontor_pack_signatures{state=\"unchecked\"} %" G_GUINT64_FORMAT "\n",
                           unchecked);
    for (guint r = 0; r < ACCEPT_RULES; r++)
        if (served[r] > 0 || r == ACCEPT_OK || r == ACCEPT_UNSIGNED)
            g_string_append_printf(out, "kontor_pack_signatures{state=\"%s\"} %" G_GUINT64_FORMAT "\n",
                                   accept_rule_name(r), served[r]);
    family(out, "kontor_pack_refused", "gauge", "Packs that policy does not serve, by reason.");
    for (guint r = ACCEPT_OK + 1; r < ACCEPT_RULES; r++)
        g_string_append_printf(out, "kontor_pack_refused{reason=\"%s\"} %" G_GUINT64_FORMAT "\n",
                               accept_rule_name(r), refused[r]);
}

static void write_packs(GString *out, const FetchInput *input)
{
    const Catalog *catalog = input->snapshot->catalog;
    gauge(out, "kontor_packs", "Packs that are served.", catalog_pack_count(catalog));
    gauge(out, "kontor_pages", "Indexed pages of all packs.", catalog_page_count(catalog));
    if (input->snapshot->exchange != NULL)
        gauge(out, "kontor_catalog_generation", "Generation of the catalog that other brokers are told.",
              journal_generation(exchange_journal(input->snapshot->exchange)));
    gauge(out, "kontor_pack_bytes", "Bytes of all packs' files.", catalog_byte_count(catalog));
    gauge(out, "kontor_pack_problems", "Places with a problem.", catalog_problem_count(catalog));
    if (catalog_problem_count(catalog) > 0)
        write_problem_places(out, catalog);
    write_verdicts(out, catalog);
    gauge(out, "kontor_publishers", "Entries of the trust list.", trust_list_count(input->snapshot->trust));
    gauge(out, "kontor_snapshot_number", "Published states of the catalog, as strangers see it.",
          input->snapshot->public_number);
}

static void write_index(GString *out, const FetchInput *input)
{
    g_auto(PublisherInfo) info;
    publisher_info(input->serve->publisher, &info);
    SearchIndex *index = publisher_index(input->serve->publisher);
    gauge(out, "kontor_ready", "1 when catalog and index are ready.",
          publisher_is_ready(input->serve->publisher) ? 1 : 0);
    counter(out, "kontor_scans_total", "Scans of the packs directory.", info.scans);
    gauge_seconds(out, "kontor_scan_duration_seconds", "Duration of the latest scan.", info.scan_elapsed_us);
    gauge_seconds(out, "kontor_judge_duration_seconds", "Duration of the latest judging of signatures.",
                  info.judge_elapsed_us);
    gauge(out, "kontor_index_rows", "Rows of the search index.", search_index_rows(index));
    gauge_seconds(out, "kontor_index_build_duration_seconds", "Duration of the latest change of the index.",
                  info.report.elapsed_us);
    counter(out, "kontor_index_failures_total", "Changes of the index that failed.", info.index_failures);
}

/* --- Nodes --- */

static void write_relay(GString *out, Relay *relay)
{
    guint64 counters[RELAY_COUNTERS];
    relay_counters(relay, counters);
    gauge(out, "kontor_nodes", "Registered Nodes that are alive.", relay_node_count(relay));
    gauge(out, "kontor_node_connections", "Open WebSockets.", relay_connection_count(relay));
    gauge(out, "kontor_pending_queries", "Routed queries without an answer yet.", relay_pending_count(relay));
    family(out, "kontor_relay_events_total", "counter",
           "Registrations, routed queries and refusals by outcome.");
    for (guint c = 0; c < RELAY_COUNTERS; c++)
        g_string_append_printf(out, "kontor_relay_events_total{outcome=\"%s\"} %" G_GUINT64_FORMAT "\n",
                               relay_counter_name(c), counters[c]);
}

/* --- Mirrors: public sources only; of private ones not even a number --- */

static void write_refusals(GString *out, const MirrorsCounters *counters)
{
    family(out, "kontor_mirror_refused_total", "counter", "Packs of sources that were refused, by rule.");
    for (guint r = ACCEPT_OK + 1; r < ACCEPT_RULES; r++)
        if (r != ACCEPT_WITHDRAWN)
            g_string_append_printf(out, "kontor_mirror_refused_total{rule=\"%s\"} %" G_GUINT64_FORMAT "\n",
                                   accept_rule_name(r), counters->refused[r]);
}

static void source_number(GString *out, const char *name, const MirrorsSource *source, gint64 value)
{
    g_string_append_printf(out, "%s{source=\"", name);
    label_value(out, source->name);
    g_string_append_printf(out, "\",kind=\"%s\"} %" G_GINT64_FORMAT "\n", source->kind, value);
}

static void write_sources(GString *out, const GPtrArray *sources)
{
    family(out, "kontor_mirror_source_up", "gauge",
           "1 when the source is not failing, held or under an alarm, nor was ever reached.");
    for (guint i = 0; i < sources->len; i++) {
        const MirrorsSource *source = g_ptr_array_index(sources, i);
        gboolean up = strcmp(source->state, "ok") == 0 || strcmp(source->state, "syncing") == 0 ||
                      strcmp(source->state, "paused") == 0;
        source_number(out, "kontor_mirror_source_up", source, up ? 1 : 0);
    }
    family(out, "kontor_mirror_source_packs", "gauge", "Packs that are served from the source.");
    for (guint i = 0; i < sources->len; i++)
        source_number(out, "kontor_mirror_source_packs", g_ptr_array_index(sources, i),
                      ((const MirrorsSource *)g_ptr_array_index(sources, i))->packs);
    family(out, "kontor_mirror_source_last_ok_timestamp_seconds", "gauge",
           "When the source was last synced without an error; 0: never.");
    for (guint i = 0; i < sources->len; i++)
        source_number(out, "kontor_mirror_source_last_ok_timestamp_seconds", g_ptr_array_index(sources, i),
                      ((const MirrorsSource *)g_ptr_array_index(sources, i))->last_ok_s);
}

static void write_mirrors(GString *out, Mirrors *mirrors)
{
    MirrorsCounters counters;
    mirrors_counters(mirrors, &counters);
    counter(out, "kontor_mirror_syncs_total", "Syncs of sources that have ended.", counters.syncs);
    counter(out, "kontor_mirror_sync_failures_total", "Syncs that failed.", counters.failures);
    counter(out, "kontor_mirror_installed_total", "Packs of sources that were accepted.", counters.installed);
    write_refusals(out, &counters);
    counter(out, "kontor_mirror_received_bytes_total", "Bytes received from sources.", counters.bytes);
    counter(out, "kontor_mirror_alarms_total", "Alarms raised: forks, rollbacks, full disks and the like.",
            counters.alarms);
    counter(out, "kontor_mirror_agent_restarts_total", "Starts of the agent process but the first.",
            counters.agent_restarts);
    gauge(out, "kontor_mirror_store_full", "1 when nothing is fetched for want of room.",
          counters.store_full ? 1 : 0);
    g_autoptr(GPtrArray) sources = mirrors_public_sources(mirrors);
    write_sources(out, sources);
}

/* --- The process --- */

/* The words of a one-line file under /proc, or NULL. */
static char **proc_words(const char *path, gsize skip_to_paren)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    const char *begin = text;
    if (skip_to_paren > 0) {
        /* The command's name in parentheses may hold blanks. */
        const char *paren = strrchr(text, ')');
        begin = paren != NULL && paren[1] != '\0' ? paren + 2 : text;
    }
    return g_strsplit(begin, " ", -1);
}

static guint64 word_number(char **words, guint index)
{
    return words != NULL && g_strv_length(words) > index ? g_ascii_strtoull(words[index], NULL, 10) : 0;
}

static guint count_descriptors(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint count = 0;
    while (dir != NULL && g_dir_read_name(dir) != NULL)
        count++;
    return count;
}

static void write_process(GString *out, const Serve *serve)
{
    /* proc(5): in stat, utime and stime are fields 14 and 15, num_threads 20; after the name counting begins
     * with field 3. In statm, size and resident come first, in pages. */
    g_auto(GStrv) stat = proc_words("/proc/self/stat", 1);
    g_auto(GStrv) statm = proc_words("/proc/self/statm", 0);
    guint64 page = (guint64)sysconf(_SC_PAGESIZE);
    double ticks = (double)sysconf(_SC_CLK_TCK);
    family(out, "process_cpu_seconds_total", "counter", "CPU time used.");
    real(out, "process_cpu_seconds_total", (double)(word_number(stat, 11) + word_number(stat, 12)) / ticks);
    gauge(out, "process_threads", "Threads.", word_number(stat, 17));
    gauge(out, "process_virtual_memory_bytes", "Address space.", word_number(statm, 0) * page);
    gauge(out, "process_resident_memory_bytes", "Resident memory.", word_number(statm, 1) * page);
    gauge(out, "process_open_fds", "Open file descriptors.", count_descriptors());
    gauge_seconds(out, "process_start_time_seconds", "Start, since the epoch.", serve->started_real_us);
}

Resource *metrics_resource(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    GString *out = g_string_sized_new(16 * 1024);
    family(out, "kontor_build_info", "gauge", "Version of the program.");
    g_string_append(out, "kontor_build_info{version=\"" KONTOR_VERSION "\"} 1\n");
    write_http(out, input->serve);
    write_packs(out, input);
    write_index(out, input);
    if (input->serve->relay != NULL)
        write_relay(out, input->serve->relay);
    if (input->serve->mirrors != NULL)
        write_mirrors(out, input->serve->mirrors);
    write_process(out, input->serve);
    g_autoptr(GBytes) body = g_string_free_to_bytes(out);
    return resource_new_plain(http_reply_new(200, "text/plain; version=0.0.4; charset=utf-8", body));
}
