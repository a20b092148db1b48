/* SPDX-License-Identifier: MIT
 *
 * Reading packs from a directory that anybody may be writing to.
 *
 * All access goes through the descriptor of a PackRoot and never leaves it. Symbolic links, devices, sockets,
 * names that pack_path_segment_check refuses and files beyond the limits are left out and named in the pack's
 * warnings.
 *
 * Blocking: call from workers or the indexer, never from an I/O thread.
 */
#pragma once

#include "mirror/store/hash_store.h"
#include "mirror/store/pack_root.h"

/* --- Operations --- */

/* Result of a scan: what has to be done to `base` to make it describe the disk. The first three are what
 * catalog_with_changes takes. */
typedef struct {
    GPtrArray *upserts;  /* of CatalogPack *, new or changed places (with references) */
    GPtrArray *removals; /* of char *, places of `base` that are gone */
    /* of char *: all directories of the tree, not only below `prefix`, that have neither a place nor further
     * directories in them; every raw/ is one of them */
    GPtrArray *directories;
    /* of char *, one line each: directories that could not be read, symbolic links instead of directories, a
     * wiki/ in the root, … */
    GPtrArray *problems;
    guint places;    /* places seen, changed or not */
    guint unchanged; /* places whose fingerprint equals the one in `base`, not read */
} PackScan;

void pack_scan_free(PackScan *scan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PackScan, pack_scan_free)

/* Scans the whole packs directory of the root, which must have one (`prefix` "") or the directory `prefix`
 * and everything below it, with `threads` (≥ 1) threads. Places are looked for everywhere but in
 * dot-directories, wiki/ and raw/. A place whose fingerprint equals that of the same path in `base` (may be
 * NULL) is not read. A pack that disappears or changes while it is read is taken again, twice at most, then
 * gets a problem. A place or directory that the system cannot read for reasons of its own (disk error, too
 * many open files) stays as it is in `base` and is named in the problems. Fails only when the root itself
 * cannot be read. */
PackScan *pack_scan(PackRoot *root, const char *prefix, const Catalog *base, guint threads, GError **error);

/* The same with more choice. */
typedef struct {
    const char *prefix;
    const Catalog *base; /* may be NULL */
    guint threads;
    gboolean hash;          /* upserts have the hashes of their files, read by the same threads … */
    const HashStore *known; /* … unless they stand here; may be NULL */
    const char *distrusted; /* the path of a place that is read and hashed whatever `base` and `known` say,
                               because its files were seen to be others; may be NULL */
} PackScanOptions;
PackScan *pack_scan_with(PackRoot *root, const PackScanOptions *options, GError **error);

/* The form in which a text file is served: of the raw bytes and the bytes with CRLF and CR folded to LF, the
 * one whose SHA-256 stands in manifest.sig; folded when the file is not listed there, or when neither fits
 * (then *ret_mismatch, which may be NULL, is TRUE). Binary files (see pack_file_is_text) are returned as they
 * are. `ret_sha256` is the hash of what is returned. */
GBytes *pack_file_served_form(const CatalogFile *file, GBytes *raw, guint8 ret_sha256[32],
                              gboolean *ret_mismatch);

/* By name: *.md, *.json, *.yaml, *.sig, *.txt, … and names without a dot are text; everything else, also what
 * nobody has heard of, is binary. */
gboolean pack_file_is_text(const char *name);
