/* SPDX-License-Identifier: MIT
 *
 * All words of the index at one moment, in memory, for the words of a query that are none of them: parts of
 * words ("aesa" in "caesar") and misspellings ("recieve"). A scan over the words answers both; they are few
 * compared with the text (25,000 in 20,000 manual pages), and an index of their trigrams would have to be
 * kept current for the rare query that needs it.
 *
 * Immutable after loading; shared by reference between threads.
 */
#pragma once

#include "mirror/store/db.h"

typedef struct Vocabulary Vocabulary;

/* A word that stands in for an unknown one; `word` is borrowed from the vocabulary, not NUL-terminated. */
typedef struct {
    const char *word;
    guint len;    /* bytes */
    guint64 rows; /* pages that contain it */
} VocabularyWord;

#define VOCABULARY_STANDINS_MAX 5

/* --- Life cycle --- */

/* Reads the words table as the connection's open transaction sees it, in the order of bytes: `bytes_max`
 * bytes of words at most, and none that is longer than LIMIT_VOCABULARY_WORD_BYTES. */
Vocabulary *vocabulary_load(Db *db, gsize bytes_max, GError **error);
Vocabulary *vocabulary_ref(Vocabulary *vocabulary);
void vocabulary_unref(Vocabulary *vocabulary);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vocabulary, vocabulary_unref)

/* The vocabulary of the latest generation of an index that somebody asked for. Any thread. */
typedef struct {
    GMutex load_lock; /* held while one thread loads: the others want the same */
    GMutex lock;      /* guards the rest */
    Vocabulary *latest;
    guint64 generation; /* of `latest` */
} VocabularyCache;

void vocabulary_cache_init(VocabularyCache *cache);
void vocabulary_cache_clear(VocabularyCache *cache);
/* The vocabulary of `generation`, with a reference; loaded through `db` when it is not there. */
Vocabulary *vocabulary_cache_get(VocabularyCache *cache, guint64 generation, Db *db, GError **error);

/* --- Queries --- */

/* Of all words, with a byte for the end of each. */
gsize vocabulary_bytes(const Vocabulary *vocabulary);

/* The best words for an unknown `term`: those that contain it (at its beginning when it is shorter than three
 * characters), beginnings before middles, frequent before rare; when there is none, the nearest misspellings:
 * one edit for 4 to 7 letters, two from 8 on, none for words with digits; an edit inserts, deletes or
 * replaces a character or swaps two neighbours. Returns how many were written to `ret`. */
guint vocabulary_find(const Vocabulary *vocabulary, const char *term,
                      VocabularyWord ret[VOCABULARY_STANDINS_MAX]);
