/* SPDX-License-Identifier: MIT
 *
 * Names of packs and of files in packs: which are allowed, and how the text of a request becomes one. Pure
 * functions.
 *
 * A path is slash-separated segments, relative, without "", "." and ".." segments, without control characters
 * (C0, DEL, C1), backslash-free only where noted, valid UTF-8, within LIMIT_PACK_PATH_BYTES,
 * LIMIT_PATH_SEGMENT_BYTES and LIMIT_PATH_DEPTH. Names beginning with
 * ".git" (in any case) are refused; other dot-names are not served but do no harm.
 */
#pragma once

#include "schema/error.h"

/* TRUE when `path` is a path in the sense above; otherwise FALSE and MALFORMED or LIMIT saying which rule and
 * segment. */
gboolean pack_path_check(const char *path, GError **error);
/* The same for one segment. */
gboolean pack_path_segment_check(const char *segment, GError **error);

/* Percent-decodes (RFC 3986) `len` bytes of a request target's path. NULL for a malformed escape, NUL, or a
 * result that is not UTF-8. "+" is not special. */
char *pack_path_percent_decode(const char *text, gsize len);

/* A search scope: trimmed of white space and then of slashes, lower-cased (Unicode simple mapping of
 * letters). NULL with MALFORMED "invalid scope" when it contains "%", "_", "\\" or ".." (contract; a pack
 * with "_" in its path is reached through its parent). "" means everywhere. */
char *pack_scope_normalize(const char *scope, GError **error);
/* TRUE when the pack is the scope or below it, without regard to case (both sides lower-cased alike). `scope`
 * is normalized. */
gboolean pack_scope_contains(const char *scope, const char *pack_path);
