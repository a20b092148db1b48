/* SPDX-License-Identifier: MIT */
#include "mirror/agent/source.h"

#include "schema/limits.h"

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
