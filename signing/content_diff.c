/* SPDX-License-Identifier: MIT */
#include "signing/content_diff.h"

#include <string.h>

void content_difference_free(ContentDifference *difference)
{
    if (difference == NULL)
        return;
    g_free(difference->file);
    g_free(difference);
}

static void add_table(GArray *all, const GArray *table, const char *prefix)
{
    for (guint i = 0; i < table->len; i++) {
        const ManifestSigEntry *entry = &g_array_index(table, ManifestSigEntry, i);
        g_autofree char *name = g_strconcat(prefix, entry->name, NULL);
        manifest_sig_table_add(all, name, entry->sha256);
    }
}

/* Every file under its full name, sorted. */
static GArray *all_files(const PackContent *content, gboolean only_nodes_part)
{
    GArray *all = manifest_sig_table_new();
    if (content->has_manifest)
        manifest_sig_table_add(all, "manifest.yaml", content->manifest_sha256);
    add_table(all, content->pages, "wiki/");
    if (!only_nodes_part)
        add_table(all, content->files, "");
    manifest_sig_table_sort(all);
    return all;
}

static ContentDifference *difference_new(const ManifestSigEntry *a, const ManifestSigEntry *b)
{
    ContentDifference *difference = g_new0(ContentDifference, 1);
    difference->file = g_strdup(a != NULL ? a->name : b->name);
    difference->in_a = a != NULL;
    difference->in_b = b != NULL;
    if (a != NULL)
        memcpy(difference->a, a->sha256, SHA256_BYTES);
    if (b != NULL)
        memcpy(difference->b, b->sha256, SHA256_BYTES);
    return difference;
}

GPtrArray *content_diff(const PackContent *a, const PackContent *b, gboolean only_nodes_part)
{
    g_autoptr(GArray) left = all_files(a, only_nodes_part);
    g_autoptr(GArray) right = all_files(b, only_nodes_part);
    GPtrArray *result = g_ptr_array_new_with_free_func((GDestroyNotify)content_difference_free);
    for (guint i = 0, j = 0; i < left->len || j < right->len;) {
        const ManifestSigEntry *l = i < left->len ? &g_array_index(left, ManifestSigEntry, i) : NULL;
        const ManifestSigEntry *r = j < right->len ? &g_array_index(right, ManifestSigEntry, j) : NULL;
        int order = l == NULL ? 1 : r == NULL ? -1 : strcmp(l->name, r->name);
        if (order != 0 || memcmp(l->sha256, r->sha256, SHA256_BYTES) != 0)
            g_ptr_array_add(result, difference_new(order <= 0 ? l : NULL, order >= 0 ? r : NULL));
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
    return result;
}
