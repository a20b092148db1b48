/* SPDX-License-Identifier: MIT
 *
 * The words stand one after another in one buffer, each followed by a line feed (which no word contains), so
 * that a part of a word is found by one memmem over the whole buffer; they are sorted by bytes, so that
 * beginnings are a range. For misspellings every word has a signature, a bit per character: one edit changes
 * at most two of its bits, which spares the exact comparison for nearly all words.
 */
#include "broker/search/vocabulary.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

enum {
    TYPO_CHARS_MIN = 4,
    TYPO_TWO_CHARS_MIN = 8,
    TYPO_CHARS_MAX = 32, /* longer words are not compared */
    TYPO_EDITS_MAX = 2,
    PART_CHARS_MIN = 3,
};

typedef struct {
    guint32 start; /* in bytes; ends before the start of the next, minus the line feed */
    guint32 rows;
    guint32 signature;
    guint8 chars; /* code points, 255 = that many or more */
} Word;

struct Vocabulary {
    gatomicrefcount refs;
    GString *bytes;
    GArray *words; /* of Word, and one more that marks the end */
};

/* --- Life cycle --- */

G_STATIC_ASSERT(LIMIT_VOCABULARY_BYTES <= G_MAXUINT32); /* offsets are 32 bits wide */

static guint32 signature_of(const char *word, gsize len)
{
    guint32 signature = 0;
    for (gsize pos = 0; pos < len;) {
        gunichar c = 0;
        pos += MAX(text_char_decode(word + pos, len - pos, &c), 1);
        signature |= 1u << (c & 31);
    }
    return signature;
}

static void append_word(Vocabulary *vocabulary, const char *word, gsize len, guint64 rows)
{
    Word entry = {.start = (guint32)vocabulary->bytes->len,
                  .rows = (guint32)MIN(rows, G_MAXUINT32),
                  .signature = signature_of(word, len),
                  .chars = (guint8)MIN(text_count_chars(word, len), 255)};
    g_array_append_val(vocabulary->words, entry);
    g_string_append_len(vocabulary->bytes, word, (gssize)len);
    g_string_append_c(vocabulary->bytes, '\n');
}

Vocabulary *vocabulary_load(Db *db, gsize bytes_max, GError **error)
{
    g_autoptr(Vocabulary) vocabulary = g_new0(Vocabulary, 1);
    g_atomic_ref_count_init(&vocabulary->refs);
    vocabulary->bytes = g_string_new(NULL);
    vocabulary->words = g_array_new(FALSE, FALSE, sizeof(Word));
    g_autoptr(DbStatement) statement = db_prepare(db, "SELECT word, rows FROM words ORDER BY word", error);
    gboolean row = FALSE;
    if (statement == NULL)
        return NULL;
    do {
        if (!db_step(statement, &row, error))
            return NULL;
        const char *word = row ? db_column_text(statement, 0) : "";
        gsize len = strlen(word);
        if (vocabulary->bytes->len + len + 1 > bytes_max)
            break;
        if (row && len <= LIMIT_VOCABULARY_WORD_BYTES)
            append_word(vocabulary, word, len, (guint64)db_column_integer(statement, 1));
    } while (row);
    Word end = {.start = (guint32)vocabulary->bytes->len};
    g_array_append_val(vocabulary->words, end);
    return g_steal_pointer(&vocabulary);
}

Vocabulary *vocabulary_ref(Vocabulary *vocabulary)
{
    g_atomic_ref_count_inc(&vocabulary->refs);
    return vocabulary;
}

void vocabulary_unref(Vocabulary *vocabulary)
{
    if (vocabulary == NULL || !g_atomic_ref_count_dec(&vocabulary->refs))
        return;
    g_string_free(vocabulary->bytes, TRUE);
    g_array_unref(vocabulary->words);
    g_free(vocabulary);
}

gsize vocabulary_bytes(const Vocabulary *vocabulary)
{
    return vocabulary->bytes->len;
}

/* --- The cache --- */

void vocabulary_cache_init(VocabularyCache *cache)
{
    g_mutex_init(&cache->load_lock);
    g_mutex_init(&cache->lock);
    cache->latest = NULL;
    cache->generation = 0;
}

void vocabulary_cache_clear(VocabularyCache *cache)
{
    g_clear_pointer(&cache->latest, vocabulary_unref);
    g_mutex_clear(&cache->load_lock);
    g_mutex_clear(&cache->lock);
}

static void cache_put(VocabularyCache *cache, Vocabulary *vocabulary, guint64 generation)
{
    g_mutex_lock(&cache->lock);
    Vocabulary *old = cache->latest;
    cache->latest = vocabulary_ref(vocabulary);
    cache->generation = generation;
    g_mutex_unlock(&cache->lock);
    vocabulary_unref(old);
}

static Vocabulary *cache_find(VocabularyCache *cache, guint64 generation)
{
    Vocabulary *vocabulary = NULL;
    g_mutex_lock(&cache->lock);
    if (cache->latest != NULL && cache->generation == generation)
        vocabulary = vocabulary_ref(cache->latest);
    g_mutex_unlock(&cache->lock);
    return vocabulary;
}

/* Loading costs some milliseconds once per change, and only when a query needs it. */
Vocabulary *vocabulary_cache_get(VocabularyCache *cache, guint64 generation, Db *db, GError **error)
{
    Vocabulary *vocabulary = cache_find(cache, generation);
    if (vocabulary != NULL)
        return vocabulary;
    g_mutex_lock(&cache->load_lock);
    vocabulary = cache_find(cache, generation);
    if (vocabulary == NULL)
        vocabulary = vocabulary_load(db, LIMIT_VOCABULARY_BYTES, error);
    if (vocabulary != NULL)
        cache_put(cache, vocabulary, generation);
    g_mutex_unlock(&cache->load_lock);
    return vocabulary;
}

/* --- The best few --- */

typedef struct {
    guint index;   /* of the word */
    guint penalty; /* smaller is better */
    guint32 rows;
} Candidate;

typedef struct {
    Candidate items[VOCABULARY_STANDINS_MAX];
    guint count;
} Best;

static gboolean candidate_precedes(const Candidate *a, const Candidate *b)
{
    if (a->penalty != b->penalty)
        return a->penalty < b->penalty;
    return a->rows != b->rows ? a->rows > b->rows : a->index < b->index;
}

static void best_add(Best *best, Candidate candidate)
{
    guint at = best->count;
    while (at > 0 && candidate_precedes(&candidate, &best->items[at - 1]))
        at--;
    if (at == VOCABULARY_STANDINS_MAX)
        return;
    guint last = MIN(best->count, VOCABULARY_STANDINS_MAX - 1);
    memmove(&best->items[at + 1], &best->items[at], (last - at) * sizeof(Candidate));
    best->items[at] = candidate;
    best->count = last + 1;
}

static const Word *word_at(const Vocabulary *vocabulary, guint index)
{
    return &g_array_index(vocabulary->words, Word, index);
}

static guint word_length(const Vocabulary *vocabulary, guint index)
{
    return word_at(vocabulary, index + 1)->start - 1 - word_at(vocabulary, index)->start;
}

static guint word_count(const Vocabulary *vocabulary)
{
    return vocabulary->words->len - 1;
}

/* --- Parts of words --- */

/* The first word that is not less than `term`, by bytes. */
static guint lower_bound(const Vocabulary *vocabulary, const char *term, gsize len)
{
    guint low = 0, high = word_count(vocabulary);
    while (low < high) {
        guint middle = low + (high - low) / 2, length = word_length(vocabulary, middle);
        int order =
            memcmp(vocabulary->bytes->str + word_at(vocabulary, middle)->start, term, MIN(length, len));
        if (order < 0 || (order == 0 && length < len))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void find_beginnings(const Vocabulary *vocabulary, const char *term, gsize len, Best *best)
{
    for (guint i = lower_bound(vocabulary, term, len); i < word_count(vocabulary); i++) {
        const Word *word = word_at(vocabulary, i);
        if (word_length(vocabulary, i) < len || memcmp(vocabulary->bytes->str + word->start, term, len) != 0)
            return;
        best_add(best, (Candidate){.index = i, .penalty = 0, .rows = word->rows});
    }
}

/* The word in which byte `offset` lies. */
static guint word_containing(const Vocabulary *vocabulary, gsize offset)
{
    guint low = 0, high = word_count(vocabulary);
    while (high - low > 1) {
        guint middle = low + (high - low) / 2;
        if (word_at(vocabulary, middle)->start <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The beginnings are among them; they are left to find_beginnings. */
static void find_middles(const Vocabulary *vocabulary, const char *term, gsize len, Best *best)
{
    const char *start = vocabulary->bytes->str, *end = start + vocabulary->bytes->len, *at = start;
    while ((at = memmem(at, (gsize)(end - at), term, len)) != NULL) {
        guint index = word_containing(vocabulary, (gsize)(at - start));
        const Word *word = word_at(vocabulary, index);
        if (at != start + word->start)
            best_add(best, (Candidate){.index = index, .penalty = 1, .rows = word->rows});
        at = start + word_at(vocabulary, index + 1)->start;
    }
}

/* --- Misspellings --- */

typedef struct {
    gunichar chars[TYPO_CHARS_MAX];
    guint count;
} Letters;

static gboolean letters_decode(const char *text, gsize len, Letters *ret)
{
    ret->count = 0;
    for (gsize pos = 0; pos < len;) {
        guint length = ret->count < TYPO_CHARS_MAX
                           ? text_char_decode(text + pos, len - pos, &ret->chars[ret->count])
                           : 0;
        if (length == 0)
            return FALSE;
        ret->count++;
        pos += length;
    }
    return TRUE;
}

/* Edits (insert, delete, replace, swap neighbours; no character is touched twice) that lead from `a` to `b`:
 * the optimal string alignment distance, with three rows of its table kept. */
static guint edit_distance(const Letters *a, const Letters *b)
{
    guint8 rows[3][TYPO_CHARS_MAX + 1];
    for (guint j = 0; j <= b->count; j++)
        rows[0][j] = (guint8)j;
    for (guint i = 1; i <= a->count; i++) {
        guint8 *row = rows[i % 3];
        const guint8 *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = (guint8)i;
        for (guint j = 1; j <= b->count; j++) {
            guint replaced = above[j - 1] + (a->chars[i - 1] != b->chars[j - 1]);
            guint best = MIN(replaced, (guint)MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a->chars[i - 1] == b->chars[j - 2] && a->chars[i - 2] == b->chars[j - 1])
                best = MIN(best, two_above[j - 2] + 1u);
            row[j] = (guint8)best;
        }
    }
    return rows[a->count % 3][b->count];
}

static guint edits_allowed(const char *term, const Letters *letters)
{
    if (letters->count < TYPO_CHARS_MIN || strpbrk(term, "0123456789") != NULL)
        return 0;
    return letters->count < TYPO_TWO_CHARS_MIN ? 1 : TYPO_EDITS_MAX;
}

/* Nearer words first, then those with the same first letter: typing errors seldom hit it. */
static void find_misspelled(const Vocabulary *vocabulary, const char *term, gsize len, Best *best)
{
    Letters wanted = {0}, letters = {0};
    guint allowed = letters_decode(term, len, &wanted) ? edits_allowed(term, &wanted) : 0;
    guint32 signature = signature_of(term, len);
    for (guint i = 0; allowed > 0 && i < word_count(vocabulary); i++) {
        const Word *word = word_at(vocabulary, i);
        guint longer = MAX(word->chars, wanted.count), shorter = MIN(word->chars, wanted.count);
        if (longer - shorter > allowed ||
            (guint)__builtin_popcount(word->signature ^ signature) > 2 * allowed ||
            !letters_decode(vocabulary->bytes->str + word->start, word_length(vocabulary, i), &letters))
            continue;
        guint edits = edit_distance(&wanted, &letters);
        if (edits <= allowed)
            best_add(best, (Candidate){.index = i,
                                       .penalty = 2 * edits + (wanted.chars[0] != letters.chars[0]),
                                       .rows = word->rows});
    }
}

guint vocabulary_find(const Vocabulary *vocabulary, const char *term,
                      VocabularyWord ret[VOCABULARY_STANDINS_MAX])
{
    gsize len = strlen(term);
    Best best = {0};
    if (len == 0)
        return 0;
    find_beginnings(vocabulary, term, len, &best);
    if (best.count < VOCABULARY_STANDINS_MAX && text_count_chars(term, len) >= PART_CHARS_MIN)
        find_middles(vocabulary, term, len, &best);
    if (best.count == 0)
        find_misspelled(vocabulary, term, len, &best);
    for (guint i = 0; i < best.count; i++) {
        guint index = best.items[i].index;
        ret[i] = (VocabularyWord){.word = vocabulary->bytes->str + word_at(vocabulary, index)->start,
                                  .len = word_length(vocabulary, index),
                                  .rows = word_at(vocabulary, index)->rows};
    }
    return best.count;
}
