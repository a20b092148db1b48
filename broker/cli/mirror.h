/* SPDX-License-Identifier: MIT
 *
 * The sub-commands of 'kontor mirror', one per file mirror_<noun>.c, and what they share. Their table is in
 * cmd_mirror.c.
 */
#pragma once

#include "broker/cli/cli.h"
#include "broker/config.h"
#include "mirror/store/mirror_db.h"

CliExit mirror_add_run(const CliArgs *args);
CliExit mirror_sync_run(const CliArgs *args);
CliExit mirror_status_run(const CliArgs *args);
CliExit mirror_history_run(const CliArgs *args);

/* --- kontor.yaml --- */

/* The configuration that --data and --config name. */
Config *mirror_config_load(const CliArgs *args, GError **error);
/* The source of that name; NOT_FOUND says what there is. */
const MirrorSource *mirror_source_find(const Config *config, const char *name, GError **error);

/* Makes a new text of the file's, or NULL with an error. `user` is the caller's. */
typedef char *(*MirrorEdit)(const Config *config, const char *text, gpointer user, GError **error);
/* Reads the file, edits it, checks that the result is a good configuration, and replaces the file, all while
 * nobody else does. The new configuration, or NULL with the file untouched. */
Config *mirror_config_change(const CliArgs *args, MirrorEdit edit, gpointer user, gboolean *ret_changed,
                             GError **error);

/* What a change is told about. */
typedef struct {
    const char *action; /* "added", "removed", "paused", "resumed" */
    const char *name;
    SourceKind kind;
    gboolean changed;
    const char *next; /* what happens now, with a broker and without; NULL: nothing to say */
    const char *later;
} MirrorChange;
/* Tells the running broker when something changed, and prints what was done. The exit code. */
CliExit mirror_change_report(const CliArgs *args, const Config *config, const MirrorChange *change);

/* --- Peers --- */

/* What a broker says of itself at URL/version. */
typedef struct {
    char *name;
    char *verifier_key;
    PublicKey key;
} PeerVersion;
void peer_version_clear(PeerVersion *version);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerVersion, peer_version_clear)
/* `ca_file` may be NULL. Errors of fetch.h; MALFORMED when that is no Kontor broker. */
gboolean peer_version_fetch(const char *url, const char *ca_file, PeerVersion *ret, GError **error);

/* --- What is known of the sources --- */

/* The status of all sources in the form of mirrors_status_json (broker/mirrors/mirrors.h): of the running
 * broker, or made from mirror.db and the configuration while none runs; *ret_live says which. */
JsonDoc *mirror_status_ask(const Config *config, gboolean *ret_live, GError **error);
/* mirror.db for reading; *ret NULL when nothing was ever mirrored. */
gboolean mirror_db_peek(const Config *config, MirrorDb **ret, GError **error);
/* Members of objects that a broker wrote: "" and 0 when they are absent or null. */
const char *mirror_text(const JsonValue *object, const char *key);
gint64 mirror_integer(const JsonValue *object, const char *key);
/* The object under a key, or NULL. */
const JsonValue *mirror_object(const JsonValue *object, const char *key);
/* Unix time of "2026-05-01T12:00:00Z"; 0 for anything else. */
gint64 mirror_time(const JsonValue *object, const char *key);
/* The value once more, in plain style. */
void mirror_write_value(JsonWriter *w, const JsonValue *value);
/* One line on standard output: "  NAME: text", in a style. */
void mirror_line(const char *name, gboolean bad, const char *text);
/* Prints the lines about one source (an element of "sources") that need attention: why it fails, which alarm
 * stands, and what to do about it. */
void mirror_print_troubles(const JsonValue *source);

/* --- Words --- */

/* What the operator can do about an alarm of the source: half a sentence, a new string. NULL when there is
 * nothing, or when the reason says it already. */
char *mirror_alarm_remedy(const char *name, const char *alarm, const char *reason);

/* "5 s", "3 min", "2 h": how long that many seconds are, roughly. A new string. */
char *mirror_span(gint64 seconds);
/* "1.2 MiB"; a new string. */
char *mirror_bytes(guint64 bytes);
