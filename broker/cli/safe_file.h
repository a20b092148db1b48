/* SPDX-License-Identifier: MIT
 *
 * Small files that must not get lost or half written: keys, trust lists. What is written is on disk, with its
 * name, when a function returns TRUE; when it returns FALSE, nothing has changed. Errors name the file.
 */
#pragma once

#include <sys/stat.h>

#include "schema/error.h"

/* Reads a whole file into `buffer`, which has room for bytes_max + 1 bytes; a NUL is put behind what was
 * read. `ret_mode` (may be NULL) is its st_mode. NOT_FOUND, DENIED, IO, or LIMIT when it is larger. */
gboolean safe_file_read(const char *path, gsize bytes_max, char *buffer, gsize *ret_len, mode_t *ret_mode,
                        GError **error);
/* A new file with exactly this mode. CONFLICT when the name is taken: nothing is ever overwritten. */
gboolean safe_file_create(const char *path, const char *bytes, gsize len, mode_t mode, GError **error);
/* Replaces the file in one step, keeping its mode and owner as far as permitted; a symbolic link stays one,
 * and what it points to is replaced. Makes the file with mode 0644 when there is none. */
gboolean safe_file_replace(const char *path, const char *bytes, gsize len, GError **error);

/* Holds other callers of this function off the directory of `path` until the descriptor is closed; -1 with an
 * error. Around reading, changing and replacing a file. */
int safe_file_lock(const char *path, GError **error);
