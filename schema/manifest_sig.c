/* SPDX-License-Identifier: MIT */
#include "schema/manifest_sig.h"

#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"

#include <string.h>

enum { HASH_HEX_CHARS = 2 * MANIFEST_SIG_HASH_BYTES };

/* --- Life cycle --- */

static void entry_clear(gpointer data)
{
    ManifestSigEntry *entry = data;
    g_clear_pointer(&entry->name, g_free);
}

GArray *manifest_sig_table_new(void)
{
    GArray *table = g_array_new(FALSE, FALSE, sizeof(ManifestSigEntry));
    g_array_set_clear_func(table, entry_clear);
    return table;
}

ManifestSigRelease *manifest_sig_release_new(void)
{
    ManifestSigRelease *release = g_new0(ManifestSigRelease, 1);
    release->path = g_strdup("");
    release->version = g_strdup("");
    release->published_at = g_strdup("");
    release->files = manifest_sig_table_new();
    return release;
}

void manifest_sig_release_free(ManifestSigRelease *release)
{
    if (release == NULL)
        return;
    g_free(release->path);
    g_free(release->version);
    g_free(release->published_at);
    g_array_unref(release->files);
    g_free(release);
}

ManifestSig *manifest_sig_new(void)
{
    ManifestSig *sig = g_new0(ManifestSig, 1);
    sig->alg = g_strdup("");
    sig->signer_name = g_strdup("");
    sig->signer_pubkey_b64 = g_strdup("");
    sig->signer_fingerprint = g_strdup("");
    sig->signed_at = g_strdup("");
    sig->pages = manifest_sig_table_new();
    sig->signature_b64 = g_strdup("");
    return sig;
}

void manifest_sig_free(ManifestSig *sig)
{
    if (sig == NULL)
        return;
    g_free(sig->alg);
    g_free(sig->signer_name);
    g_free(sig->signer_pubkey_b64);
    g_free(sig->signer_fingerprint);
    g_free(sig->signed_at);
    g_array_unref(sig->pages);
    g_free(sig->signature_b64);
    manifest_sig_release_free(sig->release);
    g_free(sig->release_signature_b64);
    g_free(sig);
}

/* --- Tables --- */

void manifest_sig_table_add(GArray *table, const char *name, const guint8 sha256[MANIFEST_SIG_HASH_BYTES])
{
    ManifestSigEntry entry = {.name = g_strdup(name)};
    memcpy(entry.sha256, sha256, sizeof entry.sha256);
    g_array_append_val(table, entry);
}

/* The order of bytes in UTF-8 is the order of code points. */
static int compare_entries(gconstpointer a, gconstpointer b)
{
    const ManifestSigEntry *ea = a, *eb = b;
    return strcmp(ea->name, eb->name);
}

void manifest_sig_table_sort(GArray *table)
{
    g_array_sort(table, compare_entries);
}

const ManifestSigEntry *manifest_sig_table_find(const GArray *table, const char *name)
{
    guint low = 0, high = table->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const ManifestSigEntry *entry = &g_array_index(table, ManifestSigEntry, middle);
        int order = strcmp(name, entry->name);
        if (order == 0)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* --- Reading --- */

/* signing/ has hexadecimal too, but stands above this layer. */
static gboolean decode_hash(const char *text, guint8 ret[MANIFEST_SIG_HASH_BYTES])
{
    if (strlen(text) != HASH_HEX_CHARS || strspn(text, "0123456789abcdef") != HASH_HEX_CHARS)
        return FALSE;
    for (guint i = 0; i < MANIFEST_SIG_HASH_BYTES; i++)
        ret[i] = (guint8)(g_ascii_xdigit_value(text[2 * i]) << 4 | g_ascii_xdigit_value(text[2 * i + 1]));
    return TRUE;
}

static gboolean refuse_member(GError **error, const char *parent, const char *key, const char *what)
{
    g_autofree char *shown = text_for_message(key, strlen(key));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "%s/%s: %s", parent, shown, what);
    return FALSE;
}

static const char hash_expected[] = "expected 64 lower-case hexadecimal digits";

static gboolean read_text(const JsonValue *object, const char *key, JsonPresence presence, char **ret,
                          GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, presence, LIMIT_MANIFEST_SIG_TEXT_BYTES, &text, error))
        return FALSE;
    if (text != NULL) {
        g_free(*ret);
        *ret = g_strdup(text);
    }
    return TRUE;
}

static gboolean read_hash(const JsonValue *object, const char *parent, const char *key,
                          guint8 ret[MANIFEST_SIG_HASH_BYTES], GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, LIMIT_MANIFEST_SIG_TEXT_BYTES, &text, error))
        return FALSE;
    return decode_hash(text, ret) || refuse_member(error, parent, key, hash_expected);
}

/* An object of names and hashes. The reader has refused names that stand twice. */
static gboolean read_table(const JsonValue *object, const char *key, const char *pointer, GArray *table,
                           GError **error)
{
    const JsonValue *members = NULL;
    if (!json_get_object(object, key, JSON_REQUIRED, &members, error))
        return FALSE;
    if (json_value_count(members) > LIMIT_PACK_FILES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: more than %d files", pointer,
                    LIMIT_PACK_FILES);
        return FALSE;
    }
    for (const JsonValue *m = json_value_first(members); m != NULL; m = json_value_next(m)) {
        const char *name = json_value_key(m);
        guint8 hash[MANIFEST_SIG_HASH_BYTES];
        if (strlen(name) > LIMIT_PACK_PATH_BYTES) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "%s: a name longer than %d bytes", pointer,
                        LIMIT_PACK_PATH_BYTES);
            return FALSE;
        }
        if (json_value_kind(m) != JSON_STRING || !decode_hash(json_value_string(m), hash))
            return refuse_member(error, pointer, name, hash_expected);
        manifest_sig_table_add(table, name, hash);
    }
    manifest_sig_table_sort(table);
    return TRUE;
}

static gboolean is_utc_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    if (strlen(text) != strlen(form))
        return FALSE;
    for (guint i = 0; form[i] != '\0'; i++) {
        if (form[i] == 'd' ? !g_ascii_isdigit(text[i]) : text[i] != form[i])
            return FALSE;
    }
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
    return time != NULL;
}

static gboolean check_paths(const ManifestSigRelease *release, GError **error)
{
    if (!pack_path_check(release->path, error)) {
        g_prefix_error(error, "/release/path: ");
        return FALSE;
    }
    for (guint i = 0; i < release->files->len; i++) {
        if (!pack_path_check(g_array_index(release->files, ManifestSigEntry, i).name, error)) {
            g_prefix_error(error, "/release/files: ");
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean check_release_members(const JsonValue *object, GError **error)
{
    static const char *const known[] = {"content_sha256", "files",     "path", "published_at",
                                        "version",        "withdrawn", NULL};
    for (const JsonValue *m = json_value_first(object); m != NULL; m = json_value_next(m)) {
        if (!g_strv_contains(known, json_value_key(m)))
            return refuse_member(error, "/release", json_value_key(m), "unknown member");
    }
    return TRUE;
}

/* A release that is not withdrawn has no such member: one value, one encoding. */
static gboolean read_withdrawn(const JsonValue *object, gboolean *ret, GError **error)
{
    gboolean given = json_object_get(object, "withdrawn") != NULL;
    if (!json_get_boolean(object, "withdrawn", JSON_OPTIONAL, ret, error))
        return FALSE;
    return !given || *ret || refuse_member(error, "/release", "withdrawn", "must be true or absent");
}

static gboolean read_release(const JsonValue *object, ManifestSigRelease *release, GError **error)
{
    if (!check_release_members(object, error) ||
        !read_text(object, "path", JSON_REQUIRED, &release->path, error) ||
        !read_text(object, "version", JSON_REQUIRED, &release->version, error) ||
        !read_text(object, "published_at", JSON_REQUIRED, &release->published_at, error) ||
        !read_hash(object, "/release", "content_sha256", release->content_sha256, error) ||
        !read_table(object, "files", "/release/files", release->files, error) ||
        !read_withdrawn(object, &release->withdrawn, error))
        return FALSE;
    if (*release->version == '\0')
        return refuse_member(error, "/release", "version", "empty");
    if (!is_utc_time(release->published_at))
        return refuse_member(error, "/release", "published_at", "expected a time like 2026-01-31T12:00:00Z");
    return check_paths(release, error);
}

static gboolean read_kontor_part(const JsonValue *root, ManifestSig *sig, GError **error)
{
    const JsonValue *release = NULL;
    if (!json_get_object(root, "release", JSON_OPTIONAL, &release, error) ||
        !read_text(root, "release_signature_b64", release != NULL ? JSON_REQUIRED : JSON_OPTIONAL,
                   &sig->release_signature_b64, error))
        return FALSE;
    if (release == NULL)
        return sig->release_signature_b64 == NULL ||
               refuse_member(error, "", "release_signature_b64", "stands without a release");
    sig->release = manifest_sig_release_new();
    return read_release(release, sig->release, error);
}

static gboolean read_sig(const JsonValue *root, ManifestSig *sig, GError **error)
{
    return read_text(root, "alg", JSON_REQUIRED, &sig->alg, error) &&
           read_text(root, "signer_name", JSON_OPTIONAL_NULL, &sig->signer_name, error) &&
           read_text(root, "signer_pubkey_b64", JSON_REQUIRED, &sig->signer_pubkey_b64, error) &&
           read_text(root, "signer_fingerprint", JSON_REQUIRED, &sig->signer_fingerprint, error) &&
           read_text(root, "signed_at", JSON_OPTIONAL_NULL, &sig->signed_at, error) &&
           read_hash(root, "", "manifest_sha256", sig->manifest_sha256, error) &&
           read_table(root, "pages", "/pages", sig->pages, error) &&
           read_text(root, "signature_b64", JSON_REQUIRED, &sig->signature_b64, error) &&
           read_kontor_part(root, sig, error);
}

ManifestSig *manifest_sig_parse(const void *data, gsize len, GError **error)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(data, len, LIMIT_MANIFEST_SIG_BYTES, error);
    if (doc == NULL)
        return NULL;
    if (json_value_kind(json_doc_root(doc)) != JSON_OBJECT) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "expected an object, found %s",
                    json_kind_name(json_value_kind(json_doc_root(doc))));
        return NULL;
    }
    g_autoptr(ManifestSig) sig = manifest_sig_new();
    return read_sig(json_doc_root(doc), sig, error) ? g_steal_pointer(&sig) : NULL;
}

/* --- Signed bytes --- */

static void write_table(JsonWriter *w, const char *key, const GArray *table)
{
    json_write_key(w, key);
    json_write_object_begin(w);
    for (guint i = 0; i < table->len; i++) {
        const ManifestSigEntry *entry = &g_array_index(table, ManifestSigEntry, i);
        json_write_member_hex(w, entry->name, entry->sha256, MANIFEST_SIG_HASH_BYTES);
    }
    json_write_object_end(w);
}

GBytes *manifest_sig_content_bytes(const guint8 manifest_sha256[MANIFEST_SIG_HASH_BYTES], const GArray *pages)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_CANONICAL);
    json_write_object_begin(&w);
    json_write_member_hex(&w, "manifest_sha256", manifest_sha256, MANIFEST_SIG_HASH_BYTES);
    write_table(&w, "pages", pages);
    json_write_object_end(&w);
    return g_string_free_to_bytes(out);
}

GBytes *manifest_sig_release_bytes(const ManifestSigRelease *release)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_CANONICAL);
    json_write_object_begin(&w);
    json_write_member_hex(&w, "content_sha256", release->content_sha256, MANIFEST_SIG_HASH_BYTES);
    write_table(&w, "files", release->files);
    json_write_member_string(&w, "path", release->path);
    json_write_member_string(&w, "published_at", release->published_at);
    json_write_member_string(&w, "version", release->version);
    if (release->withdrawn)
        json_write_member_boolean(&w, "withdrawn", TRUE);
    json_write_object_end(&w);
    return g_string_free_to_bytes(out);
}
