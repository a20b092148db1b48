/* SPDX-License-Identifier: MIT
 *
 * What the words index gets to see of a text.
 *
 * The tokenizer of SQLite cuts words at blanks and punctuation. Chinese, Japanese and Korean do not write
 * blanks between words, so a whole clause would be one word that no query ever equals. Their runs are given
 * to it as overlapping pairs of characters:
 *
 *   page   古代ローマ帝国 → 古代 代ロ ロー ーマ マ帝 帝国 国      (the last one alone, so that every
 *                                                                   character begins some word)
 *   query  ローマ → ロー ーマ        query of one character  国 → 国, sought as the beginning of words
 *
 * Everything else passes unchanged. Pure functions; any bytes are safe input.
 */
#pragma once

#include "schema/text.h"

typedef enum { SEARCH_TEXT_PAGE, SEARCH_TEXT_QUERY } SearchTextKind;

/* The text to be tokenized instead of `len` bytes of `text`: the same span when there is nothing to cut,
 * otherwise one in `scratch`, which is overwritten and must live as long as the result is used. */
TextSpan search_text_split(const char *text, gsize len, SearchTextKind kind, GString *scratch);

/* TRUE when `word` is exactly one character of those scripts. */
gboolean search_text_is_single(const char *word);
