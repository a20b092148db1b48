/* SPDX-License-Identifier: MIT */
#include "mirror/agent/source.h"

#include "schema/limits.h"

#include <string.h>

MirrorSource *source_new(SourceKind kind, const char *name)
{
    MirrorSource *source = g_new0(MirrorSource, 1);
    g_atomic_ref_count_init(&source->refs);
    source->kind = kind;
    source->name = g_strdup(name);
    source->path = g_strdup("");
    source->include = g_ptr_array_new_with_free_func(g_free);
    source->exclude = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(source->include, g_strdup("**"));
    source->policy = PACK_POLICY_REQUIRED;
    source->interval_s = LIMIT_SOURCE_INTERVAL_SECONDS;
    source->bytes_max = LIMIT_SOURCE_BYTES;
    source->time_max_s = LIMIT_SOURCE_SECONDS;
    return source;
}

MirrorSource *source_ref(MirrorSource *source)
{
    g_atomic_ref_count_inc(&source->refs);
    return source;
}

void source_unref(MirrorSource *source)
{
    if (source == NULL || !g_atomic_ref_count_dec(&source->refs))
        return;
    g_free(source->name);
    g_free(source->url);
    g_free(source->ref);
    g_free(source->path);
    g_free(source->pack);
    g_ptr_array_unref(source->include);
    g_ptr_array_unref(source->exclude);
    g_free(source->token_file);
    g_free(source->user);
    g_free(source->ssh_key_file);
    g_free(source->known_hosts_file);
    g_free(source->netrc_file);
    g_free(source->ca_file);
    g_free(source->key_name);
    g_free(source);
}

/* --- Which packs --- */

static gboolean any_matches(const GPtrArray *globs, const char *path)
{
    for (guint i = 0; i < globs->len; i++) {
        if (trust_glob_matches(g_ptr_array_index(globs, i), path))
            return TRUE;
    }
    return FALSE;
}

gboolean source_wants(const MirrorSource *source, const char *pack_path)
{
    return any_matches(source->include, pack_path) && !any_matches(source->exclude, pack_path);
}

/* --- Texts about it --- */

static void write_texts(JsonWriter *w, const char *key, const GPtrArray *texts)
{
    json_write_key(w, key);
    json_write_array_begin(w);
    for (guint i = 0; i < texts->len; i++)
        json_write_string(w, g_ptr_array_index(texts, i));
    json_write_array_end(w);
}

char *source_policy_hash(const MirrorSource *source, const TrustList *trust)
{
    guint8 trust_hash[SHA256_BYTES], hash[SHA256_BYTES];
    char hex[SHA256_HEX_CHARS + 1];
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(JsonWriter) w;
    trust_list_hash(trust, trust_hash);
    hex_encode(trust_hash, sizeof trust_hash, hex);
    json_writer_init(&w, text, JSON_STYLE_CANONICAL);
    json_write_object_begin(&w);
    write_texts(&w, "exclude", source->exclude);
    write_texts(&w, "include", source->include);
    json_write_member_string(&w, "policy", source_policy_names[source->policy]);
    json_write_member_boolean(&w, "require_release", source->require_release);
    json_write_member_string(&w, "trust", hex);
    json_write_object_end(&w);
    sha256(text->str, text->len, hash);
    hex_encode(hash, sizeof hash, hex);
    return g_strdup(hex);
}

char *source_origin(const MirrorSource *source)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, text, JSON_STYLE_CANONICAL);
    json_write_array_begin(&w);
    json_write_string(&w, source_kind_name(source->kind));
    json_write_string(&w, source->url);
    json_write_string(&w, source->ref == NULL ? "HEAD" : source->ref_is_tag ? "tag" : "branch");
    json_write_string(&w, source->ref != NULL ? source->ref : "");
    json_write_string(&w, source->path);
    json_write_string(&w, source->pack != NULL ? source->pack : "");
    json_write_string(&w, source->is_private ? "private" : "public");
    json_write_array_end(&w);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

gboolean source_same_origin(const MirrorSource *a, const MirrorSource *b)
{
    g_autofree char *of_a = source_origin(a), *of_b = source_origin(b);
    return g_str_equal(of_a, of_b);
}

/* Everything up to the last "@" before the path is a user, with or without a password. */
char *source_shown_url(const MirrorSource *source)
{
    const char *url = source->url;
    const char *behind = strstr(url, "://");
    if (*url == '/')
        return g_strdup(url);
    const char *authority = behind != NULL ? behind + 3 : url;
    gsize len = strcspn(authority, behind != NULL ? "/?#" : ":/");
    const char *at = g_strrstr_len(authority, (gssize)len, "@");
    const char *host = at != NULL ? at + 1 : authority;
    g_autofree char *scheme = g_strndup(url, (gsize)(authority - url));
    g_autofree char *rest = g_strndup(host, behind != NULL ? strcspn(host, "?#") : strlen(host));
    return g_strconcat(scheme, rest, NULL);
}
