/* SPDX-License-Identifier: MIT
 *
 * The rows of a pack's wiki/index.md. Existing software reads this table with more than one grammar;
 * docs/formats.md has them side by side. Two matter here:
 *
 *   indexed rows   what search knows (grammar "a" of the indexer): the line is trimmed at its right end, then
 *                  "| cell1 | cell2 | rest |" with cells 1 and 2 non-empty and free of pipes and at least
 *                  one character in rest, which may hold further pipes and is the summary
 *   listed rows    what a Node downloads and a publisher signs (grammar "b"): "| cell1 | cell2 |" is enough,
 *                  the line is not trimmed
 *
 *   | a | t | s |        indexed, summary "s"        | a | t ||         listed only
 *   | a | t |  |         indexed, summary ""         | a | t |          listed only
 *   | a | t | s | u |    indexed, summary "s | u"    | a | t | s        listed only
 *
 * Every indexed row is a listed one.
 *
 * In both, a line must begin with "|" at column 0, lines end where Python's splitlines ends them (LF, CR,
 * CRLF, VT, FF, FS, GS, RS, NEL, U+2028, U+2029), white space is Unicode's, and header and rule rows are
 * skipped (cell 1 equal to "file" without regard to case, cell 1 beginning with "-", blank cells). Pure
 * functions of the bytes; bytes that are not UTF-8, and NUL, are refused.
 */
#pragma once

#include "schema/error.h"

typedef struct {
    char *file;       /* cell 1, trimmed: any text, not yet checked as a path */
    char *title;      /* cell 2, trimmed */
    char *summary;    /* rest, trimmed; "" when blank; NULL for a row that is listed and not indexed */
    guint line;       /* 1-based line number, for messages */
    gboolean indexed; /* matches grammar a */
    gboolean listed;  /* matches grammar b */
} IndexRow;

void index_row_free(IndexRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IndexRow, index_row_free)

/* All rows of `len` bytes that match at least one of the grammars, in order, owned by the returned array
 * (element free function set). NULL with MALFORMED (not UTF-8, or NUL, with the byte offset) or LIMIT
 * (LIMIT_INDEX_BYTES, LIMIT_INDEX_ROWS). A leading UTF-8 BOM is a character of the first line. Titles and
 * summaries beyond LIMIT_SUMMARY_BYTES are cut at a character boundary. */
GPtrArray *index_rows_parse(const char *text, gsize len, GError **error);

/* TRUE when a Node may download a page of this name (relative to wiki/): segments of [A-Za-z0-9._-] joined by
 * "/", ending in ".md", without "..". */
gboolean index_name_is_downloadable(const char *file);
