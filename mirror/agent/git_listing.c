/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_listing.h"

#include <string.h>

#include "schema/limits.h"
#include "signing/hash.h"

struct GitListing {
    char *data;      /* the names of the entries point into it */
    gsize len;       /* of data */
    GArray *entries; /* of GitEntry, sorted by name */
};

enum { MODE_DIGITS_MAX = 7 };

/* --- Ids --- */

gboolean git_id_equal(const GitId *a, const GitId *b)
{
    return memcmp(a->bytes, b->bytes, GIT_ID_BYTES) == 0;
}

void git_id_hex(const GitId *id, char ret[GIT_ID_HEX_CHARS + 1])
{
    hex_encode(id->bytes, GIT_ID_BYTES, ret);
}

gboolean git_id_parse(const char *text, GitId *ret)
{
    return hex_decode(text, ret->bytes, GIT_ID_BYTES);
}

/* --- Reading --- */

static GitEntryKind kind_of_mode(guint mode)
{
    switch (mode) {
    case 0100644:
    case 0100755:
    case 0100664:
        return GIT_ENTRY_FILE;
    case 040000:
        return GIT_ENTRY_DIRECTORY;
    case 0120000:
        return GIT_ENTRY_LINK;
    case 0160000:
        return GIT_ENTRY_SUBMODULE;
    default:
        return GIT_ENTRY_STRANGE;
    }
}

/* Reads one entry at *pos and moves behind it. NULL, or what is wrong. */
static const char *take_entry(const char *data, gsize len, gsize *pos, GitEntry *ret)
{
    gsize at = *pos;
    guint mode = 0;
    for (; at < len && data[at] >= '0' && data[at] <= '7' && at - *pos < MODE_DIGITS_MAX; at++)
        mode = mode * 8 + (guint)(data[at] - '0');
    if (at == *pos || at >= len || data[at] != ' ')
        return "no mode";
    const char *name = data + at + 1;
    const char *end = memchr(name, '\0', len - at - 1);
    if (end == NULL || end == name)
        return "no name";
    gsize after = (gsize)(end - data) + 1;
    if (len - after < GIT_ID_BYTES)
        return "no id";
    *ret = (GitEntry){.name = name, .kind = kind_of_mode(mode)};
    memcpy(ret->id.bytes, data + after, GIT_ID_BYTES);
    *pos = after + GIT_ID_BYTES;
    return NULL;
}

static gint compare_entries(gconstpointer a, gconstpointer b)
{
    return strcmp(((const GitEntry *)a)->name, ((const GitEntry *)b)->name);
}

static void mark_repeated(GArray *entries)
{
    for (guint i = 1; i < entries->len; i++) {
        GitEntry *before = &g_array_index(entries, GitEntry, i - 1);
        GitEntry *entry = before + 1;
        if (strcmp(before->name, entry->name) == 0)
            before->repeated = entry->repeated = TRUE;
    }
}

GitListing *git_listing_read(const void *data, gsize len, GError **error)
{
    if (len > LIMIT_GIT_TREE_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "a directory listing of %" G_GSIZE_FORMAT " bytes, at most %d are read", len,
                    LIMIT_GIT_TREE_BYTES);
        return NULL;
    }
    g_autoptr(GitListing) listing = g_new0(GitListing, 1);
    listing->data = g_memdup2(data, len);
    listing->len = len;
    listing->entries = g_array_new(FALSE, FALSE, sizeof(GitEntry));
    for (gsize pos = 0; pos < len;) {
        GitEntry entry;
        gsize at = pos;
        const char *wrong = take_entry(listing->data, len, &pos, &entry);
        if (wrong != NULL) {
            g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                        "directory listing: %s at byte %" G_GSIZE_FORMAT, wrong, at);
            return NULL;
        }
        g_array_append_val(listing->entries, entry);
    }
    g_array_sort(listing->entries, compare_entries);
    mark_repeated(listing->entries);
    return g_steal_pointer(&listing);
}

void git_listing_free(GitListing *listing)
{
    if (listing == NULL)
        return;
    g_clear_pointer(&listing->entries, g_array_unref);
    g_free(listing->data);
    g_free(listing);
}

/* --- Queries --- */

guint git_listing_count(const GitListing *listing)
{
    return listing->entries->len;
}

gsize git_listing_bytes(const GitListing *listing)
{
    return listing->len + listing->entries->len * sizeof(GitEntry);
}

const GitEntry *git_listing_at(const GitListing *listing, guint index)
{
    g_assert(index < listing->entries->len);
    return &g_array_index(listing->entries, GitEntry, index);
}

const GitEntry *git_listing_find(const GitListing *listing, const char *name)
{
    const GitEntry key = {.name = name};
    guint at = 0;
    if (!g_array_binary_search(listing->entries, &key, compare_entries, &at))
        return NULL;
    return &g_array_index(listing->entries, GitEntry, at);
}

const char *git_entry_kind_name(GitEntryKind kind)
{
    static const char *const names[] = {
        [GIT_ENTRY_FILE] = "a file",
        [GIT_ENTRY_DIRECTORY] = "a directory",
        [GIT_ENTRY_LINK] = "a symbolic link",
        [GIT_ENTRY_SUBMODULE] = "a submodule",
        [GIT_ENTRY_STRANGE] = "an entry with a mode that git does not know",
    };
    return names[kind];
}
