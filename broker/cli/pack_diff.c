/* SPDX-License-Identifier: MIT
 *
 * pack digest and pack diff: what a pack is, in numbers, and where two of them differ.
 */
#include <stdio.h>

#include "broker/cli/pack.h"
#include "broker/cli/terminal.h"
#include "broker/cli/verify.h"
#include "schema/json_writer.h"
#include "signing/content_diff.h"

CliExit pack_fail(const char *operand, const GError *error)
{
    CliExit exit = cli_fail(error);
    gboolean is_url = g_str_has_prefix(operand, "http://") || g_str_has_prefix(operand, "https://");

    return is_url ? verify_error_exit(error) : exit;
}

/* --- digest --- */

typedef struct {
    char content_sha256[SHA256_HEX_CHARS + 1];
    char digest[SHA256_HEX_CHARS + 1]; /* "" without a readable manifest.sig of this content */
} PackNumbers;

/* The digest counts only if the signature is about this content; whether it is any good, 'pack verify' tells.
 */
static void take_numbers(const VerifySource *source, PackNumbers *ret)
{
    guint8 hash[SHA256_BYTES];
    g_autoptr(ManifestSig) sig = NULL;

    *ret = (PackNumbers){0};
    pack_content_sha256(source->content, hash);
    hex_encode(hash, sizeof hash, ret->content_sha256);
    if (source->sig == NULL) {
        return;
    }
    sig = manifest_sig_parse(g_bytes_get_data(source->sig, NULL), g_bytes_get_size(source->sig), NULL);
    if (sig != NULL) {
        release_digest(sig, hash);
        hex_encode(hash, sizeof hash, ret->digest);
    }
}

static void print_numbers_json(const PackNumbers *numbers, const PackContent *content)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(JsonWriter) w;

    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_object_begin(&w);
    json_write_member_string(&w, "content_sha256", numbers->content_sha256);
    if (numbers->digest[0] != '\0') {
        json_write_member_string(&w, "digest", numbers->digest);
    }
    json_write_member_string(&w, "version", content->version);
    json_write_member_integer(&w, "pages", content->pages->len);
    json_write_member_integer(&w, "other_files", content->files->len);
    json_write_member_integer(&w, "bytes", (gint64)content->bytes);
    json_write_object_end(&w);
    puts(out->str);
}

CliExit pack_digest_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    const char *operand = cli_args_operand(args, 0);
    g_autoptr(VerifySource) source = verify_source_open(operand, &error);
    PackNumbers numbers;

    if (source == NULL || !pack_content_check(source->content, &error)) {
        if (source != NULL) {
            g_prefix_error(&error, "%s: ", operand);
        }
        return pack_fail(operand, error);
    }
    take_numbers(source, &numbers);
    if (cli_args_flag(args, "json")) {
        print_numbers_json(&numbers, source->content);
        return CLI_OK;
    }
    g_autoptr(TerminalTable) table = terminal_table_new(2);
    g_autofree char *size = g_format_size_full(source->content->bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *files =
        g_strdup_printf("%u pages, %u other files, %s", source->content->pages->len,
                        source->content->files->len + (source->content->has_manifest ? 1 : 0), size);

    terminal_table_add(table, TERMINAL_PLAIN, "content_sha256", numbers.content_sha256);
    terminal_table_add(table, TERMINAL_PLAIN, "digest",
                       numbers.digest[0] != '\0' ? numbers.digest : "unsigned");
    terminal_table_add(table, TERMINAL_PLAIN, "version", source->content->version);
    terminal_table_add(table, TERMINAL_PLAIN, "content", files);
    terminal_table_print(table, stdout, 0);
    return CLI_OK;
}

/* --- diff --- */

static void add_difference(TerminalTable *table, const ContentDifference *difference)
{
    char a[SHA256_HEX_CHARS + 1] = "-", b[SHA256_HEX_CHARS + 1] = "-";

    if (difference->in_a) {
        hex_encode(difference->a, SHA256_BYTES, a);
    }
    if (difference->in_b) {
        hex_encode(difference->b, SHA256_BYTES, b);
    }
    terminal_table_add(table, TERMINAL_PLAIN,
                       !difference->in_b   ? "removed"
                       : !difference->in_a ? "added"
                                           : "changed",
                       difference->file, a, b);
}

CliExit pack_diff_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    const char *operand_a = cli_args_operand(args, 0), *operand_b = cli_args_operand(args, 1);
    g_autoptr(VerifySource) a = verify_source_open(operand_a, &error);
    g_autoptr(VerifySource) b = NULL;

    if (a == NULL) {
        return pack_fail(operand_a, error);
    }
    b = verify_source_open(operand_b, &error);
    if (b == NULL) {
        return pack_fail(operand_b, error);
    }
    /* Over HTTP, files that no release lists cannot be known. */
    gboolean all_known = a->path == NULL && b->path == NULL;
    g_autoptr(GPtrArray) differences = content_diff(a->content, b->content, !all_known);
    g_autoptr(TerminalTable) table = terminal_table_new(4);

    for (guint i = 0; i < differences->len; i++) {
        add_difference(table, g_ptr_array_index(differences, i));
    }
    terminal_table_print(table, stdout, 0);
    return differences->len > 0 ? CLI_MISMATCH : CLI_OK;
}
