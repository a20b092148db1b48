/* SPDX-License-Identifier: MIT
 *
 * Compression of answers (RFC 1952). Blocking, a few milliseconds per megabyte: for workers.
 */
#pragma once

#include <glib.h>

/* The bytes as one gzip member, or NULL when that would not save at least a tenth. */
GBytes *gzip_compress(GBytes *bytes);
/* The same for text that is hexadecimal digits for the most part: a tenth less, because chance repetitions of
 * a few digits are not worth pointing at. */
GBytes *gzip_compress_hashes(GBytes *bytes);
