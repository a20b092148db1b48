/* SPDX-License-Identifier: MIT */
#include "mirror/store/release_take.h"

#include "mirror/store/pack_place.h"
#include "signing/hash.h"

typedef struct {
    PackRoot *root;
    GPtrArray *records;
    const ReleaseTakeOptions *options;
    CatalogPack **taken; /* a slot for each record */
    gint next;           /* atomic */
} Session;

static CatalogPack *take(const Session *session, const MirroredPack *record)
{
    char directory[SHA256_HEX_CHARS + 1];
    hex_encode(record->digest, SHA256_BYTES, directory);
    PackPlaceRelease release = {record->path, directory, record->source, record->is_private,
                                session->options->as_signed};
    return pack_place_take_release(pack_root_fd(session->root, PACK_ROOT_RELEASES),
                                   pack_root_path(session->root, PACK_ROOT_RELEASES), &release,
                                   session->options->known);
}

static gpointer take_some(gpointer data)
{
    Session *session = data;
    for (;;) {
        guint i = (guint)g_atomic_int_add(&session->next, 1);
        if (i >= session->records->len)
            return NULL;
        session->taken[i] = take(session, g_ptr_array_index(session->records, i));
    }
}

GPtrArray *release_take_all(PackRoot *root, GPtrArray *records, const ReleaseTakeOptions *options)
{
    g_autofree CatalogPack **taken = g_new0(CatalogPack *, records->len + 1);
    Session session = {.root = root, .records = records, .options = options, .taken = taken};
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();
    for (guint i = 1; i < MIN(options->threads, records->len); i++) {
        GThread *helper = g_thread_try_new("take", take_some, &session, NULL);
        if (helper != NULL)
            g_ptr_array_add(helpers, helper);
    }
    take_some(&session);
    for (guint i = 0; i < helpers->len; i++)
        g_thread_join(g_ptr_array_index(helpers, i));
    GPtrArray *places = g_ptr_array_new_full(records->len, (GDestroyNotify)catalog_pack_unref);
    for (guint i = 0; i < records->len; i++)
        g_ptr_array_add(places, taken[i]);
    return places;
}
