/* SPDX-License-Identifier: MIT
 *
 * mirror.db as an obvious program would keep it: everything in lists, every question answered by looking at
 * all of them. For comparison with the real one on random histories. What an accepted release does to a path
 * is taken from mirror_rule, which has a test of its own.
 */
#pragma once

#include "mirror/store/mirror_rule.h"

#include <string.h>

typedef struct {
    char *source;
    gboolean is_private, is_known; /* is_known: its identity still counts */
    SyncOutcome outcome;
    AcceptRule rule;
    MirroredPack *pack; /* of INSTALLED and WITHDRAWN everything; else the path */
} ModelRow;

typedef struct {
    char *name, *origin;
    guint epoch;
} ModelSource;

typedef struct {
    GPtrArray *held;    /* of MirroredPack * */
    GPtrArray *rows;    /* of ModelRow * */
    GPtrArray *sources; /* of ModelSource * */
} Model;

static inline void model_row_free(gpointer data)
{
    ModelRow *row = data;
    g_free(row->source);
    mirrored_pack_free(row->pack);
    g_free(row);
}

static inline void model_source_free(gpointer data)
{
    ModelSource *source = data;
    g_free(source->name);
    g_free(source->origin);
    g_free(source);
}

static inline void model_init(Model *model)
{
    model->held = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    model->rows = g_ptr_array_new_with_free_func(model_row_free);
    model->sources = g_ptr_array_new_with_free_func(model_source_free);
}

static inline void model_clear(Model *model)
{
    g_ptr_array_unref(model->held);
    g_ptr_array_unref(model->rows);
    g_ptr_array_unref(model->sources);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Model, model_clear)

/* --- Looking --- */

static inline MirroredPack *model_held(const Model *model, const char *path, gboolean is_private)
{
    for (guint i = 0; i < model->held->len; i++) {
        MirroredPack *pack = g_ptr_array_index(model->held, i);
        if (strcmp(pack->path, path) == 0 && pack->is_private == is_private)
            return pack;
    }
    return NULL;
}

static inline ModelRow *model_row(const Model *model, const char *source, const char *path)
{
    for (guint i = 0; i < model->rows->len; i++) {
        ModelRow *row = g_ptr_array_index(model->rows, i);
        if (strcmp(row->source, source) == 0 && strcmp(row->pack->path, path) == 0)
            return row;
    }
    return NULL;
}

static inline ModelSource *model_source(const Model *model, const char *name)
{
    for (guint i = 0; i < model->sources->len; i++) {
        ModelSource *source = g_ptr_array_index(model->sources, i);
        if (strcmp(source->name, name) == 0)
            return source;
    }
    return NULL;
}

/* --- Steps --- */

static inline void model_put_held(Model *model, const MirroredPack *pack)
{
    MirroredPack *copy = mirrored_pack_copy(pack);
    MirroredPack *old = model_held(model, pack->path, pack->is_private);
    if (old != NULL)
        g_ptr_array_remove(model->held, old);
    g_ptr_array_add(model->held, copy);
}

static inline void model_put_row(Model *model, const char *source, SyncOutcome outcome, AcceptRule rule,
                                 const MirroredPack *pack)
{
    ModelRow *old = model_row(model, source, pack->path);
    ModelRow *row = g_new0(ModelRow, 1);
    row->source = g_strdup(source);
    row->is_private = pack->is_private;
    row->is_known = outcome != OUTCOME_GONE;
    row->outcome = outcome;
    row->rule = rule;
    row->pack = mirrored_pack_copy(pack);
    if (old != NULL)
        g_ptr_array_remove(model->rows, old);
    g_ptr_array_add(model->rows, row);
}

static inline void model_ask_again(Model *model, const char *path, gboolean is_private)
{
    for (guint i = 0; i < model->rows->len; i++) {
        ModelRow *row = g_ptr_array_index(model->rows, i);
        if (strcmp(row->pack->path, path) != 0 || row->is_private != is_private ||
            !(row->outcome == OUTCOME_INSTALLED ||
              (row->outcome == OUTCOME_REFUSED && row->rule == ACCEPT_HIJACK)))
            continue;
        row->is_known = FALSE;
        model_source(model, row->source)->epoch++;
    }
}

static inline void model_drop(Model *model, const char *path, gboolean is_private)
{
    g_autoptr(MirroredPack) pack = mirrored_pack_copy(model_held(model, path, is_private));
    const ModelRow *best = NULL;
    for (guint i = 0; i < model->rows->len; i++) {
        const ModelRow *row = g_ptr_array_index(model->rows, i);
        if (strcmp(row->pack->path, path) == 0 && row->is_private == is_private &&
            row->outcome == OUTCOME_INSTALLED && strcmp(row->source, pack->source) != 0 &&
            memcmp(row->pack->digest, pack->digest, SHA256_BYTES) == 0 &&
            (best == NULL || strcmp(row->source, best->source) < 0))
            best = row;
    }
    if (best != NULL) {
        mirrored_pack_free(pack);
        pack = mirrored_pack_copy(best->pack);
        g_free(pack->source);
        pack->source = g_strdup(best->source);
    }
    pack->withdrawn = best == NULL;
    model_put_held(model, pack);
    if (best == NULL)
        model_ask_again(model, path, is_private);
}

static inline gboolean model_serves(const MirroredPack *held, const char *source)
{
    return held != NULL && !held->withdrawn && strcmp(held->source, source) == 0;
}

/* --- Operations --- */

static inline void model_apply_accepted(Model *model, const char *source, const SyncResult *result)
{
    g_autoptr(MirroredPack) pack = mirrored_pack_copy(result->pack);
    g_autofree char *reason = NULL;
    AcceptRule rule = ACCEPT_OK;
    g_free(pack->source);
    pack->source = g_strdup(source);
    pack->withdrawn = result->outcome == OUTCOME_WITHDRAWN;
    const MirroredPack *held = model_held(model, pack->path, pack->is_private);
    switch (mirror_rule(held, pack, source, pack->withdrawn, &rule, &reason)) {
    case MIRROR_RULE_TAKE:
        model_put_held(model, pack);
        model_put_row(model, source, result->outcome, ACCEPT_OK, pack);
        break;
    case MIRROR_RULE_KEEP:
        model_put_row(model, source, result->outcome, ACCEPT_OK, pack);
        break;
    case MIRROR_RULE_REFUSE:
        model_put_row(model, source, OUTCOME_REFUSED, rule, pack);
        break;
    }
}

static inline void model_apply(Model *model, const char *source, const SyncResult *result,
                               gboolean remove_gone)
{
    const ModelRow *row = model_row(model, source, result->pack->path);
    gboolean was_private = row != NULL && row->is_private;
    if (result->outcome == OUTCOME_GONE) {
        if (row == NULL)
            return;
        g_autoptr(MirroredPack) pack = mirrored_pack_copy(row->pack);
        model_put_row(model, source, OUTCOME_GONE, ACCEPT_OK, pack);
        if (remove_gone && model_serves(model_held(model, pack->path, was_private), source))
            model_drop(model, pack->path, was_private);
        return;
    }
    if (row != NULL && was_private != result->pack->is_private &&
        model_serves(model_held(model, result->pack->path, was_private), source))
        model_drop(model, result->pack->path, was_private);
    if (result->outcome == OUTCOME_REFUSED)
        model_put_row(model, source, OUTCOME_REFUSED, result->rule, result->pack);
    else
        model_apply_accepted(model, source, result);
}

static inline void model_forget_rows(Model *model, const char *source)
{
    for (guint i = model->rows->len; i > 0; i--)
        if (strcmp(((ModelRow *)g_ptr_array_index(model->rows, i - 1))->source, source) == 0)
            g_ptr_array_remove_index(model->rows, i - 1);
}

static inline void model_set_sources(Model *model, const char *const *names, const char *const *origins)
{
    g_autoptr(GHashTable) left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = model->sources->len; i > 0; i--) {
        ModelSource *source = g_ptr_array_index(model->sources, i - 1);
        const char *origin = NULL;
        for (guint n = 0; names[n] != NULL; n++)
            if (strcmp(names[n], source->name) == 0)
                origin = origins[n];
        if (origin != NULL && strcmp(origin, source->origin) == 0)
            continue;
        model_forget_rows(model, source->name);
        g_hash_table_add(left, g_strdup(source->name));
        if (origin == NULL) {
            g_ptr_array_remove_index(model->sources, i - 1);
            continue;
        }
        g_free(source->origin);
        source->origin = g_strdup(origin);
        source->epoch++;
    }
    for (guint n = 0; names[n] != NULL; n++) {
        if (model_source(model, names[n]) != NULL)
            continue;
        ModelSource *source = g_new0(ModelSource, 1);
        source->name = g_strdup(names[n]);
        source->origin = g_strdup(origins[n]);
        source->epoch = 1;
        g_ptr_array_add(model->sources, source);
    }
    g_autoptr(GPtrArray) served = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    for (guint i = 0; i < model->held->len; i++)
        g_ptr_array_add(served, mirrored_pack_copy(g_ptr_array_index(model->held, i)));
    for (guint i = 0; i < served->len; i++) {
        const MirroredPack *pack = g_ptr_array_index(served, i);
        if (!pack->withdrawn && g_hash_table_contains(left, pack->source))
            model_drop(model, pack->path, pack->is_private);
    }
}
