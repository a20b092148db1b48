/* SPDX-License-Identifier: MIT
 *
 * What commands print: colours only on a terminal (never with NO_COLOR or TERM=dumb), columns that line up,
 * and foreign text that cannot move the cursor or forge output.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

typedef enum { TERMINAL_PLAIN, TERMINAL_BOLD, TERMINAL_DIM, TERMINAL_GOOD, TERMINAL_BAD } TerminalStyle;

/* TRUE when the stream is a terminal that wants colours. */
gboolean terminal_has_colour(FILE *stream);
/* Prints the text cleaned, in a style where the stream shows styles. */
void terminal_print(FILE *stream, TerminalStyle style, const char *text);

/* The text as one line: controls, line breaks, invisible and direction-changing characters and bytes that are
 * not UTF-8 become "\u001b"-like escapes. A new string. */
char *terminal_clean(const char *text);
/* The same for `len` bytes of prose that keep their line feeds and tabs. */
char *terminal_clean_prose(const char *text, gsize len);
/* Columns that the text takes on a terminal, wide characters counted twice and marks not at all. */
guint terminal_width(const char *text);

/* Rows of cells in columns that line up, two blanks between them, each row indented by `indent`; the last
 * column is not padded. Cells are cleaned. */
typedef struct TerminalTable TerminalTable;
TerminalTable *terminal_table_new(guint columns);
void terminal_table_free(TerminalTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TerminalTable, terminal_table_free)
/* As many `const char *` as there are columns; NULL prints as an empty cell. */
void terminal_table_add(TerminalTable *table, TerminalStyle style, ...);
void terminal_table_print(const TerminalTable *table, FILE *stream, guint indent);
