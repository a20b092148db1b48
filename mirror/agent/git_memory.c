/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_memory.h"

#include <git2.h>
#include <git2/sys/alloc.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int_least64_t used;
static gint64 allowed;

/* Asks for room for `bytes` more. The count may be past the ceiling for a moment, in another thread's view.
 */
static gboolean take(size_t bytes)
{
    if (bytes > (size_t)allowed)
        return FALSE;
    if (atomic_fetch_add(&used, (gint64)bytes) + (gint64)bytes <= allowed)
        return TRUE;
    atomic_fetch_sub(&used, (gint64)bytes);
    return FALSE;
}

/* Room was asked for `asked`; what was given is counted, so that freeing it counts the same. */
static void *settle(void *memory, size_t asked)
{
    atomic_fetch_add(&used, (gint64)malloc_usable_size(memory) - (gint64)asked);
    return memory;
}

static void *limit_malloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return take(bytes) ? settle(malloc(bytes), bytes) : NULL;
}

static void limit_free(void *memory)
{
    atomic_fetch_sub(&used, (gint64)malloc_usable_size(memory));
    free(memory);
}

static void *limit_realloc(void *memory, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t before = malloc_usable_size(memory);
    if (!take(bytes))
        return NULL;
    void *moved = realloc(memory, bytes);
    if (moved == NULL) {
        atomic_fetch_sub(&used, (gint64)bytes);
        return NULL;
    }
    atomic_fetch_sub(&used, (gint64)before);
    return settle(moved, bytes);
}

static void *limit_reallocarray(void *memory, size_t count, size_t bytes, const char *file, int line)
{
    size_t all = 0;
    return __builtin_mul_overflow(count, bytes, &all) ? NULL : limit_realloc(memory, all, file, line);
}

static void *limit_mallocarray(size_t count, size_t bytes, const char *file, int line)
{
    return limit_reallocarray(NULL, count, bytes, file, line);
}

static void *limit_calloc(size_t count, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t all = 0;
    return !__builtin_mul_overflow(count, bytes, &all) && take(all) ? settle(calloc(count, bytes), all)
                                                                    : NULL;
}

static char *limit_substrdup(const char *text, size_t len, const char *file, int line)
{
    char *copy = limit_malloc(len + 1, file, line);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static char *limit_strndup(const char *text, size_t len, const char *file, int line)
{
    return limit_substrdup(text, strnlen(text, len), file, line);
}

static char *limit_strdup(const char *text, const char *file, int line)
{
    return limit_substrdup(text, strlen(text), file, line);
}

void git_memory_init(guint64 bytes_max)
{
    static git_allocator allocator = {
        .gmalloc = limit_malloc,
        .gcalloc = limit_calloc,
        .gstrdup = limit_strdup,
        .gstrndup = limit_strndup,
        .gsubstrdup = limit_substrdup,
        .grealloc = limit_realloc,
        .greallocarray = limit_reallocarray,
        .gmallocarray = limit_mallocarray,
        .gfree = limit_free,
    };
    g_assert(bytes_max > 0 && bytes_max <= G_MAXINT64);
    allowed = (gint64)bytes_max;
    int code = git_libgit2_opts(GIT_OPT_SET_ALLOCATOR, &allocator);
    g_assert(code == 0);
}

guint64 git_memory_used(void)
{
    return (guint64)MAX(atomic_load(&used), 0);
}
