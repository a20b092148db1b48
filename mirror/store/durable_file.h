/* SPDX-License-Identifier: MIT
 *
 * Replacing a file so that a reader, a crash or a power cut sees either the old content or the new one, never
 * a part: written beside it under a name that begins with a dot, flushed to disk, renamed over it, and the
 * directory flushed. A crash may leave such a hidden file behind; nobody serves it.
 *
 * Blocking; any thread.
 */
#pragma once

#include "schema/error.h"

/* Makes `path` a file of these bytes with these permissions (less the umask). A symbolic link at `path` is
 * replaced, not followed. IO, DENIED, LIMIT and NOT_FOUND name the path; the old file is untouched then. */
gboolean durable_file_replace(const char *path, const void *data, gsize len, guint mode, GError **error);
/* Writes all bytes to a descriptor, in as many pieces as it takes; flushes nothing. FALSE with errno set. */
gboolean durable_file_write(int fd, const void *data, gsize len);
