/* SPDX-License-Identifier: MIT
 *
 * Optimal string alignment distance (edits and swaps of neighbours), three rows at a time.
 */
#include "broker/cli/suggest.h"

#include <string.h>

#define WORD_BYTES_MAX 64

static guint distance(const char *a, gsize a_len, const char *b, gsize b_len)
{
    guint rows[3][WORD_BYTES_MAX + 1];

    for (gsize j = 0; j <= b_len; j++) {
        rows[0][j] = (guint)j;
    }
    for (gsize i = 1; i <= a_len; i++) {
        guint *row = rows[i % 3];
        const guint *above = rows[(i + 2) % 3];
        const guint *two_above = rows[(i + 1) % 3];

        row[0] = (guint)i;
        for (gsize j = 1; j <= b_len; j++) {
            guint replaced = above[j - 1] + (a[i - 1] != b[j - 1]);

            row[j] = MIN(replaced, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = MIN(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

const char *cli_suggest(const char *word, const char *const *known)
{
    gsize len = strlen(word);
    const char *nearest = NULL;
    guint nearest_distance = G_MAXUINT;

    for (; len <= WORD_BYTES_MAX && *known != NULL; known++) {
        gsize known_len = strlen(*known);
        guint far = (guint)MAX(len, known_len) / 3;
        guint d = known_len <= WORD_BYTES_MAX ? distance(word, len, *known, known_len) : G_MAXUINT;

        if (d <= far && d < nearest_distance) {
            nearest = *known;
            nearest_distance = d;
        }
    }
    return nearest;
}
