/* SPDX-License-Identifier: MIT */
#include "broker/api/broker_status.h"

#include "schema/json_writer.h"
#include "schema/scalar.h"
#include "signing/note.h"

/* Lists longer than this are cut; the counts tell. */
#define PACKS_LISTED_MAX 10000

static const char *const index_states[] = {
    [INDEX_STARTING] = "starting",
    [INDEX_READY] = "ready",
    [INDEX_FAILED] = "failed",
};

/* All that is served or would be, private packs too: only the operator asks here. */
typedef struct {
    GPtrArray *open, *hidden;
    guint mirrored; /* of the open ones */
} Places;

static void places_init(Places *places, const Snapshot *snapshot)
{
    places->open = catalog_places_sorted(snapshot->catalog);
    places->hidden = catalog_places_sorted(snapshot->hidden);
    places->mirrored = 0;
    for (guint i = 0; i < places->open->len; i++)
        places->mirrored += ((const CatalogPack *)g_ptr_array_index(places->open, i))->is_mirrored ? 1 : 0;
}

static void places_clear(Places *places)
{
    g_ptr_array_unref(places->open);
    g_ptr_array_unref(places->hidden);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Places, places_clear)

static void write_time(JsonWriter *writer, const char *key, gint64 real_us)
{
    g_autofree char *text = scalar_format_time(real_us / G_USEC_PER_SEC);
    json_write_member_string(writer, key, text);
}

static void write_strings(JsonWriter *writer, const char *key, const GPtrArray *strings)
{
    json_write_key(writer, key);
    json_write_array_begin(writer);
    for (guint i = 0; strings != NULL && i < strings->len; i++)
        json_write_string(writer, g_ptr_array_index(strings, i));
    json_write_array_end(writer);
}

static void write_addresses(JsonWriter *writer, Serve *serve)
{
    json_write_key(writer, "addresses");
    json_write_object_begin(writer);
    json_write_key(writer, "public");
    json_write_array_begin(writer);
    g_mutex_lock(&serve->lock);
    for (char **address = serve->public_addresses; address != NULL && *address != NULL; address++)
        json_write_string(writer, *address);
    json_write_array_end(writer);
    json_write_key(writer, "api");
    if (serve->api_address != NULL)
        json_write_string(writer, serve->api_address);
    else
        json_write_null(writer);
    g_mutex_unlock(&serve->lock);
    json_write_object_end(writer);
}

static char *problem_line(const CatalogPack *place)
{
    if (!place->is_mirrored)
        return g_strdup_printf("pack '%s': %s", place->path, place->problem);
    return g_strdup_printf("%spack '%s', mirrored from '%s': %s", place->is_private ? "private " : "",
                           place->path, place->source, place->problem);
}

static void write_place_problems(JsonWriter *writer, const GPtrArray *places)
{
    for (guint i = 0; i < places->len; i++) {
        const CatalogPack *place = g_ptr_array_index(places, i);
        if (place->problem == NULL)
            continue;
        g_autofree char *line = problem_line(place);
        json_write_string(writer, line);
    }
}

/* What keeps places from being served as packs, and what the scan could not read at all. */
static void write_problems(JsonWriter *writer, const Places *places, const PublisherInfo *info)
{
    json_write_key(writer, "problems");
    json_write_array_begin(writer);
    if (info->index_error != NULL) {
        g_autofree char *line = g_strconcat("search index: ", info->index_error, NULL);
        json_write_string(writer, line);
    }
    write_place_problems(writer, places->open);
    write_place_problems(writer, places->hidden);
    for (guint i = 0; info->problems != NULL && i < info->problems->len; i++)
        json_write_string(writer, g_ptr_array_index(info->problems, i));
    json_write_array_end(writer);
}

/* What other brokers are told: it stands still while the journal cannot be written. */
static void write_exchange(JsonWriter *writer, const Journal *journal)
{
    char root[SHA256_HEX_CHARS + 1];
    hex_encode(digest_trie_digest(journal_trie(journal)), SHA256_BYTES, root);
    json_write_member_integer(writer, "generation", (gint64)journal_generation(journal));
    json_write_member_integer(writer, "items", digest_trie_count(journal_trie(journal)));
    json_write_member_string(writer, "digest", root);
}

/* The snapshot may be a little older than what the publisher says of itself. */
static void write_mirrored(JsonWriter *writer, const Places *places, const PublisherInfo *info)
{
    json_write_member_integer(writer, "mirrored", places->mirrored);
    json_write_member_integer(writer, "shadowed", info->mirrored - MIN(info->mirrored, places->mirrored));
    json_write_member_integer(writer, "private", places->hidden->len);
    if (info->mirror_elapsed_us > 0)
        json_write_member_integer(writer, "mirror_ms", info->mirror_elapsed_us / 1000);
}

static void write_catalog(JsonWriter *writer, const Snapshot *snapshot, const Places *places,
                          const PublisherInfo *info)
{
    json_write_key(writer, "catalog");
    json_write_object_begin(writer);
    json_write_member_string(writer, "directory", snapshot->config->packs_dir);
    json_write_member_integer(writer, "packs", catalog_pack_count(snapshot->catalog));
    json_write_member_integer(writer, "pages", (gint64)catalog_page_count(snapshot->catalog));
    json_write_member_integer(writer, "total_bytes", (gint64)catalog_byte_count(snapshot->catalog));
    json_write_member_integer(writer, "problem_count",
                              catalog_problem_count(snapshot->catalog) +
                                  catalog_problem_count(snapshot->hidden));
    json_write_member_integer(writer, "snapshot", (gint64)snapshot->number);
    write_mirrored(writer, places, info);
    if (snapshot->exchange != NULL)
        write_exchange(writer, exchange_journal(snapshot->exchange));
    if (info->scanned_at_us > 0)
        write_time(writer, "scanned_at", info->scanned_at_us);
    json_write_member_integer(writer, "scan_ms", info->scan_elapsed_us / 1000);
    json_write_member_integer(writer, "places_seen", info->places);
    json_write_member_integer(writer, "places_unchanged", info->unchanged);
    json_write_object_end(writer);
}

static void write_index(JsonWriter *writer, const Serve *serve, const PublisherInfo *info)
{
    json_write_key(writer, "index");
    json_write_object_begin(writer);
    json_write_member_string(writer, "state", index_states[info->index]);
    json_write_member_integer(writer, "rows", (gint64)search_index_rows(publisher_index(serve->publisher)));
    json_write_member_integer(writer, "packs_read", info->report.packs_read);
    json_write_member_integer(writer, "packs_kept", info->report.packs_kept);
    json_write_member_integer(writer, "packs_removed", info->report.packs_removed);
    json_write_member_integer(writer, "index_build_ms", info->report.elapsed_us / 1000);
    json_write_member_integer(writer, "failures", (gint64)info->index_failures);
    json_write_object_end(writer);
}

static void write_nodes(JsonWriter *writer, Relay *relay)
{
    json_write_key(writer, "nodes");
    json_write_object_begin(writer);
    json_write_member_integer(writer, "registered", relay_node_count(relay));
    json_write_member_integer(writer, "connections", relay_connection_count(relay));
    json_write_member_integer(writer, "pending_queries", relay_pending_count(relay));
    json_write_object_end(writer);
}

static void write_key(JsonWriter *writer, const FetchInput *input)
{
    g_autofree char *verifier = note_verifier_key_print(input->snapshot->config->name, &input->serve->key);
    json_write_key(writer, "key");
    json_write_object_begin(writer);
    json_write_member_string(writer, "fingerprint", input->serve->fingerprint);
    json_write_member_string(writer, "verifier_key", verifier);
    json_write_object_end(writer);
}

static const char *policy_name(ConfigSigned setting)
{
    static const char *const names[] = {
        [CONFIG_SIGNED_OFF] = "off",
        [CONFIG_SIGNED_PREFERRED] = "preferred",
        [CONFIG_SIGNED_REQUIRED] = "required",
    };
    return names[setting];
}

static void write_signatures(JsonWriter *writer, const Snapshot *snapshot, const GPtrArray *places)
{
    guint accepted = 0, refused = 0;
    for (guint i = 0; i < places->len; i++) {
        const CatalogPack *place = g_ptr_array_index(places, i);
        refused += place->refused ? 1 : 0;
        accepted += place->is_pack && place->release.is_checked && place->release.rule == ACCEPT_OK ? 1 : 0;
    }
    json_write_key(writer, "signatures");
    json_write_object_begin(writer);
    json_write_member_string(writer, "policy", policy_name(snapshot->config->signed_local));
    json_write_member_string(writer, "trust_file", snapshot->config->trust_file);
    json_write_member_integer(writer, "publishers", trust_list_count(snapshot->trust));
    json_write_member_integer(writer, "packs_accepted", accepted);
    json_write_member_integer(writer, "packs_refused", refused);
    write_strings(writer, "trust_warnings", trust_list_warnings(snapshot->trust));
    json_write_object_end(writer);
}

/* "signature" is the rule that decided; "reason" says more when it was not "ok". */
static void write_release(JsonWriter *writer, const CatalogPack *place)
{
    const CatalogRelease *release = &place->release;
    json_write_member_string(writer, "signature",
                             release->is_checked ? accept_rule_name(release->rule) : "unchecked");
    json_write_member_boolean(writer, "refused", place->refused);
    if (release->reason != NULL)
        json_write_member_string(writer, "reason", release->reason);
    if (*release->fingerprint != '\0') {
        json_write_member_string(writer, "publisher", release->fingerprint);
        json_write_member_string(writer, "publisher_name", release->publisher);
    }
    if (*release->published_at != '\0')
        json_write_member_string(writer, "published_at", release->published_at);
    if (!release->has_digest)
        return;
    json_write_member_hex(writer, "content_sha256", release->content_sha256, SHA256_BYTES);
    json_write_member_hex(writer, "digest", release->digest, SHA256_BYTES);
}

static void write_pack(JsonWriter *writer, const CatalogPack *place)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "path", place->path);
    json_write_member_boolean(writer, "is_pack", place->is_pack);
    json_write_member_string(writer, "version", place->version);
    json_write_key(writer, "source");
    if (place->is_mirrored)
        json_write_string(writer, place->source);
    else
        json_write_null(writer);
    json_write_member_integer(writer, "pages", place->rows_indexed);
    json_write_member_integer(writer, "bytes", (gint64)place->bytes);
    json_write_key(writer, "problem");
    if (place->problem != NULL)
        json_write_string(writer, place->problem);
    else
        json_write_null(writer);
    write_release(writer, place);
    json_write_member_boolean(writer, "private", place->is_private);
    write_strings(writer, "warnings", place->warnings);
    json_write_object_end(writer);
}

static void write_packs(JsonWriter *writer, const Places *places)
{
    guint open = MIN(places->open->len, PACKS_LISTED_MAX);
    json_write_key(writer, "packs");
    json_write_array_begin(writer);
    for (guint i = 0; i < open; i++)
        write_pack(writer, g_ptr_array_index(places->open, i));
    for (guint i = 0; i < MIN(places->hidden->len, PACKS_LISTED_MAX - open); i++)
        write_pack(writer, g_ptr_array_index(places->hidden, i));
    json_write_array_end(writer);
}

static void write_process(JsonWriter *writer, const FetchInput *input)
{
    json_write_member_string(writer, "name", input->snapshot->config->name);
    json_write_member_string(writer, "version", KONTOR_VERSION);
    json_write_member_boolean(writer, "ready", publisher_is_ready(input->serve->publisher));
    write_time(writer, "started_at", input->serve->started_real_us);
    json_write_member_integer(writer, "uptime_seconds",
                              (g_get_monotonic_time() - input->serve->started_us) / G_USEC_PER_SEC);
    json_write_member_integer(writer, "threads", input->serve->thread_count);
}

Resource *broker_status_resource(const FetchInput *input, GError **error G_GNUC_UNUSED)
{
    g_auto(PublisherInfo) info;
    publisher_info(input->serve->publisher, &info);
    g_auto(Places) places;
    places_init(&places, input->snapshot);
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        write_process(&writer, input);
        write_addresses(&writer, input->serve);
        write_problems(&writer, &places, &info);
        write_catalog(&writer, input->snapshot, &places, &info);
        write_index(&writer, input->serve, &info);
        write_key(&writer, input);
        write_signatures(&writer, input->snapshot, places.open);
        if (input->serve->relay != NULL)
            write_nodes(&writer, input->serve->relay);
        write_packs(&writer, &places);
        json_write_object_end(&writer);
    }
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    return resource_new_plain(http_reply_new(200, "application/json; charset=utf-8", body));
}
