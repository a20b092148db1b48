/* SPDX-License-Identifier: MIT */
#include "broker/cli/catalog_client.h"

#include <string.h>

/* A checkpoint of the signer names it, and is signed by it. */
static gboolean check_signer(const CatalogSigner *signer, const char *name, GError **error)
{
    if (signer == NULL || strcmp(signer->name, name) == 0) {
        return TRUE;
    }
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_SIGNATURE, "the checkpoint is of another broker than '%s'",
                signer->name);
    return FALSE;
}

gboolean catalog_client_checkpoint(CliClient *client, const CatalogSigner *signer, CatalogCheckpoint *ret,
                                   char **ret_name, GError **error)
{
    g_autoptr(GBytes) note = cli_client_get(client, "/catalog/checkpoint", error);
    g_autoptr(GError) cause = NULL;
    g_autofree char *name = NULL;

    if (note == NULL) {
        return FALSE;
    }
    if (!catalog_checkpoint_open(g_bytes_get_data(note, NULL), g_bytes_get_size(note),
                                 signer != NULL ? &signer->key : NULL, ret, &name, &cause) ||
        !check_signer(signer, name, &cause)) {
        /* "Not found" is a signature of this key here, not the broker. */
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
            cause->code = KONTOR_ERROR_SIGNATURE;
        }
        g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", cli_client_url(client));
        return FALSE;
    }
    *ret_name = g_steal_pointer(&name);
    return TRUE;
}

/* For TrieSource. */
static gboolean ask_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                          GError **error)
{
    CliClient *client = user;
    g_autoptr(GString) target = g_string_new("/catalog/digest");
    g_autoptr(GBytes) answer = NULL;

    for (guint i = 0; i < count; i++) {
        g_assert(*prefixes[i] != '\0' || count == 1);
        g_string_append_printf(target, "%s%s", *prefixes[i] == '\0' ? "" : i == 0 ? "/" : ",", prefixes[i]);
    }
    answer = cli_client_get(client, target->str, error);
    if (answer == NULL) {
        return FALSE;
    }
    if (!digest_views_parse(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), prefixes, count,
                            ret_views, error)) {
        g_prefix_error(error, "%s: ", cli_client_url(client));
        return FALSE;
    }
    return TRUE;
}

TrieSource catalog_client_source(CliClient *client, const CatalogCheckpoint *checkpoint)
{
    TrieSource source = {.count = checkpoint->count, .views = ask_views, .user = client};

    memcpy(source.root, checkpoint->root, SHA256_BYTES);
    return source;
}

gboolean catalog_client_changes(CliClient *client, guint64 since, JournalAnswer *ret, GError **error)
{
    g_autofree char *target = g_strdup_printf("/catalog/changes?since=%" G_GUINT64_FORMAT, since);
    g_autoptr(GBytes) answer = cli_client_get(client, target, error);

    if (answer == NULL) {
        return FALSE;
    }
    if (!journal_answer_parse(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), since, ret, error)) {
        g_prefix_error(error, "%s: ", cli_client_url(client));
        return FALSE;
    }
    return TRUE;
}
