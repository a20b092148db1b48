/* SPDX-License-Identifier: MIT
 *
 * The PackContent (signing/release.h) of a pack on disk: the hashes of the bytes that a Node would get from a
 * broker on this directory, by the rule of pack_file_served_form (text files with LF, unless manifest.sig has
 * the hash of the raw form). What is read is exactly what the scan has seen: a file that changed since is
 * CONFLICT, so that a verdict over the content is a verdict over the files of that CatalogPack.
 *
 * A place that the scan refused has the reason in PackContent.refused and nothing else; one without index.md
 * or manifest.yaml has a content without them. Neither is an error here.
 *
 * Blocking; any thread, any number of calls at once. Nothing is kept between calls.
 */
#pragma once

#include "mirror/store/pack_scan.h"
#include "signing/release.h"

/* The content of a place that a scan of `root` has found, hashed by `threads` (≥ 1) threads. *ret_sig (may be
 * NULL) gets the bytes of manifest.sig as on disk, NULL when there is none. CONFLICT when something changed
 * since the scan: scan again; DENIED, IO and LIMIT as the system says. Messages begin with the file's path
 * below the root. */
PackContent *pack_content_of_place(PackRoot *root, const CatalogPack *place, guint threads, GBytes **ret_sig,
                                   GError **error);

/* The same for any directory, looked at now; symbolic links above and at it are followed, in it never.
 * NOT_FOUND when it does not exist or is no place (neither manifest.yaml nor wiki/); CONFLICT when it is
 * being written to. */
PackContent *pack_content_of_directory(const char *directory, guint threads, GBytes **ret_sig,
                                       GError **error);

/* The same for the directory `name` below the open directory `parent_fd`, which is `parent` on disk, when
 * nobody else writes there: what was written this very instant need not be waited for. */
PackContent *pack_content_of_settled(int parent_fd, const char *parent, const char *name, guint threads,
                                     GBytes **ret_sig, GError **error);
