/* SPDX-License-Identifier: MIT
 *
 * What ThreadSanitizer must know about GLib, linked into every program of the tsan preset.
 *
 * Debian's GLib is not instrumented, and its mutexes, conditions and reference counts are futexes and atomics
 * inside of it: the sanitizer sees what they protect and not the protection, and reports races that are none.
 * Suppressing those would hide real ones, so the linker routes our calls (ld --wrap) through these functions,
 * which say "what happened before … happened before …" and call the original.
 */
#include <glib.h>
#include <sanitizer/tsan_interface.h>

void __real_g_mutex_lock(GMutex *mutex);
void __wrap_g_mutex_lock(GMutex *mutex);
void __wrap_g_mutex_lock(GMutex *mutex)
{
    __real_g_mutex_lock(mutex);
    __tsan_acquire(mutex);
}

void __real_g_mutex_unlock(GMutex *mutex);
void __wrap_g_mutex_unlock(GMutex *mutex);
void __wrap_g_mutex_unlock(GMutex *mutex)
{
    __tsan_release(mutex);
    __real_g_mutex_unlock(mutex);
}

void __real_g_cond_wait(GCond *cond, GMutex *mutex);
void __wrap_g_cond_wait(GCond *cond, GMutex *mutex);
void __wrap_g_cond_wait(GCond *cond, GMutex *mutex)
{
    __tsan_release(mutex);
    __real_g_cond_wait(cond, mutex);
    __tsan_acquire(mutex);
}

gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    __tsan_release(mutex);
    gboolean signalled = __real_g_cond_wait_until(cond, mutex, end_time);
    __tsan_acquire(mutex);
    return signalled;
}

void __real_g_once_init_leave(volatile void *location, gsize result);
void __wrap_g_once_init_leave(volatile void *location, gsize result);
void __wrap_g_once_init_leave(volatile void *location, gsize result)
{
    /* The readers' side is a macro with an atomic load that the sanitizer sees; a store that it sees as well
     * makes the pair complete. */
    __real_g_once_init_leave(location, result);
    __atomic_store_n((volatile gsize *)location, result, __ATOMIC_RELEASE);
}

void __real_g_bytes_unref(GBytes *bytes);
void __wrap_g_bytes_unref(GBytes *bytes);
void __wrap_g_bytes_unref(GBytes *bytes)
{
    if (bytes != NULL) {
        __tsan_release(bytes);
        __tsan_acquire(bytes);
    }
    __real_g_bytes_unref(bytes);
}

gboolean __real_g_atomic_ref_count_dec(gatomicrefcount *refs);
gboolean __wrap_g_atomic_ref_count_dec(gatomicrefcount *refs);
gboolean __wrap_g_atomic_ref_count_dec(gatomicrefcount *refs)
{
    __tsan_release(refs);
    gboolean last = __real_g_atomic_ref_count_dec(refs);
    if (last)
        __tsan_acquire(refs);
    return last;
}
