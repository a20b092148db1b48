/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "broker/cli/store.h"
#include "mirror/agent/source_files.h"
#include "schema/json_writer.h"

/* What was done, whoever did it; "copies" are what sources that are gone have left. */
typedef struct {
    gint64 kept, removed, removed_bytes, failed;
    gint64 copies_removed, copies_removed_bytes, copies_failed;
} Report;

/* As mirrors_collect (mirrors.h) has them, in its order. */
static const struct {
    const char *key;
    gsize offset;
} MEMBERS[] = {
    {"kept", offsetof(Report, kept)},
    {"removed", offsetof(Report, removed)},
    {"removed_bytes", offsetof(Report, removed_bytes)},
    {"failed", offsetof(Report, failed)},
    {"copies_removed", offsetof(Report, copies_removed)},
    {"copies_removed_bytes", offsetof(Report, copies_removed_bytes)},
    {"copies_failed", offsetof(Report, copies_failed)},
};

static gint64 *member_of(Report *report, guint index)
{
    return G_STRUCT_MEMBER_P(report, MEMBERS[index].offset);
}

static CliExit exit_of(const Report *report)
{
    return report->failed + report->copies_failed == 0 ? CLI_OK : CLI_FAILURE;
}

static CliExit print_report(const Report *report, gboolean dry_run)
{
    const char *verb = dry_run ? "would remove" : "removed";
    g_autofree char *size = store_bytes((guint64)report->removed_bytes);
    g_autofree char *copies_size = store_bytes((guint64)report->copies_removed_bytes);

    printf("%s %" G_GINT64_FORMAT " releases, %s; %" G_GINT64_FORMAT " kept\n", verb, report->removed, size,
           report->kept);
    if (report->copies_removed > 0) {
        printf("%s %" G_GINT64_FORMAT " copies of repositories and catalogs that no source uses, %s\n", verb,
               report->copies_removed, copies_size);
    }
    if (report->failed > 0) {
        fprintf(stderr, "kontor: %" G_GINT64_FORMAT " releases could not be removed\n", report->failed);
    }
    if (report->copies_failed > 0) {
        fprintf(stderr, "kontor: %" G_GINT64_FORMAT " copies could not be removed\n", report->copies_failed);
    }
    return exit_of(report);
}

/* --- By the broker --- */

static gboolean read_report(const JsonValue *root, Report *ret, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(MEMBERS); i++) {
        if (!json_get_integer(root, MEMBERS[i].key, JSON_REQUIRED, 0, G_MAXINT64, member_of(ret, i), error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static CliExit ask_broker(CliClient *broker, gboolean dry_run, gboolean json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) body = g_string_new("{}");
    g_autoptr(GBytes) answer =
        cli_client_post(broker, dry_run ? "/v1/store/gc?dry_run=1" : "/v1/store/gc?dry_run=0", body, &error);
    g_autoptr(JsonDoc) doc = answer != NULL ? cli_client_parse(broker, answer, &error) : NULL;
    Report report = {0};

    if (doc == NULL || !read_report(json_doc_root(doc), &report, &error)) {
        return cli_client_fail(error);
    }
    if (!json) {
        return print_report(&report, dry_run);
    }
    fwrite(g_bytes_get_data(answer, NULL), 1, g_bytes_get_size(answer), stdout);
    fputc('\n', stdout);
    return exit_of(&report);
}

/* --- By ourselves --- */

/* In the form of the broker's answer. */
static void print_json(Report *report, gboolean dry_run)
{
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_member_boolean(&w, "dry_run", dry_run);
        for (guint i = 0; i < G_N_ELEMENTS(MEMBERS); i++) {
            json_write_member_integer(&w, MEMBERS[i].key, *member_of(report, i));
        }
        json_write_object_end(&w);
    }
    store_print_json(out);
}

/* Nobody else is at work, so whatever is not reachable is not needed, however young. */
static gboolean collect(const Config *config, ReleaseStore *store, guint keep, gboolean dry_run, Report *ret,
                        GError **error)
{
    g_autoptr(MirrorDb) db = store_db_open(config, DB_WRITE, error);
    g_autoptr(GHashTable) reachable = db != NULL ? mirror_db_reachable(db, keep, error) : NULL;
    StoreCollection counts;
    SourceFiles files;

    if (reachable == NULL ||
        !release_store_collect(store, reachable, /* grace_s= */ -1, dry_run, NULL, NULL, &counts, error)) {
        return FALSE;
    }
    source_files_collect(config->store_dir, config->sources, dry_run, &files);
    *ret = (Report){
        .kept = counts.kept,
        .removed = counts.removed,
        .removed_bytes = (gint64)counts.removed_bytes,
        .failed = counts.failed,
        .copies_removed = files.removed,
        .copies_removed_bytes = (gint64)files.removed_bytes,
        .copies_failed = files.failed,
    };
    return TRUE;
}

static CliExit collect_ourselves(const Config *config, guint keep, gboolean dry_run, gboolean json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ReleaseStore) store = NULL;
    Report report = {0};

    if (!store_open(config, &store, &error) ||
        (store != NULL && !collect(config, store, keep, dry_run, &report, &error))) {
        return cli_fail(error);
    }
    if (!json) {
        return print_report(&report, dry_run);
    }
    print_json(&report, dry_run);
    return exit_of(&report);
}

/* --- Command --- */

static gboolean no_data_dir(const Config *config)
{
    if (g_file_test(config->data_dir, G_FILE_TEST_IS_DIR)) {
        return FALSE;
    }
    fprintf(stderr, "kontor: there is no data directory %s\n", config->data_dir);
    return TRUE;
}

CliExit store_gc_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DataDir) dir = NULL;
    g_autoptr(CliClient) broker = NULL;
    gboolean dry_run = cli_args_flag(args, "dry-run"), json = cli_args_flag(args, "json");
    g_autoptr(Config) config = store_config_load(args, &error);
    gint64 keep = config != NULL ? MIN(config->releases_kept, MIRROR_KEEP_MAX) : 1;

    signing_init();
    if (config == NULL || !cli_args_integer(args, "keep", 1, MIRROR_KEEP_MAX, &keep, &error)) {
        return cli_fail_usage(error);
    }
    if (no_data_dir(config)) {
        return CLI_NOT_FOUND;
    }
    if (!store_take(config, &dir, &broker, &error)) {
        return cli_fail(error);
    }
    if (broker == NULL) {
        return collect_ourselves(config, (guint)keep, dry_run, json);
    }
    if (cli_args_value(args, "keep") != NULL) {
        fprintf(stderr, "kontor: --keep: the broker that runs keeps as many as limits.releases of its "
                        "configuration says\n");
        return CLI_USAGE;
    }
    return ask_broker(broker, dry_run, json);
}
