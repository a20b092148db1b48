/* SPDX-License-Identifier: MIT
 *
 * The Markdown pages of a pack. A page may begin with YAML front matter, which Nodes show and search does not
 * know:
 *
 *   ---\n
 *   title: Rome\n
 *   ---\n          ← the first "\n---\n" ends it
 *   # Rome …       ← the body
 *
 * This is the division that existing brokers index by, and it is taken literally: "---" must be the very
 * first line without a byte order mark or blanks before it, and front matter that nothing ends is body. The
 * text has its line ends folded to LF (text_fold_lines) before it comes here.
 *
 * All results are spans borrowed from the text given; nothing is allocated, nothing is parsed as YAML, and no
 * input is an error. Pure functions.
 */
#pragma once

#include "schema/text.h"

typedef struct {
    TextSpan
        front; /* between the two "---" lines, with its last LF; text is NULL when there is no front matter */
    TextSpan body; /* what follows, or the whole page */
} PageParts;

PageParts page_split(const char *text, gsize len);

/* The part of a page that search covers: the first LIMIT_BODY_CHARS code points of the body. A byte that is
 * not UTF-8 counts as one. */
TextSpan page_search_body(const char *text, gsize len);
