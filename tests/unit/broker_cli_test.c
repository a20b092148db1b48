/* SPDX-License-Identifier: MIT */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/cli/commands.h"
#include "broker/cli/endpoints.h"
#include "broker/cli/report.h"
#include "broker/cli/skeleton.h"
#include "broker/cli/suggest.h"
#include "broker/cli/terminal.h"
#include "broker/config.h"

/* --- Suggestions --- */

static void test_suggest(void)
{
    static const char *const known[] = {"serve", "search", "status", "config check", NULL};
    g_autofree char *huge = g_strnfill(100000, 's');

    g_assert_cmpstr(cli_suggest("serach", known), ==, "search");
    g_assert_cmpstr(cli_suggest("srve", known), ==, "serve");
    g_assert_cmpstr(cli_suggest("statuss", known), ==, "status");
    g_assert_cmpstr(cli_suggest("config chek", known), ==, "config check");
    g_assert_null(cli_suggest("banana", known));
    g_assert_null(cli_suggest("", known));
    g_assert_null(cli_suggest(huge, known));
}

/* --- Arguments --- */

static const CliOption options[] = {
    {"data", 0, "DIR", "directory", FALSE}, {"listen", 'l', "ADDR", "address", TRUE},
    {"count", 'k', "N", "number", FALSE},   {"json", 0, NULL, "flag", FALSE},
    {NULL, 0, NULL, NULL, FALSE},
};

static void test_args_forms(void)
{
    static const char *const words[] = {"one",          "--data", "d", "-l", "a",      "-lb",
                                        "--listen=c=d", "--json", "-", "--", "--data", NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(CliArgs) args = cli_args_parse(options, words, &error);
    gint64 count = 10;

    g_assert_no_error(error);
    g_assert_cmpstr(cli_args_value(args, "data"), ==, "d");
    g_assert_true(cli_args_flag(args, "json"));
    g_assert_false(cli_args_flag(args, "help"));
    char **listen = cli_args_values(args, "listen");
    g_assert_cmpuint(g_strv_length(listen), ==, 3);
    g_assert_cmpstr(listen[0], ==, "a");
    g_assert_cmpstr(listen[1], ==, "b");
    g_assert_cmpstr(listen[2], ==, "c=d");
    g_assert_cmpuint(cli_args_count(args), ==, 3);
    g_assert_cmpstr(cli_args_operand(args, 0), ==, "one");
    g_assert_cmpstr(cli_args_operand(args, 1), ==, "-");
    g_assert_cmpstr(cli_args_operand(args, 2), ==, "--data");
    g_assert_null(cli_args_operand(args, 3));
    g_assert_true(cli_args_integer(args, "count", 1, 50, &count, NULL));
    g_assert_cmpint(count, ==, 10);
}

static void assert_refused(const char *first, const char *second, const char *message)
{
    const char *const words[] = {first, second, NULL};
    g_autoptr(GError) error = NULL;

    g_assert_null(cli_args_parse(options, words, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_args_refused(void)
{
    assert_refused("--dta", NULL, "unknown option --dta; did you mean --data?");
    assert_refused("--banana=1", NULL, "unknown option --banana");
    assert_refused("-z", NULL, "unknown option -z");
    assert_refused("--data", NULL, "--data needs a value: DIR");
    assert_refused("-k", NULL, "--count needs a value: N");
    assert_refused("--json=1", NULL, "--json takes no value");
    assert_refused("--data=a", "--data=b", "--data is given twice");
    assert_refused("-hx", NULL, "-h takes no value");
}

static void test_args_integer(void)
{
    static const char *const bad[] = {"0", "51", "", "x", "1x", " 1", "99999999999999999999", "-1"};
    gint64 count = 10;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *const words[] = {"-k", bad[i], NULL};
        g_autoptr(CliArgs) args = cli_args_parse(options, words, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_nonnull(args);
        g_assert_false(cli_args_integer(args, "count", 1, 50, &count, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
    g_assert_cmpint(count, ==, 10);
}

/* --- Commands --- */

static void test_command_find(void)
{
    static const struct {
        const char *words[4];
        const char *name, *message;
        guint used;
    } cases[] = {
        {{"serve", NULL}, "serve", NULL, 1},
        {{"config", "check", "--data", NULL}, "config check", NULL, 2},
        {{"search", "config", NULL}, "search", NULL, 1},
        {{"serach", NULL}, NULL, "unknown command 'serach'; did you mean 'search'?", 0},
        {{"config", "chekc", NULL}, NULL, "unknown command 'config chekc'; did you mean 'config check'?", 0},
        {{"xyzzy", "plugh", NULL}, NULL, "unknown command 'xyzzy'; 'kontor help' lists them all", 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        guint used = 0;
        const CliCommand *command = cli_command_find(cases[i].words, &used, &error);

        g_assert_cmpstr(command != NULL ? command->name : NULL, ==, cases[i].name);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, cases[i].message);
        g_assert_true(command == NULL || used == cases[i].used);
    }
    g_assert_true(cli_command_is_group("config"));
    g_assert_false(cli_command_is_group("conf"));
    g_assert_false(cli_command_is_group("serve"));
}

static char *read_source(const char *name)
{
    g_autofree char *path = g_build_filename(KONTOR_TEST_DIR, "..", name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* The man page and the completion are written by hand: nothing of the table may be missing in them. */
static void test_documents_know_every_option(void)
{
    g_autofree char *man = read_source("deploy/man/kontor.1");
    g_autofree char *completion = read_source("deploy/completion/kontor");
    g_auto(GStrv) parts = g_strsplit(man, "\\-", -1);
    g_autofree char *plain_man = g_strjoinv("-", parts);

    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            g_auto(GStrv) words = g_strsplit(c->name, " ", 2);

            g_assert_nonnull(strstr(plain_man, c->name));
            for (guint i = 0; words[i] != NULL; i++) {
                g_assert_nonnull(strstr(completion, words[i]));
            }
            for (const CliOption *o = c->options; o != NULL && o->name != NULL; o++) {
                g_autofree char *form = g_strconcat("--", o->name, NULL);

                g_assert_nonnull(strstr(plain_man, form));
                g_assert_nonnull(strstr(completion, form));
            }
        }
    }
}

/* What the help prints is made from these texts: they follow one form. */
static void test_command_texts(void)
{
    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            g_assert_nonnull(c->run);
            g_assert_false(g_str_has_suffix(c->summary, "."));
            g_assert_true(c->details == NULL || g_str_has_suffix(c->details, ".\n"));
            g_assert_true(c->examples == NULL || g_str_has_prefix(c->examples, "  "));
            g_assert_true(c->examples == NULL || strstr(c->examples, "kontor ") != NULL);
            g_assert_true(c->args_max >= c->args_min && (c->args_max == 0) == (c->arguments == NULL));
            for (const CliOption *o = c->options; o != NULL && o->name != NULL; o++) {
                g_assert_nonnull(o->help);
                g_assert_cmpstr(o->name, !=, "help");
            }
        }
    }
}

static int run(const char *const *words)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, (gpointer)(gsize) "kontor");
    for (; *words != NULL; words++) {
        g_ptr_array_add(argv, (gpointer)(gsize)*words);
    }
    g_ptr_array_add(argv, NULL);
    return cli_main((int)argv->len - 1, (char **)argv->pdata);
}

static void test_exit_codes(void)
{
    static const struct {
        const char *words[6];
        int code;
    } cases[] = {
        {{NULL}, CLI_USAGE},
        {{"--help", NULL}, CLI_OK},
        {{"--version", NULL}, CLI_OK},
        {{"version", "--json", NULL}, CLI_OK},
        {{"help", NULL}, CLI_OK},
        {{"help", "config", NULL}, CLI_OK},
        {{"help", "config", "show", NULL}, CLI_OK},
        {{"help", "nothing", NULL}, CLI_USAGE},
        {{"search", "--help", NULL}, CLI_OK},
        {{"config", NULL}, CLI_USAGE},
        {{"config", "--help", NULL}, CLI_OK},
        {{"nothing", NULL}, CLI_USAGE},
        {{"--data", "x", "serve", NULL}, CLI_USAGE},
        {{"search", NULL}, CLI_USAGE},
        {{"version", "operand", NULL}, CLI_USAGE},
        {{"search", "x", "-k", "51", NULL}, CLI_USAGE},
        {{"serve", "--threads", "0", NULL}, CLI_USAGE},
        {{"config", "check", "--config", "/dev/null/x", NULL}, CLI_USAGE},
        {{"search", "x", "--at", "http://127.0.0.1:1", NULL}, CLI_UNREACHABLE},
        {{"search", "x", "--at", "ftp://127.0.0.1", NULL}, CLI_FAILURE},
        {{"status", "--data", "/dev/null", NULL}, CLI_UNREACHABLE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %u", i);
        g_assert_cmpint(run(cases[i].words), ==, cases[i].code);
    }
}

/* --- Data directories --- */

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static void count_created(const char *path, gboolean created, gpointer user)
{
    (void)path;
    *(guint *)user += created;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *read_file(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static void test_skeleton(void)
{
    g_autofree char *base = g_dir_make_tmp("kontor-cli-XXXXXX", NULL);
    g_autofree char *samples = g_build_filename(base, "samples", NULL);
    g_autofree char *data = g_build_filename(base, "a", "data", NULL);
    g_autofree char *link_path = g_build_filename(samples, "one", "link", NULL);
    g_autofree char *pipe_path = g_build_filename(samples, "one", "pipe", NULL);
    g_autoptr(GError) error = NULL;
    guint created = 0;

    write_file(samples, "one/wiki/index.md", "index");
    write_file(samples, "two/nested/wiki/index.md", "nested");
    write_file(samples, "README", "not a directory");
    g_assert_cmpint(symlink("/etc/passwd", link_path), ==, 0);
    g_assert_cmpint(mkfifo(pipe_path, 0600), ==, 0);

    g_assert_true(skeleton_make(data, samples, count_created, &created, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(created, ==, 5); /* directory, packs, kontor.yaml, one, two */
    g_autofree char *nested = read_file(data, "packs/two/nested/wiki/index.md");
    g_assert_cmpstr(nested, ==, "nested");
    g_assert_null(read_file(data, "packs/one/link"));
    g_assert_null(read_file(data, "packs/README"));

    /* Again: nothing is made anew and nothing is overwritten; what was interrupted is cleared away. */
    write_file(data, "kontor.yaml", "name: mine\n");
    write_file(data, "packs/one/wiki/index.md", "mine");
    write_file(data, "packs/.incoming-three/half", "half");
    write_file(samples, "three/wiki/index.md", "three");
    created = 0;
    g_assert_true(skeleton_make(data, samples, count_created, &created, &error));
    g_assert_cmpuint(created, ==, 1);
    g_autofree char *yaml = read_file(data, "kontor.yaml");
    g_autofree char *mine = read_file(data, "packs/one/wiki/index.md");
    g_assert_cmpstr(yaml, ==, "name: mine\n");
    g_assert_cmpstr(mine, ==, "mine");
    g_assert_null(read_file(data, "packs/three/half"));

    g_assert_false(skeleton_make("/dev/null/x", NULL, count_created, &created, &error));
    g_assert_nonnull(strstr(error->message, "/dev/null"));
    g_clear_error(&error);
    g_assert_false(skeleton_make(data, "/nonexistent", count_created, &created, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    remove_tree(base);
}

/* The commented defaults are real keys: as delivered, and with every "# key:" line brought to life, the file
 * is good and changes nothing but what it must (TLS needs files, so that line stays a comment). */
static void test_skeleton_configuration(void)
{
    g_autofree char *base = g_dir_make_tmp("kontor-cli-XXXXXX", NULL);
    ConfigOverrides overrides = {.data_dir = base};
    g_autoptr(GError) error = NULL;
    guint created = 0;

    g_assert_true(skeleton_make(base, NULL, count_created, &created, NULL));
    g_autoptr(Config) delivered = config_load(&overrides, &error);
    g_assert_no_error(error);

    g_autofree char *text = read_file(base, "kontor.yaml");
    g_autoptr(GRegex) commented =
        g_regex_new("^# (?!tls|listen_tls|name|admin)([a-z_]+: )", G_REGEX_MULTILINE, 0, NULL);
    g_autofree char *alive = g_regex_replace(commented, text, -1, 0, "\\1", 0, NULL);
    g_assert_cmpstr(alive, !=, text);
    write_file(base, "kontor.yaml", alive);
    g_autoptr(Config) changed = config_load(&overrides, &error);
    g_assert_no_error(error);

    g_autofree char *first = config_to_yaml(delivered);
    g_autofree char *second = config_to_yaml(changed);
    g_assert_cmpstr(first, ==, second);
    remove_tree(base);
}

static void test_endpoints(void)
{
    static const struct {
        const char *text, *public_url, *api_url;
    } cases[] = {
        {"{\"public\":\"0.0.0.0:8000\",\"api\":\"127.0.0.1:7666\",\"pid\":7}", "http://127.0.0.1:8000",
         "http://127.0.0.1:7666"},
        {"{\"public\":\"[::]:80\",\"api\":null}", "http://[::1]:80", NULL},
        {"{\"listen\":[\"10.0.0.1:80\",\"x\"],\"tls\":[\"0.0.0.0:443\"]}", "http://10.0.0.1:80", NULL},
        {"{\"public\":\"0.0.0.0:443\",\"listen\":[],\"tls\":[\"0.0.0.0:443\"]}", "https://127.0.0.1:443",
         NULL},
        {"{}", NULL, NULL},
    };
    static const char *const bad[] = {"", "[]", "{\"pid\":\"x\"}", "{\"pid\":-1}"};
    g_autofree char *base = g_dir_make_tmp("kontor-cli-XXXXXX", NULL);
    g_autoptr(GError) missing = NULL;

    g_assert_null(endpoints_load(base, &missing));
    g_assert_error(missing, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        write_file(base, "endpoints.json", cases[i].text);
        g_autoptr(Endpoints) endpoints = endpoints_load(base, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(endpoints->public_url, ==, cases[i].public_url);
        g_assert_cmpstr(endpoints->api_url, ==, cases[i].api_url);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        write_file(base, "endpoints.json", bad[i]);
        g_assert_null(endpoints_load(base, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
    remove_tree(base);
}

static void test_api_token(void)
{
    g_autofree char *base = g_dir_make_tmp("kontor-cli-XXXXXX", NULL);
    g_autofree char *digits = g_strnfill(64, 'a');
    g_autofree char *good = g_strdup_printf("{\"apiToken\":\"%s\",\"port\":7666}", digits);
    g_autofree char *odd = g_strdup_printf("{\"apiToken\":\"%s\"}", digits + 1);
    const char *const bad[] = {odd, "{}", "{\"apiToken\":null}", "{\"apiToken\":\"g\"}", "x"};

    write_file(base, "daemon.json", good);
    g_autofree char *token = endpoints_api_token(base, NULL);
    g_assert_cmpstr(token, ==, digits);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        write_file(base, "daemon.json", bad[i]);
        g_assert_null(endpoints_api_token(base, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
        g_assert_null(strstr(error->message, digits + 1)); /* a message must not show a token */
    }
    remove_tree(base);
}

/* --- Output --- */

static void test_terminal_clean(void)
{
    g_autofree char *line = terminal_clean("a\033[31mb\nc\xff\xe2\x80\xae"
                                           "caffè");
    g_autofree char *prose = terminal_clean_prose("a\tb\nc\r\033]0;x\a\0z", 14);

    g_assert_cmpstr(line, ==, "a\\u001b[31mb\\u000ac\\xff\\u202ecaffè");
    g_assert_cmpstr(prose, ==, "a\tb\nc\\u000d\\u001b]0;x\\u0007\\x00z");
    g_assert_cmpuint(terminal_width("caffè"), ==, 5);
    g_assert_cmpuint(terminal_width("漢字"), ==, 4);
    g_assert_cmpuint(terminal_width("e\xcc\x81"), ==, 1);
}

/* What the report prints for a document. */
static char *report_text(const char *json)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(json, strlen(json), 65536, NULL);
    FILE *file = tmpfile();
    char buffer[4096];

    g_assert_nonnull(doc);
    report_print(file, json_doc_root(doc));
    rewind(file);
    gsize len = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    return g_strndup(buffer, len);
}

static void test_report(void)
{
    g_autofree char *text = report_text(
        "{\"name\":\"x\",\"uptime_seconds\":7300,\"packs\":{\"count\":2,\"size_bytes\":2048,\"problems\":"
        "[{\"path\":\"a\\u001b\",\"reason\":\"no index\"},{\"path\":\"long/path\",\"reason\":null}]},"
        "\"ready\":true,\"listen\":[\"a:1\",\"b:2\"],\"ratio\":0.5,\"nodes\":[{\"id\":\"n\",\"tier\":{\"a\":"
        "1}}],"
        "\"empty\":[],\"none\":null}");

    g_assert_cmpstr(text, ==,
                    "problems (2):\n"
                    "  path       reason\n"
                    "  a\\u001b    no index\n"
                    "  long/path  –\n"
                    "\n"
                    "name    x\n"
                    "uptime  2 h 1 min\n"
                    "ready   yes\n"
                    "listen  a:1, b:2\n"
                    "ratio   0.5\n"
                    "empty   \n"
                    "none    –\n"
                    "packs:\n"
                    "  count  2\n"
                    "  size   2.0\xc2\xa0KiB\n"
                    "nodes (1):\n"
                    "  id  tier\n"
                    "  n   a 1\n");
}

/* A broker with many packs must not flood the terminal, but no problem may be left out. */
static void test_report_rows(void)
{
    g_autoptr(GString) rows = g_string_new(NULL);

    for (guint i = 0; i < 60; i++) {
        g_string_append_printf(rows, "%s{\"n\":%u}", i > 0 ? "," : "", i);
    }
    g_autofree char *json = g_strdup_printf("{\"packs\":[%s],\"problems\":[%s]}", rows->str, rows->str);
    g_autofree char *text = report_text(json);

    g_assert_nonnull(strstr(text, "problems (60):"));
    g_assert_nonnull(strstr(text, "  59\n\npacks (60):"));
    g_assert_true(g_str_has_suffix(text, "  19\n  … and 40 more; --json prints all\n"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/suggest", test_suggest);
    g_test_add_func("/cli/args/forms", test_args_forms);
    g_test_add_func("/cli/args/refused", test_args_refused);
    g_test_add_func("/cli/args/integer", test_args_integer);
    g_test_add_func("/cli/command/find", test_command_find);
    g_test_add_func("/cli/command/documents", test_documents_know_every_option);
    g_test_add_func("/cli/command/texts", test_command_texts);
    g_test_add_func("/cli/command/exit-codes", test_exit_codes);
    g_test_add_func("/cli/skeleton", test_skeleton);
    g_test_add_func("/cli/skeleton/configuration", test_skeleton_configuration);
    g_test_add_func("/cli/endpoints", test_endpoints);
    g_test_add_func("/cli/api-token", test_api_token);
    g_test_add_func("/cli/terminal-clean", test_terminal_clean);
    g_test_add_func("/cli/report", test_report);
    g_test_add_func("/cli/report/rows", test_report_rows);
    return g_test_run();
}
