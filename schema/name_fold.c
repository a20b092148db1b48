/* SPDX-License-Identifier: MIT */
#include "schema/name_fold.h"

#include <string.h>

char *name_fold(const char *name)
{
    if (g_str_is_ascii(name))
        return g_ascii_strdown(name, -1);
    g_autofree char *composed = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
    /* NULL for what is not UTF-8: such a name collides only with itself. */
    if (composed == NULL)
        return g_strdup(name);
    g_autofree char *folded = g_utf8_casefold(composed, -1);
    /* Folding may leave a sequence that composes anew. */
    return g_utf8_normalize(folded, -1, G_NORMALIZE_NFC);
}

struct NameSet {
    GHashTable *spelled;  /* folded path → path as written, with a slash at its end for a directory */
    char *last_directory; /* the directories of this one are known: most files follow a sibling */
};

NameSet *name_set_new(void)
{
    NameSet *set = g_new0(NameSet, 1);
    set->spelled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    set->last_directory = g_strdup("");
    return set;
}

void name_set_free(NameSet *set)
{
    if (set == NULL)
        return;
    g_hash_table_unref(set->spelled);
    g_free(set->last_directory);
    g_free(set);
}

/* Takes ownership of `spelled`, which says by its last character what it is. */
static const char *add_spelled(NameSet *set, const char *path, char *spelled)
{
    char *folded = name_fold(path);
    const char *other = g_hash_table_lookup(set->spelled, folded);
    if (other == NULL) {
        g_hash_table_insert(set->spelled, folded, spelled);
        return NULL;
    }
    gboolean same_directory = g_str_has_suffix(spelled, "/") && strcmp(other, spelled) == 0;
    g_free(folded);
    g_free(spelled);
    return same_directory ? NULL : other;
}

static const char *add_directories(NameSet *set, const char *path, gsize directory_len)
{
    for (gsize i = 0; i < directory_len; i++) {
        if (path[i] != '/')
            continue;
        g_autofree char *directory = g_strndup(path, i);
        const char *other = add_spelled(set, directory, g_strconcat(directory, "/", NULL));
        if (other != NULL)
            return other;
    }
    return NULL;
}

const char *name_set_add(NameSet *set, const char *path)
{
    const char *slash = strrchr(path, '/');
    gsize directory_len = slash != NULL ? (gsize)(slash - path) + 1 : 0;
    if (strlen(set->last_directory) != directory_len ||
        strncmp(set->last_directory, path, directory_len) != 0) {
        const char *other = add_directories(set, path, directory_len);
        if (other != NULL)
            return other;
        g_free(set->last_directory);
        set->last_directory = g_strndup(path, directory_len);
    }
    return add_spelled(set, path, g_strdup(path));
}
