/* SPDX-License-Identifier: MIT
 *
 * Trust lists and their editing: whatever the text, an edit either fails or does what it says and keeps every
 * other entry.
 */
#include "schema/limits.h"
#include "signing/trust_list.h"

#include <string.h>

#define NEW_FINGERPRINT "fuzzfuzzfuzzfuzz"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static TrustList *read_back(const char *text)
{
    g_autoptr(GError) error = NULL;
    TrustList *list = trust_list_parse("fuzz", text, strlen(text), &error);
    g_assert_no_error(error);
    return list;
}

static void try_add(const char *text, guint count)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    TrustEntry entry = {.fingerprint = NEW_FINGERPRINT, .until = G_MAXINT64, .paths = paths};
    entry.note = (char *)(gsize) "# \"x\": [";
    g_autofree char *added = trust_text_add(text, &entry, NULL);
    if (added == NULL)
        return;
    g_autoptr(TrustList) list = read_back(added);
    g_assert(trust_list_count(list) == count + 1);
    g_assert_cmpstr(trust_list_find(list, NEW_FINGERPRINT)->note, ==, entry.note);
    g_autofree char *removed = trust_text_remove(added, NEW_FINGERPRINT, NULL);
    g_assert(removed == NULL || strlen(removed) < strlen(added));
}

static void try_edits(const char *text, const TrustList *list, const char *fingerprint)
{
    g_autofree char *removed = trust_text_remove(text, fingerprint, NULL);
    g_autofree char *revoked = trust_text_revoke(text, fingerprint, NULL);
    if (removed != NULL) {
        g_autoptr(TrustList) after = read_back(removed);
        g_assert(trust_list_find(after, fingerprint) == NULL);
        g_assert(trust_list_count(after) + 1 == trust_list_count(list));
    }
    if (revoked != NULL) {
        g_autoptr(TrustList) after = read_back(revoked);
        g_assert(trust_list_find(after, fingerprint)->revoked);
        g_assert(trust_list_count(after) == trust_list_count(list));
    }
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    signing_init();
    g_autoptr(GError) error = NULL;
    g_autoptr(TrustList) list = trust_list_parse("fuzz", data, size, &error);
    g_assert((list == NULL) == (error != NULL));
    if (list == NULL)
        return 0;
    const GPtrArray *warnings = trust_list_warnings(list);
    for (guint i = 0; i < warnings->len; i++)
        g_assert(strchr(g_ptr_array_index(warnings, i), '\n') == NULL);
    g_autofree char *text = g_strndup(size > 0 ? (const char *)data : "", size);
    try_add(text, trust_list_count(list));
    for (guint i = 0; i < trust_list_count(list); i++) {
        const TrustEntry *entry = trust_list_nth(list, i);
        g_autofree char *until = trust_until_print(entry->until);
        g_assert(until == NULL || g_utf8_validate(until, -1, NULL));
        trust_entry_allows_path(entry, "history/rome");
        g_assert(trust_list_find(list, entry->fingerprint) == entry);
        if (i < 4)
            try_edits(text, list, entry->fingerprint);
    }
    return 0;
}
