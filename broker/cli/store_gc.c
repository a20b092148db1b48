/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "broker/cli/store.h"
#include "schema/json_writer.h"

/* What was done, whoever did it. */
typedef struct {
    gint64 kept, removed, failed, removed_bytes;
} Report;

static CliExit print_report(const Report *report, gboolean dry_run)
{
    g_autofree char *size = store_bytes((guint64)report->removed_bytes);

    printf("%s %" G_GINT64_FORMAT " releases, %s; %" G_GINT64_FORMAT " kept\n",
           dry_run ? "would remove" : "removed", report->removed, size, report->kept);
    if (report->failed == 0) {
        return CLI_OK;
    }
    fprintf(stderr, "kontor: %" G_GINT64_FORMAT " releases could not be removed\n", report->failed);
    return CLI_FAILURE;
}

/* --- By the broker --- */

static gboolean read_report(const JsonValue *root, Report *ret, GError **error)
{
    const struct {
        const char *key;
        gint64 *to;
    } members[] = {
        {"kept", &ret->kept},
        {"removed", &ret->removed},
        {"failed", &ret->failed},
        {"removed_bytes", &ret->removed_bytes},
    };

    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        if (!json_get_integer(root, members[i].key, JSON_REQUIRED, 0, G_MAXINT64, members[i].to, error)) {
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
    return report.failed == 0 ? CLI_OK : CLI_FAILURE;
}

/* --- By ourselves --- */

/* In the form of the broker's answer. */
static void print_json(const Report *report, gboolean dry_run)
{
    g_autoptr(GString) out = g_string_new(NULL);
    {
        g_auto(JsonWriter) w;

        json_writer_init(&w, out, JSON_STYLE_PLAIN);
        json_write_object_begin(&w);
        json_write_member_boolean(&w, "dry_run", dry_run);
        json_write_member_integer(&w, "kept", report->kept);
        json_write_member_integer(&w, "removed", report->removed);
        json_write_member_integer(&w, "removed_bytes", report->removed_bytes);
        json_write_member_integer(&w, "failed", report->failed);
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

    if (reachable == NULL ||
        !release_store_collect(store, reachable, /* grace_s= */ -1, dry_run, NULL, NULL, &counts, error)) {
        return FALSE;
    }
    *ret = (Report){
        .kept = counts.kept,
        .removed = counts.removed,
        .failed = counts.failed,
        .removed_bytes = (gint64)counts.removed_bytes,
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
    return report.failed == 0 ? CLI_OK : CLI_FAILURE;
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
