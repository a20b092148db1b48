/* SPDX-License-Identifier: MIT
 *
 * Random text for property tests. Pieces are chosen from a list that the test fills with what its parser
 * finds difficult, because uniformly random bytes are refused too early to say anything.
 *
 * Every test uses a fixed seed of its own; RANDOM_SEED in the environment replaces it, and the seed is
 * printed, so that a failure can be repeated.
 */
#pragma once

#include <glib.h>
#include <string.h>

typedef struct {
    const char *bytes;
    gsize len; /* so that a piece may hold NUL */
} RandomPiece;

#define RANDOM_PIECE(literal)                                                                                \
    {                                                                                                        \
        (literal), sizeof(literal) - 1                                                                       \
    }

static inline GRand *random_new(guint32 seed)
{
    const char *wanted = g_getenv("RANDOM_SEED");
    guint64 value = seed;
    if (wanted != NULL)
        g_assert_true(g_ascii_string_to_unsigned(wanted, 10, 0, G_MAXUINT32, &value, NULL));
    g_test_message("seed %" G_GUINT64_FORMAT, value);
    return g_rand_new_with_seed((guint32)value);
}

/* 0 … below − 1. */
static inline guint random_below(GRand *rng, guint below)
{
    return (guint)g_rand_int_range(rng, 0, (gint32)below);
}

/* Up to `pieces_max` pieces in a row. The caller owns the result. */
static inline GString *random_text(GRand *rng, const RandomPiece *pieces, guint piece_count, guint pieces_max)
{
    GString *text = g_string_new(NULL);
    for (guint left = random_below(rng, pieces_max + 1); left > 0; left--) {
        const RandomPiece *piece = &pieces[random_below(rng, piece_count)];
        g_string_append_len(text, piece->bytes, (gssize)piece->len);
    }
    return text;
}

/* The bytes of a GString in a block of exactly their size, so that a sanitizer sees any step beyond it. */
static inline char *random_exact(const GString *text)
{
    return g_memdup2(text->str, MAX(text->len, 1));
}

/* A frozen file below tests/vectors. */
static inline char *vector_read(const char *name, gsize *ret_len)
{
    g_autofree char *path = g_build_filename(KONTOR_TEST_DIR, "vectors", name, NULL);
    char *data = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &data, ret_len, &error);
    g_assert_no_error(error);
    return data;
}
