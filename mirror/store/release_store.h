/* SPDX-License-Identifier: MIT
 *
 * The release store, <data>/store: mirrored releases by digest, and what is being made of them.
 *
 *   releases/<digest in hex>/manifest.yaml, manifest.sig, wiki/…   verified, read-only, never changed again
 *   tmp/<random>/                                                  staging; emptied by release_store_open
 *   quarantine/<digest>.<time>-<random>/                           what store check found damaged
 *   git/<id>.git   peers/<id>.db   evidence/…   mirror.db   hashes.db   (other modules')
 *
 * A release appears in releases/ by one rename after everything in it is on disk, so whatever is there is
 * whole, whatever crashed. Staging takes names and bytes from strangers: every limit of a pack is enforced
 * while it is written, and nothing outside the staging directory can be reached.
 *
 * Blocking. A ReleaseStore may be used by one thread at a time; several processes may open the same store
 * (the agent stages and installs, the broker reads and collects), one of them with `clean`.
 */
#pragma once

#include "mirror/store/pack_scan.h"
#include "signing/release.h"

typedef struct ReleaseStore ReleaseStore;
typedef struct Staging Staging;

/* --- Life cycle --- */

/* Opens or makes the store below `directory`. `clean`: removes everything in tmp/ (the caller is the only
 * user). */
ReleaseStore *release_store_open(const char *directory, gboolean clean, GError **error);
void release_store_free(ReleaseStore *store); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReleaseStore, release_store_free)
const char *release_store_releases_dir(const ReleaseStore *store);
/* The same as `clean`, later: what an agent that died has left. Nothing may be staged meanwhile. */
gboolean release_store_clean(ReleaseStore *store, GError **error);

/* --- Staging --- */

/* How much stays free on the disk, instead of LIMIT_STORE_DISK_FREE_BYTES. For tests. */
void release_store_set_disk_free_min(ReleaseStore *store, guint64 bytes);

/* An empty pack to be filled. `path` is only for messages. */
Staging *staging_new(ReleaseStore *store, const char *path, GError **error);
/* Removes the staged files if they were not installed. NULL is fine. */
void staging_free(Staging *staging);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Staging, staging_free)
/* Puts one file in; `name` is relative to the pack ("manifest.yaml", "manifest.sig", "wiki/…"). MALFORMED or
 * LIMIT (naming pack, file and rule) for a name that pack_path_check refuses, that has a segment beginning
 * with a dot, that is not of a pack, that collides with another one where case does not count, and for what
 * is beyond the limits of files, bytes per file and bytes per pack; IO, and LIMIT for a disk that is full or
 * would soon be: what else is written there, mirror.db for one, has a claim to the rest. */
gboolean staging_add(Staging *staging, const char *name, const void *data, gsize len, GError **error);
/* The same with a file of an installed release (hard link), if its bytes have that hash now: what is
 * installed may have been damaged, or come from a source that promised nothing. NOT_FOUND, CORRUPT or IO when
 * it cannot be had: fetch it instead. */
gboolean staging_link(Staging *staging, const char *name, const guint8 digest[SHA256_BYTES],
                      const char *from_name, const guint8 hash[SHA256_BYTES], GError **error);
/* What has been staged, read back from disk and hashed by the rules of pack_content.h. *ret_sig (may be NULL)
 * as there. Without manifest.yaml and wiki/ the content is empty. */
PackContent *staging_content(Staging *staging, guint threads, GBytes **ret_sig, GError **error);

/* Installs what was staged (of Staging *, each with its digest set by staging_set_digest) durably: everything
 * flushed, then renamed, then the directory flushed. A release that is there already is left as it is, but
 * counts as installed now. Costs one flush for all, so batches are cheaper than singles. On failure what was
 * not renamed is removed by staging_free, and what was renamed is collected some day, unless it is installed
 * again. */
void staging_set_digest(Staging *staging, const guint8 digest[SHA256_BYTES]);
/* It takes the place, in one step, of a release of its digest that is there already: for digests that do not
 * cover everything (no signed release). Where the file system cannot do that, what is there stays. */
void staging_set_replacing(Staging *staging);
gboolean release_store_install(ReleaseStore *store, GPtrArray *stagings, GError **error);

/* --- Queries --- */

gboolean release_store_has(ReleaseStore *store, const guint8 digest[SHA256_BYTES]);
/* The bytes of an installed release's manifest.sig; *ret NULL when it has none. NOT_FOUND when there is no
 * such release; LIMIT, IO. */
gboolean release_store_read_sig(ReleaseStore *store, const guint8 digest[SHA256_BYTES], GBytes **ret,
                                GError **error);
/* The same for who has only the directory of releases open (pack_root_fd). */
gboolean release_store_read_sig_at(int releases_fd, const guint8 digest[SHA256_BYTES], GBytes **ret,
                                   GError **error);
/* Sizes and counts; walks the directories, also while others change them. */
typedef struct {
    guint releases, quarantined;
    guint64 release_bytes, git_bytes, other_bytes; /* allocated on disk; the quarantine is among the others */
    guint64 disk_free_bytes, disk_total_bytes;
} StoreUsage;
gboolean release_store_usage(ReleaseStore *store, StoreUsage *ret, GError **error);
/* Only the last two members: cheap. */
gboolean release_store_space(ReleaseStore *store, StoreUsage *ret, GError **error);

/* --- Collecting and checking --- */

typedef struct {
    guint kept, removed, failed;
    guint64 removed_bytes; /* of a file that several releases share, its share */
} StoreCollection;
/* Removes releases that are not in `reachable` (set of GBytes * of 32 bytes) and were installed more than
 * `grace_s` ago (what the agent has just installed may not be known yet); moves them to tmp/ first, so that a
 * crash leaves no half release. `dry_run`: only counts. `func` (may be NULL) hears of each that is or would
 * be removed. What cannot be removed is counted in `failed` and stays. */
typedef void (*StoreFunc)(const char *digest, guint64 bytes, gpointer user);
gboolean release_store_collect(ReleaseStore *store, GHashTable *reachable, gint64 grace_s, gboolean dry_run,
                               StoreFunc func, gpointer user, StoreCollection *ret, GError **error);
/* Reads a release again and compares it with its name: TRUE and *ret_problem NULL when it is whole, else what
 * is wrong with it in one line (a new string). Of releases with a signed release part every file is compared
 * and both signatures are checked; of tombstones there is only manifest.sig; of others only the files that
 * content_sha256 covers. Whether the publisher is trusted is not asked. FALSE when that cannot be told. */
gboolean release_store_check(ReleaseStore *store, const guint8 digest[SHA256_BYTES], guint threads,
                             char **ret_problem, GError **error);
/* All digests that are there (of GBytes *), sorted. */
GPtrArray *release_store_list(ReleaseStore *store, GError **error);
/* Moves a release out of the way, durably. NOT_FOUND when it is not there. */
gboolean release_store_quarantine(ReleaseStore *store, const guint8 digest[SHA256_BYTES], GError **error);
