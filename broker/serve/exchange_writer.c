/* SPDX-License-Identifier: MIT
 *
 * The trie follows every change of the catalog, whether or not the journal could be written: the journal
 * finds by itself what has changed since its latest generation, which after a restart is that of the process
 * before.
 */
#include "broker/serve/exchange_writer.h"

#include "broker/log.h"
#include "mirror/catalog/journal_store.h"
#include "mirror/catalog/pack_item.h"

struct ExchangeWriter {
    JournalStore *store;
    Journal *journal; /* the latest that is on disk */
    DigestTrie *trie; /* of the catalog as it is now */
    const SecretKey *key;
    char *view;       /* NULL: the public catalog */
    gboolean sharing; /* the trie was given, and the journal has not taken it over yet */
};

ExchangeWriter *exchange_writer_open(const char *path, const SecretKey *key, GError **error)
{
    ExchangeWriter *writer = g_new0(ExchangeWriter, 1);
    g_autofree char *rebuilt = NULL;
    writer->store = journal_store_open(path, &writer->journal, &rebuilt, error);
    if (writer->store == NULL) {
        g_free(writer);
        return NULL;
    }
    if (rebuilt != NULL)
        log_event(LOG_WARNING, "journal-rebuilt", "reason", rebuilt, NULL);
    writer->trie = digest_trie_new_empty();
    writer->key = key;
    return writer;
}

void exchange_writer_set_view(ExchangeWriter *writer, const char *view)
{
    g_free(writer->view);
    writer->view = g_strdup(view);
}

void exchange_writer_begin(ExchangeWriter *writer, DigestTrie *trie)
{
    digest_trie_unref(writer->trie);
    writer->trie = digest_trie_ref(trie);
    writer->sharing = TRUE;
}

DigestTrie *exchange_writer_trie(const ExchangeWriter *writer)
{
    return writer->trie;
}

void exchange_writer_free(ExchangeWriter *writer)
{
    if (writer == NULL)
        return;
    journal_store_free(writer->store);
    journal_unref(writer->journal);
    digest_trie_unref(writer->trie);
    g_free(writer->view);
    g_free(writer);
}

static void change_trie(ExchangeWriter *writer, const GPtrArray *upserts, const GPtrArray *removals)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_item_unref);
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    for (guint i = 0; i < removals->len; i++)
        g_ptr_array_add(gone, g_ptr_array_index(removals, i));
    pack_item_sort(upserts, items, gone);
    DigestTrie *next = digest_trie_with_changes(writer->trie, items, gone);
    digest_trie_unref(writer->trie);
    writer->trie = next;
}

static void change_journal(ExchangeWriter *writer)
{
    g_autoptr(GError) error = NULL;
    Journal *next = journal_store_advance(writer->store, writer->journal, writer->trie,
                                          g_get_real_time() / G_USEC_PER_SEC, &error);
    if (next == NULL) {
        log_error_event(LOG_ERROR, "journal-failed", error, NULL);
        return;
    }
    if (writer->sharing && next == writer->journal) {
        journal_unref(next);
        next = journal_with_trie(writer->journal, writer->trie);
    }
    writer->sharing = FALSE;
    journal_unref(writer->journal);
    writer->journal = next;
    /* The same set of items: one copy of them is enough. */
    digest_trie_unref(writer->trie);
    writer->trie = digest_trie_ref(journal_trie(next));
}

Exchange *exchange_writer_advance(ExchangeWriter *writer, Exchange *before, const GPtrArray *upserts,
                                  const GPtrArray *removals, const char *broker_name)
{
    change_trie(writer, upserts, removals);
    change_journal(writer);
    if (journal_generation(writer->journal) == 0)
        return NULL;
    if (before != NULL && exchange_is(before, writer->journal, broker_name))
        return exchange_ref(before);
    Exchange *exchange = exchange_new(writer->journal, broker_name, writer->key);
    if (writer->view != NULL)
        exchange_set_view(exchange, writer->view);
    return exchange;
}
