/* SPDX-License-Identifier: MIT */
#include "broker/cli/pack_tree.h"

#include <stdio.h>
#include <unistd.h>

#define PROGRESS_INTERVAL_US (100 * 1000)

typedef struct {
    PackRoot *root;
    PackTree *tree;
    PackTreeWork work;
    gpointer user;
    const char *verb;
    gboolean on_terminal;
    gint next; /* index of the next place to take; atomic */
    gint done; /* atomic */
} Run;

static void show_progress(Run *run)
{
    fprintf(stderr, "\r%s %d of %u packs\033[K", run->verb, g_atomic_int_get(&run->done),
            run->tree->places->len);
    fflush(stderr);
}

/* Takes places until there are none left. The thread that called shows how far all of them are. */
static void work_on_places(Run *run, gboolean shows_progress)
{
    gint64 shown_us = 0;

    for (;;) {
        guint i = (guint)g_atomic_int_add(&run->next, 1);

        if (i >= run->tree->places->len) {
            break;
        }
        run->work(run->root, g_ptr_array_index(run->tree->places, i), run->user, &run->tree->results[i]);
        g_atomic_int_inc(&run->done);
        if (shows_progress && g_get_monotonic_time() - shown_us > PROGRESS_INTERVAL_US) {
            shown_us = g_get_monotonic_time();
            show_progress(run);
        }
    }
}

static gpointer helper_thread(gpointer data)
{
    work_on_places(data, /* shows_progress= */ FALSE);
    return NULL;
}

static void run_threads(Run *run, guint threads)
{
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();

    for (guint i = 1; i < MIN(threads, run->tree->places->len); i++) {
        GThread *helper = g_thread_try_new("packs", helper_thread, run, NULL);

        if (helper != NULL) {
            g_ptr_array_add(helpers, helper);
        }
    }
    work_on_places(run, run->on_terminal);
    for (guint i = 0; i < helpers->len; i++) {
        g_thread_join(g_ptr_array_index(helpers, i));
    }
    if (run->on_terminal) {
        fputs("\r\033[K", stderr);
    }
}

/* The places that brokers serve as packs, or would but for a problem. */
static GPtrArray *packs_of(const PackScan *scan)
{
    GPtrArray *packs = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);

    for (guint i = 0; i < scan->upserts->len; i++) {
        CatalogPack *place = g_ptr_array_index(scan->upserts, i);

        if (place->is_pack || place->problem != NULL) {
            g_ptr_array_add(packs, catalog_pack_ref(place));
        }
    }
    return packs;
}

PackTree *pack_tree_run(const char *directory, guint threads, const char *verb, PackTreeWork work,
                        gpointer user, GError **error)
{
    g_autoptr(PackRoot) root = pack_root_open(directory, error);
    PackScan *scan = root != NULL ? pack_scan(root, "", NULL, threads, error) : NULL;

    if (scan == NULL) {
        return NULL;
    }
    PackTree *tree = g_new0(PackTree, 1);

    tree->places = packs_of(scan);
    tree->problems = g_ptr_array_ref(scan->problems);
    tree->results = g_new0(gpointer, MAX(tree->places->len, 1));
    pack_scan_free(scan);

    Run run = {
        .root = root,
        .tree = tree,
        .work = work,
        .user = user,
        .verb = verb,
        .on_terminal = isatty(STDERR_FILENO) != 0,
    };
    run_threads(&run, threads);
    return tree;
}

void pack_tree_free(PackTree *tree, GDestroyNotify free_result)
{
    for (guint i = 0; i < tree->places->len; i++) {
        free_result(tree->results[i]);
    }
    g_ptr_array_unref(tree->places);
    g_ptr_array_unref(tree->problems);
    g_free(tree->results);
    g_free(tree);
}
