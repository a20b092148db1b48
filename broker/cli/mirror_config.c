/* SPDX-License-Identifier: MIT
 *
 * Changing the sources in kontor.yaml: lock, read, edit, check the result as a broker would, replace; then
 * tell the broker that runs on the data directory.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/mirror.h"
#include "broker/cli/reload.h"
#include "broker/cli/safe_file.h"
#include "broker/cli/suggest.h"
#include "broker/cli/terminal.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

static ConfigOverrides overrides_of(const CliArgs *args)
{
    return (ConfigOverrides){
        .data_dir = cli_args_value(args, "data"),
        .file = cli_args_value(args, "config"),
    };
}

Config *mirror_config_load(const CliArgs *args, GError **error)
{
    ConfigOverrides overrides = overrides_of(args);

    return config_load(&overrides, error);
}

const MirrorSource *mirror_source_find(const Config *config, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *nearest;

    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);

        if (strcmp(source->name, name) == 0) {
            return source;
        }
        g_ptr_array_add(names, source->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = cli_suggest(name, (const char *const *)names->pdata);
    if (nearest != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "no mirror or peer is named '%s'; did you mean '%s'?", name, nearest);
    } else {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND,
                    "no mirror or peer is named '%s'; 'kontor mirror list' shows them", name);
    }
    return NULL;
}

/* --- Changing --- */

/* The text of the file, "" when there is none. */
static char *read_text(const char *file, GError **error)
{
    g_autofree char *text = g_malloc(LIMIT_CONFIG_BYTES + 1);
    g_autoptr(GError) reason = NULL;
    gsize len = 0;

    if (!safe_file_read(file, LIMIT_CONFIG_BYTES, text, &len, NULL, &reason)) {
        if (g_error_matches(reason, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
            return g_strdup("");
        }
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    if (strlen(text) != len) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: has a NUL byte", file);
        return NULL;
    }
    return g_strdup(text);
}

/* Under the lock. */
static Config *change_locked(const CliArgs *args, const Config *before, MirrorEdit edit, gpointer user,
                             gboolean *ret_changed, GError **error)
{
    ConfigOverrides overrides = overrides_of(args);
    g_autofree char *text = read_text(before->file, error);
    g_autofree char *edited = text != NULL ? edit(before, text, user, error) : NULL;
    g_autoptr(Config) after = NULL;

    if (edited == NULL) {
        return NULL;
    }
    overrides.text = edited;
    after = config_load(&overrides, error);
    *ret_changed = strcmp(edited, text) != 0;
    if (after == NULL || (*ret_changed && !safe_file_replace(before->file, edited, strlen(edited), error))) {
        return NULL;
    }
    return g_steal_pointer(&after);
}

Config *mirror_config_change(const CliArgs *args, MirrorEdit edit, gpointer user, gboolean *ret_changed,
                             GError **error)
{
    g_autoptr(Config) named = mirror_config_load(args, error);
    g_autoptr(Config) before = NULL;
    g_autoptr(Config) after = NULL;
    int lock = named != NULL ? safe_file_lock(named->file, error) : -1;

    if (lock < 0) {
        return NULL;
    }
    /* What was there before the lock may have been edited meanwhile. */
    before = mirror_config_load(args, error);
    if (before != NULL) {
        after = change_locked(args, before, edit, user, ret_changed, error);
    }
    close(lock);
    return g_steal_pointer(&after);
}

/* --- Telling --- */

static void print_change(const Config *config, const MirrorChange *change, gint64 reloaded)
{
    const char *next = reloaded > 0 ? change->next : change->later;
    const char *kind = change->kind == SOURCE_GIT ? "mirror" : "peer";

    if (change->changed) {
        printf("%s %s %s in ", change->action, kind, change->name);
    } else {
        printf("%s %s is %s already in ", kind, change->name, change->action);
    }
    terminal_print(stdout, TERMINAL_PLAIN, config->file);
    fputc('\n', stdout);
    if (reloaded > 0) {
        printf("told the broker (process %" G_GINT64_FORMAT ")\n", reloaded);
    }
    if (change->changed && next != NULL) {
        printf("%s\n", next);
    }
}

static void print_change_json(const Config *config, const MirrorChange *change, gint64 reloaded)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "file", config->file);
    json_write_member_string(&w, "name", change->name);
    json_write_member_string(&w, "kind", source_kind_name(change->kind));
    json_write_member_string(&w, "action", change->action);
    json_write_member_boolean(&w, "changed", change->changed);
    json_write_member_boolean(&w, "reloaded", reloaded > 0);
    json_write_key(&w, "warnings");
    json_write_array_begin(&w);
    for (guint i = 0; i < config->warnings->len; i++) {
        json_write_string(&w, g_ptr_array_index(config->warnings, i));
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    puts(out->str);
}

CliExit mirror_change_report(const CliArgs *args, const Config *config, const MirrorChange *change)
{
    g_autoptr(GError) error = NULL;
    gint64 reloaded = change->changed ? broker_reload(config->data_dir, &error) : 0;
    gboolean json = cli_args_flag(args, "json");

    for (guint i = 0; !json && i < config->warnings->len; i++) {
        fprintf(stderr, "warning: ");
        terminal_print(stderr, TERMINAL_PLAIN, g_ptr_array_index(config->warnings, i));
        fputc('\n', stderr);
    }
    (json ? print_change_json : print_change)(config, change, reloaded);
    /* That no broker runs is no fault; that it cannot be told is one. */
    if (error != NULL && !g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        cli_fail(error);
        return CLI_UNREACHABLE;
    }
    return CLI_OK;
}

/* --- Words --- */

char *mirror_span(gint64 seconds)
{
    static const struct {
        gint64 seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};

    for (guint i = 0; i < G_N_ELEMENTS(units); i++) {
        /* Twice a unit reads better in the next smaller one: 90 s, not 1 min. */
        if (seconds >= 2 * units[i].seconds || units[i].seconds == 1) {
            return g_strdup_printf("%" G_GINT64_FORMAT " %s", seconds / units[i].seconds, units[i].unit);
        }
    }
    g_assert_not_reached();
}

char *mirror_bytes(guint64 bytes)
{
    g_autofree char *text = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_auto(GStrv) parts = g_strsplit(text, "\u00a0", -1);

    return g_strjoinv(" ", parts); /* a plain blank: scripts look for one */
}
