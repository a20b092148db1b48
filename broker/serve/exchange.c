/* SPDX-License-Identifier: MIT */
#include "broker/serve/exchange.h"

#include <string.h>

struct Exchange {
    gatomicrefcount refs;
    Journal *journal;
    char *broker_name;
    char view[CATALOG_VIEW_CHARS + 1];
    const SecretKey *key;
    GMutex lock;
    GBytes *note; /* guarded by the lock; NULL: not signed yet */
    gint64 signed_s;
};

Exchange *exchange_new(Journal *journal, const char *broker_name, const SecretKey *key)
{
    Exchange *exchange = g_new0(Exchange, 1);
    g_atomic_ref_count_init(&exchange->refs);
    exchange->journal = journal_ref(journal);
    exchange->broker_name = g_strdup(broker_name);
    exchange->key = key;
    g_mutex_init(&exchange->lock);
    return exchange;
}

void exchange_set_view(Exchange *exchange, const char *view)
{
    g_assert(catalog_view_is_valid(view));
    g_strlcpy(exchange->view, view, sizeof exchange->view);
}

Exchange *exchange_ref(Exchange *exchange)
{
    g_atomic_int_inc(&exchange->refs);
    return exchange;
}

void exchange_unref(Exchange *exchange)
{
    if (exchange == NULL || !g_atomic_int_dec_and_test(&exchange->refs))
        return;
    journal_unref(exchange->journal);
    g_free(exchange->broker_name);
    g_clear_pointer(&exchange->note, g_bytes_unref);
    g_mutex_clear(&exchange->lock);
    g_free(exchange);
}

Journal *exchange_journal(const Exchange *exchange)
{
    return exchange->journal;
}

gboolean exchange_is(const Exchange *exchange, const Journal *journal, const char *broker_name)
{
    return exchange->journal == journal && strcmp(exchange->broker_name, broker_name) == 0;
}

/* Holds the lock. */
static GBytes *sign(const Exchange *exchange, gint64 now_s, GError **error)
{
    const DigestTrie *trie = journal_trie(exchange->journal);
    CatalogCheckpoint checkpoint = {
        .count = digest_trie_count(trie),
        .generation = journal_generation(exchange->journal),
        .time_s = now_s,
    };
    memcpy(checkpoint.root, digest_trie_digest(trie), SHA256_BYTES);
    memcpy(checkpoint.view, exchange->view, sizeof checkpoint.view);
    char *note = catalog_checkpoint_sign(&checkpoint, exchange->broker_name, exchange->key, error);
    return note != NULL ? g_bytes_new_take(note, strlen(note)) : NULL;
}

GBytes *exchange_checkpoint(Exchange *exchange, gint64 now_s, GError **error)
{
    g_mutex_lock(&exchange->lock);
    /* A clock that was set back must not leave a note from the future in use. */
    gboolean fresh = exchange->note != NULL && now_s >= exchange->signed_s &&
                     now_s - exchange->signed_s < EXCHANGE_RESIGN_SECONDS;
    GBytes *note = fresh ? NULL : sign(exchange, now_s, error);
    if (note != NULL) {
        g_clear_pointer(&exchange->note, g_bytes_unref);
        exchange->note = note;
        exchange->signed_s = now_s;
    }
    GBytes *answer = fresh || note != NULL ? g_bytes_ref(exchange->note) : NULL;
    g_mutex_unlock(&exchange->lock);
    return answer;
}
