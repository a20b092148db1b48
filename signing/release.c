/* SPDX-License-Identifier: MIT
 *
 * What is signed: the content of a pack, and the manifest.sig made of it. Verifying is in accept.c.
 */
#include "signing/release.h"

#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/name_fold.h"
#include "schema/pack_path.h"
#include "schema/semver.h"
#include "schema/text.h"
#include "signing/release_label.h"

#include <string.h>

/* --- Content --- */

PackContent *pack_content_new(void)
{
    PackContent *content = g_new0(PackContent, 1);
    content->pages = manifest_sig_table_new();
    content->files = manifest_sig_table_new();
    content->version = g_strdup("");
    return content;
}

void pack_content_free(PackContent *content)
{
    if (content == NULL)
        return;
    g_array_unref(content->pages);
    g_array_unref(content->files);
    g_free(content->version);
    g_free(content->refused);
    g_free(content);
}

void pack_content_sha256(const PackContent *content, guint8 ret[SHA256_BYTES])
{
    g_autoptr(GBytes) bytes = manifest_sig_content_bytes(content->manifest_sha256, content->pages);
    sha256_of_bytes(bytes, ret);
}

static gboolean refuse_name(GError **error, const char *name, const char *what)
{
    g_autofree char *shown = text_for_message(name, strlen(name));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s: %s", shown, what);
    return FALSE;
}

static gboolean check_names(const GArray *table, const char *prefix, NameSet *names, GError **error)
{
    for (guint i = 0; i < table->len; i++) {
        g_autofree char *name = g_strconcat(prefix, g_array_index(table, ManifestSigEntry, i).name, NULL);
        if (!pack_path_check(name, error))
            return FALSE;
        const char *other = name_set_add(names, name);
        if (other != NULL) {
            g_autofree char *shown = text_for_message(other, strlen(other));
            g_autofree char *what = g_strdup_printf("differs from '%s' only in case, or not at all", shown);
            return refuse_name(error, name, what);
        }
    }
    return TRUE;
}

gboolean pack_content_check(const PackContent *content, GError **error)
{
    if (content->refused != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s", content->refused);
        return FALSE;
    }
    if (content->pages->len > LIMIT_PACK_FILES ||
        content->files->len > LIMIT_PACK_FILES - content->pages->len) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d files", LIMIT_PACK_FILES);
        return FALSE;
    }
    if (content->bytes > LIMIT_PACK_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "larger than %d bytes", LIMIT_PACK_BYTES);
        return FALSE;
    }
    g_autoptr(NameSet) names = name_set_new();
    return check_names(content->pages, "wiki/", names, error) &&
           check_names(content->files, "", names, error);
}

/* --- Signing --- */

static gboolean refuse_input(GError **error, const char *what)
{
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, what);
    return FALSE;
}

static gboolean check_signer_name(const char *name, GError **error)
{
    gsize len = strlen(name);
    if (len > LIMIT_MANIFEST_SIG_TEXT_BYTES)
        return refuse_input(error, "name of the signer is too long");
    if (!text_is_utf8(name, len, NULL))
        return refuse_input(error, "name of the signer is not UTF-8");
    for (gsize pos = 0; pos < len;) {
        gunichar c = 0;
        pos += text_char_decode(name + pos, len - pos, &c);
        if (g_unichar_iscntrl(c))
            return refuse_input(error, "name of the signer holds a control character");
    }
    return TRUE;
}

static gboolean check_version(const char *version, GError **error)
{
    Semver semver;
    if (semver_parse(version, &semver, error))
        return TRUE;
    g_prefix_error(error, "manifest.yaml: version: ");
    return FALSE;
}

static gboolean check_signable(const PackContent *content, const ReleaseOptions *options, GError **error)
{
    if (!content->has_manifest)
        return refuse_input(error, "manifest.yaml is missing");
    if (manifest_sig_table_find(content->pages, "index.md") == NULL)
        return refuse_input(error, "wiki/index.md is missing");
    return pack_content_check(content, error) && check_version(content->version, error) &&
           pack_path_check(options->path, error) && check_signer_name(options->signer_name, error);
}

static void write_bytes(JsonWriter *w, const char *key, GBytes *json)
{
    gsize len = 0;
    const char *data = g_bytes_get_data(json, &len);
    json_write_key(w, key);
    json_write_raw(w, data, len);
}

static void write_base64(JsonWriter *w, const char *key, const guint8 *bytes, gsize len)
{
    g_autofree char *text = base64_encode(bytes, len);
    json_write_member_string(w, key, text);
}

static GBytes *release_bytes(const PackContent *content, const ReleaseOptions *options)
{
    g_autofree char *path = g_strdup(options->path);
    g_autofree char *published_at = g_strdup(options->published_at);
    ManifestSigRelease release = {
        .path = path,
        .version = content->version,
        .published_at = published_at,
        .files = content->files,
        .withdrawn = options->withdrawn,
    };
    pack_content_sha256(content, release.content_sha256);
    return manifest_sig_release_bytes(&release);
}

static void write_pages(JsonWriter *w, const GArray *pages)
{
    char hex[SHA256_HEX_CHARS + 1];
    json_write_key(w, "pages");
    json_write_object_begin(w);
    for (guint i = 0; i < pages->len; i++) {
        const ManifestSigEntry *page = &g_array_index(pages, ManifestSigEntry, i);
        hex_encode(page->sha256, SHA256_BYTES, hex);
        json_write_member_string(w, page->name, hex);
    }
    json_write_object_end(w);
}

/* The file in canonical form, members in code point order. */
static void write_file(JsonWriter *w, const PackContent *content, const ReleaseOptions *options,
                       const SecretKey *key)
{
    PublicKey public_key;
    char fingerprint[FINGERPRINT_CHARS + 1], hex[SHA256_HEX_CHARS + 1];
    guint8 signature[ED25519_SIGNATURE_BYTES], release_signature[ED25519_SIGNATURE_BYTES];
    g_autoptr(GBytes) signed_content = manifest_sig_content_bytes(content->manifest_sha256, content->pages);
    g_autoptr(GBytes) release = release_bytes(content, options);

    secret_key_public(key, &public_key);
    public_key_fingerprint(&public_key, fingerprint);
    secret_key_sign(key, g_bytes_get_data(signed_content, NULL), g_bytes_get_size(signed_content), signature);
    secret_key_sign_labelled(key, RELEASE_LABEL, g_bytes_get_data(release, NULL), g_bytes_get_size(release),
                             release_signature);
    hex_encode(content->manifest_sha256, SHA256_BYTES, hex);
    json_write_object_begin(w);
    json_write_member_string(w, "alg", "ed25519");
    json_write_member_string(w, "manifest_sha256", hex);
    write_pages(w, content->pages);
    write_bytes(w, "release", release);
    write_base64(w, "release_signature_b64", release_signature, sizeof release_signature);
    write_base64(w, "signature_b64", signature, sizeof signature);
    json_write_member_string(w, "signed_at", options->published_at);
    json_write_member_string(w, "signer_fingerprint", fingerprint);
    json_write_member_string(w, "signer_name", options->signer_name);
    write_base64(w, "signer_pubkey_b64", public_key.bytes, sizeof public_key.bytes);
    json_write_object_end(w);
}

static void append_line(GString *out, guint depth)
{
    g_string_append_printf(out, "\n%*s", (int)(2 * depth), "");
}

/* Compact JSON laid out with two blanks per level, one member per line. */
static char *indent_json(const GString *compact)
{
    GString *out = g_string_sized_new(2 * compact->len);
    guint depth = 0;
    gboolean in_string = FALSE;
    for (gsize i = 0; i < compact->len; i++) {
        char c = compact->str[i];
        if (in_string && c == '\\') {
            g_string_append_c(out, c);
            g_string_append_c(out, compact->str[++i]);
            continue;
        }
        if (c == '"')
            in_string = !in_string;
        gboolean empty = c == '}' && compact->str[i - 1] == '{';
        if (!in_string && c == '}' && !empty)
            append_line(out, depth - 1);
        g_string_append_c(out, c);
        if (in_string)
            continue;
        if (c == ':')
            g_string_append_c(out, ' ');
        if (c == '{' || c == '}')
            depth += c == '{' ? 1 : -1;
        if (c == ',' || (c == '{' && compact->str[i + 1] != '}'))
            append_line(out, depth);
    }
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}

char *release_sign(const PackContent *content, const ReleaseOptions *options, const SecretKey *key,
                   GError **error)
{
    if (!check_signable(content, options, error))
        return NULL;
    g_autoptr(GString) compact = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, compact, JSON_STYLE_CANONICAL);
    write_file(&w, content, options, key);
    g_autofree char *text = indent_json(compact);
    /* Nobody shall get a file from us that we would refuse: this finds dates that do not exist and files too
     * large. */
    g_autoptr(ManifestSig) again = manifest_sig_parse(text, strlen(text), error);
    return again != NULL ? g_steal_pointer(&text) : NULL;
}

void release_digest(const ManifestSig *sig, guint8 ret[SHA256_BYTES])
{
    g_autoptr(GBytes) bytes = sig->release != NULL
                                  ? manifest_sig_release_bytes(sig->release)
                                  : manifest_sig_content_bytes(sig->manifest_sha256, sig->pages);
    sha256_of_bytes(bytes, ret);
}
