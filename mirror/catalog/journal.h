/* SPDX-License-Identifier: MIT
 *
 * The journal: the state of the exchanged catalog (its digest trie and its generation) and how it came about,
 * so that who knows an earlier generation can be told what has changed since. docs/formats.md, "Catalog
 * exchange".
 *
 * A Journal is immutable and atomically reference counted, like the catalogs that it goes with. Generations
 * grow with every change and are never used twice: the next one is the Unix time, or one more than the latest
 * where that is greater. So they keep growing even when the file that remembers them is lost or restored from
 * an old copy.
 *
 * It is bounded: LIMIT_JOURNAL_STEPS generations and LIMIT_JOURNAL_CHANGES changes, the oldest of which are
 * forgotten first; a generation with more than LIMIT_JOURNAL_STEP_CHANGES changes makes it begin anew. Who
 * asks for what it does not hold walks the trie instead, which costs no more then.
 */
#pragma once

#include "mirror/catalog/digest_trie.h"

/* A path that was set or removed. */
typedef struct {
    char *path;
    CatalogItem *item; /* NULL: removed */
} JournalChange;

JournalChange *journal_change_new(const char *path, CatalogItem *item); /* copies, takes a reference */
void journal_change_free(JournalChange *change);

typedef struct Journal Journal;

/* --- Life cycle --- */

/* A journal that knows nothing but the present. `trie`: a reference is taken. */
Journal *journal_new(DigestTrie *trie, guint64 generation);
Journal *journal_ref(Journal *journal);
void journal_unref(Journal *journal); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Journal, journal_unref)

/* The journal after the catalog became `trie` at `now_s` (Unix time): with one more generation, or `base`
 * itself when nothing has changed. */
Journal *journal_advance(Journal *base, DigestTrie *trie, gint64 now_s);
/* The same journal with `trie`, which has the same items, in place of its own (a reference is taken): so that
 * journals of nearly the same catalogs share memory. */
Journal *journal_with_trie(Journal *journal, DigestTrie *trie);
/* For the store: puts the changes (of JournalChange *, ordered by path; a reference is taken) of an older
 * generation, not greater than that of the journal and greater than those added before, into a journal that
 * nobody else sees yet. `floor`, the generation before the first one added, is set with the first. */
void journal_restore(Journal *journal, guint64 floor, guint64 generation, GPtrArray *changes);

/* --- Queries --- */

guint64 journal_generation(const Journal *journal);
/* The oldest generation that can be asked for. */
guint64 journal_floor(const Journal *journal);
DigestTrie *journal_trie(const Journal *journal); /* borrowed */

/* --- Changes, as brokers send them --- */

/*   {"changes":[{"item":{…}} or {"removed":"path"}, …],"generation":…,"next":…}
 *
 * In the order in which they happened; of several changes of one path only the last. */
typedef struct {
    guint64 generation; /* of the broker's present catalog */
    guint64 next;       /* what to ask for next; equal to `generation` at the end */
    GPtrArray *changes; /* of JournalChange *, owned */
} JournalAnswer;

/* TRUE when it can say what happened after `since`: that was a generation, and it reaches back to it. */
gboolean journal_knows(const Journal *journal, guint64 since);
/* What happened after `since`: whole generations as long as they fit into `limit` changes, but at least one.
 * NOT_FOUND when journal_knows says no. */
gboolean journal_changes(const Journal *journal, guint64 since, guint limit, JournalAnswer *ret,
                         GError **error);
void journal_answer_write(const JournalAnswer *answer, JsonWriter *writer);
/* Reads an answer to `since`. FALSE with MALFORMED or LIMIT; an answer that leads nowhere is MALFORMED, so
 * that who asks until the end comes to an end. */
gboolean journal_answer_parse(const void *data, gsize len, guint64 since, JournalAnswer *ret, GError **error);
void journal_answer_clear(JournalAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JournalAnswer, journal_answer_clear)
