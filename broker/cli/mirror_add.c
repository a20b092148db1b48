/* SPDX-License-Identifier: MIT
 *
 * kontor mirror add: the options become an item of `mirrors` or `peers`. Whether it is a good one is decided
 * by loading the configuration that would come out; what that says about the new item is told in the words of
 * the command line.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/cli/mirror.h"
#include "broker/cli/terminal.h"
#include "broker/config_edit.h"
#include "broker/config_sources.h"
#include "mirror/agent/source_check.h"
#include "schema/limits.h"
#include "schema/yamldoc.h"
#include "signing/key_file.h"

typedef enum { VALUE_TEXT, VALUE_LIST, VALUE_FILE, VALUE_PLAIN, VALUE_FLAG } ValueKind;

/* From option to key, in the order in which members are written. */
static const struct {
    const char *option, *key;
    ValueKind kind;
    const char *flag; /* what a flag stands for */
} translations[] = {
    {"branch", "branch", VALUE_TEXT, NULL},
    {"tag", "tag", VALUE_TEXT, NULL},
    {"path", "path", VALUE_TEXT, NULL},
    {"pack", "pack", VALUE_TEXT, NULL},
    {"include", "include", VALUE_LIST, NULL},
    {"exclude", "exclude", VALUE_LIST, NULL},
    {"private", "visibility", VALUE_FLAG, "private"},
    {"signed", "signed", VALUE_PLAIN, NULL},
    {"require-release", "require_release", VALUE_FLAG, "true"},
    {"removals", "removals", VALUE_PLAIN, NULL},
    {"interval", "interval", VALUE_PLAIN, NULL},
    {"max-time", "max_time", VALUE_PLAIN, NULL},
    {"max-bytes", "max_bytes", VALUE_PLAIN, NULL},
    {"token-file", "token_file", VALUE_FILE, NULL},
    {"user", "user", VALUE_TEXT, NULL},
    {"ssh-key", "ssh_key", VALUE_FILE, NULL},
    {"known-hosts", "known_hosts", VALUE_FILE, NULL},
    {"netrc", "netrc", VALUE_FILE, NULL},
    {"ca", "ca", VALUE_FILE, NULL},
};

/* The item to be. */
typedef struct {
    SourceKind kind;
    const char *name;
    char *url;
    GArray *members;   /* of ConfigEditMember */
    GPtrArray *values; /* of char *: what the members borrow */
} Item;

static void item_init(Item *item)
{
    item->members = g_array_new(FALSE, FALSE, sizeof(ConfigEditMember));
    item->values = g_ptr_array_new_with_free_func(g_free);
}

static void item_clear(Item *item)
{
    g_free(item->url);
    g_array_unref(item->members);
    g_ptr_array_unref(item->values);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Item, item_clear)

/* Takes `yaml` over. */
static void add_member(Item *item, const char *key, char *yaml)
{
    ConfigEditMember member = {key, yaml};

    g_ptr_array_add(item->values, yaml);
    g_array_append_val(item->members, member);
}

/* --- Values as YAML --- */

/* As people would write it: without quotes where no reader could take it for anything but text. */
static char *text_as_yaml(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", NULL};
    const char *safe = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_./:@-";
    g_autofree char *lower = g_ascii_strdown(text, -1);
    gsize len = strlen(text);

    if (len > 0 && (g_ascii_isalpha(*text) || *text == '/') && text[strspn(text, safe)] == '\0' &&
        text[len - 1] != ':' && !g_strv_contains(words, lower)) {
        return g_strdup(text);
    }
    return yamldoc_quote(text);
}

static char *list_as_yaml(char *const *texts)
{
    GString *out = g_string_new("[");

    for (guint i = 0; texts[i] != NULL; i++) {
        g_autofree char *quoted = yamldoc_quote(texts[i]);

        g_string_append_printf(out, "%s%s", i > 0 ? ", " : "", quoted);
    }
    g_string_append_c(out, ']');
    return g_string_free(out, /* free_segment= */ FALSE);
}

/* Relative to the data directory when it is in there, so that the directory can be moved. */
static char *file_as_yaml(const Config *config, const char *file)
{
    g_autofree char *absolute = g_canonicalize_filename(file, NULL);
    gsize len = strlen(config->data_dir);
    gboolean inside = strncmp(absolute, config->data_dir, len) == 0 && absolute[len] == '/';

    return text_as_yaml(inside ? absolute + len + 1 : absolute);
}

static gboolean check_value(const char *option, const char *value, ValueKind kind, GError **error)
{
    struct stat st;

    if (!g_utf8_validate(value, -1, NULL)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--%s is not UTF-8", option);
        return FALSE;
    }
    /* A plain value stands in the file as it is. */
    if (kind == VALUE_PLAIN &&
        (*value == '\0' || value[strspn(value, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".")] != '\0')) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--%s: expected a word or number", option);
        return FALSE;
    }
    if (kind == VALUE_FILE && stat(value, &st) != 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND, "--%s: there is no file %s", option, value);
        return FALSE;
    }
    if (kind == VALUE_FILE && (st.st_mode & 077) != 0 && strcmp(option, "ca") != 0 &&
        strcmp(option, "known-hosts") != 0) {
        fprintf(stderr, "warning: --%s: other users can read that file; 'chmod 600' it\n", option);
    }
    return TRUE;
}

static gboolean take_option(const CliArgs *args, const Config *config, guint index, Item *item,
                            GError **error)
{
    const char *option = translations[index].option, *key = translations[index].key;
    const char *value = cli_args_value(args, option);

    switch (translations[index].kind) {
    case VALUE_FLAG:
        if (cli_args_flag(args, option)) {
            add_member(item, key, g_strdup(translations[index].flag));
        }
        return TRUE;
    case VALUE_LIST:
        for (char **texts = cli_args_values(args, option); texts != NULL && *texts != NULL; texts++) {
            if (!check_value(option, *texts, VALUE_LIST, error)) {
                return FALSE;
            }
        }
        if (cli_args_values(args, option) != NULL) {
            add_member(item, key, list_as_yaml(cli_args_values(args, option)));
        }
        return TRUE;
    case VALUE_TEXT:
    case VALUE_FILE:
    case VALUE_PLAIN:
        break;
    }
    if (value == NULL) {
        return TRUE;
    }
    if (!check_value(option, value, translations[index].kind, error)) {
        return FALSE;
    }
    add_member(item, key,
               translations[index].kind == VALUE_FILE    ? file_as_yaml(config, value)
               : translations[index].kind == VALUE_PLAIN ? g_strdup(value)
                                                         : text_as_yaml(value));
    return TRUE;
}

/* --- The key of a peer --- */

/* TRUE when the answer is yes. */
static gboolean ask_yes(const char *question)
{
    char answer[16] = "";

    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static void print_found(const char *url, const PeerVersion *version)
{
    char fingerprint[FINGERPRINT_CHARS + 1];

    public_key_fingerprint(&version->key, fingerprint);
    terminal_print(stderr, TERMINAL_PLAIN, url);
    fprintf(stderr, " says that it is ");
    terminal_print(stderr, TERMINAL_BOLD, version->name);
    fprintf(stderr, ", with the key\n  %s  (fingerprint ", version->verifier_key);
    terminal_print(stderr, TERMINAL_BOLD, fingerprint);
    fprintf(stderr,
            ")\nThis is trust on first use: nobody vouches for the key but this one connection%s.\n"
            "Compare it with what the peer's operator tells you by another way. From now on only this key "
            "counts.\n",
            g_str_has_prefix(url, "https://") ? "" : ", which anybody on the way can change");
}

/* A broker that mirrors itself brings nothing and hides who is who. */
static gboolean check_not_self(const Config *config, const PeerVersion *version, GError **error)
{
    g_autofree char *path = g_build_filename(config->data_dir, "keys", "broker.key", NULL);
    g_autofree char *text = NULL;
    gsize len = 0;
    g_autoptr(KeyFile) own = NULL;

    if (g_file_get_contents(path, &text, &len, NULL)) {
        own = key_file_parse_public(text, len, /* raw_is_secret= */ FALSE, NULL);
    }
    if (own != NULL && public_key_equal(&own->public_key, &version->key)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
                    "%s is the broker of %s itself; nothing was added", version->name, config->data_dir);
        return FALSE;
    }
    return TRUE;
}

/* Asks the peer for its key, and the operator whether to believe it. A new string, or NULL. */
static char *key_on_first_use(const CliArgs *args, const Config *config, const char *url, GError **error)
{
    g_auto(PeerVersion) version = {0};

    if (!source_check_peer_url(url, error) ||
        !peer_version_fetch(url, cli_args_value(args, "ca"), &version, error) ||
        !check_not_self(config, &version, error)) {
        return NULL;
    }
    print_found(url, &version);
    if (cli_args_flag(args, "yes")) {
        return g_steal_pointer(&version.verifier_key);
    }
    if (isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0 && ask_yes("Accept it?")) {
        return g_steal_pointer(&version.verifier_key);
    }
    g_set_error_literal(
        error, KONTOR_ERROR, KONTOR_ERROR_UNTRUSTED,
        "nothing was added; say --yes to accept that key, or --peer-key KEY with the one that you "
        "were told");
    return NULL;
}

/* --- Telling what is wrong --- */

/* "…mirrors[3].token_file: text" becomes "--token-file: text": the line is not in the file yet. */
static void in_words_of_options(const Config *config, const Item *item, GError **error)
{
    g_autofree char *prefix = NULL;
    const char *list = config_sources_key(item->kind);
    const char *at = *error != NULL ? strstr((*error)->message, list) : NULL;
    const char *dot = at != NULL ? strchr(at, ']') : NULL;
    gsize key_len = dot != NULL && dot[1] == '.' ? strcspn(dot + 2, ":[ ") : 0;
    guint count = 0;
    char *words = NULL;

    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);

        count += source->kind == item->kind ? 1 : 0;
    }
    prefix = g_strdup_printf("%s[%u]", list, count);
    if (at == NULL || !g_str_has_prefix(at, prefix)) {
        return;
    }
    dot += dot[1] == '.' ? 2 : 1;
    for (guint i = 0; i < G_N_ELEMENTS(translations) && words == NULL; i++) {
        if (strlen(translations[i].key) == key_len && strncmp(dot, translations[i].key, key_len) == 0) {
            words = g_strdup_printf("--%s%s", translations[i].option, dot + key_len);
        }
    }
    if (words == NULL && strncmp(dot, "key", key_len) == 0 && key_len == 3) {
        words = g_strconcat("--peer-key", dot + key_len, NULL);
    }
    if (words == NULL && key_len == 3 &&
        (strncmp(dot, "git", key_len) == 0 || strncmp(dot, "url", key_len) == 0)) {
        words = g_strconcat("URL", dot + key_len, NULL);
    }
    if (words == NULL) {
        words = g_strdup(g_str_has_prefix(dot, ": ") ? dot + 2 : dot);
    }
    g_free((*error)->message);
    (*error)->message = words;
}

/* --- Adding --- */

/* The operand as the file has it: a directory of this host in full, a peer without a slash at its end. */
static char *url_of(const char *operand, SourceKind kind)
{
    gsize len = strlen(operand);

    if (kind == SOURCE_GIT && strstr(operand, "://") == NULL && g_file_test(operand, G_FILE_TEST_IS_DIR)) {
        return g_canonicalize_filename(operand, NULL);
    }
    while (kind == SOURCE_PEER && len > 0 && operand[len - 1] == '/') {
        len--;
    }
    return g_strndup(operand, len);
}

/* Which code fits what went wrong. */
static CliExit fail(const GError *error)
{
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNTRUSTED)) {
        cli_fail(error);
        return CLI_UNTRUSTED;
    }
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_BUSY)) {
        cli_fail(error);
        return CLI_UNREACHABLE;
    }
    return g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED) ||
                   g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT) ||
                   g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED)
               ? cli_fail_usage(error)
               : cli_fail(error);
}

static gboolean fill_item(const CliArgs *args, const Config *config, Item *item, GError **error)
{
    const char *key = cli_args_value(args, "peer-key");
    g_autofree char *found = NULL;

    add_member(item, "name", text_as_yaml(item->name));
    add_member(item, item->kind == SOURCE_GIT ? "git" : "url", text_as_yaml(item->url));
    if (item->kind == SOURCE_PEER && key == NULL) {
        found = key_on_first_use(args, config, item->url, error);
        if (found == NULL) {
            return FALSE;
        }
        key = found;
    }
    if (key != NULL) {
        add_member(item, "key", yamldoc_quote(key));
    }
    for (guint i = 0; i < G_N_ELEMENTS(translations); i++) {
        if (!take_option(args, config, i, item, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static char *edit_add(const Config *config, const char *text, gpointer user, GError **error)
{
    const Item *item = user;

    for (guint i = 0; i < config->sources->len; i++) {
        const MirrorSource *source = g_ptr_array_index(config->sources, i);

        if (strcmp(source->name, item->name) == 0) {
            g_set_error(
                error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT,
                "there is a %s named '%s' already; take another name, or 'kontor mirror remove %s' first",
                source->kind == SOURCE_GIT ? "mirror" : "peer", item->name, item->name);
            return NULL;
        }
    }
    return config_edit_add(config->file, text, config_sources_key(item->kind),
                           (const ConfigEditMember *)(gconstpointer)item->members->data, item->members->len,
                           error);
}

/* An empty trust list is the usual reason why a first mirror stays empty. */
static gboolean nobody_is_trusted(const Config *config)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    g_autoptr(TrustList) list = NULL;

    if (g_file_get_contents(config->trust_file, &text, &len, NULL)) {
        list = trust_list_parse(config->trust_file, text, len, NULL);
    }
    return list == NULL || trust_list_count(list) == 0;
}

/* A line about a directory of this host that does not exist (now); "" for everything else. */
static char *lacking_directory(const Item *item)
{
    const char *path = g_str_has_prefix(item->url, "file://") ? item->url + strlen("file://") : item->url;

    return item->kind == SOURCE_GIT && *path == '/' && !g_file_test(path, G_FILE_TEST_IS_DIR)
               ? g_strdup_printf("\nno directory %s can be seen now", path)
               : g_strdup("");
}

static CliExit report_added(const CliArgs *args, const Config *config, const Item *item)
{
    const MirrorSource *source = mirror_source_find(config, item->name, NULL);
    const char *seen = source->is_private
                           ? "its packs are private: only who has a read token for them sees them"
                           : "its packs are public: everybody sees them";
    const char *trust = source->policy == PACK_POLICY_REQUIRED && nobody_is_trusted(config)
                            ? "\nnobody is trusted yet, so no pack will be accepted: 'kontor mirror status' "
                              "names the keys, and "
                              "'kontor trust add KEY' trusts one"
                            : "";
    g_autofree char *lacking = lacking_directory(item);
    g_autofree char *next =
        g_strdup_printf("%s%s\nit is fetched now; 'kontor mirror status %s' shows how far it is%s", seen,
                        lacking, item->name, trust);
    g_autofree char *later =
        g_strdup_printf("%s%s\nno broker runs here: 'kontor mirror sync %s' fetches it now, 'kontor "
                        "serve' when it starts%s",
                        seen, lacking, item->name, trust);
    MirrorChange change = {.action = "added",
                           .name = item->name,
                           .kind = item->kind,
                           .changed = TRUE,
                           .next = next,
                           .later = later};

    return mirror_change_report(args, config, &change);
}

CliExit mirror_add_run(const CliArgs *args)
{
    g_auto(Item) item = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) before = NULL;
    g_autoptr(Config) after = NULL;
    gboolean changed = FALSE;

    signing_init();
    item_init(&item);
    item.name = cli_args_operand(args, 0);
    item.kind =
        cli_args_flag(args, "peer") || cli_args_value(args, "peer-key") != NULL ? SOURCE_PEER : SOURCE_GIT;
    item.url = url_of(cli_args_operand(args, 1), item.kind);
    before = mirror_config_load(args, &error);
    if (before == NULL || !source_check_name(item.name, &error)) {
        return cli_fail_usage(error);
    }
    if (!check_value("url", item.url, VALUE_TEXT, &error) || !fill_item(args, before, &item, &error)) {
        return fail(error);
    }
    after = mirror_config_change(args, edit_add, &item, &changed, &error);
    if (after == NULL) {
        in_words_of_options(before, &item, &error);
        return fail(error);
    }
    return report_added(args, after, &item);
}
