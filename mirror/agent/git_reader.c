/* SPDX-License-Identifier: MIT
 *
 * Every thread has the repository open for itself, takes the next index, lists the pack, waits until what is
 * held leaves room for it, and reads it. The pack that is due next never waits for room, so somebody can
 * always go on.
 */
#include "mirror/agent/git_reader.h"

#include "schema/limits.h"

/* So few packs are read by the caller itself: starting threads would take longer. */
#define PACKS_ALONE 2

typedef struct {
    GitPack *pack; /* or … */
    GError *error;
    gboolean done;
} Slot;

struct GitReader {
    char *repository;
    GPtrArray *places;
    GitObjects *own; /* when there are no threads */
    GPtrArray *threads;
    GMutex lock; /* of everything below */
    GCond changed;
    Slot *slots;
    guint begun, taken;
    guint64 held_bytes;
    gboolean stopping;
};

/* --- Threads --- */

/* FALSE when the reader is being freed. */
static gboolean wait_for_room(GitReader *reader, guint index, guint64 bytes)
{
    g_mutex_lock(&reader->lock);
    while (!reader->stopping && index != reader->taken && reader->held_bytes + bytes > LIMIT_GIT_READ_BYTES)
        g_cond_wait(&reader->changed, &reader->lock);
    gboolean go = !reader->stopping;
    if (go)
        reader->held_bytes += bytes;
    g_mutex_unlock(&reader->lock);
    return go;
}

static void put(GitReader *reader, guint index, GitPack *pack, GError *error)
{
    g_mutex_lock(&reader->lock);
    reader->slots[index] = (Slot){pack, error, TRUE};
    g_cond_broadcast(&reader->changed);
    g_mutex_unlock(&reader->lock);
}

static gboolean next_index(GitReader *reader, guint *ret)
{
    g_mutex_lock(&reader->lock);
    gboolean more = !reader->stopping && reader->begun < reader->places->len;
    *ret = reader->begun;
    reader->begun += more ? 1 : 0;
    g_mutex_unlock(&reader->lock);
    return more;
}

/* NULL without an error when the reader is being freed. */
static GitPack *read_pack(GitReader *reader, GitObjects *objects, guint index, GError **error)
{
    const GitPlace *place = g_ptr_array_index(reader->places, index);
    g_autoptr(GitPack) pack = git_pack_list(objects, place, error);
    if (pack == NULL)
        return NULL;
    guint64 bytes = pack->refused == NULL ? pack->bytes : 0;
    if (!wait_for_room(reader, index, bytes))
        return NULL;
    if (pack->refused == NULL && !git_pack_read(objects, pack, error)) {
        g_prefix_error(error, "pack '%s': ", place->path);
        g_mutex_lock(&reader->lock);
        reader->held_bytes -= bytes;
        g_mutex_unlock(&reader->lock);
        return NULL;
    }
    return g_steal_pointer(&pack);
}

static gpointer run(gpointer data)
{
    GitReader *reader = data;
    GError *error = NULL;
    guint index = 0;
    g_autoptr(GitObjects) objects = git_objects_open(reader->repository, &error);
    while (next_index(reader, &index)) {
        GError *cause = error != NULL ? g_error_copy(error) : NULL;
        GitPack *pack = objects != NULL ? read_pack(reader, objects, index, &cause) : NULL;
        put(reader, index, pack, cause);
    }
    g_clear_error(&error);
    return NULL;
}

/* --- Life cycle --- */

GitReader *git_reader_new(const char *repository, GPtrArray *places, guint threads)
{
    GitReader *reader = g_new0(GitReader, 1);
    reader->repository = g_strdup(repository);
    reader->places = places;
    reader->slots = g_new0(Slot, places->len + 1);
    reader->threads = g_ptr_array_new();
    g_mutex_init(&reader->lock);
    g_cond_init(&reader->changed);
    guint wanted = places->len > PACKS_ALONE ? MIN(threads, places->len) : 0;
    for (guint i = 0; i < wanted; i++)
        g_ptr_array_add(reader->threads, g_thread_new("git reader", run, reader));
    return reader;
}

void git_reader_free(GitReader *reader)
{
    if (reader == NULL)
        return;
    g_mutex_lock(&reader->lock);
    reader->stopping = TRUE;
    g_cond_broadcast(&reader->changed);
    g_mutex_unlock(&reader->lock);
    for (guint i = 0; i < reader->threads->len; i++)
        g_thread_join(g_ptr_array_index(reader->threads, i));
    for (guint i = 0; i < reader->places->len; i++) {
        git_pack_free(reader->slots[i].pack);
        g_clear_error(&reader->slots[i].error);
    }
    g_ptr_array_unref(reader->threads);
    git_objects_close(reader->own);
    g_mutex_clear(&reader->lock);
    g_cond_clear(&reader->changed);
    g_free(reader->slots);
    g_free(reader->repository);
    g_free(reader);
}

/* --- Taking --- */

static GitPack *read_alone(GitReader *reader, GError **error)
{
    if (reader->own == NULL)
        reader->own = git_objects_open(reader->repository, error);
    if (reader->own == NULL)
        return NULL;
    GitPack *pack = read_pack(reader, reader->own, reader->taken, error);
    if (pack != NULL && pack->refused == NULL)
        reader->held_bytes -= pack->bytes;
    reader->taken++;
    return pack;
}

GitPack *git_reader_next(GitReader *reader, GError **error)
{
    g_assert(reader->taken < reader->places->len);
    if (reader->threads->len == 0)
        return read_alone(reader, error);
    g_mutex_lock(&reader->lock);
    Slot *slot = &reader->slots[reader->taken];
    while (!slot->done)
        g_cond_wait(&reader->changed, &reader->lock);
    GitPack *pack = g_steal_pointer(&slot->pack);
    GError *cause = g_steal_pointer(&slot->error);
    if (pack != NULL && pack->refused == NULL)
        reader->held_bytes -= pack->bytes;
    reader->taken++;
    g_cond_broadcast(&reader->changed);
    g_mutex_unlock(&reader->lock);
    g_assert(pack != NULL || cause != NULL);
    if (cause != NULL)
        g_propagate_error(error, cause);
    return pack;
}
