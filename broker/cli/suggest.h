/* SPDX-License-Identifier: MIT
 *
 * "Did you mean": the nearest of a few known words. Pure.
 */
#pragma once

#include <glib.h>

/* The word of the NULL-terminated `known` that differs least from `word`, or NULL when none is near: at most
 * one insertion, deletion, replacement or swap of neighbours for every three characters of the longer word.
 * The first of equally near words wins. Words beyond 64 bytes have no neighbour. */
const char *cli_suggest(const char *word, const char *const *known);
