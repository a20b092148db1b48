/* SPDX-License-Identifier: MIT
 *
 * search, tree and get: what a Node asks over HTTP, asked from a terminal. With --json the broker's answer is
 * printed as it came.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/client.h"
#include "broker/cli/commands.h"
#include "broker/cli/terminal.h"
#include "schema/json_writer.h"
#include "schema/limits.h"

#define TEXT_BYTES_MAX LIMIT_SUMMARY_BYTES
#define RESULTS_MAX 1000
#define TREE_DEPTH_DEFAULT 3
#define TREE_ENTRIES_MAX 100000 /* a broker that invents directories without end is left there */

static void print_bytes(GBytes *bytes)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);

    fwrite(data, 1, len, stdout);
}

/* --- search --- */

static gboolean print_result(const JsonValue *result, guint rank, GError **error)
{
    const char *pack = NULL, *page = NULL, *title = "", *summary = "";

    if (!json_get_string(result, "pack_path", JSON_REQUIRED, LIMIT_PACK_PATH_BYTES, &pack, error) ||
        !json_get_string(result, "page_file", JSON_REQUIRED, TEXT_BYTES_MAX, &page, error) ||
        !json_get_string(result, "title", JSON_OPTIONAL_NULL, TEXT_BYTES_MAX, &title, error) ||
        !json_get_string(result, "summary", JSON_OPTIONAL_NULL, TEXT_BYTES_MAX, &summary, error)) {
        return FALSE;
    }
    printf("%2u. ", rank);
    terminal_print(stdout, TERMINAL_BOLD, title);
    fputs("\n    ", stdout);
    terminal_print(stdout, TERMINAL_GOOD, pack);
    fputc(' ', stdout);
    terminal_print(stdout, TERMINAL_GOOD, page);
    if (*summary != '\0') {
        fputs("\n    ", stdout);
        terminal_print(stdout, TERMINAL_PLAIN, summary);
    }
    fputc('\n', stdout);
    return TRUE;
}

static gboolean print_results(const JsonDoc *doc, GError **error)
{
    const JsonValue *results = NULL;
    guint rank = 0;

    if (!json_get_array(json_doc_root(doc), "results", JSON_REQUIRED, RESULTS_MAX, &results, error)) {
        return FALSE;
    }
    for (const JsonValue *r = json_value_first(results); r != NULL; r = json_value_next(r)) {
        if (!print_result(r, ++rank, error)) {
            return FALSE;
        }
    }
    if (rank == 0) {
        fputs("no page matches\n", stderr);
    }
    return TRUE;
}

/* The operands joined by blanks: quoting a query is not necessary. */
static char *join_operands(const CliArgs *args)
{
    g_autoptr(GString) words = g_string_new(NULL);

    for (guint i = 0; i < cli_args_count(args); i++) {
        g_string_append_printf(words, "%s%s", i > 0 ? " " : "", cli_args_operand(args, i));
    }
    return g_string_free(g_steal_pointer(&words), /* free_segment= */ FALSE);
}

static GString *search_request(const CliArgs *args, gint64 k)
{
    GString *body = g_string_new(NULL);
    g_autofree char *query = join_operands(args);
    g_auto(JsonWriter) w;

    json_writer_init(&w, body, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "q", query);
    json_write_member_integer(&w, "k", k);
    if (cli_args_value(args, "scope") != NULL) {
        json_write_member_string(&w, "scope", cli_args_value(args, "scope"));
    }
    json_write_object_end(&w);
    return body;
}

static CliExit run_search(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CliClient) client = NULL;
    g_autoptr(GString) body = NULL;
    g_autoptr(GBytes) answer = NULL;
    g_autoptr(JsonDoc) doc = NULL;
    gint64 k = LIMIT_SEARCH_K_DEFAULT;

    if (!cli_args_integer(args, "count", 1, LIMIT_SEARCH_K, &k, &error)) {
        return cli_fail_usage(error);
    }
    client = cli_client_new(args, &error);
    if (client == NULL) {
        return cli_client_fail(error);
    }
    body = search_request(args, k);
    answer = cli_client_post(client, "/search", body, &error);
    if (answer != NULL && cli_args_flag(args, "json")) {
        print_bytes(answer);
        fputc('\n', stdout);
        return CLI_OK;
    }
    doc = answer != NULL ? cli_client_parse(client, answer, &error) : NULL;
    if (doc == NULL || !print_results(doc, &error)) {
        return cli_client_fail(error);
    }
    return CLI_OK;
}

/* --- tree --- */

typedef struct {
    CliClient *client;
    guint depth_max;
    guint entries;
} TreeWalk;

static char *tree_target(const char *path)
{
    return *path != '\0' ? cli_client_target("/tree/", path, "") : g_strdup("/tree");
}

/* The names below a path, lent from the returned document, and whether the path is a pack itself. The root
 * answers with a bare list, every other directory with an object. */
static JsonDoc *tree_level(TreeWalk *walk, const char *path, const JsonValue **ret_children,
                           gboolean *ret_has_pack, GError **error)
{
    g_autofree char *target = tree_target(path);
    g_autoptr(GBytes) answer = cli_client_get(walk->client, target, error);
    g_autoptr(JsonDoc) doc = answer != NULL ? cli_client_parse(walk->client, answer, error) : NULL;
    const JsonValue *root;

    if (doc == NULL) {
        return NULL;
    }
    root = json_doc_root(doc);
    if (json_value_kind(root) == JSON_ARRAY) {
        *ret_children = root;
        return g_steal_pointer(&doc);
    }
    if (json_value_kind(root) != JSON_OBJECT) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "answer is neither a list nor an object");
        return NULL;
    }
    if (!json_get_array(root, "children", JSON_REQUIRED, TREE_ENTRIES_MAX, ret_children, error) ||
        !json_get_boolean(root, "has_pack", JSON_OPTIONAL, ret_has_pack, error)) {
        return NULL;
    }
    return g_steal_pointer(&doc);
}

static gboolean print_children(TreeWalk *walk, const char *path, const JsonValue *children, guint depth,
                               GError **error);

/* One line for a directory, marked when it is a pack, then what is below it. */
static gboolean print_child(TreeWalk *walk, const char *path, const char *name, guint depth, GError **error)
{
    g_autofree char *child = *path != '\0' ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
    gboolean last_level = depth + 1 >= walk->depth_max;
    const JsonValue *children = NULL;
    gboolean has_pack = FALSE;
    g_autoptr(JsonDoc) level = NULL;

    if (++walk->entries > TREE_ENTRIES_MAX) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "the tree has more than %d directories",
                    TREE_ENTRIES_MAX);
        return FALSE;
    }
    level = tree_level(walk, child, &children, &has_pack, error);
    if (level == NULL) {
        return FALSE;
    }
    printf("%*s", (int)(depth * 2), "");
    terminal_print(stdout, has_pack ? TERMINAL_GOOD : TERMINAL_PLAIN, name);
    printf("%s%s\n", has_pack ? "  [pack]" : "",
           last_level && json_value_first(children) != NULL ? "  …" : "");
    return last_level || print_children(walk, child, children, depth + 1, error);
}

static gboolean print_children(TreeWalk *walk, const char *path, const JsonValue *children, guint depth,
                               GError **error)
{
    for (const JsonValue *c = json_value_first(children); c != NULL; c = json_value_next(c)) {
        if (json_value_kind(c) == JSON_STRING &&
            !print_child(walk, path, json_value_string(c), depth, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static CliExit print_tree(CliClient *client, const char *path, guint depth_max)
{
    TreeWalk walk = {.client = client, .depth_max = depth_max};
    g_autoptr(GError) error = NULL;
    const JsonValue *children = NULL;
    gboolean has_pack = FALSE;
    g_autoptr(JsonDoc) level = tree_level(&walk, path, &children, &has_pack, &error);

    if (level != NULL && *path != '\0') {
        terminal_print(stdout, has_pack ? TERMINAL_GOOD : TERMINAL_PLAIN, path);
        puts(has_pack ? "  [pack]" : "");
    }
    if (level == NULL || !print_children(&walk, path, children, *path != '\0' ? 1 : 0, &error)) {
        g_prefix_error(&error, "%s: ", *path != '\0' ? path : "tree");
        return cli_client_fail(error);
    }
    return CLI_OK;
}

/* A path as users write it, without the slashes around it. */
static char *trim_slashes(const char *path)
{
    g_autofree char *trimmed = NULL;

    path += strspn(path, "/");
    trimmed = g_strdup(path);
    while (g_str_has_suffix(trimmed, "/")) {
        trimmed[strlen(trimmed) - 1] = '\0';
    }
    return g_steal_pointer(&trimmed);
}

/* Prints the answer to a GET as it came, with a line feed behind it. */
static CliExit print_answer(CliClient *client, const char *target)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = cli_client_get(client, target, &error);

    if (answer == NULL) {
        return cli_client_fail(error);
    }
    print_bytes(answer);
    fputc('\n', stdout);
    return CLI_OK;
}

static CliExit run_tree(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = trim_slashes(cli_args_count(args) > 0 ? cli_args_operand(args, 0) : "");
    g_autoptr(CliClient) client = NULL;
    gint64 depth = TREE_DEPTH_DEFAULT;

    if (!cli_args_integer(args, "depth", 1, LIMIT_PATH_DEPTH, &depth, &error)) {
        return cli_fail_usage(error);
    }
    client = cli_client_new(args, &error);
    if (client == NULL) {
        return cli_client_fail(error);
    }
    if (cli_args_flag(args, "json")) {
        g_autofree char *target = tree_target(path);

        return print_answer(client, target);
    }
    return print_tree(client, path, (guint)depth + (*path != '\0' ? 1 : 0));
}

/* --- get --- */

static char *get_target(const char *pack, const char *page)
{
    g_autofree char *prefix = cli_client_target("/packs/", pack, "");

    if (strcmp(page, "manifest.yaml") == 0 || strcmp(page, "manifest.sig") == 0) {
        return g_strconcat(prefix, "/", page, NULL);
    }
    g_autofree char *file = g_uri_escape_string(page, "/", /* allow_utf8= */ FALSE);

    return g_strconcat(prefix, "/wiki/", file, NULL);
}

/* Bytes go unchanged into a file or pipe. On a terminal, a page must not steer the terminal. */
static CliExit print_page(GBytes *page)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(page, &len);

    if (isatty(STDOUT_FILENO) == 0) {
        print_bytes(page);
        return CLI_OK;
    }
    if (len > 0 && !g_utf8_validate_len(text, len, NULL)) {
        fputs("kontor: get: not text; redirect the output into a file\n", stderr);
        return CLI_FAILURE;
    }
    g_autofree char *cleaned = terminal_clean_prose(text, len);

    fputs(cleaned, stdout);
    return CLI_OK;
}

static CliExit run_get(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *pack = trim_slashes(cli_args_operand(args, 0));
    const char *page = cli_args_count(args) > 1 ? cli_args_operand(args, 1) : "index.md";
    g_autofree char *target = get_target(pack, page);
    g_autoptr(CliClient) client = cli_client_new(args, &error);
    g_autoptr(GBytes) body = client != NULL ? cli_client_get(client, target, &error) : NULL;

    if (body == NULL) {
        g_prefix_error(&error, "pack '%s': %s: ", pack, page);
        return cli_client_fail(error);
    }
    return print_page(body);
}

/* --- Table --- */

static const CliOption search_options[] = {
    {"count", 'k', "N", "how many results, 1 to 50 (default: 10)", FALSE},
    {"scope", 's', "PATH", "only packs at or below this path", FALSE},
    CLI_OPTION_AT,
    CLI_OPTION_DATA,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption tree_options[] = {
    {"depth", 'd', "N", "levels to show, 1 to 32 (default: 3)", FALSE},
    CLI_OPTION_AT,
    CLI_OPTION_DATA,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};
static const CliOption get_options[] = {CLI_OPTION_AT, CLI_OPTION_DATA, CLI_OPTION_END};

const CliCommand cmd_read_commands[] = {
    {
        .name = "search",
        .arguments = "QUERY…",
        .args_min = 1,
        .args_max = G_MAXUINT,
        .summary = "Search the pages of all packs, or of those below a path",
        .details = "Prints title, pack, page and summary, best first. Several operands are one query.\n"
                   "Finding nothing is not an error.\n",
        .examples = "  kontor search sourdough starter\n"
                    "  kontor search --scope history -k 3 'merchants in London'\n"
                    "  kontor search --json --at https://library.example lievito\n",
        .options = search_options,
        .run = run_search,
    },
    {
        .name = "tree",
        .arguments = "[PATH]",
        .args_max = 1,
        .summary = "Show the tree of packs",
        .details =
            "Packs are marked; … stands where deeper levels are not shown. With --json, one level as the\n"
            "broker answers it.\n",
        .examples = "  kontor tree\n  kontor tree history --depth 1\n",
        .options = tree_options,
        .run = run_tree,
    },
    {
        .name = "get",
        .arguments = "PACK [PAGE]",
        .args_min = 1,
        .args_max = 2,
        .summary = "Print a page of a pack",
        .details =
            "PAGE is a file below the pack's wiki/, or manifest.yaml or manifest.sig; without it, the\n"
            "pack's index. Into a file or pipe the bytes go unchanged; on a terminal, control\n"
            "characters are shown as escapes.\n",
        .examples = "  kontor get history/hanse\n"
                    "  kontor get history/hanse concepts/kontor.md\n"
                    "  kontor get history/hanse manifest.yaml\n",
        .options = get_options,
        .run = run_get,
    },
    {.name = NULL},
};
