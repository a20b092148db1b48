/* SPDX-License-Identifier: MIT
 *
 * Compression of answers (RFC 1952). Blocking, a few milliseconds per megabyte: for workers.
 */
#pragma once

#include <glib.h>

/* The bytes as one gzip member, or NULL when that would not save at least a tenth. */
GBytes *gzip_compress(GBytes *bytes);
