/* SPDX-License-Identifier: MIT
 *
 * Checking reads everything beside whoever works in the store; a release that is collected meanwhile is not
 * missed. Repairing hands over what was found: a broker reads it once more before it believes.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/store.h"
#include "broker/cli/terminal.h"
#include "schema/json_writer.h"

#define PROGRESS_INTERVAL_US (100 * 1000)
#define REPAIRED_AT_ONCE 50 /* releases of one request, which are all read before it is answered */

typedef struct {
    guint8 digest[SHA256_BYTES];
    char *problem;
    GPtrArray *paths; /* of char * */
} Damage;

typedef struct {
    const Config *config;
    ReleaseStore *store;
    MirrorDb *db;       /* NULL: there is none */
    GHashTable *needed; /* set of GBytes *: must be there */
    GPtrArray *digests; /* of GBytes *: to be checked */
    GPtrArray *damages; /* of Damage * */
    guint threads;
} Check;

static void damage_free(gpointer data)
{
    Damage *damage = data;

    g_free(damage->problem);
    g_ptr_array_unref(damage->paths);
    g_free(damage);
}

static void check_clear(Check *check)
{
    release_store_free(check->store);
    mirror_db_close(check->db);
    g_clear_pointer(&check->needed, g_hash_table_unref);
    g_clear_pointer(&check->digests, g_ptr_array_unref);
    g_clear_pointer(&check->damages, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

/* --- What is to be checked --- */

/* What is served and not in the store is to be checked, too. */
static gboolean add_needed(Check *check, GError **error)
{
    g_autoptr(GPtrArray) served = check->db != NULL ? mirror_db_served(check->db, error) : g_ptr_array_new();

    if (served == NULL) {
        return FALSE;
    }
    for (guint i = 0; i < served->len; i++) {
        const MirroredPack *pack = g_ptr_array_index(served, i);
        g_autoptr(GBytes) digest = g_bytes_new(pack->digest, SHA256_BYTES);

        if (g_hash_table_add(check->needed, g_bytes_ref(digest)) &&
            !release_store_has(check->store, pack->digest)) {
            g_ptr_array_add(check->digests, g_steal_pointer(&digest));
        }
    }
    return TRUE;
}

static gboolean check_prepare(Check *check, GError **error)
{
    g_autoptr(GError) cause = NULL;

    check->needed = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    check->damages = g_ptr_array_new_with_free_func(damage_free);
    check->db = store_db_open(check->config, DB_READ, &cause);
    if (check->db == NULL && !g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    check->digests = release_store_list(check->store, error);
    return check->digests != NULL && add_needed(check, error);
}

/* --- Checking --- */

static GPtrArray *paths_of(const Check *check, const guint8 *digest)
{
    GPtrArray *paths = check->db != NULL ? mirror_db_paths_of(check->db, digest, NULL) : NULL;

    return paths != NULL ? paths : g_ptr_array_new();
}

static gboolean check_one(Check *check, GBytes *digest, GError **error)
{
    const guint8 *bytes = g_bytes_get_data(digest, NULL);
    g_autofree char *problem = NULL;

    if (!release_store_check(check->store, bytes, check->threads, &problem, error)) {
        return FALSE;
    }
    gboolean is_there = release_store_has(check->store, bytes);
    if (problem == NULL || (!is_there && !g_hash_table_contains(check->needed, digest))) {
        return TRUE;
    }
    Damage *damage = g_new0(Damage, 1);

    memcpy(damage->digest, bytes, SHA256_BYTES);
    damage->problem = is_there ? g_steal_pointer(&problem) : g_strdup("is not in the store");
    damage->paths = paths_of(check, bytes);
    g_ptr_array_add(check->damages, damage);
    return TRUE;
}

static gboolean check_all(Check *check, GError **error)
{
    gboolean on_terminal = isatty(STDERR_FILENO) != 0;
    gint64 shown_us = 0;
    gboolean good = TRUE;

    for (guint i = 0; good && i < check->digests->len; i++) {
        if (on_terminal && g_get_monotonic_time() - shown_us > PROGRESS_INTERVAL_US) {
            shown_us = g_get_monotonic_time();
            fprintf(stderr, "\rchecked %u of %u releases\033[K", i, check->digests->len);
            fflush(stderr);
        }
        good = check_one(check, g_ptr_array_index(check->digests, i), error);
    }
    if (on_terminal) {
        fputs("\r\033[K", stderr);
    }
    return good;
}

/* --- Repairing --- */

static gboolean repair_ourselves(const Check *check, GError **error)
{
    g_autoptr(MirrorDb) db = store_db_open(check->config, DB_WRITE, error);

    for (guint i = 0; db != NULL && i < check->damages->len; i++) {
        const Damage *damage = g_ptr_array_index(check->damages, i);
        g_autoptr(GPtrArray) changes = NULL;

        /* First out of the way: until the sources are asked again it is missing, which the next check finds.
         */
        if ((release_store_has(check->store, damage->digest) &&
             !release_store_quarantine(check->store, damage->digest, error)) ||
            !mirror_db_damaged(db, damage->digest, &changes, error)) {
            return FALSE;
        }
    }
    return db != NULL;
}

static GString *repair_request(const GPtrArray *damages, guint from, guint to)
{
    GString *body = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, body, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_key(&w, "digests");
    json_write_array_begin(&w);
    for (guint i = from; i < to; i++) {
        const Damage *damage = g_ptr_array_index(damages, i);
        char hex[SHA256_HEX_CHARS + 1];

        hex_encode(damage->digest, SHA256_BYTES, hex);
        json_write_string(&w, hex);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    return body;
}

static gboolean repair_by_broker(const Check *check, CliClient *broker, GError **error)
{
    for (guint from = 0; from < check->damages->len; from += REPAIRED_AT_ONCE) {
        guint to = MIN(from + REPAIRED_AT_ONCE, check->damages->len);
        g_autoptr(GString) body = repair_request(check->damages, from, to);
        g_autoptr(GBytes) answer = cli_client_post(broker, "/v1/store/repair", body, error);

        if (answer == NULL) {
            return FALSE;
        }
    }
    return TRUE;
}

static CliExit repair(const Check *check)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DataDir) dir = NULL;
    g_autoptr(CliClient) broker = NULL;

    if (!store_take(check->config, &dir, &broker, &error)) {
        return cli_fail(error);
    }
    if (broker != NULL) {
        return repair_by_broker(check, broker, &error) ? CLI_OK : cli_client_fail(error);
    }
    return repair_ourselves(check, &error) ? CLI_OK : cli_fail(error);
}

/* --- Telling --- */

static void write_damage(JsonWriter *w, const Damage *damage)
{
    char hex[SHA256_HEX_CHARS + 1];

    hex_encode(damage->digest, SHA256_BYTES, hex);
    json_write_object_begin(w);
    json_write_member_string(w, "digest", hex);
    json_write_member_string(w, "problem", damage->problem);
    json_write_key(w, "paths");
    json_write_array_begin(w);
    for (guint i = 0; i < damage->paths->len; i++) {
        json_write_string(w, g_ptr_array_index(damage->paths, i));
    }
    json_write_array_end(w);
    json_write_object_end(w);
}

static void print_json(const Check *check, gboolean repaired)
{
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_member_integer(&w, "checked", check->digests != NULL ? check->digests->len : 0);
        json_write_key(&w, "damaged");
        json_write_array_begin(&w);
        for (guint i = 0; check->damages != NULL && i < check->damages->len; i++) {
            write_damage(&w, g_ptr_array_index(check->damages, i));
        }
        json_write_array_end(&w);
        json_write_member_boolean(&w, "repaired", repaired);
        json_write_object_end(&w);
    }
    store_print_json(out);
}

static void print_damage(const Damage *damage)
{
    char hex[SHA256_HEX_CHARS + 1];
    g_autofree char *problem = terminal_clean(damage->problem);
    g_autoptr(GString) paths = g_string_new(NULL);

    hex_encode(damage->digest, SHA256_BYTES, hex);
    for (guint i = 0; i < damage->paths->len; i++) {
        g_autofree char *path = terminal_clean(g_ptr_array_index(damage->paths, i));

        g_string_append_printf(paths, "%s%s", i > 0 ? ", " : " (", path);
    }
    printf("%s%s%s: %s\n", hex, paths->str, paths->len > 0 ? ")" : "", problem);
}

static void print_report(const Check *check, gboolean repaired)
{
    guint checked = check->digests != NULL ? check->digests->len : 0;
    guint damaged = check->damages != NULL ? check->damages->len : 0;

    for (guint i = 0; i < damaged; i++) {
        print_damage(g_ptr_array_index(check->damages, i));
    }
    printf("%u releases checked, %u damaged%s\n", checked, damaged,
           repaired       ? "; they were put away, and their sources are asked again"
           : damaged == 0 ? ""
                          : "; 'kontor store check --repair' has them fetched again");
}

/* --- Command --- */

CliExit store_check_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = store_config_load(args, &error);
    g_auto(Check) check = {.config = config, .threads = MAX(g_get_num_processors(), 1)};
    CliExit result = CLI_OK;
    gboolean repaired = FALSE;

    signing_init();
    if (config == NULL) {
        return cli_fail_usage(error);
    }
    if (!store_open(config, &check.store, &error) ||
        (check.store != NULL && (!check_prepare(&check, &error) || !check_all(&check, &error)))) {
        return cli_fail(error);
    }
    if (check.damages != NULL && check.damages->len > 0) {
        result = cli_args_flag(args, "repair") ? repair(&check) : CLI_FAILURE;
        repaired = result == CLI_OK;
    }
    if (cli_args_flag(args, "json")) {
        print_json(&check, repaired);
    } else {
        print_report(&check, repaired);
    }
    return result;
}
