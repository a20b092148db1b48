/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzz target without libFuzzer: over every file of the given directories, and over a fixed number of
 * mutations of each (seeded, so that every run does the same). This is what CTest runs; the fuzz preset links
 * libFuzzer instead of this file.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

enum { MUTATIONS_PER_FILE = 200, EDITS_PER_MUTATION = 4, MUTATED_BYTES_MAX = 64 * 1024 };

static guint piece_len(GRand *rng, guint available, guint max)
{
    guint len = (guint)g_rand_int_range(rng, 1, (gint32)max + 1);
    return MIN(available, len);
}

static void mutate(GRand *rng, GByteArray *bytes)
{
    for (int i = 0; i < EDITS_PER_MUTATION && bytes->len > 0; i++) {
        guint at = (guint)g_rand_int_range(rng, 0, (gint32)bytes->len);
        switch (g_rand_int_range(rng, 0, 4)) {
        case 0:
            bytes->data[at] = (guint8)g_rand_int_range(rng, 0, 256);
            break;
        case 1:
            bytes->data[at] ^= (guint8)(1 << g_rand_int_range(rng, 0, 8));
            break;
        case 2:
            g_byte_array_remove_range(bytes, at, piece_len(rng, bytes->len - at, 8));
            break;
        default: {
            guint len = piece_len(rng, bytes->len - at, 16);
            g_autofree guint8 *copy = g_memdup2(bytes->data + at, len);
            g_byte_array_append(bytes, copy, len);
            break;
        }
        }
    }
}

static guint run_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize len = 0;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &data, &len, &error))
        g_error("%s", error->message);
    /* An exact-size heap copy lets ASan see a read beyond the end. */
    g_autofree guint8 *exact = g_memdup2(data, len);
    LLVMFuzzerTestOneInput(exact, len);
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)len);
    guint runs = 1;
    for (int i = 0; i < MUTATIONS_PER_FILE && len <= MUTATED_BYTES_MAX; i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_byte_array_append(bytes, (const guint8 *)data, (guint)len);
        mutate(rng, bytes);
        g_autofree guint8 *copy = g_memdup2(bytes->data, bytes->len);
        LLVMFuzzerTestOneInput(copy, bytes->len);
        runs++;
    }
    return runs;
}

int main(int argc, char **argv)
{
    guint files = 0, runs = 0;
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) dir = g_dir_open(argv[i], 0, &error);
        if (dir == NULL)
            g_error("%s", error->message);
        for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
            g_autofree char *path = g_build_filename(argv[i], name, NULL);
            runs += run_file(path);
            files++;
        }
    }
    if (files == 0) {
        fprintf(stderr, "no corpus files\n");
        return 1;
    }
    printf("%u files, %u runs\n", files, runs);
    return 0;
}
