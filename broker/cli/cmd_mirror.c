/* SPDX-License-Identifier: MIT
 *
 * The commands that look after mirrors and peers. What only reads or changes kontor.yaml is here; the rest is
 * in mirror_<noun>.c.
 */
#include <stdio.h>
#include <string.h>

#include "broker/cli/commands.h"
#include "broker/cli/mirror.h"
#include "broker/cli/terminal.h"
#include "broker/config_edit.h"
#include "broker/config_sources.h"
#include "schema/json_writer.h"
#include "schema/scalar.h"

/* --- Listing --- */

static void write_texts(JsonWriter *w, const char *key, const GPtrArray *texts)
{
    json_write_key(w, key);
    json_write_array_begin(w);
    for (guint i = 0; i < texts->len; i++) {
        json_write_string(w, g_ptr_array_index(texts, i));
    }
    json_write_array_end(w);
}

static void write_optional(JsonWriter *w, const char *key, const char *text)
{
    json_write_key(w, key);
    if (text != NULL) {
        json_write_string(w, text);
    } else {
        json_write_null(w);
    }
}

static void write_key(JsonWriter *w, const MirrorSource *source)
{
    g_autofree char *key = config_peer_key_print(&source->key, source->key_name);
    char fingerprint[FINGERPRINT_CHARS + 1];

    public_key_fingerprint(&source->key, fingerprint);
    json_write_member_string(w, "key", key);
    json_write_member_string(w, "fingerprint", fingerprint);
}

static void write_source(JsonWriter *w, const MirrorSource *source)
{
    g_autofree char *url = source_shown_url(source);

    json_write_object_begin(w);
    json_write_member_string(w, "name", source->name);
    json_write_member_string(w, "kind", source_kind_name(source->kind));
    json_write_member_string(w, "url", url);
    if (source->kind == SOURCE_PEER) {
        write_key(w, source);
    } else {
        write_optional(w, source->ref_is_tag ? "tag" : "branch", source->ref);
        json_write_member_string(w, "path", source->path);
        write_optional(w, "pack", source->pack);
    }
    write_texts(w, "include", source->include);
    write_texts(w, "exclude", source->exclude);
    json_write_member_string(w, "visibility", source->is_private ? "private" : "public");
    json_write_member_string(w, "signed", source_policy_names[source->policy]);
    json_write_member_boolean(w, "require_release", source->require_release);
    json_write_member_string(w, "removals", source->follow_removals ? "follow" : "keep");
    json_write_member_integer(w, "interval_seconds", source->interval_s);
    json_write_member_boolean(w, "paused", source->paused);
    json_write_object_end(w);
}

static void print_list_json(const Config *config)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "file", config->file);
    json_write_key(&w, "sources");
    json_write_array_begin(&w);
    for (guint i = 0; i < config->sources->len; i++) {
        write_source(&w, g_ptr_array_index(config->sources, i));
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    puts(out->str);
}

/* The URL, and what of it: "https://… (tag v1, below data)". */
static char *describe_place(const MirrorSource *source)
{
    g_autofree char *url = source_shown_url(source);
    g_autofree char *ref =
        source->ref != NULL ? g_strconcat(source->ref_is_tag ? "tag " : "branch ", source->ref, NULL) : NULL;
    g_autofree char *below = *source->path != '\0' ? g_strconcat("below ", source->path, NULL) : NULL;

    if (ref == NULL && below == NULL) {
        return g_steal_pointer(&url);
    }
    return g_strdup_printf("%s (%s%s%s)", url, ref != NULL ? ref : "",
                           ref != NULL && below != NULL ? ", " : "", below != NULL ? below : "");
}

static void print_list(const Config *config)
{
    g_autoptr(TerminalTable) table = terminal_table_new(6);

    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);
        g_autofree char *interval = scalar_format_duration((gint64)source->interval_s * 1000);
        g_autofree char *every = source->paused ? g_strdup("paused") : g_strconcat("every ", interval, NULL);
        g_autofree char *policy = g_strconcat("signed ", source_policy_names[source->policy], NULL);
        g_autofree char *place = describe_place(source);

        terminal_table_add(table, source->paused ? TERMINAL_DIM : TERMINAL_PLAIN, source->name,
                           source_kind_name(source->kind), source->is_private ? "private" : "public", policy,
                           every, place);
    }
    terminal_table_print(table, stdout, /* indent= */ 0);
    if (config->sources->len == 0) {
        fprintf(stderr, "no mirrors and no peers; 'kontor mirror add NAME URL' adds one\n");
    }
}

static CliExit run_list(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = mirror_config_load(args, &error);

    if (config == NULL) {
        return cli_fail_usage(error);
    }
    (cli_args_flag(args, "json") ? print_list_json : print_list)(config);
    return CLI_OK;
}

/* --- Changing --- */

/* What is to become of one source. */
typedef struct {
    const char *name;
    gboolean remove;
    gboolean paused; /* else */
    SourceKind kind; /* found out */
} Wish;

static char *edit_one(const Config *config, const char *text, gpointer user, GError **error)
{
    Wish *wish = user;
    const MirrorSource *source = mirror_source_find(config, wish->name, error);
    ConfigEditMember member = {"paused", wish->paused ? "true" : "false"};

    if (source == NULL) {
        return NULL;
    }
    wish->kind = source->kind;
    if (wish->remove) {
        return config_edit_remove(config->file, text, config_sources_key(source->kind), wish->name, error);
    }
    if (source->paused == wish->paused) {
        return g_strdup(text);
    }
    return config_edit_set(config->file, text, config_sources_key(source->kind), wish->name, &member, error);
}

static CliExit change_one(const CliArgs *args, Wish *wish, MirrorChange *change)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) readable = mirror_config_load(args, &error);
    g_autoptr(Config) after = NULL;

    if (readable == NULL) {
        return cli_fail_usage(error);
    }
    wish->name = cli_args_operand(args, 0);
    after = mirror_config_change(args, edit_one, wish, &change->changed, &error);
    if (after == NULL) {
        return cli_fail(error);
    }
    change->name = wish->name;
    change->kind = wish->kind;
    return mirror_change_report(args, after, change);
}

static CliExit run_remove(const CliArgs *args)
{
    Wish wish = {.remove = TRUE};
    MirrorChange change = {
        .action = "removed",
        .next = "what came from it is no longer served, unless another source has it too",
        .later = "when a broker starts, what came from it is no longer served, unless another source has it "
                 "too, and "
                 "its disk space is freed",
    };

    return change_one(args, &wish, &change);
}

static CliExit run_pause(const CliArgs *args)
{
    Wish wish = {.paused = TRUE};
    MirrorChange change = {
        .action = "paused",
        .next = "what is mirrored stays served; 'kontor mirror resume' goes on",
        .later = "what is mirrored stays served; 'kontor mirror resume' goes on",
    };

    return change_one(args, &wish, &change);
}

static CliExit run_resume(const CliArgs *args)
{
    Wish wish = {.paused = FALSE};
    MirrorChange change = {
        .action = "resumed",
        .next = "it is fetched when it is due; 'kontor mirror sync' fetches it now",
        .later = "it is fetched when a broker runs, or by 'kontor mirror sync'",
    };

    return change_one(args, &wish, &change);
}

/* --- Table --- */

static const CliOption add_options[] = {
    {"branch", 0, "NAME", "branch to follow (default: the repository's HEAD)", FALSE},
    {"tag", 0, "NAME", "tag to follow, instead of a branch", FALSE},
    {"path", 0, "DIR", "directory of the repository that holds the packs (default: its root)", FALSE},
    {"pack", 0, "PATH", "path of the pack, when that directory is itself one", FALSE},
    {"include", 0, "GLOB", "packs to bring, * ** ? allowed (default: all)", TRUE},
    {"exclude", 0, "GLOB", "packs to leave out", TRUE},
    {"private", 0, NULL, "show the packs only to who has a read token for them", FALSE},
    {"signed", 0, "POLICY", "required, preferred or off (default: signed.mirrors)", FALSE},
    {"require-release", 0, NULL, "accept only packs whose path, version and date are signed too", FALSE},
    {"removals", 0, "WHAT", "keep packs that the source no longer has, or follow (default: keep)", FALSE},
    {"interval", 0, "TIME", "between two syncs (default: 60s)", FALSE},
    {"max-time", 0, "TIME", "for one sync (default: 15m)", FALSE},
    {"max-bytes", 0, "SIZE", "received in one sync (default: 2GiB)", FALSE},
    {"token-file", 0, "FILE", "a peer's read token, or the password of --user over https", FALSE},
    {"user", 0, "NAME", "user name over https and ssh (default: git)", FALSE},
    {"ssh-key", 0, "FILE", "private key for ssh", FALSE},
    {"known-hosts", 0, "FILE", "host keys for ssh", FALSE},
    {"netrc", 0, "FILE", "machine, login and password lines for https", FALSE},
    {"ca", 0, "FILE", "certificates to trust instead of the system's", FALSE},
    {"peer", 0, NULL, "URL is a broker: ask it for its key, and ask you whether to accept it", FALSE},
    {"peer-key", 0, "KEY", "URL is a broker with this public key, as its /version shows it", FALSE},
    {"yes", 'y', NULL, "accept the key that the broker shows", FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption sync_options[] = {
    {"prune", 0, NULL, "packs that are gone from the source, however many, are really gone", FALSE},
    {"full", 0, NULL, "look at everything again, not only at what has changed", FALSE},
    {"reset", 0, NULL, "trust the present catalog of a peer after a fork or rollback", FALSE},
    {"verbose", 'v', NULL, "a line for every pack, however many there are", FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption status_options[] = {
    {"verbose", 'v', NULL, "a line for every refused pack, however many there are", FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption history_options[] = {
    {"path", 0, "PATH", "only packs at or below this path", FALSE},
    {"limit", 0, "N", "at most so many events, 1 to 10000 (default: 100)", FALSE},
    CLI_OPTION_DATA,
    CLI_OPTION_CONFIG,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption config_options[] = {CLI_OPTION_DATA, CLI_OPTION_CONFIG, CLI_OPTION_JSON,
                                           CLI_OPTION_END};

const CliCommand cmd_mirror_commands[] = {
    {
        .name = "mirror add",
        .arguments = "NAME URL",
        .args_min = 2,
        .args_max = 2,
        .summary = "Mirror packs from a git repository or from another broker",
        .details =
            "Adds an item to kontor.yaml, which keeps its comments and layout, and tells the running "
            "broker.\n"
            "URL is a repository (https, ssh, git, file, user@host:path or a directory), or with --peer or\n"
            "--peer-key a broker. Only packs of publishers that you trust are taken ('kontor trust add').\n"
            "Secrets stay in files of their own: neither the command line nor kontor.yaml holds them.\n",
        .examples = "  kontor mirror add commons https://git.example/packs.git --branch main\n"
                    "  kontor mirror add archive git@git.example:archive.git --ssh-key id --known-hosts "
                    "hosts --private\n"
                    "  kontor mirror add north https://north.example --peer\n",
        .options = add_options,
        .run = mirror_add_run,
    },
    {
        .name = "mirror list",
        .summary = "Show the mirrors and peers of the configuration",
        .details = "How they are doing is shown by 'kontor mirror status'.\n",
        .examples = "  kontor mirror list\n  kontor mirror list --json\n",
        .options = config_options,
        .run = run_list,
    },
    {
        .name = "mirror remove",
        .arguments = "NAME",
        .args_min = 1,
        .args_max = 1,
        .summary = "Stop mirroring a source and serving what came from it",
        .details = "Takes the item out of kontor.yaml and tells the running broker. Which release of a path "
                   "was held\n"
                   "is remembered, so that no older one can come back through another source.\n",
        .examples = "  kontor mirror remove commons\n",
        .options = config_options,
        .run = run_remove,
    },
    {
        .name = "mirror pause",
        .arguments = "NAME",
        .args_min = 1,
        .args_max = 1,
        .summary = "Stop fetching from a source; what is mirrored stays served",
        .details = "Writes 'paused: true' into kontor.yaml and tells the running broker.\n",
        .examples = "  kontor mirror pause commons\n",
        .options = config_options,
        .run = run_pause,
    },
    {
        .name = "mirror resume",
        .arguments = "NAME",
        .args_min = 1,
        .args_max = 1,
        .summary = "Fetch from a paused source again",
        .details = "Writes 'paused: false' into kontor.yaml and tells the running broker.\n",
        .examples = "  kontor mirror resume commons\n",
        .options = config_options,
        .run = run_resume,
    },
    {
        .name = "mirror sync",
        .arguments = "[NAME]",
        .args_max = 1,
        .summary = "Fetch now, and show how it goes",
        .details =
            "From one source, also a paused one, or from all that are not paused. The running broker does "
            "it;\n"
            "without one, this command. Exit code 1 when a source failed, 9 when none did but releases were\n"
            "refused. Many packs to which the same happened are told together. With --json each event is a "
            "line\n"
            "of its own.\n",
        .examples =
            "  kontor mirror sync\n  kontor mirror sync commons --prune\n  kontor mirror sync --json\n",
        .options = sync_options,
        .run = mirror_sync_run,
    },
    {
        .name = "mirror status",
        .arguments = "[NAME]",
        .args_max = 1,
        .summary = "Show how the mirrors and peers are doing",
        .details =
            "Below the table, each alarm, each source that fails, and each pack that is refused, with "
            "the rule\n"
            "that it breaks and what can be done. Many packs that are refused for one reason are told\n"
            "together.\n",
        .examples = "  kontor mirror status\n  kontor mirror status commons -v\n",
        .options = status_options,
        .run = mirror_status_run,
    },
    {
        .name = "mirror history",
        .arguments = "[NAME]",
        .args_max = 1,
        .summary = "Show what was installed, withdrawn, removed and refused",
        .details = "The newest event is the last. At most 10,000 are kept.\n",
        .examples =
            "  kontor mirror history --limit 20\n  kontor mirror history commons --path history/rome\n",
        .options = history_options,
        .run = mirror_history_run,
    },
    {.name = NULL},
};
