/* SPDX-License-Identifier: MIT
 *
 * The skeleton of a pack: as little as passes 'kontor pack lint' without a finding.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "broker/cli/pack.h"
#include "mirror/store/durable_file.h"
#include "schema/text.h"
#include "schema/yamldoc.h"

static const char page[] = "---\n"
                           "title: First page\n"
                           "summary: What this page tells in one sentence.\n"
                           "category: concept\n"
                           "tags: []\n"
                           "---\n"
                           "\n"
                           "# First page\n"
                           "\n"
                           "Write here. Each page stands in wiki/index.md with file, title and summary.\n";

static char *manifest_text(const char *name)
{
    g_autofree char *quoted = yamldoc_quote(name);

    return g_strdup_printf("name: %s\n"
                           "version: 1.0.0\n"
                           "domains: []\n"
                           "summary: Say in one sentence what this pack is about; Nodes choose packs by it.\n"
                           "language: en\n"
                           "sources: []\n"
                           "min_node_version: 0.1.0\n",
                           quoted);
}

static char *index_text(const char *name)
{
    return g_strdup_printf(
        "# %s\n"
        "\n"
        "## Pages\n"
        "\n"
        "| File | Title | Summary |\n"
        "|------|-------|---------|\n"
        "| concepts/first-page.md | First page | What this page tells in one sentence. |\n",
        name);
}

static gboolean make_file(const char *directory, const char *name, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    if (g_mkdir_with_parents(parent, 0755) != 0) {
        return kontor_error_set_errno(error, errno, "%s", parent);
    }
    if (g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
        printf("kept    %s\n", path);
        return TRUE;
    }
    if (!durable_file_replace(path, text, strlen(text), 0644, error)) {
        return FALSE;
    }
    printf("created %s\n", path);
    return TRUE;
}

CliExit pack_init_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    const char *directory = cli_args_operand(args, 0);
    g_autofree char *canonical = g_canonicalize_filename(directory, NULL);
    g_autofree char *base = g_path_get_basename(canonical);
    const char *name = cli_args_value(args, "name") != NULL ? cli_args_value(args, "name") : base;

    if (!text_is_utf8(name, strlen(name), NULL) || strpbrk(name, "\r\n") != NULL) {
        g_set_error(&error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "a name is one line of UTF-8");
        return cli_fail_usage(error);
    }
    g_autofree char *manifest = manifest_text(name);
    g_autofree char *index = index_text(name);

    if (!make_file(directory, "manifest.yaml", manifest, &error) ||
        !make_file(directory, "wiki/index.md", index, &error) ||
        !make_file(directory, "wiki/concepts/first-page.md", page, &error)) {
        cli_fail(error);
        return CLI_FAILURE;
    }
    return CLI_OK;
}
