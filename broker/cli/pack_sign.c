/* SPDX-License-Identifier: MIT
 *
 * pack sign. A pack that is already signed with the same key, content and path keeps its date, so that
 * signing again changes nothing; Ed25519 needs no randomness, so that the bytes are equal too.
 */
#include <string.h>

#include "broker/cli/key_input.h"
#include "broker/cli/pack.h"
#include "broker/cli/pack_tree.h"
#include "broker/cli/terminal.h"
#include "broker/cli/verify.h"
#include "mirror/store/durable_file.h"
#include "mirror/store/pack_content.h"
#include "mirror/store/pack_lint.h"
#include "schema/scalar.h"
#include "schema/semver.h"

/* The same for all packs of one call; read by several threads. */
typedef struct {
    const SecretKey *key;
    char fingerprint[FINGERPRINT_CHARS + 1];
    TrustList *own_trust; /* trusts this key alone: what was signed is verified before it is written */
    const char *signer_name;
    char *published_at;
    gint64 now;
    gboolean time_given; /* then nothing keeps an older date */
    gboolean withdrawn;
} Signing;

/* What became of one pack. */
typedef struct {
    char *path, *version; /* NULL until known */
    gboolean changed;     /* manifest.sig was written */
    char *clash;          /* why those who hold the release before refuse this one; NULL: they do not */
    Lint *lint;           /* the errors that it was refused for, or NULL */
    GError *error;
} Signed;

static void signed_free(gpointer data)
{
    Signed *result = data;

    g_free(result->path);
    g_free(result->version);
    g_free(result->clash);
    lint_free(result->lint);
    g_clear_error(&result->error);
    g_free(result);
}

/* --- One pack --- */

static ManifestSig *parse_sig(GBytes *bytes)
{
    if (bytes == NULL) {
        return NULL;
    }
    return manifest_sig_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL);
}

/* A release that this key has signed for this path. */
static gboolean is_own_release(const Signing *signing, const ManifestSig *sig, const char *path)
{
    return sig != NULL && sig->release != NULL &&
           strcmp(sig->signer_fingerprint, signing->fingerprint) == 0 &&
           strcmp(sig->release->path, path) == 0;
}

static gboolean same_release(const char *text, const ManifestSig *before)
{
    g_autoptr(ManifestSig) sig = manifest_sig_parse(text, strlen(text), NULL);
    guint8 digest[SHA256_BYTES], digest_before[SHA256_BYTES];

    g_assert(sig != NULL); /* release_sign has read it back */
    release_digest(sig, digest);
    release_digest(before, digest_before);
    return memcmp(digest, digest_before, SHA256_BYTES) == 0;
}

/* The manifest.sig to be: with the date of `before` (may be NULL) when it is that release. */
static char *make_sig(const Signing *signing, const PackContent *content, const char *path,
                      const ManifestSig *before, GError **error)
{
    ReleaseOptions options = {
        .path = path,
        .signer_name = signing->signer_name,
        .published_at = signing->published_at,
        .withdrawn = signing->withdrawn,
    };

    if (!signing->time_given && is_own_release(signing, before, path)) {
        options.published_at = before->release->published_at;
        g_autofree char *text = release_sign(content, &options, signing->key, error);

        if (text == NULL || same_release(text, before)) {
            return g_steal_pointer(&text);
        }
        options.published_at = signing->published_at;
    }
    return release_sign(content, &options, signing->key, error);
}

/* Whether everybody else will accept what is about to be written. */
static gboolean check_sig(const Signing *signing, const PackContent *content, const char *path,
                          const char *text, GError **error)
{
    g_auto(AcceptVerdict) verdict = {0};
    AcceptInput input = {
        .path = path,
        .sig = text,
        .sig_len = strlen(text),
        .content = content,
        .trust = signing->own_trust,
        .now = signing->now,
        .require_release = TRUE,
    };

    if (release_accept(&input, &verdict) || (signing->withdrawn && verdict.rule == ACCEPT_WITHDRAWN)) {
        return TRUE;
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE, "signed and not accepted: %s", verdict.reason);
    return FALSE;
}

/* One line about a release that stands where one of the same or a higher version stood, or NULL. */
static char *clash_with(const Signing *signing, const ManifestSigRelease *before, const char *version)
{
    Semver old, new;

    if (!semver_parse(before->version, &old, NULL) || !semver_parse(version, &new, NULL)) {
        return NULL;
    }
    int order = semver_compare(&new, &old);

    if (order < 0) {
        return g_strdup_printf("version %s was signed before and %s is older", before->version, version);
    }
    /* A tombstone may have the version of what it withdraws. */
    return order == 0 && !signing->withdrawn
               ? g_strdup_printf("version %s was signed before with other content", version)
               : NULL;
}

static gboolean write_sig(const Signing *signing, const char *directory, const PackContent *content,
                          GBytes *old, Signed *result, GError **error)
{
    g_autoptr(ManifestSig) before = parse_sig(old);
    g_autofree char *text = make_sig(signing, content, result->path, before, error);
    g_autofree char *file = g_build_filename(directory, "manifest.sig", NULL);

    if (text == NULL || !check_sig(signing, content, result->path, text, error)) {
        return FALSE;
    }
    if (old != NULL && g_bytes_get_size(old) == strlen(text) &&
        memcmp(g_bytes_get_data(old, NULL), text, strlen(text)) == 0) {
        return TRUE;
    }
    result->changed = TRUE;
    if (is_own_release(signing, before, result->path) && !same_release(text, before)) {
        result->clash = clash_with(signing, before->release, content->version);
    }
    return durable_file_replace(file, text, strlen(text), 0644, error);
}

/* --path, else what the pack was signed as before, else the name of its directory. */
static char *choose_path(const char *given, const char *directory, GBytes *old)
{
    g_autoptr(ManifestSig) before = parse_sig(old);

    if (given != NULL) {
        return g_strdup(given);
    }
    if (before != NULL && before->release != NULL) {
        return g_strdup(before->release->path);
    }
    g_autofree char *canonical = g_canonicalize_filename(directory, NULL);

    return g_path_get_basename(canonical);
}

/* FALSE with `error`, or with `result->lint` set. */
static gboolean check_lint(const Signing *signing, const char *directory, Signed *result, GError **error)
{
    if (signing->withdrawn) { /* a pack with mistakes must not be harder to withdraw */
        return TRUE;
    }
    g_autoptr(Lint) lint = pack_lint_directory(directory, result->path, error);

    if (lint != NULL && lint_error_count(lint) > 0) {
        result->lint = g_steal_pointer(&lint);
        return FALSE;
    }
    return lint != NULL;
}

static Signed *sign_pack(const Signing *signing, const char *directory, const char *given_path, guint threads)
{
    Signed *result = g_new0(Signed, 1);
    g_autoptr(GBytes) old = NULL;
    g_autoptr(PackContent) content = pack_content_of_directory(directory, threads, &old, &result->error);

    if (content == NULL) {
        return result;
    }
    result->path = choose_path(given_path, directory, old);
    result->version = g_strdup(content->version);
    if (check_lint(signing, directory, result, &result->error)) {
        write_sig(signing, directory, content, old, result, &result->error);
    }
    return result;
}

/* --- Output --- */

/* TRUE when the pack is signed. Says what happened. */
static gboolean report_signed(const char *directory, Signed *result, gboolean quiet)
{
    if (result->lint != NULL) {
        pack_lint_print(stderr, directory, result->lint, /* errors_only= */ TRUE);
        return FALSE;
    }
    if (result->error != NULL) {
        if (!g_str_has_prefix(result->error->message, directory)) {
            g_prefix_error(&result->error, "%s: ", directory);
        }
        cli_fail(result->error);
        return FALSE;
    }
    if (!quiet) {
        g_autofree char *line = g_strdup_printf("%s %s %s", result->changed ? "signed   " : "unchanged",
                                                result->path, result->version);

        terminal_print(stdout, TERMINAL_PLAIN, line);
        fputc('\n', stdout);
    }
    if (result->clash != NULL) {
        g_autofree char *line =
            g_strdup_printf("%s: %s; whoever holds that refuses this one until the version is raised",
                            result->path, result->clash);

        fputs("kontor: ", stderr);
        terminal_print(stderr, TERMINAL_PLAIN, line);
        fputc('\n', stderr);
    }
    return TRUE;
}

static CliExit sign_one(const CliArgs *args, const Signing *signing)
{
    const char *directory = cli_args_operand(args, 0);
    Signed *result = sign_pack(signing, directory, cli_args_value(args, "path"), verify_threads());
    gboolean missing = g_error_matches(result->error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
    gboolean good = report_signed(directory, result, /* quiet= */ FALSE);

    signed_free(result);
    return good ? CLI_OK : missing ? CLI_NOT_FOUND : CLI_FAILURE;
}

static void sign_place(PackRoot *root, const CatalogPack *place, gpointer user, gpointer *ret_result)
{
    (void)root;
    *ret_result = sign_pack(user, place->directory, place->path, /* threads= */ 1);
}

static CliExit sign_all(const CliArgs *args, Signing *signing)
{
    g_autoptr(GError) error = NULL;
    const char *root = cli_args_value(args, "all");
    PackTree *tree = pack_tree_run(root, verify_threads(), "signing", sign_place, signing, &error);
    guint changed = 0, failed = 0;

    if (tree == NULL) {
        return cli_fail(error);
    }
    for (guint i = 0; i < tree->places->len; i++) {
        Signed *result = tree->results[i];
        const CatalogPack *place = g_ptr_array_index(tree->places, i);

        changed += result->changed ? 1 : 0;
        failed += report_signed(place->directory, result, /* quiet= */ !result->changed) ? 0 : 1;
    }
    printf("%u %s: %u signed, %u unchanged, %u refused\n", tree->places->len,
           tree->places->len == 1 ? "pack" : "packs", changed, tree->places->len - changed - failed, failed);
    pack_tree_free(tree, signed_free);
    return failed > 0 ? CLI_FAILURE : CLI_OK;
}

/* --- Setting up --- */

static TrustList *trust_of_one(const char *fingerprint)
{
    g_autofree char *text = g_strdup_printf("publishers:\n- fingerprint: %s\n", fingerprint);
    TrustList *list = trust_list_parse("own key", text, strlen(text), NULL);

    g_assert(list != NULL && trust_list_count(list) == 1);
    return list;
}

static gboolean signing_init_from(Signing *signing, const CliArgs *args, const KeyFile *key, GError **error)
{
    const char *name = cli_args_value(args, "name");

    *signing = (Signing){
        .key = key->secret,
        .signer_name = name != NULL ? name : key->name,
        .time_given = cli_args_flag(args, "at-time"),
        .withdrawn = cli_args_flag(args, "withdraw"),
    };
    if (!verify_time(args, &signing->now, error)) {
        return FALSE;
    }
    public_key_fingerprint(&key->public_key, signing->fingerprint);
    signing->published_at = scalar_format_time(signing->now);
    signing->own_trust = trust_of_one(signing->fingerprint);
    return TRUE;
}

static void signing_clear(Signing *signing)
{
    g_free(signing->published_at);
    g_clear_pointer(&signing->own_trust, trust_list_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Signing, signing_clear)

static gboolean check_args(const CliArgs *args, GError **error)
{
    gboolean all = cli_args_flag(args, "all");
    const char *wrong = NULL;

    if (!cli_args_flag(args, "key")) {
        wrong = "pack sign: --key FILE is missing";
    } else if (all == (cli_args_count(args) == 1)) {
        wrong = "pack sign: name one directory, or --all ROOT";
    } else if (all && (cli_args_flag(args, "path") || cli_args_flag(args, "withdraw"))) {
        wrong = "pack sign: --path and --withdraw are for one pack, not for --all";
    }
    if (wrong != NULL) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, wrong);
    }
    return wrong == NULL;
}

CliExit pack_sign_run(const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    g_auto(Signing) signing = {0};

    signing_init();
    if (!check_args(args, &error)) {
        return cli_fail_usage(error);
    }
    g_autoptr(KeyFile) key = cli_key_secret(args, cli_args_value(args, "key"), &error);

    if (key == NULL) {
        cli_fail(error);
        return CLI_FAILURE; /* NOT_FOUND is about packs */
    }
    if (!signing_init_from(&signing, args, key, &error)) {
        return cli_fail_usage(error);
    }
    return cli_args_flag(args, "all") ? sign_all(args, &signing) : sign_one(args, &signing);
}
