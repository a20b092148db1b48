/* SPDX-License-Identifier: MIT
 *
 * Listings of tree objects of git: any bytes.
 */
#include "mirror/agent/git_listing.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GitListing) listing = git_listing_read(data, size, &error);
    g_assert((listing == NULL) == (error != NULL));
    for (guint i = 0; listing != NULL && i < git_listing_count(listing); i++) {
        const GitEntry *entry = git_listing_at(listing, i);
        const GitEntry *found = git_listing_find(listing, entry->name);
        g_assert(*entry->name != '\0' && found != NULL && strcmp(found->name, entry->name) == 0);
        g_assert(found == entry || entry->repeated);
        g_assert(i == 0 || strcmp(git_listing_at(listing, i - 1)->name, entry->name) <= 0);
    }
    return 0;
}
