/* SPDX-License-Identifier: MIT
 *
 * A JSON object laid out for people, whatever is in it: a broker may report sections that this program does
 * not know yet. Lists called "problems", wherever they stand, come first; then single values in two columns;
 * then objects and lists of objects as sections, lists of objects as tables of at most 20 rows. Names ending
 * in _seconds and _bytes are shown with fitting units. Text is cleaned for a terminal.
 */
#pragma once

#include <stdio.h>

#include "schema/json_reader.h"

/* `root` is an object. */
void report_print(FILE *stream, const JsonValue *root);
